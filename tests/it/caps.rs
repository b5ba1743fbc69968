//! A cap on GPU hours is a cap, and the end of a run is paid for out of it before anything else.

use serde_json::Value;

use crate::ground::TestEnvironment;
use crate::small::{Small, call};

#[test]
fn looks_around_do_not_eat_up_what_the_end_takes() {
    let world = TestEnvironment::new();
    let run_sh = "sleep ${NAP:-0}\necho \"loss: $(cat value.txt).$((ORG_SEED % 90 + 10))\"\n";
    let claim = call("write", "path = \"value.txt\"\ncontent = \"5\"")
        + &call(
            "hypothesis",
            "title = \"lower\"\nclaim = \"improve\"\nmechanism = \"m\"\npredicts = 3.0\n\
             refuted_by = \"r\"",
        );
    // Eight looks of two seconds each: more than there is.
    let looks = call("experiment", "note = \"look\"\nenv = { NAP = \"2\" }").repeat(8);
    let task = Small {
        files: vec![("run.sh", run_sh.to_owned()), ("value.txt", "9".to_owned())],
        task: "run = \"sh run.sh\"\ntimeout = \"4s\"\ngpus = 1\n\
               metric = { name = \"loss\", goal = \"min\", pattern = 'loss: ([0-9.]+)' }"
            .to_owned(),
        tables: "[protocol]\nmatch = \"none\"\nguards = {}\nbaseline = 2\nconfirm = 2\n\
                 [compute]\ngpus = \"simulate:1\"\nparallel = 1\n\
                 [budget]\ngpu_hours = 0.005\n"
            .to_owned(),
        agents: vec![("ann", true)],
        scenario: format!("[[scripts]]\nagent = \"ann\"\n{claim}{looks}"),
    };
    let run = task.play(&world);
    let ledger = world.org(&["ledger", "--json"]).json();
    assert_eq!(ledger[0]["status"], "promoted", "{ledger}");
    // The gain was measured anew at the end, though looks were still waiting for GPU time.
    assert_eq!(run.of("headline.measured").len(), 1);
    let started = run.of("experiment.started").len();
    let queued = run.of("experiment.queued").len();
    assert!(started < queued, "{started} of {queued}");
    let status = world.org(&["status", "--json"]).json();
    let gpu = &status["budget"]["gpu_seconds"];
    let (spent, cap) = (gpu["spent"].as_f64().unwrap(), gpu["cap"].as_f64().unwrap());
    assert!(spent > 6.0 && spent <= cap, "{gpu}");
}

#[test]
fn half_of_a_cap_is_the_baseline_s_until_it_is_known_what_a_run_costs() {
    let world = TestEnvironment::new();
    let task = Small {
        files: vec![("run.sh", "sleep 1\necho \"loss: 9.$ORG_SEED\"\n".to_owned())],
        task: "run = \"sh run.sh\"\ntimeout = \"4s\"\ngpus = 1\n\
               metric = { name = \"loss\", goal = \"min\", pattern = 'loss: ([0-9.]+)' }"
            .to_owned(),
        // 25 seconds, of which three runs of the baseline and a look beside them could take 16.
        tables: "[protocol]\nmatch = \"none\"\nguards = {}\nbaseline = 2\n\
                 [compute]\ngpus = \"simulate:4\"\nparallel = 4\n\
                 [budget]\ngpu_hours = 0.007\n"
            .to_owned(),
        agents: vec![("ann", true)],
        scenario: format!(
            "[[scripts]]\nagent = \"ann\"\n{}",
            call("experiment", "note = \"look\"").repeat(3)
        ),
    };
    let run = task.play(&world);
    let seq = |event: &Value| event["seq"].as_u64().unwrap();
    let finished = run.of("experiment.finished");
    let costed = finished.iter().find(|it| it["status"] == "ok").map(seq);
    let looks = run.of("experiment.queued");
    let looks = looks.iter().filter(|it| it["stage"] == "explore");
    let looks: Vec<&Value> = looks.map(|it| &it["id"]).collect();
    let started = run.of("experiment.started");
    let mut early = started.iter().filter(|it| Some(seq(it)) < costed);
    assert!(early.clone().count() >= 1, "{started:?}");
    assert!(
        early.all(|it| !looks.contains(&&it["id"])),
        "a look went first"
    );
    assert!(
        started.iter().any(|it| looks.contains(&&it["id"])),
        "and none after"
    );
}
