//! The secrets of second factors, sealed anew under later data keys.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr};
use uuid::Uuid;

use super::login::totp_purpose;
use crate::{
    base::{Kind, Result, TenantId},
    store::{
        Store, Vault,
        entities::accounts::{self, Column},
        reseal::{self, InUse, PAGE, Resealed},
    },
};

/// Seals every secret anew that is sealed under an earlier data key. `progress` is told after each transaction.
pub async fn reseal(store: &Store, vault: &Vault, mut progress: impl FnMut(Resealed)) -> Result<Resealed> {
    let (mut done, mut after) = (Resealed::default(), Uuid::nil());
    loop {
        let rows = page(store, after).await?;
        let Some(last) = rows.last() else { return Ok(done) };
        after = last.id;
        let mut changes = Vec::new();
        for row in &rows {
            let Some(sealed) = &row.totp_secret else { continue };
            match vault.reseal(row.tenant_id.map(TenantId::from_uuid), &totp_purpose(row.id), sealed).await {
                Ok(None) => {}
                Ok(Some(anew)) => changes.push((row.id, sealed.clone(), anew)),
                Err(error) if error.kind == Kind::Internal => done.left += 1,
                Err(error) => return Err(error),
            }
        }
        done.resealed += put(store, changes).await?;
        progress(done);
    }
}

/// The data keys that secrets are sealed under.
pub async fn keys_in_use(store: &Store) -> Result<InUse> {
    let (mut keys, mut after) = (InUse::new(), Uuid::nil());
    loop {
        let rows = page(store, after).await?;
        let Some(last) = rows.last() else { return Ok(keys) };
        after = last.id;
        let of = |row: &accounts::Model| {
            Some((row.tenant_id.map(TenantId::from_uuid), reseal::version(row.totp_secret.as_ref()?)?))
        };
        keys.extend(rows.iter().filter_map(of));
    }
}

async fn page(store: &Store, after: Uuid) -> Result<Vec<accounts::Model>> {
    let rows = accounts::Entity::find().filter(Column::TotpSecret.is_not_null()).filter(Column::Id.gt(after));
    Ok(rows.order_by_asc(Column::Id).limit(PAGE).all(store.read()).await?)
}

/// Writes what was sealed anew, unless it changed meanwhile; who changed it sealed it under a key of that moment.
async fn put(store: &Store, changes: Vec<(Uuid, String, String)>) -> Result<u64> {
    if changes.is_empty() {
        return Ok(0);
    }
    store
        .maintain("keys.reseal", move |tx| {
            let changes = changes.clone();
            Box::pin(async move {
                let mut changed = 0;
                for (id, before, anew) in changes {
                    let update = accounts::Entity::update_many().col_expr(Column::TotpSecret, Expr::value(anew));
                    let update = update.filter(Column::Id.eq(id)).filter(Column::TotpSecret.eq(before));
                    changed += update.exec(tx.conn()).await?.rows_affected;
                }
                Ok(changed)
            })
        })
        .await
}
