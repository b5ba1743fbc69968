//! A cost that a candidate counts itself, held against the time that it was seen to take.
//!
//! FLOPs and tokens are printed by code that a claim may change. Where the harness's own evaluation does not
//! count them, they are the candidate's word; a run that trained for longer and printed the baseline's
//! figure cannot print its seconds too. Both arms are those of a confirmation, measured side by side.
//! Must not know how anything is counted.

use super::View;
use crate::domain::chart::Axis;
use crate::domain::event::By;
use crate::domain::state::Experiment;
use crate::domain::stats::Sample;

/// How much more time the same self-reported count may take: kernels differ, and another activation or
/// norm costs some per cent. More is what a wider or longer run takes.
const SLACK: f64 = 0.15;
/// Standard errors of the ratio that are put down to the machine.
const ERRORS: f64 = 3.0;
/// Seconds below which two runs cannot be told apart: what starting an interpreter takes, now more, now less.
const RESOLUTION_S: f64 = 0.02;

impl View<'_> {
    /// Why a matched cost cannot be believed, if it cannot.
    pub(super) fn disbelieved(
        &self,
        axis: Axis,
        base: &[&Experiment],
        cand: &[&Experiment],
    ) -> Option<String> {
        let counted = matches!(axis, Axis::Flops | Axis::Tokens);
        let own = cand
            .iter()
            .any(|run| run.measured.measured_by == By::Candidate);
        if !counted || !own {
            return None;
        }
        // A device that the driver tells of is what the work is done on; else it is done by the CPU.
        let on_device = |run: &&Experiment| run.measured.gpu_util.is_some();
        let device = base.iter().chain(cand).all(on_device);
        let seconds = |runs: &[&Experiment]| -> Sample {
            let of = |run: &&Experiment| {
                if device {
                    run.measured.gpu_s
                } else {
                    run.measured.cpu_s
                }
            };
            Sample::of(&runs.iter().map(of).collect::<Vec<_>>())
        };
        let (b, c) = (seconds(base), seconds(cand));
        if b.mean <= 0.0 || b.n < 2 || c.n < 2 {
            return None;
        }
        let spread = b.cv().max(c.cv());
        let error = spread * (1.0 / f64::from(b.n) + 1.0 / f64::from(c.n)).sqrt();
        let most = 1.0 + SLACK + ERRORS * error + RESOLUTION_S / b.mean;
        let ratio = c.mean / b.mean;
        (ratio > most).then(|| {
            let (name, what) = (axis.as_str(), if device { "GPU" } else { "CPU" });
            format!(
                "its {name} are its own word, and {ratio:.2} times the baseline's {what} seconds do not agree \
                 with them (at most {most:.2} would)"
            )
        })
    }
}
