//! A person sits down at an agent's desk: the agent begins nothing, what is changed is the person's, and
//! a terminal that dies loses nothing.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::ground::{ORG, Run, TestEnvironment, told, until, write};

/// Agents that say that they are ready, write down what they hear, and run a command for ever when they
/// are told to.
fn desks(world: &TestEnvironment) -> Run {
    let scenario = world.at("desks.toml");
    write(
        &scenario,
        "version = 1\n[[scripts]]\n[[scripts.steps]]\nsay = \"ready\"\n[[scripts.steps]]\n\
         expect = 'changed:\\s+(?<what>\\S+)'\n[[scripts.steps.call]]\ntool = \"note\"\n\
         text = \"heard {what}\"\n[[scripts.steps]]\nsay = \"seen\"\n[[scripts.steps]]\nexpect = 'SLEEP'\n\
         [[scripts.steps.call]]\ntool = \"shell\"\ncommand = \"touch asleep; sleep 602\"\n",
    );
    let scenario = scenario.display().to_string();
    let words = [
        "up",
        "orgs/smoke.toml",
        "--headless",
        "--detach",
        "--scenario",
        &scenario,
    ];
    world.org(&words).well();
    let run = world.run();
    run.wait_for("both first turns", |events| {
        let ended = events.iter().filter(|event| event["kind"] == "turn.ended");
        (ended.count() == 2).then_some(())
    });
    run
}

/// Waits until claude-1 has written down what it heard.
#[track_caller]
fn heard(run: &Run, what: &str) {
    let text = format!("heard {what}");
    run.wait_for(&text, |events| {
        let mut notes = events.iter().filter(|event| event["kind"] == "note.kept");
        notes.any(|event| event["text"] == text).then_some(())
    });
}

