//! The only place where programs are started, so that every one of them starts from an environment
//! that was written down, and with none of our descriptors.
//!
//! Must not know what is started, nor confine it: that is `sandbox`, carried out by `job`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::listen::listen;
use super::{clock, process};

/// Bytes that a fresh pipe takes without a reader, on every Linux page size.
const PIPE_TAKES: usize = 4096;
/// The first descriptor that is not a standard stream.
const FIRST_OTHER_DESCRIPTOR: i32 = 3;
/// Names kept of the caller's environment; everything else, keys above all, stays outside.
const KEPT: [&str; 8] = [
    "HOME", "PATH", "LANG", "TERM", "TMPDIR", "USER", "LOGNAME", "SHELL",
];
/// Beginnings of further names that are kept.
const KEPT_PREFIXES: [&str; 2] = ["LC_", "XDG_"];

/// Children whose handle was dropped; they are waited for when the next one starts, so that none
/// stays a zombie for long.
static DROPPED: Mutex<Vec<Child>> = Mutex::new(Vec::new());

/// Where a program's standard input comes from.
#[derive(Debug, Default)]
pub enum Input {
    /// Nothing.
    #[default]
    Null,
    /// These bytes, then the end.
    Bytes(Vec<u8>),
    /// A pipe whose other end the caller gets.
    Pipe,
    /// Ours.
    Inherit,
}

/// Where a program's output goes.
#[derive(Debug, Default)]
pub enum Output {
    /// Nowhere.
    #[default]
    Null,
    /// To the end of this file, created with mode 0600.
    File(PathBuf),
    /// Into this descriptor.
    Fd(OwnedFd),
    /// A pipe whose other end the caller gets.
    Pipe,
    /// Where ours goes.
    Inherit,
}

/// A program to start. Its environment is exactly [`Exec::envs`].
#[derive(Debug)]
pub struct Exec {
    program: OsString,
    args: Vec<OsString>,
    env: BTreeMap<String, String>,
    cwd: Option<PathBuf>,
    stdin: Input,
    stdout: Output,
    stderr: Output,
    own_group: bool,
}

/// What a program said and how it ended.
#[derive(Debug)]
pub struct Said {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output, capped.
    pub stdout: Vec<u8>,
    /// Its standard error, capped.
    pub stderr: Vec<u8>,
    /// Whether it was ended for taking too long.
    pub timed_out: bool,
}

