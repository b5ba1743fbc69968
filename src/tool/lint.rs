//! What is wrong with a claim before anything of it is measured.
//!
//! Pure: the words of a claim against the chart and the ledger, and its diff against what a claim may
//! touch. Every refusal names what to change. Must not know how diffs are made.

use crate::domain::chart::{Axis, Chart};
use crate::domain::event::Status;
use crate::domain::glob;
use crate::domain::protocol::Claim;
use crate::domain::state::State;
use crate::repo::{Change, DiffText, Misfit};

use super::{one_line, suspect};

/// Claims of one agent under way at a time: enough to overlap one's runs with one's thinking. More
/// spread the lab's devices over what nobody follows up.
pub(super) const OPEN_CLAIMS: usize = 4;
/// Longest diff that is judged; a claim is one change, which is never as long.
pub(super) const DIFF_BYTES: usize = 1 << 20;
/// A claim as its author made it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Words {
    pub(super) title: String,
    pub(super) claim: Claim,
    pub(super) mechanism: String,
    pub(super) predicts: f64,
    pub(super) refuted_by: String,
    pub(super) axis: Axis,
    pub(super) margin: Option<f64>,
    pub(super) replicates: Option<u64>,
    pub(super) parts: Vec<String>,
}

/// Why a claim is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(super) enum Refused {
    #[error("`predicts` must be {0}")]
    Predicts(&'static str),
    #[error("`margin` is for `no_worse` only")]
    Margin,
    #[error("`margin` must be more than 0")]
    NoMargin,
    #[error("`margin` {asked} is wider than the organisation's {most}")]
    Wide { asked: f64, most: f64 },
    #[error("`axis` {} is not measured here: the axis is {}", .0.as_str(), .1.as_str())]
    Axis(Axis, Axis),
    #[error("`{0}` is empty")]
    Empty(&'static str),
    #[error("`replicates`: there is no claim h{0}")]
    Replicates(u64),
    #[error("`parts` is for `improve`, and names at least two parts, each once")]
    PartsWhere,
    #[error("`parts`: {0}")]
    Parts(Misfit),
    #[error("{0} of your claims are under way already, and no more may be")]
    Full(usize),
    #[error("nothing changed against the baseline {0}")]
    NoChange(String),
    #[error("{0} is protected")]
    Protected(String),
    #[error("{path} is outside of what a claim may change: {may}")]
    Outside { path: String, may: String },
    #[error("the diff is longer than {DIFF_BYTES} bytes: claim one change at a time")]
    Long,
    #[error("the diff changes how randomness is seeded, which is the harness's: {0}")]
    Seeding(String),
    #[error("the diff changes nothing but comments and empty lines")]
    Idle,
    #[error(
        "the diff carries data ({0}): what is learnt must be learnt in the run, at its cost; load it from \
         the task's own files"
    )]
    Carried(String),
    #[error("h{0} claims the same change already; name it in `replicates` to repeat it on purpose")]
    Twin(u64),
    #[error(
        "h{id} is nearly the same change and ended {}: look it up in the ledger, and name it in `replicates` \
         to try it again on purpose",
        status.word()
    )]
    DeadEnd { id: u64, status: Status },
}

/// Judges the words of a claim.
pub(super) fn words(
    chart: &Chart,
    state: &State,
    agent: &str,
    words: &Words,
) -> Result<(), Refused> {
    let finite = words.predicts.is_finite();
    if words.claim == Claim::Improve && !(finite && words.predicts > 0.0) {
        return Err(Refused::Predicts("more than 0: the gain that you expect"));
    }
    if !finite || words.predicts < 0.0 {
        return Err(Refused::Predicts("a size: 0 or more"));
    }
    match (words.margin, chart.protocol.margin) {
        (Some(_), _) if words.claim != Claim::NoWorse => return Err(Refused::Margin),
        (Some(asked), _) if !(asked.is_finite() && asked > 0.0) => return Err(Refused::NoMargin),
        (Some(asked), Some(most)) if asked > most => return Err(Refused::Wide { asked, most }),
        _ => {}
    }
    if words.axis != chart.protocol.matched && !is_measured(chart, words.axis) {
        return Err(Refused::Axis(words.axis, chart.protocol.matched));
    }
    for (name, text) in [
        ("title", &words.title),
        ("mechanism", &words.mechanism),
        ("refuted_by", &words.refuted_by),
    ] {
        if text.trim().is_empty() {
            return Err(Refused::Empty(name));
        }
    }
    if let Some(id) = words
        .replicates
        .filter(|id| !state.hypotheses.contains_key(id))
    {
        return Err(Refused::Replicates(id));
    }
    let parts = &words.parts;
    let twice = (1..parts.len()).any(|at| parts[..at].contains(&parts[at]));
    let few = parts.len() == 1 || (!parts.is_empty() && words.claim != Claim::Improve);
    if few || twice || parts.iter().any(|part| part.trim().is_empty()) {
        return Err(Refused::PartsWhere);
    }
    let open = state
        .hypotheses
        .values()
        .filter(|claim| claim.agent == agent && !claim.is_final())
        .count();
    if open >= OPEN_CLAIMS {
        return Err(Refused::Full(open));
    }
    Ok(())
}

/// Whether every run of this task is measured on an axis. Nothing at all is no axis to match on:
/// with it any wider model would win.
fn is_measured(chart: &Chart, axis: Axis) -> bool {
    let measure = &chart.task.measure;
    match axis {
        Axis::Wall => true,
        Axis::Gpu => chart.task.gpus > 0,
        Axis::Flops => measure.flops.is_some(),
        Axis::Tokens => measure.tokens.is_some(),
        Axis::Params => measure.params.is_some(),
        Axis::None => false,
    }
}

