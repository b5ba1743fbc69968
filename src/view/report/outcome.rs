//! What is believed, and how far: the re-measured gain, what was promoted with its evidence, and what
//! of it may be chance.

use super::document::{Inline, line};
use super::{Block, Blocks, Desk, EntryId, Line, Row, Unresolved};
use crate::domain::event::Stage;
use crate::domain::protocol;
use crate::domain::state::Experiment;
use crate::domain::stats::Sample;
use crate::view::figure::{self, interval, number, probability, signed};
use crate::view::ledger::Entry;

pub(super) fn headline(desk: Desk<'_>) -> Blocks {
    let Desk { material, sources } = desk;
    let state = material.state;
    let metric = Inline::Name(material.chart.task.metric.name.clone());
    let title = "Result";
    let Some(headline) = &state.headline else {
        let words = if state.promotions.is_empty() {
            line![
                "Nothing was promoted. No improvement of ",
                metric,
                " was shown in this run."
            ]
        } else {
            line![
                "The gain of the whole run has not been re-measured yet; what stands below is each claim's \
                 own measurement, and their sum is not the gain.",
            ]
        };
        return Ok(vec![Block::Section(title, None), Block::Text(words)]);
    };
    let entry = sources.headline()?;
    let verdict = &headline.verdict;
    let gain = verdict
        .effect
        .map_or_else(|| "an unknown amount".to_owned(), signed);
    let p = verdict.p.map_or_else(|| "unknown".to_owned(), probability);
    let text = line![
        metric,
        " is better by ",
        Inline::Figure(entry.number(gain)),
        ", 95 % interval ",
        entry.number(interval(figure::bounded(verdict.ci))),
        ", p = ",
        entry.number(p),
        ", re-measured at the end on ",
        entry.number(verdict.candidate.n.to_string()),
        " seeds that nothing was chosen by: ",
        entry.number(number(verdict.baseline.mean)),
        " at the start (",
        Inline::Name(figure::commit(&headline.from).to_owned()),
        "), ",
        entry.number(number(verdict.candidate.mean)),
        " at the end (",
        Inline::Name(figure::commit(&headline.to).to_owned()),
        ").",
    ];
    let mut rests = line!["It rests on "];
    rests.extend(links(desk, closing(desk))?);
    rests.push(".".into());
    let mut blocks = vec![
        Block::Section(title, Some(entry)),
        Block::Text(text),
        Block::Text(rests),
    ];
    if headline.to != state.champion {
        blocks.push(Block::Text(line![
            Inline::Strong("It is of an earlier champion"),
            ": more was promoted since, which has not been re-measured.",
        ]));
    }
    blocks.extend(honesty(desk, verdict.effect)?.map(Block::Text));
    Ok(blocks)
}

/// The verified gain over what the promotions said they gained.
fn honesty(desk: Desk<'_>, verified: Option<f64>) -> Result<Option<Line>, Unresolved> {
    let Desk { material, sources } = desk;
    let standing = material.ledger.iter().filter(|it| it.status == "promoted");
    let reported: f64 = standing.filter_map(|it| it.effect).sum();
    let Some(verified) = verified.filter(|_| reported > 0.0) else {
        return Ok(None);
    };
    let ratio = sources
        .headline()?
        .number(format!("{:.2}", verified / reported));
    let sum = sources.claims().number(signed(reported));
    let mut line = line![
        "Honesty ratio: ",
        Inline::Figure(ratio),
        ", what was re-measured over the sum of what the promoted claims had measured (",
        sum,
        ").",
    ];
    if verified / reported < 0.5 {
        line.extend(line![
            " ",
            Inline::Strong("Less than half of what was reported is there"),
            ": the claims were chosen for their luck.",
        ]);
    }
    Ok(Some(line))
}

fn closing(desk: Desk<'_>) -> Vec<&Experiment> {
    let runs = desk.material.state.experiments.values();
    runs.filter(|run| run.stage == Stage::Closing).collect()
}

/// Links to runs.
pub(super) fn links(desk: Desk<'_>, runs: Vec<&Experiment>) -> Result<Line, Unresolved> {
    let mut line = Line::new();
    for (at, run) in runs.into_iter().enumerate() {
        if at > 0 {
            line.push(", ".into());
        }
        line.push(desk.sources.run(run.id)?.into());
    }
    if line.is_empty() {
        line.push("no runs".into());
    }
    Ok(line)
}

