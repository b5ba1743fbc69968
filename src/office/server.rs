//! The five verbs on a tmux server. Owns the order of calls and what their answers mean; must not
//! know how a call is written ([`super::script`]) or run ([`super::client`]).

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};
use tmux_interface::{AttachSession, DisplayMessage, KillServer, ListPanes, SwitchClient, Tmux};

use crate::os::process::{self, Watch};

use super::client::{Client, OfficeError};
use super::plan::{Liveness, Mark, Opened, PaneSeen, Plan, Seat};
use super::restore;
use super::script::{self, PANE_FORMAT, Script};
use super::socket::{self, Listener};

/// How long a server may take to end after each way of asking.
const END_LIMIT: Timespec = Timespec {
    tv_sec: 3,
    tv_nsec: 0,
};

/// How often a server that comes up while the office is being closed is ended as well.
const CLOSINGS: u32 = 3;

/// How long what sits in panes may take to end after its terminal did.
const PANES_LIMIT: Duration = Duration::from_secs(2);

/// How a program ended of which tmux says no more.
const UNSAID: &str = "ended";

/// A pane that is too small to be read, where nobody else looks: it is shown on the whole screen. The
/// window still has the size that the last client left, so it is the pane's share of the new one that
/// counts.
const CRAMPED: &str = concat!(
    "#{&&:#{e|<=:#{session_attached},1},#{&&:#{!=:#{window_zoomed_flag},1},#{||:",
    "#{e|<:#{e|/|:#{e|*|:#{pane_width},#{client_width}},#{window_width}},34},",
    "#{e|<:#{e|/|:#{e|*|:#{pane_height},#{client_height}},#{window_height}},12}}}}",
);

/// The run's own tmux server, there or not.
#[derive(Clone, Debug)]
pub struct TmuxOffice {
    client: Client,
}

impl TmuxOffice {
    /// The office at `socket` (see [`super::socket_for`]). `env` is the whole environment of the
    /// server and so of every pane: it should hold `PATH`, `HOME`, `TERM` and the locale, and no
    /// secret.
    pub fn at(socket: &Path, env: Vec<(String, String)>) -> Result<Self, OfficeError> {
        Ok(Self {
            client: Client::new(socket, env)?,
        })
    }

    /// Whether tmux is there and new enough.
    ///
    /// # Errors
    /// Where it is missing or too old.
    pub async fn usable(&self) -> Result<(), OfficeError> {
        self.client.check().await
    }

    /// See [`super::Office::open`].
    pub async fn open(&self, plan: &Plan) -> Result<Opened, OfficeError> {
        if plan.pages.is_empty() && plan.hq.is_empty() {
            return Err(OfficeError::Empty);
        }
        self.client.check().await?;
        self.close().await?;
        let mut script = script::build(plan);
        script.push(&list_panes());
        let said = self.client.start(&script.text()).await?;
        let mut opened = Opened::default();
        for pane in panes(&said) {
            opened.panes.insert(pane.seat, pane.id);
        }
        match plan
            .pages
            .iter()
            .chain(&plan.hq)
            .find(|s| !opened.panes.contains_key(&s.name))
        {
            Some(seat) => Err(OfficeError::Misplaced {
                seat: seat.name.clone(),
            }),
            None => Ok(opened),
        }
    }

    /// See [`super::Office::mark`].
    pub async fn mark(&self, marks: &[Mark]) -> Result<(), OfficeError> {
        if marks.is_empty() {
            return Ok(());
        }
        let mut script = Script::default();
        for mark in marks {
            script.mark(mark);
        }
        self.client.script(script.text()).await.map(drop)
    }

    /// See [`super::Office::reseat`].
    pub async fn reseat(&self, pane: &str, seat: &Seat) -> Result<(), OfficeError> {
        let mut script = Script::default();
        script.seat(pane, seat);
        self.client.script(script.text()).await.map(drop)
    }

    /// See [`super::Office::restore`].
    pub async fn restore(&self, plan: &Plan) -> Result<Option<Opened>, OfficeError> {
        let seen = self.list().await?;
        let Some(script) = restore::script(plan, &seen) else {
            return Ok(None);
        };
        self.client.script(script.text()).await?;
        let mut opened = Opened::default();
        for pane in self.list().await? {
            if !pane.seat.is_empty() {
                opened.panes.insert(pane.seat, pane.id);
            }
        }
        Ok(Some(opened))
    }

