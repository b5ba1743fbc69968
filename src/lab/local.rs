//! Launches jobs on this machine: one detached keeper each, found again by its lock and its result.
//!
//! Nothing is remembered here, so a supervisor that was killed loses nothing: whoever asks next
//! reads lock and result. Must not know where in a run these files lie, nor what a job is for.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::os::exec::{Exec, Input, Output};
use crate::os::job::{JobResult, JobSpec, Taking};
use crate::os::process::{self, Signal};
use crate::os::{clock, files, lock};

/// How long a keeper may take to say that it has the job. It takes milliseconds; a machine that
/// swaps takes seconds.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
/// Longest answer; a keeper says one short line.
const ANSWER_CAP: usize = 256;
/// Longest result file: a few numbers and one reason.
const RESULT_CAP: u64 = 1 << 20;

/// The files by which a job is found again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFiles {
    /// Held while the job runs.
    pub lock: PathBuf,
    /// There when it is done.
    pub result: PathBuf,
}

impl JobFiles {
    /// Those that a description names.
    #[must_use]
    pub fn of(spec: &JobSpec) -> Self {
        Self {
            lock: spec.lock.clone(),
            result: spec.result.clone(),
        }
    }
}

/// How a job stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Poll {
    /// Its keeper lives.
    Running {
        /// The keeper's pid.
        pid: u32,
    },
    /// It is over.
    Done(Box<JobResult>),
    /// Neither: it was never submitted, or its keeper was killed. What it left behind may still
    /// run, and is found by its mark.
    Lost,
}

/// Starts keepers on this machine.
#[derive(Debug, Clone)]
pub struct Local {
    args: Vec<String>,
    env: BTreeMap<String, String>,
}

impl Local {
    /// A launcher whose keepers are this program with these arguments (`job`) and environment.
    pub fn new<A: Into<String>>(
        args: impl IntoIterator<Item = A>,
        env: BTreeMap<String, String>,
    ) -> Self {
        Self {
            args: args.into_iter().map(Into::into).collect(),
            env,
        }
    }

    /// Starts a job, unless it runs or is done already; returns once its keeper holds its lock, so
    /// that from then on it can be polled. Blocks the thread for the time of one program start.
    pub fn submit(&self, spec: &JobSpec) -> io::Result<()> {
        if !matches!(poll(&JobFiles::of(spec))?, Poll::Lost) {
            return Ok(());
        }
        let mut spec = spec.clone();
        spec.announce = true;
        let mut keeper = Exec::this_program()
            .args(self.args.iter().map(String::as_str))
            .envs(self.env.clone())
            .stdin(Input::Bytes(serde_json::to_vec(&spec)?))
            .stdout(Output::Pipe)
            .spawn_detached()?;
        let pipe = keeper
            .take_stdout()
            .ok_or_else(|| io::Error::other("the keeper has no output"))?;
        match answer(pipe)? {
            // Held or done means that somebody else was faster, which serves as well.
            Some(Taking::Taken | Taking::Held | Taking::Done) => Ok(()),
            None => {
                let status = keeper.try_wait()?.map(|status| status.to_string());
                let status = status.unwrap_or_else(|| "no answer".to_owned());
                Err(io::Error::other(format!(
                    "the keeper of job {} said nothing: {status}",
                    spec.marker
                )))
            }
        }
    }
}

/// How the job with these files stands.
pub fn poll(job: &JobFiles) -> io::Result<Poll> {
    if let Some(result) = read_result(&job.result)? {
        return Ok(Poll::Done(Box::new(result)));
    }
    if let Some(holder) = lock::holder(&job.lock) {
        return Ok(Poll::Running { pid: holder.pid });
    }
    // It may have ended between the two questions; the result comes before the lock goes.
    Ok(read_result(&job.result)?.map_or(Poll::Lost, |result| Poll::Done(Box::new(result))))
}

/// Asks the job's keeper to end it; true if there is one. The result follows by itself.
#[must_use]
pub fn cancel(job: &JobFiles) -> bool {
    let Some(holder) = lock::holder(&job.lock) else {
        return false;
    };
    let seen = process::stat(holder.pid).filter(|stat| stat.start == holder.start);
    seen.is_some_and(|seen| process::signal(&seen, Signal::TERM))
}

/// Asks the job's keeper to stop all its processes, or to let them go on; says whether that is so: none
/// where nobody keeps it.
#[must_use]
pub fn freeze(job: &JobFiles, still: bool) -> Option<bool> {
    let holder = lock::holder(&job.lock)?;
    let keeper = process::stat(holder.pid).filter(|stat| stat.start == holder.start)?;
    let signal = if still { Signal::USR1 } else { Signal::USR2 };
    let tree = process::descendants(keeper.pid);
    let so = if still {
        !tree.is_empty() && tree.iter().all(|process| process.stopped)
    } else {
        tree.iter().any(|process| !process.stopped)
    };
    // Said again where it is so already: what was forked meanwhile has not heard it.
    process::signal(&keeper, signal).then_some(so)
}

