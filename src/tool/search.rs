//! Finding lines in the worktree.
//!
//! Owns where is looked and when it is enough. Links are not followed and git's own directory is left
//! out; the walk holds open directories, so that nothing that is moved meanwhile leads it outside.

use std::ffi::CStr;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use regex::{Regex, RegexBuilder};
use rustix::fs::{Dir, FileType, Mode, OFlags};
use serde_json::Value;

use crate::domain::event::Class;
use crate::os::clock;

use super::arguments::{Argument, Shape};
use super::files::{self, PATH_BYTES};
use super::place::{FileError, Spot};
use super::{Acting, Desk, Outcome, Tool, aside, bad_arguments, broken, one_line};

/// Longest pattern: no readable one is longer.
const PATTERN_BYTES: usize = 2048;
/// Memory of a compiled pattern, so that none eats the machine.
const PATTERN_MEMORY: usize = 1 << 20;
/// Most lines of an answer: more are not read.
const MATCHES: usize = 200;
/// Longest line that is shown, in characters.
const WIDTH: usize = 300;
/// Largest file that is looked into: source is smaller, data is not what is looked for.
const FILE_BYTES: u64 = 4 << 20;
/// Deepest directory: each level is an open descriptor, of which a process has 1024.
const DEPTH: usize = 64;
/// How long a search may take: a larger tree wants a narrower `path`.
const LIMIT: Duration = Duration::from_secs(20);

/// The tool `search`.
#[derive(Debug)]
pub(super) struct Search;

impl Tool for Search {
    fn name(&self) -> &'static str {
        "search"
    }

    fn arguments(&self) -> &'static [Argument] {
        const {
            &[
                Argument::needed("pattern", Shape::Text(PATTERN_BYTES)),
                Argument::optional("path", Shape::Text(PATH_BYTES)),
            ]
        }
    }

    fn class(&self) -> Class {
        Class::Read
    }

    fn brief(&self, args: &Value) -> String {
        let text = |name: &str| args[name].as_str().unwrap_or("").to_owned();
        one_line(&format!("{} {}", text("pattern"), text("path")))
    }

    fn run<'a>(&'a self, desk: &'a Desk, _call: &'a str, args: &'a Value) -> Acting<'a> {
        Box::pin(async move {
            let args = match desk.arguments(self, args) {
                Ok(args) => args,
                Err(outcome) => return outcome,
            };
            let pattern = RegexBuilder::new(args.needed("pattern"))
                .size_limit(PATTERN_MEMORY)
                .dfa_size_limit(PATTERN_MEMORY)
                .build();
            let pattern = match pattern {
                Ok(pattern) => pattern,
                Err(error) => {
                    return bad_arguments(&desk.texts, self.name(), &format!("`pattern`: {error}"));
                }
            };
            let given = args.text("path").filter(|path| !path.is_empty());
            let spot = Spot::find(desk, given.unwrap_or("."), true);
            aside(move || {
                spot.and_then(|spot| Hunt::new(pattern).go(&spot))
                    .map_or_else(|error| broken(&error), Outcome::done)
            })
            .await
        })
    }
}

/// A search under way.
struct Hunt {
    pattern: Regex,
    found: Vec<String>,
    full: bool,
    late: bool,
    until: Instant,
}

impl Hunt {
    fn new(pattern: Regex) -> Self {
        Self {
            pattern,
            found: Vec::new(),
            full: false,
            late: false,
            until: clock::monotonic() + LIMIT,
        }
    }

    fn go(mut self, spot: &Spot) -> Result<String, FileError> {
        let (file, kind, _) = spot.open()?;
        let shown = spot.shown();
        match kind {
            FileType::Directory => {
                let root = if shown == "." { "" } else { &shown };
                self.directory(&file, Path::new(root), 0);
            }
            FileType::RegularFile => self.file(file.into(), Path::new(&shown)),
            _ => drop(spot.file()?),
        }
        if self.full {
            self.found
                .push(format!("[cut after {MATCHES} matching lines]"));
        }
        if self.late {
            self.found
                .push(format!("[given up after {} s]", LIMIT.as_secs()));
        }
        if self.found.is_empty() {
            self.found.push("no line matches".to_owned());
        }
        Ok(self.found.join("\n"))
    }

    fn over(&mut self) -> bool {
        self.late |= clock::monotonic() > self.until;
        self.full || self.late
    }

    fn directory(&mut self, at: &OwnedFd, path: &Path, depth: usize) {
        let Ok(entries) = Dir::read_from(at) else {
            return;
        };
        let mut names: Vec<(std::ffi::CString, FileType)> = entries
            .flatten()
            .map(|entry| (entry.file_name().to_owned(), entry.file_type()))
            .filter(|(name, _)| ![c".", c"..", c".git"].contains(&name.as_c_str()))
            .collect();
        names.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        for (name, kind) in names {
            if self.over() {
                return;
            }
            let path = path.join(std::ffi::OsStr::from_bytes(name.as_bytes()));
            // Some file systems do not say; the open below does.
            let maybe = |wanted: FileType| kind == wanted || kind == FileType::Unknown;
            if maybe(FileType::Directory)
                && depth < DEPTH
                && let Some(below) = open(at, &name, OFlags::DIRECTORY)
            {
                self.directory(&below, &path, depth + 1);
            } else if maybe(FileType::RegularFile)
                && let Some(file) = open(at, &name, OFlags::NONBLOCK)
            {
                self.file(file.into(), &path);
            }
        }
    }

    fn file(&mut self, file: File, path: &Path) {
        let fits = |file: &File| {
            let stat = file.metadata().ok()?;
            (stat.is_file() && stat.len() <= FILE_BYTES).then_some(())
        };
        let mut bytes = Vec::new();
        if fits(&file).is_none() || file.take(FILE_BYTES).read_to_end(&mut bytes).is_err() {
            return;
        }
        if files::is_binary(&bytes) {
            return;
        }
        let text = String::from_utf8_lossy(&bytes);
        let path: PathBuf = path.to_owned();
        for (number, line) in text.lines().enumerate() {
            if !self.pattern.is_match(line) {
                continue;
            }
            if self.found.len() == MATCHES {
                self.full = true;
                return;
            }
            let shown: String = line.chars().take(WIDTH).collect();
            let path = one_line(&path.to_string_lossy());
            self.found.push(format!("{path}:{}: {shown}", number + 1));
        }
    }
}

fn open(at: &OwnedFd, name: &CStr, flags: OFlags) -> Option<OwnedFd> {
    let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY;
    rustix::fs::openat(at, name, flags, Mode::empty()).ok()
}
