//! A reply as Responses events, or as one response.
//!
//! Owns the order of events and the vendor's error bodies. Must not know why a reply says what it
//! says.

use serde_json::{Value, json};

use crate::mock::exchange::{EPOCH, End, Event, OutCall, Refusal, Reply, digest, pieces};

/// The vendor's words for a prompt that its model cannot take.
const TOO_LONG: &str =
    "Your input exceeds the context window of this model. Please adjust your input and try again.";

/// The sealed content of a reasoning item.
pub(in crate::mock) fn encrypted(id: &str) -> String {
    format!("gAAAAB{}", digest(&["encrypted", id]))
}

/// The reply as a stream of events.
pub(in crate::mock) fn events(reply: &Reply) -> Vec<Event> {
    let mut stream = Stream::default();
    let unfinished = response(reply, "in_progress", Vec::new());
    stream.push("response.created", json!({"response": unfinished}));
    stream.push("response.in_progress", json!({"response": unfinished}));
    if reply.end == End::Context {
        let failed = failed(reply, "context_length_exceeded", TOO_LONG);
        stream.push("response.failed", json!({"response": failed}));
        return stream.events;
    }
    let items = items(reply);
    let mut calls = reply.calls.iter();
    for (at, item) in items.iter().enumerate() {
        match item["type"].as_str() {
            Some("reasoning") => stream.reasoning(at, item),
            Some("message") => stream.message(at, item),
            _ => {
                let call = calls.next().expect("each call is one item");
                stream.call(at, item, call);
            }
        }
    }
    let (name, status) = ending(reply);
    stream.push(name, json!({"response": response(reply, status, items)}));
    stream.events
}

/// The reply as one response.
pub(in crate::mock) fn whole(reply: &Reply) -> Value {
    if reply.end == End::Context {
        return failed(reply, "context_length_exceeded", TOO_LONG);
    }
    response(reply, ending(reply).1, items(reply))
}

/// An error in the middle of a stream.
pub(in crate::mock) fn interruption(reply: &Reply) -> Event {
    let failed = failed(reply, "server_is_overloaded", "Overloaded");
    let data = json!({"type": "response.failed", "sequence_number": 9999, "response": failed});
    Event::new("response.failed", &data)
}

/// A response that came to nothing.
fn failed(reply: &Reply, code: &str, message: &str) -> Value {
    let mut failed = response(reply, "failed", Vec::new());
    failed["error"] = json!({"code": code, "message": message});
    failed
}

/// A compacted conversation: what users said, and the rest, sealed.
pub(in crate::mock) fn compacted(reply: &Reply, users: Vec<Value>) -> Value {
    let whole = response(reply, "completed", Vec::new());
    let id = format!("cmp_{}", reply.id);
    let sealed = json!({"type": "compaction", "encrypted_content": encrypted(&id), "id": id});
    let output: Vec<Value> = users.into_iter().chain([sealed]).collect();
    json!({
        "id": whole["id"], "object": "response.compaction", "created_at": whole["created_at"],
        "output": output, "usage": whole["usage"],
    })
}

/// The vendor's error body for a status.
pub(in crate::mock) fn error(
    status: u16,
    refusal: Option<&Refusal>,
    code: Option<&str>,
    wait: Option<f64>,
) -> Value {
    let given = code;
    let (kind, code, message) = match status {
        401 => (
            "invalid_request_error",
            "invalid_api_key",
            "Incorrect API key provided.",
        ),
        403 => (
            "invalid_request_error",
            "permission_denied",
            "You are not allowed to do this.",
        ),
        404 => ("invalid_request_error", "not_found", "Not found"),
        429 => (
            "tokens",
            "rate_limit_exceeded",
            "Rate limit reached on tokens per min (TPM).",
        ),
        503 | 529 => {
            let message = "The engine is currently overloaded, please try again later";
            ("server_error", "server_is_overloaded", message)
        }
        500.. => ("server_error", "server_error", "The server had an error."),
        _ => ("invalid_request_error", "", "Invalid request"),
    };
    let own = refusal.and_then(|refusal| refusal.code).unwrap_or(code);
    let code = given.unwrap_or(own);
    let code = if code.is_empty() {
        Value::Null
    } else {
        json!(code)
    };
    let mut message = refusal
        .map_or(message, |refusal| &refusal.message)
        .to_owned();
    if let (429, Some(wait), None) = (status, wait, given) {
        message = format!("{message} Please try again in {wait}s.");
    }
    json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
}

#[derive(Default)]
struct Stream {
    events: Vec<Event>,
}

impl Stream {
    fn push(&mut self, name: &'static str, mut data: Value) {
        data["type"] = json!(name);
        data["sequence_number"] = json!(self.events.len());
        self.events.push(Event::new(name, &data));
    }

    fn added(&mut self, at: usize, item: &Value, emptied: &[(&str, Value)]) {
        let mut skeleton = item.clone();
        for (key, value) in emptied {
            skeleton[*key] = value.clone();
        }
        self.push(
            "response.output_item.added",
            json!({"output_index": at, "item": skeleton}),
        );
    }

    fn done(&mut self, at: usize, item: &Value) {
        self.push(
            "response.output_item.done",
            json!({"output_index": at, "item": item}),
        );
    }

