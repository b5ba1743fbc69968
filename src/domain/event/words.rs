//! The words that events, ledger and scripts share: what a run is for, how runs and claims stand.
//!
//! Owns the closed lists and their spelling, which is fixed: scripts read it. What leads from one word
//! to the next is `protocol`'s.

use serde::{Deserialize, Serialize};

/// Why an agent takes a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Its first turn ever.
    First,
    /// Mail came.
    Mail,
    /// Its role continues when idle.
    Idle,
}

/// How a call may be treated after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Only reads: done again.
    Read,
    /// Has a key: looked up and finished.
    Keyed,
    /// Opaque: never done again, its outcome is unknown.
    Opaque,
}

/// Which arm of a comparison a run belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arm {
    /// What is there.
    Baseline,
    /// What is claimed to be better.
    Candidate,
}

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The baseline before any claim.
    Admission,
    /// The first look at a candidate's cost.
    Smoke,
    /// The first look at its gain.
    Screen,
    /// Fresh seeds.
    Confirm,
    /// The hidden evaluation.
    Hidden,
    /// Leaving parts out.
    Ablate,
    /// The baseline anew after a promotion.
    Rebaseline,
    /// The end's re-measurement on vault seeds.
    Closing,
    /// An agent looking around, without a claim.
    Explore,
}

/// Who a figure comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// The measured program printed it itself.
    #[default]
    Candidate,
    /// The harness's own evaluation did.
    Harness,
}

impl By {
    /// The word that scripts read.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Candidate => "candidate",
            Self::Harness => "harness",
        }
    }
}

/// How a run stands or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// Waits for a device.
    Queued,
    /// Runs.
    Running,
    /// Ended with a metric.
    Ok,
    /// Ended with an error of its own.
    Crashed,
    /// Took too long.
    Timeout,
    /// Ran out of memory.
    Oom,
    /// Ended, but what it printed cannot be used.
    Invalid,
    /// Shared its device with somebody.
    Contended,
    /// Cut short by `org`, a reboot or a person; queued again.
    Interrupted,
    /// Called off.
    Cancelled,
}

impl RunStatus {
    /// The word that scripts read.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Ok => "ok",
            Self::Crashed => "crashed",
            Self::Timeout => "timeout",
            Self::Oom => "oom",
            Self::Invalid => "invalid",
            Self::Contended => "contended",
            Self::Interrupted => "interrupted",
            Self::Cancelled => "cancelled",
        }
    }
}

/// How a hypothesis stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Written down; nothing has run.
    Registered,
    /// Its cost matches.
    Smoke,
    /// One seed looks good.
    Screened,
    /// Fresh seeds agree.
    Confirmed,
    /// Somebody else has looked at it.
    Reviewed,
    /// Merged into the programme.
    Promoted,
    /// Refused by lint.
    Rejected,
    /// The matched axis or a guard differs.
    Mismatched,
    /// No gain at the screen.
    Parked,
    /// The interval excludes what was claimed.
    Refuted,
    /// The interval does not decide.
    Undecided,
    /// A reviewer objected.
    Vetoed,
    /// Its author took it back.
    Withdrawn,
    /// Its runs crash.
    Crashed,
    /// Its runs cannot be used.
    Invalid,
    /// Its runs could not be had undisturbed.
    Contended,
    /// Promoted, and found wanting afterwards.
    RolledBack,
}

impl Status {
    /// All statuses, in the order of this enum.
    pub const ALL: [Self; 17] = [
        Self::Registered,
        Self::Smoke,
        Self::Screened,
        Self::Confirmed,
        Self::Reviewed,
        Self::Promoted,
        Self::Rejected,
        Self::Mismatched,
        Self::Parked,
        Self::Refuted,
        Self::Undecided,
        Self::Vetoed,
        Self::Withdrawn,
        Self::Crashed,
        Self::Invalid,
        Self::Contended,
        Self::RolledBack,
    ];

    /// The word that scripts read.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Smoke => "smoke",
            Self::Screened => "screened",
            Self::Confirmed => "confirmed",
            Self::Reviewed => "reviewed",
            Self::Promoted => "promoted",
            Self::Rejected => "rejected",
            Self::Mismatched => "mismatched",
            Self::Parked => "parked",
            Self::Refuted => "refuted",
            Self::Undecided => "undecided",
            Self::Vetoed => "vetoed",
            Self::Withdrawn => "withdrawn",
            Self::Crashed => "crashed",
            Self::Invalid => "invalid",
            Self::Contended => "contended",
            Self::RolledBack => "rolled_back",
        }
    }

    /// Whether the claim has left the way to promotion.
    #[must_use]
    pub fn is_exit(self) -> bool {
        self > Self::Promoted
    }
}
