//! What waits for a person, oldest first: the one list that `org status`, the office's status line,
//! `org next` and the notification all show.
//!
//! Owns which situations ask for attention, and since when; nothing else in the program does. Derived
//! from the fold alone, so that it is the same after a restart, and gone when its cause is. Must not
//! know how anybody is told.

use jiff::{SignedDuration, Timestamp};

use super::approval;
use super::budget;
use super::chart::Chart;
use super::event::{Matter, Outcome, RunStatus};
use super::lease;
use super::process;
use super::state::{Approval, Experiment, GONE, State};

/// Share of a cap at which a person hears of it: late enough to be no noise, early enough to act.
pub const NEAR: f64 = 0.9;
/// Why an agent is held for whose model there is no key.
pub const NO_KEY: &str = "no key";
/// Characters of a program's last line that are repeated: a path and a complaint.
const SAID: usize = 120;

/// One thing that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// Since when.
    pub since: Timestamp,
    /// The agent that it is about; none where it is about the run.
    pub agent: Option<String>,
    /// Why, in a sentence.
    pub reason: String,
    /// What to type about it.
    pub command: String,
    /// What kind of need it is, in a word.
    pub kind: &'static str,
}

impl Need {
    /// The same for as long as it is the same need, whatever its words say meanwhile: kind, whom it is
    /// about, and since when.
    #[must_use]
    pub fn key(&self) -> String {
        let whom = self.agent.as_deref().unwrap_or("-");
        format!("{}:{whom}:{}", self.kind, self.since)
    }
}

/// Everything that waits for a person, oldest first.
#[must_use]
pub fn needs_you(chart: &Chart, state: &State, now: Timestamp) -> Vec<Need> {
    let mut needs = held(state);
    needs.extend(approvals(state));
    needs.extend(left(state));
    needs.extend(undelivered(state));
    needs.extend(baseline(state));
    needs.extend(society(chart, state));
    needs.extend(unpaid(state));
    needs.extend(barred(state));
    if !state.stopped && state.down.is_none() {
        needs.extend(budgets(chart, state).filter(|need| need.since <= now));
    }
    needs.sort();
    needs
}

/// The next time at which something begins to need a person without any event.
#[must_use]
pub fn next_due(chart: &Chart, state: &State, now: Timestamp) -> Option<Timestamp> {
    let wall = wall(chart, state).map(|need| need.since);
    wall.filter(|at| *at > now && !state.stopped && state.down.is_none())
}

/// Agents that do nothing until a person has looked, with what waits for them.
fn held(state: &State) -> Vec<Need> {
    let held = state.agents.iter().filter_map(|(name, agent)| {
        // What ends by itself needs nobody.
        let held = agent.held.as_ref().filter(|_| agent.held_until.is_none())?;
        let reason = match agent.unread.len() {
            0 => held.clone(),
            1 => format!("{held}; a message waits for it"),
            n => format!("{held}; {n} messages wait for it"),
        };
        Some(Need {
            since: agent.held_at.or(agent.since).or(state.created)?,
            agent: Some(name.clone()),
            command: release(name, held),
            reason,
            kind: "held",
        })
    });
    held.collect()
}

/// Servers that want money, one line each, however many agents wait for it.
fn unpaid(state: &State) -> impl Iterator<Item = Need> + '_ {
    let unpaid = state.outages.iter().filter(|(_, it)| it.what == "quota");
    unpaid.map(|(provider, outage)| {
        let agents: Vec<&str> = outage.agents.iter().map(String::as_str).collect();
        Need {
            since: outage.since,
            agent: agents.first().map(|name| (*name).to_owned()),
            reason: format!(
                "{provider}: {}; {} wait, and it is tried again now and then",
                outage.error,
                agents.join(", ")
            ),
            command: format!("pay {provider}, or org restart … --model …"),
            kind: "quota",
        }
    })
}

/// Devices that measured runs wait for, since somebody else has them; and those that are gone, whoever waits.
fn barred(state: &State) -> impl Iterator<Item = Need> + '_ {
    let waits = |run: &Experiment| run.status == RunStatus::Queued;
    let waiting = state.experiments.values().filter(|run| waits(run)).count();
    let barred = state.barred.values();
    let barred = barred.filter(move |it| waiting > 0 || (it.why == GONE && !state.stopped));
    barred.map(move |barred| Need {
        since: barred.since,
        agent: None,
        reason: format!(
            "GPU {} is not used: {}; {waiting} measured runs are queued",
            barred.gpu.index, barred.why
        ),
        command: "nvidia-smi".to_owned(),
        kind: "device",
    })
}

