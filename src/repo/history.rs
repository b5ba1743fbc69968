//! Questions to repo.git, and the refs that keep what is finished: tips, branches, logs,
//! differences, one file of one commit. Reads commits only, never a directory.

use std::collections::BTreeMap;
use std::path::Path;

use git2::{BranchType, DiffFormat, DiffOptions, ErrorCode, ObjectType, Oid, Repository, Sort};

use super::error::{RepoError, git};
use super::store;
use super::trees::{self, Files, Item, Mode};

/// What became of a path between two commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is gone.
    Deleted,
    /// Its bytes, its executable bit or its kind differ.
    Modified,
}

/// A path that differs between two commits. A renamed file is one deleted and one added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The path, with `/`; bytes that are not UTF-8 are replaced.
    pub path: String,
    /// What became of it.
    pub kind: ChangeKind,
}

/// One commit, as a log shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// The commit.
    pub commit: String,
    /// Its parents.
    pub parents: Vec<String>,
    /// Who wrote it.
    pub author: String,
    /// When, in seconds since 1970.
    pub at: i64,
    /// The first line of its message.
    pub summary: String,
}

/// A difference as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiffText {
    /// A unified diff.
    pub text: String,
    /// Whether it was cut at the cap.
    pub cut: bool,
}

/// Gives a commit a ref under `refs/org/`, for good: the same again is fine, another is refused.
pub fn pin(repo_git: &Path, name: &str, commit: &str) -> Result<(), RepoError> {
    if !name.starts_with("refs/org/") || !git2::Reference::is_valid_name(name) {
        return Err(RepoError::BadRef(name.to_owned()));
    }
    let repo = store::open(repo_git)?;
    let oid = store::find(&repo, commit)?.id();
    let set = || repo.reference(name, oid, false, "org").map(drop);
    match store::write_ref(&repo, name, set)? {
        Ok(()) => Ok(()),
        Err(error) if error.code() == ErrorCode::Exists => match store::target(&repo, name)? {
            Some(held) if held == oid => Ok(()),
            held => Err(RepoError::Pinned {
                name: name.to_owned(),
                held: held.map_or_else(|| "nothing".into(), |held| held.to_string()),
                asked: oid.to_string(),
            }),
        },
        Err(source) => Err(RepoError::Git {
            doing: format!("set {name}"),
            source,
        }),
    }
}

/// The commit that a branch (`programme`, `agent/<name>`) or a full ref name names.
pub fn tip(repo_git: &Path, branch: &str) -> Result<String, RepoError> {
    tip_oid(&store::open(repo_git)?, branch).map(|oid| oid.to_string())
}

/// As [`tip`], where repo.git is already open.
pub(super) fn tip_oid(repo: &Repository, branch: &str) -> Result<Oid, RepoError> {
    let name = full_name(branch);
    let missing = || RepoError::NoBranch {
        repo: repo.path().to_owned(),
        branch: branch.to_owned(),
    };
    if !git2::Reference::is_valid_name(&name) {
        return Err(missing());
    }
    store::target(repo, &name)?.ok_or_else(missing)
}

/// The full name of a branch.
pub(super) fn full_name(branch: &str) -> String {
    if branch.starts_with("refs/") {
        branch.to_owned()
    } else {
        format!("refs/heads/{branch}")
    }
}

