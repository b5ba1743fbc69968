//! The supervisor's loop: fold, compare, perform the difference, wait.
//!
//! May only receive, apply, decide, perform and append; every rule is in `domain`. It can be killed
//! at any moment: its successor adopts living agents by their locks and running jobs by theirs, and
//! then does what this one would have done.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::domain::chart::Chart;
use crate::domain::event::{Actor, Kind, RunStatus};
use crate::domain::state::State;
use crate::domain::supervisor::{Effect, Observed, decide, next_due, unmourned};
use crate::os::lock::{self, Lock};

use crate::os::{clock, confine, exec, process, sandbox};
use crate::run::bell::Bell;
use crate::run::frozen::{self, FrozenError};
use crate::run::log::{Decision, Log, LogError};
use crate::run::maildir::Maildir;
use crate::run::paths::RunDir;

use super::claims::{Done, Errand};
use super::devices::Looked;
use super::disk::Disk;
use super::janitor::{Sign, Vigil};
use super::kept::{self, Kept};
use super::keys::KeyRing;
use super::marks::Told;
use super::measure::{Found, Order};
use super::words::Words;
use super::{leases, task};

/// Shortest time between two starts of the same agent: *at once* must not become a spin.
const START_SPACING: Duration = Duration::from_millis(300);
/// How often that doubles, at most, while its processes end before they have said that they started.
const SPACING_DOUBLES: u32 = 7;

