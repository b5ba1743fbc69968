//! One request to a model: what it carries, what it may cost, what came of it.
//!
//! Order is everything here: wire items go into blobs, then the reservation with their names into the
//! log, then the request out; a reply goes into blobs, then into the log with its usage, and only then
//! does anybody act on it. A reply that was cut is not a reply.

use std::hash::{BuildHasher, Hasher, RandomState};

use jiff::{SignedDuration, Timestamp};

use crate::domain::approval::{self, Gate};
use crate::domain::chat::{Delta, Raw, Reply, Stop, ToolOutput};
use crate::domain::event::{Kind, LoggedCall};
use crate::domain::price;
use crate::domain::state::{AgentState, State};
use crate::domain::{budget, retry, session};
use crate::os::clock;
use crate::provider::ProviderError;
use crate::run::log::Decision;

use super::agent::{AgentError, Member, interrupted};
use super::live::Live;

/// Longest extra wait after a server asked to be left alone, seconds.
const SPREAD_S: f64 = 2.0;

/// What came of a request.
enum Outcome {
    Replied(Reply),
    Failed(ProviderError, bool),
    Interrupted,
}

impl Member {
    /// Makes the request that the session asks for.
    pub(super) async fn ask(&mut self) -> Result<(), AgentError> {
        match self.request(None).await? {
            Some(reply) if reply.stop == Stop::ContextFull => {
                self.renew("the model's context window was full", "")
            }
            _ => Ok(()),
        }
    }

    /// Makes a request with what is new, and `last` after it. None where no reply came of it; what
    /// came of it then stands in the log.
    pub(super) async fn request(
        &mut self,
        last: Option<&str>,
    ) -> Result<Option<Reply>, AgentError> {
        let mine = self.mine();
        let fresh = self.fresh_items(&mine, last)?;
        self.load_history(&mine)?;
        let blobs = self.log().blobs();
        let mut names = Vec::new();
        for item in &fresh {
            let put = blobs.put(item.as_str().as_bytes());
            names.push(put.map_err(AgentError::io("keep a wire item"))?);
        }
        let added = names.iter().cloned().zip(fresh);
        self.history.extend(added);
        let items: Vec<Raw> = self.history.iter().map(|(_, raw)| raw.clone()).collect();
        let body = self.provider.body(&self.head, &items);
        let Some((request, reserved)) = self.reserve(&mine, names, body.len())? else {
            // The names that were added are not in the log; the history is read anew next time.
            self.history.clear();
            return Ok(None);
        };
        match self.exchange(request, body).await {
            Outcome::Replied(reply) => {
                self.accept(request, &reply)?;
                Ok(Some(reply))
            }
            Outcome::Interrupted => {
                self.stopped(request, reserved)?;
                Ok(None)
            }
            Outcome::Failed(error, spent) => {
                self.refused(&mine, request, &error, spent, reserved)?;
                Ok(None)
            }
        }
    }

    /// A person or the run's end cut a request short.
    fn stopped(&mut self, request: u64, reserved: f64) -> Result<(), AgentError> {
        self.append(vec![Kind::RequestFailed {
            agent: self.name.clone(),
            request,
            provider: self.model.provider.clone(),
            what: "interrupted".to_owned(),
            error: "stopped by a person".to_owned(),
            retry_at: None,
            usd: reserved,
        }])?;
        if self.has_word() && self.mine().turn.is_some() {
            return self.end_turn(true);
        }
        Ok(())
    }

    /// Until when the server wants to be left alone, with some spread so that agents on one key do
    /// not come back in step.
    pub(super) fn throttle(&self) -> Option<Timestamp> {
        let until = self
            .log()
            .state()
            .throttled
            .get(&self.model.provider)
            .copied()?;
        Some(after(until, SPREAD_S * jitter()))
    }

    pub(super) fn throttled(&self) -> bool {
        let log = self.log();
        let until = log.state().throttled.get(&self.model.provider);
        until.is_some_and(|until| *until > clock::now())
    }

