//! The OpenAI Responses wire, from the server's side: platform.openai.com/docs/api-reference.

mod reply;
mod request;

pub(super) use reply::{compacted, encrypted, error, events, interruption, whole};
pub(super) use request::{read, users};
