//! The key-encryption keys that a process holds, and which of them is the database's.
//!
//! The database says which key its data keys are sealed with: by the id of the key, in the one row of `key_encryption`.
//! Whoever seals a data key does so in a transaction that holds that row, with that key and no other. So servers with
//! different settings cannot seal under different keys: one that does not hold the database's key seals nothing.

use aes_gcm::Aes256Gcm;
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
    sea_query::OnConflict,
};

use super::sealed::{self, KEY};
use crate::base::{Error, Kind, Result, Secret, digest::sha256_hex, error::Reason};
use crate::store::{
    Stamp, Tx,
    entities::{data_keys, key_encryption},
};

/// Length of an id, in hex digits.
const ID: usize = 16;
/// What an id is the digest of, before the key.
const ID_LABEL: &[u8] = b"tenantry key-encryption key id 1\n";

/// A key-encryption key.
#[derive(Clone)]
pub struct Kek {
    id: String,
    pub(in crate::store) cipher: Aes256Gcm,
}

/// The text is no key-encryption key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key-encryption key must be 32 bytes in base64")]
pub struct NotAKek;

impl Kek {
    /// Reads a key: 32 bytes in base64, padded or not.
    pub fn from_base64(text: &Secret<String>) -> Result<Self, NotAKek> {
        let bytes = STANDARD_NO_PAD.decode(text.expose().trim().trim_end_matches('=')).map_err(|_| NotAKek)?;
        let key: [u8; KEY] = bytes.try_into().map_err(|_| NotAKek)?;
        let mut id = sha256_hex([ID_LABEL, &key]);
        id.truncate(ID);
        Ok(Self { id, cipher: sealed::cipher(&key) })
    }

    /// A new key, as [`from_base64`](Self::from_base64) reads it.
    pub fn generate() -> Secret<String> {
        Secret::new(STANDARD_NO_PAD.encode(rand::random::<[u8; KEY]>()))
    }

    /// The key's id: the beginning of a digest of the key, in hex. It may be shown; it tells nothing of a random key.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl std::fmt::Debug for Kek {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kek({})", self.id)
    }
}

/// The keys that a process holds: the one that it is to seal with, and the one that sealed before a rotation.
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
    /// A ring of these keys.
    pub fn new(current: Kek, previous: Option<Kek>) -> Self {
        Self { current, previous }
    }

    /// The key that `TENANTRY_KEK` is.
    pub fn current(&self) -> &Kek {
        &self.current
    }

    /// The key of that id, if it is held.
    pub fn find(&self, id: &str) -> Option<&Kek> {
        self.all().find(|kek| kek.id == id)
    }

    /// Every key.
    pub fn all(&self) -> impl Iterator<Item = &Kek> {
        std::iter::once(&self.current).chain(&self.previous)
    }

    /// The key that a data key is sealed with, if it is held. Data keys from before their rows told it are tried.
    pub(in crate::store) fn key_of(&self, row: &data_keys::Model) -> Option<&Kek> {
        match &row.kek {
            Some(id) => self.find(id).filter(|kek| sealed::open(&kek.cipher, row.purpose(), &row.wrapped).is_ok()),
            None => self.all().find(|kek| sealed::open(&kek.cipher, row.purpose(), &row.wrapped).is_ok()),
        }
    }
}

/// How the keys of a process fit a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fit {
    /// They do, or nothing is sealed yet.
    Fits,
    /// The process holds no key, and secrets are sealed.
    Missing,
    /// The database's key is not among them; its id, if it is known.
    Other(Option<String>),
}

impl Fit {
    /// Fails unless the keys fit, and says what to do.
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

/// How a ring fits a database, by one row.
pub async fn fit(conn: &impl ConnectionTrait, ring: Option<&Keyring>) -> Result<Fit> {
    let row = key_encryption::Entity::find_by_id(key_encryption::ONE).one(conn).await?;
    Ok(match (row, ring) {
        (Some(_), None) => Fit::Missing,
        (Some(row), Some(ring)) if ring.find(&row.kek).is_some() => Fit::Fits,
        (Some(row), Some(_)) => Fit::Other(Some(row.kek)),
        // Nothing was sealed since the database tells its key.
        (None, ring) => match (first_data_key(conn).await?, ring) {
            (None, _) => Fit::Fits,
            (Some(_), None) => Fit::Missing,
            (Some(row), Some(ring)) if ring.key_of(&row).is_some() => Fit::Fits,
            (Some(row), Some(_)) => Fit::Other(row.kek),
        },
    })
}

/// The database's key, and the generation of the data keys that are made now.
pub(in crate::store) struct Held<'r> {
    pub kek: &'r Kek,
    pub generation: i64,
}

