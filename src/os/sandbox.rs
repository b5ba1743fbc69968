//! What a program that an agent wrote may touch: an allow-list, enforced by the kernel.
//!
//! This part is Landlock with dropped capabilities, which needs neither root nor a helper; `confine`
//! puts namespaces around it where the kernel grants them. It is per thread and inherited: the caller
//! restricts a thread and starts the program from there.
//! Best effort is allowed, silence about it is not: [`Report`] says right by right what holds, and
//! says no where nothing here can enforce it. Must not know who is confined, or why.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, Scope, path_beneath_rules,
};
use rustix::thread::{CapabilitySet, CapabilitySets};
use serde::{Deserialize, Serialize};

/// The newest Landlock that we ask for; what the kernel lacks of it is left out and reported.
const NEWEST: ABI = ABI::V10;
/// System directories that every program needs to start. `/etc` stands apart, see [`etc`].
pub(super) const SYSTEM: [&str; 13] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/opt",
    "/proc",
    "/sys",
    "/nix/store",
    // Where resolvers keep what /etc/resolv.conf links to.
    "/run/systemd/resolve",
    "/run/resolvconf",
];
/// Under `/etc`, what is nobody's business but the system's. An ordinary user cannot read them
/// anyway; root could.
pub(super) const PRIVATE_ETC: [&str; 8] = [
    "shadow",
    "shadow-",
    "gshadow",
    "gshadow-",
    "ssh",
    "ssl-private",
    "sudoers",
    "sudoers.d",
];
/// Device nodes without which ordinary programs fail.
pub(super) const DEVICES: [&str; 5] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
];
/// Shared memory, which multiprocessing in Python and PyTorch needs.
const SHARED_MEMORY: &str = "/dev/shm";

/// What a confined program may touch beside the system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Files and directories it may read and execute: toolchains, data.
    pub read: Vec<PathBuf>,
    /// Files and directories it may also change.
    pub write: Vec<PathBuf>,
    /// Device nodes it may use beside null, zero, random and shared memory.
    pub devices: Vec<PathBuf>,
    /// Whether it may use the network.
    pub network: bool,
}

/// Right by right, whether the kernel enforces it; the names are stable.
pub type Report = BTreeMap<String, bool>;

