//! The entries that everything else cites: the baseline, each claim, each measured run, what was asked
//! for, and the log.

use std::collections::BTreeSet;

use super::document::{Inline, line};
use super::outcome::links;
use super::tried::ratios;
use super::{Block, Blocks, Desk, EntryId, Line, Row, Unresolved};
use crate::domain::event::{Arm, Decision, RunStatus, Stage};
use crate::domain::state::Experiment;
use crate::domain::stats::Sample;
use crate::view::figure::{self, interval, number, one_line, probability, signed, span};
use crate::view::ledger::{self, Entry};

pub(super) fn all(desk: Desk<'_>) -> Blocks {
    let mut blocks = baseline(desk)?;
    blocks.extend(claims(desk)?);
    blocks.extend(runs(desk)?);
    blocks.extend(asked(desk));
    blocks.extend(log(desk));
    Ok(blocks)
}

fn baseline(desk: Desk<'_>) -> Blocks {
    let Desk { material, sources } = desk;
    let runs: Vec<&Experiment> = material
        .state
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
    let mut blocks = vec![Block::Section("Baseline", None)];
    if values.is_empty() {
        blocks.push(Block::Text(line![
            "No baseline run has ended with a metric."
        ]));
    } else {
        blocks.push(spread(desk, &ok, &values)?);
    }
    for again in twice {
        let first = ok.iter().find(|run| run.seed == again.seed);
        let apart = first
            .and_then(|first| Some((first.measured.value? - again.measured.value?).abs()))
            .map_or_else(|| "unknown".to_owned(), number);
        let id = sources.run(again.id)?;
        let apart = id.number(apart);
        blocks.push(Block::Text(line![
            "The same seed run again (",
            id,
            ") came out ",
            apart,
            " apart.",
        ]));
    }
    let mut failed = Vec::new();
    for run in runs {
        if run.finished_at.is_some() && run.status != RunStatus::Ok {
            let id = sources.run(run.id)?;
            let why = id.quote(&run.reason);
            failed.push(line![id, " ended ", run.status.word(), ": ", why]);
        }
    }
    if !failed.is_empty() {
        blocks.push(Block::List(failed));
    }
    Ok(blocks)
}

/// Mean and spread of the baseline, and what a run takes.
fn spread(desk: Desk<'_>, ok: &[&Experiment], values: &[f64]) -> Result<Block, Unresolved> {
    let sample = Sample::of(values);
    let wall = Sample::of(&ok.iter().map(|run| run.measured.wall_s).collect::<Vec<_>>());
    let sd = if sample.n > 1 {
        number(sample.sd)
    } else {
        "unknown".to_owned()
    };
    let all = desk.sources.runs();
    let mut text = line![
        Inline::Name(desk.material.chart.task.metric.name.clone()),
        ": mean ",
        all.number(number(sample.mean)),
        ", sd ",
        all.number(sd),
        ", n = ",
        all.number(sample.n.to_string()),
        " seeds (",
    ];
    text.extend(links(desk, ok.to_vec())?);
    text.extend(line!["); ", all.number(span(wall.mean)), " a run."]);
    Ok(Block::Text(text))
}

fn claims(desk: Desk<'_>) -> Blocks {
    let Desk { material, sources } = desk;
    if material.ledger.is_empty() {
        return Ok(Vec::new());
    }
    let mut blocks = vec![Block::Section("The ledger, claim by claim", None)];
    for (told, entry) in material.state.hypotheses.values().zip(material.ledger) {
        let id = sources.claim(told.id)?;
        let title = id.quote(&entry.title);
        blocks.push(Block::Part(
            id.clone(),
            line![id.clone(), " ", title, ": ", Inline::Strong(entry.status)],
        ));
        blocks.push(Block::Facts(claim(desk, entry)?));
    }
    Ok(blocks)
}

