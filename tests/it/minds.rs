//! Agents whose model servers behave as badly as real ones do, on both wires, and budgets that hold.
//!
//! Each fault is a line of the scenario; what must come of it is read from the log, from `org status`
//! and from what the commands that the agents ran have left behind.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use crate::ground::{ORG, Run, TestEnvironment, write};
use crate::terminal::Terminal;

const CHART: &str = r#"version = 1
name = "minds"
mission = "Endure."
[task]
repo = "task"
base = "main"
run = "sh train.sh"
timeout = "60s"
metric = { name = "loss", goal = "min", pattern = 'loss: ([0-9.]+)' }
[protocol]
baseline = 2
[compute]
gpus = "auto"
[mock]
scenario = "scenario.toml"
[roles.worker]
prompt = "worker.md"
tools = ["shell", "files", "mail", "notebook"]
ROLE
[[agents]]
name = "ana"
role = "worker"
model = "claude-opus-5-5"
[[agents]]
name = "ben"
role = "worker"
model = "gpt-6.2-sol"
"#;

/// Every trap of the two wires, one a step.
const FAULTS: [&str; 18] = [
    "status = 429, retry_after = 0.2",
    "status = 529",
    "status = 503, times = 2",
    "status = 500",
    "cut_after = 3",
    "cut_after = 0",
    "error_after = 4",
    "malformed = true",
    "truncate_tool = true",
    "chunk_bytes = 1",
    "stall_ms = 300",
    "delay_ms = 300",
    "interleave = true",
    "strange = true",
    "stop = 'refusal'",
    "ids = 'again'",
    "ids = 'same'",
    "ids = 'again'",
];

/// A world with ana and ben in it, each on a wire of their own, and their chart.
pub(crate) fn world(role: &str, scenario: &str, budget: &str) -> (TestEnvironment, String) {
    let world = TestEnvironment::new();
    write(&world.at("org/task/train.sh"), "echo 'loss: 1'\n");
    write(&world.at("org/worker.md"), "You are {{agent.name}}.\n");
    write(
        &world.at("org/scenario.toml"),
        format!("version = 1\n{scenario}"),
    );
    let chart = CHART.replace("ROLE", role) + budget;
    write(&world.at("org/minds.toml"), chart);
    let chart = world.at("org/minds.toml").display().to_string();
    (world, chart)
}

/// A step with a fault that makes two calls; one that is cut short makes only the one that is cut.
pub(crate) fn shell(number: usize, fault: &str) -> String {
    let read = if fault.contains("truncate") {
        ""
    } else {
        "[[scripts.steps.call]]\ntool = 'read'\npath = 'train.sh'\n"
    };
    format!(
        "[[scripts.steps]]\nthink = 'hm'\nsay = 'one two three'\nfault = {{ {fault} }}\n\
         [[scripts.steps.call]]\ntool = 'shell'\n\
         command = 'echo line {number} >> lines; echo did {number}'\n{read}"
    )
}

/// The tokens and dollars of all replies of an agent.
fn settled(run: &Run, agent: &str) -> (u64, f64) {
    let replies = run.of("reply.received");
    let mine = replies.iter().filter(|it| it["agent"] == agent);
    mine.fold((0, 0.0), |(tokens, usd), reply| {
        let usage = reply["usage"].as_object().unwrap();
        let all: u64 = usage.values().map(|it| it.as_u64().unwrap()).sum();
        (tokens + all, usd + reply["usd"].as_f64().unwrap())
    })
}

/// After results no text follows: it would teach the model to end its turn.
fn results_stand_alone(run: &Run) {
    let mut seen = 0;
    for request in run.of("request.reserved") {
        let items = request["items"].as_array().unwrap().iter();
        let items: Vec<String> = items
            .map(|item| {
                let blob = item.as_str().unwrap();
                let path = run.path("blobs").join(&blob[..2]).join(&blob[2..]);
                fs::read_to_string(path).unwrap()
            })
            .collect();
        let result = |item: &&String| item.contains("tool_result") || item.contains("call_output");
        let results = items.iter().filter(result).count();
        // The word on a call that was cut short comes without results.
        assert!(results == 0 || results == items.len(), "{items:?}");
        seen += results;
    }
    assert!(seen > 2 * FAULTS.len(), "{seen}");
}

