//! repo.git: how it is made and how it is opened. It is opened by its own path and nothing else,
//! never by looking around, and with its own configuration file and nobody else's. No agent can
//! write there.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use git2::{Commit, Config, ErrorCode, Odb, Oid, Repository, Signature, Time};

use super::error::{RepoError, git, io};
use super::plain;
use crate::os::files;

/// The branch that the org improves.
pub const PROGRAMME: &str = "programme";
/// Where the programme began; set last, so that it says that repo.git is whole.
pub(super) const BASE_REF: &str = "refs/org/base";

/// How long anybody waits for a lock of ours: a snapshot of a large worktree.
const LOCK_TRIES: u32 = 400;
const LOCK_PAUSE: Duration = Duration::from_millis(25);

/// What is in the `config` of repo.git. Objects and refs are synced, because an event that names a
/// commit must not survive a power failure that the commit does not.
const CONFIG: &str = "\
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = true
\tfsyncObjectFiles = true
[gc]
\tauto = 0
";

/// Opens repo.git.
pub(super) fn open(repo_git: &Path) -> Result<Repository, RepoError> {
    let doing = || format!("open {}", repo_git.display());
    // Takes this directory or nothing. Whose it is does not matter: the run is ours, wherever a
    // container mounted it from.
    let repo = Repository::open_bare(repo_git).map_err(git(doing()))?;
    // The person's and the system's configuration would bring line endings, excludes and drivers.
    let own = Config::open(&repo_git.join("config")).map_err(git(doing()))?;
    repo.set_config(&own).map_err(git(doing()))?;
    Ok(repo)
}

/// Writes the files of an empty bare repository; git's own `init` would copy the person's template,
/// hooks included.
pub(super) fn lay_bare(path: &Path, config: &str, head: &str) -> Result<(), RepoError> {
    for dir in [
        "objects/info",
        "objects/pack",
        "refs/heads",
        "refs/tags",
        "info",
    ] {
        plain::make_dirs(&path.join(dir))?;
    }
    plain::place(&path.join("HEAD"), &format!("ref: refs/heads/{head}\n"))?;
    plain::place(&path.join("config"), config)
}

/// Makes a repository for objects that are thrown away once they are packed: nothing waits for the disk.
pub(super) fn lay_scratch(path: &Path) -> Result<(), RepoError> {
    let config = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n";
    lay_bare(path, config, PROGRAMME)
}

/// Makes repo.git beside where it will stand.
pub(super) fn lay_repo_git(path: &Path) -> Result<(), RepoError> {
    lay_bare(path, CONFIG, PROGRAMME)
}

/// The object database of a repository.
pub(super) fn odb(repo: &Repository) -> Result<Odb<'_>, RepoError> {
    repo.odb().map_err(git("open the object database"))
}

/// The signature of all that the program itself commits.
pub(super) fn signature(at: i64) -> Result<Signature<'static>, RepoError> {
    signature_of("org", at)
}

/// Whoever else made a commit.
pub(super) fn signature_of(who: &str, at: i64) -> Result<Signature<'static>, RepoError> {
    Signature::new(who, &format!("{who}@org"), &Time::new(at, 0)).map_err(git("sign"))
}

/// Reads forty hexadecimal digits.
pub(super) fn parse(repo: &Repository, commit: &str) -> Result<Oid, RepoError> {
    let missing = || no_commit(repo, commit);
    if commit.len() != 40 {
        return Err(missing());
    }
    Oid::from_str(commit).map_err(|_| missing())
}

/// Looks a commit up.
pub(super) fn find<'r>(repo: &'r Repository, commit: &str) -> Result<Commit<'r>, RepoError> {
    let oid = parse(repo, commit)?;
    repo.find_commit(oid).map_err(|error| match error.code() {
        ErrorCode::NotFound => no_commit(repo, commit),
        _ => RepoError::Git {
            doing: format!("read commit {commit}"),
            source: error,
        },
    })
}

