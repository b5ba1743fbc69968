//! What an organisation holds and uses while nothing happens, and how soon a killed agent is back.

use std::collections::BTreeMap;
use std::time::Duration;

use org::os::process::{Signal, Watch};
use org::os::{clock, lock};
use org::run::log::Log;
use org::run::paths::RunDir;

use super::Broken;
use super::proc::{self, Member};
use super::scene::{Scene, project, put};
use super::table::{Ceiling, Goal, Table, median, ms};

/// How long nothing is watched to happen.
const WATCHED: Duration = Duration::from_secs(30);
/// Everybody says at once that they are done.
const SCENARIO: &str = "version = 1\n\n[[scripts]]\nagent = \"*\"\n\n[[scripts.steps]]\n\
    [[scripts.steps.call]]\ntool = \"done\"\nsummary = \"nothing to do\"\n";

/// Measures memory, processor time and wake-ups of the demo's nine agents at rest.
pub(crate) fn measure(table: &mut Table) -> Result<(), Broken> {
    let scene = Scene::new()?;
    let dir = at_rest(&scene, &[])?;
    let members = members(&dir)?;
    memory(table, &members);
    rest(table, &members);
    back(table, &scene, &dir)
}

/// The demo's organisation with its baseline measured and nothing left to do.
pub(crate) fn at_rest(scene: &Scene, more: &[&str]) -> Result<RunDir, Broken> {
    let scenario = put(scene.path().join("quiet.toml"), SCENARIO)?;
    let chart = project("orgs/demo.toml");
    let args = ["up", &chart, "--mock", "--detach", "--scenario", &scenario];
    scene.run(&[&args, more].concat())?;
    let dir = scene.newest()?;
    scene.settle(&dir)?;
    Ok(dir)
}

/// The run's processes, its tmux server among them.
fn members(dir: &RunDir) -> Result<Vec<Member>, Broken> {
    let mut names = vec![dir.path().display().to_string()];
    names.extend(
        Log::open(dir)?
            .state()
            .office
            .iter()
            .map(|office| office.socket.clone()),
    );
    Ok(proc::members(&names))
}

fn memory(table: &mut Table, members: &[Member]) {
    let goals = [
        ("supervise", "supervisor", 10.0, Ceiling::Most(15.0)),
        (
            "agent",
            "agent at rest, the largest",
            8.0,
            Ceiling::Most(12.0),
        ),
        ("pane", "pane, the largest", 8.0, Ceiling::None),
        ("mock", "mock", 10.0, Ceiling::None),
        ("tmux", "tmux server", 20.0, Ceiling::Most(40.0)),
    ];
    for (role, word, goal, ceiling) in goals {
        let held: Vec<_> = members
            .iter()
            .filter(|member| member.role == role)
            .map(|member| proc::memory(member.pid))
            .collect();
        let rss = held.iter().map(|it| it.rss).fold(0.0, f64::max);
        let pss = held.iter().map(|it| it.pss).sum::<f64>();
        table.guarded(
            ceiling,
            (&format!("memory, {word}, RSS"), "MiB"),
            None,
            rss,
            Goal::Most(goal),
        );
        table.row(
            &format!("  all {} of them, PSS", held.len()),
            "MiB",
            None,
            pss,
            Goal::Open,
        );
    }
}

fn rest(table: &mut Table, members: &[Member]) {
    let before = proc::usage(members);
    std::thread::sleep(WATCHED);
    let after = proc::usage(members);
    let mut cpu: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut all, mut most) = (0, 0);
    for member in members {
        let (then, now) = (before[&member.pid], after[&member.pid]);
        let ns = now.cpu_ns.saturating_sub(then.cpu_ns);
        *cpu.entry(member.role.as_str()).or_default() += ns;
        all += ns;
        most = most.max(now.wakes.saturating_sub(then.wakes));
    }
    let share = |ns: u64| ns as f64 / WATCHED.as_nanos() as f64 * 100.0;
    let count = members.len();
    table.guarded(
        Ceiling::Most(0.5),
        (&format!("at rest 30 s, {count} processes, processor"), "%"),
        None,
        share(all),
        Goal::Most(0.2),
    );
    for (role, ns) in cpu {
        table.row(&format!("  {role}"), "%", None, share(ns), Goal::Open);
    }
    let wakes = most as f64 / WATCHED.as_secs_f64();
    table.row(
        "  wake-ups of the busiest process",
        "per s",
        None,
        wakes,
        Goal::Most(2.0),
    );
}

/// From the death of an agent that waits to its successor's first word in the log.
fn back(table: &mut Table, scene: &Scene, dir: &RunDir) -> Result<(), Broken> {
    let mut times = Vec::new();
    for _ in 0..5 {
        let holder = lock::holder(&dir.agent_lock("claude-1")).ok_or("no agent lives")?;
        // Without a turn in flight it starts again at once.
        let watch = tokio_less(holder.pid, holder.start)?;
        let begun = clock::monotonic();
        watch.signal(Signal::KILL);
        scene.wait(dir, |log| {
            let pid = log
                .state()
                .agents
                .get("claude-1")
                .and_then(|agent| agent.pid);
            pid.is_some_and(|pid| pid != holder.pid)
        })?;
        times.push(ms(begun.elapsed()));
    }
    table.guarded(
        Ceiling::Most(2000.0),
        ("agent killed -> its successor is there", "ms"),
        None,
        median(&times),
        Goal::Most(500.0),
    );
    Ok(())
}

/// A watch needs a runtime to be made in.
fn tokio_less(pid: u32, start: u64) -> Result<Watch, Broken> {
    Ok(super::scene::block_on(async {
        Watch::open(pid, Some(start))
    })?)
}
