//! What it took: money, time, devices, and how well they were used.

use super::document::{Inline, line};
use super::opening::{amount, gpu_hours};
use super::{Block, Blocks, Desk, Line};
use crate::domain::event::RunStatus;
use crate::view::figure::{bytes, number, span};

pub(super) fn section(desk: Desk<'_>) -> Blocks {
    let Desk { material, sources } = desk;
    let budget = &material.status.budget;
    let (means, chart, agents, runs) = (
        sources.means(),
        sources.chart(),
        sources.agents(),
        sources.runs(),
    );
    let mut facts = vec![
        (
            "models",
            amount(&agents, &chart, budget.usd, &|usd| format!("${usd:.2}")),
        ),
        (
            "GPU time of measured runs",
            amount(&runs, &chart, budget.gpu_seconds, &gpu_hours),
        ),
        (
            "wall time",
            amount(&sources.log(), &chart, budget.wall_seconds, &span),
        ),
        ("disk", amount(&means, &chart, budget.disk_bytes, &bytes)),
        ("measured runs", statuses(desk)),
    ];
    facts.extend(idle(desk).map(|line| ("idle GPUs", line)));
    facts.extend(each(desk));
    Ok(vec![
        Block::Section("What it took", Some(means)),
        Block::Facts(facts),
    ])
}

/// How the measured runs ended.
fn statuses(desk: Desk<'_>) -> Line {
    let all = desk.sources.runs();
    let state = desk.material.state;
    let mut line = line![all.number(state.experiments.len().to_string()), " in all"];
    let words = [
        RunStatus::Ok,
        RunStatus::Running,
        RunStatus::Queued,
        RunStatus::Crashed,
        RunStatus::Timeout,
        RunStatus::Oom,
        RunStatus::Invalid,
        RunStatus::Contended,
        RunStatus::Cancelled,
    ];
    for status in words {
        let n = state
            .experiments
            .values()
            .filter(|run| run.status == status)
            .count();
        if n > 0 {
            line.extend(line![", ", all.number(n.to_string()), " ", status.word()]);
        }
    }
    line
}

/// GPU time that no measured run used.
fn idle(desk: Desk<'_>) -> Option<Line> {
    let Desk { material, sources } = desk;
    let budget = &material.status.budget;
    let gpus = &material.state.gpus;
    if gpus.is_empty() {
        return None;
    }
    let had = gpus.len() as f64 * budget.wall_seconds.spent;
    let used = budget.gpu_seconds.spent;
    let idle = sources
        .runs()
        .number(format!("{:.0}", ((had - used) / 60.0).max(0.0)));
    let n = sources.log().number(gpus.len().to_string());
    let kind = if gpus.iter().all(|gpu| gpu.simulated) {
        " simulated GPUs were not used by measured runs"
    } else {
        " GPUs were not used by measured runs"
    };
    let mut line = line![idle, " GPU-minutes of ", n, kind];
    if had > 0.0 {
        let share = format!("{:.0} %", (100.0 * used / had).clamp(0.0, 100.0));
        line.extend(line![
            ", which had ",
            sources.runs().number(share),
            " of them; what agents' shells used is not counted",
        ]);
    }
    Some(line)
}

/// What one promotion took, and how long a verdict did.
fn each(desk: Desk<'_>) -> Vec<(&'static str, Line)> {
    let Desk { material, sources } = desk;
    let state = material.state;
    let promoted = material
        .ledger
        .iter()
        .filter(|it| it.status == "promoted")
        .count();
    let mut facts = Vec::new();
    if promoted > 0 {
        let n = promoted as f64;
        let budget = &material.status.budget;
        facts.push((
            "a promotion",
            line![
                sources
                    .means()
                    .number(format!("${:.2}", budget.usd.spent / n)),
                ", ",
                sources
                    .runs()
                    .number(gpu_hours(budget.gpu_seconds.spent / n)),
                " of GPUs, ",
                sources
                    .runs()
                    .number(number(state.experiments.len() as f64 / n)),
                " measured runs",
            ],
        ));
    }
    let mut waits: Vec<f64> = state
        .hypotheses
        .values()
        .filter(|claim| claim.is_final() && claim.since > claim.at)
        .map(|claim| claim.since.duration_since(claim.at).as_secs_f64())
        .collect();
    waits.sort_by(f64::total_cmp);
    if let Some(median) = waits.get(waits.len() / 2) {
        let median = sources.claims().number(span(*median));
        facts.push((
            "from claim to verdict",
            line![median, " (", Inline::Words("median"), ")"],
        ));
    }
    facts
}
