//! Claims that wait so that a person can look at them before their first run.
//!
//! Owns what is shown of one: title, cost, until when, and what to type. Must not know why a chart
//! gives notice, nor start anything.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;

use super::figure;
use super::table::cut;
use crate::domain::chart::{Chart, Confirm};
use crate::domain::event::{RunStatus, Stage};
use crate::domain::lease;
use crate::domain::state::State;

/// Fewest fresh seeds that a confirmation takes.
const FEWEST_SEEDS: u32 = 4;

/// One claim under notice.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Notice {
    /// `h3`.
    pub hypothesis: String,
    /// Whose.
    pub agent: String,
    /// In a line.
    pub title: String,
    /// When its first run may start.
    pub until: Timestamp,
    /// Runs that it may take, by a first reckoning.
    pub runs: u32,
    /// Wall seconds of one, by the baseline's; none before there is one.
    pub seconds_each: Option<f64>,
}

/// All that wait, the next to start first.
#[must_use]
pub fn of(chart: &Chart, state: &State, now: Timestamp) -> Vec<Notice> {
    let base = state
        .experiments
        .values()
        .filter(|run| run.stage == Stage::Admission && run.status == RunStatus::Ok);
    let spans: Vec<f64> = base.map(|run| run.measured.wall_s).collect();
    let seconds_each = (!spans.is_empty()).then(|| spans.iter().sum::<f64>() / spans.len() as f64);
    let seeds = match chart.protocol.confirm {
        Confirm::Seeds(seeds) => seeds,
        Confirm::Auto => FEWEST_SEEDS,
    };
    let claims = state.hypotheses.values();
    let mut all: Vec<Notice> = claims
        .filter_map(|claim| {
            let until = lease::notice(chart, state, claim).filter(|at| *at > now)?;
            Some(Notice {
                hypothesis: format!("h{}", claim.id),
                agent: claim.agent.clone(),
                title: claim.title.clone(),
                until,
                runs: seeds + 1,
                seconds_each,
            })
        })
        .collect();
    all.sort_by_key(|notice| notice.until);
    all
}

/// The same for people, two lines each.
#[must_use]
pub fn text(notices: &[Notice], now: Timestamp, width: usize) -> String {
    let mut out = String::new();
    for notice in notices {
        let (id, runs) = (&notice.hypothesis, notice.runs);
        let left = figure::ago(now, notice.until);
        let cost = notice.seconds_each.map_or_else(String::new, |each| {
            format!(", {} s each", figure::number(each.round()))
        });
        let what = format!(
            "notice       {id} starts in {left}: {} by {}, {runs} runs or more{cost}",
            figure::one_line(&notice.title),
            notice.agent
        );
        let how = format!("             org ledger show {id} shows it; org cancel {id} stops it");
        for line in [what, how] {
            writeln!(out, "{}", cut(&line, width)).expect("a string takes everything");
        }
    }
    out
}
