//! What can go wrong with git, each with the next thing to type. One enum, because every verb of
//! this room meets the same world: a repository, a directory that somebody else writes, a disk.

use std::io;
use std::path::{Path, PathBuf};

/// Why a verb of this room failed.
#[derive(Debug, thiserror::Error)]
pub enum RepoError {
    /// Nothing lies at the path.
    #[error("repository {} does not exist", .0.display())]
    Missing(PathBuf),
    /// The path is neither a repository nor a directory.
    #[error("{} is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// A plain directory, where a branch was to be made.
    #[error("{} is a directory without a repository", .0.display())]
    NotARepository(PathBuf),
    /// The base is not any more what everything was measured against.
    #[error("{base} of {} has moved: everything was measured on {start}, and it is at {now}", path.display())]
    BaseMoved {
        /// The repository.
        path: PathBuf,
        /// The base's name.
        base: String,
        /// The commit that it was.
        start: String,
        /// The commit that it is.
        now: String,
    },
    /// The branch is there already, and holds something else.
    #[error("repository {} has a branch {branch:?} already, at {at}", path.display())]
    BranchExists {
        /// The repository.
        path: PathBuf,
        /// The branch.
        branch: String,
        /// Where it stands.
        at: String,
    },
    /// The branch has no commit yet, and is checked out.
    #[error("branch {branch:?} is checked out in {}", path.display())]
    CheckedOut {
        /// The repository.
        path: PathBuf,
        /// The branch.
        branch: String,
    },
    /// Not a name that git allows for a branch.
    #[error("{0:?} cannot be the name of a branch")]
    BadBranch(String),
    /// A URL: git2 is built without network, so the caller clones it with the git program first.
    #[error("repository {0} is not on this machine")]
    NeedsGitCli(String),
    /// The repository has no commit, or the directory no file.
    #[error("repository {} has no commits", .0.display())]
    Empty(PathBuf),
    /// History is cut off, so that what is reachable cannot be copied whole.
    #[error("repository {} is a shallow clone", .0.display())]
    Shallow(PathBuf),
    /// Git refuses a repository that belongs to somebody else.
    #[error("repository {} belongs to another user", .0.display())]
    NotOwned(PathBuf),
    /// The base is not a branch, tag or commit of the repository.
    #[error("repository {} has no branch {base:?}", path.display())]
    NoBase {
        /// The repository.
        path: PathBuf,
        /// What was asked for.
        base: String,
        /// The branches that exist.
        branches: Vec<String>,
    },
    /// HEAD names no branch, or one without a commit, and no base was given.
    #[error("repository {} has no branch checked out", path.display())]
    NoHead {
        /// The repository.
        path: PathBuf,
        /// The branches that exist.
        branches: Vec<String>,
    },
    /// The name cannot be part of a ref and of a file name.
    #[error("{0:?} cannot name an agent's branch")]
    BadName(String),
    /// Not a ref that this program keeps for itself.
    #[error("{0:?} is not a ref under refs/org/")]
    BadRef(String),
    /// Not forty hexadecimal digits of a commit that repo.git holds.
    #[error("there is no commit {commit:?} in {}", repo.display())]
    NoCommit {
        /// The repository.
        repo: PathBuf,
        /// What was asked for.
        commit: String,
    },
    /// A branch that was expected to exist does not.
    #[error("there is no branch {branch:?} in {}", repo.display())]
    NoBranch {
        /// The repository.
        repo: PathBuf,
        /// What was asked for.
        branch: String,
    },
    /// A ref that never moves already names another commit.
    #[error("{name} already names {held}, not {asked}")]
    Pinned {
        /// The ref.
        name: String,
        /// What it names.
        held: String,
        /// What it was asked to name.
        asked: String,
    },
    /// A branch moved between reading and writing it.
    #[error("branch {0:?} moved meanwhile")]
    Moved(String),
    /// More files than a snapshot takes in.
    #[error("{} holds more than {limit} {what}", at.display())]
    TooMany {
        /// The directory.
        at: PathBuf,
        /// What was counted.
        what: &'static str,
        /// How many are taken in.
        limit: usize,
    },
    /// A file, or all new ones together, larger than what is taken in.
    #[error("{} is larger than {limit} bytes", at.display())]
    TooLarge {
        /// The file, or the directory where the sum is meant.
        at: PathBuf,
        /// How much is taken in.
        limit: u64,
    },
    /// Somebody holds a lock of ours for longer than a snapshot may take.
    #[error("another process of this run holds {}", .0.display())]
    Busy(PathBuf),
    /// The agent has no branch in repo.git: `seat` never finished.
    #[error("agent {0:?} has no seat in this run")]
    NoSeat(String),
    /// What `seat` made is no longer there.
    #[error("the seat of {agent} is damaged: {} is gone", missing.display())]
    SeatDamaged {
        /// The agent.
        agent: String,
        /// What is missing.
        missing: PathBuf,
    },
    /// The destination already holds something else.
    #[error("{} already exists", .0.display())]
    Exists(PathBuf),
    /// A tree or commit that no git would have written.
    #[error("object {id} is malformed: {why}")]
    Malformed {
        /// The object.
        id: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The operating system refused.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// The verb.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// libgit2 refused.
    #[error("cannot {doing}")]
    Git {
        /// The verb and its object.
        doing: String,
        /// Why.
        source: git2::Error,
    },
}

impl RepoError {
    /// What a person can do about it; never empty.
    pub fn hint(&self) -> String {
        match self {
            Self::Missing(_) | Self::NotADirectory(_) => {
                "set [task] repo to a git repository or a directory; relative paths are relative \
                 to the chart"
                    .into()
            }
            Self::NeedsGitCli(url) => format!("git clone {url}, and set [task] repo to the clone"),
            Self::Empty(_) => {
                "commit something, or remove .git to import the files as they are".into()
            }
            Self::Shallow(path) => format!("git -C {} fetch --unshallow", path.display()),
            Self::NotOwned(path) => {
                format!(
                    "git config --global --add safe.directory {}",
                    path.display()
                )
            }
            Self::NoBase { branches, .. } | Self::NoHead { branches, .. } => {
                format!("set [task] base to one of: {}", branches.join(", "))
            }
            Self::NotARepository(path) => format!(
                "git init {}, or look at the result in the run's repo.git, branch programme",
                path.display()
            ),
            Self::BaseMoved { .. } => {
                "org land --reconfirm … measures the change on top of where the base is now, and lands \
                 it where it holds"
                    .into()
            }
            Self::BranchExists { .. } | Self::CheckedOut { .. } => {
                "name another branch with --onto".into()
            }
            Self::BadBranch(_) => "a name such as org/result; git check-ref-format has the rules".into(),
            Self::BadName(_) => "use letters, digits, `-`, `_` and single dots".into(),
            Self::BadRef(_) => "name it refs/org/exp/<id>".into(),
            Self::NoCommit { .. } | Self::NoBranch { .. } => {
                "git -C runs/<id>/repo.git for-each-ref shows what there is".into()
            }
            Self::Pinned { .. } => "this is a bug: a finished thing's ref never moves".into(),
            Self::Moved(_) | Self::Busy(_) => "try again".into(),
            Self::TooMany { .. } | Self::TooLarge { .. } => {
                "remove the files, or name them in .gitignore".into()
            }
            Self::NoSeat(_) => "org up --resume makes the seats that are missing".into(),
            Self::SeatDamaged { agent, .. } => {
                format!(
                    "the last snapshot is agent/{agent} in repo.git; remove the rest of the seat and resume"
                )
            }
            Self::Exists(path) => format!("move {} away", path.display()),
            Self::Malformed { .. } => "git fsck --full shows more".into(),
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "free some disk space".into()
            }
            Self::Io { path, .. } => format!("ls -ld {}", path.display()),
            Self::Git { .. } => {
                "git fsck --full, in the repository that is named, shows more".into()
            }
        }
    }
}

/// For `map_err` on file operations.
pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RepoError {
    let path = path.to_owned();
    move |source| RepoError::Io {
        doing,
        path,
        source,
    }
}

/// For `map_err` on raw system calls.
pub(super) fn os(doing: &'static str, path: &Path) -> impl FnOnce(rustix::io::Errno) -> RepoError {
    let path = path.to_owned();
    move |errno| RepoError::Io {
        doing,
        path,
        source: errno.into(),
    }
}

/// For `map_err` on libgit2.
pub(super) fn git(doing: impl Into<String>) -> impl FnOnce(git2::Error) -> RepoError {
    let doing = doing.into();
    move |source| RepoError::Git { doing, source }
}
