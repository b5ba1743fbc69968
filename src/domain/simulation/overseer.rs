//! The fake hands of the supervisor: `decide` is real, and what the engine does with it is imitated,
//! with everything in memory lost at each death.

use std::collections::{BTreeMap, BTreeSet};

use super::world::{Job, Quality, World, hash, mix};
use crate::domain::approval::{self, Gate};
use crate::domain::event::{Actor, Arm, Headline, Kind, Matter, Measured, RunStatus, Status, Text};
use crate::domain::lease::Grant;
use crate::domain::protocol::{self, Part, Step, Wanted};
use crate::domain::supervisor::{Effect, Observed, decide, unmourned};

/// What it has in its hands.
#[derive(Debug, Clone, Default)]
pub(super) struct Overseer {
    /// Processes that it believes to live.
    alive: BTreeMap<String, u32>,
    stopping: BTreeSet<String>,
    mock: Option<bool>,
    /// Runs that it sees through, by attempt, and whether they were called off.
    orders: BTreeMap<u64, (u32, bool)>,
    /// Launches under way: when the job will be there.
    launches: BTreeMap<u64, i64>,
    errands: BTreeMap<u64, Errand>,
    started: BTreeMap<String, i64>,
}

/// What is under way with a claim's commits.
#[derive(Debug, Clone)]
struct Errand {
    step: Step,
    champion: String,
    /// When the worker has moved the branch.
    at: i64,
    done: Option<Result<String, ()>>,
}

impl Errand {
    fn moves(&self) -> bool {
        matches!(
            self.step,
            Step::Promote(_) | Step::PromoteStack(..) | Step::RollBack(..)
        )
    }
}

impl World {
    /// A new supervisor adopts what lives and finishes what was begun.
    pub(super) fn spawn_overseer(&mut self) {
        self.overseers += 1;
        let mut new = Overseer::default();
        let started = Kind::SupervisorStarted {
            pid: 1,
            sandbox: BTreeMap::new(),
        };
        self.append(&Actor::Supervisor, vec![started]);
        for agent in self.chart.agents.clone() {
            let holder = self.locks.get(&agent.name).copied();
            if let Some(pid) = holder {
                new.alive.insert(agent.name.clone(), pid);
            }
            let known = self.state.agents.get(&agent.name).and_then(|it| it.pid);
            if known.is_some() && known != holder {
                self.mourn(&agent.name);
            }
        }
        let running = self.state.experiments.values();
        let running: Vec<(u64, u32)> = running
            .filter(|run| run.status == RunStatus::Running)
            .map(|run| (run.id, run.attempt))
            .collect();
        for (id, attempt) in running {
            new.orders.insert(id, (attempt, false));
            if self.state.down.is_none() {
                new.launches.insert(id, self.now);
            }
        }
        self.overseer = Some(new);
    }

    fn mourn(&mut self, name: &str) {
        let died = Kind::AgentDied {
            agent: name.to_owned(),
            how: "dead".to_owned(),
        };
        self.append(&Actor::Supervisor, vec![died]);
    }

    /// One turn of the supervisor's loop.
    pub(super) fn oversee(&mut self) {
        let Some(mut me) = self.overseer.take() else {
            return;
        };
        if self.state.stopped {
            return;
        }
        self.hear_of_ends(&mut me);
        self.hear_of_mock(&mut me);
        self.hear_of_errands(&mut me);
        self.hear_of_runs(&mut me);
        let seen = Observed {
            agents: me.alive.keys().cloned().collect(),
            mock: me.mock == Some(true),
            ahead_s: 3600,
        };
        let now = self.time();
        let mut effects = decide(&self.chart, &self.state, &seen, now);
        assert_eq!(
            effects,
            decide(&self.chart, &self.state, &seen, now),
            "what is decided depends on nothing else"
        );
        if self.hostile {
            self.disorder(&mut effects);
        }
        for effect in effects {
            if self.hostile && self.rng.chance(4) {
                // Killed in the middle of it.
                return;
            }
            if matches!(effect, Effect::Stopped) {
                self.mock = false;
                self.append(&Actor::Supervisor, vec![Kind::RunStopped {}]);
                return;
            }
            let twice = self.hostile && repeatable(&effect) && self.rng.chance(50);
            if twice {
                self.perform(&mut me, effect.clone());
            }
            self.perform(&mut me, effect);
        }
        self.overseer = Some(me);
    }