    /// See [`super::Office::ended`].
    pub async fn ended(&self) {
        let listener = socket::listener(self.client.socket()).await;
        if let Ok(Listener::Some(Some(pid))) = listener
            && let Ok(pid) = u32::try_from(pid.as_raw_nonzero().get())
            && let Ok(server) = Watch::open(pid, None)
        {
            // Where it cannot be waited for, the next look finds out.
            server.ended().await.ok();
        }
    }

    /// See [`super::Office::alive`].
    pub async fn alive(&self) -> Liveness {
        let server = match socket::listener(self.client.socket()).await {
            Ok(Listener::None) => return Liveness::Gone,
            Ok(Listener::Some(pid)) => pid,
            Err(e) => return Liveness::Unknown(e.to_string()),
        };
        let mut seen = self.list().await;
        let unheard = |pane: &PaneSeen| pane.ended.as_deref() == Some(UNSAID) && pane.pid > 0;
        if let (Ok(panes), Some(server)) = (&seen, server)
            && panes.iter().any(unheard)
        {
            // tmux 3.3 loses one in ten of the signals by which the kernel says that a program has
            // ended (seen with nothing of ours in the pane), and then knows neither how it ended nor
            // that it may tell. Another one has it look.
            let _gone = kill_process(server, Signal::CHILD);
            seen = self.list().await;
        }
        match seen {
            Ok(panes) => Liveness::Alive(panes),
            Err(e) => Liveness::Unknown(e.to_string()),
        }
    }

    /// Every pane there is.
    async fn list(&self) -> Result<Vec<PaneSeen>, OfficeError> {
        let mut script = Script::default();
        script.push(&list_panes());
        self.client
            .script(script.text())
            .await
            .map(|said| panes(&said))
    }

    /// See [`super::Office::close`].
    pub async fn close(&self) -> Result<(), OfficeError> {
        for _ in 0..CLOSINGS {
            let server = self.end_server().await?;
            // Whoever was building an office may have been killed without its tmux, which goes on.
            let mut late = process::carriers(&self.client.mark());
            if late.is_empty() {
                break;
            }
            late.retain(|process| Some(process.pid) != server);
            let late: Vec<Watch> = late
                .iter()
                .filter_map(|process| Watch::open(process.pid, Some(process.start)).ok())
                .collect();
            for process in &late {
                process.signal(Signal::TERM);
            }
            gone(&late).await;
        }
        Ok(socket::sweep(self.client.socket())?)
    }

    /// Ends the server that listens, and waits for what sat in its panes; says which it was.
    async fn end_server(&self) -> Result<Option<u32>, OfficeError> {
        let mut ended = None;
        if let Listener::Some(pid) = socket::listener(self.client.socket()).await? {
            // Opened before anything is ended, so that it is this process and no later one.
            let watched = pid.map(|pid| (pid, pidfd_open(pid, PidfdFlags::NONBLOCK)));
            let seated = self.seated().await;
            let mut script = Script::default();
            script.push(&KillServer::new().build());
            // The client of a dying server may be told anything; what counts is the process.
            drop(self.client.script(script.text()).await);
            if let Some((pid, Ok(pidfd))) = watched {
                ended = u32::try_from(pid.as_raw_nonzero().get()).ok();
                // Waiting on a descriptor blocks a thread, since tokio's own way needs `unsafe`.
                tokio::task::spawn_blocking(move || end(pid, &pidfd))
                    .await
                    .map_err(std::io::Error::from)??;
            }
            gone(&seated).await;
        }
        Ok(ended)
    }

    /// What sits in the panes.
    async fn seated(&self) -> Vec<Watch> {
        let mut script = Script::default();
        script.push(&ListPanes::new().all().format("#{pane_pid}").build());
        // Where nobody answers, there is nobody to wait for either.
        let said = self.client.script(script.text()).await.unwrap_or_default();
        let pids = said.lines().filter_map(|line| line.trim().parse().ok());
        pids.filter_map(|pid| Watch::open(pid, None).ok()).collect()
    }

