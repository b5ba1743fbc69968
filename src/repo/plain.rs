//! Directories that an agent can write, as plain files: no path is ever resolved twice and no
//! symbolic link is ever followed. Every step opens one name relative to a directory that is
//! already open, so that a name swapped for a link, a pipe or a device while we look leads to a
//! refusal and never outside and never to a hang. Knows no git but the names that a tree may not hold.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::error::{RepoError, io, os};

/// What a file is called while it is written into a worktree, before it takes the place of the old
/// one. Whoever is killed in between leaves it behind; it is nobody's work.
pub const DRAFT: &str = ".org-write";
/// How deep a directory may lie: each level costs an open descriptor, of which a process has 1024.
pub(super) const MAX_DEPTH: usize = 64;
/// How many names a walk looks at, whatever becomes of them: about a second of looking.
pub(super) const MAX_ENTRIES: usize = 500_000;

/// What a name is, its link not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// A directory.
    Dir,
    /// A pipe, socket or device: never opened.
    Other,
}

/// One name that a walk has come to.
pub(super) struct Entry<'a> {
    /// The path from the root of the walk, with `/`.
    pub(super) path: &'a [u8],
    /// Its last part.
    pub(super) name: &'a CStr,
    /// The directory that holds it.
    pub(super) dir: BorrowedFd<'a>,
    /// What it is.
    pub(super) kind: Kind,
}

/// What a walk does next with a directory; for all else it makes no difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Look inside.
    Into,
    /// Leave it.
    Over,
}

/// The bytes of a regular file.
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    pub(super) executable: bool,
}

/// Why the bytes of a file could not be had; never a reason to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is not there (any more).
    Gone,
    /// It is (now) something else than a regular file.
    NotAFile,
    /// It has more bytes than were allowed.
    TooLarge,
    /// The operating system said no.
    Unreadable,
}

impl Refusal {
    /// As words in a report.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Gone => "gone while it was read",
            Self::NotAFile => "not a regular file",
            Self::TooLarge => "too large",
            Self::Unreadable => "cannot be read",
        }
    }
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::NOENT | Errno::NOTDIR => Self::Gone,
            Errno::LOOP | Errno::NXIO | Errno::ISDIR => Self::NotAFile,
            _ => Self::Unreadable,
        }
    }
}

/// Opens a directory by its full path. The last part must not be a link; those before it belong to
/// whoever runs the org.
pub(super) fn open_root(path: &Path) -> Result<OwnedFd, RepoError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(os("open directory", path))
}

/// Opens a directory inside an open one.
pub(super) fn open_dir(dir: impl AsFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::empty())
}

/// Opens the directory `path` below an open one, one part at a time.
pub(super) fn descend(dir: impl AsFd, path: &str) -> Result<OwnedFd, Errno> {
    let mut at = dir.as_fd().try_clone_to_owned().map_err(|_| Errno::MFILE)?;
    for part in path.split('/').filter(|part| !part.is_empty()) {
        at = open_dir(&at, &CString::new(part).map_err(|_| Errno::INVAL)?)?;
    }
    Ok(at)
}

/// Reads a regular file of at most `limit` bytes.
pub(super) fn read_file(dir: impl AsFd, name: &CStr, limit: u64) -> Result<Body, Refusal> {
    // Not blocking, for a pipe that took the file's place would wait for a writer for ever.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(dir, name, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&fd)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Refusal::NotAFile);
    }
    let size = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
    if size > limit {
        return Err(Refusal::TooLarge);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1);
    // One more than allowed, to notice a file that grows under the reading.
    let mut file = File::from(fd).take(limit + 1);
    file.read_to_end(&mut bytes)
        .map_err(|_| Refusal::Unreadable)?;
    if bytes.len() as u64 > limit {
        return Err(Refusal::TooLarge);
    }
    Ok(Body {
        bytes,
        executable: stat.st_mode & 0o100 != 0,
    })
}

/// The target of a symbolic link, which is never looked up.
pub(super) fn read_link(dir: impl AsFd, name: &CStr) -> Result<Vec<u8>, Refusal> {
    Ok(rustix::fs::readlinkat(dir, name, Vec::new())?.into_bytes())
}

