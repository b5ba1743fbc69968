//! A root directory that holds only what a confined program may see, made of bind mounts on a tmpfs.
//!
//! Built beside everything and entered at the end: where a step fails, nothing has changed for the
//! caller. Whoever calls has a mount namespace of its own. Must not know who is confined.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

use super::sandbox::{DEVICES, PRIVATE_ETC, Policy, SYSTEM};

/// Directories of which one that nobody needs is built upon.
const BASES: [&str; 6] = ["/mnt", "/media", "/srv", "/opt", "/run", "/tmp"];
/// Links in `/dev` that shells and interpreters expect.
const DEV_LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
];

/// One that is built.
#[derive(Debug)]
pub(super) struct Root {
    base: PathBuf,
    /// Whether all that may not be changed is mounted read-only.
    pub(super) sealed: bool,
}

/// Something to show.
struct Place {
    at: PathBuf,
    from: PathBuf,
    writable: bool,
}

/// Builds a root for a policy. `tmp` is the private directory that stands at `/tmp`.
pub(super) fn build(policy: &Policy, tmp: Option<&Path>) -> io::Result<Root> {
    rustix::mount::mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )?;
    let places = places(policy);
    let there = mounts()?;
    let base =
        base(&places, &there).ok_or_else(|| io::Error::other("no directory to build upon"))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    rustix::mount::mount("tmpfs", &base, "tmpfs", flags, c"mode=0755,size=64m")?;
    let mut root = Root { base, sealed: true };
    let made = root.fill(policy, &places, tmp);
    if made.is_err() {
        rustix::mount::unmount(&root.base, UnmountFlags::DETACH).ok();
    }
    made.map(|()| root)
}

/// What the policy shows, parents first, each under the name it is given and under its real one.
fn places(policy: &Policy) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    let mut add = |path: &Path, writable: bool| {
        let Ok(from) = path.canonicalize() else {
            return;
        };
        let whole = |path: &Path| path.parent().is_none();
        if whole(&from) || whole(path) || !path.is_absolute() {
            return;
        }
        for at in BTreeSet::from([path.to_owned(), from.clone()]) {
            places.push(Place {
                at,
                from: from.clone(),
                writable,
            });
        }
    };
    for path in &policy.read {
        add(path, false);
    }
    for path in &policy.write {
        add(path, true);
    }
    // What may be changed comes after what may be read at the same place.
    places.sort_by_key(|place| (place.at.components().count(), place.writable));
    places
}

/// A plain directory that nothing which is shown lies in, and nothing is mounted in.
fn base(places: &[Place], mounts: &[(PathBuf, MountFlags)]) -> Option<PathBuf> {
    let free = |base: &Path| {
        let needed = |place: &Place| place.at.starts_with(base) || place.from.starts_with(base);
        let plain = fs::symlink_metadata(base).is_ok_and(|found| found.is_dir())
            && !mounts.iter().any(|(at, _)| at.starts_with(base));
        plain && !SYSTEM.iter().any(|path| Path::new(path) == base) && !places.iter().any(needed)
    };
    BASES
        .map(Path::new)
        .into_iter()
        .find(|base| free(base))
        .map(Path::to_owned)
}

