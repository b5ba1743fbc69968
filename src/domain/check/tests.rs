//! What is judged across keys and beside the chart, each with its place and words; and that one
//! cause is said once.

use std::path::Path;

use proptest::prelude::*;

use super::{Beside, FileFact, Report, check_all};
use crate::domain::decode::fixtures::{FULL, MINIMAL, ODD, context};
use crate::domain::problem::Problem;

/// A world in which everything that the whole chart names is there.
fn there(path: &Path) -> FileFact {
    let file = |text: &str| FileFact::File(Ok(text.to_owned()));
    match path.to_str().unwrap_or_default() {
        "/lab/prompts/chief.md" => file("You are {{ agent.name }}.\n\n{{ mission }}"),
        "/lab/prompts/researcher.md" => file("You have {{ tools }}."),
        "/lab/prompts/standup.md" | "/lab/prompts/idle.md" => file("Say {{ digest }}."),
        "/lab/prompts/review.md" => file("{{ claim.id }}: {{ evidence }} {{ diff }}"),
        "/lab/claim.md" => file("{{ claim.id }}"),
        "/lab/examples/nanochat/scenario.toml" => file("version = 1"),
        "/lab/examples/nanochat/overlay" | "/lab/examples/nanochat/stand-in" => FileFact::Dir,
        "/lab/orgs/base.toml" => file(BASE),
        "/lab/orgs/sub/mid.toml" => file("extends = \"../base.toml\"\n[protocol]\nalpha = 0.02\n"),
        "/lab/orgs/wrong.toml" => file(&format!("{BASE}\n[budget]\nusdd = 1\n")),
        "/lab/orgs/torn.toml" => file(&format!("{BASE}\n[budget\n")),
        "/lab/orgs/round.toml" => file("extends = \"round2.toml\""),
        "/lab/orgs/round2.toml" => file("extends = \"round.toml\""),
        path if path.starts_with("/lab/orgs/chain/") => {
            let n: u32 = path["/lab/orgs/chain/".len()..path.len() - 5]
                .parse()
                .unwrap();
            file(&format!("extends = \"{}.toml\"", n + 1))
        }
        "/lab/bad.md" => file("one\n  {{ agent.nmae }} {{ open"),
        "/lab/bytes.md" => FileFact::File(Err("byte 3 is not UTF-8".to_owned())),
        "/lab/empty.md" => file(" \n"),
        _ => FileFact::Missing,
    }
}

fn judged(text: &str) -> Report {
    let beside = Beside {
        facts: &there,
        scenario_problems: &|_| Vec::new(),
    };
    let report = check_all(text.as_bytes(), &context(), &beside);
    assert_eq!(report.chart.is_some(), report.problems.is_empty());
    for problem in report.problems.iter().chain(&report.warnings) {
        assert!(!problem.hint.is_empty(), "{problem:?}");
    }
    report
}

const AGENT: &str = "[[agents]]\nrole = \"researcher\"\nmodel = \"gpt-6.2-sol\"\nname = ";

