//! Anthropic's Messages API: the asking side, and what its refusals mean.
//!
//! Owns the shape of requests for API version 2026-10-21 (platform.claude.com/docs): thinking is
//! adaptive, no sampling parameters, two cache breakpoints (system, and the last block by the
//! top-level marker; a third only where the newest exchange is very large), so that items carry none. Must not know HTTP, or who asks.

mod decode;

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::{Complaint, ProviderError, words_of};
use super::raw::json;
use super::{Asking, Decoder, Provider};
use crate::domain::chat::{Head, Raw, Reply, ToolOutput};

/// The API version that requests are written for.
const VERSION: &str = "2026-10-21";

/// The Messages API.
pub(super) struct Anthropic;

impl Provider for Anthropic {
    fn path(&self) -> &'static str {
        "/v1/messages"
    }

    fn headers(&self, key: Option<&str>) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("content-type", "application/json".to_owned()),
            ("accept", "text/event-stream".to_owned()),
            ("anthropic-version", VERSION.to_owned()),
        ];
        headers.extend(key.map(|key| ("x-api-key", key.to_owned())));
        headers
    }

    fn user(&self, text: &str) -> Raw {
        Raw::new(json(&Message {
            role: "user",
            content: [Text { kind: "text", text }],
        }))
    }

    fn results(&self, outputs: &[ToolOutput]) -> Vec<Raw> {
        if outputs.is_empty() {
            return Vec::new();
        }
        // All results of one reply must stand in one message, or the server refuses the history.
        let content: Vec<_> = outputs
            .iter()
            .map(|output| ToolResult {
                kind: "tool_result",
                tool_use_id: &output.call_id,
                content: &output.text,
                is_error: output.is_error,
            })
            .collect();
        vec![Raw::new(json(&Message {
            role: "user",
            content,
        }))]
    }

    fn body(&self, head: &Head, items: &[Raw]) -> Vec<u8> {
        body(head, items, None)
    }

    fn compaction(&self, head: &Head, items: &[Raw]) -> Asking {
        Asking {
            path: self.path(),
            headers: vec![("anthropic-beta", COMPACTION.to_owned())],
            body: body(head, items, Some(Compaction { kind: "summarize" })),
        }
    }

    fn whole(&self, json: &str) -> Result<Reply, ProviderError> {
        decode::whole(json)
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::<decode::Stream>::default()
    }

    fn refusal(&self, status: u16, headers: &[(String, String)], body: &[u8]) -> ProviderError {
        match serde_json::from_slice::<Failure>(body) {
            Ok(Failure { error }) => {
                classify(&error, Complaint::answered(status, headers, &error.message))
            }
            Err(_) => Complaint::answered(status, headers, &words_of(body)).by_status(),
        }
    }
}

fn body(head: &Head, items: &[Raw], compaction: Option<Compaction>) -> Vec<u8> {
    let adaptive = thinks_adaptively(&head.model);
    let cache_control = CacheControl {
        kind: "ephemeral",
        ttl: head.patient.then_some("1h"),
    };
    let mut body = json(&Opening {
        model: &head.model,
        max_tokens: head.max_output,
        stream: true,
        thinking: adaptive.then_some(Thinking {
            kind: "adaptive",
            display: "summarized",
        }),
        output_config: head.effort.filter(|_| adaptive).map(|effort| OutputConfig {
            effort: effort.as_str(),
        }),
        compaction,
        cache_control,
        tools: head
            .tools
            .iter()
            .map(|tool| Tool {
                name: &tool.name,
                description: &tool.description,
                input_schema: &tool.parameters,
            })
            .collect(),
        system: (!head.system.is_empty())
            .then(|| System {
                kind: "text",
                text: &head.system,
                cache_control,
            })
            .into_iter()
            .collect(),
    });
    super::splice(&mut body, "messages", &marked(items, cache_control));
    body.into_bytes()
}

