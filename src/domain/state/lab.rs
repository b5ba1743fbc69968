//! What is so about experiments and claims, and where the programme stands.
//!
//! Owns the meaning of the events of the lab. It computes no verdict: numbers are folded as they were
//! written. Must not know how anything is run or judged.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::State;
use crate::domain::chart::Axis;
use crate::domain::event::{Arm, Event, Gpu, Kind, Measured, RunStatus, Stage, Status, Text};
use crate::domain::protocol::{Claim, Look, Part, Test, Verdict};

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
    /// Whether all its processes were seen to stand still, as a person wanted.
    pub frozen: bool,
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
    /// Why it is to be called off, and whether its owner wants that.
    pub called_off: Option<(String, bool)>,
    /// Steps done, and in all, as it last said.
    pub progress: Option<(u64, u64)>,
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
    /// When those seeds are looked at; empty for once, at the chart's level.
    pub looks: Vec<Look>,
    /// Why somebody wants it taken back.
    pub withdrawn: Option<String>,
    /// How often it was compared anew on another champion.
    pub rebases: u32,
    /// The commit and the champion of its last whole confirmation, where the champion is another now.
    pub confirmed_on: Option<(String, String)>,
    /// The earlier claim that it repeats.
    pub replicates: Option<u64>,
    /// Its parts that are still in it, as its author named them.
    pub parts: Vec<String>,
    /// Its commit without each of its parts, once made.
    pub split: Option<Vec<Part>>,
    /// Parts that did no work, and why they were dropped.
    pub dropped: Vec<(String, String)>,
    /// When it was registered.
    pub at: Timestamp,
    /// When its status last changed.
    pub since: Timestamp,
    /// The tool call that registered it.
    pub call: Option<String>,
}

impl Hypothesis {
    /// From here on it is compared with another champion, with its change on top.
    fn rebase(&mut self, commit: &str, base: &str) {
        let before = std::mem::replace(&mut self.base, base.to_owned());
        let old = self.commit.replace(commit.to_owned());
        self.status = match self.status {
            Status::Registered | Status::Smoke => Status::Registered,
            Status::Confirmed | Status::Reviewed => {
                // Where it was only refreshed, the whole confirmation lies further back.
                if self.plan.is_some() {
                    self.confirmed_on = old.map(|old| (old, before));
                }
                Status::Screened
            }
            _ => Status::Screened,
        };
        self.plan = None;
        self.looks.clear();
        self.split = None;
        self.rebases += 1;
    }

    /// Whether nothing more will come of it by itself.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.status.is_exit()
            || self.status == Status::Promoted
            || (self.claim == Claim::Explain && self.status == Status::Confirmed)
    }
}

impl State {
    /// The claim that an agent is at: its newest that is not final, else its newest.
    #[must_use]
    pub fn claim_of(&self, agent: &str) -> Option<&Hypothesis> {
        let own = || {
            let all = self.hypotheses.values().rev();
            all.filter(|claim| claim.agent == agent)
        };
        own()
            .find(|claim| !claim.is_final())
            .or_else(|| own().next())
    }

    pub(super) fn lab_event(&mut self, event: &Event) {
        match &event.body {
            Kind::ExperimentQueued { .. } => self.queue(event),
            Kind::ExperimentStarted { id, attempt, gpus } => {
                if let Some(run) = self.experiments.get_mut(id) {
                    run.status = RunStatus::Running;
                    run.frozen = false;
                    run.attempt = *attempt;
                    run.gpus.clone_from(gpus);
                    run.started_at = Some(event.at);
                    run.progress = None;
                }
            }
            Kind::ExperimentFrozen { id, attempt } | Kind::ExperimentThawed { id, attempt } => {
                if let Some(run) = self.experiments.get_mut(id)
                    && (run.attempt, run.status) == (*attempt, RunStatus::Running)
                {
                    run.frozen = matches!(event.body, Kind::ExperimentFrozen { .. });
                }
            }
            Kind::ExperimentFinished { .. } => self.finish(event),
            Kind::ExperimentProgress {
                id, done, total, ..
            } => {
                if let Some(run) = self.experiments.get_mut(id) {
                    run.progress = Some((*done, *total));
                }
            }
            Kind::ExperimentCancelled { id, agent, reason } => {
                self.call_off(*id, agent.as_deref(), reason, event.at);
            }
            Kind::HypothesisWithdrawn { id, agent, reason } => {
                if let Some(claim) = self.hypotheses.get_mut(id)
                    && agent.as_ref().is_none_or(|agent| *agent == claim.agent)
                    && !claim.is_final()
                {
                    claim.withdrawn = Some(reason.clone());
                }
            }
            Kind::ProgrammeAdvanced { hypothesis, commit } => {
                let before = std::mem::replace(&mut self.champion, commit.clone());
                // The next of a stack: all of them lead from the same champion to the same.
                let last = self.promotions.last().filter(|_| before == *commit);
                let before = last.map_or(before, |(_, before, _)| before.clone());
                self.promotions.push((*hypothesis, before, commit.clone()));
            }
            Kind::ProgrammeRolledBack { commit, .. } => {
                let last = self.promotions.pop();
                self.promotions
                    .retain(|(.., after)| last.as_ref().is_none_or(|(.., gone)| after != gone));
                self.champion.clone_from(commit);
            }
            Kind::StackMade { .. } | Kind::StackDropped { .. } => self.stack_event(event),
            Kind::BaselineExpired { commit, from, .. } => {
                self.expired.insert(commit.clone(), *from);
            }
            Kind::HeadlineMeasured { headline } => self.headline = Some(headline.clone()),
            _ => self.claim_event(event),
        }
    }

