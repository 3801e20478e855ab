//! The whole server: its parts, its background work, and its shutdown.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{net::TcpListener, sync::Mutex};
use tokio_util::sync::CancellationToken;

use super::{
    checks,
    grpc::{self, Standard},
    jobs::{self, Work},
    layers::{BodyTimeouts, Ingress, Limits, Stack},
    listen::{self, Listener},
    metrics,
    mutual_tls::{CurrentAuthorities, MutualTls},
    ops::Ops,
    readiness::Readiness,
    services::{self, Around},
    signals::{Hangups, Signals},
    tasks::Tasks,
    tls::{self, Tls},
};
use crate::{
    api::{self, Deps, Settings, Streams},
    audit::{ApiKeyUses, Denials},
    auth::{
        ApiKeys, Authenticator, CallerStanding, EnrolledCredentials, Guard, Principals, ProjectTokens, ProxyRoles,
        Sessions,
        authn::{
            keys::Keys,
            legacy_tokens::{ApiKey, ManagerKey},
            revocation::{self, Revocations},
        },
    },
    base::{Drain, Error, Result, ServerIdentity, public_url::PublicUrl},
    controlplane::migrations::TenantMigrations,
    edge::{Board, Reports},
    fleet::{Heartbeat, Sightings},
    identity::{Passwords, People},
    jobs::{Jobs, StatusBoard},
    openbao::{LeaseKeeper, OpenBao, keeper},
    operations::OperationSource,
    providers::provisioner::Provisioner,
    spc::deltas::Deltas,
    store::{Keyring, Sealer, Store},
    streams::Hub,
    tenants::{
        database::{DatabaseSettings, Databases},
        source::TenantSource,
    },
    trust::Trust,
};

/// How long jobs and tasks may take to end.
const END: Duration = Duration::from_secs(5);

/// The sockets of a server.
pub struct Sockets {
    /// With TLS if [`App::tls`] is set.
    pub listeners: Vec<TcpListener>,
    /// With TLS of the server itself, which asks for client certificates.
    pub mutual: Option<TcpListener>,
}

/// The parts of a server.
pub struct App {
    pub store: Store,
    /// The keys that sign and verify tokens.
    pub keys: Arc<Keys>,
    pub manager_key: Option<ManagerKey>,
    pub warehouse_key: Option<ApiKey>,
    /// The key-encryption keys; without them no secrets can be stored.
    pub keyring: Option<Keyring>,
    /// The client of OpenBAO, if it is used.
    pub openbao: Option<OpenBao>,
    /// The server of the databases of tenants; without one, this server runs no provisioning.
    pub provisioner: Option<Provisioner>,
    /// The migrations for the databases of tenants.
    pub migrations: Arc<TenantMigrations>,
    /// The settings of the databases of tenants.
    pub databases: DatabaseSettings,
    pub settings: Settings,
    /// Create the objects that a messaging platform expects on its first start.
    pub messaging_bootstrap: bool,
    /// The subjects of proxies in front of the messaging surface.
    pub messaging_proxy_roles: ProxyRoles,
    /// Limits of a call.
    pub limits: Limits,
    /// Proxies and foreign origins.
    pub ingress: Ingress,
    /// The certificate of the listeners; `None` leaves TLS to a proxy.
    pub tls: Option<Tls>,
    /// The certificate of the listener that asks for client certificates. What issues it sets it, and renews it later;
    /// without one, handshakes fail.
    pub identity: ServerIdentity,
    /// Local callers on manager paths need no credential. Only for development.
    pub open_manager: bool,
    /// The minimum time for which events stay in the outbox.
    pub outbox_retention: Duration,
    /// How long operations are kept after their end.
    pub operation_retention: Duration,
    /// How long calls may continue after a signal.
    pub drain_timeout: Duration,
    /// The metrics of this process.
    pub metrics: PrometheusHandle,
}

