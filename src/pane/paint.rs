//! A small live view below finished lines, on a terminal whose scrollback stays its own. Owns the
//! few escape sequences we write; must not know what the lines say.
//!
//! Between two paintings the terminal's cursor waits, hidden, at the beginning of the view's first
//! row, so that the view is always what lies *at and below the cursor*. That is what makes a resize
//! harmless. A terminal re-wraps its rows at once and tells us later (tmux up to a quarter of a
//! second), so whoever counts rows upwards counts at the wrong width and leaves a ghost of the
//! view in the scrollback, as inline viewports do; and a terminal that loses rows drops those below
//! the cursor first. The cursor that a person sees is a reversed cell.

use std::io::{self, Write};

use super::line::Line;

/// To the row's beginning, the row away, and what is below it. Not in one sequence: tmux takes
/// "erase from the upper left corner" for a cleared screen, and saves it to the scrollback.
const ERASE: &str = "\r\x1b[K\x1b[C\x1b[J\r";
/// The whole terminal and its scrollback away. In this order: a screen that is cleared goes to the
/// scrollback.
const EVERYTHING: &str = "\x1b[H\x1b[2J\x1b[3J";
const HIDE_CURSOR: &str = "\x1b[?25l";
/// While the view is drawn, text ends at the right margin: a terminal that is already narrower
/// than we know then still shows as many rows as we go up again.
const CUT: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

/// Writes lines and the view below them.
#[derive(Debug)]
pub(crate) struct Painter<W> {
    out: W,
    drawn: Vec<Line>,
}

impl<W: Write> Painter<W> {
    /// Nothing is written before the first `paint`.
    pub(crate) fn new(out: W) -> Self {
        Self {
            out,
            drawn: Vec::new(),
        }
    }

    /// Goes to the screen's bottom. A view that begins higher has empty rows below it, which a
    /// terminal that re-wraps counts as text: it then scrolls the view itself away.
    pub(crate) fn start(&mut self) -> io::Result<()> {
        self.send("\x1b[9999B\r")
    }

    /// Adds finished lines above the view and draws the view anew, in one write.
    pub(crate) fn paint(&mut self, above: &[Line], view: Vec<Line>) -> io::Result<()> {
        if above.is_empty() && view == self.drawn {
            return Ok(());
        }
        self.draw(format!("{HIDE_CURSOR}{ERASE}"), above, view)
    }

    /// Draws all there is on a terminal of `rows` that is ours alone, its scrollback with it: what was
    /// there before was laid out for another width. Ends at the screen's bottom, as `start` does.
    pub(crate) fn afresh(&mut self, all: &[Line], view: Vec<Line>, rows: usize) -> io::Result<()> {
        let free = rows.saturating_sub(all.len() + view.len());
        let lead = format!("{HIDE_CURSOR}{EVERYTHING}\x1b[{};1H", free + 1);
        self.draw(lead, all, view)
    }

    fn draw(&mut self, mut text: String, above: &[Line], view: Vec<Line>) -> io::Result<()> {
        for line in above {
            line.ansi(&mut text);
            text.push_str("\r\n");
        }
        text.push_str(CUT);
        for (number, row) in view.iter().enumerate() {
            if number > 0 {
                text.push_str("\r\n");
            }
            row.ansi(&mut text);
        }
        if view.len() > 1 {
            let up = format!("\x1b[{}A", view.len() - 1);
            text.push_str(&up);
        }
        text.push('\r');
        text.push_str(WRAP);
        self.drawn = view;
        self.send(&text)
    }

    /// What is on the screen is not known any more: the next `paint` draws even an unchanged view.
    pub(crate) fn forget(&mut self) {
        self.drawn.clear();
    }

    /// Takes the view away.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.forget();
        self.send(ERASE)
    }

    fn send(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::Tone;
    use super::*;

    #[test]
    fn the_cursor_waits_above_the_view() {
        let view = vec![
            Line::of(Tone::Plain, "status"),
            Line::of(Tone::Plain, "> ab"),
        ];
        let mut painter = Painter::new(Vec::new());
        painter
            .paint(&[Line::of(Tone::Good, "done")], view.clone())
            .unwrap();
        assert_eq!(
            String::from_utf8_lossy(&painter.out),
            "\x1b[?25l\r\x1b[K\x1b[C\x1b[J\r\x1b[32mdone\x1b[m\r\n\x1b[?7lstatus\r\n> ab\x1b[1A\r\x1b[?7h"
        );
        painter.out.clear();
        painter.paint(&[], view.clone()).unwrap();
        assert!(
            painter.out.is_empty(),
            "an unchanged view is not drawn again"
        );
        painter.forget();
        painter.paint(&[], view).unwrap();
        assert!(!painter.out.is_empty());
    }
}
