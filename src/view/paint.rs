//! Colour, which is never needed to understand.
//!
//! Owns the few tints there are and the sequences that switch them on and off. Whether a terminal
//! wants colour is an argument. Must not know what is painted.

/// What a piece of text is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tint {
    /// Like the rest.
    #[default]
    None,
    /// A heading.
    Bold,
    /// Less important than the rest.
    Dim,
    /// Good news.
    Good,
    /// Needs a person.
    Bad,
    /// Worth a look.
    Notable,
}

/// Whether tints are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// No colour.
    Plain,
    /// The eight ANSI colours, so that a person's own palette decides.
    Ansi,
}

impl Paint {
    /// The text, tinted.
    #[must_use]
    pub fn tint(self, tint: Tint, text: &str) -> String {
        let code = match tint {
            Tint::None => return text.to_owned(),
            Tint::Bold => "1",
            Tint::Dim => "2",
            Tint::Good => "32",
            Tint::Bad => "31",
            Tint::Notable => "33",
        };
        match self {
            Self::Plain => text.to_owned(),
            Self::Ansi => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }
}
