//! Enrollment of devices and gateways with a token, on both databases.

use bundle_verify::{AnchorSet, KeyUse};
use futures::future::join_all;
use rcgen::{CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, SanType};
use reqwest::Method;
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer as _, GeneralName, Pem, X509Certificate};

use super::conversation::{
    Who::{Admin, Platform},
    http, serve,
};
use crate::{
    harness::{
        enroll::{DpopKey, csr, csr_of},
        http::{Answer, Http},
        server::Server,
    },
    rows::sql,
};

const GENERATE: &str = "/v1/admin/tokens/generate";
const INVALID: &str = "the enrollment token is not valid";

async fn post(http: &Http, path: &str, body: Value) -> Answer {
    http.call(Method::POST, path, Some(&body.to_string())).await
}

/// Generates a token of the tenant `acme`: its text and its id.
async fn token(server: &Server, new: Value) -> (String, String) {
    let made = post(&http(server, Admin).await, GENERATE, new).await;
    assert_eq!(made.status, 201, "{made:?}");
    let made = made.json();
    let text = |member: &str| made[member].as_str().unwrap().to_owned();
    (text("token"), text("token_id"))
}

async fn pool(server: &Server) -> String {
    let pool = json!({"action": "create", "name": "eu", "region": "eu-west"});
    let made = post(&http(server, Admin).await, "/v1/admin/settings/gateway-pools", pool).await;
    made.json()["pool"]["id"].as_str().unwrap().to_owned()
}

fn device(token: &str) -> Value {
    json!({"token": token, "device": {"name": "laptop", "platform": "linux"}, "csr_pem": csr()})
}

fn gateway(token: &str) -> Value {
    json!({"token": token, "gateway": {"name": "gw", "endpoints": ["gw.example.com:51820"]}, "csr_pem": csr()})
}

async fn enroll(server: &Server, body: Value) -> Answer {
    post(&server.http(), "/v1/enroll", body).await
}

fn der(pem: &Value) -> Vec<u8> {
    let (pem, _) = Pem::read(std::io::Cursor::new(pem.as_str().unwrap())).unwrap();
    pem.contents
}

