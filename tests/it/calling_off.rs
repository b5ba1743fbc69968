//! Runs that do not go to their end: cancelled, taken back, out of bounds, diverged; and claims that
//! wait for a person's look.

use serde_json::Value;

use crate::ground::{ORG, Run, TestEnvironment};
use crate::small::{Small, after, call};
use crate::terminal::Terminal;

/// A task whose run waits for ever where the code says so.
fn task(scenario: String, protocol: &str) -> Small {
    let run_sh = r#"echo "flops: $(cat flops.txt)"
case "$MODE$(cat mode.txt)" in
*slow*) setsid sleep 600 & sleep 600 ;;
*lost*) for i in 1 2 3 4; do echo "step $i loss: nan"; done; sleep 600 ;;
esac
echo "score: 1.$ORG_SEED"
"#;
    let file = |text: &str| text.to_owned();
    Small {
        files: vec![
            ("run.sh", file(run_sh)),
            ("flops.txt", file("1000\n")),
            ("mode.txt", file("quick\n")),
        ],
        task: "run = \"sh run.sh\"\ntimeout = \"300s\"\ngpus = 0\n\
               metric = { name = \"score\", pattern = 'score: ([0-9.]+)' }"
            .to_owned(),
        tables: format!(
            "[protocol]\nguards = {{}}\nbaseline = 2\nconfirm = 2\n{protocol}\n\
             [compute]\nparallel = 1\n[task.measure]\nflops = 'flops: ([0-9]+)'\n"
        ),
        agents: vec![("ann", false)],
        scenario: format!("[[scripts]]\nagent = \"ann\"\n{scenario}"),
    }
}

const CLAIM: &str = "title = \"t\"\nclaim = \"improve\"\nmechanism = \"m\"\npredicts = 0.5\n\
                     refuted_by = \"r\"";

fn slow() -> String {
    call("experiment", "note = \"slow\"\nenv = { MODE = \"slow\" }")
}

fn ended(run: &Run, id: u64) -> Option<Value> {
    let mut ends = run.of("experiment.finished");
    ends.retain(|it| it["id"] == id);
    ends.pop()
}

/// Brings a task up and waits until an experiment of the agent's has that number.
fn up(world: &TestEnvironment, task: &Small) -> Run {
    let chart = task.chart(world).display().to_string();
    world
        .org(&["up", &chart, "--mock", "--headless", "--detach"])
        .well();
    world.run()
}

fn explored(run: &Run, count: usize) -> Vec<u64> {
    run.wait_for("experiments of the agent", |events| {
        let own = events
            .iter()
            .filter(|it| it["kind"] == "experiment.queued" && it["stage"] == "explore");
        let ids: Vec<u64> = own.filter_map(|it| it["id"].as_u64()).collect();
        (ids.len() >= count).then_some(ids)
    })
}

fn started(run: &Run, id: u64) {
    run.wait_for("a start", |events| {
        events
            .iter()
            .any(|it| it["kind"] == "experiment.started" && it["id"] == id)
            .then_some(())
    });
}

fn letter(run: &Run, subject: &str) -> String {
    run.wait_for(subject, |events| {
        let mail = events
            .iter()
            .find(|it| it["kind"] == "mail.sent" && it["subject"] == subject)?;
        Some(run.text(&mail["body"]))
    })
}

#[test]
fn a_person_calls_off_what_runs_and_what_waits() {
    let world = TestEnvironment::new();
    let run = up(&world, &task(slow() + &slow(), "match = \"none\""));
    let ids = explored(&run, 2);
    started(&run, ids[0]);
    let (first, second) = (format!("e{}", ids[0]), format!("e{}", ids[1]));
    // The one that waits never starts; the one that runs ends, with the child that left its session.
    world
        .org(&["cancel", &second])
        .well()
        .naming(&["had not started"]);
    world
        .org(&["cancel", &first, "--reason", "too slow"])
        .well()
        .naming(&["is being ended"]);
    let body = letter(&run, &format!("{first} cancelled"));
    assert!(body.contains("cancelled by a person: too slow"), "{body}");
    letter(&run, &format!("{second} cancelled"));
    assert!(
        !run.of("experiment.started")
            .iter()
            .any(|it| it["id"] == ids[1])
    );
    assert!(ended(&run, ids[0]).is_some());
    let sleeping = world
        .processes()
        .into_values()
        .filter(|words| words.contains("sleep 600"));
    assert_eq!(sleeping.count(), 0);
    // What is over, or was never there, is said to be so.
    world
        .org(&["cancel", &first])
        .refused(1)
        .naming(&["cancelled already"]);
    world.org(&["cancel", "e99"]).refused(1).naming(&["no e99"]);
    world.org(&["cancel", "h1"]).refused(1).naming(&["no h1"]);
    world
        .org(&["cancel", "baseline"])
        .refused(2)
        .naming(&["neither a run nor a claim"]);
    world.org(&["down", &run.id()]).well();
    world.nothing_lives();
}

