//! `org prompt`: what a model is told before anything else.

use std::path::PathBuf;

use clap::Args;

use super::Context;
use super::charts;
use super::failure::Failure;
use super::place::{self, RunArgs};
use super::send;
use crate::domain::chart::{Agent, Chart};
use crate::domain::search;
use crate::engine::preview;
use crate::os::files;

/// Longest system prompt that is printed; a model's window is smaller.
const LONGEST: u64 = 16 << 20;

/// Print an agent's system prompt, exactly as its model sees it
///
/// Of a run, as it was frozen when the run began; with --chart, as a run of that chart would have it.
#[derive(Debug, Clone, Args)]
pub(super) struct PromptArgs {
    /// The agent
    agent: String,
    /// A chart in place of a run
    #[arg(long, value_name = "FILE", conflicts_with = "run")]
    chart: Option<PathBuf>,
    #[command(flatten)]
    run: RunArgs,
}

pub(super) fn run(context: &Context, args: &PromptArgs) -> Result<(), Failure> {
    if let Some(path) = &args.chart {
        let chart = charts::accepted(&context.place, &context.ui, path)?;
        let agent = member(context, &chart, &args.agent)?;
        let Some(agent) = agent else { return Ok(()) };
        let prompt = preview::system_prompt(&chart, agent).map_err(|error| {
            Failure::refused(
                format!("the prompt of {} cannot be made", args.agent),
                format!("org check {} shows what is wrong", path.display()),
            )
            .because(&error)
        })?;
        return context.ui.out(&prompt);
    }
    let dir = context.place.reading(args.run.name())?;
    let chart = place::chart(&dir)?;
    if member(context, &chart, &args.agent)?.is_none() {
        return Ok(());
    }
    let bytes = files::read_capped(&dir.system_prompt(&args.agent), LONGEST).map_err(|error| {
        Failure::refused(
            format!("the prompt of {} cannot be read", args.agent),
            "it is written when the run comes up; `org status` shows whether it did",
        )
        .because(&error)
    })?;
    context.ui.out(&String::from_utf8_lossy(&bytes))
}

/// The agent of that name; none, and a word, where it asks no model.
fn member<'c>(
    context: &Context,
    chart: &'c Chart,
    name: &str,
) -> Result<Option<&'c Agent>, Failure> {
    let Some(agent) = chart.agent(name) else {
        return Err(send::nobody(chart, name));
    };
    if search::plays(chart, &agent.model) {
        let word = format!("{name} asks no model: it draws from [search]");
        context.ui.note(&word);
        return Ok(None);
    }
    Ok(Some(agent))
}
