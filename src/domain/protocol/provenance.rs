//! Whether a candidate is what it says: what it does with the seed that it is given, and whether the
//! FLOPs that it prints are what it took.
//!
//! Another seed gives another result and the same seed the same, as far as the baseline does so: a change
//! that fixes its luck, or draws it elsewhere, is none that a comparison by seeds can judge. Must not know
//! what is claimed.

use super::View;
use super::compare::{PAIRS_BELOW, values};
use super::words::{Step, Wanted};
use crate::domain::chart::Axis;
use crate::domain::event::{Arm, By, RunStatus, Stage, Status};
use crate::domain::state::{Experiment, Hypothesis};
use crate::domain::stats::{Sample, figure};

/// Runs with the same result on different seeds that chance does not explain.
const SAME_MIN: usize = 3;
/// Launches of the repeat of a run that the world disturbed before the claim is given up.
const MAX_REPEATS: usize = 3;
/// Share by which the time of a device, or of processors, may exceed what the printed FLOPs say: kernels
/// differ in how well they use a device, by less than what is worth forging.
const FORGED_ABOVE: f64 = 0.25;
/// Spreads of that time among baseline runs within which nothing is said.
const TIME_SIGMAS: f64 = 4.0;
/// Processor or device seconds below which two runs cannot be told apart: what starting takes.
const TIME_RESOLUTION_S: f64 = 0.2;

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

    /// A claim that is about to be confirmed, once its screen was run a second time on the same seed and
    /// gave the same, where the baseline does so. Else the run that is wanted, or why it is not confirmed.
    pub(super) fn repeated(
        &self,
        claim: &Hypothesis,
        commit: &str,
        confirmed: Step,
        baseline: &[&Experiment],
    ) -> Vec<Step> {
        let sigma = self.sigma(baseline);
        let Some(first) = baseline.first().filter(|_| self.seeds_pair(sigma)) else {
            return vec![confirmed];
        };
        let mut runs = self.own_runs(claim, commit, first.seed, Stage::Screen);
        if runs.iter().any(|run| run.finished_at.is_none()) {
            return Vec::new();
        }
        let launches = runs.len();
        runs.retain(|run| run.status == RunStatus::Ok);
        let (Some(screen), again) = (runs.first(), runs.get(1)) else {
            return vec![confirmed];
        };
        let Some(again) = again else {
            return vec![self.repeat(claim, commit, screen, launches)];
        };
        let value = |run: &Experiment| run.measured.value.unwrap_or(f64::NAN);
        let apart = (value(screen) - value(again)).abs();
        if apart <= PAIRS_BELOW * sigma {
            return vec![confirmed];
        }
        let why = format!(
            "e{} and e{} had the same seed and differ by {}, where the baseline gives the same twice: its \
             luck comes from elsewhere",
            screen.id,
            again.id,
            figure(apart)
        );
        vec![Step::Move(claim.id, Status::Invalid, why, None)]
    }

    /// The second run of a screen, or the end of a claim of which there cannot be one.
    fn repeat(
        &self,
        claim: &Hypothesis,
        commit: &str,
        screen: &Experiment,
        launches: usize,
    ) -> Step {
        if launches > MAX_REPEATS {
            let why = format!("e{} could not be run a second time", screen.id);
            return Step::Move(claim.id, Status::Contended, why, None);
        }
        Step::Queue(Wanted {
            hypothesis: Some(claim.id),
            arm: Arm::Candidate,
            stage: Stage::Screen,
            seed: screen.seed,
            commit: commit.to_owned(),
        })
    }

    /// Why the FLOPs that a candidate prints cannot be what it took, where they are its own word and the
    /// axis on which it is compared: it held its device, or the processors, for longer than they say.
    pub(super) fn forged(
        &self,
        axis: Axis,
        base: &[&Experiment],
        cand: &[&Experiment],
    ) -> Option<String> {
        let own_word = cand
            .iter()
            .any(|run| run.measured.measured_by == By::Candidate);
        if axis != Axis::Flops || !own_word {
            return None;
        }
        let device = self.chart.task.gpus > 0 && self.state.gpus.iter().any(|gpu| !gpu.simulated);
        let time = |run: &Experiment| {
            if device {
                run.measured.gpu_s
            } else {
                run.measured.cpu_s
            }
        };
        let times = |runs: &[&Experiment]| {
            Sample::of(&runs.iter().map(|run| time(run)).collect::<Vec<_>>())
        };
        let flops = |runs: &[&Experiment]| {
            let known: Vec<f64> = runs.iter().filter_map(|run| run.measured.flops).collect();
            Sample::of(&known).mean
        };
        let (before, now) = (times(base), times(cand));
        let said = flops(cand) / flops(base);
        let took = now.mean / before.mean;
        let resolution = TIME_RESOLUTION_S / before.mean;
        let allowed = FORGED_ABOVE
            .max(TIME_SIGMAS * before.cv().max(now.cv()))
            .max(resolution);
        (took.is_finite() && said > 0.0 && took / said > 1.0 + allowed).then(|| {
            let what = if device { "GPU" } else { "CPU" };
            format!(
                "its FLOPs are its own word, and {what}-seconds do not agree: {took:.2} times the \
                 baseline's for {said:.2} times the FLOPs"
            )
        })
    }
}
