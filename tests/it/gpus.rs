//! Real GPUs, as `nvidia-smi` tells of them: who gets which, and what is refused.

use std::fs;

use crate::ground::{ORG, Run, TestEnvironment, project, until, write};

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
        // Too few.
        (
            vec![with(auto, "gpus = [5]")],
            vec!["codex-1", "2 are asked for", "5"],
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
    let providers = providers.replacen("echo k", "echo mock-codex-1", 1);
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
    two_runs_do_not_share(&world, &chart, &run);
    world.org(&["down", &run.id()]).well();
    mock.kill().unwrap();
    mock.wait().unwrap();
    world.nothing_lives();
    assert!(!ORG.is_empty() && project().exists());
}

fn two_runs_do_not_share(world: &TestEnvironment, chart: &str, first: &Run) {
    let before = world.run_dirs();
    let said = world.org(&[&["up", chart][..], &REAL].concat()).refused(1);
    said.naming(&["leased", &first.id()]);
    assert_eq!(world.run_dirs(), before, "half made");
}
