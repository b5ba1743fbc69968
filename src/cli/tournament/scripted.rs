//! Matches of scripted organisations on the task whose truth is known: played here and now.

use std::path::Path;
use std::thread;

use super::{SYNTH, TournamentArgs};
use crate::cli::failure::Failure;
use crate::domain::chart::Budget;
use crate::domain::comparison::Entrant;
use crate::domain::outcome::Outcome;
use crate::domain::suggest;
use crate::domain::synth::play;
use crate::domain::synth::policy::Policy;
use crate::domain::tournament;
use crate::run::tournament::Plan;

/// Whether scripted organisations are meant: by the task's word, or by their names on that task's chart.
pub(super) fn meant(args: &TournamentArgs) -> bool {
    let task = args.task.as_deref().map(Path::new);
    let here = task.is_none_or(|task| task.file_stem().is_some_and(|it| it == SYNTH));
    let names = || args.charts.iter().all(|name| Policy::parse(name).is_some());
    args.task.as_deref() == Some(SYNTH) || (here && !args.charts.is_empty() && names())
}

/// Fills in who plays, and for how much.
pub(super) fn plan(args: &TournamentArgs, plan: &mut Plan) -> Result<(), Failure> {
    let all = Policy::ALL.map(Policy::name);
    let mut policies = Vec::new();
    for name in &args.charts {
        let Some(policy) = Policy::parse(name) else {
            let near = suggest::nearest(name, all);
            let near = near.map_or_else(String::new, |near| format!("did you mean `{near}`? "));
            return Err(Failure::usage(
                format!("{name:?} is no scripted organisation"),
                format!(
                    "{near}they are {}; charts play on --task orgs/synth.toml",
                    all.join(", ")
                ),
            ));
        };
        if policies.contains(&policy) {
            let what = format!("{name} is named twice");
            return Err(Failure::usage(what, "name each organisation once"));
        }
        policies.push(policy);
    }
    if policies.is_empty() {
        policies.extend(Policy::ALL);
    } else if !args.no_controls && !policies.contains(&Policy::Random) {
        policies.push(Policy::Random);
    }
    let own = play::chart(None).budget;
    let budget = tournament::budget(own.clone(), &args.budget);
    let budget = budget.map_err(|(what, hint)| Failure::usage(what, hint))?;
    let others = Budget {
        gpu_hours: own.gpu_hours,
        ..budget.clone()
    };
    if others != own {
        return Err(Failure::usage(
            "scripted organisations know one cap",
            "--budget gpu_hours=2",
        ));
    }
    plan.gpu_hours = budget.gpu_hours;
    plan.entrants = policies.iter().map(|it| it.name().to_owned()).collect();
    Ok(())
}

/// Plays all matches, on all cores. Each is a function of its world alone, so one that was cut short is
/// simply played again.
pub(super) fn play(plan: &Plan) -> Result<Vec<Entrant>, Failure> {
    let chart = play::chart(plan.gpu_hours);
    let worlds: Vec<u64> = (0..u64::from(plan.repeats))
        .map(|repeat| plan.seed.wrapping_add(repeat))
        .collect();
    let lanes = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let each = worlds.len().div_ceil(lanes).max(1);
    let mut entrants = Vec::new();
    for name in &plan.entrants {
        let policy = Policy::parse(name).ok_or_else(|| {
            let what = format!("{name:?} is no scripted organisation");
            Failure::refused(
                what,
                "a newer `org` made this tournament; begin another one",
            )
        })?;
        let chart = &chart;
        let runs: Vec<Outcome> = thread::scope(|scope| {
            let lanes: Vec<_> = worlds
                .chunks(each)
                .map(|worlds| {
                    scope.spawn(move || -> Vec<Outcome> {
                        let played = worlds.iter().map(|it| play::play(chart, policy, *it));
                        played.map(|it| it.outcome).collect()
                    })
                })
                .collect();
            let joined = lanes.into_iter().map(|lane| lane.join());
            joined
                .flat_map(|it| it.expect("playing does not panic"))
                .collect()
        });
        entrants.push(Entrant {
            name: name.clone(),
            runs,
        });
    }
    Ok(entrants)
}
