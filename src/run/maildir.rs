//! Mailboxes: Maildir under `mail/<who>`, one message a file, `tmp` → `new`, taken into `cur`.
//!
//! A view of the log that other programs can read, and the slot into which a person may drop a file:
//! whatever appears in `new` under a name that is not ours is mail from `human`. The log has every
//! message on disk before this begins, so that nothing here waits for the disk: what a crash of the
//! machine took is delivered again by the next supervisor. A repeated delivery that finds its file whole
//! does nothing. Must not know who may write to whom.

use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use crate::domain::state::Mail;

/// Most bytes that are taken from a dropped file: a message, not a data set.
const DROP_LIMIT: u64 = 64 * 1024;

/// One mailbox.
#[derive(Debug, Clone)]
pub struct Maildir(PathBuf);

/// A message on its way into mailboxes: written once, and linked into all others.
#[derive(Debug)]
pub struct Posting {
    /// `m` and its number.
    name: String,
    /// All that its file holds.
    text: String,
    /// The mailbox that has it.
    first: Option<Maildir>,
}

impl Posting {
    /// Nothing is written yet.
    #[must_use]
    pub fn new(mail: &Mail, body: &str) -> Self {
        let name = format!("m{}", mail.id);
        let text = format!(
            "From: {}\nTo: {}\nSubject: {}\nDate: {}\nMessage-Id: {name}\n\n{body}\n",
            mail.from,
            mail.to.join(", "),
            mail.subject,
            mail.at
        );
        Self {
            name,
            text,
            first: None,
        }
    }

    /// Delivers it into one more mailbox's `new`, once however often and by whomever it is called.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn deliver(&mut self, mailbox: &Maildir) -> io::Result<()> {
        let (new, cur) = (mailbox.new_dir().join(&self.name), mailbox.cur(&self.name));
        if self.is_cut(&cur) {
            // It was taken in, and only its file is not what it was.
            return self.write(mailbox, &cur);
        }
        if !cur.exists() && (!new.exists() || self.is_cut(&new)) {
            match self.linked(mailbox) {
                // By renaming, which is what watchers wait for.
                Some(draft) => fs::rename(draft, &new)?,
                None => self.write(mailbox, &new)?,
            }
            self.first.get_or_insert_with(|| mailbox.clone());
        }
        // A reader follows the log, and may be faster than whoever delivers.
        if cur.exists() {
            fs::remove_file(&new).ok();
        }
        Ok(())
    }

    /// Puts a message that was taken in into `cur`, wherever it is, or is not yet.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn put_away(&self, mailbox: &Maildir) -> io::Result<()> {
        mailbox.move_to_cur(&self.name);
        let cur = mailbox.cur(&self.name);
        if !cur.exists() || self.is_cut(&cur) {
            self.write(mailbox, &cur)?;
        }
        fs::remove_file(mailbox.new_dir().join(&self.name)).ok();
        Ok(())
    }

    /// Whether a file of ours lacks what was written to it: its name reached the disk before a crash of
    /// the machine, and its text did not.
    fn is_cut(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|found| found.len() != self.text.len() as u64)
    }

    /// Writes it under this name, whole or not at all.
    fn write(&self, mailbox: &Maildir, path: &Path) -> io::Result<()> {
        let draft = mailbox.tmp(&self.name);
        // It may be a second name of another mailbox's, left by a killed process.
        fs::remove_file(&draft).ok();
        File::create(&draft)?.write_all(self.text.as_bytes())?;
        fs::rename(draft, path)
    }

    /// A second name for what another mailbox has; none where that was read and filed meanwhile, or
    /// lies on another disk.
    fn linked(&self, mailbox: &Maildir) -> Option<PathBuf> {
        let there = self.first.as_ref()?.new_dir().join(&self.name);
        let draft = mailbox.tmp(&self.name);
        // What a killed process left under this name is no obstacle.
        fs::remove_file(&draft).ok();
        fs::hard_link(there, &draft).ok()?;
        Some(draft)
    }
}

/// A file that a person dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// Its name in `new`.
    pub name: String,
    /// What it says, or why it is no mail.
    pub text: Result<String, String>,
}

impl Maildir {
    /// The mailbox in this directory; nothing is touched.
    #[must_use]
    pub fn at(dir: PathBuf) -> Self {
        Self(dir)
    }

    /// Where mail appears.
    #[must_use]
    pub fn new_dir(&self) -> PathBuf {
        self.0.join("new")
    }

    /// Makes the three directories.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn create(&self) -> io::Result<()> {
        ["tmp", "new", "cur"]
            .into_iter()
            .try_for_each(|dir| fs::create_dir_all(self.0.join(dir)))
    }

    /// Delivers a message into `new`, once however often and by whomever it is called.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn deliver(&self, mail: &Mail, body: &str) -> io::Result<()> {
        Posting::new(mail, body).deliver(self)
    }

    fn cur(&self, name: &str) -> PathBuf {
        self.0.join("cur").join(name)
    }

    /// Where a message is before it appears.
    fn tmp(&self, name: &str) -> PathBuf {
        let draft = format!("{name}.{}", std::process::id());
        self.0.join("tmp").join(draft)
    }

    /// Moves a message that was taken in from `new` to `cur`.
    pub fn take(&self, id: u64) {
        self.move_to_cur(&format!("m{id}"));
    }

    /// A view: where the file is gone already, nothing is lost.
    fn move_to_cur(&self, name: &str) {
        fs::rename(self.new_dir().join(name), self.cur(name)).ok();
    }

    /// Files in `new` that are not ours. No mail are directories, links (never followed), what cannot
    /// be read, and what is too long.
    ///
    /// # Errors
    /// Whatever the file system says of the mailbox.
    pub fn dropped(&self) -> io::Result<Vec<Dropped>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.new_dir())? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let ours = name
                .strip_prefix('m')
                .is_some_and(|rest| rest.parse::<u64>().is_ok());
            if ours || name.starts_with('.') {
                continue;
            }
            let text = match text(&entry) {
                // Taken away between the two looks.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                text => text.map_err(|error| error.to_string()),
            };
            found.push(Dropped { name, text });
        }
        Ok(found)
    }

    /// Removes a dropped file from `new` once it is in the log.
    pub fn swallow(&self, name: &str) {
        self.move_to_cur(name);
    }
}

