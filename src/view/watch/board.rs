//! Everything that the dashboard shows of one moment, as values.
//!
//! Owns the choice and the order: what runs before what waits, what is new before what is old. What has
//! to be observed (who lives, how far a run is, what a GPU does) is an argument. Must not know how it
//! is drawn.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::columns::safe;
use super::history::{Happening, History};
use crate::domain::chart::{Agent, Chart, Goal};
use crate::domain::event::{Arm, Gpu, RunStatus, Stage};
use crate::domain::model;
use crate::domain::state::{Experiment, Hypothesis, Mail, State};
use crate::run::gpu_use::GpuUse;
use crate::view::status::Status;

/// Ended runs that are listed below those that run and wait.
const ENDED: usize = 60;

/// What was observed of a running experiment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Look {
    /// Steps done and steps in all, where the task prints them.
    pub progress: Option<(f64, f64)>,
}

/// What was observed beside the log and [`crate::view::status::Seen`].
#[derive(Debug, Clone, Default)]
pub struct Looks {
    /// Running experiments, by number.
    pub runs: BTreeMap<u64, Look>,
    /// Real GPUs, by UUID.
    pub gpus: BTreeMap<String, GpuUse>,
}

/// Which moment of the run is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The last event folded.
    pub seq: u64,
    /// The last event there is.
    pub last: u64,
    /// The time that spans are counted to.
    pub now: Timestamp,
    /// Whether it follows the log, or was stepped to.
    pub follows: bool,
}

/// A run at one moment.
#[derive(Debug, Clone)]
pub struct Board {
    /// Which moment.
    pub moment: Moment,
    /// As `org status` has it.
    pub status: Status,
    /// What is improved, and which way is better.
    pub(super) metric: (String, Goal),
    /// Agents in the order of the tree, with what stands before their names.
    pub(super) tree: Vec<Member>,
    /// Devices that runs may lease.
    pub(super) gpus: Vec<Device>,
    /// Measured runs: running, queued, ended.
    pub(super) runs: Vec<Run>,
    /// Claims, newest first.
    pub(super) claims: Vec<Hypothesis>,
    /// Messages, newest first.
    pub(super) mails: Vec<Mail>,
    /// News, newest first.
    pub(super) news: Vec<Happening>,
    /// Values over time.
    pub(super) curve: Curve,
}

/// An agent in the tree.
#[derive(Debug, Clone)]
pub(super) struct Member {
    /// Its place among the rows of the status.
    pub(super) row: usize,
    /// The branches of the tree before its name.
    pub(super) branch: String,
    /// The claim that it is at, or its last one: number, and status's word.
    pub(super) claim: Option<(u64, &'static str)>,
    /// Share of the model's context in use.
    pub(super) context: f64,
}

/// A GPU.
#[derive(Debug, Clone)]
pub(super) struct Device {
    pub(super) gpu: Gpu,
    /// Whose home it is.
    pub(super) home: Option<String>,
    /// The run that has it.
    pub(super) run: Option<u64>,
    pub(super) used: Option<GpuUse>,
}

/// A measured run.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) run: Experiment,
    /// Done, 0 to 1, where it is known.
    pub(super) done: Option<f64>,
    /// Seconds left, by its own progress or by what such runs took.
    pub(super) left_s: Option<f64>,
    /// Place in the queue, from 1.
    pub(super) place: usize,
}

/// Values over time, in seconds since the run began.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Curve {
    /// Baseline runs.
    pub(super) baseline: Vec<(f64, f64)>,
    /// Everything else that ended with a value.
    pub(super) tried: Vec<(f64, f64)>,
    /// The best so far, as a staircase.
    pub(super) best: Vec<(f64, f64)>,
    /// Until when.
    pub(super) until: f64,
}

impl Board {
    /// The run as it is at `moment`.
    #[must_use]
    pub fn of(
        (chart, state): (&Chart, &State),
        status: Status,
        history: &History,
        looks: &Looks,
        moment: Moment,
    ) -> Self {
        Self {
            metric: (safe(&chart.task.metric.name), chart.task.metric.goal),
            tree: tree(chart, state),
            gpus: devices(state, looks),
            runs: runs(state, looks, moment.now),
            claims: state.hypotheses.values().rev().cloned().collect(),
            mails: state.mails.values().rev().cloned().collect(),
            news: history.news.iter().rev().cloned().collect(),
            curve: curve(chart, state, history, moment.now),
            status,
            moment,
        }
    }

