//! What can go of runs that are over: said first, removed when asked, and never what anybody still needs.

use std::fs;

use crate::ground::{TestEnvironment, picture, write};
use crate::small::{Small, call};
use crate::trials::Ground;

#[test]
fn caches_go_and_what_was_measured_stays_and_the_run_can_be_resumed() {
    let world = TestEnvironment::new();
    let task = Small {
        files: vec![("run.sh", "echo 1 >$ORG_OUT/a.json; echo \"score: 1.$ORG_SEED\"\n".to_owned())],
        task: "run = \"sh run.sh\"\ntimeout = \"60s\"\ngpus = 0\nkeep = [\"*.json\"]\nmetric = { name = \"score\", goal = \"max\", pattern = 'score: ([0-9.]+)' }".to_owned(),
        tables: "[protocol]\nmatch = \"none\"\nbaseline = 2\n".to_owned(),
        agents: vec![("ann", false)],
        scenario: "[[scripts]]\nagent = \"ann\"\n".to_owned()
            + &call("shell", "command = \"head -c 300000 /dev/zero >$TMPDIR/big\"")
            + &call("experiment", "note = \"look\""),
    };
    let run = task.play(&world);
    // What a supervisor that was killed leaves of a launch, with a directory nobody may write in.
    let left = run.path("exp/e1/a1/checkout");
    write(&left.join("deep/x"), "x".repeat(50_000));
    let mut rights = fs::metadata(left.join("deep")).unwrap().permissions();
    rights.set_readonly(true);
    fs::set_permissions(left.join("deep"), rights).unwrap();
    let before = picture(&run.path(""));
    let said = world.org(&["gc"]).well();
    said.naming(&[
        "scratch/ann",
        "caches",
        "checkout",
        "can go",
        "org gc --yes",
    ]);
    let listed = world.org(&["gc", "--json"]).json();
    assert!(listed["bytes"].as_u64() > Some(300_000), "{listed}");
    assert_eq!(listed["removed"], false, "{listed}");
    assert_eq!(picture(&run.path("")), before, "a dry run");
    world
        .org(&["gc", &run.id(), "--yes"])
        .well()
        .naming(&["removed"]);
    assert!(!left.exists() && !run.path("scratch/ann").exists());
    let after = picture(&run.path(""));
    let gone = before.keys().filter(|path| !after.contains_key(*path));
    for path in gone {
        let said = path.display().to_string();
        assert!(
            said.contains("/scratch/") || said.contains("/checkout"),
            "{said}"
        );
    }
    assert!(
        run.path("exp/e1/a1/out/a.json").exists(),
        "kept by the chart"
    );
    world.org(&["gc"]).well().naming(&["nothing can go"]);
    world
        .org(&["gc", "nonsense"])
        .refused(1)
        .naming(&["nonsense"]);
    // It goes on as before; and while it lives nothing of it goes.
    world.org(&["up", "--resume", &run.id(), "--detach"]).well();
    let said = world.org(&["gc", "--runs", "--yes"]).well();
    said.naming(&["kept", "it lives"]);
    world.org(&["down", &run.id()]).well();
    assert!(run.path("events.jsonl").exists());
    // Nothing was promoted: the whole run may go, where that is asked for.
    world
        .org(&["gc", "--runs"])
        .well()
        .naming(&["nothing of it was promoted", "--runs --yes"]);
    assert!(run.path("events.jsonl").exists());
    world.org(&["gc", "--runs", "--yes"]).well();
    assert_eq!(world.run_dirs().len(), 0);
    world.org(&["gc"]).well().naming(&["nothing can go"]);
}

#[test]
fn what_is_promoted_stays_until_it_is_landed() {
    let ground = Ground::new();
    ground.branch("better", &[("LOSS=9", "LOSS=8")]);
    ground.tried("better", &[]).well();
    let run = ground.world.run();
    let said = ground.world.org(&["gc", "--runs", "--yes"]).well();
    said.naming(&["kept", "h1 promoted and not landed"]);
    let out: Vec<_> = fs::read_dir(run.path("exp")).unwrap().collect();
    assert!(out.len() > 3, "{out:?}");
    let to = ["land", "--onto", "won", "--run", &run.id()];
    ground.world.org(&to).well();
    let said = ground.world.org(&["gc", "--runs", "--yes"]).well();
    said.naming(&["removed", "all that was promoted is landed"]);
    assert_eq!(ground.world.run_dirs().len(), 0);
}
