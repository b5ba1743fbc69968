//! A night in minutes: eight agents on both wires against a server that spoils a third of its replies,
//! while supervisor, agents and server are killed at moments that nobody chose, and the money runs out.
//!
//! The scenario is made from a seed, and so is who dies when. What must come of it: every script ends;
//! no call has its effect twice, nor a keyed one never; what the log says was spent is what the server
//! reported; and at no line of the log was a cap passed. A turn is one reply of a model with its calls.
//! `make test` runs a small night, `make soak` the whole one (`ORG_SOAK_TURNS`, `ORG_SOAK_SEED`).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use org::run::frozen;
use org::run::paths::RunDir;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::ground::{Run, TestEnvironment, until, var, write};
use crate::reexecuted;

/// Turns of a night inside `make test`.
const TURNS: usize = 240;
/// Turns between two kills.
const TURNS_A_KILL: usize = 24;
/// Steps between two letters of the person that an agent waits for.
const ROUND: usize = 12;
/// Looks at a log that does not grow, after which somebody is waiting for something: about a second.
const STILL: u32 = 50;
/// What may be spent at first, US dollars.
const CAP: f64 = 0.3;
/// How much more may be spent each time that somebody was stopped by the cap, US dollars.
const RAISE: f64 = 0.3;

const CHART: &str = r#"version = 1
name = "soak"
mission = "Endure."
[task]
repo = "task"
base = "main"
run = "sh train.sh"
timeout = "60s"
gpus = 0
metric = { name = "loss", goal = "min", pattern = 'loss: ([0-9.]+)' }
[protocol]
baseline = 2
[budget]
usd = 0.3
[mock]
scenario = "scenario.toml"
[roles.worker]
prompt = "worker.md"
tools = ["shell", "files", "mail", "notebook"]
compact_at = 6_000
[[agents]]
name = "claude-{n}"
count = 4
role = "worker"
model = "claude-haiku-5-5"
[[agents]]
name = "codex-{n}"
count = 4
role = "worker"
model = "gpt-6-luna"
"#;

/// Dollars a token, of both models: what their vendors ask for prompts of this length.
const INPUT: f64 = 0.10e-6;
const CACHE_READ: f64 = 0.01e-6;
const OUTPUT: f64 = 0.50e-6;

/// What a third of the replies have, each in its turn.
const FAULTS: [&str; 24] = [
    "status = 429, retry_after = 0.02",
    "cut_after = 0",
    "interleave = true",
    "status = 529",
    "truncate_tool = true",
    "strange = true",
    "error_after = 4",
    "chunk_bytes = 1",
    "ids = 'again'",
    "malformed = true",
    "stop = 'refusal'",
    "cut_after = 5",
    "status = 503, times = 2",
    "stall_ms = 100",
    "ids = 'same'",
    "stop = 'context'",
    "delay_ms = 100",
    "error_after = 1",
    "status = 500",
    "cut_after = 9",
    "interleave = true, strange = true, chunk_bytes = 7",
    "status = 400, code = 'context_length_exceeded'",
    "cut_after = 2, times = 2",
    "ids = 'again', chunk_bytes = 3",
];

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

fn agents() -> impl Iterator<Item = String> {
    let named = |name: &'static str| (1..=4).map(move |n| format!("{name}-{n}"));
    named("claude").chain(named("codex"))
}

/// What an agent is to do, as it is to be found afterwards.
#[derive(Default)]
struct Plan {
    /// Marks of its commands, notes and letters.
    shell: Vec<String>,
    notes: Vec<String>,
    letters: Vec<String>,
    /// How often it counts on in its file.
    edits: usize,
    /// What each turn's reply reports, by the mark in its text: tokens of output.
    output: BTreeMap<String, u64>,
    /// Marks of replies that come twice: once spoilt, but whole for the client and paid.
    twice: Vec<String>,
}

