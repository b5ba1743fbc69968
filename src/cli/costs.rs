//! `org costs`: what models cost, and what for.

use clap::{Args, ValueEnum};

use super::Context;
use super::failure::Failure;
use super::place::{self, RunOrArg};
use crate::run::log::Log;
use crate::view::costs::{self, By, Reader};

/// Show what models cost, in tokens and dollars
///
/// A request counts for the claim that its agent registered next. Missed is what was sent before in the
/// same conversation and not read from a cache, with what that cost more.
#[derive(Debug, Clone, Args)]
pub(super) struct CostsArgs {
    #[command(flatten)]
    run: RunOrArg,
    /// Tell them apart by this
    #[arg(long, value_name = "WHAT", default_value = "agent")]
    by: Whose,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What costs are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Whose {
    /// Who asked
    Agent,
    /// Who answered
    Model,
    /// What it was for
    Hypothesis,
}

pub(super) fn run(context: &Context, args: &CostsArgs) -> Result<(), Failure> {
    let Context { place, ui } = context;
    let dir = place.reading(args.run.name())?;
    let chart = place::chart(&dir)?;
    let by = match args.by {
        Whose::Agent => By::Agent,
        Whose::Model => By::Model,
        Whose::Hypothesis => By::Hypothesis,
    };
    let mut reader = Reader::new(&chart, by);
    let log = Log::open_with(&dir, |event| reader.see(event))?;
    let costs = reader.costs(&dir.id());
    if args.json {
        return ui.json(&costs);
    }
    if log.state().mock {
        ui.note("MOCK: models are pretended, no dollar was spent");
    }
    ui.out(&costs::text(&costs, ui.width(), ui.paint()))
}
