//! Both wires against recorded streams, whatever the bytes are cut into, and against the traps that
//! the recordings lack. The recordings in `tests/fixtures/sse` are answers of two pretended servers:
//! one of ours (`orgmock_*`) and the independent npm package `@copilotkit/aimock` (`aimock_*`).

use futures_util::stream;
use serde_json::json;

use super::*;
use crate::domain::chat::{Effort, Stop, ToolCall, ToolSpec, Usage};

macro_rules! recordings {
    ($($name:literal),* $(,)?) => {
        [$(($name, &include_bytes!(concat!("../../tests/fixtures/sse/", $name, ".http"))[..])),*]
    };
}

const STREAMS: [(&str, &[u8]); 23] = recordings![
    "aimock_anthropic_par",
    "aimock_anthropic_run_tool",
    "aimock_anthropic_think",
    "aimock_anthropic_tool_result",
    "aimock_openai_par",
    "aimock_openai_run_tool",
    "aimock_openai_think",
    "orgmock_anthropic_cut",
    "orgmock_anthropic_maxtok",
    "orgmock_anthropic_miderr",
    "orgmock_anthropic_par",
    "orgmock_anthropic_pause",
    "orgmock_anthropic_refuse",
    "orgmock_anthropic_say",
    "orgmock_anthropic_think",
    "orgmock_anthropic_tool",
    "orgmock_openai_cut",
    "orgmock_openai_maxtok",
    "orgmock_openai_miderr",
    "orgmock_openai_par",
    "orgmock_openai_say",
    "orgmock_openai_think",
    "orgmock_openai_tool",
];

const REFUSALS: [(&str, &[u8]); 10] = recordings![
    "aimock_anthropic_overload",
    "aimock_anthropic_rate",
    "aimock_openai_overload",
    "aimock_openai_rate",
    "orgmock_anthropic_context",
    "orgmock_anthropic_overload",
    "orgmock_anthropic_rate",
    "orgmock_openai_context",
    "orgmock_openai_overload",
    "orgmock_openai_rate",
];

fn wire(name: &str) -> Box<dyn Provider> {
    provider(if name.contains("anthropic") {
        Wire::Anthropic
    } else {
        Wire::Openai
    })
}

/// Head and body of a recording.
fn parted(recording: &[u8]) -> (&str, &[u8]) {
    let at = recording
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    (
        std::str::from_utf8(&recording[..at]).unwrap(),
        &recording[at + 4..],
    )
}

fn body_of(name: &str) -> &'static [u8] {
    parted(STREAMS.iter().find(|(known, _)| *known == name).unwrap().1).1
}

type Outcome = (Result<Reply, ProviderError>, Vec<Delta>);

/// A body through the real framing, in pieces of so many bytes.
async fn read(provider: &dyn Provider, body: &[u8], size: usize) -> Outcome {
    let pieces: Vec<_> = body.chunks(size).map(|piece| Ok(piece.to_vec())).collect();
    let mut deltas = Vec::new();
    let mut on_delta = |delta| deltas.push(delta);
    let reply = http::fold(
        stream::iter(pieces),
        usize::MAX,
        provider.decoder(),
        &mut on_delta,
    )
    .await;
    (reply, deltas)
}

async fn reply_of(name: &str) -> Reply {
    read(&*wire(name), body_of(name), 4_096).await.0.unwrap()
}

/// A reply folded from events' data.
fn fold(wire: Wire, events: &[serde_json::Value]) -> Result<Reply, ProviderError> {
    let mut decoder = provider(wire).decoder();
    for event in events {
        decoder.event(&event.to_string())?;
    }
    decoder.finish()
}

fn call(id: &str, name: &str, arguments: &str) -> ToolCall {
    ToolCall {
        id: id.to_owned(),
        name: name.to_owned(),
        arguments: arguments.to_owned(),
    }
}

fn usage(input: u64, output: u64, cache_read: u64) -> Usage {
    Usage {
        input,
        output,
        cache_read,
        ..Usage::default()
    }
}

