//! A person's own change through the gate, and what a budget can decide: from her repository, without
//! an agent and without a key. The task's metric depends on nothing but the file that may be edited,
//! so that each verdict has one possible outcome.

use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::ground::{Said, TestEnvironment, picture, until, write};
use crate::task::git;

/// A tenth of a second a run. With `LOUD` the seed moves the metric, by as much in either arm.
const TASK: &str = r#"
. ./config
echo "flops: $FLOPS"
sleep "${SLEEP:-0.05}"
i=0; while [ "$i" -lt "$BURN" ]; do i=$((i + 1)); done
if [ "$LATE" -gt 0 ] && [ "${ORG_EXPERIMENT#e}" -ge "$LATE" ]; then exit 7; fi
if [ -n "$BROKEN" ]; then echo "no such layer" >&2; exit 3; fi
echo "loss: $(( LOSS * 100 - A * 100 + ORG_SEED % 97 * LOUD ))"
"#;

const CONFIG: &str = "LOSS=9\nFLOPS=1000\nA=0\nB=0\nLOUD=0\nLATE=0\nBROKEN=\nSLEEP=0.05\nBURN=0\n";

const CHART: &str = r#"version = 1
name = "trial"
[task]
repo = "repo"
base = "main"
run = "sh train.sh"
timeout = "60s"
gpus = 0
metric = { name = "loss", goal = "min", pattern = 'loss: ([0-9.]+)' }
protect = ["train.sh"]
editable = ["config"]
[task.measure]
flops = 'flops: (\d+)'
[protocol]
match = "flops"
guards = {}
baseline = 3
confirm = 2
[budget]
wall = "1h"
"#;

pub(crate) struct Ground {
    pub(crate) world: TestEnvironment,
    pub(crate) chart: String,
    pub(crate) repo: PathBuf,
}

impl Ground {
    pub(crate) fn new() -> Self {
        Self::with(CONFIG)
    }

    fn with(config: &str) -> Self {
        let world = TestEnvironment::new();
        let repo = world.at("repo");
        write(&repo.join("train.sh"), TASK);
        write(&repo.join("config"), config);
        git(&world, &repo, &["init", "-q"]);
        git(&world, &repo, &["add", "."]);
        git(&world, &repo, &["commit", "-qm", "base"]);
        write(&world.at("trial.toml"), CHART);
        let chart = world.at("trial.toml").display().to_string();
        Self { world, chart, repo }
    }

    /// A branch on which some settings are others.
    pub(crate) fn branch(&self, name: &str, changes: &[(&str, &str)]) {
        let config = self.repo.join("config");
        let mut text = std::fs::read_to_string(&config).unwrap();
        for (old, new) in changes {
            assert!(text.contains(old), "{old}");
            text = text.replace(old, new);
        }
        git(&self.world, &self.repo, &["checkout", "-qb", name]);
        write(&config, text);
        git(&self.world, &self.repo, &["commit", "-qam", name]);
        git(&self.world, &self.repo, &["checkout", "-q", "main"]);
    }

    pub(crate) fn tried(&self, branch: &str, words: &[&str]) -> Said {
        let mut all = vec!["try", self.chart.as_str(), branch, "--title", branch];
        all.extend(words);
        self.world.org(&all)
    }
}

fn entry(said: &Said) -> Value {
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said}"))
}

#[test]
fn a_change_of_ones_own_is_promoted_and_the_repository_stays_as_it_was() {
    let ground = Ground::new();
    ground.branch("better", &[("LOSS=9", "LOSS=8")]);
    let before = picture(&ground.repo);
    let said = ground.tried("better", &[]).well();
    let said = said.naming(&[
        "PROMOTED",
        "it holds on fresh seeds",
        "gain",
        "baseline",
        "left",
    ]);
    assert!(said.err.contains("admission"), "progress: {said}");
    assert_eq!(picture(&ground.repo), before, "her repository");
    ground.world.nothing_lives();
    let run = ground.world.run().id();
    let ledger = ground.world.org(&["ledger", &run, "--json"]).json();
    assert_eq!(ledger[0]["agent"], "human");
    assert_eq!(ledger[0]["status"], "promoted");
    // As JSON, and from what is checked out.
    git(&ground.world, &ground.repo, &["checkout", "-q", "better"]);
    let words = [
        "try",
        &ground.chart,
        "--title",
        "again",
        "--claim",
        "no_worse",
        "--json",
    ];
    let said = ground.world.org(&words).well();
    let entry = entry(&said);
    assert_eq!(entry["status"], "promoted", "{said}");
    assert_eq!(entry["claim"], "no_worse");
    assert!(
        entry["run"]
            .as_str()
            .is_some_and(|run| run.starts_with("trial-"))
    );
}

