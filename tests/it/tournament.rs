//! A tournament from outside: scripted organisations whose order is known, and charts under equal
//! conditions, cut short and gone on with.

use std::fs;

use serde_json::Value;

use crate::ground::{Run, TestEnvironment, until};

fn ranking(told: &Value) -> Vec<&str> {
    let orgs = told["orgs"].as_array().unwrap().iter();
    orgs.map(|it| it["org"].as_str().unwrap()).collect()
}

#[test]
fn on_a_task_whose_truth_is_known_the_order_is_found() {
    let world = TestEnvironment::new();
    let words = ["tournament", "--task", "synth", "--repeats", "50", "--json"];
    let told = world.org(&words).json();
    assert_eq!(ranking(&told), ["reviewed", "careful", "greedy", "random"]);
    assert_eq!(told["anecdote"], false);
    for org in told["orgs"].as_array().unwrap() {
        assert_eq!(org["n"], 50);
        let [wrong, all] = [0, 1].map(|at| org["false_promotions"][at].as_u64().unwrap());
        assert!(all > 30 && wrong * 20 < all + 40, "{wrong} of {all}");
    }
    let differ = |it: &Value| it["same"] == false;
    assert!(!told["conditions"].as_array().unwrap().iter().any(differ));
    // What was written is what was said, and is the same once more.
    let dir = world.at("runs/tournaments");
    let id = fs::read_dir(&dir)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .file_name();
    let id = id.to_str().unwrap();
    let kept = fs::read_to_string(dir.join(id).join("comparison.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&kept).unwrap(), told);
    fs::remove_file(dir.join(id).join("comparison.txt")).unwrap();
    let again = world.org(&["tournament", "--resume", id, "--json"]).json();
    assert_eq!(again, told);
    let text = fs::read_to_string(dir.join(id).join("comparison.txt")).unwrap();
    assert!(
        text.contains("SCRIPTED") && text.contains("reviewed over careful"),
        "{text}"
    );
    // A control is added to whom it lacks, and other worlds are other matches.
    let words = [
        "tournament",
        "careful",
        "--task",
        "orgs/synth.toml",
        "--repeats",
        "2",
        "--json",
    ];
    let told = world.org(&words).json();
    let mut names = ranking(&told);
    names.sort_unstable();
    assert_eq!(names, ["careful", "random"]);
    let words = [&words[..], &["--seed", "77"]].concat();
    assert_ne!(world.org(&words).json()["orgs"], told["orgs"]);
}

#[test]
fn what_cannot_be_played_is_refused_before_anything_is_made() {
    let world = TestEnvironment::new();
    let (smoke, twin) = (
        world.chart("smoke.toml", &[]),
        world.chart("smoke.toml", &[]),
    );
    for (words, code, named) in [
        (vec!["careless", "--task", "synth"], 2, "careful"),
        (vec!["careful", "careful", "--task", "synth"], 2, "twice"),
        (vec!["--task", "synth", "--budget", "usd=5"], 2, "gpu_hours"),
        (vec![], 2, "no chart"),
        (
            vec![smoke.as_str(), twin.as_str()],
            2,
            "two charts are called",
        ),
        (
            vec![smoke.as_str(), "--budget", "gpu_hour=1"],
            2,
            "gpu_hours",
        ),
        (
            vec![smoke.as_str(), "--task", "nowhere.toml"],
            2,
            "nowhere.toml",
        ),
        (vec!["--resume", "abcde"], 1, "no tournament"),
        (vec![smoke.as_str(), "--repeats", "0"], 2, "repeats"),
    ] {
        let words: Vec<&str> = std::iter::once("tournament").chain(words).collect();
        world.org(&words).refused(code).naming(&[named]);
    }
    assert!(!world.at("runs/tournaments").exists());
    world.nothing_was_made();
}

#[test]
fn charts_meet_under_equal_conditions_and_go_on_after_a_cut() {
    let world = TestEnvironment::new();
    let one = world.chart("smoke.toml", &[]);
    let other = world.chart(
        "smoke.toml",
        &[
            ("\"smoke\"", "\"other\""),
            ("usd       = 50.0", "usd = 1.0"),
            ("alpha    = 0.01", "alpha = 0.05"),
        ],
    );
    let words = [
        "tournament",
        &one,
        &other,
        "--mock",
        "--repeats",
        "1",
        "--at-once",
        "2",
        "--budget",
        "usd=20,wall=20m",
    ];
    let mut child = world.start(&words);
    until("a first match", || {
        let begun = fs::read_dir(world.at("runs/tournaments"))
            .ok()?
            .next()?
            .ok()?;
        let lines = fs::read_to_string(begun.path().join("matches.jsonl")).ok()?;
        lines.lines().next().map(|_| ())
    });
    let id = fs::read_dir(world.at("runs/tournaments"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let id = id.file_name().to_str().unwrap().to_owned();
    world
        .org(&["tournament", "--resume", &id])
        .refused(1)
        .naming(&["is being played"]);
    child.kill().unwrap();
    child.wait().unwrap();
    let said = world.org(&["tournament", "--resume", &id, "--json"]);
    let told = said.json();
    let mut names = ranking(&told);
    names.sort_unstable();
    // The third is the control, with all of the budget; nobody declared a knob for the other.
    assert_eq!(names, ["other", "smoke", "solo1"]);
    for condition in told["conditions"].as_array().unwrap() {
        assert_eq!(
            condition["same"],
            condition["axis"] != "devices",
            "{told:#}"
        );
    }
    assert_eq!(
        told["conditions"][3]["values"][0]["value"],
        "20 usd, 2 GPU-hours, 0.3333 hours"
    );
    assert_eq!(
        (&told["mock"], &told["anecdote"]),
        (&true.into(), &true.into())
    );
    let runs = world.run_dirs();
    let runs: Vec<Run> = runs
        .into_iter()
        .filter(|dir| dir.join("events.jsonl").is_file())
        .map(Run::at)
        .collect();
    assert!(
        runs.len() <= 4,
        "at most the one that was being made is left: {runs:?}"
    );
    for org in told["orgs"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["org"] != "solo1")
    {
        assert!(org["gain"]["mean"].as_f64().unwrap() > 0.0, "{org:#}");
    }
    for run in &runs {
        world.org(&["down", &run.id()]);
    }
    world.nothing_lives();
}
