//! Carrying claims on: what the protocol decided is queued, written down, merged and told.
//!
//! The decisions are `domain::protocol`'s; here each ends in an event, after the branch has moved where
//! one must move. Must not judge.

use std::path::Path;

use crate::domain::approval::{self, Gate};
use crate::domain::event::{Actor, Headline, Kind, Matter, Status};
use crate::domain::protocol::{self, Part, Step, Verdict, Wanted};
use crate::domain::state::{Hypothesis, State};
use crate::repo::{self, Merge, PROGRAMME, RepoError};
use crate::run::log::{Decision, LogError};

use super::supervise::{Report, SuperviseError, Supervisor};

/// What is done with a claim's commits, on a worker thread.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Errand {
    /// Into the programme.
    Promote,
    /// On top of the champion, to be measured there.
    Rebase,
    /// Into its parts.
    Split,
    /// These on top of each other, and without each of them.
    Stack(Vec<Hypothesis>),
    /// A stack into the programme: its claims, each with what it does in company, and its commit.
    PromoteStack(Vec<(u64, String)>, String),
    /// Out of the programme again: why, on what numbers.
    RollBack(String, Option<Box<Verdict>>),
}

impl Errand {
    /// Whether it moves the programme branch, which one errand at a time may do.
    fn moves(&self) -> bool {
        matches!(
            self,
            Self::Promote | Self::PromoteStack(..) | Self::RollBack(..)
        )
    }
}

