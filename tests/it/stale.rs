//! A baseline that was measured on another machine is looked at again before anything is held against it.

use serde_json::Value;

use crate::ground::{Run, TestEnvironment, told, write};
use crate::small::{Small, after, call};

/// A task whose score hangs on the machine: `era` is what it has to give.
fn task(world: &TestEnvironment) -> Small {
    let era = world.at("era");
    write(&era, "10");
    let claim = "title = \"five more\"\nclaim = \"improve\"\nmechanism = \"m\"\npredicts = 3.0\n\
                 refuted_by = \"r\"";
    let run_sh = format!(
        "echo \"score: $(($(cat {}) + $(cat value.txt))).$((ORG_SEED % 90 + 10))\"\n",
        era.display()
    );
    Small {
        files: vec![("run.sh", run_sh), ("value.txt", "0".to_owned())],
        task: format!(
            "run = \"sh run.sh\"\ntimeout = \"60s\"\ngpus = 0\nshare = [\"{}\"]\n\
             metric = {{ name = \"score\", goal = \"max\", pattern = 'score: ([0-9.]+)' }}",
            era.display()
        ),
        tables: "[protocol]\nmatch = \"none\"\nguards = {}\nbaseline = 3\nconfirm = 2\n".to_owned(),
        agents: vec![("ann", false)],
        scenario: "[[scripts]]\nagent = \"ann\"\n[[scripts.steps]]\nsay = \"ready\"\n".to_owned()
            + &after("MARK-go", "write", "path = \"value.txt\"\ncontent = \"5\"")
            + &call("hypothesis", claim),
    }
}

/// Brings a task up, and down again once its baseline is there; then goes on with one processor less, which
/// is another machine, and has the claim made.
fn moved(world: &TestEnvironment, era: &str) -> Run {
    let chart = task(world).chart(world).display().to_string();
    let up = ["up", &chart, "--mock", "--headless", "--detach"];
    world.org(&up).well();
    let run = world.run();
    run.wait_for("the baseline", |_| {
        let ended = run.of("experiment.finished");
        (ended.iter().filter(|it| it["status"] == "ok").count() == 4).then_some(())
    });
    world.org(&["down", &run.id()]).well();
    write(&world.at("era"), era);
    let allowed = std::fs::read_to_string("/proc/self/status").unwrap();
    let list = allowed
        .lines()
        .find_map(|it| it.strip_prefix("Cpus_allowed_list:"));
    let first: String = list
        .unwrap()
        .trim()
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    let mut again = world.command("taskset");
    again.args(["-c", &first, crate::ground::ORG]);
    again.args(["up", "--resume", &run.id(), "--headless", "--detach"]);
    told(again, "").well();
    run.wait_for("another machine, which takes two processors", |_| {
        (run.of("lab.machine").len() == 2).then_some(())
    });
    world.org(&["send", "ann", "MARK-go"]).well();
    run.wait_for("the promotion", |_| run.of("programme.advanced").pop());
    run
}

fn anew(run: &Run) -> Vec<Value> {
    let start = run.of("run.created")[0]["base"].clone();
    let mut all = run.of("experiment.queued");
    all.retain(|it| {
        it["commit"] == start && it["id"].as_u64() > Some(4) && it["stage"] != "confirm"
    });
    all
}

#[test]
fn a_baseline_that_holds_on_the_new_machine_is_kept() {
    let world = TestEnvironment::new();
    let run = moved(&world, "10");
    // Two of its seeds, once each.
    let anew = anew(&run);
    let seeds: Vec<&Value> = anew.iter().map(|it| &it["seed"]).collect();
    assert_eq!(seeds.len(), 2, "{anew:?}");
    assert!(seeds[0] != seeds[1] && anew.iter().all(|it| it["stage"] == "rebaseline"));
    assert!(run.of("lab.expired").is_empty());
    world.org(&["down", &run.id()]).well();
}

#[test]
fn a_baseline_that_has_drifted_counts_no_more() {
    let world = TestEnvironment::new();
    let run = moved(&world, "20");
    let expired = run.of("lab.expired");
    assert_eq!(expired.len(), 1, "{expired:?}");
    let why = expired[0]["reason"].as_str().unwrap();
    assert!(
        why.contains("differs by 10") && why.contains("count no more"),
        "{why}"
    );
    // All that the claim is held against is of the new machine: a gain of five, not of fifteen.
    let ledger = world.org(&["ledger", "--json"]).json();
    assert_eq!(ledger[0]["status"], "promoted", "{ledger}");
    assert_eq!(ledger[0]["effect"], 5.0, "{ledger}");
    let from = expired[0]["from"].as_u64().unwrap();
    for run in ledger[0]["runs"].as_array().unwrap() {
        let id = run["id"].as_str().unwrap()[1..].parse::<u64>().unwrap();
        assert!(id >= from, "{run}");
    }
    world.org(&["down", &run.id()]).well();
}
