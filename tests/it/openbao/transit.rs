//! A key of OpenBAO as the key-encryption key, with the rights of the server, on both databases.

use std::{collections::BTreeSet, fs, process::Output, time::Duration};

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tenantry::{
    base::{Error, Kind, TenantId, error::Reason},
    openbao::transit,
    store::{
        Kek, Keyring, Sealer, Store,
        sealing::{
            reseal::{self, NOTICED},
            rotation::{self, Rotated},
        },
    },
};

use super::{hurried, name};
use crate::{
    harness::{eventually, openbao::OpenBaoServer, server::Setup},
    keys::{enroll, execute, kek, make_tenants, number, rows, sealer},
};

/// The name of the key.
const KEY: &str = "tenantry";
const ID: &str = "openbao:tenantry";
/// The time limit of calls to an OpenBAO that cannot be used.
const LIMIT: Duration = Duration::from_millis(1500);

/// A key-encryption key in OpenBAO, with a token of the least rights.
async fn in_openbao(bao: &OpenBaoServer) -> Kek {
    let token = bao.token_for_key(KEY).await;
    transit::kek(&hurried(bao.address(), &token, LIMIT), name(KEY))
}

async fn seal(sealer: &Sealer, tenant: TenantId) -> Result<String, Error> {
    sealer.seal(Some(tenant), "x", b"secret").await
}

async fn opens(sealer: &Sealer, tenant: TenantId, sealed: &str) -> bool {
    sealer.open(Some(tenant), "x", sealed).await.unwrap().expose() == b"secret"
}

/// The sealed data keys.
async fn wrapped(store: &Store) -> Vec<String> {
    let rows = rows(store, "SELECT wrapped FROM data_keys ORDER BY owner").await;
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

/// What a command printed.
fn printed(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned()).concat()
}

#[track_caller]
fn unusable(error: &Error, why: &str) {
    assert_eq!((error.kind, error.reason), (Kind::Unavailable, Reason::KekUnavailable), "{error}");
    assert_eq!(error.to_string(), "cannot seal or open secrets: the key-encryption key cannot be used now");
    assert_eq!(error.cause.as_ref().unwrap().to_string(), why);
}

