//! Freezing what runs, as a person wants it: measured runs one by one, with a word in the log once they
//! were seen to stand still; agents' commands all at once.
//!
//! The keepers stop and continue the processes, and measure for how long, so a supervisor that is killed
//! loses nothing: the next one finds what is wanted in the log, says it again, and looks. Must not know
//! what a frozen run is worth.

use std::time::Duration;

use crate::domain::event::{Actor, Kind};
use crate::domain::freeze;
use crate::run::log::LogError;

use super::supervise::{Report, Supervisor};
use super::task;

/// Between two looks at processes that were told to stand still.
const LOOK: Duration = Duration::from_millis(50);
/// Looks before it is decided anew: a run that is still being prepared has no process to look at.
const LOOKS: u32 = 40;

impl Supervisor {
    /// Has a run's processes stand still, or go on, and reports when they do.
    pub(super) fn freeze(&mut self, id: u64, still: bool) {
        let Some(order) = self.orders.get(&id).cloned() else {
            return;
        };
        if !self.freezing.insert(id) {
            return;
        }
        let report = self.report.clone();
        task::start(async move {
            let mut seen = order.freeze(still);
            for _ in 0..LOOKS {
                if seen {
                    break;
                }
                tokio::time::sleep(LOOK).await;
                seen = order.freeze(still);
            }
            let attempt = order.attempt;
            let frozen = Report::Frozen {
                id,
                attempt,
                still,
                seen,
            };
            report.send(frozen).ok();
        });
    }

    /// Writes down what was seen of it.
    pub(super) fn frozen(
        &mut self,
        id: u64,
        attempt: u32,
        still: bool,
        seen: bool,
    ) -> Result<(), LogError> {
        self.freezing.remove(&id);
        if !seen {
            return Ok(());
        }
        let kind = if still {
            Kind::ExperimentFrozen { id, attempt }
        } else {
            Kind::ExperimentThawed { id, attempt }
        };
        self.log.append(&Actor::Lab, vec![kind])
    }

    /// Has the commands of agents stand still, or go on. Said again at every event while it is wanted:
    /// what was started meanwhile has not heard it.
    pub(super) fn freeze_commands(&mut self) {
        for agent in &self.chart.agents {
            let name = agent.name.as_str();
            let wanted = freeze::wanted_of(self.log.state(), name);
            if wanted {
                crate::tool::freeze_jobs(&self.dir, name, true);
                self.still.insert(name.to_owned());
            } else if self.still.remove(name) {
                crate::tool::freeze_jobs(&self.dir, name, false);
            }
        }
    }
}