/// What a dropped file says.
fn text(entry: &fs::DirEntry) -> io::Result<String> {
    if !entry.file_type()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut bytes = Vec::new();
    File::open(entry.path())?
        .take(DROP_LIMIT + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > DROP_LIMIT {
        let limit = DROP_LIMIT / 1024;
        return Err(io::Error::other(format!("it is longer than {limit} KiB")));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::Text;

    #[test]
    fn what_a_crash_of_the_machine_cut_is_written_again_where_it_was() {
        let temp = tempfile::tempdir().expect("a directory");
        let dir = Maildir::at(temp.path().join("ana"));
        dir.create().expect("made");
        let mail = letter(3);
        let whole = |path: PathBuf| {
            fs::read_to_string(path)
                .expect("there")
                .ends_with("\n\nb\n")
        };
        dir.deliver(&mail, "b").expect("delivered");
        File::create(dir.new_dir().join("m3")).expect("cut");
        dir.deliver(&mail, "b").expect("delivered again");
        assert!(whole(dir.new_dir().join("m3")));
        dir.take(3);
        File::create(dir.cur("m3")).expect("cut");
        dir.deliver(&mail, "b").expect("delivered again");
        assert!(whole(dir.cur("m3")) && !dir.new_dir().join("m3").exists());
        File::create(dir.cur("m3")).expect("cut");
        Posting::new(&mail, "b")
            .put_away(&dir)
            .expect("filed again");
        assert!(whole(dir.cur("m3")) && !dir.new_dir().join("m3").exists());
        assert_eq!(fs::read_dir(dir.0.join("tmp")).expect("listed").count(), 0);
    }

    fn letter(id: u64) -> Mail {
        Mail {
            id,
            at: jiff::Timestamp::UNIX_EPOCH,
            from: "ben".to_owned(),
            to: vec!["ana".to_owned()],
            subject: "s".to_owned(),
            body: Text::from("b"),
            now: false,
            assignment: false,
            read_by: std::collections::BTreeSet::new(),
            call: None,
            hops: 0,
            aside: false,
        }
    }

    #[test]
    fn delivers_once_and_tells_dropped_files_apart() {
        let temp = tempfile::tempdir().expect("a directory");
        let dir = Maildir::at(temp.path().join("ana"));
        dir.create().expect("made");
        let mail = letter(7);
        dir.deliver(&mail, "b").expect("delivered");
        dir.take(7);
        dir.deliver(&mail, "b").expect("known");
        assert!(
            !dir.new_dir().join("m7").exists(),
            "a mail that was taken in does not come back"
        );
        let (ben, eve) = (temp.path().join("ben"), temp.path().join("eve"));
        let others = [Maildir::at(ben), Maildir::at(eve)];
        let all = Mail {
            id: 12,
            ..mail.clone()
        };
        let mut posting = Posting::new(&all, "to all");
        for mailbox in &others {
            mailbox.create().expect("made");
            posting.deliver(mailbox).expect("delivered");
        }
        // The one that the others are linked to was read meanwhile.
        others[0].take(12);
        fs::remove_file(others[0].cur("m12")).expect("gone");
        posting.deliver(&dir).expect("delivered");
        for mailbox in [&others[1], &dir] {
            let text = fs::read_to_string(mailbox.new_dir().join("m12")).expect("there");
            assert!(text.ends_with("\n\nto all\n"), "{text}");
            assert_eq!(
                fs::read_dir(mailbox.0.join("tmp"))
                    .expect("a directory")
                    .count(),
                0
            );
        }
        let late = Mail { id: 8, ..mail };
        dir.deliver(&late, "b").expect("delivered");
        Posting::new(&late, "b")
            .put_away(&dir)
            .expect("read meanwhile");
        let fast = Mail { id: 9, ..late };
        let posting = Posting::new(&fast, "b");
        posting.put_away(&dir).expect("read before it was there");
        dir.deliver(&fast, "b").expect("late");
        for name in ["m8", "m9"] {
            assert!(!dir.new_dir().join(name).exists(), "{name} was read");
            assert!(dir.0.join("cur").join(name).exists(), "{name} is kept");
        }
        let mut file = File::create(dir.new_dir().join("hello.txt")).expect("dropped");
        file.write_all(b"look at this").expect("written");
        std::os::unix::fs::symlink("/etc/passwd", dir.new_dir().join("trap")).expect("linked");
        let long = vec![b'x'; 64 * 1024 + 1];
        let mut file = File::create(dir.new_dir().join("long.txt")).expect("dropped");
        file.write_all(&long).expect("written");
        let mut dropped = dir.dropped().expect("listed");
        dropped.sort_by(|a, b| a.name.cmp(&b.name));
        let said = dropped.into_iter().map(|it| (it.name, it.text));
        let why = |text: &str| Err(text.to_owned());
        assert_eq!(
            said.collect::<Vec<_>>(),
            [
                ("hello.txt".to_owned(), Ok("look at this".to_owned())),
                ("long.txt".to_owned(), why("it is longer than 64 KiB")),
                ("trap".to_owned(), why("it is no file")),
            ]
        );
    }
}
