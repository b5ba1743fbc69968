//! How the processes of a run are started: with a cleared environment, keys on standard input, words
//! into `logs/`.
//!
//! Owns the hidden commands' arguments, so that nobody else builds an argv of ours.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::domain::chart::Chart;
use crate::domain::event::Gpu;
use crate::os::exec::{Detached, Exec, Input, Output};
use crate::os::sandbox::Report;
use crate::run::paths::RunDir;

use super::keys::KeyRing;

/// glibc gives each thread that allocates a heap of its own. Ours works on one, and those that come and
/// go beside it would each leave one behind. No child gets it: see [`crate::os::exec::inherited_env`].
pub(super) const ONE_HEAP: (&str, &str) = ("MALLOC_ARENA_MAX", "1");

/// The environment of everything that an agent is and starts.
#[must_use]
pub fn agent_env(
    clean: &BTreeMap<String, String>,
    dir: &RunDir,
    agent: &str,
    gpu: Option<&Gpu>,
) -> BTreeMap<String, String> {
    let mut env = clean.clone();
    let visible = gpu.map_or_else(String::new, |gpu| gpu.index.to_string());
    env.insert("CUDA_VISIBLE_DEVICES".to_owned(), visible);
    env.insert("CUDA_DEVICE_ORDER".to_owned(), "PCI_BUS_ID".to_owned());
    env.insert("ORG_RUN".to_owned(), dir.path().display().to_string());
    env.insert("ORG_AGENT".to_owned(), agent.to_owned());
    env
}

fn own(dir: &RunDir, clean: &BTreeMap<String, String>, args: &[&str], log: &str) -> Exec {
    let words = dir.logs().join(format!("{log}.log"));
    Exec::this_program()
        .args(args.iter().copied())
        .envs(clean.clone())
        .env(ONE_HEAP.0, ONE_HEAP.1)
        .cwd(dir.path())
        .stdout(Output::File(words.clone()))
        .stderr(Output::File(words))
}

/// Starts a supervisor. One that finds the lock taken ends at once.
///
/// # Errors
/// Whatever the operating system says.
pub fn supervisor(
    dir: &RunDir,
    clean: &BTreeMap<String, String>,
    keys: &KeyRing,
) -> io::Result<Detached> {
    supervise(dir, clean, keys, &[])
}

/// Starts the supervisor of a run that was just made, and tells it what its maker has found to be
/// enforced here, so that it need not find out again.
///
/// # Errors
/// Whatever the operating system says.
pub fn first_supervisor(
    dir: &RunDir,
    clean: &BTreeMap<String, String>,
    keys: &KeyRing,
    enforced: &Report,
) -> io::Result<Detached> {
    let enforced = serde_json::to_string(enforced)?;
    supervise(dir, clean, keys, &["--enforced", &enforced])
}

fn supervise(
    dir: &RunDir,
    clean: &BTreeMap<String, String>,
    keys: &KeyRing,
    more: &[&str],
) -> io::Result<Detached> {
    let path = dir.path().display().to_string();
    let args = [&["supervise", &path], more].concat();
    own(dir, clean, &args, "supervisor")
        .env("ORG_RUN", path)
        .stdin(Input::Bytes(keys.to_json().into_bytes()))
        .spawn_detached()
}

/// Starts an agent.
///
/// # Errors
/// Whatever the operating system says.
pub fn agent(
    dir: &RunDir,
    clean: &BTreeMap<String, String>,
    keys: &KeyRing,
    name: &str,
    gpu: Option<&Gpu>,
) -> io::Result<Detached> {
    let path = dir.path().display().to_string();
    own(
        dir,
        &agent_env(clean, dir, name, gpu),
        &["agent", &path, name],
        &format!("agent-{name}"),
    )
    .stdin(Input::Bytes(keys.to_json().into_bytes()))
    .spawn_detached()
}

/// Starts the mock server on its port.
///
/// # Errors
/// Whatever the operating system says.
pub fn mock(dir: &RunDir, clean: &BTreeMap<String, String>, port: u16) -> io::Result<Detached> {
    let (path, port) = (dir.path().display().to_string(), port.to_string());
    let args = ["mock", "--dir", &path, "--port", &port];
    own(dir, clean, &args, "mock").spawn_detached()
}

