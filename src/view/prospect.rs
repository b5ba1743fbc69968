//! What a budget can decide, for people and for scripts: `org plan`.
//!
//! Owns the page and the names of its JSON. What is not known is null. Must not know the arithmetic.

use std::fmt::Write as _;

use serde::Serialize;

use super::figure;
use crate::domain::chart::Chart;
use crate::domain::event::{Arm, RunStatus};
use crate::domain::protocol::{Needed, Noise, Prospect};
use crate::domain::state::{Experiment, State};
use crate::domain::stats::Sample;

/// Means over the baseline runs that were looked at.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Measured {
    /// How many.
    pub runs: u32,
    /// The run whose admission this is; null where they were measured for the plan.
    pub from: Option<String>,
    /// The metric.
    pub metric: Option<f64>,
    /// Wall seconds of one.
    pub wall_s: f64,
    /// CPU seconds of one.
    pub cpu_s: f64,
    /// GPU seconds of one.
    pub gpu_s: f64,
    /// Peak memory, MiB.
    pub peak_mem_mb: f64,
    /// Floating-point operations.
    pub flops: Option<f64>,
    /// Parameters.
    pub params: Option<f64>,
    /// Tokens.
    pub tokens: Option<f64>,
}

impl Measured {
    /// Of a run's baseline.
    #[must_use]
    pub fn of(state: &State, from: Option<String>) -> Self {
        let runs: Vec<&Experiment> = state
            .experiments
            .values()
            .filter(|run| run.arm == Arm::Baseline && run.commit == state.start)
            .filter(|run| run.status == RunStatus::Ok)
            .collect();
        let mean = |of: &dyn Fn(&Experiment) -> Option<f64>| {
            let values: Vec<f64> = runs.iter().filter_map(|run| of(run)).collect();
            (!values.is_empty()).then(|| Sample::of(&values).mean)
        };
        let known = |of: &dyn Fn(&Experiment) -> f64| mean(&|run| Some(of(run))).unwrap_or(0.0);
        Self {
            runs: u32::try_from(runs.len()).unwrap_or(u32::MAX),
            from,
            metric: mean(&|run| run.measured.value),
            wall_s: known(&|run| run.measured.wall_s),
            cpu_s: known(&|run| run.measured.cpu_s),
            gpu_s: known(&|run| run.measured.gpu_s),
            peak_mem_mb: known(&|run| run.measured.peak_mem_mb),
            flops: mean(&|run| run.measured.flops),
            params: mean(&|run| run.measured.params),
            tokens: mean(&|run| run.measured.tokens),
        }
    }
}

