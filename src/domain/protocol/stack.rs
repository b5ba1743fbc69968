//! Claims that were confirmed beside each other, against the same champion: none of them was measured on top
//! of another.
//!
//! Owns what becomes of them together. They are put on top of each other, and what each still does there is
//! measured by leaving it out: whoever does no work in company is not promoted with the others, but compared
//! anew on what they have become. What passes is promoted at once and re-baselined once. Must not know how
//! commits are made.

use super::View;
use super::confirm::AUTO_SEEDS;
use super::words::{Step, Test};
use crate::domain::event::{Arm, Stage, Status};
use crate::domain::lease;
use crate::domain::state::{Experiment, Hypothesis, Stack};
use crate::domain::stats::{self, Sample};

/// Most claims in a stack: each is left out once, on each seed.
const MOST: usize = 5;

/// What a claim does in company.
struct Worth {
    id: u64,
    /// One-sided p of its gain there; 1 where its costs do not agree.
    p: f64,
    holds: bool,
    words: String,
}

impl View<'_> {
    /// Puts in place of all promotions that are due what may be promoted together.
    pub(super) fn together(&self, steps: &mut Vec<Step>) {
        let mut ready: Vec<u64> = Vec::new();
        steps.retain(|step| match step {
            Step::Promote(id) => {
                ready.push(*id);
                false
            }
            _ => true,
        });
        let dropped = |id: &u64| self.stack().is_some_and(|stack| stack.dropped.contains(id));
        if !ready.iter().all(dropped) {
            ready.retain(|id| !dropped(id));
        }
        let Some(first) = ready.first().copied() else {
            return;
        };
        // At the end of a budget nothing more is measured: what was proven on its own is not lost for that.
        let starved = lease::starved(self.chart, self.state);
        let baseline = self.chart.protocol.baseline as usize;
        let in_time = !starved && !self.overdue(first, baseline);
        if in_time && self.awaits(first, &ready, steps) {
            return;
        }
        ready.truncate(MOST);
        // Nor is it where devices have gone, and the runs of its company with them.
        let runs = baseline + (ready.len() + 1) * AUTO_SEEDS.1 as usize;
        if starved || ready.len() < 2 || self.overdue(first, runs) {
            steps.push(Step::Promote(first));
            return;
        }
        steps.extend(self.stacked(&ready));
    }

    /// The stack on the present champion.
    fn stack(&self) -> Option<&Stack> {
        let stack = self.state.stack.as_ref()?;
        (stack.base == self.state.champion).then_some(stack)
    }

    /// Whether a claim has stood confirmed for longer than so many runs take at the most, one after another.
    fn overdue(&self, id: u64, runs: usize) -> bool {
        let claim = self.state.hypotheses.get(&id);
        let stood = claim.zip(self.state.at).map(|(claim, at)| {
            let span = at.duration_since(claim.since);
            span.as_secs_f64()
        });
        stood.is_some_and(|stood| stood > runs as f64 * lease::timeout(self.chart, self.state))
    }

    /// Whether another claim on the same champion, registered before this one was confirmed, is so near its
    /// verdict that waiting for it costs less than the re-baseline that stacking saves.
    fn awaits(&self, first: u64, ready: &[u64], steps: &[Step]) -> bool {
        let Some(first) = self.state.hypotheses.get(&first) else {
            return false;
        };
        let others = self.state.hypotheses.values();
        let mut others = others.filter(|it| {
            let under_way = matches!(
                it.status,
                Status::Screened | Status::Confirmed | Status::Reviewed
            );
            under_way
                && it.plan.is_some()
                && it.base == first.base
                && it.at <= first.since
                && !it.is_final()
                && !ready.contains(&it.id)
        });
        others.any(|it| {
            let runs = self.state.experiments.values();
            let open = runs.filter(|run| run.hypothesis == Some(it.id));
            let open = open.filter(|run| run.finished_at.is_none()).count();
            let moves = steps.iter().any(|step| match step {
                Step::Queue(wanted) => wanted.hypothesis == Some(it.id),
                Step::Move(id, ..) | Step::Trim(id, _) | Step::Split(id) => *id == it.id,
                _ => false,
            });
            moves || (open > 0 && open <= self.chart.protocol.baseline as usize)
        })
    }

    /// What is to be done with several claims that could each be promoted.
    fn stacked(&self, ready: &[u64]) -> Vec<Step> {
        let sound = |stack: &&Stack| {
            let there = |id: &u64| ready.contains(id);
            stack.claims.len() > 1 && stack.claims.iter().all(there)
        };
        let Some(stack) = self.stack().filter(sound) else {
            return vec![Step::Stack(ready.to_vec())];
        };
        let claims: Option<Vec<&Hypothesis>> = stack
            .claims
            .iter()
            .map(|id| self.state.hypotheses.get(id))
            .collect();
        let (Some(commit), Some(claims)) = (&stack.commit, claims) else {
            // They touch the same lines: one after the other.
            return vec![Step::Promote(stack.claims[0])];
        };
        let Ok(Some(baseline)) = self.baseline(&stack.base) else {
            return Vec::new();
        };
        let last = stack.claims[stack.claims.len() - 1];
        let seeds = self.stack_seeds(&claims);
        let lead = claims[0];
        let whole = match self.in_company(lead, commit, &seeds) {
            Ok(runs) => runs,
            Err(steps) => return broken(last, steps),
        };
        let (mut wanted, mut all) = (Vec::new(), Vec::new());
        for (at, claim) in claims.iter().enumerate() {
            let rest = match &claims[..] {
                // Without the one of two, the other is what it was confirmed as.
                [one, two] => {
                    let other = if at == 0 { two } else { one };
                    let commit = other.commit.as_deref().unwrap_or_default();
                    self.alone(other, commit, &seeds)
                }
                _ => self.in_company(lead, &stack.without[at], &seeds),
            };
            match rest {
                Ok(rest) => all.push(self.in_stack(claim, rest, &whole, &baseline)),
                Err(steps) => wanted.extend(steps),
            }
        }
        if all.len() < claims.len() {
            return self.fails_alone(&claims, wanted);
        }
        let idle = all.iter().filter(|it| !it.holds);
        if let Some(idle) = idle.max_by(|one, other| one.p.total_cmp(&other.p)) {
            return vec![Step::Unstack(idle.id, idle.words.clone())];
        }
        if let Some(steps) = self.hidden_together(lead, commit, last, &baseline) {
            return steps;
        }
        let told = all.into_iter().map(|it| (it.id, it.words)).collect();
        vec![Step::PromoteStack(told, commit.clone())]
    }

    /// Runs without one of the claims are wanted, or have shown that it does not work: with two, that is the
    /// end of the other; with more, nobody can tell, and the last goes.
    fn fails_alone(&self, claims: &[&Hypothesis], mut wanted: Vec<Step>) -> Vec<Step> {
        let ends = |step: &Step| matches!(step, Step::Move(..));
        if !wanted.iter().any(ends) {
            return wanted;
        }
        if claims.len() == 2 {
            wanted.retain(ends);
            wanted.truncate(1);
            return wanted;
        }
        broken(claims[claims.len() - 1].id, wanted)
    }

    /// As many seeds as the claim that took most was confirmed on: those of the first claim, so that what is
    /// there already counts.
    fn stack_seeds(&self, claims: &[&Hypothesis]) -> Vec<u64> {
        let had = |claim: &&Hypothesis| claim.verdict.as_ref().map_or(0, |it| it.candidate.n);
        let most = claims.iter().map(had).max().unwrap_or_default();
        self.confirm_seeds(claims[0], most.clamp(AUTO_SEEDS.0, AUTO_SEEDS.1))
    }

    /// Runs of a stack, or of it without one claim.
    fn in_company(
        &self,
        lead: &Hypothesis,
        commit: &str,
        seeds: &[u64],
    ) -> Result<Vec<&Experiment>, Vec<Step>> {
        self.each(seeds, |seed| {
            self.one_run(lead, commit, seed, Stage::Ablate)
        })
    }

    /// Runs of a claim as it was confirmed.
    fn alone(
        &self,
        claim: &Hypothesis,
        commit: &str,
        seeds: &[u64],
    ) -> Result<Vec<&Experiment>, Vec<Step>> {
        self.each(seeds, |seed| {
            self.one_run(claim, commit, seed, Stage::Confirm)
        })
    }

    fn each<'b>(
        &self,
        seeds: &[u64],
        one: impl Fn(u64) -> Result<&'b Experiment, Vec<Step>>,
    ) -> Result<Vec<&'b Experiment>, Vec<Step>> {
        let (mut runs, mut steps) = (Vec::new(), Vec::new());
        for seed in seeds {
            match one(*seed) {
                Ok(run) => runs.push(run),
                Err(more) => steps.extend(more),
            }
        }
        if runs.len() == seeds.len() {
            Ok(runs)
        } else {
            Err(steps)
        }
    }

    /// What a claim does in company: the stack, against the stack without it.
    fn in_stack(
        &self,
        claim: &Hypothesis,
        rest: Vec<&Experiment>,
        whole: &[&Experiment],
        baseline: &[&Experiment],
    ) -> Worth {
        let margin = self.tested_margin(claim, baseline);
        let mut verdict = self.compare(Test::Paired, &rest, whole, margin);
        let fresh = self.differences(&rest, whole);
        let known = pooled(self.confirmed_differences(claim), &fresh);
        let tested = stats::known_spread(&fresh, known, margin, self.resolution(&rest, whole));
        (verdict.effect, verdict.ci, verdict.p) =
            (Some(tested.effect), Some(tested.ci), Some(tested.p));
        let numbers = self.numbers(&verdict, Test::Paired);
        let dearer = self.mismatch(claim.axis, &verdict.ratios, baseline);
        let holds = dearer.is_none() && tested.p < self.chart.protocol.alpha;
        let words = match dearer {
            Some(why) => format!("not in company: {why}"),
            None if holds => format!("in company it still holds: {numbers}"),
            None => format!("in company it is not shown to hold: {numbers}"),
        };
        Worth {
            id: claim.id,
            p: if holds {
                tested.p
            } else {
                tested.p.max(f64::MIN_POSITIVE)
            },
            holds,
            words,
        }
    }

    /// What was seen of a claim's effect when it was confirmed, pair by pair.
    fn confirmed_differences(&self, claim: &Hypothesis) -> Sample {
        let (base, commit) = (claim.base.as_str(), claim.commit.as_deref());
        let of = |commit: &str, arm: Arm| -> Vec<&Experiment> {
            let runs = self.state.experiments.values();
            let runs = runs.filter(|run| run.stage == Stage::Confirm && run.arm == arm);
            let runs = runs.filter(|run| run.commit == commit && run.measured.value.is_some());
            runs.collect()
        };
        let cand = of(commit.unwrap_or_default(), Arm::Candidate);
        Sample::of(&self.differences(&of(base, Arm::Baseline), &cand))
    }

    /// What the hidden data say of the stack; none where it passes, or where there are none.
    fn hidden_together(
        &self,
        lead: &Hypothesis,
        commit: &str,
        last: u64,
        baseline: &[&Experiment],
    ) -> Option<Vec<Step>> {
        let steps = self.hidden(lead, commit, baseline)?;
        let failed = steps.iter().any(|step| matches!(step, Step::Move(..)));
        if !failed {
            return Some(steps);
        }
        let why = "in company it does not hold on the hidden data".to_owned();
        Some(vec![Step::Unstack(last, why)])
    }
}