pub(super) fn promoted(desk: Desk<'_>) -> Blocks {
    let Desk { material, sources } = desk;
    let state = material.state;
    let mut blocks = vec![Block::Section("What was promoted", None)];
    if state.promotions.is_empty() {
        blocks.push(Block::Text(line!["Nothing."]));
        return Ok(blocks);
    }
    let heads = [
        "claim",
        "who",
        ">gain",
        ">95 % interval",
        ">p",
        ">seeds",
        ">wall",
        ">FLOPs",
        "measured by",
        "commit",
        "title",
    ];
    let mut rows = Vec::new();
    let mut notes = Vec::new();
    for (id, _, after) in &state.promotions {
        let claim = sources.claim(*id)?;
        let Some(entry) = entry(desk, *id) else {
            continue;
        };
        rows.push(evidence(&claim, entry, after));
        notes.extend(ablation(desk, *id)?);
    }
    blocks.push(Block::Table(heads.map(str::to_owned).to_vec(), rows));
    if !notes.is_empty() {
        blocks.push(Block::List(notes));
    }
    let own_word = |entry: &&Entry| entry.status == "promoted" && entry.evaluated_by == "candidate";
    if material.ledger.iter().any(|entry| own_word(&entry)) {
        blocks.push(Block::Text(line![
            "Figures measured by the candidate are ",
            Inline::Strong("self-reported"),
            ": the harness read them from what the measured program printed, without an evaluation of its own.",
        ]));
    }
    Ok(blocks)
}

fn entry<'a>(desk: Desk<'a>, id: u64) -> Option<&'a Entry> {
    let id = format!("h{id}");
    desk.material.ledger.iter().find(|entry| entry.id == id)
}

/// The evidence for a promoted claim, in a row.
fn evidence(claim: &EntryId, entry: &Entry, after: &str) -> Row {
    let maybe = |value: Option<String>| claim.maybe(value);
    let ratio = |value: Option<f64>| maybe(value.map(|value| format!("{value:.2}×")));
    Row {
        shows: None,
        cells: vec![
            line![claim.clone()],
            line![Inline::Name(entry.agent.clone())],
            maybe(entry.effect.map(signed)),
            maybe(entry.ci.map(|ci| interval(Some(ci)))),
            maybe(entry.p.map(probability)),
            line![claim.number(entry.candidate.n.to_string())],
            ratio(entry.ratios.wall),
            ratio(entry.ratios.flops),
            line![Inline::Name(entry.evaluated_by.to_owned())],
            line![Inline::Name(figure::commit(after).to_owned())],
            line![claim.quote(&entry.title)],
        ],
    }
}

/// What was left out of a promoted claim to see whether it does any work.
fn ablation(desk: Desk<'_>, id: u64) -> Result<Vec<Line>, Unresolved> {
    let state = desk.material.state;
    let entry = desk.sources.claim(id)?;
    let mut lines = Vec::new();
    let Some(claim) = state.hypotheses.get(&id) else {
        return Ok(lines);
    };
    for (part, why) in &claim.dropped {
        lines.push(line![
            entry.clone(),
            ": ",
            Inline::Strong("dropped"),
            " was ",
            entry.quote(part),
            ": ",
            entry.quote(why),
        ]);
    }
    for part in claim.split.iter().flatten() {
        let without: Vec<&Experiment> = state
            .experiments
            .values()
            .filter(|run| run.stage == Stage::Ablate && run.commit == part.without)
            .collect();
        let values: Vec<f64> = without
            .iter()
            .filter_map(|run| run.measured.value)
            .collect();
        let mut line = line![entry.clone(), " without ", entry.quote(&part.name), ": "];
        if values.is_empty() {
            line.push("was not measured".into());
        } else {
            let mean = number(Sample::of(&values).mean);
            let with = claim
                .verdict
                .as_ref()
                .map_or(f64::NAN, |it| it.candidate.mean);
            line.extend(line![
                Inline::Figure(entry.number(mean)),
                ", with it ",
                entry.number(number(with)),
                "; it does its work (",
            ]);
            line.extend(links(desk, without)?);
            line.push(")".into());
        }
        lines.push(line);
    }
    Ok(lines)
}

pub(super) fn multiplicity(desk: Desk<'_>) -> Blocks {
    let Desk { material, sources } = desk;
    let tests = protocol::multiplicity(material.chart.protocol.alpha, material.state);
    if tests.tests.is_empty() {
        return Ok(Vec::new());
    }
    let all = sources.claims();
    let n = tests.tests.len();
    let mut text = all.count(n, " claim was put to a test", " claims were put to a test");
    text.extend(line![
        ", each at level ",
        sources
            .chart()
            .number(number(material.chart.protocol.alpha)),
        "; if none of them were true, ",
        all.number(number(tests.by_chance)),
        " would be expected to pass by chance. ",
        Inline::Figure(all.number(tests.confirmed().to_string())),
        " passed, and ",
        Inline::Figure(all.number(tests.standing().to_string())),
        " of those still stand when all tests of all agents are taken together (Benjamini and Hochberg, false \
         discovery rate at most ",
        all.number(number(tests.rate)),
        ").",
    ]);
    let mut blocks = vec![
        Block::Section("What of it may be chance", None),
        Block::Text(text),
    ];
    let mut fallen = Vec::new();
    for test in tests
        .tests
        .iter()
        .filter(|test| test.confirmed && !test.stands)
    {
        let claim = sources.claim(test.id)?;
        let q = claim.number(probability(test.q));
        fallen.push(line![claim, " does not: adjusted p ", q]);
    }
    if !fallen.is_empty() {
        blocks.push(Block::List(fallen));
    }
    Ok(blocks)
}
