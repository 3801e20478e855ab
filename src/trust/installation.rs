//! The keys of the installation: the roots of anchor sets, and the certificate authorities.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sea_orm::{EntityTrait, IntoActiveModel, QueryOrder, sea_query::OnConflict};
use time::OffsetDateTime;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::{
    Trust,
    authority::{Authority, NewAuthority},
    key::ArtifactKey,
};
use crate::{
    base::{Error, Result, Secret},
    store::{
        Exec, Fetch, Tx,
        columns::{KeyState, KeyUse},
        tables::installation_keys::{Column, Entity, Model},
    },
};

/// How long the keys are used without a look at the database.
const FRESH: Duration = Duration::from_secs(2);
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
    roots: Vec<ArtifactKey>,
    authorities: Vec<(KeyUse, Arc<Authority>)>,
}

/// The keys that were read last.
#[derive(Clone, Default)]
pub(super) struct Cache(Arc<Mutex<Option<Read>>>);

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
        let mut cached = self.installation.0.lock().await;
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

    async fn rows(&self) -> Result<Vec<Model>> {
        Ok(Entity::find().order_by_asc(Column::Id).fetch_all(self.store.read()).await?)
    }

    async fn make_first(&self) -> Result<()> {
        let now = self.store.clock().now();
        let mut rows = Vec::with_capacity(FIRST.len());
        for (key_use, id) in FIRST {
            rows.push(self.new_key(key_use, id, now).await?);
        }
        self.store.maintain("trust.keys", rows, insert_missing).await
    }

    async fn new_key(&self, key_use: KeyUse, id: Uuid, now: OffsetDateTime) -> Result<Model> {
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
            state: KeyState::Active,
            not_before: not_before.into(),
            not_after: not_after.into(),
            created_at: now.into(),
            activated_at: Some(now.into()),
            retired_at: None,
        })
    }

    async fn open(&self, rows: Vec<Model>) -> Result<Installation> {
        let (mut roots, mut authorities) = (Vec::new(), Vec::new());
        for row in rows.iter().filter(|row| signs(row.state)) {
            let secret = self.sealer.open(None, &purpose(row.id), &row.sealed_key).await?;
            match row.key_use {
                KeyUse::Root => roots.push(ArtifactKey::from_secret(&secret)?),
                KeyUse::DeviceCa | KeyUse::GatewayCa | KeyUse::ServerCa if row.state == KeyState::Active => {
                    authorities.push((row.key_use, Arc::new(authority(row, &secret)?)));
                }
                _ => {}
            }
        }
        Ok(Installation { rows, roots, authorities })
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

/// Whether a key in this state may sign. A retiring root still signs anchor sets, for consumers that do not know the next one.
fn signs(state: KeyState) -> bool {
    matches!(state, KeyState::Active | KeyState::Retiring)
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

    /// The keys that sign anchor sets.
    pub(super) fn roots(&self) -> &[ArtifactKey] {
        &self.roots
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
