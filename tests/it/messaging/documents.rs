//! Clusters and namespaces are stored completely, and returned to callers that may see them (contract 4, section 13).

use std::collections::BTreeMap;

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, sea_query::Expr};
use tenantry::{
    base::{Access, Error, Kind, Secret, TenantRef, error::Reason},
    messaging::{
        MessagingSettings,
        clusters::{self, ClusterData},
        namespaces,
        policies::NamespacePolicies,
        reseal,
        rules::InfoInput,
        tenants,
    },
    proto::messaging::v2::{BundlesData, ClusterUrl, RetentionPolicies},
    store::{self, Exec, Kek, Keyring, Sealer, Store, tables::clusters as rows},
};

use crate::db::{cx, platform_cx};

fn ring() -> Keyring {
    Kek::from_base64(&Secret::new("A".repeat(43))).expect("a key").into()
}

fn sealer(store: &Store) -> Sealer {
    Sealer::new(store.clone(), Some(ring()))
}

/// Every member of a cluster, none with its default value.
fn whole() -> ClusterData {
    let text = |text: &str| Some(text.to_owned());
    ClusterData {
        service_url: text("http://a:8080"),
        service_url_tls: text("https://a:8443"),
        broker_service_url: text("pulsar://a:6650"),
        broker_service_url_tls: text("pulsar+ssl://a:6651"),
        proxy_service_url: text("pulsar+ssl://p:6651"),
        peer_cluster_names: vec!["b".to_owned(), "a".to_owned()],
        authentication_plugin: text("plugin"),
        authentication_parameters: text("s3cret-1"),
        proxy_protocol: text("SNI"),
        broker_client_tls_enabled: true,
        tls_allow_insecure_connection: true,
        broker_client_tls_enabled_with_key_store: true,
        broker_client_tls_trust_store_type: text("PKCS12"),
        broker_client_tls_trust_store: text("/trust"),
        broker_client_tls_trust_store_password: text("s3cret-2"),
        broker_client_tls_key_store_type: text("PKCS12"),
        broker_client_tls_key_store: text("/key"),
        broker_client_tls_key_store_password: text("s3cret-3"),
        broker_client_trust_certs_file_path: text("/ca"),
        broker_client_certificate_file_path: text("/crt"),
        broker_client_key_file_path: text("/pem"),
        broker_client_ssl_factory_plugin: text("factory"),
        broker_client_ssl_factory_plugin_params: text("s3cret-4"),
        listener_name: text("internal"),
        migrated: Some(true),
        migrated_cluster_url: Some(ClusterUrl {
            service_url: text("http://b:8080"),
            service_url_tls: text("https://b:8443"),
            broker_service_url: text("pulsar://b:6650"),
            broker_service_url_tls: text("pulsar+ssl://b:6651"),
        }),
    }
}

fn masked(data: &ClusterData) -> ClusterData {
    let mask = Some("***".to_owned());
    ClusterData {
        authentication_parameters: mask.clone(),
        broker_client_tls_trust_store_password: mask.clone(),
        broker_client_tls_key_store_password: mask.clone(),
        broker_client_ssl_factory_plugin_params: mask,
        ..data.clone()
    }
}

async fn tenant(store: &Store, name: &str, allowed: &[&str]) {
    let allowed = allowed.iter().map(|cluster| (*cluster).to_owned()).collect();
    let info = InfoInput { admin_roles: None, allowed_clusters: Some(allowed) };
    let made =
        tenants::create(&platform_cx("tenant.create"), store, &MessagingSettings::default(), name, Some(&info)).await;
    made.expect("a tenant");
}

async fn cluster(store: &Store, name: &str) {
    let data = ClusterData::default();
    clusters::create(&platform_cx("cluster.create"), store, &sealer(store), name, Some(&data))
        .await
        .expect("a cluster");
}

async fn delete(store: &Store, name: &str, force: bool) -> Result<(), Error> {
    let settings = MessagingSettings::default();
    namespaces::delete(&platform_cx("namespace.delete"), store, &settings, "acme", name, force).await
}

