//! Commands: how long a person waits for one, against a program that does nothing.

use org::os::clock;

use super::Broken;
use super::idle::at_rest;
use super::scene::{Scene, done};
use super::table::{Ceiling, Goal, Table, median, ms};

/// Times that each is run, in turns with the floor.
const ROUNDS: usize = 40;

/// Measures commands on a run that is up and at rest.
pub(crate) fn measure(table: &mut Table) -> Result<(), Broken> {
    let scene = Scene::new()?;
    let dir = at_rest(&scene, &["--headless"])?;
    let run = dir.id();
    let commands: [(&[&str], f64); 7] = [
        (&["--version"], 3.0),
        (&["--help"], 3.0),
        (&["status"], 5.0),
        (&["status", "--json"], 5.0),
        (&["ls"], 5.0),
        (&["ledger"], 5.0),
        (&["send", "chief", "how does it stand?", "--run", &run], 5.0),
    ];
    for (args, goal) in commands {
        let (mut floor, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let begun = clock::monotonic();
            done(scene.exec("/bin/true"), "true")?;
            floor.push(ms(begun.elapsed()));
            let begun = clock::monotonic();
            scene.run(args)?;
            ours.push(ms(begun.elapsed()));
            if args[0] == "send" {
                scene.settle(&dir)?;
            }
        }
        let name = format!("org {}", args[..args.len().min(2)].join(" "));
        table.guarded(
            Ceiling::Most(15.0),
            (&name, "ms"),
            Some(median(&floor)),
            median(&ours),
            Goal::Most(goal),
        );
    }
    Ok(())
}
