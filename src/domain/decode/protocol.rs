//! `[protocol]`, `[compute]`, `[budget]`, `[office]`: rules, places and caps.
//!
//! Owns the reading of these tables. Must not know the task or the org.

use std::collections::BTreeMap;

use toml::de::DeValue;

use super::item::Item;
use super::sheet::Sheet;
use super::table::Table;
use super::units;
use crate::domain::chart::{
    Ask, Axis, Budget, Chart, Compute, Confirm, GpuRequest, Office, Protocol,
};
use crate::domain::keys::{GPUS_MAX, MEASURES};
use crate::domain::suggest::{meant, quoted};

/// Largest ratio of a guard: what may cost a thousand times as much is not guarded.
const RATIO_MAX: f64 = 1000.0;

pub(super) fn protocol(sheet: &mut Sheet<'_>, root: &mut Table<'_>) -> Protocol {
    let mut table = root.table(sheet, "protocol", "protocol");
    let protocol = Protocol {
        matched: table
            .word(sheet, "match")
            .and_then(Axis::parse)
            .unwrap_or(Axis::Wall),
        tolerance: table.real(sheet, "tolerance").unwrap_or(0.02),
        guards: guards(sheet, &mut table),
        baseline: table
            .take(sheet, "baseline")
            .and_then(|item| item.count(sheet))
            .unwrap_or(6),
        confirm: match table.take(sheet, "confirm") {
            Some(item) if !item.is_auto() => {
                item.count(sheet).map_or(Confirm::Auto, Confirm::Seeds)
            }
            _ => Confirm::Auto,
        },
        alpha: table.real(sheet, "alpha").unwrap_or(0.01),
        margin: table.real(sheet, "margin"),
        notice: notice(sheet, &mut table),
    };
    table.finish(sheet);
    protocol
}

/// The matched axis where the chart names none: FLOPs where they are measured.
pub(super) fn default_axis(mut chart: Chart, given: bool) -> Chart {
    if !given && chart.task.measure.flops.is_some() {
        chart.protocol.matched = Axis::Flops;
    }
    chart
}

fn notice(sheet: &mut Sheet<'_>, table: &mut Table<'_>) -> f64 {
    let Some(item) = table.take(sheet, "notice") else {
        return 0.0;
    };
    item.seconds(sheet).unwrap_or(0.0)
}

fn guards(sheet: &mut Sheet<'_>, table: &mut Table<'_>) -> BTreeMap<String, f64> {
    let mut guards = BTreeMap::new();
    let entries = table
        .take(sheet, "guards")
        .and_then(|item| item.entries(sheet));
    for (name, item, at) in entries.unwrap_or_default() {
        if !MEASURES.contains(&name.as_str()) {
            let message = format!("no measure {} can be guarded", quoted(&name));
            sheet.problem(
                &item.path,
                at,
                message,
                meant(&name, MEASURES, "write one of"),
            );
        } else if let Some(ratio) = item.number(sheet) {
            if ratio <= 0.0 || ratio > RATIO_MAX {
                let message = format!("{} = {} is out of range", item.path, item.shown(sheet));
                let hint = format!("write {name} = a ratio to the baseline, as 1.05");
                item.problem(sheet, message, hint);
            }
            guards.insert(name, ratio);
        }
    }
    guards
}

pub(super) fn compute(sheet: &mut Sheet<'_>, root: &mut Table<'_>) -> Compute {
    let mut table = root.table(sheet, "compute", "compute");
    let launcher = table.take(sheet, "launcher").and_then(|item| {
        let launcher = item.word(sheet)?;
        if launcher == "slurm" {
            let message = "compute.launcher = \"slurm\" is not available in this version";
            item.problem(
                sheet,
                message.to_owned(),
                "write launcher = \"local\"".to_owned(),
            );
        }
        Some(launcher.to_owned())
    });
    let compute = Compute {
        launcher: launcher.unwrap_or_else(|| "local".to_owned()),
        gpus: table
            .take(sheet, "gpus")
            .and_then(|item| gpus(sheet, &item))
            .unwrap_or(GpuRequest::Auto),
        parallel: table
            .take(sheet, "parallel")
            .filter(|item| !item.is_auto())
            .and_then(|item| item.count(sheet)),
    };
    table.finish(sheet);
    compute
}

fn gpus(sheet: &mut Sheet<'_>, item: &Item<'_>) -> Option<GpuRequest> {
    match item.value {
        DeValue::String(word) if word == "auto" => Some(GpuRequest::Auto),
        DeValue::String(word) => {
            let count = word
                .strip_prefix("simulate:")
                .and_then(|count| count.parse::<u32>().ok());
            let fits = count.filter(|count| i64::from(*count) <= GPUS_MAX);
            if fits.is_none() {
                item.refuse(
                    sheet,
                    &format!("is not \"auto\" or \"simulate:N\" with N up to {GPUS_MAX}"),
                );
            }
            fits.map(GpuRequest::Simulate)
        }
        DeValue::Array(_) => gpu_list(sheet, item),
        _ => {
            item.wrong(sheet, "\"auto\", a list or \"simulate:N\"");
            None
        }
    }
}

