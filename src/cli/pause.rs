//! `org pause` and `org resume`: stop asking models, and go on.
//!
//! Experiments that run are let finish either way.

use clap::Args;

use super::Context;
use super::failure::Failure;
use super::place::{self, RunArgs};
use super::send;
use crate::domain::event::{Actor, Kind};
use crate::domain::state::State;
use crate::run::log::Log;

/// Stop asking models, for an agent or all; experiments go on
#[derive(Debug, Clone, Args)]
pub(super) struct PauseArgs {
    /// An agent, a role, or all
    #[arg(default_value = "all")]
    who: String,
    #[command(flatten)]
    run: RunArgs,
}

/// Let a paused agent, or all, go on
#[derive(Debug, Clone, Args)]
pub(super) struct ResumeArgs {
    /// An agent, a role, or all
    #[arg(default_value = "all")]
    who: String,
    #[command(flatten)]
    run: RunArgs,
}

pub(super) fn pause(context: &Context, args: &PauseArgs) -> Result<(), Failure> {
    let kind = |agent| Kind::PauseSet { agent };
    let changed = change(context, &args.who, &args.run, kind, |state, name| {
        Ok(match name {
            None => !state.paused,
            Some(name) => !state.agents.get(name).is_some_and(|agent| agent.paused),
        })
    })?;
    context.ui.note(if changed.is_empty() {
        "already paused"
    } else {
        "paused; experiments that run go on, `org resume` lets agents go on"
    });
    Ok(())
}

pub(super) fn resume(context: &Context, args: &ResumeArgs) -> Result<(), Failure> {
    let kind = |agent| Kind::PauseCleared { agent };
    let changed = change(context, &args.who, &args.run, kind, |state, name| {
        let Some(name) = name else {
            return Ok(state.paused || state.agents.values().any(|agent| agent.paused));
        };
        if state.paused {
            return Err(Failure::refused(
                format!("all agents are paused, so {name} cannot go on alone"),
                "`org resume` lets all go on; then pause the others",
            ));
        }
        Ok(state.agents.get(name).is_some_and(|agent| agent.paused))
    })?;
    context.ui.note(if changed.is_empty() {
        "nobody was paused; to go on with a run that was stopped, `org up --resume RUN`"
    } else {
        "resumed"
    });
    Ok(())
}

/// Appends an event for each whom it changes; returns them, where none means all.
fn change(
    context: &Context,
    who: &str,
    run: &RunArgs,
    kind: impl Fn(Option<String>) -> Kind,
    changes: impl Fn(&State, Option<&str>) -> Result<bool, Failure>,
) -> Result<Vec<Option<String>>, Failure> {
    let dir = context.place.acting(run.name())?;
    let chart = place::chart(&dir)?;
    let whom: Vec<Option<String>> = if who == "all" {
        vec![None]
    } else {
        send::recipients(&chart, who)?
            .into_iter()
            .map(Some)
            .collect()
    };
    let mut log = Log::open(&dir)?;
    log.transact(&Actor::Human, |state| {
        let mut changed = Vec::new();
        for one in whom {
            if changes(state, one.as_deref())? {
                changed.push(one);
            }
        }
        Ok((changed.iter().cloned().map(&kind).collect(), changed))
    })?
}
