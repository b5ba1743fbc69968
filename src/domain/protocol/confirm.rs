//! Confirmation: fresh seeds in both arms, looked at when the plan says, and the verdict.
//!
//! Owns how many seeds a claim gets, at which counts they are looked at and at what level, and what a
//! verdict makes of the claim. Screening seeds are never reused here (selection bias). Must not know
//! what happens to a claim that is confirmed.

use super::compare::change;
use super::words::{Claim, Look, Step, Test, Verdict};
use super::{CONFIRM_SEEDS, CONFIRM_STRIDE, GENERATION_SEEDS, GENERATION_STRIDE, View, seed};
use crate::domain::chart::Confirm;
use crate::domain::event::{Stage, Status};
use crate::domain::state::{Experiment, Hypothesis};
use crate::domain::stats::{self, Sample, figure};

/// Within a stride of seeds, where those of a refresh begin.
const REFRESH_SEEDS: u64 = 900;
/// Runs that a claim gets on top of a champion that was promoted while it was confirmed.
const REFRESH_RUNS: u64 = 2;
/// Fewest and most confirmation seeds that `auto` chooses: fewer than four give a t test of two
/// degrees of freedom, more than 32 cost more than most claims are worth.
pub(super) const AUTO_SEEDS: (u32, u32) = (4, 32);
/// One-sided z under which a look that is not the last ends a claim as futile: the first look, and all
/// later ones.
const FUTILE: (f64, f64) = (0.5, 1.2);

/// Both arms of a comparison, seed by seed.
pub(super) struct Pairs<'a> {
    pub(super) base: Vec<&'a Experiment>,
    pub(super) cand: Vec<&'a Experiment>,
}

/// Whether nobody said how large the effect should be, as `org try` allows: it is looked for then with
/// growing numbers of seeds, and nothing is called futile that might be small.
fn unpredicted(claim: &Hypothesis) -> bool {
    claim.claim != Claim::NoWorse && claim.predicts <= 0.0
}

