//! Sees one command through: starts it from a thread that confined itself, bounds its time and
//! output, and collects or ends everything that it ever started.
//!
//! Takes the whole process: as the reaper of orphans it collects every child there is. Must not know
//! locks, results on disk, or why a command runs: that is `job`'s.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use rustix::process::{Pid, WaitOptions, WaitStatus};
use tokio::signal::unix::{SignalKind, signal};

use super::clock;
use super::exec::Input;
use super::gate;
use super::job::{Exit, JobResult, JobSpec};
use super::output::Kept;
use super::process::{self, Signal};
use super::sandbox::Report;
use super::sink::{Stream, Target, pump, sink};

/// How long what a command leaves behind may take to end by itself, as a pool's workers do.
const SETTLE: Duration = Duration::from_millis(50);
/// Looks for processes that do not stand still yet: each finds what was forked since the last.
const FREEZE_ROUNDS: u32 = 100;
/// How often processes that were killed, and what they forked meanwhile, are killed again.
const KILL_AGAIN: Duration = Duration::from_millis(20);
/// How long killed processes may take to vanish; one in an uninterruptible wait never does.
const KILL_PATIENCE: Duration = Duration::from_secs(10);
/// Makes the kernel choose a job before the org when memory runs out.
const OOM_SCORE: &[u8] = b"500";

/// What a keeper listens to; a hang-up is heard and ignored.
pub(super) struct Signals {
    child: tokio::signal::unix::Signal,
    term: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    freeze: tokio::signal::unix::Signal,
    thaw: tokio::signal::unix::Signal,
    _hangup: tokio::signal::unix::Signal,
}

impl Signals {
    /// Takes them over from the kernel's defaults.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            child: signal(SignalKind::child())?,
            term: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            freeze: signal(SignalKind::user_defined1())?,
            thaw: signal(SignalKind::user_defined2())?,
            _hangup: signal(SignalKind::hangup())?,
        })
    }
}

/// Runs a job's command to the end of its last process.
pub(super) async fn carry_out(spec: &JobSpec, signals: &mut Signals) -> JobResult {
    let started = clock::now().to_string();
    let begun = clock::monotonic();
    let oom_before = oom_kills();
    let (mut streams, begin) = match start(spec) {
        Ok((streams, begin)) => (streams, begin),
        Err(reason) => return not_started(started, reason),
    };
    let timeout = spec
        .timeout_s
        .and_then(|limit| Duration::try_from_secs_f64(limit).ok());
    let until = timeout.and_then(|limit| begun.checked_add(limit));
    let mut tree = Tree::new(begin.main, until, spec.grace_s);
    tree.collect();
    let [out, err] = &mut streams;
    while !tree.over() {
        tokio::select! {
            _ = signals.child.recv() => {}
            _ = signals.term.recv() => tree.cancel(),
            _ = signals.interrupt.recv() => tree.cancel(),
            _ = signals.freeze.recv() => tree.freeze(),
            _ = signals.thaw.recv() => tree.thaw(),
            () = sleep_until(tree.deadline()) => tree.advance(),
            () = pump(out) => {}
            () = pump(err) => {}
        }
        tree.collect();
    }
    let kept = streams.into_iter().flatten().map(Stream::finish);
    let kept = kept.fold(Kept::default(), |sum, one| Kept {
        total: sum.total + one.total,
        truncated: sum.truncated || one.truncated,
    });
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).ok();
    JobResult {
        started,
        ended: clock::now().to_string(),
        wall_s: tree
            .ended
            .unwrap_or_else(clock::monotonic)
            .duration_since(begun)
            .saturating_sub(tree.frozen)
            .as_secs_f64(),
        frozen_s: tree.frozen.as_secs_f64(),
        cpu_s: usage.map_or(0.0, |it| {
            seconds(it.user_time()) + seconds(it.system_time())
        }),
        peak_rss_mb: usage.map_or(0.0, |usage| usage.max_rss() as f64 / 1024.0),
        exit: tree.exit(),
        cancelled: tree.cancelled,
        killed_leftovers: tree.killed.len() as u64,
        survivors: if tree.all_gone {
            0
        } else {
            tree.left().len() as u64
        },
        output_bytes: kept.total,
        truncated: kept.truncated,
        oom_kills: oom_before
            .zip(oom_kills())
            .map(|(before, after)| after.saturating_sub(before)),
        sandbox: begin.sandbox.or_else(|| gate::confinement(spec)),
    }
}

fn not_started(started: String, reason: String) -> JobResult {
    JobResult {
        started,
        ended: clock::now().to_string(),
        wall_s: 0.0,
        frozen_s: 0.0,
        cpu_s: 0.0,
        peak_rss_mb: 0.0,
        exit: Exit::NotStarted(reason),
        cancelled: false,
        killed_leftovers: 0,
        survivors: 0,
        output_bytes: 0,
        truncated: false,
        oom_kills: None,
        sandbox: None,
    }
}

