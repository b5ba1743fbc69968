//! What the members of an org do together: stand-ups, reviews, retrospectives. One pure rule for all
//! of them, so that another process is a few lines of a chart and no code.
//!
//! Owns when a process fires and for what, whom it asks, when an answer is due, and what happens when
//! nobody answers. [`acts`] compares the chart's processes with what has fired; asked again after every
//! event it says the same until that is written down, so a crash repeats nothing and forgets nothing.
//! Must not know prompts, mailboxes, or what anybody answers.

mod gate;
mod occasion;

use jiff::Timestamp;

use super::chart::{Agent, Chart, Missed, Party, Process};
use super::event::{Closed, Fired, Outcome, Reminded, RunStatus, Status};
use super::session;
use super::state::{Firing, State};
use super::template::{CLAIM_VARIABLES, PROCESS_VARIABLES};

pub use gate::{Gate, gate, gates, is_gate, reviewed_late, unreviewed, veto};
use occasion::Occasion;

/// Answers are awaited this long where neither the chart nor a rhythm says otherwise, seconds.
const WITHIN_S: f64 = 30.0 * 60.0;
/// The same for a gate: a review is work.
const GATE_WITHIN_S: f64 = 60.0 * 60.0;
/// Times that those who do not answer are asked again before a person is told: once for a slip, once
/// more for bad luck; a third would be noise.
pub const REMINDERS: u32 = 2;
/// Claims in a row without a promotion that make a plateau, where the chart does not say.
pub const FRUITLESS_CLAIMS: u32 = 5;
/// Seconds without work that make somebody idle, where the chart does not say.
pub const IDLE_FOR_S: f64 = 600.0;

/// The built-in prompts of processes.
pub const PROMPTS: [&str; 5] = ["standup", "review", "retrospective", "plateau", "handover"];

/// The clock as processes read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// Now.
    pub now: Timestamp,
    /// How far the machine's time of day is ahead of UTC, seconds.
    pub ahead_s: i32,
}

/// Something to write down and to mail.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// A process fires.
    Fire(Fired),
    /// Somebody is asked again.
    Remind(Reminded),
    /// A firing is over.
    Close(Closed),
}

/// Everything that processes do now. Nothing while a person has paused the org or brings it down.
#[must_use]
pub fn acts(chart: &Chart, state: &State, clock: Clock) -> Vec<Act> {
    if state.paused || state.down.is_some() || state.stopped {
        return Vec::new();
    }
    let mut acts = Vec::new();
    for process in &chart.processes {
        for firing in state.society.of(&process.name) {
            acts.extend(tend(chart, state, process, firing, clock.now));
        }
        let fired = state.society.of(&process.name).len() as u64;
        let due = occasion::due(chart, state, process, clock);
        for (number, occasion) in (fired + 1..).zip(due) {
            let mut fired = fire(chart, state, process, occasion, clock);
            fired.number = number;
            acts.push(Act::Fire(fired));
        }
    }
    acts
}

/// When processes have something to do without any event.
#[must_use]
pub fn next_due(chart: &Chart, state: &State, clock: Clock) -> Option<Timestamp> {
    let open = state.society.all().filter(|firing| firing.is_open());
    let answers = open.filter_map(|firing| firing.due);
    let times = chart.processes.iter();
    let times = times.filter_map(|process| occasion::next(chart, state, process, clock));
    answers.chain(times).filter(|at| *at > clock.now).min()
}

/// Whether an event has come that a process waits for and has not answered to: the run is not done
/// before it has. Processes by time do not count.
#[must_use]
pub fn pending(chart: &Chart, state: &State) -> bool {
    let waits = |process: &Process| {
        let by_event = process
            .on
            .as_deref()
            .is_some_and(|on| on != "end" && on != "idle");
        by_event && !occasion::happened(chart, state, process).is_empty()
    };
    chart.processes.iter().any(waits)
}

/// Whether the org still has something to say at its end.
#[must_use]
pub fn closing(chart: &Chart, state: &State) -> bool {
    let ends = |process: &&Process| process.on.as_deref() == Some("end");
    let mut ends = chart.processes.iter().filter(ends);
    ends.any(|process| {
        occasion::ending(state, process).is_some()
            || state.society.of(&process.name).iter().any(Firing::is_open)
    })
}

/// The agents, or `human`, that a party stands for, in chart order.
#[must_use]
pub fn members(chart: &Chart, party: &Party, author: Option<&str>) -> Vec<String> {
    let of = |keep: &dyn Fn(&Agent) -> bool| {
        let kept = chart.agents.iter().filter(|agent| keep(agent));
        kept.map(|agent| agent.name.clone()).collect::<Vec<_>>()
    };
    match party {
        Party::Name(name) if name == "human" => vec![name.clone()],
        Party::Name(name) if name == "all" => of(&|_| true),
        Party::Name(name) => of(&|agent| agent.name == *name || agent.role == *name),
        Party::Role { role, not } => {
            let out = match not.as_deref() {
                Some("author") => author,
                other => other,
            };
            of(&|agent| agent.role == *role && out != Some(agent.name.as_str()))
        }
    }
}

