//! The harness's own evaluation, hidden data, environments, and how runs end: nothing to fudge.

use std::fs;
use std::net::TcpListener;

use serde_json::Value;

use crate::ground::{Run, TestEnvironment, write};
use crate::small::{Small, after, call};

const TRAIN: &str = r#"import os, random
import model
rng = random.Random(os.environ["ORG_SEED"])
w = model.W + rng.gauss(0.0, 0.01)
with open(os.environ["ORG_OUT"] + "/w.txt", "w") as out:
    out.write(repr(w))
for name in ("holdout.txt", os.environ["SECRET"]):
    try:
        print("candidate saw", open(name).read())
    except OSError:
        print("candidate saw nothing")
print("flops: 1000")
print("loss: 0.0000001")
"#;

const EVALUATE: &str = r#"import os, socket
target = float(open("holdout.txt").read().split()[1])
w = float(open(os.environ["ORG_OUT"] + "/w.txt").read())
try:
    open(os.environ["ORG_OUT"] + "/w.txt", "w")
    print("out: open")
except OSError:
    print("out: read-only")
try:
    socket.create_connection(("127.0.0.1", int(os.environ["PORT"])), timeout=5)
    print("net: open")
except OSError:
    print("net: closed")
print("loss: %.6f" % abs(w - target))
"#;

const PROTOCOL: &str = "[protocol]\nmatch = \"flops\"\nguards = {}\nbaseline = 3\nconfirm = 3\n\
                        alpha = 0.05\n[compute]\nparallel = 1\n[task.measure]\nflops = 'flops: ([0-9]+)'\n";

fn small(world: &TestEnvironment, port: u16) -> Small {
    let secret = world.at("secret/holdout.txt");
    write(&secret, "TOPSECRET 2.0\n");
    let (secret, runs) = (secret.display(), world.at("runs"));
    let snoop = format!(
        "command = 'cat {secret}; cat {0}/*/exp/*/*/evaluation/output.log; grep -r TOPSECRET {0}; \
         ls {0}/*/exp'",
        runs.display()
    );
    let cheat = "path = \"evaluate.py\"\ncontent = \"print('loss: 0.0')\"";
    let plant = "path = \"holdout.txt\"\ncontent = \"mine 3.0\"";
    let claim = "title = \"halve W\"\nclaim = \"improve\"\nmechanism = \"m\"\npredicts = 0.5\n\
                 refuted_by = \"r\"";
    let scenario = [
        "[[scripts]]\nagent = \"ann\"\n".to_owned(),
        call("shell", &snoop),
        call("write", cheat),
        call("write", plant),
        call("experiment", "note = \"cheat\""),
        after(
            "e[0-9]+ ok",
            "shell",
            "command = 'git checkout -q . && git clean -qfd && git reset -q --hard agent-start 2>/dev/null; git checkout -q $(git rev-list --max-parents=0 HEAD) -- . ; rm -f holdout.txt'",
        ),
        call(
            "edit",
            "path = \"model.py\"\nold = \"W = 4.0\"\nnew = \"W = 2.0\"",
        ),
        call("hypothesis", claim),
        after("h1 (confirmed|promoted)", "ledger", ""),
    ];
    Small {
        files: vec![
            ("model.py", "W = 4.0\n".to_owned()),
            ("train.py", TRAIN.to_owned()),
            ("evaluate.py", EVALUATE.to_owned()),
        ],
        task: format!(
            "run = \"python3 train.py\"\ntimeout = \"60s\"\ngpus = 0\neditable = [\"model.py\"]\n\
             evaluate = \"python3 evaluate.py\"\nhidden = [\"{secret}\"]\n\
             env = {{ PORT = \"{port}\", SECRET = \"{secret}\", PYTHONDONTWRITEBYTECODE = \"1\" }}\n\
             metric = {{ name = \"loss\", goal = \"min\", pattern = 'loss: ([0-9.]+)' }}"
        ),
        tables: PROTOCOL.to_owned(),
        agents: vec![("ann", false)],
        scenario: scenario.concat(),
    }
}

/// What the log says of each run that ended.
fn finished(run: &Run) -> Vec<Value> {
    run.of("experiment.finished")
}

