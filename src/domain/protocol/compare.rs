//! Two arms side by side: gain, costs, and whether they may be compared at all.
//!
//! Owns the arithmetic between runs: the sign of the metric, pairs by seed, ratios of cost, the noise
//! below which a cost is not enforced, and how many seeds a test takes. Must not know how a claim stands.

use super::words::{Ratios, Test, Verdict};
use super::{View, seed};
use crate::domain::chart::{Axis, Goal};
use crate::domain::event::{Arm, Measured, Stage};
use crate::domain::state::{Experiment, Hypothesis};
use crate::domain::stats::{self, Sample, Tested, figure};

/// Same-seed spread, as a share of sigma, up to which seeds are taken to pair.
pub(super) const PAIRS_BELOW: f64 = 0.1;
/// Correlation of same-seed runs assumed in planning where seeds pair; measured values for most
/// changes are 0.7 to 1, for changes of shape 0.2 to 0.4.
pub(super) const PLANNED_RHO: f64 = 0.5;
/// Pairs from which a correlation is measured, and the most that is believed of it in planning.
const RHO_PAIRS: usize = 8;
const RHO_MOST: f64 = 0.95;
/// Spreads of a cost among baseline runs within which a difference cannot be told from noise.
const NOISE_SIGMAS: f64 = 4.0;
/// Wall seconds below which two runs cannot be told apart.
const WALL_RESOLUTION_S: f64 = 0.25;

impl View<'_> {
    pub(super) fn more_seeds(
        &self,
        test: Test,
        base: &[&Experiment],
        cand: &[&Experiment],
        delta: f64,
    ) -> u32 {
        let alpha = self.chart.protocol.alpha;
        let needed = match test {
            Test::Paired => {
                let spread = Sample::of(&self.differences(base, cand)).sd;
                // The paired formula with rho = 0.5 has exactly the differences' spread.
                stats::seeds_needed(alpha, spread, 0.5, delta)
            }
            Test::Pooled => stats::seeds_needed(alpha, Sample::of(&values(cand)).sd, 0.0, delta),
        };
        needed
            .saturating_sub(u32::try_from(cand.len()).unwrap_or(u32::MAX))
            .max(1)
    }

    /// Whether the same seed gives (nearly) the same result twice.
    pub(super) fn seeds_pair(&self, sigma: f64) -> bool {
        let first = seed(self.pool, 0);
        let twice = self.runs(&self.state.start, first, Stage::Admission);
        let values = values(&twice);
        values.len() >= 2 && (values[0] - values[1]).abs() <= PAIRS_BELOW * sigma
    }

    /// Correlation of same-seed runs between arms: as measured on the pairs of earlier claims, and
    /// assumed where there are too few.
    pub(super) fn rho(&self) -> f64 {
        let mut pairs: Vec<(f64, f64)> = Vec::new();
        let confirm = |run: &&Experiment| run.stage == Stage::Confirm;
        let runs = || self.state.experiments.values().filter(confirm);
        for claim in self.state.hypotheses.values() {
            let of = |run: &&Experiment| run.hypothesis == Some(claim.id);
            let mut found: Vec<(f64, f64)> = Vec::new();
            for cand in runs().filter(|run| run.arm == Arm::Candidate).filter(of) {
                let base = runs().find(|run| {
                    run.arm == Arm::Baseline && run.commit == claim.base && run.seed == cand.seed
                });
                let both = base
                    .and_then(|base| base.measured.value)
                    .zip(cand.measured.value);
                found.extend(both);
            }
            // Each claim around its own means, or their distance would pass for correlation.
            let base = Sample::of(&found.iter().map(|(b, _)| *b).collect::<Vec<_>>()).mean;
            let cand = Sample::of(&found.iter().map(|(_, c)| *c).collect::<Vec<_>>()).mean;
            pairs.extend(found.into_iter().map(|(b, c)| (b - base, c - cand)));
        }
        if pairs.len() < RHO_PAIRS {
            return PLANNED_RHO;
        }
        stats::correlation(&pairs).clamp(0.0, RHO_MOST)
    }

    pub(super) fn sign(&self) -> f64 {
        match self.chart.task.metric.goal {
            Goal::Min => -1.0,
            Goal::Max => 1.0,
        }
    }

    pub(super) fn gain(&self, base: &Experiment, cand: &Experiment) -> f64 {
        let value = |run: &Experiment| run.measured.value.unwrap_or(f64::NAN);
        stats::finite(self.sign() * (value(cand) - value(base)))
    }

    pub(super) fn sigma(&self, baseline: &[&Experiment]) -> f64 {
        Sample::of(&values(baseline)).sd
    }

    /// Half of sigma where neither claim nor chart has one; where there is no noise, exactly the same is
    /// no worse.
    pub(super) fn margin(&self, claim: &Hypothesis, sigma: f64) -> f64 {
        claim
            .margin
            .or(self.chart.protocol.margin)
            .unwrap_or((sigma / 2.0).max(f64::MIN_POSITIVE))
    }

    /// How finely the metric of both arms was written; 0 on a task without noise, where equal
    /// differences are no accident.
    pub(super) fn resolution(&self, base: &[&Experiment], cand: &[&Experiment]) -> f64 {
        match self.baseline(&self.state.start) {
            Ok(Some(start)) if self.sigma(&start) > 0.0 => {
                stats::resolution(&[values(base), values(cand)].concat())
            }
            _ => 0.0,
        }
    }

    pub(super) fn differences(&self, base: &[&Experiment], cand: &[&Experiment]) -> Vec<f64> {
        let ended = |run: &&&Experiment| run.measured.value.is_some();
        let on = |seed: u64| base.iter().filter(ended).find(|run| run.seed == seed);
        cand.iter()
            .filter(ended)
            .filter_map(|run| Some(self.gain(on(run.seed)?, run)))
            .collect()
    }

    pub(super) fn compare(
        &self,
        test: Test,
        base: &[&Experiment],
        cand: &[&Experiment],
        margin: f64,
    ) -> Verdict {
        let resolution = self.resolution(base, cand);
        let tested: Tested = match test {
            Test::Paired => stats::paired(&self.differences(base, cand), margin, resolution),
            Test::Pooled => {
                let signed = |runs: &[&Experiment]| {
                    values(runs)
                        .into_iter()
                        .map(|value| self.sign() * value)
                        .collect::<Vec<_>>()
                };
                stats::unpaired(&signed(base), &signed(cand), margin, resolution)
            }
        };
        Verdict {
            test: Some(test),
            effect: Some(tested.effect),
            ci: Some(tested.ci),
            p: Some(tested.p),
            baseline: Sample::of(&values(base)),
            candidate: Sample::of(&values(cand)),
            ratios: ratios(base, cand),
            more_seeds: None,
            runs: base.iter().chain(cand).map(|run| run.id).collect(),
        }
    }

    /// A single look: no test, but all costs.
    pub(super) fn look(
        &self,
        base: &Experiment,
        run: &Experiment,
        baseline: &[&Experiment],
    ) -> Verdict {
        let mut ids: Vec<u64> = baseline.iter().map(|run| run.id).collect();
        ids.push(run.id);
        Verdict {
            test: None,
            effect: Some(self.gain(base, run)),
            ci: None,
            p: None,
            baseline: Sample::of(&values(baseline)),
            candidate: Sample::of(&values(&[run])),
            ratios: ratios(baseline, &[run]),
            more_seeds: None,
            runs: ids,
        }
    }

    /// What is known of a run that was ended for its cost: no effect, but all costs.
    pub(super) fn cost_alone(&self, run: &Experiment, baseline: &[&Experiment]) -> Verdict {
        Verdict {
            effect: None,
            candidate: Sample::default(),
            ..self.look(baseline[0], run, baseline)
        }
    }

    /// Why the costs do not agree, if they do not. An axis is never enforced more finely than the
    /// baseline's own runs agree on it.
    pub(super) fn mismatch(
        &self,
        axis: Axis,
        ratios: &Ratios,
        baseline: &[&Experiment],
    ) -> Option<String> {
        if axis != Axis::None {
            let name = axis.as_str();
            let noise = self.noise(name, baseline);
            let tolerance = self.chart.protocol.tolerance.max(noise);
            match ratios.get(name) {
                None => {
                    return Some(format!(
                        "{name} is the matched axis, and the run did not report it"
                    ));
                }
                Some(ratio) if (ratio - 1.0).abs() > tolerance => {
                    return Some(format!(
                        "{name} is the matched axis, and the candidate used {ratio:.2} times the \
                         baseline's (at most {:.0} % apart is allowed)",
                        tolerance * 100.0
                    ));
                }
                Some(_) => {}
            }
        }
        self.chart.protocol.guards.iter().find_map(|(name, limit)| {
            let ratio = ratios.get(name)?;
            let bound = limit + self.noise(name, baseline);
            (ratio > bound).then(|| {
                format!(
                    "guard {name}: {ratio:.2} times the baseline's, at most {bound:.2} is allowed"
                )
            })
        })
    }

    pub(super) fn noise(&self, name: &str, baseline: &[&Experiment]) -> f64 {
        let sample = Sample::of(
            &baseline
                .iter()
                .filter_map(|run| cost(&run.measured, name))
                .collect::<Vec<_>>(),
        );
        let floor = if matches!(name, "wall" | "gpu") && sample.mean > 0.0 {
            WALL_RESOLUTION_S / sample.mean
        } else {
            0.0
        };
        (NOISE_SIGMAS * sample.cv()).max(floor)
    }

    pub(super) fn axis_word(&self, axis: Axis) -> String {
        match axis {
            Axis::None => "the guards hold".to_owned(),
            axis => format!("{} agrees with the baseline's", axis.as_str()),
        }
    }
}

