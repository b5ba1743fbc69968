//! A baseline that has grown old, or was measured on another machine: two of its runs are made again, and
//! where they do not agree with the old ones, none of those counts any more.
//!
//! Owns when a baseline is stale and when it has drifted. Must not know how a machine is told from another.

use jiff::{SignedDuration, Timestamp};

use super::View;
use super::compare::PAIRS_BELOW;
use super::words::{Step, Wanted};
use crate::domain::event::{Arm, RunStatus, Stage};
use crate::domain::state::{Experiment, Hypothesis};
use crate::domain::stats::figure;

/// Hours after which a baseline is looked at again: half a day, over which drivers, clocks and neighbours
/// change.
const FRESH_HOURS: i64 = 12;
/// Seeds that are run again.
const AGAIN: usize = 2;
/// Spreads of the baseline by which the mean of those may differ where a seed means nothing.
const DRIFT_SIGMAS: f64 = 4.0;
/// Launches of one of those that the world disturbed before the old baseline is kept.
const MAX_CONTENDED: usize = 3;

impl View<'_> {
    /// What is to be done before a claim is first measured against a baseline; none where that is fresh, or
    /// holds as it is.
    pub(super) fn stale(&self, claim: &Hypothesis, baseline: &[&Experiment]) -> Option<Vec<Step>> {
        let begun = |run: &Experiment| run.hypothesis == Some(claim.id);
        if self.state.experiments.values().any(begun) {
            return None;
        }
        let horizon = self.horizon()?;
        let (mut wanted, mut waits) = (Vec::new(), false);
        let mut both: Vec<(&Experiment, &Experiment)> = Vec::new();
        for old in baseline.iter().take(AGAIN) {
            if is_fresh(old, horizon) {
                return None;
            }
            let mut again = self.runs(&claim.base, old.seed, Stage::Rebaseline);
            again.retain(|run| run.id > old.id && is_fresh(run, horizon));
            let disturbed = again
                .iter()
                .filter(|run| run.status == RunStatus::Contended);
            if disturbed.count() >= MAX_CONTENDED {
                return None;
            }
            if let Some(new) = again.iter().find(|run| run.status == RunStatus::Ok) {
                both.push((old, new));
            } else if again.iter().any(|run| run.finished_at.is_none()) {
                waits = true;
            } else {
                wanted.push(Step::Queue(Wanted {
                    hypothesis: None,
                    arm: Arm::Baseline,
                    stage: Stage::Rebaseline,
                    seed: old.seed,
                    commit: claim.base.clone(),
                }));
            }
        }
        if waits || !wanted.is_empty() {
            return Some(wanted);
        }
        self.drifted(claim, &both, baseline).map(|step| vec![step])
    }

    /// From when a run counts as fresh; none before anything has happened.
    fn horizon(&self) -> Option<Timestamp> {
        let now = self.state.at?;
        let old = now
            .checked_sub(SignedDuration::from_hours(FRESH_HOURS))
            .ok()?;
        let moved = self.state.machine.as_ref().and_then(|it| it.since);
        Some(moved.map_or(old, |moved| moved.max(old)))
    }

    /// That the old runs count no more, where the new ones differ from them by more than chance.
    fn drifted(
        &self,
        claim: &Hypothesis,
        both: &[(&Experiment, &Experiment)],
        baseline: &[&Experiment],
    ) -> Option<Step> {
        let from = both.iter().map(|(_, new)| new.id).min()?;
        let sigma = self.sigma(baseline);
        let apart: Vec<f64> = both.iter().map(|(old, new)| self.gain(old, new)).collect();
        let mean = apart.iter().sum::<f64>() / apart.len() as f64;
        let gone = if self.seeds_pair(sigma) {
            apart.iter().any(|by| by.abs() > PAIRS_BELOW * sigma)
        } else {
            mean.abs() > DRIFT_SIGMAS * sigma / (both.len() as f64).sqrt()
        };
        gone.then(|| {
            let why = format!(
                "run again, the baseline differs by {} on the same seeds: its older runs count no more",
                figure(mean)
            );
            Step::Expire(claim.base.clone(), from, why)
        })
    }
}

