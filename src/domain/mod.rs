//! Pure values and decisions. Knows no files, network, clock, randomness, environment or async, so
//! it cannot fail for reasons of the world and needs no mocks: time and randomness are arguments.

pub mod budget;
pub mod chart;
pub mod chat;
pub mod event;
pub mod lease;
pub mod mail;
pub mod price;
pub mod protocol;
pub mod restart;
pub mod session;
pub mod standing;
pub mod state;
pub mod stats;
pub mod supervisor;
pub mod problem;
pub mod scenario;