    /// Effects on different things may come in any order; those on one claim may not.
    fn disorder(&mut self, effects: &mut [Effect]) {
        let salt = self.rng.next();
        if !salt.is_multiple_of(4) {
            return;
        }
        let lots: Vec<u64> = effects
            .iter()
            .enumerate()
            .map(|(at, effect)| match effect {
                Effect::Lab(Step::Move(id, ..) | Step::Plan(id, ..) | Step::Trim(id, ..)) => {
                    mix(salt ^ id)
                }
                _ => mix(salt ^ (1000 + at as u64)),
            })
            .collect();
        let mut paired: Vec<(u64, Effect)> = lots.into_iter().zip(effects.to_vec()).collect();
        paired.sort_by_key(|(lot, _)| *lot);
        for (slot, (_, effect)) in effects.iter_mut().zip(paired) {
            *slot = effect;
        }
    }

    fn hold(&mut self, agent: String, reason: String, cap: bool) {
        let held = Kind::AgentHeld {
            agent,
            reason,
            cap,
            until: None,
        };
        self.append(&Actor::Supervisor, vec![held]);
    }

    /// Reports come late.
    fn late(&mut self) -> bool {
        self.hostile && self.rng.chance(400)
    }

    fn hear_of_ends(&mut self, me: &mut Overseer) {
        for (name, pid) in me.alive.clone() {
            if self.procs.contains_key(&pid) || self.late() {
                continue;
            }
            me.alive.remove(&name);
            me.stopping.remove(&name);
            if let Some(other) = self.locks.get(&name) {
                me.alive.insert(name, *other);
            } else if unmourned(&self.state, &name) {
                self.mourn(&name);
            }
        }
        for (name, pid) in &me.alive {
            if me.stopping.contains(name)
                && let Some(proc) = self.procs.get_mut(pid)
            {
                proc.term = true;
            }
        }
    }

    fn hear_of_mock(&mut self, me: &mut Overseer) {
        match me.mock {
            Some(false) if !self.late() => {
                self.mock = true;
                me.mock = Some(true);
            }
            Some(true) if !self.mock && !self.late() => me.mock = None,
            _ => {}
        }
    }

    fn hear_of_runs(&mut self, me: &mut Overseer) {
        for (id, at) in me.launches.clone() {
            if at > self.now {
                continue;
            }
            me.launches.remove(&id);
            let (attempt, off) = me.orders[&id];
            let there = self.jobs.get(&(id, attempt));
            if matches!(there, None | Some(Job::Lost)) {
                let ends = self.now + i64::try_from(self.rng.below(3000)).expect("short");
                let job = if off {
                    Job::Cancelled
                } else {
                    Job::Running { ends }
                };
                self.jobs.insert((id, attempt), job);
            }
        }
        for (id, (attempt, _)) in me.orders.clone() {
            if me.launches.contains_key(&id) || self.late() {
                continue;
            }
            let job = self.jobs.get(&(id, attempt)).cloned();
            let found = match job {
                Some(Job::Running { .. } | Job::Frozen { .. }) => continue,
                Some(Job::Done) => self.found(id),
                Some(Job::Cancelled | Job::Lost) | None => (RunStatus::Interrupted, None),
            };
            me.orders.remove(&id);
            self.finish(id, attempt, found);
        }
    }

