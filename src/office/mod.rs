//! The grid of panes. Knows seats and argv, not roles or states, and has no verb to read a pane.
//!
//! The office is a view: nothing that matters runs in it. A pane runs a program that follows the
//! log, so a dead tmux server costs a picture and no work, and `open` builds the picture anew.
//! Everything here speaks to a tmux server of the run's own, on the run's own socket, with our
//! own configuration; a person's server and configuration are never touched.

mod client;
mod grid;
#[cfg(test)]
mod journey;
mod plan;
mod restore;
mod script;
mod server;
mod socket;

pub use client::OfficeError;
pub use plan::{Liveness, Mark, Opened, PaneSeen, Plan, Seat, Tint};
pub use server::TmuxOffice;
pub use socket::socket_for;

/// Where the seats of an organisation are shown.
#[derive(Clone, Debug)]
pub enum Office {
    /// On a tmux server of the run's own.
    Tmux(TmuxOffice),
    /// Nowhere: the same program without panes. Every verb succeeds and does nothing.
    Headless,
}

impl Office {
    /// Builds every window and starts every seat's program. A server that already listens on the
    /// socket is closed first, so that pane ids start anew and are the plan's.
    pub async fn open(&self, plan: &Plan) -> Result<Opened, OfficeError> {
        match self {
            Self::Tmux(tmux) => tmux.open(plan).await,
            Self::Headless => Ok(Opened::default()),
        }
    }

    /// Changes what borders and status line say, all of it in one call.
    pub async fn mark(&self, marks: &[Mark]) -> Result<(), OfficeError> {
        match self {
            Self::Tmux(tmux) => tmux.mark(marks).await,
            Self::Headless => Ok(()),
        }
    }

    /// Puts a seat's program (again) into a pane, in place: the pane keeps its id and its history.
    pub async fn reseat(&self, pane: &str, seat: &Seat) -> Result<(), OfficeError> {
        match self {
            Self::Tmux(tmux) => tmux.reseat(pane, seat).await,
            Self::Headless => Ok(()),
        }
    }

    /// Seats again whoever has no pane any more, each at the old place; panes that live are not
    /// touched. None where nobody was missing.
    pub async fn restore(&self, plan: &Plan) -> Result<Option<Opened>, OfficeError> {
        match self {
            Self::Tmux(tmux) => tmux.restore(plan).await,
            Self::Headless => Ok(None),
        }
    }

    /// Waits until the server that is there now has ended; returns at once where there is none.
    pub async fn ended(&self) {
        match self {
            Self::Tmux(tmux) => tmux.ended().await,
            Self::Headless => std::future::pending().await,
        }
    }

    /// What is known about the server. A call that does not answer in time is `Unknown`, on which
    /// nobody may act.
    pub async fn alive(&self) -> Liveness {
        match self {
            Self::Tmux(tmux) => tmux.alive().await,
            Self::Headless => Liveness::Alive(Vec::new()),
        }
    }

    /// Ends the server and returns when it is gone and its socket removed. Harmless where there is
    /// none.
    pub async fn close(&self) -> Result<(), OfficeError> {
        match self {
            Self::Tmux(tmux) => tmux.close().await,
            Self::Headless => Ok(()),
        }
    }

    /// Whether a person with this value of `TMUX` sits in this office.
    #[must_use]
    pub fn is_inside(&self, inside: Option<&str>) -> bool {
        match self {
            Self::Tmux(tmux) => tmux.is_inside(inside),
            Self::Headless => false,
        }
    }

    /// The command that shows the office (and `pane` in it) to a person, to be exec'ed by the
    /// caller; none when headless. `inside` is the value of `TMUX` where the person already sits
    /// in a tmux client.
    #[must_use]
    pub fn attach_argv(&self, inside: Option<&str>, pane: Option<&str>) -> Option<Vec<String>> {
        match self {
            Self::Tmux(tmux) => Some(tmux.attach_argv(inside, pane)),
            Self::Headless => None,
        }
    }
}
