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
use std::num::NonZeroU64;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use serde::{Deserialize, Serialize};

use super::{clock, process};

/// First tries for an awaited lock between which others get the processor and nobody sleeps: a holder
/// appends a few lines, and going to sleep and waking up again takes longer.
const YIELDS: u32 = 20;
/// Pause between two tries after these, at first: whoever sleeps longer than others is overtaken by them
/// again and again.
const PAUSE: Duration = Duration::from_micros(60);
/// How many tries there are before the pauses grow: who holds it now does something else.
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
            match take(&file, path)? {
                Taken::Mine => {
                    sign(&file)?;
                    return Ok(Some(Self { file }));
                }
                Taken::Others => return Ok(None),
                Taken::Nobodys => {}
            }
        }
    }

    /// Takes the lock before the deadline, or says who has it. Blocks the thread: there is no
    /// file lock with a time limit, so it tries and pauses.
    pub fn wait(path: &Path, deadline: Instant) -> Result<Self, Busy> {
        Ok(Self {
            file: Latch::at(path.to_owned()).taken(deadline)?,
        })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let_go(&self.file);
    }
}

/// A lock that is taken again and again for moments: its file stays open in between.
#[derive(Debug)]
pub struct Latch {
    path: PathBuf,
    file: Option<File>,
}

impl Latch {
    /// The lock of this file; nothing is touched.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self { path, file: None }
    }

    /// Takes the lock before the deadline, or says who has it; as [`Lock::wait`].
    pub fn wait(mut self, deadline: Instant) -> Result<Latched, Busy> {
        let file = self.taken(deadline)?;
        self.file = Some(file);
        Ok(Latched(Some(self)))
    }

    fn taken(&mut self, deadline: Instant) -> Result<File, Busy> {
        let io = |source| Busy::Io {
            path: self.path.clone(),
            source,
        };
        let (mut pause, mut tries, mut punctual) = (PAUSE, 0, None);
        let mut kept = self.file.take();
        loop {
            let file = match kept.take() {
                Some(file) => file,
                None => open(&self.path).map_err(io)?,
            };
            match take(&file, &self.path).map_err(io)? {
                Taken::Mine => {
                    sign(&file).map_err(io)?;
                    return Ok(file);
                }
                Taken::Nobodys => continue,
                Taken::Others => kept = Some(file),
            }
            if clock::monotonic() >= deadline {
                return Err(Busy::Held {
                    path: self.path.clone(),
                    holder: read_holder(&self.path),
                });
            }
            tries += 1;
            if tries <= YIELDS {
                std::thread::yield_now();
                continue;
            }
            punctual.get_or_insert_with(Punctual::begin);
            std::thread::sleep(pause);
            if tries > BRISK {
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// A latch whose lock is held; dropping it lets go.
#[derive(Debug)]
pub struct Latched(Option<Latch>);

impl Latched {
    /// Lets go, and keeps the file open for the next time; none where it was let go already.
    #[must_use]
    pub fn release(mut self) -> Option<Latch> {
        self.let_go()
    }

    fn let_go(&mut self) -> Option<Latch> {
        let latch = self.0.take()?;
        latch.file.iter().for_each(let_go);
        Some(latch)
    }
}

impl Drop for Latched {
    fn drop(&mut self) {
        self.let_go();
    }
}

/// While it lives, this thread's sleeps are not rounded up: the kernel adds 50 µs otherwise, as long as
/// a holder keeps the lock.
struct Punctual(Option<NonZeroU64>);

impl Punctual {
    fn begin() -> Self {
        let before = rustix::thread::current_timer_slack().ok();
        rustix::thread::set_current_timer_slack(Some(NonZeroU64::MIN)).ok();
        Self(before.and_then(NonZeroU64::new))
    }
}

impl Drop for Punctual {
    fn drop(&mut self) {
        rustix::thread::set_current_timer_slack(self.0).ok();
    }
}

/// What came of a try.
enum Taken {
    Mine,
    Others,
    /// Whoever cleared the directory in between has left us a lock that nobody else sees.
    Nobodys,
}

fn take(file: &File, path: &Path) -> io::Result<Taken> {
    if !set(file, libc::F_WRLCK)? {
        return Ok(Taken::Others);
    }
    let (mine, there) = (file.metadata()?, fs::metadata(path));
    let same = there.is_ok_and(|there| there.ino() == mine.ino() && there.dev() == mine.dev());
    Ok(if same { Taken::Mine } else { Taken::Nobodys })
}

/// Said aloud, since closing alone does not let go while a child that another thread is starting has
/// not yet reached its exec.
fn let_go(file: &File) {
    drop(set(file, libc::F_UNLCK));
}

fn sign(file: &File) -> io::Result<()> {
    let holder = Holder {
        pid: std::process::id(),
        start: process::own_start(),
    };
    let mut record = serde_json::to_vec(&holder)?;
    record.resize(RECORD - 1, b' ');
    record.push(b'\n');
    file.write_all_at(&record, 0)
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
    fn a_latch_lets_go_between_and_notices_that_its_file_was_cleared_away() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.lock");
        let soon = || clock::monotonic() + Duration::from_secs(5);
        let held = Latch::at(path.clone()).wait(soon()).unwrap();
        assert!(Lock::try_take(&path).unwrap().is_none());
        let latch = held.release().unwrap();
        let other = Lock::try_take(&path).unwrap().unwrap();
        let busy = Latch::at(path.clone()).wait(clock::monotonic());
        assert!(matches!(busy, Err(Busy::Held { .. })));
        drop(other);
        fs::remove_file(&path).unwrap();
        let held = latch.wait(soon()).unwrap();
        assert!(
            Lock::try_take(&path).unwrap().is_none(),
            "the lock that others see is the one that is held"
        );
        drop(held);
        assert!(Lock::try_take(&path).unwrap().is_some());
    }

    #[test]
    fn many_waiters_never_hold_it_together() {
        let dir = tempfile::tempdir().unwrap();
        let (path, count) = (dir.path().join("a.lock"), dir.path().join("count"));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let mut latch = Latch::at(path.clone());
                    for _ in 0..25 {
                        let deadline = clock::monotonic() + Duration::from_secs(30);
                        let held = latch.wait(deadline).unwrap();
                        let before = fs::read(&count).map_or(0, |it| it.len());
                        super::super::files::write_view(&count, &vec![b'x'; before + 1]).unwrap();
                        latch = held.release().unwrap();
                    }
                });
            }
        });
        assert_eq!(fs::metadata(&count).unwrap().len(), 200);
    }
}
