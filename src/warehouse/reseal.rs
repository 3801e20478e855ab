//! The secrets in providers' configurations, sealed anew under later data keys. They are the platform's.

use super::{providers, providers::Config, tenants::secret_purpose};
use crate::{
    base::{Kind, Result, TenantId},
    store::{
        Store, Vault,
        reseal::{self, InUse, PAGE, Resealed},
        scopes::WarehouseRow,
    },
};

/// Seals every secret anew that is sealed under an earlier data key. `progress` is told after each transaction.
pub async fn reseal(store: &Store, vault: &Vault, mut progress: impl FnMut(Resealed)) -> Result<Resealed> {
    let (mut done, mut after) = (Resealed::default(), None);
    loop {
        let page = store.warehouse_page(after, PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok(done) };
        after = Some(*last);
        let mut changes = Vec::new();
        for (tenant, row) in &page {
            let (config, of_row) = anew(vault, &row.auth_config).await?;
            done.left += of_row.left;
            if of_row.resealed > 0 {
                changes.push((*tenant, row.clone(), config, of_row.resealed));
            }
        }
        done.resealed += put(store, changes).await?;
        progress(done);
    }
}

/// The data keys that secrets are sealed under.
pub async fn keys_in_use(store: &Store) -> Result<InUse> {
    let (mut keys, mut after) = (InUse::new(), None);
    loop {
        let page = store.warehouse_page(after, PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok(keys) };
        after = Some(*last);
        let values = page.iter().flat_map(|(_, row)| secrets(&row.auth_config));
        keys.extend(values.filter_map(|(_, value)| Some((None, reseal::version(value)?))));
    }
}

/// The values of a configuration that are sealed.
fn secrets(config: &Config) -> impl Iterator<Item = (&String, &String)> {
    config.iter().filter(|(key, value)| providers::is_secret(key, value) && reseal::version(value).is_some())
}

async fn anew(vault: &Vault, config: &Config) -> Result<(Config, Resealed)> {
    let (mut next, mut done) = (config.clone(), Resealed::default());
    for (key, value) in secrets(config) {
        match vault.reseal(None, &secret_purpose(key), value).await {
            Ok(None) => {}
            Ok(Some(value)) => {
                next.insert(key.clone(), value);
                done.resealed += 1;
            }
            Err(error) if error.kind == Kind::Internal => done.left += 1,
            Err(error) => return Err(error),
        }
    }
    Ok((next, done))
}

/// Writes what was sealed anew, unless it changed meanwhile; who changed it sealed it under a key of that moment.
async fn put(store: &Store, changes: Vec<(TenantId, WarehouseRow, Config, u64)>) -> Result<u64> {
    if changes.is_empty() {
        return Ok(0);
    }
    store
        .maintain("keys.reseal", move |tx| {
            let changes = changes.clone();
            Box::pin(async move {
                let mut changed = 0;
                for (tenant, before, config, values) in changes {
                    if tx.swap_warehouse_config(tenant, &before, &config).await? {
                        changed += values;
                    }
                }
                Ok(changed)
            })
        })
        .await
}