/// What is parked until a person says yes or no.
fn approvals(state: &State) -> Vec<Need> {
    let need = |approval: &Approval| Need {
        since: approval.at,
        agent: match &approval.matter {
            Matter::Promote { hypothesis } | Matter::Land { hypothesis } => {
                state.hypotheses.get(hypothesis).map(|it| it.agent.clone())
            }
            Matter::Spend { .. } => None,
        },
        reason: format!("waits for your approval to {}", approval.question),
        command: format!("org approve {0}, or org deny {0}", approval::name(approval)),
        kind: "approval",
    };
    approval::pending(state).into_iter().map(need).collect()
}

/// What lets a held agent go on, by why it is held.
fn release(name: &str, held: &str) -> String {
    // Raising a cap releases whom it stopped; why it was held says which cap.
    let raise = held.find("`org budget ").map(|at| &held[at + 1..]);
    if let Some((command, _)) = raise.and_then(|rest| rest.split_once('`')) {
        return command.to_owned();
    }
    if held == NO_KEY {
        // A process that holds no key cannot be given one: the next one is.
        return "org down && org up --resume, where the key is".to_owned();
    }
    format!("org restart {name}")
}

/// Agents that a person took and whose terminal is gone.
fn left(state: &State) -> Vec<Need> {
    let left = state.agents.iter().filter_map(|(name, agent)| {
        Some(Need {
            since: agent.taken?.lost?,
            agent: Some(name.clone()),
            reason: "it was taken, the terminal is gone, and what was changed is not committed"
                .to_owned(),
            command: format!("org take {name}, or org resume {name}"),
            kind: "left",
        })
    });
    left.collect()
}

/// Files that a person dropped into a mailbox and that could not be taken as mail.
fn undelivered(state: &State) -> impl Iterator<Item = Need> + '_ {
    state.undelivered.iter().map(|lost| Need {
        since: lost.at,
        agent: Some(lost.to.clone()),
        reason: format!("{} is no mail for {}: {}", lost.name, lost.to, lost.reason),
        command: format!("org send {}", lost.to),
        kind: "undelivered",
    })
}

/// Why the baseline cannot be measured, and since when: one line, whatever the number of runs that say so.
#[must_use]
pub fn baseline(state: &State) -> Option<Need> {
    let broken = |run: &&Experiment| {
        run.commit == state.start
            && run.agent.is_none()
            && matches!(
                run.status,
                RunStatus::Crashed | RunStatus::Timeout | RunStatus::Oom | RunStatus::Invalid
            )
    };
    let runs: Vec<&Experiment> = state.experiments.values().filter(broken).collect();
    let ended = |run: &Experiment| run.finished_at.unwrap_or(run.queued_at);
    let first = runs.iter().min_by_key(|run| ended(run))?;
    let mut reason = format!(
        "baseline run e{} ended {}: {}",
        first.id,
        first.status.word(),
        first.reason
    );
    let mut lines = first.tail.head().lines().rev().map(str::trim);
    if let Some(last) = lines.find(|line| !line.is_empty()) {
        let short: String = last.chars().take(SAID).collect();
        reason = format!("{reason}; it said last: {short}");
    }
    if runs.len() > 1 {
        reason = format!("{reason}; {} more went wrong", runs.len() - 1);
    }
    Some(Need {
        since: ended(first),
        agent: None,
        reason,
        command: format!("org logs lab | grep e{}", first.id),
        kind: "baseline",
    })
}

