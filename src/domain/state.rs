//! What is so: the fold of the log.
//!
//! Owns the meaning of every event. Live processes, recovery after a crash and every view use this one
//! fold, so they cannot disagree. It holds no decision and no clock; what has to be observed (which
//! process lives) is not here. Must not know files or processes.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::chart::Axis;
use super::chat::Usage;
use super::event::{
    Actor, Arm, Event, FORMAT, Gpu, Headline, Kind, LoggedCall, Measured, RunStatus, Stage, Status,
    Text, Why,
};
use super::protocol::{Claim, Test, Verdict};
use super::restart::Tally;

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

/// A message.
#[derive(Debug, Clone, PartialEq)]
pub struct Mail {
    /// Its number.
    pub id: u64,
    /// When it was sent.
    pub at: Timestamp,
    /// Who sent it.
    pub from: String,
    /// To whom.
    pub to: Vec<String>,
    /// In a line.
    pub subject: String,
    /// In full.
    pub body: Text,
    /// Whether it interrupts.
    pub now: bool,
    /// Whether it gives a task.
    pub assignment: bool,
    /// Who has taken it in.
    pub read_by: BTreeSet<String>,
    /// The tool call that sent it.
    pub call: Option<String>,
}

/// A measured run.
#[derive(Debug, Clone, PartialEq)]
pub struct Experiment {
    /// Its number.
    pub id: u64,
    /// Who asked.
    pub agent: Option<String>,
    /// For which claim.
    pub hypothesis: Option<u64>,
    /// Which arm.
    pub arm: Arm,
    /// What for.
    pub stage: Stage,
    /// The seed.
    pub seed: u64,
    /// What is run.
    pub commit: String,
    /// The asker's note.
    pub note: String,
    /// Environment on top of the task's.
    pub env: BTreeMap<String, String>,
    /// How it stands.
    pub status: RunStatus,
    /// Launches so far.
    pub attempt: u32,
    /// Leased devices while it runs.
    pub gpus: Vec<Gpu>,
    /// When it was queued.
    pub queued_at: Timestamp,
    /// When it was last launched.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// What it took and gave.
    pub measured: Measured,
    /// Why it ended so.
    pub reason: String,
    /// Its last lines.
    pub tail: Text,
    /// The tool call that asked.
    pub call: Option<String>,
}

/// A claim.
#[derive(Debug, Clone, PartialEq)]
pub struct Hypothesis {
    /// Its number.
    pub id: u64,
    /// Whose.
    pub agent: String,
    /// In a line.
    pub title: String,
    /// What is claimed.
    pub claim: Claim,
    /// Why it should hold.
    pub mechanism: String,
    /// Its size.
    pub predicts: f64,
    /// What would refute it.
    pub refuted_by: String,
    /// The matched axis.
    pub axis: Axis,
    /// The margin of `no_worse`.
    pub margin: Option<f64>,
    /// The locked commit, or champion plus change.
    pub commit: Option<String>,
    /// The champion it is compared with.
    pub base: String,
    /// How it stands.
    pub status: Status,
    /// Why.
    pub reason: String,
    /// The numbers.
    pub verdict: Option<Verdict>,
    /// The test and how many fresh seeds, once fixed.
    pub plan: Option<(Test, u32)>,
    /// How often it was compared anew on another champion.
    pub rebases: u32,
    /// When it was registered.
    pub at: Timestamp,
    /// The tool call that registered it.
    pub call: Option<String>,
}

impl Hypothesis {
    /// Whether nothing more will come of it by itself.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.status.is_exit()
            || self.status == Status::Promoted
            || (self.claim == Claim::Explain && self.status == Status::Confirmed)
    }
}

/// A call of the reply that an agent is working on.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenCall {
    /// The call.
    pub call: LoggedCall,
    /// Whether it was begun.
    pub intent: bool,
    /// Hash of the file that it was about to change.
    pub pre: Option<String>,
    /// What it gave.
    pub result: Option<(bool, Text)>,
}