/// Walks everything below `root` in the order of the bytes of the names, parents before children.
pub(super) fn walk(
    root: impl AsFd,
    at: &Path,
    visit: &mut dyn FnMut(&Entry<'_>) -> Result<Step, RepoError>,
) -> Result<(), RepoError> {
    let mut budget = MAX_ENTRIES;
    let mut path = Vec::new();
    walk_into(root.as_fd(), at, &mut path, 0, &mut budget, visit)
}

fn walk_into(
    dir: BorrowedFd<'_>,
    at: &Path,
    path: &mut Vec<u8>,
    depth: usize,
    budget: &mut usize,
    visit: &mut dyn FnMut(&Entry<'_>) -> Result<Step, RepoError>,
) -> Result<(), RepoError> {
    let too_many = |what, limit| RepoError::TooMany {
        at: at.to_owned(),
        what,
        limit,
    };
    for (name, kind) in list(dir, budget).map_err(os("list", at))? {
        if *budget == 0 {
            return Err(too_many("names", MAX_ENTRIES));
        }
        let parent = path.len();
        if parent > 0 {
            path.push(b'/');
        }
        path.extend_from_slice(name.to_bytes());
        let step = visit(&Entry {
            path,
            name: &name,
            dir,
            kind,
        })?;
        if kind == Kind::Dir && step == Step::Into {
            if depth + 1 >= MAX_DEPTH {
                return Err(too_many("levels of directories", MAX_DEPTH));
            }
            match open_dir(dir, &name) {
                Ok(inner) => walk_into(inner.as_fd(), at, path, depth + 1, budget, visit)?,
                // Swapped or removed meanwhile, or not ours to read: nothing to see.
                Err(Errno::MFILE | Errno::NFILE) => {
                    return Err(too_many("open directories", depth));
                }
                Err(_) => {}
            }
        }
        path.truncate(parent);
    }
    Ok(())
}

fn list(dir: BorrowedFd<'_>, budget: &mut usize) -> Result<Vec<(CString, Kind)>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        *budget = budget.saturating_sub(1);
        if *budget == 0 {
            names.push((name.to_owned(), Kind::Other));
            return Ok(names);
        }
        let kind = match entry.file_type() {
            FileType::Unknown => kind_of(dir, name),
            known => kind(known),
        };
        names.push((name.to_owned(), kind));
    }
    names.sort_unstable();
    Ok(names)
}

/// What a name is now, its link not followed; `Other` where it is nothing.
pub(super) fn kind_of(dir: impl AsFd, name: &CStr) -> Kind {
    rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map_or(Kind::Other, |stat| {
        kind(FileType::from_raw_mode(stat.st_mode))
    })
}

fn kind(found: FileType) -> Kind {
    match found {
        FileType::RegularFile => Kind::File,
        FileType::Symlink => Kind::Link,
        FileType::Directory => Kind::Dir,
        _ => Kind::Other,
    }
}

impl Ord for Kind {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (*self as u8).cmp(&(*other as u8))
    }
}

impl PartialOrd for Kind {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Writes a new file; what already has the name, a link above all, makes it fail.
pub(super) fn write_file(
    dir: impl AsFd,
    name: &CStr,
    bytes: &[u8],
    executable: bool,
) -> Result<Stat, io::Error> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(if executable { 0o777 } else { 0o666 });
    let mut file = File::from(rustix::fs::openat(dir, name, flags, mode)?);
    file.write_all(bytes)?;
    Ok(rustix::fs::fstat(&file)?)
}

/// Makes a new symbolic link.
pub(super) fn write_link(dir: impl AsFd, name: &CStr, target: &[u8]) -> Result<Stat, Errno> {
    let target = CString::new(target).map_err(|_| Errno::INVAL)?;
    rustix::fs::symlinkat(target.as_c_str(), &dir, name)?;
    rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
}

/// Makes a directory, or takes the one that is there.
pub(super) fn make_dir(dir: impl AsFd, name: &CStr) -> Result<OwnedFd, Errno> {
    match rustix::fs::mkdirat(&dir, name, Mode::from_raw_mode(0o777)) {
        Ok(()) | Err(Errno::EXIST) => open_dir(dir, name),
        Err(errno) => Err(errno),
    }
}

/// Removes whatever has the name, a whole directory too; links are removed, not followed.
pub(super) fn remove(dir: impl AsFd, name: &CStr) -> Result<(), Errno> {
    remove_down(dir.as_fd(), name, 0)
}

fn remove_down(dir: BorrowedFd<'_>, name: &CStr, depth: usize) -> Result<(), Errno> {
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) if depth < MAX_DEPTH => {}
        Err(errno) => return Err(errno),
    }
    let inner = open_dir(dir, name)?;
    let mut unlimited = usize::MAX;
    for (child, _) in list(inner.as_fd(), &mut unlimited)? {
        remove_down(inner.as_fd(), &child, depth + 1)?;
    }
    match rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR) {
        Err(Errno::NOENT) => Ok(()),
        done => done,
    }
}

/// Writes a new file of our own by its full path, in a directory that no agent can write yet.
pub(super) fn place(path: &Path, text: &str) -> Result<(), RepoError> {
    let mut file = File::create_new(path).map_err(io("create", path))?;
    file.write_all(text.as_bytes()).map_err(io("write", path))
}

/// Makes a directory of our own and those above it.
pub(super) fn make_dirs(path: &Path) -> Result<(), RepoError> {
    std::fs::create_dir_all(path).map_err(io("create directory", path))
}

/// The path with all links of its parents resolved, for files that others read it from.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, RepoError> {
    path.canonicalize().map_err(io("resolve", path))
}

/// A name that may stand in a tree: nothing that a file system or git reads as something else.
pub(super) fn may_stand_in_tree(name: &[u8]) -> bool {
    !name.is_empty()
        && name != b"."
        && name != b".."
        && !name.eq_ignore_ascii_case(b".git")
        && !name.iter().any(|&byte| byte == b'/' || byte == 0)
}
