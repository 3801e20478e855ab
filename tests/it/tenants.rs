//! The tenant registry.

use std::{collections::BTreeMap, sync::Arc};

use futures::future::BoxFuture;
use sea_orm::ActiveValue::{Set, Unchanged};
use tenantry::{
    base::{
        Access, Caller, Cx, Error, Kind, PageRequest, Role, TenantId, TenantName, TenantRef, TenantScope,
        caller::{CallerFacts, CallerTenant},
        cx::CxFacts,
        error::Reason,
    },
    store::{Store, Tx, UpdateRow, tables},
    tenants::{self, Authority, NewTenant, Order, Status, Tenant, TenantChange},
};

use crate::db::{cx, platform_cx};

fn named(name: &str) -> TenantRef {
    TenantRef::parse(name)
}

async fn insert(store: &Store, name: &str) -> Tenant {
    let name: TenantName = name.parse().expect("a name");
    let cx = platform_cx("tenant.create");
    let inserted = crate::db::write(store, &cx, move |tx| {
        let name = name.clone();
        Box::pin(async move { tenants::insert(tx, &NewTenant::named(name), None).await })
    });
    inserted.await.expect("a tenant").0
}

async fn set_status(store: &Store, id: TenantId, status: Status) {
    crate::db::write(store, &platform_cx("x"), move |tx| {
        Box::pin(async move {
            let row = tables::tenants::ActiveModel { id: Unchanged(id), status: Set(status), ..Default::default() };
            row.update_row(tx.conn()).await?;
            Ok(())
        })
    })
    .await
    .expect("a status");
}

/// Runs a change of the tenant with this name, with a context.
async fn on_tenant<F>(store: &Store, cx: Cx, name: &str, change: F) -> Result<Tenant, Error>
where
    F: for<'t> Fn(&'t Tx, Tenant, TenantScope) -> BoxFuture<'t, Result<Tenant, Error>> + Send + Sync + 'static,
{
    let (name, change) = (named(name), Arc::new(change));
    crate::db::write(store, &cx, move |tx| {
        let (name, change) = (name.clone(), change.clone());
        Box::pin(async move {
            let (tenant, scope) = tenants::resolve_any_locked(tx, &name).await?;
            change(tx, tenant, scope).await
        })
    })
    .await
}

async fn suspend(store: &Store, cx: Cx, name: &str) -> Result<Tenant, Error> {
    on_tenant(store, cx, name, |tx, tenant, scope| Box::pin(async move { tenants::suspend(tx, &tenant, scope).await }))
        .await
}

async fn unsuspend(store: &Store, cx: Cx, name: &str) -> Result<Tenant, Error> {
    on_tenant(store, cx, name, |tx, tenant, scope| {
        Box::pin(async move { tenants::unsuspend(tx, &tenant, scope).await })
    })
    .await
}

async fn rename(store: &Store, name: &str, to: &str) -> Result<Tenant, Error> {
    let to: TenantName = to.parse().expect("a name");
    on_tenant(store, platform_cx("tenant.rename"), name, move |tx, tenant, scope| {
        let to = to.clone();
        Box::pin(async move { tenants::rename(tx, &tenant, scope, to).await })
    })
    .await
}

/// The context of a call by an administrator of the tenant.
fn own_cx(tenant: &Tenant) -> Cx {
    let platform = platform_cx("tenant.suspend");
    let own = CallerTenant { id: tenant.id, key: tenant.name.key(), suspended: false, named_since: None };
    let caller = Caller::new(CallerFacts {
        subject: format!("{}/ada", tenant.name),
        role: Role::Admin,
        tenant: Some(own),
        ..CallerFacts::default()
    });
    Cx::new(CxFacts { caller, access: Access::Tenant(TenantRef::Id(tenant.id)), ..CxFacts::clone(&platform) })
}

