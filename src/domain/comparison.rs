//! Organisations held against each other: the run of an organisation is the unit, and what is said of
//! one has an interval over its runs, or is an anecdote.
//!
//! Owns the arithmetic of comparing and when there is nothing to compare. Intervals are Student's over
//! runs; area and half time are read off the re-measured gain as it grew. Must not know how an outcome
//! was reached, nor how it is shown.

use super::outcome::{Condition, Cost, Outcome, Spent};
use super::stats::{self, Sample, Tested};

/// The runs of one organisation.
#[derive(Debug, Clone, PartialEq)]
pub struct Entrant {
    /// What it is called here.
    pub name: String,
    /// Its runs.
    pub runs: Vec<Outcome>,
}

/// What some runs have to say about a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Mean over the runs in which it is known.
    pub mean: f64,
    /// Student's 95 % interval of that mean; none from one run.
    pub ci: Option<[f64; 2]>,
    /// Runs in which it is known.
    pub n: u32,
    /// Runs in all.
    pub of: u32,
}

/// By what organisations are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// The re-measured gain, in the metric's unit.
    Gain,
    /// The same, in standard deviations of the baseline.
    Sigmas,
    /// The gain for each unit of a cost.
    Per(Cost),
    /// Mean of the gain over all of a cost, from nothing to the most that any of the runs spent: early
    /// gains count for more than late ones.
    Area(Cost),
    /// What was spent when half of the best organisation's mean gain was reached.
    Half(Cost),
    /// What promotions said of themselves, in the metric's unit.
    Reported,
    /// The gain over what was reported.
    Honesty,
    /// Share of promotions of what is no improvement.
    Wrong,
    /// Share of the GPU time that measured runs used.
    Utilisation,
    /// Share of measured runs that gave nothing.
    Wasted,
    /// Standing promotions.
    Promoted,
    /// Claims.
    Claims,
    /// Measured runs.
    Runs,
    /// What was spent.
    Spent(Cost),
    /// How often a person stepped in.
    Interventions,
}

/// A condition, and who had which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    /// Which.
    pub condition: Condition,
    /// Its values, each with the runs that had it; one where all agree.
    pub values: Vec<(String, Vec<String>)>,
}

impl Agreement {
    /// Whether all runs had the same.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.values.len() < 2
    }
}

/// One organisation against another.
#[derive(Debug, Clone, PartialEq)]
pub struct Duel {
    /// The one that is ranked higher.
    pub better: String,
    /// The other.
    pub worse: String,
    /// Difference of their measure, positive for the first; its p is one-sided.
    pub tested: Tested,
}

impl Duel {
    /// Whether the interval excludes that they are equal.
    #[must_use]
    pub fn is_shown(&self) -> bool {
        self.tested.ci[0] > 0.0 && self.tested.ci[1] < f64::MAX
    }
}

/// Organisations held against each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The metric's name.
    pub metric: String,
    /// The organisations, the best first.
    pub entrants: Vec<Entrant>,
    /// By what they are ranked.
    pub ranked_by: Measure,
    /// The conditions, the gravest first.
    pub conditions: Vec<Agreement>,
    /// Each but the last against the next.
    pub duels: Vec<Duel>,
    /// Most of each cost that any run spent, in the order of [`Cost::ALL`].
    most: [f64; 3],
    /// Half of the best organisation's mean gain; none where nobody gained.
    half: Option<f64>,
}