fn read_result(path: &Path) -> io::Result<Option<JobResult>> {
    let bytes = match files::read_capped(path, RESULT_CAP) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let result = serde_json::from_slice(&bytes).map_err(|error| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{}: {error}", path.display()),
        )
    })?;
    Ok(Some(result))
}

/// Reads lines until one says what came of the job.
fn answer(pipe: OwnedFd) -> io::Result<Option<Taking>> {
    use rustix::event::{PollFd, PollFlags, poll};
    let deadline = clock::monotonic() + ANSWER_LIMIT;
    let mut pipe = File::from(pipe);
    let mut heard = Vec::new();
    let mut byte = [0; 1];
    loop {
        let left = deadline.saturating_duration_since(clock::monotonic());
        let limit = left.try_into().ok();
        let ready = poll(&mut [PollFd::new(&pipe, PollFlags::IN)], limit.as_ref());
        match ready {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        // One byte at a time: what comes after the line is not ours to take.
        if pipe.read(&mut byte)? == 0 {
            return Ok(None);
        }
        match byte[0] {
            b'\n' => {
                if let Some(taking) = Taking::parse(&String::from_utf8_lossy(&heard)) {
                    return Ok(Some(taking));
                }
                heard.clear();
            }
            byte if heard.len() < ANSWER_CAP => heard.push(byte),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::job::{Exit, Sink};

    /// Keepers of these tests are this very test binary, at the function that `os::job` has for it.
    fn launcher() -> Local {
        let args = [
            "--exact",
            "os::job::tests::keeper_process",
            "--ignored",
            "--nocapture",
            "--quiet",
        ];
        Local::new(args, BTreeMap::new())
    }

    fn spec(dir: &Path, script: &str) -> JobSpec {
        JobSpec {
            argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
            cwd: dir.to_owned(),
            env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
            stdin: None,
            stdout: Sink::Log(dir.join("log")),
            stderr: Sink::Same,
            policy: None,
            timeout_s: Some(30.0),
            grace_s: 1.0,
            output_cap: 1 << 20,
            result: dir.join("result"),
            lock: dir.join("lock"),
            marker: format!("local-{}-{}", std::process::id(), dir.display()),
            cpus: None,
            nice: Some(1),
            announce: false,
            passing: false,
        }
    }

    /// Polls until the keeper has let go.
    fn done(job: &JobFiles) -> Poll {
        drop(lock::Lock::wait(&job.lock, clock::monotonic() + ANSWER_LIMIT).unwrap());
        poll(job).unwrap()
    }

    #[test]
    fn a_job_is_run_once_however_often_it_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let spec = spec(dir.path(), "echo run >> count; read line; nice");
        let job = JobFiles::of(&spec);
        assert_eq!(poll(&job).unwrap(), Poll::Lost);
        let launcher = launcher();
        launcher.submit(&spec).unwrap();
        launcher.submit(&spec).unwrap();
        let Poll::Done(result) = done(&job) else {
            panic!("not done")
        };
        assert_eq!(result.exit, Exit::Code(0));
        launcher.submit(&spec).unwrap();
        assert_eq!(std::fs::read(dir.path().join("count")).unwrap(), b"run\n");
        assert_eq!(std::fs::read(dir.path().join("log")).unwrap(), b"1\n");
        assert!(!cancel(&job), "nobody is there to be asked");
    }

    #[test]
    fn a_running_job_is_seen_and_cancelled() {
        let dir = tempfile::tempdir().unwrap();
        let spec = spec(dir.path(), "exec sleep 300");
        let job = JobFiles::of(&spec);
        launcher().submit(&spec).unwrap();
        let Poll::Running { pid } = poll(&job).unwrap() else {
            panic!("not running")
        };
        assert_ne!(pid, std::process::id());
        assert!(cancel(&job));
        let Poll::Done(result) = done(&job) else {
            panic!("not done")
        };
        assert!(result.cancelled, "{result:?}");
    }

    #[test]
    fn a_keeper_that_cannot_keep_is_an_error_and_not_silence() {
        let dir = tempfile::tempdir().unwrap();
        let mut spec = spec(dir.path(), "");
        spec.lock = dir.path().join("no/such/dir/lock");
        let error = launcher().submit(&spec).unwrap_err().to_string();
        assert!(error.contains("said nothing"), "{error}");
    }
}
