//! Charts that are wrong, each in one way: what is said, where, and that nothing comes of them.

use std::fs;

use crate::ground::{TestEnvironment, project, write};

/// A chart with one change is refused by `check` and by `up`: with its line, and words that name the thing
/// and the next step.
#[track_caller]
fn refused(world: &TestEnvironment, changes: &[(&str, &str)], path: &str, words: &[&str]) {
    let chart = world.chart("smoke.toml", changes);
    let judged = world.org(&["check", &chart, "--json"]);
    assert_eq!(judged.code, 2, "{judged}");
    let report: serde_json::Value = serde_json::from_str(&judged.out).unwrap();
    assert_eq!(report["ok"], false);
    let problems = report["problems"].as_array().unwrap();
    let here = |it: &&serde_json::Value| it["path"] == path;
    let problem = problems.iter().find(here);
    let problem = problem.unwrap_or_else(|| panic!("nothing about {path}: {report:#}"));
    let text = fs::read_to_string(&chart).unwrap();
    let line = problem["line"].as_u64().unwrap() as usize;
    let column = problem["column"].as_u64().unwrap() as usize;
    let there = text.lines().nth(line - 1).unwrap_or_default();
    assert!(
        column >= 1 && column <= there.chars().count() + 1,
        "{problem}"
    );
    let said = format!("{} {}", problem["message"], problem["hint"]).replace('\\', "");
    for word in words {
        assert!(said.contains(word), "{path} does not say {word:?}: {said}");
    }
    assert!(!problem["hint"].as_str().unwrap().is_empty());
    let place = format!("{chart}:{line}:");
    let up = world.org(&["up", &chart, "--mock", "--headless", "--detach"]);
    up.refused(2).naming(&[&place, path, "org check"]);
    world.nothing_was_made();
}

const ROLE: &str = "prompt = \"{project}/prompts/researcher.md\"";
const TOOLS: &str = r#"tools  = ["shell", "files", "mail", "ledger", "experiment", "notebook"]"#;
const CODEX: &str = r#"name  = "codex-1""#;

