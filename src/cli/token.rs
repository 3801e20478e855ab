//! `tenantry token`: sign and revoke tokens.

use super::{Common, token_mint, token_revoke};

/// Commands on tokens.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Sign a token offline with the configured key and print it
    Mint(token_mint::Args),
    /// Revoke a token before it expires
    Revoke(token_revoke::Args),
}

pub(super) fn run(common: &Common, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Mint(arguments) => token_mint::run(common, &arguments),
        Command::Revoke(arguments) => token_revoke::run(common, &arguments),
    }
}
