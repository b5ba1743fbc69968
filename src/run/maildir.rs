//! Mailboxes: Maildir under `mail/<who>`, one message a file, `tmp` → sync → `new`, taken into `cur`.
//!
//! A view of the log that other programs can read, and the slot into which a person may drop a file:
//! whatever appears in `new` under a name that is not ours is mail from `human`. A repeated delivery
//! finds its file and does nothing. Must not know who may write to whom.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::PathBuf;

use crate::domain::state::Mail;

/// Most bytes that are taken from a dropped file: a message, not a data set.
const DROP_LIMIT: u64 = 64 * 1024;

/// One mailbox.
#[derive(Debug, Clone)]
pub struct Maildir(PathBuf);

/// A message on its way into mailboxes: written down to the disk once, and linked into all others.
#[derive(Debug)]
pub struct Posting<'m> {
    mail: &'m Mail,
    body: &'m str,
    /// The mailbox that has it on disk.
    first: Option<Maildir>,
}

impl<'m> Posting<'m> {
    /// Nothing is written yet.
    #[must_use]
    pub fn new(mail: &'m Mail, body: &'m str) -> Self {
        Self {
            mail,
            body,
            first: None,
        }
    }

    /// Delivers it into one more mailbox's `new`, once however often and by whomever it is called.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn deliver(&mut self, mailbox: &Maildir) -> io::Result<()> {
        let name = format!("m{}", self.mail.id);
        let (new, cur) = (mailbox.new_dir().join(&name), mailbox.cur(&name));
        if !new.exists() && !cur.exists() {
            let draft = match self.linked(mailbox, &name) {
                Some(draft) => draft,
                None => mailbox.draft(self.mail, self.body)?,
            };
            // By renaming, which is what watchers wait for.
            fs::rename(draft, &new)?;
            self.first.get_or_insert_with(|| mailbox.clone());
        }
        // A reader follows the log, and may be faster than whoever delivers.
        if cur.exists() {
            fs::remove_file(&new).ok();
        }
        Ok(())
    }

    /// A second name for what another mailbox has; none where that was read and filed meanwhile, or
    /// lies on another disk.
    fn linked(&self, mailbox: &Maildir, name: &str) -> Option<PathBuf> {
        let there = self.first.as_ref()?.new_dir().join(name);
        let draft = mailbox.tmp(name);
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

    /// Puts a message that was taken in into `cur`, wherever it is, or is not yet.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn put_away(&self, mail: &Mail, body: &str) -> io::Result<()> {
        self.take(mail.id);
        let name = format!("m{}", mail.id);
        if !self.cur(&name).exists() {
            fs::rename(self.draft(mail, body)?, self.cur(&name))?;
        }
        fs::remove_file(self.0.join("new").join(&name)).ok();
        Ok(())
    }

    fn cur(&self, name: &str) -> PathBuf {
        self.0.join("cur").join(name)
    }

    /// Where a message is before it appears.
    fn tmp(&self, name: &str) -> PathBuf {
        let draft = format!("{name}.{}", std::process::id());
        self.0.join("tmp").join(draft)
    }

    /// Writes a message into `tmp`, down to the disk.
    fn draft(&self, mail: &Mail, body: &str) -> io::Result<PathBuf> {
        let name = format!("m{}", mail.id);
        let draft = self.tmp(&name);
        let mut file = File::create(&draft)?;
        write!(
            file,
            "From: {}\nTo: {}\nSubject: {}\nDate: {}\nMessage-Id: {name}\n\n{body}\n",
            mail.from,
            mail.to.join(", "),
            mail.subject,
            mail.at
        )?;
        file.sync_data()?;
        Ok(draft)
    }

    /// Moves a message that was taken in from `new` to `cur`.
    pub fn take(&self, id: u64) {
        let name = format!("m{id}");
        // A view: where the file is gone already, nothing is lost.
        fs::rename(
            self.0.join("new").join(&name),
            self.0.join("cur").join(&name),
        )
        .ok();
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
        fs::rename(self.new_dir().join(name), self.0.join("cur").join(name)).ok();
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
    fn delivers_once_and_tells_dropped_files_apart() {
        let temp = tempfile::tempdir().expect("a directory");
        let dir = Maildir::at(temp.path().join("ana"));
        dir.create().expect("made");
        let mail = Mail {
            id: 7,
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
        };
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
        dir.put_away(&late, "b").expect("read meanwhile");
        let fast = Mail { id: 9, ..late };
        dir.put_away(&fast, "b").expect("read before it was there");
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
