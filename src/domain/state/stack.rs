//! What is so about claims that were put on top of each other.
//!
//! Must not know what they do there.

use super::State;
use crate::domain::event::{Event, Kind, RunStatus, Stage};
use crate::domain::stats::Sample;

/// Claims that were confirmed beside each other, put on top of each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Stack {
    /// The champion that all were confirmed on.
    pub base: String,
    /// Which, in the order in which they lie.
    pub claims: Vec<u64>,
    /// All of them; none where they cannot be put together.
    pub commit: Option<String>,
    /// Without each of them; empty for two, which are each other's rest.
    pub without: Vec<String>,
    /// Claims that are not promoted with the others on this champion.
    pub dropped: Vec<u64>,
}

impl State {
    /// The claims that were promoted with one, itself among them.
    #[must_use]
    pub fn promoted_with(&self, id: u64) -> Vec<u64> {
        let of = self.promotions.iter().rev().find(|(it, ..)| *it == id);
        let after = of.map(|(.., after)| after);
        let all = self.promotions.iter();
        let all = all.filter(|(.., it)| Some(it) == after);
        all.map(|(id, ..)| *id).collect()
    }

    /// The metric of what a claim has become, in its unit: of its own runs, and of the whole stack's where it
    /// was promoted with others.
    #[must_use]
    pub fn value_of(&self, id: u64) -> Option<f64> {
        let own = self.hypotheses.get(&id)?.verdict.as_ref()?.candidate;
        let promoted = self.promotions.iter().rev().find(|(it, ..)| *it == id);
        let stacked = self.promoted_with(id).len() > 1;
        let together = promoted.filter(|_| stacked).map(|(.., after)| {
            let runs = self.experiments.values();
            let runs = runs.filter(|run| run.commit == *after && run.status == RunStatus::Ok);
            let runs = runs.filter(|run| matches!(run.stage, Stage::Confirm | Stage::Rebaseline));
            Sample::of(
                &runs
                    .filter_map(|run| run.measured.value)
                    .collect::<Vec<_>>(),
            )
        });
        let sample = together.filter(|it| it.n > 0).unwrap_or(own);
        (sample.n > 0).then_some(sample.mean)
    }

    pub(super) fn stack_event(&mut self, event: &Event) {
        match &event.body {
            Kind::StackMade {
                base,
                claims,
                commit,
                without,
                ..
            } => {
                let before = self.stack.take().filter(|it| it.base == *base);
                self.stack = Some(Stack {
                    base: base.clone(),
                    claims: claims.clone(),
                    commit: commit.clone(),
                    without: without.clone(),
                    dropped: before.map(|it| it.dropped).unwrap_or_default(),
                });
            }
            Kind::StackDropped { id, reason } => {
                if let Some(stack) = &mut self.stack {
                    stack.dropped.push(*id);
                }
                if let Some(claim) = self.hypotheses.get_mut(id) {
                    claim.reason.clone_from(reason);
                }
            }
            _ => {}
        }
    }
}
