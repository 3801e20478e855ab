//! Documented third-party credentials: each is valid only under its own key and on its own surface.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{jws, tokens};
use crate::base::{Error, Result, Role, Secret};

/// The manager's key: `KUBEOP_JWT_SIGNING_KEY`.
#[derive(Clone)]
pub struct ManagerKey(jws::Key);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManagerKeyError {
    #[error("not standard base64")]
    Encoding,
    /// Too short to resist guessing (RFC 7518, 3.2).
    #[error("the decoded key is shorter than 32 bytes")]
    Short,
}

/// The claims of a manager token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagerClaims {
    /// Empty if the token has none.
    pub subject: String,
    pub role: Role,
    /// Id or name, in any spelling.
    pub tenant: Option<String>,
    pub project: Option<String>,
    pub exp: i64,
    nbf: Option<i64>,
    pub iat: Option<i64>,
    pub jti: Option<String>,
}

#[derive(Deserialize)]
struct Wire {
    #[serde(default)]
    sub: String,
    #[serde(default)]
    role: String,
    #[serde(default)]
    scope: String,
    exp: i64,
    nbf: Option<i64>,
    iat: Option<i64>,
    jti: Option<String>,
}

/// The claims of a token that this server signs with the shared key.
#[derive(Serialize)]
struct Issued<'a> {
    iss: &'a str,
    sub: &'a str,
    role: &'a str,
    scope: &'a str,
    iat: i64,
    exp: i64,
}

impl ManagerKey {
    /// Parses the value of the setting.
    pub fn from_base64(text: &Secret<String>) -> Result<Self, ManagerKeyError> {
        let key = STANDARD.decode(text.expose().trim()).map_err(|_| ManagerKeyError::Encoding)?;
        if key.len() < 32 {
            return Err(ManagerKeyError::Short);
        }
        jws::Key::hs256(&key).map(Self).ok_or(ManagerKeyError::Short)
    }

    /// A token of a project, in the documented form.
    pub(in crate::auth) fn sign_project(&self, project: &str, iat: i64, exp: i64) -> Result<String> {
        let scope = format!("project:{project}");
        let claims = Issued { iss: "kubeop", sub: &scope, role: "project", scope: &scope, iat, exp };
        jws::sign_hs256(&self.0, &claims).ok_or_else(|| Error::internal("cannot sign a token of a project"))
    }

    /// Verifies form, signature and claims of a token. Times are checked by [`ManagerClaims::check`].
    pub fn verify(&self, token: &str) -> Result<ManagerClaims> {
        let wire: Wire = tokens::parse(token)?.verify(&self.0).ok_or_else(tokens::invalid)?;
        let (role, tenant, project) = read_role(&wire);
        let Wire { sub: subject, exp, nbf, iat, jti, .. } = wire;
        // The documented API requires no subject; if present, it must fit into one log line.
        if subject.contains(char::is_control) {
            return Err(tokens::invalid());
        }
        Ok(ManagerClaims { subject, role, tenant, project, exp, nbf, iat, jti })
    }
}

impl ManagerClaims {
    /// Checks the validity period.
    pub fn check(&self, now: i64) -> Result<()> {
        tokens::check_times(self.exp, self.nbf, self.iat, now)
    }
}

/// Maps the manager's roles: `admin` covers all tenants, `tenant` and `project` are restricted by the scope. A
/// caller with another role, or without a matching scope, is authenticated but has no permissions (manager
/// contract, section 2).
fn read_role(wire: &Wire) -> (Role, Option<String>, Option<String>) {
    let scope = |prefix| wire.scope.strip_prefix(prefix).filter(|id: &&str| !id.is_empty()).map(str::to_owned);
    match (wire.role.as_str(), scope("tenant:"), scope("project:")) {
        ("admin", _, _) => (Role::PlatformAdmin, None, None),
        ("tenant", Some(id), _) => (Role::Admin, Some(id), None),
        ("project", _, Some(id)) => (Role::Project, None, Some(id)),
        _ => (Role::User, None, None),
    }
}

/// The warehouse's static key, `QOD_API_KEY`, as a digest.
#[derive(Clone)]
pub struct ApiKey([u8; 32]);

impl ApiKey {
    /// `None` for an empty setting.
    pub fn new(text: &Secret<String>) -> Option<Self> {
        (!text.expose().is_empty()).then(|| Self(Sha256::digest(text.expose()).into()))
    }

