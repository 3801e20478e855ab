//! The whole server: what it is made of, its background tasks, and its end.

use std::{convert::Infallible, sync::Arc, time::Duration};

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{net::TcpListener, sync::Mutex};
use tokio_util::sync::CancellationToken;

use super::{
    checks,
    grpc::{self, Standard},
    layers::{Edge, Limits, Patience, Stack},
    listen, metrics,
    ops::Ops,
    readiness::Readiness,
    services,
    signals::{Hangups, Signals},
    surfaces::Parts,
    tasks::Tasks,
    tls::{self, Tls},
};
use crate::{
    auth::{
        ApiKeys, Authenticator, Guard, KeyUses, Principals, ProxyRoles, Sessions,
        foreign::{ApiKey, ManagerKey},
        key_uses,
        keys::Keys,
        refusals::{self, Refusals},
        revocation::{self, Revocations},
    },
    base::{Cx, Drain, Error, Result},
    identity::{Passwords, People},
    messaging::{self, MessagingSettings},
    store::{Keyring, Store, Vault, idempotent, older_text, relay},
    tenants::{self, MultitenancySettings},
    warehouse::EdgeAddress,
};

/// What a server is made of.
pub struct App {
    /// The store, open.
    pub store: Store,
    /// The keys that sign and verify.
    pub keys: Arc<Keys>,
    /// The manager's shared key.
    pub manager_key: Option<ManagerKey>,
    /// The warehouse's static key.
    pub warehouse_key: Option<ApiKey>,
    /// The keys that seal secrets; without them there are none that could be kept.
    pub keyring: Option<Keyring>,
    /// Most tenants in the registry; `None` is no limit.
    pub max_tenants: Option<u64>,
    /// Settings of the control-plane surface.
    pub multitenancy: MultitenancySettings,
    /// Settings of the messaging surface.
    pub messaging: MessagingSettings,
    /// Where clients of the warehouse send their queries.
    pub warehouse_edge: EdgeAddress,
    /// Make what a messaging platform expects on its first start.
    pub messaging_bootstrap: bool,
    /// The subjects of proxies before the messaging surface.
    pub messaging_proxy_roles: ProxyRoles,
    /// Bounds of one call.
    pub limits: Limits,
    /// Proxies and foreign origins.
    pub edge: Edge,
    /// The certificate of the listeners; `None` leaves TLS to a proxy.
    pub tls: Option<Tls>,
    /// Ask local callers on manager paths for no credential. For development alone.
    pub open_manager: bool,
    /// How long calls may run on after a signal.
    pub drain_timeout: Duration,
    /// The metrics of this process.
    pub metrics: PrometheusHandle,
}

impl App {
    /// Serves on these listeners until a signal, then lets the calls in flight finish. Returns whether all did.
    pub async fn run(self, listeners: Vec<TcpListener>, mut signals: Signals) -> Result<bool> {
        let (drain, abort) = (Drain::default(), CancellationToken::new());
        let readiness = Readiness::new(checks::all(&self.store, self.vault()));
        let refusals = Refusals::new(self.store.clock().clone());
        let key_uses = KeyUses::new(self.store.clock().clone());
        let revocations = Revocations::default();
        // Before the first reading, so that none is lost between the two.
        self.store.on_revocation(revocations.listener());
        if let Err(error) = revocation::load(&self.store, &revocations, None).await {
            // Tokens are refused as long as nobody can say which are revoked; the task below tries again.
            tracing::warn!(%error, "revocations cannot be read yet");
        }
        let bounds = listen::Bounds::of_process();
        let standard = grpc::standard(&drain, bounds.connections)?;
        let health = standard.health.clone();
        let service = self.service(standard, &readiness, &refusals, &key_uses, revocations.clone(), &drain)?;
        let hangups = self.tls.is_some().then(Hangups::catch).transpose().map_err(Error::internal)?;

        let mut tasks = self.spawn(refusals, revocations, key_uses);
        if let (Some(tls), Some(hangups)) = (self.tls.clone(), hangups) {
            let hangups = Arc::new(Mutex::new(hangups));
            tasks.spawn("tls", move |stop| tls::follow(tls.clone(), hangups.clone(), stop));
        }
        let checked = readiness.clone();
        tasks.spawn("health", move |stop| health.clone().follow(checked.clone(), stop));

        let (tls, time) = (self.tls.clone(), self.drain_timeout);
        let serving = listen::serve(listeners, service, bounds, tls, drain.clone(), abort.clone(), time);
        let finished = tokio::select! {
            finished = serving => finished,
            never = end(&mut signals, &readiness, &drain, &abort) => match never {},
        };
        tasks.end().await;
        self.store.close().await;
        Ok(finished)
    }

    fn vault(&self) -> Vault {
        Vault::new(self.store.clone(), self.keyring.clone())
    }

