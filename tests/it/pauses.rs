//! A hard pause stops everything where it stands, and lets it go on as if nothing had been.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::ground::{Run, TestEnvironment, until, write};

/// A run whose measured runs take a while, and whose agents say that they are ready; one of them runs a
/// command for ever when it is told to.
fn slow(world: &TestEnvironment, more: &[(&str, &str)]) -> Run {
    let scenario = world.at("slow.toml");
    write(
        &scenario,
        "version = 1\n[[scripts]]\n[[scripts.steps]]\nsay = \"ready\"\n[[scripts.steps]]\n\
         expect = 'SLEEP'\n[[scripts.steps.call]]\ntool = \"shell\"\n\
         command = \"touch asleep; sleep 601\"\n",
    );
    let run = "run      = \"python3 train.py\"";
    let long = "run = \"python3 train.py; sleep 1.03\"";
    let chart = world.chart("smoke.toml", &[&[(run, long)], more].concat());
    let scenario = scenario.display().to_string();
    let words = [
        "up",
        &chart,
        "--headless",
        "--detach",
        "--scenario",
        &scenario,
    ];
    world.org(&words).well();
    world.run()
}

/// The states of all processes of the world whose words hold some others.
fn states(world: &TestEnvironment, words: &str) -> Vec<char> {
    let mut states = Vec::new();
    for (pid, line) in world.processes() {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = stat
            .rsplit(") ")
            .next()
            .and_then(|rest| rest.chars().next());
        if line.starts_with(words) {
            states.extend(state);
        }
    }
    states
}

fn count(events: &[Value], kind: &str) -> usize {
    events.iter().filter(|event| event["kind"] == kind).count()
}

#[test]
fn a_hard_pause_freezes_runs_across_supervisors_and_their_wall_time_leaves_it_out() {
    let world = TestEnvironment::new();
    let run = slow(&world, &[]);
    until("a run under way", || {
        (!states(&world, "sleep 1.03").is_empty()).then_some(())
    });
    world
        .org(&["pause", "--hard"])
        .well()
        .naming(&["frozen; ", "org resume"]);
    let still = states(&world, "sleep 1.03");
    assert!(
        !still.is_empty() && still.iter().all(|state| *state == 'T'),
        "{still:?}"
    );
    let events = run.events();
    let frozen = count(&events, "experiment.frozen");
    assert!(frozen > 0, "said and not seen");
    let status = world.org(&["status", "--json"]).json();
    assert_eq!(status["state"], "paused");
    assert_eq!(status["experiments"]["frozen"], frozen, "{status}");
    world.org(&["status"]).well().naming(&["stand still"]);
    world
        .org(&["pause", "--hard"])
        .well()
        .naming(&["already frozen"]);

    // Whoever comes after a killed supervisor finds it so and leaves it so.
    let pid = run.of("supervisor.started")[0]["pid"].as_u64().unwrap();
    kill_process(
        Pid::from_raw(pid.try_into().unwrap()).unwrap(),
        Signal::KILL,
    )
    .unwrap();
    run.wait_for("the next supervisor", |events| {
        (count(events, "supervisor.started") == 2).then_some(())
    });
    assert_eq!(states(&world, "sleep 1.03"), still);
    let started = count(&run.events(), "experiment.started");
    world
        .org(&["pause", "--hard"])
        .well()
        .naming(&["already frozen"]);
    assert_eq!(count(&run.events(), "experiment.started"), started);

    world.org(&["resume"]).well();
    let first = run.wait_for("the end of a frozen run", |events| {
        let of = |event: &&Value| {
            event["kind"] == "experiment.finished" && event["measured"]["frozen_s"].is_number()
        };
        events.iter().find(of).cloned()
    });
    assert_eq!(first["status"], "ok", "{first}");
    let (wall, frozen) = (&first["measured"]["wall_s"], &first["measured"]["frozen_s"]);
    let (wall, frozen) = (wall.as_f64().unwrap(), frozen.as_f64().unwrap());
    // A program that sleeps is over by the clock, whether it stood still or not.
    assert!(frozen > 0.0 && wall + frozen > 1.0, "{first}");
    let begun = run
        .of("experiment.started")
        .into_iter()
        .find(|it| it["id"] == first["id"]);
    let at = |event: &Value| -> jiff::Timestamp { event["at"].as_str().unwrap().parse().unwrap() };
    let all = at(&first).duration_since(at(&begun.unwrap())).as_secs_f64();
    assert!(wall + frozen <= all + 0.01, "{wall} + {frozen} > {all}");
    world.org(&["down"]).well();
    world.nothing_lives();
}

#[test]
fn a_run_whose_own_clock_went_on_is_measured_again() {
    let world = TestEnvironment::new();
    let run = slow(&world, &[("match    = \"flops\"", "match = \"wall\"")]);
    until("a run under way", || {
        (!states(&world, "sleep 1.03").is_empty()).then_some(())
    });
    world.org(&["pause", "--hard"]).well();
    let frozen = run.of("experiment.frozen");
    world.org(&["resume"]).well();
    for one in &frozen {
        let end = run.wait_for("its end", |events| {
            let of =
                |event: &&Value| event["kind"] == "experiment.finished" && event["id"] == one["id"];
            events.iter().find(of).cloned()
        });
        assert_eq!(end["status"], "interrupted", "{end}");
        let again = run.wait_for("its repetition", |events| {
            let of =
                |event: &&Value| event["kind"] == "experiment.finished" && event["id"] == one["id"];
            events.iter().filter(of).nth(1).cloned()
        });
        assert_eq!(
            (&again["status"], &again["attempt"]),
            (&"ok".into(), &2.into())
        );
    }
    assert!(!frozen.is_empty());
    world.org(&["down"]).well();
    world.nothing_lives();
}

#[test]
fn an_agents_command_stands_still_with_it_and_a_frozen_run_can_be_brought_down() {
    let world = TestEnvironment::new();
    let run = slow(&world, &[]);
    world.org(&["send", "claude-1", "SLEEP"]).well();
    until("the command", || {
        run.path("work/claude-1/asleep").exists().then_some(())
    });
    world.org(&["pause", "claude-1", "--hard"]).well();
    let all = |wanted: char| {
        let states = states(&world, "sleep 601");
        (!states.is_empty() && states.iter().all(|it| *it == wanted)).then_some(())
    };
    until("the command to stand still", || all('T'));
    let agents = world.org(&["status", "--json"]).json();
    let agent = &agents["agents"][0];
    assert_eq!(
        (&agent["name"], &agent["state"]),
        (&"claude-1".into(), &"paused".into())
    );
    assert_eq!(agent["reason"], "by a person; what it runs stands still");
    assert_ne!(agents["state"], "paused", "the other goes on");
    world.org(&["resume", "claude-1"]).well();
    until("the command to go on", || all('S'));
    world.org(&["pause", "--hard"]).well();
    until("the command to stand still again", || all('T'));
    let id = run.id();
    world.org(&["down"]).well();
    world.nothing_lives();
    world
        .org(&["pause", "--hard", "--run", &id])
        .refused(1)
        .naming(&["no supervisor", "org up --resume"]);
    world
        .org(&["pause", "nobody", "--run", &id])
        .refused(1)
        .naming(&["nobody", "claude-1"]);
}
