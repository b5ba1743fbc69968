//! Repositories, terminals, disks and commands that are not as one would wish.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::ground::{ORG, Run, TestEnvironment, told, write};
use crate::task::{chart_on, git, repository};
use crate::terminal::Terminal;

const UP: [&str; 3] = ["--mock", "--headless", "--detach"];

#[track_caller]
fn up(world: &TestEnvironment, chart: &str) -> Run {
    let before = world.run_dirs();
    world.org(&[&["up", chart][..], &UP].concat()).well();
    let dirs = world.run_dirs();
    let new = dirs.into_iter().find(|dir| !before.contains(dir));
    Run::at(new.expect("a run was made"))
}

#[track_caller]
fn down(world: &TestEnvironment, run: &Run) {
    world.org(&["down", &run.id()]).well();
    fs::remove_dir_all(run.path("")).unwrap();
}

#[test]
fn repositories_that_can_be_used_are() {
    let world = TestEnvironment::new();
    let repo = repository(&world, "task");
    let bare = world.at("bare.git");
    git(
        &world,
        &world.root(),
        &["clone", "-q", "--bare", "task", "bare.git"],
    );
    // What is not committed is no part of the programme, and does not stand in its way.
    write(&repo.join("config.py"), "this is not Python (\n");
    write(&repo.join("new.txt"), "not committed\n");

    let run = up(&world, &chart_on(&world, &repo, Some("main")));
    let work = run.path("work/claude-1");
    assert!(
        !fs::read_to_string(work.join("config.py"))
            .unwrap()
            .contains("not Python")
    );
    assert!(!work.join("new.txt").exists() && !work.join("side.txt").exists());
    down(&world, &run);

    let run = up(&world, &chart_on(&world, &bare, None));
    assert!(run.path("work/claude-1/train.py").exists());
    down(&world, &run);

    git(&world, &repo, &["stash", "-qu"]);
    git(&world, &repo, &["checkout", "-q", "side"]);
    for (base, on_side) in [(None, true), (Some("main"), false), (Some("side"), true)] {
        let run = up(&world, &chart_on(&world, &repo, base));
        assert_eq!(
            run.path("work/claude-1/side.txt").exists(),
            on_side,
            "{base:?}"
        );
        down(&world, &run);
    }
    world.nothing_was_made();
}

#[test]
fn repositories_that_cannot_be_used_are_refused() {
    let world = TestEnvironment::new();
    let repo = repository(&world, "task");
    let root = world.root();
    let make = |name: &str| {
        fs::create_dir(root.join(name)).unwrap();
        root.join(name)
    };
    let bare_words = make("no-files");
    let empty = make("empty");
    git(&world, &empty, &["init", "-q"]);
    let from = format!("file://{}", repo.display());
    git(
        &world,
        &root,
        &["clone", "-q", "--depth", "1", &from, "shallow"],
    );
    git(&world, &root, &["clone", "-q", "task", "loose"]);
    git(
        &world,
        &root.join("loose"),
        &["checkout", "-q", "--orphan", "fresh"],
    );
    write(&root.join("a-file"), "x");
    let missing = root.join("missing");
    let table: [(&Path, Option<&str>, &[&str]); 8] = [
        (&empty, None, &["no commit", "empty", "commit something"]),
        (&bare_words, None, &["no-files", "no commits"]),
        (&root.join("shallow"), None, &["shallow", "--unshallow"]),
        (
            &missing,
            None,
            &["missing", "does not exist", "[task] repo"],
        ),
        (&root.join("a-file"), None, &["a-file", "not a directory"]),
        (&repo, Some("mian"), &["mian", "main", "base"]),
        (
            &root.join("loose"),
            None,
            &["no branch checked out", "base", "main"],
        ),
        (
            Path::new("https://example.org/x.git"),
            None,
            &["not on this machine", "git clone"],
        ),
    ];
    for (repo, base, words) in table {
        let chart = chart_on(&world, repo, base);
        let said = world.org(&[&["up", &chart][..], &UP].concat());
        said.refused(1).naming(words);
        world.nothing_was_made();
    }
}

#[test]
fn without_a_usable_tmux_it_says_what_to_do() {
    let mut world = TestEnvironment::new();
    let bin = world.at("few");
    fs::create_dir(&bin).unwrap();
    for name in ["sh", "git", "python3"] {
        let mut which = world.command("sh");
        which.args(["-c", &format!("command -v {name}")]);
        let found = told(which, "").well().out;
        std::os::unix::fs::symlink(found.trim(), bin.join(name)).unwrap();
    }
    let path = world.env()["PATH"].clone();
    world.set("PATH", bin.display());
    let up = ["up", "orgs/smoke.toml", "--mock", "--detach"];
    let said = world.org(&up).refused(1);
    said.naming(&[
        "tmux is not installed",
        "apt-get install tmux",
        "--headless",
    ]);
    world.nothing_was_made();
    world.set("PATH", path);
    world.fake("tmux", "echo 'tmux 3.1c'");
    let said = world.org(&up).refused(1);
    said.naming(&["tmux 3.1c", "3.2", "--headless"]);
    world.nothing_was_made();
    // Without an office nobody asks for it.
    let run = self::up(&world, "orgs/smoke.toml");
    down(&world, &run);
    world.nothing_was_made();
}

