//! Leaving parts out: does each part of a bundle do its work?
//!
//! Owns the leave-one-out of a confirmed claim with `parts`. A part whose removal is not inferior, at
//! the chart's level and within its margin, is dropped, as long as what is left still improves on the
//! baseline; then the rest is asked again. Must not know how a part is cut out of a change.

use super::View;
use super::compare::change;
use super::confirm::Pairs;
use super::words::{Claim, Part, Step, Test, Trim};
use crate::domain::event::{RunStatus, Stage};
use crate::domain::state::{Experiment, Hypothesis};

/// Fewest seeds on which parts are compared.
const SEEDS_MIN: u32 = 4;

/// What is known of a part.
enum Worth {
    /// Runs are wanted, or awaited.
    Wait(Vec<Step>),
    /// Without it the claim is worse, or does not work.
    Needed,
    /// It can go; by how much the rest is better than the whole.
    Idle(f64, Box<Trim>),
}

impl View<'_> {
    /// What is to be done before a claim's parts are known to be needed; none where they are.
    pub(super) fn ablate(
        &self,
        claim: &Hypothesis,
        commit: &str,
        baseline: &[&Experiment],
    ) -> Option<Vec<Step>> {
        if claim.claim != Claim::Improve || claim.parts.len() < 2 {
            return None;
        }
        let Some(split) = &claim.split else {
            return Some(vec![Step::Split(claim.id)]);
        };
        let n = claim.verdict.as_ref().map_or(0, |it| it.candidate.n);
        let seeds = self.confirm_seeds(claim, n.max(SEEDS_MIN));
        let whole = match self.pairs(claim, commit, Stage::Confirm, &seeds) {
            Ok(pairs) => pairs,
            Err(steps) => return Some(steps),
        };
        let (mut wanted, mut waiting) = (Vec::new(), false);
        let mut idle: Option<(f64, Box<Trim>)> = None;
        for part in split {
            match self.worth(claim, part, &seeds, &whole, baseline) {
                Worth::Wait(steps) => {
                    waiting = true;
                    wanted.extend(steps);
                }
                Worth::Needed => {}
                Worth::Idle(gain, trim) => {
                    if idle.as_ref().is_none_or(|(best, _)| gain > *best) {
                        idle = Some((gain, trim));
                    }
                }
            }
        }
        if waiting {
            return Some(wanted);
        }
        idle.map(|(_, trim)| vec![Step::Trim(claim.id, trim)])
    }

    fn worth(
        &self,
        claim: &Hypothesis,
        part: &Part,
        seeds: &[u64],
        whole: &Pairs<'_>,
        baseline: &[&Experiment],
    ) -> Worth {
        let (mut steps, mut rest, mut waiting) = (Vec::new(), Vec::new(), false);
        for seed in seeds {
            let runs = self.own_runs(claim, &part.without, *seed, Stage::Ablate);
            if let Some(run) = runs.iter().find(|run| run.status == RunStatus::Ok) {
                rest.push(*run);
                continue;
            }
            match self.one_run(claim, &part.without, *seed, Stage::Ablate) {
                Ok(_) => {}
                // Without it nothing works, or nobody can tell.
                Err(more) if more.iter().any(|step| matches!(step, Step::Move(..))) => {
                    return Worth::Needed;
                }
                Err(more) => {
                    waiting = true;
                    steps.extend(more);
                }
            }
        }
        if waiting {
            return Worth::Wait(steps);
        }
        self.weigh(claim, part, &rest, whole, baseline)
    }

    fn weigh(
        &self,
        claim: &Hypothesis,
        part: &Part,
        rest: &[&Experiment],
        whole: &Pairs<'_>,
        baseline: &[&Experiment],
    ) -> Worth {
        let alpha = self.chart.protocol.alpha;
        let test = claim.plan.map_or(Test::Paired, |(test, _)| test);
        let margin = self.margin(claim, self.sigma(baseline));
        let loss = self.compare(test, &whole.cand, rest, margin);
        let mut verdict = self.compare(test, &whole.base, rest, 0.0);
        let same = loss.p.is_some_and(|p| p < alpha);
        let holds = verdict.p.is_some_and(|p| p < alpha);
        let pairs = Pairs {
            base: whole.base.clone(),
            cand: rest.to_vec(),
        };
        let recount = self.recount(claim, &part.without, &pairs, baseline);
        let dearer = self.mismatch(claim.axis, &verdict.ratios, baseline);
        if !same || !holds || dearer.or(recount.differs()).is_some() {
            return Worth::Needed;
        }
        verdict.runs.extend(baseline.iter().map(|run| run.id));
        verdict.runs.sort_unstable();
        verdict.runs.dedup();
        let gain = loss.effect.unwrap_or(0.0);
        let name = &self.chart.task.metric.name;
        let why = format!(
            "without {:?} {name} {} over {} seeds, which is no loss: the part is dropped",
            part.name,
            change(gain),
            rest.len()
        );
        Worth::Idle(
            gain,
            Box::new(Trim {
                part: part.name.clone(),
                commit: part.without.clone(),
                reason: why,
                verdict,
            }),
        )
    }
}
