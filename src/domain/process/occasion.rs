//! What processes fire for: a time of the clock, or something that the log says has come to pass.
//!
//! Owns the names of occasions, by which no process fires twice for one. Derived from the fold, never
//! from a stream of events, so that what happened while no supervisor lived is answered as well.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::tz::Offset;

use super::{Clock, FRUITLESS_CLAIMS, IDLE_FOR_S, gate, later, members};
use crate::domain::chart::{Chart, Process};
use crate::domain::event::Status;
use crate::domain::protocol::Claim;
use crate::domain::state::{AgentState, State};
use crate::domain::{budget, lease, standing};

/// Something to fire for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Occasion {
    /// Unique within its process.
    pub(super) name: String,
    /// The claim that it is about.
    pub(super) hypothesis: Option<u64>,
    /// The agent that it is about: a claim's author, or somebody idle or replaced.
    pub(super) about: Option<String>,
}

impl Occasion {
    fn plain(name: String) -> Self {
        Self {
            name,
            hypothesis: None,
            about: None,
        }
    }

    fn of(name: String, about: &str) -> Self {
        Self {
            about: Some(about.to_owned()),
            ..Self::plain(name)
        }
    }
}

/// Everything that a process should fire for now.
pub(super) fn due(chart: &Chart, state: &State, process: &Process, clock: Clock) -> Vec<Occasion> {
    match process.on.as_deref() {
        None => timed(chart, state, process, clock).into_iter().collect(),
        Some("idle") => idle(chart, state, process, clock.now),
        Some("budget.half") => {
            let wall = wall_half(chart, state).filter(|at| *at <= clock.now);
            let mut due = happened(chart, state, process);
            due.extend(wall.map(|_| Occasion::plain("wall".to_owned())));
            due.retain(|occasion| !has_fired(state, process, &occasion.name));
            due
        }
        Some("end") if standing::ended(chart, state) => {
            ending(state, process).into_iter().collect()
        }
        Some("end") => Vec::new(),
        Some(_) => happened(chart, state, process),
    }
}

/// When a process falls due without any event.
pub(super) fn next(
    chart: &Chart,
    state: &State,
    process: &Process,
    clock: Clock,
) -> Option<Timestamp> {
    match process.on.as_deref() {
        None => next_time(state, process, clock),
        Some("idle") => {
            let span = process.idle_for.unwrap_or(IDLE_FOR_S);
            let resting = idlers(chart, state, process);
            let ends = resting.filter_map(|(_, agent)| Some(later(agent.since?, span)));
            ends.filter(|at| *at > clock.now).min()
        }
        Some("budget.half") => wall_half(chart, state),
        Some(_) => None,
    }
}

fn has_fired(state: &State, process: &Process, name: &str) -> bool {
    let fired = state.society.of(&process.name);
    fired.iter().any(|it| it.fired.occasion == name)
}

/// What has come to pass, by the log alone, and was not answered to.
pub(super) fn happened(chart: &Chart, state: &State, process: &Process) -> Vec<Occasion> {
    let mut all = match process.on.as_deref() {
        Some("plateau") => plateau(state, process).into_iter().collect(),
        Some("budget.half") => halves(chart, state),
        Some("agent.replaced") => replaced(state),
        Some("promoted") => claims(state, process, "promoted"),
        Some(on) => match on.strip_prefix("hypothesis.") {
            Some(word) => claims(state, process, word),
            None => Vec::new(),
        },
        None => Vec::new(),
    };
    let fired: BTreeSet<&str> = state
        .society
        .of(&process.name)
        .iter()
        .map(|it| it.fired.occasion.as_str())
        .collect();
    all.retain(|occasion| !fired.contains(occasion.name.as_str()));
    all
}

/// Claims that have had a status. A gate is for what may be promoted, and for what still waits.
fn claims(state: &State, process: &Process, word: &str) -> Vec<Occasion> {
    let Some(status) = Status::ALL.into_iter().find(|it| it.word() == word) else {
        return Vec::new();
    };
    let gate = gate::is_gate(process);
    let reached = state.society.reached.iter();
    let ids = reached.filter(|(_, had)| had.contains(&status));
    ids.filter_map(|(id, _)| state.hypotheses.get(id))
        .filter(|claim| {
            let waits = claim.status == Status::Confirmed && claim.base == state.champion;
            !gate || (waits && claim.claim != Claim::Explain)
        })
        .map(|claim| Occasion {
            hypothesis: Some(claim.id),
            ..Occasion::of(format!("h{}", claim.id), &claim.agent)
        })
        .collect()
}

/// A row of work from which nothing came, as often as it is full.
fn plateau(state: &State, process: &Process) -> Option<Occasion> {
    let society = &state.society;
    let claims = process.fruitless_claims.or_else(|| {
        let by_hours = process.fruitless_gpu_hours.is_some();
        (!by_hours).then_some(FRUITLESS_CLAIMS)
    });
    let by_claims = claims.map_or(0, |row| society.fruitless_claims / row.max(1));
    let hours = process.fruitless_gpu_hours.filter(|hours| *hours > 0.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few at most, and saturating"
    )]
    let by_hours = hours.map_or(0, |hours| {
        (society.fruitless_gpu_s / (hours * 3600.0)).floor() as u32
    });
    let row = by_claims.max(by_hours);
    (row > 0).then(|| {
        Occasion::plain(format!(
            "after {} promotions, {row}",
            state.promotions.len()
        ))
    })
}

