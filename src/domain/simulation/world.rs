//! The fake world: clock, log, processes, locks, jobs, git, and the person.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::agents::Proc;
use super::laws::Laws;
use super::overseer::Overseer;
use super::society::PROCESSES;
use crate::domain::approval;
use crate::domain::chart::{Ask, Chart, Confirm, OnIdle};
use crate::domain::decode::{decode, fixtures};
use crate::domain::event::{Actor, Event, FORMAT, Gpu, Kind, Stage, Status, Text};
use crate::domain::retry;
use crate::domain::standing;
use crate::domain::state::State;

/// How far somebody sets the clock, either way.
const HOUR_MS: i64 = 3_600_000;
/// What an hour may cost once the world is calm: more than anybody can spend in it.
const CALM_USD_PER_HOUR: f64 = 1e6;
const CHART: &str = r#"version = 1
name = "sim"
[task]
repo = "../repo"
run = "python3 train.py"
timeout = "60s"
gpus = 1
metric = { name = "loss", pattern = 'loss: ([0-9.]+)' }
[task.measure]
flops = 'flops: ([0-9]+)'
[protocol]
match = "flops"
guards = {}
baseline = 3
confirm = 3
alpha = 0.05
[budget]
usd = 40.0
[roles.researcher]
tools = ["shell", "files", "mail", "experiment", "notebook"]
[office]
notify = "tell"
[[agents]]
name = "ana"
role = "researcher"
model = "claude-opus-5-5"
gpu = "auto"
[[agents]]
name = "ben"
role = "researcher"
model = "gpt-6.2-sol"
gpu = "auto"
[[agents]]
name = "eve"
role = "researcher"
model = "gpt-6.2-sol"
"#;

/// SplitMix64: small, and good enough to be unkind.
#[derive(Debug, Clone)]
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    /// True `n` times in a thousand.
    pub(super) fn chance(&mut self, n: u64) -> bool {
        self.below(1000) < n
    }
}

pub(super) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

pub(super) fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xCBF2_9CE4_8422_2325, |h, b| mix(h ^ u64::from(b)))
}

/// What a commit truly is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Quality {
    pub(super) gain: f64,
    pub(super) flops: f64,
    /// Whether its runs crash.
    pub(super) broken: bool,
}

/// A job on the machine, which outlives supervisors.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Job {
    Running {
        ends: i64,
    },
    /// It stands still, with so much left.
    Frozen {
        left: i64,
    },
    Done,
    Cancelled,
    /// Its keeper was killed.
    Lost,
}

/// The world.
pub(super) struct World {
    pub(super) rng: Rng,
    pub(super) chart: Chart,
    /// Milliseconds that have passed; no clock.
    pub(super) now: i64,
    /// How far the clock on the wall has been set off.
    skew: i64,
    pub(super) log: Vec<Event>,
    pub(super) state: State,
    pub(super) overseer: Option<Overseer>,
    pub(super) overseers: u64,
    pub(super) procs: BTreeMap<u32, Proc>,
    /// Agents' locks.
    pub(super) locks: BTreeMap<String, u32>,
    pub(super) jobs: BTreeMap<(u64, u32), Job>,
    pub(super) mock: bool,
    pub(super) commits: BTreeMap<String, Quality>,
    /// Where the programme branch points.
    pub(super) tip: String,
    pub(super) hostile: bool,
    /// Whether the metric does not depend on the seed.
    pub(super) still: bool,
    pub(super) pids: u32,
    /// Replies with calls that each agent still makes.
    pub(super) plans: BTreeMap<String, u32>,
    /// How often each shell command ran.
    pub(super) ran: BTreeMap<String, u32>,
    pub(super) laws: Laws,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let together = if rng.chance(600) { PROCESSES } else { "" };
        let decoded = decode(&format!("{CHART}{together}"), &fixtures::context());
        assert_eq!(decoded.problems, [], "the chart of the simulation");
        let mut chart = decoded.chart.expect("a good chart");
        vary(&mut chart, &mut rng);
        let still = rng.chance(150);
        let plans = chart.agents.iter();
        let plans = plans.map(|agent| (agent.name.clone(), 0)).collect();
        let start = Quality {
            gain: 0.0,
            flops: 1000.0,
            broken: rng.chance(30),
        };
        let mut world = Self {
            rng,
            chart,
            now: 1_800_000_000_000,
            skew: 0,
            log: Vec::new(),
            state: State::default(),
            overseer: None,
            overseers: 0,
            procs: BTreeMap::new(),
            locks: BTreeMap::new(),
            jobs: BTreeMap::new(),
            mock: false,
            commits: BTreeMap::from([("c0".to_owned(), start)]),
            tip: "c0".to_owned(),
            hostile: true,
            still,
            pids: 100,
            plans,
            ran: BTreeMap::new(),
            laws: Laws::default(),
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        let created = Kind::RunCreated {
            format: FORMAT,
            run: "sim-1".to_owned(),
            org: "sim".to_owned(),
            mock: true,
            headless: true,
            version: "0".to_owned(),
            base: "c0".to_owned(),
        };
        self.append(&Actor::Human, vec![created]);
        let gpus: Vec<Gpu> = (0..2 + self.rng.below(2))
            .map(|index| Gpu {
                index: u32::try_from(index).expect("few"),
                uuid: format!("GPU-{index}"),
                simulated: true,
            })
            .collect();
        let parallel = 1 + u32::try_from(self.rng.below(3)).expect("few");
        let pool = self.rng.next();
        let homes = gpus.clone();
        let opened = Kind::LabOpened {
            pool,
            gpus,
            parallel,
        };
        self.append(&Actor::Lab, vec![opened]);
        // A person may be faster than the seats.
        if self.rng.chance(200) {
            self.letter_from_a_person();
        }
        let seats = self.chart.agents.iter().zip(0..);
        let seats = seats.map(|(agent, at): (_, usize)| Kind::AgentSeated {
            agent: agent.name.clone(),
            gpu: homes.get(at).cloned(),
            branch: format!("agent/{}", agent.name),
            worktree: String::new(),
        });
        let seats = seats.collect();
        self.append(&Actor::Supervisor, seats);
        for (name, plan) in &mut self.plans {
            *plan = 2 + u32::try_from(mix(hash(name) ^ pool) % 6).expect("few");
        }
        self.spawn_overseer();
    }

