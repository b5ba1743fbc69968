//! Servers that do not serve: what all agents that ask them know of it, and when one tries again.
//!
//! An outage is everybody's: who is told to wait says so in the log, the others wait as well, and one
//! of them tries first. Owns the rule by which an outage begins, lasts and ends. Must not know agents'
//! conversations.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::State;
use crate::domain::event::{Event, Kind};

/// Failures in a row of a kind that may be one request's bad luck, after which it is an outage.
const BAD_LUCK: u32 = 2;
/// How long the others wait for the one that tries first: as long as a server usually takes to
/// refuse, so that one that hangs does not stop everybody.
const TRIAL: SignedDuration = SignedDuration::from_secs(20);

/// A server that does not serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// What kind of failure, in one word.
    pub what: String,
    /// The last failure, for people.
    pub error: String,
    /// When it was first seen.
    pub since: Timestamp,
    /// When it was last seen.
    pub last: Timestamp,
    /// When it is tried again.
    pub until: Timestamp,
    /// Failures, of whomever.
    pub failures: u32,
    /// Times that it was tried again in vain.
    pub rounds: u32,
    /// Whom it stopped.
    pub agents: BTreeSet<String>,
}

impl Outage {
    /// Whether it is more than one request's bad luck.
    #[must_use]
    pub fn certain(&self) -> bool {
        matches!(self.what.as_str(), "rate_limited" | "quota") || self.failures >= BAD_LUCK
    }
}

/// The kinds of failure that are the server's, whoever asks.
fn of_server(what: &str) -> bool {
    matches!(
        what,
        "rate_limited" | "quota" | "overloaded" | "server" | "timeout" | "connect"
    )
}

impl State {
    /// Folds what tells of a server.
    pub(super) fn server_event(&mut self, event: &Event) {
        match &event.body {
            Kind::RequestFailed {
                agent,
                provider,
                what,
                error,
                retry_at: Some(until),
                ..
            } if of_server(what) => {
                let asked = self.agents.get(agent).and_then(|it| it.asked.at);
                let outage = self
                    .outages
                    .entry(provider.clone())
                    .or_insert_with(|| Outage {
                        what: String::new(),
                        error: String::new(),
                        since: event.at,
                        last: event.at,
                        until: *until,
                        failures: 0,
                        rounds: 0,
                        agents: BTreeSet::new(),
                    });
                if outage.failures > 0 && asked.is_some_and(|asked| asked >= outage.until) {
                    outage.rounds += 1;
                }
                outage.what.clone_from(what);
                outage.error.clone_from(error);
                outage.last = event.at;
                outage.until = outage.until.max(*until);
                outage.failures += 1;
                outage.agents.insert(agent.clone());
            }
            Kind::ReplyReceived { agent, .. } => self.served(agent, event.at),
            _ => {}
        }
    }

    /// A whole reply came; where it was asked for after the last failure, the outage is over.
    fn served(&mut self, agent: &str, now: Timestamp) {
        let Some(asked) = self.agents.get(agent).map(|it| it.asked.clone()) else {
            return;
        };
        let over = self
            .outages
            .get(&asked.provider)
            .is_some_and(|outage| asked.at.is_some_and(|at| at >= outage.last));
        if !over {
            return;
        }
        let ended = self.outages.remove(&asked.provider);
        // Those that wait longer by themselves need not.
        for name in ended.into_iter().flat_map(|outage| outage.agents) {
            if let Some(agent) = self.agents.get_mut(&name)
                && let Some((_, Some(at))) = &mut agent.retry
                && agent.asked.provider == asked.provider
            {
                *at = now.min(*at);
            }
        }
    }

    /// Until when an agent leaves a server alone, beside what it was told itself; none where it may
    /// ask now.
    #[must_use]
    pub fn gate(&self, name: &str, provider: &str, now: Timestamp) -> Option<Timestamp> {
        let outage = self.outages.get(provider).filter(|it| it.certain())?;
        if now < outage.until {
            return Some(outage.until);
        }
        // Somebody tries already; what comes of it is everybody's answer.
        let trials = self.agents.iter().filter(|(other, agent)| {
            *other != name && agent.request.is_some() && agent.asked.provider == provider
        });
        let tried = trials
            .filter_map(|(_, agent)| agent.asked.at)
            .filter(|at| *at >= outage.until);
        let end = tried.max()?.checked_add(TRIAL).ok()?;
        (now < end).then_some(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::chat::{Stop, Usage};
    use crate::domain::event::{Actor, Text};

    /// A log of one server, in which seconds are all that matters.
    #[derive(Default)]
    struct Story(State);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).expect("in range")
    }

