//! What a run found out, as Markdown: `org report`.
//!
//! Owns the story: what came of it, what was tried, what was refused and why, what it cost. Every
//! number names the claim (`h3`) or the run (`e7`) that it comes from, and what was not found is
//! said as plainly as what was. Must not compute a statistic of its own beyond sums.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use jiff::Timestamp;

use super::figure::{self, interval, number, probability, signed, span};
use super::ledger::Entry;
use super::report_tables as tables;
use super::status::Status;
use crate::domain::chart::Chart;
use crate::domain::event::{Arm, RunStatus, Stage, Status as Claimed};
use crate::domain::state::{Experiment, State};
use crate::domain::stats::Sample;

/// All that a report is made of.
#[derive(Debug, Clone, Copy)]
pub struct Material<'a> {
    /// What was asked for.
    pub chart: &'a Chart,
    /// What is so.
    pub state: &'a State,
    /// How the run stands.
    pub status: &'a Status,
    /// The ledger.
    pub ledger: &'a [Entry],
    /// When it is written.
    pub now: Timestamp,
}

/// The report.
#[must_use]
pub fn text(material: &Material<'_>) -> String {
    let mut out = String::new();
    let parts: [fn(&mut String, &Material<'_>); 9] = [
        head,
        result,
        baseline,
        tried,
        refused,
        tables::explored,
        tables::people,
        tables::means,
        tables::runs,
    ];
    for part in parts {
        part(&mut out, material);
    }
    out
}

/// A line of the report.
macro_rules! say {
    ($out:expr, $($word:tt)*) => {
        writeln!($out, $($word)*).expect("a string takes everything")
    };
}
pub(super) use say;

fn head(out: &mut String, material: &Material<'_>) {
    let Material { status, chart, .. } = material;
    if status.mock {
        say!(
            out,
            "MOCKED RUN: the models were pretended, and nothing below is research.\n"
        );
    }
    say!(out, "# {}: {}\n", status.org, tables::plain(&chart.mission));
    let started = status
        .started
        .map_or_else(|| "never".to_owned(), |at| at.to_string());
    let wall = span(status.budget.wall_seconds.spent);
    say!(
        out,
        "Run `{}`, {}, started {started}, {wall} so far. Directory `{}`.\n",
        status.run,
        status.state,
        status.dir
    );
    tables::confinement(out, material);
    if !status.needs_you.is_empty() {
        say!(out, "\nWaiting for a person:\n");
        for need in &status.needs_you {
            let reason = tables::plain(&need.reason);
            let whom = need.agent.as_deref().unwrap_or("the run");
            say!(out, "- {whom} since {}: {reason}", need.since);
        }
    }
}

fn result(out: &mut String, material: &Material<'_>) {
    let Material { state, chart, .. } = material;
    let metric = &chart.task.metric.name;
    say!(out, "\n## Result\n");
    if state.promotions.is_empty() {
        say!(
            out,
            "Nothing was promoted. No improvement of {metric} was shown in this run."
        );
        return;
    }
    match &state.headline {
        Some(headline) => {
            let verdict = &headline.verdict;
            let seeds = closing_runs(state);
            say!(
                out,
                "{metric} is better by **{}**, 95 % interval {}, p = {}, re-measured at the end on {} \
                 seeds that nothing was chosen by ({seeds}): {} at the start (`{}`), {} at the end \
                 (`{}`).",
                verdict
                    .effect
                    .map_or_else(|| "an unknown amount".to_owned(), signed),
                interval(figure::bounded(verdict.ci)),
                verdict.p.map_or_else(|| "unknown".to_owned(), probability),
                verdict.candidate.n,
                number(verdict.baseline.mean),
                figure::commit(&headline.from),
                number(verdict.candidate.mean),
                figure::commit(&headline.to),
            );
        }
        None => say!(
            out,
            "The gain of the whole run has not been re-measured yet; what stands below is each \
             claim's own measurement, and their sum is not the gain."
        ),
    }
    say!(out, "\nPromoted, in order:\n");
    for (id, before, after) in &state.promotions {
        let title = state
            .hypotheses
            .get(id)
            .map(|claim| tables::plain(&claim.title));
        let undone = state
            .hypotheses
            .get(id)
            .is_some_and(|claim| claim.status == Claimed::RolledBack);
        say!(
            out,
            "- [h{id}](#h{id}) {}: `{}` → `{}`{}",
            title.unwrap_or_default(),
            figure::commit(before),
            figure::commit(after),
            if undone { ", rolled back later" } else { "" }
        );
    }
    say!(
        out,
        "\nAll figures are *self-reported*: read by the harness from what the measured program printed, \
         without an evaluation of its own."
    );
}

fn closing_runs(state: &State) -> String {
    let closing = state
        .experiments
        .values()
        .filter(|run| run.stage == Stage::Closing);
    tables::run_links(closing.map(|run| run.id))
}

fn baseline(out: &mut String, material: &Material<'_>) {
    let Material { state, chart, .. } = material;
    say!(out, "\n## Baseline\n");
    let runs: Vec<&Experiment> = state
        .experiments
        .values()
        .filter(|run| run.stage == Stage::Admission && run.arm == Arm::Baseline)
        .collect();
    // The first seed is run twice to learn whether a seed means the same twice; the second of the
    // two is no further sample.
    let mut seeds = BTreeSet::new();
    let (ok, twice): (Vec<&Experiment>, Vec<&Experiment>) = runs
        .iter()
        .filter(|run| run.status == RunStatus::Ok)
        .partition(|run| seeds.insert(run.seed));
    let values: Vec<f64> = ok.iter().filter_map(|run| run.measured.value).collect();
    if values.is_empty() {
        say!(out, "No baseline run has ended with a metric.");
        return;
    }
    let sample = Sample::of(&values);
    let wall = Sample::of(&ok.iter().map(|run| run.measured.wall_s).collect::<Vec<_>>());
    say!(
        out,
        "{}: mean {}, sd {}, n = {} seeds ({}); {} a run.",
        chart.task.metric.name,
        number(sample.mean),
        if sample.n > 1 {
            number(sample.sd)
        } else {
            "unknown".to_owned()
        },
        sample.n,
        tables::run_links(ok.iter().map(|run| run.id)),
        span(wall.mean),
    );
    for again in twice {
        let first = ok.iter().find(|run| run.seed == again.seed);
        let apart = first
            .and_then(|first| Some((first.measured.value? - again.measured.value?).abs()))
            .map_or_else(|| "unknown".to_owned(), number);
        say!(
            out,
            "The same seed run again ([e{0}](#e{0})) came out {apart} apart.",
            again.id
        );
    }
    let failed = runs
        .iter()
        .filter(|run| run.finished_at.is_some() && run.status != RunStatus::Ok);
    for run in failed {
        say!(
            out,
            "- [e{}](#e{}) ended {}: {}",
            run.id,
            run.id,
            run.status.word(),
            tables::plain(&run.reason)
        );
    }
}

fn tried(out: &mut String, material: &Material<'_>) {
    say!(out, "\n## What was tried\n");
    if material.ledger.is_empty() {
        say!(out, "No claim was made.");
        return;
    }
    say!(
        out,
        "Effects are signed so that positive is better.\n\n\
         | claim | who | kind | status | effect | 95 % interval | p | n | wall | FLOPs | title |\n\
         |---|---|---|---|--:|---|--:|--:|--:|--:|---|"
    );
    let ratio =
        |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}×"));
    for entry in material.ledger {
        say!(
            out,
            "| [{0}](#{0}) | {1} | {2} | {3} | {4} | {5} | {6} | {7} | {8} | {9} | {10} |",
            entry.id,
            entry.agent,
            entry.claim,
            entry.status,
            entry.effect.map_or_else(|| "-".to_owned(), signed),
            entry
                .ci
                .map_or_else(|| "-".to_owned(), |ci| interval(Some(ci))),
            entry.p.map_or_else(|| "-".to_owned(), probability),
            entry.candidate.n,
            ratio(entry.ratios.wall),
            ratio(entry.ratios.flops),
            tables::plain(&entry.title),
        );
    }
    for entry in material.ledger {
        claim(out, entry);
    }
}

