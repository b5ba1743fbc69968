//! Git: values in, values out. Owns repo.git, the seats of the agents and all that is copied between
//! them and the user's repository, by libgit2 and plain files, without a process or a network.
//!
//! Two rules carry it. The user's repository is only read, but for the one branch that `land` makes. And what an agent can write is never
//! opened as a repository: refs are read as text, objects as hashed data, the worktree as plain
//! files, so that no config, hook, filter, attribute or `.git` file that an agent plants is ever
//! looked at. Commits are forty hexadecimal digits in text. Knows no events, runs or roles, and
//! nothing of where in a run these paths lie.
//!
//! One `Repository` is opened a call; every verb may be called from any thread, and blocks it.

mod bring;
mod error;
mod gather;
mod history;
mod ignore;
mod incoming;
mod land;
mod lay;
mod merge;
mod parts;
mod plain;
mod seat;
mod snapshot;
mod source;
mod store;
mod trees;

pub use bring::{Brought, bring};
pub use error::RepoError;
pub use gather::LeftOut;
pub use history::{
    Change, ChangeKind, DiffText, LogEntry, branches, changed_paths, diff_text, log, parents, pin,
    read_blob, tip,
};
pub use land::{Landed, Landing, land, landable, tip_of};
pub use lay::{additions, altered, checkout, commit_hash, restore, restore_all_but, tree_hash};
pub use merge::{Merge, combine, merge, set_back};
pub use parts::{Misfit, leave_out, misfit};
pub use plain::DRAFT;
pub use seat::{Place, seat, seat_all};
pub use snapshot::{Snapshot, snapshot, snapshot_by};
pub use source::{Founded, Source, SourceKind, found, inspect};
pub use store::PROGRAMME;

#[cfg(test)]
mod tests;