impl App {
    /// Serves on these listeners until a signal, then lets the calls in progress finish. Returns whether all of them
    /// did.
    pub async fn run(self, sockets: Sockets, mut signals: Signals) -> Result<bool> {
        let mutual = sockets.mutual.as_ref().map(TcpListener::local_addr).transpose().map_err(Error::internal)?;
        let listeners = self.listeners(sockets)?;
        let (drain, abort) = (Drain::default(), CancellationToken::new());
        let readiness = Readiness::new(checks::all(&self.store, self.sealer()));
        let counts = Counts::new(&self.store);
        let revocations = Revocations::default();
        // Before the first read, so that no revocation is missed in between.
        self.store.on_revocation(revocations.listener());
        let loading = revocation::load(&self.store, &revocations, None);
        let Some(loaded) = signals.during_start(loading).await else { return Ok(true) };
        if let Err(error) = loaded {
            // Tokens are refused until revocations are known; the job retries.
            tracing::warn!(%error, "cannot read revocations yet");
        }
        let bounds = listen::Bounds::of_process();
        let standard = grpc::standard(&readiness, &drain, bounds.connections)?;
        let status = StatusBoard::default();
        let ops = Ops::new(readiness.clone(), self.keys.clone(), self.metrics.clone(), status.clone())
            .with_openbao(self.openbao.clone());
        let trusted = Trusted {
            trust: Trust::new(self.store.clone(), self.sealer(), self.settings.trust.clone()),
            authorities: CurrentAuthorities::default(),
        };
        let (hub, streams) = streams(&self.store, &trusted.trust, self.settings.heartbeat, &counts.reports);
        let board = streams.board.clone();
        let databases = self.databases();
        let service =
            self.service(standard, ops, &counts, revocations.clone(), (streams, &databases), trusted.clone())?;
        let hangups = self.tls.is_some().then(Hangups::catch).transpose().map_err(Error::internal)?;

        let jobs = self.start_jobs(&trusted.trust, &revocations, &counts, &databases, status);
        let mutual = mutual.map(|address| self.mutual_tls(trusted.clone(), address));
        let tasks = self.spawn(hangups, &readiness, (hub, board, drain.clone()), mutual);

        let serving = listen::serve(listeners, service, bounds, drain.clone(), abort.clone(), self.drain_timeout);
        let whole = async {
            let finished = serving.await;
            close(tasks, jobs, &self.store, &abort).await;
            finished
        };
        tokio::select! {
            finished = whole => Ok(finished),
            never = end(&mut signals, &readiness, &drain, &abort) => match never {},
        }
    }

    fn listeners(&self, sockets: Sockets) -> Result<Vec<Listener>> {
        let mut listeners: Vec<_> =
            sockets.listeners.into_iter().map(|socket| Listener { socket, tls: self.tls.clone() }).collect();
        if let Some(socket) = sockets.mutual {
            let tls = Tls::mutual(self.identity.clone()).map_err(Error::internal)?;
            listeners.push(Listener { socket, tls: Some(tls) });
        }
        Ok(listeners)
    }

    /// What the listener for client certificates on this address needs.
    fn mutual_tls(&self, trusted: Trusted, address: SocketAddr) -> MutualTls {
        let Trusted { trust, authorities } = trusted;
        let (identity, clock) = (self.identity.clone(), self.store.clock().clone());
        let mut names: Vec<_> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
        let public = self.settings.public_url.as_ref().and_then(PublicUrl::host);
        let own = Some(address.ip().to_string()).filter(|_| !address.ip().is_unspecified());
        for name in public.into_iter().chain(own) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        MutualTls { trust, identity, authorities, names, clock }
    }

    fn sealer(&self) -> Sealer {
        Sealer::new(self.store.clone(), self.keyring.clone())
    }

    /// The databases of tenants, with the leases that this server holds for its own work.
    fn databases(&self) -> Databases {
        Databases {
            store: self.store.clone(),
            sealer: self.sealer(),
            openbao: self.openbao.clone(),
            keeper: self.openbao.clone().map(|bao| LeaseKeeper::new(bao, keeper::Bounds::default())),
            provisioner: self.provisioner.clone(),
            settings: self.databases,
        }
    }

    fn start_jobs(
        &self,
        trust: &Trust,
        revocations: &Revocations,
        counts: &Counts,
        databases: &Databases,
        board: StatusBoard,
    ) -> Jobs {
        let work = Work {
            store: &self.store,
            trust,
            revocations,
            denials: &counts.denials,
            api_key_uses: &counts.api_key_uses,
            sightings: &counts.sightings,
            reports: &counts.reports,
            databases,
            migrations: &self.migrations,
            outbox_retention: self.outbox_retention,
            operation_retention: self.operation_retention,
            messaging_bootstrap: self.messaging_bootstrap,
            canary_min_reports: self.settings.canary_min_reports,
            billing: &self.settings.billing,
        };
        jobs::start(&work, board)
    }

    /// Starts the background tasks that are not jobs.
    fn spawn(
        &self,
        hangups: Option<Hangups>,
        readiness: &Readiness,
        (hub, board, drain): (Arc<Hub>, Board, Drain),
        mutual: Option<MutualTls>,
    ) -> Tasks {
        let mut tasks = Tasks::new();
        if let Some(mutual) = mutual {
            tasks.spawn("mutual-tls", move |stop| mutual.clone().follow(stop));
        }
        if let (Some(tls), Some(hangups)) = (self.tls.clone(), hangups) {
            let hangups = Arc::new(Mutex::new(hangups));
            tasks.spawn("tls", move |stop| tls::follow(tls.clone(), hangups.clone(), stop));
        }
        let readiness = readiness.clone();
        tasks.spawn("readiness", move |stop| readiness.clone().follow(stop));
        tasks.spawn("streams", move |stop| {
            let hub = hub.clone();
            async move { hub.run(stop).await }
        });
        let ringing = board.clone();
        tasks.spawn("edge", move |stop| {
            let board = board.clone();
            async move { board.run(stop).await }
        });
        tasks.spawn("edge-drain", move |stop| {
            let (board, drain) = (ringing.clone(), drain.clone());
            async move { stop.run_until_cancelled(board.ring_at(&drain)).await.unwrap_or_default() }
        });
        let metrics = self.metrics.clone();
        tasks.spawn("metrics", move |stop| metrics::upkeep(metrics.clone(), stop));
        tasks
    }

