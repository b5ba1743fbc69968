//! What can happen in a run: the vocabulary of the log.
//!
//! Owns the shape of every event and who may write it. An event is a fact that was observed or a wish
//! that somebody uttered; nothing here computes. Kinds are only ever added: a reader of format 1 must
//! understand every line that format 1 ever wrote. Must not know files, locks, or what follows from
//! an event (that is `state`'s).

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::chart::Axis;
use super::chat::{Stop, Usage};
use super::protocol::{Claim, Test, Verdict};

/// The format of the log that this program writes.
pub const FORMAT: u32 = 1;
/// Longest text, in bytes, that stands in an event; longer text is a blob plus this much of it.
pub const INLINE_TEXT: usize = 4096;

/// Who did or said something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Actor {
    /// A person, at a pane or a command line.
    Human,
    /// The supervising process.
    Supervisor,
    /// The part of the supervisor that runs and judges experiments.
    Lab,
    /// An agent, by name.
    Agent(String),
}

impl Actor {
    /// The name that mail and log show.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Human => "human",
            Self::Supervisor => "supervisor",
            Self::Lab => "lab",
            Self::Agent(name) => name,
        }
    }

    /// The actor of that name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        match name {
            "human" => Self::Human,
            "supervisor" => Self::Supervisor,
            "lab" => Self::Lab,
            other => Self::Agent(other.to_owned()),
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Actor {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Actor {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::named(&String::deserialize(deserializer)?))
    }
}

/// Text in an event: whole where it is short, else its beginning and the blob that holds all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Text {
    /// All of it.
    Whole(String),
    /// Its first [`INLINE_TEXT`] bytes, on a character boundary, and where the rest is.
    Long {
        /// The beginning.
        head: String,
        /// SHA-256 of all of it, in hexadecimal: the blob's name.
        blob: String,
        /// Its length.
        bytes: u64,
    },
}

impl Text {
    /// The text as far as it stands in the event.
    #[must_use]
    pub fn head(&self) -> &str {
        match self {
            Self::Whole(text) => text,
            Self::Long { head, .. } => head,
        }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::Whole(text.to_owned())
    }
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Place in the total order, dense from 1.
    pub seq: u64,
    /// When it was appended, UTC.
    pub at: Timestamp,
    /// Who wrote it.
    pub actor: Actor,
    /// The event that it answers, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<u64>,
    /// What happened.
    #[serde(flatten)]
    pub body: Kind,
}

/// The GPU an agent is at home on, as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpu {
    /// Index on this machine, which `CUDA_VISIBLE_DEVICES` carries with `PCI_BUS_ID` order.
    pub index: u32,
    /// Its UUID, by which it is leased.
    pub uuid: String,
    /// Whether it is only pretended.
    pub simulated: bool,
}

/// Why an agent takes a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Its first turn ever.
    First,
    /// Mail came.
    Mail,
    /// Its role continues when idle.
    Idle,
}

/// A call as the log keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedCall {
    /// The wire's id.
    pub id: String,
    /// The tool.
    pub name: String,
    /// Its arguments, JSON text.
    pub arguments: Text,
}

/// How a call may be treated after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Only reads: done again.
    Read,
    /// Has a key: looked up and finished.
    Keyed,
    /// Opaque: never done again, its outcome is unknown.
    Opaque,
}

/// Which arm of a comparison a run belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arm {
    /// What is there.
    Baseline,
    /// What is claimed to be better.
    Candidate,
}

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The baseline before any claim.
    Admission,
    /// The first look at a candidate's cost.
    Smoke,
    /// The first look at its gain.
    Screen,
    /// Fresh seeds.
    Confirm,
    /// The hidden evaluation.
    Hidden,
    /// Leaving parts out.
    Ablate,
    /// The baseline anew after a promotion.
    Rebaseline,
    /// The end's re-measurement on vault seeds.
    Closing,
    /// An agent looking around, without a claim.
    Explore,
}

