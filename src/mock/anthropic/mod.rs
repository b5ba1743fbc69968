//! The Anthropic Messages wire, from the server's side: platform.claude.com/docs/en/api.

mod reply;
mod request;

pub(super) use reply::{REDACTED, error, events, interruption, sealed, signature, whole};
pub(super) use request::{Told, read};
