//! Organisations held against each other, for scripts and for people: `org compare`, and what a
//! tournament writes.
//!
//! Owns the names that scripts read and the words that people do: what was run once is called an
//! anecdote, and what differs between runs stands above what is made of them. Must not know how
//! anything is computed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::figure::{self, number, probability, signed, span};
use super::paint::{Paint, Tint};
use super::table::{Cell, Table};
use crate::domain::comparison::{self, Agreement, Duel, Entrant, Measure};
use crate::domain::outcome::{Cost, Outcome, SCRIPTED};

/// Figures, by the names that scripts read and the words that people do.
const FIGURES: [(&str, &str, Measure); 23] = [
    ("gain", "verified gain", Measure::Gain),
    ("gain_sigmas", "... in sigmas", Measure::Sigmas),
    (
        "gain_per_wall_hour",
        "... an hour",
        Measure::Per(Cost::Wall),
    ),
    (
        "gain_per_gpu_hour",
        "... a GPU-hour",
        Measure::Per(Cost::Gpu),
    ),
    ("gain_per_usd", "... a dollar", Measure::Per(Cost::Usd)),
    (
        "area_wall_hours",
        "area, over time",
        Measure::Area(Cost::Wall),
    ),
    (
        "area_gpu_hours",
        "... over GPU time",
        Measure::Area(Cost::Gpu),
    ),
    ("area_usd", "... over dollars", Measure::Area(Cost::Usd)),
    (
        "half_wall_hours",
        "half of the best after",
        Measure::Half(Cost::Wall),
    ),
    ("half_gpu_hours", "... GPU time", Measure::Half(Cost::Gpu)),
    ("half_usd", "... dollars", Measure::Half(Cost::Usd)),
    ("reported", "reported gain", Measure::Reported),
    ("honesty", "verified over reported", Measure::Honesty),
    ("false_promotion_rate", "false promotions", Measure::Wrong),
    ("utilisation", "GPUs used", Measure::Utilisation),
    ("wasted", "runs that gave nothing", Measure::Wasted),
    ("promoted", "promoted", Measure::Promoted),
    ("claims", "claims", Measure::Claims),
    ("measured_runs", "measured runs", Measure::Runs),
    ("wall_hours", "time", Measure::Spent(Cost::Wall)),
    ("gpu_hours", "GPU time", Measure::Spent(Cost::Gpu)),
    ("usd", "dollars", Measure::Spent(Cost::Usd)),
    ("interventions", "interventions", Measure::Interventions),
];

/// A comparison, as `org compare --json` prints it.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// The metric's name.
    pub metric: String,
    /// The figure by which organisations are ranked.
    pub ranked_by: &'static str,
    /// Whether some organisation was run only once.
    pub anecdote: bool,
    /// Whether a run had pretended models.
    pub mock: bool,
    /// What the runs have, and do not have, in common.
    pub conditions: Vec<Condition>,
    /// The organisations, the best first.
    pub orgs: Vec<Org>,
    /// Each against the next.
    pub duels: Vec<Against>,
}

/// A condition.
#[derive(Debug, Clone, Serialize)]
pub struct Condition {
    /// `task`, `models`, `protocol`, `budget` or `devices`.
    pub axis: &'static str,
    /// Whether all runs had the same.
    pub same: bool,
    /// What the runs had.
    pub values: Vec<Had>,
}

/// What some runs had.
#[derive(Debug, Clone, Serialize)]
pub struct Had {
    /// The condition, in words.
    pub value: String,
    /// Which runs.
    pub runs: Vec<String>,
}

/// An organisation.
#[derive(Debug, Clone, Serialize)]
pub struct Org {
    /// What it is called here.
    pub org: String,
    /// How many runs.
    pub n: usize,
    /// Whether it was run only once.
    pub anecdote: bool,
    /// False promotions and all promotions, over all runs; none where the truth is not known.
    pub false_promotions: Option<[u32; 2]>,
    /// Figures by name; null where none of its runs knows it.
    #[serde(flatten)]
    pub figures: BTreeMap<&'static str, Option<Estimate>>,
    /// Its runs.
    pub runs: Vec<Run>,
}

