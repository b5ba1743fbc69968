//! The ground that journeys stand on: a world of its own for each, with its runs, its state, its
//! home, its `PATH` and no keys; and the end of everything in it, also where a test fails.
//!
//! Must not know any journey. Nothing here sleeps for a fixed time: what is awaited is looked for
//! whenever the log grows, and now and then, until a deadline that only a broken program meets.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::{Duration, Instant};

use notify::{RecursiveMode, Watcher};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Longest that anything may take: generous, since a loaded machine is no failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);
/// Between two looks where nothing tells of a change.
const LOOK: Duration = Duration::from_millis(20);

/// The program.
pub(crate) const ORG: &str = env!("CARGO_BIN_EXE_org");

/// The root of the project.
pub(crate) fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[expect(clippy::disallowed_methods, reason = "a deadline, from outside")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "journeys start programs")]
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    Command::new(program)
}

#[expect(
    clippy::disallowed_methods,
    reason = "only what finds programs is taken over, whether to keep a world for a look, and how long a soak is"
)]
pub(crate) fn var(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

/// Where programs are found: as for us, with the directory of the real python3 in front, since a version
/// manager's stand-in for it looks into HOME, which is another here.
fn path() -> &'static str {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| {
        let mut python = command("python3");
        python.args(["-c", "import sys; print(sys.executable)"]);
        let real = told(python, "").well().out;
        let dir = Path::new(real.trim())
            .parent()
            .unwrap()
            .display()
            .to_string();
        format!("{dir}:{}", var("PATH"))
    })
}

/// Writes a file, and the directories that it lies in.
#[expect(clippy::disallowed_methods, reason = "nobody reads it meanwhile")]
pub(crate) fn write(path: &Path, text: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Looks until something is there; the words say what was awaited.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(now() < deadline, "never came: {what}");
        std::thread::park_timeout(LOOK);
    }
}

/// What a program said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// That it went well.
    #[track_caller]
    pub(crate) fn well(self) -> Self {
        assert_eq!(self.code, 0, "{self}");
        self
    }

    /// Its data.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        let said = self.well();
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said}"))
    }

    /// That it was refused in the form of all our failures, with this exit status.
    #[track_caller]
    pub(crate) fn refused(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self}");
        let error = self.err.lines().any(|line| line.starts_with("error: "));
        let mut last = self.err.lines().rev();
        let hint = last.find_map(|line| line.strip_prefix("hint: "));
        let hint = hint.unwrap_or_default().trim();
        assert!(error && !hint.is_empty(), "not in our form: {self}");
        for word in ["panicked", "RUST_BACKTRACE", "Os {", "Some(", "Err("] {
            assert!(!self.err.contains(word), "raw words: {self}");
        }
        self
    }

    /// That its words name something.
    #[track_caller]
    pub(crate) fn naming(self, words: &[&str]) -> Self {
        let all = format!("{}\n{}", self.out, self.err);
        for word in words {
            assert!(all.contains(word), "does not name {word:?}: {self}");
        }
        self
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit {}\n{}\n{}", self.code, self.out, self.err)
    }
}

/// A world of its own.
pub(crate) struct TestEnvironment {
    temp: tempfile::TempDir,
    env: BTreeMap<String, String>,
}