fn claim(out: &mut String, entry: &Entry) {
    say!(out, "\n### {}\n", entry.id);
    let commit = entry
        .commit
        .as_deref()
        .map(|hash| format!(" at `{}`", figure::commit(hash)));
    say!(
        out,
        "**{}** by {}{}: {}.\n",
        tables::plain(&entry.title),
        entry.agent,
        commit.unwrap_or_default(),
        entry.status
    );
    if !entry.mechanism.is_empty() {
        say!(out, "- because: {}", tables::plain(&entry.mechanism));
        let size = entry.margin.map_or_else(
            || format!("of {}", signed(entry.predicts)),
            |margin| format!("within {}", number(margin)),
        );
        say!(
            out,
            "- claimed: {} {size}, matched on {}; refuted by: {}",
            entry.claim,
            entry.axis,
            tables::plain(&entry.refuted_by)
        );
    }
    if !entry.reason.is_empty() {
        say!(out, "- why: {}", tables::plain(&entry.reason));
    }
    let sample = |sample: super::ledger::Sample| {
        let figure = |value: Option<f64>| value.map_or_else(|| "unknown".to_owned(), number);
        format!(
            "mean {}, sd {}, n = {}",
            figure(sample.mean),
            figure(sample.sd),
            sample.n
        )
    };
    if entry.candidate.n > 0 {
        say!(out, "- baseline: {}", sample(entry.baseline));
        let test = entry.test.unwrap_or("no");
        say!(
            out,
            "- candidate: {} ({test} test)",
            sample(entry.candidate)
        );
        say!(out, "- cost: {}", tables::ratios(&entry.ratios));
    }
    if let Some(more) = entry.more_seeds {
        say!(out, "- about {more} more seeds would decide");
    }
    let ids = entry.runs.iter().map(|run| run.id.as_str());
    let runs: Vec<String> = ids.map(|id| format!("[{id}](#{id})")).collect();
    if !runs.is_empty() {
        say!(out, "- rests on {}", runs.join(", "));
    }
}

fn refused(out: &mut String, material: &Material<'_>) {
    say!(out, "\n## What was refused, and why\n");
    let exits: Vec<_> = material
        .state
        .hypotheses
        .values()
        .filter(|claim| claim.status.is_exit())
        .collect();
    if exits.is_empty() {
        say!(out, "Nothing.");
    }
    for claim in exits {
        say!(
            out,
            "- [h{0}](#h{0}) {1} ({2}): **{3}**: {4}",
            claim.id,
            tables::plain(&claim.title),
            claim.agent,
            claim.status.word(),
            tables::plain(&claim.reason)
        );
    }
}