    /// Whether anybody is at anything, so that the next moment will look otherwise.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        let at_work =
            |row: &crate::view::status::AgentRow| matches!(row.state, "thinking" | "tool");
        self.status.experiments.running > 0 || self.status.agents.iter().any(at_work)
    }
}

/// Chiefs before their people, in chart order; who reports to nobody stands at the root.
fn tree(chart: &Chart, state: &State) -> Vec<Member> {
    let mut members = Vec::new();
    let known = |name: &String| chart.agent(name).is_some();
    let chief = |agent: &Agent| agent.reports_to.clone().filter(known);
    let mut left: Vec<(usize, &Agent)> = chart.agents.iter().enumerate().collect();
    // A stack of those whose people come next, so that a ring of chiefs cannot trap us.
    let roots: Vec<usize> = left
        .iter()
        .filter(|(_, agent)| chief(agent).is_none())
        .map(|(at, _)| *at)
        .collect();
    let mut stack: Vec<(usize, String, String)> = roots
        .into_iter()
        .rev()
        .map(|at| (at, String::new(), String::new()))
        .collect();
    while let Some((row, branch, beneath)) = stack.pop() {
        let Some(at) = left.iter().position(|(at, _)| *at == row) else {
            continue;
        };
        let (_, agent) = left.remove(at);
        members.push(member(chart, state, row, branch));
        let people: Vec<usize> = left
            .iter()
            .filter(|(_, other)| chief(other).as_ref() == Some(&agent.name))
            .map(|(at, _)| *at)
            .collect();
        let last = people.len().saturating_sub(1);
        for (number, at) in people.into_iter().enumerate().rev() {
            let (own, more) = if number == last {
                ("└ ", "  ")
            } else {
                ("├ ", "│ ")
            };
            stack.push((at, format!("{beneath}{own}"), format!("{beneath}{more}")));
        }
    }
    let rings = left.into_iter().map(|(row, _)| row);
    members.extend(rings.map(|row| member(chart, state, row, String::new())));
    members
}

fn member(chart: &Chart, state: &State, row: usize, branch: String) -> Member {
    let agent = &chart.agents[row];
    let so_far = state.agents.get(&agent.name);
    let named = so_far
        .and_then(|so_far| so_far.model.as_ref())
        .unwrap_or(&agent.model);
    let window = model::resolve(chart, named).map_or(0, |model| model.context);
    let used = so_far.map_or(0, |so_far| so_far.context);
    Member {
        row,
        branch,
        claim: state
            .claim_of(&agent.name)
            .map(|claim| (claim.id, claim.status.word())),
        context: if window == 0 {
            0.0
        } else {
            used as f64 / window as f64
        },
    }
}

fn devices(state: &State, looks: &Looks) -> Vec<Device> {
    let running = || {
        state
            .experiments
            .values()
            .filter(|run| run.status == RunStatus::Running)
    };
    state
        .gpus
        .iter()
        .map(|gpu| Device {
            home: state
                .agents
                .iter()
                .find(|(_, agent)| agent.gpu.as_ref().is_some_and(|own| own.uuid == gpu.uuid))
                .map(|(name, _)| name.clone()),
            run: running()
                .find(|run| run.gpus.iter().any(|held| held.uuid == gpu.uuid))
                .map(|run| run.id),
            used: looks.gpus.get(&gpu.uuid).copied(),
            gpu: gpu.clone(),
        })
        .collect()
}

