//! Foreign text made safe and fitted to a width. Pure.
//!
//! What models and tools print may hold escape sequences, fake prompts, bidirectional overrides or
//! characters that terminals disagree about. Everything that is not a visible character is dropped
//! here, once, so that nothing after this file has to be careful.

use unicode_width::UnicodeWidthChar;

/// An unfinished string sequence (OSC, DCS, …) ends here, so that one stray byte cannot swallow
/// the rest of a conversation.
const LONGEST_SEQUENCE: usize = 2048;

/// Marks put on a letter one after another, beyond which more are noise ("zalgo").
const MOST_MARKS: usize = 3;

/// Shown for a tab, whose own width depends on where it stands.
const TAB: &str = "    ";

/// What the characters before have begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Within {
    #[default]
    Text,
    /// After a carriage return, which is a line's end whether or not a newline follows.
    Return,
    /// After ESC.
    Escape,
    /// In a control sequence, until its final byte.
    Control,
    /// In a string, until BEL or ESC \; the count limits it.
    Str(usize),
}

/// Cleans text that comes in pieces: a sequence cut in two is still one sequence.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cleaner {
    within: Within,
    marks: usize,
}

impl Cleaner {
    /// Visible characters and `\n` only.
    pub(crate) fn clean(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            self.take(c, &mut out);
        }
        out
    }

    fn take(&mut self, c: char, out: &mut String) {
        let was = std::mem::take(&mut self.within);
        self.within = match (was, c) {
            (Within::Return, '\n') => Within::Text,
            (Within::Escape, '[') => Within::Control,
            (Within::Escape, ']' | 'P' | '_' | '^' | 'X') => Within::Str(0),
            // `ESC ( B` and the like: an intermediate, then the final byte.
            (Within::Escape, ' '..='/') => Within::Escape,
            (Within::Escape, '0'..='~') => Within::Text,
            (Within::Control, ' '..='?') => Within::Control,
            (Within::Control, '@'..='~') => Within::Text,
            (Within::Str(_), '\u{7}' | '\u{9c}') => Within::Text,
            (Within::Str(_), '\u{1b}') => Within::Escape,
            (Within::Str(n), _) if n < LONGEST_SEQUENCE && c != '\n' => Within::Str(n + 1),
            // Anything else ends what was begun, and counts as text.
            (_, '\u{1b}') => Within::Escape,
            (_, '\u{9b}') => Within::Control,
            (_, '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}') => Within::Str(0),
            (_, '\r') => {
                out.push('\n');
                Within::Return
            }
            _ => {
                self.put(c, out);
                Within::Text
            }
        };
    }

    fn put(&mut self, c: char, out: &mut String) {
        match c {
            '\n' | '\u{2028}' | '\u{2029}' | '\u{b}' | '\u{c}' | '\u{85}' => out.push('\n'),
            '\t' => out.push_str(TAB),
            _ if c.is_control() || is_invisible(c) => return,
            _ if UnicodeWidthChar::width(c) == Some(0) => {
                self.marks += 1;
                if self.marks <= MOST_MARKS {
                    out.push(c);
                }
                return;
            }
            _ => out.push(c),
        }
        self.marks = 0;
    }
}

/// Characters that are not seen but change what is: direction, joining, width, tags.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{3164}' | '\u{ffa0}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// A whole text, cleaned.
pub(crate) fn clean(text: &str) -> String {
    Cleaner::default().clean(text)
}

