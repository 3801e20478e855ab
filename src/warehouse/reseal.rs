//! The secrets in providers' configurations, sealed anew under later data keys. They are the platform's.

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

/// The values of a configuration that are sealed.
fn secrets(_tenant: &Uuid, config: &str) -> Result<Vec<Purposed>> {
    let config: Config = json::from_text(config)?;
    let sealed = |key: &str, value: &str| providers::is_secret(key, value) && reseal::version(value).is_some();
    let secrets = config.into_iter().filter(|(key, value)| sealed(key, value));
    Ok(secrets.map(|(key, value)| (secret_purpose(&key), value)).collect())
}

/// Seals every secret anew that is sealed under an earlier data key. `progress` is told after each transaction.
pub async fn reseal(store: &Store, sealer: &Sealer, progress: impl FnMut(Resealed)) -> Result<Resealed> {
    SECRETS.reseal(store, sealer, progress).await
}

/// The data keys that secrets are sealed under.
pub async fn keys_in_use(store: &Store) -> Result<InUse> {
    SECRETS.keys_in_use(store).await
}
