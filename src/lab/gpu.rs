//! GPUs: which there are, whose home each is, and the machine-wide lease on one.
//!
//! Assignment is decided on values; only inventory, leases and the look at who computes touch the
//! machine. Must not know what runs on a device.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::chart::{GpuHome, GpuRequest};
use crate::os::exec::Exec;
use crate::os::files;
use crate::os::lock::{self, Holder, Lock};

/// How long nvidia-smi may take; without a persistence daemon it wakes every card first.
const SMI_LIMIT: Duration = Duration::from_secs(30);
/// Longest line of the driver's description that is read.
const DRIVER_TEXT_CAP: u64 = 64 << 10;

/// One device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpu {
    /// Its number in bus order, as nvidia-smi counts.
    pub index: u32,
    /// Its name in the world.
    pub uuid: String,
    /// Its model, for people.
    pub name: String,
    /// Its memory in MiB.
    pub memory_mb: u64,
    /// Whether it is only pretended.
    pub simulated: bool,
}

/// What there is, and why there is not more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The devices that we may use, in the order of `CUDA_VISIBLE_DEVICES` where that is set.
    pub gpus: Vec<Gpu>,
    /// Why the list is empty or short; none when it is whole.
    pub reason: Option<String>,
}

/// Why GPUs cannot be given out as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GpuError {
    /// A chart names a device that is not there.
    #[error("{who} asks for GPU {wanted}, but there is {}", list(have))]
    Unknown {
        /// The agent, or `compute.gpus`.
        who: String,
        /// What was asked for.
        wanted: String,
        /// What there is.
        have: Vec<String>,
    },
    /// A name that fits several devices.
    #[error("{who} asks for GPU {wanted}, which fits {}", list(fits))]
    Ambiguous {
        /// The agent, or `compute.gpus`.
        who: String,
        /// What was asked for.
        wanted: String,
        /// What it may mean.
        fits: Vec<String>,
    },
    /// Two want the same one.
    #[error("GPU {gpu} is asked for by both {first} and {second}")]
    Twice {
        /// The device.
        gpu: String,
        /// Who has it.
        first: String,
        /// Who wants it too.
        second: String,
    },
    /// There are not enough.
    #[error(
        "{who} gets no GPU: {wanted} are asked for, and there is {}",
        list(have)
    )]
    TooFew {
        /// The first that goes without.
        who: String,
        /// How many are asked for in all.
        wanted: usize,
        /// What there is.
        have: Vec<String>,
    },
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

/// Asks the driver which devices there are. `visible` is the `CUDA_VISIBLE_DEVICES` that we were
/// started with; what it hides does not exist for us. `env` gives nvidia-smi its `PATH`.
#[must_use]
pub fn inventory(env: &BTreeMap<String, String>, visible: Option<&str>) -> Inventory {
    let query = [
        "--query-gpu=index,uuid,name,memory.total",
        "--format=csv,noheader,nounits",
    ];
    match ask_driver(env, &query) {
        Err(reason) => Inventory {
            gpus: Vec::new(),
            reason: Some(reason),
        },
        Ok(text) => narrow(parse_inventory(&text), visible),
    }
}

/// Pretends devices that belong to one run.
#[must_use]
pub fn simulate(run: &str, count: u32) -> Vec<Gpu> {
    let gpu = |index| Gpu {
        index,
        uuid: format!("SIM-{run}-{index}"),
        name: "simulated".to_owned(),
        memory_mb: 0,
        simulated: true,
    };
    (0..count).map(gpu).collect()
}

pub(super) fn ask_driver(env: &BTreeMap<String, String>, query: &[&str]) -> Result<String, String> {
    let said = Exec::new("nvidia-smi")
        .args(query.iter().copied())
        .envs(env.clone());
    let said = said.output(SMI_LIMIT).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "nvidia-smi is not installed".to_owned(),
        _ => format!("nvidia-smi cannot be started: {error}"),
    })?;
    if said.timed_out {
        return Err(format!(
            "nvidia-smi did not answer in {} s",
            SMI_LIMIT.as_secs()
        ));
    }
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    if said.status.success() {
        return Ok(text);
    }
    // It prints its complaints on standard output.
    let first = text
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("no reason given");
    Err(format!("nvidia-smi failed: {}", first.trim()))
}

