//! Pure values and decisions. Knows no files, network, clock, randomness, environment or async, so
//! it cannot fail for reasons of the world and needs no mocks: time and randomness are arguments.

pub mod approval;
pub mod brief;
pub mod budget;
pub mod caches;
pub mod chart;
pub mod chat;
pub mod check;
pub mod decode;
pub mod digest;
pub mod disclosure;
pub mod emit;
pub mod event;
pub mod freeze;
pub mod glob;
pub mod keys;
pub mod lease;
pub mod likeness;
pub mod mail;
pub mod model;
pub mod needs;
pub mod price;
pub mod problem;
pub mod process;
pub mod progress;
pub mod propose;
pub mod protocol;
pub mod replay;
pub mod restart;
pub mod retry;
pub mod scenario;
pub mod schema;
pub mod search;
pub mod session;
#[cfg(test)]
mod simulation;
pub mod standing;
pub mod state;
pub mod stats;
pub mod storm;
pub mod student;
pub mod suggest;
pub mod supervisor;
pub mod template;
pub mod texts;
