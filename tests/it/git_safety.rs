//! An agent that does its worst to git, from where it sits; and what stands afterwards.

use std::fs;

use crate::ground::{TestEnvironment, picture, project, told, write};
use crate::task::{chart_on, git, repository};

/// What it tries, one shell call each. `USER` is the user's repository, `MARK` a file that only a program
/// outside the agent's shell would write.
const WORST: [&str; 9] = [
    // Somebody else's branches, over every door there is.
    r#"git commit -q --allow-empty -m mine
       for to in origin "$ORG_RUN/repo.git" "$ORG_RUN/git/codex-1.git" USER; do
         git push -q --force "$to" HEAD:refs/heads/main HEAD:refs/heads/agent/codex-1 HEAD:refs/heads/programme
         git push -q --force "$to" :refs/heads/agent/codex-1
       done; true"#,
    r#"for at in "$(git rev-parse --git-common-dir)" "$ORG_RUN/repo.git" "$ORG_RUN/git/codex-1.git" USER/.git; do
         for ref in agent/codex-1 agent/claude-1 programme main; do
           git --git-dir="$at" update-ref "refs/heads/$ref" HEAD
           git --git-dir="$at" update-ref -d "refs/heads/$ref"
         done; git --git-dir="$at" gc --prune=now -q
       done; true"#,
    // Programs that somebody else's git would start.
    r#"plant="$PWD/plant.sh"; printf '#!/bin/sh\n[ -n "$ORG_AGENT" ] || echo "$0" >> MARK\ncat\n' > "$plant"
       chmod +x "$plant"
       for at in "$(git rev-parse --git-dir)" "$(git rev-parse --git-common-dir)"; do
         mkdir -p "$at/hooks"; for hook in pre-commit post-commit post-checkout reference-transaction post-index-change; do
           cp "$plant" "$at/hooks/$hook"
         done
         git config --file "$at/config" core.hooksPath "$at/hooks"
         git config --file "$at/config" core.fsmonitor "$plant"
         git config --file "$at/config" filter.evil.clean "$plant"
         git config --file "$at/config" filter.evil.smudge "$plant"
         git config --file "$at/config" filter.evil.process "$plant"
         git config --file "$at/config" include.path "$PWD/more.config"
         git config --file "$at/config" diff.external "$plant"
         git config --file "$at/config" gpg.program "$plant"
         git config --file "$at/config" commit.gpgsign true
       done
       printf '[core]\n\tsshCommand = %s\n\teditor = %s\n\tpager = %s\n' "$plant" "$plant" "$plant" > more.config
       printf '* filter=evil diff=evil merge=evil\n' > .gitattributes; true"#,
    // Links to what is not its own.
    r#"ln -sfn USER link; ln -sfn USER/.git linked-git; ln -sfn "$ORG_RUN/events.jsonl" log
       ln -sfn "$ORG_RUN/work/codex-1" other
       echo x > link/train.py; echo x > linked-git/HEAD; echo x > log; echo x > other/train.py; true"#,
    // A door that leads elsewhere.
    r#"cp .git kept 2>/dev/null; rm -rf .git; echo "gitdir: USER/.git" > .git
       git add -A; git commit -q -m "into the user's repository"; git reset -q --hard HEAD~1
       git checkout -q side; git stash -q -u; true"#,
    r#"rm -rf .git; ln -s USER/.git .git; git add -A; git commit -qm again; git branch -D side main; true"#,
    // What is the run's.
    r#"echo broken > "$ORG_RUN/repo.git/HEAD"; rm -rf "$ORG_RUN/repo.git/objects"
       echo broken >> "$ORG_RUN/events.jsonl"; rm -rf "$ORG_RUN/locks" "$ORG_RUN/blobs"
       echo x > "$ORG_RUN/chart.toml"; true"#,
    // Everything within reach.
    r#"rm -rf ../* ../../* "$HOME" "$HOME/../.." USER "$(dirname "$ORG_RUN")" 2>/dev/null; true"#,
    r#"rm -rf .git; mkdir -p .git/hooks; printf '#!/bin/sh\necho x >> MARK\n' > .git/hooks/pre-commit; ls -a; true"#,
];

