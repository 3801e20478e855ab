//! Rotation of the key-encryption key, while servers serve.
//!
//! Every server holds the new key and the one before it. One transaction makes the new one the database's: from then on
//! data keys are sealed with no other. Then the data keys that there are get sealed anew, page by page. They stay the keys
//! that they are, so nothing that they sealed changes, and no server has to notice. Whoever is killed in between leaves
//! whole rows, and the next run goes on.

use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, Condition, EntityTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect, Select, prelude::Uuid,
};
use serde_json::json;

use super::{
    keyring::{self, Kek, Keyring},
    sealed,
};
use crate::base::{Cx, Error, Result, error::Reason};
use crate::store::{
    Stamp, Store, Tx,
    entities::{data_keys, key_encryption},
};

/// Data keys of one transaction.
const PAGE: u64 = 100;

/// What a rotation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// The key that was the database's before; `None` if an earlier run had changed that.
    pub from: Option<String>,
    /// Data keys that were sealed anew.
    pub rewrapped: u64,
    /// Data keys that no key of the ring opens. They are left as they are.
    pub left: u64,
}

/// Makes the current key of the ring the database's, and seals every data key with it. `progress` is told how many are
/// done, of how many, after each transaction. Fails if the ring lacks the key that is the database's now, and if another
/// rotation makes another key the database's meanwhile.
pub async fn rotate(store: &Store, ring: &Keyring, mut progress: impl FnMut(u64, u64)) -> Result<Rotated> {
    keyring::fit(store.read(), Some(ring)).await?.require()?;
    let cx = Cx::system("keys rotate", store.clock().clone());
    let from = turn(store, &cx, ring).await?;
    let total = others(ring.current()).count(store.read()).await?;
    let (mut rewrapped, mut left, mut after) = (0, 0, String::new());
    while let Some(page) = rewrap(store, ring, after).await? {
        rewrapped += page.rewrapped;
        left += page.left;
        after = page.last;
        progress(rewrapped, total);
    }
    if rewrapped > 0 || from.is_some() {
        let details = json!({"state": "finished", "rewrapped": rewrapped, "left": left});
        audit(store, &cx, ring.current().id(), details).await?;
    }
    Ok(Rotated { from, rewrapped, left })
}

/// Makes the current key of the ring the database's; returns the one before, or `None` if it is so already.
async fn turn(store: &Store, cx: &Cx, ring: &Keyring) -> Result<Option<String>> {
    let row = key_encryption::Entity::find_by_id(key_encryption::ONE).one(store.read()).await?;
    if row.is_some_and(|row| row.kek == ring.current().id()) {
        return Ok(None);
    }
    store.write(cx, ring.clone(), turn_in).await
}

async fn turn_in(tx: &Tx, ring: &Keyring) -> Result<Option<String>> {
    // Makes the row where there is none.
    keyring::hold(tx, ring).await?;
    let held = key_encryption::Entity::find_by_id(key_encryption::ONE).lock_exclusive().one(tx.conn()).await?;
    let row = held.ok_or_else(|| Error::internal("the row of the key-encryption key is gone"))?;
    let (from, to) = (row.kek.clone(), ring.current().id().to_owned());
    ring.find(&from).ok_or_else(|| keyring::not_held(Some(&from)))?;
    tx.audit_only(None, to.clone(), json!({"state": "begun", "from": from}));
    if from == to {
        return Ok(None);
    }
    let mut row = row.into_active_model();
    row.kek = Set(to);
    row.changed_at = Set(Stamp::from(tx.now()));
    row.update(tx.conn()).await?;
    Ok(Some(from))
}

/// What one transaction did.
struct Page {
    rewrapped: u64,
    left: u64,
    /// The name of its last row.
    last: String,
}

/// Seals the next data keys after a name anew; `None` if there are no more.
async fn rewrap(store: &Store, ring: &Keyring, after: String) -> Result<Option<Page>> {
    store.maintain("keys.rewrap", (ring.clone(), after), rewrap_page).await
}

