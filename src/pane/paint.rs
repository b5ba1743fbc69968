//! A small live view below finished lines, on a terminal whose scrollback stays its own. Owns the
//! few escape sequences we write; must not know what the lines say.
//!
//! Why not an inline viewport of a terminal library: those find their place by asking the terminal
//! where the cursor is, which fails while another thread reads keys, and after a resize they
//! forget that the terminal has re-wrapped the rows they drew, which leaves a ghost in the history.
//! Here the view is erased by walking up from the cursor over as many rows as the drawn text takes
//! *at the present width*, so nothing is asked and nothing stays behind.

use std::io::{self, Write};

use super::line::Line;

/// The live rows and where the cursor is in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct View {
    /// From the top; never empty once painted.
    pub(crate) rows: Vec<Line>,
    /// Row and column of the cursor.
    pub(crate) cursor: (usize, usize),
}

/// Writes lines and the view below them.
#[derive(Debug)]
pub(crate) struct Painter<W> {
    out: W,
    drawn: View,
}

impl<W: Write> Painter<W> {
    /// Nothing is written before the first `paint`.
    pub(crate) fn new(out: W) -> Self {
        Self {
            out,
            drawn: View::default(),
        }
    }

    /// Adds finished lines above the view and draws the view anew, in one write.
    pub(crate) fn paint(&mut self, columns: usize, above: &[Line], view: View) -> io::Result<()> {
        if above.is_empty() && view == self.drawn && columns > 0 {
            return Ok(());
        }
        let mut text = String::from("\x1b[?25l");
        self.erase(columns, &mut text);
        for line in above {
            line.ansi(&mut text);
            text.push_str("\r\n");
        }
        for (number, row) in view.rows.iter().enumerate() {
            if number > 0 {
                text.push_str("\r\n");
            }
            row.ansi(&mut text);
        }
        let (row, column) = view.cursor;
        up(view.rows.len().saturating_sub(row + 1), &mut text);
        text.push('\r');
        if column > 0 {
            text += &format!("\x1b[{column}C");
        }
        text.push_str("\x1b[?25h");
        self.drawn = view;
        self.send(&text)
    }

    /// The terminal has another size: what is drawn may be wrapped otherwise, so the next `paint`
    /// draws even an unchanged view.
    pub(crate) fn resized(&mut self, columns: usize) -> io::Result<()> {
        let mut text = String::new();
        self.erase(columns, &mut text);
        self.drawn = View::default();
        self.send(&text)
    }

    /// Takes the view away, and leaves the cursor where the next line would be.
    pub(crate) fn finish(&mut self, columns: usize) -> io::Result<()> {
        self.resized(columns)
    }

    /// Fills the screen from its top with these lines; nothing goes to the scrollback.
    pub(crate) fn page(&mut self, lines: &[Line]) -> io::Result<()> {
        let mut text = String::from("\x1b[?25l\x1b[H");
        for (number, line) in lines.iter().enumerate() {
            if number > 0 {
                text.push_str("\r\n");
            }
            // Erased before it is written: afterwards the cursor may still be on the last column.
            text.push_str("\x1b[K");
            line.ansi(&mut text);
        }
        text.push_str(if lines.is_empty() {
            "\x1b[J"
        } else {
            "\x1b[K\x1b[J"
        });
        self.send(&text)
    }

    fn erase(&self, columns: usize, text: &mut String) {
        if self.drawn.rows.is_empty() {
            return;
        }
        let columns = columns.max(1);
        let (row, column) = self.drawn.cursor;
        let above = self.drawn.rows.iter().take(row);
        let rows: usize = above
            .map(|line| line.width().div_ceil(columns).max(1))
            .sum();
        up(rows + column / columns, text);
        text.push_str("\r\x1b[J");
    }

    fn send(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }
}

fn up(rows: usize, text: &mut String) {
    if rows > 0 {
        *text += &format!("\x1b[{rows}A");
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::Tone;
    use super::*;

    #[test]
    fn the_view_is_erased_at_the_width_that_is_now() {
        let view = View {
            rows: vec![
                Line::of(Tone::Plain, "x".repeat(50)),
                Line::of(Tone::Plain, "> ab"),
            ],
            cursor: (1, 4),
        };
        let mut painter = Painter::new(Vec::new());
        painter.paint(60, &[], view.clone()).unwrap();
        painter.out.clear();
        painter.paint(60, &[], view.clone()).unwrap();
        assert!(
            painter.out.is_empty(),
            "an unchanged view is not drawn again"
        );
        painter.resized(20).unwrap();
        // 50 columns are three rows at 20.
        assert_eq!(String::from_utf8_lossy(&painter.out), "\x1b[3A\r\x1b[J");
        painter.out.clear();
        painter
            .paint(20, &[Line::of(Tone::Plain, "done")], view)
            .unwrap();
        assert!(String::from_utf8_lossy(&painter.out).starts_with("\x1b[?25ldone\r\nxxx"));
    }
}