#[test]
fn a_chart_can_be_up_twice_and_down_twice() {
    let world = TestEnvironment::new();
    let one = up(&world, "orgs/smoke.toml");
    let two = up(&world, "orgs/smoke.toml");
    assert_ne!(one.id(), two.id());
    // Which one is meant has to be said now.
    let said = world.org(&["down"]).refused(2);
    said.naming(&[&one.id(), &two.id(), "--run"]);
    let said = world.org(&["down", &one.id()]).well();
    assert!(
        said.err.contains("claude-1"),
        "what ended is not told: {said}"
    );
    let again = world.org(&["down", &one.id()]).well();
    assert!(again.err.contains("down already"), "{again}");
    assert_eq!(state(&world, &two), "running or done");
    world.org(&["down"]).well().naming(&[&two.id()]);
    world
        .org(&["down"])
        .refused(1)
        .naming(&["no run is alive", "org up"]);
    world.nothing_lives();
}

fn state(world: &TestEnvironment, run: &Run) -> String {
    let status = world.org(&["status", "--run", &run.id(), "--json"]).json();
    match status["state"].as_str().unwrap() {
        "running" | "done" => "running or done".to_owned(),
        other => other.to_owned(),
    }
}

#[test]
fn a_run_of_a_newer_program_is_left_alone() {
    let world = TestEnvironment::new();
    let run = up(&world, "orgs/smoke.toml");
    world.org(&["down", &run.id()]).well();
    let path = run.path("events.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("\"format\":1"));
    write(&path, text.replacen("\"format\":1", "\"format\":2", 1));
    let id = run.id();
    let commands: [&[&str]; 6] = [
        &["up", "--resume", &id],
        &["down", &id],
        &["send", "all", "hello", "--run", &id],
        &["pause", "--run", &id],
        &["status", "--run", &id],
        &["ledger", "--run", &id],
    ];
    for words in commands {
        world
            .org(words)
            .refused(1)
            .naming(&["format 2", "newer", "org --version"]);
    }
    let untouched = text.replacen("\"format\":1", "\"format\":2", 1);
    assert_eq!(fs::read_to_string(&path).unwrap(), untouched);
    world.org(&["ls"]).well().naming(&[&id]);
    world.nothing_lives();
}

#[test]
fn a_home_that_cannot_be_written_stands_in_nobody_s_way() {
    let mut world = TestEnvironment::new();
    // A file where directories would be made: nobody can write there, root neither.
    write(&world.at("full"), "");
    let home = world.at("full/home").display().to_string();
    world.set("HOME", home);
    world.unset("XDG_STATE_HOME");
    let said = world.org(&[
        "up",
        "orgs/smoke.toml",
        "--mock",
        "--headless",
        "--until",
        "done",
    ]);
    let said = said.well();
    assert!(said.err.contains("warning"), "{said}");
    world.nothing_lives();
    // But where the runs are, something has to be written.
    world.set("ORG_RUNS", world.at("full/runs").display());
    let up = world.org(&[&["up", "orgs/smoke.toml"][..], &UP].concat());
    up.refused(1).naming(&["full/runs", "ORG_RUNS"]);
    world.set("ORG_RUNS", "/proc/runs");
    let up = world.org(&[&["up", "orgs/smoke.toml"][..], &UP].concat());
    up.refused(1).naming(&["/proc/runs", "ORG_RUNS"]);
    world.set("ORG_RUNS", world.at("runs").display());
    world.nothing_lives();
}

