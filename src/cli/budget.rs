//! `org budget`: what is gone of each cap, and a person's word over the chart's.

use clap::Args;
use serde::Serialize;

use super::Context;
use super::failure::Failure;
use super::place::{self, RunArgs};
use crate::domain::chart::Chart;
use crate::domain::decode::{bytes_of, seconds_of};
use crate::domain::event::{Actor, Kind};
use crate::domain::state::State;
use crate::domain::suggest;
use crate::domain::{budget, lease};
use crate::os::clock;
use crate::run::log::Log;
use crate::view::figure;
use crate::view::table::Table;

/// Caps of the org besides those of roles and agents.
const CAPS: [&str; 5] = ["usd", "usd_per_hour", "gpu_hours", "wall", "disk"];

/// Show what is gone of each cap, or set caps
///
/// Caps are usd, usd_per_hour, gpu_hours, wall and disk of the org, and NAME.usd of a role or an agent,
/// as in `org budget usd=600 wall=12h claude-1.usd=50`. With a plus, as in usd=+100, the cap is raised
/// by so much. Whoever was stopped by a cap goes on where the new one allows it.
#[derive(Debug, Clone, Args)]
pub(super) struct BudgetArgs {
    /// The caps to set; none shows them
    #[arg(value_name = "CAP=VALUE")]
    caps: Vec<String>,
    #[command(flatten)]
    run: RunArgs,
    /// Print JSON
    #[arg(long, conflicts_with = "caps")]
    json: bool,
}

/// A cap, as `org budget --json` prints it.
#[derive(Debug, Serialize)]
struct Cap {
    /// What sets it.
    cap: String,
    /// Whose it is.
    whom: String,
    /// Gone.
    spent: f64,
    /// Set aside.
    reserved: f64,
    /// At most.
    most: f64,
}

/// A cap that is asked for.
struct Wish {
    key: String,
    value: f64,
    more: bool,
}

pub(super) fn run(context: &Context, args: &BudgetArgs) -> Result<(), Failure> {
    let Context { place, ui } = context;
    if args.caps.is_empty() {
        let dir = place.reading(args.run.name())?;
        let chart = place::chart(&dir)?;
        let log = Log::open(&dir)?;
        let all = all(&chart, log.state());
        if args.json {
            return ui.json(&all);
        }
        if all.is_empty() {
            ui.note("there is no cap; `org budget usd=100` sets one");
            return Ok(());
        }
        let mut table = Table::new(&["CAP", ">SPENT", ">SET ASIDE", ">OF", "WHOSE"]);
        for cap in &all {
            let shown = |value: f64| shown(&cap.cap, value);
            table.row(vec![
                (&cap.cap).into(),
                shown(cap.spent).into(),
                shown(cap.reserved).into(),
                shown(cap.most).into(),
                (&cap.whom).into(),
            ]);
        }
        return ui.out(&table.text(ui.width(), ui.paint()));
    }
    let dir = place.acting(args.run.name())?;
    let chart = place::chart(&dir)?;
    let wishes: Result<Vec<Wish>, Failure> =
        args.caps.iter().map(|word| wish(&chart, word)).collect();
    let wishes = wishes?;
    let mut log = Log::open(&dir)?;
    let (set, stopped) = log.transact(&Actor::Human, |state| {
        let mut set = Vec::new();
        for wish in &wishes {
            set.push((wish.key.clone(), value(&chart, state, wish)?));
        }
        let events = set.iter().cloned();
        let events = events.map(|(what, cap)| Kind::BudgetSet { what, cap });
        let stopped = state.agents.iter().filter(|(_, agent)| agent.held_cap);
        let stopped: Vec<String> = stopped.map(|(name, _)| name.clone()).collect();
        Ok::<_, Failure>((events.collect(), (set, stopped)))
    })??;
    for (key, cap) in set {
        ui.note(&format!("{key} is {} now", shown(&key, cap)));
    }
    if !stopped.is_empty() {
        ui.note(&format!(
            "{} may go on, as far as the caps allow",
            stopped.join(", ")
        ));
    }
    Ok(())
}

fn shown(key: &str, value: f64) -> String {
    match key {
        "gpu_hours" => format!("{value:.2} h"),
        "wall" => figure::span(value),
        "disk" => figure::bytes(value),
        _ => format!("${value:.2}"),
    }
}