/// What follows the smallest chart (`@` begins an agent, `%` one of another model), then path, line,
/// column, message and hint of the only problem.
#[rustfmt::skip] // a row a line
const WRONG: &[(&str, &str, usize, usize, &str, &str)] = &[
    ("@\"a\"\n@\"b\"\n@\"a\"\n", "agents[2].name", 18, 8, "two agents are called \"a\", the other on line 10", "its own"),
    ("@\"a-2\"\n@\"a-{n}\"\ncount = 3\n", "agents[1].name", 14, 8, "two agents are called \"a-2\"", "its own"),
    ("@\"researcher\"\n@\"b\"\n", "agents[0].name", 10, 8, "mail to \"researcher\" could mean", "another name"),
    ("[[agents]]\nrole = \"reseacher\"\nmodel = \"gpt-6.2-sol\"\nname = \"a\"", "agents[0].role", 8, 8, "there is no role \"reseacher\"", "\"researcher\""),
    ("[[agents]]\nrole = \"chief\"\nmodel = \"gpt-6.2\"\nname = \"a\"", "agents[0].model", 9, 9, "there is no model \"gpt-6.2\"", "\"gpt-6.2-sol\""),
    ("@\"a\"\nreports_to = \"b\"\n", "agents[0].reports_to", 11, 14, "there is no agent \"b\"", "leave it out"),
    ("@\"a-1\"\n@\"b-{n}\"\ncount = 2\nreports_to = \"a-{n}\"\n", "agents[1].reports_to", 16, 14, "there is no agent \"a-2\"", "leave it out"),
    ("@\"a\"\nreports_to = \"a\"\n", "agents[0].reports_to", 11, 14, "\"a\" reports to itself", "nobody"),
    ("@\"a\"\nreports_to = \"b\"\n@\"b\"\nreports_to = \"c\"\n@\"c\"\nreports_to = \"b\"\n", "agents[0].reports_to", 11, 14, "in a circle: b → c → b", "nobody"),
    ("@\"a\"\ngpu = 3\n@\"b\"\ngpu = 3\n", "agents[1].gpu", 16, 7, "the GPU 3 is home to both \"a\" and \"b\"", "\"auto\""),
    ("@\"a{n}\"\ngpu = \"GPU-1\"\ncount = 3\n", "agents[0].gpu", 11, 7, "GPU-1 is home to both \"a1\" and \"a2\"", "\"auto\""),
    ("[compute]\ngpus = [0, 1]\n@\"a\"\ngpu = 2\n", "agents[0].gpu", 13, 7, "the GPU 2 is not in compute.gpus", "\"auto\""),
    ("[compute]\ngpus = \"simulate:2\"\n@\"a{n}\"\ngpu = \"auto\"\ncount = 3\n", "compute.gpus", 8, 8, "3 agents have a GPU of their own, and compute.gpus has 2", "more GPUs"),
    ("[protocol]\nmatch = \"flops\"", "protocol.match", 8, 9, "task.measure.flops is not given", "[task.measure]"),
    ("[protocol]\nguards = { params = 1.0 }", "protocol.guards.params", 8, 12, "task.measure.params is not given", "[task.measure]"),
    ("[mock]\nenv = { ORG_SEED = \"1\" }", "mock.env.ORG_SEED", 8, 9, "the variable of the seed", "task.seed"),
    ("[models.qwen]\nprovider = \"locl\"", "models.qwen.provider", 8, 12, "there is no provider \"locl\"", "[providers.…]"),
    ("[budget]\nusd = 1\n[models.qwen]\nprovider = \"openai\"\n%\"a\"\n", "models.qwen", 9, 1, "[budget] caps dollars, and the model \"qwen\" has no price", "price ="),
    ("[models.qwen]\nprovider = \"openai\"\n%\"a\"\nusd = 1", "models.qwen", 7, 1, "agents[0] caps dollars", "price ="),
    ("[models.qwen]\nprovider = \"openai\"\ncontext = \"32k\"\n[roles.researcher]\ncompact_at = \"33k\"\n%\"a\"\n", "roles.researcher.compact_at", 11, 14, "33000 tokens, and the model \"qwen\" holds 32000", "32000 or less"),
    ("[roles.chief]\nfallback = \"claude-opus\"", "roles.chief.fallback", 8, 12, "there is no model \"claude-opus\"", "\"claude-opus-5-5\""),
    ("[roles.chief]\nprompt = \"../gone.md\"", "roles.chief.prompt", 8, 10, "there is no file \"/lab/gone.md\"", "relative to the chart"),
    ("[roles.chief]\nprompt = \"../empty.md\"", "roles.chief.prompt", 8, 10, "\"/lab/empty.md\" is empty", "write it"),
    ("[roles.chief]\nprompt = \"../bytes.md\"", "roles.chief.prompt", 8, 10, "could not be read: byte 3 is not UTF-8", "UTF-8"),
    ("[roles.chief]\nprompt = \"../examples/nanochat/overlay\"", "roles.chief.prompt", 8, 10, "is a directory", "name a file"),
    ("[mock]\nrepo = \"../prompts/chief.md\"", "mock.repo", 8, 8, "must be a directory", "around it"),
    ("[mock]\nscenario = \"gone.toml\"", "mock.scenario", 8, 12, "there is no file \"/lab/orgs/gone.toml\"", "correct the path"),
    ("[[processes]]\nname = \"p\"\non = \"end\"\nto = \"chef\"", "processes[0].to", 10, 6, "no agent or role \"chef\"", "\"chief\""),
    ("[[processes]]\nname = \"p\"\non = \"end\"\nby = { role = \"x\" }", "processes[0].by", 10, 6, "there is no role \"x\"", "chief, researcher"),
    ("[[processes]]\nname = \"p\"\non = \"end\"\nby = { role = \"chief\" }", "processes[0].by", 10, 6, "no agent has the role \"chief\"", "name a role"),
    ("[[processes]]\nname = \"p\"\non = \"end\"", "processes[0]", 7, 1, "\"p\" refers to nobody", "to = \"chief\""),
    ("[[processes]]\nname = \"p\"\non = \"idle\"\nto = \"human\"", "processes[0]", 7, 1, "\"p\" has no prompt", "write prompt"),
    ("[[processes]]\nname = \"p\"\nevery = \"1h\"\nto = \"human\"\nprompt = \"../claim.md\"", "processes[0].prompt", 11, 10, "unknown variable \"claim.id\"", "digest"),
    ("[[processes]]\nname = \"p\"\nevery = \"1h\"\nto = \"human\"\nmissed = \"nag\"", "processes[0].missed", 11, 10, "nobody is asked", "from or by"),
    ("[[processes]]\nname = \"p\"\nevery = \"1h\"\nto = \"human\"\nidle_for = \"1m\"", "processes[0].idle_for", 11, 12, "for processes on \"idle\"", "take it out"),
    ("[[processes]]\nname = \"p\"\nevery = \"1h\"\nfrom = \"all\"\nwithin = \"2h\"\n@\"a\"", "processes[0].within", 11, 10, "due after 7200 s", "shorter"),
    ("[[processes]]\nname = \"p\"\nevery = \"1h\"\nfrom = { role = \"researcher\", not = \"author\" }\n@\"a\"", "processes[0].from", 10, 8, "about no claim", "take not out"),
    ("[[processes]]\nname = \"r\"\non = \"hypothesis.confirmed\"\nby = { role = \"researcher\", not = \"author\" }\n@\"a\"", "processes[0].by", 10, 6, "\"a\" is the only author", "somebody else"),
    ("[[processes]]\nname = \"r\"\non = \"hypothesis.confirmed\"\nby = \"b\"\n@\"a\"\n@\"b\"", "processes[0].by", 10, 6, "\"b\" may claim something", "not = \"author\""),
    ("[[processes]]\nname = \"r\"\non = \"hypothesis.confirmed\"\nmissed = \"skip\"\nby = \"human\"", "processes[0].missed", 10, 10, "no gate", "nag"),
];