/// What came of an errand.
#[derive(Debug)]
pub(super) enum Done {
    /// One commit, or a conflict.
    Merged(Merge),
    /// The claim's commit, and what it is without each part.
    Split(String, Vec<Part>),
    /// All claims in one commit, and in one without each of them; or why that cannot be.
    Stacked(Result<(String, Vec<String>), String>),
    /// The programme is where it was before.
    Back(String),
}

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
            let queued = wanted.queued(state.next_experiment());
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
            Step::Plan(id, test, looks) => {
                let planned = Kind::HypothesisPlanned {
                    id: *id,
                    test: *test,
                    seeds: looks.last().map_or(0, |look| look.seeds),
                    looks: looks.clone(),
                };
                self.log.append(&Actor::Lab, vec![planned])?;
            }
            Step::Trim(id, trim) => {
                let trim = trim.as_ref().clone();
                self.log
                    .append(&Actor::Lab, vec![Kind::HypothesisTrimmed { id: *id, trim }])?;
            }
            Step::Move(id, status, reason, verdict) => {
                let verdict = verdict.as_deref().cloned();
                self.move_claim(*id, *status, reason, verdict, None)?;
            }
            Step::Expire(commit, from, reason) => {
                let expired = Kind::BaselineExpired {
                    commit: commit.clone(),
                    from: *from,
                    reason: reason.clone(),
                };
                self.log.append(&Actor::Lab, vec![expired])?;
            }
            Step::Ask(id) => self.ask_promotion(*id)?,
            Step::Promote(id) => self.errand(*id, Errand::Promote),
            Step::Rebase(id) => self.errand(*id, Errand::Rebase),
            Step::Split(id) => self.errand(*id, Errand::Split),
            Step::Stack(ids) => {
                let claims = ids.iter().filter_map(|id| self.state().hypotheses.get(id));
                let claims: Vec<Hypothesis> = claims.cloned().collect();
                if let Some(lead) = ids.first() {
                    self.errand(*lead, Errand::Stack(claims));
                }
            }
            Step::Unstack(id, reason) => {
                let (id, reason) = (*id, reason.clone());
                self.log
                    .append(&Actor::Lab, vec![Kind::StackDropped { id, reason }])?;
            }
            Step::PromoteStack(claims, commit) => {
                if let Some((lead, _)) = claims.first() {
                    self.errand(*lead, Errand::PromoteStack(claims.clone(), commit.clone()));
                }
            }
            Step::RollBack(id, why, verdict) => {
                self.errand(*id, Errand::RollBack(why.clone(), verdict.clone()));
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
        kinds.extend(self.moved(id, status, reason, verdict)?);
        self.log.append(&Actor::Lab, kinds)?;
        if status.is_exit() {
            self.sweep(Some(id));
        }
        Ok(())
    }

    /// That a claim's status changes, and the letter that tells its author.
    fn moved(
        &self,
        id: u64,
        status: Status,
        reason: &str,
        verdict: Option<protocol::Verdict>,
    ) -> Result<Vec<Kind>, SuperviseError> {
        let mut kinds = vec![Kind::HypothesisMoved {
            id,
            status,
            reason: reason.to_owned(),
            verdict: verdict.clone(),
        }];
        let told = status.is_exit() || matches!(status, Status::Confirmed | Status::Promoted);
        if let (true, Some(mut claim)) = (told, self.state().hypotheses.get(&id).cloned()) {
            claim.verdict = verdict.or(claim.verdict);
            let body = self.words.verdict(&self.chart, &claim, status, reason);
            kinds.push(self.letter(&claim.agent, format!("h{id} {}", status.word()), &body)?);
        }
        Ok(kinds)
    }

    /// Promotes all claims of a stack at once.
    fn promote_stack(
        &mut self,
        claims: &[(u64, String)],
        commit: &str,
    ) -> Result<(), SuperviseError> {
        let names: Vec<String> = claims.iter().map(|(id, _)| format!("h{id}")).collect();
        let (names, merged) = (names.join(" + "), short(commit));
        let mut kinds = Vec::new();
        for (id, why) in claims {
            kinds.push(Kind::ProgrammeAdvanced {
                hypothesis: *id,
                commit: commit.to_owned(),
            });
            let reason = format!("merged into the programme as {merged}, {names} together; {why}");
            kinds.extend(self.moved(*id, Status::Promoted, &reason, None)?);
        }
        Ok(self.log.append(&Actor::Lab, kinds)?)
    }

    /// Takes the newest promotion back, and all that were promoted with it.
    fn rolled_back(
        &mut self,
        id: u64,
        commit: String,
        why: &str,
        verdict: Option<&Verdict>,
    ) -> Result<(), SuperviseError> {
        let mut all = self.state().promoted_with(id);
        all.retain(|other| *other != id);
        let mut kinds = vec![Kind::ProgrammeRolledBack {
            hypothesis: id,
            commit,
        }];
        for id in std::iter::once(id).chain(all) {
            kinds.extend(self.moved(id, Status::RolledBack, why, verdict.cloned())?);
        }
        self.log.append(&Actor::Lab, kinds)?;
        self.sweep(None);
        Ok(())
    }

    /// Starts an errand on a worker thread, unless the claim has one, or another moves the programme: the
    /// next claim has not been measured on top of it.
    fn errand(&mut self, id: u64, errand: Errand) {
        let busy = errand.moves() && self.errands.values().any(Errand::moves);
        if busy || self.errands.contains_key(&id) {
            return;
        }
        let Some(claim) = self.state().hypotheses.get(&id).cloned() else {
            return;
        };
        let former = self.state().promotions.last().map(|(_, before, _)| before);
        let former = former.unwrap_or(&self.state().start).clone();
        self.errands.insert(id, errand.clone());
        let (repo_git, champion) = (self.dir.repo_git(), self.state().champion.clone());
        let report = self.report.clone();
        tokio::task::spawn_blocking(move || {
            let done = carry_out(&repo_git, &claim, &champion, &former, &errand);
            let done = done.map_err(|error| error.to_string());
            let told = Report::Errand {
                id,
                errand,
                champion,
                done,
            };
            report.send(told).ok();
        });
    }

    /// Writes down what came of an errand.
    pub(super) fn errand_done(
        &mut self,
        id: u64,
        errand: Errand,
        champion: String,
        done: Result<Done, String>,
    ) -> Result<(), SuperviseError> {
        self.errands.remove(&id);
        match (done, errand) {
            (Ok(Done::Merged(Merge::Merged { commit })), Errand::Promote) => {
                let reason = format!("merged into the programme as {}", short(&commit));
                let advanced = Kind::ProgrammeAdvanced {
                    hypothesis: id,
                    commit,
                };
                self.move_claim(id, Status::Promoted, &reason, None, Some(advanced))
            }
            (Ok(Done::Merged(Merge::Merged { commit })), Errand::PromoteStack(claims, _)) => {
                self.promote_stack(&claims, &commit)
            }
            (Ok(Done::Stacked(made)), Errand::Stack(claims)) => {
                self.stacked(champion, &claims, made)
            }
            (Err(why), Errand::Stack(claims)) => self.stacked(champion, &claims, Err(why)),
            (Ok(Done::Merged(Merge::Merged { commit })), _) => {
                let rebased = Kind::HypothesisRebased {
                    id,
                    commit,
                    base: champion,
                };
                Ok(self.log.append(&Actor::Lab, vec![rebased])?)
            }
            (Ok(Done::Merged(Merge::Conflict { paths })), _) => {
                let reason = format!(
                    "it conflicts with where the programme stands now, in {}; register it again on \
                     top of the programme",
                    paths.join(", ")
                );
                self.move_claim(id, Status::Parked, &reason, None, None)
            }
            (Ok(Done::Split(commit, parts)), _) => {
                let split = Kind::HypothesisSplit { id, commit, parts };
                Ok(self.log.append(&Actor::Lab, vec![split])?)
            }
            (Ok(Done::Back(commit)), Errand::RollBack(why, verdict)) => {
                self.rolled_back(id, commit, &why, verdict.as_deref())
            }
            (Ok(Done::Back(_) | Done::Stacked(_)), _) => Ok(()),
            (Err(error), Errand::RollBack(..)) => {
                tracing::error!(%error, id, "a promotion could not be taken back; tried again");
                Ok(())
            }
            (Err(error), _) => {
                let reason = format!("it could not be merged: {error}");
                self.move_claim(id, Status::Invalid, &reason, None, None)
            }
        }
    }

    /// Writes down what came of putting claims on top of each other.
    fn stacked(
        &mut self,
        base: String,
        claims: &[Hypothesis],
        made: Result<(String, Vec<String>), String>,
    ) -> Result<(), SuperviseError> {
        let claims = claims.iter().map(|claim| claim.id).collect();
        let (commit, without, reason) = match made {
            Ok((commit, without)) => (Some(commit), without, String::new()),
            Err(reason) => (None, Vec::new(), reason),
        };
        let made = Kind::StackMade {
            base,
            claims,
            commit,
            without,
            reason,
        };
        Ok(self.log.append(&Actor::Lab, vec![made])?)
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

/// What an errand does in the run's repository.
fn carry_out(
    repo_git: &Path,
    claim: &Hypothesis,
    champion: &str,
    former: &str,
    errand: &Errand,
) -> Result<Done, RepoError> {
    let (id, at) = (claim.id, claim.at.as_second());
    let commit = claim.commit.clone().unwrap_or_default();
    let message = format!("h{id}: {}\n\n{}\n", claim.title, claim.mechanism);
    let pin = |name: String, commit: &str| repo::pin(repo_git, &name, commit);
    match errand {
        Errand::Promote => {
            let merged = repo::merge(repo_git, PROGRAMME, champion, &commit, &message, at)?;
            Ok(Done::Merged(merged))
        }
        Errand::Rebase => {
            let merged = repo::combine(repo_git, champion, &claim.base, &commit, &message, at)?;
            if let Merge::Merged { commit } = &merged {
                pin(
                    format!("refs/org/rebased/h{id}-{}", short(champion)),
                    commit,
                )?;
            }
            Ok(Done::Merged(merged))
        }
        Errand::Split => {
            let variants = repo::leave_out(repo_git, &claim.base, &commit, &claim.parts, at)?;
            let mut parts = Vec::new();
            for (name, without) in claim.parts.iter().zip(variants) {
                pin(
                    format!("refs/org/parts/h{id}-{}", short(&without)),
                    &without,
                )?;
                let name = name.clone();
                parts.push(Part { name, without });
            }
            Ok(Done::Split(commit, parts))
        }
        Errand::Stack(claims) => stack_up(repo_git, champion, claims),
        Errand::PromoteStack(_, stack) => {
            let merged = repo::merge(repo_git, PROGRAMME, champion, stack, &message, at)?;
            Ok(Done::Merged(merged))
        }
        Errand::RollBack(..) => {
            pin(format!("refs/org/rolled-back/h{id}"), champion)?;
            repo::set_back(repo_git, PROGRAMME, former)?;
            Ok(Done::Back(former.to_owned()))
        }
    }
}

/// Puts claims on top of each other, all of them and without each; of two, each is what the other leaves.
fn stack_up(repo_git: &Path, champion: &str, claims: &[Hypothesis]) -> Result<Done, RepoError> {
    let left_out = claims.iter().filter(|_| claims.len() > 2);
    let left_out = std::iter::once(None).chain(left_out.map(|claim| Some(claim.id)));
    let mut made = Vec::new();
    for left_out in left_out {
        let rest = claims.iter().filter(|claim| Some(claim.id) != left_out);
        let rest: Vec<&Hypothesis> = rest.collect();
        match on_top(repo_git, champion, &rest)? {
            Ok(commit) => {
                let name = format!("refs/org/stacks/{}", short(&commit));
                repo::pin(repo_git, &name, &commit)?;
                made.push(commit);
            }
            Err(why) => return Ok(Done::Stacked(Err(why))),
        }
    }
    Ok(Done::Stacked(Ok((made.remove(0), made))))
}

/// Puts the changes of claims onto the champion, one commit each; the paths in which they meet, if they do.
fn on_top(
    repo_git: &Path,
    champion: &str,
    claims: &[&Hypothesis],
) -> Result<Result<String, String>, RepoError> {
    let mut onto = champion.to_owned();
    for claim in claims {
        let message = format!("h{}: {}\n\n{}\n", claim.id, claim.title, claim.mechanism);
        let (commit, at) = (claim.commit.as_deref().unwrap_or_default(), claim.at);
        let base = &claim.base;
        match repo::combine(repo_git, &onto, base, commit, &message, at.as_second())? {
            Merge::Merged { commit } => onto = commit,
            Merge::Conflict { paths } => {
                let paths = paths.join(", ");
                return Ok(Err(format!("h{} meets another in {paths}", claim.id)));
            }
        }
    }
    Ok(Ok(onto))
}

fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}
