//! Accounts, revoked tokens and denied calls, on both databases.

use std::time::Duration;

use sea_orm::{EntityTrait, PaginatorTrait, QueryOrder};
use tenantry::{
    audit::{Denials, denials},
    auth::{
        Surface,
        authn::{
            revocation::{self, Revocations},
            tokens::Claims,
        },
        jobs::ReadRevocations,
    },
    base::{Kind, Role, TenantRef, TenantScope, error::Reason},
    identity::{self, NewAccount, Password, Passwords, sessions::revocations},
    jobs,
    operations::Kinds,
    store::{
        Store,
        tables::{accounts, audit_events, revoked_tokens},
    },
    tenants::{self, NewTenant, PurgeTenant},
};
use tokio_util::sync::CancellationToken;

use crate::{
    db::{TestDb, eventually, platform_cx},
    durable_operations::settle,
};

fn follow(store: &Store, known: &Revocations, stop: &CancellationToken) -> impl Future<Output = ()> + use<> {
    jobs::follow(ReadRevocations::new(known, store), store.clone(), stop.clone())
}

fn account(tenant: Option<TenantScope>, username: &str) -> NewAccount {
    let role = if tenant.is_some() { Role::Admin } else { Role::PlatformAdmin };
    let password = Password::of_development("a password");
    NewAccount::login(tenant, username, password, role)
}

async fn create(db: &TestDb, account: NewAccount) -> tenantry::base::Result<uuid::Uuid> {
    identity::create_account(db, &Passwords::new(2), &platform_cx("account.create"), account).await
}

async fn tenant(db: &TestDb, name: &str) -> TenantScope {
    let (name, cx) = (name.to_owned(), platform_cx("tenant.create"));
    let made = crate::db::write(db, &cx, move |tx| {
        let new = NewTenant::named(name.parse().unwrap());
        Box::pin(async move { Ok(tenants::insert(tx, &new, None).await?.1) })
    });
    made.await.unwrap()
}

async fn epoch(db: &TestDb, username: &str) -> i64 {
    let rows = accounts::Entity::find().all(db.read()).await.unwrap();
    rows.into_iter().find(|row| row.username == username).unwrap().epoch
}

fn token(account: Option<(uuid::Uuid, i64)>) -> Claims {
    let clock = tenantry::base::Clock::system();
    let claims = Claims::minted("x".into(), Role::User, &[Surface::Native], Duration::from_secs(600), &clock);
    Claims { account: account.map(|a| a.0), epoch: account.map(|a| a.1), ..claims }
}

fn reason(outcome: tenantry::base::Result<()>) -> Option<Reason> {
    outcome.err().map(|error| error.reason)
}

