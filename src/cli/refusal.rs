//! What the argument parser refuses, in the form of all our failures.
//!
//! Owns the translation of the parser's words, whose own form has another shape.

use clap::error::{ContextKind, ErrorKind};

use super::failure::Failure;

/// Commands that nobody should be led to by a slip of the finger.
const HIDDEN: [&str; 5] = ["'supervise'", "'agent'", "'pane'", "'job'", "'mock'"];

/// The failure that a parse error is.
#[must_use]
pub(super) fn of(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return Failure::usage("no command was given", "`org --help` lists them");
    }
    let mut message = Vec::new();
    let mut tips = Vec::new();
    let mut telling = true;
    for line in text.lines() {
        let words = line.trim();
        if let Some(tip) = words.strip_prefix("tip: ") {
            if !HIDDEN.iter().any(|name| tip.ends_with(name)) {
                tips.push(tip.to_owned());
            }
        } else if words.starts_with("Usage:") || words.starts_with("For more information") {
            break;
        } else if words.is_empty() {
            telling = message.is_empty();
        } else if telling {
            message.push(words.strip_prefix("error: ").unwrap_or(words).to_owned());
        }
    }
    tips.push(format!("`{} --help` shows what it takes", program(error)));
    Failure::usage(message.join(" "), tips.join("; "))
}

/// The command whose help fits.
fn program(error: &clap::Error) -> String {
    let usage = error.get(ContextKind::Usage).map(ToString::to_string);
    let words: Vec<String> = usage
        .unwrap_or_default()
        .split_whitespace()
        .skip_while(|word| *word != "org")
        .take(2)
        .filter(|word| word.chars().all(|c| c.is_ascii_lowercase()))
        .map(str::to_owned)
        .collect();
    if words.is_empty() {
        "org".to_owned()
    } else {
        words.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::help;

    fn refused(words: &[&str]) -> (String, String) {
        let error = help::command()
            .try_get_matches_from(words)
            .expect_err("refused");
        let failure = of(&error);
        assert_eq!(failure.code(), 2);
        (failure.message, failure.hint)
    }

    #[test]
    fn says_what_is_wrong_and_where_to_look() {
        let (message, hint) = refused(&["org", "up"]);
        assert!(message.contains("<CHART>"), "{message}");
        assert_eq!(hint, "`org up --help` shows what it takes");
        let (message, hint) = refused(&["org", "statsu"]);
        assert!(message.contains("'statsu'"), "{message}");
        assert!(hint.contains("'status'"), "{hint}");
        let (message, hint) = refused(&["org", "up", "a.toml", "--mocked"]);
        assert!(message.contains("--mocked") && hint.contains("--mock"));
        let (message, _) = refused(&["org", "up", "a.toml", "--resume", "x"]);
        assert!(message.contains("cannot be used with"), "{message}");
        assert!(!refused(&["org", "frob"]).1.contains("job"));
        assert_eq!(refused(&["org"]).0, "no command was given");
    }
}
