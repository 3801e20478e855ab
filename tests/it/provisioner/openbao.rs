//! The identity of a tenant in a real OpenBAO, which the operation sets up.

use std::{sync::Arc, time::Duration};

use reqwest::Method;
use serde_json::{Value, json};
use tenantry::{
    base::{Secret, TenantRef, error::Reason},
    controlplane::{
        migrations::TenantMigrations,
        provisioning::{self, AutoPlacement, ProvisionTenant, Provisioning, Site},
    },
    jobs::{Jobs, StatusBoard},
    openbao::{Credential, LeaseKeeper, OpenBao, OpenBaoSettings, keeper},
    operations::{Kinds, Operation, RunOperations, State},
    store::Store,
};

use super::{LOGIN, Place, connect, operations, rows, starting};
use crate::{
    db::{TestDb, platform_cx},
    harness::{PATIENCE, openbao::OpenBaoServer},
};

/// A client with the rights of the server, which gives up soon.
pub async fn client(bao: &OpenBaoServer) -> OpenBao {
    let settings = bao.settings(Credential::Token(Secret::new(bao.server_token().await)));
    OpenBao::new(OpenBaoSettings { timeout: Duration::from_secs(2), ..settings }).unwrap()
}

/// The servers, and the jobs of our server, which run provisioning.
struct Peers {
    place: Place,
    bao: Arc<OpenBaoServer>,
    app: OpenBao,
    jobs: Jobs,
}

impl Peers {
    async fn start(db: &TestDb, place: Place) -> Self {
        let bao = OpenBaoServer::start().await;
        let app = client(&bao).await;
        // So that the first call is not that for the token.
        app.tend().await.unwrap();
        let mut jobs = Jobs::new(db, StatusBoard::default());
        let leases = LeaseKeeper::new(app.clone(), keeper::Bounds::default());
        let migrations = Arc::new(TenantMigrations::embedded().unwrap());
        let kind = ProvisionTenant::new(db, place.provisioner(), Some((app.clone(), leases)), migrations);
        jobs.start(RunOperations::new(db, Kinds::default().with(kind)));
        Self { place, bao: Arc::new(bao), app, jobs }
    }

    fn site(&self) -> Site {
        Site { openbao: true, ..operations::site(&self.place.provisioner()) }
    }

    async fn begin(&self, store: &Store, tenant: &TenantRef) -> Provisioning {
        let (cx, site) = (platform_cx("tenant.provision"), self.site());
        provisioning::auto_provision(&cx, store, &site, tenant, AutoPlacement::default()).await.unwrap()
    }

    async fn provision(&self, store: &Store, slug: &str) -> tenantry::base::Result<Provisioning> {
        let tenant = starting::create(store, slug).await;
        let started = self.begin(store, &tenant).await;
        operations::finish(store, &started).await.map(|()| started)
    }

    async fn set_policy(&self, policy: &str) {
        self.bao.admin(Method::PUT, "sys/policies/acl/tenantry", json!({"policy": policy})).await;
    }
}

/// The audit events of the ends of operations.
const ENDS: &str =
    "SELECT outcome FROM audit_events WHERE action = 'tenant.provision' AND details LIKE '%requested_by%' ORDER BY id";

/// The policy of the server without the rule for paths that begin with this, if there is one.
pub fn policy_without(path: &str) -> String {
    let whole = std::fs::read_to_string(crate::harness::root().join("deploy/openbao/policy.hcl")).unwrap();
    let Some(start) = whole.find(&format!("path \"{path}")) else { return whole };
    let end = start + whole[start..].find('}').unwrap() + 1;
    format!("{}{}", &whole[..start], &whole[end..])
}

fn is_failed_at(operation: &Operation, cause: &str) {
    assert_eq!(operation.steps[operation.next_step().unwrap()].name, "set up OpenBAO");
    assert_eq!(operation.failure.as_ref().unwrap().cause, cause);
}

