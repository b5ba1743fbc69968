//! A commit as plain files: clean checkouts for measured runs, the first state of a worktree, and
//! the protected files put back in their place. Bytes are written as they are in the commit, and
//! nothing is written through a link, whoever made it.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use git2::{ObjectType, Odb, Oid};
use rustix::fs::Stat;
use sha2::{Digest, Sha256};

use super::error::{RepoError, git, io, os};
use super::plain::{self, Kind, Step};
use super::store;
use super::trees::{self, Item, Mode};
use crate::domain::glob;

/// A file that was laid down, and what the file system says of it.
pub(super) struct Laid {
    pub(super) path: Vec<u8>,
    pub(super) mode: Mode,
    pub(super) oid: Oid,
    /// None for a submodule, whose place is an empty directory.
    pub(super) stat: Option<Stat>,
}

/// Writes the files of `commit` into `dest`, which must be new or empty. There is no `.git`.
pub fn checkout(repo_git: &Path, commit: &str, dest: &Path) -> Result<(), RepoError> {
    let repo = store::open(repo_git)?;
    let tree = store::find(&repo, commit)?.tree_id();
    plain::make_dirs(dest)?;
    let mut names = std::fs::read_dir(dest).map_err(io("list", dest))?;
    if names.next().is_some() {
        return Err(RepoError::Exists(dest.to_owned()));
    }
    lay_tree(&store::odb(&repo)?, tree, dest).map(drop)
}

/// Writes the files of a tree into a directory that holds none of them.
pub(super) fn lay_tree(odb: &Odb<'_>, tree: Oid, dest: &Path) -> Result<Vec<Laid>, RepoError> {
    let root = plain::open_root(dest)?;
    let mut layer = Layer {
        odb,
        dest,
        laid: Vec::new(),
    };
    layer.tree(tree, root.as_fd(), &mut Vec::new(), 0)?;
    Ok(layer.laid)
}

struct Layer<'a> {
    odb: &'a Odb<'a>,
    dest: &'a Path,
    laid: Vec<Laid>,
}

impl Layer<'_> {
    fn tree(
        &mut self,
        tree: Oid,
        dir: BorrowedFd<'_>,
        path: &mut Vec<u8>,
        depth: usize,
    ) -> Result<(), RepoError> {
        let bad = |why| RepoError::Malformed {
            id: tree.to_string(),
            why,
        };
        if depth >= plain::MAX_DEPTH {
            return Err(bad("directories too deep"));
        }
        for item in trees::read(self.odb, tree)? {
            let parent = path.len();
            if parent > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(&item.name);
            let name = c_name(&item.name)?;
            let stat = match item.mode {
                Mode::Tree => {
                    let inner =
                        plain::make_dir(dir, &name).map_err(os("make directory", self.dest))?;
                    self.tree(item.oid, inner.as_fd(), path, depth + 1)?;
                    path.truncate(parent);
                    continue;
                }
                _ => lay_item(self.odb, dir, &name, &item, self.dest)?,
            };
            let Item { mode, oid, .. } = item;
            self.laid.push(Laid {
                path: path.clone(),
                mode,
                oid,
                stat,
            });
            if self.laid.len() > trees::MAX_TREE_FILES {
                return Err(bad("too many files"));
            }
            path.truncate(parent);
        }
        Ok(())
    }
}

fn lay_item(
    odb: &Odb<'_>,
    dir: BorrowedFd<'_>,
    name: &CStr,
    item: &Item,
    dest: &Path,
) -> Result<Option<Stat>, RepoError> {
    if item.mode == Mode::Submodule {
        plain::make_dir(dir, name).map_err(os("make directory", dest))?;
        return Ok(None);
    }
    let object = odb
        .read(item.oid)
        .map_err(git(format!("read file {}", item.oid)))?;
    if object.kind() != ObjectType::Blob {
        return Err(RepoError::Malformed {
            id: item.oid.to_string(),
            why: "not a file",
        });
    }
    let at = || dest.join(name.to_string_lossy().as_ref());
    let bytes = object.data();
    let stat = if item.mode == Mode::Link {
        plain::write_link(dir, name, bytes).map_err(os("link", &at()))?
    } else {
        let executable = item.mode == Mode::Executable;
        plain::write_file(dir, name, bytes, executable).map_err(io("write", &at()))?
    };
    Ok(Some(stat))
}

