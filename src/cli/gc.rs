//! `org gc`: what of finished runs can go, why, and how much that is.
//!
//! Owns which runs are looked at and what is said; it removes nothing without `--yes`. The rules of what
//! may go are the engine's.

use std::fmt::Write as _;

use clap::Args;
use serde::Serialize;

use super::Context;
use super::failure::Failure;
use super::place::{self, RunOrArg};
use crate::engine::waste::{self, Waste};
use crate::run::log::Log;
use crate::run::paths::RunDir;
use crate::view::figure;

/// Say what of finished runs can go, and remove it with --yes
///
/// Looks at all runs, or at the one that is named, and leaves what lives alone. Goes: caches and temporary
/// files, environments that `setup` makes again, launches that were cut short. Never goes: the log, the
/// repository, what was measured, and anything that a promotion rests on. With --runs also whole runs, but
/// none with something promoted that is not landed.
#[derive(Debug, Clone, Args)]
pub(super) struct GcArgs {
    /// Which run; all where it is left out
    #[command(flatten)]
    run: RunOrArg,
    /// Whole runs that are over, too: their logs and their repositories
    #[arg(long)]
    runs: bool,
    /// Remove it; without this nothing is touched
    #[arg(long)]
    yes: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What was found, as scripts read it.
#[derive(Serialize)]
struct Found {
    items: Vec<Item>,
    kept: Vec<Kept>,
    bytes: u64,
    removed: bool,
}

#[derive(Serialize)]
struct Item {
    run: String,
    path: String,
    bytes: u64,
    reason: String,
}

#[derive(Serialize)]
struct Kept {
    run: String,
    reason: String,
}

/// Runs the command.
///
/// # Errors
/// Where a run of that name is not there, or something could not be removed.
pub(super) fn run(context: &Context, args: &GcArgs) -> Result<(), Failure> {
    let Context { place, ui } = context;
    let dirs = match args.run.name() {
        Some(name) => vec![place.reading(Some(name))?],
        None => place.runs(),
    };
    let mut found = Found {
        items: Vec::new(),
        kept: Vec::new(),
        bytes: 0,
        removed: args.yes,
    };
    for dir in dirs {
        match look(&dir, args.runs) {
            Ok(waste) => clear(&dir, waste, args, &mut found)?,
            Err(reason) => found.keep(&dir, reason),
        }
    }
    if args.json {
        return ui.json(&found);
    }
    ui.out(&text(&found))?;
    if !args.yes && !found.items.is_empty() {
        let named = args
            .run
            .name()
            .map(|it| format!(" {it}"))
            .unwrap_or_default();
        let runs = if args.runs { " --runs" } else { "" };
        ui.note(&format!(
            "nothing was removed: org gc{named}{runs} --yes does it"
        ));
    }
    Ok(())
}

impl Found {
    fn keep(&mut self, dir: &RunDir, reason: String) {
        let run = dir.id();
        self.kept.push(Kept { run, reason });
    }
}

/// What can go of a run, or why nothing can.
fn look(dir: &RunDir, whole: bool) -> Result<Vec<Waste>, String> {
    if place::lives(dir) {
        return Err("it lives".to_owned());
    }
    let log = Log::open(dir).map_err(|error| format!("its log cannot be read: {error}"))?;
    let state = log.state();
    let stopped = state.stopped;
    if whole {
        return match waste::needed(state) {
            _ if !stopped => Err("it was not brought down, and may be resumed".to_owned()),
            None => Ok(vec![waste::whole(dir, state)]),
            Some(why) => Err(why),
        };
    }
    Ok(waste::within(dir, state))
}

fn clear(dir: &RunDir, waste: Vec<Waste>, args: &GcArgs, found: &mut Found) -> Result<(), Failure> {
    if args.yes && !waste.is_empty() {
        let removed = waste::remove(dir, &waste).map_err(|error| {
            let hint = "look at who may write there; what is left is found by org gc again";
            Failure::refused(format!("{} could not be cleared", dir.id()), hint).because(&error)
        })?;
        if !removed {
            found.keep(dir, "it lives".to_owned());
            return Ok(());
        }
    }
    for one in waste {
        found.bytes += one.bytes;
        found.items.push(Item {
            run: dir.id(),
            path: one.path.display().to_string(),
            bytes: one.bytes,
            reason: one.why,
        });
    }
    Ok(())
}

fn text(found: &Found) -> String {
    let mut out = String::new();
    #[expect(clippy::cast_precision_loss, reason = "bytes, for people")]
    let size = |bytes: u64| figure::bytes(bytes as f64);
    for item in &found.items {
        writeln!(
            out,
            "{:>9}  {}\n           {}",
            size(item.bytes),
            item.path,
            item.reason
        )
        .expect("a string takes everything");
    }
    for kept in &found.kept {
        writeln!(out, "     kept  {}: {}", kept.run, kept.reason)
            .expect("a string takes everything");
    }
    let word = match (found.items.is_empty(), found.removed) {
        (true, _) => "nothing can go\n".to_owned(),
        (false, true) => format!("{:>9}  removed\n", size(found.bytes)),
        (false, false) => format!("{:>9}  can go\n", size(found.bytes)),
    };
    figure::harmless(&(out + &word))
}