fn runs(state: &State, looks: &Looks, now: Timestamp) -> Vec<Run> {
    let all = || state.experiments.values();
    let blank = |run: &Experiment| Run {
        run: run.clone(),
        done: None,
        left_s: None,
        place: 0,
    };
    let running = all()
        .filter(|run| run.status == RunStatus::Running)
        .map(|run| {
            let (done, left_s) = progress(state, run, looks.runs.get(&run.id), now);
            Run {
                done,
                left_s,
                ..blank(run)
            }
        });
    let queued = all()
        .filter(|run| run.status == RunStatus::Queued)
        .zip(1..)
        .map(|(run, place)| Run {
            place,
            ..blank(run)
        });
    let mut ended: Vec<&Experiment> = all().filter(|run| run.finished_at.is_some()).collect();
    ended.sort_by_key(|run| std::cmp::Reverse((run.finished_at, run.id)));
    running
        .chain(queued)
        .chain(ended.into_iter().take(ENDED).map(blank))
        .collect()
}

/// How far a run is, and how long it will still take: by what it prints, else by what such runs took.
fn progress(
    state: &State,
    run: &Experiment,
    look: Option<&Look>,
    now: Timestamp,
) -> (Option<f64>, Option<f64>) {
    let Some(started) = run.started_at else {
        return (None, None);
    };
    let gone = now.duration_since(started).as_secs_f64().max(0.0);
    if let Some((done, all)) = look.and_then(|look| look.progress)
        && all > 0.0
    {
        let share = (done / all).clamp(0.0, 1.0);
        let left = (share > 0.0).then(|| gone * (1.0 - share) / share);
        return (Some(share), left);
    }
    let mut took: Vec<f64> = state
        .experiments
        .values()
        .filter(|other| other.status == RunStatus::Ok)
        .map(|other| other.measured.wall_s)
        .collect();
    if took.is_empty() {
        return (None, None);
    }
    took.sort_by(f64::total_cmp);
    (None, Some((took[took.len() / 2] - gone).max(0.0)))
}

fn curve(chart: &Chart, state: &State, history: &History, now: Timestamp) -> Curve {
    let Some(begun) = state.created else {
        return Curve::default();
    };
    let since = |at: Timestamp| at.duration_since(begun).as_secs_f64().max(0.0);
    // A run that idles for a night would squeeze its day into a corner.
    let ended = state.experiments.values().filter_map(|run| run.finished_at);
    let busy = state
        .experiments
        .values()
        .any(|run| run.status == RunStatus::Running);
    let moved = history.advances.iter().map(|(at, _)| *at);
    let until = if busy {
        Some(now)
    } else {
        ended.chain(moved).max()
    };
    let mut curve = Curve {
        until: since(until.unwrap_or(now)),
        ..Curve::default()
    };
    let mut admitted = Vec::new();
    for run in state.experiments.values() {
        let (Some(at), Some(value), RunStatus::Ok) =
            (run.finished_at, run.measured.value, run.status)
        else {
            continue;
        };
        if !value.is_finite() {
            continue;
        }
        if run.stage == Stage::Admission {
            admitted.push((since(at), value));
        }
        if run.arm == Arm::Baseline {
            curve.baseline.push((since(at), value));
        } else {
            curve.tried.push((since(at), value));
        }
    }
    if let Some(first) = admitted.first() {
        let mean = admitted.iter().map(|(_, value)| value).sum::<f64>() / admitted.len() as f64;
        curve.best.push((first.0, mean));
    }
    climb(&mut curve, chart.task.metric.goal, state, history);
    if let Some((_, value)) = curve.best.last().copied() {
        curve.best.push((curve.until, value));
    }
    curve
}

/// The steps of the staircase: each promotion that still stands and is better than the last.
fn climb(curve: &mut Curve, goal: Goal, state: &State, history: &History) {
    let begun = state.created;
    for (at, claim) in &history.advances {
        let Some(claim) = state.hypotheses.get(claim) else {
            continue;
        };
        let Some(value) = state.value_of(claim.id) else {
            continue;
        };
        let gone = begun.map_or(0.0, |begun| at.duration_since(begun).as_secs_f64());
        let since = gone.max(0.0);
        let stands = claim.status == crate::domain::event::Status::Promoted && value.is_finite();
        let better = curve.best.last().is_none_or(|(_, best)| match goal {
            Goal::Min => value < *best,
            Goal::Max => value > *best,
        });
        if stands && better {
            if let Some((_, before)) = curve.best.last().copied() {
                curve.best.push((since, before));
            }
            curve.best.push((since, value));
        }
    }
}
