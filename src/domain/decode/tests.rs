//! Bad charts, each with the place and the words of what is said; the whole format; and charts that
//! no person would write.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::fixtures::{FULL, MINIMAL, context};
use super::sheet::PROBLEMS_MAX;
use super::{BYTES_MAX, Context, decode, decode_bytes};
use crate::domain::chart::{
    Axis, Chart, Confirm, GpuHome, GpuRequest, KeySource, Party, Role, Timeout,
};
use crate::domain::problem::Problem;

fn good(text: &str) -> Chart {
    let decoded = decode(text, &context());
    decoded
        .chart
        .unwrap_or_else(|| panic!("{:#?}", decoded.problems))
}

/// The smallest chart with more lines; they begin at line 7.
fn with(more: &str) -> String {
    format!("{MINIMAL}{more}")
}

fn bad(text: &str) -> Vec<Problem> {
    let decoded = decode(text, &context());
    assert!(
        decoded.chart.is_none() && !decoded.problems.is_empty(),
        "accepted: {text}"
    );
    for problem in &decoded.problems {
        assert!(!problem.hint.trim().is_empty(), "no hint: {problem:?}");
        assert!(problem.line >= 1 && problem.column >= 1, "{problem:?}");
    }
    decoded.problems
}

#[test]
fn the_whole_format_is_taken() {
    let chart = good(FULL);
    assert_eq!(chart.task.repo, "/home/ana/src/nanochat");
    assert_eq!(
        chart.task.overlay,
        Some(PathBuf::from("/lab/examples/nanochat/overlay"))
    );
    assert_eq!(chart.protocol.guards["peak_mem"], 1.10);
    assert_eq!(chart.budget.wall, Some(36_000.0));
    assert_eq!(chart.budget.disk, Some(200 << 30));
    assert_eq!(chart.office.grid, Some((4, 2)));
    assert_eq!(chart.mock.every, Some(20.0));
    assert_eq!(chart.mock.setup.as_deref(), Some(""));
    assert_eq!(
        chart.providers["local"].key,
        KeySource::Env("LOCAL_API_KEY".to_owned())
    );
    assert_eq!(chart.providers.len(), 3);
    assert_eq!(chart.roles["chief"].compact_at, 120_000);
    let names: Vec<&str> = chart
        .agents
        .iter()
        .map(|agent| agent.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "chief", "claude-1", "claude-2", "claude-3", "claude-4", "codex-1", "codex-2",
            "codex-3", "codex-4"
        ]
    );
    assert_eq!(chart.agents[0].gpu, GpuHome::None);
    let by = Party::Role {
        role: "researcher".to_owned(),
        not: Some("author".to_owned()),
    };
    assert_eq!(chart.processes[1].by, Some(by));
}

#[test]
fn what_is_not_acted_on_is_said() {
    let decoded = decode(&FULL.replace("\"0s\"", "\"5m\""), &context());
    let said: Vec<(usize, &str)> = decoded
        .warnings
        .iter()
        .map(|warning| (warning.line, warning.path.as_str()))
        .collect();
    assert_eq!(said, [(57, "office.ask[1]"), (61, "landing.run"),]);
    assert!(decoded.problems.is_empty(), "{:#?}", decoded.problems);
    for warning in decoded.warnings {
        assert!(
            warning
                .message
                .ends_with("is accepted, and not acted on by this version")
        );
    }
}

#[test]
fn the_smallest_chart_has_defaults() {
    let chart = good(MINIMAL);
    assert_eq!(chart.task.repo, "/lab/repo");
    assert_eq!(chart.task.seed, "ORG_SEED");
    assert_eq!((chart.task.gpus, chart.task.timeout), (1, Timeout::Auto));
    assert_eq!(
        (chart.protocol.matched, chart.protocol.baseline),
        (Axis::Wall, 6)
    );
    assert_eq!(chart.protocol.confirm, Confirm::Auto);
    assert_eq!(chart.compute.gpus, GpuRequest::Auto);
    assert_eq!(
        chart.providers.keys().collect::<Vec<_>>(),
        ["anthropic", "openai"]
    );
    assert_eq!(
        Role::built_in("chief").as_ref(),
        Some(&chart.roles["chief"])
    );
    assert_eq!(chart.roles["researcher"].tools.len(), 6);
    let measured = good(&with("[task.measure]\nflops = 'f: (\\d+)'\n"));
    assert_eq!(measured.protocol.matched, Axis::Flops);
    let wall = good(&with(
        "[task.measure]\nflops = 'f: (\\d+)'\n[protocol]\nmatch = \"wall\"\n",
    ));
    assert_eq!(wall.protocol.matched, Axis::Wall);
}

