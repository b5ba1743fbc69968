//! An honest agent at work: its git does what git does, and the snapshots follow.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::super::{RepoError, branches, read_blob, seat, snapshot, tip};
use super::{AT, World, git, put, take, text};

fn file(world: &World, commit: &str, path: &str) -> Option<String> {
    let bytes = read_blob(&world.repo_git(), commit, path).unwrap();
    bytes.map(|bytes| String::from_utf8(bytes).unwrap())
}

#[test]
fn a_fresh_seat_is_clean_and_complete() {
    let world = World::new();
    let place = world.seat("ana");
    assert_eq!(git(&place, &["status", "--porcelain"]), "");
    assert_eq!(git(&place, &["branch", "--show-current"]), "agent/ana");
    assert_eq!(
        git(&place, &["rev-parse", "programme"]),
        world.founded.commit
    );
    assert_eq!(git(&place, &["ls-files", "-s"]).lines().count(), 4);
    assert_eq!(git(&place, &["fsck", "--full"]), "");
    let mode = fs::metadata(place.worktree.join("run.sh"))
        .unwrap()
        .permissions()
        .mode();
    assert!(mode & 0o100 != 0);
    // Nothing of the person's is needed to commit.
    put(&place.worktree.join("train.py"), "LR = 2\n");
    git(&place, &["commit", "-qam", "faster"]);
    assert_eq!(
        git(&place, &["log", "-1", "--format=%an %ae"]),
        "ana ana@org"
    );
    assert_eq!(
        tip(&world.repo_git(), "agent/ana").unwrap(),
        world.founded.commit
    );
}

#[test]
fn a_seat_is_made_once_and_a_half_made_one_again() {
    let world = World::new();
    let place = world.place("ana");
    put(&place.worktree.join("half"), "");
    put(&place.agent_git.join("HEAD"), "half");
    seat(&place, &world.founded.commit).unwrap();
    assert!(!place.worktree.join("half").exists());

    put(&place.worktree.join("mine"), "work");
    put(&place.agent_git.join("config"), "garbage [");
    seat(&place, &world.founded.commit).unwrap();
    assert_eq!(text(&place.worktree.join("mine")), "work");
    assert_eq!(text(&place.agent_git.join("config")), "garbage [");

    fs::remove_dir_all(&place.worktree).unwrap();
    let error = seat(&place, &world.founded.commit).unwrap_err();
    assert!(matches!(error, RepoError::SeatDamaged { .. }), "{error}");
    for name in ["", "a/b", "..", "-x", "a.lock", "a b", "é"] {
        let mut place = world.place("ana");
        place.agent = name.into();
        let error = seat(&place, &world.founded.commit).unwrap_err();
        assert!(matches!(error, RepoError::BadName(_)), "{name}: {error}");
    }
    let nobody = world.place("nobody");
    assert!(matches!(
        snapshot(&nobody, "m", AT),
        Err(RepoError::NoSeat(_))
    ));
}

