//! `org up --survive`: a run that comes back after a reboot by itself.
//!
//! Owns the text of the systemd user unit and what is said where it cannot be, or will not do what is
//! hoped. Must not know how systemd is asked.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::failure::Failure;
use super::ui::Ui;
use crate::domain::chart::{Chart, KeySource};
use crate::domain::model;
use crate::os::exec;
use crate::os::unit::{self, UserSystemd};
use crate::run::paths::RunDir;

/// What of the environment the unit needs: where programs and directories are.
const KEPT: [&str; 7] = [
    "HOME",
    "PATH",
    "LANG",
    "TMPDIR",
    "XDG_STATE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_CACHE_HOME",
];

/// Refuses where this machine could not do it, before anything is made.
///
/// # Errors
/// Where there is no systemd for this person.
pub(super) fn possible(clean: &BTreeMap<String, String>) -> Result<(), Failure> {
    let systemd = UserSystemd::new(clean);
    systemd.answers().map_err(|error| {
        let hint =
            "leave --survive out; after a reboot `org up --resume RUN` goes on where the log says";
        Failure::refused("this machine cannot bring a run up after a reboot", hint).because(&error)
    })
}

/// Installs the unit of a run, and says what it will not do.
///
/// # Errors
/// Where it cannot be written or systemd refuses it.
pub(super) fn install(
    ui: &Ui,
    dir: &RunDir,
    chart: &Chart,
    mock: bool,
    clean: &BTreeMap<String, String>,
) -> Result<(), Failure> {
    let systemd = UserSystemd::new(clean);
    let text = text(dir, clean)?;
    let path = systemd.install(&name(dir), &text).map_err(|error| {
        let id = dir.id();
        let message = format!("{id} is up, and would not come back after a reboot");
        let hint = format!("org doctor; org up --resume {id} --survive tries again");
        Failure::refused(message, hint).because(&error)
    })?;
    ui.note(&format!(
        "after a reboot it goes on by itself, by {}",
        path.display()
    ));
    match systemd.lingers() {
        Some(true) => {}
        Some(false) => ui.note(
            "warning: it goes on only once you have logged in; `loginctl enable-linger` lets it begin \
             with the machine",
        ),
        None => ui.note(
            "warning: whether it begins before you log in is not known; `loginctl show-user` says it",
        ),
    }
    if !mock {
        for provider in bare_keys(chart) {
            ui.note(&format!(
                "warning: the key of {provider} comes from the environment, which a reboot empties; its \
                 agents will be held. Write key_file or key_cmd in [providers.{provider}]"
            ));
        }
    }
    Ok(())
}

/// Takes the unit of a run away, if there is one.
///
/// # Errors
/// Where it stays: the run would come back.
pub(super) fn remove(dir: &RunDir, clean: &BTreeMap<String, String>) -> Result<(), Failure> {
    let removed = UserSystemd::new(clean).remove(&name(dir));
    match removed {
        Ok(_) | Err(unit::UnitError::NoHome) => Ok(()),
        Err(error) => {
            let message = format!("{} is down, and would come back after a reboot", dir.id());
            let hint = format!("remove {} by hand", name(dir));
            Err(Failure::refused(message, hint).because(&error))
        }
    }
}

fn name(dir: &RunDir) -> String {
    format!("org-{}.service", dir.id())
}

fn text(dir: &RunDir, clean: &BTreeMap<String, String>) -> Result<String, Failure> {
    let program = exec::current_exe()?;
    let mut text = format!(
        "# Written by `org up --survive`; `org down` takes it away.\n[Unit]\nDescription=org run {}\n\
         After=network-online.target\n\n[Service]\nType=oneshot\nRemainAfterExit=yes\nKillMode=process\n\
         TimeoutStartSec=infinity\nExecStart={} up --resume {} --detach\n",
        dir.id(),
        unit::path_word(&program),
        unit::path_word(dir.path()),
    );
    for name in KEPT {
        if let Some(value) = clean.get(name) {
            let word = unit::word(&format!("{name}={value}"));
            writeln!(text, "Environment={word}").expect("a string takes everything");
        }
    }
    text.push_str("\n[Install]\nWantedBy=default.target\n");
    Ok(text)
}

/// Providers of the chart's agents whose key is in the environment only.
fn bare_keys(chart: &Chart) -> Vec<String> {
    let models = chart.agents.iter().map(|agent| agent.model.as_str());
    let used = models.filter_map(|model| model::resolve(chart, model));
    let bare = used.filter(|model| matches!(model.spec.key, KeySource::Env(_)));
    let mut bare: Vec<String> = bare.map(|model| model.provider).collect();
    bare.sort();
    bare.dedup();
    bare
}
