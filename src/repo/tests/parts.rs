//! Changes taken apart, and a branch that goes back.

use super::super::{Merge, Misfit, combine, leave_out, merge, misfit, read_blob, set_back, tip};
use super::{AT, World, put, take};

#[test]
fn a_change_is_taken_apart_by_its_lines_and_files() {
    let world = World::new();
    let ana = world.seat("ana");
    let (base, repo) = (world.founded.commit.clone(), world.repo_git());
    put(&ana.worktree.join("train.py"), "LR = 2\nSTEPS = 20\n");
    put(&ana.worktree.join("src/model.py"), "width = 128\n");
    put(&ana.worktree.join("new.py"), "x = 1\n");
    let commit = take(&ana).commit;
    let names = ["LR", "STEPS", "src/model.py", "new.py"].map(str::to_owned);
    assert_eq!(misfit(&repo, &base, &commit, &names).unwrap(), None);
    let made = leave_out(&repo, &base, &commit, &names, AT).unwrap();
    assert_eq!(made, leave_out(&repo, &base, &commit, &names, AT).unwrap());
    let shown = |commit: &str, path: &str| {
        let bytes = read_blob(&repo, commit, path).unwrap();
        bytes.map(|bytes| String::from_utf8(bytes).unwrap())
    };
    let was = |path: &str| shown(&base, path).unwrap();
    let line = |n: usize| was("train.py").lines().nth(n).unwrap().to_owned();
    assert_eq!(
        shown(&made[0], "train.py").unwrap(),
        format!("{}\nSTEPS = 20\n", line(0))
    );
    assert_eq!(
        shown(&made[1], "train.py").unwrap(),
        format!("LR = 2\n{}\n", line(1))
    );
    assert_eq!(
        shown(&made[2], "src/model.py"),
        shown(&base, "src/model.py")
    );
    assert_eq!(shown(&made[2], "train.py").unwrap(), "LR = 2\nSTEPS = 20\n");
    assert_eq!(shown(&made[3], "new.py"), None);
    let wrong = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        misfit(&repo, &base, &commit, &names).unwrap()
    };
    assert_eq!(
        wrong(&["LR", "nothing"]),
        Some(Misfit::Nothing("nothing".to_owned()))
    );
    let shared = Misfit::Shared("train.py".to_owned(), "LR".to_owned());
    assert_eq!(wrong(&["train.py", "LR"]), Some(shared));
}

#[test]
fn a_branch_goes_back_and_what_was_taken_back_does_not_come_along() {
    let world = World::new();
    let (ana, ben) = (world.seat("ana"), world.seat("ben"));
    let (base, repo) = (world.founded.commit.clone(), world.repo_git());
    put(&ana.worktree.join("train.py"), "LR = 2\nSTEPS = 10\n");
    let a = take(&ana).commit;
    let Merge::Merged { commit: first } = merge(&repo, "programme", &base, &a, "h1", AT).unwrap()
    else {
        panic!("no conflict was possible");
    };
    // ben builds on what is taken back later.
    put(&ben.worktree.join("train.py"), "LR = 2\nSTEPS = 10\n");
    put(&ben.worktree.join("src/model.py"), "width = 128\n");
    let b = take(&ben).commit;
    set_back(&repo, "programme", &base).unwrap();
    assert_eq!(tip(&repo, "programme").unwrap(), base);
    let Merge::Merged { commit } = combine(&repo, &base, &first, &b, "h2", AT).unwrap() else {
        panic!("no conflict was possible");
    };
    let shown = |commit: &str, path: &str| read_blob(&repo, commit, path).unwrap();
    assert_eq!(shown(&commit, "train.py"), shown(&base, "train.py"));
    assert_eq!(shown(&commit, "src/model.py").unwrap(), b"width = 128\n");
}