both_databases! {
    async fn a_name_is_taken_once_in_its_tenant_and_once_on_the_platform(db: TestDb) {
        let (one, other) = (tenant(&db, "one").await, tenant(&db, "other").await);
        for place in [None, Some(one), Some(other)] {
            create(&db, account(place, "Ada")).await.unwrap();
            let again = create(&db, account(place, "aDA")).await.unwrap_err();
            assert_eq!((again.kind, again.reason), (Kind::AlreadyExists, Reason::AccountExists));
        }
        let both = futures::future::join_all((0..8).map(|_| create(&db, account(None, "bob")))).await;
        assert_eq!(both.iter().filter(|made| made.is_ok()).count(), 1);
        assert!(both.iter().flat_map(|made| made.as_ref().err()).all(|error| error.reason == Reason::AccountExists));
    }

    async fn invalid_names_and_roles_are_refused(db: TestDb) {
        for name in ["", "a b", "a/b", "ä", &"x".repeat(255)] {
            let refused = create(&db, account(None, name)).await.unwrap_err();
            assert_eq!(refused.reason, Reason::AccountNameInvalid, "{name}");
        }
        let admin_of_all = NewAccount { role: Role::Admin, ..account(None, "ada") };
        assert_eq!(create(&db, admin_of_all).await.unwrap_err().kind, Kind::InvalidArgument);
        let scope = tenant(&db, "one").await;
        let platform_in_tenant = NewAccount { role: Role::PlatformAdmin, ..account(Some(scope), "ada") };
        assert_eq!(create(&db, platform_in_tenant).await.unwrap_err().kind, Kind::InvalidArgument);
    }

    async fn a_new_password_revokes_earlier_tokens(db: TestDb) {
        let id = create(&db, account(None, "ada")).await.unwrap();
        let (cx, passwords) = (platform_cx("account.set_password"), Passwords::new(1));
        let before = token(Some((id, 0)));
        let revocations = Revocations::default();
        revocation::load(&db, &revocations, None).await.unwrap();
        assert!(revocations.check(&before).is_ok());
        let new = || Password::of_development("another one");
        identity::set_password(&db, &passwords, &cx, None, "ADA", new()).await.unwrap();
        assert_eq!(epoch(&db, "ada").await, 1);
        revocation::load(&db, &revocations, None).await.unwrap();
        assert_eq!(reason(revocations.check(&before)), Some(Reason::CredentialsRevoked));
        assert!(revocations.check(&token(Some((id, 1)))).is_ok());
        let missing = identity::set_password(&db, &passwords, &cx, None, "eve", new()).await.unwrap_err();
        assert_eq!(missing.reason, Reason::AccountNotFound);
    }

    async fn each_of_several_concurrent_passwords_ends_the_sessions_before_it(db: TestDb) {
        create(&db, account(None, "ada")).await.unwrap();
        let (cx, passwords) = (platform_cx("account.set_password"), Passwords::new(2));
        let set = |n: usize| identity::set_password(&db, &passwords, &cx, None, "ada", Password::of_development(&format!("one {n}")));
        for set in futures::future::join_all((0..8).map(set)).await {
            set.unwrap();
        }
        assert_eq!(epoch(&db, "ada").await, 8, "two of them ended the same sessions");
    }

    async fn a_revoked_token_stays_revoked_on_every_replica(db: TestDb) {
        let (cx, one, stop) = (platform_cx("token.revoke"), token(None), CancellationToken::new());
        let running = Revocations::default();
        let follower = tokio::spawn(follow(&db.replica().await, &running, &stop));
        eventually("the first reading", || async { running.check(&one).is_ok() }).await;
        let ends = time::OffsetDateTime::from_unix_timestamp(one.exp).unwrap();
        // The later expiry is kept, in whichever order they are reported.
        for seconds in [500, 0, 300] {
            let reported = ends - time::Duration::seconds(seconds);
            revocations::revoke_token(&db, &cx, one.jti.clone(), reported).await.unwrap();
        }
        eventually("the revocation", || async { running.check(&one).is_err() }).await;
        stop.cancel();
        follower.await.unwrap();
        let restarted = Revocations::default();
        revocation::load(&db, &restarted, None).await.unwrap();
        assert_eq!(reason(restarted.check(&one)), Some(Reason::CredentialsRevoked));
        assert_eq!(revocations::prune(&db, ends, 1000).await.unwrap(), 0);
        assert_eq!(revocations::prune(&db, ends + time::Duration::SECOND, 1000).await.unwrap(), 1);
        assert_eq!(revoked_tokens::Entity::find().count(db.read()).await.unwrap(), 0);
    }

    async fn the_accounts_of_a_deleted_tenant_are_removed(db: TestDb) {
        let scope = tenant(&db, "one").await;
        create(&db, account(Some(scope), "ada")).await.unwrap();
        let cx = platform_cx("tenant.delete");
        let deleted = crate::db::write(&db, &cx, move |tx| {
            Box::pin(async move {
                let (tenant, scope) = tenants::resolve_locked(tx, &TenantRef::Id(scope.tenant())).await?;
                tenants::delete(tx, &tenant, scope).await
            })
        });
        deleted.await.unwrap();
        settle(&db, Kinds::default().with(PurgeTenant::new(&db))).await;
        assert_eq!(accounts::Entity::find().count(db.read()).await.unwrap(), 0);
    }

    async fn denied_calls_are_audited_once_a_minute(db: TestDb) {
        let denials = Denials::new(db.clock().clone());
        for _ in 0..5 {
            denials.count(None, "/t.S/M", Reason::CredentialsMissing);
        }
        denials.count(Some(&platform_cx("x").caller), "/t.S/M", Reason::PermissionDenied);
        assert_eq!(denials::flush(&denials, &db, false).await.unwrap(), 0, "denials of the current minute must not be written");
        assert_eq!(denials::flush(&denials, &db, true).await.unwrap(), 2);
        let rows = audit_events::Entity::find().order_by_asc(audit_events::Column::CallerSubject).all(db.read()).await;
        let rows = rows.unwrap();
        let reported: Vec<_> = rows
            .iter()
            .map(|row| {
                let details: serde_json::Value = serde_json::from_str(&row.details).unwrap();
                (row.caller_subject.as_str(), row.outcome.as_str(), details["count"].clone(), details["reason"].clone())
            })
            .collect();
        // Nearly always two rows; three if the minute ended in between.
        assert!((2..=3).contains(&reported.len()), "{reported:?}");
        let counts: u64 = reported.iter().filter(|row| row.0.is_empty()).map(|row| row.2.as_u64().unwrap()).sum();
        assert_eq!(counts, 5, "{reported:?}");
        assert!(reported.contains(&("root", "refused", 1.into(), "PERMISSION_DENIED".into())), "{reported:?}");
    }
}
