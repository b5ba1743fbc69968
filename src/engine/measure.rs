//! One measured run, from a commit to numbers.
//!
//! The harness owns everything that could be fudged: a clean checkout, protected files restored and
//! looked at again afterwards, the seed, fresh places, the command, its time, and what is read from
//! its output. All of this blocks and is called from a worker thread. A launch that is repeated after
//! a crash finds the job that is there. Must not know claims.

mod evaluation;
mod place;
mod watching;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::domain::chart::Chart;
use crate::domain::contention::Calm;
use crate::domain::event::{Gpu, Measured, RunStatus};
use crate::domain::glob;
use crate::domain::protocol::Bounds;
use crate::domain::state::Experiment;
use crate::lab::devices::{self, Trouble};
use crate::lab::local::{self, JobFiles, Local, Poll, poll};
use crate::lab::metric::{self, Invalid, RunEnd};
use crate::os::files;
use crate::os::job::{Exit, JobResult, JobSpec};
use crate::os::process;
use crate::repo;
use crate::run::paths::RunDir;

use super::environment::{self, Environment, EnvironmentError};
use super::overlay;
use place::OUTPUT_CAP;
pub(super) use place::Program;
pub(super) use watching::{Look, Tally, Watching};

/// Launches after which what hinders a run from even beginning is the task's fault and not bad luck.
const START_TRIES: u32 = 5;
/// Most bytes of compile caches that a run starts with a copy of.
const SEED_CAP: u64 = 4 << 30;

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
    /// What its costs may not pass.
    pub(super) bounds: Bounds,
    /// The hash of the harness's own files.
    pub(super) overlay: Option<String>,
    /// What is usual where its clock decides.
    pub(super) calm: Option<Calm>,
    /// Whether it counts although it was frozen for a while.
    pub(super) counts_frozen: bool,
    /// Whether it stood still for a while, so that the clock says nothing of its cost.
    pub(super) stood_still: AtomicBool,
    /// Set when the run is to end before its job can be told so.
    pub(super) called_off: AtomicBool,
    /// What was seen of its devices.
    pub(super) tally: Mutex<Tally>,
    /// Why it was ended before its time, and how it counts.
    pub(super) early: OnceLock<(RunStatus, String)>,
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

fn status(end: RunEnd) -> RunStatus {
    match end {
        RunEnd::Ok => RunStatus::Ok,
        RunEnd::Crashed => RunStatus::Crashed,
        RunEnd::Timeout => RunStatus::Timeout,
        RunEnd::Oom => RunStatus::Oom,
        RunEnd::Invalid => RunStatus::Invalid,
        RunEnd::Cancelled => RunStatus::Interrupted,
    }
}

impl Order {
    fn launcher(&self) -> Local {
        Local::new(["job"], self.clean.clone())
    }

    /// Ends what an earlier launch left behind whose keeper was killed: its processes must not share
    /// a device, or a directory, with the next.
    pub(super) async fn end_remains(&self) {
        if !self.home().exists() {
            return;
        }
        for program in Program::ALL {
            if matches!(poll(&self.job(program)), Ok(Poll::Lost)) {
                process::kill_tree(&self.marker(program), Duration::ZERO).await;
            }
        }
    }

    /// Tells the run's job to end, at whatever it is.
    pub(super) fn call_off(&self) {
        self.called_off.store(true, Ordering::SeqCst);
        for program in Program::ALL {
            if !local::cancel(&self.job(program)) {
                tracing::debug!(run = self.run.id, ?program, "no job to cancel");
            }
        }
    }

    /// Ends a run whose end is not worth waiting for.
    pub(super) fn end_early(&self, why: (RunStatus, String)) {
        self.early.get_or_init(|| why);
        self.call_off();
    }

    /// Tells the run's jobs to stand still, or to go on; says whether that is so.
    pub(super) fn freeze(&self, still: bool) -> bool {
        self.stood_still.fetch_or(still, Ordering::SeqCst);
        let jobs = Program::ALL.iter().map(|program| self.job(*program));
        let seen: Vec<bool> = jobs.filter_map(|job| local::freeze(&job, still)).collect();
        !seen.is_empty() && seen.iter().all(|so| *so)
    }