/// One bad thing each: what follows the smallest chart, path, line, column, message, hint.
#[rustfmt::skip] // a row a line
const WRONG: &[(&str, &str, usize, usize, &str, &str)] = &[
    ("[agnets]", "agnets", 7, 2, "unknown key \"agnets\" in the chart", "did you mean \"agents\"?"),
    ("[protocol]\nalhpa = 1", "protocol.alhpa", 8, 1, "unknown key \"alhpa\" in protocol", "\"alpha\""),
    ("[office]\nzzz = 1", "office.zzz", 8, 1, "unknown key", "office knows: grid, ask, notify"),
    ("[office]\nask = [\"promote\", \"merge\"]", "office.ask[1]", 8, 19, "\"merge\" is nothing that can be asked", "\"spend > 5 usd\""),
    ("[office]\nask = [\"spend > usd\"]", "office.ask[0]", 8, 8, "is nothing that can be asked", "\"promote\""),
    ("[office]\nask = [\"spend > -1 usd\"]", "office.ask[0]", 8, 8, "is nothing that can be asked", ""),
    ("[office]\nask = \"promote\"", "office.ask", 8, 7, "must be a list", ""),
    ("[budget]\nusd = \"4\"", "budget.usd", 8, 7, "must be a number, not a string: \"4\"", "write usd ="),
    ("[budget]\nusd = inf", "budget.usd", 8, 7, "is not a finite number", "write usd ="),
    ("[budget]\nusd = nan", "budget.usd", 8, 7, "is not a finite number", "write usd ="),
    ("[budget]\nusd = -1", "budget.usd", 8, 7, "is out of range", "0 or more"),
    ("[budget]\nwall = \"10x\"", "budget.wall", 8, 8, "\"10x\" is not a time span", "1h30m"),
    ("[budget]\nwall = 0", "budget.wall", 8, 8, "is out of range", "above 0"),
    ("[budget]\nwall = 1e300", "budget.wall", 8, 8, "is out of range", "above 0"),
    ("[budget]\ndisk = \"200GB\"", "budget.disk", 8, 8, "is not a size", "200G"),
    ("[budget]\ndisk = -5", "budget.disk", 8, 8, "is out of range", "200G"),
    ("[budget]\ndisk = 99999999999999999999", "budget.disk", 8, 8, "is out of range", "200G"),
    ("[office]\ngrid = \"4*2\"", "office.grid", 8, 8, "\"4*2\" is no grid", "4x2"),
    ("[protocol]\nmatch = \"flop\"", "protocol.match", 8, 9, "cannot be \"flop\"", "\"flops\""),
    ("[protocol]\nalpha = 0.5", "protocol.alpha", 8, 9, "0.5 is out of range", "below 0.5"),
    ("[protocol]\nalpha = 0", "protocol.alpha", 8, 9, "is out of range", "above 0"),
    ("[protocol]\nbaseline = 1", "protocol.baseline", 8, 12, "1 is out of range", "from 2"),
    ("[protocol]\nbaseline = 2.5", "protocol.baseline", 8, 12, "must be a whole number, not a float", "from 2"),
    ("[protocol]\ntolerance = -0.1", "protocol.tolerance", 8, 13, "out of range", "from 0 to 1"),
    ("[protocol]\nconfirm = \"many\"", "protocol.confirm", 8, 11, "must be a whole number, not a string", "\"auto\" or"),
    ("[protocol]\nguards = { wal = 1.1 }", "protocol.guards.wal", 8, 12, "no measure \"wal\"", "\"wall\""),
    ("[protocol]\nguards = { wall = 0 }", "protocol.guards.wall", 8, 19, "out of range", "1.05"),
    ("[protocol]\nnotice = true", "protocol.notice", 8, 10, "must be a time span, not a boolean", "90s"),
    ("[compute]\ngpus = \"all\"", "compute.gpus", 8, 8, "\"all\" is not", "simulate:8"),
    ("[compute]\ngpus = [0, 0]", "compute.gpus[1]", 8, 12, "listed twice", "once"),
    ("[compute]\ngpus = [0, \"GPU-a\"]", "compute.gpus", 8, 8, "mixes indices and UUIDs", "[0, 1]"),
    ("[compute]\ngpus = \"simulate:65\"", "compute.gpus", 8, 8, "up to 64", "simulate:8"),
    ("[compute]\nlauncher = \"slurm\"", "compute.launcher", 8, 12, "not available in this version", "local"),
    ("[compute]\nparallel = 0", "compute.parallel", 8, 12, "out of range", "\"auto\" or"),
    ("[landing]\nrun = \"\"", "landing.run", 8, 7, "landing.run is empty", "write run ="),
    ("[mock]\nevery = \"soon\"", "mock.every", 8, 9, "is not a time span", "90s"),
    ("[mock]\nenv = { A = 1 }", "mock.env.A", 8, 13, "must be a string: 1", "A = \"1\""),
    ("[mock]\nenv = { \"A B\" = \"\" }", "mock.env.\"A B\"", 8, 9, "\"A B\" is no name of a variable", "MY_VARIABLE"),
    ("[mock]\nenv = { CUDA_VISIBLE_DEVICES = \"\" }", "mock.env.CUDA_VISIBLE_DEVICES", 8, 9, "set by org itself", "another name"),
    ("[providers.local]\nwire = \"openai\"", "providers.local.base_url", 7, 1, "is missing", "write base_url"),
    ("[providers.openai]\nbase_url = \"ftp://x\"", "providers.openai.base_url", 8, 12, "no http or https", "http://"),
    ("[providers.openai]\nbase_url = \"http://k:s@h\"", "providers.openai.base_url", 8, 12, "\"…\" carries a name or a key", "http://"),
    ("[providers.openai]\nkey_env = \"sk-ant-123\"", "providers.openai.key_env", 8, 11, "is no name of a variable", "LOCAL_API_KEY"),
    ("[providers.openai]\nkey_env = \"A\"\nkey_cmd = \"b\"", "providers.openai", 7, 1, "2 places for one key", "keep one"),
    ("[providers.openai]\napi_key = \"s\"", "providers.openai.api_key", 8, 1, "unknown key", "never stands in a chart"),
    ("[models.qwen]\ncontext = 5", "models.qwen.provider", 7, 1, "is missing", "write provider"),
    ("[models.\"x.y\"]\nprovider = \"openai\"\ncontext = \"9g\"", "models.\"x.y\".context", 9, 11, "not a number of tokens", "120k"),
    ("[models.a]\nprovider = \"openai\"\nprice = { input = 1 }", "models.a.price.output", 9, 9, "is missing", "write output"),
    ("[roles.judge]\ntools = []", "roles.judge.prompt", 7, 1, "is missing", "write prompt"),
    ("[roles.chief]\ntools = [\"shel\"]", "roles.chief.tools[0]", 8, 10, "there is no tool \"shel\"", "\"shell\""),
    ("[roles.chief]\ntools = [\"hypothesis\"]", "roles.chief.tools[0]", 8, 10, "there is no tool", "\"experiment\", which grants hypothesis"),
    ("[roles.chief]\non_idle = \"Wait\"", "roles.chief.on_idle", 8, 11, "cannot be \"Wait\"", "\"wait\""),
    ("[roles.chief]\neffort = 3", "roles.chief.effort", 8, 10, "must be a string, not an integer: 3", "\"low\" or"),
    ("[roles.Chief]\nprompt = \"x\"\ntools = []", "roles.Chief", 7, 1, "the name \"Chief\" does not begin", "\"chief\""),
    ("[roles]\nchief = 3", "roles.chief", 8, 9, "must be a table, not an integer: 3", "as a table"),
    ("[[agents]]\nrole = \"chief\"\nmodel = \"m\"", "agents[0].name", 7, 1, "agents[0].name is missing", "write name"),
    ("[[agents]]\nname = \"\"\nrole = \"chief\"\nmodel = \"m\"", "agents[0].name", 8, 8, "is empty", "write name"),
    ("[[agents]]\nname = \"a/b\"\nrole = \"chief\"\nmodel = \"m\"", "agents[0].name", 8, 8, "the name \"a/b\" holds \"/\"", "\"a-b\""),
    ("[[agents]]\nname = \"human\"\nrole = \"chief\"\nmodel = \"m\"", "agents[0].name", 8, 8, "is reserved", "\"human-1\""),
    ("[[agents]]\nname = \"a\"\ncount = 2\nrole = \"chief\"\nmodel = \"m\"", "agents[0].name", 8, 8, "2 agents would be called \"a\"", "\"a-{n}\""),
    ("[[agents]]\nname = \"a{n}\"\ncount = 0\nrole = \"chief\"\nmodel = \"m\"", "agents[0].count", 9, 9, "out of range", "from 1 to 512"),
    ("[[agents]]\nname = \"a\"\nrole = \"chief\"\nmodel = \"m\"\ngpu = \"first\"", "agents[0].gpu", 11, 7, "\"first\" names no GPU", "\"auto\""),
    ("[[agents]]\nname = \"a\"\nrole = \"chief\"\nmodel = \"m\"\ngpu = -1", "agents[0].gpu", 11, 7, "out of range", "\"auto\""),
    ("[agents]\nname = \"a\"", "agents", 7, 1, "must be a list, not a table", "[[agents]]"),
    ("[[processes]]\nname = \"p\"", "processes[0]", 7, 1, "must have one of every, at and on, and has 0", "write one"),
    ("[[processes]]\nname = \"p\"\non = \"hypothesis.confirmd\"", "processes[0].on", 9, 6, "cannot be \"hypothesis.confirmd\"", "\"hypothesis.confirmed\""),
    ("[[processes]]\nname = \"p\"\non = \"end\"\nmissed = \"nagg\"", "processes[0].missed", 10, 10, "cannot be \"nagg\"", "\"nag\""),
    ("[[processes]]\nname = \"p\"\nat = \"9:00\"", "processes[0].at", 9, 6, "is no time of day", "09:00"),
    ("[[processes]]\nname = \"p\"\non = \"idle\"\nby = { role = \"x\", rol = \"x\" }", "processes[0].by.rol", 10, 20, "unknown key \"rol\"", "\"role\""),
    // What does not parse.
    ("[task]\n", "", 7, 2, "duplicate key: \"task\"", "once"),
    ("[office]\ngrid = 4x2", "", 8, 8, "", "quotes"),
    ("[office]\ngrid = \"4x2", "", 8, 12, "", "close the text"),
    ("[office]\ngrid", "", 8, 5, "key with no value", "value"),
    ("[office", "", 7, 8, "unclosed table", "[name]"),
    ("[task.measure]\nflops = \"(\\d+)\"", "", 8, 12, "", "single quotes"),
];