fn scenario(user: &str, mark: &str) -> String {
    let smoke = fs::read_to_string(project().join("examples/smoke/scenario.toml")).unwrap();
    // The other agent does what claude-1 does in the smoke run, and succeeds.
    let first = smoke.split("[[scripts]]").nth(1).unwrap();
    let good = first.replace("agent = \"claude-1\"", "agent = \"codex-1\"");
    let good = good.replace("to = \"codex-1\"", "to = \"claude-1\"");
    let step = |command: &&str| {
        let command = command.replace("USER", user).replace("MARK", mark);
        format!(
            "[[scripts.steps]]\n[[scripts.steps.call]]\ntool = \"shell\"\n\
             command = '''\n{command}\n'''\n"
        )
    };
    let worst: String = WORST.iter().map(step).collect();
    format!(
        "version = 1\n[[scripts]]{good}\n[[scripts]]\nagent = \"claude-1\"\n{worst}\
         [[scripts.steps]]\nsay = \"that was all\"\n"
    )
}

#[test]
fn an_agent_that_does_its_worst_hurts_nobody_else() {
    let world = TestEnvironment::new();
    let user = repository(&world, "task");
    write(&user.join("draft.txt"), "not committed\n");
    let before = picture(&user);
    let mark = world.at("tmp/mark");
    let file = world.at("scenario.toml");
    write(
        &file,
        scenario(&user.display().to_string(), &mark.display().to_string()),
    );
    let chart = chart_on(&world, &user, Some("main"));
    let up = world.org(&[
        "up",
        &chart,
        "--headless",
        "--until",
        "done",
        "--scenario",
        file.to_str().unwrap(),
    ]);
    let run = world.run();
    assert_eq!(picture(&user), before, "the user's repository was touched");
    assert!(
        !mark.exists(),
        "planted: {}",
        fs::read_to_string(&mark).unwrap_or_default()
    );
    up.well();
    world.nothing_lives();
    let shells = run.answers("claude-1", "shell");
    assert_eq!(shells.len(), WORST.len(), "{shells:#?}");
    // The other's work is there, whole, under its own name, and the programme is what the lab made of it.
    let repo = run.path("repo.git");
    let tip = |name: &str| {
        let said = git(
            &world,
            &world.root(),
            &["--git-dir", repo.to_str().unwrap(), "rev-parse", name],
        );
        said.out.trim().to_owned()
    };
    let saved = run.of("branch.saved");
    for agent in ["claude-1", "codex-1"] {
        let last = saved.iter().rfind(|event| event["agent"] == agent);
        let last = last.unwrap_or_else(|| panic!("{agent} was never saved"));
        assert_eq!(
            tip(&format!("refs/heads/agent/{agent}")),
            last["commit"],
            "{agent}"
        );
    }
    let advanced = run.of("programme.advanced");
    assert_eq!(
        tip("refs/heads/programme"),
        advanced.last().unwrap()["commit"]
    );
    let claim = &run.of("hypothesis.registered")[0];
    assert_eq!(claim["agent"], "codex-1");
    git(
        &world,
        &world.root(),
        &[
            "--git-dir",
            repo.to_str().unwrap(),
            "fsck",
            "--full",
            "--strict",
        ],
    );
    let config = fs::read_to_string(run.path("work/codex-1/config.py")).unwrap();
    assert!(config.contains("LR = 0.005"), "{config}");
    let mut log = world.command("git");
    log.arg("-C")
        .arg(run.path("work/codex-1"))
        .args(["log", "--oneline", "-1"]);
    told(log, "").well();
    // Its own branch goes on from the base, and nothing of the user's came into it.
    let base = run.of("run.created")[0]["base"]
        .as_str()
        .unwrap()
        .to_owned();
    git(
        &world,
        &world.root(),
        &[
            "--git-dir",
            repo.to_str().unwrap(),
            "merge-base",
            "--is-ancestor",
            &base,
            "agent/claude-1",
        ],
    );
}
