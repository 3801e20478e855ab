//! Configuration: flags, then environment, then a TOML file; unknown keys are errors.

mod layers;
mod listeners;
mod parse;
mod settings;
mod shown;
#[cfg(test)]
mod tests;

use std::{ffi::OsString, fmt, net::SocketAddr, path::PathBuf, time::Duration};

pub use layers::{Flags, Layers, Source};
pub use parse::duration;
pub use settings::{SETTINGS, Setting, trimmed, unused_of_manager};

use crate::{
    auth::{Origins, ProxyRoles},
    base::{Secret, TrustDomain, public_url::PublicUrl},
    manager::{images::ImageDefault, money::Rate, registries::Registry},
    openbao::{Address, Credential, Namespace},
    server::layers::TrustedProxies,
    warehouse::EdgeAddress,
};

/// The effective configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses to listen on; empty means the command's default.
    pub listen: Vec<SocketAddr>,
    /// The address of the listener that asks for client certificates; `None` is the command's default.
    pub mtls_listen: Option<SocketAddr>,
    /// The domain of the names in the certificates of devices and gateways.
    pub trust_domain: TrustDomain,
    /// How often devices and gateways should ask for new trust anchors.
    pub trust_refresh: Duration,
    /// The interval in which gateways report.
    pub gateway_heartbeat: Duration,
    /// How long after its end a device or gateway may renew a certificate.
    pub renewal_grace: Duration,
    /// How many devices must have reported on a canary before it can be withdrawn.
    pub canary_min_reports: u32,
    /// The directory of the embedded database and the development keys.
    pub data_dir: PathBuf,
    /// The database; `None` means the embedded one in `data_dir`.
    pub database_url: Option<Secret<String>>,
    /// Most connections to the database.
    pub database_connections: u32,
    /// The file of the token signing key.
    pub jwt_key: Option<PathBuf>,
    /// The file of the previous key, which still verifies tokens.
    pub jwt_key_previous: Option<PathBuf>,
    /// The key-encryption key, in base64, or the name of a file with it.
    pub kek: Option<Secret<String>>,
    /// The previous key-encryption key, in the same form.
    pub kek_previous: Option<Secret<String>>,
    /// The certificate of the listeners and its key.
    pub tls: Option<TlsFiles>,
    /// The proxies whose information about clients is trusted, and the headers with it.
    pub trusted_proxies: TrustedProxies,
    /// The foreign origins whose pages may send requests.
    pub cors_origins: Origins,
    /// Log filter in the syntax of `tracing-subscriber`.
    pub log: String,
    /// Longest request body, in bytes.
    pub max_body_bytes: usize,
    /// Maximum number of concurrent requests.
    pub max_in_flight: usize,
    pub request_timeout: Duration,
    /// How long calls may run on after a signal to stop.
    pub drain_timeout: Duration,
    /// The minimum time for which events stay in the outbox.
    pub outbox_retention: Duration,
    /// How long operations are kept after their end.
    pub operation_retention: Duration,
    /// Maximum number of tenants in the registry; `None` for no limit.
    pub max_tenants: Option<u64>,
    /// Whether multi-tenancy is enabled.
    pub multitenancy: bool,
    /// Licensed features.
    pub features: Vec<String>,
    /// Whether administrators may have this server create databases for tenants.
    pub self_service_provisioning: bool,
    /// The PostgreSQL server of the databases of tenants, with the login that creates them.
    pub provisioner_url: Option<Secret<String>>,
    /// How long a call waits until a tenant is provisioned.
    pub provision_timeout: Duration,
    /// The directory of the migrations for databases of tenants; `None` means those of the program.
    pub tenant_migrations: Option<PathBuf>,
    /// Whether a suspension ends all sessions on the database of the tenant.
    pub suspend_disconnects: bool,
    /// How many leases of credentials the programs of one tenant may hold.
    pub max_database_leases: u64,
    /// Create tenant `public` with namespace `public/default`; `None` is the command's default.
    pub messaging_bootstrap: Option<bool>,
    pub messaging_force_delete: bool,
    /// Where clients reach the server.
    pub public_url: Option<PublicUrl>,
    /// Where clients on this machine reach the server, which `dev` finds out.
    pub local_url: Option<PublicUrl>,
    /// The address to which clients of the warehouse send their queries.
    pub warehouse_edge: EdgeAddress,
    /// The subjects of proxies in front of the messaging surface.
    pub messaging_proxy_roles: ProxyRoles,
    /// OpenBAO, if it is used.
    pub openbao: Option<OpenBaoConfig>,
    /// The manager's shared key, base64.
    pub kubeop_jwt_signing_key: Option<Secret<String>>,
    /// Whether the manager surface requires credentials; `None` is the command's default.
    pub kubeop_require_auth: Option<bool>,
    /// The registries from which images of apps may come; empty leaves it to the policy of the platform.
    pub kubeop_image_allowlist: Vec<Registry>,
    /// Which images apps may have without a list.
    pub image_policy: ImageDefault,
    /// The price of a thousandth of a CPU for an hour.
    pub kubeop_rate_cpu_milli: Rate,
    /// The price of a MiB of memory for an hour.
    pub kubeop_rate_mem_mib: Rate,
    /// How long after its end a month is closed.
    pub billing_close_after: Duration,
    pub qod_api_key: Option<Secret<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and its chain.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// The settings of OpenBAO. The files that they name are not read yet.