#[test]
fn bad_charts() {
    for (more, path, line, column, message, hint) in WRONG {
        let problems = bad(&with(more));
        let first = &problems[0];
        let found = (first.path.as_str(), first.line, first.column);
        assert_eq!(found, (*path, *line, *column), "{more}\n{problems:#?}");
        assert!(first.message.contains(message), "{more}\n{first:#?}");
        assert!(first.hint.contains(hint), "{more}\n{first:#?}");
        assert_eq!(
            problems.len(),
            1,
            "one cause, one problem: {more}\n{problems:#?}"
        );
    }
}

/// The smallest chart with one text in place of another: path, line, column, message.
#[rustfmt::skip] // a row a line
const SWAPPED: &[(&str, &str, &str, usize, usize, &str)] = &[
    ("version = 1\n", "", "version", 1, 1, "version is missing"),
    ("version = 1", "version = 2", "version", 1, 11, "2 is out of range"),
    ("version = 1", "version = \"1\"", "version", 1, 11, "must be a whole number, not a string"),
    ("version = 1", "version = 1\nextends = \"lab.toml\"", "extends", 2, 11, "cannot be followed here"),
    ("\"small\"", "\"Small Org\"", "name", 2, 8, "the name \"Small Org\""),
    ("\"small\"", "\"org\"", "name", 2, 8, "is reserved"),
    ("run = \"python3 train.py\"\n", "", "task.run", 3, 1, "task.run is missing"),
    ("\"python3 train.py\"", "\"a\\u0000b\"", "task.run", 5, 7, "holds a NUL character"),
    ("\"python3 train.py\"", "[1]", "task.run", 5, 7, "must be a string, not a list: [1]"),
    ("\"../repo\"", "\"~bob/x\"", "task.repo", 4, 8, "somebody's home directory"),
    ("'loss: ([0-9.]+)'", "'loss: [0-9.]+'", "task.metric.pattern", 6, 37, "lacks a group around the value"),
    ("'loss: ([0-9.]+)'", "'loss: ([0-9.]+'", "task.metric.pattern", 6, 37, "is no regex: unclosed group"),
    ("name = \"loss\", ", "", "task.metric.name", 6, 10, "task.metric.name is missing"),
    ("metric = {", "metrik = {", "task.metric", 3, 1, "task.metric is missing"),
    ("[task]", "[task]\nprogress = 'step (\\d+)'", "task.progress", 4, 12, "lacks two groups"),
    ("[task]", "[task]\neditable = [\"a\", \"../b\"]", "task.editable[1]", 4, 18, "leaves the directory"),
    ("[task]", "[task]\nprotect = [\"/etc/x\"]", "task.protect[0]", 4, 12, "leaves the directory"),
    ("[task]", "[task]\ngpus = 65", "task.gpus", 4, 8, "65 is out of range"),
    ("[task]", "[task]\ntimeout = \"0s\"", "task.timeout", 4, 11, "out of range"),
    ("[task]", "[task]\nseed = \"MY SEED\"", "task.seed", 4, 8, "is no name of a variable"),
    ("[task]", "[task]\nnetwork = \"no\"", "task.network", 4, 11, "must be true or false"),
    ("[task]", "[task]\nbase = \"a b\"", "task.base", 4, 8, "is no branch"),
    ("[task]", "[task]\nshare = \"x\"", "task.share", 4, 9, "must be a list, not a string"),
    ("[task]", "[task]\nmust_print = [\"\"]", "task.must_print[0]", 4, 15, "is empty"),
];