impl TestEnvironment {
    pub(crate) fn new() -> Self {
        let temp = tempfile::Builder::new()
            .prefix("org-it-")
            .disable_cleanup(!var("ORG_IT_KEEP").is_empty())
            .tempdir()
            .unwrap();
        let root = temp.path().canonicalize().unwrap();
        let mut env = BTreeMap::new();
        let mut set = |name: &str, value: String| env.insert(name.to_owned(), value);
        for (name, dir) in [
            ("ORG_RUNS", "runs"),
            ("XDG_STATE_HOME", "state"),
            ("HOME", "home"),
            ("TMPDIR", "tmp"),
        ] {
            fs::create_dir(root.join(dir)).unwrap();
            set(name, root.join(dir).display().to_string());
        }
        set("PATH", path().to_owned());
        set("LANG", "C.UTF-8".to_owned());
        set("TERM", "xterm-256color".to_owned());
        Self { temp, env }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.temp.path().canonicalize().unwrap()
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    pub(crate) fn set(&mut self, name: &str, value: impl ToString) {
        self.env.insert(name.to_owned(), value.to_string());
    }

    pub(crate) fn unset(&mut self, name: &str) {
        self.env.remove(name);
    }

    pub(crate) fn env(&self) -> &BTreeMap<String, String> {
        &self.env
    }

    /// Puts a program of our own in front of all others.
    pub(crate) fn fake(&mut self, name: &str, script: &str) {
        let path = self.at("bin").join(name);
        write(&path, format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let bin = self.at("bin").display().to_string();
        if !self.env["PATH"].starts_with(&bin) {
            self.set("PATH", format!("{bin}:{}", self.env["PATH"]));
        }
    }

    /// A program in this world, in the root of the project.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = command(program);
        command.env_clear().envs(&self.env).current_dir(project());
        command
    }

    /// `org` with these words.
    pub(crate) fn org(&self, words: &[&str]) -> Said {
        self.org_told(words, "")
    }

    /// The same, with something on its standard input.
    pub(crate) fn org_told(&self, words: &[&str], input: &str) -> Said {
        let mut command = self.command(ORG);
        command.args(words);
        told(command, input)
    }

    /// `org`, without waiting for its end.
    pub(crate) fn start(&self, words: &[&str]) -> Child {
        let mut command = self.command(ORG);
        command.args(words).stdin(Stdio::null());
        let (out, err) = (self.at("start.out"), self.at("start.err"));
        command.stdout(fs::File::create(out).unwrap());
        command.stderr(fs::File::create(err).unwrap());
        command.spawn().unwrap()
    }

    /// A chart of the project with some of its text replaced, and paths that hold from here.
    #[track_caller]
    pub(crate) fn chart(&self, of: &str, changes: &[(&str, &str)]) -> String {
        let text = fs::read_to_string(project().join("orgs").join(of)).unwrap();
        let mut text = text.replace("\"../", &format!("\"{}/", project().display()));
        for (old, new) in changes {
            assert!(text.contains(old), "{of} has no {old:?}");
            text = text.replace(old, new);
        }
        let mut number = 0;
        let path = loop {
            let path = self.at(&format!("charts/{number}-{of}"));
            if !path.exists() {
                break path;
            }
            number += 1;
        };
        write(&path, text);
        path.display().to_string()
    }

    /// The directories of runs, by name.
    pub(crate) fn run_dirs(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.env["ORG_RUNS"]).into_iter().flatten();
        let mut dirs: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        dirs.sort();
        dirs
    }

    /// The only run there is.
    #[track_caller]
    pub(crate) fn run(&self) -> Run {
        let dirs = self.run_dirs();
        assert_eq!(dirs.len(), 1, "{dirs:?}");
        Run::at(dirs[0].clone())
    }

    /// Processes of this world, each with its command line.
    pub(crate) fn processes(&self) -> BTreeMap<u32, String> {
        processes_of(&self.root())
    }

    /// That nothing lives, nothing is held, and no socket is left.
    #[track_caller]
    pub(crate) fn nothing_lives(&self) {
        // A process that has been told to end by its last breath may take one more.
        let deadline = now() + PATIENCE;
        while !self.processes().is_empty() && now() < deadline {
            std::thread::park_timeout(LOOK);
        }
        assert_eq!(self.processes(), BTreeMap::new());
        let held = held_locks();
        let mut left = Vec::new();
        each_file(&self.root(), &mut |path, found| {
            use std::os::unix::fs::FileTypeExt;
            if found.file_type().is_socket() || held.contains(&found.ino()) {
                left.push(path.to_owned());
            }
        });
        assert_eq!(left, Vec::<PathBuf>::new(), "sockets or held locks");
    }

    /// That a refused command has made no run and left no process.
    #[track_caller]
    pub(crate) fn nothing_was_made(&self) {
        assert_eq!(self.run_dirs(), Vec::<PathBuf>::new(), "half made");
        self.nothing_lives();
    }
}

impl Drop for TestEnvironment {
    fn drop(&mut self) {
        for dir in self.run_dirs() {
            if processes_of(&dir).is_empty() {
                continue;
            }
            let path = dir.display().to_string();
            self.org(&["down", "--run", &path]);
        }
        // Whatever is left was started here: its environment or its words name this world.
        for pid in self.processes().into_keys() {
            let pid = rustix::process::Pid::from_raw(pid.cast_signed());
            if let Some(pid) = pid {
                rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
            }
        }
    }
}

/// A run, from outside.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    dir: PathBuf,
}

impl Run {
    pub(crate) fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    pub(crate) fn id(&self) -> String {
        self.dir.file_name().unwrap().to_string_lossy().into_owned()
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.join(path)
    }

    /// Every whole line of the log.
    pub(crate) fn events(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path("events.jsonl")).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The events of a kind.
    pub(crate) fn of(&self, kind: &str) -> Vec<Value> {
        let mut events = self.events();
        events.retain(|event| event["kind"] == kind);
        events
    }

