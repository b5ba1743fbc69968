//! Taking in what an agent committed: its branch is read as text, and the objects behind it one by
//! one, as hashed data, from the agent's own object database.
//!
//! libgit2 is never pointed at that database. It would follow `info/alternates` to any object on
//! the machine, wait for ever on a pipe that bears an object's name, and be killed by a pack that
//! shrinks while it is mapped. So each file is first copied, as a plain file, into a place of our
//! own, and read there. An object comes into repo.git after all that it refers to: what repo.git
//! has, it has whole.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use git2::{ObjectType, Odb, OdbLookupFlags, Oid};

use super::error::{RepoError, git, io};
use super::plain::{self, Refusal};
use super::store;
use super::trees::{self, Mode};

/// The largest file or object that is taken in. A checkpoint is not a commit.
pub(super) const MAX_FILE: u64 = 50 * 1024 * 1024;
/// All that one snapshot may add to repo.git.
pub(super) const MAX_NEW: u64 = 1024 * 1024 * 1024;
/// How many commits one turn may add.
const MAX_COMMITS: usize = 10_000;
/// A ref is one line; `packed-refs` has one for each.
const MAX_REF: u64 = 4096;
const MAX_PACKED_REFS: u64 = 4 * 1024 * 1024;

/// What the agent's branch says, if it says anything that can be believed.
pub(super) fn branch_tip(agent_git: &Path, name: &str) -> Result<Oid, &'static str> {
    let root = plain::open_root(agent_git).map_err(|_| "the agent's repository is gone")?;
    let (dir, leaf) = name.rsplit_once('/').ok_or("not a full name")?;
    let leaf = CString::new(leaf).map_err(|_| "not a name")?;
    let loose = match plain::descend(&root, dir) {
        Ok(dir) => plain::read_file(&dir, &leaf, MAX_REF),
        Err(errno) => Err(errno.into()),
    };
    match loose {
        Ok(body) => {
            let text = str::from_utf8(&body.bytes).map_err(|_| "the branch is not text")?;
            hex(text.trim_end()).ok_or("the branch does not name a commit")
        }
        Err(Refusal::Gone) => packed_tip(&root, name),
        Err(_) => Err("the branch is not a regular file"),
    }
}

fn packed_tip(root: &OwnedFd, name: &str) -> Result<Oid, &'static str> {
    let body = plain::read_file(root, c"packed-refs", MAX_PACKED_REFS)
        .map_err(|_| "the branch does not exist")?;
    let text = str::from_utf8(&body.bytes).map_err(|_| "packed-refs is not text")?;
    let line = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(_, n)| *n == name);
    line.and_then(|(id, _)| hex(id))
        .ok_or("the branch does not exist")
}

fn hex(text: &str) -> Option<Oid> {
    let digits = text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let oid = Oid::from_str(text).ok().filter(|_| digits)?;
    (!oid.is_zero()).then_some(oid)
}

/// Copies `tip` and all behind it that `home` lacks.
pub(super) fn take_in(
    home: &Odb<'_>,
    agent_git: &Path,
    quarantine: PathBuf,
    tip: Oid,
) -> Result<(), RepoError> {
    if has(home, tip) {
        return Ok(());
    }
    let root = plain::open_root(agent_git)?;
    let objects = plain::descend(&root, "objects")
        .map_err(super::error::os("open", &agent_git.join("objects")))?;
    store::clear(&quarantine)?;
    plain::make_dirs(&quarantine.join("pack"))?;
    let odb = Odb::new().map_err(git("make an object database"))?;
    let path = quarantine
        .to_str()
        .ok_or_else(|| RepoError::Missing(quarantine.clone()))?;
    odb.add_disk_alternate(path)
        .map_err(git("open the quarantine"))?;
    let mut incoming = Incoming {
        home,
        objects,
        odb,
        packs_copied: false,
        left: MAX_NEW,
        quarantine,
    };
    let taken = incoming.history(tip);
    let cleared = store::clear(&incoming.quarantine);
    taken.and(cleared)
}

fn has(odb: &Odb<'_>, oid: Oid) -> bool {
    // Without the look for new packs that a miss costs: nothing but us writes there.
    odb.exists_ext(oid, OdbLookupFlags::NO_REFRESH)
}

struct Incoming<'a> {
    home: &'a Odb<'a>,
    objects: OwnedFd,
    odb: Odb<'static>,
    packs_copied: bool,
    left: u64,
    quarantine: PathBuf,
}

