//! What goes on on the devices of a run: whether it is alone on them, how busy they are, and how much
//! of their memory it takes.
//!
//! Asked of the driver now and then while a run has devices that are there. Must not know what a
//! stranger on a device means for a run.

use std::collections::{BTreeMap, BTreeSet};

use super::gpu::ask_driver;

/// What was seen of a run's devices at one look.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// Processes that compute on one of them and are not the run's.
    pub strangers: BTreeSet<u32>,
    /// Mean of their utilisation, per cent.
    pub utilisation: Option<f64>,
    /// Memory that the run's processes hold on all of them, MiB.
    pub memory_mb: Option<f64>,
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
    }
}
