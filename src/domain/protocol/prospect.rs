//! What a budget can decide, said before it is spent.
//!
//! Owns the arithmetic of `org plan`: runs that a programme takes, the smallest effect that its seeds
//! find, the seeds that a margin needs. From what one run costs and, where it is known, from the noise
//! of an admission. Must not know how either was measured.

use super::claim::SCREEN_SIGMAS;
use super::compare::PLANNED_RHO;
use super::confirm::AUTO_SEEDS;
use crate::domain::chart::{Chart, Confirm};
use crate::domain::stats::{self, figure};

/// Sizes of effects, in sigmas, for which seeds are named.
const SIZES: [f64; 5] = [3.0, 2.0, 1.5, 1.0, 0.5];
/// Smallest effect, in sigmas, above which a chart decides next to nothing.
const BLIND: f64 = 10.0;

/// What one run takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// Wall seconds.
    pub wall_s: f64,
    /// GPU seconds; 0 without GPUs.
    pub gpu_s: f64,
}

/// What is known of a task's noise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Noise {
    /// Baseline runs that it rests on.
    pub n: u32,
    /// Their standard deviation, in the metric's unit.
    pub sigma: f64,
    /// Whether the same seed gave the same again, so that arms are paired.
    pub paired: bool,
    /// How far two runs on one seed were apart; none where no seed was run twice.
    pub same_seed: Option<f64>,
    /// Two-sided p of one half of them against the other, which are the same: small is a bad sign. None
    /// for fewer than four.
    pub a_a: Option<f64>,
}

/// Seeds that an effect needs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Needed {
    /// The effect, in sigmas.
    pub sigmas: f64,
    /// In the metric's unit; none where sigma is not known.
    pub effect: Option<f64>,
    /// Seeds in each arm.
    pub seeds: u32,
}

/// What a budget can decide.
#[derive(Debug, Clone, PartialEq)]
pub struct Prospect {
    /// Runs before any claim is judged.
    pub admission: u32,
    /// Runs of a claim that goes all the way, its screen included and shared controls left out.
    pub claim: u32,
    /// Control runs that all claims on one champion share.
    pub controls: u32,
    /// Runs that re-measure the gain at the end.
    pub closing: u32,
    /// Seeds of a confirmation, at most.
    pub seeds: u32,
    /// Runs that the budget buys, and what ends first; none where nothing caps them.
    pub runs: Option<(u64, &'static str)>,
    /// Claims that it takes all the way.
    pub claims: Option<u64>,
    /// The smallest effect that passes the screen and a confirmation nine times in ten.
    pub smallest: Needed,
    /// Seeds for some sizes of effects.
    pub sizes: Vec<Needed>,
    /// Seeds for the chart's margin; none without one, or where sigma is not known.
    pub margin: Option<Needed>,
    /// What cannot be decided as set, in words.
    pub warnings: Vec<String>,
}

/// Seeds of a confirmation, at most.
fn seeds(chart: &Chart) -> u32 {
    match chart.protocol.confirm {
        Confirm::Seeds(n) => n.max(2),
        Confirm::Auto => AUTO_SEEDS.1,
    }
}

/// Why a chart decides next to nothing, whatever its task's noise is: for `check`.
#[must_use]
pub fn blind(chart: &Chart) -> Option<String> {
    let (n, alpha) = (seeds(chart), chart.protocol.alpha);
    let smallest = stats::smallest_effect(alpha, 1.0, PLANNED_RHO, n);
    (smallest > BLIND).then(|| {
        format!(
            "{n} seeds at level {alpha} confirm only what is more than {smallest:.0} times the noise"
        )
    })
}

/// What the budget of a chart can decide.
#[must_use]
pub fn prospect(chart: &Chart, cost: Cost, noise: Option<Noise>) -> Prospect {
    let protocol = &chart.protocol;
    let rho = match noise {
        Some(noise) if !noise.paired => 0.0,
        _ => PLANNED_RHO,
    };
    let sigma = noise.map(|noise| noise.sigma);
    let seeds = seeds(chart);
    let needed = |sigmas: f64| Needed {
        sigmas,
        effect: sigma.map(|sigma| sigma * sigmas),
        seeds: stats::seeds_needed(protocol.alpha, 1.0, rho, sigmas),
    };
    let smallest = Needed {
        seeds,
        ..needed(stats::smallest_screened(
            protocol.alpha,
            1.0,
            rho,
            seeds,
            SCREEN_SIGMAS,
        ))
    };
    let margin = protocol.margin.zip(sigma).map(|(margin, sigma)| Needed {
        sigmas: if sigma > 0.0 {
            margin / sigma
        } else {
            f64::MAX
        },
        effect: Some(margin),
        seeds: stats::seeds_needed(protocol.alpha, sigma, rho, margin),
    });
    let runs = affordable(chart, cost);
    let (admission, claim) = (protocol.baseline + 1, 1 + seeds);
    let closing = 2 * protocol.baseline;
    let fixed = u64::from(admission + seeds + closing);
    let claims = runs.map(|(runs, _)| runs.saturating_sub(fixed) / u64::from(claim));
    let mut prospect = Prospect {
        admission,
        claim,
        controls: seeds,
        closing,
        seeds,
        runs,
        claims,
        smallest,
        sizes: SIZES.map(needed).to_vec(),
        margin,
        warnings: Vec::new(),
    };
    prospect.warnings = warnings(chart, &prospect, noise);
    prospect
}

fn warnings(chart: &Chart, prospect: &Prospect, noise: Option<Noise>) -> Vec<String> {
    // Without noise everything is decided.
    let still = prospect.smallest.effect == Some(0.0);
    let mut warnings: Vec<String> = blind(chart).into_iter().filter(|_| !still).collect();
    if let Some(p) = noise
        .and_then(|noise| noise.a_a)
        .filter(|p| *p < chart.protocol.alpha)
    {
        warnings.push(format!(
            "the baseline differs from itself, p = {}: what else ran on this machine?",
            figure(p)
        ));
    }
    if let Some(margin) = prospect
        .margin
        .filter(|margin| margin.seeds > prospect.seeds)
    {
        warnings.push(format!(
            "a no_worse claim at margin {} needs {} seeds an arm, and protocol.confirm gives {}",
            figure(margin.effect.unwrap_or(0.0)),
            margin.seeds,
            prospect.seeds
        ));
    }
    if let (Some((runs, what)), Some(0)) = (prospect.runs, prospect.claims) {
        let needed = prospect.admission + prospect.controls + prospect.closing + prospect.claim;
        warnings.push(format!(
            "{what} buys {runs} runs, and one claim, with baseline and closing, takes {needed}"
        ));
    }
    warnings
}

/// Runs that the budget buys, and the cap that ends first.
fn affordable(chart: &Chart, cost: Cost) -> Option<(u64, &'static str)> {
    let count = |all: f64, each: f64| (each > 0.0).then(|| (all / each).floor() as u64);
    let by_gpu = chart
        .budget
        .gpu_hours
        .and_then(|hours| count(hours * 3600.0, cost.gpu_s));
    let lanes = f64::from(chart.compute.parallel.unwrap_or(1).max(1));
    let by_wall = chart
        .budget
        .wall
        .and_then(|wall| count(wall * lanes, cost.wall_s));
    let named = [
        by_gpu.map(|runs| (runs, "budget.gpu_hours")),
        by_wall.map(|runs| (runs, "budget.wall")),
    ];
    named.into_iter().flatten().min_by_key(|(runs, _)| *runs)
}