impl Incoming<'_> {
    /// Commits, parents first. Not recursive, for a history is as long as an agent likes.
    fn history(&mut self, tip: Oid) -> Result<(), RepoError> {
        let mut seen = BTreeSet::new();
        let mut stack = vec![(tip, None::<Vec<u8>>)];
        while let Some((oid, read)) = stack.pop() {
            if let Some(bytes) = read {
                self.keep(oid, ObjectType::Commit, &bytes)?;
                continue;
            }
            if has(self.home, oid) || !seen.insert(oid) {
                continue;
            }
            if seen.len() > MAX_COMMITS {
                return Err(bad(oid, "more commits than one turn may add"));
            }
            let bytes = self.fetch(oid, ObjectType::Commit)?;
            let (tree, parents) = commit_links(oid, &bytes)?;
            self.tree(tree, 0)?;
            stack.push((oid, Some(bytes)));
            stack.extend(parents.into_iter().map(|parent| (parent, None)));
        }
        Ok(())
    }

    fn tree(&mut self, oid: Oid, depth: usize) -> Result<(), RepoError> {
        if has(self.home, oid) {
            return Ok(());
        }
        if depth >= plain::MAX_DEPTH {
            return Err(bad(oid, "directories too deep"));
        }
        let bytes = self.fetch(oid, ObjectType::Tree)?;
        for item in trees::parse(oid, &bytes)? {
            match item.mode {
                Mode::Tree => self.tree(item.oid, depth + 1)?,
                // Another repository's commit: nobody has it, and nobody looks for it.
                Mode::Submodule => {}
                Mode::File | Mode::Executable | Mode::Link => self.blob(item.oid)?,
            }
        }
        self.keep(oid, ObjectType::Tree, &bytes)
    }

    fn blob(&mut self, oid: Oid) -> Result<(), RepoError> {
        if has(self.home, oid) {
            return Ok(());
        }
        let bytes = self.fetch(oid, ObjectType::Blob)?;
        self.keep(oid, ObjectType::Blob, &bytes)
    }

    /// Writes an object under the name that its bytes have, which must be the one it was asked by.
    fn keep(&mut self, oid: Oid, kind: ObjectType, bytes: &[u8]) -> Result<(), RepoError> {
        let found = Oid::hash_object(kind, bytes).map_err(git("hash an object"))?;
        if found != oid {
            return Err(bad(oid, "its bytes have another hash"));
        }
        self.home
            .write(kind, bytes)
            .map(drop)
            .map_err(git(format!("write object {oid}")))
    }

    fn fetch(&mut self, oid: Oid, kind: ObjectType) -> Result<Vec<u8>, RepoError> {
        if !self.copy_loose(oid)? {
            self.copy_packs()?;
        }
        let (size, found) = self
            .odb
            .read_header(oid)
            .map_err(git(format!("find object {oid}")))?;
        if found != kind {
            return Err(bad(oid, "another kind of object than was referred to"));
        }
        let size = size as u64;
        if size > MAX_FILE {
            return Err(bad(oid, "larger than an object may be"));
        }
        self.left = self
            .left
            .checked_sub(size)
            .ok_or_else(|| RepoError::TooLarge {
                at: self.quarantine.clone(),
                limit: MAX_NEW,
            })?;
        let object = self
            .odb
            .read(oid)
            .map_err(git(format!("read object {oid}")))?;
        Ok(object.data().to_vec())
    }

    fn copy_loose(&mut self, oid: Oid) -> Result<bool, RepoError> {
        let id = oid.to_string();
        let (fan, rest) = id.split_at(2);
        let Ok(dir) = plain::descend(&self.objects, fan) else {
            return Ok(false);
        };
        let name = CString::new(rest).expect("hexadecimal digits hold no zero byte");
        let Ok(body) = plain::read_file(&dir, &name, MAX_FILE) else {
            return Ok(false);
        };
        let place = self.quarantine.join(fan);
        plain::make_dirs(&place)?;
        write(&place.join(rest), &body.bytes)?;
        Ok(true)
    }

    /// All packs at once, for which of them has an object is written in each. `git gc` makes one.
    fn copy_packs(&mut self) -> Result<(), RepoError> {
        if std::mem::replace(&mut self.packs_copied, true) {
            return Ok(());
        }
        let Ok(dir) = plain::descend(&self.objects, "pack") else {
            return Ok(());
        };
        let mut names = Vec::new();
        plain::walk(&dir, &self.quarantine, &mut |entry| {
            if entry.kind == plain::Kind::File && pack_file(entry.path) {
                names.push(entry.name.to_owned());
            }
            Ok(plain::Step::Over)
        })?;
        for name in names {
            let Ok(body) = plain::read_file(&dir, &name, self.left) else {
                continue;
            };
            self.left -= body.bytes.len() as u64;
            let leaf = name.to_str().expect("checked to be ASCII");
            write(&self.quarantine.join("pack").join(leaf), &body.bytes)?;
        }
        self.odb.refresh().map_err(git("open the quarantine"))
    }
}

fn pack_file(name: &[u8]) -> bool {
    name.is_ascii()
        && name.starts_with(b"pack-")
        && (name.ends_with(b".pack") || name.ends_with(b".idx"))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), RepoError> {
    use std::io::Write;
    let mut file = match std::fs::File::create_new(path) {
        // The same object, asked for again.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(()),
        made => made.map_err(io("create", path))?,
    };
    file.write_all(bytes).map_err(io("write", path))
}

fn bad(oid: Oid, why: &'static str) -> RepoError {
    RepoError::Malformed {
        id: oid.to_string(),
        why,
    }
}

/// The tree and the parents of a commit, whose other lines are checked as far as they are used.
fn commit_links(oid: Oid, bytes: &[u8]) -> Result<(Oid, Vec<Oid>), RepoError> {
    let malformed = || bad(oid, "not a commit");
    let head = bytes
        .split(|&b| b == b'\n')
        .map_while(|line| str::from_utf8(line).ok());
    let mut lines = head.take_while(|line| !line.is_empty());
    let tree = lines
        .next()
        .and_then(|line| line.strip_prefix("tree "))
        .and_then(hex);
    let mut parents = Vec::new();
    for line in lines {
        if let Some(parent) = line.strip_prefix("parent ") {
            parents.push(hex(parent).ok_or_else(malformed)?);
        } else if line.starts_with("author ") {
            return Ok((tree.ok_or_else(malformed)?, parents));
        } else {
            break;
        }
    }
    Err(malformed())
}
