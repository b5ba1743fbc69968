//! What is parked until a person approves, by the chart's `[office] ask`.
//!
//! Owns the policies' meaning: whether something may go on, must ask first, or was denied. The answer is
//! folded from the log, so nothing is asked twice and an approval survives every crash. Must not know
//! how a person is asked, or what happens after.

use super::chart::{Ask, Chart};
use super::event::{Kind, Matter};
use super::state::{Approval, Hypothesis, State};

/// Whether something may go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// Nobody wants to be asked, or a person approved it.
    Open,
    /// A person has to be asked first.
    Ask,
    /// A person was asked and has not answered: the approval's number.
    Parked(u64),
    /// A person denied it, with this reason.
    Denied(String),
}

fn answer(approval: &Approval) -> Gate {
    match &approval.decided {
        None => Gate::Parked(approval.id),
        Some(decided) if decided.approved => Gate::Open,
        Some(decided) => Gate::Denied(decided.reason.clone()),
    }
}

fn of<'a>(state: &'a State, matter: &Matter) -> Option<&'a Approval> {
    let mut all = state.approvals.values().rev();
    all.find(|approval| approval.matter == *matter)
}

/// Whether a confirmed claim may be promoted.
#[must_use]
pub fn promotion(chart: &Chart, state: &State, hypothesis: u64) -> Gate {
    if !chart.office.ask.contains(&Ask::Promote) {
        return Gate::Open;
    }
    of(state, &Matter::Promote { hypothesis }).map_or(Gate::Ask, answer)
}

/// Whether a result may be landed in the user's repository.
#[must_use]
pub fn landing(chart: &Chart, state: &State, hypothesis: u64) -> Gate {
    if !chart.office.ask.contains(&Ask::Land) {
        return Gate::Open;
    }
    of(state, &Matter::Land { hypothesis }).map_or(Gate::Ask, answer)
}

/// Whether `usd` more US dollars may be set aside: a person is asked before more than the chart says is
/// spent or set aside since the last approval. What an approval lets go on always comes to one request,
/// however much that may cost.
#[must_use]
pub fn spending(chart: &Chart, state: &State, usd: f64) -> Gate {
    let Some(limit) = limit(chart) else {
        return Gate::Open;
    };
    if let Some(parked) = parked_spending(state) {
        return Gate::Parked(parked);
    }
    let last = state.approvals.values().rev();
    let last = last
        .filter(|approval| matches!(approval.matter, Matter::Spend { .. }))
        .find_map(|approval| approval.decided.as_ref());
    let (spent, reserved) = state.usd();
    let since = spent + reserved - last.map_or(0.0, |it| it.spent);
    let first = last.is_some_and(|it| it.approved) && since <= 0.0;
    if first || since + usd <= limit {
        return Gate::Open;
    }
    match last {
        Some(it) if !it.approved && !state.ask_again => Gate::Denied(it.reason.clone()),
        _ => Gate::Ask,
    }
}

/// US dollars after which a person is asked.
#[must_use]
pub fn limit(chart: &Chart) -> Option<f64> {
    let limits = chart.office.ask.iter().filter_map(|ask| match ask {
        Ask::Spend(usd) => Some(*usd),
        _ => None,
    });
    limits.min_by(f64::total_cmp)
}

/// The approval that all spending waits for, if any.
#[must_use]
pub fn parked_spending(state: &State) -> Option<u64> {
    let mut open = state.approvals.values().filter(|it| it.decided.is_none());
    open.find_map(|it| matches!(it.matter, Matter::Spend { .. }).then_some(it.id))
}

/// What waits for a person's word, oldest first. A promotion that fell through meanwhile does not.
#[must_use]
pub fn pending(state: &State) -> Vec<&Approval> {
    let open = state.approvals.values().filter(|it| it.decided.is_none());
    let still = |approval: &&Approval| match approval.matter {
        Matter::Promote { hypothesis } => {
            let claim = state.hypotheses.get(&hypothesis);
            claim.is_some_and(|claim| !claim.is_final())
        }
        _ => true,
    };
    open.filter(still).collect()
}

/// What a person is asked before a claim is promoted.
#[must_use]
pub fn question(claim: &Hypothesis) -> String {
    format!("promote h{} ({}): {}", claim.id, claim.title, claim.reason)
}

/// Parks all spending until a person has said whether it may go on.
#[must_use]
pub fn ask_to_spend(chart: &Chart, state: &State, agent: &str, usd: f64) -> Kind {
    let (spent, reserved) = state.usd();
    let limit = limit(chart).unwrap_or_default();
    Kind::ApprovalAsked {
        id: state.next_approval(),
        matter: Matter::Spend {
            agent: agent.to_owned(),
        },
        question: format!(
            "spend on: ${:.2} are spent or set aside, {agent}'s next request may cost ${usd:.2}, and \
             the chart asks after every ${limit:.2}",
            spent + reserved
        ),
    }
}

/// Why an agent is held that may not spend on.
#[must_use]
pub fn denied_spending(why: &str) -> String {
    if why.is_empty() {
        "to spend on was denied by a person".to_owned()
    } else {
        format!("to spend on was denied by a person: {why}")
    }
}

/// How an approval is called, by people: the claim's name where it is about one, else its own.
#[must_use]
pub fn name(approval: &Approval) -> String {
    match approval.matter {
        Matter::Promote { hypothesis } => format!("h{hypothesis}"),
        Matter::Land { .. } | Matter::Spend { .. } => format!("a{}", approval.id),
    }
}
