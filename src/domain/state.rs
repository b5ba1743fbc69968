//! What is so: the fold of the log.
//!
//! Owns the meaning of every event. Live processes, recovery after a crash and every view use this one
//! fold, so they cannot disagree. It holds no decision and no clock; what has to be observed (which
//! process lives) is not here. Must not know files or processes.

mod acts;
mod agent;
mod approval;
mod assignment;
mod device;
mod lab;
mod landing;
mod mail;
mod outage;
mod society;
mod stack;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::event::{Actor, Event, FORMAT, Gpu, Headline, Kind};

pub use acts::{Act, Acts, OpenCall};
pub use agent::{AgentState, Asked, OpenTurn, Taken};
pub use approval::{Approval, Decided};
pub use assignment::{Assignment, moved};
pub use device::{Barred, GONE, Machine};
pub use lab::{Experiment, Hypothesis};
pub use landing::{Landing, Rerun};
pub use mail::{Mail, Undelivered};
pub use outage::Outage;
pub use society::{Firing, Society, letter_key};
pub use stack::Stack;

/// How the letter is marked that an agent gets when a person leaves its desk: part of having taken it.
pub const LEFT: &str = "take:";

/// Why a line cannot be folded.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FoldError {
    /// The order has a hole.
    #[error("event {found} follows event {last}: the log has a hole")]
    Hole {
        /// The last one.
        last: u64,
        /// The next one.
        found: u64,
    },
    /// Written by somebody who may not.
    #[error("event {seq} may not be written by {actor}")]
    Authority {
        /// Which.
        seq: u64,
        /// Who.
        actor: Actor,
    },
    /// A log of a newer program.
    #[error("the log has format {0}, this program knows up to {FORMAT}")]
    Newer(u32),
}

/// Where the office is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfficeInfo {
    /// The tmux socket.
    pub socket: String,
    /// The tmux session.
    pub session: String,
    /// Pane ids by seat.
    pub panes: BTreeMap<String, String>,
    /// The event that built it: another one is another office, whatever its panes are called.
    pub built: u64,
}

/// Everything that is so.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// The last event folded; 0 before the first.
    pub seq: u64,
    /// When it was written.
    pub at: Option<Timestamp>,
    /// When the run was created.
    pub created: Option<Timestamp>,
    /// The run's id.
    pub run: String,
    /// The org's name.
    pub org: String,
    /// Whether models are mocked.
    pub mock: bool,
    /// Whether there is no office.
    pub headless: bool,
    /// What the kernel enforces, as the supervisor found.
    pub sandbox: BTreeMap<String, bool>,
    /// The seed pool.
    pub pool: Option<u64>,
    /// Devices that measured runs may lease.
    pub gpus: Vec<Gpu>,
    /// Measured runs at a time.
    pub parallel: u32,
    /// The mock's port.
    pub mock_port: Option<u16>,
    /// The office.
    pub office: Option<OfficeInfo>,
    /// There was one, which is gone and not built again yet.
    pub office_lost: bool,
    /// A person wants the run ended, and why.
    pub down: Option<String>,
    /// Nothing lives any more, as asked.
    pub stopped: bool,
    /// All agents are paused.
    pub paused: bool,
    /// And nothing that they started may go on.
    pub frozen: bool,
    /// Agents by name.
    pub agents: BTreeMap<String, AgentState>,
    /// Messages by number.
    pub mails: BTreeMap<u64, Mail>,
    /// Experiments by number.
    pub experiments: BTreeMap<u64, Experiment>,
    /// Claims by number.
    pub hypotheses: BTreeMap<u64, Hypothesis>,
    /// The commit the programme began with.
    pub start: String,
    /// The programme's tip.
    pub champion: String,
    /// Promotions in order: claim, champion before, champion after.
    pub promotions: Vec<(u64, String, String)>,
    /// Claims that were last put together.
    pub stack: Option<Stack>,
    /// The re-measured gain.
    pub headline: Option<Headline>,
    /// Bytes that the run's directory held when it was found too full.
    pub disk_full: Option<u64>,
    /// What was landed in the user's repository, in order.
    pub landings: Vec<Landing>,
    /// Runs of what is to be landed, at target scale, in order.
    pub reruns: Vec<Rerun>,
    /// What measured runs run on.
    pub machine: Option<Machine>,
    /// Commits whose baseline has drifted, each with the first run that counts.
    pub expired: BTreeMap<String, u64>,
    /// The hash of the harness's own files, where there are any.
    pub overlay: Option<String>,
    /// Devices that are not leased for now, by UUID.
    pub barred: BTreeMap<String, Barred>,
    /// Caps that a person set during the run, by name.
    pub caps: BTreeMap<String, f64>,
    /// Servers that do not serve, by the chart's name.
    pub outages: BTreeMap<String, Outage>,
    /// US dollars in the order in which they were settled, or given up for lost.
    pub spending: Vec<(Timestamp, f64)>,
    /// What could not be taken as mail, and has not been said anew since.
    pub undelivered: Vec<Undelivered>,
    /// What a person was asked, by number.
    pub approvals: BTreeMap<u64, Approval>,
    /// Whether what was denied is asked about anew, since a person let somebody go on after it.
    pub ask_again: bool,
    /// Needs for which a person was called, by their keys.
    pub called: BTreeSet<String>,
    /// What people did, for the count of interventions.
    pub interventions: u32,
    /// What the members do together.
    pub society: Society,
    /// Tasks that members gave each other, by the letter that gave them.
    pub assignments: BTreeMap<u64, Assignment>,
}