both_databases! {
    async fn every_member_of_a_cluster_is_stored(db: TestDb) {
        let (cx, sealer) = (platform_cx("cluster.create"), sealer(&db));
        clusters::create(&cx, &db, &sealer, "a", Some(&whole())).await.unwrap();
        assert_eq!(clusters::get(&cx, &db, &sealer, "a").await.unwrap(), whole());
        // Members left out of an update are cleared; an empty secret is returned as it is, and needs no key.
        let bare = Sealer::new(db.store.clone(), None);
        let less = ClusterData { authentication_parameters: Some(String::new()), ..ClusterData::default() };
        clusters::update(&cx, &db, &bare, "a", Some(&less)).await.unwrap();
        assert_eq!(clusters::get(&cx, &db, &bare, "a").await.unwrap(), less);
        clusters::update(&cx, &db, &sealer, "a", Some(&whole())).await.unwrap();
        assert_eq!(clusters::get(&cx, &db, &sealer, "a").await.unwrap(), whole());
        clusters::create(&cx, &db, &sealer, "b", Some(&ClusterData::default())).await.unwrap();
        assert_eq!(clusters::get(&cx, &db, &sealer, "b").await.unwrap(), ClusterData::default());
    }

    async fn secrets_of_a_cluster_are_sealed_and_returned_only_to_the_platform(db: TestDb) {
        let (platform, sealer) = (platform_cx("cluster.create"), sealer(&db));
        clusters::create(&platform, &db, &sealer, "a", Some(&whole())).await.unwrap();
        for access in [Access::None, Access::Tenant(TenantRef::parse("acme"))] {
            let seen = clusters::get(&cx("x", access), &db, &sealer, "a").await.unwrap();
            assert_eq!(seen, masked(&whole()));
        }
        let row = rows::Entity::find_by_id("a").one(db.read()).await.unwrap().unwrap();
        assert!(!format!("{row:?}").contains("s3cret"), "{row:?}");
        // Without the key nothing is stored in clear text, and nothing changes.
        let bare = Sealer::new(db.store.clone(), None);
        for refused in [
            clusters::create(&platform, &db, &bare, "b", Some(&whole())).await.unwrap_err(),
            clusters::update(&platform, &db, &bare, "a", Some(&whole())).await.unwrap_err(),
            clusters::get(&platform, &db, &bare, "a").await.unwrap_err(),
        ] {
            assert_eq!(refused.reason, Reason::KekMissing, "{refused}");
        }
        assert_eq!(clusters::list(&platform, &db).await.unwrap(), ["a", "standalone"]);
        assert_eq!(rows::Entity::find_by_id("a").one(db.read()).await.unwrap().unwrap(), row);
        // A sealed secret is valid only for its own cluster.
        let moved = crate::db::write(&db, &platform, |tx| {
            let named_c = rows::Entity::update_many().col_expr(rows::Column::Name, Expr::value("c"));
            Box::pin(async move { Ok(named_c.filter(rows::Column::Name.eq("a")).run(tx.conn()).await?) })
        });
        assert_eq!(moved.await.unwrap(), 1);
        assert_eq!(clusters::get(&platform, &db, &sealer, "c").await.unwrap_err().kind, Kind::Internal);
    }

    async fn secrets_of_clusters_are_resealed_under_later_keys(db: TestDb) {
        let cx = platform_cx("cluster.create");
        for name in ["a", "b"] {
            clusters::create(&cx, &db, &sealer(&db), name, Some(&whole())).await.unwrap();
        }
        cluster(&db, "without").await;
        let sealed = async || {
            let rows = rows::Entity::find().order_by_asc(rows::Column::Name).all(db.read()).await.unwrap();
            rows.into_iter().map(|row| row.sealed).collect::<Vec<_>>()
        };
        let (before, used) = (sealed().await, reseal::keys_in_use(&db).await.unwrap());
        assert_eq!(used.len(), 1, "one platform key must be in use: {used:?}");
        let run = store::sealing::reseal::begin(&db, &ring()).await.unwrap().expect("sealed values");
        store::sealing::reseal::renew(&db, &ring(), run, |_| ()).await.unwrap();
        // A server that started after the later key was created.
        let later = sealer(&db);
        let done = reseal::reseal(&db, &later, |_| ()).await.unwrap();
        assert_eq!((done.resealed, done.left), (2, 0));
        assert!(reseal::keys_in_use(&db).await.unwrap().is_disjoint(&used), "the earlier key must not be in use");
        let after = sealed().await;
        assert!(before.iter().zip(&after).all(|(before, after)| before.is_none() || before != after));
        for name in ["a", "b"] {
            assert_eq!(clusters::get(&cx, &db, &later, name).await.unwrap(), whole());
        }
        assert_eq!(reseal::reseal(&db, &later, |_| ()).await.unwrap().resealed, 0, "a second run must not reseal anything");
    }

    async fn policies_of_a_namespace_are_stored(db: TestDb) {
        tenant(&db, "acme", &["standalone"]).await;
        let policies = NamespacePolicies {
            message_ttl_in_seconds: Some(60),
            retention_policies: Some(RetentionPolicies { retention_time_in_minutes: 10, retention_size_in_mb: 20 }),
            bundles: Some(BundlesData { boundaries: Vec::new(), num_bundles: 2 }),
            properties: BTreeMap::from([("owner".to_owned(), "a\0b".to_owned())]),
            encryption_required: true,
            ..NamespacePolicies::default()
        };
        let cx = platform_cx("namespace.create");
        namespaces::create(&cx, &db, "acme", "ns", &policies).await.unwrap();
        let kept = namespaces::get(&cx, &db, "acme", "ns").await.unwrap();
        let boundaries = ["0x00000000", "0x80000000", "0xffffffff"].map(str::to_owned).to_vec();
        let expected = NamespacePolicies {
            bundles: Some(BundlesData { boundaries, num_bundles: 2 }),
            replication_clusters: vec!["standalone".to_owned()],
            auth_policies: Some(Default::default()),
            subscription_auth_mode: Some("None".to_owned()),
            schema_compatibility_strategy: Some("UNDEFINED".to_owned()),
            is_allow_auto_update_schema: Some(true),
            offload_threshold: Some(-1),
            offload_threshold_in_seconds: Some(-1),
            ..policies
        };
        assert_eq!(kept, expected);
        // What is returned can be submitted again.
        namespaces::create(&cx, &db, "acme", "copy", &kept).await.unwrap();
        assert_eq!(namespaces::get(&cx, &db, "acme", "copy").await.unwrap(), kept);
        for (tenant, name) in [("acme", "NS"), ("ACME", "ns"), ("none", "ns")] {
            let error = namespaces::get(&cx, &db, tenant, name).await.unwrap_err();
            assert_eq!((error.kind, error.to_string().as_str()), (Kind::NotFound, "Namespace does not exist"));
        }
    }

    async fn overlong_documents_are_refused(db: TestDb) {
        tenant(&db, "acme", &["standalone"]).await;
        let long = || BTreeMap::from([("owner".to_owned(), "x".repeat(64 * 1024))]);
        let policies = NamespacePolicies { properties: long(), ..NamespacePolicies::default() };
        let refused = namespaces::create(&platform_cx("namespace.create"), &db, "acme", "ns", &policies).await;
        assert_eq!(refused.unwrap_err().kind, Kind::InvalidArgument);
        let data = ClusterData { listener_name: Some("x".repeat(64 * 1024)), ..ClusterData::default() };
        let refused = clusters::create(&platform_cx("cluster.create"), &db, &sealer(&db), "a", Some(&data)).await;
        assert_eq!(refused.unwrap_err().kind, Kind::InvalidArgument);
        assert!(namespaces::list(&platform_cx("x"), &db, "acme").await.unwrap().first.is_empty());
    }

    async fn a_namespace_on_two_clusters_is_deleted_only_by_force(db: TestDb) {
        cluster(&db, "two").await;
        tenant(&db, "acme", &["standalone", "two"]).await;
        let on = |clusters: &[&str]| NamespacePolicies {
            replication_clusters: clusters.iter().map(|cluster| (*cluster).to_owned()).collect(),
            ..NamespacePolicies::default()
        };
        let cx = platform_cx("namespace.create");
        for (name, clusters) in [("one", &["two", "two"][..]), ("both", &["standalone", "two"])] {
            namespaces::create(&cx, &db, "acme", name, &on(clusters)).await.unwrap();
        }
        delete(&db, "one", false).await.unwrap();
        let refused = delete(&db, "both", false).await.unwrap_err();
        let text = "Cannot delete the global namespace acme/both. There are still more than one replication clusters \
                    configured or replication clusters is empty.";
        assert_eq!((refused.reason, refused.to_string().as_str()), (Reason::NamespaceReplicated, text));
        delete(&db, "both", true).await.unwrap();
        namespaces::create(&cx, &db, "acme", "both", &on(&["standalone", "two"])).await.unwrap();
        let settings = MessagingSettings::default();
        tenants::delete(&platform_cx("tenant.delete"), &db, &settings, "acme", true).await.unwrap();
    }

    async fn names_are_accepted_and_found_as_on_the_messaging_platform(db: TestDb) {
        let long = "x".repeat(255);
        for name in ["-a", ".a", "=a", ":a", &long] {
            cluster(&db, name).await;
            tenant(&db, name, &[name]).await;
            let cx = platform_cx("namespace.create");
            namespaces::create(&cx, &db, name, name, &NamespacePolicies::default()).await.unwrap();
            assert_eq!(namespaces::list(&cx, &db, name).await.unwrap().all().await.unwrap(), [format!("{name}/{name}")]);
            let held = namespaces::get(&cx, &db, name, name).await.unwrap().replication_clusters;
            assert_eq!(held, [name], "the default must be the first allowed cluster");
        }
        let settings = MessagingSettings::default();
        for name in [".", "..", &"x".repeat(256)] {
            let created = tenants::create(&platform_cx("tenant.create"), &db, &settings, name, None).await;
            assert_eq!(created.unwrap_err().reason, Reason::TenantNameInvalid, "{name}");
            let policies = NamespacePolicies::default();
            let created = namespaces::create(&platform_cx("namespace.create"), &db, "-a", name, &policies).await;
            assert_eq!(created.unwrap_err().reason, Reason::NamespaceNameInvalid, "{name}");
            let data = ClusterData::default();
            let cx = platform_cx("cluster.create");
            let created = clusters::create(&cx, &db, &sealer(&db), name, Some(&data)).await;
            assert_eq!(created.unwrap_err().reason, Reason::ClusterNameInvalid, "{name}");
        }
    }
}
