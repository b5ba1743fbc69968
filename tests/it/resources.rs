//! What a run takes: the disk it fills, what of it is kept, and the devices that it must have alone.

use std::fs;

use crate::ground::{TestEnvironment, until, write};
use crate::small::{Small, call};

const METRIC: &str = "metric = { name = \"score\", goal = \"max\", pattern = 'score: ([0-9.]+)' }";

#[test]
fn outputs_are_kept_by_policy_and_a_promoted_run_keeps_all() {
    let run_sh = "echo a >$ORG_OUT/a.json; echo b >$ORG_OUT/b.bin; echo \"score: $(cat base.txt).$ORG_SEED\"\n";
    let claim = |title: &str| {
        format!(
            "title = \"{title}\"\nclaim = \"improve\"\nmechanism = \"m\"\npredicts = 0.5\nrefuted_by = \"r\""
        )
    };
    let scenario = "[[scripts]]\nagent = \"ann\"\n".to_owned()
        + &call("experiment", "note = \"look\"")
        + &call("write", "path = \"base.txt\"\ncontent = \"5\"")
        + &call("hypothesis", &claim("better"))
        + &call("write", "path = \"base.txt\"\ncontent = \"0\"")
        + &call("hypothesis", &claim("worse"));
    let world = TestEnvironment::new();
    let task = Small {
        files: vec![("run.sh", run_sh.to_owned()), ("base.txt", "1".to_owned())],
        task: format!(
            "run = \"sh run.sh\"\ntimeout = \"60s\"\ngpus = 0\nkeep = [\"*.json\"]\n{METRIC}"
        ),
        tables: "[protocol]\nmatch = \"none\"\nbaseline = 2\nconfirm = 2\n".to_owned(),
        agents: vec![("ann", false)],
        scenario,
    };
    let run = task.play(&world);
    let moved = run.of("hypothesis.moved");
    let promoted = |id: u64| {
        moved
            .iter()
            .any(|it| it["id"] == id && it["status"] == "promoted")
    };
    assert!(promoted(1) && !promoted(2), "{moved:?}");
    for queued in run.of("experiment.queued") {
        let out = run.path(&format!("exp/e{}/a1/out", queued["id"]));
        if !out.exists() {
            continue;
        }
        let all = queued["hypothesis"] == 1;
        assert!(out.join("a.json").exists(), "{queued}");
        assert_eq!(out.join("b.bin").exists(), all, "{queued}");
    }
}

#[test]
fn a_run_that_fills_the_disk_is_ended_and_the_rest_goes_on_with_more() {
    let world = TestEnvironment::new();
    let run_sh = "case $MODE in fill) head -c 60000000 /dev/zero >$ORG_OUT/big; sleep 300 ;; esac\n\
                  echo \"score: 1.$ORG_SEED\"\n";
    let task = Small {
        files: vec![("run.sh", run_sh.to_owned())],
        task: format!("run = \"sh run.sh\"\ntimeout = \"300s\"\ngpus = 0\n{METRIC}"),
        tables: "[protocol]\nmatch = \"none\"\nbaseline = 2\n[budget]\ndisk = \"40M\"\n".to_owned(),
        agents: vec![("ann", false)],
        scenario: "[[scripts]]\nagent = \"ann\"\n".to_owned()
            + &call("experiment", "note = \"fill\"\nenv = { MODE = \"fill\" }"),
    };
    let run = task.play(&world);
    let queued = run.of("experiment.queued");
    let id = &queued
        .iter()
        .find(|it| it["note"] == "fill")
        .expect("queued")["id"];
    let ends = run.of("experiment.finished");
    let end = ends.iter().find(|it| it["id"] == *id).expect("ended");
    assert_eq!(end["status"], "crashed", "{end}");
    assert!(end["reason"].to_string().contains("disk budget"), "{end}");
    // Its output is gone with it, and there is room again.
    assert!(!run.path(&format!("exp/e{id}/a1/out/big")).exists());
}

