//! A scripted organisation played to the end of its budget: the real protocol and the real fold, with a
//! pretended lab and no clock but its own.
//!
//! Owns the pretended lab: it does what `protocol::steps` says, and the numbers come from the world whose
//! truth is known. What it gives is a state like any run's, so that the same instrument reads it. Must not
//! judge, nor know how an organisation is scored.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};

use super::policy::{Policy, Proposal};
use super::{SIGMA, Settings};
use crate::domain::chart::Chart;
use crate::domain::chat::{Stop, Usage};
use crate::domain::decode::{Context, decode};
use crate::domain::event::{
    Actor, Arm, By, Event, FORMAT, Gpu, Headline, Kind, Measured, RunStatus, Stage, Status, Text,
};
use crate::domain::outcome::{self, Condition, Outcome, SCRIPTED, Truth};
use crate::domain::protocol::{self, Claim, Step, Wanted};
use crate::domain::state::State;

/// Seconds of a run at the baseline's FLOPs.
const RUN_S: f64 = 60.0;
/// The world's seeds for single looks begin here, far from the lab's.
const LOOKS: u64 = 9_000_000;
/// Steps without an end in sight: a bug, and no run.
const STEPS_MAX: u32 = 1_000_000;
/// Who proposes.
const AUTHOR: &str = "author";

/// A played run.
#[derive(Debug, Clone)]
pub struct Played {
    /// The fold of all that happened.
    pub state: State,
    /// What it achieved, by the same measure as any run.
    pub outcome: Outcome,
    /// The gain that is true of its last champion, in the metric's unit.
    pub true_gain: f64,
}

struct Player<'a> {
    chart: &'a Chart,
    policy: Policy,
    world: u64,
    state: State,
    now: Timestamp,
    commits: BTreeMap<String, Settings>,
    proposed: u64,
    looks: u64,
    requests: u64,
}

/// What scripted organisations are played by, with this many GPU-hours, or as many as it says itself.
///
/// # Panics
/// Never: the chart is part of the program, and a test reads it.
#[must_use]
pub fn chart(gpu_hours: Option<f64>) -> Chart {
    let context = Context {
        base: Path::new("/"),
        home: None,
        known_models: &[],
        frozen: false,
    };
    let decoded = decode(include_str!("chart.toml"), &context);
    let mut chart = decoded.chart.expect("the built-in chart is in order");
    chart.budget.gpu_hours = gpu_hours.or(chart.budget.gpu_hours);
    chart
}

/// Plays a policy. The chart says the protocol and the budget in GPU-hours; `world` is the repeat: the
/// same for all policies that are to meet the same ideas and seeds.
#[must_use]
pub fn play(chart: &Chart, policy: Policy, world: u64) -> Played {
    let mut player = Player {
        chart,
        policy,
        world,
        state: State::default(),
        now: Timestamp::UNIX_EPOCH,
        commits: BTreeMap::new(),
        proposed: 0,
        looks: 0,
        requests: 0,
    };
    player.open();
    for _ in 0..STEPS_MAX {
        if !player.go_on() {
            break;
        }
    }
    player.close();
    let mut outcome = outcome::of(chart, &player.state);
    outcome.truth = Some(player.truth());
    SCRIPTED.clone_into(&mut outcome.conditions[Condition::Models as usize]);
    let true_gain = player.true_gain(&player.state.start, &player.state.champion);
    Played {
        true_gain,
        outcome,
        state: player.state,
    }
}

