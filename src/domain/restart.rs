//! Who is started again after a death, and when.
//!
//! Owns the one rule: a death counts only if a turn was in flight and nothing of that turn had reached
//! the log since the process started; five such deaths in a row hold the agent. Any other death, of a
//! waiting agent above all, is the world's fault and restarts at once. Must not know processes.

use jiff::{SignedDuration, Timestamp};

/// Fruitless deaths in a row after which an agent is held: enough to survive a bad minute of the
/// machine, few enough that a crash loop costs nothing.
pub const HOLD_AFTER: u32 = 5;
/// Seconds before the first restart after a counted death; doubles with each further one.
const FIRST_BACKOFF_S: i64 = 1;

/// What is remembered of an agent's deaths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Counted deaths in a row.
    pub fruitless: u32,
    /// All deaths.
    pub total: u32,
    /// When it last died.
    pub last: Option<Timestamp>,
    progressed: bool,
}

impl Tally {
    /// Its process started.
    pub fn start(&mut self) {
        self.progressed = false;
    }

    /// Something of its turn reached the log.
    pub fn progress(&mut self) {
        self.progressed = true;
        self.fruitless = 0;
    }

    /// Its process was found dead.
    pub fn death(&mut self, in_turn: bool, at: Timestamp) {
        self.total += 1;
        self.last = Some(at);
        if in_turn && !self.progressed {
            self.fruitless += 1;
        }
    }

    /// Whether it has died in vain too often.
    #[must_use]
    pub fn exhausted(&self) -> bool {
        self.fruitless >= HOLD_AFTER
    }

    /// When it may be started again; none means at once.
    #[must_use]
    pub fn not_before(&self) -> Option<Timestamp> {
        if self.fruitless == 0 {
            return None;
        }
        let wait = SignedDuration::from_secs(FIRST_BACKOFF_S << (self.fruitless - 1).min(6));
        self.last.and_then(|last| last.checked_add(wait).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fruitless_deaths_in_a_row_count() {
        let at = Timestamp::UNIX_EPOCH;
        let mut tally = Tally::default();
        for _ in 0..50 {
            tally.start();
            tally.death(false, at);
        }
        assert!(!tally.exhausted(), "a waiting agent restarts for ever");
        for _ in 0..4 {
            tally.start();
            tally.death(true, at);
        }
        tally.start();
        tally.progress();
        tally.death(true, at);
        assert_eq!(tally.fruitless, 0, "something had reached the log");
        assert_eq!(tally.not_before(), None);
        for _ in 0..5 {
            tally.start();
            tally.death(true, at);
        }
        assert!(tally.exhausted());
        assert_eq!(
            tally.not_before(),
            Some(Timestamp::from_second(16).expect("in range"))
        );
    }
}
