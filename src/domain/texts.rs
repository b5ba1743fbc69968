//! What models read beside their system prompt: messages of the harness, and the words about tools.
//!
//! Owns which texts there are and which values each may name; the words themselves stand in
//! `prompts/`, and whoever changes them is told at once what does not fit. A text that a file lacks is
//! the built-in one. Must not know who sends a text, nor where the files lie.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::problem::line_column;
use super::suggest::{meant, quoted};
use super::template;

const MESSAGES: &str = include_str!("../../prompts/messages.toml");
/// The brief is long enough to be a prompt of its own.
const BRIEF: &str = include_str!("../../prompts/brief.md");
const TOOLS: &str = include_str!("../../prompts/tools.toml");

/// Why a file of texts cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextsError {
    /// It is not TOML, or not a table of texts.
    #[error("line {line}: {message}")]
    Syntax {
        /// Where.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// It has a text that nobody reads.
    #[error("unknown text {name}: {hint}")]
    Unknown {
        /// Its name, quoted.
        name: String,
        /// What may be meant.
        hint: String,
    },
    /// A text names a value that it is not given.
    #[error("text {name:?}: {flaw}; {}", .flaw.hint)]
    Template {
        /// Its name.
        name: String,
        /// What is wrong.
        flaw: template::TemplateError,
    },
    /// A text is not there.
    #[error("text {name:?} is missing")]
    Missing {
        /// Its name.
        name: String,
    },
}

/// The messages there are, each with the values that it is given.
macro_rules! keys {
    ($($(#[$doc:meta])+ $variant:ident $name:literal [$($value:literal)*];)+) => {
        /// A message.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Key {
            $($(#[$doc])+ $variant,)+
        }

        impl Key {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Its name in the file.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The values that it is given.
            #[must_use]
            pub fn values(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($value),*],)+ }
            }
        }
    };
}

keys! {
    /// The first text of an agent's first conversation.
    FirstTurn "first_turn" ["agent.name" "mission" "brief"];
    /// The state of the organisation, in a few lines.
    Brief "brief" ["standing" "best" "open_claims" "dead_ends" "assignments" "team"];
    /// A letter in its envelope.
    Mail "mail" ["id" "from" "to" "subject" "at" "body"];
    /// What a person typed.
    Human "human" ["at" "text"];
    /// A person stopped the turn to say something.
    Interrupted "interrupted" ["text"];
    /// The answer to a call whose outcome nobody saw.
    UnknownOutcome "unknown_outcome" ["tool" "partial"];
    /// The answer to a call that was cut off.
    TruncatedCall "truncated_call" ["tool"];
    /// The answer to a call whose arguments do not fit.
    BadArguments "bad_arguments" ["tool" "problem"];
    /// The answer to a call of a tool that the agent lacks.
    UnknownTool "unknown_tool" ["tool" "tools"];
    /// A call that was made again and again, with the same result.
    Repeated "repeated" ["tool" "times"];
    /// A cap is near.
    NearCap "near_cap" ["whom" "spent" "cap"];
    /// The nudge for an idle agent.
    Continue "continue" ["brief"];
    /// Body of the lab's mail on a run without a claim.
    ExperimentResult "experiment_result"
        ["id" "status" "commit" "metric" "value" "seconds" "flops" "params" "tokens" "tail"];
    /// Body of the lab's mail on a claim.
    Verdict "verdict"
        ["id" "title" "status" "reason" "effect" "ci" "p" "baseline" "candidate" "ratios"];
    /// Body of the mail that gives a task.
    Assignment "assignment" ["task" "from"];
    /// The first text of a later conversation.
    Handover "handover" ["mission" "notebook" "done" "brief"];
    /// Asks for the summary that the next conversation starts from.
    Compact "compact" [];
    /// Stands in the middle of long output.
    OutputElided "output_elided" ["bytes" "path"];
    /// The answer to a command that runs on.
    InBackground "in_background" ["job" "path" "seconds"];
    /// What a person changed while it sat at the agent's desk.
    Taken "taken" ["files" "commit"];
    /// A person sat at the agent's desk, had stopped it for that, and changed nothing.
    GivenBack "given_back" [];
    /// What a person says who stops an agent without a word.
    Stop "stop" [];
    /// The answer to an edit that found nothing.
    EditNone "edit_none" ["path" "closest"];
    /// The answer to an edit that found too much.
    EditMany "edit_many" ["path" "count" "lines"];
    /// Which files a commit lacks.
    LeftOut "left_out" ["files"];
    /// What the harness measured since some time.
    Digest "digest" ["tried" "runs" "open" "cost" "idle"];
    /// What came back to a process.
    Minutes "minutes" ["process" "number" "answered" "missing" "digest" "answers"];
    /// One answer among those.
    Minute "minute" ["from" "id" "text"];
    /// Put in front of a process's letter that is sent again.
    Reminder "reminder" ["number"];
    /// What the lab has measured of a claim, for a review.
    Evidence "evidence" ["effect" "ci" "p" "test" "baseline" "candidate" "ratios" "runs"];
}