/// The spread of both, as one sample with as many degrees of freedom as they have together.
fn pooled(known: Sample, fresh: &[f64]) -> Sample {
    let fresh = Sample::of(fresh);
    let freedom = |sample: Sample| sample.n.saturating_sub(1);
    let (one, other) = (f64::from(freedom(known)), f64::from(freedom(fresh)));
    let squares = one * known.sd.powi(2) + other * fresh.sd.powi(2);
    Sample {
        n: freedom(known) + freedom(fresh) + 1,
        mean: fresh.mean,
        sd: (squares / (one + other).max(1.0)).sqrt(),
    }
}

/// What runs of a stack still want, or that it does not work with its last claim.
fn broken(last: u64, steps: Vec<Step>) -> Vec<Step> {
    let ends = steps.iter().find_map(|step| match step {
        Step::Move(_, _, why, _) => Some(why.clone()),
        _ => None,
    });
    match ends {
        Some(why) => vec![Step::Unstack(
            last,
            format!("in company it does not work: {why}"),
        )],
        None => steps,
    }
}

#[cfg(test)]
mod tests {
    use super::super::bench::{Bench, noise};
    use super::*;
    use crate::domain::event::{By, Kind, Measured, RunStatus};

    /// A task on which some changes together gain what this says.
    fn bench(gain: impl Fn(&[&str]) -> f64 + 'static) -> Bench {
        Bench::new(move |run| {
            let all = run.commit.split(" on ").flat_map(|part| part.split('+'));
            let changes: Vec<&str> = all.filter(|change| *change != "start").collect();
            let own = 0.02 * noise(run.seed ^ run.commit.len() as u64);
            let measured = Measured {
                value: Some(9.0 - gain(&changes) + 0.2 * noise(run.seed) + own),
                flops: Some(1e6),
                measured_by: By::Harness,
                ..Measured::default()
            };
            (RunStatus::Ok, measured)
        })
    }