/// A signed gain in words.
pub(super) fn change(gain: f64) -> String {
    if gain == 0.0 {
        "is exactly the same".to_owned()
    } else if gain > 0.0 {
        format!("better by {}", figure(gain))
    } else {
        format!("worse by {}", figure(-gain))
    }
}

pub(super) fn values(runs: &[&Experiment]) -> Vec<f64> {
    runs.iter().filter_map(|run| run.measured.value).collect()
}

pub(super) fn cost(measured: &Measured, name: &str) -> Option<f64> {
    match name {
        "wall" => Some(measured.wall_s),
        "gpu" => (measured.gpu_s > 0.0).then_some(measured.gpu_s),
        // A device's memory is what runs out first, where there is one.
        "peak_mem" => Some(measured.peak_gpu_mb.unwrap_or(measured.peak_mem_mb)),
        "flops" => measured.flops,
        "params" => measured.params,
        "tokens" => measured.tokens,
        _ => None,
    }
}

fn ratios(base: &[&Experiment], cand: &[&Experiment]) -> Ratios {
    let of = |name: &str| {
        let mean = |runs: &[&Experiment]| {
            let values: Vec<f64> = runs
                .iter()
                .filter_map(|run| cost(&run.measured, name))
                .collect();
            (!values.is_empty()).then(|| Sample::of(&values).mean)
        };
        let (b, c) = (mean(base)?, mean(cand)?);
        (b > 0.0).then(|| stats::finite(c / b))
    };
    Ratios {
        wall: of("wall"),
        gpu: of("gpu"),
        peak_mem: of("peak_mem"),
        flops: of("flops"),
        params: of("params"),
        tokens: of("tokens"),
    }
}
