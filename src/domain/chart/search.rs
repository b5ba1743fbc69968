//! What may be turned by whoever asks no model: the knobs of a random search.
//!
//! Owns their shape. Must not know what is drawn, nor how it is tried.

use serde::{Deserialize, Serialize};

/// What agents with the model `random` do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Search {
    /// Claims of each such agent; after them it is done.
    pub draws: u32,
    /// The gain that a draw is registered with, in the metric's unit; the seeds of its confirmation
    /// are planned from it.
    pub predicts: f64,
    /// What is drawn; empty where nobody searches.
    pub knobs: Vec<Knob>,
}

/// One thing that may be turned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Knob {
    /// Its name, for people.
    pub name: String,
    /// The file that has it, relative to the worktree.
    pub file: String,
    /// Regex whose first group is the value; it matches on one line of the file.
    pub pattern: String,
    /// What it may be.
    pub range: Range,
}

/// What a knob may be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Range {
    /// One of these, all equally likely.
    Values(Vec<String>),
    /// A number from `low` to `high`.
    Between {
        /// The least.
        low: f64,
        /// The most.
        high: f64,
        /// Whether each factor is as likely as any other, instead of each difference.
        log: bool,
        /// Whether it is a whole number.
        whole: bool,
    },
}

impl Default for Search {
    fn default() -> Self {
        Self {
            draws: DRAWS,
            predicts: 0.0,
            knobs: Vec::new(),
        }
    }
}

/// Claims of each agent where the chart does not say: some evenings' worth.
pub const DRAWS: u32 = 20;
