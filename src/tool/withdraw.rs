//! Taking back an experiment or a claim of one's own.
//!
//! Free before its first run; what has begun to be measured stays in the ledger as an attempt, so that
//! nobody looks at a bad start and forgets it. Must not end anything: the lab does.

use serde_json::Value;

use crate::domain::event::{Class, Kind, RunStatus};
use crate::domain::state::State;

use super::arguments::{Argument, Shape};
use super::{Acting, Desk, Outcome, Tool, broken, one_line};

/// Longest id.
const ID_BYTES: usize = 20;

/// The tool `withdraw`.
#[derive(Debug)]
pub(super) struct Withdraw;

impl Tool for Withdraw {
    fn name(&self) -> &'static str {
        "withdraw"
    }

    fn arguments(&self) -> &'static [Argument] {
        const { &[Argument::needed("id", Shape::Text(ID_BYTES))] }
    }

    fn class(&self) -> Class {
        Class::Keyed
    }

    fn brief(&self, args: &Value) -> String {
        one_line(args["id"].as_str().unwrap_or(""))
    }

    fn run<'a>(&'a self, desk: &'a Desk, _call: &'a str, args: &'a Value) -> Acting<'a> {
        Box::pin(async move {
            let args = match desk.arguments(self, args) {
                Ok(args) => args,
                Err(outcome) => return outcome,
            };
            let id = args.needed("id").trim().to_owned();
            let taken = desk.transact(|state| take_back(state, &desk.agent, &id));
            match taken {
                Ok(Ok(text)) => Outcome::done(text),
                Ok(Err(why)) => Outcome::failed(why),
                Err(error) => broken(&error),
            }
        })
    }
}

/// What is written, and what is answered. Asked again it says the same and writes nothing.
fn take_back(state: &State, me: &str, id: &str) -> Result<(Vec<Kind>, String), String> {
    let number = |letter: char| id.strip_prefix(letter)?.parse::<u64>().ok();
    match (number('e'), number('h')) {
        (Some(number), _) => run(state, me, number),
        (_, Some(number)) => claim(state, me, number),
        _ => Err(format!("{id:?} is no id: write e7 or h3")),
    }
}

fn run(state: &State, me: &str, id: u64) -> Result<(Vec<Kind>, String), String> {
    let run = state
        .experiments
        .get(&id)
        .filter(|run| run.agent.as_deref() == Some(me))
        .ok_or_else(|| format!("e{id} is no experiment of yours"))?;
    let answer = if run.attempt == 0 {
        format!("took back e{id}: it had not run")
    } else {
        format!("took back e{id}: it had begun, and counts as an attempt")
    };
    let ended = !matches!(run.status, RunStatus::Queued | RunStatus::Running);
    match &run.called_off {
        Some((_, true)) => return Ok((Vec::new(), answer)),
        _ if ended => return Err(format!("e{id} has ended already: {}", run.status.word())),
        _ => {}
    }
    let kind = Kind::ExperimentCancelled {
        id,
        agent: Some(me.to_owned()),
        reason: format!("taken back by {me}"),
    };
    Ok((vec![kind], answer))
}

fn claim(state: &State, me: &str, id: u64) -> Result<(Vec<Kind>, String), String> {
    let claim = state
        .hypotheses
        .get(&id)
        .filter(|claim| claim.agent == me)
        .ok_or_else(|| format!("h{id} is no claim of yours"))?;
    let mut runs = state.experiments.values();
    let begun = runs.any(|run| run.hypothesis == Some(id) && run.attempt > 0);
    let answer = if begun {
        format!("took back h{id}: it had begun to be measured, and counts as an attempt")
    } else {
        format!("took back h{id}: nothing of it had run")
    };
    if claim.withdrawn.is_some() {
        return Ok((Vec::new(), answer));
    }
    if claim.is_final() {
        return Err(format!("h{id} is {} already", claim.status.word()));
    }
    let kind = Kind::HypothesisWithdrawn {
        id,
        agent: Some(me.to_owned()),
        reason: format!("taken back by {me}"),
    };
    Ok((vec![kind], answer))
}
