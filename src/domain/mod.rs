//! Pure values and decisions. Knows no files, network, clock, randomness, environment or async, so
//! it cannot fail for reasons of the world and needs no mocks: time and randomness are arguments.

pub mod chart;
pub mod chat;
pub mod glob;