async fn update(store: &Store, name: &str, expected: Option<i64>, change: TenantChange) -> Result<Tenant, Error> {
    let name = named(name);
    crate::db::write(store, &platform_cx("tenant.update"), move |tx| {
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
        let listed = tenants::list(&platform_cx("x"), &db, Order::OldestFirst, &Status::PRESENT).await.unwrap();
        assert!(listed.first.is_empty() && listed.rest.is_none());
        assert_eq!(tenants::find(&db, &named("acme")).await.unwrap().unwrap().status, Status::Deprovisioning);
        let cx = platform_cx("tenant.create");
        let again = crate::db::write(&db, &cx, |tx| {
            Box::pin(async move { tenants::insert(tx, &NewTenant::named("ACME".parse().unwrap()), None).await })
        });
        assert_eq!(again.await.unwrap_err().reason, Reason::TenantExists);
    }

    async fn a_change_raises_the_version_and_a_stale_one_is_refused(db: TestDb) {
        insert(&db, "acme").await;
        let labels = BTreeMap::from([("tier".to_owned(), "gold".to_owned())]);
        let change = TenantChange { display_name: Some("Acme Inc".to_owned()), labels: Some(labels.clone()), ..TenantChange::default() };
        let changed = update(&db, "acme", Some(1), change).await.unwrap();
        assert_eq!((changed.version, changed.display_name.as_str(), &changed.labels), (2, "Acme Inc", &labels));
        let error = update(&db, "acme", Some(1), TenantChange::default()).await.unwrap_err();
        assert_eq!((error.kind, error.reason), (Kind::Aborted, Reason::VersionStale));
        let touched = update(&db, "acme", None, TenantChange::default()).await.unwrap();
        assert_eq!((touched.version, touched.display_name.as_str()), (3, "Acme Inc"));
        assert_eq!(tenants::find(&db, &named("acme")).await.unwrap(), Some(touched));
    }

    async fn resolving_requires_access(db: TestDb) {
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

    async fn who_may_lift_a_suspension_depends_on_who_set_it(db: TestDb) {
        let tenant = insert(&db, "acme").await;
        let own = || own_cx(&tenant);
        let suspended = suspend(&db, own(), "acme").await.unwrap();
        let by = suspended.suspended_by.clone().unwrap();
        assert_eq!((suspended.status, by.authority, by.subject.as_str()), (Status::Suspended, Authority::Tenant, "acme/ada"));
        assert_eq!(suspend(&db, own(), "acme").await.unwrap(), suspended, "a repeated call must change nothing");
        assert_eq!(unsuspend(&db, own(), "acme").await.unwrap().status, Status::Active);

        // The platform can take over a suspension by the tenant, but not the reverse.
        suspend(&db, own(), "acme").await.unwrap();
        let taken = suspend(&db, platform_cx("x"), "acme").await.unwrap();
        assert_eq!(taken.suspended_by.clone().unwrap().authority, Authority::Platform);
        assert_eq!(suspend(&db, own(), "acme").await.unwrap(), taken);
        let refused = unsuspend(&db, own(), "acme").await.unwrap_err();
        assert_eq!((refused.kind, refused.reason), (Kind::PermissionDenied, Reason::SuspensionForeign));
        let lifted = unsuspend(&db, platform_cx("x"), "acme").await.unwrap();
        assert_eq!((lifted.status, lifted.suspended_by), (Status::Active, None));
    }

    async fn a_renamed_tenant_is_found_only_by_its_new_name(db: TestDb) {
        let tenant = insert(&db, "acme").await;
        insert(&db, "taken").await;
        assert_eq!(rename(&db, "acme", "TAKEN").await.unwrap_err().reason, Reason::TenantExists);
        let renamed = rename(&db, "acme", "acme-inc").await.unwrap();
        assert_eq!((renamed.id, renamed.name.as_str(), renamed.version), (tenant.id, "acme-inc", 2));
        assert_eq!(tenants::find(&db, &named("acme")).await.unwrap(), None);
        assert_eq!(rename(&db, "acme-inc", "acme-inc").await.unwrap(), renamed, "the same name changes nothing");
        assert_eq!(rename(&db, "acme-inc", "Acme-Inc").await.unwrap().name.as_str(), "Acme-Inc");
        // Tokens signed earlier for either name are not valid for this tenant.
        for name in ["acme", "acme-inc"] {
            assert!(tenants::released_at(&db, name).await.unwrap().is_some(), "{name}");
        }
    }

    async fn a_deleted_tenant_can_be_restored_during_its_grace_period(db: TestDb) {
        insert(&db, "acme").await;
        let delete = || {
            on_tenant(&db, platform_cx("tenant.delete"), "acme", |tx, tenant, scope| {
                Box::pin(async move { tenants::deprovision(tx, &tenant, scope, time::Duration::ZERO).await })
            })
        };
        let deleted = delete().await.unwrap();
        assert_eq!((deleted.status, deleted.purge_at.is_some()), (Status::Deprovisioning, true));
        assert_eq!(delete().await.unwrap(), deleted, "a repeated call must change nothing");
        let restored = on_tenant(&db, platform_cx("tenant.restore"), "acme", |tx, tenant, scope| {
            Box::pin(async move { tenants::restore(tx, &tenant, scope).await })
        });
        assert_eq!(restored.await.unwrap().status, Status::Active);
        assert_eq!(tenants::purge_due(&db).await.unwrap(), 0, "a restored tenant must not be purged");
        delete().await.unwrap();
        assert_eq!(tenants::purge_due(&db).await.unwrap(), 1);
        assert_eq!(tenants::purge_due(&db).await.unwrap(), 0);
        assert_eq!(tenants::find(&db, &named("acme")).await.unwrap(), None);
        insert(&db, "acme").await;
    }

    async fn tenants_are_listed_page_by_page(db: TestDb) {
        for name in ["a", "b", "c", "d", "e"] {
            insert(&db, name).await;
        }
        let (mut names, mut cursor) = (Vec::new(), None);
        loop {
            let request = PageRequest::read(Some(2), cursor.as_deref()).unwrap();
            let page = tenants::page(&platform_cx("x"), &db, &Status::ALL, request).await.unwrap();
            assert_eq!(page.total, 5);
            names.extend(page.items.into_iter().map(|tenant| tenant.name.as_str().to_owned()));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(names, ["a", "b", "c", "d", "e"]);
    }
}
