//! What the GPUs were doing a moment ago: a small file beside the live streams, for people to look at.
//!
//! One watcher asks the driver and all others read; it may be lost, and nothing is decided by it.

use std::collections::BTreeMap;
use std::io;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::paths::RunDir;
use crate::os::files;

/// Most bytes of the file: hundreds of devices.
const MOST_BYTES: u64 = 256 << 10;

/// What one GPU was doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuUse {
    /// Share of the last moment in which it computed, in percent; none where the driver does not say.
    pub busy_percent: Option<u32>,
    /// Memory in use, MiB.
    pub used_mb: u64,
    /// Memory in all, MiB.
    pub total_mb: u64,
}

/// All of them, and when they were asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sampled {
    /// When.
    pub at: Timestamp,
    /// By UUID.
    pub gpus: BTreeMap<String, GpuUse>,
}

impl Sampled {
    /// The last sample; none where there is none that can be read.
    #[must_use]
    pub fn read(dir: &RunDir) -> Option<Self> {
        let bytes = files::read_capped(&dir.gpu_use(), MOST_BYTES).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Leaves a sample for others.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write(&self, dir: &RunDir) -> io::Result<()> {
        let bytes = serde_json::to_vec(self)?;
        files::write_view(&dir.gpu_use(), &bytes)
    }
}
