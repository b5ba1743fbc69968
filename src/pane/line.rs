//! A line on the screen: pieces of text with the tone they are said in. Owns how tones look on a
//! terminal; must not know what is said.

use std::fmt::Write as _;

use super::text::{self, width};

/// How a piece of text is meant. Colours are the terminal's own sixteen, so that a person's theme
/// decides, and nothing is said by colour alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it is.
    Plain,
    /// Less important.
    Dim,
    /// Headings and names.
    Strong,
    /// It went well; an added line.
    Good,
    /// It failed; a removed line.
    Bad,
    /// Look here.
    Warn,
    /// Another agent's words.
    Mail,
    /// A person's words.
    Human,
    /// A tool at work.
    Tool,
    /// Where the next key goes.
    Cursor,
}

impl Tone {
    fn sgr(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Dim => "2",
            Self::Strong => "1",
            Self::Good => "32",
            Self::Bad => "31",
            Self::Warn => "33",
            Self::Mail => "35",
            Self::Human => "36",
            Self::Tool => "34",
            Self::Cursor => "7",
        }
    }
}

/// One line, already clean: a piece holds no control characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    pieces: Vec<(Tone, String)>,
}

impl Line {
    /// A line of one piece.
    pub(crate) fn of(tone: Tone, text: impl Into<String>) -> Self {
        Self::default().and(tone, text)
    }

    /// The line with one more piece.
    pub(crate) fn and(mut self, tone: Tone, text: impl Into<String>) -> Self {
        let text = text.into();
        if !text.is_empty() {
            self.pieces.push((tone, text));
        }
        self
    }

    /// Columns that it takes.
    pub(crate) fn width(&self) -> usize {
        self.pieces.iter().map(|(_, text)| width(text)).sum()
    }

    /// Cut to `columns`, with `…` where something is lost.
    pub(crate) fn clipped(self, columns: usize) -> Self {
        if self.width() <= columns {
            return self;
        }
        let mut left = columns;
        let mut cut = Self::default();
        for (tone, piece) in self.pieces {
            let wide = width(&piece);
            if wide < left {
                left -= wide;
                cut = cut.and(tone, piece);
            } else {
                return cut.and(tone, text::clip(&(piece + "…"), left));
            }
        }
        cut
    }

    /// The text alone.
    #[must_use]
    pub fn text(&self) -> String {
        self.pieces.iter().map(|(_, text)| text.as_str()).collect()
    }

    /// The text with the escape sequences of its tones.
    pub(crate) fn ansi(&self, out: &mut String) {
        for (tone, text) in &self.pieces {
            match tone.sgr() {
                "" => out.push_str(text),
                sgr => {
                    // Writing to a string cannot fail.
                    let _ = write!(out, "\x1b[{sgr}m{text}\x1b[m");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clipping_counts_columns_over_pieces() {
        let line = Line::of(Tone::Strong, "ab").and(Tone::Dim, "漢字cd");
        assert_eq!(line.width(), 8);
        assert_eq!(line.clone().clipped(8).text(), "ab漢字cd");
        assert_eq!(line.clone().clipped(7).text(), "ab漢字…");
        assert_eq!(line.clone().clipped(6).text(), "ab漢…");
        assert_eq!(line.clone().clipped(2).text(), "a…");
        assert_eq!(line.clipped(0).text(), "");
    }
}
