//! The office as a person lives in it: closing things, typing into a pane, and looking at the whole.

use serde_json::Value;

use crate::ground::{TestEnvironment, told, until};

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
    // A program that is killed comes back in the same pane.
    let pane = agent(&status(&world), &name)["pane"]
        .as_str()
        .unwrap()
        .to_owned();
    let of_pane = |format: &str| {
        tmux(
            &world,
            &socket,
            &["display-message", "-p", "-t", &pane, format],
        )
    };
    let program = until("its program", || {
        let pid = of_pane("#{pane_pid}").trim().to_owned();
        (!pid.is_empty() && of_pane("#{pane_dead}").trim() == "0").then_some(pid)
    });
    let mut kill = world.command("kill");
    kill.args(["-9", &program]);
    told(kill, "").well();
    until("the pane's next program", || {
        let now = of_pane("#{pane_pid}").trim().to_owned();
        (of_pane("#{pane_dead}").trim() == "0" && now != program).then_some(())
    });
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
    let after = status(&world);
    assert_eq!(agent(&after, &name)["pid"], pid, "the agent went on");
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
        keys(&["-l", asked]);
        keys(&["Enter"]);
        until(asked, || screen().contains(word).then_some(()));
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
