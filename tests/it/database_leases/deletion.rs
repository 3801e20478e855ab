//! The deletion of a tenant: what is torn down, in which order, and what a failure leaves for later.

use reqwest::Method;
use serde_json::json;
use tenantry::{
    base::{TenantRef, error::Reason},
    controlplane::deletion::{self, Removal, Removed},
    jobs::{Jobs, StatusBoard},
    manager,
    messaging::{namespaces, policies::NamespacePolicies},
    openbao::Cause,
    operations::{self, Kinds, RunOperations, State},
    store::Store,
    tenants::database::{DatabaseSettings, Databases, TearDownTenant},
};

use super::{
    Stack, audited,
    faults::{policy, policy_without},
    name, settled, strings, suspend,
};
use crate::{
    db::{TestDb, platform_cx},
    harness::{PATIENCE, eventually},
    provisioner::{rows, starting},
};

async fn delete(databases: &Databases, tenant: &TenantRef, slug: &str, drop_database: bool) -> Removed {
    let removal = Removal { confirm: slug.to_owned(), drop_database };
    deletion::delete_with(&platform_cx("tenant.delete"), databases, PATIENCE, tenant, removal).await.unwrap()
}

/// What of tenants is on the database server.
async fn left(stack: &Stack) -> Vec<String> {
    let databases = "SELECT 'database ' || datname FROM pg_database WHERE datname LIKE 'tenant_%'";
    let roles = "SELECT 'role ' || rolname FROM pg_roles WHERE rolname ~ '^(acme.*_owner|v-.*)$'";
    stack.place.sql(&format!("{databases} UNION ALL {roles} ORDER BY 1")).await
}

/// Whether OpenBAO has the role and the connection of `acme`.
async fn identity(stack: &Stack) -> (bool, bool) {
    let role = stack.app.find_role(&name("acme-role")).await.unwrap();
    (role.is_some(), stack.allowed().await.is_some())
}

async fn state(store: &Store, removed: &Removed) -> State {
    operations::get(&platform_cx("x"), store, removed.operation).await.unwrap().state
}

fn done() -> Removed {
    Removed { openbao_removed: true, database_dropped: true, registry_removed: true, ..Removed::default() }
}

