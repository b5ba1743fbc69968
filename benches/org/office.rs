//! The grid of panes: our office of eight seats against the same grid cut by hand in one tmux call.

use std::path::Path;
use std::time::Duration;

use org::office::{Office, Plan, Seat, TmuxOffice};
use org::os::clock;

use super::Broken;
use super::scene::{Scene, block_on, done};
use super::table::{Ceiling, Goal, Table, median, ms};

/// Panes of the grid.
const PANES: usize = 8;
/// Times that each is built.
const ROUNDS: usize = 7;

/// Measures how long the grid takes.
pub(crate) fn measure(table: &mut Table) -> Result<(), Broken> {
    let scene = Scene::new()?;
    let (mut floor, mut ours) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let socket = scene.path().join(format!("f{round}"));
        let begun = clock::monotonic();
        by_hand(&scene, &socket, PANES, round)?;
        floor.push(ms(begun.elapsed()));
        kill_server(&scene, &socket);
        let socket = scene.path().join(format!("o{round}"));
        let env = vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())];
        let office = Office::Tmux(TmuxOffice::at(&socket, env)?);
        let marks = marks(scene.path(), "o", round, PANES);
        let plan = plan(&marks);
        let begun = clock::monotonic();
        block_on(office.open(&plan))?;
        wait_for(&marks);
        ours.push(ms(begun.elapsed()));
        block_on(office.close())?;
    }
    let (floor, ours) = (median(&floor), median(&ours));
    table.guarded(
        Ceiling::Most(60.0),
        ("office, 8 panes, all programs live", "ms"),
        Some(floor),
        ours,
        Goal::Ratio(1.3),
    );
    Ok(())
}

fn plan(marks: &[String]) -> Plan {
    let seat = |(at, mark): (usize, &String)| Seat {
        name: format!("s{at}"),
        argv: program(mark),
        env: Vec::new(),
        title: "a seat".to_owned(),
    };
    Plan {
        session: "bench".to_owned(),
        mock: true,
        grid: None,
        size: (220, 50),
        pages: marks.iter().enumerate().map(seat).collect(),
        hq: Vec::new(),
        history: 3000,
        bell: None,
        tints: Vec::new(),
    }
}

/// A program that says that it lives, and waits.
fn program(mark: &str) -> Vec<String> {
    let script = format!(": > {mark}; exec sleep 600");
    ["/bin/sh", "-c", &script].map(str::to_owned).to_vec()
}

fn marks(root: &Path, kind: &str, round: usize, count: usize) -> Vec<String> {
    let mark = |at| root.join(format!("{kind}-live-{round}-{at}"));
    (0..count)
        .map(|at| mark(at).display().to_string())
        .collect()
}

fn wait_for(marks: &[String]) {
    while !marks.iter().all(|mark| Path::new(mark).exists()) {
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// As many panes in one call, by hand; all their programs live when it returns.
pub(crate) fn by_hand(
    scene: &Scene,
    socket: &Path,
    panes: usize,
    round: usize,
) -> Result<(), Broken> {
    let marks = marks(scene.path(), "f", round, panes);
    let mut words: Vec<String> = vec!["-f".into(), "/dev/null".into(), "-S".into()];
    words.push(socket.display().to_string());
    for (at, mark) in marks.iter().enumerate() {
        let first = ["new-session", "-d", "-x", "220", "-y", "50"];
        let next = [";", "split-window"];
        let command: &[&str] = if at == 0 { &first } else { &next };
        words.extend(command.iter().map(|word| (*word).to_owned()));
        words.extend(program(mark));
        if at > 0 {
            words.extend([";", "select-layout", "tiled"].map(str::to_owned));
        }
    }
    done(scene.exec("tmux").args(words), "tmux")?;
    wait_for(&marks);
    Ok(())
}

/// Ends a server of ours.
pub(crate) fn kill_server(scene: &Scene, socket: &Path) {
    let socket = socket.display().to_string();
    let kill = scene.exec("tmux").args(["-S", &socket, "kill-server"]);
    kill.output(Duration::from_secs(10)).ok();
}
