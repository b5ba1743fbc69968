//! Who may write which event, which must be on disk at once, which are the ledger's, and whom it concerns.
//!
//! Owns these four questions, each answered in one place; asked at append and at apply.

use super::actor::Actor;
use super::kind::Kind;
use super::parts::Matter;
use super::society::{Fired, Reminded, Review};
use super::words::{Arm, Class};

/// Whether it is this agent's own.
fn own(actor: &Actor, agent: &str) -> bool {
    matches!(actor, Actor::Agent(name) if name == agent)
}

/// Whether it is an agent's or a person's own word.
fn by_somebody(actor: &Actor, name: &str) -> bool {
    matches!(actor, Actor::Agent(_) | Actor::Human) && actor.name() == name
}

impl Kind {
    /// Whether an actor may write this. Checked at append and at apply, so that a process with a bug,
    /// or a log that was tampered with, cannot grant itself anything.
    #[must_use]
    pub fn may_be_written_by(&self, actor: &Actor) -> bool {
        match self.writer() {
            _ if matches!(self, Self::LogRepaired { .. }) => true,
            Some(agent) => own(actor, agent),
            None => self.may_be_said_by(actor),
        }
    }

    /// The agent that alone may write this, where there is one.
    fn writer(&self) -> Option<&str> {
        match self {
            Self::AgentStarted { agent, .. }
            | Self::AgentEnded { agent, .. }
            | Self::TurnStarted { agent, .. }
            | Self::RequestReserved { agent, .. }
            | Self::RequestWaits { agent, .. }
            | Self::ConversationRenewed { agent, .. }
            | Self::RequestFailed { agent, .. }
            | Self::ReplyReceived { agent, .. }
            | Self::ToolIntent { agent, .. }
            | Self::ToolResult { agent, .. }
            | Self::TurnEnded { agent, .. }
            | Self::BranchSaved { agent, .. }
            | Self::AgentDone { agent, .. }
            | Self::NoteKept { agent, .. } => Some(agent),
            _ => None,
        }
    }

    /// Whether an actor may write what is no agent's alone.
    fn may_be_said_by(&self, actor: &Actor) -> bool {
        use Actor::{Human, Lab, Org, Supervisor};
        match self {
            Self::RunCreated { .. }
            | Self::RunDown { .. }
            | Self::RunResumed {}
            | Self::PauseSet { .. }
            | Self::FreezeSet { .. }
            | Self::TakeBegan { .. }
            | Self::TakeEnded { .. }
            | Self::PauseCleared { .. }
            | Self::AgentRestart { .. }
            | Self::ApprovalDecided { .. }
            | Self::LandingDone { .. }
            | Self::BudgetSet { .. } => *actor == Human,
            Self::SupervisorStarted { .. }
            | Self::MockBound { .. }
            | Self::OfficeLost { .. }
            | Self::PaneLost { .. }
            | Self::RunStopped {}
            | Self::MailUndelivered { .. }
            | Self::PersonCalled { .. }
            | Self::PersonMissed { .. }
            | Self::TakeLost { .. }
            | Self::AgentSeated { .. }
            | Self::AgentReleased { .. }
            | Self::AgentDied { .. } => *actor == Supervisor,
            Self::OfficeOpened { .. } => matches!(actor, Supervisor | Human),
            Self::ApprovalAsked { matter, .. } => match matter {
                Matter::Promote { .. } => *actor == Lab,
                Matter::Land { .. } => *actor == Human,
                Matter::Spend { agent } => own(actor, agent),
            },
            Self::LabOpened { .. }
            | Self::OverlayFrozen { .. }
            | Self::MachineSeen { .. }
            | Self::BaselineExpired { .. }
            | Self::ExperimentStarted { .. }
            | Self::ExperimentFrozen { .. }
            | Self::ExperimentThawed { .. }
            | Self::ExperimentFinished { .. }
            | Self::ExperimentProgress { .. }
            | Self::DiskFull { .. }
            | Self::DeviceBarred { .. }
            | Self::LandingMeasured { .. }
            | Self::HypothesisPlanned { .. }
            | Self::HypothesisMoved { .. }
            | Self::HypothesisRebased { .. }
            | Self::HypothesisSplit { .. }
            | Self::HypothesisTrimmed { .. }
            | Self::ProgrammeRolledBack { .. }
            | Self::ProgrammeAdvanced { .. }
            | Self::HeadlineMeasured { .. } => *actor == Lab,
            Self::AgentHeld { agent, .. } => *actor == Supervisor || own(actor, agent),
            Self::ProcessFired(_) | Self::ProcessReminded(_) | Self::ProcessClosed(_) => {
                *actor == Org
            }
            Self::ReviewGiven(_)
            | Self::HypothesisRegistered { .. }
            | Self::HypothesisRejected { .. }
            | Self::HypothesisWithdrawn { .. }
            | Self::MailSent { .. }
            | Self::MailRead { .. }
            | Self::ExperimentCancelled { .. }
            | Self::ExperimentQueued { .. } => self.is_own_word_of(actor),
            Self::StackMade { .. } | Self::StackDropped { .. } => *actor == Lab,
            // `writer` names who may.
            _ => false,
        }
    }

