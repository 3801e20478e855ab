//! `tenantry migrate`: the schema.

use super::{
    Common,
    start::{block_on, open_store},
};
use crate::store::Store;

/// Arguments of `migrate`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

/// What to do about the schema.
#[derive(Clone, Copy, Debug, clap::Subcommand)]
enum Action {
    /// Apply what is pending (the default)
    Up,
    /// Say what is pending; fail if anything is
    Status,
}

pub(super) fn run(common: &Common, arguments: &Args) -> anyhow::Result<()> {
    let (config, _) = common.load(&[])?;
    block_on(async {
        let store = open_store(&config).await?;
        let done = match arguments.action.unwrap_or(Action::Up) {
            Action::Up => up(&store).await,
            Action::Status => status(&store).await,
        };
        store.close().await;
        done
    })
}

async fn up(store: &Store) -> anyhow::Result<()> {
    let applied = store.migrate(|name| println!("applying {name}")).await?;
    println!("{} applied; the schema is up to date", applied.len());
    Ok(())
}

async fn status(store: &Store) -> anyhow::Result<()> {
    let pending = store.pending_migrations().await?;
    for name in &pending {
        println!("pending {name}");
    }
    anyhow::ensure!(pending.is_empty(), "{} pending: run `tenantry migrate up`", pending.len());
    println!("the schema is up to date");
    Ok(())
}