fn claim(desk: Desk<'_>, entry: &Entry) -> Result<Vec<(&'static str, Line)>, Unresolved> {
    let id = desk
        .sources
        .claim(entry.id.trim_start_matches('h').parse().unwrap_or_default())?;
    let mut by = line![
        Inline::Name(entry.agent.clone()),
        ", ",
        Inline::Date(entry.at.to_string())
    ];
    if let Some(commit) = &entry.commit {
        let (commit, base) = (figure::commit(commit), figure::commit(&entry.base));
        by.extend(line![
            ", commit ",
            Inline::Name(commit.to_owned()),
            " on ",
            Inline::Name(base.to_owned())
        ]);
    }
    let mut facts = vec![("by", by)];
    if !entry.mechanism.is_empty() {
        let size = entry.margin.map_or_else(
            || line![" of ", id.number(signed(entry.predicts))],
            |margin| line![" within ", id.number(number(margin))],
        );
        let mut claimed = line![entry.claim];
        claimed.extend(size);
        claimed.extend(line![", matched on ", entry.axis]);
        facts.push(("claimed", claimed));
        facts.push(("because", line![id.quote(&entry.mechanism)]));
        facts.push(("refuted by", line![id.quote(&entry.refuted_by)]));
    }
    if !entry.reason.is_empty() {
        facts.push(("why", line![id.quote(&entry.reason)]));
    }
    facts.extend(numbers(&id, entry));
    facts.extend(reviews(desk, entry, &id));
    let experiments = &desk.material.state.experiments;
    let runs = entry.runs.iter();
    let runs: Vec<&Experiment> = runs
        .filter_map(|run| experiments.get(&run.id.trim_start_matches('e').parse().ok()?))
        .collect();
    if !runs.is_empty() {
        facts.push(("rests on", links(desk, runs)?));
    }
    Ok(facts)
}

/// What others decided on a claim, with what they checked.
fn reviews(desk: Desk<'_>, entry: &Entry, id: &EntryId) -> Option<(&'static str, Line)> {
    let number = entry.id.trim_start_matches('h').parse().ok()?;
    let reviews = desk.material.state.society.reviews.get(&number)?;
    let mut line = Line::new();
    for (at, review) in reviews.iter().enumerate() {
        let decided = match review.decision {
            Decision::Approve => "approved",
            Decision::Veto => "vetoed",
        };
        line.extend(line![
            if at > 0 { "; " } else { "" },
            Inline::Strong(decided),
            " by ",
            Inline::Name(review.by.clone()),
            ": ",
            id.quote(review.reason.head()),
        ]);
        if !review.checks.is_empty() {
            line.extend(line![
                " (checked: ",
                id.quote(&review.checks.join("; ")),
                ")"
            ]);
        }
    }
    Some(("review", line))
}

/// The numbers of a claim's verdict.
fn numbers(id: &EntryId, entry: &Entry) -> Vec<(&'static str, Line)> {
    let mut facts = Vec::new();
    if let Some(effect) = entry.effect {
        let p = entry.p.map_or_else(|| "none".to_owned(), probability);
        let test = entry.test.unwrap_or("no");
        facts.push((
            "gain",
            line![
                id.number(signed(effect)),
                ", 95 % interval ",
                id.number(interval(entry.ci)),
                ", p = ",
                id.number(p),
                ", ",
                test,
                " test",
            ],
        ));
    }
    if entry.candidate.n > 0 {
        let sample = |sample: ledger::Sample| {
            let figure = |value: Option<f64>| value.map_or_else(|| "unknown".to_owned(), number);
            line![
                "mean ",
                id.number(figure(sample.mean)),
                ", sd ",
                id.number(figure(sample.sd)),
                ", n = ",
                id.number(sample.n.to_string()),
            ]
        };
        facts.push(("baseline", sample(entry.baseline)));
        facts.push(("candidate", sample(entry.candidate)));
        facts.push(("cost", line![id.number(ratios(&entry.ratios))]));
    }
    if let Some(more) = entry.more_seeds {
        let more = id.number(more.to_string());
        facts.push((
            "undecided",
            line!["about ", more, " more seeds would decide"],
        ));
    }
    facts
}