/// What some runs say about a figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// Mean over the runs in which it is known.
    pub mean: f64,
    /// Its 95 % interval; null from one run.
    pub ci: Option<[f64; 2]>,
    /// Runs in which it is known.
    pub n: u32,
    /// Runs in all.
    pub of: u32,
}

/// One run.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// Its id.
    pub run: String,
    /// The interval of its own gain, by its seeds.
    pub gain_ci: Option<[f64; 2]>,
    /// Figures by name.
    #[serde(flatten)]
    pub figures: BTreeMap<&'static str, Option<f64>>,
}

/// One organisation against another.
#[derive(Debug, Clone, Serialize)]
pub struct Against {
    /// The one that is ranked higher.
    pub better: String,
    /// The other.
    pub worse: String,
    /// Difference of what they are ranked by.
    pub difference: f64,
    /// Its 95 % interval; null where there are too few runs.
    pub ci: Option<[f64; 2]>,
    /// One-sided p; null likewise.
    pub p: Option<f64>,
    /// Whether the interval excludes that they are equal.
    pub shown: bool,
}

/// A measure's name for scripts.
fn name(measure: Measure) -> &'static str {
    let found = FIGURES.iter().find(|(_, _, it)| *it == measure);
    found.map_or("gain", |(name, ..)| name)
}

/// For scripts.
#[must_use]
pub fn of(told: &comparison::Comparison) -> Comparison {
    Comparison {
        metric: told.metric.clone(),
        ranked_by: name(told.ranked_by),
        anecdote: told.is_anecdote(),
        mock: is_mocked(told),
        conditions: told.conditions.iter().map(condition).collect(),
        orgs: told.entrants.iter().map(|it| org(told, it)).collect(),
        duels: told.duels.iter().map(against).collect(),
    }
}

fn is_mocked(told: &comparison::Comparison) -> bool {
    with_models(told, "mocked")
}

/// Whether some run had these models.
fn with_models(told: &comparison::Comparison, wanted: &str) -> bool {
    let models = crate::domain::outcome::Condition::Models;
    let of = |it: &&Agreement| it.condition == models;
    let values = told.conditions.iter().find(of).map(|it| &it.values);
    values.is_some_and(|values| values.iter().any(|(value, _)| value == wanted))
}

fn condition(agreement: &Agreement) -> Condition {
    Condition {
        axis: agreement.condition.word(),
        same: agreement.holds(),
        values: agreement
            .values
            .iter()
            .map(|(value, runs)| Had {
                value: value.clone(),
                runs: runs.clone(),
            })
            .collect(),
    }
}

fn org(told: &comparison::Comparison, entrant: &Entrant) -> Org {
    let estimate = |measure| {
        told.estimate(entrant, measure).map(|it| Estimate {
            mean: it.mean,
            ci: figure::bounded(it.ci),
            n: it.n,
            of: it.of,
        })
    };
    Org {
        org: entrant.name.clone(),
        n: entrant.runs.len(),
        anecdote: entrant.runs.len() < 2,
        false_promotions: told.wrong(entrant).map(|(wrong, all)| [wrong, all]),
        figures: FIGURES
            .into_iter()
            .map(|(name, _, measure)| (name, estimate(measure)))
            .collect(),
        runs: entrant.runs.iter().map(|it| run(told, it)).collect(),
    }
}

fn run(told: &comparison::Comparison, outcome: &Outcome) -> Run {
    Run {
        run: outcome.run.clone(),
        gain_ci: figure::bounded(outcome.gain.and_then(|gain| gain.ci)),
        figures: FIGURES
            .into_iter()
            .map(|(name, _, measure)| (name, told.figure(outcome, measure)))
            .collect(),
    }
}

fn against(duel: &Duel) -> Against {
    let ci = figure::bounded(Some(duel.tested.ci));
    Against {
        better: duel.better.clone(),
        worse: duel.worse.clone(),
        difference: duel.tested.effect,
        ci,
        p: ci.map(|_| duel.tested.p),
        shown: duel.is_shown(),
    }
}

