//! Taking a change apart: which lines of it belong to which named part, and what it is without one.
//!
//! A part is named by a path (or a pattern of paths), or by a piece of text that occurs in the lines it
//! changes. Lines that no part names belong to all of them and are never left out. Everything is done on
//! whole lines of plain text; a file that was added or removed, or is no text, is one piece.

use std::path::Path;

use git2::{DiffOptions, ObjectType, Odb, Oid, Patch, Repository};

use super::error::{RepoError, git};
use super::history;
use super::store;
use super::trees::{self, Files, Mode};
use crate::domain::glob;

/// Why the names of parts do not take a change apart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// Nothing of the change is meant.
    #[error("part {0:?} is no changed path, and no changed line has it")]
    Nothing(String),
    /// Two parts mean the same lines.
    #[error("parts {0:?} and {1:?} mean the same changed lines")]
    Shared(String, String),
}

/// A run of changed lines, or a whole file.
struct Piece {
    path: String,
    /// Both sides' changed lines.
    text: String,
    /// First line and number of lines before and after, counted from 0; none for a whole file.
    lines: Option<[usize; 4]>,
}

/// Judges whether the names take the change from `base` to `commit` apart.
pub fn misfit(
    repo_git: &Path,
    base: &str,
    commit: &str,
    names: &[String],
) -> Result<Option<Misfit>, RepoError> {
    let repo = store::open(repo_git)?;
    let pieces = pieces(&repo, repo_git, base, commit)?;
    let mut owner: Vec<Option<&String>> = vec![None; pieces.len()];
    for name in names {
        let mine = meant(&pieces, name);
        if mine.is_empty() {
            return Ok(Some(Misfit::Nothing(name.clone())));
        }
        for at in mine {
            if let Some(other) = owner[at] {
                return Ok(Some(Misfit::Shared(other.clone(), name.clone())));
            }
            owner[at] = Some(name);
        }
    }
    Ok(None)
}

/// The commits that each lack one of the parts, in their order. The same again is the same commits.
pub fn leave_out(
    repo_git: &Path,
    base: &str,
    commit: &str,
    names: &[String],
    at: i64,
) -> Result<Vec<String>, RepoError> {
    let repo = store::open(repo_git)?;
    let odb = store::odb(&repo)?;
    let pieces = pieces(&repo, repo_git, base, commit)?;
    let files = |commit: &str| -> Result<Files, RepoError> {
        trees::flatten(&odb, store::find(&repo, commit)?.tree_id())
    };
    let (before, after) = (files(base)?, files(commit)?);
    let whole = store::find(&repo, commit)?;
    let org = store::signature(at)?;
    let mut commits = Vec::new();
    for name in names {
        let out = meant(&pieces, name);
        let mut left = after.clone();
        let mut paths: Vec<&str> = out.iter().map(|at| pieces[*at].path.as_str()).collect();
        paths.dedup();
        for path in paths {
            let key = path.as_bytes();
            let whole_file = out
                .iter()
                .any(|at| pieces[*at].path == path && pieces[*at].lines.is_none());
            let (Some(old), Some(new), false) = (before.get(key), after.get(key), whole_file)
            else {
                match before.get(key) {
                    Some(item) => left.insert(key.to_vec(), *item),
                    None => left.remove(key),
                };
                continue;
            };
            let kept = |at: usize| !out.contains(&at);
            let text = assemble(&blob(&odb, *old)?, &blob(&odb, *new)?, path, &pieces, &kept);
            let oid = odb
                .write(ObjectType::Blob, text.as_bytes())
                .map_err(git(format!("write {path}")))?;
            left.insert(key.to_vec(), (new.0, oid));
        }
        let tree = trees::assemble(&odb, &left)?;
        let tree = repo.find_tree(tree).map_err(git("read a tree"))?;
        let message = format!("without {name}\n");
        let made = repo.commit(None, &org, &org, &message, &tree, &[&whole]);
        commits.push(made.map_err(git("commit what is left"))?.to_string());
    }
    Ok(commits)
}

/// The pieces that a name means.
fn meant(pieces: &[Piece], name: &str) -> Vec<usize> {
    let by = |of: &dyn Fn(&Piece) -> bool| -> Vec<usize> {
        (0..pieces.len()).filter(|at| of(&pieces[*at])).collect()
    };
    let paths = by(&|piece| glob::matches(name, &piece.path));
    if paths.is_empty() {
        by(&|piece| piece.text.contains(name))
    } else {
        paths
    }
}

