//! Which queued runs start now, and on which devices.
//!
//! Owns the order of the queue and the sharing of devices: by urgency, then by fairness between
//! agents, on the home device of the author where it is free, all devices of a run together; and which
//! runs are not wanted any more. Must not know how anything is launched.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::chart::{Chart, Timeout};
use super::event::{Actor, Gpu, RunStatus, Stage, Status};
use super::fit::{self, Kept};
use super::freeze;
use super::state::{Experiment, Hypothesis, State};

/// Longest a run may take before there is a baseline to go by, seconds.
const TIMEOUT_UNKNOWN_S: f64 = 3600.0;
/// Shortest `auto` timeout, seconds: twice a tenth of a second would be jitter.
const TIMEOUT_FLOOR_S: f64 = 30.0;

/// Seconds after which a waiting run goes before all others: nobody is put off for ever by a stream of
/// more urgent ones.
const PATIENCE_S: f64 = 3600.0;

/// A run that can start, with its devices.
#[derive(Debug, Clone, PartialEq)]
pub struct Grant {
    /// Which.
    pub experiment: u64,
    /// Its devices.
    pub gpus: Vec<Gpu>,
}

/// Seconds that one run may take.
#[must_use]
pub fn timeout(chart: &Chart, state: &State) -> f64 {
    match chart.task.timeout {
        Timeout::Seconds(seconds) => seconds,
        Timeout::Auto => {
            let slowest = state
                .experiments
                .values()
                .filter(|run| run.status == RunStatus::Ok && run.commit == state.start)
                .map(|run| run.measured.wall_s)
                .fold(0.0, f64::max);
            if slowest > 0.0 {
                (2.0 * slowest).max(TIMEOUT_FLOOR_S)
            } else {
                TIMEOUT_UNKNOWN_S
            }
        }
    }
}

/// GPU seconds used, and the most that running ones can still use.
#[must_use]
pub fn gpu_seconds(chart: &Chart, state: &State) -> (f64, f64) {
    // A device that is leased while the harness evaluates is used, too.
    let each = |run: &Experiment| f64::from(fit::gpus(chart, run));
    let spent = state
        .experiments
        .values()
        .map(|run| run.measured.gpu_s + run.measured.evaluation_s * each(run));
    let running = state
        .experiments
        .values()
        .filter(|run| run.status == RunStatus::Running);
    let reserved = running.map(|run| timeout(chart, state) * run.gpus.len() as f64);
    // The sum of nothing is -0.0, which people would read.
    (spent.sum::<f64>() + 0.0, reserved.sum::<f64>() + 0.0)
}

/// The runs that can start now, in the order of the queue. A cap on GPU hours is never passed: a run
/// starts only where its longest time still fits. Where the next needs more devices than are free, they are
/// kept for it, and smaller ones go before it only as far as that does not put it off.
#[must_use]
pub fn grants(chart: &Chart, state: &State, now: Timestamp) -> Vec<Grant> {
    let running = state
        .experiments
        .values()
        .filter(|run| run.status == RunStatus::Running);
    let running: Vec<&Experiment> = running.collect();
    let busy: BTreeSet<&str> = running
        .iter()
        .flat_map(|run| run.gpus.iter().map(|gpu| gpu.uuid.as_str()))
        .collect();
    let usable = |gpu: &&Gpu| !busy.contains(&*gpu.uuid) && !state.barred.contains_key(&gpu.uuid);
    let free = state.gpus.iter().filter(usable);
    let mut free: Vec<Gpu> = free.cloned().collect();
    let mut slots = (state.parallel as usize).saturating_sub(running.len());
    if state.disk_full.is_some() {
        slots = 0;
    }
    let longest = timeout(chart, state);
    let mut large: Option<Kept> = None;
    let (spent, reserved) = gpu_seconds(chart, state);
    let cap = gpu_cap(chart, state);
    let mut claimed = spent + reserved;
    let mut queue = Queue::of(chart, state, now, &running);
    let mut grants = Vec::new();
    let kept = kept_back(chart, state);
    let (smallest, _) = fit::sizes(chart);
    while slots > 0 && free.len() >= smallest as usize {
        let Some(run) = queue.next() else { break };
        let want = fit::gpus(chart, run) as usize;
        let each = longest * want as f64;
        // What is kept for the closing runs is theirs alone; before it is known how much that is, half of
        // the cap is for the baseline.
        let kept = match run.stage {
            Stage::Closing => 0.0,
            Stage::Admission => kept,
            _ if !costed(state) => cap.unwrap_or_default() / 2.0,
            _ => kept,
        };
        if cap.is_some_and(|cap| claimed + each > cap - kept) {
            continue;
        }
        if large
            .as_mut()
            .is_some_and(|kept| !kept.lets(chart, state, now, run))
        {
            continue;
        }
        if free.len() < want {
            let patient = waited(run, now) >= PATIENCE_S;
            let kept = || Kept::of(chart, state, now, want as u32, free.len(), patient);
            large = large.or_else(kept);
            continue;
        }
        queue.goes(run);
        let home = run
            .agent
            .as_ref()
            .and_then(|name| state.agents.get(name)?.gpu.as_ref());
        if let Some(at) = free.iter().position(|gpu| Some(gpu) == home) {
            free.swap(0, at);
        }
        grants.push(Grant {
            experiment: run.id,
            gpus: free.drain(..want).collect(),
        });
        claimed += each;
        slots -= 1;
    }
    grants
}

