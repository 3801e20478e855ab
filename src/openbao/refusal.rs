//! From a status and a text to a cause.
//!
//! The status alone does not say whether a call can succeed later: renewing or revoking a lease while the database server is down
//! is 400, as it is for a lease that no longer exists; leasing from a role that is not allowed is 500, as it is while the database
//! server is down. The call, the status and the beginning of the text together do.

use super::{call::Call, error::Cause};

/// Parts of texts that mean that a connection to the database server failed.
const DATABASE_DOWN: [&str; 9] = [
    "connection refused",
    "dial error",
    "dial tcp",
    "failed to connect",
    "connection reset",
    "broken pipe",
    "unexpected eof",
    "i/o timeout",
    "bad connection",
];

/// Part of the text for a token or a lease that cannot be valid for longer, which has the status 500.
const LONGEST_LIFE: &str = "past the max TTL";

/// The cause of a response that is not a success. `text` is what the server said.
pub(super) fn cause(call: Call, status: u16, text: &str) -> Cause {
    match (status, call) {
        (403, Call::EncryptKey | Call::DecryptKey) if forbidden(text) == Cause::Denied => Cause::KeyDenied,
        (403, _) => forbidden(text),
        (429, _) => Cause::RateLimited,
        // A standby that does not forward calls redirects them; redirects are not followed.
        (300..=399, _) => Cause::NoActiveNode,
        (503, _) if text.contains("sealed") => Cause::Sealed,
        (500, _) if text.contains("active cluster node not found") => Cause::NoActiveNode,
        (404, _) if text.contains("namespace not found") => Cause::NoNamespace,
        (404, Call::EncryptKey | Call::DecryptKey) if text.contains("no handler for route") => Cause::NoTransit,
        (404, _) if text.contains("no handler for route") => Cause::NoEngine,
        (404, Call::FindConnection) => Cause::NoConnection,
        (404, Call::FindRole) => Cause::NoRole,
        (400, _) if text.contains("HTTP request to an HTTPS server") => Cause::HttpsRequired,
        (400, Call::FindEngine) if text.starts_with("No secret engine mount") => Cause::NoEngine,
        (400, Call::LogIn) if text.contains("invalid role or secret ID") => Cause::LoginRefused,
        (400, Call::Unwrap) if text.contains("wrapping token is not valid") => Cause::WrappingInvalid,
        (400, Call::EncryptKey | Call::DecryptKey) => of_key(text).unwrap_or(other(status)),
        (400, Call::RenewToken) => Cause::TokenNotRenewable,
        (500, Call::RenewToken) if text.contains(LONGEST_LIFE) => Cause::TokenNotRenewable,
        // A change of a connection that does not exist would create one, for which the name of the plugin is missing.
        (400, Call::AllowRoles) if text.contains("empty plugin name") => Cause::NoConnection,
        (400 | 500, _) => of_lease(text).or_else(|| of_database(call, text)).unwrap_or(other(status)),
        _ => other(status),
    }
}

/// A policy that refuses a call has a longer text than a token that is not valid.
fn forbidden(text: &str) -> Cause {
    if text.trim() == "permission denied" { Cause::TokenInvalid } else { Cause::Denied }
}

/// Causes of a key of the Transit engine, which no retry removes.
fn of_key(text: &str) -> Option<Cause> {
    let of = |part: &str| text.contains(part);
    match () {
        () if of("encryption key not found") => Some(Cause::KeyDenied),
        () if of("disallowed by policy") => Some(Cause::KeyVersion),
        () if of("message authentication failed") || of("invalid ciphertext") => Some(Cause::NotSealed),
        () => None,
    }
}

/// Causes of the lease itself, which no retry removes.
fn of_lease(text: &str) -> Option<Cause> {
    let of = |part: &str| text.contains(part);
    match () {
        () if of("lease not found") || of("lease expired") || of("invalid lease") => Some(Cause::NoLease),
        () if of("lease is not renewable") || of(LONGEST_LIFE) => Some(Cause::NotRenewable),
        () if of("unknown role") || of("could not find role with name") => Some(Cause::NoRole),
        () if of("is not an allowed role") => Some(Cause::RoleNotAllowed),
        () if of("failed to find entry for connection") => Some(Cause::NoConnection),
        () if of("empty creation statements") => Some(Cause::Refused(500)),
        () => None,
    }
}

