//! A tournament on disk: what was asked for, which match is which run, and what came of it.
//!
//! Owns the file names below `tournaments/<id>/`, beside the runs. The plan is written once; matches are
//! lines that are only added, so that a tournament that was cut short goes on where it stood. Must not
//! know how a match is played.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::paths::RunDir;
use crate::os::files;
use crate::os::lock::Lock;

/// Where they are, below the directory of runs.
const BELOW: &str = "tournaments";
/// Most of a plan or of a list of matches that is read.
const READ_MAX: u64 = 16 << 20;

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Its format, 1.
    pub version: u32,
    /// The common task: a chart, or the word for the built-in one.
    pub task: String,
    /// The organisations, in order.
    pub entrants: Vec<String>,
    /// Runs of each.
    pub repeats: u32,
    /// Matches at once, each on its part of the node.
    pub at_once: u32,
    /// Whether models are pretended.
    pub mock: bool,
    /// GPU-hours of each match, for scripted policies.
    pub gpu_hours: Option<f64>,
    /// The first world of scripted policies.
    pub seed: u64,
}

/// A match that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// The organisation's place in the plan.
    pub entrant: usize,
    /// Which of its repeats.
    pub repeat: usize,
    /// The run's directory.
    pub run: PathBuf,
}

/// A tournament's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TournamentDir(PathBuf);

impl TournamentDir {
    /// The tournament of that id beside these runs; nothing is touched.
    #[must_use]
    pub fn of(runs: &Path, id: &str) -> Self {
        Self(runs.join(BELOW).join(id))
    }

    /// All tournaments beside these runs, by id.
    #[must_use]
    pub fn all(runs: &Path) -> Vec<String> {
        let entries = fs::read_dir(runs.join(BELOW)).into_iter().flatten();
        let ids = entries
            .flatten()
            .filter(|entry| entry.path().join("plan.json").is_file())
            .map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut ids: Vec<String> = ids.collect();
        ids.sort();
        ids
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> String {
        let name = self.0.file_name();
        name.map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    }

    /// The chart by which an organisation plays.
    #[must_use]
    pub fn chart(&self, entrant: usize) -> PathBuf {
        self.0.join("charts").join(format!("{entrant}.toml"))
    }

    /// What came of it, for people.
    #[must_use]
    pub fn told(&self) -> PathBuf {
        self.0.join("comparison.txt")
    }

    /// What came of it, for scripts.
    #[must_use]
    pub fn told_json(&self) -> PathBuf {
        self.0.join("comparison.json")
    }

    /// Makes it, with the charts of those who play.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn create(&self, plan: &Plan, charts: &[String]) -> io::Result<()> {
        fs::create_dir_all(self.0.join("charts"))?;
        for (at, chart) in charts.iter().enumerate() {
            files::write_atomic(&self.chart(at), chart.as_bytes(), 0o444)?;
        }
        let text = serde_json::to_vec_pretty(plan)?;
        files::write_atomic(&self.0.join("plan.json"), &text, 0o444)
    }

    /// Holds it for whoever plays it; none where somebody else does.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn hold(&self) -> io::Result<Option<Lock>> {
        Lock::try_take(&self.0.join("lock"))
    }

    /// What was asked for.
    ///
    /// # Errors
    /// Where it is missing or damaged.
    pub fn plan(&self) -> io::Result<Plan> {
        let text = files::read_capped(&self.0.join("plan.json"), READ_MAX)?;
        serde_json::from_slice(&text).map_err(io::Error::from)
    }

    /// Remembers a match, before anything of it is awaited.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn begun(&self, begun: &Begun) -> io::Result<()> {
        let mut line = serde_json::to_vec(begun)?;
        line.push(b'\n');
        let path = self.0.join("matches.jsonl");
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        file.write_all(&line)?;
        file.sync_data()
    }

    /// The matches that were begun and whose runs are there; a line that was cut short is none.
    ///
    /// # Errors
    /// Where they are there and cannot be read.
    pub fn matches(&self) -> io::Result<Vec<Begun>> {
        let path = self.0.join("matches.jsonl");
        if !path.exists() {
            return Ok(Vec::new());
        }
        let text = files::read_capped(&path, READ_MAX)?;
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines();
        let begun = lines.filter_map(|it| serde_json::from_str::<Begun>(it).ok());
        let there = |it: &Begun| RunDir::at(&it.run).events().is_file();
        Ok(begun.filter(there).collect())
    }
}
