//! Karpathy's organisation with its office: nine seats, eight GPUs, nine branches, and an end.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::ground::{Run, TestEnvironment, told};

const RESEARCHERS: [&str; 8] = [
    "claude-1", "claude-2", "claude-3", "claude-4", "codex-1", "codex-2", "codex-3", "codex-4",
];

#[test]
fn nine_agents_sit_in_their_office_with_a_gpu_each() {
    let world = TestEnvironment::new();
    let up = world
        .org(&["up", "orgs/nanochat.toml", "--mock", "--detach"])
        .well();
    let run = world.run();
    up.naming(&[&run.id(), "9 agents", "org attach"]);
    let status = world.org(&["status", "--json"]).json();
    assert_eq!(status["state"], "running", "{status}");
    let socket = status["tmux"]["socket"].as_str().unwrap().to_owned();
    let tmux = |words: &[&str]| {
        let mut command = world.command("tmux");
        command.args(["-S", &socket]).args(words);
        told(command, "").well().out
    };
    seats(&status, &tmux(&["list-panes", "-a", "-F", PANES]));
    branches_and_worktrees(&world, &run, &status);
    devices(&run);
    run.wait_for("the end", |_| {
        let status = world.org(&["status", "--json"]).json();
        assert_eq!(status["needs_you"], Value::Array(Vec::new()), "{status}");
        (status["state"] == "done").then_some(())
    });
    let ledger = world.org(&["ledger", "--json"]).json();
    assert_eq!(ledger[0]["status"], "promoted", "{ledger}");
    assert_eq!(ledger[0]["claim"], "no_worse");
    society(&run);
    // Done ends nothing; down ends all.
    assert!(!world.processes().is_empty());
    world.org(&["down"]).well();
    assert!(!std::path::Path::new(&socket).exists());
    world.nothing_lives();
}

/// What they did together: stand-ups, tasks that were given, reviews of which one was a veto, a promotion.
fn society(run: &Run) {
    let some = |kind: &str, key: &str, value: Value| {
        let all = run.of(kind);
        assert!(
            all.iter().any(|it| it[key] == value),
            "no {kind} with {key} = {value}"
        );
    };
    some("process.fired", "process", "standup".into());
    some("process.fired", "process", "review".into());
    some("mail.sent", "assignment", true.into());
    some("review.given", "decision", "approve".into());
    some("review.given", "decision", "veto".into());
    some("hypothesis.moved", "status", "vetoed".into());
    some("hypothesis.moved", "status", "promoted".into());
}

const PANES: &str =
    "#{pane_id} #{window_name} #{pane_left} #{pane_top} #{pane_width} #{pane_height} #{pane_dead}";

/// Every agent has a pane that lives; the eight with a GPU sit in an exact grid of four columns and two rows.
fn seats(status: &Value, panes: &str) {
    let mut places: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in panes.lines() {
        let mut words = line.split(' ');
        places.insert(words.next().unwrap(), words.collect());
    }
    let agents = status["agents"].as_array().unwrap();
    assert_eq!(agents.len(), 9);
    let place = |name: &str| {
        let agent = agents.iter().find(|agent| agent["name"] == name).unwrap();
        let pane = agent["pane"].as_str().unwrap_or_else(|| panic!("{agent}"));
        places
            .get(pane)
            .unwrap_or_else(|| panic!("{pane} of {name} is not in\n{panes}"))
    };
    let grid: Vec<_> = RESEARCHERS.iter().map(|name| place(name)).collect();
    let set = |field: usize| grid.iter().map(|it| it[field]).collect::<BTreeSet<&str>>();
    assert_eq!(set(0).len(), 1, "one page:\n{panes}");
    assert_eq!(
        (set(1).len(), set(2).len()),
        (4, 2),
        "four columns, two rows:\n{panes}"
    );
    let corners: BTreeSet<_> = grid.iter().map(|it| (it[1], it[2])).collect();
    assert_eq!(corners.len(), 8, "two in one place:\n{panes}");
    let sizes = |field: usize| {
        let sizes: BTreeSet<i32> = grid.iter().map(|it| it[field].parse().unwrap()).collect();
        sizes.last().unwrap() - sizes.first().unwrap()
    };
    assert!(
        sizes(3) <= 1 && sizes(4) <= 1,
        "not an exact grid:\n{panes}"
    );
    // Read along the rows, the grid is in the chart's order.
    let mut order: Vec<(i32, i32, &str)> = Vec::new();
    for (it, name) in grid.iter().zip(RESEARCHERS) {
        order.push((it[2].parse().unwrap(), it[1].parse().unwrap(), name));
    }
    order.sort_unstable();
    let order: Vec<&str> = order.into_iter().map(|(_, _, name)| name).collect();
    assert_eq!(order, RESEARCHERS);
    let chief = place("chief");
    assert!(chief[0].contains("hq") && chief[0] != grid[0][0], "{panes}");
    assert!(
        places.values().all(|it| it[5] == "0"),
        "a pane has ended:\n{panes}"
    );
}

