//! Carrying out what was decided: effects are dumb.
//!
//! Each effect ends in an event, by which everybody learns that it happened; what takes time runs as
//! a task or on a worker thread and reports back over a channel, so that the supervisor never waits
//! for anything that it supervises.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use rustix::process::Signal;

use crate::domain::contention;
use crate::domain::event::{Actor, Gpu, Kind, RunStatus};
use crate::domain::freeze;
use crate::domain::lease::{self, Grant};
use crate::domain::protocol;
use crate::domain::state::{Mail, State};
use crate::os::exec::{self, Detached};
use crate::os::lock;
use crate::os::process::Watch;
use crate::run::log::LogError;
use crate::run::maildir::{Maildir, Posting};

use super::guard::let_go;
use super::measure::{Found, Look, Order, Program, Watching};
use super::supervise::{Report, SuperviseError, Supervisor};
use super::{spawn, task};

/// How long an agent has to end after it was asked to.
const AGENT_GRACE: Duration = Duration::from_secs(10);
/// Between two looks for the mock server's lock.
const LOOK: Duration = Duration::from_millis(10);
/// Before a mock server that ended before it listened is started again.
const MOCK_PAUSE: Duration = Duration::from_millis(300);
/// Looks before the mock server is given up and started again.
const LOOKS: u32 = 1000;

impl Supervisor {
    /// Starts an agent's process and watches it.
    pub(super) fn start_agent(&mut self, name: &str) {
        let gpu = self
            .state()
            .agents
            .get(name)
            .and_then(|agent| agent.gpu.clone());
        if self.adopt_agent(name).is_some() {
            return;
        }
        match spawn::agent(&self.dir, &self.clean, &self.keys, name, gpu.as_ref()) {
            Ok(mut child) => {
                let pid = child.pid();
                self.alive.insert(name.to_owned(), pid);
                let (name, report) = (name.to_owned(), self.report.clone());
                task::start(async move {
                    if let Ok(watch) = Watch::open(pid, None) {
                        watch.ended().await.ok();
                    }
                    let how = child
                        .try_wait()
                        .ok()
                        .flatten()
                        .map(|status| status.to_string());
                    report.send(Report::AgentGone { name, pid, how }).ok();
                });
            }
            Err(error) => {
                tracing::error!(%error, agent = name, "an agent could not be started");
                let how = Some(format!("it could not be started: {error}"));
                let name = name.to_owned();
                self.report
                    .send(Report::AgentGone { name, pid: 0, how })
                    .ok();
            }
        }
    }

    /// Watches an agent that somebody else started, if there is one; returns its process, 0 where it
    /// has the lock and has not signed it yet.
    pub(super) fn adopt_agent(&mut self, name: &str) -> Option<u32> {
        let path = self.dir.agent_lock(name);
        let pid = lock::holder(&path)?.pid;
        self.alive.insert(name.to_owned(), pid);
        let (name, report) = (name.to_owned(), self.report.clone());
        task::start(async move {
            let_go(&path).await;
            let how = None;
            report.send(Report::AgentGone { name, pid, how }).ok();
        });
        Some(pid)
    }

    /// Asks an agent's process to end, and ends it if it does not.
    pub(super) fn stop_agent(&mut self, name: &str) {
        let Some(started) = self.alive.get(name).copied() else {
            return;
        };
        let holder = lock::holder(&self.dir.agent_lock(name)).map(|held| held.pid);
        let pid = holder.filter(|pid| *pid != 0).unwrap_or(started);
        if !self.stopping.insert(name.to_owned()) {
            return;
        }
        task::start(async move {
            let Ok(watch) = Watch::open(pid, None) else {
                return;
            };
            watch.signal(Signal::TERM);
            if tokio::time::timeout(AGENT_GRACE, watch.ended())
                .await
                .is_err()
            {
                watch.signal(Signal::KILL);
            }
        });
    }

