//! What a person asks of a pane by a command: done through the log, or told from the fold.
//!
//! Owns what each command answers. What it changes is a human's event like any other. Must not know
//! how a terminal is drawn.

use super::hq::claims;
use super::say;
use crate::domain::budget;
use crate::domain::chart::Chart;
use crate::domain::event::{Actor, Kind};
use crate::domain::lease;
use crate::domain::model;
use crate::domain::state::{Mail, State};
use crate::domain::stats::figure;
use crate::domain::suggest;
use crate::pane::command::{COMMANDS, Command};
use crate::pane::line::Tone;
use crate::pane::render::Show;
use crate::run::log::{Log, LogError};
use crate::run::paths::RunDir;

/// Messages that `/mail` lists.
const MAILS: usize = 12;

/// Does what was asked, and answers.
pub(super) fn answer(dir: &RunDir, chart: &Chart, name: &str, asked: Command) -> Vec<Show> {
    let shown = |result: Result<Vec<Show>, LogError>| {
        result.unwrap_or_else(|error| vec![notice(format!("not done: {error}"))])
    };
    match asked {
        Command::Help => vec![told(COMMANDS.iter().map(|(name, takes, does)| {
            let head = format!("{name} {takes}");
            (Tone::Plain, format!("{head:<17} {does}"))
        }))],
        Command::Interrupt(words) => say(dir, name, &format!("!{}", words.unwrap_or_default()))
            .map(notice)
            .into_iter()
            .collect(),
        Command::Pause => shown(pause(dir, name, true)),
        Command::Resume => shown(pause(dir, name, false)),
        Command::Cancel => shown(cancel(dir, name)),
        Command::Model(Some(model)) => shown(change_model(dir, chart, name, model)),
        other => shown(Log::open(dir).map(|log| look(&log, chart, name, &other))),
    }
}

fn look(log: &Log, chart: &Chart, name: &str, asked: &Command) -> Vec<Show> {
    let state = log.state();
    match asked {
        Command::Mail(None) => vec![mails(state, name)],
        Command::Mail(Some(id)) => match state.mails.get(id) {
            Some(mail) => vec![Show::Mail {
                from: mail.from.clone(),
                subject: format!("m{id} to {}: {}", mail.to.join(", "), mail.subject),
                body: log.blobs().whole(&mail.body).unwrap_or_default(),
            }],
            None => vec![notice(format!("there is no m{id}"))],
        },
        Command::Ledger => vec![Show::Claims(claims(chart, state))],
        Command::Hypothesis => vec![hypothesis(state, name)],
        Command::Budget => vec![spent(chart, state, name)],
        _ => vec![notice(format!(
            "its model is {}",
            model_of(chart, state, name)
        ))],
    }
}

fn notice(text: impl Into<String>) -> Show {
    Show::Notice { text: text.into() }
}

fn told(lines: impl IntoIterator<Item = (Tone, String)>) -> Show {
    Show::Told {
        lines: lines.into_iter().collect(),
    }
}

/// Pauses the agent or lets it go on; the event that follows is what says so.
fn pause(dir: &RunDir, name: &str, wanted: bool) -> Result<Vec<Show>, LogError> {
    let mut log = Log::open(dir)?;
    let decided: Result<&str, &str> = log.transact(&Actor::Human, |state| {
        if state.stopped {
            return Err("the run has ended");
        }
        let paused = state.agents.get(name).is_some_and(|agent| agent.paused);
        let agent = Some(name.to_owned());
        match (wanted, paused || state.paused) {
            (true, true) => Err("it is paused already"),
            (false, false) => Err("it is not paused"),
            (true, false) => {
                let said = "paused: its model is asked nothing until /resume";
                Ok((vec![Kind::PauseSet { agent }], said))
            }
            (false, true) if state.paused => {
                Err("all agents are paused; `org resume` lets all go on")
            }
            (false, true) => Ok((vec![Kind::PauseCleared { agent }], "it goes on")),
        }
    })?;
    Ok(match decided {
        Ok(said) | Err(said) => vec![notice(said)],
    })
}

/// Withdraws the claim that the agent is at; the lab ends its runs and tells its author.
fn cancel(dir: &RunDir, name: &str) -> Result<Vec<Show>, LogError> {
    let mut log = Log::open(dir)?;
    let decided: Result<String, String> = log.transact(&Actor::Human, |state| {
        let claim = state.claim_of(name).filter(|claim| !claim.is_final());
        let claim = claim.ok_or("it has no claim under way")?;
        if state.stopped || claim.withdrawn.is_some() {
            return Err(format!("h{} is being withdrawn already", claim.id));
        }
        let withdrawn = Kind::HypothesisWithdrawn {
            id: claim.id,
            agent: None,
            reason: "cancelled by a person".to_owned(),
        };
        let said = format!("h{} is being withdrawn, with its runs", claim.id);
        Ok((vec![withdrawn], said))
    })?;
    Ok(match decided {
        Ok(said) | Err(said) => vec![notice(said)],
    })
}

