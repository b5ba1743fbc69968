//! From a run's log to what a pane shows: events become [`Show`]s, lines typed become mail.
//!
//! Follows the log and the agent's live stream; the stream is shown as it comes, and the reply in the
//! log adds only what the stream had not yet said, so that nothing is shown twice or missed. Must not
//! know how a terminal is drawn.

mod asked;
mod hq;
mod live;
mod shown;
mod shows;

use std::collections::VecDeque;

use futures_util::stream::Stream;
use tokio::sync::{mpsc, watch};

use self::hq::note;
use self::live::LiveTail;
use super::render::Show;
use super::screen::{self, Terminal, Typed};
use super::status::Status;
use crate::domain::chart::Chart;
use crate::domain::event::{Actor, Event, Gpu, Kind, RunStatus};
use crate::domain::texts::{Key, Texts};
use crate::domain::{model, session, standing};
use crate::os::{clock, lock};
use crate::run::bell::Bell;
use crate::run::gpu_use::Sampled;
use crate::run::log::{Log, LogError};
use crate::run::maildir::Maildir;
use crate::run::paths::RunDir;

/// Between two looks at what counts down; nothing else wakes a pane by itself.
const SECOND: std::time::Duration = std::time::Duration::from_secs(1);
/// Events of the past that a pane begins with; the rest is in `org logs`.
const PAST: usize = 400;

/// Age from which what a GPU did is no news.
const GPU_OLD_S: i64 = 30;

/// Shows an agent until the terminal goes away. `back` is how the pane before this one ended.
///
/// # Errors
/// Where the log cannot be read.
pub async fn agent(
    dir: RunDir,
    chart: Chart,
    name: String,
    terminal: Terminal,
    back: Option<String>,
) -> Result<(), LogError> {
    let mut follower = Follower::open(&dir, &chart, &name)?;
    let (shows, source) = mpsc::unbounded_channel();
    let (status, seen) = watch::channel(follower.status());
    for show in follower.past() {
        shows.send(show).ok();
    }
    if let Some(how) = back {
        let text = format!("this pane ended ({how}) and is back; the agent did not notice");
        shows.send(Show::Notice { text }).ok();
    }
    if dir.is_showing() {
        let text = shown::HINT.to_owned();
        shows.send(Show::Notice { text }).ok();
    }
    let (typed_in, mut typed) = mpsc::unbounded_channel();
    let sink = move |line: Typed| {
        typed_in.send(line).ok();
    };
    let notices = shows.clone();
    let follow = follower.follow(shows, status);
    let send = async {
        while let Some(line) = typed.recv().await {
            let answers = match line {
                line if dir.is_showing() => shown::answer(&dir, &chart, &name, line),
                Typed::Text(text) => {
                    let wrong = say(&dir, &name, &text);
                    wrong
                        .map(|text| Show::Notice { text })
                        .into_iter()
                        .collect()
                }
                Typed::Command(asked) => asked::answer(&dir, &chart, &name, asked),
            };
            for answer in answers {
                notices.send(answer).ok();
            }
        }
        std::future::pending::<Result<(), LogError>>().await
    };
    tokio::select! {
        ended = follow => ended,
        never = send => never,
        shown = screen::run(stream(source), seen, terminal, sink) => {
            if let Err(error) = shown {
                tracing::debug!(%error, "the terminal is gone");
            }
            Ok(())
        }
    }
}

/// Shows the run's events until the terminal goes away.
///
/// # Errors
/// Where the log cannot be read.
pub async fn feed(dir: RunDir, terminal: Terminal) -> Result<(), LogError> {
    let mut past = VecDeque::new();
    let mut log = Log::open_with(&dir, |event| {
        past.extend(note(event));
        if past.len() > PAST {
            past.pop_front();
        }
    })?;
    let (notes, source) = mpsc::unbounded_channel();
    for note in past {
        notes.send(note).ok();
    }
    let follow = async {
        let mut bell = Bell::on(&[dir.events()]);
        loop {
            log.catch_up()?;
            for event in log.drain() {
                if let Some(note) = note(&event) {
                    notes.send(note).ok();
                }
            }
            bell.wait().await;
        }
    };
    tokio::select! {
        ended = follow => ended,
        _ = super::board::feed(stream(source), terminal) => Ok(()),
    }
}