    /// Whether a person has said something that interrupts.
    pub(super) fn has_word(&self) -> bool {
        let log = self.log();
        let state = log.state();
        state.agents.get(&self.name).is_some_and(|agent| {
            agent
                .unread
                .iter()
                .any(|id| state.mails.get(id).is_some_and(|mail| mail.now))
        })
    }

    /// New wire items: results, words on cut calls, what the turn takes in; in this order.
    fn fresh_items(&self, mine: &AgentState, last: Option<&str>) -> Result<Vec<Raw>, AgentError> {
        if mine.request.is_some() || mine.retry.is_some() {
            // The last request carried them already; the same history is sent again.
            return Ok(Vec::new());
        }
        let fresh = session::fresh(mine);
        let blobs = self.log().blobs();
        let mut items = Vec::new();
        if fresh.results {
            let mut outputs = Vec::new();
            for open in &mine.calls {
                let Some((ok, text)) = &open.result else {
                    continue;
                };
                outputs.push(ToolOutput {
                    call_id: open.call.id.clone(),
                    text: blobs
                        .whole(text)
                        .map_err(AgentError::io("read a tool's output"))?,
                    is_error: !ok,
                });
            }
            items.extend(self.provider.results(&outputs));
        }
        let mut said = Vec::new();
        if fresh.truncated {
            said.extend(
                mine.truncated
                    .iter()
                    .map(|tool| self.texts.truncated_call(tool)),
            );
        }
        if fresh.repeated {
            let (used, times) = &mine.repeated;
            let tool = used.lines().next().unwrap_or_default();
            said.push(self.texts.repeated(tool, *times));
        }
        if fresh.opening {
            said.push(self.opening()?);
        }
        said.extend(last.map(str::to_owned));
        let said = said.join("\n\n");
        if !said.trim().is_empty() {
            items.push(self.provider.user(&said));
        }
        Ok(items)
    }

    /// Reads those wire items of the conversation that are not in memory.
    fn load_history(&mut self, mine: &AgentState) -> Result<(), AgentError> {
        let known = self.history.len().min(mine.items.len());
        let same = self.history.len() <= mine.items.len()
            && self
                .history
                .iter()
                .zip(&mine.items)
                .all(|((hash, _), name)| hash == name);
        if !same {
            self.history.clear();
        }
        let from = if same { known } else { 0 };
        let blobs = self.log().blobs();
        for name in &mine.items[from..] {
            let text = blobs
                .get_text(name)
                .map_err(AgentError::io("read a wire item"))?;
            self.history.push((name.clone(), Raw::new(text)));
        }
        Ok(())
    }

    /// Sets the worst cost aside, under the log's lock. None where a cap forbids it or a person has
    /// stepped in meanwhile.
    fn reserve(
        &self,
        mine: &AgentState,
        items: Vec<String>,
        bytes: usize,
    ) -> Result<Option<(u64, f64)>, AgentError> {
        let usd = self.model.rates.as_ref().map_or(0.0, |rates| {
            price::worst_case(rates, price::tokens_at_most(bytes), self.head.max_output)
        });
        let (chart, name) = (&self.chart, &self.name);
        let conversation = mine.conversation.max(1);
        let decide = |state: &State| -> Decision<Option<u64>, Option<String>> {
            if !state.may_think(name) {
                return Err(None);
            }
            match approval::spending(chart, state, usd) {
                Gate::Open => {}
                Gate::Ask => {
                    return Ok((vec![approval::ask_to_spend(chart, state, name, usd)], None));
                }
                Gate::Parked(_) => return Err(None),
                Gate::Denied(why) => return Err(Some(approval::denied_spending(&why))),
            }
            budget::may_reserve(chart, state, name, usd)
                .map_err(|capped| Some(capped.to_string()))?;
            let request = state.agents.get(name).map_or(0, |agent| agent.requests) + 1;
            let reserved = Kind::RequestReserved {
                agent: name.clone(),
                request,
                conversation,
                items,
                usd,
            };
            Ok((vec![reserved], Some(request)))
        };
        let decided = self.log().transact(&self.actor, decide)?;
        match decided {
            Ok(request) => Ok(request.map(|request| (request, usd))),
            Err(None) => Ok(None),
            Err(Some(why)) => {
                self.hold(&why)?;
                Ok(None)
            }
        }
    }

