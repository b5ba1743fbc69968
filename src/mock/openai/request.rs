//! A Responses request, judged as the vendor judges it.
//!
//! Owns what is refused and what counts as received. Only stateless conversations are taken: the
//! whole history stands in `input`. Must not know scenarios or replies.

use std::collections::BTreeSet;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::encrypted;
use crate::domain::scenario::Heard;
use crate::mock::exchange::{Ask, Part, Refusal};

/// What the GPT-6 family no longer takes.
const SAMPLERS: [&str; 3] = ["temperature", "top_p", "top_logprobs"];

/// Reads a request.
pub(in crate::mock) fn read(body: &Value, text: &str) -> Result<Ask, Refusal> {
    let model = body["model"].as_str().ok_or_else(|| missing("model"))?;
    settings(body, model)?;
    let items = items(&body["input"])?;
    outputs_answer_calls(&items)?;
    reasoning_keeps_its_place(body, &items)?;
    let head = json!([model, body["instructions"], body["tools"]]);
    let mut parts = vec![Part::of("head", &head)];
    match raw_items(text) {
        Some(raw) => parts.extend(raw.iter().map(|item| Part::raw("item", item.get()))),
        None => parts.extend(items.iter().map(|item| Part::of("item", item))),
    }
    let mut prefix = String::new();
    for part in &parts {
        prefix = part.chained(&prefix);
    }
    Ok(Ask {
        model: model.to_owned(),
        stream: body["stream"].as_bool().unwrap_or(false),
        heard: heard(&items),
        cacheable: parts.len(),
        parts,
        prefix,
        max_output: body["max_output_tokens"].as_u64().unwrap_or(u64::MAX),
        hour: false,
        compacts: false,
        show_thinking: body["reasoning"]["summary"].is_string(),
        freeform: freeform_tools(body, &items),
    })
}

/// What users said, as a compaction keeps it.
pub(in crate::mock) fn users(body: &Value) -> Vec<Value> {
    let items = body["input"].as_array().cloned().unwrap_or_default();
    let said = |item: &Value| kind(item) == "message" && item["role"] == "user";
    items.into_iter().filter(said).collect()
}

fn missing(parameter: &str) -> Refusal {
    let message = format!("Missing required parameter: '{parameter}'.");
    Refusal::coded("missing_required_parameter", message)
}

fn settings(body: &Value, model: &str) -> Result<(), Refusal> {
    if !body["previous_response_id"].is_null() {
        let id = body["previous_response_id"].as_str().unwrap_or_default();
        let message = format!("Previous response with id '{id}' not found.");
        return Err(Refusal::coded("previous_response_not_found", message));
    }
    if !model.starts_with("gpt-6") {
        return Ok(());
    }
    if let Some(sampler) = SAMPLERS.iter().find(|sampler| !body[**sampler].is_null()) {
        let message =
            format!("Unsupported parameter: '{sampler}' is not supported with this model.");
        return Err(Refusal::coded("unsupported_parameter", message));
    }
    let effort = body["reasoning"]["effort"].as_str().unwrap_or("medium");
    if matches!(effort, "none" | "minimal") && !model.starts_with("gpt-6-") {
        let message = format!(
            "Unsupported value: 'reasoning.effort' does not support '{effort}' with this model."
        );
        return Err(Refusal::coded("unsupported_value", message));
    }
    Ok(())
}

/// The items of `input`; plain text is one user message.
fn items(input: &Value) -> Result<Vec<Value>, Refusal> {
    match input {
        Value::String(text) => Ok(vec![json!({"role": "user", "content": text})]),
        Value::Array(items) => Ok(items.clone()),
        _ => Err(missing("input")),
    }
}

/// The items as they were sent; none where `input` is plain text.
fn raw_items(text: &str) -> Option<Vec<&RawValue>> {
    #[derive(serde::Deserialize)]
    struct Body<'b> {
        #[serde(borrow)]
        input: Vec<&'b RawValue>,
    }
    serde_json::from_str::<Body>(text)
        .ok()
        .map(|body| body.input)
}

