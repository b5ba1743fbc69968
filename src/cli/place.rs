//! Where we are: the environment, the runs there are, and which of them a command means.
//!
//! Owns the only read of environment variables and the rules by which a run is found. Must not know
//! what is done with it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;

use super::failure::Failure;
use crate::domain::chart::Chart;
use crate::domain::decode::{self, Context};
use crate::domain::event::Event;
use crate::domain::model;
use crate::os::{exec, files, lock};
use crate::run::index::{Index, runs_dir};
use crate::run::paths::RunDir;
use crate::view::status::{Holder, Seen};

/// Longest first line of a log that is looked at for its date.
const FIRST_LINE: u64 = 64 * 1024;

/// What of the environment matters.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The working directory.
    pub(super) cwd: PathBuf,
    /// The home directory.
    pub(super) home: Option<PathBuf>,
    /// Where `org` keeps what is not part of a run.
    pub(super) state_dir: Option<PathBuf>,
    /// Where runs are.
    pub(super) index: Index,
    /// Whether `ORG_RUNS` says so: then what is not named is looked for there only, so that two
    /// people, or two test runs, on one machine do not get in each other's way.
    pub(super) only_here: bool,
    /// Whether colour is allowed.
    pub(super) colour: bool,
}

impl Place {
    /// Looks around.
    #[must_use]
    pub(super) fn here() -> Self {
        let filled = |name: &str| var(name).filter(|value| !value.is_empty());
        let absolute = |name: &str| {
            filled(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let cwd = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        let home = absolute("HOME");
        let state_dir = absolute("XDG_STATE_HOME")
            .or_else(|| Some(home.as_ref()?.join(".local/state")))
            .map(|dir| dir.join("org"));
        let runs = filled("ORG_RUNS").map(PathBuf::from);
        let only_here = runs.is_some();
        Self {
            index: Index {
                file: state_dir.as_ref().map(|dir| dir.join("runs")),
                here: runs_dir(runs.as_deref(), &cwd),
            },
            colour: filled("NO_COLOR").is_none() && var("TERM").as_deref() != Some("dumb"),
            only_here,
            cwd,
            home,
            state_dir,
        }
    }

    /// The run that a reading command means: the one named, else the newest.
    ///
    /// # Errors
    /// Where there is none, or several fit the name.
    pub(super) fn reading(&self, named: Option<&str>) -> Result<RunDir, Failure> {
        if let Some(name) = named {
            return self.named(name);
        }
        self.runs()
            .into_iter()
            .max_by_key(|dir| (created(dir), dir.id()))
            .ok_or_else(|| self.no_run())
    }

    /// The run that an acting command means: the one named, else the only live one.
    ///
    /// # Errors
    /// Where none lives (exit code 1), or several do (2).
    pub(super) fn acting(&self, named: Option<&str>) -> Result<RunDir, Failure> {
        if let Some(name) = named {
            return self.named(name);
        }
        let runs = self.runs();
        if runs.is_empty() {
            return Err(self.no_run());
        }
        let mut live: Vec<RunDir> = runs.into_iter().filter(lives).collect();
        match live.len() {
            0 => Err(Failure::refused(
                "no run is alive",
                "`org ls` lists all runs, `org up CHART` starts one, `org up --resume RUN` goes on with one",
            )),
            1 => Ok(live.remove(0)),
            _ => {
                let ids: Vec<String> = live.iter().map(RunDir::id).collect();
                let message = format!("several runs are alive: {}", ids.join(", "));
                Err(Failure::usage(
                    message,
                    format!("say which, as in `--run {}`", ids[0]),
                ))
            }
        }
    }

    /// The runs that a command without a name is about.
    #[must_use]
    pub(super) fn runs(&self) -> Vec<RunDir> {
        let mut runs = self.everywhere();
        if self.only_here {
            let here = real(&self.index.here);
            runs.retain(|dir| dir.path().parent() == Some(&here));
        }
        runs
    }

    /// All runs, each once, by whatever links it was found.
    fn everywhere(&self) -> Vec<RunDir> {
        let dirs = self.index.runs().into_iter();
        let paths: BTreeSet<PathBuf> = dirs.map(|dir| real(dir.path())).collect();
        paths.into_iter().map(RunDir::at).collect()
    }

    fn named(&self, name: &str) -> Result<RunDir, Failure> {
        pick(&self.cwd, self.everywhere(), name)
    }

    fn no_run(&self) -> Failure {
        let here = self.index.here.display();
        Failure::refused(
            format!("there is no run in {here}"),
            "`org up CHART` starts one; ORG_RUNS names another directory of runs",
        )
    }
}

/// Which run, as an option.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct RunArgs {
    /// The run, by its id or any unique prefix of it
    #[arg(long, value_name = "ID")]
    run: Option<String>,
}

impl RunArgs {
    /// What was given.
    #[must_use]
    pub(super) fn name(&self) -> Option<&str> {
        self.run.as_deref()
    }
}

/// Which run, as an argument or an option.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct RunOrArg {
    /// The run, by its id or any unique prefix of it
    #[arg(value_name = "RUN")]
    place: Option<String>,
    /// The same, as an option
    #[arg(long, value_name = "ID", conflicts_with = "place")]
    run: Option<String>,
}

impl RunOrArg {
    /// What was given.
    #[must_use]
    pub(super) fn name(&self) -> Option<&str> {
        self.run.as_deref().or(self.place.as_deref())
    }
}

