//! Making a run: everything that is judged before anything is created, and then the whole of it, or
//! nothing.
//!
//! Owns the order: repository, devices and prompts are judged first; then the directory is made, the
//! repository cloned, agents seated, and the log begun last, so that a directory without a log is no
//! run and is removed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::domain::chart::{Agent, Axis, Chart, GpuHome, GpuRequest};
use crate::domain::event::{Actor, FORMAT, Gpu, Kind};
use crate::domain::fit;
use crate::domain::scenario::{self, Member, Roster, Scenario};
use crate::lab::gpu::{self, GpuError, Inventory, LeaseError};
use crate::os::{files, random, sandbox};
use crate::repo::{self, Place, RepoError};
use crate::run::frozen;
use crate::run::log::{Log, LogError};
use crate::run::maildir::Maildir;
use crate::run::paths::RunDir;

use super::asking::process_prompt;
use super::environment::{self, EnvironmentError};
use super::leases;
use super::overlay;
use super::prompt::system_prompt;

/// The scenario of a run without agents.
const NO_LINES: &str = "version = 1\n";
/// Letters of a run's id after the org's name.
const ID_LETTERS: usize = 5;
/// The built-in texts, by file.
const TEXTS: [(&str, &str); 2] = [
    ("messages.toml", include_str!("../../prompts/messages.toml")),
    ("tools.toml", include_str!("../../prompts/tools.toml")),
];

/// What `up` was asked for.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The chart, checked.
    pub chart: Chart,
    /// Whether models are mocked.
    pub mock: bool,
    /// The scenario in place of the chart's.
    pub scenario: Option<PathBuf>,
    /// Whether there is no office.
    pub headless: bool,
    /// Where runs are made.
    pub runs: PathBuf,
    /// The cleared environment.
    pub clean: BTreeMap<String, String>,
    /// The caller's `CUDA_VISIBLE_DEVICES`.
    pub visible: Option<String>,
}

