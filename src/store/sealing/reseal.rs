//! Replaces data keys and reseals all values under the new ones, while servers are running.
//!
//! A run begins by raising the generation in the row of `key_encryption`; every owner whose latest data key is
//! of an earlier generation gets a new one. Servers seal under it within [`NOTICED`]; values sealed under
//! earlier keys can still be opened. Then each area reseals its values. A run that was interrupted left its
//! mark in the row, and the next run continues it. Earlier keys are deleted once no values are sealed under
//! them.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, EntityTrait, ExprTrait, IntoActiveModel, QueryFilter, QuerySelect, TryGetable, Value,
    sea_query::{Expr, LockType, Order, Query, UpdateStatement, ValueType},
};
use serde_json::json;

pub use super::sealer::NOTICED;
use super::{
    keyring::{self, DatabaseKey, Keyring},
    rotation::AT_ONCE,
    sealed,
    sealer::{self, ATTEMPTS, NewKey},
};
use crate::base::{Cx, Error, Kind, Result, TenantId, error::Reason};
use crate::store::{
    Exec, Fetch, Sealer, Stamp, Store, Tx, UpdateRow, execute,
    query::{Record, records},
    tables::{data_keys, key_encryption},
};

/// Number of owners, or values, in one transaction.
pub const PAGE: u64 = 100;
/// How long a replaced key is kept, even if no values are known to be sealed under it: responses under
/// idempotency keys are sealed too, and are kept for a day.
pub const KEPT: Duration = Duration::from_secs(2 * 24 * 3600);

/// A run in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Data keys of earlier generations are replaced.
    pub generation: i64,
    /// Whether it continues an interrupted run.
    pub resumed: bool,
}

/// The result for the values of an area.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resealed {
    pub resealed: u64,
    /// Values that could not be opened. They are not changed.
    pub left: u64,
}

impl std::ops::AddAssign for Resealed {
    fn add_assign(&mut self, other: Self) {
        self.resealed += other.resealed;
        self.left += other.left;
    }
}

/// The owner of a value, and the version of the key that it is sealed under.
pub type InUse = BTreeSet<(Option<TenantId>, i64)>;

/// The purpose of a value, and the sealed value.
pub type Purposed = (String, String);

/// A column with sealed values, or JSON that contains them; their characters need no escaping in JSON.
pub struct SealedColumn<K> {
    pub table: &'static str,
    /// Its primary key.
    pub key: &'static str,
    pub column: &'static str,
    /// The column with the owning tenant; none if the secrets are the platform's.
    pub tenant: Option<&'static str>,
    /// Extracts the sealed values from the text of a row.
    pub values: fn(&K, &str) -> Result<Vec<Purposed>>,
}

/// A row with text in the column.
struct SealedRow<K> {
    key: K,
    tenant: Option<TenantId>,
    text: String,
}

