//! Real GPUs, as `nvidia-smi` tells of them: who gets which, and what is refused.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use crate::ground::{TestEnvironment, project, until, write};
use crate::small::{Small, call};

/// Eight cards, of which nobody computes on any.
const EIGHT: &str = r#"case "$*" in
*compute-apps*) ;;
*) for i in 0 1 2 3 4 5 6 7; do echo "$i, GPU-0000000$i-aaaa, NVIDIA H200, 143771"; done ;;
esac"#;

/// Models that nobody answers for: these runs are about devices.
const NOBODY: &str = "[providers.anthropic]\nbase_url = \"http://127.0.0.1:9\"\nkey_cmd = \"echo k\"\n\
                      [providers.openai]\nbase_url = \"http://127.0.0.1:9/v1\"\nkey_cmd = \"echo k\"\n[mock]\n";

const REAL: [&str; 2] = ["--headless", "--detach"];

fn homes(world: &TestEnvironment) -> Vec<String> {
    let status = world.org(&["status", "--json"]).json();
    let agents = status["agents"].as_array().unwrap();
    agents
        .iter()
        .map(|agent| agent["gpu"].to_string())
        .collect()
}

#[test]
fn gpus_that_are_not_there_are_refused_before_anything_is_made() {
    let mut world = TestEnvironment::new();
    let auto = "gpus = \"auto\"  ";
    let claude = "model = \"claude-opus-5-5\"\ngpu   = \"auto\"";
    let codex = "model = \"gpt-6.2-sol\"\ngpu   = \"auto\"";
    let with = |old: &str, new: &str| (old.to_owned(), new.to_owned());
    let uuid = |n| format!("\"GPU-0000000{n}-aaaa\"");
    let table = [
        // Unknown, by index and by name.
        (
            vec![with(codex, "model = \"gpt-6.2-sol\"\ngpu = 11")],
            vec!["codex-1", "11", "0, 1, 2"],
        ),
        (
            vec![with(auto, "gpus = [3, 12]")],
            vec!["compute.gpus", "12"],
        ),
        (
            vec![with(
                codex,
                &format!("model = \"gpt-6.2-sol\"\ngpu = {}", uuid(9)),
            )],
            vec!["codex-1", "GPU-00000009-aaaa"],
        ),
        // Booked twice, under two names of one card.
        (
            vec![
                with(claude, "model = \"claude-opus-5-5\"\ngpu = 2"),
                with(
                    codex,
                    &format!("model = \"gpt-6.2-sol\"\ngpu = {}", uuid(2)),
                ),
            ],
            vec!["claude-1", "codex-1", "GPU 2", "both"],
        ),
    ];
    world.fake("nvidia-smi", EIGHT);
    for (changes, words) in table {
        let mut changes: Vec<(&str, &str)> = changes.iter().map(|(a, b)| (&**a, &**b)).collect();
        changes.push(("[mock]\n", NOBODY));
        let chart = world.chart("smoke.toml", &changes);
        let said = world.org(&[&["up", &chart][..], &REAL].concat());
        said.refused(1)
            .naming(&words)
            .naming(&["org doctor", "--mock"]);
        world.nothing_was_made();
    }
    // Hidden by whoever started us; a machine without a driver; a driver that is broken.
    let chart = world.chart("smoke.toml", &[("[mock]\n", NOBODY)]);
    let up = [&["up", &chart][..], &REAL].concat();
    world.set("CUDA_VISIBLE_DEVICES", "6");
    world
        .org(&up)
        .refused(1)
        .naming(&["2 are asked for", "CUDA_VISIBLE_DEVICES"]);
    world.set("CUDA_VISIBLE_DEVICES", "");
    world
        .org(&up)
        .refused(1)
        .naming(&["none", "CUDA_VISIBLE_DEVICES"]);
    world.unset("CUDA_VISIBLE_DEVICES");
    world.fake("nvidia-smi", "echo NVIDIA-SMI has failed; exit 9");
    world.org(&up).refused(1).naming(&["NVIDIA-SMI has failed"]);
    world.nothing_was_made();
}

