//! The gate between a confirmed claim and its promotion, where the chart has a review for it.
//!
//! Owns what opens it. Who is asked, and for how long, is the same rule as for every process.

use crate::domain::chart::{Chart, Process};
use crate::domain::event::{Decision, Outcome, Review, Status};
use crate::domain::protocol::Claim;
use crate::domain::state::{Firing, Hypothesis, State};

/// The event that a gate waits for.
const CONFIRMED: &str = "hypothesis.confirmed";

/// How a claim stands before the org's reviews.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// The chart asks for none.
    Open,
    /// Somebody is being asked.
    Waiting,
    /// All that had to have approved, in words.
    Approved(String),
    /// Somebody objected, in words.
    Vetoed(String),
    /// Nobody was there, or nobody answered in time, in words.
    Unreviewed(String),
}

/// Whether a process is a gate: claims wait for it.
#[must_use]
pub fn is_gate(process: &Process) -> bool {
    process.on.as_deref() == Some(CONFIRMED) && process.by.is_some()
}

/// The gates of a chart.
pub fn gates(chart: &Chart) -> impl Iterator<Item = &Process> {
    chart.processes.iter().filter(|process| is_gate(process))
}

/// The firing of a gate that a claim waits for.
fn firing<'s>(state: &'s State, process: &Process, claim: u64) -> Option<&'s Firing> {
    let mut all = state.society.of(&process.name).iter();
    all.find(|it| it.fired.gate && it.fired.hypothesis == Some(claim))
}

fn reviews<'s>(state: &'s State, claim: &Hypothesis) -> &'s [Review] {
    let all = state.society.reviews.get(&claim.id);
    all.map_or(&[], Vec::as_slice)
}

/// Somebody's objection to a claim, in words.
#[must_use]
pub fn veto(state: &State, claim: &Hypothesis) -> Option<String> {
    let mut all = reviews(state, claim).iter();
    let veto = all.find(|it| it.decision == Decision::Veto);
    veto.map(|veto| words("vetoed", veto))
}

/// How a claim stands before the org's reviews. An approval holds for the change, also where it is
/// measured anew on another champion; the lab sees to the numbers.
#[must_use]
pub fn gate(chart: &Chart, state: &State, claim: &Hypothesis) -> Gate {
    let reviews = state
        .society
        .reviews
        .get(&claim.id)
        .map_or(&[][..], Vec::as_slice);
    if let Some(veto) = reviews.iter().find(|it| it.decision == Decision::Veto) {
        return Gate::Vetoed(words("vetoed", veto));
    }
    let mut approved = Vec::new();
    let (mut any, mut waiting) = (false, false);
    for process in gates(chart) {
        any = true;
        let Some(firing) = firing(state, process, claim.id) else {
            waiting = true;
            continue;
        };
        let by = reviews
            .iter()
            .find(|it| firing.answers.contains_key(&it.by));
        match by {
            Some(review) => approved.push(words("approved", review)),
            None if firing.closed.is_none() => waiting = true,
            None => return Gate::Unreviewed(without(firing)),
        }
    }
    match (any, waiting) {
        (false, _) => Gate::Open,
        (true, true) => Gate::Waiting,
        (true, false) => Gate::Approved(approved.join("; ")),
    }
}

fn words(verb: &str, review: &Review) -> String {
    let checks: Vec<&str> = review.checks.iter().map(String::as_str).collect();
    let checks = if checks.is_empty() {
        String::new()
    } else {
        format!(" ({})", checks.join("; "))
    };
    format!("{verb} by {}: {}{checks}", review.by, review.reason.head())
}

fn without(firing: &Firing) -> String {
    let name = &firing.fired.process;
    let why = if !firing.asked.is_empty() {
        let asked: Vec<&str> = firing.asked.keys().map(String::as_str).collect();
        format!("{} did not answer in time", asked.join(", "))
    } else if firing.fired.absent.is_empty() {
        "nobody else than its author could".to_owned()
    } else {
        format!("{} could not be asked", firing.fired.absent.join(", "))
    };
    format!(
        "review without reviewer: {why} ({name} {})",
        firing.fired.number
    )
}

/// Claims that are parked only since nobody reviewed them, each with since when and why: a person is
/// told, and a decision that comes after all still counts.
pub fn unreviewed(state: &State) -> impl Iterator<Item = (&Hypothesis, jiff::Timestamp, String)> {
    let parked = state.society.all().filter_map(|firing| {
        let (at, outcome) = firing.closed?;
        let claim = state.hypotheses.get(&firing.fired.hypothesis?)?;
        let alone = firing.fired.gate
            && matches!(outcome, Outcome::Escalated | Outcome::Missed)
            && claim.status == Status::Parked;
        alone.then(|| (claim, at, without(firing)))
    });
    parked.filter(|(claim, ..)| !state.society.reviews.contains_key(&claim.id))
}

/// What a decision that came after all makes of a parked claim.
#[must_use]
pub fn reviewed_late(chart: &Chart, state: &State, claim: &Hypothesis) -> Option<(Status, String)> {
    let parked = claim.status == Status::Parked && claim.claim != Claim::Explain;
    let missed = |process| {
        let firing = firing(state, process, claim.id);
        firing.is_some_and(|it| {
            it.closed
                .is_some_and(|(_, how)| matches!(how, Outcome::Escalated | Outcome::Missed))
        })
    };
    if !parked || !gates(chart).any(missed) {
        return None;
    }
    match gate(chart, state, claim) {
        Gate::Approved(why) => Some((Status::Reviewed, why)),
        Gate::Vetoed(why) => Some((Status::Vetoed, why)),
        Gate::Open | Gate::Waiting | Gate::Unreviewed(_) => None,
    }
}
