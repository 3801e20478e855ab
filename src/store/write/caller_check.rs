//! Checks inside a write that its caller is still valid. Authentication learns of suspensions and revocations with a delay, during
//! which a caller that has lost its rights must not be able to write.

use sea_orm::{ColumnTrait, EntityTrait, ExprTrait, QueryFilter};
use time::OffsetDateTime;

use crate::base::{Basis, Caller, Error, Result, error::Reason};
use crate::store::{
    Db, Fetch, Kept, Stamp, Store, Tx,
    columns::{AccountStatus, TenantStatus},
    tables::{accounts, api_keys, enrolled, revoked_tokens, tenants},
};

/// Fails with CREDENTIALS_REVOKED if the account, key or token of the caller, or of its principal, is no longer valid.
pub(in crate::store) async fn check(tx: &Tx) -> Result<()> {
    check_on(tx.conn(), &tx.cx().caller, tx.now()).await
}

impl Store {
    /// Fails with CREDENTIALS_EXPIRED or CREDENTIALS_REVOKED if the account, key or token of the caller, or of its principal, has
    /// become invalid. For calls that read for a long time.
    pub async fn check_still_valid(&self, caller: &Caller) -> Result<()> {
        let now = self.clock().now();
        if caller.ends.is_some_and(|end| end <= now) {
            return Err(Error::unauthenticated(Reason::CredentialsExpired, "the credentials have expired"));
        }
        let revoked = !caller.token_id.is_empty()
            && revoked_tokens::Entity::find_by_id(caller.token_id.as_str()).fetch_one(self.read()).await?.is_some();
        if revoked {
            return Err(gone());
        }
        check_on(self.read(), caller, now).await
    }
}

async fn check_on(conn: &impl Db, caller: &Caller, now: OffsetDateTime) -> Result<()> {
    for party in [Some(caller), caller.principal.as_ref()].into_iter().flatten() {
        check_party(conn, party, now).await?;
    }
    Ok(())
}

async fn check_party(conn: &impl Db, party: &Caller, now: OffsetDateTime) -> Result<()> {
    let stands = match party.basis {
        Basis::Token => return Ok(()),
        Basis::Account { id, epoch } => {
            static TEXT: Kept = Kept::new();
            let query = || {
                let gone = tenants::is_deleted((accounts::Entity, accounts::Column::TenantId));
                accounts::Entity::find_by_id(id).filter(gone.not()).into_model::<accounts::Model>()
            };
            let account = TEXT.fetch_one(conn, vec![id.into(), TenantStatus::Deleted.into()], query).await?;
            account.is_some_and(|account| account.status == AccountStatus::Active && account.epoch == epoch)
        }
        Basis::ApiKey(id) => {
            static TEXT: Kept = Kept::new();
            let query = || {
                let gone = tenants::is_deleted((api_keys::Entity, api_keys::Column::TenantId));
                let key = api_keys::Entity::find().filter(api_keys::Column::Id.eq(id));
                key.filter(gone.not()).into_model::<api_keys::Model>()
            };
            let key = TEXT.fetch_one(conn, vec![id.into(), TenantStatus::Deleted.into()], query).await?;
            key.is_some_and(|key| key.revoked_at.is_none() && key.expires_at > Stamp::from(now))
        }
        Basis::Device { credential, .. } | Basis::Gateway { credential, .. } => {
            let Some(tenant) = &party.tenant else { return Err(gone()) };
            let holder = enrolled::holder(conn, tenant.id, credential, (now.into(), party.renewal_grace)).await?;
            match holder.map(|holder| holder.standing) {
                Some(enrolled::Standing::Active) => true,
                Some(enrolled::Standing::Suspended) => return Err(suspended()),
                _ => false,
            }
        }
    };
    if stands {
        return Ok(());
    }
    Err(gone())
}

/// The device or gateway itself is suspended, and keeps its credential.
fn suspended() -> Error {
    Error::denied(Reason::DeviceSuspended, "the device or gateway is suspended")
}

fn gone() -> Error {
    Error::unauthenticated(Reason::CredentialsRevoked, "the credentials have been revoked")
}
