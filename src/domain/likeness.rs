//! How alike two attempts are, by what they change and by what they say of it.
//!
//! Owns when one attempt is the same change as another, and when it is nearly the same. Deterministic,
//! so that a refusal can be repeated and argued with: sets of lines, word pairs and numbers, compared by
//! Jaccard's index (1901). A change with other numbers is another experiment, however alike its lines
//! are; one that only moves, re-indents, comments or writes `0.004` for `4e-3` is not. Must not know
//! what became of an attempt, or where its diff comes from.

use std::collections::{BTreeMap, BTreeSet};

/// Share of changed lines from which two changes with the same numbers are nearly the same.
const LINES_ALIKE: f64 = 0.8;
/// Share of words, and of the changes' own words, from which they are so too: the same idea written
/// anew.
const WORDS_ALIKE: f64 = 0.6;
const TOKENS_ALIKE: f64 = 0.6;

/// What of an attempt is compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sketch {
    /// Words and pairs of words of title and mechanism.
    words: BTreeSet<String>,
    /// Changed lines, each with its file and sign, without layout and comments.
    lines: BTreeSet<String>,
    /// Pairs of tokens of the changed lines.
    tokens: BTreeSet<String>,
    /// Numbers of the added lines.
    numbers: BTreeSet<String>,
}

impl Sketch {
    /// Of an attempt's title and mechanism, and its unified diff.
    #[must_use]
    pub fn of(title: &str, mechanism: &str, diff: &str) -> Self {
        let mut sketch = Self {
            words: words(&format!("{title}\n{mechanism}")),
            ..Self::default()
        };
        for (line, sign) in changed(diff) {
            let tokens = tokens(&line.text);
            if sign == '+' {
                let numbers = tokens
                    .iter()
                    .filter(|it| it.starts_with(|c: char| c.is_ascii_digit()));
                sketch.numbers.extend(numbers.cloned());
            }
            let first = std::iter::once(String::new()).chain(tokens.iter().cloned());
            let pairs = first.zip(&tokens);
            let pairs = pairs.map(|(before, token)| format!("{sign}{before} {token}"));
            sketch.tokens.extend(pairs);
            let text = tokens.join(" ");
            sketch.lines.insert(format!("{sign}{}:{text}", line.file));
        }
        sketch
    }

    /// Whether it is the same change: the same lines of the same files, but for layout, comments and the
    /// spelling of numbers.
    #[must_use]
    pub fn is_same_change(&self, other: &Self) -> bool {
        !self.lines.is_empty() && self.lines == other.lines
    }

    /// Whether it is nearly the same: no other number, and nearly the same lines, or the same idea in
    /// nearly the same words.
    #[must_use]
    pub fn is_near(&self, other: &Self) -> bool {
        if self.lines.is_empty() || self.numbers != other.numbers {
            return false;
        }
        let words = alike(&self.words, &other.words) >= WORDS_ALIKE;
        let tokens = alike(&self.tokens, &other.tokens) >= TOKENS_ALIKE;
        alike(&self.lines, &other.lines) >= LINES_ALIKE || (words && tokens)
    }
}

/// Jaccard's index: the share of what either has that both have.
fn alike(a: &BTreeSet<String>, b: &BTreeSet<String>) -> f64 {
    let both = a.intersection(b).count();
    let either = a.len() + b.len() - both;
    if either == 0 {
        0.0
    } else {
        both as f64 / either as f64
    }
}

/// The words of a text, in lower case, and its pairs of neighbours.
#[must_use]
pub fn words(text: &str) -> BTreeSet<String> {
    let words: Vec<String> = text
        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    let pairs = words.windows(2).map(|pair| pair.join(" "));
    words
        .iter()
        .cloned()
        .chain(pairs.collect::<Vec<_>>())
        .collect()
}

/// How near some texts are to a query: for each, the words and pairs of words that it shares with it, the
/// rarer the more. 0 is nothing in common.
#[must_use]
pub fn nearness(query: &str, texts: &[String]) -> Vec<f64> {
    let query = words(query);
    let all: Vec<BTreeSet<String>> = texts.iter().map(|text| words(text)).collect();
    let weight = |word: &String| {
        let having = all.iter().filter(|text| text.contains(word)).count();
        // What all have tells them apart least, and still a little.
        (1.0 + texts.len() as f64 / having.max(1) as f64).ln()
    };
    let weights: BTreeMap<&String, f64> = query.iter().map(|word| (word, weight(word))).collect();
    all.iter()
        .map(|text| {
            let shared = weights.iter().filter(|(word, _)| text.contains(**word));
            shared.map(|(_, weight)| weight).sum::<f64>() + 0.0
        })
        .collect()
}

/// A line of a file.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Changed {
    file: String,
    text: String,
}

/// The lines that a diff adds and takes away. One that only moved or was indented anew is there on both
/// sides, and counts for nothing.
fn changed(diff: &str) -> Vec<(Changed, char)> {
    let mut counts: BTreeMap<Changed, i64> = BTreeMap::new();
    let (mut file, mut header) = (String::new(), true);
    for line in diff.lines() {
        if line.starts_with("diff --git ") {
            header = true;
        } else if line.starts_with("@@") {
            header = false;
        } else if header {
            let name = line
                .strip_prefix("+++ b/")
                .or_else(|| line.strip_prefix("--- a/"));
            if let Some(name) = name {
                name.clone_into(&mut file);
            }
        } else {
            let (sign, text) = match line.as_bytes().first() {
                Some(b'+') => (1, &line[1..]),
                Some(b'-') => (-1, &line[1..]),
                _ => continue,
            };
            let text = bare(text);
            if !text.is_empty() {
                let file = file.clone();
                *counts.entry(Changed { file, text }).or_default() += sign;
            }
        }
    }
    let changed = counts.into_iter().filter(|(_, count)| *count != 0);
    changed
        .map(|(line, count)| (line, if count > 0 { '+' } else { '-' }))
        .collect()
}

