//! One organisation of the stream: methods of known truth, the log as events, and the protocol's steps carried
//! out as the lab carries them out, but for the runs, which are drawn.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use org::domain::chart::{Axis, Chart};
use org::domain::event::{Actor, By, Event, FORMAT, Kind, Measured, RunStatus, Status, Text};
use org::domain::protocol::{self, Claim, Step, Wanted};
use org::domain::state::State;

use super::Broken;
use super::stream::{Idea, SHARED, SIGMA};

/// Claims under way at a time: as many as four researchers with one each.
const OPEN: usize = 4;
/// How often an undecided claim is topped up, where the lab says that this many seeds or fewer decide it.
const TOP_UPS: (u32, u32) = (2, 32);
/// Rounds after which something is wrong with the protocol or with this file.
const ROUNDS: usize = 100_000;

/// SplitMix64 (Steele, Lea and Flood 2014).
pub(crate) fn mix(z: u64) -> u64 {
    let mut z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A number in (0, 1) that belongs to another.
pub(crate) fn uniform(of: u64) -> f64 {
    (mix(of) >> 11) as f64 / (1_u64 << 53) as f64 + f64::EPSILON
}

/// A normal number that belongs to another: Box and Muller 1958.
pub(crate) fn normal(of: u64) -> f64 {
    let (radius, angle) = (uniform(of), uniform(mix(of) ^ 0x5bd1));
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(7, |hash, byte| mix(hash ^ u64::from(byte)))
}

/// What a commit truly is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Method {
    /// Better than the start, in sigmas.
    pub(crate) effect: f64,
    /// Times the start's FLOPs.
    pub(crate) cost: f64,
    pub(crate) lucky: bool,
    pub(crate) broken: bool,
}

impl Method {
    /// With an idea on top.
    pub(crate) fn with(self, idea: &Idea) -> Self {
        Self {
            effect: self.effect + idea.effect,
            cost: self.cost * idea.cost,
            lucky: self.lucky || idea.kind == "lucky",
            broken: self.broken || idea.kind == "broken",
        }
    }

    /// The loss that it has on a seed: as examples/synth/truth.awk draws it.
    pub(crate) fn loss(&self, seed: u64, name: &str) -> f64 {
        let own = mix(seed ^ hash(name));
        let noise = if self.lucky {
            -2.0
        } else {
            SHARED.sqrt() * normal(seed) + (1.0 - SHARED).sqrt() * normal(own)
        };
        4.0 + SIGMA * (noise - self.effect)
    }
}

/// What came of one hypothesis.
#[derive(Debug, Clone)]
pub(crate) struct End {
    pub(crate) idea: Idea,
    pub(crate) promoted: bool,
}

/// The organisation.
pub(crate) struct World<'a> {
    chart: &'a Chart,
    pub(crate) state: State,
    seed: u64,
    methods: BTreeMap<String, Method>,
    /// Which idea each claim is about, and how often it was topped up.
    about: BTreeMap<u64, (usize, u32)>,
}

impl<'a> World<'a> {
    pub(crate) fn new(chart: &'a Chart, seed: u64) -> Result<Self, Broken> {
        let start = Method {
            cost: 1.0,
            ..Method::default()
        };
        let mut world = Self {
            chart,
            state: State::default(),
            seed,
            methods: BTreeMap::from([("start".to_owned(), start)]),
            about: BTreeMap::new(),
        };
        world.append(
            &Actor::Human,
            Kind::RunCreated {
                format: FORMAT,
                run: "stream".to_owned(),
                org: "synth".to_owned(),
                mock: true,
                headless: true,
                version: "0".to_owned(),
                base: "start".to_owned(),
            },
        )?;
        world.append(
            &Actor::Lab,
            Kind::LabOpened {
                pool: mix(seed),
                gpus: Vec::new(),
                parallel: 1,
            },
        )?;
        Ok(world)
    }

    fn append(&mut self, actor: &Actor, kind: Kind) -> Result<(), Broken> {
        let event = Event {
            seq: self.state.seq + 1,
            at: Timestamp::UNIX_EPOCH,
            actor: actor.clone(),
            cause: None,
            body: kind,
        };
        self.state.apply(&event)?;
        Ok(())
    }

