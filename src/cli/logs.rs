//! `org logs`: events by, to or about somebody.

use std::path::PathBuf;

use clap::Args;
use jiff::tz::TimeZone;

use super::Context;
use super::failure::Failure;
use super::place::{self, RunArgs};
use crate::domain::chart::Chart;
use crate::domain::event::Event;
use crate::run::bell::Bell;
use crate::run::log::{self, Log};
use crate::run::paths::RunDir;
use crate::view::line::{self, Concern};

/// Those who write to the log without being agents.
const OTHERS: [&str; 3] = ["human", "lab", "supervisor"];

/// Print what happened, by, to or about one of the org or all of it
#[derive(Debug, Clone, Args)]
pub(super) struct LogsArgs {
    /// An agent, human, lab or supervisor; everybody where it is left out
    who: Option<String>,
    #[command(flatten)]
    run: RunArgs,
    /// Go on as more happens
    #[arg(long, short)]
    follow: bool,
    /// Print events as the log has them, one JSON object a line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(context: &Context, args: &LogsArgs) -> Result<(), Failure> {
    let dir = context.place.reading(args.run.name())?;
    if let Some(who) = &args.who {
        known(&place::chart(&dir)?, who)?;
    }
    let mut printer = Printer {
        context,
        json: args.json,
        zone: TimeZone::system(),
        concern: Concern::with(args.who.as_deref()),
        last: 0,
        page: String::new(),
    };
    if args.json || !args.follow {
        log::each(&dir, |event, raw| printer.take(event, raw))?;
        printer.flush()?;
    }
    if !args.follow {
        return Ok(());
    }
    follow(&dir, &mut printer)
}

fn known(chart: &Chart, who: &str) -> Result<(), Failure> {
    if OTHERS.contains(&who) || chart.agent(who).is_some() {
        return Ok(());
    }
    let agents = chart.agents.iter().map(|agent| agent.name.as_str());
    let all: Vec<&str> = agents.chain(OTHERS).collect();
    Err(Failure::refused(
        format!("nobody in this org is called {who:?}"),
        format!("name one of: {}", all.join(", ")),
    ))
}

fn follow(dir: &RunDir, printer: &mut Printer<'_>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    runtime.block_on(async {
        // The bell first, then the reading: what is appended in between rings.
        let files: [PathBuf; 1] = [dir.events()];
        let mut bell = Bell::on(&files);
        let mut log = Log::open_with(dir, |event| printer.take_value(event))?;
        loop {
            printer.flush()?;
            bell.wait().await;
            log.catch_up()?;
            for event in log.drain() {
                printer.take_value(&event);
            }
        }
    })
}

struct Printer<'a> {
    context: &'a Context,
    json: bool,
    zone: TimeZone,
    concern: Concern,
    last: u64,
    page: String,
}

impl Printer<'_> {
    fn take(&mut self, event: &Event, raw: &str) {
        if event.seq <= self.last {
            return;
        }
        self.last = event.seq;
        if !self.concern.takes(event) {
            return;
        }
        if self.json {
            self.page.push_str(raw);
        } else {
            let ui = &self.context.ui;
            let line = line::text(event, &self.zone, ui.line_width(), ui.paint());
            self.page.push_str(&line);
        }
        self.page.push('\n');
    }

    fn take_value(&mut self, event: &Event) {
        let raw = if self.json {
            serde_json::to_string(event).unwrap_or_default()
        } else {
            String::new()
        };
        self.take(event, &raw);
    }

    fn flush(&mut self) -> Result<(), Failure> {
        if self.page.is_empty() {
            return Ok(());
        }
        self.context.ui.out(&std::mem::take(&mut self.page))
    }
}
