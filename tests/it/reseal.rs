//! New data keys, and resealing of all values.

use std::process::Stdio;

use serde_json::json;
use tenantry::store::{
    Kek, Keyring, Store,
    sealing::reseal::{self, InUse, Run},
};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::{
    harness::server::Setup,
    keys::{enroll, execute, kek, make_tenants, number, rows, sealer},
};

both_databases! {
    async fn every_value_is_resealed_while_a_server_runs(db: TestDb) {
        let key = Kek::generate();
        let setup = Setup::dev().database(&db.url).env("TENANTRY_KEK", key.expose());
        let server = setup.start().await;
        let admin = server.admin().header("idempotency-key", "one");
        let enrolled = enroll(&admin, "acme").await;
        assert_eq!(enrolled.status, 200, "{enrolled:?}");
        let provider = r#"{"name":"dock","authProvider":"keycloak","authConfig":{"issuer":"https://kc.example.com/realms/a","realm":"a","hush":"hunter2"}}"#;
        let made = server.admin().call(reqwest::Method::POST, "/api/tenant/create", Some(provider)).await;
        assert_eq!(made.status, 200, "{made:?}");
        // The first call makes the keys of the installation and of the tenant.
        let anchors = server.admin().get("/v1/trust/anchors?tenant_id=acme").await;
        assert_eq!(anchors.status, 200, "{anchors:?}");
        let sealed_somewhere = columns_with(&db, "v1:").await;
        let all = [
            "accounts.totp_secret",
            "data_keys.wrapped",
            "idempotent_answers.answer",
            "installation_keys.sealed_key",
            "signers.sealed_key",
            "warehouse_tenants.auth_config",
        ];
        assert_eq!(sealed_somewhere, all, "this test does not know a column with sealed values; it must be resealed too");

        // Killed in the middle, it continues.
        let mut run = setup.command(&["keys", "reseal"]).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let line = BufReader::new(run.stdout.take().unwrap()).lines().next_line().await.unwrap().unwrap();
        run.kill().await.unwrap();
        assert!(line.contains("2 new data keys"), "{line}");
        let status = setup.run(&["keys", "status"]).await;
        let told = String::from_utf8_lossy(&status.stderr).into_owned();
        assert!(status.status.code() == Some(1) && told.contains("run `tenantry keys reseal`"), "{told}");
        let rest = setup.run(&["keys", "reseal"]).await;
        let told = String::from_utf8_lossy(&rest.stdout).into_owned();
        assert!(rest.status.success() && told.contains("resuming an interrupted run"), "{told}");
        for resealed in ["1 second factors", "1 secrets of providers", "7 private keys"] {
            assert!(told.contains(resealed), "{told}");
        }
        assert!(setup.run(&["keys", "status"]).await.status.success());
        assert_eq!(columns_with(&db, "v1:").await, ["data_keys.wrapped", "idempotent_answers.answer"]);
        let resealed = ["accounts.totp_secret", "installation_keys.sealed_key", "signers.sealed_key", "warehouse_tenants.auth_config"];
        assert_eq!(columns_with(&db, "v2:").await, resealed);
        assert_eq!(number(&db, "SELECT count(*) FROM data_keys").await, 4, "earlier keys must be kept for stored responses");

        // The server is not affected, and everything that was sealed before can be opened.
        let replayed = enroll(&admin, "acme").await;
        assert_eq!((replayed.status, &replayed.body), (200, &enrolled.body));
        let secret = enrolled.json()["secret"].as_str().unwrap().to_owned();
        let verify = json!({"tenant_id": "acme", "user_id": "ada", "code": code(&secret)}).to_string();
        let verified = server.admin().call(reqwest::Method::POST, "/v1/admin/users/totp/verify", Some(&verify)).await;
        assert_eq!(verified.status, 200, "{verified:?}");
        let opener = sealer(&db, Kek::from_base64(&key).unwrap());
        let found = rows(&db, "SELECT auth_config FROM warehouse_tenants").await;
        let config: serde_json::Value = serde_json::from_str(&found[0].try_get_by_index::<String>(0).unwrap()).unwrap();
        let purpose = tenantry::warehouse::tenants::secret_purpose("hush");
        let opened = opener.open(None, &purpose, config["hush"].as_str().unwrap()).await.unwrap();
        assert_eq!(opened.expose(), b"hunter2");
    }

    async fn a_data_key_is_deleted_once_it_is_unused(db: TestDb) {
        let tenants = make_tenants(&db, 3).await;
        let ring = Keyring::from(kek());
        let before = sealer(&db, ring.clone());
        let mut sealed = Vec::new();
        for tenant in &tenants[..2] {
            sealed.push(before.seal(Some(*tenant), "x", b"secret").await.unwrap());
        }
        for generation in [2, 3] {
            let run = reseal::begin(&db, &ring).await.unwrap().unwrap();
            assert_eq!(run, Run { generation, resumed: false });
            assert_eq!(reseal::renew(&db, &ring, run, |_| ()).await.unwrap(), 2);
            assert_eq!(reseal::begin(&db, &ring).await.unwrap(), Some(Run { generation, resumed: true }));
            assert_eq!(reseal::renew(&db, &ring, run, |_| ()).await.unwrap(), 0, "once");
            reseal::end(&db, json!({})).await.unwrap();
        }
        let after = sealer(&db, ring.clone());
        let anew = after.reseal(Some(tenants[1]), "x", &sealed[1]).await.unwrap().unwrap();
        assert!(anew.starts_with("v2:3:"), "{anew}");
        assert_eq!(after.reseal(Some(tenants[1]), "x", &anew).await.unwrap(), None);
        assert!(after.seal(Some(tenants[2]), "x", b"").await.unwrap().starts_with("v2:3:"), "the first key must have the current generation");
        let in_use: InUse = [(Some(tenants[0]), 1)].into();
        assert_eq!(reseal::prune(&db, in_use.clone()).await.unwrap(), 0, "recently replaced keys must be kept");
        execute(&db, "UPDATE data_keys SET created_at = created_at - 259200000000").await;
        assert_eq!(reseal::prune(&db, in_use).await.unwrap(), 3);
        let fresh = sealer(&db, ring);
        assert_eq!(fresh.open(Some(tenants[0]), "x", &sealed[0]).await.unwrap().expose(), b"secret");
        assert_eq!(fresh.open(Some(tenants[1]), "x", &anew).await.unwrap().expose(), b"secret");
        assert!(fresh.open(Some(tenants[1]), "x", &sealed[1]).await.is_err(), "the key was not deleted");
        assert_eq!(reseal::prune(&db, InUse::new()).await.unwrap(), 1);
    }
}

/// The columns, as `table.column`, that contain a text, without the audit log.
async fn columns_with(store: &Store, text: &str) -> Vec<String> {
    let all = if store.backend() == sea_orm::DbBackend::Sqlite {
        "SELECT m.name, p.name FROM sqlite_master m, pragma_table_info(m.name) p WHERE m.type = 'table' ORDER BY 1, 2"
    } else {
        "SELECT table_name::text, column_name::text FROM information_schema.columns \
         WHERE table_schema = 'public' AND data_type = 'text' ORDER BY 1, 2"
    };
    let mut found = Vec::new();
    for row in rows(store, all).await {
        let (table, column): (String, String) = (row.try_get_by_index(0).unwrap(), row.try_get_by_index(1).unwrap());
        let count = format!("SELECT count(*) FROM \"{table}\" WHERE \"{column}\" LIKE '%{text}%'");
        if number(store, &count).await > 0 {
            found.push(format!("{table}.{column}"));
        }
    }
    found
}

/// The current code, as an authenticator app computes it.
fn code(secret: &str) -> String {
    let secret = totp_rs::Secret::try_from_base32(secret).unwrap();
    totp_rs::Builder::new().with_secret(secret).build().unwrap().generate_current().to_string()
}
