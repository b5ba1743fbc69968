//! The evidence for what is landed, as the message of its commit: what was claimed, what was measured, by
//! whom, and how it can be checked.
//!
//! Must not know how a commit is made.

use std::fmt::Write as _;

use super::{figure, ledger, verdict};
use crate::domain::chart::Metric;
use crate::domain::event::RunStatus;
use crate::domain::state::{Rerun, State};

/// Longest first line of the message: what git's own views show whole.
const SUBJECT: usize = 72;

/// What the message is about.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The metric.
    pub metric: &'a Metric,
    /// The fold.
    pub state: &'a State,
    /// The claim up to which the programme is landed.
    pub hypothesis: u64,
    /// The champion that this is.
    pub champion: &'a str,
    /// The hash of the ledger's last line.
    pub head: &'a str,
    /// How it did at target scale.
    pub rerun: Option<&'a Rerun>,
}

/// The first line: the claims, and the title of the last of them.
#[must_use]
pub fn title(of: &Evidence<'_>) -> String {
    let names: Vec<String> = of
        .state
        .claims_of(of.champion)
        .iter()
        .map(|id| format!("h{id}"))
        .collect();
    let claim = of.state.hypotheses.get(&of.hypothesis);
    let title = claim.map_or(String::new(), |claim| figure::one_line(&claim.title));
    let whole = format!("{}: {title}", names.join(", "));
    if whole.chars().count() <= SUBJECT {
        return whole;
    }
    let short: String = whole.chars().take(SUBJECT - 1).collect();
    format!("{}…", short.trim_end())
}

/// The whole message.
#[must_use]
pub fn message(of: &Evidence<'_>) -> String {
    let state = of.state;
    let mut out = format!("{}\n", title(of));
    for claim in of
        .state
        .claims_of(of.champion)
        .iter()
        .filter_map(|id| state.hypotheses.get(id))
    {
        let entry = ledger::entry(state, claim);
        let mechanism = figure::one_line(&claim.mechanism);
        write!(
            out,
            "\n{}why        {mechanism}\nclaimed    {}, by {}\n",
            verdict::text(of.metric, claim, &entry),
            claim.claim.word(),
            figure::one_line(&claim.agent),
        )
        .expect("a string takes everything");
    }
    out.push_str(&whole_gain(of));
    out.push_str(&target(of));
    write!(
        out,
        "\nOrg-Run: {}\nOrg-Claim: h{}\nOrg-Base: {}\nOrg-Champion: {}\nOrg-Ledger-Head: {}\n",
        state.run, of.hypothesis, state.start, of.champion, of.head
    )
    .expect("a string takes everything");
    out
}

/// The gain of the whole run, where it was measured of this champion.
fn whole_gain(of: &Evidence<'_>) -> String {
    let headline = of.state.headline.as_ref();
    let headline = headline.filter(|headline| headline.to == of.champion);
    let Some(verdict) = headline.map(|headline| &headline.verdict) else {
        return "\nIts gain over the start was not measured anew at the run's end.\n".to_owned();
    };
    let effect = verdict.effect.map(figure::signed);
    format!(
        "\nMeasured anew at the run's end, on seeds that chose nothing: gain {}, 95 % interval {}.\n",
        effect.unwrap_or_else(|| "not known".to_owned()),
        figure::interval(verdict.ci),
    )
}

fn target(of: &Evidence<'_>) -> String {
    let Some(rerun) = of.rerun.filter(|it| it.status == RunStatus::Ok) else {
        return String::new();
    };
    let value = rerun.measured.value.map(figure::number).unwrap_or_default();
    format!(
        "\nAt target scale: {} {value} in {}, by `{}`.\n",
        of.metric.name,
        figure::span(rerun.measured.wall_s),
        figure::one_line(&rerun.command),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;

    #[test]
    fn the_message_has_the_numbers_and_the_way_to_check_them() {
        let (chart, mut state) = sample::run();
        let (hypothesis, champion) = state
            .champions()
            .last()
            .map(|(id, after)| (id, after.to_owned()))
            .expect("a promotion");
        let claim = state.hypotheses.get_mut(&hypothesis).expect("there");
        claim.title =
            "a title that goes on and on, past what any view of git's shows of it\u{7}".into();
        let of = Evidence {
            metric: &chart.task.metric,
            state: &state,
            hypothesis,
            champion: &champion,
            head: "abc",
            rerun: None,
        };
        let text = message(&of);
        let first = text.lines().next().expect("a title");
        assert!(first.chars().count() <= SUBJECT, "{first}");
        assert!(
            first.starts_with(&format!("h{hypothesis}: a title")),
            "{first}"
        );
        for word in [
            "gain ",
            "Org-Ledger-Head: abc",
            &format!("Org-Champion: {champion}"),
            "PROMOTED",
        ] {
            assert!(text.contains(word), "{word}: {text}");
        }
        assert!(!text.contains('\u{7}'), "{text}");
    }
}
