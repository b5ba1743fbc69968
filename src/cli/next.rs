//! `org next`: go to what has needed a person for longest.
//!
//! Where there is a terminal and an office, the pane that it is about is chosen and shown; anywhere
//! else it is told, with the command to type. Must not know what needs a person: that is one list.

use clap::Args;
use serde::Serialize;

use super::Context;
use super::attach;
use super::failure::Failure;
use super::place::{self, RunOrArg};
use crate::domain::needs::{self, Need};
use crate::os::clock;
use crate::run::log::Log;
use crate::view::figure;

/// Go to what has needed you for longest
///
/// In a terminal it shows the pane that it is about; elsewhere it prints what is the matter and what
/// to type.
#[derive(Debug, Clone, Args)]
pub(super) struct NextArgs {
    #[command(flatten)]
    run: RunOrArg,
    /// Print JSON and go nowhere
    #[arg(long)]
    json: bool,
}

/// As scripts read it; null where nothing needs a person.
#[derive(Debug, Serialize)]
struct Next<'a> {
    run: String,
    since: jiff::Timestamp,
    agent: Option<&'a str>,
    reason: &'a str,
    command: &'a str,
    more: usize,
}

/// Runs the command.
///
/// # Errors
/// Where there is no run, or its office cannot be shown.
pub(super) fn run(context: &Context, args: &NextArgs) -> Result<(), Failure> {
    let (place, ui) = (&context.place, &context.ui);
    let dir = place.reading(args.run.name())?;
    let chart = place::chart(&dir)?;
    let log = Log::open(&dir)?;
    let now = clock::now();
    let needs = needs::needs_you(&chart, log.state(), now);
    let first = needs.first();
    if args.json {
        let next = first.map(|need| Next {
            run: dir.id(),
            since: need.since,
            agent: need.agent.as_deref(),
            reason: &need.reason,
            command: &need.command,
            more: needs.len() - 1,
        });
        return ui.json(&next);
    }
    let Some(need) = first else {
        return ui.out(&format!("nothing in {} needs you\n", dir.id()));
    };
    let since = figure::ago(need.since, now);
    let more = match needs.len() - 1 {
        0 => String::new(),
        n => format!("; {n} more after that"),
    };
    ui.out(&format!(
        "{}, for {since}: {}{more}\n",
        whom(need, &dir.id()),
        need.reason
    ))?;
    ui.note(&format!("type: {} (in {})", need.command, dir.id()));
    let shown = ui.is_terminal() && !log.state().headless && place::supervised(&dir);
    if !shown {
        return Ok(());
    }
    let pane = need
        .agent
        .as_deref()
        .filter(|name| chart.agent(name).is_some());
    attach::attach(context, &dir, pane)
}

fn whom(need: &Need, run: &str) -> String {
    need.agent.clone().unwrap_or_else(|| run.to_owned())
}