    /// Refuses to go on where the run was called off.
    fn wanted(&self) -> Result<(), Box<Found>> {
        if self.called_off.load(Ordering::SeqCst) {
            let why = "called off before it began";
            return Err(Box::new(Found::failed(RunStatus::Interrupted, why)));
        }
        Ok(())
    }

    /// How a run counts that was hindered before the candidate had a say: as cut short, which is tried again and
    /// counts against nobody, until that has happened too often to be bad luck.
    fn hindered(&self) -> RunStatus {
        if self.attempt < START_TRIES {
            RunStatus::Interrupted
        } else {
            RunStatus::Crashed
        }
    }

    /// How the end of a program counts: one that was never begun says nothing of the candidate.
    fn counts_as(&self, result: &JobResult, end: RunEnd) -> RunStatus {
        if matches!(result.exit, Exit::NotStarted(_)) && !result.cancelled {
            self.hindered()
        } else {
            status(end)
        }
    }

    fn cannot(&self, what: &str, error: &dyn std::fmt::Display) -> Box<Found> {
        let why = format!("cannot {what}: {error}");
        Box::new(Found::failed(self.hindered(), why))
    }

    /// Starts a job of this run. One that is called off meanwhile is ended again.
    fn submit(&self, spec: &JobSpec) -> Result<(), Box<Found>> {
        self.wanted()?;
        self.launcher()
            .submit(spec)
            .map_err(|error| self.cannot("start the job", &error))?;
        // Whoever called it off before the job was there could not tell the job.
        if self.wanted().is_err() && !local::cancel(&JobFiles::of(spec)) {
            tracing::debug!(run = self.run.id, "called off, and over already");
        }
        Ok(())
    }

    /// Lays the checkout out and starts the job, unless it was started before. Says what went wrong.
    pub(super) fn launch(&self) -> Result<(), Box<Found>> {
        if !matches!(poll(&self.job(Program::Run)), Ok(Poll::Lost)) {
            return Ok(());
        }
        if self.run.id > 0 {
            // What is no experiment of the log runs a champion, which the programme holds.
            let name = format!("refs/org/exp/e{}", self.run.id);
            repo::pin(&self.dir.repo_git(), &name, &self.run.commit)
                .map_err(|error| self.cannot("pin the commit", &error))?;
        }
        self.unaltered()
            .map_err(|why| Box::new(Found::failed(RunStatus::Invalid, why)))?;
        let environment = self.environment()?;
        self.lay(Program::Run, environment.as_ref())?;
        self.submit(&self.spec(Program::Run, environment.as_ref()))
    }

    /// The environment of the commit, made where it is not there.
    fn environment(&self) -> Result<Option<Environment>, Box<Found>> {
        let wanted = environment::Wanted {
            dir: &self.dir,
            chart: &self.chart,
            clean: &self.clean,
            commit: &self.run.commit,
            base: &self.base,
        };
        environment::of(&wanted, &|| self.wanted().is_ok()).map_err(|error| match error {
            EnvironmentError::Failed { ref tail, .. } => {
                let mut found = Found::failed(RunStatus::Crashed, error.to_string());
                found.tail.clone_from(tail);
                Box::new(found)
            }
            EnvironmentError::Interrupted(_) => {
                Box::new(Found::failed(RunStatus::Interrupted, error.to_string()))
            }
            other => self.cannot("make the environment", &other),
        })
    }

