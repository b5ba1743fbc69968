//! What is asked, on both wires.

use serde_json::json;

use crate::domain::chart::Wire;
use crate::domain::chat::{Effort, Head, Raw, ToolOutput, ToolSpec};
use crate::provider::{Provider, provider};

fn head() -> Head {
    Head {
        model: "m-1".to_owned(),
        system: "You are \"ana\".".to_owned(),
        tools: vec![ToolSpec {
            name: "note".to_owned(),
            description: "Keeps a note.".to_owned(),
            parameters: json!({"type": "object", "properties": {"text": {"type": "string"}}}),
        }],
        effort: Some(Effort::Xhigh),
        max_output: 32_000,
        patient: false,
        cache_key: "run-7/ana".to_owned(),
    }
}

fn parsed(provider: &dyn Provider, head: &Head, items: &[Raw]) -> serde_json::Value {
    serde_json::from_slice(&provider.body(head, items)).unwrap()
}

#[test]
fn anthropic_requests_are_as_documented() {
    let wire = provider(Wire::Anthropic);
    let outputs = ["a", "b"].map(|id| ToolOutput {
        call_id: id.to_owned(),
        text: format!("out {id}"),
        is_error: id == "b",
    });
    let mut items = vec![wire.user("hé \"you\"\n")];
    items.extend(wire.results(&outputs));
    assert_eq!(
        parsed(&*wire, &head(), &items),
        json!({
            "model": "m-1", "max_tokens": 32_000, "stream": true,
            "thinking": {"type": "adaptive", "display": "summarized"},
            "output_config": {"effort": "xhigh"},
            "cache_control": {"type": "ephemeral"},
            "tools": [{"name": "note", "description": "Keeps a note.", "input_schema":
                {"type": "object", "properties": {"text": {"type": "string"}}}}],
            "system": [{"type": "text", "text": "You are \"ana\".",
                "cache_control": {"type": "ephemeral"}}],
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "hé \"you\"\n"}]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "a", "content": "out a",
                     "is_error": false},
                    {"type": "tool_result", "tool_use_id": "b", "content": "out b",
                     "is_error": true}]},
            ],
        })
    );
    assert_eq!(wire.results(&[]), []);
    let headers = wire.headers(Some("k"));
    assert!(headers.contains(&("anthropic-version", "2026-10-21".to_owned())));
    assert!(headers.contains(&("x-api-key", "k".to_owned())));
    assert!(
        !wire
            .headers(None)
            .iter()
            .any(|(name, _)| *name == "x-api-key")
    );
    let bare = Head {
        tools: vec![],
        system: String::new(),
        effort: None,
        ..head()
    };
    let body = parsed(&*wire, &bare, &items);
    assert!(
        ["tools", "system", "output_config"]
            .iter()
            .all(|key| body.get(key).is_none())
    );
}

#[test]
fn openai_requests_are_as_documented() {
    let wire = provider(Wire::Openai);
    let output = ToolOutput {
        call_id: "c".to_owned(),
        text: "out".to_owned(),
        is_error: true,
    };
    let mut items = vec![wire.user("hi")];
    items.extend(wire.results(&[output]));
    assert_eq!(
        parsed(&*wire, &head(), &items),
        json!({
            "model": "m-1", "stream": true, "store": false, "max_output_tokens": 32_000,
            "reasoning": {"effort": "xhigh", "summary": "auto"},
            "include": ["reasoning.encrypted_content"],
            "prompt_cache_key": "run-7/ana",
            "tool_choice": "auto", "parallel_tool_calls": true,
            "tools": [{"type": "function", "name": "note", "description": "Keeps a note.",
                "parameters": {"type": "object", "properties": {"text": {"type": "string"}}},
                "strict": false}],
            "instructions": "You are \"ana\".",
            "input": [
                {"type": "message", "role": "user",
                 "content": [{"type": "input_text", "text": "hi"}]},
                {"type": "function_call_output", "call_id": "c", "output": "out"},
            ],
        })
    );
    assert!(
        wire.headers(Some("k"))
            .contains(&("authorization", "Bearer k".to_owned()))
    );
    let bare = Head {
        tools: vec![],
        system: String::new(),
        effort: None,
        ..head()
    };
    let body = parsed(&*wire, &bare, &[]);
    assert!(
        ["tools", "tool_choice", "instructions"]
            .iter()
            .all(|key| body.get(key).is_none())
    );
    assert_eq!(body["reasoning"], json!({"summary": "auto"}));
}