/// What every program of a task starts from, before it gets places and devices of its own: where
/// programs are found, the task's variables, and where outputs and harness files lie.
#[must_use]
pub(super) fn measured_env(
    chart: &Chart,
    clean: &BTreeMap<String, String>,
    out: &Path,
) -> BTreeMap<String, String> {
    let kept = |name: &str| matches!(name, "PATH" | "LANG" | "USER" | "LOGNAME");
    let mut env: BTreeMap<String, String> = clean
        .iter()
        .filter(|(name, _)| kept(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let overlay = chart.task.overlay.as_deref();
    let overlay = overlay.map_or_else(String::new, |path| path.display().to_string());
    env.insert("ORG_OUT".to_owned(), out.display().to_string());
    env.insert("ORG_OVERLAY".to_owned(), overlay);
    env.insert("CUDA_DEVICE_ORDER".to_owned(), "PCI_BUS_ID".to_owned());
    for (name, value) in &chart.task.env {
        env.insert(name.clone(), expanded(value, chart, out));
    }
    env
}

/// A variable's value with the two names in it that the harness fills in.
#[must_use]
pub(super) fn expanded(value: &str, chart: &Chart, out: &Path) -> String {
    let overlay = chart.task.overlay.as_deref();
    let overlay = overlay.map_or_else(String::new, |path| path.display().to_string());
    value
        .replace("$ORG_OUT", &out.display().to_string())
        .replace("$ORG_OVERLAY", &overlay)
}

/// Directories that hold interpreters and their packages, readable by whatever agents run: those of
/// `PATH` with what lies beside them, and the usual version managers of the home directory.
#[must_use]
pub fn toolchains(clean: &BTreeMap<String, String>) -> Vec<PathBuf> {
    const MANAGERS: [&str; 8] = [
        ".pyenv",
        ".cargo",
        ".rustup",
        ".nvm",
        ".local/bin",
        ".local/lib",
        ".local/share/uv",
        ".conda",
    ];
    let home = clean.get("HOME").map(PathBuf::from);
    let mut dirs: Vec<PathBuf> = home
        .iter()
        .flat_map(|home| MANAGERS.iter().map(move |name| home.join(name)))
        .collect();
    let path = clean.get("PATH").map(String::as_str).unwrap_or_default();
    for dir in path
        .split(':')
        .filter(|dir| dir.starts_with('/'))
        .map(PathBuf::from)
    {
        // `…/bin` belongs to a prefix with `lib` beside it; the root and a home are no prefixes.
        // A version manager's `shims` lead to the rest of its directory.
        match dir.parent() {
            Some(manager) if dir.ends_with("shims") && Some(manager) != home.as_deref() => {
                dirs.push(manager.to_owned());
            }
            Some(prefix) if prefix.parent().is_some() && Some(prefix) != home.as_deref() => {
                dirs.push(prefix.join("lib"));
                dirs.push(dir);
            }
            _ => dirs.push(dir),
        }
    }
    dirs.retain(|dir| dir.is_dir());
    dirs.sort();
    dirs.dedup();
    dirs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_manager_is_read_wherever_it_lies() {
        let temp = tempfile::tempdir().unwrap();
        let at = |path: &str| temp.path().join(path);
        for dir in [
            "pyenv/shims",
            "pyenv/versions",
            "py/bin",
            "py/lib",
            "py/share",
            "shims",
        ] {
            std::fs::create_dir_all(at(dir)).unwrap();
        }
        let path = [at("pyenv/shims"), at("py/bin"), at("none/bin"), at("shims")];
        let path = path.map(|it| it.display().to_string()).join(":");
        let home = temp.path().display().to_string();
        let clean = BTreeMap::from([("PATH".to_owned(), path), ("HOME".to_owned(), home)]);
        let expected = [at("py/bin"), at("py/lib"), at("pyenv"), at("shims")];
        assert_eq!(toolchains(&clean), expected);
    }
}
