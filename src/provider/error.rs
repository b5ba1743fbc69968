//! Why an exchange failed, in terms that decide what to do next.
//!
//! Owns the kinds of failure, when to try again, and the reading of waits from headers and prose.
//! Vendors' files map their own words onto the kinds. Must not know who retries, or how often.

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use thiserror::Error;

/// Most characters of a vendor's message that are kept.
const MESSAGE_CHARS: usize = 400;

/// A failed exchange. Nothing of its partial reply may be used.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ProviderError {
    /// The vendor has too much to do.
    #[error("model server overloaded: {message}")]
    Overloaded {
        /// The vendor's words.
        message: String,
        /// Seconds that the vendor asks to wait.
        retry_after: Option<f64>,
    },
    /// We ask too much in too short a time.
    #[error("rate limit reached: {message}")]
    RateLimited {
        /// The vendor's words.
        message: String,
        /// Seconds that the vendor asks to wait.
        retry_after: Option<f64>,
    },
    /// A fault on the vendor's side.
    #[error("model server failed: {message}")]
    Server {
        /// The vendor's words.
        message: String,
        /// Seconds that the vendor asks to wait.
        retry_after: Option<f64>,
    },
    /// Nothing came for too long.
    #[error("model server went silent: {message}")]
    Timeout {
        /// What was awaited.
        message: String,
    },
    /// The server could not be reached.
    #[error("cannot reach model server: {message}")]
    Connect {
        /// The system's words.
        message: String,
    },
    /// The reply broke off before its end.
    #[error("reply was cut off: {message}")]
    Cut {
        /// Where it broke off.
        message: String,
    },
    /// Credit or a spending limit is used up; waiting a little does not help.
    #[error("quota or credit used up: {message}")]
    Quota {
        /// The vendor's words.
        message: String,
    },
    /// The key is missing, wrong, or may not do this.
    #[error("key refused: {message}")]
    KeyRefused {
        /// The vendor's words.
        message: String,
    },
    /// The conversation does not fit; it must be compacted.
    #[error("conversation too long for the model: {message}")]
    ContextTooLong {
        /// The vendor's words.
        message: String,
    },
    /// The server does not take back what it said before, and never will.
    #[error("the conversation's history was refused: {message}")]
    HistoryRefused {
        /// The vendor's words.
        message: String,
    },
    /// The request is wrong and will stay so.
    #[error("request refused: {message}")]
    BadRequest {
        /// The vendor's words.
        message: String,
    },
    /// The server said something that is not its protocol.
    #[error("unintelligible reply: {message}")]
    Malformed {
        /// What was not understood.
        message: String,
    },
}

impl ProviderError {
    /// Whether the same request may succeed when it is made again after a while.
    #[must_use]
    pub fn transient(&self) -> bool {
        matches!(
            self,
            Self::Overloaded { .. }
                | Self::RateLimited { .. }
                | Self::Server { .. }
                | Self::Timeout { .. }
                | Self::Connect { .. }
                | Self::Cut { .. }
        )
    }

    /// Seconds that the vendor asks to wait before the next try.
    #[must_use]
    pub fn retry_after(&self) -> Option<f64> {
        match self {
            Self::Overloaded { retry_after, .. }
            | Self::RateLimited { retry_after, .. }
            | Self::Server { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// One word for logs and events.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Overloaded { .. } => "overloaded",
            Self::RateLimited { .. } => "rate_limited",
            Self::Server { .. } => "server",
            Self::Timeout { .. } => "timeout",
            Self::Connect { .. } => "connect",
            Self::Cut { .. } => "cut",
            Self::Quota { .. } => "quota",
            Self::KeyRefused { .. } => "key_refused",
            Self::ContextTooLong { .. } => "context_too_long",
            Self::HistoryRefused { .. } => "history_refused",
            Self::BadRequest { .. } => "bad_request",
            Self::Malformed { .. } => "malformed",
        }
    }

    pub(super) fn malformed(what: &str, data: &str) -> Self {
        Self::Malformed {
            message: plain(&format!("{what} in {data}")),
        }
    }
}

/// A vendor's complaint, before it is known what it means.
#[derive(Debug, Default)]
pub(super) struct Complaint {
    /// The HTTP status; none in mid-stream.
    pub(super) status: Option<u16>,
    /// What the headers ask to wait.
    pub(super) wait: Option<f64>,
    /// The vendor's word on trying again, where it gives one.
    pub(super) should_retry: Option<bool>,
    /// In the vendor's words, made harmless for a terminal.
    pub(super) message: String,
}

impl Complaint {
    /// Of an HTTP answer.
    pub(super) fn answered(status: u16, headers: &[(String, String)], message: &str) -> Self {
        let should_retry = match header(headers, "x-should-retry") {
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => None,
        };
        Self {
            status: Some(status),
            wait: wait(headers),
            should_retry,
            message: plain(&format!("{message} (HTTP {status})")),
        }
    }

    /// Of an event in mid-stream.
    pub(super) fn streamed(message: &str) -> Self {
        Self {
            message: plain(message),
            ..Self::default()
        }
    }

