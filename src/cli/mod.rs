//! The only room that speaks: argv in, words and exit codes out. One file per command.

mod approve;
mod args;
mod attach;
mod budget;
mod bug;
mod cancel;
mod charts;
mod check;
mod compare;
mod completions;
mod costs;
mod derived;
mod doctor;
mod down;
mod earlier;
mod failure;
mod gc;
mod help;
mod hidden;
mod inbox;
mod init;
mod land;
mod ledger;
mod logs;
mod ls;
mod next;
mod pause;
mod place;
mod plan;
mod prompt;
mod proposal;
mod refusal;
mod replay;
mod report;
mod restart;
mod schema;
mod send;
mod status;
mod survive;
mod take;
mod tournament;
mod trial;
mod ui;
mod until;
mod up;
mod wait;
mod watch;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::{FromArgMatches as _, Parser, Subcommand};

use self::failure::Failure;
use self::place::Place;
use self::ui::Ui;
use crate::os::procfs;

/// Run research organisations made of AI agents, and believe only what was measured
#[derive(Debug, Clone, Parser)]
#[command(
    name = "org",
    version,
    arg_required_else_help = true,
    after_help = "`org help COMMAND` tells more of one."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    Init(args::InitArgs),
    Check(check::CheckArgs),
    Doctor(args::DoctorArgs),
    Plan(plan::PlanArgs),
    Up(args::UpArgs),
    Down(args::DownArgs),
    Pause(pause::PauseArgs),
    Resume(pause::ResumeArgs),
    Restart(restart::RestartArgs),
    Budget(budget::BudgetArgs),
    Ls(ls::LsArgs),
    Status(status::StatusArgs),
    Watch(watch::WatchArgs),
    Attach(args::AttachArgs),
    Next(next::NextArgs),
    Wait(wait::WaitArgs),
    Logs(logs::LogsArgs),
    Costs(costs::CostsArgs),
    Send(send::SendArgs),
    Inbox(inbox::InboxArgs),
    Approve(approve::ApproveArgs),
    Deny(approve::DenyArgs),
    Take(take::TakeArgs),
    Cancel(cancel::CancelArgs),
    Try(trial::TryArgs),
    Ledger(ledger::LedgerArgs),
    Report(report::ReportArgs),
    Compare(compare::CompareArgs),
    Tournament(tournament::TournamentArgs),
    Replay(replay::ReplayArgs),
    Land(land::LandArgs),
    Gc(gc::GcArgs),
    Schema(schema::SchemaArgs),
    Prompt(prompt::PromptArgs),
    Completions(completions::CompletionsArgs),
    #[command(hide = true)]
    Supervise(args::SuperviseArgs),
    #[command(hide = true)]
    Agent(args::AgentArgs),
    #[command(hide = true)]
    Pane(args::PaneArgs),
    #[command(hide = true)]
    Job(args::JobArgs),
    #[command(hide = true)]
    Confine(args::ConfineArgs),
    #[command(hide = true)]
    Mock(args::MockArgs),
}

/// What a command has at hand.
struct Context {
    place: Place,
    ui: Ui,
}

/// Runs the program.
#[must_use]
pub fn run() -> ExitCode {
    let place = Place::here();
    let ui = Ui::new(place.colour);
    let context = Context { place, ui };
    bug::watch(&context);
    // What a panic leaves behind is never looked at again: all of it ends with the process.
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        if completions::answer(std::env::args_os())? {
            return Ok(ExitCode::SUCCESS);
        }
        parse_and_run(&context)
    }));
    match outcome {
        Ok(Ok(code)) => code,
        Ok(Err(failure)) => {
            context.ui.failure(&failure);
            ExitCode::from(failure.code())
        }
        // The panic hook has told it.
        Err(_) => ExitCode::from(bug::CODE),
    }
}

