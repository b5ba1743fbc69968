//! What is so about tasks that one member has given to another: whose they are, and how they stand.
//!
//! Owns how a task opens and closes. It opens with the letter that gives it. It closes when its owner
//! answers with a letter to the giver whose subject names it (`m13`), when its owner is `done` with
//! nothing of its own under way, or when the giver gives it to somebody else. Must not know who may
//! give tasks to whom.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::State;
use crate::domain::event::{Event, Kind};

/// Share of words that two tasks of the same first line must have in common to be the same.
const SAME: f64 = 0.8;

/// A task.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// The letter that gave it.
    pub id: u64,
    /// Who gave it.
    pub from: String,
    /// Whose it is.
    pub to: String,
    /// Its first line.
    pub task: String,
    /// When it was given.
    pub at: Timestamp,
    /// When it was closed, and how, in words.
    pub closed: Option<(Timestamp, String)>,
    words: BTreeSet<String>,
}

impl Assignment {
    /// Whether it still waits to be done.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.closed.is_none()
    }
}

impl State {
    /// The open tasks of an agent.
    pub fn tasks_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Assignment> {
        let all = self.assignments.values();
        all.filter(move |task| task.is_open() && task.to == name)
    }

    /// An open task that is this one in other words, or in the same.
    #[must_use]
    pub fn same_task(&self, subject: &str, body: &str) -> Option<&Assignment> {
        let (line, words) = (words(subject), words(body));
        let mut open = self.assignments.values().filter(|task| task.is_open());
        open.find(|task| {
            let shared = task.words.intersection(&words).count();
            let all = task.words.union(&words).count().max(1);
            #[expect(clippy::cast_precision_loss, reason = "the words of a letter")]
            let share = shared as f64 / all as f64;
            self::words(&task.task) == line && share >= SAME
        })
    }

    pub(super) fn assignment_event(&mut self, event: &Event) {
        match &event.body {
            Kind::MailSent {
                id,
                from,
                to,
                subject,
                body,
                assignment,
                ..
            } => {
                if let (true, Some(to)) = (*assignment, to.first()) {
                    if let Some(before) =
                        moved(subject).and_then(|id| self.assignments.get_mut(&id))
                        && before.is_open()
                        && before.from == *from
                    {
                        before.closed = Some((event.at, format!("given to {to} as m{id}")));
                    }
                    let task = Assignment {
                        id: *id,
                        from: from.clone(),
                        to: to.clone(),
                        task: subject.clone(),
                        at: event.at,
                        closed: None,
                        words: words(body.head()),
                    };
                    self.assignments.insert(*id, task);
                    return;
                }
                let named = ids(subject);
                for task in self.assignments.values_mut() {
                    let answers = task.is_open() && task.to == *from && to.contains(&task.from);
                    if answers && named.contains(&task.id) {
                        task.closed = Some((event.at, format!("answered in m{id}")));
                    }
                }
            }
            Kind::AgentDone { agent, .. } => {
                let own = |name: &String| name == agent;
                let mut runs = self.experiments.values();
                let mut claims = self.hypotheses.values();
                let busy = runs
                    .any(|it| it.finished_at.is_none() && it.agent.as_ref().is_some_and(own))
                    || claims.any(|it| own(&it.agent) && !it.is_final());
                if busy {
                    return;
                }
                let open = self.assignments.values_mut();
                for task in open.filter(|it| it.is_open() && it.to == *agent) {
                    task.closed = Some((event.at, format!("{agent} is done")));
                }
            }
            _ => {}
        }
    }
}

/// The task that another is given in place of: a task that begins with its id.
#[must_use]
pub fn moved(task: &str) -> Option<u64> {
    let first = task.split_whitespace().next()?;
    let first = first.trim_end_matches([':', ',', '.']);
    first.strip_prefix('m')?.parse().ok()
}

/// The letters that a subject names.
fn ids(subject: &str) -> BTreeSet<u64> {
    let words = subject.split(|c: char| !c.is_alphanumeric());
    words
        .filter_map(|word| word.strip_prefix('m')?.parse().ok())
        .collect()
}

fn words(text: &str) -> BTreeSet<String> {
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !(c.is_alphanumeric() || c == '.'));
    let words = words.map(|word| word.trim_matches('.'));
    words
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}
