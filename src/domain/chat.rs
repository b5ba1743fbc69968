//! The words in which the agent loop and the model providers speak to each other.
//!
//! Owns the provider-neutral view of one exchange: what is asked, what streams in, what came back.
//! Wire items stay raw bytes (`Raw`), made once and replayed byte for byte, because both vendors'
//! prompt caches and Anthropic's signed thinking blocks are bound to an exact prefix. Must not know
//! JSON field names of any vendor, HTTP, or who asks.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// One element of a conversation as it goes over the wire: a member of Anthropic's `messages` or of
/// OpenAI's `input`. UTF-8 JSON text, never re-serialised after it was first made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raw(pub Arc<str>);

impl Raw {
    /// Wraps JSON text that is already in wire form.
    pub fn new(json: impl Into<Arc<str>>) -> Self {
        Self(json.into())
    }

    /// The JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How hard a model thinks, as charts write it and both wires take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effort {
    /// Least thinking.
    Low,
    /// The vendors' default.
    Medium,
    /// More.
    High,
    /// Much more.
    Xhigh,
    /// As much as the model can.
    Max,
}

impl Effort {
    /// All values, in order, as charts write them.
    pub const NAMES: [&'static str; 5] = ["low", "medium", "high", "xhigh", "max"];

    /// The wire's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// The value that a chart's word names.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        const ALL: [Effort; 5] = [
            Effort::Low,
            Effort::Medium,
            Effort::High,
            Effort::Xhigh,
            Effort::Max,
        ];
        Self::NAMES
            .iter()
            .position(|name| *name == word)
            .map(|at| ALL[at])
    }
}

/// A tool as a model is told of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolSpec {
    /// The name a call carries.
    pub name: String,
    /// What it does and when to use it, from `prompts/tools.toml`.
    pub description: String,
    /// JSON Schema of the arguments, an object.
    pub parameters: serde_json::Value,
}

/// What stands before a conversation's items and is frozen with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// The model's name on the wire.
    pub model: String,
    /// The system prompt, rendered.
    pub system: String,
    /// The tools granted, in a fixed order.
    pub tools: Vec<ToolSpec>,
    /// Depth of thinking; none leaves the vendor's default.
    pub effort: Option<Effort>,
    /// Most tokens one reply may have, thinking included.
    pub max_output: u64,
    /// Whether the conversation waits for things that take longer than a short-lived cache lasts.
    pub patient: bool,
    /// Names the conversation to a vendor's cache router.
    pub cache_key: String,
}

/// A call that a model made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The wire's id, which the result must carry back (OpenAI: `call_id`).
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// The arguments as JSON text, `{}` where the wire sent none. May be invalid JSON.
    pub arguments: String,
}

/// What a call gave, for the model to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolOutput {
    /// The id of the call that this answers.
    pub call_id: String,
    /// Text for the model.
    pub text: String,
    /// Whether the call failed.
    pub is_error: bool,
}

/// Something that streamed in; for people's eyes only, never for state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delta {
    /// Text that the model says.
    Text(String),
    /// A summary of its thinking.
    Thinking(String),
    /// It began a call of the named tool.
    Call(String),
    /// A piece of that call's arguments.
    Arguments(String),
}

/// Why a reply ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "why", content = "detail")]
pub enum Stop {
    /// The model has said what it wanted.
    EndTurn,
    /// It waits for results of its calls.
    ToolUse,
    /// Cut by the output limit; unfinished calls are not in the reply.
    MaxTokens,
    /// A server-side loop paused: send the same history again with this reply appended.
    Pause,
    /// Refused, with the vendor's category where it gave one.
    Refusal(Option<String>),
    /// The context window is full.
    ContextFull,
}

/// Tokens of one exchange. The four counts are disjoint: their sum is all that was processed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Prompt tokens neither read from nor written to a cache.
    pub input: u64,
    /// Reply tokens, thinking included.
    pub output: u64,
    /// Prompt tokens read from the cache.
    pub cache_read: u64,
    /// Prompt tokens written to the cache (five-minute lifetime).
    pub cache_write: u64,
    /// Prompt tokens written to the cache for an hour.
    #[serde(default)]
    pub cache_write_1h: u64,
}

/// One whole reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The vendor's id of the reply.
    pub id: String,
    /// Wire items to append to the conversation, raw.
    pub items: Vec<Raw>,
    /// All that the model said.
    pub text: String,
    /// All summaries of its thinking.
    pub thinking: String,
    /// Complete calls, in order.
    pub calls: Vec<ToolCall>,
    /// Names of calls that the output limit cut short. They are not executed.
    pub truncated: Vec<String>,
    /// Why it ended.
    pub stop: Stop,
    /// What it took.
    pub usage: Usage,
}
