//! Journeys through the program from outside: one binary, one file per journey.
//!
//! They know what a person or a script knows: the commands, their `--json`, and the run directory.
#![expect(
    clippy::unwrap_used,
    reason = "what a journey cannot unwrap is its failure"
)]

mod ground;
mod small;
mod task;
mod terminal;

mod approvals;
mod attention;
mod autoresearch;
mod bad_charts;
mod bad_luck;
mod bad_replies;
mod bad_tasks;
mod calling_off;
mod caps;
mod charts;
mod commands;
mod compare;
mod completion;
mod confinement;
mod conversations;
mod desks;
mod evaluation;
mod git_safety;
mod gpus;
mod habits;
mod landing;
mod ledger;
mod minds;
mod nanochat;
mod office;
mod overnight;
mod pauses;
mod people;
mod quickstart;
mod recovery;
mod redaction;
mod reexecuted;
mod report;
mod resources;
mod screenshot;
mod sdks;
mod seeds;
mod smoke;
mod soak;
mod society;
mod stacking;
mod stale;
mod streams;
mod tournament;
mod trials;
mod waste;
mod ways;

/// A journey that nobody lists here is never run.
#[test]
fn every_file_is_listed() {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let listed = include_str!("main.rs");
    for entry in std::fs::read_dir(here).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let is_ours = path.extension().is_some_and(|it| it == "rs") && name != "main";
        assert!(
            !is_ours || listed.contains(&format!("\nmod {name};")),
            "tests/it/{name}.rs is not listed in main.rs"
        );
    }
}
