//! One measured run, from a commit to numbers.
//!
//! The harness owns everything that could be fudged: a clean checkout, protected files restored, the
//! seed, a fresh HOME, the command, its time, and what is read from its output. All of this blocks
//! and is called from a worker thread. A launch that is repeated after a crash finds the job that is
//! there. Must not know claims.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::domain::chart::Chart;
use crate::domain::event::{Gpu, Measured, RunStatus};
use crate::domain::glob;
use crate::domain::state::Experiment;
use crate::lab::local::{self, JobFiles, Local, Poll, poll};
use crate::lab::metric::{self, RunEnd};
use crate::os::files;
use crate::os::job::{JobResult, JobSpec, Sink};
use crate::os::process;
use crate::os::sandbox::Policy;
use crate::repo;
use crate::run::paths::RunDir;

/// Bytes kept of a run's output: a night's log of a chatty trainer; what is more is elided in the
/// middle.
const OUTPUT_CAP: u64 = 16 << 20;
/// Seconds between asking a run's processes to end and ending them.
const GRACE_S: f64 = 3.0;
/// Longest that `setup` may take: an environment with a compiled extension.
const SETUP_LIMIT_S: f64 = 3600.0;
/// Launches after which a job that cannot even be started is the task's fault and not bad luck.
const START_TRIES: u32 = 5;
/// Between two looks at a job whose keeper was not seen to end.
const LOOK: Duration = Duration::from_millis(20);

/// A run that can be launched.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) dir: RunDir,
    pub(super) chart: std::sync::Arc<Chart>,
    pub(super) clean: BTreeMap<String, String>,
    pub(super) run: Experiment,
    pub(super) base: String,
    pub(super) attempt: u32,
    pub(super) gpus: Vec<Gpu>,
    pub(super) timeout_s: f64,
    /// Set when the run is to end before its job can be told so.
    pub(super) called_off: AtomicBool,
}

/// What came of a run.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) status: RunStatus,
    pub(super) reason: String,
    pub(super) measured: Measured,
    pub(super) tail: String,
}

impl Found {
    fn failed(status: RunStatus, reason: impl Into<String>) -> Self {
        Self {
            status,
            reason: reason.into(),
            measured: Measured::default(),
            tail: String::new(),
        }
    }
}

impl Order {
    fn home(&self) -> PathBuf {
        self.dir
            .experiment(self.run.id)
            .join(format!("a{}", self.attempt))
    }

    fn checkout(&self) -> PathBuf {
        self.home().join("checkout")
    }

    fn out(&self) -> PathBuf {
        self.home().join("out")
    }

    pub(super) fn job(&self) -> JobFiles {
        JobFiles {
            lock: self.home().join("lock"),
            result: self.home().join("result.json"),
        }
    }

    fn log(&self) -> PathBuf {
        self.dir.output(self.run.id, self.attempt)
    }

    fn launcher(&self) -> Local {
        Local::new(["job"], self.clean.clone())
    }

    /// Ends what an earlier launch left behind whose keeper was killed, or that got no further than
    /// `setup`: its processes must not share a device, or a directory, with the next.
    pub(super) async fn end_remains(&self) {
        if !self.home().exists() || !matches!(poll(&self.job()), Ok(Poll::Lost)) {
            return;
        }
        let setup = self.beside("setup");
        if local::cancel(&setup) {
            super::guard::let_go(&setup.lock).await;
        }
        for what in ["setup", "run"] {
            process::kill_tree(&self.marker(what), Duration::ZERO).await;
        }
    }

    /// Tells the run's job to end, at whatever it is.
    pub(super) fn call_off(&self) {
        self.called_off.store(true, Ordering::SeqCst);
        for job in [self.job(), self.beside("setup")] {
            if !local::cancel(&job) {
                tracing::debug!(run = self.run.id, "no job to cancel");
            }
        }
    }

    /// Refuses to go on where the run was called off.
    fn wanted(&self) -> Result<(), Box<Found>> {
        if self.called_off.load(Ordering::SeqCst) {
            let why = "called off before it began";
            return Err(Box::new(Found::failed(RunStatus::Interrupted, why)));
        }
        Ok(())
    }

    /// Starts a job of this run. One that is called off meanwhile is ended again.
    fn submit(&self, spec: &JobSpec) -> Result<(), Box<Found>> {
        self.wanted()?;
        self.launcher().submit(spec).map_err(|error| {
            let bad_luck = self.attempt < START_TRIES;
            let status = if bad_luck {
                RunStatus::Interrupted
            } else {
                RunStatus::Crashed
            };
            Box::new(Found::failed(
                status,
                format!("cannot start the job: {error}"),
            ))
        })?;
        // Whoever called it off before the job was there could not tell the job.
        if self.wanted().is_err() && !local::cancel(&JobFiles::of(spec)) {
            tracing::debug!(run = self.run.id, "called off, and over already");
        }
        Ok(())
    }

