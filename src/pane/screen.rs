//! The pane at work: shows and status come in, keys are taken, and the screen follows. Owns the
//! loop and what is in the live view; must not know where shows come from nor what becomes of what
//! is typed.

use std::io::{self, IsTerminal, Write};
use std::pin::{Pin, pin};
use std::time::Duration;

use futures_util::{FutureExt, Stream, StreamExt};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};

use super::command::Command;
use super::input::{Editor, Key, Outcome};
use super::keys::{self, Raw, Tty};
use super::line::{Line, Tone};
use super::paint::Painter;
use super::past::Past;
use super::render::{Feed, Show};
use super::status::{Status, status_rows};

/// Shows that are taken in before the screen is drawn again, so that a flood is drawn in gulps and
/// a key is never far away.
const GULP: usize = 256;
/// Lines after which no more are taken in before the screen is drawn again.
const GULP_LINES: usize = 1000;

/// Rows from which status and draft may take more than one each.
const TALL: usize = 14;

/// How long a terminal must keep its size until everything is laid out for it: whoever drags a
/// border makes dozens of sizes.
const SETTLED: Duration = Duration::from_millis(120);

/// Whose the terminal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terminal {
    /// A pane of the office, with its scrollback: all of it is laid out anew at another size, so that
    /// a zoomed pane is read at its full width.
    Ours,
    /// A person's, who had something on it before: nothing above is touched.
    Theirs,
}

/// What a person sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    /// Words for the agent, as they were typed; may hold several lines.
    Text(String),
    /// Something for the pane to do.
    Command(Command),
}

/// Shows one agent until the source ends or the terminal goes away, which is no error. On a
/// terminal there is a status row and an input line; elsewhere the same lines come plain and
/// unwrapped. `sink` gets what is typed, when Enter is pressed; whether it arrived is for the
/// caller to say, by a [`Show::Notice`] or the [`Show::Human`] that follows.
pub async fn run(
    source: impl Stream<Item = Show>,
    status: watch::Receiver<Status>,
    terminal: Terminal,
    sink: impl FnMut(Typed),
) -> io::Result<()> {
    let ended = if io::stdin().is_terminal() && io::stdout().is_terminal() {
        let _raw = Raw::enter()?;
        Screen::new(status, terminal, sink).follow(source).await
    } else {
        plain(source).await
    };
    quiet(ended)
}

/// A reader or terminal that has gone away is a usual end.
pub(crate) fn quiet(ended: io::Result<()>) -> io::Result<()> {
    match ended {
        // EIO is what a terminal answers when its other side is closed.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe || e.raw_os_error() == Some(5) => Ok(()),
        other => other,
    }
}

/// The end that a terminal, or somebody who means it, can ask for.
pub(crate) struct Hangup {
    hangup: Signal,
    terminate: Signal,
}

