//! Devices and gateways as callers: from a verified token or certificate to the caller, by the state of its credential.

use std::sync::Arc;

use async_trait::async_trait;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::tokens;
use crate::base::{
    Caller, EnrolledKind, Error, Result, TenantId,
    caller::{CallerFacts, CallerTenant},
    error::Reason,
};

/// Looks up the credentials of devices and gateways. Implemented by the store, and by a fake in tests.
#[async_trait]
pub trait FindEnrolled: Send + Sync + 'static {
    /// The device or gateway of a credential. `None` if the credential is unknown, ended longer ago than `grace`, was revoked
    /// or replaced, if the user of the device is suspended or deleted, or if the tenant is being deleted.
    async fn find_enrolled(&self, tenant: TenantId, credential: Uuid, grace: Duration) -> Result<Option<Enrolled>>;
}

/// A device or gateway, as its credential is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolled {
    pub kind: EnrolledKind,
    pub id: Uuid,
    /// The RFC 7638 thumbprint of the key for which the credential was issued.
    pub thumbprint: String,
    pub tenant: CallerTenant,
    pub standing: Standing,
}

/// Whether a device or gateway may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Active,
    /// An administrator has to approve it first.
    Pending,
    /// An administrator has suspended it by itself, not with its user or tenant.
    Suspended,
}

/// What a verified token or certificate says. Whether it is still true is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presented {
    pub tenant: TenantId,
    pub kind: EnrolledKind,
    pub id: Uuid,
    pub credential: Uuid,
    /// The thumbprint of the key that the client has proven to have.
    pub thumbprint: String,
    /// When the token or certificate begins to be refused.
    pub ends: OffsetDateTime,
}

/// The result for a valid credential.
#[derive(Debug)]
pub(super) enum Entry {
    Caller(Caller),
    /// The device or gateway is known but may not call now.
    Held(EnrolledKind, Error),
}

/// The caller of a credential, which may have ended not longer ago than `grace`.
pub(super) async fn caller(finder: &Arc<dyn FindEnrolled>, presented: Presented, grace: Duration) -> Result<Entry> {
    let Presented { tenant, kind, id, credential, thumbprint, ends } = presented;
    let found = finder.find_enrolled(tenant, credential, grace).await?.ok_or_else(tokens::revoked)?;
    if (found.kind, found.id, &found.thumbprint, found.tenant.id) != (kind, id, &thumbprint, tenant) {
        return Err(tokens::invalid());
    }
    if found.tenant.suspended {
        return Err(Error::unauthenticated(Reason::TenantSuspended, "your tenant is suspended"));
    }
    if let Some(error) = refusal(kind, found.standing) {
        return Ok(Entry::Held(kind, error));
    }
    Ok(Entry::Caller(Caller::new(CallerFacts {
        kind: kind.caller_kind(),
        subject: kind.subject(id),
        basis: kind.basis(id, credential),
        tenant: Some(found.tenant),
        ends: Some(ends),
        renewal_grace: grace,
        ..CallerFacts::default()
    })))
}

