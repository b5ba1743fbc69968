//! What is so about approvals: what was asked, and what a person said to it.
//!
//! Owns the meaning of the events about them. Must not know what an approval lets through.

use jiff::Timestamp;

use super::State;
use crate::domain::event::{Event, Kind, Matter};

/// Something that a person is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Approval {
    /// Its number.
    pub id: u64,
    /// What it is about.
    pub matter: Matter,
    /// The question, in a sentence.
    pub question: String,
    /// When it was asked.
    pub at: Timestamp,
    /// The answer.
    pub decided: Option<Decided>,
}

/// A person's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    /// Whether it may go on.
    pub approved: bool,
    /// Why; may be empty.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// US dollars that were spent or set aside then.
    pub spent: f64,
}

impl State {
    /// The number the next approval gets.
    #[must_use]
    pub fn next_approval(&self) -> u64 {
        self.approvals.len() as u64 + 1
    }

    pub(super) fn approval_event(&mut self, event: &Event) {
        match &event.body {
            Kind::ApprovalAsked {
                id,
                matter,
                question,
            } => {
                let approval = Approval {
                    id: *id,
                    matter: matter.clone(),
                    question: question.clone(),
                    at: event.at,
                    decided: None,
                };
                self.approvals.insert(*id, approval);
            }
            Kind::ApprovalDecided {
                id,
                approved,
                reason,
            } => {
                let (spent, reserved) = self.usd();
                if let Some(approval) = self.approvals.get_mut(id) {
                    approval.decided = Some(Decided {
                        approved: *approved,
                        reason: reason.clone(),
                        at: event.at,
                        spent: spent + reserved,
                    });
                    self.ask_again = false;
                }
            }
            // Whoever lets an agent go on after a denial wants to be asked anew.
            Kind::AgentRestart { .. } => self.ask_again = true,
            _ => {}
        }
    }
}
