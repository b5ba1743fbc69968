//! Speed and memory of `org`, each figure beside a floor that was measured in the same run.
//!
//! Figures taken on a shared machine are not comparable between two days; ratios taken in turns are.
//! So every metric has a floor (the same work done by hand, with nothing around it), both are measured
//! alternately, and what is printed is their ratio and whether it is within its goal. Nothing here
//! fails on time: `cargo bench` says how it stands, and a person judges.
//!
//! `cargo bench --bench org -- up mail` runs only the chapters named.

mod cli;
mod idle;
mod log;
mod mail;
mod mind;
mod office;
mod proc;
mod scene;
mod screen;
mod table;
mod turn;
mod up;

use std::process::ExitCode;

use table::Table;

/// What a chapter may fail with: whatever stands against measuring at all.
type Broken = Box<dyn std::error::Error>;
/// A chapter measures some metrics.
type Chapter = fn(&mut Table) -> Result<(), Broken>;

/// In the order in which they run: what starts many processes comes last.
const CHAPTERS: [(&str, Chapter); 9] = [
    ("mail", mail::measure),
    ("log", log::measure),
    ("office", office::measure),
    ("screen", screen::measure),
    ("turn", turn::measure),
    ("mind", mind::measure),
    ("up", up::measure),
    ("idle", idle::measure),
    ("cli", cli::measure),
];

fn main() -> ExitCode {
    // cargo adds flags of its own, such as `--bench`.
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let mut table = Table::default();
    table.note("built as what is shipped: `cargo build --profile dist`");
    let mut code = ExitCode::SUCCESS;
    for (name, chapter) in CHAPTERS {
        if !wanted.is_empty() && !wanted.iter().any(|word| word == name) {
            continue;
        }
        if let Err(error) = chapter(&mut table) {
            table.note(&format!("{name} could not be measured: {error}"));
            code = ExitCode::FAILURE;
        }
    }
    table.end();
    code
}
