//! One exchange in the words of neither wire: what was asked, what is answered.
//!
//! Owns what the two wires have in common, so that `stage` decides once for both. A `Reply` holds
//! all that its bytes depend on: rendered again, it is the same bytes. Must not know field names of
//! a wire, nor where anything is kept.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::domain::chat::Usage;
use crate::domain::scenario::{Heard, Ids};

/// Bytes that make a token, roughly; both vendors say about four for English.
const BYTES_PER_TOKEN: u64 = 4;
/// Most pieces one text is streamed in, so that a long one does not take minutes at a pace that
/// lets a short one flow.
const MAX_PIECES: usize = 40;
/// What a reply says that has nothing to say: an empty one is legal, but clients stumble over it.
pub(super) const NOTHING: &str = "Waiting.";
/// The time that replies carry, plus their number in seconds. A real clock would make a repeat
/// differ from what it repeats.
pub(super) const EPOCH: u64 = 1_795_000_000;

/// What stands in the id of a call that a fault names without care, where others have their reply's own.
pub(super) const CARELESS: &str = "again";

/// A request, read and found valid.
pub(super) struct Ask {
    pub(super) model: String,
    pub(super) stream: bool,
    /// What counts as received, in order.
    pub(super) heard: Vec<Heard>,
    /// The prompt in parts, as a cache compares them: tools and system first, then each item.
    pub(super) parts: Vec<Part>,
    /// How many parts, from the front, the vendor would write to its cache.
    pub(super) cacheable: usize,
    /// Names the whole prompt; a thinking block's signature is bound to it.
    pub(super) prefix: String,
    /// The longest reply that is wanted, in tokens.
    pub(super) max_output: u64,
    /// Whether that cache would last an hour.
    pub(super) hour: bool,
    /// Whether the conversation is to be compacted, in place of a reply.
    pub(super) compacts: bool,
    /// Whether summaries of thinking are wanted.
    pub(super) show_thinking: bool,
    /// Tools that take plain text in place of JSON.
    pub(super) freeform: BTreeSet<String>,
}

impl Ask {
    /// Tokens of the whole prompt.
    pub(super) fn tokens(&self) -> u64 {
        self.parts.iter().map(|part| part.tokens).sum()
    }
}

/// A part of a prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    hash: String,
    pub(super) tokens: u64,
}

impl Part {
    pub(super) fn of(label: &str, value: &Value) -> Self {
        let text = value.to_string();
        Self {
            hash: digest(&[label, &text]),
            tokens: tokens_of(&text),
        }
    }

    /// A part by its very bytes: another order of keys, or another space, is another prompt.
    pub(super) fn raw(label: &str, text: &str) -> Self {
        Self {
            hash: digest(&[label, text]),
            tokens: tokens_of(text),
        }
    }

    /// The hash of the prompt up to and with this part, from that before it.
    pub(super) fn chained(&self, before: &str) -> String {
        digest(&[before, &self.hash])
    }
}

/// Tokens of the longest prefix that two prompts share.
pub(super) fn shared_tokens(a: &[Part], b: &[Part]) -> u64 {
    a.iter()
        .zip(b)
        .take_while(|(a, b)| a == b)
        .map(|(part, _)| part.tokens)
        .sum()
}

/// A request that the vendor would not take.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    /// The vendor's word for it, where it has one besides that of the status.
    pub(super) code: Option<&'static str>,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self {
            status: 400,
            code: None,
            message: message.into(),
        }
    }

    pub(super) fn coded(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status: 400,
            code: Some(code),
            message: message.into(),
        }
    }
}

/// Why a reply ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum End {
    Turn,
    Calls,
    /// Cut inside its last part.
    MaxTokens,
    /// The server's own loop paused.
    Pause,
    /// Nothing is said.
    Refusal,
    /// Nothing is said: there is no room.
    Context,
    /// A compaction; what is said is the summary.
    Compaction,
}

/// A call as it goes out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OutCall {
    pub(super) tool: String,
    /// JSON text, cut where the reply ends by `MaxTokens`; plain text where `freeform`.
    pub(super) arguments: String,
    pub(super) freeform: bool,
}

/// A reply, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reply {
    /// Unique among all agents' replies, hexadecimal.
    pub(super) id: String,
    /// Which reply of its agent it is.
    pub(super) number: u64,
    pub(super) model: String,
    pub(super) think: Option<String>,
    pub(super) show_thinking: bool,
    /// `Ask::prefix` of its request.
    pub(super) prefix: String,
    pub(super) say: Option<String>,
    pub(super) calls: Vec<OutCall>,
    /// How those are named where nobody takes care.
    #[serde(default)]
    pub(super) ids: Option<Ids>,
    pub(super) end: End,
    pub(super) usage: Usage,
}

impl Reply {
    /// What a call's id has in it besides the wire's prefix.
    pub(super) fn call_tag(&self, at: usize) -> String {
        match self.ids {
            None => format!("{}{at:02}", self.id),
            Some(Ids::Again) => format!("{CARELESS}{at:02}"),
            Some(Ids::Same) => format!("{CARELESS}00"),
        }
    }

    /// The thinking as its client sees it.
    pub(super) fn shown_thinking(&self) -> Option<&str> {
        self.think
            .as_deref()
            .map(|think| if self.show_thinking { think } else { "" })
    }

    /// Tokens of thinking among those of the reply.
    pub(super) fn thinking_tokens(&self) -> u64 {
        self.think
            .as_deref()
            .map_or(0, tokens_of)
            .min(self.usage.output)
    }
}

/// A server-sent event.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) name: &'static str,
    pub(super) data: String,
}

impl Event {
    pub(super) fn new(name: &'static str, data: &Value) -> Self {
        Self {
            name,
            data: data.to_string(),
        }
    }

    /// Whether it carries a piece of text, as opposed to framing.
    pub(super) fn is_delta(&self) -> bool {
        self.name.ends_with("delta") && self.name != "message_delta"
    }
}

/// A text in pieces of whole words, as models stream them.
pub(super) fn pieces(text: &str) -> Vec<&str> {
    let words: Vec<&str> = text.split_inclusive([' ', '\n', ',']).collect();
    let per_piece = words.len().div_ceil(MAX_PIECES).max(1);
    let mut pieces = Vec::new();
    let mut start = 0;
    for group in words.chunks(per_piece) {
        let length: usize = group.iter().map(|word| word.len()).sum();
        pieces.push(&text[start..start + length]);
        start += length;
    }
    pieces
}

/// A text's tokens, roughly.
pub(super) fn tokens_of(text: &str) -> u64 {
    (text.len() as u64).div_ceil(BYTES_PER_TOKEN)
}

/// A hash of several texts, 24 hexadecimal digits.
pub(super) fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize()[..12]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_few_and_make_the_text_again() {
        for text in ["", "one", "one two\nthree,four ", &"wörd ".repeat(1000)] {
            let pieces = pieces(text);
            assert!(pieces.len() <= MAX_PIECES);
            assert_eq!(pieces.concat(), text);
        }
        assert_eq!(pieces("a b").len(), 2);
    }
}
