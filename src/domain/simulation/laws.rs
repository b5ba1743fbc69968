//! What must hold, at every event and at the end.
//!
//! 1. Who writes may write, and the log folds without a hole (`World::append`).
//! 2. A process that lives is never declared dead; whoever is declared started has the lock.
//! 3. An agent is held by the supervisor only by the rule on deaths or because the wall time is spent,
//!    by itself only for a cap or for going round in circles.
//! 4. A run is started only while it is queued, each launch has the next number, no device is leased
//!    twice, no more run than may, and no cap on GPU time is passed by a start.
//! 5. A run ends only while it runs, by the launch that runs; ended for good, it never moves again.
//! 6. A claim moves only along the protocol; an exit, once taken, is final.
//! 7. Promoted is only what was confirmed, or refreshed, on the champion that it replaces, with p below
//!    alpha on a verdict whose runs all ended well, belong to the two commits compared, share no seed
//!    with the screen, and whose matched axis agrees; and only on a champion that was measured anew.
//!    Taken back is only the newest promotion; dropped is only a part that does no work.
//! 8. A turn takes in all unread mail, and no mail is taken in twice.
//! 9. A request goes out only when each call of the last reply has its result; a call has one intent
//!    and one result.
//! 10. Spent and set aside never pass a cap of org, role or agent.
//! 11. A keyed call leaves one trace, an opaque one ran at most once.
//! 12. Going down, nothing is launched and nothing is asked; stopped is said when nothing lives.
//! 13. The headline compares the start with the champion that stands.
//! 14. The end: done is reached, no claim is left on the way, every run has ended, the programme branch
//!     is the champion, all mail was read by whoever is not held; then down is reached.
//! 15. The log, written and read again, folds to the same state.
//! 16. A person is called once for a need.
//! 17. Where the chart asks, nothing is promoted without a person's approval, a claim that was denied is
//!     vetoed, and nothing is spent past what was asked about while the question is open. Nothing is
//!     asked twice, and nothing is answered twice.
//! 18. Nothing is started while a person has it frozen; what is said to stand still runs, and was meant.
//! 19. The org's processes keep their own laws (`society`).

use std::collections::{BTreeMap, BTreeSet};

use super::world::{Job, World};
use crate::domain::approval::{self, Gate};
use crate::domain::chart::Chart;
use crate::domain::event::{Actor, Decision, Event, Kind, RunStatus, Stage, Status};
use crate::domain::process;
use crate::domain::protocol::{Claim, Trim, Verdict};
use crate::domain::state::{Hypothesis, State};
use crate::domain::{budget, fit, freeze, lease};

/// What the laws remember.
#[derive(Debug, Clone, Default)]
pub(super) struct Laws {
    /// Who has taken in which mail.
    taken: BTreeSet<(String, u64)>,
    traces: BTreeMap<String, u32>,
    results: BTreeSet<String>,
}

impl Laws {
    /// What must hold of an event, on what was so before it.
    pub(super) fn before(
        &mut self,
        chart: &Chart,
        state: &State,
        locks: &BTreeMap<String, u32>,
        event: &Event,
    ) {
        assert!(
            event.body.may_be_written_by(&event.actor),
            "{} may not write {:?}",
            event.actor,
            event.body
        );
        match &event.body {
            Kind::AgentDied { agent, .. } => {
                let known = state.agents.get(agent).and_then(|agent| agent.pid);
                assert!(
                    known.is_none() || locks.get(agent) != known.as_ref(),
                    "{agent} is declared dead and lives"
                );
            }
            Kind::PersonCalled { needs, .. } => {
                for need in needs {
                    assert!(!state.called.contains(need), "called twice for {need}");
                }
            }
            Kind::AgentStarted { agent, pid } => assert_eq!(locks.get(agent), Some(pid)),
            Kind::AgentHeld { agent, reason, .. } => {
                held(chart, state, &event.actor, agent, reason);
            }
            Kind::RunStopped {} => {
                assert!(state.down.is_some());
                let mut runs = state.experiments.values();
                assert!(runs.all(|run| run.status != RunStatus::Running));
            }
            Kind::HeadlineMeasured { headline } => {
                assert_eq!(headline.from, state.start);
                assert_eq!(headline.to, state.champion);
                let runs = headline.verdict.runs.iter();
                for run in runs.map(|id| &state.experiments[id]) {
                    assert_eq!(run.stage, Stage::Closing);
                    assert!([&state.start, &state.champion].contains(&&run.commit));
                }
            }
            Kind::ApprovalAsked { matter, .. } => {
                let mut open = state.approvals.values().filter(|it| it.decided.is_none());
                assert!(
                    open.all(|it| it.matter != *matter),
                    "asked twice: {matter:?}"
                );
            }
            Kind::ApprovalDecided { id, .. } => {
                assert_eq!(state.approvals[id].decided, None, "a{id} is answered twice");
            }
            Kind::RequestReserved { usd, .. } => {
                assert_eq!(approval::spending(chart, state, *usd), Gate::Open);
                self.turns(state, event);
            }
            _ => self.turns(state, event),
        }
        Self::society(state, event);
        self.work(chart, state, event);
    }

