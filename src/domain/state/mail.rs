//! What is so about messages: sent once, and taken in by whom.
//!
//! Owns the meaning of the events about mail. Must not know how a message reaches a mailbox.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::State;
use crate::domain::event::{Actor, Event, Kind, Text};
use crate::domain::storm;

/// A message.
#[derive(Debug, Clone, PartialEq)]
pub struct Mail {
    /// Its number.
    pub id: u64,
    /// When it was sent.
    pub at: Timestamp,
    /// Who sent it.
    pub from: String,
    /// To whom.
    pub to: Vec<String>,
    /// In a line.
    pub subject: String,
    /// In full.
    pub body: Text,
    /// Whether it interrupts.
    pub now: bool,
    /// Whether it gives a task.
    pub assignment: bool,
    /// Who has taken it in.
    pub read_by: BTreeSet<String>,
    /// The tool call that sent it.
    pub call: Option<String>,
    /// How many letters of colleagues in a row led to it.
    pub hops: u32,
    /// Whether it says only that another was received: read with the next, it wakes nobody.
    pub aside: bool,
}

/// Something that a person meant as mail and that could not be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undelivered {
    /// When it was found.
    pub at: Timestamp,
    /// For whom it was.
    pub to: String,
    /// Its file's name.
    pub name: String,
    /// Why not.
    pub reason: String,
}

impl State {
    /// Whether a person wants an agent to stop what it is at: by mail that interrupts, or by taking its
    /// desk at once.
    #[must_use]
    pub fn is_stopped_by_a_person(&self, agent: &str) -> bool {
        let Some(agent) = self.agents.get(agent) else {
            return false;
        };
        let now = |id: &u64| self.mails.get(id).is_some_and(|mail| mail.now);
        let taken = agent
            .taken
            .is_some_and(|taken| taken.now && taken.lost.is_none());
        taken || agent.unread.iter().any(now)
    }

    /// Marks the mails that a turn takes in.
    pub(super) fn read_mail(&mut self, event: &Event) {
        if let Kind::TurnStarted { agent, mails, .. } = &event.body {
            for id in mails {
                if let Some(mail) = self.mails.get_mut(id) {
                    mail.read_by.insert(agent.clone());
                }
            }
        }
    }

    pub(super) fn mail_event(&mut self, event: &Event) {
        match &event.body {
            Kind::MailSent {
                id,
                from,
                to,
                subject,
                body,
                now,
                assignment,
                call,
            } => {
                if from == Actor::Human.name() {
                    self.undelivered.retain(|lost| !to.contains(&lost.to));
                }
                let hops = storm::hops(self, from);
                let aside = matches!(event.actor, Actor::Agent(_))
                    && !now
                    && !assignment
                    && storm::is_acknowledgement(subject, body.head());
                // Mail to an agent that has no seat yet waits for it.
                for name in to {
                    if let Actor::Agent(name) = Actor::named(name) {
                        let agent = self.agents.entry(name).or_default();
                        if aside {
                            agent.aside.insert(*id);
                            continue;
                        }
                        agent.unread.insert(*id);
                        agent.done = false;
                    }
                }
                self.mails.insert(
                    *id,
                    Mail {
                        id: *id,
                        at: event.at,
                        from: from.clone(),
                        to: to.clone(),
                        subject: subject.clone(),
                        body: body.clone(),
                        now: *now,
                        assignment: *assignment,
                        read_by: BTreeSet::new(),
                        call: call.clone(),
                        hops,
                        aside,
                    },
                );
            }
            Kind::MailUndelivered { to, name, reason } => self.undelivered.push(Undelivered {
                at: event.at,
                to: to.clone(),
                name: name.clone(),
                reason: reason.clone(),
            }),
            Kind::MailRead { by, ids } => {
                for id in ids {
                    if let Some(mail) = self.mails.get_mut(id) {
                        mail.read_by.insert(by.clone());
                    }
                }
            }
            _ => {}
        }
    }
}
