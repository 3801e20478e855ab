//! The rules of the manager's tenants that involve SQL, on both databases.

use futures::future::join_all;
use sea_orm::{EntityTrait, QueryOrder};
use tenantry::{
    base::{Access, Kind, TenantRef, error::Reason},
    manager::tenants,
    store::tables::audit_events,
};

use crate::db::{TestDb, cx, platform_cx};

fn named(name: &str) -> TenantRef {
    TenantRef::parse(name)
}

async fn create(db: &TestDb, name: &str) -> tenantry::base::Result<tenantry::tenants::Tenant> {
    tenants::create(&platform_cx("tenant.create"), db, None, name).await
}

async fn rename(db: &TestDb, tenant: &str, name: &str) -> tenantry::base::Result<()> {
    tenants::update(&platform_cx("tenant.update"), db, tenant, Some(name)).await
}

both_databases! {
    async fn one_of_concurrent_creates_of_a_name_wins(db: TestDb) {
        let made = join_all((0..32).map(|n| {
            let (db, name) = (&db, if n % 2 == 0 { "acme" } else { "ACME" });
            async move { create(db, name).await }
        }))
        .await;
        assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1);
        assert!(made.iter().flat_map(|made| made.as_ref().err()).all(|error| error.reason == Reason::TenantExists));
    }

    async fn the_newest_tenant_is_listed_first(db: TestDb) {
        for name in ["a", "c", "b"] {
            create(&db, name).await.unwrap();
        }
        let listed = tenants::list(&platform_cx("x"), &db).await.unwrap().all().await.unwrap();
        let names: Vec<_> = listed.iter().map(|tenant| tenant.name.as_str()).collect();
        assert_eq!(names, ["b", "c", "a"]);
        let refused = tenants::list(&cx("x", Access::Tenant(named("a"))), &db).await.unwrap_err();
        assert_eq!(refused.kind, Kind::PermissionDenied);
    }

    async fn every_reference_finds_a_tenant_by_its_new_name(db: TestDb) {
        let made = create(&db, "acme").await.unwrap();
        create(&db, "taken").await.unwrap();
        assert_eq!(rename(&db, "acme", "Taken").await.unwrap_err().reason, Reason::TenantExists);
        assert_eq!(rename(&db, "missing", "x").await.unwrap_err().reason, Reason::TenantNotFound);
        for bad in ["", "a b", " acme", &"x".repeat(101)] {
            assert_eq!(rename(&db, "acme", bad).await.unwrap_err().reason, Reason::TenantNameInvalid, "{bad}");
        }
        rename(&db, &made.id.manager(), "acme-inc").await.unwrap();
        let cx = platform_cx("x");
        let found = tenants::get(&cx, &db, &named("ACME-INC")).await.unwrap();
        assert_eq!((found.id, found.display_name.as_str()), (made.id, "acme-inc"), "a display name equal to the handle must be renamed with it");
        assert_eq!(tenants::get(&cx, &db, &named("acme")).await.unwrap_err().reason, Reason::TenantNotFound);
        create(&db, "acme").await.unwrap();
    }

    async fn fields_left_out_are_unchanged(db: TestDb) {
        let made = create(&db, "acme").await.unwrap();
        tenants::update(&platform_cx("tenant.update"), &db, "acme", None).await.unwrap();
        assert_eq!(tenants::get(&platform_cx("x"), &db, &named("acme")).await.unwrap(), made);
    }

    async fn every_change_is_in_the_audit_log(db: TestDb) {
        let id = create(&db, "acme").await.unwrap().id;
        rename(&db, "acme", "beta").await.unwrap();
        tenants::delete(&platform_cx("tenant.delete"), &db, &named("beta")).await.unwrap();
        let events = audit_events::Entity::find().order_by_asc(audit_events::Column::Id).all(db.read()).await.unwrap();
        let told: Vec<_> = events.iter().map(|event| (event.action.as_str(), event.target.as_str())).collect();
        assert_eq!(told, [("tenant.create", "acme"), ("tenant.update", "beta"), ("tenant.delete", "beta")]);
        assert!(events.iter().all(|event| event.tenant_id == Some(id)));
        assert!(events[1].details.contains(r#""before":"acme""#), "{}", events[1].details);
    }
}
