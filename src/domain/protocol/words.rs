//! What is claimed, how it is tested, the numbers a decision rests on, and what the lab does next.
//!
//! Owns these values; what leads to which is the protocol's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::event::{Arm, Kind, Stage, Status};
use crate::domain::stats::Sample;

/// What is claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Claim {
    /// The metric gets better.
    Improve,
    /// It gets worse by less than a margin.
    NoWorse,
    /// An effect is there; nothing is merged.
    Explain,
}

impl Claim {
    /// The words that tools and scripts use.
    pub const NAMES: [&'static str; 3] = ["improve", "no_worse", "explain"];

    /// The claim that a word names.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "improve" => Some(Self::Improve),
            "no_worse" => Some(Self::NoWorse),
            "explain" => Some(Self::Explain),
            _ => None,
        }
    }

    /// The word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Improve => "improve",
            Self::NoWorse => "no_worse",
            Self::Explain => "explain",
        }
    }
}

/// How a claim is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Test {
    /// Same seeds in both arms, differences.
    Paired,
    /// Pooled variance, Welch where spreads differ.
    Pooled,
}

impl Test {
    /// The word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Paired => "paired",
            Self::Pooled => "pooled",
        }
    }
}

/// One look at a confirmation's pairs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// Pairs in all.
    pub seeds: u32,
    /// The level that it spends.
    pub level: f64,
}

/// A part of a change, and the change without it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// As its author named it.
    pub name: String,
    /// The commit that lacks it.
    pub without: String,
}

/// A part that is dropped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trim {
    /// Its name.
    pub part: String,
    /// The commit without it, which is the claim's from here on.
    pub commit: String,
    /// Why, in words.
    pub reason: String,
    /// What is left, against the baseline.
    pub verdict: Verdict,
}

/// Candidate over baseline; none where not measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Ratios {
    /// Wall seconds.
    pub wall: Option<f64>,
    /// GPU seconds.
    pub gpu: Option<f64>,
    /// Peak memory.
    pub peak_mem: Option<f64>,
    /// Floating-point operations.
    pub flops: Option<f64>,
    /// Parameters.
    pub params: Option<f64>,
    /// Tokens.
    pub tokens: Option<f64>,
}

impl Ratios {
    /// By the names that charts use.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        match name {
            "wall" => self.wall,
            "gpu" => self.gpu,
            "peak_mem" => self.peak_mem,
            "flops" => self.flops,
            "params" => self.params,
            "tokens" => self.tokens,
            _ => None,
        }
    }
}

/// The numbers that a decision rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The test, once there was one.
    pub test: Option<Test>,
    /// Mean difference, positive is better.
    pub effect: Option<f64>,
    /// 95 % interval of it.
    pub ci: Option<[f64; 2]>,
    /// One-sided p.
    pub p: Option<f64>,
    /// The metric in the baseline arm.
    pub baseline: Sample,
    /// The metric in the candidate arm.
    pub candidate: Sample,
    /// Costs, candidate over baseline.
    pub ratios: Ratios,
    /// Further seeds that would decide, where it is undecided.
    pub more_seeds: Option<u32>,
    /// All runs it rests on.
    pub runs: Vec<u64>,
}

/// A run that is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// For which claim; none for shared controls.
    pub hypothesis: Option<u64>,
    /// Which arm.
    pub arm: Arm,
    /// What for.
    pub stage: Stage,
    /// The seed.
    pub seed: u64,
    /// What is run.
    pub commit: String,
}

impl Wanted {
    /// The lab's word that it is queued, under this number.
    #[must_use]
    pub fn queued(&self, id: u64) -> Kind {
        Kind::ExperimentQueued {
            id,
            agent: None,
            hypothesis: self.hypothesis,
            arm: self.arm,
            stage: self.stage,
            seed: self.seed,
            commit: self.commit.clone(),
            note: String::new(),
            env: BTreeMap::new(),
            call: None,
        }
    }
}

/// What the lab does next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Queue a run.
    Queue(Wanted),
    /// Fix the test and its looks, the last of which has all seeds.
    Plan(u64, Test, Vec<Look>),
    /// Change a claim's status.
    Move(u64, Status, String, Option<Box<Verdict>>),
    /// Make the commits that each lack one of a claim's parts.
    Split(u64),
    /// Drop a part.
    Trim(u64, Box<Trim>),
    /// Ask a person whether a confirmed claim may be promoted.
    Ask(u64),
    /// Merge a confirmed claim and promote it.
    Promote(u64),
    /// Put confirmed claims on top of each other, to be measured together.
    Stack(Vec<u64>),
    /// Take a claim out of the stack, for this reason.
    Unstack(u64, String),
    /// Merge a stack, this commit, and promote its claims, each with what it does in company.
    PromoteStack(Vec<(u64, String)>, String),
    /// Compare a claim anew on top of the current champion.
    Rebase(u64),
    /// Have the runs of a commit before this one count no more, for this reason.
    Expire(String, u64, String),
    /// Take the newest promotion back, for this reason.
    RollBack(u64, String, Option<Box<Verdict>>),
}
