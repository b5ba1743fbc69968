//! What a diff gives away before it is run: that it touches the seed's way, that it carries what was
//! learnt elsewhere, or that it changes nothing.
//!
//! Pure: a unified diff in, a line or a word out. Textual, so that a determined author gets around it;
//! what a run then does with its seed is looked at again (`protocol/provenance.rs`). Must not know claims.

use std::collections::BTreeMap;

/// Calls by which programs seed, or make, a source of randomness.
const SEEDING: [&str; 10] = [
    "manual_seed(",
    "random.seed(",
    "default_rng(",
    "RandomState(",
    "set_rng_state(",
    "seed_everything(",
    "PRNGKey(",
    "SystemRandom(",
    "random.Random(",
    "torch.Generator(",
];
/// Numbers of four digits and more that a diff may add: a schedule has dozens, weights have thousands.
const NUMBERS: usize = 256;
/// Digits from which a number counts.
const DIGITS: usize = 4;
/// Longest run of letters and digits in one piece: names are short, encoded data are not.
const PIECE: usize = 512;

/// Lines that a diff takes away and adds, file by file, in order and without comments.
fn edits(diff: &str) -> Vec<(Vec<&str>, Vec<&str>)> {
    let mut files: Vec<(Vec<&str>, Vec<&str>)> = Vec::new();
    let mut header = true;
    for line in diff.lines() {
        if line.starts_with("diff --git ") {
            header = true;
            files.push((Vec::new(), Vec::new()));
            continue;
        }
        if line.starts_with("@@") {
            header = false;
            continue;
        }
        let (false, Some((taken, added))) = (header, files.last_mut()) else {
            continue;
        };
        let side = match line.as_bytes().first() {
            Some(b'+') => added,
            Some(b'-') => taken,
            _ => continue,
        };
        let text = without_comment(&line[1..]);
        if !text.trim().is_empty() {
            side.push(text);
        }
    }
    files
}

/// A line without its comment; its indentation stays, which means something in some languages.
fn without_comment(line: &str) -> &str {
    let mut end = line.len();
    for mark in ["#", "//"] {
        let mut found = line.match_indices(mark).map(|(at, _)| at);
        let first = found.find(|at| {
            let before = line[..*at].chars().next_back();
            before.is_none_or(char::is_whitespace)
        });
        end = end.min(first.unwrap_or(end));
    }
    line[..end].trim_end()
}

/// The first line that a diff adds or takes away and that has to do with a seed. A line that only moved
/// or was indented anew is there on both sides and counts for nothing.
pub(super) fn seeding(diff: &str, variable: &str) -> Option<String> {
    let mut lines: BTreeMap<&str, i64> = BTreeMap::new();
    for (taken, added) in edits(diff) {
        for line in added {
            *lines.entry(line.trim()).or_default() += 1;
        }
        for line in taken {
            *lines.entry(line.trim()).or_default() -= 1;
        }
    }
    let seeds = |line: &str| {
        (!variable.is_empty() && line.contains(variable))
            || SEEDING.iter().any(|call| line.contains(call))
            || names_a_seed(line)
    };
    lines
        .into_iter()
        .find(|(line, count)| *count != 0 && seeds(line))
        .map(|(line, _)| line.to_owned())
}

/// Whether one of a line's names has `seed` for a word of it: `SEED`, `data_seed`, `seed2`.
fn names_a_seed(line: &str) -> bool {
    line.split(|c: char| !c.is_ascii_alphabetic())
        .any(|word| word.eq_ignore_ascii_case("seed") || word.eq_ignore_ascii_case("seeds"))
}

/// What a diff carries that looks learnt rather than written, in words.
pub(super) fn carried(diff: &str) -> Option<String> {
    let mut numbers = 0;
    for line in edits(diff).iter().flat_map(|(_, added)| added) {
        let pieces = line
            .split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '\\')));
        if let Some(long) = pieces.map(str::len).max().filter(|long| *long > PIECE) {
            return Some(format!("{long} characters in one piece"));
        }
        let figures = line.split(|c: char| !(c.is_ascii_digit() || c == '.'));
        let digits = |it: &str| it.bytes().filter(u8::is_ascii_digit).count();
        numbers += figures.filter(|it| digits(it) >= DIGITS).count();
    }
    (numbers > NUMBERS).then(|| format!("{numbers} numbers"))
}

/// Whether a diff of text changes nothing but comments and empty lines.
pub(super) fn is_idle(diff: &str) -> bool {
    let files = edits(diff);
    let headers = diff
        .lines()
        .filter(|line| line.starts_with("diff --git "))
        .count();
    let texts = diff.lines().filter(|line| line.starts_with("+++ ")).count();
    // What has no lines, such as a mode or bytes, may be anything; and so may a file that comes or goes.
    let whole = !diff.contains("/dev/null") && headers == texts;
    whole && !files.is_empty() && files.iter().all(|(taken, added)| taken == added)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diff(lines: &str) -> String {
        format!("diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n{lines}")
    }

    #[test]
    fn the_seeds_way_is_known_by_its_names() {
        for seeded in [
            "-torch.manual_seed(1)\n+torch.manual_seed(2)\n",
            "+s = os.environ['ORG_SEED']\n",
            "++ np.random.seed(3)\n",
            "-random.seed(4)\n",
            "-data = random.Random(\"data \" + SEED)\n+data = random.Random(\"data 17\")\n",
            "+rng.reset(data_seed)\n",
            "+best = min(losses, key=lambda seed2: 0)\n",
        ] {
            assert!(seeding(&diff(seeded), "ORG_SEED").is_some(), "{seeded}");
        }
        for other in [
            "-random.seed(4)\n+    random.seed(4)\n+x = 1\n",
            "+x = 1  # the same seed as before\n",
            "+proceed = exceeded(seedling)\n",
        ] {
            assert_eq!(seeding(&diff(other), "ORG_SEED"), None, "{other}");
        }
    }

    #[test]
    fn what_was_learnt_elsewhere_is_seen_by_its_size() {
        let weights: String = (0..300).map(|at| format!("+    0.12{at:03},\n")).collect();
        assert!(carried(&diff(&weights)).is_some());
        let blob = format!("+W = \"{}\"\n", "aZ09+/".repeat(200));
        assert!(carried(&diff(&blob)).is_some());
        assert_eq!(carried(&diff("+LR = 0.0034\n+STEPS = 20000\n")), None);
        assert_eq!(
            carried(&diff(&weights.replace('+', "-"))),
            None,
            "taken away"
        );
    }

    #[test]
    fn a_comment_is_no_change_and_a_moved_line_is() {
        assert!(is_idle(&diff(
            "-LR = 1  # low\n+LR = 1  # wider attention\n+\n+# more\n"
        )));
        assert!(!is_idle(&diff("-LR = 1\n+LR = 2\n")));
        assert!(!is_idle(&diff("-a()\n-b()\n+b()\n+a()\n")), "another order");
        assert!(!is_idle(&diff("-f()\n+    f()\n")), "another block");
        assert!(!is_idle(
            "diff --git a/x b/x\nBinary files a/x and b/x differ\n"
        ));
        assert!(!is_idle(""));
    }
}
