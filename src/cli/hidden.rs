//! The processes that `org` starts of itself: supervisor, agent, pane, job, mock.
//!
//! Not for people: their words go to `logs/`, their input comes from whoever started them.

use std::io::Read as _;
use std::process::ExitCode;

use super::Context;
use super::args::{AgentArgs, ConfineArgs, MockArgs, PaneArgs, SuperviseArgs};
use super::failure::Failure;
use super::{block_on, derived, place};
use crate::domain::scenario::{self, Roster};
use crate::engine::janitor::BACK;
use crate::engine::keys::KeyRing;
use crate::engine::seats::{FEED, WATCH};
use crate::engine::{agent, supervise};
use crate::mock::{self, Options};
use crate::os::lock::Lock;
use crate::os::sandbox::Report;
use crate::os::{confine, exec, job};
use crate::pane::{self, Terminal};
use crate::run::paths::RunDir;

/// Words go to standard error, which is a file in `logs/`.
fn listen_to_ourselves() {
    let filter = place::var("ORG_LOG").unwrap_or_else(|| "info".to_owned());
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .finish();
    tracing::subscriber::set_global_default(subscriber).ok();
}

fn keys() -> KeyRing {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).ok();
    KeyRing::from_json(&text)
}

fn broke(what: &str, error: &dyn std::error::Error) -> Failure {
    Failure::refused(
        format!("{what} cannot go on"),
        "org status, then org up --resume RUN",
    )
    .because(error)
}

/// The supervisor.
///
/// # Errors
/// Where the world breaks.
pub(super) fn supervise(args: &SuperviseArgs) -> Result<(), Failure> {
    listen_to_ourselves();
    let keys = keys();
    let enforced = args.enforced.as_deref();
    let run = supervise::run(
        RunDir::at(&args.dir),
        place::clean_env(),
        keys,
        derived::results,
        enforced
            .and_then(|text| serde_json::from_str(text).ok())
            .filter(|report: &Report| !report.is_empty()),
    );
    block_on(run).map_err(|error| broke("the supervisor", &error))
}

/// An agent.
///
/// # Errors
/// Where the world breaks.
pub(super) fn agent(args: &AgentArgs) -> Result<(), Failure> {
    listen_to_ourselves();
    let keys = keys();
    let mut env = place::clean_env();
    for name in [
        "CUDA_VISIBLE_DEVICES",
        "CUDA_DEVICE_ORDER",
        "ORG_RUN",
        "ORG_AGENT",
    ] {
        if let Some(value) = place::var(name) {
            env.insert(name.to_owned(), value);
        }
    }
    let run = agent::run(RunDir::at(&args.dir), args.name.clone(), env, keys);
    block_on(run).map_err(|error| broke(&args.name, &error))
}

/// A pane.
///
/// # Errors
/// Where the run cannot be read.
pub(super) fn pane(context: &Context, args: &PaneArgs) -> Result<(), Failure> {
    let dir = context.place.reading(args.run.name())?;
    if args.name == WATCH {
        return super::watch::seat(context, &dir);
    }
    let chart = place::chart(&dir)?;
    let terminal = if args.seated {
        Terminal::Ours
    } else {
        Terminal::Theirs
    };
    let shown = block_on(async {
        match args.name.as_str() {
            FEED => pane::follow::feed(dir, terminal).await,
            name => {
                let back = place::var(BACK);
                pane::follow::agent(dir, chart, name.to_owned(), terminal, back).await
            }
        }
    });
    Ok(shown?)
}

/// A job's keeper.
///
/// # Errors
/// Where its description cannot be read or its result not written.
pub(super) fn job() -> Result<(), Failure> {
    job::run_from_stdin()
        .map(|_| ())
        .map_err(|error| broke("the keeper", &error))
}

/// One confined program.
///
/// # Errors
/// Where its description is none.
pub(super) fn confine(args: &ConfineArgs) -> Result<ExitCode, Failure> {
    let confinement =
        serde_json::from_str(&args.text).map_err(|error| broke("the confining process", &error))?;
    let code = confine::run(confinement, place::whole_env());
    Ok(ExitCode::from(code))
}

/// The mock server.
///
/// # Errors
/// Where its files cannot be read or the port is taken.
pub(super) fn mock(context: &Context, args: &MockArgs) -> Result<(), Failure> {
    let hint = "org check names what is wrong in a scenario; see `org mock --help`";
    let refused = |why: String| Failure::refused(why, hint);
    let run = args.dir.as_ref().map(RunDir::at);
    let file = match (&run, &args.scenario) {
        (Some(run), _) => run.scenario(),
        (None, Some(file)) => file.clone(),
        (None, None) => return Err(Failure::usage("no scenario was named", hint)),
    };
    let text = std::fs::read_to_string(&file)
        .map_err(|error| refused(format!("cannot read {}: {error}", file.display())))?;
    let scenario = scenario::decode(&text).map_err(|problems| {
        let mut failure = Failure::usage(format!("{} is not a scenario", file.display()), hint);
        failure.causes = problems
            .iter()
            .map(|p| format!("line {}, column {}: {}", p.line, p.column, p.message))
            .collect();
        failure
    })?;
    let roster = match &run {
        Some(run) => serde_json::from_slice(&std::fs::read(run.roster())?)
            .map_err(|error| refused(format!("the roster cannot be read: {error}")))?,
        None => Roster::default(),
    };
    if run.is_some() {
        exec::become_session()?;
    }
    let options = Options {
        scenario,
        port: args.port,
        state: run
            .as_ref()
            .map(RunDir::mock)
            .or_else(|| args.state.clone()),
        roster,
        pace_ms: None,
    };
    let mut held = None;
    let served = mock::serve(options, |port| match &run {
        // Held means that it listens: the supervisor waits for that.
        Some(run) => held = Lock::try_take(&run.lock("mock")).ok().flatten(),
        None => {
            context.ui.out(&format!("http://127.0.0.1:{port}\n")).ok();
        }
    });
    match block_on(served) {
        Ok(never) => match never {},
        Err(error) => Err(refused("the mock cannot serve".to_owned()).because(&error)),
    }
}
