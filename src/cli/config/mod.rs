//! Configuration: flags, then environment, then a TOML file; unknown keys are errors.

mod layers;
mod parse;
mod settings;
#[cfg(test)]
mod tests;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

pub use layers::{Layers, Source};
pub use parse::duration;
pub use settings::{SETTINGS, Setting};

use crate::{
    auth::{Origins, ProxyRoles},
    base::Secret,
    server::layers::TrustedProxies,
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
    /// The certificate of the listeners, and its key: both or none.
    pub tls: Option<TlsFiles>,
    /// The proxies that are believed to tell who their clients are.
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
    /// Most tenants in the registry; `None` is no limit.
    pub max_tenants: Option<u64>,
    /// Whether there are many tenants to keep.
    pub multitenancy: bool,
    /// Features that the license covers.
    pub features: Vec<String>,
    /// Whether administrators may have databases of tenants made by this server.
    pub self_service_provisioning: bool,
    /// Make tenant `public` with namespace `public/default`.
    pub messaging_bootstrap: bool,
    /// Allow forced deletion of messaging tenants.
    pub messaging_force_delete: bool,
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

/// What is wrong with the configuration: every problem, not the first alone.
#[derive(Debug, thiserror::Error)]
#[error("the configuration is not usable:\n  {}", .0.join("\n  "))]
pub struct ConfigError(pub Vec<String>);

impl Config {
    /// Reads the configuration of this process, with the flags of its command.
    pub fn load(flags: &[(&'static str, String)], file: Option<&Path>) -> Result<(Self, Layers), ConfigError> {
        // A variable that is not Unicode is none of ours.
        let environment = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        Self::read(flags, environment, file)
    }

    /// The same, of a given environment.
    pub fn read(
        flags: &[(&'static str, String)],
        environment: impl Iterator<Item = (String, String)>,
        file: Option<&Path>,
    ) -> Result<(Self, Layers), ConfigError> {
        let mut problems = Vec::new();
        let layers = Layers::read(flags, environment, file, &mut problems);
        let config = parse::config(&layers, &mut problems);
        if problems.is_empty() { Ok((config, layers)) } else { Err(ConfigError(problems)) }
    }
}
