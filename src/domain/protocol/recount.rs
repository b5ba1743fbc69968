//! A cost that a candidate counts itself, held against the time that it was seen to take.
//!
//! FLOPs and tokens are printed by code that a claim may change. Where the harness's own evaluation does not
//! count them, they are the candidate's word; a run that trained for longer and printed the baseline's
//! figure cannot print its seconds too. A busy machine only ever adds to those, now to one run and now to
//! another: of each seed the least counts, and where that does not settle it, both arms are run again for
//! their seconds alone. So nobody is refused for what others did, nor passes in their noise. Must not know
//! how anything is counted.

use super::View;
use super::confirm::Pairs;
use super::words::{Step, Wanted};
use crate::domain::chart::Axis;
use crate::domain::event::{Arm, By, RunStatus, Stage};
use crate::domain::state::{Experiment, Hypothesis};
use crate::domain::stats::Sample;
use crate::domain::student;

/// How much more time the same self-reported count may take where the chart grants no more by a guard on
/// time: as much as `guards` grants by default.
const SLACK: f64 = 0.05;
/// The most that is granted, whatever a guard says: more is what a wider or longer run takes.
const SLACK_MOST: f64 = 0.15;
/// Seconds below which two runs cannot be told apart: what starting an interpreter takes, now more, now less.
const RESOLUTION_S: f64 = 0.005;
/// How sure it must be, one-sided, that the time is not granted, or that it is.
const SURE: f64 = 0.995;
/// How often both arms are run again on a seed before it stays open.
const MAX_AGAIN: usize = 3;

/// What the seconds say of a cost that a candidate counts itself.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Recount {
    /// Nothing against it, or nothing at all.
    Agrees,
    /// They do not agree with it, and why.
    Differs(String),
    /// It cannot be told yet: what is to be run again, if it does not run already.
    Again(Vec<Step>),
    /// It could not be told, and why.
    Unclear(String),
}

impl Recount {
    /// Why it cannot be believed, where that is known.
    pub(super) fn differs(&self) -> Option<String> {
        match self {
            Self::Differs(why) => Some(why.clone()),
            _ => None,
        }
    }
}

/// Both arms' seconds, seed by seed.
struct Seconds {
    /// Logarithms of candidate over baseline, the least of each.
    ratios: Vec<f64>,
    /// Logarithms of the baseline's own.
    alone: Vec<f64>,
    /// The baseline's mean.
    mean: f64,
}

