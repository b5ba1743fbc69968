//! What it takes to believe a claim: the way from `registered` to `promoted` and its exits.
//!
//! Owns the protocol. [`steps`] compares the claims with the runs there are and says what the lab does
//! next; asked again after every event, it needs no queue and no memory of its own, and recovery after
//! a crash is the same question. Screening seeds are never reused for confirmation (selection bias);
//! control runs are shared by commit and seed. Must not know how anything is run or merged.

mod compare;
mod words;

use std::collections::BTreeMap;

use super::chart::Chart;
use super::event::{Arm, RunStatus, Stage, Status};
use super::process::{self, Gate};
use super::state::{Experiment, Hypothesis, State};
use super::stats::figure;

use compare::change;

pub use words::{Claim, Ratios, Step, Test, Verdict, Wanted};

/// Share of the baseline's sd that a single seed must gain to be worth confirming.
const SCREEN_SIGMAS: f64 = 0.5;
/// Launches of a run that the world disturbed before the claim is given up.
const MAX_CONTENDED: usize = 3;
/// Where the pool's seeds of each use begin, so that no two uses share one.
const CONFIRM_SEEDS: u64 = 1_000;
const CONFIRM_STRIDE: u64 = 100;
const VAULT_SEEDS: u64 = 1_000_000;

/// The seed of a use, from the pool: SplitMix64 (Steele, Lea and Flood 2014), cut to 31 bits since
/// many harnesses take a signed 32-bit seed.
#[must_use]
pub fn seed(pool: u64, index: u64) -> u64 {
    let mut z = pool.wrapping_add((index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (z ^ (z >> 31)) & 0x7FFF_FFFF
}

/// Everything the lab could do now. Steps that were already taken are not named again, since what they
/// led to stands in the state.
#[must_use]
pub fn steps(chart: &Chart, state: &State) -> Vec<Step> {
    let Some(pool) = state.pool else {
        return Vec::new();
    };
    let view = View { chart, state, pool };
    let mut steps = view.admission(&state.start, true);
    for claim in state.hypotheses.values().filter(|claim| !claim.is_final()) {
        steps.extend(view.claim(claim));
    }
    for claim in state.hypotheses.values() {
        let late = process::reviewed_late(chart, state, claim);
        steps.extend(late.map(|(status, why)| Step::Move(claim.id, status, why, None)));
    }
    steps.dedup();
    let mut seen: Vec<Wanted> = Vec::new();
    steps.retain(|step| match step {
        Step::Queue(wanted) if wanted.hypothesis.is_none() => {
            let twice = wanted.stage == Stage::Admission;
            if !twice && seen.contains(wanted) {
                return false;
            }
            seen.push(wanted.clone());
            true
        }
        _ => true,
    });
    one_promotion(&mut steps);
    steps
}

/// Keeps the first promotion only: what was confirmed beside it was not measured on top of it.
fn one_promotion(steps: &mut Vec<Step>) {
    let mut promoted = false;
    steps.retain(|step| {
        !matches!(step, Step::Promote(_)) || !std::mem::replace(&mut promoted, true)
    });
}

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

struct View<'a> {
    chart: &'a Chart,
    state: &'a State,
    pool: u64,
}

impl View<'_> {
    /// Runs of a commit on a seed, in order.
    fn runs(&self, commit: &str, seed: u64) -> Vec<&Experiment> {
        let of = |run: &&Experiment| {
            run.commit == commit && run.seed == seed && run.agent.is_none() && run.env.is_empty()
        };
        self.state.experiments.values().filter(of).collect()
    }

    fn admission_seeds(&self) -> Vec<u64> {
        (0..u64::from(self.chart.protocol.baseline))
            .map(|index| seed(self.pool, index))
            .collect()
    }

    /// Baseline runs that a champion still lacks. The first is run twice on the run's start, to
    /// learn whether a seed means the same twice.
    fn admission(&self, commit: &str, start: bool) -> Vec<Step> {
        let stage = if start {
            Stage::Admission
        } else {
            Stage::Rebaseline
        };
        let mut steps = Vec::new();
        for (index, seed) in self.admission_seeds().into_iter().enumerate() {
            let wanted = if start && index == 0 { 2 } else { 1 };
            let there = self
                .runs(commit, seed)
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
    fn baseline(&self, commit: &str) -> Result<Option<Vec<&Experiment>>, String> {
        let mut runs = Vec::new();
        for seed in self.admission_seeds() {
            let on_seed = self.runs(commit, seed);
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

    fn claim(&self, claim: &Hypothesis) -> Vec<Step> {
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

    /// What the org's reviews make of a confirmed claim.
    fn review(&self, claim: &Hypothesis) -> Vec<Step> {
        let to = |status, why| vec![Step::Move(claim.id, status, why, None)];
        match process::gate(self.chart, self.state, claim) {
            Gate::Open => vec![Step::Promote(claim.id)],
            Gate::Waiting => Vec::new(),
            Gate::Approved(why) => to(Status::Reviewed, why),
            Gate::Vetoed(why) => to(Status::Vetoed, why),
            Gate::Unreviewed(why) => to(Status::Parked, why),
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

fn usable(run: &Experiment) -> bool {
    !matches!(run.status, RunStatus::Contended | RunStatus::Cancelled)
}

fn failed(run: &Experiment) -> bool {
    matches!(
        run.status,
        RunStatus::Crashed | RunStatus::Timeout | RunStatus::Oom | RunStatus::Invalid
    )
}

/// Counts of claims by status word, for views.
#[must_use]
pub fn tally(state: &State) -> BTreeMap<&'static str, u32> {
    let mut counts = BTreeMap::new();
    for claim in state.hypotheses.values() {
        *counts.entry(claim.status.word()).or_insert(0) += 1;
    }
    counts
}
