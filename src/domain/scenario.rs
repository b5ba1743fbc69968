//! What pretended models say: scripts of replies, as values.
//!
//! Owns the scenario format's types and which script serves whom. Decoding with all problems at
//! once is `decode`'s, what a script answers to what was received is `play`'s. Must not know wires,
//! files, or whether anything is streamed.

mod decode;
mod leaf;
mod pattern;
mod play;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use decode::decode;
pub use play::{Heard, Played, Position};

/// A whole scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Milliseconds between two pieces of a streamed reply.
    pub pace_ms: u64,
    /// In the order of the file.
    pub scripts: Vec<Script>,
}

/// One agent's lines; agents that share a script each have a place in it of their own.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    /// Glob on the agent's name; none matches all.
    pub agent: Option<String>,
    /// Glob on its role.
    pub role: Option<String>,
    /// Glob on its model.
    pub model: Option<String>,
    /// One reply each, in order.
    pub steps: Vec<Step>,
}

/// One reply.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Step {
    /// The regex that must be found in what was received before the step is played.
    pub expect: Option<String>,
    /// A summary of thinking that streams first.
    pub think: Option<String>,
    /// Text.
    pub say: Option<String>,
    /// Tool calls, in order.
    pub calls: Vec<Call>,
    /// What goes wrong first.
    pub fault: Option<Fault>,
    /// The tokens to report; none leaves an estimate.
    pub usage: Option<Tokens>,
}

/// A tool call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// The tool's name.
    pub tool: String,
    /// Every other key, a JSON object.
    pub arguments: serde_json::Value,
}

/// Tokens that a step reports: disjoint counts, absent ones 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Prompt tokens neither read from nor written to a cache.
    pub input: u64,
    /// Reply tokens.
    pub output: u64,
    /// Prompt tokens read from the cache.
    pub cache_read: u64,
    /// Prompt tokens written to the cache.
    pub cache_write: u64,
}

/// What goes wrong with a step's first deliveries.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// Deliveries that have it, at least 1.
    pub times: u32,
    /// Answer with this HTTP status and the vendor's error in place of the reply.
    pub status: Option<u16>,
    /// The vendor's code of the error that goes with `status`, such as `insufficient_quota`.
    #[serde(default)]
    pub code: Option<String>,
    /// Seconds of the `retry-after` header that goes with `status`.
    pub retry_after: Option<f64>,
    /// Report an error after so many events, and end the body.
    #[serde(default)]
    pub error_after: Option<u64>,
    /// End for a reason of the server's own.
    #[serde(default)]
    pub stop: Option<Halt>,
    /// Send the pieces of several blocks out of order and among each other.
    #[serde(default)]
    pub interleave: bool,
    /// Add events, blocks and framing that a client has never seen.
    #[serde(default)]
    pub strange: bool,
    /// Break the connection after so many events.
    pub cut_after: Option<u64>,
    /// Send the body in pieces of so many bytes.
    pub chunk_bytes: Option<u64>,
    /// Milliseconds of silence before the first byte.
    pub delay_ms: Option<u64>,
    /// Milliseconds of silence in the middle.
    pub stall_ms: Option<u64>,
    /// Break one event's JSON, then end the body without its last event.
    pub malformed: bool,
    /// End by the output limit inside the last call's arguments (the text's middle without calls).
    pub truncate_tool: bool,
    /// Name the reply's calls so that they can be confused.
    #[serde(default)]
    pub ids: Option<Ids>,
}

/// How a server names calls that does not take care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ids {
    /// Every reply counts its calls anew, so that an id comes again and again. Small local servers do.
    Again,
    /// All calls of the reply have one id, so that no result could be told from another.
    Same,
}

impl Ids {
    /// All words, in order.
    pub const NAMES: [&'static str; 2] = ["again", "same"];

    /// What a word means.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let at = Self::NAMES.iter().position(|name| *name == word)?;
        Some([Self::Again, Self::Same][at])
    }
}