/// How a run stands or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// Waits for a device.
    Queued,
    /// Runs.
    Running,
    /// Ended with a metric.
    Ok,
    /// Ended with an error of its own.
    Crashed,
    /// Took too long.
    Timeout,
    /// Ran out of memory.
    Oom,
    /// Ended, but what it printed cannot be used.
    Invalid,
    /// Shared its device with somebody.
    Contended,
    /// Cut short by `org`, a reboot or a person; queued again.
    Interrupted,
    /// Called off.
    Cancelled,
}

impl RunStatus {
    /// The word that scripts read.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Ok => "ok",
            Self::Crashed => "crashed",
            Self::Timeout => "timeout",
            Self::Oom => "oom",
            Self::Invalid => "invalid",
            Self::Contended => "contended",
            Self::Interrupted => "interrupted",
            Self::Cancelled => "cancelled",
        }
    }
}

/// How a hypothesis stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Written down; nothing has run.
    Registered,
    /// Its cost matches.
    Smoke,
    /// One seed looks good.
    Screened,
    /// Fresh seeds agree.
    Confirmed,
    /// Somebody else has looked at it.
    Reviewed,
    /// Merged into the programme.
    Promoted,
    /// Refused by lint.
    Rejected,
    /// The matched axis or a guard differs.
    Mismatched,
    /// No gain at the screen.
    Parked,
    /// The interval excludes what was claimed.
    Refuted,
    /// The interval does not decide.
    Undecided,
    /// A reviewer objected.
    Vetoed,
    /// Its author took it back.
    Withdrawn,
    /// Its runs crash.
    Crashed,
    /// Its runs cannot be used.
    Invalid,
    /// Its runs could not be had undisturbed.
    Contended,
    /// Promoted, and found wanting afterwards.
    RolledBack,
}

impl Status {
    /// All statuses, in the order of this enum.
    pub const ALL: [Self; 17] = [
        Self::Registered,
        Self::Smoke,
        Self::Screened,
        Self::Confirmed,
        Self::Reviewed,
        Self::Promoted,
        Self::Rejected,
        Self::Mismatched,
        Self::Parked,
        Self::Refuted,
        Self::Undecided,
        Self::Vetoed,
        Self::Withdrawn,
        Self::Crashed,
        Self::Invalid,
        Self::Contended,
        Self::RolledBack,
    ];

    /// The word that scripts read.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Smoke => "smoke",
            Self::Screened => "screened",
            Self::Confirmed => "confirmed",
            Self::Reviewed => "reviewed",
            Self::Promoted => "promoted",
            Self::Rejected => "rejected",
            Self::Mismatched => "mismatched",
            Self::Parked => "parked",
            Self::Refuted => "refuted",
            Self::Undecided => "undecided",
            Self::Vetoed => "vetoed",
            Self::Withdrawn => "withdrawn",
            Self::Crashed => "crashed",
            Self::Invalid => "invalid",
            Self::Contended => "contended",
            Self::RolledBack => "rolled_back",
        }
    }

    /// Whether the claim has left the way to promotion.
    #[must_use]
    pub fn is_exit(self) -> bool {
        self > Self::Promoted
    }
}

/// What a measured run took and gave.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The metric.
    pub value: Option<f64>,
    /// Wall seconds.
    pub wall_s: f64,
    /// CPU seconds, children included.
    pub cpu_s: f64,
    /// GPU seconds: wall seconds times leased GPUs.
    pub gpu_s: f64,
    /// Peak resident memory, MiB.
    pub peak_mem_mb: f64,
    /// Floating-point operations, by the candidate's own account.
    pub flops: Option<f64>,
    /// Parameters, likewise.
    pub params: Option<f64>,
    /// Tokens, likewise.
    pub tokens: Option<f64>,
}

