//! `org ls`: all runs.

use clap::Args;

use super::Context;
use super::failure::Failure;
use super::place;
use crate::os::clock;
use crate::run::log::Log;
use crate::run::paths::RunDir;
use crate::view::runs::{self, Run};

/// List all runs, newest first
#[derive(Debug, Clone, Args)]
pub(super) struct LsArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(context: &Context, args: &LsArgs) -> Result<(), Failure> {
    let Context { place, ui } = context;
    let mut list = Vec::new();
    for dir in place.runs() {
        let path = dir.path().display().to_string();
        list.push(look(&dir, &path).unwrap_or_else(|failure| {
            let why = failure.causes.last().unwrap_or(&failure.message);
            ui.note(&format!("note: {} cannot be read: {why}", dir.id()));
            Run::unknown(&dir.id(), &path, place::created(&dir), why)
        }));
    }
    runs::sort(&mut list);
    if args.json {
        return ui.json(&list);
    }
    if list.is_empty() {
        let here = place.index.here.display();
        ui.note(&format!("no runs in {here}; `org up CHART` starts one"));
        return Ok(());
    }
    ui.out(&runs::text(&list, clock::now(), ui.width(), ui.paint()))
}

fn look(dir: &RunDir, path: &str) -> Result<Run, Failure> {
    let log = Log::open(dir)?;
    let chart = place::chart(dir)?;
    Ok(Run::of(&chart, log.state(), path, place::supervised(dir)))
}
