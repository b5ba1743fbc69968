//! What of the runs on this machine can go without losing anything, and its removal.
//!
//! Owns the rules: what lives is left alone; the truth of a run (log, blobs, repository, frozen chart) goes
//! only with the whole run, and a run goes only where nothing in it was promoted and is not landed; what
//! belongs to a promoted claim stays whatever is asked. Must not know how any of it is shown.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::domain::event::RunStatus;
use crate::domain::state::{Experiment, State};
use crate::os::files;
use crate::os::lock::Lock;
use crate::run::paths::RunDir;

/// Something that can go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waste {
    /// What.
    pub path: PathBuf,
    /// How much it holds.
    pub bytes: u64,
    /// Why it can go.
    pub why: String,
}

/// What of a run that is over can go, the run itself staying as it is: its log, its repository, its seats,
/// and all that was measured.
#[must_use]
pub fn within(dir: &RunDir, state: &State) -> Vec<Waste> {
    let mut found = Vec::new();
    let mut add = |path: PathBuf, why: &str| {
        let bytes = files::tree_bytes(&path);
        if bytes > 0 {
            let why = why.to_owned();
            found.push(Waste { path, bytes, why });
        }
    };
    for agent in entries(&dir.path().join("scratch")) {
        add(agent, "temporary files and caches of an agent's commands");
    }
    let base = fs::canonicalize(dir.base_environment()).ok();
    for made in entries(&dir.environments()) {
        let is_base = fs::canonicalize(&made).ok() == base || made.is_symlink();
        if !is_base {
            add(made, "an environment that setup makes again");
        }
    }
    let kept = promoted(state);
    for run in state.experiments.values() {
        if kept.contains(&run.id) {
            continue;
        }
        for (path, why) in of_experiment(dir, run) {
            add(path, why);
        }
    }
    found
}

/// What can go of one measured run that no promotion rests on: launches that were cut short, and whatever
/// stands beside the output of the last.
fn of_experiment(dir: &RunDir, run: &Experiment) -> Vec<(PathBuf, &'static str)> {
    let mut found = Vec::new();
    let last = format!("a{}", run.attempt);
    for launch in entries(&dir.experiment(run.id)) {
        let name = launch
            .file_name()
            .map(|it| it.to_string_lossy().into_owned());
        if name.as_deref() != Some(&*last) {
            found.push((launch, "a launch that was cut short, and made anew"));
            continue;
        }
        let over = run.finished_at.is_some() || run.status == RunStatus::Queued;
        for place in [launch.clone(), launch.join("evaluation")] {
            let parts = ["checkout", "home", "tmp", "cache"].iter();
            let left = parts.map(|part| place.join(part)).filter(|it| it.is_dir());
            let why = "places of a measured run that has ended";
            found.extend(left.filter(|_| over).map(|path| (path, why)));
        }
    }
    found
}

/// Runs that a promotion rests on, shared controls of its seeds included.
fn promoted(state: &State) -> BTreeSet<u64> {
    let claims: BTreeSet<u64> = state.champions().map(|(id, _)| id).collect();
    let champions: BTreeSet<&str> = state.champions().map(|(_, after)| after).collect();
    let of = |run: &&Experiment| {
        let claimed = run.hypothesis.is_some_and(|id| claims.contains(&id));
        let control = !claims.is_empty() && run.commit == state.start;
        claimed || control || champions.contains(run.commit.as_str())
    };
    state
        .experiments
        .values()
        .filter(of)
        .map(|run| run.id)
        .collect()
}

/// Why a whole run has to stay, if it has.
#[must_use]
pub fn needed(state: &State) -> Option<String> {
    let unlanded: Vec<String> = state
        .champions()
        .filter(|(_, after)| !state.landed(after))
        .map(|(id, _)| format!("h{id}"))
        .collect();
    (!unlanded.is_empty()).then(|| format!("{} promoted and not landed", unlanded.join(", ")))
}

/// A whole run.
#[must_use]
pub fn whole(dir: &RunDir, state: &State) -> Waste {
    let why = if state.promotions.is_empty() {
        "the run is over, and nothing of it was promoted"
    } else {
        "the run is over, and all that was promoted is landed"
    };
    Waste {
        path: dir.path().to_owned(),
        bytes: files::tree_bytes(dir.path()),
        why: why.to_owned(),
    }
}

/// Removes some of a run's waste, unless somebody has begun to supervise it meanwhile; says whether it did.
///
/// # Errors
/// What the file system says of the first that cannot be removed.
pub fn remove(dir: &RunDir, waste: &[Waste]) -> io::Result<bool> {
    // Whoever holds this is the run's supervisor: nobody else becomes it while we are at it.
    let Some(lock) = Lock::try_take(&dir.lock("supervisor"))? else {
        return Ok(false);
    };
    for one in waste {
        clear(&one.path)?;
    }
    drop(lock);
    Ok(true)
}

/// Removes a tree, also where a task has taken the right to write from its own directories.
fn clear(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            files::make_writable(path)?;
            fs::remove_dir_all(path)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => fs::remove_file(path),
        other => other,
    }
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}
