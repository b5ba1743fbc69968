//! What was claimed and what came of it: `org ledger`.
//!
//! Owns the list that scripts read, whose names are fixed: every claim, refused ones too, with every
//! run that its verdict rests on. What is not known is null, never zero. Must not know how a verdict
//! is reached.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use super::figure;
use super::paint::{Paint, Tint};
use super::table::{Cell, Table};
use crate::domain::event::{Arm, By, Stage, Status};
use crate::domain::protocol::{Ratios, Verdict};
use crate::domain::state::{Experiment, Hypothesis, State};
use crate::domain::stats;

/// One claim, as `org ledger --json` prints it.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// `h3`.
    pub id: String,
    /// Whose.
    pub agent: String,
    /// In a line.
    pub title: String,
    /// `improve no_worse explain`.
    pub claim: &'static str,
    /// The matched axis.
    pub axis: &'static str,
    /// The locked commit.
    pub commit: Option<String>,
    /// How it stands.
    pub status: &'static str,
    /// Why.
    pub reason: String,
    /// `paired` or `pooled`, once fixed.
    pub test: Option<&'static str>,
    /// Mean difference, positive is better.
    pub effect: Option<f64>,
    /// Its 95 % interval.
    pub ci: Option<[f64; 2]>,
    /// One-sided p.
    pub p: Option<f64>,
    /// Who measured.
    pub evaluated_by: &'static str,
    /// The metric in the baseline arm.
    pub baseline: Sample,
    /// The metric in the candidate arm.
    pub candidate: Sample,
    /// Costs, candidate over baseline.
    pub ratios: Ratios,
    /// Every run it rests on.
    pub runs: Vec<Run>,
    /// When it was registered.
    pub at: Timestamp,
    /// The champion that it is compared with.
    pub base: String,
    /// Why it should hold.
    pub mechanism: String,
    /// Its size, as claimed.
    pub predicts: f64,
    /// What would refute it.
    pub refuted_by: String,
    /// The margin of a `no_worse` claim.
    pub margin: Option<f64>,
    /// An earlier claim that it repeats on purpose.
    pub replicates: Option<String>,
    /// Seeds that would decide an undecided one.
    pub more_seeds: Option<u32>,
    /// Parts of a bundle that did no work and were dropped.
    pub dropped: Vec<String>,
}

/// Size, mean and standard deviation of some runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Sample {
    /// How many.
    pub n: u32,
    /// Their mean.
    pub mean: Option<f64>,
    /// Their standard deviation.
    pub sd: Option<f64>,
}

impl From<stats::Sample> for Sample {
    fn from(sample: stats::Sample) -> Self {
        Self {
            n: sample.n,
            mean: (sample.n > 0).then_some(sample.mean),
            sd: (sample.n > 1).then_some(sample.sd),
        }
    }
}

/// One run of a claim.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// `e7`.
    pub id: String,
    /// Which arm.
    pub arm: Arm,
    /// What for.
    pub stage: Stage,
    /// The seed.
    pub seed: u64,
    /// How it stands or ended.
    pub status: &'static str,
    /// The metric.
    pub metric: Option<f64>,
    /// Wall seconds.
    pub wall_s: Option<f64>,
    /// CPU seconds.
    pub cpu_s: Option<f64>,
    /// GPU seconds.
    pub gpu_s: Option<f64>,
    /// Peak memory, MiB.
    pub peak_mem_mb: Option<f64>,
    /// Floating-point operations.
    pub flops: Option<f64>,
    /// Parameters.
    pub params: Option<f64>,
    /// Tokens.
    pub tokens: Option<f64>,
    /// Mean utilisation of its devices, per cent.
    pub gpu_util: Option<f64>,
    /// Most memory held on its devices, MiB.
    pub peak_gpu_mb: Option<f64>,
    /// Who printed the metric.
    pub evaluated_by: &'static str,
    /// Who printed FLOPs, parameters and tokens.
    pub measured_by: &'static str,
}

/// All claims, oldest first.
#[must_use]
pub fn of(state: &State) -> Vec<Entry> {
    state
        .hypotheses
        .values()
        .map(|claim| entry(state, claim))
        .collect()
}