/// Causes of the database server.
fn of_database(call: Call, text: &str) -> Option<Cause> {
    if !call.reaches_database() {
        return None;
    }
    if let Some(code) = sqlstate(text) {
        return Some(of_sqlstate(code));
    }
    let lower = text.to_ascii_lowercase();
    DATABASE_DOWN.iter().any(|part| lower.contains(part)).then_some(Cause::DatabaseDown)
}

/// The SQLSTATE in a text such as `... (SQLSTATE 28P01)`.
fn sqlstate(text: &str) -> Option<[u8; 5]> {
    let (_, rest) = text.split_once("(SQLSTATE ")?;
    let code: [u8; 5] = rest.as_bytes().get(..5)?.try_into().ok()?;
    code.iter().all(u8::is_ascii_alphanumeric).then_some(code)
}

/// The classes of PostgreSQL's error codes (its manual, appendix A): 08 connections, 53 resources, 57 interventions by an
/// operator, 40 rolled back by a conflict, 55P03 and 55006 locked or in use, 28 logins.
fn of_sqlstate(code: [u8; 5]) -> Cause {
    match (&code[..2], &code) {
        (b"28", _) => Cause::DatabaseLogin,
        (b"08" | b"53" | b"57" | b"40", _) | (_, b"55P03" | b"55006") => Cause::DatabaseDown,
        _ => Cause::DatabaseRefused(code),
    }
}

