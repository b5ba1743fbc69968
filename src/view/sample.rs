//! A small finished run, built from events in code, for the tests of the views.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};

use crate::domain::chart::{Axis, Chart};
use crate::domain::chat::{Stop, Usage};
use crate::domain::decode::{Context, decode};
use crate::domain::event::{
    Actor, Arm, Class, Event, Gpu, Headline, Kind, LoggedCall, Measured, RunStatus, Stage, Status,
    Text, Why,
};
use crate::domain::protocol::{Claim, Ratios, Test, Verdict};
use crate::domain::state::State;
use crate::domain::stats::Sample;

const CHART: &str = r#"
version = 1
name = "t"
mission = "Lower val_loss."
[task]
repo = "/tmp/repo"
run = "python3 train.py"
metric = { name = "val_loss", goal = "min", pattern = 'val_loss: ([0-9.]+)' }
[budget]
usd = 5.0
[roles.researcher]
tools = ["shell", "mail", "experiment"]
[[agents]]
name = "ana"
role = "researcher"
model = "claude-opus-5-5"
gpu = "auto"
[[agents]]
name = "ben"
role = "researcher"
model = "gpt-6.2-sol"
"#;

/// When the sample run began.
pub(crate) fn start() -> Timestamp {
    "2026-02-03T04:05:06Z".parse().expect("a time")
}

/// The sample's chart.
pub(crate) fn chart() -> Chart {
    let context = Context {
        base: Path::new("/tmp"),
        home: None,
        known_models: &[("claude-opus-5-5", "anthropic"), ("gpt-6.2-sol", "openai")],
        frozen: false,
    };
    let decoded = decode(CHART, &context);
    decoded
        .chart
        .unwrap_or_else(|| panic!("{:?}", decoded.problems))
}

/// The sample's chart and fold.
pub(crate) fn run() -> (Chart, State) {
    let (chart, events) = events();
    let mut state = State::default();
    for event in &events {
        state.apply(event).expect("folds");
    }
    (chart, state)
}

/// The sample's chart and log.
pub(crate) fn events() -> (Chart, Vec<Event>) {
    let mut log = Vec::new();
    opening(&mut log);
    turn(&mut log);
    claims(&mut log);
    verdicts(&mut log);
    closing(&mut log);
    let events = log
        .into_iter()
        .enumerate()
        .map(|(at, (actor, body))| Event {
            seq: at as u64 + 1,
            at: start() + SignedDuration::from_secs(at as i64),
            actor: Actor::named(actor),
            cause: None,
            body,
        })
        .collect();
    (chart(), events)
}

