//! The policies that decide about admissions. A published version never changes, so its content is read once.

use std::{collections::HashMap, sync::Arc, time::Duration};

use uuid::Uuid;

use crate::{
    base::{ExpiringCache, Result, TenantId},
    policy::{
        bundles,
        document::Document,
        resolve::{Published, Subject, resolve},
        standing,
    },
    store::{
        Db, Stamp,
        tables::{PolicyRow, TenantRows},
    },
};

/// Maximum number of versions whose contents are kept, and how long.
const KEPT: u64 = 10_000;
const KEPT_FOR: Duration = Duration::from_secs(3600);

/// The contents that were read, without their routes, by tenant and policy.
#[derive(Clone, Debug)]
pub struct Policies(ExpiringCache<(TenantId, Uuid), Arc<Document>>);

/// The policy of a device, without its routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    pub document: Document,
    /// That of its bundle. Before the bundle is issued, the newest version that a section comes from.
    pub version: i64,
    pub expires_at: Stamp,
}

impl Default for Policies {
    fn default() -> Self {
        Self(ExpiringCache::new(KEPT, KEPT_FOR))
    }
}

impl Policies {
    /// The policy of a device at a time; none if none is published for it.
    pub async fn effective(
        &self,
        rows: &TenantRows<'_, impl Db>,
        tenant: TenantId,
        subject: &Subject,
        now: Stamp,
    ) -> Result<Option<Effective>> {
        let mut versions = rows.policies().active_for(subject.device, &subject.groups).await?;
        versions.retain(|row| standing::counts(row, now));
        let published = self.contents(rows, tenant, versions).await?;
        let Some(resolved) = resolve(&published, subject) else { return Ok(None) };
        let issued = rows.policy_bundles().version_of(&bundles::key_of(&resolved)).await?;
        let newest = resolved.sources.iter().map(|source| source.version).max().unwrap_or(0);
        let Some(expires_at) = resolved.expires_at() else { return Ok(None) };
        Ok(Some(Effective { version: issued.unwrap_or(newest), expires_at, document: resolved.document }))
    }

    /// Versions with their contents.
    async fn contents(
        &self,
        rows: &TenantRows<'_, impl Db>,
        tenant: TenantId,
        versions: Vec<PolicyRow>,
    ) -> Result<Vec<Published>> {
        let mut known: HashMap<Uuid, Arc<Document>> = HashMap::with_capacity(versions.len());
        let mut missing = Vec::new();
        for row in &versions {
            match self.0.get(&(tenant, row.id)) {
                Some(document) => drop(known.insert(row.id, document)),
                None => missing.push(row.id),
            }
        }
        if !missing.is_empty() {
            for (id, text) in rows.policy_documents().of(&missing).await? {
                let document = Arc::new(without_routes(Document::from_json(&text)?));
                self.0.insert((tenant, id), document.clone());
                known.insert(id, document);
            }
        }
        versions
            .iter()
            .map(|row| Published::with(row, known.get(&row.id).map(|document| Document::clone(document))))
            .collect()
    }
}

/// A policy without its routes, of which there may be thousands. Whether it has the section stays.
fn without_routes(document: Document) -> Document {
    Document { routes: document.routes.map(|_| Vec::new()), ..document }
}
