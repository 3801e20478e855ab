//! Servers with wrong clocks, on both databases: revocations, leases and orders must not depend on them.

use std::time::{Duration, Instant};

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use tenantry::{
    auth::{
        Surface,
        authn::{
            revocation::{self, KEPT, Revocations},
            tokens::Claims,
        },
        jobs::ReadRevocations,
    },
    base::{Clock, Role, TenantRef, TenantScope, error::Reason},
    identity::{self, NewAccount, Password, Passwords, accounts, sessions::revocations},
    jobs::{self, Leases, Run, store::relay::Relay},
    store::{
        Keyring, SessionsOf, Store, StoreConfig, Tx,
        sealing::reseal,
        tables::{audit_events, outbox, revoked_tokens},
    },
    tenants,
};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::db::{TestDb, eventually, platform_cx};

const OFF: time::Duration = time::Duration::minutes(10);
/// Time limit for a revocation: more than the specified half second, because the machine may be busy, and far
/// less than the minute after which everything is read again.
const SOON: Duration = Duration::from_secs(5);

/// Another server on the database, with a clock offset.
async fn server(db: &TestDb, off: time::Duration) -> Store {
    let clock = Clock::manual(OffsetDateTime::now_utc() + off);
    Store::open(StoreConfig { clock, ..StoreConfig::new(&db.url) }).await.unwrap()
}

fn follow(store: &Store, known: &Revocations, stop: &CancellationToken) -> impl Future<Output = ()> + use<> {
    jobs::follow(ReadRevocations::new(known, store), store.clone(), stop.clone())
}

async fn account(db: &TestDb, name: &str) -> Uuid {
    let password = Password::of_development("correct horse");
    let new = NewAccount::login(None, name, password, Role::PlatformAdmin);
    identity::create_account(db, &Passwords::new(1), &platform_cx("account.create"), new).await.unwrap()
}

async fn new_password(store: &Store, name: &str) {
    let (cx, password) = (platform_cx("account.set_password"), Password::of_development("another one"));
    identity::set_password(store, &Passwords::new(1), &cx, None, name, password).await.unwrap();
}

fn session(account: Option<Uuid>) -> Claims {
    let (role, ttl) = (Role::PlatformAdmin, Duration::from_secs(3600));
    let minted = Claims::minted("x".into(), role, &[Surface::Native], ttl, &Clock::system());
    Claims { account, epoch: account.map(|_| 0), ..minted }
}

fn is_revoked(revocations: &Revocations, claims: &Claims) -> bool {
    revocations.check(claims).is_err_and(|error| error.reason == Reason::CredentialsRevoked)
}

async fn revoke(store: &Store, token: &Claims) {
    let end = OffsetDateTime::from_unix_timestamp(token.exp).unwrap();
    revocations::revoke_token(store, &platform_cx("token.revoke"), token.jti.clone(), end).await.unwrap();
}

/// A UUID literal in SQL: SQLite stores its bytes.
fn literal(db: &TestDb, id: Uuid) -> String {
    if db.is_sqlite() { format!("x'{}'", id.simple()) } else { format!("'{id}'") }
}

