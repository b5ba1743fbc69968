//! Whether money may be spent: caps of the org, of a role and of an agent.
//!
//! Owns the comparison; it is made under the log's lock, so that no interleaving of agents can pass a
//! cap. Must not know prices.

use super::chart::Chart;
use super::state::State;

/// A cap that a reservation would pass.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(
    "the cap of {cap:.2} usd for {whom} would be passed: {used:.4} usd are spent or set aside, and \
     this request may cost {asked:.4}"
)]
pub struct Capped {
    /// Whose cap.
    pub whom: String,
    /// The cap, US dollars.
    pub cap: f64,
    /// Spent and set aside under it, US dollars.
    pub used: f64,
    /// What the request may cost at most, US dollars.
    pub asked: f64,
}

/// Whether an agent may set aside `usd` US dollars.
///
/// # Errors
/// [`Capped`] with the first cap that would be passed.
pub fn may_reserve(chart: &Chart, state: &State, name: &str, usd: f64) -> Result<(), Capped> {
    let used_by = |who: &dyn Fn(&str) -> bool| -> f64 {
        let all = state.agents.iter().filter(|(other, _)| who(other));
        all.map(|(_, agent)| agent.usd + agent.usd_lost + agent.request.map_or(0.0, |r| r.1))
            .sum()
    };
    let check = |whom: &str, cap: Option<f64>, used: f64| match cap {
        Some(cap) if used + usd > cap => Err(Capped {
            whom: whom.to_owned(),
            cap,
            used,
            asked: usd,
        }),
        _ => Ok(()),
    };
    check("the org", usd_cap(chart, state), used_by(&|_| true))?;
    let Some(agent) = chart.agent(name) else {
        return Ok(());
    };
    let same_role = |other: &str| chart.agent(other).is_some_and(|a| a.role == agent.role);
    check(
        &format!("role {}", agent.role),
        chart.role_of(agent).usd,
        used_by(&same_role),
    )?;
    check(name, agent.usd, used_by(&|other| other == name))
}

/// The org's cap in US dollars: a person's last word over the chart's.
#[must_use]
pub fn usd_cap(chart: &Chart, state: &State) -> Option<f64> {
    state.caps.get("usd").copied().or(chart.budget.usd)
}

/// The org's cap in seconds from its creation: a person's last word over the chart's.
#[must_use]
pub fn wall_cap(chart: &Chart, state: &State) -> Option<f64> {
    state.caps.get("wall").copied().or(chart.budget.wall)
}