fn pieces(
    repo: &Repository,
    repo_git: &Path,
    base: &str,
    commit: &str,
) -> Result<Vec<Piece>, RepoError> {
    let odb = store::odb(repo)?;
    let files = |commit: &str| -> Result<Files, RepoError> {
        trees::flatten(&odb, store::find(repo, commit)?.tree_id())
    };
    let (before, after) = (files(base)?, files(commit)?);
    let mut pieces = Vec::new();
    for change in history::changed_paths(repo_git, base, commit)? {
        let path = change.path;
        let sides = before.get(path.as_bytes()).zip(after.get(path.as_bytes()));
        let of_text = match sides {
            Some((old, new)) if old.0 == new.0 && old.0 != Mode::Submodule => {
                let (old, new) = (blob(&odb, *old)?, blob(&odb, *new)?);
                let text = std::str::from_utf8(&old).is_ok() && std::str::from_utf8(&new).is_ok();
                if text {
                    hunks(&path, &old, &new)?
                } else {
                    Vec::new()
                }
            }
            _ => Vec::new(),
        };
        if of_text.is_empty() {
            let text = String::new();
            let lines = None;
            pieces.push(Piece { path, text, lines });
        } else {
            pieces.extend(of_text);
        }
    }
    Ok(pieces)
}

/// The runs of changed lines of one file.
fn hunks(path: &str, old: &[u8], new: &[u8]) -> Result<Vec<Piece>, RepoError> {
    let doing = || git(format!("compare the lines of {path}"));
    let mut options = DiffOptions::new();
    options.context_lines(0).interhunk_lines(0);
    let patch = Patch::from_buffers(old, None, new, None, Some(&mut options)).map_err(doing())?;
    let mut pieces = Vec::new();
    for at in 0..patch.num_hunks() {
        let (hunk, count) = patch.hunk(at).map_err(doing())?;
        let (mut gone, mut come) = (Vec::new(), Vec::new());
        for line in 0..count {
            let line = patch.line_in_hunk(at, line).map_err(doing())?;
            let text = String::from_utf8_lossy(line.content()).into_owned();
            match line.origin() {
                '-' => gone.push(text),
                '+' => come.push(text),
                _ => {}
            }
        }
        // An empty side names the line after which it stands.
        let first = |start: u32, lines: u32| start as usize - usize::from(lines > 0);
        let (before, after) = (hunk.old_lines(), hunk.new_lines());
        let (from, to) = (
            first(hunk.old_start(), before),
            first(hunk.new_start(), after),
        );
        let mut piece = |text: String, lines: [usize; 4]| {
            let (path, lines) = (path.to_owned(), Some(lines));
            pieces.push(Piece { path, text, lines });
        };
        if gone.len() == come.len() {
            // Neighbours that changed each for itself, as in a list of settings.
            for (line, (gone, come)) in gone.iter().zip(&come).enumerate() {
                piece(format!("{gone}{come}"), [from + line, 1, to + line, 1]);
            }
        } else {
            let text = gone.concat() + &come.concat();
            piece(text, [from, gone.len(), to, come.len()]);
        }
    }
    Ok(pieces)
}

/// The old file with the pieces of it that are kept.
fn assemble(
    old: &[u8],
    new: &[u8],
    path: &str,
    pieces: &[Piece],
    kept: &dyn Fn(usize) -> bool,
) -> String {
    let (old, new) = (String::from_utf8_lossy(old), String::from_utf8_lossy(new));
    let old: Vec<&str> = old.split_inclusive('\n').collect();
    let new: Vec<&str> = new.split_inclusive('\n').collect();
    let mut text = String::new();
    let mut line = 0;
    for (at, piece) in pieces.iter().enumerate() {
        let Some([from, gone, to, come]) = piece.lines.filter(|_| piece.path == path) else {
            continue;
        };
        text.extend(old[line..from].iter().copied());
        if kept(at) {
            text.extend(new[to..to + come].iter().copied());
        } else {
            text.extend(old[from..from + gone].iter().copied());
        }
        line = from + gone;
    }
    text.extend(old[line..].iter().copied());
    text
}

fn blob(odb: &Odb<'_>, (_, oid): (Mode, Oid)) -> Result<Vec<u8>, RepoError> {
    let object = odb.read(oid).map_err(git(format!("read {oid}")))?;
    Ok(object.data().to_vec())
}
