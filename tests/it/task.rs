//! A task of a person's own: the smoke task as a git repository, and charts on it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::ground::{Said, TestEnvironment, project, told, write};

/// `git` in a directory, with a name to commit under.
#[track_caller]
pub(crate) fn git(world: &TestEnvironment, dir: &Path, words: &[&str]) -> Said {
    let mut command = world.command("git");
    command.current_dir(dir);
    command.args(["-c", "user.name=T", "-c", "user.email=t@example.org"]);
    command.args([
        "-c",
        "init.defaultBranch=main",
        "-c",
        "protocol.file.allow=always",
    ]);
    command.args(words);
    told(command, "").well()
}

/// The smoke task as a repository with two commits and a second branch.
pub(crate) fn repository(world: &TestEnvironment, name: &str) -> PathBuf {
    let dir = world.at(name);
    fs::create_dir(&dir).unwrap();
    for file in ["config.py", "data.py", "train.py"] {
        fs::copy(
            project().join("examples/smoke/repo").join(file),
            dir.join(file),
        )
        .unwrap();
    }
    git(world, &dir, &["init", "-q"]);
    git(world, &dir, &["add", "."]);
    git(world, &dir, &["commit", "-qm", "one"]);
    git(world, &dir, &["checkout", "-qb", "side"]);
    write(&dir.join("side.txt"), "only on side\n");
    git(world, &dir, &["add", "."]);
    git(world, &dir, &["commit", "-qm", "two"]);
    git(world, &dir, &["checkout", "-q", "main"]);
    dir
}

/// The smoke chart on another repository.
pub(crate) fn chart_on(world: &TestEnvironment, repo: &Path, base: Option<&str>) -> String {
    let old = format!("repo     = \"{}/examples/smoke/repo\"", project().display());
    let new = format!("repo = \"{}\"", repo.display());
    let base = base.map_or_else(String::new, |base| format!("base = \"{base}\"\n"));
    world.chart(
        "smoke.toml",
        &[(&old, &new), ("base     = \"main\"\n", &base)],
    )
}
