//! Every key that a chart may have, once: where it stands, what it takes, its default, and a
//! sentence for people. The decoder's lists and ranges and the JSON Schema both come from here, so
//! that they cannot differ.
//!
//! Must not know how values are read or stored.

use super::chat::Effort;

/// What a key takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Text that is not empty.
    Text,
    /// Text that may be empty.
    Free,
    /// A list of texts, none of them empty.
    Texts,
    /// A list out of these words.
    Words(&'static [&'static str]),
    /// One of these words.
    Word(&'static [&'static str]),
    /// `true` or `false`.
    Flag,
    /// A whole number within these bounds.
    Whole(i64, i64),
    /// A number within these bounds.
    Real(f64, f64),
    /// A number within these bounds, which are themselves excluded.
    Between(f64, f64),
    /// A time span, `0s` included.
    Span,
    /// A time span longer than nothing.
    Time,
    /// Bytes.
    Size,
    /// A number of tokens.
    Tokens,
    /// Columns and rows.
    Grid,
    /// The word `auto`, or the other.
    Auto(&'static Self),
    /// Names of environment variables with their values.
    Env,
    /// Ratios by measure.
    Ratios(&'static [&'static str]),
    /// `auto`, indices, UUIDs, or `simulate:N`.
    Gpus,
    /// `auto`, an index, or a UUID.
    GpuHome,
    /// A name, or a role, or a role without somebody.
    Party,
    /// A table of its own.
    Section,
    /// Tables by name.
    Named,
    /// A list of tables.
    List,
}

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The table it stands in: `task`, `providers.*`, `agents[]`; empty at the top.
    pub section: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Whether a chart must have it (where it has the table).
    pub required: bool,
    /// What holds where it is not given, for people.
    pub default: &'static str,
    /// What it is for.
    pub doc: &'static str,
}

const NEEDED: bool = true;

impl Key {
    /// The section of the keys beneath this one, where it has any.
    #[must_use]
    pub fn beneath(&self) -> Option<String> {
        let dot = if self.section.is_empty() { "" } else { "." };
        let (section, name) = (self.section, self.name);
        match self.kind {
            Kind::Section => Some(format!("{section}{dot}{name}")),
            Kind::Named => Some(format!("{section}{dot}{name}.*")),
            Kind::List => Some(format!("{section}{dot}{name}[]")),
            _ => None,
        }
    }

    /// What to write, where it is missing.
    #[must_use]
    pub fn advice(&self) -> String {
        let Some(section) = self.beneath() else {
            return format!(
                "write {} = {}: {}",
                self.name,
                self.kind.example(),
                self.doc
            );
        };
        let needed: Vec<&str> = of(&section)
            .filter(|key| key.required)
            .map(|key| key.name)
            .collect();
        let needed = needed.join(", ");
        if self.section.is_empty() {
            format!("add a table [{}] with {needed}", self.name)
        } else {
            format!("add {} = {{ … }} with {needed}", self.name)
        }
    }
}