    /// Starts what runs beside the calls.
    fn spawn(&self, refusals: Refusals, revocations: Revocations, key_uses: KeyUses) -> Tasks {
        let mut tasks = Tasks::new();
        let store = self.store.clone();
        tasks.spawn("relay", move |stop| relay::follow(store.clone(), stop));
        let store = self.store.clone();
        tasks.spawn("revocations", move |stop| revocation::follow(store.clone(), revocations.clone(), stop));
        let store = self.store.clone();
        tasks.spawn("refusals", move |stop| refusals::follow(refusals.clone(), store.clone(), stop));
        let store = self.store.clone();
        tasks.spawn("key uses", move |stop| key_uses::follow(key_uses.clone(), store.clone(), stop));
        let store = self.store.clone();
        tasks.spawn("text", move |stop| older_text::follow(store.clone(), stop));
        let store = self.store.clone();
        tasks.spawn("purge", move |stop| purge(store.clone(), stop));
        let metrics = self.metrics.clone();
        tasks.spawn("metrics", move |stop| metrics::upkeep(metrics.clone(), stop));
        if self.messaging_bootstrap {
            let store = self.store.clone();
            tasks.spawn("messaging bootstrap", move |stop| bootstrap(store.clone(), stop));
        }
        tasks
    }

    fn service(
        &self,
        standard: Standard,
        readiness: &Readiness,
        refusals: &Refusals,
        key_uses: &KeyUses,
        revocations: Revocations,
        drain: &Drain,
    ) -> Result<Stack<services::Front>> {
        let clock = self.store.clock().clone();
        let guard = Arc::new(Guard::new(refusals.clone(), clock.clone()).with_checks_of(&self.store));
        let vault = self.vault();
        let people = People::new(self.store.clone(), Passwords::of_server(), vault.clone());
        let parts = Parts {
            store: self.store.clone(),
            vault,
            sessions: Sessions::new(people, self.keys.clone(), refusals.clone()),
            max_tenants: self.max_tenants,
            multitenancy: self.multitenancy,
            messaging: self.messaging,
            warehouse_edge: self.warehouse_edge.clone(),
            guard,
            dialects: services::dialects(),
            max_body: self.limits.max_body,
            drain: drain.clone(),
        };
        let ops = Ops::new(readiness.clone(), self.keys.clone(), self.metrics.clone());
        let front = services::assemble(&parts, standard, ops);
        let api_keys = ApiKeys::new(Arc::new(self.store.clone()), key_uses.clone(), clock.clone());
        self.store.on_revocation(api_keys.listener());
        let principals = Principals::new(Arc::new(self.store.clone()), self.messaging_proxy_roles.clone());
        let authenticator = Authenticator::new(self.keys.clone(), revocations, Arc::new(self.store.clone()), clock)
            .with_foreign(self.manager_key.clone(), self.warehouse_key.clone())
            .with_api_keys(api_keys)
            .with_principals(principals)
            .with_origins(self.edge.origins.clone())
            .with_open_manager(self.open_manager);
        let (authenticator, edge) = (Arc::new(authenticator), self.edge.clone());
        Ok(Stack::new(front, authenticator, parts.dialects, self.limits, Patience::default(), edge))
    }
}

/// Waits for a signal and lets the server drain; a second one ends what is left at once.
async fn end(signals: &mut Signals, readiness: &Readiness, drain: &Drain, abort: &CancellationToken) -> Infallible {
    signals.next().await;
    tracing::info!("stopping: calls in flight may finish; a second signal ends at once");
    // First, so that whoever asks is told before the listeners close.
    readiness.drain();
    drain.begin();
    signals.next().await;
    abort.cancel();
    std::future::pending().await
}

/// How often that is looked for whose time is over: tenants in their time of grace, answers under idempotency keys.
const PURGE: Duration = Duration::from_secs(600);

/// Deletes what has had its time, until `stop`.
async fn purge(store: Store, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(PURGE) => {}
            () = stop.cancelled() => return,
        }
        match tenants::purge_due(&store).await {
            Ok(0) => {}
            Ok(gone) => tracing::info!(gone, "tenants were purged whose time of grace was over"),
            Err(error) => tracing::warn!(%error, "tenants whose time of grace is over cannot be purged now"),
        }
        if let Err(error) = idempotent::prune(&store).await {
            tracing::debug!(%error, "answers whose time is over cannot be removed");
        }
    }
}

/// How long to wait before what failed at the start is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Makes what the messaging surface shall begin with, as soon as the schema is there.
async fn bootstrap(store: Store, stop: CancellationToken) {
    let cx = Cx::system("messaging.bootstrap", store.clock().clone());
    while let Err(error) = messaging::bootstrap(&cx, &store).await {
        tracing::warn!(%error, "the messaging bootstrap failed; trying again");
        tokio::select! {
            () = tokio::time::sleep(RETRY) => {}
            () = stop.cancelled() => return,
        }
    }
}
