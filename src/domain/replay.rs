//! A log played again: where it stands, how fast it goes, and what a person asks of it.
//!
//! Owns the words for moments and speeds, which event is shown when, and how much of a reply has come by
//! then. Must not know logs, clocks or terminals: times come in, waits go out.

use jiff::{SignedDuration, Timestamp};

use super::decode::seconds_of;

/// Longest silence that is sat through, seconds at normal speed: a night in which nothing happened is
/// told, not waited for.
const LONGEST_SILENCE: f64 = 10.0;

/// A point of a log.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Moment {
    /// An event's number.
    Seq(u64),
    /// Seconds since the first event.
    Since(f64),
}

impl Moment {
    /// A time since the start, as `1h30m`, or the number of an event.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let seq = word.parse().ok().map(Self::Seq);
        seq.or_else(|| seconds_of(word).map(Self::Since))
    }

    /// Whether an event lies before it.
    #[must_use]
    pub fn is_after(self, (seq, at): (u64, Timestamp), start: Timestamp) -> bool {
        match self {
            Self::Seq(own) => seq < own,
            Self::Since(seconds) => at.duration_since(start).as_secs_f64() < seconds,
        }
    }
}

/// How many times faster than it happened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// So many times.
    Times(f64),
    /// As fast as it can be shown.
    Max,
}

impl Speed {
    /// `10x`, `0.5` or `max`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        if word == "max" {
            return Some(Self::Max);
        }
        let times = word.trim_end_matches('x').parse().ok();
        let times = times.filter(|times: &f64| times.is_finite() && *times > 0.0);
        times.map(Self::Times)
    }
}

/// What a person asks of a replay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Wish {
    /// Stand still.
    Pause,
    /// Go on.
    Play,
    /// Go to a moment.
    To(Moment),
    /// Go so many seconds forward, or back.
    By(f64),
    /// Go faster or slower.
    Pace(Speed),
    /// End it.
    Quit,
}

impl Wish {
    /// What a line means: `pause`, `play`, `10x`, `max`, `1h30m`, `1200`, `+30s`, `-5m`, `end`, `quit`.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let word = line.trim();
        let by = |sign: char, way: f64| {
            let span = word.strip_prefix(sign)?;
            seconds_of(span).map(|seconds| Self::By(way * seconds))
        };
        match word {
            "pause" | "p" => Some(Self::Pause),
            "play" | "go" => Some(Self::Play),
            "start" => Some(Self::To(Moment::Seq(1))),
            "end" => Some(Self::To(Moment::Seq(u64::MAX))),
            "quit" | "q" => Some(Self::Quit),
            _ => {
                let pace = word == "max" || word.ends_with('x');
                let pace = pace.then(|| Speed::parse(word)).flatten();
                pace.map(Self::Pace)
                    .or_else(|| by('+', 1.0))
                    .or_else(|| by('-', -1.0))
                    .or_else(|| Moment::parse(word).map(Self::To))
            }
        }
    }
}

/// What is to be shown next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// The events from the last shown one up to, and without, this index.
    On(usize),
    /// The events before this index, from the beginning.
    Anew(usize),
}

/// A log being played.
#[derive(Debug, Clone)]
pub struct Player {
    /// Number and time of each event, in order.
    events: Vec<(u64, Timestamp)>,
    shown: usize,
    /// Seconds at normal speed since the last shown event.
    gone: f64,
    speed: Speed,
    still: bool,
}

impl Player {
    /// At the beginning: the first event is shown already.
    #[must_use]
    pub fn new(events: Vec<(u64, Timestamp)>, speed: Speed) -> Self {
        Self {
            shown: 1.min(events.len()),
            events,
            gone: 0.0,
            speed,
            still: false,
        }
    }

    /// Events shown so far.
    #[must_use]
    pub fn shown(&self) -> usize {
        self.shown
    }

