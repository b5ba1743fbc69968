//! Running a command in the worktree.
//!
//! The command is kept by a process of its own (`org job`), which confines it, bounds it, and ends
//! all that it started; this side asks, waits, and tells what came of it. What a command did is never
//! assumed: without the keeper's word its outcome is unknown, and it is never run twice. Must not know
//! what a command may touch: that is `shell_spec`'s.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::unix::pipe;

use crate::domain::event::Class;
use crate::domain::state::OpenCall;
use crate::domain::texts::{Key, Texts};
use crate::os::exec::{Detached, Exec, Input, Output};
use crate::os::job::{Exit, JobResult, JobSpec, Taking};
use crate::os::process::{self, Signal, Watch};
use crate::os::{files, lock};
use crate::run::paths::RunDir;

use super::arguments::{Argument, Arguments, Shape};
use super::shell_spec::{self as spec, GRACE_S, KEPT_BYTES, Request};
use super::{Acting, Desk, Outcome, Tool, broken, one_line, sha256};

/// Longest command line; a longer one is a file.
const COMMAND_BYTES: usize = 64 * 1024;
/// Seconds that a command may take unless it asks for more: builds and tests fit, and a model that
/// forgot a limit waits for two minutes and not for the night.
const DEFAULT_S: u64 = 120;
/// Seconds that it may ask for: what takes an hour is an experiment.
const MOST_S: u64 = 3600;
/// Output that a model reads of one command: about 8,000 tokens.
const SHOWN_BYTES: usize = 32 * 1024;
/// Output that it reads of a command whose outcome is unknown.
const PARTIAL_BYTES: usize = 4 * 1024;
/// Commands of one agent in the background at a time.
const BACKGROUND: usize = 4;
/// How the directories of commands in the background begin.
const BACKGROUND_PREFIX: &str = "bg-";
/// Longest result that a keeper writes.
const RESULT_BYTES: u64 = 64 * 1024;
/// Lines that a keeper may say before the one that counts.
const KEEPER_LINES: usize = 64;
/// How long a keeper that was told to end its job may take beyond the grace, killing included.
const END_PATIENCE: Duration = Duration::from_secs(15);

/// The tool `shell`.
#[derive(Debug)]
pub(super) struct Shell;

impl Tool for Shell {
    fn name(&self) -> &'static str {
        "shell"
    }

    fn arguments(&self) -> &'static [Argument] {
        const {
            &[
                Argument::needed("command", Shape::Text(COMMAND_BYTES)),
                Argument::optional("timeout_s", Shape::Count(1, MOST_S)),
                Argument::optional("background", Shape::Flag),
            ]
        }
    }

    fn class(&self) -> Class {
        Class::Opaque
    }

    fn brief(&self, args: &Value) -> String {
        one_line(args["command"].as_str().unwrap_or(""))
    }

    fn run<'a>(&'a self, desk: &'a Desk, call: &'a str, args: &'a Value) -> Acting<'a> {
        Box::pin(async move {
            let args = match desk.arguments(self, args) {
                Ok(args) => args,
                Err(outcome) => return outcome,
            };
            if args.needed("command").contains('\0') {
                return Outcome::failed("`command` has a zero byte");
            }
            match carry_out(desk, call, args).await {
                Ok(outcome) => outcome,
                Err(error) => broken(&error),
            }
        })
    }

    fn recover<'a>(&'a self, desk: &'a Desk, open: &'a OpenCall, _args: &'a Value) -> Acting<'a> {
        Box::pin(async move {
            let mut partial = String::new();
            for background in [false, true] {
                let name = job_name(&open.key(), background);
                let Some(job) = latest(&desk.dir.jobs(&desk.agent), &name) else {
                    continue;
                };
                end_jobs_of(&desk.dir, &desk.agent, Some(&job)).await;
                let at = spec::job_dir(&desk.dir, &desk.agent, &job);
                partial = tail(&at);
            }
            desk.unknown_outcome(self.name(), &partial)
        })
    }
}

async fn carry_out(desk: &Desk, call: &str, args: Arguments<'_>) -> io::Result<Outcome> {
    let background = args.flag("background");
    let jobs = desk.dir.jobs(&desk.agent);
    if background && running(&jobs, BACKGROUND_PREFIX).len() >= BACKGROUND {
        let text = format!("{BACKGROUND} commands run in the background already, and no more may");
        return Ok(Outcome::failed(text));
    }
    for dir in spec::private_dirs(&desk.dir, &desk.agent) {
        fs::create_dir_all(dir)?;
    }
    if let Some(home) = desk.env.get("HOME").map(Path::new) {
        let own = desk.dir.scratch(&desk.agent).join("home");
        files::mirror(home, &desk.chart.task.share, &own)?;
    }
    let job = fresh(&jobs, &job_name(call, background))?;
    let gpu = desk
        .look(|state| state.agents.get(&desk.agent)?.gpu.clone())
        .map_err(io::Error::other)?;
    let most = if background { MOST_S } else { DEFAULT_S };
    let seconds = args.count("timeout_s").unwrap_or(most);
    let spec = spec::spec(&Request {
        chart: &desk.chart,
        dir: &desk.dir,
        agent: &desk.agent,
        env: &desk.env,
        gpu: gpu.as_ref(),
        shell: shell(),
        command: args.needed("command"),
        seconds,
        job: &job,
    });
    let mut kept = Kept::start(&spec).await?;
    let at = jobs.join(&job);
    if background {
        kept.armed = false;
        let (path, seconds) = (spec::output(&at).display().to_string(), seconds.to_string());
        let values = [("job", &*job), ("path", &*path), ("seconds", &*seconds)];
        return Ok(Outcome::done(
            desk.texts.get(Key::InBackground).render(&values),
        ));
    }
    kept.ended().await?;
    Ok(match outcome(&desk.texts, &at, seconds) {
        Some(outcome) => outcome,
        // The keeper was killed: nobody saw the command end, but end it will.
        None => {
            process::kill_tree(&spec.marker, Duration::from_secs_f64(GRACE_S)).await;
            desk.unknown_outcome("shell", &tail(&at))
        }
    })
}

