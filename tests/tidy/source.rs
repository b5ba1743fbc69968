//! A Rust file as the rules see it: without comments, strings and tests, and taken apart.
//!
//! Owns a scanner that is right for text that rustfmt has laid out, so that no parser is needed. Must
//! not know a rule.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A Rust file, taken apart.
pub(super) struct Source {
    pub(super) path: String,
    pub(super) text: String,
    /// Without comments and the insides of strings, line by line.
    pub(super) code: Vec<String>,
    /// The same without what is only for tests.
    pub(super) production: Vec<String>,
    /// First line and number of lines of each string.
    pub(super) strings: Vec<(usize, usize)>,
}

pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(super) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All files of the project beneath a directory, without what git ignores.
pub(super) fn files(under: &str) -> Vec<PathBuf> {
    let (mut found, mut dirs) = (Vec::new(), vec![root().join(under)]);
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let kept = path.strip_prefix(root()).unwrap().to_owned();
            let ignored = [".git", "target", "runs"]
                .iter()
                .any(|name| kept == Path::new(name));
            match entry.file_type().unwrap().is_dir() {
                _ if ignored => {}
                true if kept.ends_with("__pycache__") => {}
                true => dirs.push(path),
                false => found.push(kept),
            }
        }
    }
    found.sort();
    found
}

pub(super) fn sources(under: &str) -> Vec<Source> {
    let rust = files(under)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "rs"));
    let sources: Vec<Source> = rust
        .map(|path| Source::new(path.to_str().unwrap(), None))
        .collect();
    let tests: BTreeSet<String> = sources.iter().flat_map(Source::test_modules).collect();
    let of_tests = |path: &str| {
        tests
            .iter()
            .any(|module| path == format!("{module}.rs") || path.starts_with(&format!("{module}/")))
    };
    let mut sources = sources;
    for source in sources.iter_mut().filter(|source| of_tests(&source.path)) {
        source.production.clear();
    }
    assert!(!sources.is_empty(), "{under} has no Rust");
    sources
}

impl Source {
    pub(super) fn new(path: &str, text: Option<&str>) -> Self {
        let text = text.map_or_else(|| read(path), str::to_owned);
        let (code, strings) = scan(&text);
        let code: Vec<String> = code.lines().map(str::to_owned).collect();
        let production = without_tests(&code);
        Self {
            path: path.to_owned(),
            text,
            code,
            production,
            strings,
        }
    }

    pub(super) fn room(&self) -> &str {
        self.path.split('/').nth(1).unwrap_or_default()
    }

    /// The files that are compiled for tests only, without their `.rs`.
    pub(super) fn test_modules(&self) -> Vec<String> {
        let stem = self.path.trim_end_matches(".rs");
        let beneath = stem.strip_suffix("/mod").unwrap_or(stem);
        let pairs = self
            .code
            .windows(2)
            .filter(|pair| pair[0].trim() == "#[cfg(test)]");
        let named = pairs.filter_map(|pair| pair[1].trim().strip_suffix(';')?.rsplit_once("mod "));
        named.map(|(_, name)| format!("{beneath}/{name}")).collect()
    }

    /// Name, line and length of each function of production code.
    pub(super) fn functions(&self) -> Vec<(usize, usize)> {
        let starts = self.production.iter().enumerate().filter(|(_, line)| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let at = words.iter().position(|word| *word == "fn");
            at.is_some_and(|at| {
                words[..at].iter().all(|word| {
                    word.starts_with("pub")
                        || ["const", "async", "in"].contains(word)
                        || word.ends_with(')')
                })
            })
        });
        let lengths = starts.filter_map(|(start, line)| {
            let end = format!("{}}}", &line[..line.len() - line.trim_start().len()]);
            let rest = self.production[start..].iter();
            let body = rest.clone().position(|line| {
                line.ends_with(';') || line.ends_with('{') || line.ends_with('}')
            })?;
            if !self.production[start + body].ends_with('{') {
                return None;
            }
            Some((start + 1, rest.clone().position(|line| *line == end)? + 1))
        });
        lengths.collect()
    }
}

/// The text without comments and the insides of strings, and where its strings are.
pub(super) fn scan(text: &str) -> (String, Vec<(usize, usize)>) {
    let (mut code, mut strings) = (String::new(), Vec::new());
    let (mut rest, mut line) = (text, 1);
    while let Some(char) = rest.chars().next() {
        let raw = rest.starts_with("r\"") || rest.starts_with("r#");
        let word_before = code.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let token = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if raw && !word_before && rest[1..].trim_start_matches('#').starts_with('"') {
            let marks = rest[1..].chars().take_while(|c| *c == '#').count();
            let (open, close) = (marks + 2, format!("\"{}", "#".repeat(marks)));
            open + rest[open..].find(&close).map_or(0, |end| end + close.len())
        } else if char == '"' {
            quoted(rest, '"')
        } else if char == '\'' && (rest[1..].starts_with('\\') || rest.chars().nth(2) == Some('\''))
        {
            quoted(rest, '\'')
        } else {
            line += usize::from(char == '\n');
            code.push(char);
            rest = &rest[char.len_utf8()..];
            continue;
        };
        let breaks = rest[..token].matches('\n').count();
        if !rest.starts_with('/') && char != '\'' {
            strings.push((line, breaks + 1));
            code.push_str("\"\"");
        }
        code.push_str(&"\n".repeat(breaks));
        line += breaks;
        rest = &rest[token..];
    }
    (code, strings)
}

/// How long a literal in quotes is, with its quotes.
pub(super) fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, char) in text.char_indices().skip(1) {
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if char == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The lines of code with every item for tests blanked.
pub(super) fn without_tests(code: &[String]) -> Vec<String> {
    let mut kept: Vec<String> = code.to_vec();
    let mut at = 0;
    while at < kept.len() {
        if kept[at].trim() != "#[cfg(test)]" {
            at += 1;
            continue;
        }
        let close = kept[at].replace("#[cfg(test)]", "}");
        let mut opened = false;
        while at < kept.len() {
            let line = std::mem::take(&mut kept[at]);
            at += 1;
            opened |= line.ends_with('{');
            if line == close || (line.ends_with(';') && !opened) {
                break;
            }
        }
    }
    while kept.last().is_some_and(|line| line.trim().is_empty()) {
        kept.pop();
    }
    kept
}

/// The rooms that code names by `crate::`, with the line.
pub(super) fn mentions(code: &[String]) -> Vec<(usize, String)> {
    let text = code.join("\n");
    let mut found = Vec::new();
    for (at, path) in text
        .match_indices("crate::")
        .map(|(at, it)| (at, &text[at + it.len()..]))
    {
        let line = text[..at].matches('\n').count() + 1;
        let names = match path.strip_prefix('{') {
            None => vec![path],
            Some(group) => {
                let (mut depth, mut start, mut names) = (0, 0, Vec::new());
                for (at, char) in group.char_indices() {
                    match char {
                        '{' => depth += 1,
                        '}' if depth == 0 => {
                            names.push(&group[start..at]);
                            break;
                        }
                        '}' => depth -= 1,
                        ',' if depth == 0 => {
                            names.push(&group[start..at]);
                            start = at + 1;
                        }
                        _ => {}
                    }
                }
                names
            }
        };
        let word = |name: &str| -> String {
            name.trim()
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect()
        };
        found.extend(names.into_iter().map(|name| (line, word(name))));
    }
    found
}