fn stream<T>(mut source: mpsc::UnboundedReceiver<T>) -> impl Stream<Item = T> {
    futures_util::stream::poll_fn(move |cx| source.poll_recv(cx))
}

/// Hands what a person typed to the log. Returns what went wrong, if anything; what went right comes
/// back as an event.
fn say(dir: &RunDir, name: &str, line: &str) -> Option<String> {
    let stop;
    let (now, text) = match line.trim_start().strip_prefix('!') {
        Some(rest) if rest.trim().is_empty() => {
            stop = stop_words(dir);
            (true, stop.as_str())
        }
        Some(rest) => (true, rest.trim_start()),
        None => (false, line),
    };
    if text.trim().is_empty() {
        return None;
    }
    let sent = (|| -> Result<(), String> {
        let mut log = Log::open(dir).map_err(|error| error.to_string())?;
        let body = log.blobs().text(text).map_err(|error| error.to_string())?;
        let subject: String = text
            .lines()
            .next()
            .unwrap_or_default()
            .chars()
            .take(60)
            .collect();
        let mail = Kind::MailSent {
            id: 0,
            from: Actor::Human.name().to_owned(),
            to: vec![name.to_owned()],
            subject,
            body,
            now,
            assignment: false,
            call: None,
        };
        log.append(&Actor::Human, vec![mail])
            .map_err(|error| error.to_string())?;
        let last = log.state().mails.values().next_back().cloned();
        if let Some(mail) = last {
            // The log has it; the mailbox is a view that the supervisor fills as well.
            Maildir::at(dir.mailbox(name)).deliver(&mail, text).ok();
        }
        Ok(())
    })();
    match sent {
        Ok(()) => None,
        Err(why) => Some(format!("not sent: {why}")),
    }
}

/// What an agent is told that is stopped without a word, as the run's own texts have it.
fn stop_words(dir: &RunDir) -> String {
    let frozen = std::fs::read_to_string(dir.prompts().join("messages.toml"));
    let texts = frozen.ok().and_then(|text| Texts::parse(&text).ok());
    let texts = texts.unwrap_or_else(Texts::builtin);
    texts.get(Key::Stop).render(&[]).trim().to_owned()
}

/// One agent's pane, following.
struct Follower {
    dir: RunDir,
    chart: Chart,
    name: String,
    log: Log,
    past: VecDeque<Event>,
    live: LiveTail,
    /// Whether all of it happened before, and is shown again.
    showing: bool,
}

impl Follower {
    fn open(dir: &RunDir, chart: &Chart, name: &str) -> Result<Self, LogError> {
        let mut past = VecDeque::new();
        let log = Log::open_with(dir, |event| {
            if concerns(event, name) {
                past.push_back(event.clone());
                if past.len() > PAST {
                    past.pop_front();
                }
            }
        })?;
        Ok(Self {
            dir: dir.clone(),
            chart: chart.clone(),
            name: name.to_owned(),
            log,
            past,
            live: LiveTail::at(dir.live(name)),
            showing: dir.is_showing(),
        })
    }

    fn past(&mut self) -> Vec<Show> {
        let past: Vec<Event> = self.past.drain(..).collect();
        past.iter().flat_map(|event| self.shows(event)).collect()
    }

