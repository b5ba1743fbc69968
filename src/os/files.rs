//! Files that are written whole or not at all, directories that are private, and bounded reads.
//!
//! Must not know what the files are for: names inside a run belong to `run`.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir};

/// Depth at which [`copy_tree`] and [`tree_bytes`] stop: no sane tree is deeper, and a hostile one
/// must not exhaust the stack.
const MAX_DEPTH: usize = 128;
/// Bytes of a block, as the kernel counts them for any file system.
const BLOCK: u64 = 512;
/// Bytes that one listing of a directory may fill.
const LISTING: usize = 32 << 10;

/// Tells apart the temporary files of one process.
static NEXT_TEMPORARY: AtomicU64 = AtomicU64::new(0);

/// Replaces `path` with `bytes` so that after a crash either the old or the new text is there, and
/// after return the new one is on disk.
pub fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let temporary = write_temporary(path, bytes, mode, true)?;
    publish(&temporary, path)?;
    fsync_dir(parent(path))
}

/// Replaces `path` with `bytes` at once for every reader, without waiting for the disk: for views,
/// which are rebuilt when lost.
pub fn write_view(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_ahead(path, bytes, 0o644)
}

/// The same where many are written: the new text is durable once [`sync_level`] has returned for the
/// directory.
pub fn write_ahead(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let temporary = write_temporary(path, bytes, mode, false)?;
    publish(&temporary, path)
}

/// Makes renames and new names in a directory durable.
pub fn fsync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Makes the files that lie in a directory durable, and their names; not what lies deeper.
pub fn sync_level(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            File::open(entry.path())?.sync_all()?;
        }
    }
    fsync_dir(path)
}

/// Creates a directory and its missing parents, readable by nobody else. One that is there already
/// is made private if it is ours, and refused if it is not.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let found = fs::symlink_metadata(path)?;
    if !found.is_dir() {
        return Err(io::Error::new(
            io::ErrorKind::NotADirectory,
            path.display().to_string(),
        ));
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        let text = format!("{} belongs to another user", path.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    if found.mode() & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Copies a file or a directory with modes; links stay links, sockets and devices are left out.
pub fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    copy_level(from, to, 0)
}

fn copy_level(from: &Path, to: &Path, depth: usize) -> io::Result<()> {
    if depth > MAX_DEPTH {
        return Err(too_deep(from));
    }
    let kind = fs::symlink_metadata(from)?;
    if kind.is_symlink() {
        return std::os::unix::fs::symlink(fs::read_link(from)?, to);
    }
    if kind.is_file() {
        return fs::copy(from, to).map(drop);
    }
    if !kind.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy_level(&entry.path(), &to.join(entry.file_name()), depth + 1)?;
    }
    // Last, since a directory without `w` could not be filled.
    fs::set_permissions(to, kind.permissions())
}