/// A turn in flight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenTurn {
    /// Its number.
    pub turn: u64,
    /// Why it was taken.
    pub why: Why,
    /// The mails it took in.
    pub mails: Vec<u64>,
    /// Whether its user text has been part of a request.
    pub asked: bool,
}

/// An agent.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AgentState {
    /// Its GPU.
    pub gpu: Option<Gpu>,
    /// Its branch.
    pub branch: String,
    /// Its worktree.
    pub worktree: String,
    /// The process that last took its lock and has not been seen to end.
    pub pid: Option<u32>,
    /// Whether it ended as it was told to.
    pub ended: Option<String>,
    /// Why it is held.
    pub held: Option<String>,
    /// Whether a person paused it.
    pub paused: bool,
    /// Whether it asked for no more turns until mail.
    pub done: bool,
    /// Turns begun.
    pub turns: u64,
    /// The turn in flight.
    pub turn: Option<OpenTurn>,
    /// Requests made.
    pub requests: u64,
    /// The request in flight: number and reservation, US dollars.
    pub request: Option<(u64, f64)>,
    /// What went wrong with the last request, and when it is tried again.
    pub retry: Option<(String, Option<Timestamp>)>,
    /// The conversation.
    pub conversation: u64,
    /// Its wire items, by hash.
    pub items: Vec<String>,
    /// Calls of the last reply, until their results are part of a request.
    pub calls: Vec<OpenCall>,
    /// The last reply paused on the server's side and goes on without new text.
    pub pause_turn: bool,
    /// Names of the last reply's calls that were cut short.
    pub truncated: Vec<String>,
    /// Replies in a row that were cut inside a call.
    pub truncations: u32,
    /// Idle turns in a row.
    pub idle_turns: u32,
    /// Requests in a row that gave nothing usable.
    pub failures: u32,
    /// Tokens so far.
    pub usage: Usage,
    /// US dollars settled.
    pub usd: f64,
    /// US dollars of requests whose cost will never be known.
    pub usd_lost: f64,
    /// Mail not yet taken in.
    pub unread: BTreeSet<u64>,
    /// Its notebook.
    pub notes: Vec<Text>,
    /// The tip of its branch as last saved.
    pub commit: Option<String>,
    /// Its deaths.
    pub deaths: Tally,
    /// When its phase last changed.
    pub since: Option<Timestamp>,
    /// A person asked for a fresh process; cleared when it starts.
    pub restart: bool,
    /// Times it started.
    pub starts: u32,
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
    /// A person wants the run ended, and why.
    pub down: Option<String>,
    /// Nothing lives any more, as asked.
    pub stopped: bool,
    /// All agents are paused.
    pub paused: bool,
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
    /// The re-measured gain.
    pub headline: Option<Headline>,
    /// Caps that a person set during the run, by name.
    pub caps: BTreeMap<String, f64>,
    /// What people did, for the count of interventions.
    pub interventions: u32,
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
        self.agent_event(event);
        self.mail_event(event);
        self.lab_event(event);
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
            Kind::LabOpened {
                pool,
                gpus,
                parallel,
            } => {
                self.pool = Some(*pool);
                self.gpus.clone_from(gpus);
                self.parallel = *parallel;
            }
            Kind::MockBound { port } => self.mock_port = Some(*port),
            Kind::OfficeOpened {
                socket,
                session,
                panes,
            } => {
                self.office = Some(OfficeInfo {
                    socket: socket.clone(),
                    session: session.clone(),
                    panes: panes.clone(),
                    built: event.seq,
                });
            }
            Kind::OfficeLost { .. } => self.office = None,
            Kind::RunDown { reason } => self.down = Some(reason.clone()),
            Kind::RunStopped {} => {
                self.stopped = true;
                self.office = None;
            }
            Kind::RunResumed {} => {
                self.down = None;
                self.stopped = false;
                for agent in self.agents.values_mut() {
                    agent.ended = None;
                }
            }
            Kind::PauseSet { agent: None } => self.paused = true,
            Kind::PauseCleared { agent: None } => {
                self.paused = false;
                for agent in self.agents.values_mut() {
                    agent.paused = false;
                }
            }
            Kind::BudgetSet { what, cap } => {
                self.caps.insert(what.clone(), *cap);
            }
            _ => {}
        }
        if event.actor == Actor::Human
            && !matches!(
                event.body,
                Kind::RunCreated { .. } | Kind::OfficeOpened { .. }
            )
        {
            self.interventions += 1;
        }
    }

    fn agent_event(&mut self, event: &Event) {
        let Some(name) = own_agent(&event.body) else {
            return;
        };
        let agent = self.agents.entry(name.to_owned()).or_default();
        agent.since = Some(event.at);
        match &event.body {
            Kind::AgentSeated {
                gpu,
                branch,
                worktree,
                ..
            } => {
                agent.gpu.clone_from(gpu);
                agent.branch.clone_from(branch);
                agent.worktree.clone_from(worktree);
            }
            Kind::PauseSet { .. } => agent.paused = true,
            Kind::PauseCleared { .. } => agent.paused = false,
            Kind::AgentRestart { .. } => {
                agent.restart = true;
                agent.held = None;
                agent.deaths = Tally::default();
            }
            Kind::AgentStarted { pid, .. } => {
                agent.pid = Some(*pid);
                agent.ended = None;
                agent.restart = false;
                agent.starts += 1;
                agent.deaths.start();
            }
            Kind::AgentEnded { reason, .. } => {
                agent.pid = None;
                agent.ended = Some(reason.clone());
            }
            Kind::AgentDied { .. } => {
                agent.pid = None;
                agent.deaths.death(agent.turn.is_some(), event.at);
            }
            Kind::AgentHeld { reason, .. } => agent.held = Some(reason.clone()),
            Kind::BranchSaved { commit, .. } => agent.commit = Some(commit.clone()),
            Kind::NoteKept { text, .. } => agent.notes.push(text.clone()),
            Kind::AgentDone { .. } => agent.done = true,
            _ => agent.turn_event(event),
        }
        if progresses(&event.body) {
            agent.deaths.progress();
        }
        self.read_mail(event);
    }

    /// Marks the mails that a turn takes in.
    fn read_mail(&mut self, event: &Event) {
        if let Kind::TurnStarted { agent, mails, .. } = &event.body {
            for id in mails {
                if let Some(mail) = self.mails.get_mut(id) {
                    mail.read_by.insert(agent.clone());
                }
            }
        }
    }

    fn mail_event(&mut self, event: &Event) {
        match &event.body {
            Kind::MailSent {
                id,
                from,
                to,
                subject,
                body,
                now,
                assignment,
                call,
            } => {
                for name in to {
                    if let Some(agent) = self.agents.get_mut(name) {
                        agent.unread.insert(*id);
                        agent.done = false;
                    }
                }
                self.mails.insert(
                    *id,
                    Mail {
                        id: *id,
                        at: event.at,
                        from: from.clone(),
                        to: to.clone(),
                        subject: subject.clone(),
                        body: body.clone(),
                        now: *now,
                        assignment: *assignment,
                        read_by: BTreeSet::new(),
                        call: call.clone(),
                    },
                );
            }
            Kind::MailRead { by, ids } => {
                for id in ids {
                    if let Some(mail) = self.mails.get_mut(id) {
                        mail.read_by.insert(by.clone());
                    }
                }
            }
            _ => {}
        }
    }

    fn lab_event(&mut self, event: &Event) {
        match &event.body {
            Kind::ExperimentQueued { .. } => self.queue(event),
            Kind::ExperimentStarted { id, attempt, gpus } => {
                if let Some(run) = self.experiments.get_mut(id) {
                    run.status = RunStatus::Running;
                    run.attempt = *attempt;
                    run.gpus.clone_from(gpus);
                    run.started_at = Some(event.at);
                }
            }
            Kind::ExperimentFinished {
                id,
                status,
                reason,
                measured,
                tail,
                ..
            } => {
                if let Some(run) = self.experiments.get_mut(id) {
                    let again = *status == RunStatus::Interrupted;
                    run.status = if again { RunStatus::Queued } else { *status };
                    run.finished_at = (!again).then_some(event.at);
                    run.measured = measured.clone();
                    run.reason.clone_from(reason);
                    run.tail.clone_from(tail);
                    run.gpus.clear();
                }
            }
            Kind::HypothesisRegistered { .. } | Kind::HypothesisRejected { .. } => {
                self.register(event);
            }
            Kind::HypothesisPlanned { id, test, seeds } => {
                if let Some(claim) = self.hypotheses.get_mut(id) {
                    claim.plan = Some((*test, *seeds));
                }
            }
            Kind::HypothesisMoved {
                id,
                status,
                reason,
                verdict,
            } => {
                if let Some(claim) = self.hypotheses.get_mut(id) {
                    claim.status = *status;
                    claim.reason.clone_from(reason);
                    if verdict.is_some() {
                        claim.verdict.clone_from(verdict);
                    }
                }
            }
            Kind::HypothesisRebased { id, commit, base } => {
                if let Some(claim) = self.hypotheses.get_mut(id) {
                    claim.commit = Some(commit.clone());
                    claim.base.clone_from(base);
                    claim.status = Status::Screened;
                    claim.plan = None;
                    claim.rebases += 1;
                }
            }
            Kind::ProgrammeAdvanced { hypothesis, commit } => {
                let before = std::mem::replace(&mut self.champion, commit.clone());
                self.promotions.push((*hypothesis, before, commit.clone()));
            }
            Kind::HeadlineMeasured { headline } => self.headline = Some(headline.clone()),
            _ => {}
        }
    }

    fn queue(&mut self, event: &Event) {
        let Kind::ExperimentQueued {
            id,
            agent,
            hypothesis,
            arm,
            stage,
            seed,
            commit,
            note,
            env,
            call,
        } = &event.body
        else {
            return;
        };
        self.experiments.insert(
            *id,
            Experiment {
                id: *id,
                agent: agent.clone(),
                hypothesis: *hypothesis,
                arm: *arm,
                stage: *stage,
                seed: *seed,
                commit: commit.clone(),
                note: note.clone(),
                env: env.clone(),
                status: RunStatus::Queued,
                attempt: 0,
                gpus: Vec::new(),
                queued_at: event.at,
                started_at: None,
                finished_at: None,
                measured: Measured::default(),
                reason: String::new(),
                tail: Text::from(""),
                call: call.clone(),
            },
        );
    }

    fn register(&mut self, event: &Event) {
        let blank = |id: u64, agent: &str, title: &str, claim: Claim| Hypothesis {
            id,
            agent: agent.to_owned(),
            title: title.to_owned(),
            claim,
            mechanism: String::new(),
            predicts: 0.0,
            refuted_by: String::new(),
            axis: Axis::None,
            margin: None,
            commit: None,
            base: self.champion.clone(),
            status: Status::Registered,
            reason: String::new(),
            verdict: None,
            plan: None,
            rebases: 0,
            at: event.at,
            call: None,
        };
        let claim = match &event.body {
            Kind::HypothesisRegistered {
                id,
                agent,
                title,
                claim,
                mechanism,
                predicts,
                refuted_by,
                axis,
                margin,
                commit,
                base,
                call,
                ..
            } => Hypothesis {
                mechanism: mechanism.clone(),
                predicts: *predicts,
                refuted_by: refuted_by.clone(),
                axis: *axis,
                margin: *margin,
                commit: Some(commit.clone()),
                base: base.clone(),
                call: call.clone(),
                ..blank(*id, agent, title, *claim)
            },
            Kind::HypothesisRejected {
                id,
                agent,
                title,
                claim,
                reason,
                commit,
                call,
            } => Hypothesis {
                status: Status::Rejected,
                reason: reason.clone(),
                commit: commit.clone(),
                call: call.clone(),
                ..blank(*id, agent, title, *claim)
            },
            _ => return,
        };
        self.hypotheses.insert(claim.id, claim);
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
            && self
                .agents
                .get(name)
                .is_some_and(|agent| !agent.paused && agent.held.is_none())
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

impl AgentState {
    fn turn_event(&mut self, event: &Event) {
        match &event.body {
            Kind::TurnStarted {
                turn, why, mails, ..
            } => {
                self.turns = *turn;
                self.done = false;
                self.idle_turns = if *why == Why::Idle {
                    self.idle_turns + 1
                } else {
                    0
                };
                for id in mails {
                    self.unread.remove(id);
                }
                self.turn = Some(OpenTurn {
                    turn: *turn,
                    why: *why,
                    mails: mails.clone(),
                    asked: false,
                });
            }
            Kind::RequestReserved {
                request,
                conversation,
                items,
                usd,
                ..
            } => {
                if let Some((_, lost)) = self.request.take() {
                    self.usd_lost += lost;
                }
                if *conversation != self.conversation {
                    self.conversation = *conversation;
                    self.items.clear();
                }
                self.items.extend(items.iter().cloned());
                self.requests = *request;
                self.request = Some((*request, *usd));
                self.retry = None;
                self.calls.clear();
                self.truncated.clear();
                self.pause_turn = false;
                if let Some(turn) = &mut self.turn {
                    turn.asked = true;
                }
            }
            Kind::RequestFailed {
                request,
                error,
                retry_at,
                usd,
                ..
            } => {
                if self.request.is_some_and(|(open, _)| open == *request) {
                    self.request = None;
                }
                self.usd += usd;
                self.failures += 1;
                self.retry = Some((error.clone(), *retry_at));
            }
            Kind::ReplyReceived {
                items,
                calls,
                truncated,
                stop,
                usage,
                usd,
                ..
            } => {
                self.failures = 0;
                self.truncations = if truncated.is_empty() {
                    0
                } else {
                    self.truncations + 1
                };
                self.truncated.clone_from(truncated);
                self.request = None;
                self.retry = None;
                self.items.extend(items.iter().cloned());
                self.calls = calls
                    .iter()
                    .map(|call| OpenCall {
                        call: call.clone(),
                        intent: false,
                        pre: None,
                        result: None,
                    })
                    .collect();
                self.pause_turn = *stop == super::chat::Stop::Pause;
                self.usage.input += usage.input;
                self.usage.output += usage.output;
                self.usage.cache_read += usage.cache_read;
                self.usage.cache_write += usage.cache_write + usage.cache_write_1h;
                self.usd += usd;
            }
            Kind::ToolIntent { call, pre, .. } => {
                if let Some(open) = self.calls.iter_mut().find(|open| open.call.id == *call) {
                    open.intent = true;
                    open.pre.clone_from(pre);
                }
            }
            Kind::ToolResult {
                call, ok, output, ..
            } => {
                if let Some(open) = self.calls.iter_mut().find(|open| open.call.id == *call) {
                    open.result = Some((*ok, output.clone()));
                }
            }
            Kind::TurnEnded { .. } => {
                self.turn = None;
                self.retry = None;
            }
            _ => {}
        }
    }
}

/// The agent whose own state an event changes.
fn own_agent(body: &Kind) -> Option<&str> {
    match body {
        Kind::MailSent { .. }
        | Kind::ExperimentQueued { .. }
        | Kind::HypothesisRegistered { .. }
        | Kind::HypothesisRejected { .. } => None,
        other => other.concerns().first().copied(),
    }
}

/// Whether an event shows that a turn got somewhere, for the rule on deaths.
fn progresses(body: &Kind) -> bool {
    matches!(
        body,
        Kind::ReplyReceived { .. }
            | Kind::ToolResult { .. }
            | Kind::ToolIntent { .. }
            | Kind::RequestFailed { .. }
            | Kind::TurnEnded { .. }
    )
}