#[test]
fn what_does_not_agree() {
    for (more, path, line, column, message, hint) in WRONG {
        let qwen = AGENT.replace("gpt-6.2-sol", "qwen");
        let more = more.replace('@', AGENT).replace('%', &qwen);
        let problems = judged(&format!("{MINIMAL}{more}")).problems;
        assert_eq!(
            problems.len(),
            1,
            "one cause, one problem: {more}\n{problems:#?}"
        );
        let first = &problems[0];
        let found = (first.path.as_str(), first.line, first.column);
        assert_eq!(found, (*path, *line, *column), "{more}\n{first:#?}");
        assert!(first.message.contains(message), "{more}\n{first:#?}");
        assert!(first.hint.contains(hint), "{more}\n{first:#?}");
    }
}

/// Who draws needs knobs, tools, and files that a claim may change.
#[test]
fn a_search_that_cannot_be_made() {
    let knob = "[search]\npredicts = 1\n[[search.knobs]]\nname = \"k\"\nfile = \"k.py\"\n\
                pattern = '(.)'\nvalues = [\"1\"]\n";
    let random = AGENT.replace("gpt-6.2-sol", "random");
    let protect = |text: &str| text.replace("[task]", "[task]\nprotect = [\"*.py\"]");
    let roleless = random.replace("researcher", "chief");
    let cases = [
        (
            format!("{MINIMAL}{random}\"r\""),
            "agents[0].model",
            "there is nothing to draw",
        ),
        (
            format!(
                "{MINIMAL}[roles.chief]\ntools = [\"shell\", \"mail\"]\n{roleless}\"r\"\n{knob}"
            ),
            "roles.chief.tools",
            "which takes files, and",
        ),
        (
            protect(&format!("{MINIMAL}{random}\"r\"\n{knob}")),
            "search.knobs[0].file",
            "no claim may change \"k.py\"",
        ),
    ];
    for (text, path, message) in cases {
        let problems = judged(&text).problems;
        assert_eq!(problems.len(), 1, "{text}\n{problems:#?}");
        assert_eq!(problems[0].path, path, "{problems:#?}");
        assert!(problems[0].message.contains(message), "{problems:#?}");
    }
    let sound = judged(&format!("{MINIMAL}{random}\"r\"\n{knob}"));
    assert_eq!(sound.problems, []);
}

