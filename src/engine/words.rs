//! The texts of `prompts/messages.toml` and `prompts/brief.md`, filled in with what is so.
//!
//! Owns which value goes into which text, and that whatever others wrote is made unable to pose as an
//! envelope. Owns no sentence.

use std::sync::Arc;

use crate::domain::brief;
use crate::domain::budget::Purse;
use crate::domain::chart::Chart;
use crate::domain::disclosure;
use crate::domain::event::{RunStatus, Status};
use crate::domain::mail::neutral;
use crate::domain::protocol::Verdict;
use crate::domain::state::{Act, Experiment, Hypothesis, Mail, State};
use crate::domain::stats::figure;
use crate::domain::texts::{Key, Texts};
use crate::run::paths::RunDir;

/// Characters of a run's last lines that a mail carries: a traceback, not a log.
const TAIL_IN_MAIL: usize = 3000;

/// The frozen texts of a run.
#[derive(Debug, Clone)]
pub(super) struct Words(Arc<Texts>);

impl Words {
    /// Reads those that were frozen.
    pub(super) fn of(dir: &RunDir) -> Result<Self, String> {
        let text = std::fs::read_to_string(dir.prompts().join("messages.toml"))
            .map_err(|error| format!("messages.toml: {error}"))?;
        let mut texts = Texts::parse(&text).map_err(|error| error.to_string())?;
        let brief = dir.brief();
        // Runs of older programs have theirs among the others.
        if brief.exists() {
            let text =
                std::fs::read_to_string(&brief).map_err(|error| format!("brief: {error}"))?;
            texts = texts.with_brief(&text).map_err(|error| error.to_string())?;
        }
        Ok(Self(Arc::new(texts)))
    }

    pub(super) fn shared(&self) -> Arc<Texts> {
        Arc::clone(&self.0)
    }

    pub(super) fn brief(&self, chart: &Chart, state: &State, name: &str) -> String {
        let brief = brief::brief(chart, state, name);
        self.0.get(Key::Brief).render(&[
            ("standing", &brief.standing),
            ("best", &brief.best),
            ("open_claims", &neutral(&brief.open_claims)),
            ("dead_ends", &neutral(&brief.dead_ends)),
            ("assignments", &neutral(&brief.assignments)),
            ("team", &neutral(&brief.team)),
        ])
    }

    pub(super) fn first_turn(&self, chart: &Chart, state: &State, name: &str) -> String {
        self.0.get(Key::FirstTurn).render(&[
            ("agent.name", name),
            ("mission", &chart.mission),
            ("brief", &self.brief(chart, state, name)),
        ])
    }

    pub(super) fn nudge(&self, chart: &Chart, state: &State, name: &str) -> String {
        self.0
            .get(Key::Continue)
            .render(&[("brief", &self.brief(chart, state, name))])
    }

    /// A message as its reader sees it: the human's is the only voice without an envelope of mail.
    pub(super) fn mail(&self, mail: &Mail, body: &str, reader: &str) -> String {
        let body = neutral(body);
        let at = mail.at.to_string();
        match (mail.from.as_str(), mail.now) {
            ("human", true) => self.0.get(Key::Interrupted).render(&[("text", &body)]),
            ("human", false) => self
                .0
                .get(Key::Human)
                .render(&[("at", &at), ("text", &body)]),
            (from, _) => self.0.get(Key::Mail).render(&[
                ("id", &format!("m{}", mail.id)),
                ("from", from),
                ("to", reader),
                ("subject", &neutral(&mail.subject).replace('"', "'")),
                ("at", &at),
                ("body", &body),
            ]),
        }
    }

    /// What a later conversation begins with.
    pub(super) fn handover(
        &self,
        chart: &Chart,
        state: &State,
        name: &str,
        notebook: &str,
    ) -> String {
        self.0.get(Key::Handover).render(&[
            ("mission", &chart.mission),
            ("notebook", &neutral(notebook)),
            ("done", &neutral(&done(state, name))),
            ("brief", &self.brief(chart, state, name)),
        ])
    }

    pub(super) fn compact(&self) -> String {
        self.0.get(Key::Compact).render(&[])
    }

    pub(super) fn repeated(&self, tool: &str, times: u32) -> String {
        let times = times.to_string();
        self.0
            .get(Key::Repeated)
            .render(&[("tool", tool), ("times", &times)])
    }

    /// That a cap is near.
    pub(super) fn near_cap(&self, purse: &Purse) -> String {
        self.0.get(Key::NearCap).render(&[
            ("whom", &purse.whom),
            ("spent", &format!("{:.2}", purse.spent)),
            ("cap", &format!("{:.2}", purse.cap)),
        ])
    }

    pub(super) fn truncated_call(&self, tool: &str) -> String {
        self.0.get(Key::TruncatedCall).render(&[("tool", tool)])
    }

    pub(super) fn unknown_tool(&self, tool: &str, tools: &str) -> String {
        self.0
            .get(Key::UnknownTool)
            .render(&[("tool", tool), ("tools", tools)])
    }

    pub(super) fn bad_arguments(&self, tool: &str, problem: &str) -> String {
        self.0
            .get(Key::BadArguments)
            .render(&[("tool", tool), ("problem", problem)])
    }

    pub(super) fn unknown_outcome(&self, tool: &str, partial: &str) -> String {
        self.0
            .get(Key::UnknownOutcome)
            .render(&[("tool", tool), ("partial", partial)])
    }

