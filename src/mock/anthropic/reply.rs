//! A reply as Messages events, or as one message.
//!
//! Owns the order of events and the vendor's error bodies. Must not know why a reply says what it
//! says.

use serde_json::{Value, json};

use crate::mock::exchange::{End, Event, Refusal, Reply, digest, pieces};

/// The signature of a thinking block that follows a prompt.
pub(in crate::mock) fn signature(prefix: &str, thinking: &str) -> String {
    format!("EqQB{}", digest(&["signature", prefix, thinking]))
}

/// What is thought and not shown, as it has to come back.
pub(in crate::mock) const REDACTED: &str = "EmwKAhgBIgwxYW5kIG5vIG1vcmU=";

/// The seal of a summary.
pub(in crate::mock) fn sealed(summary: &str) -> String {
    format!("CmpB{}", digest(&["compaction", summary]))
}

fn compaction(summary: &str) -> Value {
    json!({"type": "compaction", "content": summary, "signature": sealed(summary)})
}

/// An error in the middle of a stream.
pub(in crate::mock) fn interruption() -> Event {
    let error = json!({"type": "overloaded_error", "message": "Overloaded"});
    event(
        "error",
        json!({"error": error, "request_id": "req_interrupted"}),
    )
}

/// What the server was at when it paused.
fn paused(reply: &Reply) -> Value {
    json!({"type": "server_tool_use", "id": format!("srvtoolu_01{}", reply.id),
        "name": "web_search", "input": {"query": "x"}})
}

/// The reply as a stream of events.
pub(in crate::mock) fn events(reply: &Reply) -> Vec<Event> {
    let mut events = vec![start(reply), event("ping", json!({}))];
    let mut index = 0;
    let mut block = |shape: Value, deltas: Vec<Value>| {
        events.push(event(
            "content_block_start",
            json!({"index": index, "content_block": shape}),
        ));
        events.extend(deltas.into_iter().map(|delta| {
            event(
                "content_block_delta",
                json!({"index": index, "delta": delta}),
            )
        }));
        events.push(event("content_block_stop", json!({"index": index})));
        index += 1;
    };
    if let Some(thinking) = reply.shown_thinking() {
        let mut deltas: Vec<Value> = pieces(thinking)
            .into_iter()
            .map(|piece| json!({"type": "thinking_delta", "thinking": piece}))
            .collect();
        let signed = signature(&reply.prefix, thinking);
        deltas.push(json!({"type": "signature_delta", "signature": signed}));
        block(
            json!({"type": "thinking", "thinking": "", "signature": ""}),
            deltas,
        );
    }
    match &reply.say {
        Some(say) if reply.end == End::Compaction => {
            let delta = json!({"type": "compaction_delta", "content": say});
            let mut shape = compaction(say);
            shape["content"] = Value::Null;
            block(shape, vec![delta]);
        }
        Some(say) => {
            let deltas = pieces(say)
                .into_iter()
                .map(|piece| json!({"type": "text_delta", "text": piece}));
            block(json!({"type": "text", "text": ""}), deltas.collect());
        }
        None => {}
    }
    if reply.end == End::Pause {
        block(paused(reply), Vec::new());
    }
    for (at, call) in reply.calls.iter().enumerate() {
        let shape =
            json!({"type": "tool_use", "id": call_id(reply, at), "name": call.tool, "input": {}});
        let partial = |json: &str| json!({"type": "input_json_delta", "partial_json": json});
        let mut deltas = vec![partial("")];
        // A call without arguments streams none, as the vendor does.
        if call.arguments != "{}" {
            deltas.extend(pieces(&call.arguments).into_iter().map(partial));
        }
        block(shape, deltas);
    }
    events.push(event(
        "message_delta",
        json!({
            "delta": {"stop_reason": stop_reason(reply), "stop_sequence": null,
                "stop_details": stop_details(reply)},
            "usage": usage(reply),
        }),
    ));
    events.push(event("message_stop", json!({})));
    events
}