    /// What a run gives: the truth, the seed's luck, and a little noise.
    fn found(&mut self, id: u64) -> (RunStatus, Option<(f64, f64)>) {
        let run = &self.state.experiments[&id];
        let quality = self.commits[&run.commit];
        let luck = |salt: u64| (mix(salt) % 1000) as f64 / 1000.0;
        // Some tasks have no noise at all.
        let loud = f64::from(u8::from(!self.still));
        let noise = loud * (luck(run.seed) + 0.2 * luck(run.seed ^ hash(&run.commit)));
        if quality.broken {
            return (RunStatus::Crashed, None);
        }
        if mix(run.seed ^ hash(&run.commit) ^ 77).is_multiple_of(60) {
            return (RunStatus::Timeout, None);
        }
        if mix(id ^ self.state.pool.unwrap_or(0)).is_multiple_of(40) {
            return (RunStatus::Contended, None);
        }
        (
            RunStatus::Ok,
            Some((100.0 - quality.gain + noise, quality.flops)),
        )
    }

    fn finish(&mut self, id: u64, attempt: u32, found: (RunStatus, Option<(f64, f64)>)) {
        let run = self.state.experiments[&id].clone();
        let (status, numbers) = found;
        let measured = Measured {
            value: numbers.map(|it| it.0),
            wall_s: 2.0,
            gpu_s: 2.0 * run.gpus.len() as f64,
            flops: numbers.map(|it| it.1),
            ..Measured::default()
        };
        let mut kinds = vec![Kind::ExperimentFinished {
            id,
            attempt,
            status,
            reason: String::new(),
            measured,
            tail: Text::from(""),
        }];
        if let (Some(agent), true) = (run.agent, status != RunStatus::Interrupted) {
            kinds.push(letter(&agent, format!("e{id}")));
        }
        self.append(&Actor::Lab, kinds);
    }

    fn perform(&mut self, me: &mut Overseer, effect: Effect) {
        match effect {
            Effect::StartMock => {
                me.mock.get_or_insert(false);
            }
            Effect::Start(name) => {
                let last = me.started.get(&name).copied().unwrap_or(0);
                if self.now - last < 300 {
                    return;
                }
                me.started.insert(name.clone(), self.now);
                let pid = match self.locks.get(&name) {
                    Some(pid) => *pid,
                    None => self.spawn_agent(&name),
                };
                me.alive.insert(name, pid);
            }
            Effect::Stop(name) => {
                me.stopping.insert(name);
            }
            Effect::Hold(agent, reason) => self.hold(agent, reason, false),
            Effect::Cap(agent, reason) => self.hold(agent, reason, true),
            Effect::Release(agent) => {
                self.append(&Actor::Supervisor, vec![Kind::AgentReleased { agent }]);
            }
            Effect::Launch(grant) => self.launch(me, &grant),
            Effect::Freeze(id) | Effect::Thaw(id) => {
                self.stand_still(me, id, matches!(effect, Effect::Freeze(_)));
            }
            Effect::Interrupt(id) => {
                if let Some((attempt, off)) = me.orders.get_mut(&id) {
                    *off = true;
                    if let Some(job @ (Job::Running { .. } | Job::Frozen { .. })) =
                        self.jobs.get_mut(&(id, *attempt))
                    {
                        *job = Job::Cancelled;
                    }
                }
            }
            Effect::Cancel(id, reason) => {
                let agent = None;
                let cancelled = Kind::ExperimentCancelled { id, agent, reason };
                self.append(&Actor::Lab, vec![cancelled]);
            }
            Effect::Tell(id) => {
                let agent = self.state.experiments[&id].agent.clone();
                let subject = format!("e{id} {}", RunStatus::Cancelled.word());
                self.append(
                    &Actor::Lab,
                    vec![letter(&agent.unwrap_or_default(), subject)],
                );
            }
            Effect::Call(needs, reason) => {
                let called = Kind::PersonCalled { needs, reason };
                self.append(&Actor::Supervisor, vec![called]);
            }
            Effect::Lab(step) => self.lab(me, step),
            Effect::Society(act) => self.society(act),
            Effect::Close(wanted) => self.queue(&wanted),
            Effect::Headline => {
                if let Some(verdict) = protocol::headline(&self.chart, &self.state) {
                    let headline = Headline {
                        from: self.state.start.clone(),
                        to: self.state.champion.clone(),
                        verdict,
                    };
                    self.append(&Actor::Lab, vec![Kind::HeadlineMeasured { headline }]);
                }
            }
            Effect::Stopped => unreachable!("the caller ends"),
        }
    }

