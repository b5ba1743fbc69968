//! Tables that fit a terminal.
//!
//! Owns the widths: every column as wide as its widest cell, and one that may be cut so that the
//! whole stays within the width. Cells are made harmless here, so no caller can forget it. Must not
//! know what stands in them.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::figure;
use super::paint::{Paint, Tint};

/// Between two columns.
const GAP: &str = "  ";
/// Narrowest that the column that may be cut becomes.
const NARROWEST: usize = 8;

/// One cell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell {
    text: String,
    tint: Tint,
}

impl Cell {
    /// A tinted cell.
    #[must_use]
    pub fn tinted(tint: Tint, text: impl AsRef<str>) -> Self {
        Self {
            text: figure::one_line(text.as_ref()),
            tint,
        }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::tinted(Tint::None, text)
    }
}

/// A table.
#[derive(Debug, Clone)]
pub struct Table {
    heads: Vec<&'static str>,
    right: Vec<bool>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table with these headings; a heading that begins with `>` is of numbers, set to the right.
    /// The last column is the one that may be cut.
    #[must_use]
    pub fn new(heads: &[&'static str]) -> Self {
        Self {
            right: heads.iter().map(|head| head.starts_with('>')).collect(),
            heads: heads
                .iter()
                .map(|head| head.trim_start_matches('>'))
                .collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as text, each line at most `width` columns wide unless the columns that may not be
    /// cut need more.
    #[must_use]
    pub fn text(&self, width: usize, paint: Paint) -> String {
        let widths = self.widths(width);
        let head: Vec<Cell> = self
            .heads
            .iter()
            .map(|head| Cell::tinted(Tint::Dim, head))
            .collect();
        let mut out = String::new();
        for row in std::iter::once(&head).chain(&self.rows) {
            out.push_str(&self.line(row, &widths, paint));
            out.push('\n');
        }
        out
    }

    fn widths(&self, width: usize) -> Vec<usize> {
        let mut widths: Vec<usize> = self.heads.iter().map(|head| head.width()).collect();
        for row in &self.rows {
            for (at, cell) in row.iter().enumerate().take(widths.len()) {
                widths[at] = widths[at].max(cell.text.width());
            }
        }
        let gaps = GAP.len() * widths.len().saturating_sub(1);
        if let Some((last, fixed)) = widths.split_last_mut() {
            let room = width.saturating_sub(fixed.iter().sum::<usize>() + gaps);
            *last = (*last).min(room.max(NARROWEST));
        }
        widths
    }

    fn line(&self, row: &[Cell], widths: &[usize], paint: Paint) -> String {
        let mut line = String::new();
        for (at, width) in widths.iter().enumerate() {
            let cell = row.get(at).cloned().unwrap_or_default();
            let text = cut(&cell.text, *width);
            let pad = " ".repeat(width - text.width());
            let painted = paint.tint(cell.tint, &text);
            if at > 0 {
                line.push_str(GAP);
            }
            if self.right[at] {
                line.push_str(&pad);
                line.push_str(&painted);
            } else {
                line.push_str(&painted);
                line.push_str(&pad);
            }
        }
        line.trim_end().to_owned()
    }
}

/// The text within so many columns, with `…` where something was cut.
#[must_use]
pub fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        kept.push(c);
    }
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fits_the_width_and_cuts_only_the_last_column() {
        let mut table = Table::new(&["name", ">n", "why"]);
        table.row(vec!["ana".into(), "7".into(), "x".repeat(50).into()]);
        table.row(vec!["日本".into(), "1234".into(), "a\x1b[2Jb\nc".into()]);
        let text = table.text(30, Paint::Plain);
        assert_eq!(
            text,
            "name     n  why\n\
             ana      7  xxxxxxxxxxxxxxxxx…\n\
             日本  1234  a [2Jb c\n"
        );
        assert!(text.lines().all(|line| line.width() <= 30));
    }
}
