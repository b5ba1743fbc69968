//! Devices are looked at before a run gets them: a run that would share one with a stranger stays in
//! the queue, and so does one whose device is gone.
//!
//! What was seen is written down, so that the queue goes on without that device, and is looked at again
//! for as long as somebody waits. Must not know which run goes first, or what a stranger does.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::event::{Actor, Gpu, Kind, RunStatus};
use crate::domain::lease::{self, Grant};
use crate::domain::state::State;
use crate::lab::devices::{self, Trouble};
use crate::lab::machine;
use crate::os::clock;
use crate::run::log::LogError;

use super::supervise::{Report, Supervisor};

/// Between two looks at devices that are barred: the driver is asked by a program of its own.
const LOOK: Duration = Duration::from_secs(5);

/// What was seen of some devices.
#[derive(Debug)]
pub(super) struct Looked {
    gpus: Vec<Gpu>,
    /// What speaks against each, by UUID; an error where the driver does not answer.
    trouble: Result<BTreeMap<String, Trouble>, String>,
    /// The run that is to start on them.
    grant: Option<Grant>,
}

impl Supervisor {
    /// Writes down what the machine is, where that is new.
    pub(super) fn note_machine(&mut self) -> Result<(), LogError> {
        let real = self.state().gpus.iter().any(|gpu| !gpu.simulated);
        let what = machine::describe(&self.clean, real);
        if self
            .state()
            .machine
            .as_ref()
            .is_some_and(|it| it.what == what)
        {
            return Ok(());
        }
        self.log
            .append(&Actor::Lab, vec![Kind::MachineSeen { what }])
    }

    /// Starts a run on devices on which nobody else computes.
    pub(super) fn launch(&mut self, grant: Grant) -> Result<(), LogError> {
        if grant.gpus.iter().all(|gpu| gpu.simulated) {
            return self.start_run(&grant);
        }
        let gpus = grant.gpus.clone();
        if gpus.iter().all(|gpu| !self.looking.contains(&gpu.uuid)) {
            self.look_at(gpus, Some(grant));
        }
        Ok(())
    }

    fn look_at(&mut self, gpus: Vec<Gpu>, grant: Option<Grant>) {
        let uuids: Vec<String> = gpus.iter().map(|gpu| gpu.uuid.clone()).collect();
        self.looking.extend(uuids.iter().cloned());
        let (clean, report) = (self.clean.clone(), self.report.clone());
        tokio::task::spawn_blocking(move || {
            let trouble = devices::trouble(&clean, &uuids);
            let looked = Looked {
                gpus,
                trouble,
                grant,
            };
            report.send(Report::Devices(looked)).ok();
        });
    }

    /// Writes down what has changed, and starts the run that was waiting for the look.
    pub(super) fn devices_seen(&mut self, looked: Looked) -> Result<(), LogError> {
        for gpu in &looked.gpus {
            self.looking.remove(&gpu.uuid);
        }
        if let Err(error) = &looked.trouble {
            tracing::warn!(error, "nothing is known of the devices");
        }
        // A driver that does not answer is no finding against a device, nor for one.
        let known = looked.trouble.as_ref().ok();
        let mut kinds = Vec::new();
        for gpu in &looked.gpus {
            let before = self.state().barred.get(&gpu.uuid).map(|it| it.why.clone());
            let why = known.map_or_else(
                || before.clone(),
                |it| it.get(&gpu.uuid).map(Trouble::to_string),
            );
            if why != before {
                let gpu = gpu.clone();
                kinds.push(Kind::DeviceBarred { gpu, why });
            }
        }
        if !kinds.is_empty() {
            self.log.append(&Actor::Lab, kinds)?;
        }
        match looked.grant {
            Some(grant) if self.still_due(&grant) => self.start_run(&grant),
            _ => Ok(()),
        }
    }

    /// Whether a run is still the one to start on these devices: meanwhile others may have.
    fn still_due(&self, grant: &Grant) -> bool {
        let grants = lease::grants(&self.chart, self.state(), clock::now());
        self.state().down.is_none() && grants.contains(grant)
    }

    /// Looks at barred devices again, while a run is queued that could have them.
    pub(super) fn watch_devices(&mut self) -> Option<Duration> {
        let waits = |state: &State| {
            let mut runs = state.experiments.values();
            runs.any(|run| run.status == RunStatus::Queued) && state.down.is_none()
        };
        if self.state().barred.is_empty() || !waits(self.state()) {
            return None;
        }
        let now = clock::monotonic();
        let since = self.devices.map(|at| now.duration_since(at));
        if let Some(wait) = since.and_then(|since| LOOK.checked_sub(since)) {
            return Some(wait);
        }
        self.devices = Some(now);
        let barred = self.state().barred.values().map(|it| it.gpu.clone());
        let due: Vec<Gpu> = barred
            .filter(|gpu| !self.looking.contains(&gpu.uuid))
            .collect();
        if !due.is_empty() {
            self.look_at(due, None);
        }
        Some(LOOK)
    }
}
