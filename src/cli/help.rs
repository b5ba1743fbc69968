//! The first page of help: commands in groups.
//!
//! Owns the groups. Every visible command stands in exactly one, which a test holds. Must not know
//! what a command does.

use std::fmt::Write as _;

use clap::{Command, CommandFactory as _};

use super::Cli;

/// Groups in the order of a person's day.
const GROUPS: [(&str, &[&str]); 5] = [
    (
        "Run it",
        &[
            "init", "check", "doctor", "plan", "up", "down", "pause", "resume", "restart", "budget",
        ],
    ),
    (
        "Watch it",
        &[
            "ls", "status", "watch", "attach", "next", "logs", "costs", "wait",
        ],
    ),
    (
        "Talk to it",
        &["send", "inbox", "approve", "deny", "cancel", "take"],
    ),
    (
        "Learn from it",
        &[
            "try",
            "ledger",
            "report",
            "compare",
            "tournament",
            "replay",
            "land",
            "gc",
        ],
    ),
    ("Plumbing", &["schema", "prompt", "completions"]),
];

/// The command line, with its first page.
#[must_use]
pub(super) fn command() -> Command {
    let command = Cli::command();
    let mut page = "{about-with-newline}\n{usage-heading} {usage}\n".to_owned();
    for (title, names) in GROUPS {
        write!(page, "\n\x1b[1;4m{title}:\x1b[0m\n").expect("a string takes everything");
        for name in names {
            let about = command
                .find_subcommand(name)
                .and_then(Command::get_about)
                .map(ToString::to_string)
                .unwrap_or_default();
            writeln!(page, "  \x1b[1m{name:<12}\x1b[0m {about}")
                .expect("a string takes everything");
        }
    }
    page.push_str("\n\x1b[1;4mOptions:\x1b[0m\n{options}{after-help}");
    command.help_template(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_visible_command_stands_in_one_group() {
        let mut grouped: Vec<&str> = GROUPS
            .iter()
            .flat_map(|(_, names)| *names)
            .copied()
            .collect();
        grouped.sort_unstable();
        let command = Cli::command();
        let mut visible: Vec<&str> = command
            .get_subcommands()
            .filter(|command| !command.is_hide_set())
            .map(Command::get_name)
            .collect();
        visible.sort_unstable();
        assert_eq!(grouped, visible);
    }

    #[test]
    fn all_help_texts() {
        let mut pages = String::new();
        let mut command = command().term_width(80);
        command.build();
        pages.push_str(&command.render_help().to_string());
        for sub in command.get_subcommands_mut() {
            if sub.get_name() == "help" {
                continue;
            }
            let title = sub.get_name().to_owned();
            let help = sub.render_long_help();
            write!(pages, "\n---------- org {title}\n{help}").expect("a string takes everything");
        }
        insta::assert_snapshot!(pages);
    }

    #[test]
    fn first_lines_are_imperative_and_have_no_full_stop() {
        for sub in Cli::command().get_subcommands() {
            let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
            assert!(!about.is_empty() && !about.ends_with('.'), "{about:?}");
            assert!(about.starts_with(char::is_uppercase), "{about:?}");
        }
    }
}
