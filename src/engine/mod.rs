//! The two loops, supervise and agent, and the hands that carry out decisions. The only place with
//! tasks, `select!` and shutdown.

pub mod agent;
mod ask;
mod asking;
mod claims;
mod disk;
mod draw;
mod ending;
pub mod environment;
pub mod found;
mod guard;
mod hands;
pub mod janitor;
mod kept;
pub mod keys;
mod leases;
mod live;
mod marks;
mod measure;
mod mind;
mod money;
mod news;
mod notify;
mod opening;
mod perform;
pub mod preview;
mod prompt;
pub mod seats;
mod society;
pub mod spawn;
mod still;
pub mod supervise;
pub mod take;
mod task;
pub mod trial;
mod trouble;
mod words;