    fn launch(&mut self, me: &mut Overseer, grant: &Grant) {
        let run = &self.state.experiments[&grant.experiment];
        if run.status != RunStatus::Queued {
            return;
        }
        let (id, attempt) = (run.id, run.attempt + 1);
        let gpus = grant.gpus.clone();
        let started = Kind::ExperimentStarted { id, attempt, gpus };
        self.append(&Actor::Lab, vec![started]);
        me.orders.insert(id, (attempt, false));
        let at = self.now + i64::try_from(self.rng.below(500)).expect("short");
        me.launches.insert(id, at);
    }

    fn queue(&mut self, wanted: &Wanted) {
        let queued = wanted.queued(self.state.next_experiment());
        assert!(
            wanted.hypothesis.is_none() || wanted.arm == Arm::Candidate,
            "controls belong to everybody"
        );
        self.append(&Actor::Lab, vec![queued]);
    }

    /// A keeper stops its job, or lets it go on; what was seen is written down.
    fn stand_still(&mut self, me: &Overseer, id: u64, still: bool) {
        let Some((attempt, _)) = me.orders.get(&id).copied() else {
            return;
        };
        let now = self.now;
        let Some(job) = self.jobs.get_mut(&(id, attempt)) else {
            return;
        };
        match (&*job, still) {
            (Job::Running { ends }, true) => *job = Job::Frozen { left: ends - now },
            (Job::Frozen { left }, false) => *job = Job::Running { ends: now + left },
            (Job::Frozen { .. }, true) | (Job::Running { .. }, false) => {}
            _ => return,
        }
        // Killed before it could say so: the next one looks again.
        if self.hostile && self.rng.chance(100) {
            return;
        }
        let kind = if still {
            Kind::ExperimentFrozen { id, attempt }
        } else {
            Kind::ExperimentThawed { id, attempt }
        };
        self.append(&Actor::Lab, vec![kind]);
    }