/// Sits down at the desk of claude-1, does something there, and has the terminal die.
fn die_at_the_desk(world: &TestEnvironment, run: &Run, script: &str, meanwhile: impl FnOnce()) {
    let lost = run.of("take.lost").len();
    let here = run.path("work/claude-1/here");
    let mut take = world.command(ORG);
    take.args(["take", "claude-1"]);
    take.stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut take = take.spawn().unwrap();
    let mut typed = take.stdin.take().unwrap();
    typed.write_all(script.as_bytes()).unwrap();
    typed.write_all(b"touch here\n").unwrap();
    until("the shell", || here.exists().then_some(()));
    meanwhile();
    let pid = Pid::from_raw(take.id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    take.wait().unwrap();
    run.wait_for("what became of it", |events| {
        let all = events.iter().filter(|event| event["kind"] == "take.lost");
        (all.count() > lost).then_some(())
    });
    fs::remove_file(here).unwrap();
}

fn agent(world: &TestEnvironment, name: &str) -> Value {
    let status = world.org(&["status", "--json"]).json();
    let agents = status["agents"].as_array().unwrap();
    agents
        .iter()
        .find(|agent| agent["name"] == name)
        .unwrap()
        .clone()
}

#[test]
fn what_a_person_changes_is_committed_as_theirs_and_told() {
    let world = TestEnvironment::new();
    let run = desks(&world);
    let log = run.path("events.jsonl").display().to_string();
    let script = format!(
        "echo '# mine' >> config.py\ngit config user.name; echo at $PWD\n\
         echo spoiled >> {log} || echo kept out\nsetsid sleep 603 &\nexit 3\n"
    );
    let said = world.org_told(&["take", "claude-1"], &script).well();
    said.naming(&[
        "claude-1 is paused",
        "committed as yours in",
        "config.py (changed)",
    ])
    .naming(&[
        "work/claude-1",
        "kept out",
        "one process that still ran was ended",
    ]);
    heard(&run, "config.py");
    let ended = &run.of("take.ended")[0];
    assert_eq!(
        (&ended["actor"], &ended["files"][0]),
        (&"human".into(), &"config.py (changed)".into())
    );
    let mut git = world.command("git");
    git.arg("--git-dir").arg(run.path("repo.git"));
    git.args([
        "log",
        "-1",
        "--format=%an: %s",
        ended["commit"].as_str().unwrap(),
    ]);
    assert_eq!(
        told(git, "").well().out,
        "human: a person's work at the desk of claude-1\n"
    );
    let kept = fs::read_to_string(run.path("work/claude-1/config.py")).unwrap();
    assert!(kept.ends_with("# mine\n"), "{kept}");
    let said = world.org_told(&["take", "codex-1"], "true\n").well();
    said.naming(&["nothing was changed; codex-1 goes on"]);
    for (words, names) in [
        (["take", "claud-1"], ["claud-1", "did you mean claude-1"]),
        (
            ["take", "researcher"],
            ["researcher", "its agents are claude-1, codex-1"],
        ),
    ] {
        world.org(&words).refused(1).naming(&names);
    }
    let id = run.id();
    world.org(&["down"]).well();
    world.nothing_lives();
    let late = world.org(&["take", "claude-1", "--run", &id]).refused(1);
    late.naming(&["no supervisor", "org up --resume"]);
}

#[test]
fn an_agent_finishes_first_and_a_person_need_not_wait() {
    let world = TestEnvironment::new();
    let run = desks(&world);
    // The step before it wants to hear of a change.
    world.org(&["send", "claude-1", "changed: nothing"]).well();
    heard(&run, "nothing");
    world.org(&["send", "claude-1", "SLEEP"]).well();
    until("the command", || {
        run.path("work/claude-1/asleep").exists().then_some(())
    });
    let mut take = world.start(&["take", "claude-1"]);
    until("the word that it waits", || {
        let said = fs::read_to_string(world.at("start.err")).ok()?;
        said.contains("claude-1 finishes its call of shell first")
            .then_some(())
    });
    assert_eq!(agent(&world, "claude-1")["reason"], "a person has taken it");
    let pid = Pid::from_raw(take.id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    assert_eq!(take.wait().unwrap().code(), Some(1));
    let said = fs::read_to_string(world.at("start.err")).unwrap();
    assert!(said.contains("claude-1 was not taken"), "{said}");
    assert_eq!(agent(&world, "claude-1")["state"], "tool", "it goes on");

    // Who does not want to wait stops it, and it is told to go on where nothing was changed.
    let said = world.org_told(&["take", "claude-1", "--now"], "ls config.py\n");
    said.well().naming(&["config.py", "nothing was changed"]);
    run.wait_for("the stopped turn", |events| {
        let mut ended = events.iter().filter(|event| event["kind"] == "turn.ended");
        ended
            .any(|event| event["interrupted"] == true)
            .then_some(())
    });
    until("that it is told", || {
        let mails = world.org(&["inbox", "claude-1", "--json"]).json();
        let mut mails = mails.as_array().unwrap().iter();
        mails.find(|mail| mail["subject"] == "I was at your desk" && mail["state"] == "read")?;
        Some(())
    });
    let left = world.processes();
    assert!(
        !left.values().any(|line| line.contains("sleep 602")),
        "{left:?}"
    );
    world.org(&["down"]).well();
    world.nothing_lives();
}

#[test]
fn a_terminal_that_dies_leaves_the_agent_paused_and_says_so() {
    let world = TestEnvironment::new();
    let run = desks(&world);
    die_at_the_desk(&world, &run, "echo '# half' >> config.py\n", || {
        for (words, names) in [
            (["take", "claude-1"], "claude-1 is taken already"),
            (["resume", "claude-1"], "a person sits at the desk"),
        ] {
            world.org(&words).refused(1).naming(&[names]);
        }
        let mail = ["send", "claude-1", "changed: something"];
        world.org(&mail).well();
        assert_eq!(agent(&world, "claude-1")["unread"], 1, "its mail waits");
    });
    let state = agent(&world, "claude-1");
    assert_eq!(
        (&state["state"], &state["unread"]),
        (&"paused".into(), &1.into())
    );
    let next = world.org(&["next"]).well();
    next.naming(&["claude-1", "the terminal is gone", "org take claude-1"]);

    // Who comes back finds all as it was left, and it is still theirs.
    let said = world
        .org_told(&["take", "claude-1"], "cat config.py\n")
        .well();
    said.naming(&["# half", "config.py (changed)"]);
    heard(&run, "something");
    world.org(&["next"]).well().naming(&["nothing in smoke-"]);
    // Two who sat down, of whom one came back, and a letter.
    let status = world.org(&["status", "--json"]).json();
    assert_eq!(status["interventions"], 3, "{status}");

    // Who does not come back lets it go on with what lies there.
    die_at_the_desk(&world, &run, "echo '# more' >> config.py\n", || {});
    let said = world.org(&["resume", "claude-1"]).well();
    said.naming(&["committed as yours", "resumed"]);
    let ended = run.of("take.ended");
    let files: Vec<&Value> = ended.iter().map(|event| &event["files"][0]).collect();
    assert_eq!(files, ["config.py (changed)", "config.py (changed)"]);
    let mails = world.org(&["inbox", "claude-1", "--json"]).json();
    let told = mails.as_array().unwrap().iter();
    let told = told.filter(|mail| mail["subject"] == "I changed your worktree");
    assert_eq!(told.count(), 2);
    world.org(&["down"]).well();
    world.nothing_lives();
}