impl Exec {
    /// A program by path, or by name in the `PATH` of [`Exec::envs`].
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: BTreeMap::new(),
            cwd: None,
            stdin: Input::Null,
            stdout: Output::Null,
            stderr: Output::Null,
            own_group: false,
        }
    }

    /// This very program, even if its file was replaced since we started.
    #[must_use]
    pub fn this_program() -> Self {
        Self::new(own_image())
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// One more variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// More variables.
    #[must_use]
    pub fn envs(mut self, env: impl IntoIterator<Item = (String, String)>) -> Self {
        self.env.extend(env);
        self
    }

    /// The working directory; ours by default.
    #[must_use]
    pub fn cwd(mut self, path: impl Into<PathBuf>) -> Self {
        self.cwd = Some(path.into());
        self
    }

    /// Standard input; nothing by default.
    #[must_use]
    pub fn stdin(mut self, input: Input) -> Self {
        self.stdin = input;
        self
    }

    /// Standard output; nowhere by default.
    #[must_use]
    pub fn stdout(mut self, output: Output) -> Self {
        self.stdout = output;
        self
    }

    /// Standard error; nowhere by default.
    #[must_use]
    pub fn stderr(mut self, output: Output) -> Self {
        self.stderr = output;
        self
    }

    /// Makes the program the leader of a process group of its own.
    #[must_use]
    pub fn own_group(mut self) -> Self {
        self.own_group = true;
        self
    }

    /// Starts a program that outlives us. It must call [`become_session`] first thing: only a
    /// process itself can leave our session, and it could not as the leader of a group.
    pub fn spawn_detached(self) -> io::Result<Detached> {
        reap();
        let child = self.start()?;
        Ok(Detached { child: Some(child) })
    }

    /// Starts a program that tokio waits for. Must be called inside a tokio runtime.
    pub fn spawn_piped(self) -> io::Result<tokio::process::Child> {
        let (command, bytes) = self.command()?;
        seal();
        let mut child = tokio::process::Command::from(command).spawn()?;
        if let Some(bytes) = bytes
            && let Some(stdin) = child.stdin.take()
        {
            feed(stdin.into_owned_fd()?, bytes)?;
        }
        Ok(child)
    }

    /// Runs a program to its end or to the time limit, whichever comes first, and returns what it
    /// said. A limit hit ends its whole process group. Blocks the thread.
    pub fn output(mut self, limit: Duration) -> io::Result<Said> {
        let deadline = clock::monotonic() + limit;
        (self.stdout, self.stderr) = (Output::Pipe, Output::Pipe);
        self.own_group = true;
        let mut child = self.start()?;
        let listened = listen(&mut child, deadline);
        let timed_out = matches!(listened, Ok((_, _, true)));
        if timed_out || listened.is_err() {
            process::signal_group(child.id(), process::Signal::KILL);
        }
        let status = child.wait()?;
        let (stdout, stderr, _) = listened?;
        Ok(Said {
            status,
            stdout,
            stderr,
            timed_out,
        })
    }

    /// Becomes that program; returns only if that failed.
    #[must_use]
    pub fn replace(self) -> io::Error {
        match self.command() {
            Ok((mut command, _)) => {
                seal();
                command.exec()
            }
            Err(error) => error,
        }
    }

    fn start(self) -> io::Result<Child> {
        let (mut command, bytes) = self.command()?;
        seal();
        let mut child = command.spawn()?;
        if let Some(bytes) = bytes
            && let Some(stdin) = child.stdin.take()
        {
            feed(stdin.into(), bytes)?;
        }
        Ok(child)
    }

    #[expect(clippy::disallowed_methods, reason = "the only door to other programs")]
    fn command(self) -> io::Result<(Command, Option<Vec<u8>>)> {
        let mut command = Command::new(self.program);
        command.args(self.args).env_clear().envs(self.env);
        if let Some(cwd) = self.cwd {
            command.current_dir(cwd);
        }
        if self.own_group {
            command.process_group(0);
        }
        let bytes = match self.stdin {
            Input::Null => {
                command.stdin(Stdio::null());
                None
            }
            Input::Inherit => {
                command.stdin(Stdio::inherit());
                None
            }
            Input::Pipe => {
                command.stdin(Stdio::piped());
                None
            }
            Input::Bytes(bytes) => {
                command.stdin(Stdio::piped());
                Some(bytes)
            }
        };
        command
            .stdout(self.stdout.stdio()?)
            .stderr(self.stderr.stdio()?);
        Ok((command, bytes))
    }
}

impl Output {
    fn stdio(self) -> io::Result<Stdio> {
        Ok(match self {
            Self::Null => Stdio::null(),
            Self::Inherit => Stdio::inherit(),
            Self::Pipe => Stdio::piped(),
            Self::Fd(fd) => fd.into(),
            Self::File(path) => OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o600)
                .open(path)?
                .into(),
        })
    }
}

/// A child that goes on when its handle is dropped.
#[derive(Debug)]
pub struct Detached {
    child: Option<Child>,
}

impl Detached {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// How it ended, if it has; collects the zombie.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.as_mut().map_or(Ok(None), Child::try_wait)
    }

    /// Waits for its end. Blocks the thread.
    pub fn wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.as_mut().map(Child::wait).transpose()
    }

    /// Kills and waits for it.
    pub fn kill(&mut self) -> io::Result<()> {
        let Some(child) = self.child.as_mut() else {
            return Ok(());
        };
        child.kill()?;
        child.wait().map(drop)
    }

    /// The reading end, once, where its standard output is a pipe.
    pub fn take_stdout(&mut self) -> Option<OwnedFd> {
        self.child.as_mut()?.stdout.take().map(Into::into)
    }
}

impl Drop for Detached {
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            DROPPED
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(child);
        }
    }
}

/// Collects the children that ended after their handle was dropped.
pub fn reap() {
    let mut dropped = DROPPED.lock().unwrap_or_else(PoisonError::into_inner);
    dropped.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
}