/// Claims that are parked for want of a reviewer, reviews that wait for a person, and processes whose
/// letters nobody answered.
fn society(chart: &Chart, state: &State) -> Vec<Need> {
    let parked = process::unreviewed(state).map(|(claim, since, why)| Need {
        since,
        agent: Some(claim.agent.clone()),
        reason: format!("h{} is parked: {why}", claim.id),
        command: format!("org approve h{0}, or org deny h{0} --reason …", claim.id),
        kind: "unreviewed",
    });
    let asked = state.society.all().filter_map(|firing| {
        let id = firing.fired.hypothesis.filter(|_| firing.fired.gate)?;
        let yours = firing.is_open() && firing.asked.contains_key("human");
        let agent = firing.fired.about.clone();
        yours.then(|| Need {
            since: firing.at,
            agent,
            reason: format!("h{id} waits for your review ({})", firing.fired.process),
            command: format!("org approve h{id}, or org deny h{id} --reason …"),
            kind: "review",
        })
    });
    // A later firing that was answered settles what an earlier one was not.
    let last = chart.processes.iter();
    let last = last.filter_map(|it| state.society.of(&it.name).last());
    let silent = last.filter_map(|firing| {
        let (since, how) = firing.closed?;
        let told = how == Outcome::Escalated && !firing.fired.gate;
        let mut missing = firing.missing();
        missing.extend(firing.fired.absent.iter().cloned());
        told.then(|| Need {
            since,
            agent: missing.first().cloned(),
            reason: format!(
                "{} {}: no answer from {}",
                firing.fired.process,
                firing.fired.number,
                missing.join(", ")
            ),
            command: "org status".to_owned(),
            kind: "unanswered",
        })
    });
    parked.chain(asked).chain(silent).collect()
}

/// Caps that are nearly or wholly used up.
fn budgets<'a>(chart: &'a Chart, state: &'a State) -> impl Iterator<Item = Need> + 'a {
    [usd(chart, state), gpu(chart, state), wall(chart, state)]
        .into_iter()
        .flatten()
}

fn usd(chart: &Chart, state: &State) -> Option<Need> {
    let cap = budget::usd_cap(chart, state)?;
    let since = crossed(state.spending.iter().copied(), NEAR * cap)?;
    let (spent, _) = state.usd();
    Some(near(
        since,
        format!("${spent:.2} of ${cap:.2} are spent"),
        ["usd", "org budget usd=…"],
    ))
}

fn gpu(chart: &Chart, state: &State) -> Option<Need> {
    let cap = lease::gpu_cap(chart, state)?;
    let mut ended: Vec<(Timestamp, f64)> = state
        .experiments
        .values()
        .filter(|run| run.measured.gpu_s > 0.0)
        .map(|run| (run.finished_at.unwrap_or(run.queued_at), run.measured.gpu_s))
        .collect();
    ended.sort_by_key(|(at, _)| *at);
    let since = crossed(ended.into_iter(), NEAR * cap).or_else(|| {
        let last = state.experiments.values().filter_map(|run| run.finished_at);
        lease::starved(chart, state)
            .then(|| last.max().or(state.created))
            .flatten()
    })?;
    let (spent, _) = lease::gpu_seconds(chart, state);
    let (spent, cap) = (spent / 3600.0, cap / 3600.0);
    Some(near(
        since,
        format!("{spent:.2} of {cap:.2} GPU hours are used"),
        ["gpu_hours", "org budget gpu_hours=…"],
    ))
}

fn wall(chart: &Chart, state: &State) -> Option<Need> {
    let cap = budget::wall_cap(chart, state)?;
    let near_s = SignedDuration::try_from_secs_f64(NEAR * cap).ok()?;
    let since = state.created?.checked_add(near_s).ok()?;
    Some(near(
        since,
        format!(
            "{:.0} % of the wall time of {cap:.0} s are over",
            NEAR * 100.0
        ),
        ["wall", "org budget wall=…"],
    ))
}