    /// Seconds until the next event is due; none where it stands still, or has come to the end.
    #[must_use]
    pub fn wait(&self) -> Option<f64> {
        let pause = self.pause().filter(|_| !self.still)?;
        Some(match self.speed {
            Speed::Max => 0.0,
            Speed::Times(times) => (pause - self.gone).max(0.0) / times,
        })
    }

    /// The moment at which it stands: between two events, whatever share of the time between them is
    /// over; a silence that was cut short goes by faster.
    #[must_use]
    pub fn now(&self) -> Option<Timestamp> {
        let last = self.events.get(self.shown.checked_sub(1)?)?.1;
        let Some((_, next)) = self.events.get(self.shown) else {
            return Some(last);
        };
        let pause = self.pause().filter(|pause| *pause > 0.0);
        let share = pause.map_or(0.0, |pause| (self.gone / pause).min(1.0));
        let between = next.duration_since(last).as_secs_f64().max(0.0);
        let gone = SignedDuration::try_from_secs_f64(between * share).ok()?;
        last.checked_add(gone).ok()
    }

    /// Lets so many seconds pass, and shows all that happened in them; without any, what is due now.
    pub fn pass(&mut self, seconds: f64) -> Show {
        match self.speed {
            _ if self.still => {}
            Speed::Max => self.shown = self.events.len(),
            Speed::Times(times) => {
                self.gone += seconds * times;
                while let Some(pause) = self.pause().filter(|pause| *pause <= self.gone) {
                    self.gone -= pause;
                    self.shown += 1;
                }
            }
        }
        Show::On(self.shown)
    }

    /// Seconds from the last shown event to the next, at normal speed.
    fn pause(&self) -> Option<f64> {
        let (_, next) = self.events.get(self.shown)?;
        let (_, last) = self.events.get(self.shown.checked_sub(1)?)?;
        Some(pause(*last, *next))
    }

    /// Does what is asked; says what has to be shown for it, if anything.
    pub fn wish(&mut self, wish: Wish) -> Option<Show> {
        match wish {
            Wish::Pause => self.still = true,
            Wish::Play => self.still = false,
            Wish::Pace(speed) => self.speed = speed,
            Wish::To(moment) => return self.go_to(moment),
            Wish::By(seconds) => {
                let here = self.events.get(self.shown.checked_sub(1)?)?.1;
                let gone = here.duration_since(self.events[0].1).as_secs_f64();
                return self.go_to(Moment::Since((gone + seconds).max(0.0)));
            }
            Wish::Quit => {}
        }
        None
    }

    fn go_to(&mut self, moment: Moment) -> Option<Show> {
        let start = self.events.first()?.1;
        let before = self.events.iter();
        let before = before.take_while(|event| moment.is_after(**event, start));
        // The event that is named is shown; so is the first, which says what run it is.
        let exact = matches!(moment, Moment::Seq(_));
        let to = (before.count() + usize::from(exact)).clamp(1, self.events.len());
        let from = std::mem::replace(&mut self.shown, to);
        self.gone = 0.0;
        match to.cmp(&from) {
            std::cmp::Ordering::Equal => None,
            std::cmp::Ordering::Greater => Some(Show::On(to)),
            std::cmp::Ordering::Less => Some(Show::Anew(to)),
        }
    }
}

/// How many of a reply's characters had come at a moment, between its request and its end. When each of
/// them came is not recorded, so they are taken to have come evenly.
#[must_use]
pub fn come(chars: usize, (asked, replied): (Timestamp, Timestamp), now: Timestamp) -> usize {
    let span = replied.duration_since(asked).as_secs_f64();
    let gone = now.duration_since(asked).as_secs_f64();
    if span <= 0.0 {
        return 0;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a text's length, from nothing to all of it"
    )]
    let come = (chars as f64 * (gone / span).clamp(0.0, 1.0)) as usize;
    come.min(chars)
}

