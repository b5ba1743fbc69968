//! `org doctor`: what of this machine an org would need, and what to type where it is missing.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

use super::Context;
use super::args::DoctorArgs;
use super::failure::Failure;
use super::place::{self, Place};
use super::{charts, check};
use crate::domain::chart::{Chart, KeySource};
use crate::domain::model;
use crate::lab::gpu;
use crate::os::exec::Exec;
use crate::os::procfs::{self, View};
use crate::os::sandbox::Report;
use crate::os::unit::UserSystemd;
use crate::os::{confine, files};
use crate::repo;

/// Bytes of free disk below which a night of experiments will not fit.
const DISK_LOW: u64 = 5 << 30;
/// inotify instances below which eight agents and an editor get in each other's way.
const INOTIFY_LOW: u64 = 64;
/// Longest that a program may take to say its version.
const LIMIT: Duration = Duration::from_secs(10);

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Mark {
    Ok,
    Note,
    Missing,
}

/// One check.
#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    mark: Mark,
    found: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    hint: String,
}

impl Finding {
    fn ok(what: &'static str, found: impl Into<String>) -> Self {
        Self {
            what,
            mark: Mark::Ok,
            found: found.into(),
            hint: String::new(),
        }
    }

    fn not(what: &'static str, mark: Mark, found: impl Into<String>, hint: &str) -> Self {
        Self {
            what,
            mark,
            found: found.into(),
            hint: hint.to_owned(),
        }
    }
}

/// Runs the command.
///
/// # Errors
/// Where the chart cannot be read. What is missing is told, with exit code 1.
pub(super) fn run(context: &Context, args: &DoctorArgs) -> Result<ExitCode, Failure> {
    let place = &context.place;
    let chart = match &args.chart {
        Some(path) => {
            let bytes = check::read(path)?;
            drop(bytes);
            Some(charts::accepted(place, &context.ui, path)?)
        }
        None => None,
    };
    let clean = place::clean_env();
    let mut findings = programs(&clean);
    findings.push(gpus(&clean));
    findings.extend(keys(chart.as_ref()));
    findings.push(disk(place));
    findings.extend(limits());
    findings.push(processes());
    findings.push(confinement(&enforced_here(&clean)));
    findings.push(reboot(&clean));
    if let Some(chart) = &chart {
        findings.push(repository(chart));
    }
    if args.json {
        context.ui.json(&findings)?;
    } else {
        context.ui.out(&page(&findings))?;
    }
    let missing = findings.iter().any(|finding| finding.mark == Mark::Missing);
    Ok(ExitCode::from(u8::from(missing)))
}

/// What `up` says: the same checks, as far as they take no time. What a chart cannot do without is
/// refused elsewhere, by name.
pub(super) fn before_up(
    place: &Place,
    clean: &BTreeMap<String, String>,
    enforced: &Report,
) -> Vec<String> {
    let mut findings = vec![disk(place), confinement(enforced)];
    findings.extend(limits());
    if !in_path(clean, "git") {
        let hint = "apt-get install git";
        findings.push(Finding::not(
            "git",
            Mark::Note,
            "agents commit with it",
            hint,
        ));
    }
    findings
        .into_iter()
        .filter(|finding| finding.mark != Mark::Ok)
        .map(|finding| format!("{}: {} ({})", finding.what, finding.found, finding.hint))
        .collect()
}

/// Whether `org up --survive` would do what is hoped.
fn reboot(clean: &BTreeMap<String, String>) -> Finding {
    let systemd = UserSystemd::new(clean);
    if let Err(error) = systemd.answers() {
        let hint =
            "without it `org up --survive` is refused; `org up --resume RUN` goes on by hand";
        return Finding::not("reboot", Mark::Note, error.to_string(), hint);
    }
    match systemd.lingers() {
        Some(true) => Finding::ok(
            "reboot",
            "systemd brings a run back, before anybody logs in",
        ),
        Some(false) => {
            let found = "systemd brings a run back once you have logged in";
            Finding::not("reboot", Mark::Note, found, "loginctl enable-linger")
        }
        None => {
            let found = "systemd brings a run back, and whether before you log in is not known";
            Finding::not(
                "reboot",
                Mark::Note,
                found,
                "loginctl show-user \"$USER\" says it",
            )
        }
    }
}

