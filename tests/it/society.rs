//! What the members of an organisation do together, from outside: reviews as a gate, stand-ups,
//! retrospectives, and what happens when nobody answers.

use serde_json::Value;

use crate::ground::{Run, TestEnvironment, write};

/// A third member who claims nothing, and processes.
fn chart(world: &TestEnvironment, processes: &str, scenario: &str) -> String {
    let path = world.at("scenario.toml");
    write(&path, scenario);
    let old = world.chart("smoke.toml", &[]);
    let text = std::fs::read_to_string(&old).unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("scenario = "))
        .unwrap();
    let text = text.replace(line, &format!("scenario = {path:?}"));
    let more = format!(
        "{text}\n[roles.sceptic]\nprompt = \"{}/prompts/researcher.md\"\ntools = [\"mail\", \"review\"]\n\n\
         [[agents]]\nname = \"sceptic-1\"\nrole = \"sceptic\"\nmodel = \"gpt-6.2-sol\"\n{processes}",
        crate::ground::project().display()
    );
    let chart = world.at("charts/society.toml");
    write(&chart, more);
    chart.display().to_string()
}

const REVIEW: &str = r#"
[[processes]]
name = "review"
on = "hypothesis.confirmed"
by = { role = "sceptic", not = "author" }
"#;

/// The author of the smoke task, who only waits for what comes of its claim.
const AUTHOR: &str = r#"version = 1
[[scripts]]
agent = "claude-1"
[[scripts.steps]]
[[scripts.steps.call]]
tool = "edit"
path = "config.py"
old = "LR = 0.0005"
new = "LR = 0.005"
[[scripts.steps]]
[[scripts.steps.call]]
tool = "hypothesis"
title = "raise the step size tenfold"
claim = "improve"
mechanism = "at 0.0005 the weights are far from the optimum when the samples run out"
predicts = 4.0
refuted_by = "a gain of less than one standard deviation at equal FLOPs"
[[scripts.steps]]
expect = 'registered (?<h>h\d+)'
[[scripts.steps.call]]
tool = "review"
hypothesis = "{h}"
decision = "approve"
checks = "all"
reason = "it is mine"
"#;

/// A reviewer who first tries what is refused.
fn reviewer(decision: &str, checks: &str) -> String {
    format!(
        r#"
[[scripts]]
agent = "sceptic-1"
[[scripts.steps]]
expect = '(?<h>h\d+) is confirmed and waits for your review'
[[scripts.steps.call]]
tool = "review"
hypothesis = "{{h}}"
decision = "veto"
checks = []
reason = "I do not like it"
[[scripts.steps]]
expect = 'must name in `checks`'
[[scripts.steps.call]]
tool = "review"
hypothesis = "{{h}}"
decision = "{decision}"
checks = {checks}
reason = "looked at the diff and the ratios"
[[scripts.steps]]
expect = 'recorded'
say = "Done."
"#
    )
}

fn up(world: &TestEnvironment, chart: &str) -> crate::ground::Said {
    world.org(&["up", chart, "--mock", "--headless", "--until", "done"])
}

fn statuses(run: &Run) -> Vec<String> {
    let moved = run.of("hypothesis.moved");
    let words = moved.iter().filter_map(|it| it["status"].as_str());
    words.map(str::to_owned).collect()
}

fn letters(run: &Run, from: &str, to: &str) -> Vec<(String, String)> {
    let sent = run.of("mail.sent");
    let of = sent.iter().filter(|mail| {
        let heard = mail["to"].as_array().unwrap().iter().any(|it| it == to);
        mail["from"] == from && heard
    });
    of.map(|mail| {
        let subject = mail["subject"].as_str().unwrap().to_owned();
        (subject, run.text(&mail["body"]))
    })
    .collect()
}

