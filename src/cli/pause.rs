//! `org pause` and `org resume`: stop asking models, and go on.
//!
//! Measured runs are let finish, unless a person freezes them too: then every process of theirs was seen
//! to stand still before the command says so.

use std::time::Duration;

use clap::Args;

use super::failure::Failure;
use super::place::{self, RunArgs};
use super::send;
use super::{Context, block_on};
use crate::domain::event::{Actor, Kind, RunStatus};
use crate::domain::freeze;
use crate::domain::state::{AgentState, State};
use crate::engine::take;
use crate::os::clock;
use crate::run::bell::Bell;
use crate::run::log::Log;
use crate::run::paths::RunDir;

/// How long runs may take to stand still: a signal takes milliseconds, a run that is being prepared
/// has to begin first.
const PATIENCE: Duration = Duration::from_secs(60);

/// Stop asking models, for an agent or all; experiments go on
#[derive(Debug, Clone, Args)]
pub(super) struct PauseArgs {
    /// An agent, a role, or all
    #[arg(default_value = "all")]
    who: String,
    /// Freeze experiments and commands too
    ///
    /// Their processes stand still and keep their memory and their GPU. The time is left out of a run's
    /// wall time; a run that is not matched by FLOPs or tokens is measured again afterwards, since its
    /// own clock went on.
    #[arg(long)]
    hard: bool,
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
    if args.hard {
        return freeze(context, args);
    }
    let kinds = |agent| vec![Kind::PauseSet { agent }];
    let (_, changed) = change(context, &args.who, &args.run, kinds, |state, name| {
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

fn freeze(context: &Context, args: &PauseArgs) -> Result<(), Failure> {
    let kinds = |agent: Option<String>| {
        let freeze = Kind::FreezeSet {
            agent: agent.clone(),
        };
        vec![Kind::PauseSet { agent }, freeze]
    };
    let alive = |dir: &RunDir| {
        let id = dir.id();
        let refused = Failure::refused(
            format!("no supervisor of {id} lives, so nobody would freeze anything"),
            format!("`org up --resume {id}` starts one; `org pause` needs none"),
        );
        place::supervised(dir).then_some(()).ok_or(refused)
    };
    alive(&context.place.acting(args.run.name())?)?;
    let (dir, changed) = change(context, &args.who, &args.run, kinds, |state, name| {
        Ok(match name {
            None => !state.frozen,
            Some(name) => !state.agents.get(name).is_some_and(|agent| agent.frozen),
        })
    })?;
    let still = block_on(until_still(&dir))?;
    let runs = match still {
        0 => "no measured run was under way".to_owned(),
        1 => "one measured run stands still".to_owned(),
        n => format!("{n} measured runs stand still"),
    };
    context.ui.note(&if changed.is_empty() {
        format!("already frozen; {runs}")
    } else {
        format!("frozen; {runs}, `org resume` lets all go on")
    });
    Ok(())
}

/// Waits until every run that is to stand still was seen to; returns how many do.
async fn until_still(dir: &RunDir) -> Result<usize, Failure> {
    let mut log = Log::open(dir)?;
    let mut bell = Bell::on(&[dir.events()]);
    let deadline = clock::monotonic() + PATIENCE;
    loop {
        log.catch_up()?;
        log.drain();
        let state = log.state();
        let runs = state.experiments.values();
        let meant: Vec<_> = runs
            .filter(|run| run.status == RunStatus::Running && freeze::wanted(state, run))
            .collect();
        let moving: Vec<String> = meant
            .iter()
            .filter(|run| !run.frozen)
            .map(|run| format!("e{}", run.id))
            .collect();
        if moving.is_empty() {
            return Ok(meant.len());
        }
        let left = deadline.saturating_duration_since(clock::monotonic());
        if left.is_zero() {
            return Err(Failure::refused(
                format!("{} was not seen to stand still", moving.join(", ")),
                "it is asked again and again; `org status` says how the run stands",
            ));
        }
        tokio::time::timeout(left, bell.wait()).await.ok();
    }
}

pub(super) fn resume(context: &Context, args: &ResumeArgs) -> Result<(), Failure> {
    let dir = context.place.acting(args.run.name())?;
    let chart = place::chart(&dir)?;
    let left: Vec<String> = if args.who == "all" {
        chart
            .agents
            .iter()
            .map(|agent| agent.name.clone())
            .collect()
    } else {
        send::recipients(&chart, &args.who)?
    };
    let mut went_on = false;
    for name in left {
        let cleared = block_on(take::clear(&dir, &name));
        let cleared = cleared.map_err(|error| {
            let hint = format!("org take {name} shows what lies there");
            Failure::refused(format!("{name} cannot go on"), hint).because(&error)
        })?;
        went_on |= cleared.is_some();
        if let Some(commit) = cleared.and_then(|left| left.commit) {
            let short = commit.get(..12).unwrap_or(&commit);
            context.ui.note(&format!(
                "what lay on the desk of {name} is committed as yours in {short}"
            ));
        }
    }
    let kinds = |agent| vec![Kind::PauseCleared { agent }];
    let (_, changed) = change(context, &args.who, &args.run, kinds, |state, name| {
        let stands = |agent: &AgentState| {
            agent.paused || agent.taken.is_some_and(|taken| taken.lost.is_some())
        };
        let Some(name) = name else {
            return Ok(state.paused || state.agents.values().any(stands));
        };
        if let Some(agent) = state.agents.get(name)
            && agent.taken.is_some_and(|taken| taken.lost.is_none())
        {
            return Err(Failure::refused(
                format!("a person sits at the desk of {name}, and leaving it lets {name} go on"),
                "type `exit` in the shell of `org take`",
            ));
        }
        if state.paused {
            return Err(Failure::refused(
                format!("all agents are paused, so {name} cannot go on alone"),
                "`org resume` lets all go on; then pause the others",
            ));
        }
        Ok(state.agents.get(name).is_some_and(stands))
    })?;
    context.ui.note(if changed.is_empty() && !went_on {
        "nobody was paused; to go on with a run that was stopped, `org up --resume RUN`"
    } else {
        "resumed"
    });
    Ok(())
}

/// Appends events for each whom it changes; returns the run and them, where none means all.
fn change(
    context: &Context,
    who: &str,
    run: &RunArgs,
    kinds: impl Fn(Option<String>) -> Vec<Kind>,
    changes: impl Fn(&State, Option<&str>) -> Result<bool, Failure>,
) -> Result<(RunDir, Vec<Option<String>>), Failure> {
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
    let changed: Result<Vec<Option<String>>, Failure> = log.transact(&Actor::Human, |state| {
        let mut changed = Vec::new();
        for one in whom {
            if changes(state, one.as_deref())? {
                changed.push(one);
            }
        }
        Ok((changed.iter().cloned().flat_map(&kinds).collect(), changed))
    })?;
    Ok((dir, changed?))
}
