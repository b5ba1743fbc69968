//! How a run stands, for people: a calm page of at most 80 columns.
//!
//! Owns the order, from what matters most: the run, what needs a person, agents, claims, budget.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::figure;
use super::notice;
use super::paint::{Paint, Tint};
use super::runs::run_tint;
use super::status::{AgentRow, Need, Spending, Status};
use super::table::{Cell, Table, cut};

/// Columns before what needs a person.
const INDENT: usize = 9;

/// Promotions that the page lists.
const PROMOTED: usize = 3;

/// The page.
#[must_use]
pub fn text(status: &Status, now: Timestamp, width: usize, paint: Paint) -> String {
    let mut out = head(status, now, width, paint);
    if !status.needs_you.is_empty() {
        out.push_str(&paint.tint(Tint::Bad, "\nneeds you\n"));
        for need in &status.needs_you {
            out.push_str(&waiting(need, now, width, paint));
        }
    }
    for outage in &status.outages {
        let wait = outage.until.duration_since(now).as_secs_f64().max(0.0);
        let line = format!(
            "{}: {} since {} ago, tried again in {}; stops {}",
            outage.provider,
            outage.reason,
            figure::ago(outage.since, now),
            figure::span(wait),
            outage.agents.join(", ")
        );
        let line = cut(&figure::one_line(&line), width);
        out.push_str(&paint.tint(Tint::Notable, &line));
        out.push('\n');
    }
    out.push('\n');
    out.push_str(&agents(status, now, width, paint));
    out.push_str(&tasks(status, now, width, paint));
    out.push('\n');
    out.push_str(&lab(status, width));
    out.push_str(&notice::text(&status.notices, now, width));
    out.push_str(&spending(status, width));
    out
}

/// One thing that waits for a person: in full, since a reason cut short helps nobody.
fn waiting(need: &Need, now: Timestamp, width: usize, paint: Paint) -> String {
    let whom = need.agent.as_deref().unwrap_or("the run");
    let words = format!("{whom}: {}", figure::one_line(&need.reason));
    let mut out = String::new();
    let mut lead = format!("{:>7}  ", figure::ago(need.since, now));
    for line in wrapped(&words, width.saturating_sub(INDENT)) {
        writeln!(out, "{lead}{line}").expect("a string takes everything");
        lead = " ".repeat(INDENT);
    }
    let command = cut(&format!("type: {}", need.command), width - INDENT);
    let command = paint.tint(Tint::Dim, &command);
    writeln!(out, "{lead}{command}").expect("a string takes everything");
    out
}

/// Lines of at most `width` characters, broken at spaces; a longer word is cut.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let word = cut(word, width);
        let last = lines.last_mut().expect("never empty");
        let both = last.chars().count() + 1 + word.chars().count();
        if last.is_empty() {
            last.push_str(&word);
        } else if both <= width {
            last.push(' ');
            last.push_str(&word);
        } else {
            lines.push(word);
        }
    }
    lines
}

fn head(status: &Status, now: Timestamp, width: usize, paint: Paint) -> String {
    let mut out = paint.tint(Tint::Bold, &status.run);
    write!(
        out,
        "  {}",
        paint.tint(run_tint(status.state), status.state)
    )
    .expect("a string takes everything");
    if status.mock {
        let mark = "MOCK: models are pretended, no result here is research";
        write!(out, "  {}", paint.tint(Tint::Notable, mark)).expect("a string takes everything");
    }
    out.push('\n');
    let mut words = Vec::new();
    if let Some(started) = status.started {
        words.push(format!("started {} ago", figure::ago(started, now)));
    }
    if !status.reason.is_empty() {
        words.push(figure::one_line(&status.reason));
    }
    if !status.supervisor.alive {
        words.push("no supervisor lives".to_owned());
    }
    let line = cut(&words.join(" · "), width);
    out.push_str(&paint.tint(Tint::Dim, &line));
    out.push('\n');
    out
}

fn agents(status: &Status, now: Timestamp, width: usize, paint: Paint) -> String {
    let heads = [
        "AGENT", "GPU", "STATE", ">SINCE", ">TURNS", ">TOKENS", ">USD", ">MAIL", "WHY",
    ];
    let mut table = Table::new(&heads);
    for agent in &status.agents {
        let AgentRow { tokens, .. } = agent;
        let all = tokens.input + tokens.output + tokens.cache_read + tokens.cache_write;
        let since = agent.since.map(|since| figure::ago(since, now));
        table.row(vec![
            Cell::tinted(Tint::Bold, &agent.name),
            agent
                .gpu
                .map_or_else(|| "-".to_owned(), |gpu| gpu.to_string())
                .into(),
            Cell::tinted(agent_tint(agent.state), agent.state),
            since.unwrap_or_default().into(),
            agent.turns.to_string().into(),
            figure::count(all).into(),
            format!("{:.2}", agent.usd).into(),
            agent.unread.to_string().into(),
            (&agent.reason).into(),
        ]);
    }
    table.text(width, paint)
}

