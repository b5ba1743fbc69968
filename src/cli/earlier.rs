//! What an earlier run of a chart's organisation knows of its noise, and what the chart cannot decide
//! by it: said by `check` and `up`, before anything is spent.
//!
//! Owns which run is asked: the newest of that name. Must not know the arithmetic.

use super::place::{self, Place};
use crate::domain::chart::Chart;
use crate::domain::problem::Problem;
use crate::domain::protocol;
use crate::run::log::Log;
use crate::run::paths::RunDir;

/// Warnings from the newest run of the same name that has a baseline; none where there is none.
pub(super) fn undecided(place: &Place, chart: &Chart) -> Vec<Problem> {
    // Nothing is promised that noise could break.
    if chart.protocol.margin.is_none() && chart.budget.gpu_hours.is_none() {
        return Vec::new();
    }
    let prefix = format!("{}-", chart.name);
    let ours = |dir: &RunDir| {
        let id = dir.id();
        // An id is the name and one word.
        id.strip_prefix(&prefix)
            .is_some_and(|word| !word.contains('-'))
    };
    let newest = place.runs().into_iter().filter(ours);
    let Some(dir) = newest.max_by_key(place::created) else {
        return Vec::new();
    };
    let Ok(log) = Log::open(&dir) else {
        return Vec::new();
    };
    let Some((cost, noise @ Some(_))) = protocol::known(log.state()) else {
        return Vec::new();
    };
    let blind = protocol::blind(chart);
    let prospect = protocol::prospect(chart, cost, noise);
    let warnings = prospect.warnings.into_iter();
    warnings
        .filter(|warning| Some(warning) != blind.as_ref())
        .map(|warning| Problem {
            file: None,
            line: 1,
            column: 1,
            path: "protocol".to_owned(),
            message: format!("by the noise and cost of {}: {warning}", dir.id()),
            hint: format!("org plan CHART --run {} says what can be decided", dir.id()),
        })
        .collect()
}
