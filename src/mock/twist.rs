//! A reply's events, bent: out of order, with strangers among them, or broken off by an error.
//!
//! Owns the order in which a hostile but legal server sends things. What is bent still says the same.
//! Must not know bytes or pace.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::anthropic::REDACTED;
use super::exchange::Event;
use crate::domain::chart::Wire;
use crate::domain::scenario::Fault;

/// An event that no client knows.
const STRANGER: &str = "org_stranger";

/// The events as a fault has them; `interruption` is the vendor's error in mid-stream.
pub(super) fn twisted(
    wire: Wire,
    mut events: Vec<Event>,
    fault: &Fault,
    interruption: impl Fn() -> Event,
) -> Vec<Event> {
    if fault.interleave {
        events = interleaved(events);
    }
    if fault.strange {
        events = with_strangers(wire, events);
    }
    if let Some(after) = fault.error_after {
        // The last event never goes out: with it, the reply would be whole.
        let most = events.len().saturating_sub(1);
        events.truncate(usize::try_from(after).unwrap_or(most).min(most));
        events.push(interruption());
    }
    events
}

/// The block or item that an event is of.
fn index_of(event: &Event) -> Option<u64> {
    let data: Value = serde_json::from_str(&event.data).ok()?;
    let index = data.get("index").or_else(|| data.get("output_index"));
    index?.as_u64()
}

/// Blocks begin from the last to the first, and their pieces come by turns.
fn interleaved(events: Vec<Event>) -> Vec<Event> {
    let mut blocks: BTreeMap<u64, Vec<Event>> = BTreeMap::new();
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for event in events {
        match index_of(&event) {
            Some(index) => blocks.entry(index).or_default().push(event),
            None if blocks.is_empty() => before.push(event),
            None => after.push(event),
        }
    }
    let mut queues: Vec<_> = blocks.into_values().rev().map(Vec::into_iter).collect();
    let mut all = before;
    while !queues.is_empty() {
        queues.retain_mut(|queue| match queue.next() {
            Some(event) => {
                all.push(event);
                true
            }
            None => false,
        });
    }
    all.extend(after);
    all
}

/// Unknown events between all others, unknown fields in them, and an unknown block at the end.
fn with_strangers(wire: Wire, events: Vec<Event>) -> Vec<Event> {
    let next = events
        .iter()
        .filter_map(index_of)
        .max()
        .map_or(0, |last| last + 1);
    let end = events.iter().rposition(|event| index_of(event).is_some());
    let mut all = Vec::new();
    for (at, event) in events.into_iter().enumerate() {
        if says_nothing(&event) {
            // A call without arguments may stream none at all.
            continue;
        }
        if event.name == "message_delta" {
            // Totals so far; those that come last count.
            let usage = json!({"output_tokens": 1, "input_tokens": null});
            let sum = json!({"type": event.name, "delta": {"stop_reason": null}, "usage": usage});
            all.push(Event::new(event.name, &sum));
        }
        let stranger = json!({"type": STRANGER, "sequence_number": 0, "says": [1.50, null]});
        all.push(Event::new(STRANGER, &stranger));
        let mut data: Value = serde_json::from_str(&event.data).unwrap_or_default();
        data["obfuscation"] = json!("aGk");
        all.push(Event::new(event.name, &data));
        if Some(at) == end {
            all.extend(strange_block(wire, next));
        }
    }
    all
}

/// Whether an event is a piece of arguments without anything in it.
fn says_nothing(event: &Event) -> bool {
    let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
    data["delta"]["partial_json"] == ""
}

fn strange_block(wire: Wire, index: u64) -> Vec<Event> {
    let event = |name: &'static str, mut data: Value| {
        data["type"] = json!(name);
        Event::new(name, &data)
    };
    match wire {
        Wire::Anthropic => {
            let empty = json!({"type": "text", "text": ""});
            let hologram = json!({"type": "hologram", "z": 1, "a": [1.50]});
            let redacted = json!({"type": "redacted_thinking", "data": REDACTED});
            let mut events = Vec::new();
            for (index, block) in (index..).zip([empty, hologram, redacted]) {
                let start = json!({"index": index, "content_block": block});
                events.push(event("content_block_start", start));
                let delta = json!({"index": index, "delta": {"type": "hologram_delta", "x": 1}});
                events.push(event("content_block_delta", delta));
                events.push(event("content_block_stop", json!({"index": index})));
            }
            events
        }
        Wire::Openai => {
            let item = json!({"type": "hologram_call", "id": "ho_1", "z": 1, "a": [1.50]});
            let done = json!({"output_index": index, "item": item});
            vec![event("response.output_item.done", done)]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(events: &[Event]) -> Vec<String> {
        let name = |event: &Event| {
            let index = index_of(event).map_or_else(String::new, |index| index.to_string());
            format!("{}{index}", event.name)
        };
        events.iter().map(name).collect()
    }

    fn events() -> Vec<Event> {
        let of = |name: &'static str, index: Option<u64>| {
            Event::new(name, &json!({"type": name, "index": index}))
        };
        vec![
            of("start", None),
            of("a", Some(0)),
            of("b", Some(0)),
            of("a", Some(1)),
            of("b", Some(1)),
            of("end", None),
        ]
    }

    #[test]
    fn what_is_bent_keeps_the_order_within_a_block() {
        let fault = |interleave, error_after| Fault {
            interleave,
            error_after,
            ..Fault::default()
        };
        let interruption = || Event::new("error", &json!({}));
        let bent = twisted(Wire::Anthropic, events(), &fault(true, None), interruption);
        assert_eq!(names(&bent), ["start", "a1", "a0", "b1", "b0", "end"]);
        let broken = twisted(
            Wire::Anthropic,
            events(),
            &fault(false, Some(99)),
            interruption,
        );
        assert_eq!(names(&broken), ["start", "a0", "b0", "a1", "b1", "error"]);
    }
}
