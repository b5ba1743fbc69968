//! Where tools that keep caches are told to look for them: uv, Triton, Inductor and the like.
//!
//! Owns the variables and the directories behind them, so that an agent's shell and a measured run
//! cannot differ in what they redirect. Must not know whose caches they are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Variables, each with its directory below a cache directory.
const CACHES: [(&str, &str); 7] = [
    ("XDG_CACHE_HOME", ""),
    ("UV_CACHE_DIR", "uv"),
    ("TRITON_CACHE_DIR", "triton"),
    ("TORCHINDUCTOR_CACHE_DIR", "inductor"),
    ("HF_HOME", "huggingface"),
    ("MPLCONFIGDIR", "matplotlib"),
    ("CUDA_CACHE_PATH", "cuda"),
];
/// Directories whose contents only save the time of compiling, and change no result.
const COMPILED: [&str; 3] = ["triton", "inductor", "cuda"];

/// The variables that lead every tool below `dir`.
#[must_use]
pub fn variables(dir: &Path) -> BTreeMap<String, String> {
    let at = |below: &str| {
        let path = if below.is_empty() {
            dir.to_owned()
        } else {
            dir.join(below)
        };
        path.display().to_string()
    };
    CACHES
        .into_iter()
        .map(|(name, below)| (name.to_owned(), at(below)))
        .collect()
}

/// The directories that must be there, parents first.
#[must_use]
pub fn directories(dir: &Path) -> Vec<PathBuf> {
    let below = CACHES.iter().filter(|(_, below)| !below.is_empty());
    let below = below.map(|(_, below)| dir.join(below));
    std::iter::once(dir.to_owned()).chain(below).collect()
}

/// The compile caches below `dir`, each with its name.
#[must_use]
pub fn compiled(dir: &Path) -> Vec<(&'static str, PathBuf)> {
    COMPILED
        .into_iter()
        .map(|name| (name, dir.join(name)))
        .collect()
}