fn in_path(clean: &BTreeMap<String, String>, program: &str) -> bool {
    let path = clean.get("PATH").map(String::as_str).unwrap_or_default();
    path.split(':')
        .any(|dir| std::path::Path::new(dir).join(program).is_file())
}

fn page(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let mark = match finding.mark {
            Mark::Ok => "ok     ",
            Mark::Note => "note   ",
            Mark::Missing => "MISSING",
        };
        let (what, found) = (finding.what, &finding.found);
        writeln!(text, "{mark}  {what:<12} {found}").ok();
        if !finding.hint.is_empty() {
            writeln!(text, "         {:<12} hint: {}", "", finding.hint).ok();
        }
    }
    text
}

fn version(clean: &BTreeMap<String, String>, program: &str, arg: &str) -> Option<String> {
    let said = Exec::new(program)
        .arg(arg)
        .envs(clean.clone())
        .output(LIMIT)
        .ok()?;
    let text = if said.stdout.is_empty() {
        said.stderr
    } else {
        said.stdout
    };
    let text = String::from_utf8_lossy(&text)
        .lines()
        .next()?
        .trim()
        .to_owned();
    said.status.success().then_some(text)
}

fn programs(clean: &BTreeMap<String, String>) -> Vec<Finding> {
    let tmux = match charts::office_can_be(clean) {
        Ok(()) => Finding::ok("tmux", version(clean, "tmux", "-V").unwrap_or_default()),
        Err(failure) => Finding::not(
            "tmux",
            Mark::Missing,
            failure.causes.join(": "),
            &failure.hint,
        ),
    };
    let program = |what: &'static str, why: &str| match version(clean, what, "--version") {
        Some(version) => Finding::ok(what, version),
        None => Finding::not(what, Mark::Missing, why, &format!("apt-get install {what}")),
    };
    vec![
        tmux,
        program("git", "agents commit with it"),
        program("python3", "the examples are written in it"),
    ]
}

fn gpus(clean: &BTreeMap<String, String>) -> Finding {
    let found = gpu::inventory(clean, place::var("CUDA_VISIBLE_DEVICES").as_deref());
    if found.gpus.is_empty() {
        let why = found.reason.unwrap_or_else(|| "none".to_owned());
        let hint = "with --mock they are pretended; charts with gpus = 0 need none";
        return Finding::not("gpu", Mark::Note, why, hint);
    }
    let names: Vec<String> = found
        .gpus
        .iter()
        .map(|gpu| format!("{} {}", gpu.index, gpu.name))
        .collect();
    Finding::ok("gpu", names.join(", "))
}

/// Keys by presence only; without a chart, those of the built-in providers.
fn keys(chart: Option<&Chart>) -> Vec<Finding> {
    let mut sources = BTreeMap::new();
    match chart {
        Some(chart) => {
            for agent in &chart.agents {
                if let Some(model) = model::resolve(chart, &agent.model) {
                    sources.insert(model.provider, model.spec.key);
                }
            }
        }
        None => {
            for (name, variable) in [
                ("anthropic", "ANTHROPIC_API_KEY"),
                ("openai", "OPENAI_API_KEY"),
            ] {
                sources.insert(name.to_owned(), KeySource::Env(variable.to_owned()));
            }
        }
    }
    let absent = if chart.is_some() {
        Mark::Missing
    } else {
        Mark::Note
    };
    sources
        .into_iter()
        .map(|(provider, source)| {
            let (there, what) = match source {
                KeySource::None => (true, "needs none".to_owned()),
                KeySource::Env(name) => {
                    (place::var(&name).is_some_and(|key| !key.is_empty()), name)
                }
                KeySource::File(path) => (path.is_file(), path.display().to_string()),
                KeySource::Cmd(command) => (true, format!("from `{command}`, not run")),
            };
            if there {
                return Finding::ok("key", format!("{provider}: {what}"));
            }
            let hint = "set it for real runs; --mock needs none";
            Finding::not(
                "key",
                absent,
                format!("{provider}: {what} is not set"),
                hint,
            )
        })
        .collect()
}