fn parse_inventory(csv: &str) -> Vec<Gpu> {
    let line = |line: &str| {
        let mut fields = line.split(',').map(str::trim);
        Some(Gpu {
            index: fields.next()?.parse().ok()?,
            uuid: fields.next()?.to_owned(),
            name: fields.next()?.to_owned(),
            // Some cards share the host's memory and report none.
            memory_mb: fields.next()?.parse().unwrap_or(0),
            simulated: false,
        })
    };
    csv.lines().filter_map(line).collect()
}

/// What `CUDA_VISIBLE_DEVICES` leaves of the devices, in its order. As in CUDA, the first entry that
/// names none ends the list, and an empty value hides all.
fn narrow(gpus: Vec<Gpu>, visible: Option<&str>) -> Inventory {
    let Some(visible) = visible else {
        let reason = gpus
            .is_empty()
            .then(|| "nvidia-smi lists no GPU".to_owned());
        return Inventory { gpus, reason };
    };
    let mut kept: Vec<Gpu> = Vec::new();
    for entry in visible.split(',').map(str::trim) {
        match find(&gpus, entry).as_slice() {
            [gpu] if !kept.contains(gpu) => kept.push((*gpu).clone()),
            _ => break,
        }
    }
    let reason = (kept.len() < gpus.len()).then(|| format!("CUDA_VISIBLE_DEVICES is {visible:?}"));
    Inventory { gpus: kept, reason }
}

/// The devices that an index, a UUID or the beginning of one may mean.
fn find<'a>(gpus: &'a [Gpu], wanted: &str) -> Vec<&'a Gpu> {
    if let Ok(index) = wanted.parse::<u32>() {
        return gpus.iter().filter(|gpu| gpu.index == index).collect();
    }
    if let Some(exact) = gpus.iter().find(|gpu| gpu.uuid == wanted) {
        return vec![exact];
    }
    gpus.iter()
        .filter(|gpu| !wanted.is_empty() && gpu.uuid.starts_with(wanted))
        .collect()
}

fn one<'a>(gpus: &'a [Gpu], who: &str, wanted: &str) -> Result<&'a Gpu, GpuError> {
    let (who, wanted) = (who.to_owned(), wanted.to_owned());
    match find(gpus, &wanted).as_slice() {
        [gpu] => Ok(gpu),
        [] => Err(GpuError::Unknown {
            who,
            wanted,
            have: names(gpus),
        }),
        several => {
            let fits = several.iter().map(|gpu| gpu.uuid.clone()).collect();
            Err(GpuError::Ambiguous { who, wanted, fits })
        }
    }
}

fn names(gpus: &[Gpu]) -> Vec<String> {
    gpus.iter().map(|gpu| gpu.index.to_string()).collect()
}

/// The devices that a chart's `compute.gpus` asks for, out of those that there are.
pub fn select(request: &GpuRequest, inventory: &[Gpu]) -> Result<Vec<Gpu>, GpuError> {
    const WHO: &str = "compute.gpus";
    let wanted: Vec<String> = match request {
        GpuRequest::Auto => return Ok(inventory.to_vec()),
        GpuRequest::Simulate(count) => {
            let count = *count as usize;
            return inventory
                .get(..count)
                .map(<[Gpu]>::to_vec)
                .ok_or_else(|| GpuError::TooFew {
                    who: WHO.to_owned(),
                    wanted: count,
                    have: names(inventory),
                });
        }
        GpuRequest::Indices(indices) => indices.iter().map(u32::to_string).collect(),
        GpuRequest::Uuids(uuids) => uuids.clone(),
    };
    let mut chosen: Vec<Gpu> = Vec::new();
    for wanted in &wanted {
        let gpu = one(inventory, WHO, wanted)?;
        if chosen.contains(gpu) {
            return Err(GpuError::Twice {
                gpu: gpu.index.to_string(),
                first: WHO.to_owned(),
                second: WHO.to_owned(),
            });
        }
        chosen.push(gpu.clone());
    }
    Ok(chosen)
}

