//! What is left of a panic: exit code 3, a plain sentence, and a file to send.
//!
//! Owns the panic hook. Must not know what panicked.

use std::backtrace::Backtrace;
use std::panic::{self, PanicHookInfo};
use std::path::PathBuf;

use super::Context;
use super::failure::Failure;
use super::ui::Ui;
use crate::os::{clock, files};

/// The exit code of a bug in `org`.
pub(super) const CODE: u8 = 3;

/// Sees to it that a panic is told as a bug.
pub(super) fn watch(context: &Context) {
    let colour = context.place.colour;
    let dir = context
        .place
        .state_dir
        .as_ref()
        .map_or_else(std::env::temp_dir, |state| state.join("bugs"));
    panic::set_hook(Box::new(move |info| {
        // A mouth of its own: the other one may have been open when this happened.
        tell(&Ui::new(colour), &dir, info);
    }));
}

fn tell(ui: &Ui, dir: &std::path::Path, info: &PanicHookInfo<'_>) {
    let text = format!(
        "org {} at {}\n{info}\n\n{}\n",
        env!("CARGO_PKG_VERSION"),
        clock::now(),
        Backtrace::force_capture()
    );
    let payload = info.payload();
    let what = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without words".to_owned());
    let at = info
        .location()
        .map(|at| format!(" at {}:{}", at.file(), at.line()));
    let kept = keep(dir, &text);
    let hint = match kept {
        Ok(path) => format!("please report it with {}", path.display()),
        Err(_) => "please report it with these lines".to_owned(),
    };
    let mut failure = Failure::bug("this is a bug in `org`", hint);
    failure
        .causes
        .push(format!("{what}{}", at.unwrap_or_default()));
    ui.failure(&failure);
}

fn keep(dir: &std::path::Path, text: &str) -> std::io::Result<PathBuf> {
    files::create_private_dir(dir)?;
    let name = format!("{}-{}.log", clock::now().as_second(), std::process::id());
    let path = dir.join(name);
    files::write_atomic(&path, text.as_bytes(), 0o600)?;
    Ok(path)
}