impl State {
    /// Folds one more event.
    ///
    /// # Errors
    /// [`FoldError`] where the order has a hole, the writer had no right, or the format is newer.
    pub fn apply(&mut self, event: &Event) -> Result<(), FoldError> {
        if event.seq != self.seq + 1 {
            return Err(FoldError::Hole {
                last: self.seq,
                found: event.seq,
            });
        }
        if !event.body.may_be_written_by(&event.actor) {
            return Err(FoldError::Authority {
                seq: event.seq,
                actor: event.actor.clone(),
            });
        }
        if let Kind::RunCreated { format, .. } = &event.body
            && *format > FORMAT
        {
            return Err(FoldError::Newer(*format));
        }
        self.seq = event.seq;
        self.at = Some(event.at);
        self.run_event(event);
        self.human_event(event);
        self.agent_event(event);
        self.server_event(event);
        self.mail_event(event);
        self.lab_event(event);
        self.society_event(event);
        self.assignment_event(event);
        self.approval_event(event);
        self.landing_event(event);
        Ok(())
    }

    fn run_event(&mut self, event: &Event) {
        match &event.body {
            Kind::RunCreated {
                run,
                org,
                mock,
                headless,
                base,
                ..
            } => {
                self.created = Some(event.at);
                self.run.clone_from(run);
                self.org.clone_from(org);
                self.mock = *mock;
                self.headless = *headless;
                self.start.clone_from(base);
                self.champion.clone_from(base);
            }
            Kind::SupervisorStarted { sandbox, .. } => self.sandbox.clone_from(sandbox),
            Kind::DiskFull { bytes } => self.disk_full = *bytes,
            Kind::DeviceBarred { gpu, why } => self.bar(event.at, gpu, why.as_deref()),
            Kind::LabOpened {
                pool,
                gpus,
                parallel,
            } => {
                self.pool = Some(*pool);
                self.gpus.clone_from(gpus);
                self.parallel = *parallel;
            }
            Kind::MachineSeen { what } => self.machine_seen(event.at, what),
            Kind::OverlayFrozen { hash } => self.overlay = Some(hash.clone()),
            Kind::MockBound { port } => self.mock_port = Some(*port),
            Kind::OfficeOpened {
                socket,
                session,
                panes,
            } => {
                let (socket, session) = (socket.clone(), session.clone());
                self.office = Some(OfficeInfo {
                    socket,
                    session,
                    panes: panes.clone(),
                    built: event.seq,
                });
                self.office_lost = false;
            }
            Kind::OfficeLost { .. } => self.office_lost = self.office.take().is_some(),
            Kind::RunDown { reason } => self.down = Some(reason.clone()),
            Kind::RunStopped {} => {
                self.stopped = true;
                self.office = None;
                self.office_lost = false;
            }
            Kind::RunResumed {} => {
                self.down = None;
                self.stopped = false;
                for agent in self.agents.values_mut() {
                    agent.ended = None;
                }
            }
            Kind::PauseSet { agent: None } => self.paused = true,
            Kind::FreezeSet { agent: None } => self.frozen = true,
            Kind::PauseCleared { agent: None } => self.go_on(),
            Kind::BudgetSet { what, cap } => self.cap(what, *cap, event.at),
            Kind::PersonCalled { needs, .. } => self.called.extend(needs.iter().cloned()),
            _ => {}
        }
    }

