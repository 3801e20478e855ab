//! Encryption of secrets at rest: each tenant has a data key, which is sealed with the key-encryption key.
//!
//! Deleting a tenant deletes its data key, and makes everything sealed under it unreadable. An owner may have
//! several keys: the latest one seals, and earlier ones open what is not resealed yet.

use std::{sync::Arc, time::Duration};

use aes_gcm::Aes256Gcm;
use sea_orm::{
    ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, Select,
    sea_query::{LockType, OnConflict},
};

use super::{
    keyring::{self, DatabaseKey, Fit, Keyring},
    sealed::{self, KEY},
};
use crate::base::{Error, ExpiringCache, Kind, Result, Secret, TenantId, error::Reason};
use crate::store::{Exec, Fetch, Stamp, Store, Tx, tables::data_keys};

/// Maximum number of data keys cached in memory.
const KEPT: u64 = 1024;
/// Maximum number of data keys that a key of another system has opened. Each takes about a kibibyte.
const OPENED: u64 = 16_384;
/// How many times a new data key is sealed before the key of the database is no longer replaced meanwhile.
pub(super) const ATTEMPTS: u32 = 5;
/// How long a server may keep sealing with a key after it was replaced, and keep using a data key after it was
/// resealed with a key-encryption key that the server does not have.
pub const NOTICED: Duration = Duration::from_secs(3);

/// Seals and opens secrets. Cheap to clone.
#[derive(Clone)]
pub struct Sealer(Arc<Inner>);

struct Inner {
    store: Store,
    ring: Option<Keyring>,
    /// By row id. The key of a row never changes.
    keys: ExpiringCache<String, Arc<Aes256Gcm>>,
    /// By the sealed text. A key of another system is asked once for each, so that an outage there does not matter to the others.
    opened: ExpiringCache<String, Arc<Aes256Gcm>>,
    /// The version of the latest key, by owner.
    latest: ExpiringCache<Option<TenantId>, i64>,
}

impl Sealer {
    /// A sealer without keys fails with an error that names the missing setting.
    pub fn new(store: Store, ring: Option<Keyring>) -> Self {
        let (latest, keys) = (ExpiringCache::new(KEPT, NOTICED), ExpiringCache::new(KEPT, NOTICED));
        let opened = ExpiringCache::new(OPENED, Duration::MAX);
        Self(Arc::new(Inner { store, ring, keys, opened, latest }))
    }

    /// Whether the keys match the database. Reads one row.
    pub async fn fit(&self) -> Result<Fit> {
        keyring::fit(self.0.store.read(), self.0.ring.as_ref()).await
    }

    /// Fails unless the keys match the database and every data key in it, with an error that says what to do, and if a key of
    /// another system cannot be used. May read every data key, so it is for startup.
    pub async fn verify(&self) -> Result<()> {
        self.fit().await?.require()?;
        let Some(ring) = &self.0.ring else { return Ok(()) };
        ring.current().check().await?;
        // Nothing is stored yet, if nothing was sealed.
        keyring::database_key(&self.0.store, ring).await?;
        keyring::refuse_left_behind(self.0.store.read(), ring).await
    }

    /// Seals a secret of a tenant, or of the platform, for a purpose. Must not be called inside a write: the first
    /// secret of an owner creates its key.
    pub async fn seal(&self, tenant: Option<TenantId>, purpose: &str, secret: &[u8]) -> Result<String> {
        let (version, key) = self.latest(tenant).await?;
        sealed::seal_under(version, &key, purpose, secret)
    }

    /// Opens a value sealed for the same tenant and purpose.
    pub async fn open(&self, tenant: Option<TenantId>, purpose: &str, sealed: &str) -> Result<Secret<Vec<u8>>> {
        let Some(version) = sealed::version(sealed) else {
            return Err(Error::internal("what should be sealed is not"));
        };
        sealed::open(self.key(tenant, version).await?.as_ref(), purpose, sealed)
    }

    /// Seals the same secret under the owner's latest key; `None` if it already is.
    pub async fn reseal(&self, tenant: Option<TenantId>, purpose: &str, sealed: &str) -> Result<Option<String>> {
        let (version, key) = self.latest(tenant).await?;
        if sealed::version(sealed) == Some(version) {
            return Ok(None);
        }
        let secret = self.open(tenant, purpose, sealed).await?;
        sealed::seal_under(version, &key, purpose, secret.expose()).map(Some)
    }

    fn ring(&self) -> Result<&Keyring> {
        self.0.ring.as_ref().ok_or_else(missing)
    }

    /// The latest key and its version.
    async fn latest(&self, tenant: Option<TenantId>) -> Result<(i64, Arc<Aes256Gcm>)> {
        let ring = self.ring()?;
        if let Some(version) = self.0.latest.get(&tenant) {
            return Ok((version, self.key(tenant, version).await?));
        }
        let row = match keys_of(tenant).order_by_desc(data_keys::Column::Version).fetch_one(self.0.store.read()).await?
        {
            Some(row) => row,
            None => self.make(ring, tenant).await?,
        };
        let (version, key) = (row.version, self.data_key(&row).await?);
        self.0.latest.insert(tenant, version);
        Ok((version, key))
    }

    /// The key of a version.
    async fn key(&self, tenant: Option<TenantId>, version: i64) -> Result<Arc<Aes256Gcm>> {
        self.ring()?;
        let name = row_name(tenant, version);
        if let Some(key) = self.0.keys.get(&name) {
            return Ok(key);
        }
        let row = data_keys::Entity::find_by_id(&name).fetch_one(self.0.store.read()).await?;
        self.data_key(&row.ok_or_else(|| Error::internal(format!("there is no data key {name}")))?).await
    }

