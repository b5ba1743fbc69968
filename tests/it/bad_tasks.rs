//! Tasks as the world has them: commands that are not there, that leave daemons, that do not end when
//! told to, that print without end or look where they may not; and two agents with the same idea.

use std::fs;

use serde_json::Value;

use crate::ground::{TestEnvironment, write};
use crate::small::{Small, after, call};

const METRIC: &str = "metric = { name = \"loss\", goal = \"min\", pattern = 'loss: ([0-9.]+)' }";

#[test]
fn a_task_that_misbehaves_is_ended_and_its_author_reads_how() {
    let world = TestEnvironment::new();
    let secret = world.at("elsewhere/secret.txt");
    write(&secret, "not for runs\n");
    let marker = world.at("elsewhere/a-run-was-here");
    let run_sh = format!(
        r#"case "$MODE" in
absent) no-such-program --train ;;
fork) (setsid sh -c '(trap "" TERM HUP; while :; do sleep 1; done) & exit' &) ; sleep 0.2 ;;
many) for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 300 & done ;;
deaf) trap '' TERM INT HUP; echo I do not listen; while :; do sleep 1; done ;;
loud) head -c 1000000000 /dev/zero | tr '\0' x; echo ;;
path) (echo x >{}) 2>/dev/null; cat {} ;;
esac || exit
echo "loss: 1.$ORG_SEED"
"#,
        marker.display(),
        secret.display()
    );
    // What comes of each, and what its author reads.
    let table = [
        ("absent", "crashed", "exit status 127", "no-such-program"),
        ("fork", "ok", "", "loss: 1."),
        ("many", "ok", "", "loss: 1."),
        ("deaf", "timeout", "ended after 8 s", "I do not listen"),
        ("loud", "ok", "", "loss: 1."),
        ("path", "crashed", "exit status 1", "secret.txt"),
    ];
    let steps: String = table
        .iter()
        .map(|(mode, ..)| {
            call(
                "experiment",
                &format!("note = \"{mode}\"\nenv = {{ MODE = \"{mode}\" }}"),
            )
        })
        .collect();
    let task = Small {
        files: vec![("run.sh", run_sh)],
        task: format!("run = \"sh run.sh\"\ntimeout = \"8s\"\ngpus = 0\n{METRIC}"),
        tables: "[protocol]\nmatch = \"none\"\nbaseline = 2\n".to_owned(),
        agents: vec![("ann", false)],
        scenario: format!("[[scripts]]\nagent = \"ann\"\n{steps}"),
    };
    // Nothing lives when it has been played, daemons included.
    let run = task.play(&world);
    let (queued, mails) = (run.of("experiment.queued"), run.of("mail.sent"));
    let ends = run.of("experiment.finished");
    for (note, status, why, last) in table {
        let id = &queued.iter().find(|it| it["note"] == note).expect(note)["id"];
        let end = ends.iter().find(|it| it["id"] == *id).expect(note);
        assert_eq!(end["status"], status, "{note}: {end}");
        assert!(end["reason"].to_string().contains(why), "{note}: {end}");
        let subject = format!("e{id} {status}");
        let mail = mails.iter().find(|it| it["subject"] == subject.as_str());
        let body = run.text(&mail.expect(note)["body"]);
        let told = status == "ok" || body.contains(last);
        assert!(told, "{note}: {body}");
        let log = run.path(&format!("exp/e{id}/a1/output.log"));
        let kept = fs::metadata(&log).map_or(0, |it| it.len());
        assert!(kept < 64 << 20, "{note}: {kept} bytes of output kept");
        let said = fs::read_to_string(&log).unwrap_or_default();
        assert!(said.contains(last), "{note}: its output is gone");
    }
    assert!(!marker.exists(), "a run wrote where it may not");
}

