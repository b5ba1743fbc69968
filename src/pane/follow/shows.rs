//! What events look like in an agent's pane.
//!
//! Owns the choice of what is shown of each and how much; must not know how a terminal is drawn.

use super::Follower;
use crate::domain::chart::Chart;
use crate::domain::event::{Event, Kind, Text};
use crate::domain::state::State;
use crate::domain::stats::figure;
use crate::pane::render::Show;

/// Stands for the rest of an output that the event does not hold.
const LONG: &str = "… and more, which `org logs` has";
/// Columns of the reason that stands for a result in a line.
const BRIEF_COLUMNS: usize = 120;

impl Follower {
    /// What one event looks like in this pane.
    pub(super) fn shows(&mut self, event: &Event) -> Vec<Show> {
        match &event.body {
            Kind::TurnStarted { mails, .. } => self.mails(mails),
            Kind::ReplyReceived {
                request,
                text,
                thinking,
                ..
            } => {
                let blobs = self.log.blobs();
                let whole = |text| blobs.whole(text).unwrap_or_default();
                self.live.rest(*request, &whole(thinking), &whole(text))
            }
            Kind::RequestWaits { reason, .. } => vec![Show::Notice {
                text: format!("waiting: {reason}"),
            }],
            Kind::RequestFailed {
                error, retry_at, ..
            } => {
                let when = retry_at.map_or_else(String::new, |at| {
                    let wait = at.duration_since(event.at).as_secs_f64();
                    format!(", waiting {wait:.0} s")
                });
                vec![Show::Notice {
                    text: format!("{error}{when}"),
                }]
            }
            Kind::ToolIntent { tool, brief, .. } => {
                vec![Show::Call {
                    tool: tool.clone(),
                    brief: brief.clone(),
                }]
            }
            Kind::ToolResult {
                tool, ok, output, ..
            } => {
                let head = output.head();
                let brief = head.lines().next().unwrap_or_default();
                let mut rest: Vec<&str> = head.lines().skip(1).collect();
                if matches!(output, Text::Long { .. }) {
                    rest.push(LONG);
                }
                vec![Show::CallDone {
                    tool: tool.clone(),
                    ok: *ok,
                    brief: brief.chars().take(BRIEF_COLUMNS).collect(),
                    detail: rest.join("\n"),
                }]
            }
            Kind::TurnEnded { interrupted, .. } => {
                let mut shows = vec![Show::TurnEnd];
                if *interrupted {
                    shows.push(Show::Notice {
                        text: "stopped by a person".to_owned(),
                    });
                }
                shows
            }
            Kind::HypothesisRegistered { id, .. } => {
                let mut shows = told(&event.body);
                shows.extend(under_notice(&self.chart, *id));
                shows
            }
            other => told(other),
        }
    }

    fn mails(&self, ids: &[u64]) -> Vec<Show> {
        let (state, blobs) = (self.log.state(), self.log.blobs());
        ids.iter()
            .filter_map(|id| state.mails.get(id))
            .map(|mail| {
                let body = blobs.whole(&mail.body).unwrap_or_default();
                match mail.from.as_str() {
                    "human" => Show::Human { text: body },
                    "lab" => {
                        verdict_line(state, &mail.subject, &self.chart).unwrap_or(Show::Mail {
                            from: mail.from.clone(),
                            subject: mail.subject.clone(),
                            body,
                        })
                    }
                    _ => Show::Mail {
                        from: mail.from.clone(),
                        subject: mail.subject.clone(),
                        body,
                    },
                }
            })
            .collect()
    }
}

/// That a claim waits for a person to look at it, where the chart gives notice.
fn under_notice(chart: &Chart, id: u64) -> Option<Show> {
    let seconds = chart.protocol.notice;
    let span = if seconds >= 120.0 {
        format!("{:.0} min", seconds / 60.0)
    } else {
        format!("{seconds:.0} s")
    };
    (seconds > 0.0).then(|| Show::Notice {
        text: format!(
            "h{id} starts in {span}, unless you call it off: Ctrl-X and Enter, or org cancel h{id}"
        ),
    })
}

/// What is told of an agent's process, its letters and its claims.
fn told(body: &Kind) -> Vec<Show> {
    match body {
        Kind::AgentHeld { reason, .. } => {
            vec![Show::State {
                word: "held".to_owned(),
                reason: reason.clone(),
            }]
        }
        Kind::AgentDied { how, .. } => {
            vec![Show::Notice {
                text: format!("its process died: {how}"),
            }]
        }
        Kind::AgentEnded { reason, .. } => {
            vec![Show::State {
                word: "stopped".to_owned(),
                reason: reason.clone(),
            }]
        }
        Kind::MailSent { from, id, .. } if from == "human" => {
            vec![Show::Notice {
                text: format!("m{id} sent; it is taken in at the next turn"),
            }]
        }
        Kind::HypothesisRegistered {
            id, title, commit, ..
        } => {
            let short = commit.get(..12).unwrap_or(commit);
            vec![result(
                format!("h{id}"),
                "registered",
                format!("{title} at {short}"),
            )]
        }
        Kind::HypothesisRejected { id, reason, .. } => {
            vec![result(format!("h{id}"), "rejected", reason.clone())]
        }
        _ => Vec::new(),
    }
}

fn result(id: String, status: &str, text: String) -> Show {
    Show::Result {
        id,
        status: status.to_owned(),
        text,
    }
}

/// A letter of the lab as a line with the numbers it is about.
fn verdict_line(state: &State, subject: &str, chart: &Chart) -> Option<Show> {
    let (id, status) = subject.split_once(' ')?;
    let number: u64 = id.get(1..)?.parse().ok()?;
    let text = match id.get(..1)? {
        "h" => state.hypotheses.get(&number)?.reason.clone(),
        "e" => {
            let run = state.experiments.get(&number)?;
            match run.measured.value {
                Some(value) => format!("{} {}", chart.task.metric.name, figure(value)),
                None => run.reason.clone(),
            }
        }
        _ => return None,
    };
    Some(result(id.to_owned(), status, text))
}