    fn service(
        &self,
        standard: Standard,
        ops: Ops,
        counts: &Counts,
        revocations: Revocations,
        (streams, databases): (Streams, &Databases),
        trusted: Trusted,
    ) -> Result<Stack<services::Dispatch>> {
        let clock = self.store.clock().clone();
        let guard = Guard::new(counts.denials.clone(), clock.clone());
        let guard = Arc::new(guard.with_checks_of(&self.store, self.settings.multitenancy));
        let sealer = self.sealer();
        let people = People::new(self.store.clone(), Passwords::of_server(), sealer.clone());
        let deps = Deps {
            store: self.store.clone(),
            trust: trusted.trust.clone(),
            keys: self.keys.clone(),
            project_tokens: ProjectTokens::new(self.keys.clone(), self.manager_key.clone()),
            sealer,
            sessions: Sessions::new(people.clone(), self.keys.clone(), counts.denials.clone()),
            people,
            databases: databases.clone(),
            streams,
            settings: self.settings.clone(),
        };
        let around = Around { guard, dialects: api::dialects(), max_body: self.limits.max_body };
        let front = services::assemble(&deps, &around, standard, ops);
        let api_keys = ApiKeys::new(Arc::new(self.store.clone()), counts.api_key_uses.clone(), clock.clone());
        self.store.on_revocation(api_keys.listener());
        let principals = Principals::new(Arc::new(self.store.clone()), self.messaging_proxy_roles.clone());
        let enrolled = EnrolledCredentials::new(
            Arc::new(self.store.clone()),
            Arc::new(trusted.authorities),
            trusted.trust.domain().clone(),
            counts.sightings.clone(),
            clock.clone(),
        )
        .with_renewal_grace(self.settings.renewal_grace)
        .with_public_url(self.settings.proof_url.clone());
        let authenticator = Authenticator::new(self.keys.clone(), revocations, Arc::new(self.store.clone()), clock)
            .with_third_party(self.manager_key.clone(), self.warehouse_key.clone())
            .with_api_keys(api_keys)
            .with_principals(principals)
            .with_enrolled(enrolled)
            .with_origins(self.ingress.origins.clone())
            .with_open_manager(self.open_manager);
        let (authenticator, ingress) = (Arc::new(authenticator), self.ingress.clone());
        Ok(Stack::new(front, authenticator, around.dialects, self.limits, BodyTimeouts::default(), ingress))
    }
}

/// The reader of the outbox, and the dependencies of streams.
fn streams(store: &Store, trust: &Trust, heartbeat: Heartbeat, reports: &Reports) -> (Arc<Hub>, Streams) {
    let (mut hub, standing) = (Hub::new(store), CallerStanding::new(store));
    let (tenants, operations) = (hub.feed(TenantSource::new(store)), hub.feed(OperationSource::new(store)));
    let board = Board::new(store, trust, heartbeat, hub.demand());
    hub.follow(Arc::new(standing.clone()));
    hub.follow(Arc::new(board.clone()));
    let changes = hub.changes();
    let deltas = Deltas::new(store, trust);
    (Arc::new(hub), Streams { tenants, operations, board, deltas, reports: reports.clone(), standing, changes })
}

/// What the credentials of devices and gateways depend on.
#[derive(Clone)]
struct Trusted {
    trust: Trust,
    authorities: CurrentAuthorities,
}

/// What is counted or noted, and written later.
struct Counts {
    denials: Denials,
    api_key_uses: ApiKeyUses,
    sightings: Sightings,
    reports: Reports,
}

impl Counts {
    fn new(store: &Store) -> Self {
        let clock = || store.clock().clone();
        let (denials, api_key_uses) = (Denials::new(clock()), ApiKeyUses::new(clock()));
        Self { denials, api_key_uses, sightings: Sightings::new(clock()), reports: Reports::new(clock()) }
    }
}

/// Waits for a signal and starts the drain. A second signal, even after the last call, aborts the rest of the shutdown immediately.
async fn end(signals: &mut Signals, readiness: &Readiness, drain: &Drain, abort: &CancellationToken) -> Infallible {
    signals.next().await;
    tracing::info!("shutting down: waiting for calls in flight; a second signal stops at once");
    // First, so that probes see it before the listeners close.
    readiness.drain();
    drain.begin();
    signals.next().await;
    abort.cancel();
    std::future::pending().await
}

/// How long background tasks and the store may take to end after a second signal.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// Ends background tasks and the store after the calls. Both steps have their own limits, which a second signal shortens.
async fn close(tasks: Tasks, jobs: Jobs, store: &Store, abort: &CancellationToken) {
    tracing::info!("the calls have ended: closing the database");
    let closing = async {
        tokio::join!(tasks.end(END), jobs.end(END));
        store.close().await;
    };
    let hurried = async {
        abort.cancelled().await;
        tokio::time::sleep(LAST_MOMENT).await;
    };
    tokio::select! {
        () = closing => {}
        () = hurried => tracing::warn!("a second signal came: background tasks and the database were not waited for"),
    }
}
