//! The rules of identities, grants and email domains, on both databases.

use futures::future::join_all;
use sea_orm::{ActiveValue::Set, EntityTrait, IntoActiveModel, QueryOrder};
use tenantry::{
    base::{
        Access, Caller, Clock, Cx, Error, Kind, Role, TenantRef, TenantScope, caller::CallerFacts, cx::CxFacts,
        error::Reason,
    },
    controlplane::tenants::{self as surface, Removal},
    identity::{
        self, Email, Grant, GrantRole, Identity, NewAccount, Password, Passwords,
        accounts::identities,
        grants::{
            self, GrantFilter, NewGrant, email_domains,
            switch::{self, SwitchTarget},
        },
        sessions::ungranted,
    },
    store::{
        Fetch, Store, StoreConfig, UpdateRow,
        tables::{accounts as rows, audit_events, identities as identity_rows, revoked_tokens},
    },
    tenants::{self, NewTenant},
    zerotrust::tenants::{self as subscribers, Deletion, SubscriberRef},
};
use uuid::Uuid;

use crate::db::{cx, platform_cx};

fn root() -> Cx {
    platform_cx("test")
}

/// The id and expiry of a new session.
fn session() -> (String, time::OffsetDateTime) {
    (Uuid::new_v4().to_string(), time::OffsetDateTime::now_utc() + time::Duration::HOUR)
}

async fn tenant(store: &Store, name: &str) -> TenantScope {
    let name = name.to_owned();
    let cx = root();
    let made = crate::db::write(store, &cx, move |tx| {
        let new = NewTenant::named(name.parse().unwrap());
        Box::pin(async move { Ok(tenants::insert(tx, &new, None).await?.1) })
    });
    made.await.unwrap()
}

async fn identity(store: &Store, email: &str) -> Identity {
    identities::create(&platform_cx("identity.create"), store, email).await.unwrap()
}

/// A platform account with an address.
async fn account(store: &Store, name: &str, email: &str, role: Role) -> Uuid {
    let email = Some(Email::read(email).unwrap());
    let new = NewAccount { email, ..NewAccount::login(None, name, Password::of_development("x"), role) };
    identity::create_account(store, &Passwords::new(1), &root(), new).await.unwrap()
}

fn to(identity: &Identity, tenant: &str) -> NewGrant {
    let (identity, tenant) = (Some(identity.id), TenantRef::parse(tenant));
    NewGrant { identity, tenant, role: None, is_default: false, expires_at: None, reason: None }
}

async fn grant(store: &Store, new: NewGrant) -> Result<Grant, Error> {
    grants::create(&platform_cx("grant.create"), store, new).await
}

/// The time in a number of hours, as text.
fn in_hours(hours: i64) -> String {
    let time = time::OffsetDateTime::now_utc() + time::Duration::hours(hours);
    time.format(&time::format_description::well_known::Rfc3339).unwrap()
}

async fn all(store: &Store) -> Vec<Grant> {
    grants::list(&root(), store, &GrantFilter::default()).await.unwrap().all().await.unwrap()
}

/// The context of a call by an account.
fn of(account: Uuid) -> Cx {
    let caller =
        Caller::new(CallerFacts { account: Some(account), subject: "bob".to_owned(), ..CallerFacts::default() });
    Cx::new(CxFacts { caller, ..CxFacts::clone(&cx("account.switch", Access::None)) })
}

fn names(targets: &[SwitchTarget]) -> Vec<&str> {
    targets.iter().map(|target| target.tenant.name.as_str()).collect()
}

async fn epoch(store: &Store, account: Uuid) -> i64 {
    rows::Entity::find_by_id(account).one(store.orm()).await.unwrap().unwrap().epoch
}

async fn initial_target(store: &Store, account: Uuid) -> Option<String> {
    let row = rows::Entity::find_by_id(account).one(store.orm()).await.unwrap().unwrap();
    let target = switch::initial_target(store, &row.into(), "a session").await.unwrap();
    target.map(|target| target.tenant.name.to_string())
}

