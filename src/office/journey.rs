//! The office against a real tmux on a private socket. A second private server plays the person's
//! terminal, since a client needs one. Must not touch anybody's own server.

use std::path::{Path, PathBuf};
use std::process::Output;

use super::*;
use crate::os::exec::{Exec, Input};
use crate::os::process::{self, MARK};

/// How often something is looked for: some ten seconds, and on a busy machine more.
const LOOKS: u32 = 4000;

/// An office in a directory of its own; skipped, saying so, where tmux is missing.
struct World {
    dir: tempfile::TempDir,
    office: Office,
}

impl World {
    fn new() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        if tmux(&dir.path().join("none"), &["-V"]).is_none() {
            println!("skipped: tmux is not installed");
            return None;
        }
        let office = Office::Tmux(TmuxOffice::at(&dir.path().join("s"), env()).unwrap());
        Some(Self { dir, office })
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("s")
    }

    /// What our server says to a command.
    fn ask(&self, args: &[&str]) -> String {
        said(&tmux(&self.socket(), args).unwrap())
    }

    /// Looks until the first pane's window has a size; the asking itself takes milliseconds.
    fn await_size(&self, format: &str, wanted: &str) {
        let size = || self.ask(&["display-message", "-p", "-t", "%0", format]);
        assert!(
            (0..LOOKS).any(|_| size() == wanted),
            "never {wanted}: {}",
            size()
        );
    }

    /// Width and height of each pane of a window, in reading order.
    fn cells(&self, window: &str) -> Vec<(u16, u16)> {
        let format = "#{pane_width} #{pane_height}";
        self.ask(&["list-panes", "-t", window, "-F", format])
            .lines()
            .map(|line| {
                let (w, h) = line.split_once(' ').unwrap();
                (w.parse().unwrap(), h.parse().unwrap())
            })
            .collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for socket in ["s", "terminal"] {
            tmux(&self.dir.path().join(socket), &["kill-server"]);
        }
    }
}

fn env() -> Vec<(String, String)> {
    #[expect(clippy::disallowed_methods, reason = "a test stands in for cli")]
    let path = std::env::var("PATH").unwrap();
    [
        ("PATH", path.as_str()),
        ("HOME", "/nonexistent"),
        ("TERM", "xterm-256color"),
    ]
    .map(|(k, v)| (k.to_owned(), v.to_owned()))
    .to_vec()
}

fn tmux(socket: &Path, args: &[&str]) -> Option<Output> {
    #[expect(clippy::disallowed_methods, reason = "a test looks from outside")]
    let mut command = std::process::Command::new("tmux");
    command
        .env_clear()
        .envs(env())
        .arg("-u")
        .arg("-S")
        .arg(socket)
        .args(["-f", "/dev/null"]);
    command.args(args).output().ok()
}

fn said(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned()
}

fn seat(name: &str, argv: &[&str]) -> Seat {
    Seat {
        name: name.to_owned(),
        argv: argv.iter().map(|s| (*s).to_owned()).collect(),
        env: Vec::new(),
        title: "researcher opus GPU 0".to_owned(),
    }
}

fn plan(grid: Option<(u16, u16)>, seats: usize) -> Plan {
    // Counts the changes of size that it sees.
    let count = "n=0; trap 'n=$((n+1)); echo resized $n' WINCH; echo ready; \
                 while :; do read line && echo got $line; done";
    let named = |prefix: &str, n: usize| {
        (0..n)
            .map(|i| seat(&format!("{prefix}-{i}"), &["sh", "-c", count]))
            .collect()
    };
    Plan {
        session: "nano:chat.x".to_owned(),
        mock: true,
        grid,
        size: (220, 50),
        pages: named("claude", seats),
        hq: named("hq", 3),
        history: 3000,
        bell: None,
        tints: vec![Tint {
            word: "held".to_owned(),
            colour: "red".to_owned(),
        }],
    }
}

/// All cells equal within one column and one line.
fn assert_equal_cells(cells: &[(u16, u16)], count: usize) {
    assert_eq!(cells.len(), count, "{cells:?}");
    for side in [|c: &(u16, u16)| c.0, |c: &(u16, u16)| c.1] {
        let (low, high) = (cells.iter().map(side).min(), cells.iter().map(side).max());
        assert!(high.zip(low).is_some_and(|(h, l)| h - l <= 1), "{cells:?}");
    }
}

