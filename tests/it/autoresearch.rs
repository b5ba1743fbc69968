//! Autoresearch as it is upstream, on its stand-in: a seed that is written into the file, a budget of time,
//! and five columns in the end.

use std::fs;

use serde_json::Value;

use crate::ground::{TestEnvironment, project, told};

const CHART: &str = "autoresearch.toml";

#[test]
fn one_researcher_keeps_what_holds_in_the_same_time() {
    let world = TestEnvironment::new();
    // A tenth of a second of wall time says nothing on a machine that others load; the rest is as shipped.
    let chart = world.chart(
        CHART,
        &[
            ("match     = \"wall\"", "match     = \"none\""),
            ("guards    = { peak_mem = 1.25 }", "guards    = {}"),
        ],
    );
    let up = world.org(&["up", &chart, "--mock", "--headless", "--until", "done"]);
    up.well().naming(&["promoted"]);
    let run = world.run();
    let ledger = world.org(&["ledger", "--json"]).json();
    assert_eq!(ledger[0]["status"], "promoted", "{ledger}");
    assert_ne!(ledger[1]["status"], "promoted", "{ledger}");
    // What a candidate prints is its own word, and is called so.
    assert_eq!(ledger[0]["evaluated_by"], "candidate", "{ledger}");
    for figure in ["params", "tokens"] {
        let known = ledger[0]["runs"][0][figure].as_f64();
        assert!(known > Some(0.0), "{figure}: {}", ledger[0]["runs"][0]);
    }
    // The seed in the file has become the harness's: other seeds, other results, and the same twice.
    let runs = run.of("experiment.finished");
    let value = |id: &Value| {
        let end = runs.iter().find(|it| it["id"] == *id)?;
        end["measured"]["value"].as_f64().map(f64::to_bits)
    };
    let baseline: Vec<(u64, u64)> = run
        .of("experiment.queued")
        .iter()
        .filter(|it| it["stage"] == "admission")
        .map(|it| (it["seed"].as_u64().unwrap(), value(&it["id"]).unwrap()))
        .collect();
    for (seed, value) in &baseline {
        let alike = baseline.iter().filter(|it| it.1 == *value);
        assert!(alike.clone().all(|it| it.0 == *seed), "{baseline:?}");
    }
    assert!(baseline.len() > 6, "{baseline:?}");
    // The harness's own files are the run's own copy.
    assert_eq!(run.of("lab.overlay").len(), 1);
    // And the machine is known, so that numbers of another one would not be mixed with these.
    assert_eq!(run.of("lab.machine").len(), 1);
    assert_eq!(run.of("lab.expired").len(), 0);
    assert!(run.path("overlay/sitecustomize.py").exists());
    let table = fs::read_to_string(run.path("results.tsv")).unwrap();
    let columns = "commit\tval_bpb\tmemory_gb\tstatus\tdescription";
    assert_eq!(table.lines().next(), Some(columns), "{table}");
    assert!(
        table.contains("keep") && table.contains("discard"),
        "{table}"
    );
    world.nothing_lives();
}

/// Upstream's nanochat reads and writes in one directory; a measured run's own begins empty.
#[test]
fn what_was_prepared_for_nanochat_is_found_in_a_directory_of_the_runs_own() {
    let world = TestEnvironment::new();
    let prepared = world.at("home/.cache/nanochat");
    for below in [
        "tokenizer/tokenizer.pkl",
        "base_data_climbmix/shard.parquet",
        "base_checkpoints/d12/model.pt",
    ] {
        crate::ground::write(&prepared.join(below), "x");
    }
    let overlay = project().join("examples/nanochat/overlay");
    let base = world.at("out/base");
    let mut python = world.command("python3");
    python.args([
        "-c",
        "import os; print(sorted(os.listdir(os.environ['NANOCHAT_BASE_DIR'])))",
    ]);
    python
        .env("PYTHONPATH", &overlay)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    python.env("NANOCHAT_BASE_DIR", &base).env("ORG_SEED", "7");
    let said = told(python, "").well().out;
    assert_eq!(said.trim(), "['base_data_climbmix', 'tokenizer']");
    assert!(base.join("tokenizer/tokenizer.pkl").exists());
}
