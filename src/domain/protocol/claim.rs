//! The way of one claim: screen, confirmation, verdict.
//!
//! Owns what is asked for next and what a verdict makes of the claim. Must not know other claims: what
//! it shares with them are runs.

use super::admission::usable;
use super::compare::change;
use super::words::{Claim, Step, Test, Wanted};
use super::{CONFIRM_SEEDS, CONFIRM_STRIDE, View, seed};
use crate::domain::event::{Arm, RunStatus, Stage, Status};
use crate::domain::process;
use crate::domain::state::{Experiment, Hypothesis};
use crate::domain::stats::figure;

/// Share of the baseline's sd that a single seed must gain to be worth confirming.
const SCREEN_SIGMAS: f64 = 0.5;
/// Launches of a run that the world disturbed before the claim is given up.
const MAX_CONTENDED: usize = 3;

impl View<'_> {
    pub(super) fn claim(&self, claim: &Hypothesis) -> Vec<Step> {
        let Some(commit) = claim.commit.as_deref() else {
            return Vec::new();
        };
        if claim.base != self.state.start {
            let wanted = self.admission(&claim.base, false);
            if !wanted.is_empty() {
                return wanted;
            }
        }
        let baseline = match self.baseline(&claim.base) {
            Ok(Some(runs)) => runs,
            Ok(None) => return Vec::new(),
            Err(why) => return vec![Step::Move(claim.id, Status::Invalid, why, None)],
        };
        match claim.status {
            Status::Registered | Status::Smoke => self.screen(claim, commit, &baseline),
            Status::Screened | Status::Confirmed if process::veto(self.state, claim).is_some() => {
                let why = process::veto(self.state, claim).unwrap_or_default();
                vec![Step::Move(claim.id, Status::Vetoed, why, None)]
            }
            Status::Screened => self.confirm(claim, commit, &baseline),
            Status::Confirmed if claim.base == self.state.champion => self.review(claim),
            Status::Reviewed if claim.base == self.state.champion => {
                vec![Step::Promote(claim.id)]
            }
            Status::Confirmed | Status::Reviewed => vec![Step::Rebase(claim.id)],
            _ => Vec::new(),
        }
    }

    /// One candidate run on a seed that the baseline has run, judged first on cost, then on gain.
    fn screen(&self, claim: &Hypothesis, commit: &str, baseline: &[&Experiment]) -> Vec<Step> {
        let base = baseline[0];
        let run = match self.one_run(claim, commit, base.seed, Stage::Screen) {
            Ok(run) => run,
            Err(steps) => return steps,
        };
        let verdict = self.look(base, run, baseline);
        if let Some(why) = self.mismatch(claim.axis, &verdict.ratios, baseline) {
            return vec![Step::Move(
                claim.id,
                Status::Mismatched,
                why,
                Some(Box::new(verdict)),
            )];
        }
        let sigma = self.sigma(baseline);
        let gain = self.gain(base, run);
        let smoke = Step::Move(claim.id, Status::Smoke, self.axis_word(claim.axis), None);
        let (passes, needed) = match claim.claim {
            Claim::Improve => (
                gain > 0.0 && gain >= SCREEN_SIGMAS * sigma,
                SCREEN_SIGMAS * sigma,
            ),
            Claim::NoWorse => {
                let floor = -(self.margin(claim, sigma) + 2.0 * sigma);
                (gain >= floor, floor)
            }
            Claim::Explain => (true, 0.0),
        };
        let name = &self.chart.task.metric.name;
        if passes {
            let why = format!(
                "one seed: {name} {} (sigma {})",
                change(gain),
                figure(sigma)
            );
            return vec![
                smoke,
                Step::Move(claim.id, Status::Screened, why, Some(Box::new(verdict))),
            ];
        }
        let why = format!(
            "no gain at the screen: {name} {}, a gain of at least {} was needed (sigma {})",
            change(gain),
            figure(needed),
            figure(sigma)
        );
        vec![
            smoke,
            Step::Move(claim.id, Status::Parked, why, Some(Box::new(verdict))),
        ]
    }

    /// Fresh seeds in both arms, then the test that was fixed before the first of them ran.
    fn confirm(&self, claim: &Hypothesis, commit: &str, baseline: &[&Experiment]) -> Vec<Step> {
        let Some((test, n)) = claim.plan else {
            let (test, n) = self.plan(claim, baseline);
            return vec![Step::Plan(claim.id, test, n)];
        };
        let first = CONFIRM_SEEDS + CONFIRM_STRIDE * u64::from(claim.rebases);
        let mut steps = Vec::new();
        let (mut base_runs, mut cand_runs) = (Vec::new(), Vec::new());
        for index in 0..u64::from(n) {
            let seed = seed(self.pool, first + index);
            match self.control(claim, seed) {
                Ok(Some(run)) => base_runs.push(run),
                Ok(None) => {}
                Err(Step::Move(_, status, why, _)) => {
                    return vec![Step::Move(claim.id, status, why, None)];
                }
                Err(step) => steps.push(step),
            }
            match self.one_run(claim, commit, seed, Stage::Confirm) {
                Ok(run) => cand_runs.push(run),
                Err(more) => {
                    if more.iter().any(|step| matches!(step, Step::Move(..))) {
                        return more;
                    }
                    steps.extend(more);
                }
            }
        }
        if !steps.is_empty() || base_runs.len() < n as usize || cand_runs.len() < n as usize {
            return steps;
        }
        vec![self.judge(claim, test, &base_runs, &cand_runs, baseline)]
    }

    fn judge(
        &self,
        claim: &Hypothesis,
        test: Test,
        base: &[&Experiment],
        cand: &[&Experiment],
        baseline: &[&Experiment],
    ) -> Step {
        let sigma = self.sigma(baseline);
        let margin = if claim.claim == Claim::NoWorse {
            self.margin(claim, sigma)
        } else {
            0.0
        };
        let mut verdict = self.compare(test, base, cand, margin);
        verdict.runs.extend(baseline.iter().map(|run| run.id));
        verdict.runs.sort_unstable();
        verdict.runs.dedup();
        if let Some(why) = self.mismatch(claim.axis, &verdict.ratios, baseline) {
            return Step::Move(claim.id, Status::Mismatched, why, Some(Box::new(verdict)));
        }
        let (effect, p) = (verdict.effect.unwrap_or(0.0), verdict.p.unwrap_or(1.0));
        let [lo, hi] = verdict.ci.unwrap_or([f64::MIN, f64::MAX]);
        let name = &self.chart.task.metric.name;
        let numbers = format!(
            "{name} {}, 95 % interval of the gain [{}, {}], p = {p:.2e}, {} seeds, {}",
            change(effect),
            figure(lo),
            figure(hi),
            cand.len(),
            test.word()
        );
        let holds = p < self.chart.protocol.alpha;
        let excluded = match claim.claim {
            Claim::Improve | Claim::Explain => hi <= 0.0 || hi < claim.predicts,
            Claim::NoWorse => hi < -margin,
        };
        let (status, why) = if holds {
            (Status::Confirmed, numbers)
        } else if excluded {
            (
                Status::Refuted,
                format!("the interval excludes what was claimed: {numbers}"),
            )
        } else {
            let delta = if claim.claim == Claim::NoWorse {
                margin
            } else {
                effect
            };
            let more = self.more_seeds(test, base, cand, delta);
            verdict.more_seeds = Some(more);
            (
                Status::Undecided,
                format!("{numbers}; about {more} more seeds would decide"),
            )
        };
        Step::Move(claim.id, status, why, Some(Box::new(verdict)))
    }

    /// A control run on a seed: shared, made when first needed.
    fn control(&self, claim: &Hypothesis, seed: u64) -> Result<Option<&Experiment>, Step> {
        let commit = claim.base.as_str();
        let runs = self.runs(commit, seed);
        if let Some(run) = runs.iter().find(|run| run.status == RunStatus::Ok) {
            return Ok(Some(run));
        }
        if runs.iter().any(|run| run.finished_at.is_none()) {
            return Ok(None);
        }
        if let Some(last) = runs.last()
            && runs.len() > MAX_CONTENDED
        {
            let word = last.status.word();
            let why = format!(
                "control run e{} ended {word}, as its repeats did: {}",
                last.id, last.reason
            );
            let status = if usable(last) {
                Status::Invalid
            } else {
                Status::Contended
            };
            return Err(Step::Move(claim.id, status, why, None));
        }
        Err(Step::Queue(Wanted {
            hypothesis: None,
            arm: Arm::Baseline,
            stage: Stage::Confirm,
            seed,
            commit: commit.to_owned(),
        }))
    }

    /// A claim's run on a seed; else what to do about its absence or failure.
    fn one_run(
        &self,
        claim: &Hypothesis,
        commit: &str,
        seed: u64,
        stage: Stage,
    ) -> Result<&Experiment, Vec<Step>> {
        let runs: Vec<&Experiment> = self
            .runs(commit, seed)
            .into_iter()
            .filter(|run| run.hypothesis == Some(claim.id))
            .collect();
        let Some(last) = runs.last() else {
            return Err(vec![Step::Queue(Wanted {
                hypothesis: Some(claim.id),
                arm: Arm::Candidate,
                stage,
                seed,
                commit: commit.to_owned(),
            })]);
        };
        let exit = |status| {
            let why = format!("e{} ended {}: {}", last.id, last.status.word(), last.reason);
            Err(vec![Step::Move(claim.id, status, why, None)])
        };
        if let Ok(Some(baseline)) = self.baseline(&claim.base)
            && let Some(why) = self.cut_short(claim.axis, last, &baseline)
        {
            let verdict = Some(Box::new(self.cost_alone(last, &baseline)));
            let why = format!("{why}; e{} was ended there", last.id);
            return Err(vec![Step::Move(claim.id, Status::Mismatched, why, verdict)]);
        }
        match last.status {
            RunStatus::Ok => Ok(last),
            RunStatus::Crashed | RunStatus::Timeout | RunStatus::Oom => exit(Status::Crashed),
            RunStatus::Invalid => exit(Status::Invalid),
            RunStatus::Cancelled => exit(Status::Withdrawn),
            RunStatus::Contended if runs.len() >= MAX_CONTENDED => exit(Status::Contended),
            RunStatus::Contended => Err(vec![Step::Queue(Wanted {
                hypothesis: Some(claim.id),
                arm: Arm::Candidate,
                stage,
                seed,
                commit: commit.to_owned(),
            })]),
            RunStatus::Queued | RunStatus::Running | RunStatus::Interrupted => Err(Vec::new()),
        }
    }
}