/// The reply as one message.
pub(in crate::mock) fn whole(reply: &Reply) -> Value {
    let mut content = Vec::new();
    if let Some(thinking) = reply.shown_thinking() {
        let signed = signature(&reply.prefix, thinking);
        content.push(json!({"type": "thinking", "thinking": thinking, "signature": signed}));
    }
    match &reply.say {
        Some(say) if reply.end == End::Compaction => content.push(compaction(say)),
        Some(say) => content.push(json!({"type": "text", "text": say})),
        None => {}
    }
    if reply.end == End::Pause {
        content.push(paused(reply));
    }
    for (at, call) in reply.calls.iter().enumerate() {
        let input = serde_json::from_str(&call.arguments).unwrap_or_else(|_| json!({}));
        let id = call_id(reply, at);
        content.push(json!({"type": "tool_use", "id": id, "name": call.tool, "input": input}));
    }
    let mut usage = usage(reply);
    usage["cache_creation"] = cache_creation(reply);
    usage["service_tier"] = json!("standard");
    json!({
        "id": message_id(reply), "type": "message", "role": "assistant", "model": reply.model,
        "content": content, "stop_reason": stop_reason(reply), "stop_sequence": null,
        "stop_details": stop_details(reply), "usage": usage,
    })
}

/// The vendor's error body for a status.
pub(in crate::mock) fn error(
    status: u16,
    refusal: Option<&Refusal>,
    code: Option<&str>,
    request: &str,
) -> Value {
    let (kind, message) = match status {
        400 => ("invalid_request_error", "Invalid request"),
        401 => ("authentication_error", "invalid x-api-key"),
        402 => (
            "billing_error",
            "Your credit balance is too low to access the API",
        ),
        403 => (
            "permission_error",
            "Your API key does not have permission to use this resource",
        ),
        404 => ("not_found_error", "Not found"),
        413 => (
            "request_too_large",
            "Request exceeds the maximum allowed number of bytes.",
        ),
        429 => {
            let message = "Number of request tokens has exceeded your per-minute rate limit";
            ("rate_limit_error", message)
        }
        504 => ("timeout_error", "Request timed out"),
        503 | 529 => ("overloaded_error", "Overloaded"),
        500.. => ("api_error", "Internal server error"),
        _ => ("invalid_request_error", "Invalid request"),
    };
    let message = match code {
        Some("context_length_exceeded") => "prompt is too long: 1200000 tokens > 1000000 maximum",
        _ => refusal.map_or(message, |refusal| &refusal.message),
    };
    let mut error = json!({"type": kind, "message": message});
    if let Some(code) = code {
        error["details"] = json!({"error_code": code});
    }
    json!({"type": "error", "error": error, "request_id": request})
}

fn event(name: &'static str, mut data: Value) -> Event {
    data["type"] = json!(name);
    Event::new(name, &data)
}

fn start(reply: &Reply) -> Event {
    let message = json!({
        "id": message_id(reply), "type": "message", "role": "assistant", "model": reply.model,
        "content": [], "stop_reason": null, "stop_sequence": null,
        "usage": {
            "input_tokens": reply.usage.input,
            "cache_creation_input_tokens": reply.usage.cache_write + reply.usage.cache_write_1h,
            "cache_read_input_tokens": reply.usage.cache_read,
            "cache_creation": cache_creation(reply),
            "output_tokens": 1,
            "service_tier": "standard",
        },
    });
    event("message_start", json!({"message": message}))
}

fn cache_creation(reply: &Reply) -> Value {
    json!({"ephemeral_5m_input_tokens": reply.usage.cache_write,
        "ephemeral_1h_input_tokens": reply.usage.cache_write_1h})
}

fn usage(reply: &Reply) -> Value {
    json!({
        "input_tokens": reply.usage.input,
        "cache_creation_input_tokens": reply.usage.cache_write + reply.usage.cache_write_1h,
        "cache_read_input_tokens": reply.usage.cache_read,
        "output_tokens": reply.usage.output,
        "output_tokens_details": {"thinking_tokens": reply.thinking_tokens()},
    })
}

fn stop_reason(reply: &Reply) -> &'static str {
    match reply.end {
        End::Turn => "end_turn",
        End::Calls => "tool_use",
        End::MaxTokens => "max_tokens",
        End::Pause => "pause_turn",
        End::Refusal => "refusal",
        End::Context => "model_context_window_exceeded",
        End::Compaction => "compaction",
    }
}

fn stop_details(reply: &Reply) -> Value {
    match reply.end {
        End::Refusal => json!({"type": "refusal", "category": "cyber",
            "explanation": "This is a pretended refusal."}),
        _ => Value::Null,
    }
}

fn message_id(reply: &Reply) -> String {
    format!("msg_01{}", reply.id)
}

fn call_id(reply: &Reply, at: usize) -> String {
    format!("toolu_01{}", reply.call_tag(at))
}
