//! The user's repository in every state that it can be found in, and never changed.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use git2::{Repository, WorktreeAddOptions};

use super::super::{RepoError, SourceKind, checkout, found, inspect, read_blob, seat, tip};
use super::{AT, World, commit_all, imprint, put, take, text, user_repo};

#[test]
fn every_kind_of_source_is_founded_or_refused_with_a_hint() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let head = user_repo(&dir.path().join("user"));
    let user = Repository::open(at("user")).unwrap();

    let seen = inspect(&at("user")).unwrap();
    assert_eq!((seen.kind, seen.dirty), (SourceKind::Worktree, false));
    assert_eq!(
        (seen.branch.as_deref(), seen.head.as_deref()),
        (Some("master"), Some(&*head))
    );

    put(&dir.path().join("user/train.py"), "LR = 2\n");
    assert!(inspect(&at("user")).unwrap().dirty);
    let founded = found(&at("user"), None, &dir.path().join("dirty.git")).unwrap();
    assert_eq!((&*founded.commit, &*founded.branch), (&*head, "master"));
    let bytes = read_blob(&dir.path().join("dirty.git"), &head, "train.py")
        .unwrap()
        .unwrap();
    assert_eq!(bytes, b"LR = 1\nSTEPS = 10\n");

    let bare = git2::build::RepoBuilder::new()
        .bare(true)
        .clone(&at("user"), dir.path().join("bare").as_path());
    drop(bare.unwrap());
    assert_eq!(inspect(&at("bare")).unwrap().kind, SourceKind::Bare);
    found(&at("bare"), Some("master"), &dir.path().join("of-bare.git")).unwrap();

    let base = user.find_commit(head.parse().unwrap()).unwrap();
    let side = user.branch("side", &base, false).unwrap().into_reference();
    let mut options = WorktreeAddOptions::new();
    options.reference(Some(&side));
    user.worktree("linked", &dir.path().join("linked"), Some(&options))
        .unwrap();
    let linked = inspect(&at("linked")).unwrap();
    assert_eq!(
        (linked.kind, linked.branch.as_deref()),
        (SourceKind::Worktree, Some("side"))
    );
    let other = found(
        &at("linked"),
        Some("master"),
        &dir.path().join("of-linked.git"),
    )
    .unwrap();
    assert_eq!(other.commit, head);

    Repository::init(at("empty")).unwrap();
    put(&dir.path().join("file"), "");
    fs::create_dir(dir.path().join("nothing")).unwrap();
    let refused = [
        (at("empty"), None, "has no commits"),
        (at("missing"), None, "does not exist"),
        (at("file"), None, "is not a directory"),
        (at("nothing"), None, "has no commits"),
        (
            "https://example.org/x.git".into(),
            None,
            "is not on this machine",
        ),
        (
            "git@example.org:x.git".into(),
            None,
            "is not on this machine",
        ),
        (at("user"), Some("main"), "has no branch \"main\""),
    ];
    for (source, base, says) in refused {
        let dest = dir.path().join("never.git");
        let error = found(&source, base, &dest).unwrap_err();
        assert!(error.to_string().contains(says), "{source}: {error}");
        assert!(!error.hint().is_empty());
        assert!(!dest.exists() && !dir.path().join("never.git.part").exists());
    }
    let error = found(&at("user"), Some("main"), &dir.path().join("x.git")).unwrap_err();
    assert!(error.hint().contains("master, side"), "{}", error.hint());

    put(&dir.path().join("user/.git/shallow"), &format!("{head}\n"));
    let error = inspect(&at("user")).unwrap_err();
    assert!(matches!(error, RepoError::Shallow(_)), "{error}");
}

