//! Braces in a script's text: which are replaced by what was captured, and which are literal.
//!
//! Owns substitution in text and in `expect`, for checking and for playing alike. Must not know
//! steps or positions.

use std::collections::BTreeMap;

use regex::Regex;

/// What earlier `expect`s of a script captured, by name.
pub(super) type Captures = BTreeMap<String, String>;

/// Text with `{name}` replaced where `name` was captured; what is put in is not looked at again.
pub(super) fn fill(text: &str, captures: &Captures) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        filled.push_str(&rest[..open]);
        rest = &rest[open..];
        if let Some((value, after)) = captured_at(rest, captures) {
            filled.push_str(value);
            rest = after;
        } else {
            filled.push('{');
            rest = &rest[1..];
        }
    }
    filled.push_str(rest);
    filled
}

/// The regex of an `expect`: captured names put in, escaped, and every brace that is not regex
/// syntax (`\d{4}`, `\p{L}`) made literal, so that `{"loss"` can be written as it is received.
pub(super) fn source(pattern: &str, captures: &Captures) -> String {
    let mut source = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        let plain = first.len_utf8();
        let taken = match first {
            '\\' => {
                let taken = escape_length(rest);
                source.push_str(&rest[..taken]);
                taken
            }
            '{' => {
                if let Some((value, after)) = captured_at(rest, captures) {
                    source.push_str(&regex::escape(value));
                    rest.len() - after.len()
                } else if let Some(taken) = quantifier_length(rest) {
                    source.push_str(&rest[..taken]);
                    taken
                } else {
                    source.push_str(r"\{");
                    plain
                }
            }
            _ => {
                source.push(first);
                plain
            }
        };
        rest = &rest[taken..];
    }
    source
}

/// The compiled regex of an `expect`.
pub(super) fn compile(pattern: &str, captures: &Captures) -> Result<Regex, regex::Error> {
    Regex::new(&source(pattern, captures))
}

/// The value of the `{name}` that `text` begins with, and what follows it.
fn captured_at<'a, 'c>(text: &'a str, captures: &'c Captures) -> Option<(&'c str, &'a str)> {
    let (name, after) = text.strip_prefix('{')?.split_once('}')?;
    captures.get(name).map(|value| (value.as_str(), after))
}

/// Bytes of the escape that `text` begins with, its braces included (`\p{Greek}`, `\x{1F600}`).
fn escape_length(text: &str) -> usize {
    let Some(escaped) = text[1..].chars().next() else {
        return 1;
    };
    let short = 1 + escaped.len_utf8();
    let takes_braces = matches!(escaped, 'p' | 'P' | 'x' | 'u' | 'U' | 'b');
    if !takes_braces || !text[short..].starts_with('{') {
        return short;
    }
    text[short..]
        .find('}')
        .map_or(short, |close| short + close + 1)
}

/// Bytes of the `{n}`, `{n,}` or `{n,m}` that `text` begins with.
fn quantifier_length(text: &str) -> Option<usize> {
    let (inside, _) = text.strip_prefix('{')?.split_once('}')?;
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let quantifies = match inside.split_once(',') {
        None => !inside.is_empty() && is_number(inside),
        Some((least, most)) => !least.is_empty() && is_number(least) && is_number(most),
    };
    quantifies.then_some(inside.len() + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captures() -> Captures {
        [("h", "h1.*"), ("b", "{h}")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into()
    }

    #[test]
    fn only_captured_names_are_replaced_in_text() {
        for (text, filled) in [
            ("is {h}.", "is h1.*."),
            ("{b}{h}", "{h}h1.*"),
            ("{x} {} {", "{x} {} {"),
            ("{{h}}", "{h1.*}"),
            ("{ {h}", "{ h1.*"),
        ] {
            assert_eq!(fill(text, &captures()), filled);
        }
    }

    #[test]
    fn in_a_pattern_captures_are_escaped_and_stray_braces_literal() {
        for (pattern, regex) in [
            ("{h} x", r"h1\.\* x"),
            (r"\d{4}", r"\d{4}"),
            (r"a{2,}b{,3}c{1,2}", r"a{2,}b\{,3}c{1,2}"),
            (r"\p{Greek}", r"\p{Greek}"),
            (r"\{h}", r"\{h}"),
            (r#"\{"loss": {x}"#, r#"\{"loss": \{x}"#),
            (r#"{"ok""#, r#"\{"ok""#),
            ("é{h}é", r"éh1\.\*é"),
            ("{,}", r"\{,}"),
        ] {
            assert_eq!(source(pattern, &captures()), regex);
            assert!(compile(pattern, &captures()).is_ok(), "{pattern}");
        }
    }
}