/// Why no run was made.
#[derive(Debug, thiserror::Error)]
pub enum FoundError {
    /// The repository.
    #[error("the task's repository cannot be used")]
    Repo(#[from] RepoError),
    /// The devices.
    #[error("the GPUs that the chart asks for cannot be had{}", hidden(reason.as_deref()))]
    Gpu {
        /// What is asked for and is not there.
        source: GpuError,
        /// Why there is not more, where that is known.
        reason: Option<String>,
    },
    /// Another run has a device.
    #[error("a GPU of this chart is in use")]
    Leased(#[from] LeaseError),
    /// A mocked run needs lines.
    #[error("{0}")]
    Scenario(String),
    /// A prompt.
    #[error("the prompt of {agent} cannot be used: {why}")]
    Prompt {
        /// Whose.
        agent: String,
        /// Why not.
        why: String,
    },
    /// The environment that runs are to share.
    #[error("the task's environment cannot be made")]
    Environment(#[source] EnvironmentError),
    /// Data that nobody but the evaluation may see.
    #[error("the hidden data cannot be used: {0}")]
    Hidden(String),
    /// The log.
    #[error("the run's log cannot be begun")]
    Log(#[from] LogError),
    /// The frozen chart.
    #[error("the frozen chart cannot be had")]
    Frozen(#[from] frozen::FrozenError),
    /// The file system.
    #[error("cannot {doing}")]
    Io {
        /// What was tried.
        doing: String,
        /// Why not.
        source: io::Error,
    },
}

fn hidden(reason: Option<&str>) -> String {
    reason.map_or_else(String::new, |reason| format!(": {reason}"))
}

fn io_error(doing: impl Into<String>) -> impl FnOnce(io::Error) -> FoundError {
    let doing = doing.into();
    move |source| FoundError::Io { doing, source }
}

/// What a run will be made of; nothing is created yet.
#[derive(Debug)]
pub struct Plan {
    chart: Chart,
    ask: Ask,
    scenario: Option<String>,
    homes: BTreeMap<String, Gpu>,
    gpus: Vec<Gpu>,
    prompts: Vec<(String, String)>,
    processes: Vec<(String, String)>,
}

/// Judges everything that can be judged before anything is made.
///
/// # Errors
/// The first thing that stands against it.
pub fn plan(ask: Ask) -> Result<Plan, FoundError> {
    let mut chart = if ask.mock {
        ask.chart.clone().mocked()
    } else {
        ask.chart.clone()
    };
    if ask.mock {
        chart.task.share.retain(|path| path.exists());
    }
    let scenario = if ask.mock {
        Some(lines(&ask, &chart)?)
    } else {
        None
    };
    repo::inspect(&chart.task.repo)?;
    hidden_data(&ask, &chart)?;
    let (homes, gpus) = devices(&ask, &chart)?;
    // Asked and let go: the supervisor takes them for good.
    drop(leases::take(&ask.clean, &gpus)?);
    let mut prompts = Vec::new();
    for agent in &chart.agents {
        prompts.push((agent.name.clone(), system_prompt(&chart, agent, &homes)?));
    }
    let mut processes = Vec::new();
    for process in &chart.processes {
        let text = process_prompt(process).map_err(|why| FoundError::Prompt {
            agent: process.name.clone(),
            why,
        })?;
        processes.push((process.name.clone(), text));
    }
    Ok(Plan {
        chart,
        ask,
        scenario,
        homes,
        gpus,
        prompts,
        processes,
    })
}

impl Plan {
    /// The task's repository.
    pub(super) fn repo(&self) -> &str {
        &self.chart.task.repo
    }
}

/// Makes the run. Where that fails, nothing of it is left.
///
/// # Errors
/// Whatever failed.
pub fn found(plan: Plan) -> Result<RunDir, FoundError> {
    let name = random::word(ID_LETTERS).map_err(io_error("draw a name"))?;
    fs::create_dir_all(&plan.ask.runs)
        .map_err(io_error(format!("make {}", plan.ask.runs.display())))?;
    let runs = plan
        .ask
        .runs
        .canonicalize()
        .map_err(io_error("find the runs directory"))?;
    let dir = RunDir::at(runs.join(format!("{}-{name}", plan.chart.name)));
    let made = make(&plan, &dir);
    if made.is_err() {
        // Nothing has run in it: it is ours alone.
        fs::remove_dir_all(dir.path()).ok();
    }
    made.map(|()| dir)
}

fn make(plan: &Plan, dir: &RunDir) -> Result<(), FoundError> {
    let here = || format!("make {}", dir.path().display());
    files::create_private_dir(dir.path()).map_err(io_error(here()))?;
    for path in dir.skeleton() {
        fs::create_dir_all(path).map_err(io_error(here()))?;
    }
    let mut chart = plan.chart.clone();
    let founded = repo::found(
        &chart.task.repo,
        chart.task.base.as_deref(),
        &dir.repo_git(),
    )?;
    chart.task.base = Some(founded.branch.clone());
    overlay::freeze(dir, &mut chart).map_err(io_error("copy the overlay"))?;
    set_up(plan, dir, &chart, &founded.commit)?;
    let (frozen, seated) = std::thread::scope(|scope| {
        // One waits for the disk, and the other for a processor.
        let frozen = scope.spawn(|| freeze(plan, dir, &chart));
        let seated = seat_all(&chart, dir, &founded.commit);
        (frozen.join().expect("freezing does not panic"), seated)
    });
    frozen.map_err(io_error("freeze the chart"))?;
    seated?;
    for name in chart
        .agents
        .iter()
        .map(|agent| agent.name.as_str())
        .chain(["human"])
    {
        Maildir::at(dir.mailbox(name))
            .create()
            .map_err(io_error("make a mailbox"))?;
    }
    begin(plan, dir, &chart, &founded.commit)
}

/// Makes the environment of the programme's start, before anybody spends a token.
fn set_up(plan: &Plan, dir: &RunDir, chart: &Chart, base: &str) -> Result<(), FoundError> {
    let wanted = environment::Wanted {
        dir,
        chart,
        clean: &plan.ask.clean,
        commit: base,
        base,
    };
    let made = environment::of(&wanted, &|| true).map_err(FoundError::Environment)?;
    let Some(made) = made else { return Ok(()) };
    std::os::unix::fs::symlink(made.root(), dir.base_environment())
        .map_err(io_error("name the environment"))
}

/// Hidden data must be there, and lie where neither an agent nor a candidate may read.
fn hidden_data(ask: &Ask, chart: &Chart) -> Result<(), FoundError> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let task = &chart.task;
    let mut open: Vec<PathBuf> = task.share.clone();
    open.extend(task.overlay.clone());
    open.push(PathBuf::from(&task.repo));
    open.extend(super::spawn::toolchains(&ask.clean));
    open.extend(sandbox::readable_by_all());
    for path in &task.hidden {
        let shown = path.display();
        if !path.exists() {
            return Err(FoundError::Hidden(format!("there is no {shown}")));
        }
        let path = real(path);
        if let Some(around) = open.iter().find(|dir| path.starts_with(real(dir))) {
            let around = around.display();
            let why = format!("{shown} lies in {around}, which every candidate may read");
            return Err(FoundError::Hidden(why));
        }
    }
    Ok(())
}

fn freeze(plan: &Plan, dir: &RunDir, chart: &Chart) -> io::Result<()> {
    frozen::freeze(dir, chart)?;
    for (agent, text) in &plan.prompts {
        frozen::freeze_prompt(dir, &format!("{agent}.md"), text)?;
    }
    for (process, text) in &plan.processes {
        frozen::freeze_process(dir, process, text)?;
    }
    for (file, text) in TEXTS {
        frozen::freeze_prompt(dir, file, text)?;
    }
    frozen::freeze_brief(dir, include_str!("../../prompts/brief.md"))?;
    if let Some(scenario) = &plan.scenario {
        frozen::freeze_mock(dir, scenario, &serde_json::to_vec(&roster(chart))?)?;
    }
    frozen::settle(dir)
}

/// Who is who, for the mock.
#[must_use]
pub fn roster(chart: &Chart) -> Roster {
    let member = |agent: &Agent| Member {
        role: Some(agent.role.clone()),
        model: Some(agent.model.clone()),
    };
    chart
        .agents
        .iter()
        .map(|agent| (agent.name.clone(), member(agent)))
        .collect()
}

/// Seats everybody.
fn seat_all(chart: &Chart, dir: &RunDir, base: &str) -> Result<(), FoundError> {
    let place = |agent: &Agent| Place {
        repo_git: dir.repo_git(),
        agent_git: dir.agent_git(&agent.name),
        worktree: dir.work(&agent.name),
        agent: agent.name.clone(),
    };
    let places: Vec<Place> = chart.agents.iter().map(place).collect();
    repo::seat_all(&places, base)?;
    for agent in &chart.agents {
        for sub in ["home", "tmp"] {
            fs::create_dir_all(dir.scratch(&agent.name).join(sub))
                .map_err(io_error("make an agent's scratch"))?;
        }
        fs::create_dir_all(dir.jobs(&agent.name)).map_err(io_error("make an agent's jobs"))?;
    }
    Ok(())
}

fn begin(plan: &Plan, dir: &RunDir, chart: &Chart, base: &str) -> Result<(), FoundError> {
    let mut log = Log::create(
        dir,
        Kind::RunCreated {
            format: FORMAT,
            run: dir.id(),
            org: chart.name.clone(),
            mock: plan.ask.mock,
            headless: plan.ask.headless,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            base: base.to_owned(),
        },
    )?;
    let pool = random::number().map_err(io_error("draw the seed pool"))?;
    let opened = Kind::LabOpened {
        pool,
        gpus: plan.gpus.clone(),
        parallel: parallel(plan, chart),
    };
    log.append(&Actor::Lab, vec![opened])?;
    overlay::note(&mut log, chart)?;
    let seated = chart.agents.iter().map(|agent| Kind::AgentSeated {
        agent: agent.name.clone(),
        gpu: plan.homes.get(&agent.name).cloned(),
        branch: format!("agent/{}", agent.name),
        worktree: dir.work(&agent.name).display().to_string(),
    });
    log.append(&Actor::Supervisor, seated.collect())?;
    Ok(())
}

/// Measured runs at a time: as many as devices and cores bear. Where wall time is what must agree and
/// devices are only pretended, one: they would share the same cores.
fn parallel(plan: &Plan, chart: &Chart) -> u32 {
    if let Some(parallel) = chart.compute.parallel {
        return parallel.max(1);
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let real = plan.gpus.iter().any(|gpu| !gpu.simulated);
    let timed = matches!(chart.protocol.matched, Axis::Wall | Axis::Gpu);
    if timed && !real {
        return 1;
    }
    let (each, most) = fit::sizes(chart);
    let each = each.max(1) as usize;
    let devices = if most == 0 {
        cores
    } else {
        plan.gpus.len() / each
    };
    u32::try_from(devices.min(cores).max(1)).unwrap_or(1)
}

fn event_gpu(gpu: &gpu::Gpu) -> Gpu {
    Gpu {
        index: gpu.index,
        uuid: gpu.uuid.clone(),
        simulated: gpu.simulated,
    }
}

/// Who is at home on which device, and all devices of the run.
fn devices(ask: &Ask, chart: &Chart) -> Result<(BTreeMap<String, Gpu>, Vec<Gpu>), FoundError> {
    let found = inventory(ask, chart);
    let refused = |source| FoundError::Gpu {
        source,
        reason: found.reason.clone(),
    };
    let wanted: Vec<(String, GpuHome)> = chart
        .agents
        .iter()
        .map(|agent| (agent.name.clone(), agent.gpu.clone()))
        .collect();
    let request = match &chart.compute.gpus {
        GpuRequest::Simulate(_) => GpuRequest::Auto,
        other => other.clone(),
    };
    let homes = gpu::assign(&request, &wanted, &found.gpus).map_err(refused)?;
    let gpus = gpu::select(&request, &found.gpus).map_err(refused)?;
    let (_, most) = fit::sizes(chart);
    if gpus.len() < most as usize {
        let key = if most == chart.task.gpus {
            "task.gpus"
        } else {
            "task.explore_gpus"
        };
        return Err(refused(GpuError::TooFew {
            who: key.to_owned(),
            wanted: most as usize,
            have: gpus.iter().map(|gpu| gpu.index.to_string()).collect(),
        }));
    }
    let homes = homes
        .iter()
        .map(|(name, gpu)| (name.clone(), event_gpu(gpu)));
    Ok((homes.collect(), gpus.iter().map(event_gpu).collect()))
}

/// The devices there are; pretended ones under `--mock` or where the chart asks for them.
fn inventory(ask: &Ask, chart: &Chart) -> Inventory {
    let homes = chart
        .agents
        .iter()
        .filter(|agent| agent.gpu != GpuHome::None);
    let enough = u32::try_from(homes.count())
        .unwrap_or(u32::MAX)
        .max(fit::sizes(chart).1);
    let count = match &chart.compute.gpus {
        GpuRequest::Simulate(count) => Some(*count),
        _ if !ask.mock => None,
        GpuRequest::Auto | GpuRequest::Uuids(_) => Some(enough),
        GpuRequest::Indices(indices) => {
            Some(indices.iter().max().map_or(0, |most| most + 1).max(enough))
        }
    };
    if let Some(count) = count {
        let mut gpus = gpu::simulate(&chart.name, count);
        if let GpuRequest::Uuids(uuids) = &chart.compute.gpus {
            for (gpu, uuid) in gpus.iter_mut().zip(uuids) {
                gpu.uuid.clone_from(uuid);
            }
        }
        return Inventory { gpus, reason: None };
    }
    gpu::inventory(&ask.clean, ask.visible.as_deref())
}

/// The scenario's text, judged; where there is nobody to play it, none is needed.
fn lines(ask: &Ask, chart: &Chart) -> Result<String, FoundError> {
    if chart.agents.is_empty() && ask.scenario.is_none() {
        return Ok(NO_LINES.to_owned());
    }
    let path = ask.scenario.clone().or_else(|| chart.mock.scenario.clone()).ok_or_else(|| {
        let why = "a mocked run needs a scenario: give [mock] scenario in the chart, or --scenario FILE";
        FoundError::Scenario(why.to_owned())
    })?;
    let text = fs::read_to_string(&path).map_err(|error| {
        FoundError::Scenario(format!(
            "scenario {} cannot be read: {error}",
            path.display()
        ))
    })?;
    decoded(&path, &text)?;
    Ok(text)
}

fn decoded(path: &Path, text: &str) -> Result<Scenario, FoundError> {
    scenario::decode(text).map_err(|problems| {
        let lines: Vec<String> = problems
            .iter()
            .map(|p| format!("{}:{}:{}: {}", path.display(), p.line, p.column, p.message))
            .collect();
        FoundError::Scenario(lines.join("\n"))
    })
}