/// A whole text, cleaned, on one line.
pub(crate) fn clean_line(text: &str) -> String {
    clean(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Columns of clean text.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// Columns of a character.
pub(crate) fn char_width(c: char) -> usize {
    UnicodeWidthChar::width(c).unwrap_or(0)
}

/// The longest beginning that fits, its last column `…` where something is cut.
pub(crate) fn clip(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut clipped = String::new();
    let mut used = 0;
    for c in text.chars() {
        if used + char_width(c) >= columns {
            break;
        }
        used += char_width(c);
        clipped.push(c);
    }
    if columns > 0 {
        clipped.push('…');
    }
    clipped
}

/// Breaks a line at spaces into rows of at most `columns`; a word that is longer is broken where
/// it must be. Rows before the last stay as they are whatever is appended to the line, on which
/// streaming rests. Never empty.
pub(crate) fn wrap(line: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut rows = Vec::new();
    let mut row = String::new();
    let mut used = 0;
    for piece in pieces(line) {
        let wide = width(piece);
        if used + wide <= columns {
            row.push_str(piece);
            used += wide;
        } else if piece.starts_with(' ') {
            // Spaces at a row's end are not shown; the row is full.
            rows.push(std::mem::take(&mut row));
            used = 0;
        } else {
            if used > 0 {
                let full = std::mem::take(&mut row);
                rows.push(full.trim_end().to_owned());
                used = 0;
            }
            for c in piece.chars() {
                if used > 0 && used + char_width(c) > columns {
                    rows.push(std::mem::take(&mut row));
                    used = 0;
                }
                row.push(c);
                used += char_width(c);
            }
        }
    }
    rows.push(row);
    rows
}

/// Runs of spaces and runs of anything else, alternating.
fn pieces(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let end = rest
            .find(|c: char| (c == ' ') != (first == ' '))
            .unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_controls_a_terminal_is_left() {
        for (raw, clean_) in [
            ("a\u{1b}[31mb\u{1b}[0m", "ab"),
            ("\u{1b}]0;title\u{7}x\u{1b}]52;c;aGk=\u{1b}\\y", "xy"),
            ("\u{1b}P1$r0m\u{1b}\\z\u{9b}2Jq\u{9d}0;t\u{9c}r", "zqr"),
            ("\u{1b}(Bok\u{1b}c", "ok"),
            ("50%\r100%\r\ndone\n", "50%\n100%\ndone\n"),
            ("a\tb\u{8}\u{0}\u{7f}c", "a    bc"),
            ("\u{202e}evil\u{202c} \u{200b}\u{feff}x\u{e0041}", "evil x"),
            (
                "e\u{301}\u{301}\u{301}\u{301}\u{301}!",
                "e\u{301}\u{301}\u{301}!",
            ),
            ("👩\u{200d}🔬 漢", "👩🔬 漢"),
            ("\u{1b}[31\u{1b}[0mx", "x"),
        ] {
            assert_eq!(clean(raw), clean_, "{raw:?}");
        }
    }

    #[test]
    fn a_sequence_cut_in_two_is_one() {
        let raw = "a\u{1b}[3;31mb\u{1b}]0;t\u{1b}\\c\r\nd";
        for cut in (0..raw.len()).filter(|&i| raw.is_char_boundary(i)) {
            let mut cleaner = Cleaner::default();
            let both = cleaner.clean(&raw[..cut]) + &cleaner.clean(&raw[cut..]);
            assert_eq!(both, "abc\nd");
        }
    }

    #[test]
    fn a_stray_string_opener_swallows_no_more_than_its_line() {
        assert_eq!(clean("a\u{1b}]never\nclosed"), "a\nclosed");
        let long = format!("\u{1b}]{}end", "x".repeat(LONGEST_SEQUENCE));
        assert!(clean(&long).ends_with("nd"));
    }

    #[test]
    fn rows_fit_and_break_at_words() {
        assert_eq!(wrap("the quick brown fox", 10), ["the quick", "brown fox"]);
        assert_eq!(wrap("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("漢字漢字", 5), ["漢字", "漢字"]);
        assert_eq!(wrap("  indented", 20), ["  indented"]);
        assert_eq!(wrap("", 20), [""]);
        assert_eq!(wrap("漢", 1), ["漢"]);
    }

    proptest::proptest! {
        #[test]
        fn rows_before_the_last_never_change(text in "[a-z漢 ]{0,60}", more in "[a-z漢 ]{0,20}", columns in 1..20usize) {
            let before = wrap(&text, columns);
            let after = wrap(&(text.clone() + &more), columns);
            let settled = before.len() - 1;
            proptest::prop_assert_eq!(&before[..settled], &after[..settled]);
            for row in &after {
                proptest::prop_assert!(width(row) <= columns.max(2));
            }
        }
    }
}
