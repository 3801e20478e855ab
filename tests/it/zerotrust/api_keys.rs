//! API keys as credentials, on both databases: what they permit, and how soon they stop working.

use std::{
    net::Ipv4Addr,
    sync::Arc,
    time::{Duration, Instant},
};

use sea_orm::{EntityTrait, QueryOrder};
use tenantry::{
    audit::{ApiKeyUses, api_key_use},
    auth::ApiKeys,
    base::{Caller, CallerKind, Clock, PageRequest, Role, TenantRef, error::Reason},
    identity::api_keys::{self, CreatedApiKey, NewApiKey},
    store::{Store, tables::audit_events},
    tenants,
};

use crate::{
    db::{TestDb, platform_cx},
    rows::{key, tenant},
};

/// An API key verifier with a manual clock.
struct Verifier {
    store: Store,
    keys: ApiKeys,
    uses: ApiKeyUses,
}

impl Verifier {
    fn of(db: &TestDb, clock: &Clock) -> Self {
        let uses = ApiKeyUses::new(clock.clone());
        let keys = ApiKeys::new(Arc::new(db.store.clone()), uses.clone(), clock.clone());
        Self { store: db.store.clone(), keys, uses }
    }

    async fn open(&self, key: &str, from: [u8; 4]) -> Result<Caller, Reason> {
        let client = Some(Ipv4Addr::from(from).into());
        self.keys.caller(&self.store, key, client).await.map_err(|error| error.reason)
    }

    async fn verify(&self, key: &CreatedApiKey) -> Result<Caller, Reason> {
        self.open(key.text.expose(), [192, 0, 2, 1]).await
    }
}

async fn make(db: &TestDb, new: NewApiKey) -> CreatedApiKey {
    api_keys::create(&platform_cx("apikey.create"), db, &TenantRef::parse("acme"), new).await.unwrap()
}

async fn revoke(db: &TestDb, key: &CreatedApiKey) {
    let cx = platform_cx("apikey.revoke");
    api_keys::revoke(&cx, db, &TenantRef::parse("acme"), &key.key.shown_id()).await.unwrap();
}

async fn eventually_refused(verifier: &Verifier, key: &CreatedApiKey) -> Duration {
    let began = Instant::now();
    crate::db::eventually("the key is refused", || async { verifier.verify(key).await.is_err() }).await;
    began.elapsed()
}