impl<K: TryGetable + ValueType + Into<Value> + Clone + Send + Sync + 'static> SealedColumn<K> {
    /// Reseals every value that is sealed under an earlier data key. Calls `progress` after each transaction.
    pub async fn reseal(&self, store: &Store, sealer: &Sealer, mut progress: impl FnMut(Resealed)) -> Result<Resealed> {
        let (mut done, mut after) = (Resealed::default(), None);
        loop {
            let page = self.page(store, after).await?;
            let Some(last) = page.last() else { return Ok(done) };
            after = Some(last.key.clone());
            let mut changes = Vec::new();
            for row in page {
                let (mut text, mut count) = (row.text.clone(), 0);
                for (purpose, sealed) in (self.values)(&row.key, &row.text)? {
                    match sealer.reseal(row.tenant, &purpose, &sealed).await {
                        Ok(None) => {}
                        Ok(Some(anew)) => (text, count) = (text.replacen(&sealed, &anew, 1), count + 1),
                        Err(error) if error.kind == Kind::Internal => done.left += 1,
                        Err(error) => return Err(error),
                    }
                }
                if count > 0 {
                    changes.push((row, text, count));
                }
            }
            done.resealed += self.put(store, changes).await?;
            progress(done);
        }
    }

    /// The data keys that values are sealed under.
    pub async fn keys_in_use(&self, store: &Store) -> Result<InUse> {
        let (mut keys, mut after) = (InUse::new(), None);
        loop {
            let page = self.page(store, after).await?;
            let Some(last) = page.last() else { return Ok(keys) };
            after = Some(last.key.clone());
            for row in page {
                let values = (self.values)(&row.key, &row.text)?;
                keys.extend(values.iter().filter_map(|(_, sealed)| Some((row.tenant, version(sealed)?))));
            }
        }
    }

    async fn page(&self, store: &Store, after: Option<K>) -> Result<Vec<SealedRow<K>>> {
        let mut query = Query::select();
        query.column(self.key).column(self.column).columns(self.tenant).from(self.table);
        query.and_where(Expr::col(self.column).is_not_null()).order_by(self.key, Order::Asc).limit(PAGE);
        if let Some(after) = after {
            query.and_where(Expr::col(self.key).gt(after));
        }
        let read = |row: Record| {
            let tenant: Option<TenantId> = self.tenant.map_or(Ok(None), |column| row.get(column))?;
            let (key, text) = (row.get(self.key)?, row.get(self.column)?);
            Ok(SealedRow { key, tenant, text })
        };
        records(store.read(), &query).await?.into_iter().map(read).collect()
    }

    /// Stores resealed texts, except those that were changed in the meantime, which were sealed under a current
    /// key. Returns the number of values.
    async fn put(&self, store: &Store, changes: Vec<(SealedRow<K>, String, u64)>) -> Result<u64> {
        if changes.is_empty() {
            return Ok(0);
        }
        let update = |(row, text, count): (SealedRow<K>, String, u64)| {
            let mut update = Query::update();
            update.table(self.table).value(self.column, text);
            update.and_where(Expr::col(self.key).eq(row.key)).and_where(Expr::col(self.column).eq(row.text));
            (update, count)
        };
        let updates: Vec<_> = changes.into_iter().map(update).collect();
        store.maintain("keys.reseal", Arc::from(updates), put_all).await
    }
}

async fn put_all(tx: &Tx, updates: &Arc<[(UpdateStatement, u64)]>) -> Result<u64> {
    let mut changed = 0;
    for (update, count) in updates.iter() {
        changed += count * execute(tx.conn(), tx.backend().build(update)).await?;
    }
    Ok(changed)
}

/// The version of the data key that a text is sealed under; `None` if it is not a sealed text.
pub fn version(sealed: &str) -> Option<i64> {
    sealed::version(sealed)
}

/// Starts a run, or continues an interrupted one. `None` if nothing was ever sealed.
pub async fn begin(store: &Store, ring: &Keyring) -> Result<Option<Run>> {
    keyring::fit(store.read(), Some(ring)).await?.require()?;
    if data_keys::Entity::find().fetch_one(store.read()).await?.is_none() {
        return Ok(None);
    }
    let row = key_encryption::Entity::find_by_id(key_encryption::ONE).fetch_one(store.read()).await?;
    if let Some(row) = row.filter(|row| row.resealing) {
        return Ok(Some(Run { generation: row.generation, resumed: true }));
    }
    let of = keyring::database_key(store, ring).await?;
    let cx = Cx::system("keys reseal", store.clock().clone());
    store.write(&cx, (ring.clone(), of), begin_in).await.map(Some)
}

async fn begin_in(tx: &Tx, (ring, of): &(Keyring, DatabaseKey)) -> Result<Run> {
    let row = keyring::row(tx, of, LockType::Update).await?;
    ring.find(&row.kek).ok_or_else(|| keyring::missing_key(Some(&row.kek)))?;
    let (resumed, generation) = match row.resealing {
        true => (true, row.generation),
        false => (false, row.generation + 1),
    };
    let mut row = row.into_active_model();
    row.generation = Set(generation);
    row.resealing = Set(true);
    row.update_row(tx.conn()).await?;
    tx.audit_only(None, "data keys", json!({"state": "begun", "generation": generation}));
    Ok(Run { generation, resumed })
}

