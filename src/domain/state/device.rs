//! What is so about devices beside their leases: which are not given to measured runs for now.
//!
//! Must not know how a device is looked at.

use jiff::Timestamp;

use super::State;
use crate::domain::event::Gpu;

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

impl State {
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
