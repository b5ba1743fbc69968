//! Who did what: agents, what they wrote to each other, and where people stepped in.

use std::collections::BTreeMap;

use super::document::{Inline, line};
use super::{Block, Blocks, Desk, EntryId, Row};
use crate::domain::event::{Event, Outcome};
use crate::domain::state::State;
use crate::view::figure::{count, span};
use crate::view::line as event_line;
use crate::view::status::AgentRow;

/// Pairs of correspondents that are listed; the rest are summed.
const PAIRS: usize = 20;
/// Interventions that are listed.
const DEEDS: usize = 200;

pub(super) fn agents(desk: Desk<'_>) -> Blocks {
    let Desk { material, sources } = desk;
    let state = material.state;
    let mut blocks = vec![Block::Section("Who did what", Some(sources.agents()))];
    let mut rows = Vec::new();
    for agent in &material.status.agents {
        let id = sources.agent(&agent.name)?;
        rows.push(row(state, agent, &id));
    }
    if rows.is_empty() {
        blocks.push(Block::Text(line![
            "There is no agent in this org: people work in it alone."
        ]));
        return Ok(blocks);
    }
    let heads = [
        "agent",
        "role",
        "model",
        "state",
        ">turns",
        ">input",
        ">cached",
        ">output",
        ">usd",
        ">mails",
        ">claims",
        ">promoted",
    ];
    blocks.push(Block::Table(heads.map(str::to_owned).to_vec(), rows));
    let people = material
        .ledger
        .iter()
        .filter(|entry| sources.agent(&entry.agent).is_err());
    let people = people.count();
    if people > 0 {
        let words = [
            " claim was made by a person.",
            " claims were made by people.",
        ];
        let line = sources.claims().count(people, words[0], words[1]);
        blocks.push(Block::Text(line));
    }
    Ok(blocks)
}

/// What one agent did, in a row.
fn row(state: &State, agent: &AgentRow, id: &EntryId) -> Row {
    let own = |name: &str| name == agent.name;
    let sent = state.mails.values().filter(|mail| own(&mail.from)).count();
    let claims = state
        .hypotheses
        .values()
        .filter(|it| own(&it.agent))
        .count();
    let by = |claim: &u64| state.hypotheses.get(claim).is_some_and(|it| own(&it.agent));
    let promoted = state
        .promotions
        .iter()
        .filter(|(claim, ..)| by(claim))
        .count();
    let cell = |text: String| line![id.number(text)];
    Row {
        shows: Some(id.clone()),
        cells: vec![
            line![Inline::Name(agent.name.clone())],
            line![Inline::Name(agent.role.clone())],
            line![Inline::Name(agent.model.clone())],
            line![agent.state],
            cell(agent.turns.to_string()),
            cell(count(agent.tokens.input + agent.tokens.cache_write)),
            cell(count(agent.tokens.cache_read)),
            cell(count(agent.tokens.output)),
            cell(format!("{:.2}", agent.usd)),
            cell(sent.to_string()),
            cell(claims.to_string()),
            cell(promoted.to_string()),
        ],
    }
}