/// Who is on what: every open task that somebody was given.
fn tasks(status: &Status, now: Timestamp, width: usize, paint: Paint) -> String {
    let mut table = Table::new(&["ON WHAT", "TASK", "FROM", ">SINCE", ""]);
    for agent in &status.agents {
        for task in &agent.tasks {
            table.row(vec![
                Cell::tinted(Tint::Bold, &agent.name),
                (&task.id).into(),
                (&task.from).into(),
                figure::ago(task.since, now).into(),
                (&task.task).into(),
            ]);
        }
    }
    if table.is_empty() {
        return String::new();
    }
    format!("\n{}", table.text(width, paint))
}

/// How an agent's state is tinted.
fn agent_tint(state: &str) -> Tint {
    match state {
        "thinking" | "tool" => Tint::Good,
        "held" | "unknown" => Tint::Bad,
        "paused" | "starting" => Tint::Notable,
        _ => Tint::Dim,
    }
}

/// What came of it, in a handful of lines: what a person reads in the morning.
fn lab(status: &Status, width: usize) -> String {
    let runs = status.experiments;
    let frozen = match runs.frozen {
        0 => String::new(),
        n => format!(" ({n} stand still)"),
    };
    let mut out = format!(
        "experiments  {} queued, {} running{frozen}, {} done\n",
        runs.queued, runs.running, runs.done
    );
    let claims: Vec<String> = status
        .hypotheses
        .iter()
        .map(|(word, n)| format!("{n} {word}"))
        .collect();
    let claims = if claims.is_empty() {
        "none yet".to_owned()
    } else {
        claims.join(", ")
    };
    writeln!(out, "claims       {claims}").expect("a string takes everything");
    out.push_str(&promoted(status, width));
    if let Some(best) = &status.best {
        let value = figure::number(best.value);
        writeln!(
            out,
            "best         {value}, by {} (measured by the candidate's own output)",
            best.hypothesis
        )
        .expect("a string takes everything");
    }
    if let Some(headline) = &status.headline {
        let effect = headline.effect.map_or_else(String::new, figure::signed);
        let ci = figure::interval(headline.ci);
        writeln!(
            out,
            "gain         {effect}, 95 % interval {ci}, re-measured on {} seeds",
            headline.n
        )
        .expect("a string takes everything");
    }
    out
}

/// The last claims that were promoted, newest first.
fn promoted(status: &Status, width: usize) -> String {
    let mut out = String::new();
    let mut lead = "promoted     ".to_owned();
    for row in status.promotions.iter().rev().take(PROMOTED) {
        let effect = row.effect.map_or_else(String::new, figure::signed);
        let line = format!(
            "{} {effect}: {}",
            row.hypothesis,
            figure::one_line(&row.title)
        );
        let line = cut(&format!("{lead}{line}"), width);
        writeln!(out, "{line}").expect("a string takes everything");
        lead = " ".repeat(lead.len());
    }
    if status.promotions.len() > PROMOTED {
        let more = status.promotions.len() - PROMOTED;
        writeln!(out, "{lead}and {more} before: org ledger").expect("a string takes everything");
    }
    out
}

fn spending(status: &Status, width: usize) -> String {
    let budget = &status.budget;
    let part = |what: Spending, write: &dyn Fn(f64) -> String| {
        let mut text = write(what.spent);
        if what.reserved > 0.0 {
            text.push_str(&format_args!(" (+{} set aside)", write(what.reserved)).to_string());
        }
        if let Some(cap) = what.cap {
            text.push_str(&format_args!(" of {}", write(cap)).to_string());
        }
        text
    };
    let parts = [
        part(budget.usd, &|usd| format!("${usd:.2}")),
        format!("GPU {}", part(budget.gpu_seconds, &figure::span)),
        format!("wall {}", part(budget.wall_seconds, &figure::span)),
        format!("disk {}", part(budget.disk_bytes, &figure::bytes)),
    ];
    let mut out = String::new();
    let mut lead = "budget       ";
    for line in wrapped(&parts.join(" · "), width.saturating_sub(lead.len())) {
        writeln!(out, "{lead}{line}").expect("a string takes everything");
        lead = "             ";
    }
    let stepped = match status.interventions {
        0 => "nobody stepped in".to_owned(),
        1 => "stepped in once".to_owned(),
        n => format!("stepped in {n} times"),
    };
    writeln!(out, "people       {stepped}").expect("a string takes everything");
    out
}
