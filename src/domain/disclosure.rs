//! What agents may learn of a measurement that hidden data stand behind: whether it passed, and what
//! it cost; never a number of the metric. People see everything.
//!
//! A search that is told its score on hidden data, run after run, fits them. Owns the rule, so that
//! mail, ledger and brief cannot differ. Must not know where its answers are shown.

use super::chart::Task;
use super::event::Status;

/// What stands in the place of a number.
pub const WITHHELD: &str = "not disclosed (hidden evaluation)";

/// Whether numbers of the metric are kept from agents.
#[must_use]
pub fn withheld(task: &Task) -> bool {
    task.evaluate.is_some() && !task.hidden.is_empty()
}

/// The reason of a claim's status as an agent may read it. What is about cost, words or process stands
/// as it is; what was said by the metric is one of two sentences.
#[must_use]
pub fn reason(task: &Task, status: Status, reason: &str) -> String {
    if !withheld(task) {
        return reason.to_owned();
    }
    match status {
        Status::Smoke
        | Status::Registered
        | Status::Rejected
        | Status::Mismatched
        | Status::Vetoed
        | Status::Withdrawn
        | Status::Crashed
        | Status::Invalid
        | Status::Contended
        | Status::Reviewed
        | Status::Promoted => reason.to_owned(),
        Status::Screened | Status::Confirmed => "it passed the hidden evaluation".to_owned(),
        Status::Parked | Status::Refuted | Status::Undecided | Status::RolledBack => {
            "it did not pass the hidden evaluation".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::decode::decode;
    use crate::domain::decode::fixtures::{MINIMAL, context};

    #[test]
    fn a_number_of_the_metric_is_withheld_and_a_cost_is_not() {
        let chart = |keys: &str| {
            let text = MINIMAL.replace("[task]", &format!("[task]\n{keys}"));
            decode(&text, &context()).chart.expect("a sound chart").task
        };
        let open = chart("evaluate = \"python3 e.py\"\neditable = [\"a.py\"]");
        let blind = chart(
            "evaluate = \"python3 e.py\"\neditable = [\"a.py\"]\nhidden = [\"/secret/holdout\"]",
        );
        let why = "loss better by 0.25";
        assert_eq!(reason(&open, Status::Confirmed, why), why);
        for status in Status::ALL {
            let said = reason(&blind, status, why);
            let metric = matches!(
                status,
                Status::Screened
                    | Status::Confirmed
                    | Status::Parked
                    | Status::Refuted
                    | Status::Undecided
                    | Status::RolledBack
            );
            assert_eq!(said.contains("0.25"), !metric, "{status:?}");
        }
    }
}
