//! The OpenAI Responses wire, from the server's side: platform.openai.com/docs/api-reference.

mod reply;
mod request;

pub(super) use reply::{encrypted, error, events, whole};
pub(super) use request::read;
