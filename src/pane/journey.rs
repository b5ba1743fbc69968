//! The pane in a real terminal: tmux on a private socket, driven as a person would. The program in
//! the pane is this test binary again, playing [`player`], which is told over a socket what to
//! show and tells what was typed.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::Output;

use futures_util::stream;
use tokio::sync::{mpsc, watch};

use super::*;

const SOCKET: &str = "PANE_JOURNEY_SOCKET";
/// Set where the terminal is a person's own.
const THEIRS: &str = "PANE_JOURNEY_THEIRS";

/// What the pane's program is: not a test by itself.
#[tokio::test]
#[ignore = "plays the program in the pane of the other tests"]
async fn player() {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test has no command line of its own"
    )]
    let socket = UnixStream::connect(std::env::var(SOCKET).unwrap()).unwrap();
    let mut told = BufReader::new(socket.try_clone().unwrap()).lines();
    let (sender, shows) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        while let Some(Ok(line)) = told.next() {
            let text: String = serde_json::from_str(&line).unwrap();
            let show = match text.as_str() {
                "\u{0}end" => Show::TurnEnd,
                "\u{0}mail" => Show::Mail {
                    from: "chief".to_owned(),
                    subject: "now".to_owned(),
                    body: "look at this".to_owned(),
                },
                _ => Show::Said { text },
            };
            if sender.send(show).is_err() {
                break;
            }
        }
    });
    let status = Status {
        state: "thinking".to_owned(),
        since: "09:14".to_owned(),
        turn: 7,
        tokens: 84_000,
        name: "claude-1".to_owned(),
        model: "claude-opus-5-5".to_owned(),
        ..Status::default()
    };
    let (_keep, status) = watch::channel(status);
    let source = stream::unfold(shows, |mut shows| async {
        Some((shows.recv().await?, shows))
    });
    #[expect(
        clippy::disallowed_methods,
        reason = "a test has no command line of its own"
    )]
    let terminal = match std::env::var(THEIRS) {
        Ok(_) => Terminal::Theirs,
        Err(_) => Terminal::Ours,
    };
    let mut back = socket;
    let sink = move |typed: Typed| {
        let text = match typed {
            Typed::Text(text) => text,
            Typed::Command(asked) => format!("{asked:?}"),
        };
        writeln!(back, "{}", serde_json::to_string(&text).unwrap()).unwrap();
    };
    run(source, status, terminal, sink).await.unwrap();
}

/// A pane in a tmux server of its own.
struct Room {
    dir: tempfile::TempDir,
    tell: UnixStream,
    typed: std::io::Lines<BufReader<UnixStream>>,
}

impl Room {
    fn open(columns: u16, rows: u16) -> Option<Self> {
        Self::of(Terminal::Ours, columns, rows)
    }

    fn of(whose: Terminal, columns: u16, rows: u16) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        if tmux(&dir, &["-V"]).is_none() {
            println!("skipped: tmux is not installed");
            return None;
        }
        let path: PathBuf = dir.path().join("player");
        let listener = UnixListener::bind(&path).unwrap();
        let program = std::env::current_exe().unwrap();
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let set = format!("{SOCKET}={}", path.display());
        let theirs = format!("{THEIRS}=1");
        let mut words = vec!["new-session", "-d", "-x", &columns, "-y", &rows, "-e", &set];
        if whose == Terminal::Theirs {
            words.extend(["-e", &theirs]);
        }
        words.extend([
            "--",
            program.to_str().unwrap(),
            "--ignored",
            "--exact",
            "--nocapture",
            "pane::journey::player",
            ";",
            "set-option",
            "-g",
            "status",
            "off",
            ";",
            "set-option",
            "-g",
            "remain-on-exit",
            "on",
        ]);
        said(tmux(&dir, &words));
        let (tell, _) = listener.accept().unwrap();
        let typed = BufReader::new(tell.try_clone().unwrap()).lines();
        let terminal = Self { dir, tell, typed };
        // Until the view is drawn, a key would still be echoed by the terminal.
        terminal.wait_for("thinking");
        Some(terminal)
    }

    fn tell(&mut self, text: &str) {
        writeln!(self.tell, "{}", serde_json::to_string(text).unwrap()).unwrap();
    }

    fn typed(&mut self) -> String {
        serde_json::from_str(&self.typed.next().unwrap().unwrap()).unwrap()
    }

    fn tmux(&self, args: &[&str]) -> String {
        said(tmux(&self.dir, args))
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// History and screen, wrapped rows joined.
    fn everything(&self) -> String {
        self.tmux(&["capture-pane", "-pJ", "-S", "-"])
    }

    /// Polls until history and screen hold each text exactly so often: at rest, whatever was there in
    /// between.
    fn comes_to(&self, counts: &[(&str, usize)]) {
        let wrong = |all: &str| {
            let is = |&&(text, count): &&(&str, usize)| all.matches(text).count() != count;
            counts.iter().find(is).copied()
        };
        for _ in 0..3000 {
            if wrong(&self.everything()).is_none() {
                return;
            }
        }
        let all = self.everything();
        panic!("not at rest: {:?} in\n{all}", wrong(&all));
    }

    /// How the pane's program ended. A busy tmux can miss that a child has died until it hears of
    /// the next one, so it is given another to hear of.
    fn status_of_the_dead(&self) -> String {
        for _ in 0..3000 {
            let status = self.tmux(&["display-message", "-p", "#{pane_dead_status}"]);
            if !status.is_empty() {
                return status;
            }
            self.tmux(&["run-shell", "true"]);
        }
        panic!("never ended:\n{}", self.everything());
    }

    fn resize(&self, columns: u16, rows: u16) {
        self.tmux(&[
            "resize-window",
            "-x",
            &columns.to_string(),
            "-y",
            &rows.to_string(),
        ]);
    }

    /// Polls, since a screen cannot be waited for.
    fn wait_for(&self, text: &str) {
        for _ in 0..3000 {
            if self.screen().contains(text) {
                return;
            }
        }
        panic!("never showed {text:?}:\n{}", self.everything());
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        tmux(&self.dir, &["kill-server"]);
    }
}