/// The shell that there is: `bash`, which models write for, else `sh`.
fn shell() -> &'static str {
    ["/bin/bash", "/usr/bin/bash"]
        .into_iter()
        .find(|path| Path::new(path).exists())
        .unwrap_or("sh")
}

/// A keeper that was started. Dropped before its job has ended, it is told to end it.
struct Kept {
    keeper: Detached,
    watch: Option<Watch>,
    armed: bool,
}

impl Kept {
    /// Starts a job and returns once its keeper has said that it keeps it.
    async fn start(spec: &JobSpec) -> io::Result<Self> {
        let mut keeper = keeper()
            .stdin(Input::Bytes(serde_json::to_vec(spec)?))
            .stdout(Output::Pipe)
            .spawn_detached()?;
        let stdout = keeper.take_stdout();
        // One that has ended already cannot be watched, nor need it be.
        let watch = Watch::open(keeper.pid(), None).ok();
        let kept = Self {
            keeper,
            watch,
            armed: true,
        };
        let stdout = stdout.ok_or_else(|| io::Error::other("the keeper has no output"))?;
        let mut lines = BufReader::new(pipe::Receiver::from_owned_fd(stdout)?).lines();
        for _ in 0..KEEPER_LINES {
            match lines.next_line().await?.as_deref().map(Taking::parse) {
                Some(Some(Taking::Taken)) => return Ok(kept),
                Some(Some(other)) => {
                    let text = format!("the command was not started: {}", other.as_str());
                    return Err(io::Error::other(text));
                }
                Some(None) => {}
                None => break,
            }
        }
        Err(io::Error::other(
            "the command was not started: its keeper gave up",
        ))
    }

    async fn ended(mut self) -> io::Result<()> {
        if let Some(watch) = &self.watch {
            watch.ended().await?;
        }
        self.armed = false;
        self.keeper.try_wait().map(drop)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if self.armed
            && let Some(watch) = &self.watch
        {
            watch.signal(Signal::TERM);
        }
    }
}

/// The program that keeps a job.
#[cfg(not(test))]
fn keeper() -> Exec {
    Exec::this_program().arg("job")
}

/// A test binary has no commands, but a test that keeps jobs.
#[cfg(test)]
fn keeper() -> Exec {
    const KEEPER: &str = "os::job::tests::keeper_process";
    Exec::this_program().args(["--exact", KEEPER, "--ignored", "--nocapture"])
}

/// What the keeper saw, for the model.
fn outcome(texts: &Texts, at: &Path, seconds: u64) -> Option<Outcome> {
    let result = read_result(at)?;
    let ended = ended(&result, seconds);
    let output = files::read_tail(&spec::output(at), 2 * KEPT_BYTES).unwrap_or_default();
    let output = elide(
        texts,
        &String::from_utf8_lossy(&output),
        result.output_bytes,
        &spec::output(at),
    );
    Some(Outcome {
        ok: result.exit == Exit::Code(0) && !result.cancelled,
        text: format!("{ended}\n{output}").trim_end().to_owned(),
    })
}

fn read_result(at: &Path) -> Option<JobResult> {
    let text = files::read_capped(&spec::result(at), RESULT_BYTES).ok()?;
    serde_json::from_slice(&text).ok()
}

/// How a command ended, in a line.
fn ended(result: &JobResult, seconds: u64) -> String {
    match &result.exit {
        _ if result.cancelled => "ended from outside".to_owned(),
        Exit::Code(code) => format!("exit status {code}"),
        Exit::Signal(signal) => format!("ended by signal {signal}"),
        Exit::Timeout => format!("ended after {seconds} s, its time limit"),
        Exit::NotStarted(why) => format!("not started: {}", one_line(why)),
    }
}