    fn reasoning(&mut self, at: usize, item: &Value) {
        // The sealed content is whole in `done` only.
        self.added(
            at,
            item,
            &[("summary", json!([])), ("encrypted_content", json!(""))],
        );
        for (index, part) in item["summary"].as_array().into_iter().flatten().enumerate() {
            let here = json!({"item_id": item["id"], "output_index": at, "summary_index": index});
            let with = |key: &str, value: Value| {
                let mut data = here.clone();
                data[key] = value;
                data
            };
            let empty = json!({"type": "summary_text", "text": ""});
            self.push("response.reasoning_summary_part.added", with("part", empty));
            let text = part["text"].as_str().unwrap_or_default();
            for piece in pieces(text) {
                self.push(
                    "response.reasoning_summary_text.delta",
                    with("delta", json!(piece)),
                );
            }
            self.push(
                "response.reasoning_summary_text.done",
                with("text", json!(text)),
            );
            self.push(
                "response.reasoning_summary_part.done",
                with("part", part.clone()),
            );
        }
        self.done(at, item);
    }

    fn message(&mut self, at: usize, item: &Value) {
        self.added(
            at,
            item,
            &[("content", json!([])), ("status", json!("in_progress"))],
        );
        let here = json!({"item_id": item["id"], "output_index": at, "content_index": 0});
        let with = |key: &str, value: Value| {
            let mut data = here.clone();
            data[key] = value;
            data
        };
        let part = &item["content"][0];
        let text = part["text"].as_str().unwrap_or_default();
        self.push("response.content_part.added", with("part", output_text("")));
        for piece in pieces(text) {
            let mut data = with("delta", json!(piece));
            data["logprobs"] = json!([]);
            self.push("response.output_text.delta", data);
        }
        let mut data = with("text", json!(text));
        data["logprobs"] = json!([]);
        self.push("response.output_text.done", data);
        self.push("response.content_part.done", with("part", part.clone()));
        self.done(at, item);
    }

    fn call(&mut self, at: usize, item: &Value, call: &OutCall) {
        let (key, delta, done) = if call.freeform {
            let delta = "response.custom_tool_call_input.delta";
            ("input", delta, "response.custom_tool_call_input.done")
        } else {
            let delta = "response.function_call_arguments.delta";
            ("arguments", delta, "response.function_call_arguments.done")
        };
        self.added(
            at,
            item,
            &[(key, json!("")), ("status", json!("in_progress"))],
        );
        for piece in pieces(&call.arguments) {
            self.push(
                delta,
                json!({"item_id": item["id"], "output_index": at, "delta": piece}),
            );
        }
        if item["status"] == "completed" {
            let mut data = json!({"item_id": item["id"], "output_index": at, "name": call.tool});
            data[key] = json!(call.arguments);
            self.push(done, data);
        }
        self.done(at, item);
    }
}

fn output_text(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

/// The output items, whole. An id tells whether reasoning led to its item (`r`), since the vendor
/// refuses such an item without its reasoning.
fn items(reply: &Reply) -> Vec<Value> {
    let id = &reply.id;
    let led = if reply.think.is_some() { "r" } else { "" };
    let cut = reply.end == End::MaxTokens;
    let mut items = Vec::new();
    if let Some(thinking) = &reply.think {
        let summary = json!([{"type": "summary_text", "text": thinking}]);
        let own = format!("rs_{id}");
        items.push(json!({
            "id": own, "type": "reasoning", "encrypted_content": encrypted(&own),
            "summary": if reply.show_thinking { summary } else { json!([]) },
        }));
    }
    if let Some(say) = &reply.say {
        let status = if cut && reply.calls.is_empty() {
            "incomplete"
        } else {
            "completed"
        };
        items.push(json!({
            "id": format!("msg_{id}{led}"), "type": "message", "status": status,
            "role": "assistant", "content": [output_text(say)],
        }));
    }
    for (at, call) in reply.calls.iter().enumerate() {
        let status = if cut && at + 1 == reply.calls.len() {
            "incomplete"
        } else {
            "completed"
        };
        let (kind, key) = if call.freeform {
            ("custom_tool_call", "input")
        } else {
            ("function_call", "arguments")
        };
        let mut item = json!({
            "id": format!("fc_{id}{led}_{at}"), "type": kind, "status": status,
            "name": call.tool, "call_id": format!("call_{}", reply.call_tag(at)),
        });
        item[key] = json!(call.arguments);
        items.push(item);
    }
    items
}

fn ending(reply: &Reply) -> (&'static str, &'static str) {
    match reply.end {
        End::MaxTokens | End::Refusal => ("response.incomplete", "incomplete"),
        End::Context => ("response.failed", "failed"),
        End::Turn | End::Calls | End::Pause | End::Compaction => {
            ("response.completed", "completed")
        }
    }
}

fn response(reply: &Reply, status: &str, output: Vec<Value>) -> Value {
    let usage = &reply.usage;
    let written = usage.cache_write + usage.cache_write_1h;
    let input = usage.input + usage.cache_read + written;
    let usage = json!({
        "input_tokens": input,
        "input_tokens_details":
            {"cached_tokens": usage.cache_read, "cache_write_tokens": written},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": reply.thinking_tokens()},
        "total_tokens": input + usage.output,
    });
    let incomplete = match (status, reply.end) {
        ("incomplete", End::Refusal) => json!({"reason": "content_filter"}),
        ("incomplete", _) => json!({"reason": "max_output_tokens"}),
        _ => Value::Null,
    };
    json!({
        "id": format!("resp_{}", reply.id), "object": "response",
        "created_at": EPOCH + reply.number, "status": status, "error": null,
        "incomplete_details": incomplete, "instructions": null, "model": reply.model,
        "output": output, "parallel_tool_calls": true, "previous_response_id": null,
        "store": false, "temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0,
        "usage": if status == "in_progress" { Value::Null } else { usage }, "metadata": {},
    })
}