/// What variants are made of.
const BASE: &str = r#"version = 1
name = "base"
[task]
repo = "repo"
run = "python3 train.py"
metric = { name = "loss", goal = "max", pattern = 'loss: ([0-9.]+)' }
[protocol]
alpha = 0.05
baseline = 4
[roles.researcher]
prompt = "../prompts/researcher.md"
tools = ["shell"]
[[agents]]
name = "a-{n}"
count = 2
role = "researcher"
model = "gpt-6.2-sol"
"#;

#[test]
fn a_variant_is_a_few_lines_over_another_chart() {
    let variant = "extends = \"sub/mid.toml\"\nname = \"variant\"\n\
                   task.metric.name = \"bpb\"\n[[agents]]\nname = \"solo\"\nrole = \"researcher\"\nmodel = \"gpt-6.2-sol\"\n";
    let report = judged(variant);
    assert_eq!(report.problems, []);
    let chart = report.chart.expect("a good chart");
    assert_eq!(chart.name, "variant");
    // Tables key by key, the nearest word wins; lists whole; paths of the file that they stand in.
    assert_eq!((chart.protocol.alpha, chart.protocol.baseline), (0.02, 4));
    assert_eq!(chart.task.metric.name, "bpb");
    assert_eq!(chart.task.metric.pattern, "loss: ([0-9.]+)");
    let names: Vec<&str> = chart.agents.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["solo"]);
    assert_eq!(chart.task.repo, "/lab/orgs/repo");
    let prompt = chart.roles["researcher"].prompt.as_deref();
    assert_eq!(prompt, Some(Path::new("/lab/prompts/researcher.md")));
    // A run freezes what came of it.
    let frozen = crate::domain::emit::to_toml(&chart);
    let again = crate::domain::decode::decode(&frozen, &context());
    assert_eq!(again.chart, Some(chart));
}

#[test]
fn what_is_wrong_beneath_a_variant_is_said_where_it_stands() {
    let lines = BASE.lines().count();
    let base = |name: &str| Some(format!("/lab/orgs/{name}.toml"));
    let table: [(&str, Option<String>, usize, &str); 7] = [
        ("wrong.toml", base("wrong"), lines + 3, "unknown"),
        ("torn.toml", base("torn"), lines + 2, "["),
        ("gone.toml", None, 2, "is not there: /lab/orgs/gone.toml"),
        (
            "round.toml",
            base("round2"),
            1,
            "round.toml → round2.toml → round.toml",
        ),
        ("../prompts", None, 2, "is not there"),
        ("chain/1.toml", base("chain/7"), 1, "more than 8 charts"),
        (
            "base.toml\"\n[[agents]]\nname = \"b\"\nrole = \"reseacher\"\nmodel = \"gpt-6.2-sol\"\n#\"",
            None,
            5,
            "no role",
        ),
    ];
    for (extends, file, line, words) in table {
        let text = format!("name = \"v\"\nextends = \"{extends}\"\n");
        let problems = judged(&text).problems;
        let found = problems
            .iter()
            .find(|it| it.message.contains(words))
            .unwrap_or_else(|| panic!("{extends} does not say {words:?}: {problems:#?}"));
        assert_eq!((&found.file, found.line), (&file, line), "{found:#?}");
        assert!(!found.hint.is_empty());
    }
}

#[test]
fn whole_charts_pass() {
    for text in [FULL, MINIMAL, ODD] {
        let report = judged(text);
        assert_eq!(report.problems, []);
        assert!(report.chart.is_some());
    }
}

#[test]
fn more_gpus_a_run_than_there_are() {
    let text = MINIMAL.replace("[task]", "[compute]\ngpus = [0, 1]\n[task]\ngpus = 4");
    let problems = judged(&text).problems;
    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert_eq!(
        (problems[0].line, problems[0].path.as_str()),
        (6, "task.gpus")
    );
    assert!(
        problems[0]
            .message
            .contains("takes 4 GPUs, and compute.gpus has 2")
    );
}

#[test]
fn an_evaluation_needs_a_fence() {
    let text = MINIMAL.replace("[task]", "[task]\nevaluate = \"python3 e.py\"");
    let said: Vec<String> = judged(&text)
        .warnings
        .into_iter()
        .map(|one| one.message)
        .collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said.iter().any(|one| one.contains("without editable")),
        "{said:?}"
    );
}

