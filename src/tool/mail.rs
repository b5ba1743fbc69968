//! Writing to colleagues, and giving them work.
//!
//! A message is sent by its event and not before; its file in the mailbox is a view that a repeat
//! delivers again. Bodies are kept as they were written: what makes them harmless is done where they
//! are shown to somebody. Who may write to whom is `domain::mail`'s.

use serde_json::Value;

use crate::domain::event::{Actor, Class, Kind, Text};
use crate::domain::mail::{self, BODY_LIMIT, SUBJECT_LIMIT};
use crate::domain::state::{Mail, State, moved};
use crate::domain::storm;
use crate::domain::texts::Key;
use crate::run::maildir::{Maildir, Posting};

use super::arguments::{Argument, Shape};
use super::{Acting, Desk, Outcome, Tool, broken, clip, one_line};

/// Longest name of an addressee.
const NAME_BYTES: usize = 200;
/// Longest subject as it comes in; it is cut to [`SUBJECT_LIMIT`] characters.
const SUBJECT_BYTES: usize = 2000;

/// The tool `send`.
#[derive(Debug)]
pub(super) struct Send;

impl Tool for Send {
    fn name(&self) -> &'static str {
        "send"
    }

    fn arguments(&self) -> &'static [Argument] {
        const {
            &[
                Argument::needed("to", Shape::Text(NAME_BYTES)),
                Argument::needed("subject", Shape::Text(SUBJECT_BYTES)),
                Argument::needed("body", Shape::Text(BODY_LIMIT)),
            ]
        }
    }

    fn class(&self) -> Class {
        Class::Keyed
    }

    fn brief(&self, args: &Value) -> String {
        let text = |name: &str| args[name].as_str().unwrap_or("").to_owned();
        one_line(&format!("to {}: {}", text("to"), text("subject")))
    }

    fn run<'a>(&'a self, desk: &'a Desk, call: &'a str, args: &'a Value) -> Acting<'a> {
        // Nothing here waits, so it happens wholly or not at all.
        Box::pin(async move {
            let args = match desk.arguments(self, args) {
                Ok(args) => args,
                Err(outcome) => return outcome,
            };
            let to = args.needed("to").trim();
            let asked =
                match desk.look(|state| state.society.awaiting(&desk.agent).next().is_some()) {
                    Ok(asked) => asked,
                    Err(error) => return broken(&error),
                };
            match mail::recipients(&desk.chart, &desk.agent, to, asked) {
                Ok(to) => Letter {
                    to,
                    subject: clip(args.needed("subject"), SUBJECT_LIMIT),
                    body: args.needed("body").to_owned(),
                    assignment: false,
                }
                .send(desk, call),
                Err(refused) => Outcome::failed(refused.to_string()),
            }
        })
    }
}

/// The tool `assign`.
#[derive(Debug)]
pub(super) struct Assign;

impl Tool for Assign {
    fn name(&self) -> &'static str {
        "assign"
    }

    fn arguments(&self) -> &'static [Argument] {
        const {
            &[
                Argument::needed("to", Shape::Text(NAME_BYTES)),
                Argument::needed("task", Shape::Text(BODY_LIMIT)),
            ]
        }
    }

    fn class(&self) -> Class {
        Class::Keyed
    }

    fn brief(&self, args: &Value) -> String {
        let text = |name: &str| args[name].as_str().unwrap_or("").to_owned();
        one_line(&format!("to {}: {}", text("to"), text("task")))
    }

    fn run<'a>(&'a self, desk: &'a Desk, call: &'a str, args: &'a Value) -> Acting<'a> {
        Box::pin(async move {
            let args = match desk.arguments(self, args) {
                Ok(args) => args,
                Err(outcome) => return outcome,
            };
            let (to, task) = (args.needed("to").trim(), args.needed("task"));
            let reports = |name: &str| {
                let agent = desk.chart.agent(name);
                agent.is_some_and(|it| it.reports_to.as_deref() == Some(&*desk.agent))
            };
            if !reports(to) {
                let may: Vec<String> = desk
                    .chart
                    .agents
                    .iter()
                    .filter(|agent| reports(&agent.name))
                    .map(|agent| agent.name.clone())
                    .collect();
                let refused = mail::Refused {
                    from: desk.agent.clone(),
                    to: one_line(to),
                    may,
                };
                return Outcome::failed(refused.to_string());
            }
            let first = task.lines().find(|line| !line.trim().is_empty());
            let values = [("task", task), ("from", desk.agent.as_str())];
            Letter {
                to: vec![to.to_owned()],
                subject: clip(first.unwrap_or(""), SUBJECT_LIMIT),
                body: desk.texts.get(Key::Assignment).render(&values),
                assignment: true,
            }
            .send(desk, call)
        })
    }
}

