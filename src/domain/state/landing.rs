//! What is so about landings: what the user's repository has got, and how the winner did at target scale
//! before.
//!
//! Must not know how anything is pushed or run.

use jiff::Timestamp;

use super::State;
use crate::domain::event::{Event, Kind, Measured, RunStatus};

/// A branch that was pushed to the user's repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Landing {
    /// The claim up to which it is the programme.
    pub hypothesis: u64,
    /// The champion that it holds.
    pub champion: String,
    /// The branch, in the user's repository.
    pub branch: String,
    /// The commit there.
    pub commit: String,
    /// When.
    pub at: Timestamp,
}

/// A run of what is to be landed, at target scale.
#[derive(Debug, Clone, PartialEq)]
pub struct Rerun {
    /// What ran.
    pub champion: String,
    /// The command.
    pub command: String,
    /// How it ended.
    pub status: RunStatus,
    /// Why it ended so.
    pub reason: String,
    /// What it took and gave.
    pub measured: Measured,
}

impl State {
    /// The champions that promotions led to and that still stand, each with its claim.
    pub fn champions(&self) -> impl Iterator<Item = (u64, &str)> {
        let promotions = self.promotions.iter();
        promotions.map(|(claim, _, after)| (*claim, after.as_str()))
    }

    /// The claims whose changes are in a champion, oldest first; of a stack, all of them.
    #[must_use]
    pub fn claims_of(&self, champion: &str) -> Vec<u64> {
        let all: Vec<(u64, &str)> = self.champions().collect();
        let last = all.iter().rposition(|(_, after)| *after == champion);
        let upto = last.map_or(0, |last| last + 1);
        all[..upto].iter().map(|(id, _)| *id).collect()
    }

    /// Whether a champion, or one that was built on it, lies in the user's repository.
    #[must_use]
    pub fn landed(&self, champion: &str) -> bool {
        let later = self.champions().skip_while(|(_, after)| *after != champion);
        let mut later = later.map(|(_, after)| after);
        later.any(|after| self.landings.iter().any(|it| it.champion == after))
    }

    /// The last run of a champion at target scale, by a command.
    #[must_use]
    pub fn rerun(&self, champion: &str, command: &str) -> Option<&Rerun> {
        let mut all = self.reruns.iter().rev();
        all.find(|it| it.champion == champion && it.command == command)
    }

    pub(super) fn landing_event(&mut self, event: &Event) {
        match &event.body {
            Kind::LandingMeasured {
                champion,
                command,
                status,
                reason,
                measured,
                ..
            } => self.reruns.push(Rerun {
                champion: champion.clone(),
                command: command.clone(),
                status: *status,
                reason: reason.clone(),
                measured: measured.clone(),
            }),
            Kind::LandingDone {
                hypothesis,
                champion,
                branch,
                commit,
                ..
            } => self.landings.push(Landing {
                hypothesis: *hypothesis,
                champion: champion.clone(),
                branch: branch.clone(),
                commit: commit.clone(),
                at: event.at,
            }),
            _ => {}
        }
    }
}
