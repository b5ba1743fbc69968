//! Runs of different sizes on the same devices: small ones beside large ones, and neither starved.
//!
//! Owns what may start on devices that the run whose turn it is cannot use yet, since it needs more of them
//! (back-filling, after Lifka 1995, "The ANL/IBM SP scheduling system"): what is expected to end before
//! enough of them are free, or what the large run leaves over then. How long runs take is learnt from those
//! that have ended. Must not know whose turn it is, or which devices there are.

use jiff::{SignedDuration, Timestamp};

use super::chart::Chart;
use super::event::{RunStatus, Stage};
use super::lease;
use super::state::{Experiment, State};

/// Devices that a run takes, all together: what is to be compared runs as the baseline does, a look around
/// as the chart says.
#[must_use]
pub fn gpus(chart: &Chart, run: &Experiment) -> u32 {
    let look = chart.task.explore_gpus;
    look.filter(|_| run.stage == Stage::Explore)
        .unwrap_or(chart.task.gpus)
}

/// Devices of the smallest and of the largest run.
#[must_use]
pub fn sizes(chart: &Chart) -> (u32, u32) {
    let (all, look) = (chart.task.gpus, chart.task.explore_gpus);
    let look = look.unwrap_or(all);
    (all.min(look), all.max(look))
}

/// Seconds that a run is expected to take: as those of its size did, else its longest time.
fn expected(chart: &Chart, state: &State, run: &Experiment) -> f64 {
    let want = gpus(chart, run);
    let alike = state.experiments.values().filter(|other| {
        let look = (run.stage == Stage::Explore) == (other.stage == Stage::Explore);
        other.status == RunStatus::Ok && gpus(chart, other) == want && look
    });
    let took: Vec<f64> = alike.map(|run| run.measured.wall_s).collect();
    if took.is_empty() {
        return lease::timeout(chart, state);
    }
    took.iter().sum::<f64>() / took.len() as f64
}

/// What is kept for a run that needs more devices than are free.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Kept {
    /// When enough of them are expected to be free; none where nothing else may start before.
    at: Option<Timestamp>,
    /// Devices that it leaves over then.
    spare: u32,
}

impl Kept {
    /// For a run that needs more than is free; none where it does not fit even when all others have ended.
    /// Who was `patient` long enough has everything kept that becomes free.
    pub(super) fn of(
        chart: &Chart,
        state: &State,
        now: Timestamp,
        want: u32,
        free: usize,
        patient: bool,
    ) -> Option<Self> {
        let running = state.experiments.values();
        let running = running.filter(|run| run.status == RunStatus::Running);
        let mut ends: Vec<(Timestamp, u32)> = running
            .map(|run| {
                let span = expected(chart, state, run);
                let span = SignedDuration::try_from_secs_f64(span).unwrap_or(SignedDuration::MAX);
                let from = run.started_at.unwrap_or(now);
                let end = from.checked_add(span).unwrap_or(Timestamp::MAX);
                let devices = u32::try_from(run.gpus.len()).unwrap_or(u32::MAX);
                (end.max(now), devices)
            })
            .collect();
        ends.sort_unstable();
        let mut there = u32::try_from(free).unwrap_or(u32::MAX);
        for (at, devices) in ends {
            there = there.saturating_add(devices);
            if there >= want {
                return Some(Self {
                    at: (!patient).then_some(at),
                    spare: if patient { 0 } else { there - want },
                });
            }
        }
        None
    }

