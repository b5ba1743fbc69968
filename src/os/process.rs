//! Processes that may not be our children: whether they live, what they use, and how to end them.
//!
//! A pid alone names nobody for long, so every signal goes through a pidfd whose process was checked
//! after it was opened. A zombie is dead: in containers nobody may ever collect it. Must not know
//! what a process is for; it is found by its own mark, its ancestry or its session, never by name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

pub use rustix::process::Signal;
use rustix::process::{Pid, PidfdFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::clock;

/// The variable by which everything that a job started is found again.
pub const MARK: &str = "ORG_JOB";
/// `/proc` counts processor time in these; the kernel's ABI fixes it on every architecture that
/// `org` runs on.
const TICKS_PER_SECOND: f64 = 100.0;
/// How often the end of killed processes is looked for.
const LOOK: Duration = Duration::from_millis(10);
/// How long killed processes may take to vanish; one in an uninterruptible wait never does.
const KILL_PATIENCE: Duration = Duration::from_secs(5);
/// How often, and with which pause, a process is looked at again that is just becoming another program: the
/// kernel is done with that in less than a millisecond, but for a program that it has to read first.
const LOOKS_AGAIN: u32 = 20;
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// How often one is seen as a whole program without an environment before that is believed: it may have become
/// another between two questions.
const BARE: u32 = 3;
/// Bytes read of an environment: the kernel's own limit for one string is 128 KiB.
const ENVIRON_CAP: u64 = 1 << 20;

/// One line of `/proc/PID/stat`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stat {
    /// Its pid.
    pub pid: u32,
    /// Its parent.
    pub parent: u32,
    /// Its process group.
    pub group: u32,
    /// Its session.
    pub session: u32,
    /// Its start in clock ticks since boot.
    pub start: u64,
    /// Whether it has ended and waits to be collected.
    pub zombie: bool,
    /// Whether it was stopped by a signal.
    pub stopped: bool,
    /// Processor seconds used by it and the children it waited for.
    pub cpu_s: f64,
    /// Virtual memory in bytes; 0 where it has none, as the kernel's own threads.
    pub virtual_bytes: u64,
    /// Resident memory in bytes.
    pub rss_bytes: u64,
}

/// What `/proc` says of a process, dead ones that wait to be collected included.
#[must_use]
pub fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(line: &str) -> Option<Stat> {
    // The name stands in parentheses and may hold spaces and parentheses of its own.
    let (pid, rest) = line.split_once(" (")?;
    let (_, rest) = rest.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // proc(5) counts from 1 and `state`, our first, is its field 3.
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let ticks: u64 = (14..=17).map_while(number).sum();
    Some(Stat {
        pid: pid.parse().ok()?,
        parent: u32::try_from(number(4)?).ok()?,
        group: u32::try_from(number(5)?).ok()?,
        session: u32::try_from(number(6)?).ok()?,
        start: number(22)?,
        zombie: matches!(fields.first(), Some(&("Z" | "X"))),
        stopped: matches!(fields.first(), Some(&("T" | "t"))),
        cpu_s: ticks as f64 / TICKS_PER_SECOND,
        virtual_bytes: number(23)?,
        rss_bytes: number(24)? * rustix::param::page_size() as u64,
    })
}

/// The threads of a process, each with the seconds that it ran and waited for a processor so far, by
/// `/proc/PID/task/TID/schedstat`; empty where the kernel does not tell.
#[must_use]
pub fn threads(pid: u32) -> Vec<(u32, (f64, f64))> {
    const NANOSECOND: f64 = 1e-9;
    let entries = fs::read_dir(format!("/proc/{pid}/task"));
    let tasks = entries.into_iter().flatten().flatten();
    let one = |entry: fs::DirEntry| {
        let thread = entry.file_name().to_str()?.parse().ok()?;
        let line = fs::read_to_string(entry.path().join("schedstat")).ok()?;
        let mut fields = line.split_ascii_whitespace();
        let mut next = || fields.next()?.parse::<u64>().ok();
        let (ran, waited) = (next()?, next()?);
        Some((
            thread,
            (ran as f64 * NANOSECOND, waited as f64 * NANOSECOND),
        ))
    };
    tasks.filter_map(one).collect()
}