    /// The lab's letter on a run without a claim.
    pub(super) fn experiment(&self, chart: &Chart, run: &Experiment, tail: &str) -> String {
        let some = |value: Option<f64>| value.map_or_else(|| "not reported".to_owned(), figure);
        let value = if disclosure::withheld(&chart.task) {
            disclosure::WITHHELD.to_owned()
        } else {
            some(run.measured.value)
        };
        let status = match run.status {
            RunStatus::Ok => "ok".to_owned(),
            other => format!("{} ({})", other.word(), run.reason),
        };
        self.0.get(Key::ExperimentResult).render(&[
            ("id", &format!("e{}", run.id)),
            ("status", &status),
            ("commit", run.commit.get(..12).unwrap_or(&run.commit)),
            ("metric", &chart.task.metric.name),
            ("value", &value),
            ("seconds", &format!("{:.1}", run.measured.wall_s)),
            ("flops", &some(run.measured.flops)),
            ("params", &some(run.measured.params)),
            ("tokens", &some(run.measured.tokens)),
            ("tail", &neutral(last(tail, TAIL_IN_MAIL))),
        ])
    }

    /// The lab's letter on a claim.
    pub(super) fn verdict(
        &self,
        chart: &Chart,
        claim: &Hypothesis,
        status: Status,
        why: &str,
    ) -> String {
        let (id, title) = (format!("h{}", claim.id), neutral(&claim.title));
        let reason = disclosure::reason(&chart.task, status, why);
        let numbers = numbers(chart, claim);
        let mut values = vec![
            ("id", id.as_str()),
            ("title", &title),
            ("status", status.word()),
            ("reason", &reason),
        ];
        values.extend(numbers.iter().map(|(name, value)| (*name, value.as_str())));
        self.0.get(Key::Verdict).render(&values)
    }

    /// What the lab has measured of a claim, before anybody's words.
    pub(super) fn evidence(&self, chart: &Chart, claim: &Hypothesis) -> String {
        let verdict = claim.verdict.as_ref();
        let runs = verdict.map_or_else(String::new, |verdict| {
            let ids = verdict.runs.iter().map(|id| format!("e{id}"));
            ids.collect::<Vec<_>>().join(", ")
        });
        let test = claim.plan.map_or_else(
            || "none".to_owned(),
            |(test, seeds)| format!("{}, {seeds} fresh seeds, fixed beforehand", test.word()),
        );
        let numbers = numbers(chart, claim);
        let mut values = vec![("runs", runs.as_str()), ("test", test.as_str())];
        values.extend(numbers.iter().map(|(name, value)| (*name, value.as_str())));
        self.0.get(Key::Evidence).render(&values)
    }
}

/// The numbers of a verdict by the names of the templates.
fn numbers(chart: &Chart, claim: &Hypothesis) -> [(&'static str, String); 6] {
    let withheld = disclosure::withheld(&chart.task);
    let none = || {
        if withheld {
            disclosure::WITHHELD.to_owned()
        } else {
            "not measured".to_owned()
        }
    };
    let costs = claim.verdict.as_ref();
    let verdict = costs.filter(|_| !withheld);
    let arm = |pick: &dyn Fn(&Verdict) -> crate::domain::stats::Sample| {
        verdict.map_or_else(none, |verdict| {
            let sample = pick(verdict);
            let (mean, sd) = (figure(sample.mean), figure(sample.sd));
            format!("mean {mean}, sd {sd}, {} runs", sample.n)
        })
    };
    let effect = verdict.and_then(|verdict| verdict.effect);
    let ci = verdict.and_then(|verdict| verdict.ci);
    let ci = ci.map_or_else(none, |[lo, hi]| format!("[{}, {}]", figure(lo), figure(hi)));
    let p = verdict.and_then(|verdict| verdict.p);
    let ratios = costs.map_or_else(|| "not measured".to_owned(), ratios);
    [
        ("effect", effect.map_or_else(none, figure)),
        ("ci", ci),
        ("p", p.map_or_else(none, |p| format!("{p:.2e}"))),
        ("baseline", arm(&|verdict| verdict.baseline)),
        ("candidate", arm(&|verdict| verdict.candidate)),
        ("ratios", ratios),
    ]
}

fn ratios(verdict: &Verdict) -> String {
    let names = ["wall", "gpu", "peak_mem", "flops", "params", "tokens"];
    let known = names
        .iter()
        .filter_map(|name| Some(format!("{name} {:.2}", verdict.ratios.get(name)?)));
    known.collect::<Vec<_>>().join(", ")
}

/// What an agent did lately, a call a line.
fn done(state: &State, name: &str) -> String {
    let acts = state.agents.get(name).into_iter();
    let line = |act: &Act| {
        let outcome = match act.ok {
            Some(true) => "ok",
            Some(false) => "failed",
            None => "outcome unknown",
        };
        format!("- {}: {} ({outcome})", act.tool, act.brief)
    };
    let lines: Vec<String> = acts.flat_map(|it| it.acts.iter()).map(line).collect();
    if lines.is_empty() {
        return "(none)".to_owned();
    }
    lines.join("\n")
}

fn last(text: &str, most: usize) -> &str {
    let mut from = text.len().saturating_sub(most);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    &text[from..]
}
