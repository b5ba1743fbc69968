//! What a candidate does with the seed that it is given: another seed gives another result, as far as
//! the baseline does so.
//!
//! A change that fixes its luck is none that a comparison by seeds can judge. Must not know what is
//! claimed.

use super::View;
use super::compare::values;
use crate::domain::event::{RunStatus, Stage};
use crate::domain::state::{Experiment, Hypothesis};
use crate::domain::stats::Sample;

/// Runs with the same result on different seeds that chance does not explain.
const SAME_MIN: usize = 3;
/// Spread of a candidate, as a share of the baseline's, that is none: a fixed draw, and some dust on it. A
/// change that trains to the end what the baseline only began has been seen to leave a hundredth.
const DUST: f64 = 1e-3;

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
        let (base, mut cand) = (values(base), values(cand));
        // The screen's seed is one more.
        let screened = baseline
            .first()
            .map(|run| self.runs(commit, run.seed, Stage::Screen));
        let mut screened = screened.unwrap_or_default();
        screened.retain(|run| run.hypothesis == Some(claim.id) && run.status == RunStatus::Ok);
        cand.extend(screened.first().and_then(|run| run.measured.value));
        let spread = Sample::of(&base).sd;
        let ignores =
            cand.len() >= SAME_MIN && spread > 0.0 && Sample::of(&cand).sd <= DUST * spread;
        ignores.then(|| {
            format!(
                "{} seeds gave the same, where the baseline's differ: it does not use its seed",
                cand.len()
            )
        })
    }
}