    /// Takes hypotheses through the protocol, each on the champion of its time, and says what came of each.
    pub(crate) fn play(&mut self, ideas: &[Idea]) -> Result<Vec<End>, Broken> {
        let mut waiting: VecDeque<usize> = (0..ideas.len()).collect();
        for _ in 0..ROUNDS {
            self.top_up(ideas)?;
            while self.open() < OPEN {
                let Some(next) = waiting.pop_front() else {
                    break;
                };
                self.register(ideas, next, None)?;
            }
            let steps = protocol::steps(self.chart, &self.state);
            if steps.is_empty() {
                if waiting.is_empty() && self.open() == 0 {
                    return Ok(self.ends(ideas));
                }
                if self.open() > 0 {
                    return Err("the protocol has nothing to do, and claims are open".into());
                }
            }
            for step in steps {
                self.carry_out(ideas, step)?;
            }
        }
        Err("the protocol does not come to an end".into())
    }

    fn open(&self) -> usize {
        let claims = self.state.hypotheses.values();
        claims.filter(|claim| !claim.is_final()).count()
    }

    fn register(&mut self, ideas: &[Idea], at: usize, again: Option<u64>) -> Result<(), Broken> {
        let id = self.state.next_hypothesis();
        let earlier = again.and_then(|id| self.state.hypotheses.get(&id));
        let base = earlier
            .map_or(&self.state.champion, |claim| &claim.base)
            .clone();
        let fresh = format!("idea {} on {base}", ideas[at].number);
        let commit = earlier
            .and_then(|claim| claim.commit.clone())
            .unwrap_or(fresh);
        let tops = again.map_or(0, |id| self.about[&id].1 + 1);
        let method = self.methods[&base].with(&ideas[at]);
        self.methods.insert(commit.clone(), method);
        self.about.insert(id, (at, tops));
        let registered = Kind::HypothesisRegistered {
            id,
            agent: "ana".to_owned(),
            title: format!("idea {}", ideas[at].number),
            claim: Claim::Improve,
            mechanism: String::new(),
            predicts: ideas[at].predicts * SIGMA,
            refuted_by: String::new(),
            axis: Axis::Flops,
            margin: None,
            commit,
            base,
            replicates: again,
            parts: Vec::new(),
            call: None,
        };
        self.append(&Actor::Agent("ana".to_owned()), registered)
    }

    /// Registers undecided claims again, as their authors are told to.
    fn top_up(&mut self, ideas: &[Idea]) -> Result<(), Broken> {
        let claims = self.state.hypotheses.values();
        let repeated: Vec<u64> = claims
            .clone()
            .filter_map(|claim| claim.replicates)
            .collect();
        let undecided: Vec<u64> = claims
            .filter(|claim| claim.status == Status::Undecided && !repeated.contains(&claim.id))
            .filter(|claim| {
                let asked = claim.verdict.as_ref().and_then(|it| it.more_seeds);
                asked.is_some_and(|more| more <= TOP_UPS.1) && self.about[&claim.id].1 < TOP_UPS.0
            })
            .map(|claim| claim.id)
            .collect();
        for id in undecided {
            self.register(ideas, self.about[&id].0, Some(id))?;
        }
        Ok(())
    }

    fn carry_out(&mut self, ideas: &[Idea], step: Step) -> Result<(), Broken> {
        match step {
            Step::Queue(wanted) => self.run(&wanted),
            Step::Plan(id, test, looks) => {
                let seeds = looks.last().map_or(0, |look| look.seeds);
                let planned = Kind::HypothesisPlanned {
                    id,
                    test,
                    seeds,
                    looks,
                };
                self.append(&Actor::Lab, planned)
            }
            Step::Move(id, status, reason, verdict) => {
                let verdict = verdict.map(|it| *it);
                let moved = Kind::HypothesisMoved {
                    id,
                    status,
                    reason,
                    verdict,
                };
                self.append(&Actor::Lab, moved)
            }
            Step::Rebase(id) => {
                let base = self.state.champion.clone();
                let commit = self.on_top(ideas, id, &base);
                self.append(&Actor::Lab, Kind::HypothesisRebased { id, commit, base })
            }
            Step::Promote(hypothesis) => {
                let claim = &self.state.hypotheses[&hypothesis];
                let commit = claim.commit.clone().unwrap_or_default();
                self.append(&Actor::Lab, Kind::ProgrammeAdvanced { hypothesis, commit })?;
                self.moved(hypothesis, Status::Promoted, "merged")
            }
            Step::Stack(claims) => self.stack(ideas, claims),
            Step::Unstack(id, reason) => {
                self.append(&Actor::Lab, Kind::StackDropped { id, reason })
            }
            Step::PromoteStack(claims, commit) => {
                for (hypothesis, why) in claims {
                    let commit = commit.clone();
                    self.append(&Actor::Lab, Kind::ProgrammeAdvanced { hypothesis, commit })?;
                    self.moved(hypothesis, Status::Promoted, &why)?;
                }
                Ok(())
            }
            Step::RollBack(hypothesis, why, _) => {
                let all = self.state.promoted_with(hypothesis);
                let last = self.state.promotions.last();
                let before = last.map(|(_, before, _)| before.clone());
                let commit = before.ok_or("nothing to roll back")?;
                self.append(
                    &Actor::Lab,
                    Kind::ProgrammeRolledBack { hypothesis, commit },
                )?;
                for id in all {
                    self.moved(id, Status::RolledBack, &why)?;
                }
                Ok(())
            }
            Step::Expire(commit, from, reason) => {
                let expired = Kind::BaselineExpired {
                    commit,
                    from,
                    reason,
                };
                self.append(&Actor::Lab, expired)
            }
            Step::Ask(_) | Step::Split(_) | Step::Trim(..) => {
                Err("the stream has neither questions nor bundles".into())
            }
        }
    }