fn seconds(time: nix::sys::time::TimeVal) -> f64 {
    time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6
}

/// How often the kernel has killed a process for lack of memory since boot.
fn oom_kills() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/vmstat").ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix("oom_kill "))?
        .trim()
        .parse()
        .ok()
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// The started command.
struct Begin {
    main: Pid,
    sandbox: Option<Report>,
}

/// Starts the command from a thread of its own: confinement, niceness and affinity are a thread's
/// and are inherited by what it starts, so the keeper stays free of them.
fn start(spec: &JobSpec) -> Result<([Option<Stream>; 2], Begin), String> {
    let (out, stdout) = sink(&spec.stdout, spec.output_cap, None)?;
    let (err, stderr) = sink(&spec.stderr, spec.output_cap, Some(&stdout))?;
    let begin = std::thread::scope(|scope| {
        let thread = scope.spawn(|| start_here(spec, stdout, stderr));
        thread
            .join()
            .unwrap_or_else(|_| Err("the starting thread panicked".to_owned()))
    })?;
    Ok(([out, err], begin))
}

fn start_here(spec: &JobSpec, stdout: Target, stderr: Target) -> Result<Begin, String> {
    let program = spec.argv.first().ok_or("the command is empty")?;
    if let Some(nice) = spec.nice {
        rustix::process::setpriority_process(None, nice)
            .map_err(|error| format!("set niceness {nice}: {error}"))?;
    }
    if let Some(cpus) = &spec.cpus {
        pin(cpus).map_err(|error| format!("run on processors {cpus:?}: {error}"))?;
    }
    let (exec, sandbox) = gate::confined(spec)?;
    let child = exec
        .envs(spec.env.clone())
        .env(process::MARK, &spec.marker)
        .cwd(&spec.cwd)
        .stdin(
            spec.stdin
                .clone()
                .map_or(Input::Null, |text| Input::Bytes(text.into())),
        )
        .stdout(stdout.into_output())
        .stderr(stderr.into_output())
        .own_group()
        .spawn_detached()
        .map_err(|error| format!("start {program} in {}: {error}", spec.cwd.display()))?;
    let main = i32::try_from(child.pid())
        .ok()
        .and_then(Pid::from_raw)
        .ok_or("no pid")?;
    // Best effort: the value is a preference.
    let score = std::fs::OpenOptions::new()
        .write(true)
        .open(format!("/proc/{}/oom_score_adj", child.pid()));
    drop(score.and_then(|mut file| file.write_all(OOM_SCORE)));
    Ok(Begin { main, sandbox })
}

