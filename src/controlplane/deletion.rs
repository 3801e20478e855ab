//! The deletion of a tenant (control-plane contract, section 3.2, DELETE, and decisions).
//!
//! One write deletes the tenant from the registry, so that nothing new is leased, and starts the operation that tears down the rest.
//! The call waits for it, and reports what is done and what is not. The operation completes the rest later.

use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use crate::{
    base::{Cx, Error, Result, TenantRef, error::Reason},
    operations::{self, Operation},
    store::{
        ChangeKind, Sealer, Store, Tx,
        audit::{AuditRecord, Outcome},
    },
    tenants::{
        self, Tenant, TenantDeletion,
        database::{DatabaseNames, Databases, TeardownProgress, read_names},
    },
};

/// The request for a deletion.
#[derive(Clone, Debug)]
pub struct Removal {
    /// The handle of the tenant, as a confirmation.
    pub confirm: String,
    /// Whether to drop the tenant's database too.
    pub drop_database: bool,
}

/// The result of a deletion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Nothing of the tenant is left in OpenBAO.
    pub openbao_removed: bool,
    /// Its database was dropped.
    pub database_dropped: bool,
    /// It was removed from the registry.
    pub registry_removed: bool,
    /// Requested steps that failed, with the cause.
    pub errors: Vec<String>,
    /// The operation that completes the deletion.
    pub operation: Uuid,
}

/// Deletes a tenant as [`delete_with`] does, without OpenBAO and a provisioner: they are not waited for.
pub async fn delete(cx: &Cx, store: &Store, tenant: &TenantRef, removal: Removal) -> Result<Removed> {
    let databases = Databases::new(store, Sealer::new(store.clone(), None));
    delete_with(cx, &databases, Duration::ZERO, tenant, removal).await
}

/// Deletes a tenant immediately, even in its grace period, with its grants and email domains, and tears down what was created for it
/// elsewhere, which it waits for, for at most `time`. Checks, in this order: the tenant, the confirmation, and that no other surface has
/// data of it.
pub async fn delete_with(
    cx: &Cx,
    databases: &Databases,
    time: Duration,
    tenant: &TenantRef,
    removal: Removal,
) -> Result<Removed> {
    let (store, has_provisioner) = (&databases.store, databases.provisioner.is_some());
    let begun = store.write(cx, (tenant.clone(), removal, has_provisioner), begin).await?;
    let runs_here = databases.openbao.is_some() || has_provisioner;
    let operation = match begun.teardown.filter(|_| runs_here) {
        // The tenant is deleted, whatever happens to the wait.
        Some(id) => {
            cx.extend(time);
            let waited = operations::wait_until(cx, store, id, time, has_failed).await;
            Some(waited.map_err(|error| error.of_operation(id))?)
        }
        None => None,
    };
    let removed = begun.result(databases, operation.as_ref());
    if removed.errors.len() > begun.errors.len() {
        record_failure(cx, store, &begun.tenant, &removed).await;
    }
    Ok(removed)
}

/// A failed step of a teardown is not waited for again.
fn has_failed(operation: &Operation) -> bool {
    operation.attempts > 0
}

/// A tenant that was deleted from the registry.
struct Begun {
    tenant: Tenant,
    names: DatabaseNames,
    purge: Uuid,
    teardown: Option<Uuid>,
    /// Whether its database is dropped.
    drops: bool,
    errors: Vec<String>,
}

async fn begin(tx: &Tx, (tenant, removal, has_provisioner): &(TenantRef, Removal, bool)) -> Result<Begun> {
    let (tenant, scope) = tenants::resolve_any_locked(tx, tenant).await?;
    if removal.confirm != tenant.name.as_str() {
        let message = "Confirmation does not match the tenant slug.";
        return Err(Error::precondition(Reason::ConfirmationMismatch, message));
    }
    let names = read_names(tx.conn(), tenant.id).await?;
    let mut errors = Vec::new();
    if removal.drop_database {
        match &names.database {
            Some(_) if *has_provisioner => {}
            Some(name) => errors.push(format!("drop database: the database {name} was kept; drop it on its server")),
            None => errors.push("drop database: no database was created for this tenant".to_owned()),
        }
    }
    let drops = removal.drop_database && errors.is_empty();
    let deletion = TenantDeletion { drop_database: drops, ..TenantDeletion::default() };
    let deleted = tenants::remove(tx, &tenant, scope, &deletion).await?;
    let mut details = json!({"drop_database": removal.drop_database, "errors": errors});
    if let Some(operation) = deleted.teardown {
        details["operation"] = operation.as_hyphenated().to_string().into();
    }
    tenants::record(tx, ChangeKind::Deleted, &tenant, details);
    Ok(Begun { tenant, names, purge: deleted.purge, teardown: deleted.teardown, drops, errors })
}

impl Begun {
    /// What is done, as far as the operation is.
    fn result(&self, databases: &Databases, operation: Option<&Operation>) -> Removed {
        // Without an operation, nothing was created.
        let progress = match (operation, self.teardown) {
            (Some(operation), _) => TeardownProgress::of(operation),
            (None, None) => TeardownProgress { openbao_removed: true, ..TeardownProgress::default() },
            (None, Some(_)) => TeardownProgress::default(),
        };
        let mut errors = self.errors.clone();
        if let (Some(operation), Some((step, cause))) = (operation, progress.pending) {
            let cause = cause.unwrap_or_else(|| "not done in time".to_owned());
            let id = operation.id.as_hyphenated();
            errors.push(format!("{step}: {cause}; the operation {id} continues"));
            if self.drops && !progress.database_dropped && step != "drop database" && step != "drop owner role" {
                errors.push(format!("drop database: it waits for the step \"{step}\""));
            }
        }
        Removed {
            openbao_removed: databases.openbao.is_some() && progress.openbao_removed,
            database_dropped: self.drops && self.names.database.is_some() && progress.database_dropped,
            registry_removed: true,
            errors,
            operation: self.teardown.unwrap_or(self.purge),
        }
    }
}

/// Records that a part of the deletion is not done, beside the event of the deletion.
async fn record_failure(cx: &Cx, store: &Store, tenant: &Tenant, removed: &Removed) {
    let details = json!({
        "openbao_removed": removed.openbao_removed, "database_dropped": removed.database_dropped,
        "registry_removed": removed.registry_removed, "errors": removed.errors,
        "operation": removed.operation.as_hyphenated().to_string(),
    });
    let record = AuditRecord {
        tenant: Some(tenant.id),
        target: tenant.name.as_str().to_owned(),
        details,
        ..AuditRecord::of(cx, Outcome::Failed)
    };
    if let Err(error) = store.append_audit(vec![record]).await {
        let cause = error.cause.as_deref();
        tracing::error!(%error, cause, "cannot record in the audit log that a deletion is not complete");
    }
}
