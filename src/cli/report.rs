//! `org report`: the whole story, as Markdown.

use clap::Args;
use serde::Serialize;

use super::Context;
use super::failure::Failure;
use super::place::{self, RunOrArg};
use crate::os::clock;
use crate::run::log::Log;
use crate::view::ledger::{self, Entry};
use crate::view::status::{self, Status};
use crate::view::{report, results};

/// Print what was tried, refused and promoted, and what it cost, as Markdown
#[derive(Debug, Clone, Args)]
pub(super) struct ReportArgs {
    #[command(flatten)]
    run: RunOrArg,
    /// Print autoresearch's five columns instead
    #[arg(long)]
    tsv: bool,
    /// Print JSON: status and ledger
    #[arg(long, conflicts_with = "tsv")]
    json: bool,
}

#[derive(Serialize)]
struct Whole<'a> {
    status: &'a Status,
    ledger: &'a [Entry],
}

pub(super) fn run(context: &Context, args: &ReportArgs) -> Result<(), Failure> {
    let Context { place, ui } = context;
    let dir = place.reading(args.run.name())?;
    let chart = place::chart(&dir)?;
    let log = Log::open(&dir)?;
    let state = log.state();
    if args.tsv {
        return ui.out(&results::tsv(&chart, state));
    }
    let now = clock::now();
    let status = status::of(&chart, state, &place::observe(&dir, &chart), now);
    let ledger = ledger::of(state);
    if args.json {
        return ui.json(&Whole {
            status: &status,
            ledger: &ledger,
        });
    }
    ui.out(&report::text(&report::Material {
        chart: &chart,
        state,
        status: &status,
        ledger: &ledger,
        now,
    }))
}