    /// See [`super::Office::is_inside`].
    #[must_use]
    pub fn is_inside(&self, inside: Option<&str>) -> bool {
        inside.and_then(|tmux| tmux.split(',').next()) == Some(self.client.socket())
    }

    /// See [`super::Office::attach_argv`].
    #[must_use]
    pub fn attach_argv(&self, inside: Option<&str>, pane: Option<&str>) -> Vec<String> {
        let socket = self.client.socket();
        let here = self.is_inside(inside);
        let command = match (here, pane) {
            (true, Some(pane)) => SwitchClient::new().target_session(pane).build(),
            (true, None) => DisplayMessage::new().message("this is the office").build(),
            (false, Some(pane)) => AttachSession::new().target_session(pane).build(),
            (false, None) => AttachSession::new().build(),
        };
        // Without `-f` an `attach` that finds no server would start one with the person's own
        // configuration.
        let tmux = Tmux::new()
            .force_utf8()
            .file("/dev/null")
            .socket_path(socket);
        let words = tmux.add_command(command).build().to_vec();
        // tmux refuses to nest while these are set; to nest is what is asked for here.
        let zoom = pane.map(|pane| {
            let zoom = format!("resize-pane -Z -t {pane}");
            [";", "if-shell", "-F", "-t", pane, CRAMPED, &zoom].map(str::to_owned)
        });
        let mut argv: Vec<String> = Vec::new();
        if inside.is_some() && !here {
            argv.extend(["env", "-u", "TMUX", "-u", "TMUX_PANE"].map(str::to_owned));
        }
        argv.extend(words.into_iter().map(std::borrow::Cow::into_owned));
        argv.extend(zoom.into_iter().flatten());
        argv
    }
}

/// Waits until what sat in the panes has ended: its terminal is gone, and it was told so. What does
/// not hear is ended.
async fn gone(seated: &[Watch]) {
    let all = || async {
        for watch in seated {
            watch.ended().await.ok();
        }
    };
    if tokio::time::timeout(PANES_LIMIT, all()).await.is_err() {
        for watch in seated {
            watch.signal(Signal::KILL);
        }
        tokio::time::timeout(PANES_LIMIT, all()).await.ok();
    }
}

fn list_panes() -> tmux_interface::TmuxCommand<'static> {
    ListPanes::new().all().format(PANE_FORMAT).build()
}

/// Reads what [`PANE_FORMAT`] prints.
fn panes(said: &str) -> Vec<PaneSeen> {
    let mut panes = Vec::new();
    for line in said.lines() {
        let mut fields = line.splitn(10, '\t');
        let mut next = || fields.next().unwrap_or_default();
        let (id, dead, status, signal) = (next(), next(), next(), next());
        let (window, index, width, height) = (next(), next(), next(), next());
        let (pid, seat) = (next(), next());
        if !id.starts_with('%') {
            continue;
        }
        // By a signal the status is empty, and before tmux 3.3 the signal is too.
        let ended = match (dead, status, signal) {
            ("1", "", "") => Some(UNSAID.to_owned()),
            ("1", "", signal) => Some(format!("signal {signal}")),
            ("1", status, _) => Some(format!("exit {status}")),
            _ => None,
        };
        panes.push(PaneSeen {
            id: id.to_owned(),
            seat: seat.to_owned(),
            pid: pid.parse().unwrap_or(0),
            ended,
            window: window.to_owned(),
            index: index.parse().unwrap_or(0),
            size: (width.parse().unwrap_or(80), height.parse().unwrap_or(24)),
        });
    }
    panes
}

/// Waits for a server that was asked to end, and asks more and more firmly.
fn end(pid: Pid, pidfd: &OwnedFd) -> Result<(), OfficeError> {
    for signal in [Some(Signal::TERM), Some(Signal::KILL), None] {
        // A descriptor of a process becomes readable when the process ends, reaped or not.
        let mut watch = [PollFd::new(pidfd, PollFlags::IN)];
        if poll(&mut watch, Some(&END_LIMIT)).map_err(std::io::Error::from)? > 0 {
            return Ok(());
        }
        if let Some(signal) = signal {
            // It may have ended in between, which the next wait sees.
            let _gone = pidfd_send_signal(pidfd, signal);
        }
    }
    Err(OfficeError::Lingers {
        pid: pid.as_raw_nonzero().get(),
    })
}
