//! Digests of a call with a key: one of the caller, the method and the key, and one of the request.

use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
use tonic::metadata::MetadataMap;
use transcoder::MethodInfo;

use super::IdentifiedCall;
use crate::base::{Caller, KeyedCall, TenantId, digest::sha256_hex};

/// In earlier versions only zero-trust calls over REST accepted keys, and a key belonged to a path instead of a method. These methods
/// still use their paths, so that old and new servers find the same row.
const PATHS: [(&str, &str); 13] = [
    ("/tenantry.zerotrust.v1.ApiKeyService/ChangeApiKey", "/v1/admin/api-keys"),
    ("/tenantry.zerotrust.v1.GroupService/ChangeGroup", "/v1/admin/groups/lifecycle"),
    ("/tenantry.zerotrust.v1.RoleService/GrantRole", "/v1/admin/rbac/grant"),
    ("/tenantry.zerotrust.v1.RoleService/RevokeRole", "/v1/admin/rbac/revoke"),
    ("/tenantry.zerotrust.v1.SessionService/Logout", "/v1/admin/logout"),
    ("/tenantry.zerotrust.v1.TenantService/ChangeTenant", "/v1/admin/tenants/lifecycle"),
    ("/tenantry.zerotrust.v1.TotpService/DisableTotp", "/v1/admin/users/totp/disable"),
    ("/tenantry.zerotrust.v1.TotpService/EnrollTotp", "/v1/admin/users/totp/enroll"),
    ("/tenantry.zerotrust.v1.TotpService/VerifyTotp", "/v1/admin/users/totp/verify"),
    ("/tenantry.zerotrust.v1.UserService/ChangeUser", "/v1/admin/users/lifecycle"),
    ("/tenantry.zerotrust.v1.UserService/ReactivateUser", "/v1/admin/users/reactivate"),
    ("/tenantry.zerotrust.v1.UserService/SetPassword", "/v1/admin/users/password"),
    ("/tenantry.zerotrust.v1.UserService/SuspendUser", "/v1/admin/users/suspend"),
];

/// The headers on which a response depends in addition to the message. `Accept` is not one of them: it selects the framing of streams,
/// which do not accept keys, and content codings are applied outside of the services.
const CONDITIONS: [http::HeaderName; 4] = [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE];

/// The conditions of a request (RFC 9110, section 13), one per line.
pub(super) fn conditions(metadata: &MetadataMap) -> String {
    let mut conditions = String::new();
    for name in &CONDITIONS {
        for value in metadata.as_ref().get_all(name) {
            // A header value has no line break.
            conditions.extend([name.as_str(), ":", &String::from_utf8_lossy(value.as_bytes()), "\n"]);
        }
    }
    conditions
}

/// A call with a key, by its encoded message.
pub(super) fn identify(
    caller: &Caller,
    method: &'static MethodInfo,
    key: &str,
    conditions: &str,
    request: &[u8],
) -> IdentifiedCall {
    let path = PATHS.iter().find(|(rpc, _)| *rpc == method.path).map_or(method.path, |(_, path)| path);
    let mut who = Vec::new();
    push(&mut who, caller);
    who.extend([path.to_owned(), key.to_owned()]);
    if let Some(principal) = &caller.principal {
        push(&mut who, principal);
    }
    // None of the values contains a line break.
    let who = who.join("\n");
    // A request may contain a password. The key, which is not stored, makes the digest useless for guessing it.
    let request = sha256_hex([who.as_bytes(), b"\n", conditions.as_bytes(), b"\n", request]);
    let call = KeyedCall::new(sha256_hex([who.as_bytes()]), &request);
    IdentifiedCall { call, tenant: caller.tenant.as_ref().map(|tenant| tenant.id) }
}

/// Appends everything on which the rights of a caller depend.
fn push(who: &mut Vec<String>, caller: &Caller) {
    let roles: Vec<_> = caller.roles().iter().map(|role| role.as_str()).collect();
    who.extend([
        caller.kind.as_str().to_owned(),
        caller.tenant.as_ref().map(|tenant| tenant.id).map(TenantId::dashed).unwrap_or_default(),
        caller.account.map(|account| account.to_string()).unwrap_or_default(),
        caller.subject.clone(),
        roles.join(","),
        caller.project.clone().unwrap_or_default(),
    ]);
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::{
        base::caller::CallerFacts,
        proto::{
            messaging::v2::tenant_service_rest::CREATE_TENANT,
            zerotrust::v1::{group_service_rest::CHANGE_GROUP, user_service_rest::CHANGE_USER},
        },
    };

    /// The digests of a call: whose key, and which request.
    fn digests(caller: &Caller, method: &'static MethodInfo, key: &str, request: &[u8]) -> (String, String) {
        let identified = identify(caller, method, key, "", request);
        (identified.call.id().to_owned(), identified.call.request_hash().to_owned())
    }

    #[test]
    fn a_key_belongs_to_its_caller_and_method() {
        let (system, nobody) = (Caller::system(), Caller::new(CallerFacts::default()));
        let first = digests(&system, &CHANGE_GROUP, "k", b"a");
        assert_eq!(first, digests(&system, &CHANGE_GROUP, "k", b"a"));
        assert_ne!(first.0, digests(&nobody, &CHANGE_GROUP, "k", b"a").0);
        assert_ne!(first.0, digests(&system, &CHANGE_USER, "k", b"a").0);
        assert_ne!(first.0, digests(&system, &CREATE_TENANT, "k", b"a").0);
        assert_ne!(first.0, digests(&system, &CHANGE_GROUP, "l", b"a").0);
        let other = digests(&system, &CHANGE_GROUP, "k", b"b");
        assert!(other.0 == first.0 && other.1 != first.1, "the same key, another request");
        let speaks_for = |principal: &Caller| {
            Caller::new(CallerFacts { principal: Some(principal.clone()), ..CallerFacts::clone(&system) })
        };
        let proxied = digests(&speaks_for(&nobody), &CREATE_TENANT, "k", b"a");
        assert_ne!(proxied.0, digests(&system, &CREATE_TENANT, "k", b"a").0);
        assert_ne!(proxied.0, digests(&speaks_for(&system), &CREATE_TENANT, "k", b"a").0);
    }

    /// The digest of a server that accepted keys only over REST.
    #[test]
    fn a_key_of_an_older_server_is_found() {
        let lines = "SERVICE\n\n\nsystem\nplatform_admin\n\n/v1/admin/groups/lifecycle\nk";
        assert_eq!(digests(&Caller::system(), &CHANGE_GROUP, "k", b"").0, sha256_hex([lines.as_bytes()]));
    }

    #[test]
    fn conditions_are_part_of_a_request() {
        let of = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            conditions(&MetadataMap::from_headers(headers))
        };
        assert_eq!(of("if-match", "\"1\""), "if-match:\"1\"\n");
        for (name, value) in [("content-type", "text/plain"), ("accept", "*/*"), ("x-server-timeout", "1")] {
            assert_eq!(of(name, value), "", "headers that may differ between attempts must be ignored: {name}");
        }
        let hash = |conditions| {
            identify(&Caller::system(), &CHANGE_GROUP, "k", conditions, b"").call.request_hash().to_owned()
        };
        assert_ne!(hash(""), hash("if-match:\"1\"\n"));
    }
}
