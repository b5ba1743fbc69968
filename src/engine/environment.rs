//! Environments: what `[task] setup` makes, once per hash of the files that it is made from, for all
//! runs to share and for none to change.
//!
//! `setup` runs in a clean checkout, with network. What it adds there (a `.venv`, built extensions) is
//! linked into the checkout of every run; it stays where it was made, since tools write absolute paths
//! into it. An environment that somebody began and did not finish is gone on with, or begun anew. All
//! of this blocks. Must not know which run asks.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::caches;
use crate::domain::chart::Chart;
use crate::lab::local::{self, JobFiles, Local, Poll, poll};
use crate::lab::metric::{self, RunEnd};
use crate::os::job::{JobSpec, Sink};
use crate::os::lock::Lock;
use crate::os::sandbox::Policy;
use crate::os::{files, process};
use crate::repo::{self, RepoError};
use crate::run::paths::RunDir;

use super::spawn;

/// Longest that `setup` may take: an environment with a compiled extension.
const LIMIT_S: f64 = 3600.0;
/// Seconds between asking its processes to end and ending them.
const GRACE_S: f64 = 3.0;
/// Bytes kept of its output.
const OUTPUT_CAP: u64 = 4 << 20;
/// Letters of the hash that name an environment; chance alone repeats none.
const NAME_LETTERS: usize = 16;
/// Between two looks at one that is being made.
const LOOK: Duration = Duration::from_millis(20);
/// Longest record of what was made.
const RECORD_CAP: u64 = 16 << 20;
/// Where tools put the Python environment of a project.
const VENV: &str = ".venv";

/// One that is made.
#[derive(Debug, Clone)]
pub(super) struct Environment {
    root: PathBuf,
    made: Made,
}

/// What `setup` added.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Made {
    /// Paths in the checkout.
    links: Vec<String>,
    /// Directories of the checkout that installed packages are imported from.
    imports: Vec<String>,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// The commit.
    #[error("cannot lay the commit out for setup")]
    Repo(#[from] RepoError),
    /// The file system.
    #[error("cannot make a place for setup")]
    Io(#[from] io::Error),
    /// `setup` itself.
    #[error("setup failed: {why}")]
    Failed {
        /// How it ended.
        why: String,
        /// Its last lines.
        tail: String,
    },
    /// It was ended before it was done.
    #[error("setup was interrupted: {0}")]
    Interrupted(String),
}

/// What an environment is made from.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) dir: &'a RunDir,
    pub(super) chart: &'a Chart,
    pub(super) clean: &'a BTreeMap<String, String>,
    pub(super) commit: &'a str,
    /// Where protected files are taken from.
    pub(super) base: &'a str,
}

/// The environment of a commit, made where it is not there yet. None where the task has no `setup`.
///
/// # Errors
/// Where it cannot be made.
pub(super) fn of(
    wanted: &Wanted<'_>,
    go_on: &dyn Fn() -> bool,
) -> Result<Option<Environment>, EnvironmentError> {
    if wanted.chart.task.setup.trim().is_empty() {
        return Ok(None);
    }
    let name = wanted.name()?;
    let root = wanted.dir.environment(&name);
    fs::create_dir_all(&root)?;
    loop {
        if let Some(made) = read(&root)? {
            return Ok(Some(Environment { root, made }));
        }
        if !go_on() {
            return Err(EnvironmentError::Interrupted("called off".to_owned()));
        }
        // One maker at a time; the others wait for what it makes.
        match Lock::try_take(&root.join("making"))? {
            Some(_making) => return wanted.make(&name, root, go_on).map(Some),
            None => std::thread::sleep(LOOK),
        }
    }
}

fn record(root: &Path) -> PathBuf {
    root.join("made.json")
}