both_databases! {
    async fn a_wrong_clock_delays_no_revocation(db: TestDb) {
        let (ada, bob) = (account(&db, "ada").await, account(&db, "bob").await);
        let clocks = [time::Duration::ZERO, OFF, -OFF];
        let (mut readers, stop) = (Vec::new(), CancellationToken::new());
        for off in clocks {
            let known = Revocations::default();
            tokio::spawn(follow(&server(&db, off).await, &known, &stop));
            eventually("the first reading", || async { known.check(&session(None)).is_ok() }).await;
            readers.push(known);
        }
        let all_know = async |what: &str, claims: &Claims| {
            let began = Instant::now();
            eventually(what, || async { readers.iter().all(|known| is_revoked(known, claims)) }).await;
            assert!(began.elapsed() < SOON, "{what} took {:?}", began.elapsed());
        };
        // Changes by a server whose clock is ahead must not hide later ones by others, and the reverse.
        let fast = server(&db, OFF).await;
        new_password(&fast, "bob").await;
        all_know("the password that the fast server changed", &session(Some(bob))).await;
        for off in clocks {
            let token = session(None);
            revoke(&server(&db, off).await, &token).await;
            all_know(&format!("a token that was revoked {off} off"), &token).await;
        }
        let slow = server(&db, -OFF).await;
        new_password(&slow, "ada").await;
        all_know("the password that the slow server changed", &session(Some(ada))).await;
        stop.cancel();
    }

    async fn revisions_become_visible_in_order(db: TestDb) {
        let tokens: Vec<_> = (0..30).map(|_| session(None)).collect();
        let writers = [server(&db, OFF).await, server(&db, -OFF).await, db.store.clone()];
        let (known, mut seen) = (Revocations::default(), None);
        // Each server writes sequentially, and all servers write concurrently.
        let writing = futures::future::join_all(writers.iter().enumerate().map(|(n, writer)| {
            let own: Vec<_> = tokens.iter().skip(n).step_by(writers.len()).collect();
            async move {
                for token in own {
                    revoke(writer, token).await;
                }
            }
        }));
        let reading = async {
            // Each read continues after the previous one; a complete read would not prove anything.
            while tokens.iter().any(|token| !is_revoked(&known, token)) {
                seen = Some(revocation::load(&db, &known, seen).await.unwrap());
                tokio::task::yield_now().await;
            }
        };
        let both = async { tokio::join!(writing, reading) };
        tokio::time::timeout(Duration::from_secs(120), both).await.expect("every revocation is seen");
    }

    async fn a_revocation_takes_effect_immediately_where_it_was_made(db: TestDb) {
        let ada = account(&db, "ada").await;
        let known = Revocations::default();
        revocation::load(&db, &known, None).await.unwrap();
        db.on_revocation(known.listener());
        for _ in 0..20 {
            let token = session(None);
            assert!(known.check(&token).is_ok());
            revoke(&db, &token).await;
            assert!(is_revoked(&known, &token));
        }
        assert!(known.check(&session(Some(ada))).is_ok());
        new_password(&db, "ada").await;
        assert!(is_revoked(&known, &session(Some(ada))));
    }

    async fn a_second_revocation_of_an_account_is_not_another_history(db: TestDb) {
        let ada = account(&db, "ada").await;
        revoke(&db, &session(None)).await;
        new_password(&db, "ada").await;
        let mut known = revocations::revoked_after(&db, None).await.unwrap();
        // Waits until concurrent changes on the database server are settled.
        while !(known.tokens.is_empty() && known.accounts.is_empty()) {
            known = revocations::revoked_after(&db, Some(&known.seen)).await.unwrap();
        }
        new_password(&db, "ada").await;
        let news = revocations::revoked_after(&db, Some(&known.seen)).await.unwrap();
        assert_eq!((news.tokens.len(), news.accounts.as_slice()), (0, &[(ada, 2)][..]), "only the new revocation must be read");
    }

    async fn all_sessions_of_a_tenant_end_together(db: TestDb) {
        let scope = crate::rows::tenant(&db, "acme").await;
        let password = Password::of_development("correct horse");
        let new = NewAccount::login(Some(scope), "ada", password, Role::Admin);
        let ada = identity::create_account(&db, &Passwords::new(1), &platform_cx("x"), new).await.unwrap();
        let (here, elsewhere) = (Revocations::default(), Revocations::default());
        let seen = revocation::load(&db, &elsewhere, None).await.unwrap();
        revocation::load(&db, &here, None).await.unwrap();
        db.on_revocation(here.listener());
        let cx = platform_cx("x");
        let end = async |tx: &Tx, scope: &TenantScope| tx.end_sessions(SessionsOf::Tenant(*scope)).await;
        assert_eq!(db.write(&cx, scope, end).await.unwrap(), 1);
        assert!(is_revoked(&here, &session(Some(ada))));
        revocation::load(&db, &elsewhere, Some(seen)).await.unwrap();
        assert!(is_revoked(&elsewhere, &session(Some(ada))));
        assert!(accounts::exists(&db, Some(scope), "ada").await.unwrap());
    }

    async fn a_clock_that_is_ahead_keeps_revocations(db: TestDb) {
        let token = session(None);
        revoke(&db, &token).await;
        let end = OffsetDateTime::from_unix_timestamp(token.exp).unwrap();
        let fast = server(&db, time::Duration::hours(2)).await;
        let known = Revocations::default();
        let stop = CancellationToken::new();
        let follower = tokio::spawn(follow(&fast, &known, &stop));
        eventually("the first reading", || async { known.check(&session(None)).is_ok() }).await;
        assert_eq!(revocation::prune(&fast, 1000).await.unwrap(), 0);
        stop.cancel();
        follower.await.unwrap();
        assert!(is_revoked(&known, &token), "a revocation was lost when the clock was set back");
        let restarted = Revocations::default();
        revocation::load(&db, &restarted, None).await.unwrap();
        assert!(is_revoked(&restarted, &token), "a restarted server does not know the revocation");
        assert_eq!(revocations::prune(&db, end + time::Duration::seconds(KEPT), 1000).await.unwrap(), 1);
        assert!(revoked_tokens::Entity::find().one(db.read()).await.unwrap().is_none());
    }

    async fn a_database_with_another_history_is_read_completely(db: TestDb) {
        let (ada, bob) = (account(&db, "ada").await, account(&db, "bob").await);
        let known = Revocations::default();
        let (kept, lost) = (session(None), session(None));
        revoke(&db, &kept).await;
        revoke(&db, &lost).await;
        let seen = revocation::load(&db, &known, None).await.unwrap();
        assert!(is_revoked(&known, &lost));
        // A standby without the last revocation takes over, assigns its revision to another one, and continues from
        // there before the server reads again.
        let row = revoked_tokens::Entity::find_by_id(&lost.jti).one(db.read()).await.unwrap().unwrap();
        let late = session(None);
        let statement = format!(
            "UPDATE revoked_tokens SET jti = '{}' WHERE jti = '{}'; UPDATE accounts SET epoch = 1, epoch_revision = {} \
             WHERE id = {}",
            late.jti,
            lost.jti,
            row.revision,
            literal(&db, bob),
        );
        for statement in statement.split("; ") {
            crate::rows::sql(&db, statement.to_owned()).await.unwrap();
        }
        let after = session(None);
        revoke(&db, &after).await;
        let seen = revocation::load(&db, &known, Some(seen)).await.unwrap();
        for (claims, what) in [(&after, "the next"), (&late, "one under an earlier revision"), (&session(Some(bob)), "an account")] {
            assert!(is_revoked(&known, claims), "{what}");
        }
        assert!(is_revoked(&known, &lost), "a known revocation was lost");
        assert!(known.check(&session(Some(ada))).is_ok());
        // The same with an account as the last revocation seen.
        new_password(&db, "ada").await;
        let seen = revocation::load(&db, &known, Some(seen)).await.unwrap();
        assert!(is_revoked(&known, &session(Some(ada))));
        let (late, after) = (session(None), session(None));
        revoke(&db, &late).await;
        let number = "SELECT max(epoch_revision) FROM accounts";
        let statement = format!("UPDATE revoked_tokens SET revision = ({number}) WHERE jti = '{}'", late.jti);
        crate::rows::sql(&db, statement).await.unwrap();
        let statement = format!("UPDATE accounts SET epoch = 0, epoch_revision = 0 WHERE id = {}", literal(&db, ada));
        crate::rows::sql(&db, statement).await.unwrap();
        revoke(&db, &after).await;
        revocation::load(&db, &known, Some(seen)).await.unwrap();
        assert!(is_revoked(&known, &late) && is_revoked(&known, &after));
    }

    async fn a_lease_is_lost_by_missed_renewals_and_not_by_a_clock(db: TestDb) {
        let ttl = Duration::from_millis(300);
        let slow = Leases::new(&server(&db, -OFF).await, "slow");
        let lease = slow.take("test", ttl).await.unwrap().expect("a free lease");
        let fast = Leases::new(&server(&db, OFF).await, "fast");
        let right = Leases::new(&db, "right");
        let hold = async || {
            let lease = lease.clone();
            crate::db::write(&db, &platform_cx("x"), move |tx| {
                let lease = lease.clone();
                Box::pin(async move { lease.hold(tx).await })
            })
            .await
            .unwrap()
        };
        let began = Instant::now();
        while began.elapsed() < 3 * ttl {
            assert!(hold().await, "the lease is not held");
            for other in [&fast, &right] {
                let taken = other.take("test", ttl).await.unwrap();
                assert_eq!(taken, None, "a renewed lease was taken over because of differing clocks");
            }
            tokio::time::sleep(ttl / 20).await;
        }
        // A crashed holder does not renew, whatever expiry its clock has written.
        let gone = fast.take("other", ttl).await.unwrap().expect("a free lease");
        let began = Instant::now();
        eventually("the lease of the silent one", || async {
            right.take("other", ttl).await.unwrap().is_some()
        })
        .await;
        assert!((ttl..SOON).contains(&began.elapsed()), "{:?}", began.elapsed());
        let cx = platform_cx("x");
        let lost = crate::db::write(&db, &cx, move |tx| {
            let gone = gone.clone();
            Box::pin(async move { gone.hold(tx).await })
        });
        assert!(!lost.await.unwrap(), "a stale holder still had the lease");
    }
}