    /// Whether an agent goes on waiting: not where the clock was set back.
    pub(super) fn waits_for(&self, at: Timestamp) -> bool {
        at > self.time() && !retry::set_back(self.time(), self.state.at)
    }

    pub(super) fn time(&self) -> Timestamp {
        Timestamp::from_millisecond(self.now + self.skew).expect("in range")
    }

    /// As the log appends: in one total order, numbered under the lock, refused where the writer may not.
    pub(super) fn append(&mut self, actor: &Actor, kinds: Vec<Kind>) {
        for mut kind in kinds {
            if let Kind::MailSent { id, .. } = &mut kind {
                *id = self.state.next_mail();
            }
            let event = Event {
                seq: self.state.seq + 1,
                at: self.time(),
                actor: actor.clone(),
                cause: None,
                body: kind,
            };
            let (laws, seen) = (&mut self.laws, &self.locks);
            laws.before(&self.chart, &self.state, seen, &event);
            self.state.apply(&event).expect("foldable");
            self.log.push(event);
        }
        let (chart, state) = (&self.chart, &self.state);
        Laws::always(chart, state);
    }

    /// One thing happens.
    pub(super) fn step(&mut self) {
        self.now +=
            i64::try_from(self.rng.below(if self.hostile { 120 } else { 400 })).unwrap_or(0);
        self.end_jobs();
        if !self.hostile
            && self.rng.chance(20)
            && let Some(decided) = self.a_word()
        {
            self.append(&Actor::Human, vec![decided]);
        }
        match self.rng.below(10) {
            0..=3 => self.oversee(),
            4..=8 => self.some_agent(),
            _ => self.somebody_outside(),
        }
        if self.hostile {
            self.strike();
        }
    }

    fn end_jobs(&mut self) {
        for job in self.jobs.values_mut() {
            if matches!(job, Job::Running { ends } if *ends <= self.now) {
                *job = Job::Done;
            }
        }
        let running: Vec<_> = self
            .jobs
            .iter()
            .filter(|(_, job)| matches!(job, Job::Running { .. }))
            .map(|((id, _), _)| *id)
            .collect();
        let different: BTreeSet<_> = running.iter().collect();
        assert_eq!(different.len(), running.len(), "a run runs twice at once");
    }

    /// Kills somebody, or lets a person interfere.
    fn strike(&mut self) {
        match self.rng.below(1000) {
            0..=11 => self.overseer = None,
            12..=30 => {
                let pids: Vec<u32> = self.procs.keys().copied().collect();
                if let Some(pid) = self.pick(&pids) {
                    self.kill(pid);
                }
            }
            31..=36 => self.mock = false,
            37..=43 => {
                let running = self.jobs.iter_mut();
                let mut running: Vec<_> = running
                    .filter(|(_, job)| matches!(job, Job::Running { .. } | Job::Frozen { .. }))
                    .collect();
                let at = self.rng.below(running.len() as u64);
                if let Some((_, job)) = running.get_mut(usize::try_from(at).expect("few")) {
                    **job = Job::Lost;
                }
            }
            44..=45 => self.kill_everything(),
            46..=60 => self.person(),
            // Somebody sets the clock.
            61..=62 => self.skew = [-HOUR_MS, 0, HOUR_MS][self.rng.below(3) as usize],
            _ => {}
        }
    }

