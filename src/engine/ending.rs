//! The end of a run: what is left of it is ended in order, and then it is said to have stopped.
//!
//! Owns that order: agents' jobs, notices, the mock, the office, and last the word of it. Must not decide
//! that a run ends.

use std::time::Duration;

use crate::domain::event::{Actor, Kind};
use crate::os::process;

use super::seats;
use super::supervise::{SuperviseError, Supervisor};

impl Supervisor {
    /// Everything of the run has ended: closes the office, ends the mock, and says so.
    pub(super) async fn close(&mut self) -> Result<(), SuperviseError> {
        let agents = self.chart.agents.iter();
        let ending: Vec<_> = agents
            .map(|agent| crate::tool::end_jobs(&self.dir, &agent.name))
            .collect();
        for end in ending {
            end.await;
        }
        self.end_notices().await;
        if let Some(holder) = crate::os::lock::holder(&self.dir.lock("mock"))
            && let Ok(watch) = process::Watch::open(holder.pid, Some(holder.start))
        {
            watch.signal(rustix::process::Signal::TERM);
            if tokio::time::timeout(Duration::from_secs(5), watch.ended())
                .await
                .is_err()
            {
                watch.signal(rustix::process::Signal::KILL);
            }
        }
        // Whether the log knows of an office or not: whoever built one may have been killed before it said so.
        if !self.state().headless
            && let Ok(office) = seats::office(&self.dir, &self.clean)
            && let Err(error) = office.close().await
        {
            tracing::warn!(%error, "the office did not close");
        }
        Ok(self
            .log
            .append(&Actor::Supervisor, vec![Kind::RunStopped {}])?)
    }
}