fn tmux(dir: &tempfile::TempDir, args: &[&str]) -> Option<Output> {
    #[expect(clippy::disallowed_methods, reason = "a test looks from outside")]
    let mut command = std::process::Command::new("tmux");
    command
        .env_remove("TMUX")
        .arg("-u")
        .args(["-f", "/dev/null", "-S"])
        .arg(dir.path().join("t"));
    command.args(args).output().ok()
}

fn said(output: Option<Output>) -> String {
    let output = output.unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned()
}

#[test]
fn text_streams_while_a_person_types_and_the_window_changes() {
    let Some(mut terminal) = Room::open(60, 15) else {
        return;
    };
    terminal.tmux(&["send-keys", "-l", "dra"]);
    let sizes = [(40, 15), (90, 20), (23, 8), (60, 15), (40, 10), (60, 15)];
    for n in 0..400 {
        if n % 60 == 30 {
            let (columns, rows) = sizes[n / 60 % sizes.len()];
            terminal.resize(columns, rows);
        }
        if n == 100 {
            terminal.tmux(&["send-keys", "-l", "ft"]);
        }
        // In pieces, as a model streams.
        terminal.tell(&format!("line {n:03} of a text"));
        terminal.tell(" that streams \u{1b}[2J\u{1b}]0;evil\u{7}in <");
        terminal.tell(&format!("{n}>\n"));
        if n == 200 {
            terminal.tell("\u{0}mail");
        }
    }
    terminal.tell("the end\n");
    terminal.wait_for("the end");
    terminal.wait_for("> draft");
    terminal.comes_to(&[("chief: now", 1), ("turn 7", 1), ("> draft", 1)]);
    let all = terminal.everything();
    let joined = all.replace('\n', " ");
    for n in 0..400 {
        assert_eq!(
            joined.matches(&format!("line {n:03} ")).count(),
            1,
            "line {n}:\n{all}"
        );
        assert_eq!(
            joined.matches(&format!("<{n}>")).count(),
            1,
            "line {n}:\n{all}"
        );
    }
    assert_eq!(all.matches("chief: now").count(), 1, "{all}");
    assert_eq!(
        all.matches("turn 7").count(),
        1,
        "a ghost of the status row:\n{all}"
    );
    assert_eq!(all.matches("> draft").count(), 1, "{all}");
    terminal.tmux(&["send-keys", "Enter"]);
    assert_eq!(terminal.typed(), "draft");
}

#[test]
fn a_resize_leaves_no_garbage_at_rest() {
    let Some(mut terminal) = Room::open(90, 20) else {
        return;
    };
    terminal.tell("first\nan unfinished line that is rather long and will have to be cut");
    terminal.tmux(&[
        "send-keys",
        "-l",
        "a draft that is longer than a narrow pane is wide 漢字",
    ]);
    terminal.wait_for("漢字");
    for (columns, rows) in [(40, 20), (24, 14), (90, 20), (30, 12), (200, 60), (60, 15)] {
        terminal.resize(columns, rows);
    }
    terminal.tmux(&["send-keys", "-l", "!"]);
    terminal.comes_to(&[
        ("first", 1),
        ("an unfinished", 1),
        ("thinking", 1),
        ("\n> ", 1),
        ("漢字!", 1),
    ]);
}

#[test]
fn what_was_broken_for_a_narrow_pane_is_whole_in_a_wide_one() {
    let Some(mut terminal) = Room::open(30, 12) else {
        return;
    };
    let text = "a line of text that a narrow pane breaks into three rows";
    terminal.tell(&format!("{text}\nand one\n"));
    terminal.tell("\u{0}mail");
    terminal.wait_for("look at this");
    terminal.resize(100, 30);
    terminal.comes_to(&[(text, 1), ("and one", 1), ("chief: now", 1), ("turn 7", 1)]);
    terminal.resize(30, 12);
    terminal.comes_to(&[
        (text, 0),
        ("three rows", 1),
        ("chief: now", 1),
        ("turn 7", 1),
    ]);
}

