//! The reading end of an agent's live stream.
//!
//! Owns what of a reply was shown as it came, so that the reply in the log adds only the rest. The
//! stream may be cut, begun anew or missing: the log makes up for it, and alone says which request is in
//! flight, so that a reply that is in the log is never told again from the stream.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use serde_json::Value;

use crate::pane::render::Show;

/// Longest first line of a stream, which names its request.
const HEAD_BYTES: usize = 64;

/// A stream, as far as it was read.
pub(super) struct LiveTail {
    path: PathBuf,
    offset: u64,
    request: u64,
    said: String,
    thought: String,
}

impl LiveTail {
    pub(super) fn at(path: PathBuf) -> Self {
        Self {
            path,
            offset: 0,
            request: 0,
            said: String::new(),
            thought: String::new(),
        }
    }

    /// What streamed in since last time for the request that the log says is in flight. The stream of
    /// any other is over, and stands in the log as far as it came to anything.
    pub(super) fn news(&mut self, in_flight: Option<u64>) -> Vec<Show> {
        let Some(request) = in_flight else {
            return Vec::new();
        };
        if self.request != request {
            self.request = request;
            self.offset = 0;
            self.said.clear();
            self.thought.clear();
        }
        let text = self.read().unwrap_or_default();
        let mut shows = Vec::new();
        for line in text.lines() {
            let Ok(value) = serde_json::from_str::<Value>(line) else {
                continue;
            };
            let piece = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
            if let Some(text) = piece("text") {
                self.said.push_str(&text);
                shows.push(Show::Said { text });
            } else if let Some(text) = piece("thinking") {
                self.thought.push_str(&text);
                shows.push(Show::Thought { text });
            }
        }
        shows
    }

    /// New whole lines of this request's stream.
    fn read(&mut self) -> io::Result<String> {
        let mut file = File::open(&self.path)?;
        if head(&mut file)? != Some(self.request) {
            return Ok(String::new());
        }
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        if head(&mut file)? != Some(self.request) {
            // Begun anew under our eyes: what was read may be of either.
            return Ok(String::new());
        }
        // An unfinished line is read again when it is whole.
        let whole = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        self.offset += whole as u64;
        Ok(String::from_utf8_lossy(&bytes[..whole]).into_owned())
    }

    /// What of a whole reply the stream has not shown.
    pub(super) fn rest(&mut self, request: u64, thinking: &str, text: &str) -> Vec<Show> {
        let (mut said, mut thought) = (String::new(), String::new());
        if self.request == request {
            said.clone_from(&self.said);
            thought.clone_from(&self.thought);
        }
        let left = |whole: &str, shown: &str| match whole.strip_prefix(shown) {
            Some(rest) => rest.to_owned(),
            None => whole.to_owned(),
        };
        let mut shows = Vec::new();
        let rest = left(thinking, &thought);
        if !rest.is_empty() {
            shows.push(Show::Thought { text: rest });
        }
        let rest = left(text, &said);
        if !rest.is_empty() {
            shows.push(Show::Said { text: rest });
        }
        shows
    }
}

/// The request whose stream a file holds now.
fn head(file: &mut File) -> io::Result<Option<u64>> {
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    file.take(HEAD_BYTES as u64).read_to_end(&mut bytes)?;
    let line = bytes
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let value = serde_json::from_slice::<Value>(line).unwrap_or_default();
    Ok(value.get("request").and_then(Value::as_u64))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn words(shows: &[Show]) -> String {
        let said = shows.iter().map(|show| match show {
            Show::Said { text } | Show::Thought { text } => text.as_str(),
            _ => "?",
        });
        said.collect()
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a stream in the making")]
    fn a_reply_is_told_once_whoever_comes_late_or_sleeps_through_it() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("ana");
        let write = |text: &str| fs::write(&path, text).unwrap();
        let mut tail = LiveTail::at(path.clone());
        assert!(tail.news(Some(1)).is_empty(), "nothing has come");
        write("{\"request\":1}\n{\"thinking\":\"hm\"}\n{\"text\":\"one \"}\n{\"text\":\"tw");
        assert_eq!(words(&tail.news(Some(1))), "hmone ");
        assert!(tail.news(Some(1)).is_empty());
        // The rest comes by the log, and its stream is no news after that.
        assert_eq!(words(&tail.rest(1, "hm", "one two")), "two");
        write("{\"request\":1}\n{\"thinking\":\"hm\"}\n{\"text\":\"one \"}\n{\"text\":\"two\"}\n");
        assert!(tail.news(None).is_empty());
        // Whoever comes after a reply has it from the log alone.
        let mut late = LiveTail::at(path.clone());
        assert_eq!(words(&late.rest(1, "hm", "one two")), "hmone two");
        assert!(late.news(None).is_empty() && late.news(Some(2)).is_empty());
        // A longer stream of the next request is read from its beginning.
        let long = "three ".repeat(20);
        write(&format!("{{\"request\":2}}\n{{\"text\":\"{long}\"}}\n"));
        assert_eq!(words(&tail.news(Some(2))), long);
        assert_eq!(words(&late.news(Some(2))), long);
        // A request that is over leaves nothing to the next one that says the same.
        assert_eq!(words(&tail.rest(3, "", &long)), long);
    }
}
