//! The functions of the messaging area: effects, order of checks, and errors (contract 4, sections 5 and 6).

use futures::future::join_all;
use sea_orm::{ConnectionTrait, DbBackend, EntityTrait, QueryOrder, Statement, TransactionTrait};
use tenantry::{
    base::{Access, Cx, Error, Kind, TenantId, TenantRef, error::Reason},
    messaging::{
        MessagingSettings, administered, bootstrap,
        clusters::{self, ClusterData},
        namespaces,
        policies::NamespacePolicies,
        rules::InfoInput,
        tenants,
    },
    store::{Sealer, Store, tables::audit_events, tables::outbox},
    tenants::NewTenant,
};

use crate::db::{cx, platform_cx};

const OPEN: MessagingSettings = MessagingSettings { force_delete: true, max_tenants: None };

fn list(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn info(roles: &[&str], clusters: &[&str]) -> InfoInput {
    InfoInput { admin_roles: Some(list(roles)), allowed_clusters: Some(list(clusters)) }
}

fn simple() -> InfoInput {
    info(&[], &["standalone"])
}

fn named(tenant: &str) -> TenantRef {
    TenantRef::parse(tenant)
}

fn create_cx() -> Cx {
    platform_cx("tenant.create")
}

async fn create(store: &Store, name: &str, info: &InfoInput) -> Result<TenantId, Error> {
    tenants::create(&create_cx(), store, &OPEN, name, Some(info)).await
}

/// A tenant created by another surface, without messaging settings.
async fn create_elsewhere(store: &Store, name: &str) -> TenantId {
    let name = name.parse().expect("a name");
    let cx = create_cx();
    let tenant = crate::db::write(store, &cx, move |tx| {
        let new = NewTenant::named(tenantry::base::TenantName::clone(&name));
        Box::pin(async move { tenantry::tenants::insert(tx, &new, None).await })
    });
    tenant.await.expect("a tenant").0.id
}

async fn get(store: &Store, tenant: &str) -> (Vec<String>, Vec<String>) {
    let view = tenants::get(&platform_cx("x"), store, tenant).await.expect("a tenant");
    (view.info.admin_roles, view.info.allowed_clusters)
}

async fn add_clusters(store: &Store, names: &[&str]) {
    for name in names {
        let sealer = Sealer::new(store.clone(), None);
        clusters::create(&platform_cx("cluster.create"), store, &sealer, name, Some(&ClusterData::default()))
            .await
            .expect("a cluster");
    }
}

async fn add_namespace(store: &Store, tenant: &str, name: &str, clusters: &[&str]) -> Result<(), Error> {
    let policies = NamespacePolicies { replication_clusters: list(clusters), ..NamespacePolicies::default() };
    namespaces::create(&platform_cx("namespace.create"), store, tenant, name, &policies).await
}

#[track_caller]
fn fails<T: std::fmt::Debug>(outcome: Result<T, Error>, kind: Kind, reason: Reason, text: &str) {
    let error = outcome.expect_err(text);
    assert_eq!((error.kind, error.reason, error.to_string().as_str()), (kind, reason, text));
}

both_databases! {
    async fn a_tenant_from_creation_to_deletion(db: TestDb) {
        add_clusters(&db, &["us-west", "us-east"]).await;
        let id = create(&db, "Acme", &info(&["ops", "admin", "ops"], &["us-west", "us-east", "us-west"])).await.unwrap();
        let expected = (list(&["ops", "admin"]), list(&["us-west", "us-east"]));
        for spelling in ["Acme", &id.dashed(), &id.zero_trust(), &id.manager(), &id.warehouse()] {
            assert_eq!(get(&db, spelling).await, expected, "{spelling}");
        }
        create(&db, "zed", &simple()).await.unwrap();
        create(&db, "alpha", &simple()).await.unwrap();
        assert_eq!(tenants::list(&platform_cx("x"), &db).await.unwrap().all().await.unwrap(), ["Acme", "alpha", "zed"]);

        let version = tenants::update(&platform_cx("tenant.update"), &db, "Acme", Some(&simple()), None).await.unwrap();
        assert_eq!((version, get(&db, "Acme").await), (2, (list(&[]), list(&["standalone"]))));

        tenants::delete(&platform_cx("tenant.delete"), &db, &OPEN, "Acme", false).await.unwrap();
        let gone = tenants::get(&platform_cx("x"), &db, "Acme").await;
        fails(gone, Kind::NotFound, Reason::TenantNotFound, "Tenant does not exist");
        let again = create(&db, "ACME", &simple()).await.unwrap();
        assert_ne!(again, id, "ids must not be reused");
    }

    async fn every_write_is_audited_with_its_tenant(db: TestDb) {
        let id = create(&db, "acme", &simple()).await.unwrap();
        add_namespace(&db, "acme", "ns", &[]).await.unwrap();
        tenants::delete(&platform_cx("tenant.delete"), &db, &OPEN, "acme", true).await.unwrap();
        let events = audit_events::Entity::find().order_by_asc(audit_events::Column::Id).all(db.read()).await.unwrap();
        let rows: Vec<_> = events.iter().map(|event| (event.action.as_str(), event.target.as_str())).collect();
        assert_eq!(rows, [("tenant.create", "acme"), ("namespace.create", "acme/ns"), ("tenant.delete", "acme")]);
        assert!(events.iter().all(|event| event.tenant_id == Some(id)));
        assert_eq!(events[2].details, r#"{"client":"unknown","force":true,"namespaces":["ns"]}"#);
        let events = outbox::Entity::find().order_by_asc(outbox::Column::Id).all(db.read()).await.unwrap();
        let topics: Vec<_> = events.iter().map(|event| event.topic.as_str()).collect();
        assert_eq!(topics, ["tenant", "namespace", "operation", "tenant"], "the purge must be an operation");
    }

    async fn creation_checks_in_the_order_of_the_contract(db: TestDb) {
        let limited = MessagingSettings { max_tenants: Some(1), ..OPEN };
        create(&db, "acme", &simple()).await.unwrap();
        let attempt = async |name: &str, info: Option<&InfoInput>| {
            tenants::create(&create_cx(), &db, &limited, name, info).await
        };
        let bad_role = |clusters: &[&str]| info(&[" x"], clusters);
        fails(attempt("a b", None).await, Kind::InvalidArgument, Reason::TenantNameInvalid, "Tenant name is not valid");
        fails(attempt("acme", None).await, Kind::InvalidArgument, Reason::TenantInfoMissing, "TenantInfo is null");
        let absent = InfoInput { admin_roles: Some(list(&[" x"])), allowed_clusters: None };
        fails(attempt("acme", Some(&absent)).await, Kind::InvalidArgument, Reason::ClustersMissing, "Clusters cannot be null");
        for blank in [&[][..], &[""], &["standalone", " "]] {
            let text = "Clusters cannot be empty or blank";
            fails(attempt("acme", Some(&bad_role(blank))).await, Kind::FailedPrecondition, Reason::ClustersBlank, text);
        }
        for unknown in ["nowhere", "global", "a\0b"] {
            let outcome = attempt("acme", Some(&bad_role(&["standalone", unknown]))).await;
            fails(outcome, Kind::FailedPrecondition, Reason::ClustersUnknown, "Clusters do not exist");
        }
        let text = "AdminRoles contains whitespace in the beginning or end.";
        let outcome = attempt("acme", Some(&bad_role(&["standalone"]))).await;
        fails(outcome, Kind::FailedPrecondition, Reason::AdminRoleWhitespace, text);
        fails(attempt("ACME", Some(&simple())).await, Kind::AlreadyExists, Reason::TenantExists, "Tenant already exist");
        let text = "Exceed the maximum number of tenants";
        fails(attempt("other", Some(&simple())).await, Kind::FailedPrecondition, Reason::TenantLimitReached, text);
        let outcome = create(&db, "acme", &simple()).await;
        fails(outcome, Kind::AlreadyExists, Reason::TenantExists, "Tenant already exist");
    }

    async fn one_of_32_creates_of_a_name_wins(db: TestDb) {
        let spellings = ["acme", "Acme", "ACME"];
        let outcomes = join_all((0..32).map(|number| {
            let store = db.store.clone();
            tokio::spawn(async move { create(&store, spellings[number % 3], &simple()).await })
        }));
        let outcomes: Vec<_> = outcomes.await.into_iter().map(Result::unwrap).collect();
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        for outcome in outcomes.into_iter().filter(Result::is_err) {
            fails(outcome, Kind::AlreadyExists, Reason::TenantExists, "Tenant already exist");
        }
        assert_eq!(tenants::list(&platform_cx("x"), &db).await.unwrap().all().await.unwrap().len(), 1);
    }

    async fn the_limit_is_exact_under_64_creates(db: TestDb) {
        let limited = MessagingSettings { max_tenants: Some(10), ..OPEN };
        let replica = db.replica().await;
        let outcomes = join_all((0..64).map(|number| {
            let store = if number % 2 == 0 { db.store.clone() } else { replica.clone() };
            tokio::spawn(async move {
                tenants::create(&create_cx(), &store, &limited, &format!("t{number}"), Some(&simple())).await
            })
        }));
        let outcomes: Vec<_> = outcomes.await.into_iter().map(Result::unwrap).collect();
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 10);
        for outcome in outcomes.into_iter().filter(Result::is_err) {
            let text = "Exceed the maximum number of tenants";
            fails(outcome, Kind::FailedPrecondition, Reason::TenantLimitReached, text);
        }
        assert_eq!(tenants::list(&platform_cx("x"), &db).await.unwrap().all().await.unwrap().len(), 10);
    }

    async fn a_tenant_of_another_surface_has_default_settings_until_it_is_updated(db: TestDb) {
        add_clusters(&db, &["us-west", "Zone"]).await;
        let id = create_elsewhere(&db, "acme").await;
        assert_eq!(get(&db, "acme").await, (list(&[]), list(&["Zone", "standalone", "us-west"])));
        assert_eq!(administered(&db, &named("acme"), "ops").await.unwrap(), None);
        let replaced = info(&["ops"], &["us-west"]);
        tenants::update(&platform_cx("tenant.update"), &db, "acme", Some(&replaced), Some(1)).await.unwrap();
        assert_eq!(get(&db, "acme").await, (list(&["ops"]), list(&["us-west"])));
        for spelling in ["Acme", &id.dashed()] {
            assert_eq!(administered(&db, &named(spelling), "ops").await.unwrap(), Some(id));
        }
        for (tenant, subject) in [("acme", "op"), ("acme", ""), ("other", "ops"), ("no name", "ops")] {
            assert_eq!(administered(&db, &named(tenant), subject).await.unwrap(), None, "{tenant} {subject}");
        }
        let nobody = info(&[""], &["us-west"]);
        tenants::update(&platform_cx("tenant.update"), &db, "acme", Some(&nobody), None).await.unwrap();
        assert_eq!(administered(&db, &named("acme"), "").await.unwrap(), None, "an empty subject must not match an admin role");
    }

    async fn an_update_checks_the_settings_before_the_tenant(db: TestDb) {
        let update = async |tenant: &str, info: Option<&InfoInput>, version| {
            tenants::update(&platform_cx("tenant.update"), &db, tenant, info, version).await
        };
        fails(update("No", None, None).await, Kind::InvalidArgument, Reason::TenantInfoMissing, "TenantInfo is null");
        let nowhere = info(&[], &["nowhere"]);
        let outcome = update("No", Some(&nowhere), None).await;
        fails(outcome, Kind::FailedPrecondition, Reason::ClustersUnknown, "Clusters do not exist");
        for missing in ["No", "a b", "a\0b"] {
            let outcome = update(missing, Some(&simple()), None).await;
            fails(outcome, Kind::NotFound, Reason::TenantNotFound, &format!("Tenant {missing} not found"));
        }
        create(&db, "acme", &simple()).await.unwrap();
        assert_eq!(update("acme", Some(&simple()), Some(1)).await.unwrap(), 2);
        let outcome = update("acme", Some(&simple()), Some(1)).await;
        fails(outcome, Kind::Aborted, Reason::VersionStale, "Concurrent modification");
        assert_eq!(update("acme", Some(&simple()), Some(2)).await.unwrap(), 3);
    }

    async fn one_of_concurrent_updates_of_a_version_succeeds(db: TestDb) {
        create(&db, "acme", &simple()).await.unwrap();
        let outcomes = join_all((0..16).map(|_| {
            let store = db.store.clone();
            tokio::spawn(async move {
                tenants::update(&platform_cx("tenant.update"), &store, "acme", Some(&simple()), Some(1)).await
            })
        }));
        let outcomes: Vec<_> = outcomes.await.into_iter().map(Result::unwrap).collect();
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        let view = tenants::get(&platform_cx("x"), &db, "acme").await.unwrap();
        assert_eq!(view.version, 2);
    }

    async fn namespaces_protect_their_tenant_and_its_clusters(db: TestDb) {
        add_clusters(&db, &["us-west", "us-east"]).await;
        create(&db, "acme", &info(&[], &["us-west", "us-east"])).await.unwrap();
        add_namespace(&db, "acme", "ns", &["us-west"]).await.unwrap();
        let update = async |clusters: &[&str]| {
            tenants::update(&platform_cx("tenant.update"), &db, "acme", Some(&info(&[], clusters)), None).await
        };
        let text = "Cannot remove cluster us-west from tenant acme: namespace acme/ns still has it as a replication cluster";
        fails(update(&["us-east"]).await, Kind::FailedPrecondition, Reason::ClusterInUse, text);
        assert_eq!(update(&["us-west"]).await.unwrap(), 2, "a refused update must not change the version");
        let delete = async |settings: MessagingSettings, force| {
            tenants::delete(&platform_cx("tenant.delete"), &db, &settings, "acme", force).await
        };
        let text = "The tenant still has active namespaces";
        fails(delete(OPEN, false).await, Kind::FailedPrecondition, Reason::TenantInUse, text);
        let strict = MessagingSettings { force_delete: false, ..OPEN };
        let text = "Broker doesn't allow forced deletion of tenants";
        fails(delete(strict, true).await, Kind::FailedPrecondition, Reason::ForceDeleteForbidden, text);
        delete(OPEN, true).await.unwrap();
        fails(delete(OPEN, true).await, Kind::NotFound, Reason::TenantNotFound, "Tenant doesn't exist");
        create(&db, "acme", &simple()).await.unwrap();
        let empty = namespaces::list(&platform_cx("x"), &db, "acme").await.unwrap().all().await.unwrap();
        assert!(empty.is_empty(), "a new tenant must not have the namespaces of the deleted one");
    }

    async fn namespaces_of_a_tenant(db: TestDb) {
        add_clusters(&db, &["us-west"]).await;
        create(&db, "Acme", &info(&[], &["us-west"])).await.unwrap();
        for name in ["b", "a", "B"] {
            add_namespace(&db, "Acme", name, &[]).await.unwrap();
        }
        let names = namespaces::list(&platform_cx("x"), &db, "Acme").await.unwrap().all().await.unwrap();
        assert_eq!(names, ["Acme/B", "Acme/a", "Acme/b"]);
        let add = async |tenant: &str, name: &str, clusters: &[&str]| add_namespace(&db, tenant, name, clusters).await;
        fails(add("no", "x/y", &[]).await, Kind::InvalidArgument, Reason::NamespaceNameInvalid, "Namespace name is not valid");
        fails(add("n o", "x", &[]).await, Kind::InvalidArgument, Reason::NamespaceNameInvalid, "Namespace name is not valid");
        for unknown in ["no", "acme"] {
            let outcome = add(unknown, "x", &["nowhere"]).await;
            fails(outcome, Kind::NotFound, Reason::TenantNotFound, "Tenant does not exist");
        }
        for cluster in ["standalone", "nowhere"] {
            let text = format!("Cluster [{cluster}] is not in the list of allowed clusters list for tenant [Acme]");
            fails(add("Acme", "x", &[cluster]).await, Kind::FailedPrecondition, Reason::ClusterNotAllowed, &text);
        }
        fails(add("Acme", "a", &[]).await, Kind::AlreadyExists, Reason::NamespaceExists, "Namespace already exists");
        let listed = async |tenant: &str| namespaces::list(&platform_cx("x"), &db, tenant).await;
        for unknown in ["no", "acme", "ACME"] {
            fails(listed(unknown).await, Kind::NotFound, Reason::TenantNotFound, "Tenant not found");
        }
        fails(listed("a b").await, Kind::InvalidArgument, Reason::TenantNameInvalid, "Tenant name is not valid");

        let delete = async |tenant: &str, name: &str, force_delete, force| {
            let settings = MessagingSettings { force_delete, ..OPEN };
            namespaces::delete(&platform_cx("namespace.delete"), &db, &settings, tenant, name, force).await
        };
        let text = "Broker doesn't allow forced deletion of namespaces";
        fails(delete("Acme", "a", false, true).await, Kind::FailedPrecondition, Reason::ForceDeleteForbidden, text);
        delete("Acme", "a", false, false).await.unwrap();
        delete("Acme", "b", true, true).await.unwrap();
        for (tenant, name) in [("Acme", "x y"), ("a b", "a")] {
            let outcome = delete(tenant, name, true, false).await;
            fails(outcome, Kind::InvalidArgument, Reason::NamespaceNameInvalid, "Namespace name is not valid");
        }
        for (tenant, name) in [("Acme", "a"), ("no", "a"), ("acme", "B"), ("Acme", "A")] {
            let text = format!("Namespace {tenant}/{name} does not exist.");
            fails(delete(tenant, name, true, false).await, Kind::NotFound, Reason::NamespaceNotFound, &text);
        }
    }

    async fn a_namespace_never_outlives_the_concurrent_deletion_of_its_tenant(db: TestDb) {
        for round in 0..10 {
            let tenant = format!("t{round}");
            create(&db, &tenant, &simple()).await.unwrap();
            let (store, named_tenant) = (db.store.clone(), tenant.clone());
            let deleting = tokio::spawn(async move {
                tenants::delete(&platform_cx("tenant.delete"), &store, &OPEN, &named_tenant, true).await
            });
            let adding = add_namespace(&db, &tenant, "ns", &[]).await;
            deleting.await.unwrap().expect("a forced deletion");
            if let Err(error) = adding {
                assert_eq!(error.to_string(), "Tenant does not exist");
            }
            let gone = namespaces::list(&platform_cx("x"), &db, &tenant).await;
            fails(gone, Kind::NotFound, Reason::TenantNotFound, "Tenant not found");
        }
    }

    async fn a_deleted_cluster_does_not_block_tenants_that_name_it(db: TestDb) {
        add_clusters(&db, &["west", "east", "gone"]).await;
        create(&db, "acme", &info(&["r"], &["gone", "west"])).await.unwrap();
        create(&db, "other", &info(&[], &["west"])).await.unwrap();
        add_namespace(&db, "acme", "n", &["gone", "west"]).await.unwrap();
        clusters::delete(&platform_cx("cluster.delete"), &db, "gone").await.unwrap();
        let update = async |tenant: &str, roles: &[&str], clusters: &[&str]| {
            let cx = platform_cx("tenant.update");
            tenants::update(&cx, &db, tenant, Some(&info(roles, clusters)), None).await
        };
        let (kind, text) = (Kind::FailedPrecondition, "Clusters do not exist");

        // What was read can be written back, also with other roles or with an existing cluster added.
        assert_eq!(get(&db, "acme").await, (list(&["r"]), list(&["gone", "west"])));
        update("acme", &["r", "s"], &["gone", "west"]).await.expect("an update with the same clusters");
        update("acme", &["s"], &["gone", "west", "east"]).await.expect("an update with another cluster");
        assert_eq!(get(&db, "acme").await, (list(&["s"]), list(&["gone", "west", "east"])));
        // Other tenants cannot get the name, nor can the tenant get it again.
        fails(update("other", &[], &["west", "gone"]).await, kind, Reason::ClustersUnknown, text);
        fails(update("nobody", &[], &["gone"]).await, kind, Reason::ClustersUnknown, text);
        fails(update("acme", &["s"], &["gone", "west", "nope"]).await, kind, Reason::ClustersUnknown, text);
        // Existing clusters are still protected by namespaces; the missing one can be removed.
        let kept = update("acme", &["s"], &["gone", "east"]).await.unwrap_err();
        assert_eq!((kept.kind, kept.reason), (kind, Reason::ClusterInUse));
        update("acme", &["s"], &["west"]).await.expect("an update without the deleted cluster");
        fails(update("acme", &["s"], &["gone", "west"]).await, kind, Reason::ClustersUnknown, text);
        tenants::delete(&platform_cx("tenant.delete"), &db, &OPEN, "acme", true).await.unwrap();
    }

    async fn clusters_of_the_platform(db: TestDb) {
        let (cx, sealer) = (platform_cx("cluster.create"), Sealer::new(db.store.clone(), None));
        let data = ClusterData {
            service_url: Some("http://a:8080".to_owned()),
            peer_cluster_names: list(&["b", "a", "b"]),
            ..ClusterData::default()
        };
        assert_eq!(clusters::list(&cx, &db).await.unwrap(), ["standalone"]);
        let text = "cluster data is required";
        fails(clusters::create(&cx, &db, &sealer, "a b", None).await, Kind::InvalidArgument, Reason::ClusterDataMissing, text);
        let text = "Cluster name is not valid";
        fails(clusters::create(&cx, &db, &sealer, "a b", Some(&data)).await, Kind::InvalidArgument, Reason::ClusterNameInvalid, text);
        clusters::create(&cx, &db, &sealer, "west", Some(&data)).await.unwrap();
        let text = "Cluster already exists";
        fails(clusters::create(&cx, &db, &sealer, "west", Some(&data)).await, Kind::AlreadyExists, Reason::ClusterExists, text);
        let expected = ClusterData { peer_cluster_names: list(&["b", "a"]), ..data.clone() };
        assert_eq!(clusters::get(&cx, &db, &sealer, "west").await.unwrap(), expected);
        let replaced = ClusterData { broker_service_url: Some("pulsar://a:6650".to_owned()), ..ClusterData::default() };
        clusters::update(&cx, &db, &sealer, "west", Some(&replaced)).await.unwrap();
        assert_eq!(clusters::get(&cx, &db, &sealer, "west").await.unwrap(), replaced);
        let zero = ClusterData { service_url: Some("a\0".to_owned()), ..ClusterData::default() };
        assert_eq!(clusters::update(&cx, &db, &sealer, "west", Some(&zero)).await.unwrap_err().kind, Kind::InvalidArgument);

        create(&db, "acme", &info(&[], &["west"])).await.unwrap();
        clusters::delete(&cx, &db, "west").await.unwrap();
        assert_eq!(get(&db, "acme").await.1, ["west"], "the name of a deleted cluster must be kept");
        let text = "Cluster does not exist";
        for name in ["west", "a b", "West\0"] {
            fails(clusters::get(&cx, &db, &sealer, name).await, Kind::NotFound, Reason::ClusterNotFound, text);
            fails(clusters::update(&cx, &db, &sealer, name, Some(&data)).await, Kind::NotFound, Reason::ClusterNotFound, text);
            fails(clusters::delete(&cx, &db, name).await, Kind::NotFound, Reason::ClusterNotFound, text);
        }
    }

    async fn a_caller_of_another_tenant_learns_nothing(db: TestDb) {
        let acme = create(&db, "acme", &simple()).await.unwrap();
        create(&db, "other", &simple()).await.unwrap();
        let own = cx("x", Access::Tenant(named("acme")));
        assert!(tenants::get(&own, &db, "acme").await.is_ok());
        assert!(tenants::get(&own, &db, &acme.dashed()).await.is_ok(), "a caller must be able to use another spelling of its own tenant");
        let nobody = TenantId::from_uuid(uuid::Uuid::from_u128(7)).dashed();
        for foreign in ["other", "missing", &nobody] {
            let text = "you do not have access to this tenant";
            fails(tenants::get(&own, &db, foreign).await, Kind::PermissionDenied, Reason::TenantForeign, text);
            fails(namespaces::list(&own, &db, foreign).await, Kind::PermissionDenied, Reason::TenantForeign, text);
            let adding = namespaces::create(&own, &db, foreign, "ns", &NamespacePolicies::default()).await;
            fails(adding, Kind::PermissionDenied, Reason::TenantForeign, text);
        }
        assert_eq!(tenants::list(&own, &db).await.unwrap_err().kind, Kind::PermissionDenied);
    }

    async fn the_first_start_can_create_a_tenant(db: TestDb) {
        let (one, two) = tokio::join!(
            async { bootstrap(&platform_cx("messaging.bootstrap"), &db).await },
            async { bootstrap(&platform_cx("messaging.bootstrap"), &db).await },
        );
        one.and(two).expect("concurrent bootstraps");
        bootstrap(&platform_cx("messaging.bootstrap"), &db).await.expect("a second bootstrap");
        assert_eq!(get(&db, "public").await, (list(&[]), list(&["standalone"])));
        let names = namespaces::list(&platform_cx("x"), &db, "public").await.unwrap().all().await.unwrap();
        assert_eq!(names, ["public/default"]);
    }
}

/// Only on PostgreSQL: SQLite has a single writer, whose reads are all of the same state.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_sees_a_cluster_created_while_it_waits() {
    let db = crate::db::postgres().await;
    add_clusters(&db, &["west"]).await;
    let id = create(&db, "acme", &info(&[], &["standalone", "west"])).await.unwrap();
    clusters::delete(&platform_cx("cluster.delete"), &db, "west").await.unwrap();
    // The tenant is locked; meanwhile the cluster is created again, with a namespace on it.
    let other = db.replica().await;
    let held = other.orm().begin().await.unwrap();
    held.execute_unprepared(&format!("SELECT 1 FROM tenants WHERE id = '{}' FOR UPDATE", id.uuid())).await.unwrap();
    let store = db.store.clone();
    let waiting = tokio::spawn(async move {
        tenants::update(&platform_cx("tenant.update"), &store, "acme", Some(&simple()), None).await
    });
    crate::db::eventually("the update to wait", || async {
        let waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        let waits = Statement::from_string(DbBackend::Postgres, waits);
        db.read().query_one_raw(waits).await.unwrap().is_some()
    })
    .await;
    for statement in [
        "INSERT INTO clusters (name, peer_cluster_names, settings, created_at, updated_at) VALUES ('west', '[]', '{}', 1, 1)".to_owned(),
        format!(
            "INSERT INTO namespaces (id, tenant_id, name, replication_clusters, policies, created_at) \
             VALUES ('{}', '{}', 'ns', '[\"west\"]', '{{}}', 1)",
            uuid::Uuid::now_v7(),
            id.uuid()
        ),
    ] {
        held.execute_unprepared(&statement).await.unwrap();
    }
    held.commit().await.unwrap();
    let refused = waiting.await.unwrap().expect_err("a namespace is on the cluster");
    assert_eq!(refused.reason, Reason::ClusterInUse, "{refused:?}");
}