fn refusal(kind: EnrolledKind, standing: Standing) -> Option<Error> {
    let (reason, state) = match standing {
        Standing::Active => return None,
        Standing::Pending => (Reason::DevicePending, "has not been approved yet; ask an administrator to approve it"),
        Standing::Suspended => (Reason::DeviceSuspended, "is suspended"),
    };
    Some(Error::denied(reason, format!("the {} {state}", kind.as_str())))
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// Knows one credential.
    pub struct OneEnrolled {
        pub credential: Uuid,
        pub enrolled: Enrolled,
    }

    #[async_trait]
    impl FindEnrolled for OneEnrolled {
        async fn find_enrolled(&self, tenant: TenantId, credential: Uuid, _: Duration) -> Result<Option<Enrolled>> {
            let is_known = tenant == self.enrolled.tenant.id && credential == self.credential;
            Ok(is_known.then(|| self.enrolled.clone()))
        }
    }

    pub fn enrolled(kind: EnrolledKind, thumbprint: &str, standing: Standing) -> Enrolled {
        let id = TenantId::from_uuid(Uuid::from_u128(7));
        let tenant = CallerTenant { id, key: "acme".to_owned(), suspended: false, named_since: None };
        Enrolled { kind, id: Uuid::from_u128(8), thumbprint: thumbprint.to_owned(), tenant, standing }
    }

    pub fn finder(enrolled: Enrolled) -> Arc<dyn FindEnrolled> {
        Arc::new(OneEnrolled { credential: Uuid::from_u128(9), enrolled })
    }

    pub fn presented(of: &Enrolled) -> Presented {
        Presented {
            tenant: of.tenant.id,
            kind: of.kind,
            id: of.id,
            credential: Uuid::from_u128(9),
            thumbprint: of.thumbprint.clone(),
            ends: OffsetDateTime::UNIX_EPOCH,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{testing::*, *};
    use crate::base::{Basis, CallerKind};

    async fn refused(finder: &Arc<dyn FindEnrolled>, presented: Presented) -> Reason {
        caller(finder, presented, Duration::ZERO).await.unwrap_err().reason
    }

    #[tokio::test]
    async fn an_active_credential_is_a_caller_of_its_tenant() {
        for kind in EnrolledKind::ALL {
            let enrolled = enrolled(kind, "k", Standing::Active);
            let Entry::Caller(caller) =
                caller(&finder(enrolled.clone()), presented(&enrolled), Duration::ZERO).await.unwrap()
            else {
                panic!("held");
            };
            assert_eq!((caller.kind, caller.subject.clone()), (kind.caller_kind(), kind.subject(enrolled.id)));
            assert_eq!(caller.tenant.as_ref(), Some(&enrolled.tenant));
            assert!(!caller.is_platform() && caller.roles().iter().next().is_none());
            let (id, credential) = (enrolled.id, Uuid::from_u128(9));
            let basis = match caller.kind {
                CallerKind::Device => Basis::Device { id, credential },
                _ => Basis::Gateway { id, credential },
            };
            assert_eq!(caller.basis, basis);
        }
    }

    #[tokio::test]
    async fn another_credential_key_or_subject_is_refused() {
        let enrolled = enrolled(EnrolledKind::Device, "k", Standing::Active);
        let (finder, good) = (finder(enrolled.clone()), presented(&enrolled));
        let nowhere = TenantId::from_uuid(Uuid::nil());
        assert_eq!(
            refused(&finder, Presented { credential: Uuid::nil(), ..good.clone() }).await,
            Reason::CredentialsRevoked
        );
        assert_eq!(refused(&finder, Presented { tenant: nowhere, ..good.clone() }).await, Reason::CredentialsRevoked);
        for other in [
            Presented { id: Uuid::nil(), ..good.clone() },
            Presented { kind: EnrolledKind::Gateway, ..good.clone() },
            Presented { thumbprint: "other".to_owned(), ..good.clone() },
        ] {
            assert_eq!(refused(&finder, other).await, Reason::CredentialsInvalid);
        }
    }

    #[tokio::test]
    async fn a_suspended_tenant_comes_before_the_device() {
        for (standing, reason) in
            [(Standing::Pending, Reason::DevicePending), (Standing::Suspended, Reason::DeviceSuspended)]
        {
            let mut device = enrolled(EnrolledKind::Device, "k", standing);
            let held = caller(&finder(device.clone()), presented(&device), Duration::ZERO).await.unwrap();
            assert!(matches!(held, Entry::Held(EnrolledKind::Device, error) if error.reason == reason));
            device.tenant.suspended = true;
            assert_eq!(refused(&finder(device.clone()), presented(&device)).await, Reason::TenantSuspended);
        }
    }
}
