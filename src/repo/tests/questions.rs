//! What the lab and the views ask of repo.git.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::super::{
    ChangeKind, Merge, RepoError, changed_paths, checkout, combine, diff_text, log, merge, pin,
    read_blob, restore, tip, tree_hash,
};
use super::{AT, World, put, take, text};

#[test]
fn a_pin_never_moves() {
    let world = World::new();
    let place = world.seat("ana");
    put(&place.worktree.join("train.py"), "LR = 2\n");
    let (base, repo) = (world.founded.commit.clone(), world.repo_git());
    let other = take(&place).commit;
    pin(&repo, "refs/org/exp/e7", &base).unwrap();
    pin(&repo, "refs/org/exp/e7", &base).unwrap();
    assert!(matches!(
        pin(&repo, "refs/org/exp/e7", &other),
        Err(RepoError::Pinned { .. })
    ));
    assert_eq!(tip(&repo, "refs/org/exp/e7").unwrap(), base);
    // What somebody left behind who was killed while it wrote a ref stands in nobody's way.
    put(&repo.join("refs/org/exp/e9.lock"), "");
    pin(&repo, "refs/org/exp/e9", &other).unwrap();
    assert_eq!(tip(&repo, "refs/org/exp/e9").unwrap(), other);
    for name in ["refs/heads/programme", "refs/org/a..b", "refs/org/"] {
        assert!(
            matches!(pin(&repo, name, &base), Err(RepoError::BadRef(_))),
            "{name}"
        );
    }
    for commit in ["HEAD", "", "programme", &"1".repeat(40), &"z".repeat(40)] {
        let error = pin(&repo, "refs/org/exp/e8", commit).unwrap_err();
        assert!(
            matches!(error, RepoError::NoCommit { .. }),
            "{commit}: {error}"
        );
    }
}

#[test]
fn a_checkout_is_the_files_of_the_commit_and_nothing_else() {
    let world = World::new();
    let out = world.at("out");
    checkout(&world.repo_git(), &world.founded.commit, &out).unwrap();
    let mut names: Vec<_> = fs::read_dir(&out)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["link.py", "run.sh", "src", "train.py"]);
    assert!(
        fs::symlink_metadata(out.join("link.py"))
            .unwrap()
            .is_symlink()
    );
    assert!(
        fs::metadata(out.join("run.sh"))
            .unwrap()
            .permissions()
            .mode()
            & 0o100
            != 0
    );
    let again = checkout(&world.repo_git(), &world.founded.commit, &out);
    assert!(matches!(again, Err(RepoError::Exists(_))));
}

#[test]
fn protected_files_are_put_back_and_links_are_not_followed() {
    let world = World::new();
    let base = world.founded.commit.clone();
    let out = world.at("out");
    checkout(&world.repo_git(), &base, &out).unwrap();
    let globs = vec!["src".to_owned(), "run.sh".to_owned(), "eval/**".to_owned()];
    let clean = tree_hash(&out, &globs).unwrap();
    assert!(
        restore(&world.repo_git(), &base, &out, &globs)
            .unwrap()
            .is_empty()
    );

    put(&out.join("train.py"), "mine\n");
    assert_eq!(tree_hash(&out, &globs).unwrap(), clean);
    // The directory of a protected file leads out of the checkout.
    put(&world.at("victim/model.py"), "precious\n");
    fs::remove_dir_all(out.join("src")).unwrap();
    symlink(world.at("victim"), out.join("src")).unwrap();
    fs::set_permissions(out.join("run.sh"), fs::Permissions::from_mode(0o644)).unwrap();
    put(&out.join("eval/sitecustomize.py"), "evil\n");
    assert_ne!(tree_hash(&out, &globs).unwrap(), clean);

    let touched = restore(&world.repo_git(), &base, &out, &globs).unwrap();
    assert_eq!(
        touched,
        ["eval/sitecustomize.py", "run.sh", "src", "src/model.py"]
    );
    assert_eq!(text(&world.at("victim/model.py")), "precious\n");
    assert_eq!(text(&out.join("src/model.py")), "width = 64\n");
    assert_eq!(text(&out.join("train.py")), "mine\n");
    fs::remove_dir(out.join("eval")).unwrap();
    assert_eq!(tree_hash(&out, &globs).unwrap(), clean);
}

