//! `org land`: what an organisation has found, as one branch in the user's repository.
//!
//! Owns the order: what is meant, whether it may be pushed, the person's approval where the chart asks
//! for it, the winner at target scale, the push. Everything is judged before anything is begun. Must not
//! know how a branch is made, or what makes a claim true.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use super::failure::{Failure, Kind as Refusal};
use super::place::{self, RunArgs};
use super::{Context, block_on, trial};
use crate::domain::approval::{self, Gate};
use crate::domain::chart::Chart;
use crate::domain::event::{Actor, Kind, Matter, RunStatus};
use crate::domain::protocol::Claim;
use crate::domain::state::State;
use crate::engine::landing;
use crate::repo::{self, Landing, RepoError};
use crate::run::log::Log;
use crate::run::paths::RunDir;
use crate::tool::Proposal;
use crate::view::evidence::{self, Evidence};
use crate::view::figure;

/// Put what was promoted into your repository, as a new branch
///
/// One commit on top of the base, with the evidence in its message; nothing else in the repository is
/// touched. Without H it is the programme as it stands, with H the programme up to that claim. Refused
/// where the base has moved since `up`: --reconfirm measures the change on top of where it is now.
#[derive(Debug, Clone, Args)]
pub(super) struct LandArgs {
    /// The claim up to which the programme is landed (h3)
    #[arg(value_name = "H")]
    hypothesis: Option<String>,
    /// The new branch
    #[arg(long, value_name = "BRANCH")]
    onto: String,
    /// Where the base has moved: take the change through the gate again on top of it, and land that
    #[arg(long)]
    reconfirm: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    run: RunArgs,
}

/// What was landed, as scripts read it.
#[derive(Serialize)]
struct Landed {
    run: String,
    hypothesis: String,
    repo: String,
    branch: String,
    commit: String,
}

/// What is to be landed.
struct Winner {
    hypothesis: u64,
    champion: String,
}

/// Runs the command.
///
/// # Errors
/// Where nothing was pushed.
pub(super) fn run(context: &Context, args: &LandArgs) -> Result<ExitCode, Failure> {
    let dir = context.place.acting(args.run.name());
    let dir = dir.map_err(|error| named(context, args, error))?;
    let mut log = Log::open(&dir)?;
    let chart = place::chart(&dir)?;
    let winner = winner(log.state(), &dir, args.hypothesis.as_deref())?;
    if let Some(before) = earlier(log.state(), &chart, &winner, &args.onto) {
        context.ui.note("it was landed before");
        return tell(context, args, before);
    }
    let landable = repo::landable(&landing_of(&chart, log.state(), &args.onto));
    let moved = matches!(landable, Err(RepoError::BaseMoved { .. }));
    if let Err(error) = landable
        && !(moved && args.reconfirm)
        && !pushed_already(&dir, &chart, &log, &winner, args, &error)
    {
        return Err(not_landed(&error));
    }
    approved(&mut log, &chart, &winner, &dir)?;
    if moved {
        free(&chart, &args.onto)?;
        let again = reconfirm(context, &dir, &chart, log.state(), &winner)?;
        let mut log = Log::open(&again)?;
        let chart = place::chart(&again)?;
        let winner = self::winner(log.state(), &again, None)?;
        return push(context, args, &mut log, &chart, &winner);
    }
    push(context, args, &mut log, &chart, &winner)
}

/// Where no run is meant, the one that most likely is: what a night has found is landed when it is down.
fn named(context: &Context, args: &LandArgs, mut error: Failure) -> Failure {
    if args.run.name().is_none()
        && error.kind == Refusal::Refused
        && let Ok(newest) = context.place.reading(None)
    {
        let (branch, run) = (&args.onto, newest.id());
        error.hint =
            format!("org land --onto {branch} --run {run} lands what the newest run found");
    }
    error
}

fn landing_of<'a>(chart: &'a Chart, state: &'a State, branch: &'a str) -> Landing<'a> {
    Landing {
        source: &chart.task.repo,
        base: chart.task.base.as_deref(),
        start: &state.start,
        branch,
    }
}

/// Refuses a branch that is there, before anything is measured for it.
fn free(chart: &Chart, branch: &str) -> Result<(), Failure> {
    let there = repo::tip_of(&chart.task.repo, branch).map_err(|error| not_landed(&error))?;
    match there {
        None => Ok(()),
        Some(at) => Err(not_landed(&RepoError::BranchExists {
            path: chart.task.repo.clone().into(),
            branch: branch.to_owned(),
            at,
        })),
    }
}

fn not_landed(error: &RepoError) -> Failure {
    Failure::refused("nothing was landed", error.hint()).because(error)
}

