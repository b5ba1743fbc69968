//! Words with units: time spans, sizes, token counts, grids.
//!
//! Owns what `"1h30m"`, `"200G"`, `"120k"` and `"4x2"` mean. Must not know keys or problems: a word
//! is understood, or it is not.

/// Longest time span, ten years: nothing in a chart is meant to last longer, and every sum of such
/// seconds stays exact.
pub(super) const SPAN_MAX: f64 = 10.0 * 366.0 * 86_400.0;
/// Most columns or rows of a page of panes.
const GRID_MAX: u16 = 64;

/// Seconds of `10h`, `90s`, `1h30m`; each unit at most once, from the largest down.
pub fn span(word: &str) -> Option<f64> {
    const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];
    let mut rest = word;
    let mut units = UNITS.as_slice();
    let mut seconds: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].chars().next()?;
        let at = units.iter().position(|(name, _)| *name == unit)?;
        seconds = seconds.checked_add(number.checked_mul(units[at].1)?)?;
        units = &units[at + 1..];
        rest = &rest[digits + 1..];
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "bounded below 2^53 by the check beside it"
    )]
    let span = seconds as f64;
    (!word.is_empty() && span <= SPAN_MAX).then_some(span)
}

/// A whole number with one of these suffixes, or with none.
fn scaled(word: &str, suffixes: &[(&str, u64)]) -> Option<u64> {
    let digits = word
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(word.len());
    let number: u64 = word[..digits].parse().ok()?;
    let (_, factor) = suffixes
        .iter()
        .find(|(suffix, _)| *suffix == &word[digits..])?;
    // TOML's integers are signed, and a frozen chart must be able to say it.
    number
        .checked_mul(*factor)
        .filter(|total| i64::try_from(*total).is_ok())
}

/// Bytes of `200G`; the units are binary, as `du` and `df -h` count.
pub fn size(word: &str) -> Option<u64> {
    const SUFFIXES: [(&str, u64); 4] = [
        ("K", 1 << 10),
        ("M", 1 << 20),
        ("G", 1 << 30),
        ("T", 1 << 40),
    ];
    scaled(word, &SUFFIXES)
}

/// Tokens of `120k`; the units are decimal, as vendors count.
pub(super) fn tokens(word: &str) -> Option<u64> {
    scaled(
        word,
        &[("", 1), ("k", 1_000), ("K", 1_000), ("M", 1_000_000)],
    )
}

/// Columns and rows of `4x2`.
pub(super) fn grid(word: &str) -> Option<(u16, u16)> {
    let (columns, rows) = word.split_once('x')?;
    let side = |text: &str| {
        let plain = text.chars().all(|c| c.is_ascii_digit());
        text.parse()
            .ok()
            .filter(|side| plain && (1..=GRID_MAX).contains(side))
    };
    Some((side(columns)?, side(rows)?))
}

/// Whether this is a time of day, as `09:00`.
pub(super) fn time_of_day(word: &str) -> bool {
    let Some((hours, minutes)) = word.split_once(':') else {
        return false;
    };
    let two = |text: &str, below: u8| {
        text.len() == 2
            && text.bytes().all(|b| b.is_ascii_digit())
            && text.parse::<u8>().is_ok_and(|number| number < below)
    };
    two(hours, 24) && two(minutes, 60)
}

#[cfg(test)]
mod tests {
    use super::{grid, size, span, time_of_day, tokens};

    #[test]
    fn words_with_units() {
        let spans = [
            ("10h", 36_000.0),
            ("90s", 90.0),
            ("1h30m", 5_400.0),
            ("0s", 0.0),
            ("1d1s", 86_401.0),
        ];
        for (word, seconds) in spans {
            assert_eq!(span(word), Some(seconds), "{word}");
        }
        for word in [
            "",
            "10",
            "h",
            "30m1h",
            "1h1h",
            "-1s",
            "1.5h",
            "1 h",
            "99999999999999999999s",
            "20000000d",
        ] {
            assert_eq!(span(word), None, "{word}");
        }
        assert_eq!(size("200G"), Some(200 << 30));
        for word in ["", "G", "200", "1.5G", "200g", "99999999T", "200GB"] {
            assert_eq!(size(word), None, "{word}");
        }
        assert_eq!(tokens("120k"), Some(120_000));
        assert_eq!(tokens("k"), None);
        assert_eq!(grid("4x2"), Some((4, 2)));
        for word in ["4", "0x2", "4x", "+4x2", "4x99", "4X2"] {
            assert_eq!(grid(word), None, "{word}");
        }
        assert!(time_of_day("09:00") && !time_of_day("9:00") && !time_of_day("24:00"));
    }
}
