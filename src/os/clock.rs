//! The only clock. Everybody else is handed the time, so that decisions can be replayed.
//!
//! Must not know what the time is for.

use std::time::Instant;

use jiff::{Timestamp, Unit};

/// The wall clock, cut to milliseconds: what stands in the log is what was decided with.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the only door to the wall clock")]
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    let cut = jiff::TimestampRound::new()
        .smallest(Unit::Millisecond)
        .mode(jiff::RoundMode::Trunc);
    now.round(cut).unwrap_or(now)
}

/// The monotonic clock, for durations and deadlines inside one process.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the only door to the monotonic clock"
)]
pub fn monotonic() -> Instant {
    Instant::now()
}

/// A time as clocks on the wall here show it, for people.
#[must_use]
pub fn local(at: Timestamp) -> jiff::civil::DateTime {
    at.to_zoned_datetime(jiff::tz::TimeZone::system())
        .datetime()
}

/// How far clocks on the wall here are ahead of UTC at a time, seconds.
#[must_use]
pub fn ahead_of_utc(at: Timestamp) -> i32 {
    jiff::tz::TimeZone::system().to_offset(at).seconds()
}

/// What names this boot of the machine; empty where the kernel does not say. Pids and start times
/// are only comparable within one.
#[must_use]
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn now_has_milliseconds_and_nothing_finer() {
        assert_eq!(now().as_nanosecond() % 1_000_000, 0);
        assert!(monotonic() <= monotonic());
        assert!(boot_id().len() >= 32, "a boot id is a uuid");
    }
}