impl View<'_> {
    /// Whether a matched cost can be believed.
    pub(super) fn recount(
        &self,
        claim: &Hypothesis,
        commit: &str,
        pairs: &Pairs<'_>,
        baseline: &[&Experiment],
    ) -> Recount {
        let counted = matches!(claim.axis, Axis::Flops | Axis::Tokens);
        let word = |run: &&Experiment| run.measured.measured_by == By::Candidate;
        if !counted || !pairs.cand.iter().any(word) {
            return Recount::Agrees;
        }
        let timings = self.timings(claim, commit, pairs);
        let mut runs = timings.iter().flat_map(|(_, runs)| runs);
        if runs.any(|run| run.finished_at.is_none()) {
            // Nothing is said on half of them.
            return Recount::Again(Vec::new());
        }
        // A device that the driver tells of is what the work is done on; else it is done by the CPU.
        let on_device = |run: &&Experiment| run.measured.gpu_util.is_some();
        let device = pairs.base.iter().chain(&pairs.cand).all(on_device);
        let Some(seconds) = self.seconds(claim, commit, pairs, baseline, device) else {
            return Recount::Agrees;
        };
        let slack = self.granted(device) + RESOLUTION_S / seconds.mean;
        let (ratio, error) = seconds.ratio();
        let (least, most) = ((ratio - error).exp(), (ratio + error).exp());
        let (axis, ratio) = (claim.axis.as_str(), ratio.exp());
        let says = || {
            let what = if device { "GPU" } else { "CPU" };
            let bound = 1.0 + slack;
            format!(
                "its {axis} are its own word, and it takes {ratio:.2} times the baseline's {what} seconds \
                 (between {least:.2} and {most:.2}), where at most {bound:.2} agrees with them"
            )
        };
        if most <= 1.0 + slack || ratio <= 1.0 + slack / 2.0 {
            return Recount::Agrees;
        }
        let differs = least > 1.0 + slack;
        let differs = differs.then(|| {
            Recount::Differs(format!(
                "{}; let the evaluation count them, match on gpu or wall, or grant the time by a guard",
                says()
            ))
        });
        // A bad quarter of an hour adds to all of one arm, which no spread tells: not without a second look.
        let times = if differs.is_some() { 1 } else { MAX_AGAIN };
        let fewer = timings.into_iter().filter(|(_, runs)| runs.len() < times);
        let again: Vec<Step> = fewer.map(|(wanted, _)| Step::Queue(wanted)).collect();
        if !again.is_empty() {
            return Recount::Again(again);
        }
        match differs {
            _ if ratio <= 1.0 + slack => Recount::Agrees,
            Some(differs) => differs,
            None => Recount::Unclear(format!(
                "{}; run {} times over it cannot be told: the machine is too busy",
                says(),
                MAX_AGAIN + 1
            )),
        }
    }

    /// How much more time is granted, as a share.
    fn granted(&self, device: bool) -> f64 {
        let protocol = &self.chart.protocol;
        let timed = |name: &str| name == "wall" || (device && name == "gpu");
        let guards = protocol.guards.iter();
        let limits = guards.filter(|(name, _)| timed(name));
        let least = limits
            .map(|(_, limit)| limit - 1.0)
            .min_by(f64::total_cmp)
            .unwrap_or(SLACK);
        least.clamp(protocol.tolerance.min(SLACK_MOST), SLACK_MOST)
    }

    /// What both arms took; none where that says nothing.
    fn seconds(
        &self,
        claim: &Hypothesis,
        commit: &str,
        pairs: &Pairs<'_>,
        baseline: &[&Experiment],
        device: bool,
    ) -> Option<Seconds> {
        let of = |run: &Experiment| {
            if device {
                run.measured.gpu_s
            } else {
                run.measured.cpu_s
            }
        };
        let least = |runs: Vec<&Experiment>| {
            let ok = runs.into_iter().filter(|run| run.status == RunStatus::Ok);
            ok.map(of).min_by(f64::total_cmp).filter(|took| *took > 0.0)
        };
        let (mut ratios, mut took) = (Vec::new(), Vec::new());
        for run in &pairs.base {
            let base = least(self.runs(&claim.base, run.seed, Stage::Confirm))?;
            let cand = least(self.own_runs(claim, commit, run.seed, Stage::Confirm))?;
            ratios.push((cand / base).ln());
            took.push(base);
        }
        let alone = baseline.iter().map(|run| of(run));
        let alone: Vec<f64> = alone.filter(|took| *took > 0.0).map(f64::ln).collect();
        let mean = Sample::of(&took).mean;
        (ratios.len() > 1 && mean > 0.0).then_some(Seconds {
            ratios,
            alone,
            mean,
        })
    }

    /// The runs that were made for their seconds alone.
    pub(super) fn timed(&self, claim: &Hypothesis, commit: &str, pairs: &Pairs<'_>) -> Vec<u64> {
        let timings = self.timings(claim, commit, pairs).into_iter();
        let runs = timings.flat_map(|(_, runs)| runs);
        let ended = runs.filter(|run| run.status == RunStatus::Ok);
        ended.map(|run| run.id).collect()
    }

    /// Runs of both arms that can be made for their seconds alone, each with those that were.
    fn timings(
        &self,
        claim: &Hypothesis,
        commit: &str,
        pairs: &Pairs<'_>,
    ) -> Vec<(Wanted, Vec<&Experiment>)> {
        let stage = Stage::Smoke;
        let of = |seed: u64| {
            let base = Wanted {
                hypothesis: None,
                arm: Arm::Baseline,
                stage,
                seed,
                commit: claim.base.clone(),
            };
            let cand = Wanted {
                hypothesis: Some(claim.id),
                arm: Arm::Candidate,
                commit: commit.to_owned(),
                ..base.clone()
            };
            let of_base = self.runs(&claim.base, seed, stage);
            let of_cand = self.own_runs(claim, commit, seed, stage);
            [(base, of_base), (cand, of_cand)]
        };
        let mut all: Vec<_> = pairs.base.iter().flat_map(|run| of(run.seed)).collect();
        for (_, runs) in &mut all {
            runs.retain(|run| run.stage == stage);
        }
        all
    }
}

