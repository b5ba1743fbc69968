//! `org init`: a starter chart and its prompts, to be edited.

use std::path::Path;

use super::Context;
use super::args::InitArgs;
use super::failure::Failure;
use super::proposal;
use crate::os::files;

/// What is written, by path below the directory.
const FILES: [(&str, &str); 3] = [
    ("orgs/my-org.toml", include_str!("starter.toml")),
    (
        "prompts/researcher.md",
        include_str!("../../prompts/researcher.md"),
    ),
    ("prompts/chief.md", include_str!("../../prompts/chief.md")),
];
/// Mode of what a person edits.
const MODE: u32 = 0o644;

/// Runs the command.
///
/// # Errors
/// Where one of the files is there already, or the task's command fails; nothing is written then.
pub(super) fn run(context: &Context, args: &InitArgs) -> Result<(), Failure> {
    let dir = context.place.cwd.join(&args.dir);
    if let Some((taken, _)) = FILES.iter().find(|(file, _)| dir.join(file).exists()) {
        return Err(Failure::refused(
            format!("{} is there already", args.dir.join(taken).display()),
            "name another directory, as in `org init my-lab`; nothing was written",
        ));
    }
    let tried = match (&args.repo, &args.run) {
        (Some(repo), Some(run)) => Some(proposal::tried(&context.place, &context.ui, repo, run)?),
        _ => None,
    };
    for (file, text) in FILES {
        match &tried {
            Some(tried) if file == FILES[0].0 => write(&dir.join(file), &tried.fill(text))?,
            _ => write(&dir.join(file), text)?,
        }
        context
            .ui
            .out(&format!("{}\n", args.dir.join(file).display()))?;
    }
    if let Some(tried) = &tried {
        context.ui.note(&tried.words());
    }
    let chart = args.dir.join(FILES[0].0);
    context.ui.note(&format!(
        "next: edit {0}, then org check {0}",
        chart.display()
    ));
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let refused = |error: std::io::Error| {
        Failure::refused(
            format!("{} cannot be written", path.display()),
            "name a directory that you may write",
        )
        .because(&error)
    };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(refused)?;
    }
    files::write_atomic(path, text.as_bytes(), MODE).map_err(refused)
}
