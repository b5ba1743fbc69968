//! `org try`: a person's own change through the same gate as everybody's, with no agent and no key.
//!
//! Owns the wait: progress and time left on stderr, the verdict on stdout. Ctrl-C brings the run down
//! and says how to go on. Must not know how a claim is judged.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use super::Context;
use super::failure::Failure;
use super::place::{self, Place};
use super::ui::Ui;
use super::{block_on, charts, down, up};
use crate::domain::chart::{Axis, Chart};
use crate::domain::event::{Actor, Kind, Status};
use crate::domain::protocol::{self, Claim};
use crate::domain::standing;
use crate::domain::state::{Hypothesis, State};
use crate::engine::found::{self, Ask, Plan};
use crate::engine::keys::KeyRing;
use crate::engine::spawn;
use crate::engine::trial::{self, Trial, TrialError};
use crate::run::bell::Bell;
use crate::run::log::Log;
use crate::run::paths::RunDir;
use crate::tool::{self, Proposal, ProposeError};
use crate::view::{ledger, verdict};

/// Between two looks for the supervisor.
const LOOK: Duration = Duration::from_secs(1);
/// Looks without a supervisor before another one is started.
const UNSEEN: u32 = 5;
/// Supervisors that are started before this is given up.
const STARTS: u32 = 3;

/// Measure a change of your own: an honest A/B test
///
/// Takes a branch of the task's repository through the gate: the baseline is measured, the change is
/// screened, and confirmed on fresh seeds. Needs no agent and no key, and only reads the repository.
/// Exits 0 if the claim was confirmed or promoted, 1 if not.
#[derive(Debug, Clone, Args)]
pub(super) struct TryArgs {
    /// The org chart; only its lab is used
    #[arg(required_unless_present_any = ["resume", "more"])]
    chart: Option<PathBuf>,
    /// The branch, tag or commit with the change; what is checked out where it is left out
    branch: Option<String>,
    /// The change in a line
    #[arg(long, required_unless_present_any = ["resume", "more"])]
    title: Option<String>,
    /// What is claimed of it
    #[arg(long, default_value = "improve", value_parser = claim)]
    claim: Claim,
    /// Why it should hold
    #[arg(long, value_name = "TEXT", default_value = "not said")]
    mechanism: String,
    /// The size of the effect, in the metric's unit; where it is left out, seeds are added until a large
    /// one shows, at most as many as one sigma takes
    #[arg(long, value_name = "SIZE")]
    predicts: Option<f64>,
    /// What would refute it
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "an interval that excludes it"
    )]
    refuted_by: String,
    /// The cost that must agree; the chart's where it is left out
    #[arg(long, value_parser = axis)]
    axis: Option<Axis>,
    /// The largest loss that `no_worse` allows
    #[arg(long)]
    margin: Option<f64>,
    /// A part of the change, by path or by text of its lines; once for each. Parts that do no work are dropped
    #[arg(long = "part", value_name = "PART")]
    parts: Vec<String>,
    /// Go on with a trial that was cut short
    #[arg(long, value_name = "RUN", conflicts_with_all = ["chart", "more"])]
    resume: Option<String>,
    /// Add seeds to a trial that ended undecided
    #[arg(long, value_name = "RUN", conflicts_with = "chart")]
    more: Option<String>,
    /// Pretend GPUs, and take what [mock] puts in place of the repository and its commands
    #[arg(long, conflicts_with_all = ["resume", "more"])]
    mock: bool,
    /// Print JSON: the claim as in the ledger, and its run
    #[arg(long)]
    json: bool,
}

fn claim(word: &str) -> Result<Claim, String> {
    let names = Claim::NAMES.join(", ");
    Claim::parse(word).ok_or_else(|| format!("write one of: {names}"))
}

fn axis(word: &str) -> Result<Axis, String> {
    let names = Axis::NAMES.join(", ");
    Axis::parse(word).ok_or_else(|| format!("write one of: {names}"))
}