/// For people.
#[must_use]
pub fn text(told: &comparison::Comparison, width: usize, paint: Paint) -> String {
    let mut out = String::new();
    warnings(told, &mut out, paint);
    ranking(told, &mut out, width, paint);
    out.push('\n');
    all(told, &mut out, width, paint);
    out.push_str(FOOT);
    out
}

const FOOT: &str = "\n\
The gain is what was re-measured at the end on seeds that chose nothing, never a sum of what was accepted;\n\
± is half of Student's 95 % interval over runs. Area is the mean of the gain over all of a cost, up to the\n\
most that any of these runs spent; half of the best is half of the best organisation's mean gain, in those\n\
runs that reached it. --json has every run.\n";

fn warnings(told: &comparison::Comparison, out: &mut String, paint: Paint) {
    let mut say = |tint: Tint, text: &str| {
        out.push_str(&paint.tint(tint, &figure::one_line(text)));
        out.push('\n');
    };
    if is_mocked(told) {
        say(
            Tint::Bad,
            "MOCKED: the models of some runs were pretended; this is no research.",
        );
    }
    if with_models(told, SCRIPTED) {
        say(
            Tint::Notable,
            "SCRIPTED: no model was asked, and the truth is known; this tests the comparison itself.",
        );
    }
    let once: Vec<&str> = told
        .entrants
        .iter()
        .filter(|entrant| entrant.runs.len() < 2)
        .map(|entrant| entrant.name.as_str())
        .collect();
    if !once.is_empty() {
        let who = once.join(", ");
        let words = format!(
            "ANECDOTE: {who} was run once, which says nothing about how it does another time."
        );
        say(Tint::Notable, &words);
    }
    for agreement in told.conditions.iter().filter(|it| !it.holds()) {
        let values: Vec<String> = agreement
            .values
            .iter()
            .map(|(value, runs)| format!("{value} ({})", runs.join(", ")))
            .collect();
        let axis = agreement.condition.word();
        let words = format!("NOT ALIKE in {axis}: {}", values.join("; "));
        say(Tint::Bad, &words);
    }
    if !out.is_empty() {
        out.push('\n');
    }
}

fn ranking(told: &comparison::Comparison, out: &mut String, width: usize, paint: Paint) {
    let by = FIGURES
        .into_iter()
        .find(|(_, _, measure)| *measure == told.ranked_by);
    let by = by
        .map_or("", |(_, words, _)| words)
        .trim_start_matches("... ");
    writeln!(
        out,
        "verified gain in {} {by}, positive is better:",
        figure::one_line(&told.metric)
    )
    .expect("a string takes everything");
    let mut table = Table::new(&[">RANK", "ORG", ">RUNS", ">GAIN", "95 % INTERVAL"]);
    for (at, entrant) in told.entrants.iter().enumerate() {
        let estimate = told.estimate(entrant, told.ranked_by);
        let interval = match estimate {
            Some(it) if it.ci.is_some() => figure::interval(figure::bounded(it.ci)),
            Some(_) => "anecdote".to_owned(),
            None => "not re-measured, or nothing was spent".to_owned(),
        };
        table.row(vec![
            (at + 1).to_string().into(),
            Cell::tinted(Tint::Bold, &entrant.name),
            entrant.runs.len().to_string().into(),
            estimate
                .map_or_else(|| "-".to_owned(), |it| signed(it.mean))
                .into(),
            interval.into(),
        ]);
    }
    out.push_str(&table.text(width, paint));
    if !told.duels.is_empty() {
        out.push('\n');
    }
    for duel in &told.duels {
        let words = match figure::bounded(Some(duel.tested.ci)) {
            Some(ci) => {
                let verdict = if duel.is_shown() {
                    "a difference"
                } else {
                    "no difference was shown"
                };
                format!(
                    "{}, 95 % interval {}, p {}: {verdict}",
                    signed(duel.tested.effect),
                    figure::interval(Some(ci)),
                    probability(duel.tested.p)
                )
            }
            None => format!("{}, an anecdote", signed(duel.tested.effect)),
        };
        let (better, worse) = (
            figure::one_line(&duel.better),
            figure::one_line(&duel.worse),
        );
        writeln!(out, "{better} over {worse}: {words}").expect("a string takes everything");
    }
}

