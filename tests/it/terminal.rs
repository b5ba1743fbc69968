//! A person's terminal: a tmux of its own on a private socket, with one window of a given size, in which a
//! command runs. Keys go in as a person presses them, and the screen is read back.
//!
//! Must not know what runs in it.

use std::fs;

use crate::ground::{TestEnvironment, told, until};

/// The terminal; its end is the end of what runs in it.
pub(crate) struct Terminal<'a> {
    world: &'a TestEnvironment,
    socket: String,
}

impl<'a> Terminal<'a> {
    /// A terminal with `words` for a shell.
    pub(crate) fn open(world: &'a TestEnvironment, columns: u16, rows: u16, words: &str) -> Self {
        let mut number = 0;
        let path = loop {
            let path = world.at(&format!("outer{number}"));
            if !path.exists() {
                break path;
            }
            number += 1;
        };
        let socket = path.display().to_string();
        let this = Self { world, socket };
        this.tmux(&[
            "new-session",
            "-d",
            "-x",
            &columns.to_string(),
            "-y",
            &rows.to_string(),
            words,
            ";",
            "set-option",
            "-g",
            "remain-on-exit",
            "on",
            ";",
            "set-option",
            "-g",
            "status",
            "off",
        ]);
        this
    }

    pub(crate) fn tmux(&self, words: &[&str]) -> String {
        let mut command = self.world.command("tmux");
        command
            .args(["-u", "-f", "/dev/null", "-S", &self.socket])
            .args(words);
        told(command, "").well().out
    }

    pub(crate) fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Text, as it is typed.
    pub(crate) fn types(&self, text: &str) {
        self.tmux(&["send-keys", "-l", "--", text]);
    }

    /// Keys by name.
    pub(crate) fn keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// A paste, bracketed where the program asks for it.
    pub(crate) fn pastes(&self, text: &str) {
        self.tmux(&["set-buffer", "--", text]);
        self.tmux(&["paste-buffer", "-p"]);
    }

    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        let (columns, rows) = (columns.to_string(), rows.to_string());
        self.tmux(&["resize-window", "-x", &columns, "-y", &rows]);
    }

    #[track_caller]
    pub(crate) fn shows(&self, word: &str) {
        self.comes_to(word, |screen| screen.contains(word));
    }

    /// Waits for a screen.
    #[track_caller]
    pub(crate) fn comes_to(&self, what: &str, fits: impl Fn(&str) -> bool) {
        let mut last = Last(String::new());
        until(&format!("{what:?} on the screen"), || {
            last.0 = self.screen();
            fits(&last.0).then_some(())
        });
    }

    /// Waits for the end of what runs in it.
    #[track_caller]
    pub(crate) fn ends(&self) {
        until("the end of what runs in the terminal", || {
            let dead = self.tmux(&["display-message", "-p", "#{pane_dead}"]);
            (dead.trim() == "1").then_some(())
        });
    }
}

/// What was on the screen, told where it was not what was awaited.
struct Last(String);

impl Drop for Last {
    #[expect(clippy::print_stdout, reason = "the words of a failing test")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the screen was:\n{}", self.0);
        }
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        let mut command = self.world.command("tmux");
        command.args(["-S", &self.socket, "kill-server"]);
        told(command, "");
        fs::remove_file(&self.socket).ok();
    }
}