/// Judges the change of a claim against the commit that it is compared with.
pub(super) fn change(
    chart: &Chart,
    base: &str,
    changes: &[Change],
    diff: &DiffText,
) -> Result<(), Refused> {
    if changes.is_empty() {
        return Err(Refused::NoChange(base.get(..12).unwrap_or(base).to_owned()));
    }
    let task = &chart.task;
    for change in changes {
        if glob::any(&task.protect, &change.path) {
            return Err(Refused::Protected(one_line(&change.path)));
        }
        if !task.editable.is_empty() && !glob::any(&task.editable, &change.path) {
            return Err(Refused::Outside {
                path: one_line(&change.path),
                may: task.editable.join(", "),
            });
        }
    }
    if diff.cut {
        return Err(Refused::Long);
    }
    if suspect::is_idle(&diff.text) {
        return Err(Refused::Idle);
    }
    if let Some(what) = suspect::carried(&diff.text) {
        return Err(Refused::Carried(what));
    }
    match suspect::seeding(&diff.text, &task.seed) {
        Some(line) => Err(Refused::Seeding(one_line(&line))),
        None => Ok(()),
    }
}

/// Whether a claim of the past stands in the way of the same change: one that was refused, or taken
/// back, was never measured.
pub(super) fn blocks_twins(status: Status) -> bool {
    !matches!(status, Status::Rejected | Status::Withdrawn)
}

/// Whether a claim of the past was tried and came to nothing, so that nearly the same again is most likely
/// wasted. A crash is none: whoever repairs it does nearly the same, and should.
pub(super) fn is_dead_end(status: Status) -> bool {
    matches!(
        status,
        Status::Mismatched
            | Status::Parked
            | Status::Refuted
            | Status::Undecided
            | Status::Vetoed
            | Status::RolledBack
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::ChangeKind;

    fn good() -> Words {
        Words {
            title: "t".to_owned(),
            claim: Claim::Improve,
            mechanism: "m".to_owned(),
            predicts: 0.5,
            refuted_by: "r".to_owned(),
            axis: Axis::Wall,
            margin: None,
            replicates: None,
            parts: Vec::new(),
        }
    }

    #[test]
    fn a_claim_is_judged_by_its_words() {
        let mut chart = super::super::tests::chart();
        chart.protocol.margin = Some(0.1);
        chart.protocol.matched = Axis::Flops;
        let state = State::default();
        let said = |change: &dyn Fn(&mut Words)| {
            let mut claim = good();
            change(&mut claim);
            words(&chart, &state, "ana", &claim)
        };
        assert_eq!(said(&|_| {}), Ok(()));
        assert!(matches!(
            said(&|it| it.predicts = 0.0),
            Err(Refused::Predicts(_))
        ));
        assert!(matches!(
            said(&|it| it.predicts = f64::NAN),
            Err(Refused::Predicts(_))
        ));
        assert_eq!(said(&|it| it.margin = Some(0.1)), Err(Refused::Margin));
        let no_worse = |margin: f64| {
            said(&move |it: &mut Words| {
                it.claim = Claim::NoWorse;
                it.predicts = 0.0;
                it.margin = Some(margin);
            })
        };
        assert_eq!(no_worse(0.1), Ok(()));
        assert!(matches!(no_worse(0.2), Err(Refused::Wide { .. })));
        assert_eq!(no_worse(0.0), Err(Refused::NoMargin));
        assert_eq!(said(&|it| it.axis = Axis::Flops), Ok(()), "the chart's own");
        assert!(matches!(
            said(&|it| it.axis = Axis::Tokens),
            Err(Refused::Axis(..))
        ));
        assert!(matches!(
            said(&|it| it.axis = Axis::None),
            Err(Refused::Axis(..))
        ));
        assert_eq!(
            said(&|it| it.title = " ".to_owned()),
            Err(Refused::Empty("title"))
        );
        assert_eq!(
            said(&|it| it.replicates = Some(3)),
            Err(Refused::Replicates(3))
        );
    }

    #[test]
    fn a_change_is_judged_by_what_it_touches() {
        let mut chart = super::super::tests::chart();
        chart.task.editable = vec!["src".to_owned()];
        chart.task.protect = vec!["src/eval.py".to_owned()];
        let judge = |path: &str, diff: &str| {
            let changes = [Change {
                path: path.to_owned(),
                kind: ChangeKind::Modified,
            }];
            let diff = DiffText {
                text: format!("diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n{diff}"),
                cut: false,
            };
            change(&chart, "0123456789abcdef", &changes, &diff).map_err(|it| it.to_string())
        };
        assert_eq!(judge("src/a.py", "-LR = 1\n+LR = 2\n"), Ok(()));
        assert_eq!(
            judge("src/eval.py", ""),
            Err("src/eval.py is protected".to_owned())
        );
        assert_eq!(
            judge("b.py", ""),
            Err("b.py is outside of what a claim may change: src".to_owned())
        );
        assert!(judge("src/a.py", "-torch.manual_seed(1)\n+torch.manual_seed(2)\n").is_err());
        assert!(judge("src/a.py", "-LR = 1\n+LR = 1  # faster\n").is_err());
        let empty = DiffText {
            text: String::new(),
            cut: false,
        };
        let nothing = change(&chart, "0123456789abcdef", &[], &empty);
        assert_eq!(nothing, Err(Refused::NoChange("0123456789ab".to_owned())));
    }
}