    /// Starts the mock server and reports when it listens and when it is gone.
    pub(super) fn start_mock(&mut self) -> Result<(), SuperviseError> {
        let port = match self.state().mock_port {
            Some(port) => port,
            None => {
                let port = free_port().map_err(SuperviseError::io("find a port for the mock"))?;
                self.log
                    .append(&Actor::Supervisor, vec![Kind::MockBound { port }])?;
                port
            }
        };
        let path = self.dir.lock("mock");
        let adopted = lock::holder(&path).is_some();
        let child = if adopted {
            None
        } else {
            let child = spawn::mock(&self.dir, &self.clean, port);
            Some(child.map_err(SuperviseError::io("start the mock server"))?)
        };
        let report = self.report.clone();
        task::start(async move {
            let mut child = child;
            for _ in 0..LOOKS {
                let watch =
                    lock::holder(&path).and_then(|h| Watch::open(h.pid, Some(h.start)).ok());
                if let Some(watch) = watch {
                    report.send(Report::MockUp).ok();
                    watch.ended().await.ok();
                    break;
                }
                tokio::time::sleep(LOOK).await;
                let ended = child.as_mut().map(Detached::try_wait);
                if matches!(ended, Some(Ok(Some(_)))) && lock::holder(&path).is_none() {
                    // Its port may be taken for a moment; not a reason to spin.
                    tokio::time::sleep(MOCK_PAUSE).await;
                    break;
                }
            }
            report.send(Report::MockGone).ok();
        });
        Ok(())
    }

    /// Leases devices to a run and launches it.
    pub(super) fn start_run(&mut self, grant: &Grant) -> Result<(), LogError> {
        let id = grant.experiment;
        let decide = |state: &State| {
            let run = state
                .experiments
                .get(&id)
                .filter(|run| run.status == RunStatus::Queued);
            let attempt = run.ok_or(())?.attempt + 1;
            let gpus = grant.gpus.clone();
            Ok((vec![Kind::ExperimentStarted { id, attempt, gpus }], attempt))
        };
        let decided: Result<u32, ()> = self.log.transact(&Actor::Lab, decide)?;
        if let Ok(attempt) = decided {
            self.follow(id, attempt, grant.gpus.clone(), true);
        }
        Ok(())
    }

    /// Sees a run to its end; `launch` starts its job first.
    pub(super) fn follow(&mut self, id: u64, attempt: u32, gpus: Vec<Gpu>, launch: bool) {
        let Some(run) = self.state().experiments.get(&id).cloned() else {
            return;
        };
        let claim = run
            .hypothesis
            .and_then(|id| self.state().hypotheses.get(&id));
        let base = claim.map_or_else(|| self.state().start.clone(), |claim| claim.base.clone());
        let order = Arc::new(Order {
            dir: self.dir.clone(),
            chart: Arc::clone(&self.chart),
            clean: self.clean.clone(),
            timeout_s: lease::timeout(&self.chart, self.state()),
            overlay: self.state().overlay.clone(),
            calm: contention::calm(&self.chart, self.state(), &run),
            counts_frozen: freeze::counts(&self.chart, self.state(), &run),
            run,
            base,
            attempt,
            gpus,
            bounds: protocol::bounds(&self.chart, self.state(), id),
            called_off: AtomicBool::new(false),
            stood_still: AtomicBool::new(
                self.state()
                    .experiments
                    .get(&id)
                    .is_some_and(|run| run.frozen),
            ),
            tally: Mutex::default(),
            early: OnceLock::new(),
        });
        self.orders.insert(id, Arc::clone(&order));
        let report = self.report.clone();
        task::start(async move {
            let progress = report.clone();
            let at = move |done, total| {
                let steps = (done, total);
                progress.send(Report::RunAt { id, attempt, steps }).ok();
            };
            let found = see_through(order, launch, at).await;
            report.send(Report::RunDone { id, attempt, found }).ok();
        });
    }

    /// Ends a running job; its end is reported like any other.
    pub(super) fn interrupt(&self, id: u64) {
        if let Some(order) = self.orders.get(&id) {
            order.call_off();
        }
    }

    /// Writes a run's end down, and tells the agent that asked for it.
    pub(super) fn finish(
        &mut self,
        id: u64,
        attempt: u32,
        found: Found,
    ) -> Result<(), SuperviseError> {
        self.orders.remove(&id);
        exec::reap();
        let tail = self
            .log
            .blobs()
            .text(&found.tail)
            .map_err(SuperviseError::io("keep output"))?;
        let finished = Kind::ExperimentFinished {
            id,
            attempt,
            status: found.status,
            reason: found.reason.clone(),
            measured: found.measured.clone(),
            tail,
        };
        let mut kinds = vec![finished];
        let run = self.state().experiments.get(&id).cloned();
        // One that was called off is told of when that is folded.
        if let Some(mut run) = run
            && found.status != RunStatus::Interrupted
            && let (Some(agent), None) = (run.agent.clone(), run.hypothesis)
        {
            (run.status, run.reason) = (found.status, found.reason);
            run.measured = found.measured;
            let body = self.words.experiment(&self.chart, &run, &found.tail);
            kinds.push(self.letter(&agent, format!("e{id} {}", run.status.word()), &body)?);
        }
        self.log.append(&Actor::Lab, kinds)?;
        Ok(())
    }

