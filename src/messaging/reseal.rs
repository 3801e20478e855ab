//! The secrets of clusters, sealed anew under later data keys. They are the platform's.

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

/// Seals every secret anew that is sealed under an earlier data key. `progress` is told after each transaction.
pub async fn reseal(store: &Store, sealer: &Sealer, progress: impl FnMut(Resealed)) -> Result<Resealed> {
    SECRETS.reseal(store, sealer, progress).await
}

/// The data keys that secrets are sealed under.
pub async fn keys_in_use(store: &Store) -> Result<InUse> {
    SECRETS.keys_in_use(store).await
}