/// Makes everything below `dest` that one of `globs` names what it is in `base`: changed files are
/// replaced, missing ones written, others removed. Says which paths that was.
pub fn restore(
    repo_git: &Path,
    base: &str,
    dest: &Path,
    globs: &[String],
) -> Result<Vec<String>, RepoError> {
    put_back(repo_git, base, dest, &|path| glob::any(globs, path))
}

/// The other way round: makes everything what it is in `base` but what one of `globs` names.
pub fn restore_all_but(
    repo_git: &Path,
    base: &str,
    dest: &Path,
    globs: &[String],
) -> Result<Vec<String>, RepoError> {
    put_back(repo_git, base, dest, &|path| !glob::any(globs, path))
}

/// Files of `base` that one of `globs` names and that are not below `dest` as they are there. What
/// lies beside them is nobody's loss: an interpreter leaves caches.
pub fn altered(
    repo_git: &Path,
    base: &str,
    dest: &Path,
    globs: &[String],
) -> Result<Vec<String>, RepoError> {
    let repo = store::open(repo_git)?;
    let odb = store::odb(&repo)?;
    let tree = store::find(&repo, base)?.tree_id();
    let found = difference(&odb, tree, dest, &|path| glob::any(globs, path))?;
    let text = |path: Vec<u8>| String::from_utf8_lossy(&path).into_owned();
    Ok(found.missing.into_keys().map(text).collect())
}

/// How a directory differs from a tree.
struct Difference {
    /// Files of the tree that are not there, or not so.
    missing: trees::Files,
    /// What is there and not in the tree.
    extra: Vec<Vec<u8>>,
}

fn difference(
    odb: &Odb<'_>,
    tree: Oid,
    dest: &Path,
    meant: &dyn Fn(&str) -> bool,
) -> Result<Difference, RepoError> {
    let mut missing = trees::flatten(odb, tree)?;
    missing.retain(|path, _| meant(&String::from_utf8_lossy(path)));
    let root = plain::open_root(dest)?;
    let mut extra: Vec<Vec<u8>> = Vec::new();
    let mut same: Vec<Vec<u8>> = Vec::new();
    plain::walk(&root, dest, &mut |entry| {
        match missing.get(entry.path) {
            Some(&(mode, oid)) if is_same(entry, mode, oid) => same.push(entry.path.to_vec()),
            None if entry.kind != Kind::Dir && meant(&String::from_utf8_lossy(entry.path)) => {
                extra.push(entry.path.to_vec());
            }
            _ => {}
        }
        Ok(Step::Into)
    })?;
    for path in &same {
        missing.remove(path);
    }
    Ok(Difference { missing, extra })
}

fn put_back(
    repo_git: &Path,
    base: &str,
    dest: &Path,
    meant: &dyn Fn(&str) -> bool,
) -> Result<Vec<String>, RepoError> {
    let repo = store::open(repo_git)?;
    let odb = store::odb(&repo)?;
    let tree = store::find(&repo, base)?.tree_id();
    let Difference { missing, extra } = difference(&odb, tree, dest, meant)?;
    let root = plain::open_root(dest)?;
    let mut touched = Vec::new();
    for path in extra {
        let (dir, name) = parent_of(root.as_fd(), &path, dest)?;
        plain::remove(&dir, &name).map_err(os("remove", dest))?;
        touched.push(String::from_utf8_lossy(&path).into_owned());
    }
    for (path, (mode, oid)) in missing {
        let (dir, name) = parent_of(root.as_fd(), &path, dest)?;
        plain::remove(&dir, &name).map_err(os("remove", dest))?;
        let item = Item {
            name: Vec::new(),
            mode,
            oid,
        };
        lay_item(&odb, dir.as_fd(), &name, &item, dest)?;
        touched.push(String::from_utf8_lossy(&path).into_owned());
    }
    touched.sort_unstable();
    Ok(touched)
}

/// A SHA-256 over path, mode and contents of the files of a commit that one of `globs` names.
pub fn commit_hash(repo_git: &Path, commit: &str, globs: &[String]) -> Result<String, RepoError> {
    let repo = store::open(repo_git)?;
    let odb = store::odb(&repo)?;
    let mut files = trees::flatten(&odb, store::find(&repo, commit)?.tree_id())?;
    files.retain(|path, _| glob::any(globs, &String::from_utf8_lossy(path)));
    let mut hash = Sha256::new();
    for (path, (mode, oid)) in &files {
        hash.update((path.len() as u64).to_le_bytes());
        hash.update(path);
        hash.update(mode.bits().to_le_bytes());
        hash.update(oid.as_bytes());
    }
    Ok(hex(&hash.finalize()))
}

