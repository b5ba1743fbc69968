//! The members of an org as values: servers, models, roles, agents, and what they do together.
//!
//! Owns their shape and the ones that every chart has without saying so. Must not know the task,
//! the protocol, or how a chart is read.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::COMPACT_AT;
use crate::domain::chat::Effort;

/// Which protocol a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wire {
    /// Anthropic Messages.
    Anthropic,
    /// OpenAI Responses.
    Openai,
}

/// A model server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProviderSpec {
    /// Its protocol.
    pub wire: Wire,
    /// As the vendors' SDKs take it: openai with `/v1`, anthropic without.
    pub base_url: String,
    /// Where its key comes from.
    pub key: KeySource,
}

/// Where a key comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeySource {
    /// No key.
    None,
    /// An environment variable.
    Env(String),
    /// A file.
    File(PathBuf),
    /// The output of a command.
    Cmd(String),
}

/// A model the built-in table lacks, or whose price a chart overrides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelSpec {
    /// Whose it is.
    pub provider: String,
    /// Context window in tokens.
    pub context: Option<u64>,
    /// What it costs.
    pub price: Option<Price>,
}

/// US dollars per million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Price {
    /// Prompt tokens.
    pub input: f64,
    /// Reply tokens.
    pub output: f64,
    /// Prompt tokens read from a cache; defaults to `input`.
    pub cache_read: f64,
    /// Prompt tokens written to a cache; defaults to `input`.
    pub cache_write: f64,
}

/// What an agent is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Role {
    /// Its system prompt, a template; none means the built-in one of that name.
    pub prompt: Option<PathBuf>,
    /// Grants: `shell files files:read mail ledger experiment notebook assign review`.
    pub tools: Vec<String>,
    /// Depth of thinking.
    pub effort: Option<Effort>,
    /// Tokens of conversation at which it is compacted.
    pub compact_at: u64,
    /// The model used while its own is out.
    pub fallback: Option<String>,
    /// What happens when a turn ends and no mail waits.
    pub on_idle: OnIdle,
    /// Cap in US dollars for all agents of the role.
    pub usd: Option<f64>,
}

/// What happens when a turn ends and no mail waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnIdle {
    /// Nothing, until mail comes.
    Wait,
    /// A capped nudge with a brief.
    Continue,
}

/// One member of the org.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Agent {
    /// Unique; names its branch, worktree, mailbox and pane.
    pub name: String,
    /// Its role's name.
    pub role: String,
    /// Its model's name.
    pub model: String,
    /// The GPU it is at home on.
    pub gpu: GpuHome,
    /// Whom it reports to.
    pub reports_to: Option<String>,
    /// Cap in US dollars.
    pub usd: Option<f64>,
}

/// The GPU an agent is at home on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum GpuHome {
    /// None: it plans, and may not train.
    None,
    /// One of its own, whichever is free.
    Auto,
    /// This index.
    Index(u32),
    /// This UUID.
    Uuid(String),
}

/// A stand-up, review or the like, as written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Its name.
    pub name: String,
    /// Seconds between two, for timed ones.
    pub every: Option<f64>,
    /// The time of day that starts it, as `09:00`, where the supervisor lives.
    pub at: Option<String>,
    /// The event that starts it, for the others; one of `keys::EVENTS`.
    pub on: Option<String>,
    /// Who is asked, all of them.
    pub from: Option<Party>,
    /// Who gets the answers; who is told, where nobody is asked.
    pub to: Option<Party>,
    /// Who does it: one of them, chosen when it starts.
    pub by: Option<Party>,
    /// Its prompt; none means the built-in one.
    pub prompt: Option<PathBuf>,
    /// Seconds until an answer is due; none means the default of its kind.
    pub within: Option<f64>,
    /// What happens when nobody answers in time; none means the default of its kind.
    pub missed: Option<Missed>,
    /// Claims in a row that ended without a promotion, for `plateau`.
    pub fruitless_claims: Option<u32>,
    /// GPU hours of measured runs without a promotion, for `plateau`.
    pub fruitless_gpu_hours: Option<f64>,
    /// Seconds that somebody has nothing to do, for `idle`.
    pub idle_for: Option<f64>,
}

/// What happens when nobody answers in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missed {
    /// Nothing: it goes on without them.
    Skip,
    /// They are asked again, a few times, and then a person is told.
    Nag,
    /// A person is told.
    Escalate,
}

impl Missed {
    /// The chart's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Nag => "nag",
            Self::Escalate => "escalate",
        }
    }
}

/// Who takes part in a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Party {
    /// The agent or role of that name, or a name of the mail system.
    Name(String),
    /// All of a role, but for whom `not` names.
    Role {
        /// The role.
        role: String,
        /// Who is left out, as `author`.
        not: Option<String>,
    },
}

impl Role {
    /// A role that every chart has, whether it says so or not.
    #[must_use]
    pub fn built_in(name: &str) -> Option<Self> {
        let tools: &[&str] = match name {
            "researcher" => &["shell", "files", "mail", "ledger", "experiment", "notebook"],
            "chief" => &["mail", "files:read", "ledger", "assign", "review"],
            _ => return None,
        };
        Some(Self {
            prompt: None,
            tools: tools.iter().map(|&tool| tool.to_owned()).collect(),
            effort: None,
            compact_at: COMPACT_AT,
            fallback: None,
            on_idle: OnIdle::Wait,
            usd: None,
        })
    }

    /// The names of those roles.
    pub const BUILT_IN: [&'static str; 2] = ["chief", "researcher"];
}

impl ProviderSpec {
    /// A server that every chart has, whether it says so or not.
    #[must_use]
    pub fn built_in(name: &str) -> Option<Self> {
        let (wire, base_url, key) = match name {
            "anthropic" => (
                Wire::Anthropic,
                "https://api.anthropic.com",
                "ANTHROPIC_API_KEY",
            ),
            "openai" => (Wire::Openai, "https://api.openai.com/v1", "OPENAI_API_KEY"),
            _ => return None,
        };
        Some(Self {
            wire,
            base_url: base_url.to_owned(),
            key: KeySource::Env(key.to_owned()),
        })
    }

    /// The names of those servers.
    pub const BUILT_IN: [&'static str; 2] = ["anthropic", "openai"];
}