/// Gives every agent that wants one a device of its own: those named first, then the free ones in
/// order. Agents without a GPU are not in the answer.
pub fn assign(
    request: &GpuRequest,
    homes: &[(String, GpuHome)],
    inventory: &[Gpu],
) -> Result<BTreeMap<String, Gpu>, GpuError> {
    let gpus = select(request, inventory)?;
    let mut homed: BTreeMap<String, Gpu> = BTreeMap::new();
    for (agent, home) in homes {
        let wanted = match home {
            GpuHome::None | GpuHome::Auto => continue,
            GpuHome::Index(index) => index.to_string(),
            GpuHome::Uuid(uuid) => uuid.clone(),
        };
        let gpu = one(&gpus, agent, &wanted)?;
        if let Some((first, _)) = homed.iter().find(|(_, taken)| *taken == gpu) {
            let (gpu, first, second) = (gpu.index.to_string(), first.clone(), agent.clone());
            return Err(GpuError::Twice { gpu, first, second });
        }
        homed.insert(agent.clone(), gpu.clone());
    }
    let wanted = homes
        .iter()
        .filter(|(_, home)| *home != GpuHome::None)
        .count();
    let taken: Vec<Gpu> = homed.values().cloned().collect();
    let mut free = gpus.iter().filter(|gpu| !taken.contains(gpu));
    for (agent, _) in homes.iter().filter(|(_, home)| *home == GpuHome::Auto) {
        let gpu = free.next().ok_or_else(|| GpuError::TooFew {
            who: agent.clone(),
            wanted,
            have: names(&gpus),
        })?;
        homed.insert(agent.clone(), gpu.clone());
    }
    Ok(homed)
}

/// The variables that show a program these devices and no others. Indices in bus order rather than
/// UUIDs: every framework understands them.
#[must_use]
pub fn env(gpus: &[Gpu]) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("CUDA_VISIBLE_DEVICES".to_owned(), names(gpus).join(",")),
        ("CUDA_DEVICE_ORDER".to_owned(), "PCI_BUS_ID".to_owned()),
    ])
}

/// The device nodes that a program needs for these devices. Empty for pretended ones.
#[must_use]
pub fn device_nodes(gpus: &[Gpu]) -> Vec<PathBuf> {
    let real: Vec<&Gpu> = gpus.iter().filter(|gpu| !gpu.simulated).collect();
    if real.is_empty() {
        return Vec::new();
    }
    let minors = driver_minors(Path::new("/proc/driver/nvidia/gpus"));
    let shared = [
        "nvidiactl",
        "nvidia-uvm",
        "nvidia-uvm-tools",
        "nvidia-modeset",
        "nvidia-caps",
    ];
    // Where the driver does not tell minors, they are the indices.
    let own = real
        .iter()
        .map(|gpu| minors.get(&gpu.uuid).copied().unwrap_or(gpu.index));
    let own = own.map(|minor| format!("nvidia{minor}"));
    own.chain(shared.map(str::to_owned))
        .map(|name| Path::new("/dev").join(name))
        .collect()
}

fn driver_minors(dir: &Path) -> BTreeMap<String, u32> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return BTreeMap::new();
    };
    let minor = |entry: std::fs::DirEntry| {
        let text = files::read_capped(&entry.path().join("information"), DRIVER_TEXT_CAP).ok()?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let field = |name: &str| {
            text.lines()
                .filter_map(|line| line.split_once(':'))
                .find_map(|(key, value)| (key.trim() == name).then(|| value.trim().to_owned()))
        };
        Some((field("GPU UUID")?, field("Device Minor")?.parse().ok()?))
    };
    entries.flatten().filter_map(minor).collect()
}

/// The processes that compute on a device now, ours or not.
pub fn busy_pids(env: &BTreeMap<String, String>, uuid: &str) -> Result<Vec<u32>, String> {
    let query = [
        "--query-compute-apps=gpu_uuid,pid",
        "--format=csv,noheader,nounits",
    ];
    Ok(parse_busy(&ask_driver(env, &query)?, uuid))
}

