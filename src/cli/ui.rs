//! The only printer: data to stdout, words to stderr.
//!
//! Owns both streams, whether they get colour, and how wide they are. A reader that has gone is not
//! an error. Must not know what is said.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::failure::{Failure, Kind};
use crate::view::figure;
use crate::view::paint::{Paint, Tint};

/// Columns where the terminal does not say.
const WIDTH: usize = 80;
/// Narrowest that tables are laid out for; below that they wrap.
const NARROWEST: usize = 40;

/// Our mouth.
pub(super) struct Ui {
    stdout: Mutex<Box<dyn Write + Send>>,
    stderr: Mutex<Box<dyn Write + Send>>,
    out: Paint,
    err: Paint,
    width: Option<usize>,
}

impl Ui {
    /// For this process's streams; `colour` is what the environment allows.
    #[must_use]
    pub(super) fn new(colour: bool) -> Self {
        let paint = |terminal: bool| {
            if colour && terminal {
                Paint::Ansi
            } else {
                Paint::Plain
            }
        };
        let stdout = io::stdout();
        let width = stdout.is_terminal().then(|| {
            rustix::termios::tcgetwinsize(&stdout)
                .map_or(WIDTH, |size| usize::from(size.ws_col))
                .max(NARROWEST)
        });
        Self {
            out: paint(stdout.is_terminal()),
            err: paint(io::stderr().is_terminal()),
            width,
            stdout: Mutex::new(Box::new(stdout)),
            stderr: Mutex::new(Box::new(io::stderr())),
        }
    }

    /// Onto two other streams, without colour.
    #[cfg(test)]
    pub(super) fn onto(
        stdout: impl Write + Send + 'static,
        stderr: impl Write + Send + 'static,
    ) -> Self {
        Self {
            stdout: Mutex::new(Box::new(stdout)),
            stderr: Mutex::new(Box::new(stderr)),
            out: Paint::Plain,
            err: Paint::Plain,
            width: None,
        }
    }

    /// Whether a person sits at both ends.
    #[must_use]
    pub(super) fn is_terminal(&self) -> bool {
        io::stdin().is_terminal() && io::stdout().is_terminal()
    }

    /// Columns and rows of the terminal, where there is one.
    #[must_use]
    pub(super) fn size(&self) -> Option<(u16, u16)> {
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
        Some((size.ws_col, size.ws_row)).filter(|(columns, rows)| *columns > 0 && *rows > 0)
    }

    /// How data is tinted.
    #[must_use]
    pub(super) fn paint(&self) -> Paint {
        self.out
    }

    /// Whether a terminal shows the data.
    #[must_use]
    pub(super) fn shows(&self) -> bool {
        self.width.is_some()
    }

    /// Columns for tables.
    #[must_use]
    pub(super) fn width(&self) -> usize {
        self.width.unwrap_or(WIDTH)
    }

    /// Columns for lines that other programs may want whole: endless where nobody looks.
    #[must_use]
    pub(super) fn line_width(&self) -> usize {
        self.width.unwrap_or(usize::MAX)
    }

    /// Prints data.
    ///
    /// # Errors
    /// Quiet where nobody reads, else what the stream says.
    pub(super) fn out(&self, text: &str) -> Result<(), Failure> {
        let mut stdout = self.stdout.lock().unwrap_or_else(PoisonError::into_inner);
        stdout.write_all(text.as_bytes())?;
        stdout.flush()?;
        Ok(())
    }

    /// Prints a value for scripts.
    ///
    /// # Errors
    /// As for [`Self::out`].
    pub(super) fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let mut text = serde_json::to_string_pretty(value).map_err(io::Error::from)?;
        text.push('\n');
        self.out(&text)
    }

    /// Says something beside the data.
    pub(super) fn note(&self, text: &str) {
        // Words that nobody can hear are no failure.
        let mut stderr = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(stderr, "{text}").ok();
    }

    /// Says why a command failed, and what to type next.
    pub(super) fn failure(&self, failure: &Failure) {
        if failure.kind == Kind::Quiet {
            return;
        }
        let mut text = format!(
            "{} {}",
            self.err.tint(Tint::Bad, "error:"),
            figure::harmless(&failure.message)
        );
        for cause in &failure.causes {
            text.push_str("\ncaused by: ");
            text.push_str(&figure::harmless(cause));
        }
        if !failure.hint.is_empty() {
            text.push_str("\n\n");
            text.push_str(&self.err.tint(Tint::Notable, "hint:"));
            text.push(' ');
            text.push_str(&failure.hint);
        }
        self.note(&text);
    }
}
