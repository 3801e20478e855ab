//! The history of names: which were released, and when.

use sea_orm::{
    ActiveValue::Set,
    EntityTrait,
    sea_query::{Expr, OnConflict},
};
use time::OffsetDateTime;

use crate::{
    base::{Error, Result, TenantName, error::Reason},
    store::{
        Count, Exec, Kept, Stamp, Store, Tx,
        tables::{
            released_names::{ActiveModel, Column, Entity, Model},
            tenants,
        },
    },
};

/// The later of the stored and the new time, in the SQL of both databases: a slow clock does not move it back.
const LATER: &str = "CASE WHEN excluded.released_at > released_names.released_at \
                     THEN excluded.released_at ELSE released_names.released_at END";

/// Records that a tenant gives up its name, or takes one by renaming: older tokens with the name are not valid for its
/// new tenant.
pub(super) async fn release(tx: &Tx, name: &TenantName) -> Result<()> {
    // The later of two clocks: with a slow one, tokens of the old tenant would be valid for the new one.
    let released_at = Set(Stamp::from(tx.now().max(tx.time().await?)));
    let row = ActiveModel { name_key: Set(name.key()), released_at };
    let later = OnConflict::column(Column::NameKey).value(Column::ReleasedAt, Expr::cust(LATER)).to_owned();
    Entity::insert(row).on_conflict(later).run(tx.conn()).await?;
    Ok(())
}

/// Refuses a name that is the id of another tenant, because it would be ambiguous. The reverse, a new id that is an
/// existing name, does not occur: ids are random.
pub(super) async fn refuse_id(tx: &Tx, name: &TenantName) -> Result<()> {
    let Some(id) = name.as_id() else { return Ok(()) };
    if tenants::Entity::find_by_id(id).fetch_count(tx.conn()).await? > 0 {
        return Err(Error::exists(Reason::TenantExists, "the name is the id of another tenant"));
    }
    Ok(())
}

/// When a name was last released; `None` if no other tenant ever had it. The key is the folded name.
pub async fn released_at(store: &Store, key: &str) -> Result<Option<OffsetDateTime>> {
    static TEXT: Kept = Kept::new();
    let query = || Entity::find_by_id(key).into_model::<Model>();
    let row = TEXT.fetch_one(store.read(), vec![key.into()], query).await?;
    Ok(row.map(|row| row.released_at.time()))
}