    impl Story {
        fn say(&mut self, second: i64, agent: &str, body: Kind) {
            let event = Event {
                seq: self.0.seq + 1,
                at: at(second),
                actor: Actor::Agent(agent.to_owned()),
                cause: None,
                body,
            };
            self.0.apply(&event).expect("foldable");
        }

        fn asks(&mut self, second: i64, agent: &str) {
            let reserved = Kind::RequestReserved {
                agent: agent.to_owned(),
                request: self.request(agent) + 1,
                conversation: 1,
                items: Vec::new(),
                usd: 1.0,
                model: "m".to_owned(),
                provider: "p".to_owned(),
                near: String::new(),
            };
            self.say(second, agent, reserved);
        }

        fn request(&self, agent: &str) -> u64 {
            self.0.agents.get(agent).map_or(0, |it| it.requests)
        }

        fn fails(&mut self, second: i64, agent: &str, what: &str, until: i64) {
            let failed = Kind::RequestFailed {
                agent: agent.to_owned(),
                request: self.request(agent),
                error: "no".to_owned(),
                retry_at: Some(at(until)),
                usd: 0.0,
                provider: "p".to_owned(),
                what: what.to_owned(),
            };
            self.say(second, agent, failed);
        }

        fn replied(&mut self, second: i64, agent: &str) {
            let received = Kind::ReplyReceived {
                agent: agent.to_owned(),
                request: self.request(agent),
                items: Vec::new(),
                text: Text::from(""),
                thinking: Text::from(""),
                calls: Vec::new(),
                truncated: Vec::new(),
                stop: Stop::EndTurn,
                usage: Usage::default(),
                usd: 0.0,
            };
            self.say(second, agent, received);
        }

        fn waits(&self, agent: &str, second: i64) -> Option<i64> {
            let until = self.0.gate(agent, "p", at(second))?;
            Some(until.as_second() - 1_800_000_000)
        }
    }

    #[test]
    fn a_throttle_is_everybody_s_and_one_tries_first() {
        let mut story = Story::default();
        for agent in ["a", "b"] {
            story.asks(0, agent);
        }
        story.fails(1, "a", "rate_limited", 31);
        // What was on its way already tells nothing.
        story.replied(2, "b");
        assert_eq!(story.waits("b", 3), Some(31));
        assert_eq!(story.waits("b", 31), None);
        story.asks(31, "b");
        assert_eq!(story.waits("a", 32), Some(51), "b tries");
        assert_eq!(story.waits("b", 32), None, "not in its own way");
        assert_eq!(story.waits("a", 52), None, "b hangs");
        story.fails(33, "b", "rate_limited", 63);
        assert_eq!(
            (story.waits("a", 52), story.0.outages["p"].rounds),
            (Some(63), 1)
        );
        story.asks(64, "a");
        story.replied(65, "a");
        assert_eq!((story.waits("b", 65), story.0.outages.len()), (None, 0));
    }

    #[test]
    fn one_failure_is_bad_luck_and_the_end_is_everybody_s_too() {
        let mut story = Story::default();
        for agent in ["a", "b"] {
            story.asks(0, agent);
        }
        story.fails(1, "a", "overloaded", 300);
        assert_eq!(story.waits("b", 2), None);
        story.fails(2, "b", "overloaded", 3);
        assert_eq!(story.waits("b", 4), Some(300));
        story.asks(301, "b");
        story.replied(302, "b");
        let retry = story.0.agents["a"].retry.clone().expect("it waits");
        assert_eq!(retry.1, Some(at(300)));
        // A cut reply is nobody else's.
        story.asks(303, "b");
        story.fails(304, "b", "cut", 305);
        assert_eq!(story.0.outages.len(), 0);
    }
}
