//! Reads what a run printed: its metric, its own account of its cost, and how it ended.
//!
//! Decides on values only. A run without a readable metric is *invalid*, never a zero. Must not know
//! what a value will be compared with.

use std::sync::OnceLock;

use regex::Regex;

use crate::domain::chart::{Measures, Metric, Take};
use crate::os::job::{Exit, JobResult};

/// Lines of output shown to whoever asked for a run that failed.
pub const LAST_LINES: usize = 50;
/// Longest piece of a run's own text that is quoted in a reason.
const QUOTE_CAP: usize = 80;
/// What a shell reports for a child that was killed, as the kernel does when memory runs out.
const SHELL_KILLED: i32 = 137;
/// Lines in a row that must tell of a lost loss before a run is taken for diverged.
const LOST_LINES: u32 = 3;
/// How programs tell of their loss: the word, a few signs, a number.
const LOSS_PATTERN: &str = r#"(?i)loss[\"')\]]*\s*[:=|]?\s*([-+]?(?:nan|inf(?:inity)?|[0-9]+(?:\.[0-9]*)?(?:e[-+]?[0-9]+)?))\b"#;
static LOSS: OnceLock<Result<Regex, regex::Error>> = OnceLock::new();
/// How programs say that memory ran out.
const OUT_OF_MEMORY: [&str; 5] = [
    "CUDA out of memory",
    "OutOfMemoryError",
    "MemoryError",
    "Cannot allocate memory",
    "RESOURCE_EXHAUSTED: Out of memory",
];

/// What a run printed of its cost.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Costs {
    /// Floating-point operations, by its own account.
    pub flops: Option<f64>,
    /// Parameters, by its own account.
    pub params: Option<f64>,
    /// Training tokens, by its own account.
    pub tokens: Option<f64>,
}

/// Why a run that ended well counts for nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Invalid {
    /// The reason, for the run's author.
    pub reason: String,
}

/// How a run ended, in the words of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEnd {
    /// It has a metric.
    Ok,
    /// It failed by itself, or could not start.
    Crashed,
    /// Its time was up.
    Timeout,
    /// It ran out of memory.
    Oom,
    /// It ended well and has no valid metric.
    Invalid,
    /// Somebody ended it.
    Cancelled,
}

impl RunEnd {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Crashed => "crashed",
            Self::Timeout => "timeout",
            Self::Oom => "oom",
            Self::Invalid => "invalid",
            Self::Cancelled => "cancelled",
        }
    }
}

/// How a run ended, before its metric is looked at.
#[must_use]
pub fn classify(result: &JobResult, output: &str) -> (RunEnd, String) {
    if result.cancelled {
        return (RunEnd::Cancelled, "ended before it was done".to_owned());
    }
    let said = || OUT_OF_MEMORY.into_iter().find(|text| output.contains(text));
    // A kill is the kernel's doing if it says so, or does not say.
    let killed = || result.oom_kills != Some(0);
    match &result.exit {
        Exit::Code(0) => (RunEnd::Ok, String::new()),
        Exit::Timeout => (
            RunEnd::Timeout,
            format!("ended after {:.0} s", result.wall_s),
        ),
        Exit::NotStarted(reason) => (RunEnd::Crashed, reason.clone()),
        Exit::Signal(9) | Exit::Code(SHELL_KILLED) if killed() => (
            RunEnd::Oom,
            "killed by the kernel for lack of memory".to_owned(),
        ),
        Exit::Code(code) => match said() {
            Some(text) => (
                RunEnd::Oom,
                format!("exit status {code}, and it printed {text:?}"),
            ),
            None => (RunEnd::Crashed, format!("exit status {code}")),
        },
        Exit::Signal(signal) => (RunEnd::Crashed, format!("killed by signal {signal}")),
    }
}

