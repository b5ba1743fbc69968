//! Trees as bytes: reading them with suspicion, and building them from a flat list of paths. Done
//! here and not by libgit2's index because a tree that an agent wrote may hold `..`, `.git` or one
//! name twice, and whoever lays it out as files must never meet one.

use std::collections::BTreeMap;

use git2::{ObjectType, Odb, Oid};

use super::error::{RepoError, git};
use super::plain;

/// How many files a commit may hold: far beyond any repository of experiments, and an end to trees
/// that contain themselves many times over.
pub(super) const MAX_TREE_FILES: usize = 500_000;

/// What a name in a tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    File,
    Executable,
    Link,
    Tree,
    /// A commit of another repository. Never followed.
    Submodule,
}

impl Mode {
    fn parse(text: &[u8]) -> Option<Self> {
        Some(match text {
            // Group-writable files were a mode of their own in the first months of git.
            b"100644" | b"100664" => Self::File,
            b"100755" => Self::Executable,
            b"120000" => Self::Link,
            b"40000" | b"040000" => Self::Tree,
            b"160000" => Self::Submodule,
            _ => return None,
        })
    }

    fn text(self) -> &'static str {
        match self {
            Self::File => "100644",
            Self::Executable => "100755",
            Self::Link => "120000",
            Self::Tree => "40000",
            Self::Submodule => "160000",
        }
    }

    /// As a number, for the index of a worktree.
    pub(super) fn bits(self) -> u32 {
        match self {
            Self::File => 0o100_644,
            Self::Executable => 0o100_755,
            Self::Link => 0o120_000,
            Self::Tree => 0o040_000,
            Self::Submodule => 0o160_000,
        }
    }
}

/// One name in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) name: Vec<u8>,
    pub(super) mode: Mode,
    pub(super) oid: Oid,
}

/// All files of a commit by path; no directories.
pub(super) type Files = BTreeMap<Vec<u8>, (Mode, Oid)>;

/// Reads the bytes of a tree; refuses what no git writes.
pub(super) fn parse(oid: Oid, bytes: &[u8]) -> Result<Vec<Item>, RepoError> {
    let bad = |why| RepoError::Malformed {
        id: oid.to_string(),
        why,
    };
    let mut items: Vec<Item> = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let space = rest
            .iter()
            .position(|&b| b == b' ')
            .ok_or_else(|| bad("a mode has no end"))?;
        let mode = Mode::parse(&rest[..space]).ok_or_else(|| bad("an unknown mode"))?;
        rest = &rest[space + 1..];
        let end = rest
            .iter()
            .position(|&b| b == 0)
            .ok_or_else(|| bad("a name has no end"))?;
        let name = rest[..end].to_vec();
        let id = rest
            .get(end + 1..end + 21)
            .ok_or_else(|| bad("an id is cut short"))?;
        let child = Oid::from_bytes(id).map_err(git("read an id"))?;
        rest = &rest[end + 21..];
        if !plain::may_stand_in_tree(&name) {
            return Err(bad("a name that no file may have"));
        }
        if items.last().is_some_and(|last| last.name == name) {
            return Err(bad("a name twice"));
        }
        items.push(Item {
            name,
            mode,
            oid: child,
        });
    }
    // Two of one name need not be neighbours in a tree that is not sorted either.
    let mut names: Vec<&[u8]> = items.iter().map(|item| item.name.as_slice()).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(bad("a name twice"));
    }
    Ok(items)
}

/// Reads a tree from the object database.
pub(super) fn read(odb: &Odb<'_>, oid: Oid) -> Result<Vec<Item>, RepoError> {
    let object = odb.read(oid).map_err(git(format!("read tree {oid}")))?;
    if object.kind() != ObjectType::Tree {
        return Err(RepoError::Malformed {
            id: oid.to_string(),
            why: "not a tree",
        });
    }
    parse(oid, object.data())
}

/// All files below a tree.
pub(super) fn flatten(odb: &Odb<'_>, tree: Oid) -> Result<Files, RepoError> {
    let mut files = Files::new();
    flatten_into(odb, tree, &mut Vec::new(), 0, &mut files)?;
    Ok(files)
}

