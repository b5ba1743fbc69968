//! The dashboard of a run: `org watch`, and the first thing in `hq`.
//!
//! Owns what is shown of a run at one moment, how it is laid out on any size of screen, and what keys
//! mean on it. Pure: chart, fold, observations and keys in, a buffer of cells and wishes out; so it
//! shows a live run, a finished one, and any moment of either in the same way. Must not know terminals,
//! nor how a wish is granted.

mod board;
mod choice;
mod columns;
mod curve;
mod draw;
mod history;
mod page;
mod panels;

pub use board::{Board, Look, Looks, Moment};
pub use choice::{Choice, Focus, Press, Wish};
pub use columns::Target;
pub use draw::{draw, plain};
pub use history::History;
pub use page::{Page, page};

#[cfg(test)]
mod tests;