/// The last lines of an output.
#[must_use]
pub fn last_lines(output: &str) -> String {
    let lines: Vec<&str> = output.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

/// Refuses an output that lacks a text that every run must print.
pub fn required(output: &str, must_print: &[String]) -> Result<(), Invalid> {
    let lacks = |text: &&String| !output.contains(text.as_str());
    match must_print.iter().find(lacks) {
        Some(missing) => Err(invalid(format!("it did not print {missing:?}"))),
        None => Ok(()),
    }
}

/// Reads the metric from an output.
pub fn value(output: &str, metric: &Metric) -> Result<f64, Invalid> {
    let found = captures(output, &metric.name, &metric.pattern)?;
    match (metric.take, found.as_slice()) {
        (_, []) => {
            let reason = format!("no metric: nothing matches {:?}", metric.pattern);
            Err(invalid(reason))
        }
        (Take::Only, [first, second, ..]) => {
            let (count, first, second) = (found.len(), quote(first), quote(second));
            let reason = format!(
                "{count} values of {}, first {first} and {second}",
                metric.name
            );
            Err(invalid(reason))
        }
        (Take::Only | Take::First, [first, ..]) => number(&metric.name, first),
        (Take::Last, [.., last]) => number(&metric.name, last),
        (Take::Min, all) => fold(&metric.name, all, f64::min),
        (Take::Max, all) => fold(&metric.name, all, f64::max),
    }
}

/// Reads the measures from an output.
pub fn costs(output: &str, measures: &Measures) -> Result<Costs, Invalid> {
    Ok(Costs {
        flops: measure(output, "flops", measures.flops.as_deref())?,
        params: measure(output, "params", measures.params.as_deref())?,
        tokens: measure(output, "tokens", measures.tokens.as_deref())?,
    })
}

/// The last value of a measure: the whole run's, where a program counts up. One that is not printed
/// is unknown, which is for the caller to judge.
fn measure(output: &str, name: &str, pattern: Option<&str>) -> Result<Option<f64>, Invalid> {
    let Some(pattern) = pattern else {
        return Ok(None);
    };
    captures(output, name, pattern)?
        .last()
        .map(|text| number(name, text))
        .transpose()
}

/// The last steps done, and in all, that an output tells.
#[must_use]
pub fn progress(output: &str, pattern: &str) -> Option<(u64, u64)> {
    let regex = Regex::new(pattern).ok()?;
    let last = regex.captures_iter(output).last()?;
    let count = |at: usize| last.get(at)?.as_str().parse::<u64>().ok();
    Some((count(1)?, count(2)?))
}

/// Watches a loss for not being a number any more.
#[derive(Debug, Default)]
pub struct Divergence {
    /// Lines in a row whose loss is none.
    lost: u32,
}

impl Divergence {
    /// Follows the next lines of an output; says what is wrong once `LOST_LINES` lines in a row tell of
    /// a loss that is `nan` or infinite: a single one may be a step that a loss scale skips.
    pub fn follow(&mut self, lines: &str) -> Option<String> {
        let pattern = LOSS.get_or_init(|| Regex::new(LOSS_PATTERN));
        let pattern = pattern.as_ref().ok()?;
        for line in lines.lines() {
            let Some(value) = pattern.captures(line).and_then(|found| found.get(1)) else {
                continue;
            };
            let finite = value.as_str().parse::<f64>().is_ok_and(f64::is_finite);
            self.lost = if finite { 0 } else { self.lost + 1 };
            if self.lost >= LOST_LINES {
                return Some(format!("{LOST_LINES} lines in a row like {}", quote(line)));
            }
        }
        None
    }
}

fn captures<'a>(output: &'a str, name: &str, pattern: &str) -> Result<Vec<&'a str>, Invalid> {
    let regex = Regex::new(pattern)
        .map_err(|error| invalid(format!("the pattern of {name} is no regex: {error}")))?;
    let groups = regex.captures_iter(output);
    Ok(groups
        .filter_map(|groups| groups.get(1))
        .map(|group| group.as_str())
        .collect())
}

/// Folds over all values; one that is not a number spoils them all, since it cannot be ordered.
fn fold(name: &str, all: &[&str], pick: fn(f64, f64) -> f64) -> Result<f64, Invalid> {
    let mut numbers = all.iter().map(|text| number(name, text));
    let first = numbers
        .next()
        .unwrap_or_else(|| Err(invalid(format!("no value of {name}"))))?;
    numbers.try_fold(first, |best, next| Ok(pick(best, next?)))
}

