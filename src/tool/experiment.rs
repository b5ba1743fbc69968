//! Asking the lab for one measured run of the worktree, without a claim.
//!
//! Owns what may be asked for: which environment, and how much at a time. The run, its device and its
//! number are the lab's. Also where the worktree is saved, which claims need too.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::domain::chart::Chart;
use crate::domain::event::{Arm, Class, Kind, RunStatus, Stage};
use crate::domain::protocol;
use crate::domain::state::State;
use crate::domain::texts::Key;
use crate::os::clock;
use crate::repo::{self, RepoError, Snapshot};

use super::arguments::{Argument, Shape};
use super::{Acting, Desk, Outcome, Tool, aside, bad_arguments, broken, clip, one_line};

/// Runs of one agent that may wait or run at a time: a short sweep. More would keep colleagues'
/// runs waiting for an hour on what its author has not looked at yet.
pub(super) const QUEUE_LIMIT: usize = 8;
/// Longest note: a few sentences.
const NOTE_BYTES: usize = 2000;
/// Longest value of a variable.
const VALUE_BYTES: usize = 1000;
/// Files named in an answer as missing from a commit.
const NAMED: usize = 10;
/// Beginnings of variables by which harness, driver, loader and interpreter are steered: with them a
/// run would be another one than the lab believes.
const RESERVED: [&str; 10] = [
    "ORG_", "CUDA_", "NVIDIA_", "LD_", "PYTHON", "GIT_", "UV_", "XDG_", "BASH_", "LC_",
];
/// Whole names, likewise.
const RESERVED_NAMES: [&str; 7] = ["PATH", "HOME", "TMPDIR", "ENV", "IFS", "SHELL", "USER"];

/// Why a run is not queued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// A variable that belongs to the harness.
    #[error("`env` may not set {0:?}: it belongs to the harness")]
    Reserved(String),
    /// A variable that names the seed.
    #[error("`env` may not set {0:?}: seeds are drawn by the lab")]
    Seed(String),
    /// What no shell would take for a name.
    #[error("`env` has {0:?}, which is no name of a variable")]
    Name(String),
    /// A value with a zero byte.
    #[error("`env` has a zero byte in {0:?}")]
    Value(String),
    /// Too many wait.
    #[error("{0} of your runs wait or run already, and no more may")]
    Full(usize),
}

/// The tool `experiment`.
#[derive(Debug)]
pub(super) struct Experiment;

impl Tool for Experiment {
    fn name(&self) -> &'static str {
        "experiment"
    }

    fn arguments(&self) -> &'static [Argument] {
        const {
            &[
                Argument::needed("note", Shape::Text(NOTE_BYTES)),
                Argument::optional("env", Shape::Table(VALUE_BYTES)),
            ]
        }
    }

    fn class(&self) -> Class {
        Class::Keyed
    }

    fn brief(&self, args: &Value) -> String {
        one_line(args["note"].as_str().unwrap_or(""))
    }

    fn run<'a>(&'a self, desk: &'a Desk, call: &'a str, args: &'a Value) -> Acting<'a> {
        Box::pin(async move {
            let args = match desk.arguments(self, args) {
                Ok(args) => args,
                Err(outcome) => return outcome,
            };
            let env = match environment(&desk.chart, &args.table("env")) {
                Ok(env) => env,
                Err(refusal) => {
                    return bad_arguments(&desk.texts, self.name(), &refusal.to_string());
                }
            };
            match desk.look(|state| may_queue(state, &desk.agent, call)) {
                Ok(Ok(Some(id))) => return Outcome::done(format!("queued e{id}")),
                Ok(Ok(None)) => {}
                Ok(Err(refusal)) => return Outcome::failed(refusal.to_string()),
                Err(error) => return broken(&error),
            }
            let note = args.needed("note");
            let saved = match save(desk, note).await {
                Ok(saved) => saved,
                Err(error) => return broken(&error),
            };
            queue(desk, call, note, env, &saved)
        })
    }
}