    /// Lays the checkout out and starts the job, unless it was started before. Says what went wrong.
    pub(super) fn launch(&self) -> Result<(), Box<Found>> {
        let crashed = |what: &str, error: &dyn std::fmt::Display| {
            Box::new(Found::failed(
                RunStatus::Crashed,
                format!("cannot {what}: {error}"),
            ))
        };
        if !matches!(poll(&self.job()), Ok(Poll::Lost)) {
            return Ok(());
        }
        let name = format!("refs/org/exp/e{}", self.run.id);
        repo::pin(&self.dir.repo_git(), &name, &self.run.commit)
            .map_err(|error| crashed("pin the commit", &error))?;
        // Half made by a supervisor that was killed: nothing ran in it yet.
        fs::remove_dir_all(self.home()).ok();
        for dir in [
            self.out(),
            self.home().join("home"),
            self.home().join("tmp"),
        ] {
            fs::create_dir_all(&dir).map_err(|error| crashed("make a directory", &error))?;
        }
        repo::checkout(&self.dir.repo_git(), &self.run.commit, &self.checkout())
            .map_err(|error| crashed("check the commit out", &error))?;
        repo::restore(
            &self.dir.repo_git(),
            &self.base,
            &self.checkout(),
            &self.chart.task.protect,
        )
        .map_err(|error| crashed("restore protected files", &error))?;
        self.setup()?;
        self.submit(&self.spec(&self.chart.task.run, "run", self.timeout_s))
    }

    /// Runs `setup` in the checkout, with network, to its end.
    fn setup(&self) -> Result<(), Box<Found>> {
        if self.chart.task.setup.trim().is_empty() {
            return Ok(());
        }
        let mut spec = self.spec(&self.chart.task.setup, "setup", SETUP_LIMIT_S);
        if let Some(policy) = &mut spec.policy {
            policy.network = true;
        }
        let job = JobFiles::of(&spec);
        let failed = |why: String| {
            Box::new(Found::failed(
                RunStatus::Crashed,
                format!("setup failed: {why}"),
            ))
        };
        let interrupted = |why: String| {
            Box::new(Found::failed(
                RunStatus::Interrupted,
                format!("setup was interrupted: {why}"),
            ))
        };
        self.submit(&spec)?;
        let result = loop {
            match poll(&job) {
                Ok(Poll::Done(result)) => break result,
                Ok(Poll::Running { .. }) => std::thread::sleep(LOOK),
                Ok(Poll::Lost) => return Err(interrupted("its keeper is gone".to_owned())),
                Err(error) => return Err(interrupted(error.to_string())),
            }
        };
        let said = output(&self.home().join("setup.log"));
        match metric::classify(&result, &said) {
            (RunEnd::Ok, _) => Ok(()),
            (RunEnd::Cancelled, why) => Err(interrupted(why)),
            (_, why) => {
                let mut found = failed(why);
                found.tail = metric::last_lines(&said);
                Err(found)
            }
        }
    }

    fn spec(&self, command: &str, what: &str, timeout_s: f64) -> JobSpec {
        let main = what == "run";
        let job = if main { self.job() } else { self.beside(what) };
        JobSpec {
            argv: vec!["sh".to_owned(), "-c".to_owned(), command.to_owned()],
            cwd: self.checkout(),
            env: self.env(),
            stdin: None,
            stdout: Sink::Log(if main {
                self.log()
            } else {
                self.home().join("setup.log")
            }),
            stderr: Sink::Same,
            policy: Some(self.policy()),
            timeout_s: Some(timeout_s),
            grace_s: GRACE_S,
            output_cap: OUTPUT_CAP,
            result: job.result,
            lock: job.lock,
            marker: self.marker(what),
            cpus: None,
            nice: None,
            announce: false,
        }
    }

    fn marker(&self, what: &str) -> String {
        format!("{}-e{}-{}-{what}", self.dir.id(), self.run.id, self.attempt)
    }

    fn beside(&self, what: &str) -> JobFiles {
        JobFiles {
            lock: self.home().join(format!("{what}.lock")),
            result: self.home().join(format!("{what}.json")),
        }
    }

