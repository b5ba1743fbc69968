//! Conversations over hours: a cap for the hour, habits that lead nowhere, nobody with anything to do, and
//! another model in the middle of it.

use std::fs;

use serde_json::Value;

use crate::ground::{Run, TestEnvironment};
use crate::minds::{shell, world};

/// The text of a request's new items.
fn request(run: &Run, event: &Value) -> String {
    let items = event["items"].as_array().unwrap().iter();
    let texts: Vec<String> = items
        .map(|item| {
            let blob = item.as_str().unwrap();
            fs::read_to_string(run.path("blobs").join(&blob[..2]).join(&blob[2..])).unwrap()
        })
        .collect();
    texts.join("\n")
}

fn requests(run: &Run, agent: &str) -> Vec<Value> {
    let mut all = run.of("request.reserved");
    all.retain(|event| event["agent"] == agent);
    all
}

fn up(chart: &str, world: &TestEnvironment) -> Run {
    let words = ["up", chart, "--mock", "--headless", "--detach"];
    world.org(&words).well();
    world.run()
}

fn held(run: &Run, agent: &str) -> Value {
    run.wait_for(&format!("{agent} is held"), |events| {
        let held = |it: &&Value| it["kind"] == "agent.held" && it["agent"] == agent;
        events.iter().find(held).cloned()
    })
}

#[test]
fn an_hour_has_its_own_cap_which_time_refills_or_a_person() {
    // A reply costs 0.1004 dollars; the sixth does not fit into the hour.
    let usage = "[scripts.steps.usage]\ninput = 100\noutput = 5_000\n";
    let steps: String = (0..8).map(|n| shell(n, "strange = true") + usage).collect();
    let scenario =
        format!("[[scripts]]\nagent = 'ana'\n{steps}[[scripts]]\nagent = 'ben'\nsteps = []\n");
    let (world, chart) = world("", &scenario, "[budget]\nusd = 50.0\nusd_per_hour = 0.6\n");
    let run = up(&chart, &world);
    let event = held(&run, "ana");
    let reason = event["reason"].as_str().unwrap();
    for words in ["the org in an hour", "0.60", "`org budget usd_per_hour="] {
        assert!(reason.contains(words), "{reason}");
    }
    // It is known when it goes on by itself: an hour after the first dollar was spent.
    let until: jiff::Timestamp = event["until"].as_str().unwrap().parse().unwrap();
    let at: jiff::Timestamp = event["at"].as_str().unwrap().parse().unwrap();
    let minutes = until.duration_since(at).as_secs_f64() / 60.0;
    assert!((50.0..=60.1).contains(&minutes), "{minutes}");
    let status = world.org(&["status", "--json"]).json();
    let spent = status["budget"]["usd"]["spent"].as_f64().unwrap();
    assert!(spent <= 0.6 && spent > 0.3, "{spent}");
    world
        .org(&["budget", "usd_per_hour=+9"])
        .well()
        .naming(&["9.60", "ana"]);
    run.wait_for("ana goes on to the end", |events| {
        let did = |it: &&Value| it["kind"] == "tool.result" && it["tool"] == "shell";
        (events.iter().filter(did).count() == 8).then_some(())
    });
    world.org(&["down"]).well();
    world.nothing_lives();
}

#[test]
fn the_same_call_with_the_same_result_is_told_and_then_held() {
    let look = "[[scripts.steps]]\n[[scripts.steps.call]]\ntool = 'read'\npath = 'train.sh'\n";
    let script = |agent: &str| {
        let looks = look.repeat(8);
        format!(
            "[[scripts]]\nagent = '{agent}'\n{looks}[[scripts.steps]]\nsay = 'I stop looking.'\n"
        )
    };
    let (world, chart) = world("", &(script("ana") + &script("ben")), "");
    let run = up(&chart, &world);
    for agent in ["ana", "ben"] {
        let event = held(&run, agent);
        let reason = event["reason"].as_str().unwrap();
        assert!(reason.contains("same call of read 8 times"), "{reason}");
        // It was told from the third time on, in the place of text after the results.
        let asked = requests(&run, agent);
        let told =
            |it: &&Value| request(&run, it).contains("times in a row with the same arguments");
        let first = asked.iter().position(|it| told(&it)).unwrap();
        assert_eq!(first, 3, "{agent}: after three calls");
        assert_eq!(asked.len(), 8, "{agent}: it was asked on");
    }
    world
        .org(&["status"])
        .well()
        .naming(&["needs you", "same call of read"]);
    // A person has it begin again, and it goes on from there.
    world.org(&["restart", "ana"]).well();
    run.wait_for("ana's next word", |events| {
        let said = |it: &&Value| {
            it["kind"] == "reply.received"
                && it["agent"] == "ana"
                && it["text"] == "I stop looking."
        };
        events.iter().find(said).map(drop)
    });
    world.org(&["down"]).well();
    world.nothing_lives();
}