    /// Waits, at every growth of the log, until something can be read out of it.
    #[track_caller]
    pub(crate) fn wait_for<T>(&self, what: &str, mut look: impl FnMut(&[Value]) -> Option<T>) -> T {
        let (grown, grows) = mpsc::channel();
        let mut watcher = notify::recommended_watcher(move |_| {
            grown.send(()).ok();
        })
        .unwrap();
        watcher
            .watch(&self.path("events.jsonl"), RecursiveMode::NonRecursive)
            .unwrap();
        let deadline = now() + PATIENCE;
        loop {
            let events = self.events();
            if let Some(found) = look(&events) {
                return found;
            }
            let last: Vec<String> = events.iter().rev().take(12).map(Value::to_string).collect();
            assert!(
                now() < deadline,
                "never came: {what}; the last events:\n{}",
                last.join("\n")
            );
            // Now and then also without a word: a watch can be missed by a file system.
            grows.recv_timeout(Duration::from_secs(1)).ok();
            while grows.try_recv().is_ok() {}
        }
    }

    /// The whole of a text in an event.
    pub(crate) fn text(&self, text: &Value) -> String {
        if let Some(whole) = text.as_str() {
            return whole.to_owned();
        }
        let blob = text["blob"].as_str().expect("a long text has a blob");
        fs::read_to_string(self.dir.join("blobs").join(&blob[..2]).join(&blob[2..])).unwrap()
    }

    /// What the calls of a tool answered to an agent, in order.
    pub(crate) fn answers(&self, agent: &str, tool: &str) -> Vec<String> {
        let results = self.of("tool.result");
        let of = |event: &&Value| event["agent"] == agent && event["tool"] == tool;
        results
            .iter()
            .filter(of)
            .map(|it| self.text(&it["output"]))
            .collect()
    }
}

/// Runs a program to its end, and ends it where it has none.
pub(crate) fn told(mut command: Command, input: &str) -> Said {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writes = std::thread::spawn(move || stdin.write_all(input.as_bytes()).ok());
    let reads = |mut from: Box<dyn Read + Send>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            from.read_to_end(&mut bytes).ok();
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let out = reads(Box::new(child.stdout.take().unwrap()));
    let err = reads(Box::new(child.stderr.take().unwrap()));
    let deadline = now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if now() > deadline {
            child.kill().ok();
            child.wait().ok();
            break None;
        }
        std::thread::park_timeout(Duration::from_millis(5));
    };
    writes.join().ok();
    let (out, err) = (out.join().unwrap(), err.join().unwrap());
    let Some(status) = status else {
        panic!("{command:?} did not end\n{out}\n{err}");
    };
    Said {
        code: status.code().unwrap_or(-1),
        out,
        err,
    }
}

/// Processes whose words, environment or directory name a place.
fn processes_of(root: &Path) -> BTreeMap<u32, String> {
    let root = root.display().to_string();
    let mut found = BTreeMap::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let dir = entry.path();
        let read = |name: &str| {
            let bytes = fs::read(dir.join(name)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).replace('\0', " ")
        };
        // A zombie has no words; what made it has not looked yet, and it holds nothing.
        let words = read("cmdline");
        let cwd = fs::read_link(dir.join("cwd")).unwrap_or_default();
        let ours = words.contains(&root)
            || cwd.display().to_string().contains(&root)
            || read("environ").contains(&root);
        if ours && pid != std::process::id() && !words.is_empty() {
            found.insert(pid, words);
        }
    }
    found
}

/// Inodes of all files on which somebody holds a lock.
fn held_locks() -> BTreeSet<u64> {
    let locks = fs::read_to_string("/proc/locks").unwrap();
    let inode = |line: &str| {
        let held = !line.contains("->");
        let field = line.split_whitespace().nth(5).filter(|_| held)?;
        field.rsplit(':').next()?.parse().ok()
    };
    locks.lines().filter_map(inode).collect()
}

/// Every file below a directory, links not followed.
pub(crate) fn each_file(dir: &Path, see: &mut dyn FnMut(&Path, &fs::Metadata)) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let Ok(found) = entry.metadata() else {
            continue;
        };
        see(&entry.path(), &found);
        if found.is_dir() {
            each_file(&entry.path(), see);
        }
    }
}

/// All that can be seen of a directory's files: names, bytes, modes, links and times.
pub(crate) fn picture(dir: &Path) -> BTreeMap<PathBuf, String> {
    let mut seen = BTreeMap::new();
    each_file(dir, &mut |path, found| {
        let bytes = if found.is_symlink() {
            fs::read_link(path).unwrap().display().to_string()
        } else if found.is_file() {
            format!("{:x}", Sha256::digest(fs::read(path).unwrap()))
        } else {
            String::new()
        };
        let (mode, size) = (found.mode(), found.len());
        let times = format!("{}.{:09}", found.mtime(), found.mtime_nsec());
        seen.insert(path.to_owned(), format!("{mode:o} {size} {times} {bytes}"));
    });
    seen
}