#[tokio::test]
async fn a_grid_is_exact_and_its_programs_saw_no_resize() {
    let Some(world) = World::new() else { return };
    let opened = world.office.open(&plan(Some((4, 2)), 10)).await.unwrap();
    assert_eq!(opened.panes.len(), 13);
    assert_eq!(
        world.ask(&["list-windows", "-a", "-F", "#{session_name} #{window_name}"]),
        "nano_chat_x office\nnano_chat_x office-2\nnano_chat_x hq"
    );
    assert_equal_cells(&world.cells(":=office"), 8);
    assert_equal_cells(&world.cells(":=office-2"), 2);
    // Chart order is reading order.
    let order = world.ask(&[
        "list-panes",
        "-t",
        ":=office",
        "-F",
        "#{@org_seat} #{pane_id}",
    ]);
    let want: Vec<String> = (0..8)
        .map(|i| format!("claude-{i} {}", opened.panes[&format!("claude-{i}")]))
        .collect();
    assert_eq!(order.lines().collect::<Vec<_>>(), want);
    let Liveness::Alive(panes) = world.office.alive().await else {
        panic!("alive")
    };
    assert!(panes.iter().all(|p| p.ended.is_none()), "{panes:?}");
    for pane in &panes {
        world.ask(&["send-keys", "-t", &pane.id, "hello", "Enter"]);
        await_text(&world.socket(), &pane.id, "got hello");
        let text = world.ask(&["capture-pane", "-p", "-t", &pane.id]);
        assert!(!text.contains("resized"), "{text}");
    }
}

#[tokio::test]
async fn any_grid_is_exact_at_any_size() {
    let Some(world) = World::new() else { return };
    for (grid, seats) in [
        ((2, 4), 8),
        ((3, 3), 9),
        ((8, 8), 64),
        ((1, 5), 5),
        ((5, 1), 5),
    ] {
        let mut plan = plan(Some(grid), seats);
        plan.hq.clear();
        plan.size = (40, 10);
        world.office.open(&plan).await.unwrap();
        assert_equal_cells(&world.cells(":=office"), seats);
    }
}

#[tokio::test]
async fn the_grid_follows_the_terminal_and_zoom_survives() {
    let Some(world) = World::new() else { return };
    world.office.open(&plan(Some((4, 2)), 8)).await.unwrap();
    let terminal = world.dir.path().join("terminal");
    let argv = world.office.attach_argv(None, None).unwrap();
    world.ask(&["select-pane", "-t", "%2"]);
    let mut start = vec!["new-session", "-d", "-x", "80", "-y", "24"];
    start.extend(argv.iter().map(String::as_str));
    start.extend([";", "set-option", "-g", "status", "off"]);
    said(&tmux(&terminal, &start).unwrap());
    for (w, h) in [
        ("80", "24"),
        ("223", "51"),
        ("171", "33"),
        ("61", "20"),
        ("220", "50"),
        ("40", "10"),
    ] {
        said(&tmux(&terminal, &["resize-window", "-x", w, "-y", h]).unwrap());
        let rows = h.parse::<u16>().unwrap() - 1;
        world.await_size("#{window_width}x#{window_height}", &format!("{w}x{rows}"));
        assert_equal_cells(&world.cells(":=office"), 8);
    }
    assert_eq!(world.ask(&["display-message", "-p", "#{pane_id}"]), "%2");

    world.ask(&["resize-pane", "-Z", "-t", "%2"]);
    said(&tmux(&terminal, &["resize-window", "-x", "97", "-y", "31"]).unwrap());
    world.await_size("#{window_width}", "97");
    assert_eq!(
        world.ask(&["display-message", "-p", "#{pane_id} #{window_zoomed_flag}"]),
        "%2 1"
    );
    world.ask(&["resize-pane", "-Z"]);
    assert_equal_cells(&world.cells(":=office"), 8);
}

#[tokio::test]
async fn words_arrive_as_they_were_given() {
    let Some(world) = World::new() else { return };
    let odd = [
        "a;",
        ";",
        "-x",
        "$HOME",
        "~",
        "#{pid}",
        "#(false)",
        "it's \"q\"",
        "two\nlines",
        "\\e",
        "é漢",
        "",
        "{",
        "%if",
    ];
    let mut argv = vec![
        "sh",
        "-c",
        "printf '<%s>' \"$@\"; printf '[%s]' \"$A\" \"$B\"; cat",
        "sh",
    ];
    argv.extend(odd);
    let mut plan = plan(None, 0);
    plan.hq = vec![seat("it's #(touch x)", &argv)];
    plan.hq[0].env = vec![
        ("A".to_owned(), "1;".to_owned()),
        ("B".to_owned(), "-y #{x}".to_owned()),
    ];
    plan.hq[0].title = "t #(touch y) #[fg=red]z;".to_owned();
    let opened = world.office.open(&plan).await.unwrap();
    let pane = &opened.panes["it's #(touch x)"];
    let want: String = odd.iter().map(|w| format!("<{w}>")).collect::<String>() + "[1;][-y #{x}]";
    await_text(&world.socket(), pane, "[-y #{x}]");
    let text = world.ask(&["capture-pane", "-pJ", "-t", pane]);
    assert_eq!(text, want);
    world
        .office
        .mark(&[
            Mark::Title {
                pane: pane.clone(),
                text: "#(touch z);".to_owned(),
            },
            Mark::State {
                pane: pane.clone(),
                word: "held".to_owned(),
            },
            Mark::Needs(2),
        ])
        .await
        .unwrap();
    let shown = world.ask(&[
        "display-message",
        "-p",
        "-t",
        pane,
        "#{pane_title}|#{@org_state}|#{@org_needs}",
    ]);
    assert_eq!(shown, "#(touch z);|held|2");
}

