//! Deciding on somebody else's claim.
//!
//! A decision is an event and nothing more: what it leads to is the protocol's, and only the lab moves
//! a claim. An author never decides on an own claim, a veto names what failed, and a claim that waits
//! for nobody's word takes none.

use serde_json::Value;

use crate::domain::event::{Class, Decision, Kind, Review as Decided, Status};
use crate::domain::process::{self, Gate};
use crate::domain::state::State;

use super::arguments::{Argument, Shape};
use super::{Acting, Desk, Outcome, Tool, bad_arguments, broken, clip, one_line};

/// Longest id.
const ID_BYTES: usize = 20;
/// Longest reason, in bytes: a few sentences.
const REASON_BYTES: usize = 4000;
/// Longest check, in bytes as it comes in, and in characters as it is kept.
const CHECK_BYTES: usize = 4000;
const CHECK: usize = 400;

/// The tool `review`.
#[derive(Debug)]
pub(super) struct Review;

impl Tool for Review {
    fn name(&self) -> &'static str {
        "review"
    }

    fn arguments(&self) -> &'static [Argument] {
        const {
            &[
                Argument::needed("hypothesis", Shape::Text(ID_BYTES)),
                Argument::needed("decision", Shape::Word(&Decision::NAMES)),
                Argument::needed("checks", Shape::Lines(CHECK_BYTES)),
                Argument::needed("reason", Shape::Text(REASON_BYTES)),
            ]
        }
    }

    fn class(&self) -> Class {
        Class::Keyed
    }

    fn brief(&self, args: &Value) -> String {
        let text = |name: &str| args[name].as_str().unwrap_or("").to_owned();
        one_line(&format!(
            "{} {}: {}",
            text("decision"),
            text("hypothesis"),
            text("reason")
        ))
    }

    fn run<'a>(&'a self, desk: &'a Desk, call: &'a str, args: &'a Value) -> Acting<'a> {
        // Nothing here waits, so it happens wholly or not at all.
        Box::pin(async move {
            let args = match desk.arguments(self, args) {
                Ok(args) => args,
                Err(outcome) => return outcome,
            };
            let bad = |problem: &str| bad_arguments(&desk.texts, self.name(), problem);
            let id = args.needed("hypothesis").trim();
            let Some(id) = id.strip_prefix('h').and_then(|id| id.parse::<u64>().ok()) else {
                return bad("`hypothesis` must be the id of a claim, like h3");
            };
            let Some(decision) = Decision::parse(args.needed("decision")) else {
                return bad("`decision` must be approve or veto");
            };
            let checks = args.lines("checks");
            let checks: Vec<String> = checks
                .iter()
                .map(|check| clip(check, CHECK))
                .filter(|check| !check.is_empty())
                .collect();
            if decision == Decision::Veto && checks.is_empty() {
                return bad("a veto must name in `checks` at least one check that failed");
            }
            let reason = args.needed("reason").trim();
            if reason.is_empty() {
                return bad("`reason` is empty");
            }
            let reason = match desk.text(reason) {
                Ok(reason) => reason,
                Err(error) => return broken(&error),
            };
            let review = Decided {
                hypothesis: id,
                by: desk.agent.clone(),
                decision,
                checks,
                reason,
                call: Some(call.to_owned()),
            };
            let given = desk.transact(|state| {
                if given(state, &review) {
                    return Ok((Vec::new(), ()));
                }
                may(desk, state, id)?;
                Ok::<_, String>((vec![Kind::ReviewGiven(review)], ()))
            });
            match given {
                Ok(Ok(())) => Outcome::done("recorded"),
                Ok(Err(why)) => Outcome::failed(why),
                Err(error) => broken(&error),
            }
        })
    }
}

/// Whether this call's decision is in the log already.
fn given(state: &State, review: &Decided) -> bool {
    let all = state.society.reviews.get(&review.hypothesis);
    all.is_some_and(|all| {
        all.iter()
            .any(|it| it.by == review.by && it.call == review.call)
    })
}

/// Whether this agent may decide on a claim now; else why not.
fn may(desk: &Desk, state: &State, id: u64) -> Result<(), String> {
    let Some(claim) = state.hypotheses.get(&id) else {
        return Err(format!("there is no h{id}; the ledger lists all claims"));
    };
    if claim.agent == desk.agent {
        return Err(format!(
            "not recorded: h{id} is your own claim, and somebody else must review it"
        ));
    }
    let reviews = state.society.reviews.get(&id).into_iter().flatten();
    let mut mine = reviews.filter(|it| it.by == desk.agent);
    if mine.next().is_some() {
        return Err(format!("not recorded: you have decided on h{id} already"));
    }
    let parked = process::unreviewed(state).any(|(it, ..)| it.id == id);
    let asked = |firing: &crate::domain::state::Firing| {
        firing.is_open() && firing.fired.gate && firing.fired.hypothesis == Some(id)
    };
    let word = claim.status.word();
    match claim.status {
        // One that is measured anew on another champion still has its reviewer.
        Status::Confirmed => {}
        Status::Screened if state.society.all().any(asked) => {}
        _ if parked => {}
        Status::Registered | Status::Smoke | Status::Screened => {
            return Err(format!(
                "not recorded: h{id} is {word}; it is reviewed once it is confirmed"
            ));
        }
        _ => {
            return Err(format!(
                "not recorded: h{id} is {word} and waits for no review"
            ));
        }
    }
    match process::gate(&desk.chart, state, claim) {
        Gate::Approved(by) | Gate::Vetoed(by) => Err(format!("not recorded: h{id} was {by}")),
        Gate::Open | Gate::Waiting | Gate::Unreviewed(_) => Ok(()),
    }
}
