//! What a script answers to what was received.
//!
//! Owns an agent's place in its script and the text that it received and no `expect` has consumed.
//! All of it is data, so that whoever keeps it survives restarts. Must not know how it is kept, how
//! requests look, or that the same request may come twice.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::pattern::{self, Captures};
use super::{Call, Fault, Scenario, Step};

/// Most bytes of unconsumed text kept for an agent; a script that never expects anything would
/// otherwise grow its position, which is written at every reply, without end. The oldest goes.
const MAX_BUFFER: usize = 4 << 20;

/// Something an agent received: user text, mid-conversation system text, or a tool's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    key: String,
    text: String,
}

impl Heard {
    /// User text or mid-conversation system text, known by its content.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            key: key_of(&["text", &text]),
            text,
        }
    }

    /// A tool's result, known by its content and its call, so that two calls that print the same
    /// are two items.
    #[must_use]
    pub fn result(call: &str, text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            key: key_of(&["result", call, &text]),
            text,
        }
    }
}

fn key_of(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize()[..12]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// An agent's place in its script.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// The index of the script, once one serves the agent.
    pub script: Option<usize>,
    /// The index of the step that is to be played next.
    pub step: usize,
    /// Whether that step's `expect` was already found and consumed (its fault came first).
    matched: bool,
    /// Deliveries of that step that its fault has had.
    faults: u32,
    captures: Captures,
    buffer: String,
    /// How often each item was counted.
    seen: BTreeMap<String, u64>,
}

/// What the script does with a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Played {
    /// Nothing matches, or there is no script, or it is at its end.
    Idle,
    /// The step that is played, with its captures filled in.
    Step {
        /// Its lines. Of a step that is at its fault's turn, those that the fault spoils.
        step: Box<Step>,
        /// The fault that this delivery has.
        fault: Option<Fault>,
    },
}

impl Position {
    /// The place of an agent that received nothing yet.
    #[must_use]
    pub fn at_start(script: Option<usize>) -> Self {
        Self {
            script,
            ..Self::default()
        }
    }

    /// Takes in all items that a request holds, in order. What was counted before is not counted
    /// again, so that a conversation that is sent whole with every request, or is rebuilt after a
    /// restart or a compaction, counts each of its items once.
    pub fn hear(&mut self, items: &[Heard]) {
        let mut present: BTreeMap<&str, u64> = BTreeMap::new();
        for item in items {
            let here = present.entry(&item.key).or_default();
            *here += 1;
            let seen = self.seen.entry(item.key.clone()).or_default();
            if *here > *seen {
                *seen = *here;
                join(&mut self.buffer, &item.text);
            }
        }
        if self.buffer.len() > MAX_BUFFER {
            let mut cut = self.buffer.len() - MAX_BUFFER;
            while !self.buffer.is_char_boundary(cut) {
                cut += 1;
            }
            self.buffer.drain(..cut);
        }
    }

    /// Plays at most one step of the script that serves the agent.
    ///
    /// # Errors
    /// Where what was captured makes a pattern too large to compile.
    pub fn play(&mut self, scenario: &Scenario) -> Result<Played, regex::Error> {
        let script = self.script.and_then(|at| scenario.scripts.get(at));
        let Some(step) = script.and_then(|script| script.steps.get(self.step)) else {
            return Ok(Played::Idle);
        };
        if !self.matched && !self.consume(step)? {
            return Ok(Played::Idle);
        }
        self.matched = true;
        let filled = self.filled(step);
        let fault = step.fault.clone().filter(|fault| self.faults < fault.times);
        if fault.as_ref().is_some_and(Fault::withholds) {
            self.faults += 1;
        } else {
            self.step += 1;
            self.matched = false;
            self.faults = 0;
        }
        Ok(Played::Step {
            step: Box::new(filled),
            fault,
        })
    }

    /// The pattern that the next step waits for, with its captures filled in; none where it waits
    /// for nothing.
    #[must_use]
    pub fn waits_for(&self, scenario: &Scenario) -> Option<String> {
        let step = scenario.scripts.get(self.script?)?.steps.get(self.step)?;
        let expect = step.expect.as_deref().filter(|_| !self.matched)?;
        Some(pattern::fill(expect, &self.captures))
    }

    /// Finds and consumes what the step expects.
    fn consume(&mut self, step: &Step) -> Result<bool, regex::Error> {
        let Some(expect) = &step.expect else {
            return Ok(true);
        };
        let regex = pattern::compile(expect, &self.captures)?;
        let Some(found) = regex.captures(&self.buffer) else {
            return Ok(false);
        };
        let whole = found.get(0).expect("a match has a group 0").range();
        let captured: Vec<(String, String)> = regex
            .capture_names()
            .flatten()
            .filter_map(|name| Some((name.to_owned(), found.name(name)?.as_str().to_owned())))
            .collect();
        if !whole.is_empty() {
            let mut left = self.buffer[..whole.start].to_owned();
            // The newline keeps what stood apart from becoming one word.
            join(&mut left, &self.buffer[whole.end..]);
            self.buffer = left;
        }
        self.captures.extend(captured);
        Ok(true)
    }

    fn filled(&self, step: &Step) -> Step {
        let fill = |text: &String| pattern::fill(text, &self.captures);
        Step {
            expect: step.expect.clone(),
            think: step.think.as_ref().map(fill),
            say: step.say.as_ref().map(fill),
            calls: step
                .calls
                .iter()
                .map(|call| Call {
                    tool: fill(&call.tool),
                    arguments: fill_value(&call.arguments, &self.captures),
                })
                .collect(),
            fault: step.fault.clone(),
            usage: step.usage,
        }
    }
}

