//! Bytes named by their SHA-256: prompts, wire items, long texts, tool output.
//!
//! A blob is written once, whole, before any event names it, and never changes. Must not know what
//! the bytes mean.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use crate::domain::event::{INLINE_TEXT, Text};

/// The store of one run.
#[derive(Debug, Clone)]
pub struct Blobs(PathBuf);

impl Blobs {
    /// The store in this directory.
    #[must_use]
    pub fn at(dir: PathBuf) -> Self {
        Self(dir)
    }

    fn path(&self, hash: &str) -> PathBuf {
        let (shelf, rest) = hash.split_at(2.min(hash.len()));
        self.0.join(shelf).join(rest)
    }

    /// Keeps some bytes and returns their name. On disk when this returns.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn put(&self, bytes: &[u8]) -> io::Result<String> {
        let hash = name_of(bytes);
        let path = self.path(&hash);
        if path.exists() {
            return Ok(hash);
        }
        let shelf = path.parent().expect("a blob has a shelf");
        fs::create_dir_all(shelf)?;
        let draft = shelf.join(format!(".{}-{}", std::process::id(), &hash[2..18]));
        let mut file = File::create(&draft)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(&draft, &path)?;
        Ok(hash)
    }

    /// The bytes of that name.
    ///
    /// # Errors
    /// Where there are none, or they are not what their name says.
    pub fn get(&self, hash: &str) -> io::Result<Vec<u8>> {
        let bytes = fs::read(self.path(hash))?;
        if name_of(&bytes) == hash {
            return Ok(bytes);
        }
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("blob {hash} is damaged"),
        ))
    }

    /// The text of that name.
    ///
    /// # Errors
    /// As for [`Self::get`], and where it is not UTF-8.
    pub fn get_text(&self, hash: &str) -> io::Result<String> {
        String::from_utf8(self.get(hash)?).map_err(|_| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("blob {hash} is no text"),
            )
        })
    }

    /// Text as an event carries it: whole where it is short.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn text(&self, text: &str) -> io::Result<Text> {
        if text.len() <= INLINE_TEXT {
            return Ok(Text::Whole(text.to_owned()));
        }
        let mut cut = INLINE_TEXT;
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        Ok(Text::Long {
            head: text[..cut].to_owned(),
            blob: self.put(text.as_bytes())?,
            bytes: text.len() as u64,
        })
    }

    /// All of a text that an event carries.
    ///
    /// # Errors
    /// As for [`Self::get_text`].
    pub fn whole(&self, text: &Text) -> io::Result<String> {
        match text {
            Text::Whole(text) => Ok(text.clone()),
            Text::Long { blob, .. } => self.get_text(blob),
        }
    }
}

fn name_of(bytes: &[u8]) -> String {
    let mut name = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        write!(name, "{byte:02x}").expect("a string takes everything");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_on_a_character_and_found_whole() {
        let dir = tempfile::tempdir().expect("a directory");
        let blobs = Blobs::at(dir.path().to_owned());
        let long = "é".repeat(INLINE_TEXT);
        let text = blobs.text(&long).expect("kept");
        assert_eq!(text.head().len(), INLINE_TEXT);
        assert_eq!(blobs.whole(&text).expect("found"), long);
        assert_eq!(blobs.text("short").expect("kept"), Text::from("short"));
        let hash = blobs.put(b"abc").expect("kept");
        assert!(hash.starts_with("ba7816bf"), "FIPS 180-2's own example");
        fs::remove_file(blobs.path(&hash)).expect("removed");
        File::create(blobs.path(&hash)).expect("damaged");
        assert!(blobs.get(&hash).is_err());
    }
}