impl Seconds {
    /// The mean logarithm of the ratio, and how far off it may be: by the spread of the pairs, together with
    /// the baseline's own, of which more is known.
    fn ratio(&self) -> (f64, f64) {
        let (pairs, alone) = (Sample::of(&self.ratios), Sample::of(&self.alone));
        let (more, most) = (
            f64::from(pairs.n) - 1.0,
            (f64::from(alone.n) - 1.0).max(0.0),
        );
        // Two runs differ by twice the variance of one.
        let squares = more * pairs.sd.powi(2) + most * 2.0 * alone.sd.powi(2);
        let error = (squares / (more + most) / f64::from(pairs.n)).sqrt();
        (pairs.mean, error * student::quantile(SURE, more + most))
    }
}

#[cfg(test)]
mod tests {
    use super::super::bench::{Bench, noise};
    use super::*;
    use crate::domain::event::{Measured, Status};

    /// A task whose candidate counts its own FLOPs; a run takes its seconds times what the machine adds, which
    /// it does to each run on its own.
    fn bench(work: f64, busy: impl Fn(&Experiment) -> f64 + 'static) -> Bench {
        Bench::new(move |run| {
            let candidate = run.commit.starts_with("more");
            let took = if candidate { work } else { 1.0 };
            let gain = if candidate { 1.0 } else { 0.0 };
            let measured = Measured {
                value: Some(5.0 - gain + 0.1 * noise(run.seed)),
                cpu_s: 4.0 * took * (1.0 + busy(run)),
                flops: Some(1e6),
                measured_by: By::Candidate,
                ..Measured::default()
            };
            (RunStatus::Ok, measured)
        })
    }

    fn jitter(run: &Experiment) -> f64 {
        0.01 * noise(run.id).abs()
    }

    #[test]
    fn a_tenth_more_work_is_not_what_it_says() {
        for (work, told) in [
            (1.0, Status::Promoted),
            (1.03, Status::Promoted),
            (1.1, Status::Mismatched),
        ] {
            let mut bench = bench(work, jitter);
            let id = bench.claim("more", 0.5);
            bench.play();
            let claim = bench.of(id);
            assert_eq!(claim.status, told, "{work}: {}", claim.reason);
            let timed = if told == Status::Promoted { 0 } else { 8 };
            assert_eq!(bench.count(Stage::Smoke), timed, "{work}");
        }
    }

    #[test]
    fn who_grants_time_gets_it() {
        let mut bench = bench(1.1, jitter);
        bench.chart.protocol.guards.insert("wall".to_owned(), 1.12);
        let id = bench.claim("more", 0.5);
        bench.play();
        assert_eq!(
            bench.of(id).status,
            Status::Promoted,
            "{}",
            bench.of(id).reason
        );
    }

    #[test]
    fn what_a_busy_machine_adds_refuses_nobody() {
        // All of the candidate's confirmation falls into a bad quarter of an hour.
        let mut bench = bench(1.0, |run| {
            let bad = run.stage == Stage::Confirm && run.commit.starts_with("more");
            jitter(run) + if bad { 0.9 + 0.4 * noise(run.id) } else { 0.0 }
        });
        let id = bench.claim("more", 0.5);
        bench.play();
        assert_eq!(
            bench.of(id).status,
            Status::Promoted,
            "{}",
            bench.of(id).reason
        );
        assert!(bench.count(Stage::Smoke) > 0, "it was timed again");
        let timed = bench.of(id).verdict.as_ref().expect("judged").runs.len();
        assert!(timed > 3 + 8, "the verdict names what it rests on");
    }

    #[test]
    fn nobody_passes_in_the_noise() {
        // So busy that a tenth cannot be seen, and no run is spared.
        let mut bench = bench(1.1, |run| 0.5 + 0.5 * noise(run.id).abs());
        let id = bench.claim("more", 0.5);
        bench.play();
        let claim = bench.of(id);
        let open = matches!(claim.status, Status::Contended | Status::Mismatched);
        assert!(open, "{}: {}", claim.status.word(), claim.reason);
    }
}
