//! What the org does together, in the fake world: firings and letters in one append, and reviews.
//!
//! The laws on it: a process fires once for each occasion and is numbered without a hole; nobody is
//! asked to review an own claim, nor while held; a firing's letters are those that were decided; only
//! the org closes a firing, once; a claim leaves the gate only by a decision of somebody else.

use super::laws::Laws;
use super::world::World;
use crate::domain::event::{Actor, Decision, Event, Fired, Kind, Review, Status, Text};
use crate::domain::process::{self, Act};
use crate::domain::state::{State, letter_key};

/// The processes of the simulated org.
pub(super) const PROCESSES: &str = r#"
[[processes]]
name = "standup"
every = "15s"
from = { role = "researcher" }
to = "ana"
missed = "nag"
[[processes]]
name = "review"
on = "hypothesis.confirmed"
by = { role = "researcher", not = "author" }
within = "20s"
missed = "nag"
[[processes]]
name = "plateau"
on = "plateau"
to = "ana"
fruitless_claims = 2
[[processes]]
name = "half"
on = "budget.half"
to = "human"
prompt = "half.md"
[[processes]]
name = "idle"
on = "idle"
from = { role = "researcher" }
idle_for = "10s"
prompt = "idle.md"
[[processes]]
name = "retrospective"
on = "end"
by = "ana"
to = "human"
within = "20s"
"#;

impl World {
    /// As the engine does it: looked at again under the lock, and all in one append.
    pub(super) fn society(&mut self, act: Act) {
        let (first, process, number, to) = match act {
            Act::Fire(fired) => {
                if !process::stands(&self.state, &fired) {
                    return;
                }
                let asked = fired.asked.clone();
                (
                    Kind::ProcessFired(fired.clone()),
                    fired.process,
                    fired.number,
                    asked,
                )
            }
            Act::Remind(again) => {
                let firing = self.state.society.of(&again.process).iter();
                let mut firing = firing.filter(|it| it.fired.number == again.number);
                let stands = |it: &crate::domain::state::Firing| {
                    it.is_open() && it.reminders + 1 == again.reminder
                };
                if !firing.next().is_some_and(stands) {
                    return;
                }
                let asked = again.asked.clone();
                (
                    Kind::ProcessReminded(again.clone()),
                    again.process,
                    again.number,
                    asked,
                )
            }
            Act::Close(over) => {
                let firing = self.state.society.of(&over.process).iter();
                let mut firing = firing.filter(|it| it.fired.number == over.number);
                let Some(firing) = firing.next().filter(|it| it.is_open()) else {
                    return;
                };
                let told = firing.due.is_some() && !firing.fired.gate;
                let to = if told {
                    firing.fired.to.clone()
                } else {
                    Vec::new()
                };
                (
                    Kind::ProcessClosed(over.clone()),
                    over.process,
                    over.number,
                    to,
                )
            }
        };
        let letter = |name: String| Kind::MailSent {
            id: 0,
            from: "org".to_owned(),
            to: vec![name],
            subject: process.clone(),
            body: Text::from(""),
            now: false,
            assignment: false,
            call: Some(letter_key(&process, number)),
        };
        let letters = to.into_iter().map(letter);
        self.append(&Actor::Org, std::iter::once(first).chain(letters).collect());
    }

    /// A claim that an agent is asked to review and has not decided on.
    pub(super) fn to_review(&self, name: &str) -> Option<u64> {
        let mut asked = self.state.society.awaiting(name);
        asked.find_map(|firing| {
            let id = firing.fired.hypothesis.filter(|_| firing.fired.gate)?;
            (!firing.answers.contains_key(name)).then_some(id)
        })
    }

    /// The decision that a reviewer makes, where there is still something to decide on.
    pub(super) fn review(&mut self, name: &str, call: String) -> Option<Kind> {
        let id = self.to_review(name)?;
        let claim = &self.state.hypotheses[&id];
        if !matches!(claim.status, Status::Confirmed | Status::Screened) || claim.agent == name {
            return None;
        }
        let decision = if self.rng.chance(250) {
            Decision::Veto
        } else {
            Decision::Approve
        };
        Some(Kind::ReviewGiven(Review {
            hypothesis: id,
            by: name.to_owned(),
            decision,
            checks: vec!["cost".to_owned()],
            reason: Text::from("so"),
            call: Some(call),
        }))
    }
}

impl Laws {
    /// What must hold of an event of the society, on what was so before it.
    pub(super) fn society(state: &State, event: &Event) {
        match &event.body {
            Kind::ProcessFired(fired) => fires(state, fired),
            Kind::ProcessReminded(again) => {
                let firing = &state.society.of(&again.process)[again.number as usize - 1];
                assert!(firing.is_open() && again.reminder == firing.reminders + 1);
                assert!(again.reminder <= process::REMINDERS);
            }
            Kind::ProcessClosed(over) => {
                let firing = &state.society.of(&over.process)[over.number as usize - 1];
                assert!(
                    firing.is_open(),
                    "{} {} is over twice",
                    over.process,
                    over.number
                );
            }
            Kind::ReviewGiven(review) => {
                let claim = &state.hypotheses[&review.hypothesis];
                assert_ne!(claim.agent, review.by, "an author reviews an own claim");
            }
            _ => {}
        }
    }
}

fn fires(state: &State, fired: &Fired) {
    let before = state.society.of(&fired.process);
    assert_eq!(fired.number, before.len() as u64 + 1);
    let twice = before.iter().any(|it| it.fired.occasion == fired.occasion);
    assert!(
        !twice,
        "{} fires twice for {}",
        fired.process, fired.occasion
    );
    assert!(state.down.is_none() && !state.paused);
    for name in fired.asked.iter().filter(|name| *name != "human") {
        assert!(
            state.agents[name].held.is_none(),
            "{name} is held and asked"
        );
        assert!(
            !fired.gate || fired.about.as_ref() != Some(name),
            "{name} is the author"
        );
    }
}
