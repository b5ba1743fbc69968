//! How much of what was confirmed may be chance, over all claims of all agents.
//!
//! Owns the count of tests and the adjusted p values. Each claim is tested at the chart's level on its
//! own; with many claims some pass by luck, and who reads a report must be told how many. Adjusted by
//! Benjamini and Hochberg 1995 over every claim that got as far as a test. Must not know how a report
//! looks.

use crate::domain::event::Status;
use crate::domain::state::State;
use crate::domain::stats;

/// Share of false ones among what a report calls established.
const RATE: f64 = 0.05;

/// One tested claim.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Its number.
    pub id: u64,
    /// The p value of its test.
    pub p: f64,
    /// Adjusted: the smallest false discovery rate at which it is still called established.
    pub q: f64,
    /// Whether it passed the gate by itself: confirmed, reviewed or promoted.
    pub confirmed: bool,
    /// Whether it passed, and still does in the company of all others.
    pub stands: bool,
}

/// All tests of a run together.
#[derive(Debug, Clone, PartialEq)]
pub struct Multiplicity {
    /// The false discovery rate that is asked for.
    pub rate: f64,
    /// Tested claims, by number.
    pub tests: Vec<Judged>,
    /// Passes to be expected if no claim of the run were true: the level times the tests.
    pub by_chance: f64,
}

impl Multiplicity {
    /// How many passed the gate.
    #[must_use]
    pub fn confirmed(&self) -> usize {
        self.tests.iter().filter(|test| test.confirmed).count()
    }

    /// How many of those stand in the company of all others.
    #[must_use]
    pub fn standing(&self) -> usize {
        self.tests.iter().filter(|test| test.stands).count()
    }
}

/// The tests of a run; `alpha` is the level of each.
#[must_use]
pub fn multiplicity(alpha: f64, state: &State) -> Multiplicity {
    let tested: Vec<(u64, f64, bool)> = state
        .hypotheses
        .values()
        .filter_map(|claim| {
            let p = claim.verdict.as_ref()?.p?;
            let passed = matches!(
                claim.status,
                Status::Confirmed | Status::Reviewed | Status::Promoted
            );
            Some((claim.id, p, passed))
        })
        .collect();
    let adjusted =
        stats::benjamini_hochberg(&tested.iter().map(|(_, p, _)| *p).collect::<Vec<_>>());
    let tests: Vec<Judged> = tested
        .into_iter()
        .zip(adjusted)
        .map(|((id, p, confirmed), q)| Judged {
            id,
            p,
            q,
            confirmed,
            stands: confirmed && q <= RATE,
        })
        .collect();
    Multiplicity {
        rate: RATE,
        by_chance: alpha * tests.len() as f64,
        tests,
    }
}
