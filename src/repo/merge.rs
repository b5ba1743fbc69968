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

/// Sets a branch of repo.git back to one of its own earlier commits.
pub fn set_back(repo_git: &Path, branch: &str, commit: &str) -> Result<(), RepoError> {
    let repo = store::open(repo_git)?;
    let commit = store::find(&repo, commit)?.id();
    store::point(&repo, &history::full_name(branch), commit)
}

/// Puts the change from `base` to `commit` onto `onto`, as one commit on top of it, without moving any
/// branch; the caller pins what it keeps. What `base` has and `onto` has not does not come along.
pub fn combine(
    repo_git: &Path,
    onto: &str,
    base: &str,
    commit: &str,
    message: &str,
    at: i64,
) -> Result<Merge, RepoError> {
    let repo = store::open(repo_git)?;
    let doing = || git(format!("put {commit} onto {onto}"));
    let ours = store::find(&repo, onto)?;
    let tree = |commit: &str| -> Result<git2::Tree<'_>, RepoError> {
        store::find(&repo, commit)?.tree().map_err(doing())
    };
    let (ancestor, mine, theirs) = (tree(base)?, tree(onto)?, tree(commit)?);
    let mut index = repo
        .merge_trees(&ancestor, &mine, &theirs, None)
        .map_err(doing())?;
    if index.has_conflicts() {
        let paths = conflicts(&index).map_err(doing())?;
        return Ok(Merge::Conflict { paths });
    }
    let tree = index.write_tree_to(&repo).map_err(doing())?;
    let tree = repo.find_tree(tree).map_err(doing())?;
    let org = store::signature(at)?;
    let combined = repo.commit(None, &org, &org, message, &tree, &[&ours]);
    Ok(Merge::Merged {
        commit: combined.map_err(doing())?.to_string(),
    })
}

fn conflicts(index: &git2::Index) -> Result<Vec<String>, git2::Error> {
    let mut paths = Vec::new();
    for conflict in index.conflicts()? {
        let conflict = conflict?;
        let side = conflict.our.or(conflict.their).or(conflict.ancestor);
        paths.extend(side.map(|side| String::from_utf8_lossy(&side.path).into_owned()));
    }
    paths.sort_unstable();
    paths.dedup();
    Ok(paths)
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
        return Ok(Err(conflicts(&index).map_err(doing())?));
    }
    let tree = index.write_tree_to(repo).map_err(doing())?;
    let tree = repo.find_tree(tree).map_err(doing())?;
    let org = store::signature(at)?;
    let merged = repo.commit(None, &org, &org, message, &tree, &[&ours, &commit]);
    Ok(Ok(merged.map_err(doing())?))
}
