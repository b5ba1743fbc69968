//! The log: what a durable event costs, alone and among eight writers, and how fast it is read again.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;

use org::domain::chat::{Stop, Usage};
use org::domain::event::{Actor, Class, Event, Kind, LoggedCall, Text, Why};
use org::os::clock;
use org::run::log::Log;
use org::run::paths::RunDir;

use super::Broken;
use super::mail::{begin, names};
use super::scene::Scene;
use super::table::{Ceiling, Goal, Table, median, ms, quantile};

/// Events of one writer.
const EACH: usize = 150;
/// Writers at a time.
const WRITERS: usize = 8;
/// Bytes of an event in the floor: what an average one has.
const EVENT: usize = 316;
/// Events of the log that is read again.
const LONG: usize = 100_000;

/// Measures append and replay.
pub(crate) fn measure(table: &mut Table) -> Result<(), Broken> {
    let scene = Scene::new()?;
    append(table, scene.path())?;
    replay(table, scene.path())
}

fn append(table: &mut Table, root: &Path) -> Result<(), Broken> {
    let dir = begin(&root.join("l-1"))?;
    let raw = root.join("raw.log");
    let (mut floor, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        floor.extend(raw_writer(&raw));
        ours.extend(writer(&dir));
    }
    row_both(table, "log, durable event, alone", &floor, &ours, Some(2.0));
    let (mut floor, mut ours) = (Vec::new(), Vec::new());
    let (mut floor_rate, mut rate) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let (times, per_second) = together(|| raw_writer(&raw));
        floor.extend(times);
        floor_rate.push(per_second);
        let (times, per_second) = together(|| writer(&dir));
        ours.extend(times);
        rate.push(per_second);
    }
    row_both(
        table,
        "log, durable event, of 8 writers",
        &floor,
        &ours,
        Some(2.0),
    );
    let (floor, ours) = (median(&floor_rate), median(&rate));
    table.row(
        "log, 8 writers, durable events",
        "per s",
        Some(floor),
        ours,
        Goal::Share(0.7),
    );
    Ok(())
}

fn row_both(table: &mut Table, what: &str, floor: &[f64], ours: &[f64], goal: Option<f64>) {
    let goal = goal.map_or(Goal::Open, Goal::Ratio);
    table.row(
        &format!("{what}, p50"),
        "ms",
        Some(median(floor)),
        median(ours),
        goal,
    );
    let p99 = |sample: &[f64]| quantile(sample, 0.99);
    table.guarded(
        Ceiling::Most(5.0),
        (&format!("{what}, p99"), "ms"),
        Some(p99(floor)),
        p99(ours),
        goal,
    );
}

fn together(work: impl Fn() -> Vec<f64> + Sync) -> (Vec<f64>, f64) {
    let begun = clock::monotonic();
    let times: Vec<f64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..WRITERS).map(|_| scope.spawn(&work)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("a writer does not panic"))
            .collect()
    });
    let per_second = times.len() as f64 / begun.elapsed().as_secs_f64();
    (times, per_second)
}

fn raw_writer(path: &Path) -> Vec<f64> {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .expect("opened");
    let line = [b'x'; EVENT];
    let times = (0..EACH).map(|_| {
        let begun = clock::monotonic();
        file.write_all(&line).expect("written");
        file.sync_data().expect("synced");
        ms(begun.elapsed())
    });
    times.collect()
}

fn writer(dir: &RunDir) -> Vec<f64> {
    let mut log = Log::open(dir).expect("opened");
    let times = (0..EACH).map(|_| {
        let begun = clock::monotonic();
        let set = Kind::BudgetSet {
            what: "usd".to_owned(),
            cap: 600.0,
        };
        log.append(&Actor::Human, vec![set]).expect("appended");
        let time = ms(begun.elapsed());
        log.drain();
        time
    });
    times.collect()
}

