//! Fake agents' processes on the real session.

use super::world::{Quality, World, hash, mix};
use crate::domain::approval::{self, Gate};
use crate::domain::budget::{self, Remedy};
use crate::domain::chart::Axis;
use crate::domain::chat::{Stop, Usage};
use crate::domain::event::{Actor, Arm, Class, Kind, LoggedCall, Stage, Status, Text};
use crate::domain::protocol::{self, Claim};
use crate::domain::session::{self, Next};
use crate::domain::state::{Hypothesis, OpenCall};

/// Most that a request of the simulation may cost, US dollars.
const REQUEST_USD: f64 = 0.5;
/// Runs of its own that an agent asks for at most.
const OWN_RUNS: usize = 3;

/// What a process is at.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Doing {
    /// It has not taken its lock yet.
    Starting,
    Nothing,
    Asking {
        request: u64,
        until: i64,
    },
    /// A call is being carried out; `again` where an earlier process had begun it.
    Acting {
        call: Box<OpenCall>,
        until: i64,
        again: bool,
        acted: bool,
    },
}

/// A process.
#[derive(Debug, Clone)]
pub(super) struct Proc {
    pub(super) name: String,
    pub(super) doing: Doing,
    /// It was asked to end.
    pub(super) term: bool,
}

impl World {
    pub(super) fn spawn_agent(&mut self, name: &str) -> u32 {
        self.pids += 1;
        let proc = Proc {
            name: name.to_owned(),
            doing: Doing::Starting,
            term: false,
        };
        self.procs.insert(self.pids, proc);
        self.pids
    }

    /// Some process does its next thing.
    pub(super) fn some_agent(&mut self) {
        let pids: Vec<u32> = self.procs.keys().copied().collect();
        let Some(pid) = self.pick(&pids) else { return };
        let proc = self.procs[&pid].clone();
        let (name, actor) = (proc.name.clone(), Actor::Agent(proc.name.clone()));
        if proc.doing == Doing::Starting {
            if self.locks.contains_key(&name) {
                self.procs.remove(&pid);
                return;
            }
            self.locks.insert(name.clone(), pid);
            self.set(pid, Doing::Nothing);
            // Between its lock and its word a process may be killed, too.
            return self.append(&actor, vec![Kind::AgentStarted { agent: name, pid }]);
        }
        let restart = self.state.agents[&name].restart;
        if self.state.down.is_some() || restart || proc.term {
            return self.end(pid, &proc);
        }
        match proc.doing {
            Doing::Starting => {}
            Doing::Nothing => self.go_on(pid, &name, &actor),
            Doing::Asking { request, until } => {
                if self.has_word(&name) {
                    self.fail(&name, request, None, REQUEST_USD);
                    self.end_turn(&name, true);
                    self.set(pid, Doing::Nothing);
                } else if until <= self.now {
                    self.answer(pid, &name, request);
                }
            }
            Doing::Acting {
                call,
                until,
                again,
                acted,
            } => {
                if until > self.now {
                    return;
                }
                if acted {
                    self.set(pid, Doing::Nothing);
                    return self.result(&name, &call);
                }
                self.act(&name, &call, again);
                let acted = Doing::Acting {
                    call,
                    until,
                    again,
                    acted: true,
                };
                self.set(pid, acted);
            }
        }
    }

    fn set(&mut self, pid: u32, doing: Doing) {
        if let Some(proc) = self.procs.get_mut(&pid) {
            proc.doing = doing;
        }
    }

    fn has_word(&self, name: &str) -> bool {
        let unread = &self.state.agents[name].unread;
        unread.iter().any(|id| self.state.mails[id].now)
    }

    /// Ends as it was told to: what it was at is left as it is, but a request is known to be cut.
    fn end(&mut self, pid: u32, proc: &Proc) {
        if let Doing::Asking { request, .. } = proc.doing {
            self.fail(&proc.name, request, None, REQUEST_USD);
        }
        let ended = Kind::AgentEnded {
            agent: proc.name.clone(),
            reason: "told to".to_owned(),
        };
        self.append(&Actor::Agent(proc.name.clone()), vec![ended]);
        self.kill(pid);
    }

    fn fail(&mut self, name: &str, request: u64, retry: Option<i64>, usd: f64) {
        let at = |ms: i64| jiff::Timestamp::from_millisecond(ms).expect("in range");
        let failed = Kind::RequestFailed {
            agent: name.to_owned(),
            request,
            error: "no answer".to_owned(),
            retry_at: retry.map(at),
            usd,
            provider: "anthropic".to_owned(),
            what: "overloaded".to_owned(),
        };
        self.append(&Actor::Agent(name.to_owned()), vec![failed]);
    }

