//! What a person types while an organisation works, and what scripts read.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::ground::{Run, TestEnvironment, project, until, write};

/// Two who write down what they hear, and one of whom can be interrupted.
fn listeners(world: &TestEnvironment) -> String {
    let hear = "[[scripts.steps]]\nexpect = 'MARK-(?<n>\\w+)'\n[[scripts.steps.call]]\ntool = \"note\"\n\
                text = \"heard {n}\"\n[[scripts.steps]]\nsay = \"noted\"\n";
    let sleep = "[[scripts.steps]]\nexpect = 'SLEEP'\n[[scripts.steps.call]]\ntool = \"shell\"\n\
                 command = \"touch asleep; sleep 600\"\n";
    let many = hear.repeat(7);
    let text = format!(
        "version = 1\n[[scripts]]\nagent = \"claude-1\"\n[[scripts.steps]]\nsay = \"ready\"\n\
         {many}{sleep}{hear}[[scripts]]\n[[scripts.steps]]\nsay = \"ready\"\n{many}"
    );
    let path = world.at("listeners.toml");
    write(&path, text);
    path.display().to_string()
}

fn up(world: &TestEnvironment) -> Run {
    let scenario = listeners(world);
    let words = [
        "up",
        "orgs/smoke.toml",
        "--headless",
        "--detach",
        "--scenario",
        &scenario,
    ];
    world.org(&words).well();
    world.run()
}

/// Waits until an agent has noted what it heard.
#[track_caller]
fn heard(run: &Run, agent: &str, word: &str) {
    let text = format!("heard {word}");
    run.wait_for(&format!("{agent}: {text}"), |events| {
        let notes = events.iter().filter(|event| {
            event["kind"] == "note.kept" && event["agent"] == agent && event["text"] == text
        });
        (notes.count() == 1).then_some(())
    });
}

fn agent(world: &TestEnvironment, name: &str) -> Value {
    let status = world.org(&["status", "--json"]).json();
    let agents = status["agents"].as_array().unwrap();
    agents
        .iter()
        .find(|agent| agent["name"] == name)
        .unwrap()
        .clone()
}

fn inbox(world: &TestEnvironment, who: &str) -> Vec<Value> {
    let mails = world.org(&["inbox", who, "--json"]).json();
    mails.as_array().unwrap().clone()
}

