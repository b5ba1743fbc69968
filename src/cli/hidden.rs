//! The processes that `org` starts of itself: supervisor, agent, pane, job, mock.
//!
//! Not for people: their words go to `logs/`, their input comes from whoever started them.

use std::io::Read as _;
use std::path::PathBuf;

use clap::Args;

use super::failure::Failure;
use super::place::{self, Place, RunArgs};
use crate::domain::scenario;
use crate::engine::keys::KeyRing;
use crate::engine::seats::{FEED, STANDING};
use crate::engine::{agent, supervise};
use crate::mock::{self, Options};
use crate::os::lock::Lock;
use crate::os::{exec, job};
use crate::pane;
use crate::run::paths::RunDir;

/// Supervise a run
#[derive(Debug, Args)]
pub struct SuperviseArgs {
    /// The run's directory
    dir: PathBuf,
}

/// Be an agent
#[derive(Debug, Args)]
pub struct AgentArgs {
    /// The run's directory
    dir: PathBuf,
    /// The agent
    name: String,
}

/// Show an agent, the feed, or the standing
#[derive(Debug, Args)]
pub struct PaneArgs {
    /// An agent's name, `feed` or `standing`
    seat: String,
    #[command(flatten)]
    run: RunArgs,
}

/// Play a scenario to clients of either wire
#[derive(Debug, Args)]
pub struct MockArgs {
    /// What is said
    #[arg(long, value_name = "FILE")]
    scenario: PathBuf,
    /// The loopback port; 0 takes any
    #[arg(long, value_name = "N", default_value_t = 0)]
    port: u16,
    /// Where positions are kept
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Who is who: JSON of roles and models by agent
    #[arg(long, value_name = "FILE")]
    roster: Option<PathBuf>,
    /// A lock to hold while it listens
    #[arg(long, value_name = "FILE", hide = true)]
    lock: Option<PathBuf>,
}

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
    Failure::refused(format!("{what} cannot go on"), "org status, then org up --resume RUN")
        .because(error)
}

/// The supervisor.
///
/// # Errors
/// Where the world breaks.
pub fn supervise(place: &Place, args: &SuperviseArgs) -> Result<(), Failure> {
    listen_to_ourselves();
    let keys = keys();
    let run = supervise::run(RunDir::at(&args.dir), place::clean_env(), keys);
    place.block_on(run).map_err(|error| broke("the supervisor", &error))
}

/// An agent.
///
/// # Errors
/// Where the world breaks.
pub fn agent(place: &Place, args: &AgentArgs) -> Result<(), Failure> {
    listen_to_ourselves();
    let keys = keys();
    let mut env = place::clean_env();
    for name in ["CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "ORG_RUN", "ORG_AGENT"] {
        if let Some(value) = place::var(name) {
            env.insert(name.to_owned(), value);
        }
    }
    let run = agent::run(RunDir::at(&args.dir), args.name.clone(), env, keys);
    place.block_on(run).map_err(|error| broke(&args.name, &error))
}

/// A pane.
///
/// # Errors
/// Where the run cannot be read.
pub fn pane(place: &Place, args: &PaneArgs) -> Result<(), Failure> {
    let dir = place.reading(&args.run)?;
    let chart = place::chart(&dir)?;
    let shown = place.block_on(async {
        match args.seat.as_str() {
            FEED => pane::follow::feed(dir).await,
            STANDING => pane::follow::standing(dir, chart).await,
            name => pane::follow::agent(dir, chart, name.to_owned()).await,
        }
    });
    Ok(shown?)
}

/// A job's keeper.
///
/// # Errors
/// Where its description cannot be read or its result not written.
pub fn job() -> Result<(), Failure> {
    job::run_from_stdin().map(|_| ()).map_err(|error| broke("the keeper", &error))
}

/// The mock server.
///
/// # Errors
/// Where its files cannot be read or the port is taken.
pub fn mock(place: &Place, args: &MockArgs) -> Result<(), Failure> {
    let hint = "org check names what is wrong in a scenario; see `org mock --help`";
    let refused = |why: String| Failure::refused(why, hint);
    let text = std::fs::read_to_string(&args.scenario)
        .map_err(|error| refused(format!("cannot read {}: {error}", args.scenario.display())))?;
    let scenario = scenario::decode(&text).map_err(|problems| {
        let mut failure = refused(format!("{} is not a scenario", args.scenario.display()));
        failure.causes = problems
            .iter()
            .map(|p| format!("line {}, column {}: {}", p.line, p.column, p.message))
            .collect();
        failure
    })?;
    let roster = match &args.roster {
        Some(path) => serde_json::from_slice(&std::fs::read(path)?)
            .map_err(|error| refused(format!("{}: {error}", path.display())))?,
        None => Default::default(),
    };
    if args.lock.is_some() {
        exec::become_session()?;
    }
    let options = Options {
        scenario,
        port: args.port,
        state: args.state.clone(),
        roster,
        pace_ms: None,
    };
    let mut held = None;
    let served = mock::serve(options, |port| match &args.lock {
        Some(path) => held = Lock::try_take(path).ok().flatten(),
        None => {
            let ui = super::ui::Ui::new(place.colour);
            // Whoever started it by hand needs the port.
            ui.out(&format!("http://127.0.0.1:{port}\n")).ok();
        }
    });
    let never = place.block_on(served);
    match never {
        Ok(never) => match never {},
        Err(error) => Err(refused("the mock cannot serve".to_owned()).because(&error)),
    }
}