both_databases! {
    async fn one_of_concurrent_default_grants_remains(db: TestDb) {
        let bob = identity(&db, "bob@example.com").await;
        let tenants: Vec<_> = (0..8).map(|n| format!("t{n}")).collect();
        for name in &tenants {
            tenant(&db, name).await;
        }
        let made = tenants.iter().map(|name| grant(&db, NewGrant { is_default: true, ..to(&bob, name) }));
        assert!(join_all(made).await.iter().all(Result::is_ok));
        assert_eq!(all(&db).await.iter().filter(|grant| grant.is_default).count(), 1);
        let ada = identity(&db, "ada@example.com").await;
        grant(&db, NewGrant { is_default: true, ..to(&ada, "t0") }).await.unwrap();
        assert_eq!(all(&db).await.iter().filter(|grant| grant.is_default).count(), 2, "each user must have one default grant");
    }

    async fn one_of_concurrent_equal_grants_succeeds(db: TestDb) {
        let bob = identity(&db, "bob@example.com").await;
        tenant(&db, "acme").await;
        let made = join_all((0..16).map(|_| grant(&db, to(&bob, "acme")))).await;
        let reasons: Vec<_> = made.iter().filter_map(|grant| grant.as_ref().err()).map(|error| error.reason).collect();
        assert_eq!(reasons, [Reason::GrantExists; 15]);
    }

    async fn one_of_concurrent_equal_addresses_succeeds(db: TestDb) {
        let cx = platform_cx("identity.create");
        let make = |n: usize| identities::create(&cx, &db, if n.is_multiple_of(2) { "bob@example.com" } else { "BOB@Example.com" });
        let made = join_all((0..16).map(make)).await;
        let reasons: Vec<_> = made.iter().filter_map(|made| made.as_ref().err()).map(|error| error.reason).collect();
        assert_eq!(reasons, [Reason::IdentityExists; 15]);
    }

    async fn the_checks_of_a_grant_run_in_order(db: TestDb) {
        let bob = identity(&db, "bob@example.com").await;
        tenant(&db, "acme").await;
        let acme = TenantRef::parse("acme");
        let domain = email_domains::add(&platform_cx("email_domain.add"), &db, &acme, "example.org").await.unwrap();
        let mut new = NewGrant {
            identity: None,
            tenant: TenantRef::parse("missing"),
            role: Some("owner".to_owned()),
            expires_at: Some("never".to_owned()),
            is_default: true,
            reason: Some("a".repeat(501)),
        };
        let refused = async |new: &NewGrant| grant(&db, new.clone()).await.unwrap_err().reason;
        assert_eq!(refused(&new).await, Reason::GrantRoleUnknown);
        new.role = Some("support".to_owned());
        assert_eq!(refused(&new).await, Reason::InvalidArgument, "the reason is too long");
        new.reason = Some(" \n".to_owned());
        assert_eq!(refused(&new).await, Reason::IdentityNotFound);
        new.identity = Some(bob.id);
        assert_eq!(refused(&new).await, Reason::TenantNotFound);
        new.tenant = acme.clone();
        assert_eq!(refused(&new).await, Reason::EmailDomainRefused);
        email_domains::remove(&platform_cx("email_domain.remove"), &db, &acme, Some(domain.id)).await.unwrap();
        assert_eq!(refused(&new).await, Reason::GrantEndInvalid);
        new.expires_at = None;
        assert_eq!(refused(&new).await, Reason::GrantEndInvalid, "a support grant must expire");
        new.expires_at = Some(in_hours(73));
        assert_eq!(refused(&new).await, Reason::SupportGrantTooLong);
        new.expires_at = Some(in_hours(71));
        assert_eq!(refused(&new).await, Reason::GrantReasonMissing);
        new.reason = Some(" ticket 4711 ".to_owned());
        let granted = grant(&db, new.clone()).await.unwrap();
        assert_eq!((granted.role, granted.reason.as_deref()), (GrantRole::Support, Some("ticket 4711")));
        assert_eq!(refused(&new).await, Reason::GrantExists);
    }

    async fn deleting_a_grant_ends_only_the_sessions_of_its_identity(db: TestDb) {
        let bob = account(&db, "bob", "bob@example.com", Role::User).await;
        let second = account(&db, "bobby", "ada@example.com", Role::User).await;
        let acme = tenant(&db, "acme").await;
        let mine = identities::list(&root(), &db, Some("bob@example.com")).await.unwrap().first.remove(0);
        // The same address in a tenant is another account, which grants on the platform do not affect.
        let email = Some(Email::read("bob@example.com").unwrap());
        let own = NewAccount { email, ..NewAccount::login(Some(acme), "bob", Password::of_development("x"), Role::Admin) };
        let own = identity::create_account(&db, &Passwords::new(1), &root(), own).await.unwrap();
        let granted = grant(&db, to(&mine, "acme")).await.unwrap();
        assert_eq!(epoch(&db, bob).await, 0, "a new grant must not end sessions");
        grants::delete(&platform_cx("grant.delete"), &db, Some(granted.id)).await.unwrap();
        assert_eq!((epoch(&db, bob).await, epoch(&db, second).await, epoch(&db, own).await), (1, 0, 0));
        let again = grants::delete(&platform_cx("grant.delete"), &db, Some(granted.id)).await.unwrap_err();
        assert_eq!((again.kind, again.reason), (Kind::NotFound, Reason::GrantNotFound));
        assert_eq!(epoch(&db, bob).await, 1, "a failed deletion must not end sessions");
    }

    async fn suspending_or_deleting_a_tenant_ends_the_sessions_of_those_with_grants_in_it(db: TestDb) {
        let bob = account(&db, "bob", "bob@example.com", Role::User).await;
        let other = account(&db, "bobby", "ada@example.com", Role::User).await;
        let inside = tenant(&db, "acme").await;
        tenant(&db, "elsewhere").await;
        let identity = async |email: &str| identities::list(&root(), &db, Some(email)).await.unwrap().first.remove(0);
        grant(&db, to(&identity("bob@example.com").await, "acme")).await.unwrap();
        grant(&db, to(&identity("ada@example.com").await, "elsewhere")).await.unwrap();
        crate::db::write(&db, &root(), move |tx| {
            Box::pin(async move {
                let (tenant, scope) = tenants::resolve_locked(tx, &TenantRef::Id(inside.tenant())).await?;
                tenants::suspend(tx, &tenant, scope).await
            })
        })
        .await
        .unwrap();
        assert_eq!((epoch(&db, bob).await, epoch(&db, other).await), (1, 0));
        let of = SubscriberRef { tenant: TenantRef::parse("elsewhere"), version: None };
        let deletion = Deletion { confirm: "elsewhere".to_owned(), purge: false };
        subscribers::delete(&platform_cx("tenant.delete"), &db, &of, deletion, None).await.unwrap();
        assert_eq!((epoch(&db, bob).await, epoch(&db, other).await), (1, 1));
    }

    async fn only_live_grants_are_switch_targets(db: TestDb) {
        let bob = account(&db, "bob", "bob@example.com", Role::User).await;
        let mine = identities::list(&root(), &db, Some("bob@example.com")).await.unwrap().first.remove(0);
        for name in ["ended", "asleep", "gone", "open"] {
            tenant(&db, name).await;
            let end = (name == "ended").then(|| "2020-01-01".to_owned());
            grant(&db, NewGrant { expires_at: end, ..to(&mine, name) }).await.unwrap();
        }
        crate::db::write(&db, &root(), |tx| {
            Box::pin(async move {
                let (tenant, scope) = tenants::resolve_locked(tx, &TenantRef::parse("asleep")).await?;
                tenants::suspend(tx, &tenant, scope).await?;
                let (tenant, scope) = tenants::resolve_locked(tx, &TenantRef::parse("gone")).await?;
                tenants::deprovision(tx, &tenant, scope, tenants::GRACE).await
            })
        })
        .await
        .unwrap();
        assert_eq!(names(&switch::list(&of(bob), &db).await.unwrap()), ["open"]);
        for closed in ["ended", "asleep", "gone"] {
            let error = switch::switch(&of(bob), &db, Some(TenantRef::parse(closed)), session()).await.unwrap_err();
            assert_eq!(error.reason, Reason::AccountNotGranted, "{closed}");
        }
        let acting = switch::switch(&of(bob), &db, Some(TenantRef::parse("OPEN")), session()).await.unwrap();
        assert_eq!((acting.account.id, acting.target.unwrap().role.role()), (bob, Role::User));

        crate::db::write(&db, &root(), move |tx| {
            Box::pin(async move {
                let row = identity_rows::Entity::find_by_id(mine.id).fetch_one(tx.conn()).await?.unwrap();
                let mut row = row.into_active_model();
                row.is_active = Set(false);
                row.update_row(tx.conn()).await?;
                Ok(())
            })
        })
        .await
        .unwrap();
        assert!(switch::list(&of(bob), &db).await.unwrap().is_empty(), "an inactive identity must not have grants");
    }

    async fn a_login_starts_in_the_default_or_the_oldest_grant(db: TestDb) {
        let bob = account(&db, "bob", "bob@example.com", Role::User).await;
        let ops = account(&db, "ops", "ops@example.com", Role::PlatformAdmin).await;
        for name in ["one", "two"] {
            tenant(&db, name).await;
        }
        let both = identities::list(&root(), &db, None).await.unwrap().all().await.unwrap();
        assert_eq!(both.iter().map(|identity| identity.email.as_str()).collect::<Vec<_>>(), ["bob@example.com", "ops@example.com"]);
        assert_eq!(initial_target(&db, bob).await, None);
        grant(&db, to(&both[0], "one")).await.unwrap();
        grant(&db, NewGrant { is_default: true, ..to(&both[1], "one") }).await.unwrap();
        assert_eq!(initial_target(&db, bob).await.as_deref(), Some("one"));
        grant(&db, NewGrant { is_default: true, ..to(&both[0], "two") }).await.unwrap();
        assert_eq!(initial_target(&db, bob).await.as_deref(), Some("two"));
        assert_eq!(initial_target(&db, ops).await, None, "an administrator must start on the platform");
    }

    async fn a_login_starts_where_the_last_switch_led_while_that_grant_lives(db: TestDb) {
        let bob = account(&db, "bob", "bob@example.com", Role::User).await;
        let mine = identities::list(&root(), &db, Some("bob@example.com")).await.unwrap().first.remove(0);
        let mut granted = Vec::new();
        for (name, is_default) in [("one", false), ("two", true), ("three", false)] {
            tenant(&db, name).await;
            granted.push(grant(&db, NewGrant { is_default, ..to(&mine, name) }).await.unwrap());
        }
        let go = async |to: &str| drop(switch::switch(&of(bob), &db, Some(TenantRef::parse(to)), session()).await.unwrap());
        go("one").await;
        assert_eq!(initial_target(&db, bob).await.as_deref(), Some("one"));
        go("three").await;
        assert_eq!(initial_target(&db, bob).await.as_deref(), Some("three"));
        switch::switch(&of(bob), &db, None, session()).await.unwrap();
        assert_eq!(initial_target(&db, bob).await.as_deref(), Some("three"), "the platform is not a tenant");
        grants::delete(&platform_cx("grant.delete"), &db, Some(granted[2].id)).await.unwrap();
        assert_eq!(initial_target(&db, bob).await.as_deref(), Some("one"));
        grants::delete(&platform_cx("grant.delete"), &db, Some(granted[0].id)).await.unwrap();
        assert_eq!(initial_target(&db, bob).await.as_deref(), Some("two"));
    }

    async fn the_clock_of_the_database_decides_when_a_grant_ends(db: TestDb) {
        let bob = account(&db, "bob", "bob@example.com", Role::User).await;
        let mine = identities::list(&root(), &db, Some("bob@example.com")).await.unwrap().first.remove(0);
        tenant(&db, "acme").await;
        tenant(&db, "beta").await;
        grant(&db, NewGrant { expires_at: Some(in_hours(1)), ..to(&mine, "acme") }).await.unwrap();
        grant(&db, to(&mine, "beta")).await.unwrap();
        // On SQLite, the clock of the database is that of its server.
        let off = if db.is_sqlite() { time::Duration::ZERO } else { time::Duration::hours(2) };
        let clock = |off| Clock::manual(time::OffsetDateTime::now_utc() + off);
        let server = async |off| {
            Store::open(StoreConfig { clock: clock(off), ..StoreConfig::new(&db.url) }).await.unwrap()
        };
        let (fast, slow) = (server(off).await, server(-off).await);
        let mut tokens = Vec::new();
        for store in [&fast, &slow] {
            let switched = async |name: &str| {
                let (session, end) = session();
                let acting = switch::switch(&of(bob), store, Some(TenantRef::parse(name)), (session.clone(), end)).await.unwrap();
                (session, acting.target.unwrap().ends)
            };
            let (in_acme, ends) = switched("acme").await;
            let left = ends.unwrap() - store.clock().now();
            assert!((left - time::Duration::HOUR).abs() < time::Duration::MINUTE, "by the clock of the server: {left}");
            let (in_beta, ends) = switched("beta").await;
            assert_eq!(ends, None);
            tokens.push((in_acme, in_beta));
            assert_eq!(ungranted::end(store, 10).await.unwrap(), 0, "a grant ended early");
        }
        // An hour later.
        let later = "UPDATE login_sessions SET grant_expires_at = 1 WHERE grant_expires_at IS NOT NULL";
        crate::rows::sql(&db, later.to_owned()).await.unwrap();
        assert_eq!(ungranted::end(&slow, 1).await.unwrap(), 1);
        assert_eq!(ungranted::end(&slow, 10).await.unwrap(), 1);
        assert_eq!(ungranted::end(&fast, 10).await.unwrap(), 0, "sessions end once");
        let revoked = revoked_tokens::Entity::find().all(db.read()).await.unwrap();
        let mut revoked: Vec<_> = revoked.into_iter().map(|row| row.jti).collect();
        let mut expected: Vec<_> = tokens.iter().map(|(in_acme, _)| in_acme.clone()).collect();
        revoked.sort();
        expected.sort();
        assert_eq!(revoked, expected, "the sessions in the other tenant must not end");
        assert_eq!(crate::rows::audited(&db, "grant.expire").await, 2);
        // The limit of access for support does not depend on the server, either.
        for (store, name) in [(fast, "delta"), (slow, "gamma")] {
            tenant(&db, name).await;
            let support = async |hours| {
                let (role, expires_at) = (Some("support".to_owned()), Some(in_hours(hours)));
                let new = NewGrant { role, expires_at, reason: Some("a test".to_owned()), ..to(&mine, name) };
                grants::create(&platform_cx("grant.create"), &store, new).await
            };
            assert_eq!(support(73).await.unwrap_err().reason, Reason::SupportGrantTooLong, "{name}");
            assert_eq!(support(71).await.unwrap().role, GrantRole::Support, "{name}");
            store.close().await;
        }
    }

    async fn grants_and_domains_are_deleted_with_their_tenant(db: TestDb) {
        let bob = identity(&db, "bob@example.com").await;
        tenant(&db, "Acme").await;
        let acme = TenantRef::parse("acme");
        grant(&db, to(&bob, "acme")).await.unwrap();
        email_domains::add(&platform_cx("email_domain.add"), &db, &acme, "example.com").await.unwrap();
        crate::db::write(&db, &root(), |tx| {
            Box::pin(async move {
                let (tenant, scope) = tenants::resolve_locked(tx, &TenantRef::parse("acme")).await?;
                tenants::deprovision(tx, &tenant, scope, tenants::GRACE).await
            })
        })
        .await
        .unwrap();
        let listed = surface::list(&root(), &db, Some("deprovisioning")).await.unwrap().all().await.unwrap();
        assert_eq!(listed.iter().map(|tenant| tenant.name.as_str()).collect::<Vec<_>>(), ["Acme"]);
        let removal = |confirm: &str| Removal { confirm: confirm.to_owned(), drop_database: false };
        let delete_cx = platform_cx("tenant.delete");
        let refused = surface::delete(&delete_cx, &db, &acme, removal("acme")).await.unwrap_err();
        assert_eq!(refused.reason, Reason::ConfirmationMismatch, "the confirmation must match the handle exactly");
        let removed = surface::delete(&delete_cx, &db, &acme, removal("Acme")).await.unwrap();
        assert!(removed.registry_removed && removed.errors.is_empty() && !removed.database_dropped);
        assert!(all(&db).await.is_empty() && email_domains::list(&root(), &db, &acme).await.unwrap().is_empty());
        assert_eq!(identities::list(&root(), &db, None).await.unwrap().all().await.unwrap(), [bob]);
    }

    async fn identities_require_platform_access(db: TestDb) {
        let bob = identity(&db, "bob@example.com").await;
        let acme = tenant(&db, "acme").await;
        let own = cx("grant.create", Access::Tenant(TenantRef::Id(acme.tenant())));
        let reason = |error: Error| error.reason;
        assert_eq!(identities::list(&own, &db, None).await.map_err(reason).unwrap_err(), Reason::TenantForeign);
        let listed = grants::list(&own, &db, &GrantFilter::default()).await;
        assert_eq!(listed.map_err(reason).unwrap_err(), Reason::TenantForeign);
        assert_eq!(grants::create(&own, &db, to(&bob, "acme")).await.map_err(reason), Err(Reason::TenantForeign));
        let granted = grant(&db, to(&bob, "acme")).await.unwrap();
        assert_eq!(grants::delete(&own, &db, Some(granted.id)).await.map_err(reason), Err(Reason::TenantForeign));
        assert!(email_domains::list(&own, &db, &TenantRef::parse("acme")).await.is_ok(), "a tenant may list its own domains");
    }

    async fn every_write_is_audited_with_its_action(db: TestDb) {
        let bob = account(&db, "bob", "bob@example.com", Role::User).await;
        let mine = identities::list(&root(), &db, Some("bob@example.com")).await.unwrap().first.remove(0);
        identity(&db, "ada@example.com").await;
        let tenant = surface::create(&platform_cx("tenant.create"), &db, None, "Acme", "acme").await.unwrap();
        let acme = TenantRef::Id(tenant.id);
        let domain = email_domains::add(&platform_cx("email_domain.add"), &db, &acme, "example.com").await.unwrap();
        let granted = grant(&db, to(&mine, "acme")).await.unwrap();
        switch::switch(&of(bob), &db, Some(acme.clone()), session()).await.unwrap();
        grants::delete(&platform_cx("grant.delete"), &db, Some(granted.id)).await.unwrap();
        email_domains::remove(&platform_cx("email_domain.remove"), &db, &acme, Some(domain.id)).await.unwrap();
        let removal = Removal { confirm: "acme".to_owned(), drop_database: true };
        surface::delete(&platform_cx("tenant.delete"), &db, &acme, removal).await.unwrap();
        let events = audit_events::Entity::find().order_by_asc(audit_events::Column::Id).all(db.read()).await.unwrap();
        let told: Vec<_> = events.iter().skip(1).map(|e| (e.action.as_str(), e.target.clone(), e.tenant_id)).collect();
        let (id, acme) = (granted.id.to_string(), Some(tenant.id));
        assert_eq!(
            told,
            [
                ("identity.create", "ada@example.com".to_owned(), None),
                ("tenant.create", "acme".to_owned(), acme),
                ("email_domain.add", "example.com".to_owned(), acme),
                ("grant.create", id.clone(), acme),
                ("account.switch", "acme".to_owned(), acme),
                ("grant.delete", id, acme),
                ("email_domain.remove", "example.com".to_owned(), acme),
                ("tenant.delete", "acme".to_owned(), acme),
            ]
        );
    }

    async fn an_invalid_name_finds_no_account(db: TestDb) {
        for text in ["a\0b", "a b", "", "x/y"] {
            assert!(identity::accounts::find(db.store.read(), None, text).await.unwrap().is_none(), "{text:?}");
        }
    }
}