fn flatten_into(
    odb: &Odb<'_>,
    tree: Oid,
    path: &mut Vec<u8>,
    depth: usize,
    files: &mut Files,
) -> Result<(), RepoError> {
    let bad = |why| RepoError::Malformed {
        id: tree.to_string(),
        why,
    };
    if depth >= plain::MAX_DEPTH {
        return Err(bad("directories too deep"));
    }
    for item in read(odb, tree)? {
        let parent = path.len();
        if parent > 0 {
            path.push(b'/');
        }
        path.extend_from_slice(&item.name);
        if item.mode == Mode::Tree {
            flatten_into(odb, item.oid, path, depth + 1, files)?;
        } else {
            files.insert(path.clone(), (item.mode, item.oid));
        }
        if files.len() > MAX_TREE_FILES {
            return Err(bad("too many files"));
        }
        path.truncate(parent);
    }
    Ok(())
}

/// Writes the trees that hold `files` and returns the root.
pub(super) fn assemble(odb: &Odb<'_>, files: &Files) -> Result<Oid, RepoError> {
    let flat: Vec<(&[u8], Mode, Oid)> = files
        .iter()
        .map(|(path, &(mode, oid))| (path.as_slice(), mode, oid))
        .collect();
    assemble_level(odb, &flat, 0)
}

/// `flat` is sorted by path, and all of it shares the first `skip` bytes.
fn assemble_level(
    odb: &Odb<'_>,
    flat: &[(&[u8], Mode, Oid)],
    skip: usize,
) -> Result<Oid, RepoError> {
    let mut items: Vec<Item> = Vec::new();
    let mut at = 0;
    while at < flat.len() {
        let (path, mode, oid) = flat[at];
        let rest = &path[skip..];
        let Some(slash) = rest.iter().position(|&b| b == b'/') else {
            items.push(Item {
                name: rest.to_vec(),
                mode,
                oid,
            });
            at += 1;
            continue;
        };
        let prefix = &path[..=skip + slash];
        let count = flat[at..]
            .iter()
            .take_while(|(p, ..)| p.starts_with(prefix))
            .count();
        let oid = assemble_level(odb, &flat[at..at + count], skip + slash + 1)?;
        items.push(Item {
            name: rest[..slash].to_vec(),
            mode: Mode::Tree,
            oid,
        });
        at += count;
    }
    // Git sorts a directory as if its name ended in a slash.
    items.sort_by_cached_key(|item| {
        let mut key = item.name.clone();
        if item.mode == Mode::Tree {
            key.push(b'/');
        }
        key
    });
    let mut bytes = Vec::new();
    for item in &items {
        bytes.extend_from_slice(item.mode.text().as_bytes());
        bytes.push(b' ');
        bytes.extend_from_slice(&item.name);
        bytes.push(0);
        bytes.extend_from_slice(item.oid.as_bytes());
    }
    odb.write(ObjectType::Tree, &bytes)
        .map_err(git("write a tree"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(mode: &str, name: &[u8]) -> Vec<u8> {
        [mode.as_bytes(), b" ", name, b"\0", &[7; 20]].concat()
    }

    #[test]
    fn a_tree_that_no_git_writes_is_refused() {
        let rows: [(Vec<u8>, bool); 10] = [
            (entry("100644", b"train.py"), true),
            (entry("40000", b"src"), true),
            (entry("100644", b".."), false),
            (entry("40000", b".git"), false),
            (entry("40000", b".GiT"), false),
            (entry("100644", b"a/b"), false),
            (entry("100644", b""), false),
            (entry("777", b"a"), false),
            (
                [
                    entry("120000", b"a"),
                    entry("100644", b"b"),
                    entry("40000", b"a"),
                ]
                .concat(),
                false,
            ),
            (entry("100644", b"a")[..12].to_vec(), false),
        ];
        for (bytes, fine) in rows {
            assert_eq!(parse(Oid::ZERO_SHA1, &bytes).is_ok(), fine, "{bytes:?}");
        }
    }
}
