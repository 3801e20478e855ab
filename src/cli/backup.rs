//! `tenantry backup`: a consistent copy of the registry while servers run.

use std::path::PathBuf;

use time::OffsetDateTime;

use super::{
    Common, output,
    start::{block_on, location},
};
use crate::{base::setting_file, store::backup};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// New directory for the copy and its manifest
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub(super) fn run(common: &Common, arguments: &Args) -> anyhow::Result<()> {
    let config = common.load(&[])?;
    let directory = &arguments.directory;
    let manifest =
        block_on(async { Ok(backup::create(&location(&config), directory, OffsetDateTime::now_utc()).await?) })?;
    output::tell(format_args!(
        "{} rows of {} tables are in {}",
        manifest.rows(),
        manifest.tables.len(),
        setting_file::shown_directory(directory)
    ));
    for key in &manifest.keys {
        output::tell(format_args!("its secrets need the key-encryption key {key}: keep a copy of it elsewhere"));
    }
    Ok(())
}
