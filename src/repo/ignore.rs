//! What a snapshot leaves out: the `.gitignore` files of a worktree, read as plain text, and the few
//! caches that no one ever means. An agent writes those files, and may so hide its own new files
//! from its own snapshot; a file that is already in the commit before is never hidden. The rules
//! in the agent's `.git` and in the person's configuration are not looked at.

use crate::domain::glob;

/// Left out wherever they are, unless they are in the commit before. Without this a first
/// `python3 train.py` would put byte code into the diff of a claim, and the claim be refused for it.
pub(super) const NEVER_SOURCE: [&str; 9] = [
    "__pycache__",
    "*.pyc",
    ".venv",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
    ".ipynb_checkpoints",
    ".DS_Store",
    "*.swp",
];

/// How much of a `.gitignore` is taken in: every rule is tried on every name.
pub(super) const MAX_BYTES: u64 = 64 * 1024;
const MAX_RULES: usize = 1000;

struct Rule {
    pattern: String,
    negated: bool,
    dirs_only: bool,
    /// Counts from the directory of its file; else the last part of the path alone counts.
    anchored: bool,
}

/// The rules of the directories from the root to where a walk is.
#[derive(Default)]
pub(super) struct Ignores {
    levels: Vec<(String, Vec<Rule>)>,
}

impl Ignores {
    /// Takes in the `.gitignore` of `dir` (its path from the root, empty for the root), forgetting
    /// those of directories that the walk has left.
    pub(super) fn enter(&mut self, dir: &str, text: &str) {
        self.leave_for(dir);
        let rules: Vec<Rule> = text.lines().filter_map(rule).take(MAX_RULES).collect();
        if !rules.is_empty() {
            self.levels.push((dir.to_owned(), rules));
        }
    }

    /// Whether the rules leave `path` out, if nothing above it is left out.
    pub(super) fn ignores(&mut self, path: &str, is_dir: bool) -> bool {
        self.leave_for(path);
        let name = path.rsplit('/').next().unwrap_or(path);
        for (dir, rules) in self.levels.iter().rev() {
            let below = path
                .get(dir.len()..)
                .unwrap_or(path)
                .trim_start_matches('/');
            let decides = |rule: &&Rule| {
                (is_dir || !rule.dirs_only)
                    && if rule.anchored {
                        glob::names(&rule.pattern, below)
                    } else {
                        glob::part_matches(&rule.pattern, name)
                    }
            };
            if let Some(rule) = rules.iter().rev().find(decides) {
                return !rule.negated;
            }
        }
        NEVER_SOURCE
            .iter()
            .any(|pattern| glob::part_matches(pattern, name))
    }

    fn leave_for(&mut self, path: &str) {
        self.levels.retain(|(dir, _)| {
            dir.is_empty()
                || path
                    .strip_prefix(dir.as_str())
                    .is_some_and(|rest| rest.starts_with('/'))
        });
    }
}

fn rule(line: &str) -> Option<Rule> {
    let line = line.trim_end_matches('\r');
    let mut text = line.trim_end_matches(' ');
    if text.len() < line.len() && text.ends_with('\\') {
        text = &line[..=text.len()];
    }
    if text.starts_with('#') {
        return None;
    }
    let (negated, text) = match text.strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (dirs_only, text) = match text.strip_suffix('/') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if text.is_empty() {
        return None;
    }
    Some(Rule {
        anchored: text.contains('/'),
        pattern: text.to_owned(),
        negated,
        dirs_only,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_those_of_git() {
        let mut ignores = Ignores::default();
        ignores.enter(
            "",
            "# words\n*.log\n!keep.log\nbuild/\n/top\nsub/x\ndoc/**/*.html\n\\#odd\n",
        );
        let rows = [
            ("a.log", false, true),
            ("deep/a.log", false, true),
            ("keep.log", false, false),
            ("build", true, true),
            ("build", false, false),
            ("top", false, true),
            ("deep/top", false, false),
            ("sub/x", false, true),
            ("deep/sub/x", false, false),
            ("doc/a/b.html", false, true),
            ("#odd", false, true),
            ("a/__pycache__", true, true),
            ("train.py", false, false),
        ];
        for (path, is_dir, expected) in rows {
            assert_eq!(ignores.ignores(path, is_dir), expected, "{path}");
        }
    }

    #[test]
    fn a_deeper_file_overrules_and_ends_with_its_directory() {
        let mut ignores = Ignores::default();
        ignores.enter("", "*.txt\n");
        ignores.enter("a", "!b.txt\nc\n");
        assert!(!ignores.ignores("a/b.txt", false));
        assert!(ignores.ignores("a/c", false));
        assert!(ignores.ignores("ab/b.txt", false));
        assert!(!ignores.ignores("c", false));
    }
}