impl Kind {
    /// A value that a key of this kind takes, as a chart would write it.
    #[must_use]
    pub fn example(self) -> String {
        match self {
            Self::Text | Self::Free => "\"…\"".to_owned(),
            Self::Texts => "[\"…\"]".to_owned(),
            Self::Words(words) | Self::Word(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
                if matches!(self, Self::Words(_)) {
                    format!("[{}]", words.join(", "))
                } else {
                    words.join(" or ")
                }
            }
            Self::Flag => "true or false".to_owned(),
            Self::Whole(from, to) if from == to => from.to_string(),
            Self::Whole(from, to) => format!("a whole number from {from} to {to}"),
            Self::Real(from, to) if to >= 1e6 => format!("a number, {from} or more"),
            Self::Real(from, to) => format!("a number from {from} to {to}"),
            Self::Between(from, to) => format!("a number above {from} and below {to}"),
            Self::Span => "\"90s\", \"1h30m\", \"0s\" or seconds".to_owned(),
            Self::Time => "\"90s\", \"1h30m\" or seconds, above 0".to_owned(),
            Self::Size => "\"500M\", \"200G\" or bytes".to_owned(),
            Self::Tokens => "\"120k\" or a whole number above 0".to_owned(),
            Self::Grid => "\"4x2\", columns x rows, each from 1 to 64".to_owned(),
            Self::Auto(other) => format!("\"auto\" or {}", other.example()),
            Self::Env => "{ NAME = \"value\" }".to_owned(),
            Self::Ratios(_) => "{ wall = 1.05 }".to_owned(),
            Self::Gpus => "\"auto\", [0, 1], [\"GPU-…\"] or \"simulate:8\"".to_owned(),
            Self::GpuHome => "\"auto\", an index such as 3, or \"GPU-…\"".to_owned(),
            Self::Party => "\"name\" or { role = \"…\", not = \"author\" }".to_owned(),
            Self::Section | Self::Named => "a table".to_owned(),
            Self::List => "a list of tables".to_owned(),
        }
    }
}

/// The keys of one section, in order.
pub fn of(section: &str) -> impl Iterator<Item = &'static Key> + Clone {
    KEYS.iter().filter(move |key| key.section == section)
}

/// A key by section and name.
#[must_use]
pub fn find(section: &str, name: &str) -> Option<&'static Key> {
    KEYS.iter()
        .find(|key| key.section == section && key.name == name)
}

/// What a role may be granted. `done` is always there.
pub const TOOLS: [&str; 10] = [
    "shell",
    "files",
    "files:read",
    "mail",
    "ledger",
    "experiment",
    "notebook",
    "assign",
    "withdraw",
    "review",
];
/// What a process may wait for: a claim that reached a status, the programme's moving on (`promoted`),
/// a row of fruitless claims or hours, somebody without work, half of a budget, nothing left to do, and
/// an agent that goes on with another model.
pub const EVENTS: [&str; 23] = [
    "hypothesis.confirmed",
    "promoted",
    "plateau",
    "idle",
    "budget.half",
    "end",
    "agent.replaced",
    "hypothesis.registered",
    "hypothesis.smoke",
    "hypothesis.screened",
    "hypothesis.reviewed",
    "hypothesis.promoted",
    "hypothesis.rejected",
    "hypothesis.mismatched",
    "hypothesis.parked",
    "hypothesis.refuted",
    "hypothesis.undecided",
    "hypothesis.vetoed",
    "hypothesis.withdrawn",
    "hypothesis.crashed",
    "hypothesis.invalid",
    "hypothesis.contended",
    "hypothesis.rolled_back",
];
/// The measures that a guard may bound.
pub const MEASURES: [&str; 6] = ["wall", "gpu", "peak_mem", "flops", "params", "tokens"];
/// Longest `count` of one table of agents, and most agents in all: each is a process, a worktree
/// and a pane.
pub const AGENTS_MAX: i64 = 512;
/// Most GPUs of one machine.
pub const GPUS_MAX: i64 = 64;
const DOLLARS: Kind = Kind::Real(0.0, 1e9);
const PRICE: Kind = Kind::Real(0.0, 1e6);
const SEEDS: Kind = Kind::Whole(1, 10_000);
const DRAWS: Kind = Kind::Whole(1, 100_000);
const NUMBER: Kind = Kind::Real(-1e300, 1e300);

// A row is `name: kind, "default", "what it is for";`, one line each, which rustfmt leaves alone.
macro_rules! keys {
    ($($section:literal {
        $($([$needed:expr])? $name:ident: $kind:expr, $default:literal, $doc:literal;)*
    })*) => {
        &[$($(Key {
            section: $section,
            name: stringify!($name),
            kind: $kind,
            required: false $(|| $needed)?,
            default: $default,
            doc: $doc,
        }),*),*]
    };
}

