//! The way of one claim: which gate it stands at, the screen, and the runs that are its own or shared.
//!
//! Owns the order of the gates. What a gate asks for is its own file's. Must not know other claims:
//! what it shares with them are runs.

use super::View;
use super::admission::usable;
use super::compare::change;
use super::words::{Claim, Step, Wanted};
use crate::domain::event::{Arm, RunStatus, Stage, Status};
use crate::domain::process;
use crate::domain::state::{Experiment, Hypothesis};
use crate::domain::stats::figure;

/// Share of the baseline's sd that a single seed must gain to be worth confirming.
pub(super) const SCREEN_SIGMAS: f64 = 0.5;
/// Launches of a run that the world disturbed before the claim is given up.
const MAX_CONTENDED: usize = 3;

impl View<'_> {
    /// What is to be done for one claim.
    pub(super) fn claim(&self, claim: &Hypothesis) -> Vec<Step> {
        let Some(commit) = claim.commit.as_deref() else {
            return Vec::new();
        };
        if !self.stands(&claim.base) {
            // What it was compared with was rolled back.
            return vec![Step::Rebase(claim.id)];
        }
        let start = claim.base == self.state.start;
        if !start {
            let wanted = self.admission(&claim.base, false);
            if !wanted.is_empty() {
                return wanted;
            }
        }
        let baseline = match self.baseline(&claim.base) {
            Ok(Some(runs)) => runs,
            Err(why) if start => return vec![Step::Move(claim.id, Status::Invalid, why, None)],
            // Awaited; or about to be rolled back.
            Ok(None) | Err(_) => return Vec::new(),
        };
        match claim.status {
            Status::Registered | Status::Smoke => self
                .stale(claim, &baseline)
                .unwrap_or_else(|| self.screen(claim, commit, &baseline)),
            Status::Screened | Status::Confirmed if process::veto(self.state, claim).is_some() => {
                let why = process::veto(self.state, claim).unwrap_or_default();
                vec![Step::Move(claim.id, Status::Vetoed, why, None)]
            }
            Status::Screened => self.confirm(claim, commit, &baseline),
            Status::Confirmed | Status::Reviewed if !self.settled() => Vec::new(),
            Status::Confirmed | Status::Reviewed if claim.base == self.state.champion => {
                self.onward(claim, commit, &baseline)
            }
            Status::Confirmed | Status::Reviewed => vec![Step::Rebase(claim.id)],
            _ => Vec::new(),
        }
    }

    /// From confirmed to promoted: each gate names what it still wants, or lets the claim pass.
    fn onward(&self, claim: &Hypothesis, commit: &str, baseline: &[&Experiment]) -> Vec<Step> {
        if let Some(steps) = self.hidden(claim, commit, baseline) {
            return steps;
        }
        if let Some(steps) = self.review(claim) {
            return steps;
        }
        if let Some(steps) = self.ablate(claim, commit, baseline) {
            return steps;
        }
        vec![Step::Promote(claim.id)]
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

    /// A control run on a seed: shared, made when first needed.
    pub(super) fn control(
        &self,
        claim: &Hypothesis,
        seed: u64,
        stage: Stage,
    ) -> Result<Option<&Experiment>, Step> {
        let commit = claim.base.as_str();
        let runs = self.runs(commit, seed, stage);
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
            stage,
            seed,
            commit: commit.to_owned(),
        }))
    }

    /// A claim's own runs of a commit on a seed, those of the claims that it tops up included.
    pub(super) fn own_runs(
        &self,
        claim: &Hypothesis,
        commit: &str,
        seed: u64,
        stage: Stage,
    ) -> Vec<&Experiment> {
        let family = self.family(claim);
        self.runs(commit, seed, stage)
            .into_iter()
            .filter(|run| run.hypothesis.is_some_and(|id| family.contains(&id)))
            .collect()
    }

    /// A claim's run on a seed; else what to do about its absence or failure.
    pub(super) fn one_run(
        &self,
        claim: &Hypothesis,
        commit: &str,
        seed: u64,
        stage: Stage,
    ) -> Result<&Experiment, Vec<Step>> {
        let runs = self.own_runs(claim, commit, seed, stage);
        // The first that ended well counts, or a candidate could have its luck drawn again.
        if let Some(first) = runs.iter().find(|run| run.status == RunStatus::Ok) {
            return Ok(first);
        }
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
            RunStatus::Ok => Ok(last), // found above
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
