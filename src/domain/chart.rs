//! The org chart as values: what was asked for, after decoding, with every default filled in.
//!
//! Owns the shape of a chart and its defaults. Decoding from TOML with all problems at once is
//! `decode`'s, judgement across keys is `check`'s. Paths are absolute once decoded. Must not know
//! files, environment, or how anything here is carried out.

mod members;
mod search;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use self::members::{
    Agent, GpuHome, KeySource, Missed, ModelSpec, OnIdle, Party, Price, Process, ProviderSpec,
    Role, Wire,
};
pub use self::search::{DRAWS, Knob, Range, Search};

/// A whole org chart; agents are expanded (`count = 4` has become four).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chart {
    /// The chart format, 1.
    pub version: u32,
    /// The org's name, part of run ids and the tmux session's name.
    pub name: String,
    /// What the org is for, one or a few sentences.
    pub mission: String,
    /// What is being improved.
    pub task: Task,
    /// What it takes to believe a claim.
    pub protocol: Protocol,
    /// Where measured runs go.
    pub compute: Compute,
    /// Caps.
    pub budget: Budget,
    /// The grid of panes.
    pub office: Office,
    /// What happens before a result is landed.
    #[serde(default)]
    pub landing: Landing,
    /// What `--mock` puts in place of things.
    pub mock: MockSpec,
    /// Model servers, the two built-in ones included, by name.
    pub providers: BTreeMap<String, ProviderSpec>,
    /// Models that the built-in table lacks, by name.
    pub models: BTreeMap<String, ModelSpec>,
    /// Roles by name, built-in `researcher` and `chief` included where the chart has none.
    pub roles: BTreeMap<String, Role>,
    /// Agents in chart order.
    pub agents: Vec<Agent>,
    /// Stand-ups, reviews and the like.
    pub processes: Vec<Process>,
    /// What agents do that ask no model.
    #[serde(default)]
    pub search: Search,
}

/// What is being improved, and how that is measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Absolute path or URL of the repository, or of a directory without `.git`.
    pub repo: String,
    /// The branch the programme starts from; none means the branch the repository is on.
    pub base: Option<String>,
    /// Prepares an environment, with network; empty means none.
    pub setup: String,
    /// Files whose hash names an environment.
    pub env_key: Vec<String>,
    /// Environment of measured runs; values may use `$ORG_OUT` and `$ORG_OVERLAY`.
    pub env: BTreeMap<String, String>,
    /// Harness files, protected, found by runs at `$ORG_OVERLAY`.
    pub overlay: Option<PathBuf>,
    /// Read-only data every run may see.
    pub share: Vec<PathBuf>,
    /// The command of one measured run.
    pub run: String,
    /// GPUs per run, leased together.
    pub gpus: u32,
    /// GPUs of a run without a claim; as many as of all others where none is given.
    pub explore_gpus: Option<u32>,
    /// Longest time one run may take.
    pub timeout: Timeout,
    /// The variable that hands the seed to the command.
    pub seed: String,
    /// Whether measured runs may use the network.
    pub network: bool,
    /// What is measured.
    pub metric: Metric,
    /// Regex with two groups, done and total, for progress.
    pub progress: Option<String>,
    /// Text that a run must print to be valid.
    pub must_print: Vec<String>,
    /// Paths that no claim may change; restored before every run.
    pub protect: Vec<String>,
    /// Paths a claim's diff may touch; empty means all that is not protected.
    pub editable: Vec<String>,
    /// Globs of outputs kept after a verdict.
    pub keep: Vec<String>,
    /// The harness's own evaluation, where there is one.
    pub evaluate: Option<String>,
    /// Host paths laid into the evaluation's checkout only.
    pub hidden: Vec<PathBuf>,
    /// Regexes that read measures from the output.
    pub measure: Measures,
}

/// How long a run may take.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Timeout {
    /// Twice the slowest baseline run; one hour before there is one.
    Auto,
    /// Seconds.
    Seconds(f64),
}