#[tokio::test]
async fn a_dead_pane_is_seen_and_reseated_in_place() {
    let Some(world) = World::new() else { return };
    let mut plan = plan(Some((4, 2)), 2);
    plan.pages[0].argv = vec!["false".to_owned()];
    plan.pages[1].argv = ["sh", "-c", "kill -9 $$"].map(str::to_owned).to_vec();
    let opened = world.office.open(&plan).await.unwrap();
    let ends = || async {
        let Liveness::Alive(panes) = world.office.alive().await else {
            panic!("alive")
        };
        panes[..2]
            .iter()
            .map(|p| p.ended.clone())
            .collect::<Vec<_>>()
    };
    let mut seen = ends().await;
    while seen.iter().any(Option::is_none) {
        seen = ends().await;
    }
    assert_eq!(
        seen,
        [Some("exit 1".to_owned()), Some("signal 9".to_owned())]
    );
    let pane = &opened.panes["claude-0"];
    world
        .office
        .reseat(pane, &seat("claude-0", &["cat"]))
        .await
        .unwrap();
    assert_eq!(ends().await[0], None);
    assert!(matches!(
        world.office.reseat("%99", &plan.pages[0]).await,
        Err(OfficeError::Refused { said }) if said.contains("%99")
    ));
}

#[tokio::test]
async fn close_leaves_no_server_and_no_socket_and_open_builds_anew() {
    let Some(world) = World::new() else { return };
    assert_eq!(world.office.alive().await, Liveness::Gone);
    world.office.close().await.unwrap();
    for _ in 0..3 {
        world.office.open(&plan(Some((4, 2)), 8)).await.unwrap();
        let pid: i32 = world
            .ask(&["display-message", "-p", "#{pid}"])
            .parse()
            .unwrap();
        // A second office on the same socket replaces the first.
        world.office.open(&plan(None, 4)).await.unwrap();
        assert_ended(pid);
        let pid: i32 = world
            .ask(&["display-message", "-p", "#{pid}"])
            .parse()
            .unwrap();
        world.office.close().await.unwrap();
        assert_ended(pid);
        assert_eq!(std::fs::read_dir(world.dir.path()).unwrap().count(), 0);
        assert_eq!(world.office.alive().await, Liveness::Gone);
    }
    world.office.close().await.unwrap();
}

/// A builder that was killed leaves its tmux, which would build an office after the closing.
#[tokio::test]
async fn what_goes_on_without_its_builder_is_ended_and_what_sits_in_panes_is_not_marked() {
    let Some(world) = World::new() else { return };
    world.office.open(&plan(Some((4, 2)), 8)).await.unwrap();
    let unmarked = world.ask(&["show-environment", "-g"]);
    assert!(!unmarked.contains(MARK), "{unmarked}");
    let mark = format!("office {}", world.dir.path().join("s").display());
    let straggler = |program: &str| {
        let exec = Exec::new("/bin/sh").args(["-c", program]);
        let exec = exec.envs(env()).env(MARK, &mark).stdin(Input::Pipe);
        exec.spawn_detached().unwrap()
    };
    let mut late = straggler("exec cat");
    // As soon as it is told to end, it comes up with a server all the same.
    let socket = world.dir.path().join("s");
    let again = format!(
        "trap 'exec tmux -S {} -f /dev/null new-session -d' TERM; echo up; while :; do read x; done",
        socket.display()
    );
    let mut stubborn = straggler(&again);
    world.office.close().await.unwrap();
    assert!(process::carriers(&mark).is_empty());
    assert_eq!(world.office.alive().await, Liveness::Gone);
    assert_eq!(std::fs::read_dir(world.dir.path()).unwrap().count(), 0);
    late.wait().unwrap();
    stubborn.wait().unwrap();
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s");
    // Listens, and hangs up on whoever speaks.
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let office = Office::Tmux(TmuxOffice::at(&socket, env()).unwrap());
    let hang_up = async {
        loop {
            drop(listener.accept().await);
        }
    };
    tokio::select! {
        state = office.alive() => assert!(matches!(state, Liveness::Unknown(_)), "{state:?}"),
        () = hang_up => unreachable!(),
    }
}

