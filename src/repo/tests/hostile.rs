//! An agent that does its worst within what it can write: its worktree and its own repository.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use git2::{ObjectType, Oid, Repository};

use super::super::incoming::MAX_FILE;
use super::super::{RepoError, Snapshot, read_blob, snapshot, tip};
use super::{AT, World, agent_git, git, imprint, put, take};

fn ref_file(place: &super::Place) -> std::path::PathBuf {
    place.agent_git.join("refs/heads/agent").join(&place.agent)
}

fn fifo(path: &Path) {
    let mode = rustix::fs::Mode::from_raw_mode(0o666);
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
}

#[test]
fn nothing_that_an_agent_plants_is_ever_run() {
    let world = World::new();
    let place = world.seat("ana");
    let canary = world.at("canary");
    let touch = world.at("run/work/touch.sh");
    put(
        &touch,
        &format!("#!/bin/sh\ntouch {}\ncat\n", canary.display()),
    );
    fs::set_permissions(&touch, fs::Permissions::from_mode(0o755)).unwrap();
    let touch = touch.display();

    let evil = place.worktree.join("evil.git");
    let planted = format!(
        "[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tfsmonitor = {touch}\n\
         \thooksPath = {0}\n\tattributesFile = {0}/attributes\n\tworktree = {1}\n\
         [filter \"x\"]\n\tclean = {touch}\n\tsmudge = {touch}\n\tprocess = {touch}\n\trequired = true\n\
         [diff \"x\"]\n\tcommand = {touch}\n\ttextconv = {touch}\n\
         [merge \"x\"]\n\tdriver = {touch}\n[include]\n\tpath = {1}/more\n\
         [gpg]\n\tprogram = {touch}\n[commit]\n\tgpgSign = true\n",
        evil.join("hooks").display(),
        place.worktree.display(),
    );
    for root in [&evil, &place.agent_git] {
        put(&root.join("config"), &planted);
        put(&root.join("info/attributes"), "* filter=x diff=x merge=x\n");
        for hook in [
            "pre-commit",
            "post-checkout",
            "reference-transaction",
            "post-index-change",
        ] {
            let path = root.join("hooks").join(hook);
            put(&path, &format!("#!/bin/sh\ntouch {}\n", canary.display()));
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
    put(&evil.join("HEAD"), "ref: refs/heads/x\n");
    fs::create_dir_all(evil.join("objects")).unwrap();
    fs::create_dir_all(evil.join("refs")).unwrap();
    put(
        &place.worktree.join(".gitattributes"),
        "* filter=x diff=x merge=x\n*.py text eol=crlf\n",
    );
    put(
        &place.worktree.join(".git"),
        &format!("gitdir: {}\n", evil.display()),
    );
    put(&place.worktree.join("train.py"), "LR = 7\r\n");

    let taken = take(&place);
    let bytes = read_blob(&world.repo_git(), &taken.commit, "train.py")
        .unwrap()
        .unwrap();
    assert_eq!(bytes, b"LR = 7\r\n");
    super::super::diff_text(
        &world.repo_git(),
        &world.founded.commit,
        &taken.commit,
        9999,
    )
    .unwrap();
    super::super::checkout(&world.repo_git(), &taken.commit, &world.at("out")).unwrap();
    let base = &world.founded.commit;
    super::super::merge(&world.repo_git(), "programme", base, &taken.commit, "m", AT).unwrap();
    super::super::seat(&place, &world.founded.commit).unwrap();
    assert!(!canary.exists());
    // The trap is a real one: the git program falls into it.
    agent_git(&place, &["add", "-A"]);
    assert!(canary.exists());
}

#[test]
fn a_branch_that_cannot_be_believed_is_ignored_and_the_files_are_saved() {
    type Trick = fn(&super::Place, &World);
    let tricks: [(&str, Trick); 9] = [
        ("missing", |place, _| {
            fs::remove_file(ref_file(place)).unwrap();
        }),
        ("a link to another's", |place, world| {
            fs::remove_file(ref_file(place)).unwrap();
            symlink(
                world.at("run/git/ben.git/refs/heads/agent/ben"),
                ref_file(place),
            )
            .unwrap();
        }),
        ("a directory that is a link", |place, world| {
            fs::remove_dir_all(place.agent_git.join("refs/heads/agent")).unwrap();
            let others = world.at("run/git/ben.git/refs/heads/agent");
            symlink(others, place.agent_git.join("refs/heads/agent")).unwrap();
        }),
        ("a pipe", |place, _| {
            fs::remove_file(ref_file(place)).unwrap();
            fifo(&ref_file(place));
        }),
        ("a commit that does not exist", |place, _| {
            put(&ref_file(place), &"1".repeat(40));
        }),
        ("words", |place, _| {
            put(&ref_file(place), "ref: refs/heads/programme\n");
        }),
        ("huge", |place, _| {
            put(&ref_file(place), &"1".repeat(100_000));
        }),
        ("a tree", |place, world| {
            let repo = Repository::open_bare(world.repo_git()).unwrap();
            let commit = repo
                .find_commit(world.founded.commit.parse().unwrap())
                .unwrap();
            put(&ref_file(place), &commit.tree_id().to_string());
        }),
        ("the whole repository", |place, _| {
            fs::remove_dir_all(&place.agent_git).unwrap();
        }),
    ];
    for (what, trick) in tricks {
        let world = World::new();
        let place = world.seat("ana");
        let ben = world.seat("ben");
        put(&ben.worktree.join("train.py"), "ben's\n");
        git(&ben, &["commit", "-qam", "ben's"]);
        trick(&place, &world);
        put(&place.worktree.join("train.py"), "ana's\n");
        let Snapshot {
            commit,
            changed,
            branch_ignored,
            ..
        } = take(&place);
        assert!(changed && branch_ignored.is_some(), "{what}");
        let log = super::super::log(&world.repo_git(), "agent/ana", 9).unwrap();
        assert_eq!(
            log[0].parents,
            std::slice::from_ref(&world.founded.commit),
            "{what}"
        );
        assert_eq!(tip(&world.repo_git(), "agent/ana").unwrap(), commit);
        assert_eq!(
            tip(&world.repo_git(), "agent/ben").unwrap(),
            world.founded.commit
        );
    }
}

#[test]
fn objects_are_believed_for_their_hash_only() {
    let world = World::new();
    let place = world.seat("ana");
    put(&place.worktree.join("train.py"), "LR = 8\n");
    git(&place, &["commit", "-qam", "mine"]);
    let mine = git(&place, &["rev-parse", "HEAD"]);
    let tree = git(&place, &["rev-parse", "HEAD^{tree}"]);
    let loose = |id: &str| {
        place
            .agent_git
            .join("objects")
            .join(&id[..2])
            .join(&id[2..])
    };
    let tree_bytes = fs::read(loose(&tree)).unwrap();
    // Else the worktree's own snapshot would bring the same tree honestly.
    put(&place.worktree.join("train.py"), "LR = 9\n");

    // Objects of another place, by alternates: the person's repository, which holds a secret.
    let secret = world.at("user");
    put(&secret.join("secret"), "a key");
    let repo = Repository::open(&secret).unwrap();
    let leaked = super::commit_all(&repo, "secret");
    let alternates = place.agent_git.join("objects/info/alternates");
    put(
        &alternates,
        &format!("{}\n", secret.join(".git/objects").display()),
    );
    put(&ref_file(&place), &format!("{leaked}\n"));
    assert!(take(&place).branch_ignored.is_some());
    let home = Repository::open_bare(world.repo_git()).unwrap();
    assert!(home.find_commit(leaked.parse().unwrap()).is_err());

    put(&ref_file(&place), &format!("{mine}\n"));
    let tricks: [&dyn Fn(); 4] = [
        &|| fifo(&loose(&tree)),
        &|| symlink(secret.join("secret"), loose(&tree)).unwrap(),
        &|| put(&loose(&tree), "garbage"),
        &|| assert!(fs::copy(loose(&mine), loose(&tree)).unwrap() > 0),
    ];
    for trick in tricks {
        fs::remove_file(loose(&tree)).unwrap();
        trick();
        let taken = take(&place);
        assert!(taken.branch_ignored.is_some());
        assert!(
            home.find_commit(mine.parse().unwrap()).is_err(),
            "a commit came without its tree"
        );
    }
    fs::remove_file(loose(&tree)).unwrap();
    fs::File::create(loose(&tree))
        .and_then(|mut f| std::io::Write::write_all(&mut f, &tree_bytes))
        .unwrap();
    let taken = take(&place);
    let log = super::super::log(&world.repo_git(), "agent/ana", 2).unwrap();
    assert_eq!(
        (&taken.branch_ignored, &log[0].parents),
        (&None, &vec![mine])
    );
    assert!(!world.repo_git().join("org/ana.incoming").exists());
}

#[test]
fn a_tree_that_climbs_out_never_comes_in() {
    let world = World::new();
    let place = world.seat("ana");
    let own = Repository::open_bare(&place.agent_git).unwrap();
    let odb = own.odb().unwrap();
    let blob = odb.write(ObjectType::Blob, b"evil").unwrap();
    for name in ["../../../evil", "..", ".git", ".GIT"] {
        let bytes = [
            b"100644 ".as_slice(),
            name.as_bytes(),
            b"\0",
            blob.as_bytes(),
        ]
        .concat();
        let tree = odb.write(ObjectType::Tree, &bytes).unwrap();
        let text = format!(
            "tree {tree}\nparent {}\nauthor a <a> 0 +0000\ncommitter a <a> 0 +0000\n\nx\n",
            world.founded.commit
        );
        let commit: Oid = odb.write(ObjectType::Commit, text.as_bytes()).unwrap();
        put(&ref_file(&place), &format!("{commit}\n"));
        let taken = take(&place);
        assert!(
            taken.branch_ignored.unwrap().contains("malformed"),
            "{name}"
        );
        assert!(!taken.changed);
    }
    // A history of its own, however well formed, is not work on the programme.
    git(&place, &["checkout", "-q", "--orphan", "fresh"]);
    git(&place, &["commit", "-qm", "fresh"]);
    let fresh = git(&place, &["rev-parse", "HEAD"]);
    put(&ref_file(&place), &format!("{fresh}\n"));
    assert!(
        take(&place)
            .branch_ignored
            .unwrap()
            .contains("shares no history")
    );
}

#[test]
fn pipes_devices_and_links_in_the_worktree_lead_nowhere() {
    let world = World::new();
    let place = world.seat("ana");
    let at = |path: &str| place.worktree.join(path);
    put(&world.at("outside/secret"), "a key");
    fifo(&at("pipe"));
    fs::remove_file(at("train.py")).unwrap();
    fifo(&at("train.py"));
    fs::remove_dir_all(at("src")).unwrap();
    symlink(world.at("outside"), at("src")).unwrap();
    symlink("loop", at("loop")).unwrap();
    symlink("/dev/zero", at(".gitignore")).unwrap();
    fs::create_dir_all(at("nested/.git")).unwrap();
    put(&at("nested/.git/config"), "x");
    put(&at("nested/file"), "x");
    let big = fs::File::create(at("big")).unwrap();
    big.set_len(MAX_FILE + 1).unwrap();
    let taken = take(&place);
    let left: Vec<_> = taken
        .left_out
        .iter()
        .map(|left| (&*left.path, left.why))
        .collect();
    assert_eq!(
        left,
        [("big", "too large"), ("train.py", "not a regular file")]
    );
    let read = |path: &str| read_blob(&world.repo_git(), &taken.commit, path).unwrap();
    assert_eq!(
        read("src").unwrap(),
        world.at("outside").to_str().unwrap().as_bytes()
    );
    assert_eq!(read("train.py").unwrap(), b"LR = 1\nSTEPS = 10\n");
    assert_eq!(read("loop").unwrap(), b"loop");
    assert_eq!(
        (read("pipe"), read("src/secret"), read("nested/.git/config")),
        (None, None, None)
    );
    assert_eq!(read("nested/file").unwrap(), b"x");
}

#[test]
fn a_flood_of_files_is_an_error_and_moves_nothing() {
    let world = World::new();
    let place = world.seat("ana");
    fs::create_dir(place.worktree.join("many")).unwrap();
    for n in 0..=super::super::gather::MAX_NEW_FILES {
        fs::File::create(place.worktree.join(format!("many/{n}"))).unwrap();
    }
    let error = snapshot(&place, "m", AT).unwrap_err();
    assert!(matches!(error, RepoError::TooMany { .. }), "{error}");
    assert_eq!(
        tip(&world.repo_git(), "agent/ana").unwrap(),
        world.founded.commit
    );
    put(&place.worktree.join(".gitignore"), "many/\n");
    assert!(take(&place).changed);

    let mut deep = place.worktree.join("deep");
    for _ in 0..100 {
        deep.push("d");
    }
    fs::create_dir_all(&deep).unwrap();
    assert!(matches!(
        snapshot(&place, "m", AT),
        Err(RepoError::TooMany { .. })
    ));
}

#[test]
fn an_agent_reaches_nobody_elses_work() {
    let world = World::new();
    let (ana, ben) = (world.seat("ana"), world.seat("ben"));
    put(&ben.worktree.join("train.py"), "ben's\n");
    let ben_commit = take(&ben).commit;
    let others = (
        imprint(&world.at("user")),
        imprint(&ben.worktree),
        imprint(&world.repo_git()),
    );
    for args in [
        &["update-ref", "refs/heads/agent/ben", "HEAD"][..],
        &["branch", "-f", "programme", "HEAD"],
        &["branch", "-D", "programme"],
        &["reflog", "expire", "--expire=now", "--all"],
        &["gc", "-q", "--prune=now"],
        &["prune", "--expire=now"],
        &["worktree", "prune"],
    ] {
        agent_git(&ana, args);
    }
    let after = (
        imprint(&world.at("user")),
        imprint(&ben.worktree),
        imprint(&world.repo_git()),
    );
    assert!(others == after);
    put(&ana.worktree.join("train.py"), "ana's\n");
    take(&ana);
    assert_eq!(tip(&world.repo_git(), "agent/ben").unwrap(), ben_commit);
    assert_eq!(
        tip(&world.repo_git(), "programme").unwrap(),
        world.founded.commit
    );
}

#[test]
fn a_worktree_that_changes_under_the_reading_costs_no_more_than_its_own_files() {
    let world = World::new();
    let place = world.seat("ana");
    put(&world.at("outside/secret"), "a key");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let name = place.worktree.join("swap");
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                drop(fs::create_dir(&name));
                put(&name.join("secret"), "mine");
                drop(fs::remove_dir_all(&name));
                drop(symlink(world.at("outside"), &name));
                drop(fs::remove_file(&name));
                fifo(&name);
                drop(fs::remove_file(&name));
            }
        });
        for _ in 0..40 {
            let commit = take(&place).commit;
            let seen = read_blob(&world.repo_git(), &commit, "swap/secret").unwrap();
            assert!(seen.is_none_or(|bytes| bytes == b"mine" || bytes.is_empty()));
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
