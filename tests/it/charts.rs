//! The charts that come with the program: each is in order, and each, pretended, comes to its end with
//! something that the lab has promoted.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::ground::{Run, TestEnvironment, project};

/// Those that other journeys bring to their end.
const ELSEWHERE: [&str; 5] = ["autoresearch", "codespeed", "demo", "nanochat", "smoke"];

/// One journey a chart, so that they run side by side.
macro_rules! charts {
    ($($name:ident),*) => {
        const HERE: &[&str] = &[$(stringify!($name)),*];
        $(#[test]
        fn $name() {
            to_its_end(stringify!($name));
        })*
    };
}

charts!(frugal, lab, pairs, solo1, solo8, synth, tinylm);

#[test]
fn every_chart_is_in_order_and_brought_to_its_end_somewhere() {
    let world = TestEnvironment::new();
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(project().join("orgs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|it| it == "toml") {
            let said = world.org(&["check", path.to_str().unwrap(), "--json"]);
            let said = said.json();
            assert_eq!(said["ok"], true, "{said}");
            found.insert(path.file_stem().unwrap().to_str().unwrap().to_owned());
        }
    }
    let mut known: BTreeSet<String> = ELSEWHERE.map(str::to_owned).into();
    known.extend(HERE.iter().map(|name| (*name).to_owned()));
    known.insert("random".to_owned());
    assert_eq!(found, known);
}

/// Brings a chart up, pretended, and down when all is done; gives its ledger.
fn ended(world: &TestEnvironment, chart: &str) -> (Run, Vec<Value>) {
    let chart = format!("orgs/{chart}.toml");
    let up = world.org(&["up", &chart, "--mock", "--headless", "--until", "done"]);
    up.well().naming(&["promoted"]);
    world.nothing_lives();
    let ledger = world.org(&["ledger", "--json"]).json();
    let status = world.org(&["status", "--json"]).json();
    assert_eq!(status["mock"], true);
    assert_eq!(status["needs_you"], Value::Array(Vec::new()), "{status}");
    (world.run(), ledger.as_array().unwrap().clone())
}

fn to_its_end(chart: &str) {
    let world = TestEnvironment::new();
    let (_, ledger) = ended(&world, chart);
    let promoted = ledger.iter().filter(|claim| claim["status"] == "promoted");
    assert!(promoted.count() >= 1, "{ledger:#?}");
}

/// The control without a model: nothing is asked and nothing is spent, every claim is a draw from its
/// ranges on the champion of its time, and no two draws are the same.
#[test]
fn random() {
    let world = TestEnvironment::new();
    let (run, ledger) = ended(&world, "random");
    let status = world.org(&["status", "--json"]).json();
    for agent in status["agents"].as_array().unwrap() {
        assert_eq!(
            (&agent["model"], &agent["provider"], &agent["usd"]),
            (&"random".into(), &Value::Null, &0.0.into()),
            "{agent}"
        );
        assert_eq!(agent["tokens"]["input"], 0, "{agent}");
    }
    // Two a seat.
    assert_eq!(ledger.len(), 16, "{ledger:#?}");
    let mut titles = BTreeSet::new();
    for claim in &ledger {
        let title = claim["title"].as_str().unwrap();
        let value = |name: &str| -> f64 {
            let (_, rest) = title.split_once(&format!("{name} = ")).unwrap();
            rest.split(',').next().unwrap().parse().unwrap()
        };
        assert!((5.0..=100.0).contains(&value("softcap")), "{title}");
        assert!((200.0..=20_000.0).contains(&value("lr_width")), "{title}");
        assert!(titles.insert(title.to_owned()), "drawn twice: {title}");
    }
    assert!(ledger.iter().any(|claim| claim["status"] == "promoted"));
    let prompt = world.org(&["prompt", "random-1"]).well();
    assert!(prompt.out.is_empty() && prompt.err.contains("asks no model"));
    // Every draw begins on a champion of the run, never on another draw.
    let mut champions = Vec::new();
    for event in &run.events() {
        match event["kind"].as_str() {
            Some("run.created") => champions.push(event["base"].clone()),
            Some("programme.advanced") => champions.push(event["commit"].clone()),
            Some("reply.received") => {
                for call in event["calls"].as_array().into_iter().flatten() {
                    let arguments = call["arguments"].as_str().unwrap();
                    let on = |champion: &Value| arguments.contains(champion.as_str().unwrap());
                    let lost = call["name"] == "shell" && !champions.iter().any(on);
                    assert!(!lost, "{arguments}: {champions:?}");
                }
            }
            _ => {}
        }
    }
}