/// What a person means: the programme, or its part up to a claim.
fn winner(state: &State, dir: &RunDir, named: Option<&str>) -> Result<Winner, Failure> {
    let of = |(hypothesis, champion): (u64, &str)| Winner {
        hypothesis,
        champion: champion.to_owned(),
    };
    let ledger = format!("org ledger {} says what became of each claim", dir.id());
    let Some(name) = named else {
        return state.champions().last().map(of).ok_or_else(|| {
            let message = format!(
                "nothing was promoted in {}, so there is nothing to land",
                dir.id()
            );
            Failure::refused(message, ledger)
        });
    };
    let id = name.strip_prefix('h').unwrap_or(name).parse::<u64>();
    let claim = id.ok().and_then(|id| state.hypotheses.get(&id));
    let Some(claim) = claim else {
        let message = format!("there is no claim {name:?} in {}", dir.id());
        return Err(Failure::refused(message, ledger));
    };
    let mut standing = state.champions();
    standing
        .find(|(id, _)| *id == claim.id)
        .map(of)
        .ok_or_else(|| {
            let word = claim.status.word();
            let message = format!("h{} is {word}: only what was promoted is landed", claim.id);
            Failure::refused(message, ledger)
        })
}

/// The landing of the same on the same branch, if the log has one and the branch still is it.
fn earlier(state: &State, chart: &Chart, winner: &Winner, branch: &str) -> Option<Landed> {
    let same = state.landings.iter().rev();
    let mut same = same.filter(|it| it.branch == branch && it.champion == winner.champion);
    let before = same.next()?;
    let there = repo::tip_of(&chart.task.repo, branch).ok().flatten()?;
    (there == before.commit).then(|| Landed {
        run: state.run.clone(),
        hypothesis: format!("h{}", winner.hypothesis),
        repo: chart.task.repo.clone(),
        branch: branch.to_owned(),
        commit: there,
    })
}

/// Whether the branch that is in the way is what this very landing made before it was cut short.
fn pushed_already(
    dir: &RunDir,
    chart: &Chart,
    log: &Log,
    winner: &Winner,
    args: &LandArgs,
    error: &RepoError,
) -> bool {
    let RepoError::BranchExists { at, .. } = error else {
        return false;
    };
    let landing = landing_of(chart, log.state(), &args.onto);
    let message = message(log, chart, winner);
    let at_second = since(log.state(), winner);
    let landed = repo::land(
        &dir.repo_git(),
        &landing,
        &winner.champion,
        &message,
        at_second,
    );
    landed.is_ok_and(|landed| landed.commit == *at)
}

/// The person's approval, where the chart asks for it.
fn approved(log: &mut Log, chart: &Chart, winner: &Winner, dir: &RunDir) -> Result<(), Failure> {
    let hypothesis = winner.hypothesis;
    let asked = log.transact(&Actor::Human, |state| {
        match approval::landing(chart, state, hypothesis) {
            Gate::Open => Ok((Vec::new(), None)),
            Gate::Parked(id) => Ok((Vec::new(), Some(id))),
            Gate::Denied(reason) => Err(reason),
            Gate::Ask => {
                let claim = state.hypotheses.get(&hypothesis);
                let title = claim.map_or("", |claim| claim.title.as_str());
                let id = state.next_approval();
                let asked = Kind::ApprovalAsked {
                    id,
                    matter: Matter::Land { hypothesis },
                    question: format!("land h{hypothesis}: {}", figure::one_line(title)),
                };
                Ok((vec![asked], Some(id)))
            }
        }
    })?;
    match asked {
        Ok(None) => Ok(()),
        Ok(Some(id)) => Err(Failure::refused(
            format!("to land h{hypothesis} waits for an approval, as the chart asks: a{id}"),
            format!("org approve a{id} --run {}, then the same again", dir.id()),
        )),
        Err(reason) => {
            let why = if reason.is_empty() {
                String::new()
            } else {
                format!(": {reason}")
            };
            Err(Failure::refused(
                format!("to land h{hypothesis} was denied{why}"),
                format!(
                    "org ledger show h{hypothesis} --run {} shows the claim",
                    dir.id()
                ),
            ))
        }
    }
}

/// Takes the change through the gate again, on top of where the base is now.
fn reconfirm(
    context: &Context,
    dir: &RunDir,
    chart: &Chart,
    state: &State,
    winner: &Winner,
) -> Result<RunDir, Failure> {
    let Some(claim) = state.hypotheses.get(&winner.hypothesis) else {
        return Err(Failure::refused("the claim is gone", "org ledger"));
    };
    let upto = state.claims_of(&winner.champion);
    let promoted = || upto.iter().filter_map(|id| state.hypotheses.get(id));
    let improves = promoted().any(|it| it.claim == Claim::Improve);
    let gains: f64 = promoted()
        .filter_map(|it| it.verdict.as_ref()?.effect)
        .sum();
    let of = evidence_of(chart, state, winner, "");
    let proposal = Proposal {
        title: evidence::title(&of),
        claim: if improves {
            Claim::Improve
        } else {
            claim.claim
        },
        mechanism: claim.mechanism.clone(),
        predicts: (improves && gains > 0.0).then_some(gains),
        refuted_by: claim.refuted_by.clone(),
        axis: Some(claim.axis),
        margin: if improves { None } else { claim.margin },
        parts: Vec::new(),
    };
    context.ui.note(&format!(
        "{} has moved: the change is measured again on top of it",
        chart.task.base.as_deref().unwrap_or("the base")
    ));
    let source = dir.repo_git().display().to_string();
    let again = trial::Again {
        chart: chart.clone(),
        mock: state.mock,
        source: &source,
        commit: &winner.champion,
    };
    trial::again(context, again, &proposal)
}

