//! Talks to models over HTTP. Knows chat and the vendors' wires; not agents, mail or runs.
//!
//! Encoding a request and decoding a reply are pure, one file a vendor; `http` is the only IO. What
//! a model said is turned once into wire items, and these are spliced into later requests byte for
//! byte, because prompt caches and signed thinking are bound to an exact prefix.

mod anthropic;
mod detour;
mod error;
pub mod http;
mod openai;
mod raw;
#[cfg(test)]
mod tests;

pub use detour::{Detour, DetourError};
pub use error::ProviderError;

use crate::domain::chart::Wire;
use crate::domain::chat::{Delta, Head, Raw, Reply, ToolOutput};

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asking {
    /// What is appended to the server's base URL.
    pub path: &'static str,
    /// Headers beside those that all requests have.
    pub headers: Vec<(&'static str, String)>,
    /// The bytes.
    pub body: Vec<u8>,
}

impl Asking {
    /// The next step of a conversation.
    #[must_use]
    pub fn of(provider: &dyn Provider, head: &Head, items: &[Raw]) -> Self {
        Self {
            path: provider.path(),
            headers: Vec::new(),
            body: provider.body(head, items),
        }
    }
}

/// One vendor's wire: how a conversation is asked, and how a reply is read. Without state.
pub trait Provider: Send + Sync {
    /// What is appended to a server's base URL.
    fn path(&self) -> &'static str;

    /// Headers of a request, the key's among them. Names are in lower case.
    fn headers(&self, key: Option<&str>) -> Vec<(&'static str, String)>;

    /// One item that says `text` to the model. The text must not be blank.
    fn user(&self, text: &str) -> Raw;

    /// The items that answer all calls of one reply; to be appended together, with nothing between.
    fn results(&self, outputs: &[ToolOutput]) -> Vec<Raw>;

    /// The bytes of a request. The same head and a longer list of items give the same bytes up to
    /// where the new items start.
    fn body(&self, head: &Head, items: &[Raw]) -> Vec<u8>;

    /// What asks the vendor to compact a conversation. The reply's items are what the next conversation
    /// begins with; none where it could not.
    fn compaction(&self, head: &Head, items: &[Raw]) -> Asking;

    /// A reply that came as one JSON text, as some servers send it whatever they are asked.
    ///
    /// # Errors
    /// When it is not one.
    fn whole(&self, json: &str) -> Result<Reply, ProviderError>;

    /// A fresh decoder for one reply.
    fn decoder(&self) -> Box<dyn Decoder>;

    /// What an answer other than 200 means. Header names are in lower case.
    fn refusal(&self, status: u16, headers: &[(String, String)], body: &[u8]) -> ProviderError;
}

/// Folds the server-sent events of one reply.
pub trait Decoder: Send {
    /// Takes in the data of one event; what it returns is for people's eyes only.
    ///
    /// # Errors
    /// When the server reports a failure in mid-stream, or says what cannot be understood.
    fn event(&mut self, data: &str) -> Result<Vec<Delta>, ProviderError>;

    /// Whether the terminal event has come, so that nothing need be awaited any more.
    fn done(&self) -> bool;

    /// The whole reply.
    ///
    /// # Errors
    /// When the terminal event never came.
    fn finish(self: Box<Self>) -> Result<Reply, ProviderError>;
}

/// The provider that speaks a wire.
#[must_use]
pub fn provider(wire: Wire) -> Box<dyn Provider> {
    match wire {
        Wire::Anthropic => Box::new(anthropic::Anthropic),
        Wire::Openai => Box::new(openai::OpenAi),
    }
}

/// A reply whose calls can be told apart; results could not be assigned otherwise.
fn distinct(reply: Reply) -> Result<Reply, ProviderError> {
    let mut ids: Vec<&str> = reply.calls.iter().map(|call| call.id.as_str()).collect();
    ids.sort_unstable();
    let same = ids.windows(2).any(|two| two[0] == two[1]) || ids.first() == Some(&"");
    if same {
        return Err(ProviderError::Malformed {
            message: "two calls of a reply have one id, or one has none".to_owned(),
        });
    }
    Ok(reply)
}

/// Ends a request's opening object with its list of items, spliced in as they are.
fn splice(body: &mut String, key: &str, items: &[Raw]) {
    body.pop();
    body.reserve(
        key.len()
            + 8
            + items
                .iter()
                .map(|item| item.as_str().len() + 1)
                .sum::<usize>(),
    );
    body.push_str(",\"");
    body.push_str(key);
    body.push_str("\":[");
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            body.push(',');
        }
        body.push_str(item.as_str());
    }
    body.push_str("]}");
}