/// Why a program could not be confined.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// Landlock is there and refused the rules.
    #[error("confine file access")]
    Landlock(#[from] RulesetError),
    /// A privilege could not be given up.
    #[error("give up {what}")]
    Privilege {
        /// Which one.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// Confines the calling thread, and whatever it starts, for ever. Paths of the policy that do not
/// exist grant nothing.
pub fn enforce(policy: &Policy) -> Result<Report, SandboxError> {
    rustix::thread::set_no_new_privs(true)
        .map_err(|error| privilege("new privileges", error.into()))?;
    drop_capabilities()?;
    let have = Rights::of_this_kernel();
    if have.files.is_empty() {
        return Ok(have.report(policy.network));
    }
    // What the kernel was found to have must hold; anything less is an error, not a shrug.
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(have.files)?;
    if !policy.network && !have.network.is_empty() {
        rules = rules.handle_access(have.network)?;
    }
    if !have.scopes.is_empty() {
        rules = rules.scope(have.scopes)?;
    }
    let read = AccessFs::from_read(NEWEST) & have.files;
    let device = (AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev) & have.files;
    // A socket that the program made for itself is its own; making device nodes is not.
    let write = have.files & !(AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev);
    let mut rules = rules.create()?;
    // Where all there is may be read, which is so behind a root of its own, the parts need no rules.
    if !policy.read.iter().any(|path| path == Path::new("/")) {
        rules = rules
            .add_rules(path_beneath_rules(SYSTEM, read))?
            .add_rules(path_beneath_rules(["/etc"], have.files & AccessFs::ReadDir))?
            .add_rules(path_beneath_rules(etc(), read))?
            .add_rules(path_beneath_rules(["/dev"], have.files & AccessFs::ReadDir))?;
    }
    rules
        .add_rules(path_beneath_rules(DEVICES, device))?
        .add_rules(path_beneath_rules(
            &policy.devices,
            device | AccessFs::ReadDir,
        ))?
        .add_rules(path_beneath_rules([SHARED_MEMORY], write))?
        .add_rules(path_beneath_rules(&policy.read, read))?
        .add_rules(path_beneath_rules(&policy.write, write))?
        .restrict_self()?;
    Ok(have.report(policy.network))
}

/// What every confined program may read, whatever its policy.
#[must_use]
pub fn readable_by_all() -> Vec<PathBuf> {
    let system = SYSTEM.iter().map(PathBuf::from);
    system
        .chain([PathBuf::from(SHARED_MEMORY)])
        .chain(etc())
        .collect()
}

/// What would be enforced here on a program without network, found out without entering.
#[must_use]
pub fn probe() -> Report {
    Rights::of_this_kernel().report(false)
}

/// What Landlock alone enforces.
pub(super) fn landlock_report(network: bool) -> Report {
    Rights::of_this_kernel().report(network)
}

/// What this kernel's Landlock can restrict.
struct Rights {
    files: BitFlags<AccessFs>,
    network: BitFlags<AccessNet>,
    scopes: BitFlags<Scope>,
}

impl Rights {
    fn of_this_kernel() -> Self {
        // Rights came in layers; a ruleset that is created and dropped shows which are there.
        const LAYERS: [ABI; 10] = [
            ABI::V10,
            ABI::V9,
            ABI::V8,
            ABI::V7,
            ABI::V6,
            ABI::V5,
            ABI::V4,
            ABI::V3,
            ABI::V2,
            ABI::V1,
        ];
        let has = |abi: &ABI| Self::of(*abi).can_be_created();
        LAYERS.into_iter().find(has).map_or_else(
            || Self {
                files: BitFlags::EMPTY,
                network: BitFlags::EMPTY,
                scopes: BitFlags::EMPTY,
            },
            Self::of,
        )
    }

    fn of(abi: ABI) -> Self {
        Self {
            files: AccessFs::from_all(abi),
            network: AccessNet::from_all(abi),
            scopes: Scope::from_all(abi),
        }
    }

    fn can_be_created(&self) -> bool {
        let create = || -> Result<(), RulesetError> {
            let mut rules = Ruleset::default()
                .set_compatibility(CompatLevel::HardRequirement)
                .handle_access(self.files)?;
            if !self.network.is_empty() {
                rules = rules.handle_access(self.network)?;
            }
            if !self.scopes.is_empty() {
                rules = rules.scope(self.scopes)?;
            }
            rules.create().map(drop)
        };
        create().is_ok()
    }

    fn report(&self, network: bool) -> Report {
        let tcp = AccessNet::BindTcp | AccessNet::ConnectTcp;
        let udp = AccessNet::BindUdp | AccessNet::ConnectSendUdp;
        [
            ("read_outside", self.files.contains(AccessFs::ReadFile)),
            // Before Truncate came, a file outside could be emptied though not written.
            (
                "write_outside",
                self.files
                    .contains(AccessFs::WriteFile | AccessFs::Truncate),
            ),
            ("devices", self.files.contains(AccessFs::IoctlDev)),
            ("network_tcp", !network && self.network.contains(tcp)),
            ("network_udp", !network && self.network.contains(udp)),
            ("signals_outside", self.scopes.contains(Scope::Signal)),
            (
                "abstract_sockets",
                self.scopes.contains(Scope::AbstractUnixSocket),
            ),
            ("unix_sockets", self.files.contains(AccessFs::ResolveUnix)),
            ("capabilities", true),
            ("new_privileges", true),
            // What Landlock cannot do: hide a file inside a granted directory, keep the owner of a
            // file from changing its mode anywhere, or hide other processes' command lines.
            ("hidden_files", false),
            ("chmod_outside", false),
            ("processes_hidden", false),
        ]
        .into_iter()
        .map(|(right, enforced)| (right.to_owned(), enforced))
        .collect()
    }
}

/// The children of `/etc` that a program may read.
fn etc() -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir("/etc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| {
            entry
                .file_name()
                .to_str()
                .is_none_or(|name| !PRIVATE_ETC.contains(&name))
        })
        .map(|entry| entry.path())
        .collect()
}

/// Gives up every capability of this thread, for itself and for whatever it executes. Root without
/// them is an owner of root's files and no more.
fn drop_capabilities() -> Result<(), SandboxError> {
    // The bounding set first: narrowing it takes a capability. Without that one it cannot be
    // narrowed, and need not be: no_new_privs keeps what is gone from coming back.
    for bit in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1 << bit);
        match rustix::thread::capability_is_in_bounding_set(one) {
            Ok(true) => {}
            Ok(false) => continue,
            // The kernel knows no capability of that number, nor any above.
            Err(_) => break,
        }
        match rustix::thread::remove_capability_from_bounding_set(one) {
            Ok(()) => {}
            Err(rustix::io::Errno::PERM) => break,
            Err(error) => return Err(privilege("the bounding set", error.into())),
        }
    }
    rustix::thread::clear_ambient_capability_set()
        .map_err(|error| privilege("ambient capabilities", error.into()))?;
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, none)
        .map_err(|error| privilege("capabilities", error.into()))
}