fn parse_busy(csv: &str, uuid: &str) -> Vec<u32> {
    let rows = csv.lines().filter_map(|line| line.split_once(','));
    rows.filter(|(gpu, _)| gpu.trim() == uuid)
        .filter_map(|(_, pid)| pid.trim().parse().ok())
        .collect()
}

/// A device that nobody else on this machine gets while this value lives.
#[derive(Debug)]
pub struct Lease {
    /// Which device.
    pub uuid: String,
    _lock: Lock,
}

/// Why a device could not be leased.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Somebody has it.
    #[error("GPU {uuid} is leased by {}", holder.map_or_else(|| "another process".to_owned(), |it| format!("pid {}", it.pid)))]
    Busy {
        /// Which device.
        uuid: String,
        /// Who has it.
        holder: Option<Holder>,
    },
    /// Not the name of a device.
    #[error("{0:?} is not the UUID of a GPU")]
    Name(String),
    /// The lease file could not be used.
    #[error("lease GPU {uuid} in {}", dir.display())]
    Io {
        /// Which device.
        uuid: String,
        /// The directory of leases.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Leases a device, in a directory that all of a user's runs share.
pub fn lease(dir: &Path, uuid: &str) -> Result<Lease, LeaseError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if uuid.is_empty() || !uuid.bytes().all(plain) {
        return Err(LeaseError::Name(uuid.to_owned()));
    }
    let path = dir.join(format!("{uuid}.lock"));
    let taken = files::create_private_dir(dir).and_then(|()| Lock::try_take(&path));
    let taken = taken.map_err(|source| LeaseError::Io {
        uuid: uuid.to_owned(),
        dir: dir.to_owned(),
        source,
    })?;
    let busy = || LeaseError::Busy {
        uuid: uuid.to_owned(),
        holder: lock::holder(&path),
    };
    Ok(Lease {
        uuid: uuid.to_owned(),
        _lock: taken.ok_or_else(busy)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: &str = "0, GPU-aa11, NVIDIA H100 80GB HBM3, 81559\n\
        1, GPU-aa22, NVIDIA H100 80GB HBM3, 81559\n2, GPU-bb33, NVIDIA GB10, [N/A]\n";

    type Row<'a> = (
        GpuRequest,
        &'a [(&'a str, GpuHome)],
        Result<Vec<u32>, &'a str>,
    );

    fn homes(homes: &[(&str, GpuHome)]) -> Vec<(String, GpuHome)> {
        homes
            .iter()
            .map(|(agent, home)| ((*agent).to_owned(), home.clone()))
            .collect()
    }

    #[test]
    fn the_drivers_list_is_read_and_narrowed() {
        let all = parse_inventory(CSV);
        assert_eq!(
            (all.len(), all[2].memory_mb, all[0].memory_mb),
            (3, 0, 81_559)
        );
        for (visible, expected) in [
            (None, vec![0, 1, 2]),
            (Some("1,0"), vec![1, 0]),
            (Some("GPU-bb,GPU-aa22"), vec![2, 1]),
            (Some(""), vec![]),
            (Some("2,-1,0"), vec![2]),
            (Some("0,0,1"), vec![0]),
            (Some("GPU-aa"), vec![]),
        ] {
            let kept = narrow(all.clone(), visible);
            let indices: Vec<u32> = kept.gpus.iter().map(|gpu| gpu.index).collect();
            assert_eq!(indices, expected, "{visible:?}");
            assert_eq!(kept.reason.is_some(), expected.len() < 3, "{visible:?}");
        }
        assert!(narrow(Vec::new(), None).reason.is_some());
        let none = inventory(&BTreeMap::from([("PATH".into(), "/nowhere".into())]), None);
        assert_eq!(none.reason.as_deref(), Some("nvidia-smi is not installed"));
    }

    #[test]
    fn homes_are_given_out_or_refused_by_name() {
        use GpuHome::{Auto, Index, None, Uuid};
        let all = parse_inventory(CSV);
        let given = |request: GpuRequest, wanted: &[(&str, GpuHome)]| {
            assign(&request, &homes(wanted), &all)
                .map(|homed| homed.values().map(|gpu| gpu.index).collect::<Vec<_>>())
                .map_err(|error| error.to_string())
        };
        let auto = GpuRequest::Auto;
        let table: [Row; 10] = [
            (
                auto.clone(),
                &[("a", Auto), ("b", Index(0)), ("chief", None)],
                Ok(vec![1, 0]),
            ),
            (
                auto.clone(),
                &[("a", Uuid("GPU-bb".into())), ("b", Auto)],
                Ok(vec![2, 0]),
            ),
            (
                GpuRequest::Indices(vec![2, 1]),
                &[("a", Auto), ("b", Auto)],
                Ok(vec![2, 1]),
            ),
            (
                GpuRequest::Uuids(vec!["GPU-aa22".into()]),
                &[("a", Auto)],
                Ok(vec![1]),
            ),
            (
                auto.clone(),
                &[("a", Index(1)), ("b", Index(1))],
                Err("GPU 1 is asked for by both a and b"),
            ),
            (
                auto.clone(),
                &[("a", Index(1)), ("b", Uuid("GPU-aa22".into()))],
                Err("GPU 1 is asked for by both a and b"),
            ),
            (
                auto.clone(),
                &[("a", Index(7))],
                Err("a asks for GPU 7, but there is 0, 1, 2"),
            ),
            (
                auto,
                &[("a", Uuid("GPU-aa".into()))],
                Err("a asks for GPU GPU-aa, which fits GPU-aa11, GPU-aa22"),
            ),
            (
                GpuRequest::Indices(vec![0]),
                &[("a", Auto), ("b", Auto)],
                Err("b gets no GPU: 2 are asked for, and there is 0"),
            ),
            (
                GpuRequest::Indices(vec![9]),
                &[],
                Err("compute.gpus asks for GPU 9, but there is 0, 1, 2"),
            ),
        ];
        for (request, wanted, expected) in table {
            assert_eq!(
                given(request, wanted),
                expected.map_err(str::to_owned),
                "{wanted:?}"
            );
        }
        let pretended = simulate("r1", 2);
        let homed = assign(&GpuRequest::Simulate(2), &homes(&[("a", Auto)]), &pretended).unwrap();
        assert_eq!(homed["a"].uuid, "SIM-r1-0");
        assert!(select(&GpuRequest::Simulate(3), &pretended).is_err());
        assert_eq!(env(&pretended)["CUDA_VISIBLE_DEVICES"], "0,1");
        assert!(device_nodes(&pretended).is_empty());
    }

    #[test]
    fn nodes_follow_the_drivers_minors() {
        let dir = tempfile::tempdir().unwrap();
        let card = dir.path().join("0000:01:00.0");
        files::create_private_dir(&card).unwrap();
        let text = b"Model: \t NVIDIA H100\nGPU UUID: \t GPU-aa22\nDevice Minor: \t 5\n";
        files::write_view(&card.join("information"), text).unwrap();
        assert_eq!(
            driver_minors(dir.path()),
            BTreeMap::from([("GPU-aa22".to_owned(), 5)])
        );
        assert!(device_nodes(&parse_inventory(CSV)[..1]).contains(&PathBuf::from("/dev/nvidia0")));
        assert_eq!(
            parse_busy("GPU-aa, 12\nGPU-bb, 13\nGPU-aa, [N/A]\n", "GPU-aa"),
            [12]
        );
    }

    #[test]
    fn a_device_is_leased_to_one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("org/gpus");
        let held = lease(&dir, "GPU-aa11").unwrap();
        let error = lease(&dir, "GPU-aa11").unwrap_err().to_string();
        assert!(
            error.contains(&format!("pid {}", std::process::id())),
            "{error}"
        );
        assert!(lease(&dir, "GPU-aa22").is_ok());
        drop(held);
        assert!(lease(&dir, "GPU-aa11").is_ok());
        assert!(matches!(lease(&dir, "../x"), Err(LeaseError::Name(_))));
    }
}