async fn rewrap_page(tx: &Tx, (ring, after): &(Keyring, String)) -> Result<Option<Page>> {
    let kek = ring.current();
    if keyring::hold(tx, ring).await?.kek.id() != kek.id() {
        let message = "another rotation to a different key has started";
        return Err(Error::precondition(Reason::KekMissing, message));
    }
    let rows = others(kek).filter(data_keys::Column::Owner.gt(after.as_str())).order_by_asc(data_keys::Column::Owner);
    let rows = rows.limit(PAGE).lock_exclusive().all(tx.conn()).await?;
    let Some(last) = rows.last().map(|row| row.owner.clone()) else { return Ok(None) };
    let mut page = Page { rewrapped: 0, left: 0, last };
    for row in rows {
        match rewrap_row(tx, ring, row).await? {
            true => page.rewrapped += 1,
            false => page.left += 1,
        }
    }
    Ok(Some(page))
}

/// Seals a data key with the current key of the ring; false if no key of the ring opens it.
async fn rewrap_row(tx: &Tx, ring: &Keyring, row: data_keys::Model) -> Result<bool> {
    let Some(kek) = ring.key_of(&row) else { return Ok(false) };
    let key = sealed::open(&kek.cipher, row.purpose(), &row.wrapped)?;
    let wrapped = sealed::seal(&ring.current().cipher, row.purpose(), key.expose())?;
    let mut row = row.into_active_model();
    row.wrapped = Set(wrapped);
    row.kek = Set(Some(ring.current().id().to_owned()));
    row.update(tx.conn()).await?;
    Ok(true)
}

/// The data keys that are not sealed with a key, or do not say so.
fn others(kek: &Kek) -> Select<data_keys::Entity> {
    let kek = data_keys::Column::Kek.ne(kek.id());
    data_keys::Entity::find().filter(Condition::any().add(data_keys::Column::Kek.is_null()).add(kek))
}

async fn audit(store: &Store, cx: &Cx, target: &str, details: serde_json::Value) -> Result<()> {
    store.write(cx, (target.to_owned(), details), audit_in).await
}

async fn audit_in(tx: &Tx, (target, details): &(String, serde_json::Value)) -> Result<()> {
    tx.audit_only(None, target, details.clone());
    Ok(())
}

/// The data keys of a database, by what opens them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyStatus {
    /// The id of the database's key; `None` if nothing was sealed yet, or not since the database tells its key.
    pub kek: Option<String>,
    /// Data keys that the current key of the ring opens.
    pub current: u64,
    /// Data keys that the key before it opens.
    pub previous: u64,
    /// Data keys that no key of the ring opens.
    pub closed: u64,
    /// Of all data keys, those that do not seal any more: their owners have later ones.
    pub earlier: u64,
    /// Whether values are being sealed anew, under new data keys.
    pub resealing: bool,
}

/// Looks at every data key.
pub async fn status(store: &Store, ring: Option<&Keyring>) -> Result<KeyStatus> {
    let row = key_encryption::Entity::find_by_id(key_encryption::ONE).one(store.read()).await?;
    let resealing = row.as_ref().is_some_and(|row| row.resealing);
    let mut status = KeyStatus { kek: row.map(|row| row.kek), resealing, ..KeyStatus::default() };
    let mut after = String::new();
    loop {
        let rows = data_keys::Entity::find().filter(data_keys::Column::Owner.gt(after));
        let rows = rows.order_by_asc(data_keys::Column::Owner).limit(PAGE).all(store.read()).await?;
        let Some(last) = rows.last() else { break };
        after = last.owner.clone();
        for row in &rows {
            match ring.and_then(|ring| Some((ring, ring.key_of(row)?))) {
                Some((ring, kek)) if kek.id() == ring.current().id() => status.current += 1,
                Some(_) => status.previous += 1,
                None => status.closed += 1,
            }
        }
    }
    let owners = data_keys::Entity::find().select_only().column(data_keys::Column::TenantId).distinct();
    let owners = owners.into_tuple::<Option<Uuid>>().all(store.read()).await?.len() as u64;
    status.earlier = (status.current + status.previous + status.closed).saturating_sub(owners);
    Ok(status)
}
