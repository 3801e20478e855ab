use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::Signer as _;
use serde_json::{Value, json};

use super::*;

const NOW: i64 = 1_800_000_000;

fn claims() -> Claims {
    Claims {
        iss: ISSUER.to_owned(),
        aud: vec!["messaging".to_owned()],
        sub: "ops".to_owned(),
        iat: NOW,
        exp: NOW + 3600,
        nbf: None,
        jti: "j1".to_owned(),
        role: "platform_admin".to_owned(),
        roles: Vec::new(),
        tenant: None,
        project: None,
        account: None,
        epoch: None,
    }
}

fn use_token(keys: &Keys, token: &str, now: i64) -> Result<Claims> {
    let claims = verify(keys, token)?;
    check(&claims, Surface::Messaging, now)?;
    Ok(claims)
}

fn refused(keys: &Keys, token: &str) -> Reason {
    use_token(keys, token, NOW).expect_err("the token must be refused").reason
}

/// A token with a custom header and claims, signed with the valid key.
fn signed(keys: &Keys, header: &Value, claims: &Value) -> String {
    let message = format!("{}.{}", part(header), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(keys.signing().sign(message.as_bytes()).to_bytes());
    format!("{message}.{signature}")
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn good_header(keys: &Keys) -> Value {
    json!({"alg": "EdDSA", "typ": "at+jwt", "kid": keys.kid()})
}

fn changed(change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> Value {
    let mut value = serde_json::to_value(claims()).unwrap();
    change(value.as_object_mut().unwrap());
    value
}

#[test]
fn a_minted_token_has_its_leeway_and_a_session_has_none() {
    let minted = Claims { exp: NOW, ..claims() };
    assert_eq!(end(&minted), NOW + LEEWAY);
    assert_eq!(end(&Claims { account: Some(Uuid::from_u128(1)), ..minted }), NOW);
}

#[test]
fn issued_tokens_are_accepted() {
    let keys = Keys::ephemeral();
    let token = issue(&keys, &claims()).unwrap();
    assert_eq!(use_token(&keys, &token, NOW).unwrap(), claims());
    let header: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap()).unwrap();
    assert_eq!(header, good_header(&keys));
}

#[test]
fn garbage_is_refused() {
    let keys = Keys::ephemeral();
    let token = issue(&keys, &claims()).unwrap();
    let mut other = token.clone();
    other.replace_range(token.len() - 8..token.len() - 4, "AAAA");
    let huge = "a".repeat(MAX_LEN + 1);
    for garbage in ["", ".", "..", "...", "a.b.c", "not a token", &token[..token.len() - 2], &other, &huge] {
        assert_eq!(refused(&keys, garbage), Reason::CredentialsInvalid, "{garbage}");
    }
}

#[test]
fn times_are_checked_with_a_minute_of_leeway() {
    let keys = Keys::ephemeral();
    let token = issue(&keys, &claims()).unwrap();
    assert!(use_token(&keys, &token, NOW + 3600 + LEEWAY - 1).is_ok());
    assert_eq!(use_token(&keys, &token, NOW + 3600 + LEEWAY).unwrap_err().reason, Reason::CredentialsExpired);
    assert!(use_token(&keys, &token, NOW - LEEWAY).is_ok());
    assert_eq!(use_token(&keys, &token, NOW - LEEWAY - 1).unwrap_err().reason, Reason::CredentialsInvalid);
    let later = issue(&keys, &Claims { nbf: Some(NOW + 1000), ..claims() }).unwrap();
    assert_eq!(refused(&keys, &later), Reason::CredentialsInvalid);
}

#[test]
fn a_token_without_an_expiry_is_refused() {
    let keys = Keys::ephemeral();
    for claim in ["exp", "iat", "iss", "aud", "sub", "jti", "role"] {
        let without = changed(|claims| drop(claims.remove(claim)));
        assert_eq!(
            refused(&keys, &signed(&keys, &good_header(&keys), &without)),
            Reason::CredentialsInvalid,
            "{claim}"
        );
    }
    let text = changed(|claims| drop(claims.insert("exp".to_owned(), json!("never"))));
    assert_eq!(refused(&keys, &signed(&keys, &good_header(&keys), &text)), Reason::CredentialsInvalid);
}

#[test]
fn a_token_is_valid_for_at_most_400_days() {
    let keys = Keys::ephemeral();
    let of = |exp| issue(&keys, &Claims { exp, ..claims() }).unwrap();
    assert!(use_token(&keys, &of(NOW + MAX_LIFETIME), NOW).is_ok());
    for exp in [NOW + MAX_LIFETIME + 1, i64::MAX] {
        assert_eq!(refused(&keys, &of(exp)), Reason::CredentialsInvalid);
    }
}

#[test]
fn a_subject_is_not_empty_and_fits_on_one_line() {
    let keys = Keys::ephemeral();
    for sub in ["", "\n", "ops\u{7f}", "a\0b", "a\u{85}"] {
        let token = issue(&keys, &Claims { sub: sub.to_owned(), ..claims() }).unwrap();
        assert_eq!(refused(&keys, &token), Reason::CredentialsInvalid, "{sub:?}");
    }
}

#[test]
fn another_issuer_or_audience_is_refused() {
    let keys = Keys::ephemeral();
    let issuer = issue(&keys, &Claims { iss: "kubeop".to_owned(), ..claims() }).unwrap();
    assert_eq!(refused(&keys, &issuer), Reason::CredentialsInvalid);
    for audience in [vec![], vec!["manager".to_owned(), "native".to_owned()], vec!["Messaging".to_owned()]] {
        let token = issue(&keys, &Claims { aud: audience, ..claims() }).unwrap();
        assert_eq!(refused(&keys, &token), Reason::CredentialsInvalid);
    }
    let one = changed(|claims| drop(claims.insert("aud".to_owned(), json!("messaging"))));
    assert!(use_token(&keys, &signed(&keys, &good_header(&keys), &one), NOW).is_ok());
}

#[test]
fn foreign_headers_are_refused() {
    let keys = Keys::ephemeral();
    let kid = keys.kid();
    let good = changed(|_| ());
    assert!(use_token(&keys, &signed(&keys, &good_header(&keys), &good), NOW).is_ok());
    for header in [
        json!({"alg": "none", "typ": "at+jwt", "kid": kid}),
        json!({"alg": "None", "typ": "at+jwt", "kid": kid}),
        json!({"alg": "RS256", "typ": "at+jwt", "kid": kid}),
        json!({"alg": "HS256", "typ": "at+jwt", "kid": kid}),
        json!({"alg": "EdDSA", "typ": "JWT", "kid": kid}),
        json!({"alg": "EdDSA", "kid": kid}),
        json!({"alg": "EdDSA", "typ": "at+jwt"}),
        json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "other"}),
        json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid, "crit": ["exp"]}),
        json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid, "crit": []}),
        json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid, "crit": "x"}),
        json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid, "b64": false}),
    ] {
        assert_eq!(refused(&keys, &signed(&keys, &header, &good)), Reason::CredentialsInvalid, "{header}");
    }
    let unsigned = format!("{}.{}.", part(&json!({"alg": "none", "typ": "at+jwt", "kid": kid})), part(&good));
    assert_eq!(refused(&keys, &unsigned), Reason::CredentialsInvalid);
}

#[test]
fn the_public_key_is_not_accepted_as_a_shared_secret() {
    let keys = Keys::ephemeral();
    let set = keys.jwks();
    let x = set["keys"][0]["x"].as_str().unwrap();
    let raw = URL_SAFE_NO_PAD.decode(x).unwrap();
    for secret in [raw.as_slice(), x.as_bytes()] {
        let header = json!({"alg": "HS256", "typ": TYPE, "kid": keys.kid()});
        let forged = jws::sign_hmac_with(&header, secret, &claims());
        assert_eq!(refused(&keys, &forged), Reason::CredentialsInvalid);
    }
}

#[test]
fn the_current_and_the_previous_key_verify_and_no_other() {
    let first = Keys::ephemeral();
    let old = issue(&first, &claims()).unwrap();
    let both = first.rotated(Keys::ephemeral());
    let new = issue(&both, &claims()).unwrap();
    assert!(use_token(&both, &old, NOW).is_ok());
    assert!(use_token(&both, &new, NOW).is_ok());
    let later = both.rotated(Keys::ephemeral());
    assert_eq!(refused(&later, &old), Reason::CredentialsInvalid);
    assert!(use_token(&later, &new, NOW).is_ok());
}