fn branches_and_worktrees(world: &TestEnvironment, run: &Run, status: &Value) {
    let mut git = world.command("git");
    git.arg("--git-dir").arg(run.path("repo.git"));
    git.args(["for-each-ref", "--format=%(refname)", "refs/heads/agent/"]);
    let refs: Vec<String> = told(git, "")
        .well()
        .out
        .lines()
        .map(str::to_owned)
        .collect();
    let mut expected: Vec<String> = RESEARCHERS
        .iter()
        .chain(&["chief"])
        .map(|it| format!("refs/heads/agent/{it}"))
        .collect();
    expected.sort();
    assert_eq!(refs, expected);
    for agent in status["agents"].as_array().unwrap() {
        let name = agent["name"].as_str().unwrap();
        let worktree = run.path("work").join(name);
        assert_eq!(agent["worktree"], worktree.display().to_string());
        assert_eq!(agent["branch"], format!("agent/{name}"));
        let mut git = world.command("git");
        git.arg("-C")
            .arg(&worktree)
            .args(["rev-parse", "--abbrev-ref", "HEAD"]);
        assert_eq!(told(git, "").well().out.trim(), format!("agent/{name}"));
        assert!(worktree.join("nanochat/gpt.py").exists());
    }
}

/// What `env` printed in each agent's shell; the chief has none, so its process is asked.
fn devices(run: &Run) {
    let mut seen = BTreeSet::new();
    for name in RESEARCHERS {
        let env = run.wait_for("env in a shell", |_| {
            run.answers(name, "shell").into_iter().next()
        });
        let value = |key: &str| {
            let line = env
                .lines()
                .find_map(|line| line.strip_prefix(&format!("{key}=")));
            line.unwrap_or_else(|| panic!("{name} has no {key}:\n{env}"))
                .to_owned()
        };
        seen.insert(value("CUDA_VISIBLE_DEVICES"));
        assert_eq!(value("CUDA_DEVICE_ORDER"), "PCI_BUS_ID");
        assert_eq!(value("ORG_AGENT"), name);
        assert_eq!(
            value("ORG_RUN"),
            run.path("").display().to_string().trim_end_matches('/')
        );
        for secret in ["API_KEY", "TMUX", "XDG_STATE_HOME"] {
            assert!(!env.contains(secret), "{name} sees {secret}:\n{env}");
        }
    }
    let eight: BTreeSet<String> = (0..8).map(|n| n.to_string()).collect();
    assert_eq!(seen, eight);
    let started = run.of("agent.started");
    let chief = started
        .iter()
        .find(|event| event["agent"] == "chief")
        .unwrap();
    let env = std::fs::read(format!("/proc/{}/environ", chief["pid"]));
    // Who may not be looked into by its own user does not show its environment either.
    if let Ok(env) = env {
        let env = String::from_utf8_lossy(&env).into_owned();
        assert!(
            env.split('\0').any(|it| it == "CUDA_VISIBLE_DEVICES="),
            "{env}"
        );
    }
    let seated = run.of("agent.seated");
    let chief = seated
        .iter()
        .find(|event| event["agent"] == "chief")
        .unwrap();
    assert_eq!(chief["gpu"], Value::Null);
}
