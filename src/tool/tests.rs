//! Tools against a real run directory, with a chief and two who report to it.

mod claims;
mod commands;
mod letters;
mod worktree;

use std::fs;
use std::path::Path;

use serde_json::json;

use super::*;
use crate::domain::decode::{Context, decode};
use crate::domain::event::{Event, Gpu, Kind, LoggedCall};
use crate::os::files::write_view;
use crate::repo;

const CHART: &str = r#"version = 1
name = "small"
mission = "m"
[task]
repo = "/repo"
run = "python3 train.py"
metric = { name = "loss", pattern = 'loss: ([0-9.]+)' }
editable = ["train.py", "src"]
protect = ["eval.py"]
seed = "ORG_SEED"
[protocol]
match = "wall"
[[agents]]
name = "chief"
role = "chief"
model = "claude-opus-5-5"
[[agents]]
name = "ana"
role = "researcher"
model = "claude-opus-5-5"
reports_to = "chief"
[[agents]]
name = "ben"
role = "researcher"
model = "claude-opus-5-5"
reports_to = "chief"
"#;

/// A small chart.
pub(super) fn chart() -> Chart {
    let context = Context {
        base: Path::new("/"),
        home: None,
        known_models: &[("claude-opus-5-5", "anthropic")],
        frozen: false,
    };
    let decoded = decode(CHART, &context);
    decoded
        .chart
        .unwrap_or_else(|| panic!("{:?}", decoded.problems))
}

/// A run with agents in their seats.
struct World {
    _temp: tempfile::TempDir,
    dir: RunDir,
    base: String,
}

impl World {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        // As the kernel names it, which is how runs name themselves.
        let root = temp.path().canonicalize().unwrap();
        let source = root.join("task");
        fs::create_dir(&source).unwrap();
        let train = "import random\nrandom.seed(1)\nLR = 1\nWIDTH = 2\nprint(LR)\n";
        for (name, text) in [("train.py", train), ("eval.py", "x = 1\n")] {
            write_view(&source.join(name), text.as_bytes()).unwrap();
        }
        let dir = RunDir::at(root.join("runs/small-1"));
        for path in dir.skeleton() {
            fs::create_dir_all(path).unwrap();
        }
        let founded = repo::found(source.to_str().unwrap(), None, &dir.repo_git()).unwrap();
        let base = founded.commit;
        let first = Kind::RunCreated {
            format: 1,
            run: "small-1".to_owned(),
            org: "small".to_owned(),
            mock: true,
            headless: true,
            version: "0".to_owned(),
            base: base.clone(),
        };
        Log::create(&dir, first).unwrap();
        let world = Self {
            _temp: temp,
            dir,
            base,
        };
        for agent in ["chief", "ana", "ben"] {
            repo::seat(&world.desk(agent).place(), &world.base).unwrap();
            world.write(
                &Actor::Supervisor,
                Kind::AgentSeated {
                    agent: agent.to_owned(),
                    gpu: None::<Gpu>,
                    branch: format!("agent/{agent}"),
                    worktree: world.dir.work(agent).display().to_string(),
                },
            );
        }
        let opened = Kind::LabOpened {
            pool: 7,
            gpus: Vec::new(),
            parallel: 1,
        };
        world.write(&Actor::Lab, opened);
        world
    }

    fn desk(&self, agent: &str) -> Desk {
        let path = ("PATH".to_owned(), "/usr/bin:/bin".to_owned());
        Desk {
            chart: Arc::new(chart()),
            dir: self.dir.clone(),
            agent: agent.to_owned(),
            log: Arc::new(Mutex::new(Log::open(&self.dir).unwrap())),
            env: BTreeMap::from([path]),
            texts: Arc::new(Texts::builtin()),
        }
    }

    fn write(&self, actor: &Actor, kind: Kind) {
        Log::open(&self.dir)
            .unwrap()
            .append(actor, vec![kind])
            .unwrap();
    }

    fn state(&self) -> State {
        Log::open(&self.dir).unwrap().state().clone()
    }

    /// A file of an agent's worktree.
    fn file(&self, agent: &str, name: &str) -> std::path::PathBuf {
        self.dir.work(agent).join(name)
    }

    fn put(&self, agent: &str, name: &str, text: &str) {
        write_view(&self.file(agent, name), text.as_bytes()).unwrap();
    }

    fn text(&self, agent: &str, name: &str) -> String {
        fs::read_to_string(self.file(agent, name)).unwrap()
    }
}

