//! A place of its own for what is measured: runs, state and home below one directory that is removed,
//! and every organisation that was started there is brought down first.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use org::domain::chart::Chart;
use org::domain::standing;
use org::os::clock;
use org::os::exec::{self, Exec, Said};
use org::run::bell::Bell;
use org::run::frozen;
use org::run::log::Log;
use org::run::paths::RunDir;
use tempfile::TempDir;

use super::Broken;

/// No single command takes longer, even on a loaded machine.
const LIMIT: Duration = Duration::from_secs(120);
/// No run takes longer to become quiet.
const QUIET: Duration = Duration::from_secs(300);

/// The place.
pub(crate) struct Scene {
    root: TempDir,
    env: BTreeMap<String, String>,
}

impl Scene {
    /// Makes one, on the disk that the build is on: a memory file system would make syncs free.
    pub(crate) fn new() -> Result<Self, Broken> {
        let root = tempfile::Builder::new()
            .prefix("b")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let vars = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let mut env = exec::inherited_env(vars);
        let at = |name: &str| root.path().join(name).display().to_string();
        env.retain(|name, _| !name.starts_with("XDG_"));
        env.insert("HOME".to_owned(), at("home"));
        env.insert("XDG_STATE_HOME".to_owned(), at("state"));
        env.insert("ORG_RUNS".to_owned(), at("runs"));
        for name in ["home", "state", "runs"] {
            std::fs::create_dir(root.path().join(name))?;
        }
        Ok(Self { root, env })
    }

    /// The place's directory.
    pub(crate) fn path(&self) -> &Path {
        self.root.path()
    }

    /// A program in this place's environment.
    pub(crate) fn exec(&self, program: &str) -> Exec {
        Exec::new(program)
            .envs(self.env.clone())
            .cwd(self.root.path())
    }

    /// `org` itself, as it was built for this measurement.
    pub(crate) fn org(&self, args: &[&str]) -> Exec {
        self.exec(env!("CARGO_BIN_EXE_org"))
            .args(args.iter().copied())
    }

    /// Runs `org` and returns what it said, if it succeeded.
    pub(crate) fn run(&self, args: &[&str]) -> Result<Said, Broken> {
        done(self.org(args), &args.join(" "))
    }

    /// The one run that is there and up, or the newest.
    pub(crate) fn newest(&self) -> Result<RunDir, Broken> {
        let mut runs: Vec<_> = std::fs::read_dir(self.root.path().join("runs"))?
            .flatten()
            .map(|entry| {
                (
                    entry.metadata().and_then(|m| m.created()).ok(),
                    entry.path(),
                )
            })
            .collect();
        runs.sort();
        let (_, path) = runs.pop().ok_or("no run was made")?;
        Ok(RunDir::at(path))
    }

    /// Waits until nothing happens in a run any more.
    pub(crate) fn settle(&self, dir: &RunDir) -> Result<(), Broken> {
        let chart = frozen::chart(dir)?;
        self.wait(dir, |log| standing::done(&chart, log.state()))
    }

    /// Waits until the log says so.
    pub(crate) fn wait(&self, dir: &RunDir, so: impl Fn(&Log) -> bool) -> Result<(), Broken> {
        let mut log = Log::open(dir)?;
        let deadline = clock::monotonic() + QUIET;
        block_on(async {
            let mut bell = Bell::on(&[dir.events()]);
            while !so(&log) {
                if clock::monotonic() > deadline {
                    return Err("the run did not get there".into());
                }
                tokio::time::timeout(Duration::from_secs(1), bell.wait())
                    .await
                    .ok();
                log.catch_up()?;
                log.drain();
            }
            Ok(())
        })
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let runs = std::fs::read_dir(self.root.path().join("runs"));
        for run in runs.into_iter().flatten().flatten() {
            let path = run.path().display().to_string();
            self.org(&["down", "--run", &path]).output(LIMIT).ok();
        }
    }
}

/// Runs a program to its end and returns what it said, if it succeeded.
pub(crate) fn done(exec: Exec, what: &str) -> Result<Said, Broken> {
    let said = exec.output(LIMIT)?;
    if said.status.success() {
        return Ok(said);
    }
    let words = String::from_utf8_lossy(&said.stderr).trim().to_owned();
    Err(format!("{what}: {} {words}", said.status).into())
}

/// Runs a future on this thread, as `org` does.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime needs an epoll descriptor and nothing else")
        .block_on(future)
}

/// A file of the project.
pub(crate) fn project(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(path)
        .display()
        .to_string()
}

/// Writes a file.
pub(crate) fn put(path: PathBuf, text: &str) -> Result<String, Broken> {
    org::os::files::write_view(&path, text.as_bytes())?;
    Ok(path.display().to_string())
}

/// What a run's chart says; for whoever asks after its agents.
pub(crate) fn chart(dir: &RunDir) -> Result<Chart, Broken> {
    Ok(frozen::chart(dir)?)
}
