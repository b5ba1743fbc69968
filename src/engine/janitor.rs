//! Keeps the office standing: a pane whose program ended, a pane or window that somebody closed, a tmux
//! server that is gone.
//!
//! The office is a view, so nothing that works is touched: what is missing is said in the log and put
//! back where it was. It is looked at when tmux rings, when a pane's program or the server ends, and never
//! by a clock: tmux itself was seen to miss the end of a program. One thing is mended at a time, and what
//! was seen meanwhile is looked at again: on half a repair nobody acts.
//! What falls again and again is left lying, and said. Must not know tmux's commands.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::domain::event::{Actor, Kind};
use crate::office::{Liveness, Office, PaneSeen, Seat};
use crate::os::clock;
use crate::os::process::Watch;

use super::supervise::{Report, SuperviseError, Supervisor};
use super::{seats, task};

/// How long a dead pane shows its last lines before it comes back.
const SHOWN: Duration = Duration::from_secs(2);
/// How long after a look or a repair that came to nothing it is tried again: tmux may be busy or stopped.
const TRY_AGAIN: Duration = Duration::from_secs(5);
/// How long tmux may take to see that a program has ended.
const SOON: Duration = Duration::from_millis(300);
/// How often something is put back within [`WITHIN`] before it is left lying.
const MOST: usize = 5;
const WITHIN: Duration = Duration::from_secs(120);
/// The environment variable that tells a pane's program how the one before it ended.
pub const BACK: &str = "ORG_PANE_BACK";

/// What comes to pass in the office.
#[derive(Debug)]
pub(super) enum Sign {
    /// It was looked at.
    Seen(Liveness),
    /// A server of it has ended.
    Ended,
    /// The program of a pane has ended.
    PaneEnded(u32),
    /// A repair is over; what it built has then to be said.
    Mended(Result<Option<Box<Kind>>, String>),
}

/// What is known of the office beside the log.
#[derive(Debug, Default)]
pub(super) struct Vigil {
    /// The office that is watched, by the event that built it.
    built: u64,
    /// Bytes of the bell's file when it was last seen: each ring adds one.
    rung: Option<u64>,
    /// A look that is under way.
    looking: bool,
    /// A repair that is under way.
    mending: bool,
    /// A sign that came meanwhile: look or repair may have been too early for it.
    again: bool,
    /// When what came to nothing is tried again.
    retry: Option<Instant>,
    /// The server fell too often.
    given_up: bool,
    /// When things were put back, by seat; `""` is the server.
    mended: BTreeMap<String, VecDeque<Instant>>,
    /// Dead panes that come back: whose they are, when, and how their program ended.
    due: BTreeMap<String, Fallen>,
    /// Dead panes that are left lying, which was said once.
    left: BTreeSet<String>,
    /// Panes' programs whose end is waited for.
    watched: BTreeSet<u32>,
    /// Those that have ended, and whether tmux was asked about it.
    ended: BTreeMap<u32, bool>,
}

/// A pane whose program ended.
#[derive(Debug)]
struct Fallen {
    seat: String,
    back_at: Instant,
    how: String,
}

impl Vigil {
    /// Whether something may be put back once more; counts it.
    fn may_mend(&mut self, what: &str) -> bool {
        let now = clock::monotonic();
        let times = self.mended.entry(what.to_owned()).or_default();
        while times
            .front()
            .is_some_and(|at| now.duration_since(*at) > WITHIN)
        {
            times.pop_front();
        }
        if times.len() >= MOST {
            return false;
        }
        times.push_back(now);
        true
    }

    /// Whether the time has come to try again; asked once.
    fn tries_again(&mut self) -> bool {
        let now = clock::monotonic();
        self.retry.take_if(|at| *at <= now).is_some()
    }

    fn try_in(&mut self, pause: Duration) {
        let at = clock::monotonic() + pause;
        self.retry = Some(self.retry.map_or(at, |before| before.min(at)));
    }

