//! What a command of an agent is started with: where, in which environment, and what it may touch.
//!
//! Pure, so that the confinement can be read and tested in one place. A command may write to its
//! worktree, its own repository and its private directories, and read the system, the toolchains it
//! has in `PATH`, the data of the task, and the outcome of its own commands. It has no network: what
//! needs one (`setup`) is the lab's to run, and whoever could fetch could also tell. Must not start
//! anything.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::domain::caches;
use crate::domain::chart::Chart;
use crate::domain::event::Gpu;
use crate::os::job::{JobSpec, Sink};
use crate::os::sandbox::Policy;
use crate::run::paths::RunDir;

/// Bytes of output that are kept on disk: a training log with room, not a flood.
pub(super) const KEPT_BYTES: u64 = 1 << 20;
/// Seconds between asking a command to end and ending it.
pub(super) const GRACE_S: f64 = 2.0;
/// Where toolchains live in a home directory beside what `PATH` names: interpreters that a
/// directory of links leads to. Nothing here holds a secret.
const TOOLCHAINS: [&str; 9] = [
    ".local/share/uv",
    ".rustup/toolchains",
    ".pyenv/versions",
    ".nvm/versions",
    "miniconda3",
    "miniforge3",
    "mambaforge",
    "anaconda3",
    ".julia/juliaup",
];
/// What programs read that would else wait for a person.
const QUIET: [(&str, &str); 5] = [
    ("TERM", "dumb"),
    ("PAGER", "cat"),
    ("GIT_PAGER", "cat"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("PYTHONUNBUFFERED", "1"),
];
/// Nodes that every program on an NVIDIA device needs beside the device's own.
const NVIDIA: [&str; 4] = [
    "/dev/nvidiactl",
    "/dev/nvidia-uvm",
    "/dev/nvidia-uvm-tools",
    "/dev/nvidia-caps",
];

/// A command that an agent wants to run.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) chart: &'a Chart,
    pub(super) dir: &'a RunDir,
    pub(super) agent: &'a str,
    /// The environment that the agent's children start from.
    pub(super) env: &'a BTreeMap<String, String>,
    /// The GPU that the agent is at home on.
    pub(super) gpu: Option<&'a Gpu>,
    /// The program that reads the command line.
    pub(super) shell: &'a str,
    pub(super) command: &'a str,
    pub(super) seconds: u64,
    /// The name of its directory.
    pub(super) job: &'a str,
}

/// Where a command leaves its outcome.
pub(super) fn job_dir(dir: &RunDir, agent: &str, job: &str) -> PathBuf {
    dir.jobs(agent).join(job)
}

/// Where its output goes.
pub(super) fn output(job_dir: &Path) -> PathBuf {
    job_dir.join("output")
}

/// Where its result goes.
pub(super) fn result(job_dir: &Path) -> PathBuf {
    job_dir.join("result")
}

/// The lock that is held while it runs.
pub(super) fn lock(job_dir: &Path) -> PathBuf {
    job_dir.join("lock")
}

/// The mark of its processes: unique in the machine, since the directory is.
pub(super) fn marker(job_dir: &Path) -> String {
    job_dir.display().to_string()
}

/// The private directories that a command expects, parents first.
pub(super) fn private_dirs(dir: &RunDir, agent: &str) -> Vec<PathBuf> {
    let scratch = dir.scratch(agent);
    let mut dirs = vec![scratch.clone(), scratch.join("home"), scratch.join("tmp")];
    dirs.extend(caches::directories(&scratch.join("cache")));
    dirs
}