both_databases! {
    async fn nothing_of_a_deleted_tenant_is_left(db: TestDb) {
        let stack = Stack::start(&db).await;
        let jobs = stack.serve();
        let acme = stack.provision(&db, "acme").await;
        let leased = stack.lease(&acme).await.unwrap();
        let session = stack.log_in(&leased).await.unwrap();
        rows(&session, "CREATE TABLE notes (text text)").await.unwrap();
        // One that no program told us about.
        stack.app.lease_credentials(&name("acme-role")).await.unwrap();
        let removed = delete(&stack.databases, &acme, "acme", true).await;
        assert_eq!(removed, Removed { operation: removed.operation, ..done() });
        assert_eq!(state(&db, &removed).await, State::Succeeded);
        assert_eq!((left(&stack).await, identity(&stack).await), (Vec::new(), (false, false)));
        eventually("the session to end", async || session.is_closed().then_some(())).await;
        settled(&db).await;
        for table in ["tenants", "tenant_databases", "tenant_placements", "database_leases"] {
            assert!(strings(&db, &format!("SELECT 'x' FROM {table}")).await.is_empty(), "{table}");
        }
        let events = audited(&db, "tenant.teardown").await;
        assert!(events.len() == 1 && events[0].contains(r#""openbao_removed":true"#) && events[0].contains(r#""database_dropped":true"#), "{events:?}");
        let deleted = audited(&db, "tenant.delete").await;
        assert!(deleted.len() == 1 && deleted[0].starts_with("success") && deleted[0].contains(&removed.operation.to_string()), "{deleted:?}");
        assert_eq!(stack.lease(&acme).await.unwrap_err().reason, Reason::TenantNotFound);
        // The names stay reserved: what may use the role in OpenBAO does not reach a later tenant.
        let again = stack.provision(&db, "acme").await;
        let next = stack.lease(&again).await.unwrap();
        assert!(next.database.starts_with("tenant_acme_"), "{}", next.database);
        jobs.end(PATIENCE).await;
    }

    async fn a_database_that_is_not_to_be_dropped_stays_without_logins(db: TestDb) {
        let stack = Stack::start(&db).await;
        let jobs = stack.serve();
        let acme = stack.provision(&db, "acme").await;
        stack.lease(&acme).await.unwrap();
        let removed = delete(&stack.databases, &acme, "acme", false).await;
        assert_eq!(removed, Removed { operation: removed.operation, database_dropped: false, ..done() });
        assert_eq!((left(&stack).await, identity(&stack).await), (vec!["database tenant_acme".to_owned(), "role acme_owner".to_owned()], (false, false)));
        jobs.end(PATIENCE).await;
    }

    async fn the_revocation_of_leases_comes_first_and_stops_the_rest(db: TestDb) {
        let stack = Stack::start(&db).await;
        let jobs = stack.serve();
        let acme = stack.provision(&db, "acme").await;
        stack.lease(&acme).await.unwrap();
        stack.set_policy(&policy_without("sys/leases/revoke-prefix")).await;
        let removed = delete(&stack.databases, &acme, "acme", true).await;
        let id = removed.operation;
        let errors = vec![
            format!("revoke leases: cannot revoke the leases of the database role: the policy of the server's token does not allow it; the operation {id} continues"),
            "drop database: it waits for the step \"revoke leases\"".to_owned(),
        ];
        let expected = Removed { registry_removed: true, errors, operation: id, ..Removed::default() };
        assert_eq!(removed, expected);
        assert_eq!((left(&stack).await.len(), identity(&stack).await), (3, (true, true)));
        assert_eq!(stack.allowed().await.unwrap(), [""; 0], "nothing new is leased");
        let events = audited(&db, "tenant.delete").await;
        assert!(events.len() == 2 && events[1].starts_with("failed") && events[1].contains("revoke leases"), "{events:?}");
        assert_eq!(state(&db, &removed).await, State::Running);
        stack.set_policy(&policy()).await;
        settled(&db).await;
        assert_eq!((left(&stack).await, identity(&stack).await), (Vec::new(), (false, false)));
        assert_eq!(audited(&db, "tenant.teardown").await.len(), 1);
        jobs.end(PATIENCE).await;
    }

    async fn each_failure_is_reported_and_the_rest_is_done_later(db: TestDb) {
        let mut stack = Stack::start(&db).await;
        let jobs = stack.serve();
        for (fault, step, cause) in [
            ("sealed", "revoke leases", "cannot change the roles that the database connection allows: OpenBAO is sealed"),
            ("frozen", "revoke leases", "cannot change the roles that the database connection allows: OpenBAO does not respond"),
            ("role", "delete OpenBAO role", "cannot delete the database role: the policy of the server's token does not allow it"),
            ("postgres", "revoke leases", "cannot revoke the leases of the database role: OpenBAO cannot reach the database server"),
            ("right", "revoke leases", "cannot revoke the leases of the database role: the database server refused a statement (SQLSTATE 42501)"),
            ("drop", "drop database", "permission denied for the provisioner role, which needs membership in the role"),
        ] {
            let acme = stack.provision(&db, &format!("acme-{fault}")).await;
            // A login could not be dropped without the role that takes its objects over.
            if fault != "drop" {
                stack.lease(&acme).await.unwrap();
            }
            match fault {
                "sealed" => stack.bao.seal().await,
                "frozen" => stack.bao.signal("STOP").await,
                "role" => stack.set_policy(&policy().replace(r#"path "database/roles/*" {
  capabilities = ["create", "read", "update", "delete"]"#, r#"path "database/roles/*" {
  capabilities = ["create", "read", "update"]"#)).await,
                "postgres" => stack.place.postgres.stop(),
                "right" => drop(stack.place.sql("ALTER ROLE provisioner NOCREATEROLE").await),
                _ => drop(stack.place.sql("REVOKE acme_drop_owner FROM provisioner CASCADE").await),
            }
            let removed = delete(&stack.databases, &acme, &format!("acme-{fault}"), true).await;
            assert!(removed.registry_removed && !removed.database_dropped, "{fault}: {removed:?}");
            assert_eq!(removed.openbao_removed, fault == "drop", "{fault}: {removed:?}");
            assert!(removed.errors[0].starts_with(&format!("{step}: {cause}")), "{fault}: {removed:?}");
            assert_eq!(removed.errors.len(), if fault == "drop" { 1 } else { 2 }, "{fault}: {removed:?}");
            match fault {
                "sealed" => stack.bao.unseal().await,
                "frozen" => stack.bao.signal("CONT").await,
                "role" => stack.set_policy(&policy()).await,
                "postgres" => {
                    stack.place.postgres.resume();
                    stack.place.reconnect().await;
                }
                "right" => drop(stack.place.sql("ALTER ROLE provisioner CREATEROLE").await),
                _ => drop(stack.place.sql("GRANT acme_drop_owner TO provisioner WITH ADMIN OPTION").await),
            }
            settled(&db).await;
            assert_eq!(left(&stack).await, [""; 0], "{fault}");
        }
        jobs.end(PATIENCE).await;
    }

    async fn a_tenant_without_a_database_is_deleted_at_once(db: TestDb) {
        let stack = Stack::start(&db).await;
        let plain = starting::create(&db, "plain").await;
        let removed = delete(&stack.databases, &plain, "plain", false).await;
        assert_eq!(removed, Removed { operation: removed.operation, database_dropped: false, ..done() });
        let purge = operations::get(&platform_cx("x"), &db, removed.operation).await.unwrap();
        assert_eq!(purge.kind, "tenant.purge");
        let other = starting::create(&db, "other").await;
        let removed = delete(&stack.databases, &other, "other", true).await;
        assert_eq!((removed.openbao_removed, removed.database_dropped), (true, false));
        assert_eq!(removed.errors, ["drop database: no database was created for this tenant"]);
    }

    async fn a_blocker_of_another_surface_leaves_everything_as_it_is(db: TestDb) {
        let stack = Stack::start(&db).await;
        let jobs = stack.serve();
        let acme = stack.provision(&db, "acme").await;
        let leased = stack.lease(&acme).await.unwrap();
        block(&db, "acme").await;
        let removal = Removal { confirm: "acme".to_owned(), drop_database: true };
        let refused = deletion::delete_with(&platform_cx("tenant.delete"), &stack.databases, PATIENCE, &acme, removal).await;
        assert_eq!(refused.unwrap_err().reason, Reason::TenantInUse);
        let removal = Removal { confirm: "Acme".to_owned(), drop_database: true };
        let refused = deletion::delete_with(&platform_cx("tenant.delete"), &stack.databases, PATIENCE, &acme, removal).await;
        assert_eq!(refused.unwrap_err().reason, Reason::ConfirmationMismatch);
        assert!(strings(&db, "SELECT 'x' FROM operations WHERE kind = 'tenant.teardown'").await.is_empty());
        stack.log_in(&leased).await.unwrap();
        assert_eq!(identity(&stack).await, (true, true));
        jobs.end(PATIENCE).await;
    }

    async fn a_deletion_on_another_surface_removes_the_identity(db: TestDb) {
        let stack = Stack::start(&db).await;
        let jobs = stack.serve();
        let acme = stack.provision(&db, "acme").await;
        stack.lease(&acme).await.unwrap();
        manager::tenants::delete(&platform_cx("tenant.delete"), &db, &acme).await.unwrap();
        settled(&db).await;
        assert_eq!((left(&stack).await, identity(&stack).await), (vec!["database tenant_acme".to_owned(), "role acme_owner".to_owned()], (false, false)));
        jobs.end(PATIENCE).await;
    }

    async fn a_suspended_tenant_with_a_closed_database_is_deleted(db: TestDb) {
        let settings = DatabaseSettings { suspend_disconnects: true, ..DatabaseSettings::default() };
        let stack = Stack::start_with(&db, settings).await;
        let jobs = stack.serve();
        let acme = stack.provision(&db, "acme").await;
        stack.lease(&acme).await.unwrap();
        suspend(&db, &acme).await;
        settled(&db).await;
        let removed = delete(&stack.databases, &acme, "acme", true).await;
        assert_eq!(removed, Removed { operation: removed.operation, ..done() });
        assert_eq!(left(&stack).await, [""; 0]);
        jobs.end(PATIENCE).await;
    }

    async fn a_deletion_during_provisioning_leaves_nothing(db: TestDb) {
        let mut stack = Stack::start(&db).await;
        for (number, fault) in ["stopped", "frozen", "none", "none"].into_iter().enumerate() {
            let slug = format!("acme-{number}");
            let acme = starting::create(&db, &slug).await;
            match fault {
                "stopped" => stack.place.postgres.stop(),
                "frozen" => stack.bao.signal("STOP").await,
                _ => {}
            }
            let jobs = stack.serve();
            stack.begin(&db, &acme).await;
            if fault == "none" {
                eventually("provisioning to begin", async || (!left(&stack).await.is_empty()).then_some(())).await;
            }
            let deleting = tokio::spawn({
                let (databases, acme, slug) = (stack.databases.clone(), acme.clone(), slug.clone());
                async move { delete(&databases, &acme, &slug, true).await }
            });
            // The operation that removes what there is.
            eventually("the deletion to begin", async || {
                let all = strings(&db, "SELECT kind FROM operations WHERE kind = 'tenant.teardown'").await;
                (all.len() > number).then_some(())
            })
            .await;
            match fault {
                "stopped" => {
                    stack.place.postgres.resume();
                    stack.place.reconnect().await;
                }
                "frozen" => stack.bao.signal("CONT").await,
                _ => {}
            }
            assert!(deleting.await.unwrap().registry_removed);
            settled(&db).await;
            assert_eq!(left(&stack).await, [""; 0], "{fault}");
            let found = stack.bao.api(Method::GET, "database/config?list=true", stack.bao.root(), json!(null)).await;
            assert_eq!(found.1["data"]["keys"], json!(null), "{fault}");
            jobs.end(PATIENCE).await;
        }
    }

    async fn a_deletion_waits_for_provisioning_and_makes_its_next_attempt_due(db: TestDb) {
        let stack = Stack::start(&db).await;
        let acme = starting::create(&db, "acme").await;
        stack.begin(&db, &acme).await;
        // A server that cannot provision.
        let mut other = Jobs::new(&db, StatusBoard::default());
        other.start(RunOperations::new(&db, Kinds::default().with(TearDownTenant::new(&stack.databases))));
        let removed = delete(&stack.databases, &acme, "acme", true).await;
        assert!(removed.registry_removed && !removed.openbao_removed && !removed.database_dropped, "{removed:?}");
        let waits = format!("wait for provisioning: provisioning of the tenant has not ended yet; the operation {} continues", removed.operation);
        assert_eq!(removed.errors, [waits.as_str(), r#"drop database: it waits for the step "wait for provisioning""#]);
        other.end(PATIENCE).await;
        // The attempt that ran meanwhile has failed, and the next one is far away.
        let later = "UPDATE operations SET due_at = 9000000000000000, attempts = 8 WHERE kind = 'tenant.provision'";
        crate::rows::sql(&db, later.to_owned()).await.unwrap();
        let jobs = stack.serve();
        let hurried = "UPDATE operations SET due_at = 0 WHERE kind = 'tenant.teardown' AND ended_at IS NULL";
        let done = "SELECT 'x' FROM operations WHERE kind = 'tenant.teardown' AND state = 'succeeded'";
        eventually("the teardown", async || {
            crate::rows::sql(&db, hurried.to_owned()).await.unwrap();
            db.operations_due().activate();
            strings(&db, done).await.pop()
        })
        .await;
        let ended = strings(&db, "SELECT state FROM operations WHERE kind = 'tenant.provision'").await;
        assert_eq!((ended, left(&stack).await, identity(&stack).await), (vec!["failed".to_owned()], Vec::new(), (false, false)));
        jobs.end(PATIENCE).await;
    }

    async fn without_openbao_and_a_provisioner_the_database_is_named(db: TestDb) {
        let stack = Stack::start(&db).await;
        let jobs = stack.serve();
        let acme = stack.provision(&db, "acme").await;
        jobs.end(PATIENCE).await;
        let plain = Databases::new(&db, stack.databases.sealer.clone());
        let removed = delete(&plain, &acme, "acme", true).await;
        assert_eq!((removed.openbao_removed, removed.database_dropped, removed.registry_removed), (false, false, true));
        assert_eq!(removed.errors, ["drop database: the database tenant_acme was kept; drop it on its server"]);
        assert_eq!(identity(&stack).await, (true, true));
        // A server with OpenBAO removes the identity.
        let jobs = stack.serve();
        settled(&db).await;
        assert_eq!(identity(&stack).await, (false, false));
        let refused = stack.app.lease_credentials(&name("acme-role")).await.unwrap_err();
        assert_eq!(refused.cause, Cause::NoRole);
        jobs.end(PATIENCE).await;
    }
}

/// Adds a namespace, which blocks the deletion of its tenant.
async fn block(db: &TestDb, tenant: &str) {
    let policies = NamespacePolicies::default();
    namespaces::create(&platform_cx("namespace.create"), db, tenant, "ns", &policies).await.unwrap();
}
