//! The purge: an operation that removes all rows of a deleted tenant, with a step for each kind of rows.
//!
//! The deletion itself only marks the tenant as deleted. From then on no query finds the tenant or its rows. So the rows can be
//! removed in small transactions that do not delay other writes, and a crash in between leaves only invisible rows.

use sea_orm::{EntityTrait, ExprTrait, QueryFilter, QuerySelect, sea_query::Expr};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    base::{Access, Result, TenantId, TenantScope},
    jobs::Report,
    operations::{self, OperationKind, StepName, Turn},
    store::{
        Change, ChangeKind, Fetch, Resource, Store, Tx,
        tables::{Purged, tenants},
    },
};

/// Maximum number of rows deleted in one transaction.
const BATCH: u64 = 500;

/// The folded name of a deleted tenant until its row is removed. No tenant can have such a name, and the old name becomes free.
pub(super) fn key_of_deleted(tenant: TenantId) -> String {
    format!("~{}", tenant.dashed())
}

/// The kind of operation that removes a deleted tenant.
#[derive(Debug)]
pub struct PurgeTenant(Store);

impl PurgeTenant {
    /// Of a store.
    pub fn new(store: &Store) -> Self {
        Self(store.clone())
    }
}

/// The operation has no parameters; it names the tenant.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Input {}

/// A step, named after the rows that it removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Namespaces.
    Namespaces,
    /// The rows of one table.
    Rows(Purged),
    /// The tenant, with its settings and sealing keys.
    Tenant,
}

impl StepName for Step {
    const ALL: &'static [Self] = &Step::in_order();

    fn as_str(self) -> &'static str {
        match self {
            Self::Namespaces => "namespaces",
            Self::Rows(kind) => kind.as_str(),
            Self::Tenant => "tenant",
        }
    }
}

impl Step {
    /// Namespaces, then the rows of each table, then the tenant.
    const fn in_order() -> [Self; Purged::ALL.len() + 2] {
        let mut steps = [Self::Tenant; Purged::ALL.len() + 2];
        steps[0] = Self::Namespaces;
        let mut next = 0;
        while next < Purged::ALL.len() {
            steps[next + 1] = Self::Rows(Purged::ALL[next]);
            next += 1;
        }
        steps
    }
}

impl OperationKind for PurgeTenant {
    const NAME: &'static str = "tenant.purge";
    const STEPS: &'static [Step] = Step::ALL;
    /// Removed rows cannot be restored, and a tenant without some of its rows would be unusable.
    const CANCELLABLE: bool = false;

    type Step = Step;
    type Input = Input;

    async fn step(&self, turn: &Turn, step: Step, _: &Input) -> Result<Report> {
        let operation = turn.operation();
        // Without a tenant there is nothing to remove.
        let Some(tenant) = operation.tenant else { return Ok(Report::done(0)) };
        turn.write(&self.0, (tenant, operation.target.clone(), step), remove).await
    }
}

/// Starts the removal of a tenant in the write that deletes it.
pub(super) async fn start(tx: &Tx, tenant: TenantId, name: &str) -> Result<Uuid> {
    operations::start::<PurgeTenant>(tx, Some(tenant), name, &Input {}).await
}

/// Starts the purge of deleted tenants again if it has failed, for at most `limit` tenants. Returns their number.
pub(super) async fn start_again(store: &Store, limit: u64) -> Result<u64> {
    let left = tenants::Entity::find()
        // Not a parameter, so that SQLite uses the index of the few deleted ones.
        .filter(Expr::cust("status = 'deleted'"))
        .filter(operations::has_live::<PurgeTenant>((tenants::Entity, tenants::Column::Id)).not())
        .limit(limit)
        .fetch_all(store.read())
        .await?;
    let count = left.len() as u64;
    for tenant in left {
        let again = (tenant.id, tenant.name);
        store.maintain("tenant.purge", again, start_in).await?;
    }
    Ok(count)
}

async fn start_in(tx: &Tx, (tenant, name): &(TenantId, String)) -> Result<()> {
    start(tx, *tenant, name).await.map(drop)
}

/// Removes one batch.
async fn remove(tx: &Tx, (tenant, name, step): &(TenantId, String, Step)) -> Result<Report> {
    let rows = tx.tenant(scope(*tenant)?);
    match step {
        Step::Rows(kind) => Ok(Report::batch(rows.purge(*kind, BATCH).await?, BATCH)),
        Step::Namespaces => {
            let gone = rows.namespaces().purge(BATCH).await?;
            for namespace in &gone {
                let change = Change::new(Resource::Namespace, ChangeKind::Deleted, format!("{name}/{namespace}"));
                tx.also_changed(change.within(*tenant));
            }
            Ok(Report::batch(gone.len() as u64, BATCH))
        }
        Step::Tenant => Ok(Report::done(u64::from(rows.purge_tenant().await?))),
    }
}

/// The proof that the program itself may reach a tenant which was deleted.
fn scope(tenant: TenantId) -> Result<TenantScope> {
    TenantScope::grant(&Access::Platform, tenant, &key_of_deleted(tenant))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::base::TenantName;

    #[test]
    fn every_step_has_a_unique_name() {
        let names: BTreeSet<_> = Step::ALL.iter().map(|step| step.as_str()).collect();
        assert_eq!(names.len(), Step::ALL.len());
        assert!(Step::ALL.iter().all(|step| Step::find(step.as_str()) == Some(*step)));
        assert_eq!(Step::ALL.last(), Some(&Step::Tenant), "the tenant must be removed last");
    }

    #[test]
    fn no_tenant_can_have_the_key_of_a_deleted_one() {
        let key = key_of_deleted(TenantId::from_uuid(Uuid::from_u128(7)));
        assert!(key.parse::<TenantName>().is_err() && TenantName::plain(&key).is_err());
    }
}
