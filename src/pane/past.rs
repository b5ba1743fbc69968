//! What a pane has shown, kept so that it can be laid out anew at another width. Pure. Owns how much
//! is kept; must not know how it looks.

use std::collections::VecDeque;

use super::render::Show;

/// Bytes of text that are kept: some thousands of lines, about what the scrollback holds.
const MOST: usize = 192 * 1024;
/// What a show weighs beside its texts.
const FIXED: usize = 64;

/// The latest shows, oldest first.
#[derive(Debug, Default)]
pub(super) struct Past {
    shows: VecDeque<Show>,
    bytes: usize,
}

impl Past {
    /// Keeps one more. A piece of streaming text is added to the piece before it.
    pub(super) fn keep(&mut self, show: &Show) {
        match (self.shows.back_mut(), show) {
            (Some(Show::Said { text }), Show::Said { text: more })
            | (Some(Show::Thought { text }), Show::Thought { text: more }) => {
                text.push_str(more);
                self.bytes += more.len();
            }
            _ => {
                self.bytes += weight(show);
                self.shows.push_back(show.clone());
            }
        }
        while self.bytes > MOST {
            self.forget();
        }
    }

    /// All of them.
    pub(super) fn shows(&self) -> impl Iterator<Item = &Show> {
        self.shows.iter()
    }

    /// Forgets the oldest; of a text that is alone, its first half, so that this is rare.
    fn forget(&mut self) {
        if let [Show::Said { text } | Show::Thought { text }] = self.shows.make_contiguous() {
            let half = text.len() / 2;
            let line = text.as_bytes()[half..].iter().position(|b| *b == b'\n');
            let cut = line.map_or_else(|| text.ceil_char_boundary(half), |at| half + at + 1);
            text.drain(..cut);
            text.shrink_to_fit();
            self.bytes = FIXED + text.len();
            return;
        }
        match self.shows.pop_front() {
            Some(show) => self.bytes = self.bytes.saturating_sub(weight(&show)),
            None => self.bytes = 0,
        }
    }
}

fn weight(show: &Show) -> usize {
    let texts = match show {
        Show::Said { text }
        | Show::Thought { text }
        | Show::Human { text }
        | Show::Notice { text } => text.len(),
        Show::Call { tool, brief } => tool.len() + brief.len(),
        Show::CallDone {
            tool,
            brief,
            detail,
            ..
        } => tool.len() + brief.len() + detail.len(),
        Show::Mail {
            from,
            subject,
            body,
        } => from.len() + subject.len() + body.len(),
        Show::Result { id, status, text } => id.len() + status.len() + text.len(),
        Show::State { word, reason } => word.len() + reason.len(),
        Show::Told { lines } => lines.iter().map(|(_, text)| FIXED + text.len()).sum(),
        Show::Claims(standing) => standing
            .claims
            .iter()
            .map(|claim| 2 * FIXED + claim.title.len() + claim.effect.len())
            .sum(),
        Show::TurnEnd => 0,
    };
    FIXED + texts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Show {
        Show::Said {
            text: text.to_owned(),
        }
    }

    #[test]
    fn pieces_of_a_text_are_one_and_the_oldest_goes_first() {
        let mut past = Past::default();
        past.keep(&said("a "));
        past.keep(&said("text"));
        past.keep(&Show::TurnEnd);
        past.keep(&said("more"));
        let kept: Vec<&Show> = past.shows().collect();
        assert_eq!(kept, [&said("a text"), &Show::TurnEnd, &said("more")]);
        for n in 0..MOST / 100 {
            past.keep(&Show::Notice {
                text: format!("{n:0100}"),
            });
        }
        assert!(past.bytes <= MOST);
        assert_ne!(past.shows().next(), Some(&said("a text")));
        assert_eq!(past.bytes, past.shows().map(weight).sum::<usize>());
    }

    #[test]
    fn a_text_without_end_keeps_its_end() {
        let mut past = Past::default();
        for n in 0..40_000 {
            past.keep(&said(&format!("line {n} 漢字\n")));
        }
        past.keep(&said(&"漢".repeat(MOST)));
        past.keep(&said("the end"));
        let kept: Vec<&Show> = past.shows().collect();
        let [Show::Said { text }] = kept[..] else {
            panic!("{kept:?}");
        };
        assert!(text.len() <= MOST && text.ends_with("漢the end"));
        assert_eq!(past.bytes, FIXED + text.len());
    }
}
