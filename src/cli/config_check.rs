//! `tenantry config check`: the effective settings, their sources, and their problems.

use std::fmt::Write as _;

use super::{
    Common,
    config::{ConfigError, Found, UNUSABLE},
    material::{Material, Purpose},
    output, places,
};

/// Commands on the configuration.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Print the effective settings with their sources, secrets masked; fail if any is invalid
    ///
    /// Reads the settings and the files that they name, like a start. Does not open the database; for that, use `migrate
    /// status` and `keys status`.
    Check {
        /// Also check what only `serve` requires
        #[arg(long)]
        production: bool,
    },
}

pub(super) fn run(common: &Common, command: Command) -> anyhow::Result<()> {
    let Command::Check { production } = command;
    let purpose = if production { Purpose::Production } else { Purpose::Any };
    let mut found = common.find(&[]);
    let mut title = UNUSABLE;
    if let Some(config) = found.config() {
        let mut problems = places::problems(config, purpose);
        match Material::read(config, purpose) {
            Ok(material) => {
                material.warnings.iter().for_each(|warning| output::complain(format_args!("warning: {warning}")))
            }
            Err(ConfigError { title: what, problems: more }) => {
                title = what;
                problems.extend(more);
            }
        }
        found.problems = problems;
    }
    output::tell(table(&found).trim_end());
    match found.problems.is_empty() {
        true => Ok(()),
        false => Err(ConfigError { title, problems: found.problems }.into()),
    }
}

/// One line for each setting: key, value, source. An invalid value is not shown: it may be a misplaced secret.
fn table(found: &Found) -> String {
    let wrong = |key| found.problems.iter().any(|problem| problem.key == Some(key));
    let rows: Vec<_> = found
        .layers
        .shown()
        .map(|(setting, value, source)| {
            let value = match value {
                _ if wrong(setting.key) => "(not usable)".to_owned(),
                value if value.is_empty() => "(not set)".to_owned(),
                value => value,
            };
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
