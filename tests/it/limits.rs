//! Privileges that callers cannot give to themselves or beyond their own expiry: roles, accounts and API keys,
//! on both databases.

use sea_orm::EntityTrait;
use tenantry::{
    base::{
        Access, Basis, Caller, CallerKind, Cx, Error, Kind, Reach, Role, Secret, TenantRef, TenantScope,
        caller::CallerFacts, cx::CxFacts, error::Reason,
    },
    identity::{
        self, AccountStatus, NewAccount, Password, Passwords, People, User, UserRef, accounts,
        api_keys::{self, CreatedApiKey, NewApiKey},
        roles::grants::{self as role_grants, RoleRef},
        second_factor,
        users::{
            lifecycle::{self, NewUser, UserEdit},
            password::{self, NewPassword},
            suspension,
        },
    },
    store::{Kek, Sealer, tables::accounts as rows},
    tenants,
};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::{
    db::{TestDb, cx, platform_cx},
    harness::totp::code,
    rows::{account, key, sql, tenant},
};

fn acme() -> TenantRef {
    TenantRef::parse("acme")
}

fn user(name: &str) -> UserRef {
    UserRef { tenant: acme(), user: name.to_owned(), version: None }
}

fn role(word: &str) -> RoleRef {
    RoleRef { role: word.to_owned(), scope: None }
}

/// A call in the tenant.
fn by(scope: TenantScope, facts: CallerFacts) -> Cx {
    let base = CxFacts::clone(&cx("test", Access::Tenant(TenantRef::Id(scope.tenant()))));
    Cx::new(CxFacts { caller: Caller::new(facts), ..base })
}

/// A call by an account with a session as administrator of the tenant.
fn by_admin(scope: TenantScope, account: Uuid) -> Cx {
    let (role, account) = (Role::Admin, Some(account));
    by(scope, CallerFacts { subject: "acme/ada".to_owned(), role, account, ..CallerFacts::default() })
}

fn by_key(scope: TenantScope, made: &CreatedApiKey) -> Cx {
    let (kind, subject, basis) = (CallerKind::Service, made.key.subject(), Basis::ApiKey(made.key.id));
    by(scope, CallerFacts { kind, subject, basis, role: made.key.role, ..CallerFacts::default() })
}

async fn grant(db: &TestDb, cx: &Cx, name: &str, word: &str, end: Option<OffsetDateTime>) -> Result<User, Error> {
    role_grants::grant(cx, db, &user(name), &role(word), end).await
}

fn people(db: &TestDb) -> People {
    let kek = Kek::from_base64(&Kek::generate()).unwrap();
    People::new(db.store.clone(), Passwords::new(1), Sealer::new(db.store.clone(), Some(kek.into())))
}

fn new_user(name: &str, role: &str) -> NewUser {
    let email = format!("{name}@example.com");
    NewUser { id: Some(name.to_owned()), email, role: Some(role.to_owned()), ..NewUser::default() }
}

async fn make_key(db: &TestDb, cx: &Cx, new: NewApiKey) -> Result<CreatedApiKey, Error> {
    api_keys::create(cx, db, &acme(), new).await
}

#[track_caller]
fn denied<T: std::fmt::Debug>(outcome: Result<T, Error>, reason: Reason) {
    let error = outcome.expect_err("it is refused");
    assert_eq!((error.kind, error.reason), (Kind::PermissionDenied, reason), "{error:?}");
}

async fn epoch(db: &TestDb, id: Uuid) -> i64 {
    rows::Entity::find_by_id(id).one(db.read()).await.unwrap().unwrap().epoch
}

