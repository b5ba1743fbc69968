//! A person's claim about a commit of her own: the same lint, the same ledger, no agent.
//!
//! Owns what may be left out where a person asks: she may have a mechanism in her head, and need not
//! predict a size. Must not know where the commit came from.

use std::convert::Infallible;
use std::path::Path;

use crate::domain::chart::{Axis, Chart};
use crate::domain::event::{Actor, Kind, Status};
use crate::domain::protocol::Claim;
use crate::domain::state::State;
use crate::repo::{self, RepoError};
use crate::run::log::{Log, LogError};

use super::lint::{self, DIFF_BYTES, Refused, Words};

/// What a person claims.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// The change in a line.
    pub title: String,
    /// What is claimed of it.
    pub claim: Claim,
    /// Why it should hold.
    pub mechanism: String,
    /// Its size in the metric's unit; none plans for one sigma.
    pub predicts: Option<f64>,
    /// What would refute it.
    pub refuted_by: String,
    /// The matched axis; none is the chart's.
    pub axis: Option<Axis>,
    /// The margin of `no_worse`.
    pub margin: Option<f64>,
    /// Its parts, by path or by text of the changed lines.
    pub parts: Vec<String>,
}

/// Why a claim could not even be refused.
#[derive(Debug, thiserror::Error)]
pub enum ProposeError {
    /// The log.
    #[error("write to the log")]
    Log(#[from] LogError),
    /// The repository.
    #[error("compare the change with the base")]
    Compare(#[from] RepoError),
    /// Nothing to go on with.
    #[error("h{0} is no undecided claim of yours")]
    NotUndecided(u64),
}

/// Registers a claim on `commit` against `base`; a refused one is in the ledger too. Returns its number.
///
/// # Errors
/// [`ProposeError`] where that could not even be judged.
pub fn propose(
    log: &mut Log,
    repo_git: &Path,
    chart: &Chart,
    proposal: &Proposal,
    commit: &str,
    base: &str,
) -> Result<u64, ProposeError> {
    let words = Words {
        title: proposal.title.clone(),
        claim: proposal.claim,
        mechanism: proposal.mechanism.clone(),
        // What a person does not predict is nothing to refuse her for.
        predicts: proposal.predicts.unwrap_or(1.0),
        refuted_by: proposal.refuted_by.clone(),
        axis: proposal.axis.unwrap_or(chart.protocol.matched),
        margin: proposal.margin,
        replicates: None,
        parts: proposal.parts.clone(),
    };
    let judged = judge(log.state(), repo_git, chart, &words, commit, base)?;
    let agent = Actor::Human.name().to_owned();
    let write = |state: &State| -> Result<(Vec<Kind>, u64), Infallible> {
        let id = state.next_hypothesis();
        let kind = match &judged {
            Err(refused) => Kind::HypothesisRejected {
                id,
                agent: agent.clone(),
                title: words.title.clone(),
                claim: words.claim,
                reason: refused.to_string(),
                commit: Some(commit.to_owned()),
                call: None,
            },
            Ok(()) => Kind::HypothesisRegistered {
                id,
                agent: agent.clone(),
                title: words.title.clone(),
                claim: words.claim,
                mechanism: words.mechanism.clone(),
                predicts: proposal.predicts.unwrap_or(0.0),
                refuted_by: words.refuted_by.clone(),
                axis: words.axis,
                margin: words.margin,
                commit: commit.to_owned(),
                base: base.to_owned(),
                replicates: None,
                parts: words.parts.clone(),
                call: None,
            },
        };
        Ok((vec![kind], id))
    };
    match log.transact(&Actor::Human, write)? {
        Ok(id) => Ok(id),
        Err(never) => match never {},
    }
}

fn judge(
    state: &State,
    repo_git: &Path,
    chart: &Chart,
    words: &Words,
    commit: &str,
    base: &str,
) -> Result<Result<(), Refused>, RepoError> {
    if let Err(refused) = lint::words(chart, state, Actor::Human.name(), words) {
        return Ok(Err(refused));
    }
    let changes = repo::changed_paths(repo_git, base, commit)?;
    let diff = repo::diff_text(repo_git, base, commit, DIFF_BYTES)?;
    if let Err(refused) = lint::change(chart, base, &changes, &diff) {
        return Ok(Err(refused));
    }
    let misfit = repo::misfit(repo_git, base, commit, &words.parts)?;
    Ok(misfit.map_or(Ok(()), |misfit| Err(Refused::Parts(misfit))))
}

/// Registers an undecided claim of a person again, to go on with its runs and add more. Returns the new
/// claim's number.
///
/// # Errors
/// [`ProposeError::NotUndecided`] where there is no such claim.
pub fn top_up(log: &mut Log, earlier: u64) -> Result<u64, ProposeError> {
    let agent = Actor::Human.name().to_owned();
    let write = |state: &State| -> Result<(Vec<Kind>, u64), ()> {
        let claim = state
            .hypotheses
            .get(&earlier)
            .filter(|claim| claim.status == Status::Undecided && claim.agent == agent);
        let (claim, commit) = claim
            .and_then(|claim| Some((claim, claim.commit.clone()?)))
            .ok_or(())?;
        let id = state.next_hypothesis();
        let kind = Kind::HypothesisRegistered {
            id,
            agent: agent.clone(),
            title: claim.title.clone(),
            claim: claim.claim,
            mechanism: claim.mechanism.clone(),
            predicts: claim.predicts,
            refuted_by: claim.refuted_by.clone(),
            axis: claim.axis,
            margin: claim.margin,
            commit,
            base: claim.base.clone(),
            replicates: Some(earlier),
            parts: claim.parts.clone(),
            call: None,
        };
        Ok((vec![kind], id))
    };
    let written = log.transact(&Actor::Human, write)?;
    written.map_err(|()| ProposeError::NotUndecided(earlier))
}