#[test]
fn bad_swaps() {
    for (old, new, path, line, column, message) in SWAPPED {
        assert!(MINIMAL.contains(old), "{old}");
        let problems = bad(&MINIMAL.replacen(old, new, 1));
        let first = &problems[0];
        let found = (first.path.as_str(), first.line, first.column);
        assert_eq!(found, (*path, *line, *column), "{new}\n{problems:#?}");
        assert!(first.message.contains(message), "{new}\n{first:#?}");
    }
}

#[test]
fn all_problems_are_said_at_once_and_in_order() {
    let text = with(
        "[budget]\nusd = inf\nwal = 3\n[office]\ngrid = 4x2\n[[agents]]\nname = \"\"\nrole = 1\n",
    );
    let said: Vec<(usize, usize, String)> = bad(&text)
        .into_iter()
        .map(|problem| (problem.line, problem.column, problem.path))
        .collect();
    let places: Vec<(usize, usize, &str)> = said
        .iter()
        .map(|(line, column, path)| (*line, *column, path.as_str()))
        .collect();
    assert_eq!(
        places,
        [
            (8, 7, "budget.usd"),
            (9, 1, "budget.wal"),
            (11, 8, ""),
            (13, 8, "agents[0].name"),
            (14, 8, "agents[0].role"),
        ]
    );
}