#[test]
fn a_longer_conversation_begins_with_the_bytes_of_the_shorter() {
    for wire in [Wire::Anthropic, Wire::Openai] {
        let provider = provider(wire);
        // Spacing, key order and numbers of an item are nobody's business.
        let odd = Raw::new(r#"{ "z" : 1.0e3,"a":"é" }"#);
        let mut items = vec![provider.user("one"), odd.clone()];
        let before = provider.body(&head(), &items);
        items.push(provider.user("two"));
        let after = provider.body(&head(), &items);
        let same = before.len() - "]}".len();
        assert_eq!(before[..same], after[..same]);
        assert_eq!(before, provider.body(&head(), &items[..2]));
        assert!(String::from_utf8(after).unwrap().contains(odd.as_str()));
    }
}

#[test]
fn a_conversation_that_waits_is_cached_for_an_hour() {
    let wire = provider(Wire::Anthropic);
    let patient = Head {
        patient: true,
        ..head()
    };
    let body = parsed(&*wire, &patient, &[wire.user("hi")]);
    let hour = json!({"type": "ephemeral", "ttl": "1h"});
    assert_eq!(
        (&body["cache_control"], &body["system"][0]["cache_control"]),
        (&hour, &hour)
    );
}

#[test]
fn a_very_large_exchange_marks_where_the_last_request_ended() {
    let wire = provider(Wire::Anthropic);
    let said = |calls: usize| {
        let calls: Vec<_> = (0..calls)
            .map(|n| json!({"type": "tool_use", "id": format!("t{n}"), "name": "x", "input": {}}))
            .collect();
        let content = serde_json::to_string(&calls).expect("plain data");
        Raw::new(format!(r#"{{"role":"assistant","content":{content}}}"#))
    };
    let marks = |calls: usize| {
        let outputs: Vec<ToolOutput> = (0..calls)
            .map(|n| ToolOutput {
                call_id: format!("t{n}"),
                text: "out".to_owned(),
                is_error: false,
            })
            .collect();
        let mut items = vec![wire.user("hi"), said(calls)];
        items.extend(wire.results(&outputs));
        let body = parsed(&*wire, &head(), &items);
        let first = body["messages"][0]["content"][0]["cache_control"].clone();
        (first, body.to_string().matches("cache_control").count())
    };
    assert_eq!(marks(3), (serde_json::Value::Null, 2));
    assert_eq!(marks(12), (json!({"type": "ephemeral"}), 3));
}

#[test]
fn compactions_are_asked_for_as_documented() {
    let claude = provider(Wire::Anthropic);
    let asking = claude.compaction(&head(), &[claude.user("hi")]);
    assert_eq!(asking.path, "/v1/messages");
    let beta = ("anthropic-beta", "compact-2026-09-04".to_owned());
    assert!(asking.headers.contains(&beta));
    let body: serde_json::Value = serde_json::from_slice(&asking.body).expect("JSON");
    assert_eq!(body["compaction"], json!({"type": "summarize"}));
    let gpt = provider(Wire::Openai);
    let asking = gpt.compaction(&head(), &[gpt.user("hi")]);
    assert_eq!(asking.path, "/responses/compact");
    let body: serde_json::Value = serde_json::from_slice(&asking.body).expect("JSON");
    assert_eq!(
        (
            &body["model"],
            body["input"].as_array().map(Vec::len),
            &body["stream"]
        ),
        (&json!("m-1"), Some(1), &serde_json::Value::Null)
    );
}

#[test]
fn a_reply_that_is_one_json_text_is_a_reply() {
    let claude = provider(Wire::Anthropic);
    let message = json!({"id": "m", "type": "message", "role": "assistant", "content": [
        {"type": "text", "text": "hi"},
        {"type": "tool_use", "id": "t", "name": "x", "input": {"a": 1}}],
        "stop_reason": "tool_use", "usage": {"input_tokens": 3, "output_tokens": 2}});
    let reply = claude.whole(&message.to_string()).expect("a reply");
    assert_eq!(
        (reply.text.as_str(), reply.calls.len(), reply.usage.input),
        ("hi", 1, 3)
    );
    assert_eq!(reply.calls[0].arguments, r#"{"a":1}"#);
    let gpt = provider(Wire::Openai);
    let compacted = json!({"id": "c", "object": "response.compaction", "output": [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        {"type": "compaction", "id": "cmp", "encrypted_content": "x"}],
        "usage": {"input_tokens": 9, "output_tokens": 4}});
    let reply = gpt.whole(&compacted.to_string()).expect("a reply");
    assert_eq!((reply.items.len(), reply.usage.input), (2, 9));
    assert!(gpt.whole("<html>").is_err() && claude.whole("{}").is_err());
    let twice = json!({"content": [
        {"type": "tool_use", "id": "t", "name": "x", "input": {}},
        {"type": "tool_use", "id": "t", "name": "x", "input": {}}]});
    let same = claude.whole(&twice.to_string());
    assert_eq!(same.expect_err("two calls, one id").kind(), "malformed");
}
