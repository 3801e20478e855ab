//! A new lease.

use serde_json::json;
use time::{Duration, OffsetDateTime};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{
    check_caller, fault,
    place::{self, Place, check_status},
    purpose, release, times,
};
use crate::{
    base::{
        Cx, Error, Result, Secret, TenantId, TenantRef, TenantScope,
        error::{LimitReached, Reason},
        rfc3339,
    },
    openbao::{Credentials, Lease, OpenBao},
    store::{Tx, tables::DatabaseLeaseRow},
    tenants::{database::Databases, tenant},
};

/// A login of the database of a tenant, and where to connect.
#[derive(Clone, Debug)]
pub struct Leased {
    /// The lease, which releases it.
    pub id: Uuid,
    pub tenant: TenantId,
    /// Host names or addresses, separated by commas.
    pub host: String,
    pub port: u16,
    pub database: String,
    pub username: String,
    pub password: Secret<String>,
    /// The login ends then.
    pub expires_at: OffsetDateTime,
}

/// Leases a login of the database of a tenant, for an hour or for `ttl`. Checks, in this order: the caller, the time, the tenant, that its
/// database is provisioned, OpenBAO, and the limit of the tenant.
pub async fn lease(cx: &Cx, databases: &Databases, tenant: &TenantRef, ttl: Option<Duration>) -> Result<Leased> {
    check_caller(cx)?;
    let ttl = times::ttl(ttl)?;
    let (reply, answer) = oneshot::channel();
    let (own, cx, tenant) = (databases.clone(), cx.clone(), tenant.clone());
    // In a task of its own: a caller that disconnects leaves no login that nobody has.
    let issuing = databases.store.see_through(async move {
        let issued = issue(&cx, &own, &tenant, ttl).await;
        if let Err(Ok(unclaimed)) = reply.send(issued) {
            abandon(&own, &unclaimed).await;
        }
    });
    let answered = answer.await;
    drop(issuing);
    answered.unwrap_or_else(|_| Err(Error::internal("the task of a lease ended without a result")))
}

async fn issue(cx: &Cx, databases: &Databases, tenant: &TenantRef, ttl: Duration) -> Result<Leased> {
    let store = &databases.store;
    let (tenant, scope) = tenant::resolve(cx, store, tenant).await?;
    check_status(&tenant)?;
    let place = place::find(store, scope).await?;
    let bao = databases.openbao()?;
    let most = databases.settings.most_leases;
    check_room(store.tenant(scope).database_leases().held().await?, most)?;
    let id = store.clock().new_id();
    // Before there is a login: one whose lease cannot be sealed could not be kept.
    databases.sealer.seal(Some(tenant.id), &purpose(id), b"").await?;
    // The times of the lease count from before the call.
    let begun = store.time().await?;
    let credentials = bao.lease_credentials(&place.role).await.map_err(fault::of)?;
    let new = New { id, scope, place, begun, ttl, most };
    let lease = credentials.lease.clone();
    let recorded = record(cx, databases, bao, new.clone(), credentials).await;
    if recorded.is_err() {
        undo(databases, bao, &new, &lease).await;
    }
    recorded
}

/// A lease before it is recorded.
#[derive(Clone)]
struct New {
    id: Uuid,
    scope: TenantScope,
    place: Place,
    begun: OffsetDateTime,
    ttl: Duration,
    most: u64,
}

async fn record(cx: &Cx, databases: &Databases, bao: &OpenBao, new: New, credentials: Credentials) -> Result<Leased> {
    let Credentials { lease, username, password, .. } = credentials;
    let New { id, scope, begun, ttl, .. } = new;
    let ends_at = begun + ttl;
    let mut granted = lease.duration;
    if granted > ttl.unsigned_abs() {
        // It ends in OpenBAO in time, even if no server is there to revoke it.
        granted = bao.renew_lease(&lease.id, ttl.unsigned_abs()).await.map_err(fault::of)?.duration;
    }
    let tenant = scope.tenant();
    let row = row(databases, &new, &lease, granted).await?;
    let (place, most) = (new.place, new.most);
    let Place { host, port, database, .. } = place;
    let addition = Addition { row, most, username: username.clone(), database: database.clone() };
    databases.store.write(cx, addition, insert).await?;
    Ok(Leased { id, tenant, host, port, database, username, password, expires_at: ends_at })
}