/// The environment that a run is given on top of the task's.
fn environment(chart: &Chart, given: &[(&str, &str)]) -> Result<BTreeMap<String, String>, Refusal> {
    for (name, value) in given {
        let named = || clip(name, 60);
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let begins_well = name.chars().next().is_some_and(|c| !c.is_ascii_digit());
        if !begins_well || !name.chars().all(word) {
            return Err(Refusal::Name(named()));
        }
        if *name == chart.task.seed {
            return Err(Refusal::Seed(named()));
        }
        let begins = |prefix: &&str| name.starts_with(*prefix);
        if RESERVED_NAMES.contains(name) || RESERVED.iter().any(begins) {
            return Err(Refusal::Reserved(named()));
        }
        if value.contains('\0') {
            return Err(Refusal::Value(named()));
        }
    }
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Ok(given.iter().map(owned).collect())
}

/// The run that this call has queued already, none where it may queue one.
fn may_queue(state: &State, agent: &str, call: &str) -> Result<Option<u64>, Refusal> {
    let mine = || {
        state
            .experiments
            .values()
            .filter(|run| run.agent.as_deref() == Some(agent))
    };
    if let Some(run) = mine().find(|run| run.call.as_deref() == Some(call)) {
        return Ok(Some(run.id));
    }
    let open = mine()
        .filter(|run| matches!(run.status, RunStatus::Queued | RunStatus::Running))
        .count();
    if open >= QUEUE_LIMIT {
        return Err(Refusal::Full(open));
    }
    Ok(None)
}

/// The seed of an agent's own run: one on which the baseline was measured, so that there is
/// something to compare with, and never the first, on which claims are screened. Before the pool is
/// drawn it is a public one, which is all that a look around needs.
fn seed(chart: &Chart, state: &State, id: u64) -> u64 {
    let others = u64::from(chart.protocol.baseline).saturating_sub(1).max(1);
    protocol::seed(state.pool.unwrap_or(0), 1 + id % others)
}

fn queue(
    desk: &Desk,
    call: &str,
    note: &str,
    env: BTreeMap<String, String>,
    saved: &Snapshot,
) -> Outcome {
    let queued = desk.transact(|state| {
        if let Some(id) = may_queue(state, &desk.agent, call)? {
            return Ok((Vec::new(), id));
        }
        let id = state.next_experiment();
        let run = Kind::ExperimentQueued {
            id,
            agent: Some(desk.agent.clone()),
            hypothesis: None,
            arm: Arm::Candidate,
            stage: Stage::Explore,
            seed: seed(&desk.chart, state, id),
            commit: saved.commit.clone(),
            note: note.to_owned(),
            env,
            call: Some(call.to_owned()),
        };
        let mut kinds = branch_saved(desk, state, saved);
        kinds.push(run);
        Ok::<_, Refusal>((kinds, id))
    });
    match queued {
        Ok(Ok(id)) => Outcome::done(format!("queued e{id}{}", left_out(desk, saved))),
        Ok(Err(refusal)) => Outcome::failed(refusal.to_string()),
        Err(error) => broken(&error),
    }
}

/// Copies the worktree and the branch into the run's repository. Can be done again without harm.
pub(super) async fn save(desk: &Desk, why: &str) -> Result<Snapshot, RepoError> {
    let place = desk.place();
    let message = one_line(why);
    let at = clock::now().as_second();
    aside(move || repo::snapshot(&place, &message, at)).await
}

/// The event that says where the branch is now, where that is news.
pub(super) fn branch_saved(desk: &Desk, state: &State, saved: &Snapshot) -> Vec<Kind> {
    let known = state.agents.get(&desk.agent);
    let known = known.and_then(|agent| agent.commit.as_ref()) == Some(&saved.commit);
    let event = Kind::BranchSaved {
        agent: desk.agent.clone(),
        commit: saved.commit.clone(),
    };
    if known { Vec::new() } else { vec![event] }
}

/// A paragraph on the files that a commit lacks; empty where it lacks none.
pub(super) fn left_out(desk: &Desk, saved: &Snapshot) -> String {
    if saved.left_out.is_empty() {
        return String::new();
    }
    let named: Vec<String> = saved
        .left_out
        .iter()
        .take(NAMED)
        .map(|file| one_line(&file.path))
        .collect();
    let mut files = named.join(", ");
    if saved.left_out.len() > NAMED {
        files.push_str(", …");
    }
    let text = desk.texts.get(Key::LeftOut).render(&[("files", &files)]);
    format!("\n{text}")
}
