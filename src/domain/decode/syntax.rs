//! What is not TOML: the parser's words, with the offending text and what to write instead.
//!
//! Owns the hints. Must not know charts.

use super::sheet::Sheet;
use crate::domain::suggest::quoted;

/// Hints by what the parser's message mentions; the first that fits is given.
const HINTS: [(&str, &str); 16] = [
    (
        "duplicate key",
        "give each key once; for several tables of one kind write [[name]] above each",
    ),
    ("recurs", "no chart is nested this deep: close what is open"),
    (
        "escape",
        "in double quotes a backslash is written twice; write patterns in single quotes",
    ),
    (
        "unquoted key",
        "a key is made of a-z, 0-9, - and _; put others in quotes",
    ),
    ("must be quoted", "put text in quotes: key = \"text\""),
    (
        "string",
        "close the text with the quote it began with, on the same line",
    ),
    (
        "quote",
        "close the text with the quote it began with, on the same line",
    ),
    ("inline table", "write an inline table as { a = 1, b = 2 }"),
    ("array", "write a list as [\"a\", \"b\"], and close it"),
    (
        "table",
        "write a table's name as [name], or [[name]] for one of several",
    ),
    (
        "value",
        "write a value after the `=`: key = \"text\", key = 3 or key = true",
    ),
    ("key", "write one `key = value` a line"),
    ("date", "put times in quotes: \"10h\", \"1h30m\""),
    ("boolean", "write true or false, in small letters"),
    ("comment", "take control characters out of the comment"),
    (
        "number",
        "write numbers as 3, 0.5 or 1e-3, and put what has a unit in quotes: \"200G\"",
    ),
];

/// Reports every error of the parser.
pub(super) fn report(sheet: &mut Sheet<'_>, errors: &[toml::de::Error]) {
    for error in errors {
        let span = error.span().unwrap_or(sheet.text.len()..sheet.text.len());
        let message = error.message();
        let found = sheet
            .text
            .get(span.clone())
            .filter(|found| !found.trim().is_empty());
        let shown = found.map_or_else(|| rest_of_line(sheet.text, span.start), quoted);
        let hint = HINTS
            .iter()
            .find(|(word, _)| message.contains(word))
            .map_or(
                "write numbers as 3 or 0.5, text in quotes, and one `key = value` a line",
                |(_, hint)| hint,
            );
        sheet.tear(span.start, format!("{message}: {shown}"), hint.to_owned());
    }
}

/// What stands around a place where the parser names nothing.
fn rest_of_line(text: &str, at: usize) -> String {
    let at = (0..=at.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0);
    let start = text[..at].rfind('\n').map_or(0, |before| before + 1);
    let line = text[start..].lines().next().unwrap_or_default();
    if line.is_empty() {
        "at the end of the line".to_owned()
    } else {
        format!("in {}", quoted(line))
    }
}