/// Changes to a good chart, the path of the problem, and what its words must name.
type Wrong<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a [&'a str]);

#[test]
fn a_chart_that_is_wrong_is_refused_by_name_and_place() {
    let world = TestEnvironment::new();
    let prompt = ROLE.replace("{project}", &project().display().to_string());
    let table: &[Wrong<'_>] = &[
        // An unknown key, with what was meant.
        (
            &[("mission =", "misson =")],
            "misson",
            &["unknown", "mission"],
        ),
        (
            &[("[budget]\nusd ", "[budget]\nusdd ")],
            "budget.usdd",
            &["unknown", "usd"],
        ),
        // A wrong type.
        (
            &[("alpha    = 0.01", "alpha = \"small\"")],
            "protocol.alpha",
            &["number", "small"],
        ),
        (
            &[("gpu   = \"auto\"\n\n", "gpu = 1.5\n\n")],
            "agents[0].gpu",
            &["auto"],
        ),
        // Names.
        (
            &[(CODEX, "name = \"claude-1\"")],
            "agents[1].name",
            &["two agents", "claude-1"],
        ),
        (&[(CODEX, "name = \"\"")], "agents[1].name", &["empty"]),
        (
            &[(CODEX, "name = \"co/dex\"")],
            "agents[1].name",
            &["co/dex", "a-z"],
        ),
        (
            &[(CODEX, "name = \"../../home\"")],
            "agents[1].name",
            &["../../home"],
        ),
        (&[(CODEX, "name = \"human\"")], "agents[1].name", &["human"]),
        // What is not there.
        (
            &[(
                &format!("{CODEX}\nrole  = \"researcher\""),
                &format!("{CODEX}\nrole = \"reseacher\""),
            )],
            "agents[1].role",
            &["no role", "reseacher", "researcher"],
        ),
        (
            &[("gpt-6.2-sol", "gpt-6.2-soll")],
            "agents[1].model",
            &["no model", "gpt-6.2-sol"],
        ),
        (
            &[(&prompt, "prompt = \"nowhere.md\"")],
            "roles.researcher.prompt",
            &["nowhere.md"],
        ),
        (
            &[("\"shell\", \"files\"", "\"shel\", \"files\"")],
            "roles.researcher.tools[0]",
            &["shel", "shell"],
        ),
        (
            &[("examples/smoke/scenario.toml", "nowhere.toml")],
            "mock.scenario",
            &["nowhere.toml"],
        ),
        // Who reports to whom.
        (
            &[
                (
                    "name  = \"claude-1\"",
                    "name = \"claude-1\"\nreports_to = \"codex-1\"",
                ),
                (CODEX, "name = \"codex-1\"\nreports_to = \"claude-1\""),
            ],
            "agents[0].reports_to",
            &["claude-1", "codex-1"],
        ),
        (
            &[(CODEX, "name = \"codex-1\"\nreports_to = \"boss\"")],
            "agents[1].reports_to",
            &["boss"],
        ),
        // Patterns.
        (
            &[("'val_loss: ([0-9.]+)'", "'val_loss: [0-9.]+'")],
            "task.metric.pattern",
            &["group", "("],
        ),
        (
            &[("'val_loss: ([0-9.]+)'", "'val_loss: ([0-9.+'")],
            "task.metric.pattern",
            &["no regex"],
        ),
        (
            &[(r"'flops: (\d+)'", r"'flops: \d+'")],
            "task.measure.flops",
            &["group"],
        ),
        // What must be there.
        (
            &[("run      = \"python3 train.py\"\n", "")],
            "task.run",
            &["run"],
        ),
        (&[("version = 1", "version = 2")], "version", &["2"]),
        // Fewer GPUs than homes, and one that two want, which needs no look at the machine.
        (
            &[("gpu   = \"auto\"", "gpu = 0")],
            "agents[1].gpu",
            &["claude-1", "0"],
        ),
        (
            &[("gpus = \"auto\"  ", "gpus = [5]")],
            "compute.gpus",
            &["2 agents", "1"],
        ),
    ];
    for (changes, path, words) in table {
        refused(&world, changes, path, words);
    }
    // The text in question is there for all of them.
    assert!(
        fs::read_to_string(project().join("orgs/smoke.toml"))
            .unwrap()
            .contains(TOOLS)
    );
}

#[test]
fn a_prompt_with_an_unknown_variable_is_refused() {
    let world = TestEnvironment::new();
    let prompt = world.at("p.md");
    write(
        &prompt,
        "You are {{agent.name}}.\nYour boss is {{agent.bos}}.\n",
    );
    let path = prompt.display().to_string();
    let old = format!("{}/prompts/researcher.md", project().display());
    refused(
        &world,
        &[(&old, &path)],
        "roles.researcher.prompt",
        &["agent.bos", "p.md:2:"],
    );
}

#[test]
fn what_is_no_text_or_too_long_is_refused() {
    let world = TestEnvironment::new();
    let latin = world.at("latin.toml");
    write(&latin, b"version = 1\nname = \"caf\xe9\"\n");
    let big = world.at("big.toml");
    write(&big, "# padding\n".repeat(5 << 20));
    for (chart, words) in [(&latin, ["UTF-8", ":2:"]), (&big, ["bytes", "big.toml"])] {
        let chart = chart.display().to_string();
        for words_of in [
            &["up", &chart, "--mock", "--headless"][..],
            &["check", &chart],
        ] {
            let said = world.org(words_of);
            assert_eq!(said.code, 2, "{said}");
            assert!(
                said.out.len() + said.err.len() < 4000,
                "the file was printed"
            );
            said.naming(&words);
        }
        let judged = world.org(&["check", &chart, "--json"]);
        let report: serde_json::Value = serde_json::from_str(&judged.out).unwrap();
        assert_eq!(report["problems"].as_array().unwrap().len(), 1, "{report}");
    }
    for chart in ["nowhere.toml", "orgs"] {
        world
            .org(&["up", chart, "--mock", "--headless"])
            .refused(2)
            .naming(&[chart, "org init"]);
    }
    world.nothing_was_made();
}

#[test]
fn all_problems_are_told_at_once() {
    let world = TestEnvironment::new();
    let chart = world.chart(
        "smoke.toml",
        &[
            ("alpha    = 0.01", "alpha = 7"),
            ("baseline = 6", "baseline = \"many\""),
            ("mission =", "misson ="),
            ("gpt-6.2-sol", "gpt"),
        ],
    );
    let judged = world.org(&["check", &chart, "--json"]);
    let report: serde_json::Value = serde_json::from_str(&judged.out).unwrap();
    let problems = report["problems"].as_array().unwrap();
    let paths: Vec<&str> = problems
        .iter()
        .map(|it| it["path"].as_str().unwrap())
        .collect();
    for path in [
        "misson",
        "protocol.alpha",
        "protocol.baseline",
        "agents[1].model",
    ] {
        assert!(paths.contains(&path), "{path} is not in {paths:?}");
    }
    let up = world
        .org(&["up", &chart, "--mock", "--headless"])
        .refused(2);
    for path in paths {
        assert!(up.err.contains(path), "{path}: {up}");
    }
}

#[test]
fn every_chart_of_the_project_is_in_order() {
    let world = TestEnvironment::new();
    let mut charts = 0;
    for entry in fs::read_dir(project().join("orgs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|it| it == "toml") {
            let report = world
                .org(&["check", path.to_str().unwrap(), "--json"])
                .json();
            assert_eq!(report["ok"], true, "{}: {report:#}", path.display());
            charts += 1;
        }
    }
    assert!(charts >= 4);
}

#[test]
fn bad_habits_are_refused_where_they_stand() {
    let world = TestEnvironment::new();
    let process = |lines: &str| format!("[[processes]]\nname = \"p\"\n{lines}\n\n[office]");
    let long = world.at("long.md");
    write(&long, "word ".repeat(20_000));
    let long = long.display();
    let small = format!(
        "[[processes]]\nname = \"p\"\nevery = \"1h\"\nto = \"codex-1\"\nprompt = \"{long}\"\n\n\
         [models.small]\nprovider = \"openai\"\ncontext = 16000\nprice = {{ input = 1.0, output = 1.0 }}\n\n[office]"
    );
    let table: &[(&str, &str, &[&str])] = &[
        (
            "every = \"1h\"",
            "processes[0]",
            &["refers to nobody", "to = \"chief\""],
        ),
        (
            "on = \"hypothesis.confirmd\"\nto = \"human\"",
            "processes[0].on",
            &[
                "hypothesis.confirmd",
                "did you mean",
                "hypothesis.confirmed",
            ],
        ),
        (
            "every = \"1h\"\nto = \"cheif\"",
            "processes[0].to",
            &["no agent or role", "cheif"],
        ),
        (
            "on = \"hypothesis.confirmed\"\nby = { role = \"researcher\" }",
            "processes[0].by",
            &["asked to review it", "not = \"author\""],
        ),
        (
            "on = \"hypothesis.confirmed\"\nby = { role = \"researcher\", not = \"authr\" }",
            "processes[0].by",
            &["authr", "author"],
        ),
        (
            "on = \"budget.half\"\nto = \"human\"",
            "processes[0]",
            &["has no prompt"],
        ),
        (
            "at = \"25:00\"\nto = \"human\"\nprompt = \"nowhere.md\"",
            "processes[0].at",
            &["25:00"],
        ),
    ];
    for (lines, path, words) in table {
        refused(&world, &[("[office]", &process(lines))], path, words);
    }
    // Longer than what its reader's model holds.
    refused(
        &world,
        &[("[office]", &small), ("\"gpt-6.2-sol\"", "\"small\"")],
        "processes[0].prompt",
        &["25000 tokens", "\"small\" holds 16000", "shorten it"],
    );
    // One author, who would be the only one to review.
    let alone = process("on = \"hypothesis.confirmed\"\nby = \"claude-1\"");
    let idler = "[roles.idler]\nprompt = \"ROLE\"\ntools = [\"mail\"]\n\n[roles.researcher]";
    let idler = idler.replace(
        "ROLE",
        &format!("{}/prompts/sceptic.md", project().display()),
    );
    refused(
        &world,
        &[
            ("[office]", &alone),
            ("[roles.researcher]", &idler),
            (
                &format!("{CODEX}\nrole  = \"researcher\""),
                &format!("{CODEX}\nrole = \"idler\""),
            ),
        ],
        "processes[0].by",
        &["only author", "review its own"],
    );
}
