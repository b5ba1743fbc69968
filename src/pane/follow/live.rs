//! The reading end of an agent's live stream.
//!
//! Owns what of a reply was shown as it came, so that the reply in the log adds only the rest. The
//! stream may be cut, begun anew or missing: the log makes up for it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use crate::pane::render::Show;

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

    /// What streamed in since last time. A stream that was begun anew is shorter than what was read.
    pub(super) fn news(&mut self) -> Vec<Show> {
        let text = self.read().unwrap_or_default();
        let mut shows = Vec::new();
        for line in text.lines() {
            let Ok(value) = serde_json::from_str::<serde_json::Value>(line) else {
                continue;
            };
            let piece = |key: &str| value.get(key).and_then(|v| v.as_str()).map(str::to_owned);
            if let Some(request) = value.get("request").and_then(serde_json::Value::as_u64) {
                self.request = request;
                self.said.clear();
                self.thought.clear();
            } else if let Some(text) = piece("text") {
                self.said.push_str(&text);
                shows.push(Show::Said { text });
            } else if let Some(text) = piece("thinking") {
                self.thought.push_str(&text);
                shows.push(Show::Thought { text });
            }
        }
        shows
    }

    fn read(&mut self) -> io::Result<String> {
        let mut file = File::open(&self.path)?;
        if file.metadata()?.len() < self.offset {
            self.offset = 0;
        }
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
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
