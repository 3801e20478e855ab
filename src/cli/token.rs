//! `tenantry token`: sign and revoke tokens.

use super::{Common, token_mint};

/// Commands on tokens.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Sign a token offline with the configured key and print it
    Mint(token_mint::Args),
}

pub(super) fn run(common: &Common, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Mint(arguments) => token_mint::run(common, &arguments),
    }
}
