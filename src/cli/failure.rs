//! Why a command did not do what was asked, and what to type next.
//!
//! Owns the three kinds of failure with their exit codes, and the translation of every library
//! error: the only file that sees them all. Must not know how a failure is printed.

use std::error::Error;
use std::io;

use crate::domain::state::FoldError;
use crate::run::log::LogError;

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The reader of our output has gone: nothing is wrong, and there is nobody to tell.
    Quiet,
    /// What was asked for was not done.
    Refused,
    /// It was not asked for properly, or the chart is wrong.
    Usage,
    /// `org` itself is wrong.
    Bug,
}

/// A failure, ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// Its kind.
    pub(super) kind: Kind,
    /// What failed, with the thing in it.
    pub(super) message: String,
    /// Why, from the outside in.
    pub(super) causes: Vec<String>,
    /// What to type next.
    pub(super) hint: String,
}

impl Failure {
    fn new(kind: Kind, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            causes: Vec::new(),
            hint: hint.into(),
        }
    }

    /// What was asked for was not done. Exit code 1.
    #[must_use]
    pub(super) fn refused(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(Kind::Refused, message, hint)
    }

    /// It was not asked for properly, or the chart is wrong. Exit code 2.
    #[must_use]
    pub(super) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message, hint)
    }

    /// `org` itself is wrong. Exit code 3.
    #[must_use]
    pub(super) fn bug(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(Kind::Bug, message, hint)
    }

    /// Nobody reads any more. Exit code 0.
    #[must_use]
    pub(super) fn quiet() -> Self {
        Self::new(Kind::Quiet, "", "")
    }

    /// The same, with an error and all that caused it.
    #[must_use]
    pub(super) fn because(mut self, error: &dyn Error) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            self.causes.push(error.to_string());
            next = error.source();
        }
        self
    }

    /// The exit code.
    #[must_use]
    pub(super) fn code(&self) -> u8 {
        match self.kind {
            Kind::Quiet => 0,
            Kind::Refused => 1,
            Kind::Usage => 2,
            Kind::Bug => 3,
        }
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        let hint = match &error {
            LogError::Held(_) => {
                "a stopped process holds it: `kill -CONT` or end the process named above"
            }
            LogError::Fold(FoldError::Newer(_)) => {
                "a newer `org` wrote this run; use that one, `org --version` says which this is"
            }
            LogError::Authority { .. } | LogError::Unwritable(_) => {
                "this is a bug in `org`; please report it"
            }
            LogError::Damaged { .. } | LogError::Fold(_) => {
                "the run's log was changed by hand or by a failing disk; `org ls` shows other runs"
            }
            LogError::Io { .. } => {
                "look at the run's directory and its disk; `org ls` shows where runs are"
            }
        };
        let bug = matches!(error, LogError::Authority { .. } | LogError::Unwritable(_));
        let failure = if bug {
            Self::bug("the run's log cannot be used", hint)
        } else {
            Self::refused("the run's log cannot be used", hint)
        };
        failure.because(&error)
    }
}

/// The failure of writing to our own output.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::quiet();
        }
        let hint = "look at the disk and at who may write where";
        Self::refused("failed to read or write", hint).because(&error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_pipe_is_quiet_and_causes_come_from_the_outside_in() {
        let broken = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((broken.kind, broken.code()), (Kind::Quiet, 0));
        let newer = Failure::from(LogError::Fold(FoldError::Newer(9)));
        assert_eq!(newer.code(), 1);
        assert_eq!(newer.causes.len(), 2, "{newer:?}");
        assert!(newer.causes[1].contains("format 9"));
    }
}
