//! What a candidate does with the seed that it is given: the same seed the same result, another seed
//! another one, as far as the baseline does so.
//!
//! A change that draws its luck from somewhere else, or fixes it, is no change that a comparison by
//! seeds can judge. Owns both questions. Must not know what is claimed.

use super::View;
use super::compare::{PAIRS_BELOW, values};
use super::words::{Step, Wanted};
use crate::domain::event::{Arm, RunStatus, Stage, Status};
use crate::domain::state::{Experiment, Hypothesis};
use crate::domain::stats::figure;

/// Runs with the same result on different seeds that chance does not explain.
const SAME_MIN: usize = 3;
/// Tries of the repeated run before the question is given up: the world disturbs runs.
const TRIES: usize = 4;

impl View<'_> {
    /// What is to be done before it is known whether the candidate repeats itself on its screening seed;
    /// none where it does, or where the baseline does not either.
    pub(super) fn repeats(
        &self,
        claim: &Hypothesis,
        commit: &str,
        baseline: &[&Experiment],
    ) -> Option<Vec<Step>> {
        let sigma = self.sigma(baseline);
        if claim.rebases > 0 || !self.seeds_pair(sigma) {
            return None;
        }
        let seed = baseline.first()?.seed;
        let of_claim = |run: &&Experiment| run.hypothesis == Some(claim.id);
        let runs: Vec<&Experiment> = self
            .runs(commit, seed, Stage::Screen)
            .into_iter()
            .filter(of_claim)
            .collect();
        let ok = |run: &&&Experiment| run.status == RunStatus::Ok;
        let found = values(&runs.iter().filter(ok).copied().collect::<Vec<_>>());
        if let [first, .., last] = found.as_slice() {
            let apart = (first - last).abs();
            if apart <= PAIRS_BELOW * sigma {
                return None;
            }
            let why = format!(
                "the same seed gave {} and then {}: it draws on something else than its seed, which \
                 the baseline does not",
                figure(*first),
                figure(*last)
            );
            return Some(vec![Step::Move(claim.id, Status::Invalid, why, None)]);
        }
        if runs.iter().any(|run| run.finished_at.is_none()) {
            return Some(Vec::new());
        }
        if runs.len() >= TRIES || found.is_empty() {
            return None;
        }
        Some(vec![Step::Queue(Wanted {
            hypothesis: Some(claim.id),
            arm: Arm::Candidate,
            stage: Stage::Screen,
            seed,
            commit: commit.to_owned(),
        })])
    }

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
                "{} seeds gave exactly {} each, where the baseline's differ: it does not use its seed",
                cand.len(),
                figure(cand[0])
            )
        })
    }
}