/// Our own start time, which with our pid names us.
#[must_use]
pub fn own_start() -> u64 {
    static START: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    *START.get_or_init(|| stat(std::process::id()).map_or(0, |stat| stat.start))
}

/// Whether the process that had this pid and start time still runs.
#[must_use]
pub fn alive(pid: u32, start: u64) -> bool {
    stat(pid).is_some_and(|stat| !stat.zombie && stat.start == start)
}

/// Every process that runs, by pid.
#[must_use]
pub fn all() -> BTreeMap<u32, Stat> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return BTreeMap::new();
    };
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(stat)
        .filter(|stat| !stat.zombie)
        .map(|stat| (stat.pid, stat))
        .collect()
}

/// Every running process below `pid`, which itself is not in it.
#[must_use]
pub fn descendants(pid: u32) -> Vec<Stat> {
    below(&all(), BTreeSet::from([pid]))
}

/// The running processes whose parent, or parent's parent and so on, is in `roots`.
fn below(all: &BTreeMap<u32, Stat>, mut roots: BTreeSet<u32>) -> Vec<Stat> {
    let mut found = Vec::new();
    loop {
        let more: Vec<Stat> = all
            .values()
            .filter(|stat| roots.contains(&stat.parent) && !roots.contains(&stat.pid))
            .copied()
            .collect();
        if more.is_empty() {
            return found;
        }
        roots.extend(more.iter().map(|stat| stat.pid));
        found.extend(more);
    }
}

/// Every running process that carries the mark, was started by one that does, or shares a session
/// with one: a job may clear the environment of what it starts. We ourselves are never among them.
#[must_use]
pub fn marked(marker: &str) -> Vec<Stat> {
    let all = all();
    let me = std::process::id();
    let my_session = all.get(&me).map_or(0, |stat| stat.session);
    let carriers: Vec<Stat> = all
        .values()
        .filter(|stat| stat.pid != me && carries(stat, marker))
        .copied()
        .collect();
    let sessions: BTreeSet<u32> = carriers
        .iter()
        .map(|stat| stat.session)
        // Only sessions that the job itself opened: their leader is of the job, or gone.
        .filter(|session| *session != 0 && *session != my_session)
        .filter(|session| {
            !all.contains_key(session) || carriers.iter().any(|stat| stat.pid == *session)
        })
        .collect();
    let mut found: BTreeMap<u32, Stat> = carriers.iter().map(|stat| (stat.pid, *stat)).collect();
    found.extend(
        all.values()
            .filter(|stat| sessions.contains(&stat.session))
            .map(|stat| (stat.pid, *stat)),
    );
    let roots = found.keys().copied().collect();
    found.extend(below(&all, roots).into_iter().map(|stat| (stat.pid, stat)));
    found.remove(&me);
    found.into_values().collect()
}

/// Processes that carry a mark themselves, in the environment that they were started with; not those
/// that they started with another one.
#[must_use]
pub fn carriers(marker: &str) -> Vec<Stat> {
    let mut all: Vec<Stat> = all().into_values().collect();
    let me = std::process::id();
    all.retain(|stat| stat.pid != me && carries(stat, marker));
    all
}

fn carries(seen: &Stat, marker: &str) -> bool {
    let mut environ = environment(seen.pid);
    let (mut looks, mut bare) = (0, 0);
    // Of the kernel's own threads there is nothing to see.
    while environ.is_empty() && seen.virtual_bytes > 0 && looks < LOOKS_AGAIN && bare < BARE {
        if becomes_another(seen.pid) {
            std::thread::sleep(LOOK_AGAIN);
        } else {
            bare += 1;
        }
        environ = environment(seen.pid);
        looks += 1;
    }
    let wanted = format!("{MARK}={marker}");
    environ
        .split(|byte| *byte == 0)
        .any(|entry| entry == wanted.as_bytes())
}

/// Whether a process is just becoming another program: for that moment it shows neither arguments nor
/// environment, and whoever asks only once takes it for a stranger.
fn becomes_another(pid: u32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|words| words.is_empty())
}

/// What it was started with; nothing where that cannot be read. One that is cut short, or that went away
/// while it was read, is as much as was there.
fn environment(pid: u32) -> Vec<u8> {
    let mut environ = Vec::new();
    if let Ok(file) = fs::File::open(format!("/proc/{pid}/environ")) {
        let mut file = io::Read::take(file, ENVIRON_CAP);
        drop(io::Read::read_to_end(&mut file, &mut environ));
    }
    environ
}

