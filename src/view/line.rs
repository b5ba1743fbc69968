//! Events in a line each: `org logs`.
//!
//! Owns whom an event concerns, as far as the log tells (an experiment's end concerns who asked for
//! it), and a summary for people. Must not know how the log is read.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;

use super::figure::{count, one_line, span};
use super::paint::{Paint, Tint};
use super::table::cut;
use crate::domain::event::{Event, Kind, Measured};

/// Follows a log and tells which of its events are by, to or about somebody.
#[derive(Debug, Clone, Default)]
pub struct Concern {
    who: Option<String>,
    experiments: BTreeSet<u64>,
    hypotheses: BTreeSet<u64>,
}

impl Concern {
    /// With one agent, `human`, `lab` or `supervisor`; none means everybody.
    #[must_use]
    pub fn with(who: Option<&str>) -> Self {
        Self {
            who: who.map(str::to_owned),
            ..Self::default()
        }
    }

    /// Whether the next event of the log belongs to it. Must be asked of every event, in order.
    pub fn takes(&mut self, event: &Event) -> bool {
        let Some(who) = self.who.clone() else {
            return true;
        };
        let direct = event.actor.name() == who || event.body.concerns().contains(&who.as_str());
        match &event.body {
            Kind::HypothesisRegistered { id, agent, .. }
            | Kind::HypothesisRejected { id, agent, .. }
                if *agent == who =>
            {
                self.hypotheses.insert(*id);
            }
            Kind::ExperimentQueued {
                id,
                agent,
                hypothesis,
                ..
            } => {
                let claimed = hypothesis.is_some_and(|h| self.hypotheses.contains(&h));
                if agent.as_ref() == Some(&who) || claimed {
                    self.experiments.insert(*id);
                    return true;
                }
            }
            _ => {}
        }
        direct || self.owns(&event.body)
    }

    fn owns(&self, body: &Kind) -> bool {
        match body {
            Kind::ExperimentStarted { id, .. }
            | Kind::ExperimentProgress { id, .. }
            | Kind::ExperimentCancelled { id, .. }
            | Kind::ExperimentFinished { id, .. } => self.experiments.contains(id),
            Kind::HypothesisPlanned { id, .. }
            | Kind::HypothesisWithdrawn { id, .. }
            | Kind::HypothesisMoved { id, .. }
            | Kind::HypothesisRebased { id, .. } => self.hypotheses.contains(id),
            Kind::ProgrammeAdvanced { hypothesis, .. } => self.hypotheses.contains(hypothesis),
            _ => false,
        }
    }
}

/// An event in one line of at most `width` columns: local time, who, what kind, and a summary.
#[must_use]
pub fn text(event: &Event, zone: &TimeZone, width: usize, paint: Paint) -> String {
    let time = event
        .at
        .to_zoned_datetime(zone.clone())
        .strftime("%H:%M:%S");
    let who = format!("{:<12}", cut(&one_line(event.actor.name()), 12));
    let head = format!("{time} {who} {:<20} ", kind(event));
    let room = width.saturating_sub(head.chars().count()).max(16);
    let tail = cut(&one_line(&summary(&event.body)), room);
    let line = format!(
        "{} {who} {} {tail}",
        paint.tint(Tint::Dim, &time.to_string()),
        paint.tint(tint(&event.body), &format!("{:<20}", kind(event))),
    );
    line.trim_end().to_owned()
}

/// The word that the log has for an event's kind.
#[must_use]
pub fn kind(event: &Event) -> String {
    let value = serde_json::to_value(&event.body).unwrap_or_default();
    let word = value.get("kind").and_then(serde_json::Value::as_str);
    word.unwrap_or_default().to_owned()
}

fn tint(body: &Kind) -> Tint {
    match body {
        Kind::AgentHeld { .. }
        | Kind::AgentDied { .. }
        | Kind::MailUndelivered { .. }
        | Kind::PersonMissed { .. }
        | Kind::RequestFailed { .. } => Tint::Bad,
        Kind::ProgrammeAdvanced { .. }
        | Kind::HeadlineMeasured { .. }
        | Kind::LandingDone { .. } => Tint::Good,
        Kind::MailSent { .. }
        | Kind::HypothesisMoved { .. }
        | Kind::ApprovalAsked { .. }
        | Kind::ApprovalDecided { .. } => Tint::Notable,
        _ => Tint::None,
    }
}