    /// The meaning of the bare status, for bodies that say nothing that we know.
    pub(super) fn by_status(self) -> ProviderError {
        let Self {
            status,
            wait: retry_after,
            should_retry,
            message,
        } = self;
        match status.unwrap_or(500) {
            401 | 403 => ProviderError::KeyRefused { message },
            402 => ProviderError::Quota { message },
            413 => ProviderError::ContextTooLong { message },
            429 if should_retry == Some(false) => ProviderError::Quota { message },
            429 => ProviderError::RateLimited {
                message,
                retry_after,
            },
            503 | 529 => ProviderError::Overloaded {
                message,
                retry_after,
            },
            408 | 409 | 500.. => ProviderError::Server {
                message,
                retry_after,
            },
            _ if should_retry == Some(true) => ProviderError::Server {
                message,
                retry_after,
            },
            _ => ProviderError::BadRequest { message },
        }
    }
}

/// The words of a body that is not the vendor's JSON: what a proxy said, or nothing.
pub(super) fn words_of(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    if text.is_empty() {
        "no explanation".to_owned()
    } else {
        text.to_owned()
    }
}

/// One line without control characters, of bounded length.
pub(super) fn plain(text: &str) -> String {
    let mut out = String::new();
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    for word in words.filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    match out.char_indices().nth(MESSAGE_CHARS) {
        Some((cut, _)) => format!("{}…", &out[..cut]),
        None => out,
    }
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.trim())
}

/// Seconds that headers ask to wait. A date counts from the answer's own `date`, so that no clock of
/// ours is involved.
fn wait(headers: &[(String, String)]) -> Option<f64> {
    let number = |text: &str| {
        text.parse::<f64>()
            .ok()
            .filter(|n| n.is_finite() && *n >= 0.0)
    };
    if let Some(millis) = header(headers, "retry-after-ms").and_then(number) {
        return Some(millis / 1e3);
    }
    let value = header(headers, "retry-after")?;
    number(value).or_else(|| {
        let then = date(value)?;
        let now = date(header(headers, "date")?)?;
        Some((then.as_second() - now.as_second()).max(0) as f64)
    })
}

fn date(text: &str) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

/// The wait in "… Please try again in 1m2.5s.", as OpenAI words it.
pub(super) fn spoken_wait(message: &str) -> Option<f64> {
    const LEAD: &str = "try again in ";
    let lower = message.to_ascii_lowercase();
    let mut rest = &lower[lower.find(LEAD)? + LEAD.len()..];
    let mut seconds = None;
    loop {
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let Ok(count) = rest[..end].parse::<f64>() else {
            return seconds;
        };
        rest = rest[end..].trim_start();
        let end = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ms" | "milliseconds" => 1e-3,
            "s" | "sec" | "second" | "seconds" => 1.0,
            "m" | "min" | "minute" | "minutes" => 60.0,
            "h" | "hour" | "hours" => 3_600.0,
            "d" | "day" | "days" => 86_400.0,
            _ => return seconds,
        };
        seconds = Some(seconds.unwrap_or(0.0) + count * unit);
        rest = rest[end..].trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn waits_are_read_from_headers() {
        const NOW: (&str, &str) = ("date", "Mon, 23 Nov 2026 15:41:37 GMT");
        let dated = ("retry-after", "Mon, 23 Nov 2026 15:42:07 GMT");
        let past = ("retry-after", "Mon, 23 Nov 2026 15:40:00 GMT");
        for (given, want) in [
            (
                vec![("retry-after", "3"), ("retry-after-ms", "2500")],
                Some(2.5),
            ),
            (vec![("retry-after", " 1.5 ")], Some(1.5)),
            (vec![dated, NOW], Some(30.0)),
            (vec![past, NOW], Some(0.0)),
            (vec![dated], None),
            (vec![("retry-after", "-4")], None),
            (vec![("retry-after", "inf")], None),
            (vec![("retry-after", "soon")], None),
            (vec![], None),
        ] {
            assert_eq!(wait(&headers(&given)), want, "{given:?}");
        }
    }

    #[test]
    fn waits_are_read_from_prose() {
        for (text, want) in [
            ("Please try again in 1.3s. Visit …", Some(1.3)),
            ("please Try again in 250ms", Some(0.25)),
            ("try again in 6m0s.", Some(360.0)),
            ("try again in 1h2m3.5s", Some(3_723.5)),
            ("try again in 20 seconds", Some(20.0)),
            ("try again in a while", None),
            ("try again later", None),
            ("try again in 1.2.3s", None),
        ] {
            assert_eq!(spoken_wait(text), want, "{text}");
        }
    }

    #[test]
    fn a_message_cannot_control_a_terminal_or_fill_it() {
        assert_eq!(plain("a\u{1b}[2J\n\tb\u{7f}"), "a [2J b");
        assert_eq!(plain(&"é".repeat(5_000)).chars().count(), MESSAGE_CHARS + 1);
    }
}
