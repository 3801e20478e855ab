//! Login, on both databases: who may log in, what delays attempts, and what ends a session.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use futures::future::join_all;
use sea_orm::{ActiveValue::Set, EntityTrait, IntoActiveModel};
use tenantry::{
    audit::Denials,
    auth::{
        Sessions, Surface,
        authn::{
            keys::Keys,
            revocation::{self, Revocations},
            sessions::SessionOf,
        },
    },
    base::{
        Access, Basis, Caller, Clock, Cx, Error, Kind, Role, Secret, TenantRef, TenantScope, caller::CallerFacts,
        cx::CxFacts, error::Reason,
    },
    identity::{
        self, AccountChange, AccountStatus, Credentials, Login, NewAccount, Password, Passwords, People, TotpState,
        accounts, factor_attempts,
        login::Purpose,
        totp::{self, TotpSecret, totp_purpose},
    },
    store::{
        Exec, Fetch, Kek, Sealer, UpdateRow,
        tables::{accounts as account_rows, audit_events, recovery_codes},
    },
    tenants::{self, NewTenant},
};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::{
    db::{TestDb, cx, eventually, platform_cx},
    keys::number,
    rows::sql,
};

const PASSWORD: &str = "correct horse battery";

fn people(db: &TestDb) -> People {
    let kek = Kek::from_base64(&Kek::generate()).unwrap();
    People::new(db.store.clone(), Passwords::new(2), Sealer::new(db.store.clone(), Some(kek.into())))
}

/// The same people at a server that has seen no attempts.
fn another_server(people: &People) -> People {
    People::new(people.store.clone(), people.passwords.clone(), people.sealer.clone())
}

/// The context of a public call, from a distinct address.
fn stranger(last: u8) -> Cx {
    let facts = CxFacts::clone(&cx("auth.login", Access::None));
    Cx::new(CxFacts { client: Some(Ipv4Addr::new(192, 0, 2, last).into()), ..facts })
}

fn credentials(tenant: Option<&str>, user: &str, password: &str, code: Option<&str>) -> Credentials {
    Credentials {
        tenant: tenant.map(TenantRef::parse),
        user: user.to_owned(),
        password: Secret::new(password.to_owned()),
        code: code.map(|code| Secret::new(code.to_owned())),
    }
}

async fn tenant(db: &TestDb, name: &str) -> TenantScope {
    let name = name.to_owned();
    crate::db::write(db, &platform_cx("tenant.create"), move |tx| {
        let new = NewTenant::named(name.parse().unwrap());
        Box::pin(async move { Ok(tenants::insert(tx, &new, None).await?.1) })
    })
    .await
    .unwrap()
}

async fn account(db: &TestDb, tenant: Option<TenantScope>, username: &str, role: Role) -> Uuid {
    let new = NewAccount::login(tenant, username, Password::of_development(PASSWORD), role);
    identity::create_account(db, &Passwords::new(1), &platform_cx("account.create"), new).await.unwrap()
}

async fn change(db: &TestDb, id: Uuid, change: AccountChange) {
    crate::db::write(db, &platform_cx("user.update"), move |tx| {
        let change = change.clone();
        Box::pin(async move {
            let row = account_rows::Entity::find_by_id(id).fetch_one(tx.conn()).await?.unwrap();
            accounts::change(tx, row, &change).await
        })
    })
    .await
    .unwrap();
}

/// Sets columns of an account directly.
/// Gives a platform account a second factor, and returns its secret.
async fn enable_second_factor(db: &TestDb, people: &People, id: Uuid) -> TotpSecret {
    let secret = TotpSecret::generate();
    let sealed = people.sealer.seal(None, &totp_purpose(id), secret.bytes()).await.unwrap();
    set(db, id, move |row| {
        row.totp_state = Set(TotpState::Enabled);
        row.totp_secret = Set(Some(sealed.clone()));
    })
    .await;
    secret
}

