//! Journeys of the commands over run directories made by hand.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::place::Place;
use super::ui::Ui;
use super::{Cli, Context, dispatch, help};
use crate::cli::failure::{Failure, Kind as FailureKind};
use crate::domain::emit;
use crate::domain::event::{Actor, Kind};
use crate::os::lock::Lock;
use crate::run::index::Index;
use crate::run::log::Log;
use crate::run::paths::RunDir;
use crate::view::sample;

#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Page {
    fn take(&self) -> String {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap());
        String::from_utf8(bytes).unwrap()
    }
}

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct House {
    temp: tempfile::TempDir,
    out: Page,
    err: Page,
}

impl House {
    fn new() -> Self {
        Self {
            temp: tempfile::tempdir().unwrap(),
            out: Page::default(),
            err: Page::default(),
        }
    }

    /// A run whose log is the sample's under this id.
    fn run(&self, id: &str) -> RunDir {
        let dir = RunDir::at(self.temp.path().join("runs").join(id));
        for path in dir.skeleton() {
            fs::create_dir_all(path).unwrap();
        }
        let (chart, events) = sample::events();
        write(&dir.chart(), &emit::to_toml(&chart));
        let lines: Vec<String> = events
            .iter()
            .map(|event| serde_json::to_string(event).unwrap().replace("t-abcd", id) + "\n")
            .collect();
        write(&dir.events(), &lines.concat());
        dir
    }

    fn say(&self, words: &[&str]) -> Result<String, Failure> {
        let matches = help::command()
            .try_get_matches_from(std::iter::once("org").chain(words.iter().copied()))
            .unwrap();
        let cli = <Cli as clap::FromArgMatches>::from_arg_matches(&matches).unwrap();
        let context = self.context();
        let outcome = dispatch(&context, cli.command);
        outcome.map(|_| self.out.take())
    }

    fn context(&self) -> Context {
        Context {
            place: Place {
                cwd: self.temp.path().to_owned(),
                home: None,
                state_dir: None,
                index: Index {
                    file: Some(self.temp.path().join("index")),
                    here: self.temp.path().join("runs"),
                },
                only_here: false,
                colour: false,
            },
            ui: Ui::onto(self.out.clone(), self.err.clone()),
        }
    }

    fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.say(words).unwrap()).unwrap()
    }

    fn refused(&self, words: &[&str]) -> Failure {
        let failure = self.say(words).unwrap_err();
        assert!(!failure.hint.is_empty(), "{failure:?}");
        failure
    }
}

fn write(path: &Path, text: &str) {
    fs::File::create(path)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
}

fn supervise(dir: &RunDir) -> Lock {
    Lock::try_take(&dir.lock("supervisor")).unwrap().unwrap()
}

#[test]
fn ls_lists_what_it_cannot_read_too() {
    let house = House::new();
    house.run("t-good");
    let newer = house.run("t-newer");
    let text = fs::read_to_string(newer.events()).unwrap();
    write(
        &newer.events(),
        &text.replacen("\"format\":1", "\"format\":7", 1),
    );
    let broken = house.run("t-broken");
    write(&broken.events(), "no event\nat all\n");
    let list = house.json(&["ls", "--json"]);
    let states: Vec<(&str, &str)> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|run| (run["run"].as_str().unwrap(), run["state"].as_str().unwrap()))
        .collect();
    let wanted = [
        ("t-good", "lost"),
        ("t-newer", "unknown"),
        ("t-broken", "unknown"),
    ];
    assert_eq!(states, wanted);
    let notes = house.err.take();
    assert!(notes.contains("format 7"), "{notes}");
    assert!(house.say(&["ls"]).unwrap().contains("t-broken"));
}

