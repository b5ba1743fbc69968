//! After a promotion: the champion is measured anew, and rolled back where it does not hold.
//!
//! Owns the re-baseline of the newest champion and its roll-back. Nothing is promoted, and nothing
//! compared anew, on a champion that has not been re-measured. Must not know how a branch is moved.

use super::View;
use super::words::{Claim, Step, Test, Verdict};
use crate::domain::state::{Experiment, Hypothesis};

/// Seeds of the baseline from which the one that claims are screened on is left out.
const ENOUGH: usize = 3;

impl View<'_> {
    /// Whether the champion may be built on: the start, or one whose re-baseline is in.
    pub(super) fn settled(&self) -> bool {
        self.state.promotions.is_empty()
            || matches!(self.baseline(&self.state.champion), Ok(Some(_)))
    }

    /// Whether a commit is where the programme stands, or once stood and was not rolled back.
    pub(super) fn stands(&self, commit: &str) -> bool {
        let mut after = self.state.promotions.iter().map(|(_, _, after)| after);
        commit == self.state.start || after.any(|after| after == commit)
    }

    /// The baseline runs that the newest champion lacks, or its roll-back.
    pub(super) fn settle(&self) -> Vec<Step> {
        let Some((id, before, after)) = self.state.promotions.last() else {
            return Vec::new();
        };
        // Of a stack, one that was to gain speaks for all.
        let all = self.state.promoted_with(*id).into_iter();
        let mut all = all.filter_map(|id| self.state.hypotheses.get(&id)).rev();
        let newest = all.clone().next();
        let Some(claim) = all.find(|it| it.claim != Claim::NoWorse).or(newest) else {
            return Vec::new();
        };
        match self.baseline(after) {
            Ok(None) => self.admission(after, false),
            Err(why) => {
                let why = format!("its re-baseline failed: {why}");
                vec![Step::RollBack(*id, why, None)]
            }
            // Measured anew after all has changed: its predecessor's runs are of another world.
            Ok(Some(_)) if self.state.expired.contains_key(after) => Vec::new(),
            Ok(Some(runs)) => {
                let Ok(Some(former)) = self.baseline(before) else {
                    return Vec::new();
                };
                self.wanting(claim, &former, &runs)
                    .map(|(why, verdict)| Step::RollBack(*id, why, Some(Box::new(verdict))))
                    .into_iter()
                    .collect()
            }
        }
    }

    /// Why a champion is not what it was promoted for, if its re-baseline says so: the interval of its
    /// gain over its predecessor excludes one.
    fn wanting(
        &self,
        claim: &Hypothesis,
        former: &[&Experiment],
        now: &[&Experiment],
    ) -> Option<(String, Verdict)> {
        // What was screened on the first seed was chosen by it.
        let skip = usize::from(now.len() > ENOUGH);
        let (former, now) = (&former[skip.min(former.len())..], &now[skip..]);
        let test = if self.seeds_pair(self.sigma(former)) {
            Test::Paired
        } else {
            Test::Pooled
        };
        let margin = self.tested_margin(claim, former);
        let verdict = self.compare(test, former, now, margin);
        let [_, hi] = verdict.ci?;
        let lost = match claim.claim {
            Claim::NoWorse => hi < -margin,
            _ => hi <= 0.0,
        };
        let numbers = self.numbers(&verdict, test);
        lost.then(|| {
            let why = format!("measured anew, the gain is not there: {numbers}");
            (why, verdict)
        })
    }
}
