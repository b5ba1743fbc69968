//! One call of the `tmux` program, and how it fails. Owns the process and its time limit; must not
//! know what is asked.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tmux_interface::{SourceFile, StartServer, Tmux};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::os::process;

/// The oldest tmux that knows `run-shell -C` and the arithmetic that keeps the grid exact.
const OLDEST: (u32, u32) = (3, 2);

/// How long a call may take: a loaded machine needs a tenth of this for 64 panes.
const LIMIT: Duration = Duration::from_secs(10);

/// A server that just ended refuses the next one for a moment (65 ms measured, more with many
/// panes).
const RETRIES: u32 = 20;
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// Why the office could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum OfficeError {
    /// There is no `tmux` on the path.
    #[error("tmux is not installed, or not on PATH")]
    Missing,
    /// The installed one is too old.
    #[error("{found} is too old: 3.2 or newer is needed")]
    TooOld {
        /// As `tmux -V` prints it.
        found: String,
    },
    /// tmux did not answer, so nothing is known.
    #[error("tmux did not answer within {} s", LIMIT.as_secs())]
    Silent,
    /// tmux answered with an error.
    #[error("tmux refused: {said}")]
    Refused {
        /// tmux's own words.
        said: String,
    },
    /// The server did not build what the plan says.
    #[error("seat `{seat}` is not where it was put")]
    Misplaced {
        /// The first such seat.
        seat: String,
    },
    /// A plan without seats.
    #[error("an office without seats cannot be built")]
    Empty,
    /// The socket's place is not usable.
    #[error("{} cannot hold the office's socket: {why}", path.display())]
    Socket {
        /// The socket or its directory.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The server is still there after everything that ends it.
    #[error("the tmux server, process {pid}, does not end")]
    Lingers {
        /// Its process id.
        pid: i32,
    },
    /// The operating system refused.
    #[error("tmux cannot be run")]
    Io(#[from] std::io::Error),
}

/// How to reach the run's own tmux server.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    socket: String,
    env: Vec<(String, String)>,
}

impl Client {
    /// `env` is the whole environment of the server and of every client.
    pub(crate) fn new(socket: &Path, env: Vec<(String, String)>) -> Result<Self, OfficeError> {
        let Some(socket) = socket.to_str() else {
            return Err(OfficeError::Socket {
                path: socket.to_owned(),
                why: "the path is not UTF-8".to_owned(),
            });
        };
        Ok(Self {
            socket: socket.to_owned(),
            env,
        })
    }

    /// What the environment of every tmux of this office carries, server and clients, and none of its
    /// panes: by it they are found however they came to be.
    pub(crate) fn mark(&self) -> String {
        format!("office {}", self.socket)
    }

    /// The socket's path.
    pub(crate) fn socket(&self) -> &str {
        &self.socket
    }

    /// Fails where tmux is missing or too old.
    pub(crate) async fn check(&self) -> Result<(), OfficeError> {
        let said = self.run(Tmux::new().version(), String::new()).await?;
        match version(&said) {
            Some(found) if found < OLDEST => Err(OfficeError::TooOld {
                found: said.trim().to_owned(),
            }),
            // `tmux master` and distributions' own names are newer than what we need.
            _ => Ok(()),
        }
    }

    /// Runs a script on the server, which must be there.
    pub(crate) async fn script(&self, text: String) -> Result<String, OfficeError> {
        self.run(
            self.tmux().add_command(SourceFile::new().path("-").build()),
            text,
        )
        .await
    }

    /// Starts the server and runs a script on it, in one call.
    pub(crate) async fn start(&self, text: &str) -> Result<String, OfficeError> {
        let mut tries = 0;
        loop {
            let tmux = self
                .tmux()
                .add_command(StartServer::new().build())
                .add_command(SourceFile::new().path("-").build());
            match self.run(tmux, text.to_owned()).await {
                Err(OfficeError::Refused { said }) if is_passing(&said) && tries < RETRIES => {
                    tries += 1;
                    tokio::time::sleep(RETRY_AFTER).await;
                }
                other => return other,
            }
        }
    }

    fn tmux(&self) -> Tmux<'_> {
        Tmux::new()
            .force_utf8()
            .file("/dev/null")
            .socket_path(self.socket.as_str())
    }

    /// The only place where tmux is started.
    async fn run(&self, tmux: Tmux<'_>, stdin: String) -> Result<String, OfficeError> {
        let mut command = Command::from(tmux.into_command());
        command
            .env_clear()
            .envs(self.env.iter().map(|(key, value)| (key, value)))
            .env(process::MARK, self.mark())
            // The server keeps this directory for its life; the run's may be moved away.
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => OfficeError::Missing,
            _ => OfficeError::Io(e),
        })?;
        let pipe = child.stdin.take();
        let feed = async move {
            if let Some(mut pipe) = pipe {
                // A client that does not read its script says why on its own.
                drop(pipe.write_all(stdin.as_bytes()).await);
            }
        };
        let both = async { tokio::join!(feed, child.wait_with_output()).1 };
        let output = tokio::time::timeout(LIMIT, both)
            .await
            .map_err(|_| OfficeError::Silent)??;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let said = if said.is_empty() {
            format!("it ended with {}", output.status)
        } else {
            said
        };
        Err(OfficeError::Refused { said })
    }
}

/// Whether a server in the middle of ending said this.
fn is_passing(said: &str) -> bool {
    ["server exited", "lost server", "error connecting to"]
        .iter()
        .any(|s| said.contains(s))
}

/// Reads `tmux -V`: `tmux 3.3a`, `tmux next-3.4`. OpenBSD numbers its own by the system's version.
fn version(said: &str) -> Option<(u32, u32)> {
    let word = said.trim().strip_prefix("tmux ")?;
    let word = word.strip_prefix("next-").unwrap_or(word);
    let (major, minor) = word.split_once('.')?;
    let minor: String = minor.chars().take_while(char::is_ascii_digit).collect();
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_as_tmux_prints_them() {
        assert_eq!(version("tmux 3.3a\n"), Some((3, 3)));
        assert_eq!(version("tmux next-3.4\n"), Some((3, 4)));
        assert_eq!(version("tmux 2.9\n"), Some((2, 9)));
        assert_eq!(version("tmux master\n"), None);
        assert_eq!(version("tmux openbsd-7.4\n"), None);
    }
}