fn replay(table: &mut Table, root: &Path) -> Result<(), Broken> {
    let dir = begin(&root.join("r-1"))?;
    write_long(&dir)?;
    let (mut count, mut parse, mut fold) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..3 {
        let begun = clock::monotonic();
        let bytes = fs::read(dir.events())?;
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
        count.push(rate(begun, lines));
        drop(bytes);
        let begun = clock::monotonic();
        let mut file = BufReader::new(File::open(dir.events())?);
        let mut line = Vec::new();
        while file.read_until(b'\n', &mut line)? > 0 {
            drop(serde_json::from_slice::<Event>(&line)?);
            line.clear();
        }
        parse.push(rate(begun, lines));
        let begun = clock::monotonic();
        let log = Log::open(&dir)?;
        fold.push(rate(begun, lines));
        if log.state().seq as usize != lines {
            return Err("the log was not read to its end".into());
        }
    }
    let (count, parse, fold) = (median(&count), median(&parse), median(&fold));
    table.row(
        "log, replay, against read and count",
        "per s",
        Some(count),
        fold,
        Goal::Open,
    );
    // At most 1.3 times the time of parsing alone.
    let share = Goal::Share(1.0 / 1.3);
    table.row(
        "log, replay, against parsing alone",
        "per s",
        Some(parse),
        fold,
        share,
    );
    Ok(())
}

fn rate(begun: std::time::Instant, lines: usize) -> f64 {
    lines as f64 / begun.elapsed().as_secs_f64()
}

/// A long log, as eight agents write one that use a tool in every step.
fn write_long(dir: &RunDir) -> Result<(), Broken> {
    let mut seq = Log::open(dir)?.state().seq;
    let mut file = OpenOptions::new().append(true).open(dir.events())?;
    let mut bytes = Vec::new();
    let (at, agents) = (clock::now(), names());
    for turn in 1.. {
        if seq as usize >= LONG {
            break;
        }
        let agent = &agents[turn as usize % agents.len()];
        for body in turn_of(agent, turn) {
            seq += 1;
            let event = Event {
                seq,
                at,
                actor: Actor::Agent(agent.clone()),
                cause: None,
                body,
            };
            serde_json::to_writer(&mut bytes, &event)?;
            bytes.push(b'\n');
        }
    }
    file.write_all(&bytes)?;
    Ok(file.sync_data()?)
}

fn turn_of(agent: &str, turn: u64) -> Vec<Kind> {
    let agent = agent.to_owned();
    let call = format!("call_{turn}");
    let hash = |what: u64| format!("{:064x}", turn * 8 + what);
    vec![
        Kind::TurnStarted {
            agent: agent.clone(),
            turn,
            why: Why::Mail,
            mails: Vec::new(),
        },
        Kind::RequestReserved {
            agent: agent.clone(),
            request: turn,
            conversation: 1,
            items: vec![hash(0)],
            usd: 0.4,
            model: "claude-opus-5-5".to_owned(),
            provider: "anthropic".to_owned(),
            near: String::new(),
        },
        Kind::ReplyReceived {
            agent: agent.clone(),
            request: turn,
            items: vec![hash(1), hash(2)],
            text: Text::Whole("Let me look at how the loss falls first. ".repeat(3)),
            thinking: Text::Whole(String::new()),
            calls: vec![LoggedCall {
                id: call.clone(),
                name: "shell".to_owned(),
                arguments: Text::Whole("{\"command\":\"tail -n 20 train.log\"}".to_owned()),
            }],
            truncated: Vec::new(),
            stop: Stop::ToolUse,
            usage: Usage::default(),
            usd: 0.1,
        },
        Kind::ToolIntent {
            agent: agent.clone(),
            call: call.clone(),
            tool: "shell".to_owned(),
            class: Class::Opaque,
            brief: "tail -n 20 train.log".to_owned(),
            pre: None,
        },
        Kind::ToolResult {
            agent: agent.clone(),
            call,
            tool: "shell".to_owned(),
            ok: true,
            output: Text::Whole("exit status 0\nstep 100/2000 loss 3.21\n".repeat(4)),
        },
        Kind::TurnEnded {
            agent,
            turn,
            interrupted: false,
        },
    ]
}
