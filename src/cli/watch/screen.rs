//! The dashboard on a terminal: keys in, frames out.
//!
//! Owns the alternate screen, the loop, and what becomes of wishes. The run is only read, but for what
//! a person asks for by a key, which is logged as theirs. Must not know what a panel shows.

use std::collections::BTreeMap;
use std::io::{self, Stdout};
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, read};
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{cursor, execute};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::scene::Scene;
use crate::cli::failure::Failure;
use crate::cli::{approve, cancel, place};
use crate::domain::approval;
use crate::domain::event::{Actor, Kind};
use crate::domain::state::{Approval, State};
use crate::engine::seats;
use crate::os::exec::Exec;
use crate::run::bell::Bell;
use crate::view::watch::{Board, Choice, Press, Target, Wish, draw};

/// Between two frames while nothing is appended: clocks and progress go on.
const TICK: Duration = Duration::from_secs(1);
/// The same, while nobody does anything: only ages grow.
const IDLE: Duration = Duration::from_secs(10);
/// The same, of a run that has ended or a moment that is over: nothing moves.
const STILL: Duration = Duration::from_secs(60);
/// Shortest time between two frames, so that a flood of events is drawn in gulps.
const SPACING: Duration = Duration::from_millis(80);
/// Longest that tmux may take to choose a pane.
const TMUX_LIMIT: Duration = Duration::from_secs(5);
/// What `q` says in the office.
const NOT_QUIT: &str = "a pane is a view and is not quit: detach with C-b d";
/// What a key says that would change the past.
const OVER: &str = "this moment is over; L follows the log again";
/// Keys that wait.
const QUEUE: usize = 64;

/// How it ended.
pub(super) enum End {
    /// A person has seen enough.
    Quit,
    /// To the pane of this agent, on this terminal.
    Jump(String),
}