#[test]
fn only_what_is_reachable_from_the_base_is_copied() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("user");
    let head = user_repo(&path);
    let repo = Repository::open(&path).unwrap();
    put(&path.join("secret"), "a key");
    repo.set_head_detached(head.parse().unwrap()).unwrap();
    let secret = commit_all(&repo, "secret");
    let seen = inspect(path.to_str().unwrap()).unwrap();
    assert_eq!((seen.branch, seen.head.as_deref()), (None, Some(&*secret)));

    let dest = dir.path().join("repo.git");
    assert_eq!(
        found(path.to_str().unwrap(), Some("master"), &dest)
            .unwrap()
            .commit,
        head
    );
    let made = Repository::open_bare(&dest).unwrap();
    assert!(made.find_commit(secret.parse().unwrap()).is_err());
    assert!(!dest.join("objects/info/alternates").exists());
    // Founded again, after a crash before anybody noted it, it is the same.
    assert_eq!(
        found(path.to_str().unwrap(), Some("master"), &dest)
            .unwrap()
            .commit,
        head
    );
    assert_eq!(tip(&dest, "programme").unwrap(), head);
}

#[test]
fn a_submodule_stays_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("user");
    user_repo(&path);
    let repo = Repository::open(&path).unwrap();
    let mut index = repo.index().unwrap();
    let mut entry = index.get_path("train.py".as_ref(), 0).unwrap();
    (entry.path, entry.mode) = (b"vendored".to_vec(), 0o160_000);
    entry.id = "1234567890123456789012345678901234567890".parse().unwrap();
    index.add(&entry).unwrap();
    let tree = repo.find_tree(index.write_tree().unwrap()).unwrap();
    let parent = repo.head().unwrap().peel_to_commit().unwrap();
    let author = parent.author().to_owned();
    repo.commit(Some("HEAD"), &author, &author, "sub", &tree, &[&parent])
        .unwrap();

    let dest = dir.path().join("run/repo.git");
    fs::create_dir(dir.path().join("run")).unwrap();
    let founded = found(path.to_str().unwrap(), None, &dest).unwrap();
    let world = World { dir, founded };
    let place = world.seat("ana");
    assert!(place.worktree.join("vendored").is_dir());
    assert!(!take(&place).changed);
}

#[test]
fn a_directory_is_imported_as_one_commit_with_a_fixed_name() {
    let dir = tempfile::tempdir().unwrap();
    let mut commits = Vec::new();
    for name in ["one", "two"] {
        let path = dir.path().join(name);
        put(&path.join("a/b.py"), "x\n");
        put(&path.join("run.sh"), "#!/bin/sh\n");
        put(&path.join(".gitignore"), "data\n");
        put(&path.join("data"), "kept\n");
        put(&path.join("__pycache__/x.pyc"), "left\n");
        fs::set_permissions(path.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("a/b.py", path.join("link")).unwrap();
        let dest = dir.path().join(format!("{name}.git"));
        let founded = found(path.to_str().unwrap(), Some("main"), &dest).unwrap();
        assert_eq!(founded.branch, "main");
        commits.push(founded.commit);
    }
    assert_eq!(commits[0], commits[1]);
    let out = dir.path().join("out");
    checkout(&dir.path().join("one.git"), &commits[0], &out).unwrap();
    assert_eq!(text(&out.join("data")), "kept\n");
    assert_eq!(
        fs::read_link(out.join("link")).unwrap().to_str(),
        Some("a/b.py")
    );
    assert!(
        fs::metadata(out.join("run.sh"))
            .unwrap()
            .permissions()
            .mode()
            & 0o100
            != 0
    );
    assert!(!out.join("__pycache__").exists());
}

#[test]
fn the_source_is_byte_for_byte_what_it_was() {
    let world = World::new();
    let user = world.at("user");
    put(&user.join("untracked"), "x");
    let before = imprint(&user);
    inspect(user.to_str().unwrap()).unwrap();
    found(user.to_str().unwrap(), None, &world.at("run/second.git")).unwrap();
    let place = world.place("ana");
    seat(&place, &world.founded.commit).unwrap();
    put(&place.worktree.join("train.py"), "LR = 9\n");
    take(&place);
    super::super::merge(
        &world.repo_git(),
        "programme",
        &world.founded.commit,
        &take(&place).commit,
        "m",
        AT,
    )
    .unwrap();
    assert_eq!(imprint(&user), before);
}