    /// Writes down how far a run has come.
    pub(super) fn run_at(
        &mut self,
        id: u64,
        attempt: u32,
        (done, total): (u64, u64),
    ) -> Result<(), SuperviseError> {
        let progress = Kind::ExperimentProgress {
            id,
            attempt,
            done,
            total,
        };
        Ok(self.log.append(&Actor::Lab, vec![progress])?)
    }

    /// Tells an agent that its run was called off.
    pub(super) fn tell(&mut self, id: u64) -> Result<(), SuperviseError> {
        let Some(run) = self.state().experiments.get(&id).cloned() else {
            return Ok(());
        };
        let tail = self.log.blobs().whole(&run.tail);
        let tail = tail.map_err(SuperviseError::io("read a run's last lines"))?;
        let body = self.words.experiment(&self.chart, &run, &tail);
        let subject = format!("e{id} {}", run.status.word());
        let agent = run.agent.unwrap_or_default();
        let letter = self.letter(&agent, subject, &body)?;
        Ok(self.log.append(&Actor::Lab, vec![letter])?)
    }

    /// Puts messages into mailboxes, as new or as read.
    pub(super) fn post(&self, mails: &[u64]) {
        for mail in mails.iter().filter_map(|id| self.state().mails.get(id)) {
            if let Err(error) = self.deliver(mail) {
                tracing::warn!(%error, id = mail.id, "a mail was not delivered; the log has it");
            }
        }
    }

    fn deliver(&self, mail: &Mail) -> std::io::Result<()> {
        let body = self.log.blobs().whole(&mail.body)?;
        let mut posting = Posting::new(mail, &body);
        // What is written to the org itself is answered to by its processes, and lies in no mailbox.
        for to in mail.to.iter().filter(|to| *to != Actor::Org.name()) {
            let mailbox = Maildir::at(self.dir.mailbox(to));
            if mail.read_by.contains(to) {
                posting.put_away(&mailbox)?;
            } else {
                posting.deliver(&mailbox)?;
            }
        }
        Ok(())
    }
}

/// Launches a job where it must be launched, waits for its end, and reads what came of it.
pub(super) async fn see_through(order: Arc<Order>, launch: bool, at: impl Fn(u64, u64)) -> Found {
    let broken = |error: &dyn std::fmt::Display| Found {
        status: RunStatus::Interrupted,
        reason: error.to_string(),
        measured: crate::domain::event::Measured::default(),
        tail: String::new(),
    };
    if launch {
        order.end_remains().await;
        let begun = Arc::clone(&order);
        match tokio::task::spawn_blocking(move || begun.launch()).await {
            Ok(Ok(())) => {}
            Ok(Err(found)) => return *found,
            Err(error) => return broken(&error),
        }
    }
    let lock = order.job(Program::Run).lock;
    tokio::select! {
        () = let_go(&lock) => {}
        () = watch(&order, at) => {}
    }
    // A job may end before its keeper lets go of it.
    let_go(&lock).await;
    if launch {
        let next = Arc::clone(&order);
        match tokio::task::spawn_blocking(move || next.evaluate()).await {
            Ok(Ok(_)) => {}
            Ok(Err(found)) => return *found,
            Err(error) => return broken(&error),
        }
    }
    let_go(&order.job(Program::Evaluation).lock).await;
    // Nothing, where its keepers have seen it to its end.
    order.end_remains().await;
    match tokio::task::spawn_blocking(move || order.collect()).await {
        Ok(found) => found,
        Err(error) => broken(&error),
    }
}

/// Looks at what a run prints, until it is over.
async fn watch(order: &Order, at: impl Fn(u64, u64)) {
    let mut watching = Watching::of(order);
    loop {
        match watching.look(order).await {
            Look::Quiet => {}
            Look::At(done, total) => at(done, total),
            Look::Over => return,
        }
    }
}

/// A loopback port that was free a moment ago.
fn free_port() -> std::io::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?
        .local_addr()?
        .port())
}
