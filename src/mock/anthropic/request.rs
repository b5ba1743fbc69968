//! A Messages request, judged as the vendor judges it.
//!
//! Owns what is refused and what counts as received. It is strict where the vendor is strict, since
//! a client that passes here must pass there. Must not know scenarios or replies.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{REDACTED, sealed, signature};
use crate::domain::scenario::Heard;
use crate::mock::exchange::{Ask, CARELESS, Part, Refusal};

/// Most cache markers a request may have.
const MAX_MARKERS: usize = 4;
/// Samplers that version 2026-10-21 no longer takes, whatever their value.
const SAMPLERS: [&str; 3] = ["temperature", "top_p", "top_k"];
/// What a compaction on demand is asked with.
const COMPACTION: &str = "compact-2026-09-04";
/// A block's cache marker in JSON text, with the comma before it.
static MARKER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#",?\s*"cache_control"\s*:\s*(?:\{[^{}]*\}|null)"#).expect("a pattern of ours")
});
/// The API version before that.
const OLD_VERSION: &str = "2023-06-01";

/// A content block and where it stands.
struct Block<'b> {
    role: &'b str,
    /// The index of its message.
    message: usize,
    /// Its index there.
    at: usize,
    /// Without its cache marker.
    value: Value,
    marked: bool,
}

impl Block<'_> {
    fn kind(&self) -> &str {
        self.value["type"].as_str().unwrap_or_default()
    }

    fn text(&self, key: &str) -> &str {
        self.value[key].as_str().unwrap_or_default()
    }
}

/// What the headers say.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::mock) struct Told<'h> {
    /// The API's version.
    pub(in crate::mock) version: Option<&'h str>,
    /// The betas that are wanted.
    pub(in crate::mock) betas: &'h str,
}

/// Reads a request; `counting` ones need no `max_tokens`.
pub(in crate::mock) fn read(
    body: &Value,
    text: &str,
    told: Told<'_>,
    counting: bool,
) -> Result<Ask, Refusal> {
    let Told { version, betas } = told;
    let model = body["model"].as_str().ok_or_else(|| required("model"))?;
    if !counting && body["max_tokens"].as_u64().is_none() {
        return Err(required("max_tokens"));
    }
    settings(body, model, version)?;
    let messages = body["messages"]
        .as_array()
        .ok_or_else(|| required("messages"))?;
    let blocks = blocks(messages)?;
    results_follow_calls(&blocks)?;
    compactions(body, betas, &blocks)?;
    // What a server's own loop was at when it paused is the one thing of the model's that stands last.
    // A compaction generates no reply, so that it may end wherever no call is open.
    let last = blocks.last();
    let prefill = |block: &Block| block.role == "assistant" && block.kind() != "server_tool_use";
    if last.is_none_or(|block| prefill(block) && body["compaction"].is_null()) {
        return Err(Refusal::invalid(
            "This model does not support assistant message prefill. The conversation must end \
             with a user message.",
        ));
    }
    let (parts, cacheable) = parts(body, text, model, &blocks)?;
    let prefix = signatures(body, model, &blocks, &parts)?;
    let display = body["thinking"]["display"].as_str().unwrap_or("omitted");
    Ok(Ask {
        model: model.to_owned(),
        stream: body["stream"].as_bool().unwrap_or(false),
        heard: heard(&blocks),
        parts,
        cacheable,
        prefix,
        max_output: body["max_tokens"].as_u64().unwrap_or(u64::MAX),
        hour: body["cache_control"]["ttl"] == "1h",
        compacts: !body["compaction"].is_null(),
        show_thinking: display != "omitted",
        freeform: BTreeSet::new(),
    })
}

/// A compaction is asked for with its beta, and its block stands first, as it was sealed.
fn compactions(body: &Value, betas: &str, blocks: &[Block]) -> Result<(), Refusal> {
    if !body["compaction"].is_null() && !betas.contains(COMPACTION) {
        return Err(Refusal::invalid(
            "compaction: Extra inputs are not permitted",
        ));
    }
    for (at, block) in blocks.iter().enumerate() {
        if block.kind() != "compaction" {
            continue;
        }
        if at > 0 {
            return Err(Refusal::invalid(format!(
                "messages.{}.content.{}: a compaction block must stand first",
                block.message, block.at
            )));
        }
        if block.text("signature") != sealed(block.text("content")) {
            return Err(Refusal::invalid(format!(
                "messages.{}.content.{}: Invalid `signature` in `compaction` block.",
                block.message, block.at
            )));
        }
    }
    Ok(())
}

