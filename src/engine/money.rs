//! Setting money aside before a request is made.
//!
//! Owns how much one request may cost at most, and what happens where a cap forbids it: wait for
//! requests in flight to settle, wait for the hour to pass, or be held until a person has raised the
//! cap. Decided under the log's lock, so that no interleaving of agents passes a cap.

use crate::domain::approval::{self, Gate};
use crate::domain::budget::{self, Capped, Remedy};
use crate::domain::chat::Raw;
use crate::domain::event::Kind;
use crate::domain::price;
use crate::domain::state::{AgentState, State};
use crate::os::clock;
use crate::run::log::Decision;

use super::agent::{AgentError, Member};

/// Shortest reply, in tokens, that is worth asking for near a cap: enough for a thought and a call.
const SHORT_REPLY: u64 = 4096;
/// What the frame around an item counts at most, in tokens.
const FRAME: u64 = 16;

/// A request that may be made.
pub(super) struct Reserved {
    /// Its number.
    pub(super) request: u64,
    /// What was set aside, US dollars.
    pub(super) usd: f64,
}

/// Why a request may not be made now.
enum Denied {
    /// Somebody has stepped in: a person, or another agent that tries a server first.
    NotNow,
    Capped(Capped),
    /// A person said no.
    Refused(String),
}

impl Member {
    /// Most tokens that the prompt can have: what the server counted last, and a token for every byte
    /// since, which no tokenizer exceeds.
    pub(super) fn prompt_at_most(&self, mine: &AgentState, bytes: usize) -> u64 {
        let whole = bytes as u64;
        if mine.replies == 0 || mine.context == 0 {
            return whole;
        }
        let fresh = self.history.iter().skip(mine.counted);
        let fresh = fresh.map(|(_, raw): &(String, Raw)| raw.as_str().len() as u64 + FRAME);
        whole.min(mine.context + fresh.sum::<u64>())
    }

    /// The longest reply that may be asked for: shorter near a cap, so that what is left of it is of
    /// some use. Where others have set the rest aside, as long as it can be once they have settled: the
    /// request waits for that, and nobody is held. Where that is too little as well, a short one: it is
    /// what the hour, or a person, has to leave room for.
    pub(super) fn longest_reply(&self, prompt: u64) -> u64 {
        let most = self.mind.head.max_output;
        let Some(rates) = &self.mind.model.rates else {
            return most;
        };
        let log = self.log();
        let (left, later) = budget::left(&self.chart, log.state(), &self.name, clock::now());
        let patient = self.mind.head.patient;
        let paid = [left, later].map(|usd| price::affordable(rates, prompt, patient, usd));
        let enough = paid.into_iter().find(|tokens| *tokens >= SHORT_REPLY);
        enough.unwrap_or(SHORT_REPLY).min(most)
    }

    /// Writes down, once, that others' requests have to settle before the next one is made.
    fn say_it_waits(&self, mine: &AgentState, capped: &Capped) -> Result<(), AgentError> {
        if mine.waits.is_some() {
            return Ok(());
        }
        let agent = self.name.clone();
        let reason = capped.waiting();
        self.append(vec![Kind::RequestWaits { agent, reason }])
    }

    /// Sets the worst cost aside, under the log's lock. None where that may not be now.
    pub(super) fn reserve(
        &mut self,
        mine: &AgentState,
        items: Vec<String>,
        (prompt, reply): (u64, u64),
        near: String,
    ) -> Result<Option<Reserved>, AgentError> {
        let hour = self.mind.head.patient;
        let rates = self.mind.model.rates.as_ref();
        let usd = rates.map_or(0.0, |rates| price::worst_case(rates, prompt, reply, hour));
        let (chart, name) = (&self.chart, &self.name);
        let (model, provider) = (&self.mind.head.model, &self.mind.model.provider);
        let conversation = mine.conversation.max(1);
        let now = clock::now();
        let decide = |state: &State| -> Decision<Option<u64>, Denied> {
            if !state.may_think(name) || state.gate(name, provider, now).is_some() {
                return Err(Denied::NotNow);
            }
            match approval::spending(chart, state, usd) {
                Gate::Open => {}
                Gate::Ask => {
                    return Ok((vec![approval::ask_to_spend(chart, state, name, usd)], None));
                }
                Gate::Parked(_) => return Err(Denied::NotNow),
                Gate::Denied(why) => {
                    return Err(Denied::Refused(approval::denied_spending(&why)));
                }
            }
            budget::may_reserve(chart, state, name, usd, now).map_err(Denied::Capped)?;
            let request = state.agents.get(name).map_or(0, |agent| agent.requests) + 1;
            let reserved = Kind::RequestReserved {
                agent: name.clone(),
                request,
                conversation,
                items,
                usd,
                model: model.clone(),
                provider: provider.clone(),
                near,
            };
            Ok((vec![reserved], Some(request)))
        };
        let decided = self.log().transact(&self.actor, decide)?;
        match decided {
            Ok(request) => Ok(request.map(|request| Reserved { request, usd })),
            Err(Denied::NotNow) => Ok(None),
            Err(Denied::Refused(why)) => {
                self.hold(&why)?;
                Ok(None)
            }
            Err(Denied::Capped(capped)) => {
                let until = match capped.remedy {
                    Remedy::Settling => {
                        self.settling = true;
                        return self.say_it_waits(mine, &capped).map(|()| None);
                    }
                    Remedy::Time(until) => Some(until),
                    Remedy::Person => None,
                };
                self.append(vec![Kind::AgentHeld {
                    agent: self.name.clone(),
                    reason: capped.to_string(),
                    cap: true,
                    until,
                }])?;
                Ok(None)
            }
        }
    }
}
