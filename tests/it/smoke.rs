//! The smallest organisation from its chart to its report, without a terminal.

use serde_json::Value;

use crate::ground::{TestEnvironment, picture, project};

#[test]
fn an_organisation_runs_to_its_end_and_leaves_nothing_but_its_result() {
    let world = TestEnvironment::new();
    let source = project().join("examples/smoke");
    let before = picture(&source);
    let up = world.org(&[
        "up",
        "orgs/smoke.toml",
        "--mock",
        "--headless",
        "--until",
        "done",
    ]);
    let up = up.well();
    let run = world.run();
    assert!(up.out.contains(&run.id()), "{up}");
    world.nothing_lives();
    assert_eq!(picture(&source), before, "the source was touched");

    let runs = world.org(&["ls", "--json"]).json();
    assert_eq!(runs.as_array().unwrap().len(), 1);
    assert_eq!(
        (&runs[0]["run"], &runs[0]["org"]),
        (&run.id().into(), &"smoke".into())
    );
    assert_eq!(runs[0]["state"], "stopped");
    status_is_calm(&world.org(&["status", "--json"]).json());
    ledger_rests_on_runs(&world.org(&["ledger", "--json"]).json());

    let report = world.org(&["report"]).well();
    report.naming(&["MOCK", "h1", "promoted", "raise the step size tenfold"]);
    let again = world.org(&["down", &run.id()]).well();
    assert!(again.err.contains("down already"), "{again}");
}

fn status_is_calm(status: &Value) {
    assert_eq!(status["state"], "stopped", "{status}");
    assert_eq!(status["supervisor"]["alive"], false);
    assert_eq!(
        (&status["mock"], &status["tmux"]),
        (&true.into(), &Value::Null)
    );
    let agents = status["agents"].as_array().unwrap();
    assert_eq!(agents.len(), 2);
    for agent in agents {
        assert_eq!(agent["state"], "stopped", "{agent}");
        assert_eq!(
            (&agent["pid"], &agent["pane"]),
            (&Value::Null, &Value::Null)
        );
        assert!(agent["turns"].as_u64().unwrap() >= 1, "{agent}");
        assert_eq!(agent["unread"], 0, "{agent}");
    }
    assert_eq!(status["experiments"]["queued"], 0);
    assert_eq!(status["experiments"]["running"], 0);
    assert_eq!(status["hypotheses"]["promoted"], 1);
    assert_eq!(status["best"]["hypothesis"], "h1");
    assert_eq!(status["needs_you"], Value::Array(Vec::new()));
}

fn ledger_rests_on_runs(ledger: &Value) {
    let promoted: Vec<&Value> = ledger
        .as_array()
        .unwrap()
        .iter()
        .filter(|claim| claim["status"] == "promoted")
        .collect();
    let [claim] = promoted.as_slice() else {
        panic!("not one promoted: {ledger}");
    };
    assert!(claim["effect"].as_f64().unwrap() > 1.0, "{claim}");
    assert!(claim["ci"][0].as_f64().unwrap() > 0.0, "{claim}");
    let runs = claim["runs"].as_array().unwrap();
    let count = |arm: &str, stage: &str| {
        runs.iter()
            .filter(|run| run["arm"] == arm && run["stage"] == stage)
            .count()
    };
    assert!(count("baseline", "admission") >= 6, "{claim}");
    assert!(count("candidate", "confirm") >= 4, "{claim}");
    for run in runs {
        assert_eq!(run["status"], "ok", "{run}");
        assert!(run["metric"].is_f64() && run["seed"].is_u64(), "{run}");
    }
    let n = claim["candidate"]["n"].as_u64().unwrap();
    assert!(
        n >= 4 && claim["baseline"]["n"].as_u64().unwrap() >= 4,
        "{claim}"
    );
}