    /// Whether what people and agents do themselves names its doer.
    fn is_own_word_of(&self, actor: &Actor) -> bool {
        use Actor::{Agent, Human, Lab, Org, Supervisor};
        match self {
            Self::ReviewGiven(Review { by, .. }) => by_somebody(actor, by),
            // A person's own change goes through the same gate.
            Self::HypothesisRegistered { agent, .. } | Self::HypothesisRejected { agent, .. } => {
                by_somebody(actor, agent)
            }
            Self::MailSent { from, .. } => actor.name() == from,
            Self::MailRead { by, .. } => actor.name() == by,
            Self::ExperimentCancelled { agent, .. } => match actor {
                Lab | Human => agent.is_none(),
                Agent(name) => agent.as_ref() == Some(name),
                Supervisor | Org => false,
            },
            Self::HypothesisWithdrawn { agent, .. } => match actor {
                Human => agent.is_none(),
                Agent(name) => agent.as_ref() == Some(name),
                Lab | Supervisor | Org => false,
            },
            Self::ExperimentQueued { agent, arm, .. } => match actor {
                Lab => true,
                Agent(name) => agent.as_ref() == Some(name) && *arm == Arm::Candidate,
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether this must be on disk before anybody acts on it: what spends, grants, delivers,
    /// promises or merges. The rest is carried along by the next sync, which covers all earlier bytes.
    /// So are a reply and a result for the moment in which their agent does not act on them.
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
                | Self::ExperimentCancelled { .. }
                | Self::HypothesisWithdrawn { .. }
                | Self::HypothesisRegistered { .. }
                | Self::HypothesisMoved { .. }
                | Self::ReviewGiven(_)
                | Self::ProcessFired(_)
                | Self::ProgrammeAdvanced { .. }
                | Self::ProgrammeRolledBack { .. }
                | Self::HeadlineMeasured { .. }
                | Self::LandingMeasured { .. }
                | Self::LandingDone { .. }
                | Self::BudgetSet { .. }
                | Self::PersonCalled { .. }
                | Self::TakeBegan { .. }
                | Self::TakeEnded { .. }
                | Self::ApprovalAsked { .. }
                | Self::ApprovalDecided { .. }
                | Self::RunDown { .. }
        )
    }

    /// Whether this is an entry of the ledger: what was claimed, measured, judged and merged, and from
    /// which seeds. Such lines are chained by their hashes.
    #[must_use]
    pub fn is_ledger(&self) -> bool {
        matches!(
            self,
            Self::RunCreated { .. }
                | Self::LabOpened { .. }
                | Self::OverlayFrozen { .. }
                | Self::MachineSeen { .. }
                | Self::BaselineExpired { .. }
                | Self::ExperimentQueued { .. }
                | Self::ExperimentStarted { .. }
                | Self::ExperimentFrozen { .. }
                | Self::ExperimentThawed { .. }
                | Self::ExperimentFinished { .. }
                | Self::ExperimentCancelled { .. }
                | Self::HypothesisWithdrawn { .. }
                | Self::HypothesisRegistered { .. }
                | Self::HypothesisRejected { .. }
                | Self::HypothesisPlanned { .. }
                | Self::HypothesisMoved { .. }
                | Self::HypothesisRebased { .. }
                | Self::HypothesisSplit { .. }
                | Self::HypothesisTrimmed { .. }
                | Self::StackMade { .. }
                | Self::StackDropped { .. }
                | Self::ProgrammeAdvanced { .. }
                | Self::ProgrammeRolledBack { .. }
                | Self::ReviewGiven(_)
                | Self::HeadlineMeasured { .. }
                | Self::LandingMeasured { .. }
                | Self::LandingDone { .. }
        )
    }

    /// The agents that this is by, to or about, for `org logs`.
    #[must_use]
    pub fn concerns(&self) -> Vec<&str> {
        match self {
            Self::AgentRestart { agent, .. }
            | Self::TakeBegan { agent, .. }
            | Self::TakeEnded { agent, .. }
            | Self::TakeLost { agent }
            | Self::AgentSeated { agent, .. }
            | Self::AgentStarted { agent, .. }
            | Self::AgentEnded { agent, .. }
            | Self::AgentDied { agent, .. }
            | Self::AgentHeld { agent, .. }
            | Self::AgentReleased { agent }
            | Self::TurnStarted { agent, .. }
            | Self::RequestReserved { agent, .. }
            | Self::RequestWaits { agent, .. }
            | Self::ConversationRenewed { agent, .. }
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
            Self::ReviewGiven(review) => vec![&review.by],
            Self::ProcessFired(Fired { asked, .. })
            | Self::ProcessReminded(Reminded { asked, .. }) => {
                asked.iter().map(String::as_str).collect()
            }
            Self::PauseSet { agent: Some(agent) }
            | Self::FreezeSet { agent: Some(agent) }
            | Self::PauseCleared { agent: Some(agent) }
            | Self::ExperimentQueued {
                agent: Some(agent), ..
            } => vec![agent],
            Self::MailUndelivered { to, .. } => vec![to],
            Self::ApprovalAsked {
                matter: Matter::Spend { agent },
                ..
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

#[cfg(test)]
mod tests {
    /// The events that say what was claimed, measured, judged or merged, by how their names begin.
    const OF_THE_LEDGER: [&str; 9] = [
        "run.created",
        "lab.",
        "experiment.",
        "hypothesis.",
        "programme.",
        "headline.",
        "landing.",
        "review.",
        "stack.",
    ];

    #[test]
    fn whatever_is_said_of_a_claim_or_a_run_is_an_entry_of_the_ledger() {
        let rights = include_str!("rights.rs");
        let begin = rights.find("fn is_ledger").expect("it is there");
        let end = rights.find("fn concerns").expect("it is there");
        let mut entries = 0;
        for kind in include_str!("kind.rs").split("#[serde(rename = \"").skip(1) {
            let (name, rest) = kind.split_once('"').expect("a name");
            let ident = |c: char| !c.is_alphanumeric();
            let rest = rest.trim_start_matches(ident);
            let variant = rest.split(ident).next().unwrap_or_default();
            // How far a run is, is news and no fact about it.
            let belongs = OF_THE_LEDGER.iter().any(|of| name.starts_with(of))
                && name != "experiment.progress";
            let listed = rights[begin..end].contains(&format!("Self::{variant}"));
            assert_eq!(listed, belongs, "{name} ({variant})");
            entries += usize::from(listed);
        }
        assert!(entries > 10, "{entries}");
    }
}