    fn turns(&mut self, state: &State, event: &Event) {
        match &event.body {
            Kind::TurnStarted { agent, mails, .. } => {
                let unread: Vec<u64> = state.agents[agent].unread.iter().copied().collect();
                assert_eq!(*mails, unread, "{agent} takes in all there is");
                for id in mails {
                    assert!(
                        self.taken.insert((agent.clone(), *id)),
                        "{agent} takes in m{id} twice"
                    );
                }
            }
            Kind::RequestReserved { agent, .. } => {
                assert!(state.may_think(agent), "{agent} may not ask");
                let mine = &state.agents[agent];
                let taken = mine.taken.is_some();
                assert!(!mine.paused && !state.paused && !taken, "{agent} is paused");
                let open = &state.agents[agent].calls;
                assert!(
                    open.iter().all(|call| call.result.is_some()),
                    "{agent} asks without the result of a call"
                );
            }
            Kind::ToolIntent { agent, call, .. } => {
                assert!(
                    state.may_think(agent),
                    "{agent} begins something while it may not"
                );
                let open = state.agents[agent].calls.iter();
                let open = open.filter(|open| open.call.id == *call && !open.intent);
                assert_eq!(open.count(), 1, "{call} was begun before");
            }
            Kind::ToolResult { call, .. } => {
                assert!(self.results.insert(call.clone()), "{call} has two results");
            }
            _ => {}
        }
    }

