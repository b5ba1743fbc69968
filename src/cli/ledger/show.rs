//! `org ledger show ID`: one attempt in full.

use super::attempt;
use crate::cli::failure::Failure;
use crate::cli::place;
use crate::cli::ui::Ui;
use crate::run::log::Log;
use crate::view::attempt::{Attempt, claim_page, run_page, whole};
use crate::view::ledger;

pub(super) fn run(ui: &Ui, log: &Log, id: &str, json: bool) -> Result<(), Failure> {
    let state = log.state();
    let chart = place::chart(log.dir())?;
    let metric = &chart.task.metric.name;
    match attempt(state, log.dir(), id)? {
        Attempt::Claim(claim) => {
            let entry = ledger::entry(state, claim);
            if json {
                return ui.json(&entry);
            }
            ui.out(&claim_page(&entry, metric, ui.width(), ui.paint()))
        }
        Attempt::Run(run) => {
            let tail = log.blobs().whole(&run.tail);
            // The log has the beginning of it; a blob that is gone takes no result with it.
            let tail = tail.unwrap_or_else(|_| run.tail.head().to_owned());
            let whole = whole(run, tail);
            if json {
                return ui.json(&whole);
            }
            ui.out(&run_page(&whole, metric, ui.paint()))
        }
    }
}
