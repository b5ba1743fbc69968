//! How the proof is shown: a line a claim, as soon as its verdict is in.

use std::io::{self, Write as _};

/// Says a line. Nobody listens any more where that fails.
pub(crate) fn say(line: &str) {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").ok();
    out.flush().ok();
}

/// A line of the table.
pub(crate) struct Row<'a> {
    pub(crate) task: &'a str,
    pub(crate) claim: &'a str,
    pub(crate) truth: &'a str,
    pub(crate) verdict: &'a str,
    pub(crate) runs: usize,
    pub(crate) reason: &'a str,
    /// Whether it may be so.
    pub(crate) good: bool,
}

/// The table's head.
pub(crate) fn head() {
    say(&format!(
        "   {:<10} {:<44} {:<14} {:<11} {:>4}  {}",
        "TASK", "CLAIM", "TRUTH", "VERDICT", "RUNS", "REASON"
    ));
}

/// A line of it.
pub(crate) fn row(row: &Row<'_>) {
    let mark = if row.good { "  " } else { "!!" };
    let reason: String = row.reason.split_whitespace().collect::<Vec<_>>().join(" ");
    let reason: String = reason.chars().take(110).collect();
    say(&format!(
        "{mark} {:<10} {:<44} {:<14} {:<11} {:>4}  {reason}",
        row.task, row.claim, row.truth, row.verdict, row.runs
    ));
}
