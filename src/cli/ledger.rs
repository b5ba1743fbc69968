//! `org ledger`: what was claimed and what came of it.

use clap::Args;

use super::Context;
use super::failure::Failure;
use super::place::RunOrArg;
use crate::run::log::Log;
use crate::view::ledger;

/// List every claim with its verdict and the runs it rests on
#[derive(Debug, Clone, Args)]
pub(super) struct LedgerArgs {
    #[command(flatten)]
    run: RunOrArg,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(context: &Context, args: &LedgerArgs) -> Result<(), Failure> {
    let Context { place, ui } = context;
    let dir = place.reading(args.run.name())?;
    let log = Log::open(&dir)?;
    let entries = ledger::of(log.state());
    if args.json {
        return ui.json(&entries);
    }
    if entries.is_empty() {
        ui.note("no claim was made yet; `org logs lab` shows what is being measured");
        return Ok(());
    }
    if log.state().mock {
        ui.note("MOCK: models are pretended, no result here is research");
    }
    ui.out(&ledger::text(&entries, ui.width(), ui.paint()))
}
