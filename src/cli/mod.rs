//! The only room that speaks: argv in, words and exit codes out. One file per command.

/// Runs the program.
#[must_use]
pub fn run() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
