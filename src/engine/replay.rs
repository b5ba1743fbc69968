//! A run's log, played again in an office of its own, with the same panes.
//!
//! Owns the loop between the player's times, what a person types, and the terminal that looks at it. The
//! panes follow a showing as they follow a run, its live streams included; where time goes back, they are
//! seated again. Must not know what anything means.

mod streams;

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use crate::domain::chart::Chart;
use crate::domain::event::Event;
use crate::domain::replay::{Player, Show, Wish};
use crate::domain::state::{FoldError, State};
use crate::domain::{needs, standing};
use crate::office::{Mark, Office, OfficeError, Plan};
use crate::os::clock;
use crate::os::exec::{Exec, Input, Output};
use crate::run::bell::Bell;
use crate::run::showing::Showing;

use self::streams::Streams;
use super::seats;

/// Shortest time between two pictures: a faster replay shows more at once.
const FRAME: Duration = Duration::from_millis(100);
/// Shortest time between two changes of the borders.
const SPACING: Duration = Duration::from_millis(500);

/// Why a run cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// tmux.
    #[error("the office could not be built")]
    Office(#[from] OfficeError),
    /// The log.
    #[error("the log cannot be folded")]
    Fold(#[from] FoldError),
    /// The place where it is shown, or the terminal.
    #[error("cannot {doing}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Why not.
        source: io::Error,
    },
}

fn failed(doing: &'static str) -> impl FnOnce(io::Error) -> ReplayError {
    move |source| ReplayError::Io { doing, source }
}

/// What is played, and where.
#[derive(Debug)]
pub struct Programme {
    /// The run's chart.
    pub chart: Chart,
    /// Its events, each with its line.
    pub events: Vec<(Event, String)>,
    /// At what moment, and how fast.
    pub player: Player,
    /// The environment of panes.
    pub clean: BTreeMap<String, String>,
    /// The value of `TMUX` around this terminal.
    pub inside: Option<String>,
}

/// Plays it on this terminal until the person leaves.
///
/// # Errors
/// Where there is no tmux, or no place for the showing.
pub async fn play(programme: Programme, showing: Showing) -> Result<(), ReplayError> {
    let office = seats::office(showing.dir(), &programme.clean)?;
    let mut theatre = Theatre {
        streams: Streams::of(&programme.events, showing.dir()),
        passed: clock::monotonic(),
        state: State::default(),
        told: 0,
        plan: None,
        panes: BTreeMap::new(),
        words: BTreeMap::new(),
        needs: 0,
        marked: None,
        office,
        programme,
        showing,
    };
    let shown = theatre.play().await;
    // Also where it failed: nothing of it stays behind.
    let closed = theatre.office.close().await;
    shown.and(Ok(closed?))
}

/// The office of a showing, and what it was told.
struct Theatre {
    programme: Programme,
    showing: Showing,
    office: Office,
    plan: Option<Plan>,
    panes: BTreeMap<String, String>,
    state: State,
    /// Events shown.
    told: usize,
    streams: Streams,
    /// Up to when time has passed for the player.
    passed: Instant,
    words: BTreeMap<String, &'static str>,
    needs: u32,
    marked: Option<Instant>,
}

