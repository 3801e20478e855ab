//! Keys that seal secrets: without the database's key nothing is sealed or opened.

use std::process::Stdio;

use futures::{StreamExt, stream};
use sea_orm::{ConnectionTrait, QueryResult, Statement};
use serde_json::json;
use tenantry::{
    base::{Kind, Result, TenantId, error::Reason},
    store::{
        Kek, Keyring, Sealer, Store,
        sealing::{
            keyring::{self, Fit},
            rotation::{self, Rotated},
        },
    },
    tenants::{self, NewTenant},
};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::{
    db::{TestDb, platform_cx},
    harness::{
        eventually,
        http::{Answer, Http},
        server::Setup,
    },
};

pub fn kek() -> Kek {
    Kek::from_base64(&Kek::generate()).unwrap()
}

pub fn sealer(db: &TestDb, ring: impl Into<Keyring>) -> Sealer {
    Sealer::new(db.store.clone(), Some(ring.into()))
}

pub async fn make_tenants(store: &Store, count: usize) -> Vec<TenantId> {
    let cx = platform_cx("tenant.create");
    let made = crate::db::write(store, &cx, move |tx| {
        Box::pin(async move {
            let mut made = Vec::new();
            for n in 0..count {
                let new = NewTenant::named(format!("tenant-{n}").parse().unwrap());
                made.push(tenants::insert(tx, &new, None).await?.1.tenant());
            }
            Ok(made)
        })
    });
    made.await.unwrap()
}

/// Seals a secret for each tenant, alternating between sealers, several at a time.
async fn seal_all(vaults: &[&Sealer], tenants: &[TenantId]) -> Vec<Result<String>> {
    let seals =
        tenants.iter().enumerate().map(|(n, tenant)| vaults[n % vaults.len()].seal(Some(*tenant), "x", b"secret"));
    stream::iter(seals).buffered(8).collect().await
}

pub async fn rows(store: &Store, sql: &str) -> Vec<QueryResult> {
    store.orm().query_all_raw(Statement::from_string(store.backend(), sql)).await.unwrap()
}

pub async fn number(store: &Store, sql: &str) -> i64 {
    rows(store, sql).await[0].try_get_by_index(0).unwrap()
}