fn no_commit(repo: &Repository, commit: &str) -> RepoError {
    RepoError::NoCommit {
        repo: repo.path().to_owned(),
        commit: commit.chars().take(80).collect(),
    }
}

/// What a ref names, if it exists.
pub(super) fn target(repo: &Repository, name: &str) -> Result<Option<Oid>, RepoError> {
    match repo.refname_to_id(name) {
        Ok(oid) => Ok(Some(oid)),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(source) => Err(RepoError::Git {
            doing: format!("read {name}"),
            source,
        }),
    }
}

/// Points a ref somewhere, wherever it pointed.
pub(super) fn point(repo: &Repository, name: &str, oid: Oid) -> Result<(), RepoError> {
    let set = || repo.reference(name, oid, true, "org").map(drop);
    write_ref(repo, name, set)?.map_err(git(format!("set {name}")))
}

/// Points several refs somewhere at once: one file, on disk before this returns, where a file and two
/// syncs for each would be what a start mostly waits for.
pub(super) fn point_all(repo: &Repository, refs: &[(String, Oid)]) -> Result<(), RepoError> {
    let own = own_dir(repo.path())?;
    let _lock = hold(&own.join("refs.lock"))?;
    let mut all: BTreeMap<String, Oid> = BTreeMap::new();
    for reference in repo.references().map_err(git("list refs"))? {
        let reference = reference.map_err(git("list refs"))?;
        if let (Ok(name), Some(oid)) = (reference.name(), reference.target()) {
            all.insert(name.to_owned(), oid);
        }
    }
    all.extend(refs.iter().cloned());
    let lines: String = all
        .iter()
        .map(|(name, oid)| format!("{oid} {name}\n"))
        .collect();
    let path = repo.path().join("packed-refs");
    files::write_atomic(&path, lines.as_bytes(), 0o644).map_err(io("write", &path))?;
    for (name, _) in refs {
        // A ref's own file would hide what stands here.
        let hidden = repo.path().join(name);
        match std::fs::remove_file(&hidden) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(io("remove", &hidden)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Has a ref written; the inner error is git's.
///
/// Whoever is killed while it writes one leaves git's `<ref>.lock` behind, and nobody could write that
/// ref again. All that write here do so under a lock of ours, which ends with its process: what of
/// git's is there all the same is a dead one's, and goes.
pub(super) fn write_ref(
    repo: &Repository,
    name: &str,
    write: impl FnOnce() -> Result<(), git2::Error>,
) -> Result<Result<(), git2::Error>, RepoError> {
    let own = own_dir(repo.path())?;
    let _lock = hold(&own.join("refs.lock"))?;
    let stale = repo.path().join(format!("{name}.lock"));
    match std::fs::remove_file(&stale) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io("remove", &stale)(error)),
        _ => Ok(write()),
    }
}

/// Takes a lock of ours, which ends with the file that is returned.
pub(super) fn hold(path: &Path) -> Result<File, RepoError> {
    let open = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path);
    let file = open.map_err(io("open", path))?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(io("lock", path)(error)),
        }
    }
    Err(RepoError::Busy(path.to_owned()))
}

/// The branch of an agent in repo.git, once its name is known to be harmless.
pub(super) fn agent_ref(agent: &str) -> Result<String, RepoError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let harmless = agent.len() <= 100
        && agent.starts_with(|c: char| c.is_ascii_alphanumeric())
        && agent.chars().all(plain)
        && !agent.contains("..")
        && !agent.ends_with('.')
        && !agent.ends_with(".lock");
    if !harmless {
        return Err(RepoError::BadName(agent.chars().take(100).collect()));
    }
    Ok(format!("refs/heads/agent/{agent}"))
}

/// A file of the program's own inside repo.git.
pub(super) fn own_dir(repo_git: &Path) -> Result<PathBuf, RepoError> {
    let dir = repo_git.join("org");
    plain::make_dirs(&dir)?;
    Ok(dir)
}

/// Removes a directory of our own that may be there.
pub(super) fn clear(path: &Path) -> Result<(), RepoError> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).map_err(io("remove", path)),
        _ => Ok(()),
    }
}