#[test]
fn two_agents_with_the_same_change_are_one_claim() {
    let world = TestEnvironment::new();
    let claim = |title: &str| {
        format!(
            "title = \"{title}\"\nclaim = \"improve\"\nmechanism = \"m\"\npredicts = 4\nrefuted_by = \"r\""
        )
    };
    let script = |agent: &str| {
        format!("[[scripts]]\nagent = \"{agent}\"\n")
            + &call("write", "path = \"loss.txt\"\ncontent = \"5\"")
            + &call("hypothesis", &claim(agent))
    };
    let task = Small {
        files: vec![
            (
                "run.sh",
                "echo \"loss: $(cat loss.txt).$ORG_SEED\"\n".to_owned(),
            ),
            ("loss.txt", "9".to_owned()),
        ],
        task: format!("run = \"sh run.sh\"\ntimeout = \"60s\"\ngpus = 0\n{METRIC}"),
        tables: "[protocol]\nmatch = \"none\"\nbaseline = 2\nconfirm = 2\n".to_owned(),
        agents: vec![("ann", false), ("ben", false)],
        scenario: script("ann") + &script("ben"),
    };
    let run = task.play(&world);
    let ledger = world.org(&["ledger", &run.id(), "--json"]).json();
    let mut ends: Vec<&str> = ledger
        .as_array()
        .unwrap()
        .iter()
        .map(|claim| claim["status"].as_str().unwrap())
        .collect();
    ends.sort_unstable();
    assert_eq!(ends, ["promoted", "rejected"], "{ledger}");
    let second = ledger
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["status"] == "rejected");
    let why = second.unwrap()["reason"].to_string();
    assert!(why.contains("claims the same change already"), "{why}");
    // The second has measured nothing.
    let of = |id: u64| {
        run.of("experiment.queued")
            .iter()
            .filter(|it| it["hypothesis"] == id)
            .count()
    };
    let id = second.unwrap()["id"].as_str().unwrap()[1..]
        .parse()
        .unwrap();
    assert_eq!(of(id), 0);
}

#[test]
fn an_undecided_claim_is_topped_up_by_its_author_and_goes_on_where_it_stopped() {
    let world = TestEnvironment::new();
    let claim = |more: &str| {
        format!(
            "title = \"a little\"\nclaim = \"improve\"\nmechanism = \"m\"\npredicts = 4\nrefuted_by = \"r\"\n{more}"
        )
    };
    // The noise is of the size of the gain, and not the same in both arms: few seeds decide nothing.
    let run_sh = "gain=$(cat gain.txt); noise=$(( (ORG_SEED * (7 + gain) / 11) % 17 )); echo \"loss: $(( 100 - gain + noise ))\"\n";
    let task = Small {
        files: vec![("run.sh", run_sh.to_owned()), ("gain.txt", "0".to_owned())],
        task: format!("run = \"sh run.sh\"\ntimeout = \"60s\"\ngpus = 0\n{METRIC}"),
        tables: "[protocol]\nmatch = \"none\"\nbaseline = 6\nconfirm = 2\nalpha = 0.0001\n"
            .to_owned(),
        agents: vec![("ann", false)],
        scenario: "[[scripts]]\nagent = \"ann\"\n".to_owned()
            + &call("write", "path = \"gain.txt\"\ncontent = \"16\"")
            + &call("hypothesis", &claim(""))
            + &after("h1 undecided", "hypothesis", &claim("replicates = \"h1\""))
            + &after(
                "h2 (promoted|undecided|refuted|confirmed)",
                "done",
                "summary = \"done\"",
            ),
    };
    let run = task.play(&world);
    let ledger = world.org(&["ledger", &run.id(), "--json"]).json();
    assert_eq!(ledger[0]["status"], "undecided", "{ledger}");
    let seeds = |at: usize, arm: &str| -> Vec<Value> {
        let runs = ledger[at]["runs"].as_array().unwrap().iter();
        let of = |it: &&Value| it["arm"] == arm && it["stage"] == "confirm";
        runs.filter(of).map(|it| it["id"].clone()).collect()
    };
    for arm in ["baseline", "candidate"] {
        let (before, after) = (seeds(0, arm), seeds(1, arm));
        assert_eq!(before.len(), 2, "{arm}: {ledger}");
        assert!(after.len() > before.len(), "{arm}: {ledger}");
        assert!(
            before.iter().all(|it| after.contains(it)),
            "{arm}: its runs are kept"
        );
    }
    // Tested at half the level.
    let planned = run.of("hypothesis.planned");
    let level = |at: usize| planned[at]["looks"][0]["level"].as_f64().unwrap();
    assert!((level(0) - 2.0 * level(1)).abs() < 1e-12, "{planned:?}");
}