    fn claim_event(&mut self, event: &Event) {
        match &event.body {
            Kind::HypothesisRegistered { .. } | Kind::HypothesisRejected { .. } => {
                self.register(event);
            }
            Kind::HypothesisPlanned {
                id,
                test,
                seeds,
                looks,
            } => {
                if let Some(claim) = self.hypotheses.get_mut(id) {
                    claim.plan = Some((*test, *seeds));
                    claim.looks.clone_from(looks);
                }
            }
            Kind::HypothesisSplit { id, commit, parts } => {
                if let Some(claim) = self.hypotheses.get_mut(id)
                    && claim.commit.as_ref() == Some(commit)
                {
                    claim.split = Some(parts.clone());
                }
            }
            Kind::HypothesisTrimmed { id, trim } => {
                if let Some(claim) = self.hypotheses.get_mut(id) {
                    claim.parts.retain(|name| *name != trim.part);
                    claim.dropped.push((trim.part.clone(), trim.reason.clone()));
                    claim.commit = Some(trim.commit.clone());
                    claim.verdict = Some(trim.verdict.clone());
                    claim.split = None;
                }
            }
            Kind::HypothesisMoved {
                id,
                status,
                reason,
                verdict,
            } => {
                if let Some(claim) = self.hypotheses.get_mut(id) {
                    if claim.status != *status {
                        claim.since = event.at;
                    }
                    claim.status = *status;
                    claim.reason.clone_from(reason);
                    if verdict.is_some() {
                        claim.verdict.clone_from(verdict);
                    }
                }
            }
            Kind::HypothesisRebased { id, commit, base } => {
                if let Some(claim) = self.hypotheses.get_mut(id) {
                    claim.rebase(commit, base);
                    claim.since = event.at;
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, event: &Event) {
        let Kind::ExperimentFinished {
            id,
            status,
            reason,
            measured,
            tail,
            ..
        } = &event.body
        else {
            return;
        };
        let Some(run) = self.experiments.get_mut(id) else {
            return;
        };
        (run.status, run.reason) = match (status, &run.called_off) {
            (RunStatus::Interrupted, Some((why, _))) => (RunStatus::Cancelled, why.clone()),
            (RunStatus::Interrupted, None) => (RunStatus::Queued, reason.clone()),
            (status, _) => (*status, reason.clone()),
        };
        run.finished_at = (run.status != RunStatus::Queued).then_some(event.at);
        run.measured = measured.clone();
        run.tail.clone_from(tail);
        run.frozen = false;
        run.gpus.clear();
    }

    /// Calls a run off; nothing happens to one that has ended, or that is not the agent's.
    fn call_off(&mut self, id: u64, agent: Option<&str>, reason: &str, at: Timestamp) {
        let Some(run) = self.experiments.get_mut(&id) else {
            return;
        };
        if agent.is_some() && agent != run.agent.as_deref() {
            return;
        }
        let waits = run.status == RunStatus::Queued;
        if waits || run.status == RunStatus::Running {
            run.called_off = Some((reason.to_owned(), agent.is_some()));
        }
        if waits {
            run.status = RunStatus::Cancelled;
            reason.clone_into(&mut run.reason);
            run.finished_at = Some(at);
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
                frozen: false,
                attempt: 0,
                gpus: Vec::new(),
                queued_at: event.at,
                started_at: None,
                finished_at: None,
                measured: Measured::default(),
                reason: String::new(),
                tail: Text::from(""),
                called_off: None,
                progress: None,
                call: call.clone(),
            },
        );
    }

    /// A claim of which only its author and its title are known.
    fn bare(&self, at: Timestamp, id: u64, agent: &str, title: &str, claim: Claim) -> Hypothesis {
        Hypothesis {
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
            looks: Vec::new(),
            withdrawn: None,
            rebases: 0,
            confirmed_on: None,
            replicates: None,
            parts: Vec::new(),
            split: None,
            dropped: Vec::new(),
            at,
            since: at,
            call: None,
        }
    }

    fn register(&mut self, event: &Event) {
        let blank =
            |id, agent: &str, title: &str, claim| self.bare(event.at, id, agent, title, claim);
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
                replicates,
                parts,
                call,
            } => Hypothesis {
                mechanism: mechanism.clone(),
                predicts: *predicts,
                refuted_by: refuted_by.clone(),
                axis: *axis,
                margin: *margin,
                commit: Some(commit.clone()),
                base: base.clone(),
                replicates: *replicates,
                parts: parts.clone(),
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
}