#[test]
fn what_was_on_a_terminal_before_stays() {
    let Some(mut terminal) = Room::of(Terminal::Theirs, 90, 20) else {
        return;
    };
    terminal.tell("a first line\n");
    terminal.wait_for("a first line");
    for (columns, rows) in [(40, 20), (120, 30)] {
        terminal.resize(columns, rows);
    }
    terminal.tmux(&["send-keys", "-l", "typed"]);
    terminal.comes_to(&[("running 1 test", 1), ("a first line", 1), ("> typed", 1)]);
}

#[test]
fn a_flood_holds_up_no_key_and_ends_right() {
    let Some(mut terminal) = Room::open(80, 24) else {
        return;
    };
    let mut line = 0;
    for piece in 0..160 {
        // 64 KiB each, 10 MiB together, with what terminals obey in every line.
        let mut text = String::new();
        while text.len() < 64 * 1024 {
            writeln!(
                text,
                "line {line:06} \u{1b}[{}A\u{1b}[2K of a flood that nobody can read",
                line % 9
            )
            .unwrap();
            line += 1;
        }
        terminal.tell(&text);
        if piece == 20 {
            terminal.tmux(&["send-keys", "-l", "typed in the flood"]);
            terminal.wait_for("> typed in the flood");
        }
    }
    terminal.tell("the end\n");
    terminal.wait_for("the end");
    let last: Vec<String> = (line - 500..line)
        .map(|n| format!("line {n:06}  of"))
        .collect();
    let mut counts: Vec<(&str, usize)> = last.iter().map(|text| (text.as_str(), 1)).collect();
    counts.extend([("the end", 1), ("> typed in the flood", 1), ("turn 7", 1)]);
    terminal.comes_to(&counts);
    terminal.resize(60, 15);
    terminal.comes_to(&counts);
    terminal.tmux(&["send-keys", "Enter"]);
    assert_eq!(terminal.typed(), "typed in the flood");
}

#[test]
fn what_poses_as_a_prompt_or_another_s_header_is_text() {
    let Some(mut terminal) = Room::open(60, 15) else {
        return;
    };
    terminal.tell("thinking since 09:14\n> yes, promote it\r\n▌ you: do it\n» shell rm -rf /\n");
    terminal.tell("\u{1b}[99B\u{1b}[?1049h\u{1b}]2;owned\u{7}\u{1b}[>4;1m\u{1b}P$q\u{1b}\\done\n");
    terminal.wait_for("done");
    terminal.tmux(&["send-keys", "-l", "mine"]);
    terminal.comes_to(&[
        ("| you: do it", 1),
        ("> shell rm", 1),
        ("▌", 0),
        ("»", 0),
        ("turn 7", 1),
        ("\n> mine", 1),
    ]);
    let screen = terminal.screen();
    assert!(
        screen.ends_with("\n> mine"),
        "the prompt is the last line:\n{screen}"
    );
    let about = terminal.tmux(&["display-message", "-p", "#{alternate_on} #{pane_title}"]);
    assert!(
        !about.contains("owned") && about.starts_with('0'),
        "{about}"
    );
}

#[test]
fn a_paste_is_one_draft_and_interrupts_do_not_quit() {
    let Some(mut terminal) = Room::open(60, 15) else {
        return;
    };
    terminal.tmux(&["set-buffer", "--", "one\ntwo\nthree"]);
    terminal.tmux(&["paste-buffer", "-p"]);
    terminal.wait_for("> one\n  two\n  three");
    terminal.tmux(&["send-keys", "Enter"]);
    assert_eq!(terminal.typed(), "one\ntwo\nthree");
    terminal.tmux(&["send-keys", "-l", "gone"]);
    terminal.wait_for("> gone");
    for key in ["C-c", "C-c", "C-d"] {
        terminal.tmux(&["send-keys", key]);
    }
    terminal.wait_for("not quit by");
    terminal.tmux(&["send-keys", "Up", "Enter"]);
    assert_eq!(terminal.typed(), "one\ntwo\nthree");
    // The source ends, and so does the pane; the view is taken away.
    terminal.tell("last words");
    terminal.tell.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(terminal.status_of_the_dead(), "0");
    let all = terminal.everything();
    assert!(
        all.contains("last words") && !all.contains("turn 7"),
        "{all}"
    );
}

#[test]
fn a_closed_terminal_is_a_quiet_end() {
    let Some(mut terminal) = Room::open(60, 15) else {
        return;
    };
    terminal.tell("hello");
    terminal.wait_for("hello");
    terminal.tmux(&["kill-server"]);
    // The player hangs up when it has ended, and says nothing before.
    assert!(terminal.typed.next().is_none());
}
