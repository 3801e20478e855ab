//! Configuration: flags, then environment, then a TOML file; unknown keys are errors.

mod layers;
mod parse;
mod settings;
mod shown;
#[cfg(test)]
mod tests;

use std::{ffi::OsString, fmt, net::SocketAddr, path::PathBuf, time::Duration};

pub use layers::{Flags, Layers, Source};
pub use parse::duration;
pub use settings::{SETTINGS, Setting, trimmed};

use crate::{
    auth::{Origins, ProxyRoles},
    base::Secret,
    server::layers::TrustedProxies,
    warehouse::EdgeAddress,
};

/// The effective configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses to listen on; empty means the command's own.
    pub listen: Vec<SocketAddr>,
    /// Where the embedded database and the development keys live.
    pub data_dir: PathBuf,
    /// The database; `None` means the embedded one in `data_dir`.
    pub database_url: Option<Secret<String>>,
    /// Most connections to the database.
    pub database_connections: u32,
    /// The key file that signs tokens.
    pub jwt_key: Option<PathBuf>,
    /// An older key file that still verifies.
    pub jwt_key_previous: Option<PathBuf>,
    /// The key that seals secrets, in base64, or the file that holds it.
    pub kek: Option<Secret<String>>,
    /// The key that sealed secrets before, in the same form.
    pub kek_previous: Option<Secret<String>>,
    /// The certificate of the listeners, and its key: both or none.
    pub tls: Option<TlsFiles>,
    /// The proxies that are believed to tell who their clients are, and the headers in which they do.
    pub trusted_proxies: TrustedProxies,
    /// The foreign origins whose pages may call.
    pub cors_origins: Origins,
    /// Log filter, in the words of `tracing-subscriber`.
    pub log: String,
    /// Longest request body, in bytes.
    pub max_body_bytes: usize,
    /// Most requests at once.
    pub max_in_flight: usize,
    /// Longest time of a unary call.
    pub request_timeout: Duration,
    /// How long calls may run on after a signal to stop.
    pub drain_timeout: Duration,
    /// How long events stay in the outbox at least.
    pub outbox_retention: Duration,
    /// Most tenants in the registry; `None` is no limit.
    pub max_tenants: Option<u64>,
    /// Whether there are many tenants to keep.
    pub multitenancy: bool,
    /// Features that the license covers.
    pub features: Vec<String>,
    /// Whether administrators may have databases of tenants made by this server.
    pub self_service_provisioning: bool,
    /// Make tenant `public` with namespace `public/default`; `None` leaves it to the command.
    pub messaging_bootstrap: Option<bool>,
    /// Allow forced deletion of messaging tenants.
    pub messaging_force_delete: bool,
    /// Where clients of the warehouse send their queries.
    pub warehouse_edge: EdgeAddress,
    /// The subjects of proxies before the messaging surface.
    pub messaging_proxy_roles: ProxyRoles,
    /// The manager's shared key, base64.
    pub kubeop_jwt_signing_key: Option<Secret<String>>,
    /// Whether the manager surface asks for credentials; `None` leaves it to the command.
    pub kubeop_require_auth: Option<bool>,
    /// The warehouse's static key.
    pub qod_api_key: Option<Secret<String>>,
}

/// PEM files of a certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and its chain.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// One thing that is wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key of the setting, if it is one setting's.
    pub key: Option<&'static str>,
    /// What is wrong. It does not repeat the value: that may be a secret in the wrong place.
    pub text: String,
}

impl Problem {
    /// A problem of one setting; `what` goes on after its name.
    pub fn of(key: &'static str, what: impl fmt::Display) -> Self {
        let variable = settings::by_key(key).map_or("", |setting| setting.variable);
        Self { key: Some(key), text: format!("{key} ({variable}) {what}") }
    }

    /// A problem that is not one setting's.
    pub fn general(text: impl Into<String>) -> Self {
        Self { key: None, text: text.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What is wrong with the configuration: every problem, not the first alone.
#[derive(Debug, thiserror::Error)]
#[error("{title}:\n  {}", .problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n  "))]
pub struct ConfigError {
    /// What the configuration is not good for.
    pub title: &'static str,
    /// The problems.
    pub problems: Vec<Problem>,
}

/// What a configuration with problems is not.
pub const UNUSABLE: &str = "the configuration is invalid";

/// The settings as they were found, usable or not.
#[derive(Debug)]
pub struct Found {
    /// The typed values. Where there is a problem they hold something harmless, which nobody may use.
    config: Config,
    /// The texts and their sources.
    pub layers: Layers,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

impl Found {
    /// The configuration, unless there is a problem.
    pub fn usable(self) -> Result<Config, ConfigError> {
        match self.problems.is_empty() {
            true => Ok(self.config),
            false => Err(ConfigError { title: UNUSABLE, problems: self.problems }),
        }
    }

    /// The configuration, unless there is a problem; the same as [`usable`](Self::usable) for those who go on with the
    /// rest.
    pub fn config(&self) -> Option<&Config> {
        self.problems.is_empty().then_some(&self.config)
    }
}

impl Config {
    /// Finds the configuration of this process, with the flags of its command.
    pub fn find(flags: &Flags, file: Option<&str>) -> Found {
        Self::read(flags, std::env::vars_os(), file)
    }

    /// The same, of a given environment.
    pub fn read(flags: &Flags, environment: impl Iterator<Item = (OsString, OsString)>, file: Option<&str>) -> Found {
        let mut problems = Vec::new();
        let layers = Layers::read(flags, environment, file, &mut problems);
        let config = parse::config(&layers, &mut problems);
        Found { config, layers, problems }
    }
}
