//! `tenantry migrate`: the schema.

use super::{
    Common,
    config::Config,
    data_dir, output,
    start::{block_on, open_existing, open_store},
};
use crate::{base::Kind, store::Store};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

/// Commands on the schema.
#[derive(Clone, Copy, Debug, clap::Subcommand)]
enum Action {
    /// Apply pending migrations (the default)
    Up,
    /// Show pending migrations; fail if there are any
    Status,
}

pub(super) fn run(common: &Common, arguments: &Args) -> anyhow::Result<()> {
    let config = common.load(&[])?;
    block_on(async {
        match arguments.action.unwrap_or(Action::Up) {
            Action::Up => up(&config).await,
            Action::Status => status(&config).await,
        }
    })
}

async fn up(config: &Config) -> anyhow::Result<()> {
    if config.database_url.is_none() {
        data_dir::make(&config.data_dir, |warning| output::complain(format_args!("warning: {warning}")))?;
    }
    let store = open_store(config).await?;
    let applied = store.migrate(|name| output::tell(format_args!("applying {name}"))).await;
    store.close().await;
    output::tell(format_args!("{} applied; the schema is up to date", applied?.len()));
    Ok(())
}

/// Read-only: does not create a database, not even an empty file.
async fn status(config: &Config) -> anyhow::Result<()> {
    let pending = match open_existing(config).await {
        Ok(store) => {
            let pending = store.pending_migrations().await;
            store.close().await;
            pending?
        }
        Err(error) if is_missing(&error) => Store::known_migrations(),
        Err(error) => return Err(error),
    };
    for name in &pending {
        output::tell(format_args!("pending {name}"));
    }
    anyhow::ensure!(pending.is_empty(), "{} pending: run `tenantry migrate up`", pending.len());
    output::tell("the schema is up to date");
    Ok(())
}

/// Whether the database does not exist yet.
fn is_missing(error: &anyhow::Error) -> bool {
    error.downcast_ref::<crate::base::Error>().is_some_and(|error| error.kind == Kind::NotFound)
}
