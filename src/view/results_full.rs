//! Every attempt in one table: `results_full.tsv`.
//!
//! Owns the columns, whose names are fixed: one row a measured run with what its claim came to, and
//! one a claim that nothing was measured of. What is not known is empty, never zero. Must not know
//! where the file goes.

use std::collections::BTreeSet;

use super::figure::{one_line, word};
use super::ledger::{self, Entry};
use crate::domain::state::{Experiment, State};

/// The columns.
const COLUMNS: [&str; 35] = [
    "run",
    "claim",
    "agent",
    "arm",
    "stage",
    "seed",
    "commit",
    "base",
    "status",
    "metric",
    "wall_s",
    "cpu_s",
    "gpu_s",
    "peak_mem_mb",
    "flops",
    "params",
    "tokens",
    "evaluated_by",
    "queued_at",
    "started_at",
    "finished_at",
    "attempts",
    "reason",
    "kind",
    "axis",
    "claim_status",
    "effect",
    "ci_lo",
    "ci_hi",
    "p",
    "test",
    "replicates",
    "registered_at",
    "mock",
    "description",
];

/// The table: runs in order, then claims that have none.
#[must_use]
pub fn tsv(state: &State) -> String {
    let entries = ledger::of(state);
    let mut out = COLUMNS.join("\t");
    out.push('\n');
    let mut measured = BTreeSet::new();
    for run in state.experiments.values() {
        let id = run.hypothesis.map(|id| format!("h{id}"));
        let claim = id.and_then(|id| entries.iter().find(|entry| entry.id == id));
        measured.extend(claim.map(|claim| claim.id.clone()));
        push(&mut out, row(state, Some(run), claim));
    }
    for entry in entries.iter().filter(|entry| !measured.contains(&entry.id)) {
        push(&mut out, row(state, None, Some(entry)));
    }
    out
}

fn push(out: &mut String, row: Vec<String>) {
    debug_assert_eq!(row.len(), COLUMNS.len(), "a cell a column");
    out.push_str(&row.join("\t"));
    out.push('\n');
}

fn row(state: &State, run: Option<&Experiment>, claim: Option<&Entry>) -> Vec<String> {
    let text = |value: Option<&str>| one_line(value.unwrap_or_default());
    let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    let told = run.map(ledger::run);
    let of = |get: fn(&ledger::Run) -> Option<f64>| number(told.as_ref().and_then(get));
    let at = |value: Option<jiff::Timestamp>| value.map_or_else(String::new, |at| at.to_string());
    let by = run
        .and_then(|run| run.agent.as_deref())
        .or(claim.map(|claim| claim.agent.as_str()));
    let note = run
        .map(|run| run.note.as_str())
        .filter(|note| !note.is_empty());
    let reason = run.map_or(claim.map(|claim| claim.reason.as_str()), |run| {
        Some(&run.reason)
    });
    vec![
        run.map_or_else(String::new, |run| format!("e{}", run.id)),
        text(claim.map(|claim| claim.id.as_str())),
        text(by.or(Some("lab"))),
        run.map_or_else(String::new, |run| word(&run.arm)),
        run.map_or_else(String::new, |run| word(&run.stage)),
        run.map_or_else(String::new, |run| run.seed.to_string()),
        text(
            run.map(|run| run.commit.as_str())
                .or(claim.and_then(|it| it.commit.as_deref())),
        ),
        text(claim.map(|claim| claim.base.as_str())),
        text(run.map(|run| run.status.word())),
        of(|run| run.metric),
        of(|run| run.wall_s),
        of(|run| run.cpu_s),
        of(|run| run.gpu_s),
        of(|run| run.peak_mem_mb),
        of(|run| run.flops),
        of(|run| run.params),
        of(|run| run.tokens),
        text(claim.map(|claim| claim.evaluated_by)),
        at(run.map(|run| run.queued_at)),
        at(run.and_then(|run| run.started_at)),
        at(run.and_then(|run| run.finished_at)),
        run.map_or_else(String::new, |run| run.attempt.to_string()),
        text(reason),
        text(claim.map(|claim| claim.claim)),
        text(claim.map(|claim| claim.axis)),
        text(claim.map(|claim| claim.status)),
        number(claim.and_then(|claim| claim.effect)),
        number(claim.and_then(|claim| claim.ci).map(|[lo, _]| lo)),
        number(claim.and_then(|claim| claim.ci).map(|[_, hi]| hi)),
        number(claim.and_then(|claim| claim.p)),
        text(claim.and_then(|claim| claim.test)),
        text(claim.and_then(|claim| claim.replicates.as_deref())),
        at(claim.map(|claim| claim.at)),
        if state.mock { "mock" } else { "" }.to_owned(),
        text(note.or(claim.map(|claim| claim.title.as_str()))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;

    #[test]
    fn every_attempt_has_a_row_and_every_row_a_cell_a_column() {
        let (_, state) = sample::run();
        let table = tsv(&state);
        let rows: Vec<Vec<&str>> = table
            .lines()
            .map(|line| line.split('\t').collect())
            .collect();
        assert!(rows.iter().all(|row| row.len() == COLUMNS.len()), "{table}");
        assert_eq!(rows.len(), 1 + 7 + 1, "seven runs and a refused claim");
        let at = |name: &str| {
            COLUMNS
                .iter()
                .position(|column| *column == name)
                .expect("a column")
        };
        assert_eq!((rows[3][at("run")], rows[3][at("claim")]), ("e3", "h1"));
        assert_eq!((rows[3][at("ci_lo")], rows[3][at("mock")]), ("0.4", "mock"));
        assert_eq!((rows[8][at("claim")], rows[8][at("run")]), ("h2", ""));
        assert_eq!(rows[8][at("claim_status")], "rejected");
        assert_eq!(rows[8][at("metric")], "");
    }
}
