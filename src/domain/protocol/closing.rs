//! The gain of a whole run, measured anew at its end on vault seeds that nothing was chosen by.
//!
//! Owns which closing runs are wanted and what the headline rests on. It is never a sum of accepted
//! differences. Must not know claims.

use super::words::{Test, Verdict, Wanted};
use super::{VAULT_SEEDS, View, seed};
use crate::domain::chart::Chart;
use crate::domain::event::{Arm, Stage};
use crate::domain::state::{Experiment, State};

/// The closing runs that are still wanted: start and champion on vault seeds. Empty where nothing
/// was promoted.
#[must_use]
pub fn closing(chart: &Chart, state: &State) -> Vec<Wanted> {
    let Some(pool) = state.pool else {
        return Vec::new();
    };
    if state.promotions.is_empty() || measured(state) {
        return Vec::new();
    }
    let mut wanted = Vec::new();
    for index in 0..u64::from(chart.protocol.baseline) {
        let seed = seed(pool, VAULT_SEEDS + index);
        for (arm, commit) in [
            (Arm::Baseline, &state.start),
            (Arm::Candidate, &state.champion),
        ] {
            let there = state.experiments.values().any(|run| {
                run.stage == Stage::Closing && run.commit == *commit && run.seed == seed
            });
            if !there {
                wanted.push(Wanted {
                    hypothesis: None,
                    arm,
                    stage: Stage::Closing,
                    seed,
                    commit: commit.clone(),
                });
            }
        }
    }
    wanted
}

/// Whether the gain was re-measured, and of the champion that stands now: mail after the end may bring
/// another promotion.
#[must_use]
pub fn measured(state: &State) -> bool {
    let headline = state.headline.as_ref();
    headline.is_some_and(|headline| headline.to == state.champion)
}

/// The headline, once all closing runs have ended.
#[must_use]
pub fn headline(chart: &Chart, state: &State) -> Option<Verdict> {
    if measured(state) || state.promotions.is_empty() {
        return None;
    }
    let ends = [&state.start, &state.champion];
    let closing: Vec<&Experiment> = state
        .experiments
        .values()
        .filter(|run| run.stage == Stage::Closing && ends.contains(&&run.commit))
        .collect();
    if closing.len() < 2 * chart.protocol.baseline as usize
        || closing.iter().any(|run| run.finished_at.is_none())
    {
        return None;
    }
    let pool = state.pool?;
    let view = View { chart, state, pool };
    let arm = |arm: Arm| {
        closing
            .iter()
            .copied()
            .filter(|run| run.arm == arm)
            .collect::<Vec<_>>()
    };
    let (base, cand) = (arm(Arm::Baseline), arm(Arm::Candidate));
    Some(view.compare(Test::Paired, &base, &cand, 0.0))
}
