//! The layout of a run directory: every file name in it, once.
//!
//! What stands above `mail` is the truth; everything from `mail` on may be deleted and is rebuilt.

use std::path::{Path, PathBuf};

/// A run's directory, absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDir(PathBuf);

impl RunDir {
    /// The run in this directory; nothing is touched.
    #[must_use]
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self(dir.into())
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The run's id: the directory's name.
    #[must_use]
    pub fn id(&self) -> String {
        self.0
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    }

    /// The frozen chart.
    #[must_use]
    pub fn chart(&self) -> PathBuf {
        self.0.join("chart.toml")
    }

    /// The frozen prompts.
    #[must_use]
    pub fn prompts(&self) -> PathBuf {
        self.0.join("prompts")
    }

    /// An agent's system prompt, rendered and frozen.
    #[must_use]
    pub fn system_prompt(&self, agent: &str) -> PathBuf {
        self.prompts().join(format!("{agent}.md"))
    }

    /// The harness's own files, as they were when the run was made.
    #[must_use]
    pub fn overlay(&self) -> PathBuf {
        self.0.join("overlay")
    }

    /// The frozen scenario of a mocked run.
    #[must_use]
    pub fn scenario(&self) -> PathBuf {
        self.0.join("scenario.toml")
    }

    /// Who is who, for the mock.
    #[must_use]
    pub fn roster(&self) -> PathBuf {
        self.0.join("roster.json")
    }

    /// The log.
    #[must_use]
    pub fn events(&self) -> PathBuf {
        self.0.join("events.jsonl")
    }

    /// Bytes named by hash.
    #[must_use]
    pub fn blobs(&self) -> PathBuf {
        self.0.join("blobs")
    }

    /// The run's own repository.
    #[must_use]
    pub fn repo_git(&self) -> PathBuf {
        self.0.join("repo.git")
    }

    /// The frozen prompt of a process of the org.
    #[must_use]
    pub fn process_prompt(&self, process: &str) -> PathBuf {
        self.prompts()
            .join("processes")
            .join(format!("{process}.md"))
    }

    /// The frozen brief; beside the prompts of processes, and not among those of agents.
    #[must_use]
    pub fn brief(&self) -> PathBuf {
        self.prompts().join("processes").join(".brief.md")
    }

    /// An agent's bare repository.
    #[must_use]
    pub fn agent_git(&self, agent: &str) -> PathBuf {
        self.0.join("git").join(format!("{agent}.git"))
    }

    /// An agent's worktree.
    #[must_use]
    pub fn work(&self, agent: &str) -> PathBuf {
        self.0.join("work").join(agent)
    }

    /// What an agent's tools may scribble in: private tmp, HOME and caches.
    #[must_use]
    pub fn scratch(&self, agent: &str) -> PathBuf {
        self.0.join("scratch").join(agent)
    }

    /// Where the commands that call a person leave their outcome.
    #[must_use]
    pub fn notices(&self) -> PathBuf {
        self.0.join("jobs").join(".notices")
    }

    /// Where tool jobs of an agent leave their outcome.
    #[must_use]
    pub fn jobs(&self, agent: &str) -> PathBuf {
        self.0.join("jobs").join(agent)
    }

    /// A measured run.
    #[must_use]
    pub fn experiment(&self, id: u64) -> PathBuf {
        self.0.join("exp").join(format!("e{id}"))
    }

    /// Environments that `setup` made, each by the hash of what it was made from.
    #[must_use]
    pub fn environments(&self) -> PathBuf {
        self.0.join("env")
    }

    /// One of them.
    #[must_use]
    pub fn environment(&self, name: &str) -> PathBuf {
        self.environments().join(name)
    }

    /// A link to the one of the programme's start.
    #[must_use]
    pub fn base_environment(&self) -> PathBuf {
        self.environment("base")
    }

    /// Lock files; held means alive.
    #[must_use]
    pub fn locks(&self) -> PathBuf {
        self.0.join("locks")
    }

    /// The lock of `supervisor`, `mock`, `log`, or of an agent by name.
    #[must_use]
    pub fn lock(&self, of: &str) -> PathBuf {
        self.locks().join(of)
    }

    /// The lock that an agent's process holds while it lives.
    #[must_use]
    pub fn agent_lock(&self, agent: &str) -> PathBuf {
        self.locks().join(format!("agent-{agent}"))
    }

    /// The lock that a person holds while sitting at an agent's desk.
    #[must_use]
    pub fn take_lock(&self, agent: &str) -> PathBuf {
        self.locks().join(format!("take-{agent}"))
    }

    /// The mock's position per agent.
    #[must_use]
    pub fn mock(&self) -> PathBuf {
        self.0.join("mock")
    }

    /// An agent's, or the human's, mailbox.
    #[must_use]
    pub fn mailbox(&self, name: &str) -> PathBuf {
        self.0.join("mail").join(name)
    }

    /// What a person typed in a showing of a run; no run has it.
    #[must_use]
    pub fn wishes(&self) -> PathBuf {
        self.0.join("wishes")
    }

    /// Where the streams of turns in flight are.
    #[must_use]
    pub fn live_dir(&self) -> PathBuf {
        self.0.join("live")
    }

    /// The stream of an agent's turn in flight.
    #[must_use]
    pub fn live(&self, agent: &str) -> PathBuf {
        self.0.join("live").join(agent)
    }

    /// What the GPUs were doing a moment ago; no agent can be called so.
    #[must_use]
    pub fn gpu_use(&self) -> PathBuf {
        self.0.join("live").join(".gpus")
    }

    /// What a launch of a measured run prints.
    #[must_use]
    pub fn output(&self, id: u64, attempt: u32) -> PathBuf {
        self.experiment(id)
            .join(format!("a{attempt}"))
            .join("output.log")
    }

    /// Autoresearch's five columns.
    #[must_use]
    pub fn results(&self) -> PathBuf {
        self.0.join("results.tsv")
    }

    /// Every attempt with all its numbers.
    #[must_use]
    pub fn results_full(&self) -> PathBuf {
        self.0.join("results_full.tsv")
    }

    /// Derived reports.
    #[must_use]
    pub fn report(&self) -> PathBuf {
        self.0.join("report")
    }

    /// Tracing, for people.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.0.join("logs")
    }

    /// Written to when something of the office has gone.
    #[must_use]
    pub fn office_bell(&self) -> PathBuf {
        self.locks().join(".office")
    }

    /// Where the office's socket is wanted.
    #[must_use]
    pub fn tmux_socket(&self) -> PathBuf {
        self.0.join("tmux.sock")
    }

    /// Every directory that must exist, in order.
    #[must_use]
    pub fn skeleton(&self) -> Vec<PathBuf> {
        [
            "",
            "prompts",
            "prompts/processes",
            "blobs",
            "git",
            "work",
            "scratch",
            "jobs",
            "exp",
            "env",
            "locks",
            "mock",
            "mail",
        ]
        .into_iter()
        .chain(["live", "logs"])
        .map(|name| self.0.join(name))
        .collect()
    }
}
