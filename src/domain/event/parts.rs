//! What events carry besides words and numbers: a device, a call, what a run took, the headline.
//!
//! Owns their shape in the log, under the same rule as the kinds: fields are only ever added.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Text;
use super::words::By;
use crate::domain::protocol::Verdict;

/// The GPU an agent is at home on, as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpu {
    /// Index on this machine, which `CUDA_VISIBLE_DEVICES` carries with `PCI_BUS_ID` order.
    pub index: u32,
    /// Its UUID, by which it is leased.
    pub uuid: String,
    /// Whether it is only pretended.
    pub simulated: bool,
}

/// A call as the log keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedCall {
    /// The wire's id.
    pub id: String,
    /// The tool.
    pub name: String,
    /// Its arguments, JSON text.
    pub arguments: Text,
}

/// What a measured run took and gave.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The metric.
    pub value: Option<f64>,
    /// Wall seconds.
    pub wall_s: f64,
    /// CPU seconds, children included.
    pub cpu_s: f64,
    /// GPU seconds: wall seconds times leased GPUs.
    pub gpu_s: f64,
    /// Peak resident memory, MiB.
    pub peak_mem_mb: f64,
    /// Floating-point operations, by the account of `measured_by`.
    pub flops: Option<f64>,
    /// Parameters, likewise.
    pub params: Option<f64>,
    /// Tokens, likewise.
    pub tokens: Option<f64>,
    /// Who printed the metric.
    #[serde(default)]
    pub evaluated_by: By,
    /// Who printed FLOPs, parameters and tokens.
    #[serde(default)]
    pub measured_by: By,
    /// Wall seconds of the harness's own evaluation, which are in no other figure.
    #[serde(default)]
    pub evaluation_s: f64,
}

/// The end-of-run re-measurement, on seeds that nothing was chosen by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Headline {
    /// The commit the run began with.
    pub from: String,
    /// The champion at its end.
    pub to: String,
    /// The comparison.
    pub verdict: Verdict,
}

/// What a run is, as its log begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunMade {
    /// The log's format.
    pub format: u32,
    /// The run's id.
    pub run: String,
    /// The org's name.
    pub org: String,
    /// Whether models are mocked.
    pub mock: bool,
    /// Whether there is no office.
    pub headless: bool,
    /// The program that wrote it.
    pub version: String,
    /// The commit the programme starts from.
    pub base: String,
}

/// Where an agent works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// The agent.
    pub agent: String,
    /// Its GPU.
    pub gpu: Option<Gpu>,
    /// Its branch.
    pub branch: String,
    /// Its worktree, absolute.
    pub worktree: String,
}

/// What the lab was opened with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabMade {
    /// Secret from which seeds are derived.
    pub pool: u64,
    /// Devices that measured runs may lease.
    pub gpus: Vec<Gpu>,
    /// Measured runs at a time.
    pub parallel: u32,
}

/// Where the office was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfficeMade {
    /// The tmux socket.
    pub socket: String,
    /// The tmux session.
    pub session: String,
    /// Pane ids by seat.
    pub panes: BTreeMap<String, String>,
}
