//! Candidates that do something of their own with the seed.

use crate::ground::TestEnvironment;
use crate::small::{Small, after, call};

#[test]
fn a_candidate_must_use_its_seed() {
    let run_sh = r#"case "$(cat mode.txt)" in
fixed) echo "score: 5.0" ;;
drawn) echo "score: 5.$(date +%N)" ;;
honest) echo "score: 5.$ORG_SEED" ;;
*) echo "score: 1.$ORG_SEED" ;;
esac
"#;
    let claim = |mode: &str, before: &str| {
        let write = format!("path = \"mode.txt\"\ncontent = \"{mode}\"");
        let claim = format!(
            "title = \"{mode}\"\nclaim = \"improve\"\nmechanism = \"m\"\npredicts = 0.5\nrefuted_by = \"r\""
        );
        let write = if before.is_empty() {
            call("write", &write)
        } else {
            after(before, "write", &write)
        };
        write + &call("hypothesis", &claim)
    };
    let scenario = [
        "[[scripts]]\nagent = \"ann\"\n".to_owned(),
        claim("fixed", ""),
        claim("drawn", "h1 invalid"),
        claim("honest", "h2 invalid"),
    ];
    let world = TestEnvironment::new();
    let task = Small {
        files: vec![
            ("run.sh", run_sh.to_owned()),
            ("mode.txt", "plain".to_owned()),
        ],
        task: "run = \"sh run.sh\"\ntimeout = \"60s\"\ngpus = 0\n\
               metric = { name = \"score\", goal = \"max\", pattern = 'score: ([0-9.]+)' }"
            .to_owned(),
        tables: "[protocol]\nmatch = \"none\"\nbaseline = 3\nconfirm = 4\n".to_owned(),
        agents: vec![("ann", false)],
        scenario: scenario.concat(),
    };
    task.play(&world);
    let ledger = world.org(&["ledger", "--json"]).json();
    let of = |at: usize, key: &str| ledger[at][key].as_str().unwrap_or_default().to_owned();
    assert_eq!(of(0, "status"), "invalid", "{ledger}");
    assert!(
        of(0, "reason").contains("does not use its seed"),
        "{ledger}"
    );
    assert_eq!(of(1, "status"), "invalid", "{ledger}");
    assert!(of(1, "reason").contains("same seed"), "{ledger}");
    assert_eq!(of(2, "status"), "promoted", "{ledger}");
}