fn required(field: &str) -> Refusal {
    Refusal::invalid(format!("{field}: Field required"))
}

/// The fields beside the conversation.
fn settings(body: &Value, model: &str, version: Option<&str>) -> Result<(), Refusal> {
    if version != Some(OLD_VERSION)
        && let Some(sampler) = SAMPLERS.iter().find(|sampler| !body[**sampler].is_null())
    {
        return Err(Refusal::invalid(format!(
            "`{sampler}` is not supported in this version of the API. Remove it from the request."
        )));
    }
    if !always_thinks(model) {
        return Ok(());
    }
    let thinking = body["thinking"]["type"].as_str().unwrap_or("adaptive");
    if thinking != "adaptive" {
        return Err(Refusal::invalid(format!(
            "\"thinking.type.{thinking}\" is not supported for this model. Use \
             \"thinking.type.adaptive\" and \"output_config.effort\" to control thinking."
        )));
    }
    let choice = body["tool_choice"]["type"].as_str().unwrap_or("auto");
    if matches!(choice, "any" | "tool") {
        return Err(Refusal::invalid(format!(
            "tool_choice: \"{choice}\" is not supported for this model. Use \"auto\" or \"none\"."
        )));
    }
    Ok(())
}

/// Opus 5.5 and the Fable 5 family, by the vendor's migration notes.
fn always_thinks(model: &str) -> bool {
    model.starts_with("claude-opus-5-5") || model.starts_with("claude-fable-5")
}

/// All content blocks in order; a message that is plain text is one text block.
fn blocks(messages: &[Value]) -> Result<Vec<Block<'_>>, Refusal> {
    let mut blocks = Vec::new();
    for (message, value) in messages.iter().enumerate() {
        let role = value["role"].as_str().unwrap_or_default();
        if !matches!(role, "user" | "assistant" | "system") {
            return Err(Refusal::invalid(format!(
                "messages.{message}.role: Input should be 'user', 'assistant' or 'system'"
            )));
        }
        let contents = match &value["content"] {
            Value::String(text) => vec![json!({"type": "text", "text": text})],
            Value::Array(contents) => contents.clone(),
            _ => return Err(required(&format!("messages.{message}.content"))),
        };
        if contents.is_empty() && role != "assistant" {
            let message =
                format!("messages.{message}: {role} messages must have non-empty content");
            return Err(Refusal::invalid(message));
        }
        for (at, mut value) in contents.into_iter().enumerate() {
            let marked = unmark(&mut value);
            let block = Block {
                role,
                message,
                at,
                value,
                marked,
            };
            if block.kind() == "text" && block.text("text").is_empty() {
                return Err(Refusal::invalid(format!(
                    "messages.{message}.content.{at}: text content blocks must be non-empty"
                )));
            }
            blocks.push(block);
        }
    }
    Ok(blocks)
}

/// Takes the cache marker off a block and says whether there was one: moving a marker changes
/// neither the cached prefix nor what a signature is bound to.
fn unmark(block: &mut Value) -> bool {
    let members = block.as_object_mut();
    members
        .and_then(|members| members.remove("cache_control"))
        .is_some_and(|mark| !mark.is_null())
}

