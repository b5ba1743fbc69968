//! What a run was asked for, as it was frozen at `up`: editing a chart or a prompt later changes
//! nothing here.

use std::fs;
use std::io;

use crate::domain::chart::Chart;
use crate::domain::decode::{Context, decode_bytes};
use crate::domain::{emit, model};
use crate::os::files;

use super::paths::RunDir;

/// Mode of frozen files: nobody writes them any more.
const FROZEN: u32 = 0o444;

/// Why a frozen chart cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FrozenError {
    /// It cannot be read.
    #[error("cannot read {path}")]
    Io {
        /// The file.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// It is not what this program writes.
    #[error("{path} line {line}: {message}")]
    Damaged {
        /// The file.
        path: String,
        /// Where.
        line: usize,
        /// What is wrong.
        message: String,
    },
}

/// Freezes a chart; on disk, like all that is frozen, when [`settle`] has returned.
///
/// # Errors
/// Whatever the file system says.
pub fn freeze(dir: &RunDir, chart: &Chart) -> io::Result<()> {
    files::write_ahead(&dir.chart(), emit::to_toml(chart).as_bytes(), FROZEN)
}

/// Freezes a file below `prompts/`.
///
/// # Errors
/// Whatever the file system says.
pub fn freeze_prompt(dir: &RunDir, name: &str, text: &str) -> io::Result<()> {
    files::write_ahead(&dir.prompts().join(name), text.as_bytes(), FROZEN)
}

/// Freezes the brief.
///
/// # Errors
/// Whatever the file system says.
pub fn freeze_brief(dir: &RunDir, text: &str) -> io::Result<()> {
    files::write_ahead(&dir.brief(), text.as_bytes(), FROZEN)
}

/// Freezes the prompt of a process of the org.
///
/// # Errors
/// Whatever the file system says.
pub fn freeze_process(dir: &RunDir, process: &str, text: &str) -> io::Result<()> {
    files::write_ahead(&dir.process_prompt(process), text.as_bytes(), FROZEN)
}

/// Freezes what the mock is given: its lines, and who is who.
///
/// # Errors
/// Whatever the file system says.
pub fn freeze_mock(dir: &RunDir, scenario: &str, roster: &[u8]) -> io::Result<()> {
    files::write_ahead(&dir.scenario(), scenario.as_bytes(), FROZEN)?;
    files::write_ahead(&dir.roster(), roster, FROZEN)
}

/// Has on disk all that was frozen.
///
/// # Errors
/// Whatever the file system says.
pub fn settle(dir: &RunDir) -> io::Result<()> {
    if let Some(processes) = dir.brief().parent() {
        files::sync_level(processes)?;
    }
    files::sync_level(&dir.prompts())?;
    files::sync_level(dir.path())
}

/// The chart of a run.
///
/// # Errors
/// Where it is missing or damaged.
pub fn chart(dir: &RunDir) -> Result<Chart, FrozenError> {
    let path = dir.chart();
    let bytes = fs::read(&path).map_err(|source| FrozenError::Io {
        path: path.display().to_string(),
        source,
    })?;
    let known = model::known();
    let context = Context {
        base: dir.path(),
        home: None,
        known_models: &known,
        frozen: true,
    };
    let decoded = decode_bytes(&bytes, &context);
    decoded.chart.ok_or_else(|| {
        let first = decoded.problems.first();
        FrozenError::Damaged {
            path: path.display().to_string(),
            line: first.map_or(0, |problem| problem.line),
            message: first.map_or_else(String::new, |problem| problem.message.clone()),
        }
    })
}
