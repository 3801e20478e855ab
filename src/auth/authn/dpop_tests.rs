use std::net::IpAddr;

use http::{HeaderValue, Method, Request};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, macros::datetime};

use super::*;
use crate::base::public_key::testing::TestKey;

const NOW: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);
const TOKEN: &str = "a.b.c";

fn call(proofs: &[&str]) -> Parts {
    call_to("/v1/trust/anchors?sequence=1", "api.example:8443", Some(true), proofs)
}

fn call_to(uri: &str, host: &str, secure: Option<bool>, proofs: &[&str]) -> Parts {
    let address = IpAddr::from([192, 0, 2, 1]);
    let (mut parts, ()) = Request::builder().method(Method::GET).uri(uri).body(()).unwrap().into_parts();
    parts.extensions.insert(ClientInfo {
        address: Some(address),
        peer: address,
        secure,
        host: host.parse().ok(),
        local: false,
        user_agent: None,
    });
    for proof in proofs {
        parts.headers.append(HEADER, HeaderValue::from_str(proof).unwrap());
    }
    parts
}

fn claims(id: &str) -> Value {
    json!({
        "jti": id,
        "htm": "GET",
        "htu": "https://api.example:8443/v1/trust/anchors",
        "iat": NOW.unix_timestamp(),
        "ath": sha256_base64url(TOKEN.as_bytes()),
    })
}

fn proof(key: &TestKey, claims: &Value) -> String {
    key.jws(&json!({"typ": TYPE, "jwk": key.jwk()}), claims)
}

impl Proofs {
    fn check(&self, call: &Parts, token: &str, thumbprint: &str) -> Result<()> {
        self.note(&self.verify(call, token, thumbprint)?)
    }
}

fn proofs() -> Proofs {
    Proofs::new(Clock::manual(NOW))
}

/// The text of the refusal.
fn refusal(proof: &str, key: &TestKey) -> String {
    let error = proofs().check(&call(&[proof]), TOKEN, key.public().thumbprint()).unwrap_err();
    assert_eq!((error.kind, error.reason), (Kind::Unauthenticated, Reason::DpopProofInvalid), "{error}");
    error.message.into_owned()
}

#[test]
fn a_proof_of_every_type_of_key_is_accepted() {
    for key in [TestKey::p256(), TestKey::p384(), TestKey::ed25519()] {
        let proof = proof(&key, &claims("1"));
        proofs().check(&call(&[&proof]), TOKEN, key.public().thumbprint()).unwrap();
    }
}

#[test]
fn a_proof_is_used_once() {
    let (key, proofs) = (TestKey::p256(), proofs());
    let check = |id| proofs.check(&call(&[&proof(&key, &claims(id))]), TOKEN, key.public().thumbprint());
    assert!(check("1").is_ok() && check("2").is_ok());
    let again = check("1").unwrap_err();
    assert!(again.message.contains("used before"), "{again}");
    proofs.clock.advance(Duration::seconds(60));
    assert!(check("1").unwrap_err().message.contains("used before"), "within its window");
    proofs.clock.advance(Duration::SECOND);
    assert!(check("1").unwrap_err().message.contains("iat"));
}

#[test]
fn a_refused_proof_is_not_remembered() {
    let (key, proofs) = (TestKey::p256(), proofs());
    let proof = proof(&key, &claims("1"));
    assert!(proofs.check(&call(&[&proof]), TOKEN, "another key").unwrap_err().message.contains("another key"));
    assert!(proofs.check(&call(&[&proof]), "other.to.ken", key.public().thumbprint()).is_err());
    assert!(proofs.check(&call(&[&proof]), TOKEN, key.public().thumbprint()).is_ok());
}

#[test]
fn every_claim_is_checked() {
    let key = TestKey::p256();
    let with = |name: &str, value: Value| {
        let mut claims = claims("1");
        claims[name] = value;
        refusal(&proof(&key, &claims), &key)
    };
    for (name, value) in [
        ("htm", json!("POST")),
        ("htm", json!("get")),
        ("htu", json!("https://other.example:8443/v1/trust/anchors")),
        ("ath", json!("x")),
        ("ath", Value::Null),
        ("jti", json!("")),
        ("jti", json!("x".repeat(MAX_ID + 1))),
        ("iat", json!(NOW.unix_timestamp() - 61)),
        ("iat", json!(NOW.unix_timestamp() + 61)),
        ("iat", json!(i64::MIN)),
    ] {
        assert!(with(name, value.clone()).contains(name), "{name}: {value}");
    }
    for (name, value) in [("jti", Value::Null), ("iat", json!("now")), ("htm", Value::Null)] {
        assert!(with(name, value).contains("signed by"), "{name}");
    }
}

