//! `tenantry completions SHELL`.

use clap_complete::Shell;

use super::output;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    shell: Shell,
}

pub(super) fn run(arguments: &Args, mut command: clap::Command) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "tenantry", &mut script);
    output::product(&script)
}
