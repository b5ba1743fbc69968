//! The input line as a state machine: keys in, a draft and its picture out. Pure. Nothing but keys
//! ever changes the draft, and nothing but Enter sends it.

use std::ops::Range;

use super::command::{self, Command};
use super::text::{char_width, clean, width};

/// Characters of a draft; longer things are files.
const MOST_DRAFT: usize = 64 * 1024;
/// Sent lines that `Up` brings back.
const MOST_HISTORY: usize = 200;
/// What `^C` and `^D` say where there is no draft to clear.
const NOT_QUIT: &str = "a pane is a view and is not quit by ^C: detach with C-b d";

/// A key, or a paste.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Char(char),
    /// Bracketed: may hold several lines, and is not sent by them.
    Paste(String),
    Left,
    Right,
    Home,
    End,
    Up,
    Down,
    Backspace,
    Delete,
    /// `^U`: everything before the cursor.
    KillBefore,
    /// `^K`: everything after the cursor.
    KillAfter,
    /// `^W`: the word before the cursor.
    KillWord,
    Enter,
    /// `^C` or `^D`.
    Interrupt,
    /// The terminal has another size.
    Resize,
}

/// What a key led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The picture may have changed.
    Edited,
    /// The draft was sent, and is empty now.
    Send(String),
    /// The draft was a command, and is empty now.
    Ask(Command),
    /// To be told once; the draft is as it was.
    Say(String),
}

/// A draft being written.
#[derive(Debug, Default)]
pub(crate) struct Editor {
    draft: Vec<char>,
    cursor: usize,
    history: Vec<String>,
    /// Where `Up` has gone to, and the draft that was left for it.
    browsing: Option<(usize, Vec<char>)>,
}

impl Editor {
    /// Takes a key in.
    pub(crate) fn key(&mut self, key: Key) -> Outcome {
        match key {
            Key::Char(c) => return self.insert(c.to_string()),
            Key::Paste(text) => return self.insert(text),
            Key::Left => self.cursor = self.before(self.cursor),
            Key::Right => self.cursor = self.after(self.cursor),
            Key::Home => self.cursor = self.line_start(),
            Key::End => self.cursor = self.line_end(),
            Key::Up => self.browse(true),
            Key::Down => self.browse(false),
            Key::Backspace => self.kill(self.before(self.cursor), self.cursor),
            Key::Delete => self.kill(self.cursor, self.after(self.cursor)),
            Key::KillBefore => self.kill(self.line_start(), self.cursor),
            Key::KillAfter => self.kill(self.cursor, self.line_end()),
            Key::KillWord => self.kill(self.word_start(), self.cursor),
            Key::Enter => return self.send(),
            Key::Interrupt if self.draft.is_empty() => return Outcome::Say(NOT_QUIT.to_owned()),
            Key::Interrupt => self.replace(Vec::new()),
            Key::Resize => {}
        }
        Outcome::Edited
    }

    /// Whether nothing is being written.
    pub(crate) fn is_empty(&self) -> bool {
        self.draft.is_empty()
    }

    /// The draft in at most `most` rows of at most `columns`, around the cursor: of each row what is
    /// before the cursor, the character under it (a space at the end), and what is after. Where there
    /// is room for one row only, line ends are shown as `↵`.
    pub(crate) fn picture(&self, columns: usize, most: usize) -> Vec<[String; 3]> {
        if most <= 1 {
            return vec![self.one_row(columns)];
        }
        let rows = self.rows(columns);
        let at = rows
            .iter()
            .rposition(|row| row.start <= self.cursor)
            .unwrap_or(0);
        let from = (at + 1)
            .saturating_sub(most)
            .min(rows.len().saturating_sub(most));
        let shown = rows.iter().enumerate().skip(from).take(most);
        let text = |from: usize, to: usize| {
            let visible = self.draft[from..to].iter().filter(|c| **c != '\n');
            visible.collect::<String>()
        };
        shown
            .map(|(number, row)| {
                if number != at {
                    return [text(row.start, row.end), String::new(), String::new()];
                }
                let next = self.after(self.cursor).min(row.end).max(self.cursor);
                let mut under = text(self.cursor, next);
                if under.is_empty() {
                    under.push(' ');
                }
                [text(row.start, self.cursor), under, text(next, row.end)]
            })
            .collect()
    }

    /// The draft cut into rows: at line ends, and where one more character would not fit. A row that
    /// ends in the cursor has a column left for it.
    fn rows(&self, columns: usize) -> Vec<Range<usize>> {
        let room = columns.saturating_sub(1).max(1);
        let (mut rows, mut start, mut used) = (Vec::new(), 0, 0);
        for (at, c) in self.draft.iter().enumerate() {
            if *c == '\n' {
                rows.push(start..at + 1);
                (start, used) = (at + 1, 0);
                continue;
            }
            let wide = char_width(*c);
            if used + wide > room && at > start {
                rows.push(start..at);
                (start, used) = (at, 0);
            }
            used += wide;
        }
        rows.push(start..self.draft.len());
        rows
    }

