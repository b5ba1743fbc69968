//! What one run of an organisation achieved, at what cost and under which conditions: the unit in which
//! organisations are compared.
//!
//! Owns which figures there are and what each means. The gain is the one that was re-measured at the
//! end on seeds that chose nothing, and where that was not done there is none: a sum of accepted
//! differences is never called a gain. Must not know other runs, nor how any of it is shown.

use jiff::Timestamp;

use super::chart::{Chart, Confirm, Goal};
use super::event::{RunStatus, Status};
use super::protocol;
use super::state::{Hypothesis, State};
use super::stats::figure;
use super::{budget, lease};

/// Seconds an hour.
const HOUR_S: f64 = 3600.0;

/// What models a run of a scripted organisation had.
pub const SCRIPTED: &str = "none: scripted";

/// What was spent by some time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Spent {
    /// Measured runs that ended.
    pub runs: f64,
    /// Hours since the run began.
    pub wall_h: f64,
    /// Hours of GPUs in measured runs.
    pub gpu_h: f64,
    /// US dollars of models.
    pub usd: f64,
}

/// What is spent, as something that gains are held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// Hours of the clock.
    Wall,
    /// Hours of GPUs.
    Gpu,
    /// US dollars.
    Usd,
}

impl Cost {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 3] = [Self::Wall, Self::Gpu, Self::Usd];

    /// How much of it.
    #[must_use]
    pub fn of(self, spent: Spent) -> f64 {
        match self {
            Self::Wall => spent.wall_h,
            Self::Gpu => spent.gpu_h,
            Self::Usd => spent.usd,
        }
    }
}

/// The gain of a whole run, re-measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gain {
    /// In the metric's unit, positive is better.
    pub value: f64,
    /// Its 95 % interval, by the seeds of the one run; none where nothing was promoted, since no gain is
    /// then a fact and no estimate.
    pub ci: Option<[f64; 2]>,
}

/// How many promotions were true, where the truth is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truth {
    /// Promotions of what is no improvement.
    pub wrong: u32,
    /// All promotions.
    pub promotions: u32,
}

/// What runs must have in common to be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// What is being improved, and how that is measured.
    Task,
    /// Whether models were pretended.
    Models,
    /// What it took to believe a claim.
    Protocol,
    /// What might be spent.
    Budget,
    /// What it ran on.
    Devices,
}

impl Condition {
    /// All of them, the gravest first.
    pub const ALL: [Self; 5] = [
        Self::Task,
        Self::Models,
        Self::Protocol,
        Self::Budget,
        Self::Devices,
    ];

    /// Its name.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Models => "models",
            Self::Protocol => "protocol",
            Self::Budget => "budget",
            Self::Devices => "devices",
        }
    }

    /// Whether a difference leaves nothing to compare: gains on two tasks have no common unit, and
    /// pretended models are no organisation.
    #[must_use]
    pub fn forbids(self) -> bool {
        matches!(self, Self::Task | Self::Models)
    }
}

/// One run of an organisation.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Its id.
    pub run: String,
    /// The org's name.
    pub org: String,
    /// Its conditions, in the order of [`Condition::ALL`].
    pub conditions: [String; 5],
    /// The metric's name.
    pub metric: String,
    /// Standard deviation of the baseline, in the metric's unit; none before it was measured.
    pub sigma: Option<f64>,
    /// The re-measured gain; none where it was not re-measured.
    pub gain: Option<Gain>,
    /// Sum of what the standing promotions had measured themselves.
    pub reported: f64,
    /// The re-measured gain as it grew: what was spent by each standing promotion, and the gain from
    /// there on. Its shape is the promotions', its height the re-measured gain's.
    pub rises: Vec<(Spent, f64)>,
    /// What was spent in all, up to the last thing that was measured, paid for or judged.
    pub spent: Spent,
    /// Standing promotions.
    pub promoted: u32,
    /// Promotions taken back.
    pub rolled_back: u32,
    /// Claims, refused ones too.
    pub claims: u32,
    /// Runs that crashed, were invalid or disturbed, as a share of all that ended.
    pub wasted: Option<f64>,
    /// Share of the GPU time there was that measured runs used; none without GPUs.
    pub utilisation: Option<f64>,
    /// How often a person stepped in.
    pub interventions: u32,
    /// How many promotions were true; none where the truth is not known.
    pub truth: Option<Truth>,
}

