//! Patterns over paths: what the chart's `protect`, `editable` and `keep` mean, and the pieces that
//! ignore rules are made of. One meaning for all of them, so that the lab and the check of a chart
//! cannot disagree. Knows no files: a path is text with `/` between its parts.

/// Whether `path` is named by `pattern`, or lies below what it names.
///
/// Patterns are anchored at the root: `*.json` is one level, `**/*.json` every level. `*` and `?`
/// stay within one part, `**` spans any number of parts, `[a-z]` and `[!a-z]` are classes, `\`
/// takes the next character as it is. `foo`, `foo/` and `./foo` name a file or a whole directory.
pub fn matches(pattern: &str, path: &str) -> bool {
    let pattern = parts(pattern);
    let path = parts(path);
    // Linear in the depth of the path, and the only way that `src/*` can cover `src/a/b`.
    !pattern.is_empty() && (1..=path.len()).any(|depth| parts_match(&pattern, &path[..depth]))
}

/// Whether one of the patterns matches, see [`matches()`].
pub fn any(patterns: &[String], path: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern, path))
}

/// Whether `pattern` names exactly `path`, and not what lies below.
pub fn names(pattern: &str, path: &str) -> bool {
    parts_match(&parts(pattern), &parts(path))
}

/// Whether one part of a pattern matches one part of a path.
pub fn part_matches(pattern: &str, name: &str) -> bool {
    let (mut rest, mut left) = (pattern, name);
    // Where to try again with the last star one character longer. Only the last star ever needs
    // to grow, so this is quadratic at worst and never exponential.
    let mut retry: Option<(&str, &str)> = None;
    loop {
        if let Some(after) = rest.strip_prefix('*') {
            retry = Some((after, left));
            rest = after;
            continue;
        }
        if rest.is_empty() && left.is_empty() {
            return true;
        }
        if let Some(next) = one(rest, left) {
            (rest, left) = next;
            continue;
        }
        let Some((after, from)) = retry else {
            return false;
        };
        let mut shorter = from.chars();
        if shorter.next().is_none() {
            return false;
        }
        (rest, left) = (after, shorter.as_str());
        retry = Some((rest, left));
    }
}

fn parts(text: &str) -> Vec<&str> {
    text.split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect()
}

fn parts_match(pattern: &[&str], path: &[&str]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&"**") {
            retry = Some((p + 1, n));
            p += 1;
            continue;
        }
        if p == pattern.len() && n == path.len() {
            return true;
        }
        if p < pattern.len() && n < path.len() && part_matches(pattern[p], path[n]) {
            p += 1;
            n += 1;
            continue;
        }
        let Some((after, from)) = retry else {
            return false;
        };
        if from == path.len() {
            return false;
        }
        (p, n) = (after, from + 1);
        retry = Some((p, n));
    }
}

/// Takes one token of the pattern and one character of the name, if they agree.
fn one<'p, 'n>(pattern: &'p str, name: &'n str) -> Option<(&'p str, &'n str)> {
    let mut rest = pattern.chars();
    let mut left = name.chars();
    let token = rest.next()?;
    let found = left.next()?;
    match token {
        '?' => {}
        '[' => match class(rest.as_str(), found) {
            Some((true, after)) => return Some((after, left.as_str())),
            Some((false, _)) => return None,
            // Without its closing bracket it is a bracket.
            None if found == '[' => {}
            None => return None,
        },
        '\\' if rest.next()? == found => {}
        _ if token == found && token != '\\' => {}
        _ => return None,
    }
    Some((rest.as_str(), left.as_str()))
}

/// Reads a class after its `[`: whether it holds `found`, and what follows the `]`.
fn class(body: &str, found: char) -> Option<(bool, &str)> {
    let inner = body.strip_prefix(['!', '^']);
    let negated = inner.is_some();
    let inner = inner.unwrap_or(body);
    // A `]` that comes first is a member.
    let skip = inner.chars().next()?.len_utf8();
    let end = skip + inner[skip..].find(']')?;
    let members: Vec<char> = inner[..end].chars().collect();
    let mut held = false;
    let mut at = 0;
    while at < members.len() {
        if at + 2 < members.len() && members[at + 1] == '-' {
            held |= (members[at]..=members[at + 2]).contains(&found);
            at += 3;
        } else {
            held |= members[at] == found;
            at += 1;
        }
    }
    Some((held != negated, &inner[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_files_and_all_below_directories() {
        let rows = [
            ("train.py", "train.py", true),
            ("train.py", "src/train.py", false),
            ("train.py", "train.pyc", false),
            ("src", "src/a/b.py", true),
            ("src/", "src/a/b.py", true),
            ("./src/", "src", true),
            ("src", "srcs/a", false),
            ("*.json", "a.json", true),
            ("*.json", "a/b.json", false),
            ("**/*.json", "a.json", true),
            ("**/*.json", "a/b/c.json", true),
            ("src/**", "src/a/b", true),
            ("src/**/x", "src/x", true),
            ("src/**/x", "src/a/b/x", true),
            ("src/**/x", "src/a/b/y", false),
            ("src/*", "src/a/b", true),
            ("src/*.py", "src/a/b.py", false),
            ("?.txt", "é.txt", true),
            ("?.txt", "ab.txt", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]x]", "]", true),
            ("a[", "a[", true),
            (r"\*", "*", true),
            (r"\*", "a", false),
            ("", "a", false),
            ("a*b*c*d", "axxbxxcxxd", true),
            ("a*b*c*d", "axxbxxcxx", false),
        ];
        for (pattern, path, expected) in rows {
            assert_eq!(matches(pattern, path), expected, "{pattern} on {path}");
        }
    }

    #[test]
    fn a_hostile_pattern_is_not_exponential() {
        let pattern = "*a".repeat(200);
        assert!(!part_matches(&pattern, &"a".repeat(199)));
        let pattern = "**/a/".repeat(100);
        assert!(!names(&pattern, &"a/".repeat(99)));
    }
}
