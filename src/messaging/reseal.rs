//! The secrets of clusters, sealed anew under later data keys. They are the platform's.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr};

use super::clusters::purpose;
use crate::{
    base::{Kind, Result},
    store::{
        Store, Vault,
        entities::clusters::{self, Column},
        reseal::{self, InUse, PAGE, Resealed},
    },
};

/// Seals every secret anew that is sealed under an earlier data key. `progress` is told after each transaction.
pub async fn reseal(store: &Store, vault: &Vault, mut progress: impl FnMut(Resealed)) -> Result<Resealed> {
    let (mut done, mut after) = (Resealed::default(), String::new());
    loop {
        let rows = page(store, &after).await?;
        let Some(last) = rows.last() else { return Ok(done) };
        after.clone_from(&last.name);
        let mut changes = Vec::new();
        for row in &rows {
            let Some(sealed) = &row.sealed else { continue };
            match vault.reseal(None, &purpose(&row.name), sealed).await {
                Ok(None) => {}
                Ok(Some(anew)) => changes.push((row.name.clone(), sealed.clone(), anew)),
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
    let (mut keys, mut after) = (InUse::new(), String::new());
    loop {
        let rows = page(store, &after).await?;
        let Some(last) = rows.last() else { return Ok(keys) };
        after.clone_from(&last.name);
        keys.extend(rows.iter().filter_map(|row| Some((None, reseal::version(row.sealed.as_ref()?)?))));
    }
}

async fn page(store: &Store, after: &str) -> Result<Vec<clusters::Model>> {
    let rows = clusters::Entity::find().filter(Column::Sealed.is_not_null()).filter(Column::Name.gt(after));
    Ok(rows.order_by_asc(Column::Name).limit(PAGE).all(store.read()).await?)
}

/// Writes what was sealed anew, unless it changed meanwhile; who changed it sealed it under a key of that moment.
async fn put(store: &Store, changes: Vec<(String, String, String)>) -> Result<u64> {
    if changes.is_empty() {
        return Ok(0);
    }
    store
        .maintain("keys.reseal", move |tx| {
            let changes = changes.clone();
            Box::pin(async move {
                let mut changed = 0;
                for (name, before, anew) in changes {
                    let update = clusters::Entity::update_many().col_expr(Column::Sealed, Expr::value(anew));
                    let update = update.filter(Column::Name.eq(name)).filter(Column::Sealed.eq(before));
                    changed += update.exec(tx.conn()).await?.rows_affected;
                }
                Ok(changed)
            })
        })
        .await
}