#[tokio::test]
async fn no_tmux_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let env = vec![("PATH".to_owned(), dir.path().display().to_string())];
    let office = Office::Tmux(TmuxOffice::at(&dir.path().join("s"), env).unwrap());
    assert!(matches!(
        office.open(&plan(None, 1)).await,
        Err(OfficeError::Missing)
    ));
}

#[test]
fn attach_knows_where_the_person_sits() {
    let office = Office::Tmux(TmuxOffice::at(Path::new("/r/s"), Vec::new()).unwrap());
    let argv = |inside, pane| office.attach_argv(inside, pane).unwrap().join(" ");
    assert_eq!(argv(None, None), "tmux -u -f /dev/null -S /r/s attach");
    let nested = argv(Some("/tmp/tmux-0/default,7,0"), Some("%3"));
    let words = "env -u TMUX -u TMUX_PANE tmux -u -f /dev/null -S /r/s attach -t %3 ; if-shell";
    assert!(nested.starts_with(words), "{nested}");
    let inside = argv(Some("/r/s,7,0"), Some("%3"));
    let words = "tmux -u -f /dev/null -S /r/s switchc -t %3 ; if-shell";
    assert!(inside.starts_with(words), "{inside}");
    assert!(Office::Headless.attach_argv(None, None).is_none());
}

/// Ended, though a lazy parent may not have reaped it.
fn assert_ended(pid: i32) {
    if let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        let state = stat.rsplit(") ").next().unwrap().chars().next();
        assert_eq!(state, Some('Z'), "process {pid} is alive");
    }
}

/// Polls, since a pane's program has no other way to say that it is ready.
fn await_text(socket: &Path, pane: &str, text: &str) {
    for _ in 0..LOOKS {
        if said(&tmux(socket, &["capture-pane", "-pJ", "-t", pane]).unwrap()).contains(text) {
            return;
        }
    }
    panic!("pane {pane} never showed {text}");
}

#[tokio::test]
async fn what_a_person_closes_comes_back_where_it_was_and_the_rest_is_not_touched() {
    let Some(world) = World::new() else { return };
    let bell = world.dir.path().join("bell");
    let plan = Plan {
        bell: Some(bell.clone()),
        ..plan(Some((4, 2)), 9)
    };
    let opened = world.office.open(&plan).await.unwrap();
    assert_eq!(world.office.restore(&plan).await.unwrap(), None);
    let seats = |window: &str| world.ask(&["list-panes", "-t", window, "-F", "#{@org_seat}"]);
    let (before, cells) = (
        seats("=nano_chat_x:=office"),
        world.cells("=nano_chat_x:=office"),
    );
    for seat in ["claude-0", "claude-3", "claude-6"] {
        world.ask(&["kill-pane", "-t", &opened.panes[seat]]);
    }
    world.ask(&["kill-window", "-t", "=nano_chat_x:=hq"]);
    world.ask(&["kill-window", "-t", "=nano_chat_x:=office-2"]);
    assert!((0..LOOKS).any(|_| bell.exists()), "nobody rang");
    let back = world.office.restore(&plan).await.unwrap().unwrap();
    assert_eq!(seats("=nano_chat_x:=office"), before);
    assert_eq!(world.cells("=nano_chat_x:=office"), cells);
    assert_eq!(world.cells("=nano_chat_x:=hq").len(), 3);
    assert_eq!(back.panes.len(), opened.panes.len());
    for (seat, pane) in &opened.panes {
        let killed = ["claude-0", "claude-3", "claude-6", "claude-8"].contains(&seat.as_str())
            || seat.starts_with("hq");
        assert_eq!(back.panes[seat] != *pane, killed, "{seat}");
    }
    await_text(&world.socket(), &back.panes["claude-3"], "ready");
    // The grid still follows the terminal.
    world.ask(&["resize-window", "-t", "%1", "-x", "160", "-y", "40"]);
    assert!((0..LOOKS).any(|_| {
        let cells = world.cells("=nano_chat_x:=office");
        cells
            .iter()
            .all(|cell| cell.0.abs_diff(cells[0].0) <= 1 && cell.1.abs_diff(cells[0].1) <= 1)
    }));
    // A pane that a person opened stays, and what is missing comes back beside it.
    world.ask(&["split-window", "-d", "-t", "%1", "sleep 100"]);
    world.ask(&["kill-pane", "-t", &back.panes["claude-5"]]);
    let again = world.office.restore(&plan).await.unwrap().unwrap();
    assert_eq!(again.panes.len(), opened.panes.len());
    assert_eq!(world.cells("=nano_chat_x:=office").len(), 9);
    await_text(&world.socket(), &again.panes["claude-5"], "ready");
    let ended = world.office.clone();
    let ended = async move { ended.ended().await };
    let (_, closed) = tokio::join!(ended, world.office.close());
    closed.unwrap();
}
