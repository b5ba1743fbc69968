//! `org restart`: a fresh process for an agent, released where it was held.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;

use super::Context;
use super::failure::Failure;
use super::place::{self, RunArgs};
use super::send;
use crate::domain::chart::Chart;
use crate::domain::event::{Actor, Kind};
use crate::domain::model;
use crate::os::clock;
use crate::run::bell::Bell;
use crate::run::log::Log;
use crate::run::paths::RunDir;

/// How long the supervisor has to start it: a process starts in well under a second, a shell that
/// has to be ended first may take its grace.
const PATIENCE: Duration = Duration::from_secs(30);

/// Start an agent's process anew, and release it where it was held
#[derive(Debug, Clone, Args)]
pub(super) struct RestartArgs {
    /// An agent, a role, or all
    who: String,
    /// Go on with this model, in a new conversation from notebook and ledger
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    #[command(flatten)]
    run: RunArgs,
}

pub(super) fn run(context: &Context, args: &RestartArgs) -> Result<(), Failure> {
    let dir = context.place.acting(args.run.name())?;
    let chart = place::chart(&dir)?;
    let whom = send::recipients(&chart, &args.who)?;
    if let Some(model) = &args.model
        && model::resolve(&chart, model).is_none()
    {
        let known: Vec<&str> = model::known().iter().map(|(name, _)| *name).collect();
        let hint = crate::domain::suggest::nearest(model, known.iter().copied()).map_or_else(
            || "name a built-in model, or one of the chart's [models]".to_owned(),
            |near| format!("did you mean {near}?"),
        );
        return Err(Failure::refused(
            format!("no model is called {model:?}"),
            hint,
        ));
    }
    if let Some(model) = &args.model {
        payable(&chart, model)?;
    }
    if !place::supervised(&dir) {
        let id = dir.id();
        return Err(Failure::refused(
            format!("no supervisor of {id} lives, so nobody would start it"),
            format!("`org up --resume {id}` starts the supervisor and all agents"),
        ));
    }
    let mut log = Log::open(&dir)?;
    let asked: Result<Vec<(String, u32)>, Failure> = log.transact(&Actor::Human, |state| {
        let starts = |name: &String| state.agents.get(name).map_or(0, |agent| agent.starts);
        let before = whom.iter().map(|name| (name.clone(), starts(name)));
        let events = whom.iter().map(|agent| Kind::AgentRestart {
            agent: agent.clone(),
            model: args.model.clone(),
        });
        Ok((events.collect(), before.collect()))
    })?;
    let late = wait(&dir, &mut log, asked?, clock::monotonic() + PATIENCE)?;
    if late.is_empty() {
        context.ui.note(&format!("restarted {}", whom.join(", ")));
        return Ok(());
    }
    Err(Failure::refused(
        format!(
            "{} had not started again after {} s",
            late.join(", "),
            PATIENCE.as_secs()
        ),
        "the wish stands in the log; `org logs supervisor` shows what the supervisor does",
    ))
}

/// A cap in dollars cannot be kept for a model without a price.
fn payable(chart: &Chart, model: &str) -> Result<(), Failure> {
    let capped = chart.budget.usd.is_some()
        || chart.budget.usd_per_hour.is_some()
        || chart.roles.values().any(|role| role.usd.is_some())
        || chart.agents.iter().any(|agent| agent.usd.is_some());
    let priced = model::resolve(chart, model).is_some_and(|model| model.rates.is_some());
    if priced || !capped {
        return Ok(());
    }
    Err(Failure::refused(
        format!("dollars are capped, and the model {model} has no price"),
        "name a model with a price, or give this one a price in the chart's [models]",
    ))
}

/// Waits until everybody has started again; returns who has not.
fn wait(
    dir: &RunDir,
    log: &mut Log,
    asked: Vec<(String, u32)>,
    deadline: Instant,
) -> Result<Vec<String>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    runtime.block_on(async {
        let files: [PathBuf; 1] = [dir.events()];
        let mut bell = Bell::on(&files);
        loop {
            log.catch_up()?;
            let agents = &log.state().agents;
            let late: Vec<String> = asked
                .iter()
                .filter(|(name, before)| {
                    agents.get(name).is_none_or(|agent| agent.starts <= *before)
                })
                .map(|(name, _)| name.clone())
                .collect();
            let left = deadline.saturating_duration_since(clock::monotonic());
            if late.is_empty() || left.is_zero() {
                return Ok(late);
            }
            tokio::time::timeout(left, bell.wait()).await.ok();
        }
    })
}
