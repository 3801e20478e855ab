//! The published versions of the policies of a tenant.

use std::collections::HashMap;

use super::{
    canary,
    document::Document,
    resolve::{Published, Subject},
    standing,
};
use crate::{
    base::{Cx, Error, IdKind, Page, PageRequest, Result, TenantId, TenantRef, error::Reason},
    store::{
        Db, Stamp, Store,
        tables::{PolicyRow, TenantRows, policy_place},
    },
    tenants,
};

/// A published version, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub tenant: TenantId,
    pub row: PolicyRow,
}

impl Version {
    pub fn shown_id(&self) -> String {
        IdKind::Policy.show(self.row.id)
    }
}

/// A page of the versions of a tenant, oldest first.
pub async fn page(cx: &Cx, store: &Store, tenant: &TenantRef, request: PageRequest) -> Result<Page<Version>> {
    let scope = tenants::reach(cx, store, tenant).await?;
    let (rows, total) = store.tenant(scope).policies().page(request).await?;
    let page = Page::cut(request, rows, total, |row| policy_place(row.version));
    Ok(page.map(|row| Version { tenant: scope.tenant(), row }))
}

/// A version and its content. Fails with NOT_FOUND if there is none.
pub async fn get(cx: &Cx, store: &Store, tenant: &TenantRef, version: i64) -> Result<(Version, Document)> {
    let scope = tenants::reach(cx, store, tenant).await?;
    let rows = store.tenant(scope);
    let not_found = || Error::not_found(Reason::PolicyVersionNotFound, "policy version not found");
    let row = rows.policies().version(version).await?.ok_or_else(not_found)?;
    let document = content(&rows, &row).await?;
    Ok((Version { tenant: scope.tenant(), row }, document))
}

/// The content of a version.
pub async fn content(rows: &TenantRows<'_, impl Db>, row: &PolicyRow) -> Result<Document> {
    let found = rows.policy_documents().of(&[row.id]).await?;
    let (_, text) = found.first().ok_or_else(|| Error::internal("a policy has no content"))?;
    Document::from_json(text)
}

/// The versions that count for a device at a time, with their contents, for [`resolve`](super::resolve::resolve).
pub async fn of_device(rows: &TenantRows<'_, impl Db>, subject: &Subject, now: Stamp) -> Result<Vec<Published>> {
    counting(rows, rows.policies().active_for(subject.device, &subject.groups).await?, now).await
}

/// Those of some versions that count at a time, with their contents.
pub async fn counting(
    rows: &TenantRows<'_, impl Db>,
    mut versions: Vec<PolicyRow>,
    now: Stamp,
) -> Result<Vec<Published>> {
    versions.retain(|row| standing::counts(row, now));
    published(rows, &versions).await
}

/// The number of the newest version, in any state, that was published for a device; 0 if there is none. The device may have seen
/// every version up to it.
pub async fn newest_for(rows: &TenantRows<'_, impl Db>, subject: &Subject) -> Result<i64> {
    let policies = rows.policies();
    let stable = policies.newest_stable_for(subject.device, &subject.groups).await?;
    let canaries = policies.canaries_after(stable, subject.device, &subject.groups).await?;
    let is_in = |row: &&PolicyRow| {
        row.canary.as_ref().is_some_and(|cohort| canary::is_in_cohort(cohort, subject.device, &subject.groups))
    };
    Ok(canaries.iter().filter(is_in).map(PolicyRow::least_after).max().unwrap_or(stable))
}

/// These versions with their contents, in the same order.
pub async fn published(rows: &TenantRows<'_, impl Db>, versions: &[PolicyRow]) -> Result<Vec<Published>> {
    let ids: Vec<_> = versions.iter().map(|row| row.id).collect();
    let contents: HashMap<_, _> = rows.policy_documents().of(&ids).await?.into_iter().collect();
    let content = |row: &PolicyRow| {
        let text = contents.get(&row.id).ok_or_else(|| Error::internal("a policy has no content"))?;
        Published::of(row, text)
    };
    versions.iter().map(content).collect()
}
