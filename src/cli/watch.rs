//! `org watch`: the dashboard of a run.
//!
//! On a terminal a full screen with keys, elsewhere one frame as text. Owns the arguments; what is
//! shown is `view`'s, and the terminal is the screen's.

mod scene;
mod screen;

use clap::Args;

use self::scene::Scene;
use super::Context;
use super::failure::Failure;
use super::place::RunOrArg;
use crate::run::paths::RunDir;
use crate::view::watch;

/// Watch a run: org, GPUs, runs, claims, mail and money on one screen
///
/// Works over a run that lives or has ended. Enter goes to the chosen agent's pane, p pauses it, [ and ]
/// step back and forward in time, ? names all keys, q quits; the run goes on. Without a terminal it
/// prints one frame.
#[derive(Debug, Clone, Args)]
pub(super) struct WatchArgs {
    #[command(flatten)]
    run: RunOrArg,
    /// Show the run as it was after this event of its log
    #[arg(long, value_name = "SEQ")]
    at: Option<u64>,
    /// Print the status of that moment as JSON, as `org status --json` does
    #[arg(long)]
    json: bool,
}

pub(super) fn run(context: &Context, args: &WatchArgs) -> Result<(), Failure> {
    let dir = context.place.reading(args.run.name())?;
    let mut scene = Scene::open(&dir)?;
    if let Some(at) = args.at {
        scene.go_to(at)?;
    }
    if args.json {
        return context.ui.json(&scene.board().status);
    }
    show(context, &dir, scene, false)
}

/// The dashboard as a seat of the office.
///
/// # Errors
/// Where the run cannot be read.
pub(super) fn seat(context: &Context, dir: &RunDir) -> Result<(), Failure> {
    show(context, dir, Scene::open(dir)?, true)
}

/// Shows it until a person quits or jumps; one frame where there is no terminal.
fn show(context: &Context, dir: &RunDir, mut scene: Scene, seated: bool) -> Result<(), Failure> {
    if !context.ui.is_terminal() {
        let text = watch::plain(&scene.board(), context.ui.width());
        return context.ui.out(&text);
    }
    match super::block_on(screen::run(scene, seated))? {
        screen::End::Quit => Ok(()),
        // Not from within: the terminal is given to tmux, which needs all of it.
        screen::End::Jump(agent) => super::attach::attach(context, dir, Some(&agent)),
    }
}
