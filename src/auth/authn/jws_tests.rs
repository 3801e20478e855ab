use ed25519_dalek::VerifyingKey;
use serde_json::{Value, json};

use super::*;

/// RFC 7515, appendix A.1: claims under HS256.
const RFC_7515_SECRET: &str = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
const RFC_7515_TOKEN: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
    eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
    dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// RFC 8037, appendices A.1, A.2 and A.4: a text under Ed25519.
const RFC_8037_PRIVATE: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
const RFC_8037_PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const RFC_8037_TOKEN: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
    hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

fn decoded(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

fn rfc_8037() -> (SigningKey, Key) {
    let private: [u8; 32] = decoded(RFC_8037_PRIVATE).try_into().unwrap();
    let public: [u8; 32] = decoded(RFC_8037_PUBLIC).try_into().unwrap();
    (SigningKey::from_bytes(&private), Key::EdDsa(VerifyingKey::from_bytes(&public).unwrap()))
}

#[test]
fn the_token_of_rfc_7515_verifies_with_its_secret() {
    let jws = Jws::parse(RFC_7515_TOKEN).unwrap();
    let claims: Value = jws.verify(&Key::hs256(&decoded(RFC_7515_SECRET)).unwrap()).unwrap();
    assert_eq!(claims, json!({"iss": "joe", "exp": 1_300_819_380, "http://example.com/is_root": true}));
    assert!(jws.verify::<Value>(&Key::hs256(b"another secret").unwrap()).is_none());
    assert!(jws.verify::<Value>(&rfc_8037().1).is_none());
}

#[test]
fn the_signature_of_rfc_8037_verifies_and_is_reproduced() {
    let (signing, key) = rfc_8037();
    let jws = Jws::parse(RFC_8037_TOKEN).unwrap();
    assert!(key.verifies(jws.message.as_bytes(), &decoded(jws.signature)));
    assert_eq!(signing.sign(jws.message.as_bytes()).to_vec(), decoded(jws.signature));
    // The signed payload is plain text and not JSON, so there are no claims.
    assert!(jws.verify::<Value>(&key).is_none());
}

#[test]
fn every_changed_character_invalidates_a_token() {
    let (signing, key) = rfc_8037();
    let token = sign(&signing, &Header::eddsa("at+jwt", "k"), &json!({"sub": "ops"})).unwrap();
    assert_eq!(Jws::parse(&token).unwrap().verify::<Value>(&key), Some(json!({"sub": "ops"})));
    for (at, was) in token.char_indices() {
        let mut changed = token.clone();
        changed.replace_range(at..=at, if was == 'A' { "B" } else { "A" });
        assert!(Jws::parse(&changed).and_then(|jws| jws.verify::<Value>(&key)).is_none(), "{at}");
    }
}

#[test]
fn a_header_cannot_choose_the_algorithm() {
    let (_, key) = rfc_8037();
    let claims = json!({"sub": "ops"});
    // Signed with the public key as a shared secret.
    for alg in ["HS256", "EdDSA", "none", "eddsa"] {
        let forged = sign_hmac(alg, &decoded(RFC_8037_PUBLIC), &claims);
        assert!(Jws::parse(&forged).unwrap().verify::<Value>(&key).is_none(), "{alg}");
    }
    for alg in ["HS512", "hs256", "none", ""] {
        let other = sign_hmac(alg, b"secret", &claims);
        assert!(Jws::parse(&other).unwrap().verify::<Value>(&Key::hs256(b"secret").unwrap()).is_none(), "{alg}");
    }
}

#[test]
fn a_key_of_small_order_verifies_nothing() {
    // With the neutral element as key and as R, and s = 0, the equation holds for every message.
    let neutral = {
        let mut point = [0; 32];
        point[0] = 1;
        point
    };
    let key = Key::EdDsa(VerifyingKey::from_bytes(&neutral).unwrap());
    let signature = [neutral, [0; 32]].concat();
    assert!(!key.verifies(b"anything", &signature));
}

#[test]
fn other_serializations_are_not_parsed() {
    let part = |header: &Value| URL_SAFE_NO_PAD.encode(header.to_string());
    for header in [
        json!({"typ": "JWT"}),
        json!({"alg": 1}),
        json!({"alg": "HS256", "kid": 1}),
        json!({"alg": "HS256", "typ": []}),
        json!({"alg": "HS256", "crit": null}),
        json!({"alg": "HS256", "crit": ["exp"]}),
        json!({"alg": "HS256", "b64": true}),
        json!(["HS256"]),
        json!(["HS256", null, null]),
    ] {
        assert!(Jws::parse(&format!("{}.e30.AA", part(&header))).is_none(), "{header}");
    }
    let good = part(&json!({"alg": "HS256", "jku": "https://example.com", "x": 1}));
    assert!(Jws::parse(&format!("{good}.e30.AA")).is_some());
    let twice = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","alg":"EdDSA"}"#);
    for token in ["", ".", "..", "e30", &good, &format!("{good}.e30"), &format!("{good}=.e30.AA"), &twice] {
        assert!(Jws::parse(token).is_none(), "{token}");
    }
    assert!(Jws::parse(&format!("{twice}.e30.AA")).is_none());
    // An extra part is read as part of the payload, in which a dot is not valid.
    let four = format!("{good}.e30.e30.AA");
    assert!(Jws::parse(&four).and_then(|jws| jws.unverified::<Value>()).is_none());
}