#[test]
fn a_run_is_found_by_prefix_and_a_command_that_acts_wants_a_live_one() {
    let house = House::new();
    assert_eq!(house.refused(&["status"]).code(), 1);
    let (one, two) = (house.run("t-aab1"), house.run("t-aac2"));
    assert_eq!(house.json(&["status", "t-aab", "--json"])["run"], "t-aab1");
    assert_eq!(
        house.json(&["status", "--run", "t-aac", "--json"])["run"],
        "t-aac2"
    );
    assert_eq!(house.refused(&["status", "t-aa"]).code(), 2);
    let unknown = house.refused(&["status", "t-xx"]);
    assert_eq!(unknown.code(), 1);
    assert_eq!(house.refused(&["pause"]).code(), 1);
    let first = supervise(&one);
    house.say(&["pause"]).unwrap();
    let second = supervise(&two);
    let several = house.refused(&["pause"]);
    assert_eq!(several.code(), 2);
    assert!(
        several.message.contains("t-aab1") && several.message.contains("t-aac2"),
        "{several:?}"
    );
    drop((first, second));
}

#[test]
fn a_run_elsewhere_is_found_through_the_index_and_only_by_name_where_org_runs_is_set() {
    let house = House::new();
    let far = house.run("t-far");
    let away = house.temp.path().join("away");
    fs::create_dir(&away).unwrap();
    let path = away.join("t-far");
    fs::rename(far.path(), &path).unwrap();
    assert_eq!(house.refused(&["status"]).code(), 1);
    let index = house.temp.path().join("index");
    // By two ways, one of them a link.
    std::os::unix::fs::symlink(&away, house.temp.path().join("link")).unwrap();
    let link = house.temp.path().join("link/t-far");
    write(&index, &format!("{}\n{}\n", path.display(), link.display()));
    assert_eq!(house.json(&["status", "--json"])["run"], "t-far");
    assert_eq!(house.json(&["status", "t-f", "--json"])["run"], "t-far");
    house.run("t-near");
    let mut context = house.context();
    context.place.only_here = true;
    let ids: Vec<String> = context.place.runs().iter().map(RunDir::id).collect();
    assert_eq!(ids, ["t-near"]);
    assert_eq!(context.place.reading(Some("t-far")).unwrap().id(), "t-far");
}

#[test]
fn status_tells_of_a_lost_run_and_of_a_live_one() {
    let house = House::new();
    let dir = house.run("t-1");
    let status = house.json(&["status", "--json"]);
    assert_eq!(status["state"], "lost");
    assert_eq!(status["agents"][0]["pid"], Value::Null);
    let held = [
        supervise(&dir),
        Lock::try_take(&dir.agent_lock("ana")).unwrap().unwrap(),
    ];
    let status = house.json(&["status", "--json"]);
    assert_eq!(status["state"], "running");
    assert_eq!(status["agents"][0]["pid"], std::process::id());
    assert_eq!(status["dir"], dir.path().to_str().unwrap());
    drop(held);
    for words in [&["status"][..], &["ledger"], &["report"], &["logs"]] {
        assert!(!house.say(words).unwrap().is_empty(), "{words:?}");
    }
    assert!(
        house
            .say(&["report", "--tsv"])
            .unwrap()
            .starts_with("commit\t")
    );
}

#[test]
fn send_writes_to_the_log_and_to_the_mailboxes() {
    let house = House::new();
    let dir = house.run("t-1");
    let lock = supervise(&dir);
    assert_eq!(
        house.say(&["send", "researcher", "!look", "up"]).unwrap(),
        "sent m3\n"
    );
    let log = Log::open(&dir).unwrap();
    let mail = &log.state().mails[&3];
    assert_eq!((mail.from.as_str(), mail.now), ("human", true));
    assert_eq!(mail.to, ["ana", "ben"]);
    assert!(log.state().agents["ben"].unread.contains(&3));
    let file = dir.mailbox("ben").join("new/m3");
    assert!(fs::read_to_string(file).unwrap().contains("look up"));
    let inbox = house.json(&["inbox", "ana", "--json"]);
    assert_eq!(inbox[1]["id"], "m3");
    assert_eq!(
        (&inbox[0]["state"], &inbox[1]["state"]),
        (&"read".into(), &"new".into())
    );
    house.say(&["send", "ana", "hello", "--now"]).unwrap();
    let log = Log::open(&dir).unwrap();
    let last = &log.state().mails[&4];
    assert_eq!((last.body.head(), last.now), ("hello", true));
    let nobody = house.refused(&["send", "anna", "hello"]);
    assert_eq!(nobody.code(), 1);
    assert!(nobody.hint.contains("ana, ben"), "{nobody:?}");
    assert_eq!(house.refused(&["inbox", "zoe"]).code(), 1);
    drop(lock);
}

