//! Commands, kept by real keepers.

use super::*;
use crate::os::lock;

fn jobs_running(world: &World) -> usize {
    let jobs = fs::read_dir(world.dir.jobs("ana")).into_iter().flatten();
    jobs.filter(|job| lock::holder(&job.as_ref().unwrap().path().join("lock")).is_some())
        .count()
}

/// Waits until a command has written a file; the test's own time limit ends what never comes.
async fn appears(path: &Path) {
    while !path.exists() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_command_is_answered_with_its_status_and_output() {
    let world = World::new();
    let desk = world.desk("ana");
    let shell = |command: &str| {
        let args = json!({ "command": command });
        let (desk, id) = (desk.clone(), sha256(command.as_bytes()));
        async move { call(&desk, &id, "shell", args).await }
    };
    assert_eq!(
        shell("echo a; echo b >&2").await,
        done("exit status 0\na\nb")
    );
    let failed = shell("exit 3").await;
    assert_eq!(failed, Outcome::failed("exit status 3"));
    let env = shell("echo $HOME; cat train.py | head -1; echo x > y && cat y").await;
    let home = world.dir.scratch("ana").join("home");
    assert_eq!(
        env.text,
        format!("exit status 0\n{}\nimport random\nx", home.display())
    );
    let args = json!({"command": "echo up; sleep 60", "timeout_s": 1});
    let late = call(&desk, "late", "shell", args).await;
    assert_eq!(late, Outcome::failed("ended after 1 s, its time limit\nup"));
    let long = shell("seq 1 20000").await;
    assert!(long.ok && long.text.len() < 34_000, "{}", long.text.len());
    assert!(long.text.contains("bytes are left out here") && long.text.ends_with("\n20000"));
    let path = long
        .text
        .lines()
        .find_map(|line| line.split("the file ").nth(1));
    let path = path.unwrap().split(' ').next().unwrap();
    let whole = call(
        &desk,
        "c",
        "read",
        json!({"path": path, "offset": 10000, "limit": 1}),
    )
    .await;
    assert_eq!(whole.text, "[lines 10000-10000 of 20000]\n10000\n");
    let other = world.file("ben", "train.py").display().to_string();
    let events = world.dir.events().display().to_string();
    let nosy = shell(&format!("cat {other} {events}; echo x >> {events}; true")).await;
    let enforced = crate::os::sandbox::probe();
    if enforced.get("read_outside").copied().unwrap_or(false) {
        assert!(
            !nosy.text.contains("random") && !nosy.text.contains("run.created"),
            "{nosy:?}"
        );
    }
    Log::open(&world.dir).unwrap();
}

#[tokio::test]
async fn a_dropped_call_ends_what_it_started() {
    let world = World::new();
    let desk = world.desk("ana");
    let up = world.file("ana", "up");
    let args = json!({"command": "touch up; sleep 300 & sleep 300"});
    tokio::select! {
        outcome = call(&desk, "c1", "shell", args.clone()) => panic!("{outcome:?}"),
        () = appears(&up) => {}
    }
    // The keeper was told; nobody waits for it, but its end comes.
    while jobs_running(&world) > 0 {
        tokio::task::yield_now().await;
    }
    let job = world.dir.jobs("ana").join("1-c1");
    assert!(job.join("result").exists());
    assert!(crate::os::process::marked(&job.display().to_string()).is_empty());
    let unknown = recover(&desk, "c1", "shell", args, None).await;
    assert!(
        !unknown.ok && unknown.text.starts_with("Outcome unknown"),
        "{unknown:?}"
    );
}

#[tokio::test]
async fn a_command_in_the_background_ends_with_the_agent() {
    let world = World::new();
    let desk = world.desk("ana");
    let args = json!({"command": "echo hi; touch up; sleep 300", "background": true});
    let started = call(&desk, "c1", "shell", args.clone()).await;
    assert!(
        started.ok && started.text.starts_with("bg-1-c1 runs"),
        "{started:?}"
    );
    appears(&world.file("ana", "up")).await;
    assert_eq!(jobs_running(&world), 1);
    let log = world.dir.jobs("ana").join("bg-1-c1/output");
    // What it says passes through its keeper, and what it does to a file does not.
    while !fs::read(&log).is_ok_and(|said| said.ends_with(b"\n")) {
        tokio::task::yield_now().await;
    }
    let read = call(
        &desk,
        "c",
        "read",
        json!({"path": log.display().to_string()}),
    )
    .await;
    assert_eq!(read, done("hi\n"));
    end_jobs(&world.dir, "ana").await;
    assert_eq!(jobs_running(&world), 0);
    let unknown = recover(&desk, "c1", "shell", args, None).await;
    assert!(unknown.text.contains("hi"), "{unknown:?}");
}

#[tokio::test]
async fn a_command_whose_agent_died_is_ended_and_its_outcome_unknown() {
    let world = World::new();
    let desk = world.desk("ana");
    let args = json!({"command": "echo so far; touch up; sleep 300"});
    let other = desk.clone();
    // The keeper outlives an agent that is killed; here the call is only forgotten.
    let up = world.file("ana", "up");
    let mut forgotten = Box::pin(async move { call(&other, "c1", "shell", args).await });
    tokio::select! {
        outcome = &mut forgotten => panic!("{outcome:?}"),
        () = appears(&up) => {}
    }
    assert_eq!(jobs_running(&world), 1);
    let args = json!({"command": ""});
    let unknown = recover(&world.desk("ana"), "c1", "shell", args, None).await;
    assert!(
        unknown.text.contains("so far") && !unknown.ok,
        "{unknown:?}"
    );
    assert_eq!(jobs_running(&world), 0);
    drop(forgotten);
}
