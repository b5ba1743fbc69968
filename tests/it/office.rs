//! The office as a person lives in it: closing things, typing into a pane, and looking at the whole.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::ground::{Run, TestEnvironment, told, until, write};

/// What the run's own tmux says.
fn tmux(world: &TestEnvironment, socket: &str, words: &[&str]) -> String {
    let mut command = world.command("tmux");
    command
        .args(["-u", "-f", "/dev/null", "-S", socket])
        .args(words);
    told(command, "").out
}

fn status(world: &TestEnvironment) -> Value {
    world.org(&["status", "--json"]).json()
}

fn agent<'a>(status: &'a Value, name: &str) -> &'a Value {
    let agents = status["agents"].as_array().unwrap();
    agents.iter().find(|agent| agent["name"] == name).unwrap()
}

fn logged(world: &TestEnvironment, words: &[&str]) -> bool {
    let log = world.org(&["logs", "supervisor"]).well().out;
    log.lines()
        .any(|line| words.iter().all(|word| line.contains(word)))
}

#[test]
fn what_is_closed_by_hand_comes_back_and_no_agent_notices() {
    let world = TestEnvironment::new();
    world
        .org(&["up", "orgs/smoke.toml", "--mock", "--detach"])
        .well();
    let before = status(&world);
    let socket = before["tmux"]["socket"].as_str().unwrap().to_owned();
    let name = before["agents"][0]["name"].as_str().unwrap().to_owned();
    let pane = agent(&before, &name)["pane"].as_str().unwrap().to_owned();
    let pid = agent(&before, &name)["pid"].clone();
    // A closed pane is said, and is another pane in the same place.
    tmux(&world, &socket, &["kill-pane", "-t", &pane]);
    until("a new pane", || {
        let now = agent(&status(&world), &name)["pane"].clone();
        (now.is_string() && now != *pane).then_some(())
    });
    assert!(logged(&world, &["pane.lost", &name, "closed"]));
    // So are two that are closed at the same moment; nobody sits there twice.
    let seats = || {
        let listed = tmux(&world, &socket, &["list-panes", "-a", "-F", "#{@org_seat}"]);
        let mut seats: Vec<String> = listed.lines().map(str::to_owned).collect();
        seats.sort();
        seats
    };
    let all = ["claude-1", "codex-1", "feed", "watch"];
    until("each seat once", || (seats() == all).then_some(()));
    tmux(
        &world,
        &socket,
        &[
            "kill-pane",
            "-t",
            ":=hq.0",
            ";",
            "kill-pane",
            "-t",
            ":=office.1",
        ],
    );
    until("each seat once more", || (seats() == all).then_some(()));
    // A program that is killed comes back in the same pane, also where it is killed again at once: tmux
    // misses the end of one now and then.
    let pane = until("a place in the log", || {
        let panes = tmux(&world, &socket, &["list-panes", "-a", "-F", "#{pane_id}"]);
        let pane = agent(&status(&world), &name)["pane"].as_str()?.to_owned();
        panes.lines().any(|id| id == pane).then_some(pane)
    });
    let of_pane = |format: &str| {
        tmux(
            &world,
            &socket,
            &["display-message", "-p", "-t", &pane, format],
        )
    };
    let living = |but: &str| {
        let pid = of_pane("#{pane_pid}").trim().to_owned();
        (!pid.is_empty() && pid != but && of_pane("#{pane_dead}").trim() == "0").then_some(pid)
    };
    let mut program = until("its program", || living(""));
    for _ in 0..3 {
        let pid = Pid::from_raw(program.parse().unwrap()).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
        program = until("the pane's next program", || living(&program));
    }
    assert!(logged(&world, &["pane.lost", &name, "signal 9"]));
    until("what the pane says of it", || {
        let screen = tmux(
            &world,
            &socket,
            &["capture-pane", "-pJ", "-S", "-", "-t", &pane],
        );
        screen.contains("this pane ended (signal 9)").then_some(())
    });
    // So does the whole server.
    tmux(&world, &socket, &["kill-server"]);
    until("another server", || {
        let panes = tmux(&world, &socket, &["list-panes", "-a", "-F", "#{@org_seat}"]);
        (panes.contains(&name) && logged(&world, &["office.lost", "gone"])).then_some(())
    });
    // And both it and the supervisor, at once: whoever finds the one gone has the other built again.
    let run = world.run();
    until("the office in the log", || {
        status(&world)["tmux"].is_object().then_some(())
    });
    let opened = run.of("office.opened").len();
    kill_supervisor(&run);
    tmux(&world, &socket, &["kill-server"]);
    run.wait_for("another supervisor, and its office", |events| {
        let count = |kind: &str| events.iter().filter(|event| event["kind"] == kind).count();
        let both = count("supervisor.started") == 2 && count("office.opened") > opened;
        both.then_some(())
    });
    until("each seat", || (seats() == all).then_some(()));
    let after = status(&world);
    assert_eq!(agent(&after, &name)["pid"], pid, "the agent went on");
    world.org(&["down"]).well();
    world.nothing_lives();
}

