//! The calls that start provisioning: what they check and record, on both databases.

use sea_orm::{EntityTrait, PaginatorTrait};
use tenantry::{
    base::{Kind, TenantRef, error::Reason},
    controlplane::{
        placement::{self, PlacementInput},
        provisioning::{self, AutoPlacement, Provisioning, ServerAddress, Site},
        tenants::{self as surface, Removal},
    },
    operations::State,
    store::{Fetch, Store, tables::operations as rows},
    tenants,
};

use crate::db::platform_cx;

/// A site whose servers are not called.
pub fn site() -> Site {
    let server = ServerAddress { host: Some("pg.example.com".to_owned()), port: 5432 };
    Site { server: Some(server), openbao: true }
}

pub async fn create(store: &Store, slug: &str) -> TenantRef {
    let made = surface::create(&platform_cx("tenant.create"), store, None, slug, slug).await.unwrap();
    TenantRef::Id(made.id)
}

pub async fn delete(store: &Store, tenant: &TenantRef, slug: &str) {
    let removal = Removal { confirm: slug.to_owned(), drop_database: false };
    surface::delete(&platform_cx("tenant.delete"), store, tenant, removal).await.unwrap();
}

/// The error of a deletion that is asked to drop the database.
async fn drop_error(store: &Store, tenant: &TenantRef, slug: &str) -> String {
    let removal = Removal { confirm: slug.to_owned(), drop_database: true };
    let removed = surface::delete(&platform_cx("tenant.delete"), store, tenant, removal).await.unwrap();
    assert!(removed.registry_removed && !removed.database_dropped);
    removed.errors.concat()
}

pub async fn place(store: &Store, tenant: &TenantRef, input: PlacementInput) {
    placement::replace(&platform_cx("placement.replace"), store, tenant, input).await.unwrap();
}

pub async fn provision(store: &Store, tenant: &TenantRef) -> tenantry::base::Result<Provisioning> {
    provisioning::provision(&platform_cx("tenant.provision"), store, &site(), tenant).await
}

pub async fn auto(store: &Store, tenant: &TenantRef, input: AutoPlacement) -> tenantry::base::Result<Provisioning> {
    provisioning::auto_provision(&platform_cx("tenant.provision"), store, &site(), tenant, input).await
}

fn dbname(name: &str) -> PlacementInput {
    PlacementInput { dbname: Some(name.to_owned()), ..PlacementInput::default() }
}

