//! Replies that are coming in while terminals and panes go away, and replies that are shown again: what is
//! on the screen afterwards is the whole text, once.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

use crate::ground::{ORG, Run, TestEnvironment, until, write};
use crate::minds;
use crate::terminal::Terminal;

/// Words that are told apart, each once.
fn words(count: u32) -> String {
    let words: Vec<String> = (1..=count).map(|n| format!("w{n:02}.")).collect();
    words.join(" ")
}

/// A reply that stands still in its middle.
fn slow(count: u32, stall_ms: u32) -> String {
    let text = words(count);
    format!(
        "version = 1\n[[scripts]]\nagent = \"claude-1\"\n[[scripts.steps]]\nsay = \"{text}\"\n\
         fault = {{ stall_ms = {stall_ms} }}\n[[scripts]]\n[[scripts.steps]]\nsay = \"ready\"\n"
    )
}

/// How often each of some words is there.
fn once(screen: &str, words: &[&str]) -> bool {
    words.iter().all(|word| screen.matches(word).count() == 1)
}

fn replied(run: &Run, agent: &str) -> bool {
    let replies = run.of("reply.received");
    replies.iter().any(|event| event["agent"] == agent)
}

#[test]
fn a_terminal_and_a_pane_that_go_in_mid_stream_lose_nothing_and_double_nothing() {
    let world = TestEnvironment::new();
    let scenario = world.at("slow.toml");
    write(&scenario, slow(40, 15_000));
    let scenario = scenario.display().to_string();
    let up = ["up", "orgs/smoke.toml", "--detach", "--scenario", &scenario];
    world.org(&up).well();
    let run = world.run();
    let status = world.org(&["status", "--json"]).json();
    let pid = status["agents"][0]["pid"].clone();
    let attach = format!("exec {ORG} attach claude-1 --run {}", run.id());

    // Its first words have come, its last have not: then the terminal goes.
    let terminal = Terminal::open(&world, 120, 30, &attach);
    terminal.comes_to("half of a reply", |screen| {
        once(screen, &["w01.", "w10."]) && !screen.contains("w40.")
    });
    drop(terminal);
    // So does the pane's program, by force.
    let program = until("the pane's program", || {
        let all = world.processes();
        let (pid, _) = all
            .into_iter()
            .find(|(_, line)| line.contains("pane claude-1 "))?;
        Pid::from_raw(pid.cast_signed())
    });
    kill_process(program, Signal::KILL).unwrap();
    let back = Terminal::open(&world, 120, 30, &attach);
    back.comes_to("the same half of it", |screen| {
        screen.contains("this pane ended (signal 9)") && once(screen, &["w01.", "w10."])
    });
    assert!(
        !replied(&run, "claude-1"),
        "it was too late to show anything"
    );

    // The agent has not noticed, and the rest comes to where the half is.
    back.comes_to("the whole of it", |screen| {
        once(screen, &["w01.", "w10.", "w20.", "w21.", "w39.", "w40."])
    });
    assert!(replied(&run, "claude-1"));
    assert!(run.of("request.failed").is_empty());
    let status = world.org(&["status", "--json"]).json();
    assert_eq!(status["agents"][0]["pid"], pid, "the same agent");

    // Whoever comes after it all has it once too, on a terminal of their own.
    let late = format!("exec {ORG} pane claude-1 --run {}", run.path("").display());
    let late = Terminal::open(&world, 100, 20, &late);
    late.comes_to("the whole of it, late", |screen| {
        once(screen, &["w01.", "w20.", "w40.", "waiting since"])
    });
    let plain = told_plain(&world, &run);
    assert!(once(&plain, &["w01.", "w40."]), "{plain}");
    drop((back, late));
    world.org(&["down"]).well();
    world.nothing_lives();
}

/// What a pane prints where there is no terminal, until it has said all.
fn told_plain(world: &TestEnvironment, run: &Run) -> String {
    let dir = run.path("").display().to_string();
    let mut pane = world.start(&["pane", "claude-1", "--run", &dir]);
    let text = until("the pane's lines", || {
        let text = fs::read_to_string(world.at("start.out")).ok()?;
        text.contains("w40.").then_some(text)
    });
    pane.kill().unwrap();
    pane.wait().unwrap();
    text
}

#[test]
fn a_reply_that_is_shown_again_comes_in_over_the_time_that_it_took() {
    let text = words(40);
    let script = format!(
        "[[scripts]]\nagent = 'ana'\n[[scripts.steps]]\nsay = '{text}'\nfault = {{ delay_ms = 4_000 }}\n\
         [[scripts]]\nagent = 'ben'\nsteps = []\n"
    );
    let (world, chart) = minds::world("", &script, "");
    let up = ["up", &chart, "--mock", "--headless", "--until", "done"];
    world.org(&up).well();
    let run = world.run();
    {
        let words = format!("{ORG} replay {} --speed 0.5; echo left with $?", run.id());
        let terminal = Terminal::open(&world, 160, 45, &words);
        terminal.comes_to("a part of it", |screen| {
            once(screen, &["w01.", "w05."]) && !screen.contains("w40.")
        });
        terminal.comes_to("all of it", |screen| {
            once(screen, &["w01.", "w05.", "w20.", "w40."])
        });
        terminal.types("quit");
        terminal.keys(&["Enter"]);
        terminal.shows("left with 0");
    }
    world.nothing_lives();
}