/// The end-of-run re-measurement, on seeds that nothing was chosen by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Headline {
    /// The commit the run began with.
    pub from: String,
    /// The champion at its end.
    pub to: String,
    /// The comparison.
    pub verdict: Verdict,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum Kind {
    /// The first line of every log.
    #[serde(rename = "run.created")]
    RunCreated {
        /// The log's format.
        format: u32,
        /// The run's id.
        run: String,
        /// The org's name.
        org: String,
        /// Whether models are mocked.
        mock: bool,
        /// Whether there is no office.
        headless: bool,
        /// The program that wrote it.
        version: String,
        /// The commit the programme starts from.
        base: String,
    },
    /// A torn tail was cut off.
    #[serde(rename = "log.repaired")]
    LogRepaired {
        /// Bytes of the unfinished line.
        bytes: u64,
    },
    /// A supervisor took its lock.
    #[serde(rename = "supervisor.started")]
    SupervisorStarted {
        /// Its process.
        pid: u32,
        /// What the kernel enforces on what agents run, right by right.
        sandbox: BTreeMap<String, bool>,
    },
    /// The seed pool was drawn and the devices were found, once for the run.
    #[serde(rename = "lab.opened")]
    LabOpened {
        /// Secret from which seeds are derived.
        pool: u64,
        /// Devices that measured runs may lease.
        gpus: Vec<Gpu>,
        /// Measured runs at a time.
        parallel: u32,
    },
    /// The mock server's port, chosen once.
    #[serde(rename = "mock.bound")]
    MockBound {
        /// The loopback port.
        port: u16,
    },
    /// The office was built.
    #[serde(rename = "office.opened")]
    OfficeOpened {
        /// The tmux socket.
        socket: String,
        /// The tmux session.
        session: String,
        /// Pane ids by seat.
        panes: BTreeMap<String, String>,
    },
    /// The office is gone; no agent notices.
    #[serde(rename = "office.lost")]
    OfficeLost {
        /// What was seen.
        reason: String,
    },
    /// A person wants the run ended.
    #[serde(rename = "run.down")]
    RunDown {
        /// Why, for people.
        reason: String,
    },
    /// Nothing of the run lives any more, as asked.
    #[serde(rename = "run.stopped")]
    RunStopped {},
    /// A person wants it to go on.
    #[serde(rename = "run.resumed")]
    RunResumed {},
    /// A person stops an agent, or all, from asking models.
    #[serde(rename = "pause.set")]
    PauseSet {
        /// The agent; none means all.
        agent: Option<String>,
    },
    /// A person lets it, or all, go on.
    #[serde(rename = "pause.cleared")]
    PauseCleared {
        /// The agent; none means all.
        agent: Option<String>,
    },
    /// A person wants an agent's process started anew, and released where it was held.
    #[serde(rename = "agent.restart")]
    AgentRestart {
        /// The agent.
        agent: String,
    },
    /// An agent has a place to work.
    #[serde(rename = "agent.seated")]
    AgentSeated {
        /// The agent.
        agent: String,
        /// Its GPU.
        gpu: Option<Gpu>,
        /// Its branch.
        branch: String,
        /// Its worktree, absolute.
        worktree: String,
    },
    /// An agent's process took its lock.
    #[serde(rename = "agent.started")]
    AgentStarted {
        /// The agent.
        agent: String,
        /// Its process.
        pid: u32,
    },
    /// An agent's process ends as it was told to.
    #[serde(rename = "agent.ended")]
    AgentEnded {
        /// The agent.
        agent: String,
        /// Why.
        reason: String,
    },
    /// An agent's process was found dead.
    #[serde(rename = "agent.died")]
    AgentDied {
        /// The agent.
        agent: String,
        /// How, as far as it is known.
        how: String,
    },
    /// An agent does nothing until a person has looked.
    #[serde(rename = "agent.held")]
    AgentHeld {
        /// The agent.
        agent: String,
        /// Why.
        reason: String,
    },
    /// A turn begins, with exactly these mails taken in.
    #[serde(rename = "turn.started")]
    TurnStarted {
        /// The agent.
        agent: String,
        /// Counts the agent's turns from 1.
        turn: u64,
        /// Why.
        why: Why,
        /// The mails it takes in.
        mails: Vec<u64>,
    },
    /// A request is about to be made, and its worst cost set aside.
    #[serde(rename = "request.reserved")]
    RequestReserved {
        /// The agent.
        agent: String,
        /// Counts the agent's requests from 1.
        request: u64,
        /// The conversation, counted from 1; a new one starts without history.
        conversation: u64,
        /// New wire items since the last reply, by hash, in order.
        items: Vec<String>,
        /// US dollars set aside.
        usd: f64,
    },
    /// A request gave nothing usable.
    #[serde(rename = "request.failed")]
    RequestFailed {
        /// The agent.
        agent: String,
        /// Which.
        request: u64,
        /// What happened, for people.
        error: String,
        /// When it will be tried again; none means it will not by itself.
        retry_at: Option<Timestamp>,
        /// What it cost, as far as it is known, US dollars; the reservation where it is not.
        usd: f64,
    },
    /// A reply came in whole.
    #[serde(rename = "reply.received")]
    ReplyReceived {
        /// The agent.
        agent: String,
        /// To which request.
        request: u64,
        /// Wire items, by hash.
        items: Vec<String>,
        /// What the model said.
        text: Text,
        /// A summary of what it thought.
        thinking: Text,
        /// Its calls.
        calls: Vec<LoggedCall>,
        /// Names of calls that were cut short and are not executed.
        truncated: Vec<String>,
        /// Why it ended.
        stop: Stop,
        /// Tokens.
        usage: Usage,
        /// US dollars.
        usd: f64,
    },
    /// A call is about to run.
    #[serde(rename = "tool.intent")]
    ToolIntent {
        /// The agent.
        agent: String,
        /// The call.
        call: String,
        /// The tool.
        tool: String,
        /// How it may be treated after a crash.
        class: Class,
        /// One line for people.
        brief: String,
        /// SHA-256 of the file that is about to change, by which a repeat knows whether it did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pre: Option<String>,
    },
    /// A call has run, or its outcome is unknown.
    #[serde(rename = "tool.result")]
    ToolResult {
        /// The agent.
        agent: String,
        /// The call.
        call: String,
        /// The tool.
        tool: String,
        /// Whether it worked.
        ok: bool,
        /// What the model reads.
        output: Text,
    },
    /// A turn is over.
    #[serde(rename = "turn.ended")]
    TurnEnded {
        /// The agent.
        agent: String,
        /// Which.
        turn: u64,
        /// Whether a person cut it short.
        interrupted: bool,
    },
    /// An agent's branch was copied into the run's repository.
    #[serde(rename = "branch.saved")]
    BranchSaved {
        /// The agent.
        agent: String,
        /// Its tip.
        commit: String,
    },
    /// The agent wants no more turns until it gets mail.
    #[serde(rename = "agent.done")]
    AgentDone {
        /// The agent.
        agent: String,
        /// What it has to say.
        summary: Text,
    },
    /// The agent wrote into its notebook.
    #[serde(rename = "note.kept")]
    NoteKept {
        /// The agent.
        agent: String,
        /// What.
        text: Text,
    },
    /// A message; from here on it is sent.
    #[serde(rename = "mail.sent")]
    MailSent {
        /// Counts messages from 1.
        id: u64,
        /// Whose; the actor where a tool or a person sends.
        from: String,
        /// To whom, names.
        to: Vec<String>,
        /// In a line.
        subject: String,
        /// In full.
        body: Text,
        /// Whether it interrupts.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        now: bool,
        /// Whether it gives a task.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        assignment: bool,
        /// The tool call that sent it, by which it is known after a crash.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        call: Option<String>,
    },
    /// A person has seen messages.
    #[serde(rename = "mail.read")]
    MailRead {
        /// Who.
        by: String,
        /// Which.
        ids: Vec<u64>,
    },
    /// A measured run is wanted.
    #[serde(rename = "experiment.queued")]
    ExperimentQueued {
        /// Counts experiments from 1.
        id: u64,
        /// Who asked.
        agent: Option<String>,
        /// For which claim.
        hypothesis: Option<u64>,
        /// Which arm.
        arm: Arm,
        /// What for.
        stage: Stage,
        /// The seed.
        seed: u64,
        /// What is run.
        commit: String,
        /// The asker's note.
        note: String,
        /// Environment on top of the task's.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        env: BTreeMap<String, String>,
        /// The tool call that asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        call: Option<String>,
    },
    /// A run is about to be launched with these devices.
    #[serde(rename = "experiment.started")]
    ExperimentStarted {
        /// Which.
        id: u64,
        /// Its launches, counted from 1.
        attempt: u32,
        /// Leased devices.
        gpus: Vec<Gpu>,
    },
    /// A run ended.
    #[serde(rename = "experiment.finished")]
    ExperimentFinished {
        /// Which.
        id: u64,
        /// Which launch.
        attempt: u32,
        /// How.
        status: RunStatus,
        /// Why, for people; empty where it is ok.
        reason: String,
        /// What it took and gave.
        measured: Measured,
        /// Its last lines.
        tail: Text,
    },
    /// A claim, before anything has run.
    #[serde(rename = "hypothesis.registered")]
    HypothesisRegistered {
        /// Counts claims from 1.
        id: u64,
        /// Whose.
        agent: String,
        /// In a line.
        title: String,
        /// What is claimed.
        claim: Claim,
        /// Why it should hold.
        mechanism: String,
        /// Its size, in the metric's unit, positive is better.
        predicts: f64,
        /// What would refute it.
        refuted_by: String,
        /// The matched axis.
        axis: Axis,
        /// The margin of a `no_worse` claim.
        margin: Option<f64>,
        /// The locked commit.
        commit: String,
        /// The champion that it is compared with.
        base: String,
        /// An earlier claim that this one repeats on purpose.
        replicates: Option<u64>,
        /// The tool call that registered it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        call: Option<String>,
    },
    /// A claim that was refused by lint; it is in the ledger all the same.
    #[serde(rename = "hypothesis.rejected")]
    HypothesisRejected {
        /// Counts claims from 1.
        id: u64,
        /// Whose.
        agent: String,
        /// In a line.
        title: String,
        /// What was claimed.
        claim: Claim,
        /// Why not.
        reason: String,
        /// The commit, where there is one.
        commit: Option<String>,
        /// The tool call that tried it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        call: Option<String>,
    },
    /// How a claim will be tested, fixed before its confirmation runs.
    #[serde(rename = "hypothesis.planned")]
    HypothesisPlanned {
        /// Which.
        id: u64,
        /// The test.
        test: Test,
        /// Fresh seeds.
        seeds: u32,
    },
    /// A claim changed its status.
    #[serde(rename = "hypothesis.moved")]
    HypothesisMoved {
        /// Which.
        id: u64,
        /// To what.
        status: Status,
        /// Why, in words.
        reason: String,
        /// The numbers that it rests on.
        verdict: Option<Verdict>,
    },
    /// A claim is compared anew, on top of a champion that was promoted meanwhile.
    #[serde(rename = "hypothesis.rebased")]
    HypothesisRebased {
        /// Which.
        id: u64,
        /// Champion plus change.
        commit: String,
        /// The champion.
        base: String,
    },
    /// The programme branch moved.
    #[serde(rename = "programme.advanced")]
    ProgrammeAdvanced {
        /// By which claim.
        hypothesis: u64,
        /// The new champion.
        commit: String,
    },
    /// The run's gain, re-measured.
    #[serde(rename = "headline.measured")]
    HeadlineMeasured {
        /// The comparison of start and end.
        headline: Headline,
    },
    /// A person raised or lowered a cap.
    #[serde(rename = "budget.set")]
    BudgetSet {
        /// `usd`, `gpu_hours`, `wall`, `disk`.
        what: String,
        /// The new cap.
        cap: f64,
    },
}