#[test]
fn a_run_that_shares_its_device_does_not_count() {
    let mut world = TestEnvironment::new();
    let (apps, list) = (world.at("apps"), world.at("list"));
    write(&apps, "");
    let uuid = format!("GPU-{:08}-cccc", std::process::id());
    world.fake(
        "nvidia-smi",
        &format!(
            "case \"$*\" in\n*compute-apps*) cat {} ;;\n*utilization*) echo \"{uuid}, 75\" ;;\n\
             *) cat {} ;;\nesac",
            apps.display(),
            list.display()
        ),
    );
    let card = format!("0, {uuid}, NVIDIA H100, 81559\n");
    write(&list, &card);
    let nobody = "[providers.anthropic]\nbase_url = \"http://127.0.0.1:9\"\nkey_cmd = \"echo k\"\n";
    let go = world.at("go");
    let run_sh = "echo begun; i=0; while [ $i -lt 600 ] && ! [ -e \"$GO/go\" ]; do sleep 0.2; i=$((i+1)); done\n\
                  echo \"score: 1.$ORG_SEED\"\n";
    fs::create_dir(&go).expect("a directory");
    let task = Small {
        files: vec![("run.sh", run_sh.to_owned())],
        task: format!(
            "run = \"sh run.sh\"\ntimeout = \"300s\"\ngpus = 1\nshare = [\"{0}\"]\nenv = {{ GO = \"{0}\" }}\n{METRIC}",
            go.display()
        ),
        tables: format!("[protocol]\nmatch = \"none\"\nbaseline = 2\n{nobody}"),
        agents: vec![("ann", true)],
        scenario: "[[scripts]]\nagent = \"ann\"\n[[scripts.steps]]\nsay = \"hello\"\n".to_owned(),
    };
    let chart = task.chart(&world).display().to_string();
    world.org(&["up", &chart, "--headless", "--detach"]).well();
    let run = world.run();
    // Not before it runs: a run that has yet to begin would wait for the stranger to go.
    until("the first run's words", || {
        let said = fs::read_to_string(run.path("exp/e1/a1/output.log")).ok()?;
        said.contains("begun").then_some(())
    });
    write(&apps, format!("{uuid}, 1, 4000\n"));
    let end = run.wait_for("an end", |events| {
        events
            .iter()
            .find(|it| it["kind"] == "experiment.finished")
            .cloned()
    });
    assert_eq!(end["status"], "contended", "{end}");
    assert!(end["reason"].to_string().contains("pid 1"), "{end}");
    assert_eq!(end["measured"]["gpu_util"], 75.0, "{end}");
    // It is queued again, and stays there, and says so, for as long as the stranger stays.
    let barred = |what: &str| {
        run.wait_for(what, |events| {
            let last = events.iter().rfind(|it| it["kind"] == "device.barred")?;
            last["why"].to_string().contains(what).then_some(())
        });
    };
    barred("pid 1");
    let status = world.org(&["status", "--json"]).json();
    assert_eq!(status["experiments"]["running"], 0, "{status}");
    assert!(
        status["experiments"]["queued"].as_u64() > Some(0),
        "{status}"
    );
    let said = status["needs_you"].to_string();
    assert!(said.contains("GPU 0") && said.contains("pid 1"), "{said}");
    // The device goes away, and comes back.
    write(&list, "1, GPU-another, NVIDIA H100, 81559\n");
    write(&apps, "");
    barred("does not list");
    write(&list, &card);
    barred("null");
    // Alone again, it is run anew and counts.
    write(&go.join("go"), "");
    run.wait_for("a run that counts", |events| {
        let ok =
            |it: &&serde_json::Value| it["kind"] == "experiment.finished" && it["status"] == "ok";
        events.iter().any(|it| ok(&it)).then_some(())
    });
    world.org(&["down", &run.id()]).well();
    world.nothing_lives();
}
