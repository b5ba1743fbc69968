//! One streamed reply of Anthropic's Messages API, folded.
//!
//! Owns the assembly of the assistant's item: each block keeps the bytes it was sent with, gets only
//! the members that its deltas fill, and is written once. What may not be replayed is dropped here:
//! blank text, unsigned or trailing thinking, and calls that the output limit cut short. Must not
//! know HTTP.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::super::error::{Complaint, ProviderError};
use super::super::raw::{Fields, json, paragraph, raw};
use super::super::{Decoder, distinct};
use super::{Failure, classify};
use crate::domain::chat::{Delta, Raw, Reply, Stop, ToolCall, Usage};

/// A reply that is streaming in.
#[derive(Default)]
pub(super) struct Stream {
    id: String,
    /// By the wire's index, whatever the order of arrival.
    blocks: BTreeMap<u64, Block>,
    usage: Counts,
    stop_reason: Option<String>,
    refusal_category: Option<String>,
    done: bool,
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: Option<String>,
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct MessageStart {
    message: MessageHead,
}

#[derive(Deserialize)]
struct MessageHead {
    #[serde(default)]
    id: String,
    usage: Option<Counts>,
}

#[derive(Deserialize)]
struct BlockStart {
    index: u64,
    content_block: Fields,
}

#[derive(Deserialize)]
struct BlockDelta {
    index: u64,
    delta: Fields,
}

#[derive(Deserialize)]
struct MessageDelta {
    delta: Option<End>,
    usage: Option<Counts>,
}

#[derive(Deserialize)]
struct End {
    stop_reason: Option<String>,
    stop_details: Option<StopDetails>,
}

#[derive(Deserialize)]
struct StopDetails {
    category: Option<String>,
}

/// The wire's counts. Later ones are totals that take the place of earlier ones.
#[derive(Default, Deserialize)]
struct Counts {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_creation: Option<Lifetimes>,
}

#[derive(Default, Deserialize)]
struct Lifetimes {
    ephemeral_1h_input_tokens: Option<u64>,
}

impl Counts {
    fn overwrite(&mut self, later: Self) {
        self.input_tokens = later.input_tokens.or(self.input_tokens);
        self.output_tokens = later.output_tokens.or(self.output_tokens);
        self.cache_read_input_tokens = later
            .cache_read_input_tokens
            .or(self.cache_read_input_tokens);
        self.cache_creation_input_tokens = later
            .cache_creation_input_tokens
            .or(self.cache_creation_input_tokens);
        if later.cache_creation.is_some() {
            self.cache_creation = later.cache_creation;
        }
    }

    fn usage(&self) -> Usage {
        let written = self.cache_creation_input_tokens.unwrap_or(0);
        let hour = self
            .cache_creation
            .as_ref()
            .and_then(|of| of.ephemeral_1h_input_tokens);
        let hour = hour.unwrap_or(0).min(written);
        Usage {
            input: self.input_tokens.unwrap_or(0),
            output: self.output_tokens.unwrap_or(0),
            cache_read: self.cache_read_input_tokens.unwrap_or(0),
            cache_write: written - hour,
            cache_write_1h: hour,
        }
    }
}

#[derive(Deserialize)]
struct Whole {
    #[serde(default)]
    id: String,
    content: Vec<Fields>,
    stop_reason: Option<String>,
    stop_details: Option<StopDetails>,
    usage: Option<Counts>,
}

/// A message that came as one JSON text.
pub(super) fn whole(json: &str) -> Result<Reply, ProviderError> {
    let whole: Whole = parse(json)?;
    let stream = Stream {
        id: whole.id,
        blocks: (0..)
            .zip(whole.content.into_iter().map(Block::new))
            .collect(),
        usage: whole.usage.unwrap_or_default(),
        stop_reason: whole.stop_reason,
        refusal_category: whole.stop_details.and_then(|details| details.category),
        done: true,
    };
    Box::new(stream).finish()
}

impl Decoder for Stream {
    fn event(&mut self, data: &str) -> Result<Vec<Delta>, ProviderError> {
        let Kind { kind, error } = parse(data)?;
        // The event's own name is not needed: data says its type, and some servers send no names.
        match kind.as_deref() {
            Some("message_start") => {
                let MessageStart { message } = parse(data)?;
                self.id = message.id;
                self.usage.overwrite(message.usage.unwrap_or_default());
            }
            Some("content_block_start") => {
                let BlockStart {
                    index,
                    content_block,
                } = parse(data)?;
                let block = Block::new(content_block);
                let delta = block.opening();
                self.blocks.insert(index, block);
                return Ok(delta.into_iter().collect());
            }
            Some("content_block_delta") => {
                let BlockDelta { index, delta } = parse(data)?;
                let Some(block) = self.blocks.get_mut(&index) else {
                    return Err(ProviderError::malformed(
                        "a delta of a block never begun",
                        data,
                    ));
                };
                return Ok(block.take(&delta).into_iter().collect());
            }
            Some("message_delta") => {
                let MessageDelta { delta, usage } = parse(data)?;
                self.usage.overwrite(usage.unwrap_or_default());
                if let Some(end) = delta {
                    self.stop_reason = end.stop_reason.or(self.stop_reason.take());
                    self.refusal_category = end.stop_details.and_then(|details| details.category);
                }
            }
            Some("message_stop") => self.done = true,
            Some("error") => return Err(failure(data)),
            None if error.is_some() => return Err(failure(data)),
            // `ping`, `content_block_stop`, and whatever will be invented.
            _ => {}
        }
        Ok(Vec::new())
    }

