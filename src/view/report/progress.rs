//! How the run went: the metric against experiments, hours, GPU-hours and dollars.
//!
//! Owns what is drawn of it, and the steps as a table. Everything is read off the fold: what was spent
//! by a time is the sum of what was settled until then.

use jiff::Timestamp;

use super::document::{Inline, line};
use super::opening::gpu_hours;
use super::{Block, Blocks, Desk, Material, Row};
use crate::domain::chart::Goal;
use crate::domain::event::{RunStatus, Stage, Status};
use crate::domain::outcome;
use crate::domain::state::{Hypothesis, State};
use crate::domain::stats::Sample;
use crate::view::figure::{bounded, number, one_line, span};
use crate::view::plot::{Fate, Mark, Progress, Spent};

/// Seconds an hour.
const HOUR_S: f64 = 3600.0;

pub(super) fn section(desk: Desk<'_>) -> Blocks {
    let Desk { material, sources } = desk;
    let progress = of(material);
    let mut blocks = vec![
        Block::Section("Progress", None),
        Block::Text(line![
            "Grey was discarded; hollow and green was promoted on the candidate's own word, solid on the harness's, \
             each with its 95 % interval; the dashed line is the baseline with its spread, the green one the best \
             that stands.",
        ]),
        Block::Plot(progress),
    ];
    let heads = [
        "promoted",
        ">value",
        ">measured runs",
        ">time",
        ">GPU time",
        ">usd",
    ];
    let mut rows = Vec::new();
    for (id, ..) in &material.state.promotions {
        let claim = sources.claim(*id)?;
        let Some(told) = material.state.hypotheses.get(id) else {
            continue;
        };
        let Spent([runs, wall, gpu, usd]) = spent(material.state, told.since);
        let value = material.state.value_of(*id);
        let value = value.map_or_else(|| "-".to_owned(), number);
        rows.push(Row {
            shows: None,
            cells: vec![
                line![claim.clone()],
                line![claim.number(value)],
                line![sources.runs().number(format!("{runs:.0}"))],
                line![sources.log().number(span(wall * HOUR_S))],
                line![sources.runs().number(gpu_hours(gpu * HOUR_S))],
                line![sources.means().number(format!("{usd:.2}"))],
            ],
        });
    }
    if !rows.is_empty() {
        blocks.push(Block::Table(heads.map(str::to_owned).to_vec(), rows));
    }
    let undone = material.state.hypotheses.values();
    for claim in undone.filter(|claim| claim.status == Status::RolledBack) {
        let claim = sources.claim(claim.id)?;
        let words = "Not all of it stood: ";
        blocks.push(Block::Text(line![
            Inline::Strong(words),
            claim,
            " was rolled back."
        ]));
    }
    Ok(blocks)
}

/// What was spent by a time, for the plot.
fn spent(state: &State, at: Timestamp) -> Spent {
    let spent = outcome::spent(state, at);
    Spent([spent.runs, spent.wall_h, spent.gpu_h, spent.usd])
}

/// The metric of a claim, by its candidate runs.
fn value(claim: &Hypothesis) -> Option<f64> {
    let sample = claim.verdict.as_ref()?.candidate;
    (sample.n > 0).then_some(sample.mean)
}

/// All that is drawn.
pub(super) fn of(material: &Material<'_>) -> Progress {
    let Material { chart, state, .. } = material;
    let lower = chart.task.metric.goal == Goal::Min;
    let values: Vec<f64> = state
        .experiments
        .values()
        .filter(|run| run.stage == Stage::Admission && run.status == RunStatus::Ok)
        .filter_map(|run| run.measured.value)
        .collect();
    let sample = Sample::of(&values);
    let mut marks: Vec<Mark> = claims(material, lower);
    let looks = state
        .experiments
        .values()
        .filter(|run| run.stage == Stage::Explore);
    marks.extend(looks.filter_map(|run| {
        Some(Mark {
            anchor: format!("e{}", run.id),
            title: one_line(&run.note),
            at: spent(state, run.finished_at?),
            value: run.measured.value?,
            interval: None,
            fate: Fate::Looked,
        })
    }));
    let mut best = Vec::new();
    for (id, ..) in &state.promotions {
        let claim = state.hypotheses.get(id);
        let Some(claim) = claim.filter(|claim| claim.status == Status::Promoted) else {
            continue;
        };
        let value = state.value_of(*id);
        best.extend(value.map(|value| (spent(state, claim.since), value)));
    }
    let until = if state.stopped {
        state.at.unwrap_or(material.now)
    } else {
        material.now
    };
    Progress {
        metric: one_line(&chart.task.metric.name),
        mock: state.mock,
        lower,
        baseline: (sample.n > 0).then_some((sample.mean, sample.sd)),
        marks,
        best,
        end: spent(state, until),
    }
}

fn claims(material: &Material<'_>, lower: bool) -> Vec<Mark> {
    let state = material.state;
    let entries = material.ledger.iter();
    let claims = state.hypotheses.values().zip(entries);
    claims
        .filter_map(|(claim, entry)| {
            let promoted = claim.status == Status::Promoted;
            let verdict = claim.verdict.as_ref()?;
            let base = verdict.baseline.mean;
            let [lo, hi] = bounded(verdict.ci).unwrap_or([f64::NAN; 2]);
            let sign = if lower { -1.0 } else { 1.0 };
            let interval = [base + sign * lo, base + sign * hi];
            Some(Mark {
                anchor: entry.id.clone(),
                title: format!("{}, {}", one_line(&claim.title), entry.status),
                at: spent(state, claim.since),
                value: value(claim)?,
                interval: (promoted && interval.iter().all(|end| end.is_finite()))
                    .then_some(interval),
                fate: match (promoted, entry.evaluated_by) {
                    (false, _) => Fate::Discarded,
                    (true, "candidate") => Fate::Reported,
                    (true, _) => Fate::Promoted,
                },
            })
        })
        .collect()
}
