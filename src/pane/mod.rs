//! One agent on a terminal: a view with an input line.
//!
//! Values come in, lines of text go out, and what a person types is handed on when Enter is
//! pressed and at no other time. Nothing here is a source of truth: a pane may be stopped, killed
//! or blocked, and no agent notices. It knows neither the log nor the agent; its caller turns
//! events into [`Show`]s.
//!
//! The text that is shown comes from models, tools and other agents, so all of it is cleaned of
//! everything that could move the cursor, change the terminal or pose as our own marks.

mod board;
mod command;
pub mod follow;
mod input;
#[cfg(test)]
mod journey;
mod keys;
mod line;
mod paint;
mod past;
mod render;
mod screen;
mod status;
mod text;

pub use board::{Claim, Note, Standing, feed};
pub use command::Command;
pub use line::{Line, Tone};
pub use render::{Feed, Show};
pub use screen::{Terminal, Typed, run};
pub use status::{Status, status_rows};
