//! `org completions`: what a shell needs to complete our commands.

use clap::Args;
use clap_complete::Shell;

use super::failure::Failure;
use super::{Context, help};

/// Print completions for a shell
///
/// For bash: `org completions bash > ~/.local/share/bash-completion/completions/org`.
#[derive(Debug, Clone, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub(super) fn run(context: &Context, args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut help::command(), "org", &mut script);
    context.ui.out(&String::from_utf8_lossy(&script))
}
