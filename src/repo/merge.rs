//! Merging, in memory: a win into the programme, or a change onto a new champion to be measured
//! before anything moves. No worktree, no index on disk, no driver of anybody's configuration.

use std::path::Path;

use git2::{ErrorCode, Oid, Repository};

use super::error::{RepoError, git};
use super::history;
use super::store;

/// What came of a merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merge {
    /// One commit holds both now.
    Merged {
        /// That commit.
        commit: String,
    },
    /// Both sides changed the same lines; nothing was written.
    Conflict {
        /// Where.
        paths: Vec<String>,
    },
}

/// Merges `commit` into a branch of repo.git whose tip is `champion` as far as the log knows, always by
/// a commit of its own. A branch that is ahead was moved by a merge whose event was never written: it
/// is set back, so that nothing is merged that the log does not say. The same again is the same commit.
pub fn merge(
    repo_git: &Path,
    branch: &str,
    champion: &str,
    commit: &str,
    message: &str,
    at: i64,
) -> Result<Merge, RepoError> {
    let repo = store::open(repo_git)?;
    let theirs = store::find(&repo, commit)?.id();
    let ours = store::find(&repo, champion)?.id();
    let tip = history::tip_oid(&repo, branch)?;
    let merged = match merge_oids(&repo, ours, theirs, message, at)? {
        Ok(merged) => merged,
        Err(paths) => return Ok(Merge::Conflict { paths }),
    };
    let name = history::full_name(branch);
    let set = || {
        repo.reference_matching(&name, merged, true, tip, "org")
            .map(drop)
    };
    match store::write_ref(&repo, &name, set)? {
        Ok(()) => Ok(Merge::Merged {
            commit: merged.to_string(),
        }),
        Err(error) if error.code() == ErrorCode::Modified => {
            Err(RepoError::Moved(branch.to_owned()))
        }
        Err(source) => Err(RepoError::Git {
            doing: format!("move {branch}"),
            source,
        }),
    }
}

/// Merges `commit` onto `onto` without moving any branch; the caller pins what it keeps.
pub fn combine(
    repo_git: &Path,
    onto: &str,
    commit: &str,
    message: &str,
    at: i64,
) -> Result<Merge, RepoError> {
    let repo = store::open(repo_git)?;
    let (ours, theirs) = (
        store::find(&repo, onto)?.id(),
        store::find(&repo, commit)?.id(),
    );
    Ok(match merge_oids(&repo, ours, theirs, message, at)? {
        Ok(merged) => Merge::Merged {
            commit: merged.to_string(),
        },
        Err(paths) => Merge::Conflict { paths },
    })
}

fn merge_oids(
    repo: &Repository,
    ours: Oid,
    theirs: Oid,
    message: &str,
    at: i64,
) -> Result<Result<Oid, Vec<String>>, RepoError> {
    let doing = || git(format!("merge {theirs} into {ours}"));
    if ours == theirs || repo.graph_descendant_of(ours, theirs).map_err(doing())? {
        return Ok(Ok(ours));
    }
    let ours = repo.find_commit(ours).map_err(doing())?;
    let commit = repo.find_commit(theirs).map_err(doing())?;
    let mut index = repo.merge_commits(&ours, &commit, None).map_err(doing())?;
    if index.has_conflicts() {
        let mut paths = Vec::new();
        for conflict in index.conflicts().map_err(doing())? {
            let conflict = conflict.map_err(doing())?;
            let side = conflict.our.or(conflict.their).or(conflict.ancestor);
            paths.extend(side.map(|side| String::from_utf8_lossy(&side.path).into_owned()));
        }
        paths.sort_unstable();
        paths.dedup();
        return Ok(Err(paths));
    }
    let tree = index.write_tree_to(repo).map_err(doing())?;
    let tree = repo.find_tree(tree).map_err(doing())?;
    let org = store::signature(at)?;
    let merged = repo.commit(None, &org, &org, message, &tree, &[&ours, &commit]);
    Ok(Ok(merged.map_err(doing())?))
}
