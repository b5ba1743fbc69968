//! A laboratory that is pretended, for tests of the protocol: it does what the steps say, and each run gives
//! what a test says of its commit and seed.
//!
//! Owns nothing but that. Commits are names: a change is what stands before ` on `, its base what stands
//! behind. Must not judge.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::words::{Claim, Step, Wanted};
use crate::domain::chart::{Axis, Chart, Confirm};
use crate::domain::event::{Actor, Event, FORMAT, Kind, Measured, RunStatus, Stage, Status, Text};
use crate::domain::state::{Experiment, Hypothesis, State};

/// Rounds after which nothing will end any more.
const ROUNDS: usize = 500;

/// What a run gives.
pub(super) type Gives = Box<dyn FnMut(&Experiment) -> (RunStatus, Measured)>;

pub(super) struct Bench {
    pub(super) chart: Chart,
    pub(super) state: State,
    /// Whether no two changes can be put together.
    pub(super) conflicts: bool,
    pub(super) gives: Gives,
    /// A stage whose runs stay in the queue.
    pub(super) stuck: Option<Stage>,
    /// Hours that have passed besides.
    pub(super) hours: i64,
}

/// A number in (-1, 1) that belongs to another.
pub(super) fn noise(of: u64) -> f64 {
    super::seed(of, 3) as f64 / f64::from(1_u32 << 30) - 1.0
}

impl Bench {
    /// A task that is measured by FLOPs, with three seeds of baseline and four of confirmation.
    pub(super) fn new(gives: impl FnMut(&Experiment) -> (RunStatus, Measured) + 'static) -> Self {
        let (mut chart, _) = crate::view::sample::run();
        chart.processes.clear();
        chart.office.ask.clear();
        chart.protocol.matched = Axis::Flops;
        chart.protocol.guards = BTreeMap::new();
        chart.protocol.baseline = 3;
        chart.protocol.confirm = Confirm::Seeds(4);
        chart.protocol.notice = 0.0;
        let mut bench = Self {
            chart,
            state: State::default(),
            conflicts: false,
            gives: Box::new(gives),
            stuck: None,
            hours: 0,
        };
        bench.append(Kind::RunCreated {
            format: FORMAT,
            run: "bench".to_owned(),
            org: "bench".to_owned(),
            mock: true,
            headless: true,
            version: String::new(),
            base: "start".to_owned(),
        });
        bench.append(Kind::LabOpened {
            pool: 11,
            gpus: Vec::new(),
            parallel: 1,
        });
        bench
    }

    pub(super) fn append(&mut self, body: Kind) {
        let actor = match &body {
            Kind::RunCreated { .. } => Actor::Human,
            Kind::HypothesisRegistered { agent, .. } => Actor::Agent(agent.clone()),
            _ => Actor::Lab,
        };
        let event = Event {
            seq: self.state.seq + 1,
            at: Timestamp::from_second(1_000_000 + self.state.seq as i64 + 3600 * self.hours)
                .expect("in range"),
            actor,
            cause: None,
            body,
        };
        self.state.apply(&event).expect("it folds");
    }

    /// Registers a change of the champion.
    pub(super) fn claim(&mut self, change: &str, predicts: f64) -> u64 {
        let id = self.state.next_hypothesis();
        let base = self.state.champion.clone();
        self.append(Kind::HypothesisRegistered {
            id,
            agent: "ana".to_owned(),
            title: change.to_owned(),
            claim: Claim::Improve,
            mechanism: String::new(),
            predicts,
            refuted_by: String::new(),
            axis: self.chart.protocol.matched,
            margin: None,
            commit: format!("{change} on {base}"),
            base,
            replicates: None,
            parts: Vec::new(),
            call: None,
        });
        id
    }

    pub(super) fn of(&self, id: u64) -> &Hypothesis {
        &self.state.hypotheses[&id]
    }

