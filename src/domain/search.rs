//! What an agent does that asks no model: random search, the control that every organisation has to
//! beat (Bergstra and Bengio 2012: all knobs are drawn anew, independently of what came before).
//!
//! Owns its moves. They are calls of the tools that every agent has, so a draw is committed, linted,
//! measured, judged and paid for like anybody's claim; and they follow from the fold alone, so that a
//! process that was killed goes on where it stood. A draw depends on the run's pool, the agent and
//! the number of its claims, never on a result. Must not know how a call is carried out.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Value, json};

use super::chart::{Chart, Knob, Range};
use super::state::{AgentState, OpenCall, State};

/// The name that stands in a chart in place of a model's.
pub const MODEL: &str = "random";
/// In place of a provider's.
pub const PROVIDER: &str = "none";
/// Digits of a drawn number: nobody tunes more finely, and a diff stays readable.
const DIGITS: i32 = 4;

/// What is said, for whoever watches, and the calls that are made.
#[derive(Debug, Clone, PartialEq)]
pub struct Move {
    /// A line.
    pub say: String,
    /// Tools with their arguments, to be run in this order; the turn is over where there are none.
    pub calls: Vec<(&'static str, Value)>,
}

/// Whether a model of this name is none: a chart may describe a real one that is called so.
#[must_use]
pub fn plays(chart: &Chart, model: &str) -> bool {
    model == MODEL && !chart.models.contains_key(model)
}

/// What the agent does next, in a turn that is in flight.
#[must_use]
pub fn next(chart: &Chart, state: &State, name: &str) -> Move {
    let Some(agent) = state.agents.get(name) else {
        return rest("");
    };
    let asked = agent.turn.as_ref().is_some_and(|turn| turn.asked);
    let made = |tool: &str| agent.calls.iter().find(|open| open.call.name == tool);
    if !asked {
        return begin(chart, state, name);
    }
    if let Some(claim) = made("hypothesis") {
        return match &claim.result {
            Some((true, _)) => rest("The lab decides."),
            // Refused before it was measured, as for a value that was drawn before: the next draw.
            _ => begin(chart, state, name),
        };
    }
    if made("search").is_some() {
        return claim(chart, state, name, agent);
    }
    rest("")
}

fn rest(say: &str) -> Move {
    Move {
        say: say.to_owned(),
        calls: Vec::new(),
    }
}

fn stop(summary: String) -> Move {
    Move {
        say: String::new(),
        calls: vec![("done", json!({ "summary": summary }))],
    }
}

/// Puts the worktree on the champion, and looks where the knobs are.
fn begin(chart: &Chart, state: &State, name: &str) -> Move {
    let own = state
        .hypotheses
        .values()
        .filter(|claim| claim.agent == name);
    if let Some(open) = own.clone().find(|claim| !claim.is_final()) {
        return rest(&format!("h{} is under way.", open.id));
    }
    let (made, most) = (own.count(), chart.search.draws);
    if made >= most as usize {
        return stop(format!("{made} draws were made, which is all."));
    }
    let mut calls = vec![(
        "shell",
        json!({ "command": format!("git reset --quiet --hard {}", state.champion) }),
    )];
    let looks = chart.search.knobs.iter().map(|knob| {
        let look = json!({ "pattern": knob.pattern, "path": knob.file });
        ("search", look)
    });
    calls.extend(looks);
    Move {
        say: format!("Draw {} of {most}.", made + 1),
        calls,
    }
}

/// Turns the knobs, and claims that this is better.
fn claim(chart: &Chart, state: &State, name: &str, agent: &AgentState) -> Move {
    let failed = agent.calls.iter().find(|open| !well(open));
    if let Some(open) = failed {
        let tool = &open.call.name;
        return stop(format!("{tool} failed, so nothing can be drawn."));
    }
    let looks = agent
        .calls
        .iter()
        .filter(|open| open.call.name == "search")
        .filter_map(|open| open.result.as_ref())
        .map(|(_, text)| text.head());
    let draw = state
        .hypotheses
        .values()
        .filter(|claim| claim.agent == name)
        .count() as u64;
    let mut lines: BTreeMap<(&str, u64), (String, String)> = BTreeMap::new();
    let mut title = Vec::new();
    for (index, (knob, look)) in chart.search.knobs.iter().zip(looks).enumerate() {
        let Some((number, line)) = only_line(look) else {
            return stop(format!(
                "the pattern of {} does not match on exactly one line of {}",
                knob.name, knob.file
            ));
        };
        let at = [draw, index as u64];
        let value = drawn(&knob.range, chance(state.pool.unwrap_or(0), name, at));
        let place = lines
            .entry((&knob.file, number))
            .or_insert_with(|| (line.to_owned(), line.to_owned()));
        place.1 = turned(knob, &place.1, &value);
        title.push(format!("{} = {value}", knob.name));
    }
    let edits = lines.into_iter().filter(|(_, (old, new))| old != new);
    let edits = edits.map(|((file, _), (old, new))| {
        let edit = json!({ "path": file, "old": old, "new": new });
        ("edit", edit)
    });
    let mut calls: Vec<(&'static str, Value)> = edits.collect();
    let title = title.join(", ");
    calls.push((
        "hypothesis",
        json!({
            "title": title,
            "claim": "improve",
            "mechanism": "none: the values were drawn at random",
            "predicts": chart.search.predicts,
            "refuted_by": "no better than the champion on fresh seeds at equal cost",
        }),
    ));
    Move { say: title, calls }
}

fn well(open: &OpenCall) -> bool {
    open.result.as_ref().is_some_and(|(ok, _)| *ok)
}

/// The only line of a search's answer, as its number and its text without the blanks around it.
fn only_line(answer: &str) -> Option<(u64, &str)> {
    let mut lines = answer.lines().filter(|line| !line.trim().is_empty());
    let (line, None) = (lines.next()?, lines.next()) else {
        return None;
    };
    let (place, text) = line.split_once(": ")?;
    let number = place.rsplit(':').next()?.parse().ok()?;
    Some((number, text.trim()))
}

/// The line with another value in the place of the pattern's group.
fn turned(knob: &Knob, line: &str, value: &str) -> String {
    let group = Regex::new(&knob.pattern)
        .ok()
        .and_then(|pattern| Some(pattern.captures(line)?.get(1)?.range()));
    group.map_or_else(
        || line.to_owned(),
        |group| format!("{}{value}{}", &line[..group.start], &line[group.end..]),
    )
}

/// A number from 0 to 1 that nobody who lacks the pool can foresee.
fn chance(pool: u64, name: &str, at: [u64; 2]) -> f64 {
    // FNV-1a over who and which, then SplitMix64's finaliser (Steele, Lea and Flood 2014).
    let bytes = at.iter().flat_map(|number| number.to_le_bytes());
    let mut z = name.bytes().chain(bytes).fold(pool, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    (z >> 11) as f64 / (1_u64 << 53) as f64
}

/// The value of a knob at a chance.
fn drawn(range: &Range, chance: f64) -> String {
    match range {
        Range::Values(values) => {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a place in the list: from 0 to below its length"
            )]
            let at = (chance * values.len() as f64) as usize;
            values.get(at).cloned().unwrap_or_default()
        }
        Range::Between {
            low,
            high,
            log,
            whole,
        } => {
            let value = if *log {
                (low.ln() + chance * (high.ln() - low.ln())).exp()
            } else {
                low + chance * (high - low)
            };
            if *whole {
                return value.round().to_string();
            }
            rounded(value).clamp(*low, *high).to_string()
        }
    }
}

/// A number with few digits that count.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "an exponent of ten, at most 308"
    )]
    let scale = 10_f64.powi(DIGITS - 1 - value.abs().log10().floor() as i32);
    let near = (value * scale).round() / scale;
    if near.is_finite() { near } else { value }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{chance, drawn, only_line, rounded, turned};
    use crate::domain::chart::{Knob, Range};

    fn between(low: f64, high: f64, log: bool, whole: bool) -> Range {
        Range::Between {
            low,
            high,
            log,
            whole,
        }
    }

    #[test]
    fn a_chance_is_the_same_twice_and_another_elsewhere() {
        let one = chance(7, "random-1", [0, 0]);
        assert_eq!(one.to_bits(), chance(7, "random-1", [0, 0]).to_bits());
        for other in [
            chance(8, "random-1", [0, 0]),
            chance(7, "random-2", [0, 0]),
            chance(7, "random-1", [1, 0]),
            chance(7, "random-1", [0, 1]),
        ] {
            assert_ne!(one.to_bits(), other.to_bits());
        }
        // Spread evenly: mean and variance of 4,000 draws, within five standard errors.
        let all: Vec<f64> = (0..4000).map(|n| chance(3, "a", [n, 1])).collect();
        let mean = all.iter().sum::<f64>() / 4000.0;
        let variance = all.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / 3999.0;
        assert!((mean - 0.5).abs() < 0.023, "{mean}");
        assert!((variance - 1.0 / 12.0).abs() < 0.006, "{variance}");
    }

    #[test]
    fn ends_and_middles_of_ranges() {
        let cases = [
            (between(1.0, 100.0, true, false), 0.5, "10"),
            (between(0.0, 10.0, false, false), 0.123_456, "1.235"),
            (between(-8.0, 8.0, false, false), 0.25, "-4"),
            (between(2.0, 64.0, true, true), 0.999_999, "64"),
            (between(1e-5, 1e-3, true, false), 0.0, "0.00001"),
            (
                Range::Values(vec!["relu".to_owned(), "gelu".to_owned()]),
                0.5,
                "gelu",
            ),
        ];
        for (range, chance, value) in cases {
            assert_eq!(drawn(&range, chance), value, "{range:?}");
        }
    }

    #[test]
    fn one_line_is_found_and_its_group_is_turned() {
        let found = only_line("a: b/opt.py:12:     LR = 0.1  # was: 2\n");
        assert_eq!(
            found, None,
            "a colon with a blank in a path is not read wrongly"
        );
        let found = only_line("nanochat/opt.py:12:     LR = 0.1  # was: 2\n");
        assert_eq!(found, Some((12, "LR = 0.1  # was: 2")));
        assert_eq!(only_line("a.py:1: LR = 1\na.py:2: LR = 2"), None);
        assert_eq!(only_line("no line matches"), None);
        let knob = Knob {
            name: "LR".to_owned(),
            file: "a.py".to_owned(),
            pattern: r"LR = ([0-9.]+)".to_owned(),
            range: Range::Values(Vec::new()),
        };
        assert_eq!(turned(&knob, "LR = 0.1  # was: 2", "3"), "LR = 3  # was: 2");
        assert_eq!(turned(&knob, "WD = 0.1", "3"), "WD = 0.1");
    }

    proptest! {
        #[test]
        fn a_draw_lies_in_its_range(low in -1e6_f64..1e6, more in 1e-6_f64..1e6, at in 0.0_f64..1.0) {
            let high = low + more;
            let value: f64 = drawn(&between(low, high, false, false), at).parse().expect("a number");
            prop_assert!((low..=high).contains(&value), "{} in {}..{}", value, low, high);
            let near = rounded(low);
            prop_assert!((near - low).abs() <= low.abs() * 1e-3);
        }
    }
}