    fn lab(&mut self, me: &mut Overseer, step: Step) {
        match step {
            Step::Queue(wanted) => self.queue(&wanted),
            Step::Plan(id, test, looks) => {
                let seeds = looks.last().expect("a look").seeds;
                let planned = Kind::HypothesisPlanned {
                    id,
                    test,
                    seeds,
                    looks,
                };
                self.append(&Actor::Lab, vec![planned]);
            }
            Step::Trim(id, trim) => {
                let trim = *trim;
                self.append(&Actor::Lab, vec![Kind::HypothesisTrimmed { id, trim }]);
            }
            Step::Move(id, status, reason, verdict) => {
                self.move_claim(id, status, reason, verdict.map(|it| *it), None);
            }
            Step::Expire(commit, from, reason) => {
                let expired = Kind::BaselineExpired {
                    commit,
                    from,
                    reason,
                };
                self.append(&Actor::Lab, vec![expired]);
            }
            Step::Promote(id) | Step::Rebase(id) | Step::Split(id) | Step::RollBack(id, ..) => {
                self.errand(me, id, step);
            }
            Step::Stack(ref claims) => self.errand(me, claims[0], step),
            Step::PromoteStack(ref claims, _) => self.errand(me, claims[0].0, step),
            Step::Unstack(id, reason) => {
                self.append(&Actor::Lab, vec![Kind::StackDropped { id, reason }]);
            }
            Step::Ask(hypothesis) => {
                let asked = Kind::ApprovalAsked {
                    id: self.state.next_approval(),
                    matter: Matter::Promote { hypothesis },
                    question: String::new(),
                };
                if approval::promotion(&self.chart, &self.state, hypothesis) == Gate::Ask {
                    self.append(&Actor::Lab, vec![asked]);
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
        before: Option<Kind>,
    ) {
        let mut kinds: Vec<Kind> = before.into_iter().collect();
        kinds.extend(self.moved(id, status, reason, verdict));
        self.append(&Actor::Lab, kinds);
    }

    fn moved(
        &self,
        id: u64,
        status: Status,
        reason: String,
        verdict: Option<protocol::Verdict>,
    ) -> Vec<Kind> {
        let mut kinds = vec![Kind::HypothesisMoved {
            id,
            status,
            reason,
            verdict,
        }];
        if status.is_exit() || matches!(status, Status::Confirmed | Status::Promoted) {
            let to = self.state.hypotheses[&id].agent.clone();
            kinds.push(letter(&to, format!("h{id} {}", status.word())));
        }
        kinds
    }

    fn errand(&mut self, me: &mut Overseer, id: u64, step: Step) {
        let errand = Errand {
            step,
            champion: self.state.champion.clone(),
            at: self.now + i64::try_from(self.rng.below(500)).expect("short"),
            done: None,
        };
        let busy = errand.moves() && me.errands.values().any(Errand::moves);
        if !busy && !me.errands.contains_key(&id) {
            me.errands.insert(id, errand);
        }
    }

    fn hear_of_errands(&mut self, me: &mut Overseer) {
        for (id, mut errand) in me.errands.clone() {
            if errand.done.is_none() && errand.at <= self.now {
                let done = self.carried_out(id, &errand);
                if let (true, Ok(commit)) = (errand.moves(), &done) {
                    self.tip.clone_from(commit);
                }
                errand.done = Some(done);
                me.errands.insert(id, errand);
                continue;
            }
            let Some(done) = errand.done.clone() else {
                continue;
            };
            if self.late() {
                continue;
            }
            me.errands.remove(&id);
            self.errand_done(id, errand, done);
        }
    }

    fn errand_done(&mut self, id: u64, errand: Errand, done: Result<String, ()>) {
        match (done, errand.step) {
            (Ok(commit), Step::Promote(_)) => {
                let advanced = Kind::ProgrammeAdvanced {
                    hypothesis: id,
                    commit,
                };
                let reason = "merged".to_owned();
                self.move_claim(id, Status::Promoted, reason, None, Some(advanced));
            }
            (Ok(commit), Step::PromoteStack(claims, _)) => {
                let mut kinds = Vec::new();
                for (hypothesis, why) in claims {
                    let commit = commit.clone();
                    kinds.push(Kind::ProgrammeAdvanced { hypothesis, commit });
                    kinds.extend(self.moved(hypothesis, Status::Promoted, why, None));
                }
                self.append(&Actor::Lab, kinds);
            }
            (made, Step::Stack(claims)) => {
                let base = errand.champion;
                let without = claims.iter().filter(|_| claims.len() > 2);
                let without: Option<Vec<String>> = without
                    .map(|id| self.on_top(&claims, Some(*id), &base).ok())
                    .collect();
                let commit = made.ok().filter(|_| without.is_some());
                let stacked = Kind::StackMade {
                    base,
                    claims,
                    without: without.unwrap_or_default(),
                    commit,
                    reason: String::new(),
                };
                self.append(&Actor::Lab, vec![stacked]);
            }
            (Ok(commit), Step::RollBack(_, why, verdict)) => {
                let all = self.state.promoted_with(id);
                let mut kinds = vec![Kind::ProgrammeRolledBack {
                    hypothesis: id,
                    commit,
                }];
                for id in all {
                    let verdict = verdict.as_deref().cloned();
                    kinds.extend(self.moved(id, Status::RolledBack, why.clone(), verdict));
                }
                self.append(&Actor::Lab, kinds);
            }
            (Ok(commit), Step::Split(_)) => {
                let parts = self.state.hypotheses[&id].parts.clone();
                let parts = parts.into_iter().map(|name| Part {
                    without: format!("{commit}-{name}"),
                    name,
                });
                let parts = parts.collect();
                let split = Kind::HypothesisSplit { id, commit, parts };
                self.append(&Actor::Lab, vec![split]);
            }
            (Ok(commit), _) => {
                let base = errand.champion;
                let rebased = Kind::HypothesisRebased { id, commit, base };
                self.append(&Actor::Lab, vec![rebased]);
            }
            (Err(()), _) => {
                self.move_claim(id, Status::Parked, "conflict".to_owned(), None, None);
            }
        }
    }

    /// The branch is moved, or commits are made; the same again gives the same.
    fn carried_out(&mut self, id: u64, errand: &Errand) -> Result<String, ()> {
        let claim = self.state.hypotheses[&id].clone();
        let commit = claim.commit.expect("locked");
        match &errand.step {
            Step::Stack(claims) => self.on_top(claims, None, &errand.champion),
            // As it was measured.
            Step::PromoteStack(_, commit) => Ok(commit.clone()),
            Step::RollBack(..) => {
                let last = self.state.promotions.last();
                Ok(last
                    .map_or(&self.state.start, |(_, before, _)| before)
                    .clone())
            }
            Step::Split(_) => {
                let (whole, base) = (self.commits[&commit], self.commits[&claim.base]);
                for name in &claim.parts {
                    // One part does all the work, or breaks what it is taken from.
                    let mut rest = whole;
                    if name == "work" {
                        rest.gain = base.gain;
                        rest.broken |= hash(&commit).is_multiple_of(5);
                    }
                    self.commits.insert(format!("{commit}-{name}"), rest);
                }
                Ok(commit)
            }
            _ => self.merged(id, &errand.champion),
        }
    }

    /// Changes on top of each other, but for one.
    fn on_top(
        &mut self,
        claims: &[u64],
        left_out: Option<u64>,
        champion: &str,
    ) -> Result<String, ()> {
        let mut onto = champion.to_owned();
        for id in claims.iter().filter(|id| Some(**id) != left_out) {
            onto = self.merged(*id, &onto)?;
        }
        Ok(onto)
    }

    /// The same merge gives the same commit, as in git.
    fn merged(&mut self, id: u64, champion: &str) -> Result<String, ()> {
        let commit = self.state.hypotheses[&id].commit.clone().expect("locked");
        let name = format!("m{:016x}", hash(&format!("{champion}+{commit}")));
        if hash(&name).is_multiple_of(9) {
            return Err(());
        }
        let start = self.commits["c0"];
        let base = self.commits[&self.state.hypotheses[&id].base];
        let (ours, theirs) = (self.commits[champion], self.commits[&commit]);
        // Some changes do not add up.
        let lost = if hash(&format!("{name}!")).is_multiple_of(13) {
            6.0
        } else {
            0.0
        };
        let quality = Quality {
            gain: ours.gain + (theirs.gain - base.gain) - lost,
            flops: ours.flops * theirs.flops / base.flops,
            broken: ours.broken || theirs.broken || start.broken,
        };
        self.commits.insert(name.clone(), quality);
        Ok(name)
    }
}

fn letter(to: &str, subject: String) -> Kind {
    Kind::MailSent {
        id: 0,
        from: "lab".to_owned(),
        to: vec![to.to_owned()],
        subject,
        body: Text::from(""),
        now: false,
        assignment: false,
        call: None,
    }
}

/// What ends in a look at what is there already, and may therefore be done twice.
fn repeatable(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::StartMock
            | Effect::Start(_)
            | Effect::Stop(_)
            | Effect::Launch(_)
            | Effect::Interrupt(_)
            | Effect::Freeze(_)
            | Effect::Thaw(_)
            | Effect::Headline
            | Effect::Lab(
                Step::Promote(_)
                    | Step::Rebase(_)
                    | Step::Split(_)
                    | Step::Stack(_)
                    | Step::PromoteStack(..)
                    | Step::RollBack(..)
                    | Step::Plan(..)
            )
    )
}