/// The database's key, held by this transaction: no rotation ends before it does. A database that has none yet gets the
/// one that opens its data keys, or the current one of the ring if there are none. Fails if the ring lacks it.
pub(in crate::store) async fn hold<'r>(tx: &Tx, ring: &'r Keyring) -> Result<Held<'r>> {
    let find = || key_encryption::Entity::find_by_id(key_encryption::ONE).lock_shared().one(tx.conn());
    let mut row = find().await?;
    if row.is_none() {
        let kek = match first_data_key(tx.conn()).await? {
            Some(row) => ring.key_of(&row).ok_or_else(|| not_held(row.kek.as_deref()))?,
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
        insert.exec_without_returning(tx.conn()).await?;
        // Another server may have been first, with another key.
        row = find().await?;
    }
    let row = row.ok_or_else(|| Error::internal("the row of the key-encryption key is gone"))?;
    let kek = ring.find(&row.kek).ok_or_else(|| not_held(Some(&row.kek)))?;
    Ok(Held { kek, generation: row.generation })
}

/// Fails if a rotation that was not finished left data keys under a key that the ring lacks. Rows from before keys had ids
/// do not name theirs: those are opened.
pub(in crate::store) async fn refuse_left_behind(conn: &impl ConnectionTrait, ring: &Keyring) -> Result<()> {
    let held = ring.all().map(|kek| kek.id.clone());
    let left = data_keys::Entity::find().filter(data_keys::Column::Kek.is_not_in(held)).one(conn).await?;
    let left = match left {
        Some(row) => Some(row),
        None => {
            let unnamed = data_keys::Entity::find().filter(data_keys::Column::Kek.is_null()).all(conn).await?;
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

/// The data key that tells the database's key where no row does: the platform's, else the oldest one.
async fn first_data_key(conn: &impl ConnectionTrait) -> Result<Option<data_keys::Model>> {
    let platform = data_keys::Entity::find_by_id(data_keys::PLATFORM).one(conn).await?;
    match platform {
        Some(row) => Ok(Some(row)),
        None => Ok(data_keys::Entity::find().order_by_asc(data_keys::Column::CreatedAt).one(conn).await?),
    }
}

/// Callers learn that the server cannot do it now; the log, which key it would need.
pub(in crate::store) fn not_held(id: Option<&str>) -> Error {
    let message = "cannot seal or open secrets: this server does not have the key-encryption key of its database";
    let cause = format!("the id of the database's key is {}", id.unwrap_or("not known"));
    Error::new(Kind::Unavailable, Reason::KekMissing, message).caused_by(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["", "c2hvcnQ=", "not base64 at all, but long enough to be a key", &"A".repeat(44)] {
            assert!(Kek::from_base64(&Secret::new(text.to_owned())).is_err(), "{text}");
        }
        assert!(Kek::from_base64(&Secret::new(format!("{}=", "A".repeat(43)))).is_ok());
    }

    #[test]
    fn an_id_is_the_keys_own_and_not_part_of_it() {
        let key = Kek::generate();
        let (kek, same) = (Kek::from_base64(&key).unwrap(), Kek::from_base64(&key).unwrap());
        let other = Kek::from_base64(&Kek::generate()).unwrap();
        assert!(kek.id() == same.id() && kek.id() != other.id() && kek.id().len() == ID);
        let ring = Keyring::new(kek.clone(), Some(other.clone()));
        assert!(ring.find(other.id()).is_some() && ring.find("0").is_none() && ring.current().id() == kek.id());
        assert!(!format!("{ring:?}").contains(key.expose().as_str()));
    }
}