/// The job that runs a command.
pub(super) fn spec(request: &Request<'_>) -> JobSpec {
    let job_dir = job_dir(request.dir, request.agent, request.job);
    JobSpec {
        argv: [request.shell, "-c", request.command]
            .map(str::to_owned)
            .into(),
        cwd: request.dir.work(request.agent),
        env: environment(request),
        stdin: None,
        stdout: Sink::Log(output(&job_dir)),
        stderr: Sink::Same,
        policy: Some(policy(request)),
        #[expect(clippy::cast_precision_loss, reason = "at most an hour")]
        timeout_s: Some(request.seconds as f64),
        grace_s: GRACE_S,
        output_cap: KEPT_BYTES,
        result: result(&job_dir),
        lock: lock(&job_dir),
        marker: marker(&job_dir),
        cpus: None,
        nice: None,
        announce: true,
        passing: true,
    }
}

/// What a program gets that runs at an agent's desk without being a command of it.
#[derive(Debug)]
pub struct Seated {
    /// Where it starts.
    pub cwd: PathBuf,
    /// Its whole environment, as of the agent's commands.
    pub env: BTreeMap<String, String>,
    /// What it may touch, as they may.
    pub policy: Policy,
    /// Directories that must be there.
    pub dirs: Vec<PathBuf>,
}

/// The desk of an agent; `env` is what its process starts with.
#[must_use]
pub fn seated(
    chart: &Chart,
    dir: &RunDir,
    agent: &str,
    env: &BTreeMap<String, String>,
    gpu: Option<&Gpu>,
) -> Seated {
    let spec = spec(&Request {
        chart,
        dir,
        agent,
        env,
        gpu,
        shell: "sh",
        command: "",
        seconds: 0,
        job: "",
    });
    Seated {
        cwd: spec.cwd,
        env: spec.env,
        policy: spec.policy.unwrap_or_default(),
        dirs: private_dirs(dir, agent),
    }
}

