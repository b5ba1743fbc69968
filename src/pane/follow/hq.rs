//! What hq shows of a run: the feed of what happened, and the standing of the claims.
//!
//! Owns the choice of events that people want to see go by, and the board's figures; must not know how
//! a terminal is drawn.

use std::collections::BTreeMap;

use crate::domain::chart::Chart;
use crate::domain::event::{Event, Kind, RunStatus, Stage, Status};
use crate::domain::state::State;
use crate::domain::stats::{Sample, figure};
use crate::os::clock;
use crate::pane::board::{Claim, Note, Standing};
use crate::pane::line::Tone;

/// The claims as the board shows them.
pub(super) fn claims(chart: &Chart, state: &State) -> Standing {
    let count = |status| {
        state
            .experiments
            .values()
            .filter(|run| run.status == status)
            .count()
    };
    // A seed that was run twice counts once, as in the report.
    let by_seed: BTreeMap<u64, f64> = state
        .experiments
        .values()
        .rev()
        .filter(|run| run.stage == Stage::Admission && run.status == RunStatus::Ok)
        .filter_map(|run| Some((run.seed, run.measured.value?)))
        .collect();
    let values: Vec<f64> = by_seed.into_values().collect();
    let base = Sample::of(&values);
    let heading = format!(
        "{} baseline {} sd {} (n {})   runs: {} queued, {} running, {} ended",
        chart.task.metric.name,
        figure(base.mean),
        figure(base.sd),
        base.n,
        count(RunStatus::Queued),
        count(RunStatus::Running),
        state
            .experiments
            .values()
            .filter(|run| run.finished_at.is_some())
            .count(),
    );
    let claims = state.hypotheses.values().map(|claim| {
        let ci = claim
            .verdict
            .as_ref()
            .and_then(|verdict| Some((verdict.effect?, verdict.ci?)));
        let effect = match ci {
            Some((effect, [lo, hi])) => {
                format!("gain {} [{}, {}]", figure(effect), figure(lo), figure(hi))
            }
            None => claim.reason.clone(),
        };
        let tone = match claim.status {
            Status::Promoted => Tone::Good,
            status if status.is_exit() => Tone::Dim,
            _ => Tone::Strong,
        };
        Claim {
            id: format!("h{}", claim.id),
            agent: claim.agent.clone(),
            status: claim.status.word().to_owned(),
            effect,
            title: claim.title.clone(),
            tone,
        }
    });
    Standing {
        heading,
        claims: claims.collect(),
    }
}

/// What an event is in the feed: what happened between people, agents and the lab, not every call.
pub(super) fn note(event: &Event) -> Option<Note> {
    let (who, text, tone) = match &event.body {
        Kind::MailSent {
            from, to, subject, ..
        } => {
            let to = if to.len() > 2 {
                format!("{} people", to.len())
            } else {
                to.join(", ")
            };
            (from.clone(), format!("→ {to}: {subject}"), Tone::Mail)
        }
        Kind::HypothesisRegistered {
            id, agent, title, ..
        } => (
            agent.clone(),
            format!("registered h{id}: {title}"),
            Tone::Strong,
        ),
        Kind::HypothesisRejected {
            id, agent, reason, ..
        } => (
            agent.clone(),
            format!("h{id} rejected: {reason}"),
            Tone::Warn,
        ),
        Kind::AgentHeld { agent, reason, .. } => {
            (agent.clone(), format!("held: {reason}"), Tone::Bad)
        }
        Kind::AgentDied { agent, how } => (agent.clone(), format!("died: {how}"), Tone::Bad),
        Kind::AgentStarted { agent, .. } => (agent.clone(), "at work".to_owned(), Tone::Dim),
        Kind::SupervisorStarted { .. } => {
            ("supervisor".to_owned(), "at work".to_owned(), Tone::Dim)
        }
        Kind::OfficeLost { reason } => (
            "supervisor".to_owned(),
            format!("the office was lost: {reason}"),
            Tone::Warn,
        ),
        Kind::PaneLost { seat, how } => (
            "supervisor".to_owned(),
            format!("the pane of {seat} ended: {how}"),
            Tone::Warn,
        ),
        Kind::RunDown { reason } => ("human".to_owned(), format!("down: {reason}"), Tone::Warn),
        other => lab_note(other)?,
    };
    let at = clock::local(event.at).strftime("%H:%M:%S").to_string();
    Some(Note {
        at,
        who,
        text,
        tone,
    })
}

/// The lab's part of the feed.
fn lab_note(body: &Kind) -> Option<(String, String, Tone)> {
    let (text, tone) = match body {
        Kind::HypothesisMoved {
            id, status, reason, ..
        } => {
            let tone = if status.is_exit() {
                Tone::Warn
            } else {
                Tone::Good
            };
            (format!("h{id} {}: {reason}", status.word()), tone)
        }
        Kind::ExperimentStarted { id, gpus, .. } => {
            let on: Vec<String> = gpus.iter().map(|gpu| gpu.index.to_string()).collect();
            (format!("e{id} runs on gpu {}", on.join(",")), Tone::Dim)
        }
        Kind::ExperimentFinished {
            id,
            status,
            measured,
            ..
        } => {
            let value = measured
                .value
                .map_or_else(String::new, |value| format!(" {}", figure(value)));
            let text = format!("e{id} {}{value} in {:.1} s", status.word(), measured.wall_s);
            (text, Tone::Dim)
        }
        Kind::ProgrammeAdvanced { hypothesis, commit } => {
            let short = commit.get(..12).unwrap_or(commit);
            (
                format!("the programme has h{hypothesis}, {short}"),
                Tone::Good,
            )
        }
        Kind::HeadlineMeasured { headline } => {
            let effect = headline.verdict.effect.unwrap_or_default();
            (format!("re-measured gain {}", figure(effect)), Tone::Good)
        }
        _ => return None,
    };
    Some(("lab".to_owned(), text, tone))
}
