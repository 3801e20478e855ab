//! The payload of a policy bundle (zero-trust contract, section 6.1), whose bytes are signed and whose digest is its entity tag.

use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    base::{Error, IdKind, Result, TenantId, rfc3339::whole_seconds},
    policy::{document::Document, resolve::Resolved, scope::Scope},
};

const SCHEMA: &str = "tenantry.policy.v1";

/// What a bundle has besides the policy of its devices.
#[derive(Clone, Copy, Debug)]
pub struct Issue {
    pub bundle_id: Uuid,
    pub tenant: TenantId,
    pub version: i64,
    pub issued_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
}

/// The payload, in the documented order.
#[derive(Serialize)]
struct Payload<'a> {
    schema: &'static str,
    bundle_id: String,
    tenant_id: String,
    version: i64,
    channel: &'static str,
    issued_at: String,
    expires_at: String,
    refresh_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_client_version: Option<&'a str>,
    target: Target,
    policy: Document,
    resolved_from: Vec<Source>,
}

#[derive(Serialize)]
struct Target {
    r#type: &'static str,
    /// The scope global has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

#[derive(Serialize)]
struct Source {
    scope: &'static str,
    /// The id of the group or the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    policy_id: String,
}

/// The bytes of the payload. They depend only on the arguments.
pub fn payload(resolved: &Resolved<'_>, issue: &Issue) -> Result<Vec<u8>> {
    let target = resolved.target();
    let payload = Payload {
        schema: SCHEMA,
        bundle_id: IdKind::Policy.show(issue.bundle_id),
        tenant_id: issue.tenant.zero_trust(),
        version: issue.version,
        channel: resolved.channel().as_str(),
        issued_at: whole_seconds(issue.issued_at)?,
        expires_at: whole_seconds(issue.expires_at)?,
        refresh_seconds: resolved.document.refresh_seconds,
        min_client_version: resolved.document.min_client_version.as_deref(),
        target: Target { r#type: target.kind().as_str(), id: target.shown_id(issue.tenant) },
        // These two are members of the payload itself.
        policy: Document { refresh_seconds: None, min_client_version: None, ..resolved.document.clone() },
        resolved_from: resolved
            .sources
            .iter()
            .map(|source| source_of(source.scope, source.shown_id(), issue))
            .collect(),
    };
    serde_json::to_vec(&payload).map_err(Error::internal)
}

fn source_of(scope: Scope, policy_id: String, issue: &Issue) -> Source {
    let id = scope.shown_id(issue.tenant).filter(|_| scope != Scope::Tenant);
    Source { scope: scope.kind().as_str(), id, policy_id }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::{
        policy::{
            document::Document,
            resolve::{Published, Subject, resolve},
        },
        store::Stamp,
    };

    fn policies() -> Vec<Published> {
        let policy = |number: u8, scope, json| Published {
            id: Uuid::from_u128(number.into()),
            version: number.into(),
            scope,
            priority: 100,
            canary: None,
            document: Document::from_json(json).unwrap(),
            expires_at: Stamp::from_micros(0),
        };
        let routes = r#"{"routes":[{"id":"r1","cidr":"10.0.0.0/8","protocol":"tcp","ports":"443","action":"allow"}],
            "tunnel_mode":"split","min_client_version":"1.4.0","gateway_pools":["pool_00000000000000000000000005"]}"#;
        vec![
            policy(1, Scope::Tenant, routes),
            policy(2, Scope::Group(Uuid::from_u128(20)), r#"{"kill_switch":true,"refresh_seconds":60}"#),
        ]
    }

    fn bytes(device: u128, groups: &[u128]) -> String {
        let subject =
            Subject { device: Uuid::from_u128(device), groups: groups.iter().copied().map(Uuid::from_u128).collect() };
        let issue = Issue {
            bundle_id: Uuid::from_u128(3),
            tenant: TenantId::from_uuid(Uuid::from_u128(4)),
            version: 42,
            issued_at: datetime!(2026-01-05 10:00:00.123 UTC),
            expires_at: datetime!(2026-01-12 10:00 UTC),
        };
        String::from_utf8(payload(&resolve(&policies(), &subject).unwrap(), &issue).unwrap()).unwrap()
    }

    #[test]
    fn a_payload_has_the_documented_members() {
        assert_eq!(
            bytes(1, &[20]),
            concat!(
                r#"{"schema":"tenantry.policy.v1","bundle_id":"pol_00000000000000000000000003","#,
                r#""tenant_id":"ten_00000000000000000000000004","version":42,"channel":"stable","#,
                r#""issued_at":"2026-01-05T10:00:00Z","expires_at":"2026-01-12T10:00:00Z","refresh_seconds":60,"#,
                r#""min_client_version":"1.4.0","target":{"type":"group","id":"grp_0000000000000000000000000M"},"#,
                r#""policy":{"tunnel_mode":"split","default_access":"deny","min_auth_mode":"B","routes":[{"id":"r1","#,
                r#""cidr":"10.0.0.0/8","protocol":"tcp","ports":"443","action":"allow"}],"kill_switch":true,"#,
                r#""gateway_pools":["pool_00000000000000000000000005"]},"#,
                r#""resolved_from":[{"scope":"tenant","policy_id":"pol_00000000000000000000000001"},{"scope":"group","#,
                r#""id":"grp_0000000000000000000000000M","policy_id":"pol_00000000000000000000000002"}]}"#
            )
        );
    }

    #[test]
    fn devices_with_the_same_resolution_have_the_same_bytes() {
        assert_eq!(bytes(1, &[20]), bytes(2, &[21, 20]));
        assert_eq!(bytes(1, &[]), bytes(2, &[21]));
        assert_ne!(bytes(1, &[]), bytes(1, &[20]));
    }
}
