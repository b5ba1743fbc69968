//! What the mock remembers of each agent, and where it is kept.
//!
//! Owns the state files: a directory with one file an agent (the run's `mock/`), or one file for
//! all. A file is replaced whole before its reply goes out, so that after any death of the server
//! the client's repeat finds the reply that it did not get. Must not know wires.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::exchange::{Part, Reply, digest};
use crate::domain::chat::Usage;
use crate::domain::scenario::{Fault, Position};

/// The format of the state files.
const FORMAT: u32 = 1;
/// Replies kept for repeats. A client repeats its last request; some keep a few in flight.
const MAX_TOLD: usize = 16;
/// Longest part of a file name made from an agent's name.
const MAX_NAME: usize = 100;

/// Why positions cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file system's fault.
    #[error("access the mock's state in {path}")]
    Access {
        /// The file or directory.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Not a state that this program wrote.
    #[error("read the mock's state in {path}, which is not what the mock writes")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Written by a newer program.
    #[error("read the mock's state in {path}, whose format {format} is newer than {FORMAT}")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
}

/// One agent, as the mock knows it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Memory {
    pub(super) format: u32,
    /// The agent's name, or a stand-in where its key was not the mock's own kind.
    pub(super) agent: String,
    pub(super) position: Position,
    /// Replies made so far, faulty ones included.
    pub(super) replies: u64,
    /// What the vendor would have in its cache.
    pub(super) cached: Vec<Part>,
    /// The latest replies, for repeats.
    told: VecDeque<Told>,
    /// All tokens reported.
    pub(super) total: Usage,
}

/// A reply that was sent, or was about to be.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Told {
    /// The hash of the request's bytes.
    pub(super) body: String,
    pub(super) reply: Reply,
    /// What shapes its next deliveries.
    pub(super) shape: Option<Fault>,
    /// How many of those there are.
    pub(super) shaped: u32,
}

impl Memory {
    pub(super) fn new(agent: &str) -> Self {
        Self {
            format: FORMAT,
            agent: agent.to_owned(),
            ..Self::default()
        }
    }

    /// What was told to a request of these bytes.
    pub(super) fn told(&mut self, body: &str) -> Option<&mut Told> {
        self.told.iter_mut().find(|told| told.body == body)
    }

    pub(super) fn remember(&mut self, told: Told) {
        if self.told.len() >= MAX_TOLD {
            self.told.pop_front();
        }
        self.told.push_back(told);
    }
}

/// Where memories are kept.
pub(super) enum Store {
    Nowhere,
    Directory(PathBuf),
    File(PathBuf),
}

impl Store {
    /// An existing directory, or a path that ends in `/`, keeps one file an agent; any other path
    /// is one file for all.
    pub(super) fn at(path: Option<&Path>) -> Self {
        match path {
            None => Self::Nowhere,
            Some(path) if path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/") => {
                Self::Directory(path.to_owned())
            }
            Some(path) => Self::File(path.to_owned()),
        }
    }

    /// All memories, by agent. What does not exist yet, or is empty, holds none.
    pub(super) fn load(&self) -> Result<BTreeMap<String, Memory>, StateError> {
        match self {
            Self::Nowhere => Ok(BTreeMap::new()),
            Self::File(path) => {
                let all: BTreeMap<String, Memory> = read(path)?.unwrap_or_default();
                all.values()
                    .try_for_each(|memory| check_format(memory, path))?;
                Ok(all)
            }
            Self::Directory(path) => {
                let mut all = BTreeMap::new();
                for file in state_files(path)? {
                    if let Some(memory) = read::<Memory>(&file)? {
                        check_format(&memory, &file)?;
                        all.insert(memory.agent.clone(), memory);
                    }
                }
                Ok(all)
            }
        }
    }

    /// Keeps one changed memory.
    pub(super) fn save(
        &self,
        all: &BTreeMap<String, Memory>,
        changed: &Memory,
    ) -> Result<(), StateError> {
        let (path, bytes) = match self {
            Self::Nowhere => return Ok(()),
            Self::Directory(directory) => {
                std::fs::create_dir_all(directory).map_err(access(directory))?;
                let path = directory.join(format!("{}.json", file_stem(&changed.agent)));
                (path, serde_json::to_vec(changed))
            }
            Self::File(path) => {
                let mut whole: BTreeMap<&str, &Memory> = all
                    .iter()
                    .map(|(agent, memory)| (agent.as_str(), memory))
                    .collect();
                whole.insert(&changed.agent, changed);
                (path.clone(), serde_json::to_vec(&whole))
            }
        };
        let bytes = bytes.map_err(|source| StateError::Content {
            path: path.clone(),
            source,
        })?;
        replace(&path, &bytes).map_err(access(&path))
    }
}

fn access(path: &Path) -> impl FnOnce(io::Error) -> StateError {
    move |source| StateError::Access {
        path: path.to_owned(),
        source,
    }
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, StateError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(access(path)(error)),
    };
    if bytes.trim_ascii().is_empty() {
        return Ok(None);
    }
    let value = serde_json::from_slice(&bytes);
    value.map(Some).map_err(|source| StateError::Content {
        path: path.to_owned(),
        source,
    })
}

fn check_format(memory: &Memory, path: &Path) -> Result<(), StateError> {
    if memory.format > FORMAT {
        return Err(StateError::Newer {
            path: path.to_owned(),
            format: memory.format,
        });
    }
    Ok(())
}

fn state_files(directory: &Path) -> Result<Vec<PathBuf>, StateError> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(access(directory)(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(access(directory))?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            files.push(path);
        }
    }
    Ok(files)
}

/// Replaces a file whole: what a reader finds is the old or the new content, also after a crash.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".tmp");
    let mut file = File::create(&fresh)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    std::fs::rename(&fresh, path)
}

/// A file name for an agent: its own name where that is harmless, else a hash. A key that is not
/// the mock's may hold anything, such as `../x`.
fn file_stem(agent: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let plain = !agent.starts_with('.') && !agent.is_empty() && agent.len() <= MAX_NAME;
    if plain && agent.chars().all(harmless) {
        agent.to_owned()
    } else {
        format!("agent~{}", digest(&[agent]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_survive_in_a_file_and_in_a_directory() {
        let place = tempfile::tempdir().unwrap();
        for path in [place.path().join("state.json"), place.path().to_owned()] {
            let store = Store::at(Some(&path));
            let mut all = store.load().unwrap();
            for name in ["ann", "../bob"] {
                let memory = Memory {
                    replies: 3,
                    ..Memory::new(name)
                };
                store.save(&all, &memory).unwrap();
                all.insert(name.to_owned(), memory);
            }
            if path.is_file() {
                assert_eq!(store.load().unwrap().len(), 2);
                std::fs::remove_file(&path).unwrap();
            } else {
                assert_eq!(store.load().unwrap()["../bob"].replies, 3);
            }
        }
    }

    #[test]
    fn a_state_of_another_kind_is_refused_and_an_empty_one_is_none() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("s");
        File::create(&path).unwrap();
        assert!(Store::at(Some(&path)).load().unwrap().is_empty());
        File::create(&path).unwrap().write_all(b"[1]").unwrap();
        assert!(matches!(
            Store::at(Some(&path)).load(),
            Err(StateError::Content { .. })
        ));
        let newer = BTreeMap::from([(
            "a",
            Memory {
                format: 9,
                ..Memory::new("a")
            },
        )]);
        replace(&path, &serde_json::to_vec(&newer).unwrap()).unwrap();
        assert!(matches!(
            Store::at(Some(&path)).load(),
            Err(StateError::Newer { format: 9, .. })
        ));
    }
}
