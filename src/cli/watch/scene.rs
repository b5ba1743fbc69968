//! What the dashboard looks at: a run's log, followed or folded to a moment, and what is observed
//! beside it.
//!
//! Owns when things are looked at again: the disk is counted seldom, the driver is asked by one watcher
//! only. Must not know keys or terminals.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use regex::Regex;

use crate::cli::failure::Failure;
use crate::cli::place;
use crate::domain::chart::Chart;
use crate::domain::event::RunStatus;
use crate::domain::progress;
use crate::domain::state::State;
use crate::lab::gpu_use;
use crate::os::{clock, files};
use crate::run::gpu_use::{GpuUse, Sampled};
use crate::run::log::{self, Log};
use crate::run::paths::RunDir;
use crate::view::status::{self, Holder, Seen};
use crate::view::watch::{Board, History, Look, Looks, Moment, Page, Target, page};

/// Between two countings of the run's bytes.
const DISK_EVERY: Duration = Duration::from_secs(60);
/// Age from which a sample of the GPUs is too old to be shown.
const GPUS_OLD_S: i64 = 30;
/// Age from which the driver is asked again, by whoever notices first.
const GPUS_ASK_S: i64 = 5;
/// Bytes of a run's output that are searched for its progress.
const TAIL_BYTES: u64 = 16 << 10;

/// A run, looked at.
pub(super) struct Scene {
    pub(super) dir: RunDir,
    pub(super) chart: Chart,
    pub(super) log: Log,
    history: History,
    /// The moment that was stepped to.
    past: Option<(State, History)>,
    progress: Option<Regex>,
    disk: Option<(Instant, u64)>,
}

impl Scene {
    /// Opens a run.
    ///
    /// # Errors
    /// Where its log or chart cannot be read.
    pub(super) fn open(dir: &RunDir) -> Result<Self, Failure> {
        let chart = place::chart(dir)?;
        let mut history = History::default();
        let log = Log::open_with(dir, |event| history.take(event))?;
        let progress = chart.task.progress.as_deref();
        Ok(Self {
            progress: progress.and_then(|pattern| Regex::new(pattern).ok()),
            dir: dir.clone(),
            chart,
            log,
            history,
            past: None,
            disk: None,
        })
    }

    /// Takes in what was appended; says whether anything was.
    ///
    /// # Errors
    /// Where the log cannot be read.
    pub(super) fn catch_up(&mut self) -> Result<bool, Failure> {
        self.log.catch_up()?;
        let news = self.log.drain();
        for event in &news {
            self.history.take(event);
        }
        Ok(!news.is_empty())
    }

    /// Shows the moment after event `seq`; follows the log again where that is its end.
    ///
    /// # Errors
    /// Where the log cannot be read.
    pub(super) fn go_to(&mut self, seq: u64) -> Result<(), Failure> {
        if seq >= self.log.state().seq {
            self.past = None;
            return Ok(());
        }
        let (mut state, mut history) = (State::default(), History::default());
        let mut broken = None;
        log::each(&self.dir, |event, _| {
            if event.seq <= seq.max(1) && broken.is_none() {
                broken = state.apply(event).err();
                history.take(event);
            }
        })?;
        if let Some(error) = broken {
            let hint = "`org logs` prints the log as it is";
            return Err(Failure::refused("the log cannot be folded", hint).because(&error));
        }
        self.past = Some((state, history));
        Ok(())
    }

    /// Steps so many news forward, or back.
    ///
    /// # Errors
    /// Where the log cannot be read.
    pub(super) fn step(&mut self, news: i64) -> Result<(), Failure> {
        let from = self.state().seq;
        self.go_to(self.history.step(from, news))
    }

    /// Follows the log again.
    pub(super) fn follow(&mut self) {
        self.past = None;
    }

    /// Whether the end of the log is shown.
    pub(super) fn follows(&self) -> bool {
        self.past.is_none()
    }

    /// What is so at the moment that is shown.
    pub(super) fn state(&self) -> &State {
        match &self.past {
            Some((state, _)) => state,
            None => self.log.state(),
        }
    }