    fn kill_everything(&mut self) {
        self.overseer = None;
        self.mock = false;
        let pids: Vec<u32> = self.procs.keys().copied().collect();
        pids.into_iter().for_each(|pid| self.kill(pid));
        for job in self.jobs.values_mut() {
            if matches!(job, Job::Running { .. } | Job::Frozen { .. }) {
                *job = Job::Lost;
            }
        }
    }

    /// A killed process keeps nothing.
    pub(super) fn kill(&mut self, pid: u32) {
        if let Some(proc) = self.procs.remove(&pid)
            && self.locks.get(&proc.name) == Some(&pid)
        {
            self.locks.remove(&proc.name);
        }
    }

    pub(super) fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        let at = self.rng.below(from.len() as u64);
        from.get(usize::try_from(at).expect("few")).cloned()
    }

    fn some_name(&mut self) -> String {
        let names: Vec<String> = self.chart.agents.iter().map(|a| a.name.clone()).collect();
        self.pick(&names).expect("agents")
    }

    /// A person does what people do.
    fn person(&mut self) {
        let agent = self.some_name();
        let kind = match self.rng.below(12) {
            0 if self.rng.chance(500) => {
                let who = self.rng.chance(500).then_some(agent);
                let freeze = Kind::FreezeSet { agent: who.clone() };
                return self.append(&Actor::Human, vec![Kind::PauseSet { agent: who }, freeze]);
            }
            0 => Kind::PauseSet { agent: None },
            1 => Kind::PauseSet { agent: Some(agent) },
            2 | 3 => Kind::PauseCleared { agent: None },
            4 | 5 => {
                let other = self.rng.chance(200);
                let model = other.then(|| "gpt-6.2-sol".to_owned());
                Kind::AgentRestart { agent, model }
            }
            6 if self.state.down.is_none() => Kind::RunDown {
                reason: "org down".to_owned(),
            },
            7 => Kind::BudgetSet {
                what: "usd".to_owned(),
                cap: 20.0 + self.rng.below(40) as f64,
            },
            8 => match self.state.agents[&agent].taken {
                None => Kind::TakeBegan {
                    agent,
                    now: self.rng.chance(300),
                },
                Some(taken) if taken.lost.is_none() && self.rng.chance(700) => Kind::TakeEnded {
                    agent,
                    commit: None,
                    files: Vec::new(),
                },
                Some(taken) if taken.lost.is_none() => {
                    return self.append(&Actor::Supervisor, vec![Kind::TakeLost { agent }]);
                }
                Some(_) => Kind::PauseCleared { agent: Some(agent) },
            },
            9..=10 => match self.a_word() {
                Some(decided) => decided,
                None => return,
            },
            _ => return self.letter_from_a_person(),
        };
        self.append(&Actor::Human, vec![kind]);
    }

    /// A person says yes, more often than no, to something that waits.
    fn a_word(&mut self) -> Option<Kind> {
        let asked = approval::pending(&self.state);
        let id = asked.first()?.id;
        Some(Kind::ApprovalDecided {
            id,
            approved: self.rng.chance(700),
            reason: String::new(),
        })
    }

    fn letter_from_a_person(&mut self) {
        let to = self.some_name();
        let now = self.rng.chance(300);
        let letter = Kind::MailSent {
            id: 0,
            from: "human".to_owned(),
            to: vec![to],
            subject: "a word".to_owned(),
            body: Text::from("look"),
            now,
            assignment: false,
            call: None,
        };
        self.append(&Actor::Human, vec![letter]);
    }

    /// Whoever finds nobody in charge: an agent's guard, `org down`, `org up --resume`.
    fn somebody_outside(&mut self) {
        if self.overseer.is_some() {
            return;
        }
        let alive = !self.locks.is_empty();
        match (&self.state.down, self.state.stopped) {
            (Some(_), true) => {
                if self.hostile || self.rng.chance(100) {
                    self.append(&Actor::Human, vec![Kind::RunResumed {}]);
                    self.spawn_overseer();
                }
            }
            (Some(_), false) => self.spawn_overseer(),
            (None, _) if alive || self.rng.chance(300) => self.spawn_overseer(),
            (None, _) => {}
        }
    }

    /// From here on nobody dies and nobody interferes.
    pub(super) fn calm_down(&mut self) {
        self.hostile = false;
        self.append(&Actor::Human, vec![Kind::PauseCleared { agent: None }]);
        let agents = self.state.agents.iter();
        let taken = agents.filter(|(_, agent)| agent.taken.is_some());
        let left = taken.map(|(agent, _)| Kind::TakeEnded {
            agent: agent.clone(),
            commit: None,
            files: Vec::new(),
        });
        let mut words: Vec<Kind> = left.collect();
        // Nobody sits through the rest of an hour whose money is spent.
        if self.chart.budget.usd_per_hour.is_some() {
            words.push(Kind::BudgetSet {
                what: "usd_per_hour".to_owned(),
                cap: CALM_USD_PER_HOUR,
            });
        }
        self.append(&Actor::Human, words);
    }

    pub(super) fn is_done(&self) -> bool {
        self.overseer.is_some()
            && self.state.down.is_none()
            && standing::done(&self.chart, &self.state)
    }

    pub(super) fn say_down(&mut self) {
        let reason = "done".to_owned();
        self.append(&Actor::Human, vec![Kind::RunDown { reason }]);
    }

    /// How often what only the lab does has happened.
    pub(super) fn count(&self, seen: &mut BTreeMap<&'static str, u64>) {
        for event in &self.log {
            let what = match &event.body {
                Kind::ProgrammeRolledBack { .. } => "rolled back",
                Kind::HypothesisTrimmed { .. } => "trimmed",
                Kind::StackDropped { .. } => "dropped from a stack",
                Kind::HypothesisMoved {
                    status: Status::Promoted,
                    reason,
                    ..
                } if reason.starts_with("in company") => "promoted in a stack",
                Kind::HypothesisMoved {
                    status: Status::Confirmed,
                    reason,
                    ..
                } if reason.starts_with("on top of") => "refreshed",
                Kind::HypothesisMoved {
                    status: Status::Confirmed,
                    reason,
                    ..
                } if reason.contains("look 1 of") => "looked early",
                Kind::HypothesisPlanned { looks, .. }
                    if looks.len() == 1 && looks[0].level < self.chart.protocol.alpha =>
                {
                    "topped up"
                }
                Kind::ExperimentFinished { id, .. }
                    if self.state.experiments[id].stage == Stage::Hidden =>
                {
                    "hidden"
                }
                Kind::ProcessFired(_) => "fired",
                Kind::HypothesisMoved { status, reason, .. } => match status {
                    Status::Reviewed => "reviewed",
                    Status::Vetoed if reason.starts_with("vetoed by") => "vetoed",
                    Status::Parked if reason.starts_with("review without") => "unreviewed",
                    _ => continue,
                },
                _ => continue,
            };
            *seen.entry(what).or_default() += 1;
        }
    }

    pub(super) fn why_not_done(&self) -> String {
        let mut lines = Vec::new();
        for event in self.log.iter().rev().take(12).rev() {
            lines.push(serde_json::to_string(event).expect("plain data"));
        }
        for (name, agent) in &self.state.agents {
            lines.push(format!("{name}: {agent:?}"));
        }
        for claim in self.state.hypotheses.values() {
            let (id, status, reason) = (claim.id, claim.status, &claim.reason);
            lines.push(format!("h{id} {status:?} {reason}"));
        }
        for run in self.state.experiments.values() {
            lines.push(format!("e{} {:?} {:?}", run.id, run.stage, run.status));
        }
        lines.join("\n")
    }
}

