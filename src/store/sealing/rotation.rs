//! Rotation of the key-encryption key, while servers are running.
//!
//! Every server has the new key and the previous one. One transaction makes the new key the database's: from
//! then on data keys are sealed only with it. Then the existing data keys are resealed with it, page by page.
//! The data keys themselves do not change, so the values sealed under them stay valid and servers need not
//! notice. An interrupted run leaves consistent rows, and the next run continues.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, Condition, EntityTrait, ExprTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect, Select,
    prelude::Uuid,
    sea_query::{Expr, LockType},
};
use serde_json::json;

use super::{
    kek::{self, Kek},
    keyring::{self, DatabaseKey, Keyring},
};
use crate::base::{Cx, Error, Result, error::Reason};
use crate::store::{
    Count, Exec, Fetch, Stamp, Store, Tx, UpdateRow,
    tables::{data_keys, key_encryption},
};

/// Number of data keys in one transaction.
const PAGE: u64 = 100;
/// Number of data keys that are sealed or opened at the same time, which matters if another system does that.
pub(super) const AT_ONCE: usize = 16;

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

/// Makes the current key of the ring the database's, and seals every data key with it; with a key of another system, also those that an
/// earlier version of it seals. Calls `progress` after each transaction with the number of keys done and the total. Fails if the ring does not
/// have the database's current key, if a key of another system cannot be used, and if a concurrent rotation chooses another key.
pub async fn rotate(store: &Store, ring: &Keyring, mut progress: impl FnMut(u64, u64)) -> Result<Rotated> {
    keyring::fit(store.read(), Some(ring)).await?.require()?;
    let cx = Cx::system("keys rotate", store.clock().clone());
    // Before anything changes, both keys are used.
    let of = keyring::database_key(store, ring).await?;
    let proof = ring.current().proof().await?;
    let from = set_current(store, &cx, ring, of, proof.clone()).await?;
    let version = proof.as_deref().map(kek::version);
    let total = others(ring.current(), version).fetch_count(store.read()).await?;
    let (mut rewrapped, mut left, mut after) = (0, 0, String::new());
    while let Some(page) = rewrap(store, ring, version, after).await? {
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

/// Makes the current key of the ring the database's, with a proof. Returns the previous one, or `None` if it is the database's already.
async fn set_current(
    store: &Store,
    cx: &Cx,
    ring: &Keyring,
    of: DatabaseKey,
    proof: Option<String>,
) -> Result<Option<String>> {
    let row = key_encryption::Entity::find_by_id(key_encryption::ONE).fetch_one(store.read()).await?;
    if let Some(row) = row.filter(|row| row.kek == ring.current().id()) {
        let version = |proof: Option<&str>| proof.map(|proof| kek::version(proof).to_owned());
        if version(row.proof.as_deref()) != version(proof.as_deref()) {
            store.maintain("keys.proof", (of, proof), set_proof_in).await?;
        }
        return Ok(None);
    }
    store.write(cx, (ring.clone(), of, proof), set_current_in).await
}

async fn set_current_in(tx: &Tx, (ring, of, proof): &(Keyring, DatabaseKey, Option<String>)) -> Result<Option<String>> {
    let row = keyring::row(tx, of, LockType::Update).await?;
    let (from, to) = (row.kek.clone(), ring.current().id().to_owned());
    ring.find(&from).ok_or_else(|| keyring::missing_key(Some(&from)))?;
    tx.audit_only(None, to.clone(), json!({"state": "begun", "from": from}));
    if from == to {
        return Ok(None);
    }
    let mut row = row.into_active_model();
    row.kek = Set(to);
    row.changed_at = Set(Stamp::from(tx.now()));
    row.proof = Set(proof.clone());
    row.update_row(tx.conn()).await?;
    Ok(Some(from))
}

/// Replaces the proof of the database's key by one of its newest version.
async fn set_proof_in(tx: &Tx, (of, proof): &(DatabaseKey, Option<String>)) -> Result<()> {
    let row = keyring::row(tx, of, LockType::Update).await?;
    if row.kek != of.kek.id() {
        return Ok(());
    }
    let mut row = row.into_active_model();
    row.proof = Set(proof.clone());
    row.update_row(tx.conn()).await?;
    Ok(())
}

/// The result of one transaction.
struct Page {
    rewrapped: u64,
    left: u64,
    /// The id of its last row.
    last: String,
}

/// Reseals the next data keys after an id; `None` if there are no more. They are sealed before the transaction, which a key of another
/// system cannot take part in, and stored unless they were changed in the meantime.
async fn rewrap(store: &Store, ring: &Keyring, version: Option<&str>, after: String) -> Result<Option<Page>> {
    let rows = others(ring.current(), version).filter(data_keys::Column::Owner.gt(after));
    let rows = rows.order_by_asc(data_keys::Column::Owner).limit(PAGE).fetch_all(store.read()).await?;
    let Some(last) = rows.last().map(|row| row.owner.clone()) else { return Ok(None) };
    let sealing = rows.into_iter().map(|row| sealed_anew(ring, row));
    let sealed: Vec<_> = stream::iter(sealing).buffered(AT_ONCE).try_collect().await?;
    let left = sealed.iter().filter(|sealed| sealed.is_none()).count() as u64;
    let sealed: Vec<_> = sealed.into_iter().flatten().collect();
    let rewrapped = store.maintain("keys.rewrap", (ring.current().clone(), sealed), rewrap_in).await?;
    Ok(Some(Page { rewrapped, left, last }))
}

/// A data key that is sealed with the current key of the ring: the row as it was, and the new text. `None` if no key of the ring opens it;
/// fails if that is not known.
async fn sealed_anew(ring: &Keyring, row: data_keys::Model) -> Result<Option<(data_keys::Model, String)>> {
    let Some(kek) = ring.key_of(&row).await? else { return Ok(None) };
    let Some(key) = kek.unwrap(row.purpose(), &row.wrapped).await? else { return Ok(None) };
    let wrapped = ring.current().wrap(row.purpose(), key.expose()).await?;
    Ok(Some((row, wrapped)))
}

async fn rewrap_in(tx: &Tx, (kek, sealed): &(Kek, Vec<(data_keys::Model, String)>)) -> Result<u64> {
    let row =
        key_encryption::Entity::find_by_id(key_encryption::ONE).lock(LockType::Share).fetch_one(tx.conn()).await?;
    if row.is_none_or(|row| row.kek != kek.id()) {
        let message = "another rotation to a different key has started";
        return Err(Error::precondition(Reason::KekMissing, message));
    }
    let mut changed = 0;
    for (row, wrapped) in sealed {
        changed += data_keys::Entity::update_many()
            .col_expr(data_keys::Column::Wrapped, Expr::value(wrapped.as_str()))
            .col_expr(data_keys::Column::Kek, Expr::value(kek.id()))
            .filter(data_keys::Column::Owner.eq(row.owner.as_str()))
            .filter(data_keys::Column::Wrapped.eq(row.wrapped.as_str()))
            .run(tx.conn())
            .await?;
    }
    Ok(changed)
}

/// The data keys that are not known to be sealed with a key, in this version of it.
fn others(kek: &Kek, version: Option<&str>) -> Select<data_keys::Entity> {
    let id = data_keys::Column::Kek.ne(kek.id());
    let earlier = version.map(|version| data_keys::Column::Wrapped.starts_with(version).not());
    data_keys::Entity::find().filter(Condition::any().add(data_keys::Column::Kek.is_null()).add(id).add_option(earlier))
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
    /// Data keys that an earlier version of the current key seals, if another system has it.
    pub outdated: u64,
    /// Data keys that have been replaced by later ones and seal no more values.
    pub earlier: u64,
    /// Whether values are being resealed under new data keys.
    pub resealing: bool,
}

/// Examines every data key. Fails if it is not known whether a key of another system opens one.
pub async fn status(store: &Store, ring: Option<&Keyring>) -> Result<KeyStatus> {
    let row = key_encryption::Entity::find_by_id(key_encryption::ONE).fetch_one(store.read()).await?;
    let resealing = row.as_ref().is_some_and(|row| row.resealing);
    let mut status = KeyStatus { kek: row.map(|row| row.kek), resealing, ..KeyStatus::default() };
    let proof = match ring {
        Some(ring) => ring.current().proof().await?,
        None => None,
    };
    let version = proof.as_deref().map(kek::version).unwrap_or_default();
    let mut after = String::new();
    loop {
        let rows = data_keys::Entity::find().filter(data_keys::Column::Owner.gt(after));
        let rows = rows.order_by_asc(data_keys::Column::Owner).limit(PAGE).fetch_all(store.read()).await?;
        let Some(last) = rows.last() else { break };
        after = last.owner.clone();
        let opened: Vec<_> =
            stream::iter(rows.iter().map(|row| opened_by(ring, row))).buffered(AT_ONCE).try_collect().await?;
        for (row, opened) in rows.iter().zip(opened) {
            match (opened, ring) {
                (Some(kek), Some(ring)) if kek.id() == ring.current().id() => {
                    status.current += 1;
                    status.outdated += u64::from(!row.wrapped.starts_with(version));
                }
                (Some(_), _) => status.previous += 1,
                (None, _) => status.closed += 1,
            }
        }
    }
    let owners = data_keys::Entity::find().select_only().column(data_keys::Column::TenantId).distinct();
    let owners = owners.into_tuple::<Option<Uuid>>().fetch_all(store.read()).await?.len() as u64;
    status.earlier = (status.current + status.previous + status.closed).saturating_sub(owners);
    Ok(status)
}

/// The key of the ring that opens a data key.
async fn opened_by<'r>(ring: Option<&'r Keyring>, row: &data_keys::Model) -> Result<Option<&'r Kek>> {
    match ring {
        Some(ring) => ring.key_of(row).await,
        None => Ok(None),
    }
}
