//! The server over real sockets, spoken to by hand: what a client sees of both wires, of faults,
//! and of a death of the server.

use std::path::Path;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Options, serve, unfinished};
use crate::domain::scenario::{Member, Roster, Scenario, decode};

fn scenario(steps: &str) -> Scenario {
    decode(&format!("version = 1\n[[scripts]]\nagent = 'a'\n{steps}")).unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Runs a test against a server that dies when the test's future ends.
fn with_server<F: Future>(
    scenario: &Scenario,
    state: Option<&Path>,
    test: impl FnOnce(u16) -> F,
) -> F::Output {
    let options = Options {
        scenario: scenario.clone(),
        port: 0,
        state: state.map(Path::to_owned),
        roster: Roster::new(),
        pace_ms: None,
    };
    runtime().block_on(async {
        let (bound, port) = tokio::sync::oneshot::channel();
        let server = serve(options, |port| bound.send(port).unwrap());
        tokio::select! {
            ended = server => panic!("the server ended: {}", ended.unwrap_err()),
            output = async { test(port.await.unwrap()).await } => output,
        }
    })
}

/// A response as it came: status, head, body without chunk framing, and whether it came whole.
struct Got {
    status: u16,
    head: String,
    body: String,
    whole: bool,
    chunks: Vec<usize>,
}

async fn ask(port: u16, path: &str, key: &str, body: &Value) -> Got {
    let body = body.to_string();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\n{key}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let clean = stream.read_to_end(&mut bytes).await.is_ok();
    let split = bytes
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap();
    let head = String::from_utf8(bytes[..split].to_vec()).unwrap();
    let status = head[9..12].parse().unwrap();
    let rest = &bytes[split + 4..];
    if !head.contains("transfer-encoding: chunked") {
        let body = String::from_utf8(rest.to_vec()).unwrap();
        return Got {
            status,
            head,
            body,
            whole: clean,
            chunks: Vec::new(),
        };
    }
    let (body, whole, chunks) = dechunk(rest);
    Got {
        status,
        head,
        body: String::from_utf8_lossy(&body).into_owned(),
        whole,
        chunks,
    }
}

fn dechunk(mut rest: &[u8]) -> (Vec<u8>, bool, Vec<usize>) {
    let (mut body, mut chunks) = (Vec::new(), Vec::new());
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return (body, true, chunks);
        }
        body.extend(&rest[end + 2..end + 2 + size]);
        chunks.push(size);
        rest = &rest[end + 4 + size..];
    }
    (body, false, chunks)
}