/// An agent's script, and what it is about.
fn script(agent: &str, turns: usize, rng: &mut Rng) -> (String, Plan) {
    let mut text = format!("[[scripts]]\nagent = '{agent}'\n");
    let mut plan = Plan::default();
    // A conversation that does not fit at its very beginning needs a person.
    let mut fresh = true;
    for turn in 0..turns {
        let mark = format!("{agent}.{turn}.");
        let long = rng.below(25) == 0;
        let output = 1000 + turn as u64 + if long { 2_800 } else { 0 };
        text.push_str("[[scripts.steps]]\n");
        if turn % ROUND == ROUND - 1 {
            writeln!(text, "expect = 'round-{}-begins'", turn / ROUND).unwrap();
        }
        writeln!(text, "think = 'hm'\nsay = 'one two three {mark}'").unwrap();
        let usage = format!("{{ input = 500, cache_read = 2000, output = {output} }}");
        writeln!(text, "usage = {usage}").unwrap();
        let fault = (rng.below(3) == 0).then(|| FAULTS[rng.below(FAULTS.len())]);
        let fault = fault.filter(|it| !fresh || !it.contains("context"));
        fresh = long;
        if let Some(fault) = fault {
            writeln!(text, "fault = {{ {fault} }}").unwrap();
            if ["truncate", "stop"].iter().any(|it| fault.contains(it)) {
                plan.twice.push(mark.clone());
            }
        }
        plan.output.insert(mark.clone(), output);
        // One is cut short; two may have one id.
        let calls = match fault {
            Some(fault) if fault.contains("truncate") => 1,
            Some(fault) if fault.contains("same") => 2,
            _ => 1 + rng.below(2),
        };
        for call in 0..calls {
            text.push_str(&one_call(&format!("{mark}{call}"), &mut plan, rng));
        }
    }
    (text, plan)
}

/// A call whose effect bears a mark.
fn one_call(mark: &str, plan: &mut Plan, rng: &mut Rng) -> String {
    let call = "[[scripts.steps.call]]\n";
    match rng.below(10) {
        0..=3 => {
            plan.shell.push(mark.to_owned());
            format!("{call}tool = 'shell'\ncommand = 'echo {mark} >> lines'\n")
        }
        4..=5 => {
            plan.notes.push(mark.to_owned());
            format!("{call}tool = 'note'\ntext = '{mark}'\n")
        }
        6 if plan.letters.len() < 18 => {
            plan.letters.push(mark.to_owned());
            format!("{call}tool = 'send'\nto = 'human'\nsubject = '{mark}'\nbody = 'b'\n")
        }
        6..=7 => {
            plan.edits += 1;
            let (old, new) = (plan.edits - 1, plan.edits);
            format!("{call}tool = 'edit'\npath = 'count'\nold = 'n={old};'\nnew = 'n={new};'\n")
        }
        8 => format!("{call}tool = 'search'\npattern = 'loss'\n"),
        _ => format!("{call}tool = 'read'\npath = 'train.sh'\n"),
    }
}

/// The log as it grows.
struct Tail {
    path: PathBuf,
    read: u64,
    events: Vec<Value>,
}

impl Tail {
    /// Reads on, whole lines only; says whether there was anything new.
    fn grew(&mut self) -> bool {
        let mut file = fs::File::open(&self.path).unwrap();
        file.seek(SeekFrom::Start(self.read)).unwrap();
        let mut more = Vec::new();
        file.read_to_end(&mut more).unwrap();
        let Some(end) = more.iter().rposition(|byte| *byte == b'\n') else {
            return false;
        };
        let lines = std::str::from_utf8(&more[..end]).unwrap().lines();
        let read = lines.map(|line| serde_json::from_str(line).unwrap());
        self.events.extend(read);
        self.read += end as u64 + 1;
        true
    }

    fn turns(&self) -> usize {
        let replies = self.events.iter();
        replies.filter(|it| it["kind"] == "reply.received").count()
    }
}

