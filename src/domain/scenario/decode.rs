//! A scenario from its TOML text, with every problem at once.
//!
//! Owns which keys there are and what they take. serde's derive stops at the first wrong type, so
//! each leaf is taken from the spanned table by hand. Must not know where the text came from.

use serde_json::Value;
use toml::de::DeTable;

use super::leaf::{Decoder, Leaf, Node};
use super::pattern::{self, Captures};
use super::{Call, Fault, Halt, Ids, Scenario, Script, Step, Tokens};
use crate::domain::problem::Problem;

const TOP_KEYS: [&str; 3] = ["version", "pace_ms", "scripts"];
const SCRIPT_KEYS: [&str; 4] = ["agent", "role", "model", "steps"];
const STEP_KEYS: [&str; 6] = ["expect", "think", "say", "call", "fault", "usage"];
const FAULT_KEYS: [&str; 15] = [
    "status",
    "times",
    "code",
    "retry_after",
    "error_after",
    "stop",
    "interleave",
    "strange",
    "cut_after",
    "chunk_bytes",
    "delay_ms",
    "stall_ms",
    "malformed",
    "truncate_tool",
    "ids",
];
const USAGE_KEYS: [&str; 4] = ["input", "output", "cache_read", "cache_write"];

/// Decodes a scenario.
///
/// # Errors
/// All problems of the text, in its order.
pub fn decode(text: &str) -> Result<Scenario, Vec<Problem>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut decoder = Decoder {
        text,
        problems: Vec::new(),
    };
    if errors.is_empty() {
        let scenario = decoder.scenario(&Node {
            table: table.get_ref(),
            span: 0..0,
            path: "",
        });
        if decoder.problems.is_empty() {
            return Ok(scenario);
        }
    }
    // Behind broken syntax nothing else can be judged.
    for error in errors {
        let hint = "put the TOML syntax right here; text stands in quotes, and a regex best in '…'";
        decoder.report(error.span().unwrap_or(0..0), "", error.message(), hint);
    }
    decoder
        .problems
        .sort_by_key(|problem| (problem.line, problem.column));
    Err(decoder.problems)
}

