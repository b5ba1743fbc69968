//! Every kind of event with all its fields.
//!
//! Owns the shape of the log's lines and nothing else. A kind or a field is only ever added, with a
//! default where old lines lack it, and none changes its meaning.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Text;
use super::parts::{Gpu, Headline, LoggedCall, Matter, Measured};
use super::society::{Closed, Fired, Reminded, Review};
use super::words::{Arm, Class, RunStatus, Stage, Status, Why};
use crate::domain::chart::Axis;
use crate::domain::chat::{Stop, Usage};
use crate::domain::protocol::{Claim, Look, Part, Test, Trim, Verdict};

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
    /// The harness's own files were copied into the run.
    #[serde(rename = "lab.overlay")]
    OverlayFrozen {
        /// A hash of all of them.
        hash: String,
    },
    /// What the lab's machine is, where it was not known or is another now.
    #[serde(rename = "lab.machine")]
    MachineSeen {
        /// Its processors and devices, in words.
        what: String,
    },
    /// A baseline has drifted: its runs before one of them count no more.
    #[serde(rename = "lab.expired")]
    BaselineExpired {
        /// Whose baseline.
        commit: String,
        /// The first run that counts.
        from: u64,
        /// Why, in words.
        reason: String,
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
    /// A pane's program ended, or somebody closed the pane; whoever sits there did not notice.
    #[serde(rename = "pane.lost")]
    PaneLost {
        /// An agent's name, or another seat's.
        seat: String,
        /// What was seen, and what becomes of it.
        how: String,
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
    /// And nothing that it, or all, started may go on meanwhile: measured runs and commands stand still.
    #[serde(rename = "freeze.set")]
    FreezeSet {
        /// The agent; none means all.
        agent: Option<String>,
    },
    /// A person lets it, or all, go on, and what was frozen too.
    #[serde(rename = "pause.cleared")]
    PauseCleared {
        /// The agent; none means all.
        agent: Option<String>,
    },
    /// A person sits down in an agent's worktree: it begins nothing, and its mail waits.
    #[serde(rename = "take.began")]
    TakeBegan {
        /// The agent.
        agent: String,
        /// Whether what it is at is stopped first, and not waited for.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        now: bool,
    },
    /// The person has left, and the agent goes on.
    #[serde(rename = "take.ended")]
    TakeEnded {
        /// The agent.
        agent: String,
        /// The commit that holds what the person changed; none where that was nothing.
        commit: Option<String>,
        /// The files that were changed.
        files: Vec<String>,
    },
    /// The person's terminal is gone without a word: the agent stays paused.
    #[serde(rename = "take.lost")]
    TakeLost {
        /// The agent.
        agent: String,
    },
    /// A person wants an agent's process started anew, and released where it was held.
    #[serde(rename = "agent.restart")]
    AgentRestart {
        /// The agent.
        agent: String,
        /// The model that it goes on with, in a new conversation; none keeps both.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<String>,
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
        /// Whether a cap is the reason: raising one releases it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        cap: bool,
        /// When it is released without a person; none means it is not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// What an agent was held for has passed by itself.
    #[serde(rename = "agent.released")]
    AgentReleased {
        /// The agent.
        agent: String,
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
        /// The model that is asked.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        model: String,
        /// Its server, by the chart's name.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        provider: String,
        /// The cap that the model is told is near.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        near: String,
    },
    /// A request is not made yet, since what is left of a cap is set aside for others' in flight.
    #[serde(rename = "request.waits")]
    RequestWaits {
        /// The agent.
        agent: String,
        /// For what, for people.
        reason: String,
    },
    /// A conversation begins anew, from notebook and summary; the old one stays in the log.
    #[serde(rename = "conversation.renewed")]
    ConversationRenewed {
        /// The agent.
        agent: String,
        /// The new conversation, counted from 1.
        conversation: u64,
        /// Why.
        why: String,
        /// What the model wrote to itself before; may be empty.
        summary: Text,
        /// Wire items that it begins with, by hash: the vendor's own compaction, where there is one.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        items: Vec<String>,
        /// The model that is asked while the agent's own is out; none is its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stand_in: Option<String>,
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
        /// What stays set aside, US dollars: the reservation where it may have cost something.
        usd: f64,
        /// The server, by the chart's name.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        provider: String,
        /// What kind of failure, in one word.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        what: String,
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
    /// Something is parked until a person says yes or no.
    #[serde(rename = "approval.asked")]
    ApprovalAsked {
        /// Counts approvals from 1.
        id: u64,
        /// About what.
        matter: Matter,
        /// The question, in a sentence.
        question: String,
    },
    /// A person said yes or no.
    #[serde(rename = "approval.decided")]
    ApprovalDecided {
        /// To which.
        id: u64,
        /// Whether it may go on.
        approved: bool,
        /// Why; may be empty.
        reason: String,
    },
    /// The chart's command is about to be run, to call a person; never twice for the same need.
    #[serde(rename = "person.called")]
    PersonCalled {
        /// The needs that it is for, by their keys.
        needs: Vec<String>,
        /// What it is given to say.
        reason: String,
    },
    /// It did not work: nobody was called.
    #[serde(rename = "person.missed")]
    PersonMissed {
        /// What was to be said.
        reason: String,
        /// Why it was not.
        error: String,
    },
    /// Something that a person left in a mailbox could not be taken as mail; the file is kept.
    #[serde(rename = "mail.undelivered")]
    MailUndelivered {
        /// Whose mailbox.
        to: String,
        /// The file's name.
        name: String,
        /// Why not.
        reason: String,
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
    /// All processes of a run were seen to stand still.
    #[serde(rename = "experiment.frozen")]
    ExperimentFrozen {
        /// Which.
        id: u64,
        /// Which launch.
        attempt: u32,
    },
    /// They were let go on.
    #[serde(rename = "experiment.thawed")]
    ExperimentThawed {
        /// Which.
        id: u64,
        /// Which launch.
        attempt: u32,
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
    /// How far a running run has come, by what it prints; now and then.
    #[serde(rename = "experiment.progress")]
    ExperimentProgress {
        /// Which.
        id: u64,
        /// Which launch.
        attempt: u32,
        /// Steps done.
        done: u64,
        /// Steps in all.
        total: u64,
    },
    /// The disk budget is spent, or is not any more: nothing is launched in between.
    #[serde(rename = "disk.full")]
    DiskFull {
        /// Bytes that the run's directory holds; none where there is room again.
        bytes: Option<u64>,
    },
    /// What is to be landed has run at target scale, by the chart's command.
    #[serde(rename = "landing.measured")]
    LandingMeasured {
        /// The champion that ran.
        champion: String,
        /// The command.
        command: String,
        /// How it ended.
        status: RunStatus,
        /// Why; empty where it is ok.
        reason: String,
        /// What it took and gave.
        measured: Measured,
        /// Its last lines.
        tail: Text,
    },
    /// A person had a branch pushed to the user's repository.
    #[serde(rename = "landing.done")]
    LandingDone {
        /// The claim up to which it is the programme.
        hypothesis: u64,
        /// The champion that it holds.
        champion: String,
        /// The repository's directory.
        repo: String,
        /// The branch.
        branch: String,
        /// The commit there.
        commit: String,
    },
    /// A device is not leased for now, or may be again.
    #[serde(rename = "device.barred")]
    DeviceBarred {
        /// Which.
        gpu: Gpu,
        /// What was seen of it; none where nothing speaks against it any more.
        why: Option<String>,
    },
    /// Somebody wants a run called off: one that waits never starts, one that runs is ended.
    #[serde(rename = "experiment.cancelled")]
    ExperimentCancelled {
        /// Which.
        id: u64,
        /// Whose it is, where its owner takes it back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent: Option<String>,
        /// Why, for people.
        reason: String,
    },
    /// Somebody wants a claim taken back; the lab moves it there.
    #[serde(rename = "hypothesis.withdrawn")]
    HypothesisWithdrawn {
        /// Which.
        id: u64,
        /// Whose it is, where its owner takes it back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent: Option<String>,
        /// Why, for people.
        reason: String,
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
        /// Its parts, as their author named them, where it is a bundle.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        parts: Vec<String>,
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
        /// Fresh seeds, at most.
        seeds: u32,
        /// When they are looked at, and at what level; empty for once, at the chart's.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        looks: Vec<Look>,
    },
    /// A bundle was taken apart: its commit without each of its parts.
    #[serde(rename = "hypothesis.split")]
    HypothesisSplit {
        /// Which.
        id: u64,
        /// The commit that was taken apart.
        commit: String,
        /// Part by part.
        parts: Vec<Part>,
    },
    /// A part of a bundle does no work and is dropped.
    #[serde(rename = "hypothesis.trimmed")]
    HypothesisTrimmed {
        /// Which.
        id: u64,
        /// The part, and what is left.
        trim: Trim,
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
    /// Claims that were confirmed beside each other were put on top of each other.
    #[serde(rename = "stack.made")]
    StackMade {
        /// The champion that all were confirmed on.
        base: String,
        /// Which, in the order in which they lie.
        claims: Vec<u64>,
        /// All of them; none where they cannot be put together.
        commit: Option<String>,
        /// Without each of them, where that is none of the others alone.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        without: Vec<String>,
        /// Why there is none.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
    },
    /// A claim is not promoted with the others of its stack.
    #[serde(rename = "stack.dropped")]
    StackDropped {
        /// Which.
        id: u64,
        /// Why, in words.
        reason: String,
    },
    /// The programme branch moved.
    #[serde(rename = "programme.advanced")]
    ProgrammeAdvanced {
        /// By which claim.
        hypothesis: u64,
        /// The new champion.
        commit: String,
    },
    /// The programme branch moved back: the newest promotion did not hold.
    #[serde(rename = "programme.rolled_back")]
    ProgrammeRolledBack {
        /// By which claim it had moved.
        hypothesis: u64,
        /// The champion again.
        commit: String,
    },
    /// The run's gain, re-measured.
    #[serde(rename = "headline.measured")]
    HeadlineMeasured {
        /// The comparison of start and end.
        headline: Headline,
    },
    /// A process of the org fired.
    #[serde(rename = "process.fired")]
    ProcessFired(Fired),
    /// Somebody is asked again, or in another's place.
    #[serde(rename = "process.reminded")]
    ProcessReminded(Reminded),
    /// A firing is over.
    #[serde(rename = "process.closed")]
    ProcessClosed(Closed),
    /// Somebody decided on another's claim.
    #[serde(rename = "review.given")]
    ReviewGiven(Review),
    /// A person raised or lowered a cap.
    #[serde(rename = "budget.set")]
    BudgetSet {
        /// `usd`, `usd_per_hour`, `gpu_hours`, `wall`, `disk`, or `NAME.usd` of a role or an agent.
        what: String,
        /// The new cap.
        cap: f64,
    },
}