    fn end_turn(&mut self, name: &str, interrupted: bool) {
        let turn = self.state.agents[name].turns;
        let ended = Kind::TurnEnded {
            agent: name.to_owned(),
            turn,
            interrupted,
        };
        self.append(&Actor::Agent(name.to_owned()), vec![ended]);
    }

    fn go_on(&mut self, pid: u32, name: &str, actor: &Actor) {
        let agent = name.to_owned();
        let next = session::next(&self.chart, &self.state, name);
        match next {
            Next::Begin(why, mails) => {
                let turn = self.state.agents[name].turns + 1;
                let begun = Kind::TurnStarted {
                    agent,
                    turn,
                    why,
                    mails,
                };
                self.append(actor, vec![begun]);
            }
            Next::Ask(Some(at)) if self.waits_for(at) => {}
            Next::Ask(_) => self.ask(pid, name, actor),
            Next::Compact(Some(at)) if self.waits_for(at) => {}
            Next::Compact(_) => {
                let renewed = Kind::ConversationRenewed {
                    conversation: self.state.agents[name].conversation + 1,
                    why: "long".to_owned(),
                    summary: Text::from(""),
                    items: Vec::new(),
                    stand_in: None,
                    agent,
                };
                self.append(actor, vec![renewed]);
            }
            Next::Hold(reason) => {
                let held = Kind::AgentHeld {
                    agent,
                    reason,
                    cap: false,
                    until: None,
                };
                self.append(actor, vec![held]);
            }
            Next::StandIn(model) => {
                let renewed = Kind::ConversationRenewed {
                    conversation: self.state.agents[name].conversation + 1,
                    why: "out".to_owned(),
                    summary: Text::from(""),
                    items: Vec::new(),
                    stand_in: Some(model),
                    agent,
                };
                self.append(actor, vec![renewed]);
            }
            Next::Use => {
                let calls = &self.state.agents[name].calls;
                let open = calls.iter().find(|call| call.result.is_none());
                let call = open.expect("a call without a result").clone();
                let again = call.intent;
                if !again {
                    let intent = Kind::ToolIntent {
                        agent,
                        call: call.call.id.clone(),
                        tool: call.call.name.clone(),
                        class: class(&call.call.name),
                        brief: String::new(),
                        pre: None,
                    };
                    self.append(actor, vec![intent]);
                }
                let until = self.now + i64::try_from(self.rng.below(400)).expect("short");
                let doing = Doing::Acting {
                    call: Box::new(call),
                    until,
                    again,
                    acted: false,
                };
                self.set(pid, doing);
            }
            Next::End => self.end_turn(name, false),
            Next::Rest => {}
        }
    }

    fn ask(&mut self, pid: u32, name: &str, actor: &Actor) {
        let agent = name.to_owned();
        match approval::spending(&self.chart, &self.state, REQUEST_USD) {
            Gate::Open => {}
            Gate::Ask => {
                let asked = approval::ask_to_spend(&self.chart, &self.state, name, REQUEST_USD);
                return self.append(actor, vec![asked]);
            }
            Gate::Parked(_) => return,
            Gate::Denied(why) => {
                let held = Kind::AgentHeld {
                    agent,
                    reason: approval::denied_spending(&why),
                    cap: false,
                    until: None,
                };
                return self.append(actor, vec![held]);
            }
        }
        let now = self.time();
        let asked = budget::may_reserve(&self.chart, &self.state, name, REQUEST_USD, now);
        if let Err(capped) = asked {
            let until = match capped.remedy {
                Remedy::Settling => return,
                Remedy::Time(until) => Some(until),
                Remedy::Person => None,
            };
            let held = Kind::AgentHeld {
                agent,
                reason: capped.to_string(),
                cap: true,
                until,
            };
            return self.append(actor, vec![held]);
        }
        let mine = &self.state.agents[name];
        let (request, conversation) = (mine.requests + 1, mine.conversation.max(1));
        let reserved = Kind::RequestReserved {
            agent,
            request,
            conversation,
            items: Vec::new(),
            usd: REQUEST_USD,
            model: "m".to_owned(),
            provider: "anthropic".to_owned(),
            near: String::new(),
        };
        self.append(actor, vec![reserved]);
        let until = self.now + i64::try_from(self.rng.below(600)).expect("short");
        self.set(pid, Doing::Asking { request, until });
    }