both_databases! {
    async fn a_lasting_role_of_the_same_rank_permits_no_other_role(db: TestDb) {
        let scope = tenant(&db, "acme").await;
        let (ada, people) = (account(&db, scope, "ada").await, people(&db));
        let auditor = UserEdit { role: Some("auditor".to_owned()), ..UserEdit::default() };
        lifecycle::update(&platform_cx("user.update"), &db, &user("ada"), auditor).await.unwrap();
        let soon = db.clock().now() + Duration::days(2);
        grant(&db, &platform_cx("rbac.grant"), "ada", "admin", Some(soon)).await.unwrap();
        let own = by_admin(scope, ada);
        for (name, word) in [("sam", "security_operator"), ("nel", "network_admin")] {
            denied(lifecycle::create(&own, &people, &acme(), new_user("eve", word)).await, Reason::RoleAboveOwn);
            denied(make_key(&db, &own, key(word)).await, Reason::RoleAboveOwn);
            lifecycle::create(&platform_cx("user.create"), &people, &acme(), new_user(name, word)).await.unwrap();
            denied(password::set(&own, &people, &user(name), Reach::All, NewPassword::default()).await, Reason::RoleAboveOwn);
        }
        lifecycle::create(&own, &people, &acme(), new_user("eve", "auditor")).await.unwrap();
    }

    async fn no_caller_grants_a_role_to_themselves(db: TestDb) {
        let scope = tenant(&db, "acme").await;
        let ada = account(&db, scope, "ada").await;
        let soon = db.clock().now() + Duration::days(2);
        grant(&db, &platform_cx("rbac.grant"), "ada", "admin", Some(soon)).await.unwrap();
        let own = by_admin(scope, ada);
        for end in [None, Some(soon + Duration::days(1))] {
            denied(grant(&db, &own, "ada", "admin", end).await, Reason::AccountOwn);
        }
        denied(grant(&db, &own, "ada", "auditor", None).await, Reason::AccountOwn);
        let raised = UserEdit { role: Some("admin".to_owned()), ..UserEdit::default() };
        denied(lifecycle::update(&own, &db, &user("ada"), raised).await, Reason::AccountOwn);
        let again = suspension::reactivate(&own, &db, &user("ada"), None).await.unwrap_err();
        assert_eq!(again.reason, Reason::AccountOwn);
        role_grants::revoke(&platform_cx("rbac.revoke"), &db, &user("ada"), &role("admin")).await.unwrap();
    }

    async fn a_role_with_an_expiry_is_granted_only_until_then(db: TestDb) {
        let scope = tenant(&db, "acme").await;
        let (ada, _) = (account(&db, scope, "ada").await, account(&db, scope, "bob").await);
        let (soon, own) = (db.clock().now() + Duration::days(2), by_admin(scope, ada));
        denied(grant(&db, &own, "bob", "admin", Some(soon)).await, Reason::RoleAboveOwn);
        grant(&db, &platform_cx("rbac.grant"), "ada", "admin", Some(soon)).await.unwrap();
        for end in [None, Some(soon + Duration::SECOND)] {
            denied(grant(&db, &own, "bob", "admin", end).await, Reason::RoleAboveOwn);
        }
        grant(&db, &own, "bob", "admin", Some(soon)).await.unwrap();
        let people = people(&db);
        denied(lifecycle::create(&own, &people, &acme(), new_user("eve", "auditor")).await, Reason::RoleAboveOwn);
        lifecycle::create(&own, &people, &acme(), new_user("eve", "user")).await.unwrap();
        let raised = UserEdit { role: Some("admin".to_owned()), ..UserEdit::default() };
        denied(lifecycle::update(&own, &db, &user("eve"), raised.clone()).await, Reason::RoleAboveOwn);
        denied(make_key(&db, &own, key("read_only")).await, Reason::RoleAboveOwn);
        make_key(&db, &own, NewApiKey { expires_in: Some(86_400), ..key("admin") }).await.unwrap();
        make_key(&db, &own, key("user")).await.expect("a key with the role that every user has");
        // Nor can it take over an account whose role lasts longer.
        lifecycle::create(&platform_cx("user.create"), &people, &acme(), new_user("max", "admin")).await.unwrap();
        denied(password::set(&own, &people, &user("max"), Reach::All, NewPassword::default()).await, Reason::RoleAboveOwn);
        denied(second_factor::disable(&own, &db, &user("max"), "lost").await, Reason::RoleAboveOwn);
        denied(second_factor::enroll(&own, &people, &user("max"), Reach::All).await.map(drop), Reason::RoleAboveOwn);
        let enrolled = second_factor::enroll(&platform_cx("user.mfa.enroll"), &people, &user("max"), Reach::All).await.unwrap();
        let code = Secret::new(code(enrolled.secret.expose(), 0));
        let confirmed = second_factor::confirm(&own, &people, &user("max"), Reach::All, &code).await;
        denied(confirmed.map(drop), Reason::RoleAboveOwn);
        // Nor after it has taken the role from the account, which somebody may give back later.
        lifecycle::create(&platform_cx("user.create"), &people, &acme(), new_user("kim", "admin")).await.unwrap();
        let demoted = UserEdit { role: Some("user".to_owned()), ..UserEdit::default() };
        denied(lifecycle::update(&own, &db, &user("max"), demoted).await, Reason::RoleAboveOwn);
        denied(role_grants::revoke(&own, &db, &user("max"), &role("admin")).await, Reason::RoleAboveOwn);
        // Or has let a longer grant end soon. What it granted itself, it may shorten and take away.
        let (earlier, later) = (soon - Duration::hours(1), soon + Duration::days(9));
        for end in [None, Some(later)] {
            lifecycle::create(&platform_cx("user.create"), &people, &acme(), new_user("tom", "user")).await.ok();
            grant(&db, &platform_cx("rbac.grant"), "tom", "auditor", end).await.unwrap();
            denied(grant(&db, &own, "tom", "auditor", Some(earlier)).await, Reason::RoleAboveOwn);
        }
        grant(&db, &own, "max", "auditor", Some(soon)).await.unwrap();
        grant(&db, &own, "max", "auditor", Some(earlier)).await.unwrap();
        role_grants::revoke(&own, &db, &user("max"), &role("auditor")).await.unwrap();
        role_grants::revoke(&own, &db, &user("max"), &role("auditor")).await.expect("a role that is not in effect");
        suspension::suspend(&platform_cx("user.suspend"), &db, &user("kim"), None).await.unwrap();
        sql(&db, "UPDATE accounts SET suspended_by = 'tenant' WHERE username = 'kim'".to_owned()).await.unwrap();
        denied(suspension::reactivate(&own, &db, &user("kim"), None).await, Reason::RoleAboveOwn);
        let moved = UserEdit { email: Some("new@example.com".to_owned()), ..UserEdit::default() };
        denied(lifecycle::update(&own, &db, &user("max"), moved.clone()).await, Reason::RoleAboveOwn);
        for lesser in ["bob", "eve"] {
            password::set(&own, &people, &user(lesser), Reach::All, NewPassword::default()).await.unwrap();
        }
        // A permanent administrator can grant it permanently.
        grant(&db, &platform_cx("rbac.grant"), "ada", "admin", None).await.unwrap();
        lifecycle::update(&own, &db, &user("eve"), raised).await.unwrap();
        make_key(&db, &own, key("admin")).await.unwrap();
    }

    async fn a_key_cannot_create_a_more_powerful_key(db: TestDb) {
        let scope = tenant(&db, "acme").await;
        account(&db, scope, "ada").await;
        let networks = vec!["10.0.0.0/8".to_owned()];
        let limited = NewApiKey { expires_in: Some(2 * 86_400), networks: networks.clone(), ..key("admin") };
        let made = make_key(&db, &platform_cx("apikey.create"), limited.clone()).await.unwrap();
        let own = by_key(scope, &made);
        let inside = NewApiKey { expires_in: Some(86_400), ..limited.clone() };
        make_key(&db, &own, inside.clone()).await.unwrap();
        for role in ["admin", "user"] {
            let role = role.to_owned();
            denied(make_key(&db, &own, NewApiKey { expires_in: None, role: role.clone(), ..inside.clone() }).await, Reason::RoleAboveOwn);
            for networks in [vec![], vec!["10.1.0.0/16".to_owned(), "192.0.2.1".to_owned()]] {
                denied(make_key(&db, &own, NewApiKey { networks, role: role.clone(), ..inside.clone() }).await, Reason::RoleAboveOwn);
            }
        }
        let people = people(&db);
        denied(lifecycle::create(&own, &people, &acme(), new_user("eve", "admin")).await, Reason::RoleAboveOwn);
        lifecycle::create(&own, &people, &acme(), new_user("eve", "user")).await.unwrap();
        let soon = db.clock().now() + Duration::HOUR;
        denied(grant(&db, &own, "ada", "auditor", Some(soon)).await, Reason::CallerKindRefused);
        denied(role_grants::revoke(&own, &db, &user("ada"), &role("auditor")).await, Reason::CallerKindRefused);
        denied(password::set(&own, &people, &user("ada"), Reach::All, NewPassword::default()).await, Reason::CallerKindRefused);
        denied(second_factor::disable(&own, &db, &user("ada"), "lost").await, Reason::CallerKindRefused);
        denied(second_factor::enroll(&own, &people, &user("ada"), Reach::All).await.map(drop), Reason::CallerKindRefused);
        api_keys::revoke(&platform_cx("apikey.revoke"), &db, &acme(), &made.key.shown_id()).await.unwrap();
        assert_eq!(make_key(&db, &own, inside).await.unwrap_err().reason, Reason::CredentialsRevoked);
    }

    async fn a_tenant_cannot_bypass_a_suspension_by_the_platform(db: TestDb) {
        let scope = tenant(&db, "acme").await;
        let (ada, _) = (account(&db, scope, "ada").await, account(&db, scope, "bob").await);
        grant(&db, &platform_cx("rbac.grant"), "ada", "admin", None).await.unwrap();
        suspension::suspend(&platform_cx("user.suspend"), &db, &user("bob"), None).await.unwrap();
        let own = by_admin(scope, ada);
        let moved = UserEdit { email: Some("new@example.com".to_owned()), ..UserEdit::default() };
        denied(lifecycle::delete(&own, &db, &user("bob"), None).await, Reason::SuspensionForeign);
        denied(lifecycle::update(&own, &db, &user("bob"), moved.clone()).await, Reason::SuspensionForeign);
        lifecycle::update(&platform_cx("user.update"), &db, &user("bob"), moved.clone()).await.unwrap();
        suspension::reactivate(&platform_cx("user.reactivate"), &db, &user("bob"), None).await.unwrap();
        suspension::suspend(&own, &db, &user("bob"), None).await.unwrap();
        let gone = lifecycle::delete(&own, &db, &user("bob"), None).await.unwrap();
        assert_eq!(gone.account.status, AccountStatus::Deleted);
    }

    async fn a_suspension_by_the_platform_ends_sessions_on_every_surface(db: TestDb) {
        let scope = tenant(&db, "acme").await;
        let ada = account(&db, scope, "ada").await;
        let disable = async |cx: &Cx, disabled| {
            tenantry::warehouse::tenants::set_disabled(cx, &db, "acme", disabled).await.unwrap();
        };
        let begin = epoch(&db, ada).await;
        disable(&by_admin(scope, ada), true).await;
        assert_eq!(epoch(&db, ada).await, begin, "a suspension by the tenant itself must not end sessions");
        disable(&platform_cx("tenant.suspend"), true).await;
        assert_eq!(epoch(&db, ada).await, begin + 1);
        disable(&platform_cx("tenant.suspend"), true).await;
        assert_eq!(epoch(&db, ada).await, begin + 1, "sessions must be ended once");
        assert_eq!(tenants::find(&db, &acme()).await.unwrap().unwrap().status, tenants::Status::Suspended);
    }

    async fn a_name_cannot_be_another_accounts_address_or_the_reverse(db: TestDb) {
        let scope = tenant(&db, "acme").await;
        account(&db, scope, "ada").await;
        for place in [Some(scope), None] {
            let make = async |name: &str, email: Option<&str>| {
                let email = email.map(|email| identity::Email::read(email).unwrap());
                let login = NewAccount::login(place, name, Password::of_development("correct horse"), Role::User);
                let new = NewAccount { email, ..login };
                identity::create_account(&db, &Passwords::new(1), &platform_cx("account.create"), new).await
            };
            make("eve", Some("eve@Example.com")).await.unwrap();
            assert_eq!(make("EVE@example.com", None).await.unwrap_err().reason, Reason::AccountExists);
            make("bob@example.com", Some("bob@example.com")).await.expect("the account's own address");
            make("max@example.com", None).await.unwrap();
            assert_eq!(make("x", Some("Max@example.com")).await.unwrap_err().reason, Reason::EmailExists);
        }
        let taken = UserEdit { email: Some("max@example.com".to_owned()), ..UserEdit::default() };
        let error = lifecycle::update(&platform_cx("user.update"), &db, &user("ada"), taken).await.unwrap_err();
        assert_eq!(error.reason, Reason::EmailExists);
        assert!(accounts::find(db.store.read(), Some(scope), "ada@example.com").await.unwrap().is_some());
    }
}
