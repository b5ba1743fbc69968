//! Processes by event and by time, from outside: a plateau, somebody idle, half of a budget, a hand-over;
//! and what happens when nobody answers, or nobody is there to be asked.

use serde_json::Value;

use crate::ground::{Run, TestEnvironment, project, write};

/// The smoke organisation with a third member who only listens, and these processes.
fn chart(
    world: &TestEnvironment,
    changes: &[(&str, &str)],
    processes: &str,
    script: &str,
) -> String {
    let path = world.at("scenario.toml");
    write(&path, format!("version = 1\n{script}"));
    let made = world.chart("smoke.toml", changes);
    let text = std::fs::read_to_string(&made).unwrap();
    let line = text.lines().find(|line| line.starts_with("scenario = "));
    let text = text.replace(line.unwrap(), &format!("scenario = {path:?}"));
    let prompt = world.at("plain.md");
    write(
        &prompt,
        "{{process.name}} {{process.number}}, about {{about}}.\n\n{{digest}}\n",
    );
    let processes = processes.replace("PLAIN", &prompt.display().to_string());
    let more = format!(
        "{text}\n[roles.listener]\nprompt = \"{}/prompts/sceptic.md\"\ntools = [\"mail\"]\n\n\
         [[agents]]\nname = \"listener-1\"\nrole = \"listener\"\nmodel = \"gpt-6.2-sol\"\n{processes}",
        project().display()
    );
    let chart = world.at("charts/habits.toml");
    write(&chart, more);
    chart.display().to_string()
}

fn up(world: &TestEnvironment, chart: &str) -> Run {
    world
        .org(&["up", chart, "--mock", "--headless", "--detach"])
        .well();
    world.run()
}

/// The first firing of a process.
fn fired(run: &Run, process: &str) -> Value {
    run.wait_for(&format!("{process} fires"), |events| {
        let of = |event: &&Value| event["kind"] == "process.fired" && event["process"] == process;
        events.iter().find(of).cloned()
    })
}

/// The end of a process's first firing.
fn closed(run: &Run, process: &str) -> Value {
    run.wait_for(&format!("{process} is over"), |events| {
        let of = |event: &&Value| event["kind"] == "process.closed" && event["process"] == process;
        events.iter().find(of).cloned()
    })
}

/// The body of the org's letter with that subject.
fn letter(run: &Run, to: &str, subject: &str) -> String {
    let mail = run.wait_for(&format!("{subject} to {to}"), |events| {
        let of = |event: &&Value| {
            let heard = event["to"].as_array();
            let heard = heard.is_some_and(|all| all.iter().any(|it| it == to));
            event["kind"] == "mail.sent"
                && event["from"] == "org"
                && event["subject"] == subject
                && heard
        };
        events.iter().find(of).cloned()
    });
    run.text(&mail["body"])
}

const FRUITLESS: &str = r#"
[[scripts]]
agent = "claude-1"
[[scripts.steps]]
[[scripts.steps.call]]
tool = "edit"
path = "config.py"
old = "LR = 0.0005"
new = "LR = 0.0001"
[[scripts.steps]]
[[scripts.steps.call]]
tool = "hypothesis"
title = "a fifth of the step size"
claim = "improve"
mechanism = "smaller steps"
predicts = 4.0
refuted_by = "no gain at equal FLOPs"
[[scripts.steps]]
expect = 'registered h1'
say = "Now I wait."
"#;

