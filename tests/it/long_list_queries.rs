//! The queries of long lists, on both databases: each uses the order of an index, and its pages add up to the
//! whole list.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, EntityTrait, QuerySelect, QueryTrait, Statement};
use tenantry::{
    base::{Access, Basis, Caller, Cx, Role, TenantRef, caller::CallerFacts, cx::CxFacts, error::Reason, names, text},
    controlplane::migrations::pending_query,
    enrollment::{hosts, tokens},
    identity::{accounts::identities, grants, sessions::revocations::revoke_token},
    messaging::namespaces,
    store::{
        Pages, older_text,
        tables::{grants_query, host_tokens_query, hosts_query, namespace_names_query, tenants},
    },
    tenants as registry,
    tenants::{Order, Status},
};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::{TestDb, platform_cx};

/// Adds tenants with various names, ages and states. The display names of `wide` ones are the same.
pub async fn fill(db: &DatabaseConnection, count: u32, wide: usize) {
    let (numbers, id, line) = dialect(db, count);
    let (same, more) = (if wide == 0 { "i % 2 = 0" } else { "1 = 2" }, "x".repeat(wide));
    // A prime, so that names are ordered differently from ages.
    let named = format!(
        "SELECT i, CASE WHEN i % 3 = 0 THEN 'T-' ELSE 't_' END || (i * 7919 % 1000003) AS name,
                CASE WHEN i % 3 = 0 THEN 't-' ELSE 't_' END || (i * 7919 % 1000003) AS key FROM {numbers}"
    );
    let shown = format!(
        "SELECT i, name, key, CASE WHEN {same} THEN name ELSE 'Élodie ' || (i % 10) || '{more}' END AS shown,
                CASE WHEN {same} THEN key ELSE 'élodie ' || (i % 10) || '{more}' END AS folded FROM ({named}) AS named"
    );
    let tenants = format!(
        "INSERT INTO tenants
           (id, name, name_key, display_name, status, version, labels, created_at, updated_at, list_key)
         SELECT {id}, name, key, shown,
                CASE WHEN i % 50 = 0 THEN 'deprovisioning' WHEN i % 49 = 0 THEN 'suspended' ELSE 'active' END,
                1, '{{}}', i * 1000000, i * 1000000, folded || {line} || key
         FROM ({shown}) AS shown WHERE key NOT IN (SELECT name_key FROM tenants)"
    );
    db.execute_unprepared(&tenants).await.unwrap();
    db.execute_unprepared(
        "INSERT INTO warehouse_tenants (tenant_id, auth_provider, auth_config)
         SELECT id, 'keycloak', '{\"clientSecret\":\"sealed\",\"realm\":\"r\"}' FROM tenants
         WHERE created_at / 1000000 % 5 = 0 AND id NOT IN (SELECT tenant_id FROM warehouse_tenants)",
    )
    .await
    .unwrap();
}

/// SQL fragments for a database: the numbers up to `count` as a table of `i`, a new id, and a line feed.
fn dialect(db: &DatabaseConnection, count: u32) -> (String, &'static str, &'static str) {
    if db.get_database_backend() == DbBackend::Postgres {
        return (format!("generate_series(1::bigint, {count}) AS n(i)"), "gen_random_uuid()", "chr(10)");
    }
    let numbers = format!(
        "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) SELECT i FROM n) AS n"
    );
    (numbers, "randomblob(16)", "char(10)")
}

/// Adds identities, each with a grant in a tenant, and as many namespaces, enrollment tokens and hosts of that tenant.
async fn people(db: &DatabaseConnection, count: u32, tenant: Uuid) {
    let (numbers, id, _) = dialect(db, count);
    let sqlite = db.get_database_backend() == DbBackend::Sqlite;
    let tenant = if sqlite { format!("x'{}'", tenant.simple()) } else { format!("'{tenant}'::uuid") };
    let scattered = "(i * 7919 % 1000003)";
    for statement in [
        format!(
            "INSERT INTO identities (id, email, email_key, is_active, created_at, updated_at)
             SELECT {id}, 'x', CASE WHEN i % 2 = 0 THEN 'a-' ELSE 'a.' END || {scattered} || '@x.y', true, 0, 0
             FROM {numbers}"
        ),
        format!(
            "INSERT INTO grants (tenant_id, id, identity_id, role, is_default, created_at)
             SELECT {tenant}, {id}, id, 'member', false, 0 FROM identities"
        ),
        format!(
            "INSERT INTO namespaces (tenant_id, id, name, replication_clusters, policies, created_at)
             SELECT {tenant}, {id}, CASE WHEN i % 2 = 0 THEN 'A-' ELSE 'a.' END || {scattered}, '[]', '{{}}', 0
             FROM {numbers}"
        ),
        format!(
            "INSERT INTO enrollment_tokens (tenant_id, id, kind, name, prefix, secret_hash, use_count, group_ids, pre_approved,
               ephemeral, created_by, created_at)
             SELECT {tenant}, {id}, CASE WHEN i % 10 = 0 THEN 'device' ELSE 'host' END, '', '', '' || i, 0, '[]', false, false, '', 0
             FROM {numbers}"
        ),
        format!(
            "INSERT INTO hosts (tenant_id, id, fqdn, hostname, active, script_execution_enabled, is_privileged, enabled_shells,
               agent_version, agent_capabilities, secret_hash, token_id, last_registered_at, version, created_at, updated_at)
             SELECT {tenant}, {id}, 'host-' || i, 'host', true, false, false, '[]', '', 'null', '' || i, {id}, 0, 1, 0, 0
             FROM {numbers}"
        ),
    ] {
        db.execute_unprepared(&statement).await.unwrap();
    }
}