type Draft = Vec<(&'static str, Kind)>;

fn gpu() -> Gpu {
    Gpu {
        index: 0,
        uuid: "GPU-sim-0".to_owned(),
        simulated: true,
    }
}

fn opening(log: &mut Draft) {
    log.push((
        "human",
        Kind::RunCreated {
            format: 1,
            run: "t-abcd".to_owned(),
            org: "t".to_owned(),
            mock: true,
            headless: false,
            version: "0.1.0".to_owned(),
            base: "base000000".to_owned(),
        },
    ));
    let sandbox = BTreeMap::from([("reads".to_owned(), true), ("network".to_owned(), false)]);
    log.push(("supervisor", Kind::SupervisorStarted { pid: 41, sandbox }));
    log.push((
        "lab",
        Kind::LabOpened {
            pool: 7,
            gpus: vec![gpu()],
            parallel: 1,
        },
    ));
    log.push((
        "supervisor",
        Kind::OfficeOpened {
            socket: "/run/t.sock".to_owned(),
            session: "t".to_owned(),
            panes: BTreeMap::from([("ana".to_owned(), "%0".to_owned())]),
        },
    ));
    for (name, seat) in [("ana", Some(gpu())), ("ben", None)] {
        log.push((
            "supervisor",
            Kind::AgentSeated {
                agent: name.to_owned(),
                gpu: seat,
                branch: format!("agent/{name}"),
                worktree: format!("/runs/t-abcd/work/{name}"),
            },
        ));
        log.push((
            name,
            Kind::AgentStarted {
                agent: name.to_owned(),
                pid: 42,
            },
        ));
    }
}

fn mail(id: u64, from: &str, to: &str, subject: &str) -> Kind {
    Kind::MailSent {
        id,
        from: from.to_owned(),
        to: vec![to.to_owned()],
        subject: subject.to_owned(),
        body: Text::from("a body\nof two lines"),
        now: false,
        assignment: false,
        call: None,
    }
}

fn turn(log: &mut Draft) {
    let agent = || "ana".to_owned();
    log.push(("ana", mail(1, "ana", "human", "hello")));
    log.push(("human", mail(2, "human", "ana", "look at LR")));
    log.push((
        "ana",
        Kind::TurnStarted {
            agent: agent(),
            turn: 1,
            why: Why::First,
            mails: vec![2],
        },
    ));
    log.push((
        "ana",
        Kind::RequestReserved {
            agent: agent(),
            request: 1,
            conversation: 1,
            items: Vec::new(),
            usd: 0.5,
            model: "claude-opus-5-5".to_owned(),
            provider: "anthropic".to_owned(),
            near: String::new(),
        },
    ));
    log.push((
        "ana",
        Kind::ReplyReceived {
            agent: agent(),
            request: 1,
            items: Vec::new(),
            text: Text::from("I look at \x1b[31mLR"),
            thinking: Text::from(""),
            calls: vec![LoggedCall {
                id: "c1".to_owned(),
                name: "shell".to_owned(),
                arguments: Text::from("{}"),
            }],
            truncated: Vec::new(),
            stop: Stop::ToolUse,
            usage: Usage {
                input: 100,
                output: 20,
                cache_read: 3_000,
                ..Usage::default()
            },
            usd: 0.125,
        },
    ));
    log.push((
        "ana",
        Kind::ToolIntent {
            agent: agent(),
            call: "c1".to_owned(),
            tool: "shell".to_owned(),
            class: Class::Opaque,
            brief: "ls".to_owned(),
            pre: None,
        },
    ));
    log.push((
        "ana",
        Kind::ToolResult {
            agent: agent(),
            call: "c1".to_owned(),
            tool: "shell".to_owned(),
            ok: true,
            output: Text::from("train.py"),
        },
    ));
}

fn claims(log: &mut Draft) {
    log.push((
        "ana",
        Kind::HypothesisRegistered {
            id: 1,
            agent: "ana".to_owned(),
            title: "raise LR".to_owned(),
            claim: Claim::Improve,
            mechanism: "larger steps".to_owned(),
            predicts: 0.5,
            refuted_by: "no gain".to_owned(),
            axis: Axis::Flops,
            margin: None,
            commit: "cand111111".to_owned(),
            base: "base000000".to_owned(),
            replicates: None,
            parts: Vec::new(),
            call: None,
        },
    ));
    log.push((
        "ben",
        Kind::HypothesisRejected {
            id: 2,
            agent: "ben".to_owned(),
            title: "touch the | ruler".to_owned(),
            claim: Claim::Improve,
            reason: "data.py is protected".to_owned(),
            commit: None,
            call: None,
        },
    ));
    let base = "base000000";
    let cand = "cand111111";
    experiment(log, 1, (Arm::Baseline, Stage::Admission), None, base, 1.1);
    experiment(log, 2, (Arm::Baseline, Stage::Admission), None, base, 0.9);
    experiment(log, 3, (Arm::Candidate, Stage::Screen), Some(1), cand, 0.5);
    experiment(log, 4, (Arm::Baseline, Stage::Confirm), None, base, 1.0);
    experiment(log, 5, (Arm::Candidate, Stage::Confirm), Some(1), cand, 0.5);
    experiment(log, 6, (Arm::Candidate, Stage::Confirm), Some(1), cand, 0.5);
    let look = (Arm::Candidate, Stage::Explore);
    experiment(log, 7, look, None, "look333333", 0.9);
}

fn experiment(
    log: &mut Draft,
    id: u64,
    (arm, stage): (Arm, Stage),
    hypothesis: Option<u64>,
    commit: &str,
    value: f64,
) {
    let look = stage == Stage::Explore;
    log.push((
        if look { "ana" } else { "lab" },
        Kind::ExperimentQueued {
            id,
            agent: look.then(|| "ana".to_owned()),
            hypothesis,
            arm,
            stage,
            seed: 100 + id,
            commit: commit.to_owned(),
            note: if look { "a look around" } else { "" }.to_owned(),
            env: BTreeMap::new(),
            call: None,
        },
    ));
    log.push((
        "lab",
        Kind::ExperimentStarted {
            id,
            attempt: 1,
            gpus: vec![gpu()],
        },
    ));
    log.push((
        "lab",
        Kind::ExperimentFinished {
            id,
            attempt: 1,
            status: RunStatus::Ok,
            reason: String::new(),
            measured: Measured {
                value: Some(value),
                wall_s: 2.0,
                cpu_s: 1.5,
                gpu_s: 2.0,
                peak_mem_mb: 512.0,
                flops: Some(1e9),
                params: Some(1e3),
                tokens: None,
                ..Measured::default()
            },
            tail: Text::from(""),
        },
    ));
}

/// The sample's verdict.
fn verdict() -> Verdict {
    Verdict {
        test: Some(Test::Paired),
        effect: Some(0.5),
        ci: Some([0.4, 0.6]),
        p: Some(0.000_1),
        baseline: Sample::of(&[1.1, 0.9, 1.0]),
        candidate: Sample::of(&[0.5, 0.5]),
        ratios: Ratios {
            wall: Some(1.0),
            flops: Some(1.0),
            ..Ratios::default()
        },
        more_seeds: None,
        runs: vec![1, 2, 4, 5, 6],
    }
}

fn verdicts(log: &mut Draft) {
    log.push((
        "lab",
        Kind::HypothesisPlanned {
            id: 1,
            test: Test::Paired,
            seeds: 2,
            looks: Vec::new(),
        },
    ));
    log.push((
        "lab",
        Kind::ProgrammeAdvanced {
            hypothesis: 1,
            commit: "champ22222".to_owned(),
        },
    ));
    log.push((
        "lab",
        Kind::HypothesisMoved {
            id: 1,
            status: Status::Promoted,
            reason: "val_loss better by 0.5".to_owned(),
            verdict: Some(verdict()),
        },
    ));
}

fn closing(log: &mut Draft) {
    log.push((
        "lab",
        Kind::HeadlineMeasured {
            headline: Headline {
                from: "base000000".to_owned(),
                to: "champ22222".to_owned(),
                verdict: verdict(),
            },
        },
    ));
    log.push((
        "ben",
        Kind::AgentHeld {
            agent: "ben".to_owned(),
            reason: "no key".to_owned(),
            cap: false,
            until: None,
        },
    ));
}

/// The names of an object's members, sorted.
pub(crate) fn keys(value: &impl serde::Serialize) -> Vec<String> {
    let value = serde_json::to_value(value).expect("plain data");
    let mut keys: Vec<String> = value
        .as_object()
        .expect("an object")
        .keys()
        .cloned()
        .collect();
    keys.sort();
    keys
}
