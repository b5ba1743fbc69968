//! The evaluation on data that nobody who proposes has seen.
//!
//! Owns whether a confirmed claim holds there too: fresh seeds, evaluated with the hidden data. What
//! it says is pass or fail: its numbers stand in the runs, and in no reason that an agent reads. Must
//! not know how an evaluation is run.

use super::View;
use super::words::{Claim, Step, Test};
use crate::domain::event::{Stage, Status};
use crate::domain::state::{Experiment, Hypothesis};
use crate::domain::stats::Sample;

/// Fewest seeds on which a claim is held against the hidden data: with two, as many as a first look or a
/// refresh has, the interval of a t test is so wide that gains of five sigma do not hold.
const SEEDS_MIN: u32 = 4;

impl View<'_> {
    /// What is to be done before a claim has passed on the hidden data; none where it has, or where
    /// there is none.
    pub(super) fn hidden(
        &self,
        claim: &Hypothesis,
        commit: &str,
        baseline: &[&Experiment],
    ) -> Option<Vec<Step>> {
        let task = &self.chart.task;
        if task.hidden.is_empty() || task.evaluate.is_none() {
            return None;
        }
        let n = claim.verdict.as_ref().map_or(0, |it| it.candidate.n);
        let seeds = self.hidden_seeds(claim, n.max(SEEDS_MIN));
        let pairs = match self.pairs(claim, commit, Stage::Hidden, &seeds) {
            Ok(pairs) => pairs,
            Err(steps) => return Some(steps),
        };
        let test = claim.plan.map_or(Test::Paired, |(test, _)| test);
        let values: Vec<f64> = pairs
            .base
            .iter()
            .filter_map(|run| run.measured.value)
            .collect();
        if self.holds_hidden(
            claim,
            test,
            &pairs.base,
            &pairs.cand,
            Sample::of(&values).sd,
            baseline,
        ) {
            return None;
        }
        let why = "it does not hold on the hidden data".to_owned();
        Some(vec![Step::Move(claim.id, Status::Refuted, why, None)])
    }

    /// The same sign, and an interval that does not reach below minus the margin.
    fn holds_hidden(
        &self,
        claim: &Hypothesis,
        test: Test,
        base: &[&Experiment],
        cand: &[&Experiment],
        spread: f64,
        baseline: &[&Experiment],
    ) -> bool {
        let margin = match claim.claim {
            Claim::NoWorse => self.margin(claim, self.sigma(baseline)),
            // As far as the hidden data's own noise goes, which may be another than the visible.
            _ => self.chart.protocol.margin.unwrap_or(spread),
        };
        let verdict = self.compare(test, base, cand, margin);
        let effect = verdict.effect.unwrap_or(f64::MIN);
        let [lo, _] = verdict.ci.unwrap_or([f64::MIN, f64::MAX]);
        match claim.claim {
            Claim::NoWorse => lo >= -margin,
            _ => effect > 0.0 && lo > -margin,
        }
    }
}