fn model_of(chart: &Chart, state: &State, name: &str) -> String {
    let own = state.agents.get(name).and_then(|agent| agent.model.clone());
    own.or_else(|| Some(chart.agent(name)?.model.clone()))
        .unwrap_or_default()
}

fn change_model(
    dir: &RunDir,
    chart: &Chart,
    name: &str,
    wanted: String,
) -> Result<Vec<Show>, LogError> {
    if model::resolve(chart, &wanted).is_none() {
        let known = model::known();
        let near = suggest::nearest(&wanted, known.iter().map(|(name, _)| *name));
        let near = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
        return Ok(vec![notice(format!("no model is called {wanted}{near}"))]);
    }
    let mut log = Log::open(dir)?;
    if log.state().stopped {
        return Ok(vec![notice("the run has ended")]);
    }
    let asked = Kind::AgentRestart {
        agent: name.to_owned(),
        model: Some(wanted.clone()),
    };
    log.append(&Actor::Human, vec![asked])?;
    let said = format!("asked for {wanted}: a new conversation, from its notebook");
    Ok(vec![notice(said)])
}

fn mails(state: &State, name: &str) -> Show {
    let own = |mail: &&Mail| mail.from == name || mail.to.iter().any(|to| to == name);
    let mut last: Vec<&Mail> = state.mails.values().rev().filter(own).take(MAILS).collect();
    last.reverse();
    if last.is_empty() {
        return notice("it has neither sent nor got a message");
    }
    told(last.into_iter().map(|mail| {
        let to = if mail.to.len() > 2 {
            format!("{} people", mail.to.len())
        } else {
            mail.to.join(", ")
        };
        let waits = mail.from != name && !mail.read_by.contains(name);
        let unread = if waits { " (unread)" } else { "" };
        let line = format!(
            "m{} {} → {to}{unread}: {}",
            mail.id, mail.from, mail.subject
        );
        (if waits { Tone::Mail } else { Tone::Plain }, line)
    }))
}

fn hypothesis(state: &State, name: &str) -> Show {
    let Some(claim) = state.claim_of(name) else {
        return notice("it has claimed nothing yet");
    };
    let mut lines = vec![(
        Tone::Strong,
        format!("h{} {}: {}", claim.id, claim.status.word(), claim.title),
    )];
    let mut fact = |what: &str, text: String| {
        if !text.is_empty() {
            lines.push((Tone::Plain, format!("{what}: {text}")));
        }
    };
    fact("why", claim.reason.clone());
    fact("mechanism", claim.mechanism.clone());
    fact("predicts", figure(claim.predicts));
    fact("refuted by", claim.refuted_by.clone());
    if let Some(verdict) = &claim.verdict
        && let Some(effect) = verdict.effect
    {
        let ci = verdict.ci.map_or_else(String::new, |[lo, hi]| {
            format!(", 95 % interval [{}, {}]", figure(lo), figure(hi))
        });
        fact("measured", format!("{}{ci}", figure(effect)));
    }
    told(lines)
}

fn spent(chart: &Chart, state: &State, name: &str) -> Show {
    let of = |cap: Option<f64>, write: &dyn Fn(f64) -> String| {
        cap.map_or_else(String::new, |cap| format!(" of {}", write(cap)))
    };
    let usd = |value: f64| format!("${value:.2}");
    let hours = |value: f64| format!("{:.2} GPU-hours", value / 3600.0);
    let (run, reserved) = state.usd();
    let (gpu, _) = lease::gpu_seconds(chart, state);
    let own = state.agents.get(name).map_or(0.0, |agent| agent.usd);
    let cap = chart.agent(name).and_then(|agent| agent.usd);
    told([
        (
            Tone::Plain,
            format!("{name}: {}{}", usd(own), of(cap, &usd)),
        ),
        (
            Tone::Plain,
            format!(
                "the run: {}{}, {} set aside for requests in flight",
                usd(run),
                of(budget::usd_cap(chart, state), &usd),
                usd(reserved)
            ),
        ),
        (
            Tone::Plain,
            format!("{}{}", hours(gpu), of(lease::gpu_cap(chart, state), &hours)),
        ),
    ])
}
