//! Where a number comes from: the only way by which one gets into a report.
//!
//! Owns the entries that can be cited and the proof that they exist. A [`Cited`] can only be made of an
//! [`EntryId`], and that only of an entry that is there; what does not resolve fails the report. Must
//! not know how a report is laid out.

use super::document::{Inline, Line};
use crate::domain::state::State;
use crate::view::figure;

/// A number, or a page, that rests on nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// There is no such entry.
    #[error("the report cites {0}, which is not in the log")]
    NoEntry(String),
    /// The entry is there, and the report does not show it.
    #[error("the report cites {0} and does not show it")]
    NotShown(String),
    /// A number stands in our own words, where nothing says what it comes from.
    #[error("the report has a number that cites nothing: {0:?}")]
    Uncited(&'static str),
}

/// An entry that exists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryId(Entry);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Entry {
    Claim(u64),
    Run(u64),
    AllRuns,
    AllClaims,
    Agent(String),
    Agents,
    Event(u64),
    Means,
    Mail,
    Headline,
    Chart,
    Log,
}

impl EntryId {
    /// The name of its place in the page.
    #[must_use]
    pub fn anchor(&self) -> String {
        match &self.0 {
            Entry::Claim(id) => format!("h{id}"),
            Entry::Run(id) => format!("e{id}"),
            Entry::AllRuns => "runs".to_owned(),
            Entry::AllClaims => "claims".to_owned(),
            Entry::Agent(name) => format!("agent-{name}"),
            Entry::Agents => "people".to_owned(),
            Entry::Event(seq) => format!("event-{seq}"),
            Entry::Means => "means".to_owned(),
            Entry::Mail => "mail".to_owned(),
            Entry::Headline => "headline".to_owned(),
            Entry::Chart => "chart".to_owned(),
            Entry::Log => "log".to_owned(),
        }
    }

    /// A number, or a word that stands for one, that comes from here.
    #[must_use]
    pub fn number(&self, text: impl Into<String>) -> Cited {
        Cited {
            text: text.into(),
            of: self.clone(),
        }
    }

    /// The same in a cell of its own; a dash where nothing is known.
    #[must_use]
    pub fn maybe(&self, text: Option<String>) -> Line {
        match text {
            Some(text) => vec![Inline::Number(self.number(text))],
            None => vec![Inline::Words("-")],
        }
    }

    /// How many there are, of one or of several.
    #[must_use]
    pub fn count(&self, n: usize, one: &'static str, several: &'static str) -> Line {
        let words = if n == 1 { one } else { several };
        vec![
            Inline::Number(self.number(n.to_string())),
            Inline::Words(words),
        ]
    }

    /// What somebody wrote there: it is shown as theirs, whatever it is.
    #[must_use]
    pub fn quote(&self, text: &str) -> Quote {
        Quote {
            text: figure::one_line(text),
            of: self.clone(),
        }
    }
}

/// A number with the entry that it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cited {
    text: String,
    of: EntryId,
}

impl Cited {
    /// As it is read.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it comes from.
    #[must_use]
    pub fn of(&self) -> &EntryId {
        &self.of
    }
}

/// Somebody's words, on one line, with the entry that has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    text: String,
    of: EntryId,
}

impl Quote {
    /// The words.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whose entry has them.
    #[must_use]
    pub fn of(&self) -> &EntryId {
        &self.of
    }
}

/// All that can be cited of one run of an org.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    state: &'a State,
    agents: &'a [String],
}

impl<'a> Sources<'a> {
    /// Of this fold, and of the agents of its chart.
    #[must_use]
    pub fn new(state: &'a State, agents: &'a [String]) -> Self {
        Self { state, agents }
    }

    /// A claim.
    ///
    /// # Errors
    /// [`Unresolved::NoEntry`] where there is none of this number.
    pub fn claim(&self, id: u64) -> Result<EntryId, Unresolved> {
        let there = self.state.hypotheses.contains_key(&id);
        known(there, EntryId(Entry::Claim(id)))
    }

    /// A measured run.
    ///
    /// # Errors
    /// [`Unresolved::NoEntry`] where there is none of this number.
    pub fn run(&self, id: u64) -> Result<EntryId, Unresolved> {
        let there = self.state.experiments.contains_key(&id);
        known(there, EntryId(Entry::Run(id)))
    }

    /// An agent.
    ///
    /// # Errors
    /// [`Unresolved::NoEntry`] where nobody is called so.
    pub fn agent(&self, name: &str) -> Result<EntryId, Unresolved> {
        let there = self.agents.iter().any(|agent| agent == name);
        known(there, EntryId(Entry::Agent(name.to_owned())))
    }

    /// Whoever is named: an agent, or the log where it is somebody else.
    #[must_use]
    pub fn whoever(&self, name: &str) -> EntryId {
        self.agent(name).unwrap_or_else(|_| self.log())
    }

    /// An event of the log.
    ///
    /// # Errors
    /// [`Unresolved::NoEntry`] where the log is shorter.
    pub fn event(&self, seq: u64) -> Result<EntryId, Unresolved> {
        let there = seq >= 1 && seq <= self.state.seq;
        known(there, EntryId(Entry::Event(seq)))
    }

    /// The end's re-measurement.
    ///
    /// # Errors
    /// [`Unresolved::NoEntry`] where it was not made.
    pub fn headline(&self) -> Result<EntryId, Unresolved> {
        known(self.state.headline.is_some(), EntryId(Entry::Headline))
    }

    /// Sums and counts over all measured runs, each of which is listed.
    #[must_use]
    pub fn runs(&self) -> EntryId {
        EntryId(Entry::AllRuns)
    }

    /// Counts over all claims, each of which is listed.
    #[must_use]
    pub fn claims(&self) -> EntryId {
        EntryId(Entry::AllClaims)
    }

    /// Sums over all agents, each of which is listed.
    #[must_use]
    pub fn agents(&self) -> EntryId {
        EntryId(Entry::Agents)
    }

    /// What was spent, item by item.
    #[must_use]
    pub fn means(&self) -> EntryId {
        EntryId(Entry::Means)
    }

    /// Counts of messages, pair by pair.
    #[must_use]
    pub fn mail(&self) -> EntryId {
        EntryId(Entry::Mail)
    }

    /// What was asked for.
    #[must_use]
    pub fn chart(&self) -> EntryId {
        EntryId(Entry::Chart)
    }

    /// The log as a whole: when it began and ended, and its chain.
    #[must_use]
    pub fn log(&self) -> EntryId {
        EntryId(Entry::Log)
    }
}

fn known(there: bool, id: EntryId) -> Result<EntryId, Unresolved> {
    if there {
        Ok(id)
    } else {
        Err(Unresolved::NoEntry(id.anchor()))
    }
}
