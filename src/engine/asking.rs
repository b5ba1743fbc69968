//! What the org's processes write: prompts filled in with what the harness has measured, and the
//! minutes of what came back.
//!
//! Owns which value goes into which variable. Every number is the log's; whatever anybody wrote is
//! made unable to pose as an envelope. Owns no sentence.

use std::collections::BTreeMap;
use std::io;

use jiff::Timestamp;

use crate::domain::chart::{Chart, Process};
use crate::domain::digest::{self, Span};
use crate::domain::event::{Closed, Fired, Reminded};
use crate::domain::mail::neutral;
use crate::domain::state::{Firing, Hypothesis, State};
use crate::domain::stats::figure;
use crate::domain::texts::Key;
use crate::domain::{brief, emit, process, template};
use crate::run::blobs::Blobs;
use crate::run::paths::RunDir;

use super::prompt::team;
use super::society::before;
use super::words::Words;

/// Most bytes of one answer that the minutes carry; the letter itself has the rest.
const ANSWER: usize = 2_000;

/// What letters are made from.
pub(super) struct Asking<'a> {
    pub(super) chart: &'a Chart,
    pub(super) state: &'a State,
    pub(super) dir: &'a RunDir,
    pub(super) words: &'a Words,
    pub(super) blobs: Blobs,
    pub(super) now: Timestamp,
}

impl Asking<'_> {
    /// What one of those asked is written.
    pub(super) fn prompt(
        &self,
        process: &Process,
        fired: &Fired,
        name: &str,
        again: Option<&Reminded>,
        diff: &str,
    ) -> Result<String, String> {
        let path = self.dir.process_prompt(&process.name);
        let text = std::fs::read_to_string(&path);
        let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
        let due = again.map(|it| it.due).or(fired.due);
        let mut values = self.common(process, fired, name, due);
        let claim = fired
            .hypothesis
            .and_then(|id| self.state.hypotheses.get(&id));
        if let Some(claim) = claim {
            values.extend(self.claim(claim, diff));
        }
        let body = template::render(&text, &values);
        let body = body.map_err(|error| format!("{}: {error}", path.display()))?;
        let Some(again) = again else {
            return Ok(body);
        };
        let number = again.reminder.to_string();
        let texts = self.words.shared();
        let word = texts.get(Key::Reminder).render(&[("number", &number)]);
        Ok(format!("{word}\n\n{body}"))
    }

    fn common(
        &self,
        process: &Process,
        fired: &Fired,
        name: &str,
        due: Option<Timestamp>,
    ) -> BTreeMap<&'static str, String> {
        let brief = brief::brief(self.chart, self.state, name);
        let role = self.chart.agent(name).map_or("human", |agent| &agent.role);
        // Whoever answers among others reads its own numbers; whoever does it alone, everybody's.
        let who = process.from.as_ref().and(Some(name));
        let due = due.map_or_else(|| "any time".to_owned(), |at| format!("{at:.0}"));
        let absent = match fired.absent.as_slice() {
            [] => "nobody".to_owned(),
            some => some.join(", "),
        };
        BTreeMap::from([
            ("process.name", process.name.clone()),
            ("process.number", fired.number.to_string()),
            ("process.due", due),
            ("agent.name", name.to_owned()),
            ("agent.role", role.to_owned()),
            ("org.name", self.chart.name.clone()),
            ("mission", self.chart.mission.clone()),
            ("team", team(self.chart)),
            ("about", self.about(fired)),
            ("absent", absent),
            ("standing", brief.standing),
            ("best", neutral(&brief.best)),
            ("brief", self.words.brief(self.chart, self.state, name)),
            ("digest", self.digest(fired, who)),
            ("chart", self.source()),
        ])
    }

    /// What it is about, in a few words.
    fn about(&self, fired: &Fired) -> String {
        if let Some(id) = fired.hypothesis {
            return format!("h{id}");
        }
        if let Some(name) = &fired.about {
            return name.clone();
        }
        let on = self
            .chart
            .processes
            .iter()
            .find(|it| it.name == fired.process);
        match on.and_then(|it| it.on.as_deref()) {
            Some("plateau") => format!(
                "{} claims in a row have ended without a promotion, after {:.1} GPU-hours",
                self.state.society.fruitless_claims,
                self.state.society.fruitless_gpu_s / 3600.0
            ),
            Some("budget.half") => format!("half of the {} budget is spent", fired.occasion),
            _ => self.chart.name.clone(),
        }
    }

    /// The chart as TOML, without what its members must not know.
    fn source(&self) -> String {
        let mut chart = self.chart.clone();
        chart.task.hidden.clear();
        chart.providers.clear();
        emit::to_toml(&chart)
    }

    fn claim(&self, claim: &Hypothesis, diff: &str) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("claim.id", format!("h{}", claim.id)),
            ("claim.title", neutral(&claim.title)),
            ("claim.author", claim.agent.clone()),
            ("claim.kind", claim.claim.word().to_owned()),
            ("claim.axis", claim.axis.as_str().to_owned()),
            ("claim.mechanism", neutral(&claim.mechanism)),
            ("claim.predicts", figure(claim.predicts)),
            ("claim.refuted_by", neutral(&claim.refuted_by)),
            ("evidence", self.words.evidence(self.chart, claim)),
            ("diff", neutral(diff)),
        ])
    }

    /// What happened since the process fired before; of a retrospective, since the beginning.
    fn digest(&self, fired: &Fired, who: Option<&str>) -> String {
        let (since, usd) = before(self.state, fired);
        let span = Span {
            since: since.unwrap_or(self.now),
            until: self.now,
            who,
            usd: &usd,
        };
        let digest = digest::digest(self.chart, self.state, span);
        self.words.shared().get(Key::Digest).render(&[
            ("tried", &neutral(&digest.tried)),
            ("runs", &neutral(&digest.runs)),
            ("open", &digest.open),
            ("cost", &digest.cost),
            ("idle", &digest.idle),
        ])
    }

    /// What came back, for whoever gets the answers.
    pub(super) fn minutes(&self, firing: &Firing, over: &Closed) -> io::Result<String> {
        let texts = self.words.shared();
        let mut answers = Vec::new();
        for (name, letter) in &firing.answers {
            let mail = letter.and_then(|id| self.state.mails.get(&id));
            let Some(mail) = mail else { continue };
            // Whoever was written to directly has it already.
            let text = if mail.to.iter().any(|to| firing.fired.to.contains(to)) {
                mail.subject.clone()
            } else {
                let whole = self.blobs.whole(&mail.body)?;
                whole.chars().take(ANSWER).collect()
            };
            answers.push(texts.get(Key::Minute).render(&[
                ("from", name),
                ("id", &format!("m{}", mail.id)),
                ("text", &neutral(&text)),
            ]));
        }
        let mut missing = over.missing.clone();
        let absent = firing.fired.absent.iter();
        missing.extend(absent.map(|name| format!("{name} (held, paused or gone)")));
        let names = |names: &[String]| match names {
            [] => "nobody".to_owned(),
            some => some.join(", "),
        };
        let answered: Vec<String> = firing.answers.keys().cloned().collect();
        Ok(texts.get(Key::Minutes).render(&[
            ("process", &firing.fired.process),
            ("number", &firing.fired.number.to_string()),
            ("answered", &names(&answered)),
            ("missing", &names(&missing)),
            ("digest", &self.digest(&firing.fired, None)),
            ("answers", &answers.join("\n\n")),
        ]))
    }
}

