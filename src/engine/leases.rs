//! Machine-wide leases of GPUs, held by the supervisor for as long as its run lives.
//!
//! Pretended GPUs belong to their run and are leased to nobody. `up` asks before it creates anything,
//! the supervisor holds; in between another run may be faster, and then the later one says so.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::domain::event::Gpu;
use crate::lab::gpu::{self, Lease, LeaseError};

/// Where all of a user's runs on this machine meet.
fn dir(clean: &BTreeMap<String, String>) -> PathBuf {
    match clean.get("XDG_RUNTIME_DIR") {
        Some(runtime) => PathBuf::from(runtime).join("org-gpus"),
        None => {
            let user = rustix::process::getuid().as_raw();
            std::env::temp_dir().join(format!("org-gpus-{user}"))
        }
    }
}

/// Takes the leases of all real devices.
///
/// # Errors
/// The first that somebody else has.
pub(super) fn take(
    clean: &BTreeMap<String, String>,
    gpus: &[Gpu],
) -> Result<Vec<Lease>, LeaseError> {
    let dir = dir(clean);
    let real = gpus.iter().filter(|gpu| !gpu.simulated);
    real.map(|gpu| gpu::lease(&dir, &gpu.uuid)).collect()
}