impl Decoder<'_> {
    fn scenario(&mut self, node: &Node) -> Scenario {
        self.known_keys(node, &TOP_KEYS);
        match node.leaf("version") {
            None => self.report(
                0..0,
                "version",
                "`version` is missing",
                "begin with `version = 1`",
            ),
            Some(leaf) => {
                if self.number(&leaf).is_some_and(|version| version != 1) {
                    let message = format!("version {} is not known", self.quote(&leaf));
                    self.report(leaf.span(), &leaf.path, message, "write `version = 1`");
                }
            }
        }
        let pace_ms = self.number_at(node, "pace_ms").unwrap_or(0);
        let scripts = node.leaf("scripts").map_or_else(Vec::new, |leaf| {
            self.tables(&leaf, "[[scripts]]", |decoder, node| decoder.script(node))
        });
        Scenario { pace_ms, scripts }
    }

    fn script(&mut self, node: &Node) -> Script {
        self.known_keys(node, &SCRIPT_KEYS);
        let [agent, role, model] = ["agent", "role", "model"].map(|key| {
            let leaf = node.leaf(key)?;
            let glob = self.string(&leaf)?;
            if glob.is_empty() {
                let hint = "leave the selector out to match all, or write a name or a glob";
                self.report(leaf.span(), &leaf.path, format!("`{key}` is empty"), hint);
            }
            Some(glob)
        });
        let Some(leaf) = node.leaf("steps") else {
            let hint = "add [[scripts.steps]], or `steps = []` for an agent that only waits";
            self.report(
                node.span.clone(),
                node.path,
                "the script has no steps",
                hint,
            );
            return Script {
                agent,
                role,
                model,
                steps: Vec::new(),
            };
        };
        // The names that earlier steps capture; the value only has to be a valid pattern.
        let mut captures = Captures::new();
        let steps = self.tables(&leaf, "[[scripts.steps]]", |decoder, node| {
            decoder.step(node, &mut captures)
        });
        Script {
            agent,
            role,
            model,
            steps,
        }
    }

    fn step(&mut self, node: &Node, captures: &mut Captures) -> Step {
        self.known_keys(node, &STEP_KEYS);
        let expect = node
            .leaf("expect")
            .and_then(|leaf| self.expect(&leaf, captures));
        let calls = node.leaf("call").map_or_else(Vec::new, |leaf| {
            self.tables(&leaf, "[[scripts.steps.call]]", |decoder, node| {
                decoder.call(node)
            })
        });
        Step {
            expect,
            think: node.leaf("think").and_then(|leaf| self.string(&leaf)),
            say: node.leaf("say").and_then(|leaf| self.string(&leaf)),
            calls,
            fault: self
                .table_at(node, "fault")
                .map(|node| self.fault(&node.borrow())),
            usage: self
                .table_at(node, "usage")
                .map(|node| self.usage(&node.borrow())),
        }
    }

    fn expect(&mut self, leaf: &Leaf, captures: &mut Captures) -> Option<String> {
        let expect = self.string(leaf)?;
        match pattern::compile(&expect, captures) {
            Ok(regex) => {
                let names = regex.capture_names().flatten();
                captures.extend(names.map(|name| (name.to_owned(), "x".to_owned())));
            }
            Err(error) => {
                let reason = error.to_string();
                let last = reason
                    .lines()
                    .last()
                    .unwrap_or_default()
                    .trim_start_matches("error: ");
                let message = format!("{} is not a regex: {last}", self.quote(leaf));
                let hint = "use the syntax of Rust's regex crate (no look-around, no \
                            back-references); a group is named with (?<name>…)";
                self.report(leaf.span(), &leaf.path, message, hint);
            }
        }
        Some(expect)
    }

    fn call(&mut self, node: &Node) -> Call {
        let tool = match node.leaf("tool") {
            Some(leaf) => self.string(&leaf).unwrap_or_default(),
            None => {
                let hint = "name the tool: tool = \"send\"; every other key is an argument";
                self.report(node.span.clone(), node.path, "`tool` is missing", hint);
                String::new()
            }
        };
        let mut arguments = serde_json::Map::new();
        for (key, value) in node.table {
            let key = key.get_ref().as_ref();
            if key != "tool" {
                let leaf = Leaf {
                    value,
                    path: format!("{}.{key}", node.path),
                };
                arguments.insert(key.to_owned(), self.json(&leaf));
            }
        }
        Call {
            tool,
            arguments: Value::Object(arguments),
        }
    }

    fn fault(&mut self, node: &Node) -> Fault {
        self.known_keys(node, &FAULT_KEYS);
        let fault = Fault {
            times: self
                .at_least(node, "times", 1)
                .map_or(1, |times| u32::try_from(times).unwrap_or(u32::MAX)),
            status: self.status(node),
            retry_after: node
                .leaf("retry_after")
                .and_then(|leaf| self.seconds(&leaf)),
            code: node.leaf("code").and_then(|leaf| self.string(&leaf)),
            error_after: self.number_at(node, "error_after"),
            stop: self.word(node, "stop", &Halt::NAMES, Halt::parse),
            interleave: self.flag(node, "interleave"),
            strange: self.flag(node, "strange"),
            cut_after: self.number_at(node, "cut_after"),
            chunk_bytes: self.at_least(node, "chunk_bytes", 1),
            delay_ms: self.number_at(node, "delay_ms"),
            stall_ms: self.number_at(node, "stall_ms"),
            malformed: self.flag(node, "malformed"),
            truncate_tool: self.flag(node, "truncate_tool"),
            ids: self.word(node, "ids", &Ids::NAMES, Ids::parse),
        };
        let bare = Fault {
            times: fault.times,
            ..Fault::default()
        };
        // Keys of a wrong type have been reported already.
        if fault == bare && !node.table.keys().any(|key| key.get_ref() != "times") {
            let hint = "say what goes wrong, as in `fault = { status = 529, times = 2 }`";
            self.report(node.span.clone(), node.path, "the fault does nothing", hint);
        }
        fault
    }

    /// One of a few words.
    fn word<T>(
        &mut self,
        node: &Node,
        key: &str,
        names: &[&str],
        parse: fn(&str) -> Option<T>,
    ) -> Option<T> {
        let leaf = node.leaf(key)?;
        let word = self.string(&leaf)?;
        let meant = parse(&word);
        if meant.is_none() {
            let message = format!("{} is no word for `{key}`", self.quote(&leaf));
            let hint = format!("write one of {}", names.join(", "));
            self.report(leaf.span(), &leaf.path, message, &hint);
        }
        meant
    }

    fn status(&mut self, node: &Node) -> Option<u16> {
        let leaf = node.leaf("status")?;
        let status = self.number(&leaf)?;
        if (400..600).contains(&status) {
            return u16::try_from(status).ok();
        }
        let message = format!("{} is not the status of an error", self.quote(&leaf));
        self.report(
            leaf.span(),
            &leaf.path,
            message,
            "write a status from 400 to 599, as 429 or 529",
        );
        None
    }

    fn usage(&mut self, node: &Node) -> Tokens {
        self.known_keys(node, &USAGE_KEYS);
        let [input, output, cache_read, cache_write] =
            USAGE_KEYS.map(|key| self.number_at(node, key).unwrap_or(0));
        Tokens {
            input,
            output,
            cache_read,
            cache_write,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_read() {
        let scenario = decode(
            r#"
version = 1
pace_ms = 15
[[scripts]]
agent = "claude-*"
role = "researcher"
[[scripts.steps]]
expect = '(?<h>h\d{1,3}) {"x'
think = "hm"
say = "yes"
usage = { input = 1_000, cache_read = 0x10 }
fault = { status = 429, times = 2, code = "x", retry_after = 1, stall_ms = 3, malformed = true, error_after = 2, stop = "pause", interleave = true, strange = true, ids = "again" }
[[scripts.steps.call]]
tool = "hypothesis"
predicts = 0.5
replicates = 3
parts = ["a", { at = 2026-01-02 }]
"#,
        )
        .unwrap();
        assert_eq!(scenario.pace_ms, 15);
        let script = &scenario.scripts[0];
        assert_eq!(
            (script.agent.as_deref(), script.model.as_deref()),
            (Some("claude-*"), None)
        );
        let step = &script.steps[0];
        assert_eq!(step.calls[0].tool, "hypothesis");
        assert_eq!(
            step.calls[0].arguments,
            serde_json::json!({"predicts": 0.5, "replicates": 3, "parts": ["a", {"at": "2026-01-02"}]})
        );
        assert_eq!(
            step.usage,
            Some(Tokens {
                input: 1000,
                cache_read: 16,
                ..Tokens::default()
            })
        );
        let fault = step.fault.as_ref().unwrap();
        assert_eq!(
            (fault.times, fault.retry_after, fault.malformed),
            (2, Some(1.0), true)
        );
        assert_eq!(
            (fault.code.as_deref(), fault.error_after, fault.stop),
            (Some("x"), Some(2), Some(Halt::Pause))
        );
        assert!(fault.interleave && fault.strange && fault.ids == Some(Ids::Again));
    }

    #[test]
    fn all_problems_come_at_once_in_order_with_places_and_hints() {
        let problems = decode(
            r#"version = 2
[[scripts]]
agnet = "x"
[[scripts.steps]]
expect = '(?<a>x'
say = 4
[[scripts.steps]]
fault = { times = 0, statsu = 1 }
[[scripts.steps.call]]
n = inf
[[scripts.steps]]
fault = { status = 200, malformed = 1 }
[[scripts.steps]]
fault = { times = 2 }
usage = 3
[[scripts.steps]]
fault = { stop = "never" }
[[scripts]]
steps = "x"
[[scripts]]
model = ""
"#,
        )
        .unwrap_err();
        let shown: Vec<String> = problems
            .iter()
            .map(|p| {
                format!(
                    "{}:{} {}: {} ({})",
                    p.line, p.column, p.path, p.message, p.hint
                )
            })
            .collect();
        let expected = [
            "1:11 version: version 2 is not known (write `version = 1`)",
            "3:1 scripts[0].agnet: unknown key `agnet` (did you mean `agent`?)",
            "5:10 scripts[0].steps[0].expect: '(?<a>x' is not a regex: unclosed group",
            "6:7 scripts[0].steps[0].say: 4 is not text (put it in quotes)",
            "8:19 scripts[0].steps[1].fault.times: `times` is 0 (write at least 1)",
            "8:22 scripts[0].steps[1].fault.statsu: unknown key `statsu` (did you mean `status`?)",
            "9:1 scripts[0].steps[1].call[0]: `tool` is missing",
            "10:5 scripts[0].steps[1].call[0].n: inf is not a number that JSON can hold",
            "12:20 scripts[0].steps[2].fault.status: 200 is not the status of an error",
            "12:37 scripts[0].steps[2].fault.malformed: 1 is not true or false",
            "14:9 scripts[0].steps[3].fault: the fault does nothing",
            "15:9 scripts[0].steps[3].usage: 3 is not a table",
            "17:18 scripts[0].steps[4].fault.stop: \"never\" is no word for `stop` (write one of pause",
            "19:9 scripts[1].steps: \"x\" is not a list of tables",
            "20:1 scripts[2]: the script has no steps",
            "21:9 scripts[2].model: `model` is empty",
        ];
        assert_eq!(shown.len(), expected.len(), "{shown:#?}");
        for (shown, expected) in shown.iter().zip(expected) {
            assert!(shown.starts_with(expected), "{shown} is not {expected}");
        }
        assert!(problems.iter().all(|problem| !problem.hint.is_empty()));
    }

    #[test]
    fn broken_syntax_is_reported_alone() {
        let problems = decode("version = 1\nfoo = \nscripts = 3\nbar = [\n").unwrap_err();
        assert_eq!((problems[0].line, problems[0].path.as_str()), (2, ""));
        assert!(
            problems.iter().all(|problem| problem.path.is_empty()),
            "{problems:?}"
        );
    }

    #[test]
    fn a_step_may_use_what_an_earlier_one_captures() {
        let text = "version = 1\n[[scripts]]\n[[scripts.steps]]\nexpect = '(?<h>a)'\n\
                    [[scripts.steps]]\nexpect = '{h}+'\n";
        assert!(decode(text).is_ok());
    }
}
