//! A tournament: which organisations meet, under which common conditions, and in which order.
//!
//! Owns what is taken from the common task and what stays each organisation's own, the two controls that
//! every tournament has, and the order of its matches. Must not know how a match is played or scored.

use super::chart::{Agent, Budget, Chart, GpuHome, OnIdle, Role};
use super::decode::{bytes_of, seconds_of};
use super::search;
use super::suggest;

/// The name of the control that asks no model.
pub const RANDOM: &str = "random";
/// The name of the control that is one agent with all of the budget.
pub const SOLO: &str = "solo1";
/// Repeats where nobody says: fewer say little about an organisation.
pub const REPEATS: u32 = 5;
/// Caps that all organisations of a tournament share.
pub const CAPS: [&str; 5] = ["usd", "usd_per_hour", "gpu_hours", "wall", "disk"];
/// Tools of somebody who has nobody to talk to.
const ALONE: [&str; 5] = ["shell", "files", "ledger", "experiment", "notebook"];

/// A match: which organisation, and which of its repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Match {
    /// The organisation's place in the list.
    pub entrant: usize,
    /// The repeat, from 0.
    pub repeat: usize,
}

/// All matches in order: repeat by repeat, every other one backwards, so that nobody always comes first
/// and a machine that drifts drifts for all.
#[must_use]
pub fn matches(entrants: usize, repeats: usize) -> Vec<Match> {
    let mut all = Vec::with_capacity(entrants * repeats);
    for repeat in 0..repeats {
        for at in 0..entrants {
            let entrant = if repeat % 2 == 0 {
                at
            } else {
                entrants - 1 - at
            };
            all.push(Match { entrant, repeat });
        }
    }
    all
}

/// A budget with some caps set, each as `gpu_hours=8`.
///
/// # Errors
/// What is wrong with a word, and what to write instead.
pub fn budget(mut budget: Budget, words: &[String]) -> Result<Budget, (String, String)> {
    let example = "--budget usd=50,gpu_hours=8,wall=2h".to_owned();
    for word in words {
        let Some((name, value)) = word.split_once('=') else {
            return Err((format!("{word:?} sets no cap"), example));
        };
        let wrong = || (format!("{name} cannot be {value:?}"), example.clone());
        let number = || {
            let number = value.parse::<f64>().ok();
            number.filter(|it| it.is_finite() && *it > 0.0)
        };
        match name {
            "usd" => budget.usd = Some(number().ok_or_else(wrong)?),
            "usd_per_hour" => budget.usd_per_hour = Some(number().ok_or_else(wrong)?),
            "gpu_hours" => budget.gpu_hours = Some(number().ok_or_else(wrong)?),
            "wall" => budget.wall = Some(seconds_of(value).ok_or_else(wrong)?),
            "disk" => budget.disk = Some(bytes_of(value).ok_or_else(wrong)?),
            other => {
                let near = suggest::nearest(other, CAPS);
                let hint = near.map_or_else(
                    || format!("caps are {}", CAPS.join(", ")),
                    |near| format!("did you mean `{near}`? caps are {}", CAPS.join(", ")),
                );
                return Err((format!("there is no cap {other:?}"), hint));
            }
        }
    }
    Ok(budget)
}

/// An organisation on the common task: its members and what they do together stay its own; what is
/// improved, how that is measured and believed, on what and for how much is everybody's.
#[must_use]
pub fn compose(own: &Chart, task: &Chart, budget: &Budget) -> Chart {
    let mut chart = own.clone();
    chart.mission.clone_from(&task.mission);
    chart.task = task.task.clone();
    chart.protocol = task.protocol.clone();
    chart.compute = task.compute.clone();
    chart.landing = task.landing.clone();
    chart.budget = budget.clone();
    // Nobody sits there to answer.
    chart.office.ask.clear();
    let scenario = own.mock.scenario.clone();
    let (every, draws) = (own.mock.every, own.mock.draws);
    chart.mock = task.mock.clone();
    chart.mock.scenario = scenario.or_else(|| task.mock.scenario.clone());
    chart.mock.every = every.or(task.mock.every);
    chart.mock.draws = draws.or(task.mock.draws);
    chart
}