/// Waiting runs, and what their owners have had.
struct Queue<'a> {
    state: &'a State,
    now: Timestamp,
    waiting: Vec<&'a Experiment>,
    /// Runs of each owner that run or were just let go.
    running: BTreeMap<&'a str, u32>,
    /// Seconds of devices that each owner has used.
    used: BTreeMap<&'a str, f64>,
}

impl<'a> Queue<'a> {
    fn of(chart: &Chart, state: &'a State, now: Timestamp, running: &[&'a Experiment]) -> Self {
        let ready = |run: &&Experiment| {
            run.status == RunStatus::Queued
                && !freeze::wanted(state, run)
                && notice_of(chart, state, run).is_none_or(|at| at <= now)
        };
        let mut queue = Self {
            state,
            now,
            waiting: state.experiments.values().filter(ready).collect(),
            running: BTreeMap::new(),
            used: BTreeMap::new(),
        };
        for run in running {
            *queue.running.entry(queue.owner(run)).or_default() += 1;
        }
        for run in state.experiments.values() {
            let used = run.measured.gpu_s.max(run.measured.wall_s);
            *queue.used.entry(queue.owner(run)).or_default() += used;
        }
        queue
    }

    /// Whose turn it is used up by: the claim's author, whoever asked, or the lab. A control is the turn of
    /// the first claim that is held against it, so that both arms take turns.
    fn owner(&self, run: &Experiment) -> &'a str {
        let state: &'a State = self.state;
        let run: Option<&'a Experiment> = state.experiments.get(&run.id);
        let claim = run.and_then(|run| match run.hypothesis {
            Some(id) => state.hypotheses.get(&id),
            None => controlled(state, run),
        });
        claim
            .map(|claim| claim.agent.as_str())
            .or(run.and_then(|run| run.agent.as_deref()))
            .unwrap_or_default()
    }

    /// The run that goes first: what everybody waits for, then what is nearest to a verdict, then a
    /// look around. Among equals the agent with the fewest runs under way, then the one that has used
    /// least, then the oldest. Whoever has waited too long is ahead of all that.
    fn next(&mut self) -> Option<&'a Experiment> {
        let rank = |run: &&&Experiment| {
            let owner = self.owner(run);
            let used = self.used.get(owner).copied().unwrap_or(0.0);
            (
                waited(run, self.now) < PATIENCE_S,
                urgency(run.stage),
                self.running.get(owner).copied().unwrap_or(0),
                // Seconds, so that the order is total.
                used as u64,
                run.id,
            )
        };
        let first = self.waiting.iter().min_by_key(rank).copied()?;
        self.waiting.retain(|run| run.id != first.id);
        Some(first)
    }

    /// A run is let go: that is its owner's turn.
    fn goes(&mut self, run: &Experiment) {
        *self.running.entry(self.owner(run)).or_default() += 1;
    }
}

/// The first open claim for which a shared run is the control.
fn controlled<'a>(state: &'a State, run: &Experiment) -> Option<&'a Hypothesis> {
    let control = matches!(run.stage, Stage::Confirm | Stage::Hidden | Stage::Smoke);
    let mut claims = state.hypotheses.values().filter(|_| control);
    claims.find(|claim| claim.base == run.commit && !claim.is_final())
}

/// Seconds for which a run has waited.
fn waited(run: &Experiment, now: Timestamp) -> f64 {
    now.duration_since(run.queued_at).as_secs_f64()
}

/// Which kinds of runs go first.
fn urgency(stage: Stage) -> u8 {
    match stage {
        Stage::Admission | Stage::Rebaseline | Stage::Closing => 0,
        Stage::Hidden | Stage::Confirm | Stage::Ablate => 1,
        Stage::Smoke | Stage::Screen => 2,
        Stage::Explore => 3,
    }
}

/// Until when a run waits so that a person can see its claim first; none where it need not, or where
/// a run of the claim has started already.
#[must_use]
pub fn notice_of(chart: &Chart, state: &State, run: &Experiment) -> Option<Timestamp> {
    let claim = state.hypotheses.get(&run.hypothesis?)?;
    notice(chart, state, claim)
}

/// Until when a claim can be looked at before its first run; none where nothing is to be waited for.
#[must_use]
pub fn notice(chart: &Chart, state: &State, claim: &Hypothesis) -> Option<Timestamp> {
    let span = SignedDuration::try_from_secs_f64(chart.protocol.notice).ok()?;
    if span.is_zero() || claim.is_final() {
        return None;
    }
    let begun = |run: &Experiment| run.hypothesis == Some(claim.id) && run.attempt > 0;
    if state.experiments.values().any(begun) {
        return None;
    }
    claim.at.checked_add(span).ok()
}

