//! The doors to the operating system. Everything that touches processes, the clock, descriptors or
//! the sandbox goes through here, so that a new door is visible in review.

pub mod clock;
pub mod exec;
pub mod files;
pub mod job;
mod keeper;
mod listen;
pub mod lock;
pub mod output;
pub mod process;
pub mod random;
pub mod sandbox;
mod sink;
pub mod unit;