/// Signals one process if it still is the one that was seen.
pub fn signal(seen: &Stat, signal: Signal) -> bool {
    let Ok(pidfd) = pidfd(seen.pid) else {
        return false;
    };
    alive(seen.pid, seen.start) && rustix::process::pidfd_send_signal(pidfd, signal).is_ok()
}

/// Signals a whole process group, which must be led by a child of ours that was not waited for:
/// then its number cannot have been given to anybody else.
pub fn signal_group(leader: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(leader).ok().and_then(Pid::from_raw) {
        // It may have ended, which is what a signal was to bring about.
        let _ = rustix::process::kill_process_group(pid, signal);
    }
}

/// What came of ending a tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ended {
    /// Processes that were there at first.
    pub found: usize,
    /// Of those and their late children, how many were killed after the grace.
    pub killed: usize,
    /// Processes that are there still.
    pub survivors: usize,
}

/// Ends every process that carries a mark: TERM, and KILL after the grace.
pub async fn kill_tree(marker: &str, grace: Duration) -> Ended {
    let mut left = marked(marker);
    let mut ended = Ended {
        found: left.len(),
        ..Ended::default()
    };
    let mut asked = BTreeSet::new();
    let deadline = clock::monotonic() + grace;
    while !left.is_empty() {
        // Those too that were forked while the others were being asked.
        for stat in left
            .iter()
            .filter(|stat| asked.insert((stat.pid, stat.start)))
        {
            signal(stat, Signal::TERM);
        }
        if clock::monotonic() >= deadline {
            break;
        }
        tokio::time::sleep(LOOK).await;
        left = marked(marker);
    }
    let deadline = clock::monotonic() + KILL_PATIENCE;
    let mut killed = BTreeSet::new();
    while !left.is_empty() && clock::monotonic() < deadline {
        // Stopped first, so that a fork bomb cannot outrun the list.
        for kind in [Signal::STOP, Signal::KILL] {
            left.iter()
                .filter(|stat| signal(stat, kind))
                .for_each(|stat| {
                    killed.insert((stat.pid, stat.start));
                });
        }
        tokio::time::sleep(LOOK).await;
        left = marked(marker);
    }
    (ended.killed, ended.survivors) = (killed.len(), left.len());
    ended
}

/// Waits for the end of a process that need not be our child.
#[derive(Debug)]
pub struct Watch {
    pidfd: AsyncFd<OwnedFd>,
    seen: Stat,
}

impl Watch {
    /// Watches the process with that pid and, where one is known, start time; an error if it has
    /// ended. Must be called inside a tokio runtime.
    #[expect(
        deprecated,
        reason = "its replacement is unsafe for types that lie about their descriptor; OwnedFd does not"
    )]
    pub fn open(pid: u32, start: Option<u64>) -> io::Result<Self> {
        let pidfd = pidfd(pid)?;
        // Read after the descriptor was opened: from here on it cannot be another process.
        let seen = stat(pid)
            .filter(|stat| !stat.zombie && start.is_none_or(|start| start == stat.start))
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no process {pid}")))?;
        Ok(Self {
            pidfd: AsyncFd::with_interest(pidfd, Interest::READABLE)?,
            seen,
        })
    }

    /// Its pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.seen.pid
    }

    /// Its start time.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.seen.start
    }

    /// Returns when it has ended, zombies included. Cancel-safe.
    pub async fn ended(&self) -> io::Result<()> {
        self.pidfd
            .readable()
            .await
            .map(|mut ready| ready.retain_ready())
    }

    /// Signals it; true unless it has ended.
    pub fn signal(&self, signal: Signal) -> bool {
        rustix::process::pidfd_send_signal(self.pidfd.get_ref().as_fd(), signal).is_ok()
    }
}

/// A descriptor that stays with one process.
pub fn pidfd(pid: u32) -> io::Result<OwnedFd> {
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = raw.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no such pid"))?;
    Ok(rustix::process::pidfd_open(pid, PidfdFlags::empty())?)
}

