//! OpenAI's Responses API: the asking side, and what its refusals mean.
//!
//! Owns the shape of stateless requests (developers.openai.com/api/docs): nothing is stored with the
//! vendor, reasoning comes back encrypted and is replayed. Must not know HTTP, or who asks.

mod decode;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::error::{Complaint, ProviderError, spoken_wait, words_of};
use super::raw::json;
use super::{Asking, Decoder, Provider};
use crate::domain::chat::{Head, Raw, Reply, ToolOutput};

/// Longer cache keys are refused with a 400.
const CACHE_KEY_CHARS: usize = 64;

/// The Responses API.
pub(super) struct OpenAi;

impl Provider for OpenAi {
    fn path(&self) -> &'static str {
        "/responses"
    }

    fn headers(&self, key: Option<&str>) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("content-type", "application/json".to_owned()),
            ("accept", "text/event-stream".to_owned()),
        ];
        headers.extend(key.map(|key| ("authorization", format!("Bearer {key}"))));
        headers
    }

    fn user(&self, text: &str) -> Raw {
        Raw::new(json(&Message {
            kind: "message",
            role: "user",
            content: [Text {
                kind: "input_text",
                text,
            }],
        }))
    }

    fn results(&self, outputs: &[ToolOutput]) -> Vec<Raw> {
        // The wire has no place for `is_error`; the text says it.
        let item = |output: &ToolOutput| {
            Raw::new(json(&CallOutput {
                kind: "function_call_output",
                call_id: &output.call_id,
                output: &output.text,
            }))
        };
        outputs.iter().map(item).collect()
    }

    fn body(&self, head: &Head, items: &[Raw]) -> Vec<u8> {
        let any = !head.tools.is_empty();
        let mut body = json(&Opening {
            model: &head.model,
            stream: true,
            store: false,
            max_output_tokens: head.max_output,
            reasoning: Reasoning {
                effort: head.effort.map(|effort| effort.as_str()),
                summary: "auto",
            },
            include: ["reasoning.encrypted_content"],
            prompt_cache_key: cache_key(&head.cache_key),
            tool_choice: any.then_some("auto"),
            parallel_tool_calls: any.then_some(true),
            tools: head
                .tools
                .iter()
                .map(|tool| Tool {
                    kind: "function",
                    name: &tool.name,
                    description: &tool.description,
                    parameters: &tool.parameters,
                    strict: false,
                })
                .collect(),
            instructions: &head.system,
        });
        super::splice(&mut body, "input", items);
        body.into_bytes()
    }

    fn compaction(&self, head: &Head, items: &[Raw]) -> Asking {
        let mut body = json(&Compacting {
            model: &head.model,
            prompt_cache_key: cache_key(&head.cache_key),
            instructions: &head.system,
        });
        super::splice(&mut body, "input", items);
        Asking {
            path: "/responses/compact",
            headers: vec![("accept", "application/json".to_owned())],
            body: body.into_bytes(),
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
                classify(&error, Complaint::answered(status, headers, error.words()))
            }
            Err(_) => Complaint::answered(status, headers, &words_of(body)).by_status(),
        }
    }
}

/// The key as the wire takes it; one too long keeps its beginning and differs by its hash.
fn cache_key(key: &str) -> Cow<'_, str> {
    if key.chars().count() <= CACHE_KEY_CHARS {
        return Cow::Borrowed(key);
    }
    let hash = Sha256::digest(key);
    let hash: String = hash
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let start: String = key.chars().take(CACHE_KEY_CHARS - 17).collect();
    Cow::Owned(format!("{start}-{hash}"))
}

/// A request up to, and without, its input.
#[derive(Serialize)]
struct Opening<'a> {
    model: &'a str,
    stream: bool,
    store: bool,
    max_output_tokens: u64,
    reasoning: Reasoning,
    include: [&'static str; 1],
    #[serde(skip_serializing_if = "str::is_empty")]
    prompt_cache_key: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    instructions: &'a str,
}

/// What is compacted, up to, and without, its input.
#[derive(Serialize)]
struct Compacting<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    prompt_cache_key: Cow<'a, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    instructions: &'a str,
}

#[derive(Serialize)]
struct Reasoning {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'static str>,
    summary: &'static str,
}

#[derive(Serialize)]
struct Tool<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'a str,
    description: &'a str,
    parameters: &'a Value,
    strict: bool,
}

#[derive(Serialize)]
struct Message<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    role: &'static str,
    content: [Text<'a>; 1],
}

#[derive(Serialize)]
struct Text<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    text: &'a str,
}

#[derive(Serialize)]
struct CallOutput<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    call_id: &'a str,
    output: &'a str,
}

/// A failure as a body, or as an event that nests it.
#[derive(Deserialize)]
struct Failure {
    error: Fault,
}

#[derive(Default, Deserialize)]
struct Fault {
    #[serde(rename = "type")]
    kind: Option<String>,
    message: Option<String>,
    /// A string with the vendor; compatible servers put numbers here.
    code: Option<Value>,
}

