//! Two claims that are confirmed beside each other, against the same champion.

use serde_json::Value;

use crate::ground::{Run, TestEnvironment};
use crate::small::{Small, call};
use crate::task::git;

/// Two changes of one author, each of which gains 3 alone; together they gain what `how` makes of them.
fn play(world: &TestEnvironment, how: &str) -> Run {
    let run_sh = format!(
        "a=$(cat a.txt) b=$(cat b.txt)\n{how}\n\
         echo \"score: $((10 + gain)).$((ORG_SEED % 90 + 10))\"\n"
    );
    let write = |path: &str, content: &str| {
        call(
            "write",
            &format!("path = \"{path}\"\ncontent = \"{content}\""),
        )
    };
    let claim = |title: &str| {
        call(
            "hypothesis",
            &format!(
                "title = \"{title}\"\nclaim = \"improve\"\nmechanism = \"{title}\"\npredicts = 1.0\n\
                 refuted_by = \"no gain\""
            ),
        )
    };
    let scenario = [
        "[[scripts]]\nagent = \"ann\"\n".to_owned(),
        write("a.txt", "3"),
        claim("the first"),
        write("a.txt", "0"),
        write("b.txt", "3"),
        claim("the second"),
    ];
    let task = Small {
        files: vec![
            ("run.sh", run_sh),
            ("a.txt", "0".to_owned()),
            ("b.txt", "0".to_owned()),
        ],
        task: "run = \"sh run.sh\"\ntimeout = \"60s\"\ngpus = 0\n\
               metric = { name = \"score\", goal = \"max\", pattern = 'score: ([0-9.]+)' }"
            .to_owned(),
        tables: "[protocol]\nmatch = \"none\"\nguards = {}\nbaseline = 4\nconfirm = 4\n".to_owned(),
        agents: vec![("ann", false)],
        scenario: scenario.concat(),
    };
    // A repository of hers, so that there is something to land in.
    task.chart(world);
    let repo = world.at("task");
    git(world, &repo, &["init", "-q"]);
    git(world, &repo, &["add", "."]);
    git(world, &repo, &["commit", "-qm", "one"]);
    task.play(world)
}

fn statuses(world: &TestEnvironment) -> (Value, Vec<String>) {
    let ledger = world.org(&["ledger", "--json"]).json();
    let all = ledger.as_array().unwrap().iter();
    let word = |claim: &Value| claim["status"].as_str().unwrap().to_owned();
    let words = all.map(word).collect();
    (ledger, words)
}

#[test]
fn two_wins_are_promoted_as_one_and_measured_anew_once() {
    let world = TestEnvironment::new();
    let run = play(&world, "gain=$((a + b))");
    let (ledger, words) = statuses(&world);
    assert_eq!(words, ["promoted", "promoted"], "{ledger}");
    let made = run.of("stack.made");
    assert_eq!(made.len(), 1, "{made:?}");
    assert_eq!(made[0]["claims"], serde_json::json!([1, 2]));
    let advanced = run.of("programme.advanced");
    let to = |at: usize| &advanced[at]["commit"];
    assert_eq!((advanced.len(), to(0)), (2, to(1)), "{advanced:?}");
    for claim in ledger.as_array().unwrap() {
        let reason = claim["reason"].as_str().unwrap();
        assert!(reason.contains("h1 + h2 together"), "{reason}");
        assert!(reason.contains("in company it still holds"), "{reason}");
    }
    // One champion, one baseline of four.
    let queued = run.of("experiment.queued");
    let anew = queued.iter().filter(|run| run["stage"] == "rebaseline");
    assert_eq!(anew.count(), 4);
    // What stands is worth more than either did alone.
    let best = world.org(&["status", "--json"]).json()["best"]["value"].as_f64();
    for claim in ledger.as_array().unwrap() {
        assert!(best > claim["candidate"]["mean"].as_f64(), "{best:?}");
    }
    world.org(&["ledger", "--verify"]).well();
    world
        .org(&["logs", "lab"])
        .well()
        .naming(&["h1, h2 are measured on top of each other"]);
    world.org(&["report"]).well();
    // Whichever of them is landed, the branch holds both changes and says so.
    for (claim, branch) in [("h1", "first"), ("h2", "both")] {
        let land = ["land", claim, "--onto", branch, "--run", &run.id()];
        world.org(&land).well();
        let repo = world.at("task");
        let message = git(&world, &repo, &["log", "-1", "--format=%B", branch]).out;
        assert!(message.starts_with("h1, h2: "), "{message}");
        assert!(
            message.contains("the first") && message.contains("the second"),
            "{message}"
        );
        let files = git(&world, &repo, &["diff", "--name-only", "main", branch]).out;
        assert_eq!(files, "a.txt\nb.txt\n");
    }
}

#[test]
fn a_gain_that_vanishes_in_company_is_not_promoted() {
    let world = TestEnvironment::new();
    // The first alone is as good as both.
    let run = play(&world, "gain=$a; [ $gain -gt 0 ] || gain=$b");
    let (ledger, words) = statuses(&world);
    let promoted = words.iter().filter(|word| *word == "promoted").count();
    let refuted = words.iter().filter(|word| *word == "refuted").count();
    assert_eq!((promoted, refuted), (1, 1), "{ledger}");
    let dropped = run.of("stack.dropped");
    assert_eq!(dropped.len(), 1, "{dropped:?}");
    let why = dropped[0]["reason"].as_str().unwrap();
    assert!(why.contains("not shown to hold"), "{why}");
    // Compared anew on what the other made, and refused there with numbers of its own.
    assert_eq!(run.of("hypothesis.rebased").len(), 1);
    assert_eq!(run.of("programme.advanced").len(), 1);
}
