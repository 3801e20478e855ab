//! The key-encryption keys of a process, and which of them the database uses.
//!
//! The row in `key_encryption` contains the id of the key that seals the data keys. Data keys are sealed in a
//! transaction that locks this row, and only with that key. So servers with different settings cannot seal
//! under different keys: a server without the database's key seals nothing.

use aes_gcm::Aes256Gcm;
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use sea_orm::{
    ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{LockType, OnConflict},
};

use super::sealed::{self, KEY};
use crate::base::{Error, Kind, Result, Secret, digest::sha256_hex, error::Reason};
use crate::store::{
    Db, Exec, Fetch, Stamp, Tx,
    tables::{data_keys, key_encryption},
};

/// Length of an id, in hex digits.
const ID: usize = 16;
/// Prefix of the digest that an id is taken from.
const ID_LABEL: &[u8] = b"tenantry key-encryption key id 1\n";

/// A key-encryption key.
#[derive(Clone)]
pub struct Kek {
    id: String,
    pub(in crate::store) cipher: Aes256Gcm,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key-encryption key must be 32 bytes in base64")]
pub struct InvalidKek;

impl Kek {
    /// Parses a key: 32 bytes in base64, with or without padding.
    pub fn from_base64(text: &Secret<String>) -> Result<Self, InvalidKek> {
        let bytes = STANDARD_NO_PAD.decode(text.expose().trim().trim_end_matches('=')).map_err(|_| InvalidKek)?;
        let key: [u8; KEY] = bytes.try_into().map_err(|_| InvalidKek)?;
        let mut id = sha256_hex([ID_LABEL, &key]);
        id.truncate(ID);
        Ok(Self { id, cipher: sealed::cipher(&key) })
    }

    /// Generates a key in the format of [`from_base64`](Self::from_base64).
    pub fn generate() -> Secret<String> {
        Secret::new(STANDARD_NO_PAD.encode(rand::random::<[u8; KEY]>()))
    }

    /// The id of the key: the beginning of its digest, in hex. Not secret, because it reveals nothing about a
    /// random key.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl std::fmt::Debug for Kek {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kek({})", self.id)
    }
}

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
        self.all().find(|kek| kek.id == id)
    }

    pub fn all(&self) -> impl Iterator<Item = &Kek> {
        std::iter::once(&self.current).chain(&self.previous)
    }

    /// The key that a data key is sealed with, if present. Rows without an id are from older versions; all keys are
    /// tried for them.
    pub(in crate::store) fn key_of(&self, row: &data_keys::Model) -> Option<&Kek> {
        match &row.kek {
            Some(id) => self.find(id).filter(|kek| sealed::open(&kek.cipher, row.purpose(), &row.wrapped).is_ok()),
            None => self.all().find(|kek| sealed::open(&kek.cipher, row.purpose(), &row.wrapped).is_ok()),
        }
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

/// Checks a keyring against a database, reading one row.
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
            (Some(row), Some(ring)) if ring.key_of(&row).is_some() => Fit::Fits,
            (Some(row), Some(_)) => Fit::Other(row.kek),
        },
    })
}

/// The database's key, and the current generation of data keys.
pub(in crate::store) struct DatabaseKey<'r> {
    pub kek: &'r Kek,
    pub generation: i64,
}

/// Locks and returns the database's key: no rotation can complete before this transaction ends. A database
/// without one gets the key that opens its data keys, or the current key of the ring if there are none. Fails
/// if the ring does not have the key.
pub(in crate::store) async fn lock_database_key<'r>(tx: &Tx, ring: &'r Keyring) -> Result<DatabaseKey<'r>> {
    let row = row(tx, ring, LockType::Share).await?;
    let kek = ring.find(&row.kek).ok_or_else(|| missing_key(Some(&row.kek)))?;
    Ok(DatabaseKey { kek, generation: row.generation })
}

/// The row of the key-encryption key, locked until the end of the transaction, and created if it is missing. A transaction
/// that changes the row must not lock it shared first: two of them would wait for each other.
pub(super) async fn row(tx: &Tx, ring: &Keyring, lock: LockType) -> Result<key_encryption::Model> {
    let find = || key_encryption::Entity::find_by_id(key_encryption::ONE).lock(lock).fetch_one(tx.conn());
    let mut row = find().await?;
    if row.is_none() {
        let kek = match first_data_key(tx.conn()).await? {
            Some(row) => ring.key_of(&row).ok_or_else(|| missing_key(row.kek.as_deref()))?,
            None => ring.current(),
        };
        let new = key_encryption::Model {
            id: key_encryption::ONE.to_owned(),
            kek: kek.id.clone(),
            changed_at: Stamp::from(tx.now()),
            generation: 1,
            resealing: false,
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
    let held = ring.all().map(|kek| kek.id.clone());
    let left = data_keys::Entity::find().filter(data_keys::Column::Kek.is_not_in(held)).fetch_one(conn).await?;
    let left = match left {
        Some(row) => Some(row),
        None => {
            let unnamed = data_keys::Entity::find().filter(data_keys::Column::Kek.is_null()).fetch_all(conn).await?;
            unnamed.into_iter().find(|row| ring.key_of(row).is_none())
        }
    };
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
    fn invalid_keys_are_refused() {
        for text in ["", "c2hvcnQ=", "not base64 at all, but long enough to be a key", &"A".repeat(44)] {
            assert!(Kek::from_base64(&Secret::new(text.to_owned())).is_err(), "{text}");
        }
        assert!(Kek::from_base64(&Secret::new(format!("{}=", "A".repeat(43)))).is_ok());
    }

    #[test]
    fn an_id_identifies_a_key_and_reveals_nothing_of_it() {
        let key = Kek::generate();
        let (kek, same) = (Kek::from_base64(&key).unwrap(), Kek::from_base64(&key).unwrap());
        let other = Kek::from_base64(&Kek::generate()).unwrap();
        assert!(kek.id() == same.id() && kek.id() != other.id() && kek.id().len() == ID);
        let ring = Keyring::new(kek.clone(), Some(other.clone()));
        assert!(ring.find(other.id()).is_some() && ring.find("0").is_none() && ring.current().id() == kek.id());
        assert!(!format!("{ring:?}").contains(key.expose().as_str()));
    }
}
