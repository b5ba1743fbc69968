//! What events carry besides words and numbers: a device, a call, what a run took, the headline.
//!
//! Owns their shape in the log, under the same rule as the kinds: fields are only ever added.

use serde::{Deserialize, Serialize};

use super::Text;
use super::words::By;
use crate::domain::protocol::Verdict;

/// A GPU, as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpu {
    /// Index on this machine, which `CUDA_VISIBLE_DEVICES` carries with `PCI_BUS_ID` order.
    pub index: u32,
    /// Its UUID, by which it is leased.
    pub uuid: String,
    /// Whether it is only pretended.
    pub simulated: bool,
}

/// What a person is asked about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "lowercase")]
pub enum Matter {
    /// Promoting a claim.
    Promote {
        /// Which.
        hypothesis: u64,
    },
    /// Landing a promoted claim in the user's repository.
    Land {
        /// Which.
        hypothesis: u64,
    },
    /// Spending on, past what the chart names.
    Spend {
        /// The agent whose request would have passed it.
        agent: String,
    },
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
    /// Seconds for which it was frozen, which its wall seconds leave out.
    #[serde(default, skip_serializing_if = "none_at_all")]
    pub frozen_s: f64,
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
    /// Mean utilisation of its devices, per cent, where the driver tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_util: Option<f64>,
    /// Most memory that its processes held on its devices, MiB, where the driver tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_gpu_mb: Option<f64>,
    /// Share of the time in which its threads could have run that they waited for a processor, where the
    /// kernel tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_wait: Option<f64>,
    /// Wall seconds of the harness's own evaluation, which are in no other figure.
    #[serde(default)]
    pub evaluation_s: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn none_at_all(seconds: &f64) -> bool {
    *seconds == 0.0
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
