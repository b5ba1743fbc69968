//! What a run found out: `org report`.
//!
//! Owns what a report has in it and in which order: first what happened, what was promoted, what it
//! cost and what waits for a person; then the evidence; then every entry that a number comes from.
//! What was not found is said as plainly as what was. Must compute no statistic of its own beyond sums,
//! and must not know Markdown or HTML.

mod cite;
mod document;
pub(super) mod html;
mod markdown;
mod means;
mod opening;
mod outcome;
mod people;
mod progress;
mod records;
mod tried;

use jiff::Timestamp;

use super::ledger::Entry;
use super::plot::Progress;
use super::status::Status;
use crate::domain::chart::Chart;
use crate::domain::event::Event;
use crate::domain::state::State;
use crate::run::chain::Chain;

pub use cite::{Cited, EntryId, Quote, Sources, Unresolved};
pub use document::{Block, Document, Inline, Line, Row};
pub(super) use tried::ratios;

/// All that a report is made of.
#[derive(Debug, Clone, Copy)]
pub struct Material<'a> {
    /// What was asked for.
    pub chart: &'a Chart,
    /// What is so.
    pub state: &'a State,
    /// How the run stands.
    pub status: &'a Status,
    /// The ledger.
    pub ledger: &'a [Entry],
    /// The ledger's hash chain.
    pub chain: &'a Chain,
    /// What people did, in order.
    pub deeds: &'a [Event],
    /// When it is written.
    pub now: Timestamp,
}

/// What a part of a report is made from.
#[derive(Clone, Copy)]
struct Desk<'a> {
    material: &'a Material<'a>,
    sources: Sources<'a>,
}

/// Some blocks, or the number among them that does not resolve.
type Blocks = Result<Vec<Block>, Unresolved>;

/// The report, all of whose numbers resolve.
///
/// # Errors
/// [`Unresolved`], naming the number that comes from nowhere.
pub fn document(material: &Material<'_>) -> Result<Document, Unresolved> {
    let agents: Vec<String> = material
        .chart
        .agents
        .iter()
        .map(|agent| agent.name.clone())
        .collect();
    let desk = Desk {
        material,
        sources: Sources::new(material.state, &agents),
    };
    let parts: [fn(Desk<'_>) -> Blocks; 13] = [
        opening::head,
        outcome::headline,
        progress::section,
        outcome::promoted,
        outcome::multiplicity,
        tried::refused,
        tried::table,
        tried::explored,
        people::agents,
        people::mail,
        means::section,
        people::interventions,
        records::all,
    ];
    let mut blocks = Vec::new();
    for part in parts {
        blocks.extend(part(desk)?);
    }
    Document::new(blocks)
}

/// The plot of its progress.
#[must_use]
pub fn progress(material: &Material<'_>) -> Progress {
    progress::of(material)
}

/// The report as Markdown.
///
/// # Errors
/// As for [`document`].
pub fn text(material: &Material<'_>) -> Result<String, Unresolved> {
    Ok(markdown::page(&document(material)?))
}

/// The report as one HTML page that needs nothing else.
///
/// # Errors
/// As for [`document`].
pub fn page(material: &Material<'_>) -> Result<String, Unresolved> {
    let status = material.status;
    let mock = if status.mock { "MOCKED: " } else { "" };
    let title = format!("{mock}{}: {}", status.run, status.org);
    let foot = format!(
        "Written by org at {} from the log of {}. Every number links to the entry that it comes from.",
        material.now, status.run
    );
    Ok(html::page(&document(material)?, &title, &foot))
}
