//! A directory as the files of a commit: every file's bytes as they are, no filter, no line ending,
//! no attribute. Used for the worktree of an agent and for a directory that is imported.

use std::path::Path;

use git2::{ObjectType, Odb, Oid};

use super::error::{RepoError, git};
use super::ignore::{self, Ignores};
use super::incoming::{MAX_FILE, MAX_NEW};
use super::plain::{self, Entry, Kind, Refusal, Step};
use super::trees::{Files, Mode};

/// How many files that are not in the commit before may come into one commit.
pub(super) const MAX_NEW_FILES: usize = 20_000;

/// A file that a commit should hold and does not, or not in its present form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Its path, with `/`; bytes that are not UTF-8 are replaced.
    pub path: String,
    /// In words: `too large`, `not a regular file`, `cannot be read`.
    pub why: &'static str,
}

/// What was found in a directory.
pub(super) struct Gathered {
    pub(super) files: Files,
    pub(super) left_out: Vec<LeftOut>,
}

/// How much of a directory is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All but caches.
    Everything,
    /// What `.gitignore` does not leave out.
    NotIgnored,
}

/// Takes the files below `at` into `odb`. `before` are the files of the commit that this one will
/// follow: none of them is ignored, and of one that cannot be read the old version stays.
pub(super) fn gather(
    odb: &Odb<'_>,
    at: &Path,
    before: &Files,
    wanted: Wanted,
) -> Result<Gathered, RepoError> {
    let root = plain::open_root(at)?;
    let mut gatherer = Gatherer {
        odb,
        at,
        before,
        ignores: Ignores::default(),
        wanted,
        ignored_below: None,
        new_files: 0,
        new_bytes: 0,
        out: Gathered {
            files: Files::new(),
            left_out: Vec::new(),
        },
    };
    gatherer.read_rules(&root, "");
    plain::walk(&root, at, &mut |entry| gatherer.visit(entry))?;
    Ok(gatherer.out)
}

struct Gatherer<'a> {
    odb: &'a Odb<'a>,
    at: &'a Path,
    before: &'a Files,
    ignores: Ignores,
    wanted: Wanted,
    /// The ignored directory that the walk is in for the sake of files in `before`.
    ignored_below: Option<Vec<u8>>,
    new_files: usize,
    new_bytes: u64,
    out: Gathered,
}

impl Gatherer<'_> {
    fn visit(&mut self, entry: &Entry<'_>) -> Result<Step, RepoError> {
        let path = entry.path;
        // Git's own directory, that of a repository that somebody cloned into this one, and what is
        // being written.
        let name = entry.name.to_bytes();
        if !plain::may_stand_in_tree(name) || name == plain::DRAFT.as_bytes() {
            return Ok(Step::Over);
        }
        let held = self.before.get(path).copied();
        if entry.kind == Kind::Dir {
            if let Some(submodule @ (Mode::Submodule, _)) = held {
                self.out.files.insert(path.to_vec(), submodule);
                return Ok(Step::Over);
            }
            return Ok(self.visit_dir(entry));
        }
        if held.is_none() && (self.in_ignored(path) || self.ignores(path, false)) {
            return Ok(Step::Over);
        }
        if held.is_none() {
            self.new_files += 1;
            if self.new_files > MAX_NEW_FILES {
                let (at, what) = (self.at.to_owned(), "new files");
                return Err(RepoError::TooMany {
                    at,
                    what,
                    limit: MAX_NEW_FILES,
                });
            }
        }
        match self.read(entry) {
            Ok((mode, kind_bytes)) => self.take(path, mode, &kind_bytes, held)?,
            Err(Refusal::Gone) => {}
            Err(refusal) => self.leave_out(path, refusal, held),
        }
        Ok(Step::Over)
    }

    fn visit_dir(&mut self, entry: &Entry<'_>) -> Step {
        let path = entry.path;
        let text = String::from_utf8_lossy(path);
        if !self.in_ignored(path) {
            if !self.ignores(path, true) {
                if let Ok(dir) = plain::open_dir(entry.dir, entry.name) {
                    self.read_rules(&dir, &text);
                }
                return Step::Into;
            }
            self.ignored_below = Some(path.to_vec());
        }
        let prefix = [path, b"/"].concat();
        let mut below = self.before.range(prefix.clone()..);
        match below.next() {
            Some((first, _)) if first.starts_with(&prefix) => Step::Into,
            _ => Step::Over,
        }
    }

    fn read_rules(&mut self, dir: impl std::os::fd::AsFd, path: &str) {
        if self.wanted == Wanted::NotIgnored
            && let Ok(body) = plain::read_file(dir, c".gitignore", ignore::MAX_BYTES)
        {
            self.ignores
                .enter(path, &String::from_utf8_lossy(&body.bytes));
        }
    }

    fn in_ignored(&self, path: &[u8]) -> bool {
        self.ignored_below.as_ref().is_some_and(|dir| {
            path.strip_prefix(dir.as_slice())
                .is_some_and(|rest| rest.starts_with(b"/"))
        })
    }

    fn ignores(&mut self, path: &[u8], is_dir: bool) -> bool {
        self.ignores.ignores(&String::from_utf8_lossy(path), is_dir)
    }

    fn read(&self, entry: &Entry<'_>) -> Result<(Mode, Vec<u8>), Refusal> {
        match entry.kind {
            Kind::Link => Ok((Mode::Link, plain::read_link(entry.dir, entry.name)?)),
            Kind::File => {
                let body = plain::read_file(entry.dir, entry.name, MAX_FILE)?;
                Ok((
                    if body.executable {
                        Mode::Executable
                    } else {
                        Mode::File
                    },
                    body.bytes,
                ))
            }
            Kind::Dir | Kind::Other => Err(Refusal::NotAFile),
        }
    }

    fn take(
        &mut self,
        path: &[u8],
        mode: Mode,
        bytes: &[u8],
        held: Option<(Mode, Oid)>,
    ) -> Result<(), RepoError> {
        let oid = Oid::hash_object(ObjectType::Blob, bytes).map_err(git("hash a file"))?;
        if held.is_none_or(|(_, before)| before != oid) {
            self.new_bytes += bytes.len() as u64;
            if self.new_bytes > MAX_NEW {
                return Err(RepoError::TooLarge {
                    at: self.at.to_owned(),
                    limit: MAX_NEW,
                });
            }
            self.odb
                .write(ObjectType::Blob, bytes)
                .map_err(git("write a file's object"))?;
        }
        self.out.files.insert(path.to_vec(), (mode, oid));
        Ok(())
    }

    fn leave_out(&mut self, path: &[u8], refusal: Refusal, held: Option<(Mode, Oid)>) {
        // A pipe or socket that nobody committed is not a file that anybody would miss.
        if refusal != Refusal::NotAFile || held.is_some() {
            let path = String::from_utf8_lossy(path).into_owned();
            self.out.left_out.push(LeftOut {
                path,
                why: refusal.reason(),
            });
        }
        if let Some(before) = held {
            self.out.files.insert(path.to_vec(), before);
        }
    }
}
