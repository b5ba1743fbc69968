//! One request to a model: what it carries, and what came of it.
//!
//! Order is everything here: wire items go into blobs, then the reservation with their names into the
//! log, then the request out; a reply goes into blobs, then into the log with its usage, and only then
//! does anybody act on it. A reply that was cut is not a reply.

use crate::domain::budget;
use crate::domain::chat::{Delta, Head, Raw, Reply, Stop, ToolOutput};
use crate::domain::event::{Kind, LoggedCall};
use crate::domain::price;
use crate::domain::session;
use crate::domain::state::AgentState;
use crate::os::clock;
use crate::provider::{Asking, ProviderError};

use super::agent::{AgentError, Member, interrupted};
use super::live::Live;
use super::money::Reserved;

/// What a request is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The next step of the turn.
    Step,
    /// A summary in the model's own words, asked for with this text.
    Summary(String),
    /// The vendor's own compaction.
    Compaction,
}

/// What came of a request.
enum Outcome {
    Replied(Reply),
    Failed(ProviderError, bool),
    Interrupted,
}

/// The new items of a request, and the cap that they tell of.
#[derive(Default)]
struct Fresh {
    items: Vec<Raw>,
    near: String,
}

impl Member {
    /// Makes the request that the session asks for.
    pub(super) async fn ask(&mut self) -> Result<(), AgentError> {
        match self.request(Purpose::Step).await? {
            Some(reply) if reply.stop == Stop::ContextFull => {
                self.renew("the model's context window was full", "")
            }
            _ => Ok(()),
        }
    }

    /// Makes a request with what is new. None where no reply came of it; what came of it then stands in
    /// the log.
    pub(super) async fn request(&mut self, purpose: Purpose) -> Result<Option<Reply>, AgentError> {
        let mine = self.mine();
        self.load_history(&mine)?;
        let fresh = self.fresh_items(&mine, &purpose)?;
        let blobs = self.log().blobs();
        let mut names = Vec::new();
        for item in &fresh.items {
            let put = blobs.put(item.as_str().as_bytes());
            names.push(put.map_err(AgentError::io("keep a wire item"))?);
        }
        let added = names.iter().cloned().zip(fresh.items);
        self.history.extend(added);
        let (asking, cost) = self.asking(&mine, &purpose);
        let Some(reserved) = self.reserve(&mine, names, cost, fresh.near)? else {
            // The names that were added are not in the log; the history is read anew next time.
            self.history.clear();
            return Ok(None);
        };
        match self.exchange(reserved.request, asking).await {
            Outcome::Replied(reply) => self.accept(&reserved, reply, &purpose).map(Some),
            Outcome::Interrupted => {
                self.stopped(&reserved)?;
                Ok(None)
            }
            Outcome::Failed(error, spent) => {
                if purpose == Purpose::Compaction && !error.transient() {
                    // Its own words will do.
                    self.own_summary = true;
                }
                self.refused(&mine, &reserved, &error, spent)?;
                Ok(None)
            }
        }
    }

    /// The request's bytes, and what they may cost in tokens: prompt and reply.
    fn asking(&self, mine: &AgentState, purpose: &Purpose) -> (Asking, (u64, u64)) {
        let items: Vec<Raw> = self.history.iter().map(|(_, raw)| raw.clone()).collect();
        let provider = &self.mind.provider;
        let ask = |head: &Head| match purpose {
            Purpose::Compaction => provider.compaction(head, &items),
            Purpose::Step | Purpose::Summary(_) => Asking::of(provider.as_ref(), head, &items),
        };
        let asking = ask(&self.mind.head);
        let prompt = self.prompt_at_most(mine, asking.body.len());
        let reply = self.longest_reply(prompt);
        if reply == self.mind.head.max_output {
            return (asking, (prompt, reply));
        }
        let head = Head {
            max_output: reply,
            ..self.mind.head.clone()
        };
        (ask(&head), (prompt, reply))
    }

    /// Whether a person has stopped what it is at.
    pub(super) fn has_word(&self) -> bool {
        self.log().state().is_stopped_by_a_person(&self.name)
    }

