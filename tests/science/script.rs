//! The scripts that play the agents: one agent a claim, who does what her moves say and then claims.

use std::fmt::Write as _;

/// Why writing into a string cannot fail.
const WRITTEN: &str = "a string takes everything";

/// How often an undecided claim is topped up.
const TOP_UPS: u32 = 2;

/// A reader who holds each title against its diff: a change of the learning rate is no embedding.
const READER: &str = r#"
[[scripts]]
agent = "reader"
[[scripts.steps]]
say = "What is there to read?"
[[scripts.steps.call]]
tool = "ledger"
[[scripts.steps]]
expect = '(?s)(?<h>h\d+) is confirmed and waits for your review.*\n\+lr = 0.04\n.*registered h\d+, "[^"]*embedding'
[[scripts.steps.call]]
tool = "review"
hypothesis = "{h}"
decision = "veto"
checks = "title: the diff sets the learning rate, and no embedding"
reason = "the diff does not do what the title says"
"#;

/// What is true of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Truth {
    /// It is not so, or not to be had this way: it must not be promoted.
    False,
    /// So, and large: it must be promoted.
    Large,
    /// So, and small, by this many thousandths of the metric's unit: nine in ten of those that the plan calls
    /// decidable must be promoted.
    Small(u32),
    /// A bundle in which only the rest does the work: the part must be dropped, and what is left promoted.
    Bundle(&'static str),
}

impl Truth {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::False => "false",
            Self::Large => "true, large",
            Self::Small(_) => "true, small",
            Self::Bundle(_) => "half true",
        }
    }
}

/// Something that an agent does before she claims.
#[derive(Debug, Clone)]
pub(crate) enum Move {
    /// Replaces a text, which is there once, in a file.
    Edit(&'static str, String, String),
    /// Writes a file.
    Write(&'static str, String),
    Shell(String),
    Background(String),
    /// Measured runs without a claim.
    Experiment(&'static str),
}

/// A claim, and how its author comes to it.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// What it tries, for the table; and its title, unless it has another.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) truth: Truth,
    pub(crate) moves: Vec<Move>,
    /// `improve` by this much, or `no_worse` within this margin.
    pub(crate) improve: bool,
    pub(crate) size: f64,
    pub(crate) parts: Vec<&'static str>,
    /// Whether it is in the short version, too.
    pub(crate) short: bool,
    /// Whether the agent of the claim before it makes it, right after that: then the order is sure.
    pub(crate) next: bool,
}

impl Case {
    /// An improvement that is claimed.
    pub(crate) fn new(name: &'static str, truth: Truth, size: f64, moves: Vec<Move>) -> Self {
        Self {
            name,
            title: name,
            truth,
            moves,
            improve: true,
            size,
            parts: Vec::new(),
            short: false,
            next: false,
        }
    }

    /// The same as `no_worse` within its size.
    pub(crate) fn no_worse(mut self) -> Self {
        self.improve = false;
        self
    }

    pub(crate) fn titled(mut self, title: &'static str) -> Self {
        self.title = title;
        self
    }

    pub(crate) fn in_parts(mut self, parts: Vec<&'static str>) -> Self {
        self.parts = parts;
        self
    }

    pub(crate) fn by_the_same(mut self) -> Self {
        self.next = true;
        self
    }

    pub(crate) fn also_in_short(mut self) -> Self {
        self.short = true;
        self
    }
}

/// The scenario of some claims: agent `c1` plays the first, and so on.
pub(crate) fn scenario(cases: &[Case], reviewed: bool) -> String {
    let mut text = "version = 1\n".to_owned();
    if reviewed {
        text.push_str(READER);
    }
    let mut agent = 0;
    for (at, case) in (1..).zip(cases) {
        if !case.next {
            agent += 1;
            writeln!(text, "\n[[scripts]]\nagent = \"c{agent}\"").expect(WRITTEN);
        }
        for it in &case.moves {
            let (tool, arguments) = arguments(it);
            call(&mut text, tool, &arguments);
        }
        let claim = claim(at, case);
        call(&mut text, "hypothesis", &claim);
        if cases.get(at).is_some_and(|next| next.next) {
            continue;
        }
        // As she is told: an undecided claim is registered again, with more seeds.
        for top_up in 0..TOP_UPS {
            writeln!(
                text,
                "[[scripts.steps]]\nexpect = 'subject=\"h(?<n{top_up}>\\d+) undecided\"'\n\
                 [[scripts.steps.call]]\ntool = \"hypothesis\"\nreplicates = \"h{{n{top_up}}}\"\n{claim}"
            )
            .expect(WRITTEN);
        }
    }
    text
}

/// The arguments of a claim.
fn claim(at: usize, case: &Case) -> String {
    let size = case.size;
    let claim = if case.improve {
        format!("claim = \"improve\"\npredicts = {size:?}\n")
    } else {
        format!("claim = \"no_worse\"\npredicts = 0.0\nmargin = {size:?}\n")
    };
    let parts: Vec<String> = case.parts.iter().map(|part| quoted(part)).collect();
    let parts = if parts.is_empty() {
        String::new()
    } else {
        format!("parts = [{}]\n", parts.join(", "))
    };
    format!(
        "title = {}\nmechanism = \"as the title says: {at}\"\nrefuted_by = \"an interval that excludes it\"\n\
         {claim}{parts}",
        quoted(case.title)
    )
}

fn call(text: &mut String, tool: &str, arguments: &str) {
    write!(
        text,
        "[[scripts.steps]]\n[[scripts.steps.call]]\ntool = \"{tool}\"\n{arguments}"
    )
    .expect(WRITTEN);
}

fn arguments(it: &Move) -> (&'static str, String) {
    match it {
        Move::Edit(path, old, new) => (
            "edit",
            format!(
                "path = \"{path}\"\nold = {}\nnew = {}\n",
                quoted(old),
                quoted(new)
            ),
        ),
        Move::Write(path, content) => (
            "write",
            format!("path = \"{path}\"\ncontent = {}\n", quoted(content)),
        ),
        Move::Shell(command) => ("shell", format!("command = {}\n", quoted(command))),
        Move::Background(command) => (
            "shell",
            format!("command = {}\nbackground = true\n", quoted(command)),
        ),
        Move::Experiment(note) => ("experiment", format!("note = \"{note}\"\n")),
    }
}

/// A text as TOML writes it: JSON's rules are a subset, but for DEL, which nobody uses.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