impl View<'_> {
    /// The next thing to do for a claim that was screened.
    pub(super) fn confirm(
        &self,
        claim: &Hypothesis,
        commit: &str,
        baseline: &[&Experiment],
    ) -> Vec<Step> {
        let Some((test, most)) = claim.plan else {
            if let Some(steps) = self.refresh(claim, commit, baseline) {
                return steps;
            }
            let (test, looks) = self.plan(claim, baseline);
            return vec![Step::Plan(claim.id, test, looks)];
        };
        let single = [Look {
            seeds: most,
            level: self.chart.protocol.alpha,
        }];
        let looks = if claim.looks.is_empty() {
            &single[..]
        } else {
            &claim.looks
        };
        for at in 0..looks.len() {
            let seeds = self.confirm_seeds(claim, looks[at].seeds);
            let pairs = match self.pairs(claim, commit, Stage::Confirm, &seeds) {
                Ok(pairs) => pairs,
                Err(steps) => return steps,
            };
            if let Some(why) = self.ignores_seeds(claim, commit, &pairs.base, &pairs.cand, baseline)
            {
                return vec![Step::Move(claim.id, Status::Invalid, why, None)];
            }
            let step = self.judge(claim, test, looks, at, &pairs, baseline);
            match step {
                Some(step @ Step::Move(_, Status::Confirmed, ..)) => {
                    return self.repeated(claim, commit, step, baseline);
                }
                Some(step) => return vec![step],
                None => {}
            }
        }
        Vec::new()
    }

    /// The first `n` seeds of a claim's confirmation. A claim that is compared anew on another
    /// champion, or that replicates another one, has others; one that tops another up goes on with
    /// the other's.
    pub(super) fn confirm_seeds(&self, claim: &Hypothesis, n: u32) -> Vec<u64> {
        let first = self.first_seed(claim);
        (0..u64::from(n))
            .map(|index| seed(self.pool, first + index))
            .collect()
    }

    fn first_seed(&self, claim: &Hypothesis) -> u64 {
        let start = match self.generation(claim) {
            0 => CONFIRM_SEEDS,
            generation => GENERATION_SEEDS + GENERATION_STRIDE * generation,
        };
        start + CONFIRM_STRIDE * u64::from(claim.rebases)
    }

    /// How many claims a claim repeats, one of the other, with seeds of its own.
    fn generation(&self, claim: &Hypothesis) -> u64 {
        let mut generation = 0;
        let mut at = claim;
        // Numbers only fall, so this ends.
        while let Some(earlier) = at.replicates.filter(|id| *id < at.id) {
            if self.topped_up(at).is_none() {
                generation += 1;
            }
            let Some(earlier) = self.state.hypotheses.get(&earlier) else {
                break;
            };
            at = earlier;
        }
        generation
    }

    /// The undecided claim that this one goes on with: the same commit, on the same champion.
    pub(super) fn topped_up(&self, claim: &Hypothesis) -> Option<&Hypothesis> {
        let earlier = self.state.hypotheses.get(&claim.replicates?)?;
        let same = earlier.commit == claim.commit && earlier.base == claim.base;
        let open = earlier.status == Status::Undecided && earlier.claim == claim.claim;
        (earlier.id < claim.id && same && open).then_some(earlier)
    }

    /// The claims whose runs are a claim's own: itself, and those it tops up.
    pub(super) fn family(&self, claim: &Hypothesis) -> Vec<u64> {
        let mut ids = vec![claim.id];
        let mut at = claim;
        while let Some(earlier) = self.topped_up(at) {
            ids.push(earlier.id);
            at = earlier;
        }
        ids
    }

    /// Both arms on these seeds; else what is to be done before they are there.
    pub(super) fn pairs(
        &self,
        claim: &Hypothesis,
        commit: &str,
        stage: Stage,
        seeds: &[u64],
    ) -> Result<Pairs<'_>, Vec<Step>> {
        let mut steps = Vec::new();
        let (mut base, mut cand) = (Vec::new(), Vec::new());
        for seed in seeds {
            match self.control(claim, *seed, stage) {
                Ok(Some(run)) => base.push(run),
                Ok(None) => {}
                Err(step @ Step::Move(..)) => return Err(vec![step]),
                Err(step) => steps.push(step),
            }
            match self.one_run(claim, commit, *seed, stage) {
                Ok(run) => cand.push(run),
                Err(more) => {
                    if more.iter().any(|step| matches!(step, Step::Move(..))) {
                        return Err(more);
                    }
                    steps.extend(more);
                }
            }
        }
        if steps.is_empty() && base.len() == seeds.len() && cand.len() == seeds.len() {
            return Ok(Pairs { base, cand });
        }
        Err(steps)
    }

    /// What a look says: a step, or none where the next look is to decide.
    fn judge(
        &self,
        claim: &Hypothesis,
        test: Test,
        looks: &[Look],
        at: usize,
        pairs: &Pairs<'_>,
        baseline: &[&Experiment],
    ) -> Option<Step> {
        let margin = self.tested_margin(claim, baseline);
        let mut verdict = self.compare(test, &pairs.base, &pairs.cand, margin);
        verdict.runs.extend(baseline.iter().map(|run| run.id));
        verdict.runs.sort_unstable();
        verdict.runs.dedup();
        let differs = self.mismatch(claim.axis, &verdict.ratios, baseline);
        if let Some(why) =
            differs.or_else(|| self.disbelieved(claim.axis, &pairs.base, &pairs.cand))
        {
            let verdict = Some(Box::new(verdict));
            return Some(Step::Move(claim.id, Status::Mismatched, why, verdict));
        }
        if claim.claim == Claim::Explain {
            // An effect in either direction explains.
            verdict.p = verdict.p.map(|p| (2.0 * p.min(1.0 - p)).min(1.0));
        }
        let look = looks[at];
        let p = verdict.p.unwrap_or(1.0);
        let mut numbers = self.numbers(&verdict, test);
        if looks.len() > 1 {
            let all = looks.len();
            numbers = format!(
                "{numbers}, look {} of {all} at level {}",
                at + 1,
                figure(look.level)
            );
        }
        if p < look.level {
            let verdict = Some(Box::new(verdict));
            return Some(Step::Move(claim.id, Status::Confirmed, numbers, verdict));
        }
        let least = if at == 0 { FUTILE.0 } else { FUTILE.1 };
        let open = claim.claim == Claim::Explain || unpredicted(claim) || stats::z(p) >= least;
        if at + 1 < looks.len() && open {
            return None;
        }
        Some(self.unconfirmed(claim, test, verdict, &numbers, pairs, margin))
    }

    /// The end of a claim whose test did not hold: excluded, or not known.
    fn unconfirmed(
        &self,
        claim: &Hypothesis,
        test: Test,
        mut verdict: Verdict,
        numbers: &str,
        pairs: &Pairs<'_>,
        margin: f64,
    ) -> Step {
        let [lo, hi] = verdict.ci.unwrap_or([f64::MIN, f64::MAX]);
        let excluded = match claim.claim {
            Claim::Improve => hi <= 0.0 || hi < claim.predicts,
            Claim::Explain => hi < claim.predicts && lo > -claim.predicts,
            Claim::NoWorse => hi < -margin,
        };
        if excluded {
            let why = format!("the interval excludes what was claimed: {numbers}");
            return Step::Move(claim.id, Status::Refuted, why, Some(Box::new(verdict)));
        }
        let delta = match claim.claim {
            Claim::NoWorse => margin,
            _ => verdict.effect.unwrap_or(0.0).abs(),
        };
        let more = self.more_seeds(test, &pairs.base, &pairs.cand, delta);
        verdict.more_seeds = Some(more);
        let why = if more == u32::MAX {
            format!("{numbers}; no number of seeds would decide: there is no effect to find")
        } else {
            format!("{numbers}; about {more} more seeds would decide")
        };
        Step::Move(claim.id, Status::Undecided, why, Some(Box::new(verdict)))
    }

    pub(super) fn numbers(&self, verdict: &Verdict, test: Test) -> String {
        let (effect, p) = (verdict.effect.unwrap_or(0.0), verdict.p.unwrap_or(1.0));
        let [lo, hi] = verdict.ci.unwrap_or([f64::MIN, f64::MAX]);
        let p = if p > 0.0 {
            format!("{p:.2e}")
        } else {
            "0".to_owned()
        };
        format!(
            "{} {}, 95 % interval of the gain [{}, {}], p = {p}, {} seeds, {}",
            self.chart.task.metric.name,
            change(effect),
            figure(lo),
            figure(hi),
            verdict.candidate.n,
            test.word()
        )
    }

    /// How far below nothing the effect of a claim may be.
    pub(super) fn tested_margin(&self, claim: &Hypothesis, baseline: &[&Experiment]) -> f64 {
        if claim.claim == Claim::NoWorse {
            self.margin(claim, self.sigma(baseline))
        } else {
            0.0
        }
    }

    /// A claim that was confirmed on another champion gets two runs on this one, with the change on
    /// top, tested at the full level against the spread that is known from before. None where that
    /// does not hold and it must be confirmed anew, or where there is nothing to refresh.
    fn refresh(
        &self,
        claim: &Hypothesis,
        commit: &str,
        baseline: &[&Experiment],
    ) -> Option<Vec<Step>> {
        let (old_commit, old_base) = claim.confirmed_on.as_ref()?;
        let of = |commit: &str| -> Vec<&Experiment> {
            let runs = self.state.experiments.values();
            runs.filter(|run| run.commit == *commit && run.stage == Stage::Confirm)
                .filter(|run| run.measured.value.is_some())
                .collect()
        };
        let known = Sample::of(&self.differences(&of(old_base), &of(old_commit)));
        if known.n < 2 {
            return None;
        }
        let first = self.first_seed(claim) + REFRESH_SEEDS;
        let seeds: Vec<u64> = (0..REFRESH_RUNS)
            .map(|index| seed(self.pool, first + index))
            .collect();
        let pairs = match self.pairs(claim, commit, Stage::Confirm, &seeds) {
            Ok(pairs) => pairs,
            Err(steps) => return Some(steps),
        };
        let margin = self.tested_margin(claim, baseline);
        let mut verdict = self.compare(Test::Paired, &pairs.base, &pairs.cand, margin);
        if let Some(why) = self.mismatch(claim.axis, &verdict.ratios, baseline) {
            let verdict = Some(Box::new(verdict));
            return Some(vec![Step::Move(claim.id, Status::Mismatched, why, verdict)]);
        }
        let differences = self.differences(&pairs.base, &pairs.cand);
        let tested = stats::known_spread(
            &differences,
            known,
            margin,
            self.resolution(&pairs.base, &pairs.cand),
        );
        verdict.effect = Some(tested.effect);
        verdict.ci = Some(tested.ci);
        verdict.p = Some(tested.p);
        (tested.p < self.chart.protocol.alpha).then(|| {
            let numbers = self.numbers(&verdict, Test::Paired);
            let why = format!("on top of the new champion it still holds: {numbers}");
            vec![Step::Move(
                claim.id,
                Status::Confirmed,
                why,
                Some(Box::new(verdict)),
            )]
        })
    }

    /// The test of a claim and its looks, fixed before the first of its runs.
    fn plan(&self, claim: &Hypothesis, baseline: &[&Experiment]) -> (Test, Vec<Look>) {
        let alpha = self.chart.protocol.alpha;
        let sigma = self.sigma(baseline);
        let test = if self.seeds_pair(sigma) {
            Test::Paired
        } else {
            Test::Pooled
        };
        if let Some(earlier) = self.topped_up(claim) {
            return self.top_up(claim, earlier, test);
        }
        let one = |seeds: u32| {
            vec![Look {
                seeds,
                level: alpha,
            }]
        };
        let n = match self.chart.protocol.confirm {
            Confirm::Seeds(n) => return (test, one(n.max(2))),
            Confirm::Auto => self.planned_seeds(claim, sigma, test),
        };
        let as_looks = |rungs: &[(u32, f64)]| {
            let look = |&(seeds, level): &(u32, f64)| Look { seeds, level };
            rungs.iter().map(look).collect()
        };
        if unpredicted(claim) {
            return (test, as_looks(&stats::ladder(alpha, n)));
        }
        let rho = if test == Test::Paired {
            self.rho()
        } else {
            0.0
        };
        let spread = sigma * (2.0 * (1.0 - rho)).sqrt();
        let delta = self.planned_effect(claim, sigma);
        let looks = stats::looks(alpha);
        if stats::looks_pay(&looks, spread, delta, n) {
            return (test, as_looks(&looks));
        }
        (test, one(n))
    }

    /// Seeds that `auto` gives a claim in one look.
    pub(super) fn planned_seeds(&self, claim: &Hypothesis, sigma: f64, test: Test) -> u32 {
        let rho = if test == Test::Paired {
            self.rho()
        } else {
            0.0
        };
        let delta = self.planned_effect(claim, sigma);
        stats::seeds_needed(self.chart.protocol.alpha, sigma, rho, delta)
            .clamp(AUTO_SEEDS.0, AUTO_SEEDS.1)
    }

    /// The effect that a claim is planned for: its margin, or what it predicts; one sigma where a
    /// person predicted nothing.
    fn planned_effect(&self, claim: &Hypothesis, sigma: f64) -> f64 {
        match claim.claim {
            Claim::NoWorse => self.margin(claim, sigma),
            _ if claim.predicts > 0.0 => claim.predicts,
            _ => sigma,
        }
    }

    /// All that the earlier claim has, and as many seeds as were said to decide. Each top-up is tested
    /// at half the level of the one before, so that however often a claim is topped up, it is wrongly
    /// confirmed less often than at twice the chart's level.
    fn top_up(&self, claim: &Hypothesis, earlier: &Hypothesis, test: Test) -> (Test, Vec<Look>) {
        let verdict = earlier.verdict.as_ref();
        let had = verdict.map_or(0, |verdict| verdict.candidate.n);
        let asked = verdict.and_then(|verdict| verdict.more_seeds).unwrap_or(2);
        let more = match self.chart.protocol.confirm {
            Confirm::Seeds(n) => n.max(2),
            Confirm::Auto => asked.clamp(2, AUTO_SEEDS.1),
        };
        let times = i32::try_from(self.family(claim).len() - 1).unwrap_or(i32::MAX);
        let level = self.chart.protocol.alpha * 0.5_f64.powi(times);
        let test = earlier.plan.map_or(test, |(test, _)| test);
        let seeds = had + more;
        (test, vec![Look { seeds, level }])
    }
}