    /// The moment, drawn up.
    pub(super) fn board(&mut self) -> Board {
        let last = self.log.state().seq;
        // What is shown again is the past, also at its end.
        let follows = self.follows() && !self.dir.is_showing();
        let now = if follows {
            clock::now()
        } else {
            self.state().at.unwrap_or_else(clock::now)
        };
        let disk_bytes = self.disk_bytes();
        let seen = if follows {
            place::observe_lives(&self.dir, &self.chart)
        } else {
            as_logged(&self.dir, &self.chart, self.state())
        };
        let looks = if follows {
            self.looks(now)
        } else {
            Looks::default()
        };
        let (state, history) = match &self.past {
            Some((state, history)) => (state, history),
            None => (self.log.state(), &self.history),
        };
        let seen = Seen { disk_bytes, ..seen };
        let status = status::of(&self.chart, state, &seen, now);
        let moment = Moment {
            seq: state.seq,
            last,
            now,
            follows,
        };
        Board::of((&self.chart, state), status, history, &looks, moment)
    }

    /// All that is known of something.
    ///
    /// # Errors
    /// Where a text of it cannot be had.
    pub(super) fn page(&self, board: &Board, target: &Target) -> std::io::Result<Option<Page>> {
        let blobs = self.log.blobs();
        page((board, self.state()), target, |text| blobs.whole(text))
    }

    fn disk_bytes(&mut self) -> u64 {
        if self.dir.is_showing() {
            // A showing has no bytes of the run.
            return 0;
        }
        let now = clock::monotonic();
        match self.disk {
            Some((at, bytes)) if now.duration_since(at) < DISK_EVERY => bytes,
            _ => {
                let bytes = files::tree_bytes(self.dir.path());
                self.disk = Some((now, bytes));
                bytes
            }
        }
    }

    fn looks(&self, now: Timestamp) -> Looks {
        let state = self.log.state();
        let mut looks = Looks::default();
        let running = state
            .experiments
            .values()
            .filter(|run| run.status == RunStatus::Running);
        for run in running {
            let tail = files::read_tail(&self.dir.output(run.id, run.attempt), TAIL_BYTES);
            let tail = String::from_utf8_lossy(&tail.unwrap_or_default()).into_owned();
            let pattern = self.progress.as_ref();
            let progress = pattern.and_then(|pattern| progress::last(pattern, &tail));
            looks.runs.insert(run.id, Look { progress });
        }
        if state.gpus.iter().any(|gpu| !gpu.simulated) && !state.stopped {
            looks.gpus = self
                .sampled(now)
                .map_or_else(Default::default, |it| it.gpus);
        }
        looks
    }

    /// What the GPUs do, asked anew where nobody has lately.
    fn sampled(&self, now: Timestamp) -> Option<Sampled> {
        let age = |sampled: &Sampled| now.as_second() - sampled.at.as_second();
        let known = Sampled::read(&self.dir);
        if known.as_ref().is_some_and(|known| age(known) < GPUS_ASK_S) {
            return known;
        }
        let Ok(found) = gpu_use::ask(&place::clean_env()) else {
            return known.filter(|known| age(known) < GPUS_OLD_S);
        };
        let gpus = found.into_iter().map(|one| {
            let used = GpuUse {
                busy_percent: one.busy_percent,
                used_mb: one.used_mb,
                total_mb: one.total_mb,
            };
            (one.uuid, used)
        });
        let sampled = Sampled {
            at: now,
            gpus: gpus.collect(),
        };
        // Others look for themselves where this cannot be left for them.
        sampled.write(&self.dir).ok();
        Some(sampled)
    }
}

/// Who lived at a moment that is over, as far as the log knows.
fn as_logged(dir: &RunDir, chart: &Chart, state: &State) -> Seen {
    let holder = |name: &String| match state.agents.get(name).and_then(|agent| agent.pid) {
        Some(pid) => Holder::Process(Some(pid)),
        None => Holder::Nobody,
    };
    Seen {
        dir: dir.path().display().to_string(),
        supervisor: !state.stopped,
        agents: chart
            .agents
            .iter()
            .map(|agent| (agent.name.clone(), holder(&agent.name)))
            .collect(),
        disk_bytes: 0,
    }
}