/// Ends the supervisor that the log knows, by force.
fn kill_supervisor(run: &Run) {
    let started = run.of("supervisor.started").pop().unwrap();
    let pid = i32::try_from(started["pid"].as_u64().unwrap()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

#[test]
fn an_office_that_its_supervisor_could_not_build_again_is_built_by_the_next() {
    let mut world = TestEnvironment::new();
    let mut which = world.command("sh");
    which.args(["-c", "command -v tmux"]);
    let real = told(which, "").well().out.trim().to_owned();
    let broken = world.at("broken");
    let refuses = format!("if test -e {}; then exit 1; fi", broken.display());
    world.fake("tmux", &format!("{refuses}\nexec {real} \"$@\""));
    world
        .org(&["up", "orgs/smoke.toml", "--mock", "--detach"])
        .well();
    let run = world.run();
    let socket = status(&world)["tmux"]["socket"]
        .as_str()
        .unwrap()
        .to_owned();
    write(&broken, "");
    let mut kill = world.command(&real);
    kill.args(["-S", &socket, "kill-server"]);
    told(kill, "").well();
    run.wait_for("the loss", |events| {
        let mut lost = events.iter();
        lost.any(|event| event["kind"] == "office.lost")
            .then_some(())
    });
    // It dies before tmux works again; what it owed is in the log.
    kill_supervisor(&run);
    fs::remove_file(&broken).unwrap();
    run.wait_for("the office", |events| {
        let opened = events
            .iter()
            .filter(|event| event["kind"] == "office.opened");
        (opened.count() == 2).then_some(())
    });
    assert_eq!(run.of("office.lost").len(), 1, "lost once, said once");
    let panes = tmux(&world, &socket, &["list-panes", "-a", "-F", "#{@org_seat}"]);
    assert!(
        panes.contains("claude-1") && panes.contains("feed"),
        "{panes}"
    );
    world.org(&["down"]).well();
    world.nothing_lives();
}

#[test]
fn what_is_typed_is_sent_by_enter_only_and_commands_are_obeyed() {
    let world = TestEnvironment::new();
    world
        .org(&["up", "orgs/smoke.toml", "--mock", "--detach"])
        .well();
    let now = status(&world);
    let socket = now["tmux"]["socket"].as_str().unwrap().to_owned();
    let name = now["agents"][0]["name"].as_str().unwrap().to_owned();
    let pane = agent(&now, &name)["pane"].as_str().unwrap().to_owned();
    let screen = || tmux(&world, &socket, &["capture-pane", "-p", "-t", &pane]);
    let keys = |words: &[&str]| {
        let all: Vec<&str> = ["send-keys", "-t", &pane]
            .iter()
            .chain(words)
            .copied()
            .collect();
        tmux(&world, &socket, &all);
    };
    let state = || agent(&status(&world), &name)["state"].clone();
    let sent = || {
        let inbox = world.org(&["inbox", &name, "--json"]).json();
        let from = |mail: &&Value| mail["from"] == "human";
        inbox.as_array().unwrap().iter().filter(from).count()
    };
    until("the input line", || screen().contains("\n>").then_some(()));
    keys(&["-l", "/puase"]);
    keys(&["Enter"]);
    until("the slip", || screen().contains("/pause?").then_some(()));
    keys(&["C-u"]);
    keys(&["-l", "/pause"]);
    keys(&["Enter"]);
    until("a pause", || (state() == "paused").then_some(()));
    keys(&["-l", "look at the widths"]);
    until("the draft", || {
        screen().contains("> look at the widths").then_some(())
    });
    assert_eq!(sent(), 0, "a draft is not sent");
    keys(&["Enter"]);
    until("the message", || (sent() == 1).then_some(()));
    keys(&["-l", "/resume"]);
    keys(&["Enter"]);
    until("no pause", || (state() != "paused").then_some(()));
    for (asked, word) in [
        ("/help", "/budget"),
        ("/mail", "m1 "),
        ("/ledger", "baseline"),
        ("/hypothesis", "h1 "),
        ("/budget", "of $"),
        ("/model", "its model is"),
        ("/mail m1", "▌"),
    ] {
        // However much else has come meanwhile.
        let told = || {
            let all = ["capture-pane", "-pJ", "-S", "-", "-t", &pane];
            tmux(&world, &socket, &all).matches(word).count()
        };
        let before = told();
        keys(&["-l", asked]);
        keys(&["Enter"]);
        until(asked, || (told() > before).then_some(()));
    }
    keys(&["-l", "/interrupt"]);
    keys(&["Enter"]);
    until("the interruption", || (sent() == 2).then_some(()));
    let inbox = world.org(&["inbox", &name, "--json"]).json();
    let last = inbox
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .find(|mail| mail["from"] == "human");
    let body = last.unwrap()["body"].as_str().unwrap().to_owned();
    assert!(body.starts_with("Stop here."), "{body}");
    world.org(&["down"]).well();
    world.nothing_lives();
}

#[test]
fn the_dashboard_is_printed_where_there_is_no_terminal_for_any_moment_of_a_run() {
    let world = TestEnvironment::new();
    world
        .org(&[
            "up",
            "orgs/smoke.toml",
            "--mock",
            "--headless",
            "--until",
            "done",
        ])
        .well();
    let run = world.run();
    let frame = world.org(&["watch"]).well().out;
    let promoted = frame.contains("promoted");
    assert!(
        frame.contains(&run.id()) && frame.contains("MOCK") && promoted,
        "{frame}"
    );
    assert!(
        frame.lines().all(|line| line.chars().count() <= 80),
        "{frame}"
    );
    let early = world.org(&["watch", "--at", "9"]).well().out;
    assert!(
        early.contains("event 9 of") && !early.contains("promoted"),
        "{early}"
    );
    let then = world.org(&["watch", "--at", "9", "--json"]).json();
    assert_eq!(then["run"], run.id());
    assert_eq!(then["experiments"]["done"], 0);
}
