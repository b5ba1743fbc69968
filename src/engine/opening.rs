//! What a turn, and a conversation, begins with.
//!
//! Owns what the model is told at a boundary: the mission, a brief, its own notebook, and the mail
//! that the turn takes in; and the change from one conversation to the next. Owns no sentence.

use crate::domain::event::{Kind, Text, Why};
use crate::domain::state::AgentState;
use crate::run::blobs::Blobs;

use super::agent::{AgentError, Member};

/// Most bytes of notebook and summary that a new conversation begins with; the newest are kept.
const NOTEBOOK: usize = 24_000;

impl Member {
    /// The user text of the turn in flight.
    pub(super) fn opening(&self) -> Result<String, AgentError> {
        let log = self.log();
        let (state, blobs) = (log.state(), log.blobs());
        let Some(turn) = state
            .agents
            .get(&self.name)
            .and_then(|agent| agent.turn.clone())
        else {
            return Ok(String::new());
        };
        let mut parts = Vec::new();
        let mine = state.agents.get(&self.name);
        if let Some((mine, summary)) = mine.and_then(|it| Some((it, it.handover.as_ref()?))) {
            let notebook = notebook(&blobs, mine, summary)?;
            parts.push(
                self.texts
                    .handover(&self.chart, state, &self.name, &notebook),
            );
        }
        match turn.why {
            Why::First if parts.is_empty() => {
                parts.push(self.texts.first_turn(&self.chart, state, &self.name));
            }
            Why::First => {}
            Why::Idle => parts.push(self.texts.nudge(&self.chart, state, &self.name)),
            Why::Mail => {}
        }
        for mail in turn.mails.iter().filter_map(|id| state.mails.get(id)) {
            let body = blobs
                .whole(&mail.body)
                .map_err(AgentError::io("read a mail"))?;
            parts.push(self.texts.mail(mail, &body, &self.name));
        }
        Ok(parts.join("\n\n"))
    }

    /// Has the model sum the conversation up, and begins a new one from that and the notebook.
    pub(super) async fn compact(&mut self) -> Result<(), AgentError> {
        let ask = self.texts.compact();
        match self.request(Some(&ask)).await? {
            Some(reply) => self.renew("it had grown too long", &reply.text),
            None => Ok(()),
        }
    }

    /// Begins a new conversation.
    pub(super) fn renew(&mut self, why: &str, summary: &str) -> Result<(), AgentError> {
        let blobs = self.log().blobs();
        let summary = blobs
            .text(summary)
            .map_err(AgentError::io("keep a summary"))?;
        let conversation = self.mine().conversation.max(1) + 1;
        self.history.clear();
        self.append(vec![Kind::ConversationRenewed {
            agent: self.name.clone(),
            conversation,
            why: why.to_owned(),
            summary,
        }])
    }
}

/// An agent's notebook with the summary of its last conversation, the newest of it.
fn notebook(blobs: &Blobs, agent: &AgentState, summary: &Text) -> Result<String, AgentError> {
    let mut all = Vec::new();
    for note in agent.notes.iter().chain([summary]) {
        all.push(blobs.whole(note).map_err(AgentError::io("read a note"))?);
    }
    let text = all.join("\n");
    let mut from = text.len().saturating_sub(NOTEBOOK);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let text = text[from..].trim();
    Ok(if text.is_empty() {
        "(empty)".to_owned()
    } else {
        text.to_owned()
    })
}