#[test]
fn the_header_of_a_proof_is_checked() {
    let (key, other) = (TestKey::p256(), TestKey::p256());
    let signed = |header: Value| refusal(&key.jws(&header, &claims("1")), &key);
    assert!(signed(json!({"typ": "JWT", "jwk": key.jwk()})).contains("typ"));
    assert!(signed(json!({"jwk": key.jwk()})).contains("typ"));
    assert!(signed(json!({"typ": TYPE})).contains("jwk"));
    assert!(signed(json!({"typ": TYPE, "jwk": other.jwk()})).contains("signed by"));
    for alg in ["none", "HS256"] {
        assert!(signed(json!({"typ": TYPE, "jwk": key.jwk(), "alg": alg})).contains("signed by"), "{alg}");
    }
    let mut private = key.jwk();
    private["d"] = json!("AA");
    assert!(signed(json!({"typ": TYPE, "jwk": private})).contains("jwk"));
    assert!(refusal("x", &key).contains("compact JWS"));
}

#[test]
fn exactly_one_proof_is_needed() {
    let key = TestKey::p256();
    let proof = proof(&key, &claims("1"));
    for headers in [&[][..], &[proof.as_str(), proof.as_str()]] {
        let error = proofs().check(&call(headers), TOKEN, key.public().thumbprint()).unwrap_err();
        assert!(error.message.contains("exactly one"), "{error}");
    }
}

#[test]
fn the_url_is_compared_as_the_client_sees_it() {
    let is_target = |htu: &str, secure| is_target(htu, &call_to("/v1/%7Ea/b?q=1", "API.example", secure, &[]), None);
    for same in [
        "https://api.example/v1/~a/b",
        "HTTPS://API.EXAMPLE:443/v1/%7ea/b?other=1#f",
        "https://api.example/v1/x/../%7Ea/b",
    ] {
        assert!(is_target(same, Some(true)) && is_target(same, None), "{same}");
        assert!(!is_target(same, Some(false)), "{same}");
    }
    assert!(is_target("http://api.example:80/v1/~a/b", Some(false)));
    for other in [
        "",
        "/v1/~a/b",
        "https://api.example:8443/v1/~a/b",
        "http://api.example/v1/~a/b",
        "https://api.example/v1/~a/b/",
        "https://api.example/v1/~A/b",
        "https://api.example.org/v1/~a/b",
        "https://u@api.example/v1/~a/b",
    ] {
        assert!(!is_target(other, Some(true)), "{other}");
    }
    assert!(!super::is_target("https://api.example/", &call_to("/", "", Some(true), &[]), None), "no host");
}

#[test]
fn the_public_url_counts_and_not_what_the_request_says() {
    let target = |public: &str, path: &str, host: &str, secure, htu: &str| {
        let public = Url::parse(&public.parse::<PublicUrl>().unwrap().at("")).unwrap();
        is_target(htu, &call_to(path, host, secure, &[]), Some(&public))
    };
    let plain = |host: &str, secure, htu: &str| target("https://api.example", "/v1/a?q=1", host, secure, htu);
    for (host, secure) in
        [("api.example", Some(true)), ("evil.example", Some(true)), ("10.0.0.7:8080", Some(false)), ("", None)]
    {
        for same in
            ["https://api.example/v1/a", "HTTPS://API.example:443/v1/%61?other=2#f", "https://api.example/x/../v1/a"]
        {
            assert!(plain(host, secure, same), "{host} {same}");
        }
        for other in [
            "https://evil.example/v1/a",
            "http://10.0.0.7:8080/v1/a",
            "http://api.example/v1/a",
            "https://api.example:8443/v1/a",
            "https://api.example/v1/a/",
            "https://api.example/v1",
            "https://u@api.example/v1/a",
        ] {
            assert!(!plain(host, secure, other), "{host} {other}");
        }
    }
    let below = |htu: &str| target("http://api.example:80/tenantry/", "/v1/a", "inner", None, htu);
    assert!(below("http://api.example/tenantry/v1/a") && below("http://api.example:80/tenantry/v1/a"));
    assert!(!below("http://api.example/v1/a") && !below("http://api.example/tenantry/tenantry/v1/a"));
}
