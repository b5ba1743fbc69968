//! What the GPUs are doing, by the driver's word. For people; nothing is decided by it.

use std::collections::BTreeMap;

use super::gpu;

/// One device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// Its UUID.
    pub uuid: String,
    /// Share of the last moment in which it computed, in percent; none where the driver does not say.
    pub busy_percent: Option<u32>,
    /// Memory in use, MiB.
    pub used_mb: u64,
    /// Memory in all, MiB.
    pub total_mb: u64,
}

/// Asks the driver about every device. `env` gives nvidia-smi its `PATH`. Blocks for as long as the
/// driver takes.
///
/// # Errors
/// The driver's own words, where it has no answer.
pub fn ask(env: &BTreeMap<String, String>) -> Result<Vec<Use>, String> {
    let query = [
        "--query-gpu=uuid,utilization.gpu,memory.used,memory.total",
        "--format=csv,noheader,nounits",
    ];
    Ok(parse(&gpu::ask_driver(env, &query)?))
}

/// Reads what was asked for; a device that does not say what memory it has shares the host's.
fn parse(csv: &str) -> Vec<Use> {
    let line = |line: &str| {
        let mut fields = line.split(',').map(str::trim);
        Some(Use {
            uuid: fields.next().filter(|uuid| !uuid.is_empty())?.to_owned(),
            busy_percent: fields.next()?.parse().ok(),
            used_mb: fields.next()?.parse().unwrap_or(0),
            total_mb: fields.next()?.parse().unwrap_or(0),
        })
    };
    csv.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_driver_does_not_say_is_not_known() {
        let csv = "GPU-1, 87, 61000, 81559\nGPU-2, [N/A], [N/A], [N/A]\n\n";
        let found = parse(csv);
        assert_eq!(found.len(), 2);
        assert_eq!(
            (found[0].busy_percent, found[0].used_mb),
            (Some(87), 61_000)
        );
        assert_eq!((found[1].busy_percent, found[1].total_mb), (None, 0));
    }
}
