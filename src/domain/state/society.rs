//! What is so about the org's processes: what fired, who answered, what was reviewed, and how long
//! nothing has come of all the work.
//!
//! Owns the meaning of the events of processes and reviews, and the marks in others' events that
//! processes wait for. It decides nothing: when a process is due is `process`'s. Must not know the
//! chart.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::State;
use crate::domain::event::{Actor, Event, Fired, Kind, Outcome, Review, Status};

/// One firing of a process.
#[derive(Debug, Clone, PartialEq)]
pub struct Firing {
    /// What was written when it fired.
    pub fired: Fired,
    /// When.
    pub at: Timestamp,
    /// When an answer is due, reminders included; none means that none is awaited.
    pub due: Option<Timestamp>,
    /// Who was asked, reminders included, each with the letter that asked last, once it is sent.
    pub asked: BTreeMap<String, Option<u64>>,
    /// Reminders so far.
    pub reminders: u32,
    /// Who answered, each with the letter; none where a review was the answer.
    pub answers: BTreeMap<String, Option<u64>>,
    /// When it was over, and how.
    pub closed: Option<(Timestamp, Outcome)>,
    /// US dollars that each agent had spent.
    pub usd: BTreeMap<String, f64>,
}

impl Firing {
    /// Whether it still waits.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    /// Who was asked and has not answered.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let asked = self.asked.keys();
        let silent = asked.filter(|name| !self.answers.contains_key(*name));
        silent.cloned().collect()
    }
}

/// What the members do together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Society {
    /// Firings in order, by process.
    pub firings: BTreeMap<String, Vec<Firing>>,
    /// Reviews in order, by claim.
    pub reviews: BTreeMap<u64, Vec<Review>>,
    /// Every status that a claim has had.
    pub reached: BTreeMap<u64, BTreeSet<Status>>,
    /// Claims that ended since the last promotion.
    pub fruitless_claims: u32,
    /// GPU seconds of runs that ended since the last promotion.
    pub fruitless_gpu_s: f64,
    /// When somebody last did something that others should hear of.
    pub worked: Option<Timestamp>,
    /// Agents that went on with another model: who, and the event by which.
    pub replaced: Vec<(String, u64)>,
}

impl Society {
    /// The firings of a process, oldest first.
    #[must_use]
    pub fn of(&self, process: &str) -> &[Firing] {
        self.firings.get(process).map_or(&[], Vec::as_slice)
    }

    /// All firings.
    pub fn all(&self) -> impl Iterator<Item = &Firing> {
        self.firings.values().flatten()
    }

    /// Open firings that await an answer from somebody.
    pub fn awaiting<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Firing> {
        self.all()
            .filter(move |it| it.is_open() && it.due.is_some() && it.asked.contains_key(name))
    }

    fn find(&mut self, process: &str, number: u64) -> Option<&mut Firing> {
        let firings = self.firings.get_mut(process)?;
        firings.iter_mut().find(|it| it.fired.number == number)
    }
}

/// How a letter of a process names the firing that it asks for.
#[must_use]
pub fn letter_key(process: &str, number: u64) -> String {
    format!("{process}#{number}")
}

impl State {
    pub(super) fn society_event(&mut self, event: &Event) {
        self.marks(event);
        match &event.body {
            Kind::ProcessFired(fired) => self.fire(fired, event.at),
            Kind::ProcessReminded(again) => {
                if let Some(firing) = self.society.find(&again.process, again.number) {
                    firing.reminders = again.reminder;
                    firing.due = Some(again.due);
                    for name in &again.asked {
                        firing.asked.insert(name.clone(), None);
                    }
                }
            }
            Kind::ProcessClosed(over) => {
                if let Some(firing) = self.society.find(&over.process, over.number) {
                    firing.closed = Some((event.at, over.outcome));
                }
            }
            Kind::ReviewGiven(review) => self.review(review),
            Kind::MailSent { .. } => self.letter(event),
            _ => {}
        }
    }

