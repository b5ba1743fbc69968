//! An agent's own corner: a bare repository that borrows the objects of repo.git, and a worktree on
//! branch `agent/<name>` linked to it. All that the agent's git writes lies in these two. They are
//! made here, file by file, before the agent first runs; after that this program reads them as
//! plain files only and repairs nothing.

use std::path::{Path, PathBuf};

use git2::{Index, IndexEntry, IndexTime, Oid};

use super::error::{RepoError, git};
use super::ignore::NEVER_SOURCE;
use super::lay::{self, Laid};
use super::plain;
use super::store::{self, PROGRAMME};

/// Where an agent sits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The run's repository, which the agent can read and not write.
    pub repo_git: PathBuf,
    /// The agent's own bare repository.
    pub agent_git: PathBuf,
    /// Its worktree.
    pub worktree: PathBuf,
    /// Its name, which becomes branch `agent/<name>`.
    pub agent: String,
}

/// Makes the seat of an agent at commit `base`. A seat that is already made stays as it is; one that
/// was half made, by a run that was killed, is made anew.
pub fn seat(place: &Place, base: &str) -> Result<(), RepoError> {
    seat_all(std::slice::from_ref(place), base)
}

/// Makes the seats of all agents of a run, side by side, since files are what it costs.
///
/// # Panics
/// Where laying one down did.
pub fn seat_all(places: &[Place], base: &str) -> Result<(), RepoError> {
    let Some(first) = places.first() else {
        return Ok(());
    };
    let made: Vec<Result<bool, RepoError>> = std::thread::scope(|scope| {
        let laying: Vec<_> = places
            .iter()
            .map(|place| scope.spawn(|| lay_seat(place, base)))
            .collect();
        laying
            .into_iter()
            .map(|seat| seat.join().expect("seating does not panic"))
            .collect()
    });
    let repo = store::open(&first.repo_git)?;
    let base = store::find(&repo, base)?.id();
    let mut refs = Vec::new();
    for (place, made) in places.iter().zip(made) {
        if made? {
            refs.push((format!("refs/org/seen/{}", place.agent), base));
            refs.push((store::agent_ref(&place.agent)?, base));
        }
    }
    if refs.is_empty() {
        return Ok(());
    }
    store::point_all(&repo, &refs)
}

/// Lays down all of a seat but its refs in repo.git; says whether it was not there already.
fn lay_seat(place: &Place, base: &str) -> Result<bool, RepoError> {
    let branch = store::agent_ref(&place.agent)?;
    let repo = store::open(&place.repo_git)?;
    let base = store::find(&repo, base)?;
    if store::target(&repo, &branch)?.is_some() {
        return verify(place).map(|()| false);
    }
    // The branch in repo.git is set last, and no agent starts before: what is here is not its work.
    store::clear(&place.agent_git)?;
    store::clear(&place.worktree)?;
    plain::make_dirs(&place.worktree)?;
    lay_agent_git(place, &branch, base.id())?;
    let laid = lay::lay_tree(&store::odb(&repo)?, base.tree_id(), &place.worktree)?;
    link(place, &branch, &laid)?;
    Ok(true)
}

fn verify(place: &Place) -> Result<(), RepoError> {
    for needed in [&place.agent_git, &place.worktree] {
        if plain::open_root(needed).is_err() {
            let (agent, missing) = (place.agent.clone(), needed.clone());
            return Err(RepoError::SeatDamaged { agent, missing });
        }
    }
    Ok(())
}

fn lay_agent_git(place: &Place, branch: &str, base: Oid) -> Result<(), RepoError> {
    let Place {
        repo_git,
        agent_git,
        agent,
        ..
    } = place;
    // Nothing is collected behind the agent's back: unreachable is not unwanted within a turn.
    let config = format!(
        "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n\
         \tlogAllRefUpdates = true\n\
         [user]\n\tname = {agent}\n\temail = {agent}@org\n\
         [gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n[advice]\n\tdetachedHead = false\n"
    );
    store::lay_bare(agent_git, &config, PROGRAMME)?;
    let objects = plain::absolute(&repo_git.join("objects"))?;
    plain::place(
        &agent_git.join("objects/info/alternates"),
        &format!("{}\n", objects.display()),
    )?;
    plain::place(
        &agent_git.join("info/exclude"),
        &(NEVER_SOURCE.join("\n") + "\n"),
    )?;
    plain::make_dirs(&agent_git.join("refs/heads/agent"))?;
    plain::place(&agent_git.join(branch), &format!("{base}\n"))?;
    // Where the agent started from, under the name that its mail will use. It does not move by itself.
    plain::place(
        &agent_git.join("refs/heads").join(PROGRAMME),
        &format!("{base}\n"),
    )
}

/// Links worktree and repository, and tells git which of the files it need not read again.
fn link(place: &Place, branch: &str, laid: &[Laid]) -> Result<(), RepoError> {
    let agent_git = plain::absolute(&place.agent_git)?;
    let worktree = plain::absolute(&place.worktree)?;
    let admin = agent_git.join("worktrees").join(&place.agent);
    plain::make_dirs(&admin)?;
    plain::place(&admin.join("HEAD"), &format!("ref: {branch}\n"))?;
    plain::place(&admin.join("commondir"), "../..\n")?;
    plain::place(
        &admin.join("gitdir"),
        &format!("{}\n", worktree.join(".git").display()),
    )?;
    plain::place(&admin.join("locked"), "the agent sits here\n")?;
    write_index(&admin.join("index"), laid)?;
    plain::place(
        &worktree.join(".git"),
        &format!("gitdir: {}\n", admin.display()),
    )
}

fn write_index(path: &Path, laid: &[Laid]) -> Result<(), RepoError> {
    let mut index = Index::open(path).map_err(git("make an index"))?;
    for file in laid {
        index.add(&entry(file)).map_err(git("fill the index"))?;
    }
    index.write().map_err(git("write the index"))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "an index holds the low 32 bits of each"
)]
#[expect(
    clippy::cast_sign_loss,
    reason = "an index holds the low 32 bits of each"
)]
fn entry(file: &Laid) -> IndexEntry {
    let time = |seconds: i64, nanos: u64| IndexTime::new(seconds as i32, nanos as u32);
    let mut entry = IndexEntry {
        ctime: time(0, 0),
        mtime: time(0, 0),
        dev: 0,
        ino: 0,
        mode: file.mode.bits(),
        uid: 0,
        gid: 0,
        file_size: 0,
        id: file.oid,
        flags: 0,
        flags_extended: 0,
        path: file.path.clone(),
    };
    if let Some(stat) = &file.stat {
        entry.ctime = time(stat.st_ctime, stat.st_ctime_nsec);
        entry.mtime = time(stat.st_mtime, stat.st_mtime_nsec);
        entry.dev = stat.st_dev as u32;
        entry.ino = stat.st_ino as u32;
        entry.uid = stat.st_uid;
        entry.gid = stat.st_gid;
        entry.file_size = stat.st_size as u32;
    }
    entry
}