/// A line without its comment and layout.
fn bare(line: &str) -> String {
    let mut end = line.len();
    for mark in ["#", "//"] {
        // Not within a word or a URL: only what stands at the beginning or behind a space.
        let comment = line.match_indices(mark).map(|(at, _)| at);
        let first = comment.into_iter().find(|at| {
            line[..*at]
                .chars()
                .next_back()
                .is_none_or(char::is_whitespace)
        });
        end = end.min(first.unwrap_or(end));
    }
    line[..end].split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Words, numbers and single signs of a line; numbers as they are read, not as they are written.
fn tokens(line: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let length = if first.is_ascii_digit()
            || (first == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit()))
        {
            number(rest)
        } else if word(first) {
            rest.find(|c| !word(c)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        if token.trim().is_empty() {
            continue;
        }
        match token.replace('_', "").parse::<f64>() {
            Ok(value) if first.is_ascii_digit() || first == '.' => tokens.push(format!("{value}")),
            _ => tokens.push(token.to_owned()),
        }
    }
    tokens
}

/// The length of the number that a text begins with.
fn number(text: &str) -> usize {
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let exponent = matches!(before, 'e' | 'E') && matches!(c, '+' | '-');
        if !(c.is_ascii_alphanumeric() || c == '.' || c == '_' || exponent) {
            return at;
        }
        before = c;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diff(file: &str, lines: &str) -> String {
        format!("diff --git a/{file} b/{file}\n--- a/{file}\n+++ b/{file}\n@@ -1 +1 @@\n{lines}")
    }

    fn sketch(title: &str, lines: &str) -> Sketch {
        Sketch::of(
            title,
            "larger steps get there sooner",
            &diff("train.py", lines),
        )
    }

    #[test]
    fn the_same_change_is_known_whatever_it_looks_like() {
        let first = sketch("raise LR", "-LR = 1e-3\n+LR = 4e-3\n");
        for again in [
            "-LR = 1e-3\n+LR = 4e-3\n",
            "-LR = 1e-3\n+LR = 0.004  # faster\n",
            "-LR = 1e-3\n+LR  =  4e-3\n+# a comment\n",
            "-LR = 1e-3\n+LR = 4e-3\n-x = y\n+    x = y\n",
        ] {
            let again = sketch("something else entirely", again);
            assert!(first.is_same_change(&again), "{again:?}");
        }
        let elsewhere = Sketch::of(
            "raise LR",
            "",
            &diff("other.py", "-LR = 1e-3\n+LR = 4e-3\n"),
        );
        assert!(!first.is_same_change(&elsewhere));
        assert!(
            !sketch("a", "").is_same_change(&sketch("a", "")),
            "nothing is no change"
        );
    }

    #[test]
    fn another_number_is_another_experiment() {
        let first = sketch("raise LR", "-LR = 1e-3\n+LR = 4e-3\n");
        let other = sketch("raise LR", "-LR = 1e-3\n+LR = 3e-3\n");
        assert!(!first.is_near(&other) && !first.is_same_change(&other));
    }

    #[test]
    fn nearly_the_same_is_known_by_its_lines_or_by_its_idea() {
        let body = "+h = relu(h)\n+h = h * h\n+h = norm(h)\n+y = h @ w\n";
        let first = sketch("square the relu", body);
        let longer = format!("{body}+y = y + b\n");
        assert!(
            first.is_near(&sketch("something else entirely", &longer)),
            "four lines of five"
        );
        let renamed = body.replace("h = norm(h)", "z = norm(h)");
        assert!(
            first.is_near(&sketch("square the relu", &renamed)),
            "the same idea"
        );
        assert!(!first.is_near(&sketch("gelu for relu", "+h = gelu(h)\n")));
    }

    #[test]
    fn what_is_rare_is_nearer_than_what_all_have() {
        let texts = [
            "raise the learning rate",
            "lower the learning rate",
            "the the the",
            "square relu",
        ];
        let texts = texts.map(str::to_owned);
        let near = nearness("the RELU squared", &texts);
        assert!(near[3] > near[0] && near[0] > 0.0, "{near:?}");
        assert_eq!(nearness("learning rate", &texts)[3], 0.0);
        assert!(
            nearness("lower learning rate", &texts)[1] > nearness("lower learning rate", &texts)[0]
        );
        assert_eq!(nearness("", &texts), [0.0; 4]);
    }

    #[test]
    fn tokens_read_numbers() {
        assert_eq!(tokens("LR=4e-3*x_1"), ["LR", "=", "0.004", "*", "x_1"]);
        assert_eq!(tokens("a[.5:1_000]"), ["a", "[", "0.5", ":", "1000", "]"]);
        assert_eq!(tokens("0x1F + é"), ["0x1F", "+", "é"]);
    }
}
