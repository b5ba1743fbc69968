//! Read-only: what a run looks like. Pure functions over chart, fold and what was observed, giving
//! values that serialise and text. Knows no adapter; deleting every view loses nothing.

pub mod attempt;
pub mod comparison;
pub mod costs;
pub mod evidence;
pub mod figure;
pub mod inbox;
pub mod leaves;
pub mod ledger;
pub mod line;
pub mod notice;
pub mod paint;
pub mod plot;
pub mod prospect;
pub mod report;
pub mod results;
pub mod results_full;
pub mod runs;
pub mod status;
mod status_text;
pub mod table;
pub mod verdict;
pub mod watch;

pub use status_text::text as status_text;

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
