//! What was promoted becomes one branch of the user's repository, and nothing else there changes.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use crate::ground::{Said, picture, write};
use crate::small::{Small, after, call};
use crate::task::git;
use crate::trials::Ground;

/// All that a landing may not change: everything but new objects, and the new branch with its history.
fn rest(ground: &Ground, branch: &str) -> BTreeMap<PathBuf, String> {
    let git_dir = ground.repo.join(".git");
    let of_it = |path: &PathBuf| {
        let said = path.display().to_string();
        path.starts_with(git_dir.join("objects"))
            || said.contains(branch)
            // Directories on the way to the branch have another time.
            || path.is_dir() && path.starts_with(&git_dir)
    };
    let mut seen = picture(&ground.repo);
    seen.retain(|path, _| !of_it(path));
    seen
}

fn land(ground: &Ground, words: &[&str]) -> Said {
    ground.world.org(&[&["land"][..], words].concat())
}

fn said(ground: &Ground, words: &[&str]) -> String {
    let said = git(&ground.world, &ground.repo, words).out;
    said.trim().to_owned()
}

#[test]
fn what_was_promoted_becomes_one_branch_with_its_evidence() {
    let ground = Ground::new();
    ground.branch("better", &[("LOSS=9", "LOSS=8")]);
    git(&ground.world, &ground.repo, &["branch", "taken"]);
    // Something that she is in the middle of.
    write(&ground.repo.join("config"), "half a thought\n");
    write(&ground.repo.join("new.txt"), "not added\n");
    ground.tried("better", &[]).well();
    let run = ground.world.run().id();
    let base = said(&ground, &["rev-parse", "main"]);
    let before = rest(&ground, "won");

    // Bad input first: nothing of it leaves a trace.
    for (words, code, names) in [
        (
            vec!["--onto", "taken"],
            1,
            vec!["taken", "already", "--onto"],
        ),
        (vec!["--onto", "a..b"], 1, vec!["a..b", "name of a branch"]),
        (vec!["--onto", "refs/heads/x"], 1, vec!["refs/heads/x"]),
        (vec!["h9", "--onto", "won"], 1, vec!["h9", "org ledger"]),
        (vec!["nonsense", "--onto", "won"], 1, vec!["nonsense"]),
        (vec![], 2, vec!["--onto"]),
    ] {
        let words = [words, vec!["--run", &run]].concat();
        land(&ground, &words).refused(code).naming(&names);
    }
    let nowhere = land(&ground, &["--onto", "won", "--run", "nothing-here"]);
    nowhere.refused(1).naming(&["nothing-here"]);
    land(&ground, &["--onto", "won"])
        .refused(1)
        .naming(&["no run is alive", &format!("--onto won --run {run}")]);
    assert_eq!(rest(&ground, "won"), before, "refused, and yet");

    let landed = land(&ground, &["--onto", "team/won", "--run", &run, "--json"]).json();
    assert_eq!(landed["branch"], "team/won", "{landed}");
    assert_eq!(rest(&ground, "won"), before, "her other things");
    assert_eq!(said(&ground, &["rev-parse", "team/won"]), landed["commit"]);
    assert_eq!(said(&ground, &["rev-parse", "team/won^"]), base);
    assert_eq!(
        said(&ground, &["diff", "--name-only", "main", "team/won"]),
        "config"
    );
    git(&ground.world, &ground.repo, &["fsck", "--strict"]);
    let message = said(&ground, &["log", "-1", "--format=%B", "team/won"]);
    let head = format!("Org-Run: {run}");
    for word in [
        "h1: better",
        "gain",
        "95 % interval",
        &head,
        "Org-Ledger-Head: ",
    ] {
        assert!(message.contains(word), "{word}: {message}");
    }
    // The head in the message is one of the ledger's.
    let noted = message.rsplit("Org-Ledger-Head: ").next().expect("a head");
    let words = ["ledger", &run, "--verify", "--head", noted];
    ground.world.org(&words).well();

    // Again it is the same; onto another name it is another branch of the same commit.
    let again = land(&ground, &["--onto", "team/won", "--run", &run]).well();
    again.naming(&["before", "team/won"]);
    land(&ground, &["h1", "--onto", "won-2", "--run", &run]).well();
    assert_eq!(
        said(&ground, &["rev-parse", "won-2^{tree}"]),
        said(&ground, &["rev-parse", "team/won^{tree}"])
    );
    ground.world.nothing_lives();
}

