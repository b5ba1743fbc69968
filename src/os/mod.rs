//! The doors to the operating system. Everything that touches processes, the clock, descriptors or
//! the sandbox goes through here, so that a new door is visible in review.

pub mod clock;
pub mod confine;
pub mod exec;
pub mod files;
mod gate;
pub mod job;
mod keeper;
mod listen;
pub mod lock;
pub mod output;
pub mod process;
pub mod procfs;
pub mod random;
mod root;
pub mod sandbox;
mod sink;
pub mod unit;