    /// Makes a program's places, from nothing: whatever is there was half made.
    fn lay(&self, program: Program, environment: Option<&Environment>) -> Result<(), Box<Found>> {
        let place = self.place(program);
        fs::remove_dir_all(&place).ok();
        let mut dirs = self.private(program);
        if program == Program::Run {
            dirs.push(self.out());
        }
        for dir in dirs {
            fs::create_dir_all(dir).map_err(|error| self.cannot("make a directory", &error))?;
        }
        if let Some(home) = self.clean.get("HOME").map(Path::new) {
            // Programs look for their data below HOME, which is another one here.
            files::mirror(home, &self.chart.task.share, &place.join("home"))
                .map_err(|error| self.cannot("link what is shared", &error))?;
        }
        let (repo_git, checkout) = (self.dir.repo_git(), self.checkout(program));
        repo::checkout(&repo_git, &self.run.commit, &checkout)
            .map_err(|error| self.cannot("check the commit out", &error))?;
        let restored = match program {
            Program::Run => {
                let protect = &self.chart.task.protect;
                repo::restore(&repo_git, &self.base, &checkout, protect).map(drop)
            }
            Program::Evaluation => self.restore_for_evaluation(&checkout),
        };
        restored.map_err(|error| self.cannot("restore protected files", &error))?;
        if let Some(environment) = environment {
            environment
                .link_into(&checkout)
                .map_err(|error| self.cannot("link the environment", &error))?;
            self.warm(program, environment);
        }
        if program == Program::Evaluation {
            self.lay_hidden(&checkout)
                .map_err(|error| self.cannot("lay the hidden data out", &error))?;
        }
        Ok(())
    }

    /// Gives a program a copy of what `setup` has compiled: a run that writes into it changes its own.
    fn warm(&self, program: Program, environment: &Environment) {
        for (name, from) in environment.compiled() {
            if files::tree_bytes(&from) > SEED_CAP {
                continue;
            }
            let to = self.cache(program).join(name);
            if let Err(error) = files::copy_tree(&from, &to) {
                tracing::debug!(%error, name, "a compile cache was not copied");
            }
        }
    }

    /// What came of the job, once it is over.
    pub(super) fn collect(&self) -> Found {
        let found = match poll(&self.job(Program::Run)) {
            Ok(Poll::Done(result)) => self.judged(&result),
            Ok(Poll::Running { .. } | Poll::Lost) => {
                Found::failed(RunStatus::Interrupted, "its keeper is gone")
            }
            Err(error) => Found::failed(RunStatus::Interrupted, error.to_string()),
        };
        let mut found = self.without_device(self.with_early_end(found));
        let tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        found.measured.gpu_util = tally.utilisation();
        found.measured.peak_gpu_mb = tally.peak_mb;
        found.measured.cpu_wait = tally.waits.share();
        drop(tally);
        self.undisturbed(&mut found);
        self.clear(found.status);
        found
    }

    /// Has a run not count for which others left too little of the processors.
    fn undisturbed(&self, found: &mut Found) {
        let calm = self.calm.filter(|_| found.status == RunStatus::Ok);
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        if let Some(why) = calm.and_then(|calm| calm.broken(&found.measured, processors)) {
            (found.status, found.reason) = (RunStatus::Contended, why);
        }
    }

    /// What was found, where the run was ended early: it counts as that, with what it has cost.
    fn with_early_end(&self, mut found: Found) -> Found {
        if found.status == RunStatus::Interrupted
            && let Some((status, why)) = self.early.get()
        {
            (found.status, found.reason) = (*status, why.clone());
            let said = output(&self.log(Program::Run));
            if let Ok(costs) = metric::costs(&said, &self.chart.task.measure) {
                let measured = &mut found.measured;
                (measured.flops, measured.params, measured.tokens) =
                    (costs.flops, costs.params, costs.tokens);
            }
        }
        found
    }

    /// What was found, where a device went away under the run: that is nothing it did.
    fn without_device(&self, mut found: Found) -> Found {
        let real = self.gpus.iter().filter(|gpu| !gpu.simulated);
        let uuids: Vec<String> = real.map(|gpu| gpu.uuid.clone()).collect();
        let failed = matches!(found.status, RunStatus::Crashed | RunStatus::Timeout);
        if !failed || uuids.is_empty() {
            return found;
        }
        let trouble = devices::trouble(&self.clean, &uuids).unwrap_or_default();
        if let Some((uuid, _)) = trouble.iter().find(|(_, it)| **it == Trouble::Gone) {
            let reason = format!("{uuid} went away under it: {}", found.reason);
            (found.status, found.reason) = (RunStatus::Interrupted, reason);
        }
        found
    }

