//! Killing whoever runs, at moments that nobody chose, and comparing what comes of it with a run that
//! was left alone.
//!
//! A moment is a number of lines of the log, drawn from a seed; victims are the supervisor, an agent,
//! the mock, a measured run's keeper, the tmux server, or everybody at once. What must be the same:
//! the ledger with its numbers (the task's metric does not depend on the seed), and all mail. What must
//! hold besides: no message read twice, no run lost or ended twice, no call without exactly one result,
//! no command run twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::ground::{Run, TestEnvironment, told, until, write};

/// Kills over all runs.
const KILLS: usize = 30;
/// Kills of one run: each costs the program a fraction of a second to get over.
const KILLS_A_RUN: usize = 6;
/// Rounds of letters between the two agents.
const ROUNDS: usize = 3;

/// A task of two tenths of a second whose result depends on nothing but the file that may be edited.
const TASK: &str = r#"
. ./config
echo "flops: 1000"
sleep 0.2
echo "loss: $LOSS"
"#;

const CHART: &str = r#"version = 1
name = "kill"
mission = "Survive."
[task]
repo = "task"
base = "main"
run = "sh train.sh"
timeout = "60s"
metric = { name = "loss", goal = "min", pattern = 'loss: ([0-9.]+)' }
protect = ["train.sh"]
editable = ["config"]
[task.measure]
flops = 'flops: (\d+)'
[protocol]
match = "flops"
guards = {}
baseline = 2
confirm = 2
alpha = 0.01
[compute]
gpus = "auto"
parallel = 2
[mock]
scenario = "scenario.toml"
[roles.researcher]
tools = ["shell", "files", "mail", "experiment", "notebook"]
[[agents]]
name = "ana"
role = "researcher"
model = "claude-opus-5-5"
gpu = "auto"
[[agents]]
name = "ben"
role = "researcher"
model = "gpt-6.2-sol"
gpu = "auto"
"#;

/// Small and unkind (Steele, Lea and Flood 2014).
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % n as u64).unwrap()
    }
}

/// Says what was done to the run in which something failed.
#[derive(Default)]
struct Story(Vec<String>);

#[expect(
    clippy::print_stderr,
    reason = "said where a journey fails, by the test itself"
)]
impl Drop for Story {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("what was done:\n{}", self.0.join("\n"));
        }
    }
}

/// A step that makes one call.
fn step(expect: Option<&str>, tool: &str, arguments: &[(&str, &str)]) -> String {
    let expect = expect.map_or_else(String::new, |it| format!("expect = '{it}'\n"));
    let arguments: Vec<String> = arguments
        .iter()
        .map(|(name, value)| format!("{name} = '{value}'\n"))
        .collect();
    format!(
        "[[scripts.steps]]\n{expect}say = 'one two three'\n[[scripts.steps.call]]\ntool = '{tool}'\n{}",
        arguments.concat()
    )
}

fn shell(agent: &str, number: usize) -> String {
    let command = format!("echo {agent} {number} >> lines");
    step(None, "shell", &[("command", &command)])
}

/// Letters to and fro, with commands, notes, files, a run and a claim in between.
fn scenario() -> String {
    let ana = ["agent = 'ana'\n".to_owned()];
    let mut ana: Vec<String> = ana.into_iter().collect();
    let mut ben = vec!["agent = 'ben'\n".to_owned()];
    ana.push(step(
        None,
        "edit",
        &[("path", "config"), ("old", "LOSS=9"), ("new", "LOSS=8")],
    ));
    ana.push(shell("ana", 0));
    ana.push(
        step(
            None,
            "hypothesis",
            &[
                ("title", "eight is less than nine"),
                ("claim", "improve"),
                ("mechanism", "arithmetic"),
                ("refuted_by", "nine"),
            ],
        )
        .replace(
            "tool = 'hypothesis'\n",
            "tool = 'hypothesis'\npredicts = 1.0\n",
        ),
    );
    ben.push(step(None, "experiment", &[("note", "as it is")]));
    ben.push(shell("ben", 0));
    for round in 1..=ROUNDS {
        let (ping, pong) = (format!("ping {round}"), format!("pong {round}"));
        let letter = |to: &'static str, subject: &str| {
            [("to", to), ("subject", subject), ("body", "b")].map(|(a, b)| (a, b.to_owned()))
        };
        let send = |expect: Option<&str>, letter: [(&str, String); 3]| {
            let letter = letter.each_ref().map(|(a, b)| (*a, b.as_str()));
            step(expect, "send", &letter)
        };
        ana.push(send(None, letter("ben", &ping)));
        ana.push(shell("ana", round));
        let note = format!("ana {round}");
        ana.push(step(None, "note", &[("text", &note)]));
        let got = format!("subject=\"{pong}\"");
        ana.push(step(Some(&got), "read", &[("path", "config")]));
        let got = format!("subject=\"{ping}\"");
        let path = format!("file{round}");
        ben.push(step(
            Some(&got),
            "write",
            &[("path", &path), ("content", "x")],
        ));
        ben.push(shell("ben", round));
        ben.push(send(None, letter("ana", &pong)));
    }
    ana.push(step(
        Some("from=\"lab\" subject=\"h\\d+ promoted\""),
        "send",
        &[("to", "ben"), ("subject", "won"), ("body", "b")],
    ));
    ana.push(step(None, "done", &[("summary", "s")]));
    ben.push(step(
        Some("from=\"lab\" subject=\"e\\d+ ok\""),
        "note",
        &[("text", "n")],
    ));
    ben.push(step(Some("subject=\"won\""), "done", &[("summary", "s")]));
    let script = |steps: Vec<String>| format!("[[scripts]]\n{}\n", steps.join("\n"));
    format!("version = 1\n{}{}", script(ana), script(ben))
}

