//! Landing: one new branch in the user's repository, and nothing else there is touched. The only verb of
//! this room that writes into it.
//!
//! The branch holds one commit on top of the base that everything was measured against, with the
//! champion's files. It is refused where the base has moved on: that combination was never measured. No
//! index, worktree, hook or configuration of the user's takes part.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use git2::{ErrorCode, Oid, Reference, Repository};

use super::error::{RepoError, git};
use super::source::{self, Source};
use super::store;

/// What is to be landed, and where.
#[derive(Clone, Copy, Debug)]
pub struct Landing<'a> {
    /// The user's repository.
    pub source: &'a str,
    /// The branch, tag or commit that the programme began on.
    pub base: Option<&'a str>,
    /// The commit that this was.
    pub start: &'a str,
    /// The new branch's name.
    pub branch: &'a str,
}

/// What was landed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landed {
    /// The commit.
    pub commit: String,
    /// The user's repository.
    pub repo: PathBuf,
}

/// The user's repository, found fit for a landing.
struct Ground {
    repo: Repository,
    path: PathBuf,
    name: String,
    /// Where the branch stands already.
    taken: Option<Oid>,
}

/// Whether a landing could be made now; nothing is written.
///
/// # Errors
/// What is wrong with the repository, its base or the branch's name.
pub fn landable(landing: &Landing<'_>) -> Result<(), RepoError> {
    let ground = ground(landing)?;
    match ground.taken {
        Some(at) => Err(exists(&ground, landing, at)),
        None => Ok(()),
    }
}

/// Where a branch of the user's repository stands, if it exists.
///
/// # Errors
/// What is wrong with the repository or the branch's name.
pub fn tip_of(source: &str, branch: &str) -> Result<Option<String>, RepoError> {
    let name = full_name(branch)?;
    let seen = source::inspect(source)?;
    let Some(repo) = source::open(&seen.path)? else {
        return Err(RepoError::NotARepository(seen.path));
    };
    Ok(store::target(&repo, &name)?.map(|at| at.to_string()))
}

/// Lands the files of `champion` as one commit on top of the start. The same again is the same commit,
/// and where the branch is that already, all is well.
///
/// # Errors
/// As for [`landable`], and where the repository cannot be written to.
pub fn land(
    repo_git: &Path,
    landing: &Landing<'_>,
    champion: &str,
    message: &str,
    at: i64,
) -> Result<Landed, RepoError> {
    let ground = ground(landing)?;
    let ours = store::open(repo_git)?;
    let doing = || git(format!("land {champion}"));
    let start = store::find(&ours, landing.start)?;
    let tree = store::find(&ours, champion)?.tree().map_err(doing())?;
    let org = store::signature(at)?;
    let commit = ours.commit(None, &org, &org, message, &tree, &[&start]);
    let commit = commit.map_err(doing())?;
    let landed = Landed {
        commit: commit.to_string(),
        repo: ground.path.clone(),
    };
    match ground.taken {
        Some(there) if there == commit => return Ok(landed),
        Some(there) => return Err(exists(&ground, landing, there)),
        None => {}
    }
    send(&ours, commit, start.id(), &ground.repo)
        .map_err(git(format!("write objects into {}", ground.path.display())))?;
    match ground
        .repo
        .reference(&ground.name, commit, false, "org land")
    {
        Ok(_) => Ok(landed),
        Err(error) if error.code() == ErrorCode::Exists => Err(exists(&ground, landing, commit)),
        Err(source) => Err(RepoError::Git {
            doing: format!(
                "make branch {} in {}",
                landing.branch,
                ground.path.display()
            ),
            source,
        }),
    }
}

fn ground(landing: &Landing<'_>) -> Result<Ground, RepoError> {
    let name = full_name(landing.branch)?;
    let seen = source::inspect(landing.source)?;
    let Some(repo) = source::open(&seen.path)? else {
        return Err(RepoError::NotARepository(seen.path));
    };
    let now = source::resolve(&repo, &seen, landing.base)?;
    if now.to_string() != landing.start {
        return Err(RepoError::BaseMoved {
            base: source::base_name(&seen, landing.base),
            path: seen.path,
            start: landing.start.to_owned(),
            now: now.to_string(),
        });
    }
    let taken = store::target(&repo, &name)?;
    if taken.is_none() && is_unborn(&repo, &name) {
        return Err(RepoError::CheckedOut {
            path: seen.path,
            branch: landing.branch.to_owned(),
        });
    }
    let Source { path, .. } = seen;
    Ok(Ground {
        repo,
        path,
        name,
        taken,
    })
}

/// Whether a branch without a commit is what is checked out: to make it would change what `git status`
/// says of the worktree.
fn is_unborn(repo: &Repository, name: &str) -> bool {
    let head = repo.find_reference("HEAD");
    head.is_ok_and(|head| head.symbolic_target().is_ok_and(|it| it == Some(name)))
}

fn full_name(branch: &str) -> Result<String, RepoError> {
    let name = format!("refs/heads/{branch}");
    let odd = branch.starts_with('-') || branch.starts_with("refs/") || branch == "HEAD";
    if odd || !Reference::is_valid_name(&name) {
        return Err(RepoError::BadBranch(branch.chars().take(100).collect()));
    }
    Ok(name)
}

fn exists(ground: &Ground, landing: &Landing<'_>, at: Oid) -> RepoError {
    RepoError::BranchExists {
        path: ground.path.clone(),
        branch: landing.branch.to_owned(),
        at: at.to_string(),
    }
}

/// Writes what the commit adds to the start as one pack.
fn send(
    ours: &Repository,
    commit: Oid,
    start: Oid,
    theirs: &Repository,
) -> Result<(), git2::Error> {
    let mut walk = ours.revwalk()?;
    walk.push(commit)?;
    walk.hide(start)?;
    let mut pack = ours.packbuilder()?;
    pack.insert_walk(&mut walk)?;
    let odb = theirs.odb()?;
    let mut writer = odb.packwriter()?;
    let mut wrong = None;
    pack.foreach(|bytes| {
        let written = writer.write_all(bytes);
        wrong = written.err();
        wrong.is_none()
    })
    .map_err(|error| {
        let said = wrong.take().map(|error| error.to_string());
        said.map_or(error, |said| git2::Error::from_str(&said))
    })?;
    writer.commit()?;
    Ok(())
}