/// Every call must have its result at the front of the next user message, and the other way round.
/// Consecutive messages of one role count as one.
fn results_follow_calls(blocks: &[Block]) -> Result<(), Refusal> {
    let mut called: Vec<&str> = Vec::new();
    let mut all: BTreeSet<&str> = BTreeSet::new();
    let mut speaker = "";
    for turn in blocks.chunk_by(|a, b| a.role == b.role) {
        let results: Vec<&Block> = turn
            .iter()
            .take_while(|block| block.kind() == "tool_result")
            .collect();
        let answered = |id: &&str| results.iter().any(|block| block.text("tool_use_id") == *id);
        let open: Vec<&str> = called.iter().copied().filter(|id| !answered(id)).collect();
        if !open.is_empty() {
            return Err(unanswered(turn[0].message.saturating_sub(1), &open));
        }
        for block in turn.iter().filter(|block| block.kind() == "tool_result") {
            let id = block.text("tool_use_id");
            if speaker != "assistant" || !called.contains(&id) {
                return Err(Refusal::invalid(format!(
                    "messages.{}.content.{}: unexpected tool_use_id found in tool_result blocks: \
                     {id}. Each tool_result block must have a corresponding tool_use block in the \
                     previous message.",
                    block.message, block.at
                )));
            }
        }
        speaker = turn[0].role;
        called.clear();
        for block in turn.iter().filter(|block| block.kind() == "tool_use") {
            let id = block.value["id"].as_str().unwrap_or_default();
            // A server that names its calls without care takes them as it named them.
            if !all.insert(id) && !id.contains(CARELESS) {
                return Err(Refusal::invalid(format!(
                    "messages.{}.content.{}: tool_use ids must be unique",
                    block.message, block.at
                )));
            }
            called.push(id);
        }
    }
    match blocks.last() {
        Some(last) if !called.is_empty() => Err(unanswered(last.message, &called)),
        _ => Ok(()),
    }
}

fn unanswered(message: usize, ids: &[&str]) -> Refusal {
    Refusal::invalid(format!(
        "messages.{message}: tool_use ids were found without tool_result blocks immediately after: \
         {}. Each tool_use block must have a corresponding tool_result block in the next message.",
        ids.join(", ")
    ))
}

/// The prompt in parts, and how many of them stand before the last cache marker.
fn parts(
    body: &Value,
    text: &str,
    model: &str,
    blocks: &[Block],
) -> Result<(Vec<Part>, usize), Refusal> {
    let mut tools = body["tools"].as_array().cloned().unwrap_or_default();
    let mut system = match &body["system"] {
        Value::String(text) => vec![json!({"type": "text", "text": text})],
        Value::Array(blocks) => blocks.clone(),
        _ => Vec::new(),
    };
    let marked: Vec<bool> = tools.iter_mut().chain(&mut system).map(unmark).collect();
    let head_markers = marked.iter().filter(|marked| **marked).count();
    let automatic = !body["cache_control"].is_null();
    let markers =
        head_markers + usize::from(automatic) + blocks.iter().filter(|block| block.marked).count();
    if markers > MAX_MARKERS {
        return Err(Refusal::invalid(format!(
            "A maximum of {MAX_MARKERS} blocks with cache_control may be provided. Found {markers}."
        )));
    }
    let mut parts = vec![Part::of("head", &json!([model, tools, system]))];
    let raw = raw_blocks(text).filter(|raw| raw.len() == blocks.len());
    match raw {
        Some(raw) => parts.extend(
            blocks
                .iter()
                .zip(raw)
                .map(|(block, raw)| Part::raw(block.role, &raw)),
        ),
        None => parts.extend(
            blocks
                .iter()
                .map(|block| Part::of(block.role, &block.value)),
        ),
    }
    let cacheable = if automatic {
        parts.len()
    } else {
        match blocks.iter().rposition(|block| block.marked) {
            Some(at) => at + 2,
            None => usize::from(head_markers > 0),
        }
    };
    Ok((parts, cacheable))
}

/// All content blocks as they were sent, but for their cache markers.
fn raw_blocks(text: &str) -> Option<Vec<String>> {
    #[derive(serde::Deserialize)]
    struct Body<'b> {
        #[serde(borrow)]
        messages: Vec<Message<'b>>,
    }
    #[derive(serde::Deserialize)]
    struct Message<'b> {
        #[serde(borrow)]
        content: &'b RawValue,
    }
    let body: Body = serde_json::from_str(text).ok()?;
    let mut all = Vec::new();
    for message in body.messages {
        let content = message.content.get();
        if content.starts_with('[') {
            let blocks: Vec<&RawValue> = serde_json::from_str(content).ok()?;
            let bare = |block: &&RawValue| MARKER.replace_all(block.get(), "").into_owned();
            all.extend(blocks.iter().map(bare));
        } else {
            all.push(content.to_owned());
        }
    }
    Some(all)
}

