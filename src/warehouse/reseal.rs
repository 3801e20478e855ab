//! Re-encrypts the secrets in providers' configurations, which belong to the platform, with newer data keys.

use uuid::Uuid;

use super::{providers, providers::Config, tenants::secret_purpose};
use crate::{
    base::Result,
    store::{
        Sealer, Store, json,
        sealing::reseal::{self, InUse, Purposed, Resealed, SealedColumn},
    },
};

const SECRETS: SealedColumn<Uuid> =
    SealedColumn { table: "warehouse_tenants", key: "tenant_id", column: "auth_config", tenant: None, values: secrets };

/// The sealed values of a configuration.
fn secrets(_tenant: &Uuid, config: &str) -> Result<Vec<Purposed>> {
    let config: Config = json::from_text(config)?;
    let sealed = |key: &str, value: &str| providers::is_secret(key, value) && reseal::version(value).is_some();
    let secrets = config.into_iter().filter(|(key, value)| sealed(key, value));
    Ok(secrets.map(|(key, value)| (secret_purpose(&key), value)).collect())
}

/// Re-encrypts every secret that is sealed with an older data key. Calls `progress` after each transaction.
pub async fn reseal(store: &Store, sealer: &Sealer, progress: impl FnMut(Resealed)) -> Result<Resealed> {
    SECRETS.reseal(store, sealer, progress).await
}

/// The data keys in use.
pub async fn keys_in_use(store: &Store) -> Result<InUse> {
    SECRETS.keys_in_use(store).await
}
