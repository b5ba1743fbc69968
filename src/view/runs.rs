//! The list of runs: `org ls`.
//!
//! Owns its shape and its order, newest first. A run that cannot be read is listed all the same,
//! with the state `unknown`. Must not know where runs are looked for.

use jiff::Timestamp;
use serde::Serialize;

use super::figure;
use super::paint::{Paint, Tint};
use super::table::{Cell, Table};
use crate::domain::chart::Chart;
use crate::domain::standing;
use crate::domain::state::State;

/// One run, as `org ls --json` prints it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Run {
    /// Its id.
    pub run: String,
    /// The org's name.
    pub org: String,
    /// When it was created.
    pub started: Option<Timestamp>,
    /// `starting running paused done stopped lost`, or `unknown`.
    pub state: String,
    /// Why; may be empty.
    pub reason: String,
    /// Whether models are mocked.
    pub mock: bool,
    /// Its directory.
    pub dir: String,
}

impl Run {
    /// A run that could be read.
    #[must_use]
    pub fn of(chart: &Chart, state: &State, dir: &str, supervised: bool) -> Self {
        let standing = standing::run(chart, state, supervised);
        Self {
            run: state.run.clone(),
            org: state.org.clone(),
            started: state.created,
            state: standing.word.to_owned(),
            reason: standing.reason,
            mock: state.mock,
            dir: dir.to_owned(),
        }
    }

    /// A run that could not.
    #[must_use]
    pub fn unknown(run: &str, dir: &str, started: Option<Timestamp>, why: &str) -> Self {
        Self {
            run: run.to_owned(),
            org: run.rsplit_once('-').map_or(run, |(org, _)| org).to_owned(),
            started,
            state: "unknown".to_owned(),
            reason: why.to_owned(),
            mock: false,
            dir: dir.to_owned(),
        }
    }
}

/// Newest first; what has no date comes last.
pub fn sort(runs: &mut [Run]) {
    runs.sort_by(|a, b| b.started.cmp(&a.started).then_with(|| a.run.cmp(&b.run)));
}

/// The list for people.
#[must_use]
pub fn text(runs: &[Run], now: Timestamp, width: usize, paint: Paint) -> String {
    let mut table = Table::new(&["RUN", "STATE", "MOCK", ">STARTED", "DIRECTORY"]);
    for run in runs {
        let started = run.started.map_or_else(
            || "unknown".to_owned(),
            |at| format!("{} ago", figure::ago(at, now)),
        );
        table.row(vec![
            Cell::tinted(Tint::Bold, &run.run),
            Cell::tinted(run_tint(&run.state), &run.state),
            if run.mock { "mock" } else { "" }.into(),
            started.into(),
            Cell::tinted(Tint::Dim, &run.dir),
        ]);
    }
    table.text(width, paint)
}

/// How a run's state is tinted.
#[must_use]
pub fn run_tint(state: &str) -> Tint {
    match state {
        "running" | "done" => Tint::Good,
        "lost" | "unknown" => Tint::Bad,
        "paused" | "starting" => Tint::Notable,
        _ => Tint::Dim,
    }
}