impl Player<'_> {
    fn append(&mut self, actor: Actor, body: Kind) {
        let event = Event {
            seq: self.state.seq + 1,
            at: self.now,
            actor,
            cause: None,
            body,
        };
        let folded = self.state.apply(&event);
        debug_assert!(folded.is_ok(), "{folded:?}");
    }

    fn pass(&mut self, seconds: f64) {
        let span = SignedDuration::try_from_secs_f64(seconds).unwrap_or(SignedDuration::ZERO);
        self.now += span;
    }

    /// The name of a method's commit.
    fn commit(&mut self, settings: &Settings) -> String {
        let known = self.commits.iter().find(|(_, it)| *it == settings);
        if let Some((commit, _)) = known {
            return commit.clone();
        }
        let commit = format!("{:012x}", self.commits.len() + 1);
        self.commits.insert(commit.clone(), settings.clone());
        commit
    }

    fn open(&mut self) {
        let base = self.commit(&Settings::default());
        let (policy, world) = (self.policy.name(), self.world);
        self.append(
            Actor::Human,
            Kind::RunCreated {
                format: FORMAT,
                run: format!("{policy}-{}", world + 1),
                org: policy.to_owned(),
                mock: false,
                headless: true,
                version: String::new(),
                base,
            },
        );
        let gpu = Gpu {
            index: 0,
            uuid: "GPU-sim-0".to_owned(),
            simulated: true,
        };
        let opened = Kind::LabOpened {
            pool: self.world,
            gpus: vec![gpu],
            parallel: 1,
        };
        self.append(Actor::Lab, opened);
    }

    /// GPU seconds that may still be spent, when the closing runs are kept back.
    fn left(&self) -> f64 {
        let cap = self.chart.budget.gpu_hours.unwrap_or(0.0) * 3600.0;
        let kept = f64::from(2 * self.chart.protocol.baseline) * RUN_S;
        cap - kept - outcome::spent(&self.state, self.now).gpu_h * 3600.0
    }

    /// One thing more, until the budget is spent.
    fn go_on(&mut self) -> bool {
        let steps = protocol::steps(self.chart, &self.state);
        if steps.is_empty() {
            return self.left() > RUN_S && self.propose();
        }
        for step in steps {
            let runs = matches!(step, Step::Queue(_));
            if runs && self.left() < RUN_S {
                return false;
            }
            self.step(step);
        }
        true
    }

    /// A claim, or a look that led to none.
    fn propose(&mut self) -> bool {
        let champion = self.commits[&self.state.champion].clone();
        let proposal = self.policy.propose(self.world, self.proposed, &champion);
        self.proposed += 1;
        self.pass(proposal.seconds);
        self.pay(proposal.usd);
        let commit = self.commit(&proposal.settings);
        let known = self.state.hypotheses.values();
        let twice = known
            .clone()
            .any(|it| it.commit.as_deref() == Some(&*commit));
        if twice || (proposal.look && !self.looked_better(&commit)) {
            return true;
        }
        let claim = self.claimed(&proposal, commit);
        self.append(Actor::named(AUTHOR), claim);
        true
    }

    fn claimed(&self, proposal: &Proposal, commit: String) -> Kind {
        Kind::HypothesisRegistered {
            id: self.state.next_hypothesis(),
            agent: AUTHOR.to_owned(),
            title: proposal.title.clone(),
            claim: Claim::Improve,
            mechanism: "it sounded good".to_owned(),
            predicts: proposal.sigmas * SIGMA,
            refuted_by: "no gain at equal FLOPs".to_owned(),
            axis: self.chart.protocol.matched,
            margin: None,
            commit,
            base: self.state.champion.clone(),
            replicates: None,
            parts: Vec::new(),
            call: None,
        }
    }

    /// What thinking costs, as a request that was answered.
    fn pay(&mut self, usd: f64) {
        if usd <= 0.0 {
            return;
        }
        self.requests += 1;
        let reply = Kind::ReplyReceived {
            agent: AUTHOR.to_owned(),
            request: self.requests,
            items: Vec::new(),
            text: Text::from(""),
            thinking: Text::from(""),
            calls: Vec::new(),
            truncated: Vec::new(),
            stop: Stop::EndTurn,
            usage: Usage::default(),
            usd,
        };
        self.append(Actor::named(AUTHOR), reply);
    }

    /// One run without a claim, against the mean of the baseline.
    fn looked_better(&mut self, commit: &str) -> bool {
        self.looks += 1;
        let id = self.state.next_experiment();
        let queued = Kind::ExperimentQueued {
            id,
            agent: Some(AUTHOR.to_owned()),
            hypothesis: None,
            arm: Arm::Candidate,
            stage: Stage::Explore,
            seed: protocol::seed(self.world, LOOKS + self.looks),
            commit: commit.to_owned(),
            note: "a look".to_owned(),
            env: BTreeMap::new(),
            call: None,
        };
        self.append(Actor::named(AUTHOR), queued);
        self.measure(id);
        let champion = &self.state.champion;
        let values = |of: &str| -> Vec<f64> {
            let runs = self.state.experiments.values();
            let runs = runs.filter(|run| run.commit == of && run.agent.is_none());
            runs.filter_map(|run| run.measured.value).collect()
        };
        let base = crate::domain::stats::Sample::of(&values(champion));
        let seen = self.state.experiments[&id].measured.value;
        seen.is_some_and(|value| value < base.mean)
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Queue(wanted) => self.queue(&wanted),
            Step::Plan(id, test, looks) => {
                let planned = Kind::HypothesisPlanned {
                    id,
                    test,
                    seeds: looks.last().map_or(0, |look| look.seeds),
                    looks,
                };
                self.append(Actor::Lab, planned);
            }
            Step::Move(id, status, reason, verdict) => {
                self.move_claim(id, status, reason, verdict.map(|it| *it));
            }
            Step::Expire(commit, from, reason) => {
                let expired = Kind::BaselineExpired {
                    commit,
                    from,
                    reason,
                };
                self.append(Actor::Lab, expired);
            }
            Step::Promote(id) => {
                let commit = self.state.hypotheses[&id]
                    .commit
                    .clone()
                    .unwrap_or_default();
                let advanced = Kind::ProgrammeAdvanced {
                    hypothesis: id,
                    commit,
                };
                self.append(Actor::Lab, advanced);
                self.move_claim(id, Status::Promoted, "merged".to_owned(), None);
            }
            Step::RollBack(id, why, verdict) => {
                let former = self
                    .state
                    .promotions
                    .last()
                    .map(|(_, before, _)| before.clone());
                let back = Kind::ProgrammeRolledBack {
                    hypothesis: id,
                    commit: former.unwrap_or_else(|| self.state.start.clone()),
                };
                self.append(Actor::Lab, back);
                self.move_claim(id, Status::RolledBack, why, verdict.map(|it| *it));
            }
            // One claim at a time and without parts: none of these is ever wanted; whatever is, ends here.
            Step::Rebase(id)
            | Step::Split(id)
            | Step::Trim(id, _)
            | Step::Ask(id)
            | Step::Unstack(id, _) => {
                self.move_claim(id, Status::Parked, "not played".to_owned(), None);
            }
            Step::Stack(claims) => {
                for id in claims {
                    self.move_claim(id, Status::Parked, "not played".to_owned(), None);
                }
            }
            Step::PromoteStack(claims, _) => {
                for (id, _) in claims {
                    self.move_claim(id, Status::Parked, "not played".to_owned(), None);
                }
            }
        }
    }

    fn move_claim(
        &mut self,
        id: u64,
        status: Status,
        reason: String,
        verdict: Option<protocol::Verdict>,
    ) {
        let moved = Kind::HypothesisMoved {
            id,
            status,
            reason,
            verdict,
        };
        self.append(Actor::Lab, moved);
    }

    fn queue(&mut self, wanted: &Wanted) {
        let id = self.state.next_experiment();
        let queued = wanted.queued(id);
        self.append(Actor::Lab, queued);
        self.measure(id);
    }

    /// Runs what was queued.
    fn measure(&mut self, id: u64) {
        let (attempt, gpus) = (1, self.state.gpus.clone());
        self.append(Actor::Lab, Kind::ExperimentStarted { id, attempt, gpus });
        let run = &self.state.experiments[&id];
        let settings = self.commits.get(&run.commit);
        let given = settings.and_then(|settings| settings.run(run.seed));
        let flops = given.map(|given| given.flops);
        let seconds = flops.map_or(0.1, |it| it / Settings::default().flops()) * RUN_S;
        self.pass(seconds);
        let finished = Kind::ExperimentFinished {
            id,
            attempt,
            status: given.map_or(RunStatus::Crashed, |_| RunStatus::Ok),
            reason: given.map_or_else(|| "it does not work".to_owned(), |_| String::new()),
            measured: Measured {
                value: given.map(|given| given.loss),
                wall_s: seconds,
                cpu_s: seconds,
                gpu_s: seconds,
                peak_mem_mb: 1.0,
                flops,
                evaluated_by: By::Harness,
                measured_by: By::Harness,
                ..Measured::default()
            },
            tail: Text::from(""),
        };
        self.append(Actor::Lab, finished);
    }

    /// The closing runs, and the gain that they show.
    fn close(&mut self) {
        for wanted in protocol::closing(self.chart, &self.state) {
            self.queue(&wanted);
        }
        if let Some(verdict) = protocol::headline(self.chart, &self.state) {
            let headline = Headline {
                from: self.state.start.clone(),
                to: self.state.champion.clone(),
                verdict,
            };
            self.append(Actor::Lab, Kind::HeadlineMeasured { headline });
        }
    }

    fn true_gain(&self, from: &str, to: &str) -> f64 {
        let gain = self.commits.get(from).zip(self.commits.get(to));
        gain.and_then(|(from, to)| from.gain_to(to, self.chart.protocol.tolerance))
            .unwrap_or(0.0)
    }

    /// How many promotions were of what is better.
    fn truth(&self) -> Truth {
        let all = &self.state.promotions;
        let tolerance = self.chart.protocol.tolerance;
        let wrong = all.iter().filter(|(_, before, after)| {
            let (before, after) = (&self.commits[before], &self.commits[after]);
            before.wrongly(after, None, tolerance)
        });
        Truth {
            wrong: wrong.count() as u32,
            promotions: all.len() as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::comparison::{self, Entrant, Measure};
    use crate::domain::outcome::Cost;

    #[test]
    fn a_match_is_the_same_every_time_and_within_its_budget() {
        let chart = chart(None);
        let one = play(&chart, Policy::Careful, 3);
        let two = play(&chart, Policy::Careful, 3);
        assert_eq!(one.outcome, two.outcome);
        let cap = chart.budget.gpu_hours.expect("capped");
        for policy in Policy::ALL {
            let played = play(&chart, policy, 5);
            assert!(
                played.outcome.spent.gpu_h <= cap + 0.1,
                "{:?}",
                played.outcome.spent
            );
            assert!(
                played.outcome.spent.gpu_h > 0.8 * cap,
                "{:?}",
                played.outcome.spent
            );
            assert!(played.outcome.gain.is_some());
        }
    }

    #[test]
    fn the_order_of_the_policies_is_true_and_the_instrument_sees_it() {
        const WORLDS: u64 = 40;
        let chart = chart(None);
        let mut entrants = Vec::new();
        let mut truth: Vec<f64> = Vec::new();
        for policy in Policy::ALL {
            let played: Vec<Played> = (0..WORLDS).map(|it| play(&chart, policy, it)).collect();
            let per_hour = |it: &Played| it.true_gain / it.outcome.spent.gpu_h;
            truth.push(played.iter().map(per_hour).sum::<f64>() / WORLDS as f64);
            entrants.push(Entrant {
                name: policy.name().to_owned(),
                runs: played.into_iter().map(|it| it.outcome).collect(),
            });
        }
        assert!(truth.windows(2).all(|pair| pair[0] < pair[1]), "{truth:?}");
        let told = comparison::compare(entrants);
        let ranked: Vec<&str> = told.entrants.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(ranked, ["reviewed", "careful", "greedy", "random"]);
        for (entrant, truth) in told.entrants.iter().zip(truth.iter().rev()) {
            let seen = told
                .estimate(entrant, Measure::Per(Cost::Gpu))
                .expect("known");
            let [lo, hi] = seen.ci.expect("many runs");
            assert!(
                lo < *truth && *truth < hi,
                "{}: {seen:?}, {truth}",
                entrant.name
            );
            let (wrong, all) = told.wrong(entrant).expect("known");
            assert!(all > 20 && f64::from(wrong) < 0.05 * f64::from(all) + 2.0);
        }
    }
}