/// The controls that the organisations lack, on the common task; and why one of them cannot be.
#[must_use]
pub fn controls(entrants: &[Chart], task: &Chart) -> (Vec<Chart>, Vec<String>) {
    let (mut made, mut missing) = (Vec::new(), Vec::new());
    let has = |name: &str| entrants.iter().any(|chart| chart.name == name);
    if !has(RANDOM) {
        match random(entrants, task) {
            Some(chart) => made.push(chart),
            None => missing.push(format!(
                "no control `{RANDOM}`: no chart declares [search] knobs for this task"
            )),
        }
    }
    if !has(SOLO) {
        match solo(entrants) {
            Some(chart) => made.push(chart),
            None => missing.push(format!(
                "no control `{SOLO}`: nobody in these charts has a model and the tool `experiment`"
            )),
        }
    }
    (made, missing)
}

/// GPU homes of the widest organisation: that many devices are pretended for all of them.
#[must_use]
pub fn homes(entrants: &[Chart]) -> usize {
    let homes = entrants.iter().map(|chart| {
        let homes = chart.agents.iter().filter(|it| it.gpu != GpuHome::None);
        homes.count()
    });
    homes.max().unwrap_or(0)
}

/// Random search over the declared knobs, on as many seats as the widest organisation has GPUs.
fn random(entrants: &[Chart], task: &Chart) -> Option<Chart> {
    let knobs = std::iter::once(task).chain(entrants);
    let search = knobs
        .map(|chart| &chart.search)
        .find(|it| !it.knobs.is_empty())?;
    let seats = homes(entrants).max(1);
    let mut chart = alone(entrants.first()?, RANDOM);
    chart.search = search.clone();
    chart.models.remove(search::MODEL);
    let role = chart.roles.get_mut("researcher")?;
    role.tools = ALONE.map(str::to_owned).to_vec();
    let home = |gpus: u32| {
        if gpus > 0 {
            GpuHome::Auto
        } else {
            GpuHome::None
        }
    };
    chart.agents = (1..=seats)
        .map(|n| Agent {
            name: format!("{RANDOM}-{n}"),
            role: "researcher".to_owned(),
            model: search::MODEL.to_owned(),
            gpu: home(task.task.gpus),
            reports_to: None,
            usd: None,
        })
        .collect();
    Some(chart)
}

/// The first researcher of all, without colleagues.
fn solo(entrants: &[Chart]) -> Option<Chart> {
    let works = |chart: &Chart, agent: &Agent| {
        let role = chart.role_of(agent);
        let runs = role.tools.iter().any(|tool| tool == "experiment");
        runs && !search::plays(chart, &agent.model)
    };
    let (from, first) = entrants.iter().find_map(|chart| {
        let first = chart.agents.iter().find(|agent| works(chart, agent))?;
        Some((chart, first))
    })?;
    let mut chart = alone(from, SOLO);
    let mut role: Role = from.role_of(first).clone();
    role.tools
        .retain(|tool| !["mail", "assign", "review"].contains(&tool.as_str()));
    role.on_idle = OnIdle::Continue;
    role.usd = None;
    chart.roles.insert(first.role.clone(), role);
    chart.agents = vec![Agent {
        name: "researcher-1".to_owned(),
        reports_to: None,
        usd: None,
        ..first.clone()
    }];
    Some(chart)
}