/// A claim as the ledger shows it.
#[must_use]
pub fn entry(state: &State, claim: &Hypothesis) -> Entry {
    let none = Verdict {
        test: None,
        effect: None,
        ci: None,
        p: None,
        baseline: stats::Sample::default(),
        candidate: stats::Sample::default(),
        ratios: Ratios::default(),
        more_seeds: None,
        runs: Vec::new(),
    };
    let verdict = claim.verdict.as_ref().unwrap_or(&none);
    let rests_on = runs_of(state, claim);
    let test = verdict.test.or(claim.plan.map(|(test, _)| test));
    Entry {
        id: format!("h{}", claim.id),
        agent: claim.agent.clone(),
        title: claim.title.clone(),
        claim: claim.claim.word(),
        axis: claim.axis.as_str(),
        commit: claim.commit.clone(),
        status: claim.status.word(),
        reason: claim.reason.clone(),
        test: test.map(|test| test.word()),
        effect: verdict.effect.filter(|effect| effect.is_finite()),
        ci: figure::bounded(verdict.ci),
        p: verdict.p,
        evaluated_by: evaluated_by(state, &rests_on).word(),
        baseline: verdict.baseline.into(),
        candidate: verdict.candidate.into(),
        ratios: verdict.ratios,
        runs: rests_on
            .iter()
            .filter_map(|id| state.experiments.get(id))
            .map(run)
            .collect(),
        at: claim.at,
        base: claim.base.clone(),
        mechanism: claim.mechanism.clone(),
        predicts: claim.predicts,
        refuted_by: claim.refuted_by.clone(),
        margin: claim.margin,
        dropped: claim.dropped.iter().map(|(part, _)| part.clone()).collect(),
        replicates: claim.replicates.map(|id| format!("h{id}")),
        more_seeds: verdict.more_seeds,
    }
}

/// Who measured: the harness, where its own evaluation stands behind every figure.
fn evaluated_by(state: &State, runs: &BTreeSet<u64>) -> By {
    let runs = runs.iter().filter_map(|id| state.experiments.get(id));
    let by = runs.filter(|run| run.measured.value.is_some());
    by.map(|run| run.measured.evaluated_by)
        .min()
        .unwrap_or_default()
}

/// Every run that a claim rests on: its verdict's, and its own that no verdict names yet.
fn runs_of(state: &State, claim: &Hypothesis) -> BTreeSet<u64> {
    let judged = claim.verdict.iter().flat_map(|verdict| &verdict.runs);
    let own = state
        .experiments
        .values()
        .filter(|run| run.hypothesis == Some(claim.id))
        .map(|run| &run.id);
    judged.chain(own).copied().collect()
}

/// A run as the ledger shows it.
#[must_use]
pub(super) fn run(run: &Experiment) -> Run {
    let ended = run.finished_at.is_some();
    let known = |value: f64| ended.then_some(value);
    let measured = &run.measured;
    Run {
        id: format!("e{}", run.id),
        arm: run.arm,
        stage: run.stage,
        seed: run.seed,
        status: run.status.word(),
        metric: measured.value,
        wall_s: known(measured.wall_s),
        cpu_s: known(measured.cpu_s),
        gpu_s: known(measured.gpu_s),
        peak_mem_mb: known(measured.peak_mem_mb),
        flops: measured.flops,
        params: measured.params,
        tokens: measured.tokens,
        gpu_util: measured.gpu_util,
        peak_gpu_mb: measured.peak_gpu_mb,
        evaluated_by: measured.evaluated_by.word(),
        measured_by: measured.measured_by.word(),
    }
}

/// The ledger for people.
#[must_use]
pub fn text(entries: &[Entry], width: usize, paint: Paint) -> String {
    let heads = [
        "ID", "STATUS", "AGENT", "CLAIM", ">EFFECT", ">P", ">N", "TITLE",
    ];
    let mut table = Table::new(&heads);
    let maybe = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    for entry in entries {
        table.row(vec![
            Cell::tinted(Tint::Bold, &entry.id),
            Cell::tinted(status_tint(entry.status), entry.status),
            (&entry.agent).into(),
            entry.claim.into(),
            maybe(entry.effect.map(figure::signed)).into(),
            maybe(entry.p.map(figure::probability)).into(),
            entry.candidate.n.to_string().into(),
            (&entry.title).into(),
        ]);
    }
    table.text(width, paint)
}