/// What lies below `dir` and is not in a commit: files, links and whole directories, each by its path
/// from `dir`.
pub fn additions(repo_git: &Path, commit: &str, dir: &Path) -> Result<Vec<String>, RepoError> {
    let repo = store::open(repo_git)?;
    let odb = store::odb(&repo)?;
    let files = trees::flatten(&odb, store::find(&repo, commit)?.tree_id())?;
    let holds = |path: &[u8]| {
        let below = [path, b"/"].concat();
        let mut from = files.range(below.clone()..);
        from.next()
            .is_some_and(|(first, _)| first.starts_with(&below))
    };
    let root = plain::open_root(dir)?;
    let mut added = Vec::new();
    plain::walk(&root, dir, &mut |entry| {
        if files.contains_key(entry.path) || entry.kind == Kind::Dir && holds(entry.path) {
            return Ok(Step::Into);
        }
        added.push(String::from_utf8_lossy(entry.path).into_owned());
        Ok(Step::Over)
    })?;
    Ok(added)
}

fn is_same(entry: &plain::Entry<'_>, mode: Mode, oid: Oid) -> bool {
    let bytes = match (entry.kind, mode) {
        (Kind::Dir, Mode::Submodule) => return true,
        (Kind::Link, Mode::Link) => plain::read_link(entry.dir, entry.name),
        (Kind::File, Mode::File | Mode::Executable) => {
            plain::read_file(entry.dir, entry.name, u64::MAX - 1).and_then(|body| {
                let same_mode = body.executable == (mode == Mode::Executable);
                same_mode
                    .then_some(body.bytes)
                    .ok_or(plain::Refusal::NotAFile)
            })
        }
        _ => return false,
    };
    bytes.is_ok_and(|bytes| Oid::hash_object(ObjectType::Blob, &bytes).is_ok_and(|is| is == oid))
}

/// Opens the directory that is to hold `path`, replacing whatever stands in its way: a directory
/// that somebody made a link to elsewhere above all.
fn parent_of(
    root: BorrowedFd<'_>,
    path: &[u8],
    dest: &Path,
) -> Result<(std::os::fd::OwnedFd, CString), RepoError> {
    let mut parts: Vec<&[u8]> = path.split(|&b| b == b'/').collect();
    let leaf = c_name(parts.pop().unwrap_or_default())?;
    let mut dir = root.try_clone_to_owned().map_err(io("open", dest))?;
    for part in parts {
        let name = c_name(part)?;
        if plain::kind_of(&dir, &name) != Kind::Dir {
            plain::remove(&dir, &name).map_err(os("remove", dest))?;
        }
        dir = plain::make_dir(&dir, &name).map_err(os("make directory", dest))?;
    }
    Ok((dir, leaf))
}

fn c_name(name: &[u8]) -> Result<CString, RepoError> {
    CString::new(name).map_err(|_| RepoError::BadName(String::from_utf8_lossy(name).into_owned()))
}

/// A SHA-256 over path, kind, executable bit and bytes of all that one of `globs` names below
/// `dir`: equal before and after a run if, and only if, the run left them alone.
pub fn tree_hash(dir: &Path, globs: &[String]) -> Result<String, RepoError> {
    let root = plain::open_root(dir)?;
    let mut hash = Sha256::new();
    // Lengths go before contents, so that no two lists of files read the same.
    let mut feed = |part: &[u8]| {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    };
    plain::walk(&root, dir, &mut |entry| {
        if !glob::any(globs, &String::from_utf8_lossy(entry.path)) {
            return Ok(Step::Into);
        }
        feed(entry.path);
        match entry.kind {
            Kind::Dir => feed(b"dir"),
            Kind::Other => feed(b"other"),
            Kind::Link => {
                feed(b"link");
                feed(&plain::read_link(entry.dir, entry.name).unwrap_or_default());
            }
            Kind::File => match plain::read_file(entry.dir, entry.name, u64::MAX - 1) {
                Ok(body) => {
                    feed(if body.executable {
                        b"executable"
                    } else {
                        b"file"
                    });
                    feed(&body.bytes);
                }
                Err(refusal) => feed(refusal.reason().as_bytes()),
            },
        }
        Ok(Step::Into)
    })?;
    Ok(hex(&hash.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
        text
    })
}