    fn work(&mut self, chart: &Chart, state: &State, event: &Event) {
        match &event.body {
            Kind::MailSent { call, .. }
            | Kind::ExperimentQueued { call, .. }
            | Kind::HypothesisRegistered { call, .. }
            | Kind::HypothesisRejected { call, .. } => {
                // The org's letters have laws of their own.
                if let (Some(call), true) = (call, event.actor != Actor::Org) {
                    self.trace(call);
                }
            }
            Kind::NoteKept { text, .. } => self.trace(text.head()),
            Kind::ExperimentStarted { id, attempt, gpus } => {
                let run = &state.experiments[id];
                assert_eq!(
                    run.status,
                    RunStatus::Queued,
                    "e{id} is launched while it is not queued"
                );
                assert_eq!(*attempt, run.attempt + 1);
                assert!(
                    !freeze::wanted(state, run),
                    "e{id} is started while it is frozen"
                );
                assert_eq!(gpus.len(), fit::gpus(chart, run) as usize);
                assert!(
                    state.down.is_none(),
                    "e{id} is launched while the run goes down"
                );
                let (spent, reserved) = lease::gpu_seconds(chart, state);
                let each = lease::timeout(chart, state) * gpus.len() as f64;
                if let Some(cap) = lease::gpu_cap(chart, state) {
                    assert!(
                        spent + reserved + each <= cap + 1e-9,
                        "e{id} passes the cap"
                    );
                }
            }
            Kind::ExperimentFrozen { id, attempt } | Kind::ExperimentThawed { id, attempt } => {
                let run = &state.experiments[id];
                assert_eq!((run.status, run.attempt), (RunStatus::Running, *attempt));
                assert!(
                    matches!(event.body, Kind::ExperimentThawed { .. })
                        || freeze::wanted(state, run)
                );
            }
            Kind::ExperimentFinished { id, attempt, .. } => {
                let run = &state.experiments[id];
                assert_eq!(
                    run.status,
                    RunStatus::Running,
                    "e{id} ends while it does not run"
                );
                assert_eq!(run.attempt, *attempt);
            }
            Kind::HypothesisMoved {
                id,
                status,
                verdict,
                ..
            } => moved(
                chart,
                state,
                &state.hypotheses[id],
                *status,
                verdict.as_ref(),
            ),
            Kind::HypothesisRebased { id, .. } => {
                let claim = &state.hypotheses[id];
                let confirmed = matches!(claim.status, Status::Confirmed | Status::Reviewed);
                assert!(!claim.is_final() && (confirmed || !stands(state, &claim.base)));
            }
            Kind::HypothesisTrimmed { id, trim } => trimmed(chart, state, *id, trim),
            Kind::ProgrammeRolledBack { hypothesis, commit } => {
                let (id, before, _) = state.promotions.last().expect("promoted");
                assert_eq!(
                    (id, before),
                    (hypothesis, commit),
                    "the newest, and one step"
                );
            }
            Kind::ProgrammeAdvanced { hypothesis, commit }
                if *commit == state.champion && state.stack.is_some() =>
            {
                // The next of a stack, of which the first has answered for the champion.
                let stack = state.stack.as_ref().expect("a stack");
                assert!(stack.claims.contains(hypothesis) && !stack.dropped.contains(hypothesis));
                assert_eq!(approval::promotion(chart, state, *hypothesis), Gate::Open);
                let claim = &state.hypotheses[hypothesis];
                assert_eq!((claim.status, &claim.base), (way_in(chart), &stack.base));
                let verdict = claim.verdict.as_ref().expect("a verdict");
                proven(chart, state, claim, verdict);
            }
            Kind::ProgrammeAdvanced { hypothesis, .. } => {
                assert_eq!(approval::promotion(chart, state, *hypothesis), Gate::Open);
                let claim = &state.hypotheses[hypothesis];
                assert_eq!(claim.status, way_in(chart));
                assert_eq!(
                    claim.base, state.champion,
                    "it was measured on another champion"
                );
                let verdict = claim.verdict.as_ref().expect("a verdict");
                proven(chart, state, claim, verdict);
                assert!(
                    re_baselined(chart, state),
                    "on a champion that was not measured anew"
                );
            }
            _ => {}
        }
    }

    fn trace(&mut self, call: &str) {
        let count = self.traces.entry(call.to_owned()).or_insert(0);
        *count += 1;
        assert_eq!(*count, 1, "{call} happened twice");
    }

    /// What must hold at all times.
    pub(super) fn always(chart: &Chart, state: &State) {
        let running = state.experiments.values();
        let running: Vec<_> = running
            .filter(|run| run.status == RunStatus::Running)
            .collect();
        assert!(running.len() <= state.parallel as usize, "too many run");
        let mut leased = BTreeSet::new();
        for gpu in running.iter().flat_map(|run| &run.gpus) {
            assert!(leased.insert(&gpu.uuid), "{} is leased twice", gpu.uuid);
        }
        let (spent, reserved) = state.usd();
        // A person may lower a cap under what is spent; nothing is reserved then (law 10, in `capped`).
        if state.caps.is_empty()
            && let Some(cap) = budget::usd_cap(chart, state)
        {
            assert!(
                spent + reserved <= cap + 1e-9,
                "{spent} + {reserved} > {cap}"
            );
        }
        for agent in &chart.agents {
            let role = chart.role_of(agent).usd;
            let used = |name: &str| {
                let of = state.agents.get(name);
                of.map_or(0.0, |it| {
                    it.usd + it.usd_lost + it.request.map_or(0.0, |(_, usd)| usd)
                })
            };
            let role_used: f64 = chart
                .agents
                .iter()
                .filter(|other| other.role == agent.role)
                .map(|other| used(&other.name))
                .sum();
            assert!(role.is_none_or(|cap| role_used <= cap + 1e-9));
            assert!(agent.usd.is_none_or(|cap| used(&agent.name) <= cap + 1e-9));
        }
    }
}

