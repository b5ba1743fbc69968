//! The ledger's hash chain: every line of the log that belongs to the ledger names the one before it
//! by its SHA-256, so that no attempt can be changed, taken out or put in without a trace.
//!
//! Owns the link (`"prev":"<hash>"`, the hash of the earlier line's bytes as they stand in the file,
//! without the line end) and its check. The first line of a log links to [`GENESIS`]. A chain proves
//! that nothing changed since its head was noted, and no more: whoever may write the file can also
//! write a new chain, whose head is another. Must not know what an entry means.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::domain::event::Event;

/// What the first entry of a ledger links to.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// How a link begins in a line, behind its brace and the mark of a batch.
const PREV: &str = "\"prev\":\"";
/// The mark of a line that others of the same append follow.
const MORE: &str = "\"more\":true,";

/// Where a chain does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Break {
    /// The event whose link is wrong: it, or the entry before it, was changed.
    pub seq: u64,
    /// The entry before it; 0 where it is the first.
    pub after: u64,
    /// The hash that it names; none where it names none.
    pub names: Option<String>,
    /// The hash of the entry before it.
    pub found: String,
}

/// The chain as far as the log was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chain {
    linked: u64,
    unlinked: u64,
    head: Option<String>,
    last: u64,
    broken: Option<Break>,
}

impl Chain {
    /// Entries that are linked.
    #[must_use]
    pub fn linked(&self) -> u64 {
        self.linked
    }

    /// Entries from before there were links, which an older program wrote.
    #[must_use]
    pub fn unlinked(&self) -> u64 {
        self.unlinked
    }

    /// The hash of the last entry, which stands for all before it; none where there is no entry.
    #[must_use]
    pub fn head(&self) -> Option<&str> {
        self.head.as_deref()
    }

    /// The first place where it does not hold.
    #[must_use]
    pub fn broken(&self) -> Option<&Break> {
        self.broken.as_ref()
    }

    /// The link that the next entry carries, with a comma behind it.
    #[must_use]
    pub(super) fn link(&self) -> String {
        format!("{PREV}{}\",", self.head().unwrap_or(GENESIS))
    }

    /// Takes in one more line of the log: nothing, where it is none of the ledger's.
    pub fn see(&mut self, event: &Event, line: &[u8]) {
        if !event.body.is_ledger() {
            return;
        }
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let names = link_of(line);
        let before = self.head.as_deref().unwrap_or(GENESIS);
        if names.is_none() && self.linked == 0 {
            self.unlinked += 1;
        } else {
            self.linked += 1;
            if self.broken.is_none() && names != Some(before) {
                self.broken = Some(Break {
                    seq: event.seq,
                    after: self.last,
                    names: names.map(str::to_owned),
                    found: before.to_owned(),
                });
            }
        }
        self.head = Some(hash(line));
        self.last = event.seq;
    }
}

/// What a line names as the entry before it.
fn link_of(line: &[u8]) -> Option<&str> {
    let begin = line.get(..line.len().min(128))?;
    let text = match std::str::from_utf8(begin) {
        Ok(text) => text,
        // The cut may have gone through a character; what stands before it is all that is needed.
        Err(error) => std::str::from_utf8(begin.get(..error.valid_up_to())?).ok()?,
    };
    let text = text.strip_prefix('{')?;
    let text = text.strip_prefix(MORE).unwrap_or(text);
    let name = text.strip_prefix(PREV)?.get(..GENESIS.len())?;
    name.bytes()
        .all(|byte| byte.is_ascii_hexdigit())
        .then_some(name)
}

