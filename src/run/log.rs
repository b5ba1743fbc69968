//! The log: append-only, one JSON object a line, in one dense total order under many writers.
//!
//! Owns order, atomicity and repair. Writers take a file lock, catch up, decide on what they then
//! know, append, unlock, and sync where it matters; so whoever appends has seen everything before it,
//! and a cap checked inside is a cap. Readers take no lock and see whole lines only. A torn tail,
//! which a killed writer may leave, is cut by the next writer. Must not know what an event means.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, Write};
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use crate::domain::event::{Actor, Event, Kind};
use crate::domain::state::{FoldError, State};
use crate::os::clock;
use crate::os::lock::{self, Latch};

use super::blobs::Blobs;
use super::chain::Chain;
use super::paths::RunDir;

/// How long a writer waits for the lock before it names the holder. Appends take microseconds, so
/// whoever waits this long waits for a stopped process.
const LOCK_DEADLINE: Duration = Duration::from_secs(20);

/// How a line begins that others follow of the same append: without them it does not count.
const MORE: &[u8] = b"{\"more\":true,";

/// Why the log cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file system refused.
    #[error("cannot {doing} the log {path}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// Somebody holds the lock and does not let go.
    #[error("the log could not be locked within 20 s")]
    Held(#[from] lock::Busy),
    /// A line in the middle is no event.
    #[error("line {line} of the log is damaged: {why}")]
    Damaged {
        /// Which.
        line: u64,
        /// What the parser says.
        why: String,
    },
    /// What was to be written could not be read again, such as a number that is none.
    #[error("this cannot be written into the log")]
    Unwritable(#[source] serde_json::Error),
    /// The line cannot be folded.
    #[error("cannot fold the log")]
    Fold(#[from] FoldError),
    /// The writer may not write this.
    #[error("{actor} may not write {kind}")]
    Authority {
        /// Who.
        actor: Actor,
        /// What.
        kind: String,
    },
}

/// The log of one run with its fold.
#[derive(Debug)]
pub struct Log {
    dir: RunDir,
    latch: Option<Latch>,
    file: File,
    offset: u64,
    state: State,
    chain: Chain,
    fresh: Vec<Event>,
    keep_fresh: bool,
    /// Whether lines of ours that must be durable are not on disk yet.
    owed: bool,
}

/// What an appending decision may do: say what to write and what to return, or refuse.
pub type Decision<R, E> = Result<(Vec<Kind>, R), E>;

impl Log {
    /// Begins a log with its first event.
    ///
    /// # Errors
    /// Where the file exists or cannot be written.
    pub fn create(dir: &RunDir, first: Kind) -> Result<Self, LogError> {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(dir.events())
            .map_err(|source| io_error("create", dir, source))?;
        let mut log = Self::open(dir)?;
        log.append(&Actor::Human, vec![first])?;
        Ok(log)
    }

    /// Opens a log and folds all of it.
    ///
    /// # Errors
    /// [`LogError`] where it is missing, damaged, or newer than this program.
    pub fn open(dir: &RunDir) -> Result<Self, LogError> {
        Self::open_with(dir, |_| {})
    }

    /// Opens a log, shows every event, and folds all of it.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn open_with(dir: &RunDir, mut show: impl FnMut(&Event)) -> Result<Self, LogError> {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .open(dir.events())
            .or_else(|_| File::open(dir.events()))
            .map_err(|source| io_error("open", dir, source))?;
        let mut log = Self {
            dir: dir.clone(),
            latch: None,
            file,
            offset: 0,
            state: State::default(),
            chain: Chain::default(),
            fresh: Vec::new(),
            keep_fresh: false,
            owed: false,
        };
        log.read_on(&mut show)?;
        log.keep_fresh = true;
        Ok(log)
    }

    /// What is so, as of the last line read.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The ledger's hash chain, as of the last line read.
    #[must_use]
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The run's directory.
    #[must_use]
    pub fn dir(&self) -> &RunDir {
        &self.dir
    }

    /// The run's blobs.
    #[must_use]
    pub fn blobs(&self) -> Blobs {
        Blobs::at(self.dir.blobs())
    }

    /// Folds what others have appended.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn catch_up(&mut self) -> Result<(), LogError> {
        self.read_on(&mut |_| {}).map(|_| ())
    }

    /// The events folded since this was last asked, own ones included.
    pub fn drain(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.fresh)
    }

    /// Appends events.
    ///
    /// # Errors
    /// As for [`Self::transact`].
    pub fn append(&mut self, actor: &Actor, kinds: Vec<Kind>) -> Result<(), LogError> {
        let decided: Result<(), std::convert::Infallible> =
            self.transact(actor, |_| Ok((kinds, ())))?;
        decided.expect("an infallible decision");
        Ok(())
    }

    /// Appends what nobody acts on before the writer has appended something durable, or has settled:
    /// one sync covers both then. A machine that dies before that has lost what it never acted on.
    ///
    /// # Errors
    /// As for [`Self::transact`].
    pub fn append_ahead(&mut self, actor: &Actor, kinds: Vec<Kind>) -> Result<(), LogError> {
        let decided: Result<(), std::convert::Infallible> =
            self.locked(actor, |_| Ok((kinds, ())))?.0;
        decided.expect("an infallible decision");
        Ok(())
    }

    /// Has on disk what was appended ahead. Costs nothing where that is so already.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn settle(&mut self) -> Result<(), LogError> {
        // A sync that failed is not tried again: the kernel may count the lost pages as clean.
        if !std::mem::take(&mut self.owed) {
            return Ok(());
        }
        self.file
            .sync_data()
            .map_err(|source| io_error("sync", &self.dir, source))
    }

    /// Decides on what is so under the lock, and appends what was decided. Whole or not at all.
    ///
    /// # Errors
    /// [`LogError`] where the lock or the file fails, or the actor may not write this; the inner
    /// error is the decision's own refusal, after which nothing was written.
    pub fn transact<R, E>(
        &mut self,
        actor: &Actor,
        decide: impl FnOnce(&State) -> Decision<R, E>,
    ) -> Result<Result<R, E>, LogError> {
        let (result, durable) = self.locked(actor, decide)?;
        if durable {
            // After unlocking: one sync covers all earlier bytes, and nobody waits for the disk.
            self.settle()?;
        }
        Ok(result)
    }

    /// Decides and appends under the lock, and says whether any of it must be durable.
    fn locked<R, E>(
        &mut self,
        actor: &Actor,
        decide: impl FnOnce(&State) -> Decision<R, E>,
    ) -> Result<(Result<R, E>, bool), LogError> {
        let latch = self.latch.take();
        let latch = latch.unwrap_or_else(|| Latch::at(self.dir.lock("log")));
        let held = latch.wait(clock::monotonic() + LOCK_DEADLINE)?;
        let outcome = self.under_lock(actor, decide);
        self.latch = held.release();
        let (result, durable) = outcome?;
        self.owed |= durable;
        Ok((result, durable))
    }

    fn under_lock<R, E>(
        &mut self,
        actor: &Actor,
        decide: impl FnOnce(&State) -> Decision<R, E>,
    ) -> Result<(Result<R, E>, bool), LogError> {
        let torn = self.read_on(&mut |_| {})?;
        let mut kinds = Vec::new();
        if torn > 0 {
            self.file
                .set_len(self.offset)
                .map_err(|source| io_error("repair", &self.dir, source))?;
            kinds.push(Kind::LogRepaired { bytes: torn });
        }
        let result = match decide(&self.state) {
            Ok((decided, result)) => {
                kinds.extend(decided);
                Ok(result)
            }
            Err(refusal) => Err(refusal),
        };
        let durable = kinds.iter().any(Kind::must_be_durable);
        self.write(actor, kinds)?;
        Ok((result, durable))
    }

    fn write(&mut self, actor: &Actor, kinds: Vec<Kind>) -> Result<(), LogError> {
        if kinds.is_empty() {
            return Ok(());
        }
        let (mut bytes, mut lines) = (Vec::new(), Vec::new());
        let mut events: Vec<Event> = Vec::new();
        let mut next_mail = self.state.next_mail();
        for mut kind in kinds {
            // Messages are numbered here, under the lock, so that no two share a number.
            if let Kind::MailSent { id, .. } = &mut kind {
                *id = next_mail;
                next_mail += 1;
            }
            let seq = self.state.seq + 1 + events.len() as u64;
            let event = Event {
                seq,
                at: clock::now(),
                actor: actor.clone(),
                cause: None,
                body: kind,
            };
            if !event.body.may_be_written_by(actor) {
                let line = serde_json::to_value(&event).unwrap_or_default();
                let kind = line
                    .get("kind")
                    .and_then(|kind| kind.as_str())
                    .unwrap_or("this");
                return Err(LogError::Authority {
                    actor: actor.clone(),
                    kind: kind.to_owned(),
                });
            }
            let line = serde_json::to_string(&event).expect("events are plain data");
            // A line that nobody can read would cost the run; and all readers, we too, read the same.
            events.push(serde_json::from_str(&line).map_err(LogError::Unwritable)?);
            lines.push(line);
        }
        let last = lines.len().saturating_sub(1);
        let mut chain = self.chain.clone();
        for (index, (line, event)) in lines.iter().zip(&events).enumerate() {
            // A kill may cut a write anywhere, also between two lines of what is decided as one.
            let rest = line.strip_prefix('{').expect("an event is an object");
            let begin = bytes.len();
            bytes.extend_from_slice(if index < last { MORE } else { b"{" });
            if event.body.is_ledger() {
                bytes.extend_from_slice(chain.link().as_bytes());
            }
            bytes.extend_from_slice(rest.as_bytes());
            chain.see(event, &bytes[begin..]);
            bytes.push(b'\n');
        }
        if let Err(source) = self.file.write_all(&bytes) {
            // A full disk may have taken half: back to where it was, so that no line is torn.
            self.file.set_len(self.offset).ok();
            return Err(io_error("append to", &self.dir, source));
        }
        self.offset += bytes.len() as u64;
        self.chain = chain;
        for event in events {
            self.state.apply(&event)?;
            if self.keep_fresh {
                self.fresh.push(event);
            }
        }
        Ok(())
    }

    /// Reads whole lines from where it left off; returns the bytes of an unfinished last one.
    fn read_on(&mut self, show: &mut dyn FnMut(&Event)) -> Result<u64, LogError> {
        let tail = self
            .unread()
            .map_err(|source| io_error("read", &self.dir, source))?;
        let (mut rest, mut events) = (tail.as_slice(), Vec::new());
        while let Some(end) = batch_end(rest) {
            let (lines, after) = rest.split_at(end);
            let mut unread = lines;
            while !unread.is_empty() {
                let from = unread;
                let length = whole_line(&mut unread).unwrap_or(from.len());
                let line = &from[..length];
                match serde_json::from_slice::<Event>(line) {
                    // Most are alone, and need not be kept until the others are there.
                    Ok(event) if length == lines.len() => self.take_in(event, line, show)?,
                    Ok(event) => events.push((event, line)),
                    // A crash of the machine may leave a last line of garbage: it is part of the tail.
                    Err(_) if after.is_empty() => return Ok(rest.len() as u64),
                    Err(why) => return Err(self.damaged(line, &why)),
                }
            }
            for (event, line) in events.drain(..) {
                self.take_in(event, line, show)?;
            }
            self.offset += lines.len() as u64;
            rest = after;
        }
        Ok(rest.len() as u64)
    }

    /// Folds an event that was read.
    fn take_in(
        &mut self,
        event: Event,
        line: &[u8],
        show: &mut dyn FnMut(&Event),
    ) -> Result<(), LogError> {
        self.state.apply(&event)?;
        self.chain.see(&event, line);
        show(&event);
        if self.keep_fresh {
            self.fresh.push(event);
        }
        Ok(())
    }

    /// The bytes behind what was folded. The file may grow meanwhile, and a torn tail be cut.
    fn unread(&self) -> io::Result<Vec<u8>> {
        let size = self.file.metadata()?.len();
        let length = usize::try_from(size.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        let (mut tail, mut have) = (vec![0; length], 0);
        while have < length {
            match self
                .file
                .read_at(&mut tail[have..], self.offset + have as u64)
            {
                Ok(0) => break,
                Ok(more) => have += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        tail.truncate(have);
        Ok(tail)
    }

    /// A line that is no event: from a newer program, perhaps, else damage.
    fn damaged(&self, line: &[u8], why: &serde_json::Error) -> LogError {
        let format = serde_json::from_slice::<serde_json::Value>(line)
            .ok()
            .and_then(|value| value.get("format").and_then(serde_json::Value::as_u64));
        match format.and_then(|format| u32::try_from(format).ok()) {
            Some(format) if format > crate::domain::event::FORMAT => {
                FoldError::Newer(format).into()
            }
            _ => LogError::Damaged {
                line: self.state.seq + 1,
                why: why.to_string(),
            },
        }
    }
}

/// Goes past the first line; its length, or none where its end is missing.
fn whole_line(bytes: &mut &[u8]) -> Option<usize> {
    let before = *bytes;
    // The standard library looks for a byte by whole words here, and nowhere else in public.
    let length = bytes.skip_until(b'\n').ok()?;
    before[..length].ends_with(b"\n").then_some(length)
}

/// The length of the lines that were appended together, where all of them are there.
fn batch_end(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let mut line = &bytes[from..];
        let last = !line.starts_with(MORE);
        from += whole_line(&mut line)?;
        if last {
            return Some(from);
        }
    }
}

fn io_error(doing: &'static str, dir: &RunDir, source: io::Error) -> LogError {
    LogError::Io {
        doing,
        path: dir.events().display().to_string(),
        source,
    }
}

/// Every event of a run, oldest first, without folding anything: for views that filter.
///
/// # Errors
/// As for [`Log::open`].
pub fn each(dir: &RunDir, mut show: impl FnMut(&Event, &str)) -> Result<(), LogError> {
    let text = fs::read(dir.events()).map_err(|source| io_error("read", dir, source))?;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        if let Ok(event) = serde_json::from_slice::<Event>(line) {
            show(&event, String::from_utf8_lossy(line).trim_end());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn created(run: &str) -> Kind {
        Kind::RunCreated {
            format: 1,
            run: run.to_owned(),
            org: "t".to_owned(),
            mock: true,
            headless: true,
            version: "0".to_owned(),
            base: "c0".to_owned(),
        }
    }

    fn run() -> (tempfile::TempDir, RunDir) {
        let temp = tempfile::tempdir().expect("a directory");
        let dir = RunDir::at(temp.path().join("t-1"));
        for path in dir.skeleton() {
            fs::create_dir_all(path).expect("made");
        }
        (temp, dir)
    }

    #[test]
    fn keeps_a_dense_order_under_many_writers() {
        let (_temp, dir) = run();
        Log::create(&dir, created("t-1")).expect("created");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let mut log = Log::open(&dir).expect("opened");
                    for _ in 0..50 {
                        log.append(&Actor::Human, vec![Kind::PauseSet { agent: None }])
                            .expect("appended");
                    }
                });
            }
        });
        assert_eq!(
            Log::open(&dir).expect("folds without a hole").state().seq,
            401
        );
    }

    #[test]
    fn what_is_appended_ahead_is_seen_at_once_and_owed_to_the_disk_until_the_next_sync() {
        let (_temp, dir) = run();
        let mut log = Log::create(&dir, created("t-1")).expect("created");
        let result = || Kind::ToolResult {
            agent: "ana".to_owned(),
            call: "1".to_owned(),
            tool: "note".to_owned(),
            ok: true,
            output: "kept".into(),
        };
        let ana = Actor::Agent("ana".to_owned());
        log.append_ahead(&ana, vec![result()]).expect("appended");
        assert!(log.owed);
        assert_eq!(Log::open(&dir).expect("opened").state().seq, 2);
        let pause = Kind::PauseSet { agent: None };
        log.append(&Actor::Human, vec![pause]).expect("appended");
        assert!(log.owed, "nobody acts on a pause before it is on disk");
        log.append(&ana, vec![result()]).expect("appended");
        assert!(!log.owed, "one sync covers all earlier bytes");
        log.append_ahead(&ana, vec![result()]).expect("appended");
        log.settle().expect("synced");
        assert!(!log.owed);
    }

    #[test]
    fn cuts_a_torn_tail_at_every_byte_and_goes_on() {
        let (_temp, dir) = run();
        Log::create(&dir, created("t-1")).expect("created");
        let first = fs::read(dir.events()).expect("read");
        let mut log = Log::open(&dir).expect("opened");
        log.append(&Actor::Human, vec![Kind::PauseSet { agent: None }])
            .expect("appended");
        let both = fs::read(dir.events()).expect("read");
        for cut in first.len() + 1..both.len() {
            let file = File::create(dir.events()).expect("rewritten");
            (&file).write_all(&both[..cut]).expect("written");
            let mut log = Log::open(&dir).expect("a torn tail is no damage");
            assert_eq!(log.state().seq, 1);
            log.append(&Actor::Human, vec![Kind::PauseSet { agent: None }])
                .expect("appended");
            let after = Log::open(&dir).expect("whole again");
            assert_eq!(after.state().seq, 3, "repair and event, cut at {cut}");
        }
    }

    #[test]
    fn what_was_appended_together_counts_together_or_not_at_all() {
        let (_temp, dir) = run();
        Log::create(&dir, created("t-1")).expect("created");
        let first = fs::read(dir.events()).expect("read");
        let wish = || Kind::PauseSet { agent: None };
        let mut log = Log::open(&dir).expect("opened");
        log.append(&Actor::Human, vec![wish(), wish(), wish()])
            .expect("appended");
        let all = fs::read(dir.events()).expect("read");
        for cut in first.len() + 1..all.len() {
            let file = File::create(dir.events()).expect("rewritten");
            (&file).write_all(&all[..cut]).expect("written");
            assert_eq!(
                Log::open(&dir).expect("opened").state().seq,
                1,
                "cut at {cut}"
            );
        }
        let mut log = Log::open(&dir).expect("opened");
        log.append(&Actor::Human, vec![wish()]).expect("appended");
        let log = Log::open(&dir).expect("whole again");
        assert_eq!(log.state().seq, 3, "a repair and a wish");
    }

    #[test]
    fn refuses_what_an_actor_may_not_write_and_newer_formats() {
        let (_temp, dir) = run();
        let mut log = Log::create(&dir, created("t-1")).expect("created");
        let merged = Kind::ProgrammeAdvanced {
            hypothesis: 1,
            commit: "x".to_owned(),
        };
        let agent = Actor::Agent("a".to_owned());
        assert!(matches!(
            log.append(&agent, vec![merged]),
            Err(LogError::Authority { .. })
        ));
        assert_eq!(Log::open(&dir).expect("unharmed").state().seq, 1);
        let line = fs::read_to_string(dir.events())
            .expect("read")
            .replace(":1,\"run\"", ":2,\"run\"");
        let file = File::create(dir.events()).expect("rewritten");
        (&file).write_all(line.as_bytes()).expect("written");
        assert!(matches!(
            Log::open(&dir),
            Err(LogError::Fold(FoldError::Newer(2)))
        ));
    }
}
