//! Keeps the office standing: a pane whose program ended, a pane or window that somebody closed, a tmux
//! server that is gone.
//!
//! The office is a view, so nothing that works is touched: what is missing is said in the log and put
//! back where it was. It is looked at when tmux rings or its server ends, and never by a clock. What
//! falls again and again is left lying, and said. Must not know tmux's commands.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::domain::event::{Actor, Kind};
use crate::office::{Liveness, Office, PaneSeen};
use crate::os::clock;

use super::supervise::{Report, SuperviseError, Supervisor};
use super::{seats, task};

/// How long a dead pane shows its last lines before it comes back.
const SHOWN: Duration = Duration::from_secs(2);
/// How long after a look or a repair that came to nothing it is looked again: tmux may be busy or stopped.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// How often something is put back within [`WITHIN`] before it is left lying.
const MOST: usize = 5;
const WITHIN: Duration = Duration::from_secs(120);
/// The environment variable that tells a pane's program how the one before it ended.
pub const BACK: &str = "ORG_PANE_BACK";

/// What is known of the office beside the log.
#[derive(Debug, Default)]
pub(super) struct Vigil {
    /// The office that is watched, by the event that built it.
    built: u64,
    /// The bell's file as it was last seen.
    rung: Option<std::time::SystemTime>,
    /// A look that is under way.
    looking: bool,
    /// A sign that came meanwhile: the look may have been too early for it.
    again: bool,
    /// When things were put back, by seat; `""` is the server.
    mended: BTreeMap<String, VecDeque<Instant>>,
    /// Dead panes that come back, and when.
    due: BTreeMap<String, (Instant, String)>,
    /// Dead panes that are left lying, which was said once.
    left: BTreeSet<String>,
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
}

