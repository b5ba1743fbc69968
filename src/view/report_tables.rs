//! The tables at the end of a report: who did what, what it took, and every run.
//!
//! Owns these and the writing of strangers' words in Markdown. Must not know the story.

use std::fmt::Write as _;

use super::figure::{self, bytes, count, number, one_line, span};
use super::report::{Material, say};
use crate::domain::event::{RunStatus, Stage};
use crate::domain::protocol::Ratios;

/// Somebody's words on one line of Markdown, in which nothing of them is markup.
pub(super) fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in one_line(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '|' | '*' | '`' | '[' | ']' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

/// Links to runs.
pub(super) fn run_links(ids: impl Iterator<Item = u64>) -> String {
    let links: Vec<String> = ids.map(|id| format!("[e{id}](#e{id})")).collect();
    if links.is_empty() {
        "no runs".to_owned()
    } else {
        links.join(", ")
    }
}

/// Costs, candidate over baseline.
pub(super) fn ratios(ratios: &Ratios) -> String {
    let parts: Vec<String> = [
        ("wall", ratios.wall),
        ("GPU", ratios.gpu),
        ("peak memory", ratios.peak_mem),
        ("FLOPs", ratios.flops),
        ("parameters", ratios.params),
        ("tokens", ratios.tokens),
    ]
    .into_iter()
    .filter_map(|(name, ratio)| Some(format!("{name} {:.2}×", ratio?)))
    .collect();
    if parts.is_empty() {
        "not measured".to_owned()
    } else {
        parts.join(", ")
    }
}

/// What the kernel enforced.
pub(super) fn confinement(out: &mut String, material: &Material<'_>) {
    let sandbox = &material.status.sandbox;
    if sandbox.is_empty() {
        say!(
            out,
            "Confinement: not known, no supervisor has reported it."
        );
        return;
    }
    let of = |wanted: &str| {
        let rights: Vec<&str> = sandbox
            .iter()
            .filter(|(_, word)| **word == wanted)
            .map(|(right, _)| right.as_str())
            .collect();
        if rights.is_empty() {
            "nothing".to_owned()
        } else {
            rights.join(", ")
        }
    };
    say!(
        out,
        "Confinement of what agents ran: enforced {}; not enforced {}.",
        of("enforced"),
        of("not")
    );
}

pub(super) fn explored(out: &mut String, material: &Material<'_>) {
    say!(out, "\n## Looking around\n");
    let looks: Vec<_> = material
        .state
        .experiments
        .values()
        .filter(|run| run.stage == Stage::Explore)
        .collect();
    if looks.is_empty() {
        say!(out, "No run was made without a claim.");
        return;
    }
    say!(
        out,
        "Runs without a claim, one seed each: leads, not results.\n"
    );
    for run in looks {
        let value = run
            .measured
            .value
            .map_or_else(|| "no metric".to_owned(), number);
        say!(
            out,
            "- [e{0}](#e{0}) by {1}, {2}, {value}: {3}",
            run.id,
            run.agent.as_deref().unwrap_or("lab"),
            run.status.word(),
            plain(&run.note)
        );
    }
}

pub(super) fn people(out: &mut String, material: &Material<'_>) {
    let Material { state, status, .. } = material;
    say!(
        out,
        "\n## Who did what\n\n\
         | agent | role | model | turns | input | cached | output | usd | mails | claims | promoted |\n\
         |---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    );
    for agent in &status.agents {
        let mails = state.mails.values().filter(|mail| mail.from == agent.name);
        let claims = state
            .hypotheses
            .values()
            .filter(|claim| claim.agent == agent.name);
        let promoted = state.promotions.iter().filter(|(id, _, _)| {
            state
                .hypotheses
                .get(id)
                .is_some_and(|claim| claim.agent == agent.name)
        });
        say!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {:.2} | {} | {} | {} |",
            agent.name,
            agent.role,
            agent.model,
            agent.turns,
            count(agent.tokens.input + agent.tokens.cache_write),
            count(agent.tokens.cache_read),
            count(agent.tokens.output),
            agent.usd,
            mails.count(),
            claims.count(),
            promoted.count(),
        );
    }
    say!(
        out,
        "\nPeople intervened {} times; {} messages were sent in all.",
        state.interventions,
        state.mails.len()
    );
}

pub(super) fn means(out: &mut String, material: &Material<'_>) {
    let Material { state, status, .. } = material;
    let budget = &status.budget;
    let of = |cap: Option<f64>, write: &dyn Fn(f64) -> String| {
        cap.map(|cap| format!(" of {}", write(cap)))
            .unwrap_or_default()
    };
    let usd = |usd: f64| format!("${usd:.2}");
    say!(out, "\n## What it took\n");
    say!(
        out,
        "- models: {}{}",
        usd(budget.usd.spent),
        of(budget.usd.cap, &usd)
    );
    say!(
        out,
        "- GPU time of measured runs: {}{}",
        span(budget.gpu_seconds.spent),
        of(budget.gpu_seconds.cap, &span)
    );
    say!(
        out,
        "- wall time: {}{}",
        span(budget.wall_seconds.spent),
        of(budget.wall_seconds.cap, &span)
    );
    say!(
        out,
        "- disk: {}{}",
        bytes(budget.disk_bytes.spent),
        of(budget.disk_bytes.cap, &bytes)
    );
    let runs = status.experiments;
    say!(
        out,
        "- measured runs: {} done, {} running, {} queued",
        runs.done,
        runs.running,
        runs.queued
    );
    let gpus = state.gpus.len();
    if gpus > 0 {
        let idle = gpus as f64 * budget.wall_seconds.spent - budget.gpu_seconds.spent;
        let kind = if state.gpus.iter().all(|gpu| gpu.simulated) {
            " simulated"
        } else {
            ""
        };
        say!(
            out,
            "- idle GPUs: {:.0} GPU-minutes of {gpus}{kind} GPUs were not used by measured runs (what \
             agents' shells used is not counted as use)",
            (idle / 60.0).max(0.0)
        );
    }
}

pub(super) fn runs(out: &mut String, material: &Material<'_>) {
    say!(out, "\n## All measured runs\n");
    if material.state.experiments.is_empty() {
        say!(out, "None.");
        return;
    }
    say!(
        out,
        "| run | claim | arm | stage | seed | commit | status | {} | wall | FLOPs |\n\
         |---|---|---|---|--:|---|---|--:|--:|--:|",
        plain(&material.chart.task.metric.name)
    );
    for run in material.state.experiments.values() {
        let claim = run
            .hypothesis
            .map_or_else(|| "-".to_owned(), |h| format!("[h{h}](#h{h})"));
        let measured = &run.measured;
        let ended = run.finished_at.is_some() && run.status != RunStatus::Cancelled;
        let wall = if ended {
            span(measured.wall_s)
        } else {
            "-".to_owned()
        };
        let maybe = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), number);
        say!(
            out,
            "| <a id=\"e{0}\"></a>e{0} | {claim} | {1} | {2} | {3} | `{4}` | {5} | {6} | {wall} | {7} |",
            run.id,
            figure::word(&run.arm),
            figure::word(&run.stage),
            run.seed,
            figure::commit(&run.commit),
            run.status.word(),
            maybe(measured.value),
            maybe(measured.flops),
        );
    }
}