/// Whether a run is of now: one that has yet to end will be.
fn is_fresh(run: &Experiment, horizon: Timestamp) -> bool {
    run.finished_at.is_none_or(|at| at >= horizon)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::chart::Chart;
    use crate::domain::event::Measured;
    use crate::domain::state::{Machine, State};

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + hour * 3600).expect("in range")
    }

    /// A baseline of three seeds, one of them twice, and a claim that has yet to run.
    fn world() -> (Chart, State, Hypothesis) {
        let (mut chart, sample) = crate::view::sample::run();
        chart.protocol.baseline = 3;
        let mut claim = sample.hypotheses.values().next().expect("a claim").clone();
        claim.id = 900;
        let model = sample.experiments.values().next().expect("a run").clone();
        let mut state = State {
            pool: Some(7),
            start: "base".to_owned(),
            champion: "base".to_owned(),
            at: Some(at(1)),
            ..State::default()
        };
        claim.base = "base".to_owned();
        for (id, index) in [(1, 0), (2, 0), (3, 1), (4, 2)] {
            let run = run_of(&model, id, index, 1.0 + index as f64);
            state.experiments.insert(id, run);
        }
        (chart, state, claim)
    }

    fn run_of(model: &Experiment, id: u64, index: u64, value: f64) -> Experiment {
        Experiment {
            id,
            agent: None,
            hypothesis: None,
            arm: Arm::Baseline,
            stage: Stage::Admission,
            seed: super::super::seed(7, index),
            commit: "base".to_owned(),
            env: std::collections::BTreeMap::new(),
            status: RunStatus::Ok,
            finished_at: Some(at(0)),
            measured: Measured {
                value: Some(value),
                ..Measured::default()
            },
            ..model.clone()
        }
    }

    fn asked(chart: &Chart, state: &State, claim: &Hypothesis) -> Option<Vec<Step>> {
        let view = View {
            chart,
            state,
            pool: 7,
        };
        let baseline = view.baseline("base").expect("usable").expect("there");
        view.stale(claim, &baseline)
    }

    #[test]
    fn a_baseline_is_not_known_before_its_repeat_has_ended() {
        let (chart, mut state, _) = world();
        state.start = "base".to_owned();
        let known = |state: &State| {
            let view = View {
                chart: &chart,
                state,
                pool: 7,
            };
            view.baseline("base").expect("usable").is_some()
        };
        assert!(known(&state));
        let repeat = state.experiments.get_mut(&2).expect("there");
        (repeat.status, repeat.finished_at) = (RunStatus::Running, None);
        assert!(!known(&state), "which test a claim gets hangs on it");
    }

    #[test]
    fn an_old_baseline_is_run_again_and_kept_or_dropped() {
        let (chart, mut state, claim) = world();
        assert_eq!(asked(&chart, &state, &claim), None, "an hour is nothing");
        // Another machine makes it stale at once, and so does half a day.
        state.machine = Some(Machine {
            what: "other".to_owned(),
            since: Some(at(1)),
        });
        assert_eq!(asked(&chart, &state, &claim).map(|it| it.len()), Some(2));
        state.machine = None;
        state.at = Some(at(20));
        assert_eq!(asked(&chart, &state, &claim).map(|it| it.len()), Some(2));
        let model = state.experiments[&1].clone();
        let mut again = |id, index, value, ended: Option<i64>| {
            let mut run = run_of(&model, id, index, value);
            run.stage = Stage::Rebaseline;
            run.finished_at = ended.map(at);
            run.status = match ended {
                Some(_) => RunStatus::Ok,
                None => RunStatus::Queued,
            };
            state.experiments.insert(id, run);
        };
        again(5, 0, 1.0, Some(19));
        again(6, 1, 2.0, None);
        assert_eq!(asked(&chart, &state, &claim), Some(Vec::new()), "it waits");
        let run = state.experiments.get_mut(&6).expect("there");
        (run.status, run.finished_at) = (RunStatus::Ok, Some(at(19)));
        assert_eq!(asked(&chart, &state, &claim), None, "it is as it was");
        let run = state.experiments.get_mut(&6).expect("there");
        run.measured.value = Some(2.9);
        let steps = asked(&chart, &state, &claim).expect("a step");
        assert!(
            matches!(&steps[..], [Step::Expire(commit, 5, _)] if commit == "base"),
            "{steps:?}"
        );
        // What is expired is measured anew, but for what was just run.
        state.expired.insert("base".to_owned(), 5);
        let view = View {
            chart: &chart,
            state: &state,
            pool: 7,
        };
        assert_eq!(view.baseline("base").expect("usable"), None);
        assert_eq!(view.admission("base", false).len(), 1);
    }
}