/// The messages of the harness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Texts(BTreeMap<Key, String>);

/// One message, to be filled in.
#[derive(Debug, Clone, Copy)]
pub struct Message<'t> {
    key: Key,
    text: &'t str,
}

impl Texts {
    /// The texts that the program comes with.
    #[must_use]
    pub fn builtin() -> Self {
        let texts = read_messages(MESSAGES).expect("a test reads the built-in messages");
        let texts = Self(texts).with_brief(BRIEF);
        texts.expect("a test reads the built-in brief")
    }

    /// The same with another brief.
    ///
    /// # Errors
    /// [`TextsError`] where it names a value that it is not given.
    pub fn with_brief(mut self, text: &str) -> Result<Self, TextsError> {
        let text = text.trim_end();
        let known = Key::Brief.values();
        if let Some(flaw) = template::flaws(text, known).into_iter().next() {
            let name = Key::Brief.name().to_owned();
            return Err(TextsError::Template { name, flaw });
        }
        self.0.insert(Key::Brief, text.to_owned());
        Ok(self)
    }

    /// The texts of a file, and built-in ones for those that it lacks.
    ///
    /// # Errors
    /// [`TextsError`] where it is no table of texts, or one of them cannot be filled in.
    pub fn parse(text: &str) -> Result<Self, TextsError> {
        let mut texts = Self::builtin();
        texts.0.extend(read_messages(text)?);
        Ok(texts)
    }

    /// The message of that name.
    #[must_use]
    pub fn get(&self, key: Key) -> Message<'_> {
        let text = self.0.get(&key).map_or("", String::as_str);
        Message { key, text }
    }
}

impl Message<'_> {
    /// The message with the values in it; one that is not given stays empty.
    #[must_use]
    pub fn render(&self, values: &[(&str, &str)]) -> String {
        let known = self.key.values();
        debug_assert!(
            values.iter().all(|(name, _)| known.contains(name)),
            "{} is given {values:?}",
            self.key.name()
        );
        let mut all: BTreeMap<&str, String> =
            known.iter().map(|name| (*name, String::new())).collect();
        all.extend(
            values
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned())),
        );
        template::render(self.text, &all).expect("flaws were looked for when it was read")
    }
}

fn read_messages(text: &str) -> Result<BTreeMap<Key, String>, TextsError> {
    let table: BTreeMap<String, String> = toml::from_str(text).map_err(|e| syntax(text, &e))?;
    let mut texts = BTreeMap::new();
    for (name, text) in table {
        let Some(key) = Key::ALL.iter().find(|key| key.name() == name) else {
            return Err(TextsError::Unknown {
                hint: meant(
                    &name,
                    Key::ALL.iter().map(|key| key.name()),
                    "the texts are",
                ),
                name: quoted(&name),
            });
        };
        if let Some(flaw) = template::flaws(&text, key.values()).into_iter().next() {
            return Err(TextsError::Template { name, flaw });
        }
        texts.insert(*key, text);
    }
    Ok(texts)
}