#[test]
fn differences_are_told_by_path_and_by_line() {
    let world = World::new();
    let place = world.seat("ana");
    let (base, repo) = (world.founded.commit.clone(), world.repo_git());
    put(&place.worktree.join("train.py"), "LR = 2\nSTEPS = 10\n");
    put(&place.worktree.join("added"), "x\n");
    fs::remove_file(place.worktree.join("link.py")).unwrap();
    fs::set_permissions(
        place.worktree.join("run.sh"),
        fs::Permissions::from_mode(0o644),
    )
    .unwrap();
    let now = take(&place).commit;
    let changes = changed_paths(&repo, &base, &now).unwrap();
    let told: Vec<_> = changes
        .iter()
        .map(|change| (&*change.path, change.kind))
        .collect();
    let expected = [
        ("added", ChangeKind::Added),
        ("link.py", ChangeKind::Deleted),
        ("run.sh", ChangeKind::Modified),
        ("train.py", ChangeKind::Modified),
    ];
    assert_eq!(told, expected);
    let whole = diff_text(&repo, &base, &now, 10_000).unwrap();
    assert!(whole.text.contains("-LR = 1\n+LR = 2\n STEPS = 10\n") && !whole.cut);
    let cut = diff_text(&repo, &base, &now, 40).unwrap();
    assert!(cut.cut && cut.text.len() == 40 && whole.text.starts_with(&cut.text));
    assert_eq!(
        read_blob(&repo, &now, "src/model.py").unwrap().unwrap(),
        b"width = 64\n"
    );
    for path in [
        "src",
        "nope",
        "src/nope",
        "train.py/x",
        "",
        "../user/train.py",
    ] {
        assert_eq!(read_blob(&repo, &now, path).unwrap(), None, "{path}");
    }
}

#[test]
fn merges_are_in_memory_repeatable_and_name_their_conflicts() {
    let world = World::new();
    let (ana, ben, eve) = (world.seat("ana"), world.seat("ben"), world.seat("eve"));
    let (base, repo) = (world.founded.commit.clone(), world.repo_git());
    put(&ana.worktree.join("train.py"), "LR = 2\nSTEPS = 10\n");
    put(&ben.worktree.join("src/model.py"), "width = 128\n");
    put(&eve.worktree.join("train.py"), "LR = 3\nSTEPS = 10\n");
    let [a, b, e] = [&ana, &ben, &eve].map(|place| take(place).commit);

    let Merge::Merged { commit: first } =
        merge(&repo, "programme", &base, &a, "win h1", AT).unwrap()
    else {
        panic!("no conflict was possible");
    };
    assert_eq!(tip(&repo, "programme").unwrap(), first);
    assert_eq!(
        log(&repo, "programme", 1).unwrap()[0].parents,
        [base.clone(), a.clone()]
    );
    // Again with the event written, and without it.
    for champion in [&first, &base] {
        let again = merge(&repo, "programme", champion, &a, "win h1", AT).unwrap();
        assert_eq!(
            again,
            Merge::Merged {
                commit: first.clone()
            }
        );
    }
    // A merge that the log never heard of is not built upon.
    let Merge::Merged { commit: other } = merge(&repo, "programme", &base, &b, "win", AT).unwrap()
    else {
        panic!("no conflict was possible");
    };
    assert_eq!(
        log(&repo, "programme", 1).unwrap()[0].parents,
        [base.clone(), b.clone()]
    );
    merge(&repo, "programme", &base, &a, "win h1", AT).unwrap();
    assert_ne!(tip(&repo, "programme").unwrap(), other);

    let Merge::Merged { commit: preview } = combine(&repo, &first, &base, &b, "try", AT).unwrap()
    else {
        panic!("no conflict was possible");
    };
    assert_eq!(tip(&repo, "programme").unwrap(), first);
    assert_eq!(
        read_blob(&repo, &preview, "train.py").unwrap().unwrap(),
        b"LR = 2\nSTEPS = 10\n"
    );
    assert_eq!(
        read_blob(&repo, &preview, "src/model.py").unwrap().unwrap(),
        b"width = 128\n"
    );

    let conflict = Merge::Conflict {
        paths: vec!["train.py".into()],
    };
    assert_eq!(
        merge(&repo, "programme", &first, &e, "win h2", AT).unwrap(),
        conflict
    );
    assert_eq!(tip(&repo, "programme").unwrap(), first);
    assert!(matches!(
        merge(&repo, "nope", &first, &e, "m", AT),
        Err(RepoError::NoBranch { .. })
    ));
}