/// A night and whoever disturbs it.
struct Night {
    world: TestEnvironment,
    run: Run,
    rng: Rng,
    tail: Tail,
    plans: BTreeMap<String, Plan>,
    /// Letters that the agents wait for, and how many were sent.
    rounds: usize,
    sent: usize,
    kills: usize,
    cap: f64,
}

impl Night {
    fn begin(turns: usize, seed: u64) -> Self {
        let mut rng = Rng(seed);
        let mut scenario = "version = 1\n".to_owned();
        let mut plans = BTreeMap::new();
        let each = turns / agents().count();
        for agent in agents() {
            let (text, plan) = script(&agent, each, &mut rng);
            scenario.push_str(&text);
            plans.insert(agent, plan);
        }
        let world = TestEnvironment::new();
        write(&world.at("org/task/train.sh"), "echo 'loss: 1'\n");
        write(&world.at("org/task/count"), "n=0;\n");
        write(&world.at("org/worker.md"), "You are {{agent.name}}.\n");
        write(&world.at("org/scenario.toml"), scenario);
        write(&world.at("org/soak.toml"), CHART);
        let chart = world.at("org/soak.toml").display().to_string();
        world
            .org(&["up", &chart, "--mock", "--headless", "--detach"])
            .well();
        let run = world.run();
        let tail = Tail {
            path: run.path("events.jsonl"),
            read: 0,
            events: Vec::new(),
        };
        Self {
            world,
            run,
            rng,
            tail,
            plans,
            rounds: each / ROUND,
            sent: 0,
            kills: 0,
            cap: CAP,
        }
    }

    /// Disturbs it until all scripts have ended.
    fn go(&mut self) {
        loop {
            let goal = self.tail.turns() + 1 + self.rng.below(2 * TURNS_A_KILL);
            let mut still = 0;
            let tail = &mut self.tail;
            let moved = until("turns, or a log that stands still", || {
                still = if tail.grew() { 0 } else { still + 1 };
                (tail.turns() >= goal || still > STILL).then_some(still == 0)
            });
            if moved {
                self.strike();
                if self.rng.below(2) == 0 {
                    self.next_round();
                }
            } else if self.help() {
                return;
            }
        }
    }

    fn next_round(&mut self) {
        if self.sent < self.rounds {
            let word = format!("round-{}-begins", self.sent);
            self.world.org(&["send", "all", &word]).well();
            self.sent += 1;
        }
    }

    /// Kills somebody.
    fn strike(&mut self) {
        let name = match self.rng.below(10) {
            0..=1 => "supervisor".to_owned(),
            2 => "mock".to_owned(),
            _ => {
                let at = self.rng.below(8);
                format!("agent-{}", agents().nth(at).unwrap())
            }
        };
        if let Some(pid) = holder(&self.run.path("locks").join(name)) {
            // It may have ended by itself in between.
            kill_process(pid, Signal::KILL).ok();
            self.kills += 1;
        }
    }

    /// Looks what is waited for, and does it; says whether nothing is.
    fn help(&mut self) -> bool {
        let status = self.world.org(&["status", "--json"]).json();
        let held: Vec<&Value> = status["agents"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|it| it["state"] == "held")
            .collect();
        for agent in &held {
            let why = agent["reason"].as_str().unwrap();
            assert!(why.contains("org budget usd="), "{agent}");
        }
        if status["state"] == "lost" {
            let id = self.run.id();
            self.world.org(&["up", "--resume", &id, "--detach"]).well();
        } else if !held.is_empty() {
            self.cap += RAISE;
            let cap = format!("usd={:.2}", self.cap);
            self.world.org(&["budget", &cap]).well();
        } else if self.sent < self.rounds {
            self.next_round();
        } else {
            return status["state"] == "done";
        }
        false
    }

    fn end(&mut self) {
        let id = self.run.id();
        let up = ["up", "--resume", &id, "--headless", "--until", "done"];
        // Exits 0 only where no script is unfinished.
        self.world.org(&up).well();
        self.tail.grew();
        self.world.nothing_lives();
    }

