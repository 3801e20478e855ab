//! The claims of a certificate, as gateways verify them.

use serde::{Deserialize, Serialize};

use crate::{
    base::{EnrolledKind, IdKind, TenantId, TrustDomain},
    store::{columns::PolicyChannel, tables::SpcRow},
};

/// The `typ` of the header.
pub(super) const TYP: &str = "spc+jwt";

/// The claims, in the documented order. Times are in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The trust domain.
    pub iss: String,
    /// `device:dev_...`.
    pub sub: String,
    /// `pool:pool_...` each.
    pub aud: Vec<String>,
    /// The tenant: `ten_...`.
    pub tid: String,
    /// The id: `spc_...`.
    pub jti: String,
    pub serial: String,
    pub cnf: Confirmation,
    pub pol: PolicyClaim,
    pub amr_min: String,
    /// The groups of the device: `grp_...` each.
    pub groups: Vec<String>,
    pub posture: PostureClaim,
    pub epoch: i64,
    pub iat: i64,
    pub nbf: i64,
    pub exp: i64,
}

/// The key of the device (RFC 7800).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// Its thumbprint (RFC 7638).
    pub jkt: String,
}

/// The version of the policy that the device has, never that of a canary: a gateway outside of the canary must know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyClaim {
    pub version: i64,
    /// `sha256:` and the digest of its content, in hex.
    pub digest: String,
    pub channel: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostureClaim {
    /// `unknown`: devices do not report their posture.
    pub status: String,
}

impl Claims {
    /// The claims of a certificate of a tenant.
    pub(super) fn of(row: &SpcRow, tenant: TenantId, domain: &TrustDomain) -> Self {
        let issued = row.not_before.time().unix_timestamp();
        Self {
            iss: format!("spiffe://{}", domain.as_str()),
            sub: EnrolledKind::Device.subject(row.device_id),
            aud: row.pool_ids.iter().map(|id| format!("{POOL}{}", IdKind::GatewayPool.show(*id))).collect(),
            tid: tenant.zero_trust(),
            jti: IdKind::Spc.show(row.id),
            serial: row.serial.clone(),
            cnf: Confirmation { jkt: row.thumbprint.clone() },
            pol: PolicyClaim {
                version: row.policy_version,
                digest: shown_digest(&row.policy_digest),
                channel: PolicyChannel::Stable.as_str().to_owned(),
            },
            amr_min: row.min_auth_mode.clone(),
            groups: row.group_ids.iter().map(|id| IdKind::Group.show(*id)).collect(),
            posture: PostureClaim { status: "unknown".to_owned() },
            epoch: row.epoch,
            iat: issued,
            nbf: issued,
            exp: row.not_after.time().unix_timestamp(),
        }
    }
}

/// What is before the id of a pool in an audience.
pub(super) const POOL: &str = "pool:";

/// The digest of a policy as callers see it.
pub(super) fn shown_digest(hex: &str) -> String {
    format!("sha256:{hex}")
}

#[cfg(test)]
mod tests {
    use bundle_verify::spc::Spc;
    use uuid::Uuid;

    use super::*;
    use crate::{
        base::{Access, TenantScope},
        store::{Stamp, columns::Json},
    };

    #[test]
    fn the_claims_are_those_that_gateways_read() {
        let tenant = TenantId::from_uuid(Uuid::from_u128(1));
        let row = SpcRow {
            tenant_id: TenantScope::grant(&Access::Platform, tenant, "acme").unwrap().into(),
            id: Uuid::from_u128(2),
            serial: "s1".to_owned(),
            device_id: Uuid::from_u128(3),
            thumbprint: "thumb".to_owned(),
            key_id: "key".to_owned(),
            policy_version: 42,
            policy_digest: "ab".to_owned(),
            pool_ids: Json(vec![Uuid::from_u128(5)]),
            group_ids: Json(vec![Uuid::from_u128(6)]),
            min_auth_mode: "B".to_owned(),
            epoch: 7,
            not_before: Stamp::from_micros(1_000_000_000),
            not_after: Stamp::from_micros(2_000_000_000),
            revoked_at: None,
            revoked_in: None,
            revocation_reason: None,
        };
        let text = serde_json::to_string(&Claims::of(&row, tenant, &TrustDomain::default())).unwrap();
        let expected = concat!(
            r#"{"iss":"spiffe://tenantry.local","sub":"device:dev_00000000000000000000000003","#,
            r#""aud":["pool:pool_00000000000000000000000005"],"tid":"ten_00000000000000000000000001","#,
            r#""jti":"spc_00000000000000000000000002","serial":"s1","cnf":{"jkt":"thumb"},"#,
            r#""pol":{"version":42,"digest":"sha256:ab","channel":"stable"},"amr_min":"B","#,
            r#""groups":["grp_00000000000000000000000006"],"posture":{"status":"unknown"},"#,
            r#""epoch":7,"iat":1000,"nbf":1000,"exp":2000}"#
        );
        assert_eq!(text, expected);
        let read: Spc = serde_json::from_str(&text).unwrap();
        assert_eq!((read.serial.as_str(), read.epoch, read.pol.version), ("s1", 7, 42));
    }
}