    fn told(bench: &Bench, ids: &[u64]) -> Vec<Status> {
        ids.iter().map(|id| bench.of(*id).status).collect()
    }

    #[test]
    fn two_wins_that_add_up_are_promoted_at_once() {
        let mut bench = bench(|changes| changes.len() as f64);
        let ids = [bench.claim("a", 0.8), bench.claim("b", 0.8)];
        bench.play();
        assert_eq!(told(&bench, &ids), [Status::Promoted; 2]);
        assert_eq!(bench.state.champion, "a+b on start");
        // Both were measured together on the seeds of their confirmation, and the champion once.
        assert_eq!(bench.count(Stage::Ablate), 4);
        assert_eq!(bench.count(Stage::Rebaseline), 3);
        let start = ("start".to_owned(), "a+b on start".to_owned());
        for (_, before, after) in &bench.state.promotions {
            assert_eq!((before, after), (&start.0, &start.1));
        }
        assert!(
            bench
                .of(ids[1])
                .reason
                .contains("in company it still holds")
        );
    }

    #[test]
    fn what_does_nothing_in_company_is_not_promoted_with_it() {
        // Either lowers the loss; both lower it no further than the better one.
        let mut bench = bench(|changes| {
            let each = changes.iter().map(|it| if *it == "a" { 2.0 } else { 1.0 });
            each.fold(0.0, f64::max)
        });
        let ids = [bench.claim("b", 0.8), bench.claim("a", 1.5)];
        bench.play();
        let [weak, strong] = ids;
        assert_eq!(bench.of(strong).status, Status::Promoted);
        assert_eq!(bench.state.champion, "a on start");
        let claim = bench.of(weak);
        assert!(
            matches!(claim.status, Status::Refuted | Status::Undecided),
            "{}: {}",
            claim.status.word(),
            claim.reason
        );
        assert_eq!(
            claim.base, "a on start",
            "compared anew on what was promoted"
        );
    }