    async fn data_key(&self, row: &data_keys::Model) -> Result<Arc<Aes256Gcm>> {
        if let Some(key) = self.0.keys.get(&row.owner) {
            return Ok(key);
        }
        let key = self.opened(row).await?;
        self.0.keys.insert(row.owner.clone(), key.clone());
        Ok(key)
    }

    /// Opens the data key of a row. Fails with the error for non-matching keys if the key that sealed it is missing.
    async fn opened(&self, row: &data_keys::Model) -> Result<Arc<Aes256Gcm>> {
        let ring = self.ring()?;
        let Some(kek) = row.kek.as_ref().and_then(|id| ring.find(id)).filter(|kek| kek.is_remote()) else {
            return unwrapped(ring, row).await.map(Arc::new);
        };
        if let Some(key) = self.0.opened.get(&row.wrapped) {
            return Ok(key);
        }
        let key = Arc::new(opened_by(kek.unwrap(row.purpose(), &row.wrapped).await?)?);
        self.0.opened.insert(row.wrapped.clone(), key.clone());
        Ok(key)
    }

    /// Creates the first key of an owner, unless a concurrent call does, and returns the stored row.
    async fn make(&self, ring: &Keyring, tenant: Option<TenantId>) -> Result<data_keys::Model> {
        for _ in 0..ATTEMPTS {
            let of = keyring::database_key(&self.0.store, ring).await?;
            let new = NewKey::seal(&of, tenant).await?;
            if let Some(row) = self.0.store.maintain("sealer.key", (of, new), make_in).await? {
                return Ok(row);
            }
        }
        Err(replaced())
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer")
    }
}

/// A data key that is not stored yet.
pub(super) struct NewKey {
    tenant: Option<TenantId>,
    wrapped: String,
}

impl NewKey {
    /// Generates a key of an owner, sealed with the database's key for its current generation.
    pub(super) async fn seal(of: &DatabaseKey, tenant: Option<TenantId>) -> Result<Self> {
        let key: [u8; KEY] = rand::random();
        let wrapped = of.kek.wrap(&row_name(tenant, of.generation), &key).await?;
        Ok(Self { tenant, wrapped })
    }
}

/// Stores the key of an owner, unless it has one of this generation, and returns the stored row. `None` if the key of the database or
/// the generation was replaced since the key was sealed.
async fn make_in(tx: &Tx, (of, new): &(DatabaseKey, NewKey)) -> Result<Option<data_keys::Model>> {
    let row = keyring::row(tx, of, LockType::Share).await?;
    if of.is(&row) { insert(tx, of, new).await.map(Some) } else { Ok(None) }
}

/// The same in a transaction that has locked and compared the key of the database.
pub(super) async fn insert(tx: &Tx, of: &DatabaseKey, new: &NewKey) -> Result<data_keys::Model> {
    let row = data_keys::Model {
        owner: row_name(new.tenant, of.generation),
        tenant_id: new.tenant,
        wrapped: new.wrapped.clone(),
        // The same clock decides when earlier keys are deleted.
        created_at: Stamp::from(tx.time().await?),
        kek: Some(of.kek.id().to_owned()),
        version: of.generation,
    };
    let made = row.clone();
    let first = OnConflict::column(data_keys::Column::Owner).do_nothing().to_owned();
    let insert = data_keys::Entity::insert(row.into_active_model()).on_conflict(first);
    if insert.run(tx.conn()).await? == 1 {
        return Ok(made);
    }
    let row = data_keys::Entity::find_by_id(&made.owner).fetch_one(tx.conn()).await?;
    Ok(row.unwrap_or(made))
}

/// Opens the data key of a row with a key of the ring.
async fn unwrapped(ring: &Keyring, row: &data_keys::Model) -> Result<Aes256Gcm> {
    let held = match &row.kek {
        Some(id) => ring.find(id),
        None => ring.key_of(row).await?,
    };
    let kek = held.ok_or_else(|| keyring::missing_key(row.kek.as_deref()))?;
    opened_by(kek.unwrap(row.purpose(), &row.wrapped).await?)
}

/// The data key that a key-encryption key has opened.
fn opened_by(key: Option<Secret<Vec<u8>>>) -> Result<Aes256Gcm> {
    let key =
        key.ok_or_else(|| Error::internal("cannot open a data key: it was modified or sealed under another key"))?;
    let key: &[u8; KEY] = key.expose().as_slice().try_into().map_err(Error::internal)?;
    Ok(sealed::cipher(key))
}

/// The key of the database was replaced several times while a data key was made.
pub(super) fn replaced() -> Error {
    let message = "the key-encryption key is being replaced; retry later";
    Error::new(Kind::Unavailable, Reason::KekUnavailable, message)
}

/// The keys of an owner.
pub(in crate::store) fn keys_of(tenant: Option<TenantId>) -> Select<data_keys::Entity> {
    data_keys::Entity::find().filter(match tenant {
        Some(tenant) => data_keys::Column::TenantId.eq(tenant),
        None => data_keys::Column::TenantId.is_null(),
    })
}

/// The id of a key's row.
pub(in crate::store) fn row_name(tenant: Option<TenantId>, version: i64) -> String {
    let owner = tenant.map_or_else(|| data_keys::PLATFORM.to_owned(), TenantId::dashed);
    if version == 1 { owner } else { format!("{owner}#{version}") }
}

fn missing() -> Error {
    let message = "no key-encryption key is configured; set TENANTRY_KEK";
    Error::precondition(Reason::KekMissing, message)
}