    /// How a pane's program ended; none where it lives, or where tmux has yet to see that it does not.
    fn end_of(&mut self, pane: &PaneSeen) -> Option<String> {
        if pane.ended.is_some() {
            return pane.ended.clone();
        }
        let asked = self.ended.get_mut(&pane.pid)?;
        if std::mem::replace(asked, true) {
            return Some("ended".to_owned());
        }
        self.try_in(SOON);
        None
    }
}

impl Supervisor {
    /// Looks after the office where there was a sign; says when something falls due.
    pub(super) fn tidy_office(&mut self) -> Option<Duration> {
        if self.state().down.is_some() {
            return None;
        }
        let again = self.vigil.tries_again();
        match self.state().office.as_ref().map(|office| office.built) {
            Some(built) => self.watch_office(built, again),
            None => self.rebuild(),
        }
        let due = self.reseat_due();
        let now = clock::monotonic();
        let retry = self.vigil.retry.map(|at| at.saturating_duration_since(now));
        [due, retry].into_iter().flatten().min()
    }

    fn watch_office(&mut self, built: u64, mut sign: bool) {
        if built != self.vigil.built {
            self.vigil.built = built;
            self.vigil.given_up = false;
            self.await_end();
        }
        let bell = std::fs::metadata(self.dir.office_bell());
        if let Ok(bell) = bell
            && self.vigil.rung != Some(bell.len())
        {
            self.vigil.rung = Some(bell.len());
            sign = true;
        }
        if sign {
            self.look_at_office();
        }
    }

    /// Builds the office that was lost and is not back: its builder failed, or did not live to do it.
    fn rebuild(&mut self) {
        let waits = self.vigil.mending || self.vigil.given_up || self.vigil.retry.is_some();
        if waits || !self.state().office_lost {
            return;
        }
        if self.vigil.may_mend("") {
            self.build_office();
        } else {
            self.vigil.given_up = true;
            tracing::warn!("the office could not be built again; org attach tries once more");
        }
    }

