//! What texts may say: names, paths, globs, patterns, variables, addresses.
//!
//! Owns the shape of each and the hint for what is out of shape. Paths are resolved here, by their
//! words alone. Must not know keys, nor whether anything named exists.

use std::path::{Component, Path, PathBuf};

use super::item::Item;
use super::sheet::Sheet;
use crate::domain::chart::{NAME_MAX, RESERVED_NAMES};
use crate::domain::suggest::quoted;

/// Why this cannot be a name; names become branches, directories, addresses and pane titles.
pub(super) fn name_flaw(name: &str) -> Option<String> {
    let first = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let inner = |c: char| first(c) || matches!(c, '-' | '_' | '.');
    if name.chars().count() > NAME_MAX {
        return Some(format!("is longer than {NAME_MAX} characters"));
    }
    if !name.starts_with(first) {
        return Some("does not begin with a small letter or a digit".to_owned());
    }
    if let Some(bad) = name.chars().find(|c| !inner(*c)) {
        return Some(format!("holds {}", quoted(&bad.to_string())));
    }
    // Git refuses branches of such names.
    if name.contains("..") || name.ends_with('.') || name.ends_with(".lock") {
        return Some("holds \"..\", or ends with \".\" or \".lock\"".to_owned());
    }
    RESERVED_NAMES
        .contains(&name)
        .then(|| "is reserved".to_owned())
}

/// The nearest thing to this that may be a name.
fn tame(name: &str) -> String {
    let letters = name.to_lowercase();
    let safe = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let tame: String = letters.chars().map(safe).take(NAME_MAX - 2).collect();
    let tame = tame.trim_matches('-').to_owned();
    match name_flaw(&tame) {
        None => tame,
        Some(_) if RESERVED_NAMES.contains(&tame.as_str()) => format!("{tame}-1"),
        Some(_) => "alpha".to_owned(),
    }
}

/// Judges a name that stands anywhere.
pub(super) fn name(sheet: &mut Sheet<'_>, path: &str, at: usize, name: &str) {
    if let Some(flaw) = name_flaw(name) {
        let hint = format!(
            "write a name such as {:?}: a-z, 0-9, -, _ and .",
            tame(name)
        );
        sheet.problem(path, at, format!("the name {} {flaw}", quoted(name)), hint);
    }
}

/// Whether this can name an environment variable.
fn is_variable(name: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit())
}

/// Judges the name of an environment variable that a chart sets.
pub(super) fn env_name(sheet: &mut Sheet<'_>, path: &str, at: usize, name: &str) {
    use crate::domain::chart::RESERVED_VARIABLES;
    let hint = "write a name such as \"MY_VARIABLE\": letters, digits and _".to_owned();
    if !is_variable(name) {
        sheet.problem(
            path,
            at,
            format!("{} is no name of a variable", quoted(name)),
            hint,
        );
    } else if RESERVED_VARIABLES.contains(&name) {
        let message = format!("the variable {name} is set by org itself");
        sheet.problem(
            path,
            at,
            message,
            "take it out, or choose another name".to_owned(),
        );
    }
}

/// The name of a variable that is handed over or read.
pub(super) fn variable(sheet: &mut Sheet<'_>, item: &Item<'_>) -> Option<String> {
    let text = item.text(sheet)?;
    env_name(sheet, &item.path, item.span.start, &text);
    Some(text)
}

/// The name of a variable that holds a key. What stands here by mistake may be the key itself, so
/// it is not repeated.
pub(super) fn key_variable(sheet: &mut Sheet<'_>, item: &Item<'_>) -> Option<String> {
    let text = item.text(sheet)?;
    if !text.is_empty() && !is_variable(&text) {
        let message = format!("{} is no name of a variable", item.path);
        let hint = "write the name of the variable that holds the key, as \"LOCAL_API_KEY\"";
        item.problem(sheet, message, hint.to_owned());
    }
    Some(text)
}