/// One environment variable; what is not UTF-8 is as good as absent.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the only door to the environment"
)]
pub(super) fn var(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// All of the environment, for a program that only stands before another one.
#[must_use]
pub(super) fn whole_env() -> BTreeMap<String, String> {
    let vars = std::env::vars_os();
    vars.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Where short-lived files belong.
pub(super) fn temp_dir() -> PathBuf {
    std::env::temp_dir()
}

/// What of the environment is handed on: where things are and how to print, never a secret.
#[must_use]
pub(super) fn clean_env() -> BTreeMap<String, String> {
    let vars = std::env::vars_os();
    exec::inherited_env(
        vars.filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }),
    )
}

/// The run of that id, prefix or path.
fn pick(cwd: &Path, runs: Vec<RunDir>, name: &str) -> Result<RunDir, Failure> {
    if name.contains('/') {
        let dir = RunDir::at(cwd.join(name));
        if dir.events().is_file() {
            return Ok(dir);
        }
        return Err(Failure::refused(
            format!("{name} is not a run's directory"),
            "`org ls` lists all runs",
        ));
    }
    let known: Vec<String> = runs.iter().map(RunDir::id).collect();
    let mut exact: Vec<RunDir> = runs.iter().filter(|d| d.id() == name).cloned().collect();
    let mut fit: Vec<RunDir> = runs
        .into_iter()
        .filter(|dir| !name.is_empty() && dir.id().starts_with(name))
        .collect();
    if exact.len() == 1 {
        return Ok(exact.remove(0));
    }
    match fit.len() {
        0 => {
            let near = crate::domain::suggest::nearest(name, known.iter().map(String::as_str));
            let hint = near.map_or_else(
                || "`org ls` lists all runs".to_owned(),
                |near| format!("did you mean `{near}`? `org ls` lists all runs"),
            );
            Err(Failure::refused(format!("no run is called {name:?}"), hint))
        }
        1 => Ok(fit.remove(0)),
        _ => {
            let paths: Vec<String> = fit
                .iter()
                .map(|dir| {
                    if exact.is_empty() {
                        dir.id()
                    } else {
                        dir.path().display().to_string()
                    }
                })
                .collect();
            Err(Failure::usage(
                format!("{name:?} fits several runs: {}", paths.join(", ")),
                "write more of the id, or the run's directory",
            ))
        }
    }
}

/// When a run was created, from the first line of its log.
#[must_use]
pub(super) fn created(dir: &RunDir) -> Option<Timestamp> {
    let file = File::open(dir.events()).ok()?;
    let mut line = Vec::new();
    BufReader::new(file.take(FIRST_LINE))
        .read_until(b'\n', &mut line)
        .ok()?;
    Some(serde_json::from_slice::<Event>(&line).ok()?.at)
}

/// Whether anything of a run lives: its supervisor, or an agent that outlived it.
#[must_use]
pub(super) fn lives(dir: &RunDir) -> bool {
    supervised(dir)
        || agents_named(dir)
            .iter()
            .any(|name| lock::holder(&dir.agent_lock(name)).is_some())
}

/// Whether a run's supervisor lives.
#[must_use]
pub(super) fn supervised(dir: &RunDir) -> bool {
    lock::holder(&dir.lock("supervisor")).is_some()
}

fn agents_named(dir: &RunDir) -> Vec<String> {
    let chart = chart(dir);
    chart
        .map(|chart| chart.agents.into_iter().map(|agent| agent.name).collect())
        .unwrap_or_default()
}

/// The path without links; itself where it leads nowhere.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Who lives, asked now.
#[must_use]
pub(super) fn observe(dir: &RunDir, chart: &Chart) -> Seen {
    Seen {
        disk_bytes: files::tree_bytes(dir.path()),
        ..observe_lives(dir, chart)
    }
}

/// The same without the bytes on disk, to count which takes long in a large run.
#[must_use]
pub(super) fn observe_lives(dir: &RunDir, chart: &Chart) -> Seen {
    // Locks that cannot be looked at say nothing, neither life nor death.
    let readable = std::fs::read_dir(dir.locks()).is_ok();
    let holder = |name: &str| match lock::holder(&dir.agent_lock(name)) {
        Some(holder) => Holder::Process((holder.pid != 0).then_some(holder.pid)),
        None => Holder::Nobody,
    };
    let agents: BTreeMap<String, Holder> = chart
        .agents
        .iter()
        .filter(|_| readable)
        .map(|agent| (agent.name.clone(), holder(&agent.name)))
        .collect();
    Seen {
        dir: dir.path().display().to_string(),
        supervisor: supervised(dir),
        agents,
        disk_bytes: 0,
    }
}

/// The built-in models, each with its provider, as charts are read against.
#[must_use]
pub(super) fn known_models() -> Vec<(&'static str, &'static str)> {
    model::known()
}

/// A run's frozen chart.
///
/// # Errors
/// Where it cannot be read: an older program's, or somebody changed it.
pub(super) fn chart(dir: &RunDir) -> Result<Chart, Failure> {
    let refused = || {
        Failure::refused(
            format!("the frozen chart of {} cannot be read", dir.id()),
            "`org ls` shows other runs; the chart lies in the run's directory as chart.toml",
        )
    };
    let bytes = files::read_capped(&dir.chart(), decode::BYTES_MAX as u64)
        .map_err(|error| refused().because(&error))?;
    let models = known_models();
    let context = Context {
        base: dir.path(),
        home: None,
        known_models: &models,
        frozen: true,
    };
    let decoded = decode::decode_bytes(&bytes, &context);
    decoded.chart.ok_or_else(|| {
        let mut failure = refused();
        failure.causes = decoded
            .problems
            .iter()
            .map(|problem| {
                format!(
                    "line {}, column {}: {}",
                    problem.line, problem.column, problem.message
                )
            })
            .collect();
        failure
    })
}
