//! The registry.

use std::collections::BTreeMap;

use sea_orm::{
    ActiveModelTrait,
    ActiveValue::{Set, Unchanged},
};
use tenantry::{
    base::{Access, Error, Kind, TenantId, TenantName, TenantRef, error::Reason},
    store::{Store, entities},
    tenants::{self, Change, NewTenant, Status, Tenant},
};

use crate::db::{cx, platform_cx};

fn named(name: &str) -> TenantRef {
    TenantRef::parse(name)
}

async fn insert(store: &Store, name: &str) -> Tenant {
    let name: TenantName = name.parse().expect("a name");
    let cx = platform_cx("tenant.create");
    let inserted = store.write(&cx, "test", move |tx| {
        let name = name.clone();
        Box::pin(async move { tenants::insert(tx, &NewTenant::named(name), None).await })
    });
    inserted.await.expect("a tenant").0
}

async fn set_status(store: &Store, id: TenantId, status: Status) {
    store
        .write(&platform_cx("x"), "test", move |tx| {
            Box::pin(async move {
                let row = entities::tenants::ActiveModel {
                    id: Unchanged(id.uuid()),
                    status: Set(status.as_str().to_owned()),
                    ..Default::default()
                };
                row.update(tx.conn()).await?;
                Ok(())
            })
        })
        .await
        .expect("a status");
}

async fn update(store: &Store, name: &str, expected: Option<i64>, change: Change) -> Result<Tenant, Error> {
    let name = named(name);
    store
        .write(&platform_cx("tenant.update"), "test", move |tx| {
            let (name, change) = (name.clone(), change.clone());
            Box::pin(async move {
                let (_, scope) = tenants::resolve_locked(tx, &name).await?;
                tenants::update(tx, scope, expected, &change).await
            })
        })
        .await
}

both_databases! {
    async fn a_tenant_is_found_by_id_and_by_name_in_any_case(db: TestDb) {
        let tenant = insert(&db, "Acme").await;
        assert_eq!((tenant.name.as_str(), tenant.status, tenant.version), ("Acme", Status::Active, 1));
        for reference in [named("acme"), named("ACME"), TenantRef::Id(tenant.id)] {
            assert_eq!(tenants::find(&db, &reference).await.unwrap().as_ref(), Some(&tenant));
        }
        for reference in [named("other"), named(""), named("a b"), named("a\0b")] {
            assert_eq!(tenants::find(&db, &reference).await.unwrap(), None);
        }
    }

    async fn a_tenant_that_is_being_deleted_is_missing_but_keeps_its_name(db: TestDb) {
        let tenant = insert(&db, "acme").await;
        set_status(&db, tenant.id, Status::Deprovisioning).await;
        let resolved = tenants::resolve(&platform_cx("x"), &db, &named("acme")).await;
        assert_eq!(resolved.unwrap_err().reason, Reason::TenantNotFound);
        assert!(tenants::list(&platform_cx("x"), &db).await.unwrap().is_empty());
        assert_eq!(tenants::find(&db, &named("acme")).await.unwrap().unwrap().status, Status::Deprovisioning);
        let cx = platform_cx("tenant.create");
        let again = db.write(&cx, "test", |tx| {
            Box::pin(async move { tenants::insert(tx, &NewTenant::named("ACME".parse().unwrap()), None).await })
        });
        assert_eq!(again.await.unwrap_err().reason, Reason::TenantExists);
    }

    async fn a_change_raises_the_version_and_a_stale_one_is_refused(db: TestDb) {
        insert(&db, "acme").await;
        let labels = BTreeMap::from([("tier".to_owned(), "gold".to_owned())]);
        let change = Change { display_name: Some("Acme Inc".to_owned()), labels: Some(labels.clone()) };
        let changed = update(&db, "acme", Some(1), change).await.unwrap();
        assert_eq!((changed.version, changed.display_name.as_str(), &changed.labels), (2, "Acme Inc", &labels));
        let error = update(&db, "acme", Some(1), Change::default()).await.unwrap_err();
        assert_eq!((error.kind, error.reason), (Kind::Aborted, Reason::VersionStale));
        let touched = update(&db, "acme", None, Change::default()).await.unwrap();
        assert_eq!((touched.version, touched.display_name.as_str()), (3, "Acme Inc"));
        assert_eq!(tenants::find(&db, &named("acme")).await.unwrap(), Some(touched));
    }

    async fn resolving_needs_an_access(db: TestDb) {
        let tenant = insert(&db, "acme").await;
        for access in [Access::Platform, Access::Tenant(named("acme")), Access::Tenant(TenantRef::Id(tenant.id))] {
            let (found, scope) = tenants::resolve(&cx("x", access), &db, &named("Acme")).await.unwrap();
            assert_eq!((found.id, scope.tenant()), (tenant.id, tenant.id));
        }
        for access in [Access::None, Access::Tenant(named("other"))] {
            let error = tenants::resolve(&cx("x", access), &db, &named("acme")).await.unwrap_err();
            assert_eq!(error.reason, Reason::TenantForeign);
        }
        let error = tenants::resolve(&cx("x", Access::Tenant(named("gone"))), &db, &named("gone")).await.unwrap_err();
        assert_eq!(error.reason, Reason::TenantNotFound);
    }
}
