//! The binary: hands argv and environment to `cli` and returns its exit code.

fn main() -> std::process::ExitCode {
    org::cli::run()
}
