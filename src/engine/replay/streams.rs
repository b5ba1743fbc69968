//! The live streams of a showing: what agents said while it came in.
//!
//! The log has each reply as a whole, with the times of its request and its end; between the two its text
//! is let come evenly, since when each word came is not recorded. Must not know how time is told.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::domain::chat::Delta;
use crate::domain::event::{Event, Kind, Text};
use crate::domain::replay::come;
use crate::engine::live::Live;
use crate::run::blobs::Blobs;
use crate::run::paths::RunDir;

/// What a request brought.
#[derive(Debug)]
struct Reply {
    at: Timestamp,
    thinking: Text,
    text: Text,
}

/// A reply that is coming in.
#[derive(Debug)]
struct Stream {
    request: u64,
    span: (Timestamp, Timestamp),
    thinking: Vec<char>,
    text: Vec<char>,
    told: usize,
    live: Live,
}

/// All replies of a log, and those that are coming in now, by agent.
#[derive(Debug)]
pub(super) struct Streams {
    replies: BTreeMap<(String, u64), Reply>,
    /// Requests in flight, and since when.
    asked: BTreeMap<String, (u64, Timestamp)>,
    now: BTreeMap<String, Stream>,
    dir: RunDir,
}

impl Streams {
    /// The replies of these events, to be shown in this place.
    pub(super) fn of(events: &[(Event, String)], dir: &RunDir) -> Self {
        let mut replies = BTreeMap::new();
        for (event, _) in events {
            if let Kind::ReplyReceived {
                agent,
                request,
                text,
                thinking,
                ..
            } = &event.body
            {
                let reply = Reply {
                    at: event.at,
                    thinking: thinking.clone(),
                    text: text.clone(),
                };
                replies.insert((agent.clone(), *request), reply);
            }
        }
        Self {
            replies,
            asked: BTreeMap::new(),
            now: BTreeMap::new(),
            dir: dir.clone(),
        }
    }

    /// Whether nothing is coming in.
    pub(super) fn is_empty(&self) -> bool {
        self.now.is_empty()
    }

    /// Time goes back to the beginning.
    pub(super) fn clear(&mut self) {
        self.asked.clear();
        self.now.clear();
    }

    /// A request begins a stream, whatever becomes of it ends it.
    pub(super) fn follow(&mut self, event: &Event) {
        match &event.body {
            Kind::RequestReserved { agent, request, .. } => {
                self.asked.insert(agent.clone(), (*request, event.at));
            }
            Kind::ReplyReceived { agent, .. }
            | Kind::RequestFailed { agent, .. }
            | Kind::AgentDied { agent, .. } => {
                self.asked.remove(agent);
            }
            _ => {}
        }
    }

    /// Tells what has come by now.
    pub(super) fn come(&mut self, now: Timestamp) {
        let asked = &self.asked;
        let flows = |agent: &String, request| asked.get(agent).is_some_and(|it| it.0 == request);
        self.now
            .retain(|agent, stream| flows(agent, stream.request));
        for (agent, (request, since)) in &self.asked {
            let reply = self.replies.get(&(agent.clone(), *request));
            let known = self.now.contains_key(agent);
            if let Some(reply) = reply.filter(|_| !known) {
                let blobs = Blobs::at(self.dir.blobs());
                let whole = |text| blobs.whole(text).unwrap_or_default().chars().collect();
                let stream = Stream {
                    request: *request,
                    span: (*since, reply.at),
                    thinking: whole(&reply.thinking),
                    text: whole(&reply.text),
                    told: 0,
                    live: Live::begin(&self.dir.live(agent), *request),
                };
                self.now.insert(agent.clone(), stream);
            }
        }
        for stream in self.now.values_mut() {
            stream.come(now);
        }
    }
}

impl Stream {
    fn come(&mut self, now: Timestamp) {
        let all = self.thinking.len() + self.text.len();
        let to = come(all, self.span, now);
        let (from, edge) = (self.told, self.thinking.len());
        if to <= from {
            return;
        }
        self.told = to;
        let thought: String = self.thinking[from.min(edge)..to.min(edge)].iter().collect();
        let said = from.saturating_sub(edge)..to.saturating_sub(edge);
        let said: String = self.text[said].iter().collect();
        if !thought.is_empty() {
            self.live.push(&Delta::Thinking(thought));
        }
        if !said.is_empty() {
            self.live.push(&Delta::Text(said));
        }
    }
}