#[test]
fn every_trap_of_both_wires_is_survived_and_nothing_is_done_twice() {
    let steps: String = FAULTS
        .iter()
        .enumerate()
        .map(|(number, fault)| shell(number, fault))
        .collect();
    let last = format!(
        "[[scripts.steps]]\nexpect = 'did {}'\nsay = 'all done'\n",
        FAULTS.len() - 1
    );
    let script = |agent: &str| format!("[[scripts]]\nagent = '{agent}'\n{steps}{last}");
    let (world, chart) = world("", &(script("ana") + &script("ben")), "");
    let up = world.org(&["up", &chart, "--mock", "--headless", "--until", "done"]);
    let run = world.run();
    up.well();
    for agent in ["ana", "ben"] {
        let lines = fs::read_to_string(run.path(&format!("work/{agent}/lines"))).unwrap();
        let mut once: BTreeMap<&str, u32> = BTreeMap::new();
        for line in lines.lines() {
            *once.entry(line).or_insert(0) += 1;
        }
        assert_eq!(once.len(), FAULTS.len(), "{agent}: {lines}");
        assert!(once.values().all(|times| *times == 1), "{agent}: {lines}");
        // A call that was cut short is told to the model, and is not run.
        let told = run.events();
        let cut = told.iter().filter(|it| {
            it["agent"] == agent && it["truncated"].as_array().is_some_and(|it| !it.is_empty())
        });
        assert_eq!(cut.count(), 1, "{agent}");
        let failed: Vec<String> = run
            .of("request.failed")
            .iter()
            .filter(|it| it["agent"] == agent)
            .map(|it| it["what"].as_str().unwrap().to_owned())
            .collect();
        for what in ["rate_limited", "overloaded", "server", "cut", "malformed"] {
            assert!(
                failed.iter().any(|it| it == what),
                "{agent}: {what} of {failed:?}"
            );
        }
    }
    results_stand_alone(&run);
    // What the log says was spent is what the server reported.
    let status = world.org(&["status", "--json"]).json();
    for row in status["agents"].as_array().unwrap() {
        let name = row["name"].as_str().unwrap();
        let (tokens, usd) = settled(&run, name);
        let said: u64 = row["tokens"]
            .as_object()
            .unwrap()
            .values()
            .map(|it| it.as_u64().unwrap())
            .sum();
        assert_eq!(said, tokens, "{name}");
        assert!((row["usd"].as_f64().unwrap() - usd).abs() < 1e-9, "{name}");
    }
    assert_eq!(status["outages"].as_array().unwrap().len(), 0);
    let costs = world.org(&["costs", "--json", "--by", "model"]).json();
    let names: Vec<&str> = costs["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert!(
        names.contains(&"claude-opus-5-5") && names.contains(&"gpt-6.2-sol"),
        "{costs}"
    );
    assert!(
        costs["total"]["tokens"]["cache_read"].as_u64().unwrap() > 0,
        "{costs}"
    );
}

