//! Shared by the commands that serve or use the database.

use std::{
    future::Future,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use tokio::net::TcpListener;

use super::{
    config::{Config, unused_of_manager},
    material::Material,
};
use crate::{
    api::Settings,
    auth::authn::keys::Keys,
    base::{Clock, Error, ServerIdentity, error::Reason},
    controlplane::{
        licensing::MultitenancySettings,
        provisioning::{ProvisioningSettings, ServerAddress, Site},
    },
    fleet::Heartbeat,
    manager::{billing::BillingSettings, images::ImageSettings},
    messaging::MessagingSettings,
    server::{
        App, Signals, Sockets,
        layers::{Ingress, Limits},
        logs::{self, Log},
        metrics,
    },
    store::{Keyring, Location, Sealer, Store, StoreConfig},
    tenants::database::DatabaseSettings,
    trust::TrustSettings,
};

/// Runs an asynchronous command; SIGTERM and SIGINT end it immediately.
pub(super) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    end_on_signal().context("signals cannot be caught")?;
    block_on_server(work)
}

/// Ends the process on a signal, with the exit status that a shell reports for it. The system does so by default,
/// except for the first process of a container, which gets only signals that it handles. A separate thread handles
/// them, whatever the command is doing, even if it is blocked on output.
fn end_on_signal() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut signals = runtime.block_on(async { Signals::catch() })?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let signal = runtime.block_on(signals.next());
        std::process::exit(128 + signal.as_raw_value())
    })?;
    Ok(())
}

/// Runs a server, which handles signals itself. Two workers suffice for the throughput of one database; more only cost
/// memory.
pub(super) fn block_on_server<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(cores.max(2)).enable_all().build()?;
    let done = runtime.block_on(work);
    // Remaining background work is abandoned.
    runtime.shutdown_background();
    done
}

/// Opens the configured database, or the embedded one in the data directory; creates a missing SQLite file.
pub(super) async fn open_store(config: &Config) -> anyhow::Result<Store> {
    open(config, true).await
}

/// Like [`open_store`], but does not create a database.
pub(super) async fn open_existing(config: &Config) -> anyhow::Result<Store> {
    open(config, false).await
}

/// Like [`open_existing`], for commands that use the tables: fails with instructions if the schema is not up to date.
pub(super) async fn open_migrated(config: &Config) -> anyhow::Result<Store> {
    let store = open_existing(config).await?;
    let pending = store.pending_migrations().await;
    if let Ok([]) = pending.as_deref() {
        return Ok(store);
    }
    store.close().await;
    pending?;
    anyhow::bail!("the schema is behind: run `tenantry migrate up`")
}

/// Where the configured database is, or the embedded one.
pub(super) fn location(config: &Config) -> Location {
    match &config.database_url {
        Some(url) => Location::Url(url.clone()),
        None => Location::File(embedded_file(&config.data_dir)),
    }
}

async fn open(config: &Config, create: bool) -> anyhow::Result<Store> {
    let settings = StoreConfig {
        create,
        max_connections: config.database_connections,
        clock: Clock::system(),
        ..StoreConfig::at(location(config))
    };
    Store::open(settings).await.context("the database cannot be opened")
}

/// Whether the embedded database does not exist yet.
pub(super) fn is_new(config: &Config) -> bool {
    config.database_url.is_none() && !embedded_file(&config.data_dir).exists()
}

fn embedded_file(data_dir: &Path) -> PathBuf {
    data_dir.join("tenantry.db")
}

/// Starts logging with the configuration.
pub(super) fn init_logs(config: &Config) -> anyhow::Result<Log> {
    logs::init(&config.log).context("log (TENANTRY_LOG) is not a log filter")
}

/// The settings of the flags `--listen` and `--mtls-listen`.
pub(super) fn listen_flags(listen: &[String], mutual: Option<&str>) -> Vec<(&'static str, String)> {
    let listen = (!listen.is_empty()).then(|| ("listen", listen.join(",")));
    let mutual = mutual.map(|address| ("mtls_listen", address.to_owned()));
    listen.into_iter().chain(mutual).collect()
}

/// Binds every address. With `lenient`, a failure is only a warning as long as another address can be bound.
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
                tracing::warn!(%address, %error, "skipping an address");
                last = Some((address, error));
            }
            Err(error) => return Err(error).with_context(|| format!("cannot listen on {address}")),
        }
    }
    match last {
        Some((address, error)) if listeners.is_empty() => {
            Err(error).with_context(|| format!("cannot listen on any of the addresses; the last was {address}"))
        }
        _ => Ok((listeners, bound)),
    }
}

