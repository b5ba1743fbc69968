//! Whether money may be spent: caps of the org, of an hour, of a role and of an agent.
//!
//! Owns the comparison; it is made under the log's lock, so that no interleaving of agents can pass a
//! cap. What is set aside for requests in flight counts as spent, but whoever is only in their way
//! waits for them to settle and is not stopped. Must not know prices.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use super::chart::Chart;
use super::needs::NEAR;
use super::state::State;

/// What the hourly cap looks back on.
const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// Sums of many small floats differ in their last digits; a hundred-millionth of a cent is no money.
const DUST: f64 = 1e-10;

/// A cap with what is gone of it, US dollars.
#[derive(Debug, Clone, PartialEq)]
pub struct Purse {
    /// Whose: `the org`, `the org in an hour`, a role, an agent.
    pub whom: String,
    /// What `org budget` calls it.
    pub key: String,
    /// The cap.
    pub cap: f64,
    /// Settled, or never to be known.
    pub spent: f64,
    /// Set aside for requests in flight.
    pub reserved: f64,
    /// Whether it is the one that time refills.
    hourly: bool,
}

/// What lets a refused request be made after all. The later, the worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Remedy {
    /// Requests in flight cost less than was set aside for them.
    Settling,
    /// What was spent an hour ago no longer counts.
    Time(Timestamp),
    /// A person raises the cap.
    Person,
}

/// A cap that a reservation would pass.
#[derive(Debug, Clone, PartialEq)]
pub struct Capped {
    /// The cap.
    pub purse: Purse,
    /// What the request may cost at most, US dollars.
    pub asked: f64,
    /// What helps.
    pub remedy: Remedy,
}

impl fmt::Display for Capped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Purse {
            whom,
            key,
            cap,
            spent,
            reserved,
            ..
        } = &self.purse;
        let (gone, asked) = (spent + reserved, self.asked);
        write!(
            f,
            "the cap of {cap:.2} usd for {whom} would be passed: {gone:.4} usd are spent or set \
             aside, and this request may cost {asked:.4}; `org budget {key}=…` raises it"
        )
    }
}

impl std::error::Error for Capped {}

impl Capped {
    /// What a request waits for that only has to let others' settle.
    #[must_use]
    pub fn waiting(&self) -> String {
        let Purse { whom, cap, .. } = &self.purse;
        format!(
            "budget, the rest of the {cap:.2} usd of {whom} is set aside for requests in flight"
        )
    }
}

/// Every cap that an agent's requests count under, the org's first.
#[must_use]
pub fn purses(chart: &Chart, state: &State, name: &str, now: Timestamp) -> Vec<Purse> {
    let used = |who: &dyn Fn(&str) -> bool| -> (f64, f64) {
        let all = state.agents.iter().filter(|(other, _)| who(other));
        all.fold((0.0, 0.0), |(spent, reserved), (_, agent)| {
            let in_flight = agent.request.map_or(0.0, |(_, usd)| usd);
            (spent + agent.usd + agent.usd_lost, reserved + in_flight)
        })
    };
    let mut purses = Vec::new();
    let mut add = |whom: &str, key: &str, own: Option<f64>, (spent, reserved): (f64, f64)| {
        let cap = state.caps.get(key).copied().or(own);
        purses.extend(cap.map(|cap| Purse {
            whom: whom.to_owned(),
            key: key.to_owned(),
            cap,
            spent,
            reserved,
            hourly: key == "usd_per_hour",
        }));
    };
    let all = used(&|_| true);
    add("the org", "usd", chart.budget.usd, all);
    let hour = chart.budget.usd_per_hour;
    let lately = (state.spent_since(now, HOUR), all.1);
    add("the org in an hour", "usd_per_hour", hour, lately);
    if let Some(agent) = chart.agent(name) {
        let peer = |other: &str| chart.agent(other).is_some_and(|it| it.role == agent.role);
        let (role, own) = (&agent.role, chart.role_of(agent).usd);
        let whom = format!("role {role}");
        add(&whom, &format!("{role}.usd"), own, used(&peer));
        let key = format!("{name}.usd");
        add(name, &key, agent.usd, used(&|other| other == name));
    }
    purses
}

/// Every cap in dollars that there is, the org's first, each once.
#[must_use]
pub fn all(chart: &Chart, state: &State, now: Timestamp) -> Vec<Purse> {
    let mut all: Vec<Purse> = Vec::new();
    let of = |name: &str| purses(chart, state, name, now);
    // Nobody's are the org's alone.
    let agents = chart.agents.iter().map(|agent| agent.name.as_str());
    for purse in [""].into_iter().chain(agents).flat_map(of) {
        if all.iter().all(|other| other.key != purse.key) {
            all.push(purse);
        }
    }
    all
}

/// Whether an agent may set aside `usd` US dollars.
///
/// # Errors
/// [`Capped`] with the cap that would be passed and is hardest to come by.
pub fn may_reserve(
    chart: &Chart,
    state: &State,
    name: &str,
    usd: f64,
    now: Timestamp,
) -> Result<(), Capped> {
    let purses = purses(chart, state, name, now).into_iter();
    let refused = purses.filter_map(|purse| {
        let remedy = remedy(state, &purse, usd, now)?;
        Some(Capped {
            purse,
            asked: usd,
            remedy,
        })
    });
    // The first of the worst: the org's cap is named before a role's.
    let worst = refused.reduce(|one, other| {
        if other.remedy > one.remedy {
            other
        } else {
            one
        }
    });
    worst.map_or(Ok(()), Err)
}