/// The only name in a certificate.
fn uri(certificate: &X509Certificate<'_>) -> String {
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    match names.value.general_names.as_slice() {
        [GeneralName::URI(uri)] => (*uri).to_owned(),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused(answer: &Answer, status: u16, detail: &str) {
    let body = answer.json();
    assert_eq!((answer.status, body["detail"].as_str()), (status, Some(detail)), "{body}");
}

/// Checks a certificate and the anchors that came with it.
async fn check_credential(server: &Server, body: &Value, kind: &str, key_use: KeyUse) {
    let credential = &body["credential"];
    let (leaf, chain) = (der(&credential["certificate_pem"]), der(&credential["chain_pem"]));
    let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
    let (_, authority) = X509Certificate::from_der(&chain).unwrap();
    leaf.verify_signature(Some(authority.public_key())).unwrap();
    let id = body[format!("{kind}_id")].as_str().unwrap();
    let tenants = server.admin().get("/v1/admin/tenants").await.json();
    let tenants = tenants["tenants"].as_array().unwrap();
    let tenant = tenants.iter().find(|tenant| tenant["slug"] == "acme").unwrap()["id"].as_str().unwrap();
    assert_eq!(uri(&leaf), format!("spiffe://tenantry.local/tenant/{tenant}/{kind}/{id}"));
    assert_eq!(leaf.validity().not_after.timestamp() - leaf.validity().not_before.timestamp(), 24 * 3600 + 900);
    let first = AnchorSet::first(body["trust_anchors"].to_string().as_bytes()).unwrap();
    let trusted = first.anchors.iter().find(|anchor| anchor.key_use == key_use).unwrap();
    assert_eq!((first.sequence, trusted.certificate.as_deref()), (1, Some(chain.as_slice())));
}

both_databases! {
    async fn a_token_enrolls_a_device_or_a_gateway(db: TestDb) {
        let server = serve(&db).await;
        let (text, id) = token(&server, json!({"user_id": "ada"})).await;
        let made = enroll(&server, device(&text)).await;
        let body = made.json();
        assert_eq!((made.status, &body["status"]), (201, &json!("active")), "{body}");
        assert_eq!(body["policy_url"], "https://tenantry.example/v1/policy/bundle");
        check_credential(&server, &body, "device", KeyUse::DeviceCa).await;
        let shown = http(&server, Admin).await.get(&format!("/v1/admin/tokens/{id}")).await.json();
        assert_eq!((&shown["token"]["use_count"], &shown["token"]["state"]), (&json!(1), &json!("used_up")), "{shown}");

        let pool = pool(&server).await;
        let (text, _) = token(&server, json!({"kind": "gateway", "pool_id": pool})).await;
        let body = enroll(&server, gateway(&text)).await.json();
        assert_eq!((&body["pool_id"], &body["policy_url"]), (&json!(pool), &Value::Null), "{body}");
        check_credential(&server, &body, "gateway", KeyUse::GatewayCa).await;
    }

    async fn a_signing_request_gets_nothing_but_a_certificate_of_its_key(db: TestDb) {
        let server = serve(&db).await;
        let (text, _) = token(&server, json!({})).await;
        // It asks to be an authority, a server and another gateway.
        let key = KeyPair::generate().unwrap();
        let mut asked = CertificateParams::new(["evil.example".to_owned()]).unwrap();
        let foreign = "spiffe://tenantry.local/tenant/ten_01J7ST8Z0GFCQ9TCATDDY8V7GF/gateway/gw_01J7ST8Z0GFCQ9TCATDDY8V7GF";
        asked.subject_alt_names.push(SanType::URI(foreign.try_into().unwrap()));
        asked.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        asked.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::CodeSigning];
        // BasicConstraints with `cA`.
        let mut authority = CustomExtension::from_oid_content(&[2, 5, 29, 19], vec![0x30, 3, 1, 1, 0xff]);
        authority.set_criticality(true);
        asked.custom_extensions.push(authority);
        let csr = asked.serialize_request(&key).unwrap().pem().unwrap();
        let body = json!({"token": text, "device": {"name": "laptop", "platform": "linux"}, "csr_pem": csr});
        let made = enroll(&server, body).await;
        assert_eq!(made.status, 201, "{made:?}");
        check_credential(&server, &made.json(), "device", KeyUse::DeviceCa).await;
        let leaf = der(&made.json()["credential"]["certificate_pem"]);
        let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
        assert!(leaf.basic_constraints().unwrap().is_none_or(|constraints| !constraints.value.ca));
        assert!(leaf.key_usage().unwrap().is_some_and(|usage| !usage.value.key_cert_sign() && !usage.value.crl_sign()));
        let usage = leaf.extended_key_usage().unwrap().unwrap();
        assert!(usage.value.client_auth && !usage.value.server_auth && !usage.value.code_signing && !usage.value.any);
        assert!(!leaf.subject().to_string().contains("evil"), "{}", leaf.subject());
    }

    async fn a_device_whose_token_is_not_approved_waits(db: TestDb) {
        let server = serve(&db).await;
        let (text, _) = token(&server, json!({"pre_approved": false})).await;
        assert_eq!(enroll(&server, device(&text)).await.json()["status"], "pending_approval");
    }

    async fn a_key_may_be_a_jwk_with_a_proof(db: TestDb) {
        let server = serve(&db).await;
        let (text, _) = token(&server, json!({"max_uses": 2})).await;
        let key = DpopKey::generate();
        let (jwk, proven) = (key.jwk(), key.proof_of_token(&text, Some("n")));
        let with = |nonce: &str, proof: &str| {
            json!({"token": text, "device": {"name": "laptop", "platform": "linux"}, "public_key": jwk, "proof": proof, "nonce": nonce})
        };
        let foreign = DpopKey::generate().proof_of_token(&text, Some("n"));
        assert_eq!(enroll(&server, with("m", &proven)).await.status, 422, "another nonce");
        assert_eq!(enroll(&server, with("n", &foreign)).await.status, 422, "by another key");
        let made = enroll(&server, with("n", &proven)).await;
        assert_eq!(made.status, 201, "{made:?}");
        let again = enroll(&server, with("n", &proven)).await;
        assert!(again.status == 422 && again.json()["fields"]["public_key"].is_string(), "{again:?}");
    }

    async fn every_bad_token_gets_the_same_answer(db: TestDb) {
        let server = serve(&db).await;
        let admin = http(&server, Admin).await;
        let pool = pool(&server).await;
        let mut bad = vec![("unknown", format!("tet_aaaaaaaa_{}", "A".repeat(43))), ("malformed", "x".to_owned())];
        let (used, _) = token(&server, json!({})).await;
        assert_eq!(enroll(&server, device(&used)).await.status, 201);
        bad.push(("used up", used));
        let (revoked, id) = token(&server, json!({})).await;
        assert_eq!(post(&admin, &format!("/v1/admin/tokens/{id}/revoke"), json!({})).await.status, 200);
        bad.push(("revoked", revoked));
        let (expired, _) = token(&server, json!({"name": "expired"})).await;
        sql(&db, "UPDATE enrollment_tokens SET expires_at = 1 WHERE name = 'expired'".to_owned()).await.unwrap();
        bad.push(("expired", expired));
        bad.push(("of gateways", token(&server, json!({"kind": "gateway", "pool_id": pool})).await.0));
        let (of_user, _) = token(&server, json!({"user_id": "bob"})).await;
        let suspended = post(&admin, "/v1/admin/users/suspend", json!({"user_id": "bob", "reason": "left"})).await;
        assert_eq!(suspended.status, 200, "{suspended:?}");
        bad.push(("of a suspended user", of_user));
        for (what, token) in &bad {
            let answer = enroll(&server, device(token)).await;
            refused(&answer, 401, INVALID);
            assert!(answer.json().get("fields").is_none(), "{what}");
        }
        let (of_gateways, _) = token(&server, json!({"kind": "gateway", "pool_id": pool})).await;
        let (of_devices, _) = token(&server, json!({})).await;
        refused(&enroll(&server, gateway(&of_devices)).await, 401, INVALID);
        let deleted =
            post(&admin, "/v1/admin/settings/gateway-pools", json!({"action": "delete", "pool_id": pool})).await;
        assert_eq!(deleted.status, 200, "{deleted:?}");
        refused(&enroll(&server, gateway(&of_gateways)).await, 401, INVALID);
        let suspend = json!({"action": "suspend", "tenant_id": "acme"});
        assert_eq!(post(&http(&server, Platform).await, "/v1/admin/tenants/lifecycle", suspend).await.status, 200);
        refused(&enroll(&server, device(&of_devices)).await, 401, INVALID);
    }

    async fn concurrent_enrollments_use_a_token_and_a_seat_once(db: TestDb) {
        let server = serve(&db).await;
        let limited = json!({"action": "set_plan", "plan": "unlimited", "tenant_id": "acme", "overrides": {"devices": 1}});
        let limited = post(&http(&server, Platform).await, "/v1/admin/tenants/lifecycle", limited).await;
        assert_eq!(limited.status, 200, "{limited:?}");
        let (once, id) = token(&server, json!({})).await;
        let answers = join_all((0..20).map(|_| enroll(&server, device(&once)))).await;
        let with = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
        assert_eq!((with(201), with(401) + with(409)), (1, 19), "{answers:?}");
        let shown = http(&server, Admin).await.get(&format!("/v1/admin/tokens/{id}")).await.json();
        assert_eq!(shown["token"]["use_count"], 1, "{shown}");
        // The seat is taken; a failed enrollment uses nothing.
        let (next, id) = token(&server, json!({})).await;
        let full = enroll(&server, device(&next)).await;
        refused(&full, 409, "the limit of 1 devices is reached");
        assert_eq!(full.json()["error"], "entitlement_exceeded");
        assert_eq!(full.json()["limit"], json!({"resource": "devices", "limit": 1, "used": 1}));
        let shown = http(&server, Admin).await.get(&format!("/v1/admin/tokens/{id}")).await.json();
        assert_eq!(shown["token"]["use_count"], 0, "{shown}");
    }

    async fn a_user_may_have_a_limited_number_of_devices_and_a_tenant_of_gateways(db: TestDb) {
        let server = serve(&db).await;
        let limits = json!({"action": "set_plan", "plan": "unlimited", "tenant_id": "acme", "overrides": {"devices_per_user": 1, "gateways": 0}});
        assert_eq!(post(&http(&server, Platform).await, "/v1/admin/tenants/lifecycle", limits).await.status, 200);
        let (of_ada, _) = token(&server, json!({"user_id": "ada", "max_uses": 5})).await;
        let (of_bob, _) = token(&server, json!({"user_id": "bob"})).await;
        assert_eq!(enroll(&server, device(&of_ada)).await.status, 201);
        refused(&enroll(&server, device(&of_ada)).await, 409, "the limit of 1 devices per user is reached");
        assert_eq!(enroll(&server, device(&of_bob)).await.status, 201);
        let pool = pool(&server).await;
        let (of_gateway, _) = token(&server, json!({"kind": "gateway", "pool_id": pool})).await;
        let full = enroll(&server, gateway(&of_gateway)).await;
        refused(&full, 409, "the limit of 0 gateways is reached");
        assert_eq!(full.json()["limit"], json!({"resource": "gateways", "limit": 0, "used": 0}));
    }

    async fn a_key_is_enrolled_once(db: TestDb) {
        let server = serve(&db).await;
        let (text, _) = token(&server, json!({"max_uses": 5})).await;
        let key = KeyPair::generate().unwrap();
        let with = || json!({"token": text, "device": {"name": "laptop", "platform": "linux"}, "csr_pem": csr_of(&key)});
        let answers = join_all((0..5).map(|_| enroll(&server, with()))).await;
        let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 422, 422, 422, 422], "{answers:?}");
    }

    async fn a_faulty_request_is_refused_before_the_token_is_read(db: TestDb) {
        let server = serve(&db).await;
        let without = |member: &str| {
            let mut body = device("tet_x");
            body.as_object_mut().unwrap().remove(member);
            body
        };
        let mut both = device("tet_x");
        both["gateway"] = json!({"name": "gw"});
        let mut keys = device("tet_x");
        keys["public_key"] = json!({"kty": "OKP"});
        let faulty = [
            (without("token"), "token"),
            (without("device"), "device"),
            (without("csr_pem"), "csr_pem"),
            (both, "gateway"),
            (keys, "public_key"),
            (json!({"token": "x", "device": {"name": "", "platform": "linux"}, "csr_pem": csr()}), "device.name"),
            (json!({"token": "x", "device": {"name": "a", "platform": "vms"}, "csr_pem": csr()}), "device.platform"),
            (json!({"token": "x", "device": {"name": "a", "platform": "linux"}, "csr_pem": "junk"}), "csr_pem"),
            (json!({"token": "x", "gateway": {"name": "a", "endpoints": ["nowhere"]}, "csr_pem": csr()}), "gateway.endpoints"),
        ];
        for (body, field) in faulty {
            let answer = enroll(&server, body).await;
            assert_eq!(answer.status, 422, "{answer:?}");
            assert!(answer.json()["fields"][field].is_string(), "{field}: {answer:?}");
        }
        assert_eq!(enroll(&server, json!({"token": "x", "role": "admin"})).await.status, 400);
    }
}