    fn one_row(&self, columns: usize) -> [String; 3] {
        let shown = |at: usize| {
            if self.draft[at] == '\n' {
                '↵'
            } else {
                self.draft[at]
            }
        };
        let text = |from: usize, to: usize| (from..to).map(shown).collect::<String>();
        let wide = |at: usize| char_width(shown(at));
        let next = self.after(self.cursor);
        let under = if next > self.cursor {
            text(self.cursor, next)
        } else {
            " ".to_owned()
        };
        let mut left = columns.saturating_sub(width(&under));
        let mut from = self.cursor;
        while from > 0 && wide(from - 1) <= left {
            from -= 1;
            left -= wide(from);
        }
        let mut to = next;
        while to < self.draft.len() && wide(to) <= left {
            left -= wide(to);
            to += 1;
        }
        [text(from, self.cursor), under, text(next, to)]
    }

    fn insert(&mut self, text: String) -> Outcome {
        // Terminals send a pasted line's end as a carriage return, which `clean` makes a newline.
        let text: Vec<char> = clean(&text).chars().collect();
        if self.draft.len() + text.len() > MOST_DRAFT {
            return Outcome::Say("the draft is full".to_owned());
        }
        let count = text.len();
        self.draft.splice(self.cursor..self.cursor, text);
        self.cursor += count;
        Outcome::Edited
    }

    fn send(&mut self) -> Outcome {
        let text: String = self.draft.iter().collect();
        if text.trim().is_empty() {
            return Outcome::Edited;
        }
        let asked = match command::parse(&text) {
            Some(Err(wrong)) => return Outcome::Say(wrong),
            Some(Ok(asked)) => Some(asked),
            None => None,
        };
        if self.history.last() != Some(&text) {
            self.history.push(text.clone());
        }
        if self.history.len() > MOST_HISTORY {
            self.history.remove(0);
        }
        self.replace(Vec::new());
        match asked {
            Some(asked) => Outcome::Ask(asked),
            // Two slashes in front are one that is meant.
            None if text.trim_start().starts_with("//") => {
                Outcome::Send(text.trim_start()[1..].to_owned())
            }
            None => Outcome::Send(text),
        }
    }

    fn browse(&mut self, older: bool) {
        let at = self
            .browsing
            .as_ref()
            .map_or(self.history.len(), |(at, _)| *at);
        let to = if older {
            at.checked_sub(1)
        } else {
            Some(at + 1)
        };
        let Some(to) = to.filter(|&to| to <= self.history.len()) else {
            return;
        };
        let left = match self.browsing.take() {
            Some((_, left)) => left,
            None => self.draft.clone(),
        };
        match self.history.get(to) {
            Some(text) => {
                self.draft = text.chars().collect();
                self.browsing = Some((to, left));
            }
            None => self.draft = left,
        }
        self.cursor = self.draft.len();
    }

    fn replace(&mut self, draft: Vec<char>) {
        self.cursor = draft.len();
        self.draft = draft;
        self.browsing = None;
    }

    fn kill(&mut self, from: usize, to: usize) {
        self.draft.drain(from..to);
        self.cursor = from;
    }

    /// The visible character before `at`, with the marks upon it.
    fn before(&self, at: usize) -> usize {
        let mut at = at.saturating_sub(1);
        while at > 0 && self.is_mark(at) {
            at -= 1;
        }
        at
    }

    fn after(&self, at: usize) -> usize {
        let mut at = (at + 1).min(self.draft.len());
        while at < self.draft.len() && self.is_mark(at) {
            at += 1;
        }
        at
    }

    fn is_mark(&self, at: usize) -> bool {
        self.draft[at] != '\n' && char_width(self.draft[at]) == 0
    }

    fn line_start(&self) -> usize {
        self.draft[..self.cursor]
            .iter()
            .rposition(|&c| c == '\n')
            .map_or(0, |at| at + 1)
    }

    fn line_end(&self) -> usize {
        let rest = self.draft[self.cursor..].iter().position(|&c| c == '\n');
        rest.map_or(self.draft.len(), |at| self.cursor + at)
    }