    fn done(&self) -> bool {
        self.done
    }

    fn finish(self: Box<Self>) -> Result<Reply, ProviderError> {
        if !self.done {
            return Err(ProviderError::Cut {
                message: "no message_stop came".to_owned(),
            });
        }
        let stop = stop(self.stop_reason.as_deref(), self.refusal_category);
        let cut = matches!(stop, Stop::MaxTokens | Stop::ContextFull | Stop::Refusal(_));
        let last = self.blocks.keys().next_back().copied();
        let mut reply = Reply {
            id: self.id,
            items: Vec::new(),
            text: String::new(),
            thinking: String::new(),
            calls: Vec::new(),
            truncated: Vec::new(),
            stop,
            usage: self.usage.usage(),
        };
        let mut kept: Vec<Fields> = Vec::new();
        for (index, block) in self.blocks {
            block.settle(cut && Some(index) == last, &mut reply, &mut kept);
        }
        // A message may not end in thinking, except that a paused one must go back unchanged.
        if reply.stop != Stop::Pause {
            while kept.last().is_some_and(is_thinking) {
                kept.pop();
            }
        }
        if !kept.is_empty() {
            let content = json(&kept);
            reply.items.push(Raw::new(format!(
                r#"{{"role":"assistant","content":{content}}}"#
            )));
        }
        // Whether calls wait for results is seen by the calls, should a server say otherwise.
        reply.stop = match (reply.stop, reply.calls.is_empty()) {
            (Stop::EndTurn, false) => Stop::ToolUse,
            (Stop::ToolUse, true) => Stop::EndTurn,
            (stop, _) => stop,
        };
        distinct(reply)
    }
}

/// One content block.
struct Block {
    kind: String,
    /// As it was begun, with `signature` and the like filled in as they come.
    fields: Fields,
    /// Text or thinking, begun and streamed.
    prose: String,
    /// A call's arguments as they stream.
    partial: String,
    citations: Vec<Box<RawValue>>,
    grown: bool,
}

impl Block {
    fn new(fields: Fields) -> Self {
        let kind = fields.text("type").unwrap_or_default();
        let prose = match kind.as_str() {
            "text" | "thinking" => fields.text(&kind).unwrap_or_default(),
            _ => String::new(),
        };
        Self {
            kind,
            fields,
            prose,
            partial: String::new(),
            citations: Vec::new(),
            grown: false,
        }
    }

    /// What is to be shown when it begins.
    fn opening(&self) -> Option<Delta> {
        match self.kind.as_str() {
            "tool_use" => Some(Delta::Call(self.fields.text("name").unwrap_or_default())),
            "text" => shown(&self.prose).map(Delta::Text),
            "thinking" => shown(&self.prose).map(Delta::Thinking),
            _ => None,
        }
    }

