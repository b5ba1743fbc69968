//! When a run was disturbed by others on its processors.
//!
//! Owns the rule by which a run whose own clock decides is `contended` and not counted: it waited for
//! processors that others had. Must not know how waiting is measured.

use super::chart::{Axis, Chart};
use super::event::{Arm, Measured, RunStatus};
use super::state::{Experiment, State};

/// Runs shorter than this, seconds, are compared no finer than a machine's own jitter anyway.
const SHORTEST_S: f64 = 5.0;
/// Share of its time that a run may wait for a processor beyond what is usual here.
const WAITS_ABOVE: f64 = 0.25;
/// Share of all processors that a run uses itself from which it waits for nobody but its own threads.
const FILLS: f64 = 0.85;
/// Disturbed runs of a commit after which that is how this machine is.
const USUAL_AFTER: usize = 3;

/// What is usual for a run, where it matters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calm {
    usual: f64,
}

/// What is usual for runs of a task whose clock decides: how long its undisturbed runs wait, or all of them
/// where hardly any is undisturbed. None where the clock decides nothing.
#[must_use]
pub fn calm(chart: &Chart, state: &State, run: &Experiment) -> Option<Calm> {
    if run.agent.is_some() {
        // A look around: no verdict rests on it.
        return None;
    }
    let axis = run
        .hypothesis
        .and_then(|id| state.hypotheses.get(&id))
        .map_or(chart.protocol.matched, |claim| claim.axis);
    let timed = |name: &str| matches!(name, "wall" | "gpu");
    let guarded = chart.protocol.guards.iter().any(|(name, _)| timed(name));
    // Without an axis the metric is itself a cost.
    if !(guarded || timed(axis.as_str()) || axis == Axis::None) {
        return None;
    }
    let waits = |of: &dyn Fn(&Experiment) -> bool| -> Vec<f64> {
        let runs = state.experiments.values();
        let runs = runs.filter(|run| run.arm == Arm::Baseline && of(run));
        runs.filter_map(|run| run.measured.cpu_wait).collect()
    };
    let disturbed = waits(&|run| run.status == RunStatus::Contended);
    let mut known = waits(&|run| run.status == RunStatus::Ok);
    if disturbed.len() >= USUAL_AFTER {
        known.extend(disturbed);
    }
    let usual = if known.is_empty() {
        0.0
    } else {
        known.iter().sum::<f64>() / known.len() as f64
    };
    Some(Calm { usual })
}

impl Calm {
    /// Why a run that took this on a machine of so many processors does not count, if so.
    #[must_use]
    pub fn broken(&self, took: &Measured, processors: usize) -> Option<String> {
        let waited = took.cpu_wait?;
        let filled = took.cpu_s / (took.wall_s * processors.max(1) as f64);
        let disturbed =
            took.wall_s >= SHORTEST_S && waited > self.usual + WAITS_ABOVE && filled < FILLS;
        disturbed.then(|| {
            format!(
                "others had its processors: it waited for {:.0} % of the time that it could have run, \
                 where {:.0} % are usual",
                waited * 100.0,
                self.usual * 100.0
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_others_and_only_more_than_is_usual_disturb() {
        let took = |wall_s: f64, cpu_s: f64, waited: f64| Measured {
            wall_s,
            cpu_s,
            cpu_wait: Some(waited),
            ..Measured::default()
        };
        let fresh = Calm { usual: 0.0 };
        assert!(fresh.broken(&took(10.0, 5.0, 0.5), 2).is_some());
        // Its own sixteen threads on two processors wait for each other.
        assert_eq!(fresh.broken(&took(10.0, 19.5, 0.85), 2), None);
        assert_eq!(fresh.broken(&took(10.0, 9.0, 0.1), 2), None);
        assert_eq!(
            fresh.broken(&took(1.0, 0.4, 0.6), 2),
            None,
            "too short to say"
        );
        let busy = Calm { usual: 0.4 };
        assert_eq!(
            busy.broken(&took(10.0, 5.0, 0.5), 2),
            None,
            "as always here"
        );
        assert!(busy.broken(&took(10.0, 3.0, 0.7), 2).is_some());
        let unknown = Measured {
            cpu_wait: None,
            ..took(10.0, 1.0, 0.0)
        };
        assert_eq!(fresh.broken(&unknown, 2), None);
    }

    #[test]
    fn the_clock_must_decide_and_a_busy_machine_is_learnt() {
        let (mut chart, mut state) = crate::view::sample::run();
        let ids: Vec<u64> = state.experiments.keys().copied().collect();
        let run = state.experiments[&ids[0]].clone();
        chart.protocol.matched = Axis::Flops;
        chart.protocol.guards.clear();
        let mut alone = run.clone();
        alone.hypothesis = None;
        alone.agent = None;
        assert_eq!(calm(&chart, &state, &alone), None);
        chart.protocol.matched = Axis::Wall;
        assert_eq!(calm(&chart, &state, &alone), Some(Calm { usual: 0.0 }));
        let mut look = alone.clone();
        look.agent = Some("ana".to_owned());
        assert_eq!(calm(&chart, &state, &look), None);
        for id in ids.iter().take(USUAL_AFTER) {
            let run = state.experiments.get_mut(id).expect("there");
            run.arm = Arm::Baseline;
            run.status = RunStatus::Contended;
            run.measured.cpu_wait = Some(0.6);
        }
        assert_eq!(calm(&chart, &state, &alone), Some(Calm { usual: 0.6 }));
    }
}