    /// Ideas on top of each other, and without each where that is not one alone.
    fn stack(&mut self, ideas: &[Idea], claims: Vec<u64>) -> Result<(), Broken> {
        let base = self.state.champion.clone();
        let mut made = Vec::new();
        let without = claims.iter().filter(|_| claims.len() > 2).map(Some);
        for left_out in std::iter::once(None).chain(without) {
            let rest = claims.iter().filter(|id| Some(*id) != left_out);
            let (mut method, mut name) = (self.methods[&base], String::new());
            for id in rest {
                let idea = &ideas[self.about[id].0];
                method = method.with(idea);
                name = format!("{name}idea {} ", idea.number);
            }
            let name = format!("{name}on {base}");
            self.methods.insert(name.clone(), method);
            made.push(name);
        }
        let stacked = Kind::StackMade {
            base,
            claims,
            commit: Some(made.remove(0)),
            without: made,
            reason: String::new(),
        };
        self.append(&Actor::Lab, stacked)
    }

    fn moved(&mut self, id: u64, status: Status, why: &str) -> Result<(), Broken> {
        let (reason, verdict) = (why.to_owned(), None);
        let moved = Kind::HypothesisMoved {
            id,
            status,
            reason,
            verdict,
        };
        self.append(&Actor::Lab, moved)
    }

    fn on_top(&mut self, ideas: &[Idea], id: u64, base: &str) -> String {
        let idea = &ideas[self.about[&id].0];
        let commit = format!("idea {} on {base}", idea.number);
        let method = self.methods[base].with(idea);
        self.methods.insert(commit.clone(), method);
        commit
    }

    /// A measured run: from queued to what it gave, at once.
    fn run(&mut self, wanted: &Wanted) -> Result<(), Broken> {
        let id = self.state.next_experiment();
        let queued = wanted.queued(id);
        self.append(&Actor::Lab, queued)?;
        let (attempt, gpus) = (1, Vec::new());
        self.append(&Actor::Lab, Kind::ExperimentStarted { id, attempt, gpus })?;
        let method = self.methods[&wanted.commit];
        let status = if method.broken {
            RunStatus::Crashed
        } else {
            RunStatus::Ok
        };
        let loss = method.loss(mix(wanted.seed ^ self.seed), &wanted.commit);
        let measured = Measured {
            value: (!method.broken).then_some(loss),
            wall_s: 0.01,
            flops: Some(38_400_000.0 * method.cost),
            evaluated_by: By::Harness,
            measured_by: By::Harness,
            ..Measured::default()
        };
        let finished = Kind::ExperimentFinished {
            id,
            attempt,
            status,
            reason: String::new(),
            measured,
            tail: Text::from(""),
        };
        self.append(&Actor::Lab, finished)
    }

    fn ends(&self, ideas: &[Idea]) -> Vec<End> {
        let mut ends: Vec<End> = ideas
            .iter()
            .map(|idea| End {
                idea: idea.clone(),
                promoted: false,
            })
            .collect();
        for (id, claim) in &self.state.hypotheses {
            ends[self.about[id].0].promoted |= claim.status == Status::Promoted;
        }
        ends
    }
}