fn remedy(state: &State, purse: &Purse, usd: f64, now: Timestamp) -> Option<Remedy> {
    let most = purse.cap + DUST;
    if purse.spent + purse.reserved + usd <= most {
        return None;
    }
    if purse.spent + usd <= most {
        return Some(Remedy::Settling);
    }
    if !purse.hourly || usd > most {
        return Some(Remedy::Person);
    }
    // The oldest spending that has to be an hour old first.
    let mut left = purse.spent;
    for (at, spent) in state.spent_lately(now, HOUR).rev() {
        left -= spent;
        if left + usd <= most {
            return Some(Remedy::Time(at.checked_add(HOUR).unwrap_or(now)));
        }
    }
    Some(Remedy::Person)
}

/// US dollars that an agent can set aside under every cap, now and once all requests in flight have
/// settled for nothing; infinite where there is none.
#[must_use]
pub fn left(chart: &Chart, state: &State, name: &str, now: Timestamp) -> (f64, f64) {
    let purses = purses(chart, state, name, now).into_iter();
    purses.fold((f64::INFINITY, f64::INFINITY), |(left, most), purse| {
        let unspent = purse.cap - purse.spent;
        (left.min(unspent - purse.reserved), most.min(unspent))
    })
}

/// The first cap that is nearly spent, which its agents should know before they are stopped by it.
#[must_use]
pub fn near(chart: &Chart, state: &State, name: &str, now: Timestamp) -> Option<Purse> {
    let near = |purse: &Purse| !purse.hourly && purse.spent >= NEAR * purse.cap;
    purses(chart, state, name, now).into_iter().find(near)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::decode::{decode, fixtures};
    use crate::domain::state::AgentState;

    const CHART: &str = r#"version = 1
name = "b"
[task]
repo = "../repo"
run = "python3 train.py"
metric = { name = "loss", pattern = 'loss: ([0-9.]+)' }
[budget]
usd = 10.0
usd_per_hour = 4.0
[roles.researcher]
usd = 6.0
[[agents]]
name = "ana"
role = "researcher"
model = "claude-opus-5-5"
usd = 3.0
[[agents]]
name = "ben"
role = "researcher"
model = "claude-opus-5-5"
"#;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + 60 * minute).expect("in range")
    }

    fn state(ana: (f64, f64), ben: (f64, f64)) -> State {
        let of = |(usd, in_flight): (f64, f64)| AgentState {
            usd,
            request: (in_flight > 0.0).then_some((1, in_flight)),
            ..AgentState::default()
        };
        let agents = [("ana", of(ana)), ("ben", of(ben))];
        State {
            agents: agents.map(|(name, it)| (name.to_owned(), it)).into(),
            ..State::default()
        }
    }

    fn asks(state: &State, name: &str, usd: f64) -> Option<(String, Remedy)> {
        let decoded = decode(CHART, &fixtures::context());
        let chart = decoded.chart.expect("a good chart");
        let refused = may_reserve(&chart, state, name, usd, at(60)).err()?;
        Some((refused.purse.key, refused.remedy))
    }

    #[test]
    fn each_cap_holds_and_the_worst_is_named() {
        let person = |key: &str| Some((key.to_owned(), Remedy::Person));
        let calm = state((1.0, 0.0), (1.0, 0.0));
        assert_eq!(asks(&calm, "ana", 1.0), None);
        assert_eq!(asks(&calm, "ana", 2.5), person("ana.usd"));
        assert_eq!(
            asks(&calm, "ben", 4.5),
            person("usd_per_hour"),
            "more than an hour ever has"
        );
        let spent = state((1.0, 0.0), (5.0, 0.0));
        assert_eq!(asks(&spent, "ben", 0.5), person("researcher.usd"));
        let settling = state((0.0, 0.0), (2.0, 3.5));
        assert_eq!(
            asks(&settling, "ana", 1.0),
            Some(("usd_per_hour".to_owned(), Remedy::Settling))
        );
    }

    #[test]
    fn an_hour_passes() {
        let mut state = state((2.0, 0.0), (1.5, 0.0));
        state.spending = vec![(at(5), 2.0), (at(30), 1.5)];
        assert_eq!(asks(&state, "ben", 0.5), None);
        let (key, remedy) = asks(&state, "ben", 1.0).expect("refused");
        assert_eq!(
            (key.as_str(), remedy),
            ("usd_per_hour", Remedy::Time(at(65)))
        );
        // What was spent more than an hour ago no longer counts.
        state.spending = vec![(at(-5), 2.0), (at(30), 1.5)];
        assert_eq!(asks(&state, "ben", 1.0), None);
    }

    #[test]
    fn a_person_s_word_is_over_the_chart_s() {
        let mut state = state((2.9, 0.0), (0.0, 0.0));
        assert!(asks(&state, "ana", 0.5).is_some());
        state.caps.insert("ana.usd".to_owned(), 5.0);
        assert_eq!(asks(&state, "ana", 0.5), None);
        let decoded = decode(CHART, &fixtures::context());
        let chart = decoded.chart.expect("a good chart");
        assert_eq!(near(&chart, &state, "ana", at(60)), None);
        state.caps.remove("ana.usd");
        let told = near(&chart, &state, "ana", at(60)).expect("near");
        assert_eq!(told.whom, "ana");
        assert!((left(&chart, &state, "ana", at(60)).0 - 0.1).abs() < 1e-9);
    }
}