/// Appends a piece on a line of its own.
fn join(buffer: &mut String, piece: &str) {
    if !buffer.is_empty() && !piece.is_empty() {
        buffer.push('\n');
    }
    buffer.push_str(piece);
}

fn fill_value(value: &Value, captures: &Captures) -> Value {
    match value {
        Value::String(text) => Value::String(pattern::fill(text, captures)),
        Value::Array(items) => Value::Array(
            items
                .iter()
                .map(|item| fill_value(item, captures))
                .collect(),
        ),
        Value::Object(members) => Value::Object(
            members
                .iter()
                .map(|(key, item)| (key.clone(), fill_value(item, captures)))
                .collect(),
        ),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::scenario::{Member, decode};

    fn scenario(steps: &str) -> Scenario {
        decode(&format!("version = 1\n[[scripts]]\n{steps}")).unwrap()
    }

    fn begin(scenario: &Scenario) -> Position {
        let script = scenario.script_for("ann", &Member::default());
        Position {
            script,
            ..Position::default()
        }
    }

    /// What is said to a conversation that holds these texts.
    fn said(position: &mut Position, scenario: &Scenario, texts: &[&str]) -> String {
        position.hear(
            &texts
                .iter()
                .map(|text| Heard::text(*text))
                .collect::<Vec<_>>(),
        );
        match position.play(scenario).unwrap() {
            Played::Idle => "-".to_owned(),
            Played::Step { step, fault: None } => step.say.unwrap_or_default(),
            Played::Step {
                fault: Some(fault), ..
            } => format!("fault {:?}", fault.status),
        }
    }

    #[test]
    fn steps_wait_for_what_they_expect_and_consume_only_that() {
        let play = scenario(
            r"
[[scripts.steps]]
say = 'one'
[[scripts.steps]]
expect = 'registered (?<h>h\d+)'
say = 'got {h} not {x}'
[[scripts.steps]]
expect = '{h} (?<verdict>confirmed|refuted)'
say = '{h} is {verdict}'
[[scripts.steps]]
expect = 'mission'
say = 'end'
",
        );
        let mut place = begin(&play);
        for (conversation, reply) in [
            (&["the mission"][..], "one"),
            (&["the mission"], "-"),
            (&["the mission", "registered h7"], "got h7 not {x}"),
            (&["the mission", "registered h7", "h77 confirmed"], "-"),
            // What arrived together with something else is kept for later steps.
            (
                &[
                    "the mission",
                    "registered h7",
                    "h77 confirmed",
                    "h7 refuted",
                ],
                "h7 is refuted",
            ),
            // After a compaction, old items are not counted again.
            (&["summary", "the mission"], "end"),
            (&["summary", "the mission", "the mission"], "-"),
        ] {
            assert_eq!(
                said(&mut place, &play, conversation),
                reply,
                "{conversation:?}"
            );
        }
        assert_eq!(place.waits_for(&play), None);
    }

    #[test]
    fn what_is_left_around_a_match_does_not_grow_together() {
        let play = scenario(
            "[[scripts.steps]]\nexpect = 'b'\nsay = '1'\n[[scripts.steps]]\nexpect = 'ac'\nsay = '2'\n",
        );
        let mut place = begin(&play);
        assert_eq!(said(&mut place, &play, &["abc"]), "1");
        assert_eq!(said(&mut place, &play, &["abc"]), "-");
        assert_eq!(place.waits_for(&play).as_deref(), Some("ac"));
        assert_eq!(said(&mut place, &play, &["abc", "ac"]), "2");
    }

    #[test]
    fn equal_results_of_two_calls_are_two_items() {
        let play = scenario("[[scripts.steps]]\nexpect = '(?s)ok.*ok'\nsay = 'two'\n");
        let mut place = begin(&play);
        place.hear(&[Heard::result("c1", "ok")]);
        assert_eq!(place.play(&play).unwrap(), Played::Idle);
        // The first result is gone after a compaction; the second still counts.
        place.hear(&[Heard::result("c2", "ok")]);
        assert!(matches!(place.play(&play).unwrap(), Played::Step { .. }));
    }

    #[test]
    fn a_fault_that_withholds_the_reply_comes_first_and_consumes_once() {
        let play = scenario(
            "[[scripts.steps]]\nexpect = 'go'\nfault = { status = 529, times = 2 }\nsay = 'there'\n",
        );
        let mut place = begin(&play);
        for reply in ["fault Some(529)", "fault Some(529)", "there", "-"] {
            assert_eq!(said(&mut place, &play, &["go"]), reply);
        }
    }

    #[test]
    fn a_fault_that_only_shapes_goes_with_the_reply() {
        let play = scenario("[[scripts.steps]]\nfault = { delay_ms = 5 }\nsay = 'late'\n");
        let mut place = begin(&play);
        let Played::Step { step, fault } = place.play(&play).unwrap() else {
            panic!("idle")
        };
        assert_eq!(
            (step.say.as_deref(), fault.unwrap().delay_ms),
            (Some("late"), Some(5))
        );
        assert_eq!(place.play(&play).unwrap(), Played::Idle);
    }

    #[test]
    fn captures_reach_into_arguments_and_an_unmatched_group_captures_nothing() {
        let play = scenario(
            "[[scripts.steps]]\nexpect = 'm(?<a>\\d)(?<b>x)?'\n[[scripts.steps.call]]\n\
             tool = 'send'\nto = ['{a}', { deep = '{b}{a}' }]\nn = 2\n",
        );
        let mut place = begin(&play);
        place.hear(&[Heard::text("m4")]);
        let Played::Step { step, .. } = place.play(&play).unwrap() else {
            panic!("idle")
        };
        assert_eq!(
            step.calls[0].arguments,
            serde_json::json!({"to": ["4", {"deep": "{b}4"}], "n": 2})
        );
    }
}
