//! Jobs as their keepers keep them, in processes of their own.

use super::*;
use crate::os::exec::{Detached, Exec, Input, Output};
use crate::os::lock;
use crate::os::process::Signal;
use std::path::Path;

/// Not a test but the keeper's process: a keeper takes a whole process, so the tests below
/// start this very binary again, with a description on standard input.
#[test]
#[ignore = "the body of the processes that the other tests start"]
fn keeper_process() {
    // Without a description this is somebody running all ignored tests.
    drop(run_from_stdin());
}

fn spec(dir: &Path, script: &str) -> JobSpec {
    JobSpec {
        argv: vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()],
        cwd: dir.to_owned(),
        env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
        stdin: None,
        stdout: Sink::Log(dir.join("log")),
        stderr: Sink::Same,
        policy: None,
        timeout_s: Some(30.0),
        grace_s: 0.2,
        output_cap: 1 << 20,
        result: dir.join("result"),
        lock: dir.join("lock"),
        marker: format!("test-{}-{}", std::process::id(), dir.display()),
        cpus: None,
        nice: None,
        announce: false,
        passing: false,
    }
}

fn keeper(spec: &JobSpec) -> Detached {
    Exec::this_program()
        .args([
            "--exact",
            "os::job::tests::keeper_process",
            "--ignored",
            "--nocapture",
        ])
        .stdin(Input::Bytes(serde_json::to_vec(spec).unwrap()))
        .stdout(Output::Pipe)
        .spawn_detached()
        .unwrap()
}

fn result(spec: &JobSpec) -> JobResult {
    serde_json::from_slice(&std::fs::read(&spec.result).unwrap()).unwrap()
}

fn kept(spec: &JobSpec) -> JobResult {
    keeper(spec).wait().unwrap();
    result(spec)
}

fn log(spec: &JobSpec) -> String {
    let Sink::Log(path) = &spec.stdout else {
        unreachable!("tests log")
    };
    std::fs::read_to_string(path).unwrap()
}

/// A fifo in the job's directory; reading it blocks until the script has written to it.
fn fifo(dir: &Path) -> std::path::PathBuf {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let path = dir.join("ready");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    path
}

/// What the script wrote into the fifo. A script that never runs must not hold the test for ever.
fn said(fifo: std::path::PathBuf) -> Vec<u8> {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || tell.send(std::fs::read(fifo).unwrap()).ok());
    told.recv_timeout(std::time::Duration::from_secs(60))
        .expect("the script said that it is up")
}

#[test]
fn a_command_is_run_and_measured() {
    let dir = tempfile::tempdir().unwrap();
    let mut spec = spec(
        dir.path(),
        "cat; echo err >&2; echo $A $ORG_JOB; pwd; exit 3",
    );
    spec.stdin = Some("in\n".to_owned());
    spec.env.insert("A".to_owned(), "b c".to_owned());
    spec.marker = "mark".to_owned();
    let result = kept(&spec);
    assert_eq!(
        log(&spec),
        format!("in\nerr\nb c mark\n{}\n", dir.path().display())
    );
    assert_eq!(
        (result.exit.clone(), result.cancelled),
        (Exit::Code(3), false)
    );
    assert_eq!((result.killed_leftovers, result.survivors), (0, 0));
    assert!(
        result.peak_rss_mb > 0.1 && result.wall_s < 30.0,
        "{result:?}"
    );
    assert_eq!(result.output_bytes, log(&spec).len() as u64);
    assert_eq!(lock::holder(&spec.lock), None);
    // The second time nothing runs.
    std::fs::remove_file(dir.path().join("log")).unwrap();
    assert_eq!(kept(&spec), result);
    assert!(!dir.path().join("log").exists());
}

#[test]
fn what_cannot_start_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let mut spec = spec(dir.path(), "");
    spec.argv = vec!["no-such-program".to_owned()];
    let Exit::NotStarted(reason) = kept(&spec).exit else {
        panic!("it started")
    };
    assert!(reason.contains("no-such-program"), "{reason}");
}