/// Makes what lies below a home directory found at the same place below a private one: by links, and only
/// where nothing is there.
///
/// # Errors
/// Where the private one cannot be written to.
pub fn mirror(home: &Path, paths: &[PathBuf], private: &Path) -> io::Result<()> {
    for path in paths {
        let Ok(below) = path.strip_prefix(home) else {
            continue;
        };
        let plain = |part| matches!(part, std::path::Component::Normal(_));
        if below.as_os_str().is_empty() || !below.components().all(plain) {
            continue;
        }
        let link = private.join(below);
        if let Some(parent) = link.parent() {
            fs::create_dir_all(parent)?;
        }
        match std::os::unix::fs::symlink(path, &link) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Gives the owner the right to write in every directory of a tree, so that it can be removed; links are
/// not followed.
///
/// # Errors
/// Where a directory is somebody else's.
pub fn make_writable(path: &Path) -> io::Result<()> {
    let mut left = vec![path.to_owned()];
    while let Some(path) = left.pop() {
        let kind = fs::symlink_metadata(&path)?;
        if !kind.is_dir() {
            continue;
        }
        let mut rights = kind.permissions();
        rights.set_mode(rights.mode() | 0o700);
        fs::set_permissions(&path, rights)?;
        left.extend(fs::read_dir(&path)?.flatten().map(|entry| entry.path()));
    }
    Ok(())
}

/// Bytes that an ordinary user may still write to the file system that holds `path`.
pub fn disk_free(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Bytes on disk under `path`, links not followed. What vanishes while it is counted is not
/// counted.
#[must_use]
pub fn tree_bytes(path: &Path) -> u64 {
    let Ok(stat) = fs::symlink_metadata(path) else {
        return 0;
    };
    let own = stat.blocks() * BLOCK;
    match open_level(CWD, path) {
        Ok(level) if stat.is_dir() => {
            own + bytes_below(&level, 0, &mut Vec::with_capacity(LISTING))
        }
        _ => own,
    }
}

/// Bytes of what a directory holds. Each name is looked up in its own directory, not from the root:
/// most of the time of such a walk goes into finding long paths again.
fn bytes_below(level: &OwnedFd, depth: usize, listing: &mut Vec<u8>) -> u64 {
    let (mut total, mut deeper) = (0, Vec::new());
    let mut entries = RawDir::new(level, listing.spare_capacity_mut());
    while let Some(Ok(entry)) = entries.next() {
        let name = entry.file_name();
        if [c".", c".."].contains(&name) {
            continue;
        }
        let Ok(stat) = rustix::fs::statat(level, name, AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        total += u64::try_from(stat.st_blocks).unwrap_or(0) * BLOCK;
        if FileType::from_raw_mode(stat.st_mode).is_dir() && depth < MAX_DEPTH {
            deeper.push(name.to_owned());
        }
    }
    for name in deeper {
        if let Ok(below) = open_level(level, name.as_c_str()) {
            total += bytes_below(&below, depth + 1, listing);
        }
    }
    total
}

fn open_level(at: impl AsFd, path: impl rustix::path::Arg) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, path, flags, Mode::empty())
}

/// Reads a regular file of at most `limit` bytes; a longer one is an error, and so is a fifo, which
/// would hold the reader for ever.
pub fn read_capped(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        let text = format!("{} is longer than {limit} bytes", path.display());
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(bytes)
}

/// Reads at most the last `limit` bytes of a regular file.
pub fn read_tail(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut file = open_regular(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(limit)))?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn open_regular(path: &Path) -> io::Result<File> {
    let nonblock = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nonblock)
        .open(path)?;
    if !file.metadata()?.is_file() {
        let text = format!("{} is not a regular file", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    Ok(file)
}

fn write_temporary(path: &Path, bytes: &[u8], mode: u32, sync: bool) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{} names no file", path.display()),
        )
    })?;
    let number = NEXT_TEMPORARY.fetch_add(1, Ordering::Relaxed);
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.{number}.tmp", std::process::id()));
    let temporary = parent(path).join(hidden);
    // A leftover of a dead process with our pid may stand there; it is nobody's.
    drop(fs::remove_file(&temporary));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&temporary)?;
    let written = file
        .write_all(bytes)
        // The mode above passed the umask; this one does not.
        .and_then(|()| file.set_permissions(fs::Permissions::from_mode(mode)))
        .and_then(|()| if sync { file.sync_all() } else { Ok(()) });
    match written {
        Ok(()) => Ok(temporary),
        Err(error) => {
            drop(fs::remove_file(&temporary));
            Err(error)
        }
    }
}

fn publish(temporary: &Path, path: &Path) -> io::Result<()> {
    fs::rename(temporary, path).inspect_err(|_| {
        drop(fs::remove_file(temporary));
    })
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn too_deep(path: &Path) -> io::Error {
    io::Error::other(format!(
        "{} is more than {MAX_DEPTH} directories deep",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_replaces_the_whole_file_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        write_atomic(&path, b"first and long", 0o600).unwrap();
        write_atomic(&path, b"second", 0o444).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o444);
        write_view(&path, b"third").unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(write_atomic(&dir.path().join("no/such"), b"", 0o600).is_err());
    }

    #[test]
    fn reads_are_bounded_and_a_fifo_does_not_hold_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        write_view(&path, b"0123456789").unwrap();
        assert_eq!(read_capped(&path, 10).unwrap(), b"0123456789");
        assert_eq!(
            read_capped(&path, 9).unwrap_err().kind(),
            io::ErrorKind::FileTooLarge
        );
        assert_eq!(read_tail(&path, 3).unwrap(), b"789");
        assert_eq!(read_tail(&path, 30).unwrap(), b"0123456789");
        let fifo = dir.path().join("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        assert!(read_capped(&fifo, 10).is_err());
    }

    #[test]
    fn a_tree_is_copied_with_links_and_modes() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        create_private_dir(&from.join("sub")).unwrap();
        write_atomic(&from.join("sub/run"), b"#!", 0o755).unwrap();
        std::os::unix::fs::symlink("sub/run", from.join("link")).unwrap();
        copy_tree(&from, &to).unwrap();
        assert_eq!(
            fs::metadata(to.join("sub/run")).unwrap().mode() & 0o777,
            0o755
        );
        assert_eq!(
            fs::read_link(to.join("link")).unwrap(),
            Path::new("sub/run")
        );
        assert_eq!(fs::metadata(to.join("sub")).unwrap().mode() & 0o777, 0o700);
        write_view(&to.join("sub/big"), &vec![1; 3 << 20]).unwrap();
        std::os::unix::fs::symlink("/", to.join("sub/root")).unwrap();
        let bytes = tree_bytes(&to);
        assert!((3 << 20..4 << 20).contains(&bytes), "{bytes}");
        assert_eq!(tree_bytes(&to.join("none")), 0);
        assert!(disk_free(&to).unwrap() > 0);
    }

    #[test]
    fn a_directory_open_to_others_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("d");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        create_private_dir(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        let link = dir.path().join("l");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(
            create_private_dir(&link).is_err(),
            "a planted link is refused"
        );
    }
}