fn parse_and_run(context: &Context) -> Result<ExitCode, Failure> {
    let parsed = help::command()
        .try_get_matches()
        .and_then(|matches| Cli::from_arg_matches(&matches));
    match parsed {
        Ok(cli) => {
            if cli.command.looks_at_processes() {
                see_processes()?;
            }
            dispatch(context, cli.command)
        }
        Err(error) if error.use_stderr() => Err(refusal::of(&error)),
        Err(error) => {
            // Help and version, asked for; clap knows whether the stream takes colour.
            error.print()?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

impl Command {
    /// Whether it starts processes or asks whether some live. What only reads charts or writes text
    /// works anywhere; a confined program gets a `/proc` by other means.
    fn looks_at_processes(&self) -> bool {
        !matches!(
            self,
            Self::Init(_)
                | Self::Check(_)
                | Self::Doctor(_)
                | Self::Schema(_)
                | Self::Completions(_)
                | Self::Confine(_)
        )
    }
}

fn see_processes() -> Result<(), Failure> {
    let hint = "mount -t proc proc /proc, as root in this namespace; or unshare --mount-proc";
    procfs::see_ourselves().map(drop).map_err(|error| {
        Failure::refused("the processes of this machine cannot be seen", hint).because(&error)
    })
}

fn dispatch(context: &Context, command: Command) -> Result<ExitCode, Failure> {
    let done = |()| ExitCode::SUCCESS;
    match command {
        Command::Check(args) => check::run(context, &args),
        Command::Cancel(args) => cancel::run(context, &args).map(done),
        Command::Pause(args) => pause::pause(context, &args).map(done),
        Command::Resume(args) => pause::resume(context, &args).map(done),
        Command::Restart(args) => restart::run(context, &args).map(done),
        Command::Budget(args) => budget::run(context, &args).map(done),
        Command::Costs(args) => costs::run(context, &args).map(done),
        Command::Ls(args) => ls::run(context, &args).map(done),
        Command::Status(args) => status::run(context, &args).map(done),
        Command::Approve(args) => approve::approve(context, &args).map(done),
        Command::Deny(args) => approve::deny(context, &args).map(done),
        Command::Take(args) => take::run(context, &args).map(done),
        Command::Next(args) => next::run(context, &args).map(done),
        Command::Wait(args) => wait::run(context, &args).map(done),
        Command::Logs(args) => logs::run(context, &args).map(done),
        Command::Send(args) => send::run(context, &args).map(done),
        Command::Inbox(args) => inbox::run(context, &args).map(done),
        Command::Ledger(args) => ledger::run(context, &args).map(done),
        Command::Report(args) => report::run(context, &args).map(done),
        Command::Tournament(args) => tournament::run(context, &args).map(done),
        Command::Compare(args) => compare::run(context, &args).map(done),
        Command::Replay(args) => replay::run(context, &args).map(done),
        Command::Land(args) => land::run(context, &args),
        Command::Gc(args) => gc::run(context, &args).map(done),
        Command::Schema(args) => schema::run(context, &args).map(done),
        Command::Prompt(args) => prompt::run(context, &args).map(done),
        Command::Completions(args) => completions::run(context, &args).map(done),
        Command::Init(args) => init::run(context, &args).map(done),
        Command::Doctor(args) => doctor::run(context, &args),
        Command::Plan(args) => plan::run(context, &args).map(done),
        Command::Try(args) => trial::run(context, &args),
        Command::Up(args) => up::run(context, &args).map(done),
        Command::Down(args) => down::run(context, &args).map(done),
        Command::Watch(args) => watch::run(context, &args).map(done),
        Command::Attach(args) => attach::run(context, &args).map(done),
        Command::Supervise(args) => hidden::supervise(&args).map(done),
        Command::Agent(args) => hidden::agent(&args).map(done),
        Command::Pane(args) => hidden::pane(context, &args).map(done),
        Command::Job(_) => hidden::job().map(done),
        Command::Confine(args) => hidden::confine(&args),
        Command::Mock(args) => hidden::mock(context, &args).map(done),
    }
}

/// Runs a future to its end, on this thread alone: two threads less in every process of a run.
fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime needs an epoll descriptor and nothing else")
        .block_on(future)
}

#[cfg(test)]
mod tests;