fn environment(request: &Request<'_>) -> BTreeMap<String, String> {
    let scratch = request.dir.scratch(request.agent);
    let text = |path: PathBuf| path.display().to_string();
    // Directories of the person who runs the org, sockets among them, are not the agent's.
    let foreign = |name: &str| name.starts_with("XDG_");
    let mut env: BTreeMap<String, String> = request
        .env
        .iter()
        .filter(|(name, _)| !foreign(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    env.extend(QUIET.map(|(name, value)| (name.to_owned(), value.to_owned())));
    env.extend(caches::variables(&scratch.join("cache")));
    env.insert("HOME".to_owned(), text(scratch.join("home")));
    env.insert("TMPDIR".to_owned(), text(scratch.join("tmp")));
    if let Some(overlay) = &request.chart.task.overlay {
        env.insert("ORG_OVERLAY".to_owned(), text(overlay.clone()));
    }
    if !request.chart.task.setup.trim().is_empty() {
        // What `setup` made: for uv by its own variable, for everybody else in front of `PATH`.
        let venv = request.dir.base_environment().join("tree/.venv");
        let path = env.get("PATH").map_or("", String::as_str);
        let path = format!("{}:{path}", venv.join("bin").display());
        env.insert("PATH".to_owned(), path);
        env.insert("UV_PROJECT_ENVIRONMENT".to_owned(), text(venv.clone()));
        env.insert("VIRTUAL_ENV".to_owned(), text(venv));
    }
    env
}

fn policy(request: &Request<'_>) -> Policy {
    let (dir, agent, task) = (request.dir, request.agent, &request.chart.task);
    let mut read = vec![dir.repo_git().join("objects"), dir.jobs(agent)];
    read.extend(toolchains(request.env, dir));
    read.extend(task.share.iter().cloned());
    read.extend(task.overlay.clone());
    read.push(dir.base_environment());
    Policy {
        read,
        write: vec![dir.work(agent), dir.agent_git(agent), dir.scratch(agent)],
        devices: devices(request.gpu),
        network: false,
    }
}

/// Directories of `PATH`, and where the interpreters behind them live. A `PATH` that names a home
/// directory, the run, or what holds either, opens nothing.
fn toolchains(env: &BTreeMap<String, String>, dir: &RunDir) -> Vec<PathBuf> {
    let home = env.get("HOME").map(PathBuf::from);
    let holds = |path: &Path| {
        dir.path().starts_with(path) || home.as_ref().is_some_and(|home| home.starts_with(path))
    };
    let path = env.get("PATH").map_or("", String::as_str);
    let mut found: Vec<PathBuf> = path
        .split(':')
        .map(PathBuf::from)
        .filter(|path| path.is_absolute() && !holds(path))
        .collect();
    if let Some(home) = home.as_ref().filter(|home| home.is_absolute()) {
        found.extend(TOOLCHAINS.iter().map(|below| home.join(below)));
    }
    found
}

/// The nodes of a GPU that is there. Node numbers follow the order on the bus on every machine that
/// has not been told otherwise.
fn devices(gpu: Option<&Gpu>) -> Vec<PathBuf> {
    let Some(gpu) = gpu.filter(|gpu| !gpu.simulated) else {
        return Vec::new();
    };
    NVIDIA
        .iter()
        .map(PathBuf::from)
        .chain([PathBuf::from(format!("/dev/nvidia{}", gpu.index))])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_may_touch_its_own_corner_and_no_other() {
        let mut chart = super::super::tests::chart();
        chart.task.share = vec!["/data".into()];
        chart.task.overlay = Some("/overlay".into());
        let dir = RunDir::at("/home/u/runs/x-1");
        let env = BTreeMap::from([
            ("HOME", "/home/u"),
            ("PATH", "/usr/bin:/home/u/.local/bin:/home/u:/home::bin"),
            ("XDG_RUNTIME_DIR", "/run/user/1"),
            ("ORG_AGENT", "ana"),
        ])
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        let gpu = Gpu {
            index: 3,
            uuid: "GPU-3".to_owned(),
            simulated: false,
        };
        let mut request = Request {
            chart: &chart,
            dir: &dir,
            agent: "ana",
            env: &env,
            gpu: Some(&gpu),
            shell: "sh",
            command: "ls; true",
            seconds: 9,
            job: "c1",
        };
        let spec = super::spec(&request);
        assert_eq!(spec.argv, ["sh", "-c", "ls; true"]);
        assert_eq!(spec.timeout_s, Some(9.0));
        assert_eq!(spec.cwd, Path::new("/home/u/runs/x-1/work/ana"));
        assert_eq!(
            spec.result,
            Path::new("/home/u/runs/x-1/jobs/ana/c1/result")
        );
        assert_eq!(spec.env["HOME"], "/home/u/runs/x-1/scratch/ana/home");
        assert_eq!(
            spec.env["UV_CACHE_DIR"],
            "/home/u/runs/x-1/scratch/ana/cache/uv"
        );
        assert!(!spec.env.contains_key("XDG_RUNTIME_DIR"));
        assert_eq!(spec.env["ORG_AGENT"], "ana");
        let policy = spec.policy.unwrap();
        assert!(!policy.network);
        let own = ["work/ana", "git/ana.git", "scratch/ana"];
        assert_eq!(policy.write, own.map(|it| dir.path().join(it)));
        assert!(policy.devices.contains(&"/dev/nvidia3".into()));
        for path in ["/usr/bin", "/home/u/.local/bin", "/data", "/overlay"] {
            assert!(policy.read.contains(&path.into()), "{path}");
        }
        // Nothing opens the home, the run, its log, or another agent's corner.
        for path in policy.read.iter().chain(&policy.write) {
            for secret in [
                "/home/u",
                "/home/u/runs/x-1/events.jsonl",
                "/home/u/runs/x-1/work/ben",
            ] {
                assert!(!Path::new(secret).starts_with(path), "{}", path.display());
            }
            assert!(path.is_absolute());
        }
        let pretended = Gpu {
            simulated: true,
            ..gpu.clone()
        };
        request.gpu = Some(&pretended);
        assert!(super::spec(&request).policy.unwrap().devices.is_empty());
    }
}
