//! What it takes to believe a claim: the way from `registered` to `promoted` and its exits.
//!
//! Owns the protocol. [`steps`] compares the claims with the runs there are and says what the lab does
//! next; asked again after every event, it needs no queue and no memory of its own, and recovery after
//! a crash is the same question. Screening seeds are never reused for confirmation (selection bias);
//! control runs are shared by commit and seed. Must not know how anything is run or merged.

mod ablate;
mod admission;
mod ahead;
#[cfg(test)]
mod bench;
mod claim;
mod closing;
mod compare;
mod confirm;
mod early;
mod hidden;
mod multiplicity;
mod prospect;
mod provenance;
mod recount;
mod review;
mod settle;
mod stack;
mod stale;
mod words;

use std::collections::BTreeMap;

use super::approval::{self, Gate};
use super::chart::Chart;
use super::event::{Stage, Status};
use super::state::{Experiment, State};

pub use admission::known;
pub use ahead::{Ahead, ahead};
pub use closing::{closing, headline, measured};
pub use early::{Bounds, bounds};
pub use multiplicity::{Judged, Multiplicity, multiplicity};
pub use prospect::{Cost, Needed, Noise, Prospect, blind, prospect};
pub use words::{Claim, Look, Part, Ratios, Step, Test, Trim, Verdict, Wanted};

/// Where the pool's seeds of each use begin, so that no two uses share one.
const CONFIRM_SEEDS: u64 = 1_000;
const CONFIRM_STRIDE: u64 = 1_000;
const VAULT_SEEDS: u64 = 1_000_000;
const GENERATION_SEEDS: u64 = 2_000_000;
const GENERATION_STRIDE: u64 = 1_000_000;

/// The seed of a use, from the pool: SplitMix64 (Steele, Lea and Flood 2014), cut to 31 bits since
/// many harnesses take a signed 32-bit seed.
#[must_use]
pub fn seed(pool: u64, index: u64) -> u64 {
    let mut z = pool.wrapping_add((index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (z ^ (z >> 31)) & 0x7FFF_FFFF
}

/// Everything the lab could do now. Steps that were already taken are not named again, since what they
/// led to stands in the state.
#[must_use]
pub fn steps(chart: &Chart, state: &State) -> Vec<Step> {
    let Some(pool) = state.pool else {
        return Vec::new();
    };
    let view = View { chart, state, pool };
    let mut steps = view.admission(&state.start, true);
    steps.extend(view.settle());
    for claim in state.hypotheses.values().filter(|claim| !claim.is_final()) {
        match &claim.withdrawn {
            Some(why) => steps.push(Step::Move(claim.id, Status::Withdrawn, why.clone(), None)),
            None => steps.extend(view.claim(claim)),
        }
    }
    steps.extend(view.late_reviews());
    steps.dedup();
    let mut seen: Vec<Wanted> = Vec::new();
    steps.retain(|step| match step {
        Step::Queue(wanted) if wanted.hypothesis.is_none() => {
            let twice = wanted.stage == Stage::Admission;
            if !twice && seen.contains(wanted) {
                return false;
            }
            seen.push(wanted.clone());
            true
        }
        _ => true,
    });
    let mut steps = steps
        .into_iter()
        .filter_map(|step| asked(chart, state, step))
        .collect();
    view.together(&mut steps);
    steps
}

/// A promotion as far as a person lets it be one.
fn asked(chart: &Chart, state: &State, step: Step) -> Option<Step> {
    let Step::Promote(id) = step else {
        return Some(step);
    };
    match approval::promotion(chart, state, id) {
        Gate::Open => Some(step),
        Gate::Ask => Some(Step::Ask(id)),
        Gate::Parked(_) => None,
        Gate::Denied(why) => {
            let why = if why.is_empty() {
                "denied by a person".to_owned()
            } else {
                format!("denied by a person: {why}")
            };
            Some(Step::Move(id, Status::Vetoed, why, None))
        }
    }
}

struct View<'a> {
    chart: &'a Chart,
    state: &'a State,
    pool: u64,
}

impl View<'_> {
    /// Runs of a commit on a seed, in order; those evaluated with hidden data are a kind of their own.
    fn runs(&self, commit: &str, seed: u64, stage: Stage) -> Vec<&Experiment> {
        let hidden = stage == Stage::Hidden;
        let from = self.state.expired.get(commit).copied().unwrap_or(0);
        let of = |run: &&Experiment| {
            run.commit == commit
                && run.id >= from
                && run.seed == seed
                && run.agent.is_none()
                && run.env.is_empty()
                && (run.stage == Stage::Hidden) == hidden
        };
        self.state.experiments.values().filter(of).collect()
    }
}

/// Counts of claims by status word, for views.
#[must_use]
pub fn tally(state: &State) -> BTreeMap<&'static str, u32> {
    let mut counts = BTreeMap::new();
    for claim in state.hypotheses.values() {
        *counts.entry(claim.status.word()).or_insert(0) += 1;
    }
    counts
}