#[test]
fn an_outer_choice_of_gpus_is_respected_down_to_the_agents_shell() {
    let mut world = TestEnvironment::new();
    world.fake("nvidia-smi", EIGHT);
    world.set("CUDA_VISIBLE_DEVICES", "6,GPU-00000003-aaaa");
    // A mock of its own, which the chart takes for the vendors.
    let script = "version = 1\n[[scripts]]\n[[scripts.steps]]\n[[scripts.steps.call]]\ntool = \"shell\"\n\
                  command = \"env\"\n[[scripts.steps]]\nsay = \"seen\"\n";
    let scenario = world.at("scenario.toml");
    write(&scenario, script);
    let mut mock = world.start(&["mock", "--scenario", scenario.to_str().unwrap()]);
    let providers = mocked_providers(&world);
    let chart = world.chart("smoke.toml", &[("[mock]\n", &providers)]);
    world.org(&[&["up", &chart][..], &REAL].concat()).well();
    assert_eq!(homes(&world), ["6", "3"]);
    let run = world.run();
    for (agent, gpu) in [("claude-1", "6"), ("codex-1", "3")] {
        let env = run.wait_for("env in a shell", |_| run.answers(agent, "shell").pop());
        let line = format!("CUDA_VISIBLE_DEVICES={gpu}");
        assert!(env.lines().any(|it| it == line), "{agent}: {env}");
        assert!(env.contains("CUDA_DEVICE_ORDER=PCI_BUS_ID"), "{env}");
    }
    // Measured runs take the same two and no others, one each at a time.
    let started = run.wait_for("two runs", |_| {
        let started = run.of("experiment.started");
        (started.len() >= 2).then_some(started)
    });
    for run in started {
        let index = run["gpus"][0]["index"].as_u64().unwrap();
        assert!(
            [3, 6].contains(&index) && run["gpus"].as_array().unwrap().len() == 1,
            "{run}"
        );
    }
    // Another run on this machine does not get them while this one has them.
    two_runs_do_not_share(&world, &chart);
    world.org(&["down", &run.id()]).well();
    mock.kill().unwrap();
    mock.wait().unwrap();
    world.nothing_lives();
}

fn two_runs_do_not_share(world: &TestEnvironment, chart: &str) {
    let before = world.run_dirs();
    let said = world.org(&[&["up", chart][..], &REAL].concat()).refused(1);
    said.naming(&["GPU-0000000", "leased", "org down"]);
    assert_eq!(world.run_dirs(), before, "half made");
}

/// Waits for the port that a mock of its own said.
fn mocked_providers(world: &TestEnvironment) -> String {
    let port = until("the mock's port", || {
        let said = fs::read_to_string(world.at("start.out")).ok()?;
        let port = said
            .trim()
            .rsplit([':', ' ', '/'])
            .find(|it| it.parse::<u16>().is_ok())?;
        Some(port.to_owned())
    });
    let providers = NOBODY.replace("127.0.0.1:9", &format!("127.0.0.1:{port}"));
    let providers = providers.replacen("echo k", "echo mock-claude-1", 1);
    providers.replacen("echo k", "echo mock-codex-1", 1)
}

