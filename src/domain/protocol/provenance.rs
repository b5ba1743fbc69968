//! What a candidate does with the seed that it is given.
//!
//! Another seed gives another result and the same seed the same, as far as the baseline does so: a change
//! that fixes its luck, or draws it elsewhere, is none that a comparison by seeds can judge. Must not know
//! what is claimed.

use super::View;
use super::admission::failed;
use super::compare::{PAIRS_BELOW, values};
use super::words::{Step, Wanted};
use crate::domain::event::{Arm, RunStatus, Stage, Status};
use crate::domain::state::{Experiment, Hypothesis};
use crate::domain::stats::{Sample, figure};
use crate::domain::student;

/// Runs with the same result on different seeds that chance does not explain.
const SAME_MIN: usize = 3;
/// Spread that a true gain may leave, as a share of the baseline's: a change that trains to the end what the
/// baseline only began has been seen to leave a hundredth.
const SHRUNK: f64 = 0.005;
/// Probability under which a spread is less than even that leaves: a fixed draw, and some dust on it. By the
/// distribution of the ratio of two variances, since few runs often lie close together by chance.
const CHANCE: f64 = 1e-4;
/// Launches of the repeat of a run that the world disturbed before the claim is given up.
const MAX_REPEATS: usize = 3;

impl View<'_> {
    /// Why the candidate's runs do not depend on their seeds, where the baseline's do.
    pub(super) fn ignores_seeds(
        &self,
        claim: &Hypothesis,
        commit: &str,
        base: &[&Experiment],
        cand: &[&Experiment],
        baseline: &[&Experiment],
    ) -> Option<String> {
        let (mut base, mut cand) = (values(base), values(cand));
        base.extend(values(baseline));
        // The screen's seed is one more.
        let screened = baseline
            .first()
            .map(|run| self.runs(commit, run.seed, Stage::Screen));
        let mut screened = screened.unwrap_or_default();
        screened.retain(|run| run.hypothesis == Some(claim.id) && run.status == RunStatus::Ok);
        cand.extend(screened.first().and_then(|run| run.measured.value));
        let (usual, own) = (Sample::of(&base), Sample::of(&cand));
        if cand.len() < SAME_MIN || usual.sd <= 0.0 {
            return None;
        }
        let share = (own.sd / (SHRUNK * usual.sd)).powi(2);
        let [more, most] = [own, usual].map(|sample| f64::from(sample.n) - 1.0);
        (own.sd == 0.0 || student::variances(share, more, most) < CHANCE).then(|| {
            format!(
                "{} seeds gave the same, where the baseline's differ: it does not use its seed",
                cand.len()
            )
        })
    }

    /// A claim that is about to be confirmed, once its screen was run a second time on the same seed and
    /// gave the same, where the baseline does so. Else the run that is wanted, or why it is not confirmed.
    pub(super) fn repeated(
        &self,
        claim: &Hypothesis,
        commit: &str,
        confirmed: Step,
        baseline: &[&Experiment],
    ) -> Vec<Step> {
        let sigma = self.sigma(baseline);
        let Some(first) = baseline.first().filter(|_| self.seeds_pair(sigma)) else {
            return vec![confirmed];
        };
        let mut runs = self.own_runs(claim, commit, first.seed, Stage::Screen);
        if runs.iter().any(|run| run.finished_at.is_none()) {
            return Vec::new();
        }
        let launches = runs.len();
        if let Some(broken) = runs.iter().find(|run| failed(run)) {
            let status = match broken.status {
                RunStatus::Invalid => Status::Invalid,
                _ => Status::Crashed,
            };
            let (id, word) = (broken.id, broken.status.word());
            let why = format!("run a second time on its first seed, it ended {word} (e{id})");
            return vec![Step::Move(claim.id, status, why, None)];
        }
        runs.retain(|run| run.status == RunStatus::Ok);
        let (Some(screen), again) = (runs.first(), runs.get(1)) else {
            return vec![confirmed];
        };
        let Some(again) = again else {
            return vec![self.repeat(claim, commit, screen, launches)];
        };
        let value = |run: &Experiment| run.measured.value.unwrap_or(f64::NAN);
        let apart = (value(screen) - value(again)).abs();
        if apart <= PAIRS_BELOW * sigma {
            return vec![confirmed];
        }
        let why = format!(
            "e{} and e{} had the same seed and differ by {}, where the baseline gives the same twice: its \
             luck comes from elsewhere",
            screen.id,
            again.id,
            figure(apart)
        );
        vec![Step::Move(claim.id, Status::Invalid, why, None)]
    }

    /// The second run of a screen, or the end of a claim of which there cannot be one.
    fn repeat(
        &self,
        claim: &Hypothesis,
        commit: &str,
        screen: &Experiment,
        launches: usize,
    ) -> Step {
        if launches > MAX_REPEATS {
            let why = format!("e{} could not be run a second time", screen.id);
            return Step::Move(claim.id, Status::Contended, why, None);
        }
        Step::Queue(Wanted {
            hypothesis: Some(claim.id),
            arm: Arm::Candidate,
            stage: Stage::Screen,
            seed: screen.seed,
            commit: commit.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::bench::{Bench, noise};
    use super::*;
    use crate::domain::chart::Confirm;
    use crate::domain::event::Measured;

    /// A change that leaves this share of the baseline's spread.
    fn told(share: f64, confirm: u32, seed: u64) -> Status {
        let mut bench = Bench::new(move |run| {
            let own = run.commit.starts_with("steady");
            let (mean, spread) = if own { (1.0, share) } else { (5.0, 1.0) };
            let measured = Measured {
                value: Some(mean + spread * noise(run.seed ^ seed)),
                flops: Some(1e6),
                ..Measured::default()
            };
            (RunStatus::Ok, measured)
        });
        bench.chart.protocol.confirm = Confirm::Seeds(confirm);
        let id = bench.claim("steady", 3.0);
        bench.play();
        bench.of(id).status
    }

    #[test]
    fn little_luck_is_not_none() {
        // A hundredth of the spread, as training to the end leaves it, over many draws of few seeds.
        for seed in 0..300 {
            assert_eq!(told(0.01, 4, seed), Status::Promoted, "{seed}");
            assert_ne!(told(0.01, 2, seed), Status::Invalid, "{seed}");
        }
        for share in [0.0, 1e-6] {
            assert_eq!(told(share, 4, 1), Status::Invalid, "{share}");
        }
    }
}