impl Fault {
    fn words(&self) -> &str {
        let words = [self.message.as_deref(), self.code(), self.kind.as_deref()];
        words
            .into_iter()
            .flatten()
            .next()
            .unwrap_or("no explanation")
    }

    fn code(&self) -> Option<&str> {
        self.code.as_ref().and_then(Value::as_str)
    }
}

/// Complaints that a history which was replayed as it came is not the vendor's: it lost its reasoning.
const UNKNOWN_HISTORY: [&str; 3] = [
    "was provided without its required",
    "Items are not persisted",
    "encrypted content",
];

/// What an error object means. Its code says more than its type, and both more than the status.
fn classify(fault: &Fault, complaint: Complaint) -> ProviderError {
    let words = fault.words();
    let retry_after = complaint.wait.or_else(|| spoken_wait(words));
    let message = complaint.message.clone();
    if UNKNOWN_HISTORY
        .iter()
        .any(|words_of| words.contains(words_of))
    {
        return ProviderError::HistoryRefused { message };
    }
    for word in [fault.code(), fault.kind.as_deref()].into_iter().flatten() {
        return match word {
            "context_length_exceeded" => ProviderError::ContextTooLong { message },
            "insufficient_quota"
            | "credit_balance_exhausted"
            | "billing_hard_limit_reached"
            | "billing_not_active"
            | "usage_not_included"
            | "usage_limit_reached" => ProviderError::Quota { message },
            "rate_limit_exceeded" | "rate_limit_error" => ProviderError::RateLimited {
                message,
                retry_after,
            },
            "server_is_overloaded" | "slow_down" => ProviderError::Overloaded {
                message,
                retry_after,
            },
            "server_error" => ProviderError::Server {
                message,
                retry_after,
            },
            "invalid_api_key" | "authentication_error" | "permission_error" => {
                ProviderError::KeyRefused { message }
            }
            "invalid_encrypted_content" => ProviderError::HistoryRefused { message },
            "invalid_prompt"
            | "cyber_policy"
            | "bio_policy"
            | "misalignment_policy_violation"
            | "model_not_found" => ProviderError::BadRequest { message },
            "invalid_request_error" if complaint.status.is_none() => {
                ProviderError::BadRequest { message }
            }
            _ => continue,
        };
    }
    Complaint {
        wait: retry_after,
        ..complaint
    }
    .by_status()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuse(status: u16, body: &str) -> ProviderError {
        OpenAi.refusal(status, &[], body.as_bytes())
    }

    #[test]
    fn refusals_are_told_apart() {
        for (status, kind, code, want) in [
            (429, "tokens", Some("rate_limit_exceeded"), "rate_limited"),
            (429, "requests", Some("slow_down"), "overloaded"),
            (
                429,
                "insufficient_quota",
                Some("insufficient_quota"),
                "quota",
            ),
            (429, "insufficient_quota", None, "quota"),
            (429, "usage_limit_reached", None, "quota"),
            (429, "x", Some("credit_balance_exhausted"), "quota"),
            (429, "x", None, "rate_limited"),
            (
                400,
                "invalid_request_error",
                Some("context_length_exceeded"),
                "context_too_long",
            ),
            (
                400,
                "invalid_request_error",
                Some("invalid_encrypted_content"),
                "history_refused",
            ),
            (400, "invalid_request_error", None, "bad_request"),
            (
                401,
                "invalid_request_error",
                Some("invalid_api_key"),
                "key_refused",
            ),
            (401, "invalid_request_error", None, "key_refused"),
            (
                404,
                "invalid_request_error",
                Some("model_not_found"),
                "bad_request",
            ),
            (500, "server_error", None, "server"),
            (
                503,
                "server_error",
                Some("server_is_overloaded"),
                "overloaded",
            ),
        ] {
            let error =
                serde_json::json!({"message": "m", "type": kind, "param": null, "code": code});
            let body = serde_json::json!({ "error": error }).to_string();
            assert_eq!(
                refuse(status, &body).kind(),
                want,
                "{status} {kind} {code:?}"
            );
        }
        assert_eq!(refuse(502, "<html>").kind(), "server");
    }

    #[test]
    fn the_wait_is_read_from_the_message_where_no_header_has_it() {
        let body = r#"{"error":{"message":"Please try again in 1.3s.","type":"tokens","code":"rate_limit_exceeded"}}"#;
        assert_eq!(refuse(429, body).retry_after(), Some(1.3));
        let header = [("retry-after-ms".to_owned(), "2500".to_owned())];
        let refused = OpenAi.refusal(429, &header, body.as_bytes());
        assert_eq!(refused.retry_after(), Some(2.5));
    }

    #[test]
    fn long_cache_keys_are_shortened_and_stay_distinct() {
        assert_eq!(cache_key("run-7/ana"), "run-7/ana");
        let (one, two) = ("x".repeat(90) + "1", "x".repeat(90) + "2");
        assert_eq!(cache_key(&one).chars().count(), CACHE_KEY_CHARS);
        assert_ne!(cache_key(&one), cache_key(&two));
    }
}