#[tokio::test]
async fn a_stream_means_the_same_whatever_it_is_cut_into() {
    for (name, recording) in STREAMS {
        let wire = wire(name);
        let body = parted(recording).1;
        let crlf = String::from_utf8(body.to_vec())
            .unwrap()
            .replace('\n', "\r\n");
        let whole = read(&*wire, body, usize::MAX).await;
        assert!(
            !whole.1.is_empty() || name.ends_with("refuse"),
            "{name} shows nothing"
        );
        for size in 1..=7 {
            assert_eq!(read(&*wire, body, size).await, whole, "{name} by {size}");
            assert_eq!(
                read(&*wire, crlf.as_bytes(), size).await,
                whole,
                "{name} crlf by {size}"
            );
        }
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_anywhere_is_an_error_or_was_whole() {
    for (name, recording) in STREAMS {
        let wire = wire(name);
        let body = parted(recording).1;
        let (whole, _) = read(&*wire, body, usize::MAX).await;
        for end in (0..body.len()).step_by(37) {
            match read(&*wire, &body[..end], usize::MAX).await.0 {
                Err(error) => assert!(error.transient(), "{name} at {end}: {error}"),
                Ok(reply) => assert_eq!(Ok(reply), whole, "{name} at {end}"),
            }
        }
    }
}

#[tokio::test]
async fn recorded_replies_say_what_they_said() {
    for (name, stop, text, calls, counts) in [
        (
            "orgmock_anthropic_tool",
            Stop::ToolUse,
            "Running it.",
            vec![call(
                "toolu_mock33_1",
                "shell",
                r#"{"command": "echo hi", "description": "run"}"#,
            )],
            usage(11, 18, 15),
        ),
        (
            "orgmock_anthropic_think",
            Stop::EndTurn,
            "Thought done.",
            vec![],
            usage(9, 21, 15),
        ),
        (
            "orgmock_anthropic_pause",
            Stop::Pause,
            "paused",
            vec![],
            usage(9, 3, 15),
        ),
        (
            "orgmock_anthropic_refuse",
            Stop::Refusal(None),
            "",
            vec![],
            usage(9, 1, 15),
        ),
        (
            "orgmock_anthropic_maxtok",
            Stop::MaxTokens,
            "",
            vec![],
            usage(11, 9, 15),
        ),
        (
            "orgmock_openai_tool",
            Stop::ToolUse,
            "",
            vec![call(
                "call_mock34_0",
                "shell",
                r#"{"command": ["bash", "-lc", "echo hi"]}"#,
            )],
            usage(24, 44, 20),
        ),
        (
            "orgmock_openai_maxtok",
            Stop::MaxTokens,
            "half an ans",
            vec![],
            usage(23, 6, 3),
        ),
        (
            "aimock_openai_run_tool",
            Stop::ToolUse,
            "Let me run it – naïve 🧪.",
            vec![call(
                "call_TRF7lbtiYsOONCky",
                "shell",
                r#"{"cmd":"echo hi"}"#,
            )],
            usage(0, 0, 0),
        ),
        (
            "aimock_anthropic_par",
            Stop::ToolUse,
            "",
            vec![
                call("toolu_25sFqV_IHptX3MbF", "shell", r#"{"cmd":"echo one"}"#),
                call("toolu_CvL6uq1bv5yDnleC", "shell", r#"{"cmd":"echo two"}"#),
            ],
            usage(0, 0, 0),
        ),
        (
            "aimock_openai_par",
            Stop::ToolUse,
            "",
            vec![
                call("call_bY417LkPQfYKWZcB", "shell", r#"{"cmd":"echo one"}"#),
                call("call_B7FQvW_pcPDDK9AZ", "shell", r#"{"cmd":"echo two"}"#),
            ],
            usage(0, 0, 0),
        ),
    ] {
        let reply = reply_of(name).await;
        assert_eq!(reply.stop, stop, "{name}");
        assert_eq!(reply.text, text, "{name}");
        assert_eq!(reply.calls, calls, "{name}");
        assert_eq!(reply.usage, counts, "{name}");
        assert!(!reply.id.is_empty(), "{name}");
    }
    let cut = reply_of("orgmock_anthropic_maxtok").await;
    assert_eq!(
        (cut.truncated, cut.items),
        (vec!["shell".to_owned()], vec![])
    );
    assert!(!reply_of("orgmock_openai_think").await.thinking.is_empty());
}

#[tokio::test]
async fn what_streams_in_is_shown_in_order() {
    let body = body_of("orgmock_anthropic_tool");
    let (reply, deltas) = read(&*wire("anthropic"), body, usize::MAX).await;
    let (mut text, mut arguments) = (String::new(), String::new());
    for delta in &deltas {
        match delta {
            Delta::Text(part) => text.push_str(part),
            Delta::Arguments(part) => arguments.push_str(part),
            Delta::Call(name) => {
                assert_eq!((name.as_str(), text.as_str()), ("shell", "Running it."))
            }
            Delta::Thinking(_) => unreachable!(),
        }
    }
    assert_eq!(arguments, reply.unwrap().calls[0].arguments);
}

#[tokio::test]
async fn replayed_items_keep_the_bytes_of_the_wire() {
    assert_eq!(
        reply_of("orgmock_anthropic_think").await.items,
        [Raw::new(concat!(
            r#"{"role":"assistant","content":["#,
            r#"{"type":"thinking","thinking":"Considering — naïve ünïcode 🧪","signature":"EqQBmock"},"#,
            r#"{"type":"text","text":"Thought done."}]}"#
        ))]
    );
    assert_eq!(
        reply_of("orgmock_openai_tool").await.items,
        [
            Raw::new(concat!(
                r#"{"id": "rs_mock34_0", "type": "reasoning", "summary": [{"type": "summary_text", "#,
                r#""text": "**Running** it"}], "encrypted_content": "gAAAAmockreason"}"#
            )),
            Raw::new(concat!(
                r#"{"id": "fc_mock34_1", "status": "completed", "type": "function_call", "#,
                r#""name": "shell", "call_id": "call_mock34_0", "#,
                r#""arguments": "{\"command\": [\"bash\", \"-lc\", \"echo hi\"]}"}"#
            )),
        ]
    );
}

#[tokio::test]
async fn recorded_failures_are_told_apart() {
    for (name, want) in [
        ("orgmock_anthropic_cut", "cut"),
        ("orgmock_anthropic_miderr", "overloaded"),
        ("orgmock_openai_cut", "cut"),
        ("orgmock_openai_miderr", "overloaded"),
    ] {
        let (reply, _) = read(&*wire(name), body_of(name), 512).await;
        assert_eq!(reply.unwrap_err().kind(), want, "{name}");
    }
    let wants = [
        ("overloaded", None),
        ("rate_limited", Some(1.0)),
        ("overloaded", None),
        ("rate_limited", Some(1.0)),
        ("context_too_long", None),
        ("overloaded", None),
        ("rate_limited", Some(2.0)),
        ("context_too_long", None),
        ("overloaded", None),
        ("rate_limited", Some(2.5)),
    ];
    for ((name, recording), want) in REFUSALS.into_iter().zip(wants) {
        let (head, body) = parted(recording);
        let mut lines = head.lines();
        let status = lines
            .next()
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let headers: Vec<_> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let error = wire(name).refusal(status, &headers, body);
        assert_eq!((error.kind(), error.retry_after()), want, "{name}: {error}");
    }
}

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
fn failures_in_mid_stream_come_in_many_shapes() {
    for (wire, event, want) in [
        (
            Wire::Openai,
            json!({"type": "error", "code": "rate_limit_exceeded",
            "message": "Please try again in 1.3s.", "param": null}),
            ("rate_limited", Some(1.3)),
        ),
        (
            Wire::Openai,
            json!({"type": "error", "error": {"type": "server_error", "code": null,
            "message": "oops"}}),
            ("server", None),
        ),
        (
            Wire::Openai,
            json!({"error": {"message": "no", "code": 429}}),
            ("server", None),
        ),
        (Wire::Openai, json!({"type": "error"}), ("server", None)),
        (
            Wire::Openai,
            json!({"type": "response.failed", "response": {"error":
            {"code": "context_length_exceeded", "message": "m"}}}),
            ("context_too_long", None),
        ),
        (
            Wire::Openai,
            json!({"type": "response.failed", "response": {"error":
            {"code": "insufficient_quota", "message": "m"}}}),
            ("quota", None),
        ),
        (
            Wire::Openai,
            json!({"type": "response.failed", "response": {"error":
            {"code": "cyber_policy", "message": "m"}}}),
            ("bad_request", None),
        ),
        (
            Wire::Openai,
            json!({"type": "response.failed", "response": {}}),
            ("server", None),
        ),
        (
            Wire::Openai,
            json!({"type": "response.completed"}),
            ("malformed", None),
        ),
        (
            Wire::Anthropic,
            json!({"type": "error", "error": {"type": "api_error",
            "message": "m"}}),
            ("server", None),
        ),
        (
            Wire::Anthropic,
            json!({"error": {"type": "overloaded_error"}}),
            ("overloaded", None),
        ),
        (
            Wire::Anthropic,
            json!({"type": "content_block_delta", "index": 4,
            "delta": {"type": "text_delta", "text": "x"}}),
            ("malformed", None),
        ),
    ] {
        let error = fold(wire, std::slice::from_ref(&event)).unwrap_err();
        assert_eq!((error.kind(), error.retry_after()), want, "{event}");
    }
    for wire in [Wire::Anthropic, Wire::Openai] {
        let mut decoder = provider(wire).decoder();
        assert_eq!(decoder.event("<html>").unwrap_err().kind(), "malformed");
    }
    assert!(provider(Wire::Openai).decoder().event("[DONE]").is_ok());
}

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
