//! `tenantry completions SHELL`.

use std::io::Write;

use clap_complete::Shell;

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run(arguments: &Args, mut command: clap::Command) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "tenantry", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(())
}
