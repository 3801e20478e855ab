//! What the commands that serve or use the database share.

use std::{
    future::Future,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use tokio::net::TcpListener;

use super::config::{Config, TlsFiles};
use crate::{
    auth::{
        foreign::{ApiKey, ManagerKey},
        keys::Keys,
    },
    base::{Clock, Secret},
    messaging::MessagingSettings,
    server::{
        App, Signals, Tls,
        layers::{Edge, Limits},
        logs::{self, Log},
        metrics,
        tls::TlsError,
    },
    store::{Kek, Store, StoreConfig},
    tenants::MultitenancySettings,
};

/// Runs a command that waits for things. Two workers carry more than one database can answer; more only cost memory.
pub(super) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(cores.max(2)).enable_all().build()?;
    let done = runtime.block_on(work);
    // What still runs in the background has nothing left to say.
    runtime.shutdown_background();
    done
}

/// Opens the configured database, or the embedded one in the data directory.
pub(super) async fn open_store(config: &Config) -> anyhow::Result<Store> {
    let url = match &config.database_url {
        Some(url) => url.clone(),
        None => Secret::new(embedded_url(&config.data_dir)),
    };
    let settings = StoreConfig {
        max_connections: config.database_connections,
        clock: Clock::system(),
        ..StoreConfig::new(url.expose().clone())
    };
    Store::open(settings).await.context("the database cannot be opened")
}

/// As [`open_store`], but makes no database where there is none.
pub(super) async fn open_existing(config: &Config) -> anyhow::Result<Store> {
    let file = match &config.database_url {
        Some(url) => url.expose().strip_prefix("sqlite:").map(|file| file.trim_start_matches("//").into()),
        None => Some(embedded_file(&config.data_dir)),
    };
    if let Some(file) = file {
        let path = file.to_string_lossy();
        let path = Path::new(path.split_once('?').map_or(&*path, |(path, _)| path));
        anyhow::ensure!(path.exists(), "there is no database {}", path.display());
    }
    open_store(config).await
}

/// Whether the embedded database has yet to be made.
pub(super) fn is_new(config: &Config) -> bool {
    config.database_url.is_none() && !embedded_file(&config.data_dir).exists()
}

fn embedded_file(data_dir: &Path) -> PathBuf {
    data_dir.join("tenantry.db")
}

fn embedded_url(data_dir: &Path) -> String {
    format!("sqlite:{}", embedded_file(data_dir).display())
}

/// Begins to log under the configuration.
pub(super) fn init_logs(config: &Config) -> anyhow::Result<Log> {
    logs::init(&config.log).context("log (TENANTRY_LOG) is no filter")
}

/// Binds every address. One that cannot be had is a warning as long as another can, if `lenient`.
pub(super) async fn bind(
    addresses: &[SocketAddr],
    lenient: bool,
) -> anyhow::Result<(Vec<TcpListener>, Vec<SocketAddr>)> {
    let (mut listeners, mut bound) = (Vec::new(), Vec::new());
    let mut last = None;
    for address in addresses {
        match TcpListener::bind(address).await {
            Ok(listener) => {
                bound.push(listener.local_addr()?);
                listeners.push(listener);
            }
            Err(error) if lenient => {
                tracing::warn!(%address, %error, "an address is left out");
                last = Some((address, error));
            }
            Err(error) => return Err(error).with_context(|| format!("cannot listen on {address}")),
        }
    }
    match last {
        Some((address, error)) if listeners.is_empty() => {
            Err(error).with_context(|| format!("no address to listen on is free; the last was {address}"))
        }
        _ => Ok((listeners, bound)),
    }
}

/// The certificate of a configuration, if it has one.
pub(super) fn tls(config: &Config) -> Result<Option<Tls>, TlsError> {
    config.tls.as_ref().map(|TlsFiles { certificate, key }| Tls::load(certificate, key)).transpose()
}

/// The server of a configuration. `signals` are caught from before it listens, so that none is lost.
pub(super) fn app(config: &Config, store: Store, keys: Keys) -> anyhow::Result<App> {
    let manager_key = config.kubeop_jwt_signing_key.as_ref().map(ManagerKey::from_base64).transpose();
    Ok(App {
        store,
        keys: Arc::new(keys),
        manager_key: manager_key.context("kubeop_jwt_signing_key (KUBEOP_JWT_SIGNING_KEY) is no key")?,
        warehouse_key: config.qod_api_key.as_ref().and_then(ApiKey::new),
        kek: kek(config)?,
        max_tenants: config.max_tenants,
        multitenancy: MultitenancySettings::new(
            config.multitenancy,
            &config.features,
            config.self_service_provisioning,
        ),
        messaging: MessagingSettings { force_delete: config.messaging_force_delete, max_tenants: config.max_tenants },
        messaging_bootstrap: config.messaging_bootstrap,
        messaging_proxy_roles: config.messaging_proxy_roles.clone(),
        limits: Limits {
            max_body: config.max_body_bytes,
            max_in_flight: config.max_in_flight,
            timeout: config.request_timeout,
        },
        edge: Edge { proxies: config.trusted_proxies.clone(), origins: config.cors_origins.clone() },
        tls: tls(config)?,
        open_manager: false,
        drain_timeout: config.drain_timeout,
        metrics: metrics::install().context("the metrics cannot be recorded")?,
    })
}

/// The key that seals secrets: `TENANTRY_KEK` is a file that holds it, or the key itself.
pub(super) fn kek(config: &Config) -> anyhow::Result<Option<Kek>> {
    let Some(setting) = &config.kek else { return Ok(None) };
    let file = Path::new(setting.expose());
    let text = if file.is_file() {
        Secret::new(std::fs::read_to_string(file).with_context(|| format!("kek (TENANTRY_KEK): {}", file.display()))?)
    } else {
        setting.clone()
    };
    Kek::from_base64(&text).map(Some).context("kek (TENANTRY_KEK) is neither a file nor a key")
}

/// Serves until a signal. Calls that were cut off at the deadline are a failure.
pub(super) async fn serve(app: App, listeners: Vec<TcpListener>, signals: Signals) -> anyhow::Result<()> {
    let finished = app.run(listeners, signals).await?;
    anyhow::ensure!(finished, "some calls were cut off when the time to drain was over");
    Ok(())
}