/// Leaves the session, group and terminal of whoever started us. A process that leads a session
/// already stays in it.
pub fn become_session() -> io::Result<()> {
    match rustix::process::setsid() {
        Ok(_) => Ok(()),
        // We lead one already. Asked of `/proc`, as the session of a process whose leader is outside of
        // its PID namespace has the number 0, which is no process's.
        Err(rustix::io::Errno::PERM) if leads_session() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn leads_session() -> bool {
    let me = std::process::id();
    process::stat(me).is_some_and(|stat| stat.session == me)
}

/// What of the caller's environment is kept: where things are and how to print, never a secret.
pub fn inherited_env(vars: impl IntoIterator<Item = (String, String)>) -> BTreeMap<String, String> {
    let kept = |name: &str| {
        KEPT.contains(&name) || KEPT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    };
    vars.into_iter().filter(|(name, _)| kept(name)).collect()
}

/// Our own program's file, for others to start. After an update it is the new one.
pub fn current_exe() -> io::Result<PathBuf> {
    let path = std::env::current_exe()?;
    // How the kernel marks a file that was replaced or removed.
    let marked = path
        .to_string_lossy()
        .strip_suffix(" (deleted)")
        .map(PathBuf::from);
    Ok(marked.filter(|_| !path.exists()).unwrap_or(path))
}

/// A path under which our own children find the very file that we run: its name, unless that means
/// another file by now.
fn own_image() -> PathBuf {
    const IMAGE: &str = "/proc/self/exe";
    let file = |path: &str| {
        std::fs::metadata(path)
            .map(|stat| (stat.dev(), stat.ino()))
            .ok()
    };
    match current_exe() {
        Ok(path) if path.to_str().is_some_and(|path| file(path) == file(IMAGE)) => path,
        _ => PathBuf::from(IMAGE),
    }
}

/// Keeps every descriptor but the standard streams from the next program. Rust opens all of its
/// own that way; this is for those that we inherited.
fn seal() {
    close_fds::set_fds_cloexec_threadsafe(FIRST_OTHER_DESCRIPTOR, &[]);
}

/// Hands bytes to a child: at once when they fit the pipe, else by a thread, since a child may
/// speak before it listens.
fn feed(stdin: OwnedFd, bytes: Vec<u8>) -> io::Result<()> {
    let mut stdin = File::from(stdin);
    if bytes.len() <= PIPE_TAKES {
        return ignore_closed(stdin.write_all(&bytes));
    }
    std::thread::Builder::new()
        .name("stdin".into())
        .spawn(move || {
            // A child that does not want the rest has closed the pipe; that is its right.
            drop(stdin.write_all(&bytes));
        })?;
    Ok(())
}

fn ignore_closed(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    fn shell(script: &str) -> Exec {
        Exec::new("/bin/sh")
            .args(["-c", script])
            .env("PATH", "/usr/bin:/bin")
    }

    #[test]
    fn a_program_sees_only_what_was_written_down() {
        let said = Exec::new("/usr/bin/env")
            .env("A", "1")
            .output(LONG)
            .unwrap();
        assert_eq!(said.stdout, b"A=1\n");
        // A descriptor that somebody left open for exec, as a careless parent would.
        let file = File::open("/dev/null").unwrap();
        rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
        let said = shell("ls /proc/self/fd").output(LONG).unwrap();
        // 3 is the directory that ls itself reads.
        assert_eq!(String::from_utf8(said.stdout).unwrap(), "0\n1\n2\n3\n");
    }

    #[test]
    fn long_input_and_both_outputs_pass_without_a_deadlock() {
        let bytes = vec![b'x'; 1 << 20];
        let said = shell("cat; echo done >&2; exit 3")
            .stdin(Input::Bytes(bytes.clone()))
            .output(LONG)
            .unwrap();
        assert_eq!((said.stdout, said.stderr), (bytes, b"done\n".to_vec()));
        assert_eq!((said.status.code(), said.timed_out), (Some(3), false));
    }

    #[test]
    fn a_slow_program_is_ended_and_a_held_pipe_does_not_hold_us() {
        let said = shell("echo a; sleep 60")
            .output(Duration::from_millis(300))
            .unwrap();
        assert!(said.timed_out && said.stdout == b"a\n", "{said:?}");
        let begun = clock::monotonic();
        // The sleeper keeps our pipe open after the shell has ended.
        let said = shell("sleep 5 & echo b").output(LONG).unwrap();
        assert_eq!(said.stdout, b"b\n");
        assert!(begun.elapsed() < Duration::from_secs(4));
    }

    #[test]
    fn the_environment_is_kept_by_name() {
        let vars = [
            "HOME",
            "LC_ALL",
            "XDG_RUNTIME_DIR",
            "OPENAI_API_KEY",
            "LD_PRELOAD",
            "HOMER",
        ];
        let kept = inherited_env(vars.map(|name| (name.to_owned(), "x".to_owned())));
        assert_eq!(
            kept.into_keys().collect::<Vec<_>>(),
            ["HOME", "LC_ALL", "XDG_RUNTIME_DIR"]
        );
    }

    #[test]
    fn our_own_program_is_found() {
        assert!(current_exe().unwrap().is_file());
        assert!(own_image().exists());
    }
}
