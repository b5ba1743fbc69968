//! A place of its own for what is played: runs, state and home below one directory that is removed, and every
//! organisation that was started there is brought down first.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use super::Broken;

/// Seconds after which whatever is played is brought down: a task's claims take minutes on a busy machine.
const PATIENCE_S: u32 = 1500;

/// The root of the project.
pub(crate) fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A path below it, as text.
pub(crate) fn of_project(path: &str) -> String {
    let whole: PathBuf = project().join(path);
    whole.display().to_string()
}

#[expect(
    clippy::disallowed_methods,
    reason = "only what finds programs is taken over"
)]
fn path_variable() -> String {
    std::env::var("PATH").unwrap_or_default()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the program under judgement is started"
)]
fn command(program: &str) -> Command {
    Command::new(program)
}

/// The directory of the real python3: a version manager's stand-in for it looks into HOME, which is another here.
fn python() -> Result<String, Broken> {
    let said = command("python3")
        .args(["-c", "import sys; print(sys.executable)"])
        .output()?;
    let path = String::from_utf8(said.stdout)?;
    let dir = Path::new(path.trim())
        .parent()
        .ok_or("python3 is nowhere")?;
    Ok(dir.display().to_string())
}

/// The place.
pub(crate) struct Place {
    root: TempDir,
    env: BTreeMap<&'static str, String>,
}

impl Place {
    pub(crate) fn new() -> Result<Self, Broken> {
        let root = tempfile::Builder::new().prefix("org-science").tempdir()?;
        let at = |name: &str| root.path().join(name).display().to_string();
        let env = BTreeMap::from([
            ("PATH", format!("{}:{}", python()?, path_variable())),
            ("HOME", at("home")),
            ("TMPDIR", at("tmp")),
            ("LANG", "C.UTF-8".to_owned()),
            ("ORG_RUNS", at("runs")),
            ("XDG_STATE_HOME", at("state")),
        ]);
        for name in ["home", "tmp", "runs", "state"] {
            fs::create_dir(root.path().join(name))?;
        }
        Ok(Self { root, env })
    }

    /// Writes a file of the place, and says where it is.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<String, Broken> {
        let path = self.root.path().join(name);
        org::os::files::write_atomic(&path, text.as_bytes(), 0o644)?;
        Ok(path.display().to_string())
    }

    /// Runs `org`, within a limit that only something broken meets.
    pub(crate) fn org(&self, words: &[&str]) -> Result<Output, Broken> {
        let limit = PATIENCE_S.to_string();
        let said = command("timeout")
            .args(["--signal=INT", "--kill-after=30", &limit])
            .arg(env!("CARGO_BIN_EXE_org"))
            .args(words)
            .env_clear()
            .envs(&self.env)
            .current_dir(self.root.path())
            .stdin(Stdio::null())
            .output()?;
        Ok(said)
    }

    /// What `org` prints as JSON.
    pub(crate) fn json(&self, words: &[&str]) -> Result<serde_json::Value, Broken> {
        let said = self.org(words)?;
        serde_json::from_slice(&said.stdout).map_err(|error| {
            let words = words.join(" ");
            let told = String::from_utf8_lossy(&said.stderr);
            format!("org {words}: {error}\n{told}").into()
        })
    }

    /// Processes whose directory or words name this place.
    pub(crate) fn alive(&self) -> Vec<String> {
        let root = self.root.path().display().to_string();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let read = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
            let words = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
            let env = String::from_utf8_lossy(&read("environ")).into_owned();
            let cwd = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
            let ours = words.contains(&root) || env.contains(&root) || cwd.starts_with(&root);
            if ours && !words.is_empty() {
                found.push(words);
            }
        }
        found
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for entry in fs::read_dir(self.root.path().join("runs"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let path = entry.path().display().to_string();
            self.org(&["down", "--run", &path]).ok();
        }
    }
}