/// What came of it, as scripts read it.
#[derive(Serialize)]
struct Tried<'a> {
    run: String,
    dir: String,
    #[serde(flatten)]
    entry: &'a ledger::Entry,
}

/// Runs the command.
///
/// # Errors
/// Where it could not begin, was cut short, or the claim was not confirmed.
pub(super) fn run(context: &Context, args: &TryArgs) -> Result<ExitCode, Failure> {
    let (place, ui) = (&context.place, &context.ui);
    let (dir, id) = match (&args.chart, &args.resume, &args.more) {
        (Some(chart), ..) => begin(place, ui, args, chart)?,
        (None, Some(run), _) => go_on(place, run)?,
        (None, None, Some(run)) => more(place, ui, run)?,
        (None, None, None) => {
            let hint = "org try CHART BRANCH --title \"what it does\"";
            return Err(Failure::usage("no chart was named", hint));
        }
    };
    let chart = place::chart(&dir)?;
    follow(ui, &dir, &chart, id)?;
    down::bring_down(&dir, "the verdict is in")?;
    tell(ui, args.json, &dir, &chart, id)
}

fn begin(
    place: &Place,
    ui: &Ui,
    args: &TryArgs,
    path: &std::path::Path,
) -> Result<(RunDir, u64), Failure> {
    let plan = planned(place, charts::accepted(place, ui, path)?, args.mock)?;
    let title = args.title.clone().unwrap_or_default();
    let proposal = Proposal {
        title,
        claim: args.claim,
        mechanism: args.mechanism.clone(),
        predicts: args.predicts,
        refuted_by: args.refuted_by.clone(),
        axis: args.axis,
        margin: args.margin,
        parts: args.parts.clone(),
    };
    let begun = trial::begin(plan, args.branch.as_deref(), &proposal).map_err(not_begun)?;
    begun_well(place, ui, begun)
}

fn planned(place: &Place, chart: Chart, mock: bool) -> Result<Plan, Failure> {
    let chart = trial::without_agents(chart);
    found::plan(Ask {
        chart,
        mock,
        scenario: None,
        headless: true,
        runs: place.index.here.clone(),
        clean: place::clean_env(),
        visible: place::var("CUDA_VISIBLE_DEVICES"),
    })
    .map_err(charts::not_founded)
}

/// A change that was measured before, to be measured on top of where its base is now.
pub(super) struct Again<'a> {
    /// The chart that it was measured by.
    pub(super) chart: Chart,
    /// Whether that was pretended.
    pub(super) mock: bool,
    /// The repository that has it.
    pub(super) source: &'a str,
    /// Its commit there.
    pub(super) commit: &'a str,
}

/// Takes it through the gate in a run of its own, and waits for the verdict.
///
/// # Errors
/// Where it could not begin, was cut short, or was not promoted.
pub(super) fn again(
    context: &Context,
    again: Again<'_>,
    proposal: &Proposal,
) -> Result<RunDir, Failure> {
    let (place, ui) = (&context.place, &context.ui);
    let plan = planned(place, again.chart, again.mock)?;
    let begun = trial::begin_from(plan, again.source, Some(again.commit), proposal);
    let (dir, id) = begun_well(place, ui, begun.map_err(not_begun)?)?;
    let chart = place::chart(&dir)?;
    follow(ui, &dir, &chart, id)?;
    down::bring_down(&dir, "the verdict is in")?;
    let log = Log::open(&dir)?;
    let claim = claim_of(log.state(), id)?;
    if claim.status == Status::Promoted {
        return Ok(dir);
    }
    let status = claim.status.word();
    Err(Failure::refused(
        format!(
            "on top of the base as it is now the change is {status}: {}",
            claim.reason
        ),
        format!("org ledger {} --json has every run and number", dir.id()),
    ))
}

