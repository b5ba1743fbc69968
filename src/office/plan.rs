//! What the office is asked for and what it says about itself, as values. Owns no behaviour and
//! must not know what a seat is for: a name, a command and a title are all there is.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// One program in one pane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Unique in the office; shown first on the border.
    pub name: String,
    /// Exec'ed as it is, without a login shell.
    pub argv: Vec<String>,
    /// Added to the server's environment for this pane.
    pub env: Vec<(String, String)>,
    /// Shown on the border after the name and the state.
    pub title: String,
}

/// Everything that `open` needs to build the office in one go.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The session's name, as a person sees it in the status line.
    pub session: String,
    /// Whether the status line and every border must say that nothing here is real.
    pub mock: bool,
    /// Columns and rows of a page; none to fit the number of seats.
    pub grid: Option<(u16, u16)>,
    /// Columns and rows of the windows until somebody attaches; enlarged where the grid needs it.
    pub size: (u16, u16),
    /// The seats of the grid in order, spilled over as many pages as needed.
    pub pages: Vec<Seat>,
    /// The seats of the window `hq`, in reading order.
    pub hq: Vec<Seat>,
    /// Lines of scrollback a pane.
    pub history: u32,
    /// How words given to [`Mark::State`] are coloured. The office knows none by itself.
    pub tints: Vec<Tint>,
    /// A file that is written to when a pane or a window has gone, so that nobody has to ask.
    pub bell: Option<PathBuf>,
}

/// A state's word and the tmux colour (`red`, `colour208`, `#5f87ff`) it is shown in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tint {
    /// As given to [`Mark::State`].
    pub word: String,
    /// As tmux names colours.
    pub colour: String,
}

/// What `open` built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Each seat's pane id (`%3`), stable for the life of the server.
    pub panes: BTreeMap<String, String>,
}

/// A change of what the office says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The text after name and state on a pane's border.
    Title {
        /// Pane id.
        pane: String,
        /// One line; control characters are dropped.
        text: String,
    },
    /// The word on a pane's border, which also colours it.
    State {
        /// Pane id.
        pane: String,
        /// One of the plan's tints, or any other word, which is then plain.
        word: String,
    },
    /// How many things wait for a person, in the status line; 0 shows nothing.
    Needs(u32),
}

/// A pane as the server lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaneSeen {
    /// Pane id.
    pub id: String,
    /// The seat's name; empty for a pane that a person opened.
    pub seat: String,
    /// Its program, or the one that ended; 0 where there was none yet.
    pub pid: u32,
    /// How its program ended (`exit 1`, `signal 9`, or `ended` where tmux does not say), where it has.
    pub ended: Option<String>,
    /// The window's name.
    pub window: String,
    /// Its place in the window.
    pub index: u32,
    /// Columns and lines of the window.
    pub size: (u16, u16),
}

/// What is known about the tmux server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It answered, with these panes.
    Alive(Vec<PaneSeen>),
    /// Nobody listens on the socket.
    Gone,
    /// It listens and did not answer in time, or not in words we know.
    Unknown(String),
}