/// The ids of the keys that data keys are sealed with, without duplicates.
async fn sealed_with(store: &Store) -> Vec<Option<String>> {
    let rows = rows(store, "SELECT DISTINCT kek FROM data_keys ORDER BY kek").await;
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

pub async fn execute(store: &Store, sql: &'static str) {
    let cx = platform_cx("x");
    let done = crate::db::write(store, &cx, move |tx| {
        Box::pin(async move {
            tx.conn().execute_unprepared(sql).await?;
            Ok(())
        })
    });
    done.await.unwrap();
}

both_databases! {
    async fn a_key_other_than_the_databases_seals_and_opens_nothing(db: TestDb) {
        let tenants = make_tenants(&db, 2).await;
        let (own, other) = (kek(), kek());
        assert_eq!(sealer(&db, other.clone()).fit().await.unwrap(), Fit::Fits, "without sealed values every key must fit");
        let sealed = sealer(&db, own.clone()).seal(Some(tenants[0]), "x", b"secret").await.unwrap();
        let wrong = sealer(&db, other.clone());
        assert_eq!(wrong.fit().await.unwrap(), Fit::Other(Some(own.id().to_owned())));
        let refusal = wrong.verify().await.unwrap_err().to_string();
        assert!(refusal.contains("TENANTRY_KEK") && refusal.contains(own.id()), "{refusal}");
        for tenant in [Some(tenants[0]), Some(tenants[1]), None] {
            let error = wrong.seal(tenant, "x", b"secret").await.unwrap_err();
            assert_eq!((error.kind, error.reason), (Kind::Unavailable, Reason::KekMissing), "{error}");
        }
        assert_eq!(wrong.open(Some(tenants[0]), "x", &sealed).await.unwrap_err().kind, Kind::Unavailable);
        assert_eq!(number(&db, "SELECT count(*) FROM data_keys").await, 1, "the other key must not have sealed anything");
        let right = sealer(&db, own);
        assert_eq!(right.open(Some(tenants[0]), "x", &sealed).await.unwrap().expose(), b"secret");
        right.seal(Some(tenants[1]), "x", b"secret").await.unwrap();
        right.verify().await.unwrap();
        let none = Sealer::new(db.store.clone(), None);
        assert_eq!(none.fit().await.unwrap(), Fit::Missing);
        assert!(none.verify().await.unwrap_err().to_string().contains("set TENANTRY_KEK"));
    }

    async fn servers_with_different_keys_do_not_split_the_tenants(db: TestDb) {
        let tenants = make_tenants(&db, 40).await;
        let replica = db.replica().await;
        let vaults = [sealer(&db, kek()), Sealer::new(replica, Some(kek().into()))];
        let outcomes = seal_all(&[&vaults[0], &vaults[1]], &tenants).await;
        let kinds: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).map(|error| error.kind).collect();
        assert_eq!(kinds, vec![Kind::Unavailable; 20], "every seal with the other key must fail");
        assert_eq!(sealed_with(&db).await.len(), 1);
    }

    async fn an_older_database_identifies_its_key_by_its_data_keys(db: TestDb) {
        let tenants = make_tenants(&db, 2).await;
        let (own, other) = (kek(), kek());
        let sealed = sealer(&db, own.clone()).seal(Some(tenants[0]), "x", b"secret").await.unwrap();
        execute(&db, "UPDATE data_keys SET kek = NULL").await;
        execute(&db, "DELETE FROM key_encryption").await;
        let wrong = sealer(&db, other);
        assert_eq!(wrong.fit().await.unwrap(), Fit::Other(None));
        assert_eq!(wrong.seal(Some(tenants[1]), "x", b"secret").await.unwrap_err().kind, Kind::Unavailable);
        let right = sealer(&db, own.clone());
        right.verify().await.unwrap();
        assert_eq!(right.open(Some(tenants[0]), "x", &sealed).await.unwrap().expose(), b"secret");
        right.seal(Some(tenants[1]), "x", b"secret").await.unwrap();
        assert_eq!(sealed_with(&db).await.into_iter().flatten().collect::<Vec<_>>(), [own.id()]);
        assert_eq!(keyring::fit(db.store.read(), Some(&own.into())).await.unwrap(), Fit::Fits);
    }

    async fn a_data_key_that_does_not_open_is_found_at_startup(db: TestDb) {
        let tenants = make_tenants(&db, 2).await;
        let (old, new) = (kek(), kek());
        let before = sealer(&db, old.clone());
        seal_all(&[&before], &tenants).await.into_iter().for_each(|sealed| drop(sealed.unwrap()));
        execute(&db, "UPDATE data_keys SET kek = NULL").await;
        // The state after a rotation was killed before its first page was done.
        let turned = format!("UPDATE key_encryption SET kek = '{}'", new.id());
        execute(&db, Box::leak(turned.into_boxed_str())).await;
        let alone = sealer(&db, new.clone());
        assert_eq!(alone.fit().await.unwrap(), Fit::Fits, "fit compares only the recorded key id");
        let left = alone.verify().await.unwrap_err();
        assert!(left.kind == Kind::Unavailable && left.to_string().contains("TENANTRY_KEK_PREVIOUS"), "{left}");
        sealer(&db, Keyring::new(new, Some(old))).verify().await.unwrap();
    }

    async fn the_key_is_rotated_while_servers_seal_and_open(db: TestDb) {
        let tenants = make_tenants(&db, 250).await;
        let (old, new) = (kek(), kek());
        let before = sealer(&db, old.clone());
        let sealed = seal_all(&[&before], &tenants[..200]).await;
        let sealed: Vec<_> = sealed.into_iter().map(Result::unwrap).collect();
        // A rolling restart: servers hold the two keys in either order.
        let rings = [Keyring::new(new.clone(), Some(old.clone())), Keyring::new(old.clone(), Some(new.clone()))];
        let servers = rings.clone().map(|ring| sealer(&db, ring));
        let mut steps = Vec::new();
        let rotated = rotation::rotate(&db, &rings[0], |done, total| steps.push((done, total)));
        let both = [&servers[0], &servers[1]];
        let (rotated, late) = tokio::join!(rotated, seal_all(&both, &tenants[200..]));
        let rotated = rotated.unwrap();
        assert_eq!((rotated.from.as_deref(), rotated.left), (Some(old.id()), 0));
        assert!(rotated.rewrapped >= 200 && steps.len() >= 2 && steps.iter().all(|(done, total)| done <= total), "{steps:?}");
        assert_eq!(sealed_with(&db).await, [Some(new.id().to_owned())]);
        let after = sealer(&db, new.clone());
        after.verify().await.unwrap();
        for (tenant, sealed) in tenants.iter().zip(sealed.into_iter().chain(late.into_iter().map(Result::unwrap))) {
            for sealer in [&after, &servers[0], &servers[1]] {
                assert_eq!(sealer.open(Some(*tenant), "x", &sealed).await.unwrap().expose(), b"secret");
            }
        }
        assert_eq!(sealer(&db, old.clone()).fit().await.unwrap(), Fit::Other(Some(new.id().to_owned())));
        let events = "SELECT count(*) FROM audit_events WHERE action = 'keys rotate'";
        assert_eq!(number(&db, events).await, 2, "a rotation must be audited at its start and end");
        let again = rotation::rotate(&db, &rings[0], |_, _| panic!("there is nothing to do")).await.unwrap();
        assert_eq!(again, Rotated { from: None, rewrapped: 0, left: 0 });
        assert_eq!(number(&db, events).await, 2, "a second rotation must do nothing");
        let back = rotation::rotate(&db, &rings[1], |_, _| ()).await.unwrap();
        assert_eq!((back.from.as_deref(), back.rewrapped, back.left), (Some(new.id()), 250, 0));
        let foreign = rotation::rotate(&db, &kek().into(), |_, _| ()).await.unwrap_err();
        assert!(foreign.to_string().contains("TENANTRY_KEK_PREVIOUS"), "{foreign}");
    }

    async fn rotations_and_resealings_started_at_once_wait_for_each_other(db: TestDb) {
        if db.url.starts_with("postgres") {
            // A deadlock would last longer than the test.
            let name = "format('ALTER DATABASE %I SET deadlock_timeout = ''1h''', current_database())";
            execute(&db, Box::leak(format!("DO $$ BEGIN EXECUTE {name}; END $$").into_boxed_str())).await;
        }
        let tenants = make_tenants(&db, 3).await;
        let (old, new) = (Kek::generate(), Kek::generate());
        seal_all(&[&sealer(&db, Kek::from_base64(&old).unwrap())], &tenants).await;
        let setup = Setup::dev().database(&db.url).env("TENANTRY_KEK", new.expose());
        let setup = setup.env("TENANTRY_KEK_PREVIOUS", old.expose());
        let commands = (0..6).map(|n| {
            let command = setup.command(&["keys", ["rotate", "reseal"][n % 2]]).kill_on_drop(true).output();
            async { command.await.unwrap() }
        });
        let outputs = tokio::time::timeout(std::time::Duration::from_secs(60), futures::future::join_all(commands));
        for output in outputs.await.expect("no deadlock") {
            assert!(output.status.success(), "{output:?}");
        }
    }

    async fn an_interrupted_rotation_continues(db: TestDb) {
        let tenants = make_tenants(&db, 1500).await;
        let (old, new) = (Kek::generate(), Kek::generate());
        let [old_kek, new_kek] = [&old, &new].map(|text| Kek::from_base64(text).unwrap());
        let before = sealer(&db, old_kek.clone());
        let sealed = seal_all(&[&before], &tenants).await;
        let alone = Setup::dev().database(&db.url).env("TENANTRY_KEK", new.expose());
        let setup = alone.clone().env("TENANTRY_KEK_PREVIOUS", old.expose());
        let left = "SELECT count(*) FROM data_keys WHERE kek <> (SELECT kek FROM key_encryption)";

        let mut rotation = setup.command(&["keys", "rotate"]).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let line = BufReader::new(rotation.stdout.take().unwrap()).lines().next_line().await.unwrap().unwrap();
        rotation.kill().await.unwrap();
        assert_eq!(line, "100 of 1500 data keys are sealed with the new key");
        let unfinished = number(&db, left).await;
        assert!(unfinished > 0, "the rotation finished before it was killed");

        let status = setup.run(&["keys", "status"]).await;
        let reported = String::from_utf8_lossy(&status.stderr).into_owned();
        assert!(status.status.code() == Some(1) && reported.contains("run `tenantry keys rotate`"), "{reported}");
        let both = sealer(&db, Keyring::new(new_kek.clone(), Some(old_kek)));
        for (tenant, sealed) in tenants.iter().zip(sealed) {
            assert_eq!(both.open(Some(*tenant), "x", &sealed.unwrap()).await.unwrap().expose(), b"secret");
        }
        // A server without the previous key does not start yet, and nothing is lost.
        let early = alone.run(&["dev", "--listen", "127.0.0.1:0"]).await;
        let reported = String::from_utf8_lossy(&early.stderr).into_owned();
        assert!(early.status.code() == Some(1) && reported.contains("TENANTRY_KEK_PREVIOUS"), "{reported}");
        assert_eq!(alone.run(&["keys", "rotate"]).await.status.code(), Some(1));
        assert_eq!(number(&db, left).await, unfinished);

        let rest = setup.run(&["keys", "rotate"]).await;
        assert!(rest.status.success(), "{}", String::from_utf8_lossy(&rest.stderr));
        assert_eq!(number(&db, left).await, 0);
        assert!(alone.run(&["keys", "status"]).await.status.success());
        sealer(&db, new_kek).verify().await.unwrap();
    }

    async fn a_server_without_the_databases_key_does_not_start(db: TestDb) {
        let (own, other) = (Kek::generate(), Kek::generate());
        let setup = |key: &str| Setup::dev().database(&db.url).env("TENANTRY_KEK", key);
        let mut server = setup(own.expose()).start().await;
        assert_eq!(enroll(&server.admin(), "acme").await.status, 200);
        server.terminate().await;
        server.ended().await;
        let refused = setup(other.expose()).run(&["dev", "--listen", "127.0.0.1:0"]).await;
        let reported = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(1) && reported.contains("TENANTRY_KEK is not the key"), "{reported}");
        let status = setup(other.expose()).run(&["keys", "status"]).await;
        assert_eq!(status.status.code(), Some(1), "{status:?}");
        assert!(setup(own.expose()).run(&["keys", "status"]).await.status.success());
        let again = setup(own.expose()).start().await;
        assert_eq!(enroll(&again.admin(), "later").await.status, 200);
    }

    async fn a_key_that_stops_matching_is_detected_while_serving(db: TestDb) {
        let key = Kek::generate();
        let server = Setup::dev().database(&db.url).env("TENANTRY_KEK", key.expose()).start().await;
        let tenant = make_tenants(&db, 1).await[0];
        // Another server, with another key, seals first.
        let other = kek();
        let sealed = sealer(&db, other.clone()).seal(Some(tenant), "x", b"secret").await.unwrap();
        eventually("the server to see that its key is not the database's", async || {
            let ready = server.http().get("/readyz").await;
            (ready.status == 503 && ready.body.contains("keys")).then_some(())
        })
        .await;
        let refused = enroll(&server.admin(), "acme").await;
        assert!(refused.status == 503 && !refused.body.contains(other.id()), "{refused:?}");
        assert_eq!(sealed_with(&db).await, [Some(other.id().to_owned())], "the key must not be in use");
        eventually("the log to say so", async || {
            server.log().contains("the keys do not match the database").then_some(())
        })
        .await;
        // The other key was the wrong one: once nothing is sealed with it, the keys match again.
        assert!(!sealed.is_empty());
        execute(&db, "DELETE FROM data_keys").await;
        execute(&db, "DELETE FROM key_encryption").await;
        eventually("the server to be ready again", async || {
            (server.http().get("/readyz").await.status == 200).then_some(())
        })
        .await;
    }
}

/// Creates a tenant and a user, and enrolls a second factor, whose secret has to be sealed.
pub async fn enroll(admin: &Http, tenant: &str) -> Answer {
    let post = async |path: &str, body: serde_json::Value| {
        admin.call(reqwest::Method::POST, path, Some(&body.to_string())).await
    };
    let made = post("/v1/admin/tenants/lifecycle", json!({"action": "create", "slug": tenant})).await;
    assert_eq!(made.status, 201, "{made:?}");
    let user =
        json!({"action": "create", "tenant_id": tenant, "user_id": "ada", "email": "ada@example.com", "role": "admin"});
    let made = post("/v1/admin/users/lifecycle", user).await;
    assert_eq!(made.status, 201, "{made:?}");
    post("/v1/admin/users/totp/enroll", json!({"tenant_id": tenant, "user_id": "ada"})).await
}