/// When the next notice runs out.
#[must_use]
pub fn next_due(chart: &Chart, state: &State, now: Timestamp) -> Option<Timestamp> {
    let claims = state.hypotheses.values();
    let notices = claims.filter_map(|claim| notice(chart, state, claim));
    notices.filter(|at| *at > now).min()
}

/// Runs that nobody needs any more, each with the reason: their claim has left its way.
#[must_use]
pub fn moot(state: &State) -> Vec<(u64, String)> {
    let of = |run: &Experiment| {
        let open = matches!(run.status, RunStatus::Queued | RunStatus::Running);
        let claim = state.hypotheses.get(&run.hypothesis?)?;
        // An undecided claim may be topped up, a contended one tried again; a promoted one has nothing to show.
        let over = claim.status == Status::Promoted
            || (claim.status.is_exit()
                && !matches!(claim.status, Status::Undecided | Status::Contended));
        let why = || format!("h{} is {}", claim.id, claim.status.word());
        (open && over && run.called_off.is_none()).then(|| (run.id, why()))
    };
    state.experiments.values().filter_map(of).collect()
}

/// Runs that were called off by others than their owner, whose owner has no word of it yet.
#[must_use]
pub fn untold(state: &State) -> Vec<u64> {
    let told = |run: &Experiment| {
        let subject = format!("e{} {}", run.id, RunStatus::Cancelled.word());
        let lab = Actor::Lab;
        let mut mails = state.mails.values();
        mails.any(|mail| mail.subject == subject && mail.from == lab.name())
    };
    let of = |run: &&Experiment| {
        run.status == RunStatus::Cancelled
            && run.hypothesis.is_none()
            && run.agent.is_some()
            && matches!(run.called_off, Some((_, false)))
            && !told(run)
    };
    let runs = state.experiments.values();
    runs.filter(of).map(|run| run.id).collect()
}

/// The cap on GPU seconds, a person's last word over the chart's.
#[must_use]
pub fn gpu_cap(chart: &Chart, state: &State) -> Option<f64> {
    state
        .caps
        .get("gpu_hours")
        .copied()
        .or(chart.budget.gpu_hours)
        .map(|hours| hours * 3600.0)
}

/// Whether a run of the baseline has ended, so that it is known what one costs.
fn costed(state: &State) -> bool {
    let mut runs = state.experiments.values();
    runs.any(|run| run.commit == state.start && run.status == RunStatus::Ok)
}

/// How much longer than the slowest run of the baseline a closing run may take, as a factor and in seconds:
/// the machine may be busier at the end, and a start takes now more, now less.
const CLOSING_MARGIN: f64 = 1.1;
const CLOSING_JITTER_S: f64 = 0.25;

/// GPU seconds out of the cap that are kept for the closing runs: as long as the baseline's slowest takes,
/// with a margin, the last of them at its longest. Nothing before the baseline has run, and at most half of the cap.
#[must_use]
pub fn kept_back(chart: &Chart, state: &State) -> f64 {
    let of_start = |run: &&Experiment| {
        run.commit == state.start && run.status == RunStatus::Ok && run.stage != Stage::Closing
    };
    let known = state.experiments.values().filter(of_start);
    let known: Vec<f64> = known.map(|run| run.measured.gpu_s).collect();
    let Some(cap) = gpu_cap(chart, state).filter(|_| !known.is_empty()) else {
        return 0.0;
    };
    let ended = state.experiments.values().filter(|run| {
        run.stage == Stage::Closing && run.commit == state.champion && run.finished_at.is_some()
    });
    let left = (2 * chart.protocol.baseline as usize).saturating_sub(2 * ended.count());
    if left == 0 {
        return 0.0;
    }
    // As the slowest so far, and a little: what is short by a moment is not measured at all.
    let each = known.iter().copied().fold(0.0, f64::max) * CLOSING_MARGIN + CLOSING_JITTER_S;
    let longest = timeout(chart, state) * f64::from(chart.task.gpus);
    (each * (left - 1) as f64 + longest).min(cap / 2.0)
}

/// Whether queued runs, but for closing ones, wait for a cap, and nothing else will free it.
#[must_use]
pub fn starved(chart: &Chart, state: &State) -> bool {
    let running = |run: &Experiment| run.status == RunStatus::Running;
    if state.disk_full.is_some() {
        return !state.experiments.values().any(running);
    }
    let (spent, reserved) = gpu_seconds(chart, state);
    let queued = state.experiments.values();
    let queued =
        queued.filter(|run| run.status == RunStatus::Queued && run.stage != Stage::Closing);
    let least = queued.map(|run| fit::gpus(chart, run)).min();
    let each = timeout(chart, state) * f64::from(least.unwrap_or(chart.task.gpus));
    let kept = kept_back(chart, state);
    reserved == 0.0 && gpu_cap(chart, state).is_some_and(|cap| spent + each > cap - kept)
}

/// Whether not even a closing run fits under the cap any more.
#[must_use]
pub fn exhausted(chart: &Chart, state: &State) -> bool {
    let (spent, reserved) = gpu_seconds(chart, state);
    let each = timeout(chart, state) * f64::from(chart.task.gpus);
    reserved == 0.0 && gpu_cap(chart, state).is_some_and(|cap| spent + each > cap)
}
