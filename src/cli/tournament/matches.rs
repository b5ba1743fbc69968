//! Matches of charts: runs like any other, one after the other or each on its part of the node.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::cli::Context;
use crate::cli::compare;
use crate::cli::failure::Failure;
use crate::cli::place;
use crate::cli::{charts, down, until, up};
use crate::domain::chart::{Chart, GpuRequest};
use crate::domain::comparison::Entrant;
use crate::domain::decode::{self, BYTES_MAX};
use crate::domain::standing;
use crate::domain::tournament::{self, Match};
use crate::engine::found::{self, Ask};
use crate::engine::spawn;
use crate::lab::gpu;
use crate::os::files;
use crate::run::log::Log;
use crate::run::paths::RunDir;
use crate::run::tournament::{Begun, Plan, TournamentDir};

/// What the lanes share.
struct Ground<'a> {
    context: &'a Context,
    dir: &'a TournamentDir,
    plan: &'a Plan,
    charts: Vec<Chart>,
    /// Matches still to be played, each with its number.
    waiting: Mutex<VecDeque<(usize, Match)>>,
    all: usize,
    failed: Mutex<Option<Failure>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Plays what is still to be played, and reads what came of all.
///
/// # Errors
/// Where a match cannot be begun or is lost: what was played until then stays.
pub(super) fn play(
    context: &Context,
    dir: &TournamentDir,
    plan: &Plan,
) -> Result<Vec<Entrant>, Failure> {
    let charts: Result<Vec<Chart>, Failure> =
        (0..plan.entrants.len()).map(|at| chart(dir, at)).collect();
    let matches = tournament::matches(plan.entrants.len(), plan.repeats as usize);
    let ground = Ground {
        context,
        dir,
        plan,
        charts: charts?,
        all: matches.len(),
        waiting: Mutex::new((1..).zip(matches).collect()),
        failed: Mutex::new(None),
    };
    let lanes = plan.at_once as usize;
    thread::scope(|scope| {
        for lane in 0..lanes {
            let ground = &ground;
            scope.spawn(move || ground.lane(lane));
        }
    });
    if let Some(mut failure) = lock(&ground.failed).take() {
        failure.hint = format!(
            "{}; then org tournament --resume {}",
            failure.hint,
            dir.id()
        );
        return Err(failure);
    }
    read(dir, plan)
}

/// What came of all matches.
fn read(dir: &TournamentDir, plan: &Plan) -> Result<Vec<Entrant>, Failure> {
    let begun = dir.matches()?;
    let mut entrants = Vec::new();
    for (at, name) in plan.entrants.iter().enumerate() {
        let mut runs = Vec::new();
        for one in begun.iter().filter(|it| it.entrant == at) {
            runs.push(compare::outcome(&RunDir::at(&one.run))?.1);
        }
        entrants.push(Entrant {
            name: name.clone(),
            runs,
        });
    }
    Ok(entrants)
}

fn chart(dir: &TournamentDir, at: usize) -> Result<Chart, Failure> {
    let path = dir.chart(at);
    let bytes = files::read_capped(&path, BYTES_MAX as u64)?;
    let models = place::known_models();
    let context = decode::Context {
        base: dir.path(),
        home: None,
        known_models: &models,
        frozen: false,
    };
    decode::decode_bytes(&bytes, &context).chart.ok_or_else(|| {
        let what = format!("{} is not in order", path.display());
        Failure::refused(what, format!("org check {}", path.display()))
    })
}

impl Ground<'_> {
    /// Plays matches until none is left or one failed.
    fn lane(&self, lane: usize) {
        loop {
            if lock(&self.failed).is_some() {
                return;
            }
            let Some((number, next)) = lock(&self.waiting).pop_front() else {
                return;
            };
            if let Err(failure) = self.match_of(number, next, lane) {
                lock(&self.failed).get_or_insert(failure);
                return;
            }
        }
    }

    /// One match, from where it stands to its end.
    fn match_of(&self, number: usize, it: Match, lane: usize) -> Result<(), Failure> {
        let ui = &self.context.ui;
        let name = &self.plan.entrants[it.entrant];
        let known = self.dir.matches()?;
        let known = known
            .into_iter()
            .find(|begun| (begun.entrant, begun.repeat) == (it.entrant, it.repeat));
        let dir = match known {
            Some(begun) => go_on(&RunDir::at(begun.run))?,
            None => self.begin(it, lane)?,
        };
        let chart = place::chart(&dir)?;
        ui.note(&format!(
            "match {number} of {}: {name}, repeat {}: {}",
            self.all,
            it.repeat + 1,
            dir.id()
        ));
        until::ended(&dir, &chart, &mut |_| {})?;
        if !Log::open(&dir)?.state().stopped {
            down::bring_down(&dir, "the match is over")?;
        }
        Ok(())
    }

    fn begin(&self, it: Match, lane: usize) -> Result<RunDir, Failure> {
        let place = &self.context.place;
        let clean = place::clean_env();
        let mut chart = self.charts[it.entrant].clone();
        if !self.plan.mock && self.plan.at_once > 1 {
            chart.compute.gpus = part(&chart, lane, self.plan.at_once as usize)?;
        }
        let keys = up::keys(&chart, self.plan.mock, &clean)?;
        let ask = Ask {
            chart,
            mock: self.plan.mock,
            scenario: None,
            headless: true,
            runs: place.index.here.clone(),
            clean: clean.clone(),
            visible: place::var("CUDA_VISIBLE_DEVICES"),
        };
        let plan = found::plan(ask).map_err(charts::not_founded)?;
        let dir = found::found(plan).map_err(charts::not_founded)?;
        // Found from here, whether or not it is remembered.
        place.index.remember(&dir).ok();
        let begun = Begun {
            entrant: it.entrant,
            repeat: it.repeat,
            run: dir.path().to_owned(),
        };
        self.dir.begun(&begun)?;
        spawn::supervisor(&dir, &clean, &keys)?;
        Ok(dir)
    }
}

/// A match that was begun before, alive again unless it is over.
fn go_on(dir: &RunDir) -> Result<RunDir, Failure> {
    let chart = place::chart(dir)?;
    let log = Log::open(dir)?;
    if standing::done(&chart, log.state()) {
        return Ok(dir.clone());
    }
    if !place::supervised(dir) {
        up::revive(dir)?;
    }
    Ok(dir.clone())
}

/// The part of a node's GPUs that a lane has.
fn part(chart: &Chart, lane: usize, lanes: usize) -> Result<GpuRequest, Failure> {
    if matches!(chart.compute.gpus, GpuRequest::Simulate(_)) || chart.task.gpus == 0 {
        return Ok(chart.compute.gpus.clone());
    }
    let clean = place::clean_env();
    let visible = place::var("CUDA_VISIBLE_DEVICES");
    let inventory = gpu::inventory(&clean, visible.as_deref());
    let all = gpu::select(&chart.compute.gpus, &inventory.gpus);
    let all = all.map_err(|error| {
        let what = "the GPUs that the charts ask for cannot be had";
        Failure::refused(what, "org doctor shows the GPUs").because(&error)
    })?;
    let each = all.len() / lanes;
    if each == 0 {
        return Err(Failure::usage(
            format!("{} GPUs cannot be shared by {lanes} matches", all.len()),
            format!("--at-once {}", all.len().max(1)),
        ));
    }
    let own = all.into_iter().skip(lane * each).take(each);
    Ok(GpuRequest::Uuids(own.map(|gpu| gpu.uuid).collect()))
}