struct Letter {
    to: Vec<String>,
    subject: String,
    body: String,
    assignment: bool,
}

impl Letter {
    /// Appends the message, once for each call, and delivers it.
    fn send(&self, desk: &Desk, call: &str) -> Outcome {
        let body = match desk.text(&self.body) {
            Ok(body) => body,
            Err(error) => return broken(&error),
        };
        let sent = desk.transact(|state| {
            if let Some(mail) = earlier(state, &desk.agent, call) {
                return Ok((Vec::new(), mail.id));
            }
            self.may_go(desk, state)?;
            let id = state.next_mail();
            Ok::<_, String>((vec![self.event(desk, id, body, call)], id))
        });
        let id = match sent {
            Ok(Ok(id)) => id,
            Ok(Err(why)) => return Outcome::failed(why),
            Err(error) => return broken(&error),
        };
        self.deliver(desk, id);
        Outcome::done(format!("sent m{id}"))
    }

    /// Whether it may be sent now; else why not.
    fn may_go(&self, desk: &Desk, state: &State) -> Result<(), String> {
        if self.assignment {
            self.is_new(desk, state)?;
        }
        let sent = storm::may_send(state, &desk.agent, &self.to);
        sent.map_err(|refused| refused.to_string())
    }

    /// Whether nobody has this task yet, or it is moved from somebody.
    fn is_new(&self, desk: &Desk, state: &State) -> Result<(), String> {
        if let Some(id) = moved(&self.subject) {
            let task = state.assignments.get(&id).filter(|task| task.is_open());
            return match task {
                Some(task) if task.from == desk.agent => Ok(()),
                Some(task) => Err(format!(
                    "not sent: {} gave m{id}, and may move it",
                    task.from
                )),
                None => Err(format!(
                    "not sent: m{id} is no open task; say the task itself"
                )),
            };
        }
        let Some(task) = state.same_task(&self.subject, &self.body) else {
            return Ok(());
        };
        let (id, owner, giver) = (task.id, &task.to, &task.from);
        Err(format!(
            "not sent: {owner} has this task already, as m{id} from {giver}; to move it, begin the task \
             with m{id}"
        ))
    }

    fn event(&self, desk: &Desk, id: u64, body: Text, call: &str) -> Kind {
        Kind::MailSent {
            id,
            from: desk.agent.clone(),
            to: self.to.clone(),
            subject: self.subject.clone(),
            body,
            now: false,
            assignment: self.assignment,
            call: Some(call.to_owned()),
        }
    }

    /// A mailbox that cannot be written costs nothing: it is a view, rebuilt from the log.
    fn deliver(&self, desk: &Desk, id: u64) {
        let Ok(Some(mail)) = desk.look(|state| state.mails.get(&id).cloned()) else {
            return;
        };
        let mut posting = Posting::new(&mail, &self.body);
        for name in mail.to.iter().filter(|name| *name != Actor::Org.name()) {
            let mailbox = Maildir::at(desk.dir.mailbox(name));
            let delivered = mailbox.create().and_then(|()| posting.deliver(&mailbox));
            if let Err(error) = delivered {
                tracing::warn!(mail = id, to = name, %error, "the mailbox was not written");
            }
        }
    }
}

/// The message that a call has sent already.
fn earlier<'s>(state: &'s State, agent: &str, call: &str) -> Option<&'s Mail> {
    let ours = |mail: &&Mail| mail.from == agent && mail.call.as_deref() == Some(call);
    state.mails.values().rev().find(ours)
}
