//! Who may write events, by name.
//!
//! Owns the names that mail and log show; what each may write is in `rights`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Who did or said something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Actor {
    /// A person, at a pane or a command line.
    Human,
    /// The supervising process.
    Supervisor,
    /// The part of the supervisor that runs and judges experiments.
    Lab,
    /// The org itself: its processes, as the chart has them.
    Org,
    /// An agent, by name.
    Agent(String),
}

impl Actor {
    /// The name that mail and log show.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Human => "human",
            Self::Supervisor => "supervisor",
            Self::Lab => "lab",
            Self::Org => "org",
            Self::Agent(name) => name,
        }
    }

    /// The actor of that name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        match name {
            "human" => Self::Human,
            "supervisor" => Self::Supervisor,
            "lab" => Self::Lab,
            "org" => Self::Org,
            other => Self::Agent(other.to_owned()),
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Actor {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Actor {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::named(&String::deserialize(deserializer)?))
    }
}
