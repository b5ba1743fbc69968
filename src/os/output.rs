//! A log file that cannot outgrow its cap: the first half and the last half of what was written,
//! with a line between them that says how much is missing.
//!
//! It can be followed while it grows; once the cap is passed, the part after the middle line is
//! rewritten now and then, so a follower reads the tail anew. Must not know whose output it is.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// Width of the line that stands for what is missing; fixed, so that it can be rewritten in place.
const MARK_WIDTH: usize = 48;

/// A log under construction.
#[derive(Debug)]
pub struct CappedLog {
    file: File,
    half: u64,
    length: u64,
    elided: u64,
    total: u64,
    broken: bool,
}

/// What became of the output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// Bytes that were written in all.
    pub total: u64,
    /// Whether the file lacks some of them.
    pub truncated: bool,
}

impl CappedLog {
    /// Starts an empty log that keeps about `cap` bytes.
    pub fn create(path: &Path, cap: u64) -> io::Result<Self> {
        let nofollow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .custom_flags(nofollow)
            .open(path)?;
        Ok(Self {
            file,
            half: (cap / 2).max(1),
            length: 0,
            elided: 0,
            total: 0,
            broken: false,
        })
    }

    /// Takes more output. A disk that takes no more costs the rest of the log, never the job.
    pub fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        if self.broken {
            return;
        }
        // In pieces, so that one huge write passes the cap by no more than one piece.
        let piece = usize::try_from(self.half).unwrap_or(usize::MAX);
        for piece in bytes.chunks(piece) {
            let written = self.append(piece);
            self.broken |= written.is_err();
        }
    }

    /// Cuts the log to its final form.
    pub fn finish(mut self) -> Kept {
        if !self.broken && self.length - self.tail_start() > self.half {
            let written = self.compact();
            self.broken |= written.is_err();
        }
        Kept {
            total: self.total,
            truncated: self.broken || self.elided > 0,
        }
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.length)?;
        self.length += bytes.len() as u64;
        if self.length - self.tail_start() > 2 * self.half {
            self.compact()?;
        }
        Ok(())
    }

    fn tail_start(&self) -> u64 {
        let mark = if self.elided > 0 {
            MARK_WIDTH as u64
        } else {
            0
        };
        (self.half + mark).min(self.length)
    }

    /// Keeps the last half of what stands after the first.
    fn compact(&mut self) -> io::Result<()> {
        let from = self.length - self.half;
        let mut tail = vec![0; usize::try_from(self.half).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut tail, from)?;
        self.elided += from - self.tail_start();
        let text = format!("[{} bytes left out]", self.elided);
        let mark = format!("\n{text:^width$}\n", width = MARK_WIDTH - 2);
        self.file.write_all_at(mark.as_bytes(), self.half)?;
        let start = self.half + mark.len() as u64;
        self.file.write_all_at(&tail, start)?;
        self.length = start + self.half;
        self.file.set_len(self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(cap: u64, chunks: &[&str]) -> (String, Kept) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = CappedLog::create(&path, cap).unwrap();
        chunks.iter().for_each(|chunk| log.push(chunk.as_bytes()));
        let kept = log.finish();
        (std::fs::read_to_string(&path).unwrap(), kept)
    }

    #[test]
    fn short_output_is_kept_whole() {
        for text in ["", "a", "0123456789"] {
            let (found, kept) = logged(10, &[text]);
            assert_eq!(found, text);
            assert_eq!(
                kept,
                Kept {
                    total: text.len() as u64,
                    truncated: false
                }
            );
        }
    }

    #[test]
    fn long_output_keeps_both_ends_however_it_arrives() {
        let text: String = (0..500)
            .map(|at| char::from(b'a' + (at % 26) as u8))
            .collect();
        for size in [1, 3, 10, 11, 499, 500] {
            let chunks: Vec<&str> = text
                .as_bytes()
                .chunks(size)
                .map(|it| std::str::from_utf8(it).unwrap())
                .collect();
            let (found, kept) = logged(20, &chunks);
            assert_eq!(
                kept,
                Kept {
                    total: 500,
                    truncated: true
                }
            );
            assert_eq!(found.len(), 20 + MARK_WIDTH, "chunks of {size}");
            assert!(
                found.starts_with(&text[..10]) && found.ends_with(&text[490..]),
                "{found}"
            );
            assert!(found.contains("[480 bytes left out]"), "{found}");
        }
    }
}
