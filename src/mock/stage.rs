//! Which reply a request gets: one scenario, all agents.
//!
//! Owns the order of things: a repeat gets what was told before; else what is new is taken in, the
//! script is played, and all of it is kept before anything is sent. Must not know HTTP.

use std::collections::BTreeMap;

use serde_json::Value;

use super::exchange::{Ask, End, NOTHING, OutCall, Reply, digest, shared_tokens, tokens_of};
use super::memory::{Memory, StateError, Store, Told};
use crate::domain::chat::Usage;
use crate::domain::scenario::{Fault, Halt, Member, Played, Roster, Scenario, Step};

/// The prefix of the mock's own keys.
const KEY_PREFIX: &str = "mock-";

/// Why a request that is valid gets no reply.
#[derive(Debug, thiserror::Error)]
pub(super) enum StageError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error("match what a step expects with what was captured put in: {0}")]
    Pattern(#[from] regex::Error),
}

/// Whoever asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    /// For selectors.
    name: String,
    /// For the disk: a key that is not the mock's may be somebody's real one.
    label: String,
}

impl Caller {
    pub(super) fn of_key(key: &str) -> Self {
        match key.strip_prefix(KEY_PREFIX) {
            Some(agent) if !agent.is_empty() => Self {
                name: agent.to_owned(),
                label: agent.to_owned(),
            },
            _ => Self {
                name: key.to_owned(),
                label: format!("key~{}", digest(&[key])),
            },
        }
    }
}

/// A reply and what goes wrong with its delivery.
pub(super) struct Answer {
    pub(super) reply: Reply,
    pub(super) fault: Option<Fault>,
}

/// The scenario in play.
pub(super) struct Stage {
    scenario: Scenario,
    roster: Roster,
    store: Store,
    memories: BTreeMap<String, Memory>,
}

impl Stage {
    pub(super) fn open(
        scenario: Scenario,
        roster: Roster,
        store: Store,
    ) -> Result<Self, StateError> {
        let memories = store.load()?;
        Ok(Self {
            scenario,
            roster,
            store,
            memories,
        })
    }

    /// The models of the agents that are known.
    pub(super) fn models(&self) -> Vec<String> {
        let mut models: Vec<String> = self
            .roster
            .values()
            .filter_map(|member| member.model.clone())
            .collect();
        models.sort();
        models.dedup();
        models
    }

    /// Answers a request whose bytes hash to `body`.
    pub(super) fn answer(
        &mut self,
        caller: &Caller,
        ask: &Ask,
        body: &str,
    ) -> Result<Answer, StageError> {
        let mut memory = match self.memories.get(&caller.label) {
            Some(memory) => memory.clone(),
            None => Memory::new(&caller.label),
        };
        let answer = match repeat(&mut memory, body) {
            Some(answer) => answer,
            None => self.play(&mut memory, caller, ask, body)?,
        };
        self.store.save(&self.memories, &memory)?;
        self.memories.insert(caller.label.clone(), memory);
        Ok(answer)
    }

    fn play(
        &self,
        memory: &mut Memory,
        caller: &Caller,
        ask: &Ask,
        body: &str,
    ) -> Result<Answer, StageError> {
        if memory.position.script.is_none() {
            let role = self
                .roster
                .get(&caller.name)
                .and_then(|member| member.role.clone());
            let member = Member {
                role,
                model: Some(ask.model.clone()),
            };
            memory.position.script = self.scenario.script_for(&caller.name, &member);
        }
        memory.position.hear(&ask.heard);
        // A compaction is no reply: the script stays where it is.
        let played = if ask.compacts {
            Played::Idle
        } else {
            memory.position.play(&self.scenario)?
        };
        let (step, fault) = match played {
            Played::Idle => (Box::default(), None),
            Played::Step { step, fault } => (step, fault),
        };
        let reply = reply(memory, ask, *step, fault.as_ref());
        memory.replies += 1;
        let withheld = fault.as_ref().is_some_and(Fault::withholds);
        if !withheld {
            let shaped = fault
                .as_ref()
                .map_or(0, |fault| fault.times.saturating_sub(1));
            let shape = fault.clone().filter(|_| shaped > 0);
            memory.remember(Told {
                body: body.to_owned(),
                reply: reply.clone(),
                shape,
                shaped,
            });
        }
        if fault.as_ref().is_none_or(|fault| fault.status.is_none()) {
            memory.cached = ask.parts[..ask.cacheable].to_vec();
            add(&mut memory.total, reply.usage);
        }
        Ok(Answer { reply, fault })
    }
}

