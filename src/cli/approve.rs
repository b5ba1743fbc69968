//! `org approve` and `org deny`: a person's word on what the chart parks until there is one.
//!
//! Owns how approvals are named on the command line and how an answer that makes no sense is refused.
//! Must not know what an approval lets through: that is folded from the log by whoever waits for it.

use std::fmt::Write as _;

use clap::Args;

use super::Context;
use super::failure::Failure;
use super::place::{self, RunArgs};
use crate::domain::approval;
use crate::domain::event::{Actor, Decision, Kind, Matter, Review, Text};
use crate::domain::process;
use crate::domain::state::{Approval, Firing, State};
use crate::os::clock;
use crate::run::log::Log;
use crate::view::figure;

/// Longest reason, in characters: a sentence that fits into ledger and mail.
const REASON_MAX: usize = 500;

/// Let something go on that waits for your approval
///
/// Without ID it lists what waits.
#[derive(Debug, Clone, Args)]
pub(super) struct ApproveArgs {
    #[command(flatten)]
    answer: Answer,
}

/// Refuse something that waits for your approval
///
/// A claim that is denied is vetoed; who may not spend on is held. Without ID it lists what waits.
#[derive(Debug, Clone, Args)]
pub(super) struct DenyArgs {
    #[command(flatten)]
    answer: Answer,
}

/// What is written down, and what is said of it: the name and the question.
type Said = (Vec<Kind>, (String, String));

#[derive(Debug, Clone, Args)]
struct Answer {
    /// The claim (h3) or the approval (a1) that waits, a claim under review included
    id: Option<String>,
    /// Why, for those who read the log and for whom it concerns
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    run: RunArgs,
}

pub(super) fn approve(context: &Context, args: &ApproveArgs) -> Result<(), Failure> {
    decide(context, &args.answer, true)
}

pub(super) fn deny(context: &Context, args: &DenyArgs) -> Result<(), Failure> {
    decide(context, &args.answer, false)
}

fn decide(context: &Context, args: &Answer, approved: bool) -> Result<(), Failure> {
    let Context { place, ui } = context;
    let Some(id) = &args.id else {
        let dir = place.reading(args.run.name())?;
        return ui.out(&list(Log::open(&dir)?.state(), &dir.id()));
    };
    let dir = place.acting(args.run.name())?;
    let reason = args.reason.clone().unwrap_or_default().trim().to_owned();
    if reason.chars().count() > REASON_MAX {
        return Err(Failure::usage(
            format!("the reason is longer than {REASON_MAX} characters"),
            "say it shorter, or send it: org send WHO -f FILE",
        ));
    }
    let mut log = Log::open(&dir)?;
    ui.out(&format!("{}\n", answer(&mut log, id, approved, reason)?))?;
    if !place::supervised(&dir) {
        ui.note(&format!(
            "no supervisor of {0} lives; it is acted on after org up --resume {0}",
            dir.id()
        ));
    }
    Ok(())
}

/// Logs a person's word on what waits for it, and says which that is.
///
/// # Errors
/// Where nothing of that name waits, or the log cannot be written.
pub(super) fn answer(
    log: &mut Log,
    id: &str,
    approved: bool,
    reason: String,
) -> Result<String, Failure> {
    let said: Result<(String, String), Failure> = log.transact(&Actor::Human, |state| {
        if let Some(review) = review(state, id, approved, &reason) {
            return Ok(review);
        }
        let asked = find(state, id)?;
        let decided = Kind::ApprovalDecided {
            id: asked.id,
            approved,
            reason,
        };
        Ok((
            vec![decided],
            (approval::name(asked), asked.question.clone()),
        ))
    })?;
    let (name, question) = said?;
    let word = if approved { "approved" } else { "denied" };
    Ok(format!("{name} {word}: {question}"))
}

