//! What the members of an org do together, as the log has it: processes that fire, and reviews.
//!
//! Owns the shape of these lines. When a process fires is `process`'s; what a review leads to is
//! `protocol`'s.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Text;

/// A process fired: these are asked, or told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fired {
    /// Which.
    pub process: String,
    /// Counts the process's firings from 1.
    pub number: u64,
    /// What it fired for; no process fires twice for the same.
    pub occasion: String,
    /// The claim that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hypothesis: Option<u64>,
    /// The agent that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Who is asked, or told where no answer is awaited.
    pub asked: Vec<String>,
    /// Who would have been asked, and is held, paused or gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<String>,
    /// Who gets the answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
    /// When an answer is due; none means that none is awaited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Timestamp>,
    /// Whether only a review answers it, and its claim waits for that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gate: bool,
}

/// Those who did not answer are asked again, or somebody else is asked in their place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reminded {
    /// Which process.
    pub process: String,
    /// Which of its firings.
    pub number: u64,
    /// Counts the reminders of a firing from 1.
    pub reminder: u32,
    /// Who is asked.
    pub asked: Vec<String>,
    /// When an answer is due.
    pub due: Timestamp,
}

/// A firing is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// Which process.
    pub process: String,
    /// Which of its firings.
    pub number: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// Who did not answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// How a firing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// All answered.
    Answered,
    /// Somebody did not, and it goes on without.
    Missed,
    /// Somebody did not, and a person is told.
    Escalated,
    /// What it was about is settled.
    Moot,
}

/// A decision on somebody else's claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// The claim.
    pub hypothesis: u64,
    /// Whose decision.
    pub by: String,
    /// What was decided.
    pub decision: Decision,
    /// What was checked and what was found; a veto names at least one.
    pub checks: Vec<String>,
    /// The decision in a sentence or two.
    pub reason: Text,
    /// The tool call that gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
}

/// What a reviewer decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// It may be promoted.
    Approve,
    /// It may not.
    Veto,
}

impl Decision {
    /// All words, in order.
    pub const NAMES: [&'static str; 2] = ["approve", "veto"];

    /// The decision that a word names.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "approve" => Some(Self::Approve),
            "veto" => Some(Self::Veto),
            _ => None,
        }
    }
}
