//! The keys of the installation: the roots of anchor sets, and the certificate authorities.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sea_orm::{EntityTrait, IntoActiveModel, sea_query::OnConflict};
use time::OffsetDateTime;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::{
    Trust,
    authority::{Authority, NewAuthority},
    current::replaced,
    key::ArtifactKey,
};
use crate::{
    base::{Activator, Error, Result, Secret, digest::sha256_hex},
    store::{
        Exec, Tx,
        columns::{KeyState, KeyUse},
        tables::installation_keys::{self, Column, Entity, Model},
    },
};

/// How long the keys are used without a look at the database. What is stored is checked again in the write that stores it.
const FRESH: Duration = Duration::from_millis(500);
/// Validity of a root and of an authority.
const LIFE: time::Duration = time::Duration::days(3650);
/// The tolerance for consumers with slow clocks.
const BACKDATED: time::Duration = time::Duration::hours(1);
/// The uses of the first keys, with their row ids: of servers that start at the same time, only one can insert each key.
const FIRST: [(KeyUse, Uuid); 4] = [
    (KeyUse::Root, Uuid::from_u128(1)),
    (KeyUse::DeviceCa, Uuid::from_u128(2)),
    (KeyUse::GatewayCa, Uuid::from_u128(3)),
    (KeyUse::ServerCa, Uuid::from_u128(4)),
];

/// The keys of the installation, opened.
pub struct Installation {
    rows: Vec<Model>,
    digest: String,
    roots: Vec<(KeyState, ArtifactKey)>,
    authorities: Vec<(KeyUse, Arc<Authority>)>,
}

/// The keys that were read last.
#[derive(Clone, Default)]
pub(super) struct Cache {
    read: Arc<Mutex<Option<Read>>>,
    /// Wakes what follows the keys in this process.
    changed: Activator,
}

/// When the keys were read, and the keys.
type Read = (Instant, Arc<Installation>);

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cache")
    }
}

impl Trust {
    /// The keys of the installation. The first call makes them.
    pub async fn installation(&self) -> Result<Arc<Installation>> {
        let mut cached = self.installation.read.lock().await;
        if let Some((read, keys)) = cached.as_ref()
            && read.elapsed() < FRESH
        {
            return Ok(keys.clone());
        }
        let mut rows = self.rows().await?;
        if FIRST.iter().any(|(key_use, _)| !rows.iter().any(|row| row.key_use == *key_use)) {
            self.make_first().await?;
            rows = self.rows().await?;
        }
        let keys = match cached.take() {
            Some((_, keys)) if keys.rows == rows => keys,
            _ => Arc::new(self.open(rows).await?),
        };
        *cached = Some((Instant::now(), keys.clone()));
        Ok(keys)
    }

    /// Whether the installation has keys.
    pub async fn has_keys(&self) -> Result<bool> {
        Ok(!self.rows().await?.is_empty())
    }

    /// Woken when this process has changed the keys of the installation.
    pub fn changed(&self) -> &Activator {
        &self.installation.changed
    }

    /// Reads the keys again at the next use: they may have changed.
    pub(super) async fn forget_installation(&self) {
        self.installation.read.lock().await.take();
    }

    async fn rows(&self) -> Result<Vec<Model>> {
        installation_keys::all(self.store.read()).await
    }

    async fn make_first(&self) -> Result<()> {
        let now = self.store.clock().now();
        let mut rows = Vec::with_capacity(FIRST.len());
        for (key_use, id) in FIRST {
            rows.push(self.new_installation_key(key_use, id, KeyState::Active, now).await?);
        }
        self.store.maintain("trust.keys", rows, insert_missing).await
    }

    /// A new key, not stored yet.
    pub(super) async fn new_installation_key(
        &self,
        key_use: KeyUse,
        id: Uuid,
        state: KeyState,
        now: OffsetDateTime,
    ) -> Result<Model> {
        let (not_before, not_after) = (now - BACKDATED, now + LIFE);
        let (key_id, public_key, certificate, secret) = if key_use == KeyUse::Root {
            let key = ArtifactKey::generate();
            (key.id().to_owned(), key.public_key(), None, key.secret())
        } else {
            let new = NewAuthority::generate(key_use, self.settings.domain.as_str(), not_before, not_after)?;
            (new.key_id, new.public_key, Some(new.certificate), new.secret)
        };
        Ok(Model {
            sealed_key: self.sealer.seal(None, &purpose(id), secret.expose()).await?,
            id,
            key_use,
            key_id,
            public_key,
            certificate,
            state,
            not_before: not_before.into(),
            not_after: not_after.into(),
            created_at: now.into(),
            activated_at: (state == KeyState::Active).then(|| now.into()),
            retired_at: None,
        })
    }