/// All caps, with what is gone of each.
fn all(chart: &Chart, state: &State) -> Vec<Cap> {
    let now = clock::now();
    let mut all: Vec<Cap> = budget::all(chart, state, now)
        .into_iter()
        .map(|purse| Cap {
            cap: purse.key,
            whom: purse.whom,
            spent: purse.spent,
            reserved: purse.reserved,
            most: purse.cap,
        })
        .collect();
    let mut org = |key: &str, most: Option<f64>, spent: f64, reserved: f64| {
        all.extend(most.map(|most| Cap {
            cap: key.to_owned(),
            whom: "the org".to_owned(),
            spent,
            reserved,
            most,
        }));
    };
    let (gpu, reserved) = lease::gpu_seconds(chart, state);
    let hours = |seconds: f64| seconds / 3600.0;
    let cap = lease::gpu_cap(chart, state).map(hours);
    org("gpu_hours", cap, hours(gpu), hours(reserved));
    let until = if state.stopped { state.at } else { Some(now) };
    let wall = state.created.zip(until);
    let wall = wall.map_or(0.0, |(from, until)| {
        until.duration_since(from).as_secs_f64()
    });
    org("wall", budget::wall_cap(chart, state), wall, 0.0);
    all
}

/// A cap that a word asks for.
fn wish(chart: &Chart, word: &str) -> Result<Wish, Failure> {
    let bad = |why: String, hint: &str| Failure::usage(why, hint.to_owned());
    let example = "write CAP=VALUE, as in `org budget usd=600`";
    let (key, value) = word
        .split_once('=')
        .ok_or_else(|| bad(format!("{word:?} sets no cap"), example))?;
    let (key, value) = (key.trim(), value.trim());
    if !CAPS.contains(&key) && !is_member(chart, key) {
        let members = chart.roles.keys().map(|name| format!("{name}.usd"));
        let agents = chart.agents.iter().map(|it| format!("{}.usd", it.name));
        let members: Vec<String> = members.chain(agents).collect();
        let known = CAPS.into_iter().chain(members.iter().map(String::as_str));
        let hint = suggest::nearest(key, known).map_or_else(
            || format!("caps are {}, and NAME.usd", CAPS.join(", ")),
            |near| format!("did you mean {near}?"),
        );
        return Err(bad(format!("there is no cap {key:?}"), &hint));
    }
    let (more, plain) = match value.strip_prefix('+') {
        Some(rest) => (true, rest),
        None => (false, value),
    };
    let number = match key {
        "wall" => seconds_of(plain),
        "disk" => bytes_of(plain).map(|bytes| bytes as f64),
        _ => plain.trim_start_matches('$').parse().ok(),
    };
    let number = number.filter(|number: &f64| number.is_finite() && *number >= 0.0);
    let number = number.ok_or_else(|| {
        let hint = match key {
            "wall" => "write a time, as in wall=12h",
            "disk" => "write a size, as in disk=300G",
            _ => "write a number, as in usd=600",
        };
        bad(format!("{value:?} is no value for {key}"), hint)
    })?;
    Ok(Wish {
        key: key.to_owned(),
        value: number,
        more,
    })
}

fn is_member(chart: &Chart, key: &str) -> bool {
    key.strip_suffix(".usd")
        .is_some_and(|name| chart.agent(name).is_some() || chart.roles.contains_key(name))
}

/// What a cap will be; one that is raised must be there.
fn value(chart: &Chart, state: &State, wish: &Wish) -> Result<f64, Failure> {
    if !wish.more {
        return Ok(wish.value);
    }
    let disk = || {
        let own = chart.budget.disk.map(|bytes| bytes as f64);
        state.caps.get("disk").copied().or(own)
    };
    let known = all(chart, state);
    let known = known.iter().find(|cap| cap.cap == wish.key);
    let old = known.map(|cap| cap.most).or_else(|| {
        let of_disk = wish.key == "disk";
        of_disk.then(disk).flatten()
    });
    old.map(|old| old + wish.value).ok_or_else(|| {
        Failure::refused(
            format!("{} has no cap that could be raised", wish.key),
            format!("org budget {}={}", wish.key, wish.value),
        )
    })
}
