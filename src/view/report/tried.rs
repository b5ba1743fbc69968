//! What was tried, what was refused and why, and what was looked at without a claim.

use super::document::{Inline, line};
use super::{Block, Blocks, Desk, Row};
use crate::domain::event::Stage;
use crate::domain::protocol::Ratios;
use crate::domain::state::Hypothesis;
use crate::view::figure::{interval, number, probability, signed};

pub(super) fn refused(desk: Desk<'_>) -> Blocks {
    let exits: Vec<&Hypothesis> = desk
        .material
        .state
        .hypotheses
        .values()
        .filter(|claim| claim.status.is_exit())
        .collect();
    let mut blocks = vec![Block::Section("What was refused, and why", None)];
    if exits.is_empty() {
        blocks.push(Block::Text(line!["Nothing."]));
        return Ok(blocks);
    }
    let mut lines = Vec::new();
    for claim in exits {
        let entry = desk.sources.claim(claim.id)?;
        let mut line = line![
            entry.clone(),
            " ",
            entry.quote(&claim.title),
            " (",
            Inline::Name(claim.agent.clone()),
            "): ",
            Inline::Strong(claim.status.word()),
        ];
        if !claim.reason.is_empty() {
            line.extend(line![": ", entry.quote(&claim.reason)]);
        }
        lines.push(line);
    }
    blocks.push(Block::List(lines));
    Ok(blocks)
}

pub(super) fn table(desk: Desk<'_>) -> Blocks {
    let Desk { material, sources } = desk;
    let section = Block::Section("What was tried", Some(sources.claims()));
    if material.ledger.is_empty() {
        return Ok(vec![section, Block::Text(line!["No claim was made."])]);
    }
    let heads = [
        "claim",
        "who",
        "kind",
        "status",
        ">gain",
        ">95 % interval",
        ">p",
        ">seeds",
        ">wall",
        ">FLOPs",
        "title",
    ];
    let mut rows = Vec::new();
    for (claim, entry) in material.state.hypotheses.values().zip(material.ledger) {
        let id = sources.claim(claim.id)?;
        let maybe = |value: Option<String>| id.maybe(value);
        let ratio = |value: Option<f64>| maybe(value.map(|value| format!("{value:.2}×")));
        rows.push(Row {
            shows: None,
            cells: vec![
                line![id.clone()],
                line![Inline::Name(entry.agent.clone())],
                line![entry.claim],
                line![entry.status],
                maybe(entry.effect.map(signed)),
                maybe(entry.ci.map(|ci| interval(Some(ci)))),
                maybe(entry.p.map(probability)),
                line![id.number(entry.candidate.n.to_string())],
                ratio(entry.ratios.wall),
                ratio(entry.ratios.flops),
                line![id.quote(&entry.title)],
            ],
        });
    }
    let words = line!["Gains are signed so that positive is better, whatever the metric."];
    Ok(vec![
        section,
        Block::Text(words),
        Block::Table(heads.map(str::to_owned).to_vec(), rows),
    ])
}

/// Costs, candidate over baseline.
pub(in crate::view) fn ratios(ratios: &Ratios) -> String {
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

pub(super) fn explored(desk: Desk<'_>) -> Blocks {
    let Desk { material, sources } = desk;
    let runs = material.state.experiments.values();
    let looks: Vec<_> = runs.filter(|run| run.stage == Stage::Explore).collect();
    let mut blocks = vec![Block::Section("Looking around", None)];
    if looks.is_empty() {
        blocks.push(Block::Text(line!["No run was made without a claim."]));
        return Ok(blocks);
    }
    blocks.push(Block::Text(line![
        "Runs without a claim, one seed each: leads, not results.",
    ]));
    let mut lines = Vec::new();
    for run in looks {
        let id = sources.run(run.id)?;
        let value = run.measured.value;
        let value = value.map_or_else(|| "no metric".to_owned(), number);
        lines.push(line![
            id.clone(),
            " by ",
            Inline::Name(run.agent.clone().unwrap_or_else(|| "lab".to_owned())),
            ", ",
            run.status.word(),
            ", ",
            id.number(value),
            ": ",
            id.quote(&run.note),
        ]);
    }
    blocks.push(Block::List(lines));
    Ok(blocks)
}
