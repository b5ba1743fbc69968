//! How numbers, spans of time and strangers' words are written for people.
//!
//! Owns rounding and sanitising: a title that an agent wrote must not be able to move the cursor or
//! colour a terminal. Values that scripts read are never rounded. Must not know what is written.

use jiff::Timestamp;
use serde::Serialize;

/// Significant digits of a metric or a ratio: more than any of the tests here can tell apart.
const DIGITS: i32 = 5;
/// Characters of a commit that people are shown.
const SHORT_COMMIT: usize = 7;

/// A time relative to now, in its largest unit: `12 s`, `3 min`, `2 h`, `4 d`.
#[must_use]
pub fn ago(then: Timestamp, now: Timestamp) -> String {
    span((now.as_second() - then.as_second()).max(0) as f64)
}

/// A span of seconds in its largest unit.
#[must_use]
pub fn span(seconds: f64) -> String {
    match seconds {
        s if s < 10.0 && s.fract() > 0.0 => format!("{s:.1} s"),
        s if s < 60.0 => format!("{s:.0} s"),
        s if s < 3600.0 => format!("{:.0} min", (s / 60.0).floor()),
        s if s < 10.0 * 3600.0 => format!("{:.1} h", s / 3600.0),
        s if s < 48.0 * 3600.0 => format!("{:.0} h", s / 3600.0),
        s => format!("{:.0} d", (s / 86_400.0).floor()),
    }
}

/// A count in at most five characters: `950`, `12.3k`, `4.1M`.
#[must_use]
pub fn count(n: u64) -> String {
    match n {
        0..1_000 => n.to_string(),
        1_000..1_000_000 => format!("{:.1}k", n as f64 / 1e3),
        _ => format!("{:.1}M", n as f64 / 1e6),
    }
}

/// Bytes with a binary unit.
#[must_use]
pub fn bytes(n: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut left = n;
    let mut unit = 0;
    while left >= 1024.0 && unit + 1 < UNITS.len() {
        left /= 1024.0;
        unit += 1;
    }
    let places = usize::from(unit > 0 && left < 100.0);
    format!("{left:.places$} {}", UNITS[unit])
}

/// A number in `DIGITS` significant digits, without trailing zeros; scientific where it is very
/// large or very small.
#[must_use]
pub fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if !value.is_finite() || value.abs() >= 1e15 {
        return "unbounded".to_owned();
    }
    let size = value.abs().log10().floor() as i32;
    if !(-4..9).contains(&size) {
        return format!("{value:.3e}");
    }
    let places = (DIGITS - 1 - size).clamp(0, 8) as usize;
    let text = format!("{value:.places$}");
    if places == 0 {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A difference, with its sign.
#[must_use]
pub fn signed(value: f64) -> String {
    if value > 0.0 {
        format!("+{}", number(value))
    } else {
        number(value)
    }
}

/// A p value.
#[must_use]
pub fn probability(p: f64) -> String {
    if p <= 0.0 {
        "0".to_owned()
    } else if p < 0.001 {
        format!("{p:.0e}")
    } else {
        format!("{p:.3}")
    }
}

/// An interval, or the word for none.
#[must_use]
pub fn interval(ci: Option<[f64; 2]>) -> String {
    ci.map_or_else(
        || "none".to_owned(),
        |[lo, hi]| format!("[{}, {}]", signed(lo), signed(hi)),
    )
}

/// Both ends of an interval where both are known; an unbounded one is none.
#[must_use]
pub fn bounded(ci: Option<[f64; 2]>) -> Option<[f64; 2]> {
    ci.filter(|ends| {
        ends.iter()
            .all(|end| end.is_finite() && end.abs() < f64::MAX)
    })
}

/// A commit as people read it.
#[must_use]
pub fn commit(hash: &str) -> &str {
    hash.get(..SHORT_COMMIT).unwrap_or(hash)
}

/// The word that serde writes for a unit variant.
#[must_use]
pub fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

/// Somebody's words on one line: control characters and line ends become spaces.
#[must_use]
pub fn one_line(text: &str) -> String {
    let spaced: String = text
        .chars()
        .map(|c| if controls(c) { ' ' } else { c })
        .collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Somebody's words over several lines: only line ends and tabs survive of all that controls a
/// terminal.
#[must_use]
pub fn harmless(text: &str) -> String {
    text.replace("\r\n", "\n")
        .chars()
        .map(|c| match c {
            '\n' | '\t' => c,
            c if controls(c) => '\u{FFFD}',
            c => c,
        })
        .collect()
}

/// Whether a character moves the cursor, starts an escape sequence, or turns the direction of text.
fn controls(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_five_digits_and_no_noise() {
        for (value, text) in [
            (0.0, "0"),
            (3.123_456_7, "3.1235"),
            (0.001_5, "0.0015"),
            (-0.25, "-0.25"),
            (123_456.7, "123457"),
            (1.5e12, "1.500e12"),
            (2e-9, "2.000e-9"),
            (f64::MAX, "unbounded"),
        ] {
            assert_eq!(number(value), text);
        }
        assert_eq!(interval(bounded(Some([f64::MIN, f64::MAX]))), "none");
        assert_eq!(interval(bounded(Some([0.1, 0.3]))), "[+0.1, +0.3]");
    }

    #[test]
    fn spans_use_their_largest_unit() {
        for (seconds, text) in [
            (0.0, "0 s"),
            (1.25, "1.2 s"),
            (59.0, "59 s"),
            (61.0, "1 min"),
            (3_700.0, "1.0 h"),
            (90_000.0, "25 h"),
            (400_000.0, "4 d"),
        ] {
            assert_eq!(span(seconds), text);
        }
        // A clock that was set back makes nothing come from the future.
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(ago(at(1_000), at(400)), "0 s");
        assert_eq!(count(12_345), "12.3k");
        assert_eq!(bytes(3.5 * 1024.0 * 1024.0), "3.5 MiB");
    }

    #[test]
    fn words_cannot_control_a_terminal() {
        assert_eq!(one_line("a\x1b[31mb\r\nc\u{202e}d"), "a [31mb c d");
        assert_eq!(harmless("a\x1bb\r\nc\td"), "a\u{FFFD}b\nc\td");
    }
}
