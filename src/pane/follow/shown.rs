//! What a person types in a pane of a run that is only shown again: wishes for the player, and questions.
//!
//! Nothing typed here can reach the run: it is over, or somewhere else. Must not know how a wish is
//! granted.

use super::asked;
use crate::domain::chart::Chart;
use crate::domain::replay::Wish;
use crate::pane::command::Command;
use crate::pane::render::Show;
use crate::pane::screen::Typed;
use crate::run::paths::RunDir;

/// What may be typed.
pub(super) const HINT: &str = "this is a replay, nothing you type reaches an agent. Type pause, play, \
    10x or max for its speed, 1h30m or an event's number to go there, +5m or -5m to go on or back, \
    start, end, quit";

/// Hands a wish on, or answers a question.
pub(super) fn answer(dir: &RunDir, chart: &Chart, name: &str, typed: Typed) -> Vec<Show> {
    let notice = |text: &str| {
        let text = text.to_owned();
        vec![Show::Notice { text }]
    };
    let line = match typed {
        Typed::Text(line) => line,
        Typed::Command(Command::Pause) => "pause".to_owned(),
        Typed::Command(Command::Resume) => "play".to_owned(),
        Typed::Command(Command::Interrupt(_) | Command::Model(Some(_))) => return notice(HINT),
        Typed::Command(question) => return asked::answer(dir, chart, name, question),
    };
    if Wish::parse(&line).is_none() {
        return notice(HINT);
    }
    match dir.wish(&line) {
        Ok(()) => Vec::new(),
        Err(_) => notice("nobody plays this any more"),
    }
}