/// Output with its middle left out where it is long.
fn elide(texts: &Texts, output: &str, total: u64, path: &Path) -> String {
    if output.len() <= SHOWN_BYTES {
        return output.to_owned();
    }
    let head = output.floor_char_boundary(SHOWN_BYTES / 2);
    let tail = output.ceil_char_boundary(output.len() - SHOWN_BYTES / 2);
    let shown = (head + output.len() - tail) as u64;
    let (bytes, path) = (
        total.saturating_sub(shown).to_string(),
        path.display().to_string(),
    );
    let values = [("bytes", bytes.as_str()), ("path", path.as_str())];
    let mark = texts.get(Key::OutputElided).render(&values);
    format!("{}\n{mark}\n{}", &output[..head], &output[tail..])
}

/// What there is of a command that nobody saw to its end.
fn tail(at: &Path) -> String {
    let output = files::read_tail(&spec::output(at), PARTIAL_BYTES as u64).unwrap_or_default();
    let output = String::from_utf8_lossy(&output).into_owned();
    match read_result(at).filter(|result| !result.cancelled) {
        Some(result) => format!("{output}\n[{}]", ended(&result, 0)),
        None => output,
    }
}

/// The name of a call's directory: its key where it can be one.
fn job_name(call: &str, background: bool) -> String {
    const LONGEST: usize = 100;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let fits = !call.is_empty() && call.len() <= LONGEST && call.chars().all(plain);
    let name = if fits {
        call.to_owned()
    } else {
        sha256(call.as_bytes())[..32].to_owned()
    };
    if background {
        format!("{BACKGROUND_PREFIX}{name}")
    } else {
        name
    }
}

/// Makes a directory for a job. A wire that gives one id to two calls must not make one job of them.
fn fresh(jobs: &Path, name: &str) -> io::Result<String> {
    fs::create_dir_all(jobs)?;
    for number in 1.. {
        let name = numbered(name, number);
        match fs::create_dir(jobs.join(&name)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(|()| name),
        }
    }
    unreachable!("some number is free")
}

/// The last directory that was made for a name.
fn latest(jobs: &Path, name: &str) -> Option<String> {
    (1..)
        .map(|number| numbered(name, number))
        .take_while(|name| jobs.join(name).exists())
        .last()
}

fn numbered(name: &str, number: u32) -> String {
    if number == 1 {
        name.to_owned()
    } else {
        format!("{name}~{number}")
    }
}

/// The jobs that run now, of those whose name begins so.
fn running(jobs: &Path, prefix: &str) -> Vec<(PathBuf, lock::Holder)> {
    let entries = fs::read_dir(jobs).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .filter_map(|entry| {
            let path = entry.path();
            let holder = lock::holder(&spec::lock(&path))?;
            Some((path, holder))
        })
        .collect()
}

/// Jobs whose keeper was killed: nobody keeps them, and nobody saw them end.
fn orphaned(jobs: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(jobs).into_iter().flatten().flatten();
    let unkept = |path: &PathBuf| !spec::result(path).exists() && path.is_dir();
    entries
        .map(|entry| entry.path())
        .filter(|path| unkept(path) && lock::holder(&spec::lock(path)).is_none())
        .collect()
}

/// Ends every command of an agent, those in the background too, with all that they started. For
/// whoever ends the agent, or finds it dead. They are told at once, before this is awaited: what
/// starts after the call is not meant.
pub fn end_jobs(dir: &RunDir, agent: &str) -> impl Future<Output = ()> + Send + use<> {
    end_jobs_of(dir, agent, None)
}

/// Has every command of an agent stand still, or go on.
pub fn freeze_jobs(dir: &RunDir, agent: &str, still: bool) {
    for (_, holder) in running(&dir.jobs(agent), "") {
        let keeper = process::stat(holder.pid).filter(|stat| stat.start == holder.start);
        let signal = if still { Signal::USR1 } else { Signal::USR2 };
        // One that has ended meanwhile need not be told.
        if let Some(keeper) = keeper {
            process::signal(&keeper, signal);
        }
    }
}

/// As [`end_jobs`], or one job only.
pub fn end_jobs_of(
    dir: &RunDir,
    agent: &str,
    job: Option<&str>,
) -> impl Future<Output = ()> + Send + use<> {
    let jobs = dir.jobs(agent);
    let wanted = |path: &Path| job.is_none_or(|job| path.file_name() == Some(job.as_ref()));
    let mut told = Vec::new();
    for (path, holder) in running(&jobs, "")
        .into_iter()
        .filter(|(path, _)| wanted(path))
    {
        let watch = Watch::open(holder.pid, Some(holder.start)).ok();
        if let Some(watch) = &watch {
            watch.signal(Signal::TERM);
        }
        told.push((path, watch));
    }
    let mut orphaned = orphaned(&jobs);
    orphaned.retain(|path| wanted(path));
    async move {
        let patience = Duration::from_secs_f64(GRACE_S) + END_PATIENCE;
        for (path, watch) in told {
            let ended = match &watch {
                Some(watch) => tokio::time::timeout(patience, watch.ended()).await.is_ok(),
                None => lock::holder(&spec::lock(&path)).is_none(),
            };
            if !ended {
                process::kill_tree(&spec::marker(&path), Duration::ZERO).await;
            }
        }
        for path in orphaned {
            process::kill_tree(&spec::marker(&path), Duration::ZERO).await;
        }
    }
}
