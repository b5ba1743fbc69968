//! From a run's log to what a pane shows: events become [`Show`]s, lines typed become mail.
//!
//! Follows the log and the agent's live stream; the stream is shown as it comes, and the reply in the
//! log adds only what the stream had not yet said, so that nothing is shown twice or missed. Must not
//! know how a terminal is drawn.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use futures_util::stream::Stream;
use tokio::sync::{mpsc, watch};

use crate::domain::chart::Chart;
use crate::domain::event::{Actor, Event, Kind, RunStatus, Stage};
use crate::domain::standing;
use crate::domain::state::State;
use crate::domain::stats::{Sample, figure};
use crate::os::{clock, lock};
use crate::run::bell::Bell;
use crate::run::log::{Log, LogError};
use crate::run::maildir::Maildir;
use crate::run::paths::RunDir;

use super::board::{Claim, Note, Standing};
use super::line::Tone;
use super::render::Show;
use super::screen::{self, Typed};
use super::status::Status;

/// Events of the past that a pane begins with; the rest is in `org logs`.
const PAST: usize = 400;
/// Lines of a tool's output that are shown under its call.
const DETAIL_LINES: usize = 6;
/// Columns of the reason that stands for a result in a line.
const BRIEF_COLUMNS: usize = 120;

/// Shows an agent until the terminal goes away.
///
/// # Errors
/// Where the log cannot be read.
pub async fn agent(dir: RunDir, chart: Chart, name: String) -> Result<(), LogError> {
    let mut follower = Follower::open(&dir, &chart, &name)?;
    let (shows, source) = mpsc::unbounded_channel();
    let (status, seen) = watch::channel(follower.status());
    for show in follower.past() {
        shows.send(show).ok();
    }
    let (typed_in, mut typed) = mpsc::unbounded_channel();
    let sink = move |line: Typed| {
        typed_in.send(line.text).ok();
    };
    let notices = shows.clone();
    let follow = follower.follow(shows, status);
    let send = async {
        while let Some(line) = typed.recv().await {
            if let Some(notice) = say(&dir, &name, &line) {
                notices.send(Show::Notice { text: notice }).ok();
            }
        }
        std::future::pending::<Result<(), LogError>>().await
    };
    tokio::select! {
        ended = follow => ended,
        never = send => never,
        shown = screen::run(stream(source), seen, sink) => {
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
pub async fn feed(dir: RunDir) -> Result<(), LogError> {
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
        _ = super::board::feed(stream(source)) => Ok(()),
    }
}

/// Shows the standing of the claims until the terminal goes away.
///
/// # Errors
/// Where the log cannot be read.
pub async fn standing(dir: RunDir, chart: Chart) -> Result<(), LogError> {
    let mut log = Log::open(&dir)?;
    let (table, seen) = watch::channel(claims(&chart, log.state()));
    let follow = async {
        let mut bell = Bell::on(&[dir.events()]);
        loop {
            bell.wait().await;
            log.catch_up()?;
            log.drain();
            let now = claims(&chart, log.state());
            table.send_if_modified(|shown| {
                let changed = *shown != now;
                *shown = now;
                changed
            });
        }
    };
    tokio::select! {
        ended = follow => ended,
        _ = super::board::standing(seen) => Ok(()),
    }
}

fn stream<T>(mut source: mpsc::UnboundedReceiver<T>) -> impl Stream<Item = T> {
    futures_util::stream::poll_fn(move |cx| source.poll_recv(cx))
}

/// Hands what a person typed to the log. Returns what went wrong, if anything; what went right comes
/// back as an event.
fn say(dir: &RunDir, name: &str, line: &str) -> Option<String> {
    let (now, text) = match line.trim_start().strip_prefix('!') {
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

/// One agent's pane, following.
struct Follower {
    dir: RunDir,
    chart: Chart,
    name: String,
    log: Log,
    past: VecDeque<Event>,
    live: LiveTail,
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
        let live = self.dir.path().join("live");
        let mut bell = Bell::on(&[self.dir.events(), live]);
        loop {
            for show in self.live.news() {
                shows.send(show).ok();
            }
            self.log.catch_up()?;
            for event in self.log.drain() {
                if concerns(&event, &self.name) {
                    for show in self.shows(&event) {
                        shows.send(show).ok();
                    }
                }
            }
            let now = self.status();
            status.send_if_modified(|shown| {
                let changed = *shown != now;
                *shown = now;
                changed
            });
            bell.wait().await;
        }
    }

    fn status(&self) -> Status {
        let state = self.log.state();
        let alive = lock::holder(&self.dir.agent_lock(&self.name)).is_some();
        let standing = standing::agent(state, &self.name, Some(alive));
        let agent = state.agents.get(&self.name).cloned().unwrap_or_default();
        let chart = self.chart.agent(&self.name);
        let since = agent
            .since
            .map_or(0.0, |at| clock::now().duration_since(at).as_secs_f64());
        let usage = agent.usage;
        Status {
            name: self.name.clone(),
            role: chart.map(|agent| agent.role.clone()).unwrap_or_default(),
            model: chart.map(|agent| agent.model.clone()).unwrap_or_default(),
            gpu: agent.gpu.map(|gpu| gpu.index.to_string()),
            state: standing.word.to_owned(),
            reason: match standing.word {
                "thinking" if agent.retry.is_none() => String::new(),
                "waiting" => String::new(),
                _ => standing.reason,
            },
            since_s: since.max(0.0) as u64,
            turn: agent.turns,
            tokens: usage.input + usage.output + usage.cache_read + usage.cache_write,
            usd: agent.usd,
            unread: u32::try_from(agent.unread.len()).unwrap_or(u32::MAX),
            mock: state.mock,
        }
    }

    /// What one event looks like in this pane.
    fn shows(&mut self, event: &Event) -> Vec<Show> {
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
                let rest: Vec<&str> = head.lines().skip(1).take(DETAIL_LINES).collect();
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

fn concerns(event: &Event, name: &str) -> bool {
    match &event.body {
        // Shown when it is taken in; a person's own words are confirmed at once.
        Kind::MailSent { from, to, .. } => from == "human" && to.iter().any(|to| to == name),
        other => other.concerns().contains(&name),
    }
}

/// The reading end of an agent's live stream.
struct LiveTail {
    path: PathBuf,
    offset: u64,
    request: u64,
    said: String,
    thought: String,
}

impl LiveTail {
    fn at(path: PathBuf) -> Self {
        Self {
            path,
            offset: 0,
            request: 0,
            said: String::new(),
            thought: String::new(),
        }
    }

    /// What streamed in since last time. A stream that was begun anew is shorter than what was read.
    fn news(&mut self) -> Vec<Show> {
        let text = self.read().unwrap_or_default();
        let mut shows = Vec::new();
        for line in text.lines() {
            let Ok(value) = serde_json::from_str::<serde_json::Value>(line) else {
                continue;
            };
            let piece = |key: &str| value.get(key).and_then(|v| v.as_str()).map(str::to_owned);
            if let Some(request) = value.get("request").and_then(serde_json::Value::as_u64) {
                self.request = request;
                self.said.clear();
                self.thought.clear();
            } else if let Some(text) = piece("text") {
                self.said.push_str(&text);
                shows.push(Show::Said { text });
            } else if let Some(text) = piece("thinking") {
                self.thought.push_str(&text);
                shows.push(Show::Thought { text });
            }
        }
        shows
    }

    fn read(&mut self) -> io::Result<String> {
        let mut file = File::open(&self.path)?;
        if file.metadata()?.len() < self.offset {
            self.offset = 0;
        }
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        // An unfinished line is read again when it is whole.
        let whole = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        self.offset += whole as u64;
        Ok(String::from_utf8_lossy(&bytes[..whole]).into_owned())
    }

    /// What of a whole reply the stream has not shown.
    fn rest(&mut self, request: u64, thinking: &str, text: &str) -> Vec<Show> {
        let (mut said, mut thought) = (String::new(), String::new());
        if self.request == request {
            said.clone_from(&self.said);
            thought.clone_from(&self.thought);
        }
        let left = |whole: &str, shown: &str| match whole.strip_prefix(shown) {
            Some(rest) => rest.to_owned(),
            None => whole.to_owned(),
        };
        let mut shows = Vec::new();
        let rest = left(thinking, &thought);
        if !rest.is_empty() {
            shows.push(Show::Thought { text: rest });
        }
        let rest = left(text, &said);
        if !rest.is_empty() {
            shows.push(Show::Said { text: rest });
        }
        shows
    }
}

/// The claims as the board shows them.
fn claims(chart: &Chart, state: &State) -> Standing {
    let count = |status| {
        state
            .experiments
            .values()
            .filter(|run| run.status == status)
            .count()
    };
    let values: Vec<f64> = state
        .experiments
        .values()
        .filter(|run| run.stage == Stage::Admission && run.status == RunStatus::Ok)
        .filter_map(|run| run.measured.value)
        .collect();
    let base = Sample::of(&values);
    let heading = format!(
        "{} baseline {} sd {} (n {})   runs: {} queued, {} running, {} ended",
        chart.task.metric.name,
        figure(base.mean),
        figure(base.sd),
        base.n,
        count(RunStatus::Queued),
        count(RunStatus::Running),
        state
            .experiments
            .values()
            .filter(|run| run.finished_at.is_some())
            .count(),
    );
    let claims = state.hypotheses.values().map(|claim| {
        let ci = claim
            .verdict
            .as_ref()
            .and_then(|verdict| Some((verdict.effect?, verdict.ci?)));
        let effect = match ci {
            Some((effect, [lo, hi])) => {
                format!("gain {} [{}, {}]", figure(effect), figure(lo), figure(hi))
            }
            None => claim.reason.clone(),
        };
        let tone = match claim.status {
            crate::domain::event::Status::Promoted => Tone::Good,
            status if status.is_exit() => Tone::Dim,
            _ => Tone::Strong,
        };
        Claim {
            id: format!("h{}", claim.id),
            agent: claim.agent.clone(),
            status: claim.status.word().to_owned(),
            effect,
            title: claim.title.clone(),
            tone,
        }
    });
    Standing {
        heading,
        claims: claims.collect(),
    }
}

/// What an event is in the feed: what happened between people, agents and the lab, not every call.
fn note(event: &Event) -> Option<Note> {
    let (who, text, tone) = match &event.body {
        Kind::MailSent {
            from, to, subject, ..
        } => {
            let to = if to.len() > 2 {
                format!("{} people", to.len())
            } else {
                to.join(", ")
            };
            (from.clone(), format!("→ {to}: {subject}"), Tone::Mail)
        }
        Kind::HypothesisRegistered {
            id, agent, title, ..
        } => (
            agent.clone(),
            format!("registered h{id}: {title}"),
            Tone::Strong,
        ),
        Kind::HypothesisRejected {
            id, agent, reason, ..
        } => (
            agent.clone(),
            format!("h{id} rejected: {reason}"),
            Tone::Warn,
        ),
        Kind::HypothesisMoved {
            id, status, reason, ..
        } => {
            let tone = if status.is_exit() {
                Tone::Warn
            } else {
                Tone::Good
            };
            (
                "lab".to_owned(),
                format!("h{id} {}: {reason}", status.word()),
                tone,
            )
        }
        Kind::ExperimentStarted { id, gpus, .. } => {
            let on: Vec<String> = gpus.iter().map(|gpu| gpu.index.to_string()).collect();
            (
                "lab".to_owned(),
                format!("e{id} runs on gpu {}", on.join(",")),
                Tone::Dim,
            )
        }
        Kind::ExperimentFinished {
            id,
            status,
            measured,
            ..
        } => {
            let value = measured
                .value
                .map_or_else(String::new, |value| format!(" {}", figure(value)));
            let text = format!("e{id} {}{value} in {:.1} s", status.word(), measured.wall_s);
            ("lab".to_owned(), text, Tone::Dim)
        }
        Kind::ProgrammeAdvanced { hypothesis, commit } => {
            let short = commit.get(..12).unwrap_or(commit);
            (
                "lab".to_owned(),
                format!("the programme has h{hypothesis}, {short}"),
                Tone::Good,
            )
        }
        Kind::HeadlineMeasured { headline } => {
            let effect = headline.verdict.effect.unwrap_or_default();
            (
                "lab".to_owned(),
                format!("re-measured gain {}", figure(effect)),
                Tone::Good,
            )
        }
        Kind::AgentHeld { agent, reason } => (agent.clone(), format!("held: {reason}"), Tone::Bad),
        Kind::AgentDied { agent, how } => (agent.clone(), format!("died: {how}"), Tone::Bad),
        Kind::AgentStarted { agent, .. } => (agent.clone(), "at work".to_owned(), Tone::Dim),
        Kind::SupervisorStarted { .. } => {
            ("supervisor".to_owned(), "at work".to_owned(), Tone::Dim)
        }
        Kind::RunDown { reason } => ("human".to_owned(), format!("down: {reason}"), Tone::Warn),
        _ => return None,
    };
    let at = event.at.strftime("%H:%M:%S").to_string();
    Some(Note {
        at,
        who,
        text,
        tone,
    })
}
