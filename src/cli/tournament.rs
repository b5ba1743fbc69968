//! `org tournament`: organisations under equal conditions, repeat by repeat, and what came of it.

mod matches;
mod scripted;

use std::path::Path;

use clap::Args;

use super::Context;
use super::charts;
use super::failure::Failure;
use super::place::Place;
use super::ui::Ui;
use crate::domain::chart::{Budget, Chart};
use crate::domain::comparison::{self, Entrant};
use crate::domain::emit;
use crate::domain::tournament::{self, REPEATS};
use crate::os::{files, random};
use crate::run::tournament::{Plan, TournamentDir};
use crate::view;
use crate::view::paint::Paint;

/// The built-in task, whose truth is known.
const SYNTH: &str = "synth";
/// Letters of a tournament's id.
const ID_LETTERS: usize = 5;
/// Columns of what is written to a file.
const FILE_WIDTH: usize = 100;

/// Run organisations under equal conditions, with controls, and compare them
///
/// Every chart plays on the same task with the same protocol, devices and budget, which are those of
/// --task or of the first chart. Two controls are added: `random`, which asks no model, where the charts
/// declare knobs, and `solo1`, one agent with all of the budget. Repeats are interleaved, every other one
/// backwards. What is cut short goes on with --resume; the runs themselves do not stop meanwhile.
///
/// `--task synth` is a task whose truth is known, on which scripted organisations (random, greedy,
/// careful, reviewed) play hundreds of matches in seconds: the test of this very instrument.
#[derive(Debug, Clone, Args)]
pub(super) struct TournamentArgs {
    /// Charts; for `--task synth`, names of scripted organisations, or nothing for all of them
    #[arg(value_name = "CHART", conflicts_with = "resume")]
    charts: Vec<String>,
    /// The common task: a chart, or the word synth
    #[arg(long, value_name = "TASK", conflicts_with = "resume")]
    task: Option<String>,
    /// Runs of each organisation
    #[arg(long, value_name = "N", default_value_t = REPEATS, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    repeats: u32,
    /// Caps of every run, as usd=50,gpu_hours=8,wall=2h
    #[arg(long, value_name = "CAP=VALUE", value_delimiter = ',')]
    budget: Vec<String>,
    /// Matches at a time, each on its part of the node's GPUs: 2 plays on halves
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    at_once: u32,
    /// Pretend models and GPUs
    #[arg(long)]
    mock: bool,
    /// Add no controls
    #[arg(long)]
    no_controls: bool,
    /// The first world of --task synth
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Go on with a tournament that was cut short
    #[arg(long, value_name = "ID")]
    resume: Option<String>,
    /// Print JSON: the comparison
    #[arg(long)]
    json: bool,
}

pub(super) fn run(context: &Context, args: &TournamentArgs) -> Result<(), Failure> {
    let Context { place, ui } = context;
    let dir = match &args.resume {
        Some(id) => known(place, id)?,
        None => begin(place, ui, args)?,
    };
    let plan = dir.plan().map_err(|error| {
        let what = format!("the plan of {} cannot be read", dir.id());
        Failure::refused(what, "begin another tournament").because(&error)
    })?;
    let id = dir.id();
    let _held = dir.hold()?.ok_or_else(|| {
        let what = format!("tournament {id} is being played by another process");
        Failure::refused(
            what,
            format!("wait for it: it writes {}", dir.told().display()),
        )
    })?;
    ui.note(&format!(
        "tournament {id}: {} times {} repeats; if it is cut short: org tournament --resume {id}",
        plan.entrants.join(", "),
        plan.repeats
    ));
    let entrants = if plan.task == SYNTH {
        scripted::play(&plan)?
    } else {
        matches::play(context, &dir, &plan)?
    };
    tell(ui, &dir, entrants, args.json)
}

fn tell(ui: &Ui, dir: &TournamentDir, entrants: Vec<Entrant>, json: bool) -> Result<(), Failure> {
    let told = comparison::compare(entrants);
    let object = view::comparison::of(&told);
    let whole = serde_json::to_string_pretty(&object).map_err(std::io::Error::from)?;
    let text = view::comparison::text(&told, FILE_WIDTH, Paint::Plain);
    files::write_view(&dir.told(), text.as_bytes())?;
    files::write_view(&dir.told_json(), whole.as_bytes())?;
    ui.note(&format!("the comparison is {}", dir.told().display()));
    if json {
        return ui.json(&object);
    }
    ui.out(&view::comparison::text(&told, ui.width(), ui.paint()))
}

