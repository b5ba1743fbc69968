//! What was measured, as lines of a table: metric, floor, ours, ratio, goal and ceiling, and whether they
//! are met.

use std::io::{self, Write as _};
use std::time::Duration;

/// What a figure should be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    /// At most so many times the floor.
    Ratio(f64),
    /// At least so many times the floor: a throughput.
    Share(f64),
    /// At most so much more than the floor.
    Above(f64),
    /// At most this, whatever the floor.
    Most(f64),
    /// None is set; the figure is for comparison.
    Open,
}

/// What a figure must not pass on two cores, whatever the floor: a guard, where the goal is the aim.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ceiling {
    /// At most this.
    Most(f64),
    /// At least this: a throughput.
    Least(f64),
    /// None is set.
    None,
}

/// Everything measured so far. Lines are printed as they come: a run takes minutes.
#[derive(Debug, Default)]
pub(crate) struct Table {
    begun: bool,
    lines: usize,
    goals: usize,
    missed: Vec<String>,
    ceilings: usize,
    passed: Vec<String>,
}

impl Table {
    /// Adds a figure.
    pub(crate) fn row(
        &mut self,
        metric: &str,
        unit: &str,
        floor: Option<f64>,
        ours: f64,
        goal: Goal,
    ) {
        self.guarded(Ceiling::None, (metric, unit), floor, ours, goal);
    }

    /// Adds a figure that has a ceiling.
    pub(crate) fn guarded(
        &mut self,
        ceiling: Ceiling,
        (metric, unit): (&str, &str),
        floor: Option<f64>,
        ours: f64,
        goal: Goal,
    ) {
        if !self.begun {
            self.begun = true;
            let title = format!(
                "{:<52} {:>10} {:>10} {:>7}",
                "metric", "floor", "ours", "ratio"
            );
            say(&format!(
                "{title}  {:<14} {:<4} {:<10} {}",
                "goal", "met", "ceiling", "below"
            ));
        }
        let ratio = floor.filter(|floor| *floor > 0.0).map(|floor| ours / floor);
        let least = floor.unwrap_or(0.0);
        let (goal, met) = match goal {
            Goal::Ratio(most) => (format!("<= {most}x"), ratio.map(|it| it <= most)),
            Goal::Share(share) => (format!(">= {share:.2}x"), ratio.map(|it| it >= share)),
            Goal::Above(more) => (format!("<= floor + {more}"), Some(ours <= least + more)),
            Goal::Most(most) => (format!("<= {most} {unit}"), Some(ours <= most)),
            Goal::Open => ("-".to_owned(), None),
        };
        let (guard, below) = match ceiling {
            Ceiling::Most(most) => (format!("{most}"), Some(ours <= most)),
            Ceiling::Least(least) => (format!("{least}"), Some(ours >= least)),
            Ceiling::None => ("-".to_owned(), None),
        };
        self.lines += 1;
        self.goals += usize::from(met.is_some());
        self.ceilings += usize::from(below.is_some());
        let name = metric.trim_start();
        self.missed
            .extend((met == Some(false)).then(|| name.to_owned()));
        self.passed
            .extend((below == Some(false)).then(|| name.to_owned()));
        let number = |value: Option<f64>| value.map_or("-".to_owned(), figure);
        let line = format!(
            "{:<52} {:>10} {:>10} {:>7}  {goal:<14}",
            format!("{metric}, {unit}"),
            number(floor),
            figure(ours),
            ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}x")),
        );
        say(&format!(
            "{line} {:<4} {guard:<10} {}",
            answer(met),
            answer(below)
        ));
    }

    /// Says something between the lines.
    pub(crate) fn note(&mut self, text: &str) {
        say(&format!("# {text}"));
    }

    /// Says how it all stands: goals and ceilings apart, and which are missed.
    pub(crate) fn end(&mut self) {
        let (lines, goals, ceilings) = (self.lines, self.goals, self.ceilings);
        let (missed, passed) = (self.missed.len(), self.passed.len());
        self.note(&format!("{lines} figures"));
        self.note(&format!(
            "goals: {} of {goals} met, {missed} missed",
            goals - missed
        ));
        for name in std::mem::take(&mut self.missed) {
            self.note(&format!("  missed: {name}"));
        }
        self.note(&format!(
            "ceilings: {} of {ceilings} kept, {passed} passed",
            ceilings - passed
        ));
        for name in std::mem::take(&mut self.passed) {
            self.note(&format!("  passed: {name}"));
        }
    }
}

fn answer(so: Option<bool>) -> &'static str {
    match so {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "-",
    }
}

fn say(line: &str) {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").ok();
    out.flush().ok();
}

/// Three digits that count.
fn figure(value: f64) -> String {
    let places = match value.abs() {
        it if it >= 100.0 => 0,
        it if it >= 10.0 => 1,
        it if it >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.places$}")
}

/// The value below which a share of the sample lies.
pub(crate) fn quantile(sample: &[f64], share: f64) -> f64 {
    let mut sorted = sample.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (share * sorted.len().saturating_sub(1) as f64).round() as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

/// The middle of the sample.
pub(crate) fn median(sample: &[f64]) -> f64 {
    quantile(sample, 0.5)
}

/// Milliseconds.
pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
