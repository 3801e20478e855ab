//! The rules of the warehouse's tenants that involve SQL, on both databases.

use futures::future::join_all;
use sea_orm::{ConnectionTrait, Statement};
use tenantry::{
    base::{
        Access, Caller, Cx, Kind, Result, Role, Secret, TenantRef,
        caller::{CallerFacts, CallerTenant},
        cx::CxFacts,
        error::Reason,
    },
    operations::Kinds,
    store::{Kek, Sealer},
    tenants::{NewTenant, PurgeTenant, Status},
    warehouse::{
        Warehouse,
        providers::Config,
        tenants::{self, TenantView, Wanted, secret_purpose},
    },
};

use crate::db::{TestDb, platform_cx};

fn area(db: &TestDb, kek: Option<Kek>) -> Warehouse {
    Warehouse { store: db.store.clone(), sealer: Sealer::new(db.store.clone(), kek.map(Into::into)), max_tenants: None }
}

fn some_kek() -> Option<Kek> {
    Kek::from_base64(&Kek::generate()).ok()
}

fn wanted(name: &str) -> Wanted {
    Wanted { name: Some(name.to_owned()), ..Wanted::default() }
}

fn keycloak(more: &[(&str, &str)]) -> Config {
    let own = [("issuer", "https://kc.example.com"), ("realm", "acme")];
    own.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

async fn create(db: &TestDb, name: &str) -> Result<TenantView> {
    tenants::create(&platform_cx("tenant.create"), &area(db, None), wanted(name)).await
}

/// The context of a call by an administrator of a tenant.
fn admin_of(tenant: &TenantView) -> Cx {
    let own = CallerTenant { id: tenant.id, key: tenant.name.clone(), suspended: false, named_since: None };
    let caller = Caller::new(CallerFacts {
        subject: format!("{}/boss", tenant.name),
        role: Role::Admin,
        tenant: Some(own),
        ..CallerFacts::default()
    });
    let access = Access::Tenant(TenantRef::Id(tenant.id));
    Cx::new(CxFacts { caller, access, ..CxFacts::clone(&platform_cx("tenant.set_disabled")) })
}

/// The stored configuration of a tenant's provider.
async fn kept(db: &TestDb) -> Option<String> {
    let query = Statement::from_string(db.backend(), "SELECT auth_config FROM warehouse_tenants");
    let row = db.read().query_one_raw(query).await.unwrap();
    row.map(|row| row.try_get("", "auth_config").unwrap())
}

both_databases! {
    async fn one_of_concurrent_creates_of_a_name_wins(db: TestDb) {
        let made = join_all((0..32).map(|n| {
            let (db, name) = (&db, if n % 2 == 0 { "acme" } else { "ACME" });
            async move { create(db, name).await }
        }))
        .await;
        assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1);
        for error in made.iter().flat_map(|made| made.as_ref().err()) {
            assert_eq!((error.reason, &*error.message), (Reason::TenantExists, "tenant already exists: acme"));
        }
    }

    async fn secrets_are_sealed_and_masked(db: TestDb) {
        let area = area(&db, some_kek());
        let config = keycloak(&[("clientSecret", "hunter2"), ("clientSecretRef", "env:KC")]);
        let new = Wanted { provider: Some("keycloak".to_owned()), config, ..wanted("acme") };
        let made = tenants::create(&platform_cx("tenant.create"), &area, new).await.unwrap();
        assert_eq!(made.config, keycloak(&[("clientSecret", "***"), ("clientSecretRef", "env:KC")]));
        assert_eq!(tenants::list(&platform_cx("x"), &db).await.unwrap().all().await.unwrap(), [made]);
        let kept = kept(&db).await.unwrap();
        assert!(!kept.contains("hunter2") && kept.contains("env:KC"), "{kept}");
        let kept: Config = serde_json::from_str(&kept).unwrap();
        let opened = area.sealer.open(None, &secret_purpose("clientSecret"), &kept["clientSecret"]).await.unwrap();
        assert_eq!(opened, Secret::new(b"hunter2".to_vec()));
    }

    async fn without_a_key_no_secret_is_accepted(db: TestDb) {
        let config = keycloak(&[("clientSecret", "hunter2")]);
        let new = Wanted { provider: Some("keycloak".to_owned()), config, ..wanted("acme") };
        let refused = tenants::create(&platform_cx("tenant.create"), &area(&db, None), new).await.unwrap_err();
        assert_eq!(refused.reason, Reason::KekMissing);
        assert_eq!((kept(&db).await, tenants::list(&platform_cx("x"), &db).await.unwrap().all().await.unwrap()), (None, Vec::new()));
    }

    async fn a_new_provider_replaces_the_old_configuration(db: TestDb) {
        create(&db, "acme").await.unwrap();
        let (cx, area) = (platform_cx("tenant.set_auth"), area(&db, None));
        let set = async |provider: &str, config: Config| tenants::set_auth(&cx, &area, "ACME", provider, config).await;
        let shown = set("keycloak", keycloak(&[("audience", "y")])).await.unwrap();
        assert_eq!((shown.provider.as_str(), shown.config), ("keycloak", keycloak(&[("audience", "y")])));
        assert_eq!(set("keycloak", keycloak(&[])).await.unwrap().config, keycloak(&[]));
        assert_eq!(set("db", Config::new()).await.unwrap().config, Config::new());
        assert_eq!(kept(&db).await.as_deref(), Some("{}"));
    }

    async fn a_tenant_of_another_surface_has_the_default_provider(db: TestDb) {
        let cx = platform_cx("tenant.create");
        let made = crate::db::write(&db, &cx, |tx| {
            let new = NewTenant::named("made-elsewhere".parse().unwrap());
            Box::pin(async move { Ok(tenantry::tenants::insert(tx, &new, None).await?.0) })
        });
        let made = made.await.unwrap();
        let listed = tenants::list(&platform_cx("x"), &db).await.unwrap().all().await.unwrap();
        let [only] = &listed[..] else { panic!("{listed:?}") };
        assert_eq!((only.id, only.provider.as_str(), &only.config), (made.id, "db", &Config::new()));
        // It gets warehouse settings when it needs them, and they are deleted with it.
        let (cx, area) = (platform_cx("x"), area(&db, None));
        let set = tenants::set_auth(&cx, &area, "made-elsewhere", "keycloak", keycloak(&[])).await;
        assert_eq!(set.unwrap().config, keycloak(&[]));
        tenants::delete(&platform_cx("tenant.delete"), &db, "Made-Elsewhere").await.unwrap();
        crate::durable_operations::settle(&db, Kinds::default().with(PurgeTenant::new(&db))).await;
        assert_eq!(kept(&db).await, None);
    }

    async fn who_may_enable_a_tenant_depends_on_who_disabled_it(db: TestDb) {
        let acme = create(&db, "acme").await.unwrap();
        let (platform, boss) = (platform_cx("tenant.set_disabled"), admin_of(&acme));
        let set = async |cx: &Cx, disabled: bool| tenants::set_disabled(cx, &db, "acme", disabled).await;
        assert!(set(&boss, true).await.unwrap().disabled && !set(&boss, false).await.unwrap().disabled);
        assert!(set(&platform, true).await.unwrap().disabled && set(&boss, true).await.unwrap().disabled);
        let refused = set(&boss, false).await.unwrap_err();
        assert_eq!((refused.kind, refused.reason), (Kind::PermissionDenied, Reason::SuspensionForeign));
        let again = set(&platform, false).await.unwrap();
        assert_eq!(set(&platform, false).await.unwrap(), again, "a repeated call must change nothing");
        let found = tenantry::tenants::find(&db, &TenantRef::parse("acme")).await.unwrap().unwrap();
        assert_eq!((found.status, found.suspended_by), (Status::Active, None));
    }

    async fn a_tenants_administrator_reaches_only_their_own_tenant(db: TestDb) {
        let acme = create(&db, "acme").await.unwrap();
        create(&db, "beta").await.unwrap();
        let boss = admin_of(&acme);
        assert_eq!(tenants::list(&boss, &db).await.unwrap().all().await.unwrap(), [acme]);
        for name in ["beta", "missing"] {
            let refused = tenants::set_disabled(&boss, &db, name, true).await.unwrap_err();
            assert_eq!(refused.reason, Reason::TenantForeign, "{name}");
        }
        assert!(db.warehouse_settings(&boss.access, []).await.is_err());
    }
}