/// What a request got that came before with the same bytes.
fn repeat(memory: &mut Memory, body: &str) -> Option<Answer> {
    let told = memory.told(body)?;
    let fault = told.shape.clone().filter(|_| told.shaped > 0);
    told.shaped = told.shaped.saturating_sub(1);
    Some(Answer {
        reply: told.reply.clone(),
        fault,
    })
}

fn reply(memory: &Memory, ask: &Ask, step: Step, fault: Option<&Fault>) -> Reply {
    let id = digest(&[&memory.agent, &memory.replies.to_string()]);
    let calls: Vec<OutCall> = step
        .calls
        .into_iter()
        .map(|call| {
            let freeform = ask.freeform.contains(&call.tool);
            let arguments = match call.arguments.get("input") {
                Some(Value::String(text)) if freeform => text.clone(),
                _ => call.arguments.to_string(),
            };
            OutCall {
                tool: call.tool,
                arguments,
                freeform,
            }
        })
        .collect();
    let say = step.say.filter(|say| !say.is_empty());
    let say = say.or_else(|| calls.is_empty().then(|| NOTHING.to_owned()));
    let end = if calls.is_empty() {
        End::Turn
    } else {
        End::Calls
    };
    let mut reply = Reply {
        id,
        number: memory.replies,
        model: ask.model.clone(),
        think: step.think,
        show_thinking: ask.show_thinking,
        prefix: ask.prefix.clone(),
        say,
        calls,
        ids: fault.and_then(|fault| fault.ids),
        end,
        usage: Usage::default(),
    };
    if fault.is_some_and(|fault| fault.truncate_tool) {
        truncate(&mut reply);
    }
    if let Some(halt) = fault.and_then(|fault| fault.stop) {
        halted(&mut reply, halt);
    }
    if ask.compacts {
        reply.end = End::Compaction;
        reply.say = Some(format!("A summary of {} items.", ask.parts.len() - 1));
    }
    reply.usage = match step.usage {
        Some(tokens) => Usage {
            input: tokens.input,
            output: tokens.output,
            cache_read: tokens.cache_read,
            cache_write: tokens.cache_write,
            cache_write_1h: 0,
        },
        None => estimate(memory, ask, &reply),
    };
    // No server bills more than it was allowed to say.
    reply.usage.output = reply.usage.output.min(ask.max_output);
    reply
}

/// Ends a reply for a reason of the server's own.
fn halted(reply: &mut Reply, halt: Halt) {
    if halt == Halt::Pause {
        reply.end = End::Pause;
        return;
    }
    reply.end = match halt {
        Halt::Refusal => End::Refusal,
        _ => End::Context,
    };
    reply.think = None;
    reply.say = None;
    reply.calls.clear();
}

/// Cuts the last part of a reply in its middle, as the output limit does.
fn truncate(reply: &mut Reply) {
    let last = match reply.calls.last_mut() {
        Some(call) => Some(&mut call.arguments),
        None => reply.say.as_mut(),
    };
    if let Some(text) = last {
        let mut middle = text.len().div_ceil(2);
        while !text.is_char_boundary(middle) {
            middle -= 1;
        }
        text.truncate(middle);
    }
    reply.end = End::MaxTokens;
}

fn estimate(memory: &Memory, ask: &Ask, reply: &Reply) -> Usage {
    let cacheable = &ask.parts[..ask.cacheable];
    let cache_read = shared_tokens(&memory.cached, cacheable);
    let written: u64 = cacheable.iter().map(|part| part.tokens).sum();
    let said = reply
        .think
        .iter()
        .chain(&reply.say)
        .map(|text| tokens_of(text))
        .sum::<u64>();
    let called: u64 = reply
        .calls
        .iter()
        .map(|call| tokens_of(&call.arguments) + 8)
        .sum();
    Usage {
        input: ask.tokens() - written,
        output: said + called,
        cache_read,
        cache_write: if ask.hour { 0 } else { written - cache_read },
        cache_write_1h: if ask.hour { written - cache_read } else { 0 },
    }
}

fn add(total: &mut Usage, usage: Usage) {
    total.input += usage.input;
    total.output += usage.output;
    total.cache_read += usage.cache_read;
    total.cache_write += usage.cache_write;
    total.cache_write_1h += usage.cache_write_1h;
}