#[test]
fn uncommitted_work_becomes_a_chain_on_the_agents_commit() {
    let world = World::new();
    let place = world.seat("ana");
    let first = take(&place);
    assert!(!first.changed);
    assert_eq!(
        (&*first.commit, &first.branch_ignored),
        (&*world.founded.commit, &None)
    );

    let at = |path: &str| place.worktree.join(path);
    put(&at("train.py"), "LR = 2\n");
    put(&at("new/tool.sh"), "#!/bin/sh\n");
    fs::set_permissions(at("new/tool.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("/etc/passwd", at("outside")).unwrap();
    fs::remove_file(at("src/model.py")).unwrap();
    let one = take(&place);
    assert!(one.changed && one.left_out.is_empty());
    assert_eq!(file(&world, &one.commit, "train.py").unwrap(), "LR = 2\n");
    assert_eq!(file(&world, &one.commit, "outside").unwrap(), "/etc/passwd");
    assert_eq!(file(&world, &one.commit, "src/model.py"), None);
    assert_eq!(
        take(&place),
        super::super::Snapshot {
            changed: false,
            ..one.clone()
        }
    );

    put(&at("train.py"), "LR = 3\n");
    let two = take(&place);
    let log = super::super::log(&world.repo_git(), "agent/ana", 9).unwrap();
    let commits: Vec<&str> = log.iter().map(|entry| &*entry.commit).collect();
    assert_eq!(
        commits,
        [&*two.commit, &*one.commit, &*world.founded.commit]
    );
    assert_eq!((log[0].at, &*log[0].author), (AT, "org"));
    // The agent's own git saw nothing of it.
    assert_eq!(git(&place, &["rev-parse", "HEAD"]), world.founded.commit);

    git(&place, &["add", "-A"]);
    git(&place, &["commit", "-qm", "mine"]);
    let mine = git(&place, &["rev-parse", "HEAD"]);
    let three = take(&place);
    assert_eq!(three.commit, mine);
    let kept = format!("refs/org/tips/ana/{}", two.commit);
    assert_eq!(tip(&world.repo_git(), &kept).unwrap(), two.commit);
    let expected = [
        ("agent/ana".to_owned(), mine),
        ("programme".to_owned(), world.founded.commit.clone()),
    ];
    assert_eq!(branches(&world.repo_git()).unwrap(), expected);
}

#[test]
fn ignored_files_stay_out_unless_they_are_committed() {
    let world = World::new();
    let place = world.seat("ana");
    let at = |path: &str| place.worktree.join(path);
    put(&at("out/kept.txt"), "v1");
    git(&place, &["add", "-A"]);
    git(&place, &["commit", "-qm", "kept"]);
    put(&at(".gitignore"), "out/\n*.bin\n");
    put(&at("out/kept.txt"), "v2");
    put(&at("out/other.txt"), "x");
    put(&at("big.bin"), "x");
    put(&at("src/__pycache__/model.pyc"), "x");
    let commit = take(&place).commit;
    assert_eq!(file(&world, &commit, "out/kept.txt").unwrap(), "v2");
    for path in ["out/other.txt", "big.bin", "src/__pycache__/model.pyc"] {
        assert_eq!(file(&world, &commit, path), None, "{path}");
    }
    // The agent's git and ours agree on what there is to commit.
    git(&place, &["add", "-A"]);
    assert_eq!(
        git(&place, &["write-tree"]),
        git(&place, &["rev-parse", &format!("{commit}^{{tree}}")])
    );
}

#[test]
fn whatever_git_does_the_snapshot_follows() {
    let world = World::new();
    let place = world.seat("ana");
    let at = |path: &str| place.worktree.join(path);
    for n in 0..3 {
        put(&at("train.py"), &format!("LR = {n}\n"));
        git(&place, &["commit", "-qam", &format!("c{n}")]);
    }
    let replaced = take(&place).commit;
    assert_eq!(replaced, git(&place, &["rev-parse", "HEAD"]));

    put(&at("train.py"), "LR = stashed\n");
    git(&place, &["stash", "-q"]);
    assert!(!take(&place).changed);
    git(&place, &["stash", "pop", "-q"]);
    git(&place, &["commit", "-qa", "--amend", "-m", "amended"]);
    assert_eq!(take(&place).commit, git(&place, &["rev-parse", "HEAD"]));

    git(&place, &["checkout", "-q", "-b", "side", "HEAD~1"]);
    put(&at("side.py"), "x\n");
    git(&place, &["add", "-A"]);
    git(&place, &["commit", "-qm", "side"]);
    git(&place, &["checkout", "-q", "agent/ana"]);
    git(&place, &["merge", "-q", "--no-edit", "side"]);
    git(&place, &["tag", "-m", "t", "v1"]);
    git(
        &place,
        &["rebase", "-q", "--force-rebase", &world.founded.commit],
    );
    assert_eq!(take(&place).commit, git(&place, &["rev-parse", "HEAD"]));

    put(&at("last.py"), "x\n");
    git(&place, &["add", "-A"]);
    git(&place, &["commit", "-qm", "last"]);
    git(&place, &["pack-refs", "--all"]);
    git(&place, &["gc", "-q", "--prune=now"]);
    git(&place, &["reflog", "expire", "--expire=now", "--all"]);
    assert!(!place.agent_git.join("refs/heads/agent/ana").exists());
    let packed = take(&place);
    assert_eq!(
        (packed.commit, packed.branch_ignored),
        (git(&place, &["rev-parse", "HEAD"]), None)
    );
    // What was amended away is still there.
    let kept = format!("refs/org/tips/ana/{replaced}");
    assert_eq!(tip(&world.repo_git(), &kept).unwrap(), replaced);
    git(&place, &["fsck", "--full"]);
    let home = super::super::Place {
        worktree: world.repo_git(),
        ..place
    };
    git(&home, &["fsck", "--full", "--strict"]);
}

#[test]
fn eight_seats_at_once() {
    let world = World::new();
    let names: Vec<String> = (0..8).map(|n| format!("a{n}")).collect();
    std::thread::scope(|scope| {
        for name in &names {
            scope.spawn(|| {
                let place = world.seat(name);
                put(&place.worktree.join("train.py"), name);
                take(&place)
            });
        }
    });
    assert_eq!(branches(&world.repo_git()).unwrap().len(), 9);
    for name in &names {
        let commit = tip(&world.repo_git(), &format!("agent/{name}")).unwrap();
        assert_eq!(file(&world, &commit, "train.py").as_ref(), Some(name));
    }
}

#[test]
fn two_snapshots_of_one_agent_at_once_are_one_commit() {
    let world = World::new();
    let place = world.seat("ana");
    put(&place.worktree.join("train.py"), "LR = 5\n");
    let commits = std::thread::scope(|scope| {
        let takes: Vec<_> = (0..4).map(|_| scope.spawn(|| take(&place))).collect();
        takes
            .into_iter()
            .map(|take| take.join().unwrap().commit)
            .collect::<Vec<_>>()
    });
    assert!(
        commits.iter().all(|commit| *commit == commits[0]),
        "{commits:?}"
    );
}