/// Says what has begun, and starts its supervisor where there is something to measure.
fn begun_well(place: &Place, ui: &Ui, begun: Trial) -> Result<(RunDir, u64), Failure> {
    if let Err(error) = place.index.remember(&begun.dir) {
        let here = place.index.here.display();
        ui.note(&format!(
            "warning: the run is found from {here} only: {error}"
        ));
    }
    if begun.moved {
        let branch = &begun.branch;
        ui.note(&format!(
            "the base has moved on since {branch} left it; the change is tried on top of it"
        ));
    }
    let chart = place::chart(&begun.dir)?;
    let claim = claim_of(Log::open(&begun.dir)?.state(), begun.id)?;
    if claim.is_final() {
        return Ok((begun.dir, begun.id));
    }
    ui.note(&format!(
        "{}: {} against {}; {} runs of the baseline come first",
        begun.dir.id(),
        begun.branch,
        chart.task.base.as_deref().unwrap_or("the base"),
        chart.protocol.baseline + 1
    ));
    spawn::supervisor(&begun.dir, &place::clean_env(), &KeyRing::default())?;
    Ok((begun.dir, begun.id))
}

fn not_begun(error: TrialError) -> Failure {
    let hint = match error {
        TrialError::Found(error) => return charts::not_founded(error),
        TrialError::Bring(ref error) => error.hint(),
        TrialError::Conflict { ref base, .. } => {
            format!("bring {base} into the branch and resolve it there, then try again")
        }
        TrialError::Log(_) | TrialError::Propose(_) => {
            "look at the disk and at who may write there; ORG_RUNS names another place".to_owned()
        }
    };
    Failure::refused("nothing was tried, and nothing of it is left", hint).because(&error)
}

fn claim_of(state: &State, id: u64) -> Result<Hypothesis, Failure> {
    let claim = state.hypotheses.get(&id).cloned();
    claim.ok_or_else(|| Failure::refused(format!("there is no claim h{id}"), "org ledger"))
}

/// A person's last claim of a run, whose supervisor is there from here on.
fn go_on(place: &Place, run: &str) -> Result<(RunDir, u64), Failure> {
    let dir = place.reading(Some(run))?;
    let mut log = Log::open(&dir)?;
    let human = Actor::Human.name();
    let mine = log.state().hypotheses.values().rev();
    let id = mine
        .filter(|claim| claim.agent == human)
        .map(|claim| claim.id)
        .next();
    let id = id.ok_or_else(|| {
        Failure::refused(
            format!("{} has no claim of yours", dir.id()),
            format!("org up --resume {} goes on with an organisation", dir.id()),
        )
    })?;
    if claim_of(log.state(), id)?.is_final() {
        return Ok((dir, id));
    }
    revive(&dir, &mut log)?;
    Ok((dir, id))
}

fn revive(dir: &RunDir, log: &mut Log) -> Result<(), Failure> {
    if log.state().stopped || log.state().down.is_some() {
        log.append(&Actor::Human, vec![Kind::RunResumed {}])?;
    }
    if !place::supervised(dir) {
        spawn::supervisor(dir, &place::clean_env(), &KeyRing::default())?;
    }
    Ok(())
}

/// The undecided claim of a run, registered again to get more seeds.
fn more(place: &Place, ui: &Ui, run: &str) -> Result<(RunDir, u64), Failure> {
    let dir = place.reading(Some(run))?;
    let mut log = Log::open(&dir)?;
    let human = Actor::Human.name();
    let mine = log.state().hypotheses.values().rev();
    let last = mine
        .filter(|claim| claim.agent == human)
        .map(|it| it.id)
        .next();
    let id = tool::top_up(&mut log, last.unwrap_or(0)).map_err(|error| {
        let hint = match error {
            ProposeError::NotUndecided(_) => format!("org ledger {} says how it ended", dir.id()),
            _ => "look at the disk and at who may write there".to_owned(),
        };
        Failure::refused(format!("{} cannot be topped up", dir.id()), hint).because(&error)
    })?;
    ui.note(&format!(
        "h{id} goes on with the runs of h{}",
        last.unwrap_or(0)
    ));
    revive(&dir, &mut log)?;
    Ok((dir, id))
}