/// Keeps other processes of the same user from reading our memory and environment, and us from
/// leaving a core dump: for processes that hold keys.
pub fn set_undumpable() -> io::Result<()> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Makes orphans among our descendants our own children instead of init's.
pub fn set_subreaper() -> io::Result<()> {
    Ok(rustix::process::set_child_subreaper(Some(
        rustix::process::getpid(),
    ))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::exec::{Detached, Exec, Output};

    fn marked_shell(script: &str, marker: &str) -> Detached {
        let shell = Exec::new("/bin/sh")
            .args(["-c", script])
            .env("PATH", "/usr/bin:/bin");
        shell
            .env(MARK, marker)
            .stdout(Output::Pipe)
            .spawn_detached()
            .unwrap()
    }

    /// Reads up to the script's first line, after which it has done what the test is about.
    fn first_line(child: &mut Detached) -> String {
        let pipe = fs::File::from(child.take_stdout().unwrap());
        let mut line = String::new();
        io::BufRead::read_line(&mut io::BufReader::new(pipe), &mut line).unwrap();
        line
    }

    fn wait_for(what: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let limit = Duration::from_secs(30);
        runtime.block_on(async { tokio::time::timeout(limit, what).await.unwrap() });
    }

    #[test]
    fn stat_reads_names_that_try_to_confuse() {
        let rest = "0 -1 4194560 1 0 0 0 7 3 20 10 20 0 1 0 123456 1000 5 0 0";
        let stat = parse_stat(&format!("42 (a) R 1 (b) S 7 8 9 {rest}")).unwrap();
        assert_eq!(
            (stat.pid, stat.parent, stat.group, stat.session),
            (42, 7, 8, 9)
        );
        assert_eq!((stat.start, stat.zombie), (123_456, false));
        assert!((stat.cpu_s - 0.40).abs() < 1e-9, "{stat:?}");
        assert!(
            parse_stat(&format!("42 (a) Z 7 8 9 {rest}"))
                .unwrap()
                .zombie
        );
        assert_eq!(parse_stat("42 (a"), None);
    }

    #[test]
    fn a_zombie_is_dead_and_a_later_pid_is_somebody_else() {
        let mut child = marked_shell("echo x; exec sleep 60", "zombie-test");
        first_line(&mut child);
        let seen = stat(child.pid()).unwrap();
        assert!(alive(seen.pid, seen.start) && !alive(seen.pid, seen.start + 1));
        wait_for(async {
            let watch = Watch::open(seen.pid, Some(seen.start)).unwrap();
            assert!(watch.signal(Signal::KILL));
            watch.ended().await.unwrap();
        });
        assert!(
            !alive(seen.pid, seen.start),
            "dead though nobody has waited for it"
        );
        assert!(!signal(&seen, Signal::TERM));
        child.wait().unwrap();
    }

    #[test]
    fn who_becomes_another_program_all_the_time_is_seen_all_the_time() {
        let marker = format!("turning-{}", std::process::id());
        let file = tempfile::NamedTempFile::new().unwrap();
        let again = format!("exec /bin/sh {}", file.path().display());
        super::super::files::write_view(file.path(), again.as_bytes()).unwrap();
        let mut child = marked_shell(&format!("echo up; {again}"), &marker);
        first_line(&mut child);
        let seen = stat(child.pid()).unwrap();
        let unseen = (0..2000).filter(|_| !carries(&seen, &marker)).count();
        signal(&seen, Signal::KILL);
        child.wait().unwrap();
        assert_eq!(unseen, 0, "of 2000");
    }

    #[test]
    fn a_tree_is_found_by_its_mark_even_where_the_mark_was_wiped() {
        let marker = format!("tree-{}", std::process::id());
        // One deaf to TERM, one whose environment was cleared, and one in a session of its own.
        let script = "trap '' TERM
            env -i sleep 60 &
            setsid sleep 60 &
            sleep 60 &
            echo up; while :; do sleep 1; done";
        let mut child = marked_shell(script, &marker);
        first_line(&mut child);
        assert!(marked(&marker).len() >= 4, "{:?}", marked(&marker));
        assert!(marked("another").is_empty());
        wait_for(async {
            let ended = kill_tree(&marker, Duration::from_millis(100)).await;
            assert!(ended.killed >= 1 && ended.survivors == 0, "{ended:?}");
        });
        assert!(marked(&marker).is_empty());
        child.wait().unwrap();
    }
}