/// The task's metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Its name, for people.
    pub name: String,
    /// Which way is better.
    pub goal: Goal,
    /// Regex whose first group is the value.
    pub pattern: String,
    /// Which of several values counts.
    pub take: Take,
}

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    /// Smaller is better.
    Min,
    /// Larger is better.
    Max,
}

/// Which of several printed values counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Take {
    /// There must be exactly one; two make the run invalid.
    Only,
    /// The first.
    First,
    /// The last.
    Last,
    /// The smallest.
    Min,
    /// The largest.
    Max,
}

/// Regexes, each with one group, that read a run's own account of its cost.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Measures {
    /// Floating-point operations of the whole run.
    pub flops: Option<String>,
    /// Parameters of the model.
    pub params: Option<String>,
    /// Training tokens seen.
    pub tokens: Option<String>,
}

/// The axis on which candidate and baseline must agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Axis {
    /// Wall seconds.
    Wall,
    /// GPU seconds.
    Gpu,
    /// Floating-point operations.
    Flops,
    /// Training tokens.
    Tokens,
    /// Parameters.
    Params,
    /// Nothing, for metrics that are themselves a cost.
    None,
}

impl Axis {
    /// All words, in order.
    pub const NAMES: [&'static str; 6] = ["wall", "gpu", "flops", "tokens", "params", "none"];
    const ALL: [Self; 6] = [
        Self::Wall,
        Self::Gpu,
        Self::Flops,
        Self::Tokens,
        Self::Params,
        Self::None,
    ];

    /// The chart's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// The axis that a word names.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::NAMES
            .iter()
            .position(|name| *name == word)
            .map(|at| Self::ALL[at])
    }
}

/// What it takes to believe a claim.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Protocol {
    /// The matched axis.
    pub matched: Axis,
    /// Relative difference allowed on it.
    pub tolerance: f64,
    /// At most these ratios to the baseline, by measure (`wall`, `gpu`, `peak_mem`, `flops`,
    /// `params`, `tokens`).
    pub guards: BTreeMap<String, f64>,
    /// Baseline seeds before any claim is judged, at least 2.
    pub baseline: u32,
    /// Fresh seeds after the screen.
    pub confirm: Confirm,
    /// Level of the one-sided test.
    pub alpha: f64,
    /// Widest margin of a `no_worse` claim, in the metric's unit; none means half the baseline's sd.
    pub margin: Option<f64>,
    /// Seconds a person sees a claim before its first run.
    pub notice: f64,
}

/// How many fresh seeds confirm a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Confirm {
    /// From margin or predicted size, sigma and rho.
    Auto,
    /// This many.
    Seeds(u32),
}

/// Where measured runs go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compute {
    /// `local` or `slurm`.
    pub launcher: String,
    /// Which GPUs.
    pub gpus: GpuRequest,
    /// Measured runs at a time; none means as many as devices and cores bear.
    pub parallel: Option<u32>,
}

/// Which GPUs a chart wants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum GpuRequest {
    /// All that are visible.
    Auto,
    /// These indices.
    Indices(Vec<u32>),
    /// These UUIDs.
    Uuids(Vec<String>),
    /// This many pretended ones.
    Simulate(u32),
}

/// Caps; none means no cap.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// US dollars of model calls.
    pub usd: Option<f64>,
    /// US dollars within any hour.
    pub usd_per_hour: Option<f64>,
    /// GPU hours of measured runs.
    pub gpu_hours: Option<f64>,
    /// Wall seconds from `up`.
    pub wall: Option<f64>,
    /// Bytes of the run directory.
    pub disk: Option<u64>,
}

/// The grid of panes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Office {
    /// Columns and rows of a page; none means tiled.
    pub grid: Option<(u16, u16)>,
    /// What is parked until a person approves.
    pub ask: Vec<Ask>,
    /// Command run with the reason when something needs a person.
    pub notify: Option<String>,
}

/// What a person wants to be asked before.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Ask {
    /// A claim is promoted.
    Promote,
    /// A result is landed.
    Land,
    /// More than this is spent on models since the last approval, US dollars.
    Spend(f64),
}