/// Waits until the claim has its verdict.
fn follow(ui: &Ui, dir: &RunDir, chart: &Chart, id: u64) -> Result<(), Failure> {
    let mut log = Log::open(dir)?;
    let mut shown = 0;
    block_on(async {
        let mut bell = Bell::on(&[dir.events()]);
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let (mut unseen, mut starts) = (0, 0);
        loop {
            log.catch_up()?;
            log.drain();
            progress(ui, chart, log.state(), id, &mut shown);
            if claim_of(log.state(), id)?.is_final() {
                return Ok(());
            }
            over(dir, chart, log.state())?;
            tokio::select! {
                () = bell.wait() => {}
                () = tokio::time::sleep(LOOK) => {
                    unseen = if place::supervised(dir) { 0 } else { unseen + 1 };
                }
                _ = interrupt.recv() => return cut_short(dir),
                _ = terminate.recv() => return cut_short(dir),
            }
            if unseen > UNSEEN {
                if starts >= STARTS {
                    return Err(up::not_started(dir, "has no supervisor that stays"));
                }
                (unseen, starts) = (0, starts + 1);
                spawn::supervisor(dir, &place::clean_env(), &KeyRing::default())?;
            }
        }
    })
}

/// Why no verdict will come, if none will.
fn over(dir: &RunDir, chart: &Chart, state: &State) -> Result<(), Failure> {
    if state.stopped {
        return Err(Failure::refused(
            format!("{} was brought down before the verdict", dir.id()),
            format!("org try --resume {}", dir.id()),
        ));
    }
    if standing::done(chart, state) {
        return Err(Failure::refused(
            format!("the budget of {} is spent before the verdict", dir.id()),
            format!(
                "raise [budget] gpu_hours in the chart; org report {}",
                dir.id()
            ),
        ));
    }
    Ok(())
}

fn cut_short(dir: &RunDir) -> Result<(), Failure> {
    down::bring_down(dir, "interrupted")?;
    Err(Failure::refused(
        format!("{} was brought down before the verdict", dir.id()),
        format!("org try --resume {} goes on where it stopped", dir.id()),
    ))
}

fn progress(ui: &Ui, chart: &Chart, state: &State, id: u64, shown: &mut usize) {
    let ahead = protocol::ahead(chart, state, id);
    if ahead.ended == *shown {
        return;
    }
    *shown = ahead.ended;
    ui.note(&verdict::progress(&chart.task.metric.name, state, &ahead));
}

fn tell(ui: &Ui, json: bool, dir: &RunDir, chart: &Chart, id: u64) -> Result<ExitCode, Failure> {
    let log = Log::open(dir)?;
    let claim = claim_of(log.state(), id)?;
    let entries = ledger::of(log.state());
    let entry = entries.iter().find(|entry| entry.id == format!("h{id}"));
    let Some(entry) = entry else {
        return Err(Failure::refused(
            format!("there is no claim h{id}"),
            "org ledger",
        ));
    };
    if json {
        ui.json(&Tried {
            run: dir.id(),
            dir: dir.path().display().to_string(),
            entry,
        })?;
    } else {
        ui.out(&verdict::text(&chart.task.metric, &claim, entry))?;
    }
    if matches!(
        claim.status,
        Status::Confirmed | Status::Reviewed | Status::Promoted
    ) {
        ui.note(&format!(
            "every run and number: org ledger {} --json",
            dir.id()
        ));
        return Ok(ExitCode::SUCCESS);
    }
    let hint = match claim.status {
        Status::Undecided => format!("org try --more {} adds seeds", dir.id()),
        Status::Rejected => "change what is named, commit it, and try again".to_owned(),
        _ => format!("org ledger {} --json has every run and number", dir.id()),
    };
    let status = claim.status.word();
    Err(Failure::refused(
        format!("the claim was not confirmed: h{id} is {status}"),
        hint,
    ))
}