/// What was looked at without a claim, for people; empty where nothing was.
#[must_use]
pub fn looks(state: &State, metric: &str, width: usize, paint: Paint) -> String {
    let mut table = Table::new(&["RUN", "STATUS", "AGENT", ">VALUE", "COMMIT", "NOTE"]);
    let runs = state.experiments.values();
    for run in runs.filter(|run| run.stage == Stage::Explore) {
        let value = run.measured.value;
        table.row(vec![
            Cell::tinted(Tint::Bold, format!("e{}", run.id)),
            run.status.word().into(),
            run.agent.as_deref().unwrap_or("lab").into(),
            value.map_or_else(|| "-".to_owned(), figure::number).into(),
            figure::commit(&run.commit).into(),
            (&run.note).into(),
        ]);
    }
    if table.is_empty() {
        return String::new();
    }
    let head = format!("without a claim, one seed each (value: {metric}):\n");
    format!(
        "{}{}",
        paint.tint(Tint::Dim, &head),
        table.text(width, paint)
    )
}

/// How a claim's status is tinted.
pub(super) fn status_tint(status: &str) -> Tint {
    let of = |wanted: &[Status]| wanted.iter().any(|one| one.word() == status);
    if of(&[Status::Promoted, Status::Confirmed, Status::Reviewed]) {
        Tint::Good
    } else if of(&[Status::Registered, Status::Smoke, Status::Screened]) {
        Tint::Notable
    } else {
        Tint::Dim
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;

    #[test]
    fn has_the_names_that_scripts_read() {
        let (_, state) = sample::run();
        let entries = of(&state);
        let all = "agent at axis base baseline candidate ci claim commit dropped effect evaluated_by id margin \
                   mechanism more_seeds p predicts ratios reason refuted_by replicates runs status test title";
        assert_eq!(sample::keys(&entries[0]).join(" "), all);
        let value = serde_json::to_value(&entries[0]).expect("plain data");
        assert_eq!(sample::keys(&value["baseline"]), ["mean", "n", "sd"]);
        assert_eq!(
            sample::keys(&value["ratios"]),
            ["flops", "gpu", "params", "peak_mem", "tokens", "wall"]
        );
        assert_eq!(
            sample::keys(&value["runs"][0]).join(" "),
            "arm cpu_s evaluated_by flops gpu_s gpu_util id measured_by metric params peak_gpu_mb \
             peak_mem_mb seed stage status tokens wall_s"
        );
        assert_eq!(value["runs"][0]["arm"], "baseline");
        assert_eq!(value["runs"][0]["stage"], "admission");
    }

    #[test]
    fn lists_refused_claims_and_every_run_a_verdict_rests_on() {
        let (_, state) = sample::run();
        let entries = of(&state);
        let (promoted, refused) = (&entries[0], &entries[1]);
        assert_eq!(promoted.status, "promoted");
        let ids: Vec<&str> = promoted.runs.iter().map(|run| run.id.as_str()).collect();
        assert_eq!(ids, ["e1", "e2", "e3", "e4", "e5", "e6"]);
        assert_eq!((refused.status, refused.runs.len()), ("rejected", 0));
        assert_eq!(refused.baseline, Sample::default());
        assert!(refused.ci.is_none() && refused.effect.is_none());
    }

    #[test]
    fn an_unbounded_interval_is_no_interval() {
        let (_, mut state) = sample::run();
        let claim = state.hypotheses.get_mut(&1).expect("h1");
        claim.verdict.as_mut().expect("judged").ci = Some([f64::MIN, f64::MAX]);
        assert!(of(&state)[0].ci.is_none());
    }

    #[test]
    fn fits_80_columns() {
        let (_, state) = sample::run();
        let claims = text(&of(&state), 80, Paint::Plain);
        let text = format!("{claims}\n{}", looks(&state, "val_loss", 80, Paint::Plain));
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        insta::assert_snapshot!(text);
    }
}