#[test]
fn a_device_that_disappears_costs_its_run_and_nothing_else() {
    let mut world = TestEnvironment::new();
    let gone = world.at("gone");
    // Two cards, the second of which may fall off the bus.
    let cards = format!(
        "case \"$*\" in\n*compute-apps*) ;;\n*utilization*) echo GPU-00000000-aaaa, 50\n\
         [ -e {0} ] || echo GPU-00000001-aaaa, 50 ;;\n\
         *) echo 0, GPU-00000000-aaaa, NVIDIA H200, 143771\n\
         [ -e {0} ] || echo 1, GPU-00000001-aaaa, NVIDIA H200, 143771 ;;\nesac",
        gone.display()
    );
    world.fake("nvidia-smi", &cards);
    let scenario = project().join("examples/smoke/scenario.toml");
    let mut mock = world.start(&["mock", "--scenario", scenario.to_str().unwrap()]);
    let providers = mocked_providers(&world);
    // What computes on the second card hangs; that card is at its end.
    let hang = "[ \"$CUDA_VISIBLE_DEVICES\" != 1 ] || sleep 600; python3 train.py";
    let chart = world.chart(
        "smoke.toml",
        &[
            ("[mock]\n", &providers),
            (
                "run      = \"python3 train.py\"",
                &format!("run = '{hang}'"),
            ),
            ("timeout  = \"60s\"", "timeout = \"20m\""),
            ("gpus = \"auto\"  ", "gpus = \"auto\"\nparallel = 2 "),
        ],
    );
    world.org(&[&["up", &chart][..], &REAL].concat()).well();
    let run = world.run();
    run.wait_for("a run on the second card", |_| {
        let started = run.of("experiment.started");
        let second = |it: &&Value| it["gpus"][0]["index"] == 1;
        started.iter().find(second).cloned()
    });
    write(&gone, "");
    // The claim comes true on the other card.
    run.wait_for("the promotion", |_| run.of("programme.advanced").pop());
    let cut: Vec<Value> = run
        .of("experiment.finished")
        .into_iter()
        .filter(|it| it["status"] != "ok")
        .collect();
    assert_eq!(cut.len(), 1, "{cut:#?}");
    assert_eq!(cut[0]["status"], "interrupted");
    let why = cut[0]["reason"].as_str().unwrap();
    assert!(
        why.contains("GPU-00000001-aaaa went away under it"),
        "{why}"
    );
    let status = world.org(&["status", "--json"]).json();
    let needs = status["needs_you"].to_string();
    assert!(
        needs.contains("GPU 1 is not used") && needs.contains("does not list"),
        "{needs}"
    );
    // Nothing is lost: what was cut short ran again, and no claim was refused for it.
    let ledger = world.org(&["ledger", "--json"]).json();
    assert_eq!(ledger[0]["status"], "promoted", "{ledger}");
    world.org(&["down", &run.id()]).well();
    mock.kill().unwrap();
    mock.wait().unwrap();
    world.nothing_lives();
}

#[test]
fn whole_nodes_and_single_cards_share_one_queue() {
    let world = TestEnvironment::new();
    // One looks around on single cards all the time; the other's claim takes both.
    let looks = call("experiment", "note = \"a look\"").repeat(8);
    let claim = call("write", "path = \"value.txt\"\ncontent = \"5\"")
        + &call(
            "hypothesis",
            "title = \"lower\"\nclaim = \"improve\"\nmechanism = \"m\"\npredicts = 3.0\nrefuted_by = \"r\"",
        );
    let task = Small {
        files: vec![
            (
                "run.sh",
                "echo \"cards: $CUDA_VISIBLE_DEVICES\"\n\
                 echo \"loss: $(cat value.txt).$((ORG_SEED % 90 + 10))\"\n"
                    .to_owned(),
            ),
            ("value.txt", "9".to_owned()),
        ],
        task: "run = \"sh run.sh\"\ntimeout = \"60s\"\ngpus = 2\nexplore_gpus = 1\n\
               metric = { name = \"loss\", goal = \"min\", pattern = 'loss: ([0-9.]+)' }"
            .to_owned(),
        tables: "[protocol]\nmatch = \"none\"\nguards = {}\nbaseline = 3\nconfirm = 4\n\
                 [compute]\ngpus = \"simulate:2\"\nparallel = 2\n"
            .to_owned(),
        agents: vec![("looker", true), ("claimer", true)],
        scenario: format!(
            "[[scripts]]\nagent = \"looker\"\n{looks}[[scripts]]\nagent = \"claimer\"\n{claim}"
        ),
    };
    let run = task.play(&world);
    let ledger = world.org(&["ledger", "--json"]).json();
    assert_eq!(ledger[0]["status"], "promoted", "{ledger}");
    let stage: BTreeMap<u64, String> = run
        .of("experiment.queued")
        .iter()
        .map(|it| {
            (
                it["id"].as_u64().unwrap(),
                it["stage"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    let started = run.of("experiment.started");
    for it in &started {
        let look = stage[&it["id"].as_u64().unwrap()] == "explore";
        let cards = it["gpus"].as_array().unwrap().len();
        assert_eq!(cards, if look { 1 } else { 2 }, "{it}");
    }
    let looked = stage.values().filter(|it| *it == "explore").count();
    assert_eq!(looked, 8);
    // The claim did not wait for the end of all looks.
    let verdict = run.of("programme.advanced")[0]["seq"].as_u64().unwrap();
    let before = started
        .iter()
        .filter(|it| it["seq"].as_u64().unwrap() < verdict);
    let whole = before
        .filter(|it| it["gpus"].as_array().unwrap().len() == 2)
        .count();
    assert!(whole >= 3 + 1 + 8, "{whole}");
}
