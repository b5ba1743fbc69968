//! The README, typed in: its commands run as they stand there, and what it shows of their output is
//! what they print.
//!
//! Figures, spans of time and run ids differ from run to run, so they are compared as such; words,
//! columns and order are compared as they are. A line `…` stands for any number of lines.

use std::collections::VecDeque;
use std::fs;

use regex::Regex;

use crate::ground::{Said, TestEnvironment, project, write};

fn readme() -> String {
    fs::read_to_string(project().join("README.md")).unwrap()
}

/// The blocks of the README in one language.
fn blocks(language: &str) -> Vec<String> {
    let text = readme();
    let fence = format!("```{language}\n");
    text.split(&fence)
        .skip(1)
        .map(|rest| rest.split("\n```").next().unwrap().to_owned())
        .collect()
}

/// What a person would type, each with what the README shows below it.
fn typed() -> Vec<(String, Vec<String>)> {
    let mut typed: Vec<(String, Vec<String>)> = Vec::new();
    for line in blocks("console").join("\n").lines() {
        match (line.strip_prefix("$ "), typed.last_mut()) {
            (Some(words), _) => typed.push((words.to_owned(), Vec::new())),
            (None, Some((_, shown))) => shown.push(line.to_owned()),
            (None, None) => panic!("output before any command: {line}"),
        }
    }
    typed
}

/// A line without what differs from run to run.
fn lasting(line: &str) -> String {
    let masks = [
        (r"\S*runs/smoke", "runs/smoke"),
        (r"smoke-[a-z0-9]{5}\b", "smoke-ID"),
        (r"[+-]?\d[\d.,]*(e-?\d+)?[kM]?", "#"),
        (r"# (ms|s|min|h|d)\b", "# TIME"),
        (r"# (KiB|MiB|GiB)\b", "# SIZE"),
        (r"\s+", " "),
    ];
    let mut line = line.trim().to_owned();
    for (pattern, with) in masks {
        line = Regex::new(pattern).unwrap().replace_all(&line, with).into();
    }
    line
}

/// That what is shown was printed, in the order of its stream, and all of it where there is no gap.
fn agrees(words: &str, shown: &[String], said: &Said) {
    let mut streams = [&said.out, &said.err].map(|text| {
        let lines: VecDeque<String> = text.lines().map(lasting).collect();
        lines
    });
    let gap = shown.iter().any(|line| line == "…");
    for line in shown.iter().filter(|line| *line != "…") {
        let line = lasting(line);
        let at = streams.each_ref().map(|left| {
            let found = left.iter().position(|printed| *printed == line);
            found.filter(|found| gap || *found == 0)
        });
        match at {
            [Some(found), _] => drop(streams[0].drain(..=found)),
            [None, Some(found)] => drop(streams[1].drain(..=found)),
            [None, None] => panic!("`{words}` does not print {line:?} here:\n{streams:#?}"),
        }
    }
    let left = streams.iter().any(|left| !left.is_empty());
    assert!(gap || !left, "`{words}` prints more:\n{streams:#?}");
}

#[test]
fn what_the_readme_shows_is_what_happens() {
    let world = TestEnvironment::new();
    let mut seen = Vec::new();
    for (words, shown) in typed() {
        let Some(words) = words.strip_prefix("org ") else {
            assert!(words.starts_with("make "), "what is `{words}`?");
            continue;
        };
        let said = world
            .org(&words.split_whitespace().collect::<Vec<_>>())
            .well();
        agrees(words, &shown, &said);
        seen.push(words.split(' ').next().unwrap().to_owned());
    }
    for command in ["check", "up", "status", "ledger", "report", "prompt"] {
        assert!(
            seen.iter().any(|name| name == command),
            "no `org {command}`"
        );
    }
    world.nothing_lives();
    // What a chart promises before a run is what the run froze.
    let frozen = world.org(&["prompt", "claude-1"]).well();
    let promised = world.org(&["prompt", "claude-1", "--chart", "orgs/smoke.toml"]);
    assert_eq!(promised.well().out, frozen.out);
    world
        .org(&["prompt", "nobody", "--chart", "orgs/smoke.toml"])
        .refused(1)
        .naming(&["nobody", "claude-1"]);
}

#[test]
fn the_chart_in_the_readme_is_in_order() {
    let world = TestEnvironment::new();
    let [chart] = blocks("toml").try_into().expect("one chart");
    assert!(chart.lines().count() <= 30, "a chart fits on a screen");
    let path = world.at("orgs/night-shift.toml");
    write(&path, chart);
    let path = path.display().to_string();
    let said = world.org(&["check", &path, "--json"]).json();
    assert_eq!(said["problems"], serde_json::json!([]), "{said}");
    assert_eq!(said["warnings"], serde_json::json!([]), "{said}");
}

#[test]
fn the_readme_begins_with_a_picture_and_two_commands() {
    let text = readme();
    let line = |what: &str| text.lines().position(|line| line.contains(what));
    let picture = line("](docs/office.svg)").expect("a picture");
    let (demo, test) = (line("$ make demo").unwrap(), line("$ make test").unwrap());
    assert!(picture < 12 && picture < demo && demo < test, "the order");
    let drawn = fs::read_to_string(project().join("docs/office.svg")).unwrap();
    for name in ["claude-1", "codex-4", "gpu 7", "MOCK"] {
        assert!(drawn.contains(name), "the picture lacks {name}");
    }
}
