//! The harness's own evaluation of what a run left behind.
//!
//! It runs in a clean checkout of the candidate in which everything that a claim may not touch is the
//! base's, without network, on `$ORG_OUT`, which it can read and not change, with the hidden data
//! under their own names at the checkout's root. What it prints is the harness's word; where hidden
//! data stand behind it, its words go to people only. Must not know what the figures decide.

use std::fs;
use std::path::Path;

use crate::domain::disclosure;
use crate::domain::event::By;
use crate::lab::local::{Poll, poll};
use crate::lab::metric::{self, Invalid, RunEnd};
use crate::repo;

use super::place::Program;
use super::{Found, Order, output, status};

impl Order {
    /// Whether an evaluation is what comes next: the run ended well.
    fn evaluation_is_due(&self) -> bool {
        let Ok(Poll::Done(result)) = poll(&self.job(Program::Run)) else {
            return false;
        };
        let said = output(&self.log(Program::Run));
        self.chart.task.evaluate.is_some()
            && metric::classify(&result, &said).0 == RunEnd::Ok
            && metric::required(&said, &self.chart.task.must_print).is_ok()
    }

    /// Starts the evaluation where it is due and was not started before; says whether there is one to
    /// wait for.
    pub(in crate::engine) fn evaluate(&self) -> Result<bool, Box<Found>> {
        if !self.evaluation_is_due() {
            return Ok(false);
        }
        if !matches!(poll(&self.job(Program::Evaluation)), Ok(Poll::Lost)) {
            return Ok(true);
        }
        self.wanted()?;
        let environment = self.environment()?;
        self.lay(Program::Evaluation, environment.as_ref())?;
        self.submit(&self.spec(Program::Evaluation, environment.as_ref()))?;
        Ok(true)
    }

    /// Makes the checkout what the evaluation is to be run in: the base's but for what claims change.
    pub(super) fn restore_for_evaluation(&self, checkout: &Path) -> Result<(), repo::RepoError> {
        let task = &self.chart.task;
        if !task.editable.is_empty() {
            repo::restore_all_but(&self.dir.repo_git(), &self.base, checkout, &task.editable)?;
        }
        repo::restore(&self.dir.repo_git(), &self.base, checkout, &task.protect)?;
        Ok(())
    }

    /// Lays the hidden data under their own names into the checkout's root: links, since data are
    /// large and the sandbox lets nobody write through them.
    pub(super) fn lay_hidden(&self, checkout: &Path) -> std::io::Result<()> {
        for path in &self.chart.task.hidden {
            let Some(name) = path.file_name() else {
                continue;
            };
            let at = checkout.join(name);
            match fs::symlink_metadata(&at) {
                Ok(found) if found.is_dir() => fs::remove_dir_all(&at)?,
                Ok(_) => fs::remove_file(&at)?,
                Err(_) => {}
            }
            std::os::unix::fs::symlink(path, &at)?;
        }
        Ok(())
    }

    /// Reads the figures of the evaluation into what was found of the run.
    pub(super) fn evaluated(&self, found: &mut Found) {
        let task = &self.chart.task;
        found.measured.evaluated_by = By::Harness;
        let Ok(Poll::Done(result)) = poll(&self.job(Program::Evaluation)) else {
            let why = "its evaluation was cut short".to_owned();
            (found.status, found.reason) = (status(RunEnd::Cancelled), why);
            return;
        };
        let said = output(&self.log(Program::Evaluation));
        found.measured.evaluation_s = result.wall_s;
        let (mut end, mut why) = metric::classify(&result, &said);
        if end == RunEnd::Ok {
            // An evaluation that imports the candidate has let it into its checkout.
            let sound = self.untouched(Program::Evaluation);
            match sound.and_then(|()| metric::value(&said, &task.metric)) {
                Ok(value) => found.measured.value = Some(value),
                Err(Invalid { reason }) => (end, why) = (RunEnd::Invalid, reason),
            }
        }
        if let Ok(costs) = metric::costs(&said, &task.measure) {
            let measured = &mut found.measured;
            let both = [
                (costs.flops, measured.flops),
                (costs.params, measured.params),
                (costs.tokens, measured.tokens),
            ];
            if both.iter().any(|(ours, _)| ours.is_some()) {
                // The candidate's word stays its word, as long as any figure of it is left.
                if both
                    .iter()
                    .all(|(ours, own)| ours.is_some() || own.is_none())
                {
                    measured.measured_by = By::Harness;
                }
                measured.flops = costs.flops.or(measured.flops);
                measured.params = costs.params.or(measured.params);
                measured.tokens = costs.tokens.or(measured.tokens);
            }
        }
        if end == RunEnd::Ok {
            return;
        }
        found.status = self.counts_as(&result, end);
        if disclosure::withheld(task) {
            let log = self.log(Program::Evaluation);
            let log = log.strip_prefix(self.dir.path()).unwrap_or(&log);
            let end = end.as_str();
            found.reason = format!(
                "its evaluation ended {end}; people read why in {}",
                log.display()
            );
        } else {
            found.reason = format!("its evaluation: {why}");
            found.tail = metric::last_lines(&said);
        }
    }
}
