//! The databases of tenants after they were provisioned: leases for programs, suspension and deletion, with a real OpenBAO and real
//! database servers.

mod crashes;
mod deletion;
mod faults;
mod keeping;
mod leasing;
mod surface;
mod suspension;

use std::{sync::Arc, time::Duration};

use sea_orm::{ConnectionTrait, Statement};
use tenantry::{
    base::{Access, CallerKind, Cx, Role, Secret, TenantId, TenantRef, caller::CallerFacts, cx::CxFacts},
    controlplane::{
        migrations::TenantMigrations,
        placement::PlacementInput,
        provisioning::{self, AutoPlacement, ProvisionTenant, ServerAddress, Site},
    },
    jobs::{Jobs, StatusBoard},
    openbao::{
        Credential, LeaseKeeper, Name, OpenBao, OpenBaoSettings, SslMode, keeper,
        tenant_role::{self, Provisioner as Login},
    },
    operations::{Kinds, RunOperations},
    store::{Keyring, Sealer, Store},
    tenants::{
        self, PurgeTenant,
        database::{
            DatabaseSettings, Databases, FollowTenantStatus, TearDownTenant,
            leases::{self, KeepDatabaseLeases, Leased},
        },
        derived_names::{self, NameKind},
    },
    zerotrust::tenants::{self as subscribers, SubscriberRef},
};
use tokio_postgres::Client;
use url::Host;

use crate::{
    db::{TestDb, platform_cx, write},
    harness::{PATIENCE, eventually, openbao::OpenBaoServer},
    keys::kek,
    provisioner::{LOGIN, PASSWORD, Place, connect, starting},
};

/// The servers around ours, and what our servers share.
struct Stack {
    place: Place,
    bao: OpenBaoServer,
    token: String,
    /// A client with the rights of the server, which gives up soon.
    app: OpenBao,
    databases: Databases,
    ring: Keyring,
}

impl Stack {
    /// PostgreSQL 18 beside SQLite, the installed version beside PostgreSQL.
    async fn start(db: &TestDb) -> Self {
        Self::start_with(db, DatabaseSettings::default()).await
    }

    async fn start_with(db: &TestDb, settings: DatabaseSettings) -> Self {
        let place = if db.is_sqlite() { Place::of_18().await } else { Place::installed().await };
        let bao = OpenBaoServer::start().await;
        let token = bao.server_token().await;
        let app = client(bao.address(), &token);
        let ring: Keyring = kek().into();
        let mut databases = Databases::new(&db.store, Sealer::new(db.store.clone(), Some(ring.clone())));
        databases.openbao = Some(app.clone());
        databases.keeper = Some(LeaseKeeper::new(app.clone(), keeper::Bounds::default()));
        databases.provisioner = Some(place.provisioner());
        databases.settings = settings;
        Self { place, bao, token, app, databases, ring }
    }

    /// Lets calls of OpenBAO take long. One that is given up may have made a login, which stays until its lease ends.
    fn be_patient(&mut self) {
        let settings = self.bao.settings(Credential::Token(Secret::new(self.token.clone())));
        self.databases.openbao = Some(OpenBao::new(OpenBaoSettings { timeout: PATIENCE, ..settings }).unwrap());
    }

    /// Runs operations and keeps leases.
    fn serve(&self) -> Jobs {
        serve(&self.databases)
    }

    fn site(&self) -> Site {
        Site { server: Some(ServerAddress::of(&self.place.provisioner())), openbao: true }
    }

    /// A tenant with a provisioned database.
    async fn provision(&self, store: &Store, slug: &str) -> TenantRef {
        let tenant = starting::create(store, slug).await;
        self.provision_again(store, &tenant).await;
        tenant
    }

    /// Provisions a tenant that exists.
    async fn provision_again(&self, store: &Store, tenant: &TenantRef) {
        let started = self.begin(store, tenant).await;
        provisioning::finish(&platform_cx("tenant.provision"), store, &started, PATIENCE).await.unwrap();
    }