/// Caps of which half is spent.
fn halves(chart: &Chart, state: &State) -> Vec<Occasion> {
    let (usd, _) = state.usd();
    let (gpu_s, _) = lease::gpu_seconds(chart, state);
    let spent = [
        ("usd", usd, budget::usd_cap(chart, state)),
        ("gpu_hours", gpu_s, lease::gpu_cap(chart, state)),
    ];
    let half = spent
        .into_iter()
        .filter(|(_, spent, cap)| cap.is_some_and(|cap| cap > 0.0 && *spent >= cap / 2.0));
    half.map(|(name, ..)| Occasion::plain(name.to_owned()))
        .collect()
}

/// When half of the wall time is spent.
fn wall_half(chart: &Chart, state: &State) -> Option<Timestamp> {
    let cap = state.caps.get("wall").copied().or(chart.budget.wall)?;
    Some(later(state.created?, cap / 2.0))
}

fn replaced(state: &State) -> Vec<Occasion> {
    let replaced = state.society.replaced.iter();
    let occasion = |(name, seq): &(String, u64)| Occasion::of(format!("{name}@{seq}"), name);
    replaced.map(occasion).collect()
}

/// The end of what was worked on, once for each amount of work.
pub(super) fn ending(state: &State, process: &Process) -> Option<Occasion> {
    let name = format!("after {} claims", state.hypotheses.len());
    let worked = !state.hypotheses.is_empty() || !state.experiments.is_empty();
    (worked && !has_fired(state, process, &name)).then(|| Occasion::plain(name))
}

/// Members that rest with nothing of their own under way.
fn idlers<'a>(
    chart: &'a Chart,
    state: &'a State,
    process: &'a Process,
) -> impl Iterator<Item = (&'a str, &'a AgentState)> {
    let from = process.from.as_ref();
    let from = from.map(|party| members(chart, party, None));
    let agents = state.agents.iter();
    agents
        .filter(move |(name, _)| from.as_ref().is_none_or(|from| from.contains(name)))
        .filter(|(name, agent)| {
            let own = |author: &String| author == *name;
            let busy_run = state
                .experiments
                .values()
                .any(|run| run.finished_at.is_none() && run.agent.as_ref().is_some_and(own));
            let busy_claim = state.hypotheses.values();
            let busy_claim = busy_claim
                .filter(|it| own(&it.agent))
                .any(|it| !it.is_final());
            agent.turns > 0
                && agent.held.is_none()
                && !agent.paused
                && agent.turn.is_none()
                && agent.unread.is_empty()
                && !busy_run
                && !busy_claim
        })
        .map(|(name, agent)| (name.as_str(), agent))
}

/// Whoever has rested for long, once until somebody has done something again.
fn idle(chart: &Chart, state: &State, process: &Process, now: Timestamp) -> Vec<Occasion> {
    let span = process.idle_for.unwrap_or(IDLE_FOR_S);
    let told = |name: &str| {
        let fired = state.society.of(&process.name).iter().rev();
        let mut mine = fired.filter(|it| it.fired.about.as_deref() == Some(name));
        mine.next().map(|it| it.at)
    };
    idlers(chart, state, process)
        .filter(|(_, agent)| agent.since.is_some_and(|since| later(since, span) <= now))
        .filter(|(name, _)| told(name).is_none_or(|at| state.society.worked > Some(at)))
        .map(|(name, agent)| Occasion::of(format!("{name}, turn {}", agent.turns), name))
        .filter(|occasion| !has_fired(state, process, &occasion.name))
        .collect()
}

/// A time that has come. Those that passed while nobody looked are one; and where nothing has
/// happened since the last, there is nothing to stand up for.
fn timed(chart: &Chart, state: &State, process: &Process, clock: Clock) -> Option<Occasion> {
    let name = match (process.every, process.at.as_deref()) {
        (Some(every), _) => format!("{}", slot(state, every, clock.now)?),
        (None, Some(at)) => {
            let (today, begun) = (local(clock.now, clock), local(state.created?, clock));
            let time = time_of_day(at)?;
            let passed = today.time() >= time;
            let after_up = begun.date() < today.date() || begun.time() <= time;
            (passed && after_up).then(|| today.date().to_string())?
        }
        (None, None) => return None,
    };
    let last = state.society.of(&process.name).last();
    let news = |at: Timestamp| state.society.worked > Some(at) || !standing::quiet(chart, state);
    let due = last.is_none_or(|last| last.fired.occasion != name && news(last.at));
    due.then(|| Occasion::plain(name))
}

/// How many times of a rhythm have passed, from 1.
fn slot(state: &State, every: f64, now: Timestamp) -> Option<u64> {
    let since = now.duration_since(state.created?).as_secs_f64();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the quotient of two spans, at least 0"
    )]
    let slot = (since / every).max(0.0) as u64;
    (slot > 0).then_some(slot)
}

fn next_time(state: &State, process: &Process, clock: Clock) -> Option<Timestamp> {
    if let Some(every) = process.every {
        let passed = slot(state, every, clock.now).unwrap_or(0);
        #[expect(clippy::cast_precision_loss, reason = "a count of spans")]
        let next = (passed + 1) as f64 * every;
        return Some(later(state.created?, next));
    }
    let time = time_of_day(process.at.as_deref()?)?;
    let now = local(clock.now, clock);
    let mut date = now.date();
    if now.time() >= time {
        date = date.tomorrow().ok()?;
    }
    offset(clock).to_timestamp(date.to_datetime(time)).ok()
}

fn offset(clock: Clock) -> Offset {
    Offset::from_seconds(clock.ahead_s).unwrap_or(Offset::UTC)
}

fn local(at: Timestamp, clock: Clock) -> jiff::civil::DateTime {
    offset(clock).to_datetime(at)
}

fn time_of_day(word: &str) -> Option<jiff::civil::Time> {
    let (hours, minutes) = word.split_once(':')?;
    jiff::civil::Time::new(hours.parse().ok()?, minutes.parse().ok()?, 0, 0).ok()
}
