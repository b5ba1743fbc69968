//! Files inside a directory that somebody hostile may rearrange meanwhile.
//!
//! Every path is resolved by the kernel beneath an open directory, so that no link, `..` or swapped
//! directory leads out of it; only regular files are opened, and never in a way that can hang. Must
//! not know what the files are for.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use super::Desk;
use crate::repo;

/// Tries of a lookup that the kernel gave up since something moved; it asks to be asked again.
const TRIES: usize = 8;
/// What `pre` says where there is no file.
pub(super) const ABSENT: &str = "absent";

/// Why a file cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    /// It lies, or leads, outside.
    #[error("{0} is outside of your worktree")]
    Outside(String),
    /// It belongs to git.
    #[error("{0} belongs to git and is not written by tools")]
    Git(String),
    /// It is a directory, pipe, link or device.
    #[error("{0} is {1}, not a regular file")]
    Kind(String, &'static str),
    /// It is larger than is read.
    #[error("{0} has {1} bytes, more than the {2} that are read")]
    Large(String, u64, u64),
    /// It is no text.
    #[error("{0} is not a text file")]
    Binary(String),
    /// The system refused.
    #[error("{0}: {1}")]
    Io(String, io::Error),
}

/// A path beneath a directory, not looked at yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spot {
    root: PathBuf,
    below: PathBuf,
}

impl Spot {
    /// Where a model's path leads: beneath the worktree, or, to read only, beneath the agent's
    /// private directories.
    pub(super) fn find(desk: &Desk, given: &str, to_read: bool) -> Result<Self, FileError> {
        let work = desk.dir.work(&desk.agent);
        let mut roots = vec![work.clone()];
        if to_read {
            roots.extend([desk.dir.scratch(&desk.agent), desk.dir.jobs(&desk.agent)]);
        }
        let outside = || FileError::Outside(super::one_line(given));
        let path = plain(Path::new(given)).ok_or_else(outside)?;
        if given.is_empty() || given.contains('\0') {
            return Err(outside());
        }
        if !path.is_absolute() {
            let below = path;
            return Ok(Self { root: work, below });
        }
        let below = |root: &Path| path.strip_prefix(root).ok().map(Path::to_owned);
        roots
            .into_iter()
            .find_map(|root| {
                // By the run's own name, or by the one that `pwd` prints where a link leads to it.
                let below = below(&root).or_else(|| below(&root.canonicalize().ok()?))?;
                Some(Self { root, below })
            })
            .ok_or_else(outside)
    }

    /// The path as it is shown: relative in a worktree.
    pub(super) fn shown(&self) -> String {
        if self.below.as_os_str().is_empty() {
            return ".".to_owned();
        }
        super::one_line(&self.below.to_string_lossy())
    }

    /// Refuses what belongs to git.
    pub(super) fn writable(self) -> Result<Self, FileError> {
        let git = |part: Component<'_>| part.as_os_str().eq_ignore_ascii_case(".git");
        if self.below.components().any(git) {
            return Err(FileError::Git(self.shown()));
        }
        Ok(self)
    }

    /// Opens it to read: a regular file or a directory, and which.
    pub(super) fn open(&self) -> Result<(OwnedFd, FileType, u64), FileError> {
        let root = open_root(&self.root).map_err(|error| self.error(error))?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = beneath(&root, &self.below, flags).map_err(|error| self.error(error))?;
        let stat = rustix::fs::fstat(&file).map_err(|error| self.error(error))?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        Ok((file, kind, u64::try_from(stat.st_size).unwrap_or(0)))
    }

    /// A regular file, opened to read, and its size.
    pub(super) fn file(&self) -> Result<(File, u64), FileError> {
        let (file, kind, size) = self.open()?;
        if kind != FileType::RegularFile {
            return Err(FileError::Kind(self.shown(), word(kind)));
        }
        Ok((file.into(), size))
    }

