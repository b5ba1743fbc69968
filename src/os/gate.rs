//! The way from a job's description to the program that starts its command: through `org confine` where
//! it may not touch everything.
//!
//! Must not know how a program is confined, or what becomes of it.

use std::path::PathBuf;

use super::confine;
use super::exec::Exec;
use super::job::JobSpec;
use super::sandbox::Report;

/// The program that starts the command, and what is enforced on it where that is known already.
#[cfg(not(test))]
pub(super) fn confined(spec: &JobSpec) -> Result<(Exec, Option<Report>), String> {
    let Some(policy) = &spec.policy else {
        return Ok((plain(spec), None));
    };
    let report = Some(report_file(spec));
    let confinement = confine::Confinement::new(policy.clone(), spec.argv.clone(), report);
    let exec = confinement.exec().map_err(with_causes)?;
    Ok((exec, None))
}

/// A test binary has no commands: its own thread is confined, as on a kernel without namespaces.
#[cfg(test)]
pub(super) fn confined(spec: &JobSpec) -> Result<(Exec, Option<Report>), String> {
    let policy = spec.policy.as_ref();
    let report = policy.map(super::sandbox::enforce).transpose();
    Ok((plain(spec), report.map_err(with_causes)?))
}

fn plain(spec: &JobSpec) -> Exec {
    let (program, args) = spec
        .argv
        .split_first()
        .map_or(("", &[][..]), |it| (it.0, it.1));
    Exec::new(program).args(args)
}

/// Where the confining process says what holds.
fn report_file(spec: &JobSpec) -> PathBuf {
    spec.result.with_extension("confined")
}

/// What was enforced, by the word of the process that did it.
pub(super) fn confinement(spec: &JobSpec) -> Option<Report> {
    let path = report_file(spec);
    let report = confine::read_report(&path);
    std::fs::remove_file(path).ok();
    report
}

fn with_causes(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
