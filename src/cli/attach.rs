//! `org attach`: sit down in a run's office.

use super::Context;
use super::args::AttachArgs;
use super::failure::Failure;
use super::{block_on, place};
use crate::domain::chart::Chart;
use crate::domain::event::Actor;
use crate::domain::state::State;
use crate::engine::seats;
use crate::office::Liveness;
use crate::os::exec::{Exec, Input, Output};
use crate::run::log::Log;
use crate::run::paths::RunDir;

/// Columns and rows below which a pane is no use.
const LEAST: (u16, u16) = (34, 8);

/// Runs the command.
///
/// # Errors
/// Where there is no terminal, no tmux, or no such agent.
pub(super) fn run(context: &Context, args: &AttachArgs) -> Result<(), Failure> {
    let dir = context.place.acting(args.run.name())?;
    attach(context, &dir, args.agent.as_deref())
}

/// Attaches, and builds the office anew where it is gone. Becomes tmux; returns only on failure.
///
/// # Errors
/// Where there is no terminal, no tmux, or no such agent.
pub(super) fn attach(context: &Context, dir: &RunDir, agent: Option<&str>) -> Result<(), Failure> {
    let ui = &context.ui;
    let chart = place::chart(dir)?;
    if let Some(agent) = agent
        && chart.agent(agent).is_none()
    {
        let names: Vec<&str> = chart
            .agents
            .iter()
            .map(|agent| agent.name.as_str())
            .collect();
        return Err(Failure::refused(
            format!("{} has no agent {agent:?}", dir.id()),
            format!("its agents are {}", names.join(", ")),
        ));
    }
    let clean = place::clean_env();
    if !ui.is_terminal() {
        let words = "this is no terminal, so there is nothing to show the office in";
        let hint = format!(
            "type `org attach --run {}` in a terminal; `org status` works anywhere",
            dir.id()
        );
        return Err(Failure::refused(words, hint));
    }
    let mut log = Log::open(dir)?;
    let argv = block_on(async {
        build_if_gone(dir, &chart, &mut log).await?;
        // In cells that nobody can read, the dashboard serves a person better than the grid.
        let cramped = ui
            .size()
            .is_some_and(|size| is_cramped(size, chart.office.grid));
        let seat = agent.or(cramped.then_some(seats::WATCH));
        let pane = seat.and_then(|name| log.state().office.as_ref()?.panes.get(name));
        let office = seats::office(dir, &clean).map_err(no_office)?;
        Ok::<_, Failure>(
            office.attach_argv(place::var("TMUX").as_deref(), pane.map(String::as_str)),
        )
    })?;
    let Some((program, rest)) = argv.as_deref().and_then(<[String]>::split_first) else {
        return Err(Failure::refused("the office has no door", "org doctor"));
    };
    let error = Exec::new(program)
        .args(rest.iter().cloned())
        .envs(clean)
        .stdin(Input::Inherit)
        .stdout(Output::Inherit)
        .stderr(Output::Inherit)
        .replace();
    Err(Failure::refused("tmux could not be started", "org doctor").because(&error))
}

/// Builds the office where it is gone.
///
/// # Errors
/// Where that cannot be, or cannot be said.
pub(super) async fn build_if_gone(
    dir: &RunDir,
    chart: &Chart,
    log: &mut Log,
) -> Result<(), Failure> {
    if !office_is_gone(dir, log.state()).await {
        return Ok(());
    }
    // The supervisor, or somebody else who attaches, may be at it.
    let _turn = seats::turn(dir).await.map_err(no_office)?;
    log.catch_up()?;
    if office_is_gone(dir, log.state()).await {
        let opened = seats::open(chart, log.state(), dir, &place::clean_env()).await;
        let opened = opened.map_err(no_office)?;
        log.append(&Actor::Human, vec![opened])?;
    }
    Ok(())
}

/// Whether the cells of the grid are too small to be read at this size.
fn is_cramped((columns, rows): (u16, u16), grid: Option<(u16, u16)>) -> bool {
    let (across, down) = grid.unwrap_or((1, 1));
    columns / across.max(1) < LEAST.0 || rows / down.max(1) < LEAST.1
}

fn no_office(error: crate::office::OfficeError) -> Failure {
    Failure::refused(
        "the office could not be built",
        "org doctor; org status works without tmux",
    )
    .because(&error)
}

/// Whether the office has to be built: there is none, or its server is gone. Not where that is not
/// known.
async fn office_is_gone(dir: &RunDir, state: &State) -> bool {
    if state.office.is_none() {
        return true;
    }
    match seats::office(dir, &place::clean_env()) {
        Ok(office) => matches!(office.alive().await, Liveness::Gone),
        Err(_) => true,
    }
}
