//! People at the office, as they sit there: each at a terminal of their own, typing, pasting, scrolling,
//! zooming, resizing and leaving, and what their terminals do to the agents, which is nothing.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::ground::{ORG, Run, TestEnvironment, told, until, write};
use crate::terminal::Terminal;

/// Agents that say that they are ready, and answer whoever calls.
fn up(world: &TestEnvironment) -> Run {
    let scenario = world.at("people.toml");
    let calls: String = (1..=6)
        .map(|n| {
            format!(
                "[[scripts.steps]]\nexpect = 'call {n}'\nsay = \"answer {n} \
                 of a length that a narrow pane has to break into rows\"\n"
            )
        })
        .collect();
    let text = format!("version = 1\n[[scripts]]\n[[scripts.steps]]\nsay = \"ready\"\n{calls}");
    write(&scenario, text);
    let scenario = scenario.display().to_string();
    let words = ["up", "orgs/smoke.toml", "--detach", "--scenario", &scenario];
    world.org(&words).well();
    for name in ["claude-1", "codex-1"] {
        world
            .org(&["wait", name, "--for", "idle", "--timeout", "3m"])
            .well();
    }
    world.run()
}

/// What a person wrote to claude-1, oldest first.
fn heard(world: &TestEnvironment) -> Vec<String> {
    let inbox = world.org(&["inbox", "claude-1", "--json"]).json();
    let mails = inbox.as_array().unwrap().iter();
    let own = mails.filter(|mail| mail["from"] == "human");
    own.map(|mail| mail["body"].as_str().unwrap().to_owned())
        .collect()
}

/// Waits for the reply of claude-1 that holds these words; the agent is idle again soon after.
#[track_caller]
fn answered(run: &Run, words: &str) {
    run.wait_for(words, |events| {
        let mut replies = events
            .iter()
            .filter(|event| event["kind"] == "reply.received");
        replies
            .any(|event| event["text"].to_string().contains(words))
            .then_some(())
    });
}

/// The process of an agent's pane.
fn program(world: &TestEnvironment, name: &str) -> Pid {
    let found = until("the pane's program", || {
        let words = format!("pane {name} ");
        let all = world.processes();
        all.into_iter().find(|(_, line)| line.contains(&words))
    });
    Pid::from_raw(found.0.cast_signed()).unwrap()
}

#[test]
fn who_comes_back_with_a_small_terminal_sees_one_pane_whole() {
    let world = TestEnvironment::new();
    let run = up(&world);
    let attach = format!("exec {ORG} attach claude-1 --run {}", run.id());
    let wide = Terminal::open(&world, 200, 50, &attach);
    wide.comes_to("both", |screen| {
        screen.contains("claude-1") && screen.contains("codex-1")
    });
    wide.keys(&["C-b", "d"]);
    wide.ends();
    let small = Terminal::open(&world, 60, 16, &attach);
    small.comes_to("one alone", |screen| {
        screen.contains("ready") && !screen.contains("codex-1")
    });
    drop((wide, small));
    world.org(&["down"]).well();
    world.nothing_lives();
}

#[test]
fn two_people_with_terminals_of_different_sizes_drive_one_office() {
    let world = TestEnvironment::new();
    let run = up(&world);
    let attach = format!("exec {ORG} attach claude-1 --run {}", run.id());
    let wide = Terminal::open(&world, 120, 30, &attach);
    wide.shows("ready");
    let small = Terminal::open(&world, 60, 16, &attach);
    small.shows("ready");

    // A draft is seen by both, and sent by nobody.
    wide.types("call 1 is a draft");
    wide.shows("> call 1 is a draft");
    assert_eq!(heard(&world), Vec::<String>::new());
    wide.keys(&["C-u"]);
    wide.comes_to("no draft", |screen| !screen.contains("is a draft"));

    // A paste of several lines is one message, and comes back by `Up`.
    wide.pastes("call 1\nin two lines");
    wide.shows("in two lines");
    assert_eq!(heard(&world), Vec::<String>::new());
    wide.keys(&["Enter"]);
    answered(&run, "answer 1");
    assert_eq!(heard(&world), ["call 1\nin two lines"]);
    wide.keys(&["Up"]);
    wide.comes_to("the last message", |screen| {
        screen.contains("> call 1") && screen.contains("  in two lines")
    });
    wide.keys(&["C-c"]);

    // Zoomed, one pane has all of the width, and what was broken into rows is one.
    wide.keys(&["C-b", "z"]);
    let whole = "answer 1 of a length that a narrow pane has to break into rows";
    wide.comes_to("one pane alone", |screen| {
        screen.contains(whole) && !screen.contains("codex-1")
    });
    wide.keys(&["C-b", "z"]);
    wide.shows("codex-1");

    // Scrolling back holds up nobody, and what came meanwhile is there afterwards.
    wide.keys(&["C-b", "["]);
    wide.shows("[0/");
    wide.keys(&["PageUp"]);
    world.org(&["send", "claude-1", "call 2"]).well();
    answered(&run, "answer 2");
    wide.keys(&["q"]);
    wide.shows("answer 2");

    // Whatever size a terminal gets, there is one of everything on it.
    for (columns, rows) in [(40, 12), (150, 40), (50, 14), (100, 30)] {
        wide.resize(columns, rows);
    }
    wide.types("still here");
    wide.comes_to("one of each", |screen| {
        let count = |what: &str| screen.matches(what).count();
        count("> still here") == 1 && count("turn 3") == 1 && count("answer 2") == 1
    });
    wide.keys(&["Enter"]);
    until("the third message", || {
        (heard(&world).last()? == "still here").then_some(())
    });

    // One leaves, the other stays.
    wide.keys(&["C-b", "d"]);
    wide.ends();
    small.types("from the other");
    small.shows("from the other");
    drop((wide, small));
    world.org(&["down"]).well();
    world.nothing_lives();
}

