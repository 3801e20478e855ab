//! Logins of a tenant's database for the work of this installation, where OpenBAO does not lease them: created for the work, and dropped
//! after it. They act as the owner of the database, so that the provisioner itself never runs what is in it.

use std::time::Duration;

use super::{TenantDatabase, mark, owner::right_to_manage, session::Work};
use crate::base::{Result, Secret, TenantId, opaque};

/// A login, until it is taken back.
#[derive(Clone, Debug)]
pub struct LentLogin {
    pub user: String,
    pub password: Secret<String>,
}

/// The beginning of the names of a tenant's logins.
fn prefix(tenant: TenantId) -> String {
    format!("tenantry_{}_", tenant.uuid().as_simple())
}

/// Creates a login that is valid for this long, and is a member of the owner role, which it becomes at each connection. Drops those that
/// were left behind.
pub(super) async fn lend(work: &mut Work, database: TenantDatabase<'_>, valid: Duration) -> Result<LentLogin> {
    let TenantDatabase { tenant, owner, .. } = database;
    let user = format!("{}{:08x}", prefix(tenant), rand::random::<u32>());
    let password = opaque::secret("");
    // A hash, so that the log of the server never has the password.
    let hash = postgres_protocol::password::scram_sha_256(password.expose().as_bytes());
    let until = "SELECT (now() + $1::text::interval)::text";
    let rows = work.rows(until, &[&format!("{} seconds", valid.as_secs())]).await?;
    let until: String = rows.first().map(|row| row.get(0)).unwrap_or_default();
    let mark = mark(tenant);
    let statements: &[(&str, &[&str])] = &[
        ("CREATE ROLE %I LOGIN PASSWORD %L VALID UNTIL %L IN ROLE %I", &[&user, &hash, &until, owner]),
        ("ALTER ROLE %I SET role = %L", &[&user, owner]),
        ("COMMENT ON ROLE %I IS %L", &[&user, &mark]),
    ];
    let right = right_to_manage(work, owner);
    work.run_all(statements, right).await?;
    Ok(LentLogin { user, password })
}

/// The logins of a tenant that are no longer valid: their work was interrupted.
pub(super) async fn left_behind(work: &mut Work, tenant: TenantId) -> Result<Vec<String>> {
    let query = "SELECT rolname::text FROM pg_roles WHERE starts_with(rolname::text, $1::text) AND rolvaliduntil < now() \
                 AND shobj_description(oid, 'pg_authid') = $2::text";
    let rows = work.rows(query, &[&prefix(tenant), &mark(tenant)]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Whether a login owns something, or was granted something, so that it cannot be dropped at once.
pub(super) async fn has_objects(work: &mut Work, user: &str) -> Result<bool> {
    let query = "SELECT EXISTS (SELECT FROM pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid \
                 WHERE d.refclassid = 'pg_authid'::regclass AND r.rolname = $1::text AND d.deptype IN ('o', 'a'))";
    let rows = work.rows(query, &[&user]).await?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}

/// Gives what a login owns in the database of this connection to the owner, and drops its rights there.
pub(super) async fn reassign(work: &mut Work, database: TenantDatabase<'_>, user: &str) -> Result<()> {
    let right = right_to_manage(work, user);
    let join = match work.has_options_of_members() {
        true => "GRANT %I TO CURRENT_USER WITH INHERIT TRUE, SET TRUE",
        false => "GRANT %I TO CURRENT_USER",
    };
    work.run(join, &[user], right).await?;
    work.run("REASSIGN OWNED BY %I TO %I", &[user, database.owner], "membership in both roles").await?;
    Ok(work.run("DROP OWNED BY %I", &[user], "membership in the role").await?)
}

/// Drops a login and ends its sessions.
pub(super) async fn drop_login(work: &mut Work, user: &str) -> Result<()> {
    let right = right_to_manage(work, user);
    let terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %L";
    // Sessions of an interrupted work. Ending them is not required for the next statement.
    if let Err(failed) = work.run(terminate, &[user], "").await {
        tracing::debug!(error = %failed.error, "cannot end the sessions of a login");
    }
    Ok(work.run("DROP ROLE IF EXISTS %I", &[user], right).await?)
}
