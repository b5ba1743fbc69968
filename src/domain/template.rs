//! The language of prompts: `{{ name }}` stands for a value, and nothing else is special.
//!
//! A name is letters, digits, `_` and `.`, with blanks around it if one likes, all on one line. A
//! literal `{{` is written `{{"{{"}}`; a single `{`, and `}}` outside a variable, are themselves.
//! There is no logic: what varies by more than a value is another prompt. A value is inserted as it
//! is and never read again, so that no agent's text can name a variable. Must not know files, nor
//! what any variable holds.

use std::collections::BTreeMap;

use thiserror::Error;

use super::problem::line_column;
use super::suggest::{meant, quoted};

/// What the prompt of a role may say.
pub const PROMPT_VARIABLES: &[&str] = &[
    "agent.name",
    "agent.role",
    "agent.gpu",
    "agent.model",
    "agent.branch",
    "agent.reports_to",
    "org.name",
    "mission",
    "team",
    "peers",
    "task.run",
    "task.metric",
    "task.goal",
    "task.editable",
    "task.protect",
    "task.seed",
    "task.timeout",
    "protocol.match",
    "protocol.tolerance",
    "protocol.alpha",
    "protocol.margin",
    "tools",
];

/// What the prompt of a process may say.
pub const PROCESS_VARIABLES: &[&str] = &[
    "process.name",
    "process.number",
    "process.due",
    "agent.name",
    "agent.role",
    "org.name",
    "mission",
    "team",
    "about",
    "absent",
    "standing",
    "best",
    "brief",
    "digest",
    "chart",
];

/// What the prompt of a process may say beside that, where it is about a claim.
pub const CLAIM_VARIABLES: &[&str] = &[
    "claim.id",
    "claim.title",
    "claim.author",
    "claim.kind",
    "claim.axis",
    "claim.mechanism",
    "claim.predicts",
    "claim.refuted_by",
    "evidence",
    "diff",
];

/// Longest text between the braces: what is longer is no name, and its end was forgotten.
const NAME_MAX: usize = 100;

/// What is wrong in a template.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}, column {column}: {message}")]
pub struct TemplateError {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong, with the offending text.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

enum Piece<'t> {
    Text(&'t str),
    Variable { name: &'t str, at: usize },
    Open { at: usize },
}

/// The text in pieces.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut from = 0;
    while let Some(found) = text[from..].find("{{") {
        let at = from + found;
        pieces.push(Piece::Text(&text[from..at]));
        let inner = &text[at + 2..];
        if let Some(rest) = inner.strip_prefix("\"{{\"}}") {
            pieces.push(Piece::Text("{{"));
            from = text.len() - rest.len();
            continue;
        }
        let line = inner.split('\n').next().unwrap_or_default();
        match line.find("}}").filter(|end| *end <= NAME_MAX) {
            Some(end) => {
                pieces.push(Piece::Variable {
                    name: inner[..end].trim(),
                    at,
                });
                from = at + 2 + end + 2;
            }
            None => {
                pieces.push(Piece::Open { at });
                from = at + 2;
            }
        }
    }
    pieces.push(Piece::Text(&text[from..]));
    pieces
}

fn unclosed(text: &str, at: usize) -> TemplateError {
    let (line, column) = line_column(text, at);
    let shown = quoted(text[at..].lines().next().unwrap_or_default());
    TemplateError {
        line,
        column,
        message: format!("{shown} is not closed on its line"),
        hint: "write {{ name }}, or {{\"{{\"}} for two braces themselves".to_owned(),
    }
}

fn unknown<'k>(
    text: &str,
    at: usize,
    name: &str,
    known: impl IntoIterator<Item = &'k str> + Clone,
) -> TemplateError {
    let (line, column) = line_column(text, at);
    TemplateError {
        line,
        column,
        message: format!("unknown variable {}", quoted(name)),
        hint: meant(name, known, "the variables are"),
    }
}

/// The variables that a template names, each with line and column.
#[must_use]
pub fn variables(text: &str) -> Vec<(String, usize, usize)> {
    let named = pieces(text).into_iter().filter_map(|piece| match piece {
        Piece::Variable { name, at } => {
            let (line, column) = line_column(text, at);
            Some((name.to_owned(), line, column))
        }
        Piece::Text(_) | Piece::Open { .. } => None,
    });
    named.collect()
}

/// Everything that is wrong in a template which may name these variables.
#[must_use]
pub fn flaws(text: &str, known: &[&str]) -> Vec<TemplateError> {
    let wrong = pieces(text).into_iter().filter_map(|piece| match piece {
        Piece::Variable { name, at } if !known.contains(&name) => {
            Some(unknown(text, at, name, known.iter().copied()))
        }
        Piece::Open { at } => Some(unclosed(text, at)),
        Piece::Text(_) | Piece::Variable { .. } => None,
    });
    wrong.collect()
}

/// The template with the values in it.
///
/// # Errors
/// Names the first variable without a value, or the first `{{` that is not closed.
pub fn render(text: &str, values: &BTreeMap<&str, String>) -> Result<String, TemplateError> {
    let mut rendered = String::with_capacity(text.len());
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) => rendered.push_str(text),
            Piece::Open { at } => return Err(unclosed(text, at)),
            Piece::Variable { name, at } => match values.get(name) {
                Some(value) => rendered.push_str(value),
                None => return Err(unknown(text, at, name, values.keys().copied())),
            },
        }
    }
    Ok(rendered)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::{PROMPT_VARIABLES, flaws, render, variables};

    fn values() -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("agent.name", "ana".to_owned()),
            ("mission", "{{ agent.name }}".to_owned()),
        ])
    }

    #[test]
    fn values_are_inserted_and_never_read_again() {
        let rendered = render(
            "I am {{agent.name}}: {{ mission }} {x} }} {{\"{{\"}} y }}",
            &values(),
        );
        assert_eq!(
            rendered.as_deref(),
            Ok("I am ana: {{ agent.name }} {x} }} {{ y }}")
        );
    }

    #[test]
    fn what_is_unknown_or_open_has_a_place_and_a_hint() {
        let error = render("a\nö {{ agent.nme }}", &values()).expect_err("unknown");
        assert_eq!((error.line, error.column), (2, 3));
        assert_eq!(error.message, "unknown variable \"agent.nme\"");
        assert_eq!(error.hint, "did you mean \"agent.name\"?");
        let all = flaws("{{ teem }}\n{{ open\n}} {{}}", PROMPT_VARIABLES);
        let places: Vec<_> = all.iter().map(|flaw| (flaw.line, flaw.column)).collect();
        assert_eq!(places, [(1, 1), (2, 1), (3, 4)]);
        assert!(
            all[1].message.contains("is not closed on its line"),
            "{}",
            all[1].message
        );
        assert!(all.iter().all(|flaw| !flaw.hint.is_empty()));
    }

    #[test]
    fn variables_with_places() {
        let found = variables("{{ team }} and\n  {{tools}}");
        assert_eq!(
            found,
            [("team".to_owned(), 1, 1), ("tools".to_owned(), 2, 3)]
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_text_panics_and_plain_text_is_kept(text in "[{}\"a-c \nö.]{0,40}") {
            let rendered = render(&text, &BTreeMap::new());
            prop_assert_eq!(rendered.is_ok(), flaws(&text, &[]).is_empty());
            if !text.contains("{{") {
                prop_assert_eq!(rendered, Ok(text));
            }
        }
    }
}