    /// Runs of a stage.
    pub(super) fn count(&self, stage: Stage) -> usize {
        let runs = self.state.experiments.values();
        runs.filter(|run| run.stage == stage).count()
    }

    /// Everything that is to be done, to the end.
    pub(super) fn play(&mut self) {
        for _ in 0..ROUNDS {
            let steps = super::steps(&self.chart, &self.state);
            if steps.is_empty() {
                return;
            }
            for step in steps {
                self.carry_out(step);
            }
        }
        panic!("it does not come to an end");
    }

    fn carry_out(&mut self, step: Step) {
        match step {
            Step::Queue(wanted) => self.run(&wanted),
            Step::Plan(id, test, looks) => self.append(Kind::HypothesisPlanned {
                id,
                test,
                seeds: looks.last().map_or(0, |look| look.seeds),
                looks,
            }),
            Step::Move(id, status, reason, verdict) => {
                self.moved(id, status, reason, verdict.map(|it| *it));
            }
            Step::Rebase(id) => {
                let base = self.state.champion.clone();
                let commit = format!("{} on {base}", self.of(id).title);
                self.append(Kind::HypothesisRebased { id, commit, base });
            }
            Step::Promote(id) => {
                let commit = self.of(id).commit.clone().expect("it has one");
                self.append(Kind::ProgrammeAdvanced {
                    hypothesis: id,
                    commit,
                });
                self.moved(id, Status::Promoted, "merged".to_owned(), None);
            }
            Step::Stack(claims) => {
                let base = self.state.champion.clone();
                let on_top = |left_out: Option<u64>| {
                    let rest = claims.iter().filter(|id| Some(**id) != left_out);
                    let changes: Vec<&str> = rest.map(|id| self.of(*id).title.as_str()).collect();
                    format!("{} on {base}", changes.join("+"))
                };
                let commit = (!self.conflicts).then(|| on_top(None));
                let without = claims.iter().filter(|_| claims.len() > 2);
                let without = without.map(|id| on_top(Some(*id))).collect();
                self.append(Kind::StackMade {
                    base: base.clone(),
                    claims,
                    commit,
                    without,
                    reason: String::new(),
                });
            }
            Step::Unstack(id, reason) => self.append(Kind::StackDropped { id, reason }),
            Step::PromoteStack(claims, commit) => {
                for (hypothesis, why) in claims {
                    let commit = commit.clone();
                    self.append(Kind::ProgrammeAdvanced { hypothesis, commit });
                    self.moved(hypothesis, Status::Promoted, why, None);
                }
            }
            Step::RollBack(id, why, _) => {
                let last = self.state.promotions.last();
                let commit = last.expect("promoted").1.clone();
                let all = self.state.promoted_with(id);
                self.append(Kind::ProgrammeRolledBack {
                    hypothesis: id,
                    commit,
                });
                for id in all {
                    self.moved(id, Status::RolledBack, why.clone(), None);
                }
            }
            Step::Expire(..) | Step::Ask(_) | Step::Split(_) | Step::Trim(..) => {
                panic!("not on this bench: {step:?}")
            }
        }
    }

    fn moved(&mut self, id: u64, status: Status, reason: String, verdict: Option<super::Verdict>) {
        self.append(Kind::HypothesisMoved {
            id,
            status,
            reason,
            verdict,
        });
    }

    fn run(&mut self, wanted: &Wanted) {
        let id = self.state.next_experiment();
        self.append(wanted.queued(id));
        if self.stuck == Some(wanted.stage) {
            return;
        }
        let (attempt, gpus) = (1, Vec::new());
        self.append(Kind::ExperimentStarted { id, attempt, gpus });
        let (status, measured) = (self.gives)(&self.state.experiments[&id]);
        self.append(Kind::ExperimentFinished {
            id,
            attempt,
            status,
            reason: String::new(),
            measured,
            tail: Text::from(""),
        });
    }
}