    fn answer(&mut self, pid: u32, name: &str, request: u64) {
        self.set(pid, Doing::Nothing);
        let refused = !self.mock || (self.hostile && self.rng.chance(60));
        if refused {
            let again = self.now + i64::try_from(self.rng.below(2000)).expect("short");
            return self.fail(name, request, Some(again), 0.0);
        }
        if self.to_review(name).is_some() && self.rng.chance(600) {
            return self.say(
                name,
                request,
                vec![LoggedCall {
                    id: format!("{name}-{request}-review"),
                    name: "review".to_owned(),
                    arguments: Text::from(""),
                }],
            );
        }
        // A model that is asked the same again may answer otherwise, but the ids are the wire's.
        let plan = self.plans.get_mut(name).expect("planned");
        let mut calls = Vec::new();
        if *plan > 0 {
            *plan -= 1;
            for n in 0..1 + self.rng.below(2) {
                let tools = [
                    "send",
                    "experiment",
                    "hypothesis",
                    "hypothesis",
                    "shell",
                    "note",
                ];
                let tool = self.pick(&tools).expect("tools");
                let id = format!("{name}-{request}-{n}");
                calls.push(LoggedCall {
                    name: tool.to_owned(),
                    arguments: Text::from(id.as_str()),
                    id,
                });
            }
        } else if self.rng.chance(300) {
            calls.push(LoggedCall {
                id: format!("{name}-{request}-done"),
                name: "done".to_owned(),
                arguments: Text::from("{}"),
            });
        }
        self.say(name, request, calls);
    }

    fn say(&mut self, name: &str, request: u64, calls: Vec<LoggedCall>) {
        let truncated = if calls.is_empty() && self.rng.chance(50) {
            vec!["edit".to_owned()]
        } else {
            Vec::new()
        };
        let stop = if calls.is_empty() {
            Stop::EndTurn
        } else {
            Stop::ToolUse
        };
        let received = Kind::ReplyReceived {
            agent: name.to_owned(),
            request,
            items: Vec::new(),
            text: Text::from(""),
            thinking: Text::from(""),
            calls,
            truncated,
            stop,
            usage: Usage {
                input: self.rng.below(150_000),
                ..Usage::default()
            },
            usd: REQUEST_USD * (self.rng.below(1000) as f64 / 4000.0),
        };
        self.append(&Actor::Agent(name.to_owned()), vec![received]);
    }

    fn result(&mut self, name: &str, call: &OpenCall) {
        let result = Kind::ToolResult {
            agent: name.to_owned(),
            call: call.call.id.clone(),
            tool: call.call.name.clone(),
            ok: true,
            output: Text::from(""),
        };
        self.append(&Actor::Agent(name.to_owned()), vec![result]);
    }

    /// The side effect of a call; `again` where it may have happened already.
    fn act(&mut self, name: &str, call: &OpenCall, again: bool) {
        let (id, actor) = (call.call.id.clone(), Actor::Agent(name.to_owned()));
        let event = match call.call.name.as_str() {
            "shell" if again => return,
            "shell" => {
                *self.ran.entry(id).or_insert(0) += 1;
                return;
            }
            "note" => Kind::NoteKept {
                agent: name.to_owned(),
                text: Text::from(id.as_str()),
            },
            "done" => Kind::AgentDone {
                agent: name.to_owned(),
                summary: Text::from(""),
            },
            "send" => self.letter(name, id),
            "review" => match self.review(name, id) {
                Some(review) => review,
                None => return,
            },
            "experiment" => self.experiment(name, id),
            _ => self.hypothesis(name, id),
        };
        if !self.happened(name, &call.call.id, &event) {
            self.append(&actor, vec![event]);
        }
    }

    fn letter(&mut self, name: &str, id: String) -> Kind {
        let others = self.chart.agents.iter().map(|agent| agent.name.clone());
        let others: Vec<String> = others.filter(|other| other != name).collect();
        let to = self.pick(&others).unwrap_or_else(|| "human".to_owned());
        Kind::MailSent {
            id: 0,
            from: name.to_owned(),
            to: vec![to],
            subject: id.clone(),
            body: Text::from(""),
            now: false,
            assignment: false,
            call: Some(id),
        }
    }