#[test]
fn ids_that_come_again_hide_nothing() {
    let letter = |subject: &str| {
        format!(
            "[[scripts.steps]]\nfault = {{ ids = 'again' }}\n[[scripts.steps.call]]\ntool = 'send'\n\
             to = 'ben'\nsubject = '{subject}'\nbody = 'news of {subject}'\n"
        )
    };
    let scenario = format!(
        "[[scripts]]\nagent = 'ana'\n{}{}[[scripts]]\nagent = 'ben'\nsteps = []\n",
        letter("one"),
        letter("two"),
    );
    let (world, chart) = world("", &scenario, "");
    world
        .org(&["up", &chart, "--mock", "--headless", "--until", "done"])
        .well();
    assert_eq!(world.run().answers("ana", "send"), ["sent m1", "sent m2"]);
    let inbox = world.org(&["inbox", "ben", "--json"]).json();
    let letters = inbox.as_array().unwrap().iter();
    let mut subjects: Vec<&str> = letters.map(|it| it["subject"].as_str().unwrap()).collect();
    subjects.sort_unstable();
    assert_eq!(subjects, ["one", "two"]);
}

#[test]
fn a_pause_goes_on_and_an_overflow_begins_anew() {
    let scenario = "[[scripts]]\nagent = 'ana'\n\
        [[scripts.steps]]\nsay = 'searching'\nfault = { stop = 'pause' }\n\
        [[scripts.steps]]\nsay = 'found'\n[[scripts.steps.call]]\ntool = 'note'\ntext = 'kept'\n\
        [[scripts.steps]]\nfault = { stop = 'context' }\nsay = 'again'\n[[scripts.steps.call]]\ntool = 'note'\ntext = 'two'\n\
        [[scripts.steps]]\nfault = { status = 400, code = 'context_length_exceeded' }\nsay = 'and again'\n\
        [[scripts]]\nagent = 'ben'\nsteps = []\n";
    let (world, chart) = world("", scenario, "");
    let up = world.org(&["up", &chart, "--mock", "--headless", "--until", "done"]);
    up.well();
    let run = world.run();
    let renewed = run.of("conversation.renewed");
    assert_eq!(renewed.len(), 2, "{renewed:?}");
    // What the agent wrote down is what the next conversation begins with.
    let last = run
        .of("request.reserved")
        .into_iter()
        .rfind(|it| it["agent"] == "ana")
        .unwrap();
    let items = last["items"].as_array().unwrap();
    let blob = items[0].as_str().unwrap();
    let text = fs::read_to_string(run.path("blobs").join(&blob[..2]).join(&blob[2..])).unwrap();
    assert!(text.contains("kept") && text.contains("Endure."), "{text}");
}

#[test]
fn a_long_conversation_is_compacted_by_its_vendor_and_goes_on() {
    let step = |number: usize| shell(number, "strange = true");
    let steps: String = (0..8).map(step).collect();
    let script = |agent: &str| format!("[[scripts]]\nagent = '{agent}'\n{steps}");
    let (world, chart) = world("compact_at = 1500", &(script("ana") + &script("ben")), "");
    let up = world.org(&["up", &chart, "--mock", "--headless", "--until", "done"]);
    up.well();
    let run = world.run();
    let renewed = run.of("conversation.renewed");
    for agent in ["ana", "ben"] {
        let mine: Vec<&Value> = renewed.iter().filter(|it| it["agent"] == agent).collect();
        assert!(!mine.is_empty(), "{agent} was never compacted");
        assert!(
            mine.iter()
                .all(|it| !it["items"].as_array().unwrap().is_empty()),
            "{mine:?}"
        );
        let lines = fs::read_to_string(run.path(&format!("work/{agent}/lines"))).unwrap();
        assert_eq!(lines.lines().count(), 8, "{agent}: {lines}");
    }
}

