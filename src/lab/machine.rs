//! What the machine is that measured runs run on: numbers from another one are not of the same world.
//!
//! Must not know what that means for a baseline.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::gpu::ask_driver;
use crate::os::files;

/// Most of `/proc/cpuinfo` that is read: the first processor stands for all.
const CPUINFO: u64 = 1 << 20;

/// Its processors, and its devices where it is asked for them, in a line that is the same for as long as it
/// is the same machine.
#[must_use]
pub fn describe(env: &BTreeMap<String, String>, devices: bool) -> String {
    let text = files::read_capped(Path::new("/proc/cpuinfo"), CPUINFO).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let model = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find_map(|(key, value)| (key.trim() == "model name").then(|| value.trim().to_owned()));
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let model = model.unwrap_or_else(|| "processors".to_owned());
    let mut all = vec![format!("{processors} x {model}")];
    if devices {
        let query = ["--query-gpu=name,driver_version", "--format=csv,noheader"];
        let said = ask_driver(env, &query).unwrap_or_default();
        let cards: BTreeSet<String> = said.lines().map(|line| line.trim().to_owned()).collect();
        all.extend(cards.into_iter().filter(|card| !card.is_empty()));
    }
    all.join("; ")
}