/// Checks that every thinking block stands where it was made, and names the whole prompt.
fn signatures(
    body: &Value,
    model: &str,
    blocks: &[Block],
    parts: &[Part],
) -> Result<String, Refusal> {
    let lenient = body["thinking"]["block_binding"]["prefix_mismatch_behavior"] == "drop_block";
    let mut prefix = parts[0].chained(model);
    for (block, part) in blocks.iter().zip(&parts[1..]) {
        let signed = signature(&prefix, block.text("thinking"));
        if block.kind() == "redacted_thinking" && block.text("data") != REDACTED {
            return Err(Refusal::invalid(format!(
                "messages.{}.content.{}: Invalid `data` in `redacted_thinking` block.",
                block.message, block.at
            )));
        }
        if block.kind() == "thinking" && !lenient && block.text("signature") != signed {
            return Err(Refusal::invalid(format!(
                "messages.{}.content.{}: Invalid `signature` in `thinking` block. The block is \
                 bound to a different conversation. Remove the block, or set \
                 `thinking.block_binding.prefix_mismatch_behavior` to \"drop_block\".",
                block.message, block.at
            )));
        }
        prefix = part.chained(&prefix);
    }
    Ok(prefix)
}

/// What counts as received: user text, tool results, and system text after the conversation began.
fn heard(blocks: &[Block]) -> Vec<Heard> {
    let began = blocks
        .iter()
        .position(|block| block.role != "system")
        .unwrap_or(blocks.len());
    let mut heard = Vec::new();
    for (index, block) in blocks.iter().enumerate() {
        match (block.role, block.kind()) {
            ("user", "text") => heard.push(Heard::text(block.text("text"))),
            ("system", "text") if index > began => heard.push(Heard::text(block.text("text"))),
            ("user", "tool_result") => {
                let text = result_text(&block.value["content"]);
                heard.push(Heard::result(block.text("tool_use_id"), text));
            }
            _ => {}
        }
    }
    heard
}