    async fn exchange(&mut self, request: u64, body: Vec<u8>) -> Outcome {
        let mut live = Live::begin(&self.dir.live(&self.name), request);
        let mut streamed = false;
        let mut show = |delta: Delta| {
            streamed = true;
            live.push(&delta);
        };
        let exchange = self.client.exchange(
            self.provider.as_ref(),
            &self.model.spec.base_url,
            self.key.as_deref(),
            body,
            &mut show,
        );
        let outcome = tokio::select! {
            reply = exchange => reply,
            () = interrupted(&self.log, &mut self.bell, &self.term, &self.name) => {
                return Outcome::Interrupted;
            }
        };
        match outcome {
            Ok(reply) => Outcome::Replied(reply),
            Err(error) => {
                let spent = streamed || matches!(error, ProviderError::Cut { .. });
                Outcome::Failed(error, spent)
            }
        }
    }

    fn accept(&mut self, request: u64, reply: &Reply) -> Result<(), AgentError> {
        let blobs = self.log().blobs();
        let keep = |text: &str| blobs.text(text).map_err(AgentError::io("keep a text"));
        let mut items = Vec::new();
        for item in &reply.items {
            let put = blobs.put(item.as_str().as_bytes());
            items.push(put.map_err(AgentError::io("keep a wire item"))?);
        }
        let mut calls = Vec::new();
        for call in &reply.calls {
            calls.push(LoggedCall {
                id: call.id.clone(),
                name: call.name.clone(),
                arguments: keep(&call.arguments)?,
            });
        }
        let usd = self
            .model
            .rates
            .as_ref()
            .map_or(0.0, |rates| price::cost(rates, &reply.usage));
        let received = Kind::ReplyReceived {
            agent: self.name.clone(),
            request,
            items: items.clone(),
            text: keep(&reply.text)?,
            thinking: keep(&reply.thinking)?,
            calls,
            truncated: reply.truncated.clone(),
            stop: reply.stop.clone(),
            usage: reply.usage,
            usd,
        };
        self.append(vec![received])?;
        let raws = reply.items.iter().cloned();
        self.history.extend(items.into_iter().zip(raws));
        Ok(())
    }

    /// Writes a failure down and says when it is tried again, or holds the agent.
    fn refused(
        &mut self,
        mine: &AgentState,
        request: u64,
        error: &ProviderError,
        spent: bool,
        reserved: f64,
    ) -> Result<(), AgentError> {
        let failures = mine.failures + 1;
        let seconds = match error {
            ProviderError::Quota { .. } => Some(retry::QUOTA_PROBE_S),
            ProviderError::Malformed { .. } if failures < retry::MALFORMED_IN_A_ROW => {
                Some(retry::wait(failures, None, jitter()))
            }
            error if error.transient() => {
                Some(retry::wait(failures, error.retry_after(), jitter()))
            }
            _ => None,
        };
        let retry_at = seconds.map(|seconds| after(clock::now(), seconds));
        let mut kinds = vec![Kind::RequestFailed {
            agent: self.name.clone(),
            request,
            provider: self.model.provider.clone(),
            what: error.kind().to_owned(),
            error: error.to_string(),
            retry_at,
            usd: if spent { reserved } else { 0.0 },
        }];
        let too_long = matches!(error, ProviderError::ContextTooLong { .. });
        if too_long && !mine.items.is_empty() {
            // Never a blind retry: the same turn goes on in a new conversation.
            self.append(kinds)?;
            return self.renew("it no longer fitted the model's window", "");
        }
        if retry_at.is_none() {
            let reason = error.to_string();
            kinds.push(Kind::AgentHeld {
                agent: self.name.clone(),
                reason,
            });
        }
        self.append(kinds)
    }
}

fn after(now: Timestamp, seconds: f64) -> Timestamp {
    SignedDuration::try_from_secs_f64(seconds)
        .ok()
        .and_then(|wait| now.checked_add(wait).ok())
        .unwrap_or(now)
}

/// A number in [0, 1) that differs between agents: the standard library's own random hasher keys.
fn jitter() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 11;
    bits as f64 / (1_u64 << 53) as f64
}