/// Only on PostgreSQL: on SQLite the clock of the database is that of its single server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_days_ahead_expires_nothing_early() {
    let db = crate::db::postgres().await;
    let fast = server(&db, time::Duration::days(60)).await;
    // Revocations, in the database and in the memory of the server.
    let token = session(None);
    revoke(&db, &token).await;
    let (known, stop) = (Revocations::default(), CancellationToken::new());
    let follower = tokio::spawn(follow(&fast, &known, &stop));
    eventually("the first reading", || async { known.check(&session(None)).is_ok() }).await;
    assert_eq!(revocation::prune(&fast, 1000).await.unwrap(), 0);
    stop.cancel();
    follower.await.unwrap();
    assert!(is_revoked(&known, &token), "a revocation was lost when the clock was set back");
    let restarted = Revocations::default();
    revocation::load(&db, &restarted, None).await.unwrap();
    assert!(is_revoked(&restarted, &token), "a restarted server does not know the revocation");
    // Tenants in their grace period, whichever server deleted them.
    let slow = server(&db, -time::Duration::days(60)).await;
    for (store, name) in [(&db.store, "acme"), (&slow, "dock")] {
        let scope = crate::rows::tenant(&db, name).await;
        let cx = platform_cx("tenant.delete");
        let deleted = crate::db::write(store, &cx, move |tx| {
            Box::pin(async move {
                let named = TenantRef::Id(scope.tenant());
                let (tenant, scope) = tenants::resolve_locked(tx, &named).await?;
                tenants::deprovision(tx, &tenant, scope, tenants::GRACE).await
            })
        });
        deleted.await.unwrap();
        assert_eq!(tenants::purge_due(&fast).await.unwrap(), 0, "{name}");
        assert_eq!(tenants::purge_due(&db).await.unwrap(), 0, "{name}");
    }
    // Replaced data keys, whichever server created them.
    let ring = Keyring::from(crate::keys::kek());
    let sealed = crate::keys::sealer(&db, ring.clone()).seal(None, "x", b"secret").await.unwrap();
    for store in [&db.store, &slow] {
        let run = reseal::begin(store, &ring).await.unwrap().unwrap();
        assert_eq!(reseal::renew(store, &ring, run, |_| ()).await.unwrap(), 1);
        reseal::end(store, serde_json::json!({})).await.unwrap();
        for pruning in [&fast, &db.store] {
            assert_eq!(reseal::prune(pruning, reseal::InUse::new()).await.unwrap(), 0);
        }
    }
    assert!(
        crate::keys::sealer(&db, ring).open(None, "x", &sealed).await.is_ok(),
        "a response that was stored just now"
    );
    // Released names.
    let scope = crate::rows::tenant(&db, "gone").await;
    let before = OffsetDateTime::now_utc() - time::Duration::SECOND;
    let cx = platform_cx("tenant.delete");
    let deleted = crate::db::write(&slow, &cx, move |tx| {
        Box::pin(async move {
            let (tenant, scope) = tenants::resolve_locked(tx, &TenantRef::Id(scope.tenant())).await?;
            tenants::delete(tx, &tenant, scope).await
        })
    });
    deleted.await.unwrap();
    let released = tenants::released_at(&db, "gone").await.unwrap().unwrap();
    assert!(released > before, "an older token for the name would be valid for the next tenant: {released}");
}