    async fn follow(
        mut self,
        shows: mpsc::UnboundedSender<Show>,
        status: watch::Sender<Status>,
    ) -> Result<(), LogError> {
        let live = self.dir.live_dir();
        let mut bell = Bell::on(&[self.dir.events(), live]);
        loop {
            self.log.catch_up()?;
            for event in self.log.drain() {
                if concerns(&event, &self.name) {
                    for show in self.shows(&event) {
                        shows.send(show).ok();
                    }
                }
            }
            // After the log, which says whose stream it is: what it tells of came before.
            let agent = self.log.state().agents.get(&self.name);
            let in_flight = agent
                .and_then(|agent| agent.request)
                .map(|(number, _)| number);
            for show in self.live.news(in_flight) {
                shows.send(show).ok();
            }
            let now = self.status();
            let counts = waits(&now.reason) && !self.showing;
            status.send_if_modified(|shown| {
                let changed = *shown != now;
                *shown = now;
                changed
            });
            if counts {
                // It says for how long still.
                tokio::time::timeout(SECOND, bell.wait()).await.ok();
            } else {
                bell.wait().await;
            }
        }
    }

    fn status(&self) -> Status {
        let state = self.log.state();
        let agent = state.agents.get(&self.name).cloned().unwrap_or_default();
        let (alive, now) = match state.at.filter(|_| self.showing) {
            Some(then) => (agent.pid.is_some(), then),
            None => (
                lock::holder(&self.dir.agent_lock(&self.name)).is_some(),
                clock::now(),
            ),
        };
        let standing = standing::agent(state, &self.name, Some(alive), now);
        let chart = self.chart.agent(&self.name);
        let since = agent.since.map_or_else(String::new, |at| {
            clock::local(at).strftime("%H:%M").to_string()
        });
        let usage = agent.usage;
        let model = session::model_of(&self.chart, &agent, &self.name);
        let model = model.unwrap_or_default().to_owned();
        let window = model::resolve(&self.chart, &model).map_or(0, |model| model.context);
        let claim = state
            .claim_of(&self.name)
            .map(|claim| format!("h{} {}", claim.id, claim.status.word()));
        Status {
            name: self.name.clone(),
            role: chart.map(|agent| agent.role.clone()).unwrap_or_default(),
            model,
            gpu: agent.gpu.as_ref().map(|gpu| self.of_gpu(gpu)),
            claim,
            context: (window > 0).then(|| agent.context * 100 / window),
            state: standing.word.to_owned(),
            reason: match standing.word {
                "thinking" if !standing.reason.starts_with("waiting") => String::new(),
                "waiting" => String::new(),
                _ => standing.reason,
            },
            since,
            turn: agent.turns,
            tokens: usage.input + usage.output + usage.cache_read + usage.cache_write,
            usd: agent.usd,
            unread: u32::try_from(agent.unread.len()).unwrap_or(u32::MAX),
            mock: state.mock,
        }
    }
}

/// Whether a reason counts down.
fn waits(reason: &str) -> bool {
    reason.starts_with("waiting ")
}

impl Follower {
    /// The agent's GPU and what it does: the run that has it, and its use where that can be measured.
    fn of_gpu(&self, gpu: &Gpu) -> String {
        let mut runs = self.log.state().experiments.values();
        let run = runs.find(|run| {
            run.status == RunStatus::Running && run.gpus.iter().any(|held| held.uuid == gpu.uuid)
        });
        let mut text = gpu.index.to_string();
        if let Some(run) = run {
            text = format!("{text} e{}", run.id);
        }
        if gpu.simulated {
            return text + " simulated";
        }
        if self.showing {
            return text;
        }
        let now = clock::now().as_second();
        let sampled = Sampled::read(&self.dir).filter(|it| now - it.at.as_second() < GPU_OLD_S);
        let used = sampled.and_then(|it| it.gpus.get(&gpu.uuid).copied());
        if let Some(used) = used {
            let busy = used.busy_percent.map(|busy| format!(" {busy}%"));
            let memory = used.used_mb / 1024;
            text = format!("{text}{} {memory}G", busy.unwrap_or_default());
        }
        text
    }
}

fn concerns(event: &Event, name: &str) -> bool {
    match &event.body {
        // Shown when it is taken in; a person's own words are confirmed at once.
        Kind::MailSent { from, to, .. } => from == "human" && to.iter().any(|to| to == name),
        other => other.concerns().contains(&name),
    }
}