fn tool(name: &str) -> Box<dyn Tool> {
    all()
        .into_iter()
        .map(|(_, tool)| tool)
        .find(|tool| tool.name() == name)
        .unwrap()
}

/// Calls a tool.
async fn call(desk: &Desk, id: &str, name: &str, args: Value) -> Outcome {
    tool(name)
        .run(desk, &format!("{REQUEST}-{id}"), &args)
        .await
}

/// The request that brings every call.
const REQUEST: u64 = 1;

/// A call whose intent was logged, and then the agent died.
fn open(id: &str, name: &str, args: &Value, pre: Option<String>) -> OpenCall {
    OpenCall {
        call: LoggedCall {
            id: id.to_owned(),
            name: name.to_owned(),
            arguments: args.to_string().as_str().into(),
        },
        request: REQUEST,
        intent: true,
        pre,
        result: None,
    }
}

async fn recover(desk: &Desk, id: &str, name: &str, args: Value, pre: Option<String>) -> Outcome {
    let open = open(id, name, &args, pre);
    tool(name).recover(desk, &open, &args).await
}

fn done(text: &str) -> Outcome {
    Outcome::done(text)
}

fn events(world: &World, wanted: impl Fn(&Event) -> bool) -> usize {
    let mut count = 0;
    crate::run::log::each(&world.dir, |event, _| count += usize::from(wanted(event))).unwrap();
    count
}

#[test]
fn every_tool_and_argument_has_its_words_and_no_word_is_left_over() {
    let texts = ToolTexts::builtin();
    let tools: Vec<_> = all().into_iter().map(|(_, tool)| tool).collect();
    for spec in specs(&tools, &texts) {
        let words = texts.get(&spec.name).unwrap();
        assert!(!spec.description.is_empty());
        let arguments = spec.parameters["properties"].as_object().unwrap();
        for (name, schema) in arguments {
            assert!(schema["description"].is_string(), "{}.{name}", spec.name);
        }
        for name in words.args.keys() {
            assert!(arguments.contains_key(name), "{}.{name}", spec.name);
        }
    }
    // They are described before they are built.
    assert!(
        ["withdraw", "review"]
            .iter()
            .all(|it| texts.get(it).is_some())
    );
}

#[test]
fn a_role_is_granted_what_it_lists_and_done() {
    let names = |grants: &[&str]| {
        let grants: Vec<String> = grants.iter().map(|it| (*it).to_owned()).collect();
        granted(&grants)
            .iter()
            .map(|it| it.name())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&[]), ["done"]);
    assert_eq!(
        names(&["assign", "files:read", "ledger", "mail"]),
        ["read", "search", "send", "assign", "ledger", "done"]
    );
    assert_eq!(
        names(&["shell", "files", "experiment", "notebook", "review"]),
        [
            "shell",
            "read",
            "write",
            "edit",
            "search",
            "review",
            "experiment",
            "hypothesis",
            "withdraw",
            "note",
            "done"
        ]
    );
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_answered_and_nothing_happens() {
    let world = World::new();
    let desk = world.desk("ana");
    let before = world.state().seq;
    for name in [
        "shell", "read", "write", "edit", "search", "send", "assign", "note", "done",
    ] {
        let outcome = call(&desk, "c", name, json!({"nonsense": 1})).await;
        assert!(
            !outcome.ok && outcome.text.contains("nonsense"),
            "{name}: {outcome:?}"
        );
        assert!(tool(name).brief(&json!({"nonsense": 1})).len() <= BRIEF_LIMIT);
    }
    assert_eq!(world.state().seq, before);
    let brief = tool("shell").brief(&json!({"command": "a\u{1b}[2J\n  b"}));
    assert_eq!(brief, "a [2J b");
}