#[test]
fn what_is_not_so_is_refused_with_its_reason() {
    let ground = Ground::with(&CONFIG.replace("LOUD=0", "LOUD=9"));
    ground.branch(
        "wider",
        &[
            ("LOSS=9", "LOSS=7"),
            ("FLOPS=1000", "FLOPS=3000"),
            ("SLEEP=0.05", "SLEEP=50"),
        ],
    );
    ground.branch("same", &[("B=0", "B=1")]);
    ground.branch("worse", &[("LOSS=9", "LOSS=10")]);
    ground.branch("slip", &[("BROKEN=", "BROKEN=1")]);
    let refused = |branch: &str, words: &[&str], status: &str, named: &[&str]| {
        let mut words = words.to_vec();
        words.push("--json");
        let said = ground.tried(branch, &words).refused(1).naming(named);
        let entry = entry(&said);
        assert_eq!(entry["status"], status, "{said}");
        entry
    };
    let wider = refused("wider", &[], "mismatched", &["flops", "3.00 times"]);
    let runs = wider["runs"].as_array().unwrap();
    let own = runs.iter().filter(|run| run["arm"] == "candidate");
    let own: Vec<&Value> = own.collect();
    assert_eq!(own.len(), 1, "{wider}");
    // It says at once what it will cost, and is ended there.
    let took = own[0]["wall_s"].as_f64().unwrap();
    assert!(took < 25.0, "before its budget is spent: {wider}");
    refused("same", &[], "parked", &["no gain at the screen"]);
    // One loss of a hundred in every pair, where seeds differ by far more: seen only pair by pair.
    let words = ["--claim", "no_worse", "--margin", "50"];
    let worse = refused("worse", &words, "refuted", &["excludes", "paired"]);
    assert!(
        worse["effect"]
            .as_f64()
            .is_some_and(|it| (it + 100.0).abs() < 1e-6)
    );
    refused("slip", &[], "crashed", &["exit status 3"]);
    git(&ground.world, &ground.repo, &["checkout", "-qb", "ruler"]);
    write(&ground.repo.join("train.sh"), "echo 'loss: 1'\n");
    git(&ground.world, &ground.repo, &["commit", "-qam", "ruler"]);
    refused("ruler", &[], "rejected", &["train.sh is protected"]);
    let nowhere = ground.tried("nowhere", &[]);
    nowhere.refused(1).naming(&["nowhere", "wider"]);
    ground.world.nothing_lives();
}

#[test]
fn flops_that_the_time_does_not_bear_out_are_no_match() {
    let ground = Ground::new();
    // Ten times the work, by whatever it prints.
    ground.branch("forged", &[("LOSS=9", "LOSS=8"), ("BURN=0", "BURN=900000")]);
    let said = ground.tried("forged", &["--json"]).refused(1);
    let entry = entry(&said);
    assert_eq!(entry["status"], "mismatched", "{said}");
    let why = entry["reason"].as_str().unwrap();
    assert!(
        why.contains("its own word") && why.contains("CPU seconds"),
        "{why}"
    );
    assert_eq!(entry["ratios"]["flops"], 1.0, "{said}");
}

#[test]
fn a_large_effect_of_which_no_size_was_said_is_found_with_few_seeds() {
    let ground = Ground::with(&CONFIG.replace("LOUD=0", "LOUD=1"));
    write(
        &ground.world.at("trial.toml"),
        CHART.replace("confirm = 2\n", ""),
    );
    ground.branch("better", &[("LOSS=9", "LOSS=8")]);
    let entry = entry(&ground.tried("better", &["--json"]).well());
    assert_eq!(entry["status"], "promoted", "{entry}");
    // One sigma, which is what is looked for at most, would take more than a dozen.
    assert_eq!(entry["candidate"]["n"], 4, "{entry}");
}

#[test]
fn a_part_that_does_no_work_is_dropped() {
    let ground = Ground::new();
    ground.branch("bundle", &[("A=0", "A=1"), ("B=0", "B=1")]);
    let said = ground
        .tried("bundle", &["--part", "A=", "--part", "B="])
        .well();
    said.naming(&["PROMOTED", "dropped", "B="]);
    let run = ground.world.run();
    let trimmed = run.of("hypothesis.trimmed");
    assert_eq!(trimmed.len(), 1);
    assert_eq!(trimmed[0]["trim"]["part"], "B=");
    let advanced = run.of("programme.advanced");
    let commit = advanced[0]["commit"].as_str().unwrap();
    let repo = run.path("repo.git");
    let shown = git(&ground.world, &repo, &["show", &format!("{commit}:config")]);
    assert!(shown.out.contains("A=1\nB=0\n"), "{shown}");
    let nothing = ground.tried("bundle", &["--part", "A=", "--part", "no such line"]);
    nothing.refused(1).naming(&["no such line"]);
}

