//! Charts for tests: the smallest, the whole format, and one of everything odd.

use std::path::Path;

use super::{Asked, Context, decode_asked};

/// Models that the tests' charts may name.
pub(in crate::domain) const MODELS: [(&str, &str); 4] = [
    ("claude-opus-5-5", "anthropic"),
    ("claude-sonnet-5-5", "anthropic"),
    ("gpt-6.2-sol", "openai"),
    ("random", "none"),
];

pub(in crate::domain) fn context() -> Context<'static> {
    Context {
        base: Path::new("/lab/orgs"),
        home: Some(Path::new("/home/ana")),
        known_models: &MODELS,
        frozen: false,
    }
}

/// What the decoder looks for in a text.
pub(in crate::domain) fn asked(text: &str) -> Asked {
    decode_asked(text, &context(), None).1
}

pub(in crate::domain) const MINIMAL: &str = r#"version = 1
name = "small"
[task]
repo = "../repo"
run = "python3 train.py"
metric = { name = "loss", pattern = 'loss: ([0-9.]+)' }
"#;

/// Everything that this version takes.
pub(in crate::domain) const FULL: &str = include_str!("full.toml");

/// Corners: empty tables, built-in names replaced, quotes, and texts that need care when written.
pub(in crate::domain) const ODD: &str = r#"version = 1
name = "odd"
mission = """
Say "no" to
\\ and '''."""
[task]
repo = "git@example.org:x/y.git"
run = 'echo "loss: 1"'
gpus = 0
timeout = 0.5
env = {}
metric = { name = "lo\tss", goal = "max", pattern = "(\\d+)", take = "min" }
[protocol]
match = "none"
alpha = 1e-7
confirm = 3
guards = { wall = 2 }
[compute]
gpus = ["GPU-5f0a", "MIG-1/2"]
parallel = 2
[budget]
usd = 1
disk = 12345678901
wall = "1h30m"
[mock]
env = {}
share = []
setup = ""
[providers.anthropic]
key_env = ""
[providers.openai]
base_url = "https://proxy.example.org/v1"
[models."gpt-6.2-sol"]
price = { input = 0.1, output = 1e-3 }
[models."ödd \"model\""]
provider = "anthropic"
context = "1M"
[roles.researcher]
tools = []
[roles.chief]
compact_at = 5000
[[agents]]
name = "a.b_c-{n}"
role = "researcher"
model = "gpt-6.2-sol"
gpu = "GPU-5f0a"
usd = 0
"#;
