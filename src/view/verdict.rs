//! A verdict in words, and the way to it: what `org try` tells a person.
//!
//! Owns these sentences. Must not know how a verdict is reached.

use std::fmt::Write as _;

use super::figure;
use super::ledger::Entry;
use crate::domain::chart::Metric;
use crate::domain::event::{RunStatus, Status};
use crate::domain::protocol::Ahead;
use crate::domain::state::{Hypothesis, State};

/// What a status means, for somebody who meets it for the first time.
fn meaning(status: Status) -> &'static str {
    match status {
        Status::Promoted => "it holds on fresh seeds, and is merged into this run's programme",
        Status::Confirmed | Status::Reviewed => "it holds on fresh seeds",
        Status::Rejected => "it was refused before anything ran",
        Status::Mismatched => "its cost differs from the baseline's, so the metric says nothing",
        Status::Parked => "it went no further",
        Status::Refuted => "what was claimed is excluded",
        Status::Undecided => "the runs do not decide",
        Status::Vetoed => "somebody objected",
        Status::Withdrawn => "it was taken back",
        Status::Crashed => "its runs crash",
        Status::Invalid => "its runs cannot be used",
        Status::Contended => "its runs could not be had undisturbed",
        Status::RolledBack => "it was promoted, and did not hold when it was measured anew",
        Status::Registered | Status::Smoke | Status::Screened => "it is under way",
    }
}

/// The verdict.
#[must_use]
pub fn text(metric: &Metric, claim: &Hypothesis, entry: &Entry) -> String {
    let mut out = format!(
        "{} {}: {}\n{}: {}\n",
        entry.id,
        entry.status.to_uppercase(),
        entry.title,
        meaning(claim.status),
        entry.reason
    );
    let arm = |name: &str, sample: super::ledger::Sample| {
        let mean = sample.mean.map(figure::number)?;
        let sd = sample.sd.map(figure::number);
        let sd = sd.map_or_else(String::new, |sd| format!(" (sd {sd})"));
        Some(format!(
            "{name:<10} {} {mean}{sd}, {} runs\n",
            metric.name, sample.n
        ))
    };
    out.extend(arm("baseline", entry.baseline));
    out.extend(arm("candidate", entry.candidate));
    if let (Some(effect), Some(p)) = (entry.effect, entry.p) {
        writeln!(
            out,
            "gain       {}, 95 % interval {}, p {}",
            figure::signed(effect),
            figure::interval(entry.ci),
            figure::probability(p)
        )
        .expect("a string takes everything");
    }
    let names = ["wall", "gpu", "peak_mem", "flops", "params", "tokens"];
    let costs: Vec<String> = names
        .iter()
        .filter_map(|name| Some(format!("{name} {:.2}", entry.ratios.get(name)?)))
        .collect();
    if !costs.is_empty() {
        writeln!(out, "cost       {} times the baseline's", costs.join(", "))
            .expect("a string takes everything");
    }
    for (part, why) in &claim.dropped {
        writeln!(out, "dropped    {}: {why}", figure::one_line(part))
            .expect("a string takes everything");
    }
    if entry.candidate.n > 0 {
        writeln!(out, "measured   by the {}", entry.evaluated_by)
            .expect("a string takes everything");
    }
    figure::harmless(&out)
}

/// Where a trial is, after a run has ended.
#[must_use]
pub fn progress(metric: &str, state: &State, ahead: &Ahead) -> String {
    let mut ended = state
        .experiments
        .values()
        .filter(|run| run.finished_at.is_some());
    let last = ended.by_ref().max_by_key(|run| run.finished_at);
    let said = last.map_or_else(String::new, |run| {
        let value = match (run.status, run.measured.value) {
            (RunStatus::Ok, Some(value)) => format!("{metric} {}", figure::number(value)),
            _ => format!("{}: {}", run.status.word(), figure::one_line(&run.reason)),
        };
        let stage = figure::word(&run.stage);
        format!(", e{} ({stage}) {value}", run.id)
    });
    let left = ahead.seconds.map_or_else(String::new, |seconds| {
        format!(", about {} left", figure::span(seconds))
    });
    format!("{} of about {} runs{left}{said}", ahead.ended, ahead.total)
}
