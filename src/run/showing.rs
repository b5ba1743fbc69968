//! A showing: a directory that looks like a run, in which the run's log is played again.
//!
//! Owns what such a directory holds: the frozen chart, the blobs (by a link), a log that grows as it is
//! played, and the lines that a person types in a pane, which are wishes for the player here and go
//! nowhere else. The run itself is only read. Must not know when which line is due.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::paths::RunDir;
use crate::os::files;

/// A run being shown; gone when dropped.
#[derive(Debug)]
pub struct Showing {
    dir: RunDir,
    place: PathBuf,
    /// Bytes of the wishes that were read.
    read: usize,
}

impl Showing {
    /// Makes a place for a run's log below `place`, which is private and taken away at the end.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn open(of: &RunDir, place: PathBuf) -> io::Result<Self> {
        files::create_private_dir(&place)?;
        let dir = RunDir::at(place.join(of.id()));
        let showing = Self {
            dir,
            place,
            read: 0,
        };
        let dir = &showing.dir;
        for made in [dir.path().to_owned(), dir.locks(), dir.live_dir()] {
            fs::create_dir_all(made)?;
        }
        fs::copy(of.chart(), dir.chart())?;
        symlink(fs::canonicalize(of.blobs())?, dir.blobs())?;
        for empty in [dir.events(), dir.wishes(), dir.office_bell()] {
            create(&empty)?;
        }
        Ok(showing)
    }

    /// Where it is shown.
    #[must_use]
    pub fn dir(&self) -> &RunDir {
        &self.dir
    }

    /// Shows lines of the log after those shown before.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn show_on(&self, lines: &str) -> io::Result<()> {
        let mut file = OpenOptions::new().append(true).open(self.dir.events())?;
        file.write_all(lines.as_bytes())
    }

    /// Shows these lines only. Whoever followed the log has to be seated again.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn show_anew(&self, lines: &str) -> io::Result<()> {
        files::write_view(&self.dir.events(), lines.as_bytes())
    }

    /// What was typed in panes since the last look, line by line.
    pub fn wishes(&mut self) -> Vec<String> {
        let text = fs::read_to_string(self.dir.wishes()).unwrap_or_default();
        let new = text.get(self.read..).unwrap_or_default();
        let whole = new.rfind('\n').map_or(0, |end| end + 1);
        self.read += whole;
        new[..whole].lines().map(str::to_owned).collect()
    }
}

impl Drop for Showing {
    fn drop(&mut self) {
        // A view; what is left of it harms nobody.
        fs::remove_dir_all(&self.place).ok();
    }
}

fn create(path: &Path) -> io::Result<()> {
    OpenOptions::new().create(true).append(true).open(path)?;
    Ok(())
}

impl RunDir {
    /// Whether this is a showing, and no run.
    #[must_use]
    pub fn is_showing(&self) -> bool {
        self.wishes().exists()
    }

    /// Hands a line to whoever plays this showing.
    ///
    /// # Errors
    /// Where it is no showing, or has ended.
    pub fn wish(&self, line: &str) -> io::Result<()> {
        let mut file = OpenOptions::new().append(true).open(self.wishes())?;
        writeln!(file, "{line}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_showing_grows_begins_anew_hears_wishes_and_leaves_nothing() {
        let temp = tempfile::tempdir().unwrap();
        let run = RunDir::at(temp.path().join("demo-1"));
        fs::create_dir_all(run.blobs()).unwrap();
        files::write_view(&run.chart(), b"version = 1\n").unwrap();
        assert!(!run.is_showing() && run.wish("10x").is_err());
        let place = temp.path().join("shown");
        let mut showing = Showing::open(&run, place.clone()).unwrap();
        let dir = showing.dir().clone();
        assert_eq!((dir.id(), dir.is_showing()), ("demo-1".to_owned(), true));
        let log = || fs::read_to_string(dir.events()).unwrap();
        showing.show_on("a\n").unwrap();
        showing.show_on("b\n").unwrap();
        assert_eq!(log(), "a\nb\n");
        showing.show_anew("a\n").unwrap();
        assert_eq!(log(), "a\n");
        dir.wish("10x").unwrap();
        assert_eq!(showing.wishes(), ["10x"]);
        assert!(showing.wishes().is_empty());
        drop(showing);
        assert!(!place.exists() && run.blobs().exists());
    }
}