impl Theatre {
    async fn play(&mut self) -> Result<(), ReplayError> {
        self.tell(Show::On(self.programme.player.shown()))?;
        self.build().await?;
        self.passed = clock::monotonic();
        let inside = self.programme.inside.clone();
        let Some(argv) = self.office.attach_argv(inside.as_deref(), None) else {
            return Ok(());
        };
        let listen = |kind| signal(kind).map_err(failed("listen for signals"));
        let mut hangup = listen(SignalKind::hangup())?;
        let mut terminate = listen(SignalKind::terminate())?;
        let mut bell = Bell::on(&[self.showing.dir().wishes()]);
        let mut client = Exec::new(argv[0].as_str())
            .args(argv[1..].iter().cloned())
            .envs(self.programme.clean.clone())
            .stdin(Input::Inherit)
            .stdout(Output::Inherit)
            .stderr(Output::Inherit)
            .spawn_piped()
            .map_err(failed("start tmux"))?;
        loop {
            let early = self.mark().await?;
            let wait = self.due();
            let due = async {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            let again = async {
                match early {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                ended = client.wait() => {
                    return ended.map(drop).map_err(failed("wait for tmux"));
                }
                _ = hangup.recv() => return Ok(()),
                _ = terminate.recv() => return Ok(()),
                () = bell.wait() => {
                    if self.grant_wishes().await? {
                        return Ok(());
                    }
                }
                () = due => self.pass()?,
                () = again => {}
            }
        }
    }

    async fn build(&mut self) -> Result<(), ReplayError> {
        let Programme { chart, clean, .. } = &self.programme;
        let dir = self.showing.dir();
        let mut plan = seats::plan(chart, &self.state, dir, clean);
        plan.session = format!("replay-{}", dir.id());
        self.panes = self.office.open(&plan).await?.panes;
        self.plan = Some(plan);
        Ok(())
    }

    /// How long until something is to be shown.
    fn due(&self) -> Option<Duration> {
        let next = frame(self.programme.player.wait()?);
        let streams = !self.streams.is_empty();
        Some(if streams { next.min(FRAME) } else { next })
    }

    /// Lets the time pass that has passed.
    fn pass(&mut self) -> Result<(), ReplayError> {
        let now = clock::monotonic();
        let gone = now.duration_since(std::mem::replace(&mut self.passed, now));
        let show = self.programme.player.pass(gone.as_secs_f64());
        self.tell(show)
    }

    /// Does what was typed; says whether that was to end.
    async fn grant_wishes(&mut self) -> Result<bool, ReplayError> {
        // What was typed holds from now on.
        self.pass()?;
        for line in self.showing.wishes() {
            let Some(wish) = Wish::parse(&line) else {
                continue;
            };
            if wish == Wish::Quit {
                return Ok(true);
            }
            let Some(show) = self.programme.player.wish(wish) else {
                continue;
            };
            self.tell(show)?;
            if matches!(show, Show::Anew(_)) {
                self.seat_again().await?;
            }
        }
        Ok(false)
    }

    /// Shows events to whoever follows.
    fn tell(&mut self, show: Show) -> Result<(), ReplayError> {
        let (from, to) = match show {
            Show::On(to) => (self.told, to),
            Show::Anew(to) => {
                self.state = State::default();
                (0, to)
            }
        };
        let mut lines = String::new();
        if from == 0 {
            self.streams.clear();
        }
        for (event, raw) in &self.programme.events[from..to] {
            self.state.apply(event)?;
            self.streams.follow(event);
            lines.push_str(raw);
            lines.push('\n');
        }
        self.told = to;
        let shown = match show {
            Show::On(_) if lines.is_empty() => Ok(()),
            Show::On(_) => self.showing.show_on(&lines),
            Show::Anew(_) => self.showing.show_anew(&lines),
        };
        shown.map_err(failed("write what is shown"))?;
        // After the log, which says that there is such a request.
        if let Some(now) = self.programme.player.now() {
            self.streams.come(now);
        }
        Ok(())
    }

    /// Everybody follows from the beginning.
    async fn seat_again(&mut self) -> Result<(), ReplayError> {
        let seats = self
            .plan
            .iter()
            .flat_map(|plan| plan.pages.iter().chain(&plan.hq));
        for seat in seats {
            if let Some(pane) = self.panes.get(&seat.name) {
                self.office.reseat(pane, seat).await?;
            }
        }
        Ok(())
    }

    /// Tells the borders what changed; says when to try again where it is too early.
    async fn mark(&mut self) -> Result<Option<Duration>, ReplayError> {
        let Some(now) = self.state.at else {
            return Ok(None);
        };
        let (mut marks, mut words) = (Vec::new(), BTreeMap::new());
        for (name, agent) in &self.state.agents {
            let Some(pane) = self.panes.get(name).cloned() else {
                continue;
            };
            let word = standing::agent(&self.state, name, Some(agent.pid.is_some()), now).word;
            if self.words.get(name) != Some(&word) {
                words.insert(name.clone(), word);
                let word = word.to_owned();
                marks.push(Mark::State { pane, word });
            }
        }
        let needs = needs::needs_you(&self.programme.chart, &self.state, now).len();
        let needs = u32::try_from(needs).unwrap_or(u32::MAX);
        if needs != self.needs {
            marks.push(Mark::Needs(needs));
        }
        if marks.is_empty() {
            return Ok(None);
        }
        let at = clock::monotonic();
        if let Some(gone) = self.marked.map(|marked| at.duration_since(marked))
            && gone < SPACING
        {
            return Ok(Some(SPACING - gone));
        }
        self.marked = Some(at);
        self.words.extend(words);
        self.needs = needs;
        self.office.mark(&marks).await?;
        Ok(None)
    }
}

fn frame(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds)
        .unwrap_or(FRAME)
        .max(FRAME)
}
