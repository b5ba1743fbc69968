//! The text being decoded, with all that was found wrong in it so far.
//!
//! Owns the collecting of problems and warnings, the places of keys, and the rule which follow-up
//! problems are noise. Must not know what any key means.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use super::Context;
use super::extends::Sources;
use crate::domain::problem::{Problem, line_column};
use crate::domain::suggest::clipped;

/// Problems and warnings reported of one text, each; a file with more of them is not a chart, and
/// each costs a walk over the text to its line.
pub(super) const PROBLEMS_MAX: usize = 500;

/// Where keys stand in a text, and which of them could not be read.
#[derive(Debug, Clone, Default)]
pub struct Spans {
    sources: Sources,
    places: BTreeMap<String, usize>,
    broken: BTreeSet<String>,
    pub(super) agents: Vec<usize>,
}

impl Spans {
    /// Line and column of a key's value; of the nearest table around it where it is not there.
    #[must_use]
    pub fn place(&self, path: &str) -> (usize, usize) {
        let (_, line, column) = located(&self.sources, self.offset(path));
        (line, column)
    }

    /// Whether a chart gives this key.
    #[must_use]
    pub fn given(&self, path: &str) -> bool {
        self.places.contains_key(path)
    }

    /// Whether this key could be read, and all tables around it, so that judging it is not noise.
    #[must_use]
    pub fn sound(&self, path: &str) -> bool {
        !upwards(path).any(|above| self.broken.contains(above))
    }

    /// The path of the table that an expanded agent came from.
    #[must_use]
    pub fn agent(&self, index: usize) -> String {
        format!("agents[{}]", self.agents.get(index).unwrap_or(&index))
    }

    /// The same as a place in the text.
    pub(in crate::domain) fn offset(&self, path: &str) -> usize {
        upwards(path)
            .find_map(|above| self.places.get(above))
            .copied()
            .unwrap_or(0)
    }

    /// A pile in the order of this text.
    pub(in crate::domain) fn sorted(&self, pile: Pile) -> Vec<Problem> {
        pile.sorted(&self.sources)
    }
}

/// The path itself and what is around it: `agents[2].model`, `agents[2]`, `agents`.
fn upwards(path: &str) -> impl Iterator<Item = &str> {
    let (mut quote, mut escaped) = (false, false);
    let mut ends = vec![path.len()];
    for (at, character) in path.char_indices() {
        let skip = escaped;
        escaped = quote && !skip && character == '\\';
        match character {
            _ if skip => {}
            '"' => quote = !quote,
            '.' | '[' if !quote => ends.push(at),
            _ => {}
        }
    }
    ends.sort_unstable();
    ends.into_iter().rev().map(move |end| &path[..end])
}

/// A problem whose line is not counted yet.
struct Found {
    offset: usize,
    path: String,
    message: String,
    hint: String,
}

/// Problems on the way to being told: cut in length and number.
#[derive(Default)]
pub(in crate::domain) struct Pile {
    found: Vec<Found>,
    unsaid: usize,
}

impl Pile {
    /// One more, at a place in the text.
    pub(in crate::domain) fn add(&mut self, offset: usize, path: &str, message: &str, hint: &str) {
        if self.found.len() < PROBLEMS_MAX {
            let (path, message, hint) = (clipped(path), clipped(message), clipped(hint));
            self.found.push(Found {
                offset,
                path,
                message,
                hint,
            });
        } else {
            self.unsaid += 1;
        }
    }

    /// Whether nothing was found.
    pub(in crate::domain) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    fn sorted(mut self, sources: &Sources) -> Vec<Problem> {
        self.found.sort_by_key(|found| found.offset);
        let mut problems: Vec<Problem> = self
            .found
            .into_iter()
            .map(|found| {
                let (file, line, column) = located(sources, found.offset);
                let Found {
                    path,
                    message,
                    hint,
                    ..
                } = found;
                Problem {
                    file,
                    line,
                    column,
                    path,
                    message,
                    hint,
                }
            })
            .collect();
        if let (Some(last), true) = (problems.last(), self.unsaid > 0) {
            problems.push(Problem {
                file: last.file.clone(),
                line: last.line,
                column: last.column,
                path: String::new(),
                message: format!("{} more problems are not shown", self.unsaid),
                hint: "mend the ones above and check again".to_owned(),
            });
        }
        problems
    }
}

/// The text and what was found in it.
pub(super) struct Sheet<'t> {
    pub(super) text: &'t str,
    pub(super) context: &'t Context<'t>,
    problems: Pile,
    warnings: Pile,
    spans: Spans,
    /// Lines that do not parse, from where to where; what is read from them is guesswork.
    torn: BTreeMap<usize, usize>,
    /// Keys that the decoder looked for, by section.
    pub(super) asked: BTreeSet<(&'static str, &'static str)>,
}

