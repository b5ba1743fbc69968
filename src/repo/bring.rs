//! Bringing one more commit of the user's repository into repo.git, where a person tries a change of
//! her own. The source is only read.

use std::path::Path;

use super::error::{RepoError, git};
use super::source::{self, Source};
use super::store;

/// A change that was brought in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brought {
    /// Its commit.
    pub commit: String,
    /// The branch, tag or commit that was meant.
    pub branch: String,
    /// Where it left the base: the base itself, or an earlier commit where that has moved on.
    pub from: String,
}

/// Copies what is reachable from `branch`, or from what is checked out, into repo.git, and finds where
/// it left `base`. Objects that are there already do not matter.
pub fn bring(
    source: &str,
    branch: Option<&str>,
    repo_git: &Path,
    base: &str,
) -> Result<Brought, RepoError> {
    let seen: Source = source::inspect(source)?;
    let Some(theirs) = source::open(&seen.path)? else {
        return Err(RepoError::NoBase {
            path: seen.path,
            base: branch.unwrap_or("HEAD").to_owned(),
            branches: Vec::new(),
        });
    };
    let commit = source::resolve(&theirs, &seen, branch)?;
    source::copy(&theirs, commit, repo_git)?;
    let repo = store::open(repo_git)?;
    let ours = store::find(&repo, base)?.id();
    let from = repo
        .merge_base(ours, commit)
        .map_err(git(format!("find where {commit} left the base")))?;
    Ok(Brought {
        commit: commit.to_string(),
        branch: source::base_name(&seen, branch),
        from: from.to_string(),
    })
}
