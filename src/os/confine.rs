//! The hidden command `org confine`: starts one program where it sees only what it may.
//!
//! Two steps, since a process cannot enter a process namespace itself. The first takes namespaces of
//! its own (user, mounts, processes, IPC, and the network unless that is granted), builds a root of
//! what the policy shows, and enters it. The second is the first process in there: it shows its own
//! processes in `/proc`, gives up every privilege, adds Landlock's rules, and starts the program. Where
//! the kernel refuses namespaces, only that last part is done, and the report says so. Must not know
//! why a program is confined.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::mount::MountFlags;
use rustix::process::{Pid, WaitOptions, WaitStatus};
use rustix::thread::{CapabilitySet, CapabilitySets, UnshareFlags};
use serde::{Deserialize, Serialize};

use super::exec::{Exec, Input, Output};
use super::root;
use super::sandbox::{self, Policy, Report};
use super::{clock, files};

/// What is returned where the program could not be confined or started.
const FAILED: u8 = 125;
/// Makes the kernel choose a job before the org when memory runs out.
const OOM_SCORE: &[u8] = b"500";
/// How long what the program leaves behind may take to end by itself, as a pool's workers do.
const SETTLE: Duration = Duration::from_millis(50);
/// Between two looks at that.
const LOOK: Duration = Duration::from_millis(5);
/// Longest that the probe may take.
const PROBE_LIMIT: Duration = Duration::from_secs(20);
/// Longest report.
const REPORT_CAP: u64 = 64 << 10;

/// What to start, and what it may touch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Confinement {
    /// What it may touch.
    pub policy: Policy,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// The file that gets the report.
    #[serde(default)]
    pub report: Option<PathBuf>,
    /// What the first step has achieved; none before it.
    #[serde(default)]
    inside: Option<Inside>,
}

/// What namespaces there are around the second step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Inside {
    /// A root of its own.
    root: bool,
    /// All of it that may not be changed is read-only.
    sealed: bool,
    /// Processes of its own.
    processes: bool,
    /// A network of its own, with nothing in it but itself.
    network: bool,
}

impl Confinement {
    /// One that is not begun.
    #[must_use]
    pub fn new(policy: Policy, argv: Vec<String>, report: Option<PathBuf>) -> Self {
        Self {
            policy,
            argv,
            report,
            inside: None,
        }
    }

    /// This program, told to confine and start that.
    pub fn exec(&self) -> serde_json::Result<Exec> {
        let text = serde_json::to_string(self)?;
        Ok(Exec::this_program().args(["confine", &text]))
    }
}

/// What of a report was written.
#[must_use]
pub fn read_report(path: &Path) -> Option<Report> {
    serde_json::from_slice(&files::read_capped(path, REPORT_CAP).ok()?).ok()
}

/// What is enforced here on a program without network, found out by confining one that does nothing.
/// `dir` takes the report for a moment.
#[must_use]
pub fn probe(dir: &Path, env: &BTreeMap<String, String>) -> Report {
    let path = dir.join(format!(".confine-{}", std::process::id()));
    let argv = vec!["true".to_owned()];
    let confined = Confinement::new(Policy::default(), argv, Some(path.clone()));
    let said = confined
        .exec()
        .map(|exec| exec.envs(env.clone()).cwd("/").output(PROBE_LIMIT));
    let went_well = matches!(said, Ok(Ok(said)) if said.status.success());
    let report = read_report(&path).filter(|_| went_well);
    fs::remove_file(path).ok();
    report.unwrap_or_else(sandbox::probe)
}

/// Carries out one of the two steps; returns the program's exit status. The environment is handed on
/// as it is.
pub fn run(confinement: Confinement, env: BTreeMap<String, String>) -> u8 {
    let step = match confinement.inside {
        None => first(confinement, env),
        Some(inside) => second(&confinement, inside, env),
    };
    step.unwrap_or_else(|error| {
        // To the program's own errors, where whoever wanted it looks.
        writeln!(io::stderr(), "org: cannot confine the program: {error}").ok();
        FAILED
    })
}

fn first(mut confinement: Confinement, env: BTreeMap<String, String>) -> io::Result<u8> {
    let cwd = std::env::current_dir()?;
    // Best effort: the value is a preference. Before anything is started, so that all inherit it.
    fs::OpenOptions::new()
        .write(true)
        .open("/proc/self/oom_score_adj")
        .and_then(|mut file| file.write_all(OOM_SCORE))
        .ok();
    // Opened now: the path is not there later.
    let report = confinement.report.take().map(File::create).transpose()?;
    let tmp = env.get("TMPDIR").map(PathBuf::from);
    let inside = isolate(&confinement.policy, tmp.as_deref()).unwrap_or_default();
    if let Some(mut report) = report {
        let text = serde_json::to_vec(&enforced(&confinement.policy, inside))?;
        report.write_all(&text)?;
    }
    if inside.root {
        std::env::set_current_dir(&cwd)?;
    }
    confinement.inside = Some(inside);
    let child = confinement
        .exec()?
        .envs(env)
        .stdin(Input::Inherit)
        .stdout(Output::Inherit)
        .stderr(Output::Inherit)
        .spawn_detached()?;
    wait_for(child.pid())
}

