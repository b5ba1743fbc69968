//! The harness's own files that go with every run: copied into the run when it is made, so that what they
//! are is fixed like the chart, and hashed, so that a change is noticed.
//!
//! Must not know what is in them.

use std::io;
use std::path::Path;

use crate::domain::chart::Chart;
use crate::domain::event::{Actor, Kind};
use crate::os::files;
use crate::repo::{self, RepoError};
use crate::run::log::{Log, LogError};
use crate::run::paths::RunDir;

/// Copies a chart's overlay into its run, where there is one, and has the chart name the copy.
pub(super) fn freeze(dir: &RunDir, chart: &mut Chart) -> io::Result<()> {
    let Some(overlay) = &mut chart.task.overlay else {
        return Ok(());
    };
    let copy = dir.overlay();
    files::copy_tree(overlay, &copy)?;
    *overlay = copy;
    Ok(())
}

/// Writes down what a run's overlay is.
pub(super) fn note(log: &mut Log, chart: &Chart) -> Result<(), LogError> {
    let hash = chart.task.overlay.as_deref().map(hash);
    // What cannot be hashed is noticed when it is read.
    let Some(Ok(hash)) = hash else {
        return Ok(());
    };
    log.append(&Actor::Lab, vec![Kind::OverlayFrozen { hash }])
}

/// A hash of all that is in it.
pub(super) fn hash(overlay: &Path) -> Result<String, RepoError> {
    repo::tree_hash(overlay, &["**".to_owned()])
}

/// Why a run's overlay is not what it was when the run was made, if so.
pub(super) fn altered(overlay: Option<&Path>, expected: Option<&str>) -> Option<String> {
    let (overlay, expected) = (overlay?, expected?);
    match hash(overlay) {
        Ok(hash) if hash == expected => None,
        Ok(_) => Some("the harness's own files are not what they were at `up`".to_owned()),
        Err(error) => Some(format!("the harness's own files cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_any_file_is_noticed() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        files::create_private_dir(&at("deep")).expect("made");
        files::write_view(&at("deep/sitecustomize.py"), b"import os\n").expect("written");
        let before = hash(dir.path()).expect("a hash");
        assert_eq!(altered(Some(dir.path()), Some(&before)), None);
        assert_eq!(altered(None, Some(&before)), None);
        files::write_view(&at("deep/sitecustomize.py"), b"import re\n").expect("written");
        assert!(altered(Some(dir.path()), Some(&before)).is_some());
        assert!(altered(Some(&at("nowhere")), Some(&before)).is_some());
    }
}