#[test]
fn hidden_data_are_for_the_evaluation_alone() {
    let hidden = |keys: &str| {
        let text = MINIMAL.replace("[task]", &format!("[task]\n{keys}"));
        let problems = judged(&text).problems.into_iter();
        problems.map(|one| one.message).collect::<Vec<String>>()
    };
    let with = "evaluate = \"python3 e.py\"\neditable = [\"a.py\"]\n";
    let sound = hidden(&format!("{with}hidden = [\"/secret/a\", \"/secret/b\"]"));
    assert_eq!(sound, Vec::<String>::new());
    for (keys, why) in [
        ("hidden = [\"/secret/a\"]".to_owned(), "no evaluation"),
        (format!("{with}hidden = [\"../repo/a\"]"), "task.repo"),
        (
            format!("{with}share = [\"/data\"]\nhidden = [\"/data/a\"]"),
            "task.share",
        ),
        (
            format!("{with}hidden = [\"/secret/a\", \"/other/a\"]"),
            "stands there already",
        ),
    ] {
        let said = hidden(&keys);
        assert!(said.iter().any(|one| one.contains(why)), "{keys}: {said:?}");
    }
}

#[test]
fn a_template_is_judged_where_it_stands() {
    let problems = judged(&format!("{MINIMAL}[roles.chief]\nprompt = \"../bad.md\"")).problems;
    let said: Vec<&str> = problems
        .iter()
        .map(|problem| problem.message.as_str())
        .collect();
    assert_eq!(
        said,
        [
            "/lab/bad.md:2:3: unknown variable \"agent.nmae\"",
            "/lab/bad.md:2:20: \"{{ open\" is not closed on its line",
        ]
    );
    assert!(
        problems.iter().all(|problem| problem.line == 8),
        "{problems:#?}"
    );
}

#[test]
fn a_scenario_is_judged_where_it_stands() {
    let flaw = Problem {
        file: None,
        line: 4,
        column: 2,
        path: "scripts[0].agent".to_owned(),
        message: "must be a string".to_owned(),
        hint: "write a glob".to_owned(),
    };
    let beside = Beside {
        facts: &there,
        scenario_problems: &|_| vec![flaw.clone()],
    };
    let problems = check_all(FULL.as_bytes(), &context(), &beside).problems;
    assert_eq!(problems.len(), 1);
    assert_eq!(
        problems[0].message,
        "/lab/examples/nanochat/scenario.toml:4:2: scripts[0].agent: must be a string"
    );
    assert_eq!(
        (problems[0].path.as_str(), problems[0].line),
        ("mock.scenario", 64)
    );
}

#[test]
fn everything_is_said_at_once_and_follow_ups_are_not() {
    let text = FULL
        .replace("alpha     = 0.01", "alpha     = 2")
        .replace("name  = \"chief\"", "name  = \"the chief\"")
        .replace("\"gpt-6.2-sol\"", "\"gpt-7\"")
        .replace("../prompts/chief.md", "gone.md")
        .replace("[roles.researcher]", "[roles.reseacher]");
    let report = judged(&text);
    let said: Vec<(usize, &str)> = report
        .problems
        .iter()
        .map(|problem| (problem.line, problem.path.as_str()))
        .collect();
    // Nobody is told that "chief" is gone: its name could not be read.
    let lines: Vec<usize> = said.iter().map(|(line, _)| *line).collect();
    assert!(lines.is_sorted(), "{said:?}");
    assert_eq!(
        said,
        [
            (39, "protocol.alpha"),
            (81, "roles.chief.prompt"),
            (93, "agents[0].name"),
            (107, "agents[2].model")
        ]
    );
}

#[test]
fn bytes_that_are_no_chart_are_one_problem() {
    assert_eq!(
        judged("\u{feff}").problems.len(),
        3,
        "a mark of byte order is no problem of its own"
    );
    let beside = Beside {
        facts: &there,
        scenario_problems: &|_| Vec::new(),
    };
    let report = check_all(&[0xff, 0xfe], &context(), &beside);
    assert_eq!(report.problems.len(), 1);
    assert!(report.chart.is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Lines of the whole chart left out, doubled and moved.
    #[test]
    fn no_shuffle_panics(
        moves in prop::collection::vec((0..125_usize, 0..125_usize), 0..12),
    ) {
        let mut lines: Vec<&str> = FULL.lines().collect();
        for (from, to) in moves {
            let line = lines[from % lines.len()];
            let to = to % lines.len();
            if from < to { lines.insert(to, line); } else { lines[to] = line; }
        }
        judged(&lines.join("\n"));
    }
}