#[test]
fn a_cap_holds_is_told_before_and_a_person_raises_it() {
    // A reply costs 0.1004 dollars; from the 27th on the cap is near, and the 30th does not fit.
    let usage = "[scripts.steps.usage]\ninput = 100\noutput = 5_000\n";
    let step = |number: usize| shell(number, "chunk_bytes = 400") + usage;
    let steps: String = (0..32).map(step).collect();
    let script =
        format!("[[scripts]]\nagent = 'ana'\n{steps}[[scripts]]\nagent = 'ben'\nsteps = []\n");
    let (world, chart) = world("", &script, "[budget]\nusd = 3.0\n");
    world
        .org(&["up", &chart, "--mock", "--headless", "--detach"])
        .well();
    let run = world.run();
    let held = run.wait_for("ana is held", |events| {
        let held = |it: &&Value| it["kind"] == "agent.held" && it["agent"] == "ana";
        events.iter().find(held).cloned()
    });
    let why = held["reason"].as_str().unwrap();
    assert!(
        why.contains("`org budget usd=") && why.contains("3.00"),
        "{why}"
    );
    let near = |it: &Value| it["near"].as_str().is_some();
    assert!(
        run.of("request.reserved").iter().any(near),
        "nobody was told"
    );
    let status = world.org(&["status", "--json"]).json();
    let spent = status["budget"]["usd"]["spent"].as_f64().unwrap();
    assert!(spent <= 3.0 && spent > 2.7, "{spent}");
    let needs = status["needs_you"].as_array().unwrap();
    assert!(needs.iter().any(|it| it["agent"] == "ana"), "{status}");
    let typo = world.org(&["budget", "usdd=3"]).refused(2);
    typo.naming(&["did you mean usd"]);
    world
        .org(&["budget", "usd=many"])
        .refused(2)
        .naming(&["usd=600"]);
    world
        .org(&["budget", "usd=+9"])
        .well()
        .naming(&["12.00", "ana"]);
    world.org(&["budget"]).well().naming(&["usd", "$12.00"]);
    run.wait_for("ana goes on to the end", |events| {
        let done = |it: &&Value| it["kind"] == "tool.result" && it["tool"] == "shell";
        (events.iter().filter(done).count() == 32).then_some(())
    });
    world.org(&["down"]).well();
    world.nothing_lives();
}

#[test]
fn a_stand_in_serves_while_the_model_is_out_and_a_refused_key_holds() {
    let scenario = "[[scripts]]\nagent = 'ana'\n\
        [[scripts.steps]]\n[[scripts.steps.call]]\ntool = 'note'\ntext = 'remember the milk'\n\
        [[scripts.steps]]\nfault = { status = 529, times = 3 }\nsay = 'back'\n\
        [[scripts]]\nagent = 'ben'\n[[scripts.steps]]\nfault = { status = 401 }\nsay = 'no'\n";
    let (world, chart) = world("fallback = 'claude-sonnet-5-5'", scenario, "");
    world
        .org(&["up", &chart, "--mock", "--headless", "--detach"])
        .well();
    let run = world.run();
    run.wait_for("the stand-in answers", |events| {
        let asked = events
            .iter()
            .any(|it| it["kind"] == "request.reserved" && it["model"] == "claude-sonnet-5-5");
        let ended = events
            .iter()
            .any(|it| it["kind"] == "turn.ended" && it["agent"] == "ana");
        (asked && ended).then_some(())
    });
    // It begins anew, from notebook and ledger: what one model thought is nothing to another.
    let asked = run.of("request.reserved").into_iter();
    let mut asked = asked.filter(|it| it["model"] == "claude-sonnet-5-5");
    let first = asked.next().unwrap();
    let blob = first["items"][0].as_str().unwrap();
    let text = fs::read_to_string(run.path("blobs").join(&blob[..2]).join(&blob[2..])).unwrap();
    assert!(
        first["items"].as_array().unwrap().len() == 1
            && text.contains("Your notebook")
            && text.contains("remember the milk"),
        "{text}"
    );
    run.wait_for("ben is held", |events| {
        let held = |it: &&Value| it["kind"] == "agent.held" && it["agent"] == "ben";
        events.iter().find(held).cloned()
    });
    let status = world.org(&["status", "--json"]).json();
    let agents = status["agents"].as_array().unwrap();
    let of = |name: &str| agents.iter().find(|it| it["name"] == name).unwrap();
    assert_eq!(of("ana")["model"], "claude-sonnet-5-5");
    assert_eq!(of("ben")["state"], "held");
    assert!(
        of("ben")["reason"]
            .as_str()
            .unwrap()
            .contains("key refused"),
        "{}",
        of("ben")
    );
    world.org(&["down"]).well();
}