    fn judged(&self, result: &JobResult) -> Found {
        let said = output(&self.log(Program::Run));
        let (end, reason) = metric::classify(result, &said);
        let mut found = Found {
            status: self.counts_as(result, end),
            reason,
            measured: Measured {
                wall_s: result.wall_s,
                frozen_s: result.frozen_s,
                cpu_s: result.cpu_s,
                gpu_s: result.wall_s * self.gpus.len() as f64,
                peak_mem_mb: result.peak_rss_mb,
                ..Measured::default()
            },
            tail: metric::last_lines(&said),
        };
        if found.status == RunStatus::Ok
            && let Err(Invalid { reason }) = self.read(&said, &mut found)
        {
            (found.status, found.reason) = (RunStatus::Invalid, reason);
        }
        if result.frozen_s > 0.0 && !self.counts_frozen {
            // What it did by its own clock is not what it would have done.
            let reason = format!(
                "a person had it stand still for {:.0} s, which its own clock did not see",
                result.frozen_s.ceil()
            );
            (found.status, found.reason) = (RunStatus::Interrupted, reason);
        }
        found
    }

    /// Reads a run's figures, its own or the harness's.
    fn read(&self, said: &str, found: &mut Found) -> Result<(), Invalid> {
        let task = &self.chart.task;
        metric::required(said, &task.must_print)?;
        self.untouched(Program::Run)?;
        self.unaltered().map_err(|reason| Invalid { reason })?;
        let costs = metric::costs(said, &task.measure)?;
        let measured = &mut found.measured;
        (measured.flops, measured.params, measured.tokens) =
            (costs.flops, costs.params, costs.tokens);
        if task.evaluate.is_some() {
            self.evaluated(found);
        } else {
            measured.value = Some(metric::value(said, &task.metric)?);
        }
        Ok(())
    }

    /// Refuses a run whose overlay is not what it was when the organisation was made.
    fn unaltered(&self) -> Result<(), String> {
        let overlay = self.chart.task.overlay.as_deref();
        overlay::altered(overlay, self.overlay.as_deref()).map_or(Ok(()), Err)
    }

    /// Refuses a run in which protected files are not any more what they were when it began.
    fn untouched(&self, program: Program) -> Result<(), Invalid> {
        let protect = &self.chart.task.protect;
        let checkout = self.checkout(program);
        if protect.is_empty() || !checkout.exists() {
            return Ok(());
        }
        let reason = match repo::altered(&self.dir.repo_git(), &self.base, &checkout, protect) {
            Ok(paths) if paths.is_empty() => return Ok(()),
            Ok(paths) => format!("it changed protected files: {}", paths.join(", ")),
            Err(error) => format!("its protected files cannot be read any more: {error}"),
        };
        Err(Invalid { reason })
    }

    /// Removes what need not be kept: the checkout is in git, outputs are kept by `[task] keep`. The
    /// job's result stays: it is what a repeated launch finds.
    fn clear(&self, status: RunStatus) {
        for program in Program::ALL {
            fs::remove_dir_all(self.checkout(program)).ok();
            for dir in self.private(program) {
                fs::remove_dir_all(dir).ok();
            }
        }
        // A claim's outputs wait for its verdict.
        if status != RunStatus::Interrupted && self.run.hypothesis.is_none() {
            prune(&self.out(), &self.out(), &self.chart.task.keep);
        }
    }
}

/// Removes outputs of all launches of a run that no glob keeps.
pub(super) fn keep_only(experiment: &Path, keep: &[String]) {
    for entry in fs::read_dir(experiment).into_iter().flatten().flatten() {
        let out = entry.path().join("out");
        prune(&out, &out, keep);
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
