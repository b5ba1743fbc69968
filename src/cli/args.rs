//! What the commands that run things take, and the words of their help.
//!
//! Owns these arguments and nothing that is done with them; the other commands keep theirs beside
//! their bodies.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::place::{RunArgs, RunOrArg};

/// Write a starter chart with its prompts
#[derive(Debug, Clone, Args)]
pub(super) struct InitArgs {
    /// Where to write it; made where it is missing
    #[arg(default_value = ".")]
    pub(super) dir: PathBuf,
    /// The task's repository or directory: its command is run once, in a clean checkout, and the chart
    /// proposes metric, measures, seed and progress by what it printed
    #[arg(long, value_name = "PATH", requires = "run")]
    pub(super) repo: Option<PathBuf>,
    /// The task's command
    #[arg(long, value_name = "COMMAND", requires = "repo")]
    pub(super) run: Option<String>,
}

/// Check that this machine can run an org
///
/// Looks at tmux, git, python3, the GPU driver, keys (only whether they are there), disk, inotify and
/// file limits, and confinement, and says what to type where something is missing.
#[derive(Debug, Clone, Args)]
pub(super) struct DoctorArgs {
    /// A chart whose needs are checked too
    pub(super) chart: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Start an org
///
/// In a terminal it attaches to the office when that is ready; without one it behaves as with
/// --detach. A second `up` of a chart is a second run.
#[derive(Debug, Clone, Args)]
pub(super) struct UpArgs {
    /// The org chart
    #[arg(required_unless_present = "resume", conflicts_with = "resume")]
    pub(super) chart: Option<PathBuf>,
    /// Go on with a run where its log says; harmless where it lives
    #[arg(long, value_name = "RUN", conflicts_with = "scenario")]
    pub(super) resume: Option<String>,
    /// Pretend models and GPUs: needs no key, no GPU and no network
    #[arg(long)]
    pub(super) mock: bool,
    /// What the pretended models say; implies --mock
    #[arg(long, value_name = "FILE")]
    pub(super) scenario: Option<PathBuf>,
    /// Show nothing: needs no tmux
    #[arg(long)]
    pub(super) headless: bool,
    /// Return when the org works, and print how to attach
    #[arg(long, conflicts_with = "until")]
    pub(super) detach: bool,
    /// Come back by itself after a reboot: installs a systemd user unit, which `org down` takes away
    #[arg(long, conflicts_with = "until")]
    pub(super) survive: bool,
    /// Wait for this, then bring the run down
    #[arg(long, value_name = "WHEN")]
    pub(super) until: Option<Until>,
}

/// What `up` waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Until {
    /// Nothing is left to do
    Done,
}

/// End a run: no process, socket or lock of it is left
///
/// Experiments that run are interrupted and queued again by `org up --resume`.
#[derive(Debug, Clone, Args)]
pub(super) struct DownArgs {
    /// Which run.
    #[command(flatten)]
    pub(super) run: RunOrArg,
}

/// Show the office of a run
#[derive(Debug, Clone, Args)]
pub(super) struct AttachArgs {
    /// The agent whose pane is chosen
    pub(super) agent: Option<String>,
    /// Which run.
    #[command(flatten)]
    pub(super) run: RunArgs,
}

/// Supervise a run (started by `up`, and by whoever finds the supervisor gone)
#[derive(Debug, Clone, Args)]
pub(super) struct SuperviseArgs {
    /// The run's directory
    pub(super) dir: PathBuf,
    /// What is enforced here, as JSON, where that was found out a moment ago
    #[arg(long, hide = true)]
    pub(super) enforced: Option<String>,
}

/// Be an agent of a run (started by the supervisor)
#[derive(Debug, Clone, Args)]
pub(super) struct AgentArgs {
    /// The run's directory
    pub(super) dir: PathBuf,
    /// The agent's name
    pub(super) name: String,
}

/// Show one seat on a terminal (started in a pane)
#[derive(Debug, Clone, Args)]
pub(super) struct PaneArgs {
    /// The agent's name, or a seat of hq
    pub(super) name: String,
    /// Which run.
    #[command(flatten)]
    pub(super) run: RunArgs,
    /// Nothing else was ever on this terminal
    #[arg(long)]
    pub(super) seated: bool,
}

/// Start one program where it sees only what it may
#[derive(Debug, Clone, Args)]
pub(super) struct ConfineArgs {
    /// What to start and what it may touch, as JSON
    pub(super) text: String,
}

/// Keep one job, described on standard input
#[derive(Debug, Clone, Args)]
pub(super) struct JobArgs {}

/// Serve pretended models on loopback
///
/// Speaks the Anthropic Messages and OpenAI Responses wires and answers from a scenario.
#[derive(Debug, Clone, Args)]
pub(super) struct MockArgs {
    /// What the pretended models say
    #[arg(long, value_name = "FILE", required_unless_present = "dir")]
    pub(super) scenario: Option<PathBuf>,
    /// The port; 0 takes a free one and prints it
    #[arg(long, default_value_t = 0)]
    pub(super) port: u16,
    /// Where positions are kept, so that they survive a restart
    #[arg(long, value_name = "FILE")]
    pub(super) state: Option<PathBuf>,
    /// Serve a run: scenario, roster and positions are its own
    #[arg(long, value_name = "DIR", conflicts_with_all = ["scenario", "state"])]
    pub(super) dir: Option<PathBuf>,
}