fn world() -> (TestEnvironment, String) {
    let world = TestEnvironment::new();
    write(&world.at("org/task/train.sh"), TASK);
    write(&world.at("org/task/config"), "LOSS=9\n");
    // What the commands leave behind is no part of a claim.
    write(&world.at("org/task/.gitignore"), "lines\n");
    write(&world.at("org/scenario.toml"), scenario());
    write(&world.at("org/kill.toml"), CHART);
    let chart = world.at("org/kill.toml").display().to_string();
    (world, chart)
}

/// What a run is judged by.
#[derive(Debug, PartialEq)]
struct Outcome {
    /// Claims with their numbers.
    ledger: Vec<String>,
    /// Letters, ids and measured times left out.
    mail: BTreeMap<String, usize>,
}

/// Ids count their kind, and who is first is not fixed.
fn without_ids(text: &str) -> String {
    let mut words = Vec::new();
    for word in text.split(' ') {
        let id = word
            .strip_prefix(['e', 'h', 'm'])
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()));
        words.push(if id { "#" } else { word });
    }
    words.join(" ")
}

fn outcome(world: &TestEnvironment, run: &Run) -> Outcome {
    let claims = world.org(&["ledger", "--json", "--run", &run.id()]).json();
    let numbers = |claim: &Value| {
        let pick = |names: &[&str]| -> Vec<String> {
            names.iter().map(|name| claim[*name].to_string()).collect()
        };
        pick(&[
            "agent",
            "title",
            "claim",
            "status",
            "test",
            "effect",
            "ci",
            "p",
            "baseline",
            "candidate",
        ])
        .join(" ")
    };
    let mut ledger: Vec<String> = claims.as_array().unwrap().iter().map(numbers).collect();
    ledger.sort();
    let mut mail = BTreeMap::new();
    for event in run.of("mail.sent") {
        let from = event["from"].as_str().unwrap();
        // What the lab writes names times.
        let body = if from == "lab" {
            String::new()
        } else {
            run.text(&event["body"])
        };
        let subject = without_ids(event["subject"].as_str().unwrap());
        let letter = format!("{from} -> {}: {subject}: {body}", event["to"]);
        *mail.entry(letter).or_insert(0) += 1;
    }
    Outcome { ledger, mail }
}

/// What must hold of any run, however often somebody died.
fn judge(run: &Run) {
    let events = run.events();
    for (at, event) in events.iter().enumerate() {
        assert_eq!(event["seq"], at + 1, "the order has a hole");
    }
    each_call_once(run, &events);
    each_run_once(&events);
    each_letter_once(run, &events);
    for agent in ["ana", "ben"] {
        each_command_once(run, &events, agent);
    }
}

fn each_call_once(run: &Run, events: &[Value]) {
    let mut open: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let (mut begun, mut ended) = (BTreeSet::new(), BTreeSet::new());
    for event in events {
        let agent = event["agent"].as_str().unwrap_or_default().to_owned();
        let key = |call: &Value| format!("{agent} {}", call.as_str().unwrap());
        match event["kind"].as_str().unwrap() {
            "reply.received" => {
                let calls = event["calls"].as_array().unwrap();
                open.insert(
                    agent.clone(),
                    calls.iter().map(|call| key(&call["id"])).collect(),
                );
            }
            "request.reserved" => {
                for call in open.remove(&agent).unwrap_or_default() {
                    assert!(ended.contains(&call), "asked without the result of {call}");
                }
            }
            "tool.intent" => {
                assert!(begun.insert(key(&event["call"])), "begun twice: {event}");
            }
            "tool.result" => {
                let known = open
                    .values()
                    .flatten()
                    .any(|call| *call == key(&event["call"]));
                assert!(known, "a result of nothing: {event}");
                assert!(ended.insert(key(&event["call"])), "two results: {event}");
            }
            _ => {}
        }
    }
    for call in open.into_values().flatten() {
        assert!(ended.contains(&call), "{call} has no result");
    }
    assert!(ended.len() >= 20, "{}: too little was done", run.id());
}

