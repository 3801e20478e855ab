//! Reseals private keys under the latest data keys.

use uuid::Uuid;

use super::{installation, signers};
use crate::{
    base::Result,
    store::{
        Sealer, Store,
        sealing::reseal::{InUse, Resealed, SealedColumn},
    },
};

const INSTALLATION: SealedColumn<Uuid> = SealedColumn {
    table: "installation_keys",
    key: "id",
    column: "sealed_key",
    tenant: None,
    values: |id, sealed| Ok(vec![(installation::purpose(*id), sealed.to_owned())]),
};

const SIGNERS: SealedColumn<Uuid> = SealedColumn {
    table: "signers",
    key: "id",
    column: "sealed_key",
    tenant: Some("tenant_id"),
    values: |id, sealed| Ok(vec![(signers::purpose(*id), sealed.to_owned())]),
};

/// Reseals every key that is sealed under an earlier data key. Calls `progress` after each transaction.
pub async fn reseal(store: &Store, sealer: &Sealer, mut progress: impl FnMut(Resealed)) -> Result<Resealed> {
    let mut done = INSTALLATION.reseal(store, sealer, &mut progress).await?;
    done += SIGNERS
        .reseal(store, sealer, |signers| {
            let mut so_far = done;
            so_far += signers;
            progress(so_far);
        })
        .await?;
    Ok(done)
}

/// The data keys in use.
pub async fn keys_in_use(store: &Store) -> Result<InUse> {
    let mut keys = INSTALLATION.keys_in_use(store).await?;
    keys.extend(SIGNERS.keys_in_use(store).await?);
    Ok(keys)
}