/// What a run achieved.
#[must_use]
pub fn of(chart: &Chart, state: &State) -> Outcome {
    let end = last_deed(state);
    let spent = end.map_or_else(Spent::default, |end| spent(state, end));
    let gain = gain(state);
    let claims = state.hypotheses.values();
    let count = |status: Status| claims.clone().filter(|it| it.status == status).count() as u32;
    Outcome {
        run: state.run.clone(),
        org: state.org.clone(),
        conditions: Condition::ALL.map(|one| condition(chart, state, one)),
        metric: chart.task.metric.name.clone(),
        sigma: protocol::known(state)
            .and_then(|(_, noise)| noise)
            .map(|noise| noise.sigma),
        gain,
        reported: standing(state).filter_map(effect).sum::<f64>() + 0.0,
        rises: gain.map_or_else(Vec::new, |gain| rises(state, gain.value)),
        spent,
        promoted: count(Status::Promoted),
        rolled_back: count(Status::RolledBack),
        claims: claims.len() as u32,
        wasted: wasted(state),
        utilisation: utilisation(state, spent),
        interventions: state.interventions,
        truth: None,
    }
}

/// What was spent by a time.
#[must_use]
pub fn spent(state: &State, at: Timestamp) -> Spent {
    let ended = state
        .experiments
        .values()
        .filter(|run| run.finished_at.is_some_and(|end| end <= at));
    let (mut runs, mut gpu_s) = (0.0, 0.0);
    for run in ended {
        runs += 1.0;
        gpu_s += run.measured.gpu_s;
    }
    let settled = state.spending.iter().filter(|(when, _)| *when <= at);
    let usd: f64 = settled.map(|(_, usd)| usd).sum();
    let wall_s = state
        .created
        .map_or(0.0, |from| at.duration_since(from).as_secs_f64().max(0.0));
    Spent {
        runs,
        wall_h: wall_s / HOUR_S,
        gpu_h: gpu_s / HOUR_S,
        usd: usd + 0.0,
    }
}

/// When something was last measured, paid for or judged: a run that was left standing after its end cost
/// nothing more.
fn last_deed(state: &State) -> Option<Timestamp> {
    let runs = state.experiments.values().filter_map(|run| run.finished_at);
    let paid = state.spending.iter().map(|(at, _)| *at);
    let judged = state.hypotheses.values().map(|claim| claim.since);
    runs.chain(paid).chain(judged).max()
}

/// Promotions that stand, in order.
fn standing(state: &State) -> impl Iterator<Item = &Hypothesis> {
    let claims = state.promotions.iter();
    let claims = claims.filter_map(|(id, ..)| state.hypotheses.get(id));
    claims.filter(|claim| claim.status == Status::Promoted)
}

fn effect(claim: &Hypothesis) -> Option<f64> {
    claim.verdict.as_ref()?.effect
}

/// The gain, where it is known of the champion that stands. Nothing promoted is no gain, which is known
/// without measuring.
fn gain(state: &State) -> Option<Gain> {
    if state.champion == state.start {
        return Some(Gain {
            value: 0.0,
            ci: None,
        });
    }
    let headline = state.headline.as_ref()?;
    let of_champion = headline.to == state.champion;
    let verdict = of_champion.then_some(&headline.verdict)?;
    let bounded = |ci: &[f64; 2]| ci.iter().all(|end| end.abs() < f64::MAX);
    Some(Gain {
        value: verdict.effect?,
        ci: verdict.ci.filter(bounded),
    })
}