/// The row of a lease that OpenBAO has granted for this long.
async fn row(
    databases: &Databases,
    new: &New,
    lease: &Lease,
    granted: std::time::Duration,
) -> Result<DatabaseLeaseRow> {
    let New { id, scope, begun, ttl, .. } = *new;
    let sealed = databases.sealer.seal(Some(scope.tenant()), &purpose(id), lease.id.as_bytes()).await?;
    let (valid, ends_at) = (Duration::try_from(granted).map_err(Error::internal)?, begun + ttl);
    Ok(DatabaseLeaseRow {
        tenant_id: scope.into(),
        id,
        sealed,
        duration: i64::try_from(lease.duration.as_secs()).map_err(Error::internal)?,
        ended: false,
        failures: 0,
        created_at: begun.into(),
        ends_at: ends_at.into(),
        lapses_at: (begun + valid).into(),
        due_at: times::due(begun, valid, ends_at).into(),
    })
}

/// Revokes a lease that was not recorded. If that fails, it is recorded as ended, so that the server repeats it.
async fn undo(databases: &Databases, bao: &OpenBao, new: &New, lease: &Lease) {
    let Err(error) = bao.revoke_lease(&lease.id).await else { return };
    tracing::warn!(%error, cause = ?std::error::Error::source(&error), "cannot revoke a lease that was not handed out; trying again");
    let recorded = async {
        let row = row(databases, new, lease, lease.duration).await?;
        let row = DatabaseLeaseRow { ended: true, due_at: new.begun.into(), ..row };
        databases.store.maintain("database.lease.undo", row, insert_ended).await
    };
    if let Err(error) = recorded.await {
        let cause = error.cause.as_deref();
        tracing::warn!(%error, cause, "cannot record a lease that was not handed out; it ends with its time");
    }
}

/// The tenant may have been deleted since: its teardown revokes all leases.
async fn insert_ended(tx: &Tx, row: &DatabaseLeaseRow) -> Result<()> {
    let (_, scope) = tenant::resolve_any_locked(tx, &TenantRef::Id(row.tenant_id.tenant())).await?;
    tx.tenant(scope).database_leases().insert(row.clone()).await
}

/// A lease to be recorded, with what the audit log says about it.
struct Addition {
    row: DatabaseLeaseRow,
    most: u64,
    username: String,
    database: String,
}

/// The tenant may have been suspended since, and others may have leased.
async fn insert(tx: &Tx, addition: &Addition) -> Result<()> {
    let Addition { row, most, username, database } = addition;
    let (tenant, scope) = tenant::resolve_locked(tx, &TenantRef::Id(row.tenant_id.tenant())).await?;
    check_status(&tenant)?;
    let rows = tx.tenant(scope).database_leases();
    check_room(rows.held().await?, *most)?;
    rows.insert(row.clone()).await?;
    let details = json!({
        "tenant": tenant.name.as_str(), "database": database, "username": username,
        "expires_at": rfc3339::whole_seconds(row.ends_at.time())?,
    });
    tx.audit_only(Some(tenant.id), row.id.as_hyphenated().to_string(), details);
    Ok(())
}

fn check_room(held: u64, most: u64) -> Result<()> {
    if held < most {
        return Ok(());
    }
    let message = format!("the programs of the tenant hold {held} leases of its database; at most {most} are allowed");
    let limit = LimitReached { resource: "database_leases", limit: most, used: held };
    Err(Error::limit_reached(Reason::DatabaseLeaseLimitReached, message, limit))
}

/// Releases a lease whose caller disconnected before it got the login.
async fn abandon(databases: &Databases, lease: &Leased) {
    let cx = Cx::system("database.release", databases.store.clock().clone());
    if let Err(error) = release::end(&cx, databases, &TenantRef::Id(lease.tenant), lease.id).await {
        let cause = error.cause.as_deref();
        tracing::warn!(lease = %lease.id, %error, cause, "cannot release a lease that no caller received; trying again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_a_tenant_is_reached_with_its_last_lease() {
        assert!(check_room(0, 1).is_ok() && check_room(99, 100).is_ok());
        let full = check_room(100, 100).unwrap_err();
        assert_eq!(full.reason, Reason::DatabaseLeaseLimitReached);
        assert_eq!(full.limit, Some(Box::new(LimitReached { resource: "database_leases", limit: 100, used: 100 })));
    }

    #[test]
    fn a_password_is_not_printed() {
        let leased = Leased {
            id: Uuid::from_u128(1),
            tenant: TenantId::from_uuid(Uuid::from_u128(2)),
            host: "h".to_owned(),
            port: 1,
            database: "d".to_owned(),
            username: "v-1".to_owned(),
            password: Secret::new("hunter2".to_owned()),
            expires_at: OffsetDateTime::UNIX_EPOCH,
        };
        assert!(!format!("{leased:?}").contains("hunter2"));
    }
}