/// The items, the end of the last request marked where the newest exchange is so large that the
/// vendor, looking back from the end, would not find what it cached then.
fn marked(items: &[Raw], mark: CacheControl) -> Cow<'_, [Raw]> {
    const ASSISTANT: &str = r#"{"role":"assistant""#;
    let said = items
        .iter()
        .rposition(|item| item.as_str().starts_with(ASSISTANT));
    let Some(before) = said.filter(|at| *at > 0 && blocks(&items[*at..]) > LOOKBACK) else {
        return Cow::Borrowed(items);
    };
    let Some(open) = items[before - 1].as_str().strip_suffix("}]}") else {
        return Cow::Borrowed(items);
    };
    let mut items = items.to_vec();
    let mark = json(&mark);
    items[before - 1] = Raw::new(format!(r#"{open},"cache_control":{mark}}}]}}"#));
    Cow::Owned(items)
}

fn blocks(items: &[Raw]) -> usize {
    #[derive(Deserialize)]
    struct Blocks {
        content: Vec<IgnoredAny>,
    }
    let count = |item: &Raw| {
        let read = serde_json::from_str::<Blocks>(item.as_str());
        read.map_or(0, |read| read.content.len())
    };
    items.iter().map(count).sum()
}

/// Models of the 4.5 generation and before refuse adaptive thinking and effort; all later ones, and
/// whatever a chart's own server calls its models, take both.
fn thinks_adaptively(model: &str) -> bool {
    ![
        "claude-haiku-4-5",
        "claude-opus-4-5",
        "claude-sonnet-4-5",
        "claude-3",
    ]
    .iter()
    .any(|old| model.starts_with(old))
}

/// What a compaction on demand is asked with.
const COMPACTION: &str = "compact-2026-09-04";
/// Blocks that the vendor looks back from a cache marker, less a few that it may count otherwise.
const LOOKBACK: usize = 17;

/// A request up to, and without, its messages.
#[derive(Serialize)]
struct Opening<'a> {
    model: &'a str,
    max_tokens: u64,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Thinking>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compaction: Option<Compaction>,
    cache_control: CacheControl,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<System<'a>>,
}

#[derive(Serialize)]
struct Thinking {
    #[serde(rename = "type")]
    kind: &'static str,
    display: &'static str,
}

#[derive(Serialize)]
struct OutputConfig {
    effort: &'static str,
}

#[derive(Serialize, Clone, Copy)]
struct CacheControl {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<&'static str>,
}

#[derive(Serialize)]
struct Compaction {
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Serialize)]
struct Tool<'a> {
    name: &'a str,
    description: &'a str,
    input_schema: &'a Value,
}

#[derive(Serialize)]
struct System<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    text: &'a str,
    cache_control: CacheControl,
}

#[derive(Serialize)]
struct Message<C> {
    role: &'static str,
    content: C,
}

#[derive(Serialize)]
struct Text<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    text: &'a str,
}

#[derive(Serialize)]
struct ToolResult<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    tool_use_id: &'a str,
    content: &'a str,
    is_error: bool,
}