    /// All bytes of a regular file.
    pub(super) fn read(&self, limit: u64) -> Result<Vec<u8>, FileError> {
        let (file, size) = self.file()?;
        let mut bytes = Vec::new();
        file.take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| FileError::Io(self.shown(), error))?;
        if bytes.len() as u64 > limit {
            return Err(FileError::Large(self.shown(), size, limit));
        }
        Ok(bytes)
    }

    /// SHA-256 of the file, [`ABSENT`] where there is none.
    pub(super) fn hash(&self) -> Result<String, FileError> {
        let mut file = match self.file() {
            Ok((file, _)) => file,
            Err(FileError::Io(_, error)) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(ABSENT.to_owned());
            }
            Err(error) => return Err(error),
        };
        let mut digest = Sha256::new();
        let mut chunk = [0; 16 * 1024];
        loop {
            match file.read(&mut chunk) {
                Ok(0) => break,
                Ok(length) => digest.update(&chunk[..length]),
                Err(error) => return Err(FileError::Io(self.shown(), error)),
            }
        }
        let digest = digest.finalize();
        Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Replaces the file, keeping its mode, or makes it with its directories. On disk when this
    /// returns.
    pub(super) fn write(&self, bytes: &[u8]) -> Result<(), FileError> {
        let name = self.below.file_name().map(Path::new);
        let Some(name) = name else {
            return Err(FileError::Kind(self.shown(), "a directory"));
        };
        let put = || -> Result<Option<&'static str>, Errno> {
            let parent = self.make_parents()?;
            let mode = match rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
                    FileType::RegularFile => Mode::from_raw_mode(stat.st_mode & 0o777),
                    other => return Ok(Some(word(other))),
                },
                Err(Errno::NOENT) => Mode::from_raw_mode(0o644),
                Err(error) => return Err(error),
            };
            replace(&parent, name, bytes, mode).map(|()| None)
        };
        match put() {
            Ok(None) => Ok(()),
            Ok(Some(kind)) => Err(FileError::Kind(self.shown(), kind)),
            Err(error) => Err(self.error(error)),
        }
    }

    fn make_parents(&self) -> Result<OwnedFd, Errno> {
        let mut parent = open_root(&self.root)?;
        let Some(parents) = self.below.parent() else {
            return Ok(parent);
        };
        let mut walked = PathBuf::new();
        for part in parents.components() {
            walked.push(part);
            match rustix::fs::mkdirat(&parent, part.as_os_str(), Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
            // From the root each time, so that a link stays beneath it and not beneath its parent.
            let root = open_root(&self.root)?;
            parent = beneath(&root, &walked, OFlags::RDONLY | OFlags::DIRECTORY)?;
        }
        Ok(parent)
    }

    fn error(&self, error: Errno) -> FileError {
        match error {
            Errno::XDEV | Errno::LOOP => FileError::Outside(self.shown()),
            other => FileError::Io(self.shown(), other.into()),
        }
    }
}

/// The path without `.` and `..`; none where it climbs out of where it begins.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir | Component::Prefix(_) => {}
            Component::ParentDir => {
                if !plain.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Normal(_) => plain.push(part),
        }
    }
    Some(plain)
}

/// Opens a directory of our own.
fn open_root(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::openat(CWD, path, flags, Mode::empty())
}

/// Opens what lies beneath a directory, links included as long as they stay beneath it.
pub(super) fn beneath(root: &OwnedFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    let flags = flags | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let mut last = Errno::AGAIN;
    for _ in 0..TRIES {
        match rustix::fs::openat2(root, path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN) => {}
            // An old kernel, or a filter that does not know the call.
            Err(Errno::NOSYS | Errno::PERM) => return step_by_step(root, path, flags),
            Err(error) => {
                last = error;
                break;
            }
            Ok(file) => return Ok(file),
        }
    }
    Err(last)
}

/// The same without the kernel's help, and therefore without any link.
fn step_by_step(root: &OwnedFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut at = rustix::io::fcntl_dupfd_cloexec(root, 0)?;
    let mut parts = path.components().peekable();
    while let Some(part) = parts.next() {
        let step = if parts.peek().is_some() {
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC
        } else {
            flags
        };
        at = rustix::fs::openat(
            &at,
            part.as_os_str(),
            step | OFlags::NOFOLLOW,
            Mode::empty(),
        )?;
    }
    Ok(at)
}

/// Puts a file in the place of whatever has its name.
fn replace(parent: &OwnedFd, name: &Path, bytes: &[u8], mode: Mode) -> Result<(), Errno> {
    let draft = repo::DRAFT;
    // What a killed process left: an agent has one at a time, and writes one file at a time.
    let _ = rustix::fs::unlinkat(parent, draft, AtFlags::empty());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(parent.as_fd(), draft, flags, Mode::RUSR | Mode::WUSR)?;
    let mut file = File::from(file);
    let filled = file
        .write_all(bytes)
        .and_then(|()| Ok(rustix::fs::fchmod(&file, mode)?))
        .and_then(|()| file.sync_data())
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO));
    let put = filled.and_then(|()| rustix::fs::renameat(parent, draft, parent, name));
    if put.is_err() {
        let _ = rustix::fs::unlinkat(parent, draft, AtFlags::empty());
        return put;
    }
    rustix::fs::fsync(parent)
}

/// A kind of file in words.
fn word(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a regular file",
        FileType::Directory => "a directory",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a pipe",
        FileType::Socket => "a socket",
        _ => "a device",
    }
}
