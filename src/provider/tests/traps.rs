//! Replies made by hand, for the traps that no recording has.

use serde_json::json;

use super::{call, fold};
use crate::domain::chart::Wire;
use crate::domain::chat::{Reply, Stop, Usage};
use crate::provider::{ProviderError, provider};

/// An Anthropic reply of these blocks, each with its deltas.
fn anthropic(
    stop: &str,
    blocks: &[(serde_json::Value, Vec<serde_json::Value>)],
) -> Result<Reply, ProviderError> {
    let mut events = vec![
        json!({"type": "ping"}),
        json!({"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 5,
            "cache_creation_input_tokens": 30, "cache_read_input_tokens": 7, "output_tokens": 1,
            "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20}}}}),
    ];
    for (index, (block, _)) in blocks.iter().enumerate() {
        events.push(json!({"type": "content_block_start", "index": index, "content_block": block}));
    }
    // Deltas of all blocks come interleaved: they belong to their index, not to the newest block.
    let most = blocks
        .iter()
        .map(|(_, deltas)| deltas.len())
        .max()
        .unwrap_or(0);
    for at in 0..most {
        for (index, (_, deltas)) in blocks.iter().enumerate() {
            let delta = deltas.get(at);
            events.extend(delta.map(
                |delta| json!({"type": "content_block_delta", "index": index, "delta": delta}),
            ));
        }
    }
    events.push(json!({"type": "brand_new_event", "index": "x"}));
    events.push(
        json!({"type": "message_delta", "delta": {"stop_reason": stop},
        "usage": {"input_tokens": null, "output_tokens": 40}}),
    );
    events.push(json!({"type": "message_delta", "usage": {"output_tokens": 57}}));
    events.push(json!({"type": "message_stop"}));
    fold(Wire::Anthropic, &events)
}

fn partial(text: &str) -> serde_json::Value {
    json!({"type": "input_json_delta", "partial_json": text})
}

fn tool(id: &str, input: serde_json::Value) -> serde_json::Value {
    json!({"type": "tool_use", "id": id, "name": "note", "input": input, "caller": {"z": 1, "a": 2}})
}

/// The content of the only item.
fn content(reply: &Reply) -> Vec<serde_json::Value> {
    assert_eq!(reply.items.len(), 1);
    let item: serde_json::Value = serde_json::from_str(reply.items[0].as_str()).unwrap();
    item["content"].as_array().unwrap().clone()
}

#[test]
fn usage_is_the_last_total_and_its_counts_are_disjoint() {
    let reply = anthropic("end_turn", &[]).unwrap();
    let want = Usage {
        input: 5,
        output: 57,
        cache_read: 7,
        cache_write: 10,
        cache_write_1h: 20,
    };
    assert_eq!(reply.usage, want);
    let events = [
        json!({"type": "response.completed", "response": {"id": "r", "usage":
        {"input_tokens": 100, "output_tokens": 9,
         "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30}}}}),
    ];
    let want = Usage {
        input: 10,
        output: 9,
        cache_read: 60,
        cache_write: 30,
        cache_write_1h: 0,
    };
    assert_eq!(fold(Wire::Openai, &events).unwrap().usage, want);
}

#[test]
fn anthropic_blocks_are_kept_as_they_must_be_replayed() {
    let redacted = json!({"type": "redacted_thinking", "data": "opaque"});
    let unknown = json!({"type": "hologram", "zeta": 1.0, "alpha": {"y": 1, "b": [1e3]}});
    let reply = anthropic(
        "tool_use",
        &[
            (redacted.clone(), vec![]),
            (
                json!({"type": "thinking", "thinking": "", "signature": ""}),
                vec![json!({"type": "signature_delta", "signature": "sig"})],
            ),
            (json!({"type": "text", "text": ""}), vec![]),
            (
                unknown.clone(),
                vec![json!({"type": "holo_delta", "holo": "x"})],
            ),
            (tool("a", json!({})), vec![partial("")]),
            (tool("b", json!({"text": "kept"})), vec![]),
            (
                tool("c", json!({})),
                vec![partial("{\"text\":"), partial(" \"x\"}")],
            ),
            (tool("d", json!({})), vec![partial("{\"text\": \"uncl")]),
            (tool("e", json!({})), vec![partial("[1]")]),
        ],
    )
    .unwrap();
    let blocks = content(&reply);
    assert_eq!(blocks.len(), 8, "blank text is dropped");
    assert_eq!(blocks[0], redacted);
    assert_eq!(
        blocks[1],
        json!({"type": "thinking", "thinking": "", "signature": "sig"})
    );
    assert!(
        reply.items[0].as_str().contains(&unknown.to_string()),
        "verbatim"
    );
    assert!(
        reply.items[0].as_str().contains(r#""input":{"text": "x"}"#),
        "as it was streamed"
    );
    assert!(
        blocks[3..]
            .iter()
            .all(|block| block["caller"] == json!({"z": 1, "a": 2}))
    );
    assert_eq!(
        blocks[6]["input"],
        json!({"INVALID_JSON": "{\"text\": \"uncl"})
    );
    let arguments: Vec<_> = reply
        .calls
        .iter()
        .map(|call| call.arguments.as_str())
        .collect();
    let want = [
        "{}",
        r#"{"text":"kept"}"#,
        r#"{"text": "x"}"#,
        r#"{"text": "uncl"#,
        "[1]",
    ];
    assert_eq!(arguments, want);
    assert_eq!((reply.stop, reply.truncated.len()), (Stop::ToolUse, 0));
}

#[test]
fn an_anthropic_call_that_the_limit_cut_is_neither_run_nor_replayed() {
    let signed = json!({"type": "thinking", "thinking": "t", "signature": "s"});
    for last in [vec![], vec![partial("{\"text\":")]] {
        let blocks = [
            (signed.clone(), vec![]),
            (tool("a", json!({})), vec![partial("{\"text\":\"x\"}")]),
            (tool("b", json!({})), last),
        ];
        let reply = anthropic("max_tokens", &blocks).unwrap();
        assert_eq!(reply.calls, [call("a", "note", "{\"text\":\"x\"}")]);
        assert_eq!((reply.truncated.len(), content(&reply).len()), (1, 2));
        assert_eq!(reply.stop, Stop::MaxTokens);
        // Nothing but thinking is left: no message may end in it.
        let alone = anthropic("max_tokens", &[blocks[0].clone(), blocks[2].clone()]).unwrap();
        assert_eq!((alone.items, alone.thinking.as_str()), (vec![], "t"));
    }
    let unsigned = json!({"type": "thinking", "thinking": "half", "signature": ""});
    let text = json!({"type": "text", "text": "said"});
    let reply = anthropic("max_tokens", &[(unsigned, vec![]), (text, vec![])]).unwrap();
    assert_eq!(content(&reply), [json!({"type": "text", "text": "said"})]);
}

#[test]
fn a_complete_last_call_of_a_cut_anthropic_reply_is_run() {
    let blocks = [(tool("a", json!({})), vec![partial("{}")])];
    assert_eq!(
        anthropic("max_tokens", &blocks).unwrap().calls,
        [call("a", "note", "{}")]
    );
}

#[test]
fn anthropic_stops_are_told_apart() {
    let text = [(json!({"type": "text", "text": "x"}), vec![])];
    for (word, want) in [
        ("end_turn", Stop::EndTurn),
        ("stop_sequence", Stop::EndTurn),
        ("tool_use", Stop::EndTurn),
        ("pause_turn", Stop::Pause),
        ("model_context_window_exceeded", Stop::ContextFull),
        ("something_new", Stop::EndTurn),
    ] {
        assert_eq!(anthropic(word, &text).unwrap().stop, want, "{word}");
    }
    let calls = [(tool("a", json!({})), vec![])];
    assert_eq!(anthropic("end_turn", &calls).unwrap().stop, Stop::ToolUse);
    let refused = fold(
        Wire::Anthropic,
        &[
            json!({"type": "message_delta", "delta": {"stop_reason": "refusal",
                "stop_details": {"type": "refusal", "category": "bio"}}}),
            json!({"type": "message_stop"}),
        ],
    );
    assert_eq!(refused.unwrap().stop, Stop::Refusal(Some("bio".to_owned())));
}

fn done(index: u64, item: serde_json::Value) -> serde_json::Value {
    json!({"type": "response.output_item.done", "output_index": index, "item": item})
}

fn ended(kind: &str, reason: Option<&str>) -> serde_json::Value {
    let details = reason.map(|reason| json!({"reason": reason}));
    json!({"type": kind, "response": {"id": "r", "usage": null, "incomplete_details": details}})
}

#[test]
fn openai_items_stand_in_the_order_of_their_index_and_no_reasoning_stands_last() {
    let function =
        json!({"type": "function_call", "call_id": "c", "name": "note", "arguments": ""});
    let message = json!({"type": "message", "content": [{"type": "output_text", "text": "hi"}]});
    let reasoning = json!({"type": "reasoning", "summary": [], "encrypted_content": "e"});
    let unknown = json!({"type": "hologram", "content": "text", "zeta": 1.0});
    let reply = fold(
        Wire::Openai,
        &[
            json!({"type": "response.brand_new", "delta": {"not": "text"}}),
            done(3, function.clone()),
            done(1, message.clone()),
            done(0, reasoning.clone()),
            done(2, unknown.clone()),
            done(4, reasoning.clone()),
            ended("response.completed", None),
        ],
    )
    .unwrap();
    let items: Vec<_> = reply
        .items
        .iter()
        .map(|item| item.as_str().to_owned())
        .collect();
    assert_eq!(
        items,
        [reasoning, message, unknown, function].map(|item| item.to_string())
    );
    assert_eq!(reply.calls, [call("c", "note", "{}")]);
    assert_eq!((reply.text.as_str(), reply.stop), ("hi", Stop::ToolUse));
}

#[test]
fn an_openai_call_that_the_limit_cut_is_neither_run_nor_replayed() {
    let reasoning = json!({"type": "reasoning", "summary": [], "encrypted_content": "e"});
    let half = |status| {
        json!({"type": "function_call", "call_id": "c", "name": "note", "status": status,
            "arguments": "{\"te"})
    };
    let added = json!({"type": "response.output_item.added", "output_index": 1, "item":
        {"type": "function_call", "call_id": "c", "name": "note", "arguments": ""}});
    let cut = ended("response.incomplete", Some("max_output_tokens"));
    for last in [
        done(1, half("incomplete")),
        done(1, half("completed")),
        added,
    ] {
        let reply = fold(
            Wire::Openai,
            &[done(0, reasoning.clone()), last, cut.clone()],
        )
        .unwrap();
        assert_eq!(reply.truncated, ["note"]);
        assert_eq!(
            (reply.calls, reply.items, reply.stop),
            (vec![], vec![], Stop::MaxTokens)
        );
    }
    // Invalid arguments of a reply that was not cut are the model's own, and the tool says so.
    let whole = [
        done(0, half("completed")),
        ended("response.completed", None),
    ];
    assert_eq!(
        fold(Wire::Openai, &whole).unwrap().calls,
        [call("c", "note", "{\"te")]
    );
}

#[test]
fn openai_refusals_and_filters_are_refusals() {
    let filtered = [ended("response.incomplete", Some("content_filter"))];
    let want = Stop::Refusal(Some("content_filter".to_owned()));
    assert_eq!(fold(Wire::Openai, &filtered).unwrap().stop, want);
    let no = json!({"type": "message", "content": [{"type": "refusal", "refusal": "I won't"}]});
    let reply = fold(
        Wire::Openai,
        &[done(0, no), ended("response.completed", None)],
    )
    .unwrap();
    assert_eq!(
        (reply.text.as_str(), reply.stop),
        ("I won't", Stop::Refusal(None))
    );
}

#[test]
fn items_that_come_only_with_the_end_are_kept_too() {
    let message = json!({"type": "message", "content": [{"type": "output_text", "text": "hi"}]});
    let end = json!({"type": "response.completed", "response": {"id": "r", "output": [message]}});
    assert_eq!(fold(Wire::Openai, &[end]).unwrap().text, "hi");
}

#[test]
fn openai_failures_in_mid_stream_come_in_many_shapes() {
    let failed = |error| json!({"type": "response.failed", "response": {"error": error}});
    let coded = |code: &str| failed(json!({"code": code, "message": "m"}));
    for (event, want) in [
        (
            json!({"type": "error", "code": "rate_limit_exceeded", "param": null,
                "message": "Please try again in 1.3s."}),
            ("rate_limited", Some(1.3)),
        ),
        (
            json!({"type": "error", "error": {"type": "server_error", "code": null,
                "message": "oops"}}),
            ("server", None),
        ),
        (
            json!({"error": {"message": "no", "code": 429}}),
            ("server", None),
        ),
        (json!({"type": "error"}), ("server", None)),
        (coded("context_length_exceeded"), ("context_too_long", None)),
        (coded("insufficient_quota"), ("quota", None)),
        (coded("cyber_policy"), ("bad_request", None)),
        (failed(json!(null)), ("server", None)),
        (json!({"type": "response.completed"}), ("malformed", None)),
    ] {
        let error = fold(Wire::Openai, std::slice::from_ref(&event)).unwrap_err();
        assert_eq!((error.kind(), error.retry_after()), want, "{event}");
    }
    let mut decoder = provider(Wire::Openai).decoder();
    assert_eq!(decoder.event("<html>").unwrap_err().kind(), "malformed");
    assert!(decoder.event("[DONE]").is_ok());
}

#[test]
fn anthropic_failures_in_mid_stream_come_in_many_shapes() {
    for (event, want) in [
        (
            json!({"type": "error", "error": {"type": "api_error", "message": "m"}}),
            "server",
        ),
        (
            json!({"type": "error", "error": {"type": "unheard_of"}}),
            "server",
        ),
        (json!({"error": {"type": "overloaded_error"}}), "overloaded"),
        (
            json!({"type": "content_block_delta", "index": 4,
                "delta": {"type": "text_delta", "text": "x"}}),
            "malformed",
        ),
        (json!("<html>"), "malformed"),
    ] {
        let error = fold(Wire::Anthropic, std::slice::from_ref(&event)).unwrap_err();
        assert_eq!(error.kind(), want, "{event}");
    }
}
