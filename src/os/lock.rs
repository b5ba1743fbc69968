//! Lock files: held means alive.
//!
//! A lock is an open-file-description lock on the whole file. The kernel drops it with its last
//! descriptor, so that no crash can leave it held, and no pid needs to be believed. The descriptor
//! is close-on-exec: a child that inherited it would hold the lock after its parent's death. Such
//! locks are chosen over `flock` because they can be asked for without being taken (`F_OFD_GETLK`);
//! a prober that took one for a moment would make its owner's start fail. The file names its holder
//! for people and for signals; whether the lock is held is never read from it.
//!
//! Must not know what is locked.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use serde::{Deserialize, Serialize};

use super::{clock, process};

/// Pause between two tries for an awaited lock, at first: a holder appends a few lines, which takes
/// less, and whoever sleeps longer than others is overtaken by them again and again.
const PAUSE: Duration = Duration::from_micros(60);
/// How many such pauses there are before they grow: who holds it now does something else.
const BRISK: u32 = 300;
/// Longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_millis(5);
/// The holder's record has a fixed width, so that writing it never truncates.
const RECORD: usize = 64;

/// Who holds a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// Its start time in clock ticks since boot, field 22 of `/proc/PID/stat`: tells a process from
    /// a later one with the same pid.
    pub start: u64,
}

/// Why an awaited lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Busy {
    /// Somebody held it until the deadline.
    #[error("lock {} is held by {}", path.display(), holder_text(*holder))]
    Held {
        /// The lock file.
        path: PathBuf,
        /// Who holds it, if it could be read.
        holder: Option<Holder>,
    },
    /// The lock file could not be opened or locked.
    #[error("cannot lock {}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn holder_text(holder: Option<Holder>) -> String {
    holder.map_or_else(
        || "an unknown process".to_owned(),
        |holder| format!("pid {}", holder.pid),
    )
}

/// A held lock; dropping it lets go.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock, unless somebody has it. Creates the file, not its directory.
    pub fn try_take(path: &Path) -> io::Result<Option<Self>> {
        loop {
            let file = open(path)?;
            if !set(&file, libc::F_WRLCK)? {
                return Ok(None);
            }
            // Whoever cleared the directory in between has left us a lock that nobody else sees.
            let (mine, there) = (file.metadata()?, fs::metadata(path));
            if there.is_ok_and(|there| there.ino() == mine.ino() && there.dev() == mine.dev()) {
                let lock = Self { file };
                lock.sign()?;
                return Ok(Some(lock));
            }
        }
    }

    /// Takes the lock before the deadline, or says who has it. Blocks the thread: there is no
    /// file lock with a time limit, so it tries and pauses.
    pub fn wait(path: &Path, deadline: Instant) -> Result<Self, Busy> {
        let (mut pause, mut tries) = (PAUSE, 0);
        loop {
            let taken = Self::try_take(path);
            match taken.map_err(|source| Busy::Io {
                path: path.to_owned(),
                source,
            })? {
                Some(lock) => return Ok(lock),
                None if clock::monotonic() >= deadline => {
                    return Err(Busy::Held {
                        path: path.to_owned(),
                        holder: read_holder(path),
                    });
                }
                None => std::thread::sleep(pause),
            }
            tries += 1;
            if tries > BRISK {
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    fn sign(&self) -> io::Result<()> {
        let holder = Holder {
            pid: std::process::id(),
            start: process::own_start(),
        };
        let mut record = serde_json::to_vec(&holder)?;
        record.resize(RECORD - 1, b' ');
        record.push(b'\n');
        self.file.write_all_at(&record, 0)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Said aloud, since closing alone does not let go while a child that another thread is
        // starting has not yet reached its exec.
        drop(set(&self.file, libc::F_UNLCK));
    }
}

/// Who holds the lock now, asked without taking it. A holder whose name cannot be read is there
/// nevertheless, with pid 0.
#[must_use]
pub fn holder(path: &Path) -> Option<Holder> {
    let file = File::open(path).ok()?;
    let mut asked = whole_file(libc::F_WRLCK);
    fcntl(&file, FcntlArg::F_OFD_GETLK(&mut asked)).ok()?;
    if libc::c_int::from(asked.l_type) == libc::F_UNLCK {
        return None;
    }
    Some(read_holder(path).unwrap_or(Holder { pid: 0, start: 0 }))
}

fn read_holder(path: &Path) -> Option<Holder> {
    let mut record = [0; RECORD];
    let length = File::open(path).ok()?.read_at(&mut record, 0).ok()?;
    serde_json::from_slice(&record[..length]).ok()
}

fn open(path: &Path) -> io::Result<File> {
    let nofollow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(nofollow)
        .open(path)
}

fn set(file: &File, kind: libc::c_int) -> io::Result<bool> {
    match fcntl(file, FcntlArg::F_OFD_SETLK(&whole_file(kind))) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn whole_file(kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::exec::{Exec, Input};

    #[test]
    fn one_holder_at_a_time_and_asking_takes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.lock");
        assert_eq!(holder(&path), None);
        let lock = Lock::try_take(&path).unwrap().unwrap();
        let held = holder(&path).unwrap();
        assert_eq!(
            (held.pid, held.start),
            (std::process::id(), process::own_start())
        );
        assert!(Lock::try_take(&path).unwrap().is_none());
        let busy = Lock::wait(&path, clock::monotonic()).unwrap_err();
        assert!(
            busy.to_string()
                .contains(&format!("pid {}", std::process::id())),
            "{busy}"
        );
        drop(lock);
        assert_eq!(holder(&path), None);
        assert!(Lock::wait(&path, clock::monotonic()).is_ok());
    }

    #[test]
    fn a_child_does_not_inherit_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.lock");
        let lock = Lock::try_take(&path).unwrap().unwrap();
        let mut child = Exec::new("/bin/cat")
            .stdin(Input::Pipe)
            .spawn_detached()
            .unwrap();
        drop(lock);
        assert_eq!(holder(&path), None);
        child.kill().unwrap();
    }
    #[test]
    fn many_waiters_never_hold_it_together() {
        let dir = tempfile::tempdir().unwrap();
        let (path, count) = (dir.path().join("a.lock"), dir.path().join("count"));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..25 {
                        let deadline = clock::monotonic() + Duration::from_secs(30);
                        let lock = Lock::wait(&path, deadline).unwrap();
                        let before = fs::read(&count).map_or(0, |it| it.len());
                        super::super::files::write_view(&count, &vec![b'x'; before + 1]).unwrap();
                        drop(lock);
                    }
                });
            }
        });
        assert_eq!(fs::metadata(&count).unwrap().len(), 200);
    }
}
