//! What goes on on the devices of a run: whether it is alone on them, how busy they are, and how much
//! of their memory it takes.
//!
//! Asked of the driver now and then while a run has devices that are there. Must not know what a
//! stranger on a device means for a run.

use std::collections::{BTreeMap, BTreeSet};

use super::gpu::ask_driver;
use crate::domain::state::GONE;

/// What was seen of a run's devices at one look.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// Processes that compute on one of them and are not the run's.
    pub strangers: BTreeSet<u32>,
    /// Mean of their utilisation, per cent.
    pub utilisation: Option<f64>,
    /// Memory that the run's processes hold on all of them, MiB.
    pub memory_mb: Option<f64>,
    /// The first of them that the driver does not list any more.
    pub gone: Option<String>,
}

/// Asks the driver about some devices. `own` are the run's processes.
///
/// # Errors
/// Where the driver does not answer; then nothing is known, which is no finding.
pub fn look(
    env: &BTreeMap<String, String>,
    uuids: &[String],
    own: &BTreeSet<u32>,
) -> Result<Seen, String> {
    let apps = [
        "--query-compute-apps=gpu_uuid,pid,used_memory",
        "--format=csv,noheader,nounits",
    ];
    let load = [
        "--query-gpu=uuid,utilization.gpu",
        "--format=csv,noheader,nounits",
    ];
    let apps = ask_driver(env, &apps)?;
    let load = ask_driver(env, &load).unwrap_or_default();
    Ok(read(&apps, &load, uuids, own))
}

/// What speaks against a run on a device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The driver does not list it any more.
    #[error("{GONE}")]
    Gone,
    /// Processes that compute there already.
    #[error("others compute on it: pid {0}")]
    Taken(String),
}

/// What speaks against a run on each of some devices: processes that compute there already, or that the
/// driver does not list it any more. Nothing is said of a device that nothing speaks against.
///
/// # Errors
/// Where the driver does not answer; then nothing is known.
pub fn trouble(
    env: &BTreeMap<String, String>,
    uuids: &[String],
) -> Result<BTreeMap<String, Trouble>, String> {
    let apps = [
        "--query-compute-apps=gpu_uuid,pid",
        "--format=csv,noheader,nounits",
    ];
    let list = ["--query-gpu=index,uuid", "--format=csv,noheader,nounits"];
    let (apps, list) = (ask_driver(env, &apps)?, ask_driver(env, &list)?);
    Ok(against(&apps, &list, uuids))
}

fn against(apps: &str, list: &str, uuids: &[String]) -> BTreeMap<String, Trouble> {
    let mut seen = BTreeMap::new();
    let has = |line: &str, uuid: &str| line.split(',').any(|field| field.trim() == uuid);
    for uuid in uuids {
        let one = std::slice::from_ref(uuid);
        let pids: Vec<String> = read(apps, "", one, &BTreeSet::new())
            .strangers
            .iter()
            .map(u32::to_string)
            .collect();
        if !list.trim().is_empty() && !list.lines().any(|line| has(line, uuid)) {
            seen.insert(uuid.clone(), Trouble::Gone);
        } else if !pids.is_empty() {
            seen.insert(uuid.clone(), Trouble::Taken(pids.join(", ")));
        }
    }
    seen
}

fn read(apps: &str, load: &str, uuids: &[String], own: &BTreeSet<u32>) -> Seen {
    let mut seen = Seen::default();
    let ours = |uuid: &str| uuids.iter().any(|one| one == uuid.trim());
    let mut memory = Vec::new();
    for line in apps.lines() {
        let mut fields = line.split(',').map(str::trim);
        let (Some(uuid), Some(pid)) = (fields.next(), fields.next()) else {
            continue;
        };
        let Some(pid) = pid.parse::<u32>().ok().filter(|_| ours(uuid)) else {
            continue;
        };
        if own.contains(&pid) {
            memory.extend(fields.next().and_then(|it| it.parse::<f64>().ok()));
        } else {
            seen.strangers.insert(pid);
        }
    }
    let busy = load.lines().filter_map(|line| line.split_once(','));
    // A driver that lists nothing has said nothing.
    if busy.clone().next().is_some() {
        let listed = |uuid: &&String| busy.clone().any(|(it, _)| it.trim() == **uuid);
        seen.gone = uuids.iter().find(|uuid| !listed(uuid)).cloned();
    }
    let busy = busy.filter(|(uuid, _)| ours(uuid));
    let busy: Vec<f64> = busy.filter_map(|(_, it)| it.trim().parse().ok()).collect();
    seen.utilisation = (!busy.is_empty()).then(|| busy.iter().sum::<f64>() / busy.len() as f64);
    seen.memory_mb = (!memory.is_empty()).then(|| memory.iter().sum());
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_is_told_from_ones_own() {
        let apps =
            "GPU-a, 10, 512\nGPU-a, 11, 256\nGPU-a, 99, 8000\nGPU-b, 77, 1\nGPU-a, [N/A], 1\n";
        let load = "GPU-a, 80\nGPU-b, 3\n";
        let own = BTreeSet::from([10, 11]);
        let seen = read(apps, load, &["GPU-a".to_owned()], &own);
        assert_eq!(seen.strangers, BTreeSet::from([99]));
        assert_eq!(
            (seen.utilisation, seen.memory_mb),
            (Some(80.0), Some(768.0))
        );
        assert_eq!(read("", "", &["GPU-a".to_owned()], &own), Seen::default());
        assert_eq!(seen.gone, None);
        let seen = read("", load, &["GPU-a".to_owned(), "GPU-c".to_owned()], &own);
        assert_eq!(seen.gone.as_deref(), Some("GPU-c"));
    }

    #[test]
    fn what_speaks_against_a_device_is_said_of_it_alone() {
        let all = ["GPU-a", "GPU-b", "GPU-c"].map(str::to_owned);
        let seen = against("GPU-a, 7\n", "0, GPU-a\n1, GPU-b\n", &all);
        assert_eq!(seen.len(), 2, "{seen:?}");
        assert_eq!(seen["GPU-a"], Trouble::Taken("7".to_owned()));
        assert_eq!(seen["GPU-c"], Trouble::Gone);
        // A driver that lists nothing has said nothing.
        assert_eq!(against("", "", &all), BTreeMap::new());
    }
}