/// What an agent is granted: its role's tools, and `review` where a gate of the org may ask it.
#[must_use]
pub fn grants(chart: &Chart, agent: &Agent) -> Vec<String> {
    let mut grants = chart.role_of(agent).tools.clone();
    let reviews = |process: &Process| {
        let by = process.by.as_ref().map(|by| members(chart, by, None));
        by.unwrap_or_default().contains(&agent.name)
    };
    if gates(chart).any(reviews) && !grants.iter().any(|tool| tool == "review") {
        grants.push("review".to_owned());
    }
    grants
}

/// What happens when nobody answers.
#[must_use]
pub fn missed(process: &Process) -> Missed {
    let default = if is_gate(process) {
        Missed::Escalate
    } else {
        Missed::Skip
    };
    process.missed.unwrap_or(default)
}

/// The built-in prompt of a process without one of its own: that of its name, else of its event.
#[must_use]
pub fn built_in_prompt(process: &Process) -> Option<&'static str> {
    let named = PROMPTS.into_iter().find(|name| *name == process.name);
    let by_event = || match process.on.as_deref() {
        None => Some("standup"),
        Some("plateau") => Some("plateau"),
        Some("end") => Some("retrospective"),
        Some("agent.replaced") => Some("handover"),
        Some(_) if is_gate(process) => Some("review"),
        Some(_) => None,
    };
    let fits = |name: &&str| *name != "review" || about_claims(process);
    named.filter(fits).or_else(by_event)
}

/// Whether every firing of a process is about a claim.
#[must_use]
pub fn about_claims(process: &Process) -> bool {
    let on = process.on.as_deref();
    on.is_some_and(|on| on == "promoted" || on.starts_with("hypothesis."))
}

/// What the prompt of a process may name.
#[must_use]
pub fn variables(process: &Process) -> Vec<&'static str> {
    let claim: &[&str] = if about_claims(process) {
        CLAIM_VARIABLES
    } else {
        &[]
    };
    PROCESS_VARIABLES.iter().chain(claim).copied().collect()
}

/// Seconds until an answer is due.
fn within(process: &Process) -> f64 {
    let default = if is_gate(process) {
        GATE_WITHIN_S
    } else {
        process.every.map_or(WITHIN_S, |every| every / 2.0)
    };
    let within = process.within.unwrap_or(default);
    // The next one does not begin before the last is over.
    process.every.map_or(within, |every| within.min(every))
}

pub(super) fn later(at: Timestamp, seconds: f64) -> Timestamp {
    let span =
        jiff::SignedDuration::try_from_secs_f64(seconds).unwrap_or(jiff::SignedDuration::MAX);
    at.checked_add(span).unwrap_or(Timestamp::MAX)
}

/// Whether somebody can be asked now. A person always can.
fn present(state: &State, name: &str) -> bool {
    name == "human"
        || state
            .agents
            .get(name)
            .is_some_and(|agent| agent.held.is_none() && !agent.paused && agent.ended.is_none())
}

/// Whether a firing that was decided a moment ago may still be written down: it is the next of its
/// process, for something new, and whoever it asks is still there.
#[must_use]
pub fn stands(state: &State, fired: &Fired) -> bool {
    let before = state.society.of(&fired.process);
    before.len() as u64 + 1 == fired.number
        && before.iter().all(|it| it.fired.occasion != fired.occasion)
        && fired.asked.iter().all(|name| present(state, name))
        && !state.paused
        && state.down.is_none()
}

/// A firing as it is written down.
fn fire(
    chart: &Chart,
    state: &State,
    process: &Process,
    occasion: Occasion,
    clock: Clock,
) -> Fired {
    let about = occasion.about.as_deref();
    let resolve = |party: &Option<Party>| {
        let party = party.as_ref();
        party.map_or_else(Vec::new, |party| members(chart, party, about))
    };
    let to = resolve(&process.to);
    let gate = is_gate(process);
    let (wanted, awaited) = match (&process.by, &process.from) {
        (Some(_), _) => {
            let mut able = resolve(&process.by);
            able.retain(|name| !gate || about != Some(name.as_str()));
            (able, true)
        }
        (None, Some(_)) if process.on.as_deref() == Some("idle") => {
            (occasion.about.clone().into_iter().collect(), true)
        }
        (None, Some(_)) => (resolve(&process.from), true),
        (None, None) => (to.clone(), false),
    };
    let (mut asked, absent): (Vec<String>, Vec<String>) =
        wanted.into_iter().partition(|name| present(state, name));
    if process.by.is_some() {
        asked = least_busy(state, &asked, &[]).into_iter().collect();
    }
    Fired {
        process: process.name.clone(),
        number: 0,
        occasion: occasion.name,
        hypothesis: occasion.hypothesis,
        about: occasion.about,
        due: awaited.then(|| later(clock.now, within(process))),
        asked,
        absent,
        to: if awaited { to } else { Vec::new() },
        gate,
    }
}

