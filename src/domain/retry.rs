//! How long to wait before a failed request is made again.
//!
//! An outage is not a failure: a transient error is tried again for as long as the budget lasts.
//! Full jitter over the upper half, so that eight agents on one key do not come back in step; what
//! the server asked for is a floor, never shortened.

use jiff::Timestamp;

/// First wait, seconds; doubles with each failure in a row.
const FIRST_S: f64 = 0.5;
/// Longest wait that we choose ourselves, seconds.
const LONGEST_S: f64 = 300.0;
/// Between two probes of a spent quota, seconds.
pub const QUOTA_PROBE_S: f64 = 600.0;
/// Failures in a row of a kind that should not happen twice (a malformed stream) before a person is
/// asked: a page in place of a stream is a wrong address, and no weather.
pub const MALFORMED_IN_A_ROW: u32 = 5;

/// Seconds to wait after `failures` failures in a row (1 for the first). `jitter` is in [0, 1).
#[must_use]
pub fn wait(failures: u32, retry_after: Option<f64>, jitter: f64) -> f64 {
    let doubled = FIRST_S * f64::from(2_u32.saturating_pow(failures.saturating_sub(1).min(20)));
    let own = doubled.min(LONGEST_S) * (0.5 + jitter / 2.0);
    retry_after
        .map_or(own, |floor| floor + own.min(floor.max(FIRST_S)) * jitter)
        .max(0.05)
}

/// How far behind the log's last event a clock may be that was not set back: all who write it share one
/// clock, and only its milliseconds are kept.
const BEHIND_S: i64 = 2;

/// Whether the clock was set back since the last event was written, `last`: then a time to wait for that
/// the log knows lies further ahead than was meant, and is over.
#[must_use]
pub fn set_back(now: Timestamp, last: Option<Timestamp>) -> bool {
    last.is_some_and(|last| last.duration_since(now).as_secs() >= BEHIND_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_is_capped_and_never_undercuts_the_server() {
        assert!(wait(1, None, 0.0) >= 0.25 && wait(1, None, 0.99) <= 0.5);
        assert!(wait(40, None, 0.99) <= LONGEST_S);
        assert!(wait(1, Some(7.0), 0.5) >= 7.0);
    }

    #[test]
    fn only_a_clock_that_went_back_is_behind_the_log() {
        let at = |second| Timestamp::from_second(second).expect("in range");
        assert!(!set_back(at(100), None));
        assert!(!set_back(at(100), Some(at(99))) && !set_back(at(100), Some(at(101))));
        assert!(set_back(at(100), Some(at(102))) && set_back(at(100), Some(at(3700))));
    }
}
