//! The baseline: what must be known of a task before any claim on it is judged.
//!
//! Owns which baseline runs a champion needs, and when there cannot be any. Must not know claims.

use std::collections::BTreeMap;

use super::compare::PAIRS_BELOW;
use super::prospect::{Cost, Noise};
use super::words::{Step, Wanted};
use super::{View, seed};
use crate::domain::event::{Arm, RunStatus, Stage};
use crate::domain::state::{Experiment, State};
use crate::domain::stats::{self, Sample};

impl View<'_> {
    pub(super) fn admission_seeds(&self) -> Vec<u64> {
        (0..u64::from(self.chart.protocol.baseline))
            .map(|index| seed(self.pool, index))
            .collect()
    }

    /// Baseline runs that a champion still lacks. The first is run twice on the run's start, to
    /// learn whether a seed means the same twice.
    pub(super) fn admission(&self, commit: &str, start: bool) -> Vec<Step> {
        let stage = if start {
            Stage::Admission
        } else {
            Stage::Rebaseline
        };
        let mut steps = Vec::new();
        for (index, seed) in self.admission_seeds().into_iter().enumerate() {
            let wanted = if start && index == 0 { 2 } else { 1 };
            let there = self
                .runs(commit, seed, stage)
                .into_iter()
                .filter(|run| usable(run))
                .count();
            for _ in there..wanted {
                steps.push(Step::Queue(Wanted {
                    hypothesis: None,
                    arm: Arm::Baseline,
                    stage,
                    seed,
                    commit: commit.to_owned(),
                }));
            }
        }
        steps
    }

    /// Finished baseline runs of a commit, or why there cannot be any.
    pub(super) fn baseline(&self, commit: &str) -> Result<Option<Vec<&Experiment>>, String> {
        let mut runs = Vec::new();
        for seed in self.admission_seeds() {
            let on_seed = self.runs(commit, seed, Stage::Admission);
            if let Some(broken) = on_seed.iter().find(|run| failed(run)) {
                return Err(format!(
                    "the baseline itself ended {} (e{}): {}",
                    broken.status.word(),
                    broken.id,
                    broken.reason
                ));
            }
            let Some(first) = on_seed.into_iter().find(|run| run.status == RunStatus::Ok) else {
                return Ok(None);
            };
            runs.push(first);
        }
        Ok(Some(runs))
    }
}

/// What a run's baseline says of cost and noise: none before one of its runs has ended well, no noise
/// before two seeds have.
#[must_use]
pub fn known(state: &State) -> Option<(Cost, Option<Noise>)> {
    let baseline: Vec<&Experiment> = state
        .experiments
        .values()
        .filter(|run| run.arm == Arm::Baseline && run.commit == state.start)
        .filter(|run| run.stage != Stage::Hidden && run.status == RunStatus::Ok)
        .collect();
    let mean = |of: &dyn Fn(&Experiment) -> f64| {
        Sample::of(&baseline.iter().map(|run| of(run)).collect::<Vec<_>>()).mean
    };
    if baseline.is_empty() {
        return None;
    }
    let cost = Cost {
        wall_s: mean(&|run| run.measured.wall_s),
        gpu_s: mean(&|run| run.measured.gpu_s),
    };
    let mut seeds: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for run in &baseline {
        let of = seeds.entry(run.seed).or_default();
        of.extend(run.measured.value);
    }
    let firsts: Vec<f64> = seeds
        .values()
        .filter_map(|of| of.first().copied())
        .collect();
    let sample = Sample::of(&firsts);
    let again = seeds.values().find(|of| of.len() > 1);
    let noise = (sample.n > 1).then(|| Noise {
        n: sample.n,
        sigma: sample.sd,
        same_seed: again.map(|of| (of[0] - of[1]).abs()),
        a_a: a_a(&firsts),
        paired: again.is_none_or(|of| (of[0] - of[1]).abs() <= PAIRS_BELOW * sample.sd),
    });
    Some((cost, noise))
}

/// Two-sided p of the first half of some runs against the second.
fn a_a(values: &[f64]) -> Option<f64> {
    if values.len() < 4 {
        return None;
    }
    let (one, other) = values.split_at(values.len() / 2);
    let tested = stats::unpaired(one, other, 0.0, 0.0);
    if tested.ci == [0.0, 0.0] {
        return Some(1.0);
    }
    Some((2.0 * tested.p.min(1.0 - tested.p)).min(1.0))
}

pub(super) fn usable(run: &Experiment) -> bool {
    !matches!(run.status, RunStatus::Contended | RunStatus::Cancelled)
}

pub(super) fn failed(run: &Experiment) -> bool {
    matches!(
        run.status,
        RunStatus::Crashed | RunStatus::Timeout | RunStatus::Oom | RunStatus::Invalid
    )
}
