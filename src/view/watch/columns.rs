//! Rows of a panel: columns as wide as their widest cell, of which some give way where it is narrow.
//!
//! Owns widths and what stands behind a row. Words are made harmless here, so that no panel can
//! forget it. Must not know what they mean.

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr as _;

use crate::view::figure;
use crate::view::paint::Tint;
use crate::view::table::cut;

/// Narrowest that the last column is shown.
const NARROWEST: usize = 6;

/// What a row is about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Target {
    /// Nothing that can be opened.
    #[default]
    Nothing,
    /// An agent.
    Agent(String),
    /// A measured run.
    Run(u64),
    /// A claim.
    Claim(u64),
    /// A message.
    Mail(u64),
    /// Something that waits for a person: its place in the queue, and whom it concerns.
    Need(usize, Option<String>),
}

/// A row of a panel.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    /// As it is drawn.
    pub(super) line: Line<'static>,
    /// What it is about.
    pub(super) target: Target,
}

/// A cell, before widths are known.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    tint: Tint,
    text: String,
    right: bool,
}

/// A cell set to the left.
pub(super) fn cell(tint: Tint, text: impl AsRef<str>) -> Cell {
    Cell {
        tint,
        text: safe(text.as_ref()),
        right: false,
    }
}

/// A cell set to the right, for numbers.
pub(super) fn number(tint: Tint, text: impl AsRef<str>) -> Cell {
    Cell {
        right: true,
        ..cell(tint, text)
    }
}

/// Somebody's words on one line, without what terminals measure differently.
pub(super) fn safe(text: &str) -> String {
    figure::one_line(text)
        .chars()
        .filter(|c| {
            !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
        })
        .collect()
}

/// How a tint looks: the terminal's own colours, so that a person's theme decides.
pub(super) fn style(tint: Tint) -> Style {
    match tint {
        Tint::None => Style::new(),
        Tint::Bold => Style::new().add_modifier(Modifier::BOLD),
        Tint::Dim => Style::new().add_modifier(Modifier::DIM),
        Tint::Good => Style::new().fg(Color::Green),
        Tint::Bad => Style::new().fg(Color::Red),
        Tint::Notable => Style::new().fg(Color::Yellow),
    }
}

/// Text in its tint.
pub(super) fn span(tint: Tint, text: impl Into<String>) -> Span<'static> {
    Span::styled(text.into(), style(tint))
}

/// Lays cells out in `width` columns. The last column takes what is left and is cut; columns of
/// `gives` are left out in that order where there is not enough.
pub(super) fn lay(rows: Vec<(Vec<Cell>, Target)>, gives: &[usize], width: usize) -> Vec<Row> {
    let count = rows.iter().map(|(cells, _)| cells.len()).max().unwrap_or(0);
    let Some(last) = count.checked_sub(1) else {
        return Vec::new();
    };
    let mut wide: Vec<usize> = (0..last)
        .map(|at| {
            let cells = rows.iter().filter_map(|(cells, _)| cells.get(at));
            cells.map(|cell| cell.text.width()).max().unwrap_or(0)
        })
        .collect();
    let used = |wide: &[usize]| {
        wide.iter()
            .filter(|one| **one > 0)
            .map(|one| one + 1)
            .sum::<usize>()
    };
    // The last column is often the one that matters, so it gets half before others give way.
    let wants = rows
        .iter()
        .filter_map(|(cells, _)| cells.get(last))
        .map(|cell| cell.text.width())
        .max()
        .unwrap_or(0)
        .min((width / 2).max(NARROWEST));
    for give in gives {
        if used(&wide) + wants <= width {
            break;
        }
        wide[*give] = 0;
    }
    rows.into_iter()
        .map(|(cells, target)| {
            let line = laid(&cells, &wide, width);
            Row { line, target }
        })
        .collect()
}

fn laid(cells: &[Cell], wide: &[usize], width: usize) -> Line<'static> {
    let mut spans = Vec::new();
    let mut left = width;
    for (cell, wide) in cells.iter().zip(wide).filter(|(_, wide)| **wide > 0) {
        if left == 0 {
            break;
        }
        let wide = (*wide).min(left);
        let text = cut(&cell.text, wide);
        let pad = " ".repeat(wide.saturating_sub(text.width()));
        let text = if cell.right { pad + &text } else { text + &pad };
        left = left.saturating_sub(text.width() + 1);
        spans.push(span(cell.tint, text));
        spans.push(Span::raw(" "));
    }
    if let Some(cell) = cells.get(wide.len())
        && left >= NARROWEST
    {
        spans.push(span(cell.tint, cut(&cell.text, left)));
    }
    Line::from(spans)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_give_way_in_order_and_nothing_is_wider_than_the_panel() {
        let row = |name: &str, n: &str, why: &str| {
            let cells = vec![
                cell(Tint::Bold, name),
                number(Tint::None, n),
                cell(Tint::Dim, why),
            ];
            (cells, Target::Nothing)
        };
        let shown = |width: usize| {
            let rows = vec![
                row("ana", "7", "a reason that is long"),
                row("日本語", "1234", "b\u{1b}[2J"),
            ];
            let rows = lay(rows, &[1], width);
            assert!(rows.iter().all(|row| row.line.width() <= width + 1));
            rows.iter()
                .map(|row| row.line.to_string().trim_end().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            shown(40),
            ["ana       7 a reason that is long", "日本語 1234 b [2J"]
        );
        assert_eq!(shown(16), ["ana    a reason…", "日本語 b [2J"]);
        assert_eq!(shown(5), ["ana", "日本…"]);
        shown(0);
    }
}