#[test]
fn what_was_not_promoted_or_has_no_repository_to_go_to_is_not_landed() {
    let ground = Ground::new();
    ground.branch("worse", &[("LOSS=9", "LOSS=12")]);
    ground.tried("worse", &[]).refused(1);
    let run = ground.world.run().id();
    let to = ["--onto", "won", "--run", &run];
    land(&ground, &to)
        .refused(1)
        .naming(&["nothing was promoted"]);
    land(&ground, &[&["h1"][..], &to].concat())
        .refused(1)
        .naming(&["h1 is", "only what was promoted"]);
    // The repository is gone; then a directory is there in its place.
    let ground = Ground::new();
    ground.branch("better", &[("LOSS=9", "LOSS=8")]);
    ground.tried("better", &[]).well();
    let run = ground.world.run().id();
    let to = ["--onto", "won", "--run", &run];
    let away = ground.world.at("away");
    fs::rename(&ground.repo, &away).unwrap();
    land(&ground, &to).refused(1).naming(&["does not exist"]);
    write(&ground.repo.join("train.sh"), "x");
    land(&ground, &to)
        .refused(1)
        .naming(&["without a repository"]);
    fs::remove_dir_all(&ground.repo).unwrap();
    // A bare one is as good as any.
    let (from, onto) = (
        away.display().to_string(),
        ground.repo.display().to_string(),
    );
    git(
        &ground.world,
        &ground.world.root(),
        &["clone", "-q", "--bare", &from, &onto],
    );
    land(&ground, &to).well();
    assert_eq!(
        said(&ground, &["diff", "--name-only", "main", "won"]),
        "config"
    );
}

#[test]
fn a_base_that_has_moved_is_measured_anew_before_anything_is_landed() {
    let ground = Ground::new();
    ground.branch("better", &[("LOSS=9", "LOSS=8")]);
    ground.tried("better", &[]).well();
    let run = ground.world.run().id();
    // Somebody pushed to the base: once what does not touch the change, and once what undoes it.
    git(&ground.world, &ground.repo, &["checkout", "-q", "main"]);
    write(&ground.repo.join("readme"), "words\n");
    git(&ground.world, &ground.repo, &["add", "."]);
    git(&ground.world, &ground.repo, &["commit", "-qm", "moved"]);
    let moved = said(&ground, &["rev-parse", "main"]);
    let before = rest(&ground, "won");
    let to = ["--onto", "won", "--run", &run];
    land(&ground, &to)
        .refused(1)
        .naming(&["main", "has moved", &moved, "--reconfirm"]);
    let taken = ["--onto", "better", "--run", &run, "--reconfirm"];
    land(&ground, &taken)
        .refused(1)
        .naming(&["better", "already"]);
    assert_eq!(ground.world.run_dirs().len(), 1, "nothing was begun");
    let said_of_it = land(&ground, &[&to[..], &["--reconfirm"]].concat()).well();
    said_of_it.naming(&["measured again", "won"]);
    assert_eq!(ground.world.run_dirs().len(), 2, "a run of its own");
    assert_eq!(rest(&ground, "won"), before, "her other things");
    assert_eq!(said(&ground, &["rev-parse", "won^"]), moved);
    assert_eq!(
        said(&ground, &["diff", "--name-only", "main", "won"]),
        "config"
    );
    ground.world.nothing_lives();
}

