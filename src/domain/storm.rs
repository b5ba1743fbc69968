//! What keeps letters from becoming a storm: how far an exchange may go without anything new, how many
//! letters one may have waiting at another, and which letters wake nobody.
//!
//! Owns the limits and the plain words of a refusal; asked with the fold, under the lock. Must not know
//! how a letter is sent.

use jiff::SignedDuration;

use super::event::{Actor, Why};
use super::state::State;

/// Letters in a row that may answer each other without a word from the lab, a process or a person:
/// enough for a question, its answer and two more of each; what goes on longer is an echo.
pub const HOPS_MAX: u32 = 8;
/// Letters of one agent that may wait unread at another: a reader who is busy is not helped by more.
pub const WAITING_MAX: usize = 8;
/// Letters from one to another within [`RATE_SPAN_S`]: two a minute are a conversation, not work.
pub const RATE_MAX: usize = 20;
/// The span of that rate, seconds.
pub const RATE_SPAN_S: i64 = 600;
/// Longest letter, in words, that may be nothing but an acknowledgement.
const ACK_WORDS: usize = 10;
/// The words of acknowledgements. No answer to a question is among them: `yes` and `done` are news.
const ACKS: [&str; 40] = [
    "ok",
    "okay",
    "k",
    "thanks",
    "thank",
    "thx",
    "you",
    "got",
    "it",
    "ack",
    "acked",
    "acknowledged",
    "acknowledge",
    "understood",
    "noted",
    "roger",
    "received",
    "will",
    "do",
    "sounds",
    "good",
    "great",
    "perfect",
    "nice",
    "cool",
    "copy",
    "that",
    "this",
    "your",
    "mail",
    "message",
    "letter",
    "re",
    "for",
    "the",
    "update",
    "info",
    "much",
    "very",
    "cheers",
];

/// Why a letter is not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The exchange goes in circles.
    #[error(
        "not sent: this exchange has gone through {0} letters without anything new from the lab or the \
         human; act on what you know, or end your turn"
    )]
    Echo(u32),
    /// The reader has not come to read.
    #[error(
        "not sent: {to} has {waiting} letters from you that it has not read yet; say it in one, when \
         something has changed"
    )]
    Waiting {
        /// Who.
        to: String,
        /// How many.
        waiting: usize,
    },
    /// There were too many lately.
    #[error(
        "not sent: you have written {count} letters to {to} within {} minutes; write when something has \
         changed", RATE_SPAN_S / 60
    )]
    Flood {
        /// To whom.
        to: String,
        /// How many.
        count: usize,
    },
}

/// Whether an agent may write these a letter now.
///
/// # Errors
/// [`Refused`], in words for the sender.
pub fn may_send(state: &State, from: &str, to: &[String]) -> Result<(), Refused> {
    let hops = hops(state, from);
    let colleagues = to
        .iter()
        .any(|name| matches!(Actor::named(name), Actor::Agent(_)));
    if colleagues && hops > HOPS_MAX {
        return Err(Refused::Echo(hops));
    }
    for name in to {
        let mine = state.mails.values().rev().take_while(|mail| {
            state.at.is_none_or(|now| {
                now.duration_since(mail.at) < SignedDuration::from_secs(RATE_SPAN_S)
            })
        });
        let count = mine
            .filter(|mail| mail.from == from && mail.to.contains(name))
            .count();
        if count >= RATE_MAX {
            let to = name.clone();
            return Err(Refused::Flood { to, count });
        }
        let unread = state.agents.get(name).into_iter().flat_map(|it| &it.unread);
        let unread = unread.filter_map(|id| state.mails.get(id));
        let waiting = unread.filter(|mail| mail.from == from).count();
        if waiting >= WAITING_MAX {
            let to = name.clone();
            return Err(Refused::Waiting { to, waiting });
        }
    }
    Ok(())
}

/// How many letters in a row led to what an agent writes now: 0 where its turn began with anything
/// else than letters of colleagues.
#[must_use]
pub fn hops(state: &State, from: &str) -> u32 {
    let turn = state.agents.get(from).and_then(|agent| agent.turn.as_ref());
    let Some(turn) = turn.filter(|turn| turn.why == Why::Mail) else {
        return 0;
    };
    let mails = turn.mails.iter().filter_map(|id| state.mails.get(id));
    let mut most = 0;
    for mail in mails {
        match Actor::named(&mail.from) {
            Actor::Agent(_) if mail.aside => {}
            Actor::Agent(_) => most = most.max(mail.hops + 1),
            // Something new has come in.
            _ => return 0,
        }
    }
    most
}

/// Whether a letter says nothing but that another one was received: it is read with the next, and
/// wakes nobody.
#[must_use]
pub fn is_acknowledgement(subject: &str, body: &str) -> bool {
    let words = |text: &str| {
        let lower = text.to_lowercase();
        let words = lower.split(|c: char| !c.is_alphanumeric());
        let words: Vec<String> = words
            .filter(|it| !it.is_empty())
            .map(str::to_owned)
            .collect();
        words
    };
    // An id in the subject says what is acknowledged.
    let id = |word: &str| {
        word.len() > 1
            && word.starts_with(['m', 'h', 'e'])
            && word[1..].bytes().all(|b| b.is_ascii_digit())
    };
    let plain = |word: &String| ACKS.contains(&word.as_str()) || id(word);
    let (subject, body) = (words(subject), words(body));
    !body.is_empty()
        && body.len() <= ACK_WORDS
        && body.iter().all(plain)
        && subject.len() <= ACK_WORDS
        && (subject.iter().all(plain) || subject.first().is_some_and(|word| word == "re"))
}

#[cfg(test)]
mod tests {
    use super::is_acknowledgement;

    #[test]
    fn an_acknowledgement_says_nothing_else() {
        for (subject, body) in [
            ("ok", "Thanks!"),
            ("re: m12", "Got it, thank you."),
            ("Re: your plan for h3", "Understood, will do."),
            ("noted", "OK."),
        ] {
            assert!(is_acknowledgement(subject, body), "{subject}: {body}");
        }
        for (subject, body) in [
            ("re: m12", "Yes."),
            ("h3", "Thanks. The loss of e7 is NaN."),
            ("is it good?", "ok"),
            ("m13", "done"),
            ("ok", ""),
        ] {
            assert!(!is_acknowledgement(subject, body), "{subject}: {body}");
        }
    }
}
