//! `org inbox`: a mailbox.

use clap::Args;

use super::Context;
use super::failure::Failure;
use super::place::{self, RunArgs};
use super::send;
use crate::domain::event::{Actor, Kind};
use crate::os::clock;
use crate::run::log::Log;
use crate::view::inbox;

/// Show the mail of an agent, or yours
#[derive(Debug, Clone, Args)]
pub(super) struct InboxArgs {
    /// An agent, or human
    #[arg(default_value = "human")]
    who: String,
    #[command(flatten)]
    run: RunArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Mark your mail as read
    #[arg(long, conflicts_with = "json")]
    read: bool,
}

pub(super) fn run(context: &Context, args: &InboxArgs) -> Result<(), Failure> {
    let Context { place, ui } = context;
    let dir = place.reading(args.run.name())?;
    let who = args.who.as_str();
    let chart = place::chart(&dir)?;
    if who != "human" && chart.agent(who).is_none() {
        return Err(send::nobody(&chart, who));
    }
    if args.read && who != "human" {
        return Err(Failure::usage(
            format!("only {who} can read its own mail"),
            "`org inbox --read` marks yours",
        ));
    }
    let mut log = Log::open(&dir)?;
    let blobs = log.blobs();
    let messages = inbox::of(log.state(), who, |text| blobs.whole(text))?;
    if args.json {
        return ui.json(&messages);
    }
    if messages.is_empty() {
        ui.note(&format!("{who} has no mail"));
        return Ok(());
    }
    ui.out(&inbox::text(&messages, clock::now(), ui.paint()))?;
    if args.read {
        let unread = |log: &Log| -> Vec<u64> {
            let mails = log.state().mails.values();
            mails
                .filter(|mail| mail.to.iter().any(|to| to == "human"))
                .filter(|mail| !mail.read_by.contains("human"))
                .map(|mail| mail.id)
                .collect()
        };
        let ids = unread(&log);
        if !ids.is_empty() {
            let by = "human".to_owned();
            log.append(&Actor::Human, vec![Kind::MailRead { by, ids }])?;
        }
    }
    Ok(())
}
