//! The key-encryption keys of a process, and which of them the database uses.
//!
//! The row in `key_encryption` contains the id of the key that seals the data keys. A data key is sealed before the
//! transaction that stores it, because a key of another system cannot be used in one; the transaction locks this row
//! and stores nothing if another key is the database's by then. So servers with different settings cannot seal under
//! different keys: a server without the database's key seals nothing. A key of another system is recognized by a proof
//! in the row, because there may be other keys of its name.

use sea_orm::{
    ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{LockType, OnConflict},
};

pub use super::kek::Kek;
use crate::base::{Error, Kind, Result, error::Reason};
use crate::store::{
    Db, Exec, Fetch, Stamp, Store, Tx,
    tables::{data_keys, key_encryption},
};

/// The keys of a process: the current one, and the previous one during a rotation.
#[derive(Clone, Debug)]
pub struct Keyring {
    current: Kek,
    previous: Option<Kek>,
}

impl From<Kek> for Keyring {
    fn from(current: Kek) -> Self {
        Self::new(current, None)
    }
}

impl Keyring {
    pub fn new(current: Kek, previous: Option<Kek>) -> Self {
        Self { current, previous }
    }

    /// The key set in `TENANTRY_KEK`.
    pub fn current(&self) -> &Kek {
        &self.current
    }

    /// The key with an id, if present.
    pub fn find(&self, id: &str) -> Option<&Kek> {
        self.all().find(|kek| kek.id() == id)
    }

    pub fn all(&self) -> impl Iterator<Item = &Kek> {
        std::iter::once(&self.current).chain(&self.previous)
    }

    /// The key that a data key is sealed with, if present. Rows without an id are from older versions, which had no keys of other
    /// systems; all other keys are tried for them. Fails if it is not known whether a key of another system opens it.
    pub(in crate::store) async fn key_of(&self, row: &data_keys::Model) -> Result<Option<&Kek>> {
        let candidates = self.all().filter(|kek| match &row.kek {
            Some(id) => kek.id() == id,
            None => !kek.is_remote(),
        });
        for kek in candidates {
            if kek.unwrap(row.purpose(), &row.wrapped).await?.is_some() {
                return Ok(Some(kek));
            }
        }
        Ok(None)
    }
}

/// Whether the keys of a process match a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fit {
    /// They match, or nothing is sealed yet.
    Fits,
    /// The process has no key, but there are sealed secrets.
    Missing,
    /// The database uses a different key; its id, if known.
    Other(Option<String>),
}

impl Fit {
    /// Fails unless the keys match, with an error that says what to do.
    pub fn require(self) -> Result<()> {
        let (kind, reason) = (Kind::Unavailable, Reason::KekMissing);
        match self {
            Self::Fits => Ok(()),
            Self::Missing => {
                let message = "the database contains sealed secrets, but no key-encryption key is configured: set TENANTRY_KEK to the key that sealed them";
                Err(Error::new(kind, reason, message))
            }
            Self::Other(id) => {
                let whose = id.map(|id| format!(" (its id is {id})")).unwrap_or_default();
                let message = format!(
                    "TENANTRY_KEK is not the key that seals the secrets of this database{whose}: set it to that key, or \
                     give that key as TENANTRY_KEK_PREVIOUS and run `tenantry keys rotate`"
                );
                Err(Error::new(kind, reason, message))
            }
        }
    }
}

/// Checks a keyring against a database by the ids of keys, reading one row. Whether a key of another system is the same one is not
/// checked, so that the result does not depend on that system.
pub async fn fit(conn: &impl Db, ring: Option<&Keyring>) -> Result<Fit> {
    let row = key_encryption::Entity::find_by_id(key_encryption::ONE).fetch_one(conn).await?;
    Ok(match (row, ring) {
        (Some(_), None) => Fit::Missing,
        (Some(row), Some(ring)) if ring.find(&row.kek).is_some() => Fit::Fits,
        (Some(row), Some(_)) => Fit::Other(Some(row.kek)),
        // Nothing was sealed since the database stores the id of its key.
        (None, ring) => match (first_data_key(conn).await?, ring) {
            (None, _) => Fit::Fits,
            (Some(_), None) => Fit::Missing,
            (Some(row), Some(ring)) if ring.key_of(&row).await?.is_some() => Fit::Fits,
            (Some(row), Some(_)) => Fit::Other(row.kek),
        },
    })
}

/// The database's key, and the current generation of data keys, as they were read.
#[derive(Clone, Debug)]
pub(in crate::store) struct DatabaseKey {
    pub kek: Kek,
    pub generation: i64,
    /// The proof of a key of another system.
    proof: Option<String>,
}

impl DatabaseKey {
    /// Whether a row says the same.
    pub fn is(&self, row: &key_encryption::Model) -> bool {
        (row.kek.as_str(), row.generation, &row.proof) == (self.kek.id(), self.generation, &self.proof)
    }
}

