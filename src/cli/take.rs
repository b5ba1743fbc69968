//! `org take`: sit down at an agent's desk, and leave it as you would a colleague's.
//!
//! Owns what is said before and after. Must not know how a desk is held or confined.

use std::io::IsTerminal as _;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::failure::Failure;
use super::place::{self, RunArgs};
use super::ui::Ui;
use super::{Context, block_on};
use crate::domain::suggest;
use crate::engine::take::{self, Desk, Left, TakeError};
use crate::run::bell::Bell;
use crate::run::log::Log;
use crate::run::paths::RunDir;

/// Between two looks at an agent that finishes something, where no event tells.
const LOOK: Duration = Duration::from_secs(1);

/// Work in an agent's worktree yourself, with the agent paused
///
/// Opens a shell there with the agent's environment, GPU and confinement; its mail waits. When you leave
/// it, what you changed is committed as yours and told to the agent, which goes on. Where your terminal
/// dies, the agent stays paused and needs you.
#[derive(Debug, Clone, Args)]
pub(super) struct TakeArgs {
    /// The agent
    agent: String,
    /// Stop what it is at, and do not wait until it has finished
    #[arg(long)]
    now: bool,
    #[command(flatten)]
    run: RunArgs,
}

/// Runs the command.
///
/// # Errors
/// Where there is no such agent, somebody else has it, or nobody would let it go on afterwards.
pub(super) fn run(context: &Context, args: &TakeArgs) -> Result<(), Failure> {
    let (ui, name) = (&context.ui, args.agent.as_str());
    let dir = context.place.acting(args.run.name())?;
    let chart = place::chart(&dir)?;
    if chart.agent(name).is_none() {
        let names: Vec<&str> = chart.agents.iter().map(|it| it.name.as_str()).collect();
        let near = suggest::nearest(name, names.iter().copied());
        let hint = near.map_or_else(
            || format!("its agents are {}", names.join(", ")),
            |near| format!("did you mean {near}?"),
        );
        return Err(Failure::refused(
            format!("{} has no agent {name:?}", dir.id()),
            hint,
        ));
    }
    if !place::supervised(&dir) {
        let id = dir.id();
        return Err(Failure::refused(
            format!("no supervisor of {id} lives, so nobody would let {name} go on afterwards"),
            format!("org up --resume {id}, then org take {name}"),
        ));
    }
    let desk = take::take(&dir, name, args.now).map_err(|error| failed(&dir, name, &error))?;
    block_on(async {
        // From here on an interrupt is the shell's, and does not end us.
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut desk = desk;
        if !at_rest(ui, &dir, name, &mut desk, args.now, &mut interrupt).await? {
            desk.give_up().map_err(|error| failed(&dir, name, &error))?;
            return Err(Failure::refused(
                format!("{name} was not taken"),
                format!("it goes on; org take {name} tries again"),
            ));
        }
        ui.note(&format!(
            "{name} is paused and its mail waits; this shell is confined as its own are\n\
             leave with `exit`: what you changed is committed as yours and told to {name}"
        ));
        let terminal = ui.is_terminal() && std::io::stderr().is_terminal();
        let before = desk
            .sit(&chart, &place::clean_env(), terminal)
            .map_err(|error| failed(&dir, name, &error))?;
        let left = desk
            .leave(&before)
            .await
            .map_err(|error| failed(&dir, name, &error))?;
        told(ui, &dir, name, &left)
    })
}

/// Waits until the agent has finished what it was at; false where the person does not want to wait.
async fn at_rest(
    ui: &Ui,
    dir: &RunDir,
    name: &str,
    desk: &mut Desk,
    now: bool,
    interrupt: &mut tokio::signal::unix::Signal,
) -> Result<bool, Failure> {
    let mut bell = Bell::on(&[dir.events()]);
    let mut said = None;
    loop {
        let waits = desk
            .waits_for()
            .map_err(|error| failed(dir, name, &error))?;
        let Some(what) = waits else {
            return Ok(true);
        };
        if said.as_ref() != Some(&what) {
            ui.note(&if now {
                format!("{name} is being stopped; ^C gives up")
            } else {
                format!("{name} finishes {what} first; ^C gives up, --now does not wait")
            });
            said = Some(what);
        }
        let look = tokio::time::timeout(LOOK, bell.wait());
        tokio::select! {
            _ = interrupt.recv() => return Ok(false),
            _ = look => {}
        }
    }
}

fn told(ui: &Ui, dir: &RunDir, name: &str, left: &Left) -> Result<(), Failure> {
    match left.ended {
        0 => {}
        1 => ui.note("one process that still ran was ended"),
        n => ui.note(&format!("{n} processes that still ran were ended")),
    }
    match &left.commit {
        None => ui.out(&format!("nothing was changed; {name} goes on\n"))?,
        Some(commit) => {
            ui.out(&format!(
                "committed as yours in {}, and told to {name}:\n{}\n",
                commit.get(..12).unwrap_or(commit),
                left.files.join("\n")
            ))?;
        }
    }
    let log = Log::open(dir)?;
    let state = log.state();
    if state.paused || state.agents.get(name).is_some_and(|agent| agent.paused) {
        ui.note(&format!(
            "{name} was paused before, and is; org resume lets it go on"
        ));
    }
    Ok(())
}

fn failed(dir: &RunDir, name: &str, error: &TakeError) -> Failure {
    let hint = match error {
        TakeError::Held(_) => format!("org logs {name} says since when"),
        TakeError::NoSeat(_) => format!("org status --run {} says how it stands", dir.id()),
        _ => format!(
            "{name} stays paused; org take {name} tries again, org resume {name} lets it go on"
        ),
    };
    let message = match error {
        TakeError::Held(_) | TakeError::NoSeat(_) => {
            return Failure::refused(error.to_string(), hint);
        }
        _ => format!("{name} was not taken, or not given back"),
    };
    Failure::refused(message, hint).because(error)
}
