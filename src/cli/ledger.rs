//! `org ledger`: what was claimed and what came of it, one attempt, two compared, the tips.
//!
//! Owns the words after `ledger`, and how an attempt that somebody names is found. Every one of them
//! first says whether the ledger's hash chain holds.

mod diff;
mod leaves;
mod show;
mod verify;

use clap::{Args, Subcommand};

use super::Context;
use super::failure::Failure;
use super::place;
use super::ui::Ui;
use crate::domain::state::State;
use crate::domain::suggest;
use crate::run::log::Log;
use crate::run::paths::RunDir;
use crate::view::attempt::Attempt;
use crate::view::ledger;

/// List every claim with its verdict and the runs it rests on
///
/// Refused and withdrawn claims are in it too, for ever: each entry names the one before it by its
/// hash. An attempt is named by its id (h3, e7) or by the beginning of its commit.
#[derive(Debug, Clone, Args)]
#[command(
    args_conflicts_with_subcommands = false,
    subcommand_negates_reqs = true
)]
pub(super) struct LedgerArgs {
    #[command(subcommand)]
    what: Option<What>,
    /// The run, by its id or any unique prefix of it
    #[arg(value_name = "RUN")]
    place: Option<String>,
    /// The same, as an option
    #[arg(long, value_name = "ID", global = true)]
    run: Option<String>,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    /// Check the hash chain, and say where it breaks
    #[arg(long)]
    verify: bool,
    /// With --verify: also that this hash, noted earlier, is one of the chain's
    #[arg(long, value_name = "HASH", requires = "verify")]
    head: Option<String>,
}

#[derive(Debug, Clone, Subcommand)]
enum What {
    /// Show one attempt in full: a claim (h3) or a measured run (e7)
    Show {
        /// Its id, or the beginning of its commit
        id: String,
    },
    /// Show the difference between the commits of two attempts
    Diff {
        /// The one
        from: String,
        /// The other; left out, FROM is compared with what it was built on
        to: Option<String>,
    },
    /// List the tips: attempts that nothing was built upon, the champion first
    Leaves,
}

pub(super) fn run(context: &Context, args: &LedgerArgs) -> Result<(), Failure> {
    let Context { place, ui } = context;
    if let (Some(run), Some(place)) = (&args.run, &args.place) {
        return Err(Failure::usage(
            format!("two runs are named: {run} and {place}"),
            "name one, as RUN or as --run",
        ));
    }
    let named = args.run.as_deref().or(args.place.as_deref());
    let dir = match place.reading(named) {
        Err(mut failure) if args.what.is_none() => {
            if let Some(id) = args.place.as_deref().filter(|word| is_id(word)) {
                failure.hint = format!("`org ledger show {id}` shows that attempt");
            }
            return Err(failure);
        }
        other => other?,
    };
    if args.verify {
        return verify::run(ui, &dir, args.head.as_deref(), args.json);
    }
    let log = Log::open(&dir)?;
    if let Some(words) = verify::words(log.chain()) {
        ui.note(&words);
    }
    if log.state().mock {
        ui.note("MOCK: models are pretended, no result here is research");
    }
    match &args.what {
        None => list(ui, &log, args.json),
        Some(What::Show { id }) => show::run(ui, &log, id, args.json),
        Some(What::Diff { from, to }) => diff::run(ui, &log, from, to.as_deref(), args.json),
        Some(What::Leaves) => leaves::run(ui, &log, args.json),
    }
}

fn list(ui: &Ui, log: &Log, json: bool) -> Result<(), Failure> {
    let entries = ledger::of(log.state());
    if json {
        return ui.json(&entries);
    }
    let metric = place::chart(log.dir())?.task.metric.name;
    let looks = ledger::looks(log.state(), &metric, ui.width(), ui.paint());
    if entries.is_empty() {
        ui.note("no claim was made yet; `org logs lab` shows what is being measured");
        return ui.out(&looks);
    }
    let gap = if looks.is_empty() { "" } else { "\n" };
    let claims = ledger::text(&entries, ui.width(), ui.paint());
    ui.out(&format!("{claims}{gap}{looks}"))
}

/// Whether a word looks like the id of an attempt.
fn is_id(word: &str) -> bool {
    let number = word.strip_prefix(['h', 'e']).unwrap_or_default();
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// The attempt that somebody names.
fn attempt<'a>(state: &'a State, dir: &RunDir, word: &str) -> Result<Attempt<'a>, Failure> {
    Attempt::named(state, word).ok_or_else(|| {
        let claims = state.hypotheses.keys().map(|id| format!("h{id}"));
        let runs = state.experiments.keys().map(|id| format!("e{id}"));
        let run_meant = word.starts_with('e');
        let ids: Vec<String> = if run_meant {
            runs.collect()
        } else {
            claims.collect()
        };
        let hint = if ids.is_empty() {
            "nothing was tried yet; `org logs lab` shows what is being measured".to_owned()
        } else {
            let known = ids.iter().map(String::as_str);
            let meant = suggest::meant(word, known, "there are");
            format!("{meant}; `org ledger` lists all claims")
        };
        let shown = suggest::quoted(word);
        Failure::refused(
            format!("there is no attempt {shown} in the ledger of {}", dir.id()),
            hint,
        )
    })
}