fn result_text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts: Vec<&str> = blocks
                .iter()
                .filter_map(|block| block["text"].as_str())
                .collect();
            texts.join("\n")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(change: Value) -> Option<String> {
        let mut body = json!({"model": "claude-opus-5-5", "max_tokens": 9,
            "messages": [{"role": "user", "content": "hi"}]});
        body.as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        read(&body, &body.to_string(), Told::default(), false)
            .err()
            .map(|refusal| refusal.message)
    }

    #[test]
    fn what_the_vendor_refuses_is_refused() {
        let user = |content: Value| json!({"role": "user", "content": content});
        let calls = json!({"role": "assistant", "content": [
            {"type": "tool_use", "id": "t1", "name": "a", "input": {}},
            {"type": "tool_use", "id": "t2", "name": "a", "input": {}}]});
        let result = |id: &str| json!({"type": "tool_result", "tool_use_id": id, "content": "ok"});
        let text = json!({"type": "text", "text": "x"});
        let cases = [
            (json!({}), None),
            (
                json!({"max_tokens": null}),
                Some("max_tokens: Field required"),
            ),
            (
                json!({"temperature": 1.0}),
                Some("`temperature` is not supported"),
            ),
            (
                json!({"thinking": {"type": "disabled"}}),
                Some("\"thinking.type.disabled\""),
            ),
            (json!({"thinking": {"type": "adaptive"}}), None),
            (json!({"tool_choice": {"type": "any"}}), Some("tool_choice")),
            (
                json!({"messages": [user(json!(""))]}),
                Some("text content blocks must be non-empty"),
            ),
            (json!({"messages": []}), Some("assistant message prefill")),
            (
                json!({"messages": [user(json!("a")), {"role": "assistant", "content": "b"}]}),
                Some("assistant message prefill"),
            ),
            (
                json!({"messages": [user(json!("a")), calls]}),
                Some(
                    "messages.1: tool_use ids were found without tool_result blocks immediately after: t1, t2",
                ),
            ),
            (
                json!({"messages": [user(json!("a")), calls, user(json!([result("t1")]))]}),
                Some("immediately after: t2"),
            ),
            (
                json!({"messages": [user(json!("a")), calls,
                    user(json!([text, result("t1"), result("t2")]))]}),
                Some("immediately after: t1, t2"),
            ),
            (
                json!({"messages": [user(json!("a")), calls, user(json!([result("t1")])),
                    user(json!([result("t2"), text]))]}),
                None,
            ),
            (
                json!({"messages": [user(json!([result("t9")]))]}),
                Some("unexpected tool_use_id"),
            ),
        ];
        for (change, expected) in cases {
            let got = refusal(change.clone());
            match expected {
                None => assert_eq!(got, None, "{change}"),
                Some(part) => assert!(got.as_ref().is_some_and(|m| m.contains(part)), "{got:?}"),
            }
        }
    }

    #[test]
    fn a_compaction_may_end_where_the_model_has_spoken() {
        let body = |compaction: Value| {
            json!({"model": "m", "max_tokens": 9, "compaction": compaction, "messages": [
                {"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}]})
        };
        let betas = COMPACTION;
        let told = Told {
            version: None,
            betas,
        };
        let ask = |compaction| read(&body(compaction), "", told, false);
        assert!(ask(json!({"type": "summarize"})).is_ok_and(|ask| ask.compacts));
        assert!(ask(Value::Null).is_err());
    }

    #[test]
    fn a_thinking_block_is_bound_to_what_stands_before_it() {
        let ask = |system: &str, rest: &[Value]| {
            let mut messages = vec![json!({"role": "user", "content": "hi"})];
            messages.extend(rest.to_vec());
            let body =
                json!({"model": "m", "max_tokens": 9, "system": system, "messages": messages});
            read(&body, &body.to_string(), Told::default(), false)
        };
        let prefix = ask("s", &[]).unwrap_or_else(|_| panic!("valid")).prefix;
        let replayed = [
            json!({"role": "assistant", "content": [
                {"type": "thinking", "thinking": "", "signature": signature(&prefix, "")},
                {"type": "text", "text": "x"}]}),
            json!({"role": "user", "content": [{"type": "text", "text": "on", "cache_control": {}}]}),
        ];
        assert!(ask("s", &replayed).is_ok());
        let Err(refusal) = ask("another", &replayed) else {
            panic!("taken")
        };
        assert!(
            refusal
                .message
                .starts_with("messages.1.content.0: Invalid `signature`")
        );
    }

    #[test]
    fn another_order_of_keys_is_another_prompt_and_a_moved_marker_is_not() {
        let parts = |input: &str, mark: &str| {
            let text = format!(
                r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":"hi"}},
                {{"role":"assistant","content":[{{"type":"tool_use","id":"t","name":"n","input":{input}}}]}},
                {{"role":"user","content":[{{"type":"tool_result","tool_use_id":"t","content":"x"{mark}}}]}}]}}"#
            );
            let body: Value = serde_json::from_str(&text).unwrap();
            let ask = read(&body, &text, Told::default(), false);
            ask.unwrap_or_else(|_| panic!("valid")).parts
        };
        let one = parts(r#"{"a":1,"b":2}"#, "");
        let marked = parts(
            r#"{"a":1,"b":2}"#,
            r#", "cache_control": {"type": "ephemeral"}"#,
        );
        assert_eq!(one, marked);
        for other in [r#"{"b":2,"a":1}"#, r#"{"a": 1,"b":2}"#] {
            let other = parts(other, "");
            assert_eq!((other[..2] == one[..2], other[2] == one[2]), (true, false));
        }
    }

    #[test]
    fn only_text_from_outside_counts_as_received() {
        let body = json!({"model": "m", "max_tokens": 9, "system": "no", "messages": [
            {"role": "system", "content": "no"},
            {"role": "user", "content": [{"type": "text", "text": "a"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "no"},
                {"type": "tool_use", "id": "t", "name": "n", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t",
                "content": [{"type": "text", "text": "b"}, {"type": "text", "text": "c"}]}]},
            {"role": "system", "content": "d"}]});
        let ask = read(&body, &body.to_string(), Told::default(), false)
            .unwrap_or_else(|_| panic!("valid"));
        assert_eq!(
            ask.heard,
            [
                Heard::text("a"),
                Heard::result("t", "b\nc"),
                Heard::text("d")
            ]
        );
    }
}
