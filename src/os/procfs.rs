//! Sees to it that `/proc` shows our own processes under the numbers that we know them by.
//!
//! In a PID namespace that was made without a `/proc` of its own (`unshare --pid --fork`, some
//! build sandboxes), `/proc/PID` is another namespace's process: locks would name strangers and a
//! job's descendants would never be found. Must not know who looks at processes, or why.

use std::fs;
use std::io;

use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::thread::UnshareFlags;

/// Why the processes of this namespace cannot be seen.
#[derive(Debug, thiserror::Error)]
pub enum ProcError {
    /// There is no process file system.
    #[error("read /proc/self/status")]
    None(#[source] io::Error),
    /// It shows another namespace, and one of our own could not be mounted.
    #[error("/proc shows another PID namespace, and a proc of this one cannot be mounted")]
    Foreign(#[source] io::Error),
}

/// What was done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Nothing: `/proc` is ours.
    Own,
    /// This process, and whatever it starts, has a mount namespace with a `/proc` of our own.
    Mounted,
}

/// Makes `/proc` ours for this process and whatever it starts, and for nobody else. To be called
/// before the process has a second thread: a mount namespace is a thread's.
///
/// # Errors
/// Where there is no `/proc`, or it is another namespace's and we may not mount one.
pub fn see_ourselves() -> Result<View, ProcError> {
    let status = fs::read_to_string("/proc/self/status").map_err(ProcError::None)?;
    if is_own(&status) {
        return Ok(View::Own);
    }
    mount().map_err(ProcError::Foreign)?;
    Ok(View::Mounted)
}

/// A process has one number in every PID namespace from that of this `/proc` down to its own
/// (`NSpid` in proc(5)): where it is a single one, both are the same.
fn is_own(status: &str) -> bool {
    status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))
        // A kernel without PID namespaces does not say, and has nothing to confuse.
        .is_none_or(|numbers| numbers.split_ascii_whitespace().count() == 1)
}

#[expect(
    deprecated,
    reason = "its replacement is unsafe for shared descriptor tables, which stay shared here"
)]
fn mount() -> io::Result<()> {
    rustix::thread::unshare(UnshareFlags::NEWNS)?;
    // Later mounts of others are still seen; ours is seen by nobody else.
    rustix::mount::mount_change(
        "/",
        MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC,
    )?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    Ok(rustix::mount::mount("proc", "/proc", "proc", flags, None)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_one_number_is_seen_by_its_own() {
        assert!(is_own("Name:\torg\nNSpid:\t42\nNSpgid:\t42\n"));
        assert!(!is_own("Name:\torg\nNSpid:\t812\t3\n"));
        assert!(is_own("Name:\torg\n"));
    }
}
