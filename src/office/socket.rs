//! Where the server's socket lies and who listens on it. Owns the limit on its length and the
//! directory that is used instead; must not know tmux's commands.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::process::Pid;
use sha2::{Digest, Sha256};
use tokio::net::UnixStream;

use super::client::OfficeError;

/// `sun_path` has 108 bytes on Linux and 104 elsewhere, the closing NUL included.
const LONGEST: usize = 103;

/// The path of the socket: `preferred`, or where that is too long for the kernel a short one in
/// `runtime` (`XDG_RUNTIME_DIR`), else in a directory of our own under `/tmp`. Ask once, when the
/// run is made, and keep the answer: it depends on the caller's environment.
pub fn socket_for(preferred: &Path, runtime: Option<&Path>) -> Result<PathBuf, OfficeError> {
    if preferred.as_os_str().len() <= LONGEST {
        return Ok(preferred.to_owned());
    }
    let digest = Sha256::digest(preferred.as_os_str().as_bytes());
    let name: String = digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let uid = rustix::process::geteuid().as_raw();
    let candidates = [
        runtime.map(|dir| dir.join("org")),
        Some(PathBuf::from(format!("/tmp/org-{uid}"))),
    ];
    let mut failed = None;
    for dir in candidates.into_iter().flatten() {
        let path = dir.join(&name);
        if path.as_os_str().len() > LONGEST {
            continue;
        }
        match private_dir(&dir, uid) {
            Ok(()) => return Ok(path),
            Err(why) => failed = Some(OfficeError::Socket { path: dir, why }),
        }
    }
    Err(failed.expect("the directory under /tmp is short enough to be tried"))
}

/// Makes the directory, or verifies that it is ours alone: under /tmp anybody could have made it.
fn private_dir(dir: &Path, uid: u32) -> Result<(), String> {
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e.to_string()),
        _ => {}
    }
    // Not followed: a link could lead anywhere.
    let found = fs::symlink_metadata(dir).map_err(|e| e.to_string())?;
    if !found.is_dir() {
        return Err("it is not a directory".to_owned());
    }
    if found.uid() != uid {
        return Err(format!("it belongs to user {}", found.uid()));
    }
    if found.mode() & 0o077 != 0 {
        return Err("others may enter it; it must have mode 0700".to_owned());
    }
    Ok(())
}

/// Who listens on the socket, by the kernel's own word; it needs no answer from the listener.
pub(crate) enum Listener {
    /// Nobody.
    None,
    /// This process, where the kernel can name it.
    Some(Option<Pid>),
}

/// Looks at the socket.
pub(crate) async fn listener(socket: &str) -> io::Result<Listener> {
    match UnixStream::connect(socket).await {
        Ok(stream) => {
            let pid = stream.peer_cred()?.pid().and_then(Pid::from_raw);
            Ok(Listener::Some(pid))
        }
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(Listener::None)
        }
        Err(e) => Err(e),
    }
}

/// Removes what a dead server leaves: its socket, and the lock under which it was started.
pub(crate) fn sweep(socket: &str) -> io::Result<()> {
    for path in [socket.to_owned(), format!("{socket}.lock")] {
        match fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_gets_a_short_private_one() {
        let home = tempfile::tempdir().unwrap();
        let long = home.path().join("x".repeat(120)).join("tmux.sock");
        let short = home.path().join("tmux.sock");
        assert_eq!(socket_for(&short, None).unwrap(), short);

        let runtime = home.path().join("r");
        fs::create_dir(&runtime).unwrap();
        let found = socket_for(&long, Some(&runtime)).unwrap();
        assert!(found.starts_with(runtime.join("org")), "{found:?}");
        assert_eq!(found, socket_for(&long, Some(&runtime)).unwrap());
        let mode = fs::metadata(found.parent().unwrap()).unwrap().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn a_directory_that_others_may_enter_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("org");
        fs::DirBuilder::new().mode(0o755).create(&dir).unwrap();
        let uid = rustix::process::geteuid().as_raw();
        assert!(private_dir(&dir, uid).unwrap_err().contains("0700"));
        let link = home.path().join("link");
        std::os::unix::fs::symlink(&dir, &link).unwrap();
        assert!(
            private_dir(&link, uid)
                .unwrap_err()
                .contains("not a directory")
        );
        assert!(
            private_dir(home.path(), uid + 1)
                .unwrap_err()
                .contains("belongs")
        );
    }
}