fn disk(place: &Place) -> Finding {
    let here = &place.index.here;
    let at = here.ancestors().find(|dir| dir.is_dir()).unwrap_or(here);
    match files::disk_free(at) {
        Ok(free) if free < DISK_LOW => Finding::not(
            "disk",
            Mark::Note,
            format!("{} GiB free in {}", free >> 30, at.display()),
            "ORG_RUNS=DIR puts runs on another disk",
        ),
        Ok(free) => Finding::ok(
            "disk",
            format!("{} GiB free in {}", free >> 30, at.display()),
        ),
        Err(error) => Finding::not("disk", Mark::Note, error.to_string(), "look at the disk"),
    }
}

fn limits() -> Vec<Finding> {
    let path = "/proc/sys/fs/inotify/max_user_instances";
    let instances: Option<u64> = std::fs::read_to_string(path)
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let inotify = match instances {
        Some(n) if n < INOTIFY_LOW => Finding::not(
            "inotify",
            Mark::Note,
            format!("{n} instances a user"),
            "sysctl fs.inotify.max_user_instances=512; without, mail is polled",
        ),
        Some(n) => Finding::ok("inotify", format!("{n} instances a user")),
        None => Finding::not(
            "inotify",
            Mark::Note,
            "not known",
            "without it, mail is polled",
        ),
    };
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let open = files.map_or_else(|| "unlimited".to_owned(), |n| n.to_string());
    let files = if files.is_some_and(|n| n < 1024) {
        Finding::not("open files", Mark::Note, open, "ulimit -n 4096")
    } else {
        Finding::ok("open files", open)
    };
    vec![inotify, files]
}

fn processes() -> Finding {
    match procfs::see_ourselves() {
        Ok(View::Own) => Finding::ok("processes", "/proc shows them"),
        Ok(View::Mounted) => Finding::ok(
            "processes",
            "/proc shows another PID namespace; org mounts one of its own",
        ),
        Err(error) => {
            let because = error.source().map(|cause| format!(": {cause}"));
            Finding::not(
                "processes",
                Mark::Missing,
                format!("{error}{}", because.unwrap_or_default()),
                "mount -t proc proc /proc, as root in this namespace",
            )
        }
    }
}

/// What the kernel enforces here on what agents run.
pub(super) fn enforced_here(clean: &BTreeMap<String, String>) -> Report {
    confine::probe(&std::env::temp_dir(), clean)
}

fn confinement(report: &Report) -> Finding {
    let list = |wanted: bool| {
        let names = report.iter().filter(|(_, enforced)| **enforced == wanted);
        names
            .map(|(name, _)| name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    if report.values().any(|enforced| *enforced) {
        return Finding::ok(
            "confinement",
            format!("enforced: {}; not: {}", list(true), list(false)),
        );
    }
    let hint = "a kernel with Landlock (5.13 or newer) confines what agents run";
    Finding::not("confinement", Mark::Note, "nothing is enforced", hint)
}

fn repository(chart: &Chart) -> Finding {
    match repo::inspect(&chart.task.repo) {
        Ok(source) => {
            let branch = source.branch.unwrap_or_else(|| "no branch".to_owned());
            let dirty = if source.dirty {
                ", with changes that are not committed"
            } else {
                ""
            };
            Finding::ok(
                "repository",
                format!("{} on {branch}{dirty}", source.path.display()),
            )
        }
        Err(error) => Finding::not(
            "repository",
            Mark::Missing,
            error.to_string(),
            &error.hint(),
        ),
    }
}
