//! Organisations held against each other from outside: repeats, an anecdote, what is not alike, and what
//! has nothing in common.

use serde_json::Value;

use crate::ground::{Run, TestEnvironment, project};

/// Runs a chart to its end.
fn played(world: &TestEnvironment, chart: &str) -> String {
    let before = world.run_dirs();
    let words = ["up", chart, "--mock", "--headless", "--until", "done"];
    world.org(&words).well();
    newest(world, &before)
}

/// Starts a chart and ends it at once.
fn cut_short(world: &TestEnvironment, chart: &str) -> String {
    let before = world.run_dirs();
    world
        .org(&["up", chart, "--mock", "--headless", "--detach"])
        .well();
    let id = newest(world, &before);
    world.org(&["down", &id]).well();
    id
}

fn newest(world: &TestEnvironment, before: &[std::path::PathBuf]) -> String {
    let dirs = world.run_dirs();
    let new = dirs.into_iter().find(|dir| !before.contains(dir));
    Run::at(new.unwrap()).id()
}

fn named<'a>(told: &'a Value, org: &str) -> &'a Value {
    let orgs = told["orgs"].as_array().unwrap();
    orgs.iter().find(|it| it["org"] == org).unwrap()
}

#[test]
fn repeats_have_intervals_and_one_run_is_an_anecdote() {
    let world = TestEnvironment::new();
    let chart = world.chart("smoke.toml", &[]);
    let (one, two) = (played(&world, &chart), played(&world, &chart));
    let frugal = world.chart(
        "smoke.toml",
        &[
            ("usd       = 50.0", "usd = 40.0"),
            ("\"smoke\"", "\"frugal\""),
        ],
    );
    let three = cut_short(&world, &frugal);

    let told = world.org(&["compare", &one, &two, &three, "--json"]).json();
    assert_eq!(told["mock"], true);
    assert_eq!(told["anecdote"], true);
    assert_eq!(told["ranked_by"], "gain_per_gpu_hour");
    let smoke = named(&told, "smoke");
    assert_eq!(
        (&smoke["n"], &smoke["anecdote"]),
        (&2.into(), &false.into())
    );
    // What each run re-measured at its end, and not what its claims said.
    let own: Vec<f64> = [&one, &two]
        .map(|id| world.org(&["status", id, "--json"]).json()["headline"]["effect"].as_f64())
        .map(Option::unwrap)
        .to_vec();
    let mean = (own[0] + own[1]) / 2.0;
    assert!((smoke["gain"]["mean"].as_f64().unwrap() - mean).abs() < 1e-12);
    let [lo, hi] = [0, 1].map(|at| smoke["gain"]["ci"][at].as_f64().unwrap());
    assert!(lo <= mean && mean <= hi, "{smoke:#}");
    for figure in [
        "gain_per_wall_hour",
        "gain_per_gpu_hour",
        "gain_per_usd",
        "area_gpu_hours",
    ] {
        assert!(
            smoke[figure]["mean"].as_f64().unwrap() > 0.0,
            "{figure}: {smoke:#}"
        );
    }
    assert!(smoke["half_wall_hours"]["mean"].as_f64().unwrap() > 0.0);
    assert_eq!(
        smoke["false_promotion_rate"],
        Value::Null,
        "nobody knows the truth here"
    );
    let share = smoke["utilisation"]["mean"].as_f64().unwrap();
    assert!(share > 0.0 && share <= 1.0);
    let frugal = named(&told, "frugal");
    assert_eq!(
        (&frugal["n"], &frugal["anecdote"]),
        (&1.into(), &true.into())
    );
    let differ: Vec<&str> = told["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["same"] == false)
        .map(|it| it["axis"].as_str().unwrap())
        .collect();
    assert_eq!(differ, ["budget"]);

    let said = world.org(&["compare", &one, &two, &three]).well();
    said.naming(&[
        "MOCKED",
        "ANECDOTE: frugal was run once",
        "NOT ALIKE in budget: 50 usd",
        "not re-measured, or nothing was spent",
    ]);
    let alike = world.org(&["compare", &one, &two]).well().out;
    assert!(
        !alike.contains("ANECDOTE") && !alike.contains("NOT ALIKE"),
        "{alike}"
    );
}

#[test]
fn what_has_nothing_in_common_is_refused_axis_by_axis() {
    let world = TestEnvironment::new();
    let one = cut_short(&world, &world.chart("smoke.toml", &[]));
    let other = world.chart("smoke.toml", &[("python3 train.py", "python3 -u train.py")]);
    let two = cut_short(&world, &other);
    world.org(&["compare", &one, &two]).refused(1).naming(&[
        "differ in task",
        "python3 -u train.py",
        &one,
        &two,
        "--anyway",
    ]);
    let said = world.org(&["compare", &one, &two, "--anyway"]).well();
    said.naming(&["NOT ALIKE in task"]);
    // Badly asked.
    world.org(&["compare", &one]).refused(2);
    world
        .org(&["compare", &one, &one])
        .refused(2)
        .naming(&["named twice"]);
    world
        .org(&["compare", &one, "nobody"])
        .refused(1)
        .naming(&["nobody"]);
}

#[test]
fn where_the_truth_is_known_false_promotions_are_counted() {
    let world = TestEnvironment::new();
    let chart = project().join("orgs/synth.toml").display().to_string();
    let (one, two) = (played(&world, &chart), cut_short(&world, &chart));
    let told = world.org(&["compare", &one, &two, "--json"]).json();
    let synth = named(&told, "synth");
    let [wrong, all] = [0, 1].map(|at| synth["false_promotions"][at].as_u64().unwrap());
    assert!(all >= 2 && wrong == 0, "{synth:#}");
    assert_eq!(synth["false_promotion_rate"]["mean"], 0.0);
}
