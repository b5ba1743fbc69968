//! The views that a run keeps on disk: results.tsv, results_full.tsv and report/.
//!
//! Owns when they are whole: each is replaced at once, and made anew from the log whenever somebody
//! asks for a report and whenever a measured run ends. All may be deleted; whatever else stands where
//! one of them belongs is in the way and is said to be. Must not know what stands in them.

use std::fs;
use std::io;
use std::path::PathBuf;

use crate::domain::chart::Chart;
use crate::domain::state::State;
use crate::os::files;
use crate::run::paths::RunDir;
use crate::view::plot::Axis;
use crate::view::report::{self, Material};
use crate::view::{results, results_full};

/// Writes both tables of results.
///
/// # Errors
/// Whatever the file system says, with the file that it says it of.
pub(super) fn results(dir: &RunDir, chart: &Chart, state: &State) -> io::Result<()> {
    write(&dir.results(), &results::tsv(chart, state))?;
    write(&dir.results_full(), &results_full::tsv(state))
}

/// Writes the report beside its plots; says where the page is.
///
/// # Errors
/// As for [`results`].
pub(super) fn report(
    dir: &RunDir,
    material: &Material<'_>,
    page: &str,
    text: &str,
) -> io::Result<PathBuf> {
    let folder = dir.report();
    fs::create_dir_all(&folder).map_err(|error| named(&folder, &error))?;
    let index = folder.join("index.html");
    write(&index, page)?;
    write(&folder.join("report.md"), text)?;
    let progress = report::progress(material);
    for axis in Axis::ALL {
        write(&folder.join(axis.file()), &progress.alone(axis))?;
    }
    Ok(index)
}

fn write(path: &std::path::Path, text: &str) -> io::Result<()> {
    files::write_view(path, text.as_bytes()).map_err(|error| named(path, &error))
}

fn named(path: &std::path::Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
