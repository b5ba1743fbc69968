//! What Tab brings: names of now, asked by the scripts that shells read.

use crate::ground::{ORG, TestEnvironment, told};
use crate::terminal::Terminal;

/// What bash would offer for a line that ends where the cursor is.
fn offered(world: &mut TestEnvironment, line: &str) -> Vec<String> {
    world.fake("org", &format!("exec {ORG} \"$@\""));
    let script = format!(
        "source <(org completions bash)\nread -ra COMP_WORDS <<<{line:?}\n\
         case {line:?} in *' ') COMP_WORDS+=('');; esac\n\
         COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\nCOMP_TYPE=9\n\
         how=$(complete -p org) how=${{how#*-F }}\n\
         ${{how% org}} org \"${{COMP_WORDS[COMP_CWORD]}}\" ''\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
    );
    let mut bash = world.command("bash");
    bash.args(["--norc", "-c", &script]);
    let said = told(bash, "");
    assert_eq!(said.err, "", "{said}");
    said.well()
        .out
        .lines()
        .map(|it| it.trim().to_owned())
        .collect()
}

#[test]
fn tab_brings_agents_runs_and_claims() {
    let mut world = TestEnvironment::new();
    // Where there is nothing yet, nothing is offered and nothing is said.
    let found = offered(&mut world, "org take ");
    assert!(found.iter().all(|it| it.starts_with("--")), "{found:?}");
    world
        .org(&[
            "up",
            "orgs/smoke.toml",
            "--mock",
            "--headless",
            "--until",
            "done",
        ])
        .well();
    let run = world.run().id();
    for (line, all) in [
        ("org sta", vec!["status"]),
        ("org send cla", vec!["claude-1"]),
        ("org take ", vec!["claude-1", "codex-1"]),
        ("org logs la", vec!["lab"]),
        ("org cancel h", vec!["h1"]),
        ("org ledger show h", vec!["h1"]),
        ("org report --run smo", vec![run.as_str()]),
        ("org status smo", vec![run.as_str()]),
        ("org up --resume ", vec![run.as_str()]),
        ("org wait --for pro", vec!["promoted"]),
    ] {
        let found = offered(&mut world, line);
        for name in all {
            assert!(found.iter().any(|it| it == name), "{line}: {found:?}");
        }
    }
    // The others ask in the same way; they are given what each name means as well.
    for (shell, index) in [("zsh", "2"), ("fish", "")] {
        let script = world.org(&["completions", shell]).well().out;
        assert!(
            script.contains("COMPLETE") && script.contains("org"),
            "{script}"
        );
        let mut asked = world.command(ORG);
        asked
            .env("COMPLETE", shell)
            .env("_CLAP_COMPLETE_INDEX", index);
        asked.args(["--", "org", "cancel", "h"]);
        let said = told(asked, "").well().out;
        assert!(
            said.contains("h1") && said.contains("promoted"),
            "{shell}: {said}"
        );
    }
    world.org(&["completions", "tcsh"]).refused(2);
    // And those that are installed are asked at a prompt, as by a person.
    for (shell, begin, load) in [
        (
            "zsh",
            "zsh -f",
            "autoload -U compinit; compinit -uD; source <(org completions zsh)",
        ),
        ("fish", "fish --no-config", "org completions fish | source"),
        ("bash", "bash --norc", "source <(org completions bash)"),
    ] {
        let mut which = world.command("sh");
        which.args(["-c", &format!("command -v {shell}")]);
        if told(which, "").code == 0 {
            at_a_prompt(&world, begin, load);
        }
    }
}

fn at_a_prompt(world: &TestEnvironment, begin: &str, load: &str) {
    let terminal = Terminal::open(world, 100, 30, &format!("exec {begin}"));
    terminal.types(&format!("{load}; echo lo''aded"));
    terminal.keys(&["Enter"]);
    terminal.shows("\nloaded");
    for (line, whole) in [
        ("org take cod", "org take codex-1"),
        ("org cancel ", "h1"),
        ("org status sm", "org status smoke-"),
    ] {
        terminal.keys(&["C-u"]);
        terminal.types(line);
        terminal.keys(&["Tab", "Tab"]);
        terminal.shows(whole);
    }
}
