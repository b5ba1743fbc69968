//! `org up` of the demo, from the command to nine live agents, and `org down`; against as many bare
//! clones, worktrees, panes and processes made by hand.

use std::path::Path;
use std::time::Duration;

use org::os::clock;
use org::os::exec::Detached;

use super::Broken;
use super::office;
use super::scene::{Scene, done, project};
use super::table::{Ceiling, Goal, Table, median, ms, quantile};

/// The demo's agents.
const AGENTS: usize = 9;
/// Processes beside them: supervisor and mock.
const OTHERS: usize = 2;
/// The demo's panes: one an agent, the feed and the claims.
const PANES: usize = AGENTS + 2;
/// Times that each is measured, in turns.
const ROUNDS: usize = 7;

/// Times in milliseconds.
#[derive(Default)]
struct Times {
    up: Vec<f64>,
    down: Vec<f64>,
}

/// Measures up and down, without and with an office.
pub(crate) fn measure(table: &mut Table) -> Result<(), Broken> {
    let scene = Scene::new()?;
    let source = source(&scene)?;
    let (mut bare, mut ours) = (
        [Times::default(), Times::default()],
        [Times::default(), Times::default()],
    );
    for round in 0..ROUNDS {
        for (kind, with_office) in [false, true].into_iter().enumerate() {
            by_hand(&scene, &source, round, with_office, &mut bare[kind])?;
            org(&scene, with_office, &mut ours[kind])?;
        }
    }
    for (kind, word) in ["headless", "with office"].into_iter().enumerate() {
        let (bare, ours) = (&bare[kind], &ours[kind]);
        let floor = Some(median(&bare.up));
        table.guarded(
            Ceiling::Most(600.0),
            (&format!("org up of the demo, {word}"), "ms"),
            floor,
            median(&ours.up),
            Goal::Ratio(1.5),
        );
        let best = Some(quantile(&bare.up, 0.0));
        table.row(
            &format!("  the best of {ROUNDS}"),
            "ms",
            best,
            quantile(&ours.up, 0.0),
            Goal::Open,
        );
        let floor = Some(median(&bare.down));
        table.guarded(
            Ceiling::Most(1000.0),
            (&format!("org down of the demo, {word}"), "ms"),
            floor,
            median(&ours.down),
            Goal::Most(1000.0),
        );
    }
    Ok(())
}

fn org(scene: &Scene, with_office: bool, times: &mut Times) -> Result<(), Broken> {
    let chart = project("orgs/demo.toml");
    let mut args = vec!["up", &chart, "--mock", "--detach"];
    if !with_office {
        args.push("--headless");
    }
    let begun = clock::monotonic();
    scene.run(&args)?;
    times.up.push(ms(begun.elapsed()));
    let begun = clock::monotonic();
    scene.run(&["down"])?;
    times.down.push(ms(begun.elapsed()));
    Ok(())
}

/// The demo's task as a repository of one commit.
fn source(scene: &Scene) -> Result<String, Broken> {
    let source = scene.path().join("source");
    org::os::files::copy_tree(Path::new(&project("examples/tinylm/repo")), &source)?;
    let source = source.display().to_string();
    let steps: [&[&str]; 3] = [
        &["init", "-q"],
        &["add", "-A"],
        &[
            "-c",
            "user.name=b",
            "-c",
            "user.email=b@b",
            "commit",
            "-q",
            "-m",
            "b",
        ],
    ];
    for step in steps {
        git(scene, &[&["-C", &source], step].concat())?;
    }
    Ok(source)
}

fn git(scene: &Scene, args: &[&str]) -> Result<(), Broken> {
    done(scene.exec("git").args(args.iter().copied()), "git").map(drop)
}

fn by_hand(
    scene: &Scene,
    source: &str,
    round: usize,
    with_office: bool,
    times: &mut Times,
) -> Result<(), Broken> {
    let root = scene.path().join(format!("floor-{round}-{with_office}"));
    let at = |name: &str| root.join(name).display().to_string();
    let socket = scene.path().join(format!("s{round}"));
    let begun = clock::monotonic();
    for dir in ["git", "work"] {
        std::fs::create_dir_all(root.join(dir))?;
    }
    git(
        scene,
        &[
            "clone",
            "-q",
            "--bare",
            "--no-hardlinks",
            source,
            &at("repo.git"),
        ],
    )?;
    std::thread::scope(|scope| {
        let seats: Vec<_> = (0..AGENTS)
            .map(|agent| {
                let (own, work) = (
                    at(&format!("git/{agent}.git")),
                    at(&format!("work/{agent}")),
                );
                let (shared, branch) = (at("repo.git"), format!("agent/{agent}"));
                scope.spawn(move || -> Result<(), String> {
                    let add = [
                        "-C",
                        &own,
                        "worktree",
                        "add",
                        "-q",
                        "--no-track",
                        "-b",
                        &branch,
                        &work,
                    ];
                    git(scene, &["clone", "-q", "--bare", "--shared", &shared, &own])
                        .and_then(|()| git(scene, &add))
                        .map_err(|error| error.to_string())
                })
            })
            .collect();
        seats
            .into_iter()
            .try_for_each(|seat| seat.join().expect("seating does not panic"))
    })?;
    let mut processes = Vec::new();
    for _ in 0..AGENTS + OTHERS {
        processes.push(scene.exec("/bin/sleep").arg("600").spawn_detached()?);
    }
    if with_office {
        office::by_hand(scene, &socket, PANES, 100 + round)?;
    }
    times.up.push(ms(begun.elapsed()));
    let begun = clock::monotonic();
    if with_office {
        office::kill_server(scene, &socket);
    }
    end(&mut processes)?;
    times.down.push(ms(begun.elapsed()));
    Ok(())
}

fn end(processes: &mut [Detached]) -> Result<(), Broken> {
    for process in processes.iter_mut() {
        process.kill()?;
    }
    for process in processes {
        while process.try_wait()?.is_none() {
            std::thread::sleep(Duration::from_micros(100));
        }
    }
    Ok(())
}