    async fn begin(&self, store: &Store, tenant: &TenantRef) -> provisioning::Provisioning {
        let cx = platform_cx("tenant.provision");
        provisioning::auto_provision(&cx, store, &self.site(), tenant, AutoPlacement::default()).await.unwrap()
    }

    async fn lease(&self, tenant: &TenantRef) -> tenantry::base::Result<Leased> {
        leases::lease(&platform_cx("database.lease"), &self.databases, tenant, None).await
    }

    async fn release(&self, tenant: &TenantRef, lease: &Leased) -> tenantry::base::Result<()> {
        let id = lease.id.to_string();
        leases::release(&platform_cx("database.release"), &self.databases, tenant, &id).await
    }

    /// A session with a leased login.
    async fn log_in(&self, leased: &Leased) -> Result<Client, tokio_postgres::Error> {
        let url = self.place.postgres.url_of(&leased.username, leased.password.expose(), &leased.database);
        connect(&url).await
    }

    /// The logins that OpenBAO has created.
    async fn logins(&self) -> Vec<String> {
        self.place.sql("SELECT rolname FROM pg_roles WHERE rolname LIKE 'v-%' ORDER BY 1").await
    }

    /// Waits until this many logins are left.
    async fn logins_become(&self, count: usize) {
        eventually("the number of logins", async || (self.logins().await.len() == count).then_some(())).await;
    }

    /// Writes the role of `acme` again, with logins that are valid for this many seconds.
    async fn shorten(&self, seconds: u64) {
        let objects = tenant_role::TenantDatabase {
            connection: name("acme"),
            role: name("acme-role"),
            host: Host::Ipv4([127, 0, 0, 1].into()),
            port: self.place.postgres.port(),
            ssl_mode: SslMode::Disable,
            database: "tenant_acme".to_owned(),
            owner: "acme_owner".parse().unwrap(),
            default_ttl: Duration::from_secs(seconds),
            max_ttl: Duration::from_secs(24 * 3600),
        };
        let login = Login { username: LOGIN.to_owned(), password: Secret::new(PASSWORD.to_owned()) };
        tenant_role::set_up(&self.app, &objects, &login).await.unwrap();
    }

    /// The roles that the connection of `acme` allows; `None` if there is no connection.
    async fn allowed(&self) -> Option<Vec<String>> {
        self.app.find_connection(&name("acme")).await.unwrap().map(|found| found.allowed_roles)
    }

    async fn set_policy(&self, policy: &str) {
        let body = serde_json::json!({"policy": policy});
        self.bao.admin(reqwest::Method::PUT, "sys/policies/acl/tenantry", body).await;
    }
}

/// A client that gives up soon.
fn client(address: &str, token: &str) -> OpenBao {
    let settings = crate::harness::openbao::settings(address, Credential::Token(Secret::new(token.to_owned())));
    OpenBao::new(OpenBaoSettings { timeout: Duration::from_secs(2), ..settings }).unwrap()
}

fn serve(databases: &Databases) -> Jobs {
    let store = &databases.store;
    let mut jobs = Jobs::new(store, StatusBoard::default());
    let migrations = Arc::new(TenantMigrations::embedded().unwrap());
    let openbao = databases.openbao.clone().zip(databases.keeper.clone());
    let provision = ProvisionTenant::new(store, databases.provisioner.clone().unwrap(), openbao, migrations);
    let kinds = Kinds::default()
        .with(PurgeTenant::new(store))
        .with(provision)
        .with(FollowTenantStatus::new(databases))
        .with(TearDownTenant::new(databases));
    jobs.start(RunOperations::new(store, kinds));
    jobs.start(KeepDatabaseLeases::new(databases));
    jobs
}