/// An effect with the seeds that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Size {
    sigmas: Option<f64>,
    effect: Option<f64>,
    seeds: u32,
    gpu_hours: f64,
    hours: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct NoiseFound {
    n: u32,
    sigma: f64,
    test: &'static str,
    /// Difference of two runs on one seed.
    same_seed: Option<f64>,
    /// Two-sided p of the baseline against itself.
    a_a: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Budget {
    gpu_hours: Option<f64>,
    wall_s: Option<f64>,
    usd: Option<f64>,
    limited_by: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Takes {
    admission: u32,
    controls: u32,
    claim: u32,
    closing: u32,
}

/// The page.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Page {
    org: String,
    metric: String,
    alpha: f64,
    power: f64,
    measured: Measured,
    /// Null where fewer than two runs are known.
    noise: Option<NoiseFound>,
    budget: Budget,
    takes: Takes,
    /// Runs that the budget buys.
    runs: Option<u64>,
    /// Claims that it takes all the way.
    claims: Option<u64>,
    /// GPU hours of one claim that goes all the way.
    gpu_hours_per_claim: f64,
    /// Dollars for models that the budget leaves for each of those claims.
    usd_per_claim: Option<f64>,
    smallest_effect: Size,
    sizes: Vec<Size>,
    margin: Option<Size>,
    warnings: Vec<String>,
}

impl Page {
    /// Of a chart, what was measured, and what follows.
    #[must_use]
    pub fn new(
        chart: &Chart,
        measured: &Measured,
        noise: Option<Noise>,
        prospect: &Prospect,
    ) -> Self {
        let size = |needed: &Needed| Size {
            sigmas: (needed.sigmas < f64::MAX).then_some(needed.sigmas),
            effect: needed.effect,
            seeds: needed.seeds,
            gpu_hours: 2.0 * f64::from(needed.seeds) * measured.gpu_s / 3600.0,
            hours: 2.0 * f64::from(needed.seeds) * measured.wall_s / 3600.0,
        };
        let per_claim = f64::from(prospect.claim + prospect.controls);
        let claims = prospect.claims.filter(|claims| *claims > 0);
        Self {
            org: chart.name.clone(),
            metric: chart.task.metric.name.clone(),
            alpha: chart.protocol.alpha,
            power: 0.9,
            measured: measured.clone(),
            noise: noise.map(|noise| NoiseFound {
                n: noise.n,
                sigma: noise.sigma,
                test: if noise.paired { "paired" } else { "pooled" },
                same_seed: noise.same_seed,
                a_a: noise.a_a,
            }),
            budget: Budget {
                gpu_hours: chart.budget.gpu_hours,
                wall_s: chart.budget.wall,
                usd: chart.budget.usd,
                limited_by: prospect.runs.map(|(_, what)| what),
            },
            takes: Takes {
                admission: prospect.admission,
                controls: prospect.controls,
                claim: prospect.claim,
                closing: prospect.closing,
            },
            runs: prospect.runs.map(|(runs, _)| runs),
            claims: prospect.claims,
            gpu_hours_per_claim: per_claim * measured.gpu_s / 3600.0,
            usd_per_claim: chart
                .budget
                .usd
                .zip(claims)
                .map(|(usd, claims)| usd / claims as f64),
            smallest_effect: size(&prospect.smallest),
            sizes: prospect.sizes.iter().map(size).collect(),
            margin: prospect.margin.as_ref().map(size),
            warnings: prospect.warnings.clone(),
        }
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        let mut line = |text: String| writeln!(out, "{text}").expect("a string takes everything");
        let measured = &self.measured;
        let whose = measured.from.as_ref().map_or_else(
            || "measured now".to_owned(),
            |run| format!("from the admission of {run}"),
        );
        let value = measured.metric.map(figure::number).unwrap_or_default();
        line(format!(
            "baseline   {} {value}, {} run{}, {whose}",
            self.metric,
            measured.runs,
            if measured.runs == 1 { "" } else { "s" }
        ));
        line(format!(
            "one run    {}, {} GPU seconds, {:.0} MiB",
            figure::span(measured.wall_s),
            figure::number(measured.gpu_s),
            measured.peak_mem_mb
        ));
        match &self.noise {
            Some(noise) if noise.sigma <= 0.0 => {
                line("noise      none: every difference counts".to_owned());
            }
            Some(noise) => line(format!(
                "noise      sigma {} over {} seeds; arms are compared {}",
                figure::number(noise.sigma),
                noise.n,
                if noise.test == "paired" {
                    "seed by seed"
                } else {
                    "unpaired"
                }
            )),
            None => line(
                "noise      not known from one run; org plan CHART --runs 6 measures it".to_owned(),
            ),
        }
        if let Some(p) = self.noise.as_ref().and_then(|noise| noise.a_a) {
            line(format!(
                "A/A        one half of the baseline against the other: p {}",
                figure::probability(p)
            ));
        }
        match (self.runs, self.claims) {
            (Some(runs), Some(claims)) => line(format!(
                "budget     {runs} runs ({} ends first): {claims} claims all the way",
                self.budget.limited_by.unwrap_or("nothing")
            )),
            _ => line("budget     no cap on GPU hours or wall time".to_owned()),
        }
        let takes = &self.takes;
        line(format!(
            "takes      {} runs of admission, {} shared controls, {} a claim, {} at the end",
            takes.admission, takes.controls, takes.claim, takes.closing
        ));
        if let Some(usd) = self.usd_per_claim {
            line(format!("models     {usd:.2} usd for each of those claims"));
        }
        line(format!("smallest   {}", self.effect(&self.smallest_effect)));
        if let Some(margin) = &self.margin {
            line(format!("margin     {}", self.effect(margin)));
        }
        line("\nEFFECT (nine times in ten, at the chart's level)".to_owned());
        for size in &self.sizes {
            line(format!("  {}", self.effect(size)));
        }
        out
    }

    fn effect(&self, size: &Size) -> String {
        let sigmas = size
            .sigmas
            .map(|sigmas| format!("{} sigma", figure::number(sigmas)));
        let value = size
            .effect
            .map(|effect| format!("{} {}", self.metric, figure::number(effect)));
        let what = match (value, sigmas) {
            (Some(value), Some(sigmas)) => format!("{value} ({sigmas})"),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => "nothing".to_owned(),
        };
        format!(
            "{what}: {} seeds an arm, {} GPU hours, {}",
            size.seeds,
            figure::number(size.gpu_hours),
            figure::span(size.hours * 3600.0)
        )
    }
}
