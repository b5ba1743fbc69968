//! A run is watched while it runs: what it prints is read as it is printed.
//!
//! A candidate that cannot match its baseline any more, or whose loss is not a number any more, ends
//! before its budget is spent, and how far a run has come is written down now and then. The rules are
//! the protocol's and the lab's; this only reads, asks and calls off. Must not change what a run that
//! is left alone gives.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::domain::event::{Measured, RunStatus};
use crate::lab::metric::{self, Divergence};
use crate::os::{clock, lock};

use super::Order;
use super::place::Program;

/// Between two looks at what a run prints: a mismatch costs half a second of a device.
const LOOK: Duration = Duration::from_millis(500);
/// Between two notes of how far it has come.
const NOTE: Duration = Duration::from_secs(20);
/// Most bytes read at one look; more is read at the next.
const CHUNK: u64 = 1 << 20;

/// What a look found.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::engine) enum Look {
    /// Nothing to tell.
    Quiet,
    /// Steps done, and in all.
    At(u64, u64),
    /// It is over.
    Over,
}

/// The watch over one run.
#[derive(Debug)]
pub(in crate::engine) struct Watching {
    output: PathBuf,
    read: u64,
    /// The beginning of a line whose end is not there yet.
    begun: String,
    since: Instant,
    noted: Option<(Instant, u64)>,
    so_far: Measured,
    divergence: Divergence,
}

impl Watching {
    pub(in crate::engine) fn of(order: &Order) -> Self {
        Self {
            output: order.log(Program::Run),
            read: 0,
            begun: String::new(),
            since: clock::monotonic(),
            noted: None,
            so_far: Measured::default(),
            divergence: Divergence::default(),
        }
    }

    /// Waits a moment and looks.
    pub(in crate::engine) async fn look(&mut self, order: &Order) -> Look {
        tokio::time::sleep(LOOK).await;
        if lock::holder(&order.job(Program::Run).lock).is_none() {
            return Look::Over;
        }
        let new = self.lines();
        if let Some(why) = self.wrong(order, &new) {
            order.end_early(why);
        }
        let Some(pattern) = &order.chart.task.progress else {
            return Look::Quiet;
        };
        let now = clock::monotonic();
        match metric::progress(&new, pattern) {
            Some((done, total)) if self.is_news(now, done) => {
                self.noted = Some((now, done));
                Look::At(done, total)
            }
            _ => Look::Quiet,
        }
    }

    fn is_news(&self, now: Instant, done: u64) -> bool {
        let last = self.noted.map_or(self.since, |(at, _)| at);
        let changed = self.noted.is_none_or(|(_, before)| before != done);
        changed && now.duration_since(last) >= NOTE
    }

    /// The lines that were finished since the last look. A log that passed its cap is rewritten in its
    /// middle; what is read of it then may be read twice, which no rule here minds.
    fn lines(&mut self) -> String {
        let mut bytes = Vec::new();
        let mut read = || -> std::io::Result<()> {
            let mut file = File::open(&self.output)?;
            file.seek(SeekFrom::Start(self.read))?;
            file.take(CHUNK).read_to_end(&mut bytes)?;
            Ok(())
        };
        if read().is_err() {
            return String::new();
        }
        self.read += bytes.len() as u64;
        self.begun.push_str(&String::from_utf8_lossy(&bytes));
        match self.begun.rfind('\n') {
            Some(end) => {
                let rest = self.begun.split_off(end + 1);
                std::mem::replace(&mut self.begun, rest)
            }
            None => String::new(),
        }
    }

    /// Why the run is not to go on.
    fn wrong(&mut self, order: &Order, new: &str) -> Option<(RunStatus, String)> {
        let so_far = &mut self.so_far;
        if let Ok(costs) = metric::costs(new, &order.chart.task.measure) {
            so_far.flops = costs.flops.or(so_far.flops);
            so_far.params = costs.params.or(so_far.params);
            so_far.tokens = costs.tokens.or(so_far.tokens);
        }
        so_far.wall_s = if order.stood_still.load(Ordering::SeqCst) {
            0.0
        } else {
            clock::monotonic().duration_since(self.since).as_secs_f64()
        };
        so_far.gpu_s = so_far.wall_s * order.gpus.len() as f64;
        if let Some(why) = order.bounds.broken(so_far) {
            return Some((RunStatus::Cancelled, format!("ended early: {why}")));
        }
        let why = self.divergence.follow(new)?;
        Some((
            RunStatus::Invalid,
            format!("diverged, and ended early: {why}"),
        ))
    }
}
