//! Renewal of certificates that have expired, by proofs of device tokens, on both databases.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tenantry::{
    auth::authn::{device_tokens, enrolled::Presented, keys::Keys},
    base::{Clock, EnrolledKind},
};
use time::{Duration, OffsetDateTime};

use super::{
    conversation::{serve, serve_with},
    enrolled::{BUNDLE, ENROLL, Enrolled, admin, enroll},
};
use crate::{
    db::TestDb,
    harness::{enroll::DpopKey, http::Answer, server::Server},
    rows::sql,
};

const ANCHORS: &str = "/v1/trust/anchors";
const DEVICES: &str = "/v1/admin/devices/lifecycle";

/// Lets time pass for all credentials.
async fn pass(db: &TestDb, time: Duration) {
    let past = time.whole_microseconds();
    let earlier = ["not_before", "not_after", "created_at"].map(|column| format!("{column} = {column} - {past}"));
    sql(db, format!("UPDATE credentials SET {}", earlier.join(", "))).await.unwrap();
}

/// A device or gateway with the token that it would have if it had got it so long ago.
fn earlier(server: &Server, of: &Enrolled, time: Duration) -> Enrolled {
    let claims = URL_SAFE_NO_PAD.decode(of.token.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    let text = |member: &str| claims[member].as_str().unwrap();
    let (kind, id) = EnrolledKind::of_subject(text("sub")).unwrap();
    let presented = Presented {
        tenant: text("tenant").parse().unwrap(),
        kind,
        id,
        credential: text("credential").parse().unwrap(),
        thumbprint: claims["cnf"]["jkt"].as_str().unwrap().to_owned(),
        ends: OffsetDateTime::from_unix_timestamp(claims["exp"].as_i64().unwrap()).unwrap() - time,
    };
    let keys = Keys::load_or_create(&server.setup().data_dir().join("jwt.pem"), None).unwrap();
    let token = device_tokens::issue(&keys, &presented, &Clock::manual(presented.ends - Duration::DAY)).unwrap();
    Enrolled { token, ..of.clone() }
}

async fn after(db: &TestDb, server: &Server, of: &Enrolled, time: Duration) -> Enrolled {
    pass(db, time).await;
    earlier(server, of, time)
}

/// Renews the certificate for the same key.
async fn renew(server: &Server, of: &Enrolled) -> Answer {
    of.post(server, ENROLL, json!({"renew": true, "csr_pem": of.key.csr()})).await
}

both_databases! {
    async fn an_expired_certificate_is_renewed_for_a_week(db: TestDb) {
        let server = serve(&db).await;
        let policy = json!({"channel": "stable", "policy": {"tunnel_mode": "split"}});
        admin(&server, "/v1/admin/policy/publish", policy).await;
        let device = enroll(&server, json!({"user_id": "ada"}), "device").await;
        // It ends after a day.
        let old = after(&db, &server, &device, Duration::days(7)).await;
        for path in [BUNDLE, ANCHORS, "/v1/spc/bundle", "/v1/gateway/pools"] {
            assert_eq!(old.get(&server, path).await.status, 401, "{path}");
        }
        let issue = old.post(&server, "/v1/spc/issue", json!({})).await;
        assert_eq!(issue.status, 401, "{issue:?}");
        let renewed = renew(&server, &old).await;
        assert_eq!(renewed.status, 201, "{renewed:?}");
        let body = renewed.json();
        assert_eq!((&body["device_id"], &body["status"]), (&json!(device.id), &json!("active")));
        let new = Enrolled { token: body["device_token"].as_str().unwrap().to_owned(), ..old.clone() };
        assert_eq!(new.get(&server, BUNDLE).await.status, 200);
        // The response may be lost, also with another key.
        let body = json!({"renew": true, "csr_pem": DpopKey::generate().csr()});
        assert_eq!(old.post(&server, ENROLL, body).await.status, 201);
        // The new one has been in use for an hour: the old one is good for nothing more.
        sql(&db, "UPDATE credentials SET created_at = created_at - 3600000000".to_owned()).await.unwrap();
        assert_eq!(renew(&server, &old).await.status, 401);
        assert_eq!(renew(&server, &new).await.status, 201);
        // Eight days and a day after its issue, nothing renews it.
        let device = enroll(&server, json!({}), "device").await;
        let old = after(&db, &server, &device, Duration::days(8) + Duration::MINUTE).await;
        assert_eq!(renew(&server, &old).await.status, 401);
    }

    async fn nobody_renews_what_was_revoked_or_suspended(db: TestDb) {
        let server = serve(&db).await;
        let (active, revoked) = (enroll(&server, json!({}), "device").await, enroll(&server, json!({}), "device").await);
        let (suspended, of_ada) =
            (enroll(&server, json!({}), "device").await, enroll(&server, json!({"user_id": "ada"}), "device").await);
        let pending = enroll(&server, json!({"pre_approved": false}), "device").await;
        let time = Duration::days(3);
        for (action, device) in [("revoke", &revoked), ("suspend", &suspended)] {
            admin(&server, DEVICES, json!({"action": action, "device_id": device.id})).await;
        }
        admin(&server, "/v1/admin/users/suspend", json!({"user_id": "ada"})).await;
        let old = after(&db, &server, &active, time).await;
        for (device, status) in [(&revoked, 401), (&suspended, 403), (&of_ada, 401), (&pending, 403)] {
            let device = earlier(&server, device, time);
            assert_eq!(renew(&server, &device).await.status, status, "{}", device.id);
            assert_eq!(device.get(&server, ANCHORS).await.status, 401, "{}", device.id);
        }
        assert_eq!(renew(&server, &old).await.status, 201);
        // One that must enroll again.
        let device = enroll(&server, json!({}), "device").await;
        let again = admin(&server, DEVICES, json!({"action": "re_enroll", "device_id": device.id})).await;
        let new = super::enrolled::enroll_with(&server, again["enrollment_token"].as_str().unwrap(), "device").await;
        assert_eq!(new.id, device.id);
        let old = after(&db, &server, &device, time).await;
        assert_eq!(renew(&server, &old).await.status, 401);
    }

    async fn a_gateway_renews_late_and_never_if_the_setting_says_so(db: TestDb) {
        let server = serve_with(&db, &[("TENANTRY_RENEWAL_GRACE", "2d")]).await;
        let pool = super::spc_gateway::pool(&server, json!({"name": "eu"})).await;
        let gateway = enroll(&server, json!({"kind": "gateway", "pool_id": pool}), "gateway").await;
        let old = after(&db, &server, &gateway, Duration::days(2)).await;
        assert_eq!(old.get(&server, "/v1/gateway/runtime/spc-bundle").await.status, 401);
        let renewed = renew(&server, &old).await;
        assert_eq!((renewed.status, renewed.json()["gateway_id"].as_str()), (201, Some(gateway.id.as_str())), "{renewed:?}");
        let late = enroll(&server, json!({"kind": "gateway", "pool_id": pool}), "gateway").await;
        let late = after(&db, &server, &late, Duration::days(3) + Duration::MINUTE).await;
        assert_eq!(renew(&server, &late).await.status, 401);
        let setup = server.setup().clone().env("TENANTRY_RENEWAL_GRACE", "0s");
        drop(server);
        let server = setup.start().await;
        let late = enroll(&server, json!({"kind": "gateway", "pool_id": pool}), "gateway").await;
        let late = after(&db, &server, &late, Duration::days(1) + Duration::MINUTE).await;
        assert_eq!(renew(&server, &late).await.status, 401);
    }

    async fn the_proof_of_a_token_names_the_public_url(db: TestDb) {
        let server = serve(&db).await;
        let device = enroll(&server, json!({}), "device").await;
        let call = async |url: &str, host: Option<&str>, path: &str| {
            let proof = device.key.dpop("GET", url, &device.token);
            let http = server.http().header("authorization", &format!("DPoP {}", device.token)).header("dpop", &proof);
            let http = match host {
                Some(host) => http.header("host", host),
                None => http,
            };
            http.get(path).await.status
        };
        let own = format!("http://{}{ANCHORS}", server.address());
        for (url, host, status) in [
            ("https://tenantry.example/v1/trust/anchors", None, 200),
            ("https://tenantry.example:443/v1/trust/anchors?sequence=9", None, 200),
            ("https://tenantry.example/v1/trust/anchors", Some("evil.example"), 200),
            (own.as_str(), None, 401),
            ("http://evil.example/v1/trust/anchors", Some("evil.example"), 401),
            ("https://evil.example/v1/trust/anchors", Some("evil.example"), 401),
            ("http://tenantry.example/v1/trust/anchors", Some("tenantry.example"), 401),
            ("https://tenantry.example/v1/trust", None, 401),
        ] {
            assert_eq!(call(url, host, &format!("{ANCHORS}?sequence=1")).await, status, "{url} {host:?}");
        }
    }
}
