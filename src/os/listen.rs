//! Listens to a child until it ends, however long others hold its pipes, or until a deadline.
//!
//! Must not know what the child is asked, nor end it: that is `exec`'s.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Child;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};

use super::{clock, process};

/// Bytes kept of each stream: what `org` asks of git, tmux and nvidia-smi is far shorter, and a
/// program gone wild must not fill memory.
const OUTPUT_CAP: usize = 16 << 20;

/// Reads both streams until the child ends or the deadline; says last whether it was the deadline.
pub(super) fn listen(child: &mut Child, deadline: Instant) -> io::Result<(Vec<u8>, Vec<u8>, bool)> {
    let pidfd = process::pidfd(child.id())?;
    let mut streams = [
        child
            .stdout
            .take()
            .map(|pipe| Stream::new(pipe.into()))
            .transpose()?,
        child
            .stderr
            .take()
            .map(|pipe| Stream::new(pipe.into()))
            .transpose()?,
    ];
    let mut timed_out = false;
    loop {
        let left = deadline.saturating_duration_since(clock::monotonic());
        if left.is_zero() {
            timed_out = true;
            break;
        }
        let mut fds = vec![PollFd::new(&pidfd, PollFlags::IN)];
        let open = streams.iter().flatten().filter(|stream| !stream.ended);
        fds.extend(open.map(|stream| PollFd::new(&stream.pipe, PollFlags::IN)));
        let limit = left.try_into().ok();
        match rustix::event::poll(&mut fds, limit.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ended = !fds[0].revents().is_empty();
        drop(fds);
        for stream in streams.iter_mut().flatten() {
            stream.drain()?;
        }
        if ended {
            break;
        }
    }
    let [stdout, stderr] = streams.map(|stream| stream.map_or_else(Vec::new, |it| it.kept));
    Ok((stdout, stderr, timed_out))
}

/// One output stream of a child, read without blocking.
struct Stream {
    pipe: File,
    kept: Vec<u8>,
    ended: bool,
}

impl Stream {
    fn new(pipe: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(pipe.as_fd(), true)?;
        Ok(Self {
            pipe: pipe.into(),
            kept: Vec::new(),
            ended: false,
        })
    }

    fn drain(&mut self) -> io::Result<()> {
        let mut chunk = [0; 16 * 1024];
        while !self.ended {
            match self.pipe.read(&mut chunk) {
                Ok(0) => self.ended = true,
                Ok(length) => {
                    let room = OUTPUT_CAP.saturating_sub(self.kept.len()).min(length);
                    self.kept.extend_from_slice(&chunk[..room]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