#[test]
fn an_empty_chart_lacks_what_is_needed() {
    let said: Vec<String> = bad("").into_iter().map(|problem| problem.message).collect();
    assert_eq!(
        said,
        ["version is missing", "name is missing", "task is missing"]
    );
    assert!(
        bad("\n")[2].hint.contains("repo, run, metric"),
        "{:?}",
        bad("\n")[2]
    );
}

#[test]
fn columns_count_characters() {
    let problems = bad(&with(
        "[task.measure]\nflops = 'ü (x)' # ü\n[mock]\nenv = { \"Ä\" = \"ö\", B = 1 }",
    ));
    let last = &problems[problems.len() - 1];
    assert_eq!(
        (last.line, last.column, last.path.as_str()),
        (10, 24, "mock.env.B"),
        "{problems:#?}"
    );
}

#[test]
fn what_is_no_text_or_too_much_of_it() {
    let mut bytes = MINIMAL.as_bytes().to_vec();
    bytes.splice(14..14, [0xff]);
    let decoded = decode_bytes(&bytes, &context());
    let problem = &decoded.problems[0];
    assert_eq!((problem.line, problem.column), (2, 3), "{problem:?}");
    assert!(
        problem.message.contains("byte 14 (0xff) is not UTF-8"),
        "{problem:?}"
    );
    let decoded = decode_bytes(&vec![b'#'; 50 << 20], &context());
    assert!(
        decoded.problems[0].message.contains("at most 1048576"),
        "{decoded:?}"
    );
    let mut widest = MINIMAL.as_bytes().to_vec();
    widest.resize(BYTES_MAX, b'\n');
    assert!(decode_bytes(&widest, &context()).chart.is_some());
}

