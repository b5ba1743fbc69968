//! Words for hints: the nearest known word, and offending text made fit to be shown.
//!
//! Owns how near is near enough and how much of a stranger's text is repeated. Must not know where
//! the words come from.

/// Offending text is repeated up to this many characters, so that one message stays readable.
pub const QUOTED_MAX: usize = 200;
/// Messages and paths are cut here: several quotes and some words.
const CLIPPED_MAX: usize = 1000;
/// A hint lists at most this many words; more are not read.
const LISTED_MAX: usize = 24;
/// Jaro-Winkler similarity from which a word is taken for a slip of the known one.
const NEAR: f64 = 0.84;

/// The text in quotes, capped, with control characters made visible, so that nothing a file says
/// reaches a terminal as a command.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut shown = String::from("\"");
    for (count, character) in text.chars().enumerate() {
        if count == QUOTED_MAX {
            shown.push('…');
            break;
        }
        if character.is_control() {
            shown.extend(character.escape_debug());
        } else {
            shown.push(character);
        }
    }
    shown.push('"');
    shown
}

/// A message or path, cut where nobody would read on.
#[must_use]
pub fn clipped(text: &str) -> String {
    match text.char_indices().nth(CLIPPED_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The known word that somebody most likely meant.
#[must_use]
pub fn nearest<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    // Distances are quadratic in length; nothing this long is a slip of a known word.
    if word.is_empty() || word.chars().count() > QUOTED_MAX {
        return None;
    }
    let wanted = word.to_lowercase();
    let mut best: Option<(f64, &str)> = None;
    for candidate in known {
        let score = strsim::jaro_winkler(&wanted, &candidate.to_lowercase());
        if score >= NEAR && best.is_none_or(|(top, _)| score > top) {
            best = Some((score, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// `did you mean "x"?`, else the list of what may be written, else `otherwise`.
#[must_use]
pub fn meant<'w>(
    word: &str,
    known: impl IntoIterator<Item = &'w str> + Clone,
    otherwise: &str,
) -> String {
    if let Some(near) = nearest(word, known.clone()) {
        return format!("did you mean {near:?}?");
    }
    let mut words: Vec<&str> = known.into_iter().collect();
    if words.is_empty() {
        return otherwise.to_owned();
    }
    let more = words.len().saturating_sub(LISTED_MAX);
    words.truncate(LISTED_MAX);
    let tail = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    format!("{otherwise}: {}{tail}", words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::{meant, nearest, quoted};

    #[test]
    fn the_nearest_word_or_the_list() {
        assert_eq!(nearest("agnets", ["agents", "roles"]), Some("agents"));
        assert_eq!(nearest("Wall", ["gpu", "wall"]), Some("wall"));
        assert_eq!(nearest("zebra", ["agents", "roles"]), None);
        assert_eq!(nearest("", ["agents"]), None);
        assert_eq!(
            meant("zzz", ["a", "b"], "write one of"),
            "write one of: a, b"
        );
        assert_eq!(meant("zzz", [], "define it"), "define it");
        assert_eq!(meant("agnets", ["agents"], ""), "did you mean \"agents\"?");
    }

    #[test]
    fn quotes_are_short_and_harmless() {
        assert_eq!(quoted("a\u{1b}[31m\n"), "\"a\\u{1b}[31m\\n\"");
        assert_eq!(quoted(&"x".repeat(1000)).chars().count(), 203);
    }
}
