//! Judgement of a chart as a whole: whether what it names exists, and whether its keys agree.
//!
//! Owns the one entry through which a chart is judged, `check_all`, and the order of what is said.
//! What stands beside the chart comes in as facts, so that nothing here reads a file; repository,
//! data, keys and GPUs are judged elsewhere, by asking the machine. Must not know how problems are
//! shown.

mod files;
mod org;
mod processes;
mod rules;
mod search;

#[cfg(test)]
mod tests;

use std::path::Path;

use super::chart::Chart;
use super::decode::{self, Context, Pile, Spans};
use super::problem::Problem;

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileFact {
    /// Nothing.
    Missing,
    /// A directory.
    Dir,
    /// A file: its text, or why it could not be read.
    File(Result<String, String>),
}

/// What a chart is judged against.
#[derive(Clone, Copy)]
pub struct Beside<'a> {
    /// What is at a path.
    pub facts: &'a dyn Fn(&Path) -> FileFact,
    /// What is wrong in a scenario's text.
    pub scenario_problems: &'a dyn Fn(&str) -> Vec<Problem>,
}

/// A chart's judgement.
#[derive(Debug, Clone)]
pub struct Report {
    /// The chart, where nothing is wrong.
    pub chart: Option<Chart>,
    /// What is wrong, by position.
    pub problems: Vec<Problem>,
    /// What is accepted and worth a word, by position.
    pub warnings: Vec<Problem>,
}

/// Decodes and judges a chart: everything that is wrong, at once.
#[must_use]
pub fn check_all(bytes: &[u8], context: &Context<'_>, beside: &Beside<'_>) -> Report {
    let read = |path: &Path| match (beside.facts)(path) {
        FileFact::File(Ok(text)) => Ok(text),
        FileFact::File(Err(why)) => Err(format!("could not be read: {why}")),
        FileFact::Dir => Err("is a directory".to_owned()),
        FileFact::Missing => Err(format!("is not there: {}", path.display())),
    };
    let decoded = decode::decode_extending(bytes, context, Some(&read));
    let (mut problems, mut warnings) = (decoded.problems, decoded.warnings);
    if let Some(draft) = &decoded.draft {
        let (more, words) = check(draft, &decoded.spans, context.known_models, beside);
        problems.extend(more);
        warnings.extend(words);
    }
    for list in [&mut problems, &mut warnings] {
        list.sort_by_key(|problem| (problem.file.clone(), problem.line, problem.column));
    }
    let chart = decoded.draft.filter(|_| problems.is_empty());
    Report {
        chart,
        problems,
        warnings,
    }
}

/// Judges a decoded chart; what could not be read is passed over. Problems, then warnings.
#[must_use]
pub fn check(
    chart: &Chart,
    spans: &Spans,
    known_models: &[(&str, &str)],
    beside: &Beside<'_>,
) -> (Vec<Problem>, Vec<Problem>) {
    let mut judge = Judge {
        chart,
        spans,
        known_models,
        problems: Pile::default(),
        warnings: Pile::default(),
    };
    rules::judge(&mut judge);
    org::judge(&mut judge);
    processes::judge(&mut judge);
    search::judge(&mut judge);
    files::judge(&mut judge, beside);
    (spans.sorted(judge.problems), spans.sorted(judge.warnings))
}

/// The chart, and what was said of it so far.
struct Judge<'a> {
    chart: &'a Chart,
    spans: &'a Spans,
    known_models: &'a [(&'a str, &'a str)],
    problems: Pile,
    warnings: Pile,
}

impl Judge<'_> {
    /// Something is wrong at a key; not said where the key could not be read in the first place.
    fn problem(&mut self, path: &str, message: String, hint: impl AsRef<str>) {
        if self.spans.sound(path) {
            self.problems
                .add(self.spans.offset(path), path, &message, hint.as_ref());
        }
    }

    fn warn(&mut self, path: &str, message: String, hint: impl AsRef<str>) {
        if self.spans.sound(path) {
            self.warnings
                .add(self.spans.offset(path), path, &message, hint.as_ref());
        }
    }
}