impl Got {
    fn events(&self) -> Vec<Value> {
        let data = self
            .body
            .lines()
            .filter_map(|line| line.strip_prefix("data: "));
        data.filter_map(|data| serde_json::from_str(data).ok())
            .collect()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

const KEY: &str = "x-api-key: mock-a";
const BEARER: &str = "authorization: Bearer mock-a";

fn messages(texts: &[&str]) -> Value {
    let content: Vec<Value> = texts
        .iter()
        .map(|text| json!({"type": "text", "text": text}))
        .collect();
    json!({"model": "claude-opus-5-5", "max_tokens": 99, "stream": true,
        "cache_control": {"type": "ephemeral"},
        "messages": [{"role": "user", "content": content}]})
}

fn input(texts: &[&str]) -> Value {
    let items: Vec<Value> = texts
        .iter()
        .map(|text| json!({"role": "user", "content": text}))
        .collect();
    json!({"model": "gpt-6.2-sol", "stream": true, "store": false, "input": items})
}

const CALLING: &str = "[[scripts.steps]]\nthink = 'hm'\nsay = 'let us see'\n\
    [[scripts.steps.call]]\ntool = 'shell'\ncommand = 'ls é'\n\
    [[scripts.steps]]\nexpect = 'out (?<n>\\d)'\nsay = 'saw {n}'\n";

#[test]
fn anthropic_streams_a_call_and_takes_its_result() {
    with_server(&scenario(CALLING), None, |port| async move {
        let mut body = messages(&["go"]);
        let first = ask(port, "/v1/messages?beta=true", KEY, &body).await;
        assert_eq!((first.status, first.whole), (200, true));
        assert!(first.head.contains("text/event-stream"));
        let events = first.events();
        let names: Vec<&str> = events
            .iter()
            .map(|event| event["type"].as_str().unwrap())
            .collect();
        assert_eq!(names[..3], ["message_start", "ping", "content_block_start"]);
        assert_eq!(names[names.len() - 2..], ["message_delta", "message_stop"]);
        let deltas = |key: &str| -> String {
            events
                .iter()
                .filter_map(|event| event["delta"][key].as_str())
                .collect()
        };
        assert_eq!(
            (deltas("text").as_str(), deltas("thinking").as_str()),
            ("let us see", "")
        );
        assert_eq!(deltas("partial_json"), r#"{"command":"ls é"}"#);
        assert_eq!(deltas("stop_reason"), "tool_use");
        let call = events
            .iter()
            .find(|event| event["content_block"]["type"] == "tool_use")
            .unwrap();
        let id = call["content_block"]["id"].as_str().unwrap();
        let turn = body["messages"].as_array_mut().unwrap();
        turn.push(json!({"role": "assistant", "content": [
            {"type": "thinking", "thinking": "", "signature": deltas("signature")},
            {"type": "text", "text": "let us see"},
            {"type": "tool_use", "id": id, "name": "shell", "input": {"command": "ls é"}}]}));
        turn.push(json!({"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": id, "content": "out 7"}]}));
        body["stream"] = json!(false);
        let second = ask(port, "/v1/messages", BEARER, &body).await.json();
        assert_eq!(
            second["content"],
            json!([{"type": "text", "text": "saw 7"}])
        );
        assert_eq!(second["stop_reason"], "end_turn");
        assert!(
            second["usage"]["cache_read_input_tokens"].as_u64().unwrap() > 0,
            "{second}"
        );
        // A changed prefix is refused, since the thinking is bound to it.
        body["system"] = json!("new");
        let third = ask(port, "/v1/messages", KEY, &body).await;
        assert_eq!(third.status, 400);
        assert!(
            third
                .body
                .contains("Invalid `signature` in `thinking` block"),
            "{}",
            third.body
        );
    });
}

#[test]
fn openai_streams_a_call_and_takes_its_output() {
    with_server(&scenario(CALLING), None, |port| async move {
        let mut body = input(&["go"]);
        body["reasoning"] = json!({"summary": "auto"});
        let events = ask(port, "/v1/responses", BEARER, &body).await.events();
        for (at, event) in events.iter().enumerate() {
            assert_eq!(event["sequence_number"], at);
        }
        let last = events.last().unwrap();
        assert_eq!(last["type"], "response.completed");
        let output = last["response"]["output"].as_array().unwrap();
        let done: Vec<&Value> = events
            .iter()
            .filter(|event| event["type"] == "response.output_item.done")
            .map(|event| &event["item"])
            .collect();
        assert_eq!(done, output.iter().collect::<Vec<_>>());
        assert_eq!(output[0]["summary"][0]["text"], "hm");
        assert_eq!(output[2]["arguments"], r#"{"command":"ls é"}"#);
        assert_ne!(output[2]["id"], output[2]["call_id"]);
        let items = body["input"].as_array_mut().unwrap();
        items.extend(output.clone());
        items.push(
            json!({"type": "function_call_output", "call_id": output[2]["call_id"],
            "output": "out 3"}),
        );
        body["stream"] = json!(false);
        let second = ask(port, "/responses", BEARER, &body).await.json();
        assert_eq!(second["output"][0]["content"][0]["text"], "saw 3");
        let cached = &second["usage"]["input_tokens_details"]["cached_tokens"];
        assert!(cached.as_u64().unwrap() > 0);
        // Without its reasoning, the call is refused.
        body["input"].as_array_mut().unwrap().remove(1);
        let third = ask(port, "/responses", BEARER, &body).await;
        assert_eq!(third.status, 400);
        assert!(
            third.body.contains("without its required 'reasoning' item"),
            "{}",
            third.body
        );
    });
}

#[test]
fn a_repeat_gets_the_same_bytes_also_from_another_server() {
    let place = tempfile::tempdir().unwrap();
    let steps = "[[scripts.steps]]\nsay = 'one'\n[[scripts.steps]]\nsay = 'two'\n\
                 [[scripts.steps]]\nexpect = 'never {x'\nsay = 'three'\n";
    let play = scenario(steps);
    let state = place.path();
    let first = with_server(&play, Some(state), |port| async move {
        let got = ask(port, "/v1/messages", KEY, &messages(&["x"])).await;
        // Neither counting nor a stranger moves the script.
        let mut counting = messages(&["x", "y"]);
        counting.as_object_mut().unwrap().remove("max_tokens");
        let count = ask(port, "/v1/messages/count_tokens", KEY, &counting)
            .await
            .json();
        assert!(count["input_tokens"].as_u64().unwrap() > 10);
        let other = ask(port, "/v1/messages", "x-api-key: sk-b", &messages(&["x"])).await;
        assert!(other.body.contains("Waiting."));
        got.body
    });
    assert!(first.contains("one"));
    let roster = Roster::from([("z".to_owned(), Member::default())]);
    let left = unfinished(state, &play, &roster).unwrap();
    assert_eq!(
        (left[0].agent.as_str(), left[0].script, left[0].step),
        ("a", 1, 2)
    );
    assert_eq!(
        left.len(),
        1,
        "only scripts that serve somebody count: {left:?}"
    );
    with_server(&play, Some(state), |port| async move {
        let again = ask(port, "/v1/messages", KEY, &messages(&["x"])).await;
        assert_eq!(again.body, first);
        let next = ask(port, "/v1/messages", KEY, &messages(&["x", "y"])).await;
        assert!(next.body.contains("two"));
    });
    let roster = Roster::from([("a".to_owned(), Member::default())]);
    let left = unfinished(state, &play, &roster).unwrap();
    assert_eq!(
        (left[0].step, left[0].expect.as_deref()),
        (3, Some("never {x"))
    );
    let files: Vec<_> = std::fs::read_dir(state)
        .unwrap()
        .map(|f| f.unwrap().file_name())
        .collect();
    assert!(
        files
            .iter()
            .all(|file| !file.to_string_lossy().contains("sk-b")),
        "{files:?}"
    );
    assert_eq!(
        unfinished(&state.join("none"), &play, &roster).unwrap()[0].step,
        1
    );
}

fn faulty(fault: &str) -> Scenario {
    scenario(&format!(
        "[[scripts.steps]]\nfault = {{ {fault} }}\nsay = 'a b c'\n[[scripts.steps.call]]\n\
         tool = 't'\nx = 'yyyyyyyyyyyyyyyy'\n"
    ))
}

#[test]
fn faults_come_first_and_then_the_reply() {
    for (path, key, body, last) in [
        ("/v1/messages", KEY, messages(&["x"]), "message_stop"),
        ("/v1/responses", BEARER, input(&["x"]), "response.completed"),
    ] {
        for fault in [
            "status = 529, times = 2",
            "status = 429, retry_after = 1.5",
            "cut_after = 3",
            "cut_after = 999",
            "malformed = true",
            "truncate_tool = true",
            "chunk_bytes = 7, delay_ms = 1, stall_ms = 1",
        ] {
            let play = faulty(fault);
            with_server(&play, None, |port| {
                let body = &body;
                async move {
                    let first = ask(port, path, key, body).await;
                    let end = |got: &Got| got.events().last().map(|e| e["type"].clone());
                    match fault {
                        "status = 529, times = 2" => {
                            assert_eq!(first.status, 529);
                            assert!(first.body.contains("overloaded"), "{}", first.body);
                            assert_eq!(ask(port, path, key, body).await.status, 529);
                        }
                        "status = 429, retry_after = 1.5" => {
                            assert_eq!(first.status, 429);
                            assert!(first.head.contains("retry-after: 2"), "{}", first.head);
                            assert!(first.head.contains("retry-after-ms: 1500"));
                        }
                        "cut_after = 3" => {
                            assert_eq!((first.events().len(), first.whole), (3, false));
                        }
                        "cut_after = 999" => {
                            assert!(first.events().len() > 5 && !first.whole);
                            assert_ne!(end(&first).unwrap(), last);
                        }
                        "malformed = true" => {
                            assert!(first.whole);
                            assert_eq!(
                                first.body.matches("data: ").count(),
                                first.events().len() + 1
                            );
                            assert_ne!(end(&first).unwrap(), last);
                        }
                        "truncate_tool = true" => {
                            assert!(
                                first.body.contains("max_tokens")
                                    || first.body.contains("max_output_tokens")
                            );
                        }
                        _ => {
                            assert!(first.whole && first.chunks.len() > 20);
                            assert!(first.chunks.iter().rev().skip(1).all(|size| *size == 7));
                            assert_eq!(end(&first).unwrap(), last);
                        }
                    }
                    let real = ask(port, path, key, body).await;
                    assert_eq!((real.status, real.whole), (200, true), "{fault}");
                    assert_eq!(end(&real).unwrap(), last, "{fault}");
                }
            });
        }
    }
}

#[test]
fn who_does_not_say_who_it_is_is_refused() {
    with_server(&scenario("steps = []"), None, |port| async move {
        for (path, part) in [
            ("/v1/messages", "authentication_error"),
            ("/v1/responses", "invalid_api_key"),
        ] {
            let got = ask(port, path, "x-nothing: 1", &json!({})).await;
            assert_eq!(got.status, 401);
            assert!(got.body.contains(part), "{}", got.body);
        }
        assert_eq!(ask(port, "/v1/other", KEY, &json!({})).await.status, 404);
    });
}