    /// The run's whole environment: fresh places, the seed, the devices, the task's own variables.
    fn env(&self) -> BTreeMap<String, String> {
        let task = &self.chart.task;
        let shown = |path: &Path| path.display().to_string();
        let out = shown(&self.out());
        let overlay = task.overlay.as_deref().map(shown).unwrap_or_default();
        let mut env: BTreeMap<String, String> = self
            .clean
            .iter()
            .filter(|(name, _)| matches!(name.as_str(), "PATH" | "LANG" | "USER" | "LOGNAME"))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let mut set = |name: &str, value: String| {
            env.insert(name.to_owned(), value);
        };
        set("HOME", shown(&self.home().join("home")));
        set("TMPDIR", shown(&self.home().join("tmp")));
        set("ORG_OUT", out.clone());
        set("ORG_OVERLAY", overlay.clone());
        set("ORG_EXPERIMENT", format!("e{}", self.run.id));
        let indices: Vec<String> = self.gpus.iter().map(|gpu| gpu.index.to_string()).collect();
        set("CUDA_VISIBLE_DEVICES", indices.join(","));
        set("CUDA_DEVICE_ORDER", "PCI_BUS_ID".to_owned());
        for (name, value) in task.env.iter().chain(&self.run.env) {
            let value = value
                .replace("$ORG_OUT", &out)
                .replace("$ORG_OVERLAY", &overlay);
            set(name, value);
        }
        set(&task.seed, self.run.seed.to_string());
        env
    }

    fn policy(&self) -> Policy {
        let task = &self.chart.task;
        let mut read: Vec<PathBuf> = task.share.clone();
        read.extend(task.overlay.clone());
        read.extend(super::spawn::toolchains(&self.clean));
        Policy {
            read,
            write: vec![
                self.checkout(),
                self.out(),
                self.home().join("home"),
                self.home().join("tmp"),
            ],
            devices: devices(&self.gpus),
            network: task.network,
        }
    }

    /// What came of the job, once it is over.
    pub(super) fn collect(&self) -> Found {
        let found = match poll(&self.job()) {
            Ok(Poll::Done(result)) => self.judged(&result),
            Ok(Poll::Running { .. } | Poll::Lost) => {
                Found::failed(RunStatus::Interrupted, "its keeper is gone")
            }
            Err(error) => Found::failed(RunStatus::Interrupted, error.to_string()),
        };
        if found.status != RunStatus::Interrupted {
            self.clear();
        }
        found
    }

    fn judged(&self, result: &JobResult) -> Found {
        let task = &self.chart.task;
        let said = output(&self.log());
        let judged = metric::judge(result, &said, &task.metric, &task.measure, &task.must_print);
        let status = match judged.end {
            RunEnd::Ok => RunStatus::Ok,
            RunEnd::Crashed => RunStatus::Crashed,
            RunEnd::Timeout => RunStatus::Timeout,
            RunEnd::Oom => RunStatus::Oom,
            RunEnd::Invalid => RunStatus::Invalid,
            RunEnd::Cancelled => RunStatus::Interrupted,
        };
        let extract = judged.extract.as_ref();
        Found {
            status,
            reason: judged.reason,
            measured: Measured {
                value: extract.map(|extract| extract.value),
                wall_s: result.wall_s,
                cpu_s: result.cpu_s,
                gpu_s: result.wall_s * self.gpus.len() as f64,
                peak_mem_mb: result.peak_rss_mb,
                flops: extract.and_then(|extract| extract.flops),
                params: extract.and_then(|extract| extract.params),
                tokens: extract.and_then(|extract| extract.tokens),
            },
            tail: metric::last_lines(&said),
        }
    }

    /// Removes what need not be kept: the checkout is in git, the rest is kept by `[task] keep`. The
    /// job's result stays: it is what a repeated launch finds.
    fn clear(&self) {
        fs::remove_dir_all(self.checkout()).ok();
        fs::remove_dir_all(self.home().join("home")).ok();
        fs::remove_dir_all(self.home().join("tmp")).ok();
        prune(&self.out(), &self.out(), &self.chart.task.keep);
    }
}

/// Removes files of `dir` that no glob keeps.
fn prune(root: &Path, dir: &Path, keep: &[String]) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = path
            .strip_prefix(root)
            .unwrap_or(&path)
            .to_string_lossy()
            .into_owned();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => prune(root, &path, keep),
            Ok(_) if !glob::any(keep, &name) => {
                fs::remove_file(&path).ok();
            }
            _ => {}
        }
    }
}

fn output(path: &Path) -> String {
    let bytes = files::read_capped(path, OUTPUT_CAP * 2).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn devices(gpus: &[Gpu]) -> Vec<PathBuf> {
    let real: Vec<crate::lab::gpu::Gpu> = gpus
        .iter()
        .map(|gpu| crate::lab::gpu::Gpu {
            index: gpu.index,
            uuid: gpu.uuid.clone(),
            name: String::new(),
            memory_mb: 0,
            simulated: gpu.simulated,
        })
        .collect();
    crate::lab::gpu::device_nodes(&real)
}