impl Supervisor {
    /// Looks after the office where there was a sign; says when a dead pane falls due.
    pub(super) fn tidy_office(&mut self) -> Option<Duration> {
        let office = self.state().office.clone()?;
        if self.state().down.is_some() {
            return None;
        }
        if office.built != self.vigil.built {
            self.vigil.built = office.built;
            self.await_end(office.built);
        }
        let rung = std::fs::metadata(self.dir.office_bell()).and_then(|found| found.modified());
        if let Ok(rung) = rung
            && self.vigil.rung != Some(rung)
        {
            self.vigil.rung = Some(rung);
            self.look_at_office();
        }
        self.reseat_due()
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

    fn office(&self) -> Option<Office> {
        seats::office(&self.dir, &self.clean).ok()
    }

    fn await_end(&self, built: u64) {
        let (Some(office), report) = (self.office(), self.report.clone()) else {
            return;
        };
        task::start(async move {
            office.ended().await;
            report.send(Report::OfficeEnded(built)).ok();
        });
    }

    fn look_at_office(&mut self) {
        self.look_after(Duration::ZERO);
    }

    /// Looks once this has passed; a sign that comes before is looked after as well.
    fn look_after(&mut self, pause: Duration) {
        if self.vigil.looking {
            self.vigil.again = true;
            return;
        }
        let (Some(office), report) = (self.office(), self.report.clone()) else {
            return;
        };
        self.vigil.looking = true;
        task::start(async move {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            report.send(Report::Office(office.alive().await)).ok();
        });
    }

    /// The server that was watched has ended.
    pub(super) fn office_ended(&mut self, built: u64) {
        let current = self.state().office.as_ref().map(|office| office.built);
        if current == Some(built) {
            self.look_at_office();
        }
    }

    /// What was seen of it.
    pub(super) fn office_seen(&mut self, seen: Liveness) -> Result<(), SuperviseError> {
        self.vigil.looking = false;
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
                self.look_after(LOOK_AGAIN);
            }
            Liveness::Gone => {
                self.vigil.due.clear();
                let again = self.vigil.may_mend("");
                let then = if again {
                    "it is built again"
                } else {
                    "it fell too often; `org attach` builds it again"
                };
                self.say_lost(format!("its tmux server is gone; {then}"))?;
                if again {
                    self.build_office();
                }
            }
            Liveness::Alive(panes) => {
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

    fn build_office(&self) {
        let (chart, state) = (self.chart.clone(), self.state().clone());
        let (dir, clean, report) = (self.dir.clone(), self.clean.clone(), self.report.clone());
        task::start(async move {
            let opened = seats::open(&chart, &state, &dir, &clean).await;
            let opened = opened.map_err(|error| error.to_string());
            report.send(Report::OfficeBuilt(opened)).ok();
        });
    }

    /// Panes whose program ended are said, and due to come back.
    fn note_dead(&mut self, panes: &[PaneSeen]) -> Result<(), SuperviseError> {
        for pane in panes.iter().filter(|pane| !pane.seat.is_empty()) {
            let Some(how) = &pane.ended else {
                self.vigil.left.remove(&pane.seat);
                continue;
            };
            if self.vigil.due.contains_key(&pane.seat) || self.vigil.left.contains(&pane.seat) {
                continue;
            }
            let again = self.vigil.may_mend(&pane.seat);
            if !again {
                self.vigil.left.insert(pane.seat.clone());
            }
            let then = if again {
                ""
            } else {
                "; it fell too often, C-b R brings it back"
            };
            let lost = Kind::PaneLost {
                seat: pane.seat.clone(),
                how: format!("{how}{then}"),
            };
            self.log.append(&Actor::Supervisor, vec![lost])?;
            if again {
                let at = clock::monotonic() + SHOWN;
                self.vigil.due.insert(pane.seat.clone(), (at, how.clone()));
            }
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
        task::start(async move {
            let restored = office.restore(&plan).await;
            let opened = match (restored, known) {
                (Ok(Some(opened)), Some(known)) => {
                    // Whoever was closed meanwhile keeps its old pane, and so is missed at the next look.
                    let mut panes = known.panes;
                    panes.extend(opened.panes);
                    Ok(Kind::OfficeOpened {
                        socket: known.socket,
                        session: known.session,
                        panes,
                    })
                }
                (Err(error), _) => Err(error.to_string()),
                _ => return,
            };
            report.send(Report::OfficeBuilt(opened)).ok();
        });
        Ok(())
    }

    /// An office was built, or mended.
    pub(super) fn office_built(
        &mut self,
        opened: Result<Kind, String>,
    ) -> Result<(), SuperviseError> {
        match opened {
            Ok(opened) => Ok(self.log.append(&Actor::Supervisor, vec![opened])?),
            Err(error) => {
                tracing::warn!(error, "the office could not be mended");
                self.look_after(LOOK_AGAIN);
                Ok(())
            }
        }
    }

    /// Brings back the dead panes whose time has come; says how long the next one has.
    fn reseat_due(&mut self) -> Option<Duration> {
        let now = clock::monotonic();
        let office = self.state().office.clone()?;
        let due: Vec<String> = self
            .vigil
            .due
            .iter()
            .filter(|(_, (at, _))| *at <= now)
            .map(|(seat, _)| seat.clone())
            .collect();
        if !due.is_empty()
            && let Some(door) = self.office()
        {
            let plan = seats::plan(&self.chart, self.state(), &self.dir, &self.clean);
            let mut back = Vec::new();
            for name in due {
                let Some((_, how)) = self.vigil.due.remove(&name) else {
                    continue;
                };
                let seat = plan
                    .pages
                    .iter()
                    .chain(&plan.hq)
                    .find(|seat| seat.name == name);
                if let (Some(seat), Some(pane)) = (seat, office.panes.get(&name)) {
                    let mut seat = seat.clone();
                    seat.env.push((BACK.to_owned(), how));
                    back.push((pane.clone(), seat));
                }
            }
            let report = self.report.clone();
            task::start(async move {
                let mut failed = false;
                for (pane, seat) in back {
                    if let Err(error) = door.reseat(&pane, &seat).await {
                        tracing::warn!(%error, seat = seat.name, "a pane did not come back");
                        failed = true;
                    }
                }
                if failed {
                    let error = "a pane did not come back".to_owned();
                    report.send(Report::OfficeBuilt(Err(error))).ok();
                }
            });
        }
        let next = self.vigil.due.values().map(|(at, _)| *at).min()?;
        Some(next.saturating_duration_since(now))
    }
}
