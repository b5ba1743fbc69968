//! One job: what to run and what came of it, and the body of the hidden command `org job`.
//!
//! `org job` takes the job's lock, has a keeper see the command through, and writes one result. It
//! leads a session of its own and outlives whoever asked for it; being unconfined itself, it cannot
//! be signalled by what it keeps. TERM makes it end the job, USR1 freeze it, USR2 let it go on. If it is killed, the job's processes
//! are found by their mark (`process::kill_tree`), and no result means *lost*.
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
        files::write_atomic(&spec.result, &text, RESULT_MODE).map_err(|source| {
            JobError::Result {
                path: spec.result.clone(),
                source,
            }
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
mod tests {
    use super::*;
    use crate::os::exec::{Detached, Exec, Input, Output};
    use crate::os::lock;
    use crate::os::process::Signal;
    use std::path::Path;

    /// Not a test but the keeper's process: a keeper takes a whole process, so the tests below
    /// start this very binary again, with a description on standard input.
    #[test]
    #[ignore = "the body of the processes that the other tests start"]
    fn keeper_process() {
        // Without a description this is somebody running all ignored tests.
        drop(run_from_stdin());
    }

    fn spec(dir: &Path, script: &str) -> JobSpec {
        JobSpec {
            argv: vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()],
            cwd: dir.to_owned(),
            env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
            stdin: None,
            stdout: Sink::Log(dir.join("log")),
            stderr: Sink::Same,
            policy: None,
            timeout_s: Some(30.0),
            grace_s: 0.2,
            output_cap: 1 << 20,
            result: dir.join("result"),
            lock: dir.join("lock"),
            marker: format!("test-{}-{}", std::process::id(), dir.display()),
            cpus: None,
            nice: None,
            announce: false,
        }
    }

    fn keeper(spec: &JobSpec) -> Detached {
        Exec::this_program()
            .args([
                "--exact",
                "os::job::tests::keeper_process",
                "--ignored",
                "--nocapture",
            ])
            .stdin(Input::Bytes(serde_json::to_vec(spec).unwrap()))
            .stdout(Output::Pipe)
            .spawn_detached()
            .unwrap()
    }

    fn result(spec: &JobSpec) -> JobResult {
        serde_json::from_slice(&std::fs::read(&spec.result).unwrap()).unwrap()
    }

    fn kept(spec: &JobSpec) -> JobResult {
        keeper(spec).wait().unwrap();
        result(spec)
    }

    fn log(spec: &JobSpec) -> String {
        let Sink::Log(path) = &spec.stdout else {
            unreachable!("tests log")
        };
        std::fs::read_to_string(path).unwrap()
    }

    /// A fifo in the job's directory; reading it blocks until the script has written to it.
    fn fifo(dir: &Path) -> std::path::PathBuf {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let path = dir.join("ready");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        path
    }

    #[test]
    fn a_command_is_run_and_measured() {
        let dir = tempfile::tempdir().unwrap();
        let mut spec = spec(
            dir.path(),
            "cat; echo err >&2; echo $A $ORG_JOB; pwd; exit 3",
        );
        spec.stdin = Some("in\n".to_owned());
        spec.env.insert("A".to_owned(), "b c".to_owned());
        spec.marker = "mark".to_owned();
        let result = kept(&spec);
        assert_eq!(
            log(&spec),
            format!("in\nerr\nb c mark\n{}\n", dir.path().display())
        );
        assert_eq!(
            (result.exit.clone(), result.cancelled),
            (Exit::Code(3), false)
        );
        assert_eq!((result.killed_leftovers, result.survivors), (0, 0));
        assert!(
            result.peak_rss_mb > 0.1 && result.wall_s < 30.0,
            "{result:?}"
        );
        assert_eq!(result.output_bytes, log(&spec).len() as u64);
        assert_eq!(lock::holder(&spec.lock), None);
        // The second time nothing runs.
        std::fs::remove_file(dir.path().join("log")).unwrap();
        assert_eq!(kept(&spec), result);
        assert!(!dir.path().join("log").exists());
    }

    #[test]
    fn what_cannot_start_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let mut spec = spec(dir.path(), "");
        spec.argv = vec!["no-such-program".to_owned()];
        let Exit::NotStarted(reason) = kept(&spec).exit else {
            panic!("it started")
        };
        assert!(reason.contains("no-such-program"), "{reason}");
    }

    #[test]
    fn a_job_that_ignores_term_is_killed_when_its_time_is_up() {
        let dir = tempfile::tempdir().unwrap();
        let mut spec = spec(
            dir.path(),
            "trap '' TERM; echo up; while :; do sleep 0.05; done",
        );
        spec.timeout_s = Some(0.5);
        let result = kept(&spec);
        assert_eq!((result.exit, log(&spec).as_str()), (Exit::Timeout, "up\n"));
        assert!(
            result.wall_s >= 0.5 && result.wall_s < 10.0,
            "{}",
            result.wall_s
        );
        assert!(process::marked(&spec.marker).is_empty());
    }

    #[test]
    fn a_daemon_that_hides_does_not_outlive_its_job() {
        let dir = tempfile::tempdir().unwrap();
        // A session of its own, a parent that is gone, no mark, deaf to TERM and HUP.
        let script = "env -i setsid sh -c '(trap \"\" TERM HUP; echo $$ > pid; exec sleep 300) &' \
            </dev/null >/dev/null 2>&1; while [ ! -s pid ]; do sleep 0.01; done; echo done";
        let spec = spec(dir.path(), script);
        let result = kept(&spec);
        assert_eq!(
            (result.exit, result.killed_leftovers, result.survivors),
            (Exit::Code(0), 1, 0)
        );
        assert_eq!(log(&spec), "done\n");
    }

    #[test]
    fn output_is_capped_with_both_ends_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut spec = spec(
            dir.path(),
            "echo first; head -c 3000000 /dev/zero; echo last",
        );
        spec.output_cap = 4096;
        let result = kept(&spec);
        assert_eq!((result.output_bytes, result.truncated), (3_000_011, true));
        let log = log(&spec);
        assert!(log.len() < 5000 && log.starts_with("first\n") && log.ends_with("last\n"));
    }

    #[test]
    fn a_confined_job_writes_inside_and_cannot_reach_its_keeper() {
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().join("in");
        std::fs::create_dir(&inside).unwrap();
        let script = "echo x > f && echo wrote; echo x > ../g || echo denied; \
            kill -9 $PPID || echo alive; cat ../result ../lock || echo blind; echo x > ../log || echo safe";
        let mut spec = spec(dir.path(), script);
        spec.cwd.clone_from(&inside);
        spec.policy = Some(Policy {
            write: vec![inside],
            ..Policy::default()
        });
        let result = kept(&spec);
        let enforced = result.sandbox.unwrap();
        if enforced["write_outside"] && enforced["signals_outside"] {
            let log = log(&spec);
            let said: Vec<&str> = log
                .lines()
                .filter(|line| !line.is_empty() && !line.contains(' '))
                .collect();
            assert_eq!(said, ["wrote", "denied", "alive", "blind", "safe"], "{log}");
        }
    }

    #[test]
    fn term_to_the_keeper_ends_the_job_and_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let spec = spec(dir.path(), "echo up >ready; sleep 300 & sleep 300");
        let ready = fifo(dir.path());
        let mut keeper = keeper(&spec);
        assert_eq!(std::fs::read(ready).unwrap(), b"up\n");
        // Somebody else asks for the same job meanwhile: nothing happens.
        assert!(self::keeper(&spec).wait().unwrap().is_some());
        let held = lock::holder(&spec.lock).unwrap();
        assert_eq!(held.pid, keeper.pid());
        assert!(process::signal(
            &process::stat(held.pid).unwrap(),
            Signal::TERM
        ));
        keeper.wait().unwrap();
        let result = result(&spec);
        assert_eq!((result.exit, result.cancelled), (Exit::Signal(15), true));
        assert!(process::marked(&spec.marker).is_empty());
    }

    #[test]
    fn what_a_killed_keeper_leaves_is_found_by_its_mark() {
        let dir = tempfile::tempdir().unwrap();
        let spec = spec(dir.path(), "setsid sleep 300 & echo up >ready; sleep 300");
        let ready = fifo(dir.path());
        let mut keeper = keeper(&spec);
        assert_eq!(std::fs::read(ready).unwrap(), b"up\n");
        keeper.kill().unwrap();
        assert_eq!(
            lock::holder(&spec.lock),
            None,
            "the job does not hold its keeper's lock"
        );
        assert!(!spec.result.exists() && process::marked(&spec.marker).len() >= 2);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let grace = std::time::Duration::from_secs(5);
        let ended = runtime.block_on(process::kill_tree(&spec.marker, grace));
        assert_eq!(
            (ended.killed, ended.survivors),
            (0, 0),
            "all of them heeded TERM"
        );
        assert!(process::marked(&spec.marker).is_empty());
    }
}