/// Takes namespaces and enters a root of its own. Fails before anything has changed that matters.
fn isolate(policy: &Policy, tmp: Option<&Path>) -> io::Result<Inside> {
    let (uid, gid) = (rustix::process::getuid(), rustix::process::getgid());
    let processes = root::proc_is_whole();
    let mut flags = UnshareFlags::NEWUSER | UnshareFlags::NEWNS | UnshareFlags::NEWIPC;
    flags.set(UnshareFlags::NEWPID, processes);
    flags.set(UnshareFlags::NEWNET, !policy.network);
    unshare(flags)?;
    // Only the own user is known in there; root in there is root over nothing but what it sees.
    let (uid, gid) = (uid.as_raw(), gid.as_raw());
    put("/proc/self/setgroups", "deny").ok();
    put("/proc/self/uid_map", &format!("{uid} {uid} 1"))?;
    put("/proc/self/gid_map", &format!("{gid} {gid} 1"))?;
    let root = root::build(policy, tmp)?;
    let sealed = root.sealed;
    keep_for_the_next_step()?;
    if !policy.network {
        // Programs talk to themselves over it; without it they are confined all the same.
        loopback().ok();
    }
    root.enter()?;
    Ok(Inside {
        root: true,
        sealed,
        processes,
        network: !policy.network,
    })
}

#[expect(
    deprecated,
    reason = "its replacement is unsafe for shared descriptor tables, which stay shared here"
)]
fn unshare(flags: UnshareFlags) -> io::Result<()> {
    Ok(rustix::thread::unshare(flags)?)
}

fn put(path: &str, text: &str) -> io::Result<()> {
    fs::OpenOptions::new()
        .write(true)
        .open(path)?
        .write_all(text.as_bytes())
}

/// The right to mount survives the start of the next step, also for an ordinary user.
fn keep_for_the_next_step() -> io::Result<()> {
    let mount = CapabilitySet::SYS_ADMIN;
    let now = rustix::thread::capabilities(None)?;
    rustix::thread::set_capabilities(
        None,
        CapabilitySets {
            inheritable: now.inheritable | mount,
            ..now
        },
    )?;
    Ok(rustix::thread::configure_capability_in_ambient_set(
        mount, true,
    )?)
}

/// Brings the loopback device of a fresh network namespace up: one message to the kernel, asking for
/// the flag `IFF_UP` on the first link (rtnetlink(7)).
fn loopback() -> io::Result<()> {
    use rustix::net::{AddressFamily, SendFlags, SocketType, netlink};
    const LENGTH: u32 = 32;
    const NEW_LINK: u16 = 16;
    const REQUEST: u16 = 1;
    const UP: u32 = 1;
    let mut message: Vec<u8> = Vec::new();
    message.extend(LENGTH.to_ne_bytes());
    message.extend(NEW_LINK.to_ne_bytes());
    message.extend(REQUEST.to_ne_bytes());
    // Sequence and sender; then family, padding and type of the link.
    message.extend([0; 8]);
    message.extend([0; 4]);
    message.extend(1_i32.to_ne_bytes());
    message.extend(UP.to_ne_bytes());
    message.extend(UP.to_ne_bytes());
    // No protocol means that of routes and links, which is number 0.
    let socket = rustix::net::socket(AddressFamily::NETLINK, SocketType::RAW, None)?;
    let kernel = netlink::SocketAddrNetlink::new(0, 0);
    rustix::net::sendto(&socket, &message, SendFlags::empty(), &kernel)?;
    Ok(())
}

fn second(
    confinement: &Confinement,
    inside: Inside,
    env: BTreeMap<String, String>,
) -> io::Result<u8> {
    if inside.processes {
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        rustix::mount::mount("proc", "/proc", "proc", flags, None)?;
    }
    let mut policy = confinement.policy.clone();
    if inside.root {
        policy.write.push(PathBuf::from("/tmp"));
        policy.devices.push(PathBuf::from("/dev/pts"));
        // Nothing is in there but what may be read.
        policy.read.push(PathBuf::from("/"));
    }
    policy.network |= inside.network;
    sandbox::enforce(&policy).map_err(io::Error::other)?;
    let (program, args) = confinement
        .argv
        .split_first()
        .ok_or_else(|| io::Error::other("the command is empty"))?;
    let child = Exec::new(program)
        .args(args)
        .envs(env)
        .stdin(Input::Inherit)
        .stdout(Output::Inherit)
        .stderr(Output::Inherit)
        .spawn_detached()
        .map_err(|error| io::Error::other(format!("start {program}: {error}")))?;
    let status = wait_for(child.pid())?;
    if inside.processes {
        // With us all that is left ends.
        settle();
    }
    Ok(status)
}

/// Waits for a child, and collects all others that end meanwhile: the first process of a namespace
/// is the parent of every orphan in it.
fn wait_for(child: u32) -> io::Result<u8> {
    let child = i32::try_from(child).ok().and_then(Pid::from_raw);
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if Some(pid) == child => return Ok(code(status)),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn settle() {
    let until = clock::monotonic() + SETTLE;
    while clock::monotonic() < until {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) => std::thread::sleep(LOOK),
            Err(_) => return,
        }
    }
}

/// An exit status as shells tell it.
fn code(status: WaitStatus) -> u8 {
    let of = |signal: i32| u8::try_from(128 + signal).unwrap_or(FAILED);
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => u8::try_from(code).unwrap_or(FAILED),
        (None, Some(signal)) => of(signal),
        (None, None) => FAILED,
    }
}

/// Right by right, what holds: Landlock's part, and what the namespaces add.
fn enforced(policy: &Policy, inside: Inside) -> Report {
    let mut report = sandbox::landlock_report(policy.network);
    let mut also = |right: &str, holds: bool| {
        let entry = report.entry(right.to_owned()).or_default();
        *entry |= holds;
    };
    also("read_outside", inside.root);
    also("write_outside", inside.root && inside.sealed);
    also("hidden_files", inside.root);
    also("devices", inside.root);
    also("unix_sockets", inside.root);
    also("chmod_outside", inside.root && inside.sealed);
    also("signals_outside", inside.processes);
    also("processes_hidden", inside.processes);
    for right in ["network_tcp", "network_udp", "abstract_sockets"] {
        also(right, inside.network);
    }
    report
}