fn syntax(text: &str, error: &toml::de::Error) -> TextsError {
    let at = error.span().map_or(0, |span| span.start);
    TextsError::Syntax {
        line: line_column(text, at).0,
        message: error.message().to_owned(),
    }
}

/// What a model is told of one tool.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolText {
    /// When to use it and what comes back.
    pub description: String,
    /// A line for each argument.
    #[serde(default)]
    pub args: BTreeMap<String, String>,
}

/// What models are told of tools, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolTexts(BTreeMap<String, ToolText>);

impl ToolTexts {
    /// The texts that the program comes with.
    #[must_use]
    pub fn builtin() -> Self {
        let texts = toml::from_str(TOOLS).expect("a test reads the built-in tools");
        Self(texts)
    }

    /// The texts of a file, and built-in ones for the tools that it lacks.
    ///
    /// # Errors
    /// [`TextsError`] where it is no table of tools, names one that is not there, or leaves out an
    /// argument.
    pub fn parse(text: &str) -> Result<Self, TextsError> {
        let table: BTreeMap<String, ToolText> =
            toml::from_str(text).map_err(|e| syntax(text, &e))?;
        let mut texts = Self::builtin();
        for (name, tool) in table {
            let Some(known) = texts.0.get(&name) else {
                let names = texts.0.keys().map(String::as_str);
                return Err(TextsError::Unknown {
                    hint: meant(&name, names, "the tools are"),
                    name: quoted(&name),
                });
            };
            if let Some(missing) = known.args.keys().find(|arg| !tool.args.contains_key(*arg)) {
                return Err(TextsError::Missing {
                    name: format!("{name}.args.{missing}"),
                });
            }
            texts.0.insert(name, tool);
        }
        Ok(texts)
    }

    /// What is said of a tool.
    #[must_use]
    pub fn get(&self, tool: &str) -> Option<&ToolText> {
        self.0.get(tool)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_there_and_names_only_what_it_is_given() {
        let built_in = Texts::builtin().0;
        let missing: Vec<_> = Key::ALL
            .iter()
            .filter(|key| !built_in.contains_key(key))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
        let mail = Texts::builtin().get(Key::Mail).render(&[
            ("id", "m1"),
            ("from", "ana"),
            ("body", "{{ id }}"),
        ]);
        assert!(
            mail.starts_with("<mail id=\"m1\" from=\"ana\"") && mail.contains("\n{{ id }}\n"),
            "values are not read again: {mail}"
        );
    }

    #[test]
    fn a_file_replaces_what_it_has_and_is_told_what_does_not_fit() {
        let texts = Texts::parse("human = 'Hear: {{text}}'").unwrap();
        assert_eq!(texts.get(Key::Human).render(&[("text", "x")]), "Hear: x");
        assert_eq!(
            texts.get(Key::Compact).text,
            Texts::builtin().get(Key::Compact).text
        );
        let brief = texts.with_brief("Now: {{standing}}\n").unwrap();
        assert_eq!(brief.get(Key::Brief).render(&[("standing", "y")]), "Now: y");
        let said = brief.with_brief("{{standng}}").unwrap_err().to_string();
        assert!(said.contains("did you mean \"standing\"?"), "{said}");
        let said = |text: &str| Texts::parse(text).unwrap_err().to_string();
        assert!(said("humn = ''").contains("did you mean \"human\"?"));
        assert!(said("human = '{{txt}}'").contains("did you mean \"text\"?"));
        assert!(said("a = ''\nb = 3").starts_with("line 2"));
        let tools = |text: &str| ToolTexts::parse(text).unwrap_err().to_string();
        assert!(tools("[notes]\ndescription = ''").contains("did you mean \"note\"?"));
        assert!(tools("[note]\ndescription = ''").contains("note.args.text"));
    }
}
