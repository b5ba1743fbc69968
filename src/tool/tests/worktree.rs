//! Files: what is shown and changed, what stays closed, and calls that were cut off.

use std::os::unix::fs::symlink;

use super::*;

#[tokio::test]
async fn a_file_is_read_whole_or_in_part() {
    let world = World::new();
    let desk = world.desk("ana");
    world.put("ana", "a.txt", "1\n2\n3\n4\n");
    let read = |args: Value| call(&desk, "c", "read", args);
    assert_eq!(read(json!({"path": "a.txt"})).await, done("1\n2\n3\n4\n"));
    let part = read(json!({"path": "./a.txt", "offset": 2, "limit": 2})).await;
    assert_eq!(part, done("[lines 2-3 of 4]\n2\n3\n"));
    assert!(!read(json!({"path": "a.txt", "offset": 9})).await.ok);
    world.put("ana", "long", &"x".repeat(100_000));
    let long = read(json!({"path": "long"})).await;
    assert!(long.text.starts_with("[line 1 of 1, its first") && long.text.len() < 60_000);
    world.put("ana", "empty", "");
    assert_eq!(read(json!({"path": "empty"})).await, done(""));
    let absolute = world.file("ana", "a.txt").display().to_string();
    assert!(read(json!({"path": absolute})).await.ok);
}

#[tokio::test]
async fn nothing_outside_is_read_or_written() {
    let world = World::new();
    let desk = world.desk("ana");
    world.put("ben", "secret", "ben's\n");
    let secret = world.file("ben", "secret");
    symlink(&secret, world.file("ana", "absolute")).unwrap();
    symlink("../ben/secret", world.file("ana", "relative")).unwrap();
    symlink("../ben", world.file("ana", "dir")).unwrap();
    symlink("train.py", world.file("ana", "inside")).unwrap();
    let log = world.dir.events().display().to_string();
    let absolute = secret.display().to_string();
    let closed = [
        "absolute",
        "relative",
        "dir/secret",
        "../ben/secret",
        "a/../../ben/secret",
        &absolute,
        &log,
        "",
        "/etc/passwd",
    ];
    for path in closed {
        let read = call(&desk, "c", "read", json!({"path": path})).await;
        assert!(!read.ok && !read.text.contains("ben's"), "{path}: {read:?}");
        let write = call(&desk, "c", "write", json!({"path": path, "content": "x"})).await;
        assert!(!write.ok, "{path}: {write:?}");
        let edit = json!({"path": path, "old": "ben's", "new": "x"});
        assert!(!call(&desk, "c", "edit", edit).await.ok, "{path}");
    }
    assert_eq!(world.text("ben", "secret"), "ben's\n");
    let found = call(&desk, "c", "search", json!({"pattern": "ben's"})).await;
    assert_eq!(found, done("no line matches"));
    assert!(
        !call(&desk, "c", "search", json!({"pattern": "x", "path": "dir"}))
            .await
            .ok
    );
    assert!(call(&desk, "c", "read", json!({"path": "inside"})).await.ok);
    let git = call(&desk, "c", "write", json!({"path": ".git", "content": "x"})).await;
    assert!(git.text.contains("belongs to git"), "{git:?}");
    let fifo = world.file("ana", "fifo");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    for name in ["read", "search"] {
        let outcome = call(&desk, "c", name, json!({"path": "fifo", "pattern": "x"})).await;
        assert!(!outcome.ok, "{outcome:?}");
    }
    let fifo = call(&desk, "c", "read", json!({"path": "fifo"})).await;
    assert!(fifo.text.contains("a pipe"), "{fifo:?}");
}

