//! The pane beside the chief, a feed of what happens, a line an event; and the standing of the claims,
//! for whoever asks for it. Values in, lines out; must not know events or claims' rules.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::pin::pin;

use futures_util::{Stream, StreamExt};

use super::input::Key;
use super::keys::{self, Raw, Tty};
use super::line::{Line, Tone};
use super::paint::Painter;
use super::screen::{Hangup, Terminal, quiet};
use super::text::{clean_line, clip, width, wrap};

/// Something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// When, as it is to be shown.
    pub at: String,
    /// Who did it.
    pub who: String,
    /// What, in a line.
    pub text: String,
    /// How it is meant.
    pub tone: Tone,
}

/// The claims and what is known about them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The best so far, what runs, what is queued.
    pub heading: String,
    /// In the order in which they are to be shown.
    pub claims: Vec<Claim>,
}

/// A row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// `h3`.
    pub id: String,
    /// Whose it is.
    pub agent: String,
    /// Its status's word.
    pub status: String,
    /// Measured effect and interval, or why it ended; may be empty.
    pub effect: String,
    /// What is claimed.
    pub title: String,
    /// How the status is meant.
    pub tone: Tone,
}

/// Notes that are laid out anew when the terminal has another size.
const KEPT: usize = 400;

/// Shows notes until the source ends or the terminal goes away.
pub async fn feed(source: impl Stream<Item = Note>, terminal: Terminal) -> io::Result<()> {
    quiet(follow_notes(source, terminal).await)
}

async fn follow_notes(source: impl Stream<Item = Note>, terminal: Terminal) -> io::Result<()> {
    let mut source = pin!(source);
    if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
        let mut out = io::stdout();
        while let Some(note) = source.next().await {
            for line in note_lines(&note, usize::MAX) {
                writeln!(out, "{}", line.text())?;
            }
            out.flush()?;
        }
        return Ok(());
    }
    // Raw, so that stray keys leave no trace and ^C does not end a view.
    let _raw = Raw::enter()?;
    let mut keys = keys::keys();
    let mut hangup = Hangup::new()?;
    let mut painter = Painter::new(Tty);
    let mut kept: VecDeque<Note> = VecDeque::new();
    loop {
        tokio::select! {
            () = hangup.comes() => return Ok(()),
            key = keys.recv() => match key {
                None => return Ok(()),
                Some(Key::Resize) if terminal == Terminal::Ours => {
                    let (columns, rows) = keys::size();
                    let all: Vec<Line> = kept.iter().flat_map(|note| note_lines(note, columns)).collect();
                    painter.afresh(&all, Vec::new(), rows)?;
                }
                Some(_) => {}
            },
            note = source.next() => match note {
                Some(note) => {
                    let columns = keys::size().0;
                    painter.paint(&note_lines(&note, columns), Vec::new())?;
                    if kept.len() == KEPT {
                        kept.pop_front();
                    }
                    kept.push_back(note);
                }
                None => return Ok(()),
            },
        }
    }
}

/// One event, on as many rows as it needs.
fn note_lines(note: &Note, columns: usize) -> Vec<Line> {
    let (at, who, text) = (
        clean_line(&note.at),
        clean_line(&note.who),
        clean_line(&note.text),
    );
    let head = width(&at) + width(&who) + 2;
    if head + width(&text) <= columns {
        let line = Line::of(Tone::Dim, format!("{at} ")).and(Tone::Strong, format!("{who} "));
        return vec![line.and(note.tone, text)];
    }
    let mut lines = vec![
        Line::of(Tone::Dim, format!("{at} "))
            .and(Tone::Strong, who)
            .clipped(columns),
    ];
    for row in wrap(&text, columns.saturating_sub(2).max(1)) {
        lines.push(Line::of(note.tone, format!("  {row}")).clipped(columns.max(1)));
    }
    lines
}

/// The table, at most `rows` high; agent and effect give way before the title does.
pub(super) fn standing_lines(standing: &Standing, columns: usize, rows: usize) -> Vec<Line> {
    let mut lines = vec![Line::of(Tone::Strong, clean_line(&standing.heading)).clipped(columns)];
    let room = rows.saturating_sub(1);
    let count = standing.claims.len();
    // To say that one is missing takes the place of that one.
    let shown = if count <= room {
        count
    } else {
        room.saturating_sub(1)
    };
    let claims = &standing.claims[..shown];
    let column = |pick: fn(&Claim) -> &str, least: usize| {
        let wide = claims
            .iter()
            .map(|claim| width(&clean_line(pick(claim))))
            .max();
        if columns < least {
            0
        } else {
            wide.unwrap_or(0).min(columns / 3)
        }
    };
    let wide = [
        column(|claim| &claim.id, 0),
        column(|claim| &claim.status, 0),
        column(|claim| &claim.effect, 40),
        column(|claim| &claim.agent, 60),
    ];
    for claim in claims {
        let cells = [&claim.id, &claim.status, &claim.effect, &claim.agent];
        let tones = [Tone::Strong, claim.tone, Tone::Plain, Tone::Dim];
        let mut line = Line::default();
        for ((cell, tone), wide) in cells.into_iter().zip(tones).zip(wide) {
            if wide > 0 {
                let cell = clip(&clean_line(cell), wide);
                let gap = " ".repeat(wide - width(&cell) + 1);
                line = line.and(tone, cell).and(Tone::Plain, gap);
            }
        }
        lines.push(
            line.and(Tone::Plain, clean_line(&claim.title))
                .clipped(columns),
        );
    }
    if shown < count && room > 0 {
        lines.push(Line::of(Tone::Dim, format!("… {} more", count - shown)).clipped(columns));
    }
    lines.truncate(rows);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Standing {
        let claim = |id: &str, status: &str, effect: &str, title: &str| Claim {
            id: id.to_owned(),
            agent: "claude-1".to_owned(),
            status: status.to_owned(),
            effect: effect.to_owned(),
            title: title.to_owned(),
            tone: Tone::Plain,
        };
        Standing {
            heading: "best 0.912 by h1 · 2 running · 1 queued".to_owned(),
            claims: vec![
                claim(
                    "h1",
                    "promoted",
                    "-0.0123 [-0.0150, -0.0096]",
                    "halve the learning rate",
                ),
                claim("h2", "mismatched", "flops 1.84", "a wider network 学習"),
                claim("h10", "screened", "", "no softcap"),
            ],
        }
    }

    fn shown(columns: usize, rows: usize) -> String {
        let lines = standing_lines(&table(), columns, rows);
        assert!(lines.len() <= rows);
        assert!(lines.iter().all(|line| line.width() <= columns));
        lines.iter().map(Line::text).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_table_gives_way_where_it_is_narrow() {
        insta::assert_snapshot!("standing_100", shown(100, 20));
        insta::assert_snapshot!("standing_40", shown(40, 20));
        insta::assert_snapshot!("standing_24", shown(24, 3));
        for (columns, rows) in [(0, 0), (1, 1), (3, 2), (500, 1)] {
            shown(columns, rows);
        }
    }

    #[test]
    fn a_note_is_a_line_where_it_fits() {
        let note = Note {
            at: "12:03:07".to_owned(),
            who: "lab".to_owned(),
            text: "h3 is promoted\nreally".to_owned(),
            tone: Tone::Good,
        };
        let at = |columns| {
            note_lines(&note, columns)
                .iter()
                .map(Line::text)
                .collect::<Vec<_>>()
        };
        assert_eq!(at(80), ["12:03:07 lab h3 is promoted really"]);
        assert_eq!(at(20), ["12:03:07 lab", "  h3 is promoted", "  really"]);
    }
}
