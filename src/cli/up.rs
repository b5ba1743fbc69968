//! `org up`: from a chart to a working organisation, or back to one that was left.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::Context;
use super::args::UpArgs;
use super::failure::Failure;
use super::place::{self, Place};
use super::ui::Ui;
use super::{attach, block_on, charts, doctor, down, survive, until};
use crate::domain::chart::Chart;
use crate::domain::event::{Actor, Kind};
use crate::domain::standing;
use crate::engine::found::{self, Ask};
use crate::engine::keys::KeyRing;
use crate::engine::spawn;
use crate::os::clock;
use crate::run::bell::Bell;
use crate::run::log::Log;
use crate::run::paths::RunDir;

/// Longest time until every agent has started: a loaded machine with many agents.
const READY: Duration = Duration::from_secs(60);
/// Longest time without a supervisor: whoever of the run lives and finds it gone starts one within a
/// moment, and one that fails has said why.
const UNSEEN: Duration = Duration::from_secs(2);
/// Lines of the supervisor's log that a failed start shows.
const LAST_LINES: usize = 5;

/// Runs the command.
///
/// # Errors
/// Whatever stands against it; nothing is left half made.
pub(super) fn run(context: &Context, args: &UpArgs) -> Result<(), Failure> {
    let (place, ui) = (&context.place, &context.ui);
    if args.survive {
        survive::possible(&place::clean_env())?;
    }
    let dir = match (&args.resume, &args.chart) {
        (Some(run), _) => resume(place, ui, run, args.mock)?,
        (None, Some(chart)) => start(place, ui, args, chart)?,
        (None, None) => {
            return Err(Failure::usage(
                "no chart was named",
                "org up orgs/demo.toml --mock",
            ));
        }
    };
    let chart = place::chart(&dir)?;
    let headless = args.headless || Log::open(&dir)?.state().headless;
    wait_until_ready(&dir, &chart, headless, args.resume.is_some())?;
    if args.survive {
        let mock = Log::open(&dir)?.state().mock;
        survive::install(ui, &dir, &chart, mock, &place::clean_env())?;
    }
    if args.until.is_some() {
        return until::done(ui, &dir, &chart);
    }
    let terminal = ui.is_terminal() && !args.detach && !headless;
    if terminal {
        return attach::attach(context, &dir, None);
    }
    announce(ui, &dir, &chart, headless)
}

fn announce(ui: &Ui, dir: &RunDir, chart: &Chart, headless: bool) -> Result<(), Failure> {
    let log = Log::open(dir)?;
    let mock = if log.state().mock { "MOCK  " } else { "" };
    let agents = chart.agents.len();
    ui.out(&format!("{mock}{} is up with {agents} agents\n", dir.id()))?;
    if headless {
        ui.note(&format!(
            "watch:  org status --run {0}\nstop:   org down {0}",
            dir.id()
        ));
    } else {
        ui.note(&format!(
            "attach: org attach --run {0}\nstop:   org down {0}",
            dir.id()
        ));
    }
    Ok(())
}

/// Makes a run of a chart and starts it.
fn start(place: &Place, ui: &Ui, args: &UpArgs, path: &Path) -> Result<RunDir, Failure> {
    let chart = charts::accepted(place, ui, path)?;
    let mock = args.mock || args.scenario.is_some();
    let clean = place::clean_env();
    let keys = keys(&chart, mock, &clean)?;
    if !args.headless {
        charts::office_can_be(&clean)?;
    }
    let ask = Ask {
        chart,
        mock,
        scenario: args.scenario.as_ref().map(|path| place.cwd.join(path)),
        headless: args.headless,
        runs: place.index.here.clone(),
        clean: clean.clone(),
        visible: place::var("CUDA_VISIBLE_DEVICES"),
    };
    let (enforced, plan) = std::thread::scope(|scope| {
        // Found out by starting a program, which takes about as long as planning.
        let enforced = scope.spawn(|| doctor::enforced_here(&clean));
        let plan = found::plan(ask);
        (enforced.join().unwrap_or_default(), plan)
    });
    for warning in doctor::before_up(place, &clean, &enforced) {
        ui.note(&format!("warning: {warning}"));
    }
    let dir = plan.and_then(found::found).map_err(charts::not_founded)?;
    if let Err(error) = place.index.remember(&dir) {
        let here = place.index.here.display();
        ui.note(&format!(
            "warning: the run is found from {here} only: {error}"
        ));
    }
    spawn::first_supervisor(&dir, &clean, &keys, &enforced).map_err(Failure::from)?;
    Ok(dir)
}

