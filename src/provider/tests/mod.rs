//! Both wires against recorded streams, whatever the bytes are cut into, and against the traps that
//! the recordings lack. The recordings in `tests/fixtures/sse` are answers of two pretended servers:
//! one of ours (`orgmock_*`) and the independent npm package `@copilotkit/aimock` (`aimock_*`).

mod requests;
mod traps;

use futures_util::stream;

use super::*;
use crate::domain::chat::{Stop, ToolCall, Usage};

macro_rules! recordings {
    ($($name:literal),* $(,)?) => {
        [$(($name, &include_bytes!(concat!("../../../tests/fixtures/sse/", $name, ".http")).as_slice())),*]
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
            1,
            (11, 18, 15),
        ),
        (
            "orgmock_anthropic_think",
            Stop::EndTurn,
            "Thought done.",
            0,
            (9, 21, 15),
        ),
        (
            "orgmock_anthropic_pause",
            Stop::Pause,
            "paused",
            0,
            (9, 3, 15),
        ),
        (
            "orgmock_anthropic_refuse",
            Stop::Refusal(None),
            "",
            0,
            (9, 1, 15),
        ),
        (
            "orgmock_anthropic_maxtok",
            Stop::MaxTokens,
            "",
            0,
            (11, 9, 15),
        ),
        ("orgmock_openai_tool", Stop::ToolUse, "", 1, (24, 44, 20)),
        (
            "orgmock_openai_maxtok",
            Stop::MaxTokens,
            "half an ans",
            0,
            (23, 6, 3),
        ),
        (
            "aimock_openai_run_tool",
            Stop::ToolUse,
            "Let me run it – naïve 🧪.",
            1,
            (0, 0, 0),
        ),
        ("aimock_anthropic_par", Stop::ToolUse, "", 2, (0, 0, 0)),
        ("aimock_openai_par", Stop::ToolUse, "", 2, (0, 0, 0)),
    ] {
        let reply = reply_of(name).await;
        assert_eq!(reply.stop, stop, "{name}");
        assert_eq!(reply.text, text, "{name}");
        assert_eq!(reply.calls.len(), calls, "{name}");
        let Usage {
            input,
            output,
            cache_read,
            ..
        } = reply.usage;
        assert_eq!((input, output, cache_read), counts, "{name}");
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
async fn recorded_calls_are_read_whole_and_in_order() {
    const COMMAND: &str = r#"{"command": "echo hi", "description": "run"}"#;
    const ARGV: &str = r#"{"command": ["bash", "-lc", "echo hi"]}"#;
    const ONE: &str = r#"{"cmd":"echo one"}"#;
    const TWO: &str = r#"{"cmd":"echo two"}"#;
    for (name, calls) in [
        ("orgmock_anthropic_tool", vec![("toolu_mock33_1", COMMAND)]),
        ("orgmock_openai_tool", vec![("call_mock34_0", ARGV)]),
        (
            "aimock_anthropic_par",
            vec![
                ("toolu_25sFqV_IHptX3MbF", ONE),
                ("toolu_CvL6uq1bv5yDnleC", TWO),
            ],
        ),
        (
            "aimock_openai_par",
            vec![
                ("call_bY417LkPQfYKWZcB", ONE),
                ("call_B7FQvW_pcPDDK9AZ", TWO),
            ],
        ),
    ] {
        let want: Vec<_> = calls
            .into_iter()
            .map(|(id, arguments)| call(id, "shell", arguments))
            .collect();
        assert_eq!(reply_of(name).await.calls, want, "{name}");
    }
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
                assert_eq!((name.as_str(), text.as_str()), ("shell", "Running it."));
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
