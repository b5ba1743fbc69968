//! What is so about one agent: its process, its turn in flight, its conversation, what it spent.
//!
//! Owns the meaning of the events that an agent writes about itself, and of those that others write
//! about its process. Must not know other agents, mail's contents, or the lab.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::acts::{Acts, OpenCall};
use crate::domain::chat::{Stop, Usage};
use crate::domain::event::{Event, Gpu, Kind, Text, Why};
use crate::domain::restart::Tally;

/// A turn in flight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenTurn {
    /// Its number.
    pub turn: u64,
    /// Why it was taken.
    pub why: Why,
    /// The mails it took in.
    pub mails: Vec<u64>,
    /// Whether its user text has been part of a request.
    pub asked: bool,
}

/// The last request that was made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    /// When.
    pub at: Option<Timestamp>,
    /// The model; empty in logs that did not say.
    pub model: String,
    /// Its server, by the chart's name; likewise.
    pub provider: String,
}

/// A person in an agent's worktree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// The event that began it.
    pub seq: u64,
    /// Whether what the agent was at is stopped.
    pub now: bool,
    /// Since when the person's terminal is gone, where it is.
    pub lost: Option<Timestamp>,
}

/// An agent.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AgentState {
    /// Its GPU.
    pub gpu: Option<Gpu>,
    /// Its branch.
    pub branch: String,
    /// Its worktree.
    pub worktree: String,
    /// The process that last took its lock and has not been seen to end.
    pub pid: Option<u32>,
    /// Whether it ended as it was told to.
    pub ended: Option<String>,
    /// Why it is held.
    pub held: Option<String>,
    /// Whether a cap is why.
    pub held_cap: bool,
    /// When it is released without a person.
    pub held_until: Option<Timestamp>,
    /// Since when.
    pub held_at: Option<Timestamp>,
    /// Whether a person paused it.
    pub paused: bool,
    /// And nothing that it started may go on.
    pub frozen: bool,
    /// A person sits in its worktree.
    pub taken: Option<Taken>,
    /// Whether it asked for no more turns until mail.
    pub done: bool,
    /// Turns begun.
    pub turns: u64,
    /// The turn in flight.
    pub turn: Option<OpenTurn>,
    /// Requests made.
    pub requests: u64,
    /// The request in flight: number and reservation, US dollars; nothing where its process died, since
    /// what it cost will never be known then.
    pub request: Option<(u64, f64)>,
    /// The last request, in flight or not.
    pub asked: Asked,
    /// What went wrong with the last request, in one word.
    pub failed: String,
    /// The cap that it was last told is near.
    pub near: String,
    /// What a request that is not made yet waits for.
    pub waits: Option<String>,
    /// What went wrong with the last request, and when it is tried again.
    pub retry: Option<(String, Option<Timestamp>)>,
    /// The model that a person gave it in place of the chart's.
    pub model: Option<String>,
    /// The model that is asked while its own is out, and since when.
    pub stand_in: Option<(String, Timestamp)>,
    /// The conversation.
    pub conversation: u64,
    /// Replies of the conversation.
    pub replies: u32,
    /// Tokens of the conversation at its last reply.
    pub context: u64,
    /// What the conversation begins with, until it has been part of a request: the summary of the
    /// one before, which may be empty.
    pub handover: Option<Text>,
    /// What it did lately.
    pub acts: Acts,
    /// The last call with what it gave, and how often in a row it was made.
    pub repeated: (String, u32),
    /// How many of its wire items the server has counted into `context`.
    pub counted: usize,
    /// Its wire items, by hash.
    pub items: Vec<String>,
    /// Calls of the last reply, until their results are part of a request.
    pub calls: Vec<OpenCall>,
    /// The last reply paused on the server's side and goes on without new text.
    pub pause_turn: bool,
    /// Names of the last reply's calls that were cut short.
    pub truncated: Vec<String>,
    /// Replies in a row that were cut inside a call.
    pub truncations: u32,
    /// Replies in a row that were refusals, and the last one's category.
    pub refusals: (u32, String),
    /// Idle turns in a row.
    pub idle_turns: u32,
    /// Requests in a row that gave nothing usable.
    pub failures: u32,
    /// Tokens so far.
    pub usage: Usage,
    /// US dollars settled.
    pub usd: f64,
    /// US dollars of requests whose cost will never be known.
    pub usd_lost: f64,
    /// Mail not yet taken in.
    pub unread: BTreeSet<u64>,
    /// Mail that wakes nobody, to be taken in with the next.
    pub aside: BTreeSet<u64>,
    /// Its notebook.
    pub notes: Vec<Text>,
    /// The tip of its branch as last saved.
    pub commit: Option<String>,
    /// Its deaths.
    pub deaths: Tally,
    /// When its phase last changed.
    pub since: Option<Timestamp>,
    /// A person asked for a fresh process; cleared when it starts.
    pub restart: bool,
    /// Times it started.
    pub starts: u32,
}

