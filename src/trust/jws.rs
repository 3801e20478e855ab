//! Signed statements that are carried in headers: compact JWS (RFC 7515), signed with Ed25519 (RFC 8037).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;

use super::key::ArtifactKey;
use crate::base::{Error, Result};

/// The header, in this order.
#[derive(Serialize)]
struct Header<'h> {
    alg: &'static str,
    typ: &'h str,
    kid: &'h str,
}

/// Signs claims as a statement of this type.
pub fn sign(typ: &str, claims: &impl Serialize, key: &ArtifactKey) -> Result<String> {
    let header = Header { alg: "EdDSA", typ, kid: key.id() };
    let signed = format!("{}.{}", part(&header)?, part(claims)?);
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()));
    Ok(format!("{signed}.{signature}"))
}

fn part(value: &impl Serialize) -> Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(serde_json::to_vec(value).map_err(Error::internal)?))
}

#[cfg(test)]
mod tests {
    use bundle_verify::Compact;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_statement_has_its_type_and_the_id_of_its_key() {
        let key = ArtifactKey::generate();
        let text = sign("spc+jwt", &json!({"jti": "spc_1"}), &key).unwrap();
        assert_eq!(Compact::parse(&text, "spc+jwt").unwrap().key_id, key.id());
        assert!(Compact::parse(&text, "grant+jwt").is_err());
        let header = URL_SAFE_NO_PAD.decode(text.split('.').next().unwrap()).unwrap();
        let expected = format!(r#"{{"alg":"EdDSA","typ":"spc+jwt","kid":"{}"}}"#, key.id());
        assert_eq!(String::from_utf8(header).unwrap(), expected);
    }
}
