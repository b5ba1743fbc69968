//! `org replay`: a run's log, played again as it happened.
//!
//! Nothing is asked, run or written: what was recorded is shown in its own time, or faster.

use std::io;
use std::time::Duration;

use clap::Args;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::Context;
use super::block_on;
use super::failure::Failure;
use super::place::RunOrArg;
use crate::domain::decode::seconds_of;
use crate::domain::event::Event;
use crate::run::log;
use crate::view::line::{self, Concern};

/// Longest silence that is sat through, seconds at normal speed: a night in which nothing happened is
/// told, not waited for.
const LONGEST_SILENCE: f64 = 10.0;

/// Play a run's log back, at any speed and from any moment
///
/// Prints what happened as `org logs` does, in the time in which it happened. A moment is a time since
/// the start, as 1h30m, or the number of an event, as 1200.
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
    /// Only what is by, to or about this agent, or human, lab or supervisor
    #[arg(long, value_name = "WHO")]
    who: Option<String>,
    /// Without panes, which is how it is played in any case
    #[arg(long)]
    headless: bool,
    /// Print events as the log has them, one JSON object a line
    #[arg(long)]
    json: bool,
}

/// A point of a log.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Moment {
    Seq(u64),
    Since(f64),
}

impl Moment {
    fn parse(word: &str) -> Result<Self, Failure> {
        let seq = word.parse().ok().map(Self::Seq);
        let moment = seq.or_else(|| seconds_of(word).map(Self::Since));
        moment.ok_or_else(|| {
            Failure::usage(
                format!("{word:?} is no moment of a run"),
                "write a time since its start, as 1h30m, or the number of an event, as 1200",
            )
        })
    }

    /// Whether an event lies before it.
    fn is_after(self, event: &Event, start: Timestamp) -> bool {
        match self {
            Self::Seq(seq) => event.seq < seq,
            Self::Since(seconds) => event.at.duration_since(start).as_secs_f64() < seconds,
        }
    }
}

pub(super) fn run(context: &Context, args: &ReplayArgs) -> Result<(), Failure> {
    let Context { place, ui } = context;
    let dir = place.reading(args.run.name())?;
    let speed = speed(&args.speed)?;
    let from = args.from.as_deref().map(Moment::parse).transpose()?;
    let to = args.to.as_deref().map(Moment::parse).transpose()?;
    let mut concern = Concern::with(args.who.as_deref());
    let mut shown: Vec<(Event, String)> = Vec::new();
    let mut start = None;
    log::each(&dir, |event, raw| {
        let start = *start.get_or_insert(event.at);
        let early = from.is_some_and(|from| from.is_after(event, start));
        let late = to.is_some_and(|to| !to.is_after(event, start) && to != Moment::Seq(event.seq));
        if !early && !late && concern.takes(event) {
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
        if let (Some(last), Some(speed)) = (last, speed) {
            pause(event.at.duration_since(last), speed)?;
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

/// How many times faster; none is as fast as it can be printed.
fn speed(word: &str) -> Result<Option<f64>, Failure> {
    if word == "max" {
        return Ok(None);
    }
    let times = word.trim_end_matches('x').parse().ok();
    let times = times.filter(|times: &f64| times.is_finite() && *times > 0.0);
    times.map(Some).ok_or_else(|| {
        Failure::usage(
            format!("{word:?} is no speed"),
            "write how many times faster, as 10 or 0.5, or max",
        )
    })
}

fn pause(between: SignedDuration, speed: f64) -> Result<(), io::Error> {
    let seconds = between.as_secs_f64().clamp(0.0, LONGEST_SILENCE) / speed;
    let wait = Duration::try_from_secs_f64(seconds).map_err(io::Error::other)?;
    block_on(async { tokio::time::sleep(wait).await });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_speeds_are_read_or_refused() {
        assert_eq!(Moment::parse("1200").ok(), Some(Moment::Seq(1200)));
        assert_eq!(Moment::parse("1h30m").ok(), Some(Moment::Since(5400.0)));
        assert!(Moment::parse("soon").is_err());
        assert_eq!(speed("10x").ok(), Some(Some(10.0)));
        assert_eq!(speed("max").ok(), Some(None));
        for bad in ["0", "-1", "inf", "fast"] {
            assert!(speed(bad).is_err(), "{bad}");
        }
    }
}