#[test]
fn a_job_that_ignores_term_is_killed_when_its_time_is_up() {
    let dir = tempfile::tempdir().unwrap();
    let mut spec = spec(
        dir.path(),
        "trap '' TERM; echo up; while :; do sleep 0.05; done",
    );
    spec.timeout_s = Some(0.5);
    let result = kept(&spec);
    assert_eq!((result.exit, log(&spec).as_str()), (Exit::Timeout, "up\n"));
    assert!(
        result.wall_s >= 0.5 && result.wall_s < 10.0,
        "{}",
        result.wall_s
    );
    assert!(process::marked(&spec.marker).is_empty());
}

#[test]
fn a_daemon_that_hides_does_not_outlive_its_job() {
    let dir = tempfile::tempdir().unwrap();
    // A session of its own, a parent that is gone, no mark, deaf to TERM and HUP.
    let script = "env -i setsid sh -c '(trap \"\" TERM HUP; echo $$ > pid; exec sleep 300) &' \
        </dev/null >/dev/null 2>&1; while [ ! -s pid ]; do sleep 0.01; done; echo done";
    let spec = spec(dir.path(), script);
    let result = kept(&spec);
    assert_eq!(
        (result.exit, result.killed_leftovers, result.survivors),
        (Exit::Code(0), 1, 0)
    );
    assert_eq!(log(&spec), "done\n");
}

#[test]
fn output_is_capped_with_both_ends_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut spec = spec(
        dir.path(),
        "echo first; head -c 3000000 /dev/zero; echo last",
    );
    spec.output_cap = 4096;
    let result = kept(&spec);
    assert_eq!((result.output_bytes, result.truncated), (3_000_011, true));
    let log = log(&spec);
    assert!(log.len() < 5000 && log.starts_with("first\n") && log.ends_with("last\n"));
}

#[test]
fn a_confined_job_writes_inside_and_cannot_reach_its_keeper() {
    let dir = tempfile::tempdir().unwrap();
    let inside = dir.path().join("in");
    std::fs::create_dir(&inside).unwrap();
    let script = "echo x > f && echo wrote; echo x > ../g || echo denied; \
        kill -9 $PPID || echo alive; cat ../result ../lock || echo blind; echo x > ../log || echo safe";
    let mut spec = spec(dir.path(), script);
    spec.cwd.clone_from(&inside);
    spec.policy = Some(Policy {
        write: vec![inside],
        ..Policy::default()
    });
    let result = kept(&spec);
    let enforced = result.sandbox.unwrap();
    if enforced["write_outside"] && enforced["signals_outside"] {
        let log = log(&spec);
        let said: Vec<&str> = log
            .lines()
            .filter(|line| !line.is_empty() && !line.contains(' '))
            .collect();
        assert_eq!(said, ["wrote", "denied", "alive", "blind", "safe"], "{log}");
    }
}

#[test]
fn term_to_the_keeper_ends_the_job_and_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let spec = spec(dir.path(), "echo up >ready; sleep 300 & sleep 300");
    let ready = fifo(dir.path());
    let mut keeper = keeper(&spec);
    assert_eq!(said(ready), b"up\n");
    // Somebody else asks for the same job meanwhile: nothing happens.
    assert!(self::keeper(&spec).wait().unwrap().is_some());
    let held = lock::holder(&spec.lock).unwrap();
    assert_eq!(held.pid, keeper.pid());
    assert!(process::signal(
        &process::stat(held.pid).unwrap(),
        Signal::TERM
    ));
    keeper.wait().unwrap();
    let result = result(&spec);
    assert_eq!((result.exit, result.cancelled), (Exit::Signal(15), true));
    assert!(process::marked(&spec.marker).is_empty());
}

#[test]
fn what_a_killed_keeper_leaves_is_found_by_its_mark() {
    let dir = tempfile::tempdir().unwrap();
    let spec = spec(dir.path(), "setsid sleep 300 & echo up >ready; sleep 300");
    let ready = fifo(dir.path());
    let mut keeper = keeper(&spec);
    assert_eq!(said(ready), b"up\n");
    keeper.kill().unwrap();
    assert_eq!(
        lock::holder(&spec.lock),
        None,
        "the job does not hold its keeper's lock"
    );
    assert!(!spec.result.exists() && process::marked(&spec.marker).len() >= 2);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let grace = std::time::Duration::from_secs(5);
    let ended = runtime.block_on(process::kill_tree(&spec.marker, grace));
    assert_eq!(
        (ended.killed, ended.survivors),
        (0, 0),
        "all of them heeded TERM"
    );
    assert!(process::marked(&spec.marker).is_empty());
}
