//! Reseals the secrets of second factors under the latest data keys.

use uuid::Uuid;

use super::totp::totp_purpose;
use crate::{
    base::Result,
    store::{
        Sealer, Store,
        sealing::reseal::{InUse, Resealed, SealedColumn},
    },
};

const SECRETS: SealedColumn<Uuid> = SealedColumn {
    table: "accounts",
    key: "id",
    column: "totp_secret",
    tenant: Some("tenant_id"),
    values: |account, sealed| Ok(vec![(totp_purpose(*account), sealed.to_owned())]),
};

/// Reseals every secret that is sealed under an earlier data key. Calls `progress` after each transaction.
pub async fn reseal(store: &Store, sealer: &Sealer, progress: impl FnMut(Resealed)) -> Result<Resealed> {
    SECRETS.reseal(store, sealer, progress).await
}

/// The data keys in use.
pub async fn keys_in_use(store: &Store) -> Result<InUse> {
    SECRETS.keys_in_use(store).await
}
