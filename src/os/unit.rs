//! A unit of the person's own systemd: what brings something up again after a reboot.
//!
//! Owns where such a unit lies, how a word is written in one, and the few questions that systemd is asked.
//! Must not know what the unit is for.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::exec::Exec;
use super::files;

/// Longest that systemd may take to answer.
const LIMIT: Duration = Duration::from_secs(20);
/// Mode of a unit file: it names paths and no secret.
const MODE: u32 = 0o644;

/// Why a unit cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum UnitError {
    /// systemd is not there, or not for this person.
    #[error("{program} cannot be asked: {why}")]
    NoSystemd {
        /// What was started.
        program: &'static str,
        /// What it said.
        why: String,
    },
    /// It refused.
    #[error("{program} refused: {why}")]
    Refused {
        /// What was asked, with its words.
        program: String,
        /// What it said.
        why: String,
    },
    /// There is no place for the file.
    #[error("there is no home directory to keep a unit in")]
    NoHome,
    /// The file.
    #[error("cannot write {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// The systemd of the person whose environment this is.
#[derive(Debug)]
pub struct UserSystemd<'a> {
    env: &'a BTreeMap<String, String>,
}

impl<'a> UserSystemd<'a> {
    /// With the environment that its programs are started in.
    #[must_use]
    pub fn new(env: &'a BTreeMap<String, String>) -> Self {
        Self { env }
    }

    /// Whether it answers.
    ///
    /// # Errors
    /// Why it does not.
    pub fn answers(&self) -> Result<(), UnitError> {
        self.ask("systemctl", &["--user", "show-environment"])
            .map(drop)
    }

    /// Whether what it starts goes on when the person has logged out, and begins before anybody logs in;
    /// none where that cannot be asked.
    #[must_use]
    pub fn lingers(&self) -> Option<bool> {
        let user = self.env.get("USER").or_else(|| self.env.get("LOGNAME"))?;
        let said = self.ask("loginctl", &["show-user", user, "--property=Linger"]);
        let said = said.ok()?;
        match said.trim() {
            "Linger=yes" => Some(true),
            "Linger=no" => Some(false),
            _ => None,
        }
    }

    /// Where a unit of that name lies.
    ///
    /// # Errors
    /// Where there is no home.
    pub fn path(&self, name: &str) -> Result<PathBuf, UnitError> {
        let absolute = |name: &str| {
            let path = self.env.get(name).map(PathBuf::from);
            path.filter(|path| path.is_absolute())
        };
        let config = absolute("XDG_CONFIG_HOME")
            .or_else(|| Some(absolute("HOME")?.join(".config")))
            .ok_or(UnitError::NoHome)?;
        Ok(config.join("systemd/user").join(name))
    }

    /// Writes a unit and has it started at the next boot; nothing is started now.
    ///
    /// # Errors
    /// Where the file cannot be written or systemd refuses; then nothing of it is left.
    pub fn install(&self, name: &str, text: &str) -> Result<PathBuf, UnitError> {
        let path = self.path(name)?;
        let written = path
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| files::write_atomic(&path, text.as_bytes(), MODE));
        written.map_err(|source| UnitError::Io {
            path: path.clone(),
            source,
        })?;
        let enabled = self
            .ask("systemctl", &["--user", "daemon-reload"])
            .and_then(|_| self.ask("systemctl", &["--user", "enable", name]));
        if let Err(error) = enabled {
            fs::remove_file(&path).ok();
            return Err(error);
        }
        Ok(path)
    }

    /// Takes a unit away again; true if it was there. What it started goes on.
    ///
    /// # Errors
    /// Where the file stays.
    pub fn remove(&self, name: &str) -> Result<bool, UnitError> {
        let path = self.path(name)?;
        if !path.exists() {
            return Ok(false);
        }
        // Where systemd has gone meanwhile, the file is all there is of it.
        self.ask("systemctl", &["--user", "disable", name]).ok();
        fs::remove_file(&path).map_err(|source| UnitError::Io { path, source })?;
        self.ask("systemctl", &["--user", "daemon-reload"]).ok();
        Ok(true)
    }

    fn ask(&self, program: &'static str, words: &[&str]) -> Result<String, UnitError> {
        let said = Exec::new(program)
            .args(words.iter().copied())
            .envs(self.env.clone())
            .output(LIMIT);
        let said = said.map_err(|error| UnitError::NoSystemd {
            program,
            why: error.to_string(),
        })?;
        if said.timed_out {
            let why = format!("it did not answer within {} s", LIMIT.as_secs());
            return Err(UnitError::NoSystemd { program, why });
        }
        if !said.status.success() {
            let words = words.join(" ");
            let said = String::from_utf8_lossy(&said.stderr).trim().to_owned();
            return Err(UnitError::Refused {
                program: format!("{program} {words}"),
                why: if said.is_empty() {
                    "without a word".to_owned()
                } else {
                    said
                },
            });
        }
        Ok(String::from_utf8_lossy(&said.stdout).into_owned())
    }
}

/// A path as one word of a unit's command line or environment (systemd.syntax(7)).
#[must_use]
pub fn word(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '\\' | '"' => out.extend(['\\', c]),
            '%' => out.push_str("%%"),
            '$' => out.push_str("$$"),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A path as a word.
#[must_use]
pub fn path_word(path: &Path) -> String {
    word(&path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_survives_systemd() {
        assert_eq!(word("/a b/100%"), "\"/a b/100%%\"");
        assert_eq!(word("a\"b\\c$d"), "\"a\\\"b\\\\c$$d\"");
    }

    #[test]
    fn where_there_is_no_systemd_it_is_said() {
        let env = BTreeMap::from([("PATH".to_owned(), "/nowhere".to_owned())]);
        let error = UserSystemd::new(&env).answers().unwrap_err().to_string();
        assert!(error.starts_with("systemctl cannot be asked: "), "{error}");
        assert_eq!(UserSystemd::new(&env).lingers(), None);
        assert!(matches!(
            UserSystemd::new(&env).path("x"),
            Err(UnitError::NoHome)
        ));
    }
}
