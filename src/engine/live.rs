//! The stream of a turn in flight, for people to watch: a small file that may be lost.
//!
//! One JSON object a line, rewritten from its beginning at every request. Never a source of truth;
//! a failure to write it is nobody's concern.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use crate::domain::chat::Delta;

/// Most bytes of one request's stream; a watcher has seen the rest in the log soon enough.
const LIVE_LIMIT: usize = 1 << 20;

/// The writing end.
#[derive(Debug)]
pub(super) struct Live {
    file: Option<File>,
    written: usize,
}

impl Live {
    /// Begins the stream of request `request` anew.
    #[must_use]
    pub(super) fn begin(path: &Path, request: u64) -> Self {
        let file = OpenOptions::new().create(true).append(true).open(path).ok();
        if let Some(file) = &file {
            file.set_len(0).ok();
        }
        let mut live = Self { file, written: 0 };
        live.line(&serde_json::json!({ "request": request }));
        live
    }

    /// Adds what streamed in.
    pub(super) fn push(&mut self, delta: &Delta) {
        let (key, text) = match delta {
            Delta::Text(text) => ("text", text),
            Delta::Thinking(text) => ("thinking", text),
            Delta::Call(name) => ("call", name),
            Delta::Arguments(text) => ("arguments", text),
        };
        self.line(&serde_json::json!({ key: text }));
    }

    fn line(&mut self, value: &serde_json::Value) {
        let Some(file) = &mut self.file else { return };
        let line = format!("{value}\n");
        self.written += line.len();
        if self.written <= LIVE_LIMIT {
            file.write_all(line.as_bytes()).ok();
        }
    }
}