    fn take(&mut self, delta: &Fields) -> Option<Delta> {
        let part = |key| delta.text(key).unwrap_or_default();
        match delta.text("type").as_deref() {
            Some("text_delta") => {
                let text = part("text");
                self.grow(&text);
                shown(&text).map(Delta::Text)
            }
            Some("thinking_delta") => {
                let text = part("thinking");
                self.grow(&text);
                shown(&text).map(Delta::Thinking)
            }
            Some("input_json_delta") => {
                let text = part("partial_json");
                self.partial.push_str(&text);
                shown(&text).map(Delta::Arguments)
            }
            Some("compaction_delta") => {
                for key in ["content", "encrypted_content"] {
                    if let Some(value) = delta.get(key).filter(|value| value.get() != "null") {
                        self.fields.set(key, value.to_owned());
                    }
                }
                None
            }
            Some("signature_delta") => {
                self.fields.set("signature", raw(&part("signature")));
                None
            }
            Some("citations_delta") => {
                self.citations
                    .extend(delta.get("citation").map(ToOwned::to_owned));
                None
            }
            _ => None,
        }
    }

    fn grow(&mut self, text: &str) {
        self.prose.push_str(text);
        self.grown = true;
    }

    /// Enters the finished block into the reply. `cut`: the reply was cut short in this block.
    fn settle(mut self, cut: bool, reply: &mut Reply, kept: &mut Vec<Fields>) {
        if !self.citations.is_empty() {
            self.fields.set("citations", raw(&self.citations));
        }
        if self.grown && matches!(self.kind.as_str(), "text" | "thinking") {
            self.fields.set(&self.kind, raw(&self.prose));
        }
        match self.kind.as_str() {
            // Blank text is refused in a replay.
            "text" if self.prose.trim().is_empty() => return,
            "text" => paragraph(&mut reply.text, Some(&self.prose)),
            "thinking" => {
                paragraph(&mut reply.thinking, Some(&self.prose));
                // The limit cut it short before it was signed; unsigned it would be refused.
                if self.fields.text("signature").unwrap_or_default().is_empty() {
                    return;
                }
            }
            // Without content the vendor could not sum up.
            "compaction" if self.fields.text("content").is_none() => return,
            "tool_use" => match self.call(cut) {
                Some(call) => reply.calls.push(call),
                None => {
                    reply
                        .truncated
                        .push(self.fields.text("name").unwrap_or_default());
                    return;
                }
            },
            _ if !self.partial.trim().is_empty() => {
                if let Ok(input) = RawValue::from_string(self.partial.trim().to_owned()) {
                    self.fields.set("input", input);
                }
            }
            _ => {}
        }
        kept.push(self.fields);
    }

    /// The call that a `tool_use` block makes, and its input put into the block; none where it was
    /// cut short.
    fn call(&mut self, cut: bool) -> Option<ToolCall> {
        let sent = self.partial.trim();
        let arguments = if sent.is_empty() {
            if cut {
                return None;
            }
            // No arguments streamed: what the block began with holds, most often `{}`.
            let input = self
                .fields
                .get("input")
                .map(RawValue::get)
                .filter(|text| *text != "null");
            let text = input.unwrap_or("{}").to_owned();
            if input.is_none() {
                self.fields
                    .set("input", raw(&BTreeMap::<&str, &str>::new()));
            }
            text
        } else {
            let object = serde_json::from_str::<Fields>(sent).is_ok();
            if cut && !object {
                return None;
            }
            let input = if object {
                RawValue::from_string(sent.to_owned()).expect("it was just parsed")
            } else {
                // The wire takes objects only; in this wrapping the model sees what it wrote.
                raw(&BTreeMap::from([("INVALID_JSON", sent)]))
            };
            self.fields.set("input", input);
            sent.to_owned()
        };
        Some(ToolCall {
            id: self.fields.text("id").unwrap_or_default(),
            name: self.fields.text("name").unwrap_or_default(),
            arguments,
        })
    }
}

fn shown(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn is_thinking(block: &Fields) -> bool {
    matches!(
        block.text("type").as_deref(),
        Some("thinking" | "redacted_thinking")
    )
}

fn stop(reason: Option<&str>, category: Option<String>) -> Stop {
    match reason {
        Some("tool_use") => Stop::ToolUse,
        Some("max_tokens") => Stop::MaxTokens,
        Some("pause_turn") => Stop::Pause,
        Some("refusal") => Stop::Refusal(category),
        Some("model_context_window_exceeded") => Stop::ContextFull,
        _ => Stop::EndTurn,
    }
}

fn parse<'a, T: Deserialize<'a>>(data: &'a str) -> Result<T, ProviderError> {
    serde_json::from_str(data).map_err(|error| ProviderError::malformed(&error.to_string(), data))
}

fn failure(data: &str) -> ProviderError {
    match parse::<Failure>(data) {
        Ok(Failure { error }) => classify(&error, Complaint::streamed(&error.message)),
        Err(error) => error,
    }
}