/// Different orgs for different seeds.
fn vary(chart: &mut Chart, rng: &mut Rng) {
    let agents = 1 + usize::try_from(rng.below(3)).expect("few");
    chart.agents.truncate(agents);
    chart.task.gpus = 1 + u32::try_from(rng.below(2)).expect("few");
    if rng.chance(300) {
        chart.task.explore_gpus = Some(1);
    }
    chart.protocol.baseline = 2 + u32::try_from(rng.below(2)).expect("few");
    if rng.chance(250) {
        chart.protocol.confirm = Confirm::Auto;
    }
    if rng.chance(200) {
        chart.task.evaluate = Some("python3 evaluate.py".to_owned());
        chart.task.hidden = vec!["/secret/holdout".into()];
    }
    if rng.chance(150) {
        chart.budget.gpu_hours = Some(0.3 + rng.below(10) as f64 / 10.0);
    }
    if rng.chance(150) {
        chart.budget.usd = Some(3.0 + rng.below(8) as f64);
    }
    // Beside stand-ups of seconds, an hour that is waited for would be full of them.
    if rng.chance(100) && chart.processes.iter().all(|it| it.every.is_none()) {
        chart.budget.usd_per_hour = Some(2.0 + rng.below(4) as f64);
    }
    if rng.chance(60) {
        chart.budget.wall = Some(20.0);
    }
    if rng.chance(300) {
        chart.office.ask.push(Ask::Promote);
    }
    if rng.chance(200) {
        chart.office.ask.push(Ask::Spend(1.0 + rng.below(3) as f64));
    }
    let idle = rng.chance(300);
    for role in chart.roles.values_mut() {
        if idle {
            role.on_idle = OnIdle::Continue;
        }
        if rng.chance(100) {
            role.usd = Some(4.0);
        }
        if rng.chance(200) {
            role.fallback = Some("claude-sonnet-5-5".to_owned());
        }
    }
}