#[tokio::test]
async fn files_are_written_edited_and_searched() {
    let world = World::new();
    let desk = world.desk("ana");
    let args = json!({"path": "src/new/a.py", "content": "LR = 1\nx\nLR = 1\n"});
    let wrote = call(&desk, "c", "write", args.clone()).await;
    assert_eq!(wrote, done("wrote src/new/a.py: 3 lines"));
    let again = call(&desk, "c", "write", args).await;
    assert_eq!(again, done("replaced src/new/a.py: 3 lines, 3 before"));
    let edit = |old: &str, new: &str| {
        let args = json!({"path": "src/new/a.py", "old": old, "new": new});
        let desk = desk.clone();
        async move { call(&desk, "c", "edit", args).await }
    };
    let many = edit("LR = 1", "LR = 2").await;
    assert!(
        !many.ok && many.text.contains("2 times") && many.text.contains("lines 1, 3"),
        "{many:?}"
    );
    let none = edit("LR = 3\n", "LR = 2\n").await;
    assert!(
        !none.ok && none.text.contains("Closest is line 1:\nLR = 1"),
        "{none:?}"
    );
    assert!(!edit("", "x").await.ok && !edit("x", "x").await.ok);
    let one = edit("x\nLR = 1", "x\nLR = 2").await;
    assert_eq!(
        one,
        done("src/new/a.py\n@@ -1,3 +1,3 @@\n LR = 1\n x\n-LR = 1\n+LR = 2")
    );
    let found = call(&desk, "c", "search", json!({"pattern": r"^LR = \d"})).await;
    assert_eq!(
        found,
        done("src/new/a.py:1: LR = 1\nsrc/new/a.py:3: LR = 2\ntrain.py:3: LR = 1")
    );
    let within = call(
        &desk,
        "c",
        "search",
        json!({"pattern": "LR", "path": "train.py"}),
    )
    .await;
    assert_eq!(within, done("train.py:3: LR = 1\ntrain.py:5: print(LR)"));
    let bad = call(&desk, "c", "search", json!({"pattern": "("})).await;
    assert!(!bad.ok && bad.text.contains("`pattern`"), "{bad:?}");
    world.put("ana", "many", &"hit\n".repeat(500));
    let many = call(&desk, "c", "search", json!({"pattern": "hit"})).await;
    assert_eq!(many.text.lines().count(), 201);
}

#[tokio::test]
async fn a_change_that_was_cut_off_is_finished_once() {
    let world = World::new();
    let desk = world.desk("ana");
    let edit = json!({"path": "train.py", "old": "LR = 1", "new": "LR = 11"});
    let pre = tool("edit").pre(&desk, &edit);
    // Before it happened ...
    let hunk = recover(&desk, "c", "edit", edit.clone(), pre.clone()).await;
    assert!(
        hunk.ok && world.text("ana", "train.py").contains("LR = 11\n"),
        "{hunk:?}"
    );
    // ... and after: not twice, though `old` would still match.
    let again = recover(&desk, "c", "edit", edit.clone(), pre.clone()).await;
    assert_eq!(again, hunk);
    assert!(world.text("ana", "train.py").contains("LR = 11\n"));
    // Somebody else has changed the file meanwhile.
    world.put("ana", "train.py", "LR = 1\nother\n");
    let lost = recover(&desk, "c", "edit", edit, pre).await;
    assert!(
        !lost.ok && lost.text.starts_with("Outcome unknown"),
        "{lost:?}"
    );
    assert_eq!(world.text("ana", "train.py"), "LR = 1\nother\n");

    let write = json!({"path": "b", "content": "new\n"});
    let pre = tool("write").pre(&desk, &write);
    assert_eq!(pre.as_deref(), Some("absent"));
    assert!(
        recover(&desk, "c", "write", write.clone(), pre.clone())
            .await
            .ok
    );
    assert!(
        recover(&desk, "c", "write", write.clone(), pre.clone())
            .await
            .ok
    );
    world.put("ana", "b", "third\n");
    assert!(!recover(&desk, "c", "write", write, pre).await.ok);
    assert_eq!(world.text("ana", "b"), "third\n");
}