fn pin(cpus: &[usize]) -> io::Result<()> {
    use rustix::thread::{CpuSet, sched_setaffinity};
    let mut set = CpuSet::new();
    for cpu in cpus {
        if *cpu >= CpuSet::MAX_CPU {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        set.set(*cpu);
    }
    Ok(sched_setaffinity(None, &set)?)
}

/// Where a job is on its way to its end.
#[derive(Debug, Clone, Copy)]
enum Phase {
    /// The command runs.
    Running { until: Option<Instant> },
    /// The command has ended, what it started may follow by itself.
    Settling { until: Instant },
    /// All were asked to end.
    Asked { until: Instant },
    /// All are being killed, again at `again`, until `until`.
    Killing { again: Instant, until: Instant },
}

impl Phase {
    fn deadline(self) -> Option<Instant> {
        match self {
            Self::Running { until } => until,
            Self::Settling { until } | Self::Asked { until } => Some(until),
            Self::Killing { again, .. } => Some(again),
        }
    }
}

/// The command and everything it started; as the reaper of orphans, the keeper is the parent of all
/// whose own parent is gone.
struct Tree {
    main: Pid,
    status: Option<WaitStatus>,
    ended: Option<Instant>,
    all_gone: bool,
    phase: Phase,
    grace: Duration,
    timed_out: bool,
    cancelled: bool,
    asked: BTreeSet<(u32, u64)>,
    killed: BTreeSet<(u32, u64)>,
    given_up: bool,
    /// Since when all stand still.
    frozen_at: Option<Instant>,
    /// For how long they did so far.
    frozen: Duration,
}

impl Tree {
    fn new(main: Pid, until: Option<Instant>, grace_s: f64) -> Self {
        Self {
            main,
            status: None,
            ended: None,
            all_gone: false,
            phase: Phase::Running { until },
            grace: Duration::try_from_secs_f64(grace_s).unwrap_or(Duration::ZERO),
            timed_out: false,
            cancelled: false,
            asked: BTreeSet::new(),
            killed: BTreeSet::new(),
            given_up: false,
            frozen_at: None,
            frozen: Duration::ZERO,
        }
    }

    /// When the phase's time is up; a job that stands still has all the time in the world.
    fn deadline(&self) -> Option<Instant> {
        self.phase.deadline().filter(|_| self.frozen_at.is_none())
    }

    /// Stops all processes, those too that are forked while the others are being stopped. A job that is
    /// ending anyway ends.
    fn freeze(&mut self) {
        if !matches!(self.phase, Phase::Running { .. }) {
            return;
        }
        self.frozen_at.get_or_insert_with(clock::monotonic);
        for _ in 0..FREEZE_ROUNDS {
            let mut moving = self.left();
            moving.retain(|process| !process.stopped);
            if moving.is_empty() {
                return;
            }
            for process in moving {
                process::signal(&process, Signal::STOP);
            }
        }
    }

    /// Lets them go on, with as much time before them as they had.
    fn thaw(&mut self) {
        let Some(since) = self.frozen_at.take() else {
            return;
        };
        let span = clock::monotonic().duration_since(since);
        self.frozen += span;
        if let Phase::Running { until: Some(until) } = &mut self.phase {
            *until = until.checked_add(span).unwrap_or(*until);
        }
        for process in self.left() {
            process::signal(&process, Signal::CONT);
        }
    }

    fn over(&self) -> bool {
        self.given_up || (self.all_gone && self.status.is_some())
    }

    /// Collects whoever has ended, and turns to whom they left behind.
    fn collect(&mut self) {
        self.reap();
        if matches!(self.phase, Phase::Asked { .. }) && !self.all_gone {
            // A parent that just ended may have forked after it was asked.
            self.ask();
        }
    }

    fn reap(&mut self) {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.main => {
                    self.status = Some(status);
                    self.ended = Some(clock::monotonic());
                    // Killed while it stood still: what it left behind must be able to end.
                    self.thaw();
                    if matches!(self.phase, Phase::Running { .. }) {
                        self.phase = Phase::Settling {
                            until: clock::monotonic() + SETTLE,
                        };
                    }
                }
                Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
                Ok(None) => return,
                // No child, hence no descendant.
                Err(_) => {
                    self.all_gone = true;
                    return;
                }
            }
        }
    }

    fn left(&self) -> Vec<process::Stat> {
        process::descendants(std::process::id())
    }

    fn cancel(&mut self) {
        // What stands still hears nothing.
        self.thaw();
        // A job that was ending anyway ends as it was going to; a second wish changes nothing.
        if matches!(self.phase, Phase::Running { .. }) {
            self.cancelled = true;
            self.begin_asking();
        }
    }

    fn begin_asking(&mut self) {
        self.phase = Phase::Asked {
            until: clock::monotonic() + self.grace,
        };
        self.ask();
    }

    /// Asks those to end that were not asked yet.
    fn ask(&mut self) {
        for process in self.left() {
            if self.asked.insert((process.pid, process.start)) {
                process::signal(&process, Signal::TERM);
            }
        }
    }

    /// The phase's time is up.
    fn advance(&mut self) {
        let now = clock::monotonic();
        match self.phase {
            Phase::Running { .. } => {
                self.timed_out = true;
                self.begin_asking();
            }
            Phase::Settling { .. } | Phase::Asked { .. } => self.kill(now + KILL_PATIENCE),
            Phase::Killing { until, .. } if now >= until => self.given_up = true,
            Phase::Killing { until, .. } => self.kill(until),
        }
    }

    fn kill(&mut self, until: Instant) {
        let left = self.left();
        // All are stopped before any is killed, so that a fork bomb cannot outrun the list.
        for process in &left {
            process::signal(process, Signal::STOP);
        }
        let main = self.main.as_raw_nonzero().get().unsigned_abs();
        for process in left
            .iter()
            .filter(|process| process::signal(process, Signal::KILL))
        {
            if process.pid != main {
                self.killed.insert((process.pid, process.start));
            }
        }
        self.phase = Phase::Killing {
            again: clock::monotonic() + KILL_AGAIN,
            until,
        };
    }

    fn exit(&self) -> Exit {
        if self.timed_out {
            return Exit::Timeout;
        }
        let signal = |status: &WaitStatus| status.terminating_signal();
        match &self.status {
            Some(status) => status.exit_status().map_or_else(
                || Exit::Signal(signal(status).unwrap_or_default()),
                Exit::Code,
            ),
            // Killed and not gone: what was sent is all that is known.
            None => Exit::Signal(Signal::KILL.as_raw()),
        }
    }
}
