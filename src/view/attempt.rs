//! One attempt in full: a claim or a measured run, for `org ledger show`.
//!
//! Owns how an attempt is named (`h3`, `e7`, or a commit) and its page. Must not know how a verdict is
//! reached.

use jiff::Timestamp;
use serde::Serialize;

use super::figure::{self, interval, number, probability, signed, span};
use super::ledger::{self, Entry};
use super::paint::{Paint, Tint};
use super::table::{Cell, Table};
use crate::domain::state::{Experiment, Hypothesis, State};

/// Shortest beginning of a commit that names it.
const COMMIT_AT_LEAST: usize = 4;

/// What an id names.
#[derive(Debug, Clone, Copy)]
pub enum Attempt<'a> {
    /// A claim.
    Claim(&'a Hypothesis),
    /// A measured run.
    Run(&'a Experiment),
}

impl<'a> Attempt<'a> {
    /// The attempt of this id, or of the commit that begins so; the last one, where several are of one
    /// commit, and a claim before a run.
    #[must_use]
    pub fn named(state: &'a State, id: &str) -> Option<Self> {
        let id = id.to_ascii_lowercase();
        let number = |letter: char| id.strip_prefix(letter)?.parse::<u64>().ok();
        let claim = number('h').and_then(|id| state.hypotheses.get(&id));
        if let Some(claim) = claim {
            return Some(Self::Claim(claim));
        }
        let run = number('e').and_then(|id| state.experiments.get(&id));
        if let Some(run) = run {
            return Some(Self::Run(run));
        }
        if id.len() < COMMIT_AT_LEAST || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let claims = state.hypotheses.values().rev();
        let claim = claims
            .into_iter()
            .find(|claim| claim.commit.as_ref().is_some_and(|it| it.starts_with(&id)));
        let mut runs = state.experiments.values().rev();
        claim
            .map(Self::Claim)
            .or_else(|| runs.find(|run| run.commit.starts_with(&id)).map(Self::Run))
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> String {
        match self {
            Self::Claim(claim) => format!("h{}", claim.id),
            Self::Run(run) => format!("e{}", run.id),
        }
    }

    /// What it was measured at, where there was anything to measure.
    #[must_use]
    pub fn commit(&self) -> Option<&'a str> {
        match self {
            Self::Claim(claim) => claim.commit.as_deref(),
            Self::Run(run) => Some(&run.commit),
        }
    }
}

/// A run in full, as `org ledger show e7 --json` prints it.
#[derive(Debug, Clone, Serialize)]
pub struct Whole {
    /// What the list has of it.
    #[serde(flatten)]
    pub run: ledger::Run,
    /// Who asked; none where the lab did.
    pub agent: Option<String>,
    /// For which claim.
    pub hypothesis: Option<String>,
    /// What was run.
    pub commit: String,
    /// The asker's note.
    pub note: String,
    /// Environment on top of the task's.
    pub env: std::collections::BTreeMap<String, String>,
    /// Why it ended so.
    pub reason: String,
    /// Launches.
    pub attempts: u32,
    /// When it was queued.
    pub queued_at: Timestamp,
    /// When it was last launched.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Its last lines.
    pub tail: String,
}

/// A run in full; `tail` is all of its last lines.
#[must_use]
pub fn whole(run: &Experiment, tail: String) -> Whole {
    Whole {
        run: ledger::run(run),
        agent: run.agent.clone(),
        hypothesis: run.hypothesis.map(|id| format!("h{id}")),
        commit: run.commit.clone(),
        note: run.note.clone(),
        env: run.env.clone(),
        reason: run.reason.clone(),
        attempts: run.attempt,
        queued_at: run.queued_at,
        started_at: run.started_at,
        finished_at: run.finished_at,
        tail,
    }
}

/// A line of a page: what, and what there is to say, where there is something.
fn line(out: &mut String, paint: Paint, what: &str, text: &str) {
    let text = figure::one_line(text);
    if !text.is_empty() {
        out.push_str(&paint.tint(Tint::Dim, &format!("{what:<12}")));
        out.push_str(&text);
        out.push('\n');
    }
}

/// A claim's page.
#[must_use]
pub fn claim_page(entry: &Entry, metric: &str, width: usize, paint: Paint) -> String {
    let mut out = format!(
        "{}  {}  {}\n\n",
        paint.tint(Tint::Bold, &entry.id),
        paint.tint(ledger::status_tint(entry.status), entry.status),
        figure::one_line(&entry.title)
    );
    let mut say = |what: &str, text: &str| line(&mut out, paint, what, text);
    say("by", &format!("{}, {}", entry.agent, entry.at));
    if let Some(commit) = &entry.commit {
        let base = figure::commit(&entry.base);
        say("commit", &format!("{commit}, on {base}"));
    }
    if !entry.mechanism.is_empty() {
        let size = entry.margin.map_or_else(
            || format!("of {}", signed(entry.predicts)),
            |margin| format!("within {}", number(margin)),
        );
        let axis = entry.axis;
        let claim = entry.claim;
        say(
            "claim",
            &format!("{claim} {metric} {size}, matched on {axis}"),
        );
        say("because", &entry.mechanism);
        say("refuted by", &entry.refuted_by);
    }
    say("replicates", entry.replicates.as_deref().unwrap_or(""));
    say("why", &entry.reason);
    if let Some(effect) = entry.effect {
        let p = entry.p.map_or_else(|| "none".to_owned(), probability);
        let test = entry.test.unwrap_or("no");
        let ci = interval(entry.ci);
        let gain = signed(effect);
        say(
            "effect",
            &format!("{gain}, 95 % interval {ci}, p {p}, {test} test"),
        );
    }
    if entry.candidate.n > 0 {
        say("baseline", &sample(entry.baseline));
        say("candidate", &sample(entry.candidate));
        say("cost", &super::report::ratios(&entry.ratios));
        say("measured by", entry.evaluated_by);
    }
    if let Some(more) = entry.more_seeds {
        say(
            "undecided",
            &format!("about {more} more seeds would decide"),
        );
    }
    if entry.runs.is_empty() {
        say("runs", "none");
        return out;
    }
    out.push('\n');
    out.push_str(&runs(&entry.runs, width, paint));
    out
}

fn sample(sample: ledger::Sample) -> String {
    let figure = |value: Option<f64>| value.map_or_else(|| "unknown".to_owned(), number);
    let (mean, sd) = (figure(sample.mean), figure(sample.sd));
    format!("mean {mean}, sd {sd}, n {}", sample.n)
}

fn runs(runs: &[ledger::Run], width: usize, paint: Paint) -> String {
    let heads = [
        "RUN", "ARM", "STAGE", ">SEED", "STATUS", ">METRIC", ">WALL", ">GPU", ">MIB", ">FLOPS",
    ];
    let mut table = Table::new(&heads);
    let maybe = |value: Option<f64>, write: &dyn Fn(f64) -> String| -> Cell {
        value.map_or_else(|| "-".to_owned(), write).into()
    };
    for run in runs {
        table.row(vec![
            (&run.id).into(),
            figure::word(&run.arm).into(),
            figure::word(&run.stage).into(),
            run.seed.to_string().into(),
            run.status.into(),
            maybe(run.metric, &number),
            maybe(run.wall_s, &span),
            maybe(run.gpu_s, &span),
            maybe(run.peak_mem_mb, &|mib| format!("{mib:.0}")),
            maybe(run.flops, &number),
        ]);
    }
    table.text(width, paint)
}

/// A run's page.
#[must_use]
pub fn run_page(whole: &Whole, metric: &str, paint: Paint) -> String {
    let run = &whole.run;
    let mut out = format!(
        "{}  {}  {}\n\n",
        paint.tint(Tint::Bold, &run.id),
        run.status,
        figure::one_line(&whole.note)
    );
    let mut say = |what: &str, text: &str| line(&mut out, paint, what, text);
    let by = whole.agent.as_deref().unwrap_or("lab");
    say("by", &format!("{by}, {}", whole.queued_at));
    say("commit", &whole.commit);
    let (arm, stage) = (figure::word(&run.arm), figure::word(&run.stage));
    let claim = whole.hypothesis.as_deref().unwrap_or("no claim");
    say(
        "what for",
        &format!("{claim}: {arm}, {stage}, seed {}", run.seed),
    );
    let env: Vec<String> = whole.env.iter().map(|(k, v)| format!("{k}={v}")).collect();
    say("env", &env.join(" "));
    let maybe =
        |value: Option<f64>, write: &dyn Fn(f64) -> String| value.map(write).unwrap_or_default();
    let value = run
        .metric
        .map(|value| format!("{metric} {}", number(value)));
    say("metric", &value.unwrap_or_default());
    say("wall", &maybe(run.wall_s, &span));
    say("cpu", &maybe(run.cpu_s, &span));
    say("gpu", &maybe(run.gpu_s, &span));
    say(
        "peak MiB",
        &maybe(run.peak_mem_mb, &|mib| format!("{mib:.0}")),
    );
    say("flops", &maybe(run.flops, &number));
    say("params", &maybe(run.params, &number));
    say("tokens", &maybe(run.tokens, &number));
    say("launches", &whole.attempts.to_string());
    say("why", &whole.reason);
    if !whole.tail.trim().is_empty() {
        out.push('\n');
        out.push_str(figure::harmless(&whole.tail).trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample as run_sample;

    #[test]
    fn an_attempt_is_named_by_its_id_or_its_commit() {
        let (_, mut state) = run_sample::run();
        let commit = "0123456789abcdef0123456789abcdef01234567";
        state.hypotheses.get_mut(&1).expect("h1").commit = Some(commit.to_owned());
        let id = |word: &str| Attempt::named(&state, word).map(|it| it.id());
        assert_eq!(id("h1").as_deref(), Some("h1"));
        assert_eq!(id("E7").as_deref(), Some("e7"));
        assert_eq!(id("0123456").as_deref(), Some("h1"));
        for none in ["h9", "e99", "012", "x1", "", "h", "hh1", "h-1"] {
            assert_eq!(id(none), None, "{none}");
        }
    }

    #[test]
    fn pages_say_all_that_is_known() {
        let (_, state) = run_sample::run();
        let entries = ledger::of(&state);
        let run = whole(&state.experiments[&7], "step 1\nval_loss: 0.9\n".to_owned());
        insta::assert_snapshot!(format!(
            "{}\n{}\n{}",
            claim_page(&entries[0], "val_loss", 80, Paint::Plain),
            claim_page(&entries[1], "val_loss", 80, Paint::Plain),
            run_page(&run, "val_loss", Paint::Plain)
        ));
    }
}