/// The one of several who has been asked for the least by such processes, those not asked yet first.
fn least_busy(state: &State, able: &[String], not: &[String]) -> Option<String> {
    let load = |name: &String| {
        let asked = |it: &&Firing| it.fired.due.is_some() && it.asked.contains_key(name);
        let (open, all) = state
            .society
            .all()
            .filter(asked)
            .fold((0, 0), |(open, all), it| {
                (open + u32::from(it.is_open()), all + 1)
            });
        (not.contains(name), open, all)
    };
    able.iter().min_by_key(|name| load(name)).cloned()
}

/// What becomes of a firing.
fn tend(
    chart: &Chart,
    state: &State,
    process: &Process,
    firing: &Firing,
    now: Timestamp,
) -> Option<Act> {
    if !firing.is_open() {
        return None;
    }
    let close = |outcome| {
        let missing = match outcome {
            Outcome::Answered | Outcome::Moot => Vec::new(),
            _ => firing.missing(),
        };
        Some(Act::Close(Closed {
            process: firing.fired.process.clone(),
            number: firing.fired.number,
            outcome,
            missing,
        }))
    };
    let Some(due) = firing.due else {
        return close(Outcome::Answered);
    };
    if firing.fired.gate && moot(state, firing) {
        return close(Outcome::Moot);
    }
    let one = process.by.is_some();
    let answered = if one {
        !firing.answers.is_empty()
    } else {
        firing.missing().is_empty() && !firing.asked.is_empty()
    };
    if answered {
        return close(Outcome::Answered);
    }
    let silent = firing.asked.is_empty() || silent(chart, state, firing);
    if now < due && !silent {
        return None;
    }
    match missed(process) {
        Missed::Skip => close(Outcome::Missed),
        Missed::Nag if firing.reminders < REMINDERS => {
            let again = again(chart, state, process, firing);
            if again.is_empty() {
                return close(Outcome::Escalated);
            }
            Some(Act::Remind(Reminded {
                process: firing.fired.process.clone(),
                number: firing.fired.number,
                reminder: firing.reminders + 1,
                asked: again,
                due: later(now, within(process)),
            }))
        }
        Missed::Nag | Missed::Escalate => close(Outcome::Escalated),
    }
}

/// Whom a reminder asks: of a process for one, somebody else where there is one.
fn again(chart: &Chart, state: &State, process: &Process, firing: &Firing) -> Vec<String> {
    let about = firing.fired.about.as_deref();
    let Some(by) = &process.by else {
        let missing = firing.missing().into_iter();
        return missing.filter(|name| present(state, name)).collect();
    };
    let mut able = members(chart, by, about);
    able.retain(|name| present(state, name) && !(firing.fired.gate && about == Some(name)));
    let before: Vec<String> = firing.asked.keys().cloned().collect();
    least_busy(state, &able, &before).into_iter().collect()
}

/// Whether the claim that a firing is about needs no review any more.
fn moot(state: &State, firing: &Firing) -> bool {
    let claim = firing
        .fired
        .hypothesis
        .and_then(|id| state.hypotheses.get(&id));
    claim.is_none_or(|claim| {
        claim.status == Status::Promoted || (claim.status.is_exit() && firing.answers.is_empty())
    })
}

/// Whether all who were asked have read it and rest without having answered. For a gate, only where
/// nothing else goes on either: a reviewer may wait for a run, or for somebody's word.
fn silent(chart: &Chart, state: &State, firing: &Firing) -> bool {
    let rests = |name: &String| {
        state.agents.get(name).is_some_and(|agent| {
            agent.held.is_some()
                || (agent.turn.is_none() && agent.request.is_none() && agent.unread.is_empty())
        })
    };
    let read = |(name, letter): (&String, &Option<u64>)| {
        let mail = letter.and_then(|id| state.mails.get(&id));
        mail.is_some_and(|mail| mail.read_by.contains(name)) && rests(name)
    };
    let missing = firing.missing();
    let mut asked = firing
        .asked
        .iter()
        .filter(|(name, _)| missing.contains(name));
    let all_read = asked.all(read);
    let still = || {
        let mut runs = state.experiments.values();
        state.agents.keys().all(rests)
            && !runs.any(|run| matches!(run.status, RunStatus::Queued | RunStatus::Running))
    };
    let goes_on = |name: &String| session::wants_turn(chart, state, name).is_some();
    all_read && (!firing.fired.gate || still()) && !missing.iter().any(goes_on)
}