/// Fails with instructions if the key-encryption keys are not those of the database.
pub(super) async fn check_keys(store: &Store, ring: Option<&Keyring>) -> anyhow::Result<()> {
    Sealer::new(store.clone(), ring.cloned()).verify().await.map_err(with_cause)
}

/// An error for an operator, who needs to know why a key of another system cannot be used.
pub(super) fn with_cause(error: Error) -> anyhow::Error {
    match &error.cause {
        Some(cause) if error.reason == Reason::KekUnavailable => anyhow::anyhow!("{error}: {cause}"),
        _ => error.into(),
    }
}

/// The server of a configuration.
pub(super) fn app(config: &Config, material: Material, store: Store, keys: Keys) -> anyhow::Result<App> {
    let unused = unused_of_manager(std::env::vars_os().map(|(name, _)| name));
    if !unused.is_empty() {
        tracing::warn!(variables = unused.join(", "), "variables of the manager's document have no effect");
    }
    let provisioning = ProvisioningSettings {
        site: Site {
            server: material.provisioner.as_ref().map(ServerAddress::of),
            openbao: material.openbao.is_some(),
        },
        timeout: config.provision_timeout,
        head: material.migrations.head().map(str::to_owned),
    };
    Ok(App {
        store,
        keys: Arc::new(keys),
        manager_key: material.manager_key,
        warehouse_key: material.warehouse_key,
        keyring: material.keyring,
        openbao: material.openbao,
        provisioner: material.provisioner,
        migrations: material.migrations,
        databases: DatabaseSettings {
            most_leases: config.max_database_leases,
            suspend_disconnects: config.suspend_disconnects,
        },
        settings: Settings {
            max_tenants: config.max_tenants,
            multitenancy: MultitenancySettings::new(
                config.multitenancy,
                &config.features,
                config.self_service_provisioning,
            ),
            provisioning,
            messaging: MessagingSettings {
                force_delete: config.messaging_force_delete,
                max_tenants: config.max_tenants,
            },
            images: ImageSettings { allowlist: config.kubeop_image_allowlist.clone(), default: config.image_policy },
            billing: BillingSettings {
                cpu_milli: config.kubeop_rate_cpu_milli.clone(),
                mem_mib: config.kubeop_rate_mem_mib.clone(),
                close_after: time::Duration::try_from(config.billing_close_after)
                    .context("the time until a month is closed is too long")?,
            },
            warehouse_edge: config.warehouse_edge.clone(),
            public_url: config.public_url.clone().or_else(|| config.local_url.clone()),
            proof_url: config.public_url.clone(),
            trust: TrustSettings {
                domain: config.trust_domain.clone(),
                refresh: time::Duration::try_from(config.trust_refresh).context("the refresh interval is too long")?,
            },
            heartbeat: Heartbeat::new(
                time::Duration::try_from(config.gateway_heartbeat).context("the heartbeat interval is too long")?,
            ),
            canary_min_reports: config.canary_min_reports.into(),
            renewal_grace: time::Duration::try_from(config.renewal_grace).context("the renewal grace is too long")?,
        },
        messaging_bootstrap: config.messaging_bootstrap.unwrap_or_default(),
        messaging_proxy_roles: config.messaging_proxy_roles.clone(),
        limits: Limits {
            max_body: config.max_body_bytes,
            max_in_flight: config.max_in_flight,
            timeout: config.request_timeout,
        },
        ingress: Ingress { proxies: config.trusted_proxies.clone(), origins: config.cors_origins.clone() },
        tls: material.tls,
        identity: ServerIdentity::default(),
        open_manager: false,
        outbox_retention: config.outbox_retention,
        operation_retention: config.operation_retention,
        drain_timeout: config.drain_timeout,
        metrics: metrics::install().context("the metrics cannot be recorded")?,
    })
}

/// Serves until a signal. Returns an error if calls were aborted at the deadline.
pub(super) async fn serve(app: App, sockets: Sockets, signals: Signals) -> anyhow::Result<()> {
    let finished = app.run(sockets, signals).await?;
    anyhow::ensure!(finished, "some calls were cut off when the drain timeout expired");
    Ok(())
}
