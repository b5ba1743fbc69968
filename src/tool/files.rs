//! Reading and writing whole files of the worktree.
//!
//! Owns what of a long file is shown and how a written file is described. Must not know how paths are
//! kept inside: that is `place`'s.

use serde_json::Value;

use crate::domain::event::Class;
use crate::domain::state::OpenCall;

use super::arguments::{Argument, Shape};
use super::place::{FileError, Spot};
use super::{Acting, Desk, Outcome, Tool, aside, broken, one_line, sha256};

/// Longest path, in bytes: the kernel's own limit.
pub(super) const PATH_BYTES: usize = 4096;
/// Longest file that is taken into memory: source files are a hundredth of it, and what is longer is
/// data, which a shell command reads better.
pub(super) const FILE_BYTES: u64 = 8 << 20;
/// Most of a file that one call shows: about 12,000 tokens.
const SHOWN_BYTES: usize = 48 * 1024;
/// Most lines of a file that one call may ask for; beyond it [`SHOWN_BYTES`] decides anyway.
const SHOWN_LINES: u64 = 1 << 20;
/// Longest content of `write`: no model writes this much in one reply.
const WRITE_BYTES: usize = 4 << 20;
/// Where a file is looked at for a zero byte, which no text has.
const SNIFFED: usize = 8 * 1024;

/// The tool `read`.
#[derive(Debug)]
pub(super) struct Read;

impl Tool for Read {
    fn name(&self) -> &'static str {
        "read"
    }

    fn arguments(&self) -> &'static [Argument] {
        const {
            &[
                Argument::needed("path", Shape::Text(PATH_BYTES)),
                Argument::optional("offset", Shape::Count(1, u64::MAX)),
                Argument::optional("limit", Shape::Count(1, SHOWN_LINES)),
            ]
        }
    }

    fn class(&self) -> Class {
        Class::Read
    }

    fn brief(&self, args: &Value) -> String {
        let line = args["offset"].as_u64();
        let line = line.map_or_else(String::new, |line| format!(" from line {line}"));
        one_line(&format!("{}{line}", args["path"].as_str().unwrap_or("")))
    }

    fn run<'a>(&'a self, desk: &'a Desk, _call: &'a str, args: &'a Value) -> Acting<'a> {
        Box::pin(async move {
            let args = match desk.arguments(self, args) {
                Ok(args) => args,
                Err(outcome) => return outcome,
            };
            let (offset, limit) = (args.count("offset").unwrap_or(1), args.count("limit"));
            let spot = Spot::find(desk, args.needed("path"), true);
            let read = aside(move || {
                let spot = spot?;
                Ok::<_, FileError>((text(&spot)?, spot.shown()))
            });
            match read.await {
                Ok((text, path)) => show(&text, &path, offset, limit),
                Err(error) => broken(&error),
            }
        })
    }
}

/// The text of a file; bytes that are not UTF-8 are replaced.
pub(super) fn text(spot: &Spot) -> Result<String, FileError> {
    let bytes = spot.read(FILE_BYTES)?;
    if is_binary(&bytes) {
        return Err(FileError::Binary(spot.shown()));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether bytes have a zero where text would show one.
pub(super) fn is_binary(bytes: &[u8]) -> bool {
    bytes[..bytes.len().min(SNIFFED)].contains(&0)
}

/// Lines of a text, with a line before them that says so where they are not all.
fn show(text: &str, path: &str, offset: u64, limit: Option<u64>) -> Outcome {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let first = usize::try_from(offset - 1).unwrap_or(usize::MAX);
    if first >= lines.len() && first > 0 {
        return Outcome::failed(format!("{path} has {} lines", lines.len()));
    }
    let wanted = limit.map_or(usize::MAX, |it| usize::try_from(it).unwrap_or(usize::MAX));
    let mut shown = String::new();
    let mut last = first;
    for line in lines.iter().skip(first).take(wanted) {
        if shown.len() + line.len() > SHOWN_BYTES {
            break;
        }
        shown.push_str(line);
        last += 1;
    }
    if first == 0 && last == lines.len() {
        return Outcome::done(shown);
    }
    if last > first {
        let from = first + 1;
        return Outcome::done(format!("[lines {from}-{last} of {}]\n{shown}", lines.len()));
    }
    // A single line that is longer than all that is shown.
    let line = lines[first];
    let cut = line.floor_char_boundary(SHOWN_BYTES);
    Outcome::done(format!(
        "[line {} of {}, its first {cut} of {} bytes]\n{}",
        first + 1,
        lines.len(),
        line.len(),
        &line[..cut]
    ))
}

/// The tool `write`.
#[derive(Debug)]
pub(super) struct Write;

impl Tool for Write {
    fn name(&self) -> &'static str {
        "write"
    }

    fn arguments(&self) -> &'static [Argument] {
        const {
            &[
                Argument::needed("path", Shape::Text(PATH_BYTES)),
                Argument::needed("content", Shape::Text(WRITE_BYTES)),
            ]
        }
    }

    fn class(&self) -> Class {
        Class::Keyed
    }

    fn brief(&self, args: &Value) -> String {
        let lines = args["content"].as_str().unwrap_or("").lines().count();
        let path = args["path"].as_str().unwrap_or("");
        one_line(&format!("{path}, {lines} lines"))
    }

    fn pre(&self, desk: &Desk, args: &Value) -> Option<String> {
        pre(desk, args)
    }

    fn run<'a>(&'a self, desk: &'a Desk, _call: &'a str, args: &'a Value) -> Acting<'a> {
        Box::pin(async move {
            let args = match desk.arguments(self, args) {
                Ok(args) => args,
                Err(outcome) => return outcome,
            };
            let spot = Spot::find(desk, args.needed("path"), false).and_then(Spot::writable);
            let content = args.needed("content").to_owned();
            aside(move || match spot.and_then(|spot| put(&spot, &content)) {
                Ok(said) => Outcome::done(said),
                Err(error) => broken(&error),
            })
            .await
        })
    }

    fn recover<'a>(&'a self, desk: &'a Desk, open: &'a OpenCall, args: &'a Value) -> Acting<'a> {
        Box::pin(async move {
            let now = pre(desk, args);
            if now == open.pre {
                return self.run(desk, &open.key(), args).await;
            }
            let content = args["content"].as_str().unwrap_or("");
            if now == Some(sha256(content.as_bytes())) {
                let path = args["path"].as_str().unwrap_or("");
                return Outcome::done(written(&one_line(path), content, None));
            }
            desk.unknown_outcome(self.name(), "")
        })
    }
}

/// The hash of the file that a call names.
pub(super) fn pre(desk: &Desk, args: &Value) -> Option<String> {
    let spot = Spot::find(desk, args.get("path")?.as_str()?, false).ok()?;
    spot.hash().ok()
}

fn put(spot: &Spot, content: &str) -> Result<String, FileError> {
    let before = match spot.read(FILE_BYTES) {
        Ok(bytes) => Some(String::from_utf8_lossy(&bytes).lines().count()),
        Err(_) => None,
    };
    spot.write(content.as_bytes())?;
    Ok(written(&spot.shown(), content, before))
}

fn written(path: &str, content: &str, before: Option<usize>) -> String {
    let lines = content.lines().count();
    match before {
        Some(before) => format!("replaced {path}: {lines} lines, {before} before"),
        None => format!("wrote {path}: {lines} lines"),
    }
}