    /// Every effect at most once, and what is said to have happened did.
    fn nothing_is_doubled(&self) {
        let mut letters = BTreeMap::new();
        let mut notes = BTreeMap::new();
        for event in &self.tail.events {
            match event["kind"].as_str().unwrap() {
                "mail.sent" => count(&mut letters, &event["subject"]),
                "note.kept" => count(&mut notes, &event["text"]),
                _ => {}
            }
        }
        for (agent, plan) in &self.plans {
            let lost = self.lost(agent, plan);
            let gone = |mark: &str| lost.iter().any(|it| mark.starts_with(it.as_str()));
            let text = fs::read_to_string(self.run.path(&format!("work/{agent}/lines")));
            let text = text.unwrap_or_default();
            let mut lines = BTreeMap::new();
            for line in text.lines() {
                *lines.entry(line.to_owned()).or_insert(0) += 1;
            }
            let known = |(mark, times): (&String, &usize)| *times == 1 && plan.shell.contains(mark);
            assert!(lines.iter().all(known), "{agent}: {lines:?}");
            let unknown = self.unknown(agent);
            let missing = plan
                .shell
                .iter()
                .filter(|it| !lines.contains_key(*it) && !gone(it));
            let missing: Vec<&String> = missing.collect();
            assert!(
                missing.len() <= unknown,
                "{agent}: {missing:?}, {unknown} unknown"
            );
            for (what, marks, found) in [
                ("notes", &plan.notes, &notes),
                ("letters", &plan.letters, &letters),
            ] {
                for mark in marks.iter().filter(|it| !gone(it)) {
                    assert_eq!(found.get(mark), Some(&1), "{what} of {mark}");
                }
            }
            let path = self.run.path(&format!("work/{agent}/count"));
            let counted = fs::read_to_string(path).unwrap();
            if lost.is_empty() {
                assert_eq!(counted, format!("n={};\n", plan.edits), "{agent}");
            }
        }
    }

    /// Turns whose reply nobody has received: its process was killed, and the request made anew was
    /// another, since less money was left.
    fn lost(&self, agent: &str, plan: &Plan) -> Vec<String> {
        let texts: Vec<&str> = self.replies(agent).map(|it| text(&it["text"])).collect();
        let marks = plan.output.keys();
        let lost = marks.filter(|mark| !texts.iter().any(|it| it.ends_with(mark.as_str())));
        lost.cloned().collect()
    }

    fn replies<'a>(&'a self, agent: &'a str) -> impl Iterator<Item = &'a Value> {
        let replies = self.tail.events.iter();
        replies.filter(move |it| it["kind"] == "reply.received" && it["agent"] == agent)
    }

    /// Commands that nobody knows the outcome of.
    fn unknown(&self, agent: &str) -> usize {
        let results = self.tail.events.iter();
        let of = |it: &&Value| it["kind"] == "tool.result" && it["agent"] == agent;
        let unknown = |it: &&Value| it["tool"] == "shell" && it["ok"] == false;
        results.filter(of).filter(unknown).count()
    }