#[test]
fn an_agent_takes_back_its_own_and_nothing_else() {
    let world = TestEnvironment::new();
    let scenario = call("write", "path = \"mode.txt\"\ncontent = \"slow\"")
        + &call("hypothesis", CLAIM)
        + &slow()
        + &after("queued (?<e>e[0-9]+)", "withdraw", "id = \"{e}\"")
        + &after("took back (?<what>.*)", "withdraw", "id = \"e1\"")
        + &after("no experiment of yours", "withdraw", "id = \"h1\"")
        + &after("took back h1", "withdraw", "id = \"h7\"")
        + &after("no claim of yours", "withdraw", "id = \"seven\"");
    let run = task(scenario, "match = \"none\"").play(&world);
    let answers = run.answers("ann", "withdraw");
    let [experiment, foreign, claim, unknown, nonsense] = answers.as_slice() else {
        panic!("{answers:?}");
    };
    assert!(
        experiment.starts_with("took back e") && experiment.contains("it had not run"),
        "{experiment}"
    );
    assert!(
        foreign.contains("e1 is no experiment of yours"),
        "{foreign}"
    );
    assert!(claim.starts_with("took back h1"), "{claim}");
    assert!(unknown.contains("h7 is no claim of yours") && nonsense.contains("write e7 or h3"));
    letter(&run, "h1 withdrawn");
    let ledger = world.org(&["ledger", "--json"]).json();
    assert_eq!(ledger[0]["status"], "withdrawn", "{ledger}");
    assert!(
        ledger[0]["reason"]
            .to_string()
            .contains("taken back by ann"),
        "{ledger}"
    );
}

#[test]
fn a_run_that_cannot_count_any_more_ends_early() {
    let world = TestEnvironment::new();
    // Three times the FLOPs, said at once, on a run that would take ten minutes more.
    let scenario = call("experiment", "note = \"lost\"\nenv = { MODE = \"lost\" }")
        + &after(
            "e[0-9]+ invalid",
            "write",
            "path = \"flops.txt\"\ncontent = \"3000\"",
        )
        + &call("write", "path = \"mode.txt\"\ncontent = \"slow\"")
        + &call("hypothesis", CLAIM);
    let run = task(scenario, "match = \"flops\"").play(&world);
    let queued = run.of("experiment.queued");
    let id = |key: &str, value: &str| {
        let run = queued.iter().find(|it| it[key] == value).expect(value);
        run["id"].as_u64().expect("a number")
    };
    let lost = ended(&run, id("note", "lost")).expect("ended");
    assert_eq!(lost["status"], "invalid", "{lost}");
    assert!(
        lost["reason"]
            .to_string()
            .contains("diverged, and ended early"),
        "{lost}"
    );
    let wide = queued
        .iter()
        .find(|it| it["hypothesis"] == 1)
        .expect("a run of the claim");
    let wide = ended(&run, wide["id"].as_u64().expect("a number")).expect("ended");
    assert_eq!(wide["status"], "cancelled", "{wide}");
    assert!(wide["reason"].to_string().contains("3.00 times"), "{wide}");
    assert_eq!(wide["measured"]["flops"], 3000.0, "{wide}");
    let ledger = world.org(&["ledger", "--json"]).json();
    assert_eq!(ledger[0]["status"], "mismatched", "{ledger}");
}

#[test]
fn a_claim_under_notice_waits_and_can_be_called_off() {
    let world = TestEnvironment::new();
    let scenario =
        call("write", "path = \"mode.txt\"\ncontent = \"fast\"") + &call("hypothesis", CLAIM);
    let run = up(
        &world,
        &task(scenario, "match = \"none\"\nnotice = \"10m\""),
    );
    run.wait_for("the claim's run", |events| {
        events
            .iter()
            .any(|it| it["kind"] == "experiment.queued" && it["hypothesis"] == 1)
            .then_some(())
    });
    let status = world.org(&["status", "--json"]).json();
    assert_eq!(status["notices"][0]["hypothesis"], "h1", "{status}");
    let text = world.org(&["status"]).well();
    text.naming(&["notice", "h1 starts in", "org cancel h1"]);
    world.org(&["cancel", "h1", "--reason", "not now"]).well();
    let body = letter(&run, "h1 withdrawn");
    assert!(body.contains("not now"), "{body}");
    let claimed = |it: &&Value| it["hypothesis"] == 1;
    let queued = run.of("experiment.queued");
    let ids: Vec<&Value> = queued.iter().filter(claimed).map(|it| &it["id"]).collect();
    assert!(
        !run.of("experiment.started")
            .iter()
            .any(|it| ids.contains(&&it["id"]))
    );
    let status = world.org(&["status", "--json"]).json();
    assert_eq!(
        status["notices"].as_array().map(Vec::len),
        Some(0),
        "{status}"
    );
    world.org(&["down", &run.id()]).well();
    world.nothing_lives();
}

#[test]
fn a_key_in_the_pane_calls_off_a_claim_under_notice() {
    let world = TestEnvironment::new();
    let scenario =
        call("write", "path = \"mode.txt\"\ncontent = \"fast\"") + &call("hypothesis", CLAIM);
    let task = task(scenario, "match = \"none\"\nnotice = \"10m\"");
    let chart = task.chart(&world).display().to_string();
    world.org(&["up", &chart, "--mock", "--detach"]).well();
    let run = world.run();
    let attach = format!("exec {ORG} attach ann --run {}", run.id());
    let terminal = Terminal::open(&world, 110, 30, &attach);
    // The pane says what is about to happen, and how it is stopped.
    terminal.shows("h1 starts in 10 min, unless you call it off: Ctrl-X and Enter");
    terminal.keys(&["C-x"]);
    terminal.shows("> /cancel");
    assert_eq!(
        run.of("hypothesis.withdrawn"),
        Vec::<Value>::new(),
        "a draft"
    );
    terminal.keys(&["Enter"]);
    terminal.shows("h1 is being withdrawn, with its runs");
    let body = letter(&run, "h1 withdrawn");
    assert!(body.contains("cancelled by a person"), "{body}");
    terminal.shows("h1 withdrawn");
    terminal.types("/cancel");
    terminal.keys(&["Enter"]);
    terminal.shows("it has no claim under way");
    let withdrawn = run.of("hypothesis.withdrawn");
    assert_eq!(withdrawn.len(), 1);
    assert_eq!(withdrawn[0]["actor"], "human");
    drop(terminal);
    world.org(&["down"]).well();
    world.nothing_lives();
}