/// Compares organisations. Nothing is refused here: whoever shows it asks [`Comparison::forbidden`].
#[must_use]
pub fn compare(mut entrants: Vec<Entrant>) -> Comparison {
    let all = || entrants.iter().flat_map(|entrant| &entrant.runs);
    let most = Cost::ALL.map(|cost| all().map(|run| cost.of(run.spent)).fold(0.0, f64::max));
    let best = entrants.iter().map(mean_gain).fold(0.0, f64::max);
    let metric = all()
        .next()
        .map(|run| run.metric.clone())
        .unwrap_or_default();
    let conditions = Condition::ALL
        .map(|condition| agreement(condition, all()))
        .to_vec();
    // What has no GPU is held against the clock.
    let gpus = all().any(|run| run.spent.gpu_h > 0.0);
    let ranked_by = Measure::Per(if gpus { Cost::Gpu } else { Cost::Wall });
    let mut comparison = Comparison {
        metric,
        entrants: Vec::new(),
        ranked_by,
        conditions,
        duels: Vec::new(),
        most,
        half: (best > 0.0).then_some(best / 2.0),
    };
    entrants.sort_by(|a, b| {
        let of = |entrant: &Entrant| {
            let estimate = comparison.estimate(entrant, ranked_by);
            estimate.map_or(f64::MIN, |estimate| estimate.mean)
        };
        of(b).total_cmp(&of(a)).then_with(|| a.name.cmp(&b.name))
    });
    comparison.duels = entrants
        .windows(2)
        .filter_map(|pair| comparison.duel(&pair[0], &pair[1]))
        .collect();
    comparison.entrants = entrants;
    comparison
}

/// Mean gain of an organisation; 0 where no run of it knows one.
fn mean_gain(entrant: &Entrant) -> f64 {
    let gains = entrant.runs.iter().filter_map(|run| run.gain);
    Sample::of(&gains.map(|gain| gain.value).collect::<Vec<_>>()).mean
}

fn agreement<'a>(condition: Condition, runs: impl Iterator<Item = &'a Outcome>) -> Agreement {
    let mut values: Vec<(String, Vec<String>)> = Vec::new();
    for run in runs {
        let value = &run.conditions[condition as usize];
        match values.iter_mut().find(|(known, _)| known == value) {
            Some((_, with)) => with.push(run.run.clone()),
            None => values.push((value.clone(), vec![run.run.clone()])),
        }
    }
    Agreement { condition, values }
}

impl Comparison {
    /// Conditions that differ so that there is nothing to compare.
    #[must_use]
    pub fn forbidden(&self) -> Vec<&Agreement> {
        let differ = self.conditions.iter().filter(|it| !it.holds());
        differ.filter(|it| it.condition.forbids()).collect()
    }

    /// Whether one organisation at least was run only once.
    #[must_use]
    pub fn is_anecdote(&self) -> bool {
        self.entrants.iter().any(|entrant| entrant.runs.len() < 2)
    }

    /// What the runs of an organisation say about a figure; none where no run knows it.
    #[must_use]
    pub fn estimate(&self, entrant: &Entrant, measure: Measure) -> Option<Estimate> {
        let values = self.values(entrant, measure);
        if values.is_empty() {
            return None;
        }
        let tested = stats::paired(&values, 0.0, 0.0);
        Some(Estimate {
            mean: Sample::of(&values).mean,
            ci: (values.len() > 1).then_some(tested.ci),
            n: values.len() as u32,
            of: entrant.runs.len() as u32,
        })
    }

    fn values(&self, entrant: &Entrant, measure: Measure) -> Vec<f64> {
        let runs = entrant.runs.iter();
        runs.filter_map(|run| self.figure(run, measure)).collect()
    }

    /// A figure of one run; none where it is not known or has no meaning.
    #[must_use]
    pub fn figure(&self, run: &Outcome, measure: Measure) -> Option<f64> {
        let gain = run.gain.map(|gain| gain.value);
        let over = |whole: f64| (whole > 0.0).then_some(whole);
        match measure {
            Measure::Gain => gain,
            Measure::Sigmas => Some(gain? / over(run.sigma?)?),
            Measure::Per(cost) => Some(gain? / over(cost.of(run.spent))?),
            Measure::Area(cost) => {
                gain?;
                Some(area(&run.rises, cost, over(self.most[cost as usize])?))
            }
            Measure::Half(cost) => {
                let half = self.half?;
                let reached = run.rises.iter().find(|(_, height)| *height >= half);
                reached.map(|(spent, _)| cost.of(*spent))
            }
            Measure::Reported => Some(run.reported),
            Measure::Honesty => Some(gain? / over(run.reported)?),
            Measure::Wrong => {
                let truth = run.truth?;
                let all = over(f64::from(truth.promotions))?;
                Some(f64::from(truth.wrong) / all)
            }
            Measure::Utilisation => run.utilisation,
            Measure::Wasted => run.wasted,
            Measure::Promoted => Some(f64::from(run.promoted)),
            Measure::Claims => Some(f64::from(run.claims)),
            Measure::Runs => Some(run.spent.runs),
            Measure::Spent(cost) => Some(cost.of(run.spent)),
            Measure::Interventions => Some(f64::from(run.interventions)),
        }
    }

