//! Re-encrypts the secrets of clusters, which belong to the platform, with newer data keys.

use super::clusters::purpose;
use crate::{
    base::Result,
    store::{
        Sealer, Store,
        sealing::reseal::{InUse, Resealed, SealedColumn},
    },
};

const SECRETS: SealedColumn<String> = SealedColumn {
    table: "clusters",
    key: "name",
    column: "sealed",
    tenant: None,
    values: |cluster, sealed| Ok(vec![(purpose(cluster), sealed.to_owned())]),
};

/// Re-encrypts every secret that is sealed with an older data key. Calls `progress` after each transaction.
pub async fn reseal(store: &Store, sealer: &Sealer, progress: impl FnMut(Resealed)) -> Result<Resealed> {
    SECRETS.reseal(store, sealer, progress).await
}

/// The data keys in use.
pub async fn keys_in_use(store: &Store) -> Result<InUse> {
    SECRETS.keys_in_use(store).await
}