/// The tenants that surfaces list.
pub async fn present(db: &DatabaseConnection) -> Vec<tenants::Model> {
    let mut rows = tenants::Entity::find().all(db).await.unwrap();
    rows.retain(|row| row.status != Status::Deprovisioning);
    rows
}

/// Sets a collation under which texts are not sorted by their bytes.
async fn localize(db: &TestDb) {
    if !db.is_sqlite() {
        for (table, column) in [("tenants", "name"), ("identities", "email_key"), ("namespaces", "name")] {
            let statement = format!("ALTER TABLE {table} ALTER COLUMN {column} TYPE text COLLATE \"und-x-icu\"");
            db.read().execute_unprepared(&statement).await.unwrap();
        }
    }
}

/// A connection for writes that bypass the store.
async fn beside(db: &TestDb) -> DatabaseConnection {
    sea_orm::Database::connect(&db.url).await.unwrap()
}

async fn all<T: Send + 'static>(list: tenantry::base::Result<Pages<T>>) -> Vec<T> {
    let list = list.unwrap();
    assert!(list.rest.is_some() && list.first.len() == 1000);
    list.all().await.unwrap()
}

/// The query plan.
async fn plan(db: &DatabaseConnection, query: impl QueryTrait) -> String {
    let backend = db.get_database_backend();
    let explain = if backend == DbBackend::Postgres { "EXPLAIN" } else { "EXPLAIN QUERY PLAN" };
    let statement = format!("{explain} {}", query.build(backend));
    let rows = db.query_all_raw(Statement::from_string(backend, statement)).await.unwrap();
    let column = if backend == DbBackend::Postgres { "QUERY PLAN" } else { "detail" };
    rows.iter().map(|row| row.try_get::<String>("", column).unwrap() + "\n").collect()
}

