//! What a fold forgets: when things happened, in their order.
//!
//! Owns the choice of events that are news, and the moments at which the programme moved. Fed with
//! every event once. Must not know how any of it is drawn.

use std::collections::VecDeque;

use jiff::Timestamp;

use crate::domain::event::{Event, Kind};
use crate::view::figure;
use crate::view::line;
use crate::view::paint::Tint;

/// News that are kept; the rest is in `org logs`.
const KEPT: usize = 500;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Happening {
    /// The event.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Who did it.
    pub who: String,
    /// What, in a line.
    pub text: String,
    /// How it is meant.
    pub tint: Tint,
}

/// What happened so far.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The latest news, oldest first.
    pub(super) news: VecDeque<Happening>,
    /// All events that were news, by number: what stepping steps over.
    pub(super) marks: Vec<u64>,
    /// When the programme moved, and by which claim.
    pub(super) advances: Vec<(Timestamp, u64)>,
    /// The last event.
    pub(super) last: u64,
}

impl History {
    /// Takes the next event in.
    pub fn take(&mut self, event: &Event) {
        self.last = event.seq;
        if let Kind::ProgrammeAdvanced { hypothesis, .. } = &event.body {
            self.advances.push((event.at, *hypothesis));
        }
        let Some(tint) = newsworthy(&event.body) else {
            return;
        };
        self.marks.push(event.seq);
        if self.news.len() == KEPT {
            self.news.pop_front();
        }
        self.news.push_back(Happening {
            seq: event.seq,
            at: event.at,
            who: figure::one_line(event.actor.name()),
            text: figure::one_line(&told(event)),
            tint,
        });
    }

    /// The number of the last event.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.last
    }

    /// The event that is `steps` news after event `from`; before it where `steps` is negative. The
    /// first and the last event are as far as it goes.
    #[must_use]
    pub fn step(&self, from: u64, steps: i64) -> u64 {
        let at = self.marks.partition_point(|mark| *mark <= from);
        let size = usize::try_from(steps.unsigned_abs()).unwrap_or(usize::MAX);
        if steps >= 0 {
            let to = at.saturating_add(size).saturating_sub(1);
            return self.marks.get(to).copied().unwrap_or(self.last);
        }
        // The mark at or before `from` is where we stand.
        let here = self.marks[..at].partition_point(|mark| *mark < from);
        here.checked_sub(size)
            .and_then(|to| self.marks.get(to).copied())
            .unwrap_or(1)
    }
}

/// How an event is meant, where people want to see it go by: what happens between people, agents and
/// the lab, and not every call.
fn newsworthy(body: &Kind) -> Option<Tint> {
    Some(match body {
        Kind::AgentHeld { .. }
        | Kind::AgentDied { .. }
        | Kind::RequestFailed { .. }
        | Kind::OfficeLost { .. } => Tint::Bad,
        Kind::HypothesisMoved { status, .. } if status.is_exit() => Tint::Notable,
        Kind::HypothesisMoved { .. }
        | Kind::ProgrammeAdvanced { .. }
        | Kind::HeadlineMeasured { .. }
        | Kind::LandingDone { .. } => Tint::Good,
        Kind::HypothesisRejected { .. }
        | Kind::RunDown { .. }
        | Kind::PauseSet { .. }
        | Kind::PauseCleared { .. }
        | Kind::AgentRestart { .. }
        | Kind::PaneLost { .. }
        | Kind::BudgetSet { .. } => Tint::Notable,
        Kind::HypothesisRegistered { .. } => Tint::Bold,
        Kind::MailSent { .. } | Kind::RunCreated { .. } | Kind::AgentDone { .. } => Tint::None,
        Kind::ExperimentStarted { .. }
        | Kind::ExperimentFinished { .. }
        | Kind::AgentStarted { .. }
        | Kind::SupervisorStarted { .. }
        | Kind::ConversationRenewed { .. }
        | Kind::RunStopped {}
        | Kind::RunResumed {} => Tint::Dim,
        _ => return None,
    })
}

/// What happened, with a verb where the summary has none.
fn told(event: &Event) -> String {
    let summary = line::summary(&event.body);
    match &event.body {
        Kind::PauseSet { .. } => format!("paused {summary}"),
        Kind::PauseCleared { .. } => format!("lets {summary} go on"),
        Kind::AgentRestart { .. } => format!("restarts {summary}"),
        Kind::AgentStarted { .. } => format!("started {summary}"),
        Kind::AgentHeld { .. } => format!("holds {summary}"),
        Kind::AgentDied { .. } => format!("saw die {summary}"),
        Kind::AgentDone { .. } => format!("done: {summary}"),
        Kind::BudgetSet { .. } => format!("sets the cap {summary}"),
        Kind::RunDown { .. } => format!("down: {summary}"),
        Kind::RunStopped {} => "nothing of the run lives any more".to_owned(),
        Kind::RunResumed {} => "the run goes on".to_owned(),
        Kind::RunCreated { .. } => format!("created {summary}"),
        Kind::SupervisorStarted { .. } => format!("started, {summary}"),
        Kind::OfficeLost { .. } => format!("office: {summary}"),
        Kind::PaneLost { .. } => format!("saw a pane end: {summary}"),
        Kind::HypothesisRegistered { .. } => format!("registered {summary}"),
        Kind::ExperimentStarted { .. } => format!("runs {summary}"),
        Kind::ProgrammeAdvanced { .. } => format!("the programme has {summary}"),
        _ => summary,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;

    #[test]
    fn stepping_goes_over_news_and_stays_within_the_log() {
        let mut history = History::default();
        for event in sample::events().1 {
            history.take(&event);
        }
        let (first, last) = (history.marks[0], history.last);
        assert_eq!(first, 1);
        let mut at = last;
        let mut seen = vec![at];
        for _ in 0..100 {
            at = history.step(at, -1);
            seen.push(at);
        }
        assert_eq!(at, 1, "{seen:?}");
        for _ in 0..100 {
            at = history.step(at, 1);
        }
        assert_eq!(at, last);
        assert_eq!(history.step(1, 10_000), last);
        assert_eq!(history.step(last, -10_000), 1);
        let third = history.marks[2];
        assert_eq!(history.step(third, 1), history.marks[3]);
        assert_eq!(history.step(third, -2), history.marks[0]);
    }
}