#[test]
fn the_winner_runs_at_target_scale_first() {
    let ground = Ground::new();
    ground.branch("better", &[("LOSS=9", "LOSS=8")]);
    let data = ground.world.at("data");
    fs::create_dir(&data).unwrap();
    let chart = fs::read_to_string(&ground.chart).unwrap();
    let chart = chart.replace(
        "gpus = 0\n",
        &format!("gpus = 0\nshare = [\"{}\"]\n", data.display()),
    );
    let run = format!(
        "test -e {}/there || {{ echo no data at scale; exit 4; }}; . ./config; echo flops: 7; echo loss: 0.$LOSS",
        data.display()
    );
    write(
        ground.chart.as_ref(),
        format!("{chart}[landing]\nrun = \"{run}\"\n"),
    );
    ground.tried("better", &[]).well();
    let run = ground.world.run();
    let (id, before) = (run.id(), rest(&ground, "won"));
    let to = ["--onto", "won", "--run", &id];
    let refused = land(&ground, &to).refused(1);
    refused.naming(&["at target scale", "crashed", "no data at scale"]);
    assert_eq!(rest(&ground, "won"), before, "refused, and yet");
    write(&data.join("there"), "");
    land(&ground, &to).well();
    let message = said(&ground, &["log", "-1", "--format=%B", "won"]);
    assert!(message.contains("At target scale: loss 0.8"), "{message}");
    // It need not run again for another branch.
    land(&ground, &["--onto", "won-2", "--run", &id]).well();
    let ends: Vec<_> = run.of("landing.measured");
    assert_eq!(ends.len(), 2, "{ends:?}");
    assert_eq!(
        (&ends[0]["status"], &ends[1]["status"]),
        (&"crashed".into(), &"ok".into())
    );
    ground.world.nothing_lives();
}

#[test]
fn a_landing_waits_for_the_approval_that_the_chart_asks_for() {
    let ground = Ground::new();
    let world = &ground.world;
    let claim = "title = \"better\"\nclaim = \"improve\"\nmechanism = \"m\"\npredicts = 4\nrefuted_by = \"r\"";
    let task = Small {
        files: vec![
            ("run.sh", "echo \"score: $(cat base.txt).$ORG_SEED\"\n".to_owned()),
            ("base.txt", "1".to_owned()),
        ],
        task: "run = \"sh run.sh\"\ntimeout = \"60s\"\ngpus = 0\nmetric = { name = \"score\", goal = \"max\", pattern = 'score: ([0-9.]+)' }".to_owned(),
        tables: "[protocol]\nmatch = \"none\"\nbaseline = 2\nconfirm = 2\n[office]\nask = [\"land\"]\n".to_owned(),
        agents: vec![("ann", false)],
        scenario: "[[scripts]]\nagent = \"ann\"\n".to_owned()
            + &call("write", "path = \"base.txt\"\ncontent = \"5\"")
            + &call("hypothesis", claim)
            + &after("promoted", "done", "summary = \"done\""),
    };
    task.chart(world);
    let repo = world.at("task");
    git(world, &repo, &["init", "-q"]);
    git(world, &repo, &["add", "."]);
    git(world, &repo, &["commit", "-qm", "base"]);
    let run = task.play(world);
    let id = run.id();
    let to = ["land", "--onto", "won", "--run", &id];
    let branches = || git(world, &repo, &["branch", "--format=%(refname:short)"]).out;
    for _ in 0..2 {
        let parked = world.org(&to).refused(1);
        parked.naming(&["waits for an approval", "org approve a1"]);
    }
    assert_eq!(branches().trim(), "main");
    assert_eq!(run.of("approval.asked").len(), 1, "asked once");
    let said = world.org(&["status", "--run", &id, "--json"]).json();
    assert!(said["needs_you"].to_string().contains("land h1"), "{said}");
    world.org(&["approve", "a1", "--run", &id]).well();
    world.org(&to).well();
    assert_eq!(branches().trim(), "main\nwon");
}