fn known(place: &Place, id: &str) -> Result<TournamentDir, Failure> {
    let runs = &place.index.here;
    let all = TournamentDir::all(runs);
    let fit: Vec<&String> = all.iter().filter(|it| it.starts_with(id)).collect();
    match fit.as_slice() {
        [one] if !id.is_empty() => Ok(TournamentDir::of(runs, one)),
        _ if all.is_empty() => Err(Failure::refused(
            format!("there is no tournament in {}", runs.display()),
            "org tournament CHART CHART --task TASK begins one",
        )),
        _ => Err(Failure::usage(
            format!("{id:?} names no tournament, or several"),
            format!("tournaments are {}", all.join(", ")),
        )),
    }
}

fn begin(place: &Place, ui: &Ui, args: &TournamentArgs) -> Result<TournamentDir, Failure> {
    let id = random::word(ID_LETTERS)?;
    let dir = TournamentDir::of(&place.index.here, &id);
    let mut plan = Plan {
        version: 1,
        task: if scripted::meant(args) {
            SYNTH.to_owned()
        } else {
            args.task.clone().unwrap_or_default()
        },
        entrants: Vec::new(),
        repeats: args.repeats,
        at_once: args.at_once,
        mock: args.mock,
        gpu_hours: None,
        seed: args.seed,
    };
    let mut composed = Vec::new();
    if plan.task == SYNTH {
        scripted::plan(args, &mut plan)?;
    } else {
        let charts = assembled(place, ui, args)?;
        plan.entrants = charts.iter().map(|it| it.name.clone()).collect();
        composed = charts.iter().map(emit::to_toml).collect();
    }
    dir.create(&plan, &composed).map_err(|error| {
        let what = format!("{} cannot be made", dir.path().display());
        Failure::refused(what, "look at the disk; ORG_RUNS names another place").because(&error)
    })?;
    Ok(dir)
}

/// The charts of all who play, under their common conditions.
fn assembled(place: &Place, ui: &Ui, args: &TournamentArgs) -> Result<Vec<Chart>, Failure> {
    let own: Result<Vec<Chart>, Failure> = args
        .charts
        .iter()
        .map(|path| charts::accepted(place, ui, Path::new(path)))
        .collect();
    let own = own?;
    let Some(first) = own.first() else {
        return Err(Failure::usage(
            "no chart was named",
            "org tournament orgs/solo8.toml orgs/nanochat.toml --task orgs/nanochat.toml, or --task synth",
        ));
    };
    for (at, chart) in own.iter().enumerate() {
        let same = |it: &&Chart| it.name == chart.name;
        if own[..at].iter().any(|it| same(&it)) {
            return Err(Failure::usage(
                format!("two charts are called {:?}", chart.name),
                "give each organisation a `name` of its own",
            ));
        }
    }
    let task = match &args.task {
        Some(path) => charts::accepted(place, ui, Path::new(path))?,
        None => first.clone(),
    };
    let budget = common_budget(&task, &args.budget)?;
    let mut all = own.clone();
    if !args.no_controls {
        let (made, missing) = tournament::controls(&own, &task);
        all.extend(made);
        for note in missing {
            ui.note(&format!("note: {note}"));
        }
    }
    Ok(all
        .iter()
        .map(|chart| tournament::compose(chart, &task, &budget))
        .collect())
}

fn common_budget(task: &Chart, words: &[String]) -> Result<Budget, Failure> {
    let budget = tournament::budget(task.budget.clone(), words)
        .map_err(|(what, hint)| Failure::usage(what, hint))?;
    let capped = [budget.usd, budget.gpu_hours, budget.wall];
    if capped.iter().all(Option::is_none) {
        return Err(Failure::usage(
            "a tournament needs a budget, so that all have the same",
            "--budget usd=50,gpu_hours=8,wall=2h",
        ));
    }
    Ok(budget)
}
