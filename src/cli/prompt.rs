//! `org prompt`: what a model is told before anything else.

use clap::Args;

use super::Context;
use super::failure::Failure;
use super::place::{self, RunArgs};
use super::send;
use crate::domain::search;
use crate::os::files;

/// Longest system prompt that is printed; a model's window is smaller.
const LONGEST: u64 = 16 << 20;

/// Print an agent's system prompt, as it was frozen when the run began
#[derive(Debug, Clone, Args)]
pub(super) struct PromptArgs {
    /// The agent
    agent: String,
    #[command(flatten)]
    run: RunArgs,
}

pub(super) fn run(context: &Context, args: &PromptArgs) -> Result<(), Failure> {
    let dir = context.place.reading(args.run.name())?;
    let chart = place::chart(&dir)?;
    let Some(agent) = chart.agent(&args.agent) else {
        return Err(send::nobody(&chart, &args.agent));
    };
    if search::plays(&chart, &agent.model) {
        let name = &args.agent;
        context
            .ui
            .note(&format!("{name} asks no model: it draws from [search]"));
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