    fn word_start(&self) -> usize {
        let is_space = |at: usize| self.draft[at].is_whitespace();
        let mut at = self.cursor;
        while at > 0 && is_space(at - 1) {
            at -= 1;
        }
        while at > 0 && !is_space(at - 1) {
            at -= 1;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays keys; `<name>` is a key by name, anything else is typed.
    fn play(editor: &mut Editor, keys: &str) -> Vec<String> {
        let mut sent = Vec::new();
        let mut rest = keys;
        while let Some(c) = rest.chars().next() {
            let key = match rest.strip_prefix('<').and_then(|r| r.split_once('>')) {
                Some((name, after)) => {
                    rest = after;
                    match name {
                        "left" => Key::Left,
                        "right" => Key::Right,
                        "home" => Key::Home,
                        "end" => Key::End,
                        "up" => Key::Up,
                        "down" => Key::Down,
                        "bs" => Key::Backspace,
                        "del" => Key::Delete,
                        "^u" => Key::KillBefore,
                        "^k" => Key::KillAfter,
                        "^w" => Key::KillWord,
                        "enter" => Key::Enter,
                        "^c" => Key::Interrupt,
                        other => panic!("no key {other}"),
                    }
                }
                None => {
                    rest = &rest[c.len_utf8()..];
                    Key::Char(c)
                }
            };
            if let Outcome::Send(text) = editor.key(key) {
                sent.push(text);
            }
        }
        sent
    }

    #[test]
    fn lines_are_edited_and_sent() {
        for (keys, sent) in [
            ("hello<enter>", "hello"),
            ("helo<left>l<enter>", "hello"),
            ("world<home>hello <end>!<enter>", "hello world!"),
            ("one two three<^w><^w>2<enter>", "one 2"),
            ("abc<left><^u><enter>", "c"),
            ("abc<left><^k><enter>", "ab"),
            ("漢字e\u{301}<bs><left><del>x<enter>", "漢x"),
            ("gone<^c>kept<enter>", "kept"),
            ("<bs><del><left><right><^w>ok<enter>", "ok"),
        ] {
            assert_eq!(play(&mut Editor::default(), keys), [sent], "{keys}");
        }
        assert!(play(&mut Editor::default(), "  <enter><enter>").is_empty());
        assert_eq!(play(&mut Editor::default(), "//etc<enter>"), ["/etc"]);
        let mut editor = Editor::default();
        assert!(play(&mut editor, "/puase<enter>").is_empty());
        assert_eq!(
            editor.one_row(20)[0],
            "/puase",
            "a slip is not sent and not lost"
        );
        let asked = editor.key(Key::Interrupt);
        assert_eq!(asked, Outcome::Edited);
        play(&mut editor, "/pause");
        assert_eq!(editor.key(Key::Enter), Outcome::Ask(Command::Pause));
    }

    #[test]
    fn history_keeps_the_draft() {
        let mut editor = Editor::default();
        let sent = play(
            &mut editor,
            "a<enter>b<enter>dra<up><up><up><down><down>ft<enter><up><up><enter>",
        );
        assert_eq!(sent, ["a", "b", "draft", "b"]);
    }

    #[test]
    fn a_paste_of_several_lines_is_one_draft() {
        let mut editor = Editor::default();
        assert_eq!(
            editor.key(Key::Paste("one\rtwo\r\n\u{1b}[31mthree".to_owned())),
            Outcome::Edited
        );
        assert_eq!(editor.one_row(40).concat(), "one↵two↵three ");
        assert_eq!(play(&mut editor, "<home>><enter>"), ["one\ntwo\n>three"]);
        let big = "x".repeat(MOST_DRAFT + 1);
        assert_eq!(
            editor.key(Key::Paste(big)),
            Outcome::Say("the draft is full".to_owned())
        );
    }

    #[test]
    fn interrupt_clears_and_then_explains() {
        let mut editor = Editor::default();
        play(&mut editor, "abc");
        assert_eq!(editor.key(Key::Interrupt), Outcome::Edited);
        assert_eq!(
            editor.key(Key::Interrupt),
            Outcome::Say(NOT_QUIT.to_owned())
        );
    }

    #[test]
    fn the_picture_follows_the_cursor() {
        let mut editor = Editor::default();
        play(&mut editor, "0123456789漢字");
        assert_eq!(editor.one_row(20), ["0123456789漢字", " ", ""]);
        assert_eq!(editor.one_row(8), ["789漢字", " ", ""]);
        play(&mut editor, "<left>");
        assert_eq!(editor.one_row(8), ["6789漢", "字", ""]);
        play(&mut editor, "<home>");
        assert_eq!(editor.one_row(8), ["", "0", "1234567"]);
        play(&mut editor, "<^u><end><^u>one two three");
        editor.key(Key::Paste("\nfour 漢字漢字".to_owned()));
        let shown = |editor: &Editor, most| {
            let rows = editor.picture(8, most);
            rows.iter().map(|row| row.join("|")).collect::<Vec<_>>()
        };
        let all = ["one two||", " three||", "four 漢||", "字漢字| |"];
        assert_eq!(shown(&editor, 9), all);
        assert_eq!(shown(&editor, 2), all[2..]);
        play(&mut editor, "<home><left><left>");
        assert_eq!(shown(&editor, 2), ["one two||", " thre|e|"]);
        play(&mut editor, "<home>");
        assert_eq!(shown(&editor, 2), ["|o|ne two", " three||"]);
        for columns in 1..4 {
            editor.picture(columns, 3);
            assert_eq!(width(&editor.one_row(columns).concat()), columns);
        }
    }
}
