//! `org status`: how one run stands.

use std::time::Duration;

use clap::Args;

use super::failure::Failure;
use super::place::{self, RunOrArg};
use super::{Context, block_on};
use crate::domain::chart::Chart;
use crate::os::{clock, files};
use crate::run::bell::Bell;
use crate::run::log::Log;
use crate::run::paths::RunDir;
use crate::view::status::Seen;
use crate::view::{status, status_text};

/// Show how a run stands: agents, claims, budget, and what needs you
#[derive(Debug, Clone, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    run: RunOrArg,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print it anew whenever something happens
    #[arg(long, conflicts_with = "json")]
    watch: bool,
}

/// Shortest time between two pages, for whoever reads them.
const SPACING: Duration = Duration::from_millis(500);
/// Longest, since what is said of times grows old.
const STALE: Duration = Duration::from_secs(10);
/// Clears a terminal and goes to its first line.
const CLEAR: &str = "\x1b[H\x1b[2J\x1b[3J";

pub(super) fn run(context: &Context, args: &StatusArgs) -> Result<(), Failure> {
    let Context { place, ui } = context;
    let dir = place.reading(args.run.name())?;
    if args.watch {
        return block_on(watch(context, &dir, &place::chart(&dir)?));
    }
    let (read, disk_bytes) = std::thread::scope(|scope| {
        // Counting takes as long as reading all the rest.
        let counted = scope.spawn(|| files::tree_bytes(dir.path()));
        let read = place::chart(&dir).and_then(|chart| Ok((chart, Log::open(&dir)?)));
        (read, counted.join().unwrap_or_default())
    });
    let (chart, log) = read?;
    let seen = Seen {
        disk_bytes,
        ..place::observe_lives(&dir, &chart)
    };
    let now = clock::now();
    let status = status::of(&chart, log.state(), &seen, now);
    if args.json {
        return ui.json(&status);
    }
    ui.out(&status_text(&status, now, ui.width(), ui.paint()))
}

/// Page after page, until the run has been brought down or nobody reads any more.
async fn watch(context: &Context, dir: &RunDir, chart: &Chart) -> Result<(), Failure> {
    let ui = &context.ui;
    let mut log = Log::open(dir)?;
    let mut bell = Bell::on(&[dir.events()]);
    let mut first = true;
    loop {
        log.catch_up()?;
        log.drain();
        let (seen, now) = (place::observe(dir, chart), clock::now());
        let status = status::of(chart, log.state(), &seen, now);
        let page = status_text(&status, now, ui.width(), ui.paint());
        let lead = match (ui.is_terminal(), first) {
            (true, _) => CLEAR,
            (false, true) => "",
            (false, false) => "\n",
        };
        ui.out(&format!("{lead}{page}"))?;
        if log.state().stopped && !seen.supervisor {
            return Ok(());
        }
        first = false;
        tokio::time::sleep(SPACING).await;
        tokio::time::timeout(STALE, bell.wait()).await.ok();
    }
}