/// What happened, in a line without its kind.
#[must_use]
pub fn summary(body: &Kind) -> String {
    run_summary(body)
        .or_else(|| agent_summary(body))
        .or_else(|| lab_summary(body))
        .unwrap_or_default()
}

fn run_summary(body: &Kind) -> Option<String> {
    Some(match body {
        Kind::RunCreated { run, mock, .. } => {
            format!("{run}{}", if *mock { " (mock)" } else { "" })
        }
        Kind::LogRepaired { bytes } => format!("{bytes} bytes of an unfinished line were cut"),
        Kind::SupervisorStarted { pid, .. } => format!("pid {pid}"),
        Kind::LabOpened { gpus, parallel, .. } => {
            format!("{} GPUs, {parallel} runs at a time", gpus.len())
        }
        Kind::MockBound { port } => format!("port {port}"),
        Kind::OfficeOpened { session, panes, .. } => {
            format!("tmux session {session}, {} panes", panes.len())
        }
        Kind::PaneLost { seat, how } => format!("{seat}: {how}"),
        Kind::OfficeLost { reason } | Kind::RunDown { reason } => reason.clone(),
        Kind::PauseSet { agent } | Kind::FreezeSet { agent } | Kind::PauseCleared { agent } => {
            agent.clone().unwrap_or_else(|| "all".to_owned())
        }
        Kind::BudgetSet { what, cap } => format!("{what} = {cap}"),
        Kind::MailSent {
            id,
            to,
            subject,
            now,
            ..
        } => {
            let urgent = if *now { " (now)" } else { "" };
            format!("m{id} to {}{urgent}: {subject}", to.join(", "))
        }
        Kind::TakeBegan { now: true, .. } => {
            "a person sits down at its desk, and stops what it is at".to_owned()
        }
        Kind::TakeBegan { .. } => "a person sits down at its desk".to_owned(),
        Kind::TakeEnded { files, .. } if files.is_empty() => "nothing was changed".to_owned(),
        Kind::TakeEnded { files, .. } => format!("changed: {}", files.join(", ")),
        Kind::TakeLost { .. } => "the person's terminal is gone; it stays paused".to_owned(),
        Kind::ApprovalAsked { id, question, .. } => format!("a{id}: {question}?"),
        Kind::ApprovalDecided {
            id,
            approved,
            reason,
        } => {
            let word = if *approved { "approved" } else { "denied" };
            format!("a{id} {word} {reason}").trim_end().to_owned()
        }
        Kind::PersonCalled { reason, .. } => reason.clone(),
        Kind::PersonMissed { reason, error } => format!("{error}; it was to say: {reason}"),
        Kind::MailUndelivered { to, name, reason } => format!("{name} for {to}: {reason}"),
        Kind::MailRead { by, ids } => {
            let ids: Vec<String> = ids.iter().map(|id| format!("m{id}")).collect();
            format!("{by} read {}", ids.join(", "))
        }
        _ => return None,
    })
}

