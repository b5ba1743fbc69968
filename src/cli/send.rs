//! `org send`: a person's word to agents.

use std::io::Read as _;

use clap::Args;

use super::Context;
use super::failure::Failure;
use super::place::{self, RunArgs};
use crate::domain::chart::Chart;
use crate::domain::event::{Actor, Kind, Text};
use crate::domain::mail::{self, BODY_LIMIT, SUBJECT_LIMIT};
use crate::domain::state::State;
use crate::domain::suggest;
use crate::run::log::Log;
use crate::run::maildir::{Maildir, Posting};

/// Write to an agent, a role or all
///
/// It is taken in at the agent's next boundary. With --now, or with `!` in front of the text, it stops
/// what the agent is saying and doing first.
#[derive(Debug, Clone, Args)]
pub(super) struct SendArgs {
    /// An agent, a role, or all
    who: String,
    /// What to say; - reads it from standard input, -- goes before a text that begins with a hyphen
    #[arg(required = true, num_args = 1..)]
    text: Vec<String>,
    /// Interrupt what it does
    #[arg(long)]
    now: bool,
    /// The subject; else the beginning of the text
    #[arg(long)]
    subject: Option<String>,
    #[command(flatten)]
    run: RunArgs,
}

pub(super) fn run(context: &Context, args: &SendArgs) -> Result<(), Failure> {
    let Context { place, ui } = context;
    let dir = place.acting(args.run.name())?;
    let chart = place::chart(&dir)?;
    let to = recipients(&chart, &args.who)?;
    let (text, now) = said(args)?;
    let mut log = Log::open(&dir)?;
    let body = log.blobs().text(&text)?;
    let subject = subject(args.subject.as_deref().unwrap_or(&text));
    let sent = log.transact(&Actor::Human, |state| {
        seated(state, &to)?;
        let id = state.next_mail();
        let mail = letter(id, &to, &subject, &body, now);
        Ok::<_, Failure>((vec![mail], id))
    })??;
    let mail = log.state().mails.get(&sent);
    let mail = mail.expect("what was appended is folded");
    let mut undelivered = Vec::new();
    let mut posting = Posting::new(mail, &text);
    for name in &to {
        let mailbox = Maildir::at(dir.mailbox(name));
        let delivered = mailbox.create().and_then(|()| posting.deliver(&mailbox));
        if delivered.is_err() {
            undelivered.push(name.as_str());
        }
    }
    if !undelivered.is_empty() {
        // The log has it, and agents read the log; the mailbox is a view for other programs.
        let names = undelivered.join(", ");
        ui.note(&format!(
            "note: m{sent} is in the log, but not in the mailbox of {names}"
        ));
    }
    if !place::lives(&dir) {
        let id = dir.id();
        ui.note(&format!(
            "note: {id} is not alive; it is taken in after `org up --resume {id}`"
        ));
    }
    ui.out(&format!("sent m{sent}\n"))?;
    ui.note(&format!("to {}", to.join(", ")));
    Ok(())
}

/// The names that WHO stands for.
pub(super) fn recipients(chart: &Chart, who: &str) -> Result<Vec<String>, Failure> {
    mail::recipients(chart, "human", who, false).map_err(|_| nobody(chart, who))
}

/// The refusal of a name that nobody has.
pub(super) fn nobody(chart: &Chart, who: &str) -> Failure {
    let names: Vec<&str> = chart
        .agents
        .iter()
        .map(|agent| agent.name.as_str())
        .collect();
    let mut roles: Vec<&str> = chart
        .agents
        .iter()
        .map(|agent| agent.role.as_str())
        .collect();
    roles.sort_unstable();
    roles.dedup();
    let meant = suggest::nearest(who, names.iter().chain(&roles).copied());
    let meant = meant.map_or_else(String::new, |word| format!("did you mean {word}? "));
    Failure::refused(
        format!("nobody in this org is called {who:?}"),
        format!(
            "{meant}you may write to {}; to a role ({}); or to all",
            names.join(", "),
            roles.join(", ")
        ),
    )
}

/// The text, and whether it interrupts.
fn said(args: &SendArgs) -> Result<(String, bool), Failure> {
    let mut text = args.text.join(" ");
    if text == "-" {
        text.clear();
        let limit = BODY_LIMIT as u64 + 1;
        std::io::stdin()
            .take(limit)
            .read_to_string(&mut text)
            .map_err(|error| {
                Failure::usage("standard input cannot be read", "it must be UTF-8 text")
                    .because(&error)
            })?;
    }
    let urgent = text.strip_prefix('!').map(str::to_owned);
    let now = args.now || urgent.is_some();
    let text = urgent.unwrap_or(text).trim().to_owned();
    if text.is_empty() {
        return Err(Failure::usage(
            "there is nothing to send",
            "`org send WHO TEXT`, or `org send WHO -` with the text on standard input",
        ));
    }
    if text.len() > BODY_LIMIT {
        return Err(Failure::refused(
            format!("the text is longer than {BODY_LIMIT} bytes"),
            "put it into a file that the agent can read, and send its path",
        ));
    }
    Ok((text, now))
}

/// The first line, as much of it as a subject takes.
fn subject(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default().trim();
    if line.chars().count() <= SUBJECT_LIMIT {
        return line.to_owned();
    }
    let mut cut: String = line.chars().take(SUBJECT_LIMIT - 1).collect();
    cut.push('…');
    cut
}

/// Mail to somebody who has no seat yet would reach nobody.
fn seated(state: &State, to: &[String]) -> Result<(), Failure> {
    match to.iter().find(|name| !state.agents.contains_key(*name)) {
        None => Ok(()),
        Some(name) => Err(Failure::refused(
            format!("{name} has no seat yet"),
            "the run is starting; `org status` shows when it has",
        )),
    }
}

fn letter(id: u64, to: &[String], subject: &str, body: &Text, now: bool) -> Kind {
    Kind::MailSent {
        id,
        from: "human".to_owned(),
        to: to.to_vec(),
        subject: subject.to_owned(),
        body: body.clone(),
        now,
        assignment: false,
        call: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_the_first_line_cut_on_a_character() {
        assert_eq!(subject("look at LR\nnow"), "look at LR");
        let long = subject(&"é".repeat(500));
        assert_eq!(long.chars().count(), SUBJECT_LIMIT);
        assert!(long.ends_with('…'));
    }

    fn args(words: &[&str], now: bool) -> SendArgs {
        SendArgs {
            who: "all".to_owned(),
            text: words.iter().map(|word| (*word).to_owned()).collect(),
            now,
            subject: None,
            run: RunArgs::default(),
        }
    }

    #[test]
    fn an_exclamation_mark_in_front_interrupts_and_is_not_part_of_the_text() {
        let said = |words: &[&str], now| said(&args(words, now)).expect("text");
        assert_eq!(said(&["!stop", "it"], false), ("stop it".to_owned(), true));
        assert_eq!(said(&["go", "on!"], false), ("go on!".to_owned(), false));
        assert_eq!(said(&["go on"], true), ("go on".to_owned(), true));
        assert_eq!(
            super::said(&args(&["!"], false)).expect_err("empty").code(),
            2
        );
    }
}
