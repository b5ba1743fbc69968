//! Carrying out what was decided: effects are dumb.
//!
//! Each effect ends in an event, by which everybody learns that it happened; what takes time runs as
//! a task or on a worker thread and reports back over a channel, so that the supervisor never waits
//! for anything that it supervises.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rustix::process::Signal;

use crate::domain::event::{Actor, Gpu, Headline, Kind, RunStatus, Status};
use crate::domain::lease::{self, Grant};
use crate::domain::protocol::{self, Step, Wanted};
use crate::domain::state::{Mail, State};
use crate::os::exec::{self, Detached};
use crate::os::lock;
use crate::os::process::Watch;
use crate::repo::{self, Merge, PROGRAMME};
use crate::run::log::LogError;
use crate::run::maildir::Maildir;

use super::guard::let_go;
use super::measure::{Found, Order};
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
    pub(super) fn launch(&mut self, grant: &Grant) -> Result<(), LogError> {
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
            run,
            base,
            attempt,
            gpus,
            called_off: AtomicBool::new(false),
        });
        self.orders.insert(id, Arc::clone(&order));
        let report = self.report.clone();
        task::start(async move {
            let found = see_through(order, launch).await;
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

    /// A letter from the lab.
    fn letter(&self, to: &str, subject: String, body: &str) -> Result<Kind, SuperviseError> {
        let body = self
            .log
            .blobs()
            .text(body)
            .map_err(SuperviseError::io("keep a letter"))?;
        Ok(Kind::MailSent {
            id: 0,
            from: Actor::Lab.name().to_owned(),
            to: vec![to.to_owned()],
            subject,
            body,
            now: false,
            assignment: false,
            call: None,
        })
    }

    /// Queues a run.
    pub(super) fn queue(&mut self, wanted: &Wanted) -> Result<(), LogError> {
        let queue = |state: &State| -> Result<(Vec<Kind>, ()), std::convert::Infallible> {
            let queued = Kind::ExperimentQueued {
                id: state.next_experiment(),
                agent: None,
                hypothesis: wanted.hypothesis,
                arm: wanted.arm,
                stage: wanted.stage,
                seed: wanted.seed,
                commit: wanted.commit.clone(),
                note: String::new(),
                env: BTreeMap::new(),
                call: None,
            };
            Ok((vec![queued], ()))
        };
        self.log
            .transact(&Actor::Lab, queue)?
            .expect("an infallible decision");
        Ok(())
    }

    /// Carries a claim one step on.
    pub(super) fn lab(&mut self, step: &Step) -> Result<(), SuperviseError> {
        match step {
            Step::Queue(wanted) => self.queue(wanted)?,
            Step::Plan(id, test, seeds) => {
                let planned = Kind::HypothesisPlanned {
                    id: *id,
                    test: *test,
                    seeds: *seeds,
                };
                self.log.append(&Actor::Lab, vec![planned])?;
            }
            Step::Move(id, status, reason, verdict) => {
                let verdict = verdict.as_deref().cloned();
                self.move_claim(*id, *status, reason, verdict, None)?;
            }
            Step::Promote(id) | Step::Rebase(id) => {
                self.merge(*id, matches!(step, Step::Promote(_)));
            }
        }
        Ok(())
    }

    /// Changes a claim's status and tells its author where the protocol says so.
    pub(super) fn move_claim(
        &mut self,
        id: u64,
        status: Status,
        reason: &str,
        verdict: Option<protocol::Verdict>,
        before: Option<Kind>,
    ) -> Result<(), SuperviseError> {
        let mut kinds: Vec<Kind> = before.into_iter().collect();
        kinds.push(Kind::HypothesisMoved {
            id,
            status,
            reason: reason.to_owned(),
            verdict: verdict.clone(),
        });
        let told = status.is_exit() || matches!(status, Status::Confirmed | Status::Promoted);
        if let (true, Some(mut claim)) = (told, self.state().hypotheses.get(&id).cloned()) {
            claim.verdict = verdict.or(claim.verdict);
            let body = self.words.verdict(&claim, status.word(), reason);
            kinds.push(self.letter(&claim.agent, format!("h{id} {}", status.word()), &body)?);
        }
        self.log.append(&Actor::Lab, kinds)?;
        Ok(())
    }

    /// Merges a claim into the programme, or its change onto the champion, on a worker thread.
    fn merge(&mut self, id: u64, promote: bool) {
        // One promotion at a time: the next claim has not been measured on top of it.
        let busy = promote && self.merging.values().any(|promote| *promote);
        if busy || self.merging.contains_key(&id) {
            return;
        }
        let Some(claim) = self.state().hypotheses.get(&id).cloned() else {
            return;
        };
        self.merging.insert(id, promote);
        let (repo_git, champion) = (self.dir.repo_git(), self.state().champion.clone());
        let at = claim.at.as_second();
        let commit = claim.commit.clone().unwrap_or_default();
        let message = format!("h{id}: {}\n\n{}\n", claim.title, claim.mechanism);
        let report = self.report.clone();
        tokio::task::spawn_blocking(move || {
            let merged = if promote {
                repo::merge(&repo_git, PROGRAMME, &champion, &commit, &message, at)
            } else {
                repo::combine(&repo_git, &champion, &commit, &message, at)
            };
            let merged = merged.map_err(|error| error.to_string());
            report
                .send(Report::Merged {
                    id,
                    promote,
                    champion,
                    merged,
                })
                .ok();
        });
    }

    /// Writes down what came of a merge.
    pub(super) fn merged(
        &mut self,
        id: u64,
        promote: bool,
        champion: String,
        merged: Result<Merge, String>,
    ) -> Result<(), SuperviseError> {
        self.merging.remove(&id);
        match merged {
            Ok(Merge::Merged { commit }) if promote => {
                let reason = format!("merged into the programme as {}", short(&commit));
                let advanced = Kind::ProgrammeAdvanced {
                    hypothesis: id,
                    commit,
                };
                self.move_claim(id, Status::Promoted, &reason, None, Some(advanced))
            }
            Ok(Merge::Merged { commit }) => {
                let name = format!("refs/org/rebased/h{id}-{}", short(&champion));
                let pinned = crate::repo::pin(&self.dir.repo_git(), &name, &commit);
                if let Err(error) = pinned {
                    tracing::warn!(%error, "a rebased claim was not pinned");
                }
                let rebased = Kind::HypothesisRebased {
                    id,
                    commit,
                    base: champion,
                };
                Ok(self.log.append(&Actor::Lab, vec![rebased])?)
            }
            Ok(Merge::Conflict { paths }) => {
                let reason = format!(
                    "it conflicts with what was promoted meanwhile, in {}; register it again on \
                     top of the programme",
                    paths.join(", ")
                );
                self.move_claim(id, Status::Parked, &reason, None, None)
            }
            Err(error) => {
                let reason = format!("it could not be merged: {error}");
                self.move_claim(id, Status::Invalid, &reason, None, None)
            }
        }
    }

    /// Writes the re-measured gain down.
    pub(super) fn headline(&mut self) -> Result<(), LogError> {
        let Some(verdict) = protocol::headline(&self.chart, self.state()) else {
            return Ok(());
        };
        let headline = Headline {
            from: self.state().start.clone(),
            to: self.state().champion.clone(),
            verdict,
        };
        self.log
            .append(&Actor::Lab, vec![Kind::HeadlineMeasured { headline }])
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
        // What is written to the org itself is answered to by its processes, and lies in no mailbox.
        for to in mail.to.iter().filter(|to| *to != Actor::Org.name()) {
            let mailbox = Maildir::at(self.dir.mailbox(to));
            if mail.read_by.contains(to) {
                mailbox.put_away(mail, &body)?;
            } else {
                mailbox.deliver(mail, &body)?;
            }
        }
        Ok(())
    }
}

/// Launches a job where it must be launched, waits for its end, and reads what came of it.
async fn see_through(order: Arc<Order>, launch: bool) -> Found {
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
    let_go(&order.job().lock).await;
    // Nothing, where its keeper has seen it to its end.
    order.end_remains().await;
    match tokio::task::spawn_blocking(move || order.collect()).await {
        Ok(found) => found,
        Err(error) => broken(&error),
    }
}

/// A loopback port that was free a moment ago.
fn free_port() -> std::io::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?
        .local_addr()?
        .port())
}

fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}
