//! What begins with `/` on the input line. Owns the names and what they take; must not know how a
//! command is carried out.

use crate::domain::suggest;

/// The commands, with what they take and do, as `/help` tells them.
pub(crate) const COMMANDS: [(&str, &str, &str); 10] = [
    (
        "/pause",
        "",
        "ask its model nothing more; experiments go on",
    ),
    ("/resume", "", "let it go on"),
    (
        "/interrupt",
        "[WORDS]",
        "stop its reply and its tool, and say this; so does ! in front",
    ),
    (
        "/mail",
        "[m7]",
        "its latest messages, or one of them in full",
    ),
    ("/ledger", "", "what was claimed, and what came of it"),
    ("/hypothesis", "", "the claim that it is at"),
    (
        "/cancel",
        "",
        "withdraw the claim that it is at, with its runs; Ctrl-X types this",
    ),
    (
        "/budget",
        "",
        "what it and the run have spent, and the caps",
    ),
    (
        "/model",
        "[NAME]",
        "its model, or another one, in a new conversation",
    ),
    (
        "/help",
        "",
        "this list; // in front sends a text that begins with /",
    ),
];

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Stop asking its model.
    Pause,
    /// Go on.
    Resume,
    /// Stop what it does, and say this, where there is something to say.
    Interrupt(Option<String>),
    /// Its latest messages, or one of them.
    Mail(Option<u64>),
    /// All claims.
    Ledger,
    /// The claim that it is at.
    Hypothesis,
    /// Withdraw the claim that it is at.
    Cancel,
    /// What was spent.
    Budget,
    /// Its model, or the one to go on with.
    Model(Option<String>),
    /// The commands.
    Help,
}

/// The command on a line; none where it is a text. What is wrong is said in a line.
pub(crate) fn parse(line: &str) -> Option<Result<Command, String>> {
    let line = line.trim();
    if !line.starts_with('/') || line.starts_with("//") {
        return None;
    }
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    let command = match (name, rest) {
        ("/pause", "") => Command::Pause,
        ("/resume", "") => Command::Resume,
        ("/interrupt", "") => Command::Interrupt(None),
        ("/interrupt", words) => Command::Interrupt(Some(words.to_owned())),
        ("/mail", "") => Command::Mail(None),
        ("/mail", id) => match id.trim_start_matches('m').parse() {
            Ok(id) => Command::Mail(Some(id)),
            Err(_) => return Some(Err("/mail takes the number of a message, as m7".to_owned())),
        },
        ("/ledger", "") => Command::Ledger,
        ("/hypothesis", "") => Command::Hypothesis,
        ("/cancel", "") => Command::Cancel,
        ("/budget", "") => Command::Budget,
        ("/model", "") => Command::Model(None),
        ("/model", name) => Command::Model(Some(name.to_owned())),
        ("/help", _) => Command::Help,
        (name, _) if COMMANDS.iter().any(|(known, ..)| *known == name) => {
            return Some(Err(format!("{name} takes nothing")));
        }
        (name, _) => return Some(Err(unknown(name))),
    };
    Some(Ok(command))
}

fn unknown(name: &str) -> String {
    let known = COMMANDS.iter().map(|(known, ..)| *known);
    let near = suggest::nearest(name, known);
    let short: String = name.chars().take(20).collect();
    match near {
        Some(near) => format!("no command {short}: {near}? not sent; // sends it as text"),
        None => format!("no command {short}; /help lists them; not sent, // sends it as text"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_command_or_a_text_and_never_both() {
        for text in ["hello", "//etc is a path", "  a /pause", "!stop"] {
            assert_eq!(parse(text), None, "{text}");
        }
        for (line, command) in [
            ("/pause", Command::Pause),
            (
                " /interrupt  stop that\nnow ",
                Command::Interrupt(Some("stop that\nnow".to_owned())),
            ),
            ("/interrupt", Command::Interrupt(None)),
            ("/mail", Command::Mail(None)),
            ("/mail m12", Command::Mail(Some(12))),
            (
                "/model claude-x",
                Command::Model(Some("claude-x".to_owned())),
            ),
            ("/help me", Command::Help),
        ] {
            assert_eq!(parse(line), Some(Ok(command)), "{line}");
        }
        for line in ["/puase", "/etc/passwd", "/pause now", "/mail soon", "/"] {
            let said = parse(line).expect("a command").expect_err(line);
            assert!(said.len() < 100, "{said}");
        }
        assert!(unknown("/puase").contains("/pause"));
        for (name, takes, _) in COMMANDS {
            let line = format!("{name} {}", takes.trim_matches(['[', ']']));
            assert!(matches!(parse(&line), Some(Ok(_))), "{line}");
        }
    }
}