/// The gain as it grew.
fn rises(state: &State, gain: f64) -> Vec<(Spent, f64)> {
    let (mut sum, mut best) = (0.0, 0.0_f64);
    let mut steps: Vec<(Spent, f64)> = Vec::new();
    for claim in standing(state) {
        sum += effect(claim).unwrap_or(0.0);
        best = best.max(sum);
        steps.push((spent(state, claim.since), best));
    }
    if best > 0.0 {
        for (_, height) in &mut steps {
            *height *= gain / best;
        }
    } else if let Some(last) = steps.pop() {
        // Simplifications only: nobody claimed a gain, and what there is came with the last.
        steps = vec![(last.0, gain)];
    }
    steps
}

fn wasted(state: &State) -> Option<f64> {
    let ended = state.experiments.values();
    let ended: Vec<RunStatus> = ended
        .filter(|run| run.finished_at.is_some())
        .map(|run| run.status)
        .collect();
    let lost = ended.iter().filter(|status| **status != RunStatus::Ok);
    (!ended.is_empty()).then(|| lost.count() as f64 / ended.len() as f64)
}

fn utilisation(state: &State, spent: Spent) -> Option<f64> {
    let had = state.gpus.len() as f64 * spent.wall_h;
    (had > 0.0).then(|| (spent.gpu_h / had).min(1.0))
}

fn condition(chart: &Chart, state: &State, which: Condition) -> String {
    match which {
        Condition::Task => task(chart, state),
        Condition::Models if state.mock => "mocked".to_owned(),
        Condition::Models => "real".to_owned(),
        Condition::Protocol => protocol(chart),
        Condition::Budget => {
            let usd = budget::usd_cap(chart, state).map(|usd| format!("{usd} usd"));
            let gpu = lease::gpu_cap(chart, state).map(|s| format!("{} GPU-hours", s / HOUR_S));
            let wall =
                budget::wall_cap(chart, state).map(|s| format!("{} hours", figure(s / HOUR_S)));
            let caps: Vec<String> = [usd, gpu, wall].into_iter().flatten().collect();
            if caps.is_empty() {
                "no cap".to_owned()
            } else {
                caps.join(", ")
            }
        }
        Condition::Devices => devices(state),
    }
}

fn task(chart: &Chart, state: &State) -> String {
    let task = &chart.task;
    let goal = match task.metric.goal {
        Goal::Min => "least",
        Goal::Max => "most",
    };
    let start = state.start.get(..12).unwrap_or(&state.start);
    let by = task.evaluate.as_ref();
    let by = by.map_or_else(String::new, |it| format!(", evaluated by `{it}`"));
    format!(
        "{goal} {} of `{}` from {start}{by}",
        task.metric.name, task.run
    )
}

fn protocol(chart: &Chart) -> String {
    let protocol = &chart.protocol;
    let confirm = match protocol.confirm {
        Confirm::Auto => "auto".to_owned(),
        Confirm::Seeds(n) => n.to_string(),
    };
    let margin = protocol
        .margin
        .map_or_else(String::new, |margin| format!(", margin {margin}"));
    format!(
        "equal {} within {}, {} baseline seeds, confirm {confirm}, alpha {}{margin}",
        protocol.matched.as_str(),
        protocol.tolerance,
        protocol.baseline,
        protocol.alpha
    )
}

fn devices(state: &State) -> String {
    let n = state.gpus.len();
    let simulated = state.gpus.iter().filter(|gpu| gpu.simulated).count();
    match (n, simulated) {
        (0, _) => format!("no GPU, {} runs at a time", state.parallel),
        (n, s) if s == n => format!("{n} simulated GPUs, {} runs at a time", state.parallel),
        (n, _) => format!("{n} GPUs, {} runs at a time", state.parallel),
    }
}

/// What makes an organisation the one it is, whatever it works on: its members, their roles, what they do
/// together and what they draw from, as text that is equal where two are the same. Prompts are not in
/// it, since a chart knows only where they lie.
#[must_use]
pub fn source(chart: &Chart) -> String {
    let mut roles = chart.roles.clone();
    for role in roles.values_mut() {
        role.prompt = None;
    }
    let mut processes = chart.processes.clone();
    for process in &mut processes {
        process.prompt = None;
    }
    let whole = (
        &chart.name,
        &chart.agents,
        &roles,
        &processes,
        &chart.search,
        &chart.models,
    );
    serde_json::to_string(&whole).unwrap_or_default()
}
