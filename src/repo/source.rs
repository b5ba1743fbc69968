//! The user's repository: looked at, and copied from. Nothing is ever written there; what is
//! reachable from the base is packed anew into repo.git, so that no file is shared and no other
//! branch, stash or secret of the user's comes along.

use std::path::{Path, PathBuf};

use git2::{BranchType, ErrorCode, Oid, Repository, RepositoryOpenFlags, StatusOptions};

use super::error::{RepoError, git, io};
use super::gather::{self, Wanted};
use super::plain;
use super::store::{self, BASE_REF, PROGRAMME};
use super::trees::{self, Files};
use crate::os::files;

/// The name that a directory's one commit gets where no base is given.
const IMPORTED: &str = "imported";
/// The time of that commit, 2026-01-01: the same files are the same commit on every machine.
const IMPORTED_AT: i64 = 1_767_225_600;
/// Enough for libgit2 to use all cores of most machines; packing is all that a large start costs.
const PACK_THREADS: u32 = 4;

/// What kind of thing the source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// A repository with files beside it; a linked worktree too.
    Worktree,
    /// A bare repository.
    Bare,
    /// A directory without `.git`, imported as one commit.
    Directory,
}

/// What is known of a source before anything is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its directory, links resolved.
    pub path: PathBuf,
    /// What it is.
    pub kind: SourceKind,
    /// The branch that is checked out there.
    pub branch: Option<String>,
    /// The commit that is checked out there.
    pub head: Option<String>,
    /// Whether files differ from that commit. Allowed, and worth a word: only what is committed counts.
    pub dirty: bool,
    /// Its local branches.
    pub branches: Vec<String>,
}

/// What repo.git was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Founded {
    /// The commit where the programme begins.
    pub commit: String,
    /// The branch, tag or commit of the source that this is.
    pub branch: String,
}

/// Looks at a source: a path of a repository or of a directory. `~` is the caller's to expand.
pub fn inspect(source: &str) -> Result<Source, RepoError> {
    let path = locate(source)?;
    let Some(repo) = open(&path)? else {
        let (kind, branch, head, dirty) = (SourceKind::Directory, None, None, false);
        return Ok(Source {
            path,
            kind,
            branch,
            head,
            dirty,
            branches: Vec::new(),
        });
    };
    if repo.is_shallow() {
        return Err(RepoError::Shallow(path));
    }
    let branches = branches(&repo)?;
    let head = repo.head().ok();
    let commit = head.as_ref().and_then(|head| head.peel_to_commit().ok());
    if commit.is_none() && branches.is_empty() {
        return Err(RepoError::Empty(path));
    }
    let named = head.as_ref().filter(|head| head.is_branch());
    Ok(Source {
        kind: if repo.is_bare() {
            SourceKind::Bare
        } else {
            SourceKind::Worktree
        },
        branch: named
            .and_then(|head| head.shorthand().ok())
            .map(str::to_owned),
        head: commit.map(|commit| commit.id().to_string()),
        dirty: !repo.is_bare() && is_dirty(&repo)?,
        branches,
        path,
    })
}

/// Makes repo.git at `dest` from what is reachable from `base`, or from what is checked out. Where
/// repo.git already stands, whole, it stays as it is: a start that was killed can be repeated.
pub fn found(source: &str, base: Option<&str>, dest: &Path) -> Result<Founded, RepoError> {
    let seen = inspect(source)?;
    if dest.exists() {
        let commit = store::open(dest)
            .ok()
            .and_then(|repo| repo.refname_to_id(BASE_REF).ok());
        let commit = commit.ok_or_else(|| RepoError::Exists(dest.to_owned()))?;
        return Ok(Founded {
            commit: commit.to_string(),
            branch: base_name(&seen, base),
        });
    }
    let mut part = dest.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    store::clear(&part)?;
    let made = store::lay_repo_git(&part).and_then(|()| fill(&seen, base, &part));
    let founded = match made {
        Ok(founded) => founded,
        Err(error) => {
            store::clear(&part)?;
            return Err(error);
        }
    };
    std::fs::rename(&part, dest).map_err(io("name", dest))?;
    Ok(founded)
}

fn fill(seen: &Source, base: Option<&str>, part: &Path) -> Result<Founded, RepoError> {
    let commit = match open(&seen.path)? {
        Some(source) => {
            let commit = resolve(&source, seen, base)?;
            copy(&source, commit, part)?;
            commit
        }
        None => import(&seen.path, part)?,
    };
    let programme = format!("refs/heads/{PROGRAMME}");
    let refs = [(programme, commit), (BASE_REF.to_owned(), commit)];
    store::point_all(&store::open(part)?, &refs)?;
    Ok(Founded {
        commit: commit.to_string(),
        branch: base_name(seen, base),
    })
}

pub(super) fn base_name(seen: &Source, base: Option<&str>) -> String {
    let named = base.map(str::to_owned).or_else(|| seen.branch.clone());
    named
        .or_else(|| seen.head.clone())
        .unwrap_or_else(|| IMPORTED.into())
}