    async fn open(&self, rows: Vec<Model>) -> Result<Installation> {
        let (mut roots, mut authorities) = (Vec::new(), Vec::new());
        for row in rows.iter().filter(|row| row.key_use == KeyUse::Root || row.state == KeyState::Active) {
            let secret = self.sealer.open(None, &purpose(row.id), &row.sealed_key).await?;
            match row.key_use {
                // Replaced ones, too: they sign for consumers that know no other root.
                KeyUse::Root => roots.push((row.state, ArtifactKey::from_secret(&secret)?)),
                KeyUse::DeviceCa | KeyUse::GatewayCa | KeyUse::ServerCa => {
                    authorities.push((row.key_use, Arc::new(authority(row, &secret)?)));
                }
                KeyUse::PolicySigning | KeyUse::SpcSigning | KeyUse::AdmissionSigning => {}
            }
        }
        Ok(Installation { digest: digest(&rows), rows, roots, authorities })
    }
}

async fn insert_missing(tx: &Tx, rows: &Vec<Model>) -> Result<()> {
    for row in rows {
        let first = OnConflict::column(Column::Id).do_nothing().to_owned();
        Entity::insert(row.clone().into_active_model()).on_conflict(first).run(tx.conn()).await?;
    }
    Ok(())
}

fn authority(row: &Model, secret: &Secret<Vec<u8>>) -> Result<Authority> {
    let certificate = row.certificate.as_deref().ok_or_else(|| Error::internal("an authority has no certificate"))?;
    Authority::open(&row.key_id, &STANDARD.decode(certificate).map_err(Error::internal)?, secret)
}

/// A digest of keys with their states.
fn digest(rows: &[Model]) -> String {
    let parts = rows.iter().flat_map(|row| [row.key_id.as_bytes(), b" ", row.state.as_str().as_bytes(), b"\n"]);
    sha256_hex(parts)
}

/// The purpose of a sealed key.
pub(super) fn purpose(id: Uuid) -> String {
    format!("installation_key:{id}")
}

impl Installation {
    /// Every key, without its private part.
    pub(super) fn rows(&self) -> &[Model] {
        &self.rows
    }

    /// Identifies the keys with their states.
    pub(super) fn digest(&self) -> &str {
        &self.digest
    }

    /// Fails if the keys have changed since they were read.
    pub(super) async fn require_current(&self, tx: &Tx) -> Result<()> {
        let current = digest(&installation_keys::all(tx.conn()).await?);
        if current == self.digest { Ok(()) } else { Err(replaced()) }
    }

    /// The keys that sign an anchor set after one in which consumers trust these roots: those that are in use, and one of these if
    /// they are others.
    pub(super) fn roots(&self, trusted: &[String]) -> Vec<&ArtifactKey> {
        let is_used = |state: KeyState| matches!(state, KeyState::Active | KeyState::Retiring);
        let mut roots: Vec<_> = self.roots.iter().filter(|(state, _)| is_used(*state)).map(|(_, key)| key).collect();
        let is_trusted = |key: &ArtifactKey| trusted.iter().any(|id| id == key.id());
        if !trusted.is_empty() && !roots.iter().any(|key| is_trusted(key)) {
            roots.extend(self.roots.iter().rev().map(|(_, key)| key).find(|key| is_trusted(key)));
        }
        roots
    }

    /// The authority that issues certificates for a use.
    pub fn authority(&self, key_use: KeyUse) -> Result<&Arc<Authority>> {
        let found = self.authorities.iter().find(|(of, _)| *of == key_use);
        found.map(|(_, authority)| authority).ok_or_else(|| Error::internal("an authority is missing"))
    }

    /// The certificates (DER) of the authorities for a use, with their states.
    pub fn certificates(&self, key_use: KeyUse) -> impl Iterator<Item = (Vec<u8>, KeyState)> {
        let of_use = self.rows.iter().filter(move |row| row.key_use == key_use);
        of_use.filter_map(|row| Some((STANDARD.decode(row.certificate.as_deref()?).ok()?, row.state)))
    }
}

impl std::fmt::Debug for Installation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.rows.iter().map(|row| &row.key_id)).finish()
    }
}
