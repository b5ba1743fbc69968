//! What can happen in a run: the vocabulary of the log.
//!
//! Owns the shape of every event and who may write it. An event is a fact that was observed or a wish
//! that somebody uttered; nothing here computes. Kinds are only ever added: a reader of format 1 must
//! understand every line that format 1 ever wrote. Must not know files, locks, or what follows from
//! an event (that is `state`'s).

mod actor;
mod kind;
mod parts;
mod rights;
mod society;
mod words;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use actor::Actor;
pub use kind::Kind;
pub use parts::{Gpu, Headline, LoggedCall, Matter, Measured};
pub use society::{Closed, Decision, Fired, Outcome, Reminded, Review};
pub use words::{Arm, By, Class, RunStatus, Stage, Status, Why};

/// The format of the log that this program writes.
pub const FORMAT: u32 = 1;
/// Longest text, in bytes, that stands in an event; longer text is a blob plus this much of it.
pub const INLINE_TEXT: usize = 4096;

/// Text in an event: whole where it is short, else its beginning and the blob that holds all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Text {
    /// All of it.
    Whole(String),
    /// Its first [`INLINE_TEXT`] bytes, on a character boundary, and where the rest is.
    Long {
        /// The beginning.
        head: String,
        /// SHA-256 of all of it, in hexadecimal: the blob's name.
        blob: String,
        /// Its length.
        bytes: u64,
    },
}

impl Text {
    /// The text as far as it stands in the event.
    #[must_use]
    pub fn head(&self) -> &str {
        match self {
            Self::Whole(text) => text,
            Self::Long { head, .. } => head,
        }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::Whole(text.to_owned())
    }
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Place in the total order, dense from 1.
    pub seq: u64,
    /// When it was appended, UTC.
    pub at: Timestamp,
    /// Who wrote it.
    pub actor: Actor,
    /// The event that it answers, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<u64>,
    /// What happened.
    #[serde(flatten)]
    pub body: Kind,
}
