//! Carrying claims on: what the protocol decided is queued, written down, merged and told.
//!
//! The decisions are `domain::protocol`'s; here each ends in an event, after the branch has moved where
//! one must move. Must not judge.

use std::collections::BTreeMap;

use crate::domain::approval::{self, Gate};
use crate::domain::event::{Actor, Headline, Kind, Matter, Status};
use crate::domain::protocol::{self, Step, Wanted};
use crate::domain::state::State;
use crate::repo::{self, Merge, PROGRAMME};
use crate::run::log::{Decision, LogError};

use super::supervise::{Report, SuperviseError, Supervisor};

impl Supervisor {
    /// A letter from the lab.
    pub(super) fn letter(
        &self,
        to: &str,
        subject: String,
        body: &str,
    ) -> Result<Kind, SuperviseError> {
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
            Step::Ask(id) => self.ask_promotion(*id)?,
            Step::Promote(id) | Step::Rebase(id) => {
                self.merge(*id, matches!(step, Step::Promote(_)));
            }
        }
        Ok(())
    }

    /// Parks a promotion until a person has said yes or no.
    fn ask_promotion(&mut self, hypothesis: u64) -> Result<(), LogError> {
        let chart = &self.chart;
        let ask = |state: &State| -> Decision<(), ()> {
            let claim = state.hypotheses.get(&hypothesis).ok_or(())?;
            if approval::promotion(chart, state, hypothesis) != Gate::Ask {
                return Err(());
            }
            let asked = Kind::ApprovalAsked {
                id: state.next_approval(),
                matter: Matter::Promote { hypothesis },
                question: approval::question(claim),
            };
            Ok((vec![asked], ()))
        };
        let _asked: Result<(), ()> = self.log.transact(&Actor::Lab, ask)?;
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
            let body = self.words.verdict(&self.chart, &claim, status, reason);
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
}

fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}
