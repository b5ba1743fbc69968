//! Who sits where in the office: the translation of a chart into seats.
//!
//! Agents with a GPU fill the grid in chart order (all agents, where none has one), over pages; the
//! others sit in `hq` beside the feed of what happens and the dashboard.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::domain::chart::{Chart, GpuHome};
use crate::domain::event::Kind;
use crate::domain::state::State;

use crate::office::{Liveness, Office, OfficeError, Plan, Seat, Tint, TmuxOffice, socket_for};
use crate::os::lock::Lock;
use crate::os::{clock, exec};
use crate::run::paths::RunDir;

use super::spawn::ONE_HEAP;

/// How long somebody else may be building the office.
const TURN: Duration = Duration::from_secs(15);
/// Between two looks whether that is over.
const TURN_LOOK: Duration = Duration::from_millis(20);

/// The size of windows until somebody attaches: a usual full screen.
const DETACHED: (u16, u16) = (220, 50);
/// Lines of scrollback a pane: eight full panes are some 15 MiB of the tmux server.
const HISTORY: u32 = 3000;
/// The colours of states on borders. Never the only sign: the word stands beside it.
const TINTS: [(&str, &str); 8] = [
    ("starting", "colour244"),
    ("thinking", "colour75"),
    ("tool", "colour179"),
    ("waiting", "colour108"),
    ("paused", "colour244"),
    ("held", "colour203"),
    ("stopped", "colour240"),
    ("unknown", "colour208"),
];
/// The seat of the supervisor's feed.
pub const FEED: &str = "feed";
/// The seat of the dashboard.
pub const WATCH: &str = "watch";

/// The office of a run.
#[must_use]
pub fn plan(chart: &Chart, state: &State, dir: &RunDir, clean: &BTreeMap<String, String>) -> Plan {
    let exe = exec::current_exe().unwrap_or_else(|_| PathBuf::from("org"));
    let seat = |name: &str, title: String| Seat {
        name: name.to_owned(),
        argv: vec![
            exe.display().to_string(),
            "pane".to_owned(),
            name.to_owned(),
            "--run".to_owned(),
            dir.path().display().to_string(),
            "--seated".to_owned(),
        ],
        env: clean
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .chain([(ONE_HEAP.0.to_owned(), ONE_HEAP.1.to_owned())])
            .collect(),
        title,
    };
    let with_gpu: Vec<_> = chart
        .agents
        .iter()
        .filter(|agent| agent.gpu != GpuHome::None)
        .collect();
    let everybody = with_gpu.is_empty();
    let title = |agent: &crate::domain::chart::Agent| {
        let gpu = state
            .agents
            .get(&agent.name)
            .and_then(|agent| agent.gpu.as_ref());
        let gpu = gpu.map_or_else(|| "no gpu".to_owned(), |gpu| format!("gpu {}", gpu.index));
        format!("{gpu} · {} · {}", agent.role, agent.model)
    };
    let (grid, hq): (Vec<_>, Vec<_>) = chart
        .agents
        .iter()
        .partition(|agent| everybody || agent.gpu != GpuHome::None);
    let mut hq: Vec<Seat> = hq
        .iter()
        .map(|agent| seat(&agent.name, title(agent)))
        .collect();
    hq.push(seat(FEED, "what happens".to_owned()));
    hq.push(seat(
        WATCH,
        "Enter goes to a pane, ? tells the keys".to_owned(),
    ));
    let tint = |(word, colour): (&str, &str)| Tint {
        word: word.to_owned(),
        colour: colour.to_owned(),
    };
    Plan {
        session: chart.name.replace(['.', ':'], "-"),
        mock: state.mock,
        grid: chart.office.grid,
        size: DETACHED,
        pages: grid
            .iter()
            .map(|agent| seat(&agent.name, title(agent)))
            .collect(),
        hq,
        history: HISTORY,
        tints: TINTS.into_iter().map(tint).collect(),
        bell: Some(dir.office_bell()),
    }
}

/// The tmux server of a run, whether or not it lives.
///
/// # Errors
/// Where tmux is missing or too old, or no place for its socket can be had.
pub fn office(dir: &RunDir, clean: &BTreeMap<String, String>) -> Result<Office, OfficeError> {
    let runtime = clean.get("XDG_RUNTIME_DIR").map(PathBuf::from);
    let socket = socket_for(&dir.tmux_socket(), runtime.as_deref())?;
    let env = clean
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    Ok(Office::Tmux(TmuxOffice::at(&socket, env)?))
}

/// Builds the office and says where it is.
///
/// # Errors
/// Whatever tmux says.
pub async fn open(
    chart: &Chart,
    state: &State,
    dir: &RunDir,
    clean: &BTreeMap<String, String>,
) -> Result<Kind, OfficeError> {
    let runtime = clean.get("XDG_RUNTIME_DIR").map(PathBuf::from);
    let socket = socket_for(&dir.tmux_socket(), runtime.as_deref())?;
    let plan = plan(chart, state, dir, clean);
    let opened = office(dir, clean)?.open(&plan).await?;
    Ok(Kind::OfficeOpened {
        socket: socket.display().to_string(),
        session: plan.session,
        panes: opened.panes,
    })
}

/// The right to build the office: whoever builds one first ends the one that is there, so one does so at
/// a time, and looks again when the turn has come.
///
/// # Errors
/// Where the lock cannot be had.
pub async fn turn(dir: &RunDir) -> Result<Lock, OfficeError> {
    let deadline = clock::monotonic() + TURN;
    loop {
        if let Some(turn) = Lock::try_take(&dir.lock("office"))? {
            return Ok(turn);
        }
        if clock::monotonic() > deadline {
            let busy = "somebody else has been building it for too long";
            return Err(io::Error::new(io::ErrorKind::TimedOut, busy).into());
        }
        tokio::time::sleep(TURN_LOOK).await;
    }
}

/// Builds the office that is gone; none where somebody else has done so, who says it.
///
/// # Errors
/// Whatever tmux says.
pub(super) async fn rebuild(
    chart: &Chart,
    state: &State,
    dir: &RunDir,
    clean: &BTreeMap<String, String>,
) -> Result<Option<Kind>, OfficeError> {
    let _turn = turn(dir).await?;
    if matches!(office(dir, clean)?.alive().await, Liveness::Alive(_)) {
        return Ok(None);
    }
    open(chart, state, dir, clean).await.map(Some)
}