/// The keys of a chart's models; none where models are pretended.
///
/// # Errors
/// Where one is missing.
pub(super) fn keys(
    chart: &Chart,
    mock: bool,
    clean: &BTreeMap<String, String>,
) -> Result<KeyRing, Failure> {
    if mock {
        return Ok(KeyRing::default());
    }
    KeyRing::collect(chart, &|name| place::var(name), clean).map_err(|error| {
        let hint = error.hint.clone();
        Failure::refused("a model cannot be asked", hint).because(&error)
    })
}

/// Goes on with a run.
fn resume(place: &Place, ui: &Ui, run: &str, mock: bool) -> Result<RunDir, Failure> {
    let dir = place.reading(Some(run))?;
    if mock && !Log::open(&dir)?.state().mock {
        return Err(Failure::usage(
            format!("{} asks real models, and goes on as it began", dir.id()),
            format!("org up --resume {}, without --mock", dir.id()),
        ));
    }
    if place::supervised(&dir) {
        ui.note(&format!("{} is up already", dir.id()));
        return Ok(dir);
    }
    if let Some(warning) = revive(&dir)? {
        ui.note(&format!("warning: {warning}; its agents are held"));
    }
    Ok(dir)
}

/// Starts a supervisor for a run that may have none; gives what is wrong with its keys.
///
/// # Errors
/// Where its log cannot be used, or nothing can be started.
pub(super) fn revive(dir: &RunDir) -> Result<Option<String>, Failure> {
    let chart = place::chart(dir)?;
    let clean = place::clean_env();
    let mut log = Log::open(dir)?;
    if log.state().stopped || log.state().down.is_some() {
        log.append(&Actor::Human, vec![Kind::RunResumed {}])?;
    }
    let mut warning = None;
    let keys = if log.state().mock {
        KeyRing::default()
    } else {
        KeyRing::collect(&chart, &|name| place::var(name), &clean).unwrap_or_else(|error| {
            warning = Some(error.to_string());
            KeyRing::default()
        })
    };
    spawn::supervisor(dir, &clean, &keys).map_err(Failure::from)?;
    Ok(warning)
}

/// Builds the office and waits until every agent has started. A supervisor that was found alive may have been
/// about to end: `revives` starts another then.
fn wait_until_ready(
    dir: &RunDir,
    chart: &Chart,
    headless: bool,
    mut revives: bool,
) -> Result<(), Failure> {
    let mut log = Log::open(dir)?;
    block_on(async {
        if !headless && let Err(mut failure) = attach::build_if_gone(dir, chart, &mut log).await {
            down::bring_down(dir, "the office could not be built")?;
            failure.hint = "org doctor, or add --headless".to_owned();
            return Err(failure);
        }
        let mut bell = Bell::on(&[dir.events()]);
        let deadline = clock::monotonic() + READY;
        let mut seen = clock::monotonic();
        loop {
            log.catch_up()?;
            log.drain();
            let supervised = place::supervised(dir);
            let standing = standing::run(chart, log.state(), true);
            if supervised && standing.word != "starting" {
                return Ok(());
            }
            let now = clock::monotonic();
            if supervised {
                seen = now;
            }
            if now > deadline {
                let why = format!("did not start within {} s", READY.as_secs());
                return Err(not_started(dir, &why));
            }
            if now > seen + UNSEEN {
                if !std::mem::take(&mut revives) {
                    return Err(not_started(dir, "has no supervisor"));
                }
                revive(dir)?;
                seen = clock::monotonic();
            }
            let look = tokio::time::sleep(Duration::from_millis(100));
            tokio::select! {
                () = bell.wait() => {}
                () = look => {}
            }
        }
    })
}

pub(super) fn not_started(dir: &RunDir, why: &str) -> Failure {
    let path = dir.logs().join("supervisor.log");
    let words = std::fs::read_to_string(&path).unwrap_or_default();
    let lines: Vec<&str> = words.lines().collect();
    let mut failure = Failure::refused(
        format!("{} {why}", dir.id()),
        format!(
            "org status --run {0}, then org up --resume {0}, or org down {0}",
            dir.id()
        ),
    );
    failure.causes = lines[lines.len().saturating_sub(LAST_LINES)..]
        .iter()
        .map(|line| (*line).to_owned())
        .collect();
    failure
}