#[test]
fn a_spent_quota_is_probed_now_and_then_and_never_retried() {
    let quota = |code: &str, status: u16| {
        format!("[[scripts.steps]]\nfault = {{ status = {status}, code = '{code}' }}\nsay = 'x'\n")
    };
    let scenario = format!(
        "[[scripts]]\nagent = 'ana'\n{}[[scripts]]\nagent = 'ben'\n{}",
        quota("enforced_spend_limit_reached", 429),
        quota("insufficient_quota", 429),
    );
    let (world, chart) = world("", &scenario, "");
    world
        .org(&["up", &chart, "--mock", "--headless", "--detach"])
        .well();
    let run = world.run();
    run.wait_for("both have been told", |events| {
        let told = |it: &&Value| it["kind"] == "request.failed" && it["what"] == "quota";
        (events.iter().filter(told).count() == 2).then_some(())
    });
    let status = world.org(&["status", "--json"]).json();
    for agent in status["agents"].as_array().unwrap() {
        let reason = agent["reason"].as_str().unwrap();
        assert!(
            reason.starts_with("waiting ") && reason.ends_with(" min: quota or credit used up"),
            "{agent}"
        );
        assert_eq!(agent["state"], "thinking", "{agent}");
    }
    world.org(&["down"]).well();
    assert_eq!(run.of("request.reserved").len(), 2, "it was asked again");
}

#[test]
fn whoever_waits_for_others_requests_to_settle_says_so() {
    // Who comes first sets all of it aside, for as long a reply as that pays for; who comes second has
    // to wait until it costs less than that.
    let slow = "[[scripts.steps]]\nfault = { delay_ms = 3_000 }\nsay = 'x'\n";
    let scenario = format!("[[scripts]]\nagent = 'ana'\n{slow}[[scripts]]\nagent = 'ben'\n{slow}");
    let (world, chart) = world("", &scenario, "[budget]\nusd = 0.3\n");
    world
        .org(&["up", &chart, "--mock", "--headless", "--detach"])
        .well();
    let run = world.run();
    let waits = run.wait_for("one waits for the other", |events| {
        events
            .iter()
            .find(|it| it["kind"] == "request.waits")
            .cloned()
    });
    let status = world.org(&["status", "--json"]).json();
    let agents = status["agents"].as_array().unwrap();
    let row = agents
        .iter()
        .find(|it| it["name"] == waits["agent"])
        .unwrap();
    let reason = row["reason"].as_str().unwrap();
    assert!(reason.starts_with("waiting: budget, "), "{row}");
    // And then it goes on by itself.
    run.wait_for("both have been answered", |events| {
        let replied = |it: &&Value| it["kind"] == "reply.received";
        (events.iter().filter(replied).count() == 2).then_some(())
    });
    world.org(&["down"]).well();
}

