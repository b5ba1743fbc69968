//! `org compare`: organisations held against each other, by their runs.

use std::collections::BTreeMap;

use clap::Args;

use super::Context;
use super::failure::Failure;
use super::place;
use crate::domain::chart::Chart;
use crate::domain::comparison::{self, Comparison, Entrant};
use crate::domain::outcome::{self, Outcome, Truth};
use crate::domain::state::State;
use crate::domain::synth::{self, Settings};
use crate::os::files;
use crate::repo;
use crate::run::log::Log;
use crate::run::paths::RunDir;
use crate::view;

/// Most of a prompt that is looked at.
const PROMPT_MAX: u64 = 1 << 20;

/// Compare organisations by their runs: verified gain per hour, GPU-hour and dollar
///
/// Runs of the same organisation (the same members, roles, processes and prompts) are repeats of each
/// other, and give intervals; an organisation with one run is called an anecdote. Runs of different
/// tasks, or of real and pretended models, are not compared; other differences are marked.
#[derive(Debug, Clone, Args)]
pub(super) struct CompareArgs {
    /// The runs, by id or any unique prefix
    #[arg(required = true, num_args = 2.., value_name = "RUN")]
    runs: Vec<String>,
    /// Compare what has nothing in common too, marked as such
    #[arg(long)]
    anyway: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(context: &Context, args: &CompareArgs) -> Result<(), Failure> {
    let Context { place, ui } = context;
    let mut seen: Vec<RunDir> = Vec::new();
    for name in &args.runs {
        let dir = place.reading(Some(name))?;
        if seen.contains(&dir) {
            return Err(Failure::usage(
                format!("{} is named twice", dir.id()),
                "name each run once; `org ls` lists them",
            ));
        }
        seen.push(dir);
    }
    let told = comparison::compare(entrants(&seen)?);
    refuse(&told, args.anyway)?;
    if args.json {
        return ui.json(&view::comparison::of(&told));
    }
    ui.out(&view::comparison::text(&told, ui.width(), ui.paint()))
}

/// What a run achieved.
///
/// # Errors
/// Where its log or its chart cannot be read.
pub(super) fn outcome(dir: &RunDir) -> Result<(Chart, Outcome), Failure> {
    let chart = place::chart(dir)?;
    let log = Log::open(dir)?;
    let mut outcome = outcome::of(&chart, log.state());
    outcome.truth = truth(dir, &chart, log.state());
    Ok((chart, outcome))
}

/// How many promotions were true, where the task is the one whose truth the program knows.
fn truth(dir: &RunDir, chart: &Chart, state: &State) -> Option<Truth> {
    let text = |commit: &str, file: &str| {
        let bytes = repo::read_blob(&dir.repo_git(), commit, file).ok()??;
        String::from_utf8(bytes).ok()
    };
    let (file, world) = synth::WORLD;
    if text(&state.start, file)? != world {
        return None;
    }
    let method = |commit: &str| Settings::parse(&text(commit, synth::SETTINGS)?);
    let mut wrong = 0;
    for (id, before, after) in &state.promotions {
        let margin = state.hypotheses.get(id).and_then(|claim| claim.margin);
        let (before, after) = (method(before)?, method(after)?);
        wrong += u32::from(before.wrongly(&after, margin, chart.protocol.tolerance));
    }
    Some(Truth {
        wrong,
        promotions: state.promotions.len() as u32,
    })
}

/// The runs, each with its organisation's others; two that differ and share a name are numbered.
fn entrants(dirs: &[RunDir]) -> Result<Vec<Entrant>, Failure> {
    let mut sources: Vec<String> = Vec::new();
    let mut entrants: Vec<Entrant> = Vec::new();
    let mut named: BTreeMap<String, usize> = BTreeMap::new();
    for dir in dirs {
        let (chart, outcome) = outcome(dir)?;
        let source = source(dir, &chart);
        let known = sources.iter().position(|known| *known == source);
        if let Some(at) = known {
            entrants[at].runs.push(outcome);
            continue;
        }
        let same = named.entry(chart.name.clone()).or_default();
        *same += 1;
        let name = if *same > 1 {
            format!("{} ({same})", chart.name)
        } else {
            chart.name.clone()
        };
        sources.push(source);
        entrants.push(Entrant {
            name,
            runs: vec![outcome],
        });
    }
    Ok(entrants)
}

/// What makes a run's organisation the one it is, its prompts as its members saw them included.
fn source(dir: &RunDir, chart: &Chart) -> String {
    let mut source = outcome::source(chart);
    let agents = chart.agents.iter().map(|it| dir.system_prompt(&it.name));
    let processes = chart
        .processes
        .iter()
        .map(|it| dir.process_prompt(&it.name));
    for path in agents.chain(processes) {
        let text = files::read_capped(&path, PROMPT_MAX).unwrap_or_default();
        source.push('\n');
        source.push_str(&String::from_utf8_lossy(&text));
    }
    source
}

/// Refuses what has nothing in common.
pub(super) fn refuse(told: &Comparison, anyway: bool) -> Result<(), Failure> {
    let forbidden = told.forbidden();
    if anyway || forbidden.is_empty() {
        return Ok(());
    }
    let axes: Vec<&str> = forbidden.iter().map(|it| it.condition.word()).collect();
    let mut failure = Failure::refused(
        format!(
            "these runs have nothing to compare: they differ in {}",
            axes.join(" and ")
        ),
        "compare runs of one task, all real or all mocked; --anyway compares them, and marks it",
    );
    for agreement in forbidden {
        for (value, runs) in &agreement.values {
            let axis = agreement.condition.word();
            failure
                .causes
                .push(format!("{axis} of {}: {value}", runs.join(", ")));
        }
    }
    Err(failure)
}