#[test]
fn a_long_message_is_shown_whole() {
    let house = House::new();
    let dir = house.run("t-1");
    let lock = supervise(&dir);
    let long = "word ".repeat(4_000);
    house.say(&["send", "ana", &long]).unwrap();
    let inbox = house.json(&["inbox", "ana", "--json"]);
    assert_eq!(inbox[1]["body"], long.trim());
    drop(lock);
}

#[test]
fn pausing_twice_is_one_event_and_one_cannot_resume_alone() {
    let house = House::new();
    let dir = house.run("t-1");
    let lock = supervise(&dir);
    let seq = || Log::open(&dir).unwrap().state().seq;
    let before = seq();
    house.say(&["pause", "ana"]).unwrap();
    house.say(&["pause", "ana"]).unwrap();
    assert_eq!(seq(), before + 1);
    house.say(&["pause"]).unwrap();
    assert_eq!(house.refused(&["resume", "ana"]).code(), 1);
    house.say(&["resume"]).unwrap();
    let log = Log::open(&dir).unwrap();
    assert!(!log.state().paused && !log.state().agents["ana"].paused);
    assert_eq!(seq(), before + 3);
    drop(lock);
}

#[test]
fn restart_waits_until_the_agent_has_started() {
    let house = House::new();
    let dir = house.run("t-1");
    assert_eq!(house.refused(&["restart", "ana", "--run", "t-1"]).code(), 1);
    let lock = supervise(&dir);
    std::thread::scope(|scope| {
        let agent = scope.spawn(|| {
            let mut log = Log::open(&dir).unwrap();
            while !log.state().agents["ana"].restart {
                log.catch_up().unwrap();
                std::thread::yield_now();
            }
            let started = Kind::AgentStarted {
                agent: "ana".to_owned(),
                pid: 43,
            };
            log.append(&Actor::named("ana"), vec![started]).unwrap();
        });
        house.say(&["restart", "ana"]).unwrap();
        agent.join().unwrap();
    });
    drop(lock);
}

#[test]
fn reading_marks_nothing_unless_asked() {
    let house = House::new();
    house.run("t-1");
    house.say(&["inbox"]).unwrap();
    let state = |house: &House| house.json(&["inbox", "--json"])[0]["state"].clone();
    assert_eq!(state(&house), "new");
    assert!(house.say(&["inbox", "--read"]).unwrap().contains("(new)"));
    assert_eq!(state(&house), "read");
    assert_eq!(house.refused(&["inbox", "ana", "--read"]).code(), 2);
}

#[test]
fn logs_prints_lines_as_the_log_has_them() {
    let house = House::new();
    let dir = house.run("t-1");
    let raw = fs::read_to_string(dir.events()).unwrap();
    assert_eq!(house.say(&["logs", "--json"]).unwrap(), raw);
    let ben = house.say(&["logs", "ben", "--json"]).unwrap();
    assert!(
        !ben.is_empty()
            && ben
                .lines()
                .all(|line| raw.contains(line) && line.contains("ben"))
    );
    assert_eq!(house.refused(&["logs", "zoe"]).code(), 1);
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let failure = Ui::onto(Gone, Gone).out("x").unwrap_err();
    assert_eq!((failure.kind, failure.code()), (FailureKind::Quiet, 0));
}

#[test]
fn check_tells_all_problems_with_their_places() {
    let house = House::new();
    let file = house.temp.path().join("bad.toml");
    write(&file, "version = 1\nnmae = \"x\"\n");
    let file = file.to_str().unwrap();
    let found = house.json(&["check", file, "--json"]);
    assert_eq!(sample::keys(&found), ["ok", "problems", "warnings"]);
    assert_eq!(found["ok"], false);
    let keys = ["column", "hint", "line", "message", "path"];
    assert_eq!(sample::keys(&found["problems"][0]), keys);
    let problems = found["problems"].as_array().unwrap();
    assert!(problems.len() > 1, "all at once: {problems:?}");
    assert!(
        house
            .say(&["check", file])
            .unwrap()
            .contains("bad.toml:2:1")
    );
    assert_eq!(house.refused(&["check", "no.toml"]).code(), 2);
}