impl<'t> Sheet<'t> {
    pub(super) fn new(text: &'t str, sources: Sources, context: &'t Context<'t>) -> Self {
        Self {
            text,
            context,
            problems: Pile::default(),
            warnings: Pile::default(),
            spans: Spans {
                sources,
                ..Spans::default()
            },
            torn: BTreeMap::new(),
            asked: BTreeSet::new(),
        }
    }

    /// What does not parse.
    pub(super) fn tear(&mut self, at: usize, message: String, hint: String) {
        // The parser goes on after an error and trips again over the same line: one is enough.
        if self.is_torn(at) {
            return;
        }
        let line = line_around(self.text, at);
        self.torn.insert(line.start, line.end);
        self.problems.add(at, "", &message, &hint);
    }

    fn is_torn(&self, at: usize) -> bool {
        self.torn
            .range(..=at)
            .next_back()
            .is_some_and(|(_, end)| at < *end)
    }

    /// Whether everything parsed.
    pub(super) fn whole(&self) -> bool {
        self.torn.is_empty()
    }

    /// What is wrong at a key.
    pub(super) fn problem(&mut self, path: &str, at: usize, message: String, hint: String) {
        self.spans.broken.insert(path.to_owned());
        if !self.is_torn(at) {
            self.problems.add(at, path, &message, &hint);
        }
    }

    /// What is not there; not said where something did not parse, since it may be just that.
    pub(super) fn missing(&mut self, path: &str, at: usize, hint: String) {
        self.spans.broken.insert(path.to_owned());
        if self.whole() {
            let message = format!("{path} is missing");
            self.problems.add(at, path, &message, &hint);
        }
    }

    /// What is accepted and yet worth a word.
    pub(super) fn warn(&mut self, path: &str, at: usize, message: String, hint: String) {
        self.warnings.add(at, path, &message, &hint);
    }

    /// What this version takes and does nothing with.
    pub(super) fn idle(&mut self, path: &str, at: usize) {
        let message = format!("{path} is accepted, and not acted on by this version");
        self.warn(
            path,
            at,
            message,
            "leave it, or take it out: nothing changes".to_owned(),
        );
    }

    /// The directory to which a path at this place is relative: that of its own file.
    pub(super) fn base_of(&self, at: usize) -> &Path {
        let found = self.spans.sources.find(at);
        found.map_or(self.context.base, |(source, _)| &source.base)
    }

    pub(super) fn remember(&mut self, path: &str, at: usize) {
        self.spans.places.insert(path.to_owned(), at);
    }

    pub(super) fn given(&self, path: &str) -> bool {
        self.spans.given(path)
    }

    pub(super) fn agent_from(&mut self, table: usize) {
        self.spans.agents.push(table);
    }

    pub(super) fn finish(self) -> (Vec<Problem>, Vec<Problem>, Spans) {
        (
            self.problems.sorted(&self.spans.sources),
            self.warnings.sorted(&self.spans.sources),
            self.spans,
        )
    }
}

/// The file, where it is another than the chart itself, and line and column there.
fn located(sources: &Sources, offset: usize) -> (Option<String>, usize, usize) {
    let Some((source, at)) = sources.find(offset) else {
        return (None, 1, 1);
    };
    let (line, column) = line_column(&source.text, at);
    let other = !source.path.as_os_str().is_empty();
    let file = other.then(|| source.path.display().to_string());
    (file, line, column)
}

fn line_around(text: &str, at: usize) -> Range<usize> {
    let bytes = &text.as_bytes()[..at.min(text.len())];
    let start = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |before| before + 1);
    let rest = &text.as_bytes()[start..];
    let end = rest
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or(text.len() + 1, |end| start + end + 1);
    start..end
}

#[cfg(test)]
mod tests {
    use super::{line_around, upwards};

    #[test]
    fn paths_upwards() {
        let odd = "a.\"b\\\".[c\".d";
        assert_eq!(
            upwards(odd).collect::<Vec<_>>(),
            [odd, "a.\"b\\\".[c\"", "a"]
        );
        let above: Vec<&str> = upwards("models.\"gpt-6.2\".price").collect();
        assert_eq!(
            above,
            ["models.\"gpt-6.2\".price", "models.\"gpt-6.2\"", "models"]
        );
        assert_eq!(
            upwards("agents[2].model").collect::<Vec<_>>(),
            ["agents[2].model", "agents[2]", "agents"]
        );
    }

    #[test]
    fn lines() {
        assert_eq!(line_around("ab\ncd\n", 1), 0..3);
        assert_eq!(line_around("ab\ncd\n", 3), 3..6);
        assert_eq!(line_around("ab\ncd", 5), 3..6);
        assert_eq!(line_around("", 0), 0..1);
    }
}