fn each_run_once(events: &[Value]) {
    let mut runs: BTreeMap<u64, &'static str> = BTreeMap::new();
    for event in events {
        let Some(id) = event["id"].as_u64() else {
            continue;
        };
        match event["kind"].as_str().unwrap() {
            "experiment.queued" => {
                assert_eq!(runs.insert(id, "queued"), None, "queued twice: {event}");
            }
            "experiment.started" => {
                assert_eq!(runs.insert(id, "running"), Some("queued"), "{event}");
            }
            "experiment.finished" => {
                let interrupted = event["status"] == "interrupted";
                let now = if interrupted { "queued" } else { "ended" };
                assert_eq!(runs.insert(id, now), Some("running"), "{event}");
                assert!(interrupted || event["status"] == "ok", "{event}");
            }
            _ => {}
        }
    }
    assert!(runs.values().all(|status| *status == "ended"), "{runs:?}");
}

fn each_letter_once(run: &Run, events: &[Value]) {
    let mut waiting = BTreeSet::new();
    for event in events {
        match event["kind"].as_str().unwrap() {
            "mail.sent" => {
                for to in event["to"].as_array().unwrap() {
                    let to = to.as_str().unwrap().to_owned();
                    assert!(waiting.insert((to, event["id"].as_u64().unwrap())));
                }
            }
            "turn.started" => {
                let agent = event["agent"].as_str().unwrap();
                for id in event["mails"].as_array().unwrap() {
                    let known = waiting.remove(&(agent.to_owned(), id.as_u64().unwrap()));
                    assert!(known, "read twice, or never sent: {event}");
                }
            }
            _ => {}
        }
    }
    waiting.retain(|(to, _)| to != "human");
    assert!(waiting.is_empty(), "never read: {waiting:?}");
    for agent in ["ana", "ben"] {
        let new = fs::read_dir(run.path("mail").join(agent).join("new")).unwrap();
        let left: Vec<_> = new.flatten().map(|file| file.file_name()).collect();
        assert!(left.is_empty(), "in {agent}'s mailbox: {left:?}");
    }
}

/// A command whose result is known ran once; one whose outcome is unknown at most once.
fn each_command_once(run: &Run, events: &[Value], agent: &str) {
    let text = fs::read_to_string(run.path("work").join(agent).join("lines")).unwrap_or_default();
    let mut lines: BTreeMap<&str, usize> = BTreeMap::new();
    for line in text.lines() {
        *lines.entry(line).or_insert(0) += 1;
    }
    assert!(lines.values().all(|count| *count == 1), "twice: {lines:?}");
    let mine = |kind: &'static str| {
        events
            .iter()
            .filter(move |event| event["kind"] == kind && event["agent"] == agent)
            .filter(|event| event["tool"] == "shell")
    };
    assert_eq!(mine("tool.result").count(), ROUNDS + 1);
    let known = mine("tool.result")
        .filter(|event| event["ok"] == true)
        .count();
    assert!(
        lines.len() >= known,
        "{known} are said to have run: {lines:?}"
    );
    let notes = |event: &&Value| event["kind"] == "note.kept" && event["agent"] == "ana";
    assert_eq!(events.iter().filter(notes).count(), ROUNDS);
}

/// The process that a lock file names, if somebody holds it still.
fn holder(path: &Path) -> Option<u32> {
    let text = fs::read_to_string(path).ok()?;
    let holder: Value = serde_json::from_str(text.trim()).ok()?;
    let pid = u32::try_from(holder["pid"].as_u64()?).ok()?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let same = fields.get(19)?.parse() == Ok(holder["start"].as_u64()?);
    (same && fields[0] != "Z").then_some(pid)
}

/// The server of a run's office, if there is one.
fn tmux_server(world: &TestEnvironment, run: &Run) -> Option<u32> {
    let office = run.of("office.opened").pop()?;
    let mut tmux = world.command("tmux");
    tmux.args(["-S", office["socket"].as_str()?]);
    tmux.args(["display-message", "-p", "#{pid}"]);
    told(tmux, "").out.trim().parse().ok()
}

fn kill(pid: u32) {
    let pid = Pid::from_raw(pid.cast_signed()).unwrap();
    // It may have ended by itself in between.
    kill_process(pid, Signal::KILL).ok();
}

/// Keepers of measured runs.
fn keepers(run: &Run) -> Vec<u32> {
    let below = |dir: &Path| -> Vec<_> {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    };
    let attempts = below(&run.path("exp"));
    let attempts = attempts.iter().flat_map(|dir| below(dir));
    attempts
        .filter_map(|dir| holder(&dir.join("lock")))
        .collect()
}