fn gpu_list(sheet: &mut Sheet<'_>, item: &Item<'_>) -> Option<GpuRequest> {
    let (mut indices, mut uuids) = (Vec::new(), Vec::new());
    let elements = item.elements(sheet)?;
    if elements.len() > GPUS_MAX as usize {
        item.refuse(sheet, &format!("lists more than {GPUS_MAX} GPUs"));
        return None;
    }
    for element in elements {
        match element.value {
            DeValue::Integer(_) => {
                let Some(index) = gpu_index(sheet, &element) else {
                    continue;
                };
                if indices.contains(&index) {
                    twice(sheet, &element);
                }
                indices.push(index);
            }
            DeValue::String(uuid) if is_uuid(uuid) => {
                if uuids.iter().any(|one| one == uuid) {
                    twice(sheet, &element);
                }
                uuids.push(uuid.to_string());
            }
            DeValue::String(_) => element.refuse(sheet, "is no UUID of a GPU"),
            _ => element.wrong(sheet, "an index or a UUID"),
        }
    }
    if !indices.is_empty() && !uuids.is_empty() {
        item.refuse(sheet, "mixes indices and UUIDs");
    }
    Some(if uuids.is_empty() {
        GpuRequest::Indices(indices)
    } else {
        GpuRequest::Uuids(uuids)
    })
}

fn twice(sheet: &mut Sheet<'_>, item: &Item<'_>) {
    let message = format!("{} = {} is listed twice", item.path, item.shown(sheet));
    item.problem(sheet, message, "name each GPU once".to_owned());
}

/// An index as nvidia-smi numbers them.
pub(super) fn gpu_index(sheet: &mut Sheet<'_>, item: &Item<'_>) -> Option<u32> {
    let index = item.count(sheet)?;
    let fits = i64::from(index) < GPUS_MAX;
    if !fits {
        item.refuse(sheet, &format!("is not below {GPUS_MAX}"));
    }
    fits.then_some(index)
}

/// Whether this is how the driver names a GPU or a slice of one.
pub(super) fn is_uuid(text: &str) -> bool {
    let rest = text
        .strip_prefix("GPU-")
        .or_else(|| text.strip_prefix("MIG-"));
    rest.is_some_and(|rest| {
        !rest.is_empty()
            && rest.len() <= 100
            && rest
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '/'))
    })
}

pub(super) fn budget(sheet: &mut Sheet<'_>, root: &mut Table<'_>) -> Budget {
    let mut table = root.table(sheet, "budget", "budget");
    let budget = Budget {
        usd: table.real(sheet, "usd"),
        usd_per_hour: table.real(sheet, "usd_per_hour"),
        gpu_hours: table.real(sheet, "gpu_hours"),
        wall: table
            .take(sheet, "wall")
            .and_then(|item| item.seconds(sheet)),
        disk: table.take(sheet, "disk").and_then(|item| item.bytes(sheet)),
    };
    table.finish(sheet);
    budget
}

/// One thing that a person wants to be asked before.
fn asked(sheet: &mut Sheet<'_>, item: &Item<'_>) -> Option<Ask> {
    let word = item.text(sheet)?;
    let ask = Ask::parse(&word);
    match ask {
        Some(Ask::Land) => sheet.idle(&item.path, item.span.start),
        Some(_) => {}
        None => {
            let message = format!(
                "{} = {} is nothing that can be asked",
                item.path,
                quoted(&word)
            );
            let examples = Ask::EXAMPLES.map(quoted).join(", ");
            item.problem(sheet, message, format!("write one of {examples}"));
        }
    }
    ask
}

pub(super) fn office(sheet: &mut Sheet<'_>, root: &mut Table<'_>) -> Office {
    let mut table = root.table(sheet, "office", "office");
    let grid = table.take(sheet, "grid").and_then(|item| {
        let word = item.text(sheet)?;
        let grid = units::grid(&word);
        if grid.is_none() {
            item.refuse(sheet, "is no grid");
        }
        grid
    });
    let ask = table.take(sheet, "ask").and_then(|item| {
        let items = item.elements(sheet)?;
        Some(items.iter().filter_map(|item| asked(sheet, item)).collect())
    });
    let notify = table
        .take(sheet, "notify")
        .and_then(|item| item.text(sheet));
    table.finish(sheet);
    Office {
        grid,
        ask: ask.unwrap_or_default(),
        notify,
    }
}