impl Hangup {
    pub(crate) fn new() -> io::Result<Self> {
        let hangup = signal(SignalKind::hangup())?;
        Ok(Self {
            hangup,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    pub(crate) async fn comes(&mut self) {
        tokio::select! {
            _ = self.hangup.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// When the time is up; where none runs, whoever waits is asked not to.
async fn elapsed(timer: &mut Option<Pin<Box<tokio::time::Sleep>>>) {
    if let Some(timer) = timer {
        timer.await;
    }
}

async fn plain(source: impl Stream<Item = Show>) -> io::Result<()> {
    let mut source = pin!(source);
    let mut feed = Feed::default();
    let mut out = io::stdout();
    while let Some(show) = source.next().await {
        for line in feed.push(&show, usize::MAX) {
            writeln!(out, "{}", line.text())?;
        }
        out.flush()?;
    }
    for line in feed.push(&Show::TurnEnd, usize::MAX) {
        writeln!(out, "{}", line.text())?;
    }
    out.flush()
}

struct Screen<F> {
    feed: Feed,
    editor: Editor,
    painter: Painter<Tty>,
    status: watch::Receiver<Status>,
    sink: F,
    /// Shown in place of the status until the next key.
    said: Option<String>,
    /// Finished lines that are not on the screen yet.
    above: Vec<Line>,
    /// What was shown, where the terminal is ours.
    past: Option<Past>,
    /// Runs out when the terminal has kept its size, and everything is to be laid out for it.
    settles: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl<F: FnMut(Typed)> Screen<F> {
    fn new(status: watch::Receiver<Status>, terminal: Terminal, sink: F) -> Self {
        Self {
            feed: Feed::default(),
            editor: Editor::default(),
            painter: Painter::new(Tty),
            status,
            sink,
            said: None,
            above: Vec::new(),
            past: (terminal == Terminal::Ours).then(Past::default),
            settles: None,
        }
    }

    async fn follow(mut self, source: impl Stream<Item = Show>) -> io::Result<()> {
        let mut source = pin!(source.fuse());
        let mut keys = keys::keys();
        let mut hangup = Hangup::new()?;
        let mut status_lives = true;
        self.painter.start()?;
        loop {
            self.paint()?;
            tokio::select! {
                // Keys first: a flood of text must not make typing wait.
                biased;
                () = hangup.comes() => break,
                key = keys.recv() => match key {
                    Some(key) => self.keys(key, &mut keys),
                    None => break,
                },
                () = elapsed(&mut self.settles), if self.settles.is_some() => {
                    self.settles = None;
                    self.lay_out()?;
                }
                changed = self.status.changed(), if status_lives => status_lives = changed.is_ok(),
                show = source.next() => match show {
                    Some(show) => {
                        self.take(&show);
                        for _ in 1..GULP {
                            if self.above.len() > GULP_LINES {
                                break;
                            }
                            let Some(Some(show)) = source.next().now_or_never() else { break };
                            self.take(&show);
                        }
                    }
                    None => break,
                },
            }
        }
        self.take(&Show::TurnEnd);
        self.paint()?;
        self.painter.finish()
    }

    fn take(&mut self, show: &Show) {
        self.above.extend(self.feed.push(show, keys::size().0));
        if let Some(past) = &mut self.past {
            past.keep(show);
        }
    }

    /// Everything that was shown, at the size that the terminal has now.
    fn lay_out(&mut self) -> io::Result<()> {
        let Some(past) = &self.past else {
            return Ok(());
        };
        let (columns, rows) = keys::size();
        let mut feed = Feed::default();
        let shows = past.shows();
        let all: Vec<Line> = shows.flat_map(|show| feed.push(show, columns)).collect();
        self.feed = feed;
        self.above.clear();
        let view = self.view(columns, rows);
        self.painter.afresh(&all, view, rows)
    }

    /// All keys that are there, so that a burst is drawn once.
    fn keys(&mut self, first: Key, more: &mut mpsc::Receiver<Key>) {
        let mut next = Some(first);
        while let Some(key) = next {
            match key {
                Key::Resize => {
                    self.above.extend(self.feed.rewrap(keys::size().0));
                    self.painter.forget();
                    if self.past.is_some() {
                        self.settles = Some(Box::pin(tokio::time::sleep(SETTLED)));
                    }
                }
                key => {
                    self.said = None;
                    match self.editor.key(key) {
                        Outcome::Edited => {}
                        Outcome::Send(text) => (self.sink)(Typed::Text(text)),
                        Outcome::Ask(asked) => (self.sink)(Typed::Command(asked)),
                        Outcome::Say(text) => self.said = Some(text),
                    }
                }
            }
            next = more.try_recv().ok();
        }
    }

    fn paint(&mut self) -> io::Result<()> {
        let (columns, rows) = keys::size();
        let view = self.view(columns, rows);
        let above = std::mem::take(&mut self.above);
        self.painter.paint(&above, view)
    }

    /// The unfinished line, the status and the input line, as far as they fit.
    fn view(&self, columns: usize, rows: usize) -> Vec<Line> {
        // The last column stays free: text that reaches it is wrapped by some terminals.
        let room = columns.saturating_sub(1).max(1);
        let mut view = Vec::new();
        if rows >= 4
            && let Some(tail) = self.feed.tail(columns)
        {
            view.push(tail.clipped(room));
        }
        if rows >= 2 {
            match &self.said {
                Some(said) => view.push(Line::of(Tone::Warn, said.clone()).clipped(room)),
                None => {
                    let most = if rows >= TALL { 2 } else { 1 };
                    view.extend(status_rows(&self.status.borrow(), room, most));
                }
            }
        }
        let prompt = if columns >= 8 { "> " } else { "" };
        let most = if rows >= TALL { rows / 4 } else { 1 };
        let picture = self.editor.picture(room.saturating_sub(prompt.len()), most);
        // Which pane the keys go to, the office shows; a cursor shows where a draft goes on.
        let cursor = if self.editor.is_empty() {
            Tone::Plain
        } else {
            Tone::Cursor
        };
        for (number, [before, under, after]) in picture.into_iter().enumerate() {
            let margin = if number == 0 {
                Line::of(Tone::Human, prompt)
            } else {
                Line::of(Tone::Human, " ".repeat(prompt.len()))
            };
            let line = margin.and(Tone::Plain, before);
            view.push(line.and(cursor, under).and(Tone::Plain, after));
        }
        view
    }
}