#[derive(Clone, Debug)]
pub struct OpenBaoConfig {
    pub address: Address,
    pub credential: Credential,
    pub namespace: Option<Namespace>,
    /// The only authorities whose certificates are accepted; `None` for the public ones.
    pub ca_file: Option<PathBuf>,
    /// The time limit of a call.
    pub timeout: Duration,
}

/// A problem with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key of the setting, if it concerns one.
    pub key: Option<&'static str>,
    /// The text. It does not repeat the value, which may be a misplaced secret.
    pub text: String,
}

impl Problem {
    /// A problem with a setting; `what` continues the sentence after its name.
    pub fn of(key: &'static str, what: impl fmt::Display) -> Self {
        let variable = settings::by_key(key).map_or("", |setting| setting.variable);
        Self { key: Some(key), text: format!("{key} ({variable}) {what}") }
    }

    /// A problem that does not concern a single setting.
    pub fn general(text: impl Into<String>) -> Self {
        Self { key: None, text: text.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// All problems with the configuration.
#[derive(Debug, thiserror::Error)]
#[error("{title}:\n  {}", .problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n  "))]
pub struct ConfigError {
    /// The first line of the text.
    pub title: &'static str,
    pub problems: Vec<Problem>,
}

/// The title for an invalid configuration.
pub const UNUSABLE: &str = "the configuration is invalid";

/// The settings, valid or not.
#[derive(Debug)]
pub struct Found {
    /// The typed values. Invalid settings have harmless values, which must not be used.
    config: Config,
    /// The texts and their sources.
    pub layers: Layers,
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

    /// Like [`usable`](Self::usable), without consuming the rest.
    pub fn config(&self) -> Option<&Config> {
        self.problems.is_empty().then_some(&self.config)
    }
}

impl Config {
    /// Reads the configuration of this process, with the flags of its command.
    pub fn find(flags: &Flags, file: Option<&str>) -> Found {
        Self::read(flags, std::env::vars_os(), file)
    }

    /// Reads the configuration from an environment.
    pub fn read(flags: &Flags, environment: impl Iterator<Item = (OsString, OsString)>, file: Option<&str>) -> Found {
        let mut problems = Vec::new();
        let layers = Layers::read(flags, environment, file, &mut problems);
        let config = parse::config(&layers, &mut problems);
        Found { config, layers, problems }
    }
}