fn push(
    context: &Context,
    args: &LandArgs,
    log: &mut Log,
    chart: &Chart,
    winner: &Winner,
) -> Result<ExitCode, Failure> {
    let dir = log.dir().clone();
    at_target_scale(context, log, chart, winner)?;
    let landing = landing_of(chart, log.state(), &args.onto);
    let message = message(log, chart, winner);
    let at = since(log.state(), winner);
    let landed = repo::land(&dir.repo_git(), &landing, &winner.champion, &message, at)
        .map_err(|error| not_landed(&error))?;
    let repo = landed.repo.display().to_string();
    let done = Kind::LandingDone {
        hypothesis: winner.hypothesis,
        champion: winner.champion.clone(),
        repo: repo.clone(),
        branch: args.onto.clone(),
        commit: landed.commit.clone(),
    };
    log.append(&Actor::Human, vec![done])?;
    let landed = Landed {
        run: dir.id(),
        hypothesis: format!("h{}", winner.hypothesis),
        repo,
        branch: args.onto.clone(),
        commit: landed.commit,
    };
    tell(context, args, landed)
}

fn tell(context: &Context, args: &LandArgs, landed: Landed) -> Result<ExitCode, Failure> {
    if args.json {
        context.ui.json(&landed)?;
        return Ok(ExitCode::SUCCESS);
    }
    context.ui.out(&format!(
        "{} is branch {} of {}, at {}\n",
        landed.hypothesis,
        landed.branch,
        landed.repo,
        figure::commit(&landed.commit)
    ))?;
    context.ui.note(&format!(
        "the evidence: git -C {} show --stat {}",
        landed.repo, landed.branch
    ));
    Ok(ExitCode::SUCCESS)
}

/// Runs the winner by the chart's `[landing] run`, unless it has run so before and done well.
fn at_target_scale(
    context: &Context,
    log: &mut Log,
    chart: &Chart,
    winner: &Winner,
) -> Result<(), Failure> {
    let Some(command) = &chart.landing.run else {
        return Ok(());
    };
    let done = log.state().rerun(&winner.champion, command);
    if done.is_some_and(|it| it.status == RunStatus::Ok) {
        return Ok(());
    }
    let dir = log.dir().clone();
    context
        .ui
        .note(&format!("at target scale first: {command}"));
    let clean = place::clean_env();
    let ran = block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let stop = async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        let state = log.state();
        let champion = &winner.champion;
        Ok::<_, Failure>(landing::rerun(&dir, chart, state, &clean, champion, command, stop).await)
    })?;
    let (mut measured, tail) = ran.map_err(|error| {
        let hint = format!("org down {0}, and land it with --run {0}", dir.id());
        Failure::refused("the winner cannot run at target scale", hint).because(&error)
    })?;
    if let Kind::LandingMeasured { tail: kept, .. } = &mut measured {
        *kept = log.blobs().text(&tail)?;
    }
    log.append(&Actor::Lab, vec![measured])?;
    let Some(rerun) = log.state().rerun(&winner.champion, command) else {
        return Err(Failure::bug(
            "the run at target scale is not in the log",
            "org logs",
        ));
    };
    if rerun.status == RunStatus::Ok {
        let value = rerun.measured.value.map(figure::number);
        let (name, value) = (&chart.task.metric.name, value.unwrap_or_default());
        context.ui.note(&format!("{name} {value}"));
        return Ok(());
    }
    let mut failure = Failure::refused(
        format!(
            "nothing was landed: at target scale the winner ended {}",
            rerun.status.word()
        ),
        format!("its output is in {}", dir.experiment(0).display()),
    );
    failure.causes.push(rerun.reason.clone());
    failure
        .causes
        .extend(tail.lines().last().map(str::to_owned));
    Err(failure)
}

fn evidence_of<'a>(
    chart: &'a Chart,
    state: &'a State,
    winner: &'a Winner,
    head: &'a str,
) -> Evidence<'a> {
    let command = chart.landing.run.as_deref();
    Evidence {
        metric: &chart.task.metric,
        state,
        hypothesis: winner.hypothesis,
        champion: &winner.champion,
        head,
        rerun: command.and_then(|command| state.rerun(&winner.champion, command)),
    }
}

fn message(log: &Log, chart: &Chart, winner: &Winner) -> String {
    let head = log.chain().head().unwrap_or_default().to_owned();
    evidence::message(&evidence_of(chart, log.state(), winner, &head))
}

/// When the claim was promoted: the same landing is the same commit.
fn since(state: &State, winner: &Winner) -> i64 {
    let claim = state.hypotheses.get(&winner.hypothesis);
    claim.map_or(0, |claim| claim.since.as_second())
}