    /// Nobody is paused or frozen any more.
    fn go_on(&mut self) {
        (self.paused, self.frozen) = (false, false);
        for agent in self.agents.values_mut() {
            agent.unpause();
        }
    }

    /// A person's word on a cap: whoever was stopped by one may try again.
    fn cap(&mut self, what: &str, cap: f64, now: Timestamp) {
        self.caps.insert(what.to_owned(), cap);
        for agent in self.agents.values_mut().filter(|it| it.held_cap) {
            agent.release(now);
        }
    }

    /// Whether a person stepped in: what people built, opened, read, ended or went on with
    /// is no intervention.
    #[must_use]
    pub fn is_intervention(event: &Event) -> bool {
        if event.actor != Actor::Human {
            return false;
        }
        match &event.body {
            Kind::RunCreated { .. }
            | Kind::OfficeOpened { .. }
            | Kind::MailRead { .. }
            | Kind::RunDown { .. }
            | Kind::RunResumed {}
            // One thing that a person did, with the event that stands before or after it.
            | Kind::FreezeSet { .. }
            | Kind::TakeEnded { .. } => false,
            Kind::MailSent { call: Some(call), .. } => !call.starts_with(LEFT),
            _ => true,
        }
    }

    fn human_event(&mut self, event: &Event) {
        if Self::is_intervention(event) {
            self.interventions += 1;
        }
    }

    fn agent_event(&mut self, event: &Event) {
        let Some(name) = own_agent(&event.body) else {
            return;
        };
        let agent = self.agents.entry(name.to_owned()).or_default();
        let before = agent.usd + agent.usd_lost;
        agent.apply(event);
        let spent = agent.usd + agent.usd_lost - before;
        if spent > 0.0 {
            self.spending.push((event.at, spent));
        }
        self.read_mail(event);
    }

    /// US dollars settled within a span before a time.
    #[must_use]
    pub fn spent_since(&self, now: Timestamp, span: SignedDuration) -> f64 {
        let lately = self.spent_lately(now, span);
        lately.map(|(_, usd)| usd).sum::<f64>() + 0.0
    }

    /// What was settled within a span before a time, newest first.
    pub(super) fn spent_lately(
        &self,
        now: Timestamp,
        span: SignedDuration,
    ) -> impl DoubleEndedIterator<Item = (Timestamp, f64)> + '_ {
        let first = self
            .spending
            .iter()
            .rposition(|(at, _)| now.duration_since(*at) >= span)
            .map_or(0, |at| at + 1);
        self.spending[first..].iter().rev().copied()
    }

    /// The number the next message gets.
    #[must_use]
    pub fn next_mail(&self) -> u64 {
        self.mails.len() as u64 + 1
    }

    /// The number the next experiment gets.
    #[must_use]
    pub fn next_experiment(&self) -> u64 {
        self.experiments.len() as u64 + 1
    }

    /// The number the next claim gets.
    #[must_use]
    pub fn next_hypothesis(&self) -> u64 {
        self.hypotheses.len() as u64 + 1
    }

    /// Whether an agent may ask its model now: nobody paused or held it, and the run goes on.
    #[must_use]
    pub fn may_think(&self, name: &str) -> bool {
        self.down.is_none()
            && !self.paused
            && super::approval::parked_spending(self).is_none()
            && self
                .agents
                .get(name)
                .is_some_and(|agent| !agent.paused && agent.taken.is_none() && agent.held.is_none())
    }

    /// US dollars settled, and set aside for requests in flight.
    #[must_use]
    pub fn usd(&self) -> (f64, f64) {
        let spent = self.agents.values().map(|agent| agent.usd).sum::<f64>() + 0.0;
        let reserved = self
            .agents
            .values()
            .map(|agent| agent.usd_lost + agent.request.map_or(0.0, |(_, usd)| usd))
            .sum::<f64>()
            + 0.0;
        (spent, reserved)
    }
}

/// The agent whose own state an event changes.
fn own_agent(body: &Kind) -> Option<&str> {
    match body {
        Kind::MailSent { .. }
        | Kind::ExperimentQueued { .. }
        | Kind::HypothesisRegistered { .. }
        | Kind::HypothesisRejected { .. }
        | Kind::MailUndelivered { .. }
        | Kind::ApprovalAsked { .. }
        | Kind::ReviewGiven(_)
        | Kind::ProcessFired(_)
        | Kind::ProcessReminded(_) => None,
        other => other.concerns().first().copied(),
    }
}
