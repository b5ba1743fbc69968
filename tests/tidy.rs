//! The rules of the house, as tests: who may use whom, how long things may get, what may not be
//! written, and that the pages agree with the program.
//!
//! Owns no rule that clippy or the compiler can hold. Reads the tree as text and one binary's help;
//! must not need a library, and judges production code only where it says so.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read the tree has failed"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Which room may name which, beside itself. `main.rs` and `lib.rs` stand above all rooms.
const ROOMS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("os", &[]),
    ("run", &["domain", "os"]),
    ("provider", &["domain", "os"]),
    ("mock", &["domain", "os"]),
    ("lab", &["domain", "os"]),
    ("office", &["domain", "os"]),
    ("repo", &["domain", "os"]),
    ("tool", &["domain", "os", "run", "repo"]),
    ("pane", &["domain", "os", "run"]),
    ("view", &["domain", "run"]),
    (
        "engine",
        &[
            "domain", "os", "run", "provider", "mock", "lab", "office", "repo", "tool", "pane",
        ],
    ),
    (
        "cli",
        &[
            "domain", "os", "run", "provider", "mock", "lab", "office", "repo", "tool", "pane",
            "view", "engine",
        ],
    ),
];

/// What would let time, chance or the world into `domain`.
const OUTSIDE: &[&str] = &[
    "std::fs",
    "std::env",
    "std::process",
    "std::net",
    "std::thread",
    "tokio",
    "HashMap",
    "HashSet",
    "Instant::now",
    "SystemTime",
    "Timestamp::now",
    "rustix",
    "reqwest",
    "git2",
];

const FILE_LINES: usize = 500;
/// The list of everything that can happen is one enum, and an enum has one place.
const WHOLE_LISTS: &[&str] = &["src/domain/event/kind.rs"];
const FUNCTION_LINES: usize = 70;
const LITERAL_LINES: usize = 15;
const BANNED_NAMES: &[&str] = &[
    "utils", "util", "helpers", "helper", "common", "types", "manager", "misc", "errors",
];

#[path = "tidy/source.rs"]
mod source;

use source::{Source, files, mentions, read, root, sources};

fn none(what: &str, complaints: Vec<String>) {
    assert!(
        complaints.is_empty(),
        "{what}:\n  {}\n",
        complaints.join("\n  ")
    );
}

#[test]
fn a_room_names_only_rooms_beneath_it() {
    let mut complaints = Vec::new();
    let dirs: BTreeSet<String> = sources("src")
        .iter()
        .filter(|s| s.path.matches('/').count() > 1)
        .map(|s| s.room().to_owned())
        .collect();
    let known: BTreeSet<String> = ROOMS.iter().map(|(room, _)| (*room).to_owned()).collect();
    assert_eq!(dirs, known, "the rooms of src/ and of the table");
    for source in sources("src") {
        let Some((room, beneath)) = ROOMS.iter().find(|(room, _)| *room == source.room()) else {
            continue;
        };
        for (line, name) in mentions(&source.production) {
            let strange =
                known.contains(&name) && name != *room && !beneath.contains(&name.as_str());
            if strange {
                complaints.push(format!(
                    "{}:{line}: {room} may not know {name}",
                    source.path
                ));
            }
        }
    }
    none("knowledge goes downwards only", complaints);
}

#[test]
fn domain_knows_no_outside() {
    let mut complaints = Vec::new();
    for source in sources("src/domain") {
        for (at, line) in source.production.iter().enumerate() {
            let outside = OUTSIDE.iter().filter(|word| line.contains(**word));
            complaints.extend(outside.map(|word| format!("{}:{}: {word}", source.path, at + 1)));
        }
    }
    none("domain is pure", complaints);
}

#[test]
fn every_file_says_what_it_owns_and_has_a_noun_for_a_name() {
    let mut complaints = Vec::new();
    for source in sources("src").iter().chain(&sources("tests")) {
        if !source.text.starts_with("//! ") {
            complaints.push(format!("{} does not open with //!", source.path));
        }
        let stem = Path::new(&source.path)
            .file_stem()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        if BANNED_NAMES.contains(&stem.as_str()) {
            complaints.push(format!("{}: a name that says nothing", source.path));
        }
    }
    none("files say what they are", complaints);
}