impl Kind {
    /// Whether an actor may write this. Checked at append and at apply, so that a process with a bug,
    /// or a log that was tampered with, cannot grant itself anything.
    #[must_use]
    pub fn may_be_written_by(&self, actor: &Actor) -> bool {
        use Actor::{Agent, Human, Lab, Supervisor};
        match self {
            Self::RunCreated { .. }
            | Self::RunDown { .. }
            | Self::RunResumed {}
            | Self::PauseSet { .. }
            | Self::PauseCleared { .. }
            | Self::AgentRestart { .. }
            | Self::BudgetSet { .. } => *actor == Human,
            Self::LogRepaired { .. } => true,
            Self::SupervisorStarted { .. }
            | Self::MockBound { .. }
            | Self::OfficeLost { .. }
            | Self::RunStopped {}
            | Self::AgentSeated { .. }
            | Self::AgentDied { .. } => *actor == Supervisor,
            Self::OfficeOpened { .. } => matches!(actor, Supervisor | Human),
            Self::LabOpened { .. }
            | Self::ExperimentStarted { .. }
            | Self::ExperimentFinished { .. }
            | Self::HypothesisPlanned { .. }
            | Self::HypothesisMoved { .. }
            | Self::HypothesisRebased { .. }
            | Self::ProgrammeAdvanced { .. }
            | Self::HeadlineMeasured { .. } => *actor == Lab,
            Self::AgentHeld { agent, .. } => {
                *actor == Supervisor || matches!(actor, Agent(name) if name == agent)
            }
            Self::AgentStarted { agent, .. }
            | Self::AgentEnded { agent, .. }
            | Self::TurnStarted { agent, .. }
            | Self::RequestReserved { agent, .. }
            | Self::RequestFailed { agent, .. }
            | Self::ReplyReceived { agent, .. }
            | Self::ToolIntent { agent, .. }
            | Self::ToolResult { agent, .. }
            | Self::TurnEnded { agent, .. }
            | Self::BranchSaved { agent, .. }
            | Self::AgentDone { agent, .. }
            | Self::NoteKept { agent, .. }
            | Self::HypothesisRegistered { agent, .. }
            | Self::HypothesisRejected { agent, .. } => {
                matches!(actor, Agent(name) if name == agent)
            }
            Self::MailSent { from, .. } => actor.name() == from,
            Self::MailRead { by, .. } => actor.name() == by,
            Self::ExperimentQueued { agent, arm, .. } => match actor {
                Lab => true,
                Agent(name) => agent.as_ref() == Some(name) && *arm == Arm::Candidate,
                _ => false,
            },
        }
    }

