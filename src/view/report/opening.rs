//! The first lines: what has to be known before anything is believed, what happened, what was
//! promoted, what it cost, and what waits for a person.

use super::document::{Inline, line};
use super::{Block, Blocks, Desk, EntryId, Line};
use crate::view::figure::{interval, one_line, signed, span};
use crate::view::status::Spending;

/// Things that wait for a person that are named in the first lines.
const NEEDS_SHOWN: usize = 2;
/// Promoted claims that are named there.
const PROMOTED_SHOWN: usize = 6;

pub(super) fn head(desk: Desk<'_>) -> Blocks {
    let Desk { material, sources } = desk;
    let mut blocks = Vec::new();
    if material.status.mock {
        let words = "MOCKED RUN: the models were pretended, and nothing below is research.";
        blocks.push(Block::Warning(line![words]));
    }
    if let Some(broken) = material.chain.broken() {
        let event = sources.log().number(broken.seq.to_string());
        blocks.push(Block::Warning(line![
            "THE LEDGER WAS CHANGED after it was written: its hash chain breaks at event ",
            event,
            ". Nothing below can be relied upon.",
        ]));
    }
    let org = Inline::Name(material.status.org.clone());
    let mission = sources.chart().quote(&material.chart.mission);
    blocks.push(Block::Title(line![org, ": ", mission]));
    blocks.push(Block::Facts(vec![
        ("What happened", happened(desk)),
        ("Promoted", promoted(desk)?),
        ("It cost", cost(desk)),
        ("Needs you", needs(desk)),
        ("Confinement", confinement(desk)),
    ]));
    Ok(blocks)
}

fn happened(desk: Desk<'_>) -> Line {
    let Desk { material, sources } = desk;
    let status = material.status;
    let runs = status.experiments;
    let wall = sources.log().number(span(status.budget.wall_seconds.spent));
    let n = material.ledger.len();
    let claims = sources.claims().count(n, " claim, ", " claims, ");
    let mut line = line![
        "the run is ",
        Inline::Strong(status.state),
        ", ",
        wall,
        " after it began"
    ];
    if !status.reason.is_empty() {
        line.extend(line![" (", sources.log().quote(&status.reason), ")"]);
    }
    line.push(": ".into());
    line.extend(claims);
    let done = usize::try_from(runs.done).unwrap_or(usize::MAX);
    line.extend(
        sources
            .runs()
            .count(done, " measured run", " measured runs"),
    );
    let left = runs.running + runs.queued;
    if left > 0 {
        let left = sources.runs().number(left.to_string());
        line.extend(line![", ", left, " more under way"]);
    }
    line.extend(line!["; run ", Inline::Name(status.run.clone())]);
    line
}

fn promoted(desk: Desk<'_>) -> Result<Line, super::Unresolved> {
    let Desk { material, sources } = desk;
    let state = material.state;
    let metric = Inline::Name(material.chart.task.metric.name.clone());
    let stand = material
        .ledger
        .iter()
        .filter(|entry| entry.status == "promoted");
    let ids: Vec<u64> = stand
        .filter_map(|entry| entry.id.trim_start_matches('h').parse().ok())
        .collect();
    if ids.is_empty() {
        return Ok(line!["nothing: no improvement of ", metric, " was shown"]);
    }
    let mut line = Line::new();
    match &state.headline {
        Some(headline) => {
            let entry = sources.headline()?;
            let verdict = &headline.verdict;
            let gain = verdict
                .effect
                .map_or_else(|| "an unknown amount".to_owned(), signed);
            let ci = interval(crate::view::figure::bounded(verdict.ci));
            line.extend(line![
                metric,
                " better by ",
                Inline::Figure(entry.number(gain)),
                " ",
                entry.number(ci),
                ", re-measured at the end on seeds that nothing was chosen by: ",
            ]);
        }
        None => line.extend(line![
            metric,
            " improved, by how much in all has not been re-measured: ",
        ]),
    }
    for (at, id) in ids.iter().take(PROMOTED_SHOWN).enumerate() {
        if at > 0 {
            line.push(", ".into());
        }
        let entry = sources.claim(*id)?;
        let title = entry.quote(&state.hypotheses[id].title);
        line.extend(line![entry, " ", title]);
    }
    if ids.len() > PROMOTED_SHOWN {
        let more = sources
            .claims()
            .number((ids.len() - PROMOTED_SHOWN).to_string());
        line.extend(line![" and ", more, " more"]);
    }
    Ok(line)
}

/// An amount, and the cap where there is one.
pub(super) fn amount(
    spent: &EntryId,
    cap: &EntryId,
    of: Spending,
    write: &dyn Fn(f64) -> String,
) -> Line {
    let mut line = line![spent.number(write(of.spent))];
    if let Some(limit) = of.cap {
        line.extend(line![" of ", cap.number(write(limit))]);
    }
    line
}

fn cost(desk: Desk<'_>) -> Line {
    let Desk { material, sources } = desk;
    let budget = &material.status.budget;
    let (means, chart) = (sources.means(), sources.chart());
    let mut line = amount(&means, &chart, budget.usd, &|usd| format!("${usd:.2}"));
    line.push(" for models, ".into());
    line.extend(amount(&means, &chart, budget.gpu_seconds, &gpu_hours));
    line.push(" of GPUs, ".into());
    line.extend(amount(&means, &chart, budget.wall_seconds, &span));
    line.push(" of time".into());
    line
}

/// Seconds of GPUs as hours, which is what is paid for.
pub(super) fn gpu_hours(seconds: f64) -> String {
    match seconds / 3600.0 {
        hours if hours >= 100.0 => format!("{hours:.0} h"),
        hours if hours >= 0.1 || seconds == 0.0 => format!("{hours:.1} h"),
        _ => span(seconds),
    }
}

fn needs(desk: Desk<'_>) -> Line {
    let Desk { material, sources } = desk;
    let needs = &material.status.needs_you;
    if needs.is_empty() {
        return line!["nothing"];
    }
    let mut line = Line::new();
    for (at, need) in needs.iter().take(NEEDS_SHOWN).enumerate() {
        if at > 0 {
            line.push("; ".into());
        }
        let whom = need.agent.as_deref().unwrap_or("the run");
        let reason = sources.whoever(whom).quote(&need.reason);
        line.extend(line![Inline::Name(one_line(whom)), ": ", reason]);
    }
    if needs.len() > NEEDS_SHOWN {
        let more = sources
            .log()
            .number((needs.len() - NEEDS_SHOWN).to_string());
        line.extend(line![
            "; and ",
            more,
            " more, see ",
            Inline::Name("org status".to_owned())
        ]);
    }
    line
}

/// What the kernel enforced.
fn confinement(desk: Desk<'_>) -> Line {
    let sandbox = &desk.material.status.sandbox;
    if sandbox.is_empty() {
        return line!["not known: no supervisor has reported it"];
    }
    let of = |wanted: &str| {
        let rights = sandbox.iter().filter(|(_, word)| **word == wanted);
        let rights: Vec<&str> = rights.map(|(right, _)| right.as_str()).collect();
        if rights.is_empty() {
            "nothing".to_owned()
        } else {
            rights.join(", ")
        }
    };
    line![
        "of what agents ran, enforced: ",
        Inline::Name(of("enforced")),
        "; not enforced: ",
        Inline::Name(of("not")),
    ]
}