/// The context of a call by a program or a person of a tenant.
fn of_tenant(kind: CallerKind, tenant: TenantId) -> Cx {
    let access = Access::Tenant(TenantRef::Id(tenant));
    let cx = crate::db::cx("database.lease", access);
    let caller = tenantry::base::Caller::new(CallerFacts {
        kind,
        role: Role::Admin,
        subject: "billing".to_owned(),
        ..CallerFacts::default()
    });
    Cx::new(CxFacts { caller, ..CxFacts::clone(&cx) })
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

async fn id_of(store: &Store, tenant: &TenantRef) -> TenantId {
    tenants::find(store, tenant).await.unwrap().unwrap().id
}

/// The first columns of the rows of a query.
async fn strings(db: &TestDb, sql: &str) -> Vec<String> {
    let query = Statement::from_string(db.backend(), sql.to_owned());
    let rows = db.read().query_all_raw(query).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

/// The number of leases that are recorded.
async fn recorded(db: &TestDb) -> usize {
    strings(db, "SELECT sealed FROM database_leases").await.len()
}

/// Waits until no leases are recorded.
async fn forgotten(db: &TestDb) {
    eventually("the leases to be forgotten", async || (recorded(db).await == 0).then_some(())).await;
}

/// The outcomes and details of the audit events of an action, oldest first.
async fn audited(db: &TestDb, action: &str) -> Vec<String> {
    strings(db, &format!("SELECT outcome || ' ' || details FROM audit_events WHERE action = '{action}' ORDER BY id"))
        .await
}

/// Makes all operations and leases due now.
async fn hurry(db: &TestDb) {
    for table in ["operations", "database_leases"] {
        crate::rows::sql(db, format!("UPDATE {table} SET due_at = 0")).await.unwrap();
    }
    db.operations_due().activate();
}

/// Waits until an attempt of an operation of a kind has failed. Returns its cause.
async fn failed(db: &TestDb, kind: &str) -> String {
    let causes = format!("SELECT cause FROM operations WHERE kind = '{kind}' AND attempts > 0");
    eventually("a failed attempt", async || strings(db, &causes).await.pop()).await
}

/// Waits until all operations have ended. Those that wait for their next attempt are not kept waiting.
async fn settled(db: &TestDb) {
    let open = "SELECT kind FROM operations WHERE ended_at IS NULL";
    eventually("all operations to end", async || {
        crate::rows::sql(db, "UPDATE operations SET due_at = 0 WHERE ended_at IS NULL AND attempts > 0".to_owned())
            .await
            .unwrap();
        db.operations_due().activate();
        strings(db, open).await.is_empty().then_some(())
    })
    .await;
}

/// Suspends a tenant, as the platform.
async fn suspend(store: &Store, tenant: &TenantRef) {
    let of = SubscriberRef { tenant: tenant.clone(), version: None };
    subscribers::suspend(&platform_cx("tenant.suspend"), store, &of, None).await.unwrap();
}

async fn resume(store: &Store, tenant: &TenantRef) {
    let of = SubscriberRef { tenant: tenant.clone(), version: None };
    subscribers::reactivate(&platform_cx("tenant.reactivate"), store, &of, None).await.unwrap();
}

/// Records that the database of `acme` is provisioned, without a database server.
async fn record_provisioned(db: &TestDb, tenant: &TenantRef) {
    let input = PlacementInput {
        host: Some("pg.example.com".to_owned()),
        dbname: Some("tenant_acme".to_owned()),
        openbao_role: Some("acme-role".to_owned()),
        ..PlacementInput::default()
    };
    starting::place(db, tenant, input).await;
    let (cx, tenant) = (platform_cx("tenant.provision"), tenant.clone());
    let recorded = write(db, &cx, move |tx| {
        let tenant = tenant.clone();
        Box::pin(async move {
            let (tenant, scope) = tenants::resolve_any_locked(tx, &tenant).await?;
            let kinds =
                [NameKind::DATABASE, NameKind::DATABASE_OWNER, NameKind::OPENBAO_CONNECTION, NameKind::OPENBAO_ROLE];
            for kind in kinds {
                derived_names::derive(tx, scope, &tenant.name, kind).await?;
            }
            tx.tenant(scope).database().provisioned(tx.now().into(), Some(("acme", "acme-role"))).await
        })
    });
    recorded.await.unwrap();
}
