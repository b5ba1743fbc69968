//! What the chart parks waits for a person's word, and for nothing else.

use serde_json::Value;

use crate::ground::{Run, TestEnvironment};

/// The smoke run with something to ask about.
fn asking(world: &TestEnvironment, ask: &str) -> Run {
    let chart = world.chart(
        "smoke.toml",
        &[("[office]", &format!("[office]\nask = [{ask:?}]"))],
    );
    let words = ["up", &chart, "--mock", "--headless", "--detach"];
    world.org(&words).well();
    world.run()
}

fn claim(world: &TestEnvironment) -> Value {
    world.org(&["ledger", "--json"]).json()[0].clone()
}

#[test]
fn a_win_is_promoted_when_a_person_says_so_and_not_before() {
    let world = TestEnvironment::new();
    let run = asking(&world, "promote");
    world
        .org(&["approve", "h1"])
        .refused(1)
        .naming(&["h1", "nothing waits for your approval"]);
    world
        .org(&["wait", "--for", "needs-you", "--timeout", "3m"])
        .well()
        .naming(&["promote h1"]);
    assert_eq!(claim(&world)["status"], "confirmed");
    let status = world.org(&["status", "--json"]).json();
    let need = &status["needs_you"][0];
    assert_eq!(need["agent"], claim(&world)["agent"], "{status}");
    assert!(
        need["reason"]
            .as_str()
            .unwrap()
            .contains("waits for your approval to promote h1")
    );
    assert_eq!(status["state"], "running");
    assert_eq!(status["reason"], "h1 waits for your approval");
    world
        .org(&["next"])
        .well()
        .naming(&["promote h1", "type: org approve h1"]);
    world
        .org(&["approve"])
        .well()
        .naming(&["h1  for", "promote h1"]);
    for (words, names) in [
        (["approve", "h2"], ["nobody has asked", "what waits: h1"]),
        (["approve", "a9"], ["nobody has asked", "what waits: h1"]),
        (
            ["deny", "everything"],
            ["nobody has asked", "what waits: h1"],
        ),
    ] {
        world.org(&words).refused(1).naming(&names);
    }
    let long = "x".repeat(501);
    world
        .org(&["deny", "h1", "--reason", &long])
        .refused(2)
        .naming(&["longer than 500"]);

    // Asked once, by the log, whoever comes and goes.
    world.org(&["down"]).well();
    world.org(&["up", "--resume", &run.id(), "--detach"]).well();
    assert_eq!(claim(&world)["status"], "confirmed");
    let said = world
        .org(&["approve", "h1", "--reason", "looks right"])
        .well();
    said.naming(&["h1 approved", "promote h1"]);
    world
        .org(&["wait", "h1", "--for", "promoted", "--timeout", "3m"])
        .well();
    assert_eq!(run.of("approval.asked").len(), 1);
    let decided = &run.of("approval.decided")[0];
    assert_eq!(
        (&decided["actor"], &decided["reason"]),
        (&"human".into(), &"looks right".into())
    );
    world
        .org(&["deny", "h1"])
        .refused(1)
        .naming(&["h1 was approved", "that stands"]);
    world
        .org(&["wait", "--timeout", "3m"])
        .well()
        .naming(&["is done"]);
    let status = world.org(&["status", "--json"]).json();
    assert_eq!(status["needs_you"], Value::Array(Vec::new()));
    // To end a run and to go on with it is none of its work.
    assert_eq!(status["interventions"], 1, "{status}");
    world.org(&["down"]).well();
    world.nothing_lives();
}

#[test]
fn a_win_that_a_person_denies_is_vetoed_and_its_author_hears_why() {
    let world = TestEnvironment::new();
    asking(&world, "promote");
    world
        .org(&["wait", "--for", "needs-you", "--timeout", "3m"])
        .well();
    world
        .org(&["deny", "a1", "--reason", "too clever"])
        .well()
        .naming(&["h1 denied"]);
    let said = world.org(&["wait", "h1", "--for", "promoted"]).refused(1);
    said.naming(&["h1 is vetoed: denied by a person: too clever"]);
    let ledger = claim(&world);
    assert_eq!(ledger["status"], "vetoed", "{ledger}");
    let author = ledger["agent"].as_str().unwrap();
    let mails = world.org(&["inbox", author, "--json"]).json();
    let told = |mail: &Value| {
        mail["subject"] == "h1 vetoed" && mail["body"].to_string().contains("too clever")
    };
    assert!(mails.as_array().unwrap().iter().any(told), "{mails}");
    world
        .org(&["approve", "h1"])
        .refused(1)
        .naming(&["h1 was denied"]);
    world.org(&["down"]).well();
    world.nothing_lives();
}