    /// The file that tmux writes to when something has gone; none where it cannot be made, and then
    /// only the server's end is noticed.
    pub(super) fn hang_bell(&mut self) -> Option<PathBuf> {
        let bell = self.dir.office_bell();
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&bell);
        file.ok()?;
        Some(bell)
    }

    /// Acts on it.
    pub(super) fn office_sign(&mut self, sign: Sign) -> Result<(), SuperviseError> {
        match sign {
            Sign::Seen(seen) => return self.office_seen(seen),
            Sign::Mended(mended) => return self.office_mended(mended),
            Sign::Ended => self.office_ended(),
            Sign::PaneEnded(pid) => self.pane_ended(pid),
        }
        Ok(())
    }

    fn office(&self) -> Option<Office> {
        seats::office(&self.dir, &self.clean).ok()
    }

    fn await_end(&self) {
        let (Some(office), report) = (self.office(), self.report.clone()) else {
            return;
        };
        task::start(async move {
            office.ended().await;
            report.send(Report::Office(Sign::Ended)).ok();
        });
    }

    fn look_at_office(&mut self) {
        if self.vigil.looking || self.vigil.mending {
            self.vigil.again = true;
            return;
        }
        let (Some(office), report) = (self.office(), self.report.clone()) else {
            return;
        };
        self.vigil.looking = true;
        task::start(async move {
            report
                .send(Report::Office(Sign::Seen(office.alive().await)))
                .ok();
        });
    }

    /// A server that was watched has ended, and every pane with it.
    fn office_ended(&mut self) {
        self.vigil.due.clear();
        self.vigil.left.clear();
        self.look_at_office();
    }

    /// A pane's program has ended, whether or not tmux has seen it.
    fn pane_ended(&mut self, pid: u32) {
        self.vigil.ended.entry(pid).or_default();
        self.look_at_office();
    }

    /// Waits for the end of every program that sits in a pane.
    fn watch_panes(&mut self, panes: &[PaneSeen]) {
        let seated = |pid: &u32| panes.iter().any(|pane| pane.pid == *pid);
        self.vigil.watched.retain(seated);
        self.vigil.ended.retain(|pid, _| seated(pid));
        let seated = panes.iter().filter(|pane| !pane.seat.is_empty());
        for pane in seated.filter(|pane| pane.ended.is_none()) {
            let (pid, report) = (pane.pid, self.report.clone());
            if !self.vigil.watched.insert(pid) {
                continue;
            }
            task::start(async move {
                if let Ok(program) = Watch::open(pid, None) {
                    // Where it cannot be waited for, tmux alone rings.
                    program.ended().await.ok();
                }
                report.send(Report::Office(Sign::PaneEnded(pid))).ok();
            });
        }
    }

    /// What was seen of it.
    fn office_seen(&mut self, seen: Liveness) -> Result<(), SuperviseError> {
        self.vigil.looking = false;
        if self.vigil.mending {
            // It may be half a repair that was seen.
            self.vigil.again = true;
            return Ok(());
        }
        if std::mem::take(&mut self.vigil.again) {
            self.look_at_office();
            return Ok(());
        }
        self.log.catch_up()?;
        let Some(office) = self.state().office.clone() else {
            return Ok(());
        };
        if self.state().down.is_some() {
            return Ok(());
        }
        match seen {
            // On what is not known nobody acts; what there was to see is still there later.
            Liveness::Unknown(why) => {
                tracing::info!(why, "the office was not seen");
                self.vigil.try_in(TRY_AGAIN);
            }
            Liveness::Gone => {
                let again = self.vigil.may_mend("");
                let then = if again {
                    "it is built again"
                } else {
                    "it fell too often; `org attach` builds it again"
                };
                self.say_lost(format!("its tmux server is gone; {then}"))?;
                self.vigil.given_up = !again;
                if again {
                    self.build_office();
                }
            }
            Liveness::Alive(panes) => {
                self.watch_panes(&panes);
                self.note_dead(&panes)?;
                let missing: Vec<String> = office
                    .panes
                    .keys()
                    .filter(|seat| !panes.iter().any(|pane| pane.seat == **seat))
                    .cloned()
                    .collect();
                if !missing.is_empty() {
                    self.seat_missing(&missing)?;
                }
            }
        }
        Ok(())
    }

    fn say_lost(&mut self, reason: String) -> Result<(), SuperviseError> {
        let lost = Kind::OfficeLost { reason };
        Ok(self.log.append(&Actor::Supervisor, vec![lost])?)
    }

    fn build_office(&mut self) {
        let (chart, state) = (self.chart.clone(), self.state().clone());
        let (dir, clean, report) = (self.dir.clone(), self.clean.clone(), self.report.clone());
        self.vigil.mending = true;
        task::start(async move {
            let built = seats::rebuild(&chart, &state, &dir, &clean).await;
            let built = built.map(|it| it.map(Box::new));
            let built = built.map_err(|error| error.to_string());
            report.send(Report::Office(Sign::Mended(built))).ok();
        });
    }

    /// Panes whose program ended are said, and due to come back.
    fn note_dead(&mut self, panes: &[PaneSeen]) -> Result<(), SuperviseError> {
        for pane in panes.iter().filter(|pane| !pane.seat.is_empty()) {
            let Some(how) = self.vigil.end_of(pane) else {
                self.vigil.left.remove(&pane.id);
                continue;
            };
            if self.vigil.due.contains_key(&pane.id) || self.vigil.left.contains(&pane.id) {
                continue;
            }
            let again = self.vigil.may_mend(&pane.seat);
            let then = if again {
                let fallen = Fallen {
                    seat: pane.seat.clone(),
                    back_at: clock::monotonic() + SHOWN,
                    how: how.clone(),
                };
                self.vigil.due.insert(pane.id.clone(), fallen);
                ""
            } else {
                self.vigil.left.insert(pane.id.clone());
                "; it fell too often, C-b R brings it back"
            };
            let lost = Kind::PaneLost {
                seat: pane.seat.clone(),
                how: format!("{how}{then}"),
            };
            self.log.append(&Actor::Supervisor, vec![lost])?;
        }
        Ok(())
    }

    fn seat_missing(&mut self, missing: &[String]) -> Result<(), SuperviseError> {
        let mut back = false;
        for seat in missing {
            let again = self.vigil.may_mend(seat);
            back |= again;
            let then = if again {
                "it comes back"
            } else {
                "it was closed too often, and is left so"
            };
            let lost = Kind::PaneLost {
                seat: seat.clone(),
                how: format!("closed; {then}"),
            };
            self.log.append(&Actor::Supervisor, vec![lost])?;
        }
        let (Some(office), true) = (self.office(), back) else {
            return Ok(());
        };
        let plan = seats::plan(&self.chart, self.state(), &self.dir, &self.clean);
        let (known, report) = (self.state().office.clone(), self.report.clone());
        self.vigil.mending = true;
        task::start(async move {
            let opened = match (office.restore(&plan).await, known) {
                (Ok(Some(opened)), Some(known)) => {
                    // Whoever was closed meanwhile keeps its old pane, and so is missed at the next look.
                    let mut panes = known.panes;
                    panes.extend(opened.panes);
                    Ok(Some(Box::new(Kind::OfficeOpened {
                        socket: known.socket,
                        session: known.session,
                        panes,
                    })))
                }
                (Err(error), _) => Err(error.to_string()),
                _ => Ok(None),
            };
            report.send(Report::Office(Sign::Mended(opened))).ok();
        });
        Ok(())
    }

    /// A repair is over: with another office, with the same one, or with nothing.
    fn office_mended(
        &mut self,
        mended: Result<Option<Box<Kind>>, String>,
    ) -> Result<(), SuperviseError> {
        self.vigil.mending = false;
        match mended {
            Ok(Some(opened)) => self.log.append(&Actor::Supervisor, vec![*opened])?,
            Ok(None) => {
                self.log.catch_up()?;
                if self.state().office.is_none() {
                    // Whoever built it has yet to say so.
                    self.vigil.try_in(TRY_AGAIN);
                }
            }
            Err(error) => {
                tracing::warn!(error, "the office could not be mended");
                self.vigil.try_in(TRY_AGAIN);
            }
        }
        // Also at what came meanwhile, and who sits there now.
        self.vigil.again = false;
        self.look_at_office();
        Ok(())
    }

    /// Brings back the dead panes whose time has come; says how long the next one has.
    fn reseat_due(&mut self) -> Option<Duration> {
        if self.vigil.mending {
            // Its end is a sign of its own.
            return None;
        }
        let now = clock::monotonic();
        let mut back = Vec::new();
        if self.vigil.due.values().any(|fallen| fallen.back_at <= now) {
            let plan = seats::plan(&self.chart, self.state(), &self.dir, &self.clean);
            self.vigil.due.retain(|pane, fallen| {
                let due = fallen.back_at <= now;
                let mut all = plan.pages.iter().chain(&plan.hq);
                if let Some(seat) = all.find(|seat| due && seat.name == fallen.seat) {
                    let mut seat = seat.clone();
                    seat.env.push((BACK.to_owned(), fallen.how.clone()));
                    back.push((pane.clone(), seat));
                }
                !due
            });
        }
        if !back.is_empty() {
            self.reseat(back);
        }
        let next = self.vigil.due.values().map(|fallen| fallen.back_at).min()?;
        Some(next.saturating_duration_since(now))
    }

    fn reseat(&mut self, back: Vec<(String, Seat)>) {
        let (Some(door), report) = (self.office(), self.report.clone()) else {
            return;
        };
        self.vigil.mending = true;
        task::start(async move {
            let mut mended = Ok(None);
            for (pane, seat) in back {
                if let Err(error) = door.reseat(&pane, &seat).await {
                    mended = Err(format!("{} did not come back: {error}", seat.name));
                }
            }
            report.send(Report::Office(Sign::Mended(mended))).ok();
        });
    }
}
