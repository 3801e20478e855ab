//! The rules for requests.

use uuid::Uuid;

use super::claims::POOL;
use crate::{
    base::{Basis, EnrolledKind, Error, IdKind, Result, error::Reason},
    policy::document::words::{AuthMode, Word},
};

/// Validity of a certificate, in seconds.
const TTL: i64 = 86_400;
const TTL_RANGE: std::ops::RangeInclusive<i64> = 300..=604_800;
/// Maximum number of pools in a certificate.
pub(super) const MAX_POOLS: usize = 64;

/// A request for a certificate; the default is one for the device that calls.
#[derive(Clone, Debug, Default)]
pub struct NewSpc {
    pub subject: Option<SubjectInput>,
    /// The stable version of the policy that it is for; that of the narrowest scope if it is not given.
    pub policy_version: Option<i64>,
    pub ttl_seconds: Option<i64>,
    /// Public ids of pools; empty for all that are allowed.
    pub pools: Vec<String>,
    pub min_auth_mode: Option<String>,
    /// Pools as in the claim, `pool:pool_...`; empty for all that are allowed.
    pub audience: Vec<String>,
}

/// The subject of certificates in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectInput {
    pub kind: String,
    /// The public id.
    pub id: String,
}

/// A valid [`NewSpc`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Checked {
    pub device: Uuid,
    /// The credential that the device calls with.
    pub credential: Option<Uuid>,
    pub policy_version: Option<i64>,
    pub ttl_seconds: i64,
    pub pools: Vec<Uuid>,
    pub min_auth_mode: Option<AuthMode>,
    pub audience: Vec<Uuid>,
}

/// Validates a request of this caller without the database.
pub(super) fn check(caller: Basis, new: NewSpc) -> Result<Checked> {
    let (device, credential) = match (caller, new.subject.as_ref()) {
        (Basis::Device { id, credential }, None) => (id, Some(credential)),
        (Basis::Device { id, credential }, Some(named)) if device(named)? == id => (id, Some(credential)),
        (Basis::Device { .. }, Some(_)) => {
            let message = "a device gets only its own certificates; leave out subject";
            return Err(Error::denied(Reason::PermissionDenied, message));
        }
        (_, Some(named)) => (device(named)?, None),
        (_, None) => return Err(Error::missing_field("subject")),
    };
    let ttl_seconds = new.ttl_seconds.unwrap_or(TTL);
    if !TTL_RANGE.contains(&ttl_seconds) {
        return Err(invalid("ttl_seconds", "ttl_seconds must be a number from 300 to 604800"));
    }
    let mode = |word: &String| {
        let message = format!("min_auth_mode must be {}", AuthMode::list());
        AuthMode::read(word).ok_or_else(|| Error::invalid(Reason::InvalidArgument, "scopes.min_auth_mode", message))
    };
    Ok(Checked {
        device,
        credential,
        policy_version: new.policy_version,
        ttl_seconds,
        pools: pools(&new.pools, "scopes.pools", "", "not the id of a gateway pool")?,
        min_auth_mode: new.min_auth_mode.as_ref().map(mode).transpose()?,
        audience: pools(&new.audience, "audience", POOL, "an audience must be pool: and the id of a gateway pool")?,
    })
}

/// The device that a request names.
pub(super) fn device(subject: &SubjectInput) -> Result<Uuid> {
    if subject.kind != EnrolledKind::Device.as_str() {
        return Err(invalid("subject.type", "subject.type must be device"));
    }
    IdKind::Device.read(&subject.id).ok_or_else(device_not_found)
}

pub(super) fn device_not_found() -> Error {
    Error::not_found(Reason::DeviceNotFound, "device not found")
}

/// The ids of pools, without duplicates.
fn pools(given: &[String], field: &str, prefix: &str, message: &'static str) -> Result<Vec<Uuid>> {
    if given.len() > MAX_POOLS {
        return Err(invalid(field, "at most 64 gateway pools"));
    }
    let mut ids = Vec::with_capacity(given.len());
    for (at, text) in given.iter().enumerate() {
        let id = text.strip_prefix(prefix).and_then(|id| IdKind::GatewayPool.read(id));
        let id = id.ok_or_else(|| invalid(&format!("{field}[{at}]"), message))?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// How strict a mode is: the higher, the stricter. One that trusts on first use proves the least.
pub(super) fn strictness(mode: AuthMode) -> u8 {
    match mode {
        AuthMode::FirstUse => 0,
        AuthMode::PreShared => 1,
        AuthMode::Certificate => 2,
        AuthMode::PostQuantum => 3,
    }
}

pub(super) fn invalid(field: &str, message: &'static str) -> Error {
    Error::invalid(Reason::InvalidArgument, field, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Kind;

    const DEVICE: &str = "dev_01J7ST8Z0GFCQ9TCATDDY8V7GF";
    const POOL_ID: &str = "pool_01J7ST8Z0GFCQ9TCATDDY8V7GF";

    fn of_device() -> NewSpc {
        let subject = SubjectInput { kind: "device".to_owned(), id: DEVICE.to_owned() };
        NewSpc { subject: Some(subject), ..NewSpc::default() }
    }

    #[test]
    fn a_device_gets_only_its_own_certificates() {
        let own = IdKind::Device.read(DEVICE).unwrap();
        let caller = |id| Basis::Device { id, credential: Uuid::from_u128(9) };
        assert_eq!(check(caller(own), NewSpc::default()).unwrap().device, own);
        assert_eq!(check(caller(own), of_device()).unwrap().credential, Some(Uuid::from_u128(9)));
        assert_eq!(check(caller(Uuid::nil()), of_device()).unwrap_err().kind, Kind::PermissionDenied);
        let admin = check(Basis::Token, of_device()).unwrap();
        assert_eq!((admin.device, admin.credential, admin.ttl_seconds), (own, None, 86_400));
        assert_eq!(check(Basis::Token, NewSpc::default()).unwrap_err().reason, Reason::FieldRequired);
    }

    #[test]
    fn each_member_of_a_request_has_its_rule() {
        let field = |new: NewSpc| check(Basis::Token, new).unwrap_err().violations[0].field.clone();
        let subject = Some(SubjectInput { kind: "gateway".to_owned(), id: DEVICE.to_owned() });
        assert_eq!(field(NewSpc { subject, ..NewSpc::default() }), "subject.type");
        for ttl in [299, 604_801, -1] {
            assert_eq!(field(NewSpc { ttl_seconds: Some(ttl), ..of_device() }), "ttl_seconds");
        }
        let listed = |text: &str| vec![format!("pool:{POOL_ID}"), text.to_owned()];
        assert_eq!(field(NewSpc { audience: listed(POOL_ID), ..of_device() }), "audience[1]");
        assert_eq!(field(NewSpc { pools: vec![DEVICE.to_owned()], ..of_device() }), "scopes.pools[0]");
        assert_eq!(field(NewSpc { pools: vec![POOL_ID.to_owned(); 65], ..of_device() }), "scopes.pools");
        assert_eq!(field(NewSpc { min_auth_mode: Some("E".to_owned()), ..of_device() }), "scopes.min_auth_mode");
        let twice = NewSpc { pools: vec![POOL_ID.to_owned(), POOL_ID.to_lowercase()], ..of_device() };
        assert_eq!(check(Basis::Token, twice).unwrap().pools.len(), 1);
    }
}
