//! `org cancel`: call off a run or a claim, as one does within the chart's `notice`.

use clap::Args;

use super::Context;
use super::failure::Failure;
use super::place::RunArgs;
use crate::domain::event::{Actor, Kind, RunStatus};
use crate::domain::state::State;
use crate::domain::suggest::nearest;
use crate::run::log::Log;

/// Call off a measured run, or a claim with all its runs
///
/// One that waits never starts; one that runs is ended, with all its processes. A claim becomes
/// `withdrawn`, a run `cancelled`; both stay in the ledger, and their author is told by mail.
#[derive(Debug, Clone, Args)]
pub(super) struct CancelArgs {
    /// The run or the claim: e7 or h3
    id: String,
    /// Why, for its author and the ledger
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    run: RunArgs,
}

pub(super) fn run(context: &Context, args: &CancelArgs) -> Result<(), Failure> {
    let Some(target) = Target::parse(&args.id) else {
        let message = format!("{:?} is neither a run nor a claim", args.id);
        return Err(Failure::usage(message, "org cancel e7, or org cancel h3"));
    };
    let dir = context.place.acting(args.run.name())?;
    let given = args.reason.as_deref().map(str::trim);
    let reason = match given.filter(|text| !text.is_empty()) {
        Some(text) => format!("cancelled by a person: {text}"),
        None => "cancelled by a person".to_owned(),
    };
    context
        .ui
        .note(&call_off(&mut Log::open(&dir)?, target, reason)?);
    Ok(())
}

/// Logs that a person calls something off, and says what comes of it.
///
/// # Errors
/// Where there is no such thing, it is over, or the log cannot be written.
pub(super) fn call_off(log: &mut Log, target: Target, reason: String) -> Result<String, Failure> {
    log.transact(&Actor::Human, |state| {
        let said = target.judge(state)?;
        Ok((vec![target.cancelled(reason)], said))
    })?
}

/// What is called off.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target {
    /// A measured run.
    Run(u64),
    /// A claim, with its runs.
    Claim(u64),
}

impl Target {
    fn parse(id: &str) -> Option<Self> {
        let number = |letter: char| id.strip_prefix(letter)?.parse::<u64>().ok();
        number('e').map(Self::Run).or(number('h').map(Self::Claim))
    }

    fn cancelled(self, reason: String) -> Kind {
        let agent = None;
        match self {
            Self::Run(id) => Kind::ExperimentCancelled { id, agent, reason },
            Self::Claim(id) => Kind::HypothesisWithdrawn { id, agent, reason },
        }
    }

    /// What will come of it, or why nothing can.
    fn judge(self, state: &State) -> Result<String, Failure> {
        match self {
            Self::Run(id) => {
                let known = state.experiments.keys().map(|id| format!("e{id}"));
                let run = state.experiments.get(&id);
                let run = run.ok_or_else(|| unknown(&format!("e{id}"), known.collect()))?;
                match run.status {
                    RunStatus::Queued => Ok(format!("e{id} is cancelled; it had not started")),
                    RunStatus::Running => Ok(format!("e{id} is being ended")),
                    ended => Err(over(&format!("e{id}"), ended.word())),
                }
            }
            Self::Claim(id) => {
                let known = state.hypotheses.keys().map(|id| format!("h{id}"));
                let claim = state.hypotheses.get(&id);
                let claim = claim.ok_or_else(|| unknown(&format!("h{id}"), known.collect()))?;
                if claim.is_final() {
                    return Err(over(&format!("h{id}"), claim.status.word()));
                }
                if claim.withdrawn.is_some() {
                    return Err(over(&format!("h{id}"), "being withdrawn"));
                }
                Ok(format!("h{id} is being withdrawn, with its runs"))
            }
        }
    }
}

fn unknown(id: &str, known: Vec<String>) -> Failure {
    let hint = nearest(id, known.iter().map(String::as_str)).map_or_else(
        || "org ledger lists the claims, org status the runs".to_owned(),
        |near| format!("did you mean {near}? org ledger lists the claims"),
    );
    Failure::refused(format!("this run has no {id}"), hint)
}

fn over(id: &str, word: &str) -> Failure {
    let message = format!("{id} is {word} already");
    Failure::refused(message, "org ledger shows what came of it")
}
