//! One job: what to run and what came of it, and the body of the hidden command `org job`.
//!
//! `org job` takes the job's lock, has a keeper see the command through, and writes one result. It
//! leads a session of its own and outlives whoever asked for it; being unconfined itself, it cannot
//! be signalled by what it keeps. TERM makes it end the job, USR1 freeze it, USR2 let it go on. If it
//! is killed, the job's processes are found by their mark (`process::kill_tree`), and no result means
//! *lost*.
//!
//! Must not know why a command runs, what its output means, or any file name but those it is told.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::keeper::{self, Signals};
use super::lock::Lock;
use super::sandbox::{Policy, Report};
use super::{exec, files, process};

/// Longest job description: arguments, environment and paths, with room for a long script.
const SPEC_CAP: u64 = 4 << 20;
/// Mode of the result file.
const RESULT_MODE: u32 = 0o600;

/// What to run, and how.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    /// Program and arguments; a program without a slash is looked up in the `PATH` of `env`.
    pub argv: Vec<String>,
    /// Its working directory.
    pub cwd: PathBuf,
    /// Its whole environment; the mark is added.
    pub env: BTreeMap<String, String>,
    /// Text for its standard input; none means an empty one.
    #[serde(default)]
    pub stdin: Option<String>,
    /// Where its output goes.
    pub stdout: Sink,
    /// Where its errors go.
    pub stderr: Sink,
    /// What it may touch; none confines nothing.
    #[serde(default)]
    pub policy: Option<Policy>,
    /// Longest time it may take, in seconds; none means for ever.
    #[serde(default)]
    pub timeout_s: Option<f64>,
    /// Seconds between asking its processes to end and ending them.
    pub grace_s: f64,
    /// Bytes kept of each log.
    pub output_cap: u64,
    /// The file that gets the [`JobResult`]. If it is there already, nothing is run.
    pub result: PathBuf,
    /// The lock that is held while the job runs. If it is held, nothing is run.
    pub lock: PathBuf,
    /// The mark that all its processes carry; unique in the machine.
    pub marker: String,
    /// Processors it may run on; none means ours.
    #[serde(default)]
    pub cpus: Option<Vec<usize>>,
    /// Niceness; none means ours.
    #[serde(default)]
    pub nice: Option<i32>,
    /// Whether the keeper says on its standard output, in one line, what came of taking the lock
    /// (see [`Taking`]).
    #[serde(default)]
    pub announce: bool,
    /// Whether nobody waits for the disk to have the result: whoever asked writes down what came of it
    /// before acting on it, and takes a result that a crash of the machine cut for none.
    #[serde(default)]
    pub passing: bool,
}

/// Where a job's output goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sink {
    /// Nowhere.
    Null,
    /// Where the keeper's goes, uncapped.
    Inherit,
    /// Into this capped log.
    Log(PathBuf),
    /// For errors: where the output goes.
    Same,
}

/// What came of taking a job's lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taking {
    /// This keeper keeps the job.
    Taken,
    /// Another one does, or whoever asked has ended before it was taken.
    Held,
    /// It was done already.
    Done,
}

impl Taking {
    /// The announced line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Taken => "org-job taken",
            Self::Held => "org-job held",
            Self::Done => "org-job done",
        }
    }

    /// What an announced line means.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        [Self::Taken, Self::Held, Self::Done]
            .into_iter()
            .find(|it| it.as_str() == line.trim_end())
    }
}

/// What came of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobResult {
    /// When the command was started, RFC 3339.
    pub started: String,
    /// When the last of its processes was gone, RFC 3339.
    pub ended: String,
    /// Seconds from the start to the end of the command itself, without those for which it was frozen.
    pub wall_s: f64,
    /// Seconds for which it was frozen.
    #[serde(default)]
    pub frozen_s: f64,
    /// Processor seconds of all its processes.
    pub cpu_s: f64,
    /// Largest resident memory of any one of its processes, in MiB.
    pub peak_rss_mb: f64,
    /// How it ended.
    pub exit: Exit,
    /// Whether it ended because the keeper was asked to end it.
    pub cancelled: bool,
    /// Processes that were there after the command had ended or should have, and were killed.
    pub killed_leftovers: u64,
    /// Processes that even a kill did not end.
    pub survivors: u64,
    /// Bytes it wrote to its logs.
    pub output_bytes: u64,
    /// Whether the logs lack some of them.
    pub truncated: bool,
    /// Times that the kernel killed a process on this machine for lack of memory while the job ran;
    /// none where the kernel does not say.
    pub oom_kills: Option<u64>,
    /// What was enforced on it; none where no policy was given.
    pub sandbox: Option<Report>,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// By itself, with this status.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Its time was up.
    Timeout,
    /// It never began, and why.
    NotStarted(String),
}

/// Why a keeper could not keep.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The description could not be read.
    #[error("read the job's description")]
    Spec(#[source] io::Error),
    /// The description is not one.
    #[error("understand the job's description")]
    Parse(#[from] serde_json::Error),
    /// The lock could not be taken for a reason other than being held.
    #[error("lock {}", path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The result could not be written.
    #[error("write {}", path.display())]
    Result {
        /// The result file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The process could not be set up as a keeper.
    #[error("become a job's keeper")]
    Keeper(#[source] io::Error),
}

/// Keeps the job whose description stands on standard input, to its end.
pub fn run_from_stdin() -> Result<Taking, JobError> {
    let mut text = Vec::new();
    io::stdin()
        .lock()
        .take(SPEC_CAP)
        .read_to_end(&mut text)
        .map_err(JobError::Spec)?;
    run(&serde_json::from_slice(&text)?)
}

/// Keeps a job to its end. Takes the whole process: it leaves its session and collects every child.
pub fn run(spec: &JobSpec) -> Result<Taking, JobError> {
    exec::become_session().map_err(JobError::Keeper)?;
    process::set_subreaper().map_err(JobError::Keeper)?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(JobError::Keeper)?
        .block_on(keep(spec))
}

async fn keep(spec: &JobSpec) -> Result<Taking, JobError> {
    // Before the lock: whoever sees it held may signal us.
    let mut signals = Signals::listen().map_err(JobError::Keeper)?;
    if spec.announce && !announce("") {
        // Whoever asked is gone, and whoever came after counts this job as one that never began.
        return Ok(Taking::Held);
    }
    let lock = Lock::try_take(&spec.lock).map_err(|source| JobError::Lock {
        path: spec.lock.clone(),
        source,
    })?;
    let taking = match &lock {
        None => Taking::Held,
        // Under the lock, so that no two keepers can both find nothing.
        Some(_) if spec.result.exists() => Taking::Done,
        Some(_) => Taking::Taken,
    };
    if spec.announce && !announce(taking.as_str()) && taking == Taking::Taken {
        return Ok(Taking::Held);
    }
    if taking == Taking::Taken {
        let result = keeper::carry_out(spec, &mut signals).await;
        let text = serde_json::to_vec(&result)?;
        let write = if spec.passing {
            files::write_ahead
        } else {
            files::write_atomic
        };
        write(&spec.result, &text, RESULT_MODE).map_err(|source| JobError::Result {
            path: spec.result.clone(),
            source,
        })?;
    }
    drop(lock);
    Ok(taking)
}

/// Says a line to whoever asked; false where nobody listens.
fn announce(line: &str) -> bool {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")
        .and_then(|()| stdout.flush())
        .is_ok()
}

#[cfg(test)]
mod tests;
