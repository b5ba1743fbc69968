//! `org ledger leaves`: attempts that nothing was built upon.

use super::diff::unreadable;
use crate::cli::failure::Failure;
use crate::cli::place;
use crate::cli::ui::Ui;
use crate::repo;
use crate::run::log::Log;
use crate::view::leaves;

pub(super) fn run(ui: &Ui, log: &Log, json: bool) -> Result<(), Failure> {
    let state = log.state();
    let tips = leaves::tips(state);
    let parents = if tips.is_empty() {
        Default::default()
    } else {
        repo::parents(&log.dir().repo_git(), &state.start, &tips)
            .map_err(|error| unreadable(log.dir(), &error))?
    };
    let leaves = leaves::of(state, &parents);
    if json {
        return ui.json(&leaves);
    }
    if leaves.is_empty() {
        ui.note("nothing with a commit was tried yet");
        return Ok(());
    }
    let chart = place::chart(log.dir())?;
    let metric = &chart.task.metric.name;
    ui.out(&leaves::text(&leaves, metric, ui.width(), ui.paint()))
}