/// Seconds between two events at normal speed.
#[must_use]
pub fn pause(last: Timestamp, next: Timestamp) -> f64 {
    let between = next.duration_since(last).as_secs_f64();
    between.clamp(0.0, LONGEST_SILENCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_or_refused() {
        assert_eq!(Moment::parse("1200"), Some(Moment::Seq(1200)));
        assert_eq!(Moment::parse("1h30m"), Some(Moment::Since(5400.0)));
        assert_eq!(Speed::parse("10x"), Some(Speed::Times(10.0)));
        for bad in ["0", "-1", "inf", "fast"] {
            assert_eq!(Speed::parse(bad), None, "{bad}");
        }
        for (line, wish) in [
            ("pause", Wish::Pause),
            (" 20x ", Wish::Pace(Speed::Times(20.0))),
            ("max", Wish::Pace(Speed::Max)),
            ("1h", Wish::To(Moment::Since(3600.0))),
            ("7", Wish::To(Moment::Seq(7))),
            ("+30s", Wish::By(30.0)),
            ("-5m", Wish::By(-300.0)),
        ] {
            assert_eq!(Wish::parse(line), Some(wish), "{line}");
        }
        for bad in ["", "hello", "x", "0x", "+", "-"] {
            assert_eq!(Wish::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_player_waits_as_it_happened_and_goes_where_it_is_told() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let events = vec![
            (1, at(0)),
            (2, at(2)),
            (3, at(3)),
            (4, at(9000)),
            (5, at(9001)),
        ];
        let mut player = Player::new(events, Speed::Times(2.0));
        assert_eq!((player.shown(), player.wait()), (1, Some(1.0)));
        assert_eq!(player.pass(0.5), Show::On(1));
        assert_eq!((player.wait(), player.now()), (Some(0.5), Some(at(1))));
        assert_eq!(player.pass(0.5), Show::On(2));
        assert_eq!(player.pass(0.5), Show::On(3));
        // A long silence is cut short.
        assert_eq!(player.wait(), Some(LONGEST_SILENCE / 2.0));
        player.pass(LONGEST_SILENCE / 4.0);
        let half = at(3 + 8997 / 2).duration_since(player.now().unwrap());
        assert!(half.as_secs_f64().abs() < 1.0, "half of it is over");
        player.wish(Wish::Pause);
        assert_eq!(player.wait(), None);
        assert_eq!(player.pass(100.0), Show::On(3));
        player.wish(Wish::Play);
        assert_eq!(player.wish(Wish::To(Moment::Seq(2))), Some(Show::Anew(2)));
        assert_eq!(player.wish(Wish::By(1.5)), Some(Show::On(3)));
        // A fast one does not crawl from event to event.
        assert_eq!(player.pass(LONGEST_SILENCE), Show::On(5));
        assert_eq!(player.wish(Wish::To(Moment::Seq(3))), Some(Show::Anew(3)));
        assert_eq!(
            player.wish(Wish::To(Moment::Seq(u64::MAX))),
            Some(Show::On(5))
        );
        assert_eq!(player.wait(), None, "the end");
        assert_eq!(player.now(), Some(at(9001)));
        assert_eq!(player.wish(Wish::By(-1e9)), Some(Show::Anew(1)));
        player.wish(Wish::Pace(Speed::Max));
        assert_eq!((player.wait(), player.pass(0.0)), (Some(0.0), Show::On(5)));
    }

    #[test]
    fn a_reply_comes_evenly_from_its_request_to_its_end() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let span = (at(10), at(20));
        for (second, chars) in [(0, 0), (10, 0), (11, 8), (15, 40), (20, 80), (99, 80)] {
            assert_eq!(come(80, span, at(second)), chars, "{second}");
        }
        assert_eq!(come(80, (at(10), at(10)), at(10)), 0, "the log brings it");
        assert_eq!(come(0, span, at(15)), 0);
    }
}
