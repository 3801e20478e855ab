//! `tenantry restore`: a backup becomes the database.

use std::path::PathBuf;

use super::{
    Common, data_dir, keys, output,
    start::{block_on, location},
};
use crate::{base::setting_file, store::backup};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Directory that `tenantry backup` made
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Replace the contents of a database that is not empty; stop the servers first
    #[arg(long)]
    replace: bool,
}

pub(super) fn run(common: &Common, arguments: &Args) -> anyhow::Result<()> {
    let config = common.load(&[])?;
    let ring = keys::ring(&config)?;
    let has_key = |id: &str| ring.as_ref().is_some_and(|ring| ring.find(id).is_some());
    let restored = block_on(async {
        if config.database_url.is_none() {
            data_dir::make(&config.data_dir, |warning| output::complain(format_args!("warning: {warning}")))?;
        }
        Ok(backup::restore(&location(&config), &arguments.directory, has_key, arguments.replace).await?)
    })?;
    let manifest = &restored.manifest;
    output::tell(format_args!(
        "{} rows of {} tables are restored from {} (made at {}); every row is as it was",
        manifest.rows(),
        manifest.tables.len(),
        setting_file::shown_directory(&arguments.directory),
        manifest.created_at
    ));
    if restored.is_behind {
        output::tell("the schema is behind: run `tenantry migrate up`");
    }
    Ok(())
}
