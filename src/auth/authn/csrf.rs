//! CSRF tokens: a page that can read our responses can send one, a form on a foreign page cannot.
//!
//! A token is bound to a session and not stored: it is an HMAC of the session's token id, under a key derived
//! from the signing key. It expires with the session, and is valid on every server that has the key.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::Mac;
use http::{HeaderMap, HeaderName};

use super::keys::Keys;
use crate::base::{Error, Result, error::Reason};

pub const HEADER: HeaderName = HeaderName::from_static("x-csrf-token");

/// The CSRF token of the session with this token id (`jti`). It is returned by a login and by the session's own
/// endpoint.
pub fn token(keys: &Keys, session: &str) -> String {
    // There always is a signing key.
    let hash = keys.csrf().next().map(|hash| hash.chain_update(session).finalize().into_bytes());
    URL_SAFE_NO_PAD.encode(hash.unwrap_or_default())
}

/// Checks that the headers contain the token of a session exactly once. After a key rotation, earlier tokens
/// remain valid as long as their sessions.
pub(in crate::auth) fn check(keys: &Keys, session: &str, headers: &HeaderMap) -> Result<()> {
    let mut given = headers.get_all(HEADER).iter();
    let (Some(given), None) = (given.next(), given.next()) else { return Err(refused()) };
    let given = URL_SAFE_NO_PAD.decode(given.as_bytes()).map_err(|_| refused())?;
    // Constant-time comparison.
    let good = keys.csrf().any(|hash| hash.chain_update(session).verify_slice(&given).is_ok());
    if good { Ok(()) } else { Err(refused()) }
}

fn refused() -> Error {
    let text = "a change under a session cookie requires the session's token in X-CSRF-Token";
    Error::denied(Reason::CsrfTokenInvalid, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(keys: &Keys, session: &str, tokens: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for token in tokens {
            headers.append(HEADER, token.parse().unwrap());
        }
        check(keys, session, &headers).is_ok()
    }

    #[test]
    fn a_csrf_token_is_valid_only_for_its_session() {
        let keys = Keys::ephemeral();
        let one = token(&keys, "one");
        assert!(one.len() == 43 && good(&keys, "one", &[&one]));
        assert!(!good(&keys, "two", &[&one]) && !good(&Keys::ephemeral(), "one", &[&one]));
        assert_ne!(one, token(&keys, "two"));
        for bad in [&[] as &[&str], &[""], &["one"], &[&one[..42]], &[&one, &one], &[&format!("{one}A")]] {
            assert!(!good(&keys, "one", bad), "{bad:?}");
        }
    }

    #[test]
    fn csrf_tokens_survive_a_key_rotation() {
        let keys = Keys::ephemeral();
        let before = token(&keys, "one");
        let keys = keys.rotated(Keys::ephemeral());
        assert!(good(&keys, "one", &[&before]) && good(&keys, "one", &[&token(&keys, "one")]));
        let keys = keys.rotated(Keys::ephemeral());
        assert!(!good(&keys, "one", &[&before]));
    }
}