    /// Whether another run may start before the one that this is kept for.
    pub(super) fn lets(
        &mut self,
        chart: &Chart,
        state: &State,
        now: Timestamp,
        run: &Experiment,
    ) -> bool {
        let want = gpus(chart, run);
        if want == 0 {
            return true;
        }
        let span = SignedDuration::try_from_secs_f64(expected(chart, state, run));
        let end = span.ok().and_then(|span| now.checked_add(span).ok());
        if self.at.zip(end).is_some_and(|(at, end)| end <= at) {
            return true;
        }
        let fits = want <= self.spare;
        if fits {
            self.spare -= want;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::{Arm, Gpu};
    use super::super::lease::grants;
    use super::*;

    const START: i64 = 1_000_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(START + second).expect("in range")
    }

    fn gpu(index: u32) -> Gpu {
        Gpu {
            index,
            uuid: format!("GPU-{index}"),
            simulated: true,
        }
    }

    /// Four devices; what is compared takes all of them, a look around one.
    struct Node {
        chart: Chart,
        state: State,
        model: Experiment,
    }

    impl Node {
        fn new() -> Self {
            let (mut chart, sample) = crate::view::sample::run();
            chart.task.gpus = 4;
            chart.task.explore_gpus = Some(1);
            chart.budget.gpu_hours = None;
            chart.protocol.notice = 0.0;
            let model = sample.experiments.values().next().expect("a run").clone();
            let state = State {
                gpus: (0..4).map(gpu).collect(),
                parallel: 4,
                ..State::default()
            };
            Self {
                chart,
                state,
                model,
            }
        }

        fn queue(&mut self, stage: Stage, second: i64) -> u64 {
            let id = self.state.experiments.len() as u64 + 1;
            let run = Experiment {
                id,
                agent: None,
                hypothesis: None,
                arm: Arm::Baseline,
                stage,
                status: RunStatus::Queued,
                queued_at: at(second),
                started_at: None,
                finished_at: None,
                gpus: Vec::new(),
                frozen: false,
                called_off: None,
                measured: super::super::event::Measured::default(),
                ..self.model.clone()
            };
            self.state.experiments.insert(id, run);
            id
        }

        /// Starts what may start; its numbers.
        fn go(&mut self, second: i64) -> Vec<u64> {
            let all = grants(&self.chart, &self.state, at(second));
            for grant in &all {
                let run = self
                    .state
                    .experiments
                    .get_mut(&grant.experiment)
                    .expect("there");
                (run.status, run.started_at) = (RunStatus::Running, Some(at(second)));
                run.gpus.clone_from(&grant.gpus);
            }
            all.into_iter().map(|grant| grant.experiment).collect()
        }

        fn end(&mut self, id: u64, second: i64) {
            let run = self.state.experiments.get_mut(&id).expect("there");
            let from = run.started_at.expect("started");
            run.status = RunStatus::Ok;
            run.measured.wall_s = at(second).duration_since(from).as_secs_f64();
            run.finished_at = Some(at(second));
            run.gpus.clear();
        }
    }

    #[test]
    fn a_large_run_is_not_starved_by_a_stream_of_small_ones() {
        let mut node = Node::new();
        let known = node.queue(Stage::Explore, 0);
        assert_eq!(node.go(0), [known]);
        node.end(known, 60);
        // Four looks of a minute, begun one after the other, and a large run that comes meanwhile.
        let mut running = Vec::new();
        for second in [60, 75, 90, 105] {
            let look = node.queue(Stage::Explore, second);
            assert_eq!(node.go(second), [look]);
            running.push((look, second + 60));
        }
        let large = node.queue(Stage::Confirm, 106);
        // A look comes every time one ends: none of them may go before the large run.
        for (look, second) in running {
            let next = node.queue(Stage::Explore, second - 1);
            node.end(look, second);
            let started = node.go(second);
            assert!(!started.contains(&next), "at {second}");
            assert_eq!(started.contains(&large), second == 165, "at {second}");
        }
        let run = &node.state.experiments[&large];
        assert_eq!((run.gpus.len(), run.status), (4, RunStatus::Running));
    }

    #[test]
    fn small_runs_fill_the_gap_where_that_puts_nobody_off() {
        let mut node = Node::new();
        let known = node.queue(Stage::Explore, 0);
        node.go(0);
        node.end(known, 60);
        // Two devices are taken for ten minutes, which is known of runs of that size.
        node.chart.task.gpus = 2;
        let before = node.queue(Stage::Confirm, 0);
        node.go(60);
        node.end(before, 660);
        let long = node.queue(Stage::Confirm, 660);
        assert_eq!(node.go(660), [long]);
        node.chart.task.gpus = 4;
        let large = node.queue(Stage::Confirm, 661);
        // The timeout is all that is known of the long one: a look of a minute ends long before.
        let looks = [
            node.queue(Stage::Explore, 662),
            node.queue(Stage::Explore, 662),
        ];
        assert_eq!(
            node.go(662),
            looks,
            "two devices are idle, and stay so else"
        );
        node.end(looks[0], 722);
        node.end(looks[1], 722);
        node.end(long, 723);
        let third = node.queue(Stage::Explore, 700);
        assert_eq!(node.go(723), [large], "not before its turn: {third}");
    }

    #[test]
    fn who_has_waited_long_has_everything_kept() {
        let mut node = Node::new();
        let known = node.queue(Stage::Explore, 0);
        node.go(0);
        node.end(known, 60);
        let one = node.queue(Stage::Explore, 60);
        node.go(60);
        let large = node.queue(Stage::Confirm, 61);
        let other = node.queue(Stage::Explore, 3_900);
        // The running look takes much longer than any: an hour later nothing more goes before.
        assert_eq!(node.go(3_901), Vec::<u64>::new());
        node.end(one, 4_000);
        assert_eq!(node.go(4_000), [large], "and not {other}");
    }

    #[test]
    fn what_never_fits_holds_nobody_up() {
        let mut node = Node::new();
        node.chart.task.gpus = 5;
        node.queue(Stage::Confirm, 0);
        let look = node.queue(Stage::Explore, 1);
        assert_eq!(node.go(2), [look]);
    }
}