fn runs(desk: Desk<'_>) -> Blocks {
    let Desk { material, sources } = desk;
    let mut blocks = vec![Block::Section("All measured runs", Some(sources.runs()))];
    if material.state.experiments.is_empty() {
        blocks.push(Block::Text(line!["None."]));
        return Ok(blocks);
    }
    let metric = format!(">{}", one_line(&material.chart.task.metric.name));
    let mut heads = ["run", "claim", "arm", "stage", ">seed", "commit", "status"]
        .map(str::to_owned)
        .to_vec();
    heads.push(metric);
    heads.extend([">wall", ">GPU", ">MiB", ">FLOPs"].map(str::to_owned));
    let mut rows = Vec::new();
    for run in material.state.experiments.values() {
        let id = sources.run(run.id)?;
        let claim = match run.hypothesis {
            Some(claim) => line![sources.claim(claim)?],
            None => line!["-"],
        };
        let measured = &run.measured;
        let ended = run.finished_at.is_some() && run.status != RunStatus::Cancelled;
        let cell = |text: Option<String>| id.maybe(text);
        let known = |text: String| cell(ended.then_some(text));
        rows.push(Row {
            shows: Some(id.clone()),
            cells: vec![
                line![Inline::Name(format!("e{}", run.id))],
                claim,
                line![Inline::Name(figure::word(&run.arm))],
                line![Inline::Name(figure::word(&run.stage))],
                cell(Some(run.seed.to_string())),
                line![Inline::Name(figure::commit(&run.commit).to_owned())],
                line![run.status.word()],
                cell(measured.value.map(number)),
                known(span(measured.wall_s)),
                known(span(measured.gpu_s)),
                known(format!("{:.0}", measured.peak_mem_mb)),
                cell(measured.flops.map(number)),
            ],
        });
    }
    blocks.push(Block::Table(heads, rows));
    Ok(blocks)
}

/// What of the chart the numbers depend on.
fn asked(desk: Desk<'_>) -> Vec<Block> {
    let Desk { material, sources } = desk;
    let (task, protocol) = (&material.chart.task, &material.chart.protocol);
    let id = sources.chart();
    let guards = protocol.guards.iter();
    let guards: Vec<String> = guards
        .map(|(axis, most)| format!("{axis} ≤ {most}×"))
        .collect();
    let mut facts = vec![
        ("runs", line![id.quote(&task.run)]),
        ("metric", line![Inline::Name(task.metric.name.clone())]),
        (
            "matched on",
            line![
                protocol.matched.as_str(),
                " within ",
                id.number(number(protocol.tolerance))
            ],
        ),
        ("level", line![id.number(number(protocol.alpha))]),
        (
            "baseline",
            line![id.number(protocol.baseline.to_string()), " seeds"],
        ),
    ];
    if !guards.is_empty() {
        facts.push(("guards", line![id.number(guards.join(", "))]));
    }
    if let Some(margin) = protocol.margin {
        facts.push(("margin", line![id.number(number(margin))]));
    }
    let evaluation = task.evaluate.as_ref().map_or_else(
        || line!["none: the metric is read from what the candidate prints"],
        |command| line![id.quote(command)],
    );
    facts.push(("evaluation", evaluation));
    vec![
        Block::Section("What was asked for", Some(id.clone())),
        Block::Facts(facts),
    ]
}

/// The log that all of it is folded from.
fn log(desk: Desk<'_>) -> Vec<Block> {
    let Desk { material, sources } = desk;
    let (state, chain, id) = (material.state, material.chain, sources.log());
    let mut facts = vec![
        ("run", line![Inline::Name(material.status.run.clone())]),
        (
            "directory",
            line![Inline::Name(material.status.dir.clone())],
        ),
        ("events", line![id.number(state.seq.to_string())]),
    ];
    for (what, at) in [("began", state.created), ("last event", state.at)] {
        if let Some(at) = at {
            facts.push((what, line![Inline::Date(at.to_string())]));
        }
    }
    let links = match (chain.broken(), chain.head()) {
        (Some(_), _) => line![Inline::Strong("broken"), ", see the first lines"],
        (None, Some(head)) if chain.linked() > 0 => line![
            id.number(chain.linked().to_string()),
            " entries, head ",
            Inline::Name(head.to_owned()),
        ],
        _ => line!["none: an older program wrote this log"],
    };
    facts.push(("hash chain", links));
    vec![
        Block::Section("The log", Some(id.clone())),
        Block::Facts(facts),
    ]
}
