//! What the org has tried, for a model to read.
//!
//! Nothing is hidden: a query puts the nearest first and leaves nothing out but what no longer fits,
//! which is counted. Words of other agents are made harmless before they are shown. Must not judge
//! anything: verdicts are the lab's.

use serde_json::Value;

use crate::domain::chart::Chart;
use crate::domain::disclosure;
use crate::domain::event::Class;
use crate::domain::likeness;
use crate::domain::mail::neutral;
use crate::domain::state::{Experiment, Hypothesis, State};

use super::arguments::{Argument, Shape};
use super::lint;
use super::{Acting, Desk, Outcome, Tool, broken, clip, one_line};

/// Longest query: a few words.
const QUERY_BYTES: usize = 1000;
/// Most of the ledger that one call shows: about 6,000 tokens.
const SHOWN_BYTES: usize = 24 * 1024;
/// Own runs that are shown beside the claims.
const RUNS: usize = 30;
/// Longest text of a cell, in characters.
const CELL: usize = 160;
/// How much nearer an entry is that the query names by its id.
const NAMED: f64 = 1000.0;

/// The tool `ledger`.
#[derive(Debug)]
pub(super) struct Ledger;

impl Tool for Ledger {
    fn name(&self) -> &'static str {
        "ledger"
    }

    fn arguments(&self) -> &'static [Argument] {
        const { &[Argument::optional("query", Shape::Text(QUERY_BYTES))] }
    }

    fn class(&self) -> Class {
        Class::Read
    }

    fn brief(&self, args: &Value) -> String {
        one_line(args["query"].as_str().unwrap_or(""))
    }

    fn run<'a>(&'a self, desk: &'a Desk, _call: &'a str, args: &'a Value) -> Acting<'a> {
        Box::pin(async move {
            let args = match desk.arguments(self, args) {
                Ok(args) => args,
                Err(outcome) => return outcome,
            };
            let query = args.text("query").unwrap_or("");
            match desk.look(|state| table(&desk.chart, state, &desk.agent, query)) {
                Ok(text) => Outcome::done(text),
                Err(error) => broken(&error),
            }
        })
    }
}

/// The ledger as an agent reads it.
fn table(chart: &Chart, state: &State, agent: &str, query: &str) -> String {
    let claims: Vec<Row> = state
        .hypotheses
        .values()
        .map(|claim| Row {
            id: format!("h{}", claim.id),
            number: claim.id,
            text: format!("{} {} {}", claim.title, claim.mechanism, claim.reason),
            shown: claim_row(chart, claim),
        })
        .collect();
    let runs: Vec<Row> = state
        .experiments
        .values()
        .filter(|run| run.agent.as_deref() == Some(agent))
        .map(|run| Row {
            id: format!("e{}", run.id),
            number: run.id,
            text: run.note.clone(),
            shown: run_row(chart, run),
        })
        .collect();
    let mut out = String::new();
    let head = "id | status | by | claim | effect, 95 % interval, p | title | because | why";
    section(&mut out, head, query, claims, (usize::MAX, "claims"));
    let name = one_line(&chart.task.metric.name);
    let head = format!("your run | status | {name} | commit | note");
    out.push('\n');
    section(&mut out, &head, query, runs, (RUNS, "runs"));
    out.trim_end().to_owned()
}

/// An entry, before it is known how near it is.
struct Row {
    id: String,
    number: u64,
    text: String,
    shown: String,
}

/// Rows, nearest first and the latest of the equally near, as far as they fit.
fn section(out: &mut String, head: &str, query: &str, rows: Vec<Row>, (most, what): (usize, &str)) {
    if rows.is_empty() {
        out.push_str("no ");
        out.push_str(what);
        out.push_str(" yet\n");
        return;
    }
    let texts: Vec<String> = rows.iter().map(|row| row.text.clone()).collect();
    let named = likeness::words(query);
    let near = likeness::nearness(query, &texts);
    let mut rows: Vec<(f64, Row)> = near.into_iter().zip(rows).collect();
    for (near, row) in &mut rows {
        if named.contains(&row.id) {
            *near += NAMED;
        }
    }
    rows.sort_by(|(a, one), (b, other)| b.total_cmp(a).then(other.number.cmp(&one.number)));
    out.push_str(head);
    out.push('\n');
    let begun = out.len();
    for (shown, (_, row)) in rows.iter().enumerate() {
        if shown == most || out.len() - begun > SHOWN_BYTES {
            let more = format!("[{} more {what}]\n", rows.len() - shown);
            out.push_str(&more);
            return;
        }
        out.push_str(&row.shown);
        out.push('\n');
    }
}

fn claim_row(chart: &Chart, claim: &Hypothesis) -> String {
    let open = !disclosure::withheld(&chart.task);
    let verdict = claim.verdict.as_ref().filter(|_| open);
    let effect = verdict.map_or_else(String::new, |verdict| {
        let number = |value: Option<f64>| value.map_or_else(|| "?".to_owned(), short);
        match (verdict.effect, verdict.ci) {
            (None, _) => String::new(),
            (effect, None) => number(effect),
            (effect, Some([lo, hi])) => format!(
                "{} [{}, {}] p {}",
                number(effect),
                short(lo),
                short(hi),
                number(verdict.p)
            ),
        }
    });
    let dead = if lint::is_dead_end(claim.status) {
        " (dead end)"
    } else {
        ""
    };
    let again = claim
        .replicates
        .map_or_else(String::new, |id| format!(", repeats h{id}"));
    format!(
        "h{} | {}{dead} | {}{again} | {} on {} | {effect} | {} | {} | {}",
        claim.id,
        claim.status.word(),
        claim.agent,
        claim.claim.word(),
        claim.axis.as_str(),
        cell(&claim.title),
        cell(&claim.mechanism),
        cell(&disclosure::reason(
            &chart.task,
            claim.status,
            &claim.reason
        )),
    )
}

fn run_row(chart: &Chart, run: &Experiment) -> String {
    let value = run.measured.value;
    let value = value.filter(|_| !disclosure::withheld(&chart.task));
    format!(
        "e{} | {} | {} | {} | {}",
        run.id,
        run.status.word(),
        value.map_or_else(String::new, short),
        run.commit.get(..12).unwrap_or(&run.commit),
        cell(&run.note),
    )
}

fn cell(text: &str) -> String {
    neutral(&clip(text, CELL)).replace('|', "/")
}

/// A number with about four figures.
fn short(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a logarithm of a double is small"
    )]
    let size = value.abs().log10().floor() as i32;
    let places = usize::try_from(3 - size).unwrap_or(0).min(10);
    format!("{value:.places$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_figures() {
        let said = [0.000_312_34, -1.234_56, 12345.6, 0.0].map(short);
        assert_eq!(said, ["0.0003123", "-1.235", "12346", "0"]);
    }
}