fn number(name: &str, text: &str) -> Result<f64, Invalid> {
    // A pattern like `([0-9.]+)` takes the full stop of a sentence along.
    let bare = text.trim().trim_end_matches(['.', ',']);
    let value = without_commas(bare).and_then(|bare| bare.parse::<f64>().ok());
    match value {
        Some(value) if value.is_finite() => Ok(value),
        _ => Err(invalid(format!(
            "{name} is {}, which is not a finite number",
            quote(text)
        ))),
    }
}

/// The number without commas between thousands; none where a comma may mean something else.
fn without_commas(text: &str) -> Option<String> {
    if !text.contains(',') {
        return Some(text.to_owned());
    }
    let end = text.find(['.', 'e', 'E']).unwrap_or(text.len());
    let (whole, rest) = text.split_at(end);
    let mut groups = whole.trim_start_matches(['+', '-']).split(',');
    let digits = |group: &str| group.bytes().all(|byte| byte.is_ascii_digit());
    let first = groups
        .next()
        .is_some_and(|it| (1..=3).contains(&it.len()) && digits(it));
    let others = groups.all(|it| it.len() == 3 && digits(it));
    (first && others && !rest.contains(',')).then(|| text.replace(',', ""))
}

fn quote(text: &str) -> String {
    let short: String = text.chars().take(QUOTE_CAP).collect();
    format!("{short:?}")
}

