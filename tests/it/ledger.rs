//! The ledger from outside: one attempt, two compared, the tips, and what happens to whoever rewrites
//! it.

use std::fs;

use serde_json::Value;

use crate::ground::{Run, TestEnvironment, write};

/// A finished run of the smallest organisation.
fn finished(world: &TestEnvironment) -> Run {
    let words = [
        "up",
        "orgs/smoke.toml",
        "--mock",
        "--headless",
        "--until",
        "done",
    ];
    world.org(&words).well();
    world.run()
}

#[test]
fn an_attempt_is_shown_compared_and_found_among_the_tips() {
    let world = TestEnvironment::new();
    let empty = world.org(&["ledger", "show", "h1"]).refused(1);
    empty.naming(&["there is no run"]);
    let run = finished(&world);

    let shown = world.org(&["ledger", "show", "h1"]).well();
    shown.naming(&[
        "h1  promoted",
        "95 % interval",
        "admission",
        "confirm",
        "measured by",
    ]);
    let claim = world.org(&["ledger", "show", "h1", "--json"]).json();
    let list = world.org(&["ledger", "--json"]).json();
    assert_eq!(claim, list[0], "one entry is what the list has of it");
    let commit = claim["commit"].as_str().unwrap();
    let by_commit = world
        .org(&["ledger", "show", &commit[..10], "--json"])
        .json();
    assert_eq!(by_commit, claim);
    let id = claim["runs"][0]["id"].as_str().unwrap();
    let measured = world.org(&["ledger", "show", id, "--json"]).json();
    assert_eq!(measured["metric"], claim["runs"][0]["metric"]);
    assert!(!measured["tail"].as_str().unwrap().is_empty(), "{measured}");

    let own = world.org(&["ledger", "diff", "h1"]).well();
    assert!(
        own.out.contains("\n+") && own.out.contains("diff --git"),
        "{own}"
    );
    assert!(
        !own.out.contains('\u{1b}'),
        "no colour without a terminal: {own}"
    );
    let same = world.org(&["ledger", "diff", "h1", "h1"]).well();
    assert!(
        same.out.is_empty() && same.err.contains("same files"),
        "{same}"
    );
    let two = world.org(&["ledger", "diff", "h1", id, "--json"]).json();
    assert_eq!(
        (&two["from"]["id"], &two["to"]["id"]),
        (&"h1".into(), &id.into())
    );
    assert!(!two["files"].as_array().unwrap().is_empty(), "{two}");

    let leaves = world
        .org(&["ledger", "leaves", "--json", "--run", &run.id()])
        .json();
    assert_eq!(
        (&leaves[0]["id"], &leaves[0]["champion"]),
        (&"h1".into(), &true.into())
    );
    world
        .org(&["ledger", "leaves"])
        .well()
        .naming(&["champion", "val_loss"]);

    let unknown = world.org(&["ledger", "show", "h11"]).refused(1);
    unknown.naming(&["h11", "did you mean \"h1\"?"]);
    world
        .org(&["ledger", "diff", "h1", "zebra"])
        .refused(1)
        .naming(&["zebra", "h1"]);
    world
        .org(&["ledger", "h1"])
        .refused(1)
        .naming(&["org ledger show h1"]);
    world.org(&["ledger", "diff"]).refused(2);
}

#[test]
fn a_ledger_that_was_rewritten_is_told_from_one_that_was_not() {
    let world = TestEnvironment::new();
    let run = finished(&world);
    let whole = world.org(&["ledger", "--verify", "--json"]).json();
    assert_eq!(
        (&whole["whole"], &whole["broken"]),
        (&true.into(), &Value::Null)
    );
    let head = whole["head"].as_str().unwrap().to_owned();
    let noted = world.org(&["ledger", "--verify", "--head", &head]).well();
    assert!(noted.out.contains(&head), "{noted}");
    let other = "ab".repeat(32);
    world
        .org(&["ledger", "--verify", "--head", &other])
        .refused(1)
        .naming(&["no entry of that hash"]);

    // Somebody makes a result better than it was.
    let text = fs::read_to_string(run.path("events.jsonl")).unwrap();
    let finished = run.of("experiment.finished");
    let seq = finished[1]["seq"].as_u64().unwrap();
    let better = |line: &str| {
        if line.contains(&format!("\"seq\":{seq},")) {
            let value = finished[1]["measured"]["value"].to_string();
            line.replace(&format!("\"value\":{value}"), "\"value\":0.001")
        } else {
            line.to_owned()
        }
    };
    let forged: Vec<String> = text.lines().map(better).collect();
    write(
        &run.path("events.jsonl"),
        format!("{}\n", forged.join("\n")),
    );
    let said = world.org(&["ledger", "--verify"]).refused(1);
    said.naming(&[
        "changed after it was written",
        &format!("event {seq} is now"),
    ]);
    let json = world.org(&["ledger", "--verify", "--json"]);
    assert_eq!(json.code, 1, "{json}");
    let found: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(found["broken"]["after"], seq);
    // It can still be read, and says so first.
    let list = world.org(&["ledger"]).well();
    assert!(list.err.starts_with("CHANGED"), "{list}");
    write(&run.path("events.jsonl"), text);
    world.org(&["ledger", "--verify"]).well();
}
