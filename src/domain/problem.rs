//! What is wrong with a file that a person wrote, and where.
//!
//! Owns the one shape in which charts and scenarios report their problems, all at once. Must not
//! know files or how a problem is shown.

use serde::Serialize;

/// One thing to put right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The key, such as `scripts[0].steps[2].expect`; empty where it is the whole file.
    pub path: String,
    /// What is wrong, with the offending text.
    pub message: String,
    /// What to write instead, never empty.
    pub hint: String,
}

/// Where a byte offset stands in a text: line and column, both from 1, the column in characters.
#[must_use]
pub fn line_column(text: &str, offset: usize) -> (usize, usize) {
    let mut at = offset.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let before = &text[..at];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one_in_characters() {
        let text = "ab\nçé = 1\n";
        for (offset, place) in [
            (0, (1, 1)),
            (2, (1, 3)),
            (3, (2, 1)),
            (7, (2, 3)),
            (4, (2, 1)),
            (99, (3, 1)),
        ] {
            assert_eq!(line_column(text, offset), place, "offset {offset}");
        }
    }
}
