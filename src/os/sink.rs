//! The two ends of a job's output: what the command writes to, and how the keeper fills the log.
//!
//! Must not know when a job is over.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

use tokio::net::unix::pipe;

use super::exec::Output;
use super::job::Sink;
use super::output::{CappedLog, Kept};

/// Bytes read from the command at a time: what a pipe holds.
const CHUNK: usize = 64 << 10;
/// The first descriptor that is not a standard stream.
const FIRST_OTHER_DESCRIPTOR: i32 = 3;

/// The command's end of an output.
pub(super) enum Target {
    Null,
    Inherit,
    Pipe(OwnedFd),
}

impl Target {
    pub(super) fn into_output(self) -> Output {
        match self {
            Self::Null => Output::Null,
            Self::Inherit => Output::Inherit,
            Self::Pipe(fd) => Output::Fd(fd),
        }
    }
}

/// Opens what a job's description names; `same` is the standard output, for errors that join it.
pub(super) fn sink(
    sink: &Sink,
    cap: u64,
    same: Option<&Target>,
) -> Result<(Option<Stream>, Target), String> {
    match (sink, same) {
        (Sink::Null, _) => Ok((None, Target::Null)),
        (Sink::Log(path), _) => {
            let opened = Stream::open(path, cap);
            let (stream, fd) =
                opened.map_err(|error| format!("open {}: {error}", path.display()))?;
            Ok((Some(stream), Target::Pipe(fd)))
        }
        (Sink::Same, Some(Target::Pipe(fd))) => {
            let fd = fd
                .try_clone()
                .map_err(|error| format!("share the output: {error}"))?;
            Ok((None, Target::Pipe(fd)))
        }
        (Sink::Same, Some(Target::Null)) => Ok((None, Target::Null)),
        (Sink::Same, Some(Target::Inherit)) => {
            // Ours by number, so that errors go where the output goes and not where ours do.
            let fd = rustix::io::fcntl_dupfd_cloexec(io::stdout(), FIRST_OTHER_DESCRIPTOR)
                .map_err(|error| format!("share the output: {error}"))?;
            Ok((None, Target::Pipe(fd)))
        }
        (Sink::Inherit, _) | (Sink::Same, None) => Ok((None, Target::Inherit)),
    }
}

/// The keeper's end of an output: a pipe and the log that it fills. The command never holds the log
/// itself, so it can neither rewrite it nor outgrow the cap.
pub(super) struct Stream {
    pipe: Option<pipe::Receiver>,
    log: CappedLog,
    chunk: Vec<u8>,
}

impl Stream {
    fn open(path: &Path, cap: u64) -> io::Result<(Self, OwnedFd)> {
        let log = CappedLog::create(path, cap)?;
        let (reader, writer) = io::pipe()?;
        let pipe = pipe::Receiver::from_owned_fd(reader.into())?;
        Ok((
            Self {
                pipe: Some(pipe),
                log,
                chunk: vec![0; CHUNK],
            },
            writer.into(),
        ))
    }

    /// Takes what tokio knows to be there.
    fn take(&mut self) {
        let Some(pipe) = &self.pipe else { return };
        match pipe.try_read(&mut self.chunk) {
            Ok(0) => self.pipe = None,
            Ok(length) => self.log.push(&self.chunk[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.pipe = None,
        }
    }

    /// Takes the rest. It asks the kernel: tokio reads only what its last poll has seen, and the end
    /// of a job may be known before its last words.
    pub(super) fn finish(mut self) -> Kept {
        let rest = self
            .pipe
            .take()
            .and_then(|pipe| pipe.into_nonblocking_fd().ok());
        if let Some(mut rest) = rest.map(File::from) {
            while let Ok(length @ 1..) = rest.read(&mut self.chunk) {
                self.log.push(&self.chunk[..length]);
            }
        }
        self.log.finish()
    }
}

/// Waits for output and takes some of it. Cancel-safe: nothing is awaited after it was taken.
pub(super) async fn pump(stream: &mut Option<Stream>) {
    let Some(stream) = stream else {
        return std::future::pending().await;
    };
    match &stream.pipe {
        None => std::future::pending().await,
        Some(pipe) => {
            if pipe.readable().await.is_err() {
                stream.pipe = None;
                return;
            }
        }
    }
    stream.take();
}