/// Why the supervisor cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SuperviseError {
    /// The log.
    #[error("the log failed")]
    Log(#[from] LogError),
    /// The frozen chart.
    #[error("the frozen chart cannot be had")]
    Frozen(#[from] FrozenError),
    /// The frozen prompts.
    #[error("the frozen prompts cannot be read: {0}")]
    Prompts(String),
    /// Another run has a device.
    #[error("a GPU of this run is in use")]
    Lease(#[source] crate::lab::gpu::LeaseError),
    /// The file system or a process.
    #[error("cannot {doing}")]
    Io {
        /// What was tried.
        doing: String,
        /// Why not.
        source: io::Error,
    },
}

impl SuperviseError {
    pub(super) fn io(doing: &str) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.to_owned();
        move |source| Self::Io { doing, source }
    }
}

/// What tasks and threads report back.
#[derive(Debug)]
pub(super) enum Report {
    AgentGone {
        name: String,
        pid: u32,
        how: Option<String>,
    },
    /// A run was told to stand still, or to go on.
    Frozen {
        id: u64,
        attempt: u32,
        still: bool,
        seen: bool,
    },
    /// Somebody who sat at an agent's desk has let it go.
    DeskLeft {
        name: String,
        seq: u64,
        marker: String,
    },
    /// Nobody could be called.
    Missed {
        reason: String,
        error: String,
    },
    /// The office was told what its borders say.
    Marked,
    /// Something about the office.
    Office(Sign),
    MockUp,
    MockGone,
    RunDone {
        id: u64,
        attempt: u32,
        found: Found,
    },
    /// How full the disk is.
    Disk(Disk),
    /// What was seen of devices.
    Devices(Looked),
    /// How far a run has come.
    RunAt {
        id: u64,
        attempt: u32,
        steps: (u64, u64),
    },
    Errand {
        id: u64,
        errand: Errand,
        champion: String,
        done: Result<Done, String>,
    },
}

/// The supervisor's hands and what it has in them. Everything else is in the log.
pub(super) struct Supervisor {
    pub(super) dir: RunDir,
    pub(super) chart: Arc<Chart>,
    pub(super) log: Log,
    pub(super) clean: BTreeMap<String, String>,
    pub(super) keys: KeyRing,
    pub(super) words: Words,
    pub(super) report: mpsc::UnboundedSender<Report>,
    /// Agents' processes, starting ones included.
    pub(super) alive: BTreeMap<String, u32>,
    pub(super) stopping: BTreeSet<String>,
    pub(super) orders: BTreeMap<u64, Arc<Order>>,
    /// What is under way with claims' commits, by claim.
    pub(super) errands: BTreeMap<u64, Errand>,
    /// Runs that are being frozen or thawed.
    pub(super) freezing: BTreeSet<u64>,
    /// Agents whose commands were told to stand still; all, as far as a new supervisor knows.
    pub(super) still: BTreeSet<String>,
    /// Desks that people have taken and that are watched, with the event that said so.
    pub(super) desks: BTreeSet<(String, u64)>,
    started: BTreeMap<String, Tried>,
    mock: Option<bool>,
    /// When the disk was last looked at.
    pub(super) disk: Option<Instant>,
    /// When barred devices were last looked at.
    pub(super) devices: Option<Instant>,
    /// Devices that are being looked at, by UUID.
    pub(super) looking: BTreeSet<String>,
    pub(super) told: Told,
    pub(super) vigil: Vigil,
    pub(super) kept: Kept,
}

/// The last start of an agent.
struct Tried {
    at: Instant,
    /// How often it had started before, by the log.
    starts: u32,
    /// Starts in a row that never reached the log.
    vain: u32,
}

/// Supervises a run until it is brought down. Returns at once where another supervisor lives. What is
/// enforced here is found out where nobody says it.
///
/// # Errors
/// Where the world breaks; whoever finds the supervisor gone starts another.
pub async fn run(
    dir: RunDir,
    clean: BTreeMap<String, String>,
    keys: KeyRing,
    tables: kept::Write,
    enforced: Option<sandbox::Report>,
) -> Result<(), SuperviseError> {
    exec::become_session().map_err(SuperviseError::io("leave the session"))?;
    process::set_undumpable().map_err(SuperviseError::io("become undumpable"))?;
    let lock = Lock::try_take(&dir.lock("supervisor")).map_err(SuperviseError::io("lock"))?;
    let Some(lock) = lock else { return Ok(()) };
    let (report, mut reports) = mpsc::unbounded_channel();
    let mut me = Supervisor {
        chart: Arc::new(frozen::chart(&dir)?),
        log: Log::open(&dir)?,
        words: Words::of(&dir).map_err(SuperviseError::Prompts)?,
        dir,
        clean,
        keys,
        report,
        alive: BTreeMap::new(),
        stopping: BTreeSet::new(),
        orders: BTreeMap::new(),
        errands: BTreeMap::new(),
        freezing: BTreeSet::new(),
        desks: BTreeSet::new(),
        still: BTreeSet::new(),
        started: BTreeMap::new(),
        mock: None,
        disk: None,
        devices: None,
        looking: BTreeSet::new(),
        told: Told::default(),
        vigil: Vigil::default(),
        kept: Kept::by(tables),
    };
    if me.state().stopped {
        // Started by somebody who did not know; nothing is left to look after.
        return Ok(());
    }
    let mut boxes: Vec<_> = me.mailboxes().iter().map(Maildir::new_dir).collect();
    boxes.push(me.dir.events());
    boxes.extend(me.hang_bell());
    let mut bell = Bell::on(&boxes);
    let _leases = leases::take(&me.clean, &me.state().gpus).map_err(SuperviseError::Lease)?;
    me.take_over(enforced)?;
    while !me.state().stopped {
        me.log.catch_up()?;
        me.look_at_news()?;
        let due = me.act().await?;
        let sleep = tokio::time::sleep(due.unwrap_or(Duration::from_secs(3600)));
        tokio::select! {
            () = bell.wait() => {}
            () = sleep, if due.is_some() => {}
            Some(report) = reports.recv() => me.take(report)?,
        }
        while let Ok(report) = reports.try_recv() {
            me.take(report)?;
        }
    }
    drop(lock);
    Ok(())
}

impl Supervisor {
    pub(super) fn state(&self) -> &State {
        self.log.state()
    }

    fn mailboxes(&self) -> Vec<Maildir> {
        let agents = self.chart.agents.iter().map(|agent| agent.name.as_str());
        agents
            .chain(["human"])
            .map(|name| Maildir::at(self.dir.mailbox(name)))
            .collect()
    }

    /// Adopts what lives and finishes what was begun.
    fn take_over(&mut self, enforced: Option<sandbox::Report>) -> Result<(), SuperviseError> {
        let pid = std::process::id();
        let sandbox = enforced.unwrap_or_else(|| confine::probe(&self.dir.locks(), &self.clean));
        let started = Kind::SupervisorStarted { pid, sandbox };
        self.log.append(&Actor::Supervisor, vec![started])?;
        self.note_machine()?;
        let names = self.chart.agents.iter().map(|agent| agent.name.clone());
        self.still = names.collect();
        for agent in self.chart.agents.clone() {
            let adopted = self.adopt_agent(&agent.name);
            if adopted.is_none() {
                self.end_jobs(&agent.name);
            }
            let known = self.state().agents.get(&agent.name);
            if known.is_some_and(|agent| agent.pid.is_some()) {
                self.mourn(&agent.name, adopted, "while no supervisor lived")?;
            }
        }
        let running: Vec<_> = self
            .state()
            .experiments
            .values()
            .filter(|run| run.status == RunStatus::Running)
            .map(|run| (run.id, run.attempt, run.gpus.clone()))
            .collect();
        for (id, attempt, gpus) in running {
            // Launched again: a job that is there is found, one that never began begins now.
            self.follow(id, attempt, gpus, self.state().down.is_none());
        }
        self.sweep(None);
        let all: Vec<u64> = self.state().mails.keys().copied().collect();
        self.post(&all);
        Ok(())
    }

    /// Writes an agent's death down, unless `living` is the process that the log knows, or the last one
    /// has said itself that it ends.
    fn mourn(&mut self, name: &str, living: Option<u32>, how: &str) -> Result<(), SuperviseError> {
        let decide = |state: &State| -> Decision<(), ()> {
            let known = state.agents.get(name).and_then(|agent| agent.pid);
            let dead = match living {
                // It has yet to say that it started; what the log knows is its predecessor.
                Some(pid) => known.is_some_and(|known| known != pid),
                None => unmourned(state, name),
            };
            // Under the lock: the next process may be saying that it starts at this very moment.
            let seen = lock::holder(&self.dir.agent_lock(name)).map(|held| held.pid);
            if !dead || seen != living {
                return Err(());
            }
            let died = Kind::AgentDied {
                agent: name.to_owned(),
                how: how.to_owned(),
            };
            Ok((vec![died], ()))
        };
        let _written: Result<(), ()> = self.log.transact(&Actor::Supervisor, decide)?;
        Ok(())
    }

    /// Performs the difference; says after how long something falls due by itself.
    async fn act(&mut self) -> Result<Option<Duration>, SuperviseError> {
        let now = clock::now();
        let seen = Observed {
            agents: self.alive.keys().cloned().collect(),
            mock: self.mock == Some(true),
            ahead_s: clock::ahead_of_utc(now),
        };
        let effects = decide(&self.chart, self.state(), &seen, now);
        let mut due = next_due(&self.chart, self.state(), &seen, now).map(|at| until(now, at));
        for effect in effects {
            if let Some(wait) = self.perform(effect).await? {
                due = Some(due.map_or(wait, |due: Duration| due.min(wait)));
            }
        }
        self.freeze_commands();
        self.watch_desks();
        let later = self.mark();
        let disk = self.watch_disk();
        let devices = self.watch_devices();
        let tidy = self.tidy_office();
        Ok([due, later, disk, devices, tidy]
            .into_iter()
            .flatten()
            .min())
    }

    async fn perform(&mut self, effect: Effect) -> Result<Option<Duration>, SuperviseError> {
        match effect {
            Effect::StartMock if self.mock.is_none() => {
                self.mock = Some(false);
                self.start_mock()?;
            }
            Effect::StartMock => {}
            Effect::Start(name) => return Ok(self.start_spaced(&name)),
            Effect::Stop(name) => self.stop_agent(&name),
            Effect::Hold(agent, reason) => {
                let held = Kind::AgentHeld {
                    agent,
                    reason,
                    cap: false,
                    until: None,
                };
                self.log.append(&Actor::Supervisor, vec![held])?;
            }
            Effect::Cap(agent, reason) => {
                let held = Kind::AgentHeld {
                    agent,
                    reason,
                    cap: true,
                    until: None,
                };
                self.log.append(&Actor::Supervisor, vec![held])?;
            }
            Effect::Release(agent) => {
                let released = Kind::AgentReleased { agent };
                self.log.append(&Actor::Supervisor, vec![released])?;
            }
            Effect::Launch(grant) => self.launch(grant)?,
            Effect::Freeze(id) => self.freeze(id, true),
            Effect::Thaw(id) => self.freeze(id, false),
            Effect::Interrupt(id) => self.interrupt(id),
            Effect::Cancel(id, reason) => {
                let agent = None;
                let cancelled = Kind::ExperimentCancelled { id, agent, reason };
                self.log.append(&Actor::Lab, vec![cancelled])?;
            }
            Effect::Tell(id) => self.tell(id)?,
            Effect::Lab(step) => self.lab(&step)?,
            Effect::Society(act) => self.society(act).await?,
            Effect::Close(wanted) => self.queue(&wanted)?,
            Effect::Headline => self.headline()?,
            Effect::Call(needs, reason) => self.call(needs, reason)?,
            Effect::Stopped => self.close().await?,
        }
        Ok(None)
    }

    fn start_spaced(&mut self, name: &str) -> Option<Duration> {
        let now = clock::monotonic();
        let starts = self.state().agents.get(name).map_or(0, |it| it.starts);
        let mut vain = 0;
        if let Some(last) = self.started.get(name) {
            if last.starts == starts {
                vain = last.vain + 1;
            }
            let spacing = START_SPACING * (1 << vain.min(SPACING_DOUBLES));
            let since = now.duration_since(last.at);
            if since < spacing {
                return Some(spacing - since);
            }
        }
        let at = now;
        let tried = Tried { at, starts, vain };
        self.started.insert(name.to_owned(), tried);
        self.start_agent(name);
        None
    }

    fn take(&mut self, report: Report) -> Result<(), SuperviseError> {
        match report {
            Report::AgentGone { name, pid, how } => self.agent_gone(&name, pid, how),
            Report::Frozen {
                id,
                attempt,
                still,
                seen,
            } => Ok(self.frozen(id, attempt, still, seen)?),
            Report::DeskLeft { name, seq, marker } => Ok(self.desk_left(&name, seq, marker)?),
            Report::Missed { reason, error } => {
                let missed = Kind::PersonMissed { reason, error };
                Ok(self.log.append(&Actor::Supervisor, vec![missed])?)
            }
            Report::Marked => {
                self.told.over();
                Ok(())
            }
            Report::Office(sign) => self.office_sign(sign),
            Report::MockUp => {
                self.mock = Some(true);
                Ok(())
            }
            Report::MockGone => {
                self.mock = None;
                Ok(())
            }
            Report::RunDone { id, attempt, found } => self.finish(id, attempt, found),
            Report::Disk(seen) => Ok(self.disk_seen(seen)?),
            Report::Devices(seen) => Ok(self.devices_seen(seen)?),
            Report::RunAt { id, attempt, steps } => self.run_at(id, attempt, steps),
            Report::Errand {
                id,
                errand,
                champion,
                done,
            } => self.errand_done(id, errand, champion, done),
        }
    }

    /// An agent's process is gone: on its own word, or it died.
    fn agent_gone(
        &mut self,
        name: &str,
        pid: u32,
        how: Option<String>,
    ) -> Result<(), SuperviseError> {
        self.alive.remove(name);
        self.stopping.remove(name);
        self.log.catch_up()?;
        if self.adopt_agent(name).is_some() {
            // One that an earlier supervisor was starting when it died was faster than ours.
            tracing::info!(agent = name, pid, "another process has this agent's lock");
            return Ok(());
        }
        self.end_jobs(name);
        let how = how.unwrap_or_else(|| "how is not known".to_owned());
        if unmourned(self.state(), name) {
            tracing::warn!(agent = name, pid, how, "an agent died");
        }
        self.mourn(name, None, &how)
    }

    /// Ends the jobs that an agent left behind, out of the way of everything else.
    fn end_jobs(&self, name: &str) {
        task::start(crate::tool::end_jobs(&self.dir, name));
    }
}

fn until(now: Timestamp, at: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or_default()
}
