//! How far it is to a claim's verdict.
//!
//! Owns the estimate: runs that a claim still takes if it goes all the way, and how long they take at
//! the pace of those that have ended. Must not decide anything.

use super::View;
use super::words::Test;
use crate::domain::chart::{Chart, Confirm};
use crate::domain::event::RunStatus;
use crate::domain::state::State;

/// Seeds that a confirmation is taken for before it is planned.
const GUESSED_SEEDS: u32 = 4;

/// The way to a verdict.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ahead {
    /// Runs that have ended.
    pub ended: usize,
    /// Runs in all, if it goes all the way.
    pub total: usize,
    /// Seconds that the rest takes; none before a run has ended.
    pub seconds: Option<f64>,
}

/// How far it is to the verdict on a claim of a run that has no other.
#[must_use]
pub fn ahead(chart: &Chart, state: &State, id: u64) -> Ahead {
    let ok: Vec<f64> = state
        .experiments
        .values()
        .filter(|run| run.status == RunStatus::Ok)
        .map(|run| run.measured.wall_s)
        .collect();
    let ended = state.experiments.values();
    let ended = ended.filter(|run| run.finished_at.is_some()).count();
    let seeds = confirmations(chart, state, id);
    let parts = state.hypotheses.get(&id).map_or(0, |it| it.parts.len());
    let hidden = if chart.task.hidden.is_empty() { 0 } else { 2 };
    let each = 2 + hidden + if parts > 1 { parts } else { 0 };
    let planned = chart.protocol.baseline as usize + 2 + seeds as usize * each;
    let total = planned.max(ended).max(state.experiments.len());
    let mean = ok.iter().sum::<f64>() / ok.len() as f64;
    let lanes = f64::from(state.parallel.max(1));
    let seconds = (!ok.is_empty()).then(|| (total - ended) as f64 * mean / lanes);
    Ahead {
        ended,
        total,
        seconds,
    }
}

/// Seeds of the claim's confirmation: as planned, or as they would be.
fn confirmations(chart: &Chart, state: &State, id: u64) -> u32 {
    let Some(claim) = state.hypotheses.get(&id) else {
        return 0;
    };
    if let Some((_, seeds)) = claim.plan {
        return seeds;
    }
    if let Confirm::Seeds(seeds) = chart.protocol.confirm {
        return seeds;
    }
    let known = || {
        let pool = state.pool?;
        let view = View { chart, state, pool };
        let baseline = view.baseline(&state.start).ok()??;
        let sigma = view.sigma(&baseline);
        let test = if view.seeds_pair(sigma) {
            Test::Paired
        } else {
            Test::Pooled
        };
        Some(view.planned_seeds(claim, sigma, test))
    };
    known().unwrap_or(GUESSED_SEEDS)
}