    /// Whether a header contains the key. Digests of equal length are compared in constant time, so that timing
    /// reveals nothing about the key.
    pub fn matches(&self, given: &[u8]) -> bool {
        let given: [u8; 32] = Sha256::digest(given).into();
        std::hint::black_box(self.0.iter().zip(given).fold(0, |difference, (a, b)| difference | (a ^ b))) == 0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{auth::authn::jws::sign_hmac, base::error::Reason};

    const NOW: i64 = 1_800_000_000;
    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

    fn key() -> ManagerKey {
        ManagerKey::from_base64(&Secret::new(STANDARD.encode(SECRET))).unwrap_or_else(|e| panic!("{e}"))
    }

    fn token(claims: &Value) -> String {
        sign_hmac("HS256", SECRET, claims)
    }

    #[test]
    fn roles_and_scopes_map_to_ours() {
        let cases = [
            (json!({"role": "admin", "exp": NOW}), Some((Role::PlatformAdmin, None, None))),
            (json!({"role": "admin", "scope": "tenant:x", "exp": NOW}), Some((Role::PlatformAdmin, None, None))),
            (json!({"role": "tenant", "scope": "tenant:x", "exp": NOW}), Some((Role::Admin, Some("x"), None))),
            (json!({"role": "project", "scope": "project:p", "exp": NOW}), Some((Role::Project, None, Some("p")))),
            (json!({"role": "tenant", "scope": "project:p", "exp": NOW}), Some((Role::User, None, None))),
            (json!({"role": "tenant", "scope": "tenant:", "exp": NOW}), Some((Role::User, None, None))),
            (json!({"role": "tenant", "exp": NOW}), Some((Role::User, None, None))),
            (json!({"role": "platform_admin", "exp": NOW}), Some((Role::User, None, None))),
            (json!({"exp": NOW}), Some((Role::User, None, None))),
            (json!({"role": "admin"}), None),
        ];
        for (claims, want) in cases {
            let got = key().verify(&token(&claims));
            let got = got.ok().map(|c| (c.role, c.tenant, c.project));
            assert_eq!(got, want.map(|(r, t, p)| (r, t.map(str::to_owned), p.map(str::to_owned))), "{claims}");
        }
    }

    #[test]
    fn an_issued_token_is_that_of_its_project() {
        let token = key().sign_project("p_1", NOW, NOW + 60).unwrap();
        let payload = token.split('.').nth(1).unwrap();
        let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap();
        let text = String::from_utf8(payload).unwrap();
        let sent = r#"{"iss":"kubeop","sub":"project:p_1","role":"project","scope":"project:p_1","iat":1800000000,"exp":1800000060}"#;
        assert_eq!(text, sent);
        let claims = key().verify(&token).unwrap();
        assert_eq!((claims.role, claims.project.as_deref(), claims.tenant), (Role::Project, Some("p_1"), None));
    }

    #[test]
    fn one_algorithm_and_one_key() {
        let claims = json!({"role": "admin", "exp": NOW});
        assert!(key().verify(&sign_hmac("HS512", SECRET, &claims)).is_err());
        let forged = sign_hmac("HS256", b"another key of thirty-two bytes!!", &claims);
        assert_eq!(key().verify(&forged).unwrap_err().reason, Reason::CredentialsInvalid);
        let good = key().verify(&token(&claims)).unwrap();
        assert!(good.check(NOW).is_ok());
        assert_eq!(good.check(NOW + 60).unwrap_err().reason, Reason::CredentialsExpired);
    }

    #[test]
    fn invalid_keys_are_refused() {
        let read = |text: &str| ManagerKey::from_base64(&Secret::new(text.to_owned())).err();
        assert_eq!(read("replace-with-base64-jwt-key"), Some(ManagerKeyError::Encoding));
        assert_eq!(read("c2hvcnQ="), Some(ManagerKeyError::Short));
    }

    #[test]
    fn the_api_key_matches_only_itself() {
        let key = ApiKey::new(&Secret::new("letmein".to_owned())).unwrap();
        assert!(key.matches(b"letmein"));
        assert!(!key.matches(b"letmeiN") && !key.matches(b"") && !key.matches(b"letmein "));
        assert!(ApiKey::new(&Secret::default()).is_none());
    }
}