both_databases! {
    async fn a_key_is_a_caller_of_its_tenant(db: TestDb) {
        let acme = tenant(&db, "acme").await;
        let (verifier, made) = (Verifier::of(&db, &Clock::system()), make(&db, key("auditor")).await);
        let caller = verifier.verify(&made).await.unwrap();
        assert_eq!((caller.kind, caller.role), (CallerKind::Service, Role::Auditor));
        assert_eq!(caller.subject, format!("key:{}", made.key.shown_id()));
        assert_eq!(caller.tenant.as_ref().map(|tenant| tenant.id), Some(acme.tenant()));
    }

    async fn all_invalid_keys_get_the_same_error(db: TestDb) {
        tenant(&db, "acme").await;
        let (verifier, made) = (Verifier::of(&db, &Clock::system()), make(&db, key("admin")).await);
        let text = made.text.expose();
        let unknown = format!("{}{}", &text[..13], "A".repeat(43));
        let one_off = format!("{}{}", &text[..55], if text.ends_with('A') { 'B' } else { 'A' });
        for bad in [unknown.as_str(), &one_off, "tak_", "tak_x_y", &text[..55], &format!("{text}A")] {
            assert_eq!(verifier.open(bad, [127, 0, 0, 1]).await.unwrap_err(), Reason::CredentialsInvalid, "{bad}");
        }
        let networks = vec!["192.0.2.0/24".to_owned(), "10.0.0.7".to_owned()];
        let near = make(&db, NewApiKey { networks, ..key("admin") }).await;
        assert!(verifier.verify(&near).await.is_ok());
        assert!(verifier.open(near.text.expose(), [10, 0, 0, 7]).await.is_ok());
        let far = verifier.open(near.text.expose(), [10, 0, 0, 8]).await;
        assert_eq!(far.unwrap_err(), Reason::CredentialsInvalid);
        let (ends, late) = (made.key.expires_at, Clock::manual(made.key.expires_at));
        let late_door = Verifier::of(&db, &late);
        assert_eq!(late_door.verify(&made).await.unwrap_err(), Reason::CredentialsInvalid);
        late.advance(time::Duration::seconds(-1));
        assert!(late_door.verify(&made).await.is_ok());
        late.advance(ends - late.now());
        assert_eq!(late_door.verify(&made).await.unwrap_err(), Reason::CredentialsInvalid, "a cached key must expire too");
    }

    async fn a_revoked_key_is_refused_within_a_second(db: TestDb) {
        tenant(&db, "acme").await;
        let (verifier, made) = (Verifier::of(&db, &Clock::system()), make(&db, key("admin")).await);
        let (other, elsewhere) = (make(&db, key("user")).await, Verifier::of(&db, &Clock::system()));
        for verifier in [&verifier, &elsewhere] {
            assert!(verifier.verify(&made).await.is_ok());
        }
        revoke(&db, &made).await;
        for verifier in [&verifier, &elsewhere] {
            let took = eventually_refused(verifier, &made).await;
            assert!(took < Duration::from_secs(1), "{took:?}");
        }
        assert_eq!(verifier.verify(&made).await.unwrap_err(), Reason::CredentialsInvalid);
        assert!(verifier.verify(&other).await.is_ok());
    }

    async fn a_key_is_suspended_and_deleted_with_its_tenant(db: TestDb) {
        let scope = tenant(&db, "acme").await;
        let (verifier, made) = (Verifier::of(&db, &Clock::system()), make(&db, key("admin")).await);
        let suspended = async || verifier.verify(&made).await.map(|caller| caller.tenant.as_ref().unwrap().suspended);
        assert_eq!(suspended().await, Ok(false));
        crate::db::write(&db, &platform_cx("tenant.suspend"), move |tx| {
            Box::pin(async move {
                let (tenant, scope) = tenants::resolve_locked(tx, &TenantRef::Id(scope.tenant())).await?;
                tenants::suspend(tx, &tenant, scope).await
            })
        })
        .await
        .unwrap();
        assert_eq!(suspended().await, Ok(true), "the guard must see the suspension");
        crate::db::write(&db, &platform_cx("tenant.delete"), move |tx| {
            Box::pin(async move {
                let (tenant, scope) = tenants::resolve_locked(tx, &TenantRef::Id(scope.tenant())).await?;
                tenants::delete(tx, &tenant, scope).await
            })
        })
        .await
        .unwrap();
        assert_eq!(suspended().await, Err(Reason::CredentialsInvalid));
        assert_eq!(db.api_key_by_digest(&tenantry::base::opaque::digest(made.text.expose())).await.unwrap(), None);
    }

    async fn uses_within_a_minute_are_one_event_and_recorded_on_the_key(db: TestDb) {
        let acme = tenant(&db, "acme").await;
        let clock = Clock::manual(db.clock().now());
        let (verifier, one, other) = (Verifier::of(&db, &clock), make(&db, key("admin")).await, make(&db, key("user")).await);
        for last in [1, 2, 3, 3] {
            verifier.open(one.text.expose(), [192, 0, 2, last]).await.unwrap();
        }
        verifier.verify(&other).await.unwrap();
        assert_eq!(api_key_use::flush(&verifier.uses, &db, true).await.unwrap(), 2);
        let events = audit_events::Entity::find().order_by_asc(audit_events::Column::Id).all(db.read()).await.unwrap();
        let uses: Vec<_> = events.into_iter().filter(|event| event.action == "apikey.use").collect();
        assert_eq!(uses.len(), 2);
        let of_one = uses.iter().find(|event| event.target == one.key.shown_id()).unwrap();
        let details: serde_json::Value = serde_json::from_str(&of_one.details).unwrap();
        assert_eq!((&details["count"], details["addresses"].as_array().unwrap().len()), (&4.into(), 3));
        assert_eq!((of_one.tenant_id, of_one.caller_role.as_str()), (Some(acme.tenant()), "admin"));
        assert_eq!(of_one.caller_subject, one.key.subject());
        let cx = platform_cx("x");
        let page = api_keys::page(&cx, &db, &TenantRef::parse("acme"), PageRequest::read(None, None).unwrap()).await;
        let used = &page.unwrap().items[0];
        assert_eq!((used.last_used_at, used.last_used_ip.as_deref()), (Some(clock.now()), Some("192.0.2.3")));
    }
}
