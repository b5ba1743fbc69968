//! A run that is to survive comes back after a reboot by itself, and not after it was brought down.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::ground::{TestEnvironment, told, until};

/// A systemd that writes down what it is asked, and says that nobody lingers.
fn systemd(world: &mut TestEnvironment) {
    world.fake("systemctl", "echo \"$*\" >> \"$HOME/asked\"");
    world.fake("loginctl", "echo Linger=no");
    world.set("USER", "ana");
}

#[test]
fn a_run_survives_a_reboot_by_a_unit_that_down_takes_away() {
    let mut world = TestEnvironment::new();
    systemd(&mut world);
    let up = [
        "up",
        "orgs/smoke.toml",
        "--mock",
        "--headless",
        "--detach",
        "--survive",
    ];
    world.org(&up).well().naming(&[
        "is up with 2 agents",
        "after a reboot it goes on by itself",
        "enable-linger",
    ]);
    let run = world.run();
    let name = format!("org-{}.service", run.id());
    let path = world.at(&format!("home/.config/systemd/user/{name}"));
    let unit = fs::read_to_string(&path).unwrap();
    let asked = fs::read_to_string(world.at("home/asked")).unwrap();
    assert!(
        asked.ends_with(&format!("--user daemon-reload\n--user enable {name}\n")),
        "{asked}"
    );

    // A reboot: everything is gone at once, and what the unit says is started.
    until("the end of everything", || {
        // Whoever is left starts the others again.
        let all: Vec<u32> = world.processes().into_keys().collect();
        for pid in &all {
            let pid = Pid::from_raw((*pid).try_into().unwrap()).unwrap();
            kill_process(pid, Signal::KILL).ok();
        }
        all.is_empty().then_some(())
    });
    let status = world.org(&["status", "--json"]).json();
    assert_eq!(status["state"], "lost");
    let line = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="))
        .unwrap();
    let mut boot = world.command("sh");
    boot.args(["-c", line]).current_dir("/").env_clear();
    for set in unit
        .lines()
        .filter_map(|line| line.strip_prefix("Environment="))
    {
        let (name, value) = set.trim_matches('"').split_once('=').unwrap();
        boot.env(name, value);
    }
    told(boot, "").well().naming(&["is up with 2 agents"]);
    world
        .org(&["wait", &run.id(), "--timeout", "3m"])
        .well()
        .naming(&["is done"]);

    // In the morning it is told in a handful of lines.
    let page = world.org(&["status"]).well();
    page.naming(&[
        "promoted     h1 +",
        "gain         +",
        "budget       $",
        "people       nobody stepped in",
    ]);
    let first = page_after(&page_text(&world), "experiments");
    assert!(first.lines().count() <= 10, "{first}");
    world.org(&["down"]).well();
    assert!(!path.exists());
    let asked = fs::read_to_string(world.at("home/asked")).unwrap();
    assert!(
        asked.contains(&format!("--user disable {name}\n")),
        "{asked}"
    );
    world.nothing_lives();
}

fn page_text(world: &TestEnvironment) -> String {
    world.org(&["status"]).well().out
}

/// A page from the line on that begins so.
fn page_after(page: &str, word: &str) -> String {
    let lines = page.lines().skip_while(|line| !line.starts_with(word));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn where_there_is_no_systemd_nothing_is_made() {
    let mut world = TestEnvironment::new();
    world.fake(
        "systemctl",
        "echo 'Failed to connect to bus: No medium found' >&2; exit 1",
    );
    world.fake("loginctl", "exit 1");
    let up = [
        "up",
        "orgs/smoke.toml",
        "--mock",
        "--headless",
        "--detach",
        "--survive",
    ];
    world.org(&up).refused(1).naming(&[
        "cannot bring a run up after a reboot",
        "Failed to connect to bus",
        "--survive",
    ]);
    world.nothing_was_made();
    let found = world.org(&["doctor", "--json"]);
    let found: Vec<Value> = serde_json::from_str(&found.out).unwrap();
    let reboot = found.iter().find(|it| it["what"] == "reboot").unwrap();
    assert_eq!(reboot["mark"], "note", "{reboot}");
    systemd(&mut world);
    let found = world.org(&["doctor", "--json"]);
    assert!(found.out.contains("loginctl enable-linger"), "{found}");
    // Without the option nobody asks systemd.
    world.org(&up[..5]).well();
    world.org(&["down"]).well();
    assert!(!world.at("home/.config").exists());
    world.nothing_lives();
}