both_databases! {
    async fn a_tenant_gets_logins_that_work(db: TestDb) {
        let place = if db.is_sqlite() { Place::of_18().await } else { Place::installed().await };
        let peers = Peers::start(&db, place).await;
        let started = peers.provision(&db, "acme").await.unwrap();
        assert_eq!(started.openbao_role.as_deref(), Some("acme-role"));
        let role = "acme-role".parse().unwrap();
        let found = peers.app.find_role(&role).await.unwrap().unwrap();
        assert_eq!((found.connection.as_str(), found.default_ttl, found.max_ttl), ("acme", 3600, 86400));
        let log_in = async || {
            let leased = peers.app.lease_credentials(&role).await.unwrap();
            let url = peers.place.postgres.url_of(&leased.username, leased.password.expose(), "tenant_acme");
            (connect(&url).await.unwrap(), leased)
        };
        let (one, leased) = log_in().await;
        rows(&one, "CREATE TABLE notes (text text); INSERT INTO notes VALUES ('hello')").await.unwrap();
        peers.app.revoke_lease(&leased.lease.id).await.unwrap();
        let (two, _) = log_in().await;
        assert_eq!(rows(&two, "SELECT text FROM notes").await.unwrap(), ["hello"]);
        // Again, which changes nothing.
        let acme = TenantRef::parse("acme");
        let again = peers.begin(&db, &acme).await;
        operations::finish(&db, &again).await.unwrap();
        assert_eq!(peers.app.find_connection(&"acme".parse().unwrap()).await.unwrap().unwrap().allowed_roles, ["acme-role"]);
        assert_eq!(rows(&two, "SELECT text FROM notes").await.unwrap(), ["hello"]);
        let recorded = operations::strings(&db, "SELECT openbao_connection || ' ' || openbao_role FROM tenant_databases").await;
        assert_eq!(recorded, ["acme acme-role"]);
        assert_eq!(operations::strings(&db, ENDS).await, ["success", "success"]);
        peers.jobs.end(PATIENCE).await;
    }

    async fn an_openbao_that_is_sealed_or_frozen_is_tried_again(db: TestDb) {
        let peers = Peers::start(&db, Place::of_18().await).await;
        for (slug, state, cause) in [
            ("acme", "sealed", "cannot find the database connection: OpenBAO is sealed"),
            ("beta", "frozen", "cannot find the database connection: OpenBAO does not respond"),
        ] {
            match state {
                "sealed" => peers.bao.seal().await,
                _ => peers.bao.signal("STOP").await,
            }
            let tenant = starting::create(&db, slug).await;
            let started = peers.begin(&db, &tenant).await;
            is_failed_at(&operations::failed(&db, &started).await, cause);
            let error = provisioning::finish(&platform_cx("x"), &db, &started, Duration::ZERO).await.unwrap_err();
            let expected = format!("Tenant provisioning failed at set up OpenBAO: {cause}; the operation {} continues", started.operation);
            assert_eq!((error.to_string(), error.operation.as_deref()), (expected, Some(&started.operation)));
            match state {
                "sealed" => peers.bao.unseal().await,
                _ => peers.bao.signal("CONT").await,
            }
            operations::hurry(&db).await;
            operations::finish(&db, &started).await.unwrap();
        }
        peers.jobs.end(PATIENCE).await;
    }

    async fn a_call_that_the_policy_denies_ends_the_operation(db: TestDb) {
        let peers = Peers::start(&db, Place::installed().await).await;
        for (slug, path, cause) in [
            ("one", "database/config/*", "cannot find the database connection: the policy of the server's token does not allow it"),
            ("two", "database/roles/*", "cannot find the database role: the policy of the server's token does not allow it"),
        ] {
            peers.set_policy(&policy_without(path)).await;
            let error = peers.provision(&db, slug).await.unwrap_err();
            assert_eq!(error.to_string(), format!("Tenant provisioning failed at set up OpenBAO: {cause}"));
        }
        assert_eq!(operations::strings(&db, ENDS).await, ["failed", "failed"]);
        peers.jobs.end(PATIENCE).await;
    }

    async fn objects_of_another_database_are_not_replaced(db: TestDb) {
        let peers = Peers::start(&db, Place::of_18().await).await;
        let url = |database: &str| {
            format!("postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{}/{database}?sslmode=disable", peers.place.postgres.port())
        };
        let connection = json!({
            "plugin_name": "postgresql-database-plugin", "connection_url": url("postgres"), "verify_connection": false,
            "username": LOGIN, "password": "x", "allowed_roles": ["*"],
        });
        peers.bao.admin(Method::POST, "database/config/acme", connection).await;
        let role = json!({"db_name": "other", "creation_statements": ["CREATE ROLE x"]});
        peers.bao.admin(Method::POST, "database/roles/beta-role", role).await;
        for (slug, cause) in [
            ("acme", "the name is taken: the connection acme of OpenBAO belongs to another database"),
            ("beta", "the name is taken: the role beta-role of OpenBAO belongs to another database"),
        ] {
            let error = peers.provision(&db, slug).await.unwrap_err();
            assert_eq!(error.reason, Reason::DatabaseNameTaken);
            assert_eq!(error.to_string(), format!("Tenant provisioning failed at set up OpenBAO: {cause}"));
        }
        let kept = peers.bao.admin(Method::GET, "database/config/acme", Value::Null).await;
        assert_eq!(kept["data"]["connection_details"]["connection_url"], url("postgres"));
        let kept = peers.bao.admin(Method::GET, "database/roles/beta-role", Value::Null).await;
        assert_eq!(kept["data"]["db_name"], "other");
        peers.jobs.end(PATIENCE).await;
    }

    async fn a_tenant_that_is_suspended_or_deleted_meanwhile_gets_no_logins(db: TestDb) {
        let peers = Peers::start(&db, Place::of_18().await).await;
        for (slug, is_deleted) in [("acme", false), ("beta", true)] {
            peers.provision(&db, slug).await.unwrap();
            let tenant = TenantRef::parse(slug);
            peers.bao.signal("STOP").await;
            let started = peers.begin(&db, &tenant).await;
            operations::failed(&db, &started).await;
            match is_deleted {
                true => starting::delete(&db, &tenant, slug).await,
                false => crate::rows::sql(&db, "UPDATE tenants SET status = 'suspended'".to_owned()).await.unwrap(),
            }
            peers.bao.signal("CONT").await;
            operations::hurry(&db).await;
            let error = operations::finish(&db, &started).await.unwrap_err();
            let reason = if is_deleted { Reason::TenantNotFound } else { Reason::TenantNotActive };
            assert_eq!(error.reason, reason, "{error}");
            let connection = peers.app.find_connection(&slug.parse().unwrap()).await.unwrap();
            let allowed = connection.map(|connection| connection.allowed_roles);
            assert_eq!(allowed, if is_deleted { None } else { Some(Vec::new()) });
            let role = peers.app.find_role(&format!("{slug}-role").parse().unwrap()).await.unwrap();
            assert_eq!(role.is_none(), is_deleted);
        }
        peers.jobs.end(PATIENCE).await;
    }

    async fn an_operation_waits_for_a_server_that_has_openbao(db: TestDb) {
        let place = Place::of_18().await;
        let mut without = Jobs::new(&db, StatusBoard::default());
        without.start(RunOperations::new(&db, Kinds::default().with(operations::kind(&db, place.provisioner()))));
        let (tenant, site) = (starting::create(&db, "acme").await, Site { openbao: true, ..operations::site(&place.provisioner()) });
        let cx = platform_cx("tenant.provision");
        let started = provisioning::auto_provision(&cx, &db, &site, &tenant, AutoPlacement::default()).await.unwrap();
        let operation = operations::failed(&db, &started).await;
        is_failed_at(&operation, "OpenBAO is not configured on the server that runs the operation");
        assert_eq!(operation.state, State::Running);
        without.end(PATIENCE).await;
        let peers = Peers::start(&db, place).await;
        operations::hurry(&db).await;
        operations::finish(&db, &started).await.unwrap();
        peers.jobs.end(PATIENCE).await;
    }
}
