//! The next step of an agent that asks no model.
//!
//! Owns the writing down of what `domain::search` says, in the shape of a request and its reply, so
//! that everything after it (calls, results, the pane, recovery) is as for anybody. Nothing is sent,
//! and nothing is spent. Must not know what is drawn.

use crate::domain::chat::{Stop, Usage};
use crate::domain::event::{Kind, LoggedCall, Text};
use crate::domain::search::{self, Move};

use super::agent::{AgentError, Member};

impl Member {
    /// Whether this agent asks no model.
    pub(super) fn asks_nobody(&self) -> bool {
        search::plays(&self.chart, &self.mind.head.model)
    }

    /// Makes the move that follows from what is so. Only this agent changes what its moves are made
    /// of, but for the end of its claims, which its next turn looks at anew.
    pub(super) fn draw(&mut self) -> Result<(), AgentError> {
        let mine = self.mine();
        let Move { say, calls } = search::next(&self.chart, self.log().state(), &self.name);
        let request = mine.requests + 1;
        let blobs = self.log().blobs();
        let keep = |text: &str| blobs.text(text).map_err(AgentError::io("keep a text"));
        let mut logged = Vec::new();
        for (index, (tool, arguments)) in calls.iter().enumerate() {
            logged.push(LoggedCall {
                id: format!("draw-{request}-{index}"),
                name: (*tool).to_owned(),
                arguments: keep(&arguments.to_string())?,
            });
        }
        let stop = if logged.is_empty() {
            Stop::EndTurn
        } else {
            Stop::ToolUse
        };
        self.append(vec![
            Kind::RequestReserved {
                agent: self.name.clone(),
                request,
                conversation: mine.conversation.max(1),
                items: Vec::new(),
                usd: 0.0,
                model: self.mind.head.model.clone(),
                provider: self.mind.model.provider.clone(),
                near: String::new(),
            },
            Kind::ReplyReceived {
                agent: self.name.clone(),
                request,
                items: Vec::new(),
                text: keep(&say)?,
                thinking: Text::from(""),
                calls: logged,
                truncated: Vec::new(),
                stop,
                usage: Usage::default(),
                usd: 0.0,
            },
        ])
    }
}