#[test]
fn spending_on_is_asked_for_and_a_denial_holds() {
    let world = TestEnvironment::new();
    let run = asking(&world, "spend > 0.01 usd");
    world
        .org(&["wait", "--for", "needs-you", "--timeout", "3m"])
        .well()
        .naming(&["to spend on"]);
    assert_eq!(
        run.of("request.reserved").len(),
        0,
        "asked before anything is spent"
    );
    let status = world.org(&["status", "--json"]).json();
    assert_eq!(status["reason"], "a1 waits for your approval");
    assert!(
        status["agents"]
            .as_array()
            .unwrap()
            .iter()
            .any(|it| it["state"] == "held")
    );
    world.org(&["approve", "a1"]).well();
    let asked = |events: &[Value], n: usize| {
        let asked = events.iter().filter(|it| it["kind"] == "approval.asked");
        (asked.count() == n).then_some(())
    };
    run.wait_for("the next question", |events| asked(events, 2));
    assert!(
        !run.of("request.reserved").is_empty(),
        "an approval lets at least one request go on"
    );
    world.org(&["deny", "a2", "--reason", "enough"]).well();
    let held = run.wait_for("somebody held", |events| {
        events.iter().find(|it| it["kind"] == "agent.held").cloned()
    });
    assert_eq!(held["reason"], "to spend on was denied by a person: enough");
    // To let one go on is to be asked anew.
    world
        .org(&["restart", held["agent"].as_str().unwrap()])
        .well();
    run.wait_for("a third question", |events| asked(events, 3));
    world.org(&["down"]).well();
    world.nothing_lives();
}

#[test]
fn until_done_says_what_it_waits_for() {
    let world = TestEnvironment::new();
    let chart = world.chart(
        "smoke.toml",
        &[("[office]", "[office]\nask = [\"promote\"]")],
    );
    let words = ["up", &chart, "--mock", "--headless", "--until", "done"];
    let mut up = world.start(&words);
    let said = crate::ground::until("the question", || {
        let said = std::fs::read_to_string(world.at("start.err")).ok()?;
        said.contains("org approve h1").then_some(said)
    });
    assert!(said.contains("needs you: "), "{said}");
    world.org(&["approve", "h1"]).well();
    assert!(up.wait().unwrap().success());
    world.nothing_lives();
}

#[test]
fn a_person_reviews_where_the_chart_asks_for_one() {
    for (word, end) in [("approve", "promoted"), ("deny", "vetoed")] {
        let world = TestEnvironment::new();
        let prompt = crate::ground::project().join("prompts/review.md");
        let process = format!(
            "[[processes]]\nname = \"review\"\non = \"hypothesis.confirmed\"\nby = \"human\"\n\
             prompt = \"{}\"\n\n[office]",
            prompt.display()
        );
        let chart = world.chart("smoke.toml", &[("[office]", &process)]);
        let words = ["up", &chart, "--mock", "--headless", "--detach"];
        world.org(&words).well();
        let run = world.run();
        let needs = ["wait", "--for", "needs-you", "--timeout", "3m"];
        world
            .org(&needs)
            .well()
            .naming(&["h1 waits for your review"]);
        world
            .org(&["approve"])
            .well()
            .naming(&["h1  for", "review"]);
        let said = world
            .org(&[word, "h1", "--reason", "I ran it myself"])
            .well();
        said.naming(&["h1 ", "in its review"]);
        let goal = if end == "promoted" {
            "promoted"
        } else {
            "result"
        };
        let reached = world
            .org(&["wait", "h1", "--for", goal, "--timeout", "3m"])
            .well();
        assert_eq!(reached.out, format!("h1 {end}\n"));
        let review = &run.of("review.given")[0];
        assert_eq!(
            (&review["actor"], &review["reason"]),
            (&"human".into(), &"I ran it myself".into())
        );
        world
            .org(&["deny", "h1"])
            .refused(1)
            .naming(&["nobody has asked"]);
        world.org(&["down"]).well();
        world.nothing_lives();
    }
}
