//! Rotation of the key-encryption key, while servers are running.
//!
//! Every server has the new key and the previous one. One transaction makes the new key the database's: from
//! then on data keys are sealed only with it. Then the existing data keys are resealed with it, page by page.
//! The data keys themselves do not change, so the values sealed under them stay valid and servers need not
//! notice. An interrupted run leaves consistent rows, and the next run continues.

use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
    Select, prelude::Uuid, sea_query::LockType,
};
use serde_json::json;

use super::{
    keyring::{self, Kek, Keyring},
    sealed,
};
use crate::base::{Cx, Error, Result, error::Reason};
use crate::store::{
    Count, Fetch, Stamp, Store, Tx, UpdateRow,
    tables::{data_keys, key_encryption},
};

/// Number of data keys in one transaction.
const PAGE: u64 = 100;

/// The result of a rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// The id of the previous key; `None` if an earlier run had replaced it.
    pub from: Option<String>,
    /// Number of data keys resealed.
    pub rewrapped: u64,
    /// Number of data keys that no key of the ring opens. They are not changed.
    pub left: u64,
}

/// Makes the current key of the ring the database's, and seals every data key with it. Calls `progress` after
/// each transaction with the number of keys done and the total. Fails if the ring does not have the database's
/// current key, and if a concurrent rotation chooses another key.
pub async fn rotate(store: &Store, ring: &Keyring, mut progress: impl FnMut(u64, u64)) -> Result<Rotated> {
    keyring::fit(store.read(), Some(ring)).await?.require()?;
    let cx = Cx::system("keys rotate", store.clock().clone());
    let from = set_current(store, &cx, ring).await?;
    let total = others(ring.current()).fetch_count(store.read()).await?;
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

/// Makes the current key of the ring the database's. Returns the previous one, or `None` if there is nothing to change.
async fn set_current(store: &Store, cx: &Cx, ring: &Keyring) -> Result<Option<String>> {
    let row = key_encryption::Entity::find_by_id(key_encryption::ONE).fetch_one(store.read()).await?;
    if row.is_some_and(|row| row.kek == ring.current().id()) {
        return Ok(None);
    }
    store.write(cx, ring.clone(), set_current_in).await
}

async fn set_current_in(tx: &Tx, ring: &Keyring) -> Result<Option<String>> {
    let row = keyring::row(tx, ring, LockType::Update).await?;
    let (from, to) = (row.kek.clone(), ring.current().id().to_owned());
    ring.find(&from).ok_or_else(|| keyring::missing_key(Some(&from)))?;
    tx.audit_only(None, to.clone(), json!({"state": "begun", "from": from}));
    if from == to {
        return Ok(None);
    }
    let mut row = row.into_active_model();
    row.kek = Set(to);
    row.changed_at = Set(Stamp::from(tx.now()));
    row.update_row(tx.conn()).await?;
    Ok(Some(from))
}

/// The result of one transaction.
struct Page {
    rewrapped: u64,
    left: u64,
    /// The id of its last row.
    last: String,
}

/// Reseals the next data keys after an id; `None` if there are no more.
async fn rewrap(store: &Store, ring: &Keyring, after: String) -> Result<Option<Page>> {
    store.maintain("keys.rewrap", (ring.clone(), after), rewrap_page).await
}

async fn rewrap_page(tx: &Tx, (ring, after): &(Keyring, String)) -> Result<Option<Page>> {
    let kek = ring.current();
    if keyring::lock_database_key(tx, ring).await?.kek.id() != kek.id() {
        let message = "another rotation to a different key has started";
        return Err(Error::precondition(Reason::KekMissing, message));
    }
    let rows = others(kek).filter(data_keys::Column::Owner.gt(after.as_str())).order_by_asc(data_keys::Column::Owner);
    let rows = rows.limit(PAGE).lock_exclusive().fetch_all(tx.conn()).await?;
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
    row.update_row(tx.conn()).await?;
    Ok(true)
}

/// The data keys that are not known to be sealed with a key.
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

/// The data keys of a database, counted by the keys that open them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyStatus {
    /// The id of the database's key; `None` if nothing was sealed since the id is stored.
    pub kek: Option<String>,
    /// Data keys that the current key of the ring opens.
    pub current: u64,
    /// Data keys that the previous key opens.
    pub previous: u64,
    /// Data keys that no key of the ring opens.
    pub closed: u64,
    /// Data keys that have been replaced by later ones and seal no more values.
    pub earlier: u64,
    /// Whether values are being resealed under new data keys.
    pub resealing: bool,
}

/// Examines every data key.
pub async fn status(store: &Store, ring: Option<&Keyring>) -> Result<KeyStatus> {
    let row = key_encryption::Entity::find_by_id(key_encryption::ONE).fetch_one(store.read()).await?;
    let resealing = row.as_ref().is_some_and(|row| row.resealing);
    let mut status = KeyStatus { kek: row.map(|row| row.kek), resealing, ..KeyStatus::default() };
    let mut after = String::new();
    loop {
        let rows = data_keys::Entity::find().filter(data_keys::Column::Owner.gt(after));
        let rows = rows.order_by_asc(data_keys::Column::Owner).limit(PAGE).fetch_all(store.read()).await?;
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
    let owners = owners.into_tuple::<Option<Uuid>>().fetch_all(store.read()).await?.len() as u64;
    status.earlier = (status.current + status.previous + status.closed).saturating_sub(owners);
    Ok(status)
}