fn agent_summary(body: &Kind) -> Option<String> {
    Some(match body {
        Kind::AgentRestart { agent, model } => match model {
            Some(model) => format!("{agent}, with {model}"),
            None => agent.clone(),
        },
        Kind::ConversationRenewed {
            conversation, why, ..
        } => format!("conversation {conversation}: {why}"),
        Kind::AgentSeated { agent, gpu, .. } => {
            let gpu = gpu.as_ref().map(|gpu| format!(" on GPU {}", gpu.index));
            format!("{agent}{}", gpu.unwrap_or_default())
        }
        Kind::AgentStarted { agent, pid } => format!("{agent}, pid {pid}"),
        Kind::AgentEnded { agent, reason } | Kind::AgentHeld { agent, reason, .. } => {
            format!("{agent}: {reason}")
        }
        Kind::AgentReleased { agent } => format!("{agent} goes on"),
        Kind::AgentDied { agent, how } => format!("{agent}: {how}"),
        Kind::TurnStarted {
            turn, why, mails, ..
        } => {
            let why = super::figure::word(why);
            format!("turn {turn} ({why}, {} mails)", mails.len())
        }
        Kind::RequestReserved { request, usd, .. } => {
            format!("request {request}, at most ${usd:.4}")
        }
        Kind::RequestWaits { reason, .. } => format!("waiting: {reason}"),
        Kind::RequestFailed { request, error, .. } => format!("request {request}: {error}"),
        Kind::ReplyReceived {
            text,
            calls,
            usage,
            usd,
            ..
        } => {
            let calls: Vec<&str> = calls.iter().map(|call| call.name.as_str()).collect();
            let said = text.head();
            let called = if calls.is_empty() {
                String::new()
            } else {
                format!(" → {}", calls.join(", "))
            };
            format!("{said}{called} ({} out, ${usd:.4})", count(usage.output))
        }
        Kind::ToolIntent { tool, brief, .. } => format!("{tool}: {brief}"),
        Kind::ToolResult {
            tool, ok, output, ..
        } => {
            let failed = if *ok { "" } else { " failed" };
            format!("{tool}{failed}: {}", output.head())
        }
        Kind::TurnEnded {
            turn, interrupted, ..
        } => {
            let how = if *interrupted { ", interrupted" } else { "" };
            format!("turn {turn}{how}")
        }
        Kind::BranchSaved { commit, .. } => super::figure::commit(commit).to_owned(),
        Kind::AgentDone { summary, .. } => summary.head().to_owned(),
        Kind::NoteKept { text, .. } => text.head().to_owned(),
        _ => return None,
    })
}

fn lab_summary(body: &Kind) -> Option<String> {
    Some(match body {
        Kind::ExperimentQueued {
            id,
            hypothesis,
            arm,
            stage,
            seed,
            ..
        } => {
            let (arm, stage) = (super::figure::word(arm), super::figure::word(stage));
            let claim = hypothesis.map(|h| format!(" of h{h}")).unwrap_or_default();
            format!("e{id}: {stage} {arm}{claim}, seed {seed}")
        }
        Kind::DiskFull { bytes: Some(bytes) } => {
            format!("{} MiB: nothing is launched", bytes >> 20)
        }
        Kind::DeviceBarred { gpu, why } => match why {
            Some(why) => format!("GPU {} is not leased: {why}", gpu.index),
            None => format!("GPU {} may be leased again", gpu.index),
        },
        Kind::DiskFull { bytes: None } => "there is room again".to_owned(),
        Kind::ExperimentProgress {
            id, done, total, ..
        } => format!("e{id} at {done} of {total}"),
        Kind::ExperimentCancelled { id, reason, .. } => format!("e{id}: {reason}"),
        Kind::ExperimentStarted { id, attempt, gpus } => {
            let gpus: Vec<String> = gpus.iter().map(|gpu| gpu.index.to_string()).collect();
            let on = if gpus.is_empty() {
                String::new()
            } else {
                format!(" on GPU {}", gpus.join(", "))
            };
            format!("e{id}, launch {attempt}{on}")
        }
        Kind::ExperimentFinished {
            id,
            status,
            reason,
            measured: Measured { value, wall_s, .. },
            ..
        } => {
            let value = value.map(|v| format!(", {}", super::figure::number(v)));
            format!(
                "e{id} {}{} in {}{}",
                status.word(),
                value.unwrap_or_default(),
                span(*wall_s),
                if reason.is_empty() {
                    String::new()
                } else {
                    format!(": {reason}")
                }
            )
        }
        other => return claim_summary(other),
    })
}

