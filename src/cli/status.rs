//! `org status`: how one run stands.

use clap::Args;

use super::Context;
use super::failure::Failure;
use super::place::{self, RunOrArg};
use crate::os::clock;
use crate::run::log::Log;
use crate::view::{status, status_text};

/// Show how a run stands: agents, claims, budget, and what needs you
#[derive(Debug, Clone, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    run: RunOrArg,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(context: &Context, args: &StatusArgs) -> Result<(), Failure> {
    let Context { place, ui } = context;
    let dir = place.reading(args.run.name())?;
    let chart = place::chart(&dir)?;
    let log = Log::open(&dir)?;
    let seen = place::observe(&dir, &chart);
    let now = clock::now();
    let status = status::of(&chart, log.state(), &seen, now);
    if args.json {
        return ui.json(&status);
    }
    ui.out(&status_text(&status, now, ui.width(), ui.paint()))
}