async fn set(db: &TestDb, id: Uuid, set: impl Fn(&mut account_rows::ActiveModel) + Send + Sync + Clone + 'static) {
    crate::db::write(db, &platform_cx("test"), move |tx| {
        let set = set.clone();
        Box::pin(async move {
            let mut row = account_rows::Entity::find_by_id(id).fetch_one(tx.conn()).await?.unwrap().into_active_model();
            set(&mut row);
            row.update_row(tx.conn()).await?;
            Ok(())
        })
    })
    .await
    .unwrap();
}

fn reason(outcome: Result<Login, Error>) -> Reason {
    outcome.expect_err("the login is refused").reason
}

both_databases! {
    async fn an_account_logs_in_by_name_id_and_address_in_its_own_tenant(db: TestDb) {
        let (people, acme) = (people(&db), tenant(&db, "acme").await);
        let own = account(&db, Some(acme), "Ada", Role::Admin).await;
        let platform = account(&db, None, "ada", Role::PlatformAdmin).await;
        let email = Some(identity::Email::read("ada@example.com").unwrap());
        change(&db, own, AccountChange { email, ..AccountChange::default() }).await;
        let shown = tenantry::base::IdKind::User.show(own);
        for user in ["ADA", "ada@EXAMPLE.com", " ada ", shown.as_str()] {
            let found = identity::login(&stranger(1), &people, &credentials(Some("Acme"), user, PASSWORD, None)).await;
            let found = found.unwrap();
            assert_eq!((found.account.id, found.tenant.unwrap().name.as_str()), (own, "acme"), "{user}");
        }
        let found = identity::login(&stranger(1), &people, &credentials(None, "ada", PASSWORD, None)).await.unwrap();
        assert_eq!((found.account.id, found.tenant.is_none()), (platform, true));
        assert!(found.account.last_login_at.is_some());
    }

    async fn every_refused_login_gets_the_same_error(db: TestDb) {
        let (people, acme) = (people(&db), tenant(&db, "acme").await);
        let (_, suspended) = (account(&db, Some(acme), "ada", Role::Admin).await, account(&db, Some(acme), "bob", Role::User).await);
        let status = Some((AccountStatus::Suspended, None));
        change(&db, suspended, AccountChange { status, ..AccountChange::default() }).await;
        let invited = NewAccount { password: None, ..NewAccount::login(Some(acme), "eve", Password::of_development(""), Role::User) };
        identity::create_account(&db, &people.passwords, &platform_cx("x"), invited).await.unwrap();
        let cases = [
            (Some("acme"), "ada", "wrong"),
            (Some("acme"), "nobody", PASSWORD),
            (Some("acme"), "bob", PASSWORD),
            (Some("acme"), "eve", ""),
            (Some("nowhere"), "ada", PASSWORD),
            (None, "ada", PASSWORD),
        ];
        for (n, (place, user, password)) in (1..).zip(cases) {
            let refused = identity::login(&stranger(n), &people, &credentials(place, user, password, None)).await;
            let error = refused.unwrap_err();
            assert_eq!((error.kind, error.reason), (Kind::Unauthenticated, Reason::LoginRefused), "{place:?} {user}");
            assert_eq!(error.to_string(), "the name or password is wrong");
        }
        let cx = platform_cx("tenant.suspend");
        crate::db::write(&db, &cx, |tx| Box::pin(async move {
            let (tenant, scope) = tenants::resolve_locked(tx, &TenantRef::parse("acme")).await?;
            tenants::suspend(tx, &tenant, scope).await
        }))
        .await
        .unwrap();
        let refused = identity::login(&stranger(50), &people, &credentials(Some("acme"), "ada", PASSWORD, None)).await;
        assert_eq!(reason(refused), Reason::LoginRefused, "a login in a suspended tenant must be refused");
    }

    async fn an_imported_hash_is_replaced_at_the_first_login(db: TestDb) {
        let (people, id) = (people(&db), account(&db, None, "ada", Role::PlatformAdmin).await);
        let foreign = bcrypt::hash(PASSWORD, 4).unwrap();
        set(&db, id, move |row| row.password_hash = Set(foreign.clone())).await;
        for _ in 0..2 {
            identity::login(&stranger(1), &people, &credentials(None, "ada", PASSWORD, None)).await.unwrap();
        }
        let row = account_rows::Entity::find_by_id(id).one(db.read()).await.unwrap().unwrap();
        assert!(row.password_hash.starts_with("$argon2id$"));
    }

    async fn concurrent_logins_may_replace_an_imported_hash(db: TestDb) {
        let (people, id) = (people(&db), account(&db, None, "ada", Role::PlatformAdmin).await);
        let foreign = bcrypt::hash(PASSWORD, 4).unwrap();
        set(&db, id, move |row| row.password_hash = Set(foreign.clone())).await;
        let logins = futures::future::join_all((0..6).map(|_| async {
            identity::login(&stranger(1), &people, &credentials(None, "ada", PASSWORD, None)).await.map(drop)
        }));
        for login in logins.await {
            login.unwrap();
        }
    }

    async fn a_code_of_the_second_factor_is_valid_once(db: TestDb) {
        let (people, id) = (people(&db), account(&db, None, "ada", Role::PlatformAdmin).await);
        let secret = enable_second_factor(&db, &people, id).await;
        let attempt = async |code: Option<&str>, last| {
            identity::login(&stranger(last), &people, &credentials(None, "ada", PASSWORD, code)).await
        };
        assert_eq!(reason(attempt(None, 1).await), Reason::SecondFactorRequired);
        assert_eq!(reason(attempt(Some("000000"), 2).await), Reason::SecondFactorInvalid);
        let code = current_code(&secret);
        let at_once = join_all((10..14).map(|last| attempt(Some(&code), last))).await;
        assert_eq!(at_once.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{at_once:?}");
        assert_eq!(reason(attempt(Some(&code), 3).await), Reason::SecondFactorInvalid, "a code must not be accepted twice");

        let code = totp::recovery_codes(1).remove(0);
        let row = recovery_codes::Model {
            account_id: id,
            code_hash: totp::recovery_hash(&code),
            created_at: Clock::system().now().into(),
        };
        crate::db::write(&db, &platform_cx("x"), move |tx| {
            let row = row.clone();
            Box::pin(async move {
                recovery_codes::Entity::insert(row.into_active_model()).run(tx.conn()).await?;
                Ok(())
            })
        })
        .await
        .unwrap();
        attempt(Some(&code), 4).await.unwrap();
        assert_eq!(reason(attempt(Some(&code), 5).await), Reason::SecondFactorInvalid, "a recovery code must not be accepted twice");
    }

    async fn attempts_at_second_factor_codes_are_limited(db: TestDb) {
        let (people, id) = (people(&db), account(&db, None, "ada", Role::PlatformAdmin).await);
        enable_second_factor(&db, &people, id).await;
        let mut reasons = Vec::new();
        for last in 1..=7 {
            let wrong = credentials(None, "ada", PASSWORD, Some("000000"));
            reasons.push(reason(identity::login(&stranger(last), &another_server(&people), &wrong).await));
        }
        assert_eq!(reasons[..5], [Reason::SecondFactorInvalid; 5]);
        assert_eq!(reasons[5..], [Reason::TooManyAttempts; 2], "the limit must not depend on the address or server");
        sql(&db, "UPDATE factor_attempts SET window_ends = window_ends - 900000000".to_owned()).await.unwrap();
        for last in 8..=13 {
            let wrong = credentials(None, "ada", PASSWORD, Some("000000"));
            reasons.push(reason(identity::login(&stranger(last), &another_server(&people), &wrong).await));
        }
        assert_eq!(reasons[7..12], [Reason::SecondFactorInvalid; 5], "a new window");
        assert_eq!(reasons[12], Reason::TooManyAttempts);
        sql(&db, "UPDATE factor_attempts SET window_ends = window_ends + 86400000000".to_owned()).await.unwrap();
        let wrong = credentials(None, "ada", PASSWORD, Some("000000"));
        let after = identity::login(&stranger(14), &another_server(&people), &wrong).await;
        assert_eq!(reason(after), Reason::SecondFactorInvalid, "the clock was set back");
        let gone = factor_attempts::begin(&db, Uuid::now_v7()).await.unwrap_err();
        assert_eq!(gone.kind, Kind::NotFound, "the account was deleted during the login: {gone:?}");
    }

    async fn a_login_with_a_code_clears_the_attempts(db: TestDb) {
        let (people, id) = (people(&db), account(&db, None, "ada", Role::PlatformAdmin).await);
        let secret = enable_second_factor(&db, &people, id).await;
        let attempt = async |code: &str, last| {
            let given = credentials(None, "ada", PASSWORD, Some(code));
            identity::login(&stranger(last), &another_server(&people), &given).await
        };
        for last in 1..=4 {
            assert_eq!(reason(attempt("000000", last).await), Reason::SecondFactorInvalid);
        }
        attempt(&current_code(&secret), 5).await.unwrap();
        for last in 6..=10 {
            assert_eq!(reason(attempt("000000", last).await), Reason::SecondFactorInvalid);
        }
        assert_eq!(reason(attempt("000000", 11).await), Reason::TooManyAttempts);
    }

    async fn a_caller_that_lost_access_writes_nothing_more(db: TestDb) {
        let (people, acme) = (people(&db), tenant(&db, "acme").await);
        let id = account(&db, Some(acme), "ada", Role::Admin).await;
        let login = identity::login(&stranger(1), &people, &credentials(Some("acme"), "ada", PASSWORD, None)).await;
        let login = login.unwrap();
        let basis = Basis::Account { id, epoch: login.account.epoch };
        let facts = CxFacts::clone(&platform_cx("tenant.update"));
        let caller = Caller::new(CallerFacts { account: Some(id), basis, ..CallerFacts::clone(&facts.caller) });
        let cx = Cx::new(CxFacts { caller, ..facts });
        let write = async || crate::db::write(&db, &cx, |_| Box::pin(async { Ok(()) })).await;
        write().await.unwrap();
        change(&db, id, AccountChange { end_sessions: true, ..AccountChange::default() }).await;
        assert_eq!(write().await.unwrap_err().reason, Reason::CredentialsRevoked);
    }

    async fn a_session_ends_with_the_access_of_its_account(db: TestDb) {
        let (people, acme) = (people(&db), tenant(&db, "acme").await);
        let id = account(&db, Some(acme), "ada", Role::Admin).await;
        let revocations = Revocations::default();
        revocation::load(&db, &revocations, None).await.unwrap();
        let denials = Denials::new(db.clock().clone());
        let sessions = Sessions::new(people, Arc::new(Keys::ephemeral()), denials.clone());
        let begin = async || {
            let login = sessions.log_in(&stranger(1), &credentials(Some("acme"), "ada", PASSWORD, None), &Purpose::Nothing).await.unwrap();
            sessions.begin(&SessionOf::login(&login), Surface::Warehouse, Duration::from_secs(600)).unwrap().claims
        };
        let first = begin().await;
        assert_eq!((first.sub.as_str(), first.role.as_str(), first.aud.as_slice()), ("acme/ada", "admin", &["warehouse".to_owned()][..]));
        assert!(revocations.check(&first).is_ok());
        change(&db, id, AccountChange { role: Some(Role::User), end_sessions: true, ..AccountChange::default() }).await;
        revocation::load(&db, &revocations, None).await.unwrap();
        assert_eq!(revocations.check(&first).unwrap_err().reason, Reason::CredentialsRevoked);
        let second = begin().await;
        assert_eq!(second.role, "user");
        assert!(revocations.check(&second).is_ok());
        change(&db, id, AccountChange { status: Some((AccountStatus::Deleted, None)), end_sessions: true, ..AccountChange::default() }).await;
        let restarted = Revocations::default();
        revocation::load(&db, &restarted, None).await.unwrap();
        assert!(restarted.check(&second).is_err(), "a session of a deleted account was accepted after a restart");
        account(&db, Some(acme), "ada", Role::User).await;

        let refused = sessions.log_in(&stranger(2), &credentials(Some("acme"), "ada", "wrong", None), &Purpose::Nothing).await;
        assert_eq!(reason(refused), Reason::LoginRefused);
        assert!(denials.take(true).iter().any(|(_, calls)| calls.tried == ["(ada?)"]));
    }

    async fn every_login_is_audited_under_the_account(db: TestDb) {
        let people = people(&db);
        account(&db, None, "ada", Role::PlatformAdmin).await;
        identity::login(&stranger(1), &people, &credentials(None, "ada", PASSWORD, None)).await.unwrap();
        let events = audit_events::Entity::find().all(db.read()).await.unwrap();
        let login = events.iter().find(|event| event.action == "auth.login").unwrap();
        assert_eq!((login.caller_subject.as_str(), login.target.as_str()), ("ada", "ada"));
        assert!(!events.iter().any(|event| event.details.contains(PASSWORD)));
    }

    async fn secrets_are_sealed_for_their_tenant(db: TestDb) {
        let (one, other) = (tenant(&db, "one").await.tenant(), tenant(&db, "other").await.tenant());
        let kek = Kek::from_base64(&Kek::generate()).unwrap();
        let sealer = || Sealer::new(db.store.clone(), Some(kek.clone().into()));
        let first = sealer();
        let sealed = join_all((0..4).map(|_| first.seal(Some(one), "test", b"secret"))).await;
        for sealed in sealed {
            let sealed = sealed.unwrap();
            assert_eq!(sealer().open(Some(one), "test", &sealed).await.unwrap().expose(), b"secret");
            assert!(sealer().open(Some(other), "test", &sealed).await.is_err());
            assert!(sealer().open(Some(one), "other", &sealed).await.is_err());
        }
        let bare = Sealer::new(db.store.clone(), None).seal(None, "test", b"x").await.unwrap_err();
        assert!(bare.reason == Reason::KekMissing && bare.to_string().contains("TENANTRY_KEK"), "{bare}");
    }
}

/// Only on PostgreSQL: the single writer of SQLite runs the two one after the other.
#[tokio::test]
async fn a_login_concurrent_with_a_suspension_is_refused() {
    let db = crate::db::postgres().await;
    let people = people(&db);
    let id = account(&db, None, "ada", Role::PlatformAdmin).await;
    let (made, commit) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (store, is_made, may_commit) = (db.store.clone(), made.clone(), commit.clone());
    let suspension = tokio::spawn(async move {
        let cx = platform_cx("user.update");
        let written = crate::db::write(&store, &cx, move |tx| {
            let (made, commit) = (is_made.clone(), may_commit.clone());
            Box::pin(async move {
                let row = account_rows::Entity::find_by_id(id).fetch_one(tx.conn()).await?.unwrap();
                let status = Some((AccountStatus::Suspended, None));
                accounts::change(tx, row, &AccountChange { status, ..AccountChange::default() }).await?;
                made.notify_one();
                commit.notified().await;
                Ok(())
            })
        });
        written.await
    });
    made.notified().await;
    let login =
        tokio::spawn(
            async move { identity::login(&stranger(1), &people, &credentials(None, "ada", PASSWORD, None)).await },
        );
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    eventually("the login waits for the account", async || number(&db, waiting).await > 0).await;
    commit.notify_one();
    suspension.await.unwrap().unwrap();
    assert_eq!(reason(login.await.unwrap()), Reason::LoginRefused);
}

/// The current code, as an authenticator app computes it.
fn current_code(secret: &TotpSecret) -> String {
    let app = totp_rs::Builder::new().with_secret(secret.bytes().to_vec()).build().unwrap();
    app.generate_current().to_string()
}
