//! A run is watched while it runs: what it prints is read as it is printed.
//!
//! A candidate that cannot match its baseline any more, or whose loss is not a number any more, ends
//! before its budget is spent, and how far a run has come is written down now and then. The rules are
//! the protocol's and the lab's; this only reads, asks and calls off. Must not change what a run that
//! is left alone gives.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::domain::event::{Measured, RunStatus};
use crate::domain::state::GONE;
use crate::lab::devices;
use crate::lab::metric::{self, Divergence};
use crate::os::{clock, lock, process};

use super::Order;
use super::place::Program;

/// Between two looks at what a run prints: a mismatch costs half a second of a device.
const LOOK: Duration = Duration::from_millis(500);
/// Between two notes of how far it has come.
const NOTE: Duration = Duration::from_secs(20);
/// Most bytes read at one look; more is read at the next.
const CHUNK: u64 = 1 << 20;

/// Between two looks at the devices: the driver is asked by a program of its own.
const DEVICE_LOOK: Duration = Duration::from_secs(5);
/// Looks in a row that find a stranger before a run is taken for contended: its own processes are known
/// a moment later than the driver knows them. And that miss a device: a driver may be asked at a bad time.
const STRANGE_LOOKS: u32 = 2;

/// What was seen of a run's devices.
#[derive(Debug, Default)]
pub(in crate::engine) struct Tally {
    looks: u32,
    busy: f64,
    strange: u32,
    gone: u32,
    /// How long its threads ran, and waited.
    pub(in crate::engine) waits: Waits,
    /// Most memory held at a look, MiB.
    pub(in crate::engine) peak_mb: Option<f64>,
}

/// How long the threads of a run ran, and waited for a processor, each as it was last seen.
#[derive(Debug, Default)]
pub(in crate::engine) struct Waits(BTreeMap<u32, (f64, f64)>);

impl Waits {
    /// The share of waiting in what they could have run.
    pub(in crate::engine) fn share(&self) -> Option<f64> {
        let (ran, waited) = self
            .0
            .values()
            .fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        (ran + waited > 0.0).then(|| waited / (ran + waited))
    }

    /// Looks at the threads below a process.
    fn look(&mut self, keeper: u32) {
        for process in process::descendants(keeper) {
            self.0.extend(process::threads(process.pid));
        }
    }
}

impl Tally {
    /// Mean utilisation, per cent.
    pub(in crate::engine) fn utilisation(&self) -> Option<f64> {
        (self.looks > 0).then(|| self.busy / f64::from(self.looks))
    }

    fn add(&mut self, seen: &devices::Seen) {
        if let Some(busy) = seen.utilisation {
            self.looks += 1;
            self.busy += busy;
        }
        if let Some(now) = seen.memory_mb {
            self.peak_mb = Some(self.peak_mb.unwrap_or(0.0).max(now));
        }
        let strange = !seen.strangers.is_empty();
        self.strange = if strange { self.strange + 1 } else { 0 };
        let gone = seen.gone.is_some();
        self.gone = if gone { self.gone + 1 } else { 0 };
    }
}

/// Asks the driver about the devices of a run; nothing where they are pretended or it does not answer.
async fn see(order: &Order) -> Option<devices::Seen> {
    let real = order.gpus.iter().filter(|gpu| !gpu.simulated);
    let uuids: Vec<String> = real.map(|gpu| gpu.uuid.clone()).collect();
    if uuids.is_empty() {
        return None;
    }
    let env = order.clean.clone();
    let holders = Program::ALL.map(|program| lock::holder(&order.job(program).lock));
    let asked = tokio::task::spawn_blocking(move || {
        let all = BTreeSet::new();
        let mut seen = devices::look(&env, &uuids, &all)?;
        if seen.strangers.is_empty() {
            return Ok(seen);
        }
        // Only now, so that none is missing that the driver knew.
        let keepers = holders.into_iter().flatten().map(|holder| holder.pid);
        let own = keepers.flat_map(|pid| process::descendants(pid).into_iter().map(|it| it.pid));
        let own: BTreeSet<u32> = own.collect();
        seen = devices::look(&env, &uuids, &own)?;
        Ok::<_, String>(seen)
    });
    asked.await.ok()?.ok()
}

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
    seen: Option<Instant>,
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
            seen: None,
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
        self.look_at_processors(order);
        self.look_at_devices(order).await;
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

    /// Looks at how long the run's threads wait, where its clock decides.
    fn look_at_processors(&self, order: &Order) {
        let keeper = lock::holder(&order.job(Program::Run).lock).map(|holder| holder.pid);
        if let (Some(_), Some(keeper)) = (order.calm, keeper) {
            let mut tally = order.tally.lock().unwrap_or_else(PoisonError::into_inner);
            tally.waits.look(keeper);
        }
    }

    async fn look_at_devices(&mut self, order: &Order) {
        let now = clock::monotonic();
        let soon = |at: Instant| now.duration_since(at) < DEVICE_LOOK;
        if self.seen.is_some_and(soon) {
            return;
        }
        self.seen = Some(now);
        let Some(seen) = see(order).await else { return };
        let mut tally = order.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.add(&seen);
        if tally.strange >= STRANGE_LOOKS {
            let pids: Vec<String> = seen.strangers.iter().map(u32::to_string).collect();
            let why = format!("others computed on its devices: pid {}", pids.join(", "));
            order.end_early((RunStatus::Contended, why));
        }
        if let Some(uuid) = seen.gone.filter(|_| tally.gone >= STRANGE_LOOKS) {
            // What computes on nothing may hang until its time is up; that is nothing it did.
            let why = format!("{uuid} went away under it: {GONE}");
            order.end_early((RunStatus::Interrupted, why));
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