/// What becomes of claims that were confirmed beside each other.
fn stacking(body: &Kind) -> Option<String> {
    Some(match body {
        Kind::StackMade {
            claims,
            commit,
            reason,
            ..
        } => {
            let all: Vec<String> = claims.iter().map(|id| format!("h{id}")).collect();
            let all = all.join(", ");
            match commit {
                Some(_) => format!("{all} are measured on top of each other"),
                None => format!("{all} cannot be put on top of each other: {reason}"),
            }
        }
        Kind::StackDropped { id, reason } => {
            format!("h{id} is not promoted with the others: {reason}")
        }
        _ => return None,
    })
}

fn claim_summary(body: &Kind) -> Option<String> {
    Some(match body {
        Kind::HypothesisWithdrawn { id, reason, .. } => format!("h{id}: {reason}"),
        Kind::HypothesisRegistered {
            id, title, claim, ..
        } => format!("h{id} ({}): {title}", claim.word()),
        Kind::HypothesisRejected {
            id, title, reason, ..
        } => format!("h{id} rejected: {title}: {reason}"),
        Kind::HypothesisPlanned {
            id,
            test,
            seeds,
            looks,
        } => {
            let most = if looks.len() > 1 { "at most " } else { "" };
            format!("h{id}: {} test on {most}{seeds} fresh seeds", test.word())
        }
        Kind::HypothesisSplit { id, parts, .. } => {
            format!(
                "h{id} is measured without each of its {} parts",
                parts.len()
            )
        }
        Kind::HypothesisTrimmed { id, trim } => format!("h{id}: {}", trim.reason),
        Kind::StackMade { .. } | Kind::StackDropped { .. } => stacking(body)?,
        Kind::ProgrammeRolledBack { hypothesis, commit } => {
            let back = super::figure::commit(commit);
            format!("h{hypothesis} is taken back, again at {back}")
        }
        Kind::HypothesisMoved {
            id, status, reason, ..
        } => format!("h{id} {}: {reason}", status.word()),
        Kind::HypothesisRebased { id, base, .. } => {
            format!("h{id} on {}", super::figure::commit(base))
        }
        Kind::ProgrammeAdvanced { hypothesis, commit } => {
            format!("h{hypothesis}, now at {}", super::figure::commit(commit))
        }
        Kind::HeadlineMeasured { headline } => {
            let effect = headline.verdict.effect.map(super::figure::signed);
            format!("gain {}", effect.unwrap_or_default())
        }
        Kind::BaselineExpired { commit, reason, .. } => {
            format!("{}: {reason}", super::figure::commit(commit))
        }
        Kind::MachineSeen { what } => what.clone(),
        Kind::LandingMeasured {
            status,
            reason,
            measured,
            ..
        } => {
            let value = measured.value.map(super::figure::number);
            let said = value.unwrap_or_else(|| reason.clone());
            format!("at target scale: {}, {said}", status.word())
        }
        Kind::LandingDone {
            hypothesis,
            branch,
            repo,
            ..
        } => format!("h{hypothesis} is branch {branch} of {repo}"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;

    #[test]
    fn an_agent_s_log_has_its_runs_ends_and_its_claims_moves() {
        let (_, events) = sample::events();
        let words = |who: Option<&str>| -> Vec<String> {
            let mut concern = Concern::with(who);
            let taken = events.iter().filter(|event| concern.takes(event));
            taken.map(kind).collect()
        };
        let ana = words(Some("ana"));
        for word in [
            "agent.seated",
            "mail.sent",
            "experiment.finished",
            "hypothesis.moved",
            "programme.advanced",
        ] {
            assert!(ana.iter().any(|kind| kind == word), "{word} in {ana:?}");
        }
        assert!(!words(Some("ben")).contains(&"programme.advanced".to_owned()));
        assert_eq!(words(None).len(), events.len());
    }

    #[test]
    fn lines_fit_and_every_event_of_a_run_says_something() {
        let (_, events) = sample::events();
        for event in &events {
            let line = text(event, &TimeZone::UTC, 80, Paint::Plain);
            assert!(line.chars().count() <= 80, "{line}");
            assert!(!summary(&event.body).is_empty(), "{:?}", event.body);
        }
    }
}
