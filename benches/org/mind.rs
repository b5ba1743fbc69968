//! What a mind costs: how soon an agent's process asks its model, what it says before any work, how fast
//! a stream is read, and what a long history holds in memory.

use std::fmt::Write as _;

use jiff::Timestamp;
use org::domain::chart::Wire;
use org::domain::chat::Raw;
use org::domain::event::Kind;
use org::os::{clock, lock};
use org::provider;
use org::run::log::Log;
use org::run::paths::RunDir;
use serde_json::{Value, json};

use super::Broken;
use super::proc;
use super::scene::{Scene, put};
use super::table::{Goal, Table, median, ms};
use super::turn::{chart_text, events, head};

/// Times that the start is made.
const STARTS: usize = 5;
/// Pieces of the stream that is read.
const PIECES: usize = 20_000;
/// Times that it is read.
const READS: usize = 5;
/// What the vendors' own command lines send before any work, kB, as their requests showed.
const VENDORS_KB: f64 = 50.0;
/// Files of [`FILE_BYTES`] that the long history takes in: some 500,000 tokens.
const FILES: usize = 42;
/// As much as one call of `read` shows.
const FILE_BYTES: usize = 47_000;
/// Ticks of the kernel's clock in a second, as `/proc` counts them on Linux.
const TICKS: f64 = 100.0;

/// Measures them.
pub(crate) fn measure(table: &mut Table) -> Result<(), Broken> {
    start(table)?;
    decode(table, Wire::Anthropic, "Anthropic", &anthropic())?;
    decode(table, Wire::Openai, "OpenAI", &openai())?;
    long(table)
}

/// From the birth of an agent's process to its first request, and what that request carries.
fn start(table: &mut Table) -> Result<(), Broken> {
    let scene = Scene::new()?;
    let chart = put(scene.path().join("solo.toml"), &chart_text())?;
    let idle = "version = 1\n[[scripts]]\nagent = \"solo\"\nsteps = []\n";
    let scenario = put(scene.path().join("idle.toml"), idle)?;
    let mut times = Vec::new();
    for _ in 0..STARTS {
        scene.run(&[
            "up",
            &chart,
            "--mock",
            "--headless",
            "--detach",
            "--scenario",
            &scenario,
        ])?;
        let dir = scene.newest()?;
        scene.wait(&dir, |log| {
            log.state().agents.values().all(|agent| agent.replies > 0)
        })?;
        let holder = lock::holder(&dir.agent_lock("solo")).ok_or("the agent is gone")?;
        times.push(first_request(&dir)? - born(holder.pid)?);
        if times.len() == STARTS {
            table.row(
                "prompt before any work, against vendors' tools",
                "kB",
                Some(VENDORS_KB),
                prompt(&dir)?,
                Goal::Ratio(0.5),
            );
        }
        scene.run(&["down"])?;
    }
    let metric = "process start to first request";
    table.row(metric, "ms", None, median(&times), Goal::Most(60.0));
    Ok(())
}

fn since_epoch(at: Timestamp) -> f64 {
    at.as_microsecond() as f64 / 1000.0
}

/// When the first request was set aside for, milliseconds.
fn first_request(dir: &RunDir) -> Result<f64, Broken> {
    let asked = events(dir)?
        .into_iter()
        .find(|event| matches!(event.body, Kind::RequestReserved { .. }));
    Ok(since_epoch(asked.ok_or("nobody asked")?.at))
}

/// When a process was born, milliseconds, to a hundredth of a second.
fn born(pid: u32) -> Result<f64, Broken> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = stat.rsplit_once(") ").ok_or("no such process")?.1;
    let ticks: f64 = fields.split(' ').nth(19).ok_or("no start")?.parse()?;
    let uptime = std::fs::read_to_string("/proc/uptime")?;
    let up: f64 = uptime.split(' ').next().ok_or("no uptime")?.parse()?;
    Ok(since_epoch(clock::now()) - (up - ticks / TICKS) * 1000.0)
}

/// Bytes of the first request, kB.
fn prompt(dir: &RunDir) -> Result<f64, Broken> {
    let blobs = Log::open(dir)?.blobs();
    let mut items = Vec::new();
    for event in events(dir)? {
        if let Kind::RequestReserved { items: names, .. } = event.body {
            for name in names {
                items.push(Raw::new(blobs.get_text(&name)?));
            }
            break;
        }
    }
    let body = provider::provider(Wire::Anthropic).body(&head(dir)?, &items);
    Ok(body.len() as f64 / 1000.0)
}

