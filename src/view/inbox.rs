//! A mailbox: `org inbox`.
//!
//! Owns its shape. Bodies are handed in whole, since long ones lie outside the log. Must not know
//! where.

use std::io;

use jiff::Timestamp;
use serde::Serialize;

use super::figure;
use super::paint::{Paint, Tint};
use crate::domain::event::Text;
use crate::domain::state::State;

/// One message, as `org inbox --json` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// `m12`.
    pub id: String,
    /// When it was sent.
    pub at: Timestamp,
    /// Who sent it.
    pub from: String,
    /// To whom.
    pub to: Vec<String>,
    /// In a line.
    pub subject: String,
    /// In full.
    pub body: String,
    /// `new` or `read`.
    pub state: &'static str,
}

/// Everything that was sent to somebody, oldest first.
///
/// # Errors
/// Where a body cannot be had.
pub fn of(
    state: &State,
    who: &str,
    mut whole: impl FnMut(&Text) -> io::Result<String>,
) -> io::Result<Vec<Message>> {
    let theirs = |mail: &&crate::domain::state::Mail| mail.to.iter().any(|name| name == who);
    state
        .mails
        .values()
        .filter(theirs)
        .map(|mail| {
            let read = mail.read_by.contains(who);
            Ok(Message {
                id: format!("m{}", mail.id),
                at: mail.at,
                from: mail.from.clone(),
                to: mail.to.clone(),
                subject: mail.subject.clone(),
                body: whole(&mail.body)?,
                state: if read { "read" } else { "new" },
            })
        })
        .collect()
}

/// The messages for people: a header line and the body, indented.
#[must_use]
pub fn text(messages: &[Message], now: Timestamp, paint: Paint) -> String {
    let mut out = String::new();
    for message in messages {
        let mark = if message.state == "new" { "new" } else { "" };
        let head = format!(
            "{} {} → {}, {} ago: {}",
            message.id,
            message.from,
            message.to.join(", "),
            figure::ago(message.at, now),
            figure::one_line(&message.subject),
        );
        out.push_str(&paint.tint(Tint::Bold, &head));
        if !mark.is_empty() {
            out.push(' ');
            out.push_str(&paint.tint(Tint::Notable, "(new)"));
        }
        out.push('\n');
        for line in figure::harmless(&message.body).trim_end().lines() {
            out.push_str("    ");
            out.push_str(line);
            out.push('\n');
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;

    #[test]
    fn shows_what_was_sent_to_somebody_and_whether_it_was_read() {
        let (_, state) = sample::run();
        let whole = |text: &Text| Ok(text.head().to_owned());
        let human = of(&state, "human", whole).expect("bodies");
        assert_eq!(human.len(), 1);
        assert_eq!((human[0].id.as_str(), human[0].state), ("m1", "new"));
        let ana = of(&state, "ana", whole).expect("bodies");
        assert_eq!(ana.iter().map(|m| m.state).collect::<Vec<_>>(), ["read"]);
        let keys = sample::keys(&human[0]);
        assert_eq!(keys, ["at", "body", "from", "id", "state", "subject", "to"]);
    }
}
