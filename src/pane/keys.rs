//! The keyboard. Owns the terminal's raw mode and the thread that waits for keys; must not know
//! what a key does.

use std::io::{self, Write};

use ratatui::crossterm::event::{
    DisableBracketedPaste, EnableBracketedPaste, Event, KeyCode, KeyEvent, KeyEventKind,
    KeyModifiers, read,
};
use ratatui::crossterm::{execute, terminal};
use tokio::sync::mpsc;

use super::input::Key;

/// A person types faster than nothing; a paste is one key.
const QUEUE: usize = 256;

/// The terminal in raw mode with bracketed paste, until this is dropped.
#[derive(Debug)]
pub(crate) struct Raw(());

impl Raw {
    /// Fails where standard input is no terminal.
    pub(crate) fn enter() -> io::Result<Self> {
        terminal::enable_raw_mode()?;
        let raw = Self(());
        // Not told of focus: tmux 3.3 crashes where it tells a pane whose program has just ended.
        execute!(io::stdout(), EnableBracketedPaste)?;
        Ok(raw)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // The terminal may be gone, and then there is nobody to tell.
        drop(execute!(io::stdout(), DisableBracketedPaste));
        drop(io::stdout().write_all(b"\x1b[?25h"));
        drop(terminal::disable_raw_mode());
    }
}

/// Standard output without a buffer: a painting must reach the terminal in one piece, and the
/// standard library's own cuts it at its last line end.
#[derive(Debug)]
pub(crate) struct Tty;

impl Write for Tty {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(rustix::stdio::stdout(), bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Keys as they are pressed. The thread ends when the terminal does, or with the process: a
/// blocking read cannot be called back.
pub(crate) fn keys() -> mpsc::Receiver<Key> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    std::thread::spawn(move || {
        while let Ok(event) = read() {
            if let Some(key) = key_of(event)
                && sender.blocking_send(key).is_err()
            {
                break;
            }
        }
    });
    receiver
}

/// Columns and rows of the terminal; a usual size where it does not say.
pub(crate) fn size() -> (usize, usize) {
    match terminal::size() {
        Ok((columns, rows)) if columns > 0 && rows > 0 => (columns.into(), rows.into()),
        _ => (80, 24),
    }
}

fn key_of(event: Event) -> Option<Key> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => pressed(key),
        Event::Paste(text) => Some(Key::Paste(text)),
        Event::Resize(..) => Some(Key::Resize),
        _ => None,
    }
}

fn pressed(key: KeyEvent) -> Option<Key> {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('a') => Some(Key::Home),
            KeyCode::Char('e') => Some(Key::End),
            KeyCode::Char('b') => Some(Key::Left),
            KeyCode::Char('f') => Some(Key::Right),
            KeyCode::Char('p') => Some(Key::Up),
            KeyCode::Char('n') => Some(Key::Down),
            KeyCode::Char('u') => Some(Key::KillBefore),
            KeyCode::Char('k') => Some(Key::KillAfter),
            KeyCode::Char('w') => Some(Key::KillWord),
            KeyCode::Char('h') => Some(Key::Backspace),
            // Enter does it: a slip of the hand calls nothing off.
            KeyCode::Char('x') => Some(Key::Paste("/cancel".to_owned())),
            KeyCode::Char('j') => Some(Key::Char('\n')),
            KeyCode::Char('c' | 'd') => Some(Key::Interrupt),
            _ => None,
        };
    }
    match key.code {
        KeyCode::Enter if key.modifiers.contains(KeyModifiers::ALT) => Some(Key::Char('\n')),
        _ if key.modifiers.contains(KeyModifiers::ALT) => None,
        KeyCode::Enter => Some(Key::Enter),
        KeyCode::Char(c) => Some(Key::Char(c)),
        KeyCode::Tab => Some(Key::Char('\t')),
        KeyCode::Left => Some(Key::Left),
        KeyCode::Right => Some(Key::Right),
        KeyCode::Home => Some(Key::Home),
        KeyCode::End => Some(Key::End),
        KeyCode::Up => Some(Key::Up),
        KeyCode::Down => Some(Key::Down),
        KeyCode::Backspace => Some(Key::Backspace),
        KeyCode::Delete => Some(Key::Delete),
        _ => None,
    }
}