#[test]
fn long_and_hostile_texts_are_cut() {
    let long = "x".repeat(100_000);
    for text in [
        with(&format!("{long} = 1")),
        with(&format!("[{long}.a]\nb = 1")),
        with(&format!("[mock]\nenv = {{ {long} = 1 }}")),
        MINIMAL.replace("small", &long),
        with(&format!("[protocol]\nmatch = \"{long}\\u001b[31m\"")),
    ] {
        for problem in bad(&text) {
            let said = problem.message.len() + problem.path.len() + problem.hint.len();
            assert!(said < 4_000, "{said}: {problem:?}");
            assert!(!problem.message.contains('\u{1b}'));
        }
    }
    let many = with(&"k = 1\n".repeat(3)).replace("[task]", &"zz = 1\n".repeat(2_000));
    assert!(bad(&many).len() <= PROBLEMS_MAX + 1);
    let deep = with(&format!("x = {}", "[".repeat(200_000)));
    bad(&deep);
    let dotted = with(&format!("{}b = 1", "a.".repeat(200_000)));
    bad(&dotted);
}

#[test]
fn too_many_agents_are_not_made() {
    let table = "[[agents]]\nname = \"a{n}\"\ncount = 512\nrole = \"chief\"\nmodel = \"m\"\n";
    let problems = bad(&with(&table.repeat(100)));
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].message.contains("more than 512 agents"),
        "{problems:?}"
    );
}

#[test]
fn a_frozen_chart_is_read_without_compiling_its_patterns_again() {
    let text = MINIMAL.replace("([0-9.]+)", "([0-9.]+");
    assert!(!decode(&text, &context()).problems.is_empty());
    let again = Context {
        frozen: true,
        ..context()
    };
    let whole = decode(MINIMAL, &again);
    assert_eq!(whole.chart, decode(MINIMAL, &context()).chart);
    assert!(decode(&text, &again).problems.is_empty());
}

#[test]
fn home_and_odd_directories() {
    let text = MINIMAL.replace("../repo", "~/repo");
    let homeless = Context {
        home: None,
        ..context()
    };
    let problem = &decode(&text, &homeless).problems[0];
    assert!(problem.message.contains("HOME is not set"), "{problem:?}");
    use std::os::unix::ffi::OsStrExt as _;
    let base = Path::new(std::ffi::OsStr::from_bytes(b"/lab\xff/orgs"));
    let odd = Context { base, ..context() };
    let problem = &decode(MINIMAL, &odd).problems[0];
    assert!(problem.message.contains("not UTF-8"), "{problem:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let decoded = decode_bytes(&bytes, &context());
        prop_assert_eq!(decoded.chart.is_some(), decoded.problems.is_empty());
    }

    /// Pieces of the whole format, cut, doubled, swapped and overwritten.
    #[test]
    fn no_mutation_panics(edits in prop::collection::vec(
        (0..FULL.len(), 0..60_usize, "[\\[\\]{}=\"'.,#\\-\n a-e0-9ö\u{0}]{0,6}"), 1..6,
    )) {
        let mut text = FULL.to_owned();
        for (at, length, new) in edits {
            let from = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
            let from = from.unwrap_or(0);
            let to = (from + length).min(text.len());
            let to = (to..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(from);
            text.replace_range(from..to, &new);
        }
        let decoded = decode(&text, &context());
        prop_assert_eq!(decoded.chart.is_some(), decoded.problems.is_empty());
        for problem in &decoded.problems {
            prop_assert!(!problem.hint.is_empty() && problem.line > 0 && problem.column > 0);
        }
    }

    /// Lines of the whole format in any order and number: tables twice, keys in wrong tables.
    #[test]
    fn no_shuffle_panics(picks in prop::collection::vec(0..125_usize, 0..80)) {
        let lines: Vec<&str> = FULL.lines().collect();
        let text: Vec<&str> = picks.iter().filter_map(|at| lines.get(*at).copied()).collect();
        let decoded = decode(&text.join("\n"), &context());
        prop_assert_eq!(decoded.chart.is_some(), decoded.problems.is_empty());
    }
}
