//! Carrying out what the org's processes ask for: letters and what was decided, in one append each.
//!
//! A firing and its letters are one write to the log, so a crash leaves both or neither, and nothing
//! is sent twice. What stands in the letters is `asking`'s; when anything is due is
//! `domain::process`'s. Must not know what anybody will answer.

use std::collections::BTreeMap;

use crate::domain::event::{Actor, Closed, Fired, Kind, Outcome, Reminded};
use crate::domain::process::{self, Act};
use crate::domain::state::{Firing, State, letter_key};
use crate::run::log::Decision;

use super::asking::Asking;
use super::supervise::{SuperviseError, Supervisor};

/// A letter to be sent: to whom, subject, body.
type Letter = (Vec<String>, String, String);

impl Supervisor {
    /// Does what a process asks for.
    pub(super) async fn society(&mut self, act: Act) -> Result<(), SuperviseError> {
        match act {
            Act::Fire(fired) => self.fire(fired).await,
            Act::Remind(again) => self.remind(again).await,
            Act::Close(over) => self.close_firing(over),
        }
    }

    async fn fire(&mut self, fired: Fired) -> Result<(), SuperviseError> {
        let letters = self.letters(&fired, &fired.asked, None).await?;
        let letters = self.letters_of(&fired.process, fired.number, letters)?;
        self.decide(|state| {
            if !process::stands(state, &fired) {
                return Err(());
            }
            let kinds = std::iter::once(Kind::ProcessFired(fired.clone())).chain(letters);
            Ok((kinds.collect(), ()))
        })
    }

    async fn remind(&mut self, again: Reminded) -> Result<(), SuperviseError> {
        let Some(fired) = self
            .firing(&again.process, again.number)
            .map(|it| it.fired.clone())
        else {
            return Ok(());
        };
        let letters = self.letters(&fired, &again.asked, Some(&again)).await?;
        let letters = self.letters_of(&again.process, again.number, letters)?;
        self.decide(|state| {
            let firing = state.society.of(&again.process).iter();
            let mut firing = firing.filter(|it| it.fired.number == again.number);
            if firing
                .next()
                .is_none_or(|it| !it.is_open() || it.reminders + 1 != again.reminder)
            {
                return Err(());
            }
            let kinds = std::iter::once(Kind::ProcessReminded(again.clone())).chain(letters);
            Ok((kinds.collect(), ()))
        })
    }

    /// Ends a firing, and hands what came of it to whoever gets the answers.
    fn close_firing(&mut self, over: Closed) -> Result<(), SuperviseError> {
        let Some(firing) = self.firing(&over.process, over.number).cloned() else {
            return Ok(());
        };
        let told = firing.due.is_some() && !firing.fired.gate && over.outcome != Outcome::Moot;
        let mut letters: Vec<Letter> = Vec::new();
        if told && !firing.fired.to.is_empty() {
            let asking = self.asking();
            let body = asking.minutes(&firing, &over);
            let body = body.map_err(SuperviseError::io("read what was answered"))?;
            let subject = format!("{} {}", over.process, over.number);
            letters.push((firing.fired.to.clone(), subject, body));
        }
        let letters = self.letters_of(&over.process, over.number, letters)?;
        self.decide(|state| {
            let firing = state.society.of(&over.process).iter();
            let mut firing = firing.filter(|it| it.fired.number == over.number);
            if firing.next().is_none_or(|it| !it.is_open()) {
                return Err(());
            }
            let kinds = std::iter::once(Kind::ProcessClosed(over.clone())).chain(letters);
            Ok((kinds.collect(), ()))
        })
    }

    /// Appends as the org, unless somebody has done it already.
    fn decide(
        &mut self,
        decide: impl FnOnce(&State) -> Decision<(), ()>,
    ) -> Result<(), SuperviseError> {
        let _written: Result<(), ()> = self.log.transact(&Actor::Org, decide)?;
        Ok(())
    }

    fn firing(&self, process: &str, number: u64) -> Option<&Firing> {
        let mut all = self.state().society.of(process).iter();
        all.find(|it| it.fired.number == number)
    }

    fn asking(&self) -> Asking<'_> {
        Asking {
            chart: &self.chart,
            state: self.state(),
            dir: &self.dir,
            words: &self.words,
            blobs: self.log.blobs(),
            now: crate::os::clock::now(),
        }
    }

    /// What each of those asked is written.
    async fn letters(
        &self,
        fired: &Fired,
        asked: &[String],
        again: Option<&Reminded>,
    ) -> Result<Vec<Letter>, SuperviseError> {
        let found = self
            .chart
            .processes
            .iter()
            .find(|it| it.name == fired.process);
        let Some(process) = found.filter(|_| !asked.is_empty()) else {
            return Ok(Vec::new());
        };
        let diff = self.diff(fired).await;
        let asking = self.asking();
        let claim = fired.hypothesis.filter(|_| process::about_claims(process));
        let subject = match claim {
            Some(id) => format!("{} h{id}", fired.process),
            None => format!("{} {}", fired.process, fired.number),
        };
        let mut letters = Vec::new();
        for name in asked {
            let body = asking.prompt(process, fired, name, again, &diff);
            let body = body.map_err(SuperviseError::Prompts)?;
            letters.push((vec![name.clone()], subject.clone(), body));
        }
        Ok(letters)
    }

    /// The change of the claim that a firing is about, looked at on a thread of its own.
    async fn diff(&self, fired: &Fired) -> String {
        /// Most of a diff that a letter carries, bytes: what is longer is read in the repository.
        const DIFF: usize = 24_000;
        let claim = fired
            .hypothesis
            .and_then(|id| self.state().hypotheses.get(&id));
        let Some((claim, commit)) = claim.and_then(|it| Some((it, it.commit.clone()?))) else {
            return String::new();
        };
        let (repo_git, base) = (self.dir.repo_git(), claim.base.clone());
        let read = tokio::task::spawn_blocking(move || {
            crate::repo::diff_text(&repo_git, &base, &commit, DIFF)
        });
        match read.await {
            Ok(Ok(diff)) if diff.cut => format!("{}\n[cut here: the diff is longer]", diff.text),
            Ok(Ok(diff)) => diff.text,
            Ok(Err(error)) => format!("[the diff could not be read: {error}]"),
            Err(error) => format!("[the diff could not be read: {error}]"),
        }
    }

    /// Letters as the log carries them.
    fn letters_of(
        &self,
        process: &str,
        number: u64,
        letters: Vec<Letter>,
    ) -> Result<Vec<Kind>, SuperviseError> {
        let blobs = self.log.blobs();
        let mut kinds = Vec::new();
        for (to, subject, body) in letters {
            let body = blobs.text(&body);
            kinds.push(Kind::MailSent {
                id: 0,
                from: Actor::Org.name().to_owned(),
                to,
                subject,
                body: body.map_err(SuperviseError::io("keep a letter"))?,
                now: false,
                assignment: false,
                call: Some(letter_key(process, number)),
            });
        }
        Ok(kinds)
    }
}

/// US dollars that agents had spent when the process before this firing fired, and when that was.
pub(super) fn before(
    state: &State,
    fired: &Fired,
) -> (Option<jiff::Timestamp>, BTreeMap<String, f64>) {
    let firings = state.society.of(&fired.process).iter().rev();
    let mut earlier = firings.filter(|it| it.fired.number < fired.number);
    match earlier.next() {
        Some(last) => (Some(last.at), last.usd.clone()),
        None => (state.created, BTreeMap::new()),
    }
}