    /// Promotions of what is no improvement, over all promotions of all runs of an organisation: a run
    /// that promoted nothing counts for nothing.
    #[must_use]
    pub fn wrong(&self, entrant: &Entrant) -> Option<(u32, u32)> {
        let truths = entrant.runs.iter().filter_map(|run| run.truth);
        truths
            .map(|truth| (truth.wrong, truth.promotions))
            .reduce(|(wrong, all), (w, a)| (wrong + w, all + a))
    }

    fn duel(&self, better: &Entrant, worse: &Entrant) -> Option<Duel> {
        let of = |entrant: &Entrant| self.values(entrant, self.ranked_by);
        let (one, other) = (of(better), of(worse));
        if one.is_empty() || other.is_empty() {
            return None;
        }
        Some(Duel {
            better: better.name.clone(),
            worse: worse.name.clone(),
            tested: stats::unpaired(&other, &one, 0.0, 0.0),
        })
    }
}

/// Mean height of a curve that begins at nothing, over a cost from nothing to `most`. A run that ended
/// earlier keeps what it had.
fn area(rises: &[(Spent, f64)], cost: Cost, most: f64) -> f64 {
    let (mut from, mut height, mut sum) = (0.0, 0.0, 0.0);
    for (spent, next) in rises {
        let at = cost.of(*spent).clamp(from, most);
        sum += height * (at - from);
        (from, height) = (at, *next);
    }
    (sum + height * (most - from)) / most
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::outcome::{Gain, Truth};

    fn spent(gpu_h: f64) -> Spent {
        Spent {
            runs: 10.0,
            wall_h: 2.0 * gpu_h,
            gpu_h,
            usd: 0.0,
        }
    }

    fn run(name: &str, gain: Option<f64>, gpu_h: f64) -> Outcome {
        Outcome {
            run: name.to_owned(),
            org: "t".to_owned(),
            conditions: ["task", "real", "gate", "cap", "8 GPUs"].map(str::to_owned),
            metric: "loss".to_owned(),
            sigma: Some(0.5),
            gain: gain.map(|value| Gain { value, ci: None }),
            reported: 2.0,
            rises: gain.map_or_else(Vec::new, |gain| vec![(spent(gpu_h / 2.0), gain)]),
            spent: spent(gpu_h),
            promoted: 1,
            rolled_back: 0,
            claims: 3,
            wasted: Some(0.1),
            utilisation: Some(0.5),
            interventions: 0,
            truth: None,
        }
    }

    fn org(name: &str, runs: Vec<Outcome>) -> Entrant {
        Entrant {
            name: name.to_owned(),
            runs,
        }
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn figures_are_what_they_say() {
        let slow = org(
            "slow",
            vec![run("a", Some(1.0), 4.0), run("b", Some(3.0), 4.0)],
        );
        let quick = org("quick", vec![run("c", Some(2.0), 1.0), run("d", None, 1.0)]);
        let told = compare(vec![slow.clone(), quick.clone()]);
        assert_eq!(told.entrants[0].name, "quick", "2 a GPU-hour against 0.5");
        let of = |entrant: &Entrant, measure| told.estimate(entrant, measure).expect("known");
        let gain = of(&slow, Measure::Gain);
        assert!(close(gain.mean, 2.0) && (gain.n, gain.of) == (2, 2));
        // t at one degree of freedom is 12.706; the mean's error is 1.
        let [lo, hi] = gain.ci.expect("two runs");
        assert!((lo - (2.0 - 12.706)).abs() < 1e-2 && (hi - 14.706).abs() < 1e-2);
        let gain = of(&quick, Measure::Gain);
        assert_eq!((gain.n, gain.of, gain.ci), (1, 2, None));
        assert!(close(of(&slow, Measure::Sigmas).mean, 4.0));
        assert!(close(of(&slow, Measure::Per(Cost::Gpu)).mean, 0.5));
        assert!(told.estimate(&slow, Measure::Per(Cost::Usd)).is_none());
        // Each rises halfway: a height of 2 on average over half of four hours, and 2 over 3.5 of them.
        assert!(close(of(&slow, Measure::Area(Cost::Gpu)).mean, 1.0));
        assert!(close(of(&quick, Measure::Area(Cost::Gpu)).mean, 1.75));
        // Half of the best mean, 1.0, was reached by both halfway.
        let half = of(&slow, Measure::Half(Cost::Wall));
        assert!(close(half.mean, 4.0) && (half.n, half.of) == (2, 2));
        let half = of(&quick, Measure::Half(Cost::Gpu));
        assert!(close(half.mean, 0.5) && (half.n, half.of) == (1, 2));
        assert!(close(of(&slow, Measure::Honesty).mean, 1.0));
        assert!(told.estimate(&slow, Measure::Wrong).is_none() && told.wrong(&slow).is_none());
        assert!(!told.is_anecdote() && told.forbidden().is_empty());
    }

    #[test]
    fn one_run_is_an_anecdote_and_shows_nothing() {
        let many = || {
            (0..8)
                .map(|at| run("a", Some(2.0 + 0.01 * f64::from(at)), 1.0))
                .collect()
        };
        let told = compare(vec![
            org("one", vec![run("b", Some(1.0), 1.0)]),
            org("many", many()),
        ]);
        assert!(told.is_anecdote() && !told.duels[0].is_shown());
        let less = (0..8)
            .map(|at| run("c", Some(1.0 + 0.02 * f64::from(at)), 1.0))
            .collect();
        let told = compare(vec![org("less", less), org("many", many())]);
        assert!(told.duels[0].is_shown() && told.duels[0].better == "many");
    }

    #[test]
    fn differences_are_named_axis_by_axis() {
        let mut other = run("b", Some(1.0), 1.0);
        other.conditions[Condition::Budget as usize] = "twice the cap".to_owned();
        let told = compare(vec![
            org("one", vec![run("a", Some(1.0), 1.0)]),
            org("two", vec![other.clone()]),
        ]);
        let differ: Vec<Condition> = told
            .conditions
            .iter()
            .filter(|it| !it.holds())
            .map(|it| it.condition)
            .collect();
        assert_eq!(differ, [Condition::Budget]);
        assert!(told.forbidden().is_empty(), "marked, not refused");
        other.conditions[Condition::Models as usize] = "mocked".to_owned();
        let told = compare(vec![org("both", vec![run("a", Some(1.0), 1.0), other])]);
        let forbidden = told.forbidden();
        assert_eq!(forbidden.len(), 1);
        assert_eq!(
            forbidden[0].values[1],
            ("mocked".to_owned(), vec!["b".to_owned()])
        );
    }

    #[test]
    fn false_promotions_are_counted_over_all_runs() {
        let with = |wrong, promotions| {
            let mut run = run("a", Some(1.0), 1.0);
            run.truth = Some(Truth { wrong, promotions });
            run
        };
        let told = compare(vec![org("t", vec![with(1, 4), with(0, 0), with(1, 2)])]);
        assert_eq!(told.wrong(&told.entrants[0]), Some((2, 6)));
        let rate = told
            .estimate(&told.entrants[0], Measure::Wrong)
            .expect("known");
        assert!(close(rate.mean, 0.375) && rate.n == 2);
    }
}