/// The absolute path of a file on this machine.
pub(super) fn path(sheet: &mut Sheet<'_>, item: &Item<'_>) -> Option<PathBuf> {
    let text = item.text(sheet)?;
    match absolute(&text, sheet.base_of(item.span.start), sheet.context.home) {
        Ok(path) => Some(path),
        Err(why) => {
            let hint = "write an absolute path, or one relative to the chart".to_owned();
            item.problem(
                sheet,
                format!("{} = {} {why}", item.path, quoted(&text)),
                hint,
            );
            None
        }
    }
}

/// A repository: an address stays as it is, a path becomes absolute.
pub(super) fn repository(sheet: &mut Sheet<'_>, item: &Item<'_>) -> Option<String> {
    let text = item.text(sheet)?;
    if is_address(&text) {
        return Some(text);
    }
    path(sheet, item).and_then(|path| path.to_str().map(str::to_owned))
}

/// Whether a repository is elsewhere: `https://…`, `git@host:path`.
pub(in crate::domain) fn is_address(text: &str) -> bool {
    let host = text.split(['/', ':']).next().unwrap_or_default();
    text.contains("://") || (host.contains('@') && text[host.len()..].starts_with(':'))
}

/// The path, against the chart's directory. A leading `..` is resolved by name, which is exact
/// since the directory is absolute; one further in is the file system's, for links may be in its way.
pub(super) fn absolute(
    text: &str,
    base: &Path,
    home: Option<&Path>,
) -> Result<PathBuf, &'static str> {
    let joined = if text == "~" || text.starts_with("~/") {
        let home = home.ok_or("is in the home directory, and HOME is not set")?;
        home.join(text[1..].trim_start_matches('/'))
    } else if text.starts_with('~') {
        return Err("is in somebody's home directory, which only a shell can find");
    } else {
        let mut at = base.to_path_buf();
        let mut leading = true;
        for component in Path::new(text).components() {
            match component {
                Component::CurDir => {}
                Component::ParentDir if leading => {
                    at.pop();
                }
                other => {
                    leading = false;
                    at.push(other);
                }
            }
        }
        at
    };
    if joined.to_str().is_none() {
        return Err("is in a directory whose name is not UTF-8");
    }
    Ok(joined)
}

/// Judges a glob within a repository or an output directory.
pub(super) fn glob(sheet: &mut Sheet<'_>, item: &Item<'_>) -> Option<String> {
    let text = item.text(sheet)?;
    let upward = text.split('/').any(|part| part == "..");
    if text.starts_with(['/', '~']) || upward {
        let message = format!("{} = {} leaves the directory", item.path, quoted(&text));
        item.problem(
            sheet,
            message,
            "write a path within it, as \"src/model.py\" or \"*.json\"".to_owned(),
        );
    }
    Some(text)
}

/// The globs of a list.
pub(super) fn globs(sheet: &mut Sheet<'_>, items: Option<Vec<Item<'_>>>) -> Vec<String> {
    items
        .unwrap_or_default()
        .iter()
        .filter_map(|item| glob(sheet, item))
        .collect()
}

/// The paths of a list.
pub(super) fn paths(sheet: &mut Sheet<'_>, items: Option<Vec<Item<'_>>>) -> Option<Vec<PathBuf>> {
    Some(items?.iter().filter_map(|item| path(sheet, item)).collect())
}

/// A pattern that compiles and has at least so many groups.
pub(super) fn pattern(sheet: &mut Sheet<'_>, item: &Item<'_>, groups: usize) -> Option<String> {
    let text = item.text(sheet)?;
    if sheet.context.frozen {
        return Some(text);
    }
    match regex::Regex::new(&text) {
        Err(error) => {
            let said = error.to_string();
            let reason = said
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: ")
                .to_owned();
            let message = format!("{} = {} is no regex: {reason}", item.path, quoted(&text));
            let hint =
                "write a regex in single quotes, as 'loss: ([0-9.]+)'; \\( is a bracket itself";
            item.problem(sheet, message, hint.to_owned());
        }
        Ok(regex) if regex.captures_len() <= groups => {
            let (many, example) = if groups == 1 {
                ("a group around the value", "'loss: ([0-9.]+)'")
            } else {
                ("two groups, done and total", "'step (\\d+)/(\\d+)'")
            };
            let message = format!("{} = {} lacks {many}", item.path, quoted(&text));
            item.problem(
                sheet,
                message,
                format!("put brackets around it, as {example}"),
            );
        }
        Ok(_) => {}
    }
    Some(text)
}

