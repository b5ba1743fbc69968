//! The truth on disk: the layout of `runs/<id>/`, the log, blobs and mailboxes. Nobody else knows a
//! file name in there.

pub mod bell;
pub mod blobs;
pub mod chain;
pub mod frozen;
pub mod gpu_use;
pub mod index;
pub mod log;
pub mod maildir;
pub mod paths;
pub mod showing;
pub mod tournament;