fn invalid(reason: String) -> Invalid {
    Invalid { reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::chart::Goal;

    fn metric(take: Take) -> Metric {
        let pattern = r"loss: (\S+)".to_owned();
        Metric {
            name: "loss".to_owned(),
            goal: Goal::Min,
            pattern,
            take,
        }
    }

    fn value(output: &str, take: Take) -> Result<f64, String> {
        super::value(output, &metric(take)).map_err(|it| it.reason)
    }

    #[test]
    fn one_value_is_taken_as_the_chart_says() {
        let two = "loss: 3.5\nother\nloss: 2.5\nloss: 3.0\n";
        for (take, expected) in [
            (Take::First, 3.5),
            (Take::Last, 3.0),
            (Take::Min, 2.5),
            (Take::Max, 3.5),
        ] {
            assert_eq!(value(two, take), Ok(expected), "{take:?}");
        }
        assert_eq!(value("loss: 3.5", Take::Only), Ok(3.5));
        assert!(
            value(two, Take::Only)
                .unwrap_err()
                .starts_with("3 values of loss")
        );
        assert!(
            value("nothing", Take::Last)
                .unwrap_err()
                .starts_with("no metric")
        );
    }

    #[test]
    fn numbers_come_in_many_coats_and_some_are_none() {
        for (text, expected) in [
            ("1,234,567", Some(1_234_567.0)),
            ("-1,234.5", Some(-1234.5)),
            ("3.2e+17", Some(3.2e17)),
            ("1E-3.", Some(1e-3)),
            ("12,", Some(12.0)),
            (".5", Some(0.5)),
            ("0,95", None),
            ("1,23,456", None),
            ("1234,567", None),
            ("1.5,000", None),
            ("nan", None),
            ("NaN", None),
            ("inf", None),
            ("-Infinity", None),
            ("1e999", None),
            ("abc", None),
            (",", None),
        ] {
            let found = value(&format!("loss: {text} x"), Take::Only);
            assert_eq!(found.clone().ok(), expected, "{text}: {found:?}");
        }
        assert!(
            value("loss: 1\nloss: nan", Take::Min).is_err(),
            "nan cannot be ordered"
        );
        assert!(value("loss: nan\nloss: 1", Take::Last).is_ok());
    }

    #[test]
    fn measures_are_read_where_printed_and_required_text_is_required() {
        let measures = Measures {
            flops: Some("FLOPs: ([0-9.e+]+)".to_owned()),
            params: Some("total +: ([0-9,]+)".to_owned()),
            tokens: Some("tokens: ([0-9,]+)".to_owned()),
        };
        let output = "total   : 124,439,808\nFLOPs: 1e9\nFLOPs: 2.5e+18\nUsing Flash\nloss: 1\n";
        let must = ["Using Flash".to_owned()];
        required(output, &must).unwrap();
        let found = costs(output, &measures).unwrap();
        assert_eq!(
            (found.flops, found.params),
            (Some(2.5e18), Some(124_439_808.0))
        );
        assert_eq!(found.tokens, None);
        let must = ["Using Flash Attention 3".to_owned()];
        let missing = required(output, &must).unwrap_err();
        assert_eq!(
            missing.reason,
            "it did not print \"Using Flash Attention 3\""
        );
    }

    #[test]
    fn ends_are_told_apart() {
        let result = |exit: Exit, oom_kills: Option<u64>| JobResult {
            started: String::new(),
            ended: String::new(),
            wall_s: 12.0,
            cpu_s: 0.0,
            frozen_s: 0.0,
            peak_rss_mb: 0.0,
            exit,
            cancelled: false,
            killed_leftovers: 0,
            survivors: 0,
            output_bytes: 0,
            truncated: false,
            oom_kills,
            sandbox: None,
        };
        let cuda = "loss: 1\ntorch.OutOfMemoryError: CUDA out of memory. Tried …";
        for (exit, kills, output, expected) in [
            (Exit::Code(0), Some(0), "loss: 1", "ok"),
            (Exit::Code(0), Some(0), cuda, "ok"),
            (Exit::Code(0), Some(0), "", "ok"),
            (Exit::Code(1), Some(0), "loss: 1", "crashed"),
            (Exit::Code(1), Some(0), cuda, "oom"),
            (Exit::Code(137), Some(1), "", "oom"),
            (Exit::Code(137), None, "", "oom"),
            (Exit::Code(137), Some(0), "", "crashed"),
            (Exit::Signal(9), Some(2), "", "oom"),
            (Exit::Signal(9), Some(0), "", "crashed"),
            (Exit::Signal(11), Some(0), "", "crashed"),
            (Exit::Timeout, Some(0), "loss: 1", "timeout"),
            (
                Exit::NotStarted("no python".to_owned()),
                None,
                "",
                "crashed",
            ),
        ] {
            let text = format!("{exit:?} {kills:?} {output:?}");
            let (end, reason) = classify(&result(exit, kills), output);
            assert_eq!(end.as_str(), expected, "{text}");
            assert_eq!(reason.is_empty(), expected == "ok", "{text}");
        }
        let mut cancelled = result(Exit::Signal(15), None);
        cancelled.cancelled = true;
        assert_eq!(classify(&cancelled, "").0, RunEnd::Cancelled);
    }

    #[test]
    fn a_loss_that_is_lost_stays_lost_and_one_step_is_no_loss() {
        let follow = |lines: &[&str]| {
            let mut watch = Divergence::default();
            lines.iter().find_map(|line| watch.follow(line))
        };
        let table: [(&[&str], bool); 7] = [
            (
                &["step 1 loss: nan", "step 2 loss: nan", "step 3 loss: NaN"],
                true,
            ),
            (
                &["loss=nan, lr=1", "other", "loss=inf", "val_loss -inf"],
                true,
            ),
            (&["{'loss': nan}", "{'loss': nan}", "{'loss': nan}"], true),
            (&["loss: nan", "loss: nan", "loss: 3.25"], false),
            (&["loss: 1e-5", "train loss 2", "loss | 2.0"], false),
            (&["loss nano", "lossless nan", "loss of nan"], false),
            (&["nan", "nan", "nan"], false),
        ];
        for (lines, diverged) in table {
            assert_eq!(follow(lines).is_some(), diverged, "{lines:?}");
        }
        assert_eq!(
            progress("step 1/9\nstep 4/9\n", r"step (\d+)/(\d+)"),
            Some((4, 9))
        );
    }

    #[test]
    fn the_last_lines_are_the_last() {
        let output: String = (0..60).map(|at| at.to_string() + "\n").collect();
        let last = last_lines(&output);
        assert!(last.starts_with("10\n") && last.ends_with("\n59"), "{last}");
        assert_eq!(last_lines("one"), "one");
    }
}
