//! `tenantry config check`: the effective settings and where each came from.

use std::fmt::Write as _;

use super::{Common, config::Layers, start::tls};

/// Commands on the configuration.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Print the effective settings with their sources, secrets masked; fail if any is wrong
    Check,
}

pub(super) fn run(common: &Common, command: Command) -> anyhow::Result<()> {
    let Command::Check = command;
    let (config, layers) = common.load(&[])?;
    print!("{}", table(&layers));
    tls(&config)?;
    Ok(())
}

/// One line a setting: key, value, source.
fn table(layers: &Layers) -> String {
    let rows: Vec<_> = layers
        .shown()
        .map(|(setting, value, source)| {
            let value = if value.is_empty() { "(not set)".to_owned() } else { value };
            (setting.key, value, source.to_string())
        })
        .collect();
    let keys = rows.iter().map(|(key, ..)| key.len()).max().unwrap_or_default();
    let values = rows.iter().map(|(_, value, _)| value.chars().count()).max().unwrap_or_default();
    rows.iter().fold(String::new(), |mut table, (key, value, source)| {
        // Writing to a String cannot fail.
        let _ = writeln!(table, "{key:keys$}  {value:values$}  {source}");
        table
    })
}