fn list(state: &State, run: &str) -> String {
    let now = clock::now();
    let mut out = String::new();
    for asked in approval::pending(state) {
        let (name, since) = (approval::name(asked), figure::ago(asked.at, now));
        writeln!(out, "{name}  for {since}: {}", asked.question)
            .expect("a string takes everything");
    }
    for firing in reviews(state).filter(|firing| firing.asked.contains_key("human")) {
        let (id, since) = (
            firing.fired.hypothesis.unwrap_or(0),
            figure::ago(firing.at, now),
        );
        writeln!(out, "h{id}  for {since}: {} of it", firing.fired.process)
            .expect("a string takes everything");
    }
    for (claim, since, why) in process::unreviewed(state) {
        let (id, since) = (claim.id, figure::ago(since, now));
        writeln!(out, "h{id}  for {since}: {}", figure::one_line(&why))
            .expect("a string takes everything");
    }
    if out.is_empty() {
        out = format!("nothing in {run} waits for your approval\n");
    }
    out
}

/// Reviews of claims that somebody still has to decide.
fn reviews(state: &State) -> impl Iterator<Item = &Firing> {
    let open = |firing: &&Firing| firing.fired.gate && firing.is_open();
    state.society.all().filter(open)
}

/// A person's own decision in the review of a claim, where one is under way or nobody gave one in time,
/// and the claim does not wait for an approval of its promotion by now.
fn review(state: &State, id: &str, approved: bool, reason: &str) -> Option<Said> {
    let hypothesis = id.strip_prefix('h')?.parse::<u64>().ok()?;
    let parked = |it: &&Approval| it.matter == Matter::Promote { hypothesis };
    let waits = reviews(state).any(|firing| firing.fired.hypothesis == Some(hypothesis))
        || process::unreviewed(state).any(|(claim, ..)| claim.id == hypothesis);
    if !waits || approval::pending(state).iter().any(parked) {
        return None;
    }
    let title = &state.hypotheses.get(&hypothesis)?.title;
    let word = if approved { "approved" } else { "vetoed" };
    let reason = match reason {
        "" => format!("{word} by a person"),
        reason => reason.to_owned(),
    };
    let (decision, checks) = if approved {
        (Decision::Approve, Vec::new())
    } else {
        // A veto names what failed: here it is a person's judgement, in that person's words.
        (Decision::Veto, vec![reason.clone()])
    };
    let review = Review {
        hypothesis,
        by: Actor::Human.name().to_owned(),
        decision,
        checks,
        reason: Text::from(reason.as_str()),
        call: None,
    };
    let said = (id.to_owned(), format!("in its review: {title}"));
    Some((vec![Kind::ReviewGiven(review)], said))
}

/// What a person means by an id: something that still waits.
fn find<'a>(state: &'a State, id: &str) -> Result<&'a Approval, Failure> {
    let number = |letter: char| id.strip_prefix(letter)?.parse::<u64>().ok();
    let about = |approval: &&Approval| match approval.matter {
        Matter::Promote { hypothesis } => number('h') == Some(hypothesis),
        _ => false,
    };
    let asked = match number('a') {
        Some(number) => state.approvals.get(&number),
        None => state.approvals.values().rev().find(about),
    };
    let waiting = approval::pending(state);
    let names: Vec<String> = waiting.iter().map(|it| approval::name(it)).collect();
    let hint = if names.is_empty() {
        "nothing waits for your approval; `org status` says how the run stands".to_owned()
    } else {
        format!("what waits: {}", names.join(", "))
    };
    let Some(asked) = asked else {
        return Err(Failure::refused(
            format!("nobody has asked for your approval of {id:?}"),
            hint,
        ));
    };
    if let Some(decided) = &asked.decided {
        let word = if decided.approved {
            "approved"
        } else {
            "denied"
        };
        let since = figure::ago(decided.at, clock::now());
        let message = format!("{id} was {word} {since} ago, and that stands");
        return Err(Failure::refused(message, hint));
    }
    if !waiting.iter().any(|it| it.id == asked.id) {
        let claim = match asked.matter {
            Matter::Promote { hypothesis } => state.hypotheses.get(&hypothesis),
            _ => None,
        };
        let word = claim.map_or("gone", |claim| claim.status.word());
        let message = format!("{id} is {word} by now, so there is nothing left to approve");
        return Err(Failure::refused(message, hint));
    }
    Ok(asked)
}
