//! What is so about devices beside their leases: which are not given to measured runs for now, and whether
//! the machine is another than it was.
//!
//! Must not know how a device is looked at.

use jiff::Timestamp;

use super::State;
use crate::domain::event::Gpu;

/// What is said of a device that went away: nobody gives it back by ending something.
pub const GONE: &str = "the driver does not list it any more";

/// A device that measured runs do not get for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Barred {
    /// Which.
    pub gpu: Gpu,
    /// Since when.
    pub since: Timestamp,
    /// What was seen of it.
    pub why: String,
}

/// What measured runs run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its processors and devices, in words.
    pub what: String,
    /// Since when, where it was another before.
    pub since: Option<Timestamp>,
}

impl State {
    /// Notes what the machine is; another than before is another from now on.
    pub(super) fn machine_seen(&mut self, at: Timestamp, what: &str) {
        let before = self.machine.take();
        let since = match &before {
            Some(before) if before.what == what => before.since,
            Some(_) => Some(at),
            None => None,
        };
        let what = what.to_owned();
        self.machine = Some(Machine { what, since });
    }

    /// Bars a device, or lets it be leased again. It is barred since it first was, for whatever reason.
    pub(super) fn bar(&mut self, at: Timestamp, gpu: &Gpu, why: Option<&str>) {
        let before = self.barred.remove(&gpu.uuid);
        if let Some(why) = why {
            let barred = Barred {
                gpu: gpu.clone(),
                since: before.map_or(at, |it| it.since),
                why: why.to_owned(),
            };
            self.barred.insert(gpu.uuid.clone(), barred);
        }
    }
}
