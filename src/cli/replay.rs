//! `org replay`: a run's log, played again as it happened: in the same office, or printed.
//!
//! Nothing is asked, run or written: what was recorded is shown in its own time, or faster.

use std::io;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Context;
use super::failure::Failure;
use super::place::RunOrArg;
use super::{block_on, place};
use crate::domain::event::Event;
use crate::domain::replay::{Moment, Player, Speed, Wish, pause};
use crate::engine::replay::{self, Programme, ReplayError};
use crate::run::log;
use crate::run::paths::RunDir;
use crate::run::showing::Showing;
use crate::view::line::{self, Concern};

/// Play a run's log back, at any speed and from any moment
///
/// In a terminal it shows the office as it was: panes, borders and dashboard, in the time in which it
/// happened. A reply comes in evenly from its request to its end: when each word came is not recorded.
/// A silence of more than 10 s is cut short. Type in any pane: pause, play, 10x, max, 1h30m, +5m, -5m,
/// an event's number, quit. With --headless, and where there is no terminal, it prints what happened as
/// `org logs` does. A moment is a time since the start, as 1h30m, or the number of an event, as 1200.
#[derive(Debug, Clone, Args)]
pub(super) struct ReplayArgs {
    #[command(flatten)]
    run: RunOrArg,
    /// How many times faster than it happened; max does not wait at all
    #[arg(long, value_name = "N", default_value = "1")]
    speed: String,
    /// Begin at this moment
    #[arg(long, value_name = "MOMENT")]
    from: Option<String>,
    /// End after this moment
    #[arg(long, value_name = "MOMENT")]
    to: Option<String>,
    /// Print only what is by, to or about this agent, or human, lab or supervisor
    #[arg(long, value_name = "WHO")]
    who: Option<String>,
    /// Print it: needs no tmux
    #[arg(long)]
    headless: bool,
    /// Print events as the log has them, one JSON object a line
    #[arg(long)]
    json: bool,
}

/// What was asked for.
struct Wanted {
    speed: Speed,
    from: Option<Moment>,
    to: Option<Moment>,
}

pub(super) fn run(context: &Context, args: &ReplayArgs) -> Result<(), Failure> {
    let dir = context.place.reading(args.run.name())?;
    let wanted = Wanted {
        speed: speed(&args.speed)?,
        from: args.from.as_deref().map(moment).transpose()?,
        to: args.to.as_deref().map(moment).transpose()?,
    };
    let printed = args.headless || args.json || args.who.is_some();
    if printed || !context.ui.is_terminal() {
        print(context, args, &dir, &wanted)
    } else {
        show(&dir, &wanted)
    }
}

/// Shows it in an office of its own.
fn show(dir: &RunDir, wanted: &Wanted) -> Result<(), Failure> {
    let mut events: Vec<(Event, String)> = Vec::new();
    log::each(dir, |event, raw| {
        let start = events.first().map_or(event.at, |(first, _)| first.at);
        if !is_late(wanted, event, start) {
            events.push((event.clone(), raw.to_owned()));
        }
    })?;
    let times = events.iter().map(|(event, _)| (event.seq, event.at));
    let mut player = Player::new(times.collect(), wanted.speed);
    if let Some(from) = wanted.from {
        player.wish(Wish::To(from));
    }
    let programme = Programme {
        chart: place::chart(dir)?,
        events,
        player,
        clean: place::clean_env(),
        inside: place::var("TMUX"),
    };
    let below = place::temp_dir().join(format!("org-replay-{}", std::process::id()));
    let place = Showing::open(dir, below).map_err(|error| {
        let hint = "set TMPDIR to where you may write, or print it with --headless";
        Failure::refused("there is no place to show it in", hint).because(&error)
    })?;
    block_on(replay::play(programme, place)).map_err(|error| not_shown(&error))
}

fn not_shown(error: &ReplayError) -> Failure {
    let hint = "org replay --headless prints it without tmux; org doctor says what is missing";
    Failure::refused("the run could not be shown", hint).because(error)
}

/// Whether an event lies after the moment at which it ends.
fn is_late(wanted: &Wanted, event: &Event, start: Timestamp) -> bool {
    let at = (event.seq, event.at);
    wanted
        .to
        .is_some_and(|to| !to.is_after(at, start) && to != Moment::Seq(event.seq))
}

/// Prints it.
fn print(
    context: &Context,
    args: &ReplayArgs,
    dir: &RunDir,
    wanted: &Wanted,
) -> Result<(), Failure> {
    let ui = &context.ui;
    let mut concern = Concern::with(args.who.as_deref());
    let mut shown: Vec<(Event, String)> = Vec::new();
    let mut start = None;
    log::each(dir, |event, raw| {
        let start = *start.get_or_insert(event.at);
        let at = (event.seq, event.at);
        let early = wanted.from.is_some_and(|from| from.is_after(at, start));
        if !early && !is_late(wanted, event, start) && concern.takes(event) {
            let raw = if args.json { raw } else { "" };
            shown.push((event.clone(), raw.to_owned()));
        }
    })?;
    if shown.is_empty() {
        ui.note("nothing happened in that time");
        return Ok(());
    }
    let zone = TimeZone::system();
    let mut last: Option<Timestamp> = None;
    for (event, raw) in &shown {
        if let (Some(last), Speed::Times(times)) = (last, wanted.speed) {
            sleep(pause(last, event.at) / times)?;
        }
        last = Some(event.at);
        let text = if args.json {
            raw.clone()
        } else {
            line::text(event, &zone, ui.line_width(), ui.paint())
        };
        ui.out(&format!("{text}\n"))?;
    }
    Ok(())
}

fn moment(word: &str) -> Result<Moment, Failure> {
    Moment::parse(word).ok_or_else(|| {
        Failure::usage(
            format!("{word:?} is no moment of a run"),
            "write a time since its start, as 1h30m, or the number of an event, as 1200",
        )
    })
}

fn speed(word: &str) -> Result<Speed, Failure> {
    Speed::parse(word).ok_or_else(|| {
        Failure::usage(
            format!("{word:?} is no speed"),
            "write how many times faster, as 10 or 0.5, or max",
        )
    })
}

fn sleep(seconds: f64) -> Result<(), io::Error> {
    let wait = Duration::try_from_secs_f64(seconds).map_err(io::Error::other)?;
    block_on(async { tokio::time::sleep(wait).await });
    Ok(())
}