/// All branches with their tips, by name.
pub fn branches(repo_git: &Path) -> Result<Vec<(String, String)>, RepoError> {
    let repo = store::open(repo_git)?;
    let mut found = Vec::new();
    for branch in repo
        .branches(Some(BranchType::Local))
        .map_err(git("list branches"))?
    {
        let (branch, _) = branch.map_err(git("list branches"))?;
        if let (Ok(Some(name)), Some(tip)) = (branch.name(), branch.get().target()) {
            found.push((name.to_owned(), tip.to_string()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The last `n` commits of a branch, newest first.
pub fn log(repo_git: &Path, branch: &str, n: usize) -> Result<Vec<LogEntry>, RepoError> {
    let repo = store::open(repo_git)?;
    let doing = || git(format!("read the log of {branch}"));
    let mut walk = repo.revwalk().map_err(doing())?;
    walk.set_sorting(Sort::TOPOLOGICAL | Sort::TIME)
        .map_err(doing())?;
    walk.push(tip_oid(&repo, branch)?).map_err(doing())?;
    let mut entries = Vec::new();
    for oid in walk.take(n) {
        let commit = repo.find_commit(oid.map_err(doing())?).map_err(doing())?;
        let summary = commit.summary_bytes().unwrap_or_default();
        entries.push(LogEntry {
            commit: commit.id().to_string(),
            parents: commit.parent_ids().map(|id| id.to_string()).collect(),
            author: String::from_utf8_lossy(commit.author().name_bytes()).into_owned(),
            at: commit.time().seconds(),
            summary: String::from_utf8_lossy(summary).into_owned(),
        });
    }
    Ok(entries)
}

/// The parents of every commit that is reachable from `tips` and not from `start`, by commit.
pub fn parents(
    repo_git: &Path,
    start: &str,
    tips: &[String],
) -> Result<BTreeMap<String, Vec<String>>, RepoError> {
    let repo = store::open(repo_git)?;
    let doing = || git("read what was built upon what");
    let mut walk = repo.revwalk().map_err(doing())?;
    for tip in tips {
        let oid = store::find(&repo, tip)?.id();
        walk.push(oid).map_err(doing())?;
    }
    walk.hide(store::find(&repo, start)?.id())
        .map_err(doing())?;
    let mut found = BTreeMap::new();
    for oid in walk {
        let commit = repo.find_commit(oid.map_err(doing())?).map_err(doing())?;
        let parents = commit.parent_ids().map(|id| id.to_string()).collect();
        found.insert(commit.id().to_string(), parents);
    }
    Ok(found)
}

/// Which paths differ between commits `a` and `b`, by path.
pub fn changed_paths(repo_git: &Path, a: &str, b: &str) -> Result<Vec<Change>, RepoError> {
    let repo = store::open(repo_git)?;
    let odb = store::odb(&repo)?;
    let files = |commit: &str| -> Result<Files, RepoError> {
        trees::flatten(&odb, store::find(&repo, commit)?.tree_id())
    };
    let (before, after) = (files(a)?, files(b)?);
    let mut changes = Vec::new();
    let mut note = |path: &[u8], kind| {
        changes.push(Change {
            path: String::from_utf8_lossy(path).into_owned(),
            kind,
        });
    };
    for (path, item) in &before {
        match after.get(path) {
            None => note(path, ChangeKind::Deleted),
            Some(now) if now != item => note(path, ChangeKind::Modified),
            Some(_) => {}
        }
    }
    for path in after.keys().filter(|path| !before.contains_key(*path)) {
        note(path, ChangeKind::Added);
    }
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(changes)
}

/// The unified diff from commit `a` to commit `b`, cut at `cap` bytes.
pub fn diff_text(repo_git: &Path, a: &str, b: &str, cap: usize) -> Result<DiffText, RepoError> {
    let repo = store::open(repo_git)?;
    let tree = |commit: &str| -> Result<git2::Tree<'_>, RepoError> {
        store::find(&repo, commit)?
            .tree()
            .map_err(git("read a tree"))
    };
    let mut options = DiffOptions::new();
    // Against trees made by hand libgit2 is only asked after our own reading has accepted them.
    changed_paths(repo_git, a, b)?;
    let diff = repo
        .diff_tree_to_tree(Some(&tree(a)?), Some(&tree(b)?), Some(&mut options))
        .map_err(git("compare commits"))?;
    let mut bytes = Vec::new();
    let printed = diff.print(DiffFormat::Patch, |_, _, line| {
        if matches!(line.origin(), '+' | '-' | ' ') {
            bytes.extend(u8::try_from(line.origin()));
        }
        bytes.extend_from_slice(line.content());
        bytes.len() <= cap
    });
    let cut = bytes.len() > cap;
    match printed {
        Err(error) if !(cut && error.code() == ErrorCode::User) => {
            return Err(RepoError::Git {
                doing: "compare commits".into(),
                source: error,
            });
        }
        _ => bytes.truncate(cap),
    }
    Ok(DiffText {
        text: String::from_utf8_lossy(&bytes).into_owned(),
        cut,
    })
}

/// The bytes of one file of one commit, if the commit has it. A link's bytes are its target.
pub fn read_blob(repo_git: &Path, commit: &str, path: &str) -> Result<Option<Vec<u8>>, RepoError> {
    let repo = store::open(repo_git)?;
    let odb = store::odb(&repo)?;
    let root = store::find(&repo, commit)?.tree_id();
    let mut at = Item {
        name: Vec::new(),
        mode: Mode::Tree,
        oid: root,
    };
    for part in path.split('/') {
        if at.mode != Mode::Tree {
            return Ok(None);
        }
        let items = trees::read(&odb, at.oid)?;
        let Some(next) = items.into_iter().find(|item| item.name == part.as_bytes()) else {
            return Ok(None);
        };
        at = next;
    }
    if matches!(at.mode, Mode::Tree | Mode::Submodule) {
        return Ok(None);
    }
    let object = odb.read(at.oid).map_err(git(format!("read {path}")))?;
    Ok((object.kind() == ObjectType::Blob).then(|| object.data().to_vec()))
}
