//! What is wrong in a text that a person wrote, with its place and what to write instead.
//!
//! Owns the shape in which charts, prompts and scenarios are judged; every judge hands back a list
//! of these. Must not know what is judged, nor how a terminal shows it.

use serde::Serialize;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The file, where it is another than the chart that was asked about: one that it extends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The dotted path of the key, as `agents[2].model`; empty where there is none.
    pub path: String,
    /// What is wrong, with the offending text.
    pub message: String,
    /// What to write instead; never empty.
    pub hint: String,
}

/// Line and column, in characters and from 1, of a byte offset; one past the end is allowed.
#[must_use]
pub fn line_column(text: &str, offset: usize) -> (usize, usize) {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    (
        before.matches('\n').count() + 1,
        before[start..].chars().count() + 1,
    )
}

#[cfg(test)]
mod tests {
    use super::line_column;

    #[test]
    fn counts_characters_from_one() {
        assert_eq!(line_column("", 0), (1, 1));
        assert_eq!(line_column("ab\ncd", 1), (1, 2));
        assert_eq!(line_column("ab\ncd", 3), (2, 1));
        assert_eq!(line_column("ä\nöx", 5), (2, 2));
        assert_eq!(
            line_column("öx", 1),
            (1, 1),
            "inside a character is its start"
        );
        assert_eq!(line_column("a\n", 99), (2, 1));
    }
}