pub(super) fn mail(desk: Desk<'_>) -> Blocks {
    let Desk { material, sources } = desk;
    let mails = &material.state.mails;
    let id = sources.mail();
    let mut blocks = vec![Block::Section("Mail and processes", Some(id.clone()))];
    blocks.extend(processes(desk, &id));
    if mails.is_empty() {
        blocks.push(Block::Text(line!["Nobody wrote to anybody."]));
        return Ok(blocks);
    }
    let mut pairs: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for mail in mails.values() {
        for to in &mail.to {
            *pairs.entry((&mail.from, to)).or_default() += 1;
        }
    }
    let tasks = mails.values().filter(|mail| mail.assignment).count();
    let unread = mails
        .values()
        .filter(|mail| mail.to.iter().any(|to| !mail.read_by.contains(to)))
        .count();
    let mut told = id.count(mails.len(), " message, ", " messages, ");
    told.extend(id.count(tasks, " of them gave a task; ", " of them gave tasks; "));
    told.extend(id.count(
        unread,
        " has not been taken in by everybody it was for.",
        " have not been taken in by everybody they were for.",
    ));
    blocks.push(Block::Text(told));
    let mut sorted: Vec<_> = pairs.into_iter().collect();
    sorted.sort_by_key(|(pair, n)| (std::cmp::Reverse(*n), *pair));
    let rest: usize = sorted.iter().skip(PAIRS).map(|(_, n)| n).sum();
    let mut rows: Vec<Row> = sorted
        .into_iter()
        .take(PAIRS)
        .map(|((from, to), n)| Row {
            shows: None,
            cells: vec![
                line![Inline::Name(from.to_owned())],
                line![Inline::Name(to.to_owned())],
                line![id.number(n.to_string())],
            ],
        })
        .collect();
    if rest > 0 {
        rows.push(Row {
            shows: None,
            cells: vec![
                line!["others"],
                line!["others"],
                line![id.number(rest.to_string())],
            ],
        });
    }
    let heads = ["from", "to", ">messages"].map(str::to_owned).to_vec();
    blocks.push(Block::Table(heads, rows));
    Ok(blocks)
}

/// How often each process of the chart fired, and what came of it.
fn processes(desk: Desk<'_>, id: &EntryId) -> Option<Block> {
    let Desk { material, .. } = desk;
    let rows = material.chart.processes.iter().map(|process| {
        let firings = material.state.society.of(&process.name);
        let ended = |wanted: Outcome| {
            let closed = firings.iter().filter_map(|firing| firing.closed);
            line![id.number(closed.filter(|(_, it)| *it == wanted).count().to_string())]
        };
        let count = |n: usize| line![id.number(n.to_string())];
        let asked = firings.iter().map(|firing| firing.asked.len()).sum();
        let answers = firings.iter().map(|firing| firing.answers.len()).sum();
        let reminders = firings.iter().map(|firing| firing.reminders as usize).sum();
        Row {
            shows: None,
            cells: vec![
                line![Inline::Name(process.name.clone())],
                count(firings.len()),
                count(asked),
                count(answers),
                count(reminders),
                ended(Outcome::Missed),
                ended(Outcome::Escalated),
            ],
        }
    });
    let rows: Vec<Row> = rows.collect();
    let heads = [
        "process",
        ">fired",
        ">asked",
        ">answers",
        ">reminders",
        ">missed",
        ">told a person",
    ];
    (!rows.is_empty()).then(|| Block::Table(heads.map(str::to_owned).to_vec(), rows))
}

pub(super) fn interventions(desk: Desk<'_>) -> Blocks {
    let Desk { material, sources } = desk;
    let n = usize::try_from(material.state.interventions).unwrap_or(usize::MAX);
    let mut told = line!["People intervened "];
    told.extend(sources.log().count(n, " time.", " times."));
    let mut blocks = vec![
        Block::Section("Where people stepped in", None),
        Block::Text(told),
    ];
    let began = material.state.created;
    let since = |event: &Event| {
        began.map_or_else(String::new, |from| {
            span(event.at.duration_since(from).as_secs_f64().max(0.0))
        })
    };
    let mut rows = Vec::new();
    for event in material.deeds.iter().take(DEEDS) {
        let id = sources.event(event.seq)?;
        rows.push(Row {
            cells: vec![
                line![id.number(event.seq.to_string())],
                line![id.number(since(event))],
                line![Inline::Name(event_line::kind(event))],
                line![id.quote(&event_line::summary(&event.body))],
            ],
            shows: Some(id),
        });
    }
    if !rows.is_empty() {
        let heads = [">event", ">after", "what", "which"].map(str::to_owned);
        blocks.push(Block::Table(heads.to_vec(), rows));
    }
    if material.deeds.len() > DEEDS {
        blocks.push(Block::Text(line![
            "The later ones are left out here; ",
            Inline::Name("org logs human".to_owned()),
            " has all.",
        ]));
    }
    Ok(blocks)
}