fn read(root: &Path) -> io::Result<Option<Made>> {
    match files::read_capped(&record(root), RECORD_CAP) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl Wanted<'_> {
    /// The hash of what it is made from: the command, and the files of `env_key`; without any, the
    /// whole commit.
    fn name(&self) -> Result<String, RepoError> {
        use sha2::{Digest, Sha256};
        let task = &self.chart.task;
        let all = ["**".to_owned()];
        let globs: &[String] = if task.env_key.is_empty() {
            &all
        } else {
            &task.env_key
        };
        let files = repo::commit_hash(&self.dir.repo_git(), self.commit, globs)?;
        let digest = Sha256::digest(format!("{files}\n{}", task.setup));
        let hex = digest.iter().map(|byte| format!("{byte:02x}"));
        Ok(hex.collect::<String>()[..NAME_LETTERS].to_owned())
    }

    fn make(
        &self,
        name: &str,
        root: PathBuf,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Environment, EnvironmentError> {
        let tree = root.join("tree");
        let spec = self.spec(name, &root);
        let job = JobFiles::of(&spec);
        if matches!(poll(&job)?, Poll::Lost) {
            self.begin(&root, &spec)?;
        }
        let result = loop {
            match poll(&job)? {
                Poll::Done(result) => break result,
                Poll::Running { .. } if go_on() => std::thread::sleep(LOOK),
                Poll::Running { .. } => {
                    if local::cancel(&job) {
                        std::thread::sleep(LOOK);
                    }
                }
                Poll::Lost => {
                    let why = "its keeper is gone".to_owned();
                    return Err(EnvironmentError::Interrupted(why));
                }
            }
        };
        let said = files::read_capped(&root.join("setup.log"), OUTPUT_CAP * 2);
        let said = String::from_utf8_lossy(&said.unwrap_or_default()).into_owned();
        let (end, why) = metric::classify(&result, &said);
        if end != RunEnd::Ok {
            // Not a verdict on the next one who asks.
            fs::remove_file(&job.result)?;
            return Err(match end {
                RunEnd::Cancelled => EnvironmentError::Interrupted(why),
                _ => EnvironmentError::Failed {
                    why,
                    tail: metric::last_lines(&said),
                },
            });
        }
        let mut links = repo::additions(&self.dir.repo_git(), self.commit, &tree)?;
        // Byte code of the commit's own files belongs to that commit alone.
        links.retain(|path| !path.ends_with("__pycache__"));
        let imports = imports(&tree);
        let made = Made { links, imports };
        let text = serde_json::to_vec(&made).map_err(io::Error::from)?;
        files::write_atomic(&record(&root), &text, 0o600)?;
        for private in ["tmp", "out"] {
            fs::remove_dir_all(root.join(private)).ok();
        }
        Ok(Environment { root, made })
    }

    /// Lays the commit out and starts `setup` in it.
    fn begin(&self, root: &Path, spec: &JobSpec) -> Result<(), EnvironmentError> {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // What a killed keeper left behind must not write into what is made now.
            runtime.block_on(process::kill_tree(&spec.marker, Duration::ZERO));
        }
        let tree = root.join("tree");
        for old in ["tree", "home", "cache", "tmp", "out"] {
            fs::remove_dir_all(root.join(old)).ok();
        }
        for dir in ["home", "tmp", "out"] {
            fs::create_dir_all(root.join(dir))?;
        }
        for dir in caches::directories(&root.join("cache")) {
            fs::create_dir_all(dir)?;
        }
        let repo_git = self.dir.repo_git();
        repo::checkout(&repo_git, self.commit, &tree)?;
        repo::restore(&repo_git, self.base, &tree, &self.chart.task.protect)?;
        Ok(Local::new(["job"], self.clean.clone()).submit(spec)?)
    }

    fn spec(&self, name: &str, root: &Path) -> JobSpec {
        let task = &self.chart.task;
        let at = |name: &str| root.join(name);
        let shown = |path: PathBuf| path.display().to_string();
        let mut env = spawn::measured_env(self.chart, self.clean, &at("out"));
        env.insert("HOME".to_owned(), shown(at("home")));
        env.insert("TMPDIR".to_owned(), shown(at("tmp")));
        env.insert("CUDA_VISIBLE_DEVICES".to_owned(), String::new());
        // Nobody can write byte code into it later.
        env.insert("UV_COMPILE_BYTECODE".to_owned(), "1".to_owned());
        env.extend(caches::variables(&at("cache")));
        let mut read: Vec<PathBuf> = task.share.clone();
        read.extend(task.overlay.clone());
        read.extend(spawn::toolchains(self.clean));
        let write = ["tree", "home", "cache", "tmp", "out"].map(at);
        JobSpec {
            argv: ["sh", "-c", &task.setup].map(str::to_owned).into(),
            cwd: at("tree"),
            env,
            stdin: None,
            stdout: Sink::Log(at("setup.log")),
            stderr: Sink::Same,
            policy: Some(Policy {
                read,
                write: write.into(),
                devices: Vec::new(),
                network: true,
            }),
            timeout_s: Some(LIMIT_S),
            grace_s: GRACE_S,
            output_cap: OUTPUT_CAP,
            result: at("setup.json"),
            lock: at("setup.lock"),
            marker: format!("{}-env-{name}", self.dir.id()),
            cpus: None,
            nice: None,
            announce: false,
            passing: false,
        }
    }
}