/// The terminal, until this is dropped.
struct Full {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Full {
    fn enter() -> io::Result<Self> {
        enable_raw_mode()?;
        let full = Self {
            terminal: Terminal::new(CrosstermBackend::new(io::stdout()))?,
        };
        execute!(io::stdout(), EnterAlternateScreen, cursor::Hide)?;
        Ok(full)
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        // The terminal may be gone, and then there is nobody to tell.
        drop(execute!(io::stdout(), LeaveAlternateScreen, cursor::Show));
        drop(disable_raw_mode());
    }
}

enum Input {
    Press(Press),
    Interrupt,
    Resize,
}

/// Shows a run until a person has seen enough or the terminal goes away. A seat of the office is not
/// quit: the pane would be empty.
///
/// # Errors
/// Where the log cannot be read.
pub(super) async fn run(mut scene: Scene, seated: bool) -> Result<End, Failure> {
    let mut full = Full::enter()?;
    let mut keys = keys();
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut bell = Bell::on(&[scene.dir.events()]);
    let mut board = scene.board();
    let mut choice = Choice::new(&board);
    loop {
        let drawn = full.terminal.draw(|frame| {
            choice.fit(frame.area());
            draw(&board, &choice, frame.area(), frame.buffer_mut());
        });
        if drawn.is_err() {
            return Ok(End::Quit);
        }
        let tick = if !scene.follows() || scene.state().stopped {
            STILL
        } else if board.is_busy() {
            TICK
        } else {
            IDLE
        };
        let rung = async {
            // Not more often than a frame is worth it.
            tokio::time::sleep(SPACING).await;
            bell.wait().await;
        };
        tokio::select! {
            biased;
            _ = hangup.recv() => return Ok(End::Quit),
            _ = terminate.recv() => return Ok(End::Quit),
            key = keys.recv() => match key {
                None => return Ok(End::Quit),
                Some(Input::Interrupt) if seated => choice.say(NOT_QUIT),
                Some(Input::Interrupt) => return Ok(End::Quit),
                Some(Input::Resize) => {}
                Some(Input::Press(press)) => {
                    let wish = choice.press(press, &board);
                    match wish {
                        Some(Wish::Quit) if seated => choice.say(NOT_QUIT),
                        Some(wish) => {
                            if let Some(end) = grant(wish, &mut scene, &board, &mut choice) {
                                return Ok(end);
                            }
                        }
                        None => {}
                    }
                }
            },
            () = rung => {}
            () = tokio::time::sleep(tick) => {}
        }
        scene.catch_up()?;
        board = scene.board();
    }
}

/// Does what a key asks for; what went wrong is said at the bottom.
fn grant(wish: Wish, scene: &mut Scene, board: &Board, choice: &mut Choice) -> Option<End> {
    match wish {
        Wish::Quit => return Some(End::Quit),
        Wish::Jump(agent) => match jump(scene, &agent) {
            Ok(true) => return Some(End::Jump(agent)),
            Ok(false) => {}
            Err(why) => choice.say(why),
        },
        Wish::Open(target) => match scene.page(board, &target) {
            Ok(Some(page)) => choice.show(page),
            Ok(None) => {}
            Err(error) => choice.say(format!("it cannot be read: {error}")),
        },
        Wish::Pause(who) => match pause(scene, who.as_deref()) {
            Ok(said) | Err(said) => choice.say(said),
        },
        Wish::Approve(at) | Wish::Deny(at) => {
            let approved = matches!(wish, Wish::Approve(_));
            choice.say(answer(scene, board, at, approved).unwrap_or_else(|why| why));
        }
        Wish::Cancel(target) => choice.say(call_off(scene, &target).unwrap_or_else(|why| why)),
        Wish::Step(news) => {
            if let Err(error) = scene.step(news) {
                choice.say(error.message);
            }
        }
        Wish::Follow => scene.follow(),
    }
    None
}

/// Chooses an agent's pane where we sit in the same office; says whether this terminal must be given
/// to tmux for that.
fn jump(scene: &Scene, agent: &str) -> Result<bool, String> {
    let state = scene.log.state();
    if state.headless {
        return Err("this run has no office: it was started with --headless".to_owned());
    }
    if state.stopped {
        return Err("the run has ended, and its office with it; o tells what is known".to_owned());
    }
    let clean: BTreeMap<String, String> = place::clean_env();
    let office = seats::office(&scene.dir, &clean).map_err(|error| error.to_string())?;
    let inside = place::var("TMUX");
    if !office.is_inside(inside.as_deref()) {
        return Ok(true);
    }
    let pane = state
        .office
        .as_ref()
        .and_then(|office| office.panes.get(agent));
    let Some(argv) = pane.and_then(|pane| office.attach_argv(inside.as_deref(), Some(pane))) else {
        return Err(format!("{agent} has no pane"));
    };
    let Some((program, rest)) = argv.split_first() else {
        return Err("the office has no door".to_owned());
    };
    let said = Exec::new(program)
        .args(rest.iter().cloned())
        .envs(clean)
        .envs(inside.map(|inside| ("TMUX".to_owned(), inside)))
        .output(TMUX_LIMIT)
        .map_err(|error| format!("tmux cannot be run: {error}"))?;
    if said.status.success() {
        return Ok(false);
    }
    let why = String::from_utf8_lossy(&said.stderr).trim().to_owned();
    Err(format!("tmux refused: {why}"))
}

/// Logs a person's word on what waits for it at that place of the queue.
fn answer(scene: &mut Scene, board: &Board, at: usize, approved: bool) -> Result<String, String> {
    if !scene.follows() {
        return Err(OVER.to_owned());
    }
    let need = board.status.needs_you.get(at);
    let pending = approval::pending(scene.log.state());
    let asked = need.and_then(|need| {
        let same = |it: &&&Approval| it.at == need.since && need.reason.ends_with(&it.question);
        pending.iter().find(same).map(|it| approval::name(it))
    });
    let Some(id) = asked else {
        let type_this = need.map_or("", |need| need.command.as_str());
        return Err(format!(
            "there is nothing to say yes or no to; type: {type_this}"
        ));
    };
    approve::answer(&mut scene.log, &id, approved, String::new()).map_err(|failure| failure.message)
}

/// Calls a run or a claim off.
fn call_off(scene: &mut Scene, target: &Target) -> Result<String, String> {
    if !scene.follows() {
        return Err(OVER.to_owned());
    }
    let target = match target {
        Target::Run(id) => cancel::Target::Run(*id),
        Target::Claim(id) => cancel::Target::Claim(*id),
        _ => return Err("only runs and claims can be called off".to_owned()),
    };
    let reason = "cancelled by a person".to_owned();
    cancel::call_off(&mut scene.log, target, reason).map_err(|failure| failure.message)
}

/// Pauses who is not paused, and lets go on who is; all where there is no name.
fn pause(scene: &mut Scene, who: Option<&str>) -> Result<String, String> {
    if !scene.follows() {
        return Err(OVER.to_owned());
    }
    let decide = |state: &State| -> Result<(Vec<Kind>, String), String> {
        if state.stopped {
            return Err("the run has ended".to_owned());
        }
        let Some(name) = who else {
            let any = state.paused || state.agents.values().any(|agent| agent.paused);
            let agent = None;
            return Ok(if any {
                (vec![Kind::PauseCleared { agent }], "all go on".to_owned())
            } else {
                let said = "all are paused; experiments that run go on";
                (vec![Kind::PauseSet { agent }], said.to_owned())
            });
        };
        if state.paused {
            return Err("all agents are paused: P P lets all go on".to_owned());
        }
        let paused = state.agents.get(name).is_some_and(|agent| agent.paused);
        let agent = Some(name.to_owned());
        Ok(if paused {
            (
                vec![Kind::PauseCleared { agent }],
                format!("{name} goes on"),
            )
        } else {
            (vec![Kind::PauseSet { agent }], format!("{name} is paused"))
        })
    };
    scene
        .log
        .transact(&Actor::Human, decide)
        .map_err(|error| format!("not logged: {error}"))?
}

/// Keys as they are pressed. The thread ends with the process: a blocking read cannot be called back.
fn keys() -> mpsc::Receiver<Input> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    std::thread::spawn(move || {
        while let Ok(event) = read() {
            let input = match event {
                Event::Key(key) if key.kind != KeyEventKind::Release => pressed(key),
                Event::Resize(..) => Some(Input::Resize),
                _ => None,
            };
            if let Some(input) = input
                && sender.blocking_send(input).is_err()
            {
                break;
            }
        }
    });
    receiver
}

fn pressed(key: KeyEvent) -> Option<Input> {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return matches!(key.code, KeyCode::Char('c' | 'd')).then_some(Input::Interrupt);
    }
    let press = match key.code {
        KeyCode::Char(c) => Press::Char(c),
        KeyCode::Enter => Press::Enter,
        KeyCode::Esc => Press::Escape,
        KeyCode::Tab => Press::Tab,
        KeyCode::BackTab => Press::BackTab,
        KeyCode::Up => Press::Up,
        KeyCode::Down => Press::Down,
        KeyCode::Left => Press::Left,
        KeyCode::Right => Press::Right,
        KeyCode::PageUp => Press::PageUp,
        KeyCode::PageDown => Press::PageDown,
        KeyCode::Home => Press::Home,
        KeyCode::End => Press::End,
        _ => return None,
    };
    Some(Input::Press(press))
}