#[test]
fn a_pane_or_terminal_that_stands_still_or_dies_holds_up_no_agent() {
    let world = TestEnvironment::new();
    let run = up(&world);
    let attach = format!("exec {ORG} attach claude-1 --run {}", run.id());
    let terminal = Terminal::open(&world, 120, 30, &attach);
    terminal.shows("ready");

    // The pane's program is stopped: the agent answers, and the pane shows it when it goes on.
    let pane = program(&world, "claude-1");
    kill_process(pane, Signal::STOP).unwrap();
    world.org(&["send", "claude-1", "call 1"]).well();
    answered(&run, "answer 1");
    terminal.types("typed meanwhile");
    kill_process(pane, Signal::CONT).unwrap();
    terminal.comes_to("answer and draft", |screen| {
        screen.matches("answer 1").count() == 1 && screen.contains("> typed meanwhile")
    });
    assert_eq!(heard(&world), ["call 1"], "a draft is no message");

    // The terminal takes nothing any more, as behind a slow line.
    let status = world.org(&["status", "--json"]).json();
    let socket = status["tmux"]["socket"].as_str().unwrap().to_owned();
    let mut clients = world.command("tmux");
    clients.args(["-S", &socket, "list-clients", "-F", "#{client_pid}"]);
    let client = told(clients, "").well().out;
    let client = Pid::from_raw(client.trim().parse().unwrap()).unwrap();
    kill_process(client, Signal::STOP).unwrap();
    world.org(&["send", "claude-1", "call 2"]).well();
    answered(&run, "answer 2");
    kill_process(client, Signal::CONT).unwrap();
    terminal.shows("answer 2");

    // The terminal goes away; the pane stays, with the draft in it.
    drop(terminal);
    world.org(&["send", "claude-1", "call 3"]).well();
    answered(&run, "answer 3");
    let terminal = Terminal::open(&world, 90, 24, &attach);
    terminal.comes_to("all that came, and the draft", |screen| {
        let all = ["answer 1", "answer 2", "answer 3"];
        let once = |what: &&str| screen.matches(what).count() == 1;
        all.iter().all(once) && screen.contains("> typed meanwhile")
    });
    assert_eq!(program(&world, "claude-1"), pane, "the same program");
    let lost: Vec<Value> = run.of("pane.lost");
    assert_eq!(lost, Vec::<Value>::new(), "nothing was lost");
    drop(terminal);
    world.org(&["down"]).well();
    world.nothing_lives();
}

#[test]
fn a_closed_window_and_a_closed_session_come_back() {
    let world = TestEnvironment::new();
    let run = up(&world);
    let status = world.org(&["status", "--json"]).json();
    let socket = status["tmux"]["socket"].as_str().unwrap().to_owned();
    let session = status["tmux"]["session"].as_str().unwrap().to_owned();
    let tmux = |words: &[&str]| {
        let mut command = world.command("tmux");
        command.args(["-u", "-S", &socket]).args(words);
        told(command, "").out
    };
    let seats = || tmux(&["list-panes", "-a", "-F", "#{@org_seat}"]);
    let all = |seats: &str| {
        ["claude-1", "codex-1", "feed", "watch"]
            .iter()
            .all(|it| seats.contains(it))
    };
    until("all seats", || all(&seats()).then_some(()));
    for (words, said) in [
        (["kill-window", "-t", ":=hq"], "watch"),
        (["kill-window", "-t", ":=office"], "claude-1"),
    ] {
        tmux(&words);
        run.wait_for(said, |events| {
            let mut lost = events.iter().filter(|event| event["kind"] == "pane.lost");
            lost.any(|event| event["seat"] == said).then_some(())
        });
        until("all seats again", || all(&seats()).then_some(()));
    }
    tmux(&["kill-session", "-t", &session]);
    run.wait_for("the loss", |events| {
        let mut lost = events.iter();
        lost.any(|event| event["kind"] == "office.lost")
            .then_some(())
    });
    until("another session", || all(&seats()).then_some(()));
    world.org(&["send", "claude-1", "call 1"]).well();
    answered(&run, "answer 1");
    world.org(&["down"]).well();
    world.nothing_lives();
}
