//! A person's pane: how soon a piece of a model's reply is on the screen, and how soon what was typed is
//! in the log; against a terminal with `cat` on it, and a bare append that is synced.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use org::os::clock;
use org::run::log::Log;
use org::run::paths::RunDir;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::Broken;
use super::idle::at_rest;
use super::scene::Scene;
use super::table::{Goal, Table, ms, quantile};

/// Times that each is measured.
const ROUNDS: usize = 200;
/// Where the worst of twenty lies.
const P95: f64 = 0.95;
/// No screen takes longer.
const LIMIT: Duration = Duration::from_secs(20);
/// What a pane of eight on a usual screen has.
const SIZE: Winsize = Winsize {
    ws_col: 55,
    ws_row: 24,
    ws_xpixel: 0,
    ws_ypixel: 0,
};

/// Measures both ways through a pane.
pub(crate) fn measure(table: &mut Table) -> Result<(), Broken> {
    let scene = Scene::new()?;
    let dir = at_rest(&scene, &["--headless"])?;
    // So that what is typed starts no turn.
    scene.run(&["pause", "all", "--run", &dir.id()])?;
    let mut cat = Terminal::open(&scene, &["/bin/cat".to_owned()])?;
    let (exe, run) = (env!("CARGO_BIN_EXE_org"), dir.path().display().to_string());
    let words = [exe, "pane", "chief", "--run", &run, "--seated"].map(str::to_owned);
    let mut pane = Terminal::open(&scene, &words)?;
    pane.shows("> ")?;
    let mut live = stream(&dir)?;
    let (mut floor, mut shown) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let mark = format!("floor{round:04}");
        let begun = clock::monotonic();
        cat.master.write_all(format!("{mark}\n").as_bytes())?;
        // Its echo, and then the program's own line.
        cat.shows(&format!("{mark}\r\n{mark}"))?;
        floor.push(ms(begun.elapsed()));
        let mark = format!("model{round:04}");
        let begun = clock::monotonic();
        writeln!(
            live,
            "{}",
            serde_json::json!({ "text": format!("{mark} ") })
        )?;
        pane.shows(&mark)?;
        shown.push(ms(begun.elapsed()));
    }
    row(table, "model's byte to the screen, p95", &floor, &shown);
    let (floor, typed) = enter(&scene, &dir, &mut pane)?;
    row(table, "Enter to the log, p95", &floor, &typed);
    Ok(())
}

fn row(table: &mut Table, name: &str, floor: &[f64], ours: &[f64]) {
    let (floor, ours) = (quantile(floor, P95), quantile(ours, P95));
    // What a person feels as at once; debug builds are within it too.
    table.row(name, "ms", Some(floor), ours, Goal::Most(50.0));
}

/// The stream of a request in flight, as the agent writes it.
fn stream(dir: &RunDir) -> Result<File, Broken> {
    let mut live = OpenOptions::new()
        .create(true)
        .append(true)
        .open(dir.live("chief"))?;
    live.set_len(0)?;
    writeln!(live, "{}", serde_json::json!({ "request": 1 }))?;
    Ok(live)
}

/// From a key to the event, and a bare append that is synced.
fn enter(scene: &Scene, dir: &RunDir, pane: &mut Terminal) -> Result<(Vec<f64>, Vec<f64>), Broken> {
    let mut bare = File::create(scene.path().join("bare.jsonl"))?;
    let mut log = Log::open(dir)?;
    let (mut floor, mut typed) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let begun = clock::monotonic();
        writeln!(bare, "{{\"seq\":{round},\"text\":\"typed\"}}")?;
        bare.sync_data()?;
        floor.push(ms(begun.elapsed()));
        let before = log.state().mails.len();
        let text = format!("typed{round:04}");
        pane.master.write_all(text.as_bytes())?;
        pane.shows(&text)?;
        let begun = clock::monotonic();
        pane.master.write_all(b"\r")?;
        while log.state().mails.len() == before {
            log.catch_up()?;
            log.drain();
            if begun.elapsed() > LIMIT {
                return Err("what was typed never came to the log".into());
            }
        }
        typed.push(ms(begun.elapsed()));
        pane.shows("sent")?;
    }
    Ok((floor, typed))
}

/// A program on a terminal of our own.
struct Terminal {
    master: File,
    seen: String,
    child: Child,
}

impl Terminal {
    fn open(scene: &Scene, words: &[String]) -> Result<Self, Broken> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?;
        let slave = OpenOptions::new()
            .read(true)
            .write(true)
            .open(name.to_str()?)?;
        tcsetwinsize(&slave, SIZE)?;
        #[expect(
            clippy::disallowed_methods,
            reason = "what is measured sits on a terminal, which no job of ours does"
        )]
        let mut command = Command::new(&words[0]);
        let end =
            || -> Result<Stdio, Broken> { Ok(Stdio::from(OwnedFd::from(slave.try_clone()?))) };
        let child = command
            .args(&words[1..])
            .env("ORG_RUNS", scene.path().join("runs"))
            .env("XDG_STATE_HOME", scene.path().join("state"))
            .stdin(end()?)
            .stdout(end()?)
            .stderr(end()?)
            .spawn()?;
        Ok(Self {
            master: File::from(master),
            seen: String::new(),
            child,
        })
    }

    /// Reads until the screen was sent these words; what came before them is forgotten.
    fn shows(&mut self, words: &str) -> Result<(), Broken> {
        let begun: Instant = clock::monotonic();
        let mut bytes = [0; 8192];
        loop {
            if let Some(at) = self.seen.find(words) {
                self.seen.drain(..at + words.len());
                return Ok(());
            }
            if begun.elapsed() > LIMIT {
                return Err(format!("never showed {words:?}").into());
            }
            let read = self.master.read(&mut bytes)?;
            self.seen.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