/// A chart without its society.
fn alone(chart: &Chart, name: &str) -> Chart {
    let mut chart = chart.clone();
    name.clone_into(&mut chart.name);
    chart.processes.clear();
    chart.agents.clear();
    // Its script would be another's.
    chart.mock.scenario = None;
    if let Some(role) = Role::built_in("researcher") {
        chart.roles.insert("researcher".to_owned(), role);
    }
    chart
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::domain::decode::{Context, decode};

    fn chart(text: &str) -> Chart {
        let head = "version = 1\n[task]\nrepo = \"/r\"\nrun = \"x\"\nmetric = { name = \"m\", goal = \"min\", pattern = 'm: (\\d)' }\n";
        let context = Context {
            base: Path::new("/"),
            home: None,
            known_models: &[("claude-opus-5-5", "anthropic")],
            frozen: false,
        };
        let (top, rest) = text.split_once('\n').expect("two parts");
        let decoded = decode(&format!("{top}\n{head}{rest}"), &context);
        decoded
            .chart
            .unwrap_or_else(|| panic!("{:?}", decoded.problems))
    }

    fn pair() -> Chart {
        let agent = "[[agents]]\nname = \"a-{n}\"\ncount = 2\nrole = \"researcher\"\nmodel = \"claude-opus-5-5\"\ngpu = \"auto\"\n";
        let process =
            "[[processes]]\nname = \"standup\"\nevery = \"1h\"\nfrom = { role = \"researcher\" }\n";
        chart(&format!("name = \"pair\"\n{agent}{process}"))
    }

    #[test]
    fn nobody_always_comes_first() {
        let order: Vec<usize> = matches(3, 2).iter().map(|it| it.entrant).collect();
        assert_eq!(order, [0, 1, 2, 2, 1, 0]);
        assert_eq!(matches(2, 5).len(), 10);
    }

    #[test]
    fn a_budget_is_everybody_s() {
        let set = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|&it| it.to_owned()).collect();
            budget(Budget::default(), &words)
        };
        let caps = set(&["usd=5", "wall=2h", "gpu_hours=0.5"]).expect("caps");
        assert_eq!(
            (caps.usd, caps.wall, caps.gpu_hours),
            (Some(5.0), Some(7200.0), Some(0.5))
        );
        for (word, hint) in [
            ("gpu_hour=3", "gpu_hours"),
            ("usd", "usd=50"),
            ("usd=-1", "usd=50"),
        ] {
            let (_, found) = set(&[word]).expect_err("wrong");
            assert!(found.contains(hint), "{word}: {found}");
        }
        let mut task = pair();
        task.task.run = "y".to_owned();
        task.protocol.alpha = 0.05;
        let met = compose(&pair(), &task, &caps);
        assert_eq!(
            (met.task.run.as_str(), met.budget, met.agents.len()),
            ("y", caps, 2)
        );
        assert_eq!(met.protocol, task.protocol);
        assert_eq!(met.processes.len(), 1, "its own habits");
    }

    #[test]
    fn controls_are_added_where_they_can_be() {
        let (made, missing) = controls(&[pair()], &pair());
        assert_eq!(made.len(), 1);
        assert!(missing[0].contains("[search] knobs"), "{missing:?}");
        let solo = &made[0];
        assert_eq!(
            (solo.name.as_str(), solo.agents.len(), solo.processes.len()),
            (SOLO, 1, 0)
        );
        assert!(
            !solo
                .role_of(&solo.agents[0])
                .tools
                .contains(&"mail".to_owned())
        );
        let knobs = "[[search.knobs]]\nname = \"k\"\nfile = \"f\"\npattern = 'k = (\\d)'\nvalues = [\"1\", \"2\"]\n[search]\npredicts = 0.1\n";
        let task = chart(&format!("name = \"task\"\n{knobs}"));
        let (made, missing) = controls(&[pair(), solo.clone()], &task);
        assert!(missing.is_empty() && made.len() == 1);
        let random = &made[0];
        assert_eq!(
            (random.agents.len(), random.agents[1].name.as_str()),
            (2, "random-2")
        );
        assert!(search::plays(random, &random.agents[0].model));
    }
}