fn privilege(what: &'static str, source: io::Error) -> SandboxError {
    SandboxError::Privilege { what, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::exec::Exec;
    use std::time::Duration;

    /// Runs a script confined to `policy`, and returns its output with what was enforced.
    fn confined(policy: Policy, script: &str) -> (String, Report) {
        let script = script.to_owned();
        std::thread::spawn(move || {
            let report = enforce(&policy).unwrap();
            let shell = Exec::new("/bin/sh")
                .args(["-c", &script])
                .env("PATH", "/usr/bin:/bin");
            let said = shell.output(Duration::from_secs(30)).unwrap();
            (String::from_utf8(said.stdout).unwrap(), report)
        })
        .join()
        .unwrap()
    }

    #[test]
    fn writes_and_reads_stay_inside() {
        let dir = tempfile::tempdir().unwrap();
        let (inside, outside) = (dir.path().join("in"), dir.path().join("out"));
        fs::create_dir(&inside).unwrap();
        fs::create_dir(&outside).unwrap();
        crate::os::files::write_view(&outside.join("secret"), b"secret").unwrap();
        let tries = [
            ("write inside", format!("echo x > {}/f", inside.display())),
            (
                "rename inside",
                format!(
                    "mv {0}/f {0}/g && mkdir {0}/d && mv {0}/g {0}/d/",
                    inside.display()
                ),
            ),
            ("write outside", format!("echo x > {}/f", outside.display())),
            ("read outside", format!("cat {}/secret", outside.display())),
            (
                "truncate outside",
                format!("truncate -s0 {}/secret", outside.display()),
            ),
            (
                "link in",
                format!("ln {}/secret {}/s", outside.display(), inside.display()),
            ),
            (
                "remove outside",
                format!("rm -f {}/secret", outside.display()),
            ),
            ("list outside", format!("ls {}", outside.display())),
            ("shadow", "cat /etc/shadow".to_owned()),
            ("parent's environment", "cat /proc/$PPID/environ".to_owned()),
            ("passwd", "cat /etc/passwd".to_owned()),
            (
                "null",
                "echo x > /dev/null && head -c1 /dev/urandom".to_owned(),
            ),
            (
                "disk",
                "head -c1 /dev/vda || head -c1 /dev/sda || ls /dev/pts/* /root".to_owned(),
            ),
            ("signal outside", "kill -CONT $PPID".to_owned()),
            ("chroot", "chroot / true".to_owned()),
        ];
        let script: String = tries
            .iter()
            .map(|(name, command)| {
                format!("if ({command}) >/dev/null 2>&1; then echo '{name}: yes'; else echo '{name}: no'; fi\n")
            })
            .collect();
        let policy = Policy {
            write: vec![inside.clone()],
            ..Policy::default()
        };
        let (said, report) = confined(policy, &script);
        if !report["write_outside"] || !report["signals_outside"] {
            // A kernel without Landlock enforces nothing, and says so; that is all there is to see.
            return;
        }
        let allowed: Vec<&str> = said
            .lines()
            .filter_map(|line| line.strip_suffix(": yes"))
            .collect();
        assert_eq!(
            allowed,
            ["write inside", "rename inside", "passwd", "null"],
            "{said}"
        );
        assert_eq!(fs::read(outside.join("secret")).unwrap(), b"secret");
        assert_eq!(fs::read(inside.join("d/g")).unwrap(), b"x\n");
        assert!(!report["hidden_files"]);
    }

    #[test]
    fn the_network_is_shut_unless_granted() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        // bash knows /dev/tcp without any program of its own.
        let script = format!(
            "bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}' 2>/dev/null && echo yes || echo no"
        );
        let (said, report) = confined(Policy::default(), &script);
        if report["network_tcp"] {
            assert_eq!(said, "no\n");
        }
        let (said, report) = confined(
            Policy {
                network: true,
                ..Policy::default()
            },
            &script,
        );
        assert_eq!((said.as_str(), report["network_tcp"]), ("yes\n", false));
    }

    #[test]
    fn the_probe_enters_nothing() {
        let report = probe();
        assert!(
            !report["hidden_files"] && report.contains_key("unix_sockets"),
            "{report:?}"
        );
        let dir = tempfile::tempdir().unwrap();
        crate::os::files::write_view(&dir.path().join("f"), b"x").unwrap();
    }
}
