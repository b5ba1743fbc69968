//! The tables that a run keeps beside its log while it goes on, so that whoever watches results.tsv sees
//! each result as it comes.
//!
//! Owns when they are written anew: where something was measured or decided since. Must not know what
//! stands in them; a table that cannot be written holds nothing up, since it is made anew from the log.

use std::io;

use crate::domain::chart::Chart;
use crate::domain::event::Kind;
use crate::domain::state::State;
use crate::run::paths::RunDir;

/// What writes them.
pub(super) type Write = fn(&RunDir, &Chart, &State) -> io::Result<()>;

/// The tables of a run.
pub(super) struct Kept {
    write: Write,
    stale: bool,
}

impl Kept {
    /// Written by this, first when somebody asks.
    pub(super) fn by(write: Write) -> Self {
        Self { write, stale: true }
    }

    /// Takes note of what happened.
    pub(super) fn see(&mut self, happened: &Kind) {
        self.stale |= matches!(
            happened,
            Kind::ExperimentFinished { .. }
                | Kind::HypothesisRegistered { .. }
                | Kind::HypothesisRejected { .. }
                | Kind::HypothesisMoved { .. }
                | Kind::ProgrammeAdvanced { .. }
        );
    }

    /// Writes them anew where they are old.
    pub(super) fn refresh(&mut self, dir: &RunDir, chart: &Chart, state: &State) {
        if !std::mem::take(&mut self.stale) {
            return;
        }
        if let Err(error) = (self.write)(dir, chart, state) {
            tracing::warn!(%error, "the tables of results cannot be written");
        }
    }
}
