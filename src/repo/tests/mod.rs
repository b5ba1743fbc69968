//! A small world to try the room in: a user's repository, a run, agents; and the git program in the
//! hands of an agent, with an environment that holds nothing of the person who runs the tests.

mod founding;
mod hostile;
mod parts;
mod questions;
mod work;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use git2::{Repository, Signature, Time};

use super::{Founded, Place, Snapshot, found, seat, snapshot};

/// The time of every test's commits.
const AT: i64 = 1_800_000_000;

struct World {
    dir: tempfile::TempDir,
    founded: Founded,
}

impl World {
    /// A user's repository with one commit, and a run founded on it.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        user_repo(&dir.path().join("user"));
        let source = dir.path().join("user");
        let repo_git = dir.path().join("run/repo.git");
        fs::create_dir_all(repo_git.parent().unwrap()).unwrap();
        let founded = found(source.to_str().unwrap(), None, &repo_git).unwrap();
        Self { dir, founded }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn repo_git(&self) -> PathBuf {
        self.at("run/repo.git")
    }

    fn place(&self, agent: &str) -> Place {
        Place {
            repo_git: self.repo_git(),
            agent_git: self.at(&format!("run/git/{agent}.git")),
            worktree: self.at(&format!("run/work/{agent}")),
            agent: agent.to_owned(),
        }
    }

    fn seat(&self, agent: &str) -> Place {
        let place = self.place(agent);
        seat(&place, &self.founded.commit).unwrap();
        place
    }
}

fn take(place: &Place) -> Snapshot {
    snapshot(place, "org: what was left uncommitted", AT).unwrap()
}

/// `train.py`, an executable, a link and a file in a directory, on branch `master`.
fn user_repo(path: &Path) -> String {
    let repo = Repository::init(path).unwrap();
    repo.set_head("refs/heads/master").unwrap();
    put(&path.join("train.py"), "LR = 1\nSTEPS = 10\n");
    put(&path.join("src/model.py"), "width = 64\n");
    put(&path.join("run.sh"), "#!/bin/sh\n");
    fs::set_permissions(path.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("src/model.py", path.join("link.py")).unwrap();
    commit_all(&repo, "first")
}

fn commit_all(repo: &Repository, message: &str) -> String {
    let mut index = repo.index().unwrap();
    index
        .add_all(["*"], git2::IndexAddOption::DEFAULT, None)
        .unwrap();
    index.update_all(["*"], None).unwrap();
    index.write().unwrap();
    let tree = repo.find_tree(index.write_tree().unwrap()).unwrap();
    let user = Signature::new("user", "user@example.org", &Time::new(AT - 100, 0)).unwrap();
    let parent = repo.head().ok().and_then(|head| head.peel_to_commit().ok());
    let parents: Vec<_> = parent.iter().collect();
    repo.commit(Some("HEAD"), &user, &user, message, &tree, &parents)
        .unwrap()
        .to_string()
}

fn put(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::File::create(path)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// Everything below a directory: kind, mode, times and bytes.
fn imprint(dir: &Path) -> BTreeMap<PathBuf, (u32, i64, i64, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(path) = todo.pop() {
        let meta = path.symlink_metadata().unwrap();
        let mut bytes = Vec::new();
        if meta.is_dir() {
            todo.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else if meta.is_file() {
            bytes = fs::read(&path).unwrap();
        } else if meta.is_symlink() {
            bytes = fs::read_link(&path)
                .unwrap()
                .into_os_string()
                .into_encoded_bytes();
        }
        found.insert(path, (meta.mode(), meta.mtime(), meta.mtime_nsec(), bytes));
    }
    found
}

/// Runs the git program as an agent would, if there is one; true on success.
fn agent_git(place: &Place, args: &[&str]) -> bool {
    git_says(place, args).0
}

#[expect(
    clippy::disallowed_methods,
    reason = "an agent's own git, not this program's"
)]
fn git_says(place: &Place, args: &[&str]) -> (bool, String) {
    let home = place.worktree.parent().unwrap().join("home");
    fs::create_dir_all(&home).unwrap();
    let output = std::process::Command::new("git")
        .args(args)
        .current_dir(&place.worktree)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", &home)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_EDITOR", "true")
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

/// Runs git and insists.
fn git(place: &Place, args: &[&str]) -> String {
    let (fine, said) = git_says(place, args);
    assert!(fine, "git {args:?} said: {said}");
    said.trim_end().to_owned()
}