#[test]
fn files_functions_and_literals_fit_on_a_screen() {
    let mut complaints = Vec::new();
    for source in sources("src") {
        let lines = source.production.len();
        if lines > FILE_LINES && !WHOLE_LISTS.contains(&source.path.as_str()) {
            complaints.push(format!(
                "{}: {lines} lines, at most {FILE_LINES}",
                source.path
            ));
        }
        for (line, length) in source.functions() {
            if length > FUNCTION_LINES {
                complaints.push(format!(
                    "{}:{line}: a function of {length} lines",
                    source.path
                ));
            }
        }
        for &(line, length) in &source.strings {
            if length > LITERAL_LINES && line <= lines {
                complaints.push(format!(
                    "{}:{line}: a literal of {length} lines: prompts/",
                    source.path
                ));
            }
        }
    }
    none("nothing is too long", complaints);
}

/// Where one function is no test but the body of a process that the tests beside it start from their own
/// binary.
const PLAYERS: [&str; 2] = ["src/os/job/tests.rs", "src/pane/journey.rs"];

#[test]
fn nothing_is_left_undone_or_excused() {
    let banned = ["todo!", "unimplemented!", "#[allow(", "#![allow("];
    let mut complaints = Vec::new();
    for source in sources("src").iter().chain(&sources("tests")) {
        let ignored = source.code.iter().filter(|line| line.contains("#[ignore"));
        let (ignored, allowed) = (
            ignored.count(),
            PLAYERS.iter().filter(|path| **path == source.path),
        );
        if ignored > allowed.count() {
            complaints.push(format!("{}: a test that is ignored", source.path));
        }
        for (at, line) in source.code.iter().enumerate() {
            let found = banned.iter().filter(|word| line.contains(**word));
            complaints.extend(found.map(|word| format!("{}:{}: {word}", source.path, at + 1)));
        }
    }
    none("no stub, and no excuse without a reason", complaints);
}

#[test]
fn nothing_speaks_of_the_place_where_it_was_written() {
    let words = [
        concat!("/wo", "rk/"),
        concat!("../sha", "red"),
        concat!(".libr", "ary"),
        concat!("/tmp", "/h/"),
        concat!("crates", ".io/"),
    ];
    let mut complaints = Vec::new();
    for path in files(".") {
        let Ok(text) = fs::read_to_string(root().join(&path)) else {
            continue;
        };
        for (at, line) in text.lines().enumerate() {
            for word in words {
                // A run's own directory may stand before `work`.
                let own = |at: usize| {
                    line[..at].ends_with(|c: char| c.is_alphanumeric() || ">}-*".contains(c))
                };
                if line.match_indices(word).any(|(at, _)| !own(at)) {
                    complaints.push(format!("{}:{}: {word}", path.display(), at + 1));
                }
            }
        }
    }
    none("no word of any other place", complaints);
}

#[test]
fn every_test_file_is_compiled() {
    let main = read("tests/it/main.rs");
    let listed = |name: &str| {
        main.lines()
            .any(|line| line.trim() == format!("mod {name};"))
    };
    let its = files("tests/it")
        .into_iter()
        .filter(|path| path.components().count() == 3);
    let stems = its.filter(|path| path.extension().is_some_and(|e| e == "rs"));
    let forgotten = stems.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned());
    none(
        "tests/it/main.rs lists",
        forgotten
            .filter(|name| name != "main" && !listed(name))
            .collect(),
    );
}

#[test]
fn the_pages_are_short_and_complete() {
    let (architecture, readme) = (read("ARCHITECTURE.md"), read("README.md"));
    assert!(
        architecture.lines().count() <= 200,
        "ARCHITECTURE.md is too long"
    );
    assert!(readme.lines().count() <= 180, "README.md is too long");
    let unnamed = ROOMS
        .iter()
        .filter(|(room, _)| !architecture.contains(&format!("`{room}`")));
    none(
        "rooms that ARCHITECTURE.md does not name",
        unnamed.map(|(room, _)| (*room).to_owned()).collect(),
    );
    let makefile = read("Makefile");
    let targets = ["demo", "test", "lint", "bench"];
    assert!(
        targets
            .iter()
            .all(|target| makefile.contains(&format!("\n{target}:"))),
        "{targets:?}"
    );
}