#[test]
fn a_confirmed_claim_is_promoted_only_after_somebody_else_has_approved_it() {
    let world = TestEnvironment::new();
    let script = format!(
        "{AUTHOR}{}",
        reviewer("approve", r#"["cost: equal", "leakage: none"]"#)
    );
    let chart = chart(&world, REVIEW, &script);
    up(&world, &chart).well();
    let run = world.run();
    let statuses = statuses(&run);
    let order: Vec<&str> = statuses.iter().map(String::as_str).collect();
    assert_eq!(
        order,
        ["smoke", "screened", "confirmed", "reviewed", "promoted"]
    );
    let asked = letters(&run, "org", "sceptic-1");
    assert_eq!(asked.len(), 1, "{asked:#?}");
    let (subject, body) = &asked[0];
    assert_eq!(subject, "review h1");
    let place = |words: &str| {
        body.find(words)
            .unwrap_or_else(|| panic!("no {words:?}: {body}"))
    };
    // Evidence, then the diff, then the author's words.
    assert!(place("Effect:") < place("+LR = 0.005"), "{body}");
    assert!(
        place("+LR = 0.005") < place("far from the optimum"),
        "{body}"
    );
    let reviews = run.of("review.given");
    assert_eq!(reviews.len(), 1);
    assert_eq!(
        (&reviews[0]["by"], &reviews[0]["decision"]),
        (&"sceptic-1".into(), &"approve".into())
    );
    let refused = run.answers("claude-1", "review").join("\n");
    assert!(refused.contains("you have no tool"), "{refused}");
    let ledger = world.org(&["ledger", "--json"]).json();
    assert_eq!(ledger[0]["status"], "promoted");
}

#[test]
fn a_veto_names_a_check_and_ends_a_claim() {
    let world = TestEnvironment::new();
    let script = format!(
        "{AUTHOR}{}",
        reviewer("veto", r#""simpler: the baseline is underfit""#)
    );
    let chart = chart(&world, REVIEW, &script);
    // Nothing was promoted, and says so.
    up(&world, &chart).refused(1);
    let run = world.run();
    assert_eq!(statuses(&run).last().unwrap(), "vetoed");
    let ledger = world.org(&["ledger", "--json"]).json();
    let reason = ledger[0]["reason"].as_str().unwrap();
    for word in ["sceptic-1", "simpler", "underfit"] {
        assert!(reason.contains(word), "{reason}");
    }
    let told = letters(&run, "lab", "claude-1");
    assert!(
        told.iter().any(|(subject, _)| subject == "h1 vetoed"),
        "{told:#?}"
    );
}

#[test]
fn a_review_that_nobody_gives_is_parked_and_shown() {
    let world = TestEnvironment::new();
    let silent =
        format!("{AUTHOR}\n[[scripts]]\nagent = \"sceptic-1\"\n[[scripts.steps]]\nsay = \"hm\"\n");
    let chart = chart(&world, REVIEW, &silent);
    up(&world, &chart).refused(1);
    let run = world.run();
    assert_eq!(statuses(&run).last().unwrap(), "parked");
    assert!(run.of("programme.advanced").is_empty());
    let status = world.org(&["status", "--json"]).json();
    let needs = status["needs_you"].as_array().unwrap();
    let shown = |need: &Value| {
        need["reason"]
            .as_str()
            .unwrap()
            .contains("review without reviewer")
    };
    assert!(needs.iter().any(shown), "{status:#}");
    // A person's own word settles it, also after the run was brought down.
    world
        .org(&["approve"])
        .well()
        .naming(&["h1  for", "review without reviewer"]);
    let id = run.id();
    let said = world.org(&["approve", "h1", "--reason", "I looked", "--run", &id]);
    said.well().naming(&["h1 approved: in its review"]);
    world.org(&["up", "--resume", &id, "--headless", "--until", "done"]);
    assert_eq!(statuses(&run).last().unwrap(), "promoted");
    let review = &run.of("review.given")[0];
    assert_eq!(
        (&review["by"], &review["decision"]),
        (&"human".into(), &"approve".into())
    );
}

#[test]
fn a_variant_is_a_few_lines_and_its_run_freezes_the_whole() {
    let world = TestEnvironment::new();
    let base = world.chart("smoke.toml", &[]);
    let variant = world.at("charts/variant.toml");
    let name = base.rsplit('/').next().unwrap();
    write(
        &variant,
        format!(
            "extends = \"{name}\"\nname = \"variant\"\nmission = \"Less.\"\n[protocol]\nalpha = 0.02\n"
        ),
    );
    let variant = variant.display().to_string();
    let judged = world.org(&["check", &variant, "--json"]).json();
    assert_eq!(judged["ok"], true, "{judged:#}");
    up(&world, &variant).well();
    let run = world.run();
    let frozen = std::fs::read_to_string(run.path("chart.toml")).unwrap();
    for line in ["name = \"variant\"", "alpha = 0.02", "baseline = 6"] {
        assert!(frozen.contains(line), "no {line}: {frozen}");
    }
    assert!(!frozen.contains("extends"), "{frozen}");
    // What is wrong beneath is said where it stands.
    let text = std::fs::read_to_string(&base).unwrap();
    write(
        base.as_ref(),
        text.replace("alpha    = 0.01", "alhpa = 0.01"),
    );
    let judged = world.org(&["check", &variant, "--json"]);
    let report: Value = serde_json::from_str(&judged.out).unwrap();
    let problem = &report["problems"][0];
    assert_eq!(problem["file"], base.as_str(), "{report:#}");
    assert_eq!(problem["path"], "protocol.alhpa");
    world
        .org(&["check", &variant])
        .naming(&[name, "alhpa", "alpha"]);
}

/// Two who answer each other's letters for ever.
fn echo() -> String {
    let step = |name: &str, other: &str, n: u32| {
        let expect = if n == 0 && name == "claude-1" {
            String::new()
        } else {
            format!("expect = 'from=\"{other}\" subject=\"re'\n")
        };
        format!(
            "[[scripts.steps]]\n{expect}[[scripts.steps.call]]\ntool = \"send\"\nto = \"{other}\"\n\
             subject = \"re {n}\"\nbody = \"I agree, and what do you think?\"\n"
        )
    };
    let script = |(name, other): (&str, &str)| {
        let steps: String = (0..20).map(|n| step(name, other, n)).collect();
        format!("\n[[scripts]]\nagent = \"{name}\"\n{steps}")
    };
    let both = [("claude-1", "codex-1"), ("codex-1", "claude-1")];
    let scripts: String = both.into_iter().map(script).collect();
    format!("version = 1\n{scripts}")
}

#[test]
fn an_echo_ends_with_a_plain_refusal() {
    let world = TestEnvironment::new();
    let chart = chart(&world, "", &echo());
    // Their scripts are not at their end, and that is said.
    up(&world, &chart).refused(1);
    let run = world.run();
    let there = letters(&run, "claude-1", "codex-1").len();
    let back = letters(&run, "codex-1", "claude-1").len();
    assert!((8..=10).contains(&(there + back)), "{there} and {back}");
    let mut answers = run.answers("claude-1", "send");
    answers.extend(run.answers("codex-1", "send"));
    let refused = answers
        .iter()
        .filter(|it| it.contains("without anything new"));
    assert_eq!(refused.count(), 1, "{answers:#?}");
}

#[test]
fn a_stand_up_hands_over_what_was_answered_with_numbers_of_the_harness() {
    let world = TestEnvironment::new();
    let script = r#"version = 1
[[scripts]]
role = "researcher"
[[scripts.steps]]
expect = 'Stand-up (?<n>\d+)'
[[scripts.steps.call]]
tool = "send"
to = "org"
subject = "standup"
body = "learned: nothing yet. next: the step size, refuted by no gain."
"#;
    let processes = r#"
[[processes]]
name = "standup"
every = "1h"
from = { role = "researcher" }
to = "sceptic-1"
"#;
    let chart = chart(&world, processes, script);
    let text = std::fs::read_to_string(&chart).unwrap();
    write(
        chart.as_ref(),
        text.replace("[mock]\n", "[mock]\nevery = \"2s\"\n"),
    );
    world
        .org(&["up", &chart, "--mock", "--headless", "--detach"])
        .well();
    let run = world.run();
    run.wait_for("the minutes of a stand-up", |events| {
        let over = |event: &&Value| event["kind"] == "process.closed";
        events.iter().find(over).cloned()
    });
    let minutes = letters(&run, "org", "sceptic-1");
    let (subject, body) = &minutes[0];
    assert_eq!(subject, "standup 1");
    for words in [
        "the step size",
        "Cost:",
        "GPU-minutes",
        "claude-1, codex-1 answered",
    ] {
        assert!(body.contains(words), "no {words:?}: {body}");
    }
    let asked = letters(&run, "org", "claude-1");
    assert_eq!(asked[0].0, "standup 1");
    // Nobody was asked twice for the same stand-up.
    let fired = run.of("process.fired");
    assert_eq!(letters(&run, "org", "codex-1").len(), fired.len());
    world.org(&["down"]).well();
}

#[test]
fn the_end_is_looked_back_on_once_and_told_to_a_person() {
    let world = TestEnvironment::new();
    let script = format!(
        "{AUTHOR}\n[[scripts]]\nagent = \"sceptic-1\"\n[[scripts.steps]]\nexpect = 'has come to its end'\n\
         [[scripts.steps.call]]\ntool = \"send\"\nto = \"human\"\nsubject = \"retrospective\"\n\
         body = \"One change: a review.\"\n"
    );
    let processes = r#"
[[processes]]
name = "retrospective"
on = "end"
by = { role = "sceptic" }
to = "human"
"#;
    let chart = chart(&world, processes, &script);
    up(&world, &chart).well();
    let run = world.run();
    assert_eq!(run.of("process.fired").len(), 1);
    let asked = &letters(&run, "org", "sceptic-1")[0].1;
    for words in ["h1 promoted", "[[agents]]", "raise the step size tenfold"] {
        assert!(asked.contains(words), "no {words:?}: {asked}");
    }
    let told = letters(&run, "sceptic-1", "human");
    assert_eq!(told.len(), 1, "{told:#?}");
}