    /// Whether this must be on disk before anybody acts on it: what spends, grants, delivers,
    /// promises or merges. The rest is carried along by the next sync, which covers all earlier bytes.
    #[must_use]
    pub fn must_be_durable(&self) -> bool {
        if let Self::ToolIntent { class, .. } = self {
            return *class != Class::Read;
        }
        matches!(
            self,
            Self::RunCreated { .. }
                | Self::RequestReserved { .. }
                | Self::ReplyReceived { .. }
                | Self::ToolResult { .. }
                | Self::MailSent { .. }
                | Self::ExperimentQueued { .. }
                | Self::ExperimentStarted { .. }
                | Self::ExperimentFinished { .. }
                | Self::HypothesisRegistered { .. }
                | Self::HypothesisMoved { .. }
                | Self::ProgrammeAdvanced { .. }
                | Self::HeadlineMeasured { .. }
                | Self::BudgetSet { .. }
                | Self::RunDown { .. }
        )
    }

    /// The agents that this is by, to or about, for `org logs`.
    #[must_use]
    pub fn concerns(&self) -> Vec<&str> {
        match self {
            Self::AgentRestart { agent }
            | Self::AgentSeated { agent, .. }
            | Self::AgentStarted { agent, .. }
            | Self::AgentEnded { agent, .. }
            | Self::AgentDied { agent, .. }
            | Self::AgentHeld { agent, .. }
            | Self::TurnStarted { agent, .. }
            | Self::RequestReserved { agent, .. }
            | Self::RequestFailed { agent, .. }
            | Self::ReplyReceived { agent, .. }
            | Self::ToolIntent { agent, .. }
            | Self::ToolResult { agent, .. }
            | Self::TurnEnded { agent, .. }
            | Self::BranchSaved { agent, .. }
            | Self::AgentDone { agent, .. }
            | Self::NoteKept { agent, .. }
            | Self::HypothesisRegistered { agent, .. }
            | Self::HypothesisRejected { agent, .. } => vec![agent],
            Self::PauseSet { agent: Some(agent) }
            | Self::PauseCleared { agent: Some(agent) }
            | Self::ExperimentQueued {
                agent: Some(agent), ..
            } => vec![agent],
            Self::MailSent { from, to, .. } => {
                let mut all: Vec<&str> = to.iter().map(String::as_str).collect();
                all.push(from);
                all
            }
            _ => Vec::new(),
        }
    }
}
