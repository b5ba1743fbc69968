//! What was measured, as lines of a table: metric, floor, ours, ratio, goal, and whether it is met.

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

/// Everything measured so far. Lines are printed as they come: a run takes minutes.
#[derive(Debug, Default)]
pub(crate) struct Table {
    begun: bool,
    missed: usize,
    lines: usize,
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
        if !self.begun {
            self.begun = true;
            say(&format!(
                "{:<52} {:>10} {:>10} {:>7}  {:<14} {}",
                "metric", "floor", "ours", "ratio", "goal", "met"
            ));
        }
        let ratio = floor.filter(|floor| *floor > 0.0).map(|floor| ours / floor);
        let least = floor.unwrap_or(0.0);
        let (goal, met) = match goal {
            Goal::Ratio(most) => (format!("<= {most}x"), ratio.map(|it| it <= most)),
            Goal::Share(share) => (format!(">= {share}x"), ratio.map(|it| it >= share)),
            Goal::Above(more) => (format!("<= floor + {more}"), Some(ours <= least + more)),
            Goal::Most(most) => (format!("<= {most} {unit}"), Some(ours <= most)),
            Goal::Open => ("-".to_owned(), None),
        };
        self.lines += 1;
        self.missed += usize::from(met == Some(false));
        let met = met.map_or("-", |met| if met { "yes" } else { "NO" });
        let number = |value: Option<f64>| value.map_or("-".to_owned(), figure);
        say(&format!(
            "{:<52} {:>10} {:>10} {:>7}  {goal:<14} {met}",
            format!("{metric}, {unit}"),
            number(floor),
            figure(ours),
            ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}x")),
        ));
    }

    /// Says something between the lines.
    pub(crate) fn note(&mut self, text: &str) {
        say(&format!("# {text}"));
    }

    /// Says how it all stands.
    pub(crate) fn end(&mut self) {
        say(&format!(
            "# {} figures, {} beside their goal",
            self.lines, self.missed
        ));
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