/// Only on PostgreSQL: the single writer of SQLite numbers events in its transaction, so none are waiting.
#[tokio::test]
async fn events_are_numbered_in_the_order_of_writing() {
    let db = crate::db::postgres().await;
    // Each write begins after the previous one has committed, and its writer's clock is behind the previous writer's.
    for number in 0..5_u64 {
        let id = Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, 2_000_000_000 - 60 * number, 0));
        let at = tenantry::store::Stamp::from(OffsetDateTime::UNIX_EPOCH);
        let row = outbox::ActiveModel {
            id: sea_orm::Set(id),
            revision: sea_orm::Set(None),
            topic: sea_orm::Set("test".to_owned()),
            tenant_id: sea_orm::Set(None),
            key: sea_orm::Set(number.to_string()),
            payload: sea_orm::Set("{}".to_owned()),
            created_at: sea_orm::Set(at),
        };
        outbox::Entity::insert(row).exec_without_returning(db.read()).await.unwrap();
        let text = || sea_orm::Set(String::new());
        let event = audit_events::ActiveModel {
            id: sea_orm::Set(id),
            seq: sea_orm::Set(None),
            prev_hash: sea_orm::Set(None),
            hash: sea_orm::Set(None),
            at: sea_orm::Set(at),
            caller_subject: text(),
            caller_role: text(),
            caller_kind: text(),
            tenant_id: sea_orm::Set(None),
            action: text(),
            target: sea_orm::Set(number.to_string()),
            outcome: text(),
            request_id: text(),
            rpc: text(),
            details: sea_orm::Set("{}".to_owned()),
        };
        audit_events::Entity::insert(event).exec_without_returning(db.read()).await.unwrap();
    }
    Relay::new(&db).step(&Run::unleased()).await.unwrap();
    let rows = outbox::Entity::find().filter(outbox::Column::Topic.eq("test"));
    let rows = rows.order_by_asc(outbox::Column::Revision).all(db.read()).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(), ["0", "1", "2", "3", "4"]);
    let events = audit_events::Entity::find().order_by_asc(audit_events::Column::Seq).all(db.read()).await.unwrap();
    let written: Vec<_> = events.iter().map(|event| event.target.as_str()).collect();
    assert_eq!(written, ["0", "1", "2", "3", "4"]);
}
