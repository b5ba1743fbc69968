//! Replacing one passage of a file.
//!
//! Owns the rule that a passage must be named so that it can be only one, and the help for who missed
//! it. Must not know how paths are kept inside.

use serde_json::Value;

use crate::domain::event::Class;
use crate::domain::state::OpenCall;
use crate::domain::texts::{Key, Texts};

use super::arguments::{Argument, Shape};
use super::diff;
use super::files::{self, FILE_BYTES, PATH_BYTES};
use super::place::{FileError, Spot};
use super::{Acting, Desk, Outcome, Tool, aside, bad_arguments, broken, clip, one_line, sha256};

/// Longest passage: longer ones are a file.
const PASSAGE_BYTES: usize = 1 << 20;
/// Places named where there are too many.
const PLACES: usize = 8;
/// Lines looked at for the nearest one, and how long: what is nearest is a help, not worth seconds.
const NEAR_LINES: usize = 20_000;
const NEAR_WIDTH: usize = 200;
/// Similarity below which the nearest line is no help.
const NEAR: f64 = 0.5;
/// Places tried when a repeat asks whether it was done.
const UNDONE_TRIES: usize = 1000;

/// The tool `edit`.
#[derive(Debug)]
pub(super) struct Edit;

impl Tool for Edit {
    fn name(&self) -> &'static str {
        "edit"
    }

    fn arguments(&self) -> &'static [Argument] {
        const {
            &[
                Argument::needed("path", Shape::Text(PATH_BYTES)),
                Argument::needed("old", Shape::Text(PASSAGE_BYTES)),
                Argument::needed("new", Shape::Text(PASSAGE_BYTES)),
            ]
        }
    }

    fn class(&self) -> Class {
        Class::Keyed
    }

    fn brief(&self, args: &Value) -> String {
        let text = |name: &str| clip(args[name].as_str().unwrap_or(""), 30);
        one_line(&format!(
            "{}: {} → {}",
            args["path"].as_str().unwrap_or(""),
            text("old"),
            text("new")
        ))
    }

    fn pre(&self, desk: &Desk, args: &Value) -> Option<String> {
        files::pre(desk, args)
    }

    fn run<'a>(&'a self, desk: &'a Desk, _call: &'a str, args: &'a Value) -> Acting<'a> {
        Box::pin(async move {
            let args = match desk.arguments(self, args) {
                Ok(args) => args,
                Err(outcome) => return outcome,
            };
            let (old, new) = (args.needed("old").to_owned(), args.needed("new").to_owned());
            if old.is_empty() {
                return bad_arguments(&desk.texts, self.name(), "`old` is empty");
            }
            if old == new {
                return bad_arguments(&desk.texts, self.name(), "`old` and `new` are the same");
            }
            let spot = Spot::find(desk, args.needed("path"), false).and_then(Spot::writable);
            let texts = desk.texts.clone();
            aside(move || {
                spot.and_then(|spot| replace(&texts, &spot, &old, &new))
                    .unwrap_or_else(|error| broken(&error))
            })
            .await
        })
    }

    fn recover<'a>(&'a self, desk: &'a Desk, open: &'a OpenCall, args: &'a Value) -> Acting<'a> {
        Box::pin(async move {
            if files::pre(desk, args) == open.pre {
                return self.run(desk, &open.key(), args).await;
            }
            let text = |name: &str| args[name].as_str().unwrap_or("").to_owned();
            let (path, old, new) = (text("path"), text("old"), text("new"));
            let spot = Spot::find(desk, &path, false).and_then(Spot::writable);
            let pre = open.pre.clone().unwrap_or_default();
            let done = aside(move || {
                let spot = spot.ok()?;
                let now = read(&spot).ok()?;
                let (at, before) = undone(&now, &old, &new, &pre)?;
                Some(diff::hunk(&spot.shown(), &before, at, &old, &new))
            });
            match done.await {
                Some(hunk) => Outcome::done(hunk),
                None => desk.unknown_outcome(self.name(), ""),
            }
        })
    }
}

fn read(spot: &Spot) -> Result<String, FileError> {
    String::from_utf8(spot.read(FILE_BYTES)?).map_err(|_| FileError::Binary(spot.shown()))
}

fn replace(texts: &Texts, spot: &Spot, old: &str, new: &str) -> Result<Outcome, FileError> {
    let text = read(spot)?;
    let path = spot.shown();
    let places = occurrences(&text, old);
    match places.as_slice() {
        [] => {
            let closest = closest(&text, old);
            let values = [("path", path.as_str()), ("closest", &closest)];
            Ok(Outcome::failed(texts.get(Key::EditNone).render(&values)))
        }
        [at] => {
            let now = format!("{}{new}{}", &text[..*at], &text[at + old.len()..]);
            spot.write(now.as_bytes())?;
            Ok(Outcome::done(diff::hunk(&path, &text, *at, old, new)))
        }
        many => {
            let lines: Vec<String> = many
                .iter()
                .take(PLACES)
                .map(|at| (text[..*at].matches('\n').count() + 1).to_string())
                .collect();
            let (count, mut lines) = (many.len().to_string(), lines.join(", "));
            if many.len() > PLACES {
                lines.push_str(", …");
            }
            let values = [
                ("path", path.as_str()),
                ("count", &count),
                ("lines", &lines),
            ];
            Ok(Outcome::failed(texts.get(Key::EditMany).render(&values)))
        }
    }
}

/// Where a passage begins, overlapping ones included: two that overlap are two.
fn occurrences(text: &str, old: &str) -> Vec<usize> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find(old) {
        found.push(from + at);
        let first = old.chars().next().map_or(1, char::len_utf8);
        from += at + first;
    }
    found
}

/// The line that looks most like the first line of a passage.
fn closest(text: &str, old: &str) -> String {
    let wanted = old.lines().map(str::trim).find(|line| !line.is_empty());
    let Some(wanted) = wanted else {
        return String::new();
    };
    let wanted: String = wanted.chars().take(NEAR_WIDTH).collect();
    let score = |line: &str| {
        let line: String = line.trim().chars().take(NEAR_WIDTH).collect();
        strsim::normalized_levenshtein(&wanted, &line)
    };
    let mut best: Option<(f64, usize, &str)> = None;
    for (number, line) in text.lines().enumerate().take(NEAR_LINES) {
        let score = score(line);
        if score >= NEAR && best.is_none_or(|(top, ..)| score > top) {
            best = Some((score, number + 1, line));
        }
    }
    best.map_or_else(String::new, |(_, number, line)| {
        let line: String = line.chars().take(NEAR_WIDTH).collect();
        format!("Closest is line {number}:\n{line}")
    })
}

/// Where in `now` the passage was replaced, if taking it back gives the file that was there before.
fn undone(now: &str, old: &str, new: &str, pre: &str) -> Option<(usize, String)> {
    let places: Vec<usize> = if new.is_empty() {
        now.char_indices()
            .map(|(at, _)| at)
            .chain([now.len()])
            .collect()
    } else {
        occurrences(now, new)
    };
    places.into_iter().take(UNDONE_TRIES).find_map(|at| {
        let before = format!("{}{old}{}", &now[..at], &now[at + new.len()..]);
        (sha256(before.as_bytes()) == pre).then_some((at, before))
    })
}
