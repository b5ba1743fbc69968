//! What a candidate does with the seed that it is given: another seed gives another result, as far as
//! the baseline does so.
//!
//! A change that fixes its luck is none that a comparison by seeds can judge. Must not know what is
//! claimed.

use super::View;
use super::compare::values;
use crate::domain::event::{RunStatus, Stage};
use crate::domain::state::{Experiment, Hypothesis};

/// Runs with the same result on different seeds that chance does not explain.
const SAME_MIN: usize = 3;

impl View<'_> {
    /// Why the candidate's runs do not depend on their seeds, where the baseline's do.
    pub(super) fn ignores_seeds(
        &self,
        claim: &Hypothesis,
        commit: &str,
        base: &[&Experiment],
        cand: &[&Experiment],
        baseline: &[&Experiment],
    ) -> Option<String> {
        let all_same = |values: &[f64]| {
            values
                .windows(2)
                .all(|pair| pair[0].to_bits() == pair[1].to_bits())
        };
        let (base, mut cand) = (values(base), values(cand));
        // The screen's seed is one more.
        let screened = baseline
            .first()
            .map(|run| self.runs(commit, run.seed, Stage::Screen));
        let mut screened = screened.unwrap_or_default();
        screened.retain(|run| run.hypothesis == Some(claim.id) && run.status == RunStatus::Ok);
        cand.extend(screened.first().and_then(|run| run.measured.value));
        let ignores =
            cand.len() >= SAME_MIN && all_same(&cand) && base.len() > 1 && !all_same(&base);
        ignores.then(|| {
            format!(
                "{} seeds gave exactly the same, where the baseline's differ: it does not use its seed",
                cand.len()
            )
        })
    }
}
