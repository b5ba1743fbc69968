//! `org down`: end everything of a run, in order, and say what ended.

use std::time::Duration;

use super::Context;
use super::args::DownArgs;
use super::failure::Failure;
use super::place;
use super::survive;
use crate::domain::event::{Actor, Kind};
use crate::engine::keys::KeyRing;
use crate::engine::spawn;
use crate::os::clock;
use crate::os::lock;
use crate::run::log::Log;
use crate::run::paths::RunDir;

/// Longest time that ending may take: agents have ten seconds, jobs three, then they are killed.
const LIMIT: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Runs the command.
///
/// # Errors
/// Where no run is meant, or something does not end.
pub(super) fn run(context: &Context, args: &DownArgs) -> Result<(), Failure> {
    let ui = &context.ui;
    let dir = context.place.acting(args.run.name())?;
    let agents = living(&dir)?;
    if Log::open(&dir)?.state().stopped && agents.is_empty() && !place::supervised(&dir) {
        survive::remove(&dir, &place::clean_env())?;
        ui.note(&format!("{} is down already", dir.id()));
        return Ok(());
    }
    bring_down(&dir, "org down")?;
    let ended = if agents.is_empty() {
        "no agent was alive".to_owned()
    } else {
        agents.join(", ")
    };
    ui.out(&format!("{} is down\n", dir.id()))?;
    ui.note(&format!(
        "ended: {ended}\nreport: org report {0}\ngo on: org up --resume {0}",
        dir.id()
    ));
    Ok(())
}

fn living(dir: &RunDir) -> Result<Vec<String>, Failure> {
    let log = Log::open(dir)?;
    let names = log.state().agents.keys().cloned();
    Ok(names
        .filter(|name| lock::holder(&dir.agent_lock(name)).is_some())
        .collect())
}

/// Says down, waits until nothing of the run lives, and tidies its locks.
///
/// # Errors
/// Where something does not end in time, naming what still lives.
pub(super) fn bring_down(dir: &RunDir, reason: &str) -> Result<(), Failure> {
    let mut log = Log::open(dir)?;
    if log.state().down.is_none() {
        let down = Kind::RunDown {
            reason: reason.to_owned(),
        };
        log.append(&Actor::Human, vec![down])?;
    }
    let deadline = clock::monotonic() + LIMIT;
    loop {
        log.catch_up()?;
        log.drain();
        let supervised = place::supervised(dir);
        if log.state().stopped && !supervised && living(dir)?.is_empty() {
            break;
        }
        if !supervised && !log.state().stopped {
            // Somebody has to end things in order; without keys, since nobody will think any more.
            spawn::supervisor(dir, &place::clean_env(), &KeyRing::default())?;
            wait_for(dir, deadline);
        }
        if clock::monotonic() > deadline {
            let alive = living(dir)?;
            return Err(Failure::refused(
                format!("{} did not end within {} s", dir.id(), LIMIT.as_secs()),
                format!(
                    "still alive: {}; org down {} again",
                    alive.join(", "),
                    dir.id()
                ),
            ));
        }
        std::thread::sleep(LOOK);
    }
    survive::remove(dir, &place::clean_env())?;
    // Nobody holds any of them now; what is left are empty files.
    if let Ok(entries) = std::fs::read_dir(dir.locks()) {
        for entry in entries.flatten() {
            std::fs::remove_file(entry.path()).ok();
        }
    }
    Ok(())
}

fn wait_for(dir: &RunDir, deadline: std::time::Instant) {
    for _ in 0..100 {
        if place::supervised(dir) || clock::monotonic() > deadline {
            return;
        }
        std::thread::sleep(LOOK);
    }
}
