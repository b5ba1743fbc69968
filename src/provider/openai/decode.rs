//! One streamed reply of OpenAI's Responses API, folded.
//!
//! Owns which items are kept: those of `response.output_item.done`, byte for byte, in the order of
//! their index; deltas are for eyes only. Calls that the output limit cut short are dropped, and so is
//! reasoning that nothing follows, which would be refused in a replay. Must not know HTTP.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::error::{Complaint, ProviderError};
use super::super::raw::paragraph;
use super::super::{Decoder, distinct};
use super::{Failure, Fault, classify};
use crate::domain::chat::{Delta, Raw, Reply, Stop, ToolCall, Usage};

/// A reply that is streaming in.
#[derive(Default)]
pub(super) struct Stream {
    id: String,
    /// Finished items by the wire's index, whatever the order of arrival.
    items: BTreeMap<u64, Box<RawValue>>,
    /// Items begun and not finished: their type and name.
    open: BTreeMap<u64, (String, String)>,
    end: Option<End>,
}

/// How the stream ended, and what the final response said.
struct End {
    incomplete: Option<String>,
    usage: Usage,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: Option<String>,
    output_index: Option<u64>,
    summary_index: Option<u64>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    item: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Response {
    #[serde(default)]
    id: String,
    #[serde(default)]
    output: Vec<Box<RawValue>>,
    usage: Option<Counts>,
    error: Option<Fault>,
    incomplete_details: Option<Incomplete>,
}

#[derive(Deserialize)]
struct Incomplete {
    reason: Option<String>,
}

#[derive(Deserialize)]
struct Counts {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    input_tokens_details: Option<InputDetails>,
}

#[derive(Default, Deserialize)]
struct InputDetails {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
}

impl Counts {
    /// The wire counts cached tokens as input too; ours are disjoint.
    fn usage(self) -> Usage {
        let details = self.input_tokens_details.unwrap_or_default();
        let input = self.input_tokens.unwrap_or(0);
        let cache_read = details.cached_tokens.unwrap_or(0).min(input);
        let cache_write = details
            .cache_write_tokens
            .unwrap_or(0)
            .min(input - cache_read);
        Usage {
            input: input - cache_read - cache_write,
            output: self.output_tokens.unwrap_or(0),
            cache_read,
            cache_write,
            cache_write_1h: 0,
        }
    }
}

/// What we read of an item. All else in it is kept unread.
#[derive(Default, Deserialize)]
struct Item<'a> {
    #[serde(rename = "type")]
    kind: Option<String>,
    status: Option<String>,
    id: Option<String>,
    call_id: Option<String>,
    name: Option<String>,
    arguments: Option<String>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    summary: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Part {
    text: Option<String>,
    refusal: Option<String>,
}

impl Decoder for Stream {
    fn event(&mut self, data: &str) -> Result<Vec<Delta>, ProviderError> {
        if data.trim() == "[DONE]" {
            // Not of this API, but compatible servers send it.
            return Ok(Vec::new());
        }
        let event: Event = parse(data)?;
        let delta = || event.delta.and_then(string).filter(|text| !text.is_empty());
        let shown = match event.kind.as_deref() {
            Some("response.created") => {
                self.id = response(&event, data)?.id;
                None
            }
            Some("response.output_item.added") => self.begin(&event),
            Some("response.output_item.done") => {
                self.keep(&event);
                None
            }
            Some("response.output_text.delta" | "response.refusal.delta") => {
                delta().map(Delta::Text)
            }
            Some("response.reasoning_summary_text.delta" | "response.reasoning_text.delta") => {
                delta().map(Delta::Thinking)
            }
            Some("response.reasoning_summary_part.added") => {
                let later = event.summary_index.is_some_and(|index| index > 0);
                later.then(|| Delta::Thinking("\n".to_owned()))
            }
            Some("response.function_call_arguments.delta") => delta().map(Delta::Arguments),
            Some("response.completed") => {
                self.close(response(&event, data)?, false);
                None
            }
            Some("response.incomplete") => {
                self.close(response(&event, data)?, true);
                None
            }
            Some("response.failed") => {
                let fault = response(&event, data)?.error.unwrap_or_default();
                return Err(classify(&fault, Complaint::streamed(fault.words())));
            }
            Some("error") => return Err(failure(data)),
            None if event.error.is_some() => return Err(failure(data)),
            _ => None,
        };
        Ok(shown.into_iter().collect())
    }

    fn done(&self) -> bool {
        self.end.is_some()
    }