#[test]
fn whoever_is_idle_is_given_a_brief_a_few_times_and_stops_when_it_says_so() {
    let scenario = "[[scripts]]\nagent = 'ana'\nsteps = []\n\
        [[scripts]]\nagent = 'ben'\n[[scripts.steps]]\nsay = 'ready'\n\
        [[scripts.steps]]\nexpect = 'You are idle'\n[[scripts.steps.call]]\ntool = 'done'\n\
        summary = 'nothing is left to do'\n";
    let (world, chart) = world("on_idle = 'continue'", scenario, "");
    let run = up(&chart, &world);
    let idle = |run: &Run, agent: &str| {
        let turns = run.of("turn.started");
        let idle = turns
            .iter()
            .filter(|it| it["agent"] == agent && it["why"] == "idle");
        idle.count()
    };
    for name in ["ana", "ben"] {
        world
            .org(&["wait", name, "--for", "idle", "--timeout", "3m"])
            .well();
    }
    run.wait_for("ana's last nudge", |_| {
        (idle(&run, "ana") == 8).then_some(())
    });
    world
        .org(&["wait", "ana", "--for", "idle", "--timeout", "3m"])
        .well();
    assert_eq!(idle(&run, "ben"), 1, "it was done");
    let asked = requests(&run, "ana");
    let nudges: Vec<String> = asked.iter().map(|it| request(&run, it)).collect();
    let last = nudges.last().unwrap();
    for words in ["You are idle", "Where things stand:", "Dead ends:"] {
        assert!(last.contains(words), "no {words:?}: {last}");
    }
    // Mail makes it begin to count anew; who was done answers, and has no more turns than that.
    world.org(&["send", "all", "and now?"]).well();
    run.wait_for("eight more", |_| (idle(&run, "ana") == 16).then_some(()));
    world
        .org(&["wait", "ana", "--for", "idle", "--timeout", "3m"])
        .well();
    assert_eq!(idle(&run, "ana"), 16);
    world.org(&["down"]).well();
    world.nothing_lives();
}

#[test]
fn another_model_begins_from_notebook_ledger_and_mail() {
    let scenario = "[[scripts]]\nagent = 'ana'\n\
        [[scripts.steps]]\nsay = 'a private thought of the first model'\n[[scripts.steps.call]]\n\
        tool = 'note'\ntext = 'the width matters'\n\
        [[scripts.steps]]\nsay = 'noted'\n\
        [[scripts.steps]]\nexpect = 'what did you find'\nsay = 'the width'\n\
        [[scripts]]\nagent = 'ben'\nsteps = []\n";
    let (world, chart) = world("", scenario, "");
    let run = up(&chart, &world);
    world
        .org(&["wait", "ana", "--for", "idle", "--timeout", "3m"])
        .well();
    let before = requests(&run, "ana");
    world.org(&["pause", "ana"]).well();
    world.org(&["send", "ana", "what did you find?"]).well();
    world
        .org(&["restart", "ana", "--model", "gpt-6-luna"])
        .well();
    world.org(&["resume", "ana"]).well();
    let first = run.wait_for("a request to the other model", |events| {
        let other = |it: &&Value| it["kind"] == "request.reserved" && it["model"] == "gpt-6-luna";
        events.iter().find(other).cloned()
    });
    assert_eq!(first["items"].as_array().unwrap().len(), 1, "{first}");
    assert_eq!(
        first["conversation"].as_u64(),
        before[0]["conversation"].as_u64().map(|it| it + 1)
    );
    let text = request(&run, &first);
    for words in [
        "Endure.",
        "the width matters",
        "the conversation starts anew here",
        "what did you find?",
        "the ledger is the record",
    ] {
        assert!(text.contains(words), "no {words:?}: {text}");
    }
    assert!(!text.contains("private thought"), "{text}");
    run.wait_for("its answer", |events| {
        let said = |it: &&Value| it["kind"] == "reply.received" && it["text"] == "the width";
        events.iter().find(said).map(drop)
    });
    // What was said before stays in the log.
    world
        .org(&["logs", "ana"])
        .well()
        .naming(&["private thought", "gpt-6-luna"]);
    let status = world.org(&["status", "--json"]).json();
    assert_eq!(status["agents"][0]["model"], "gpt-6-luna");
    world.org(&["down"]).well();
    world.nothing_lives();
}