fn locate(source: &str) -> Result<PathBuf, RepoError> {
    let text = source.strip_prefix("file://").unwrap_or(source);
    let path = Path::new(text);
    if !path.exists() {
        // `host:path` is how ssh is written; a colon after the first slash is part of a path.
        let scp = text
            .split('/')
            .next()
            .is_some_and(|first| first.contains(':'));
        return Err(if scp {
            RepoError::NeedsGitCli(source.to_owned())
        } else {
            RepoError::Missing(path.to_owned())
        });
    }
    if !path.is_dir() {
        return Err(RepoError::NotADirectory(path.to_owned()));
    }
    plain::absolute(path)
}

/// Opens what is exactly here, and never what lies above.
pub(super) fn open(path: &Path) -> Result<Option<Repository>, RepoError> {
    let nowhere: &[&Path] = &[];
    match Repository::open_ext(path, RepositoryOpenFlags::NO_SEARCH, nowhere) {
        Ok(repo) => Ok(Some(repo)),
        Err(error) if error.code() == ErrorCode::Owner => Err(RepoError::NotOwned(path.to_owned())),
        // With a `.git` that cannot be opened it is not a plain directory but a broken repository.
        Err(error) if error.code() == ErrorCode::NotFound && !path.join(".git").exists() => {
            Ok(None)
        }
        Err(source) => Err(RepoError::Git {
            doing: format!("open {}", path.display()),
            source,
        }),
    }
}

fn branches(repo: &Repository) -> Result<Vec<String>, RepoError> {
    let mut names = Vec::new();
    for branch in repo
        .branches(Some(BranchType::Local))
        .map_err(git("list branches"))?
    {
        let (branch, _) = branch.map_err(git("list branches"))?;
        if let Ok(Some(name)) = branch.name() {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn is_dirty(repo: &Repository) -> Result<bool, RepoError> {
    let mut options = StatusOptions::new();
    // The index stays as it is: `git status` would write fresh times into it.
    options
        .include_untracked(true)
        .include_ignored(false)
        .update_index(false);
    options.exclude_submodules(true);
    let statuses = repo
        .statuses(Some(&mut options))
        .map_err(git("look for changes"))?;
    Ok(!statuses.is_empty())
}

pub(super) fn resolve(
    repo: &Repository,
    seen: &Source,
    base: Option<&str>,
) -> Result<Oid, RepoError> {
    let path = seen.path.clone();
    let branches = || seen.branches.clone();
    let Some(base) = base else {
        let head = seen
            .head
            .as_deref()
            .and_then(|head| Oid::from_str(head).ok());
        return head.ok_or_else(|| RepoError::NoHead {
            path,
            branches: branches(),
        });
    };
    let names = ["refs/heads/", "refs/remotes/", "refs/tags/"];
    let named = names.iter().find_map(|prefix| {
        let found = repo.find_reference(&format!("{prefix}{base}")).ok()?;
        found.peel_to_commit().ok()
    });
    let by_hash = || {
        let oid = (base.len() == 40)
            .then(|| Oid::from_str(base).ok())
            .flatten()?;
        repo.find_commit(oid).ok()
    };
    let commit = named.or_else(by_hash);
    commit
        .map(|commit| commit.id())
        .ok_or_else(|| RepoError::NoBase {
            path,
            base: base.to_owned(),
            branches: branches(),
        })
}

pub(super) fn copy(source: &Repository, commit: Oid, dest: &Path) -> Result<(), RepoError> {
    let doing = || git(format!("copy {commit} from {}", source.path().display()));
    let mut walk = source.revwalk().map_err(doing())?;
    walk.push(commit).map_err(doing())?;
    let mut pack = source.packbuilder().map_err(doing())?;
    pack.set_threads(PACK_THREADS);
    pack.insert_walk(&mut walk).map_err(doing())?;
    let packs = dest.join("objects/pack");
    pack.write(&packs, 0o444).map_err(doing())?;
    // Whether git syncs a pack is the source's configuration, and an event will name what is in it.
    files::sync_level(&packs).map_err(io("sync", &packs))
}

/// Makes a directory's files one commit, and packs it into `dest`.
fn import(path: &Path, dest: &Path) -> Result<Oid, RepoError> {
    let loose = dest.join("import.git");
    store::lay_scratch(&loose)?;
    let repo = store::open(&loose)?;
    let commit = gather_all(&repo, path)?;
    copy(&repo, commit, dest)?;
    store::clear(&loose)?;
    Ok(commit)
}

fn gather_all(repo: &Repository, path: &Path) -> Result<Oid, RepoError> {
    let odb = store::odb(repo)?;
    let found = gather::gather(&odb, path, &Files::new(), Wanted::Everything)?;
    if let Some(left) = found.left_out.first() {
        let at = path.join(&left.path);
        let limit = super::incoming::MAX_FILE;
        return Err(match left.why {
            "too large" => RepoError::TooLarge { at, limit },
            why => {
                let source = std::io::Error::other(why);
                RepoError::Io {
                    doing: "import",
                    path: at,
                    source,
                }
            }
        });
    }
    if found.files.is_empty() {
        return Err(RepoError::Empty(path.to_owned()));
    }
    let tree = trees::assemble(&odb, &found.files)?;
    let tree = repo
        .find_tree(tree)
        .map_err(git("read the imported tree"))?;
    let org = store::signature(IMPORTED_AT)?;
    repo.commit(None, &org, &org, "Files as they were found\n", &tree, &[])
        .map_err(git("commit the imported files"))
}
