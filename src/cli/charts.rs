//! What `up` and its neighbours ask of a chart before anything is created.

use std::collections::BTreeMap;
use std::path::Path;

use super::failure::Failure;
use super::place::Place;
use super::ui::Ui;
use super::{block_on, check};
use crate::domain::chart::Chart;
use crate::engine::environment::EnvironmentError;
use crate::engine::found::FoundError;
use crate::office::TmuxOffice;

/// Lines of `setup` that are shown where it failed: a traceback.
const SETUP_LINES: usize = 15;

/// The chart, if nothing is wrong in it.
///
/// # Errors
/// Everything that is wrong, with its places; exit code 2.
pub(super) fn accepted(place: &Place, ui: &Ui, path: &Path) -> Result<Chart, Failure> {
    let bytes = check::read(path)?;
    let report = check::judge(place, path, &bytes);
    let shown = |list: &[crate::domain::problem::Problem]| -> Vec<String> {
        let path = path.display().to_string();
        list.iter()
            .map(|p| {
                let key = if p.path.is_empty() {
                    String::new()
                } else {
                    format!("{}: ", p.path)
                };
                let path = p.file.as_ref().unwrap_or(&path);
                format!("{path}:{}:{}: {key}{}", p.line, p.column, p.message)
            })
            .collect()
    };
    for warning in shown(&report.warnings) {
        ui.note(&format!("warning: {warning}"));
    }
    report.chart.ok_or_else(|| {
        let hint = format!("org check {} shows what to write instead", path.display());
        let mut failure = Failure::usage(format!("{} is not in order", path.display()), hint);
        failure.causes = shown(&report.problems);
        failure
    })
}

/// Whether tmux can build an office here.
///
/// # Errors
/// Where it is missing or too old.
pub(super) fn office_can_be(clean: &BTreeMap<String, String>) -> Result<(), Failure> {
    let env = clean
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let usable = block_on(async {
        let socket = std::env::temp_dir().join("org-nobody");
        TmuxOffice::at(&socket, env)?.usable().await
    });
    usable.map_err(|error| {
        Failure::refused(
            "no office can be built",
            "install tmux 3.2 or newer, as with `apt-get install tmux`, or add --headless",
        )
        .because(&error)
    })
}

/// Why no run was made, with what to do about it.
pub(super) fn not_founded(error: FoundError) -> Failure {
    let hint = match &error {
        FoundError::Repo(error) => error.hint(),
        FoundError::Gpu { .. } => {
            "org doctor shows the GPUs; set compute.gpus, or add --mock to pretend them; task.gpus = 0 is a \
             task that needs none"
                .to_owned()
        }
        FoundError::Leased(_) => {
            "org ls shows the runs; org down RUN frees its GPUs, compute.gpus chooses others"
                .to_owned()
        }
        FoundError::Scenario(_) => "org up CHART --scenario FILE".to_owned(),
        FoundError::Environment(_) => {
            "task.setup runs in a clean checkout of task.base, with network; org check shows the chart"
                .to_owned()
        }
        FoundError::Hidden(_) => {
            "correct task.hidden, or keep the data outside of repo, share and overlay".to_owned()
        }
        FoundError::Prompt { .. } => "org check names what is wrong in a prompt".to_owned(),
        FoundError::Log(_) | FoundError::Frozen(_) | FoundError::Io { .. } => {
            "look at the disk and at who may write there; ORG_RUNS names another place".to_owned()
        }
    };
    let failure = Failure::refused("the run was not started, and nothing of it is left", hint);
    let mut failure = failure.because(&error);
    if let FoundError::Environment(EnvironmentError::Failed { tail, .. }) = &error {
        let lines: Vec<&str> = tail.lines().collect();
        let last = &lines[lines.len().saturating_sub(SETUP_LINES)..];
        failure
            .causes
            .extend(last.iter().map(|line| format!("  {line}")));
    }
    failure
}
