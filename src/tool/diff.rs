//! How a replaced passage is shown: one hunk of a unified diff, short whatever was replaced.
//!
//! The place of the change is known, so nothing is searched. Must not know files.

use std::fmt::Write as _;

/// Lines shown before and after a change.
const CONTEXT: usize = 3;
/// Most lines of either side that are shown.
const SIDE: usize = 40;
/// Longest line that is shown, in characters.
const WIDTH: usize = 200;
/// Why writing into a string cannot fail.
const WRITTEN: &str = "a string takes everything";

/// The hunk of replacing `old`, which stands at byte `at` of `text`, by `new`.
pub(super) fn hunk(path: &str, text: &str, at: usize, old: &str, new: &str) -> String {
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let after = at + old.len();
    let end = match text[after..].find('\n') {
        // A passage that ends with its line does not touch the next one, unless nothing is left of
        // the line's end.
        _ if old.ends_with('\n') && (new.ends_with('\n') || new.is_empty() && at == start) => after,
        Some(end) => after + end + 1,
        None => text.len(),
    };
    let (head, tail) = (&text[start..at], &text[after..end]);
    let now = format!("{head}{new}{tail}");
    let before: Vec<&str> = text[start..end].lines().collect();
    let now: Vec<&str> = now.lines().collect();
    let same = |(a, b): &(&&str, &&str)| a == b;
    let front = before.iter().zip(&now).take_while(same).count();
    let left = before.len().min(now.len()) - front;
    let back = before
        .iter()
        .rev()
        .zip(now.iter().rev())
        .take_while(same)
        .count()
        .min(left);
    let lines: Vec<&str> = text.lines().collect();
    let first = text[..start].lines().count() + front;
    let (gone, come) = (
        &before[front..before.len() - back],
        &now[front..now.len() - back],
    );
    let above = &lines[first.saturating_sub(CONTEXT)..first];
    let below = first + gone.len();
    let below = &lines[below..lines.len().min(below + CONTEXT)];
    let around = above.len() + below.len();
    let from = first - above.len() + 1;
    let mut out = format!(
        "{path}\n@@ -{from},{} +{from},{} @@\n",
        around + gone.len(),
        around + come.len()
    );
    side(&mut out, ' ', above);
    side(&mut out, '-', gone);
    side(&mut out, '+', come);
    side(&mut out, ' ', below);
    out.truncate(out.trim_end().len());
    out
}

fn side(out: &mut String, sign: char, lines: &[&str]) {
    for line in lines.iter().take(SIDE) {
        out.push(sign);
        out.extend(line.chars().take(WIDTH));
        out.push('\n');
    }
    if lines.len() > SIDE {
        writeln!(out, "{sign}… {} more lines", lines.len() - SIDE).expect(WRITTEN);
    }
}

#[cfg(test)]
mod tests {
    use super::hunk;

    fn of(text: &str, old: &str, new: &str) -> String {
        hunk("f", text, text.find(old).unwrap(), old, new)
    }

    #[test]
    fn a_change_is_shown_with_its_surroundings() {
        let text = "a\nb\nc\nd\ne\nf\ng\n";
        assert_eq!(
            of(text, "d", "D\nE"),
            "f\n@@ -1,7 +1,8 @@\n a\n b\n c\n-d\n+D\n+E\n e\n f\n g"
        );
        assert_eq!(of(text, "a\n", ""), "f\n@@ -1,4 +1,3 @@\n-a\n b\n c\n d");
        assert_eq!(
            of(text, "g\n", "g\nh\n"),
            "f\n@@ -5,3 +5,4 @@\n e\n f\n g\n+h"
        );
        assert_eq!(of("x = 1", "1", "2"), "f\n@@ -1,1 +1,1 @@\n-x = 1\n+x = 2");
        assert_eq!(of("a\nb\nc\n", "\nb", ""), "f\n@@ -1,3 +1,2 @@\n a\n-b\n c");
    }
}