#[test]
fn a_promotion_that_does_not_hold_is_taken_back() {
    let ground = Ground::new();
    // Nothing that is matched is the candidate's own word, so that no run is made again for its seconds.
    let chart = CHART.replace("match = \"flops\"", "match = \"none\"");
    write(&ground.world.at("trial.toml"), chart);
    // Admission, screen, confirmation and the repeat of the screen end with e10; what comes after crashes.
    ground.branch("flaky", &[("LOSS=9", "LOSS=8"), ("LATE=0", "LATE=11")]);
    // Told at its promotion, or a moment later.
    let said = ground.tried("flaky", &[]);
    assert!(said.code <= 1, "{said}");
    let run = ground.world.run();
    let up = ["up", "--resume", &run.id(), "--headless", "--until", "done"];
    ground.world.org(&up).well();
    let ledger = ground.world.org(&["ledger", &run.id(), "--json"]).json();
    assert_eq!(ledger[0]["status"], "rolled_back", "{ledger}");
    assert_eq!(run.of("programme.advanced").len(), 1);
    let back = run.of("programme.rolled_back");
    let created = run.of("run.created");
    assert_eq!(back[0]["commit"], created[0]["base"]);
    let repo = run.path("repo.git");
    let tip = git(&ground.world, &repo, &["rev-parse", "programme"]);
    assert_eq!(Value::from(tip.out.trim()), created[0]["base"]);
    ground.world.nothing_lives();
}

#[test]
fn a_trial_that_is_cut_short_goes_on_where_it_stopped() {
    let ground = Ground::new();
    ground.branch("slow", &[("LOSS=9", "LOSS=8"), ("SLEEP=0.05", "SLEEP=0.3")]);
    let words = ["try", &ground.chart, "slow", "--title", "slow"];
    let mut child = ground.world.start(&words);
    let run = until("a run", || {
        let dirs = ground.world.run_dirs();
        let begun = dirs.iter().any(|dir| dir.join("events.jsonl").exists());
        begun.then(|| ground.world.run())
    });
    run.wait_for("the screen", |events| {
        events
            .iter()
            .any(|event| event["kind"] == "experiment.queued" && event["stage"] == "screen")
            .then_some(())
    });
    let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let said = std::fs::read_to_string(ground.world.at("start.err")).unwrap();
    assert!(said.contains("org try --resume"), "{said}");
    ground.world.nothing_lives();
    let said = ground.world.org(&["try", "--resume", &run.id()]).well();
    said.naming(&["PROMOTED"]);
    let admission = run.of("experiment.queued");
    let admission = admission.iter().filter(|it| it["stage"] == "admission");
    assert_eq!(admission.count(), 4, "nothing is measured twice");
}

#[test]
fn a_plan_says_what_the_budget_decides_and_leaves_nothing() {
    let ground = Ground::with(&CONFIG.replace("LOUD=0", "LOUD=1"));
    let before = picture(&ground.repo);
    let plan = ground.world.org(&["plan", &ground.chart, "--json"]).json();
    assert_eq!(plan["measured"]["runs"], 1);
    assert!(
        plan["measured"]["wall_s"]
            .as_f64()
            .is_some_and(|it| it > 0.0)
    );
    assert!(plan["noise"].is_null() && plan["smallest_effect"]["effect"].is_null());
    assert!(plan["runs"].as_u64().is_some_and(|it| it > 100), "{plan}");
    assert!(
        !plan["warnings"].as_array().unwrap().is_empty(),
        "two seeds decide little"
    );
    ground.world.nothing_was_made();
    assert_eq!(picture(&ground.repo), before);
    let plan = ground
        .world
        .org(&["plan", &ground.chart, "--runs", "3", "--json"])
        .json();
    let sigma = plan["noise"]["sigma"].as_f64().unwrap();
    assert!(sigma > 1.0, "{plan}");
    let seeds = |plan: &Value, at: usize| plan["sizes"][at]["seeds"].as_u64().unwrap();
    assert!(seeds(&plan, 0) < seeds(&plan, 4));
    ground
        .world
        .org(&["plan", &ground.chart])
        .well()
        .naming(&["smallest", "sigma", "budget"]);
    // A run's own admission knows the noise without measuring anything.
    ground.branch("better", &[("LOSS=9", "LOSS=1")]);
    ground.tried("better", &[]).well();
    let run = ground.world.run().id();
    let plan = ground
        .world
        .org(&["plan", &ground.chart, "--run", &run, "--json"])
        .json();
    assert_eq!(plan["measured"]["from"], run.as_str());
    assert_eq!(plan["noise"]["test"], "paired");
    assert_eq!(plan["noise"]["same_seed"], 0.0, "{plan}");
    let a_a = plan["noise"]["a_a"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&a_a), "{plan}");
}

#[test]
fn a_baseline_that_crashes_is_said_to() {
    let ground = Ground::with(&CONFIG.replace("BROKEN=", "BROKEN=1"));
    ground.branch("fixed", &[("BROKEN=1", "BROKEN=")]);
    let named = ["exit status 3", "no such layer"];
    let said = ground.world.org(&["plan", &ground.chart]);
    said.refused(1).naming(&named);
    ground.world.nothing_was_made();
    let said = ground.tried("fixed", &[]).refused(1);
    said.naming(&[
        "the baseline itself ended crashed",
        "exit status 3",
        "invalid",
    ]);
}