    /// What processes wait for, in the events of others.
    fn marks(&mut self, event: &Event) {
        let society = &mut self.society;
        match &event.body {
            Kind::HypothesisRegistered { id, .. } => reach(society, *id, Status::Registered),
            Kind::HypothesisRejected { id, .. } => reach(society, *id, Status::Rejected),
            Kind::HypothesisMoved { id, status, .. } => {
                reach(society, *id, *status);
                if status.is_exit() && *status != Status::Withdrawn {
                    society.fruitless_claims += 1;
                }
            }
            Kind::ProgrammeAdvanced { .. } => {
                society.fruitless_claims = 0;
                society.fruitless_gpu_s = 0.0;
            }
            Kind::ExperimentFinished { measured, .. } => society.fruitless_gpu_s += measured.gpu_s,
            Kind::AgentRestart {
                agent,
                model: Some(_),
            } => society.replaced.push((agent.clone(), event.seq)),
            Kind::MailSent {
                assignment: true, ..
            } => {}
            Kind::MailSent { .. } if event.actor == Actor::Human => {}
            _ => return,
        }
        society.worked = Some(event.at);
    }

    fn fire(&mut self, fired: &Fired, at: Timestamp) {
        let usd = self.agents.iter();
        let usd = usd.map(|(name, agent)| (name.clone(), agent.usd)).collect();
        let firing = Firing {
            at,
            due: fired.due,
            asked: fired
                .asked
                .iter()
                .map(|name| (name.clone(), None))
                .collect(),
            reminders: 0,
            answers: BTreeMap::new(),
            closed: None,
            usd,
            fired: fired.clone(),
        };
        let firings = self.society.firings.entry(fired.process.clone());
        firings.or_default().push(firing);
    }

    /// A decision answers whoever was asked for it; of somebody whom nobody asked, all that wait.
    fn review(&mut self, review: &Review) {
        let id = review.hypothesis;
        let all = self.society.firings.values_mut().flatten();
        let mut waiting: Vec<&mut Firing> = all
            .filter(|it| it.fired.gate && it.fired.hypothesis == Some(id))
            .collect();
        let asked = waiting.iter().any(|it| it.asked.contains_key(&review.by));
        for firing in &mut waiting {
            if !asked || firing.asked.contains_key(&review.by) {
                firing.answers.insert(review.by.clone(), None);
            }
        }
        let reviews = self.society.reviews.entry(id).or_default();
        reviews.push(review.clone());
    }

    /// Letters ask, and answer.
    fn letter(&mut self, event: &Event) {
        let Kind::MailSent {
            id,
            from,
            to,
            subject,
            call,
            ..
        } = &event.body
        else {
            return;
        };
        let mut all = self.society.firings.values_mut().flatten();
        if event.actor == Actor::Org {
            let key = |it: &&mut Firing| {
                call.as_ref() == Some(&letter_key(&it.fired.process, it.fired.number))
            };
            if let Some(firing) = all.find(key) {
                for name in to {
                    if let Some(asked) = firing.asked.get_mut(name) {
                        *asked = Some(*id);
                    }
                }
            }
            return;
        }
        let answers = |it: &&mut Firing| {
            let heard = |name: &String| name == Actor::Org.name() || it.fired.to.contains(name);
            it.is_open()
                && !it.fired.gate
                && it.asked.contains_key(from)
                && (it.fired.to.is_empty() || to.iter().any(heard))
        };
        let mut waiting: Vec<&mut Firing> = all.filter(answers).collect();
        let named = |it: &Firing| subject.contains(&it.fired.process);
        let some_named = waiting.iter().any(|it| named(it));
        for firing in waiting.iter_mut().filter(|it| !some_named || named(it)) {
            firing.answers.insert(from.clone(), Some(*id));
        }
    }
}

fn reach(society: &mut Society, id: u64, status: Status) {
    society.reached.entry(id).or_default().insert(status);
}
