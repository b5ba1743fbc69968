//! What needs a person is said in one place, calls once, can be gone to and waited for.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::ground::{Run, TestEnvironment, until, write};

/// Two who say that they are ready, and no more.
fn quiet(world: &TestEnvironment) -> String {
    let path = world.at("quiet.toml");
    write(
        &path,
        "version = 1\n[[scripts]]\n[[scripts.steps]]\nsay = \"ready\"\n",
    );
    path.display().to_string()
}

/// Brings a chart up that goes nowhere: its task's program is not there.
fn broken(world: &TestEnvironment, notify: &str) -> Run {
    let office = "[office]";
    let chart = world.chart(
        "smoke.toml",
        &[
            (
                "run      = \"python3 train.py\"",
                "run = \"python3 nowhere.py\"",
            ),
            (office, &format!("{office}\nnotify = {notify:?}")),
        ],
    );
    let scenario = quiet(world);
    let words = ["up", &chart, "--headless", "--detach", "--scenario"];
    world.org(&[&words[..], &[&scenario]].concat()).well();
    world.run()
}

fn told(world: &TestEnvironment) -> Vec<String> {
    let text = fs::read_to_string(world.at("home/told")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_person_is_called_once_for_what_needs_one() {
    let mut world = TestEnvironment::new();
    world.fake(
        "tell",
        "echo \"$ORG_RUN|$*|$OPENAI_API_KEY\" >> \"$HOME/told\"",
    );
    world.set("OPENAI_API_KEY", "sk-secret");
    let run = broken(&world, "tell -u critical");
    let needs = world
        .org(&["wait", "--for", "needs-you", "--timeout", "3m"])
        .well();
    needs.naming(&["smoke-", "baseline run e", "nowhere.py"]);
    let first = until("the call", || told(&world).pop());
    let dir = run.path("").display().to_string();
    let dir = dir.trim_end_matches('/');
    assert!(
        first.starts_with(&format!("{dir}|-u critical smoke: baseline run e")),
        "{first}"
    );
    assert!(first.ends_with('|'), "a key reached it: {first}");

    // Where there is no terminal it is told, with what to type; scripts get the same.
    let next = world.org(&["next"]).well();
    next.naming(&["smoke-", "nowhere.py", "type: org logs lab"]);
    let next = world.org(&["next", "--json"]).json();
    let status = world.org(&["status", "--json"]).json();
    // Its words may have grown meanwhile; it is the same.
    assert_eq!(next["since"], status["needs_you"][0]["since"]);
    assert_eq!(status["needs_you"][0]["agent"], Value::Null);
    assert_eq!(next["more"], 0);

    // Another supervisor calls nobody again.
    let pid = run.of("supervisor.started")[0]["pid"].as_u64().unwrap();
    kill_process(
        Pid::from_raw(pid.try_into().unwrap()).unwrap(),
        Signal::KILL,
    )
    .unwrap();
    run.wait_for("the next supervisor", |events| {
        let started = events
            .iter()
            .filter(|it| it["kind"] == "supervisor.started");
        (started.count() == 2).then_some(())
    });
    // What is new calls again: a file that is no mail.
    fs::create_dir(run.path("mail/claude-1/new/a-directory")).unwrap();
    until("the second call", || (told(&world).len() > 1).then_some(()));
    let told = told(&world);
    assert!(
        told[1].contains("a-directory is no mail for claude-1: it is no file"),
        "{told:?}"
    );
    let next = world.org(&["status"]).well();
    next.naming(&["needs you", "a-directory", "nowhere.py"]);
    world.org(&["send", "claude-1", "in words"]).well();
    let needs = world.org(&["status", "--json"]).json();
    assert_eq!(needs["needs_you"].as_array().unwrap().len(), 1, "{needs}");
    assert_eq!(run.of("person.missed"), Vec::<Value>::new());
    world.org(&["down"]).well();
    assert_eq!(run.of("person.called").len(), 2);
    world.nothing_lives();
}

#[test]
fn a_call_that_fails_is_said_and_stops_nothing() {
    let mut world = TestEnvironment::new();
    world.fake("tell", "echo 'no display' >&2; exit 7");
    let run = broken(&world, "tell");
    let missed = run.wait_for("a call that failed", |events| {
        events
            .iter()
            .find(|it| it["kind"] == "person.missed")
            .cloned()
    });
    let words = "notify ended with status 7: no display";
    assert_eq!(missed["error"], words);
    world.org(&["logs", "supervisor"]).well().naming(&[words]);
    world.org(&["down"]).well();
    world.nothing_lives();
}

#[test]
fn what_is_waited_for_comes_or_is_said_not_to() {
    let world = TestEnvironment::new();
    let words = ["up", "orgs/smoke.toml", "--mock", "--headless", "--detach"];
    world.org(&words).well();
    let id = world.run().id();
    let short = ["wait", "--for", "needs-you", "--timeout", "1s"];
    world
        .org(&short)
        .refused(1)
        .naming(&["nothing of smoke-", "the time is up", "all is well"]);
    let said = world.org(&["wait", "h1", "--timeout", "3m"]).well();
    assert!(said.out.starts_with("h1 "), "{said}");
    world
        .org(&["wait", "h1", "--for", "promoted", "--timeout", "3m"])
        .well();
    world.org(&["wait", "e1"]).well().naming(&["e1 ok"]);
    world
        .org(&["wait", &id, "--timeout", "3m"])
        .well()
        .naming(&["is done"]);
    world
        .org(&["wait", "claude-1"])
        .well()
        .naming(&["claude-1 is idle"]);
    world
        .org(&["next"])
        .well()
        .naming(&["nothing in smoke-", "needs you"]);
    for (words, code, names) in [
        (&["wait", "claud-1"][..], 1, &["claud-1", "claude-1"][..]),
        (
            &["wait", "h1", "--for", "idle"],
            2,
            &["h1 is never idle", "promoted"],
        ),
        (&["wait", "--timeout", "5"], 2, &["10m"]),
        (&["wait", "--for", "ever"], 2, &["ever", "done"]),
        (&["next", "--run", "nothing"], 1, &["nothing"]),
        (
            &["wait", "e99", "--timeout", "1s"],
            1,
            &["e99 has no result", "there is no e99 yet"],
        ),
    ] {
        world.org(words).refused(code).naming(names);
    }
    world.org(&["status", "--watch", "--json"]).refused(2);
    let stopped = world.start(&["wait", &id, "--for", "stopped", "--timeout", "3m"]);
    world.org(&["down"]).well();
    let mut stopped = stopped;
    assert!(stopped.wait().unwrap().success());
    world
        .org(&["wait", "claude-1", "--for", "running", "--run", &id])
        .refused(1)
        .naming(&[
            "claude-1 is not running",
            "was brought down",
            "org up --resume",
        ]);
    world.nothing_lives();
}

#[test]
fn status_is_printed_anew_as_things_happen_until_the_end() {
    let world = TestEnvironment::new();
    let run = broken(&world, "true");
    let mut watch = world.start(&["status", "--watch"]);
    let pages = || fs::read_to_string(world.at("start.out")).unwrap_or_default();
    until("a page with what needs a person", || {
        pages().contains("needs you").then_some(())
    });
    world.org(&["pause"]).well();
    until("the next page", || {
        pages()
            .contains(&format!("{}  paused", run.id()))
            .then_some(())
    });
    world.org(&["down"]).well();
    assert!(watch.wait().unwrap().success());
    assert!(
        pages().contains(&format!("{}  stopped", run.id())),
        "{}",
        pages()
    );
    world.nothing_lives();
}