/// Why a server ends a reply by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Halt {
    /// Its own loop of tools paused: the client sends the same again, with this reply appended. Only on
    /// the Anthropic wire; the other ends its turn.
    Pause,
    /// The model will not answer. Nothing of the step is said.
    Refusal,
    /// The context window is full. Nothing of the step is said.
    Context,
}

impl Halt {
    /// All words, in order.
    pub const NAMES: [&'static str; 3] = ["pause", "refusal", "context"];

    /// What a word means.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let at = Self::NAMES.iter().position(|name| *name == word)?;
        Some([Self::Pause, Self::Refusal, Self::Context][at])
    }
}

impl Fault {
    /// Whether the client is left without the whole reply, so that the step is still to be played.
    #[must_use]
    pub fn withholds(&self) -> bool {
        self.status.is_some()
            || self.cut_after.is_some()
            || self.error_after.is_some()
            || self.malformed
            || self.truncate_tool
            || self.ids == Some(Ids::Same)
            || matches!(self.stop, Some(Halt::Refusal | Halt::Context))
    }
}

/// What is known of an agent besides its name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its role's name.
    #[serde(default)]
    pub role: Option<String>,
    /// Its model's name.
    #[serde(default)]
    pub model: Option<String>,
}

/// Agents by name.
pub type Roster = BTreeMap<String, Member>;

impl Scenario {
    /// The index of the first script whose selectors all match. A selector on what is not known of
    /// the agent does not match.
    #[must_use]
    pub fn script_for(&self, agent: &str, member: &Member) -> Option<usize> {
        let matches = |selector: &Option<String>, value: Option<&str>| match selector {
            None => true,
            Some(glob) => value.is_some_and(|value| glob_matches(glob, value)),
        };
        self.scripts.iter().position(|script| {
            matches(&script.agent, Some(agent))
                && matches(&script.role, member.role.as_deref())
                && matches(&script.model, member.model.as_deref())
        })
    }
}

/// Whether a name matches a glob of `*` (any run) and `?` (any one character).
fn glob_matches(glob: &str, name: &str) -> bool {
    let glob: Vec<char> = glob.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut g, mut n) = (0, 0);
    // Where to resume when a later part fails: the last `*`, and what it has swallowed so far.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match glob.get(g) {
            Some('*') => {
                star = Some((g, n));
                g += 1;
            }
            Some(&c) if c == '?' || c == name[n] => {
                g += 1;
                n += 1;
            }
            _ => {
                let Some((at, swallowed)) = star else {
                    return false;
                };
                star = Some((at, swallowed + 1));
                g = at + 1;
                n = swallowed + 1;
            }
        }
    }
    glob[g..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (glob, name, matches) in [
            ("claude-*", "claude-1", true),
            ("claude-*", "codex-1", false),
            ("*", "", true),
            ("c?*x*", "codex", true),
            ("*-1", "a-1-1", true),
            ("*-1", "a-1-2", false),
            ("ann", "anna", false),
            ("?", "é", true),
        ] {
            assert_eq!(glob_matches(glob, name), matches, "{glob} on {name}");
        }
    }

    #[test]
    fn the_first_script_whose_selectors_all_match_serves() {
        let scenario = decode(
            "version = 1\nscripts = [{ agent = 'a*', role = 'chief', steps = [] },\n\
             { model = 'gpt-*', steps = [] }, { agent = 'a*', steps = [] }]\n",
        )
        .unwrap();
        let member = |role: Option<&str>, model: Option<&str>| Member {
            role: role.map(str::to_owned),
            model: model.map(str::to_owned),
        };
        for (agent, member, script) in [
            ("ann", member(Some("chief"), Some("gpt-6")), Some(0)),
            ("ann", member(Some("junior"), Some("gpt-6")), Some(1)),
            ("ann", member(None, None), Some(2)),
            ("bob", member(Some("chief"), None), None),
        ] {
            assert_eq!(
                scenario.script_for(agent, &member),
                script,
                "{agent} {member:?}"
            );
        }
    }
}