#[test]
fn what_comes_to_pass_is_told_to_whom_the_chart_says() {
    let world = TestEnvironment::new();
    let processes = r#"
[[processes]]
name = "plateau"
on = "plateau"
to = "listener-1"
fruitless_claims = 1
[[processes]]
name = "waking"
on = "idle"
from = { role = "researcher" }
idle_for = "1s"
prompt = "PLAIN"
[[processes]]
name = "half-time"
on = "budget.half"
to = "human"
prompt = "PLAIN"
[[processes]]
name = "handover"
on = "agent.replaced"
to = "listener-1"
"#;
    let short = [("wall      = \"30m\"", "wall = \"40s\"")];
    let chart = chart(&world, &short, processes, FRUITLESS);
    let run = up(&world, &chart);
    // Nobody has given codex-1 anything to do.
    let idle = fired(&run, "waking");
    assert!(idle["about"].as_str().unwrap().starts_with("c"), "{idle}");
    let body = letter(&run, idle["about"].as_str().unwrap(), "waking 1");
    assert!(body.contains("waking 1, about"), "{body}");
    // A claim from which nothing came, which was a row of one.
    let plateau = fired(&run, "plateau");
    assert_eq!(plateau["asked"][0], "listener-1", "{plateau}");
    let body = letter(&run, "listener-1", "plateau 1");
    for words in ["a fifth of the step size", "change the strategy", "Cost:"] {
        assert!(body.contains(words), "no {words:?}: {body}");
    }
    // Another model takes over.
    world
        .org(&["restart", "codex-1", "--model", "gpt-6-luna"])
        .well();
    let over = fired(&run, "handover");
    assert_eq!(over["about"], "codex-1", "{over}");
    let body = letter(&run, "listener-1", "handover 1");
    assert!(
        body.contains("codex-1 goes on with another model"),
        "{body}"
    );
    // Half of the time is over, which a person wants to know.
    let half = fired(&run, "half-time");
    assert_eq!(
        (&half["occasion"], &half["asked"][0]),
        (&"wall".into(), &"human".into())
    );
    letter(&run, "human", "half-time 1");
    world
        .org(&["inbox", "human"])
        .well()
        .naming(&["half-time 1"]);
    // Each for one occasion once.
    for process in ["plateau", "half-time", "handover"] {
        let all = run.of("process.fired");
        let count = all
            .iter()
            .filter(|event| event["process"] == process)
            .count();
        assert_eq!(count, 1, "{process}");
    }
    world.org(&["down"]).well();
    world.nothing_lives();
}

#[test]
fn who_does_not_answer_is_asked_again_and_then_a_person_is_told() {
    let world = TestEnvironment::new();
    let processes = r#"
[[processes]]
name = "standup"
every = "1h"
from = { role = "researcher" }
to = "listener-1"
within = "1s"
missed = "nag"
[[processes]]
name = "roundup"
every = "1h"
from = { role = "researcher" }
to = "listener-1"
within = "1s"
prompt = "PLAIN"
"#;
    let often = [("[mock]", "[mock]\nevery = \"2s\"")];
    let run = up(&world, &chart(&world, &often, processes, FRUITLESS));
    let over = closed(&run, "standup");
    assert_eq!(over["outcome"], "escalated", "{over}");
    let reminded = run.of("process.reminded");
    let first = reminded.iter().filter(|it| it["number"] == over["number"]);
    assert_eq!(first.count(), 2, "{reminded:#?}");
    // The answers that there are come all the same, with the names of those that are not.
    let subject = format!("standup {}", over["number"]);
    let body = letter(&run, "listener-1", &subject);
    for words in ["no answer from claude-1, codex-1", "Cost:"] {
        assert!(body.contains(words), "no {words:?}: {body}");
    }
    let status = world.org(&["status", "--json"]).json();
    let needs = status["needs_you"].to_string();
    assert!(needs.contains("standup"), "{needs}");
    // By default nobody is asked twice.
    let over = closed(&run, "roundup");
    assert_eq!(over["outcome"], "missed", "{over}");
    world.org(&["down"]).well();
}

#[test]
fn a_stand_up_with_nobody_there_says_so_and_goes_on() {
    let world = TestEnvironment::new();
    let processes = r#"
[[processes]]
name = "standup"
every = "1h"
from = { role = "researcher" }
to = "listener-1"
"#;
    let often = [("[mock]", "[mock]\nevery = \"4s\"")];
    let run = up(&world, &chart(&world, &often, processes, FRUITLESS));
    for name in ["claude-1", "codex-1"] {
        world.org(&["pause", name]).well();
    }
    let over = closed(&run, "standup");
    assert_eq!(over["outcome"], "missed", "{over}");
    let begun = fired(&run, "standup");
    assert_eq!(begun["asked"], Value::Array(Vec::new()), "{begun}");
    assert_eq!(begun["absent"][1], "codex-1", "{begun}");
    let body = letter(&run, "listener-1", "standup 1");
    assert!(body.contains("claude-1 (held, paused or gone)"), "{body}");
    world.org(&["down"]).well();
}