impl AgentState {
    /// Folds an event that changes this agent.
    pub(super) fn apply(&mut self, event: &Event) {
        self.since = Some(event.at);
        match &event.body {
            Kind::AgentSeated {
                gpu,
                branch,
                worktree,
                ..
            } => {
                self.gpu.clone_from(gpu);
                self.branch.clone_from(branch);
                self.worktree.clone_from(worktree);
            }
            Kind::PauseSet { .. } => self.paused = true,
            Kind::FreezeSet { .. } => self.frozen = true,
            Kind::PauseCleared { .. } => self.unpause(),
            Kind::TakeBegan { now, .. } => {
                self.taken = Some(Taken {
                    seq: event.seq,
                    now: *now,
                    lost: None,
                });
            }
            Kind::TakeEnded { commit, .. } => {
                self.taken = None;
                if commit.is_some() {
                    self.commit.clone_from(commit);
                }
            }
            Kind::TakeLost { .. } => {
                if let Some(taken) = &mut self.taken {
                    taken.lost = Some(event.at);
                }
            }
            Kind::BranchSaved { commit, .. } => self.commit = Some(commit.clone()),
            Kind::NoteKept { text, .. } => self.notes.push(text.clone()),
            Kind::AgentDone { .. } => self.done = true,
            _ => self.process_event(event),
        }
        if progresses(&event.body) {
            self.deaths.progress();
        }
    }

    /// What its process did, and what was done to it.
    fn process_event(&mut self, event: &Event) {
        match &event.body {
            Kind::AgentRestart { model, .. } => {
                if let Some(model) = model {
                    self.model = Some(model.clone());
                    self.stand_in = None;
                    self.renew(self.conversation + 1, &Text::from(""), &[]);
                }
                self.repeated = Default::default();
                self.refusals = Default::default();
                self.truncations = 0;
                self.restart = true;
                self.release(event.at);
                self.deaths = Tally::default();
            }
            Kind::AgentStarted { pid, .. } => {
                self.pid = Some(*pid);
                self.waits = None;
                self.lose_request();
                self.ended = None;
                self.restart = false;
                self.starts += 1;
                self.deaths.start();
            }
            Kind::AgentEnded { reason, .. } => {
                self.pid = None;
                self.ended = Some(reason.clone());
            }
            Kind::AgentDied { .. } => {
                self.pid = None;
                self.lose_request();
                self.deaths.death(self.turn.is_some(), event.at);
            }
            Kind::AgentHeld {
                reason, cap, until, ..
            } => {
                self.held = Some(reason.clone());
                self.held_at = Some(event.at);
                self.held_cap = *cap;
                self.held_until = *until;
            }
            Kind::AgentReleased { .. } => self.release(event.at),
            _ => self.turn_event(event),
        }
    }

    /// It is held no more.
    pub(super) fn release(&mut self, now: Timestamp) {
        self.held = None;
        self.held_cap = false;
        self.held_until = None;
        self.held_at = None;
        self.since = Some(now);
    }

    /// Whoever made the request is gone: its outcome will never be known, and it is made again.
    fn lose_request(&mut self) {
        if let Some((_, usd)) = &mut self.request {
            self.usd_lost += *usd;
            *usd = 0.0;
        }
    }

    /// A person lets it go on; one who sits in its worktree is not sent away by that.
    pub(super) fn unpause(&mut self) {
        self.paused = false;
        self.frozen = false;
        self.taken = self.taken.filter(|taken| taken.lost.is_none());
    }

    fn turn_event(&mut self, event: &Event) {
        match &event.body {
            Kind::TurnStarted {
                turn, why, mails, ..
            } => {
                self.turns = *turn;
                self.done = false;
                self.retry = None;
                if *why == Why::Idle {
                    self.idle_turns += 1;
                } else {
                    self.idle_turns = 0;
                    // Something new came in: doing the same about it again is no loop.
                    self.repeated = Default::default();
                }
                for id in mails {
                    self.unread.remove(id);
                    self.aside.remove(id);
                }
                self.turn = Some(OpenTurn {
                    turn: *turn,
                    why: *why,
                    mails: mails.clone(),
                    asked: false,
                });
            }
            Kind::ToolIntent {
                call,
                tool,
                brief,
                pre,
                ..
            } => {
                self.acts.begin(call, tool, brief);
                if let Some(open) = self.calls.iter_mut().find(|open| open.call.id == *call) {
                    open.intent = true;
                    open.pre.clone_from(pre);
                }
            }
            Kind::ToolResult {
                call, ok, output, ..
            } => {
                self.acts.end(call, *ok);
                if let Some(open) = self.calls.iter_mut().find(|open| open.call.id == *call) {
                    open.result = Some((*ok, output.clone()));
                    let arguments = open.call.arguments.head();
                    let use_ = format!("{}\n{arguments}\n{}", open.call.name, output.head());
                    let times = if self.repeated.0 == use_ {
                        self.repeated.1 + 1
                    } else {
                        1
                    };
                    self.repeated = (use_, times);
                }
            }
            Kind::TurnEnded { .. } => {
                self.turn = None;
                self.waits = None;
                self.retry = None;
            }
            Kind::RequestWaits { reason, .. } => self.waits = Some(reason.clone()),
            _ => self.request_event(event),
        }
    }