    fn finish(self: Box<Self>) -> Result<Reply, ProviderError> {
        let Self {
            id,
            items,
            open,
            end,
        } = *self;
        let Some(End { incomplete, usage }) = end else {
            return Err(ProviderError::Cut {
                message: "no response.completed came".to_owned(),
            });
        };
        let cut = incomplete.is_some();
        let mut reply = Reply {
            id,
            items: Vec::new(),
            text: String::new(),
            thinking: String::new(),
            calls: Vec::new(),
            truncated: Vec::new(),
            stop: Stop::EndTurn,
            usage,
        };
        let last = items.keys().next_back().copied();
        let mut refused = false;
        let mut kept: Vec<(bool, Raw)> = Vec::new();
        for (index, item) in items {
            let view: Item = serde_json::from_str(item.get()).unwrap_or_default();
            match view.kind.as_deref() {
                Some("function_call") if view.half_made(cut, Some(index) == last) => {
                    reply.truncated.push(view.name.unwrap_or_default());
                    continue;
                }
                Some("function_call") => reply.calls.push(view.call()),
                Some("message") => {
                    for part in parts(view.content) {
                        refused |= part.refusal.is_some();
                        paragraph(&mut reply.text, part.text.or(part.refusal));
                    }
                }
                Some("reasoning") => {
                    for part in parts(view.summary) {
                        paragraph(&mut reply.thinking, part.text);
                    }
                }
                _ => {}
            }
            kept.push((
                view.kind.as_deref() == Some("reasoning"),
                Raw::new(item.get()),
            ));
        }
        let calls = open
            .into_values()
            .filter(|(kind, _)| kind == "function_call");
        reply.truncated.extend(calls.map(|(_, name)| name));
        while kept.last().is_some_and(|(reasoning, _)| *reasoning) {
            kept.pop();
        }
        reply.items = kept.into_iter().map(|(_, item)| item).collect();
        reply.stop = match incomplete.as_deref() {
            Some("content_filter") => Stop::Refusal(incomplete),
            Some(_) => Stop::MaxTokens,
            None if !reply.calls.is_empty() => Stop::ToolUse,
            None if refused => Stop::Refusal(None),
            None => Stop::EndTurn,
        };
        distinct(reply)
    }
}

/// A response that came as one JSON text.
pub(super) fn whole(json: &str) -> Result<Reply, ProviderError> {
    let mut response: Response = parse(json)?;
    if let Some(fault) = response.error.take() {
        return Err(classify(&fault, Complaint::streamed(fault.words())));
    }
    let cut = response.incomplete_details.is_some();
    let mut stream = Stream::default();
    stream.close(response, cut);
    Box::new(stream).finish()
}

impl Stream {
    fn begin(&mut self, event: &Event) -> Option<Delta> {
        let view: Item = serde_json::from_str(event.item?.get()).unwrap_or_default();
        let (kind, name) = (view.kind.unwrap_or_default(), view.name.unwrap_or_default());
        let call = (kind == "function_call").then(|| Delta::Call(name.clone()));
        self.open.insert(event.output_index?, (kind, name));
        call
    }

    fn keep(&mut self, event: &Event) {
        let Some(item) = event.item else { return };
        let next = self.items.keys().next_back().map_or(0, |index| index + 1);
        let index = event.output_index.unwrap_or(next);
        self.open.remove(&index);
        self.items.insert(index, item.to_owned());
    }

    fn close(&mut self, response: Response, cut: bool) {
        if !response.id.is_empty() {
            self.id = response.id;
        }
        // Servers that send no single items repeat them all here.
        if self.items.is_empty() {
            self.items = (0..).zip(response.output).collect();
            self.open.retain(|index, _| !self.items.contains_key(index));
        }
        let reason = response
            .incomplete_details
            .and_then(|details| details.reason);
        let incomplete = cut.then(|| reason.unwrap_or_default());
        let usage = response.usage.map(Counts::usage).unwrap_or_default();
        self.end = Some(End { incomplete, usage });
    }
}

impl Item<'_> {
    /// Whether a call's arguments broke off.
    fn half_made(&self, cut: bool, last: bool) -> bool {
        match self.status.as_deref() {
            Some("incomplete") => true,
            Some("in_progress") => cut,
            _ => {
                let arguments = self.arguments.as_deref().unwrap_or_default();
                cut && last && serde_json::from_str::<&RawValue>(arguments).is_err()
            }
        }
    }

    fn call(&self) -> ToolCall {
        let arguments = self
            .arguments
            .clone()
            .filter(|text| !text.trim().is_empty());
        ToolCall {
            id: self
                .call_id
                .clone()
                .or_else(|| self.id.clone())
                .unwrap_or_default(),
            name: self.name.clone().unwrap_or_default(),
            arguments: arguments.unwrap_or_else(|| "{}".to_owned()),
        }
    }
}

fn parts(list: Option<&RawValue>) -> Vec<Part> {
    list.and_then(|list| serde_json::from_str(list.get()).ok())
        .unwrap_or_default()
}

fn string(json: &RawValue) -> Option<String> {
    serde_json::from_str(json.get()).ok()
}

fn response(event: &Event, data: &str) -> Result<Response, ProviderError> {
    match event.response {
        Some(response) => parse(response.get()),
        None => Err(ProviderError::malformed("no response", data)),
    }
}

fn parse<'a, T: Deserialize<'a>>(data: &'a str) -> Result<T, ProviderError> {
    serde_json::from_str(data).map_err(|error| ProviderError::malformed(&error.to_string(), data))
}

/// An `error` event, which comes nested or flat.
fn failure(data: &str) -> ProviderError {
    let fault = parse::<Failure>(data)
        .map(|failure| failure.error)
        .or_else(|_| parse(data));
    fault.map_or_else(
        |e| e,
        |fault: Fault| classify(&fault, Complaint::streamed(fault.words())),
    )
}
