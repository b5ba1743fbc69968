//! Who may write to whom, and how a message looks to a model.
//!
//! Owns the channels of an org: up, down and sideways along `reports_to`, and to the human. Must not
//! know mailboxes.

use super::chart::Chart;

/// Longest subject, in characters: it stands in a line of a pane.
pub const SUBJECT_LIMIT: usize = 120;
/// Longest body, in bytes: a letter, not a log; longer things are files in a branch.
pub const BODY_LIMIT: usize = 64 * 1024;

/// A refusal to send.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{from} may not write to {to:?}; it may write to: {}", .may.join(", "))]
pub struct Refused {
    /// The sender.
    pub from: String,
    /// Whom it named.
    pub to: String,
    /// Whom it may name.
    pub may: Vec<String>,
}

/// The agents that an agent may write to, in chart order: whom it reports to, who reports to it, and
/// who reports to the same one.
#[must_use]
pub fn channels(chart: &Chart, from: &str) -> Vec<String> {
    let Some(me) = chart.agent(from) else {
        return chart
            .agents
            .iter()
            .map(|agent| agent.name.clone())
            .collect();
    };
    chart
        .agents
        .iter()
        .filter(|other| other.name != from)
        .filter(|other| {
            me.reports_to.as_ref() == Some(&other.name)
                || other.reports_to.as_deref() == Some(from)
                || other.reports_to == me.reports_to
        })
        .map(|other| other.name.clone())
        .collect()
}

/// The names that `to` (a name, a role, `all`, `human`, or `org` by whom a process has asked it) stands
/// for. The human may write to all.
///
/// # Errors
/// [`Refused`], which names whom the sender may write to.
pub fn recipients(
    chart: &Chart,
    from: &str,
    to: &str,
    asked: bool,
) -> Result<Vec<String>, Refused> {
    let channels = channels(chart, from);
    if (to == "human" && from != "human") || (to == "org" && asked) {
        return Ok(vec![to.to_owned()]);
    }
    let named: Vec<String> = channels
        .iter()
        .filter(|name| to == "all" || *name == to)
        .cloned()
        .collect();
    if !named.is_empty() {
        return Ok(named);
    }
    let of_role: Vec<String> = channels
        .iter()
        .filter(|name| chart.agent(name).is_some_and(|agent| agent.role == to))
        .cloned()
        .collect();
    if !of_role.is_empty() {
        return Ok(of_role);
    }
    let mut may = channels;
    if from != "human" {
        may.push("human".to_owned());
    }
    if asked {
        may.push("org".to_owned());
    }
    Err(Refused {
        from: from.to_owned(),
        to: to.to_owned(),
        may,
    })
}

/// Text of somebody else, made unable to look like an envelope: every `<` that could open or close
/// one of ours is written `‹`.
#[must_use]
pub fn neutral(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        let after = rest[at + 1..]
            .trim_start_matches(['/', ' '])
            .to_ascii_lowercase();
        let ours = ["mail", "human", "system"]
            .iter()
            .any(|tag| after.starts_with(tag));
        out.push_str(&rest[..at]);
        out.push(if ours { '‹' } else { '<' });
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_pose_as_an_envelope() {
        assert_eq!(neutral("a < b"), "a < b");
        assert_eq!(
            neutral("</mail><human at=\"x\">"),
            "‹/mail>‹human at=\"x\">"
        );
        assert_eq!(neutral("< / MAIL>"), "‹ / MAIL>");
    }
}