    fn experiment(&mut self, name: &str, id: String) -> Kind {
        let own = self.state.experiments.values();
        let own = own.filter(|run| run.agent.as_deref() == Some(name)).count();
        if own >= OWN_RUNS {
            return self.letter(name, id);
        }
        let number = self.state.next_experiment();
        Kind::ExperimentQueued {
            id: number,
            agent: Some(name.to_owned()),
            hypothesis: None,
            arm: Arm::Candidate,
            stage: Stage::Explore,
            seed: protocol::seed(self.state.pool.unwrap_or(0), 1),
            commit: self.state.champion.clone(),
            note: String::new(),
            env: std::collections::BTreeMap::new(),
            call: Some(id),
        }
    }

    /// A change on top of some champion, whose true worth nobody knows.
    fn hypothesis(&mut self, name: &str, id: String) -> Kind {
        let draw = mix(hash(&id) ^ self.state.pool.unwrap_or(0));
        let number = self.state.next_hypothesis();
        let base = if draw.is_multiple_of(5) {
            self.state.start.clone()
        } else {
            self.state.champion.clone()
        };
        if draw.is_multiple_of(11) {
            return Kind::HypothesisRejected {
                id: number,
                agent: name.to_owned(),
                title: id.clone(),
                claim: Claim::Improve,
                reason: "lint".to_owned(),
                commit: None,
                call: Some(id),
            };
        }
        let from = self.commits[&base];
        let quality = Quality {
            gain: from.gain
                + [3.0, 2.0, 0.15, 0.0, -2.0][usize::try_from(draw / 16 % 5).expect("few")],
            flops: from.flops
                * if (draw / 64).is_multiple_of(5) {
                    1.5
                } else {
                    1.0
                },
            broken: (draw / 512).is_multiple_of(12),
        };
        let mut commit = format!("c{id}");
        self.commits.insert(commit.clone(), quality);
        // Now and then an undecided claim is gone on with, or any claim repeated.
        let repeated = self.repeated(draw);
        let replicates = repeated.as_ref().map(|(id, _)| *id);
        let drawn = [
            Claim::Improve,
            Claim::Improve,
            Claim::NoWorse,
            Claim::Explain,
        ][usize::try_from(draw / 8192 % 4).expect("few")];
        let (claim, base) = if let Some((_, of)) = repeated {
            commit = of.commit.expect("locked");
            (of.claim, of.base)
        } else {
            (drawn, base)
        };
        let bundle = claim == Claim::Improve && (draw / 65_536).is_multiple_of(3);
        let parts = if bundle && replicates.is_none() {
            vec!["work".to_owned(), "idle".to_owned()]
        } else {
            Vec::new()
        };
        Kind::HypothesisRegistered {
            id: number,
            agent: name.to_owned(),
            title: id.clone(),
            claim,
            mechanism: String::new(),
            predicts: [1.0, 0.2][usize::try_from(draw / 128 % 2).expect("few")],
            refuted_by: String::new(),
            axis: Axis::Flops,
            margin: None,
            commit,
            base,
            replicates,
            parts,
            call: Some(id),
        }
    }

    /// A claim to repeat, and its number.
    fn repeated(&self, draw: u64) -> Option<(u64, Hypothesis)> {
        let all = || self.state.hypotheses.values().rev();
        let locked = || all().filter(|claim| claim.commit.is_some());
        let undecided = locked().find(|claim| claim.status == Status::Undecided);
        let again = || locked().find(|_| draw.is_multiple_of(12));
        let found = undecided.or_else(again)?;
        Some((found.id, found.clone()))
    }

    /// Whether a keyed call has left its trace, as the tools look it up.
    fn happened(&self, name: &str, id: &str, event: &Kind) -> bool {
        let state = &self.state;
        let by = |call: &Option<String>| call.as_deref() == Some(id);
        match event {
            Kind::NoteKept { text, .. } => state.agents[name].notes.last() == Some(text),
            Kind::AgentDone { .. } => state.agents[name].done,
            _ => {
                state.mails.values().any(|mail| by(&mail.call))
                    || state.experiments.values().any(|run| by(&run.call))
                    || state.hypotheses.values().any(|claim| by(&claim.call))
                    || state
                        .society
                        .reviews
                        .values()
                        .flatten()
                        .any(|it| by(&it.call))
            }
        }
    }
}

fn class(tool: &str) -> Class {
    if tool == "shell" {
        Class::Opaque
    } else {
        Class::Keyed
    }
}
