//! The revocation of certificates, which cannot be undone.

use serde_json::json;
use uuid::Uuid;

use super::rules::{self, SubjectInput, invalid};
use crate::{
    base::{Cx, Error, IdKind, Result, TenantId, TenantRef, error::Reason},
    store::{
        Db, Store, Tx,
        columns::{KeyUse, RevocationReason},
        tables::{SpcFilter, SpcRow, TenantRows},
    },
    tenants,
};

/// What is revoked: exactly one member.
#[derive(Clone, Debug, Default)]
pub struct RevokeInput {
    pub id: Option<String>,
    pub serial: Option<String>,
    pub subject: Option<SubjectInput>,
    /// The id of the key that signed the certificates.
    pub key_id: Option<String>,
    pub all: bool,
    /// A word of RFC 5280.
    pub reason: Option<String>,
}

/// What a revocation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// The number of certificates.
    pub count: u64,
    /// The sequence of the bundle with them.
    pub sequence: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Which {
    Id(Uuid),
    Serial(String),
    Device(Uuid),
    Key(String),
    All,
}

/// Revokes certificates; does nothing to those that are revoked or have ended. Revoking all of them raises the epoch of the tenant. Fails
/// with INVALID_ARGUMENT for an invalid member and unless exactly one says what is revoked; with NOT_FOUND if there is no such certificate,
/// device or key.
pub async fn revoke(cx: &Cx, store: &Store, tenant: &TenantRef, input: RevokeInput) -> Result<Revoked> {
    let reason = reason(input.reason.as_deref())?;
    let which = which(input)?;
    store.write(cx, (tenant.clone(), which, reason), revoke_in).await
}

type Input = (TenantRef, Which, RevocationReason);

async fn revoke_in(tx: &Tx, (tenant, which, reason): &Input) -> Result<Revoked> {
    let (_, scope) = tenants::resolve_locked(tx, tenant).await?;
    let (filter, target) = filter(&tx.tenant(scope), scope.tenant(), which).await?;
    let done = tx.revoke_spcs(scope, filter, *reason).await?;
    let details = json!({"reason": reason.as_str(), "revoked": done.count, "sequence": done.sequence});
    tx.audit_only(Some(scope.tenant()), target, details);
    Ok(Revoked { count: done.count, sequence: done.sequence })
}

fn which(input: RevokeInput) -> Result<Which> {
    let RevokeInput { id, serial, subject, key_id, all, reason: _ } = input;
    let id = id.map(|id| IdKind::Spc.read(&id).map(Which::Id).ok_or_else(not_found));
    let named = [
        id,
        serial.map(|serial| Ok(Which::Serial(serial))),
        subject.map(|subject| rules::device(&subject).map(Which::Device)),
        key_id.map(|id| Ok(Which::Key(id))),
        all.then_some(Ok(Which::All)),
    ];
    let mut named = named.into_iter().flatten();
    match (named.next(), named.next()) {
        (Some(which), None) => which,
        _ => Err(invalid("spc_id", "give exactly one of spc_id, serial, subject, key_id and all")),
    }
}

fn reason(word: Option<&str>) -> Result<RevocationReason> {
    let Some(word) = word else { return Ok(RevocationReason::Unspecified) };
    let found = RevocationReason::ALL.iter().copied().find(|known| known.as_str() == word);
    found.ok_or_else(|| {
        let words: Vec<_> = RevocationReason::ALL.iter().map(|known| known.as_str()).collect();
        Error::invalid(Reason::InvalidArgument, "reason", format!("reason must be one of {}", words.join(", ")))
    })
}

/// The certificates to be revoked, and the target for the audit log.
async fn filter(rows: &TenantRows<'_, impl Db>, tenant: TenantId, which: &Which) -> Result<(SpcFilter, String)> {
    let one = |row: Option<SpcRow>| {
        let row = row.ok_or_else(not_found)?;
        Ok((SpcFilter::Id(row.id), IdKind::Spc.show(row.id)))
    };
    match which {
        Which::Id(id) => one(rows.spcs().get(*id).await?),
        Which::Serial(serial) => one(rows.spcs().by_serial(serial).await?),
        Which::Device(id) => {
            // A deleted device may have had some.
            if rows.devices().get(*id).await?.is_none() && !rows.spcs().has_of_device(*id).await? {
                return Err(rules::device_not_found());
            }
            Ok((SpcFilter::Devices(vec![*id]), IdKind::Device.show(*id)))
        }
        Which::Key(key) => {
            let signers = rows.signers().all().await?;
            if !signers.iter().any(|row| row.key_use == KeyUse::SpcSigning && row.key_id == *key) {
                let message = "no key with this id signs certificates";
                return Err(Error::not_found(Reason::SigningKeyNotFound, message));
            }
            Ok((SpcFilter::Key(key.clone()), key.clone()))
        }
        Which::All => Ok((SpcFilter::All, tenant.zero_trust())),
    }
}

fn not_found() -> Error {
    Error::not_found(Reason::SpcNotFound, "certificate not found")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_member_says_what_is_revoked() {
        let serial = || RevokeInput { serial: Some("s1".to_owned()), ..RevokeInput::default() };
        assert_eq!(which(serial()).unwrap(), Which::Serial("s1".to_owned()));
        assert!(which(RevokeInput::default()).is_err());
        assert!(which(RevokeInput { all: true, ..serial() }).is_err());
        assert_eq!(which(RevokeInput { all: true, ..RevokeInput::default() }).unwrap(), Which::All);
    }

    #[test]
    fn reasons_are_words_of_rfc_5280_that_cannot_be_undone() {
        assert_eq!(reason(None).unwrap(), RevocationReason::Unspecified);
        assert_eq!(reason(Some("keyCompromise")).unwrap(), RevocationReason::KeyCompromise);
        for bad in ["", "KeyCompromise", "certificateHold", "removeFromCRL"] {
            assert!(reason(Some(bad)).is_err(), "{bad}");
        }
    }
}