#[test]
fn whoever_waits_says_for_how_long_and_for_what_and_calls_of_a_reply_run_side_by_side() {
    let both = "[[scripts]]\nagent = 'ana'\n[[scripts.steps]]\nsay = 'x'\n\
        [[scripts.steps.call]]\ntool = 'shell'\ncommand = 'until test -e other; do sleep 0.05; done; touch one'\n\
        [[scripts.steps.call]]\ntool = 'shell'\ncommand = 'touch other'\n\
        [[scripts]]\nagent = 'ben'\n[[scripts.steps]]\nfault = { status = 429, retry_after = 40 }\nsay = 'late'\n";
    let (world, chart) = world("", both, "");
    world
        .org(&["up", &chart, "--mock", "--headless", "--detach"])
        .well();
    let run = world.run();
    run.wait_for("both commands have ended", |events| {
        let ended = events
            .iter()
            .filter(|it| it["kind"] == "tool.result" && it["ok"] == true);
        (ended.count() == 2).then_some(())
    });
    run.wait_for("ben is throttled", |events| {
        events
            .iter()
            .any(|it| it["kind"] == "request.failed")
            .then_some(())
    });
    let status = world.org(&["status", "--json"]).json();
    let agents = status["agents"].as_array().unwrap();
    let ben = agents.iter().find(|it| it["name"] == "ben").unwrap();
    assert_eq!(ben["state"], "thinking", "{ben}");
    let reason = ben["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("waiting ") && reason.ends_with(" s: rate limit"),
        "{reason}"
    );
    let outages = status["outages"].as_array().unwrap();
    assert_eq!(
        (outages.len(), &outages[0]["provider"]),
        (1, &Value::from("openai"))
    );
    world
        .org(&["status"])
        .well()
        .naming(&["openai: rate limit", "stops ben"]);
    world.org(&["down"]).well();
}

#[test]
fn a_run_is_played_again_from_any_moment() {
    let script = "[[scripts]]\nagent = 'ana'\n[[scripts.steps]]\nsay = 'first words'\n\
        [[scripts]]\nagent = 'ben'\nsteps = []\n";
    let (world, chart) = world("", script, "");
    world
        .org(&["up", &chart, "--mock", "--headless", "--until", "done"])
        .well();
    let run = world.run();
    let all = world.org(&[
        "replay",
        &run.id(),
        "--speed",
        "max",
        "--json",
        "--headless",
    ]);
    let log = fs::read_to_string(run.path("events.jsonl")).unwrap();
    assert_eq!(all.well().out, log, "what is played is what happened");
    let some = world.org(&[
        "replay", "--speed", "1000", "--from", "3", "--to", "5", "--json",
    ]);
    assert_eq!(some.well().out.lines().count(), 3);
    world
        .org(&["replay", "--speed", "max", "--who", "ana"])
        .well()
        .naming(&["first words"]);
    let bad = world.org(&["replay", "--from", "soon"]).refused(2);
    bad.naming(&["1h30m"]);
}

#[test]
fn a_run_is_shown_again_in_the_same_office_and_leaves_nothing() {
    let script = "[[scripts]]\nagent = 'ana'\n[[scripts.steps]]\nsay = 'first words'\n\
        [[scripts]]\nagent = 'ben'\nsteps = []\n";
    let (world, chart) = world("", script, "");
    world
        .org(&["up", &chart, "--mock", "--headless", "--until", "done"])
        .well();
    let run = world.run();
    let log = fs::read_to_string(run.path("events.jsonl")).unwrap();
    {
        let words = format!("{ORG} replay {} --speed max; echo left with $?", run.id());
        let terminal = Terminal::open(&world, 160, 45, &words);
        terminal.shows("first words");
        terminal.shows("this is a replay");
        let types = |line: &str| {
            terminal.tmux(&["send-keys", "-l", line]);
            terminal.tmux(&["send-keys", "Enter"]);
        };
        // What is typed reaches nobody but the player.
        types("hello ana");
        types("pause");
        types("1");
        // Both panes are seated anew then: what is typed before that is typed to the ones that went.
        terminal.comes_to("the beginning", |screen| {
            let begun = screen.matches("this is a replay").count() == 2;
            begun && !screen.contains("hello ana") && !screen.contains("first words")
        });
        types("end");
        terminal.shows("first words");
        types("quit");
        terminal.shows("left with 0");
    }
    world.nothing_lives();
    assert_eq!(fs::read_to_string(run.path("events.jsonl")).unwrap(), log);
    let left: Vec<_> = fs::read_dir(world.at("tmp")).unwrap().flatten().collect();
    let left = left.iter().map(|it| it.file_name());
    let left: Vec<_> = left
        .filter(|it| it.to_string_lossy().starts_with("org-replay"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