both_databases! {
    async fn a_key_of_openbao_seals_data_keys_with_the_rights_of_the_server(db: TestDb) {
        let bao = OpenBaoServer::start().await;
        let tenants = make_tenants(&db, 2).await;
        let kek = in_openbao(&bao).await;
        let before = sealer(&db, kek.clone());
        before.verify().await.unwrap();
        assert_eq!(number(&db, "SELECT count(*) FROM key_encryption").await, 0, "a start seals nothing");
        let sealed = [seal(&before, tenants[0]).await.unwrap(), seal(&before, tenants[1]).await.unwrap()];
        let stored = wrapped(&db).await;
        assert!(stored.len() == 2 && stored.iter().all(|text| text.starts_with("vault:v1:")), "{stored:?}");
        let named = format!("SELECT count(*) FROM data_keys WHERE kek = '{ID}'");
        assert_eq!(number(&db, &named).await, 2);
        let after = sealer(&db, in_openbao(&bao).await);
        after.verify().await.unwrap();
        for (tenant, sealed) in tenants.iter().zip(&sealed) {
            assert!(opens(&before, *tenant, sealed).await && opens(&after, *tenant, sealed).await);
        }
        // A data key that is moved to another tenant does not open.
        let moved = format!("UPDATE data_keys SET wrapped = '{}'", stored[0]);
        execute(&db, Box::leak(moved.into_boxed_str())).await;
        let fresh = sealer(&db, kek);
        let mut outcomes = Vec::new();
        for (tenant, sealed) in tenants.iter().zip(&sealed) {
            outcomes.push(fresh.open(Some(*tenant), "x", sealed).await.map_or_else(|error| error.kind, |_| Kind::Ok));
        }
        let opened = outcomes.iter().filter(|kind| **kind == Kind::Ok).count();
        assert!(opened == 1 && outcomes.contains(&Kind::Internal), "{outcomes:?}");
        // Nothing else is allowed.
        let token = bao.token_for_key(KEY).await;
        for (method, path) in [
            (Method::GET, "transit/keys/tenantry"),
            (Method::POST, "transit/keys/tenantry/rotate"),
            (Method::POST, "transit/keys/tenantry/config"),
            (Method::GET, "transit/export/encryption-key/tenantry"),
            (Method::DELETE, "transit/keys/tenantry"),
            (Method::POST, "transit/encrypt/other"),
            (Method::POST, "transit/datakey/plaintext/tenantry"),
        ] {
            let (status, answer) = bao.api(method, path, &token, json!({"plaintext": "c2VjcmV0"})).await;
            assert_eq!(status, 403, "{path}: {answer}");
        }
    }

    async fn opened_keys_stay_in_memory_during_an_outage(db: TestDb) {
        let mut bao = OpenBaoServer::start().await;
        let tenants = make_tenants(&db, 3).await;
        let server = sealer(&db, in_openbao(&bao).await);
        let sealed = [seal(&server, tenants[0]).await.unwrap(), seal(&server, tenants[1]).await.unwrap()];
        let ring = Keyring::from(in_openbao(&bao).await);
        let after = sealer(&db, ring.clone());
        assert!(opens(&after, tenants[0], &sealed[0]).await);
        bao.seal().await;
        // What was opened has to be looked up in the database again by then.
        tokio::time::sleep(NOTICED + Duration::from_millis(200)).await;
        assert!(opens(&after, tenants[0], &sealed[0]).await && opens(&server, tenants[1], &sealed[1]).await);
        assert!(opens(&after, tenants[0], &seal(&after, tenants[0]).await.unwrap()).await);
        let decrypting = "cannot decrypt a data key: OpenBAO is sealed";
        unusable(&after.open(Some(tenants[1]), "x", &sealed[1]).await.unwrap_err(), decrypting);
        let encrypting = "cannot encrypt a data key: OpenBAO is sealed";
        unusable(&seal(&server, tenants[2]).await.unwrap_err(), encrypting);
        assert_eq!(number(&db, "SELECT count(*) FROM data_keys").await, 2);
        // What is not known is not said: neither that keys do not match, nor that they do not open.
        after.fit().await.unwrap().require().unwrap();
        unusable(&after.verify().await.unwrap_err(), encrypting);
        unusable(&rotation::status(&db, Some(&ring)).await.unwrap_err(), encrypting);
        let back = Keyring::new(kek(), Some(ring.current().clone()));
        unusable(&rotation::status(&db, Some(&back)).await.unwrap_err(), decrypting);
        let refused = rotation::rotate(&db, &back, |_, _| panic!("nothing was done")).await.unwrap_err();
        unusable(&refused, decrypting);
        bao.unseal().await;
        assert!(opens(&after, tenants[1], &sealed[1]).await);
        seal(&server, tenants[2]).await.unwrap();
        bao.kill().await;
        let late = sealer(&db, ring);
        unusable(&late.open(Some(tenants[0]), "x", &sealed[0]).await.unwrap_err(), "cannot decrypt a data key: OpenBAO cannot be reached");
    }

    async fn the_key_is_replaced_by_one_of_openbao_and_back(db: TestDb) {
        let bao = OpenBaoServer::start().await;
        let tenants = make_tenants(&db, 130).await;
        let (local, remote) = (kek(), in_openbao(&bao).await);
        let before = sealer(&db, local.clone());
        let sealed = join_all(tenants[..110].iter().map(|tenant| seal(&before, *tenant))).await;
        let rings = [Keyring::new(remote.clone(), Some(local.clone())), Keyring::new(local.clone(), Some(remote.clone()))];
        let servers = rings.clone().map(|ring| sealer(&db, ring));
        // Servers with the two keys in either order seal meanwhile.
        let late = join_all(tenants[110..].iter().enumerate().map(|(n, tenant)| seal(&servers[n % 2], *tenant)));
        let (rotated, late) = tokio::join!(rotation::rotate(&db, &rings[0], |_, _| ()), late);
        let rotated = rotated.unwrap();
        assert_eq!((rotated.from.as_deref(), rotated.left), (Some(local.id()), 0));
        assert!(rotated.rewrapped >= 110 && wrapped(&db).await.iter().all(|text| text.starts_with("vault:v1:")));
        let after = sealer(&db, remote.clone());
        after.verify().await.unwrap();
        for (tenant, sealed) in tenants.iter().zip(sealed.into_iter().chain(late)) {
            let sealed = sealed.unwrap();
            assert!(opens(&after, *tenant, &sealed).await && opens(&servers[1], *tenant, &sealed).await);
        }
        let again = rotation::rotate(&db, &rings[0], |_, _| panic!("there is nothing to do")).await.unwrap();
        assert_eq!(again, Rotated { from: None, rewrapped: 0, left: 0 });
        let status = rotation::status(&db, Some(&rings[0])).await.unwrap();
        assert_eq!((status.kek.as_deref(), status.current, status.previous, status.closed, status.outdated), (Some(ID), 130, 0, 0, 0));
        // New data keys, under the key of OpenBAO.
        let run = reseal::begin(&db, &rings[0]).await.unwrap().unwrap();
        assert_eq!(reseal::renew(&db, &rings[0], run, |_| ()).await.unwrap(), 130);
        let back = rotation::rotate(&db, &rings[1], |_, _| ()).await.unwrap();
        assert_eq!((back.from.as_deref(), back.rewrapped, back.left), (Some(ID), 260, 0));
        assert_eq!(number(&db, "SELECT count(*) FROM key_encryption WHERE proof IS NULL").await, 1);
        sealer(&db, local).verify().await.unwrap();
    }

    async fn a_new_version_of_the_key_seals_after_a_rotation(db: TestDb) {
        let bao = OpenBaoServer::start().await;
        let tenants = make_tenants(&db, 3).await;
        let ring = Keyring::from(in_openbao(&bao).await);
        let before = sealer(&db, ring.clone());
        let sealed = [seal(&before, tenants[0]).await.unwrap(), seal(&before, tenants[1]).await.unwrap()];
        bao.admin(Method::POST, "transit/keys/tenantry/rotate", json!({})).await;
        seal(&before, tenants[2]).await.unwrap();
        let status = rotation::status(&db, Some(&ring)).await.unwrap();
        assert_eq!((status.current, status.outdated, status.closed), (3, 2, 0));
        let rotated = rotation::rotate(&db, &ring, |_, _| ()).await.unwrap();
        assert_eq!(rotated, Rotated { from: None, rewrapped: 2, left: 0 });
        let stored = wrapped(&db).await;
        assert!(stored.iter().all(|text| text.starts_with("vault:v2:")), "{stored:?}");
        assert_eq!(rotation::status(&db, Some(&ring)).await.unwrap().outdated, 0);
        // Then the earlier version is not needed.
        let old = json!({"min_decryption_version": 2, "min_encryption_version": 2});
        bao.admin(Method::POST, "transit/keys/tenantry/config", old).await;
        let after = sealer(&db, in_openbao(&bao).await);
        after.verify().await.unwrap();
        assert!(opens(&after, tenants[0], &sealed[0]).await && opens(&after, tenants[1], &sealed[1]).await);
        // Without the rotation it is, and that is said.
        bao.admin(Method::POST, "transit/keys/tenantry/rotate", json!({})).await;
        let old = json!({"min_decryption_version": 3, "min_encryption_version": 3});
        bao.admin(Method::POST, "transit/keys/tenantry/config", old).await;
        let fresh = sealer(&db, in_openbao(&bao).await);
        let refused = fresh.open(Some(tenants[0]), "x", &sealed[0]).await.unwrap_err();
        let text = "OpenBAO no longer opens what this version of the transit key sealed (min_decryption_version)";
        unusable(&refused, &format!("cannot decrypt a data key: {text}"));
        let refused = rotation::rotate(&db, &ring, |_, _| panic!("nothing was done")).await.unwrap_err();
        assert_eq!(refused.reason, Reason::KekUnavailable, "{refused}");
    }

    async fn another_key_of_the_same_name_seals_nothing(db: TestDb) {
        let (bao, other) = (OpenBaoServer::start().await, OpenBaoServer::start().await);
        let tenants = make_tenants(&db, 20).await;
        let servers = [sealer(&db, in_openbao(&bao).await), Sealer::new(db.replica().await, Some(in_openbao(&other).await.into()))];
        let outcomes = join_all(tenants.iter().enumerate().map(|(n, tenant)| seal(&servers[n % 2], *tenant))).await;
        let refused: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
        assert_eq!(refused.len(), 10, "{refused:?}");
        for error in &refused {
            assert_eq!((error.kind, error.reason), (Kind::Unavailable, Reason::KekMissing), "{error}");
        }
        assert_eq!(number(&db, "SELECT count(*) FROM data_keys").await, 10);
        let mut verified = BTreeSet::new();
        for server in &servers {
            verified.insert(server.verify().await.map_err(|error| error.to_string()));
        }
        let text = format!("the key-encryption key {ID} is not the one that seals the secrets of this database");
        assert_eq!(verified, BTreeSet::from([Ok(()), Err(text)]));
    }

    async fn a_server_seals_with_a_key_of_openbao_and_says_why_it_cannot(db: TestDb) {
        let bao = OpenBaoServer::start().await;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        fs::write(&file, bao.token_for_key(KEY).await).unwrap();
        let local = Kek::generate();
        let setup = || {
            Setup::dev()
                .database(&db.url)
                .env("TENANTRY_OPENBAO_ADDR", bao.address())
                .env("TENANTRY_OPENBAO_TOKEN_FILE", file.display().to_string())
                .env("TENANTRY_OPENBAO_TIMEOUT", "1s")
        };
        let remote = || setup().env("TENANTRY_KEK", ID);
        let mut server = remote().start().await;
        assert_eq!(enroll(&server.admin(), "acme").await.status, 200);
        assert!(wrapped(&db).await.iter().all(|text| text.starts_with("vault:v1:")));
        bao.seal().await;
        // Its platform key is opened; that of a new tenant cannot be made now.
        let refused = enroll(&server.admin(), "later").await;
        assert!(refused.status == 503 && !refused.body.contains("OpenBAO"), "{refused:?}");
        assert_eq!(server.http().get("/readyz").await.status, 200);
        eventually("the log to say why", async || {
            server.log().contains("cannot encrypt a data key: OpenBAO is sealed").then_some(())
        })
        .await;
        server.terminate().await;
        server.ended().await;
        let cannot = "cannot seal or open secrets: the key-encryption key cannot be used now: cannot encrypt a data key: ";
        let start = async |setup: Setup, why: &str| {
            let output = setup.run(&["dev", "--listen", "127.0.0.1:0"]).await;
            let text = printed(&output);
            assert!(output.status.code() == Some(1) && text.contains(why), "{why}: {text}");
        };
        // Its first call is for the token.
        start(remote(), "the key-encryption key cannot be used now: cannot look up the token: OpenBAO is sealed").await;
        let status = remote().run(&["keys", "status"]).await;
        assert!(status.status.code() == Some(1) && printed(&status).contains("OpenBAO is sealed"), "{status:?}");
        bao.unseal().await;
        let status = printed(&remote().run(&["keys", "status"]).await);
        assert!(status.contains(ID) && status.contains("of them under an earlier version       0"), "{status}");
        let missing = remote().env("TENANTRY_KEK", "openbao:other");
        start(missing, "TENANTRY_KEK is not the key that seals the secrets of this database (its id is openbao:tenantry)").await;
        fs::write(&file, bao.server_token().await).unwrap();
        start(remote(), &format!("{cannot}the transit key does not exist, or the policy of the server's token does not allow its use")).await;
        fs::write(&file, bao.token_for_key(KEY).await).unwrap();
        // To a key of the server, with the program.
        let both = || setup().env("TENANTRY_KEK", local.expose()).env("TENANTRY_KEK_PREVIOUS", ID);
        let rotated = both().run(&["keys", "rotate"]).await;
        assert!(rotated.status.success() && printed(&rotated).contains(&format!("it was {ID}")), "{rotated:?}");
        let server = setup().env("TENANTRY_KEK", local.expose()).start().await;
        assert_eq!(enroll(&server.admin(), "third").await.status, 200);
    }
}

