//! Which runs there are: an index of run directories, so that every command finds them from anywhere.
//!
//! One line a run in a file of the XDG state directory; a line whose directory is gone is skipped, and
//! the directory that is at hand is looked through too, so that the index may be lost without loss.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::paths::RunDir;

/// Where runs are looked for.
#[derive(Debug, Clone)]
pub struct Index {
    /// The index file; none where there is no home.
    pub file: Option<PathBuf>,
    /// The directory that holds runs here.
    pub here: PathBuf,
}

impl Index {
    /// Remembers a run. A home that cannot be written costs only the finding from elsewhere.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn remember(&self, dir: &RunDir) -> io::Result<()> {
        let Some(path) = &self.file else {
            return Ok(());
        };
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        writeln!(file, "{}", dir.path().display())
    }

    /// All runs that exist, in no order.
    #[must_use]
    pub fn runs(&self) -> Vec<RunDir> {
        let listed = self
            .file
            .as_deref()
            .and_then(|path| fs::read_to_string(path).ok());
        let mut dirs: BTreeSet<PathBuf> = listed
            .iter()
            .flat_map(|text| text.lines())
            .map(PathBuf::from)
            .collect();
        if let Ok(entries) = fs::read_dir(&self.here) {
            dirs.extend(entries.flatten().map(|entry| entry.path()));
        }
        dirs.into_iter()
            .filter(|dir| dir.join("events.jsonl").is_file())
            .map(RunDir::at)
            .collect()
    }
}

/// The directory for runs: `$ORG_RUNS`, else under the nearest ancestor that holds `orgs/` or
/// `runs/`, else `./runs`.
#[must_use]
pub fn runs_dir(org_runs: Option<&Path>, cwd: &Path) -> PathBuf {
    if let Some(dir) = org_runs {
        return cwd.join(dir);
    }
    cwd.ancestors()
        .find(|dir| dir.join("orgs").is_dir() || dir.join("runs").is_dir())
        .unwrap_or(cwd)
        .join("runs")
}