/// An item's type; messages may leave it out.
fn kind(item: &Value) -> &str {
    match item["type"].as_str() {
        Some(kind) => kind,
        None if item["role"].is_string() => "message",
        None => "",
    }
}

fn is_call(item: &Value) -> bool {
    matches!(kind(item), "function_call" | "custom_tool_call")
}

fn is_output(item: &Value) -> bool {
    matches!(
        kind(item),
        "function_call_output" | "custom_tool_call_output"
    )
}

/// Every call has an output after it, and the other way round.
fn outputs_answer_calls(items: &[Value]) -> Result<(), Refusal> {
    let mut open: Vec<&str> = Vec::new();
    let mut called: BTreeSet<&str> = BTreeSet::new();
    for item in items {
        let id = item["call_id"].as_str().unwrap_or_default();
        if is_call(item) {
            open.push(id);
            called.insert(id);
        } else if is_output(item) {
            if !called.contains(id) {
                return Err(Refusal::invalid(format!(
                    "No tool call found for function call output with call_id {id}."
                )));
            }
            open.retain(|other| *other != id);
        }
    }
    match open.first() {
        Some(id) => Err(Refusal::invalid(format!(
            "No tool output found for function call {id}."
        ))),
        None => Ok(()),
    }
}

/// A reasoning item stands, sealed, right before what it led to.
fn reasoning_keeps_its_place(body: &Value, items: &[Value]) -> Result<(), Refusal> {
    for (at, item) in items.iter().enumerate() {
        let id = item["id"].as_str().unwrap_or_default();
        if kind(item) == "compaction" {
            sealed(body, item, id)?;
        } else if kind(item) == "reasoning" {
            let next = items.get(at + 1);
            let follows = next.is_some_and(|next| {
                is_call(next) || kind(next) == "reasoning" || next["role"] == "assistant"
            });
            if !follows {
                return Err(Refusal::invalid(format!(
                    "Item '{id}' of type 'reasoning' was provided without its required following \
                     item."
                )));
            }
            sealed(body, item, id)?;
        } else if let Some(reply) = reasoned(id) {
            let reasoning = format!("rs_{reply}");
            if !items[..at].iter().any(|before| before["id"] == reasoning) {
                return Err(Refusal::invalid(format!(
                    "Item '{id}' of type '{}' was provided without its required 'reasoning' item: \
                     '{reasoning}'.",
                    kind(item)
                )));
            }
        }
    }
    Ok(())
}

fn sealed(body: &Value, item: &Value, id: &str) -> Result<(), Refusal> {
    match item["encrypted_content"].as_str() {
        Some(content) if content == encrypted(id) => Ok(()),
        Some(_) => Err(Refusal::coded(
            "invalid_encrypted_content",
            format!("The encrypted content for item {id} could not be verified."),
        )),
        None => {
            let store = body["store"].as_bool().unwrap_or(true);
            Err(Refusal::invalid(format!(
                "Item with id '{id}' not found. Items are not persisted when `store` is set to \
                 {store}. Try again with `encrypted_content`, or remove this item from your input."
            )))
        }
    }
}

/// The reply whose reasoning led to an item, told by the item's id (`fc_<reply>r_0`).
fn reasoned(id: &str) -> Option<&str> {
    let rest = id.strip_prefix("msg_").or_else(|| id.strip_prefix("fc_"))?;
    let (reply, rest) = rest.split_once('r')?;
    let is_ours = reply.bytes().all(|byte| byte.is_ascii_hexdigit())
        && (rest.is_empty() || rest.starts_with('_'));
    is_ours.then_some(reply)
}

/// Names of tools that are declared `custom`, wherever they are declared.
fn freeform_tools(body: &Value, items: &[Value]) -> BTreeSet<String> {
    fn collect(tools: &Value, names: &mut BTreeSet<String>) {
        for tool in tools.as_array().into_iter().flatten() {
            if tool["type"] == "custom" {
                names.extend(tool["name"].as_str().map(str::to_owned));
            }
            collect(&tool["tools"], names);
        }
    }
    let mut names = BTreeSet::new();
    collect(&body["tools"], &mut names);
    items
        .iter()
        .for_each(|item| collect(&item["tools"], &mut names));
    names
}

