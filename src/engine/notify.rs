//! Calls a person by the chart's `[office] notify` command.
//!
//! Intent first: `person.called` is in the log before the command starts, so that a supervisor that is
//! killed in between calls nobody twice. The command is the person's own and runs as that person, from
//! a cleared environment, without keys, under a keeper that bounds its time and its output and ends
//! everything that it started. A failure is said in the log and is no reason to stop anything.

use std::path::Path;

use crate::domain::event::{Actor, Kind};
use crate::lab::local::{self, JobFiles, Local, Poll, poll};
use crate::os::files;
use crate::os::job::{Exit, JobSpec, Sink};

use super::guard::let_go;
use super::supervise::{Report, SuperviseError, Supervisor};
use super::task;

/// Longest that a command may take: a desktop answers at once, a push service within seconds.
const LIMIT_S: f64 = 30.0;
/// Seconds between asking its processes to end and ending them.
const GRACE_S: f64 = 1.0;
/// Bytes kept of what it says, which is shown where it fails.
const SAID_BYTES: u64 = 4096;

impl Supervisor {
    /// Writes down that a person is called, and starts the command.
    pub(super) fn call(
        &mut self,
        needs: Vec<String>,
        reason: String,
    ) -> Result<(), SuperviseError> {
        let Some(command) = self.chart.office.notify.clone() else {
            return Ok(());
        };
        let called = Kind::PersonCalled {
            needs,
            reason: reason.clone(),
        };
        self.log.append(&Actor::Supervisor, vec![called])?;
        let spec = self.notice(&command, &reason, self.state().seq);
        let keeper = Local::new(["job"], self.clean.clone());
        let report = self.report.clone();
        task::start(async move {
            let files = JobFiles::of(&spec);
            let said = spec.cwd.join("said");
            let begun = tokio::task::spawn_blocking(move || begin(&keeper, &spec)).await;
            let error = match begun {
                Ok(Ok(())) => {
                    let_go(&files.lock).await;
                    failure(&files, &said)
                }
                Ok(Err(error)) => Some(error.to_string()),
                Err(error) => Some(error.to_string()),
            };
            if let Some(error) = error {
                report.send(Report::Missed { reason, error }).ok();
            }
        });
        Ok(())
    }

    /// Ends the commands that still run.
    pub(super) async fn end_notices(&self) {
        let homes = std::fs::read_dir(self.dir.notices()).into_iter().flatten();
        for home in homes.flatten().map(|entry| entry.path()) {
            let (lock, result) = (home.join("lock"), home.join("result"));
            if local::cancel(&JobFiles {
                lock: lock.clone(),
                result,
            }) {
                let_go(&lock).await;
            }
        }
    }

    /// The command with the reason as its last argument.
    fn notice(&self, command: &str, reason: &str, number: u64) -> JobSpec {
        let home = self.dir.notices().join(number.to_string());
        let mut env = self.clean.clone();
        env.insert("ORG_RUN".to_owned(), self.dir.path().display().to_string());
        env.insert("ORG_REASON".to_owned(), reason.to_owned());
        let words = ["sh", "-c", &format!("{command} \"$@\""), "org", reason];
        JobSpec {
            argv: words.map(str::to_owned).to_vec(),
            env,
            stdin: None,
            stdout: Sink::Log(home.join("said")),
            stderr: Sink::Same,
            policy: None,
            timeout_s: Some(LIMIT_S),
            grace_s: GRACE_S,
            output_cap: SAID_BYTES,
            result: home.join("result"),
            lock: home.join("lock"),
            marker: home.display().to_string(),
            cpus: None,
            nice: None,
            announce: false,
            passing: false,
            cwd: home,
        }
    }
}

fn begin(keeper: &Local, spec: &JobSpec) -> std::io::Result<()> {
    std::fs::create_dir_all(&spec.cwd)?;
    keeper.submit(spec)
}

/// Why a command that has ended called nobody; none where it did.
fn failure(job: &JobFiles, said: &Path) -> Option<String> {
    let how = match poll(job) {
        Ok(Poll::Done(result)) => match result.exit {
            Exit::Code(0) => return None,
            Exit::Code(code) => format!("notify ended with status {code}"),
            Exit::Signal(signal) => format!("notify was ended by signal {signal}"),
            Exit::Timeout => format!("notify took longer than {LIMIT_S:.0} s and was ended"),
            Exit::NotStarted(why) => format!("notify did not start: {why}"),
        },
        Ok(_) => "notify was ended, and how is not known".to_owned(),
        Err(error) => format!("what came of notify cannot be read: {error}"),
    };
    let words = files::read_capped(said, 2 * SAID_BYTES).unwrap_or_default();
    let words = String::from_utf8_lossy(&words);
    let last = words.lines().rev().map(str::trim).find(|it| !it.is_empty());
    Some(last.map_or(how.clone(), |last| format!("{how}: {last}")))
}
