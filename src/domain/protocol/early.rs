//! Which costs a candidate's run may not pass, asked while it runs.
//!
//! Owns the decision by which a run that is out of tolerance, or past a guard, ends before its budget
//! is spent. The lab asks with what the run has printed and taken so far, and ends it as `cancelled`
//! with the reason given here; asked again of the finished run, the protocol finds the same and moves
//! the claim to `mismatched`. Must not know how output is read.

use super::View;
use super::compare::cost;
use crate::domain::chart::{Axis, Chart};
use crate::domain::event::{Arm, Measured, RunStatus, Stage};
use crate::domain::state::{Experiment, State};

/// What one run's costs are held against, fixed when it starts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bounds(Vec<Bound>);

/// One cost, the baseline's mean of it, and how far a run may be from it.
#[derive(Debug, Clone, PartialEq)]
struct Bound {
    name: String,
    mean: f64,
    /// Least ratio to the mean; none where a value may still grow, or less is no fault.
    least: Option<f64>,
    most: f64,
    /// Whether it is the matched axis; else a guard.
    matched: bool,
}

impl Bounds {
    /// Why a run with these costs so far cannot match any more; none while it can. A value that only
    /// grows (time, memory, and counts that are printed as they go) is held against its upper bound
    /// alone; parameters, which do not grow, against both.
    #[must_use]
    pub fn broken(&self, so_far: &Measured) -> Option<String> {
        self.0.iter().find_map(|bound| {
            let ratio = cost(so_far, &bound.name)? / bound.mean;
            let name = &bound.name;
            if !bound.matched {
                let most = bound.most;
                return (ratio > most).then(|| {
                    format!("guard {name}: {ratio:.2} times the baseline's, at most {most:.2} is allowed")
                });
            }
            let out = ratio > bound.most || bound.least.is_some_and(|least| ratio < least);
            out.then(|| {
                format!(
                    "{name} is the matched axis, and the candidate used {ratio:.2} times the \
                     baseline's (at most {:.0} % apart is allowed)",
                    (bound.most - 1.0) * 100.0
                )
            })
        })
    }
}

/// What the costs of a run are held against: those of a claim's run that is compared, once its
/// baseline is known. Empty for all others, which may cost what they like.
#[must_use]
pub fn bounds(chart: &Chart, state: &State, id: u64) -> Bounds {
    let of = || -> Option<Bounds> {
        let run = state.experiments.get(&id)?;
        let compared = matches!(run.stage, Stage::Smoke | Stage::Screen | Stage::Confirm);
        if run.arm != Arm::Candidate || !compared {
            return None;
        }
        let claim = state.hypotheses.get(&run.hypothesis?)?;
        let pool = state.pool?;
        let view = View { chart, state, pool };
        let baseline = view.baseline(&claim.base).ok()??;
        Some(view.bounds(claim.axis, &baseline))
    };
    of().unwrap_or_default()
}

impl View<'_> {
    /// The bounds that a baseline sets. An axis is never enforced more finely than the baseline's own
    /// runs agree on it.
    fn bounds(&self, axis: Axis, baseline: &[&Experiment]) -> Bounds {
        let mean = |name: &str| {
            let known: Vec<f64> = baseline
                .iter()
                .filter_map(|run| cost(&run.measured, name))
                .collect();
            let mean = known.iter().sum::<f64>() / known.len() as f64;
            (mean > 0.0 && mean.is_finite()).then_some(mean)
        };
        let mut bounds = Vec::new();
        let name = axis.as_str();
        if let (true, Some(mean)) = (axis != Axis::None, mean(name)) {
            let tolerance = self
                .chart
                .protocol
                .tolerance
                .max(self.noise(name, baseline));
            bounds.push(Bound {
                name: name.to_owned(),
                mean,
                least: (axis == Axis::Params).then_some(1.0 - tolerance),
                most: 1.0 + tolerance,
                matched: true,
            });
        }
        for (name, limit) in &self.chart.protocol.guards {
            let Some(mean) = mean(name) else { continue };
            bounds.push(Bound {
                name: name.clone(),
                mean,
                least: None,
                most: limit + self.noise(name, baseline),
                matched: false,
            });
        }
        Bounds(bounds)
    }

    /// Why a claim's run ended before its time for what it cost, if it did.
    pub(super) fn cut_short(
        &self,
        axis: Axis,
        run: &Experiment,
        baseline: &[&Experiment],
    ) -> Option<String> {
        (run.status == RunStatus::Cancelled)
            .then(|| self.bounds(axis, baseline).broken(&run.measured))
            .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(name: &str, least: Option<f64>, most: f64, matched: bool) -> Bound {
        Bound {
            name: name.to_owned(),
            mean: 100.0,
            least,
            most,
            matched,
        }
    }

    #[test]
    fn a_run_ends_as_soon_as_it_cannot_match_any_more() {
        let flops = Bounds(vec![bound("flops", None, 1.02, true)]);
        let so_far = |flops: Option<f64>, wall_s: f64| Measured {
            flops,
            wall_s,
            ..Measured::default()
        };
        assert_eq!(
            flops.broken(&so_far(None, 9.0)),
            None,
            "nothing printed yet"
        );
        assert_eq!(
            flops.broken(&so_far(Some(10.0), 9.0)),
            None,
            "it may count up"
        );
        assert_eq!(flops.broken(&so_far(Some(101.9), 9.0)), None);
        let why = flops.broken(&so_far(Some(350.0), 9.0)).expect("broken");
        assert!(
            why.contains("3.50 times") && why.contains("matched"),
            "{why}"
        );
        let guard = Bounds(vec![bound("wall", None, 1.5, false)]);
        assert_eq!(guard.broken(&so_far(Some(1e9), 149.0)), None);
        assert!(guard.broken(&so_far(None, 151.0)).is_some());
        let params = Bounds(vec![bound("params", Some(0.98), 1.02, true)]);
        let small = Measured {
            params: Some(50.0),
            ..Measured::default()
        };
        assert!(params.broken(&small).is_some(), "a model does not grow");
    }
}
