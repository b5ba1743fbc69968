//! Randomness from the operating system: run ids and the secret of the seed pool.

use std::fs::File;
use std::io::{self, Read};

/// A random number, unpredictable to whoever does not read our memory.
///
/// # Errors
/// Where the system has no `/dev/urandom`.
pub fn number() -> io::Result<u64> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// Some letters and digits without look-alikes, to tell runs apart.
///
/// # Errors
/// As for [`number`].
pub fn word(letters: usize) -> io::Result<String> {
    const ALPHABET: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";
    let mut rest = number()?;
    let mut word = String::new();
    for _ in 0..letters {
        let at = usize::try_from(rest % ALPHABET.len() as u64).unwrap_or_default();
        word.push(char::from(ALPHABET[at]));
        rest /= ALPHABET.len() as u64;
    }
    Ok(word)
}