/// A long reply as Anthropic streams it.
fn anthropic() -> Vec<Value> {
    let mut events = vec![
        json!({"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 5}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
    ];
    let delta = json!({"type": "text_delta", "text": "a few words of a reply "});
    let piece = json!({"type": "content_block_delta", "index": 0, "delta": delta});
    events.extend(std::iter::repeat_n(piece, PIECES));
    events.push(json!({"type": "content_block_stop", "index": 0}));
    events.push(json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}));
    events.push(json!({"type": "message_stop"}));
    events
}

/// The same as OpenAI does.
fn openai() -> Vec<Value> {
    let piece = json!({"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0,
        "content_index": 0, "delta": "a few words of a reply ", "sequence_number": 7});
    let mut events: Vec<Value> = std::iter::repeat_n(piece, PIECES).collect();
    let text = json!({"type": "output_text", "text": "a few words of a reply ".repeat(PIECES)});
    let item = json!({"type": "message", "id": "msg_1", "role": "assistant", "content": [text]});
    events.push(json!({"type": "response.output_item.done", "output_index": 0, "item": item}));
    events.push(json!({"type": "response.completed", "response": {"id": "r"}}));
    events
}

/// Events to a reply, against reading each as JSON.
fn decode(table: &mut Table, wire: Wire, name: &str, events: &[Value]) -> Result<(), Broken> {
    let lines: Vec<String> = events.iter().map(Value::to_string).collect();
    let megabytes = lines.iter().map(String::len).sum::<usize>() as f64 / 1e6;
    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..READS {
        let begun = clock::monotonic();
        for line in &lines {
            std::hint::black_box(serde_json::from_str::<Value>(line)?);
        }
        bare.push(ms(begun.elapsed()));
        let mut decoder = provider::provider(wire).decoder();
        let begun = clock::monotonic();
        for line in &lines {
            std::hint::black_box(decoder.event(line)?);
        }
        let reply = decoder.finish()?;
        ours.push(ms(begun.elapsed()));
        if reply.text.is_empty() {
            return Err("nothing was read".into());
        }
    }
    let rate = |times: &[f64]| megabytes / (median(times) / 1000.0);
    table.row(
        &format!("decoding a stream, {name}, against bare JSON"),
        "MB/s",
        Some(rate(&bare)),
        rate(&ours),
        Goal::Share(0.5),
    );
    Ok(())
}

/// Memory of an agent whose conversation is long.
fn long(table: &mut Table) -> Result<(), Broken> {
    let scene = Scene::new()?;
    let text = chart_text().replace(
        "tools = [\"shell\", \"notebook\"]",
        "tools = [\"shell\", \"files\", \"notebook\"]\ncompact_at = \"900k\"",
    );
    let chart = put(scene.path().join("long.toml"), &text)?;
    let mut scenario = "version = 1\n[[scripts]]\nagent = \"solo\"\n".to_owned();
    let mut step = |call: &str| {
        let call = format!("[[scripts.steps]]\n[[scripts.steps.call]]\n{call}\n");
        scenario.push_str(&call);
    };
    let line = "fifty bytes of text that say nothing in particular";
    let lines = FILE_BYTES / (line.len() + 1);
    step(&format!(
        "tool = \"shell\"\ncommand = \"for i in $(seq {lines}); do echo {line}; done > long.txt\""
    ));
    for number in 0..FILES {
        step("tool = \"read\"\npath = \"long.txt\"");
        step(&format!(
            "tool = \"note\"\ntext = \"read it {number} times\""
        ));
    }
    step("tool = \"done\"\nsummary = \"all is read\"");
    writeln!(scenario)?;
    let scenario = put(scene.path().join("long-lines.toml"), &scenario)?;
    scene.run(&[
        "up",
        &chart,
        "--mock",
        "--headless",
        "--detach",
        "--scenario",
        &scenario,
    ])?;
    let dir = scene.newest()?;
    scene.wait(&dir, |log| {
        log.state().agents.values().all(|agent| agent.done)
    })?;
    let tokens = Log::open(&dir)?.state().agents["solo"].context;
    let holder = lock::holder(&dir.agent_lock("solo")).ok_or("the agent is gone")?;
    let rss = proc::memory(holder.pid).rss;
    table.row(
        &format!(
            "memory, agent with {} k tokens of history, RSS",
            tokens / 1000
        ),
        "MiB",
        None,
        rss,
        Goal::Most(24.0),
    );
    scene.run(&["down"])?;
    Ok(())
}