impl Root {
    fn inside(&self, path: &Path) -> PathBuf {
        self.base.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn fill(&mut self, policy: &Policy, places: &[Place], tmp: Option<&Path>) -> io::Result<()> {
        for path in SYSTEM.map(Path::new) {
            match fs::symlink_metadata(path) {
                Ok(found) if found.is_symlink() => {
                    symlink(fs::read_link(path)?, self.inside(path))?;
                }
                Ok(_) => self.bind(path, path)?,
                Err(_) => {}
            }
        }
        self.etc()?;
        self.dev(policy)?;
        let mut writable: BTreeSet<PathBuf> = BTreeSet::new();
        let below_tmp = places.iter().any(|place| place.at.starts_with("/tmp"));
        match tmp.filter(|_| !below_tmp) {
            Some(tmp) => {
                self.bind(tmp, Path::new("/tmp"))?;
                writable.insert(self.inside(Path::new("/tmp")));
            }
            None => self.open_dir(Path::new("/tmp"))?,
        }
        self.open_dir(Path::new("/run"))?;
        fs::create_dir_all(self.inside(Path::new("/var")))?;
        symlink("/tmp", self.inside(Path::new("/var/tmp")))?;
        for place in places {
            self.bind(&place.from, &place.at)?;
            if place.writable {
                writable.insert(self.inside(&place.at));
            }
        }
        self.seal(&writable)
    }

    /// A directory that anybody may write to.
    fn open_dir(&self, path: &Path) -> io::Result<()> {
        let at = self.inside(path);
        fs::create_dir_all(&at)?;
        fs::set_permissions(at, fs::Permissions::from_mode(0o1777))
    }

    fn bind(&self, from: &Path, at: &Path) -> io::Result<()> {
        let at = self.inside(at);
        if fs::metadata(from)?.is_dir() {
            fs::create_dir_all(&at)?;
        } else if fs::symlink_metadata(&at).is_err() {
            fs::create_dir_all(at.parent().unwrap_or(&self.base))?;
            File::create(&at)?;
        }
        Ok(rustix::mount::mount_bind_recursive(from, &at)?)
    }

    /// `/etc` without what is nobody's business but the system's.
    fn etc(&self) -> io::Result<()> {
        let etc = Path::new("/etc");
        self.bind(etc, etc)?;
        let empty = Path::new("/.empty");
        fs::create_dir_all(self.inside(empty))?;
        for name in PRIVATE_ETC {
            let at = etc.join(name);
            match fs::metadata(&at) {
                Ok(found) if found.is_dir() => {
                    rustix::mount::mount_bind(self.inside(empty), self.inside(&at))?;
                }
                Ok(_) => rustix::mount::mount_bind("/dev/null", self.inside(&at))?,
                Err(_) => {}
            }
        }
        Ok(())
    }

    fn dev(&self, policy: &Policy) -> io::Result<()> {
        let dev = self.inside(Path::new("/dev"));
        fs::create_dir_all(&dev)?;
        let common = DEVICES.iter().map(Path::new);
        let own = policy.devices.iter().map(PathBuf::as_path);
        for path in common.chain(own).filter(|path| path.exists()) {
            self.bind(path, path)?;
        }
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        let shm = dev.join("shm");
        fs::create_dir_all(&shm)?;
        rustix::mount::mount("tmpfs", &shm, "tmpfs", flags, c"mode=1777")?;
        let pts = dev.join("pts");
        fs::create_dir_all(&pts)?;
        // Terminals of its own; a kernel without them confines all the same.
        let options = c"newinstance,ptmxmode=0666,mode=0620";
        let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
        rustix::mount::mount("devpts", &pts, "devpts", flags, options).ok();
        for (to, name) in DEV_LINKS {
            symlink(to, dev.join(name))?;
        }
        Ok(())
    }

    /// Makes every mount read-only that is not named as writable, or a device's.
    fn seal(&mut self, writable: &BTreeSet<PathBuf>) -> io::Result<()> {
        let dev = self.inside(Path::new("/dev"));
        for (at, flags) in mounts()? {
            let own = at.starts_with(&self.base) && at != self.base && !at.starts_with(&dev);
            // The nearest that was bound decides: what lies deeper was mounted there by others.
            if !own || writable.iter().any(|path| at.starts_with(path)) {
                continue;
            }
            let flags = flags | MountFlags::BIND | MountFlags::RDONLY;
            if rustix::mount::mount_remount(&at, flags, c"").is_err() {
                self.sealed = false;
            }
        }
        Ok(())
    }

    /// Makes it the root; everything else is gone for the caller and its children.
    pub(super) fn enter(self) -> io::Result<()> {
        rustix::process::chdir(&self.base)?;
        rustix::process::pivot_root(".", ".")?;
        rustix::mount::unmount(".", UnmountFlags::DETACH)?;
        Ok(rustix::process::chdir("/")?)
    }
}

/// Every mount with the flags that a remount must keep.
fn mounts() -> io::Result<Vec<(PathBuf, MountFlags)>> {
    let text = fs::read_to_string("/proc/self/mountinfo")?;
    let mount = |line: &str| {
        let mut fields = line.split(' ').skip(4);
        let at = unescaped(fields.next()?);
        let mut flags = MountFlags::empty();
        for option in fields.next()?.split(',') {
            flags |= match option {
                "nosuid" => MountFlags::NOSUID,
                "nodev" => MountFlags::NODEV,
                "noexec" => MountFlags::NOEXEC,
                "noatime" => MountFlags::NOATIME,
                "nodiratime" => MountFlags::NODIRATIME,
                "relatime" => MountFlags::RELATIME,
                "ro" => MountFlags::RDONLY,
                _ => MountFlags::empty(),
            };
        }
        Some((PathBuf::from(at), flags))
    };
    Ok(text.lines().filter_map(mount).collect())
}

/// The kernel writes blanks in paths as octal numbers.
fn unescaped(text: &str) -> String {
    let table = [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ];
    let replace = |text: String, (from, to): &(&str, &str)| text.replace(from, to);
    table.iter().fold(text.to_owned(), replace)
}

/// Whether a fresh `/proc` may be mounted: not where parts of the present one are covered, as containers
/// do.
pub(super) fn proc_is_whole() -> bool {
    mounts().is_ok_and(|mounts| {
        let covered = |at: &Path| {
            at.starts_with("/proc") && at != Path::new("/proc") && !at.ends_with("binfmt_misc")
        };
        !mounts.iter().any(|(at, _)| covered(at))
    })
}
