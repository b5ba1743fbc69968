//! Saving an agent's work in repo.git: what it committed, and on top what it left uncommitted. The
//! agent may have done anything to its worktree and its repository; whatever it did, the snapshot
//! is a commit in repo.git that holds the worktree's files, or an error that names the reason.
//!
//! The agent's own repository is never written. A commit that the program made on top of the agent's
//! stays unknown to the agent's branch; its files stay uncommitted there, and its objects can be
//! seen through the alternates. As long as the agent commits nothing, snapshots follow one another;
//! when it does, the next snapshot follows the agent's commit, and the old one keeps a ref. Only
//! branch `agent/<name>` is followed: what the agent commits on a branch of another name stays in its
//! own repository until it merges it, though the files of that branch are saved while it is there.

use std::path::{Path, PathBuf};

use git2::{Odb, Oid, Repository};

use super::error::{RepoError, git};
use super::gather::{self, LeftOut, Wanted};
use super::incoming;
use super::seat::Place;
use super::store;
use super::trees;

/// An agent's work as of now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The commit, on branch `agent/<name>` of repo.git.
    pub commit: String,
    /// Whether it is another one than last time.
    pub changed: bool,
    /// Files that are not in it, or not in their present form. They are still in the worktree.
    pub left_out: Vec<LeftOut>,
    /// Why the agent's own branch was not followed, if it was not: missing, garbage, or foreign.
    pub branch_ignored: Option<String>,
}

/// Takes a snapshot of the worktree and the branch of an agent. `message` is the commit's where one
/// is needed, `at` its time in seconds since 1970. Taken twice it is the same commit.
pub fn snapshot(place: &Place, message: &str, at: i64) -> Result<Snapshot, RepoError> {
    snapshot_by("org", place, message, at)
}

/// The same, where somebody else than the program is the author of what is not committed yet.
pub fn snapshot_by(
    author: &str,
    place: &Place,
    message: &str,
    at: i64,
) -> Result<Snapshot, RepoError> {
    let branch = store::agent_ref(&place.agent)?;
    let repo = store::open(&place.repo_git)?;
    let own = store::own_dir(&place.repo_git)?;
    let _lock = store::hold(&own.join(format!("{}.lock", place.agent)))?;
    let odb = store::odb(&repo)?;
    let last =
        store::target(&repo, &branch)?.ok_or_else(|| RepoError::NoSeat(place.agent.clone()))?;
    let seen_ref = format!("refs/org/seen/{}", place.agent);
    let seen = store::target(&repo, &seen_ref)?;

    let quarantine = own.join(format!("{}.incoming", place.agent));
    let tip = match incoming::branch_tip(&place.agent_git, &branch) {
        Ok(tip) if Some(tip) == seen => Ok(tip),
        Ok(tip) => accept(&repo, &odb, &place.agent_git, quarantine, tip),
        Err(why) => Err(why.to_owned()),
    };
    // The agent's commit where it made one since, else what we had: a chain of our own on its tip.
    let parent = match tip {
        Ok(tip) if Some(tip) != seen => tip,
        _ => last,
    };
    let parent_tree = repo
        .find_commit(parent)
        .map_err(git("read the last commit"))?
        .tree_id();
    let before = trees::flatten(&odb, parent_tree)?;
    let gathered = gather::gather(&odb, &place.worktree, &before, Wanted::NotIgnored)?;
    let commit = if gathered.files == before {
        parent
    } else {
        let author = store::signature_of(author, at)?;
        commit_files(&repo, &odb, &gathered.files, parent, message, &author)?
    };

    if commit != last {
        keep_reachable(&repo, &place.agent, last, commit)?;
        store::point(&repo, &branch, commit)?;
    }
    let branch_ignored = match tip {
        Ok(tip) if Some(tip) != seen => store::point(&repo, &seen_ref, tip).map(|()| None)?,
        Ok(_) => None,
        Err(ref why) => Some(why.clone()),
    };
    Ok(Snapshot {
        commit: commit.to_string(),
        changed: commit != last,
        left_out: gathered.left_out,
        branch_ignored,
    })
}

/// The agent's own commit, once it and all behind it are in repo.git and found to be well formed.
fn accept(
    repo: &Repository,
    odb: &Odb<'_>,
    agent_git: &Path,
    quarantine: PathBuf,
    tip: Oid,
) -> Result<Oid, String> {
    incoming::take_in(odb, agent_git, quarantine, tip).map_err(|error| told(&error))?;
    let commit = repo
        .find_commit(tip)
        .map_err(|error| error.message().to_owned())?;
    trees::flatten(odb, commit.tree_id()).map_err(|error| told(&error))?;
    let base = repo
        .refname_to_id(store::BASE_REF)
        .map_err(|error| error.message().to_owned())?;
    match repo.merge_base(base, tip) {
        Ok(_) => Ok(tip),
        Err(_) => Err("the branch shares no history with the programme".into()),
    }
}

fn told(error: &RepoError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn commit_files(
    repo: &Repository,
    odb: &Odb<'_>,
    files: &trees::Files,
    parent: Oid,
    message: &str,
    author: &git2::Signature<'_>,
) -> Result<Oid, RepoError> {
    let tree = trees::assemble(odb, files)?;
    let tree = repo.find_tree(tree).map_err(git("read the new tree"))?;
    let parent = repo.find_commit(parent).map_err(git("read the parent"))?;
    let org = store::signature(author.when().seconds())?;
    repo.commit(None, author, &org, message, &tree, &[&parent])
        .map_err(git("commit the worktree"))
}

/// Gives the commit that a branch leaves a ref, unless the new one leads back to it.
fn keep_reachable(repo: &Repository, agent: &str, last: Oid, commit: Oid) -> Result<(), RepoError> {
    if repo
        .graph_descendant_of(commit, last)
        .map_err(git("compare commits"))?
    {
        return Ok(());
    }
    // Named by the commit, so that it can be set again after a crash.
    store::point(repo, &format!("refs/org/tips/{agent}/{last}"), last)
}