impl Ask {
    /// What a chart may write, by example.
    pub const EXAMPLES: [&'static str; 3] = ["promote", "land", "spend > 5 usd"];

    /// The policy that a chart's word names, with spaces where people put them.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word.trim() {
            "promote" => return Some(Self::Promote),
            "land" => return Some(Self::Land),
            _ => {}
        }
        let amount = word.trim().strip_prefix("spend")?.trim_start();
        let amount = amount.strip_prefix('>')?.trim_end().strip_suffix("usd")?;
        let usd: f64 = amount.trim().parse().ok()?;
        (usd.is_finite() && usd > 0.0).then_some(Self::Spend(usd))
    }

    /// The chart's word.
    #[must_use]
    pub fn word(self) -> String {
        match self {
            Self::Promote => "promote".to_owned(),
            Self::Land => "land".to_owned(),
            Self::Spend(usd) => format!("spend > {usd} usd"),
        }
    }
}

/// What happens before a result is landed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Landing {
    /// The winner at target scale.
    pub run: Option<String>,
    /// GPUs of that run; as many as of all others where none is given.
    pub gpus: Option<u32>,
}

/// What `--mock` puts in place of things; none keeps the chart's own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MockSpec {
    /// What the pretended models say.
    pub scenario: Option<PathBuf>,
    /// Replaces `task.repo`.
    pub repo: Option<String>,
    /// Replaces `every` of timed processes, in seconds.
    pub every: Option<f64>,
    /// Replaces `task.setup`.
    pub setup: Option<String>,
    /// Replaces `task.run`.
    pub run: Option<String>,
    /// Replaces `task.env`.
    pub env: Option<BTreeMap<String, String>>,
    /// Replaces `task.share`.
    pub share: Option<Vec<PathBuf>>,
    /// Replaces `search.draws`.
    pub draws: Option<u32>,
}

/// A chart's built-in default of `compact_at`, in tokens.
pub const COMPACT_AT: u64 = 120_000;
/// The chart format of this version.
pub const VERSION: u32 = 1;
/// Longest name of an org, agent, role or provider: names become branches, directories, mail
/// addresses and pane titles.
pub const NAME_MAX: usize = 40;
/// The variable that hands over the seed where a chart names none.
pub const SEED_VARIABLE: &str = "ORG_SEED";
/// Variables of measured runs that are the harness's own, so that no chart can unsay a lease.
pub const RESERVED_VARIABLES: [&str; 6] = [
    "ORG_OUT",
    "ORG_OVERLAY",
    "ORG_RUN",
    "ORG_AGENT",
    "CUDA_VISIBLE_DEVICES",
    "CUDA_DEVICE_ORDER",
];
/// Names that no agent may have, since mail and log use them.
pub const RESERVED_NAMES: [&str; 6] = ["human", "lab", "supervisor", "all", "org", "mock"];

impl Chart {
    /// The agent of that name.
    #[must_use]
    pub fn agent(&self, name: &str) -> Option<&Agent> {
        self.agents.iter().find(|agent| agent.name == name)
    }

    /// The role of an agent; charts are checked, so it exists.
    #[must_use]
    pub fn role_of(&self, agent: &Agent) -> &Role {
        &self.roles[&agent.role]
    }

    /// The chart with `[mock]` put in place of what it replaces.
    #[must_use]
    pub fn mocked(mut self) -> Self {
        let mock = self.mock.clone();
        if let Some(repo) = mock.repo {
            self.task.repo = repo;
        }
        if let Some(setup) = mock.setup {
            self.task.setup = setup;
        }
        if let Some(run) = mock.run {
            self.task.run = run;
        }
        if let Some(env) = mock.env {
            self.task.env = env;
        }
        if let Some(share) = mock.share {
            self.task.share = share;
        }
        if let Some(draws) = mock.draws {
            self.search.draws = draws;
        }
        if let Some(every) = mock.every {
            for process in &mut self.processes {
                if process.at.take().is_some() || process.every.is_some() {
                    process.every = Some(every);
                }
            }
        }
        self
    }
}