pub async fn end(store: &Store, details: serde_json::Value) -> Result<()> {
    let cx = Cx::system("keys reseal", store.clock().clone());
    store.write(&cx, details, end_in).await
}

async fn end_in(tx: &Tx, details: &serde_json::Value) -> Result<()> {
    key_encryption::Entity::update_many()
        .col_expr(key_encryption::Column::Resealing, Expr::value(false))
        .run(tx.conn())
        .await?;
    let mut details = details.clone();
    details["state"] = json!("finished");
    tx.audit_only(None, "data keys", details);
    Ok(())
}

/// Creates a new data key for every owner whose latest one is of an earlier generation. Calls `progress` with
/// their number.
pub async fn renew(store: &Store, ring: &Keyring, run: Run, mut progress: impl FnMut(u64)) -> Result<u64> {
    let mut made = 0;
    let mut failures = 0;
    loop {
        match renew_page(store, ring, run).await {
            Ok(0) => return Ok(made),
            Ok(more) => {
                made += more;
                progress(made);
            }
            // A tenant of the page was deleted in the meantime; the next attempt does not include it.
            Err(error) if is_gone(&error) && failures < 5 => failures += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Whether the tenant of a row is gone, as each database reports it.
fn is_gone(error: &Error) -> bool {
    matches!(error.reason, Reason::TenantNotFound | Reason::TenantInUse)
}

async fn renew_page(store: &Store, ring: &Keyring, run: Run) -> Result<u64> {
    let owners: Vec<Option<TenantId>> = data_keys::Entity::find()
        .select_only()
        .column(data_keys::Column::TenantId)
        .group_by(data_keys::Column::TenantId)
        .having(ExprTrait::lt(data_keys::Column::Version.max(), run.generation))
        .limit(PAGE)
        .into_tuple()
        .fetch_all(store.read())
        .await?;
    let count = owners.len() as u64;
    if owners.is_empty() {
        return Ok(0);
    }
    for _ in 0..ATTEMPTS {
        let of = keyring::database_key(store, ring).await?;
        let sealing = owners.iter().map(|tenant| NewKey::seal(&of, *tenant));
        let new: Vec<_> = stream::iter(sealing).buffered(AT_ONCE).try_collect().await?;
        if store.maintain("keys.renew", (of.clone(), new), renew_in).await? {
            return Ok(count);
        }
    }
    Err(sealer::replaced())
}

/// Stores new keys. Returns false if the key of the database was replaced since they were sealed.
async fn renew_in(tx: &Tx, (of, new): &(DatabaseKey, Vec<NewKey>)) -> Result<bool> {
    if !of.is(&keyring::row(tx, of, LockType::Share).await?) {
        return Ok(false);
    }
    for key in new {
        sealer::insert(tx, of, key).await?;
    }
    Ok(true)
}

/// Deletes data keys that were replaced at least [`KEPT`] ago and are not in `in_use`. Returns their number.
pub async fn prune(store: &Store, in_use: InUse) -> Result<u64> {
    let rows = data_keys::Entity::find().fetch_all(store.read()).await?;
    let long_ago = Stamp::from(store.time().await? - KEPT);
    let replaced = |row: &data_keys::Model| {
        rows.iter()
            .any(|later| later.tenant_id == row.tenant_id && later.version > row.version && later.created_at < long_ago)
    };
    let key = |row: &data_keys::Model| (row.tenant_id, row.version);
    let old: Vec<_> =
        rows.iter().filter(|row| replaced(row) && !in_use.contains(&key(row))).map(|row| row.owner.clone()).collect();
    if old.is_empty() {
        return Ok(0);
    }
    let cx = Cx::system("keys prune", store.clock().clone());
    store.write(&cx, Arc::from(old), prune_in).await
}

async fn prune_in(tx: &Tx, old: &Arc<[String]>) -> Result<u64> {
    for page in old.chunks(PAGE as usize) {
        let gone = data_keys::Entity::delete_many().filter(data_keys::Column::Owner.is_in(page.to_vec()));
        gone.run(tx.conn()).await?;
    }
    tx.audit_only(None, "data keys", json!({"removed": old.len()}));
    Ok(old.len() as u64)
}