fn hash(line: &[u8]) -> String {
    let mut name = String::with_capacity(GENESIS.len());
    for byte in Sha256::digest(line) {
        write!(name, "{byte:02x}").expect("a string takes everything");
    }
    name
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::domain::event::{Actor, Gpu, Kind};
    use crate::os::files;
    use crate::run::log::Log;
    use crate::run::paths::RunDir;

    fn advanced(commit: &str) -> Kind {
        Kind::ProgrammeAdvanced {
            hypothesis: 1,
            commit: commit.to_owned(),
        }
    }

    /// A log with five entries of the ledger and something in between.
    fn run() -> (tempfile::TempDir, RunDir) {
        let temp = tempfile::tempdir().expect("a directory");
        let dir = RunDir::at(temp.path().join("t-1"));
        for path in dir.skeleton() {
            fs::create_dir_all(path).expect("made");
        }
        let created = Kind::RunCreated {
            format: 1,
            run: "t-1".to_owned(),
            org: "t".to_owned(),
            mock: true,
            headless: true,
            version: "0".to_owned(),
            base: "c0".to_owned(),
        };
        let mut log = Log::create(&dir, created).expect("created");
        let opened = Kind::LabOpened {
            pool: 7,
            gpus: Vec::<Gpu>::new(),
            parallel: 1,
        };
        log.append(&Actor::Lab, vec![opened]).expect("appended");
        log.append(&Actor::Human, vec![Kind::PauseSet { agent: None }])
            .expect("appended");
        let both = vec![advanced("c1"), advanced("c2")];
        log.append(&Actor::Lab, both).expect("appended");
        log.append(&Actor::Lab, vec![advanced("c3")])
            .expect("appended");
        (temp, dir)
    }

    fn lines(dir: &RunDir) -> Vec<String> {
        let text = fs::read_to_string(dir.events()).expect("read");
        text.lines().map(str::to_owned).collect()
    }

    fn rewrite(dir: &RunDir, lines: &[String]) -> Chain {
        let text = format!("{}\n", lines.join("\n"));
        files::write_view(&dir.events(), text.as_bytes()).expect("rewritten");
        Log::open(dir).expect("still a log").chain().clone()
    }

    #[test]
    fn every_entry_names_the_one_before_it_and_readers_agree_with_the_writer() {
        let (_temp, dir) = run();
        let log = Log::open(&dir).expect("opened");
        let chain = log.chain();
        assert_eq!((chain.linked(), chain.unlinked()), (5, 0));
        assert_eq!(chain.broken(), None);
        let lines = lines(&dir);
        assert!(lines[0].starts_with(&format!("{{\"prev\":\"{GENESIS}\",")));
        assert!(!lines[2].contains("\"prev\""), "no entry of the ledger");
        assert!(lines[3].starts_with("{\"more\":true,\"prev\":\""));
        assert_eq!(chain.head(), Some(hash(lines[5].as_bytes()).as_str()));
        assert!(lines[5].contains(&hash(lines[4].as_bytes())));
    }

    #[test]
    fn a_changed_entry_is_found_and_told_from_one_that_lost_its_link() {
        let (_temp, dir) = run();
        let whole = lines(&dir);
        for changed in [0, 1, 3, 4] {
            let mut lines = whole.clone();
            lines[changed] = lines[changed].replace("\"at\":\"20", "\"at\":\"19");
            let chain = rewrite(&dir, &lines);
            let broken = chain.broken().expect("found");
            assert_eq!(broken.after, changed as u64 + 1, "line {changed}");
            assert!(broken.names.is_some());
        }
        let mut lines = whole.clone();
        lines[4] = lines[4].replace("\"prev\":\"", "\"peer\":\"");
        let broken = rewrite(&dir, &lines).broken().cloned().expect("found");
        assert_eq!((broken.seq, broken.names), (5, None));
        assert_eq!(rewrite(&dir, &whole).broken(), None);
    }

    #[test]
    fn a_log_from_before_there_were_links_is_read_and_linked_from_there_on() {
        let (_temp, dir) = run();
        let old: Vec<String> = lines(&dir)
            .iter()
            .map(|line| match line.find(PREV) {
                Some(at) => format!(
                    "{}{}",
                    &line[..at],
                    &line[at + PREV.len() + GENESIS.len() + 2..]
                ),
                None => line.clone(),
            })
            .collect();
        let chain = rewrite(&dir, &old);
        assert_eq!((chain.linked(), chain.unlinked()), (0, 5));
        let mut log = Log::open(&dir).expect("opened");
        log.append(&Actor::Lab, vec![advanced("c4")])
            .expect("appended");
        let chain = Log::open(&dir).expect("opened").chain().clone();
        assert_eq!((chain.linked(), chain.unlinked()), (1, 5));
        assert_eq!(chain.broken(), None);
    }
}
