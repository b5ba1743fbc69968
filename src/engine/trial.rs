//! A person's own change, from her repository to the gate: a run without agents, and one claim in it.
//!
//! Owns the order: the run is founded on the chart's base, her commit is brought in and put on top of
//! it where the base has moved on, and the claim is registered before anything is measured. Her
//! repository is only read. Where any of it fails, nothing of the run is left.

use std::fs;

use crate::domain::chart::Chart;
use crate::os::clock;
use crate::repo::{self, Merge, RepoError};
use crate::run::log::{Log, LogError};
use crate::run::paths::RunDir;
use crate::tool::{Proposal, ProposeError, propose};

use super::found::{self, FoundError, Plan};

/// Where a brought commit is kept.
const TRIED: &str = "refs/org/tried/h1";

/// Why there is no trial.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// The run could not be made.
    #[error(transparent)]
    Found(#[from] FoundError),
    /// Her commit could not be brought in.
    #[error("the change cannot be brought in")]
    Bring(#[source] RepoError),
    /// It does not fit on where the base is now.
    #[error("the change conflicts with where {base} is now, in {}", paths.join(", "))]
    Conflict {
        /// The base branch.
        base: String,
        /// Where.
        paths: Vec<String>,
    },
    /// The log.
    #[error("the run's log cannot be used")]
    Log(#[from] LogError),
    /// The claim.
    #[error("the claim cannot be registered")]
    Propose(#[from] ProposeError),
}

/// A run with one claim in it; nothing of it runs yet.
#[derive(Debug)]
pub struct Trial {
    /// The run.
    pub dir: RunDir,
    /// The claim.
    pub id: u64,
    /// The branch that was tried.
    pub branch: String,
    /// Whether the base had moved on, and the change was put on top of it.
    pub moved: bool,
}

/// A chart of which only the lab is left.
#[must_use]
pub fn without_agents(mut chart: Chart) -> Chart {
    chart.agents.clear();
    chart.processes.clear();
    chart.office.ask.clear();
    chart.office.notify = None;
    chart
}

/// Makes the run and registers the claim.
///
/// # Errors
/// [`TrialError`]; nothing of the run is left then.
pub fn begin(plan: Plan, branch: Option<&str>, proposal: &Proposal) -> Result<Trial, TrialError> {
    let source = plan.repo().to_owned();
    begin_from(plan, &source, branch, proposal)
}

/// The same, with a change from another repository that shares the task's history: a run's own.
///
/// # Errors
/// As for [`begin`].
pub fn begin_from(
    plan: Plan,
    source: &str,
    branch: Option<&str>,
    proposal: &Proposal,
) -> Result<Trial, TrialError> {
    let dir = found::found(plan)?;
    let begun = register(&dir, source, branch, proposal);
    if begun.is_err() {
        // Nothing has run in it: it is ours alone.
        fs::remove_dir_all(dir.path()).ok();
    }
    begun
}

fn register(
    dir: &RunDir,
    source: &str,
    branch: Option<&str>,
    proposal: &Proposal,
) -> Result<Trial, TrialError> {
    let mut log = Log::open(dir)?;
    let repo_git = dir.repo_git();
    let base = log.state().start.clone();
    let brought = repo::bring(source, branch, &repo_git, &base).map_err(TrialError::Bring)?;
    let chart = crate::run::frozen::chart(dir).map_err(FoundError::from)?;
    let moved = brought.from != base;
    let mut commit = brought.commit;
    if moved {
        let at = clock::now().as_second();
        let title = format!("{}\n", proposal.title);
        let combined = repo::combine(&repo_git, &base, &brought.from, &commit, &title, at);
        commit = match combined.map_err(TrialError::Bring)? {
            Merge::Merged { commit } => commit,
            Merge::Conflict { paths } => {
                let base = chart.task.base.unwrap_or_default();
                return Err(TrialError::Conflict { base, paths });
            }
        };
    }
    repo::pin(&repo_git, TRIED, &commit).map_err(TrialError::Bring)?;
    let id = propose(&mut log, &repo_git, &chart, proposal, &commit, &base)?;
    Ok(Trial {
        dir: dir.clone(),
        id,
        branch: brought.branch,
        moved,
    })
}
