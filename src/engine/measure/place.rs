//! Where one launch of a run lies, and what each of its programs is started with: paths, environment
//! and what may be touched.
//!
//! A run has one program, and a second one where the harness evaluates. Each has a checkout, a HOME,
//! a tmp and caches of its own, so that nothing but `$ORG_OUT` leads from one to the other, or from
//! one run to the next. Must not start anything.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::domain::caches;
use crate::domain::event::Gpu;
use crate::lab::local::JobFiles;
use crate::os::job::{JobSpec, Sink};
use crate::os::sandbox::Policy;

use super::Order;
use crate::engine::environment::Environment;
use crate::engine::spawn;

/// Bytes kept of a run's output: a night's log of a chatty trainer; what is more is elided in the
/// middle.
pub(super) const OUTPUT_CAP: u64 = 16 << 20;
/// Seconds between asking a run's processes to end and ending them.
const GRACE_S: f64 = 3.0;

/// A program of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Program {
    /// What the candidate is.
    Run,
    /// The harness's own judgement of what that left behind.
    Evaluation,
}

impl Program {
    pub(in crate::engine) const ALL: [Self; 2] = [Self::Run, Self::Evaluation];

    fn word(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Evaluation => "evaluation",
        }
    }
}

impl Order {
    /// The launch's directory.
    pub(super) fn home(&self) -> PathBuf {
        self.dir
            .experiment(self.run.id)
            .join(format!("a{}", self.attempt))
    }

    pub(super) fn place(&self, program: Program) -> PathBuf {
        match program {
            Program::Run => self.home(),
            Program::Evaluation => self.home().join("evaluation"),
        }
    }

    pub(super) fn checkout(&self, program: Program) -> PathBuf {
        self.place(program).join("checkout")
    }

    pub(super) fn out(&self) -> PathBuf {
        self.home().join("out")
    }

    pub(super) fn cache(&self, program: Program) -> PathBuf {
        self.place(program).join("cache")
    }

    pub(super) fn log(&self, program: Program) -> PathBuf {
        match program {
            Program::Run => self.dir.output(self.run.id, self.attempt),
            Program::Evaluation => self.place(program).join("output.log"),
        }
    }

    /// The files by which the job of a program is found again.
    pub(in crate::engine) fn job(&self, program: Program) -> JobFiles {
        JobFiles {
            lock: self.place(program).join("lock"),
            result: self.place(program).join("result.json"),
        }
    }

    pub(super) fn marker(&self, program: Program) -> String {
        let (run, id, attempt) = (self.dir.id(), self.run.id, self.attempt);
        format!("{run}-e{id}-{attempt}-{}", program.word())
    }

    /// Directories that a program may fill, and that are gone after it.
    pub(super) fn private(&self, program: Program) -> Vec<PathBuf> {
        let place = self.place(program);
        let mut dirs = vec![place.join("home"), place.join("tmp")];
        dirs.extend(caches::directories(&self.cache(program)));
        dirs
    }

    pub(super) fn spec(&self, program: Program, environment: Option<&Environment>) -> JobSpec {
        let job = self.job(program);
        let task = &self.chart.task;
        let command = match program {
            Program::Run => task.run.as_str(),
            Program::Evaluation => task.evaluate.as_deref().unwrap_or("false"),
        };
        JobSpec {
            argv: ["sh", "-c", command].map(str::to_owned).into(),
            cwd: self.checkout(program),
            env: self.env(program, environment),
            stdin: None,
            stdout: Sink::Log(self.log(program)),
            stderr: Sink::Same,
            policy: Some(self.policy(program, environment)),
            timeout_s: Some(self.timeout_s),
            grace_s: GRACE_S,
            output_cap: OUTPUT_CAP,
            result: job.result,
            lock: job.lock,
            marker: self.marker(program),
            cpus: None,
            nice: None,
            announce: false,
            passing: false,
        }
    }

    /// A program's whole environment: fresh places, the seed, the devices, the task's own variables.
    fn env(&self, program: Program, environment: Option<&Environment>) -> BTreeMap<String, String> {
        let shown = |path: &Path| path.display().to_string();
        let place = self.place(program);
        let mut env = spawn::measured_env(&self.chart, &self.clean, &self.out());
        let mut set = |name: &str, value: String| {
            env.insert(name.to_owned(), value);
        };
        set("HOME", shown(&place.join("home")));
        set("TMPDIR", shown(&place.join("tmp")));
        set("ORG_EXPERIMENT", format!("e{}", self.run.id));
        let indices: Vec<String> = self.gpus.iter().map(|gpu| gpu.index.to_string()).collect();
        set("CUDA_VISIBLE_DEVICES", indices.join(","));
        for (name, value) in &self.run.env {
            set(name, spawn::expanded(value, &self.chart, &self.out()));
        }
        set(&self.chart.task.seed, self.run.seed.to_string());
        for (name, value) in caches::variables(&self.cache(program)) {
            env.entry(name).or_insert(value);
        }
        if let Some(environment) = environment {
            environment.add_to(&mut env, &self.checkout(program));
        }
        env
    }

    /// The evaluation may read what the candidate left, and hidden data; it may change neither.
    fn policy(&self, program: Program, environment: Option<&Environment>) -> Policy {
        let task = &self.chart.task;
        let mut read: Vec<PathBuf> = task.share.clone();
        read.extend(task.overlay.clone());
        read.extend(environment.map(|it| it.root().to_owned()));
        read.extend(spawn::toolchains(&self.clean));
        let place = self.place(program);
        let mut write = vec![
            self.checkout(program),
            place.join("home"),
            place.join("tmp"),
            self.cache(program),
        ];
        match program {
            Program::Run => write.push(self.out()),
            Program::Evaluation => {
                read.push(self.out());
                read.extend(task.hidden.iter().cloned());
            }
        }
        Policy {
            read,
            write,
            devices: devices(&self.gpus),
            network: task.network && program == Program::Run,
        }
    }
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