fn near(since: Timestamp, reason: String, [kind, raise]: [&'static str; 2]) -> Need {
    Need {
        since,
        agent: None,
        reason,
        command: raise.to_owned(),
        kind,
    }
}

/// When a sum first came to at least `limit`.
fn crossed(parts: impl Iterator<Item = (Timestamp, f64)>, limit: f64) -> Option<Timestamp> {
    let mut sum = 0.0;
    for (at, part) in parts {
        sum += part;
        if sum >= limit {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::decode::{decode, fixtures};
    use crate::domain::event::{Actor, Closed, Event, Fired, Kind, Status, Text};
    use crate::domain::state::{AgentState, Undelivered};

    const CHART: &str = r#"version = 1
name = "n"
[task]
repo = "../repo"
run = "python3 train.py"
metric = { name = "loss", pattern = 'loss: ([0-9.]+)' }
[budget]
usd = 10.0
wall = "100s"
[[agents]]
name = "ana"
role = "researcher"
model = "claude-opus-5-5"
[[agents]]
name = "ben"
role = "researcher"
model = "gpt-6.2-sol"
[[processes]]
name = "review"
on = "hypothesis.confirmed"
by = { role = "researcher", not = "author" }
prompt = "review.md"
"#;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    fn chart() -> Chart {
        decode(CHART, &fixtures::context()).chart.expect("a chart")
    }

    fn said(state: &State, now: i64) -> Vec<(i64, String, String)> {
        let needs = needs_you(&chart(), state, at(now));
        let line = |need: Need| {
            let whom = need.agent.unwrap_or_else(|| "-".to_owned());
            (need.since.as_second(), whom, need.reason)
        };
        needs.into_iter().map(line).collect()
    }

    #[test]
    fn what_needs_a_person_is_said_oldest_first_and_only_while_it_does() {
        let mut state = State {
            created: Some(at(0)),
            ..State::default()
        };
        for name in ["ana", "ben"] {
            state.agents.insert(name.to_owned(), AgentState::default());
        }
        assert_eq!(said(&state, 50), []);
        let ben = state.agents.get_mut("ben").expect("seated");
        ben.held = Some("no key".to_owned());
        ben.held_at = Some(at(30));
        ben.unread.extend([4, 5]);
        state.spending = vec![(at(10), 5.0), (at(20), 4.0), (at(40), 0.5)];
        state.undelivered.push(Undelivered {
            at: at(25),
            to: "ana".to_owned(),
            name: "big.txt".to_owned(),
            reason: "it is longer than 64 KiB".to_owned(),
        });
        let reasons: Vec<String> = said(&state, 95).into_iter().map(|it| it.2).collect();
        assert_eq!(
            reasons,
            [
                "$0.00 of $10.00 are spent",
                "big.txt is no mail for ana: it is longer than 64 KiB",
                "no key; 2 messages wait for it",
                "90 % of the wall time of 100 s are over",
            ]
        );
        assert_eq!(next_due(&chart(), &state, at(50)), Some(at(90)));
        assert_eq!(said(&state, 89).len(), 3);
        // A cap that was raised is not near any more, and a run that went down has no budget to watch.
        state.caps.insert("usd".to_owned(), 20.0);
        assert_eq!(said(&state, 89).len(), 2);
        state.down = Some("org down".to_owned());
        assert_eq!(said(&state, 95).len(), 2);
    }

    #[test]
    fn a_broken_baseline_is_one_line_and_a_claim_without_reviewer_another() {
        let (_, mut state) = crate::view::sample::run();
        assert_eq!(needs_you(&chart(), &state, at(0)).len(), 1, "a held agent");
        state.agents.values_mut().for_each(|it| it.held = None);
        let broken: Vec<u64> = state.experiments.keys().copied().take(2).collect();
        for id in broken {
            let run = state.experiments.get_mut(&id).expect("there");
            run.status = RunStatus::Crashed;
            run.reason = "exit status 2".to_owned();
            run.tail = Text::from("no such file\n\n");
            run.commit.clone_from(&state.start);
            run.agent = None;
        }
        let first = baseline(&state).expect("broken").reason;
        let run = state.experiments.keys().next().expect("some");
        assert_eq!(
            first,
            format!(
                "baseline run e{run} ended crashed: exit status 2; it said last: no such file; 1 more \
                 went wrong"
            )
        );
        let (id, claim) = state.hypotheses.iter_mut().next().expect("a claim");
        claim.agent = "ana".to_owned();
        let fired = Fired {
            process: "review".to_owned(),
            number: 1,
            occasion: format!("h{id}"),
            hypothesis: Some(*id),
            about: Some("ana".to_owned()),
            asked: Vec::new(),
            absent: vec!["ben".to_owned()],
            to: Vec::new(),
            due: Some(at(20)),
            gate: true,
        };
        let over = Closed {
            process: "review".to_owned(),
            number: 1,
            outcome: Outcome::Escalated,
            missing: Vec::new(),
        };
        let moved = Kind::HypothesisMoved {
            id: *id,
            status: Status::Parked,
            reason: String::new(),
            verdict: None,
        };
        let steps = [
            (Actor::Org, Kind::ProcessFired(fired), 0),
            (Actor::Org, Kind::ProcessClosed(over), 0),
            (Actor::Lab, moved, 1),
        ];
        for (actor, body, alone) in steps {
            let event = Event {
                seq: state.seq + 1,
                at: at(10),
                actor,
                cause: None,
                body,
            };
            state.apply(&event).expect("foldable");
            let needs = needs_you(&chart(), &state, at(0));
            let unreviewed = needs.iter();
            let unreviewed = unreviewed.filter(|it| it.reason.contains("review without reviewer"));
            assert_eq!(unreviewed.count(), alone);
        }
    }
}