#[test]
fn the_harness_evaluates_and_agents_learn_no_number_of_hidden_data() {
    let world = TestEnvironment::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    let port = listener.local_addr().expect("its address").port();
    let run = small(&world, port).play(&world);

    // The candidate's own number, 1e-7, is nobody's; an evaluation that it rewrote was not run.
    for end in finished(&run) {
        assert_eq!(end["status"], "ok", "{end}");
        assert_eq!(end["measured"]["evaluated_by"], "harness", "{end}");
        assert_eq!(end["measured"]["measured_by"], "candidate", "{end}");
    }
    let queued = run.of("experiment.queued");
    let explored = queued.iter().find(|it| it["stage"] == "explore");
    let explored = explored.expect("an experiment of the agent")["id"].clone();
    let ends = finished(&run);
    let cheat = ends.iter().find(|it| it["id"] == explored).expect("ended");
    let value = cheat["measured"]["value"].as_f64().expect("a value");
    assert!((1.9..2.1).contains(&value), "{cheat}");
    assert!(!run.text(&cheat["tail"]).contains("TOPSECRET"), "{cheat}");
    let evaluation = run.path(&format!("exp/e{explored}/a1/evaluation/output.log"));
    let said = fs::read_to_string(evaluation).expect("the evaluation's words, for people");
    assert!(said.contains("out: read-only"), "{said}");
    assert!(said.contains("net: closed"), "{said}");

    // A true gain on hidden data passes, by the harness's word.
    let ledger = world.org(&["ledger", "--json"]).json();
    assert_eq!(ledger[0]["status"], "promoted", "{ledger}");
    assert_eq!(ledger[0]["evaluated_by"], "harness");
    assert!(ledger[0]["effect"].as_f64().expect("an effect") > 1.5);

    // Nothing that an agent reads holds the data, or a number of them.
    let snooped = run.answers("ann", "shell").concat();
    assert!(!snooped.contains("TOPSECRET"), "{snooped}");
    for mail in run.of("mail.sent").iter().filter(|it| it["from"] == "lab") {
        let body = run.text(&mail["body"]);
        assert!(body.contains("not disclosed"), "{body}");
        assert!(
            body.contains("1.0") || body.contains("wall"),
            "costs are told: {body}"
        );
        for number in ["better by", "1.99", "2.00", "2.01", "p = "] {
            assert!(!body.contains(number), "{number} in {body}");
        }
    }
    let table = run.answers("ann", "ledger").concat();
    assert!(
        table.contains("halve W") && !table.contains("better by"),
        "{table}"
    );
    drop(listener);
}

#[test]
fn hidden_data_that_somebody_could_read_are_refused() {
    let world = TestEnvironment::new();
    let mut task = small(&world, 1);
    let secret = world.at("secret/holdout.txt").display().to_string();
    let inside = world.at("task/holdout.txt").display().to_string();
    let sound = task.task.clone();
    task.task = sound.replace(
        &format!("hidden = [\"{secret}\"]"),
        &format!("hidden = [\"{inside}\"]"),
    );
    let chart = task.chart(&world).display().to_string();
    let up = ["up", &chart, "--mock", "--headless", "--detach"];
    world
        .org(&up)
        .refused(2)
        .naming(&["task.hidden[0]", "every candidate may read"]);
    task.task = sound.replace("secret/holdout.txt\"]", "secret/none.bin\"]");
    task.chart(&world);
    world
        .org(&up)
        .refused(1)
        .naming(&["hidden data", "there is no", "none.bin"]);
    // By way of a link, too.
    std::os::unix::fs::symlink(world.at("task/model.py"), world.at("secret/none.bin"))
        .expect("a link");
    world
        .org(&up)
        .refused(1)
        .naming(&["none.bin", "every candidate may read"]);
    world.nothing_was_made();
}