fn held(chart: &Chart, state: &State, actor: &Actor, agent: &str, reason: &str) {
    let by_deaths = state.agents[agent].deaths.exhausted();
    let wall = chart.budget.wall.is_some() && reason.contains("wall budget");
    match actor {
        Actor::Supervisor => assert!(by_deaths || wall, "{agent} is held: {reason}"),
        _ => assert!(
            reason.contains("cap")
                || reason.contains("same call")
                || reason.contains("to spend on was denied"),
            "{agent} holds itself: {reason}"
        ),
    }
}

/// The status from which a claim is promoted.
fn way_in(chart: &Chart) -> Status {
    if process::gates(chart).next().is_some() {
        Status::Reviewed
    } else {
        Status::Confirmed
    }
}

/// The legal ways of a claim.
fn moved(chart: &Chart, state: &State, claim: &Hypothesis, to: Status, verdict: Option<&Verdict>) {
    use Status::{
        Confirmed, Contended, Crashed, Invalid, Mismatched, Parked, Promoted, Refuted, Registered,
        Reviewed, RolledBack, Screened, Smoke, Undecided, Vetoed,
    };
    let gated = way_in(chart) == Reviewed;
    let decided = |decision| {
        let mut all = state.society.reviews.get(&claim.id).into_iter().flatten();
        all.any(|it| it.decision == decision && it.by != claim.agent)
    };
    let broken = [Crashed, Invalid, Contended];
    let next: &[Status] = match claim.status {
        Registered => &[Smoke, Mismatched],
        Smoke => &[Smoke, Mismatched, Screened, Parked],
        Screened => &[Confirmed, Refuted, Undecided, Mismatched, Vetoed],
        Confirmed if gated => &[Reviewed, Vetoed, Parked, Refuted],
        Confirmed | Reviewed => &[Promoted, Parked, Refuted, Vetoed],
        // A decision that came after all.
        Parked if gated => &[Reviewed, Vetoed],
        Promoted => &[RolledBack],
        _ => &[],
    };
    let homeless = to == Parked && !claim.is_final() && !stands(state, &claim.base);
    let legal = next.contains(&to) || homeless || (!claim.is_final() && broken.contains(&to));
    assert!(
        legal,
        "h{} goes from {:?} to {to:?}",
        claim.id, claim.status
    );
    if to == Vetoed {
        let gate = approval::promotion(chart, state, claim.id);
        let vetoed = matches!(gate, Gate::Denied(_)) || decided(Decision::Veto);
        assert!(vetoed, "vetoed by nobody");
    }
    if to == Confirmed {
        proven(chart, state, claim, verdict.expect("a verdict"));
    }
    assert!(to != Reviewed || decided(Decision::Approve));
    if to == Promoted {
        assert!(
            !gated || decided(Decision::Approve),
            "promoted past the gate"
        );
        let last = state.promotions.last();
        assert!(
            last.is_some_and(|(id, ..)| *id == claim.id),
            "promoted and not merged"
        );
        assert_ne!(claim.claim, Claim::Explain);
    }
}

/// Whether a verdict proves a claim.
fn proven(chart: &Chart, state: &State, claim: &Hypothesis, verdict: &Verdict) {
    let p = verdict.p.expect("a test was made");
    assert!(p < chart.protocol.alpha, "p = {p}");
    let ratio = verdict.ratios.flops.expect("flops are reported");
    assert!(
        (ratio - 1.0).abs() <= chart.protocol.tolerance,
        "h{} used {ratio} times the FLOPs",
        claim.id
    );
    let own = claim.commit.as_ref().expect("locked");
    let mut confirmed = BTreeSet::new();
    for run in verdict.runs.iter().map(|id| &state.experiments[id]) {
        assert_eq!(run.status, RunStatus::Ok);
        assert!(
            run.commit == *own || run.commit == claim.base,
            "of another commit"
        );
        if matches!(run.stage, Stage::Confirm | Stage::Ablate) && run.commit == *own {
            assert!(run.hypothesis.is_some_and(|id| id <= claim.id));
            confirmed.insert(run.seed);
        }
    }
    let planned: Vec<usize> = match claim.plan {
        // Compared anew on another champion.
        None => vec![2],
        Some((_, seeds)) if claim.looks.is_empty() => vec![seeds as usize],
        Some(_) => claim.looks.iter().map(|look| look.seeds as usize).collect(),
    };
    let trimmed = !claim.dropped.is_empty();
    assert!(
        planned.contains(&confirmed.len()) || (trimmed && confirmed.len() > 1),
        "all planned seeds and no other"
    );
    let screened = state.experiments.values();
    let mut screened = screened.filter(|run| matches!(run.stage, Stage::Screen | Stage::Admission));
    assert!(screened.all(|run| !confirmed.contains(&run.seed)));
}