    /// What the log says was spent is what the server reported, reply for reply and in all.
    fn spending_is_true(&self) {
        let mut lost = 0;
        for (agent, plan) in &self.plans {
            for (mark, output) in &plan.output {
                let mine = self.replies(agent);
                let mine = mine.filter(|it| text(&it["text"]).ends_with(mark.as_str()));
                let mine: Vec<&Value> = mine.collect();
                assert!(
                    mine.len() <= 1 + usize::from(plan.twice.contains(mark)),
                    "{mine:?}"
                );
                lost += usize::from(mine.is_empty());
                for reply in mine {
                    let of = |name: &str| reply["usage"][name].as_u64().unwrap();
                    assert_eq!(
                        (of("input"), of("cache_read"), of("output")),
                        (500, 2000, *output)
                    );
                    let usd = 500.0 * INPUT + 2000.0 * CACHE_READ + *output as f64 * OUTPUT;
                    let said = reply["usd"].as_f64().unwrap();
                    assert!((said - usd).abs() < 1e-12, "{said} is not {usd}");
                }
            }
        }
        assert!(
            lost <= self.kills,
            "{lost} replies were lost, by {} kills",
            self.kills
        );
        let status = self.world.org(&["status", "--json"]).json();
        let mut all = 0.0;
        for row in status["agents"].as_array().unwrap() {
            let name = row["name"].as_str().unwrap();
            let settled: f64 = self
                .replies(name)
                .map(|it| it["usd"].as_f64().unwrap())
                .sum();
            let said = row["usd"].as_f64().unwrap();
            assert!(
                (said - settled).abs() < 1e-9,
                "{name}: {said} is not {settled}"
            );
            all += settled;
        }
        let costs = self.world.org(&["costs", "--json", "--by", "agent"]).json();
        let said = costs["total"]["usd"].as_f64().unwrap();
        assert!((said - all).abs() < 1e-9, "{said} is not {all}");
    }

    /// Adds the log up by itself: settled, lost and set aside never pass the cap.
    fn no_cap_is_passed(&self) {
        let (mut cap, mut gone) = (CAP, 0.0);
        let mut open: BTreeMap<&str, f64> = BTreeMap::new();
        for event in &self.tail.events {
            let agent = event["agent"].as_str().unwrap_or_default();
            let usd = event["usd"].as_f64().unwrap_or_default();
            match event["kind"].as_str().unwrap() {
                "budget.set" => cap = event["cap"].as_f64().unwrap(),
                "request.reserved" => gone += open.insert(agent, usd).unwrap_or_default(),
                "reply.received" => {
                    let reserved = open.remove(agent).unwrap_or_default();
                    assert!(usd <= reserved + 1e-12, "more than was set aside: {event}");
                    gone += usd;
                }
                "request.failed" => {
                    open.remove(agent);
                    gone += usd;
                }
                "agent.started" | "agent.died" | "conversation.renewed" => {
                    gone += open.remove(agent).unwrap_or_default();
                }
                _ => {}
            }
            let all = gone + open.values().sum::<f64>();
            assert!(all <= cap + 1e-9, "{all} of {cap} at {event}");
        }
        assert!(self.cap > CAP, "nobody was ever stopped by the cap");
    }
}

fn count(all: &mut BTreeMap<String, usize>, text: &Value) {
    if let Some(text) = text.as_str() {
        *all.entry(text.to_owned()).or_default() += 1;
    }
}

/// A text of the log, as far as it stands there.
fn text(text: &Value) -> &str {
    text.as_str().unwrap_or_default()
}

/// The process that a lock file names, if somebody holds it still.
fn holder(path: &Path) -> Option<Pid> {
    let text = fs::read_to_string(path).ok()?;
    let holder: Value = serde_json::from_str(text.trim()).ok()?;
    let pid = i32::try_from(holder["pid"].as_u64()?).ok()?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let same = fields.get(19)?.parse() == Ok(holder["start"].as_u64()?);
    (same && fields[0] != "Z").then(|| Pid::from_raw(pid))?
}

#[test]
fn a_night_of_faults_and_deaths_doubles_nothing_and_passes_no_cap() {
    let turns = var("ORG_SOAK_TURNS").parse().unwrap_or(TURNS);
    let seed = var("ORG_SOAK_SEED").parse().unwrap_or(1);
    let mut night = Night::begin(turns, seed);
    night.go();
    night.end();
    eprintln!(
        "seed {seed}: {} turns, {} kills, {} failed requests, {:.2} usd",
        night.tail.turns(),
        night.kills,
        night.run.of("request.failed").len(),
        night.cap,
    );
    night.nothing_is_doubled();
    night.spending_is_true();
    night.no_cap_is_passed();
    let chart = frozen::chart(&RunDir::at(night.run.path(""))).unwrap();
    reexecuted::decided_again(&night.run.path(""), &chart).unwrap();
}