    /// New wire items: results, words on cut calls, what the turn takes in, the wish for a summary; in
    /// this order.
    fn fresh_items(&self, mine: &AgentState, purpose: &Purpose) -> Result<Fresh, AgentError> {
        let provider = &self.mind.provider;
        let wish = match purpose {
            Purpose::Summary(ask) => Some(provider.user(ask)),
            Purpose::Step | Purpose::Compaction => None,
        };
        let mut new = Fresh::default();
        if mine.request.is_some() || mine.retry.is_some() {
            // The last request carried them already; the same history is sent again.
            let last = self.history.last().map(|(_, raw)| raw);
            new.items.extend(wish.filter(|wish| Some(wish) != last));
            return Ok(new);
        }
        let fresh = session::fresh(mine);
        if fresh.results {
            new.items.extend(provider.results(&self.outputs(mine)?));
        }
        let mut said = Vec::new();
        if fresh.truncated {
            let cut = mine.truncated.iter();
            said.extend(cut.map(|tool| self.texts.truncated_call(tool)));
        }
        if fresh.repeated {
            let (used, times) = &mine.repeated;
            let tool = used.lines().next().unwrap_or_default();
            said.push(self.texts.repeated(tool, *times));
        }
        if fresh.opening {
            said.push(self.opening()?);
        }
        if *purpose == Purpose::Step
            && let Some((cap, words)) = self.near_cap(mine)
        {
            said.push(words);
            new.near = cap;
        }
        let said = said.join("\n\n");
        if !said.trim().is_empty() {
            new.items.push(provider.user(&said));
        }
        new.items.extend(wish);
        Ok(new)
    }

    /// What the last reply's calls gave.
    fn outputs(&self, mine: &AgentState) -> Result<Vec<ToolOutput>, AgentError> {
        let blobs = self.log().blobs();
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
        Ok(outputs)
    }

    /// A cap that is near and that the agent was not told of yet: its name, and the words.
    fn near_cap(&self, mine: &AgentState) -> Option<(String, String)> {
        let log = self.log();
        let purse = budget::near(&self.chart, log.state(), &self.name, clock::now())?;
        let cap = format!("{}={:.2}", purse.key, purse.cap);
        (mine.near != cap).then(|| (cap, self.texts.near_cap(&purse)))
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

    async fn exchange(&mut self, request: u64, asking: Asking) -> Outcome {
        let mut live = Live::begin(&self.dir.live(&self.name), request);
        let mut streamed = false;
        let mut show = |delta: Delta| {
            streamed = true;
            live.push(&delta);
        };
        let exchange = self.client.send(
            self.mind.provider.as_ref(),
            &self.mind.model.spec.base_url,
            self.mind.key.as_deref(),
            asking,
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

    /// Writes a reply down, with the new conversation where it is a summary.
    fn accept(
        &mut self,
        reserved: &Reserved,
        mut reply: Reply,
        purpose: &Purpose,
    ) -> Result<Reply, AgentError> {
        if matches!(reply.stop, Stop::Refusal(_)) {
            // Half an answer would stand in the way of asking again.
            reply.items.clear();
            reply.calls.clear();
        }
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
        let rates = self.mind.model.rates.as_ref();
        let usd = rates.map_or(0.0, |rates| price::cost(rates, &reply.usage));
        let step = *purpose == Purpose::Step;
        let received = Kind::ReplyReceived {
            agent: self.name.clone(),
            request: reserved.request,
            items: if step { items.clone() } else { Vec::new() },
            text: keep(&reply.text)?,
            thinking: keep(&reply.thinking)?,
            calls: if step { calls } else { Vec::new() },
            truncated: reply.truncated.clone(),
            stop: reply.stop.clone(),
            usage: reply.usage,
            usd,
        };
        if step {
            // What it makes the agent do has an intent, or another request a reservation.
            self.append_ahead(vec![received])?;
            let raws = reply.items.iter().cloned();
            self.history.extend(items.into_iter().zip(raws));
        } else {
            self.compacted(received, purpose, &reply, items)?;
        }
        Ok(reply)
    }
}