/// What the program answers on standard output.
fn org(args: &[&str]) -> String {
    #[expect(clippy::disallowed_methods, reason = "the program itself is asked")]
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_org"))
        .args(args)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "org {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn commands_that_the_pages_name_exist_with_their_flags() {
    let help = org(&["--help"]);
    let exists = |name: &str| {
        help.lines()
            .any(|line| line.starts_with("  ") && line.split_whitespace().next() == Some(name))
    };
    let mut complaints = Vec::new();
    let mut seen = 0;
    for page in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "Makefile",
    ] {
        for (at, line) in read(page).lines().enumerate() {
            for usage in commands(line) {
                let mut words = usage.split_whitespace();
                let name = words.next().unwrap();
                let hidden = ["supervise", "agent", "pane", "job", "mock"].contains(&name);
                seen += 1;
                if name == "help" {
                    continue;
                }
                if !exists(name) && !hidden {
                    complaints.push(format!("{page}:{}: there is no `org {name}`", at + 1));
                    continue;
                }
                let own = org(&[name, "--help"]);
                for flag in words.filter(|word| word.starts_with("--")) {
                    let flag = flag.trim_end_matches(|c: char| !c.is_alphanumeric());
                    if !own.contains(flag) {
                        complaints.push(format!("{page}:{}: `org {name}` takes no {flag}", at + 1));
                    }
                }
            }
        }
    }
    assert!(
        seen > 10,
        "the pages name {seen} commands: they are not found"
    );
    none("the pages name what exists", complaints);
    let readme = read("README.md");
    let listed = help.lines().skip_while(|line| !line.ends_with("it:"));
    let listed = listed.take_while(|line| !line.starts_with("Options:"));
    let names = listed.filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next());
    let untold = names.filter(|name| !readme.contains(&format!("`org {name}`")));
    none(
        "commands that README.md does not name",
        untold.map(str::to_owned).collect(),
    );
}

/// What follows `org` in a line: at its start, or in backquotes.
fn commands(line: &str) -> Vec<&str> {
    let code = line
        .split('`')
        .skip(1)
        .step_by(2)
        .chain([line.trim_start_matches(['$', '#', ' ', '\t'])]);
    let after = code.filter_map(|code| {
        let code = code
            .strip_prefix("target/release/")
            .or(code.strip_prefix("$(ORG) ").map(|_| &code[3..]))
            .unwrap_or(code);
        code.strip_prefix("org ")
            .or_else(|| code.strip_prefix("RG) "))
    });
    after
        .filter(|usage| usage.starts_with(|c: char| c.is_ascii_lowercase()))
        .collect()
}

#[test]
fn the_schema_beside_the_charts_is_current() {
    assert_eq!(
        read("orgs/org.schema.json").trim(),
        org(&["schema"]).trim(),
        "org schema > orgs/org.schema.json"
    );
}

#[test]
fn these_rules_can_fail() {
    let text = "//! x\nuse crate::{domain::a, view::{b, c}};\nfn f() {\n    todo!(\"crate::cli\") // crate::lab\n}\n\
                #[cfg(test)]\nmod t {\n    use crate::cli;\n}\nfn g() -> char {\n    '\"'\n}\n";
    let source = Source::new("src/os/x.rs", Some(text));
    let named: Vec<String> = mentions(&source.production)
        .into_iter()
        .map(|(_, name)| name)
        .collect();
    assert_eq!(named, ["domain", "view"]);
    assert_eq!(source.functions(), [(3, 3), (10, 3)]);
    assert!(source.code[3].contains("todo!(\"\")"), "{:?}", source.code);
    let raw = Source::new("src/os/x.rs", Some("const A: &str = r#\"\na\n\"\n\"#;\n"));
    assert_eq!(raw.strings, [(1, 4)]);
    assert_eq!(
        commands("run `org report --json`, or `make demo`"),
        ["report --json"]
    );
}