both_databases! {
    async fn pages_of_tenants_add_up_to_the_ordered_list(db: TestDb) {
        localize(&db).await;
        fill(&beside(&db).await, 3100, 0).await;
        let (cx, mut rows) = (platform_cx("x"), present(db.read()).await);
        let names = all(registry::names(&cx, &db, &Status::PRESENT).await).await;
        let mut expected: Vec<_> = rows.iter().map(|row| row.name.clone()).collect();
        expected.sort();
        assert!(names == expected);
        let list = async |order| {
            let tenants = all(registry::list(&cx, &db, order, &Status::PRESENT).await).await;
            tenants.into_iter().map(|tenant| tenant.id.uuid()).collect::<Vec<_>>()
        };
        let ids = |rows: &[tenants::Model]| rows.iter().map(|row| row.id.uuid()).collect::<Vec<_>>();
        rows.sort_by_key(|row| row.id);
        assert!(list(Order::OldestFirst).await == ids(&rows));
        rows.reverse();
        assert!(list(Order::NewestFirst).await == ids(&rows));
        rows.sort_by_cached_key(|row| (text::fold(&row.display_name), names::fold(&row.name)));
        assert!(list(Order::ByDisplayName).await == ids(&rows));
        let few = registry::list(&cx, &db, Order::OldestFirst, &[Status::Suspended]).await.unwrap();
        assert!(few.rest.is_none() && few.first.iter().all(|tenant| tenant.status == Status::Suspended));
    }

    async fn exactly_one_page_has_no_next_page(db: TestDb) {
        let beside = beside(&db).await;
        fill(&beside, 1100, 0).await;
        let count = present(&beside).await.len();
        let more = "SELECT id FROM tenants WHERE status = 'active' LIMIT";
        let more = format!("DELETE FROM tenants WHERE id IN ({more} {})", count - 1000);
        beside.execute_unprepared(&more).await.unwrap();
        let names = registry::names(&platform_cx("x"), &db, &Status::PRESENT).await.unwrap();
        assert!(names.first.len() == 1000 && names.rest.is_none());
    }

    async fn identities_grants_and_namespaces_are_paged_too(db: TestDb) {
        localize(&db).await;
        let beside = beside(&db).await;
        fill(&beside, 2200, 0).await;
        let tenant = present(&beside).await.remove(0);
        people(&beside, 2200, tenant.id.uuid()).await;
        let cx = platform_cx("x");
        let people = all(identities::list(&cx, &db, None).await).await;
        assert!(people.len() == 2200 && people.is_sorted_by(|a, b| a.email < b.email));
        let of = grants::GrantFilter { identity: None, tenant: Some(TenantRef::parse(&tenant.name)) };
        for wanted in [grants::GrantFilter::default(), of] {
            let grants = all(grants::list(&cx, &db, &wanted).await).await;
            assert!(grants.len() == 2200 && grants.is_sorted_by(|a, b| a.id < b.id));
        }
        let spaces = all(namespaces::list(&cx, &db, &tenant.name).await).await;
        assert!(spaces.len() == 2200 && spaces.is_sorted_by(|a, b| a < b));
        let named = TenantRef::parse(&tenant.name);
        let hosts = all(hosts::list(&cx, &db, &named).await).await;
        assert!(hosts.len() == 2200 && hosts.is_sorted_by(|a, b| a.row.id < b.row.id));
        let tokens = all(tokens::list_for_hosts(&cx, &db, &named).await).await;
        assert!(tokens.len() == 1980 && tokens.is_sorted_by(|a, b| a.row.id > b.row.id));
    }

    async fn every_list_is_read_in_index_order(db: TestDb) {
        let beside = beside(&db).await;
        fill(&beside, 20_000, 0).await;
        let (backend, row) = (db.backend(), present(&beside).await.remove(0));
        people(&beside, 20_000, row.id.uuid()).await;
        let databases = "INSERT INTO tenant_databases (tenant_id, created_at, updated_at, revision) \
                         SELECT id, 0, 0, CASE WHEN created_at / 1000000 % 3 = 0 THEN '0001_a' ELSE '0002_b' END \
                         FROM tenants WHERE created_at / 1000000 % 2 = 0";
        beside.execute_unprepared(databases).await.unwrap();
        beside.execute_unprepared("ANALYZE").await.unwrap();
        // For the first page, and for a later one with most rows still to come.
        let mut plans = Vec::new();
        for begun in [false, true] {
            let (name, id) = (begun.then(String::new), begun.then(Uuid::nil));
            let place = |id: Uuid| begun.then(|| (String::new(), id));
            for (order, id) in [
                (Order::OldestFirst, Uuid::nil()),
                (Order::NewestFirst, Uuid::max()),
                (Order::ByDisplayName, Uuid::nil()),
            ] {
                plans.push(plan(&beside, registry::query(order, &Status::PRESENT, place(id)).limit(1001)).await);
            }
            plans.push(plan(&beside, registry::names_query(backend, &Status::PRESENT, name.clone()).limit(1001)).await);
            plans.push(plan(&beside, pending_query(backend, "0002_b", name.clone()).limit(1001)).await);
            plans.push(plan(&beside, identities::query(backend, name.clone()).limit(1001)).await);
            plans.push(plan(&beside, namespace_names_query(backend, row.id, name).limit(1001)).await);
            plans.push(plan(&beside, grants_query(None, None, id).limit(1001)).await);
            plans.push(plan(&beside, grants_query(Some(row.id.uuid()), None, id).limit(1001)).await);
            plans.push(plan(&beside, hosts_query(row.id, id).limit(1001)).await);
            plans.push(plan(&beside, host_tokens_query(row.id, begun.then(Uuid::max)).limit(1001)).await);
        }
        for plan in plans {
            let sorts = ["TEMP B-TREE", "Sort"].iter().any(|word| plan.contains(word));
            let index = plan.contains("Index") || plan.contains("USING INDEX") || plan.contains("USING COVERING INDEX");
            assert!(index && !sorts, "{plan}");
        }
    }

    async fn a_caller_that_lost_access_gets_no_further_page(db: TestDb) {
        fill(&beside(&db).await, 1500, 0).await;
        let gone = Basis::Account { id: Uuid::from_u128(7), epoch: 0 };
        let caller = Caller::new(CallerFacts { role: Role::PlatformAdmin, basis: gone, ..CallerFacts::default() });
        let cx = Cx::new(CxFacts { caller, access: Access::Platform, ..CxFacts::clone(&platform_cx("x")) });
        let list = registry::names(&cx, &db, &Status::PRESENT).await.unwrap();
        assert_eq!(list.first.len(), 1000);
        assert_eq!(list.all().await.unwrap_err().reason, Reason::CredentialsRevoked);

        // The validity of a minted token depends only on the token itself.
        let token = |id: &str, ends| {
            let minted = CallerFacts { role: Role::PlatformAdmin, token_id: id.to_owned(), ..CallerFacts::default() };
            let caller = Caller::new(CallerFacts { basis: Basis::Token, ends: Some(ends), ..minted });
            Cx::new(CxFacts { caller, access: Access::Platform, ..CxFacts::clone(&platform_cx("x")) })
        };
        let (past, later) = (OffsetDateTime::UNIX_EPOCH, OffsetDateTime::now_utc() + Duration::from_secs(3600));
        revoke_token(&db, &platform_cx("token.revoke"), "gone".to_owned(), later).await.unwrap();
        for (id, ends, read) in [("gone", later, false), ("over", past, false), ("good", later, true)] {
            let list = registry::names(&token(id, ends), &db, &Status::PRESENT).await.unwrap();
            assert_eq!(list.all().await.is_ok(), read, "{id}");
        }
    }

    async fn a_changed_tenant_is_sorted_correctly(db: TestDb) {
        let named = async |name: &'static str, display_name: &'static str| {
            let display_name = display_name.to_owned();
            let new = registry::NewTenant { display_name, ..registry::NewTenant::named(name.parse().unwrap()) };
            crate::db::write(&db, &platform_cx("tenant.create"), move |tx| {
                let new = new.clone();
                Box::pin(async move { Ok(registry::insert(tx, &new, None).await?.0) })
            })
            .await
            .unwrap()
        };
        named("a", "\u{c9}lodie").await;
        named("b", "Zo\u{eb}").await;
        named("c", "c").await;
        let listed = async || {
            let list = registry::list(&platform_cx("x"), &db, Order::ByDisplayName, &Status::PRESENT).await.unwrap();
            list.first.iter().map(|tenant| tenant.name.as_str().to_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(listed().await, "c b a");
        let change = async |name: &'static str, to: Option<&'static str>| {
            crate::db::write(&db, &platform_cx("tenant.update"), move |tx| {
                Box::pin(async move {
                    let (tenant, scope) = registry::resolve_locked(tx, &TenantRef::parse(name)).await?;
                    match to {
                        Some(to) => registry::rename(tx, &tenant, scope, to.parse().unwrap()).await,
                        None => {
                            let change = registry::TenantChange { display_name: Some("B".to_owned()), ..Default::default() };
                            registry::update(tx, scope, None, &change).await
                        }
                    }
                })
            })
            .await
            .unwrap();
        };
        change("a", None).await;
        assert_eq!(listed().await, "a c b");
        change("c", Some("aa")).await;
        assert_eq!(listed().await, "aa a b");
        // As an older program writes it, which does not know the order.
        beside(&db).await.execute_unprepared("UPDATE tenants SET list_key = '' WHERE name = 'b'").await.unwrap();
        assert_eq!(listed().await, "b aa a");
        change("b", None).await;
        assert_eq!(listed().await, "aa a b");
    }

    async fn tenants_of_older_versions_are_sorted_first_until_converted(db: TestDb) {
        let beside = beside(&db).await;
        fill(&beside, 2500, 0).await;
        // As before these two, which the others do not need.
        let migrations = ["m20260101_000016_list_key", "m20260101_000017_lists"];
        let mut statements = vec![
            "DELETE FROM seaql_migrations WHERE version IN ('m20260101_000016_list_key', 'm20260101_000017_lists')",
            "DROP INDEX tenants_list_key",
            "DROP INDEX tenants_names",
            "DROP INDEX grants_of_identity",
            "DROP INDEX accounts_names",
        ];
        if !db.is_sqlite() {
            statements.extend(["DROP INDEX identities_emails", "DROP INDEX namespaces_names"]);
        }
        statements.push("ALTER TABLE tenants DROP COLUMN list_key");
        for statement in statements {
            beside.execute_unprepared(statement).await.unwrap();
        }
        let newer = db.replica().await;
        assert_eq!(newer.migrate(|_| ()).await.unwrap(), migrations);
        assert_eq!(older_text::renew(&newer).await.unwrap(), 2500);
        let mut rows = present(&beside).await;
        rows.sort_by_cached_key(|row| (text::fold(&row.display_name), names::fold(&row.name)));
        let list = registry::list(&platform_cx("x"), &newer, Order::ByDisplayName, &Status::PRESENT).await;
        let listed: Vec<_> = all(list).await.into_iter().map(|tenant| tenant.id.uuid()).collect();
        assert!(listed == rows.iter().map(|row| row.id.uuid()).collect::<Vec<_>>());
    }
}