/// Whether a commit is the start or a promotion that was not taken back.
fn stands(state: &State, commit: &str) -> bool {
    let mut after = state.promotions.iter().map(|(_, _, after)| after);
    commit == state.start || after.any(|after| after == commit)
}

/// Whether the champion has its own baseline.
fn re_baselined(chart: &Chart, state: &State) -> bool {
    let runs = state.experiments.values();
    let runs = runs.filter(|run| {
        matches!(run.stage, Stage::Admission | Stage::Rebaseline)
            && run.commit == state.champion
            && run.status == RunStatus::Ok
    });
    let seeds: BTreeSet<u64> = runs.map(|run| run.seed).collect();
    seeds.len() == chart.protocol.baseline as usize
}

/// What is dropped was in the claim, and what is left is proven without it.
fn trimmed(chart: &Chart, state: &State, id: u64, trim: &Trim) {
    let claim = &state.hypotheses[&id];
    assert_eq!(claim.status, way_in(chart));
    let split = claim.split.as_ref().expect("taken apart");
    let part = split.iter().find(|part| part.name == trim.part);
    assert_eq!(part.map(|part| &part.without), Some(&trim.commit));
    assert_eq!(trim.part, "idle", "the part that does the work stays");
    let mut after = claim.clone();
    after.commit = Some(trim.commit.clone());
    after.dropped.push((trim.part.clone(), String::new()));
    proven(chart, state, &after, &trim.verdict);
}

impl World {
    /// Law 14 and 15, where the run is done.
    pub(super) fn judge_the_end(&self) {
        let state = &self.state;
        let starved = lease::starved(&self.chart, state);
        for claim in state.hypotheses.values() {
            assert!(
                claim.is_final() || starved,
                "h{} is {:?}",
                claim.id,
                claim.status
            );
        }
        for run in state.experiments.values() {
            let ended = run.finished_at.is_some();
            assert!(
                ended || (starved && run.status == RunStatus::Queued),
                "e{}",
                run.id
            );
        }
        for (name, agent) in &state.agents {
            let held = agent.held.is_some();
            assert!(held || agent.unread.is_empty(), "{name} has unread mail");
            assert!(held || agent.turn.is_none(), "{name} is in a turn");
            for open in agent.calls.iter().filter(|_| !held) {
                assert!(open.result.is_some(), "{} has no result", open.call.id);
            }
        }
        assert_eq!(self.tip, state.champion, "the branch is the champion");
        if !state.promotions.is_empty() && !lease::exhausted(&self.chart, state) {
            let headline = state.headline.as_ref().expect("a headline");
            assert_eq!(headline.to, state.champion);
        }
        for (call, count) in &self.ran {
            assert_eq!(*count, 1, "{call} ran {count} times");
        }
        let mut again = State::default();
        for event in &self.log {
            let line = serde_json::to_string(event).expect("plain data");
            let event = serde_json::from_str(&line);
            let event: Event = event.unwrap_or_else(|error| panic!("{error}: {line}"));
            again.apply(&event).expect("foldable");
        }
        assert!(again == *state, "read again, the log says something else");
    }

    /// What is left of a run that was brought down.
    pub(super) fn judge_the_stop(&self) {
        assert!(self.locks.is_empty(), "somebody has a lock");
        let mut jobs = self.jobs.values();
        assert!(jobs.all(|job| !matches!(job, Job::Running { .. } | Job::Frozen { .. })));
        assert!(!self.mock && self.overseer.is_none());
    }
}