#[test]
fn an_environment_is_made_once_and_only_read_by_runs() {
    let world = TestEnvironment::new();
    let run_sh = "cat .env/stamp && python3 -c 'import helper' && (touch .env/x 2>/dev/null \
                  || echo env: read-only)\necho loss: 1.$ORG_SEED\n";
    let setup = "mkdir .env && date +%s%N >.env/stamp && echo 'pass' >helper.py && echo made";
    let script = "[[scripts]]\nagent = \"ann\"\n".to_owned()
        + &call("write", "path = \"lock.txt\"\ncontent = \"two\"")
        + &call("experiment", "note = \"another lock\"");
    let mut task = Small {
        files: vec![
            ("run.sh", run_sh.to_owned()),
            ("lock.txt", "one".to_owned()),
        ],
        task: format!(
            "run = \"sh run.sh\"\nsetup = \"\"\"{setup}\"\"\"\nenv_key = [\"lock.txt\"]\n\
             timeout = \"60s\"\ngpus = 0\nmetric = {{ name = \"loss\", pattern = 'loss: ([0-9.]+)' }}"
        ),
        tables: "[protocol]\nmatch = \"none\"\nbaseline = 3\n[compute]\nparallel = 2\n".to_owned(),
        agents: vec![("ann", false)],
        scenario: script,
    };
    let run = task.play(&world);
    let queued = run.of("experiment.queued");
    let mut stamps: Vec<(bool, String)> = Vec::new();
    for end in finished(&run) {
        assert_eq!(end["status"], "ok", "{end}");
        let tail = run.text(&end["tail"]);
        assert!(tail.contains("env: read-only"), "{tail}");
        let own = queued
            .iter()
            .any(|it| it["id"] == end["id"] && it["agent"] == "ann");
        stamps.push((own, tail.lines().next().unwrap_or_default().to_owned()));
    }
    stamps.sort();
    stamps.dedup();
    // One for all baselines, and one for the lock file that the agent changed.
    let [(false, base), (true, own)] = stamps.as_slice() else {
        panic!("not two environments: {stamps:?}");
    };
    assert_ne!(base, own);

    // One that cannot be made costs no token and leaves nothing.
    let world = TestEnvironment::new();
    task.task = task
        .task
        .replace("&& echo made", "&& echo no wheel for you >&2 && exit 7");
    let chart = task.chart(&world).display().to_string();
    let up = world.org(&["up", &chart, "--mock", "--headless", "--detach"]);
    up.refused(1).naming(&[
        "setup failed: exit status 7",
        "no wheel for you",
        "task.setup",
    ]);
    world.nothing_was_made();
}

#[test]
fn a_run_ends_in_one_of_few_ways_and_its_author_reads_why() {
    let world = TestEnvironment::new();
    let run_sh = r#"echo Using the fast kernel
case "$MODE" in
two) echo loss: 1.5 ;;
none) exit 0 ;;
nan) echo loss: nan; exit 0 ;;
crash) echo Traceback: no such layer >&2; exit 3 ;;
oom) echo torch.OutOfMemoryError: CUDA out of memory; exit 1 ;;
slow) echo still here; sleep 60 ;;
ruler) echo cheat >ruler.txt ;;
esac
echo loss: 1.$ORG_SEED
"#;
    let table = [
        ("two", "invalid", "2 values of loss"),
        ("none", "invalid", "no metric"),
        ("nan", "invalid", "not a finite number"),
        ("crash", "crashed", "exit status 3"),
        ("oom", "oom", "CUDA out of memory"),
        ("slow", "timeout", "ended after 2 s"),
        ("ruler", "invalid", "it changed protected files: ruler.txt"),
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
    let quiet = call(
        "edit",
        "path = \"run.sh\"\nold = \"echo Using the fast kernel\"\nnew = \"echo Using the slow one\"",
    ) + &call("experiment", "note = \"quiet\"");
    let task = Small {
        files: vec![
            ("run.sh", run_sh.to_owned()),
            ("ruler.txt", "1 m\n".to_owned()),
        ],
        task: "run = \"sh run.sh\"\ntimeout = \"2s\"\ngpus = 0\nprotect = [\"ruler.txt\"]\n\
               must_print = [\"Using the fast kernel\"]\n\
               metric = { name = \"loss\", pattern = 'loss: (\\S+)' }"
            .to_owned(),
        tables: "[protocol]\nmatch = \"none\"\nbaseline = 2\n".to_owned(),
        agents: vec![("ann", false)],
        scenario: format!("[[scripts]]\nagent = \"ann\"\n{steps}{quiet}"),
    };
    let run = task.play(&world);
    let queued = run.of("experiment.queued");
    let ends = finished(&run);
    let mails = run.of("mail.sent");
    let quiet = (
        "quiet",
        "invalid",
        "did not print \\\"Using the fast kernel\\\"",
    );
    for (note, status, why) in table.into_iter().chain([quiet]) {
        let id = queued.iter().find(|it| it["note"] == note).expect(note)["id"].clone();
        let end = ends.iter().find(|it| it["id"] == id).expect(note);
        assert_eq!(end["status"], status, "{note}: {end}");
        assert!(end["reason"].to_string().contains(why), "{note}: {end}");
        let subject = format!("e{id} {status}");
        let mail = mails
            .iter()
            .find(|it| it["subject"] == subject.as_str())
            .expect(note);
        let body = run.text(&mail["body"]);
        let last = match note {
            "crash" => "Traceback: no such layer",
            "slow" => "still here",
            _ => "Using the",
        };
        assert!(body.contains(last), "{note}: {body}");
    }
}