fn other(status: u16) -> Cause {
    if status >= 500 { Cause::Failed(status) } else { Cause::Refused(status) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOWN: &str = "failed to connect to `user=provisioner database=tenant_acme`: 127.0.0.1:15499 (127.0.0.1): dial \
                        error: dial tcp 127.0.0.1:15499: connect: connection refused";

    #[test]
    fn the_texts_of_the_server_decide_whether_a_call_is_repeated() {
        let revoke = format!("failed to revoke entry: resp: (*logical.Response)(nil) err: {DOWN}");
        let login = "failed SASL auth: FATAL: password authentication failed for user \"p\" (SQLSTATE 28P01)";
        let owns = "failed to revoke entry: err: ERROR: role \"v\" cannot be dropped (SQLSTATE 2BP01)";
        let missing = "failed to revoke entry: err: failed to find entry for connection with name: \"acme\"";
        let cases = [
            (Call::RenewLease, 400, "lease not found", Cause::NoLease, false),
            (Call::RenewLease, 400, "lease is not renewable", Cause::NotRenewable, false),
            (Call::RenewLease, 400, "error during renew: could not find role with name \"r\"", Cause::NoRole, false),
            (Call::FindLease, 400, "invalid lease", Cause::NoLease, false),
            (Call::RevokeLease, 400, &revoke, Cause::DatabaseDown, true),
            (Call::RevokeLeases, 400, &revoke, Cause::DatabaseDown, true),
            (Call::RevokeLease, 400, owns, Cause::DatabaseRefused(*b"2BP01"), false),
            (Call::RevokeLease, 400, missing, Cause::NoConnection, false),
            (Call::LeaseCredentials, 500, DOWN, Cause::DatabaseDown, true),
            (
                Call::LeaseCredentials,
                500,
                "1 error occurred:\n\t* \"r\" is not an allowed role\n\n",
                Cause::RoleNotAllowed,
                false,
            ),
            (Call::LeaseCredentials, 500, "x (SQLSTATE 53300)", Cause::DatabaseDown, true),
            (Call::LeaseCredentials, 500, "x (SQLSTATE 42501)", Cause::DatabaseRefused(*b"42501"), false),
            (Call::LeaseCredentials, 400, "unknown role: none", Cause::NoRole, false),
            (
                Call::LeaseCredentials,
                500,
                "failed to start underlying postgresql transaction",
                Cause::Failed(500),
                true,
            ),
            (Call::LeaseCredentials, 500, "empty creation statements", Cause::Refused(500), false),
            (Call::WriteConnection, 400, login, Cause::DatabaseLogin, false),
            (Call::WriteConnection, 400, DOWN, Cause::DatabaseDown, true),
            (Call::AllowRoles, 400, "empty plugin name", Cause::NoConnection, false),
            (Call::WriteRole, 400, "database name is required", Cause::Refused(400), false),
            (Call::FindRole, 404, "", Cause::NoRole, false),
            (Call::FindRole, 404, "namespace not found", Cause::NoNamespace, false),
            (Call::FindConnection, 404, "", Cause::NoConnection, false),
            (Call::FindEngine, 400, "No secret engine mount at database/", Cause::NoEngine, false),
            (Call::LeaseCredentials, 404, "no handler for route \"database/creds/r\".", Cause::NoEngine, false),
            (Call::WriteRole, 403, "1 error occurred:\n\t* permission denied\n\n", Cause::Denied, false),
            (Call::WriteRole, 403, "permission denied", Cause::TokenInvalid, false),
            (Call::WriteRole, 429, "request path \"x\": rate limit quota exceeded", Cause::RateLimited, true),
            (Call::WriteRole, 503, "Vault is sealed", Cause::Sealed, true),
            (
                Call::WriteRole,
                500,
                "local node not active but active cluster node not found",
                Cause::NoActiveNode,
                true,
            ),
            (Call::WriteRole, 307, "", Cause::NoActiveNode, true),
            (Call::WriteRole, 502, "<html>", Cause::Failed(502), true),
            (Call::LogIn, 400, "invalid role or secret ID", Cause::LoginRefused, false),
            (Call::LogIn, 500, "internal error", Cause::Failed(500), false),
            (Call::Unwrap, 400, "wrapping token is not valid or does not exist", Cause::WrappingInvalid, false),
            (Call::RenewToken, 400, "lease is not renewable", Cause::TokenNotRenewable, false),
            (Call::RenewToken, 403, "permission denied", Cause::TokenInvalid, false),
            (Call::RenewToken, 500, "past the max TTL, cannot renew", Cause::TokenNotRenewable, false),
            (Call::RenewToken, 500, "internal error", Cause::Failed(500), true),
            (Call::RenewLease, 500, "past the max TTL, cannot renew", Cause::NotRenewable, false),
            (Call::FindToken, 400, "Client sent an HTTP request to an HTTPS server.", Cause::HttpsRequired, false),
            (Call::DecryptKey, 400, "cipher: message authentication failed", Cause::NotSealed, false),
            (Call::DecryptKey, 400, "invalid ciphertext: no prefix", Cause::NotSealed, false),
            (Call::DecryptKey, 400, "encryption key not found", Cause::KeyDenied, false),
            (
                Call::DecryptKey,
                400,
                "ciphertext or signature version is disallowed by policy (too old)",
                Cause::KeyVersion,
                false,
            ),
            (Call::DecryptKey, 400, "invalid request", Cause::Refused(400), false),
            (Call::DecryptKey, 500, "internal error", Cause::Failed(500), true),
            (Call::EncryptKey, 403, "1 error occurred:\n\t* permission denied\n\n", Cause::KeyDenied, false),
            (Call::EncryptKey, 403, "permission denied", Cause::TokenInvalid, false),
            (Call::EncryptKey, 404, "no handler for route \"transit/encrypt/k\".", Cause::NoTransit, false),
        ];
        for (call, status, text, want, is_retried) in cases {
            let found = cause(call, status, text);
            assert_eq!(found, want, "{call:?} {status} {text}");
            assert_eq!(found.is_retried(call), is_retried, "{call:?} {status} {text}");
        }
    }

    #[test]
    fn a_text_with_a_broken_code_has_none() {
        assert_eq!(sqlstate("x (SQLSTATE 42"), None);
        assert_eq!(sqlstate("x (SQLSTATE 42é01)"), None);
        assert_eq!(sqlstate("SQLSTATE 42501"), None);
    }
}
