//! A recorded run, executed again: what came from outside (replies, results of tools, mail, ends of
//! runs) is forced as it was recorded, moment by moment, and whatever the program decided of itself must
//! be what its rules decide now, from the same state at the same time.
//!
//! Knows the rules as the library has them, and the log as it lies on the disk; starts nothing again.

use std::collections::VecDeque;
use std::path::Path;

use org::domain::chart::Chart;
use org::domain::event::{Actor, Event, Kind, Status};
use org::domain::process::Act;
use org::domain::protocol::{Step, Wanted};
use org::domain::session::{self, Next};
use org::domain::state::State;
use org::domain::supervisor::{Effect, Observed, decide};
use org::run::paths::RunDir;
use org::run::{frozen, log};

use crate::ground::TestEnvironment;

/// States whose decisions may still be in the hands of the supervisor: it decides once, and then carries
/// out one thing after the other, while others write.
const IN_HAND: usize = 24;

/// How much of a run was decided again.
#[derive(Debug, Default)]
pub(crate) struct Decided {
    /// Events that are decisions of the supervisor.
    pub(crate) supervisor: usize,
    /// Events that are steps of agents.
    pub(crate) agents: usize,
}

/// Executes a run again by the rules of a chart.
///
/// # Errors
/// The first decision that would be another.
pub(crate) fn decided_again(dir: &Path, chart: &Chart) -> Result<Decided, String> {
    let dir = RunDir::at(dir);
    let mut decided = Decided::default();
    let mut state = State::default();
    let mut seen = Observed::default();
    let mut in_hand: VecDeque<Vec<Effect>> = VecDeque::new();
    for decision in decisions(&dir) {
        let first = &decision[0];
        if let Some(wanted) = of_supervisor(&decision) {
            in_hand.push_back(decide(chart, &state, &seen, first.at));
            let known = in_hand.iter().rev().flatten().any(&wanted);
            if !known {
                let now = in_hand.back();
                return Err(format!("not decided again: {decision:?}\nbut {now:?}"));
            }
            decided.supervisor += 1;
        } else if touches(&decision) {
            in_hand.push_back(decide(chart, &state, &seen, first.at));
        }
        while in_hand.len() > IN_HAND {
            in_hand.pop_front();
        }
        if let Some((agent, wanted)) = of_agent(&decision) {
            let next = session::next(chart, &state, agent);
            if !wanted(&next) {
                return Err(format!("not its next step: {decision:?}\nbut {next:?}"));
            }
            decided.agents += 1;
        }
        for event in &decision {
            see(&mut seen, event);
            state.apply(event).unwrap();
        }
    }
    Ok(decided)
}

/// The events of a log, those that were written as one together.
fn decisions(dir: &RunDir) -> Vec<Vec<Event>> {
    let (mut all, mut open) = (Vec::new(), Vec::new());
    log::each(dir, |event, raw| {
        open.push(event.clone());
        if !raw.starts_with("{\"more\":true") {
            all.push(std::mem::take(&mut open));
        }
    })
    .unwrap();
    all
}

/// Whether a decision made before these events may be carried out after them. What agents do for
/// themselves is most of a log, and changes no decision that was made.
fn touches(decision: &[Event]) -> bool {
    !matches!(decision[0].actor, Actor::Agent(_))
        && !matches!(decision[0].body, Kind::ExperimentProgress { .. })
}

/// What the supervisor observes besides the log, as far as the log tells of it.
fn see(seen: &mut Observed, event: &Event) {
    match &event.body {
        Kind::MockBound { .. } => seen.mock = true,
        Kind::AgentStarted { agent, .. } => {
            seen.agents.insert(agent.clone());
        }
        Kind::AgentEnded { agent, .. } | Kind::AgentDied { agent, .. } => {
            seen.agents.remove(agent);
        }
        _ => {}
    }
}

type Judge<'e, T> = Box<dyn Fn(&T) -> bool + 'e>;