both_databases! {
    async fn a_tenant_without_a_placement_is_not_provisioned(db: TestDb) {
        let acme = create(&db, "acme").await;
        let error = provision(&db, &acme).await.unwrap_err();
        assert_eq!((error.kind, error.reason), (Kind::FailedPrecondition, Reason::PlacementMissing));
        assert_eq!(error.to_string(), "Tenant has no placement; set one before provisioning.");
        for start in [provision(&db, &TenantRef::parse("none")).await, auto(&db, &TenantRef::parse("none"), AutoPlacement::default()).await] {
            assert_eq!(start.unwrap_err().reason, Reason::TenantNotFound);
        }
        assert_eq!(rows::Entity::find().count(db.read()).await.unwrap(), 0);
    }

    async fn without_a_server_nothing_is_started_or_recorded(db: TestDb) {
        let acme = create(&db, "acme").await;
        place(&db, &acme, PlacementInput::default()).await;
        let site = Site { server: None, openbao: true };
        let cx = platform_cx("tenant.provision");
        for error in [
            provisioning::provision(&cx, &db, &site, &acme).await.unwrap_err(),
            provisioning::auto_provision(&cx, &db, &site, &acme, AutoPlacement::default()).await.unwrap_err(),
        ] {
            assert_eq!((error.kind, error.reason), (Kind::FailedPrecondition, Reason::ProvisionerMissing));
        }
        let missing = provisioning::provision(&cx, &db, &site, &TenantRef::parse("none")).await.unwrap_err();
        assert_eq!(missing.reason, Reason::TenantNotFound);
        assert_eq!(rows::Entity::find().count(db.read()).await.unwrap(), 0);
    }

    async fn without_openbao_no_role_is_recorded(db: TestDb) {
        let acme = create(&db, "acme").await;
        let plain = Site { openbao: false, ..site() };
        let cx = platform_cx("tenant.provision");
        let started = provisioning::auto_provision(&cx, &db, &plain, &acme, AutoPlacement::default()).await.unwrap();
        assert_eq!((started.openbao_role, started.placement.openbao_role), (None, None));
        // Once OpenBAO is configured, it is.
        let started = auto(&db, &acme, AutoPlacement::default()).await.unwrap();
        assert_eq!(started.placement.openbao_role.as_deref(), Some("acme-role"));
    }

    async fn a_placement_on_another_server_is_refused(db: TestDb) {
        let acme = create(&db, "acme").await;
        for (host, port) in [(Some("other.example.com"), None), (Some("pg.example.com,pg-2"), None), (None, Some(5433))] {
            let host = host.map(str::to_owned);
            place(&db, &acme, PlacementInput { host: host.clone(), port, ..PlacementInput::default() }).await;
            let error = provision(&db, &acme).await.unwrap_err();
            assert_eq!((error.kind, error.reason), (Kind::FailedPrecondition, Reason::PlacementConflict));
            assert_eq!(error.to_string(), "The placement names a server that this provisioner does not manage.");
            let error = auto(&db, &acme, AutoPlacement { host, port, ..AutoPlacement::default() }).await.unwrap_err();
            assert_eq!(error.reason, Reason::PlacementConflict);
        }
        place(&db, &acme, PlacementInput { host: Some("PG.Example.com".to_owned()), port: Some(5432), ..PlacementInput::default() }).await;
        provision(&db, &acme).await.unwrap();
    }

    async fn a_call_records_the_placement_with_its_names_and_one_operation(db: TestDb) {
        let acme = create(&db, "acme").await;
        let input = AutoPlacement { region: Some("eu".to_owned()), ..AutoPlacement::default() };
        let started = auto(&db, &acme, input.clone()).await.unwrap();
        let (_, placement) = placement::get(&platform_cx("x"), &db, &acme).await.unwrap();
        assert_eq!((&placement, &placement.openbao_role), (&started.placement, &started.openbao_role));
        assert_eq!((placement.dbname.as_deref(), placement.openbao_role.as_deref()), (Some("tenant_acme"), Some("acme-role")));
        assert_eq!((placement.host.as_deref(), placement.port, placement.region.as_deref()), (Some("pg.example.com"), Some(5432), Some("eu")));
        // Further calls share the operation, and the names stay.
        assert_eq!(provision(&db, &acme).await.unwrap(), started);
        assert_eq!(auto(&db, &acme, input).await.unwrap(), started);
        let operation = tenantry::operations::get(&platform_cx("x"), &db, started.operation).await.unwrap();
        assert_eq!((operation.kind.as_str(), operation.state, operation.cancellable), ("tenant.provision", State::Pending, false));
        assert_eq!(rows::Entity::find().count(db.read()).await.unwrap(), 1);
        for input in [AutoPlacement { port: Some(0), ..AutoPlacement::default() }, AutoPlacement { tier: Some("palace".to_owned()), ..AutoPlacement::default() }] {
            assert_eq!(auto(&db, &acme, input).await.unwrap_err().kind, Kind::InvalidArgument);
        }
    }

    async fn no_tenant_gets_the_names_of_another_one_even_after_its_deletion(db: TestDb) {
        let first = create(&db, "a-b").await;
        let names = async |tenant: &TenantRef| {
            let placement = auto(&db, tenant, AutoPlacement::default()).await.unwrap().placement;
            (placement.dbname.unwrap(), placement.openbao_role.unwrap())
        };
        assert_eq!(names(&first).await, ("tenant_a_b".to_owned(), "a_b-role".to_owned()));
        delete(&db, &first, "a-b").await;
        let second = create(&db, "a-b").await;
        let (dbname_2, role) = names(&second).await;
        assert!(dbname_2.starts_with("tenant_a_b_") && role.starts_with("a_b_") && role.ends_with("-role"), "{dbname_2} {role}");
        // Nor by its own choice.
        let third = create(&db, "third").await;
        for name in ["tenant_a_b", &dbname_2] {
            place(&db, &third, dbname(name)).await;
            let error = provision(&db, &third).await.unwrap_err();
            assert_eq!((error.kind, error.reason), (Kind::FailedPrecondition, Reason::DatabaseNameTaken));
            assert!(error.to_string().contains("taken"), "{error}");
        }
        place(&db, &third, PlacementInput { openbao_role: Some("a_b-role".to_owned()), ..PlacementInput::default() }).await;
        assert_eq!(provision(&db, &third).await.unwrap_err().reason, Reason::DatabaseNameTaken);
    }

    async fn a_chosen_name_is_kept(db: TestDb) {
        let acme = create(&db, "acme").await;
        place(&db, &acme, dbname("crm")).await;
        assert_eq!(provision(&db, &acme).await.unwrap().placement.dbname.as_deref(), Some("crm"));
        // Unset again, it is the recorded one; another one is refused.
        place(&db, &acme, PlacementInput::default()).await;
        assert_eq!(provision(&db, &acme).await.unwrap().placement.dbname.as_deref(), Some("crm"));
        place(&db, &acme, dbname("erp")).await;
        let error = provision(&db, &acme).await.unwrap_err();
        assert_eq!((error.reason, error.to_string().as_str()), (Reason::PlacementConflict, "the database of the tenant is crm and cannot be changed"));
    }

    async fn a_deletion_names_the_database_that_it_keeps(db: TestDb) {
        let (plain, acme) = (create(&db, "plain").await, create(&db, "acme").await);
        auto(&db, &acme, AutoPlacement::default()).await.unwrap();
        assert_eq!(drop_error(&db, &plain, "plain").await, "drop database: no database was created for this tenant");
        let kept = "drop database: the database tenant_acme was kept; drop it on its server";
        assert_eq!(drop_error(&db, &acme, "acme").await, kept);
    }

    async fn a_suspended_tenant_is_not_provisioned(db: TestDb) {
        let acme = create(&db, "acme").await;
        place(&db, &acme, PlacementInput::default()).await;
        crate::rows::sql(&db, "UPDATE tenants SET status = 'suspended'".to_owned()).await.unwrap();
        let error = provision(&db, &acme).await.unwrap_err();
        assert_eq!((error.kind, error.reason), (Kind::FailedPrecondition, Reason::TenantNotActive));
        crate::rows::sql(&db, "UPDATE tenants SET status = 'deprovisioning'".to_owned()).await.unwrap();
        assert_eq!(provision(&db, &acme).await.unwrap_err().reason, Reason::TenantNotFound);
        let found = tenants::find(&db, &acme).await.unwrap();
        assert!(found.is_some() && rows::Entity::find().fetch_all(db.store.read()).await.unwrap().is_empty());
    }
}