#[test]
fn words_of_a_person_reach_whom_they_are_meant_for_once() {
    let world = TestEnvironment::new();
    let run = up(&world);
    world
        .org(&["send", "claude-1", "MARK-name"])
        .well()
        .naming(&["sent m", "claude-1"]);
    heard(&run, "claude-1", "name");
    // One at a time: of two letters in one turn the script would hear but the first.
    for (whom, word) in [("researcher", "role"), ("all", "all")] {
        world.org(&["send", whom, &format!("MARK-{word}")]).well();
        heard(&run, "claude-1", word);
        heard(&run, "codex-1", word);
    }
    world
        .org_told(&["send", "codex-1", "-"], "MARK-stdin\nsecond line\n")
        .well();
    heard(&run, "codex-1", "stdin");

    // A file that is dropped into a mailbox is mail, once.
    let mailbox = run.path("mail/claude-1");
    write(&mailbox.join("tmp/from-me"), "MARK-dropped\n");
    fs::rename(mailbox.join("tmp/from-me"), mailbox.join("new/from-me")).unwrap();
    heard(&run, "claude-1", "dropped");
    let mails = inbox(&world, "claude-1");
    let dropped: Vec<_> = mails
        .iter()
        .filter(|it| it["body"].to_string().contains("dropped"))
        .collect();
    assert_eq!(dropped.len(), 1, "{mails:?}");
    assert_eq!(
        (&dropped[0]["from"], &dropped[0]["state"]),
        (&"human".into(), &"read".into())
    );
    until("the dropped file's end", || {
        (!mailbox.join("new/from-me").exists()).then_some(())
    });

    let bodies = |who: &str| {
        let mails = inbox(&world, who);
        mails
            .iter()
            .map(|it| it["body"].as_str().unwrap().trim().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        bodies("claude-1"),
        ["MARK-name", "MARK-role", "MARK-all", "MARK-dropped"]
    );
    assert_eq!(
        bodies("codex-1"),
        ["MARK-role", "MARK-all", "MARK-stdin\nsecond line"]
    );

    // A word with `!` in front ends what runs.
    for word in ["fill1", "fill2", "fill3"] {
        world
            .org(&["send", "claude-1", &format!("MARK-{word}")])
            .well();
        heard(&run, "claude-1", word);
    }
    world.org(&["send", "claude-1", "SLEEP"]).well();
    until("the shell", || {
        run.path("work/claude-1/asleep").exists().then_some(())
    });
    assert_eq!(agent(&world, "claude-1")["state"], "tool");
    world.org(&["send", "claude-1", "!MARK-wake"]).well();
    heard(&run, "claude-1", "wake");
    let ended = run.answers("claude-1", "shell").pop().unwrap();
    assert!(!ended.starts_with("exit status 0"), "{ended}");

    for (words, code, names) in [
        (
            &["send", "claud-1", "hello"][..],
            1,
            &["claud-1", "claude-1"][..],
        ),
        (&["send", "all", ""], 2, &["nothing to send"]),
        (&["send", "all"], 2, &["TEXT"]),
        (&["inbox", "nobody"], 1, &["nobody", "claude-1"]),
        (&["logs", "nobody"], 1, &["nobody", "claude-1"]),
        (&["status", "--run", "nothing"], 1, &["nothing", "org ls"]),
        (&["restart", "nobody"], 1, &["nobody", "claude-1"]),
    ] {
        world.org(words).refused(code).naming(names);
    }
    world.org(&["down"]).well();
    world.nothing_lives();
}

#[test]
fn an_agent_is_paused_resumed_and_restarted() {
    let world = TestEnvironment::new();
    let run = up(&world);
    let first_turns = |events: &[Value]| {
        let ended = events.iter().filter(|event| event["kind"] == "turn.ended");
        (ended.count() == 2).then_some(())
    };
    run.wait_for("both first turns", first_turns);
    world.org(&["pause", "claude-1"]).well();
    assert_eq!(agent(&world, "claude-1")["state"], "paused");
    world.org(&["send", "all", "MARK-one"]).well();
    heard(&run, "codex-1", "one");
    assert_eq!(agent(&world, "claude-1")["unread"], 1);
    assert!(run.answers("claude-1", "note").is_empty());
    world.org(&["resume", "claude-1"]).well();
    heard(&run, "claude-1", "one");

    world.org(&["pause"]).well();
    let status = world.org(&["status", "--json"]).json();
    assert_eq!(status["state"], "paused");
    world.org(&["pause"]).well().naming(&["already paused"]);
    world
        .org(&["resume", "codex-1"])
        .refused(1)
        .naming(&["org resume"]);
    world.org(&["resume"]).well();

    let before = agent(&world, "codex-1")["pid"].as_u64().unwrap();
    world.org(&["restart", "codex-1"]).well();
    let after = agent(&world, "codex-1")["pid"].as_u64().unwrap();
    assert_ne!(before, after);
    assert!(!std::path::Path::new(&format!("/proc/{before}")).exists());
    world.org(&["send", "codex-1", "MARK-two"]).well();
    heard(&run, "codex-1", "two");

    // To resume what lives changes nothing.
    let supervisors = run.of("supervisor.started").len();
    let said = world.org(&["up", "--resume", &run.id(), "--detach"]).well();
    said.naming(&["is up already"]);
    assert_eq!(run.of("supervisor.started").len(), supervisors);
    assert_eq!(run.of("run.resumed").len(), 0);
    assert_eq!(agent(&world, "codex-1")["pid"], after);

    // And to resume what was brought down goes on where it was.
    world.org(&["down"]).well();
    world.nothing_lives();
    world
        .org(&["send", "codex-1", "MARK-three", "--run", &run.id()])
        .well()
        .naming(&["--resume"]);
    world.org(&["up", "--resume", &run.id(), "--detach"]).well();
    heard(&run, "codex-1", "three");
    assert_eq!(run.of("run.resumed").len(), 1);
    let turns = run.of("turn.started");
    let first = turns.iter().filter(|turn| turn["why"] == "first").count();
    assert_eq!(first, 2, "a first turn was taken twice");
    world.org(&["down"]).well();
    world.nothing_lives();
}

#[test]
fn what_scripts_read_has_its_form() {
    let world = TestEnvironment::new();
    world.org(&["ls", "--json"]).json();
    world
        .org(&["status"])
        .refused(1)
        .naming(&["no run", "org up"]);
    let up = [
        "up",
        "orgs/smoke.toml",
        "--mock",
        "--headless",
        "--until",
        "done",
    ];
    world.org(&up).well();
    let run = world.run();
    let whole = fs::read_to_string(run.path("events.jsonl")).unwrap();
    let logs = world.org(&["logs", "claude-1", "--json"]).well().out;
    assert!(logs.lines().count() > 10);
    for line in logs.lines() {
        assert!(whole.contains(line), "not as in the log: {line}");
    }
    assert!(logs.lines().count() < whole.lines().count());
    world.org(&["logs", "lab"]).well().naming(&["h1"]);
    // From anywhere, by any prefix that is unique.
    let id = run.id();
    let mut elsewhere = world.command(crate::ground::ORG);
    elsewhere.current_dir("/").env_remove("ORG_RUNS");
    elsewhere.args(["ledger", "--json", "--run", &id[..id.len() - 2]]);
    let ledger = crate::ground::told(elsewhere, "").json();
    let claim = &ledger[0];
    for name in [
        "id",
        "agent",
        "title",
        "claim",
        "axis",
        "commit",
        "status",
        "reason",
        "test",
        "effect",
        "ci",
        "p",
        "evaluated_by",
        "baseline",
        "candidate",
        "ratios",
        "runs",
    ] {
        assert!(
            claim.get(name).is_some(),
            "the ledger has no {name}: {claim}"
        );
    }
    let report = world.org(&["report", "--json"]).json();
    assert!(report.is_object());
    let schema = world.org(&["schema"]).json();
    assert!(schema["properties"]["task"].is_object(), "{schema}");
    let doctor = world.org(&["doctor", "--json"]);
    let findings: Vec<Value> = serde_json::from_str(&doctor.out).unwrap();
    for what in [
        "tmux",
        "git",
        "python3",
        "gpu",
        "key",
        "disk",
        "inotify",
        "open files",
        "confinement",
    ] {
        let finding = findings.iter().find(|it| it["what"] == what);
        let finding = finding.unwrap_or_else(|| panic!("doctor does not look at {what}"));
        let well = finding["mark"] == "ok";
        assert!(
            well || !finding["hint"].as_str().unwrap().is_empty(),
            "{finding}"
        );
    }
    let missing = findings.iter().any(|it| it["mark"] == "missing");
    assert_eq!(doctor.code, i32::from(missing));
    world.nothing_lives();
}

#[test]
fn what_init_writes_is_accepted() {
    let world = TestEnvironment::new();
    let lab = world.at("my-lab");
    let dir = lab.to_str().unwrap();
    let said = world.org(&["init", dir]).well();
    assert!(said.err.contains("org check"), "{said}");
    let chart = lab.join("orgs/my-org.toml");
    let report = world
        .org(&["check", chart.to_str().unwrap(), "--json"])
        .json();
    assert_eq!(report["ok"], true, "{report:#}");
    write(&chart, "mine");
    world
        .org(&["init", dir])
        .refused(1)
        .naming(&["there already", "nothing was written"]);
    assert_eq!(fs::read_to_string(&chart).unwrap(), "mine");
    write(&world.at("a-file"), "");
    let path = world.at("a-file/lab").display().to_string();
    world
        .org(&["init", &path])
        .refused(1)
        .naming(&["cannot be written"]);
}

#[test]
fn init_proposes_a_chart_from_one_run_of_the_task() {
    let world = TestEnvironment::new();
    let task = project().join("examples/tinylm/repo").display().to_string();
    let dir = world.at("lab").display().to_string();
    let words = ["init", &dir, "--repo", &task, "--run"];
    let with = |command: &'static str| {
        let mut words = words.to_vec();
        words.push(command);
        words
    };
    world
        .org(&with("python3 nothing.py"))
        .refused(1)
        .naming(&["python3 nothing.py", "No such file"]);
    assert!(!world.at("lab").exists(), "nothing is written");
    world
        .org(&with("python3 train.py"))
        .well()
        .naming(&["val_bpb"]);
    let chart = world.at("lab/orgs/my-org.toml");
    let report = world
        .org(&["check", chart.to_str().unwrap(), "--json"])
        .json();
    assert_eq!(report["ok"], true, "{report:#}");
    let text = fs::read_to_string(chart).unwrap();
    for line in [
        "metric = { name = \"val_bpb\", goal = \"min\"",
        "seed   = \"ORG_SEED\"",
        "flops  = '",
        "progress = 'step",
        "match = \"flops\"",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let left = fs::read_dir(world.at("tmp")).unwrap().count();
    assert_eq!(left, 0, "the copy is gone");
}

/// A request by hand: the status and the body.
fn post(port: &str, path: &str, header: &str, body: &Value) -> (String, String) {
    let body = body.to_string();
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
         anthropic-version: 2023-06-01\r\n{header}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    let (head, body) = said.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

#[test]
fn the_mock_stands_alone_and_speaks_both_wires() {
    let world = TestEnvironment::new();
    let scenario = project().join("examples/smoke/scenario.toml");
    let words = [
        "mock",
        "--scenario",
        scenario.to_str().unwrap(),
        "--port",
        "0",
    ];
    let mut mock = world.start(&words);
    let port = until("the mock's port", || {
        let said = fs::read_to_string(world.at("start.out")).ok()?;
        Some(said.trim().strip_prefix("http://127.0.0.1:")?.to_owned())
    });
    let ask = json!({"model": "claude-opus-5-5", "max_tokens": 100, "stream": true,
        "messages": [{"role": "user", "content": "go"}]});
    let (status, body) = post(&port, "/v1/messages", "x-api-key: mock-claude-1", &ask);
    assert!(status.contains("200"), "{status} {body}");
    assert!(
        body.contains("message_stop") && body.contains("config.py"),
        "{body}"
    );
    let mut ask = json!({"model": "gpt-6.2-sol", "input": [{"role": "user", "content": "go"}]});
    let (status, body) = post(
        &port,
        "/v1/responses",
        "authorization: Bearer mock-codex-1",
        &ask,
    );
    assert!(
        status.contains("200") && body.contains("what a run costs"),
        "{status} {body}"
    );
    ask["stream"] = json!(true);
    ask["input"][0]["content"] = json!("something new");
    let (_, body) = post(
        &port,
        "/v1/responses",
        "authorization: Bearer mock-codex-1",
        &ask,
    );
    assert!(body.contains("response.completed"), "{body}");
    let (status, _) = post(&port, "/v1/messages", "x-none: 1", &ask);
    assert!(!status.contains("200"), "nobody knows who asks: {status}");
    mock.kill().unwrap();
    mock.wait().unwrap();
    write(
        &world.at("bad.toml"),
        "version = 1\n[[scripts]]\nagnet = \"x\"\n",
    );
    let bad = world.at("bad.toml").display().to_string();
    world
        .org(&["mock", "--scenario", &bad])
        .refused(2)
        .naming(&["agnet", "line 3"]);
    world.nothing_lives();
}