/// What the supervisor must have decided for these events; none where they come from outside.
fn of_supervisor(decision: &[Event]) -> Option<Judge<'_, Effect>> {
    let event = &decision[0];
    let step = |same: Judge<'static, Step>| -> Option<Judge<'static, Effect>> {
        Some(Box::new(
            move |it: &Effect| matches!(it, Effect::Lab(step) if same(step)),
        ))
    };
    Some(match (&event.actor, &event.body) {
        (_, Kind::AgentStarted { agent, .. }) => {
            Box::new(move |it| matches!(it, Effect::Start(name) if name == agent))
        }
        (Actor::Supervisor, Kind::AgentHeld { agent, reason, .. }) => Box::new(move |it| {
            matches!(it, Effect::Hold(name, why) | Effect::Cap(name, why)
                if name == agent && why == reason)
        }),
        (Actor::Supervisor, Kind::AgentReleased { agent }) => {
            Box::new(move |it| matches!(it, Effect::Release(name) if name == agent))
        }
        (_, Kind::ExperimentQueued { agent: None, .. }) => Box::new(|it| match it {
            Effect::Lab(Step::Queue(wanted)) | Effect::Close(wanted) => queued(wanted, event),
            _ => false,
        }),
        (_, Kind::ExperimentStarted { id, gpus, .. }) => Box::new(
            move |it| matches!(it, Effect::Launch(grant) if grant.experiment == *id && grant.gpus == *gpus),
        ),
        (
            _,
            Kind::ExperimentCancelled {
                id,
                agent: None,
                reason,
            },
        ) => {
            Box::new(move |it| matches!(it, Effect::Cancel(run, why) if run == id && why == reason))
        }
        (
            Actor::Lab,
            Kind::HypothesisPlanned {
                id, test, looks, ..
            },
        ) => Box::new(move |it| *it == Effect::Lab(Step::Plan(*id, *test, looks.clone()))),
        (
            Actor::Lab,
            Kind::HypothesisMoved {
                id,
                status,
                reason,
                verdict,
            },
        ) => {
            let (id, status, reason) = (*id, *status, reason.clone());
            let verdict = verdict.clone().map(Box::new);
            return step(Box::new(move |it| match it {
                Step::Move(..) => *it == Step::Move(id, status, reason.clone(), verdict.clone()),
                // What came of a merge is the repository's word.
                Step::Promote(claim) | Step::Rebase(claim) | Step::Split(claim) => {
                    *claim == id && matches!(status, Status::Parked | Status::Invalid)
                }
                _ => false,
            }));
        }
        (_, Kind::ProgrammeAdvanced { hypothesis, .. }) => {
            let id = *hypothesis;
            return step(Box::new(move |it| match it {
                Step::Promote(claim) => *claim == id,
                Step::PromoteStack(claims, _) => claims.iter().any(|(claim, _)| *claim == id),
                _ => false,
            }));
        }
        (_, Kind::StackMade { claims, .. }) => {
            let stack = Step::Stack(claims.clone());
            return step(Box::new(move |it| *it == stack));
        }
        (_, Kind::StackDropped { id, reason }) => {
            let dropped = Step::Unstack(*id, reason.clone());
            return step(Box::new(move |it| *it == dropped));
        }
        (_, Kind::ProgrammeRolledBack { hypothesis, .. }) => {
            let id = *hypothesis;
            return step(Box::new(
                move |it| matches!(it, Step::RollBack(claim, ..) if *claim == id),
            ));
        }
        (_, Kind::HypothesisRebased { id, .. }) => {
            let id = *id;
            return step(Box::new(move |it| *it == Step::Rebase(id)));
        }
        (_, Kind::HypothesisSplit { id, .. }) => {
            let id = *id;
            return step(Box::new(move |it| *it == Step::Split(id)));
        }
        (_, Kind::HypothesisTrimmed { id, .. }) => {
            let id = *id;
            return step(Box::new(
                move |it| matches!(it, Step::Trim(claim, _) if *claim == id),
            ));
        }
        (
            _,
            Kind::BaselineExpired {
                commit,
                from,
                reason,
            },
        ) => {
            let expired = Step::Expire(commit.clone(), *from, reason.clone());
            return step(Box::new(move |it| *it == expired));
        }
        (_, Kind::HeadlineMeasured { .. }) => Box::new(|it| *it == Effect::Headline),
        (_, Kind::RunStopped {}) => Box::new(|it| *it == Effect::Stopped),
        (_, Kind::ProcessFired(fired)) => Box::new(move |it| {
            matches!(it, Effect::Society(Act::Fire(act))
                if act.process == fired.process && act.number == fired.number && act.to == fired.to)
        }),
        (_, Kind::ProcessReminded(again)) => {
            Box::new(move |it| *it == Effect::Society(Act::Remind(again.clone())))
        }
        (_, Kind::ProcessClosed(over)) => {
            Box::new(move |it| *it == Effect::Society(Act::Close(over.clone())))
        }
        _ => return None,
    })
}

fn queued(wanted: &Wanted, event: &Event) -> bool {
    let Kind::ExperimentQueued {
        hypothesis,
        arm,
        stage,
        seed,
        commit,
        ..
    } = &event.body
    else {
        return false;
    };
    wanted.hypothesis == *hypothesis
        && (wanted.arm, wanted.stage, wanted.seed) == (*arm, *stage, *seed)
        && wanted.commit == *commit
}

/// What an agent's next step must have been for these events; none where they come from outside.
fn of_agent(decision: &[Event]) -> Option<(&str, Judge<'_, Next>)> {
    let event = &decision[0];
    let Actor::Agent(name) = &event.actor else {
        return None;
    };
    let judge: Judge<'_, Next> = match &event.body {
        Kind::TurnStarted { why, mails, .. } => {
            Box::new(move |next| *next == Next::Begin(*why, mails.clone()))
        }
        Kind::RequestReserved { .. } => {
            Box::new(|next| matches!(next, Next::Ask(_) | Next::Compact(_)))
        }
        Kind::ToolIntent { .. } => Box::new(|next| *next == Next::Use),
        // The branch is saved in the same breath.
        Kind::TurnEnded {
            interrupted: false, ..
        } => Box::new(|next| *next == Next::End),
        _ => return None,
    };
    Some((name, judge))
}

#[test]
fn a_recorded_run_is_decided_again_as_it_was() {
    let world = TestEnvironment::new();
    world
        .org(&[
            "up",
            "orgs/smoke.toml",
            "--mock",
            "--headless",
            "--until",
            "done",
        ])
        .well();
    let run = world.run();
    let chart = frozen::chart(&RunDir::at(run.path(""))).unwrap();
    let decided = decided_again(&run.path(""), &chart).unwrap();
    assert!(
        decided.supervisor > 60 && decided.agents > 15,
        "too little was decided: {decided:?}"
    );
    // By other rules, it would have gone otherwise.
    let mut other = chart.clone();
    other.protocol.baseline += 1;
    let another = decided_again(&run.path(""), &other).unwrap_err();
    assert!(another.starts_with("not decided again"), "{another}");
}
