//! From confirmed to promoted, past the org's own reviews.
//!
//! Owns what a decision, or the want of one, makes of a claim. Who is asked, and for how long, is
//! `process`'s. Must not know how a review is given.

use super::View;
use super::words::Step;
use crate::domain::event::Status;
use crate::domain::process::{self, Gate};
use crate::domain::state::Hypothesis;

impl View<'_> {
    /// What the org's reviews make of a confirmed claim; none where they let it pass.
    pub(super) fn review(&self, claim: &Hypothesis) -> Option<Vec<Step>> {
        if claim.status == Status::Reviewed {
            return None;
        }
        let to = |status, why| Some(vec![Step::Move(claim.id, status, why, None)]);
        match process::gate(self.chart, self.state, claim) {
            Gate::Open => None,
            Gate::Waiting => Some(Vec::new()),
            Gate::Approved(why) => to(Status::Reviewed, why),
            Gate::Vetoed(why) => to(Status::Vetoed, why),
            Gate::Unreviewed(why) => to(Status::Parked, why),
        }
    }

    /// Decisions that came after a claim was parked for want of one.
    pub(super) fn late_reviews(&self) -> impl Iterator<Item = Step> {
        let claims = self.state.hypotheses.values();
        claims.filter_map(|claim| {
            let (status, why) = process::reviewed_late(self.chart, self.state, claim)?;
            Some(Step::Move(claim.id, status, why, None))
        })
    }
}
