//! What became of names: which were given up, and when.

use sea_orm::{
    ActiveValue::Set,
    EntityTrait, PaginatorTrait,
    sea_query::{Expr, OnConflict},
};
use time::OffsetDateTime;

use crate::{
    base::{Error, Result, TenantName, error::Reason},
    store::{
        Stamp, Store, Tx,
        entities::{
            released_names::{ActiveModel, Column, Entity},
            tenants,
        },
    },
};

/// The later of the moments that are known and told, in the SQL of both databases: a clock that is behind takes nothing back.
const LATER: &str = "CASE WHEN excluded.released_at > released_names.released_at \
                     THEN excluded.released_at ELSE released_names.released_at END";

/// Notes that a tenant gives its name up, or that it takes one by renaming: a token that was signed before for the name
/// is not for the tenant that bears it afterwards.
pub(super) async fn release(tx: &Tx, name: &TenantName) -> Result<()> {
    // The later of two clocks: by one that is behind, tokens of the one before would be the next one's.
    let released_at = Set(Stamp::from(tx.now().max(tx.time().await?)));
    let row = ActiveModel { name_key: Set(name.key()), released_at };
    let later = OnConflict::column(Column::NameKey).value(Column::ReleasedAt, Expr::cust(LATER)).to_owned();
    Entity::insert(row).on_conflict(later).exec_without_returning(tx.conn()).await?;
    Ok(())
}

/// Refuses a name that is the id of a tenant: whoever uses it would mean either. Ids are random, so the other order, a new
/// id that is a tenant's name, does not come about.
pub(super) async fn refuse_id(tx: &Tx, name: &TenantName) -> Result<()> {
    let Some(id) = name.as_id() else { return Ok(()) };
    if tenants::Entity::find_by_id(id.uuid()).count(tx.conn()).await? > 0 {
        return Err(Error::exists(Reason::TenantExists, "the name is the id of another tenant"));
    }
    Ok(())
}

/// When a tenant gave up a name, last; `None` if none ever had it before its present bearer. The key is the folded name.
pub async fn released_at(store: &Store, key: &str) -> Result<Option<OffsetDateTime>> {
    let row = Entity::find_by_id(key).one(store.read()).await?;
    Ok(row.map(|row| row.released_at.time()))
}
