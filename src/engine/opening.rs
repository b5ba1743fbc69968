//! What a turn, and a conversation, begins with.
//!
//! Owns what the model is told at a boundary: the mission, a brief, its own notebook, and the mail
//! that the turn takes in; and the change from one conversation to the next. Owns no sentence.

use crate::domain::chat::Reply;
use crate::domain::event::{Kind, Text, Why};
use crate::domain::state::AgentState;
use crate::run::blobs::Blobs;

use super::agent::{AgentError, Member};
use super::ask::Purpose;

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

    /// Has the conversation summed up, by its vendor's own means where there are some, and begins a new
    /// one from that and the notebook.
    pub(super) async fn compact(&mut self) -> Result<(), AgentError> {
        let purpose = if self.mind.model.vendors && !self.own_summary {
            Purpose::Compaction
        } else {
            Purpose::Summary(self.texts.compact())
        };
        self.request(purpose).await.map(drop)
    }

    /// Writes a summary down together with the conversation that begins from it: between the two, a
    /// crash would lose the turn.
    pub(super) fn compacted(
        &mut self,
        received: Kind,
        purpose: &Purpose,
        reply: &Reply,
        items: Vec<String>,
    ) -> Result<(), AgentError> {
        let vendors = *purpose == Purpose::Compaction;
        if vendors && items.is_empty() {
            // The vendor could not; in its own words it can.
            self.own_summary = true;
            return self.append(vec![received]);
        }
        let (summary, items) = if vendors {
            ("", items)
        } else {
            (reply.text.as_str(), Vec::new())
        };
        let mine = self.mine();
        let stand_in = mine.stand_in.map(|(model, _)| model);
        let renewed = self.renewal("it had grown too long", summary, items, stand_in)?;
        self.history.clear();
        self.append(vec![received, renewed])
    }

    /// Begins a new conversation with the same model.
    pub(super) fn renew(&mut self, why: &str, summary: &str) -> Result<(), AgentError> {
        let stand_in = self.mine().stand_in.map(|(model, _)| model);
        let renewed = self.renewal(why, summary, Vec::new(), stand_in)?;
        self.history.clear();
        self.append(vec![renewed])
    }

    /// Goes on with a stand-in, or with its own model again where none is named: with a new
    /// conversation, since what one model thought is nothing to another.
    pub(super) fn switch(&mut self, model: Option<String>) -> Result<(), AgentError> {
        let why = match &model {
            Some(model) => format!("{} is out, {model} stands in", self.mind.head.model),
            None => format!("{} has stood in long enough", self.mind.head.model),
        };
        let renewed = self.renewal(&why, "", Vec::new(), model)?;
        self.history.clear();
        self.append(vec![renewed])
    }

    fn renewal(
        &self,
        why: &str,
        summary: &str,
        items: Vec<String>,
        stand_in: Option<String>,
    ) -> Result<Kind, AgentError> {
        let blobs = self.log().blobs();
        let summary = blobs.text(summary);
        Ok(Kind::ConversationRenewed {
            agent: self.name.clone(),
            conversation: self.mine().conversation.max(1) + 1,
            why: why.to_owned(),
            summary: summary.map_err(AgentError::io("keep a summary"))?,
            items,
            stand_in,
        })
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