/// The prompt of a process, as it is frozen: its own, else the built-in one.
///
/// # Errors
/// Where it cannot be read, or names what it is not given.
pub(super) fn process_prompt(process: &Process) -> Result<String, String> {
    const BUILT_IN: [(&str, &str); 5] = [
        ("standup", include_str!("../../prompts/standup.md")),
        ("review", include_str!("../../prompts/review.md")),
        (
            "retrospective",
            include_str!("../../prompts/retrospective.md"),
        ),
        ("plateau", include_str!("../../prompts/plateau.md")),
        ("handover", include_str!("../../prompts/handover.md")),
    ];
    let text = if let Some(path) = &process.prompt {
        std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?
    } else {
        let name = process::built_in_prompt(process);
        let text = BUILT_IN.into_iter().find(|(known, _)| Some(*known) == name);
        text.map(|(_, text)| text.to_owned()).ok_or("it has none")?
    };
    let known = process::variables(process);
    match template::flaws(&text, &known).into_iter().next() {
        Some(flaw) => Err(flaw.to_string()),
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::process_prompt;
    use crate::domain::chart::Process;
    use crate::domain::process;

    #[test]
    fn built_in_prompts_name_only_what_they_are_given() {
        let mut process = Process {
            name: String::new(),
            every: None,
            at: None,
            on: None,
            from: None,
            to: None,
            by: Some(crate::domain::chart::Party::Name("ana".to_owned())),
            prompt: None,
            within: None,
            missed: None,
            fruitless_claims: None,
            fruitless_gpu_hours: None,
            idle_for: None,
        };
        for (name, on) in [
            ("standup", None),
            ("review", Some("hypothesis.confirmed")),
            ("retrospective", Some("end")),
            ("plateau", Some("plateau")),
            ("handover", Some("agent.replaced")),
        ] {
            name.clone_into(&mut process.name);
            process.on = on.map(str::to_owned);
            assert_eq!(process::built_in_prompt(&process), Some(name));
            let text = process_prompt(&process);
            assert!(text.is_ok_and(|it| it.len() > 200), "{name}");
        }
    }
}