#[tokio::test]
async fn contradictory_settings_are_refused() {
    for (settings, wanted) in [
        (
            &[("TENANTRY_KEK", "openbao:tenantry")][..],
            "names a key of OpenBAO, which needs openbao_addr (TENANTRY_OPENBAO_ADDR)",
        ),
        (&[("TENANTRY_KEK", "openbao:a/../b")], "names a key of OpenBAO, whose name must have 1 to 255 letters"),
        (&[("TENANTRY_KEK", "openbao:")], "names a key of OpenBAO, whose name must have 1 to 255 letters"),
        (&[("TENANTRY_KEK", "hunter2")], "must be a file, a 32-byte key in base64, or openbao: and the name"),
    ] {
        let setup = settings.iter().fold(Setup::dev(), |setup, (name, value)| setup.env(name, *value));
        let output = setup.run(&["config", "check"]).await;
        let text = printed(&output);
        assert!(!output.status.success() && text.contains(wanted) && !text.contains("hunter2"), "{settings:?}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_script_makes_a_key_only_once_and_only_if_it_is_named() {
    let bao = OpenBaoServer::start().await;
    bao.server_token().await;
    let (status, _) = bao.api(Method::GET, "transit/keys/tenantry", bao.root(), Value::Null).await;
    assert_eq!(status, 404);
    bao.token_for_key(KEY).await;
    bao.admin(Method::POST, "transit/keys/tenantry/rotate", json!({})).await;
    bao.token_for_key(KEY).await;
    let key = bao.admin(Method::GET, "transit/keys/tenantry", Value::Null).await;
    assert_eq!((&key["data"]["latest_version"], &key["data"]["exportable"]), (&json!(2), &json!(false)), "{key}");
}
