//! Autoresearch's five columns: `results.tsv`.
//!
//! Owns the translation: commit, metric, peak memory in GiB, `keep discard crash`, description. The
//! second column is headed by the metric's own name, since a loss under the heading `val_bpb` would
//! be a lie. Only what was run is listed. Must not know where the file goes.

use std::fmt::Write as _;

use super::figure::{commit, one_line};
use crate::domain::chart::Chart;
use crate::domain::event::{Arm, RunStatus, Stage, Status};
use crate::domain::state::{Experiment, Hypothesis, State};

/// The table, oldest first.
#[must_use]
pub fn tsv(chart: &Chart, state: &State) -> String {
    let mut rows: Vec<(u64, String)> = Vec::new();
    let admission: Vec<&Experiment> = state
        .experiments
        .values()
        .filter(|run| run.stage == Stage::Admission && run.finished_at.is_some())
        .collect();
    if let Some(last) = admission.last() {
        let failed = admission.iter().all(|run| run.status != RunStatus::Ok);
        let word = if failed { "crash" } else { "keep" };
        let line = row(&state.start, &admission, word, "baseline");
        rows.push((last.id, line));
    }
    for claim in state.hypotheses.values() {
        rows.extend(of_claim(state, claim));
    }
    let looked = |run: &&Experiment| run.stage == Stage::Explore && run.finished_at.is_some();
    for run in state.experiments.values().filter(looked) {
        let word = if run.status == RunStatus::Ok {
            "discard"
        } else {
            "crash"
        };
        rows.push((run.id, row(&run.commit, &[run], word, &run.note)));
    }
    rows.sort();
    let name = one_line(&chart.task.metric.name).replace(' ', "_");
    let mut out = format!("commit\t{name}\tmemory_gb\tstatus\tdescription\n");
    for (_, line) in rows {
        let line = if state.mock {
            // The description is the only column with room for it.
            let (figures, words) = line.rsplit_once('\t').unwrap_or((&line, ""));
            format!("{figures}\t[mock] {words}")
        } else {
            line
        };
        writeln!(out, "{line}").expect("a string takes everything");
    }
    out
}

fn of_claim(state: &State, claim: &Hypothesis) -> Option<(u64, String)> {
    let hash = claim.commit.as_ref()?;
    let own: Vec<&Experiment> = state
        .experiments
        .values()
        .filter(|run| run.hypothesis == Some(claim.id) && run.arm == Arm::Candidate)
        .filter(|run| run.finished_at.is_some())
        .collect();
    let last = own.last()?;
    if !claim.is_final() {
        return None;
    }
    let word = match claim.status {
        Status::Promoted => "keep",
        Status::Crashed => "crash",
        _ => "discard",
    };
    Some((last.id, row(hash, &own, word, &claim.title)))
}

fn row(hash: &str, runs: &[&Experiment], word: &str, description: &str) -> String {
    let values: Vec<f64> = runs.iter().filter_map(|run| run.measured.value).collect();
    let mean = if values.is_empty() {
        0.0
    } else {
        values.iter().sum::<f64>() / values.len() as f64
    };
    let peak = runs
        .iter()
        .map(|run| run.measured.peak_mem_mb)
        .fold(0.0, f64::max);
    format!(
        "{}\t{mean:.6}\t{:.1}\t{word}\t{}",
        commit(hash),
        peak / 1024.0,
        one_line(description)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;

    #[test]
    fn five_columns_of_what_was_run() {
        let (chart, state) = sample::run();
        assert_eq!(
            tsv(&chart, &state),
            "commit\tval_loss\tmemory_gb\tstatus\tdescription\n\
             base000\t1.000000\t0.5\tkeep\t[mock] baseline\n\
             cand111\t0.500000\t0.5\tkeep\t[mock] raise LR\n\
             look333\t0.900000\t0.5\tdiscard\t[mock] a look around\n"
        );
    }
}