/// The table.
pub const KEYS: &[Key] = keys! {
    "" {
        [NEEDED] version: Kind::Whole(1, 1), "", "The chart format.";
        extends: Kind::Text, "", "A chart to take first, by a path relative to this one; this one's keys go over it. Tables are merged key by key; everything else, the lists `agents` and `processes` included, is replaced whole. Paths stay relative to the file that they stand in. A chain has at most 8 charts.";
        [NEEDED] name: Kind::Text, "", "The org's name, part of run ids.";
        mission: Kind::Free, "", "What the org is for, in a sentence or a few.";
        [NEEDED] task: Kind::Section, "", "What is being improved, and how that is measured.";
        protocol: Kind::Section, "", "What it takes to believe a claim.";
        compute: Kind::Section, "", "Where measured runs go.";
        budget: Kind::Section, "", "Caps; a key that is not given is no cap.";
        office: Kind::Section, "", "The grid of panes.";
        landing: Kind::Section, "", "What happens before a result is landed.";
        mock: Kind::Section, "", "What `--mock` puts in place of models, and may put in place of the rest.";
        providers: Kind::Named, "", "Model servers; `anthropic` and `openai` are built in.";
        models: Kind::Named, "", "Models that the built-in table lacks, and prices that replace its own.";
        roles: Kind::Named, "", "What agents are; `researcher` and `chief` are built in.";
        agents: Kind::List, "", "The members of the org.";
        processes: Kind::List, "", "Stand-ups, reviews and the like.";
        search: Kind::Section, "", "What agents with `model = \"random\"` do, who ask no model.";
    }
    "task" {
        [NEEDED] repo: Kind::Text, "", "A path or URL; relative paths are relative to the chart.";
        base: Kind::Text, "the branch that the repository is on", "The branch to start from.";
        setup: Kind::Free, "none", "Prepares an environment, with network, once per hash of `env_key`.";
        env_key: Kind::Texts, "", "Files whose hash names an environment.";
        env: Kind::Env, "", "Environment of measured runs; values may use $ORG_OUT and $ORG_OVERLAY.";
        overlay: Kind::Text, "", "Directory of protected harness files, found at $ORG_OVERLAY.";
        share: Kind::Texts, "", "Read-only data that every run may see.";
        [NEEDED] run: Kind::Text, "", "The command of one measured run.";
        gpus: Kind::Whole(0, GPUS_MAX), "1", "GPUs per run, leased together.";
        explore_gpus: Kind::Whole(0, GPUS_MAX), "as many as gpus", "GPUs of a run without a claim (`experiment`), which may be smaller than what is compared.";
        timeout: Kind::Auto(&Kind::Time), "auto", "Longest time of one run; auto is twice the baseline.";
        seed: Kind::Text, "ORG_SEED", "The variable in which the harness hands over a seed.";
        network: Kind::Flag, "false", "Whether measured runs may use the network; `setup` always may.";
        [NEEDED] metric: Kind::Section, "", "What is measured.";
        progress: Kind::Text, "", "Regex with two groups, done and total.";
        must_print: Kind::Texts, "", "Text without which a run is invalid.";
        protect: Kind::Texts, "", "Paths that no claim may change.";
        editable: Kind::Texts, "all that is not protected", "Paths that a claim's diff may touch.";
        keep: Kind::Texts, "", "Globs of outputs kept after the verdict.";
        evaluate: Kind::Text, "", "The harness's own evaluation.";
        hidden: Kind::Texts, "", "Host paths laid into the evaluation's checkout only.";
        measure: Kind::Section, "", "Regexes with one group that read a run's own account of its cost.";
    }
    "task.metric" {
        [NEEDED] name: Kind::Text, "", "Its name, for people.";
        goal: Kind::Word(&["min", "max"]), "min", "Which way is better.";
        [NEEDED] pattern: Kind::Text, "", "Regex whose first group is the value.";
        take: Kind::Word(&["only", "first", "last", "min", "max"]), "only", "Which of several values counts; with `only`, two make the run invalid.";
    }
    "task.measure" {
        flops: Kind::Text, "", "Floating-point operations of the whole run.";
        params: Kind::Text, "", "Parameters of the model.";
        tokens: Kind::Text, "", "Training tokens seen.";
    }
    "protocol" {
        match: Kind::Word(&["wall", "gpu", "flops", "tokens", "params", "none"]), "flops where it is measured, else wall", "The axis on which candidate and baseline must agree.";
        tolerance: Kind::Real(0.0, 1.0), "0.02", "Relative difference allowed on it.";
        guards: Kind::Ratios(&MEASURES), "", "At most these ratios to the baseline, whatever is matched.";
        baseline: Kind::Whole(2, 10_000), "6", "Baseline seeds before any claim is judged.";
        confirm: Kind::Auto(&SEEDS), "auto", "Fresh seeds after the screen.";
        alpha: Kind::Between(0.0, 0.5), "0.01", "Level of the one-sided test.";
        margin: Kind::Real(0.0, 1e300), "half the baseline's standard deviation", "Default and widest margin of a `no_worse` claim, in the metric's unit.";
        notice: Kind::Span, "0s", "A person sees a claim this long before its first run.";
    }
    "compute" {
        launcher: Kind::Word(&["local", "slurm"]), "local", "Who starts measured runs; slurm is not in this version.";
        gpus: Kind::Gpus, "auto", "All that are visible, these indices or UUIDs, or pretended ones.";
        parallel: Kind::Auto(&Kind::Whole(1, 512)), "auto", "Measured runs at a time; auto is as many as devices and cores bear.";
    }
    "budget" {
        usd: DOLLARS, "", "US dollars of model calls.";
        usd_per_hour: DOLLARS, "", "US dollars within any hour.";
        gpu_hours: Kind::Real(0.0, 1e9), "", "GPU hours of measured runs.";
        wall: Kind::Time, "", "Time from `up`.";
        disk: Kind::Size, "", "Size of the run directory.";
    }
    "office" {
        grid: Kind::Grid, "tiled", "Columns x rows of a page, exact.";
        ask: Kind::Texts, "", "What is parked until a person approves.";
        notify: Kind::Text, "", "Run with the reason when something needs a person.";
    }
    "landing" {
        run: Kind::Text, "", "The winner at target scale, before it is landed.";
        gpus: Kind::Whole(0, GPUS_MAX), "as many as task.gpus", "GPUs of that run.";
    }
    "mock" {
        scenario: Kind::Text, "", "What the pretended models say.";
        repo: Kind::Text, "", "Replaces task.repo.";
        every: Kind::Time, "", "Replaces `every` of all timed processes.";
        setup: Kind::Free, "", "Replaces task.setup.";
        run: Kind::Text, "", "Replaces task.run.";
        env: Kind::Env, "", "Replaces task.env.";
        share: Kind::Texts, "", "Replaces task.share; what is missing is skipped.";
        draws: DRAWS, "", "Replaces search.draws.";
    }
    "providers.*" {
        wire: Kind::Word(&["anthropic", "openai"]), "", "The protocol it speaks: Anthropic Messages or OpenAI Responses.";
        base_url: Kind::Text, "", "As the vendors' SDKs take it: openai with /v1, anthropic without.";
        key_env: Kind::Free, "", "Environment variable that holds the key; empty for none.";
        key_file: Kind::Text, "", "File that holds the key.";
        key_cmd: Kind::Text, "", "Command that prints the key.";
    }
    "models.*" {
        provider: Kind::Text, "the built-in table's, where it has the model", "Whose model it is.";
        context: Kind::Tokens, "", "Context window in tokens.";
        price: Kind::Section, "", "US dollars per million tokens.";
    }
    "models.*.price" {
        [NEEDED] input: PRICE, "", "Prompt tokens.";
        [NEEDED] output: PRICE, "", "Reply tokens.";
        cache_read: PRICE, "input", "Prompt tokens read from a cache.";
        cache_write: PRICE, "input", "Prompt tokens written to a cache.";
    }
    "roles.*" {
        prompt: Kind::Text, "the built-in one of that name", "Its system prompt, a template.";
        tools: Kind::Words(&TOOLS), "", "What it is granted; `done` always.";
        effort: Kind::Word(&Effort::NAMES), "the vendor's", "Depth of thinking.";
        compact_at: Kind::Tokens, "120k", "Tokens of conversation at which it is compacted.";
        fallback: Kind::Text, "", "The model used while its own is out.";
        on_idle: Kind::Word(&["wait", "continue"]), "wait", "What happens when a turn ends and no mail waits.";
        usd: DOLLARS, "", "Cap in US dollars for all agents of the role.";
    }
    "agents[]" {
        [NEEDED] name: Kind::Text, "", "Unique; `{n}` counts from 1 where there are several.";
        count: Kind::Whole(1, AGENTS_MAX), "1", "How many of them.";
        [NEEDED] role: Kind::Text, "", "Its role.";
        [NEEDED] model: Kind::Text, "", "Its model.";
        gpu: Kind::GpuHome, "none: it plans, and may not train", "The GPU it is at home on.";
        reports_to: Kind::Text, "", "The agent it reports to; `{n}` is its own number.";
        usd: DOLLARS, "", "Cap in US dollars.";
    }
    "processes[]" {
        [NEEDED] name: Kind::Text, "", "Its name.";
        every: Kind::Time, "", "Time between two, from `up`. A time at which nothing has happened since the last is passed over.";
        at: Kind::Text, "", "The time of day that starts it, as \"09:00\", by the machine's clock.";
        on: Kind::Word(&EVENTS), "", "The event that starts it. `hypothesis.confirmed` with `by` is a gate: no claim is promoted before somebody else than its author has approved it.";
        from: Kind::Party, "", "Who is asked: all of them, each by mail from `org`. Answers are what they write to `org` or to `to`.";
        to: Kind::Party, "", "Who gets the answers with the harness's numbers, in one letter; who is told, where nobody is asked.";
        by: Kind::Party, "", "Who does it: one of them, the least busy. `not = \"author\"` leaves out whose claim it is.";
        prompt: Kind::Text, "the built-in one of its name or event", "Its prompt, a template.";
        within: Kind::Time, "half of `every`; 1h for a gate; else 30m", "Time until an answer is due.";
        missed: Kind::Word(&["skip", "nag", "escalate"]), "escalate for a gate, else skip", "What happens when nobody answers in time: nothing; they, or others, are asked again up to 2 times and then a person is told; a person is told.";
        fruitless_claims: Kind::Whole(1, 10_000), "5", "For `plateau`: claims in a row that ended without a promotion.";
        fruitless_gpu_hours: Kind::Real(0.0, 1e9), "", "For `plateau`: GPU hours of measured runs without a promotion.";
        idle_for: Kind::Time, "10m", "For `idle`: time that somebody has nothing to do.";
    }
    "search" {
        draws: DRAWS, "20", "Claims of each such agent; after them it is done.";
        [NEEDED] predicts: Kind::Between(0.0, 1e300), "", "The gain that a draw is registered with, in the metric's unit; the seeds of its confirmation are planned from it.";
        [NEEDED] knobs: Kind::List, "", "What is drawn, all of it anew for each claim.";
    }
    "search.knobs[]" {
        [NEEDED] name: Kind::Text, "", "Its name, for people.";
        [NEEDED] file: Kind::Text, "", "The file that has it, one that a claim may change.";
        [NEEDED] pattern: Kind::Text, "", "Regex whose first group is the value; it matches on one line of the file.";
        values: Kind::Texts, "", "What it may be, all equally likely.";
        low: NUMBER, "", "The least, where it is a number.";
        high: NUMBER, "", "The most.";
        scale: Kind::Word(&["linear", "log"]), "linear", "What is equally likely: each difference, or each factor.";
        whole: Kind::Flag, "false", "Whether it is a whole number.";
    }
};
