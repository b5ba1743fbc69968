//! The same two wires from the other side: a local server that plays a scenario.
//!
//! A process of its own, so that real clients, loops and tools are exercised against it and
//! nothing in an agent knows that its model is pretended. Knows scenarios and wires; must not know
//! runs, agents' loops or logs.

mod anthropic;
mod deliver;
mod exchange;
mod memory;
mod openai;
mod server;
mod stage;
#[cfg(test)]
mod tests;
mod twist;
mod unfinished;

pub use memory::StateError;
pub use server::{MockError, Options, serve};
pub use unfinished::{Unfinished, unfinished};