/// What counts as received: user text, outputs of tools, and system or developer text after the
/// conversation began.
fn heard(items: &[Value]) -> Vec<Heard> {
    let is_system = |item: &Value| {
        kind(item) == "additional_tools" || item["role"] == "system" || item["role"] == "developer"
    };
    let began = items
        .iter()
        .position(|item| !is_system(item))
        .unwrap_or(items.len());
    let mut heard = Vec::new();
    for (at, item) in items.iter().enumerate() {
        if is_output(item) {
            let id = item["call_id"].as_str().unwrap_or_default();
            heard.push(Heard::result(id, texts(&item["output"]).join("\n")));
        } else if kind(item) == "message"
            && (item["role"] == "user" || is_system(item) && at > began)
        {
            heard.extend(texts(&item["content"]).into_iter().map(Heard::text));
        }
    }
    heard
}

/// The texts of a content that is text or parts.
fn texts(content: &Value) -> Vec<&str> {
    match content {
        Value::String(text) => vec![text],
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_vendor_refuses_is_refused() {
        let call = json!({"type": "function_call", "call_id": "c1", "name": "a", "arguments": ""});
        let output = json!({"type": "function_call_output", "call_id": "c1", "output": "ok"});
        let reasoning = json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": encrypted("rs_1")});
        let said = json!({"type": "message", "id": "msg_1r_0", "role": "assistant", "content": []});
        let user = json!({"role": "user", "content": "x"});
        let input = |items: &[&Value]| json!({"model": "gpt-6.2-sol", "input": items});
        let cases = [
            (json!({"model": "gpt-6.2-sol", "input": "hi"}), None),
            (json!({"model": "gpt-6.2-sol"}), Some("'input'")),
            (
                json!({"model": "gpt-6.2-sol", "input": "", "top_p": 1}),
                Some("'top_p'"),
            ),
            (
                json!({"model": "gpt-6-sol", "input": "", "reasoning": {"effort": "none"}}),
                None,
            ),
            (
                json!({"model": "gpt-6.1-sol", "input": "", "reasoning": {"effort": "none"}}),
                Some("'none'"),
            ),
            (input(&[&call, &output]), None),
            (
                input(&[&call, &user]),
                Some("No tool output found for function call c1."),
            ),
            (
                input(&[&output, &call]),
                Some("No tool call found for function call output"),
            ),
            (input(&[&reasoning, &said, &user]), None),
            (
                input(&[&reasoning, &user]),
                Some("'rs_1' of type 'reasoning'"),
            ),
            (
                input(&[&said, &reasoning, &call, &output]),
                Some("required 'reasoning' item: 'rs_1'"),
            ),
            (input(&[&said]), Some("'msg_1r_0' of type 'message'")),
            (
                input(&[
                    &json!({"type": "reasoning", "id": "rs_1", "summary": []}),
                    &said,
                ]),
                Some("Item with id 'rs_1' not found"),
            ),
        ];
        for (body, expected) in cases {
            let got = read(&body, &body.to_string())
                .err()
                .map(|refusal| refusal.message);
            match expected {
                None => assert_eq!(got, None, "{body}"),
                Some(part) => {
                    assert!(
                        got.as_ref().is_some_and(|m| m.contains(part)),
                        "{body} {got:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn only_text_from_outside_counts_as_received() {
        let body = json!({"model": "m", "instructions": "no", "input": [
            {"type": "message", "role": "developer", "content": "no"},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}]},
            {"type": "function_call", "call_id": "c", "name": "n", "arguments": "no"},
            {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "b"}]},
            {"role": "assistant", "content": [{"type": "output_text", "text": "no"}]},
            {"role": "developer", "content": "d"}]});
        let ask = read(&body, &body.to_string()).unwrap_or_else(|_| panic!("valid"));
        assert_eq!(
            ask.heard,
            [Heard::text("a"), Heard::result("c", "b"), Heard::text("d")]
        );
    }
}