    #[test]
    fn of_three_the_idle_one_goes() {
        let mut bench = bench(|changes| {
            let has = |one: &str| f64::from(u8::from(changes.contains(&one)));
            has("a") + has("b").max(has("c"))
        });
        let ids = [
            bench.claim("a", 0.8),
            bench.claim("b", 0.8),
            bench.claim("c", 0.8),
        ];
        bench.play();
        let promoted = ids
            .iter()
            .filter(|id| bench.of(**id).status == Status::Promoted);
        assert_eq!(promoted.count(), 2, "{:?}", told(&bench, &ids));
        assert_eq!(bench.of(ids[0]).status, Status::Promoted);
    }

    #[test]
    fn what_cannot_be_put_together_goes_one_after_the_other() {
        let mut bench = bench(|changes| changes.len() as f64);
        bench.conflicts = true;
        let ids = [bench.claim("a", 0.8), bench.claim("b", 0.8)];
        bench.play();
        assert_eq!(told(&bench, &ids), [Status::Promoted; 2]);
        assert_eq!(bench.state.champion, "b on a on start");
        // Two re-baselines of three, of which the screen of the first was one run.
        assert_eq!(bench.count(Stage::Rebaseline), 5);
    }

    #[test]
    fn nothing_proven_is_lost_where_company_cannot_be_measured() {
        let mut bench = bench(|changes| changes.len() as f64);
        // Its devices are gone, and nobody gives them back.
        bench.stuck = Some(Stage::Ablate);
        let ids = [bench.claim("a", 0.8), bench.claim("b", 0.8)];
        bench.play();
        assert_eq!(told(&bench, &ids), [Status::Confirmed; 2]);
        bench.hours = 24 * 30;
        bench.append(Kind::DiskFull { bytes: None });
        bench.play();
        assert_eq!(told(&bench, &ids), [Status::Promoted; 2]);
        assert_eq!(bench.state.champion, "b on a on start");
    }

    #[test]
    fn a_stack_that_does_not_hold_is_taken_back_whole() {
        let mut bench = bench(|changes| changes.len() as f64);
        let ids = [bench.claim("a", 0.8), bench.claim("b", 0.8)];
        // Fair while it is confirmed, gone when it is measured anew.
        let fair = std::mem::replace(&mut bench.gives, Box::new(|_| unreachable!()));
        let mut fair = fair;
        bench.gives = Box::new(move |run| {
            let (status, mut measured) = fair(run);
            if run.stage == Stage::Rebaseline && run.commit == "a+b on start" {
                measured.value = measured.value.map(|value| value + 4.0);
            }
            (status, measured)
        });
        bench.play();
        assert_eq!(told(&bench, &ids), [Status::RolledBack; 2]);
        assert_eq!(bench.state.champion, "start");
        assert!(bench.state.promotions.is_empty());
    }
}