/// A failure, as a body or as an event.
#[derive(Deserialize)]
struct Failure {
    error: Fault,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Fault {
    #[serde(rename = "type")]
    kind: String,
    message: String,
    details: Option<Details>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Details {
    error_code: Option<String>,
}

/// What an error object means. Its code says more than its type, and its type more than the status.
fn classify(fault: &Fault, complaint: Complaint) -> ProviderError {
    let code = fault
        .details
        .as_ref()
        .and_then(|details| details.error_code.as_deref());
    let code = code.unwrap_or_default();
    let says = |words: &[&str]| words.iter().any(|word| fault.message.contains(word));
    let retry_after = complaint.wait;
    let message = complaint.message.clone();
    if ["spend_limit", "credit", "billing", "quota"]
        .iter()
        .any(|word| code.contains(word))
    {
        return ProviderError::Quota { message };
    }
    match fault.kind.as_str() {
        "overloaded_error" => ProviderError::Overloaded {
            message,
            retry_after,
        },
        "rate_limit_error" if complaint.should_retry == Some(false) => {
            ProviderError::Quota { message }
        }
        "rate_limit_error" => ProviderError::RateLimited {
            message,
            retry_after,
        },
        "api_error" | "timeout_error" | "conflict_error" => ProviderError::Server {
            message,
            retry_after,
        },
        "authentication_error" | "permission_error" => ProviderError::KeyRefused { message },
        "billing_error" => ProviderError::Quota { message },
        "request_too_large" => ProviderError::ContextTooLong { message },
        "invalid_request_error" if says(&["prompt is too long", "exceed context limit"]) => {
            ProviderError::ContextTooLong { message }
        }
        "invalid_request_error"
            if code.contains("signature_invalid") || says(&["Invalid `signature` in"]) =>
        {
            ProviderError::HistoryRefused { message }
        }
        "invalid_request_error" if says(&["credit balance", "spend limit", "usage limit"]) => {
            ProviderError::Quota { message }
        }
        "invalid_request_error" | "not_found_error" => ProviderError::BadRequest { message },
        _ => complaint.by_status(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuse(status: u16, body: &str) -> &'static str {
        Anthropic.refusal(status, &[], body.as_bytes()).kind()
    }

    fn fault(kind: &str, message: &str, code: Option<&str>) -> String {
        serde_json::json!({"type": "error", "request_id": "req_1", "error":
            {"type": kind, "message": message, "details": {"error_code": code}}})
        .to_string()
    }

    #[test]
    fn refusals_are_told_apart() {
        for (status, kind, message, code, want) in [
            (429, "rate_limit_error", "slow", None, "rate_limited"),
            (
                429,
                "rate_limit_error",
                "x",
                Some("enforced_spend_limit_reached"),
                "quota",
            ),
            (529, "overloaded_error", "Overloaded", None, "overloaded"),
            (500, "api_error", "oops", None, "server"),
            (504, "timeout_error", "late", None, "server"),
            (409, "conflict_error", "busy", None, "server"),
            (
                401,
                "authentication_error",
                "invalid x-api-key",
                None,
                "key_refused",
            ),
            (403, "permission_error", "no", None, "key_refused"),
            (402, "billing_error", "pay", None, "quota"),
            (
                404,
                "not_found_error",
                "model: claude-x",
                None,
                "bad_request",
            ),
            (413, "request_too_large", "32 MB", None, "context_too_long"),
            (
                400,
                "invalid_request_error",
                "prompt is too long: 2 > 1",
                None,
                "context_too_long",
            ),
            (
                400,
                "invalid_request_error",
                "Your credit balance is too low",
                None,
                "quota",
            ),
            (
                400,
                "invalid_request_error",
                "temperature: no",
                None,
                "bad_request",
            ),
            (529, "new_error", "?", None, "overloaded"),
            (418, "new_error", "?", None, "bad_request"),
        ] {
            assert_eq!(
                refuse(status, &fault(kind, message, code)),
                want,
                "{status} {kind} {code:?}"
            );
        }
    }

    #[test]
    fn answers_that_are_not_the_vendors_are_judged_by_their_status() {
        for (status, body, want) in [
            (502, "<html>Bad gateway</html>", "server"),
            (503, "", "overloaded"),
            (429, "", "rate_limited"),
            (302, "", "bad_request"),
            (401, "{\"error\":\"no\"}", "key_refused"),
        ] {
            assert_eq!(refuse(status, body), want, "{status} {body}");
        }
        let no = [("x-should-retry".to_owned(), "false".to_owned())];
        let body = fault("rate_limit_error", "x", None);
        assert_eq!(Anthropic.refusal(429, &no, body.as_bytes()).kind(), "quota");
    }

    #[test]
    fn old_models_get_no_adaptive_thinking() {
        assert!(!thinks_adaptively("claude-haiku-4-5-20251001"));
        assert!(thinks_adaptively("claude-haiku-5-5"));
        assert!(thinks_adaptively("my-own"));
    }
}
