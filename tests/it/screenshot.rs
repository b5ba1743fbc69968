//! What the office looks like on people's terminals, compared with pictures that were looked at: of a small
//! org that says the same each time, and of the demo when all of it is at rest.
//!
//! Times, ids and figures of the small one are masked digit by digit, so that the layout stays what it was.

use std::fs;

use regex::Regex;
use serde_json::Value;

use crate::ground::{ORG, TestEnvironment, project, until, write};
use crate::redaction::at_rest;
use crate::terminal::Terminal;

/// Four who work and a chief, in a grid of their own.
const CHART: &str = r#"version = 1
name = "picture"
mission = "Show what can be seen."
[task]
repo = "PROJECT/examples/smoke/repo"
base = "main"
run = "python3 train.py"
seed = "ORG_SEED"
metric = { name = "val_loss", goal = "min", pattern = 'val_loss: ([0-9.]+)' }
[protocol]
match = "wall"
guards = {}
baseline = 2
[budget]
usd = 10.0
gpu_hours = 1.0
[office]
grid = "2x2"
[mock]
scenario = "SCENARIO"
[roles.researcher]
tools = ["shell", "files", "mail", "notebook"]
[roles.chief]
tools = ["mail"]
[[agents]]
name = "chief"
role = "chief"
model = "claude-opus-5-5"
[[agents]]
name = "claude-{n}"
count = 2
role = "researcher"
model = "claude-opus-5-5"
gpu = "auto"
[[agents]]
name = "codex-{n}"
count = 2
role = "researcher"
model = "gpt-6.2-sol"
gpu = "auto"
"#;

/// One edits, one has a command fail and prints what terminals obey, one gets mail from a neighbour, and
/// one is told something by a person and has its key refused.
const SCENARIO: &str = r#"version = 1
[[scripts]]
agent = "claude-1"
[[scripts.steps]]
say = "The learning rate looks low for 500 samples. I raise it, and nothing else. 学習率を上げる 🔬"
[[scripts.steps.call]]
tool = "edit"
path = "config.py"
old = "LR = 0.0005"
new = "LR = 0.005"
[[scripts.steps]]
say = "One line; the rest is as it was."
[[scripts]]
agent = "claude-2"
[[scripts.steps]]
say = "A fake clear \u001b[2J\u001b[H, a fake title \u001b]0;owned\u0007, and a fake header:\n── codex-1 held gpu 9 ──\n▌ you: promote it\n> yes"
[[scripts.steps.call]]
tool = "shell"
command = "printf '\\033[31mKeyError\\033[0m: LR\\n'; exit 3"
[[scripts.steps]]
say = "It fails as it should."
[[scripts]]
agent = "codex-1"
[[scripts.steps]]
say = "I wait for my neighbour."
[[scripts.steps]]
expect = 'subject="widths"'
say = "Thank you; the width stays."
[[scripts]]
agent = "codex-2"
[[scripts.steps]]
say = "Ready."
[[scripts.steps]]
expect = 'Ask your neighbour'
[[scripts.steps.call]]
tool = "send"
to = "codex-1"
subject = "widths"
body = "Is the hidden layer wide enough?\nIt costs FLOPs to find out. 幅"
[[scripts.steps]]
fault = { status = 401, times = 1 }
say = "never said"
"#;

/// Digits and hashes as zeros: the layout is what counts.
fn masked(screen: &str) -> String {
    let hash = Regex::new(r"\b[0-9a-f]{12}\b").unwrap();
    let screen = hash.replace_all(screen, "000000000000");
    // Names keep theirs.
    let names =
        Regex::new(r"(claude|codex|gpt|opus)-[0-9](?:[-.][0-9])?(?:-sol)?|\b[gG][pP][uU] [0-9]")
            .unwrap();
    let mut out = String::new();
    let mut last = 0;
    for kept in names.find_iter(&screen) {
        out.push_str(&zeros(&screen[last..kept.start()]));
        out.push_str(kept.as_str());
        last = kept.end();
    }
    out.push_str(&zeros(&screen[last..]));
    let lines: Vec<&str> = out.lines().map(str::trim_end).collect();
    lines.join("\n").trim_end().to_owned()
}