    fn request_event(&mut self, event: &Event) {
        match &event.body {
            Kind::RequestReserved {
                request,
                conversation,
                items,
                usd,
                model,
                provider,
                near,
                ..
            } => {
                self.lose_request();
                self.waits = None;
                if *conversation != self.conversation {
                    self.conversation = *conversation;
                    self.items.clear();
                    self.counted = 0;
                    self.replies = 0;
                }
                self.items.extend(items.iter().cloned());
                self.handover = None;
                self.requests = *request;
                self.request = Some((*request, *usd));
                self.asked = Asked {
                    at: Some(event.at),
                    model: model.clone(),
                    provider: provider.clone(),
                };
                if !near.is_empty() {
                    self.near.clone_from(near);
                }
                self.retry = None;
                self.calls.clear();
                self.truncated.clear();
                self.pause_turn = false;
                if let Some(turn) = &mut self.turn {
                    turn.asked = true;
                }
            }
            Kind::RequestFailed {
                request,
                error,
                retry_at,
                usd,
                what,
                ..
            } => {
                if self.request.is_some_and(|(open, _)| open == *request) {
                    self.request = None;
                }
                self.usd_lost += usd;
                self.failed.clone_from(what);
                self.failures += 1;
                self.retry = Some((error.clone(), *retry_at));
            }
            Kind::ConversationRenewed {
                conversation,
                summary,
                items,
                stand_in,
                ..
            } => {
                self.renew(*conversation, summary, items);
                let since = self.stand_in.take().map_or(event.at, |(_, since)| since);
                self.stand_in = stand_in.clone().map(|model| (model, since));
            }
            _ => self.reply_event(event),
        }
    }

    /// Begins a conversation without history. What the turn in flight took in is said again.
    fn renew(&mut self, conversation: u64, summary: &Text, items: &[String]) {
        self.conversation = conversation;
        self.items = items.to_vec();
        self.replies = 0;
        self.counted = 0;
        self.calls.clear();
        self.truncated.clear();
        self.pause_turn = false;
        self.retry = None;
        self.context = 0;
        if let Some((_, lost)) = self.request.take() {
            self.usd_lost += lost;
        }
        if let Some(turn) = &mut self.turn {
            turn.asked = false;
        }
        self.handover = (self.turns > 0).then(|| summary.clone());
    }

    fn reply_event(&mut self, event: &Event) {
        let Kind::ReplyReceived {
            request,
            items,
            calls,
            truncated,
            stop,
            usage,
            usd,
            ..
        } = &event.body
        else {
            return;
        };
        self.usage.input += usage.input;
        self.usage.output += usage.output;
        self.usage.cache_read += usage.cache_read;
        self.usage.cache_write += usage.cache_write + usage.cache_write_1h;
        self.usd += usd;
        if self.request.is_none_or(|(open, _)| open != *request) {
            // It was on its way when a new conversation began: paid for, and part of no conversation.
            return;
        }
        self.failures = 0;
        self.replies += 1;
        self.refusals = match stop {
            Stop::Refusal(why) => (self.refusals.0 + 1, why.clone().unwrap_or_default()),
            _ => Default::default(),
        };
        self.truncations = if truncated.is_empty() {
            0
        } else {
            self.truncations + 1
        };
        self.truncated.clone_from(truncated);
        self.request = None;
        self.retry = None;
        self.items.extend(items.iter().cloned());
        self.counted = self.items.len();
        self.calls = calls
            .iter()
            .map(|call| OpenCall::new(call, *request))
            .collect();
        self.pause_turn = *stop == Stop::Pause;
        self.context = usage.input
            + usage.output
            + usage.cache_read
            + usage.cache_write
            + usage.cache_write_1h;
    }
}

/// Whether an event shows that a turn got somewhere, for the rule on deaths.
fn progresses(body: &Kind) -> bool {
    matches!(
        body,
        Kind::ReplyReceived { .. }
            | Kind::ToolResult { .. }
            | Kind::ToolIntent { .. }
            | Kind::RequestFailed { .. }
            | Kind::TurnEnded { .. }
    )
}