/// The database's key, which seals data keys until it is replaced. For a database without one, it is the key that opens its data
/// keys, or the current key of the ring if there are none; the first write that locks the row stores it. Fails if the ring does not
/// have the key, and if a key of another system only has its name.
pub(in crate::store) async fn database_key(store: &Store, ring: &Keyring) -> Result<DatabaseKey> {
    let row = key_encryption::Entity::find_by_id(key_encryption::ONE).fetch_one(store.read()).await?;
    if let Some(row) = row {
        let kek = ring.find(&row.kek).ok_or_else(|| missing_key(Some(&row.kek)))?;
        kek.prove(row.proof.as_deref()).await?;
        return Ok(DatabaseKey { kek: kek.clone(), generation: row.generation, proof: row.proof });
    }
    let kek = match first_data_key(store.read()).await? {
        Some(row) => ring.key_of(&row).await?.ok_or_else(|| missing_key(row.kek.as_deref()))?,
        None => ring.current(),
    };
    Ok(DatabaseKey { kek: kek.clone(), generation: 1, proof: kek.proof().await? })
}

/// The row of the key-encryption key, locked until the end of the transaction, and created with a key if it is missing: no rotation
/// can complete before this transaction ends. The row may say something else than was read before. A transaction that changes the
/// row must not lock it shared first: two of them would wait for each other.
pub(super) async fn row(tx: &Tx, first: &DatabaseKey, lock: LockType) -> Result<key_encryption::Model> {
    let find = || key_encryption::Entity::find_by_id(key_encryption::ONE).lock(lock).fetch_one(tx.conn());
    let mut row = find().await?;
    if row.is_none() {
        let new = key_encryption::Model {
            id: key_encryption::ONE.to_owned(),
            kek: first.kek.id().to_owned(),
            changed_at: Stamp::from(tx.now()),
            generation: first.generation,
            resealing: false,
            proof: first.proof.clone(),
        };
        let first = OnConflict::column(key_encryption::Column::Id).do_nothing().to_owned();
        let insert = key_encryption::Entity::insert(new.into_active_model()).on_conflict(first);
        insert.run(tx.conn()).await?;
        // A concurrent server may have inserted the row first, with another key.
        row = find().await?;
    }
    row.ok_or_else(|| Error::internal("the row of the key-encryption key is gone"))
}

/// Fails if an unfinished rotation left data keys under a key that the ring does not have. Rows of older
/// versions do not name their key and are opened instead.
pub(in crate::store) async fn refuse_left_behind(conn: &impl Db, ring: &Keyring) -> Result<()> {
    let held = ring.all().map(|kek| kek.id().to_owned());
    let mut left = data_keys::Entity::find().filter(data_keys::Column::Kek.is_not_in(held)).fetch_one(conn).await?;
    if left.is_none() {
        for row in data_keys::Entity::find().filter(data_keys::Column::Kek.is_null()).fetch_all(conn).await? {
            if ring.key_of(&row).await?.is_none() {
                left = Some(row);
                break;
            }
        }
    }
    let Some(row) = left else { return Ok(()) };
    let id = row.kek.map_or_else(String::new, |id| format!(" (its id is {id})"));
    let message = format!(
        "there are data keys under another key-encryption key{id}: give that key as TENANTRY_KEK_PREVIOUS and run \
         `tenantry keys rotate`"
    );
    Err(Error::new(Kind::Unavailable, Reason::KekMissing, message))
}

/// The data key that identifies the database's key if there is no row for it: the platform's, else the oldest one.
async fn first_data_key(conn: &impl Db) -> Result<Option<data_keys::Model>> {
    let platform = data_keys::Entity::find_by_id(data_keys::PLATFORM).fetch_one(conn).await?;
    match platform {
        Some(row) => Ok(Some(row)),
        None => Ok(data_keys::Entity::find().order_by_asc(data_keys::Column::CreatedAt).fetch_one(conn).await?),
    }
}

/// Callers learn that the server cannot do this now; the log contains the id of the required key.
pub(in crate::store) fn missing_key(id: Option<&str>) -> Error {
    let message = "cannot seal or open secrets: this server does not have the key-encryption key of its database";
    let cause = format!("the id of the database's key is {}", id.unwrap_or("not known"));
    Error::new(Kind::Unavailable, Reason::KekMissing, message).caused_by(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_by_its_id() {
        let [kek, other] = [(); 2].map(|()| Kek::from_base64(&Kek::generate()).unwrap());
        let ring = Keyring::new(kek.clone(), Some(other.clone()));
        assert!(ring.find(other.id()).is_some() && ring.find("0").is_none() && ring.current().id() == kek.id());
    }
}