/// Kills everything of a run, until nobody is left who could start anybody.
fn kill_everybody(world: &TestEnvironment) {
    until("nobody lives", || {
        let all = world.processes();
        let doomed = all.into_iter().filter(|(_, words)| !words.contains("tmux"));
        let doomed: Vec<u32> = doomed.map(|(pid, _)| pid).collect();
        doomed.iter().copied().for_each(kill);
        doomed.is_empty().then_some(())
    });
}

fn is_done(world: &TestEnvironment, run: &Run) -> bool {
    let said = world.org(&["status", "--json", "--run", &run.id()]);
    said.code == 0 && said.json()["state"] == "done"
}

/// Waits for a number of lines; false where the run is done before.
fn reached(world: &TestEnvironment, run: &Run, lines: usize) -> bool {
    let mut last = 0;
    run.wait_for("the next kill's moment, or the end", |events| {
        if events.len() >= lines {
            return Some(true);
        }
        // Only where it has stopped to grow is it worth asking.
        let still = std::mem::replace(&mut last, events.len()) == events.len();
        (still && is_done(world, run)).then_some(false)
    })
}

/// Kills somebody; says whom.
fn strike(world: &TestEnvironment, run: &Run, rng: &mut Rng) -> String {
    let agent = ["ana", "ben"][rng.below(2)];
    let lock = |name: &str| holder(&run.path("locks").join(name));
    let (who, pid) = match rng.below(11) {
        0..=2 => ("the supervisor".to_owned(), lock("supervisor")),
        3..=6 => (agent.to_owned(), lock(&format!("agent-{agent}"))),
        7 => ("the mock".to_owned(), lock("mock")),
        8 => {
            let keepers = keepers(run);
            let at = rng.below(keepers.len().max(1));
            ("a keeper".to_owned(), keepers.get(at).copied())
        }
        9 => ("the tmux server".to_owned(), tmux_server(world, run)),
        _ => {
            kill_everybody(world);
            world.org(&["up", "--resume", &run.id(), "--detach"]).well();
            return "everybody".to_owned();
        }
    };
    let Some(pid) = pid else {
        return format!("{who}, who was not there");
    };
    kill(pid);
    format!("{who}, pid {pid}")
}

fn undisturbed() -> Outcome {
    let (world, chart) = world();
    world
        .org(&["up", &chart, "--mock", "--headless", "--until", "done"])
        .well();
    let run = world.run();
    judge(&run);
    outcome(&world, &run)
}

/// Disturbs one run and brings it to its end; returns the kills.
fn disturbed(seed: usize, most: usize, expected: &Outcome) -> usize {
    let mut rng = Rng(seed as u64);
    let mut story = Story(vec![format!("seed {seed}")]);
    let (world, chart) = world();
    let mut up = world.start(&["up", &chart, "--mock", "--detach"]);
    let run = until("a run", || world.run_dirs().pop().map(Run::at));
    until("its log", || {
        run.path("events.jsonl").exists().then_some(())
    });
    let (mut lines, mut kills) = (4 + rng.below(12), 0);
    while kills < most && reached(&world, &run, lines) {
        let whom = strike(&world, &run, &mut rng);
        story.0.push(format!("after line {lines}: {whom}"));
        kills += usize::from(!whom.ends_with("not there"));
        lines = run.events().len() + 1 + rng.below(30);
    }
    // Where the start itself was cut short, there is somebody to go on with all the same.
    up.wait().unwrap();
    world
        .org(&["up", "--resume", &run.id(), "--headless", "--until", "done"])
        .well();
    judge(&run);
    assert_eq!(outcome(&world, &run), *expected);
    world.nothing_lives();
    kills
}

#[test]
fn killing_anybody_at_any_moment_changes_nothing() {
    let expected = undisturbed();
    assert!(
        expected
            .ledger
            .iter()
            .any(|claim| claim.contains("promoted"))
    );
    let mut kills = 0;
    let mut seed = 1;
    while kills < KILLS {
        kills += disturbed(seed, KILLS_A_RUN.min(KILLS - kills), &expected);
        seed += 1;
        assert!(seed < 20, "runs end before they can be disturbed");
    }
}

#[test]
fn a_dead_tmux_server_costs_nothing() {
    let (world, chart) = world();
    world.org(&["up", &chart, "--mock", "--detach"]).well();
    let run = world.run();
    kill(tmux_server(&world, &run).unwrap());
    world
        .org(&["up", "--resume", &run.id(), "--headless", "--until", "done"])
        .well();
    judge(&run);
    assert_eq!(run.of("agent.died"), Vec::<Value>::new());
    assert_eq!(run.of("supervisor.started").len(), 1);
    world.nothing_lives();
}