impl Environment {
    /// Where all of it lies, for runs to read.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Its compile caches, each with its name: runs start with a copy.
    pub(super) fn compiled(&self) -> Vec<(&'static str, PathBuf)> {
        caches::compiled(&self.root.join("cache"))
    }

    /// Links what `setup` added into a checkout. What a commit has itself stays as it is, and nothing
    /// is made through a link that a commit may have.
    pub(super) fn link_into(&self, checkout: &Path) -> io::Result<()> {
        for path in &self.made.links {
            let mut at = checkout.to_owned();
            let parts: Vec<&str> = path.split('/').collect();
            let (name, parents) = parts.split_last().unwrap_or((&"", &[]));
            let plain = parents.iter().all(|part| {
                at.push(part);
                fs::symlink_metadata(&at).is_ok_and(|found| found.is_dir())
            });
            at.push(name);
            if plain && fs::symlink_metadata(&at).is_err() {
                std::os::unix::fs::symlink(self.root.join("tree").join(path), at)?;
            }
        }
        Ok(())
    }

    /// Adds what a program needs to find it. A package that was installed for editing names the
    /// checkout that it was installed from; each run's own comes before that.
    pub(super) fn add_to(&self, env: &mut BTreeMap<String, String>, checkout: &Path) {
        if self.made.imports.is_empty() {
            return;
        }
        let own = self.made.imports.iter().map(|path| checkout.join(path));
        let mut paths: Vec<String> = own.map(|path| path.display().to_string()).collect();
        let before = env.get("PYTHONPATH").filter(|it| !it.is_empty()).cloned();
        paths.splice(0..0, before);
        env.insert("PYTHONPATH".to_owned(), paths.join(":"));
    }
}

/// Directories of the tree that `.pth` files of its `.venv` name: packages installed for editing.
fn imports(tree: &Path) -> Vec<String> {
    const PTH_CAP: u64 = 64 << 10;
    let mut found = Vec::new();
    let libs = fs::read_dir(tree.join(VENV).join("lib"))
        .into_iter()
        .flatten();
    for lib in libs.flatten() {
        let packages = fs::read_dir(lib.path().join("site-packages"));
        for entry in packages.into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_none_or(|it| it != "pth") {
                continue;
            }
            let text = files::read_capped(&path, PTH_CAP).unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            let below = |line: &str| {
                let below = Path::new(line.trim()).strip_prefix(tree).ok()?;
                Some(below.to_string_lossy().into_owned())
            };
            found.extend(text.lines().filter_map(below));
        }
    }
    found.sort();
    found.dedup();
    found
}
