//! The command line: one file for each command.

mod backup;
mod completions;
pub mod config;
mod config_check;
mod data_dir;
mod dev;
mod jobs;
mod keys;
mod material;
mod migrate;
mod openapi;
mod output;
mod peers;
mod places;
mod progress;
mod report;
mod restore;
mod serve;
mod start;
mod tenants;
mod token;
mod token_mint;
mod token_revoke;
mod users;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{CommandFactory, Parser, Subcommand};

use self::config::{Config, ConfigError, Found};
use crate::server::survive_the_limit_of_files;

/// One control plane for multi-tenant platforms.
///
/// Settings come from flags, then from environment variables, then from a TOML file.
#[derive(Debug, Parser)]
#[command(name = "tenantry", version, disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// Flags of every command.
#[derive(Debug, clap::Args)]
struct Common {
    /// TOML file with settings [env: TENANTRY_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<String>,
    /// Directory of the embedded database and the development keys [env: TENANTRY_DATA_DIR] [default: .tenantry]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<String>,
    /// Database, `sqlite:FILE` or `postgres://...`; use the variable if the URL contains a password
    /// [env: TENANTRY_DATABASE_URL] [default: an SQLite file in the data directory]
    #[arg(long, global = true, value_name = "URL", hide_default_value = true)]
    database_url: Option<String>,
    /// File with the Ed25519 key (PKCS#8 PEM) that signs tokens [env: TENANTRY_JWT_KEY]
    #[arg(long, global = true, value_name = "FILE")]
    jwt_key: Option<String>,
    /// Log filter, such as `info` or `tenantry=debug` [env: TENANTRY_LOG] [default: info]
    #[arg(long, global = true, value_name = "FILTER")]
    log: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything on this machine for development: embedded SQLite, generated keys, loopback only
    Dev(dev::Args),
    /// Run the server in production; refuses settings that are only suitable for development
    Serve(serve::Args),
    /// Migrate the schema of the database
    Migrate(migrate::Args),
    /// Create platform accounts and set their passwords
    #[command(subcommand)]
    Users(users::Command),
    /// Sign and revoke tokens
    #[command(subcommand)]
    Token(token::Command),
    /// Check and rotate the keys that encrypt stored secrets
    #[command(subcommand)]
    Keys(keys::Command),
    /// Migrate the databases of tenants
    #[command(subcommand)]
    Tenants(tenants::Command),
    /// Show the background jobs that one server runs for all, or request a run
    Jobs(jobs::Args),
    /// Copy the registry to a new directory, consistently, while servers run
    ///
    /// The directory gets the copy, made by SQLite's online backup or by pg_dump, and a manifest with the digest of the rows of each
    /// table. The keys that seal secrets are not in it: keep copies of them elsewhere.
    Backup(backup::Args),
    /// Restore a backup into the configured database, which must be empty
    ///
    /// The backup and the keys are checked before anything is changed, and the restored rows are compared with the digests of the
    /// backup. A backup of an older schema is restored as it is; migrate it afterwards.
    Restore(restore::Args),
    /// Check the configuration
    #[command(subcommand)]
    Config(config_check::Command),
    /// Print the OpenAPI 3.1 document of the REST operations
    Openapi(openapi::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
}

/// Runs the command of this process. Exit codes: 0 for success, 1 for failure, 2 for wrong usage.
pub fn main() -> ExitCode {
    if let Err(error) = survive_the_limit_of_files() {
        output::complain(format_args!("warning: a limit for the size of files would end this process: {error}"));
    }
    run(std::env::args_os())
}

fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let printed = error.print();
            // clap returns help and version as errors; both are a success.
            return if error.use_stderr() { ExitCode::from(2) } else { ended(output::written(printed)) };
        }
    };
    let common = cli.common;
    let done = match cli.command {
        Command::Dev(arguments) => dev::run(&common, &arguments),
        Command::Serve(arguments) => serve::run(&common, &arguments),
        Command::Migrate(arguments) => migrate::run(&common, &arguments),
        Command::Users(command) => users::run(&common, command),
        Command::Token(command) => token::run(&common, command),
        Command::Keys(command) => keys::run(&common, command),
        Command::Tenants(command) => tenants::run(&common, command),
        Command::Jobs(arguments) => jobs::run(&common, &arguments),
        Command::Backup(arguments) => backup::run(&common, &arguments),
        Command::Restore(arguments) => restore::run(&common, &arguments),
        Command::Config(command) => config_check::run(&common, command),
        Command::Openapi(arguments) => openapi::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments, Cli::command()),
    };
    ended(done)
}

fn ended(done: anyhow::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(format_args!("error: {}", report::text(&error)));
            ExitCode::from(if error.is::<Usage>() { 2 } else { 1 })
        }
    }
}

/// Wrong usage that clap cannot detect.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(&'static str);

impl Common {
    /// The configuration with these flags and the command's own; fails if any setting is invalid.
    fn load(&self, own: &[(&'static str, String)]) -> Result<Config, ConfigError> {
        self.find(own).usable()
    }

    /// The same, including the problems.
    fn find(&self, own: &[(&'static str, String)]) -> Found {
        let shared = [
            ("data_dir", &self.data_dir),
            ("database_url", &self.database_url),
            ("jwt_key", &self.jwt_key),
            ("log", &self.log),
        ];
        let shared = shared.into_iter().filter_map(|(key, value)| Some((key, value.clone()?)));
        let flags: Vec<_> = shared.chain(own.iter().cloned()).collect();
        Config::find(&flags, self.config.as_deref())
    }
}

/// The key file: the configured one, otherwise the one that `dev` created in the data directory.
fn key_file(config: &Config) -> PathBuf {
    config.jwt_key.clone().unwrap_or_else(|| dev_key_file(&config.data_dir))
}

/// The file of `dev`'s signing key.
fn dev_key_file(data_dir: &Path) -> PathBuf {
    data_dir.join("jwt.pem")
}

/// The file of `dev`'s key-encryption key.
fn dev_kek_file(data_dir: &Path) -> PathBuf {
    data_dir.join("kek")
}