#[test]
fn a_setup_that_fails_is_told_before_anything_is_made() {
    let world = TestEnvironment::new();
    let chart = world.chart(
        "smoke.toml",
        &[(
            "[task]\n",
            "[task]\nsetup = \"echo no such wheel >&2; exit 4\"\n",
        )],
    );
    world
        .org(&["up", &chart, "--mock", "--headless", "--until", "done"])
        .refused(1)
        .naming(&["setup failed", "exit status 4", "no such wheel"]);
    world.nothing_lives();
    assert_eq!(world.run_dirs(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_run_that_fails_is_told_and_nothing_hangs() {
    let world = TestEnvironment::new();
    let run = "run      = \"python3 train.py\"";
    let chart = world.chart("smoke.toml", &[(run, "run = \"python3 nowhere.py\"")]);
    ends_without_a_baseline(&world, &chart, &["crashed", "exit status 2", "nowhere.py"]);
    // One that ends well and prints no metric is no better.
    let chart = world.chart("smoke.toml", &[(run, "run = \"echo done\"")]);
    ends_without_a_baseline(&world, &chart, &["invalid", "val_loss"]);
}

#[track_caller]
fn ends_without_a_baseline(world: &TestEnvironment, chart: &str, words: &[&str]) {
    let up = world.org(&["up", chart, "--mock", "--headless", "--until", "done"]);
    let up = up.refused(1);
    world.nothing_lives();
    let run = Run::at(world.run_dirs().pop().unwrap());
    let said = up.naming(words).naming(&[&run.id()]);
    let status = world.org(&["status", "--json", "--run", &run.id()]).json();
    let needs = status["needs_you"].as_array().unwrap();
    let told = |it: &Value| {
        words
            .iter()
            .all(|word| it["reason"].as_str().unwrap().contains(word))
    };
    assert!(needs.iter().any(told), "{needs:?}\n{said}");
    let ledger = world.org(&["ledger", "--json", "--run", &run.id()]).json();
    for claim in ledger.as_array().unwrap() {
        assert_ne!(claim["status"], "promoted", "{claim}");
        assert!(!claim["reason"].as_str().unwrap().is_empty(), "{claim}");
    }
    fs::remove_dir_all(run.path("")).unwrap();
}

#[test]
fn a_tiny_terminal_inside_another_tmux_can_attach() {
    let world = TestEnvironment::new();
    world
        .org(&["up", "orgs/smoke.toml", "--mock", "--detach"])
        .well();
    let run = world.run();
    {
        // This terminal is itself a tmux, so `$TMUX` is set in it.
        let words = format!("exec {ORG} attach claude-1 --run {}", run.id());
        let terminal = Terminal::open(&world, 40, 10, &words);
        terminal.shows("claude-1");
        // The inner office is at this size, and leaving it hurts nothing.
        let status = world.org(&["status", "--json"]).json();
        let socket = status["tmux"]["socket"].as_str().unwrap().to_owned();
        let inner = |words: &[&str]| {
            let mut command = world.command("tmux");
            command.args(["-S", &socket]).args(words);
            told(command, "").well().out
        };
        let clients = inner(&["list-clients", "-F", "#{client_width}x#{client_height}"]);
        assert_eq!(clients.trim(), "40x10");
        inner(&["detach-client", "-a"]);
        inner(&["detach-client"]);
        terminal.ends();
    }
    // Without a terminal it says what to do.
    let said = world.org(&["attach"]).refused(1);
    said.naming(&["no terminal", "org attach --run"]);
    let said = world.org(&["attach", "claude-9"]).refused(1);
    said.naming(&["claude-9", "claude-1"]);
    world.org(&["down"]).well();
    world.nothing_lives();
}

#[test]
fn a_tiny_terminal_and_another_tmux_do_not_spoil_up() {
    let mut world = TestEnvironment::new();
    world.set("TMUX", "/nowhere/default,1,0");
    world.set("TMUX_PANE", "%0");
    let words = format!("{ORG} up orgs/smoke.toml --mock; echo left with $?");
    {
        let terminal = Terminal::open(&world, 40, 10, &words);
        terminal.shows("claude-1");
        let run = world.run();
        world.org(&["down", &run.id()]).well();
        terminal.shows("left with");
    }
    world.nothing_lives();
}

#[test]
fn what_may_not_be_read_is_named() {
    let world = TestEnvironment::new();
    let chart = world.chart("smoke.toml", &[]);
    fs::set_permissions(&chart, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&chart).is_ok() {
        return; // Root reads everything.
    }
    let said = world.org(&["up", &chart, "--mock", "--headless"]);
    said.refused(2).naming(&[&chart, "denied"]);
    world.nothing_was_made();
}

/// A build sandbox: a PID namespace of its own whose `/proc` is another one's, in a session whose leader
/// is outside.
#[test]
fn a_foreign_proc_is_replaced_and_the_run_is_as_any_other() {
    let world = TestEnvironment::new();
    let inside = [
        "--user",
        "--map-root-user",
        "--pid",
        "--fork",
        "--kill-child",
    ];
    let enter = || {
        let mut unshare = world.command("unshare");
        unshare.args(inside);
        unshare
    };
    let mut possible = enter();
    possible.arg("true");
    if told(possible, "").code != 0 {
        // This kernel gives no namespaces to an ordinary user: nobody can be in that place.
        return;
    }
    let chart = world.chart("smoke.toml", &[]);
    let mut run = enter();
    run.args(["sh", "-c"]).arg(format!(
        "{ORG} up {chart} --mock --headless --until done && {ORG} doctor --json; {ORG} ls --json"
    ));
    let said = told(run, "").well();
    assert!(
        said.out.contains("1 promoted") && said.out.contains("mounts one of its own"),
        "{said}"
    );
}
