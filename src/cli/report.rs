//! `org report`: the whole story, as Markdown, and as one HTML page.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::Context;
use super::derived;
use super::failure::Failure;
use super::place::{self, RunOrArg};
use super::ui::Ui;
use crate::domain::state::State;
use crate::os::{clock, files};
use crate::run::log::Log;
use crate::view::ledger::{self, Entry};
use crate::view::plot::Axis;
use crate::view::report::{self, Material, Unresolved};
use crate::view::status::{self, Status};
use crate::view::{results, results_full};

/// Print what was tried, refused and promoted, and what it cost, as Markdown
///
/// The same as one HTML page, which needs no network, is written to report/ in the run's directory,
/// with the plots of progress as SVG beside it, and results.tsv and results_full.tsv above it. Every
/// number links to the ledger entry that it comes from.
#[derive(Debug, Clone, Args)]
pub(super) struct ReportArgs {
    #[command(flatten)]
    run: RunOrArg,
    /// Write the HTML page to this file too; - prints it instead of the Markdown
    #[arg(long, value_name = "FILE", conflicts_with_all = ["tsv", "json", "plot"])]
    html: Option<PathBuf>,
    /// Print a plot of progress as SVG instead: by experiment, wall_hours, gpu_hours or usd
    #[arg(long, value_name = "X", value_parser = axis, conflicts_with_all = ["tsv", "json"])]
    plot: Option<Axis>,
    /// Print a table instead: results has autoresearch's five columns, full has every run
    #[arg(long, value_name = "WHICH", num_args = 0..=1, default_missing_value = "results", require_equals = true)]
    tsv: Option<Tsv>,
    /// Print JSON: status and ledger
    #[arg(long, conflicts_with = "tsv")]
    json: bool,
}

/// Which table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Tsv {
    /// Autoresearch's five columns
    Results,
    /// Every measured run, and every claim
    Full,
}

fn axis(word: &str) -> Result<Axis, String> {
    let word = word.strip_prefix("x=").unwrap_or(word);
    Axis::parse(word).ok_or_else(|| {
        let names = Axis::ALL.map(Axis::name).join(", ");
        format!("write one of: {names}")
    })
}

#[derive(Serialize)]
struct Whole<'a> {
    status: &'a Status,
    ledger: &'a [Entry],
}

pub(super) fn run(context: &Context, args: &ReportArgs) -> Result<(), Failure> {
    let Context { place, ui } = context;
    let dir = place.reading(args.run.name())?;
    let chart = place::chart(&dir)?;
    let mut deeds = Vec::new();
    let log = Log::open_with(&dir, |event| {
        if State::is_intervention(event) {
            deeds.push(event.clone());
        }
    })?;
    let state = log.state();
    match args.tsv {
        Some(Tsv::Results) => return ui.out(&results::tsv(&chart, state)),
        Some(Tsv::Full) => return ui.out(&results_full::tsv(state)),
        None => {}
    }
    let now = clock::now();
    let status = status::of(&chart, state, &place::observe(&dir, &chart), now);
    let ledger = ledger::of(state);
    if args.json {
        return ui.json(&Whole {
            status: &status,
            ledger: &ledger,
        });
    }
    let material = Material {
        chart: &chart,
        state,
        status: &status,
        ledger: &ledger,
        chain: log.chain(),
        deeds: &deeds,
        now,
    };
    if let Some(axis) = args.plot {
        return ui.out(&report::progress(&material).alone(axis));
    }
    let page = report::page(&material).map_err(|error| unresolved(&error))?;
    let text = report::text(&material).map_err(|error| unresolved(&error))?;
    keep(ui, &log, &material, &page, &text);
    match &args.html {
        Some(path) if path.as_os_str() == "-" => return ui.out(&page),
        Some(path) => {
            let path = place.cwd.join(path);
            files::write_atomic(&path, page.as_bytes(), 0o644).map_err(|error| {
                let what = format!("the page cannot be written to {}", path.display());
                Failure::refused(what, "name a file in a directory that you may write")
                    .because(&error)
            })?;
            ui.note(&format!("the page is {}", path.display()));
        }
        None => {}
    }
    ui.out(&text)
}

/// Writes the run's own views anew. They are derived: where that fails, the report is still told.
fn keep(ui: &Ui, log: &Log, material: &Material<'_>, page: &str, text: &str) {
    let dir = log.dir();
    let kept = derived::results(dir, material.chart, material.state)
        .and_then(|()| derived::report(dir, material, page, text));
    match kept {
        Ok(path) => ui.note(&format!("the same as a page: {}", path.display())),
        Err(error) => ui.note(&format!(
            "the page was not kept in the run's directory: {error}"
        )),
    }
}

fn unresolved(error: &Unresolved) -> Failure {
    Failure::bug(
        "the report was not written: one of its numbers comes from nowhere",
        "this is a bug in `org`; `org ledger` and `org report --json` have what is known",
    )
    .because(error)
}
