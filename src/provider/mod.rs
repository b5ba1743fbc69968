//! Talks to models over HTTP. Knows chat and the vendors' wires; not agents, mail or runs.
//!
//! Encoding a request and decoding a reply are pure, one file a vendor; `http` is the only IO. What
//! a model said is turned once into wire items, and these are spliced into later requests byte for
//! byte, because prompt caches and signed thinking are bound to an exact prefix.

mod anthropic;
mod error;
pub mod http;
mod openai;
mod raw;
#[cfg(test)]
mod tests;

pub use error::ProviderError;

use crate::domain::chart::Wire;
use crate::domain::chat::{Delta, Head, Raw, Reply, ToolOutput};

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