/// The address of a model server.
pub(super) fn base_url(sheet: &mut Sheet<'_>, item: &Item<'_>) -> Option<String> {
    let text = item.text(sheet)?;
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    let flaw = match host {
        None => Some("is no http or https address"),
        Some("") => Some("has no host"),
        Some(host) if host.contains('@') => Some("carries a name or a key"),
        Some(_) if text.contains(|c: char| c.is_whitespace() || c.is_control()) => {
            Some("holds a blank")
        }
        Some(_) if text.contains(['?', '#']) => Some("has a query or a fragment"),
        Some(_) => None,
    };
    if let Some(flaw) = flaw {
        // An address with a key in it is not repeated.
        let shown = if host.is_some_and(|host| host.contains('@')) {
            "\"…\"".to_owned()
        } else {
            quoted(&text)
        };
        let hint = "write an address such as \"http://127.0.0.1:8000/v1\"".to_owned();
        item.problem(sheet, format!("{} = {shown} {flaw}", item.path), hint);
    }
    Some(text)
}

/// A branch, as far as its words tell.
pub(super) fn branch(sheet: &mut Sheet<'_>, item: &Item<'_>) -> Option<String> {
    let text = item.text(sheet)?;
    let odd = |c: char| c.is_whitespace() || c.is_control() || "~^:?*[\\".contains(c);
    if text.starts_with(['-', '/'])
        || text.contains("..")
        || text.contains(odd)
        || text.ends_with(['/', '.'])
    {
        let message = format!("{} = {} is no branch", item.path, quoted(&text));
        item.problem(sheet, message, "write a branch such as \"main\"".to_owned());
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{absolute, is_address, name_flaw, tame};

    #[test]
    fn names() {
        for good in ["a", "claude-1", "gpt-6.2", "0_x"] {
            assert_eq!(name_flaw(good), None, "{good}");
        }
        for bad in [
            "", "A", "-a", "a/b", "a b", "a..b", "a.", "a.lock", "human", "all", "ä", "a\n",
        ] {
            assert!(name_flaw(bad).is_some(), "{bad:?}");
            assert_eq!(name_flaw(&tame(bad)), None, "{bad:?}");
        }
        assert_eq!(tame("Chief Scientist"), "chief-scientist");
    }

    #[test]
    fn paths() {
        let (base, home) = (Path::new("/lab/orgs"), Some(Path::new("/home/ana")));
        let at = |text| absolute(text, base, home).map(|path| path.to_string_lossy().into_owned());
        assert_eq!(at("x.md").as_deref(), Ok("/lab/orgs/x.md"));
        assert_eq!(at("../prompts/./x.md").as_deref(), Ok("/lab/prompts/x.md"));
        assert_eq!(
            at("a/../b").as_deref(),
            Ok("/lab/orgs/a/../b"),
            "a may be a link"
        );
        assert_eq!(at("/etc/x").as_deref(), Ok("/etc/x"));
        assert_eq!(at("~/src").as_deref(), Ok("/home/ana/src"));
        assert_eq!(at("~").as_deref(), Ok("/home/ana/"));
        assert!(at("~bob/x").is_err());
        assert!(absolute("~/x", base, None).is_err());
        assert!(
            is_address("https://h/x.git") && is_address("git@h:x.git") && is_address("file:///x")
        );
        assert!(!is_address("../x") && !is_address("a:b") && !is_address("/a@b:c"));
    }
}