fn zeros(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect()
}

/// The picture that was looked at.
fn known(name: &str) -> String {
    let path = project().join(format!("tests/it/snapshots/it__screenshot__{name}.snap"));
    let text = fs::read_to_string(path).unwrap_or_default();
    let body = text.splitn(3, "---\n").nth(2).unwrap_or_default();
    body.trim_end().to_owned()
}

/// Compares what comes to rest on a terminal with the picture of that name.
fn compare(terminal: &Terminal<'_>, name: &str, part: &str, redacted: impl Fn(&str) -> String) {
    let known = known(name);
    let mut seen = Vec::new();
    // What was looked at comes; where it does not, what has come instead is at rest.
    until("the office at rest", || {
        let screen = redacted(&terminal.screen());
        if !known.is_empty() && screen == known {
            seen = vec![screen];
            return Some(());
        }
        if seen.last() != Some(&screen) {
            seen.clear();
        }
        seen.push(screen);
        (seen.len() > 150 && seen[0].contains(part)).then_some(())
    });
    insta::assert_snapshot!(name, seen[0]);
}

#[test]
fn the_office_looks_as_it_was_looked_at() {
    let world = TestEnvironment::new();
    let root = project().display().to_string();
    write(&world.at("scenario.toml"), SCENARIO);
    let scenario = world.at("scenario.toml").display().to_string();
    let chart = CHART
        .replace("PROJECT", &root)
        .replace("SCENARIO", &scenario);
    write(&world.at("picture.toml"), chart);
    let chart = world.at("picture.toml").display().to_string();
    world.org(&["up", &chart, "--mock", "--detach"]).well();
    for name in ["chief", "claude-1", "claude-2", "codex-1", "codex-2"] {
        world
            .org(&["wait", name, "--for", "idle", "--timeout", "3m"])
            .well();
    }
    world
        .org(&["send", "codex-2", "Ask your neighbour."])
        .well();
    world
        .org(&["wait", "codex-2", "--for", "needs-you", "--timeout", "3m"])
        .well();
    until("everybody at rest", || {
        let status = world.org(&["status", "--json"]).json();
        let runs = &status["experiments"];
        let agents = status["agents"].as_array().unwrap();
        let at_rest = |agent: &Value| {
            let waits = agent["state"] == "waiting" || agent["state"] == "held";
            waits && agent["unread"] == 0
        };
        let turns = agents
            .iter()
            .find(|agent| agent["name"] == "codex-1")
            .unwrap()["turns"]
            .clone();
        let quiet = agents.iter().all(at_rest) && turns == 2;
        (quiet && runs["queued"] == 0 && runs["running"] == 0).then_some(())
    });
    for (columns, rows) in [(80, 24), (220, 50)] {
        let terminal = Terminal::open(&world, columns, rows, &format!("exec {ORG} attach"));
        let name = format!("office_{columns}x{rows}");
        compare(&terminal, &name, "codex-2", masked);
    }
    world.org(&["down"]).well();
    world.nothing_lives();
}

/// The nine of the demo, who have said all they have to say: who was faster shows nowhere any more but in
/// what is above the last letter of each.
#[test]
fn the_demo_looks_as_it_was_looked_at_on_a_large_and_a_small_terminal() {
    let world = TestEnvironment::new();
    let up = ["up", "orgs/demo.toml", "--mock", "--detach"];
    world.org(&up).well();
    let run = world.run();
    until("the demo's end", || {
        let status = world.org(&["status", "--json"]).json();
        (status["state"] == "done").then_some(())
    });
    let redacted = |screen: &str| at_rest(screen, &run.id());
    for (columns, rows) in [(220, 50), (80, 24)] {
        let terminal = Terminal::open(&world, columns, rows, &format!("exec {ORG} attach"));
        if columns < 200 {
            // Where a cell of the grid is too small to be read, it begins with the dashboard; the grid is
            // there all the same.
            terminal.shows("hq");
            terminal.keys(&["C-b", "g"]);
        }
        let name = format!("demo_{columns}x{rows}");
        compare(&terminal, &name, "codex-4", redacted);
    }
    world.org(&["down"]).well();
    world.nothing_lives();
}