/// Every figure that some organisation has.
fn all(told: &comparison::Comparison, out: &mut String, width: usize, paint: Paint) {
    let mut table = Table::new(&["", "ORG", ">MEAN", ">±", "IN RUNS"]);
    for (_, words, measure) in FIGURES {
        let known: Vec<(&Entrant, comparison::Estimate)> = told
            .entrants
            .iter()
            .filter_map(|it| Some((it, told.estimate(it, measure)?)))
            .collect();
        for (at, (entrant, estimate)) in known.iter().enumerate() {
            let half = figure::bounded(estimate.ci).map(|[lo, hi]| (hi - lo) / 2.0);
            let runs = if estimate.n == estimate.of {
                String::new()
            } else {
                format!("{} of {}", estimate.n, estimate.of)
            };
            table.row(vec![
                if at == 0 { words } else { "" }.into(),
                (&entrant.name).into(),
                written(measure, estimate.mean).into(),
                half.map_or_else(String::new, |half| written(measure, half))
                    .into(),
                runs.into(),
            ]);
        }
    }
    out.push_str(&table.text(width, paint));
}

/// A figure in its unit.
fn written(measure: Measure, value: f64) -> String {
    match measure {
        Measure::Half(Cost::Wall | Cost::Gpu) | Measure::Spent(Cost::Wall | Cost::Gpu) => {
            span(value * 3600.0)
        }
        Measure::Half(Cost::Usd) | Measure::Spent(Cost::Usd) => format!("${value:.2}"),
        Measure::Utilisation | Measure::Wasted | Measure::Wrong => {
            format!("{:.0} %", 100.0 * value)
        }
        Measure::Promoted | Measure::Claims | Measure::Runs | Measure::Interventions => {
            format!("{value:.1}")
        }
        _ => number(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::outcome;
    use crate::view::sample;

    fn told() -> comparison::Comparison {
        let (chart, state) = sample::run();
        let mut one = outcome::of(&chart, &state);
        one.run = "t-1".to_owned();
        let mut two = one.clone();
        two.run = "t-2".to_owned();
        two.gain = two.gain.map(|gain| outcome::Gain { value: 0.4, ..gain });
        let mut other = one.clone();
        other.run = "u-1".to_owned();
        other.conditions[outcome::Condition::Budget as usize] = "10 usd".to_owned();
        comparison::compare(vec![
            Entrant {
                name: "t".to_owned(),
                runs: vec![one, two],
            },
            Entrant {
                name: "u".to_owned(),
                runs: vec![other],
            },
        ])
    }

    #[test]
    fn has_the_names_that_scripts_read() {
        let told = of(&told());
        assert_eq!(
            sample::keys(&told).join(" "),
            "anecdote conditions duels metric mock orgs ranked_by"
        );
        assert_eq!(
            sample::keys(&told.orgs[0]).join(" "),
            "anecdote area_gpu_hours area_usd area_wall_hours claims false_promotion_rate false_promotions gain \
             gain_per_gpu_hour gain_per_usd gain_per_wall_hour gain_sigmas gpu_hours half_gpu_hours half_usd \
             half_wall_hours honesty interventions measured_runs n org promoted reported runs usd utilisation \
             wall_hours wasted"
        );
        assert_eq!(told.ranked_by, "gain_per_gpu_hour");
        assert!(told.anecdote && told.mock);
        assert!(!told.conditions[3].same, "{:?}", told.conditions);
    }

    #[test]
    fn says_anecdote_and_what_is_not_alike() {
        let text = text(&told(), 80, Paint::Plain);
        insta::assert_snapshot!(text);
    }
}
